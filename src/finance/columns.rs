//! Rows of the ledger laid out as columns: the part of an export that runs on the encoder's thread.
use super::FinanceError;
use super::labels::{Dictionary, Labels, Names};
use super::rows::{Kind, Shape};
use super::totals::HOLDOUT;
use crate::domain::ids::{CustomerId, RuleNo, StepNo};
use crate::domain::outcome::Reason;
use crate::domain::touch::{State, Touch, customer_state};
use crate::store::{CreditRow, FactRow};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use std::collections::HashMap;
use std::sync::Arc;

fn ints(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}
fn instants(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
}

/// One reference per row of a sorted column of customers.
fn spread(rows: impl Iterator<Item = CustomerId>, ids: &[CustomerId], references: &[Box<str>]) -> ArrayRef {
    let mut at = 0;
    let texts = rows.map(|customer| {
        while ids.get(at).is_some_and(|id| *id < customer) {
            at += 1;
        }
        references.get(at).map_or("", |r| &**r)
    });
    Arc::new(StringArray::from_iter_values(texts))
}

/// Touches as columns. `references`: of the distinct customers, in order.
pub fn touch_columns(names: &Names, shape: Shape, touches: &[Touch], references: &[Box<str>]) -> Result<RecordBatch, FinanceError> {
    let mut ids: Vec<CustomerId> = touches.iter().map(|t| t.key.customer).collect();
    ids.dedup();
    let t = || touches.iter();
    let columns = vec![
        ints(t().map(|t| t.key.customer.0)),
        spread(t().map(|t| t.key.customer), &ids, references),
        ints(t().map(|t| i64::from(t.key.seq))),
        names.steps.column(t().map(|t| names.step(t.step)).collect::<Result<_, _>>()?)?,
        ints(t().map(|t| i64::from(t.attempt))),
        names.channels.sparse_column(t().map(|t| t.channel.map(|c| names.channel(c))).collect())?,
        names.routes.sparse_column(t().map(|t| t.route.map(|r| names.route(r)).transpose()).collect::<Result<_, _>>()?)?,
        names.variants.sparse_column(t().map(|t| t.channel.and_then(|_| names.variant(t.step, t.variant))).collect())?,
        names.states.column(t().map(|t| names.state(t.state)).collect())?,
        names.reasons.column(t().map(|t| names.reason(t.reason)).collect())?,
        names.rules.sparse_column(t().map(|t| names.rule(t.rule)).collect::<Result<_, _>>()?)?,
        instants(t().map(|t| t.due_at.map(|at| at.0))),
        instants(t().map(|t| t.started_at.map(|at| at.0))),
        instants(t().map(|t| t.ended_at.map(|at| at.0))),
        ints(t().map(|t| if t.state.stands() { i64::from(t.connected_s) } else { 0 })),
        shape.decimals(Kind::Cost, t().map(|t| if t.state.stands() { i128::from(t.cost_micros) } else { 0 }).collect())?,
        names.currency.column(vec![0; touches.len()])?,
        ints(t().map(|t| if t.state.stands() { i64::from(t.parts) } else { 0 })),
        Arc::new(t().map(|t| t.provider_ref.as_deref().filter(|r| !r.is_empty())).collect::<StringArray>()),
    ];
    Ok(RecordBatch::try_new(shape.schema(), columns)?)
}

/// What a customer's touches come to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    attempts: i64,
    steps: Vec<StepNo>,
    first_started: Option<i64>,
    last_ended: Option<i64>,
    connected_s: i64,
    cost_micros: i128,
    parts: i64,
    head: Option<Deciding>,
    reached: Option<Deciding>,
}

/// The touch that gives the customer its state.
#[derive(Clone, Copy, Debug)]
struct Deciding {
    state: State,
    flags: u32,
    reason: Reason,
    rule: RuleNo,
    step: StepNo,
    variant: Option<u8>,
}

impl Summary {
    /// Adds the customer's next touch.
    pub fn add(&mut self, touch: &Touch) {
        if touch.state.stands() {
            self.attempts += 1;
            self.connected_s += i64::from(touch.connected_s);
            self.cost_micros += i128::from(touch.cost_micros);
            self.parts += i64::from(touch.parts);
            if !self.steps.contains(&touch.step) {
                self.steps.push(touch.step);
            }
        }
        self.first_started = self.first_started.into_iter().chain(touch.started_at.map(|t| t.0)).min();
        self.last_ended = self.last_ended.max(touch.ended_at.map(|t| t.0));
        let deciding = Deciding {
            state: touch.state,
            flags: touch.flags,
            reason: touch.reason,
            rule: touch.rule,
            step: touch.step,
            variant: touch.channel.map(|_| touch.variant),
        };
        if touch.state == State::Reached {
            self.reached = Some(deciding);
        }
        self.head = Some(deciding);
    }
    /// The customer's state, and the touch that explains it.
    fn decided(&self) -> Option<(State, Deciding)> {
        let head = self.head?;
        let state = customer_state(head.state, head.flags);
        Some((state, if state == head.state { head } else { self.reached.unwrap_or(head) }))
    }
}

