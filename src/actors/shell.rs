//! `Shell<M>`: the one actix actor that hosts any machine. The only file that imports actix.
//!
//! It steps the machine with the clock's time, performs each effect (store calls and sends run on the tokio runtime, their
//! answers come back as notes), and keeps one timer from `wakes_at()`. Notes are batches; how many are under way is bounded by
//! credit, not by mailboxes, so `do_send`, which ignores a mailbox's bound, is safe here and nowhere else.
use super::hosted::{Addressed, Host, Setup, spawn};
use super::limits::{self, LimitOf, Limits};
use super::machine::Machine;
use super::perform::Performer;
use super::{Address, Effect, Note, channel, conductor};
use crate::channels::Carrier;
use crate::clock::Clock;
use crate::domain::ids::RouteId;
use crate::domain::time::Timestamp;
use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, SpawnHandle};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::mpsc;

/// A note on its way to an actor.
struct Packet(Note);

impl Message for Packet {
    type Result = ();
}

/// The engine's address book and its ways out.
struct Hub {
    addresses: RwLock<HashMap<Address, Recipient<Packet>>>,
    performer: Performer,
    limits: Limits,
    carriers: HashMap<RouteId, Arc<dyn Carrier>>,
    reports: HashMap<RouteId, crate::channels::Reports>,
    clock: Arc<dyn Clock>,
    runtime: tokio::runtime::Handle,
    exit: mpsc::UnboundedSender<Result<(), String>>,
}

impl Hub {
    fn tell(&self, note: Note) {
        let addresses = self.addresses.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(recipient) = addresses.get(&note.address()) {
            recipient.do_send(Packet(note));
        }
    }

    fn perform(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Tell(note) => self.tell(note),
            Effect::Store(call) => {
                let hub = Arc::clone(self);
                self.runtime.spawn(async move {
                    for note in hub.performer.perform(call, hub.clock.now()).await {
                        hub.tell(note);
                    }
                });
            }
            Effect::Send(route, batch) => {
                if let (Some(carrier), Some(reports)) = (self.carriers.get(&route), self.reports.get(&route)) {
                    let (carrier, reports) = (Arc::clone(carrier), reports.clone());
                    let handing_over = self.performer.routes.get(&route).map(|r| HandingOver(Arc::clone(self), limits::units(r, &batch)));
                    self.runtime.spawn(async move {
                        carrier.send(batch, reports).await;
                        drop(handing_over);
                    });
                }
            }
            Effect::Query(route, touches) => {
                if let (Some(carrier), Some(reports)) = (self.carriers.get(&route), self.reports.get(&route)) {
                    let (carrier, reports) = (Arc::clone(carrier), reports.clone());
                    self.runtime.spawn(async move { carrier.query(touches, reports).await });
                }
            }
            Effect::Spawn(running, tallies) => spawn(&mut Hosting(self), &running, tallies),
            Effect::Retire(id) => {
                let mut addresses = self.addresses.write().unwrap_or_else(PoisonError::into_inner);
                addresses.remove(&Address::Campaign(id));
                addresses.remove(&Address::List(id));
            }
            Effect::Exit(how) => {
                // The receiver lives as long as the engine; without it there is nobody left to tell.
                let _ = self.exit.send(how);
            }
        }
    }
}

/// A batch on its way to its carrier; dropped when it is there, or will never be.
struct HandingOver(Arc<Hub>, Vec<(LimitOf, u64)>);

impl Drop for HandingOver {
    fn drop(&mut self) {
        self.0.limits.handed_over(self.0.clock.now(), &self.1);
    }
}

struct Hosting<'a>(&'a Arc<Hub>);

impl Host for Hosting<'_> {
    fn host<M: Addressed>(&mut self, address: Address, machine: M) {
        let shell = Shell { machine, address, hub: Arc::clone(self.0), timer: None };
        let recipient = shell.start().recipient();
        self.0.addresses.write().unwrap_or_else(PoisonError::into_inner).insert(address, recipient);
    }
}

struct Shell<M: Machine> {
    machine: M,
    address: Address,
    hub: Arc<Hub>,
    timer: Option<(Timestamp, SpawnHandle)>,
}

