//! Data over HTTP: files in (streamed, cut off, repeated, resumed, refused), exports out (whole, in parts, and no other file), questions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/daemon.rs"]
mod daemon;

use daemon::Daemon;
use reqwest::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::Path;
use touchline::app::intakes::Wanted;
use touchline::domain::ids::CustomerId;
use touchline::intake::Kind;
use touchline::store::Needs;

const MAP: &str = "kind: customers\nformat: csv\ncolumns:\n  ref: no\n  phone: {column: tel, region: CN}\n  branch: branch\n  rm: rm\n";
const CUSTOMERS: &str =
    "no,tel,branch,rm\nc1,+8615400000001,north,li\nc2,+8615400000002,south,wu\n=1+1,+8615400000003,north,wu\n'c4,nonsense,north,li\n";
const CAMPAIGN: &str = "campaign: spring\ntitle: Spring\nopportunity: service\nowner: desk\naudience: {list: prospects}\n\
schedule: {start: 2026-11-24T09:00, end: 2099-12-15T20:00, timezone: Asia/Shanghai}\npolicy: [wide-open]\n\
journey:\n  - {step: call, channel: call, routes: [sip-north]}\n";

async fn ask(daemon: &Daemon, token: &str, method: Method, path: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
    let kind = if path.contains("mappings") || path.ends_with("plan") || path.ends_with("validate") { "application/yaml" } else { "text/csv" };
    let kind = if path.starts_with("/v1/exports") || path.ends_with("resolve") { "application/json" } else { kind };
    let request = reqwest::Client::new().request(method, format!("{}{path}", daemon.url)).bearer_auth(token).header("content-type", kind);
    let answer = request.body(body).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn get(daemon: &Daemon, token: &str, path: &str) -> (StatusCode, Value) {
    ask(daemon, token, Method::GET, path, "").await
}

async fn post(daemon: &Daemon, token: &str, path: &str, body: impl Into<reqwest::Body>) -> (StatusCode, Value) {
    ask(daemon, token, Method::POST, path, body).await
}

/// With the mapping `core` kept.
async fn open(memory: bool) -> Daemon {
    let daemon = Daemon::open(memory, |_| ()).await;
    let (status, kept) = ask(&daemon, "ann:operator", Method::PUT, "/v1/mappings/core", MAP).await;
    assert_eq!((status, &kept["kind"]), (StatusCode::OK, &json!("customers")), "{kept}");
    daemon
}

fn sums(intake: &Value) -> Vec<i64> {
    ["rows_read", "accepted", "filtered", "rejected", "duplicates"].iter().map(|name| intake["sums"][name].as_i64().unwrap()).collect()
}

/// Nothing of a file that came is left in the data folder.
fn no_body_is_left(daemon: &Daemon) {
    let known = ["intake.json", "mapping.yaml"];
    for intake in std::fs::read_dir(daemon.data("intakes")).unwrap().map(|e| e.unwrap().path()).filter(|p| !p.ends_with("rejects")) {
        for file in std::fs::read_dir(intake).unwrap().map(|e| e.unwrap()) {
            assert!(known.contains(&file.file_name().to_str().unwrap()), "{:?}", file.path());
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_taken_in_once_and_its_rejects_can_be_fetched(#[values(true, false)] memory: bool) {
    let daemon = open(memory).await;
    let path = "/v1/customers?mapping=core&list=prospects&wait=30";
    let (status, intake) = post(&daemon, "core-bank:system", path, CUSTOMERS).await;
    assert_eq!((status, &intake["state"], &intake["by"]), (StatusCode::OK, &json!("done"), &json!("core-bank")), "{intake}");
    assert_eq!(sums(&intake), [4, 3, 0, 1, 0]);
    assert_eq!((&intake["report"]["list"]["name"], &intake["report"]["list"]["count"]), (&json!("prospects"), &json!(3)));
    assert_eq!(intake["report"]["rejects"], "/v1/intakes/1/rejects");
    no_body_is_left(&daemon);
    let (status, rejects) = get(&daemon, "ann:operator", "/v1/intakes/1/rejects").await;
    let rejects = rejects.as_str().unwrap().to_owned();
    assert_eq!(status, StatusCode::OK);
    assert!(rejects.starts_with("row,line,column,reason,as_written\n4,5,tel,") && rejects.contains("nonsense"), "{rejects}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let file = std::fs::read_dir(daemon.data("intakes/rejects")).unwrap().next().unwrap().unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(daemon.data("intakes/1/intake.json")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(daemon.data("intakes")).unwrap().permissions().mode() & 0o777, 0o700);
    }

    // The same file again: another intake, which says that nothing was done, with the sums and rejects of then.
    let (status, again) = post(&daemon, "ann:operator", path, CUSTOMERS).await;
    assert_eq!((status, &again["number"], &again["report"]["already"]), (StatusCode::OK, &json!(2), &json!(true)), "{again}");
    assert_eq!(sums(&again), [4, 3, 0, 1, 0]);
    assert_eq!(get(&daemon, "ann:operator", "/v1/intakes/2/rejects").await.1, rejects);
    assert_eq!(daemon.app.store.customer_count().await.unwrap(), 3);
    let (_, page) = get(&daemon, "ann:operator", "/v1/intakes?after=1&limit=5").await;
    assert_eq!(page.as_array().unwrap().iter().map(|i| i["number"].as_i64().unwrap()).collect::<Vec<_>>(), [2]);

    // Another file for the frozen list is refused, and says why.
    let (status, problem) = post(&daemon, "ann:operator", path, "no,tel,branch,rm\nc9,+8615400000009,,\n").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("frozen"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn suppressions_consents_and_lists_come_by_their_own_paths() {
    let daemon = open(true).await;
    assert_eq!(post(&daemon, "ann:operator", "/v1/customers?mapping=core", CUSTOMERS).await.0, StatusCode::OK);
    let map = "kind: suppressions\nformat: jsonl\ncolumns:\n  customer: ref\n  why: why\n";
    assert_eq!(ask(&daemon, "kim:operator", Method::PUT, "/v1/mappings/stop", map).await.0, StatusCode::OK);
    let (status, intake) = post(&daemon, "kim:compliance", "/v1/suppressions?mapping=stop&wait=30", "{\"ref\":\"c1\",\"why\":\"deceased\"}\n").await;
    assert_eq!((status, sums(&intake)), (StatusCode::OK, vec![1, 1, 0, 0, 0]), "{intake}");
    let (status, told) = get(&daemon, "kim:compliance", "/v1/explain?customer=c1").await;
    assert_eq!((status, &told["suppressions"][0]["why"]), (StatusCode::OK, &json!("deceased")), "{told}");
    let map = "kind: list\nformat: csv\ncolumns: {ref: no}\n";
    assert_eq!(ask(&daemon, "kim:operator", Method::PUT, "/v1/mappings/members", map).await.0, StatusCode::OK);
    let (status, intake) = post(&daemon, "ann:operator", "/v1/lists/some?mapping=members&wait=30", "no\nc1\nc2\nc2\nc7\n").await;
    assert_eq!((status, sums(&intake)), (StatusCode::OK, vec![4, 2, 0, 1, 1]), "{intake}");
    let (_, kept) = get(&daemon, "kim:compliance", "/v1/mappings").await;
    assert_eq!(kept.as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect::<Vec<_>>(), ["core", "members", "stop"]);
    assert_eq!(get(&daemon, "kim:compliance", "/v1/mappings/members").await.1, map);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_intake_is_refused_and_leaves_nothing() {
    let daemon = open(true).await;
    let refused = |token: &'static str, path: &'static str, expected: u16, part: &'static str| {
        let daemon = &daemon;
        async move {
            let (status, problem) = post(daemon, token, path, CUSTOMERS).await;
            assert_eq!(status.as_u16(), expected, "{path}: {problem}");
            assert!(problem.to_string().contains(part), "{path}: {problem}");
        }
    };
    refused("ann:operator", "/v1/customers?mapping=nope", 404, "PUT /v1/mappings/NAME").await;
    refused("ann:operator", "/v1/customers?mapping=..%2F..%2Fetc", 404, "no mapping").await;
    refused("ann:operator", "/v1/customers", 400, "mapping").await;
    refused("ann:operator", "/v1/customers?mapping=core&wait=100", 400, "60").await;
    refused("ann:operator", "/v1/lists/a%20b?mapping=core", 422, "list name").await;
    refused("ann:operator", "/v1/lists/..%2Fx?mapping=core", 422, "list name").await;
    refused("ann:operator", "/v1/facts?mapping=core", 422, "fills customers, not facts").await;
    refused("bo:finance", "/v1/customers?mapping=core", 403, "importCustomers needs one of the roles operator, system").await;
    refused("ann:operator:north", "/v1/customers?mapping=core", 403, "bound").await;
    assert!(!daemon.data("intakes").exists(), "nothing was received");
    let (status, problem) = ask(&daemon, "ann:operator", Method::PUT, "/v1/mappings/bad", "kind: customers\ncolumns: {ref: no, fone: tel}\n").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(problem["faults"].as_array().unwrap().iter().any(|f| f["line"] == 2 && f["column"].as_i64().unwrap() > 1), "{problem}");
    assert_eq!(get(&daemon, "ann:operator", "/v1/mappings/bad").await.0, StatusCode::NOT_FOUND);
    assert_eq!(ask(&daemon, "ann:operator", Method::PUT, "/v1/mappings/.hidden", MAP).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    // A file that the mapping does not fit: the fault speaks of the body, not of a place on our disk.
    let (status, problem) = post(&daemon, "ann:operator", "/v1/customers?mapping=core&wait=30", "a,b\n1,2\n").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(!problem.to_string().contains(daemon.folder.path().to_str().unwrap()), "{problem}");
    assert_eq!(get(&daemon, "ann:operator", "/v1/intakes/1").await.1["state"], "failed");
    assert_eq!(get(&daemon, "ann:operator", "/v1/intakes/9").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&daemon, "ann:operator", "/v1/intakes/1/rejects").await.0, StatusCode::NOT_FOUND);
    no_body_is_left(&daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_long_is_refused_whether_it_says_so_or_not() {
    let daemon = Daemon::open(true, |config| config.serve.max_upload_bytes = 64).await;
    assert_eq!(ask(&daemon, "ann:operator", Method::PUT, "/v1/mappings/core", MAP).await.0, StatusCode::OK);
    let (status, problem) = post(&daemon, "ann:operator", "/v1/customers?mapping=core", CUSTOMERS).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{problem}");
    let pieces = futures_util::stream::iter(CUSTOMERS.as_bytes().chunks(16).map(|c| Ok::<_, std::io::Error>(c.to_vec())));
    let (status, problem) = post(&daemon, "ann:operator", "/v1/customers?mapping=core", reqwest::Body::wrap_stream(pieces)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{problem}");
    no_body_is_left(&daemon);
    assert_eq!(daemon.app.store.customer_count().await.unwrap(), 0);
}

/// Says that a long body comes, sends a part of it, and hangs up.
fn cut_off(daemon: &Daemon, path: &str, part: &[u8]) {
    let mut stream = std::net::TcpStream::connect(daemon.url.trim_start_matches("http://")).unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ann:operator\r\ncontent-type: text/csv\r\ncontent-length: 1000000\r\n\r\n");
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(part)).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // What is answered, if anything, is a refusal.
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_takes_nothing_and_the_whole_file_afterwards_everything() {
    let daemon = open(false).await;
    let path = "/v1/customers?mapping=core&list=prospects&wait=30";
    cut_off(&daemon, path, &CUSTOMERS.as_bytes()[..40]);
    let mut state = Value::Null;
    for _ in 0..100 {
        state = get(&daemon, "ann:operator", "/v1/intakes/1").await.1["state"].clone();
        if state == "cut_off" {
            break;
        }
        touchline::clock::sleep_ms(50).await;
    }
    assert_eq!(state, "cut_off");
    no_body_is_left(&daemon);
    assert_eq!(daemon.app.store.customer_count().await.unwrap(), 0);
    let (status, intake) = post(&daemon, "ann:operator", path, CUSTOMERS).await;
    assert_eq!((status, sums(&intake), &intake["report"]["already"]), (StatusCode::OK, vec![4, 3, 0, 1, 0], &json!(false)), "{intake}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_was_killed_goes_on_with_what_it_had_in_full_and_says_what_was_cut_off() {
    let daemon = open(false).await;
    let intakes = daemon.app.intakes(None);
    let wanted = Wanted { kind: Kind::Customers, list: None, mapping: "core".into(), text: MAP.into(), by: "ann".into(), again: false };
    let mut whole = intakes.receive(&wanted, None, 1_000).unwrap();
    whole.write(CUSTOMERS.as_bytes()).unwrap();
    let whole = whole.end().unwrap();
    let mut part = intakes.receive(&wanted, None, 1_000).unwrap();
    part.write(b"no,tel").unwrap();
    // A kill runs no destructors.
    std::mem::forget(part);
    intakes.go_on().unwrap();
    let ended = intakes.wait(whole.number, 30).await.unwrap().unwrap();
    assert_eq!((ended.sums.rows_read, ended.sums.accepted, ended.sums.rejected), (4, 3, 1));
    let (_, cut) = get(&daemon, "ann:operator", &format!("/v1/intakes/{}", whole.number + 1)).await;
    assert_eq!(cut["state"], "cut_off");
    no_body_is_left(&daemon);
}

/// The real list, if it is beside the repository (CI has it).
fn real() -> Option<(Vec<u8>, Value)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let Ok(file) = std::fs::read(data.join("uci-bank/bank-full.csv.gz")) else {
        println!("skipped: ../shared/data/uci-bank/bank-full.csv.gz is not beside the repository");
        return None;
    };
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(data.join("expected.json")).unwrap()).unwrap();
    Some((file, expected["uci_bank_full"].clone()))
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn the_real_list_comes_in_with_the_figures_that_are_known_of_it(#[values(true, false)] memory: bool) {
    let Some((file, expected)) = real() else { return };
    let daemon = Daemon::open(memory, |_| ()).await;
    for name in ["customers", "facts"] {
        let map = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("campaigns/examples/uci-bank/{name}.map.yaml"));
        let map = std::fs::read_to_string(map).unwrap();
        let (status, kept) = ask(&daemon, "ann:operator", Method::PUT, &format!("/v1/mappings/uci-{name}"), map).await;
        assert_eq!(status, StatusCode::OK, "{kept}");
    }
    let follow = async |path: &str| {
        let (mut status, mut intake) = post(&daemon, "core:system", path, file.clone()).await;
        while status == StatusCode::ACCEPTED || intake["state"] == "running" {
            // At every moment every row read is in one sum.
            let s = sums(&intake);
            assert_eq!(s[0], s[1..].iter().sum::<i64>());
            (status, intake) = get(&daemon, "core:system", &format!("/v1/intakes/{}?wait=30", intake["number"])).await;
        }
        assert_eq!(intake["state"], "done", "{intake}");
        intake
    };
    let (rows, yes) = (expected["rows"].as_i64().unwrap(), expected["yes"].as_i64().unwrap());
    let customers = follow("/v1/customers?mapping=uci-customers&list=uci-bank&wait=0").await;
    assert_eq!(sums(&customers), [rows, rows, 0, 0, 0]);
    assert_eq!(customers["report"]["list"]["count"], expected["rows"]);
    let facts = follow("/v1/facts?mapping=uci-facts&wait=0").await;
    assert_eq!(sums(&facts), [rows, yes, rows - yes, 0, 0]);
    let list = daemon.app.store.list("uci-bank").await.unwrap();
    let page = daemon.app.store.page(list.id, CustomerId(0), usize::MAX >> 1, Needs { attributes: true, ..Needs::default() }).await.unwrap();
    let sum = |name: &str| -> f64 {
        let of = |m: &touchline::store::Member| serde_json::from_str::<Value>(m.attributes.as_deref().unwrap()).unwrap()[name].clone();
        page.members.iter().map(|m| of(m).as_f64().unwrap()).sum()
    };
    for (name, figure) in [("balance", "sum_balance"), ("campaign", "sum_campaign"), ("duration", "sum_duration")] {
        assert_eq!(json!(sum(name)), json!(expected[figure].as_f64().unwrap()), "{name}");
    }
    assert_eq!(follow("/v1/facts?mapping=uci-facts&wait=0").await["report"]["already"], true);
}

/// With a campaign rehearsed over the customers.
async fn rehearsed(memory: bool) -> Daemon {
    let daemon = open(memory).await;
    let (status, intake) = post(&daemon, "ann:operator", "/v1/customers?mapping=core&list=prospects&wait=30", CUSTOMERS).await;
    assert_eq!(status, StatusCode::OK, "{intake}");
    let campaign = daemon.app.campaign_text("spring.yaml", CAMPAIGN).await.unwrap();
    daemon.app.rehearse(&campaign, 1, |_| ()).await.unwrap();
    daemon
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_made_fetched_in_parts_and_verified(#[values(true, false)] memory: bool) {
    let daemon = rehearsed(memory).await;
    let token = "fay:finance";
    let (status, made) = post(&daemon, token, "/v1/exports", r#"{"campaign":"spring","what":"results","format":"csv"}"#).await;
    assert_eq!((status, &made["folder"], &made["manifest"]["rows"]), (StatusCode::CREATED, &json!("/v1/exports/1"), &json!(3)), "{made}");
    let sha256 = made["manifest"]["files"][0]["sha256"].as_str().unwrap();
    let file = |range: &'static str, etag: Option<String>| {
        let mut request = reqwest::Client::new().get(format!("{}/v1/exports/1/results.csv", daemon.url)).bearer_auth(token);
        request = if range.is_empty() { request } else { request.header("range", range) };
        request = if let Some(etag) = etag { request.header("if-range", etag) } else { request };
        async move {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            (status, headers, answer.bytes().await.unwrap())
        }
    };
    let (status, headers, whole) = file("", None).await;
    assert_eq!((status, headers["etag"].to_str().unwrap()), (200, format!("\"{sha256}\"").as_str()));
    assert_eq!(headers["content-length"], whole.len().to_string().as_str());
    assert_eq!(touchline::finance::manifest::sha256(&whole), sha256);
    let (status, headers, rest) = file("bytes=10-", Some(format!("\"{sha256}\""))).await;
    assert_eq!((status, &rest[..]), (206, &whole[10..]));
    assert_eq!(headers["content-range"], format!("bytes 10-{}/{}", whole.len() - 1, whole.len()).as_str());
    assert_eq!(file("bytes=0-4", None).await.2, whole[..5]);
    // Of another content nothing may be gone on with: the whole comes.
    assert_eq!(file("bytes=10-", Some("\"other\"".into())).await.0, 200);
    assert_eq!(file("bytes=9999999-", None).await.0, 416);

    // What a spreadsheet would run is text, and is read back as it was.
    let text = String::from_utf8(whole.to_vec()).unwrap();
    assert!(text.contains(",\"'=1+1\",") && text.contains(",\"c1\","), "{text}");
    let (status, verified) = post(&daemon, "kim:compliance", "/v1/exports/1/verify", "").await;
    assert_eq!((status, &verified["fault_count"], &verified["moved_on_count"]), (StatusCode::OK, &json!(0), &json!(0)), "{verified}");
    let (status, corrected) = post(&daemon, token, "/v1/exports/1/correct", "").await;
    assert_eq!((status, &corrected["export"]), (StatusCode::OK, &Value::Null), "{corrected}");
    let (_, book) = get(&daemon, token, "/v1/exports?campaign=spring").await;
    assert_eq!((book.as_array().unwrap().len(), &book[0]["number"], &book[0]["rehearsal"]), (1, &json!(1), &json!(true)), "{book}");
    assert_eq!(get(&daemon, token, "/v1/exports?campaign=other").await.1, json!([]));
    let (_, manifest) = get(&daemon, token, "/v1/exports/1").await;
    assert_eq!(manifest, made["manifest"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_file_can_be_fetched_and_nobody_else_may() {
    let daemon = rehearsed(false).await;
    let token = "fay:finance";
    assert_eq!(post(&daemon, token, "/v1/exports", r#"{"campaign":"spring","what":"touches"}"#).await.0, StatusCode::CREATED);
    let names = [
        "..",
        "%2e%2e",
        "..%2f..%2fstore.sqlite",
        "..%2F.lock",
        "%2fetc%2fpasswd",
        "touches.csv%00",
        "touches.csv%2f",
        ".%2ftouches.csv",
        "..%5c.lock",
        "results.csv",
    ];
    for name in names {
        // As it stands, without the tidying of a client.
        let mut stream = std::net::TcpStream::connect(daemon.url.trim_start_matches("http://")).unwrap();
        write!(stream, "GET /v1/exports/1/{name} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
    }
    for (token, status) in [("rob:rm", 403), ("fay:finance:north", 403), ("fay:finance::li", 403), ("nobody", 401)] {
        for path in ["/v1/exports/1/touches.csv", "/v1/exports/1", "/v1/exports"] {
            assert_eq!(get(&daemon, token, path).await.0.as_u16(), status, "{token} {path}");
        }
    }
    assert_eq!(get(&daemon, token, "/v1/exports/2").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&daemon, token, "/v1/exports/two").await.0, StatusCode::NOT_FOUND);
    assert_eq!(post(&daemon, token, "/v1/exports", r#"{"campaign":"nope","what":"touches"}"#).await.0, StatusCode::NOT_FOUND);
    assert_eq!(post(&daemon, token, "/v1/exports", r#"{"campaign":"spring","what":"secrets"}"#).await.0, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_is_told_of_own_customers_alone() {
    let daemon = rehearsed(true).await;
    let own = get(&daemon, "li:rm:north:li", "/v1/explain?customer=c1&campaign=spring").await;
    assert_eq!((own.0, &own.1["campaigns"][0]["campaign"]), (StatusCode::OK, &json!("spring")), "{}", own.1);
    assert!(!own.1.to_string().contains("15400000001"));
    let foreign = get(&daemon, "li:rm:north:li", "/v1/explain?customer=c2").await;
    let mut nobody = get(&daemon, "li:rm:north:li", "/v1/explain?customer=c7").await;
    assert_eq!((foreign.0, nobody.0), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    // A foreign customer cannot be told from one that does not exist.
    nobody.1["detail"] = nobody.1["detail"].as_str().unwrap().replace("c7", "c2").into();
    assert_eq!(foreign.1, nobody.1);
    assert_eq!(get(&daemon, "kim:compliance", "/v1/explain?customer=c2").await.0, StatusCode::OK);
    assert_eq!(get(&daemon, "kim:finance", "/v1/explain?customer=c2").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn campaign_files_are_judged_and_forecast() {
    let daemon = rehearsed(true).await;
    let (status, verdict) = post(&daemon, "ann:author", "/v1/validate", CAMPAIGN).await;
    assert_eq!((status, &verdict["valid"], &verdict["campaign"]), (StatusCode::OK, &json!(true), &json!("spring")), "{verdict}");
    let bad = CAMPAIGN.replace("sip-north", "sip-nort").replace("opportunity: service", "opportunity: luck");
    let (status, verdict) = post(&daemon, "ann:author", "/v1/validate", bad.clone()).await;
    assert_eq!((status, &verdict["valid"], verdict["faults"].as_array().unwrap().len()), (StatusCode::OK, &json!(false), 2), "{verdict}");
    assert_eq!((&verdict["faults"][0]["line"], &verdict["faults"][0]["column"]), (&json!(3), &json!(14)), "{verdict}");
    let (status, problem) = post(&daemon, "ann:author", "/v1/plan", bad).await;
    assert_eq!((status, problem["faults"].as_array().unwrap().len()), (StatusCode::UNPROCESSABLE_ENTITY, 2), "{problem}");
    let (status, plan) = post(&daemon, "ann:author", "/v1/plan", CAMPAIGN).await;
    assert_eq!((status, &plan["audience"]), (StatusCode::OK, &json!(3)), "{plan}");
    assert_eq!(post(&daemon, "ann:author", "/v1/plan", vec![0xff, 0xfe]).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_answer_must_be_one() {
    let daemon = rehearsed(true).await;
    let path = "/v1/campaigns/spring/resolve";
    for (body, part) in [
        (r#"{"as":"nonsense","why":"x"}"#, "expected reached"),
        (r#"{"as":"reached","why":"  "}"#, "reason"),
        (r#"{"as":"reached","why":"x","touches":["1"]}"#, "campaign-customer-seq"),
        (r#"{"as":"reached"}"#, "why"),
    ] {
        let (status, problem) = post(&daemon, "ann:operator", path, body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{body}: {problem}");
    }
    // Only a rehearsal is there: nobody was contacted, nothing real is in doubt.
    assert_eq!(post(&daemon, "ann:operator", path, r#"{"as":"reached","why":"x"}"#).await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&daemon, "ann:operator", "/v1/campaigns/nope/uncertain").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get(&daemon, "bo:rm", "/v1/campaigns/nope/uncertain").await.0, StatusCode::FORBIDDEN);
}

/// A daemon whose one route never says what became of a call, with a campaign on it; gives the touches in doubt once there are so many.
async fn in_doubt(memory: bool, limits: &str, many: usize) -> (Daemon, Vec<String>) {
    let route = json!({
        "name": "sip-north", "channel": "call", "kind": "simulator", "limit": "100/s", "profile": "instant",
        "faults": {"timeout_after_acceptance": {"share": "100%", "wait": {"fixed": "100ms"}, "receipt": "0%"}},
    });
    let daemon = Daemon::with_engine(memory, |config| config.routes = vec![serde_json::from_value(route).unwrap()]).await;
    assert_eq!(ask(&daemon, "ann:operator", Method::PUT, "/v1/mappings/core", MAP).await.0, StatusCode::OK);
    let (status, _) = post(&daemon, "ann:operator", "/v1/customers?mapping=core&list=prospects&wait=30", CUSTOMERS).await;
    assert_eq!(status, StatusCode::OK);
    let text = CAMPAIGN.replace("2026-11-24T09:00", "2020-01-01T00:00").replace("policy: [wide-open]", &format!("policy: [wide-open]\n{limits}"));
    let text = text.replace("routes: [sip-north]", "routes: [sip-north], attempts: 2, retry: {no_answer: 1d}");
    let campaign = daemon.app.campaign_text("spring.yaml", &text).await.unwrap_or_else(|f| panic!("{}", f.text));
    daemon.app.enter(&[campaign], "ann").await.unwrap();
    let request = reqwest::Client::new().post(format!("{}/v1/campaigns/spring/start", daemon.url)).bearer_auth("ann:operator");
    let started = request.json(&json!({"why": "go"})).send().await.unwrap();
    assert_eq!(started.status(), StatusCode::OK, "{}", started.text().await.unwrap());
    daemon.engine.as_ref().unwrap().nudge();
    for _ in 0..600 {
        let doubt = get(&daemon, "ann:operator", "/v1/campaigns/spring/uncertain").await.1;
        if doubt.as_array().is_some_and(|all| all.len() == many) {
            let key = |t: &Value| format!("{}-{}-0", t["key"]["campaign"], t["key"]["customer"]);
            let keys = doubt.as_array().unwrap().iter().map(key).collect();
            return (daemon, keys);
        }
        touchline::clock::sleep_ms(50).await;
    }
    panic!("{many} touches were not in doubt within half a minute");
}

/// The engine counts as the ledger does, and the ledger as its rows.
async fn counts_close(daemon: &Daemon) {
    let store = daemon.app.store.as_ref();
    let row = store.campaign("spring", Some(false)).await.unwrap();
    assert_eq!(store.tallies(row.id).await.unwrap(), store.recount(row.id).await.unwrap());
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_found_out_goes_through_the_engine_that_runs(#[values(true, false)] memory: bool) {
    // One call an hour: the run is under way, and a retry is scheduled in it.
    let (daemon, keys) = in_doubt(memory, "limits: {rate: 1/h}", 1).await;
    let one = json!({"as": "no_answer", "touches": [keys[0], "999-1-0"], "why": "the switch's log"}).to_string();
    let (status, done) = post(&daemon, "kim:compliance", "/v1/campaigns/spring/resolve", one.clone()).await;
    assert_eq!((status, done), (StatusCode::OK, json!({"settled": 1, "continued": 1, "skipped": ["999-1-0"]})));
    // Once more changes nothing: it is not in doubt any more.
    assert_eq!(post(&daemon, "kim:compliance", "/v1/campaigns/spring/resolve", one).await.1["settled"], 0);
    let (_, report) = get(&daemon, "ann:operator", "/v1/campaigns/spring/report").await;
    // The next one waits for its hour, started and not sent.
    let waiting = report["counts"]["pending"].as_i64().unwrap() + report["counts"]["started"].as_i64().unwrap();
    assert_eq!((&report["counts"]["scheduled"], waiting, &report["status"]), (&json!(1), 2, &json!("running")), "{report}");
    counts_close(&daemon).await;
    let (_, events) = get(&daemon, "ann:operator", "/v1/campaigns/spring/events").await;
    let entry = "resolved 1 uncertain touches as missed (no_answer): the switch's log";
    assert!(events["items"].as_array().unwrap().iter().any(|e| e["by"] == "kim" && e["why"].as_str().unwrap().contains(entry)), "{events}");
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_over_is_settled_too_and_begins_nothing_more() {
    let (daemon, keys) = in_doubt(false, "", 3).await;
    let one = json!({"as": "no_answer", "touches": [keys[0]], "why": "the switch's log"}).to_string();
    assert_eq!(post(&daemon, "kim:compliance", "/v1/campaigns/spring/resolve", one).await.1["settled"], 1);
    let (_, done) =
        post(&daemon, "ann:operator", "/v1/campaigns/spring/resolve", r#"{"as":"reached","connected_seconds":40,"why":"heard the tape"}"#).await;
    assert_eq!((&done["settled"], &done["skipped"]), (&json!(2), &json!([])), "{done}");
    let (_, report) = get(&daemon, "ann:operator", "/v1/campaigns/spring/report").await;
    assert_eq!(
        (&report["counts"]["reached"], &report["counts"]["cancelled"], &report["counts"]["uncertain"]),
        (&json!(2), &json!(1), &json!(0)),
        "{report}"
    );
    counts_close(&daemon).await;
    let (_, told) = get(&daemon, "kim:compliance", "/v1/explain?customer=c1").await;
    let receipts = told["campaigns"][0]["touches"][0]["receipts"].to_string();
    assert!(receipts.contains("resolved as missed (no_answer) by kim: the switch's log"), "{receipts}");
    daemon.end().await;
}