/// Results as columns. `rowless`: state and reason of customers without a touch.
pub fn result_columns(
    names: &Names,
    labels: &Labels,
    shape: Shape,
    rowless: (State, Reason),
    ids: &[CustomerId],
    results: &[Summary],
    references: &[Box<str>],
) -> Result<RecordBatch, FinanceError> {
    let decided: Vec<Option<(State, Deciding)>> = results.iter().map(Summary::decided).collect();
    let d = || decided.iter().map(|d| d.as_ref());
    let r = || results.iter();
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let columns = vec![
        ints(ids.iter().map(|id| id.0)),
        Arc::new(StringArray::from_iter_values(references)) as ArrayRef,
        names.states.column(d().map(|d| names.state(d.map_or(rowless.0, |(state, _)| *state))).collect())?,
        names.reasons.column(d().map(|d| names.reason(d.map_or(rowless.1, |(_, d)| d.reason))).collect())?,
        ints(r().map(|r| r.attempts)),
        ints(r().map(|r| count(r.steps.len()))),
        instants(r().map(|r| r.first_started)),
        instants(r().map(|r| r.last_ended)),
        ints(r().map(|r| r.connected_s)),
        shape.decimals(Kind::Cost, r().map(|r| r.cost_micros).collect())?,
        names.currency.column(vec![0; ids.len()])?,
        ints(r().map(|r| r.parts)),
        names.rules.sparse_column(d().map(|d| d.map_or(Ok(None), |(_, d)| names.rule(d.rule))).collect::<Result<_, _>>()?)?,
        names.arms.column(
            ids.iter().zip(d()).map(|(id, d)| i32::from(d.is_some_and(|(s, _)| *s == State::HeldOut) || labels.arm(*id) == HOLDOUT)).collect(),
        )?,
        names.variants.sparse_column(d().map(|d| d.and_then(|(_, d)| names.variant(d.step, d.variant?))).collect())?,
    ];
    Ok(RecordBatch::try_new(shape.schema(), columns)?)
}

/// Credits as columns. `steps`: of the credited touches; `references`: of the distinct customers `ids`.
#[allow(clippy::too_many_arguments, reason = "one call; each is a column's source")]
pub fn conversion_columns(
    names: &Names,
    labels: &Labels,
    shape: Shape,
    credits: &[CreditRow],
    steps: &[Option<StepNo>],
    ids: &[CustomerId],
    references: &[Box<str>],
    facts: &HashMap<i64, FactRow>,
) -> Result<RecordBatch, FinanceError> {
    let mut rows = Vec::with_capacity(credits.len());
    for credit in credits {
        let fact = facts.get(&credit.fact).ok_or_else(|| {
            FinanceError::Ledger(format!("a credit names fact {}, which is of no kind that the campaign counts: attribute again", credit.fact))
        })?;
        rows.push((credit, fact));
    }
    let r = || rows.iter();
    let mut distinct: Vec<&str> =
        r().flat_map(|(c, f)| [Some(f.kind.as_str()), f.product.as_deref(), Some(&*c.rule), Some(c.amount.currency.code())]).flatten().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let texts = Dictionary::new(&distinct);
    let find = |text: &str| distinct.binary_search(&text).ok().and_then(|i| i32::try_from(i).ok());
    let named = |of: &dyn Fn(&(&CreditRow, &FactRow)) -> Option<i32>| texts.sparse_column(r().map(of).collect());
    let mantissas = r().map(|(c, _)| i128::from(c.amount.minor) * 10_i128.pow(shape.amount_digits.saturating_sub(c.amount.currency.digits())));
    let columns = vec![
        ints(r().map(|(c, _)| c.customer.0)),
        spread(r().map(|(c, _)| c.customer), ids, references),
        ints(r().map(|(c, _)| c.fact)),
        Arc::new(StringArray::from_iter_values(r().map(|(_, f)| &f.fact_ref))) as ArrayRef,
        named(&|(_, f)| find(&f.kind))?,
        named(&|(_, f)| f.product.as_deref().filter(|p| !p.is_empty()).and_then(find))?,
        named(&|(c, _)| find(&c.rule))?,
        shape.decimals(Kind::Amount, mantissas.collect())?,
        named(&|(c, _)| find(c.amount.currency.code()))?,
        instants(r().map(|(c, _)| Some(c.at.0))),
        // A counted fact of the holdout is credited to no touch.
        names.arms.column(r().map(|(c, _)| i32::from(c.seq.is_none() || labels.arm(c.customer) == HOLDOUT)).collect())?,
        names.steps.sparse_column(steps.iter().map(|s| s.map(|s| names.step(s)).transpose()).collect::<Result<_, _>>()?)?,
        Arc::new(r().map(|(c, _)| c.seq.map(i64::from)).collect::<Int64Array>()),
    ];
    Ok(RecordBatch::try_new(shape.schema(), columns)?)
}
