//! The same simulations over SQLite: the machines, the virtual time and the provider are those of `world`, the ledger is a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::sync::{Arc, Mutex};
use support::*;
use touchline::actors::world::{Delay, End, World};
use touchline::domain::campaign::Campaign;
use touchline::domain::channel::Channel;
use touchline::domain::expression::Expression;
use touchline::domain::ids::StepNo;
use touchline::domain::time::{DAY, MINUTE, Timestamp};
use touchline::domain::touch::State;
use touchline::store::sqlite::{Options, SqliteStore};
use touchline::store::{CampaignBook, Store};

fn journey() -> Campaign {
    campaign("filed", |c| {
        let mut follow = step("follow-up", Channel::Sms);
        follow.after = Some(StepNo(0));
        follow.when = Some(Expression::compile(r#"outcome == "no_answer" || state == "reached""#).unwrap());
        follow.wait_ms = DAY;
        c.steps.push(follow);
        let mut beside = step("task", Channel::Worklist);
        beside.wait_ms = MINUTE;
        c.steps.push(beside);
        c.audience.holdout_ppm = 100_000;
        c.schedule.cron = Some("0 0 10 * * *".to_owned());
        c.schedule.wave = Some(15);
    })
}

const CHANNELS: [Channel; 3] = [Channel::Call, Channel::Sms, Channel::Worklist];

/// What dies here is the process, not the machine: nothing need wait for the disk.
async fn open(file: &Path) -> SqliteStore {
    SqliteStore::open_with(file, Options { create: true, durable: false, ..Options::default() }).await.unwrap()
}

/// One process over the file, from taking the lease to its end or its kill after `limit` steps.
async fn process(file: &Path, script: Script, memory: &Arc<Mutex<Memory>>, at: Timestamp, limit: Option<u64>, delay: Option<Delay>) -> End {
    let store: Arc<dyn Store> = Arc::new(open(file).await);
    let campaigns = [journey()];
    let routes = routes(store.as_ref(), &CHANNELS).await;
    let setup = setup(Arc::clone(&store), &campaigns, &routes, at).await;
    let mut world = World::new(&setup, carriers(&routes, script, memory), at);
    if let Some(delay) = delay {
        world = world.with_slow_store(delay);
    }
    let end = world
        .run(limit, async |_, step| {
            assert!(step < 50_000, "seed {}: no end in sight", script.seed);
            if step % 40 == 0 {
                sums_close(store.as_ref(), script.seed).await;
            }
        })
        .await;
    sums_close(store.as_ref(), script.seed).await;
    end
}

async fn sums_close(store: &dyn Store, seed: u64) {
    let row = store.campaign("filed", Some(false)).await.unwrap();
    let kept = store.tallies(row.id).await.unwrap();
    assert_eq!(kept, store.recount(row.id).await.unwrap(), "seed {seed}: tallies against rows");
    touchline::domain::tally::closed_sum(row.audience, &kept).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
}

async fn new_file(folder: &Path, customers: usize) -> std::path::PathBuf {
    let file = folder.join("ledger.db");
    let store = open(&file).await;
    bank(&store, customers).await;
    enter(&store, &journey()).await;
    file
}

async fn all_closed(file: &Path, memory: &Mutex<Memory>, what: &str) {
    let store = open(file).await;
    let row = store.campaign("filed", Some(false)).await.unwrap();
    let counts = store.tallies(row.id).await.unwrap().customers(row.audience);
    for open in [State::Pending, State::Scheduled, State::Started] {
        assert_eq!(counts[&open], 0, "{what}: left {open}");
    }
    memory.lock().unwrap().nobody_twice();
}

#[tokio::test]
async fn a_campaign_over_a_file_breaks_no_law_and_no_sum() {
    for seed in seeds(3) {
        let folder = tempfile::tempdir().unwrap();
        let file = new_file(folder.path(), 60).await;
        let memory = Arc::default();
        let delay = (seed > 1).then(|| delays(seed, 60));
        let end = process(&file, Script::rough(seed), &memory, START, None, delay).await;
        assert!(matches!(end, End::Done(_)), "seed {seed}: {end:?}");
        all_closed(&file, &memory, &format!("seed {seed}")).await;
    }
}

#[tokio::test]
async fn a_kill_after_any_step_over_a_file_repeats_and_loses_nobody() {
    for (i, n) in [1, 9, 17, 26, 33, 41, 58, 71, 90, 120, 160, 210].into_iter().enumerate() {
        let seed = u64::try_from(i).unwrap() + 1;
        let folder = tempfile::tempdir().unwrap();
        let file = new_file(folder.path(), 20).await;
        let memory = Arc::default();
        let script = Script { latency_ms: 5_000, ..Script::rough(seed) };
        let end = process(&file, script, &memory, START, Some(n), None).await;
        let End::Cut(died_at) = end else { panic!("killed after step {n}: {end:?}") };
        let end = process(&file, script, &memory, died_at.plus(MINUTE), None, None).await;
        assert!(matches!(end, End::Done(_)), "killed after step {n}: {end:?}");
        all_closed(&file, &memory, &format!("killed after step {n}")).await;
    }
}
