//! Opening: connections and their settings, what kind of file it is, migrations.
use super::fault::newer;
use super::{SqliteStore, Writer, sealed};
use crate::store::sealing::KeySource;
use crate::store::{StoreError, StoreResult};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");

/// `TLNE`, set by the first migration.
const APPLICATION_ID: i64 = 1_414_284_869;

/// How long a connection waits for another process's write.
const BUSY: Duration = Duration::from_secs(10);

/// Pages of 8 KiB that the log grows to before it is merged into the file: 64 MiB.
const CHECKPOINT_PAGES: &str = "8192";

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Make the file where there is none.
    pub create: bool,
    /// Wait for the disk at every commit: what law 1 needs. Without it the disk is waited for when the log is merged into the file: a
    /// power cut may take back the last commits, never spoil the file. For rehearsals, which contact nobody.
    pub durable: bool,
    /// Write nothing; the file must be of this program's version already.
    pub read_only: bool,
    /// Page cache of the writing connection, in MiB; each of the three reading ones has a quarter of it.
    pub cache_mib: u32,
    /// Where the keys are that open the personal data.
    pub keys: KeySource,
}

impl Default for Options {
    fn default() -> Self {
        Self { create: false, durable: true, read_only: false, cache_mib: 24, keys: KeySource::Beside }
    }
}

pub(super) async fn open(path: &Path, options: Options) -> StoreResult<SqliteStore> {
    if !path.exists() {
        if !options.create || options.read_only {
            return Err(StoreError::Unusable(format!(
                "the database {} does not exist; name the right one with --store sqlite:PATH, or make it with `touchline migrate`",
                path.display()
            )));
        }
        if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| StoreError::Backend(format!("the folder {} could not be made: {e}", folder.display())))?;
        }
    } else if path.is_dir() {
        return Err(StoreError::Unusable(format!("expected a database file, found a folder: {}; name a file in it", path.display())));
    }
    let writing = settings(path, &options, options.cache_mib);
    let mut writer = SqliteConnection::connect_with(&writing).await?;
    prepare(&mut writer, path, &options).await?;
    let sealer = Arc::new(sealed::unlock(&mut writer, path, &options).await?);
    let readers = SqlitePoolOptions::new()
        .max_connections(3)
        .test_before_acquire(false)
        // A full pool is waited for: the engine bounds how much it asks at once. (A pool's timeout also fires under paused time.)
        .acquire_timeout(Duration::from_secs(3600))
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(settings(path, &Options { create: false, read_only: true, ..options.clone() }, options.cache_mib.div_ceil(4)));
    Ok(SqliteStore {
        path: path.to_owned(),
        writer: Mutex::new(Writer { conn: writer, settings: writing, texts: HashMap::new() }),
        together: super::together::Together::default(),
        readers,
        sealer,
        lease: std::sync::Mutex::new(None),
        purposes: std::sync::Mutex::new(HashMap::new()),
    })
}

/// What a connection is set to.
pub(super) fn settings(path: &Path, options: &Options, cache_mib: u32) -> SqliteConnectOptions {
    let settings = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(options.create)
        .busy_timeout(BUSY)
        // Order is enforced in one transaction each; references are ours and rows are never deleted under them.
        .foreign_keys(false)
        .statement_cache_capacity(160)
        .pragma("cache_size", format!("-{}", u64::from(cache_mib) * 1024))
        .pragma("temp_store", "MEMORY")
        // Bulk statements are tens of thousands of characters: a log of slow ones would drown everything else.
        .disable_statement_logging();
    if options.read_only {
        // Not the read-only open of SQLite: a reader of a database in WAL mode must be able to make its shared index.
        settings.pragma("query_only", "1")
    } else {
        settings
            .page_size(8192)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(if options.durable { SqliteSynchronous::Full } else { SqliteSynchronous::Normal })
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .pragma("journal_size_limit", "67108864")
            // What is deleted or replaced is overwritten with zeros: an erased number is in no free page (it stays in the log until that
            // is merged and written anew, which `erase` and `keys rotate` ask for).
            .pragma("secure_delete", "ON")
    }
}

/// Looks at what the file is, and brings it up to date.
async fn prepare(conn: &mut SqliteConnection, path: &Path, options: &Options) -> StoreResult<()> {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *conn).await?;
    let application: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *conn).await?;
    let migrated: bool = sqlx::query_scalar("SELECT count(*) > 0 FROM sqlite_schema WHERE name = '_sqlx_migrations'").fetch_one(&mut *conn).await?;
    if tables > 0 && application != APPLICATION_ID && !migrated {
        return Err(StoreError::Unusable(format!("{} is the database of another program; name another file", path.display())));
    }
    let ours = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    let theirs: i64 =
        if migrated { sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations").fetch_one(&mut *conn).await? } else { 0 };
    if theirs > ours {
        return Err(newer(theirs));
    }
    if options.read_only {
        if theirs < ours {
            return Err(StoreError::Unusable(format!(
                "this database is of version {theirs}, this program of version {ours}; run `touchline migrate` first"
            )));
        }
        return Ok(());
    }
    // Also when the versions agree: a migration changed afterwards is told by its hash.
    MIGRATIONS.run_direct(None, conn, false).await?;
    Ok(())
}
