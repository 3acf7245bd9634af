//! The API as it is served, called with whatever its own document allows and with whatever it does not, by a program nobody here wrote
//! (schemathesis): nothing breaks, and nothing is answered that the document does not say.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/serving.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod serving;

use serde_json::{Value, json};
use serving::{Daemon, touchline};
use std::path::Path;
use std::process::Command;

const SETTINGS: &str = "[serve]\nrequests_per_second = 100000\nburst = 100000\nsystem_requests_per_second = 100000\nsystem_burst = 100000\n\
failed_logins_per_minute = 100000\n[[routes]]\nname = \"sip-north\"\nchannel = \"call\"\nlimit = \"200/s\"\n[[routes]]\nname = \"sms-east\"\n\
channel = \"sms\"\nlimit = \"200/s\"\n[[routes]]\nname = \"rm-desk\"\nchannel = \"worklist\"\nlimit = \"500/s\"\n[receipts.sms-east]\nscheme = \"token\"\nsecret_env = \"SMS_EAST_SECRETS\"\nheader = \"x-receipts-token\"\n";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ROLES: [&str; 8] = ["author", "approver", "operator", "rm", "finance", "compliance", "admin", "system"];

const MAPPING: &str = "kind: customers\nformat: csv\ncolumns:\n  ref: no\n  phone: {column: tel, region: CN}\n  timezone: {value: Asia/Shanghai}\n  \
branch: branch\n  rm: rm\n  attr.balance: {column: balance, type: decimal}\n";

/// A campaign on the worklist and on the telephone, under way as soon as it is started.
fn campaign(name: &str, list: &str) -> String {
    format!(
        "campaign: {name}\ntitle: Term deposits\nopportunity: investment\nowner: desk\naudience: {{list: {list}}}\n\
         schedule: {{start: 2026-01-05T09:00, end: 2099-12-15T20:00, timezone: Asia/Shanghai}}\npolicy: [wide-open]\nlimits: {{rate: 100/s}}\njourney:\n  \
         - {{step: visit, channel: worklist, routes: [rm-desk], content: {{en: \"Please contact {{{{ reference }}}}.\"}}}}\n  \
         - {{step: call, after: visit, channel: call, routes: [sip-north]}}\n"
    )
}

/// The references that the document's examples name, and some more.
fn customers() -> String {
    let named = ["C00104", "C0001234", "c1", "C00042", "C00001"].map(str::to_owned);
    let rows: String = named
        .into_iter()
        .chain((1..=35).map(|n| format!("N{n}")))
        .enumerate()
        .map(|(n, reference)| format!("{reference},+86154{n:08},{},{},rm-{}\n", n * 250, ["north", "west"][n % 2], 7 + n % 2))
        .collect();
    format!("no,tel,balance,branch,rm\n{rows}")
}

/// Runs the program on the data folder; its document.
fn run(data: &Path, words: &[&str]) -> Value {
    let out = touchline(data).args(["--config", "touchline-test.toml", "--json"]).args(words).current_dir(data).output().unwrap();
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap_or(Value::Null)
}

fn token(data: &Path, name: &str, roles: &[&str], bound: &[&str]) -> String {
    let roles = roles.iter().flat_map(|r| ["--role", r]).collect::<Vec<_>>();
    run(data, &[&["token", "new", "--name", name][..], &roles, bound].concat())["secret"].as_str().unwrap().to_owned()
}

/// A data folder in which what the document's examples name is there, as far as it is made without a daemon; and the tokens.
fn furnish(data: &Path) -> [String; 4] {
    for (file, text) in [
        ("touchline-test.toml", SETTINGS.to_owned()),
        ("map.yaml", MAPPING.to_owned()),
        ("customers.csv", customers()),
        ("campaign.yaml", campaign("term-deposit-2026q4", "term-deposit-prospects")),
    ] {
        std::fs::write(data.join(file), text).unwrap();
    }
    run(data, &["migrate"]);
    for list in ["term-deposit-prospects", "prospects"] {
        run(data, &["import", "customers", "customers.csv", "--mapping", "map.yaml", "--name", list, "--again"]);
    }
    run(data, &["rehearse", "campaign.yaml", "--seed", "3"]);
    run(data, &["export", "results", "--campaign", "term-deposit-2026q4", "--rehearsal"]);
    for n in 1..=8 {
        token(data, &format!("spare-{n}"), &["rm"], &["--rm", "rm-7"]);
    }
    [
        token(data, "all", &ROLES, &[]),
        token(data, "ben", &["approver"], &[]),
        token(data, "north", &ROLES, &["--branch", "north"]),
        token(data, "rm-7", &["rm"], &["--rm", "rm-7"]),
    ]
}

