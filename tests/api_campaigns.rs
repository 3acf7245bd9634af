//! Campaigns over HTTP: the same desk, by whoever has the role for it, with every answer as the document says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use async_trait::async_trait;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use touchline::api::{self, Gate, House, Listening, Problem, Serving};
use touchline::app::{App, telemetry};
use touchline::clock::SystemClock;
use touchline::config::{self, Overrides};
use touchline::desk::control;
use touchline::domain::access::{Actor, Role, Roles};
use touchline::domain::time::Timestamp;
use touchline::store::memory::MemoryStore;
use touchline::store::{CustomerBook, CustomerInput, LeaseTable, ListBook};

const FILE: &str = "campaign: spring\ntitle: Spring\nopportunity: investment\nowner: desk\naudience: {list: all}\n\
schedule: {start: 2026-11-24T09:00, end: 2099-12-04T20:00, timezone: UTC}\npolicy: [wide-open]\nlimits: {rate: 100/s}\njourney:\n  \
- step: text\n    channel: sms\n    content: {en: \"Good morning\"}\n";

/// A token is a name and the first letters of its roles: `ann:author,approver`.
struct ByName;

#[async_trait]
impl Gate for ByName {
    async fn admit(&self, bearer: &str, _: Timestamp) -> Result<Actor, Problem> {
        let (name, roles) = bearer.split_once(':').ok_or_else(|| Problem::unknown_caller("nobody"))?;
        let roles: Vec<Role> = roles.split(',').filter_map(Role::from_name).collect();
        Ok(Actor { roles: Roles::of(&roles), ..Actor::local(name) })
    }
}

struct Bank {
    store: Arc<MemoryStore>,
    serving: Serving,
    http: reqwest::Client,
}

