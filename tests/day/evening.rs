//! The end of the day: facts, the rest of the work, exports, verification, what others were told, and who did what.
use super::bank::{CUSTOMERS, NAME};
use super::http::{House, Sent, instant, now, signature, until};
use super::morning::Hook;
use super::noon::{Texts, closed_sums, tasks};
use super::serving::touchline;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use touchline::clock::sleep_ms;

/// Deposits made: by customers who were reached, and by some of the holdout.
pub struct Facts {
    treated: usize,
    holdout: usize,
    amount: Decimal,
}

pub async fn facts(house: &House) -> Facts {
    let reached: BTreeSet<String> =
        house.ledger().await.iter().filter(|t| t["state"] == "reached").map(|t| t["reference"].as_str().unwrap().to_owned()).collect();
    let (_, results) = house.export("results", "jsonl").await;
    let rows = results.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let holdout: Vec<String> = rows.filter(|r| r["state"] == "held_out").take(3).map(|r| r["reference"].as_str().unwrap().to_owned()).collect();
    let treated: Vec<&String> = reached.iter().take(20).collect();
    assert!(
        treated.len() == 20 && holdout.len() == 3,
        "twenty were reached, and three of the holdout are known: {} {}",
        treated.len(),
        holdout.len()
    );
    let mut csv = String::from("booking,no,amount,booked\n");
    for (n, customer) in treated.iter().copied().chain(&holdout).enumerate() {
        writeln!(csv, "b-{n},{customer},10000.50,{}", now().to_rfc3339()).unwrap();
    }
    let intake = house.ask("core", Method::POST, "/v1/facts?mapping=facts&wait=60", Sent::Csv(csv.clone()), 200).await;
    assert_eq!(intake["report"]["sums"]["accepted"], 23, "{intake}");
    let again = house.ask("core", Method::POST, "/v1/facts?mapping=facts&wait=60", Sent::Csv(csv), 200).await;
    assert_eq!(again["report"]["already"], true, "{again}");
    Facts { treated: treated.len(), holdout: holdout.len(), amount: Decimal::new(1_000_050, 2) * Decimal::from(treated.len()) }
}

/// RMs work their lists off, the provider sends what it has, what a kill left in doubt is settled by a person: until the campaign has ended.
pub async fn finish(house: &House) {
    let (mut told, mut message, mut called_off, mut in_doubt) = (BTreeSet::new(), 100, BTreeSet::new(), 0);
    for round in 0..120 {
        let report = house.report().await;
        closed_sums(&report);
        if report["status"] == "finished" {
            for id in called_off {
                let task = house.get("olga", &format!("/v1/worklist/{id}")).await;
                assert_eq!(task["state"], "cancelled", "what was refused as called off is called off: {task}");
            }
            assert!(in_doubt > 0, "the kill left nothing in doubt, though the campaign was in full flow");
            return finished(&report);
        }
        for who in ["rita", "ravi", "rosa", "rolf"] {
            for task in tasks(house, who).await {
                let path = format!("/v1/worklist/{}", task["id"]);
                let (status, claimed) = house.answer(who, &Method::POST, &format!("{path}/claim"), Sent::Nothing).await;
                if status == 409 && claimed["detail"].as_str().unwrap().contains("called off (converted)") {
                    // One of those whose deposit has just come in.
                    called_off.insert(task["id"].as_u64().unwrap());
                    continue;
                }
                assert_eq!(status, 200, "task {} of {who}: {claimed}", task["id"]);
                let what = ["completed", "interested", "not_interested", "not_reached"][task["id"].as_u64().unwrap() as usize % 4];
                house.post(who, &format!("{path}/result"), json!({"disposition": what, "connected_s": 30}), 200).await;
            }
        }
        if round % 3 == 0 {
            let rows = house.ledger().await;
            let sent: Vec<&Value> =
                rows.iter().filter(|t| t["channel"] == "sms" && t["state"] == "started" && told.insert(t["touch"].to_string())).collect();
            for part in sent.chunks(500) {
                let says = |(n, t): (usize, &&Value)| {
                    let what = if n % 10 == 9 { "UNDELIV" } else { "DELIVRD" };
                    json!({"touch": t["touch"], "disposition": what, "at": instant(&t["started_at"]).to_rfc3339(), "cost": "0.045"})
                };
                let receipts: Vec<Value> = part.iter().enumerate().map(says).collect();
                message += 1;
                let posted = house.provider_says(&format!("m-{message}"), &json!(receipts), 202).await;
                assert_eq!(posted["taken"], receipts.len(), "{posted}");
            }
        }
        let uncertain = house.get("olga", &format!("/v1/campaigns/{NAME}/uncertain")).await;
        let mut doubts: HashMap<&str, Vec<String>> = HashMap::new();
        for touch in uncertain.as_array().unwrap() {
            let key = &touch["key"];
            let name = format!("{}-{}-{}", key["campaign"], key["customer"], key["seq"]);
            doubts.entry(if touch["channel"] == "sms" { "undelivered" } else { "no_answer" }).or_default().push(name);
        }
        for (what, touches) in doubts {
            let body = json!({"as": what, "touches": touches, "why": "the carrier's own list of the day"});
            house.verb("fay", "resolve", body.clone(), 403).await;
            let resolved = house.verb("olga", "resolve", body, 200).await;
            let skipped = resolved["skipped"].as_array().map_or(0, Vec::len);
            assert_eq!(resolved["settled"].as_u64(), Some((touches.len() - skipped) as u64), "{resolved}");
            in_doubt += touches.len() - skipped;
        }
        sleep_ms(400).await;
    }
    panic!("the campaign did not end: {}", house.report().await);
}

