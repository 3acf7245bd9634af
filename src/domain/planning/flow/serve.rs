//! Serving one slot: who may be contacted in it by law, how many by rates, caps and budget, and taking them out of what waits.
use super::super::whole;
use super::{DUST, Place, Simulation};
use crate::domain::channel::Channel;
use crate::domain::law::{Whereabouts, WindowVerdict};
use crate::domain::outcome::Reason;
use crate::domain::time::{MINUTE, Timestamp};

impl Simulation<'_> {
    /// Lawful milliseconds of this slot for a group on a channel, and where they end; `None`: refused.
    fn open_ms(&mut self, group: usize, channel: Channel, slot_end: Timestamp) -> Option<(i64, Timestamp)> {
        let whereabouts = self.groups.get(group).map_or(Whereabouts::Unknown, |g| g.whereabouts);
        let mut at = self.now;
        let (mut open, mut last) = (0, self.now);
        while at < slot_end {
            let known = self.windows.get(&(group, channel)).copied().filter(|(_, valid)| *valid > at);
            let (verdict, valid) = known.unwrap_or_else(|| {
                let verdict = self.question.law.window(at, channel, whereabouts);
                let valid = match verdict {
                    WindowVerdict::Open { until, .. } => until,
                    WindowVerdict::Closed { opens, .. } => opens,
                    WindowVerdict::Refused { .. } => Timestamp::FAR,
                };
                // A verdict that is over at once would stand still: go on by a minute.
                (verdict, Timestamp(valid.0.max(at.0 + MINUTE)))
            });
            self.windows.insert((group, channel), (verdict, valid));
            let until = Timestamp(valid.0.min(slot_end.0));
            match verdict {
                WindowVerdict::Open { .. } => {
                    open += until.since(at);
                    last = until;
                }
                WindowVerdict::Closed { .. } => {}
                WindowVerdict::Refused { .. } => return None,
            }
            at = until;
        }
        Some((open, last))
    }

    /// Serves what is due (or the first touches) on a channel with at most `limit` touches. Returns how many, and until when it took.
    pub(super) fn serve(&mut self, channel: Channel, first: bool, limit: f64, released: f64, slot_end: Timestamp) -> (f64, Timestamp) {
        let places = self.places(channel, first);
        if places.is_empty() || limit <= 0.0 || (first && released <= 0.0) {
            return (0.0, self.now);
        }
        let mut wanted = Vec::new();
        #[allow(clippy::cast_precision_loss, reason = "spans are far below 2^53 ms")]
        let slot_ms = slot_end.since(self.now).max(1) as f64;
        for (place, n) in places {
            let Some((open, last)) = self.open_ms(place.group, channel, slot_end) else {
                self.take_out(&place, first, n);
                self.suppress(n, &place, Reason::NoCalendar);
                continue;
            };
            if open <= 0 {
                continue;
            }
            #[allow(clippy::cast_precision_loss, reason = "spans are far below 2^53 ms")]
            let most = if limit.is_finite() { limit * open as f64 / slot_ms } else { n };
            wanted.push((place, n.min(most), n, last));
        }
        let total: f64 = wanted.iter().map(|(_, most, _, _)| most).sum();
        let allowed = if first { limit.min(released) } else { limit };
        let ratio = if total > allowed { allowed / total } else { 1.0 };
        let (mut sent, mut lawful_until) = (0.0, self.now);
        for (place, most, n, last) in wanted {
            let n = self.affordable(place.step, (most * ratio).min(n));
            if n < DUST {
                continue;
            }
            self.take_out(&place, first, n);
            lawful_until = lawful_until.max(last);
            sent += n;
            self.attempt(place, n);
        }
        if sent > 0.0 && self.flow.first.is_none() {
            self.flow.first = Some(self.now);
        }
        // Touches of a slot go evenly over it, as far as they fill what the limit allows.
        let filled = if limit.is_finite() { (sent / limit).min(1.0) } else { 0.0 };
        #[allow(clippy::cast_possible_truncation, reason = "at most one slot")]
        let until = self.now.plus((filled * slot_ms).round() as i64);
        (sent, Timestamp(until.0.min(lawful_until.0.max(self.now.0))))
    }

    fn places(&self, channel: Channel, first: bool) -> Vec<(Place, f64)> {
        if !first {
            let of_channel = self.ready.iter().filter(|(p, _)| self.step(p.step).is_some_and(|s| s.channel == channel));
            return of_channel.map(|(p, q)| (p.clone(), q.iter().map(|(_, n)| n).sum())).collect();
        }
        let roots: Vec<u16> = self.question.campaign.followers(None).map(|(no, _)| no.0).collect();
        let Some((root, rest)) = roots.split_first() else { return Vec::new() };
        if self.step(*root).is_none_or(|s| s.channel != channel) {
            return Vec::new();
        }
        let pending = self.pending.iter().enumerate().filter(|(_, n)| **n > DUST);
        pending.map(|(group, n)| (Place { group, step: *root, attempt: 1, reached: false, agenda: rest.to_vec() }, *n)).collect()
    }

    fn take_out(&mut self, place: &Place, first: bool, mut n: f64) {
        if first {
            if let Some(pending) = self.pending.get_mut(place.group) {
                *pending = (*pending - n).max(0.0);
            }
            return;
        }
        let Some(queue) = self.ready.get_mut(place) else { return };
        while let Some((_, there)) = queue.front_mut() {
            if *there > n + DUST {
                *there -= n;
                return;
            }
            n -= *there;
            queue.pop_front();
        }
        self.ready.remove(place);
    }

    /// As many of `n` attempts as the budget still pays for.
    fn affordable(&mut self, step: u16, n: f64) -> f64 {
        let Some(budget) = self.question.campaign.limits.budget else { return n };
        let unit = self.estimate(step).cost_micros;
        let parts = self.estimate(step).parts.max(1.0);
        if unit <= 0 {
            return n;
        }
        let spent = self.spent_micros();
        #[allow(clippy::cast_precision_loss, reason = "a bound on a number of attempts, not an amount of money")]
        let most = (budget.micros().saturating_sub(spent).max(0) / unit) as f64 / parts;
        if most < n {
            self.flow.budget_spent = true;
        }
        n.min(most)
    }

    /// Money spent so far: whole parts times integer unit costs.
    fn spent_micros(&self) -> i64 {
        let costs = self.question.steps.iter().map(|s| s.cost_micros);
        self.flow.steps.iter().zip(costs).map(|(s, unit)| whole(s.parts).saturating_mul(unit)).fold(0, i64::saturating_add)
    }
}
