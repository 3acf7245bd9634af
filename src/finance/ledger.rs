//! The ledger as a stream of batches, in the order of the rows' key. Reading happens here; laying rows out as columns is
//! handed on as [`Work`], so that it can happen on another thread. Memory is bounded by the page sizes below (law 9).
use super::FinanceError;
use super::columns::{Summary, conversion_columns, result_columns, touch_columns};
use super::labels::{Labels, Names};
use super::rows::{Shape, What};
use crate::domain::ids::{CustomerId, StepNo, TouchKey};
use crate::domain::money::Currency;
use crate::domain::outcome::Reason;
use crate::domain::touch::{State, Touch};
use crate::store::{CampaignRow, CreditRow, FactRow, Needs, Status, Store};
use arrow_array::RecordBatch;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

/// Rows read at once.
pub const PAGE: usize = 20_000;
/// Customer numbers asked of the store at once: bounds memory when an audience is thinly spread over a large book.
pub const WINDOW: i64 = 50_000;

/// Customers per credited touch beyond which touches are looked up one by one rather than scanned: a look-up costs about as much
/// as scanning past so many rows.
const SPARSE: i64 = 50;

/// Rows that have been read and are yet to be laid out.
pub type Work = Box<dyn FnOnce() -> Result<RecordBatch, FinanceError> + Send>;

/// References of customers (sorted, distinct), in the same order.
pub async fn references(store: &dyn Store, wanted: &[CustomerId]) -> Result<Vec<Box<str>>, FinanceError> {
    let mut found = Vec::with_capacity(wanted.len());
    while let (Some(from), Some(last)) = (wanted.get(found.len()), wanted.last()) {
        let to = CustomerId(last.0.min(from.0.saturating_add(WINDOW - 1)));
        let mut rows = store.references(*from, to).await?.into_iter();
        for id in wanted.iter().skip(found.len()).take_while(|id| **id <= to).copied().collect::<Vec<_>>() {
            let reference = rows.by_ref().find(|(have, _)| *have >= id).filter(|(have, _)| *have == id);
            let Some((_, reference)) = reference else {
                return Err(FinanceError::Ledger(format!(
                    "the ledger speaks of customer {id}, who is not in the customer book: run `touchline doctor`"
                )));
            };
            found.push(reference);
        }
    }
    Ok(found)
}

/// A place among a campaign's touches, in (customer, seq) order.
#[derive(Debug, Default)]
pub struct TouchCursor {
    after: Option<(CustomerId, u32)>,
    ahead: VecDeque<Touch>,
    drained: bool,
}

impl TouchCursor {
    async fn scan(&mut self, store: &dyn Store, run: &CampaignRow) -> Result<Vec<Touch>, FinanceError> {
        let touches = store.scan(run.id, self.after, PAGE).await?;
        if let Some(last) = touches.last() {
            self.after = Some((last.key.customer, last.key.seq));
        }
        Ok(touches)
    }
    /// Shows every touch of the next customers of the audience (sorted) with the customer's place among them.
    /// `last`: no customers come after these. A touch of somebody else is a ledger that does not close.
    pub async fn visit(
        &mut self,
        store: &dyn Store,
        run: &CampaignRow,
        ids: &[CustomerId],
        last: bool,
        seen: &mut (dyn FnMut(usize, &Touch) + Send),
    ) -> Result<(), FinanceError> {
        let stranger = |customer: CustomerId| {
            FinanceError::Ledger(format!(
                "campaign {:?} has touches of customer {customer}, who is not in its audience: the ledger does not close; run `touchline doctor`",
                run.name
            ))
        };
        let mut at = 0;
        loop {
            while let Some(touch) = self.ahead.front() {
                let customer = touch.key.customer;
                while ids.get(at).is_some_and(|id| *id < customer) {
                    at += 1;
                }
                match ids.get(at) {
                    Some(id) if *id == customer => seen(at, touch),
                    Some(_) => return Err(stranger(customer)),
                    None if last => return Err(stranger(customer)),
                    None => return Ok(()),
                }
                self.ahead.pop_front();
            }
            if self.drained {
                return Ok(());
            }
            let touches = self.scan(store, run).await?;
            self.drained = touches.is_empty();
            self.ahead.extend(touches);
        }
    }
}

