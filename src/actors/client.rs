//! A campaign's place in a route: what it has asked for, what of it waits there, and how much may.
use super::perform::Started;
use super::running::Running;
use crate::domain::ids::CustomerId;
use crate::domain::time::{SECOND, Timestamp};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// The place.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) running: Arc<Running>,
    pub(super) queue: VecDeque<Started>,
    pub(super) asked: usize,
    /// When to ask next; `FAR`: when called.
    pub(super) ask_at: Timestamp,
    /// The first instant at which some touch of the queue may no longer be sent.
    first_until: Timestamp,
    /// Customers who opted out while an ask was under way: what answers it may have been committed before they did.
    withdrawn: Vec<Arc<HashSet<CustomerId>>>,
}

impl Client {
    pub(super) fn new(running: Arc<Running>) -> Self {
        Self { running, queue: VecDeque::new(), asked: 0, ask_at: Timestamp(i64::MIN), first_until: Timestamp::FAR, withdrawn: Vec::new() }
    }

    /// A new definition of the same run: what was asked is still under way.
    pub(super) fn revise(&mut self, running: Arc<Running>, at: Timestamp) {
        self.running = running;
        self.ask_at = at;
    }

    /// An ask is answered; returns what may not wait here, because its customer opted out meanwhile.
    pub(super) fn answered(&mut self, started: Vec<Started>, keep: bool) -> Vec<Started> {
        self.asked = 0;
        let withdrawn = std::mem::take(&mut self.withdrawn);
        let is_out = |s: &Started| !keep || withdrawn.iter().any(|who| who.contains(&s.touch.key.customer));
        let (back, waits): (Vec<Started>, Vec<Started>) = started.into_iter().partition(is_out);
        self.queue(waits);
        back
    }

    fn queue(&mut self, started: Vec<Started>) {
        let first = started.iter().map(|s| s.until).min();
        self.first_until = first.map_or(self.first_until, |first| first.min(self.first_until));
        self.queue.extend(started);
    }

    /// Takes out what waits for these customers, and remembers them for the answer that is under way.
    pub(super) fn withdraw(&mut self, who: &Arc<HashSet<CustomerId>>) -> Vec<Started> {
        if self.asked > 0 {
            self.withdrawn.push(Arc::clone(who));
        }
        self.take_those(|s| who.contains(&s.touch.key.customer))
    }

    pub(super) fn take_all(&mut self) -> Vec<Started> {
        self.first_until = Timestamp::FAR;
        self.queue.drain(..).collect()
    }

    /// Touches whose lawful window has ended, wherever they stand in the queue: customers of many zones wait in it together.
    pub(super) fn take_late(&mut self, at: Timestamp) -> Vec<Started> {
        if at < self.first_until {
            return Vec::new();
        }
        self.take_those(|s| at >= s.until)
    }

    fn take_those(&mut self, those: impl Fn(&Started) -> bool) -> Vec<Started> {
        if !self.queue.iter().any(&those) {
            return Vec::new();
        }
        let (taken, still): (VecDeque<Started>, VecDeque<Started>) = self.queue.drain(..).partition(those);
        self.queue = still;
        self.first_until = self.queue.iter().map(|s| s.until).min().unwrap_or(Timestamp::FAR);
        taken.into()
    }
}

/// What a campaign may have waiting in a route, so that its own slower rate does not hold the others' credit.
pub(super) fn lookahead(client: &Client) -> usize {
    client.running.campaign.limits.rate.map_or(usize::MAX, |rate| two_seconds(rate.count, rate.per_ms))
}

/// The end of the grain that an instant lies in: nothing is begun before it is due, and what is due at about the same time makes
/// one batch instead of many.
pub(super) fn together(until: Timestamp, grain_ms: i64) -> Timestamp {
    let late = until.0.rem_euclid(grain_ms.max(1));
    if late == 0 { until } else { until.plus(grain_ms - late) }
}

/// What a rate lets through in two seconds, at least one.
pub(super) fn two_seconds(count: u32, per_ms: i64) -> usize {
    usize::try_from((i64::from(count) * 2 * SECOND / per_ms.max(1)).max(1)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grain_never_begins_early_and_keeps_whole_instants() {
        let at = |ms, grain| together(Timestamp(ms), grain).0;
        assert_eq!((at(1_999, 1_000), at(2_000, 1_000), at(2_001, 1_000)), (2_000, 2_000, 3_000));
        assert_eq!((at(1_999, 1), at(1_999, 0), at(-1, 1_000)), (1_999, 1_999, 0));
    }
}
