//! Typed settings: defaults, then the TOML file, then `TOUCHLINE_*` in the environment, then flags. Every fault is reported at
//! once, with its key, where it was set, and what was expected. `config.default.toml` is the reference of all keys.
mod callbacks;
mod mail;
mod oidc;
mod personal;
mod receipts;
mod serve;
mod webhooks;
mod worklist;

pub use callbacks::CallbacksConfig;
pub use mail::{MailConfig, Secret};
pub use oidc::OidcConfig;
pub use personal::PersonalDataConfig;
pub use receipts::ReceiptsConfig;
pub use serve::ServeConfig;
pub use webhooks::WebhooksConfig;
pub use worklist::WorklistConfig;

use crate::channels::route::{RouteSpec, check_routes, default_routes};
use crate::domain::retention::Retention;
use crate::finance::MailTls;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Value};
use figment::{Figment, Provider};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The reference of all keys, with their defaults and what they mean.
pub const DEFAULT_FILE: &str = include_str!("config.default.toml");

/// The environment's prefix: `TOUCHLINE_STORE_URL` is `store.url`, `TOUCHLINE_ENGINE_LINGER_MS` is `engine.linger_ms`.
const PREFIX: &str = "TOUCHLINE_";

/// All settings.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Config {
    /// Where things are kept.
    pub store: StoreConfig,
    /// How the finance export is mailed.
    pub mail: MailConfig,
    /// The engine's sizes and periods.
    pub engine: EngineConfig,
    /// What is logged, and how.
    pub log: LogConfig,
    /// How the daemon listens.
    pub serve: ServeConfig,
    /// How tasks are given to relationship managers.
    pub worklist: WorklistConfig,
    /// The bank's identity provider.
    pub oidc: OidcConfig,
    /// Who must approve what.
    pub approval: ApprovalConfig,
    /// Where the keys of personal data are.
    pub personal_data: PersonalDataConfig,
    /// How long what is not for ever is kept.
    pub retention: Retention,
    /// The law and the times of callbacks that customers wish for.
    pub callbacks: CallbacksConfig,
    /// Provider accounts. None given: simulated ones, which contact nobody.
    pub routes: Vec<RouteSpec>,
    /// How providers sign the receipts that they post, by route.
    pub receipts: BTreeMap<String, ReceiptsConfig>,
    /// How events are sent to other systems.
    pub webhooks: WebhooksConfig,
}

/// Where things are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StoreConfig {
    /// `sqlite:PATH`, `postgres://...` or `memory:`; left out: `touchline.sqlite` in the data folder.
    pub url: Option<String>,
    /// The data folder; left out: `touchline` in the user's data folder (`$XDG_DATA_HOME`, `~/.local/share`), else `./touchline-data`.
    pub data: Option<PathBuf>,
}

/// The engine's sizes and periods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EngineConfig {
    /// Touches begun in one transaction at most.
    #[schemars(range(min = 1, max = 50_000))]
    pub batch: u32,
    /// Milliseconds that the recorder waits for more outcomes before it commits.
    #[schemars(range(max = 10_000))]
    pub linger_ms: u32,
    /// Touches of a route asked for, in flight or not yet recorded, at most.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub credit: u32,
    /// Milliseconds between two rounds of the janitor.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub janitor_ms: u32,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { batch: 5_000, linger_ms: 2, credit: 20_000, janitor_ms: 5_000 }
    }
}

/// Who must approve what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApprovalConfig {
    /// Whether a campaign that contacts people must be approved by another person than its authors.
    pub four_eyes: bool,
}

