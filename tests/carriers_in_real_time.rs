//! Carriers in real time: in this process, and as a process of their own over loopback, with broken connections and a journal.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test")]
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use touchline::app::worklist::StoreSink;
use touchline::channels::simulator::journal::{most_in_window, sends_by_touch};
use touchline::channels::simulator::profile::ProfileRef;
use touchline::channels::simulator::{read_journal, serve_carrier};
use touchline::channels::worklist::TaskSink;
use touchline::channels::{Carrier, CarrierEvent, Dispatch, Receipt, RouteKind, RouteSpec, build};
use touchline::clock::{Clock, SystemClock, monotonic, sleep_ms};
use touchline::domain::campaign::Rate;
use touchline::domain::channel::Channel;
use touchline::domain::contact::Address;
use touchline::domain::ids::{CampaignId, CustomerId, RouteId, StepNo, TouchKey};
use touchline::domain::outcome::{Outcome, Reason, SendResult};
use touchline::domain::time::SECOND;
use touchline::store::memory::MemoryStore;

const ROUTE: RouteId = RouteId(3);

fn dispatches(customers: std::ops::Range<i64>) -> Vec<Dispatch> {
    let one = |customer| Dispatch {
        touch: TouchKey { customer: CustomerId(customer), campaign: CampaignId(1), seq: 0 },
        route: ROUTE,
        channel: Channel::Sms,
        step: StepNo(0),
        attempt: 1,
        address: Address::new("+8613800138000"),
        message: None,
        parts: 1,
        attributes: None,
    };
    customers.map(one).collect()
}

/// Text messages, accepted after `accept`, delivered `after` that.
fn spec(accept: &str, after: &str) -> RouteSpec {
    let text = format!(
        "channels: [sms]\naccept: {{fixed: {accept}}}\noutcomes:\n  - {{disposition: delivered, share: 100%, told: receipt, after: {{fixed: {after}}}}}\n"
    );
    let profile = Some(ProfileRef::inline(serde_saphyr::from_str(&text).unwrap()).unwrap());
    RouteSpec { profile, ..RouteSpec::simulated("sms-test", Channel::Sms, Rate { count: 1_000, per_ms: SECOND }) }
}

/// Text messages whose result is told in the answer, `after` the sending.
fn told_at_once(after: &str) -> RouteSpec {
    let text = format!("channels: [sms]\noutcomes:\n  - {{disposition: delivered, share: 100%, after: {{fixed: {after}}}}}\n");
    let profile = Some(ProfileRef::inline(serde_saphyr::from_str(&text).unwrap()).unwrap());
    RouteSpec { profile, ..spec("0ms", "0ms") }
}

/// Events until `done` says so; fails after ten seconds.
async fn events_until(
    events: &mut UnboundedReceiver<Vec<CarrierEvent>>,
    done: impl Fn(&[Outcome], &[Receipt]) -> bool,
) -> (Vec<Outcome>, Vec<Receipt>) {
    let (mut outcomes, mut receipts) = (Vec::new(), Vec::new());
    let give_up = sleep_ms(10_000);
    tokio::pin!(give_up);
    while !done(&outcomes, &receipts) {
        let batch = tokio::select! {
            batch = events.recv() => batch.expect("the carrier holds its side"),
            () = &mut give_up => panic!("after 10 s: {} outcomes, {} receipts", outcomes.len(), receipts.len()),
        };
        for event in batch {
            match event {
                CarrierEvent::Outcome(o) => outcomes.push(o),
                CarrierEvent::Receipt(r) => receipts.push(r),
            }
        }
    }
    (outcomes, receipts)
}

fn assert_one_each(outcomes: &[Outcome], of: usize) {
    let touches: HashSet<_> = outcomes.iter().map(|o| o.touch).collect();
    assert_eq!((outcomes.len(), touches.len()), (of, of), "exactly one outcome for every dispatch");
}

struct Served {
    address: SocketAddr,
    task: JoinHandle<std::io::Result<()>>,
}

async fn serve(listen: SocketAddr, journal: &Path, spec: &RouteSpec) -> Served {
    let (ready, listening) = tokio::sync::oneshot::channel();
    let (journal, spec) = (journal.to_owned(), spec.clone());
    let task = tokio::spawn(async move { serve_carrier(listen, journal, spec, |address| ready.send(address).unwrap()).await });
    Served { address: listening.await.expect("the carrier listens"), task }
}

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn carrier_of(spec: &RouteSpec, seed: u64) -> Arc<dyn Carrier> {
    let tasks: Arc<dyn TaskSink> = Arc::new(StoreSink::new(Arc::new(MemoryStore::new())));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    build(spec, ROUTE, seed, &tasks, &clock)
}

