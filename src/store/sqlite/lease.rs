//! Who may send: a lock that the operating system gives back when its holder dies, a fencing number, and a mark beside the
//! database by which a restored or copied one is told.
//!
//! Every begin of a real run counts up `meta.ledger_seq` in its transaction and writes the number to `PATH.mark` after the commit, without waiting
//! for the disk. A power cut can leave the mark behind the database, never ahead of it (the database is synced at each commit). So
//! a mark that is ahead, of another database, or missing though touches were begun, means that this is not the database
//! that sent last. (A copy of database and mark together to another place cannot be told from the original by this.)
use super::SqliteStore;
use crate::domain::time::Timestamp;
use crate::store::{LeaseTable, StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// What the sender holds.
pub(super) struct Held {
    /// Locked as long as it is open.
    lock: File,
    mark: File,
    uuid: String,
    fence: i64,
    /// The highest number written to the mark.
    marked: i64,
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn io(what: &'static str, path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    let path = path.display().to_string();
    move |error| match error.kind() {
        std::io::ErrorKind::StorageFull => StoreError::Full(format!("{what} {path}")),
        _ => StoreError::Backend(format!("{what} {path} failed: {error}; check that the folder may be written")),
    }
}

/// Takes the lock, or says who has it.
fn lock(path: &Path) -> StoreResult<File> {
    let path = beside(path, ".lock");
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io("opening the lock file", &path))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(io("writing the lock file", &path))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let _ = file.read_to_string(&mut owner);
            let owner = if owner.trim().is_empty() { "another process".to_owned() } else { format!("the process {}", owner.trim()) };
            Err(StoreError::Fenced(format!(
                "{owner} is sending from this database, and only one may; give the command to it, or end it and try again (imports and reports need not wait)"
            )))
        }
        Err(TryLockError::Error(error)) => Err(io("locking", &path)(error)),
    }
}

/// What the mark says: the database's uuid and its number; `None` when there is no mark.
fn read_mark(path: &Path) -> StoreResult<Option<(String, i64)>> {
    let path = beside(path, ".mark");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let mut words = text.split_whitespace();
            // A mark that cannot be read counts as one of another database: it is never taken for a good one.
            let uuid = words.next().unwrap_or_default().to_owned();
            Ok(Some((uuid, words.next().and_then(|n| n.parse().ok()).unwrap_or(i64::MAX))))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io("reading the mark", &path)(error)),
    }
}

/// Why this is not the database that sent last; `None`: it is.
fn suspicion(mark: Option<(String, i64)>, uuid: &str, ledger_seq: i64) -> Option<String> {
    match mark {
        None if ledger_seq == 0 => None,
        None => Some(format!("its mark file is missing, though it has begun {ledger_seq} batches of touches")),
        Some((marked, _)) if marked != uuid => Some("its mark file belongs to another database".into()),
        Some((_, n)) if n > ledger_seq => Some(format!("it knows {ledger_seq} batches of touches, its mark file {n}")),
        Some(_) => None,
    }
}

impl Held {
    fn write(&mut self, ledger_seq: i64) -> std::io::Result<()> {
        // Fixed width: a torn write cannot leave digits of a longer number behind.
        let text = format!("{} {ledger_seq:020}\n", self.uuid);
        self.mark.seek(SeekFrom::Start(0))?;
        self.mark.write_all(text.as_bytes())
    }
}

/// Counts a begin, of the sender of this fencing number.
pub(super) async fn count_begin(conn: &mut SqliteConnection, fence: i64) -> StoreResult<i64> {
    let counted: Option<i64> = sqlx::query_scalar("UPDATE meta SET ledger_seq = ledger_seq + 1 WHERE fence = ? AND held = 1 RETURNING ledger_seq")
        .bind(fence)
        .fetch_optional(conn)
        .await?;
    counted.ok_or_else(|| stale(fence))
}

