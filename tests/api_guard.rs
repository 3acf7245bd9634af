//! What the guard does for every operation: tokens that end, scopes, limits, the audit log, idempotency keys.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/house.rs"]
mod house;

use house::{Served, serve};
use serde_json::{Value, json};
use touchline::domain::access::Role;
use touchline::store::AuditFilter;

async fn entries(house: &Served) -> Vec<(String, String, String, String)> {
    let all = house.app.store.audit(&AuditFilter { limit: 1_000, ..AuditFilter::default() }).await.unwrap();
    all.into_iter().map(|l| (l.entry.actor, l.entry.operation, l.entry.target, l.entry.outcome)).collect()
}

fn entry(actor: &str, operation: &str, target: &str, outcome: &str) -> (String, String, String, String) {
    (actor.into(), operation.into(), target.into(), outcome.into())
}

#[tokio::test]
async fn an_admin_makes_shows_and_revokes_tokens_and_all_of_it_is_audited() {
    let house = serve(|_| ()).await;
    let (admin, author) = (house.token("alma", &[Role::Admin], |_| ()).await, house.token("bert", &[Role::Author], |_| ()).await);
    let tokens = format!("{}/v1/tokens", house.url);
    let make = |body: Value| house.http.post(&tokens).bearer_auth(&admin).json(&body);
    let (status, _, made) = house.call(make(json!({"name": "carl", "roles": ["rm"], "branch": "west", "rm": "rm-7", "days": 3}))).await;
    assert_eq!((status, made["token"]["id"].as_i64(), made["token"]["made_by"].as_str()), (201, Some(3), Some("alma")), "{made}");
    let secret = made["secret"].as_str().unwrap();
    let (status, me) = house.get(secret, "/v1/me").await;
    assert_eq!((status, me), (200, json!({"name": "carl", "roles": ["rm"], "branch": "west", "rm": "rm-7", "token": 3})));
    for (body, why) in [
        (json!({"name": "alma", "roles": ["approver"]}), "themselves"),
        (json!({"name": "x", "roles": ["rm"]}), "branch"),
        (json!({"name": "x", "roles": ["author"], "days": 366}), "365"),
        (json!({"name": "x", "roles": ["author"], "scopes": ["everything"]}), "scopes"),
        (json!({"name": "x", "roles": ["emperor"]}), "emperor"),
        (json!({"name": "x", "roles": ["author"], "day": 3}), "day"),
    ] {
        let (status, _, problem) = house.call(make(body)).await;
        assert!(status == 422 && problem["detail"].as_str().unwrap().contains(why), "{why}: {status} {problem}");
    }
    assert_eq!(house.get(&author, "/v1/tokens").await.0, 403);
    let (status, all) = house.get(&admin, "/v1/tokens?after=2").await;
    assert_eq!((status, all.as_array().unwrap().len(), all[0]["state"].as_str()), (200, 1, Some("good")));
    assert!(!all.to_string().contains(secret), "a list shows no secret");
    let (status, _, gone) = house.call(house.http.delete(format!("{tokens}/3")).bearer_auth(&admin)).await;
    assert_eq!((status, gone["state"].as_str(), gone["revoked_by"].as_str()), (200, Some("revoked"), Some("alma")));
    assert_eq!(house.get(secret, "/v1/me").await.0, 401, "a revocation takes hold at once, though the token was just used");
    let log = entries(&house).await;
    assert_eq!(log[0], entry("alma", "makeToken", "token=3", "201"));
    assert_eq!(log[7], entry("bert", "listTokens", "", "403"));
    assert_eq!(log[8], entry("alma", "revokeToken", "id=3", "200"));
    assert_eq!(log.len(), 9, "refusals of nobody and reads of nobody's data are not written: {log:?}");
    let (status, verdict) = house.get(&admin, "/v1/audit/verify").await;
    assert_eq!((status, verdict["is_whole"].as_bool(), verdict["entries"].as_i64()), (200, Some(true), Some(9)));
    let head = verdict["head"].as_str().unwrap();
    assert_eq!(house.get(&admin, &format!("/v1/audit/verify?head={head}")).await.1["is_whole"], true);
    let longer = head.replace("9:", "10:");
    let (_, cut) = house.get(&admin, &format!("/v1/audit/verify?head={longer}")).await;
    assert!(cut["is_whole"] == false && cut["fault"].as_str().unwrap().contains("cut off"), "{cut}");
    let (status, read) = house.get(&admin, "/v1/audit?actor=bert&since=2020-01-01T00:00:00Z").await;
    assert_eq!((status, read.as_array().unwrap().len(), read[0]["operation"].as_str()), (200, 1, Some("listTokens")));
    assert_eq!(entries(&house).await.last().unwrap(), &entry("alma", "readAudit", "actor=bert", "200"), "reading the log is an entry");
}

