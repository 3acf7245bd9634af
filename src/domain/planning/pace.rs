//! What a rate leaves in a slot of the forecast, and the ways in which a step's followers can be chosen.
use crate::domain::campaign::Rate;
use crate::domain::time::{HOUR, Timestamp};
use std::collections::VecDeque;

/// What may still be sent in a slot: the even share of a rate per hour or shorter; for longer spans what a sliding window has left.
pub(super) struct Pace {
    rate: Option<Rate>,
    scale: f64,
    sent: VecDeque<(Timestamp, f64)>,
}

impl Pace {
    pub(super) fn new(rate: Option<Rate>, scale: f64) -> Self {
        Self { rate: if scale.is_finite() { rate } else { None }, scale, sent: VecDeque::new() }
    }
    #[allow(clippy::cast_precision_loss, reason = "spans are far below 2^53 ms")]
    pub(super) fn room(&mut self, at: Timestamp, slot_end: Timestamp) -> f64 {
        let Some(rate) = self.rate else { return f64::INFINITY };
        let count = f64::from(rate.count) * self.scale;
        if rate.per_ms <= HOUR {
            return count * slot_end.since(at) as f64 / rate.per_ms as f64;
        }
        while self.sent.front().is_some_and(|(t, _)| at.since(*t) >= rate.per_ms) {
            self.sent.pop_front();
        }
        (count - self.sent.iter().map(|(_, n)| n).sum::<f64>()).max(0.0)
    }
    pub(super) fn take(&mut self, at: Timestamp, n: f64) {
        if self.rate.is_some_and(|r| r.per_ms > HOUR) && n > 0.0 {
            self.sent.push_back((at, n));
        }
    }
}

/// Books what a channel sent in a slot on its routes, by the room that each has.
pub(super) fn spread(lines: &mut [Pace], at: Timestamp, slot_end: Timestamp, sent: f64) {
    let rooms: Vec<f64> = lines.iter_mut().map(|p| p.room(at, slot_end)).collect();
    let total: f64 = rooms.iter().sum();
    if total.is_finite() && total > 0.0 {
        lines.iter_mut().zip(rooms).for_each(|(line, room)| line.take(at, sent * room / total));
    }
}

/// Every subset of followers with its share, each chosen independently; in file order. Shares are 0 or 1 for most, so there are few.
pub(super) fn subsets(followers: &[(u16, f64)]) -> Vec<(Vec<u16>, f64)> {
    let mut sets = vec![(Vec::new(), 1.0)];
    for (step, share) in followers {
        let mut next = Vec::with_capacity(sets.len() * 2);
        for (set, p) in sets {
            if *share < 1.0 {
                next.push((set.clone(), p * (1.0 - share)));
            }
            if *share > 0.0 {
                let mut with = set;
                with.push(*step);
                next.push((with, p * share));
            }
        }
        sets = next;
    }
    sets
}