impl Bank {
    async fn open() -> Self {
        // Another test of this process may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let store = Arc::new(MemoryStore::new());
        let customers: Vec<CustomerInput> = (0..20).map(|i| CustomerInput { reference: format!("c{i}"), ..CustomerInput::default() }).collect();
        store.put_customers(&customers, None).await.unwrap();
        let list = store.open_list("all", Timestamp(1)).await.unwrap();
        store.add_all_customers(list).await.unwrap();
        store.freeze_list(list, Timestamp(2)).await.unwrap();
        let config = config::load(None, &Overrides::default()).unwrap();
        let app = Arc::new(App { config, store: Arc::clone(&store) as _, clock: Arc::new(SystemClock), ears: Default::default() });
        let house = House { app, gate: Arc::new(ByName), metrics: telemetry::metrics(), daemon: None };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let serving = api::start(house, listener, Listening { workers: 1, connections: 50, tls: None }).unwrap();
        Self { store, serving, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/v1{path}", self.serving.address)
    }

    async fn answer(&self, request: reqwest::RequestBuilder, who: &str, status: u16) -> Value {
        let answer = request.header("authorization", format!("Bearer {who}")).send().await.unwrap();
        let found = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(found, status, "{text}");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    async fn get(&self, path: &str, status: u16) -> Value {
        self.answer(self.http.get(self.url(path)), "eve:compliance", status).await
    }

    async fn post(&self, path: &str, who: &str, body: Value, status: u16) -> Value {
        let request = self.http.post(self.url(path)).header("content-type", "application/json").body(body.to_string());
        self.answer(request, who, status).await
    }

    async fn yaml(&self, path: &str, who: &str, text: &str, status: u16) -> Value {
        let request = if path.ends_with("/draft") { self.http.put(self.url(path)) } else { self.http.post(self.url(path)) };
        self.answer(request.header("content-type", "application/yaml").body(text.to_owned()), who, status).await
    }
}

#[tokio::test]
async fn a_campaign_goes_its_way_over_http() {
    let bank = Bank::open().await;
    // Faults as `validate` tells them, all at once, each with its place; nothing is kept of it.
    let wrong = FILE.replace("{list: all}", "{list: none-such}").replace("rate: 100/s", "rate: fast");
    let problem = bank.yaml("/campaigns", "ann:author", &wrong, 422).await;
    let faults = problem["faults"].as_array().unwrap();
    assert_eq!(faults.iter().map(|f| f["line"].as_i64().unwrap()).collect::<Vec<_>>(), [5, 8], "{problem}");
    assert!(faults[0]["column"].as_i64().unwrap() > 1 && faults[0]["message"].as_str().unwrap().contains("none-such"));
    assert_eq!(bank.get("/campaigns", 200).await["items"], json!([]));
    let rubbish = bank.yaml("/campaigns", "ann:author", "campaign: [", 422).await;
    assert!(!rubbish["faults"].as_array().unwrap().is_empty());

    let draft = bank.yaml("/campaigns?draft=true", "ann:author", &FILE.replace("morning", "day"), 201).await;
    assert_eq!((&draft["campaign"]["status"], &draft["seal"]), (&json!("draft"), &Value::Null));
    bank.yaml("/campaigns/spring/draft", "dan:author", FILE, 409).await;
    let other = bank.yaml("/campaigns/summer/draft", "ann:author", FILE, 422).await;
    assert_eq!(other["faults"][0]["line"], 1);
    bank.yaml("/campaigns/spring/draft", "ann:author", FILE, 200).await;
    let request = bank.http.post(bank.url("/campaigns/spring/submit"));
    let submitted = bank.answer(request, "dan:author", 200).await;
    assert_eq!((&submitted["campaign"]["status"], &submitted["campaign"]["audience"]), (&json!("submitted"), &json!(20)));
    let seal = submitted["seal"]["seal"].as_str().unwrap().to_owned();
    assert_eq!(bank.get("/campaigns/spring", 200).await["seal"]["seal"], seal.as_str());
    let again = bank.yaml("/campaigns", "dan:author", FILE, 200).await;
    assert_eq!(again["continued"], true);

    for author in ["ann:approver", "DAN:author,approver"] {
        let problem = bank.post("/campaigns/spring/approve", author, json!({"seal": seal}), 409).await;
        assert!(problem["detail"].as_str().unwrap().contains("another person"), "{problem}");
    }
    bank.post("/campaigns/spring/approve", "bob:approver", json!({"seal": "000000000000"}), 409).await;
    bank.post("/campaigns/spring/start", "olga:operator", json!({"why": "go"}), 409).await;
    let approved = bank.post("/campaigns/spring/approve", "bob:approver", json!({"seal": &seal[..12], "why": "read"}), 200).await;
    assert_eq!(approved["campaign"]["status"], "approved");
    assert_eq!(bank.post("/campaigns/spring/start", "olga:operator", json!({"why": "go"}), 200).await["status"], "scheduled");
    assert_eq!(bank.post("/campaigns/spring/pause", "olga:operator", json!({"why": "lunch"}), 200).await["wanted"], "pause");
    assert_eq!(bank.post("/campaigns/spring/resume", "olga:operator", json!({"why": "back"}), 200).await["wanted"], "run");
    bank.post("/campaigns/spring/pause", "olga:operator", json!({"why": " "}), 422).await;
    bank.post("/campaigns/spring/pause", "olga:operator", json!({"why": "x", "who": "me"}), 422).await;

    // A revision: what may not change is named, what may is approved like the first.
    let problem = bank.yaml("/campaigns", "ann:author", &FILE.replace("morning", "night"), 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("texts: journey.text.content"), "{problem}");
    let revised = bank.yaml("/campaigns", "ann:author", &FILE.replace("100/s", "50/s"), 201).await;
    assert_eq!((&revised["revision"]["number"], &revised["changes"][0]["key"]), (&json!(1), &json!("limits.rate")));
    let diff = bank.get("/campaigns/spring/diff", 200).await;
    assert_eq!((&diff["from"], &diff["to"], &diff["revisable"]), (&json!("1"), &json!("1.1"), &json!(true)));
    let standing = bank.get("/campaigns/spring", 200).await;
    assert_eq!((&standing["waiting"]["status"], &standing["seal"]["seal"]), (&json!("open"), &revised["seal"]["seal"]));
    let approved = bank.post("/campaigns/spring/approve", "bob:approver", json!({"seal": revised["seal"]["seal"]}), 200).await;
    assert_eq!(approved["revision"]["status"], "approved");
    let file = bank.get("/campaigns/spring/file?version=1.1", 200).await;
    assert!(file.as_str().unwrap().contains("50/s"));
    bank.get("/campaigns/spring/file?version=9", 404).await;
    assert_eq!(bank.get("/campaigns/spring/versions", 200).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_emergency_stop_over_http_takes_one_and_a_restart_two() {
    let bank = Bank::open().await;
    for name in ["spring", "summer"] {
        let submitted = bank.yaml("/campaigns", "ann:author", &FILE.replace("campaign: spring", &format!("campaign: {name}")), 201).await;
        bank.post(&format!("/campaigns/{name}/approve"), "bob:approver", json!({"seal": submitted["seal"]["seal"]}), 200).await;
    }
    let held = bank.post("/campaigns/spring/stop", "eve:compliance", json!({"why": "wrong text", "emergency": true}), 200).await;
    assert_eq!((&held["emergency"], &held["wanted"]), (&json!(true), &json!("pause")));
    let problem = bank.post("/campaigns/spring/resume", "olga:operator", json!({"why": "go"}), 409).await;
    assert!(problem["detail"].as_str().unwrap().contains("two different persons"), "{problem}");
    let first = bank.post("/campaigns/spring/restart", "eve:compliance", json!({"why": "mended"}), 200).await;
    assert_eq!((&first["restart"], &first["said_so"]), (&json!("first"), &json!(["eve"])));
    assert_eq!(bank.post("/campaigns/spring/restart", "Eve:operator", json!({"why": "mended"}), 200).await["restart"], "again");
    assert_eq!(bank.get("/campaigns/spring", 200).await["emergency"]["by"], "eve");
    assert_eq!(bank.post("/campaigns/spring/restart", "olga:operator", json!({"why": "seen"}), 200).await["restart"], "lifted");
    assert_eq!(bank.get("/campaigns/spring", 200).await["emergency"], Value::Null);
    let all = bank.post("/emergency-stop", "olga:operator", json!({"why": "fire"}), 200).await;
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    // Ended for good by one person; closed by whoever holds the store.
    assert_eq!(bank.post("/campaigns/summer/stop", "olga:operator", json!({"why": "enough"}), 200).await["wanted"], "stop");
    bank.post("/campaigns/summer/archive", "olga:operator", json!({"why": "tidy"}), 409).await;
    let fence = bank.store.acquire(false, Timestamp(3)).await.unwrap();
    let row = touchline::store::CampaignBook::campaign(bank.store.as_ref(), "summer", None).await.unwrap();
    control::close_stopped(bank.store.as_ref(), fence, row.id, "engine", "wanted stopped", Timestamp(3)).await.unwrap();
    assert_eq!(bank.post("/campaigns/summer/archive", "olga:operator", json!({"why": "tidy"}), 200).await["status"], "archived");
    let names = |page: &Value| page["items"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&bank.get("/campaigns", 200).await), ["spring"]);
    let page = bank.get("/campaigns?archived=true&limit=1", 200).await;
    assert_eq!((names(&page), page["next"].as_i64()), (vec!["spring".to_owned()], Some(1)));
    let page = bank.get("/campaigns?archived=true&limit=1&after=1", 200).await;
    assert_eq!((names(&page), &page["next"]), (vec!["summer".to_owned()], &Value::Null));
    let events = bank.get("/campaigns/spring/events?limit=2", 200).await;
    assert_eq!((events["items"][1]["by"].as_str(), events["next"].as_i64()), (Some("bob"), Some(2)));
    let rest = bank.get("/campaigns/spring/events?after=2&limit=1000", 200).await;
    assert_eq!((rest["items"][0]["id"].as_i64(), &rest["next"]), (Some(3), &Value::Null));
    bank.get("/campaigns?limit=0", 400).await;
    bank.get("/campaigns/autumn", 404).await;
    bank.get("/campaigns/autumn/events", 404).await;
}

#[tokio::test]
async fn each_call_asks_for_its_role() {
    let bank = Bank::open().await;
    bank.yaml("/campaigns", "olga:operator,approver", FILE, 403).await;
    bank.yaml("/campaigns", "ann:author", FILE, 201).await;
    for (path, wrong) in [
        ("approve", "ann:author,operator"),
        ("start", "bob:approver,author"),
        ("pause", "bob:approver"),
        ("resume", "eve:compliance"),
        ("stop", "ann:author,finance"),
        ("restart", "ann:author"),
        ("archive", "bob:approver"),
        ("submit", "bob:approver"),
    ] {
        bank.post(&format!("/campaigns/spring/{path}"), wrong, json!({"why": "x"}), 403).await;
    }
    bank.post("/emergency-stop", "rita:rm", json!({"why": "x"}), 403).await;
    for path in ["", "/spring", "/spring/events", "/spring/versions", "/spring/file", "/spring/diff"] {
        let request = bank.http.get(bank.url(&format!("/campaigns{path}")));
        bank.answer(request, "rita:rm,system,admin", 403).await;
    }
    let request = bank.http.post(bank.url("/campaigns")).header("content-type", "application/json").body("{}");
    bank.answer(request, "ann:author", 415).await;
}
