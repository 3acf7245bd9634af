//! Before the campaign: other systems subscribe, the bank's customers come in, the roster is set.
use super::bank::{CUSTOMER_MAP, CUSTOMERS, FACT_MAP, MEMBER_MAP, customers, members};
use super::http::{House, Sent};
use super::receiver::Receiver;
use reqwest::Method;
use serde_json::{Value, json};

/// A receiver of the test's own, with the secret of its subscription.
pub struct Hook {
    pub receiver: Receiver,
    pub secret: String,
}

/// One that is told what campaigns and conversions do, and one that is told of touches in batches.
pub async fn subscribe(house: &House) -> [Hook; 2] {
    let mut hooks = Vec::new();
    for (types, batched) in [
        (vec!["touchline.campaign.status", "touchline.customer.opted_out", "touchline.task.*"], false),
        (vec!["touchline.touch.settled", "touchline.conversion.credited"], true),
    ] {
        let receiver = Receiver::start([]).await;
        let made = house.post("adam", "/v1/webhooks", json!({"url": receiver.url, "types": types, "batched": batched}), 201).await;
        let secret = made["secret"].as_str().unwrap_or_else(|| panic!("a new subscription without a secret: {made}")).to_owned();
        hooks.push(Hook { receiver, secret });
    }
    let shown = house.get("adam", "/v1/webhooks").await;
    assert!(shown.as_array().unwrap().len() == 2 && !shown.to_string().contains("whsec"), "the secret is shown once: {shown}");
    house.ask("olga", Method::GET, "/v1/webhooks", Sent::Nothing, 403).await;
    hooks.try_into().unwrap_or_else(|_| panic!("two subscriptions"))
}

/// Mappings are kept, customers and the list come in as files.
pub async fn take_in(house: &House) {
    let broken = CUSTOMER_MAP.replace("ref:", "reff:");
    let problem = house.ask("core", Method::PUT, "/v1/mappings/core-bank", Sent::Yaml(&broken), 422).await;
    assert_eq!(problem["faults"][0]["line"], 4, "a mapping's fault has its line: {problem}");
    for (name, text) in [("core-bank", CUSTOMER_MAP), ("members", MEMBER_MAP), ("facts", FACT_MAP)] {
        let kept = house.ask("core", Method::PUT, &format!("/v1/mappings/{name}"), Sent::Yaml(text), 200).await;
        assert_eq!(kept["name"], name, "{kept}");
    }
    house.ask("rita", Method::POST, "/v1/customers?mapping=core-bank", Sent::Csv(customers(1)), 403).await;
    let path = "/v1/customers?mapping=core-bank&wait=60";
    let intake = house.ask("core", Method::POST, path, Sent::Csv(customers(CUSTOMERS)), 200).await;
    let sums = &intake["report"]["sums"];
    assert_eq!(
        (&sums["rows_read"], &sums["accepted"], &sums["rejected"]),
        (&json!(CUSTOMERS + 1), &json!(CUSTOMERS), &json!(1)),
        "accepted and rejected make up the rows: {intake}"
    );
    let rejects = house.get("olga", &format!("/v1/intakes/{}/rejects", intake["number"])).await;
    assert!(matches!(&rejects, Value::String(text) if text.contains("C99999,not a number")), "the row that did not fit: {rejects}");
    let again = house.ask("core", Method::POST, path, Sent::Csv(customers(CUSTOMERS)), 200).await;
    assert_eq!(again["report"]["already"], true, "the same file is taken in once: {again}");
    let list = house.ask("core", Method::POST, "/v1/lists/prospects?mapping=members&wait=60", Sent::Csv(members(CUSTOMERS)), 200).await;
    assert_eq!(list["report"]["list"]["count"], CUSTOMERS, "{list}");
    assert!(list["report"]["list"]["frozen_at"].is_string(), "the list is frozen: {list}");
}

/// Four RMs in two branches.
pub async fn put_roster(house: &House) {
    let rms: Vec<Value> = (0..4)
        .map(|n| {
            let branch = if n % 2 == 0 { "north" } else { "south" };
            json!({"reference": format!("rm-{n}"), "branch": branch, "languages": ["en"], "skills": [], "daily_capacity": 500, "left": false, "leaves": []})
        })
        .collect();
    house.ask("olga", Method::PUT, "/v1/rms", Sent::Json(json!({"rms": rms})), 403).await;
    let roster = house.ask("adam", Method::PUT, "/v1/rms", Sent::Json(json!({"rms": rms})), 200).await;
    assert_eq!(roster["rms"].as_array().map(Vec::len), Some(4), "{roster}");
    let seen = house.get("rita", "/v1/rms").await;
    assert_eq!(seen["rms"].as_array().map(Vec::len), Some(2), "an RM sees the own branch: {seen}");
}
