//! The janitor: touches that a crash left open, receipts that never came, suppressions that lapse.
use super::machine::Machine;
use super::perform::{ROUND, StoreCall};
use super::running::Route;
use super::{Effect, Note, conductor, recorder};
use crate::domain::ids::{BatchId, RouteId, TouchKey};
use crate::domain::outcome::{Outcome, Reason, SendResult};
use crate::domain::time::Timestamp;
use crate::domain::touch::Touch;
use std::collections::HashSet;

/// What it is told.
#[derive(Debug)]
pub enum Input {
    /// Find what a crash left, before anything is sent.
    Rescue,
    /// Everything is launched: make rounds. (Before, how the campaigns stand is being read, and nothing may change it.)
    Rounds,
    /// Touches left `Started` by an earlier owner.
    Orphans(Vec<(BatchId, Vec<Touch>)>),
    /// Touches whose receipt did not come in time.
    Overdue(Vec<Touch>),
    /// What it found is committed.
    Committed,
    /// Look at the clock.
    Wake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Rescuing,
    Rounds,
}

/// The machine.
#[derive(Debug)]
pub struct Janitor {
    fence: i64,
    period_ms: i64,
    /// Whether it looks after rehearsals, or after what is real.
    rehearsal: bool,
    idempotent: HashSet<RouteId>,
    phase: Phase,
    next_round: Option<Timestamp>,
    busy: bool,
    /// The first touch of the round before, to tell that it has been settled.
    last_found: Option<TouchKey>,
}

impl Janitor {
    /// Makes its round every `period_ms`; `routes` tell which providers send a repeated touch once only.
    pub fn new(fence: i64, period_ms: i64, rehearsal: bool, routes: &[Route]) -> Self {
        let idempotent = routes.iter().filter(|r| r.idempotent).map(|r| r.id).collect();
        Self { fence, period_ms, rehearsal, idempotent, phase: Phase::Rescuing, next_round: None, busy: false, last_found: None }
    }

    fn find_orphans(&self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Store(StoreCall::Orphans { fence: self.fence, rehearsal: self.rehearsal }));
    }

    /// In doubt, and so not repeated, unless the provider itself guards against repetition.
    fn orphaned(&self, at: Timestamp, touch: &Touch) -> Outcome {
        let safe = touch.route.is_some_and(|r| self.idempotent.contains(&r));
        let result =
            if safe { SendResult::NotSent { reason: Reason::PutBack, again_at: at } } else { SendResult::Unknown { reason: Reason::Interrupted } };
        Outcome { touch: touch.key, at, result }
    }
}

impl Machine for Janitor {
    type Input = Input;
    type Effect = Effect;
    fn step(&mut self, at: Timestamp, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Rescue => self.find_orphans(effects),
            Input::Rounds => self.next_round = Some(at),
            Input::Orphans(batches) if batches.is_empty() => {
                self.phase = Phase::Rounds;
                effects.push(Effect::Tell(Note::Conductor(conductor::Input::Rescued)));
            }
            Input::Orphans(batches) => {
                let closed = batches.iter().map(|(batch, _)| *batch).collect();
                let found: Vec<(Touch, Outcome)> = batches
                    .into_iter()
                    .flat_map(|(_, touches)| touches)
                    .map(|touch| {
                        let outcome = self.orphaned(at, &touch);
                        (touch, outcome)
                    })
                    .collect();
                tracing::warn!(touches = found.len(), "found touches that were started and not answered when the process ended");
                effects.push(Effect::Tell(Note::Recorder(recorder::Input::Found { found, closed })));
            }
            Input::Overdue(touches) => {
                self.busy = !touches.is_empty();
                let first = touches.first().map(|t| t.key);
                // More than one round can hold have come due: go on at once, unless the same ones come again.
                if touches.len() >= ROUND && first != self.last_found {
                    self.next_round = Some(at);
                }
                self.last_found = first;
                if self.busy {
                    let unknown = |t: &Touch| Outcome { touch: t.key, at, result: SendResult::Unknown { reason: Reason::NoReceipt } };
                    let found = touches.into_iter().map(|t| (t.clone(), unknown(&t))).collect();
                    effects.push(Effect::Tell(Note::Recorder(recorder::Input::Found { found, closed: Vec::new() })));
                }
            }
            Input::Committed => match self.phase {
                Phase::Rescuing => self.find_orphans(effects),
                Phase::Rounds => self.busy = false,
            },
            Input::Wake => {}
        }
        if !self.busy && self.next_round.is_some_and(|round| at >= round) {
            self.busy = true;
            self.next_round = Some(at.plus(self.period_ms));
            effects.push(Effect::Store(StoreCall::Round { at, rehearsal: self.rehearsal }));
        }
    }
    fn wakes_at(&self) -> Option<Timestamp> {
        if self.busy { None } else { self.next_round }
    }
    fn is_idle(&self) -> bool {
        !self.busy && self.phase == Phase::Rounds
    }
}
