//! Comparing what was exported with the ledger, row by row, both in the order of their keys.
use super::FinanceError;
use super::ledger::LedgerRows;
use super::manifest::{Manifest, folder_name};
use super::reader::{FileRows, rows_of};
use super::rows::{Cell, Key, Row, Shape};
use super::totals::{Adder, REVERSAL, Totals};
use crate::domain::ids::CustomerId;
use crate::store::privacy::pseudonym;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

struct Peeked {
    file: FileRows,
    path: PathBuf,
    next: Option<(Key, Row)>,
    after: Option<(Key, bool)>,
}

impl Peeked {
    fn open(folder: &Path, manifest: &Manifest) -> Result<Self, FinanceError> {
        let path = manifest.data_file(folder)?;
        let file = FileRows::open(&path, manifest.format, manifest.shape(), manifest.has_marks())?;
        let mut peeked = Self { file, path, next: None, after: None };
        peeked.advance()?;
        Ok(peeked)
    }
    fn advance(&mut self) -> Result<Option<(Key, Row)>, FinanceError> {
        let shape = self.file.shape();
        let next = self.file.next_row()?.map(|row| (shape.key(&row), row));
        if let Some((key, row)) = &next {
            // In a correction a key may come twice: what is taken back, then what stands instead.
            let place = (key.clone(), shape.correction && !is_reversal(row));
            if self.after.as_ref().is_some_and(|after| *after >= place) {
                return Err(FinanceError::malformed(&self.path, format!("rows are out of order at customer {}", key.customer)));
            }
            self.after = Some(place);
        }
        Ok(std::mem::replace(&mut self.next, next))
    }
    fn take_if(&mut self, key: &Key) -> Result<Option<Row>, FinanceError> {
        if self.next.as_ref().is_some_and(|(k, _)| k == key) { Ok(self.advance()?.map(|(_, row)| row)) } else { Ok(None) }
    }
}

fn is_reversal(row: &Row) -> bool {
    matches!(row.first(), Some(Cell::Text(change)) if **change == *REVERSAL)
}

/// A row with its measures negated.
pub fn negated(shape: Shape, row: &[Cell]) -> Row {
    let lead = shape.lead();
    let measures = Shape { correction: false, ..shape }.columns();
    let negate = |(i, cell): (usize, &Cell)| match (i.checked_sub(lead).and_then(|i| measures.get(i)), cell) {
        (Some(column), Cell::Int(n)) if column.measure => Cell::Int(-n),
        (Some(column), Cell::Micros(n)) if column.measure => Cell::Micros(-n),
        _ => cell.clone(),
    };
    row.iter().enumerate().map(negate).collect()
}

/// A row with its customer's reference as the pseudonym, if `like` has it so: the customer was erased after the file was written. Everything else
/// of the row stands, so that an export stays verifiable, and no correction repeats a reference that was erased.
fn as_erased(mut row: Row, key: &Key, like: &[Cell], shape: Shape) -> Row {
    let place = shape.columns().iter().position(|c| c.name == "reference");
    let pseudonym = pseudonym(CustomerId(key.customer));
    let is_pseudonym = |cell: Option<&Cell>| matches!(cell, Some(Cell::Text(text)) if **text == *pseudonym);
    if let Some(place) = place
        && is_pseudonym(like.get(place))
        && let Some(cell) = row.get_mut(place)
    {
        *cell = like.get(place).cloned().unwrap_or(Cell::Null);
    }
    row
}

/// The rows of an export as they stand after some of its corrections.
pub struct Standing {
    base: Peeked,
    corrections: Vec<Peeked>,
}

