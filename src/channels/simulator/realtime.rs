//! Real time: events that happen at their instants, with one timer a carrier, however many touches are in flight.
use super::Simulator;
use crate::channels::route::RouteSpec;
use crate::channels::{Carrier, CarrierEvent, Dispatch, Reports};
use crate::clock::{Clock, SystemClock, sleep_ms};
use crate::domain::ids::RouteId;
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The longest sleep: the system's clock may be set while we wait.
const LONGEST_SLEEP_MS: i64 = 1_000;

/// Lets events happen at their instants. Dropping it ends what has not happened yet.
pub(super) struct Timer(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    queue: Mutex<Queue>,
    wake: Notify,
}

#[derive(Default)]
struct Queue {
    heap: BinaryHeap<Entry>,
    put: u64,
    runs: bool,
    closed: bool,
}

struct Entry {
    due: Timestamp,
    /// Equal instants keep the order in which they were put.
    put: u64,
    event: CarrierEvent,
    to: Reports,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives its greatest: the earliest must be that.
        (other.due, other.put).cmp(&(self.due, self.put))
    }
}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Entry {}

impl Inner {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is due, batched by receiver, and tells when the next is; `None`: nothing is left and the task may end.
    fn take_due(&self) -> (Vec<(Reports, Vec<CarrierEvent>)>, Option<Timestamp>) {
        let now = self.clock.now();
        let mut batches: Vec<(Reports, Vec<CarrierEvent>)> = Vec::new();
        let mut queue = self.queue();
        while queue.heap.peek().is_some_and(|e| e.due <= now)
            && let Some(Entry { event, to, .. }) = queue.heap.pop()
        {
            match batches.iter_mut().find(|(known, _)| known.same_channel(&to)) {
                Some((_, events)) => events.push(event),
                None => batches.push((to, vec![event])),
            }
        }
        let next = if queue.closed { None } else { queue.heap.peek().map(|e| e.due) };
        queue.runs = next.is_some();
        (batches, next)
    }

    async fn run(self: Arc<Self>) {
        loop {
            let (batches, next) = self.take_due();
            for (to, events) in batches {
                // Nobody listens any more: then nobody misses it.
                let _ = to.send(events);
            }
            let Some(next) = next else { return };
            let wait = next.since(self.clock.now()).clamp(1, LONGEST_SLEEP_MS);
            tokio::select! {
                () = sleep_ms(wait.unsigned_abs()) => {}
                () = self.wake.notified() => {}
            }
        }
    }
}

impl Timer {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { clock, queue: Mutex::default(), wake: Notify::new() }))
    }

    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Lets events happen: those already due at once and in one batch, the others at their instants. Needs a tokio runtime.
    pub fn put(&self, events: Vec<(Timestamp, CarrierEvent)>, to: &Reports) {
        let now = self.now();
        let mut due_now = Vec::with_capacity(events.len());
        let mut later = Vec::new();
        for (due, event) in events {
            if due <= now { due_now.push(event) } else { later.push((due, event)) }
        }
        if !due_now.is_empty() {
            let _ = to.send(due_now);
        }
        if later.is_empty() {
            return;
        }
        let mut queue = self.0.queue();
        let before = queue.heap.peek().map(|e| e.due);
        for (due, event) in later {
            queue.put += 1;
            let put = queue.put;
            queue.heap.push(Entry { due, put, event, to: to.clone() });
        }
        let sooner = queue.heap.peek().map(|e| e.due) < before;
        if !queue.runs {
            queue.runs = true;
            tokio::spawn(self.0.clone().run());
        } else if sooner {
            self.0.wake.notify_one();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        queue.closed = true;
        queue.heap.clear();
        self.0.wake.notify_one();
    }
}

/// A simulated carrier in real time, in this process.
pub struct SimulatorCarrier {
    simulator: Simulator,
    timer: Timer,
}

impl SimulatorCarrier {
    /// The carrier of a route, on the system's clock.
    pub fn new(spec: &RouteSpec, route: RouteId, seed: u64) -> Self {
        Self::on_clock(spec, route, seed, Arc::new(SystemClock))
    }

    /// The carrier of a route, on a clock of one's own (it must go at the pace of the runtime's).
    pub fn on_clock(spec: &RouteSpec, route: RouteId, seed: u64, clock: Arc<dyn Clock>) -> Self {
        Self { simulator: Simulator::new(spec, route, seed), timer: Timer::new(clock) }
    }
}

#[async_trait]
impl Carrier for SimulatorCarrier {
    fn kind(&self) -> &'static str {
        "simulator"
    }

    fn is_idempotent(&self) -> bool {
        self.simulator.spec().idempotent
    }

    async fn send(&self, batch: Vec<Dispatch>, reports: Reports) {
        let now = self.timer.now();
        let mut events = Vec::with_capacity(batch.len());
        for dispatch in &batch {
            self.simulator.answer_into(dispatch, now, &mut events);
        }
        self.timer.put(events, &reports);
    }
}
