//! What is SQLite's own beyond the conformance suite: files, versions, processes, crashes, the database's own checks.
#![allow(clippy::unwrap_used)]
use futures_util::FutureExt;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentState, Purpose};
use touchline::domain::ids::CampaignId;
use touchline::domain::outcome::Reason;
use touchline::domain::tally::closed_sum;
use touchline::domain::touch::State;
use touchline::store::conformance::kit::{self, T0, bed};
use touchline::store::sealing::key_file_beside;
use touchline::store::sqlite::{Options, SqliteStore};
use touchline::store::{CampaignBook, ConsentList, CustomerBook, LeaseTable, Store, StoreError, TouchLedger};

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn fresh(path: &Path) -> SqliteStore {
    SqliteStore::open(path, true).await.unwrap()
}

#[tokio::test]
async fn the_checks_of_the_database_know_the_states_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    fresh(&path).await.close().await.unwrap();
    let mut conn = raw(&path).await;
    let sql: String = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE name = 'touch'").fetch_one(&mut conn).await.unwrap();
    let list = sql.split_once("CHECK (state IN (").unwrap().1.split_once(')').unwrap().0;
    let codes: Vec<u16> = list.split(',').map(|code| code.trim().parse().unwrap()).collect();
    let states: Vec<u16> = State::ALL.iter().filter(|s| **s != State::Pending).map(|s| s.code()).collect();
    assert_eq!(codes, states, "every state but pending, which has no row, is in the CHECK of the table");
    // And each state keeps what it needs: (state, reason, due, started) as the CHECKs want them, and one thing wrong.
    let insert = "INSERT INTO touch VALUES (1, 1, ?, 0, 1, 1, 1, 0, ?, ?, 0, ?, ?, NULL, 0, 0, 1, 0, NULL, NULL)";
    let mut seq = 0;
    for state in State::ALL.iter().copied().filter(|s| *s != State::Pending) {
        let (reason, due, started) = match state {
            State::Scheduled => (400, Some(1), None),
            State::Started => (0, None, Some(1)),
            State::Reached => (1, None, Some(1)),
            State::Missed => (20, None, Some(1)),
            State::Uncertain => (40, None, Some(1)),
            State::Refused => (200, None, None),
            State::Suppressed => (100, None, None),
            State::HeldOut => (120, None, None),
            State::Expired | State::Cancelled => (300, None, None),
            State::Pending => unreachable!(),
        };
        for (good, reason, started) in
            [(true, reason, started), (false, 999, started), (false, reason, if started.is_some() { None } else { Some(1) })]
        {
            if reason == 999 && matches!(state, State::Started | State::Scheduled) {
                continue; // These two bear any reason.
            }
            seq += 1;
            let done = sqlx::query(insert).bind(seq).bind(i64::from(state.code())).bind(reason).bind(due).bind(started).execute(&mut conn).await;
            assert_eq!(done.is_ok(), good, "{state} with reason {reason} and start {started:?}: {done:?}");
        }
    }
}

#[tokio::test]
async fn files_that_are_not_ours_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = SqliteStore::open(&folder.path().join("nowhere.db"), false).await.err().unwrap();
    assert!(matches!(&missing, StoreError::Unusable(_)) && missing.to_string().contains("touchline migrate"), "{missing}");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a database ".repeat(1_000)).unwrap();
    let error = SqliteStore::open(&text, true).await.err().unwrap();
    assert!(matches!(error, StoreError::Unusable(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&text).unwrap().len(), 15_000, "a foreign file is left as it is");
    let other = folder.path().join("other.db");
    let mut conn = SqliteConnectOptions::new().filename(&other).create_if_missing(true).connect().await.unwrap();
    sqlx::query("CREATE TABLE theirs (a)").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let error = SqliteStore::open(&other, true).await.err().unwrap();
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("another program")), "{error}");
    let error = SqliteStore::open(folder.path(), true).await.err().unwrap();
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("folder")), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    fresh(&path).await.close().await.unwrap();
    let mut conn = raw(&path).await;
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)")
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    for read_only in [false, true] {
        let error = SqliteStore::open_with(&path, Options { read_only, ..Options::default() }).await.err().unwrap();
        assert!(matches!(&error, StoreError::Unusable(why) if why.contains("9999") && why.contains("newer")), "{error}");
    }
}

