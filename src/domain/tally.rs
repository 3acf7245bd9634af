//! Counts that are kept in the same transaction as the rows they count, and the closed sum over them.
use super::outcome::coded;
use super::touch::State;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

coded!(
    /// What a tally counts; its `key` is a code of that kind (0 where there is but one).
    Tally {
        /// Customers by the state of their head (`State` code); pending is the audience less all others.
        Customers = 1 "customers",
        /// Customers suppressed, by `Reason` code.
        Suppressed = 2 "suppressed",
        /// Attempts made (`Started`, and not given back), by `Channel` code.
        AttemptsByChannel = 3 "attempts_by_channel",
        /// Attempts made, by route id.
        AttemptsByRoute = 4 "attempts_by_route",
        /// Attempts that ended, by disposition or refusal code (`Reason`).
        AttemptsByDisposition = 5 "attempts_by_disposition",
        /// Cost in millionths of the currency unit (key 0).
        CostMicros = 6 "cost_micros",
        /// Message parts sent (key 0).
        Parts = 7 "parts",
        /// Seconds of conversation (key 0).
        ConnectedSeconds = 8 "connected_seconds",
        /// Customers counted cancelled or expired, by `Reason` code.
        CalledOff = 9 "called_off",
    }
);

/// Changes to the tallies of one campaign; adding two deltas adds their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tallies(pub BTreeMap<(Tally, i64), i64>);

impl Tallies {
    /// Adds `n` to one tally.
    pub fn add(&mut self, tally: Tally, key: i64, n: i64) {
        if n != 0 {
            *self.0.entry((tally, key)).or_insert(0) += n;
        }
    }
    /// Moves one customer from a state to another; `Pending` is not stored, so leaving it only adds.
    pub fn move_customer(&mut self, from: State, to: State) {
        if from != to {
            if from != State::Pending {
                self.add(Tally::Customers, i64::from(from.code()), -1);
            }
            if to != State::Pending {
                self.add(Tally::Customers, i64::from(to.code()), 1);
            }
        }
    }
    /// One number.
    pub fn get(&self, tally: Tally, key: i64) -> i64 {
        self.0.get(&(tally, key)).copied().unwrap_or(0)
    }
    /// All numbers of one kind, by key, without zeros.
    pub fn of(&self, tally: Tally) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.0.range((tally, i64::MIN)..=(tally, i64::MAX)).filter(|(_, n)| **n != 0).map(|((_, key), n)| (*key, *n))
    }
    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for ((tally, key), n) in &other.0 {
            self.add(*tally, *key, *n);
        }
    }
    /// Customers in each state; `Pending` is what the audience has left. The closed sum holds when no number is negative.
    pub fn customers(&self, audience: i64) -> BTreeMap<State, i64> {
        let mut counts: BTreeMap<State, i64> = State::ALL.iter().map(|s| (*s, self.get(Tally::Customers, i64::from(s.code())))).collect();
        let counted: i64 = counts.values().sum();
        counts.insert(State::Pending, audience - counted);
        counts
    }
}
