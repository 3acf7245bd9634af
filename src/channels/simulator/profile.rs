//! A profile: the behaviour of a carrier as data, with the published figures it rests on. Shipped profiles lie in `profiles/`.
use super::faults::Faults;
use super::latency::Latency;
use crate::channels::text::Share;
use crate::domain::channel::Channel;
use crate::domain::outcome::Disposition;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// How a simulated carrier behaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// In a sentence: whose behaviour this is.
    #[serde(default)]
    pub about: String,
    /// The published figures behind it.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// What no source tells, and was assumed.
    #[serde(default)]
    pub assumed: Vec<String>,
    /// The channels it serves.
    pub channels: Vec<Channel>,
    /// Every event in the instant of the sending, whatever its seconds.
    #[serde(default)]
    pub at_once: bool,
    /// How long the provider takes to accept a message whose receipt comes later.
    #[serde(default)]
    pub accept: Latency,
    /// Whether receipts carry our own name for the touch beside the provider's.
    #[serde(default = "yes")]
    pub receipts_name_touch: bool,
    /// What comes of an attempt: shares that make up 100 % (rounding of published figures, at most 0.1 %, is scaled away).
    pub outcomes: Vec<Chance>,
    /// Receipts that follow one before: opened after delivered, clicked after opened.
    #[serde(default)]
    pub later: Vec<Later>,
    /// What goes wrong.
    #[serde(default)]
    pub faults: Faults,
}

fn yes() -> bool {
    true
}

/// A published figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As published.
    pub figure: String,
    /// Where.
    pub url: String,
    /// A: measured on a stated number by somebody without a stake; B: a vendor's measurement on its own traffic; C: a rule of thumb.
    pub grade: Grade,
}

/// See [`Source::grade`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Grade {
    /// Measured by somebody without a stake.
    A,
    /// A vendor's measurement.
    B,
    /// A rule of thumb.
    C,
}

/// One thing that can come of an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chance {
    /// Only on these channels; empty: on all of the profile's.
    #[serde(default)]
    pub on: Vec<Channel>,
    /// What comes of it.
    pub disposition: Disposition,
    /// How often.
    pub share: Share,
    /// Whether the provider tells at once or accepts first.
    #[serde(default)]
    pub told: Told,
    /// From the sending (for a receipt: from the acceptance) until it is so: the ringing of a call, the way of a message.
    #[serde(default)]
    pub after: Latency,
    /// Conversation, for an answered call.
    #[serde(default)]
    pub talk: Option<Latency>,
    /// Parts of this chance that end otherwise; what they leave keeps the disposition above.
    #[serde(default)]
    pub split: Vec<Split>,
}

/// How a disposition comes to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// In the answer to the sending.
    #[default]
    Answer,
    /// By a receipt, after the provider has accepted.
    Receipt,
}

/// A part of a chance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// What comes of it.
    pub disposition: Disposition,
    /// How much of the chance.
    pub share: Share,
    /// Conversation, where it differs.
    #[serde(default)]
    pub talk: Option<Latency>,
}

/// A receipt that may follow another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Later {
    /// Follows this disposition: the first receipt's, or that of a `later` further up.
    pub of: Disposition,
    /// What the receipt says.
    pub disposition: Disposition,
    /// In how many cases.
    pub share: Share,
    /// How long after.
    pub after: Latency,
}

