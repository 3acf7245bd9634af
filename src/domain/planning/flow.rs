//! The flow behind the forecast: expected numbers of customers moved through the journey, slot by slot of a quarter of an
//! hour, under the lawful hours of their zones, the rates of campaign and routes, waves, waits, caps and the budget.
//!
//! Amounts are expected values (a customer who will be reached with 0.3 is 0.3 of a reached one), hence floats; money is
//! counted in integers, from rounded numbers of parts.
use super::bounds::{BEYOND, Bounds, DONE, DUST, Flow, SLOT, StepFlow};
use super::pace::{Pace, spread, subsets};
use super::{Question, StepEstimate};
use crate::domain::campaign::{ReachRule, Step};
use crate::domain::channel::Channel;
use crate::domain::ids::StepNo;
use crate::domain::law::{Whereabouts, WindowVerdict};
use crate::domain::outcome::{Disposition, Reason};
use crate::domain::time::{MINUTE, Timestamp};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Customers that behave alike.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub whereabouts: Whereabouts,
    pub verdicts: [Reason; 5],
    pub customers: f64,
}

/// Where an amount of customers of a group stands in the journey.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    group: usize,
    step: u16,
    attempt: u16,
    reached: bool,
    /// Steps that wait behind this one, in order.
    agenda: Vec<u16>,
}

struct Simulation<'a> {
    question: &'a Question<'a>,
    groups: &'a [Group],
    flow: Flow,
    /// Waiting for their due slot.
    later: BTreeMap<i64, BTreeMap<Place, f64>>,
    /// Due, in order of due time.
    ready: BTreeMap<Place, VecDeque<(Timestamp, f64)>>,
    /// First touches not yet made, by group.
    pending: Vec<f64>,
    windows: HashMap<(usize, Channel), (WindowVerdict, Timestamp)>,
    now: Timestamp,
    end: Timestamp,
    /// When the last attempt so far is known to have come to something.
    told: Timestamp,
}

/// Runs the flow.
pub(super) fn run(question: &Question<'_>, groups: &[Group], bounds: Bounds) -> Flow {
    let mut simulation = Simulation {
        question,
        groups,
        flow: Flow { steps: vec![StepFlow::default(); question.campaign.steps.len()], ..Flow::default() },
        later: BTreeMap::new(),
        ready: BTreeMap::new(),
        pending: vec![0.0; groups.len()],
        windows: HashMap::new(),
        now: question.campaign.schedule.starts_at(),
        told: question.campaign.schedule.starts_at(),
        end: if bounds.ends { question.campaign.schedule.ends_at() } else { question.campaign.schedule.ends_at().plus(BEYOND) },
    };
    simulation.run(bounds);
    simulation.flow
}

