//! Tests that need the store's own connection.
use super::*;
use crate::domain::outcome::Reason;
use crate::domain::touch::State;
use crate::store::conformance::kit::{self, T0, bed};
use crate::store::{CampaignBook, CustomerBook, StoreError, TouchLedger};

async fn scratch(folder: &tempfile::TempDir) -> SqliteStore {
    SqliteStore::open_with(&folder.path().join("bank.db"), Options { create: true, durable: false, ..Options::default() }).await.unwrap()
}

#[tokio::test]
async fn it_does_what_every_store_must_do() {
    let folder = tempfile::tempdir().unwrap();
    let n = std::sync::atomic::AtomicUsize::new(0);
    crate::store::conformance::run_all(async || {
        let path = folder.path().join(format!("{}.db", n.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        let options = Options { create: true, durable: false, ..Options::default() };
        Box::new(SqliteStore::open_with(&path, options).await.unwrap()) as Box<dyn Store>
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_half_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = scratch(&folder).await;
    let bed = bed(&store, 3_000).await;
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut store.writer.lock().await.conn).await.unwrap();
    let limit = async |pages: i64| {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(sql).execute(&mut store.writer.lock().await.conn).await.unwrap();
    };
    limit(pages + 4).await;
    let (mut full, mut begun) = (None, 0);
    while full.is_none() {
        let (candidates, seen) = bed.first_timers(bed.run, 400).await;
        assert!(!candidates.is_empty(), "the disk was to fill up before the list ended");
        let request = bed.request(bed.run, T0, candidates, seen);
        let (run, route) = (bed.run, bed.route);
        match store.begin(request, &mut |c, _| Some(kit::begun_of(c, run, route, T0))).await {
            Ok(batch) => begun += batch.written.len(),
            Err(error) => full = Some(error),
        }
        assert_eq!(store.scan(bed.run, None, 10_000).await.unwrap().len(), begun, "whole batches alone");
        assert_eq!(store.tallies(bed.run).await.unwrap(), store.recount(bed.run).await.unwrap());
    }
    let error = full.unwrap();
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    let many: Vec<_> = (10_000..14_000).map(kit::person).collect();
    assert!(matches!(store.put_customers(&many, None).await, Err(StoreError::Full(_))));
    assert_eq!(store.customer_count().await.unwrap(), 3_000);
    // With room again it goes on from where it stood.
    limit(1_000_000).await;
    assert_eq!(bed.start(400, T0).await.written.len(), 400);
    assert_eq!(store.scan(bed.run, None, 10_000).await.unwrap().len(), begun + 400);
}

#[tokio::test]
async fn a_transaction_that_sqlite_has_ended_by_itself_does_not_bar_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let store = scratch(&folder).await;
    for _ in 0..3 {
        let mut writer = store.writer.lock().await;
        let mut writing = writer.begin().await.unwrap();
        sqlx::query("UPDATE meta SET fence = fence + 1").execute(&mut *writing.tx).await.unwrap();
        // What a full log does to it: sqlx knows nothing of it, and its own rollback finds nothing to end.
        sqlx::query("ROLLBACK").execute(&mut *writing.tx).await.unwrap();
    }
    let people: Vec<_> = (0..10).map(kit::person).collect();
    store.put_customers(&people, None).await.unwrap();
    assert_eq!(store.customer_count().await.unwrap(), 10);
    let fence: i64 = sqlx::query_scalar("SELECT fence FROM meta").fetch_one(&mut store.writer.lock().await.conn).await.unwrap();
    assert_eq!(fence, 0);
}

#[tokio::test]
async fn the_ordinary_touch_passes_through_no_secondary_index() {
    let folder = tempfile::tempdir().unwrap();
    let store = scratch(&folder).await;
    let bed = bed(&store, 50).await;
    let pages = async || -> Vec<(String, i64)> {
        sqlx::query_as(
            "SELECT name, sum(ncell) FROM dbstat WHERE name IN ('touch_scheduled', 'touch_uncertain', 'awaiting') GROUP BY name ORDER BY name",
        )
        .fetch_all(&mut store.writer.lock().await.conn)
        .await
        .unwrap()
    };
    let empty = pages().await;
    let begun = bed.start(50, T0).await;
    assert_eq!(pages().await, empty);
    let settled: Vec<_> = begun.written.iter().map(|(_, t)| kit::ended(t, State::Reached, Reason::Answered, T0)).collect();
    bed.record(&settled).await;
    assert_eq!(pages().await, empty);
}

#[tokio::test]
async fn the_plans_of_the_hot_statements_search_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let store = scratch(&folder).await;
    let bed = bed(&store, 600).await;
    let begun = bed.start(600, T0).await;
    let settled: Vec<_> = begun.written.iter().map(|(_, t)| kit::ended(t, State::Reached, Reason::Answered, T0)).collect();
    bed.record(&settled).await;
    let mut writer = store.writer.lock().await;
    let Writer { conn, texts, .. } = &mut *writer;
    let settles: Vec<_> = texts.iter().filter(|((name, ..), _)| *name == "touch settle").map(|(_, text)| text.clone()).collect();
    assert!(!settles.is_empty());
    for text in settles {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(&mut *conn).await.unwrap();
        let plan: Vec<&str> = plan.iter().map(|(.., step)| step.as_str()).collect();
        assert!(plan.iter().any(|s| s.contains("SEARCH touch USING PRIMARY KEY (customer_id=? AND campaign_id=? AND seq=?)")), "{plan:?}");
    }
}

/// What sealing and the blind index cost, in one run: `cargo test --lib what_sealing_costs -- --ignored --nocapture`. In an optimised build the
/// shares of the cipher and of the digits are far smaller than in a debug build; those of SQLite are the same.
#[tokio::test]
#[ignore = "a measurement"]
async fn what_sealing_costs() {
    const N: usize = 60_000;
    let folder = tempfile::tempdir().unwrap();
    let store = scratch(&folder).await;
    let customers: Vec<_> = (1..=N).map(kit::person).collect();
    let timed = |what: &str, begun: std::time::Instant| println!("{what}: {:.0} rows/s", N as f64 / begun.elapsed().as_secs_f64());
    let begun = crate::clock::monotonic();
    for batch in customers.chunks(20_000) {
        store.put_customers(batch, None).await.unwrap();
    }
    timed("import, sealed and indexed", begun);
    let begun = crate::clock::monotonic();
    for (n, customer) in customers.iter().enumerate() {
        let row =
            crate::store::CustomerRow { phone: customer.phone.clone(), ..crate::store::merge::blank(crate::domain::ids::CustomerId(n as i64), "") };
        put_customers::SealedValues::of(&store.sealer, &row).unwrap();
    }
    timed("sealing one value a row", begun);
    sqlx::query("DELETE FROM contact_hash").execute(&mut store.writer.lock().await.conn).await.unwrap();
    let begun = crate::clock::monotonic();
    for (n, batch) in customers.chunks(20_000).enumerate() {
        let mut writer = store.writer.lock().await;
        let mut writing = writer.begin().await.unwrap();
        let mut hashes = contact_hash::Changes::new(&store.sealer);
        for (i, customer) in batch.iter().enumerate() {
            let id = crate::domain::ids::CustomerId((n * 20_000 + i + 1) as i64);
            hashes.of(id, (None, None), (customer.phone.as_ref(), customer.email.as_ref()));
        }
        hashes.write(&mut writing).await.unwrap();
        writing.commit().await.unwrap();
    }
    timed("the blind index alone, phone and e-mail", begun);
    let ids: Vec<_> = (1..=N as i64).map(crate::domain::ids::CustomerId).collect();
    let needs = crate::store::Needs { phone: true, ..Default::default() };
    let begun = crate::clock::monotonic();
    assert_eq!(store.members(&ids, needs).await.unwrap().len(), N);
    timed("reading the telephone, sealed", begun);
    sqlx::query("UPDATE customer SET phone = '+8613800' || id").execute(&mut store.writer.lock().await.conn).await.unwrap();
    let begun = crate::clock::monotonic();
    assert_eq!(store.members(&ids, needs).await.unwrap().len(), N);
    timed("reading the telephone, open", begun);
}