impl Profile {
    /// A carrier without any outcome: it refuses everything. What stands where a shipped profile cannot be read.
    pub(crate) fn silent(channel: Channel) -> Self {
        Self {
            about: String::new(),
            sources: Vec::new(),
            assumed: Vec::new(),
            channels: vec![channel],
            at_once: true,
            accept: Latency::default(),
            receipts_name_touch: true,
            outcomes: Vec::new(),
            later: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// What is wrong with it, if anything: the first fault, with the place.
    pub fn check(&self) -> Result<(), String> {
        if self.channels.is_empty() {
            return Err("a profile needs at least one channel".into());
        }
        for channel in &self.channels {
            let sum: i64 = self.outcomes.iter().filter(|c| c.serves(*channel)).map(|c| i64::from(c.share.0)).sum();
            // Published shares are rounded to two places each; 0.1 % leaves room for that and for nothing else.
            if (sum - i64::from(Share::ALL.0)).abs() > 1_000 {
                return Err(format!("the shares of the outcomes on {channel} must make up 100%, found {}%", sum as f64 / 10_000.0));
            }
        }
        for (i, chance) in self.outcomes.iter().enumerate() {
            chance.check().map_err(|fault| format!("outcomes[{i}] ({}): {fault}", chance.disposition))?;
        }
        let mut known: Vec<Disposition> = self.outcomes.iter().map(|c| c.disposition).collect();
        for (i, later) in self.later.iter().enumerate() {
            if !known.contains(&later.of) {
                return Err(format!("later[{i}]: nothing before it leads to {}", later.of));
            }
            if !later.disposition.is_disposition() {
                return Err(format!("later[{i}]: {} is no disposition of an attempt", later.disposition));
            }
            later.after.check().map_err(|fault| format!("later[{i}]: {fault}"))?;
            known.push(later.disposition);
        }
        if self.later.len() > super::plan::Plan::MOST_LATER {
            return Err(format!("a profile has at most {} later receipts, found {}", super::plan::Plan::MOST_LATER, self.later.len()));
        }
        self.accept.check().map_err(|fault| format!("accept: {fault}"))?;
        self.faults.check().map_err(|fault| format!("faults: {fault}"))
    }
}

impl Chance {
    /// Whether it counts on a channel.
    pub fn serves(&self, channel: Channel) -> bool {
        self.on.is_empty() || self.on.contains(&channel)
    }

    fn check(&self) -> Result<(), String> {
        let split: u64 = self.split.iter().map(|s| u64::from(s.share.0)).sum();
        if split > u64::from(Share::ALL.0) {
            return Err(format!("its split makes up more than 100%, found {}%", split as f64 / 10_000.0));
        }
        if let Some(odd) = std::iter::once(self.disposition).chain(self.split.iter().map(|s| s.disposition)).find(|d| !d.is_disposition()) {
            return Err(format!("{odd} is no disposition of an attempt"));
        }
        let talks = self.talk.iter().chain(self.split.iter().filter_map(|s| s.talk.as_ref()));
        std::iter::once(&self.after).chain(talks).try_for_each(Latency::check)
    }
}

macro_rules! shipped {
    ($($name:literal,)*) => {
        /// The shipped profiles: name and text.
        const SHIPPED: &[(&str, &str)] = &[$(($name, include_str!(concat!("profiles/", $name, ".yaml"))),)*];
    };
}
shipped! {
    "telephone-consumer", "telephone-bank-cn", "telephone-known-caller",
    "sms-promotional", "sms-transactional", "sms-troubled",
    "push-android", "push-ios",
    "email-finance",
    "worklist-rm",
    "instant",
}

/// The names of the shipped profiles.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

/// The profile of a channel's route that names none.
pub fn default_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Call => "telephone-consumer",
        Channel::Sms => "sms-promotional",
        Channel::Push => "push-android",
        Channel::Email => "email-finance",
        Channel::Worklist => "worklist-rm",
    }
}

/// A profile by the name of a shipped one, or written out where it is used. Always checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileRef {
    name: Option<&'static str>,
    profile: Arc<Profile>,
}

