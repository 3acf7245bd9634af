//! A mapping compiled against the columns of one file: which field, which expression, which type. No lookup by name is left for a row.
use super::fault::{Fault, hint};
use super::mapping::{Column, Mapping, Source, ValueType};
use super::phone::{self, Fictitious};
use super::record::{Record, RowFault, Rows};
use super::targets::Target;
use super::values;
use super::{IntakeError, Kind};
use crate::domain::consent::{ConsentRecord, ConsentState, Purpose, SuppressionRecord};
use crate::domain::contact::{EmailAddress, PushToken};
use crate::domain::expression::{Expression, Value};
use crate::domain::money::{Currency, Money};
use crate::domain::time::Timestamp;
use crate::store::{CustomerInput, FactInput};
use phonenumber::country::Id;
use std::borrow::Cow;
use std::collections::HashMap;

/// What a row becomes.
#[derive(Debug)]
pub(super) enum Item {
    Customer(Box<CustomerInput>),
    Member(String),
    Consent(String, ConsentRecord),
    Suppression(String, SuppressionRecord),
    Fact(FactInput),
}

/// What came of a row.
pub(super) enum Verdict {
    Taken(Item),
    Filtered,
    Rejected(RowFault),
}

enum From {
    Field(usize),
    Expression(Program),
    Constant(String),
    Fictitious(Fictitious),
}

/// An expression with the fields that it reads.
struct Program {
    expression: Expression,
    fields: Vec<(String, usize)>,
    row: bool,
}

struct Cell {
    target: Target,
    /// For messages: the source column, else the target.
    label: String,
    from: From,
    kind: ValueType,
    format: Option<String>,
    zone: chrono_tz::Tz,
    comma: bool,
    map: Option<HashMap<String, String>>,
    default: Option<String>,
    required: bool,
    optional: bool,
    region: Option<Id>,
    given_at: Option<usize>,
    given_by: Option<String>,
}

/// A mapping compiled against a file.
pub(super) struct Compiled {
    kind: Kind,
    filter: Option<Program>,
    /// `ref`, for the kinds that have it.
    reference: Option<Cell>,
    /// The others.
    cells: Vec<Cell>,
    /// When a consent without a day of its own was given, and where what has no source comes from.
    now: Timestamp,
    default_source: String,
    /// Values of `optional` targets that did not fit and were left empty.
    pub warnings: u64,
}

impl Compiled {
    /// Finds every column that the mapping names.
    ///
    /// # Errors
    /// A fault for each column that the file does not have, with the nearest name.
    pub fn new(mapping: &Mapping, kind: Kind, rows: &dyn Rows, now: Timestamp, default_source: &str) -> Result<Self, IntakeError> {
        mapping.check(kind).map_err(IntakeError::Faults)?;
        let shape = &mapping.0;
        let mut finder = Finder { names: rows.names(), all_known: rows.knows_all_names(), file: &shape.name, faults: Vec::new() };
        let filter = shape.filter.as_ref().map(|(e, at)| finder.program(e, *at));
        let reference = shape.columns.iter().find(|c| c.target == Target::Ref).map(|c| finder.cell(c));
        // A list takes nothing but the reference from a mapping of customers.
        let cells = shape.columns.iter().filter(|c| kind != Kind::List && c.target != Target::Ref).map(|c| finder.cell(c)).collect();
        if finder.faults.is_empty() {
            Ok(Self { kind, filter, reference, cells, now, default_source: default_source.to_owned(), warnings: 0 })
        } else {
            Err(IntakeError::Faults(finder.faults))
        }
    }

    /// What becomes of a row; `row` counts all rows of the file from 1.
    pub fn apply(&mut self, record: &Record, row: u64) -> Verdict {
        if let Some(filter) = &self.filter {
            match filter.run(record, row) {
                Ok(Value::Bool(true)) => {}
                Ok(Value::Bool(false)) => return Verdict::Filtered,
                Ok(_) => return Verdict::Rejected(RowFault::of("where", "expected true or false")),
                Err(reason) => return Verdict::Rejected(RowFault::of("where", reason)),
            }
        }
        let item = match self.kind {
            Kind::Customers => self.customer(record, row).map(|c| Item::Customer(Box::new(c))),
            Kind::List => self.member(record, row).map(Item::Member),
            Kind::Consents => self.consent(record, row).map(|(c, r)| Item::Consent(c, r)),
            Kind::Suppressions => self.suppression(record, row).map(|(c, r)| Item::Suppression(c, r)),
            Kind::Facts => self.fact(record, row).map(Item::Fact),
        };
        match item {
            Ok(item) => Verdict::Taken(item),
            Err(fault) => Verdict::Rejected(fault),
        }
    }

