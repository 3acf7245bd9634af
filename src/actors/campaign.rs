//! A running campaign: answers the credit that routes offer with touches that are due and with pages of its list.
mod budget;
mod revision;

use super::customer_list::{self, Give};
use super::doubt::Doubt;
use super::machine::Machine;
use super::perform::{Begin, Started, StoreCall};
use super::running::Running;
use super::{Effect, Note, channel, conductor, recorder};
use crate::domain::ids::{RouteId, StepNo};
use crate::domain::law::{Whereabouts, WindowVerdict};
use crate::domain::outcome::Reason;
use crate::domain::tally::{Tallies, Tally};
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::store::{Candidate, Due, SentParts, Status, Wanted};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What it is told.
#[derive(Debug)]
pub enum Input {
    /// A route has credit for so many touches; answered by `Deliver` or `Nothing`.
    Ask {
        /// Which.
        route: RouteId,
        /// How many.
        n: usize,
    },
    /// Members from its list.
    Members(Give),
    /// Scheduled touches that were due, and, when there were none, when the next is.
    DueRead {
        /// The touches.
        due: Due,
        /// When nothing was due: the next due time.
        next: Option<Timestamp>,
    },
    /// A batch was decided and committed.
    Begun {
        /// What was started, ready to send.
        started: Vec<Started>,
        /// How many candidates were dealt with.
        consumed: usize,
        /// Those that the budget left over.
        rest: Vec<Candidate>,
        /// Changes.
        tallies: Tallies,
        /// The earliest due time among the rows put off.
        next_due: Option<Timestamp>,
        /// The budget ended the batch.
        budget_exhausted: bool,
    },
    /// Outcomes of its touches were committed.
    Settled {
        /// How many touches got their first result.
        first_results: usize,
        /// Changes.
        tallies: Tallies,
        /// The earliest due time among the rows that follow.
        next_due: Option<Timestamp>,
    },
    /// A wave starts, or goes on after a restart.
    Open {
        /// When it was due: its name.
        wave: Timestamp,
        /// First touches that it may take; `None`: all.
        left: Option<i64>,
    },
    /// What an operator wants.
    Control(Wanted),
    /// When the next scheduled touch of each route is due: sooner than was known, when a hold was lifted.
    Sooner(Vec<(RouteId, Timestamp)>),
    /// A new approved version of the same run: goes on by it, as soon as nothing is being decided.
    Revise(Arc<Running>),
    /// The new version with how the store stands, and what of the ledger its limit must know.
    Revised {
        /// The definition.
        running: Arc<Running>,
        /// What was sent, as far as the limit looks back, oldest first.
        past: Vec<SentParts>,
    },
    /// The process ends: begin nothing more.
    Drain,
    /// What was left has been called off.
    CalledOff(Tallies),
    /// The status is in the store.
    StatusSet(Status),
    /// Look at the clock.
    Wake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Paused,
    /// Putting back what is not sent, waiting for what is; then what is left is called off for this reason.
    Closing(Reason),
    CallingOff(Reason),
    /// Everything is called off; receipts for what was accepted are still to come.
    Receipts,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Busy {
    No,
    Due { route: RouteId, n: usize },
    Members { route: RouteId },
    Begin { route: RouteId, from_list: bool, seen_change: i64, last: bool },
    Revising,
}

/// The machine.
#[derive(Debug)]
pub struct Campaign {
    running: Arc<Running>,
    phase: Phase,
    draining: bool,
    quiet_told: bool,
    busy: Busy,
    asks: VecDeque<(RouteId, usize)>,
    tallies: Tallies,
    outstanding: usize,
    list_done: bool,
    /// Members that came after a pause began, or that the budget left over: the list has moved past them, so they are kept here.
    held: Option<Give>,
    /// The budget had no room when so much was spent or reserved: nothing is begun before some of it comes back.
    out_of_budget_at: Option<i64>,
    /// The open wave, by its due time.
    wave: Option<Timestamp>,
    wave_left: Option<i64>,
    /// A lower bound of the next due time by route; absent: nothing is scheduled.
    next_due: BTreeMap<RouteId, Timestamp>,
    /// Routes told "nothing", to be called when there is something again.
    resting: Vec<RouteId>,
    wake: Option<Timestamp>,
    doubt: Doubt,
    /// A new definition that waits until nothing is being decided by the old one.
    revision: Option<Arc<Running>>,
}

impl Campaign {
    /// Takes a run up where its row stands.
    pub fn new(running: Arc<Running>, tallies: Tallies) -> Self {
        let phase = match running.row.stop_reason {
            // It was called off already; only its status is missing.
            Some(reason) => Phase::Closing(reason),
            None if running.row.status == Status::Paused => Phase::Paused,
            None => Phase::Running,
        };
        Self {
            phase,
            draining: false,
            quiet_told: false,
            busy: Busy::No,
            asks: VecDeque::new(),
            tallies,
            outstanding: 0,
            list_done: running.audience == 0,
            held: None,
            out_of_budget_at: None,
            wave: None,
            wave_left: None,
            next_due: running.all_routes().into_iter().map(|r| (r, Timestamp(0))).collect(),
            resting: Vec::new(),
            wake: Some(running.ends_at),
            doubt: Doubt::new(running.askable),
            revision: None,
            running,
        }
    }