impl Simulation<'_> {
    fn run(&mut self, bounds: Bounds) {
        let end = self.end;
        let mut campaign_pace = Pace::new(self.question.campaign.limits.rate, bounds.scale);
        let mut paces: BTreeMap<Channel, Vec<Pace>> = BTreeMap::new();
        for channel in Channel::ALL {
            let routes = self.question.routes.iter().filter(|r| r.channel == channel);
            paces.insert(channel, routes.map(|r| Pace::new(r.rate, bounds.scale)).collect());
        }
        self.enter_roots();
        let mut waves = self.question.waves.iter().peekable();
        // How many first touches the waves so far allow; infinity once a wave without a limit has fired.
        let mut released = 0.0_f64;
        while self.now < end {
            while let Some(wave) = waves.next_if(|w| w.at <= self.now) {
                #[allow(clippy::cast_precision_loss, reason = "waves are far below 2^53 customers")]
                let take = wave.take.map_or(f64::INFINITY, |n| n as f64);
                released += take;
            }
            self.make_due();
            let slot_end = Timestamp(self.now.plus(SLOT).0.min(end.0));
            let mut campaign_room = campaign_pace.room(self.now, slot_end);
            let mut rooms: BTreeMap<Channel, f64> = BTreeMap::new();
            for (channel, lines) in &mut paces {
                let room = if lines.is_empty() { f64::INFINITY } else { lines.iter_mut().map(|p| p.room(self.now, slot_end)).sum() };
                rooms.insert(*channel, room);
            }
            let mut used_until = self.now;
            // What is due goes before first touches, as in the engine: a promise made is kept before a new one is made.
            for (first, channel) in [false, true].into_iter().flat_map(|first| Channel::ALL.map(|c| (first, c))) {
                let room = rooms.get(&channel).copied().unwrap_or(f64::INFINITY);
                let (sent, until) = self.serve(channel, first, room.min(campaign_room), released, slot_end);
                if sent > 0.0 {
                    campaign_room -= sent;
                    rooms.insert(channel, room - sent);
                    campaign_pace.take(self.now, sent);
                    spread(paces.entry(channel).or_default(), self.now, slot_end, sent);
                    released -= if first { sent } else { 0.0 };
                    used_until = used_until.max(until);
                }
            }
            if self.flow.budget_spent {
                self.abandon(Reason::Budget);
                self.flow.finished = Some(used_until.max(self.told));
                return;
            }
            if self.outstanding() < DONE {
                self.flow.finished = Some(used_until.max(self.told));
                self.settle_rest();
                return;
            }
            self.now = self.next_slot(slot_end, waves.peek().map(|w| w.at), released);
        }
        self.abandon(Reason::CampaignEnded);
    }

    /// The next slot at which anything can happen: idle nights are skipped in one stride of whole slots.
    fn next_slot(&self, slot_end: Timestamp, wave: Option<Timestamp>, released: f64) -> Timestamp {
        let anything_ready = !self.ready.is_empty() || (released > 0.0 && self.pending.iter().any(|n| *n > DUST));
        if anything_ready {
            return slot_end;
        }
        let next_due = self.later.keys().next().map(|due| Timestamp(*due));
        match [next_due, wave].into_iter().flatten().min() {
            Some(next) if next > slot_end => slot_end.plus((next.since(slot_end) / SLOT) * SLOT),
            _ => slot_end,
        }
    }

    fn outstanding(&self) -> f64 {
        let later: f64 = self.later.values().flat_map(|m| m.values()).sum();
        let ready: f64 = self.ready.values().flat_map(|q| q.iter().map(|(_, n)| n)).sum();
        later + ready + self.pending.iter().sum::<f64>()
    }

    /// The last fractions of customers, less than half of one, count as missed.
    fn settle_rest(&mut self) {
        let left = self.flow.left;
        let rest = self.outstanding();
        self.abandon(Reason::CampaignEnded);
        self.flow.left = left;
        self.flow.lost.entry(Reason::CampaignEnded).and_modify(|n| *n = (*n - rest).max(0.0));
        self.flow.missed += rest;
    }

    /// Everything outstanding ends for `reason`; whoever was reached before counts as reached.
    fn abandon(&mut self, reason: Reason) {
        let mut rest: Vec<(bool, f64)> = self.pending.iter().map(|n| (false, *n)).collect();
        rest.extend(std::mem::take(&mut self.later).into_values().flatten().map(|(p, n)| (p.reached, n)));
        rest.extend(std::mem::take(&mut self.ready).into_iter().map(|(p, q)| (p.reached, q.iter().map(|(_, n)| n).sum())));
        self.pending.iter_mut().for_each(|n| *n = 0.0);
        for (reached, n) in rest {
            if reached {
                self.flow.reached += n;
            } else if n > 0.0 {
                *self.flow.lost.entry(reason).or_insert(0.0) += n;
                self.flow.left += n;
            }
        }
    }

    /// Puts every group at the start of its journey. Steps without `after` run in file order, one after the other. First
    /// touches have no due time: they are pending until a wave takes them; a group that may not be contacted in the first
    /// step goes on at once.
    fn enter_roots(&mut self) {
        let roots: Vec<u16> = self.question.campaign.followers(None).map(|(no, _)| no.0).collect();
        let Some((first, rest)) = roots.split_first() else { return };
        for group in 0..self.groups.len() {
            let place = Place { group, step: *first, attempt: 1, reached: false, agenda: rest.to_vec() };
            let customers = self.groups.get(group).map_or(0.0, |g| g.customers);
            self.enter(place, customers, self.now);
        }
    }

    fn step(&self, no: u16) -> Option<&Step> {
        self.question.campaign.step(StepNo(no))
    }

    fn estimate(&self, no: u16) -> StepEstimate {
        self.question.steps.get(usize::from(no)).cloned().unwrap_or_default()
    }

    fn verdict(&self, group: usize, channel: Channel) -> Reason {
        let place = usize::from(channel.code()) - 1;
        self.groups.get(group).and_then(|g| g.verdicts.get(place)).copied().unwrap_or(Reason::None)
    }

    /// `n` customers come to a step, due at `due`.
    fn enter(&mut self, place: Place, n: f64, due: Timestamp) {
        if n < DUST {
            return;
        }
        let Some(channel) = self.step(place.step).map(|s| s.channel) else { return };
        if let Some(step) = self.flow.steps.get_mut(usize::from(place.step)) {
            step.entered += n;
        }
        let verdict = self.verdict(place.group, channel);
        if verdict != Reason::None {
            self.suppress(n, &place, verdict);
            return;
        }
        let no_content = self.estimate(place.step).no_content.clamp(0.0, 1.0);
        if no_content > 0.0 {
            self.suppress(n * no_content, &place, Reason::NoContent);
        }
        let n = n * (1.0 - no_content);
        let is_first = place.attempt == 1 && self.question.campaign.followers(None).next().is_some_and(|(no, _)| no.0 == place.step);
        if is_first {
            if let Some(pending) = self.pending.get_mut(place.group) {
                *pending += n;
            }
        } else {
            self.plan(place, n, due);
        }
    }

    /// Law or content forbids the touch: as in the engine, that closes the journey. Reached once is reached.
    fn suppress(&mut self, n: f64, place: &Place, why: Reason) {
        if place.reached {
            self.flow.reached += n;
        } else {
            *self.flow.lost.entry(why).or_insert(0.0) += n;
        }
    }

    /// Plans a later row; at or after the end it is not planned, and the journey closes as it stands.
    fn plan(&mut self, place: Place, n: f64, due: Timestamp) {
        if due >= self.end {
            self.flow.left += n;
            self.close(&place, n);
        } else {
            *self.later.entry(due.0).or_default().entry(place).or_insert(0.0) += n;
        }
    }

    fn make_due(&mut self) {
        let still_later = self.later.split_off(&(self.now.0 + 1));
        for (due, places) in std::mem::replace(&mut self.later, still_later) {
            for (place, n) in places {
                self.ready.entry(place).or_default().push_back((Timestamp(due), n));
            }
        }
    }

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
    fn serve(&mut self, channel: Channel, first: bool, limit: f64, released: f64, slot_end: Timestamp) -> (f64, Timestamp) {
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
        self.flow.steps.iter().zip(costs).map(|(s, unit)| super::whole(s.parts).saturating_mul(unit)).fold(0, i64::saturating_add)
    }

    /// `n` attempts are made: each disposition takes its share, to a retry or to the end of the step.
    fn attempt(&mut self, place: Place, n: f64) {
        let Some(step) = self.step(place.step).cloned() else { return };
        let parts = self.estimate(place.step).parts.max(1.0);
        if let Some(flow) = self.flow.steps.get_mut(usize::from(place.step)) {
            flow.attempts += n;
            flow.parts += n * parts;
        }
        for (disposition, share) in self.question.assumptions.dispositions(step.channel, step.reached) {
            let amount = n * share;
            let is_reached = counts_as_reached(step.reached, disposition);
            if is_reached && let Some(flow) = self.flow.steps.get_mut(usize::from(place.step)) {
                flow.reached += amount;
            }
            let mut here = place.clone();
            here.reached |= is_reached;
            let delay = self.question.assumptions.channels.get(&step.channel).and_then(|a| a.delay_ms.get(&disposition));
            let told = self.now.plus(delay.copied().unwrap_or(0));
            if amount > 0.0 {
                self.told = self.told.max(told);
            }
            match step.retry.get(&disposition) {
                Some(wait) if !is_reached && place.attempt < step.attempts => {
                    let due = told.plus((*wait).max(self.cap_spacing(&step, place.attempt)));
                    here.attempt += 1;
                    if amount >= DUST { self.plan(here, amount, due) } else { self.close(&here, amount) }
                }
                _ => self.end_step(here, amount, disposition, told),
            }
        }
    }

    /// How long after attempt `made` of a step the caps let the next one be made, when attempts follow as fast as caps allow:
    /// a cap of `count` in `per_ms` makes every `count`-th attempt wait out the rest of the window.
    fn cap_spacing(&self, step: &Step, made: u16) -> i64 {
        let purpose = self.question.law.purpose();
        let caps = self.question.law.caps().iter();
        let applying = caps.filter(|c| c.channel.is_none_or(|c| c == step.channel) && c.purpose.is_none_or(|p| p == purpose) && c.count > 0);
        let shortest_wait = step.retry.values().copied().min().unwrap_or(0);
        applying
            .filter(|c| u32::from(made) >= c.count && u32::from(made).is_multiple_of(c.count))
            .map(|c| c.per_ms.saturating_sub(shortest_wait.saturating_mul(i64::from(c.count) - 1)))
            .max()
            .unwrap_or(0)
    }

    /// A step of `n` customers is over for `why`: the followers whose condition holds come next, then what waits on the agenda.
    fn end_step(&mut self, place: Place, n: f64, why: Reason, at: Timestamp) {
        if n <= 0.0 {
            return;
        }
        let followers: Vec<(u16, f64)> = self
            .question
            .campaign
            .followers(Some(StepNo(place.step)))
            .map(|(no, _)| (no.0, self.estimate(no.0).when.map_or(1.0, |w| w.get(&why).copied().unwrap_or(0.0).clamp(0.0, 1.0))))
            .collect();
        for (chosen, share) in subsets(&followers) {
            let mut agenda = chosen;
            agenda.extend(place.agenda.iter().copied());
            let amount = n * share;
            match agenda.split_first() {
                Some((next, rest)) => {
                    let wait = self.step(*next).map_or(0, |s| s.wait_ms);
                    let there = Place { step: *next, attempt: 1, agenda: rest.to_vec(), ..place.clone() };
                    if amount < DUST { self.close(&place, amount) } else { self.enter(there, amount, at.plus(wait)) }
                }
                None => self.close(&place, amount),
            }
        }
    }

    fn close(&mut self, place: &Place, n: f64) {
        if place.reached {
            self.flow.reached += n;
        } else {
            self.flow.missed += n;
        }
    }
}

/// Whether a disposition counts as reached by a rule. (Whether a call was long enough is already in the shares.)
pub(super) fn counts_as_reached(rule: ReachRule, disposition: Disposition) -> bool {
    disposition.is_reached() && !(rule == ReachRule::Opened && disposition == Reason::Delivered)
}