impl Default for ApprovalConfig {
    fn default() -> Self {
        Self { four_eyes: true }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only what went wrong.
    Error,
    /// And what may.
    #[default]
    Warn,
    /// And what happens.
    Info,
    /// And how.
    Debug,
    /// Everything.
    Trace,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged (to standard error), and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogConfig {
    /// Least level.
    pub level: Level,
    /// Form.
    pub format: LogFormat,
    /// The OTLP/HTTP address of an OpenTelemetry collector; left out: no traces are sent.
    pub traces: Option<String>,
}

/// What flags say; the strongest voice.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--store`.
    pub store_url: Option<String>,
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--log-level`.
    pub log_level: Option<String>,
}

/// Reads the settings. `file`: `--config`, which must exist; without it `touchline.toml` here is read when there is one.
/// The error holds every fault.
pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, Vec<String>> {
    if let Some(missing) = file.filter(|path| !path.is_file()) {
        return Err(vec![format!("--config {}: there is no such file", missing.display())]);
    }
    let path = file.unwrap_or(Path::new("touchline.toml"));
    // Only the file that nobody has named may be absent; one that is there and cannot be read is a fault.
    let absent = file.is_none() && std::fs::metadata(path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound);
    let mut figment = if absent {
        Figment::new()
    } else {
        let toml = Toml::file_exact(path);
        // A file that is no TOML at all is told by itself: the merged settings would not know which file it was.
        toml.data().map_err(|e| vec![format!("{}: {}", path.display(), e.kind)])?;
        Figment::from(toml)
    };
    // The first underscore after the prefix parts section and key; sections are single words but for one, keys may have underscores.
    let environment = Env::prefixed(PREFIX).filter_map(|key| {
        let name = key.as_str().to_lowercase();
        match name.strip_prefix("personal_data_") {
            Some(rest) => Some(format!("personal_data.{rest}").into()),
            None => name.contains('_').then(|| name.replacen('_', ".", 1).into()),
        }
    });
    figment = figment.merge(environment);
    let flags = [
        ("store.url", overrides.store_url.clone()),
        ("store.data", overrides.data.as_ref().map(|d| d.display().to_string())),
        ("log.level", overrides.log_level.clone()),
    ];
    for (key, value) in flags {
        if let Some(value) = value {
            figment = figment.merge(Serialized::default(key, value));
        }
    }
    from_figment(&figment)
}

const SECTIONS: &[&str] = &[
    "store",
    "mail",
    "engine",
    "log",
    "serve",
    "oidc",
    "worklist",
    "approval",
    "callbacks",
    "personal_data",
    "retention",
    "receipts",
    "webhooks",
    "routes",
];

fn from_figment(figment: &Figment) -> Result<Config, Vec<String>> {
    let data = figment.data().map_err(|e| e.into_iter().map(|e| e.to_string()).collect::<Vec<_>>())?;
    let mut faults = Vec::new();
    let root: Dict = data.into_values().fold(Dict::new(), |mut all, dict| {
        all.extend(dict);
        all
    });
    for name in root.keys().filter(|k| !SECTIONS.contains(&k.as_str())) {
        faults.push(format!("{name}: unknown section{}; {}", near(name, SECTIONS.iter().copied()), place(figment, name)));
    }
    let config = Config {
        store: section(figment, &root, "store", &mut faults),
        mail: section(figment, &root, "mail", &mut faults),
        engine: section(figment, &root, "engine", &mut faults),
        log: section(figment, &root, "log", &mut faults),
        serve: section(figment, &root, "serve", &mut faults),
        worklist: section(figment, &root, "worklist", &mut faults),
        oidc: section(figment, &root, "oidc", &mut faults),
        approval: section(figment, &root, "approval", &mut faults),
        personal_data: section(figment, &root, "personal_data", &mut faults),
        retention: section(figment, &root, "retention", &mut faults),
        callbacks: section(figment, &root, "callbacks", &mut faults),
        routes: routes(figment, &root, &mut faults),
        receipts: receipts::read(figment, &root, &mut faults),
        webhooks: section(figment, &root, "webhooks", &mut faults),
    };
    faults.extend(config.check());
    if faults.is_empty() { Ok(config) } else { Err(faults) }
}

/// Reads a section key by key, so that one wrong key does not hide the next; what is wrong keeps its default meanwhile.
fn section<T: DeserializeOwned + Default + JsonSchema>(figment: &Figment, root: &Dict, name: &str, faults: &mut Vec<String>) -> T {
    let given = match root.get(name) {
        None => return T::default(),
        Some(Value::Dict(_, given)) => given,
        Some(_) => {
            faults.push(format!("{name}: expected a section of keys ([{name}]); {}", place(figment, name)));
            return T::default();
        }
    };
    let known = keys_of::<T>();
    let mut good = Dict::new();
    for (key, value) in given {
        let path = format!("{name}.{key}");
        if !known.iter().any(|k| k == key) {
            faults.push(format!("{path}: unknown key{}; {}", near(key, known.iter().map(String::as_str)), place(figment, &path)));
            continue;
        }
        match T::deserialize(&Value::from(BTreeMap::from([(key.clone(), value.clone())]))) {
            Ok(_) => drop(good.insert(key.clone(), value.clone())),
            // The message of a secret would quote it.
            Err(_) if key == "password" || path == "personal_data.key" => faults.push(format!("{path}: expected a text; {}", place(figment, &path))),
            Err(e) => faults.push(format!("{path}: {}; {}", e.kind, place(figment, &path))),
        }
    }
    T::deserialize(&Value::from(good)).unwrap_or_default()
}

fn routes(figment: &Figment, root: &Dict, faults: &mut Vec<String>) -> Vec<RouteSpec> {
    let given = match root.get("routes") {
        None => return default_routes(),
        Some(Value::Array(_, given)) => given,
        Some(_) => {
            faults.push(format!("routes: expected [[routes]] tables, one a route; {}", place(figment, "routes")));
            return Vec::new();
        }
    };
    let mut routes = Vec::with_capacity(given.len());
    for (i, value) in given.iter().enumerate() {
        match RouteSpec::deserialize(value) {
            Ok(route) => routes.push(route),
            Err(e) => {
                let at = if e.path.is_empty() { String::new() } else { format!(".{}", e.path.join(".")) };
                faults.push(format!("routes[{i}]{at}: {}; {}", e.kind, place(figment, "routes")));
            }
        }
    }
    routes
}

fn keys_of<T: JsonSchema>() -> Vec<String> {
    let schema = schemars::schema_for!(T);
    schema.get("properties").and_then(|p| p.as_object()).map(|p| p.keys().cloned().collect()).unwrap_or_default()
}

/// `; did you mean ...?` for a name close to a known one, else the known ones.
fn near<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let best = known.clone().map(|k| (strsim::osa_distance(name, k), k)).min();
    match best {
        Some((distance, k)) if distance <= 2 => format!(", did you mean {k}?"),
        _ => format!(", expected one of {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// Where a key was set, without its value.
fn place(figment: &Figment, path: &str) -> String {
    match figment.find_metadata(path) {
        Some(meta) => match meta.source.as_ref() {
            // Flags are merged in by this file itself.
            Some(figment::Source::Code(_)) => "set by a flag".to_owned(),
            Some(source) => format!("set in {source}"),
            None if meta.name.contains("environment") => format!("set in the environment ({PREFIX}{})", path.to_uppercase().replacen('.', "_", 1)),
            None => "set by a flag".to_owned(),
        },
        None => "where it was set is not known".to_owned(),
    }
}

impl Config {
    /// Faults that types alone do not exclude.
    fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let EngineConfig { batch, linger_ms, credit, janitor_ms } = self.engine;
        for (key, value, least, most) in [
            ("batch", batch, 1, 50_000),
            ("linger_ms", linger_ms, 0, 10_000),
            ("credit", credit, 1, 1_000_000),
            ("janitor_ms", janitor_ms, 100, 3_600_000),
        ] {
            if !(least..=most).contains(&value) {
                faults.push(format!("engine.{key}: expected {least} to {most}, found {value}"));
            }
        }
        if self.mail.port == 0 {
            faults.push("mail.port: expected 1 to 65535, found 0".to_owned());
        }
        if !self.mail.from.contains('@') {
            faults.push("mail.from: expected an e-mail address such as touchline@bank.example".to_owned());
        }
        if self.mail.user.is_some() && self.mail.password.is_none() {
            faults.push(format!("mail.password: mail.user is set, but no password; set {PREFIX}MAIL_PASSWORD in the environment"));
        }
        if self.mail.password.is_some()
            && self.mail.tls == MailTls::None
            && !matches!(self.mail.host.as_deref(), None | Some("localhost" | "127.0.0.1" | "::1"))
        {
            faults.push("mail.tls: a password is not sent in the clear to another machine; use starttls or tls".to_owned());
        }
        if let Some(url) = &self.store.url
            && !["sqlite:", "postgres://", "postgresql://", "memory:"].iter().any(|scheme| url.starts_with(scheme))
        {
            // The URL itself may hold a password.
            faults.push("store.url (--store): expected sqlite:PATH, for example sqlite:/var/lib/touchline/touchline.sqlite".to_owned());
        }
        faults.extend(self.serve.faults());
        faults.extend(self.personal_data.faults());
        faults.extend(self.retention.faults());
        faults.extend(self.callbacks.faults());
        faults.extend(self.worklist.faults());
        faults.extend(self.oidc.faults());
        faults.extend(check_routes(&self.routes));
        faults.extend(receipts::faults(&self.receipts, &self.routes));
        faults.extend(self.webhooks.faults());
        faults
    }

    /// The data folder.
    pub fn data_folder(&self) -> PathBuf {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let user = || absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|h| h.join(".local/share"))).map(|d| d.join("touchline"));
        self.store.data.clone().or_else(user).unwrap_or_else(|| PathBuf::from("touchline-data"))
    }

    /// The store's URL.
    pub fn store_url(&self) -> String {
        self.store.url.clone().unwrap_or_else(|| format!("sqlite:{}", self.data_folder().join("touchline.sqlite").display()))
    }

    /// The JSON Schema of the file (`touchline schema config`).
    pub fn schema() -> serde_json::Value {
        schemars::schema_for!(Config).to_value()
    }
}

#[cfg(test)]
mod tests;
