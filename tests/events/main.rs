//! What comes in from providers and other systems, and what goes out to them: over HTTP, against a peer nobody here wrote, against
//! receivers that fail in every way, and against a resident engine.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod engine;
mod incoming;
mod peer;
mod receipts;
mod receiver;
mod webhooks;

use async_trait::async_trait;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use touchline::api::{self, Gate, House, Listening, Problem, Serving};
use touchline::app::{Access, App, telemetry};
use touchline::clock::{Clock, sleep_ms};
use touchline::config::{Overrides, load};
use touchline::desk::receipts::Ear;
use touchline::domain::access::Actor;
use touchline::domain::contact::Phone;
use touchline::domain::ids::{CustomerId, RouteId};
use touchline::domain::signature::{SigningSecret, sign};
use touchline::domain::time::Timestamp;
use touchline::store::CustomerInput;
use touchline::store::inbox::NewReceipt;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const NEXT_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// 2026-11-24T00:00:00Z.
pub const T0: Timestamp = Timestamp(1_795_478_400_000);

/// A clock that stands until it is moved.
pub struct Hands(AtomicI64);

impl Hands {
    pub fn at(time: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time.0)))
    }
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.0, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Remembers what it was told.
#[derive(Default)]
pub struct Listener {
    pub receipts: Mutex<Vec<(RouteId, NewReceipt)>>,
    pub withdrawn: Mutex<Vec<CustomerId>>,
}

impl Ear for Listener {
    fn receipts(&self, route: RouteId, receipts: &[NewReceipt]) -> bool {
        self.receipts.lock().unwrap().extend(receipts.iter().map(|r| (route, r.clone())));
        true
    }
    fn withdrawn(&self, customers: &[CustomerId]) -> bool {
        self.withdrawn.lock().unwrap().extend(customers);
        true
    }
}

/// A house over SQLite (`store`: its URL), with two SMS routes that take receipts.
pub async fn house(folder: &Path, store: &str, clock: Option<Arc<dyn Clock>>, more: &str) -> App {
    let secrets = folder.join("secrets");
    if !secrets.exists() {
        std::fs::write(&secrets, SECRET).unwrap();
    }
    let route = |name: &str| format!("[[routes]]\nname = '{name}'\nchannel = 'sms'\nlimit = '5000/s'\n");
    let text = format!(
        "{}{}[receipts.sms-east]\nsecret_file = '{}'\ndispositions = {{DELIVRD = 'delivered'}}\n\
         [receipts.sms-west]\nscheme = 'token'\nheader = 'authorization'\nsecret_file = '{}'\n{more}",
        route("sms-east"),
        route("sms-west"),
        secrets.display(),
        folder.join("token").display()
    );
    std::fs::write(folder.join("token"), "a-token-of-the-provider").unwrap();
    let settings = folder.join("touchline.toml");
    std::fs::write(&settings, text).unwrap();
    let overrides = Overrides { store_url: Some(store.to_owned()), data: Some(folder.join("data")), ..Overrides::default() };
    let config = load(Some(&settings), &overrides).unwrap_or_else(|faults| panic!("{faults:?}"));
    let app = App::open(config, Access::Write).await.unwrap_or_else(|f| panic!("{}", f.text));
    match clock {
        Some(clock) => App { clock, ..app },
        None => app,
    }
}

pub async fn people(app: &App, n: usize) {
    let customers: Vec<CustomerInput> = (0..n)
        .map(|i| CustomerInput {
            reference: format!("c{i:05}"),
            phone: Some(Phone::new(format!("+8613800{i:06}"))),
            language: Some("zh-CN".into()),
            timezone: Some(chrono_tz::Asia::Shanghai),
            branch: Some(if i.is_multiple_of(2) { "west" } else { "east" }.into()),
            ..CustomerInput::default()
        })
        .collect();
    app.store.put_customers(&customers, None).await.unwrap();
}

struct AnyToken;

#[async_trait]
impl Gate for AnyToken {
    async fn admit(&self, bearer: &str, _: Timestamp) -> Result<Actor, Problem> {
        Ok(Actor::local(bearer))
    }
}

/// The API of a house in this process.
pub fn serve(app: &Arc<App>) -> (Serving, String) {
    touchline::app::tls::provider();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let house = House { app: Arc::clone(app), gate: Arc::new(AnyToken), metrics: telemetry::metrics(), daemon: None };
    let serving = api::start(house, listener, Listening { workers: 1, connections: 100, tls: None }).unwrap();
    let url = format!("http://{}", serving.address);
    (serving, url)
}

/// A message to a route, signed by Standard Webhooks.
pub fn signed(url: &str, secret: &str, id: &str, at: Timestamp, body: &str) -> reqwest::RequestBuilder {
    let second = at.0.div_euclid(1000);
    reqwest::Client::new()
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", second)
        .header("webhook-signature", sign(&SigningSecret::standard(secret).unwrap(), id, second, body.as_bytes()))
        .body(body.to_owned())
}

/// Looks until it is so; a minute is a hang.
pub async fn until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    for _ in 0..1_200 {
        if look().await {
            return;
        }
        sleep_ms(50).await;
    }
    panic!("it did not come to this within a minute: {what}");
}
