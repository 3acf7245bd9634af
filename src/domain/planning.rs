//! The forecast of a campaign before its launch: whom it will reach, whom it will lose and why, how many attempts it makes,
//! when it is done and what it costs. Pure: counts of the audience, the law and assumed rates go in; expected numbers come out.
mod assumptions;
mod bounds;
mod flow;
mod pace;

pub use assumptions::{Assumptions, ChannelAssumption};

use super::campaign::{Campaign, Rate};
use super::channel::Channel;
use super::law::{LawBook, Whereabouts};
use super::money::Money;
use super::outcome::{Disposition, Reason};
use super::time::Timestamp;
use bounds::{Bounds, Flow};
use flow::Group;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// What a route can carry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteCapacity {
    /// Its name.
    pub name: String,
    /// For which channel.
    pub channel: Channel,
    /// Its provider's limit.
    pub rate: Option<Rate>,
    /// What an attempt (for SMS: a part) costs, in millionths of the campaign's currency unit.
    pub cost_micros: i64,
}

/// Customers of the audience that are alike to the law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Where they may be.
    pub whereabouts: Whereabouts,
    /// In the holdout.
    pub held_out: bool,
    /// Per channel (place: code - 1), why they may not be contacted; `Reason::None`: they may.
    pub verdicts: [Reason; 5],
}

/// What one pass over the audience has counted. Its size depends on the number of zones, not on the audience.
#[derive(Clone, Debug, Default)]
pub struct Population {
    /// Customers by cell.
    pub cells: HashMap<Cell, i64>,
}

impl Population {
    /// Counts one customer.
    pub fn add(&mut self, cell: Cell) {
        *self.cells.entry(cell).or_insert(0) += 1;
    }
    /// All customers.
    pub fn total(&self) -> i64 {
        self.cells.values().sum()
    }
}

/// What is known of a step from a sample of the audience.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StepEstimate {
    /// Mean message parts of an attempt (1 for other channels than SMS).
    pub parts: f64,
    /// Share of customers for whom the message cannot be written.
    pub no_content: f64,
    /// What a part costs, in millionths of the currency unit.
    pub cost_micros: i64,
    /// By how the step before ended: the share of customers for whom `when` is true; `None` without a `when`.
    pub when: Option<BTreeMap<Disposition, f64>>,
}

/// When first touches may start, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Wave {
    /// When.
    pub at: Timestamp,
    /// How many at most; `None`: all that are left.
    pub take: Option<u64>,
}

/// What the forecast is asked.
pub struct Question<'a> {
    /// The campaign.
    pub campaign: &'a Campaign,
    /// Its composed law.
    pub law: &'a dyn LawBook,
    /// Its audience, counted.
    pub population: &'a Population,
    /// One for each step.
    pub steps: &'a [StepEstimate],
    /// Assumed rates.
    pub assumptions: &'a Assumptions,
    /// Routes that its steps may use.
    pub routes: &'a [RouteCapacity],
    /// In order of time; never empty (one at the start without a cron).
    pub waves: &'a [Wave],
    /// Share of customers whose caps are used up by other campaigns until after the end.
    pub capped: f64,
}

/// The forecast of one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepForecast {
    /// Its name.
    pub step: String,
    /// Its channel.
    pub channel: Channel,
    /// Customers that come to it.
    pub customers: i64,
    /// Attempts.
    pub attempts: i64,
    /// Attempts that reach.
    pub reached: i64,
    /// Parts.
    pub parts: i64,
    /// A decimal string in the campaign's currency.
    pub cost: String,
}

/// Something that the operator should know before the launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// For scripts: `infeasible_end`, `budget`, `cap_collision`, `no_calendar`, `no_consent`, `language`, `no_content`, ...
    pub code: Cow<'static, str>,
    /// For people: what, how much, and what to do.
    pub text: String,
}

