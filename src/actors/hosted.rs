//! What both hosts share: the set of machines of an engine, and how a note finds its way into one.
use super::campaign::Campaign;
use super::channel::Channel;
use super::conductor::{Conductor, Patience};
use super::customer_list::CustomerList;
use super::janitor::Janitor;
use super::limits::Limits;
use super::machine::Machine;
use super::perform::Loader;
use super::recorder::Recorder;
use super::running::{Route, Running};
use super::scheduler::Scheduler;
use super::standing::Stand;
use super::{Address, Effect, Note};
use crate::domain::tally::Tallies;
use crate::domain::time::{MINUTE, Timestamp};
use crate::store::Store;
use std::sync::Arc;

/// A machine that knows its own notes.
pub trait Addressed: Machine<Effect = Effect> {
    /// The input of a note, if it is for this kind of machine.
    fn input(note: Note) -> Option<Self::Input>;
}

macro_rules! addressed {
    ($($machine:ty: $pattern:pat => $input:expr;)*) => {$(
        impl Addressed for $machine {
            fn input(note: Note) -> Option<Self::Input> {
                match note { $pattern => Some($input), _ => None }
            }
        }
    )*};
}

addressed! {
    Conductor: Note::Conductor(input) => input;
    Scheduler: Note::Scheduler(input) => input;
    Campaign: Note::Campaign(_, input) => input;
    CustomerList: Note::List(_, input) => input;
    Channel: Note::Channel(_, input) => input;
    Recorder: Note::Recorder(input) => input;
    Janitor: Note::Janitor(input) => input;
}

/// Any machine, for a host that keeps them all together.
pub trait AnyMachine: Send {
    /// See [`Machine::step`]; a note for another kind of machine is ignored.
    fn take(&mut self, at: Timestamp, note: Note, effects: &mut Vec<Effect>);
    /// See [`Machine::wakes_at`].
    fn wakes_at(&self) -> Option<Timestamp>;
    /// See [`Machine::stands`].
    fn stands(&self) -> Option<Stand>;
}

impl<M: Addressed> AnyMachine for M {
    fn take(&mut self, at: Timestamp, note: Note, effects: &mut Vec<Effect>) {
        if let Some(input) = M::input(note) {
            self.step(at, input, effects);
        }
    }
    fn wakes_at(&self) -> Option<Timestamp> {
        Machine::wakes_at(self)
    }
    fn stands(&self) -> Option<Stand> {
        Machine::stands(self)
    }
}

/// What an engine is put together from.
#[derive(Clone)]
pub struct Setup {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Every configured route that some campaign uses.
    pub routes: Vec<Route>,
    /// The campaigns to run.
    pub campaigns: Vec<Arc<Running>>,
    /// The fencing number.
    pub fence: i64,
    /// How long and how often the conductor waits.
    pub patience: Patience,
    /// How long outcomes wait for company before they are committed, in milliseconds.
    pub linger_ms: i64,
    /// How often the janitor makes its round, in milliseconds.
    pub janitor_ms: i64,
    /// How much is in hand at once.
    pub sizes: Sizes,
    /// It stays when no campaign is left, and takes up others.
    pub resident: bool,
    /// Finds the definition of a run that is not held, for receipts that speak of it; without it they are kept and not applied.
    pub load: Option<Loader>,
}

/// How much is in hand at once.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Touches begun or settled in one transaction, at most.
    pub batch: usize,
    /// Touches of a route asked for, in flight or not yet recorded, at most.
    pub credit: usize,
    /// What falls due within so many milliseconds is begun together, at their end; 1: each at its own instant.
    pub due_grain_ms: i64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { batch: 5_000, credit: 20_000, due_grain_ms: 1 }
    }
}

/// Who hosts machines, and how a new one is added.
pub trait Host {
    /// Takes a machine in.
    fn host<M: Addressed>(&mut self, address: Address, machine: M);
}

impl Setup {
    /// The machines that live as long as the process, bottom-up.
    /// `limits` are the host's, who tells them of every hand-over.
    pub fn found(&self, host: &mut impl Host, limits: &Limits) {
        for route in &self.routes {
            host.host(Address::Channel(route.id), Channel::new(route.clone(), limits.clone(), self.sizes));
        }
        host.host(Address::Recorder, Recorder::new(self.fence, self.linger_ms, self.sizes.batch, self.load.is_some()));
        // A rehearsal lives in another time: what is real is none of its business, nor the other way round.
        let rehearsal = self.campaigns.iter().any(|running| running.id.is_rehearsal());
        host.host(Address::Janitor, Janitor::new(self.fence, self.janitor_ms, rehearsal, &self.routes));
        host.host(Address::Scheduler, Scheduler::default());
        let routes = self.routes.iter().map(|r| r.id).collect();
        let look_back_ms = self.look_back_ms().filter(|_| !rehearsal);
        let conductor = Conductor::new(self.campaigns.clone(), routes, look_back_ms, self.resident, self.patience);
        host.host(Address::Conductor, conductor);
    }
}

impl Setup {
    /// The longest span of a limit, where it is longer than a process can wait for at its start. A resident engine asks for a minute
    /// in any case: whether something was sent a moment ago by a run that has ended since.
    fn look_back_ms(&self) -> Option<i64> {
        let of_routes = self.routes.iter().flat_map(|r| [r.limit, r.provider.as_ref().and_then(|(_, rate)| *rate)]);
        let of_campaigns = self.campaigns.iter().map(|c| c.campaign.limits.rate);
        let longest = of_routes.chain(of_campaigns).flatten().map(|rate| rate.per_ms).max().filter(|ms| *ms > MINUTE);
        longest.or(self.resident.then_some(MINUTE))
    }
}

/// The machines of one campaign.
pub fn spawn(host: &mut impl Host, running: &Arc<Running>, tallies: Tallies) {
    host.host(Address::List(running.id), CustomerList::new(Arc::clone(running)));
    host.host(Address::Campaign(running.id), Campaign::new(Arc::clone(running), tallies));
}