fn finished(report: &Value) {
    let count = |state: &str| report["counts"][state].as_i64().unwrap();
    for open in ["pending", "scheduled", "started", "uncertain"] {
        assert_eq!(count(open), 0, "nobody is left {open} in a campaign that has ended: {report}");
    }
    let held_out = usize::try_from(count("held_out")).unwrap();
    assert!((CUSTOMERS / 13..CUSTOMERS / 7).contains(&held_out), "one in ten is held out, found {held_out} of {CUSTOMERS}");
    assert!(count("reached") > 500 && count("missed") > 50, "{report}");
    assert_eq!(report["revision"].as_i64(), Some(2), "it ended as revised: {report}");
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap_or_else(|| panic!("expected decimal text, found {value}")).parse().unwrap()
}

/// Of counts by state those that are not zero.
fn not_zero(counts: &Value) -> Vec<(&String, &Value)> {
    counts.as_object().unwrap().iter().filter(|(_, n)| **n != 0).collect()
}

/// Results, touches and conversions in all formats; sums that agree with each other and the report; verified by the daemon and from outside.
pub async fn exports(house: &House, facts: &Facts) {
    let report = house.report().await;
    assert_eq!(report["conversions"][0]["customers"], facts.treated, "{report}");
    assert_eq!(decimal(&report["conversions"][0]["amount"]), facts.amount, "{report}");
    house.post("olga", "/v1/exports", json!({"campaign": NAME, "what": "results"}), 403).await;
    for format in ["csv", "jsonl", "parquet"] {
        let (results, _) = house.export("results", format).await;
        assert_eq!(results["rows"], CUSTOMERS, "a row a customer: {results}");
        assert_eq!(not_zero(&results["counts"]), not_zero(&report["counts"]), "an export's counts are the report's");
        assert_eq!(results["attempts"], report["attempts"]["total"], "{results}");
        assert_eq!(decimal(&results["sums"]["CNY"]["cost"]), decimal(&report["cost"]["amount"]), "{results} {}", report["cost"]);
        let (conversions, _) = house.export("conversions", format).await;
        assert_eq!(conversions["rows"], facts.treated + facts.holdout, "{conversions}");
        assert_eq!(decimal(&conversions["sums"]["CNY"]["credited"]), facts.amount, "{conversions}");
        for manifest in [&results, &conversions] {
            verify(house, manifest).await;
        }
    }
    let (touches, rows) = house.export("touches", "jsonl").await;
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(touches["rows"], rows.len(), "{touches}");
    let steps: BTreeSet<(&str, &str)> = rows.iter().map(|t| (t["reference"].as_str().unwrap(), t["step"].as_str().unwrap())).collect();
    assert_eq!(steps.len(), rows.len(), "through pause, stop, kill and revision nobody has met a step twice");
    let cost: Decimal = rows.iter().map(|t| decimal(&t["cost"])).sum();
    assert_eq!(cost, decimal(&report["cost"]["amount"]), "the touches' costs are the report's");
    verify(house, &touches).await;
}