/// A campaign's rows of one shape.
pub struct LedgerRows<'a> {
    store: &'a dyn Store,
    shape: Shape,
    run: CampaignRow,
    labels: Arc<Labels>,
    names: Arc<Names>,
    touches: TouchCursor,
    after_customer: CustomerId,
    after_credit: Option<(CustomerId, i64)>,
    done: bool,
}

impl<'a> LedgerRows<'a> {
    /// From the beginning.
    pub async fn open(store: &'a dyn Store, run: &CampaignRow, labels: &Labels, what: What) -> Result<Self, FinanceError> {
        let amount_digits = if what == What::Conversions { amount_digits(store, run).await? } else { 2 };
        let names = Names::load(store, run, labels).await?;
        Ok(Self {
            store,
            shape: Shape { what, correction: false, amount_digits },
            run: run.clone(),
            labels: Arc::new(labels.clone()),
            names: Arc::new(names),
            touches: TouchCursor::default(),
            after_customer: CustomerId(i64::MIN),
            after_credit: None,
            done: false,
        })
    }
    /// Of what shape the batches are.
    pub fn shape(&self) -> Shape {
        self.shape
    }
    /// The next batch, to be laid out; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Work>, FinanceError> {
        match self.shape.what {
            What::Results => self.next_results().await,
            What::Touches => self.next_touches().await,
            What::Conversions => self.next_conversions().await,
        }
    }

    async fn next_touches(&mut self) -> Result<Option<Work>, FinanceError> {
        let touches = self.touches.scan(self.store, &self.run).await?;
        if touches.is_empty() {
            return Ok(None);
        }
        let mut ids: Vec<CustomerId> = touches.iter().map(|t| t.key.customer).collect();
        ids.dedup();
        let references = references(self.store, &ids).await?;
        let (names, shape) = (Arc::clone(&self.names), self.shape);
        Ok(Some(Box::new(move || touch_columns(&names, shape, &touches, &references))))
    }

    async fn next_results(&mut self) -> Result<Option<Work>, FinanceError> {
        if self.done {
            return Ok(None);
        }
        let page = self.store.page(self.run.audience_list, self.after_customer, PAGE, Needs::default()).await?;
        let ids: Vec<CustomerId> = page.members.iter().map(|m| m.id).collect();
        self.done = page.last || ids.is_empty();
        if let Some(last) = ids.last() {
            self.after_customer = *last;
        }
        let mut results: Vec<Summary> = vec![Summary::default(); ids.len()];
        let add = &mut |i: usize, touch: &Touch| {
            if let Some(summary) = results.get_mut(i) {
                summary.add(touch);
            }
        };
        self.touches.visit(self.store, &self.run, &ids, self.done, add).await?;
        if ids.is_empty() {
            return Ok(None);
        }
        let references = references(self.store, &ids).await?;
        let (names, labels, shape, rowless) = (Arc::clone(&self.names), Arc::clone(&self.labels), self.shape, self.rowless());
        Ok(Some(Box::new(move || result_columns(&names, &labels, shape, rowless, &ids, &results, &references))))
    }

    /// State and reason of customers without a row: still to come, or cancelled with the campaign that was closed before them.
    fn rowless(&self) -> (State, Reason) {
        match (self.run.status, self.run.stop_reason) {
            (_, Some(reason)) => (State::Cancelled, reason),
            (Status::Stopped, None) => (State::Cancelled, Reason::Stopped),
            _ => (State::Pending, Reason::None),
        }
    }

    async fn next_conversions(&mut self) -> Result<Option<Work>, FinanceError> {
        let Some(credits) = next_credits(self.store, &self.run, &mut self.after_credit).await? else { return Ok(None) };
        let mut ids: Vec<CustomerId> = credits.iter().map(|c| c.customer).collect();
        ids.dedup();
        let references = references(self.store, &ids).await?;
        let facts = self.facts_of(&credits, &ids).await?;
        let steps = self.steps_of(&credits).await?;
        let (names, labels, shape) = (Arc::clone(&self.names), Arc::clone(&self.labels), self.shape);
        Ok(Some(Box::new(move || conversion_columns(&names, &labels, shape, &credits, &steps, &ids, &references, &facts))))
    }

    /// The steps of the credited touches.
    async fn steps_of(&self, credits: &[CreditRow]) -> Result<Vec<Option<StepNo>>, FinanceError> {
        let key = |c: &CreditRow| c.seq.map(|seq| TouchKey { customer: c.customer, campaign: self.run.id, seq });
        let wanted: BTreeSet<TouchKey> = credits.iter().filter_map(key).collect();
        let mut found: HashMap<TouchKey, StepNo> = HashMap::with_capacity(wanted.len());
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(vec![None; credits.len()]) };
        let span = last.customer.0.saturating_sub(first.customer.0);
        if span / i64::try_from(wanted.len()).unwrap_or(i64::MAX) < SPARSE {
            let mut after = Some((CustomerId(first.customer.0.saturating_sub(1)), u32::MAX));
            while found.len() < wanted.len() {
                let touches = self.store.scan(self.run.id, after, PAGE).await?;
                after = touches.last().map(|t| (t.key.customer, t.key.seq));
                found.extend(touches.into_iter().filter(|t| wanted.contains(&t.key)).map(|t| (t.key, t.step)));
                if after.is_none_or(|(customer, _)| customer > last.customer) {
                    break;
                }
            }
        } else {
            for key in &wanted {
                found.extend(self.store.touch(*key).await?.map(|t| (*key, t.step)));
            }
        }
        let lost = |key: TouchKey| FinanceError::Ledger(format!("a credit names touch {key}, which is not in the ledger: attribute again"));
        credits.iter().map(|c| key(c).map(|k| found.get(&k).copied().ok_or_else(|| lost(k))).transpose()).collect()
    }

    /// The facts that credits of these customers name. Every fact of the rules' kinds in a window is read, those named are kept.
    async fn facts_of(&self, credits: &[CreditRow], ids: &[CustomerId]) -> Result<HashMap<i64, FactRow>, FinanceError> {
        let wanted: BTreeSet<i64> = credits.iter().map(|c| c.fact).collect();
        let kinds: BTreeSet<(&str, Option<&str>)> = self.labels.conversions.iter().map(|c| (c.fact.as_str(), c.product.as_deref())).collect();
        let mut found = HashMap::with_capacity(wanted.len());
        let mut rest = ids;
        while let (Some(from), Some(last)) = (rest.first(), rest.last()) {
            let to = CustomerId(last.0.min(from.0.saturating_add(WINDOW - 1)));
            for (kind, product) in &kinds {
                let facts = self.store.facts((*from, to), kind, *product).await?;
                found.extend(facts.into_iter().filter(|f| wanted.contains(&f.id)).map(|f| (f.id, f)));
            }
            rest = rest.get(rest.partition_point(|id| *id <= to)..).unwrap_or(&[]);
        }
        Ok(found)
    }
}

