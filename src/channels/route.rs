//! A route: one provider account by which a channel's touches go out, as an operator configures it.
use super::simulator::faults::Faults;
use super::simulator::profile::{self, Profile, ProfileRef};
use super::simulator::replay::Replay;
use super::text::{Price, Span, Unit, rate, rate_option};
use crate::domain::campaign::Rate;
use crate::domain::channel::Channel;
use crate::domain::money::Currency;
use crate::domain::time::{DAY, SECOND};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What carries a route's touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RouteKind {
    /// A simulated carrier in this process: contacts nobody.
    #[default]
    Simulator,
    /// A simulated carrier that is a process of its own (`touchline carrier`).
    RemoteSimulator,
    /// The worklist of this store: tasks for relationship managers.
    Worklist,
}

impl RouteKind {
    /// Its name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::RemoteSimulator => "remote_simulator",
            Self::Worklist => "worklist",
        }
    }
}

/// The configuration of a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Its name, as campaign files use it.
    pub name: String,
    /// The channel it serves.
    pub channel: Channel,
    /// What carries its touches.
    #[serde(default)]
    pub kind: RouteKind,
    /// The provider's account, where several routes share one and its limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Sent at most, in any sliding window: `200/s`. Counted in parts for SMS.
    #[serde(with = "rate")]
    #[schemars(with = "String")]
    pub limit: Rate,
    /// The limit of the provider's account over all its routes.
    #[serde(default, with = "rate_option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub provider_limit: Option<Rate>,
    /// Touches in flight at most: the lines of a trunk, the window of an SMSC.
    #[serde(default = "default_concurrency")]
    pub concurrency: u32,
    /// Its share of a step's touches, relative to the step's other routes.
    #[serde(default = "default_weight")]
    pub weight: u32,
    /// What it charges; left out: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Calls are hung up after so many minutes: what a call can cost at most, and is reserved before it. Left out: 30, and 120 with `replay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_call_minutes: Option<u32>,
    /// Whether the provider recognises a touch that is sent again, and sends it once only.
    #[serde(default)]
    pub idempotent: bool,
    /// How long a receipt is waited for. Left out: a day; for a route of kind `worklist`, seven days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt_deadline: Option<Span>,
    /// How a simulated carrier behaves: a shipped profile's name, or a profile. Left out: the channel's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileRef>,
    /// Instead of the profile's faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Faults>,
    /// Attributes of the list decide instead of the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// For the draws of a simulated carrier, before the run's own seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// How many times faster than the world a simulated carrier's time passes (rings, conversations, receipts and their deadline;
    /// the seconds reported stay those of the profile).
    #[serde(default = "default_speed")]
    pub speed: u32,
    /// Where a remote carrier listens: `127.0.0.1:7070`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

fn default_concurrency() -> u32 {
    10_000
}
fn default_weight() -> u32 {
    1
}
fn default_speed() -> u32 {
    1
}

impl RouteSpec {
    /// A simulated route with the defaults of a configuration that names nothing else.
    pub fn simulated(name: &str, channel: Channel, limit: Rate) -> Self {
        Self {
            name: name.to_owned(),
            channel,
            kind: RouteKind::Simulator,
            provider: None,
            limit,
            provider_limit: None,
            concurrency: default_concurrency(),
            weight: default_weight(),
            price: None,
            max_call_minutes: None,
            idempotent: false,
            receipt_deadline: None,
            profile: None,
            faults: None,
            replay: None,
            seed: None,
            speed: default_speed(),
            address: None,
        }
    }

    /// Whether its touches come to real people: then a campaign on it needs a second pair of eyes.
    pub fn contacts_people(&self) -> bool {
        match self.kind {
            RouteKind::Simulator | RouteKind::RemoteSimulator => false,
            RouteKind::Worklist => true,
        }
    }

    /// The name of the simulated carrier's profile; `None`: it is written out in the settings.
    pub fn profile_name(&self) -> Option<&str> {
        match &self.profile {
            None => Some(profile::default_name(self.channel)),
            Some(named) => named.name(),
        }
    }