/// An export is verified over HTTP, by the command line as a client, and by the command line on the daemon's own folder.
async fn verify(house: &House, manifest: &Value) {
    let number = &manifest["number"];
    let found = house.post("fay", &format!("/v1/exports/{number}/verify"), json!({}), 200).await;
    assert_eq!(found["fault_count"], 0, "{found}");
    let token = house.folder.path().join("fay.token");
    std::fs::write(&token, &house.tokens["fay"]).unwrap();
    let folder = house.data().join("exports").join(format!("{:06}", number.as_i64().unwrap()));
    let mut client = touchline(&house.data());
    client.args(["--json", "--url", &house.daemon().url, "--token-file"]).arg(&token).args(["verify", &number.to_string()]);
    let mut local = touchline(&house.data());
    local.args(["--json", "verify"]).arg(&folder);
    for mut command in [client, local] {
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success(), "{command:?}: {said}{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["fault_count"], 0, "{said}");
    }
}

/// A receipt that comes after the end is recorded, and finance gets a correction of what it has.
pub async fn late_receipt(house: &House, texts: &Texts) {
    let (touch, customer) = &texts.undelivered;
    let (before, report) = (house.export("results", "csv").await.0, house.report().await);
    let late = json!([{"touch": touch, "disposition": "DELIVRD", "at": now().to_rfc3339()}]);
    house.provider_says("m-late", &late, 202).await;
    let seen = until("the late receipt is on record", async || {
        house.touches_of(customer).await.into_iter().find(|t| t["touch"] == touch.as_str() && t["state"] == "reached")
    })
    .await;
    assert_eq!(seen["receipts"].as_array().map(Vec::len), Some(2), "{seen}");
    let after = house.report().await;
    closed_sums(&after);
    assert_eq!(after["counts"]["reached"].as_i64(), report["counts"]["reached"].as_i64().map(|n| n + 1), "{after}");
    let correction = house.post("fay", &format!("/v1/exports/{}/correct", before["number"]), json!({}), 201).await;
    assert_eq!((&correction["reversals"], &correction["new_rows"]), (&json!(1), &json!(1)), "one customer has changed: {correction}");
    verify(house, &correction["export"]["manifest"]).await;
}

