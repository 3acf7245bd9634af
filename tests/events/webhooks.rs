//! Deliveries against a receiver that fails in every way, by a clock that is moved.
use super::receiver::{Answer, Receiver};
use super::*;
use serde_json::Value;
use touchline::app::webhooks::{Made, Wanted};
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentRecord, ConsentState, Purpose};
use touchline::domain::signature::Scheme;
use touchline::domain::time::{DAY, HOUR};
use touchline::domain::webhook::DELAYS;

const PRIVATE: &str = "[webhooks]\nallow_private = true\ntimeout_s = 1\n";

async fn withdraw(app: &App, n: usize) {
    let at = app.now().plus(i64::try_from(n).unwrap());
    let record =
        ConsentRecord { channel: Channel::Sms, purpose: Purpose::Marketing, state: ConsentState::Withdrawn, at, source: format!("form {n}") };
    app.store.put_consents(&[(format!("c{n:05}"), record)], None).await.unwrap();
}

async fn subscribe(app: &App, url: &str, batched: bool) -> Made {
    let wanted = Wanted { url: url.to_owned(), types: vec!["touchline.customer.opted_out".into()], campaign: None, batched };
    app.add_webhook(&wanted, "ann").await.unwrap()
}

async fn bank(folder: &Path, store: &str, more: &str) -> (App, Arc<Hands>) {
    let clock = Hands::at(T0);
    let app = house(folder, store, Some(clock.clone()), more).await;
    people(&app, 10).await;
    (app, clock)
}

