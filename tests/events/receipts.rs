//! Receipts over HTTP: signatures, repetitions, rotation, dead letters, and what nobody hears.
use super::*;
use serde_json::{Value, json};
use touchline::domain::outcome::Reason;
use touchline::domain::time::{DAY, HOUR, MINUTE};

const ONE: &str = r#"[{"provider_ref": "p-1", "disposition": "DELIVRD", "at": "2026-11-24T00:00:01Z", "cost": "0.045"}]"#;

async fn send(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_are_checked_and_what_is_taken_is_kept_before_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Hands::at(T0);
    let app = Arc::new(house(folder.path(), "memory:", Some(clock.clone()), "").await);
    let (serving, url) = serve(&app);
    let east = format!("{url}/v1/receipts/sms-east");
    let ear = Arc::new(Listener::default());
    app.ears.name(ear.clone());

    let taken = json!({"taken": 1, "dead_letters": 0, "repeated": false});
    assert_eq!(send(signed(&east, SECRET, "m-1", T0, ONE)).await, (202, taken.clone()));
    let repeated = json!({"taken": 0, "dead_letters": 0, "repeated": true});
    assert_eq!(send(signed(&east, SECRET, "m-1", T0, ONE)).await, (200, repeated.clone()), "a replay changes nothing");
    let kept = app.store.open_receipts(None, 0, 10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].receipt.disposition, kept[0].receipt.cost_micros), (Reason::Delivered, Some(45_000)));
    assert_eq!(ear.receipts.lock().unwrap().len(), 1, "and is told to nobody twice");

    for (what, request) in [
        ("wrong secret", signed(&east, NEXT_SECRET, "m-2", T0, ONE)),
        ("old", signed(&east, SECRET, "m-2", T0.plus(-6 * MINUTE), ONE)),
        ("of the future", signed(&east, SECRET, "m-2", T0.plus(6 * MINUTE), ONE)),
        ("another body", signed(&east, SECRET, "m-2", T0, ONE).body("[]")),
        ("no signature", reqwest::Client::new().post(&east).header("content-type", "application/json").body(ONE)),
    ] {
        let (status, problem) = send(request).await;
        assert_eq!(status, 401, "{what}: {problem}");
        assert!(!problem.to_string().contains("whsec"), "{problem}");
    }
    assert_eq!(send(signed(&format!("{url}/v1/receipts/nowhere"), SECRET, "m-2", T0, ONE)).await.0, 404);

    // Rotation: both hold while both stand in the file, without a restart.
    std::fs::write(folder.path().join("secrets"), format!("{NEXT_SECRET}\n{SECRET}\n")).unwrap();
    assert_eq!(send(signed(&east, NEXT_SECRET, "m-3", T0, ONE)).await.0, 202);
    assert_eq!(send(signed(&east, SECRET, "m-4", T0, ONE)).await.0, 202);
    std::fs::write(folder.path().join("secrets"), NEXT_SECRET).unwrap();
    assert_eq!(send(signed(&east, SECRET, "m-5", T0, ONE)).await.0, 401);
    std::fs::remove_file(folder.path().join("secrets")).unwrap();
    assert_eq!(send(signed(&east, NEXT_SECRET, "m-5", T0, ONE)).await.0, 503, "ours to mend: it may be sent again");

    // A shared token, for a provider who signs nothing.
    let token = |value: &str| {
        let request = reqwest::Client::new().post(format!("{url}/v1/receipts/sms-west")).header("content-type", "application/json");
        request.header("authorization", format!("Bearer {value}")).body(ONE.replace("DELIVRD", "delivered"))
    };
    assert_eq!(send(token("a-token-of-the-provider")).await, (202, taken));
    assert_eq!(send(token("a-token-of-the-provider")).await, (200, repeated), "named by what it says");
    assert_eq!(send(token("a-token-of-another")).await.0, 401);
    serving.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_kept_and_taken_once_it_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let app = Arc::new(house(folder.path(), "memory:", Some(Hands::at(T0)), "").await);
    let (serving, url) = serve(&app);
    let east = format!("{url}/v1/receipts/sms-east");
    let mixed = r#"[{"provider_ref": "p-1", "disposition": "delivered", "at": "2026-11-24T00:00:01Z"},
        {"provider_ref": "p-2", "disposition": "REJECTD", "at": "2026-11-24T00:00:01Z"},
        {"disposition": "delivered", "at": "2026-11-24T00:00:01Z"},
        {"provider_ref": "p-4", "disposition": "delivered", "at": "yesterday"},
        {"provider_ref": "p-5", "disposition": "delivered", "at": "2026-11-24T00:00:01Z", "cost": "-1"}]"#;
    assert_eq!(send(signed(&east, SECRET, "m-1", T0, mixed)).await, (202, json!({"taken": 1, "dead_letters": 4, "repeated": false})));
    assert_eq!(send(signed(&east, SECRET, "m-2", T0, "no JSON at all")).await, (202, json!({"taken": 0, "dead_letters": 1, "repeated": false})));
    assert_eq!(send(signed(&east, SECRET, "m-3", T0, "42")).await.0, 202);

    let http = reqwest::Client::new();
    let get = |path: &str| http.get(format!("{url}{path}")).bearer_auth("ann");
    let post = |path: &str| http.post(format!("{url}{path}")).bearer_auth("ann");
    let (status, letters) = send(get("/v1/dead-letters")).await;
    assert_eq!((status, letters.as_array().unwrap().len()), (200, 6));
    assert!(!letters.to_string().contains("p-2"), "contents are shown only where they are asked for");
    assert!(letters[0]["reason"].as_str().unwrap().contains("disposition: not known here"), "{letters}");
    assert_eq!(send(get("/v1/dead-letters?limit=2&after=2")).await.1[0]["id"], 3);
    let (_, whole) = send(get("/v1/dead-letters/1")).await;
    assert!(whole["raw"].as_str().unwrap().contains("REJECTD"));
    assert_eq!(send(post("/v1/dead-letters/1/retry")).await.0, 409, "nothing was mended");
    serving.stop().await.unwrap();

    // The operator says what the provider's word means, and starts anew.
    // The server's threads let go of it a moment after its end.
    for _ in 0..1_000 {
        if Arc::strong_count(&app) == 1 {
            break;
        }
        touchline::clock::sleep_ms(10).await;
    }
    let mut shared = app;
    // The server's threads end a moment after it has said so.
    let mut app = loop {
        match Arc::try_unwrap(shared) {
            Ok(own) => break own,
            Err(other) => shared = other,
        }
        sleep_ms(20).await;
    };
    app.config.receipts.get_mut("sms-east").unwrap().dispositions.insert("REJECTD".into(), "undelivered".into());
    let app = Arc::new(app);
    let (serving, url) = serve(&app);
    let post = |path: &str| http.post(format!("{url}{path}")).bearer_auth("ann");
    let (status, closed) = send(post("/v1/dead-letters/1/retry")).await;
    assert_eq!((status, closed["how"].as_str()), (200, Some("taken after a retry by ann")), "{closed}");
    assert_eq!(send(post("/v1/dead-letters/1/retry")).await.0, 409);
    assert_eq!(send(post("/v1/dead-letters/99/retry")).await.0, 404);
    let (status, closed) = send(post("/v1/dead-letters/2/close").json(&json!({"why": "a test of the provider's"}))).await;
    assert_eq!((status, closed["how"].as_str()), (200, Some("closed by ann: a test of the provider's")));
    let kept: Vec<_> = app.store.open_receipts(None, 0, 10).await.unwrap().into_iter().map(|r| r.receipt.disposition).collect();
    assert_eq!(kept, [Reason::Delivered, Reason::Undelivered]);
    serving.stop().await.unwrap();
}

