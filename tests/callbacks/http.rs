//! The same over HTTP: statuses, shapes, and that a foreign customer is not there.
use crate::people;
use async_trait::async_trait;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use touchline::api::{Gate, House, Listening, Problem, Serving, operations, start};
use touchline::app::App;
use touchline::clock::{Clock, SystemClock};
use touchline::config::{Overrides, load};
use touchline::domain::access::{Actor, Role, Roles};
use touchline::domain::time::{DAY, HOUR, Timestamp};
use touchline::store::memory::MemoryStore;

/// Whoever shows the name of a part plays it.
struct Stage;

#[async_trait]
impl Gate for Stage {
    async fn admit(&self, bearer: &str, _: Timestamp) -> Result<Actor, Problem> {
        match bearer {
            "system" => Ok(crate::system()),
            "rm" => Ok(crate::rm()),
            "finance" => Ok(Actor { roles: Roles::of(&[Role::Finance]), ..Actor::local("f") }),
            _ => Err(Problem::unknown_caller("who are you?")),
        }
    }
}

struct Client {
    serving: Serving,
    http: reqwest::Client,
}

impl Client {
    async fn new() -> Self {
        let store = MemoryStore::new();
        people(&store).await;
        let config = load(None, &Overrides::default()).unwrap();
        let app = Arc::new(App { config, store: Arc::new(store), clock: Arc::new(SystemClock), ears: Default::default() });
        let house = House::new(app, Arc::new(Stage));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let serving = start(house, listener, Listening { workers: 1, connections: 10, tls: None }).unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { serving, http: reqwest::Client::new() }
    }

    async fn ask(&self, method: &str, path: &str, who: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method.parse().unwrap(), format!("http://{}{path}", self.serving.address)).bearer_auth(who);
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {status} {text}")))
    }
}

/// Tomorrow at ten by a clock in Shanghai, and that instant.
fn tomorrow_at_ten(now: Timestamp) -> String {
    let local = now.plus(DAY).utc().with_timezone(&chrono_tz::Asia::Shanghai);
    format!("{}T10:00", local.date_naive())
}

