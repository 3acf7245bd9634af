//! The report of a run (CONTRACT.md, "The report"): the same document after `run`, `rehearse`, `demo` and `campaign status`.
use super::{DeskError, DeskResult};
use crate::domain::channel::Channel;
use crate::domain::ids::RouteId;
use crate::domain::money::{Currency, Money, micros_to_decimal};
use crate::domain::outcome::Reason;
use crate::domain::tally::{Tallies, Tally};
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::store::{AttemptsBin, CampaignRow, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Customers of a run that converted by one rule, and the amount credited to the run.
#[derive(Clone, Debug, PartialEq)]
pub struct ConversionSummary {
    /// The conversion rule.
    pub name: String,
    /// Customers credited.
    pub customers: i64,
    /// The amount credited, one for each currency (one entry at least; zero in the campaign's currency when there is none).
    pub amounts: Vec<Money>,
}

/// Treated against holdout for one conversion rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiftSummary {
    /// The conversion rule.
    pub name: String,
    /// `treated`, or a variant's name.
    pub arm: String,
    /// `rate` (difference of conversion rates) or `amount` (difference of mean amounts).
    pub metric: String,
    /// The difference.
    pub estimate: f64,
    /// Its standard error.
    pub se: f64,
    /// Its 95 % confidence interval.
    pub ci95: [f64; 2],
}

/// A decimal amount and its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Amount {
    /// A decimal string.
    pub amount: String,
    /// ISO 4217.
    #[schemars(with = "String")]
    pub currency: Currency,
}

/// Attempts made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempts {
    /// All.
    pub total: i64,
    /// By channel.
    pub by_channel: BTreeMap<String, i64>,
    /// By route.
    pub by_route: BTreeMap<String, i64>,
    /// By what came of them.
    pub by_disposition: BTreeMap<String, i64>,
}

/// A line of conversions: one rule in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conversion {
    /// The rule.
    pub name: String,
    /// Customers credited.
    pub customers: i64,
    /// A decimal string.
    pub amount: String,
    /// ISO 4217.
    #[schemars(with = "String")]
    pub currency: Currency,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Name.
    pub campaign: String,
    /// Version.
    pub version: i64,
    /// The revision that it follows; 0: the file as it was handed in.
    pub revision: i64,
    /// Whether it contacted nobody.
    pub rehearsal: bool,
    /// Where it stands.
    pub status: Cow<'static, str>,
    /// Customers in the audience.
    pub audience: i64,
    /// Customers by state: all eleven, always; their sum is the audience.
    #[serde(with = "in_order")]
    #[schemars(with = "BTreeMap<String, i64>")]
    pub counts: Vec<(Cow<'static, str>, i64)>,
    /// Suppressed customers by reason.
    pub suppressed: BTreeMap<String, i64>,
    /// Expired and cancelled customers by reason.
    pub called_off: BTreeMap<String, i64>,
    /// Attempts.
    pub attempts: Attempts,
    /// Customers reached, by the number of attempts made with them in all steps.
    #[serde(deserialize_with = "by_number")]
    pub reached_by_attempts: BTreeMap<i64, i64>,
    /// Message parts sent.
    pub parts: i64,
    /// Seconds of conversation.
    pub connected_seconds: i64,
    /// What it cost.
    pub cost: Amount,
    /// Conversions credited.
    pub conversions: Vec<Conversion>,
    /// Against the holdout.
    pub lift: Vec<LiftSummary>,
    /// When its first touch could start.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// From the start to the end, or to now; in a rehearsal, of virtual time.
    pub elapsed_s: f64,
}