#[tokio::test]
async fn what_nobody_hears_waits_and_what_nobody_knows_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Hands::at(T0);
    let app = house(folder.path(), "memory:", Some(clock.clone()), "").await;
    let header = |name: &str| (name == "authorization").then(|| "a-token-of-the-provider".to_owned());
    let body = ONE.replace("DELIVRD", "delivered");
    assert_eq!(app.take_receipts("sms-west", header, body.as_bytes()).await.unwrap().taken, 1);
    for days in [0, 1, 5] {
        clock.set(T0.plus(days * DAY));
        assert_eq!(app.inbox_round(true).await.unwrap(), Default::default(), "no engine: nothing is handed over, nothing given up");
    }
    let ear = Arc::new(Listener::default());
    app.ears.name(ear.clone());
    assert_eq!(app.inbox_round(true).await.unwrap().handed, 1, "at the start of an engine all are handed over");
    assert_eq!(app.inbox_round(false).await.unwrap().handed, 0);
    clock.set(T0.plus(5 * DAY + 3 * MINUTE));
    assert_eq!(app.inbox_round(false).await.unwrap().buried, 1, "of no touch of ours, for a day and more");
    assert_eq!(app.inbox_round(true).await.unwrap(), Default::default());
    let letter = app.dead_letter(1).await.unwrap();
    assert_eq!(letter.letter.source, "sms-west");
    assert!(letter.letter.reason.contains("no touch of this name"));
    // Nothing of it is lost: it can be taken again.
    assert!(app.retry_dead_letter(&Actor::local("ann"), 1).await.is_ok());
    assert_eq!(app.store.open_receipts(None, 0, 10).await.unwrap()[0].receipt.cost_micros, Some(45_000));
    clock.set(T0.plus(5 * DAY + HOUR));
    assert_eq!(ear.receipts.lock().unwrap().len(), 2);
}
