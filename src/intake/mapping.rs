//! A mapping file: how a foreign file becomes ours. The shape, and the checks with line and column.
mod column;

use super::fault::{Fault, hint};
use super::phone::Fictitious;
use super::targets::{self, Target};
use super::yaml::{self, Node, Place, Tree};
use super::{Format, Kind};
use crate::domain::expression::Expression;
use chrono_tz::Tz;
use std::collections::HashMap;
use std::sync::Arc;

/// The type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueType {
    Text,
    Int,
    Decimal,
    Bool,
    Date,
}

/// Names of the types, in the order of the schema.
pub(super) const TYPES: [(&str, ValueType); 5] =
    [("text", ValueType::Text), ("int", ValueType::Int), ("decimal", ValueType::Decimal), ("bool", ValueType::Bool), ("date", ValueType::Date)];

/// The keys of a mapping file.
pub(super) const KEYS: [&str; 9] = ["kind", "format", "delimiter", "quote", "encoding", "header", "names", "where", "columns"];
/// The keys of a column.
pub(super) const COLUMN_KEYS: [&str; 15] = [
    "column",
    "expr",
    "value",
    "fictitious",
    "type",
    "format",
    "timezone",
    "decimal",
    "map",
    "default",
    "required",
    "optional",
    "region",
    "at",
    "source",
];

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Column(String),
    Expr(Expression),
    Value(String),
    Fictitious(Fictitious),
}

/// One target with everything that fills it.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub target: Target,
    pub at: Place,
    pub source: Source,
    pub kind: ValueType,
    /// A chrono format; `None`: the usual forms of ISO 8601.
    pub format: Option<String>,
    /// Of local times.
    pub zone: Tz,
    /// The decimal mark: `.` or `,`; the other one may group thousands.
    pub comma: bool,
    pub map: Option<HashMap<String, String>>,
    pub default: Option<String>,
    pub required: bool,
    pub optional: bool,
    pub region: Option<String>,
    /// For `consent.*`: the column of the day when it was given.
    pub given_at: Option<String>,
    /// For `consent.*`: where it comes from.
    pub given_by: Option<String>,
}

/// A checked mapping file; cheap to clone.
#[derive(Clone, Debug)]
pub struct Mapping(pub(super) Arc<Shape>);

#[derive(Debug)]
pub(super) struct Shape {
    pub name: String,
    /// BLAKE3 of the text, hex.
    pub hash: String,
    pub kind: Option<Kind>,
    pub format: Format,
    pub delimiter: u8,
    pub quote: Option<u8>,
    /// `None`: not said, so UTF-8, or what a byte-order mark says.
    pub encoding: Option<&'static encoding_rs::Encoding>,
    pub header: bool,
    pub names: Vec<String>,
    pub filter: Option<(Expression, Place)>,
    pub columns: Vec<Column>,
}

impl Mapping {
    /// Reads and checks a mapping file. `name` is the file as the caller names it; all faults come at once.
    ///
    /// # Errors
    /// Every fault, in file order.
    pub fn load(name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let mut loader = Loader { name, faults: Vec::new() };
        let shape = loader.load(text);
        match shape {
            Some(shape) if loader.faults.is_empty() => Ok(Self(Arc::new(shape))),
            _ => {
                loader.faults.sort_by_key(|f| (f.line, f.column));
                Err(loader.faults)
            }
        }
    }

    /// The file as the caller named it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// BLAKE3 of the text, hex.
    pub fn hash(&self) -> &str {
        &self.0.hash
    }

    /// What it fills, as said by `kind:` or told by its targets; a mapping of `ref` alone serves customers and lists.
    pub fn kind(&self) -> Option<Kind> {
        self.0.kind
    }

