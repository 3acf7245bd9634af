//! A carrier that is another process, spoken to in JSON lines over TCP (`wire`). What a broken connection leaves open is told apart:
//! what was never written was not sent; what was written and not answered is unknown, unless the carrier recognises repetitions.
use super::route::RouteSpec;
use super::wire::{self, EventLine, SILENCE_MS};
use super::{Carrier, CarrierEvent, Dispatch, Reports};
use crate::clock::{Clock, SystemClock, sleep_ms};
use crate::domain::ids::{RouteId, TouchKey};
use crate::domain::outcome::{Outcome, Reason, SendResult};
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A connection must stand within this many milliseconds.
const CONNECT_MS: u64 = 3_000;
/// The first wait after a failed connection, doubled with each further one.
const FIRST_WAIT_MS: i64 = 100;
/// The longest wait between two tries.
const LONGEST_WAIT_MS: i64 = 30_000;
/// Tries to send again what an idempotent carrier has not answered, before it counts as unknown (with the waits: about 50 seconds).
const TRIES_AGAIN: u32 = 9;

/// See the module.
pub struct RemoteCarrier(Arc<Inner>);

struct Inner {
    name: String,
    route: RouteId,
    address: Option<String>,
    idempotent: bool,
    clock: Arc<dyn Clock>,
    /// One writer at a time; held over a connection attempt, so that a crowd does not knock.
    line: tokio::sync::Mutex<Line>,
    open: Mutex<Open>,
}

/// The writing side of the connection.
#[derive(Default)]
struct Line {
    write: Option<(u64, OwnedWriteHalf)>,
    connections: u64,
    failures: u32,
    next_try: Timestamp,
}

/// What was written and not answered. Whoever removes a touch from it reports its outcome, so each has exactly one.
#[derive(Default)]
struct Open {
    /// The connection that lives; 0: none.
    connection: u64,
    waiting: HashMap<TouchKey, Waiting>,
}

struct Waiting {
    reports: Reports,
    /// Kept for an idempotent carrier alone: to be sent again.
    dispatch: Option<Dispatch>,
    tries: u32,
}

impl RemoteCarrier {
    /// The carrier of a route that lives at the route's `address`. It connects with the first batch, be it empty.
    pub fn new(spec: &RouteSpec, route: RouteId) -> Self {
        Self::on_clock(spec, route, Arc::new(SystemClock))
    }

    /// As [`Self::new`], on a clock of one's own (it must go at the pace of the runtime's).
    pub fn on_clock(spec: &RouteSpec, route: RouteId, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            name: spec.name.clone(),
            route,
            address: spec.address.clone(),
            idempotent: spec.idempotent,
            clock,
            line: tokio::sync::Mutex::default(),
            open: Mutex::default(),
        }))
    }
}

#[async_trait]
impl Carrier for RemoteCarrier {
    fn kind(&self) -> &'static str {
        "remote_simulator"
    }

    fn is_idempotent(&self) -> bool {
        self.0.idempotent
    }

    async fn send(&self, batch: Vec<Dispatch>, reports: Reports) {
        self.0.send(batch, reports, 0).await;
    }

    async fn query(&self, touches: Vec<TouchKey>, reports: Reports) {
        self.0.query(&touches, &reports).await;
    }
}