#[tokio::test]
async fn the_endpoints_answer_as_they_say() {
    let client = Client::new().await;
    let now = SystemClock.now();
    let ago = now.plus(-HOUR).to_string();
    let contact = json!({"happened": {"id": "c-1", "customer": "c0", "started_at": ago, "disposition": "interested", "connected_s": 61}});
    let (status, first) = client.ask("POST", "/v1/callbacks", "rm", contact.clone()).await;
    assert_eq!((status, &first["contact"]["state"]), (201, &json!("reached")), "{first}");
    let (status, again) = client.ask("POST", "/v1/callbacks", "rm", contact.clone()).await;
    assert_eq!((status, again), (200, first.clone()), "the same answer");
    let foreign = json!({"happened": {"id": "c-2", "customer": "c1", "started_at": ago, "disposition": "interested"}});
    assert_eq!(client.ask("POST", "/v1/callbacks", "rm", foreign).await.0, 404);
    let (status, faults) = client
        .ask(
            "POST",
            "/v1/callbacks",
            "rm",
            json!({"happened": {"id": "", "customer": "c0", "started_at": now.plus(DAY).to_string(), "disposition": "cap"}}),
        )
        .await;
    assert_eq!((status, faults["faults"].as_array().map(Vec::len)), (422, Some(4)), "{faults}");
    for body in [json!({}), json!({"happened": contact["happened"], "wanted": {"id": "w", "customer": "c0"}}), json!({"what": 1})] {
        assert_eq!(client.ask("POST", "/v1/callbacks", "rm", body).await.0, 422);
    }
    let receipt =
        json!({"happened": {"id": "c-3", "customer": "c0", "touch": first["contact"]["touch"], "started_at": ago, "disposition": "interested"}});
    let (status, refused) = client.ask("POST", "/v1/callbacks", "system", receipt).await;
    assert_eq!(status, 409, "a reported contact is corrected by its own name: {refused}");

    let wish = json!({"wanted": {"id": "w-1", "customer": "c0", "local_time": tomorrow_at_ten(now), "topic": "mortgage"}});
    let (status, taken) = client.ask("POST", "/v1/callbacks", "system", wish.clone()).await;
    assert_eq!((status, &taken["wish"]["taken"]), (201, &json!(true)), "{taken}");
    assert_eq!(client.ask("POST", "/v1/callbacks", "system", wish).await.0, 200);
    let night = json!({"wanted": {"id": "w-2", "customer": "c0", "local_time": tomorrow_at_ten(now).replace("T10", "T23")}});
    let (status, refused) = client.ask("POST", "/v1/callbacks", "system", night).await;
    let why = refused["faults"][0]["message"].as_str().unwrap_or_default();
    assert!(status == 422 && why.contains("T09:00:00+08:00") && why.contains("T01:00:00Z in UTC"), "{refused}");

    let task = taken["wish"]["task"].as_i64().unwrap();
    let (status, moved) = client.ask("POST", &format!("/v1/worklist/{task}/callback"), "rm", json!({"local_time": tomorrow_at_ten(now)})).await;
    assert_eq!(status, 201, "a wish of the task's own: {moved}");
    let left_off = json!({"name": "loan-application", "step": "income", "left_on": "branch", "detail": {"n": 1}});
    let (status, kept) = client.ask("POST", &format!("/v1/worklist/{task}/checkpoint"), "rm", left_off.clone()).await;
    assert_eq!((status, &kept[0]["detail"]["n"]), (200, &json!(1)));
    let referral = json!({"id": "f-1", "to_branch": "east", "title": "Finish the application"});
    let path = format!("/v1/worklist/{task}/referral");
    assert_eq!(client.ask("POST", &path, "rm", referral.clone()).await.0, 201);
    assert_eq!(client.ask("POST", &path, "rm", referral).await.0, 200);
    assert_eq!(client.ask("POST", "/v1/worklist/999/referral", "rm", json!({"id": "f", "title": "t", "to_rm": "x"})).await.0, 404);

    let hold = json!({"until": now.plus(2 * DAY).to_string(), "why": "meeting"});
    let (status, held) = client.ask("POST", "/v1/customers/c0/hold", "rm", hold.clone()).await;
    assert!(status == 200 && held["held_until"].is_string(), "{held}");
    let (_, seen) = client.ask("GET", "/v1/customers/c0/timeline", "rm", Value::Null).await;
    assert_eq!(seen["held_until"], held["held_until"]);
    assert_eq!(seen["tasks"].as_array().map(Vec::len), Some(3), "{seen}");
    assert_eq!(client.ask("DELETE", "/v1/customers/c0/hold", "rm", Value::Null).await, (200, json!({"customer": "c0", "held_until": null})));
    assert_eq!(client.ask("POST", "/v1/customers/c0/checkpoints", "rm", left_off).await.0, 200);
    assert_eq!(client.ask("GET", "/v1/customers/c0/checkpoints", "rm", Value::Null).await.1.as_array().map(Vec::len), Some(1));
    // Another RM's customer is not there, whatever is asked.
    for (method, path, body) in [
        ("POST", "/v1/customers/c1/hold", hold),
        ("DELETE", "/v1/customers/c1/hold", Value::Null),
        ("GET", "/v1/customers/c1/checkpoints", Value::Null),
        ("GET", "/v1/customers/c1/timeline", Value::Null),
    ] {
        assert_eq!(client.ask(method, path, "rm", body).await.0, 404, "{method} {path}");
    }
    assert_eq!(client.ask("GET", "/v1/customers/c0/timeline", "finance", Value::Null).await.0, 403);
    client.serving.stop().await.unwrap();
}

/// Examples of the table are true: what they show as a request is read as one.
#[test]
fn examples_are_true() {
    let find = |id: &str| operations().into_iter().find(|o| o.id == id).unwrap().body.unwrap().example;
    serde_json::from_value::<touchline::desk::contacts::HoldAsked>(find("holdCustomer")).unwrap();
    serde_json::from_value::<touchline::desk::referrals::Referred>(find("postTaskReferral")).unwrap();
    serde_json::from_value::<touchline::desk::referrals::CheckpointSaid>(find("putCheckpoint")).unwrap();
    serde_json::from_value::<touchline::desk::callbacks::Wanted>(find("postCallback")["wanted"].clone()).unwrap();
}