#[tokio::test]
async fn a_read_only_store_reads_and_refuses_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = fresh(&path).await;
    kit::people(&store, 3).await;
    let reading = SqliteStore::open_with(&path, Options { read_only: true, ..Options::default() }).await.unwrap();
    assert_eq!(reading.customer_count().await.unwrap(), 3);
    assert!(reading.put_customers(&[kit::person(9)], None).await.is_err());
    assert_eq!(store.customer_count().await.unwrap(), 3);
}

#[tokio::test]
async fn a_begin_that_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = fresh(&folder.path().join("bank.db")).await;
    let bed = bed(&store, 200).await;
    // Given up after each number of polls: somewhere in each statement of the transaction.
    for polls in 1..40 {
        let (candidates, seen) = bed.first_timers(bed.run, 100).await;
        let request = bed.request(bed.run, T0, candidates, seen);
        let (run, route) = (bed.run, bed.route);
        let mut decide = |c: &touchline::store::Candidate, _: touchline::store::ContactFacts<'_>| {
            Some(kit::started(touchline::domain::ids::TouchKey { customer: c.member.id, campaign: run, seq: 0 }, route, T0))
        };
        let mut begin = Box::pin(store.begin(request, &mut decide));
        let mut done = false;
        for _ in 0..polls {
            if begin.as_mut().now_or_never().is_some() {
                done = true;
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(begin);
        // A commit that was on its way when it was given up is over once the connection has done something else.
        store.rest().await.unwrap();
        let written = store.scan(bed.run, None, 1_000).await.unwrap().len();
        let cursor = store.campaign_by_id(bed.run).await.unwrap().cursor;
        if done || written > 0 {
            assert_eq!((written, cursor.0), (100, 100), "all of the batch and its cursor, or nothing");
            return;
        }
        assert_eq!(cursor.0, 0);
        assert_eq!(store.tallies(bed.run).await.unwrap(), store.recount(bed.run).await.unwrap());
    }
}

/// Not a test: what the child processes of the tests below do. Without the variable it does nothing.
#[tokio::test]
async fn child() {
    let Ok(path) = std::env::var("TOUCHLINE_TEST_CHILD") else { return };
    let store = SqliteStore::open(Path::new(&path), true).await.unwrap();
    let bed = bed(&store, 20_000).await;
    println!("acquired {}", bed.fence);
    let mut batches = 0;
    loop {
        let (candidates, seen) = bed.first_timers(bed.run, 50).await;
        if candidates.is_empty() {
            break;
        }
        let begun = bed.start_these(bed.run, candidates, seen, T0).await;
        println!("begun {batches}");
        // Every third batch stays unsettled: its touches are in flight when the process is killed.
        if batches % 3 != 2 {
            let settled: Vec<_> = begun.written.iter().map(|(_, touch)| kit::ended(touch, State::Reached, Reason::Answered, T0)).collect();
            store.record(bed.fence, &settled, &[begun.batch.unwrap()]).await.unwrap();
        }
        batches += 1;
    }
}