impl Standing {
    /// An export and the corrections of it, oldest first.
    pub fn open(base: (&Path, &Manifest), corrections: &[(PathBuf, Manifest)]) -> Result<Self, FinanceError> {
        let corrections = corrections.iter().map(|(folder, manifest)| Peeked::open(folder, manifest)).collect::<Result<_, _>>()?;
        Ok(Self { base: Peeked::open(base.0, base.1)?, corrections })
    }
    /// The next row that stands.
    pub fn next(&mut self) -> Result<Option<(Key, Row)>, FinanceError> {
        loop {
            let key = std::iter::once(&self.base).chain(&self.corrections).filter_map(|p| p.next.as_ref().map(|(key, _)| key)).min().cloned();
            let Some(key) = key else { return Ok(None) };
            let mut standing = self.base.take_if(&key)?;
            for correction in &mut self.corrections {
                while let Some(row) = correction.take_if(&key)? {
                    let own: Row = row.iter().skip(1).cloned().collect();
                    let shape = Shape { correction: false, ..correction.file.shape() };
                    let fits = if is_reversal(&row) {
                        let taken_back = negated(shape, &own);
                        standing.take().is_some_and(|stood| as_erased(stood, &key, &taken_back, shape) == taken_back)
                    } else {
                        standing.replace(own).is_none()
                    };
                    if !fits {
                        let fault = format!("a row of customer {} does not fit the export that it corrects", key.customer);
                        return Err(FinanceError::malformed(&correction.path, fault));
                    }
                }
            }
            if let Some(row) = standing {
                return Ok(Some((key, row)));
            }
        }
    }
}

/// The ledger row by row, added up as it passes.
pub struct LedgerCursor<'a> {
    rows: LedgerRows<'a>,
    ready: VecDeque<Row>,
    adder: Adder,
}

impl<'a> LedgerCursor<'a> {
    /// Over these.
    pub fn new(rows: LedgerRows<'a>) -> Self {
        let adder = Adder::new(rows.shape());
        Self { rows, ready: VecDeque::new(), adder }
    }
    /// The next row.
    pub async fn next(&mut self) -> Result<Option<(Key, Row)>, FinanceError> {
        while self.ready.is_empty() {
            let Some(work) = self.rows.next().await? else { return Ok(None) };
            let batch = work()?;
            self.adder.add(&batch)?;
            self.ready = rows_of(&batch, self.rows.shape())?;
        }
        Ok(self.ready.pop_front().map(|row| (self.rows.shape().key(&row), row)))
    }
    /// What all rows came to.
    pub fn finish(self) -> Totals {
        self.adder.finish()
    }
}

/// A difference: what stood (`None`: nothing), and what stands in the ledger now (`None`: nothing).
pub type Change = (Key, Option<Row>, Option<Row>);

/// Walks both sides and finds their differences.
pub struct Differences<'a> {
    standing: Standing,
    ledger: LedgerCursor<'a>,
    left: Option<(Key, Row)>,
    right: Option<(Key, Row)>,
}

impl<'a> Differences<'a> {
    /// Between these.
    pub async fn open(mut standing: Standing, mut ledger: LedgerCursor<'a>) -> Result<Self, FinanceError> {
        let (left, right) = (standing.next()?, ledger.next().await?);
        Ok(Self { standing, ledger, left, right })
    }
    /// The next difference; `None` when both have come to their end.
    pub async fn next(&mut self) -> Result<Option<Change>, FinanceError> {
        loop {
            let order = match (&self.left, &self.right) {
                (None, None) => return Ok(None),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((old, _)), Some((new, _))) => old.cmp(new),
            };
            let old = if order.is_le() { std::mem::replace(&mut self.left, self.standing.next()?) } else { None };
            let new = if order.is_ge() { std::mem::replace(&mut self.right, self.ledger.next().await?) } else { None };
            let Some(key) = old.as_ref().or(new.as_ref()).map(|(key, _)| key.clone()) else { return Ok(None) };
            let (old, new) = (old.map(|(_, row)| row), new.map(|(_, row)| row));
            let shape = Shape { correction: false, ..self.ledger.rows.shape() };
            let old = match &new {
                Some(new) => old.map(|old| as_erased(old, &key, new, shape)),
                None => old,
            };
            if old != new {
                return Ok(Some((key, old, new)));
            }
        }
    }
    /// What the whole ledger came to; only after the last difference.
    pub fn finish(self) -> Totals {
        self.ledger.finish()
    }
}

/// The folder of another export beside this one.
pub fn beside(folder: &Path, number: i64) -> PathBuf {
    // `.` and the like have no parent by name; the system knows it.
    let real = folder.canonicalize();
    real.as_deref().unwrap_or(folder).parent().unwrap_or(Path::new("..")).join(folder_name(number))
}
