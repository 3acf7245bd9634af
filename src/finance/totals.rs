//! What the rows of an export add up to; counted while writing, and again, from the files, by `verify`.
use super::FinanceError;
use super::rows::{Shape, View, What, views};
use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sums of one currency as decimal strings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CurrencySums {
    /// Cost of the touches.
    pub cost: String,
    /// The whole of the amount column.
    pub amount: String,
    /// Amount credited to touches.
    pub credited: String,
    /// Amount of the holdout's facts: counted, never credited.
    pub holdout: String,
}

/// What the rows add up to. In a correction a reversal counts -1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Totals {
    /// Rows in the files.
    pub rows: i64,
    /// Rows by state; in results these sum to the audience. Empty for conversions.
    pub counts: BTreeMap<String, i64>,
    /// Attempts made.
    pub attempts: i64,
    /// Seconds of conversation.
    pub connected_s: i64,
    /// Message parts.
    pub parts: i64,
    /// By currency code.
    pub sums: BTreeMap<String, CurrencySums>,
}

#[derive(Clone, Copy, Default)]
struct Micros {
    cost: i128,
    amount: i128,
    holdout: i128,
}

/// Adds up batches of one shape.
pub struct Adder {
    shape: Shape,
    totals: Totals,
    micros: BTreeMap<Box<str>, Micros>,
}

/// Millionths as a decimal with at least two places and no needless zeros beyond them.
pub fn micros_text(micros: i128) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, part) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let digits = format!("{part:06}");
    let kept = digits.trim_end_matches('0').len().max(2);
    format!("{sign}{whole}.{}", digits.get(..kept).unwrap_or(&digits))
}

/// Millionths as a decimal with exactly `digits` places (at most six).
pub fn fixed_text(micros: i128, digits: u32) -> String {
    let finer = 10_u128.pow(6_u32.saturating_sub(digits));
    let mantissa = micros.unsigned_abs() / finer;
    let unit = 10_u128.pow(digits);
    let sign = if micros < 0 { "-" } else { "" };
    if digits == 0 { format!("{sign}{mantissa}") } else { format!("{sign}{}.{:0w$}", mantissa / unit, mantissa % unit, w = digits as usize) }
}

impl Adder {
    /// Nothing yet.
    pub fn new(shape: Shape) -> Self {
        let mut totals = Totals::default();
        if shape.what == What::Results {
            // The closed sum names every state, those of nobody too.
            totals.counts = crate::domain::touch::State::ALL.iter().map(|s| (s.name().to_owned(), 0)).collect();
        }
        Self { shape, totals, micros: BTreeMap::new() }
    }
    /// Adds a batch.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), FinanceError> {
        let views = views(batch, self.shape)?;
        let find = |name: &str| self.shape.columns().iter().position(|c| c.name == name).and_then(|i| views.get(i));
        let [change, state, attempts, connected, cost, amount, currency, parts, arm] =
            ["change", "state", "attempts", "connected_s", "cost", "amount", "currency", "parts", "arm"].map(find);
        let attempt_states: Vec<&str> = crate::domain::touch::State::ALL.iter().filter(|s| s.stands()).map(|s| s.name()).collect();
        let touches = self.shape.what == What::Touches;
        for row in 0..batch.num_rows() {
            let sign = if change.is_some_and(|c| c.text(row) == REVERSAL) { -1 } else { 1 };
            if let Some(state) = state {
                count(&mut self.totals.counts, state, row, sign);
                if touches && attempt_states.contains(&state.text(row)) {
                    self.totals.attempts += sign;
                }
            }
            let small = |v: Option<&View<'_>>| v.map_or(0, |v| i64::try_from(v.int(row)).unwrap_or(0));
            self.totals.attempts += small(attempts);
            self.totals.connected_s += small(connected);
            self.totals.parts += small(parts);
            if let Some(currency) = currency {
                let code = currency.text(row);
                if !self.micros.contains_key(code) {
                    self.micros.insert(code.into(), Micros::default());
                }
                if let Some(sums) = self.micros.get_mut(code) {
                    sums.cost += cost.map_or(0, |v| v.micros(row));
                    let amount = amount.map_or(0, |v| v.micros(row));
                    sums.amount += amount;
                    if arm.is_some_and(|a| a.text(row) == HOLDOUT) {
                        sums.holdout += amount;
                    }
                }
            }
        }
        self.totals.rows += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
        Ok(())
    }
    /// The totals.
    pub fn finish(mut self) -> Totals {
        for (code, sums) in self.micros {
            let texts = CurrencySums {
                cost: micros_text(sums.cost),
                amount: micros_text(sums.amount),
                credited: micros_text(sums.amount - sums.holdout),
                holdout: micros_text(sums.holdout),
            };
            self.totals.sums.insert(code.into(), texts);
        }
        self.totals
    }
}

/// `change` of a row that takes back one of the export corrected.
pub const REVERSAL: &str = "reversal";
/// `change` of a row that stands from now on.
pub const NEW: &str = "new";
/// `arm` of customers left alone.
pub const HOLDOUT: &str = "holdout";
/// `arm` of all others.
pub const TREATED: &str = "treated";

fn count(counts: &mut BTreeMap<String, i64>, state: &View<'_>, row: usize, by: i64) {
    let name = state.text(row);
    match counts.get_mut(name) {
        Some(n) => *n += by,
        None => drop(counts.insert(name.to_owned(), by)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millionths_read_as_decimals() {
        assert_eq!(micros_text(45_000), "0.045");
        assert_eq!(micros_text(-12_000_000), "-12.00");
        assert_eq!(micros_text(-1), "-0.000001");
        assert_eq!(fixed_text(-12_340_000, 2), "-12.34");
        assert_eq!(fixed_text(12_000_000, 0), "12");
        assert_eq!(fixed_text(1_234_000, 3), "1.234");
        assert_eq!(fixed_text(-500_000, 2), "-0.50");
    }
}
