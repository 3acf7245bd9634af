//! Which touch earned a conversion: causality, window, and how a fact's amount is shared.
//!
//! A fact can be credited only to touches that *reached* the customer *before* the fact came about, and not longer before
//! it than the rule's window. Among those the rule's [`Credit`] chooses. A fact without such a touch is nobody's success.
//! Customers of the holdout were never touched: their facts are counted from the campaign's start, and never credited.
use super::campaign::{ConversionRule, Credit};
use super::money::Money;
use super::time::Timestamp;
use std::collections::BTreeSet;

/// A touch that reached the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReachedTouch {
    /// Which touch of the customer.
    pub seq: u32,
    /// When it was over.
    pub ended_at: Timestamp,
}

/// What the core bank says came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Our number for it.
    pub id: i64,
    /// How much; may be negative (an overdrawn balance).
    pub amount: Money,
    /// When.
    pub at: Timestamp,
}

/// How the campaign treated the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignment {
    /// Assigned to be contacted, reached or not.
    Treated,
    /// Left alone; its facts are counted from `since`, the campaign's start.
    Holdout {
        /// The campaign's start.
        since: Timestamp,
    },
}

/// A share of a fact's amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of which fact.
    pub fact: i64,
    /// To which touch; `None`: a customer of the holdout, counted and never credited.
    pub seq: Option<u32>,
    /// How much of it.
    pub amount: Money,
    /// When the fact came about.
    pub at: Timestamp,
}

/// The shares of one customer's facts under one rule. `facts` are already of the rule's kind and product. Facts in `taken`
/// (credited by an earlier rule of this campaign, or by another campaign) are left out, and those credited here are added.
/// The shares of one fact sum to its amount exactly.
pub fn credit(
    rule: &ConversionRule,
    assignment: Assignment,
    touches: &[ReachedTouch],
    facts: &[Fact],
    taken: &mut BTreeSet<i64>,
    shares: &mut Vec<Share>,
) {
    let mut before: Vec<ReachedTouch> = Vec::with_capacity(touches.len());
    for fact in facts {
        if taken.contains(&fact.id) {
            continue;
        }
        match assignment {
            Assignment::Holdout { since } => {
                if within(fact.at, since, rule.window_ms) {
                    taken.insert(fact.id);
                    shares.push(Share { fact: fact.id, seq: None, amount: fact.amount, at: fact.at });
                }
            }
            Assignment::Treated => {
                before.clear();
                before.extend(touches.iter().filter(|t| t.ended_at < fact.at && fact.at.since(t.ended_at) <= rule.window_ms));
                before.sort_unstable_by_key(|t| (t.ended_at, t.seq));
                if before.is_empty() {
                    continue;
                }
                taken.insert(fact.id);
                let weights = weights(rule.credit, before.len());
                for (touch, minor) in before.iter().zip(split(fact.amount.minor, &weights)).zip(&weights).filter(|(_, w)| **w > 0).map(|(s, _)| s) {
                    let amount = Money { minor, currency: fact.amount.currency };
                    shares.push(Share { fact: fact.id, seq: Some(touch.seq), amount, at: fact.at });
                }
            }
        }
    }
}

/// Whether a fact lies in the window that opens at `since` (at it or after; up to and with its last millisecond).
pub fn within(at: Timestamp, since: Timestamp, window_ms: i64) -> bool {
    at >= since && at.since(since) <= window_ms
}

/// Relative weights of `n` touches, first to last. Position is the U-shaped 40-20-40: with one touch all of it, with two a
/// half each, else 40 % to the first and the last and 20 % in equal parts between.
fn weights(credit: Credit, n: usize) -> Vec<u64> {
    let alone = |chosen: usize| (0..n).map(|i| u64::from(i == chosen)).collect();
    match credit {
        Credit::LastReached => alone(n.saturating_sub(1)),
        Credit::FirstReached => alone(0),
        Credit::Linear => vec![1; n],
        Credit::Position if n < 3 => vec![1; n],
        Credit::Position => {
            let middle = n as u64 - 2;
            (0..n).map(|i| if i == 0 || i == n - 1 { 2 * middle } else { 1 }).collect()
        }
    }
}