fn child_at(path: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env("TOUCHLINE_TEST_CHILD", path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_killed_sender_leaves_a_closed_sum_and_its_lock() {
    for kill_after in [1, 7, 30] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bank.db");
        let mut child = child_at(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.by_ref().any(|line| line.contains("acquired")), "the child begins");
        let store = SqliteStore::open(&path, false).await.unwrap();
        // While it lives it is the only sender, and is named; imports of others go on.
        let error = store.acquire(false, T0).await.unwrap_err();
        assert!(matches!(&error, StoreError::Fenced(why) if why.contains(&child.id().to_string())), "{error}");
        store.put_customers(&[kit::person(50_001)], None).await.unwrap();
        assert!(lines.by_ref().any(|line| line.contains(&format!("begun {kill_after}"))), "the child works");
        child.kill().unwrap();
        child.wait().unwrap();
        let fence = store.acquire(false, T0).await.unwrap();
        assert_eq!(fence, 2, "the operating system gave the lock back");
        let run = CampaignId(1);
        let tallies = store.tallies(run).await.unwrap();
        assert_eq!(tallies, store.recount(run).await.unwrap());
        closed_sum(20_000, &tallies).unwrap();
        let rows = store.scan(run, None, 100_000).await.unwrap();
        let in_flight: Vec<_> = rows.iter().filter(|t| t.state == State::Started).map(|t| t.key).collect();
        let orphans: Vec<_> =
            store.orphans(fence, false, 100_000).await.unwrap().into_iter().flat_map(|(_, touches)| touches).map(|t| t.key).collect();
        assert_eq!(orphans, in_flight, "what was in flight is found, no more and no less");
        assert!(!rows.is_empty() && rows.len() % 50 == 0, "whole batches, found {}", rows.len());
        assert_eq!(store.campaign_by_id(run).await.unwrap().cursor, rows.last().unwrap().key.customer);
    }
}

#[tokio::test]
async fn a_restored_copy_refuses_to_send_until_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let copy = folder.path().join("copy.db");
    let store = fresh(&path).await;
    let bed = bed(&store, 20).await;
    let (fence, run, route) = (bed.fence, bed.run, bed.route);
    let begin = async |store: &SqliteStore, fence: i64| {
        let bed = kit::Bed { store, fence, run, list: bed.list, route, ids: bed.ids.clone() };
        let (candidates, seen) = bed.first_timers(run, 5).await;
        bed.start_these(run, candidates, seen, T0).await
    };
    begin(&store, fence).await;
    store.release(fence).await.unwrap();
    store.close().await.unwrap();
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(key_file_beside(&path), key_file_beside(&copy)).unwrap();
    // The original goes on: a clean stop and start is no restoration.
    let store = SqliteStore::open(&path, false).await.unwrap();
    let fence = store.acquire(false, T0).await.unwrap();
    begin(&store, fence).await;
    store.release(fence).await.unwrap();
    store.close().await.unwrap();
    // The copy elsewhere has no mark.
    let store = SqliteStore::open(&copy, false).await.unwrap();
    let error = store.acquire(false, T0).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("doctor --accept-restored") && why.contains("missing")), "{error}");
    assert_eq!(store.scan(run, None, 100).await.unwrap().len(), 5, "it can be read");
    drop(store);
    // The copy in place of the original: the mark is ahead.
    std::fs::copy(&copy, &path).unwrap();
    let store = SqliteStore::open(&path, false).await.unwrap();
    let error = store.acquire(false, T0).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("restored or copied") && why.contains('2')), "{error}");
    let fence = store.acquire(true, T0).await.unwrap();
    begin(&store, fence).await;
    store.release(fence).await.unwrap();
    let fence = store.acquire(false, T0).await.unwrap();
    store.release(fence).await.unwrap();
    store.close().await.unwrap();
    // And what was adopted is another database from then on.
    std::fs::copy(&copy, &path).unwrap();
    let store = SqliteStore::open(&path, false).await.unwrap();
    let error = store.acquire(false, T0).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("another database")), "{error}");
}

