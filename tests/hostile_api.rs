//! Somebody with a token who wants more than it is for, and somebody without one who wants to fill the log.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/house.rs"]
mod house;

use house::{Served, serve};
use serde_json::{Value, json};
use std::time::Duration;
use touchline::domain::access::Role;

const YAML: &str = "campaign: own-work\ntitle: A test\nopportunity: investment\nowner: tests\naudience: {list: everybody}\n\
    schedule: {start: 2026-01-01T00:00, end: 2099-12-31T23:59, timezone: UTC}\npolicy: [wide-open]\nlimits: {rate: 10/s}\n\
    journey:\n  - {step: text, channel: sms, attempts: 1, content: {zh-CN: 您好}}\nstop_on: [opt_out]\n";

async fn list(house: &Served) {
    house.customers().await;
    let (store, now) = (&house.app.store, house.app.now());
    let list = store.open_list("everybody", now).await.unwrap();
    store.add_all_customers(list).await.unwrap();
    store.freeze_list(list, now).await.unwrap();
}

async fn post(house: &Served, token: &str, path: &str, body: Value) -> (u16, Value) {
    let (status, _, answer) = house.call(house.http.post(format!("{}{path}", house.url)).bearer_auth(token).json(&body)).await;
    (status, answer)
}

async fn hand_in(house: &Served, token: &str) -> (u16, Value) {
    let request = house.http.post(format!("{}/v1/campaigns", house.url)).bearer_auth(token).header("content-type", "application/yaml").body(YAML);
    let (status, _, answer) = house.call(request).await;
    (status, answer)
}

fn with_a_route(config: &mut touchline::config::Config) {
    let more = touchline::config::load(None, &touchline::config::Overrides::default()).unwrap();
    if config.routes.iter().all(|r| r.channel != touchline::domain::channel::Channel::Sms) {
        config.routes = more.routes;
    }
}

/// An author who is also an admin lets a second self in, directly or by a third, and approves under its name.
#[tokio::test]
async fn a_token_that_stems_from_the_author_approves_nothing_of_theirs() {
    let house = serve(with_a_route).await;
    list(&house).await;
    let ann = house.token("ann", &[Role::Admin, Role::Author], |_| ()).await;
    let cy = house.token("cy", &[Role::Approver], |_| ()).await;
    let secret = |(status, made): (u16, Value)| {
        assert_eq!(status, 201, "{made}");
        made["secret"].as_str().unwrap().to_owned()
    };
    for own in ["an n", "Ann", "ann\u{200b}", "\u{430}nn"] {
        let (status, refused) = post(&house, &ann, "/v1/tokens", json!({"name": own, "roles": ["approver"]})).await;
        assert_eq!(status, 422, "{own:?}: {refused}");
    }
    let bob = secret(post(&house, &ann, "/v1/tokens", json!({"name": "bob", "roles": ["approver"]})).await);
    let zed = secret(post(&house, &ann, "/v1/tokens", json!({"name": "zed", "roles": ["admin"]})).await);
    let dan = secret(post(&house, &zed, "/v1/tokens", json!({"name": "dan", "roles": ["approver"]})).await);
    let (status, submitted) = hand_in(&house, &ann).await;
    assert_eq!(status, 201, "{submitted}");
    let seal = submitted["seal"]["seal"].as_str().unwrap().to_owned();
    for second_self in [&bob, &dan] {
        let (status, refused) = post(&house, second_self, "/v1/campaigns/own-work/approve", json!({"seal": seal})).await;
        assert!(status == 409 && refused.to_string().contains("stems from ann"), "{status} {refused}");
    }
    let (status, approved) = post(&house, &cy, "/v1/campaigns/own-work/approve", json!({"seal": seal})).await;
    assert_eq!(status, 200, "{approved}");
}

/// What is of all customers together is not for whoever is bound to some of them.
#[tokio::test]
async fn a_bound_token_gets_nothing_of_everybody() {
    let house = serve(with_a_route).await;
    list(&house).await;
    let every = [Role::Author, Role::Approver, Role::Operator, Role::Compliance, Role::Admin];
    let west = house.token("west", &every, |g| g.branch = Some("west".into())).await;
    let whole = house.token("whole", &every, |_| ()).await;
    for path in ["/v1/audit", "/v1/audit/verify", "/v1/dead-letters", "/v1/dead-letters/1", "/v1/webhooks", "/v1/intakes", "/v1/tokens"] {
        assert_eq!(house.get(&west, path).await.0, 403, "{path}");
        assert!(matches!(house.get(&whole, path).await.0, 200 | 404), "{path}");
    }
    for (path, body) in [
        ("/v1/dead-letters/1/retry", json!({})),
        ("/v1/dead-letters/1/close", json!({"why": "x"})),
        ("/v1/webhooks", json!({"url": "https://crm.bank.example/x", "types": ["*"]})),
        ("/v1/webhooks/1/replay", json!({"since": "2026-11-24T00:00:00Z"})),
        ("/v1/campaigns/own-work/submit", Value::Null),
        ("/v1/campaigns/own-work/approve", json!({"seal": "000000000000"})),
        ("/v1/campaigns/own-work/start", json!({"why": "x"})),
        ("/v1/campaigns/own-work/resume", json!({"why": "x"})),
        ("/v1/campaigns/own-work/restart", json!({"why": "x"})),
    ] {
        let (status, refused) = post(&house, &west, path, body).await;
        assert_eq!(status, 403, "{path}: {refused}");
    }
    assert_eq!(hand_in(&house, &west).await.0, 403);
    let (status, stopped) = post(&house, &west, "/v1/emergency-stop", json!({"why": "smoke"})).await;
    assert_eq!(status, 200, "stopping is everybody's: {stopped}");
}

/// Nobody's calls leave no line in the audit log, whatever they are refused for.
#[tokio::test]
async fn who_signs_nothing_fills_no_log() {
    let house = serve(|_| ()).await;
    let before = house.app.store.audit_head().await.unwrap().number;
    let path = |n: usize| format!("{}/v1/receipts/made-up-{n}", house.url);
    for n in 0..20 {
        let (status, _, _) = house.call(house.http.post(path(n)).json(&json!([]))).await;
        assert_eq!(status, 404);
    }
    let chunked = |body: String| {
        format!(
            "POST /v1/receipts/x HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{body}"
        )
    };
    let endless = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(20);
    let answer = house.raw(chunked(endless), Duration::from_secs(3)).await;
    assert!(answer.contains(" 413 "), "{answer}");
    house.raw(chunked("zz\r\n".into()), Duration::from_secs(3)).await;
    assert_eq!(house.app.store.audit_head().await.unwrap().number, before);
}
