//! Bulk statements: multi-row VALUES in fixed chunk sizes, so that their prepared forms stay in sqlx's cache, with the columns
//! that are the same in every row of a call bound once. Measured: a statement a row writes 93,000 rows/s, this 740,000
//! (docs/performance.md).
use crate::store::StoreResult;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqliteConnection};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// One value of a row to be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    /// NULL.
    Null,
    /// Integers, instants and codes.
    Int(i64),
    /// Text.
    Text(&'a str),
    /// Bytes: what is sealed.
    Bytes(&'a [u8]),
}

impl From<i64> for Cell<'_> {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}
impl From<Option<i64>> for Cell<'_> {
    fn from(n: Option<i64>) -> Self {
        n.map_or(Self::Null, Self::Int)
    }
}
impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}
impl<'a> From<Option<&'a str>> for Cell<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

/// A bulk statement over rows of `N` columns.
pub(super) struct Form<const N: usize> {
    /// Its name in the cache of texts.
    pub name: &'static str,
    /// Sets of columns that are bound row by row, narrowest first, each a bit mask; the last holds every column. The first
    /// that covers what differs is taken: few sets, so few prepared statements, and none large for the sake of a rare row.
    pub tiers: &'static [u32],
    /// Writes the statement.
    pub text: fn(&Slots) -> String,
}

/// Where the parameters of a statement stand.
pub(super) struct Slots {
    columns: usize,
    varying: u32,
    rows: usize,
}

impl Slots {
    fn varies(&self, column: usize) -> bool {
        self.varying >> column & 1 == 1
    }
    /// A constant column's parameter. Per-row parameters come first and have no name: sqlx finds a named one by its number, and
    /// SQLite's search for a name is linear in the named ones alone.
    fn constant(&self, column: usize) -> String {
        let per_row = (0..self.columns).filter(|c| self.varies(*c)).count();
        let before = (0..column).filter(|c| !self.varies(*c)).count();
        format!("${}", per_row * self.rows + before + 1)
    }
    /// `(?, $9, ?), (...), ...` with all columns: for an INSERT.
    pub fn all_columns(&self) -> String {
        let row: Vec<String> = (0..self.columns).map(|c| if self.varies(c) { "?".to_owned() } else { self.constant(c) }).collect();
        vec![format!("({})", row.join(",")); self.rows].join(",")
    }
    /// `(?, ?), ...` with the columns that vary, which [`Self::column`] then names: for an UPDATE ... FROM.
    pub fn varying_columns(&self) -> String {
        let row: Vec<&str> = (0..self.columns).filter(|c| self.varies(*c)).map(|_| "?").collect();
        vec![format!("({})", row.join(",")); self.rows].join(",")
    }
    /// A column of the row at hand: `v.column2`, or the parameter of a constant.
    pub fn column(&self, column: usize) -> String {
        if self.varies(column) {
            let mut name = String::from("v.column");
            let _ = write!(name, "{}", (0..=column).filter(|c| self.varies(*c)).count());
            name
        } else {
            self.constant(column)
        }
    }
}

/// Texts of bulk statements by form, varying columns and rows: what sqlx's statement cache is keyed by.
pub(super) type Texts = HashMap<(&'static str, u32, usize), Arc<str>>;

/// Rows a statement, largest first. 500 rows of 27 columns are 13,500 parameters, of 32,766 that SQLite allows.
const CHUNKS: [usize; 5] = [500, 100, 20, 4, 1];

/// Writes `rows` by `form`; returns how many rows SQLite says were changed.
pub(super) async fn write<const N: usize>(
    conn: &mut SqliteConnection,
    texts: &mut Texts,
    form: &Form<N>,
    rows: &[[Cell<'_>; N]],
) -> StoreResult<u64> {
    let Some(first) = rows.first() else {
        return Ok(0);
    };
    let mut differs = 0_u32;
    for row in rows {
        for (column, (cell, at_first)) in row.iter().zip(first).enumerate() {
            differs |= u32::from(cell != at_first) << column;
        }
    }
    let every = form.tiers.last().copied().unwrap_or(u32::MAX);
    let varying = form.tiers.iter().copied().find(|tier| differs & !tier == 0).unwrap_or(every);
    let mut changed = 0;
    let mut rest = rows;
    for size in CHUNKS {
        while rest.len() >= size {
            let (chunk, after) = rest.split_at(size);
            rest = after;
            let slots = Slots { columns: N, varying, rows: size };
            let text = texts.entry((form.name, varying, size)).or_insert_with(|| (form.text)(&slots).into());
            let mut arguments = SqliteArguments::default();
            arguments.reserve(size * varying.count_ones() as usize + N, 0);
            for row in chunk {
                for (column, cell) in row.iter().enumerate() {
                    if slots.varies(column) {
                        bind(&mut arguments, *cell)?;
                    }
                }
            }
            for (column, cell) in first.iter().enumerate() {
                if !slots.varies(column) {
                    bind(&mut arguments, *cell)?;
                }
            }
            changed += sqlx::query_with(AssertSqlSafe(Arc::clone(text)), arguments).execute(&mut *conn).await?.rows_affected();
        }
    }
    Ok(changed)
}

fn bind(arguments: &mut SqliteArguments, cell: Cell<'_>) -> StoreResult<()> {
    match cell {
        Cell::Null => arguments.add(None::<i64>),
        Cell::Int(n) => arguments.add(n),
        Cell::Text(text) => arguments.add(text),
        Cell::Bytes(bytes) => arguments.add(bytes),
    }
    .map_err(|error| sqlx::Error::Encode(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_vary_come_first_and_constants_are_numbered_after_them() {
        let slots = Slots { columns: 4, varying: 0b0101, rows: 2 };
        assert_eq!(slots.all_columns(), "(?,$5,?,$6),(?,$5,?,$6)");
        assert_eq!(slots.varying_columns(), "(?,?),(?,?)");
        assert_eq!(
            (slots.column(0), slots.column(1), slots.column(2), slots.column(3)),
            ("v.column1".into(), "$5".into(), "v.column2".into(), "$6".into())
        );
    }
}