impl ProfileRef {
    /// The shipped profile of this name; the fault names the nearest.
    pub fn shipped(name: &str) -> Result<Self, String> {
        let Some((name, text)) = SHIPPED.iter().find(|(known, _)| *known == name) else {
            let nearest = shipped_names().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
            let all = shipped_names().collect::<Vec<_>>().join(", ");
            return Err(format!("no profile is called {name:?}; did you mean {:?}? There are: {all}", nearest.unwrap_or_default()));
        };
        let profile: Profile = serde_saphyr::from_str(text).map_err(|fault| format!("the shipped profile {name} cannot be read: {fault}"))?;
        profile.check().map_err(|fault| format!("the shipped profile {name}: {fault}"))?;
        Ok(Self { name: Some(name), profile: Arc::new(profile) })
    }

    /// A profile written out.
    pub fn inline(profile: Profile) -> Result<Self, String> {
        profile.check()?;
        Ok(Self { name: None, profile: Arc::new(profile) })
    }

    /// The name of a shipped one.
    pub fn name(&self) -> Option<&'static str> {
        self.name
    }

    /// The profile.
    pub fn profile(&self) -> &Arc<Profile> {
        &self.profile
    }
}

impl Serialize for ProfileRef {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.name {
            Some(name) => to.serialize_str(name),
            None => self.profile.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for ProfileRef {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct NameOrBody;
        impl<'de> Visitor<'de> for NameOrBody {
            type Value = ProfileRef;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a shipped profile, or a profile")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<ProfileRef, E> {
                ProfileRef::shipped(name).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ProfileRef, A::Error> {
                let profile = Profile::deserialize(MapAccessDeserializer::new(map))?;
                ProfileRef::inline(profile).map_err(de::Error::custom)
            }
        }
        from.deserialize_any(NameOrBody)
    }
}

impl JsonSchema for ProfileRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ProfileRef".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let body = generator.subschema_for::<Profile>();
        let names: Vec<_> = shipped_names().collect();
        schemars::json_schema!({"anyOf": [{"type": "string", "enum": names}, body]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_reads_and_checks_and_quotes_its_sources() {
        for name in shipped_names() {
            let profile = ProfileRef::shipped(name).unwrap_or_else(|fault| panic!("{name}: {fault}"));
            let made_up = ["instant", "sms-troubled", "worklist-rm"].contains(&name);
            assert_eq!(profile.profile().sources.is_empty(), made_up, "{name}");
            assert!(!made_up || !profile.profile().assumed.is_empty(), "{name} says what was assumed");
        }
        for channel in Channel::ALL {
            let profile = ProfileRef::shipped(default_name(channel)).unwrap();
            assert!(profile.profile().channels.contains(&channel));
        }
    }

    #[test]
    fn the_sources_are_those_of_the_shared_figures() {
        let path = "../shared/data/outcome-rates.json";
        let Ok(figures) = std::fs::read_to_string(path) else {
            eprintln!("skipped: {path} is not there, so the addresses of the profiles' sources cannot be compared with it");
            return;
        };
        for name in shipped_names() {
            for source in &ProfileRef::shipped(name).unwrap().profile().sources {
                assert!(figures.contains(&source.url), "{name}: {}", source.url);
            }
        }
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_nearest() {
        let fault = ProfileRef::shipped("sms-promotionel").unwrap_err();
        assert!(fault.contains("did you mean \"sms-promotional\""), "{fault}");
    }

    #[test]
    fn an_inline_profile_is_checked_where_it_stands() {
        let bad = r#"{"channels": ["sms"], "outcomes": [{"disposition": "delivered", "share": "90%"}]}"#;
        let fault = serde_json::from_str::<ProfileRef>(bad).unwrap_err().to_string();
        assert!(fault.contains("must make up 100%, found 90%"), "{fault}");
        let odd = r#"{"channels": ["sms"], "outcomes": [{"disposition": "held_out", "share": "100%"}]}"#;
        assert!(serde_json::from_str::<ProfileRef>(odd).unwrap_err().to_string().contains("held_out is no disposition"));
        let unknown = r#"{"channels": ["sms"], "outcome": []}"#;
        assert!(serde_json::from_str::<ProfileRef>(unknown).unwrap_err().to_string().contains("unknown field `outcome`"));
    }
}