/// A map in JSON whose order is kept.
mod in_order {
    use super::Cow;
    use serde::{Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(counts: &[(Cow<'static, str>, i64)], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(counts.iter().map(|(name, n)| (name, n)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(Cow<'static, str>, i64)>, D::Error> {
        struct Pairs;
        impl<'de> de::Visitor<'de> for Pairs {
            type Value = Vec<(Cow<'static, str>, i64)>;
            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("counts by name")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((name, n)) = map.next_entry::<String, i64>()? {
                    pairs.push((Cow::Owned(name), n));
                }
                Ok(pairs)
            }
        }
        from.deserialize_map(Pairs)
    }
}

/// A map with numbers for keys; within a flattened answer serde has them as texts.
fn by_number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<BTreeMap<i64, i64>, D::Error> {
    let texts = BTreeMap::<String, i64>::deserialize(from)?;
    texts.into_iter().map(|(key, n)| key.parse().map(|key| (key, n)).map_err(serde::de::Error::custom)).collect()
}

/// Reads what is kept of a run and reports it as of `at`.
pub async fn build(
    store: &dyn Store,
    campaign: &CampaignRow,
    conversions: Vec<ConversionSummary>,
    lift: Vec<LiftSummary>,
    at: Timestamp,
) -> DeskResult<Report> {
    let tallies = store.tallies(campaign.id).await?;
    let routes = store.routes().await?;
    let bins = store.attempts_histogram(campaign.id).await?;
    report(campaign, &tallies, &routes, &bins, conversions, lift, at)
}

/// The report from its parts. An error when the sum does not close: then nothing is reported at all.
pub fn report(
    campaign: &CampaignRow,
    tallies: &Tallies,
    routes: &[(RouteId, String)],
    bins: &[AttemptsBin],
    conversions: Vec<ConversionSummary>,
    lift: Vec<LiftSummary>,
    at: Timestamp,
) -> DeskResult<Report> {
    let by_state = tallies.customers(campaign.audience);
    let sum: i64 = by_state.values().sum();
    if sum != campaign.audience || by_state.values().any(|n| *n < 0) {
        let counts: Vec<String> = by_state.iter().map(|(s, n)| format!("{s} {n}")).collect();
        return Err(DeskError::Broken(format!(
            "the sum of campaign {:?} version {} does not close: audience {}, counted {} ({}). Nothing is reported from it; run touchline doctor",
            campaign.name,
            campaign.version,
            campaign.audience,
            sum,
            counts.join(", ")
        )));
    }
    let reasons = |tally| tallies.of(tally).map(|(code, n)| (reason_name(code), n)).collect::<BTreeMap<_, _>>();
    let by_channel: BTreeMap<String, i64> = tallies
        .of(Tally::AttemptsByChannel)
        .map(|(code, n)| (Channel::from_code(code).map_or_else(|| format!("channel {code}"), |c| c.name().to_owned()), n))
        .collect();
    let route_name = |id: i64| routes.iter().find(|(r, _)| i64::from(r.0) == id).map_or_else(|| format!("route {id}"), |(_, name)| name.clone());
    let mut reached_by_attempts = BTreeMap::new();
    for bin in bins.iter().filter(|b| b.state == State::Reached) {
        *reached_by_attempts.entry(bin.attempts).or_insert(0) += bin.customers;
    }
    let end = campaign.finished_at.unwrap_or(at);
    Ok(Report {
        campaign: campaign.name.clone(),
        version: campaign.version,
        revision: campaign.revision,
        rehearsal: campaign.id.is_rehearsal(),
        status: campaign.status.name().into(),
        audience: campaign.audience,
        counts: State::ALL.iter().map(|s| (s.name().into(), by_state.get(s).copied().unwrap_or(0))).collect(),
        suppressed: reasons(Tally::Suppressed),
        called_off: reasons(Tally::CalledOff),
        attempts: Attempts {
            total: by_channel.values().sum(),
            by_channel,
            by_route: tallies.of(Tally::AttemptsByRoute).map(|(id, n)| (route_name(id), n)).collect(),
            by_disposition: reasons(Tally::AttemptsByDisposition),
        },
        reached_by_attempts,
        parts: tallies.get(Tally::Parts, 0),
        connected_seconds: tallies.get(Tally::ConnectedSeconds, 0),
        cost: Amount { amount: micros_to_decimal(tallies.get(Tally::CostMicros, 0)).to_string(), currency: campaign.currency },
        conversions: conversions.into_iter().flat_map(|c| lines_of(c, campaign.currency)).collect(),
        lift,
        started_at: campaign.started_at.map(|t| t.to_string()),
        finished_at: campaign.finished_at.map(|t| t.to_string()),
        elapsed_s: campaign.started_at.map_or(0.0, |start| seconds(end.since(start).max(0))),
    })
}

fn lines_of(summary: ConversionSummary, currency: Currency) -> Vec<Conversion> {
    let amounts = if summary.amounts.is_empty() { vec![Money { minor: 0, currency }] } else { summary.amounts };
    amounts
        .into_iter()
        .map(|m| Conversion { name: summary.name.clone(), customers: summary.customers, amount: m.decimal().to_string(), currency: m.currency })
        .collect()
}

fn reason_name(code: i64) -> String {
    Reason::from_code(code).map_or_else(|| format!("reason {code}"), |r| r.name().to_owned())
}

/// Milliseconds as seconds. Spans of campaigns are far below 2^53 ms, so the float is exact to the millisecond.
#[allow(clippy::cast_precision_loss, reason = "spans are far below 2^53 ms")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

impl Report {
    /// Customers in a state.
    pub fn count(&self, state: State) -> i64 {
        self.counts.iter().find(|(name, _)| *name == state.name()).map_or(0, |(_, n)| *n)
    }
}