fn remote(spec: &RouteSpec, address: SocketAddr) -> Arc<dyn Carrier> {
    let spec = RouteSpec { kind: RouteKind::RemoteSimulator, address: Some(address.to_string()), ..spec.clone() };
    assert_eq!(spec.check(), Vec::<String>::new());
    carrier_of(&spec, 0)
}

#[tokio::test]
async fn a_carrier_in_process_delivers_every_outcome_and_receipt_at_its_time() {
    let carrier = carrier_of(&spec("20ms", "60ms"), 5);
    let (reports, mut events) = unbounded_channel();
    let began = monotonic();
    for start in (0..2_000).step_by(500) {
        carrier.send(dispatches(start..start + 500), reports.clone()).await;
    }
    let (outcomes, receipts) = events_until(&mut events, |o, r| o.len() >= 2_000 && r.len() >= 2_000).await;
    assert!(began.elapsed().as_millis() >= 80);
    assert_one_each(&outcomes, 2_000);
    assert_eq!(receipts.len(), 2_000);
    let sent_at: HashMap<_, _> = outcomes.iter().map(|o| (o.touch, o.at)).collect();
    assert!(receipts.iter().all(|r| r.at.since(sent_at[&r.touch.unwrap()]) == 60));
    drop(reports);
    sleep_ms(30).await;
    assert!(events.try_recv().is_err(), "nothing comes twice");
}

#[tokio::test]
async fn a_sooner_event_does_not_wait_for_a_later_one() {
    let text = "channels: [call, sms]\noutcomes:\n  - {on: [sms], disposition: delivered, share: 50%, after: {fixed: 40ms}}\n  - {on: [sms], disposition: undelivered, share: 50%, after: {fixed: 1h}}\n  - {on: [call], disposition: answered, share: 100%}\n";
    let profile = Some(ProfileRef::inline(serde_saphyr::from_str(text).unwrap()).unwrap());
    let carrier = carrier_of(&RouteSpec { profile, ..spec("0ms", "0ms") }, 5);
    let (reports, mut events) = unbounded_channel();
    for dispatch in dispatches(0..100) {
        carrier.send(vec![dispatch], reports.clone()).await;
    }
    let (outcomes, _) = events_until(&mut events, |o, _| o.len() >= 30).await;
    assert!(outcomes.iter().all(|o| matches!(o.result, SendResult::Done { disposition: Reason::Delivered, .. })));
}

#[tokio::test]
async fn an_instant_carrier_answers_a_batch_with_a_batch() {
    let profile = Some(ProfileRef::shipped("instant").unwrap());
    let carrier = carrier_of(&RouteSpec { profile, ..spec("0ms", "0ms") }, 5);
    let (reports, mut events) = unbounded_channel();
    carrier.send(dispatches(0..10_000), reports).await;
    assert_eq!(events.try_recv().expect("answered before send returns").len(), 10_000);
    assert!(events.try_recv().is_err());
}

#[tokio::test]
async fn a_remote_carrier_answers_and_keeps_a_journal_without_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("carrier.jsonl");
    let spec = spec("5ms", "20ms");
    let served = serve(any_port(), &journal, &spec).await;
    let carrier = remote(&spec, served.address);
    assert_eq!((carrier.kind(), carrier.is_idempotent()), ("remote_simulator", false));
    let (reports, mut events) = unbounded_channel();
    carrier.send(dispatches(0..3_000), reports.clone()).await;
    carrier.send(dispatches(3_000..3_010), reports.clone()).await;
    let (outcomes, receipts) = events_until(&mut events, |o, r| o.len() >= 3_010 && r.len() >= 3_010).await;
    assert_one_each(&outcomes, 3_010);
    assert!(outcomes.iter().all(|o| matches!(o.result, SendResult::Accepted { .. })));
    assert!(receipts.iter().all(|r| r.route == ROUTE && r.disposition == Reason::Delivered));

    let lines = read_journal(&journal).unwrap();
    assert_eq!(lines.len(), 3_010);
    assert!(lines.iter().all(|l| l.sent && !l.duplicate));
    assert!(lines.is_sorted_by_key(|l| l.at));
    assert!(sends_by_touch(&lines).values().all(|n| *n == 1));
    assert!((3_000..=3_010).contains(&most_in_window(&lines, 10_000)));
    assert!(!std::fs::read_to_string(&journal).unwrap().contains("13800138000"), "law 7");

    // The same touches once more: a carrier that does not recognise them sends again, and says so in its journal.
    carrier.send(dispatches(0..10), reports).await;
    events_until(&mut events, |o, _| o.len() >= 10).await;
    let lines = read_journal(&journal).unwrap();
    assert_eq!(lines.iter().filter(|l| l.duplicate && l.sent).count(), 10);
    assert_eq!(sends_by_touch(&lines).values().filter(|n| **n == 2).count(), 10);
}

