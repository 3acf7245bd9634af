//! Attribution over a whole run: pages of the audience, their touches and facts, credits into the fact book, and lift.
use super::FinanceError;
use super::labels::Labels;
use super::ledger::{PAGE, TouchCursor, WINDOW, next_credits};
use super::totals::{HOLDOUT, fixed_text};
use crate::domain::attribution::{Assignment, Fact, ReachedTouch, credit, within};
use crate::domain::campaign::{Campaign, ConversionRule};
use crate::domain::ids::CustomerId;
use crate::domain::lift::{Arm, Estimate, NoEstimate, amount_difference, rate_difference};
use crate::domain::money::Currency;
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::store::{CampaignRow, CreditRow, FactRow, Needs, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What the facts came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttributionReport {
    /// Credits by rule and currency.
    pub conversions: Vec<ConversionLine>,
    /// Facts of the holdout by rule and currency: counted, never credited.
    pub holdout: Vec<ConversionLine>,
    /// Treated (all assigned, reached or not) less holdout.
    pub lift: Vec<LiftLine>,
    /// Why there is no lift.
    pub no_lift: Vec<NoLiftLine>,
    /// Facts that another real campaign holds, by rule.
    pub held_elsewhere: BTreeMap<String, u64>,
}

/// What one rule came to in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConversionLine {
    /// The rule.
    pub name: String,
    /// Distinct customers.
    pub customers: u64,
    /// Distinct facts.
    pub facts: u64,
    /// Decimal.
    pub amount: String,
    /// Of which currency.
    pub currency: Currency,
}

/// One difference between treated and holdout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LiftLine {
    /// The rule.
    pub name: String,
    /// `treated`: of these, less the holdout.
    pub arm: Cow<'static, str>,
    /// `rate` (converted customers per customer) or `amount` (mean per customer).
    pub metric: Cow<'static, str>,
    /// Of an amount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Customers treated, and left alone.
    pub customers: [u64; 2],
    /// The difference, its standard error and 95 % interval.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// A rule without a lift.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NoLiftLine {
    /// The rule.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Treated (0) and holdout (1) of one rule; in `amounts` only `sum` and `sum_of_squares` are kept.
#[derive(Default)]
struct Arms {
    both: [Arm; 2],
    amounts: BTreeMap<Currency, [Arm; 2]>,
}

/// Gives the run's credits anew from the facts that are in the book: they replace those given before. A fact is credited by the
/// first rule of the file that takes it, and only if no other real campaign holds it. Run it again whenever facts came in.
///
/// Lift counts the facts of both arms from the campaign's start for the rule's window, whoever is credited with them.
pub async fn attribute(store: &dyn Store, run: &CampaignRow, campaign: &Campaign) -> Result<AttributionReport, FinanceError> {
    let labels = Labels::from(campaign);
    let since = run.started_at.unwrap_or_else(|| campaign.schedule.starts_at());
    let mut arms: Vec<Arms> = campaign.conversions.iter().map(|_| Arms::default()).collect();
    let mut report = AttributionReport::default();
    let (mut cursor, mut after, mut first) = (TouchCursor::default(), CustomerId(i64::MIN), true);
    loop {
        let page = store.page(run.audience_list, after, PAGE, Needs::default()).await?;
        let ids: Vec<CustomerId> = page.members.iter().map(|m| m.id).collect();
        let last = page.last || ids.is_empty();
        after = ids.last().copied().unwrap_or(after);
        let mut reached: Vec<Vec<ReachedTouch>> = vec![Vec::new(); ids.len()];
        let seen = &mut |i: usize, touch: &crate::domain::touch::Touch| {
            if let (State::Reached, Some(ended_at), Some(of)) = (touch.state, touch.ended_at, reached.get_mut(i)) {
                of.push(ReachedTouch { seq: touch.key.seq, ended_at });
            }
        };
        cursor.visit(store, run, &ids, last, seen).await?;
        let mut taken = BTreeSet::new();
        for (rule, arms) in campaign.conversions.iter().zip(&mut arms) {
            let facts = facts_of(store, &ids, rule).await?;
            let elsewhere = store.credited_elsewhere(run.id, &facts.iter().map(|f| f.id).collect::<Vec<_>>()).await?;
            let held = report.held_elsewhere.entry(rule.name.clone()).or_insert(0);
            *held += elsewhere.len() as u64;
            taken.extend(elsewhere);
            let credits = credit_page(run, &labels, rule, since, &ids, &reached, &facts, &mut taken, arms);
            *held += store.put_credits(run.id, &rule.name, &credits, last, first).await?.len() as u64;
        }
        first = false;
        if last {
            break;
        }
    }
    report.held_elsewhere.retain(|_, n| *n > 0);
    tell_lift(&mut report, campaign, &arms);
    tell_credits(store, run, campaign, &mut report).await?;
    Ok(report)
}

/// The facts that a rule takes, of these customers alone, in (customer, at, id) order.
async fn facts_of(store: &dyn Store, ids: &[CustomerId], rule: &ConversionRule) -> Result<Vec<FactRow>, FinanceError> {
    let (mut found, mut rest) = (Vec::new(), ids);
    while let (Some(from), Some(last)) = (rest.first(), rest.last()) {
        let to = CustomerId(last.0.min(from.0.saturating_add(WINDOW - 1)));
        let facts = store.facts((*from, to), &rule.fact, rule.product.as_deref()).await?;
        found.extend(facts.into_iter().filter(|f| rest.binary_search(&f.customer).is_ok()));
        rest = rest.get(rest.partition_point(|id| *id <= to)..).unwrap_or(&[]);
    }
    Ok(found)
}