/// What is made by the daemon itself: campaigns under way, tasks, intakes with rejects, a webhook, dead letters.
async fn work(daemon: &Daemon, all: &str, ben: &str) {
    let send = async |method: &str, path: &str, token: &str, content_type: &str, body: String| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = daemon.request(method, path, token).header("content-type", content_type).header("x-receipts-token", SECRET);
        let answer = request.body(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success() || status == 422, "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    let roster = json!({"rms": [{"reference": "rm-7", "branch": "north"}, {"reference": "rm-8", "branch": "west"}]});
    send("PUT", "/v1/rms", all, "application/json", roster.to_string()).await;
    send("PUT", "/v1/mappings/core-bank", all, "application/yaml", MAPPING.to_owned()).await;
    for n in 0..8 {
        let rows = format!("no,tel,balance,branch,rm\nX{n},+86155{n:08},1,north,rm-7\n,abc,x,,\n");
        send("POST", "/v1/customers?mapping=core-bank&wait=60", all, "text/csv", rows).await;
    }
    for (name, list) in [("spring", "prospects"), ("autumn", "prospects"), ("term-deposit-2026q4", "term-deposit-prospects")] {
        let made = send("POST", "/v1/campaigns", all, "application/yaml", campaign(name, list)).await;
        if name == "autumn" {
            continue;
        }
        let seal = json!({"seal": made["seal"]["seal"], "why": "read"});
        send("POST", &format!("/v1/campaigns/{name}/approve"), ben, "application/json", seal.to_string()).await;
        send("POST", &format!("/v1/campaigns/{name}/start"), all, "application/json", json!({"why": "as agreed"}).to_string()).await;
    }
    send("POST", "/v1/campaigns?draft=true", all, "application/yaml", campaign("winter", "prospects")).await;
    let webhook = json!({"url": "https://crm.bank.example/touchline", "types": ["*"]});
    send("POST", "/v1/webhooks", all, "application/json", webhook.to_string()).await;
    // Nobody knows these references: dead letters.
    let receipts = (0..8).map(|n| json!({"provider_ref": format!("p-{n}"), "at": "2026-11-24T09:00:05Z"})).collect::<Vec<_>>();
    send("POST", "/v1/receipts/sms-east", all, "application/json", json!(receipts).to_string()).await;
}

/// Operations that nothing succeeded with, by what the daemon has counted.
async fn never_reached(daemon: &Daemon) -> Vec<&'static str> {
    let counted = daemon.http.get(format!("{}/metrics", daemon.url)).send().await.unwrap().text().await.unwrap();
    let succeeded = |id: &str| counted.contains(&format!("touchline_http_requests_total{{operation=\"{id}\",status=\"2"));
    touchline::api::operations().iter().map(|o| o.id).filter(|id| !succeeded(id)).collect()
}

/// Calls every operation but `revokeToken` (or only what `more` names), and fails with the report.
fn fuzz(daemon: &Daemon, who: &str, token: &str, seconds: u32, more: &[&str]) {
    let seed = std::env::var("API_FUZZ_SEED").unwrap_or_else(|_| "20261124".to_owned());
    let scratch = tempfile::tempdir().unwrap();
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,negative_data_rejection,\
                  unsupported_method,allow_header_conformance";
    let support = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support");
    let mut command = Command::new("schemathesis");
    command.args(["run", &format!("{}/openapi.json", daemon.url), "--no-color", "--phases", "examples,coverage,fuzzing", "--warnings", "off"]);
    command.args(["--checks", checks, "--seed", &seed, "--max-time", &seconds.to_string(), "--request-timeout", "60"]);
    command.args(["-H", &format!("Authorization: Bearer {token}"), "-H", &format!("x-receipts-token: {SECRET}")]).args(more);
    command.current_dir(scratch.path()).env("PYTHONPATH", support).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("SCHEMATHESIS_HOOKS", "schemathesis_hooks");
    let out = command.output().unwrap_or_else(|e| panic!("schemathesis cannot be run ({e}): `.ci/setup` installs it"));
    let report = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{who}, seed {seed}: {report}\n{}\n{}", String::from_utf8_lossy(&out.stderr), daemon.logged().join("\n"));
    let cases = report.lines().skip_while(|l| !l.starts_with("Test cases:")).nth(1).unwrap_or_default().trim().to_owned();
    println!("{who}, seed {seed}, {seconds} s: {cases}");
    let generated: u32 = cases.split([' ', ',']).next().unwrap().parse().unwrap_or(0);
    assert!(generated > 10, "it hardly ran: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_breaks_and_nothing_undocumented_is_answered() {
    let data = tempfile::tempdir().unwrap();
    let [all, ben, north, rm] = furnish(data.path());
    let daemon = Daemon::start_with(data.path(), SETTINGS, &[("SMS_EAST_SECRETS", SECRET)]);
    work(&daemon, &all, &ben).await;
    // Whoever revokes tokens at random would soon be nobody: that comes last.
    let but = ["--exclude-operation-id", "revokeToken"];
    fuzz(&daemon, "all roles", &all, 60, &but);
    fuzz(&daemon, "all roles of a branch", &north, 20, &but);
    fuzz(&daemon, "a relationship manager", &rm, 15, &but);
    for (who, token) in [("all roles", &all), ("branch", &north), ("rm", &rm)] {
        let me = daemon.request(reqwest::Method::GET, "/v1/me", token).send().await.unwrap();
        assert_eq!(me.status(), 200, "{who}: the token was good to the end, so that its calls were more than refusals");
    }
    let books = daemon.request(reqwest::Method::GET, "/v1/audit/verify", &all).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(books["is_whole"], true, "{books}");
    fuzz(&daemon, "who revokes tokens", &all, 10, &["--include-operation-id", "revokeToken"]);
    let missed = never_reached(&daemon).await;
    println!("never answered with success: {missed:?}");
    assert!(missed.len() < 10, "refusals alone show little: {missed:?}");
    let (ended, _) = daemon.terminate();
    assert!(ended.success(), "{ended}");
}