/// The next page of credits that does not cut a (customer, fact) in two, sorted by rule and touch within it.
pub(super) async fn next_credits(
    store: &dyn Store,
    run: &CampaignRow,
    after: &mut Option<(CustomerId, i64)>,
) -> Result<Option<Vec<CreditRow>>, FinanceError> {
    let mut limit = PAGE;
    loop {
        let mut page = store.credits(run.id, *after, limit).await?;
        let Some(last) = page.last().map(|c| (c.customer, c.fact)) else { return Ok(None) };
        if page.len() >= limit {
            // The last fact's credits may go on in the next page: leave them all to it.
            let whole = page.partition_point(|c| (c.customer, c.fact) < last);
            if whole == 0 {
                limit *= 2;
                continue;
            }
            page.truncate(whole);
        }
        *after = page.last().map(|c| (c.customer, c.fact));
        page.sort_by(|a, b| (a.customer, a.fact, &a.rule, a.seq).cmp(&(b.customer, b.fact, &b.rule, b.seq)));
        return Ok(Some(page));
    }
}

/// The most digits that any currency of the campaign's credits has.
async fn amount_digits(store: &dyn Store, run: &CampaignRow) -> Result<u32, FinanceError> {
    let (mut after, mut currencies) = (None, BTreeSet::<Currency>::new());
    while let Some(credits) = next_credits(store, run, &mut after).await? {
        currencies.extend(credits.iter().map(|c| c.amount.currency));
    }
    Ok(currencies.into_iter().map(Currency::digits).max().unwrap_or_else(|| run.currency.digits()))
}