/// The forecast. `reached + missed + sum(losses) = audience`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Forecast {
    /// Customers in the audience.
    pub audience: i64,
    /// Customers reached, expected.
    pub reached: i64,
    /// 95 % interval: chance, and the assumed error of the rates.
    pub reached_interval: [i64; 2],
    /// Customers attempted and not reached.
    pub missed: i64,
    /// Customers lost, by reason (`held_out`, `no_consent`, `no_address`, `campaign_ended`, `budget`, ...).
    pub losses: BTreeMap<String, i64>,
    /// By step.
    pub steps: Vec<StepForecast>,
    /// Attempts in all.
    pub attempts: i64,
    /// Parts in all.
    pub parts: i64,
    /// A decimal string.
    pub cost: String,
    /// Its currency.
    pub currency: String,
    /// The budget, if there is one.
    pub budget: Option<String>,
    /// Whether it is enough.
    pub budget_suffices: bool,
    /// The first touch.
    pub first_touch_at: Option<String>,
    /// When the work is done, within the schedule or past it; `None`: not within 180 days of its end.
    pub finishes_at: Option<String>,
    /// The schedule's end.
    pub ends_at: String,
    /// Whether everything is done before the end.
    pub feasible: bool,
    /// Customers whose journey the end cuts off.
    pub left_at_end: i64,
    /// The campaign rate that would do, when the end is infeasible and a rate would do.
    pub sufficient_rate: Option<String>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

/// Rounded to a whole number; not a number and negative become 0.
#[allow(clippy::cast_possible_truncation, reason = "expected counts are far below 2^53")]
fn whole(n: f64) -> i64 {
    if n.is_finite() { n.max(0.0).round() as i64 } else { 0 }
}

#[allow(clippy::cast_precision_loss, reason = "counts of customers are far below 2^53")]
fn float(n: i64) -> f64 {
    n as f64
}

/// Forecasts.
pub fn forecast(question: &Question<'_>) -> Forecast {
    let campaign = question.campaign;
    let audience = question.population.total();
    let (groups, held_out) = groups(question);
    let flow = flow::run(question, &groups, Bounds { scale: 1.0, ends: true });
    let left = if flow.budget_spent { 0.0 } else { flow.left };
    // Some last retry or other always falls behind the end; a thousandth of the audience is no reason to move it.
    let feasible = left < (0.001 * float(audience)).max(1.0);
    let finishes_at = if feasible { flow.finished } else { flow::run(question, &groups, Bounds { scale: 1.0, ends: false }).finished };
    let sufficient_rate = if feasible { None } else { sufficient_rate(question, &groups, audience) };
    let mut shares: Vec<(String, f64)> = vec![("reached".into(), flow.reached), ("missed".into(), flow.missed)];
    shares.push((Reason::HeldOut.name().into(), float(held_out)));
    let capped = float(audience - held_out) * question.capped.clamp(0.0, 1.0);
    let mut lost = flow.lost.clone();
    *lost.entry(Reason::Cap).or_insert(0.0) += capped;
    shares.extend(lost.iter().map(|(reason, n)| (reason.name().to_owned(), *n)));
    let mut counts: BTreeMap<String, i64> = apportion(&shares, audience);
    let reached = counts.remove("reached").unwrap_or(0);
    let missed = counts.remove("missed").unwrap_or(0);
    counts.retain(|_, n| *n != 0);
    let steps = step_forecasts(question, &flow);
    let cost_minor = steps.iter().map(|(_, cost)| cost.minor).fold(0_i64, i64::saturating_add);
    let steps: Vec<StepForecast> = steps.into_iter().map(|(s, _)| s).collect();
    let mut result = Forecast {
        audience,
        reached,
        reached_interval: interval(flow.reached, audience - held_out, question.assumptions.relative_error),
        missed,
        losses: counts,
        attempts: steps.iter().map(|s| s.attempts).sum(),
        parts: steps.iter().map(|s| s.parts).sum(),
        steps,
        cost: Money { minor: cost_minor, currency: campaign.currency }.decimal().to_string(),
        currency: campaign.currency.code().to_owned(),
        budget: campaign.limits.budget.map(|b| b.decimal().to_string()),
        budget_suffices: !flow.budget_spent,
        first_touch_at: flow.first.map(|t| t.to_string()),
        finishes_at: finishes_at.map(|t| t.to_string()),
        ends_at: campaign.schedule.ends_at().to_string(),
        feasible,
        left_at_end: whole(left),
        sufficient_rate,
        warnings: Vec::new(),
    };
    result.warnings = warnings(&result);
    result
}

