//! The embedded store: one SQLite file in WAL mode, one writing connection and a few reading ones.
//!
//! The ledger's rows are clustered by customer and no secondary index covers what the ordinary touch passes through; the hot
//! path (`begin`, `record`) is multi-row statements in one transaction each. SQL that only SQLite speaks is here on purpose:
//! each store is written for its database and held to the same conformance suite.
mod access;
mod answers;
mod approvals;
mod audit;
mod batches;
mod begin;
pub mod bench;
mod bulk;
mod call_off;
mod campaigns;
mod consents;
mod contact_hash;
mod contactable;
mod contacts;
mod corrections;
mod customers;
mod erase;
mod exports;
mod facts;
mod fault;
mod holds;
mod inbox;
mod lease;
mod ledger;
mod lists;
mod members;
mod open;
mod outbox;
mod packed;
mod privacy;
mod put_customers;
mod receipts;
mod record;
mod reports;
mod revisions;
mod rows;
mod seal_anew;
mod sealed;
mod sums;
mod tasks;
mod together;
mod tombstone;
mod wishes;

use super::sealing::Sealer;
use super::{Store, StoreResult};
use crate::domain::consent::Purpose;
use bulk::Texts;
pub use open::Options;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;

/// A store in one SQLite file.
pub struct SqliteStore {
    path: PathBuf,
    writer: Mutex<Writer>,
    together: together::Together,
    readers: SqlitePool,
    /// Seals and opens personal data; other files of this folder bind `sealer.seal(FIELD, customer, text)` into BLOB columns.
    sealer: Arc<Sealer>,
    /// The lock and the mark, while this process is the sender.
    lease: std::sync::Mutex<Option<lease::Held>>,
    /// Purposes of campaigns, which never change once set: contact histories speak of many campaigns.
    purposes: std::sync::Mutex<HashMap<i64, Purpose>>,
}

/// The one connection that writes.
struct Writer {
    conn: SqliteConnection,
    settings: SqliteConnectOptions,
    texts: Texts,
}

/// A write transaction. Dropped without a commit (an error, a future that was given up) it is rolled back.
struct Writing<'a> {
    tx: Transaction<'a, Sqlite>,
    texts: &'a mut Texts,
}

impl Writer {
    async fn begin(&mut self) -> StoreResult<Writing<'_>> {
        if self.conn.is_in_transaction() {
            // A transaction given up before has its rollback queued: behind this it is done.
            self.conn.ping().await?;
            // On a full disk SQLite rolls back by itself, the rollback that follows finds nothing to end, and sqlx counts the
            // transaction as open for ever. Nothing of it is in the file: a new connection goes on from the last commit.
            if self.conn.is_in_transaction() {
                self.conn = SqliteConnection::connect_with(&self.settings).await?;
            }
        }
        let Self { conn, texts, .. } = self;
        // IMMEDIATE: the write lock is waited for here, not in the middle of the work, where it could only fail.
        Ok(Writing { tx: conn.begin_with("BEGIN IMMEDIATE").await?, texts })
    }
}

impl Writing<'_> {
    async fn commit(self) -> StoreResult<()> {
        Ok(self.tx.commit().await?)
    }
}

impl SqliteStore {
    /// Opens the store of a file, bringing it up to date; `create`: makes it where there is none.
    /// `NotFound` without a file, `Unusable` for a file that is not ours or of a newer program.
    pub async fn open(path: &Path, create: bool) -> StoreResult<Self> {
        open::open(path, Options { create, ..Options::default() }).await
    }
    /// Opens with other options.
    pub async fn open_with(path: &Path, options: Options) -> StoreResult<Self> {
        open::open(path, options).await
    }
    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Ends all connections, the log being merged into the file: afterwards the file alone is the whole database.
    pub async fn close(self) -> StoreResult<()> {
        self.readers.close().await;
        self.writer.into_inner().conn.close().await?;
        Ok(())
    }
    async fn reader(&self) -> StoreResult<PoolConnection<Sqlite>> {
        Ok(self.readers.acquire().await?)
    }
}

#[async_trait::async_trait]
impl Store for SqliteStore {
    fn kind(&self) -> &'static str {
        "sqlite"
    }
    /// Passive: it waits for nobody, and leaves to the next what a reader still needs.
    async fn rest(&self) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut writer.conn).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