    /// The reference of a row.
    fn member(&self, record: &Record, row: u64) -> Result<String, RowFault> {
        match &self.reference {
            Some(cell) => cell.reference(record, row),
            None => Err(RowFault::of("", "the mapping has no `ref`")),
        }
    }

    fn customer(&mut self, record: &Record, row: u64) -> Result<CustomerInput, RowFault> {
        let mut customer = CustomerInput { reference: self.member(record, row)?, ..CustomerInput::default() };
        let mut warnings = 0;
        for cell in &self.cells {
            if let From::Fictitious(made) = &cell.from {
                let number = if made.from_row { made.number(&row.to_string()) } else { made.number(&customer.reference) };
                customer.phone = Some(number);
                continue;
            }
            let text = cell.text(record, row)?;
            if text.is_empty() {
                if cell.required {
                    return Err(cell.fault("is empty"));
                }
                continue;
            }
            if let Err(reason) = self.fill(&mut customer, cell, &text, record) {
                if !cell.optional {
                    return Err(cell.fault(reason));
                }
                warnings += 1;
            }
        }
        self.warnings += warnings;
        Ok(customer)
    }

    fn fill(&self, customer: &mut CustomerInput, cell: &Cell, text: &str, record: &Record) -> Result<(), Cow<'static, str>> {
        match &cell.target {
            Target::Phone => customer.phone = Some(phone::normalise(text, cell.region)?),
            Target::Email => customer.email = Some(EmailAddress::new(values::email(text)?)),
            Target::Push => customer.push = Some(PushToken::new(values::short(text, 4096)?)),
            Target::Timezone => customer.timezone = Some(text.parse().map_err(|_| "is no IANA time zone such as Asia/Shanghai")?),
            Target::Language => customer.language = Some(values::language(text)?.to_owned()),
            Target::Branch => customer.branch = Some(values::short(text, 128)?.to_owned()),
            Target::Rm => customer.rm = Some(values::short(text, 128)?.to_owned()),
            Target::Attr(name) => {
                let value = values::attribute(text, cell.kind, cell.format.as_deref(), cell.comma)?;
                customer.attributes.insert(name.clone(), value);
            }
            Target::Consent(channel, purpose) => {
                let state = values::consent(text)?;
                if state != ConsentState::Unknown {
                    let day = cell.given_at.map(|i| record.get(i)).filter(|d| !d.is_empty());
                    let at = match day {
                        Some(day) => values::instant(day, cell.format.as_deref(), cell.zone)?,
                        None => self.now,
                    };
                    let source = cell.given_by.clone().unwrap_or_else(|| self.default_source.clone());
                    customer.consents.push(ConsentRecord { channel: *channel, purpose: *purpose, state, at, source });
                }
            }
            // The checks of the mapping let no other target into a mapping of customers.
            _ => {}
        }
        Ok(())
    }

    /// The value of a target, mapped and defaulted; empty when the mapping does not have it.
    fn value<'r>(&'r self, target: &Target, record: &'r Record, row: u64) -> Result<(Option<&'r Cell>, Cow<'r, str>), RowFault> {
        match self.cells.iter().find(|c| c.target == *target) {
            Some(cell) => Ok((Some(cell), cell.text(record, row)?)),
            None => Ok((None, Cow::Borrowed(""))),
        }
    }

    /// The value of a target that must be there, through `read`.
    fn must<T>(
        &self,
        target: &Target,
        record: &Record,
        row: u64,
        read: impl FnOnce(&Cell, &str) -> Result<T, Cow<'static, str>>,
    ) -> Result<T, RowFault> {
        match self.value(target, record, row)? {
            (Some(cell), text) if text.is_empty() => Err(cell.fault("is empty")),
            (Some(cell), text) => read(cell, &text).map_err(|reason| cell.fault(reason)),
            (None, _) => Err(RowFault::of(&target.name(), "the mapping does not fill it")),
        }
    }

    /// The value of a target that may be empty, through `read`; of an `optional` one that does not fit, too.
    fn may<T>(
        &self,
        target: &Target,
        record: &Record,
        row: u64,
        read: impl FnOnce(&Cell, &str) -> Result<T, Cow<'static, str>>,
    ) -> Result<Option<T>, RowFault> {
        match self.value(target, record, row)? {
            (None, _) => Ok(None),
            (Some(cell), text) if text.is_empty() && cell.required => Err(cell.fault("is empty")),
            (Some(_), text) if text.is_empty() => Ok(None),
            (Some(cell), text) => match read(cell, &text) {
                Ok(value) => Ok(Some(value)),
                Err(_) if cell.optional => Ok(None),
                Err(reason) => Err(cell.fault(reason)),
            },
        }
    }

    fn consent(&self, record: &Record, row: u64) -> Result<(String, ConsentRecord), RowFault> {
        let customer = self.must(&Target::Customer, record, row, |_, t| Ok(values::short(t, 128)?.to_owned()))?;
        let channel = self.must(&Target::Channel, record, row, |_, t| values::channel(t))?;
        let purpose = self.may(&Target::Purpose, record, row, |_, t| values::purpose(t))?.unwrap_or(Purpose::Marketing);
        let state = self.must(&Target::State, record, row, |_, t| match values::consent(t)? {
            ConsentState::Unknown => Err(Cow::Borrowed("is unknown: only what was granted or withdrawn is a record")),
            state => Ok(state),
        })?;
        let at = self.must(&Target::At, record, row, |c, t| values::instant(t, c.format.as_deref(), c.zone))?;
        let source = self.source(record, row)?;
        Ok((customer, ConsentRecord { channel, purpose, state, at, source }))
    }

    fn suppression(&self, record: &Record, row: u64) -> Result<(String, SuppressionRecord), RowFault> {
        let customer = self.must(&Target::Customer, record, row, |_, t| Ok(values::short(t, 128)?.to_owned()))?;
        let channel = self
            .may(&Target::Channel, record, row, |_, t| if t.eq_ignore_ascii_case("all") { Ok(None) } else { values::channel(t).map(Some) })?
            .flatten();
        let why = self.must(&Target::Why, record, row, |_, t| Ok(values::word(t)?.to_owned()))?;
        let instant = |c: &Cell, t: &str| values::instant(t, c.format.as_deref(), c.zone);
        let at = self.may(&Target::At, record, row, instant)?.unwrap_or(self.now);
        let until = self.may(&Target::Until, record, row, instant)?;
        if until.is_some_and(|u| u <= at) {
            return Err(RowFault::of("until", "is not after `at`"));
        }
        let source = self.source(record, row)?;
        Ok((customer, SuppressionRecord { channel, why, at, until, source }))
    }

    fn source(&self, record: &Record, row: u64) -> Result<String, RowFault> {
        let told = self.may(&Target::Source, record, row, |_, t| Ok(values::short(t, 256)?.to_owned()))?;
        Ok(told.unwrap_or_else(|| self.default_source.clone()))
    }

    fn fact(&self, record: &Record, row: u64) -> Result<FactInput, RowFault> {
        let fact_ref = self.must(&Target::FactRef, record, row, |_, t| Ok(values::short(t, 128)?.to_owned()))?;
        let customer = self.must(&Target::Customer, record, row, |_, t| Ok(values::short(t, 128)?.to_owned()))?;
        let kind = self.must(&Target::Kind, record, row, |_, t| Ok(values::word(t)?.to_owned()))?;
        let product = self.may(&Target::Product, record, row, |_, t| Ok(values::short(t, 128)?.to_owned()))?;
        let currency: Currency = self.must(&Target::Currency, record, row, |_, t| {
            t.parse().map_err(|_| Cow::Borrowed("is no currency of three capital letters such as CNY"))
        })?;
        let amount = self.must(&Target::Amount, record, row, |c, t| {
            let amount = values::decimal(t, c.comma)?;
            Money::from_decimal(amount, currency)
                .map_err(|_| Cow::Owned(format!("is out of range, or has more than the {} decimal places of {currency}", currency.digits())))
        })?;
        let at = self.must(&Target::At, record, row, |c, t| values::instant(t, c.format.as_deref(), c.zone))?;
        Ok(FactInput { fact_ref, customer, kind, product, amount, at })
    }
}

