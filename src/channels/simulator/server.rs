//! The simulated carrier as its own process: it remembers every touch that it was sent, across its clients' crashes and its own.
use super::Simulator;
use super::journal::{Journal, JournalLine};
use super::realtime::Timer;
use crate::channels::route::RouteSpec;
use crate::channels::wire::{self, BEAT_MS, BatchLine};
use crate::channels::{CarrierEvent, Dispatch, Receipt, Reports};
use crate::clock::{SystemClock, sleep_ms};
use crate::domain::contact::Address;
use crate::domain::ids::{RouteId, StepNo, TouchKey};
use crate::domain::outcome::SendResult;
use crate::domain::time::Timestamp;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Receipts kept for a client that is away; beyond them the oldest are lost, as at a provider.
const MOST_PARKED: usize = 1_000_000;

/// Serves a simulated carrier until the future is dropped or the listener fails: `on_ready` is called once with the address it
/// listens on. Every dispatch is in the journal before it is answered. Outcomes go to the connection that sent the dispatch; when
/// that is gone they become receipts, and receipts go to whoever is connected, or wait for the next connection.
///
/// # Errors
/// When the journal cannot be opened, or the address not be listened on.
pub async fn serve_carrier(listen: SocketAddr, journal: PathBuf, spec: RouteSpec, on_ready: impl FnOnce(SocketAddr) + Send) -> io::Result<()> {
    let journal = Journal::open(&journal).map_err(|fault| io::Error::new(fault.kind(), format!("the journal {}: {fault}", journal.display())))?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|fault| io::Error::new(fault.kind(), format!("cannot listen on {listen}: {fault}; give another address")))?;
    let server = Arc::new(Server {
        simulator: Simulator::new(&spec, RouteId(0), 0),
        idempotent: spec.idempotent,
        timer: Timer::new(Arc::new(SystemClock)),
        journal: Mutex::new(journal),
        exchange: Mutex::default(),
    });
    on_ready(listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(server.clone().connection(stream));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

type WeakReports = mpsc::WeakUnboundedSender<Vec<CarrierEvent>>;

struct Server {
    simulator: Simulator,
    idempotent: bool,
    timer: Timer,
    journal: Mutex<Journal>,
    exchange: Mutex<Exchange>,
}

/// Who is connected, and what waits for somebody to be.
#[derive(Default)]
struct Exchange {
    connected: Vec<Reports>,
    parked: std::collections::VecDeque<CarrierEvent>,
}

impl Server {
    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let (read, write) = stream.into_split();
        let (reports, events) = mpsc::unbounded_channel();
        {
            let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
            let parked: Vec<_> = exchange.parked.drain(..).collect();
            if !parked.is_empty() {
                let _ = reports.send(parked);
            }
            exchange.connected.push(reports.clone());
        }
        // The writer goes on when the reader has ended: what is still to come must be kept for the next connection.
        let writer = self.write(write, events, reports.downgrade());
        let reader = async {
            if let Err(fault) = self.read(read, &reports).await {
                tracing::warn!(%fault, "carrier: a connection broke");
            }
            self.disconnect(&reports);
            drop(reports);
        };
        tokio::join!(reader, writer);
    }

    fn disconnect(&self, reports: &Reports) {
        let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        exchange.connected.retain(|r| !r.same_channel(reports));
    }

    async fn read(&self, read: OwnedReadHalf, reports: &Reports) -> io::Result<()> {
        let (mut reader, mut text) = (BufReader::new(read), Vec::new());
        while let Some(BatchLine { batch, query }) = wire::read(&mut reader, &mut text).await? {
            let mut events = self.take(&batch)?;
            events.extend(self.recall(&query));
            self.timer.put(events, reports);
        }
        Ok(())
    }

    /// What came of touches that went out, from the journal alone: the answers follow from the touch, so they are the ones given then.
    fn recall(&self, query: &[TouchKey]) -> Vec<(Timestamp, CarrierEvent)> {
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let mut events = Vec::new();
        for line in query.iter().filter_map(|touch| journal.sent(*touch)) {
            let dispatch = Dispatch {
                touch: line.touch,
                route: RouteId(0),
                channel: line.channel,
                step: StepNo(0),
                attempt: line.attempt,
                address: Address::new(""),
                message: None,
                parts: line.parts,
                attributes: None,
            };
            self.simulator.answer_into(&dispatch, line.at, &mut events);
        }
        events.into_iter().filter_map(|(due, event)| Some((due, as_receipt(event)?))).collect()
    }

    /// Journals a batch, then answers it.
    fn take(&self, batch: &[Dispatch]) -> io::Result<Vec<(Timestamp, CarrierEvent)>> {
        // The journal's lock spans both clock and writing, so that its lines stand in the order of their instants.
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.timer.now();
        let mut events = Vec::with_capacity(batch.len());
        for dispatch in batch {
            let first = events.len();
            self.simulator.answer_into(dispatch, at, &mut events);
            let taken = !events.iter().skip(first).any(
                |(_, event)| matches!(event, CarrierEvent::Outcome(o) if matches!(o.result, SendResult::NotSent { .. } | SendResult::Refused { .. })),
            );
            let duplicate = journal.has_sent(dispatch.touch);
            journal.note(&JournalLine {
                at,
                touch: dispatch.touch,
                attempt: dispatch.attempt,
                channel: dispatch.channel,
                parts: dispatch.parts,
                sent: taken && !(duplicate && self.idempotent),
                duplicate,
            })?;
        }
        journal.write()?;
        Ok(events)
    }

    async fn write(&self, write: OwnedWriteHalf, mut events: mpsc::UnboundedReceiver<Vec<CarrierEvent>>, own: WeakReports) {
        let mut write = Some(write);
        loop {
            let batch = tokio::select! {
                batch = events.recv() => match batch {
                    Some(batch) => batch,
                    None => return,
                },
                () = sleep_ms(BEAT_MS), if write.is_some() => Vec::new(),
            };
            // The reader sees the end of a connection before the writer does: what comes after it is not written into the void.
            let alive = own.upgrade().is_some_and(|own| self.is_connected(&own));
            if alive && let Some(half) = &mut write {
                let written = match wire::event_line(&batch) {
                    Ok(line) => half.write_all(&line).await,
                    Err(fault) => Err(fault),
                };
                if written.is_ok() {
                    continue;
                }
                if let Some(own) = own.upgrade() {
                    self.disconnect(&own);
                }
            }
            write = None;
            self.park(batch);
        }
    }

    fn is_connected(&self, reports: &Reports) -> bool {
        let exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        exchange.connected.iter().any(|r| r.same_channel(reports))
    }

    /// Keeps what a lost client should still learn, or hands it to another connection.
    fn park(&self, events: Vec<CarrierEvent>) {
        let receipts: Vec<_> = events.into_iter().filter_map(as_receipt).collect();
        if receipts.is_empty() {
            return;
        }
        let mut exchange = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = Some(receipts);
        for connected in &exchange.connected {
            if let Some(batch) = left.take() {
                left = connected.send(batch).err().map(|unsent| unsent.0);
            }
        }
        exchange.parked.extend(left.into_iter().flatten());
        let excess = exchange.parked.len().saturating_sub(MOST_PARKED);
        exchange.parked.drain(..excess);
    }
}

/// What a provider would still say of a touch whose sender is gone: what came of it, by our name and by its own.
fn as_receipt(event: CarrierEvent) -> Option<CarrierEvent> {
    match event {
        CarrierEvent::Receipt(_) => Some(event),
        CarrierEvent::Outcome(outcome) => match outcome.result {
            SendResult::Done { disposition, connected_s, cost_micros } => Some(CarrierEvent::Receipt(Receipt {
                route: RouteId(0),
                provider_ref: outcome.touch.to_string().into(),
                touch: Some(outcome.touch),
                at: outcome.at,
                disposition,
                connected_s,
                cost_micros,
            })),
            SendResult::Accepted { .. } | SendResult::Refused { .. } | SendResult::NotSent { .. } | SendResult::Unknown { .. } => None,
        },
    }
}
