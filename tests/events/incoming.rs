//! Events over HTTP: opt-outs, complaints, ratings, opens, by reference, touch and number.
use super::*;
use serde_json::{Value, json};
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentState, Purpose};

fn event(id: &str, kind: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "id": id, "source": "urn:bank:gateway", "type": format!("touchline.event.{kind}"), "time": "2026-11-24T00:00:00Z", "data": data})
}

async fn bank(store: &str, folder: &Path) -> (App, Arc<Listener>) {
    let app = house(folder, store, Some(Hands::at(T0.plus(60_000))), "").await;
    people(&app, 6).await;
    let ear = Arc::new(Listener::default());
    app.ears.name(ear.clone());
    (app, ear)
}

async fn tell(app: &App, actor: &Actor, batch: &[Value]) -> Vec<String> {
    let results = app.take_events(actor, batch, touchline::clock::monotonic()).await.unwrap();
    results.iter().map(|r| serde_json::to_value(r.verdict).unwrap().as_str().unwrap().to_owned()).collect()
}

async fn sms(app: &App, customer: usize) -> ConsentState {
    let row = app.store.customer(&format!("c{customer:05}")).await.unwrap().unwrap();
    row.contactability.consent(Channel::Sms, Purpose::Marketing)
}

#[tokio::test]
async fn opt_outs_hold_are_told_and_repeat_harmlessly() {
    let folder = tempfile::tempdir().unwrap();
    for store in ["memory:".to_owned(), format!("sqlite:{}", folder.path().join("t.sqlite").display())] {
        let (app, ear) = bank(&store, folder.path()).await;
        let batch = [
            event("1", "text", json!({"customer": "c00000", "text": "TD"})),
            event("2", "text", json!({"phone": "+8613800000001", "text": " ＳＴＯＰ! "})),
            event("3", "text", json!({"customer": "c00002", "text": "please stop calling me at work"})),
            event("4", "text", json!({"customer": "c00003", "text": "好的，明天见"})),
            event("5", "text", json!({"customer": "c00004", "text": "全部退订"})),
            event("6", "opted_out", json!({"customer": "c00005", "channel": "call"})),
            event("7", "text", json!({"phone": "+8613999999999", "text": "退订"})),
            event("8", "opted_out", json!({"phone": "12345"})),
            event("1", "text", json!({"customer": "c00003", "text": "TD"})),
            json!({"id": "9"}),
        ];
        let verdicts = tell(&app, &Actor::local("gateway"), &batch).await;
        let expected = ["taken", "taken", "for_a_person", "taken", "taken", "taken", "for_a_person", "rejected", "repeated", "rejected"];
        assert_eq!(verdicts, expected, "{store}");
        assert_eq!((sms(&app, 0).await, sms(&app, 1).await), (ConsentState::Withdrawn, ConsentState::Withdrawn));
        assert_eq!(
            (sms(&app, 2).await, sms(&app, 3).await, sms(&app, 5).await),
            (ConsentState::Unknown, ConsentState::Unknown, ConsentState::Unknown)
        );
        let all = app.store.customer("c00004").await.unwrap().unwrap().contactability;
        assert!(Channel::ALL.iter().all(|c| all.consent(*c, Purpose::Marketing) == ConsentState::Withdrawn), "ALL is all");
        assert_eq!(all.consent(Channel::Sms, Purpose::Service), ConsentState::Unknown, "a marketing text ends marketing");
        let consents = app.store.consents(app.store.customer("c00000").await.unwrap().unwrap().id).await.unwrap();
        assert_eq!(consents[0].at, T0);
        assert!(consents[0].source.contains("\"td\"") && consents[0].source.contains("keywords 2026-11"), "{}", consents[0].source);
        assert_eq!(ear.withdrawn.lock().unwrap().len(), 4, "the engine knows of each");
        let letters = app.store.dead_letters(true, 0, 10).await.unwrap();
        assert_eq!(letters.len(), 2, "the sentence, and the number that nobody has");
        assert!(String::from_utf8_lossy(&letters[0].letter.raw).contains("at work"));

        let again = tell(&app, &Actor::local("gateway"), &batch[..7]).await;
        assert!(again.iter().all(|v| v == "repeated"), "{again:?}");
        assert_eq!(ear.withdrawn.lock().unwrap().len(), 4);
        assert_eq!(app.store.dead_letters(true, 0, 10).await.unwrap().len(), 2);

        // The number's customer is imported, and the wish is taken after all.
        assert!(app.retry_dead_letter(&Actor::local("ann"), letters[1].id).await.is_err());
        let new = CustomerInput { reference: "c-new".into(), phone: Some(Phone::new("+8613999999999")), ..CustomerInput::default() };
        app.store.put_customers(&[new], None).await.unwrap();
        app.retry_dead_letter(&Actor::local("ann"), letters[1].id).await.unwrap();
        let row = app.store.customer("c-new").await.unwrap().unwrap();
        assert_eq!(row.contactability.consent(Channel::Sms, Purpose::Marketing), ConsentState::Withdrawn);
        assert_eq!(app.store.dead_letters(true, 0, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn complaints_suppress_ratings_count_and_a_branch_speaks_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (app, ear) = bank("memory:", folder.path()).await;
    let west = Actor { branch: Some("west".into()), ..Actor::local("west-crm") };
    let batch = [
        event("1", "complained", json!({"customer": "c00000"})),
        event("2", "complained", json!({"customer": "c00001"})),
        event("3", "rated", json!({"customer": "c00002", "rating": 5})),
        event("4", "rated", json!({"customer": "c00002", "rating": 6})),
        event("5", "rated", json!({"customer": "nobody", "rating": 1})),
        event("6", "opened", json!({"customer": "c00002"})),
        event("7", "rated", json!({"customer": "c00004", "rating": 4, "touch": "1-1-0"})),
    ];
    // The foreign customer is as unknown as one who is not there; a complaint is kept for a person all the same.
    let expected = ["taken", "for_a_person", "taken", "rejected", "rejected", "rejected", "rejected"];
    assert_eq!(tell(&app, &west, &batch).await, expected);
    let row = app.store.customer("c00000").await.unwrap().unwrap();
    assert!(row.contactability.has_complained() && row.contactability.is_suppressed(Channel::Call));
    assert!(!app.store.customer("c00001").await.unwrap().unwrap().contactability.has_complained());
    assert_eq!(*ear.withdrawn.lock().unwrap(), [row.id]);
    assert_eq!(app.store.ratings(None).await.unwrap(), [0, 0, 0, 0, 1]);
    assert_eq!(tell(&app, &west, &batch[2..3]).await, ["repeated"]);
    assert_eq!(app.store.ratings(None).await.unwrap(), [0, 0, 0, 0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_over_http_are_bounded_and_answered_by_place() {
    let folder = tempfile::tempdir().unwrap();
    let (app, _) = bank("memory:", folder.path()).await;
    let app = Arc::new(app);
    let (serving, url) = serve(&app);
    let post = async |content_type: &str, body: String| {
        let request = reqwest::Client::new().post(format!("{url}/v1/events")).bearer_auth("gateway").header("content-type", content_type);
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };
    let one = event("1", "text", json!({"customer": "c00000", "text": "TD"}));
    let (status, answer) = post("application/cloudevents+json", one.to_string()).await;
    assert_eq!((status, &answer["taken"], &answer["results"][0]["verdict"]), (200, &json!(1), &json!("taken")), "{answer}");
    let many: Vec<Value> = (0..1001).map(|i| event(&format!("b{i}"), "text", json!({"customer": "c00000", "text": "hi"}))).collect();
    assert_eq!(post("application/json", json!(many[..1000]).to_string()).await.1["taken"], 1000);
    assert_eq!(post("application/cloudevents-batch+json", json!(many).to_string()).await.0, 422);
    assert_eq!(post("application/json", "{".into()).await.0, 400);
    assert_eq!(post("application/json", "7".into()).await.0, 422);
    assert_eq!(post("text/plain", "7".into()).await.0, 415);
    let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"touchline_opt_out_seconds_count{to="commit"}"#), "{metrics}");
    serving.stop().await.unwrap();
}