#[allow(clippy::too_many_arguments, reason = "one call: the page as it was read")]
fn credit_page(
    run: &CampaignRow,
    labels: &Labels,
    rule: &ConversionRule,
    since: Timestamp,
    ids: &[CustomerId],
    reached: &[Vec<ReachedTouch>],
    facts: &[FactRow],
    taken: &mut BTreeSet<i64>,
    arms: &mut Arms,
) -> Vec<CreditRow> {
    let (mut credits, mut shares, mut rest) = (Vec::new(), Vec::new(), facts);
    for (customer, touches) in ids.iter().zip(reached) {
        let (mine, others) = rest.split_at(rest.partition_point(|f| f.customer <= *customer));
        rest = others;
        let held_out = labels.arm(*customer) == HOLDOUT;
        count_arm(arms, usize::from(held_out), mine, since, rule.window_ms);
        if mine.is_empty() {
            continue;
        }
        let assignment = if held_out { Assignment::Holdout { since } } else { Assignment::Treated };
        let facts: Vec<Fact> = mine.iter().map(|f| Fact { id: f.id, amount: f.amount, at: f.at }).collect();
        shares.clear();
        credit(rule, assignment, touches, &facts, taken, &mut shares);
        credits.extend(shares.iter().map(|s| CreditRow {
            campaign: run.id,
            rule: rule.name.clone(),
            fact: s.fact,
            customer: *customer,
            seq: s.seq,
            amount: s.amount,
            at: s.at,
        }));
    }
    credits
}

/// Counts a customer in its arm. Amounts become floats here and only here: they are the input of an estimate, not of a sum.
fn count_arm(arms: &mut Arms, which: usize, facts: &[FactRow], since: Timestamp, window_ms: i64) {
    let mut amounts: BTreeMap<Currency, i64> = BTreeMap::new();
    for fact in facts.iter().filter(|f| within(f.at, since, window_ms)) {
        let sum = amounts.entry(fact.amount.currency).or_insert(0);
        *sum = sum.saturating_add(fact.amount.minor);
    }
    if let Some(arm) = arms.both.get_mut(which) {
        arm.add((!amounts.is_empty()).then_some(0.0));
    }
    for (currency, minor) in amounts {
        if let Some(arm) = arms.amounts.entry(currency).or_default().get_mut(which) {
            arm.add(Some(minor as f64 / 10_f64.powi(i32::try_from(currency.digits()).unwrap_or(2))));
        }
    }
}

fn tell_lift(report: &mut AttributionReport, campaign: &Campaign, arms: &[Arms]) {
    for (rule, arms) in campaign.conversions.iter().zip(arms) {
        let [treated, holdout] = &arms.both;
        let customers = [treated.customers, holdout.customers];
        let line = |metric, currency, estimate| LiftLine {
            name: rule.name.clone(),
            arm: "treated".into(),
            metric: Cow::Borrowed(metric),
            currency,
            customers,
            estimate,
        };
        let mut tell = |metric, currency, result: Result<Estimate, NoEstimate>| match result {
            Ok(estimate) => report.lift.push(line(metric, currency, estimate)),
            Err(why) if metric == "rate" => report.no_lift.push(NoLiftLine { name: rule.name.clone(), reason: why.to_string() }),
            // The rate has told the reason.
            Err(_) => {}
        };
        tell("rate", None, rate_difference(treated, holdout));
        for (currency, [a, b]) in &arms.amounts {
            let whole = |part: &Arm, all: &Arm| Arm { customers: all.customers, ..*part };
            tell("amount", Some(*currency), amount_difference(&whole(a, treated), &whole(b, holdout)));
        }
    }
}

#[derive(Default)]
struct Count {
    customers: u64,
    facts: u64,
    minor: i128,
    last: Option<(CustomerId, i64)>,
}

impl Count {
    /// Credits come in (customer, fact) order.
    fn add(&mut self, credit: &CreditRow) {
        let this = (credit.customer, credit.fact);
        self.customers += u64::from(self.last.is_none_or(|(customer, _)| customer != credit.customer));
        self.facts += u64::from(self.last != Some(this));
        self.minor += i128::from(credit.amount.minor);
        self.last = Some(this);
    }
}

/// The lines are told from what the book holds in the end, not from what was asked of it.
async fn tell_credits(store: &dyn Store, run: &CampaignRow, campaign: &Campaign, report: &mut AttributionReport) -> Result<(), FinanceError> {
    let mut counts: BTreeMap<(bool, String, Currency), Count> = BTreeMap::new();
    for rule in &campaign.conversions {
        // A rule that nobody fulfilled is a line too.
        counts.entry((false, rule.name.clone(), run.currency)).or_default();
    }
    let mut after = None;
    while let Some(credits) = next_credits(store, run, &mut after).await? {
        for credit in &credits {
            counts.entry((credit.seq.is_none(), credit.rule.clone(), credit.amount.currency)).or_default().add(credit);
        }
    }
    let in_other_currency: BTreeSet<String> =
        counts.iter().filter(|((held, _, c), _)| !held && *c != run.currency).map(|((_, rule, _), _)| rule.clone()).collect();
    for ((held_out, name, currency), count) in counts {
        if count.facts == 0 && in_other_currency.contains(&name) {
            continue;
        }
        let digits = currency.digits();
        let amount = fixed_text(count.minor * 10_i128.pow(6_u32.saturating_sub(digits)), digits);
        let line = ConversionLine { name, customers: count.customers, facts: count.facts, amount, currency };
        if held_out { report.holdout.push(line) } else { report.conversions.push(line) }
    }
    Ok(())
}
