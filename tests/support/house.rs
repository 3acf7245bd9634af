//! The API in this process: memory store, tokens of our own, on a free port of the loopback.
#![allow(dead_code, reason = "each test binary uses its own part")]
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use touchline::api::{self, House, HouseGate, Listening, Serving};
use touchline::app::{Access, App, tls};
use touchline::config::{Config, Overrides, load};
use touchline::desk::tokens;
use touchline::domain::access::{Actor, Role, Roles};
use touchline::domain::time::DAY;
use touchline::domain::token::Grant;
use touchline::store::CustomerInput;

/// A served house.
pub struct Served {
    pub app: Arc<App>,
    pub url: String,
    pub http: reqwest::Client,
    serving: Serving,
}

/// Serves a house; `change` changes its settings.
pub async fn serve(change: impl FnOnce(&mut Config)) -> Served {
    tls::provider();
    let overrides = Overrides { store_url: Some("memory:".to_owned()), ..Overrides::default() };
    let mut config = load(None, &overrides).unwrap();
    (config.serve.requests_per_second, config.serve.burst) = (10_000, 10_000);
    change(&mut config);
    let app = Arc::new(App::open(config, Access::Write).await.unwrap());
    let gate = Arc::new(HouseGate::new(Arc::clone(&app)).unwrap());
    let house = House::new(Arc::clone(&app), gate);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let serving = api::start(house, listener, Listening { workers: 2, connections: 256, tls: None }).unwrap();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
    Served { app, url: format!("http://{}", serving.address), http, serving }
}

impl Served {
    /// A token's text.
    pub async fn token(&self, name: &str, roles: &[Role], change: impl FnOnce(&mut Grant)) -> String {
        let expires_at = self.app.now().plus(DAY);
        let mut grant = Grant { name: name.into(), roles: Roles::of(roles), branch: None, rm: None, scopes: Vec::new(), expires_at };
        change(&mut grant);
        tokens::make(self.app.store.as_ref(), &Actor::local("root"), grant, self.app.now()).await.unwrap().text
    }
    /// Customers C1 of branch west (rm-7) and C2 of branch east (rm-8).
    pub async fn customers(&self) {
        let one = |reference: &str, branch: &str, rm: &str| CustomerInput {
            reference: reference.into(),
            branch: Some(branch.into()),
            rm: Some(rm.into()),
            ..CustomerInput::default()
        };
        self.app.store.put_customers(&[one("C1", "west", "rm-7"), one("C2", "east", "rm-8")], None).await.unwrap();
    }
    /// Calls; status, headers and body (null when it is no JSON).
    pub async fn call(&self, request: reqwest::RequestBuilder) -> (u16, reqwest::header::HeaderMap, Value) {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null))
    }
    pub async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        let (status, _, body) = self.call(self.http.get(format!("{}{path}", self.url)).bearer_auth(token)).await;
        (status, body)
    }
    pub fn address(&self) -> SocketAddr {
        self.serving.address
    }
    /// Writes raw bytes and reads what comes until the other side closes or is silent for so long.
    pub async fn raw(&self, bytes: impl Into<Vec<u8>>, patience: Duration) -> String {
        let (address, bytes) = (self.address(), bytes.into());
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(patience)).unwrap();
            // The other side may refuse before it has read all.
            let _ = stream.write_all(&bytes);
            let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
            while let Ok(n) = stream.read(&mut buffer) {
                if n == 0 {
                    break;
                }
                read.extend_from_slice(&buffer[..n]);
            }
            String::from_utf8_lossy(&read).into_owned()
        })
        .await
        .unwrap()
    }
}
