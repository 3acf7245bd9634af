//! The document and the server are the same: every operation of one is an operation of the other, is described, and has examples that
//! keep its own schemas. That it is OpenAPI 3.1 and that the examples are true is judged by programs nobody here wrote.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/house.rs"]
mod house;

use house::{Served, serve};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

async fn document(house: &Served) -> Value {
    house.http.get(format!("{}/openapi.json", house.url)).send().await.unwrap().json().await.unwrap()
}

/// What the checker has to say, and whether it found nothing wrong.
fn judged(document: &Value) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/check_openapi.py");
    let mut child = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Dropped at the end of the statement: the checker reads to the end.
    child.stdin.take().unwrap().write_all(document.to_string().as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let (told, errors) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(!told.is_empty(), "the checker did not run; `.ci/setup` installs openapi-spec-validator: {errors}");
    (out.status.success(), told)
}

#[tokio::test]
async fn it_is_openapi_and_every_example_keeps_its_schema() {
    let house = serve(|_| ()).await;
    let mut document = document(&house).await;
    let (fine, told) = judged(&document);
    assert!(fine, "{told}");
    println!("{told}");
    // The checker finds what is wrong: an example, a schema, an id.
    document["paths"]["/v1/me"]["get"]["responses"]["200"]["content"]["application/json"]["example"]["name"] = 1.into();
    document["paths"]["/v1/tokens"]["get"]["operationId"] = "readMe".into();
    document["paths"]["/v1/worklist"]["get"]["parameters"][0]["in"] = "nowhere".into();
    document["paths"]["/v1/rms"]["put"]["requestBody"]["content"]["application/json"].as_object_mut().unwrap().remove("example");
    let (fine, told) = judged(&document);
    assert!(!fine);
    for fault in
        ["readMe 200 application/json: name:", "readMe: its id is taken", "not OpenAPI 3.1", "putRms: its body as application/json has no example"]
    {
        assert!(told.contains(fault), "{fault}: {told}");
    }
}

#[tokio::test]
async fn every_operation_is_answered_by_the_server_and_no_other_method_is() {
    let house = serve(|c| c.serve.failed_logins_per_minute = 100_000).await;
    let document = document(&house).await;
    let paths = document["paths"].as_object().unwrap();
    let table: BTreeSet<(String, String)> =
        touchline::api::operations().iter().map(|o| (o.path.to_owned(), o.method.as_str().to_ascii_lowercase())).collect();
    let mut said = BTreeSet::new();
    for (path, operations) in paths {
        let methods: BTreeMap<String, &Value> = operations.as_object().unwrap().iter().map(|(m, o)| (m.to_ascii_uppercase(), o)).collect();
        let url = format!("{}{}", house.url, path.replace(['{', '}'], ""));
        for (method, operation) in &methods {
            said.insert((path.clone(), method.to_ascii_lowercase()));
            let answer = house.http.request(reqwest::Method::from_bytes(method.as_bytes()).unwrap(), &url).send().await.unwrap();
            let status = answer.status().as_u16();
            assert!(!operation["responses"][status.to_string()].is_null(), "{method} {path}: {status} is not in the document");
            let expected =
                if operation["security"] == serde_json::json!([{"token": []}]) { status == 401 } else { ![401, 403, 405].contains(&status) };
            assert!(expected || operation["operationId"] == "postReceipts", "{method} {path}: {status}");
        }
        for other in ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE"].into_iter().filter(|m| !methods.contains_key(*m)) {
            let answer = house.http.request(reqwest::Method::from_bytes(other.as_bytes()).unwrap(), &url).send().await.unwrap();
            assert_eq!(answer.status(), 405, "{other} {path} is answered, and is not in the document");
            let allow: BTreeSet<&str> = answer.headers()["allow"].to_str().unwrap().split(", ").collect();
            assert_eq!(allow, methods.keys().map(String::as_str).collect(), "{path}");
        }
    }
    assert_eq!(said, table);
}

/// The server takes its routes from the table alone, so that nothing is answered that the document does not know.
#[test]
fn nothing_is_routed_past_the_table() {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut found = Vec::new();
    let mut folders = vec![api];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let text = std::fs::read_to_string(&entry).unwrap();
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            for word in ["web::resource(", "web::scope(", "web::route(", "actix_files", "#[get(", "#[post("] {
                found.extend(text.matches(word).map(|_| (name.clone(), word)));
            }
        }
    }
    assert_eq!(found, [("server.rs".to_owned(), "web::resource(")]);
}