    fn in_state(&self, state: State) -> i64 {
        self.tallies.get(Tally::Customers, i64::from(state.code()))
    }

    /// Spent, or reserved for what is under way.
    fn spent(&self) -> i64 {
        self.tallies.get(Tally::CostMicros, 0)
    }

    fn tell_routes(&self, effects: &mut Vec<Effect>, note: impl Fn() -> channel::Input) {
        effects.extend(self.running.all_routes().into_iter().map(|r| Effect::Tell(Note::Channel(r, note()))));
    }

    fn put_back(&self, effects: &mut Vec<Effect>) {
        let id = self.running.id;
        self.tell_routes(effects, || channel::Input::PutBack(id));
    }

    fn call_resting(&mut self, effects: &mut Vec<Effect>) {
        let id = self.running.id;
        effects.extend(self.resting.drain(..).map(|r| Effect::Tell(Note::Channel(r, channel::Input::Hungry(id)))));
    }

    fn lower_due(&mut self, due: Option<Timestamp>, effects: &mut Vec<Effect>) {
        let Some(due) = due else { return };
        self.sooner(self.running.all_routes().into_iter().map(|r| (r, due)).collect(), effects);
        self.call_resting(effects);
    }

    fn sooner(&mut self, all: Vec<(RouteId, Timestamp)>, effects: &mut Vec<Effect>) {
        let earlier: Vec<_> = all.into_iter().filter(|(route, due)| self.next_due.get(route).is_none_or(|known| due < known)).collect();
        if !earlier.is_empty() {
            self.next_due.extend(earlier);
            self.call_resting(effects);
        }
    }

    /// When the list may be turned for a route: now (`Ok`), at a time, or not before something happens.
    fn list_opens(&self, at: Timestamp, route: RouteId) -> Result<(), Option<Timestamp>> {
        let first = self.running.first_step();
        let serves = self.running.routes.get(usize::from(first.0)).is_some_and(|r| r.contains(&route));
        if self.list_done || !serves || self.wave.is_none() || self.wave_left.is_some_and(|left| left <= 0) {
            return Err(None);
        }
        if at < self.running.starts_at {
            return Err(Some(self.running.starts_at));
        }
        // While the law is closed in the campaign's own zone its pages stay unturned: customers elsewhere wait in the list,
        // where they cost nothing, rather than as scheduled rows.
        let channel = self.running.campaign.step(first).map(|s| s.channel);
        let home = Whereabouts::Zone(self.running.campaign.schedule.timezone);
        match channel.map(|c| self.running.law.window(at, c, home)) {
            Some(WindowVerdict::Closed { opens, .. }) if opens < self.running.ends_at => Err(Some(opens)),
            _ => Ok(()),
        }
    }

    /// Whether anything may be begun.
    fn begins(&self) -> bool {
        self.phase == Phase::Running && !self.draining && self.revision.is_none()
    }

    /// Works on the next ask, if nothing is under way.
    fn turn(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        self.take_revision(at, effects);
        while self.busy == Busy::No {
            let Some((route, n)) = self.asks.pop_front() else { break };
            if !self.begins() {
                self.nothing(route, None, effects);
                continue;
            }
            self.serve(at, route, n, effects);
        }
        self.finish_if_done(at, effects);
    }

    fn serve(&mut self, at: Timestamp, route: RouteId, n: usize, effects: &mut Vec<Effect>) {
        if self.out_of_budget_at.is_some() {
            self.nothing(route, None, effects);
            return;
        }
        if self.next_due.get(&route).is_some_and(|due| *due <= at) {
            self.busy = Busy::Due { route, n };
            let steps: Vec<StepNo> = self.running.steps_of(route);
            effects.push(Effect::Store(StoreCall::Due { running: Arc::clone(&self.running), at, steps, limit: n }));
            return;
        }
        match self.list_opens(at, route) {
            Ok(()) => {
                self.busy = Busy::Members { route };
                if let Some(give) = self.held.take() {
                    self.take_members(route, give, effects);
                    return;
                }
                let room = self.wave_left.map_or(n, |left| n.min(usize::try_from(left).unwrap_or(0)));
                effects.push(Effect::Tell(Note::List(self.running.id, customer_list::Input::Want(room))));
            }
            Err(opens) => {
                let due = self.next_due.get(&route).copied();
                let until = [opens, due].into_iter().flatten().min();
                self.nothing(route, until, effects);
            }
        }
    }

