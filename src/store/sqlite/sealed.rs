//! Sealed columns in SQLite: a sealed value is a BLOB, and TEXT is a value from before 0006 that has not been sealed yet.
use super::fault::unknown;
use super::open::Options;
use super::packed::{Columns, unquoted};
use crate::domain::ids::CustomerId;
use crate::store::sealing::{self, Field, Sealer};
use crate::store::{StoreError, StoreResult};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, TypeInfo, ValueRef};
use std::path::Path;

pub(super) const PHONE: Field = Field { table: "customer", column: "phone" };
pub(super) const EMAIL: Field = Field { table: "customer", column: "email" };
pub(super) const PUSH: Field = Field { table: "customer", column: "push" };
pub(super) const ATTRIBUTES: Field = Field { table: "customer", column: "attributes" };

pub(super) const SCRIPT: Field = Field { table: "task", column: "script" };
pub(super) const NOTES: Field = Field { table: "task", column: "notes" };
pub(super) const DETAIL: Field = Field { table: "checkpoint", column: "detail" };

pub(super) const RAW: Field = Field { table: "dead_letter", column: "raw" };

/// What a dead letter holds. One from before it was sealed stands as it came, which is no sealed value: it does not begin with its version.
pub(super) fn raw(sealer: &Sealer, value: Vec<u8>) -> StoreResult<Vec<u8>> {
    if Sealer::key_of(&value).is_some() { sealer.open_bytes(RAW, 0, &value) } else { Ok(value) }
}

/// A sealed column of a row that was not packed.
pub(super) fn cell(row: &SqliteRow, column: usize, sealer: &Sealer, field: Field, customer: CustomerId) -> StoreResult<Option<String>> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(None);
    }
    if value.type_info().name() == "TEXT" {
        return Ok(row.try_get(column)?);
    }
    sealer.open(field, customer.0, row.try_get(column)?).map(Some)
}

/// SQL condition: the column holds an open text (other than `nothing`), or is sealed under another key than the one bound as ?1.
pub(super) fn stale(column: &str, nothing: &str) -> String {
    format!("((typeof({column})='text' AND {column}<>'{nothing}') OR (typeof({column})='blob' AND substr({column},2,4)<>?1))")
}

/// SQL expression that packs a sealed column: hexadecimal digits, or a quoted text from before; empty for NULL.
pub(super) fn packed(column: &str) -> String {
    format!("iif(typeof({column})='blob',hex({column}),iif({column} IS NULL,'',json_quote({column})))")
}

/// Opens the next column of a packed row, written by [`packed`]; NULL and empty are `None`.
pub(super) fn open(sealer: &Sealer, field: Field, customer: CustomerId, row: &mut Columns<'_>) -> StoreResult<Option<String>> {
    let text = row.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with('"') {
        return unquoted(text).map(Some);
    }
    let bytes = bytes_of(text).ok_or_else(|| unknown("a sealed value", "that is not written in hexadecimal digits"))?;
    sealer.open(field, customer.0, &bytes).map(Some)
}

/// The value of each hexadecimal digit as SQLite writes it; 0xff: no digit.
#[allow(clippy::indexing_slicing, reason = "worked out by the compiler, which would not build a wrong index")]
const DIGITS: [u8; 256] = {
    let mut digits = [0xff; 256];
    let mut n = 0;
    while n < 16 {
        digits[b"0123456789ABCDEF"[n] as usize] = n as u8;
        n += 1;
    }
    digits
};

/// A plain loop over a table: every page of members comes through here, and in a debug build closures cost ten times this.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = Vec::with_capacity(pairs.len());
    for [high, low] in pairs {
        let (high, low) = (*DIGITS.get(usize::from(*high))?, *DIGITS.get(usize::from(*low))?);
        if (high | low) & 0xf0 != 0 {
            return None;
        }
        bytes.push(high << 4 | low);
    }
    Some(bytes)
}

/// Opens the database's secret with the keys given, which tells a wrong or missing key before anything is read or written. A database
/// that has no secret yet gets one.
pub(super) async fn unlock(conn: &mut SqliteConnection, path: &Path, options: &Options) -> StoreResult<Sealer> {
    const ASK: &str = "SELECT secret FROM sealing";
    let mut sealed: Option<Vec<u8>> = sqlx::query_scalar(ASK).fetch_optional(&mut *conn).await?;
    if sealed.is_none() && options.read_only {
        return Err(StoreError::Unusable("the personal data in this database are not sealed yet; run `touchline migrate` first".to_owned()));
    }
    let ring = sealing::keys_for(path, &options.keys, sealed.is_none())?;
    if sealed.is_none() {
        let secret = sealing::seal_secret(&ring, &sealing::new_secret()?)?;
        // Whoever was first has set it; the second takes what stands.
        sqlx::query("INSERT OR IGNORE INTO sealing (id, secret) VALUES (1, ?)").bind(secret).execute(&mut *conn).await?;
        sealed = sqlx::query_scalar(ASK).fetch_optional(&mut *conn).await?;
        let before: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM customer)").fetch_one(conn).await?;
        if before {
            tracing::warn!(
                "the customers in this database are from a version that did not seal personal data; `touchline keys rotate` seals them, also while the database is in use"
            );
        }
    }
    let secret = sealing::open_secret(&ring, &sealed.ok_or_else(|| unknown("the table `sealing`", "without its row"))?)?;
    Ok(Sealer::new(ring, &secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_read_as_sqlite_writes_them() {
        assert_eq!(bytes_of("00FF1a"), None, "SQLite writes capitals");
        assert_eq!(bytes_of("00FF1A"), Some(vec![0, 255, 26]));
        assert_eq!(bytes_of("0"), None);
    }
}
