//! Receipts and opt-outs against a resident engine over SQLite: late, repeated and in any order; an opt-out in the middle of a run.
use super::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Instant;
use touchline::app::daemon::{DaemonEnd, DaemonHandle};
use touchline::campaign_file;
use touchline::channels::{Carrier, CarrierEvent, Dispatch, Reports};
use touchline::clock::monotonic;
use touchline::desk::control;
use touchline::domain::outcome::{Outcome, Reason, SendResult};
use touchline::domain::tally::Tally;
use touchline::domain::touch::State;
use touchline::store::{CampaignRow, Status};

/// Takes everything, and says nothing more: receipts come by another way.
#[derive(Clone, Default)]
struct Taker {
    taken: Arc<Mutex<BTreeMap<CustomerId, Instant>>>,
}

#[async_trait]
impl Carrier for Taker {
    fn kind(&self) -> &'static str {
        "taker"
    }
    fn is_idempotent(&self) -> bool {
        false
    }
    async fn send(&self, batch: Vec<Dispatch>, reports: Reports) {
        let at = touchline::clock::SystemClock.now();
        let events = batch.iter().map(|dispatch| {
            self.taken.lock().unwrap().insert(dispatch.touch.customer, monotonic());
            let result = SendResult::Accepted { provider_ref: format!("p-{}", dispatch.touch).into(), deadline: at.plus(3_600_000) };
            CarrierEvent::Outcome(Outcome { touch: dispatch.touch, at, result })
        });
        let _ = reports.send(events.collect());
    }
}

