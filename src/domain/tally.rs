//! Counts that are kept in the same transaction as the rows they count, and the closed sum over them.
use super::channel::Channel;
use super::ids::RouteId;
use super::outcome::{Reason, coded};
use super::touch::{State, Touch, customer_state};
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
    /// Adds `n` to one tally; a tally of 0 is not kept.
    pub fn add(&mut self, tally: Tally, key: i64, n: i64) {
        if n == 0 {
            return;
        }
        let count = self.0.entry((tally, key)).or_insert(0);
        *count += n;
        // A number that has come back to 0 is no number: two equal tallies are equal maps.
        if *count == 0 {
            self.0.remove(&(tally, key));
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

/// The parts of a row that the tallies depend on; a store that does not read rows back can fill it from what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// State.
    pub state: State,
    /// Reason.
    pub reason: Reason,
    /// `EVER_REACHED` matters.
    pub flags: u32,
    /// Channel.
    pub channel: Option<Channel>,
    /// Route.
    pub route: Option<RouteId>,
    /// Millionths of the currency unit.
    pub cost_micros: i64,
    /// Message parts.
    pub parts: u16,
    /// Seconds of conversation.
    pub connected_s: u32,
}

impl From<&Touch> for Weight {
    fn from(touch: &Touch) -> Self {
        Self {
            state: touch.state,
            reason: touch.reason,
            flags: touch.flags,
            channel: touch.channel,
            route: touch.route,
            cost_micros: touch.cost_micros,
            parts: touch.parts,
            connected_s: touch.connected_s,
        }
    }
}

impl Weight {
    /// Adds (`sign` 1) or takes back (`sign` -1) what a row counts for. A campaign's tallies are at every instant the sum of
    /// this over all of its rows, plus its called-off customers without a row (see [`called_off_unseen`]): a change of a row is
    /// its old weight taken back and its new one added, so kept and recounted tallies cannot drift apart.
    pub fn add_to(&self, tallies: &mut Tallies, is_head: bool, sign: i64) {
        if is_head {
            let state = customer_state(self.state, self.flags);
            if state != State::Pending {
                tallies.add(Tally::Customers, i64::from(state.code()), sign);
            }
            match state {
                State::Suppressed => tallies.add(Tally::Suppressed, i64::from(self.reason.code()), sign),
                State::Cancelled | State::Expired => tallies.add(Tally::CalledOff, i64::from(self.reason.code()), sign),
                _ => {}
            }
        }
        if self.state.stands() {
            if let Some(channel) = self.channel {
                tallies.add(Tally::AttemptsByChannel, i64::from(channel.code()), sign);
            }
            if let Some(route) = self.route {
                tallies.add(Tally::AttemptsByRoute, i64::from(route.0), sign);
            }
            tallies.add(Tally::CostMicros, 0, sign * self.cost_micros);
            tallies.add(Tally::Parts, 0, sign * i64::from(self.parts));
            tallies.add(Tally::ConnectedSeconds, 0, sign * i64::from(self.connected_s));
        }
        if matches!(self.state, State::Reached | State::Missed | State::Refused) {
            tallies.add(Tally::AttemptsByDisposition, i64::from(self.reason.code()), sign);
        }
    }
}

/// Adds to `tallies` what a begun row changes. `head` is the scheduled head that was due (the same row as it stood before), or
/// `None` for a customer's first row.
pub fn of_begun(tallies: &mut Tallies, head: Option<&Touch>, row: &Touch) {
    if let Some(head) = head {
        Weight::from(head).add_to(tallies, true, -1);
    }
    Weight::from(row).add_to(tallies, true, 1);
}

/// Adds to `tallies` what a settlement changes: the touch from `before` to `after`, and the `next` row that becomes the head.
/// `was_head`: whether the touch was its customer's head before (it is, but for a late receipt that corrects an earlier touch).
pub fn of_settled(tallies: &mut Tallies, before: &Weight, after: &Weight, next: Option<&Touch>, was_head: bool) {
    before.add_to(tallies, was_head, -1);
    after.add_to(tallies, was_head && next.is_none(), 1);
    if let Some(next) = next {
        Weight::from(next).add_to(tallies, true, 1);
    }
}

/// Adds the customers without a row of a campaign that was called off: cancelled, for the campaign's reason.
pub fn called_off_unseen(tallies: &mut Tallies, customers: i64, reason: Reason) {
    tallies.add(Tally::Customers, i64::from(State::Cancelled.code()), customers);
    tallies.add(Tally::CalledOff, i64::from(reason.code()), customers);
}

/// The closed sum and what must agree with it. `Err` says which number is wrong, what was expected and what was found:
/// - no number is negative, pending (the audience less all counted) included, and all states together are the audience;
/// - reasons of suppression add up to the suppressed, reasons of calling off to the cancelled and expired;
/// - attempts by channel and by route agree, and no more attempts have ended than were made (refusals are no attempts).
pub fn closed_sum(audience: i64, tallies: &Tallies) -> Result<(), String> {
    for ((tally, key), n) in &tallies.0 {
        if *n < 0 {
            return Err(format!("expected tally {tally} of key {key} to be 0 or more, found {n}"));
        }
    }
    let customers = tallies.customers(audience);
    for (state, n) in &customers {
        if *n < 0 {
            return Err(format!("expected {state} customers to be 0 or more, found {n} in an audience of {audience}"));
        }
    }
    let count = |state: State| customers.get(&state).copied().unwrap_or(0);
    let sum = |tally: Tally| tallies.of(tally).map(|(_, n)| n).sum::<i64>();
    let agree = |what: &str, expected: i64, found: i64| {
        if expected == found { Ok(()) } else { Err(format!("expected {what} to be {expected}, found {found}")) }
    };
    agree("the sum of all states", audience, customers.values().sum())?;
    agree("the sum of suppression reasons", count(State::Suppressed), sum(Tally::Suppressed))?;
    agree("the sum of calling-off reasons", count(State::Cancelled) + count(State::Expired), sum(Tally::CalledOff))?;
    agree("the sum of attempts by route", sum(Tally::AttemptsByChannel), sum(Tally::AttemptsByRoute))?;
    let ended: i64 = tallies
        .of(Tally::AttemptsByDisposition)
        .filter(|(code, _)| Reason::from_code(*code).is_some_and(Reason::is_disposition))
        .map(|(_, n)| n)
        .sum();
    let attempts = sum(Tally::AttemptsByChannel);
    if ended > attempts { Err(format!("expected at most {attempts} ended attempts, found {ended}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tallies(numbers: &[(Tally, i64, i64)]) -> Tallies {
        let mut tallies = Tallies::default();
        for (tally, key, n) in numbers {
            tallies.add(*tally, *key, *n);
        }
        tallies
    }

    fn code(state: State) -> i64 {
        i64::from(state.code())
    }

    #[test]
    fn a_sum_that_closes() {
        let cap = i64::from(Reason::Cap.code());
        let kept = tallies(&[
            (Tally::Customers, code(State::Suppressed), 3),
            (Tally::Suppressed, cap, 3),
            (Tally::Customers, code(State::Reached), 2),
            (Tally::AttemptsByChannel, 1, 2),
            (Tally::AttemptsByRoute, 7, 2),
            (Tally::AttemptsByDisposition, i64::from(Reason::Answered.code()), 2),
            (Tally::AttemptsByDisposition, i64::from(Reason::ProviderRefused.code()), 9),
        ]);
        assert_eq!(closed_sum(5, &kept), Ok(()));
        assert_eq!(kept.customers(6)[&State::Pending], 1);
    }

    #[test]
    fn sums_that_do_not_close_are_named() {
        let reached = (Tally::Customers, code(State::Reached), 2);
        for (numbers, audience, said) in [
            (vec![reached], 1, "pending customers"),
            (vec![(Tally::Customers, code(State::Started), -1)], 1, "0 or more, found -1"),
            (vec![(Tally::CostMicros, 0, -1)], 1, "cost_micros"),
            (vec![(Tally::Customers, code(State::Suppressed), 1)], 1, "suppression reasons"),
            (vec![(Tally::Customers, code(State::Expired), 1)], 1, "calling-off reasons"),
            (vec![(Tally::AttemptsByChannel, 1, 1)], 1, "by route"),
            (vec![(Tally::AttemptsByDisposition, i64::from(Reason::Busy.code()), 1)], 1, "at most 0 ended attempts"),
        ] {
            let why = closed_sum(audience, &tallies(&numbers)).unwrap_err();
            assert!(why.contains(said), "expected {said:?} in {why:?}");
        }
    }

    #[test]
    fn a_tally_back_at_zero_is_none() {
        let mut tallies = tallies(&[(Tally::Parts, 0, 3)]);
        tallies.add(Tally::Parts, 0, -3);
        assert_eq!(tallies, Tallies::default());
    }

    #[test]
    fn the_guard_agrees_with_the_ranks() {
        for from in State::ALL {
            for to in State::ALL {
                let may = from.may_settle_as(*to);
                let exception = matches!((from, to), (State::Started, State::Started | State::Scheduled));
                assert!(!may || exception || from.rank() < to.rank(), "{from} to {to} falls in the lattice");
                assert!(!may || matches!(from, State::Started | State::Uncertain | State::Missed), "{from} is no state of a touch in flight");
            }
        }
    }
}
