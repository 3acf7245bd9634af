//! Virtual time: the same machines over any store, one thread, a queue of (due, order), carriers that answer at once with the
//! instant when their answer is due. Days pass in seconds; nothing sleeps. Rehearsals run here, and so do the simulations of
//! the tests, which check the invariants after every step and kill everything after any step.
use super::hosted::{Addressed, AnyMachine, Host, Setup, spawn};
use super::limits::{self, Limits};
use super::perform::{Performer, StoreCall};
use super::standing::{Board, Standing};
use super::{Address, Effect, Note, channel, conductor};
use crate::channels::{CarrierEvent, Dispatch};
use crate::domain::ids::{RouteId, TouchKey};
use crate::domain::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A carrier in virtual time.
pub trait VirtualCarrier: Send {
    /// What it will say of a dispatch, each with the instant (not before `at`) at which it says it.
    fn answer(&mut self, dispatch: &Dispatch, at: Timestamp, out: &mut Vec<(Timestamp, CarrierEvent)>);
    /// What it will say when asked about a touch in doubt; nothing where it does not know, or cannot be asked.
    fn recall(&mut self, _touch: TouchKey, _at: Timestamp, _out: &mut Vec<(Timestamp, CarrierEvent)>) {}
}

/// How a run in virtual time ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// In order, at this instant.
    Done(Timestamp),
    /// Something broke.
    Fault(String),
    /// The limit of steps was reached: as if the process were killed here.
    Cut(Timestamp),
}

enum Happening {
    Note(Note),
    Store(StoreCall),
    Wake(Address),
}

#[derive(Default)]
struct Machines(HashMap<Address, Box<dyn AnyMachine>>);

impl Host for Machines {
    fn host<M: Addressed>(&mut self, address: Address, machine: M) {
        self.0.insert(address, Box::new(machine));
    }
}

/// The world.
pub struct World {
    performer: Performer,
    limits: Limits,
    board: Board,
    carriers: HashMap<RouteId, Box<dyn VirtualCarrier>>,
    machines: Machines,
    queue: BTreeMap<(Timestamp, u64), Happening>,
    wakes: HashMap<Address, Timestamp>,
    order: u64,
    now: Timestamp,
    steps: u64,
    store_delay: Option<Delay>,
}

/// How long the next way to or from the store takes, in milliseconds.
pub type Delay = Box<dyn FnMut() -> i64 + Send>;

impl World {
    /// Puts an engine together at an instant.
    pub fn new(setup: &Setup, carriers: HashMap<RouteId, Box<dyn VirtualCarrier>>, now: Timestamp) -> Self {
        let routes = setup.routes.iter().map(|r| (r.id, r.clone())).collect();
        let mut machines = Machines::default();
        let limits = Limits::default();
        setup.found(&mut machines, &limits);
        let performer = Performer { store: Arc::clone(&setup.store), routes, load: setup.load.clone() };
        let mut world = Self {
            performer,
            limits,
            board: Board::new(&setup.routes),
            carriers,
            machines,
            queue: BTreeMap::new(),
            wakes: HashMap::new(),
            order: 0,
            now,
            steps: 0,
            store_delay: None,
        };
        world.push(now, Happening::Note(Note::Conductor(conductor::Input::Start)));
        world
    }

    /// Lets every store call come to the store late, and its answer back late, each by a delay drawn anew: calls overtake each
    /// other, as they may in real time. (Without this a store call takes no time.)
    #[must_use]
    pub fn with_slow_store(mut self, delay: Delay) -> Self {
        self.store_delay = Some(delay);
        self
    }

    /// What time it is in this world.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// How everything stands.
    pub fn standing(&self) -> Standing {
        for machine in self.machines.0.values() {
            machine.stands().into_iter().for_each(|stand| self.board.put(stand));
        }
        self.board.standing()
    }

    /// Says something to a machine at an instant (an operator's wish, in tests).
    pub fn tell(&mut self, at: Timestamp, note: Note) {
        self.push(at, Happening::Note(note));
    }

    fn push(&mut self, at: Timestamp, what: Happening) {
        self.order += 1;
        self.queue.insert((at.max(self.now), self.order), what);
    }