impl Program {
    fn run(&self, record: &Record, row: u64) -> Result<Value, String> {
        let fields = self.fields.iter().map(|(name, i)| (name.as_str(), Value::Text(record.get(*i).to_owned())));
        let row = self.row.then(|| ("row", Value::Int(i64::try_from(row).unwrap_or(i64::MAX))));
        // The evaluator's own message may quote a value of the row; what can be told is the expression.
        self.expression.evaluate(fields.chain(row)).map_err(|_| format!("`{}` cannot be evaluated for this row", self.expression.source()))
    }
}

impl Cell {
    fn fault(&self, reason: impl Into<Cow<'static, str>>) -> RowFault {
        RowFault::of(&self.label, reason.into().into_owned())
    }

    fn reference(&self, record: &Record, row: u64) -> Result<String, RowFault> {
        let text = self.text(record, row)?;
        if text.is_empty() {
            return Err(self.fault("is empty"));
        }
        values::short(&text, 128).map(str::to_owned).map_err(|reason| self.fault(reason))
    }

    /// The text after `map` and `default`.
    fn text<'r>(&'r self, record: &'r Record, row: u64) -> Result<Cow<'r, str>, RowFault> {
        let text = match &self.from {
            From::Field(i) => Cow::Borrowed(record.get(*i)),
            From::Constant(text) => Cow::Borrowed(text.as_str()),
            From::Fictitious(_) => Cow::Borrowed(""),
            From::Expression(program) => Cow::Owned(match program.run(record, row).map_err(|reason| self.fault(reason))? {
                Value::Text(t) => t.trim().to_owned(),
                Value::Int(i) => i.to_string(),
                Value::Float(f) => f.to_string(),
                Value::Bool(b) => b.to_string(),
            }),
        };
        let text = match &self.map {
            Some(map) => match map.get(text.as_ref()) {
                Some(to) => Cow::Borrowed(to.as_str()),
                None if text.is_empty() || self.default.is_some() => Cow::Borrowed(""),
                None if self.optional => Cow::Borrowed(""),
                None => return Err(self.fault("has a value that its `map` does not name; add it, or a `default`")),
            },
            None => text,
        };
        match (&self.default, text.is_empty()) {
            (Some(default), true) => Ok(Cow::Borrowed(default.as_str())),
            _ => Ok(text),
        }
    }
}