#[tokio::test]
async fn a_scoped_token_reaches_its_section_alone_and_an_expired_one_nothing() {
    let house = serve(|_| ()).await;
    let scoped = house.token("scout", &[Role::Compliance], |g| g.scopes = vec!["verifyAudit".into()]).await;
    assert_eq!(house.get(&scoped, "/v1/audit/verify").await.0, 200);
    let (status, problem) = house.get(&scoped, "/v1/audit").await;
    assert!(status == 403 && problem["detail"].as_str().unwrap().contains("scopes"), "{problem}");
    let short = house.token("short", &[Role::Compliance], |g| g.expires_at = house.app.now().plus(1_000)).await;
    assert_eq!(house.get(&short, "/v1/me").await.0, 200);
    touchline::clock::sleep_ms(1_100).await;
    assert_eq!(house.get(&short, "/v1/me").await.0, 401, "it ends on time, though it is remembered");
}

#[tokio::test]
async fn requests_are_limited_by_token_and_failures_by_address() {
    let house = serve(|c| {
        (c.serve.requests_per_second, c.serve.burst, c.serve.failed_logins_per_minute) = (1, 5, 4);
    })
    .await;
    let (busy, calm) = (house.token("busy", &[Role::Author], |_| ()).await, house.token("calm", &[Role::Author], |_| ()).await);
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let (status, headers, _) = house.call(house.http.get(format!("{}/v1/me", house.url)).bearer_auth(&busy)).await;
        assert!(status != 429 || headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        statuses.push(status);
    }
    assert_eq!(statuses[..5], [200; 5]);
    assert!(statuses[5..].contains(&429), "{statuses:?}");
    assert_eq!(house.get(&calm, "/v1/me").await.0, 200, "another token has its own count");
    for n in 0..8 {
        let status = house.get(&format!("tl_{}_{}", n + 1, "A".repeat(43)), "/v1/me").await.0;
        assert_eq!(status, if n < 4 { 401 } else { 429 }, "attempt {n}");
    }
    assert_eq!(house.get(&calm, "/v1/me").await.0, 200, "whoever is known goes on working from the same address");
}

#[tokio::test]
async fn a_key_answers_the_same_request_once_and_refuses_another() {
    let house = serve(|_| ()).await;
    let (admin, other) = (house.token("alma", &[Role::Admin], |_| ()).await, house.token("olga", &[Role::Admin], |_| ()).await);
    let post = async |token: &str, key: &str, body: Value| {
        let request = house.http.post(format!("{}/v1/tokens", house.url)).bearer_auth(token).header("Idempotency-Key", key).json(&body);
        house.call(request).await
    };
    let bad = json!({"name": "alma", "roles": ["admin"]});
    let (first, headers, text) = post(&admin, "k1", bad.clone()).await;
    assert_eq!((first, headers.get("idempotency-replayed")), (422, None), "{text}");
    let (again, headers, same) = post(&admin, "k1", bad.clone()).await;
    assert_eq!((again, headers["idempotency-replayed"].to_str().unwrap(), &same), (422, "true", &text));
    assert_eq!(headers["content-type"], "application/problem+json");
    let good = json!({"name": "carl", "roles": ["author"]});
    let (status, _, problem) = post(&admin, "k1", good.clone()).await;
    assert_eq!((status, problem["type"].as_str()), (422, Some("urn:touchline:problem:idempotency-key-reused")));
    assert_eq!(post(&other, "k1", good.clone()).await.0, 201, "another caller's key is another key");
    let (status, _, made) = post(&admin, "k2", good.clone()).await;
    assert_eq!(status, 201, "{made}");
    let (status, headers, problem) = post(&admin, "k2", good.clone()).await;
    assert_eq!((status, problem["type"].as_str(), headers.get("idempotency-replayed")), (409, Some("urn:touchline:problem:done-already"), None));
    assert!(!problem.to_string().contains("tl_"), "a secret is given once");
    assert_eq!(house.app.store.tokens(0, 100).await.unwrap().len(), 4, "two admins, and a token for each of two keys");
    for key in ["", " ", "a b", "ü", &"k".repeat(201)] {
        let request = house.http.post(format!("{}/v1/tokens", house.url)).bearer_auth(&admin).json(&good);
        let request = request.header("Idempotency-Key", reqwest::header::HeaderValue::from_bytes(key.as_bytes()).unwrap());
        assert_eq!(house.call(request).await.0, 400, "{key:?}");
    }
    // Many at once under one key: one does it, the others are told to wait or that it was done.
    let calls = (0..20).map(|_| post(&admin, "k3", good.clone()));
    let statuses: Vec<u16> = futures_util::future::join_all(calls).await.into_iter().map(|(s, _, _)| s).collect();
    assert_eq!(statuses.iter().filter(|s| **s == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|s| matches!(s, 201 | 409)), "{statuses:?}");
    assert_eq!(house.app.store.tokens(0, 100).await.unwrap().len(), 5);
}