    /// What an attempt of `parts` parts and `connected_s` seconds of conversation costs, in millionths of the price's currency
    /// unit. Calls are billed by started increment; one that nobody answers costs nothing.
    #[inline]
    pub fn price_micros(&self, parts: u16, connected_s: u32) -> i64 {
        self.price.map_or(0, |price| price.of(parts, connected_s))
    }

    /// The most that an attempt can cost, in millionths of the price's currency unit: what a budget must still have before it starts.
    pub fn reserve_micros(&self, parts: u16) -> i64 {
        self.price_micros(parts, self.longest_call_s())
    }

    /// Seconds after which a call is hung up.
    pub fn longest_call_s(&self) -> u32 {
        // The longest call of the real list that is replayed lasts 4,918 s; a replay must not cut what it replays.
        let minutes = self.max_call_minutes.unwrap_or(if self.replay.is_some() { 120 } else { 30 });
        minutes.saturating_mul(60)
    }

    /// How long a receipt is waited for, in milliseconds.
    pub fn deadline_ms(&self) -> i64 {
        let usual = if self.kind == RouteKind::Worklist { 7 * DAY } else { DAY };
        self.receipt_deadline.map_or(usual, |span| span.0)
    }

    /// Whether a touch that is sent again is sent once only: as the provider promises, or as our own worklist does it.
    pub fn is_idempotent(&self) -> bool {
        self.idempotent || self.kind == RouteKind::Worklist
    }

    /// The currency of the price.
    pub fn currency(&self) -> Option<Currency> {
        self.price.map(|p| p.currency)
    }

    /// The simulated carrier's profile.
    pub fn behaviour(&self) -> Arc<Profile> {
        let named = self.profile.clone().or_else(|| ProfileRef::shipped(profile::default_name(self.channel)).ok());
        named.map_or_else(|| Arc::new(Profile::silent(self.channel)), |p| p.profile().clone())
    }

    /// Every fault of this route that its types do not exclude, each with what to do.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut fault = |text: String| faults.push(format!("route {}: {text}", self.name));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(plain) {
            fault("expected a name of at most 64 lower-case letters, digits and hyphens".into());
        }
        if self.concurrency == 0 {
            fault("concurrency 0 sends nothing; give at least 1".into());
        }
        if self.speed == 0 {
            fault("speed 0 stops time; give at least 1".into());
        }
        if self.deadline_ms() <= 0 {
            fault("receipt_deadline must be above 0".into());
        }
        match (self.kind, &self.address) {
            (RouteKind::RemoteSimulator, None) => fault("a remote_simulator needs the address of its carrier, such as 127.0.0.1:7070".into()),
            (RouteKind::Simulator, Some(_)) => fault("a simulator has no address; say kind: remote_simulator or take it out".into()),
            (RouteKind::Worklist, Some(_)) => fault("a worklist has no address: its tasks are made in this store; take it out".into()),
            (RouteKind::RemoteSimulator, Some(_)) | (RouteKind::Simulator | RouteKind::Worklist, None) => {}
        }
        if self.kind == RouteKind::Worklist && self.channel != Channel::Worklist {
            fault(format!("kind worklist serves the channel worklist; this is {}", self.channel));
        }
        if self.max_call_minutes == Some(0) {
            fault("max_call_minutes 0 allows no call; give at least 1".into());
        }
        match self.price.map(|p| p.per) {
            Some(Unit::Seconds(_)) if self.channel != Channel::Call => fault(format!("a price by time is for calls; this is {}", self.channel)),
            Some(Unit::Part) if self.channel != Channel::Sms => fault(format!("a price by part is for sms; this is {}", self.channel)),
            _ => {}
        }
        if self.replay.is_some() && self.channel != Channel::Call {
            fault(format!("replay tells of calls; this is {}", self.channel));
        }
        if let Some(profile) = &self.profile
            && !profile.profile().channels.contains(&self.channel)
        {
            let serves: Vec<_> = profile.profile().channels.iter().map(|c| c.name()).collect();
            fault(format!("its profile {} serves {}, not {}", profile.name().unwrap_or("(inline)"), serves.join(", "), self.channel));
        }
        if let Some(Err(text)) = self.faults.as_ref().map(Faults::check) {
            fault(format!("faults: {text}"));
        }
        if self.provider_limit.is_some() && self.provider.is_none() {
            fault("provider_limit needs the name of the provider whose account it limits".into());
        }
        faults
    }
}