impl Drop for RemoteCarrier {
    fn drop(&mut self) {
        // The reader holds the inner part alive as long as the connection; closing our side ends both.
        let inner = self.0.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { inner.line.lock().await.write = None });
        }
    }
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self: &Arc<Self>, batch: Vec<Dispatch>, reports: Reports, tries: u32) {
        let mut line = self.line.lock().await;
        if let Err(again_at) = self.connect(&mut line, &reports).await {
            drop(line);
            return self.never_written(batch, &reports, again_at, tries);
        }
        let lines = match wire::batch_lines(batch) {
            Ok(lines) => lines,
            Err((fault, batch)) => {
                tracing::error!(route = %self.name, %fault, "remote carrier: a batch cannot be written out");
                return self.never_written(batch, &reports, self.clock.now().plus(LONGEST_WAIT_MS), tries);
            }
        };
        let mut lines = lines.into_iter();
        while let Some((text, held)) = lines.next() {
            let Some((connection, write)) = line.write.as_mut() else {
                return self.rest_never_written(held, lines, &reports, tries);
            };
            let connection = *connection;
            if let Err(held) = self.expect(connection, held, &reports, tries) {
                line.write = None;
                return self.rest_never_written(held, lines, &reports, tries);
            }
            if let Err(fault) = write.write_all(&text).await {
                tracing::warn!(route = %self.name, %fault, "remote carrier: the connection broke while writing");
                line.write = None;
                drop(line);
                // This line may have arrived in part or whole: its touches are in doubt with the others.
                self.broken(connection);
                return self.rest_never_written(Vec::new(), lines, &reports, tries);
            }
        }
    }

    /// Asks; an answer that does not come leaves the touches in doubt, and the next round asks again.
    async fn query(self: &Arc<Self>, touches: &[TouchKey], reports: &Reports) {
        let mut line = self.line.lock().await;
        if self.connect(&mut line, reports).await.is_err() {
            return;
        }
        let Ok(text) = wire::query_line(touches) else { return };
        let Some((connection, write)) = line.write.as_mut() else { return };
        let connection = *connection;
        if let Err(fault) = write.write_all(&text).await {
            tracing::warn!(route = %self.name, %fault, "remote carrier: the connection broke while asking");
            line.write = None;
            drop(line);
            self.broken(connection);
        }
    }

    /// Sees to a living connection, or says when to try again.
    async fn connect(self: &Arc<Self>, line: &mut Line, reports: &Reports) -> Result<(), Timestamp> {
        if let Some((connection, _)) = &line.write
            && self.open().connection == *connection
        {
            return Ok(());
        }
        line.write = None;
        let now = self.clock.now();
        if now < line.next_try {
            return Err(line.next_try);
        }
        match self.dial().await {
            Ok((read, write)) => {
                line.failures = 0;
                line.connections += 1;
                let connection = line.connections;
                line.write = Some((connection, write));
                self.open().connection = connection;
                tokio::spawn(self.clone().listen(connection, read, reports.clone()));
                Ok(())
            }
            Err(fault) => {
                let wait = FIRST_WAIT_MS.saturating_mul(1 << line.failures.min(20)).min(LONGEST_WAIT_MS);
                line.failures = line.failures.saturating_add(1);
                line.next_try = self.clock.now().plus(wait);
                tracing::warn!(route = %self.name, %fault, wait_ms = wait, "remote carrier: no connection; is the carrier running at the route's address?");
                Err(line.next_try)
            }
        }
    }

    async fn dial(&self) -> io::Result<(OwnedReadHalf, OwnedWriteHalf)> {
        let Some(address) = &self.address else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the route has no address; give it one such as 127.0.0.1:7070"));
        };
        let stream = tokio::select! {
            stream = TcpStream::connect(address) => stream?,
            () = sleep_ms(CONNECT_MS) => return Err(io::ErrorKind::TimedOut.into()),
        };
        stream.set_nodelay(true)?;
        Ok(stream.into_split())
    }

    /// Notes what is about to be written; gives it back when the connection is already known to be gone.
    fn expect(&self, connection: u64, held: Vec<Dispatch>, reports: &Reports, tries: u32) -> Result<(), Vec<Dispatch>> {
        let mut open = self.open();
        if open.connection != connection {
            return Err(held);
        }
        for dispatch in held {
            let touch = dispatch.touch;
            let dispatch = self.idempotent.then_some(dispatch);
            open.waiting.insert(touch, Waiting { reports: reports.clone(), dispatch, tries });
        }
        Ok(())
    }

    /// Reads events until the connection ends or falls silent.
    async fn listen(self: Arc<Self>, connection: u64, read: OwnedReadHalf, reports: Reports) {
        let (mut reader, mut text) = (BufReader::new(read), Vec::new());
        loop {
            let line: io::Result<Option<EventLine>> = tokio::select! {
                line = wire::read(&mut reader, &mut text) => line,
                () = sleep_ms(SILENCE_MS) => Err(io::ErrorKind::TimedOut.into()),
            };
            match line {
                Ok(Some(EventLine { events })) => self.pass_on(events, &reports),
                Ok(None) => break,
                Err(fault) => {
                    tracing::warn!(route = %self.name, %fault, "remote carrier: the connection broke");
                    break;
                }
            }
        }
        self.broken(connection);
    }

    fn pass_on(&self, events: Vec<CarrierEvent>, latest: &Reports) {
        let mut batches: Vec<(Reports, Vec<CarrierEvent>)> = Vec::new();
        let mut open = self.open();
        for mut event in events {
            let to = match &mut event {
                CarrierEvent::Outcome(outcome) => match open.waiting.remove(&outcome.touch) {
                    Some(waiting) => waiting.reports,
                    // Reported already, when an earlier connection broke.
                    None => continue,
                },
                CarrierEvent::Receipt(receipt) => {
                    receipt.route = self.route;
                    latest.clone()
                }
            };
            match batches.iter_mut().find(|(known, _)| known.same_channel(&to)) {
                Some((_, events)) => events.push(event),
                None => batches.push((to, vec![event])),
            }
        }
        drop(open);
        for (to, events) in batches {
            let _ = to.send(events);
        }
    }

    /// Ends a connection and settles what it leaves open. The second to notice finds nothing left.
    fn broken(self: &Arc<Self>, connection: u64) {
        let mut open = self.open();
        if open.connection != connection {
            return;
        }
        open.connection = 0;
        let left = std::mem::take(&mut open.waiting);
        drop(open);
        self.settle(left.into_iter());
    }

    /// Reports as unknown what may have been sent; an idempotent carrier gets it once more instead.
    fn settle(self: &Arc<Self>, left: impl Iterator<Item = (TouchKey, Waiting)>) {
        let at = self.clock.now();
        let mut batches: Vec<(Reports, Vec<CarrierEvent>, Vec<Dispatch>, u32)> = Vec::new();
        for (touch, waiting) in left {
            let place = batches.iter().position(|(known, ..)| known.same_channel(&waiting.reports)).unwrap_or_else(|| {
                batches.push((waiting.reports, Vec::new(), Vec::new(), 0));
                batches.len() - 1
            });
            let Some((_, unknown, again, tries)) = batches.get_mut(place) else { continue };
            match waiting.dispatch {
                Some(dispatch) if waiting.tries < TRIES_AGAIN => {
                    again.push(dispatch);
                    *tries = (*tries).max(waiting.tries + 1);
                }
                Some(_) | None => unknown.push(interrupted(touch, at)),
            }
        }
        for (reports, unknown, again, tries) in batches {
            if !unknown.is_empty() {
                let _ = reports.send(unknown);
            }
            if !again.is_empty() {
                tokio::spawn(self.clone().send_again(again, reports, tries));
            }
        }
    }

    /// Boxed, since sending may come back here.
    fn send_again(self: Arc<Self>, batch: Vec<Dispatch>, reports: Reports, tries: u32) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let wait = FIRST_WAIT_MS.saturating_mul(1 << tries.min(20)).min(LONGEST_WAIT_MS);
            sleep_ms(wait.unsigned_abs()).await;
            self.send(batch, reports, tries).await;
        })
    }

    fn rest_never_written(
        self: &Arc<Self>,
        mut held: Vec<Dispatch>,
        lines: impl Iterator<Item = (Vec<u8>, Vec<Dispatch>)>,
        reports: &Reports,
        tries: u32,
    ) {
        held.extend(lines.flat_map(|(_, held)| held));
        let again_at = self.clock.now().plus(FIRST_WAIT_MS);
        self.never_written(held, reports, again_at, tries);
    }

    /// What was not written now was not sent, if this was its first try; otherwise an earlier try may have sent it.
    fn never_written(self: &Arc<Self>, batch: Vec<Dispatch>, reports: &Reports, again_at: Timestamp, tries: u32) {
        if batch.is_empty() {
            return;
        }
        if tries > 0 {
            let wait = |dispatch: Dispatch| (dispatch.touch, Waiting { reports: reports.clone(), dispatch: Some(dispatch), tries });
            return self.settle(batch.into_iter().map(wait));
        }
        let at = self.clock.now();
        let result = SendResult::NotSent { reason: Reason::NotSent, again_at };
        let not_sent = |dispatch: Dispatch| CarrierEvent::Outcome(Outcome { touch: dispatch.touch, at, result: result.clone() });
        let _ = reports.send(batch.into_iter().map(not_sent).collect());
    }
}

fn interrupted(touch: TouchKey, at: Timestamp) -> CarrierEvent {
    CarrierEvent::Outcome(Outcome { touch, at, result: SendResult::Unknown { reason: Reason::Interrupted } })
}