    /// Whether it can serve an intake of this kind.
    pub fn check(&self, kind: Kind) -> Result<(), Vec<Fault>> {
        let fault = |message: String| Fault { file: self.0.name.clone(), line: 0, column: 0, message, help: String::new() };
        let mut faults = Vec::new();
        // A list takes nothing but `ref`, so the mapping of customers serves it as well.
        if let Some(own) = self.0.kind
            && own != kind
            && !(kind == Kind::List && own == Kind::Customers)
            && !(kind == Kind::Customers && own == Kind::List)
        {
            faults.push(fault(format!("this mapping fills {}, not {}", own.name(), kind.name())));
        }
        for target in targets::required(kind) {
            if !self.0.columns.iter().any(|c| c.target.name() == *target) {
                faults.push(fault(format!("an import of {} needs the target `{target}`", kind.name())));
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

struct Loader<'a> {
    name: &'a str,
    faults: Vec<Fault>,
}

impl Loader<'_> {
    fn fault(&mut self, at: Place, message: impl Into<String>, help: impl Into<String>) {
        self.faults.push(Fault { file: self.name.to_owned(), line: at.line, column: at.column, message: message.into(), help: help.into() });
    }

    fn load(&mut self, text: &str) -> Option<Shape> {
        let root = match yaml::parse(text) {
            Ok(root) => root,
            Err((at, message)) => {
                self.fault(at, message, "");
                return None;
            }
        };
        let Tree::Map(entries) = root.tree else {
            self.fault(root.at, format!("expected a mapping with `columns:`, found {}", root.tree.kind()), "see `touchline schema mapping`");
            return None;
        };
        let mut shape = Shape {
            name: self.name.to_owned(),
            hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
            kind: None,
            format: Format::Csv,
            delimiter: b',',
            quote: Some(b'"'),
            encoding: None,
            header: true,
            names: Vec::new(),
            filter: None,
            columns: Vec::new(),
        };
        let mut columns = None;
        let mut csv_only = Vec::new();
        for (key, value) in entries {
            let at = Place::from(key.referenced);
            if ["delimiter", "quote", "header", "names"].contains(&key.value.as_str()) {
                csv_only.push((key.value.clone(), at));
            }
            match key.value.as_str() {
                "columns" => columns = Some(value),
                "names" => shape.names = self.texts(&value),
                "kind" => shape.kind = self.choice(&value, &Kind::ALL.map(|k| (k.name(), k))),
                "format" => shape.format = self.choice(&value, &Format::ALL.map(|f| (f.name(), f))).unwrap_or(Format::Csv),
                "delimiter" => {
                    if let Some(b) = self.one_byte(&value, "a delimiter of one character such as \";\" or \"\\t\"") {
                        shape.delimiter = b;
                    }
                }
                "quote" => match self.text(&value).as_deref() {
                    Some("none") => shape.quote = None,
                    Some(_) => shape.quote = self.one_byte(&value, "a quote of one character such as '\"', or none"),
                    None => {}
                },
                "header" => shape.header = self.yes(&value).unwrap_or(true),
                "encoding" => {
                    if let Some(label) = self.text(&value) {
                        shape.encoding = encoding_rs::Encoding::for_label(label.as_bytes());
                        if shape.encoding.is_none() {
                            self.fault(
                                value.at,
                                format!("unknown encoding {label:?}"),
                                "for example utf-8, gb18030, big5, utf-16le, windows-1252, iso-8859-15",
                            );
                        }
                    }
                }
                "where" => {
                    if let Some(source) = self.text(&value) {
                        shape.filter = self.expression(&source, value.at).map(|e| (e, value.at));
                    }
                }
                other => self.fault(at, format!("unknown key `{other}`"), hint(other, &KEYS)),
            }
        }
        if shape.format != Format::Csv {
            for (key, at) in csv_only {
                self.fault(at, format!("`{key}` is for csv, and this file is {}", shape.format.name()), "leave it out");
            }
        } else {
            if shape.quote == Some(shape.delimiter) {
                self.fault(root.at, "the delimiter and the quote are the same character", "");
            }
            if !shape.names.is_empty() && shape.header {
                self.fault(root.at, "`names` is for a file without a header", "add `header: no`");
            }
        }
        match columns {
            Some(Node { tree: Tree::Map(entries), .. }) if !entries.is_empty() => self.columns(entries, &mut shape),
            Some(node) => {
                self.fault(node.at, format!("expected `columns:` with a target and its source on each line, found {}", node.tree.kind()), "")
            }
            None => self.fault(root.at, "expected `columns:`", "for example `columns: {ref: customer_no}`"),
        }
        Some(shape)
    }

    fn columns(&mut self, entries: Vec<(serde_saphyr::Spanned<String>, Node)>, shape: &mut Shape) {
        let before = self.faults.len();
        for (key, value) in entries {
            let at = Place::from(key.referenced);
            let target = match Target::parse(&key.value) {
                Ok(target) => target,
                Err(message) => {
                    self.fault(at, message, "");
                    continue;
                }
            };
            if shape.columns.iter().any(|c| c.target == target) {
                self.fault(at, format!("the target `{}` is filled twice", target.name()), "remove one of them");
            }
            if let Some(column) = self.column(target, at, value) {
                shape.columns.push(column);
            }
        }
        if self.faults.len() > before {
            return;
        }
        let told = shape.kind.or_else(|| {
            // The kind is told by the first target that only one kind has.
            let kinds = [Kind::Facts, Kind::Suppressions, Kind::Consents, Kind::Customers];
            shape.columns.iter().find_map(|c| {
                let mut fitting = kinds.iter().filter(|k| c.target.fits(**k));
                fitting.next().filter(|_| fitting.next().is_none()).copied()
            })
        });
        let only_ref = shape.columns.iter().all(|c| c.target == Target::Ref);
        shape.kind = if only_ref && shape.kind.is_none() { None } else { told };
        let Some(kind) = told else { return };
        for c in &shape.columns {
            if !c.target.fits(kind) {
                self.fault(
                    c.at,
                    format!("`{}` is no target of {}", c.target.name(), kind.name()),
                    hint(&c.target.name(), &targets::names(Some(kind))),
                );
            }
        }
        for target in targets::required(kind) {
            if !shape.columns.iter().any(|c| c.target.name() == *target) {
                self.fault(Place::default(), format!("a mapping of {} needs the target `{target}`", kind.name()), "");
            }
        }
    }

    fn text(&mut self, node: &Node) -> Option<String> {
        match &node.tree {
            Tree::Text(t) => Some(t.clone()),
            other => {
                self.fault(node.at, format!("expected a text, found {}", other.kind()), "");
                None
            }
        }
    }

    fn texts(&mut self, node: &Node) -> Vec<String> {
        match &node.tree {
            Tree::List(items) => items.iter().filter_map(|i| self.text(i)).collect(),
            other => {
                self.fault(node.at, format!("expected a list of column names, found {}", other.kind()), "");
                Vec::new()
            }
        }
    }

    fn yes(&mut self, node: &Node) -> Option<bool> {
        self.choice(node, &[("yes", true), ("no", false), ("true", true), ("false", false)])
    }

    fn choice<T: Clone>(&mut self, node: &Node, known: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        let found = known.iter().find(|(n, _)| n.eq_ignore_ascii_case(&text)).map(|(_, v)| v.clone());
        if found.is_none() {
            let names: Vec<&str> = known.iter().map(|(n, _)| *n).collect();
            self.fault(node.at, format!("expected one of {}, found {text:?}", names.join(", ")), hint(&text, &names));
        }
        found
    }

    fn one_byte(&mut self, node: &Node, expected: &str) -> Option<u8> {
        let text = self.text(node)?;
        let text = if text == "\\t" || text == "tab" { "\t".to_owned() } else { text };
        match text.as_bytes() {
            [b] if !b.is_ascii_alphanumeric() && !matches!(b, b'\n' | b'\r' | 0 | 0x80..) => Some(*b),
            _ => {
                self.fault(node.at, format!("expected {expected}, found {text:?}"), "");
                None
            }
        }
    }
}
