//! Reading many rows: SQLite joins the columns of up to [`ROWS`] rows into one text, which is split here. sqlx copies each column of each
//! row onto the heap and sends each row through a channel; one packed text costs a fraction of it (docs/performance.md).
//!
//! Columns end with 0x1f and rows with 0x1e. Text that may hold any character is written by [`quoted`] as a JSON string, in which
//! control characters are escaped.
use super::fault::unknown;
use crate::store::StoreResult;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

/// SQL that packs the columns of `columns` (expressions) of the rows of `select` (a FROM clause onwards, with its order and limit).
pub(super) fn pack(columns: &[&str], select: &str) -> String {
    let columns = columns.join(",char(31),");
    format!("SELECT group_concat(r,char(30)) FROM (SELECT concat({columns}) AS r {select})")
}

/// SQL expression of a text column, quoted; NULL is empty.
pub(super) fn quoted(column: &str) -> String {
    format!("iif({column} IS NULL,'',json_quote({column}))")
}

/// Runs a packed query.
pub(super) async fn fetch(conn: &mut SqliteConnection, sql: std::sync::Arc<str>, arguments: SqliteArguments) -> StoreResult<String> {
    let row = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch_one(conn).await?;
    Ok(row.try_get::<Option<String>, _>(0)?.unwrap_or_default())
}

/// The rows of a packed text.
pub(super) fn rows(text: &str) -> impl Iterator<Item = Columns<'_>> {
    text.split('\u{1e}').filter(|row| !row.is_empty()).map(|row| Columns { rest: Some(row) })
}

/// The columns of one row, from left to right.
pub(super) struct Columns<'a> {
    rest: Option<&'a str>,
}

impl<'a> Columns<'a> {
    /// The next column; empty for NULL.
    pub fn text(&mut self) -> StoreResult<&'a str> {
        let rest = self.rest.ok_or_else(|| unknown("a row", "with a column too few"))?;
        // A byte search: both separators are one byte, and no byte of a longer character equals them.
        let column = match rest.as_bytes().iter().position(|b| *b == 0x1f) {
            Some(at) => {
                self.rest = rest.get(at + 1..);
                rest.get(..at)
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        };
        column.ok_or_else(|| unknown("a row", "that cannot be split"))
    }
    /// An integer.
    pub fn int(&mut self) -> StoreResult<i64> {
        let text = self.text()?;
        integer(text).ok_or_else(|| unknown("a number", format!("of {} bytes", text.len())))
    }
    /// An integer that may be NULL.
    pub fn maybe_int(&mut self) -> StoreResult<Option<i64>> {
        let text = self.text()?;
        if text.is_empty() { Ok(None) } else { integer(text).map(Some).ok_or_else(|| unknown("a number", format!("of {} bytes", text.len()))) }
    }
    /// Text as it is; NULL and empty are `None`.
    pub fn maybe_text(&mut self) -> StoreResult<Option<&'a str>> {
        Ok(Some(self.text()?).filter(|text| !text.is_empty()))
    }
    /// Text written by [`quoted`].
    pub fn maybe_quoted(&mut self) -> StoreResult<Option<String>> {
        let text = self.text()?;
        if text.is_empty() { Ok(None) } else { unquoted(text).map(Some) }
    }
}

/// A text without its quotes.
pub(super) fn unquoted(text: &str) -> StoreResult<String> {
    // Most text has nothing to unescape.
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).filter(|t| !t.contains('\\'));
    match inner {
        Some(inner) => Ok(inner.to_owned()),
        None => serde_json::from_str(text).map_err(|_| unknown("a text", "that is not quoted as it should be")),
    }
}

/// Decimal digits with a sign; the standard parser handles the far ends of the range.
fn integer(text: &str) -> Option<i64> {
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if digits.is_empty() || digits.len() > 18 {
        return text.parse().ok();
    }
    let mut n = 0_i64;
    for byte in digits.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n * 10 + i64::from(digit);
    }
    Some(if negative { -n } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_back_as_they_were_packed() {
        let text = "1\u{1f}\u{1f}\"a\\u001fb\"\u{1e}-9223372036854775808\u{1f}7\u{1f}\"plain\"";
        let mut all = rows(text);
        let mut row = all.next().unwrap();
        assert_eq!((row.int().unwrap(), row.maybe_int().unwrap(), row.maybe_quoted().unwrap()), (1, None, Some("a\u{1f}b".into())));
        assert!(row.text().is_err(), "a row has no more columns than were packed");
        let mut row = all.next().unwrap();
        assert_eq!((row.int().unwrap(), row.maybe_int().unwrap(), row.maybe_quoted().unwrap()), (i64::MIN, Some(7), Some("plain".into())));
        assert!(all.next().is_none());
        assert_eq!((integer("12x"), integer(""), integer("-"), integer("-15")), (None, None, None, Some(-15)));
    }
}
