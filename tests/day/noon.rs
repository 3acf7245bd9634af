//! While the campaign runs: progress, tasks, wishes, holds, opt-outs mid-batch, receipts, pause, emergency stop, and a kill.
use super::bank::{CUSTOMERS, NAME, phone, reference, rm_of, wants_no_texts, zone};
use super::http::{House, Sent, instant, now, signature, until};
use chrono::{DateTime, Duration, TimeZone, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use touchline::clock::sleep_ms;

/// Every customer is in exactly one state.
pub fn closed_sums(report: &Value) {
    let sum: i64 = report["counts"].as_object().unwrap().values().map(|n| n.as_i64().unwrap()).sum();
    assert_eq!(Some(sum), report["audience"].as_i64(), "counts sum to the audience: {report}");
}

/// The campaign is seen to run, no faster than it may.
pub async fn progress(house: &House) {
    let begun = now();
    until("the campaign runs", async || (house.attempts().await >= 100).then_some(())).await;
    for _ in 0..5 {
        let report = house.report().await;
        closed_sums(&report);
        assert_eq!(report["status"], "running", "{report}");
        let (attempts, seconds) = (report["attempts"]["total"].as_i64().unwrap(), (now() - begun).num_seconds() + 2);
        // A route has up to two seconds' worth on record before it hands them over (actors/client.rs).
        assert!(attempts <= 40 * (seconds + 2), "at most 40 a second, found {attempts} after less than {seconds} s");
        sleep_ms(200).await;
    }
    let all = house.get("fay", "/v1/campaigns").await;
    let run = all["items"].as_array().unwrap().iter().find(|c| c["name"] == NAME && c["version"] == 2).unwrap_or_else(|| panic!("not listed: {all}"));
    assert!(run["attempts"].as_i64().unwrap() >= 100, "the list shows how it stands: {run}");
    let events = house.get("bob", &format!("/v1/campaigns/{NAME}/events?limit=1000")).await;
    let told: Vec<&str> = events["items"].as_array().unwrap().iter().map(|e| e["status"].as_str().unwrap()).collect();
    assert!(["submitted", "approved", "scheduled", "running"].iter().all(|s| told.contains(s)), "the run's history: {events}");
}

/// The tasks on an RM's own list that the campaign has made and nobody has done. (What nobody has yet in the branch may be another's in a moment.)
pub async fn tasks(house: &House, who: &str) -> Vec<Value> {
    let page = house.get(who, "/v1/worklist?limit=1000").await;
    page["tasks"].as_array().unwrap().iter().filter(|t| t["kind"] == "journey" && t["rm"].is_string()).cloned().collect()
}

fn number(reference: &Value) -> usize {
    reference.as_str().unwrap().strip_prefix('C').unwrap().parse().unwrap()
}

/// An RM claims a task, reports, and the journey goes on by it. Others do not see it.
pub async fn work_a_task(house: &House) {
    let task = until("rita has a task", async || tasks(house, "rita").await.into_iter().find(|t| t["rm"] == "rm-0")).await;
    let (customer, path) = (number(&task["customer"]), format!("/v1/worklist/{}", task["id"]));
    assert_eq!(rm_of(customer), "rita", "a task goes to the customer's own RM: {task}");
    for other in ["ravi", "rosa"] {
        house.ask(other, Method::GET, &path, Sent::Nothing, 404).await;
        house.ask(other, Method::POST, &format!("{path}/claim"), Sent::Nothing, 404).await;
        house.post(other, &format!("{path}/result"), json!({"disposition": "completed"}), 404).await;
        assert!(tasks(house, other).await.iter().all(|t| t["id"] != task["id"]), "{other} lists a task of rita's");
    }
    house.ask("fay", Method::GET, &path, Sent::Nothing, 403).await;
    let seen = house.get("rita", &path).await;
    let whole = phone(customer);
    assert!(!seen.to_string().contains(&whole), "the number is masked before the claim: {seen}");
    assert!(seen["script"].as_str().unwrap().contains("2.1 %"), "the script comes with the task: {seen}");
    assert!(!seen["timeline"].as_array().unwrap().is_empty(), "and the timeline: {seen}");
    let claimed = house.ask("rita", Method::POST, &format!("{path}/claim"), Sent::Nothing, 200).await;
    assert_eq!((&claimed["state"], &claimed["contact"]["phone"]), (&json!("claimed"), &json!(whole)), "{claimed}");
    house.ask("olga", Method::POST, &format!("{path}/claim"), Sent::Nothing, 409).await;
    house.ask("rita", Method::POST, &format!("{path}/release"), Sent::Nothing, 200).await;
    house.ask("rita", Method::POST, &format!("{path}/claim"), Sent::Nothing, 200).await;

    house.post("rita", &format!("{path}/result"), json!({"disposition": "delivered"}), 422).await;
    let result = json!({"disposition": "completed", "connected_s": 240, "notes": "Wants the longer term."});
    let done = house.post("rita", &format!("{path}/result"), result.clone(), 200).await;
    assert_eq!((&done["new"], &done["task"]["state"]), (&json!(true), &json!("done")), "{done}");
    let again = house.post("rita", &format!("{path}/result"), result, 200).await;
    assert_eq!((&again["new"], &again["task"]["result"]), (&json!(false), &done["task"]["result"]), "the same result again is the same answer");
    house.post("rita", &format!("{path}/result"), json!({"disposition": "not_interested"}), 409).await;
    until("the journey goes on by the result", async || {
        let touches = house.touches_of(&reference(customer)).await;
        let met = touches.iter().any(|t| t["step"] == "meet" && t["state"] == "reached" && t["reason"] == "completed");
        (met && touches.iter().any(|t| t["step"] == "thanks")).then_some(())
    })
    .await;
}

/// A customer wishes to be called: not at night, at an hour of the own clock, once.
pub async fn wish(house: &House) {
    let task = until("rita has another task", async || tasks(house, "rita").await.into_iter().find(|t| t["rm"] == "rm-0")).await;
    let (customer, path) = (number(&task["customer"]), format!("/v1/worklist/{}/callback", task["id"]));
    let tomorrow = (now().with_timezone(&zone(customer)) + Duration::days(1)).date_naive();
    let problem = house.post("rita", &path, json!({"local_time": format!("{tomorrow}T03:00")}), 422).await;
    assert!(problem.to_string().contains("next lawful time"), "nobody is called at three in the morning: {problem}");
    let asked = json!({"local_time": format!("{tomorrow}T15:30")});
    house.post("ravi", &path, asked.clone(), 404).await;
    let wish = house.post("rita", &path, asked.clone(), 201).await;
    let wall = tomorrow.and_hms_opt(15, 30, 0).unwrap();
    let expected = zone(customer).from_local_datetime(&wall).unwrap().to_utc();
    assert_eq!(instant(&wish["wanted_at"]), expected, "half past three by the customer's clock: {wish}");
    let again = house.post("rita", &path, asked, 200).await;
    assert_eq!(again["task"], wish["task"], "the same wish again is the same task");
    let callback = house.get("rita", &format!("/v1/worklist/{}", wish["task"])).await;
    assert_eq!((&callback["kind"], instant(&callback["due_at"])), (&json!("callback"), expected), "{callback}");

    // The same from another system, for another RM's customer.
    let asked = json!({"wanted": {"id": "app-1", "customer": reference(1_502), "local_time": format!("{tomorrow}T16:00"), "topic": "mortgage"}});
    let made = house.post("core", "/v1/callbacks", asked.clone(), 201).await;
    let again = house.post("core", "/v1/callbacks", asked, 200).await;
    assert_eq!(made["wish"]["task"], again["wish"]["task"], "{made} {again}");
    until("the wish is on the list of the customer's own RM", async || {
        let task = house.get("rosa", &format!("/v1/worklist/{}", made["wish"]["task"])).await;
        (task["rm"] == "rm-2").then_some(())
    })
    .await;
}

/// A call that an RM has made of her own: on record once, however often and in whatever order it is reported.
pub async fn report_a_call(house: &House) {
    let (customer, began) = (reference(804), now() - Duration::minutes(5));
    let told = |disposition: &str, minute: i64| {
        let at = (began + Duration::minutes(minute)).to_rfc3339();
        let call = json!({"id": "desk-1", "customer": customer, "purpose": "service", "started_at": began.to_rfc3339(), "disposition": disposition, "connected_s": 120, "at": at});
        json!({"happened": call})
    };
    house.post("ravi", "/v1/callbacks", told("interested", 3), 404).await;
    let made = house.post("rita", "/v1/callbacks", told("interested", 3), 201).await;
    assert_eq!((&made["contact"]["state"], &made["contact"]["disposition"]), (&json!("reached"), &json!("interested")), "{made}");
    let again = house.post("rita", "/v1/callbacks", told("interested", 3), 200).await;
    assert_eq!(again["contact"]["touch"], made["contact"]["touch"], "the same report again is the same contact");
    let older = house.post("rita", "/v1/callbacks", told("no_answer", 2), 200).await;
    assert_eq!(older["contact"]["disposition"], "interested", "an older word that comes late changes nothing: {older}");
    let timeline = house.get("rita", &format!("/v1/customers/{customer}/timeline")).await;
    assert_eq!(timeline["reported"].as_array().map(Vec::len), Some(1), "one contact is on record: {timeline}");
    house.ask("ravi", Method::GET, &format!("/v1/customers/{customer}/timeline"), Sent::Nothing, 404).await;
}

/// "I am meeting her": rita's last eight customers, before the campaign comes to them.
pub async fn hold(house: &House) -> Vec<String> {
    let held: Vec<String> = (1..=CUSTOMERS).rev().filter(|i| rm_of(*i) == "rita").take(8).map(reference).collect();
    let until = (now() + Duration::days(1)).to_rfc3339();
    for customer in &held {
        let (path, body) = (format!("/v1/customers/{customer}/hold"), json!({"until": until, "why": "meeting tomorrow"}));
        house.post("rosa", &path, body.clone(), 404).await;
        let seen = house.post("rita", &path, body, 200).await;
        assert!(instant(&seen["held_until"]) > now() + Duration::hours(23), "{seen}");
    }
    held
}

/// Once the campaign has come to them nothing has started for those who are held; then the hold is lifted.
pub async fn lift(house: &House, held: &[String]) {
    until("the campaign has come to its last customer", async || (house.report().await["counts"]["pending"] == 0).then_some(())).await;
    let mut waiting = 0;
    for customer in held {
        let timeline = house.get("rita", &format!("/v1/customers/{customer}/timeline")).await;
        let touches = timeline["campaigns"][0]["touches"].as_array().unwrap();
        assert!(touches.iter().all(|t| t["started_at"].is_null()), "{customer} is held, and yet something has started: {timeline}");
        waiting += usize::from(touches.iter().any(|t| t["state"] == "scheduled" && t["reason"] == "held"));
        assert!(timeline["held_until"].is_string(), "{timeline}");
        house.ask("rosa", Method::DELETE, &format!("/v1/customers/{customer}/hold"), Sent::Nothing, 404).await;
        let lifted = house.ask("rita", Method::DELETE, &format!("/v1/customers/{customer}/hold"), Sent::Nothing, 200).await;
        assert_eq!(lifted["held_until"], Value::Null, "{lifted}");
    }
    assert!(waiting >= 4, "of {} that are held (one in ten is in the holdout) {waiting} wait", held.len());
}

/// After the day: whoever was held and is not in the holdout was called all the same.
pub async fn held_were_put_off_and_not_dropped(house: &House, held: &[String]) {
    for customer in held {
        let touches = house.touches_of(customer).await;
        let fine = touches.iter().any(|t| t["started_at"].is_string() || t["state"] == "held_out");
        assert!(fine, "{customer} was held and then dropped: {touches:?}");
    }
}

/// Customers who want no more, and the instant from which that holds.
pub struct OptedOut {
    at: DateTime<Utc>,
    texts: Vec<String>,
    all: Vec<String>,
}

fn event(id: usize, kind: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": format!("e-{id}"), "source": "urn:bank:gateway", "type": format!("touchline.event.{kind}"), "data": data})
}

/// Sixty customers opt out in the middle: by keyword from their telephone, or by word; one complains.
pub async fn opt_out(house: &House) -> OptedOut {
    until("texts are being sent", async || (house.report().await["attempts"]["by_channel"]["sms"].as_i64() >= Some(10)).then_some(())).await;
    let (mut batch, mut texts, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for k in 0..60 {
        let i = 5 + 30 * k;
        if k % 2 == 0 {
            let word = ["TD", "Stop.", " 退订 "][k % 3];
            batch.push(event(k, "text", json!({"phone": phone(i), "text": word})));
            texts.push(reference(i));
        } else {
            batch.push(event(k, "opted_out", json!({"customer": reference(i)})));
            all.push(reference(i));
        }
    }
    batch.push(event(60, "complained", json!({"customer": reference(29)})));
    all.push(reference(29));
    house.post("olga", "/v1/events", json!(batch), 403).await;
    let taken = house.post("core", "/v1/events", json!(batch), 200).await;
    let at = now();
    assert_eq!(taken["taken"], batch.len(), "every event is taken: {taken}");
    let again = house.post("core", "/v1/events", json!(batch), 200).await;
    assert!(again["taken"] == 0 && again["results"][0]["verdict"] == "repeated", "the same events again change nothing: {again}");

    // One that a person must read, one of nobody, one that is no event.
    let odd = json!([
        event(70, "text", json!({"phone": phone(400), "text": "Please do not stop asking me about deposits"})),
        event(71, "rated", json!({"customer": "C77777", "rating": 5})),
        {"what": "is this"},
    ]);
    let told = house.post("core", "/v1/events", odd, 200).await;
    let verdicts: Vec<&Value> = told["results"].as_array().unwrap().iter().map(|r| &r["verdict"]).collect();
    assert_eq!(verdicts, ["for_a_person", "rejected", "rejected"], "{told}");
    let letters = house.get("olga", "/v1/dead-letters").await;
    assert!(!letters.to_string().contains("deposits"), "a dead letter is listed without its contents: {letters}");
    let path = format!("/v1/dead-letters/{}/close", letters[0]["id"]);
    house.post("olga", &path, json!({"why": "the customer wants to hear more"}), 200).await;
    OptedOut { at, texts, all }
}

/// At the end of the day: nothing was started for them after the answer to their word.
pub async fn nothing_after_opt_out(house: &House, out: &OptedOut) {
    let (mut before, mut ends) = (0, BTreeMap::new());
    for (customer, only_texts) in out.texts.iter().map(|c| (c, true)).chain(out.all.iter().map(|c| (c, false))) {
        for touch in house.touches_of(customer).await {
            *ends.entry(format!("{} {}", touch["state"], touch["reason"])).or_insert(0) += 1;
            let Some(started) = touch["started_at"].is_string().then(|| instant(&touch["started_at"])) else { continue };
            before += usize::from(started <= out.at);
            let concerns = touch["channel"] == "sms" || !only_texts;
            assert!(!concerns || started <= out.at, "{customer} opted out before {}, and yet {touch}", out.at);
        }
    }
    assert!(before >= 10, "the opt-outs came in the middle: {before} touches were begun before them");
    let called_off: i32 = ends.iter().filter(|(end, _)| end.contains("opted_out")).map(|(_, n)| n).sum();
    assert!(called_off >= 5, "the opt-outs came in time for something; touches ended so: {ends:?}");
    // Those who had said so long before the campaign got no text either.
    for i in (1..=CUSTOMERS).filter(|i| wants_no_texts(*i)).take(20) {
        let touches = house.touches_of(&reference(i)).await;
        assert!(!touches.iter().any(|t| t["channel"] == "sms" && t["started_at"].is_string()), "{} wants no texts: {touches:?}", reference(i));
    }
}

/// The number of attempts once nothing new starts.
async fn stands_still(house: &House) -> i64 {
    until("nothing new starts", async || {
        let before = house.attempts().await;
        sleep_ms(700).await;
        (house.attempts().await == before).then_some(before)
    })
    .await
}

pub async fn pause_and_resume(house: &House) {
    house.verb("bob", "pause", json!({"why": "I would like to"}), 403).await;
    house.verb("olga", "pause", json!({"why": "lunch"}), 200).await;
    until("it is paused", async || (house.report().await["status"] == "paused").then_some(())).await;
    let attempts = stands_still(house).await;
    house.verb("olga", "resume", json!({"why": "back"}), 200).await;
    until("it goes on", async || (house.attempts().await > attempts).then_some(())).await;
}

/// One person stops, two restart.
pub async fn emergency(house: &House) {
    let held = house.verb("eve", "stop", json!({"why": "is the text right?", "emergency": true}), 200).await;
    assert_eq!(held["emergency"], true, "{held}");
    let attempts = stands_still(house).await;
    let problem = house.verb("olga", "resume", json!({"why": "go"}), 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("two different persons"), "{problem}");
    assert_eq!(house.verb("eve", "restart", json!({"why": "it is"}), 200).await["restart"], "first");
    assert_eq!(house.verb("eve", "restart", json!({"why": "it is"}), 200).await["restart"], "again");
    sleep_ms(1_000).await;
    assert_eq!(house.attempts().await, attempts, "one person does not restart it");
    assert_eq!(house.verb("olga", "restart", json!({"why": "I have read it"}), 200).await["restart"], "lifted");
    until("it goes on after the emergency", async || (house.attempts().await > attempts).then_some(())).await;
}

/// What the receipts were about.
pub struct Texts {
    /// A text that was not delivered as far as the provider knows: its touch and its customer.
    pub undelivered: (String, String),
}

/// Receipts out of order, repeated, under a wrong signature, and some that nobody can read.
pub async fn receipts(house: &House) -> Texts {
    let sent = until("eight texts wait for their receipts", async || {
        let rows: Vec<Value> = house.ledger().await.into_iter().filter(|t| t["channel"] == "sms" && t["state"] == "started").collect();
        (rows.len() >= 8).then_some(rows)
    })
    .await;
    let at = |n: usize, s: i64| (instant(&sent[n]["started_at"]) + Duration::seconds(s)).to_rfc3339();
    let says = |n: usize, what: &str, s: i64| json!({"touch": sent[n]["touch"], "disposition": what, "at": at(n, s), "cost": "0.045"});
    let stands = async |n: usize, what: &str| {
        let (customer, touch) = (sent[n]["reference"].as_str().unwrap(), &sent[n]["touch"]);
        until(&format!("{touch} is {what}"), async || {
            let touches = house.touches_of(customer).await;
            touches.iter().find(|t| t["touch"] == *touch && t["state"] == what).cloned()
        })
        .await
    };
    // 0: the failure comes first, and what it overtook after it. 1: the failure comes after, of an instant before. 2: not delivered.
    house.provider_says("m-1", &json!([says(0, "UNDELIV", 2), says(1, "DELIVRD", 2), says(2, "UNDELIV", 2)]), 202).await;
    stands(0, "missed").await;
    stands(1, "reached").await;
    house.provider_says("m-2", &json!([says(0, "DELIVRD", 1), says(1, "UNDELIV", 1)]), 202).await;
    let mended = stands(0, "reached").await;
    assert_eq!(mended["receipts"].as_array().map(Vec::len), Some(2), "both receipts are kept: {mended}");
    stands(2, "missed").await;
    let kept = until("the receipt out of order is kept", async || {
        let touch = stands(1, "reached").await;
        (touch["receipts"].as_array().map(Vec::len) == Some(2)).then_some(touch)
    })
    .await;
    let late = kept["receipts"].as_array().unwrap().iter().find(|r| r["said"] == "undelivered").unwrap_or_else(|| panic!("not kept: {kept}"));
    assert_eq!(late["applied"], false, "delivered stays delivered: {kept}");

    // Repeated: the message, and the receipt in another message. By the provider's own name of it, too.
    let one = json!([says(3, "DELIVRD", 1)]);
    assert_eq!(house.provider_says("m-3", &one, 202).await["taken"], 1);
    assert_eq!(house.provider_says("m-3", &one, 200).await["repeated"], true, "a message that comes again changes nothing");
    house.provider_says("m-4", &one, 202).await;
    let cost = stands(3, "reached").await["cost"].clone();
    assert_eq!(cost, "0.045", "it is charged once");
    if let Some(name) = sent[4]["provider_ref"].as_str() {
        house.provider_says("m-5", &json!([{"provider_ref": name, "disposition": "DELIVRD", "at": at(4, 1)}]), 202).await;
        stands(4, "reached").await;
    }
    // What cannot be read is kept, and counted; what is not signed is not taken.
    let posted = house.provider_says("m-6", &json!([says(5, "DELIVRD", 1), says(6, "LOST AT SEA", 1)]), 202).await;
    assert_eq!((&posted["taken"], &posted["dead_letters"]), (&json!(1), &json!(1)), "{posted}");
    let letters = house.get("olga", "/v1/dead-letters").await;
    let letter = letters.as_array().unwrap().iter().find(|l| l["source"] == "sms-east").unwrap_or_else(|| panic!("no dead letter: {letters}"));
    house.post("olga", &format!("/v1/dead-letters/{}/close", letter["id"]), json!({"why": "asked the provider"}), 200).await;
    let body = json!([says(7, "UNDELIV", 1)]).to_string();
    for (what, id, signed_as, shift) in [("another message's", "m-8", "m-7", 0), ("old", "m-7", "m-7", -600)] {
        let second = (now().timestamp() + shift).to_string();
        let request = house.daemon().http.post(format!("{}/v1/receipts/sms-east", house.daemon().url)).header("content-type", "application/json");
        let signed = signature(super::bank::PROVIDER_SECRET, signed_as, &second, &body);
        let request = request.header("webhook-id", id).header("webhook-timestamp", &second).header("webhook-signature", signed);
        assert_eq!(request.body(body.clone()).send().await.unwrap().status(), 401, "a signature that is {what}");
    }
    Texts { undelivered: (sent[2]["touch"].as_str().unwrap().to_owned(), sent[2]["reference"].as_str().unwrap().to_owned()) }
}

/// After a kill the daemon goes on by itself, with the same campaign, losing nobody.
pub async fn goes_on(house: &House, before: i64) {
    until("the new daemon is ready", async || {
        let answer = house.daemon().http.get(format!("{}/readyz", house.daemon().url)).send().await.unwrap();
        (answer.status() == 200).then_some(())
    })
    .await;
    let report = until("the campaign goes on after the kill", async || {
        let report = house.report().await;
        (report["attempts"]["total"].as_i64() > Some(before)).then_some(report)
    })
    .await;
    closed_sums(&report);
    assert_eq!((&report["status"], &report["version"]), (&json!("running"), &json!(2)), "{report}");
}