#[tokio::test]
async fn without_a_carrier_nothing_was_sent_and_a_later_try_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("carrier.jsonl");
    let spec = told_at_once("0ms");
    // A port that was free a moment ago.
    let address = TcpListener::bind(any_port()).await.unwrap().local_addr().unwrap();
    let carrier = remote(&spec, address);
    let (reports, mut events) = unbounded_channel();
    carrier.send(dispatches(0..50), reports.clone()).await;
    let (outcomes, _) = events_until(&mut events, |o, _| o.len() >= 50).await;
    assert_one_each(&outcomes, 50);
    let again =
        |o: &Outcome| if let SendResult::NotSent { reason: Reason::NotSent, again_at } = o.result { Some(again_at.since(o.at)) } else { None };
    assert!(outcomes.iter().all(|o| again(o).is_some_and(|ms| (0..=100).contains(&ms))), "{:?}", outcomes[0]);

    let _served = serve(address, &journal, &spec).await;
    sleep_ms(120).await;
    carrier.send(dispatches(0..50), reports).await;
    let (outcomes, _) = events_until(&mut events, |o, _| o.len() >= 50).await;
    assert!(outcomes.iter().all(|o| matches!(o.result, SendResult::Done { disposition: Reason::Delivered, .. })));
    assert!(read_journal(&journal).unwrap().iter().all(|l| !l.duplicate));
}

#[tokio::test]
async fn a_broken_connection_leaves_what_was_written_unknown() {
    // A peer that reads one line, answers one dispatch of it, and is gone.
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let carrier = remote(&spec("0ms", "0ms"), listener.local_addr().unwrap());
    let peer = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (read, mut write) = stream.split();
        let mut line = String::new();
        BufReader::new(read).read_line(&mut line).await.unwrap();
        let touch = TouchKey { customer: CustomerId(0), campaign: CampaignId(1), seq: 0 };
        let at = touchline::domain::time::Timestamp(1);
        let answer = CarrierEvent::Outcome(Outcome { touch, at, result: SendResult::Refused { reason: Reason::ProviderRefused } });
        let text = format!("{}\n", serde_json::json!({"events": [answer]}));
        tokio::io::AsyncWriteExt::write_all(&mut write, text.as_bytes()).await.unwrap();
        sleep_ms(50).await;
    });
    let (reports, mut events) = unbounded_channel();
    carrier.send(dispatches(0..20), reports.clone()).await;
    let (outcomes, _) = events_until(&mut events, |o, _| o.len() >= 20).await;
    peer.await.unwrap();
    assert_one_each(&outcomes, 20);
    let unknown = outcomes.iter().filter(|o| o.result == SendResult::Unknown { reason: Reason::Interrupted }).count();
    let refused = outcomes.iter().filter(|o| matches!(o.result, SendResult::Refused { .. })).count();
    assert_eq!((unknown, refused), (19, 1));

    // Nobody listens any more: what comes now was never written.
    carrier.send(dispatches(100..105), reports).await;
    let (outcomes, _) = events_until(&mut events, |o, _| o.len() >= 5).await;
    assert!(outcomes.iter().all(|o| matches!(o.result, SendResult::NotSent { .. })), "{outcomes:?}");
}