/// Every delivery was signed; campaigns, touches, tasks, opt-outs and conversions were told, none of them left out.
pub async fn told(house: &House, hooks: &[Hook; 2]) {
    let ledger = house.ledger().await;
    let settled = |t: &&Value| ["reached", "missed", "refused"].contains(&t["state"].as_str().unwrap()) && t["started_at"].is_string();
    let settled: BTreeSet<String> = ledger.iter().filter(settled).map(|t| t["touch"].as_str().unwrap().to_owned()).collect();
    assert!(settled.len() > 2_000, "{} touches were settled", settled.len());
    let events = |hook: &Hook| -> Vec<Value> {
        let all = hook.receiver.taken();
        all.iter()
            .flat_map(|got| match serde_json::from_str(&got.body).unwrap() {
                Value::Array(batch) => batch,
                one => vec![one],
            })
            .collect()
    };
    let of_touch = |events: &[Value], kind: &str| -> BTreeSet<String> {
        events.iter().filter(|e| e["type"] == kind).map(|e| e["data"]["touch"].as_str().unwrap().to_owned()).collect()
    };
    let touches = until("every settled touch is told", async || {
        let events = events(&hooks[1]);
        let missing = settled.difference(&of_touch(&events, "touchline.touch.settled")).count();
        (missing == 0).then_some(events)
    })
    .await;
    let credited: BTreeSet<&str> =
        touches.iter().filter(|e| e["type"] == "touchline.conversion.credited").map(|e| e["data"]["fact"].as_str().unwrap()).collect();
    assert_eq!(credited.len(), 20, "conversions that were told: {credited:?}");
    let others = until("the end of the campaign is told", async || {
        let events = events(&hooks[0]);
        events.iter().any(|e| e["type"] == "touchline.campaign.status" && e["data"]["status"] == "finished").then_some(events)
    })
    .await;
    let statuses: Vec<&str> =
        others.iter().filter(|e| e["type"] == "touchline.campaign.status").map(|e| e["data"]["status"].as_str().unwrap()).collect();
    for status in ["submitted", "approved", "scheduled", "running", "paused", "stopped", "finished"] {
        assert!(statuses.contains(&status), "{status} was not told: {statuses:?}");
    }
    for kind in ["touchline.customer.opted_out", "touchline.task.made"] {
        assert!(others.iter().any(|e| e["type"] == kind), "no {kind} was told");
    }
    for hook in hooks {
        let all = hook.receiver.all();
        for got in &all {
            let expected = signature(&hook.secret, &got.header("webhook-id"), &got.header("webhook-timestamp"), &got.body);
            assert_eq!(got.header("webhook-signature"), expected, "a delivery whose signature does not hold: {:?}", got.headers);
            assert!(!got.body.contains("+86138"), "an event with a telephone number: {}", got.body);
        }
    }
    let standing = house.get("adam", "/v1/webhooks").await;
    assert!(standing.as_array().unwrap().iter().all(|w| w["enabled"] == true && w["failures"] == 0), "{standing}");
}

/// The audit log is whole, over HTTP and on the disk, and has who did and tried what.
pub async fn audited(house: &House) {
    let verdict = house.get("eve", "/v1/audit/verify").await;
    assert_eq!(verdict["is_whole"], true, "{verdict}");
    let head = verdict["head"].as_str().unwrap().to_owned();
    let entries = async |who: &str| house.get("eve", &format!("/v1/audit?actor={who}&limit=1000")).await;
    for (who, operation, outcome) in [
        ("ann", "handInCampaign", "201"),
        ("ann", "handInCampaign", "422"),
        ("ann", "approveCampaign", "409"),
        ("bob", "approveCampaign", "200"),
        ("olga", "approveCampaign", "403"),
        ("olga", "resumeCampaign", "409"),
        ("rita", "claimTask", "200"),
        ("rosa", "holdCustomer", "404"),
        ("fay", "makeExport", "201"),
        ("core", "tellEvents", "200"),
    ] {
        let entries = entries(who).await;
        let is = |e: &Value| e["operation"] == operation && e["outcome"] == outcome;
        assert!(entries.as_array().unwrap().iter().any(is), "{who}'s {operation} with {outcome} is not in the log");
    }
    let out = touchline(&house.data()).args(["--json", "audit", "verify", "--head", &head]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "audit verify: {said}{}", String::from_utf8_lossy(&out.stderr));
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["is_whole"], true, "{said}");
}

/// The daemons logged nobody's number, no token, and no error: not even of the kill.
pub fn quiet(log: &[String]) {
    assert!(log.len() > 5, "the daemons logged next to nothing: {log:?}");
    for (what, is) in [
        ("a number", (|line| line.contains("1380000")) as fn(&str) -> bool),
        ("a token or secret", |line| line.contains("tl_") || line.contains("whsec_")),
        ("an error", |line| line.contains("ERROR") || line.contains("panicked")),
    ] {
        let bad = log.iter().find(|line| is(line));
        assert!(bad.is_none(), "{what} in the log: {bad:?}");
    }
}