/// Cells without the holdout and without what belongs to channels that no step uses; customers that caps bar are taken out evenly.
fn groups(question: &Question<'_>) -> (Vec<Group>, i64) {
    let mut held_out = 0;
    let mut merged: HashMap<(Whereabouts, [Reason; 5]), i64> = HashMap::new();
    for (cell, n) in &question.population.cells {
        if cell.held_out {
            held_out += n;
            continue;
        }
        let mut verdicts = [Reason::None; 5];
        for (channel, (to, from)) in Channel::ALL.into_iter().zip(verdicts.iter_mut().zip(cell.verdicts)) {
            if question.campaign.steps.iter().any(|s| s.channel == channel) {
                *to = from;
            }
        }
        *merged.entry((cell.whereabouts, verdicts)).or_insert(0) += n;
    }
    let free = 1.0 - question.capped.clamp(0.0, 1.0);
    let mut groups: Vec<Group> =
        merged.into_iter().map(|((whereabouts, verdicts), n)| Group { whereabouts, verdicts, customers: float(n) * free }).collect();
    // The order of a hash map differs from run to run; a forecast must not.
    groups.sort_by_key(|g| (format!("{:?}", g.whereabouts), g.verdicts));
    (groups, held_out)
}

/// The smallest rate of the campaign, with the routes growing along, that leaves nobody over whom a faster one would not leave
/// over too; `None` when waits, windows and waves alone make the end infeasible.
fn sufficient_rate(question: &Question<'_>, groups: &[Group], audience: i64) -> Option<String> {
    let left = |scale| flow::run(question, groups, Bounds { scale, ends: true });
    let unlimited = left(f64::INFINITY);
    if unlimited.left > 0.01 * float(audience) {
        return None;
    }
    let tolerated = (unlimited.left + 0.0005 * float(audience)).max(0.5);
    let fits = |flow: &Flow| flow.left <= tolerated;
    let (mut low, mut high) = (1.0_f64, 2.0_f64);
    while !fits(&left(high)) {
        low = high;
        high *= 2.0;
        if high > 1e6 {
            return None;
        }
    }
    for _ in 0..7 {
        let middle = (low + high) / 2.0;
        if fits(&left(middle)) { high = middle } else { low = middle }
    }
    let slowest = question.routes.iter().filter_map(|r| r.rate);
    let rate = question.campaign.limits.rate.or_else(|| slowest.min_by_key(|r| i64::from(r.count).saturating_mul(86_400_000) / r.per_ms.max(1)))?;
    let count = u32::try_from(whole((f64::from(rate.count) * high).ceil())).unwrap_or(u32::MAX);
    Some(Rate { count, per_ms: rate.per_ms }.to_string())
}

/// 95 % interval of the reach: binomial chance and the relative error of the rates, added in quadrature (1.96 standard errors).
fn interval(reached: f64, contactable: i64, relative_error: f64) -> [i64; 2] {
    let n = float(contactable).max(1.0);
    let rate = (reached / n).clamp(0.0, 1.0);
    // A rate near 0 or 1 has less room to be wrong; the error of the rate shrinks with the distance to 1.
    let error = relative_error * reached * (1.0 - rate);
    let half = 1.96 * (n * rate * (1.0 - rate) + error * error).sqrt();
    [whole(reached - half), whole((reached + half).min(n)).min(contactable)]
}