#[tokio::test]
async fn a_large_batch_cut_off_in_the_middle_has_one_outcome_each() {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let carrier = remote(&spec("0ms", "0ms"), listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut some = vec![0; 300_000];
        stream.read_exact(&mut some).await.unwrap();
        drop(listener);
    });
    let (reports, mut events) = unbounded_channel();
    let attributes: Arc<str> = format!(r#"{{"note":"{}"}}"#, "x".repeat(1_000)).into();
    let batch: Vec<_> = dispatches(0..20_000).into_iter().map(|d| Dispatch { attributes: Some(attributes.clone()), ..d }).collect();
    carrier.send(batch, reports).await;
    let (outcomes, _) = events_until(&mut events, |o, _| o.len() >= 20_000).await;
    sleep_ms(50).await;
    assert!(events.try_recv().is_err());
    assert_one_each(&outcomes, 20_000);
    let not_sent = outcomes.iter().filter(|o| matches!(o.result, SendResult::NotSent { .. })).count();
    let unknown = outcomes.iter().filter(|o| matches!(o.result, SendResult::Unknown { .. })).count();
    assert!(not_sent > 0 && unknown > 0 && not_sent + unknown == 20_000, "{not_sent} not sent, {unknown} unknown");
    // 300 kB hold at most some 240 of these dispatches, and all of them were written: none may count as not sent.
    assert!(outcomes.iter().filter(|o| o.touch.customer.0 < 200).all(|o| matches!(o.result, SendResult::Unknown { .. })));
}

#[tokio::test]
async fn the_carrier_remembers_across_its_clients_crash_and_tells_the_next_client() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("carrier.jsonl");
    let spec = told_at_once("300ms");
    let served = serve(any_port(), &journal, &spec).await;

    // The first client sends and is gone before any answer.
    {
        let lines = serde_json::json!({"batch": dispatches(0..25)});
        let mut stream = tokio::net::TcpStream::connect(served.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, format!("{lines}\n").as_bytes()).await.unwrap();
        sleep_ms(50).await;
    }
    // The next one learns by receipts what came of it, and its own dispatches are answered as ever.
    sleep_ms(100).await;
    let carrier = remote(&spec, served.address);
    let (reports, mut events) = unbounded_channel();
    carrier.send(Vec::new(), reports.clone()).await;
    let (outcomes, receipts) = events_until(&mut events, |_, r| r.len() >= 25).await;
    assert!(outcomes.is_empty());
    let touches: HashSet<_> = receipts.iter().map(|r| (r.touch.unwrap(), r.disposition, r.route)).collect();
    assert_eq!(touches.len(), 25);
    assert!(touches.iter().all(|(_, d, r)| *d == Reason::Delivered && *r == ROUTE));
    carrier.send(dispatches(100..110), reports).await;
    let (outcomes, _) = events_until(&mut events, |o, _| o.len() >= 10).await;
    assert_one_each(&outcomes, 10);
    assert_eq!(sends_by_touch(&read_journal(&journal).unwrap()).len(), 35);
}

#[tokio::test]
async fn an_idempotent_carrier_gets_it_again_and_sends_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("carrier.jsonl");
    let spec = RouteSpec { idempotent: true, ..told_at_once("250ms") };
    let served = serve(any_port(), &journal, &spec).await;
    let carrier = remote(&spec, served.address);
    assert!(carrier.is_idempotent());
    let (reports, mut events) = unbounded_channel();
    carrier.send(dispatches(0..40), reports).await;
    sleep_ms(80).await;
    // The carrier itself is restarted: it knows from its journal what it has sent.
    served.task.abort();
    let _ = served.task.await;
    let _again = serve(served.address, &journal, &spec).await;
    let (outcomes, _) = events_until(&mut events, |o, _| o.len() >= 40).await;
    assert_one_each(&outcomes, 40);
    assert!(outcomes.iter().all(|o| matches!(o.result, SendResult::Done { disposition: Reason::Delivered, .. })), "{:?}", outcomes[0]);
    let lines = read_journal(&journal).unwrap();
    assert_eq!(lines.len(), 80);
    assert_eq!(lines.iter().filter(|l| l.duplicate).count(), 40);
    assert!(sends_by_touch(&lines).values().all(|n| *n == 1), "recognised, so sent once");
}

#[tokio::test]
async fn a_stranger_on_the_line_is_sent_off() {
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("carrier.jsonl");
    let served = serve(any_port(), &journal, &spec("0ms", "0ms")).await;
    let mut stream = tokio::net::TcpStream::connect(served.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let end = tokio::select! {
        end = stream.read_to_end(&mut rest) => end.is_ok() || rest.is_empty(),
        () = sleep_ms(5_000) => false,
    };
    assert!(end, "the carrier ends the connection");
    assert!(read_journal(&journal).unwrap().is_empty());
    // And it goes on serving.
    let carrier = remote(&spec("0ms", "0ms"), served.address);
    let (reports, mut events) = unbounded_channel();
    carrier.send(dispatches(0..3), reports).await;
    events_until(&mut events, |o, _| o.len() >= 3).await;
}