    fn nothing(&mut self, route: RouteId, until: Option<Timestamp>, effects: &mut Vec<Effect>) {
        if !self.resting.contains(&route) {
            self.resting.push(route);
        }
        effects.push(Effect::Tell(Note::Channel(route, channel::Input::Nothing { campaign: self.running.id, until })));
    }

    fn begin(&mut self, route: RouteId, candidates: Vec<Candidate>, seen_change: i64, from_list: bool, last: bool, effects: &mut Vec<Effect>) {
        self.busy = Busy::Begin { route, from_list, seen_change, last };
        let budget_left = self.running.campaign.limits.budget.map(|b| b.micros() - self.spent());
        let wave = self.wave.filter(|_| from_list);
        let begin = Begin { running: Arc::clone(&self.running), route, candidates, seen_change, budget_left, wave };
        effects.push(Effect::Store(StoreCall::Begin(Box::new(begin))));
    }

    fn take_members(&mut self, route: RouteId, give: Give, effects: &mut Vec<Effect>) {
        self.busy = Busy::No;
        if give.members.is_empty() {
            self.list_done |= give.last;
            self.asks.push_front((route, 1));
        } else {
            let candidates = give.members.into_iter().map(|member| Candidate { member, head: None }).collect();
            self.begin(route, candidates, give.seen_change, true, give.last, effects);
        }
    }

    fn close(&mut self, reason: Reason, effects: &mut Vec<Effect>) {
        if matches!(self.phase, Phase::Running | Phase::Paused) {
            self.phase = Phase::Closing(reason);
            self.put_back(effects);
        }
    }

    /// Moves towards the end when nothing is under way: call off what is left, then set the status.
    fn finish_if_done(&mut self, at: Timestamp, effects: &mut Vec<Effect>) {
        if self.busy != Busy::No || self.outstanding > 0 {
            return;
        }
        if self.draining {
            if !self.quiet_told {
                self.quiet_told = true;
                effects.push(Effect::Tell(Note::Conductor(conductor::Input::Quiet(self.running.id))));
            }
            return;
        }
        match self.phase {
            Phase::Closing(reason) => {
                self.phase = Phase::CallingOff(reason);
                effects.push(Effect::Store(StoreCall::CallOff { running: Arc::clone(&self.running), reason, at }));
            }
            Phase::CallingOff(_) | Phase::Ended => {}
            Phase::Receipts if self.in_state(State::Started) > 0 => {}
            Phase::Receipts => {
                self.phase = Phase::Ended;
                self.set_status(Status::Finished, Some(Reason::CampaignEnded), at, effects);
            }
            Phase::Running | Phase::Paused => {
                let open = self.in_state(State::Scheduled) + self.in_state(State::Started);
                if self.list_done && open == 0 && self.phase == Phase::Running {
                    match self.doubt.holds_end(at, self.in_state(State::Uncertain)) {
                        (_, true) => effects.push(Effect::Store(StoreCall::Doubtful(Arc::clone(&self.running)))),
                        (true, false) => {}
                        (false, false) => {
                            self.phase = Phase::Ended;
                            self.set_status(Status::Finished, None, at, effects);
                        }
                    }
                }
            }
        }
    }

    fn set_status(&self, to: Status, reason: Option<Reason>, at: Timestamp, effects: &mut Vec<Effect>) {
        effects.push(Effect::Store(StoreCall::Status { running: Arc::clone(&self.running), to, reason, at }));
    }

    fn begun(&mut self, at: Timestamp, started: Vec<Started>, consumed: usize, rest: Vec<Candidate>, exhausted: bool, effects: &mut Vec<Effect>) {
        let Busy::Begin { route, from_list, seen_change, last } = self.busy else { return };
        self.busy = Busy::No;
        if from_list {
            self.list_done |= last && !exhausted;
            if let Some(left) = &mut self.wave_left {
                *left -= i64::try_from(consumed).unwrap_or(i64::MAX);
            }
        }
        self.outstanding += started.len();
        if exhausted {
            self.out_of_budget(seen_change, from_list.then_some(rest), last, effects);
        }
        if started.is_empty() && !exhausted {
            // Everybody was put off or left alone: the same ask goes on with what comes next.
            self.asks.push_front((route, consumed.max(1)));
        } else {
            if let Some(batch) = started.first().map(|s| s.batch) {
                // Before the touches go out: the recorder must know the batch when its first outcome comes.
                effects.push(Effect::Tell(Note::Recorder(recorder::Input::Opened(batch, started.len()))));
            }
            // A pause, a stop, a revision or a drain may have come while this was being committed: then it is not sent.
            let send = self.begins();
            effects.push(Effect::Tell(Note::Channel(route, channel::Input::Deliver { campaign: self.running.id, started, send })));
        }
        self.turn(at, effects);
    }