#[tokio::test]
async fn a_page_read_before_the_sender_took_over_is_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = fresh(&folder.path().join("bank.db")).await;
    let bed = bed(&store, 3).await;
    let (candidates, seen) = bed.first_timers(bed.run, 3).await;
    let withdrawn = kit::consent(Channel::Call, ConsentState::Withdrawn, T0);
    store.put_consents(&[(kit::reference(2), withdrawn)], None).await.unwrap();
    store.release(bed.fence).await.unwrap();
    let fence = store.acquire(false, T0).await.unwrap();
    let request = touchline::store::BeginRequest { fence, ..bed.request(bed.run, T0, candidates, seen) };
    let mut consents = Vec::new();
    store
        .begin(request, &mut |c, facts| {
            consents.push(facts.contactability.consent(Channel::Call, Purpose::Marketing));
            Some(kit::begun_of(c, bed.run, bed.route, T0))
        })
        .await
        .unwrap();
    assert_eq!(consents, [ConsentState::Unknown, ConsentState::Withdrawn, ConsentState::Unknown]);
}

#[tokio::test]
async fn the_raw_limit_is_measured_and_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let (insert, update) = touchline::store::sqlite::bench::raw_limit(folder.path(), 12_345).await.unwrap();
    assert!(insert > 0.0 && update > 0.0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Small writes share a transaction: what is refused is undone by itself, and nobody else's write goes with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_come_together_stand_or_fall_each_by_itself() {
    use touchline::domain::audit::Entry;
    use touchline::domain::ids::CustomerId;
    use touchline::domain::time::Timestamp;
    use touchline::domain::worklist::{NewTask, TaskEvent, TaskKind};
    use touchline::store::{AuditBook, AuditFilter, TaskBook};
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(SqliteStore::open(&folder.path().join("t.sqlite"), true).await.unwrap());
    let new = |n: i64| NewTask {
        key: format!("k{n}"),
        kind: TaskKind::HandedOver,
        customer: CustomerId(n + 1),
        touch: None,
        title: "together".into(),
        script: None,
        language: None,
        skill: None,
        priority: 5,
        wanted_rm: None,
        branch: None,
        due_at: Timestamp(0),
        expires_at: None,
        at: Timestamp(0),
    };
    let made = store.make_tasks(&(0..60).map(new).collect::<Vec<_>>()).await.unwrap();
    let first = made.first().unwrap().0.version;
    // Two change each task on the version that both have read: one of them wins. Beside them the audit log grows by as many entries.
    let mut under_way = tokio::task::JoinSet::new();
    for (n, (task, _)) in made.into_iter().enumerate() {
        for who in ["a", "b"] {
            let (store, mut task) = (std::sync::Arc::clone(&store), task.clone());
            task.rm = Some(who.to_owned());
            under_way.spawn(async move {
                let changed = store.change_tasks(&[(task, vec![TaskEvent::new("assigned", who, "", Timestamp(1))])]).await;
                let entry = Entry {
                    at: Timestamp(1),
                    actor: who.to_owned(),
                    token: None,
                    operation: "test".to_owned(),
                    target: n.to_string(),
                    outcome: "200".to_owned(),
                };
                store.append_audit(&[entry]).await.unwrap();
                changed
            });
        }
    }
    let ends: Vec<_> = under_way.join_all().await;
    let won = ends.iter().filter(|end| end.is_ok()).count();
    assert_eq!((won, ends.len()), (60, 120), "one of the two wins each task");
    assert!(ends.iter().all(|end| matches!(end, Ok(()) | Err(StoreError::Conflict(_)))), "{ends:?}");
    for n in 1..=60 {
        let id = touchline::domain::ids::TaskId(n);
        let (task, history) = (store.task(id).await.unwrap().unwrap(), store.task_history(id).await.unwrap());
        let assigned = history.iter().filter(|e| e.what == "assigned").count();
        assert_eq!((task.version, assigned), (first + 1, 1), "task {n}: the loser's history is undone with it: {history:?}");
    }
    let entries = store.audit(&AuditFilter { limit: 1_000, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(entries.len(), 120);
    assert!(entries.windows(2).all(|w| w[1].number == w[0].number + 1), "numbered without a gap");
}