struct Finder<'a> {
    names: &'a [String],
    all_known: bool,
    file: &'a str,
    faults: Vec<Fault>,
}

impl Finder<'_> {
    fn find(&mut self, name: &str, at: super::yaml::Place) -> usize {
        if let Some(i) = self.names.iter().position(|n| n == name) {
            return i;
        }
        if self.all_known {
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            self.fault(at, format!("the file has no column `{name}`"), hint(name, &names));
        }
        usize::MAX
    }

    fn fault(&mut self, at: super::yaml::Place, message: String, help: String) {
        self.faults.push(Fault { file: self.file.to_owned(), line: at.line, column: at.column, message, help });
    }

    /// In expressions a column is called by its name, with `_` for every character that is no letter, digit or `_`.
    fn program(&mut self, expression: &Expression, at: super::yaml::Place) -> Program {
        let mut program = Program { expression: expression.clone(), fields: Vec::new(), row: false };
        for name in expression.variables() {
            match self.names.iter().position(|n| variable(n) == *name) {
                Some(i) => program.fields.push((name.clone(), i)),
                None if name == "row" => program.row = true,
                None => {
                    let i = self.find(name, at);
                    program.fields.push((name.clone(), i));
                }
            }
        }
        program
    }

    fn cell(&mut self, column: &Column) -> Cell {
        let (from, label) = match &column.source {
            Source::Column(name) => (From::Field(self.find(name, column.at)), name.clone()),
            Source::Expr(e) => (From::Expression(self.program(e, column.at)), column.target.name()),
            Source::Value(text) => (From::Constant(text.clone()), column.target.name()),
            Source::Fictitious(made) => (From::Fictitious(*made), column.target.name()),
        };
        Cell {
            target: column.target.clone(),
            label,
            from,
            kind: column.kind,
            format: column.format.clone(),
            zone: column.zone,
            comma: column.comma,
            map: column.map.clone(),
            default: column.default.clone(),
            required: column.required,
            optional: column.optional,
            region: column.region.as_deref().and_then(phone::region),
            given_at: column.given_at.as_deref().map(|name| self.find(name, column.at)),
            given_by: column.given_by.clone(),
        }
    }
}

/// A column's name as a variable of expressions.
pub(super) fn variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

/// The columns that a mapping reads, for files in which only those are read.
pub(super) fn sources(mapping: &Mapping, kind: Kind) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str| {
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    };
    let shape = &mapping.0;
    let columns = shape.columns.iter().filter(|c| kind != Kind::List || c.target == Target::Ref);
    let expressions = columns.clone().filter_map(|c| if let Source::Expr(e) = &c.source { Some(e) } else { None });
    for variable in expressions.chain(shape.filter.iter().map(|(e, _)| e)).flat_map(Expression::variables) {
        add(variable);
    }
    for column in columns {
        if let Source::Column(name) = &column.source {
            add(name);
        }
        if let Some(name) = &column.given_at {
            add(name);
        }
    }
    names
}