/// Whole numbers in the given proportions that add up to `total` (largest remainders).
fn apportion(shares: &[(String, f64)], total: i64) -> BTreeMap<String, i64> {
    let sum: f64 = shares.iter().map(|(_, n)| n.max(0.0)).sum();
    if sum <= 0.0 {
        return BTreeMap::new();
    }
    let exact: Vec<f64> = shares.iter().map(|(_, n)| n.max(0.0) / sum * float(total)).collect();
    let mut counts: Vec<i64> = exact.iter().map(|n| whole(n.floor())).collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    let remainder = |i: &usize| exact.get(*i).map_or(0.0, |n| n - n.floor());
    order.sort_by(|a, b| remainder(b).total_cmp(&remainder(a)));
    let missing = usize::try_from(total - counts.iter().sum::<i64>()).unwrap_or(0);
    for i in order.into_iter().cycle().take(missing) {
        if let Some(count) = counts.get_mut(i) {
            *count += 1;
        }
    }
    let mut result = BTreeMap::new();
    for ((name, _), n) in shares.iter().zip(counts) {
        *result.entry(name.clone()).or_insert(0) += n;
    }
    result
}

fn step_forecasts(question: &Question<'_>, flow: &Flow) -> Vec<(StepForecast, Money)> {
    let with_flow = question.campaign.steps.iter().zip(&flow.steps).zip(question.steps);
    with_flow
        .map(|((step, flow), estimate)| {
            // An expectation has no use for fractions of the smallest coin.
            let cost = Money::round(whole(flow.parts).saturating_mul(estimate.cost_micros), question.campaign.currency);
            let forecast = StepForecast {
                step: step.name.clone(),
                channel: step.channel,
                customers: whole(flow.entered),
                attempts: whole(flow.attempts),
                reached: whole(flow.reached),
                parts: whole(flow.parts),
                cost: cost.decimal().to_string(),
            };
            (forecast, cost)
        })
        .collect()
}

fn warnings(forecast: &Forecast) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |code: &'static str, text| warnings.push(Warning { code: Cow::Borrowed(code), text });
    let lost = |reason: Reason| forecast.losses.get(reason.name()).copied().unwrap_or(0);
    if !forecast.feasible {
        let when = forecast.finishes_at.as_deref().map_or_else(|| "not within 180 days of it".to_owned(), |t| format!("at {t}"));
        let way = forecast.sufficient_rate.as_deref().map_or_else(
            || "No rate would do, because waits, waves and lawful hours alone take longer: move the end, or shorten waits".to_owned(),
            |rate| format!("A rate of {rate} (campaign and routes) would do; or move the end"),
        );
        warn(
            "infeasible_end",
            format!("the end ({}) cuts off {} customers; the work would be done {when}. {way}", forecast.ends_at, forecast.left_at_end),
        );
    }
    if !forecast.budget_suffices {
        let budget = forecast.budget.as_deref().unwrap_or("0");
        warn("budget", format!("the budget of {budget} {} is used up with {} customers left", forecast.currency, lost(Reason::Budget)));
    }
    if lost(Reason::NoCalendar) > 0 {
        let n = lost(Reason::NoCalendar);
        warn(
            "no_calendar",
            format!("{n} customers cannot be contacted: a year of the schedule has no holiday table, and none is guessed; add the table"),
        );
    }
    let barred = lost(Reason::NoConsent) + lost(Reason::OptedOut);
    if forecast.audience > 0 && barred * 2 > forecast.audience {
        warn(
            "no_consent",
            format!(
                "{barred} of {} customers have given no consent or have taken it back; import consents, or choose another list",
                forecast.audience
            ),
        );
    }
    if lost(Reason::NoAddress) * 2 > forecast.audience && forecast.audience > 0 {
        warn("no_address", format!("{} of {} customers have no address on the channel of their step", lost(Reason::NoAddress), forecast.audience));
    }
    if lost(Reason::NoContent) > 0 {
        let n = lost(Reason::NoContent);
        warn(
            "no_content",
            format!(
                "for about {n} customers the message cannot be written, because a variable has no value: give it a default in the mapping or in the template"
            ),
        );
    }
    if forecast.audience > 0 && forecast.reached == 0 {
        warn("no_reach", "nobody is expected to be reached".to_owned());
    }
    warnings
}