/// Every fault of a set of routes: each route's own, names used twice, and providers given two limits.
pub fn check_routes(routes: &[RouteSpec]) -> Vec<String> {
    let mut faults: Vec<String> = routes.iter().flat_map(RouteSpec::check).collect();
    let mut names = BTreeMap::new();
    let mut limits: BTreeMap<&str, (Rate, &str)> = BTreeMap::new();
    for route in routes {
        if names.insert(route.name.as_str(), ()).is_some() {
            faults.push(format!("route {}: the name is used twice", route.name));
        }
        if let (Some(provider), Some(limit)) = (&route.provider, route.provider_limit) {
            let (known, first) = *limits.entry(provider).or_insert((limit, &route.name));
            if known != limit {
                faults.push(format!("route {}: provider {provider} has the limit {limit} here and {known} in route {first}; give one", route.name));
            }
        }
    }
    faults
}

/// The routes of a fresh installation: all simulated, so that it contacts nobody.
pub fn default_routes() -> Vec<RouteSpec> {
    let per_second = |count| Rate { count, per_ms: SECOND };
    let route = |name: &str, channel, count, profile: &str, price: &str| RouteSpec {
        profile: ProfileRef::shipped(profile).ok(),
        price: price.parse().ok(),
        ..RouteSpec::simulated(name, channel, per_second(count))
    };
    // Prices are examples of the order of Chinese wholesale tariffs; an operator enters the contract's.
    let sip = |name, weight| RouteSpec { weight, ..route(name, Channel::Call, 200, "telephone-bank-cn", "0.12 CNY/min") };
    let sms = |name, count, weight, price| RouteSpec {
        provider: Some("sms-gateway".into()),
        provider_limit: Some(per_second(1_200)),
        weight,
        ..route(name, Channel::Sms, count, "sms-promotional", price)
    };
    let columns = |text: &str| replay_attribute(text);
    vec![
        sip("sip-north", 1),
        sip("sip-south", 1),
        sms("sms-main", 1_000, 3, "0.045 CNY/part"),
        sms("sms-backup", 500, 1, "0.05 CNY/part"),
        RouteSpec { idempotent: true, ..route("push-main", Channel::Push, 5_000, "push-android", "0.001 CNY") },
        route("mail-main", Channel::Email, 500, "email-finance", "0.01 CNY"),
        RouteSpec {
            idempotent: true,
            receipt_deadline: Some(Span(7 * DAY)),
            concurrency: 100_000,
            ..RouteSpec::simulated("rm-desk", Channel::Worklist, per_second(500))
        },
        RouteSpec {
            concurrency: 100_000,
            replay: columns("attr.campaign").zip(columns("attr.duration")).map(|(attempts, seconds)| Replay::new(attempts, seconds)),
            ..RouteSpec::simulated("uci-replay", Channel::Call, per_second(5_000))
        },
    ]
}