    fn control(&mut self, at: Timestamp, wanted: Wanted, effects: &mut Vec<Effect>) {
        match (wanted, self.phase) {
            (Wanted::Pause, Phase::Running) => {
                self.phase = Phase::Paused;
                self.put_back(effects);
                self.set_status(Status::Paused, None, at, effects);
            }
            (Wanted::Run, Phase::Paused) => {
                self.phase = Phase::Running;
                self.set_status(Status::Running, None, at, effects);
                self.call_resting(effects);
            }
            (Wanted::Stop, Phase::Running | Phase::Paused) => self.close(Reason::Stopped, effects),
            _ => {}
        }
    }
}

impl Machine for Campaign {
    type Input = Input;
    type Effect = Effect;
    fn step(&mut self, at: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Ask { route, n } => self.asks.push_back((route, n)),
            Input::Members(give) => {
                if let Busy::Members { route } = self.busy {
                    if self.begins() {
                        self.take_members(route, give, effects);
                    } else {
                        self.busy = Busy::No;
                        self.held = Some(give);
                        self.nothing(route, None, effects);
                    }
                }
            }
            Input::DueRead { due, next } => {
                if let Busy::Due { route, n } = self.busy {
                    self.busy = Busy::No;
                    if !self.begins() {
                        self.nothing(route, None, effects);
                    } else if due.touches.is_empty() {
                        match next {
                            // Never spin on a due time that is said to be now: the store has just found nothing.
                            Some(next) => self.next_due.insert(route, next.max(at.plus(1))),
                            None => self.next_due.remove(&route),
                        };
                        self.asks.push_front((route, n));
                    } else {
                        let candidates = due.touches.into_iter().map(|(head, member)| Candidate { member, head: Some(head) }).collect();
                        self.begin(route, candidates, due.seen_change, false, false, effects);
                    }
                }
            }
            Input::Begun { started, consumed, rest, tallies, next_due, budget_exhausted } => {
                self.tallies.merge(&tallies);
                self.lower_due(next_due, effects);
                self.begun(at, started, consumed, rest, budget_exhausted, effects);
                return;
            }
            Input::Settled { first_results, tallies, next_due } => {
                self.outstanding = self.outstanding.saturating_sub(first_results);
                self.tallies.merge(&tallies);
                self.lower_due(next_due, effects);
                self.try_budget_again(effects);
            }
            Input::Open { wave, left } => {
                self.wave = Some(wave);
                self.wave_left = left;
                self.call_resting(effects);
            }
            Input::Control(wanted) => self.control(at, wanted, effects),
            Input::Sooner(due) => self.sooner(due, effects),
            Input::Revise(running) => self.revise(running, effects),
            Input::Revised { running, past } => self.revised(at, running, past, effects),
            Input::Drain => {
                self.draining = true;
                self.put_back(effects);
            }
            Input::CalledOff(tallies) => {
                self.tallies.merge(&tallies);
                if let Phase::CallingOff(reason) = self.phase {
                    if reason == Reason::CampaignEnded {
                        self.phase = Phase::Receipts;
                    } else {
                        self.phase = Phase::Ended;
                        self.set_status(Status::Stopped, Some(reason), at, effects);
                    }
                }
            }
            Input::StatusSet(status) => {
                if matches!(status, Status::Finished | Status::Stopped) {
                    effects.push(Effect::Tell(Note::Conductor(conductor::Input::Ended(self.running.id, status))));
                }
            }
            Input::Wake => {
                if at >= self.running.ends_at {
                    self.wake = None;
                    self.close(Reason::CampaignEnded, effects);
                }
            }
        }
        if self.phase != Phase::Ended && !self.draining && self.doubt.asks(at, self.in_state(State::Uncertain)) {
            effects.push(Effect::Store(StoreCall::Doubtful(Arc::clone(&self.running))));
        }
        self.turn(at, effects);
    }
    fn wakes_at(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Ended => None,
            _ if self.draining => self.wake,
            _ => self.doubt.wakes_at(self.wake),
        }
    }
    fn is_idle(&self) -> bool {
        self.busy == Busy::No && self.outstanding == 0
    }
}
