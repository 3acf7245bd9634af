//! The day's house: the daemon as a process, and requests to it as one of the staff.
use super::bank::{NAME, STAFF};
use super::serving::{Daemon, touchline};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use touchline::clock::{Clock, SystemClock, sleep_ms};

/// What a request carries.
pub enum Sent<'a> {
    Nothing,
    Json(Value),
    Yaml(&'a str),
    Csv(String),
}

pub struct House {
    pub folder: tempfile::TempDir,
    settings: String,
    daemon: Option<Daemon>,
    /// What the daemons that have ended had logged.
    pub log: Vec<String>,
    pub tokens: BTreeMap<&'static str, String>,
}

/// This instant, by the clock that the daemon goes by too.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(SystemClock.now().0).unwrap()
}

/// An instant of an answer.
pub fn instant(value: &Value) -> DateTime<Utc> {
    let text = value.as_str().unwrap_or_else(|| panic!("expected an instant, found {value}"));
    DateTime::parse_from_rfc3339(text).unwrap_or_else(|e| panic!("expected an instant, found {text:?}: {e}")).to_utc()
}

/// `v1,` and the HMAC-SHA256 of id, second and body, as Standard Webhooks has it: made here anew, not by the house's own code.
pub fn signature(secret: &str, id: &str, second: &str, body: &str) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    format!("v1,{}", STANDARD.encode(ring::hmac::sign(&key, format!("{id}.{second}.{body}").as_bytes())))
}

/// Looks until it is so; a minute is a hang.
pub async fn until<F: Future<Output = Option<T>>, T>(what: &str, mut look: impl FnMut() -> F) -> T {
    for _ in 0..600 {
        if let Some(found) = look().await {
            return found;
        }
        sleep_ms(100).await;
    }
    panic!("it did not come to this within a minute: {what}");
}

impl House {
    /// Tokens for everybody by the command line, and then the daemon.
    pub fn open(settings: impl Fn(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let tokens = STAFF.iter().map(|(name, roles, branch, rm)| {
            let mut command = touchline(&data);
            command.args(["--json", "token", "new", "--name", name]);
            command.args(roles.iter().flat_map(|role| ["--role", role]));
            command.args(branch.iter().flat_map(|branch| ["--branch", branch])).args(rm.iter().flat_map(|rm| ["--rm", rm]));
            let out = command.output().unwrap();
            assert!(out.status.success(), "token of {name}: {}", String::from_utf8_lossy(&out.stderr));
            let made: Value = serde_json::from_slice(&out.stdout).unwrap();
            (*name, made["secret"].as_str().unwrap().to_owned())
        });
        let tokens = tokens.collect();
        let settings = settings(folder.path());
        let mut house = Self { folder, settings, daemon: None, log: Vec::new(), tokens };
        house.start();
        house
    }
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
    pub fn start(&mut self) {
        self.daemon = Some(Daemon::start(&self.data(), &self.settings));
    }
    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }
    /// kill -9.
    pub fn kill(&mut self) {
        let daemon = self.daemon.take().unwrap();
        self.log.extend(daemon.logged());
        daemon.kill();
    }
    /// Asks it to end in order, and waits.
    pub fn end(&mut self) -> std::process::ExitStatus {
        let (status, log) = self.daemon.take().unwrap().terminate();
        self.log.extend(log);
        status
    }