fn customers(got: &[receiver::Got]) -> Vec<String> {
    got.iter().map(|g| serde_json::from_str::<Value>(&g.body).unwrap()["data"]["customer"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_flaky_receiver_gets_everything_in_order_signed_and_late() {
    let folder = tempfile::tempdir().unwrap();
    let (app, clock) = bank(folder.path(), "memory:", PRIVATE).await;
    let other = Receiver::start([]).await;
    let script = [
        Answer::Status(200),
        Answer::Status(500),
        Answer::Death,
        Answer::Silence,
        Answer::Redirect(other.url.clone()),
        Answer::Status(200),
        Answer::Long(100_000),
    ];
    let receiver = Receiver::start(script).await;
    let made = subscribe(&app, &receiver.url, false).await;
    for n in 0..4 {
        withdraw(&app, n).await;
    }
    let postman = app.postman(7).unwrap_or_else(|f| panic!("{}", f.text));
    let first = postman.round().await.unwrap();
    assert_eq!((first.delivered, first.failed), (1, true));
    for (tries, delay) in DELAYS[..4].iter().enumerate() {
        let standing = app.store.webhook(made.webhook.id).await.unwrap().standing;
        assert_eq!((standing.tries as usize, standing.failing_since.is_some(), standing.disabled_at), (tries + 1, true, None));
        let wait = standing.next_at.since(app.now());
        assert!((*delay..=delay + delay / 5).contains(&wait), "failure {}: {wait} ms", tries + 1);
        assert_eq!(postman.round().await.unwrap(), Default::default(), "not before its time");
        clock.set(standing.next_at);
        let visit = postman.round().await.unwrap();
        assert_eq!(visit.failed, tries < 3, "failure {}", tries + 1);
    }
    assert_eq!(customers(&receiver.taken()), ["c00000", "c00001", "c00002", "c00003"], "in order, none lost, none twice");
    assert_eq!(receiver.all().len(), 8);
    assert!(other.all().is_empty(), "a redirect is not followed");
    let standing = app.store.webhook(made.webhook.id).await.unwrap().standing;
    assert_eq!((standing.tries, standing.failing_since), (0, None));

    // Every try of an event bears the same name, and a signature of its own time that holds.
    let secret = [SigningSecret::standard(&made.secret).unwrap()];
    let ids: Vec<String> = receiver.all().iter().map(|g| g.header("webhook-id")).collect();
    assert_eq!(ids, ["evt_1", "evt_2", "evt_2", "evt_2", "evt_2", "evt_2", "evt_3", "evt_4"]);
    for got in receiver.all() {
        let second: i64 = got.header("webhook-timestamp").parse().unwrap();
        let header = |name: &str| Some(got.header(name));
        Scheme::StandardWebhooks.verify(&secret, &header, got.body.as_bytes(), Timestamp(second * 1000)).unwrap();
        assert_eq!(got.header("content-type"), "application/cloudevents+json; charset=utf-8");
    }
    let event: Value = serde_json::from_str(&receiver.taken()[0].body).unwrap();
    let expected = serde_json::json!({
        "specversion": "1.0", "id": "1", "source": "urn:touchline", "type": "touchline.customer.opted_out", "subject": "c00000",
        "time": "2026-11-24T00:00:00Z", "datacontenttype": "application/json",
        "data": {"customer": "c00000", "channel": "sms", "purpose": "marketing"}
    });
    assert_eq!(event, expected, "no contact details");
}

#[tokio::test]
async fn days_of_failure_disable_and_somebody_enables_and_replays() {
    let folder = tempfile::tempdir().unwrap();
    let (app, clock) = bank(folder.path(), "memory:", PRIVATE).await;
    let receiver = Receiver::start(std::iter::repeat_n(Answer::Status(503), 40)).await;
    let id = subscribe(&app, &receiver.url, false).await.webhook.id;
    withdraw(&app, 0).await;
    let postman = app.postman(7).unwrap_or_else(|f| panic!("{}", f.text));
    let mut rounds = 0;
    loop {
        postman.round().await.unwrap();
        rounds += 1;
        let standing = app.store.webhook(id).await.unwrap().standing;
        if let Some(disabled) = standing.disabled_at {
            assert!((5 * DAY..7 * DAY).contains(&disabled.since(T0)), "{}", disabled.since(T0));
            break;
        }
        clock.set(standing.next_at);
    }
    assert!((10..=14).contains(&rounds), "{rounds}");
    withdraw(&app, 1).await;
    clock.set(app.now().plus(30 * DAY));
    assert_eq!(postman.round().await.unwrap(), Default::default(), "nothing more is sent");
    assert!(!app.webhooks().await.unwrap()[0].enabled);

    // A new receiver behind the same address takes what has waited.
    receiver.next([]);
    app.enable_webhook(id).await.unwrap();
    let left = 40 - receiver.all().len();
    for _ in 0..left {
        postman.round().await.unwrap();
        clock.set(app.store.webhook(id).await.unwrap().standing.next_at);
        app.enable_webhook(id).await.unwrap();
    }
    assert_eq!(postman.round().await.unwrap().delivered, 2);
    assert_eq!(customers(&receiver.taken()), ["c00000", "c00001"]);
    assert_eq!(app.replay_webhook(id, T0.plus(HOUR)).await.unwrap(), 1);
    assert_eq!(postman.round().await.unwrap().delivered, 1);
    assert_eq!(customers(&receiver.taken()), ["c00000", "c00001", "c00001"], "only what came about since");
    // Gone for good.
    receiver.next([Answer::Status(410)]);
    withdraw(&app, 2).await;
    postman.round().await.unwrap();
    assert!(app.store.webhook(id).await.unwrap().standing.disabled_at.is_some());
}

#[tokio::test]
async fn a_kill_between_what_happened_and_its_delivery_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("t.sqlite").display());
    let receiver = Receiver::start([]).await;
    let (app, _) = bank(folder.path(), &store, PRIVATE).await;
    subscribe(&app, &receiver.url, true).await;
    for n in 0..5 {
        withdraw(&app, n).await;
    }
    drop(app);
    let (app, _) = bank(folder.path(), &store, PRIVATE).await;
    let postman = app.postman(7).unwrap_or_else(|f| panic!("{}", f.text));
    // Taken by the receiver, and the process killed before it wrote that down: told again under the same ids.
    let webhook = app.store.webhooks().await.unwrap().remove(0);
    for _ in 0..2 {
        assert_eq!(postman.visit(&webhook).await.unwrap().delivered, 5);
    }
    assert_eq!(postman.round().await.unwrap().delivered, 0);
    let bodies: Vec<Value> = receiver.taken().iter().map(|g| serde_json::from_str(&g.body).unwrap()).collect();
    assert_eq!((bodies.len(), &bodies[0]), (2, &bodies[1]));
    assert_eq!(bodies[0].as_array().unwrap().len(), 5, "in batches where it is wished");
    assert_eq!(receiver.taken()[0].header("content-type"), "application/cloudevents-batch+json; charset=utf-8");
    assert_eq!(receiver.taken()[0].header("webhook-id"), "evt_1-5");
}

#[tokio::test]
async fn private_addresses_are_not_spoken_to() {
    let folder = tempfile::tempdir().unwrap();
    let (open, _) = bank(folder.path(), "memory:", PRIVATE).await;
    let receiver = Receiver::start([]).await;
    subscribe(&open, &receiver.url, false).await;
    withdraw(&open, 0).await;
    // The setting is taken back: what was allowed is no more.
    let closed = touchline::config::WebhooksConfig { allow_private: false, ..open.config.webhooks.clone() };
    let postman =
        touchline::app::webhooks::Postman::new(Arc::clone(&open.store), Arc::clone(&open.clock), &closed, 7).unwrap_or_else(|f| panic!("{}", f.text));
    assert!(postman.round().await.unwrap().failed);
    assert!(receiver.all().is_empty());
    let (strict, _) = bank(folder.path(), "memory:", "").await;
    for url in [
        receiver.url.as_str(),
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "http://bank.example/",
        "ftp://bank.example/",
        "https://u:p@bank.example/",
    ] {
        let wanted = Wanted { url: url.to_owned(), types: vec!["*".into()], campaign: None, batched: false };
        assert!(strict.add_webhook(&wanted, "ann").await.is_err(), "{url}");
    }
    let wanted = Wanted { url: "https://bank.example/".into(), types: vec!["touchline.nothing".into()], campaign: None, batched: false };
    assert!(strict.add_webhook(&wanted, "ann").await.err().unwrap().to_string().contains("touchline.touch.settled"));
    assert!(strict.webhooks().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_holds_up_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _) = bank(folder.path(), "memory:", PRIVATE).await;
    let slow = Receiver::start(std::iter::repeat_n(Answer::Silence, 10)).await;
    let quick = Receiver::start([]).await;
    subscribe(&app, &slow.url, false).await;
    subscribe(&app, &quick.url, false).await;
    let delivering = tokio::spawn(touchline::app::webhooks::deliver(Arc::new(app.postman(7).unwrap_or_else(|f| panic!("{}", f.text)))));
    for n in 0..5 {
        withdraw(&app, n).await;
    }
    until("the quick one has all", async || quick.taken().len() == 5).await;
    assert!(slow.taken().is_empty());
    delivering.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_a_subscription_is_made_shown_without_its_secret_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _) = bank(folder.path(), "memory:", "").await;
    let app = Arc::new(app);
    let (serving, url) = serve(&app);
    let http = reqwest::Client::new();
    let wanted =
        serde_json::json!({"url": "https://crm.bank.example/hook", "types": ["touchline.touch.settled", "touchline.task.*"], "campaign": "autumn"});
    let made = http.post(format!("{url}/v1/webhooks")).bearer_auth("ann").json(&wanted).send().await.unwrap();
    assert_eq!(made.status().as_u16(), 201);
    let made: Value = made.json().await.unwrap();
    let secret = made["secret"].as_str().unwrap();
    assert!(SigningSecret::standard(secret).is_ok() && secret.starts_with("whsec_"));
    let list = http.get(format!("{url}/v1/webhooks")).bearer_auth("ann").send().await.unwrap().text().await.unwrap();
    assert!(list.contains("touchline.task.*") && list.contains("\"by\":\"ann\"") && !list.contains("whsec"), "{list}");
    let replay = http.post(format!("{url}/v1/webhooks/1/replay")).bearer_auth("ann").json(&serde_json::json!({"since": "2026-11-24T00:00:00Z"}));
    assert_eq!(replay.send().await.unwrap().json::<Value>().await.unwrap()["events"], 0);
    assert_eq!(http.post(format!("{url}/v1/webhooks/1/enable")).bearer_auth("ann").send().await.unwrap().status().as_u16(), 200);
    let refused = serde_json::json!({"url": "http://10.0.0.1/hook", "types": ["*"]});
    assert_eq!(http.post(format!("{url}/v1/webhooks")).bearer_auth("ann").json(&refused).send().await.unwrap().status().as_u16(), 409);
    let remove = || http.delete(format!("{url}/v1/webhooks/1")).bearer_auth("ann").send();
    assert_eq!((remove().await.unwrap().status().as_u16(), remove().await.unwrap().status().as_u16()), (204, 404));
    serving.stop().await.unwrap();
}