fn replay_attribute(text: &str) -> Option<super::simulator::replay::Attribute> {
    text.to_owned().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_routes_are_sound_and_complete() {
        let routes = default_routes();
        assert_eq!(check_routes(&routes), Vec::<String>::new());
        let names: Vec<_> = routes.iter().map(|r| (r.name.as_str(), r.channel)).collect();
        assert_eq!(
            names,
            [
                ("sip-north", Channel::Call),
                ("sip-south", Channel::Call),
                ("sms-main", Channel::Sms),
                ("sms-backup", Channel::Sms),
                ("push-main", Channel::Push),
                ("mail-main", Channel::Email),
                ("rm-desk", Channel::Worklist),
                ("uci-replay", Channel::Call)
            ]
        );
        assert!(routes.iter().filter(|r| r.name != "rm-desk" && r.name != "uci-replay").all(|r| r.price.is_some() && r.profile.is_some()));
        let replay = routes.last().and_then(|r| r.replay.as_ref()).unwrap();
        assert_eq!((replay.attempts.name(), replay.connected_seconds.name()), ("campaign", "duration"));
    }

    #[test]
    fn a_configuration_survives_a_round_trip() {
        for route in default_routes() {
            let text = serde_json::to_string(&route).unwrap();
            assert_eq!(serde_json::from_str::<RouteSpec>(&text).unwrap(), route, "{text}");
        }
    }

    #[test]
    fn a_short_configuration_is_filled_up_and_a_wrong_one_named() {
        let yaml = "name: a\nchannel: call\nlimit: 20/s\nprice: 0.12 CNY/min\nreplay: {attempts: attr.campaign, connected_seconds: attr.duration}\n";
        let route: RouteSpec = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!((route.limit, route.weight, route.concurrency), (Rate { count: 20, per_ms: 1_000 }, 1, 10_000));
        assert_eq!(route.check(), Vec::<String>::new());
        let fault = |yaml: &str| serde_saphyr::from_str::<RouteSpec>(yaml).unwrap_err().to_string();
        assert!(fault("name: a\nchannel: call\nlimit: 20/s\nprofil: x\n").contains("profil"));
        assert!(fault("name: a\nchannel: call\nlimit: fast\n").contains("expected a rate such as"));
        assert!(fault("name: a\nchannel: sms\nlimit: 20/s\nprofile: sms-promo\n").contains("did you mean"));
        let figment = toml_route("name = 'a'\nchannel = 'sms'\nlimit = '20/s'\nprofile = 'sms-transactional'\nfaults = {lost_receipts = '1%'}");
        assert_eq!(figment.profile.and_then(|p| p.name()), Some("sms-transactional"));
        assert_eq!(figment.faults.map(|f| f.lost_receipts), Some(crate::channels::text::Share(10_000)));
    }

    fn toml_route(text: &str) -> RouteSpec {
        use figment::providers::Format;
        figment::Figment::from(figment::providers::Toml::string(text)).extract().unwrap()
    }

    #[test]
    fn faults_of_routes_are_all_told() {
        let mut a = RouteSpec::simulated("A", Channel::Push, Rate { count: 1, per_ms: 1_000 });
        a.price = Some("0.1 CNY/min".parse().unwrap());
        a.kind = RouteKind::RemoteSimulator;
        a.profile = Some(ProfileRef::shipped("email-finance").unwrap());
        a.concurrency = 0;
        a.provider = Some("p".into());
        a.provider_limit = Some(Rate { count: 1, per_ms: 1_000 });
        let mut b = RouteSpec { name: "b".into(), ..RouteSpec::simulated("b", Channel::Push, a.limit) };
        b.provider = Some("p".into());
        b.provider_limit = Some(Rate { count: 2, per_ms: 1_000 });
        let faults = check_routes(&[a, b.clone(), b]).join("\n");
        for part in
            ["lower-case", "concurrency 0", "needs the address", "by time is for calls", "serves email", "used twice", "provider p has the limit"]
        {
            assert!(faults.contains(part), "{part} in {faults}");
        }
    }

    #[test]
    fn the_schema_names_the_profiles_and_closes_the_route() {
        let schema = serde_json::to_value(schemars::schema_for!(RouteSpec)).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], serde_json::json!(["name", "channel", "limit"]));
        assert!(schema.to_string().contains("\"sms-promotional\""));
    }

    #[test]
    fn a_reservation_covers_the_longest_call() {
        let mut route = RouteSpec::simulated("a", Channel::Call, Rate { count: 1, per_ms: 1_000 });
        assert_eq!(route.reserve_micros(1), 0);
        route.price = Some("0.12 CNY/min".parse().unwrap());
        assert_eq!(route.reserve_micros(1), 30 * 120_000);
        route.max_call_minutes = Some(5);
        assert_eq!(route.reserve_micros(1), 5 * 120_000);
        assert_eq!(route.price_micros(1, 61), 240_000);
    }
}