    /// Runs to the end, or for `limit` steps; `after_step` sees the time after each.
    pub async fn run(&mut self, limit: Option<u64>, mut after_step: impl AsyncFnMut(Timestamp, u64)) -> End {
        let mut effects = Vec::new();
        loop {
            if limit.is_some_and(|limit| self.steps >= limit) {
                return End::Cut(self.now);
            }
            let Some(((at, _), what)) = self.queue.pop_first() else {
                return End::Fault("nothing is left to happen, and yet the work is not done".to_owned());
            };
            self.now = self.now.max(at);
            let (address, note) = match what {
                Happening::Store(call) => {
                    self.call(call).await;
                    self.steps += 1;
                    after_step(self.now, self.steps).await;
                    continue;
                }
                Happening::Note(note) => (note.address(), note),
                Happening::Wake(address) => {
                    // A wake that was moved since is stale.
                    if self.wakes.get(&address) != Some(&at) {
                        continue;
                    }
                    self.wakes.remove(&address);
                    (address, Note::wake(address))
                }
            };
            tracing::trace!(at = %self.now, ?note, "step");
            let Some(machine) = self.machines.0.get_mut(&address) else { continue };
            machine.take(self.now, note, &mut effects);
            let wake = machine.wakes_at();
            self.set_wake(address, wake);
            for effect in std::mem::take(&mut effects) {
                if let Some(end) = self.perform(effect).await {
                    return end;
                }
            }
            self.steps += 1;
            after_step(self.now, self.steps).await;
        }
    }

    fn set_wake(&mut self, address: Address, wake: Option<Timestamp>) {
        match wake {
            None => {
                self.wakes.remove(&address);
            }
            Some(wake) => {
                let wake = wake.max(self.now.plus(1));
                if self.wakes.get(&address) != Some(&wake) {
                    self.wakes.insert(address, wake);
                    self.push(wake, Happening::Wake(address));
                }
            }
        }
    }

    async fn perform(&mut self, effect: Effect) -> Option<End> {
        match effect {
            Effect::Tell(note) => self.push(self.now, Happening::Note(note)),
            Effect::Store(call) => match self.delay() {
                0 => self.call(call).await,
                late => self.push(self.now.plus(late), Happening::Store(call)),
            },
            Effect::Send(route, batch) => self.send(route, &batch),
            Effect::Query(route, touches) => {
                let mut answers = Vec::new();
                if let Some(carrier) = self.carriers.get_mut(&route) {
                    touches.iter().for_each(|touch| carrier.recall(*touch, self.now, &mut answers));
                }
                self.bring(route, answers);
            }
            Effect::Limit { campaign, rate, past } => self.limits.of_campaign(self.now, campaign, rate, &past),
            Effect::Spawn(running, tallies) => spawn(&mut self.machines, &running, tallies),
            Effect::Retire(id) => {
                self.machines.0.remove(&Address::Campaign(id));
                self.machines.0.remove(&Address::List(id));
                self.limits.of_campaign(self.now, id, None, &[]);
            }
            Effect::Exit(Ok(())) => return Some(End::Done(self.now)),
            Effect::Exit(Err(text)) => return Some(End::Fault(text)),
        }
        None
    }

    fn delay(&mut self) -> i64 {
        self.store_delay.as_mut().map_or(0, |delay| delay().max(0))
    }

    async fn call(&mut self, call: StoreCall) {
        let notes = self.performer.perform(call, self.now).await;
        let back = self.now.plus(self.delay());
        for note in notes {
            self.push(back, Happening::Note(note));
        }
    }

    fn send(&mut self, route: RouteId, batch: &[Dispatch]) {
        let Some(carrier) = self.carriers.get_mut(&route) else { return };
        if let Some(route) = self.performer.routes.get(&route) {
            self.limits.handed_over(self.now, &limits::units(route, batch));
        }
        let mut answers = Vec::new();
        for dispatch in batch {
            carrier.answer(dispatch, self.now, &mut answers);
        }
        self.bring(route, answers);
    }

    fn bring(&mut self, route: RouteId, answers: Vec<(Timestamp, CarrierEvent)>) {
        // What is due at the same instant comes together, in the order of sending.
        let mut by_due: BTreeMap<Timestamp, Vec<CarrierEvent>> = BTreeMap::new();
        for (due, event) in answers {
            by_due.entry(due.max(self.now)).or_default().push(event);
        }
        for (due, events) in by_due {
            self.push(due, Happening::Note(Note::Channel(route, channel::Input::Events(events))));
        }
    }
}