impl<M: Addressed> Actor for Shell<M> {
    type Context = Context<Self>;
}

impl<M: Addressed> Shell<M> {
    fn step(&mut self, note: Note, ctx: &mut Context<Self>) {
        let Some(input) = M::input(note) else { return };
        let mut effects = Vec::new();
        self.machine.step(self.hub.clock.now(), input, &mut effects);
        for effect in effects {
            self.hub.perform(effect);
        }
        self.set_timer(ctx);
    }

    fn set_timer(&mut self, ctx: &mut Context<Self>) {
        let wake = Machine::wakes_at(&self.machine);
        if wake == self.timer.map(|(at, _)| at) {
            return;
        }
        if let Some((_, handle)) = self.timer.take() {
            ctx.cancel_future(handle);
        }
        if let Some(at) = wake {
            let wait = at.since(self.hub.clock.now()).clamp(1, 3_600_000);
            let handle = ctx.run_later(Duration::from_millis(u64::try_from(wait).unwrap_or(1)), |shell, ctx| {
                shell.timer = None;
                let note = Note::wake(shell.address);
                shell.step(note, ctx);
            });
            self.timer = Some((at, handle));
        }
    }
}

impl<M: Addressed> Handler<Packet> for Shell<M> {
    type Result = ();
    fn handle(&mut self, Packet(note): Packet, ctx: &mut Context<Self>) {
        self.step(note, ctx);
    }
}

/// Asks a running engine to end in order.
#[derive(Clone)]
pub struct Stopper(mpsc::UnboundedSender<()>);

impl Stopper {
    /// Drain: begin nothing more, give back what is not sent, wait for what is.
    pub fn drain(&self) {
        let _ = self.0.send(());
    }
}

/// An engine in real time on its own thread: where to ask it to stop, and how it ends.
pub struct Engine {
    /// To stop it.
    pub stopper: Stopper,
    /// Its end.
    pub ended: tokio::sync::oneshot::Receiver<Result<(), String>>,
}

/// Starts an engine. Actors live on a thread of their own; store calls and sends run on the caller's tokio runtime.
pub fn start(setup: Setup, carriers: HashMap<RouteId, Arc<dyn Carrier>>, clock: Arc<dyn Clock>) -> std::io::Result<Engine> {
    let runtime = tokio::runtime::Handle::current();
    let (stop_tx, mut stop_rx) = mpsc::unbounded_channel();
    let (ended_tx, ended) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("actors".to_owned()).spawn(move || {
        let end = actix_rt::System::new().block_on(async move {
            let (exit, mut exits) = mpsc::unbounded_channel();
            let routes = setup.routes.iter().map(|r| (r.id, r.clone())).collect();
            let mut reports = HashMap::new();
            let mut events = Vec::new();
            for route in carriers.keys() {
                let (tx, rx) = mpsc::unbounded_channel();
                reports.insert(*route, tx);
                events.push((*route, rx));
            }
            let performer = Performer { store: Arc::clone(&setup.store), routes };
            let limits = Limits::default();
            let hub = Arc::new(Hub { addresses: RwLock::default(), performer, limits: limits.clone(), carriers, reports, clock, runtime, exit });
            for (route, mut rx) in events {
                let hub = Arc::clone(&hub);
                actix_rt::spawn(async move {
                    while let Some(events) = rx.recv().await {
                        hub.tell(Note::Channel(route, channel::Input::Events(events)));
                    }
                });
            }
            setup.found(&mut Hosting(&hub), &limits);
            hub.tell(Note::Conductor(conductor::Input::Start));
            loop {
                tokio::select! {
                    end = exits.recv() => break end.unwrap_or_else(|| Err("the engine ended without a word".to_owned())),
                    Some(()) = stop_rx.recv() => hub.tell(Note::Conductor(conductor::Input::Drain)),
                }
            }
        });
        // Nobody may be waiting any more; the ledger has everything.
        let _ = ended_tx.send(end);
    })?;
    Ok(Engine { stopper: Stopper(stop_tx), ended })
}