    /// A request and its answer, which must have this status.
    pub async fn ask(&self, who: &str, method: Method, path: &str, sent: Sent<'_>, status: u16) -> Value {
        let (found, answer) = self.answer(who, &method, path, sent).await;
        assert_eq!(found, status, "{method} {path} as {who}: expected {status}, found {found}: {answer}");
        answer
    }
    /// A request, the status of its answer, and the answer. Whoever asks too often waits, as the daemon asks for.
    pub async fn answer(&self, who: &str, method: &Method, path: &str, sent: Sent<'_>) -> (u16, Value) {
        for _ in 0..100 {
            let mut request = self.daemon().request(method.clone(), path, &self.tokens[who]);
            request = match &sent {
                Sent::Nothing => request,
                Sent::Json(value) => request.header("content-type", "application/json").body(value.to_string()),
                Sent::Yaml(text) => request.header("content-type", "application/yaml").body((*text).to_owned()),
                Sent::Csv(text) => request.header("content-type", "text/csv").body(text.clone()),
            };
            let answer = request.send().await.unwrap_or_else(|e| panic!("{method} {path} as {who}: no answer: {e:?}"));
            let found = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            if found != 429 {
                return (found, serde_json::from_str(&text).unwrap_or(Value::String(text)));
            }
            sleep_ms(200).await;
        }
        panic!("{method} {path} as {who}: refused as too many for 20 seconds");
    }
    pub async fn get(&self, who: &str, path: &str) -> Value {
        self.ask(who, Method::GET, path, Sent::Nothing, 200).await
    }
    pub async fn post(&self, who: &str, path: &str, body: Value, status: u16) -> Value {
        self.ask(who, Method::POST, path, Sent::Json(body), status).await
    }
    /// A verb of the campaign.
    pub async fn verb(&self, who: &str, verb: &str, body: Value, status: u16) -> Value {
        self.post(who, &format!("/v1/campaigns/{NAME}/{verb}"), body, status).await
    }
    pub async fn report(&self) -> Value {
        self.get("olga", &format!("/v1/campaigns/{NAME}/report")).await
    }
    pub async fn attempts(&self) -> i64 {
        self.report().await["attempts"]["total"].as_i64().unwrap()
    }
    /// Every touch of a customer in the campaign, oldest first.
    pub async fn touches_of(&self, reference: &str) -> Vec<Value> {
        let told = self.get("eve", &format!("/v1/explain?customer={reference}&campaign={NAME}")).await;
        told["campaigns"][0]["touches"].as_array().unwrap_or_else(|| panic!("{reference}: no touches in {told}")).clone()
    }
    /// Makes an export and fetches its data file: the manifest, and the file's bytes.
    pub async fn export(&self, what: &str, format: &str) -> (Value, String) {
        let made = self.post("fay", "/v1/exports", serde_json::json!({"campaign": NAME, "what": what, "format": format}), 201).await;
        let file = self.fetch(&made["manifest"]).await;
        (made["manifest"].clone(), file)
    }
    /// The data file of an export, as text (of a Parquet file: as far as it is text).
    pub async fn fetch(&self, manifest: &Value) -> String {
        let (number, name) = (&manifest["number"], manifest["files"][0]["name"].as_str().unwrap());
        let path = format!("/v1/exports/{number}/{name}");
        let answer = self.daemon().request(Method::GET, &path, &self.tokens["fay"]).send().await.unwrap();
        assert_eq!(answer.status(), 200, "GET {path}");
        let bytes = answer.bytes().await.unwrap();
        let sum: String = ring::digest::digest(&ring::digest::SHA256, &bytes).as_ref().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(manifest["files"][0]["sha256"], sum.as_str(), "{path}: its SHA-256 is not the manifest's");
        String::from_utf8_lossy(&bytes).into_owned()
    }
    /// The touches as the ledger has them now, one object each, with its name as `touch`.
    pub async fn ledger(&self) -> Vec<Value> {
        let (manifest, file) = self.export("touches", "jsonl").await;
        let mut rows: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect();
        for row in &mut rows {
            let name = format!("{}-{}-{}", manifest["run"], row["customer"], row["seq"]);
            row["touch"] = name.into();
        }
        rows
    }
    /// A message of the provider of sms-east, signed.
    pub async fn provider_says(&self, id: &str, receipts: &Value, status: u16) -> Value {
        let (body, second) = (receipts.to_string(), now().timestamp().to_string());
        let request = self.daemon().http.post(format!("{}/v1/receipts/sms-east", self.daemon().url)).header("content-type", "application/json");
        let request = request.header("webhook-id", id).header("webhook-timestamp", &second);
        let signed = signature(super::bank::PROVIDER_SECRET, id, &second, &body);
        let answer = request.header("webhook-signature", signed).body(body).send().await.unwrap();
        let found = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(found, status, "receipts {id}: {text}");
        serde_json::from_str(&text).unwrap()
    }
}
