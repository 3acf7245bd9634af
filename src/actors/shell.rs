//! `Shell<M>`: the one actix actor that hosts any machine. The only file that imports actix.
//!
//! It steps the machine with the clock's time, performs each effect (store calls and sends run on the tokio runtime, their
//! answers come back as notes), and keeps one timer from `wakes_at()`. Notes are batches; how many are under way is bounded by
//! credit, not by mailboxes, so `do_send`, which ignores a mailbox's bound, is safe here and nowhere else.
use super::hosted::{Addressed, Host, Setup, spawn};
use super::limits::{self, LimitOf, Limits};
use super::machine::Machine;
use super::perform::Performer;
use super::running::Running;
use super::standing::{Board, Standing};
use super::{Address, Effect, Note, channel, conductor, recorder};
use crate::channels::{Carrier, CarrierEvent};
use crate::clock::{Clock, sleep_ms};
use crate::domain::ids::{CampaignId, CustomerId, RouteId};
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
    board: Arc<Board>,
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
            Effect::Limit { campaign, rate, past } => self.limits.of_campaign(self.clock.now(), campaign, rate, &past),
            Effect::Spawn(running, tallies) => {
                self.board.hold(running.id, true);
                spawn(&mut Hosting(self), &running, tallies);
            }
            Effect::Retire(id) => {
                let mut addresses = self.addresses.write().unwrap_or_else(PoisonError::into_inner);
                addresses.remove(&Address::Campaign(id));
                addresses.remove(&Address::List(id));
                drop(addresses);
                self.limits.of_campaign(self.clock.now(), id, None, &[]);
                self.board.hold(id, false);
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
        if let Some(stand) = Machine::stands(&self.machine) {
            self.hub.board.put(stand);
        }
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

/// What is said to an engine from outside.
enum Said {
    Drain,
    Note(Note),
}

/// A running engine, to whoever speaks to it from outside.
#[derive(Clone)]
pub struct EngineHandle {
    said: mpsc::UnboundedSender<Said>,
    board: Arc<Board>,
}

impl EngineHandle {
    fn say(&self, said: Said) {
        // An engine that has ended hears nothing; its end is told to whoever waits for it.
        let _ = self.said.send(said);
    }
    fn note(&self, note: Note) {
        self.say(Said::Note(note));
    }
    /// Drain: begin nothing more, give back what is not sent, wait for what is.
    pub fn drain(&self) {
        self.say(Said::Drain);
    }
    /// Takes up a campaign, from where the store says that it stands. One that is held already goes on as it does.
    pub fn adopt(&self, running: Arc<Running>) {
        self.board.hold(running.id, true);
        self.note(Note::Conductor(conductor::Input::Adopt(running)));
    }
    /// Lets go of a campaign without ending it: nothing more is begun, what is not sent goes back, what is with a carrier is awaited.
    pub fn release(&self, id: CampaignId) {
        self.note(Note::Conductor(conductor::Input::Release(id)));
    }
    /// Lets a campaign that is held go on by a new approved version of the same run: other pace, budget, window, schedule or routes,
    /// the same journey and audience. One that is not held is left alone: it is taken up by its newest version.
    pub fn revise(&self, running: Arc<Running>) {
        self.note(Note::Conductor(conductor::Input::Revise(running)));
    }
    /// What a provider says by another way than its carrier (a receipt posted to us); it is handled as if the carrier had said it.
    pub fn report(&self, route: RouteId, events: Vec<CarrierEvent>) {
        if self.board.knows(route) {
            self.note(Note::Channel(route, channel::Input::Events(events)));
            return;
        }
        // A route that is configured no more may still send receipts for what it took.
        let receipts: Vec<_> = events.into_iter().filter_map(|e| if let CarrierEvent::Receipt(r) = e { Some(r) } else { None }).collect();
        if !receipts.is_empty() {
            self.note(Note::Recorder(recorder::Input::Receipts(receipts)));
        }
    }
    /// These customers have opted out, and that is committed: what waits unsent in a route for them is given back to the schedule,
    /// from where it is decided on anew, and then suppressed. What is not started needs no word: it is asked when it starts.
    pub fn withdrawn(&self, customers: impl IntoIterator<Item = CustomerId>) {
        self.note(Note::Conductor(conductor::Input::Withdrawn(Arc::new(customers.into_iter().collect()))));
    }
    /// Whether a campaign is held, or being taken up.
    pub fn is_running(&self, id: CampaignId) -> bool {
        self.board.holds(id)
    }
    /// How the engine stands, and what a drain waits for.
    pub fn standing(&self) -> Standing {
        self.board.standing()
    }
}

/// An engine in real time on its own thread: where to speak to it, and how it ends.
pub struct Engine {
    /// To speak to it.
    pub handle: EngineHandle,
    /// Its end.
    pub ended: tokio::sync::oneshot::Receiver<Result<(), String>>,
}

/// While it drains it says so often what it waits for, in milliseconds.
const SAY_MS: u64 = 1_000;

/// Starts an engine. Actors live on a thread of their own; store calls and sends run on the caller's tokio runtime.
pub fn start(setup: Setup, carriers: HashMap<RouteId, Arc<dyn Carrier>>, clock: Arc<dyn Clock>) -> std::io::Result<Engine> {
    let runtime = tokio::runtime::Handle::current();
    let (said, mut hears) = mpsc::unbounded_channel();
    let board = Arc::new(Board::new(&setup.routes));
    setup.campaigns.iter().for_each(|running| board.hold(running.id, true));
    let handle = EngineHandle { said, board: Arc::clone(&board) };
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
            let performer = Performer { store: Arc::clone(&setup.store), routes, load: setup.load.clone() };
            let limits = Limits::default();
            let hub = Arc::new(Hub {
                addresses: RwLock::default(),
                performer,
                limits: limits.clone(),
                board: Arc::clone(&board),
                carriers,
                reports,
                clock,
                runtime,
                exit,
            });
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
            let say_again = sleep_ms(SAY_MS);
            tokio::pin!(say_again);
            loop {
                tokio::select! {
                    end = exits.recv() => break end.unwrap_or_else(|| Err("the engine ended without a word".to_owned())),
                    Some(said) = hears.recv() => match said {
                        Said::Drain => hub.tell(Note::Conductor(conductor::Input::Drain)),
                        Said::Note(note) => hub.tell(note),
                    },
                    () = &mut say_again => {
                        say_again.set(sleep_ms(SAY_MS));
                        let standing = board.standing();
                        if standing.phase.is_draining() {
                            tracing::info!("{standing}");
                        }
                    }
                }
            }
        });
        // Nobody may be waiting any more; the ledger has everything.
        let _ = ended_tx.send(end);
    })?;
    Ok(Engine { handle, ended })
}