/// Shares of `amount` by weight that sum to it exactly: each is rounded towards zero, and the units left over go one by one
/// to the largest remainders (Hamilton's method), the earlier first among equals. Empty when no weight is above zero.
pub fn split(amount: i64, weights: &[u64]) -> Vec<i64> {
    let total: u128 = weights.iter().map(|w| u128::from(*w)).sum();
    if total == 0 {
        return Vec::new();
    }
    let whole = u128::from(amount.unsigned_abs());
    // A quotient is at most `whole`, which came from an i64.
    let mut parts: Vec<(u128, u128)> = weights.iter().map(|w| (whole * u128::from(*w) / total, whole * u128::from(*w) % total)).collect();
    let given: u128 = parts.iter().map(|(q, _)| q).sum();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(parts.get(*i).map_or(0, |(_, r)| *r)));
    let left = usize::try_from(whole - given).unwrap_or(usize::MAX);
    for i in order.into_iter().take(left) {
        if let Some((q, _)) = parts.get_mut(i) {
            *q += 1;
        }
    }
    let sign = if amount < 0 { -1 } else { 1 };
    parts.into_iter().map(|(q, _)| i64::try_from(sign * i128::try_from(q).unwrap_or(i128::MAX)).unwrap_or(amount)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::time::DAY;
    use proptest::prelude::*;

    fn rule(credit: Credit, window_ms: i64) -> ConversionRule {
        ConversionRule { name: "deposit".into(), fact: "aum_daily_average".into(), product: None, window_ms, credit }
    }
    fn fact(id: i64, minor: i64, at: i64) -> Fact {
        Fact { id, amount: Money { minor, currency: Currency::CNY }, at: Timestamp(at) }
    }
    fn touch(seq: u32, at: i64) -> ReachedTouch {
        ReachedTouch { seq, ended_at: Timestamp(at) }
    }
    fn credited(credit_: Credit, window: i64, touches: &[ReachedTouch], facts: &[Fact]) -> Vec<(i64, Option<u32>, i64)> {
        let mut shares = Vec::new();
        credit(&rule(credit_, window), Assignment::Treated, touches, facts, &mut BTreeSet::new(), &mut shares);
        shares.into_iter().map(|s| (s.fact, s.seq, s.amount.minor)).collect()
    }

    #[test]
    fn a_touch_that_ends_with_or_after_the_fact_earns_nothing() {
        assert!(credited(Credit::LastReached, DAY, &[touch(0, 1_000)], &[fact(1, 500, 1_000)]).is_empty());
        assert!(credited(Credit::LastReached, DAY, &[touch(0, 1_001)], &[fact(1, 500, 1_000)]).is_empty());
        assert_eq!(credited(Credit::LastReached, DAY, &[touch(0, 999)], &[fact(1, 500, 1_000)]), vec![(1, Some(0), 500)]);
    }

    #[test]
    fn the_window_counts_from_the_credited_touch() {
        let touches = [touch(0, 0), touch(1, 5 * DAY)];
        // 30 days after the first, 25 after the last: a window of 26 days leaves only the last.
        let facts = [fact(1, 1_000, 30 * DAY)];
        assert_eq!(credited(Credit::LastReached, 26 * DAY, &touches, &facts), vec![(1, Some(1), 1_000)]);
        assert_eq!(credited(Credit::FirstReached, 26 * DAY, &touches, &facts), vec![(1, Some(1), 1_000)]);
        assert_eq!(credited(Credit::FirstReached, 30 * DAY, &touches, &facts), vec![(1, Some(0), 1_000)]);
        assert!(credited(Credit::LastReached, 25 * DAY - 1, &touches, &facts).is_empty());
    }

    #[test]
    fn linear_and_position_share_to_the_last_fen() {
        let touches: Vec<_> = (0..4).map(|i| touch(i, i64::from(i))).collect();
        let facts = [fact(7, 1_001, 100)];
        let of = |c| credited(c, DAY, &touches, &facts).into_iter().map(|s| s.2).collect::<Vec<_>>();
        assert_eq!(of(Credit::Linear), vec![251, 250, 250, 250]);
        assert_eq!(of(Credit::Position), vec![401, 100, 100, 400], "40, 10, 10, 40 %; the fen left over to the earliest of the largest remainders");
        assert_eq!(split(-1_001, &[1, 1]), vec![-501, -500]);
    }

    #[test]
    fn the_holdout_is_counted_from_the_start_and_never_credited() {
        let mut shares = Vec::new();
        let facts = [fact(1, 10, 99), fact(2, 20, 100), fact(3, 30, 200), fact(4, 40, 201)];
        let holdout = Assignment::Holdout { since: Timestamp(100) };
        credit(&rule(Credit::LastReached, 100), holdout, &[touch(0, 1)], &facts, &mut BTreeSet::new(), &mut shares);
        assert_eq!(shares.iter().map(|s| (s.fact, s.seq)).collect::<Vec<_>>(), vec![(2, None), (3, None)]);
    }

    #[test]
    fn a_fact_is_credited_once_in_a_campaign() {
        let (mut taken, mut shares) = (BTreeSet::new(), Vec::new());
        for _ in 0..2 {
            credit(&rule(Credit::LastReached, DAY), Assignment::Treated, &[touch(0, 1)], &[fact(1, 10, 2)], &mut taken, &mut shares);
        }
        assert_eq!(shares.len(), 1);
    }

    proptest! {
        #[test]
        fn shares_sum_to_the_amount(amount in any::<i64>(), weights in proptest::collection::vec(0_u64..1_000_000, 1..40)) {
            let parts = split(amount, &weights);
            if weights.iter().any(|w| *w > 0) {
                prop_assert_eq!(parts.iter().map(|p| i128::from(*p)).sum::<i128>(), i128::from(amount));
                let total: f64 = weights.iter().map(|w| *w as f64).sum();
                for (part, weight) in parts.iter().zip(&weights) {
                    // Nobody is more than one unit away from the exact share (f64 error allowed for huge amounts).
                    let exact = amount as f64 * *weight as f64 / total;
                    prop_assert!((*part as f64 - exact).abs() <= 1.0 + exact.abs() * 1e-12, "{part} for {exact}");
                }
            }
        }

        #[test]
        fn credits_never_exceed_facts(
            times in proptest::collection::vec(0_i64..1_000, 0..12),
            facts in proptest::collection::vec((-5_000_i64..5_000, 0_i64..1_200), 0..12),
            window in 0_i64..600,
            which in 0_usize..4,
        ) {
            let credit_by = [Credit::LastReached, Credit::FirstReached, Credit::Linear, Credit::Position][which];
            let touches: Vec<_> = times.iter().enumerate().map(|(i, t)| touch(i as u32, *t)).collect();
            let facts: Vec<_> = facts.iter().enumerate().map(|(i, (amount, at))| fact(i as i64, *amount, *at)).collect();
            let shares = credited(credit_by, window, &touches, &facts);
            for f in &facts {
                let mine: Vec<_> = shares.iter().filter(|s| s.0 == f.id).collect();
                let causal = touches.iter().any(|t| t.ended_at < f.at && f.at.0 - t.ended_at.0 <= window);
                prop_assert_eq!(!mine.is_empty(), causal);
                if causal {
                    prop_assert_eq!(mine.iter().map(|s| s.2).sum::<i64>(), f.amount.minor);
                }
                for share in mine {
                    let t = touches[share.1.unwrap() as usize];
                    prop_assert!(t.ended_at < f.at && f.at.0 - t.ended_at.0 <= window);
                }
            }
        }
    }
}