async fn start(folder: &Path, customers: usize, rate: &str) -> (Arc<App>, Taker, DaemonHandle, DaemonEnd, CampaignRow) {
    let store = format!("sqlite:{}", folder.join("t.sqlite").display());
    let app = Arc::new(house(folder, &store, None, "").await);
    people(&app, customers).await;
    let list = app.store.open_list("everybody", app.now()).await.unwrap();
    app.store.add_all_customers(list).await.unwrap();
    app.store.freeze_list(list, app.now()).await.unwrap();
    let text = format!(
        "campaign: texts\ntitle: A test\nopportunity: investment\nowner: tests\naudience: {{list: everybody}}\n\
         schedule: {{start: 2020-01-01T00:00, end: 2099-12-31T23:59, timezone: UTC}}\npolicy: [wide-open]\nlimits: {{rate: {rate}}}\n\
         journey:\n  - {{step: text, channel: sms, routes: [sms-east], attempts: 1, content: {{zh-CN: 您好}}}}\nstop_on: [opt_out]\n"
    );
    let campaign = campaign_file::load("texts", &text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let row = app.enter(std::slice::from_ref(&campaign), "tester").await.unwrap_or_else(|f| panic!("{}", f.text)).remove(0);
    control::start(app.store.as_ref(), "texts", "tester", "now", app.eyes_of(&row), app.now()).await.unwrap();
    let taker = Taker::default();
    let carrier = taker.clone();
    let daemon = Arc::clone(&app).daemon_on(move |_, _| Arc::new(carrier.clone()) as Arc<dyn Carrier>).await;
    let (handle, ended) = daemon.unwrap_or_else(|f| panic!("{}", f.text));
    (app, taker, handle, ended, row)
}

async fn in_state(app: &App, row: &CampaignRow, state: State) -> i64 {
    app.store.tallies(row.id).await.unwrap().get(Tally::Customers, i64::from(state.code()))
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_late_repeated_and_reordered_settle_by_the_lattice() {
    let folder = tempfile::tempdir().unwrap();
    let (app, taker, handle, ended, row) = start(folder.path(), 100, "5000/s").await;
    let hook = super::receiver::Receiver::start([]).await;
    let wanted = touchline::app::webhooks::Wanted {
        url: hook.url.clone(),
        types: vec!["touchline.touch.settled".into(), "touchline.campaign.status".into()],
        campaign: None,
        batched: true,
    };
    let config = touchline::config::WebhooksConfig { allow_private: true, ..Default::default() };
    let new = touchline::store::outbox::NewWebhook {
        url: wanted.url.clone(),
        kinds: 3,
        campaign: None,
        batched: true,
        secret: SECRET.into(),
        by: "ann".into(),
        at: app.now(),
    };
    app.store.add_webhook(&new).await.unwrap();
    until("all are taken", async || in_state(&app, &row, State::Started).await == 100 && taker.taken.lock().unwrap().len() == 100).await;
    let (serving, url) = serve(&app);
    let east = format!("{url}/v1/receipts/sms-east");
    let ids: Vec<CustomerId> = taker.taken.lock().unwrap().keys().copied().collect();
    let at = app.now();
    // Of every second customer: undelivered, and delivered after all; of the others undelivered alone. Backwards, and each message thrice.
    let mut items = vec![json!({"provider_ref": "p-of-nobody", "disposition": "delivered", "at": at.to_string()})];
    for (i, id) in ids.iter().enumerate() {
        let name = format!("p-{}-{id}-0", row.id);
        items.push(json!({"provider_ref": name, "disposition": "undelivered", "at": at.to_string()}));
        if i.is_multiple_of(2) {
            items.push(json!({"provider_ref": name, "disposition": "DELIVRD", "at": at.plus(1_000).to_string(), "cost": "0.045"}));
        }
    }
    items.reverse();
    for (n, chunk) in items.chunks(40).enumerate() {
        for again in 0..3 {
            let body = serde_json::Value::from(chunk).to_string();
            let answer = signed(&east, SECRET, &format!("m-{n}-{}", again.min(1)), app.now(), &body).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), if again == 2 { 200 } else { 202 });
        }
    }
    // Nobody has named the engine: they wait on disk, and nothing is lost.
    assert_eq!(in_state(&app, &row, State::Started).await, 100);
    assert_eq!(app.store.open_receipts(None, 0, 1_000).await.unwrap().len(), 302);
    app.ears.name(Arc::new(handle.clone()));
    assert_eq!(app.inbox_round(true).await.unwrap().handed, 302);
    until("all have ended", async || in_state(&app, &row, State::Reached).await == 50 && in_state(&app, &row, State::Missed).await == 50).await;
    until("the engine has all on record but the stranger's", async || {
        app.inbox_round(true).await.unwrap();
        app.store.open_receipts(None, 0, 1_000).await.unwrap().len() == 2
    })
    .await;
    let touch = app.store.head(row.id, ids[0]).await.unwrap().unwrap();
    assert_eq!((touch.state, touch.reason, touch.cost_micros), (State::Reached, Reason::Delivered, 45_000), "the provider's price is what counts");
    until("the run has ended", async || app.store.campaign_by_id(row.id).await.unwrap().status == Status::Finished).await;

    // Every end was told, from the first to the last correction, and nothing that did not come about.
    let postman =
        touchline::app::webhooks::Postman::new(Arc::clone(&app.store), Arc::clone(&app.clock), &config, 7).unwrap_or_else(|f| panic!("{}", f.text));
    loop {
        let visit = postman.round().await.unwrap();
        assert!(!visit.failed, "{visit:?} {:?} {:?}", app.store.webhooks().await.unwrap(), hook.all().len());
        if !visit.more {
            break;
        }
    }
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut statuses = Vec::new();
    for event in hook.taken().iter().flat_map(|g| serde_json::from_str::<Vec<serde_json::Value>>(&g.body).unwrap()) {
        if event["type"] == "touchline.campaign.status" {
            statuses.push(event["data"]["status"].as_str().unwrap().to_owned());
        } else {
            assert_eq!(
                (&event["data"]["step"], &event["data"]["route"], &event["data"]["campaign"]),
                (&json!("text"), &json!("sms-east"), &json!("texts"))
            );
            assert!(!event.to_string().contains("138000"), "no contact details: {event}");
            states.entry(event["data"]["touch"].as_str().unwrap().to_owned()).or_default().push(event["data"]["state"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(states.len(), 100);
    assert!(states.values().all(|s| matches!(s.join(" ").as_str(), "missed" | "reached" | "missed reached")), "{states:?}");
    assert_eq!(states.values().filter(|s| s.last().unwrap() == "reached").count(), 50);
    assert_eq!(statuses.last().unwrap(), "finished");
    serving.stop().await.unwrap();
    handle.drain();
    ended.await.unwrap().unwrap_or_else(|f| panic!("{}", f.text));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opt_out_in_the_middle_of_a_run_holds_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let (app, taker, handle, ended, row) = start(folder.path(), 400, "60/s").await;
    app.ears.name(Arc::new(handle.clone()));
    let (serving, url) = serve(&app);
    until("the run is under way", async || taker.taken.lock().unwrap().len() >= 20).await;
    let batch: Vec<_> = (200..400)
        .map(|i| {
            json!({"specversion": "1.0", "id": format!("s{i}"), "source": "urn:bank:gateway", "type": "touchline.event.text",
                   "data": {"phone": format!("+8613800{i:06}"), "text": "TD"}})
        })
        .collect();
    let asked = monotonic();
    let answer = reqwest::Client::new().post(format!("{url}/v1/events")).bearer_auth("gateway").json(&batch).send().await.unwrap();
    let took = asked.elapsed();
    assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["taken"], 200);
    println!("200 opt-outs by text: answered after {} ms", took.as_millis());
    until("nobody is pending or scheduled", async || {
        let tallies = app.store.tallies(row.id).await.unwrap();
        let audience = tallies.customers(400);
        audience[&State::Pending] + audience[&State::Scheduled] == 0
    })
    .await;
    let opted_out: Vec<CustomerId> = {
        let references: Vec<String> = (200..400).map(|i| format!("c{i:05}")).collect();
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        app.store.customer_ids(&references).await.unwrap().into_iter().flatten().collect()
    };
    let late: Vec<u128> = {
        let taken = taker.taken.lock().unwrap();
        opted_out.iter().filter_map(|id| taken.get(id)).map(|at| at.duration_since(asked).as_millis()).collect()
    };
    println!("sent to customers who had asked: {}, the last {:?} ms after", late.len(), late.iter().max());
    assert!(late.iter().all(|ms| *ms <= 1_000), "{late:?}");
    let suppressed = in_state(&app, &row, State::Suppressed).await;
    assert_eq!(suppressed, i64::try_from(200 - late.len()).unwrap());
    assert!(suppressed > 100, "the run was in its middle: {suppressed}");
    serving.stop().await.unwrap();
    handle.drain();
    ended.await.unwrap().unwrap_or_else(|f| panic!("{}", f.text));
}

/// What an RM or another system reports of a touch is on disk before it is answered: a kill after the answer loses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_reported_outcome_is_kept_before_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (app, taker, handle, ended, row) = start(folder.path(), 2, "5000/s").await;
    until("both are taken", async || in_state(&app, &row, State::Started).await == 2 && taker.taken.lock().unwrap().len() == 2).await;
    let (serving, url) = serve(&app);
    let id = app.store.customer_ids(&["c00000"]).await.unwrap()[0].unwrap();
    let report = json!({"happened": {"id": "x-1", "customer": "c00000", "touch": format!("{}-{id}-0", row.id), "channel": "sms",
        "started_at": app.now().to_string(), "disposition": "clicked"}});
    let post = || reqwest::Client::new().post(format!("{url}/v1/callbacks")).bearer_auth("call-centre").json(&report).send();
    // No engine is named: nobody hears it, and it is kept all the same.
    assert_eq!(post().await.unwrap().status().as_u16(), 202);
    assert_eq!(post().await.unwrap().status().as_u16(), 200, "the same again changes nothing");
    assert_eq!(app.store.open_receipts(None, 0, 10).await.unwrap().len(), 1);
    assert_eq!(in_state(&app, &row, State::Started).await, 2);
    app.ears.name(Arc::new(handle.clone()));
    assert_eq!(app.inbox_round(true).await.unwrap().handed, 1);
    until("the engine has it on record", async || in_state(&app, &row, State::Reached).await == 1).await;
    until("and the inbox knows", async || {
        app.inbox_round(true).await.unwrap();
        app.store.open_receipts(None, 0, 10).await.unwrap().is_empty()
    })
    .await;
    serving.stop().await.unwrap();
    handle.drain();
    ended.await.unwrap().unwrap_or_else(|f| panic!("{}", f.text));
}
