//! A store of the version before four eyes, with runs in it, is brought up to date without losing a row or an index.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use std::path::Path;
use touchline::domain::ids::CampaignId;
use touchline::domain::law::Rule;
use touchline::domain::time::Timestamp;
use touchline::store::sqlite::SqliteStore;
use touchline::store::*;

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

/// Every row of a table as JSON, by the columns that the version before knew.
async fn rows(conn: &mut SqliteConnection, table: &str, columns: &[String]) -> Vec<String> {
    let listed = columns.join(", ");
    let sql = format!("SELECT json_array({listed}) FROM {table} ORDER BY 1");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(conn).await.unwrap()
}

async fn columns(conn: &mut SqliteConnection, table: &str) -> Vec<String> {
    let found = sqlx::query(AssertSqlSafe(format!("PRAGMA table_info({table})"))).fetch_all(conn).await.unwrap();
    found.iter().map(|row| row.get::<String, _>(1)).collect()
}

#[tokio::test]
async fn every_row_and_index_of_the_version_before_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let before = folder.path().join("before");
    std::fs::create_dir(&before).unwrap();
    let first = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite/0001_house.sql");
    std::fs::copy(first, before.join("0001_house.sql")).unwrap();
    let path = folder.path().join("bank.db");
    let mut conn = raw(&path).await;
    Migrator::new(before.as_path()).await.unwrap().run_direct(None, &mut conn, false).await.unwrap();
    let fill = "
        INSERT INTO list (id, name, opened_at, members, checksum, frozen_at) VALUES (1, 'all', 1, 2, 'cafe', 2);
        INSERT INTO campaign VALUES (1, 'spring', 0, 1, 'text one', 'h1', 4, 0, 1, 1, 2, 'cafe', 'CNY', 0, 9, NULL, 302, 50, 10, 20, 60);
        INSERT INTO campaign VALUES (2, 'spring', 0, 2, 'text two', 'h2', 3, 1, 1, 1, 2, 'cafe', 'CNY', 2, 1, NULL, NULL, NULL, 70, 80, NULL);
        INSERT INTO campaign VALUES (-1, 'spring', 1, 1, 'text two', 'h2', 5, 2, 1, 1, 2, 'cafe', 'CNY', NULL, 2, 301, 301, 40, 30, 30, 40);
        INSERT INTO campaign_history (campaign_id, status, by, why, at, reason) VALUES (1, 0, 'ann', 'submitted', 10, NULL), (1, 1, 'bob', 'ok', 11, NULL),
          (2, 0, 'cy', 'submitted', 70, NULL), (-1, 0, 'rehearsal', 'submitted', 30, NULL), (-1, 5, 'op', 'enough', 40, 301);
        INSERT INTO rule VALUES (2, 0, 'none', 'none', 'no rule applied', ''), (2, 1, 'cn-bank@2026.1', 'cap', 'one a day', 'a notice');
        INSERT INTO wave VALUES (2, 80, 80, 5);
        INSERT INTO campaign_tally VALUES (2, 1, 1, 1);
        UPDATE meta SET last_run = 2, last_rehearsal = -1;";
    sqlx::raw_sql(fill).execute(&mut conn).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
        .fetch_all(&mut conn)
        .await
        .unwrap();
    let indexes = "SELECT tbl_name || '.' || name FROM sqlite_schema WHERE type = 'index' ORDER BY 1";
    let indexes_before: Vec<String> = sqlx::query_scalar(indexes).fetch_all(&mut conn).await.unwrap();
    let mut kept = Vec::new();
    for table in tables.into_iter().filter(|t| t != "_sqlx_migrations") {
        let columns = columns(&mut conn, &table).await;
        let rows = rows(&mut conn, &table, &columns).await;
        kept.push((table, columns, rows));
    }
    conn.close().await.unwrap();

    let store = SqliteStore::open(&path, false).await.unwrap();
    let run = store.campaign("spring", None).await.unwrap();
    assert_eq!(
        (run.id, run.version, run.revision, run.status, run.wanted, run.emergency),
        (CampaignId(2), 2, 0, Status::Paused, Wanted::Pause, false)
    );
    assert_eq!((run.cursor.0, run.started_at, run.label().as_str()), (1, Some(Timestamp(80)), "2"));
    let authors: Vec<String> = store.texts(run.id).await.unwrap().into_iter().map(|t| format!("{} {}", t.by, t.source)).collect();
    assert_eq!(authors, ["cy text two"], "whoever handed a run in is its author");
    assert!(store.approvals(run.id).await.unwrap().is_empty(), "nobody has signed its list and policy");
    let rule = Rule { preset: "cn-bank@2026.1".into(), name: "cap".into(), text: "one a day".into(), source: "a notice".into() };
    assert_eq!(store.rules(run.id).await.unwrap()[1], rule);
    // The statuses that the table had no room for.
    let draft = NewDraft { name: "x".into(), source: "x".into(), hash: "x".into(), currency: run.currency, by: "ann".into(), at: Timestamp(90) };
    assert_eq!(store.draft_campaign(&draft).await.unwrap().id, CampaignId(3), "numbers go on");
    let away = StatusChange { to: Status::Archived, by: "op".into(), why: "tidy".into(), at: Timestamp(91), reason: None };
    assert_eq!(store.set_status(CampaignId(1), &away).await.unwrap().finished_at, Some(Timestamp(60)));
    store.close().await.unwrap();

    let mut conn = raw(&path).await;
    sqlx::raw_sql("DELETE FROM campaign WHERE id = 3; DELETE FROM campaign_history WHERE n > 5; UPDATE campaign SET status = 4 WHERE id = 1; UPDATE meta SET last_run = 2")
        .execute(&mut conn)
        .await
        .unwrap();
    for (table, columns, before) in kept {
        assert_eq!(rows(&mut conn, &table, &columns).await, before, "{table}");
    }
    let indexes_after: Vec<String> = sqlx::query_scalar(indexes).fetch_all(&mut conn).await.unwrap();
    let lost: Vec<_> = indexes_before.iter().filter(|i| !indexes_after.contains(i)).collect();
    assert!(lost.is_empty(), "{lost:?} not in {indexes_after:?}");
    let checks: String = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE name = 'campaign'").fetch_one(&mut conn).await.unwrap();
    let most = Status::ALL.iter().map(|s| s.code()).max().unwrap();
    assert!(checks.contains(&format!("CHECK (status BETWEEN 0 AND {most})")), "every status, and no more: {checks}");
}