/// Refuses a stale fencing number.
pub(super) async fn check(conn: &mut SqliteConnection, fence: i64) -> StoreResult<()> {
    let held: bool = sqlx::query_scalar("SELECT fence = ? AND held = 1 FROM meta").bind(fence).fetch_one(conn).await?;
    if held { Ok(()) } else { Err(stale(fence)) }
}

fn stale(fence: i64) -> StoreError {
    StoreError::Fenced(format!("the right to send numbered {fence} has been taken over or given back; this process must stop sending"))
}

impl SqliteStore {
    /// Writes the mark after a begin was committed.
    pub(super) fn mark(&self, ledger_seq: i64) -> StoreResult<()> {
        let Ok(mut lease) = self.lease.lock() else { return Ok(()) };
        let Some(held) = lease.as_mut() else { return Ok(()) };
        // Two begins may come here in the other order.
        if ledger_seq > held.marked {
            held.write(ledger_seq).map_err(io("writing the mark of", &self.path))?;
            held.marked = ledger_seq;
        }
        Ok(())
    }
}

#[async_trait]
impl LeaseTable for SqliteStore {
    async fn acquire(&self, accept_restored: bool, at: Timestamp) -> StoreResult<i64> {
        let mut writer = self.writer.lock().await;
        if self.lease.lock().is_ok_and(|lease| lease.is_some()) {
            return Err(StoreError::Fenced("this process is sending from the database already; release its right to send first".into()));
        }
        let lock = lock(&self.path)?;
        let mut writing = writer.begin().await?;
        let row = sqlx::query("SELECT store_uuid, ledger_seq FROM meta").fetch_one(&mut *writing.tx).await?;
        let (mut uuid, ledger_seq): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
        if let Some(why) = suspicion(read_mark(&self.path)?, &uuid, ledger_seq) {
            if !accept_restored {
                return Err(StoreError::Unusable(format!(
                    "this looks like a restored or copied database: {why}. Touches that were made since are unknown to it, and it would \
                     make them again. It refuses to send until `touchline doctor --accept-restored`; reports and exports work"
                )));
            }
            // From here on it is a database of its own.
            uuid = sqlx::query_scalar("UPDATE meta SET store_uuid = lower(hex(randomblob(16))) RETURNING store_uuid")
                .fetch_one(&mut *writing.tx)
                .await?;
        }
        let fence: i64 = sqlx::query_scalar("UPDATE meta SET fence = fence + 1, held = 1, acquired_at = ? RETURNING fence")
            .bind(at.0)
            .fetch_one(&mut *writing.tx)
            .await?;
        // Pages read before belong to senders that are gone; should one come back, its customers are all read again.
        sqlx::query("UPDATE meta SET change_floor = coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'contactability_change'), 0)")
            .execute(&mut *writing.tx)
            .await?;
        sqlx::query("DELETE FROM contactability_change").execute(&mut *writing.tx).await?;
        writing.commit().await?;
        let path = beside(&self.path, ".mark");
        let mark = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(io("opening the mark", &path))?;
        let mut held = Held { lock, mark, uuid, fence, marked: ledger_seq };
        held.write(ledger_seq).map_err(io("writing the mark of", &self.path))?;
        if let Ok(mut lease) = self.lease.lock() {
            *lease = Some(held);
        }
        Ok(fence)
    }

    async fn held(&self) -> StoreResult<Option<i64>> {
        Ok(self.lease.lock().ok().and_then(|lease| lease.as_ref().map(|held| held.fence)))
    }

    async fn release(&self, fence: i64) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        check(&mut writing.tx, fence).await?;
        sqlx::query("UPDATE meta SET held = 0").execute(&mut *writing.tx).await?;
        writing.commit().await?;
        if let Ok(mut lease) = self.lease.lock()
            && let Some(held) = lease.take()
        {
            let _ = held.mark.sync_all();
            drop(held.lock);
        }
        Ok(())
    }
}
