//! SQLite's errors in our words. Its messages name tables and columns, never values, so nothing personal passes through.
use crate::store::StoreError;
use sqlx::migrate::MigrateError;

/// The extended result code; `None` when it is not SQLite that spoke.
fn code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(code) = code(&error) else {
            return Self::Backend(error.to_string());
        };
        let said = error.as_database_error().map(|e| e.message().to_owned()).unwrap_or_default();
        // SQLITE_IOERR_SHMSIZE: the index of the log could not grow, which a full disk refuses first.
        if code == 4874 {
            return Self::Full(said);
        }
        // The low byte is the primary code.
        match code & 0xff {
            // SQLITE_FULL
            13 => Self::Full(said),
            // SQLITE_BUSY, SQLITE_LOCKED
            5 | 6 => Self::Backend(format!(
                "{said}: another process has been writing to this database for more than 10 s; wait until it is done, or end it, and run the command again"
            )),
            // SQLITE_CORRUPT, SQLITE_NOTADB
            11 | 26 => Self::Unusable(format!("{said}: this file is no SQLite database, or it is damaged; name another file, or restore a backup")),
            // SQLITE_READONLY
            8 => Self::Backend(format!("{said}: the database file or its folder may not be written; change their permissions")),
            // SQLITE_IOERR
            10 => Self::Backend(format!(
                "{said}: the disk could not be read or written; look at the system's log, at quotas and at limits of file sizes, then run the command again"
            )),
            // SQLITE_CANTOPEN
            14 => Self::Backend(format!("{said}: check that the folder is there and may be written")),
            // SQLITE_CONSTRAINT
            19 => Self::Conflict(format!("the database refuses this row: {said}")),
            _ => Self::Backend(said),
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(version) => newer(version),
            MigrateError::VersionMismatch(version) => Self::Unusable(format!(
                "migration {version} of this database is another one than this program's of that number: it was made by another build; use that build"
            )),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::Backend(format!("the database could not be brought up to date: {other}")),
        }
    }
}

/// The refusal of a database that a newer program has written.
pub(super) fn newer(version: i64) -> StoreError {
    StoreError::Unusable(format!(
        "this database is of version {version}, newer than this program knows; use the newer touchline, an older one would not keep its rules"
    ))
}

/// A stored value outside of what the program knows: only a foreign hand or a newer program writes such.
pub(super) fn unknown(what: &str, found: impl std::fmt::Display) -> StoreError {
    StoreError::Unusable(format!("the database holds {what} {found}, which this program does not know; run `touchline doctor`"))
}
