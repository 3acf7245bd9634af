//! One column of a mapping: where a target's value comes from, and how it is read.
use super::super::Kind;
use super::super::fault::hint;
use super::super::phone::{self, Fictitious};
use super::super::targets::{self, Target};
use super::super::yaml::{Node, Place, Tree};
use super::{COLUMN_KEYS, Column, Loader, Source, TYPES, ValueType};
use crate::domain::expression::Expression;
use chrono_tz::Tz;
use std::collections::HashMap;

impl Loader<'_> {
    pub(super) fn column(&mut self, target: Target, at: Place, node: Node) -> Option<Column> {
        let mut column = Column {
            target,
            at,
            source: Source::Value(String::new()),
            kind: ValueType::Text,
            format: None,
            zone: Tz::UTC,
            comma: false,
            map: None,
            default: None,
            required: false,
            optional: false,
            region: None,
            given_at: None,
            given_by: None,
        };
        let entries = match node.tree {
            Tree::Text(name) => {
                column.source = Source::Column(name);
                return Some(column);
            }
            Tree::Map(entries) => entries,
            other => {
                self.fault(node.at, format!("expected a column name or {{column: ..., ...}}, found {}", other.kind()), "");
                return None;
            }
        };
        let mut sources = Vec::new();
        for (key, value) in entries {
            let key_at = Place::from(key.referenced);
            match key.value.as_str() {
                "column" => sources.push(self.text(&value).map(Source::Column)),
                "value" => sources.push(self.text(&value).map(Source::Value)),
                "expr" => sources.push(self.text(&value).and_then(|t| self.expression(&t, value.at)).map(Source::Expr)),
                "fictitious" => {
                    if column.target != Target::Phone {
                        self.fault(key_at, "`fictitious` is for `phone`", "leave it out");
                    }
                    sources.push(self.fictitious(&value).map(Source::Fictitious));
                }
                "type" => match &column.target {
                    Target::Attr(_) => column.kind = self.choice(&value, &TYPES).unwrap_or(ValueType::Text),
                    other => self.fault(key_at, format!("`type` is for attributes; `{}` has a type of its own", other.name()), "leave it out"),
                },
                "format" => column.format = self.date_format(&value),
                "timezone" => {
                    if let Some(text) = self.text(&value) {
                        match text.parse() {
                            Ok(zone) => column.zone = zone,
                            Err(_) => self.fault(value.at, format!("unknown time zone {text:?}"), "an IANA name such as Asia/Shanghai"),
                        }
                    }
                }
                "decimal" => column.comma = self.choice(&value, &[(".", false), (",", true)]).unwrap_or(false),
                "map" => column.map = self.map(&value),
                "default" => column.default = self.text(&value),
                "required" => column.required = self.yes(&value).unwrap_or(false),
                "optional" => column.optional = self.yes(&value).unwrap_or(false),
                "region" => {
                    if column.target != Target::Phone {
                        self.fault(key_at, "`region` is for `phone`", "leave it out");
                    }
                    column.region = self.text(&value);
                    if column.region.as_deref().is_some_and(|r| phone::region(r).is_none()) {
                        self.fault(value.at, "expected a region of two capital letters", "for example CN, PT, GB, US");
                    }
                }
                "at" | "source" if !matches!(column.target, Target::Consent(..)) => {
                    self.fault(key_at, format!("`{}` is for `consent.*`", key.value), "leave it out");
                }
                "at" => column.given_at = self.text(&value),
                "source" => column.given_by = self.text(&value),
                other => self.fault(key_at, format!("unknown key `{other}`"), hint(other, &COLUMN_KEYS)),
            }
        }
        if column.required && column.optional {
            self.fault(at, "a target cannot be both `required` and `optional`", "keep one of them");
        }
        if column.optional && targets::required(Kind::Facts).contains(&column.target.name().as_str()) {
            self.fault(at, format!("`{}` cannot be optional", column.target.name()), "leave `optional` out");
        }
        if sources.len() != 1 {
            let found = if sources.is_empty() { "none" } else { "several" };
            self.fault(at, format!("expected one of `column`, `expr`, `value` for `{}`, found {found}", column.target.name()), "");
            return None;
        }
        column.source = sources.pop().flatten()?;
        Some(column)
    }

    fn fictitious(&mut self, node: &Node) -> Option<Fictitious> {
        let Tree::Map(entries) = &node.tree else {
            self.fault(node.at, format!("expected {{region: ..., from: ref}}, found {}", node.tree.kind()), "");
            return None;
        };
        let (mut region, mut from_row) = (None, false);
        for (key, value) in entries {
            match key.value.as_str() {
                "region" => region = self.text(value).map(|r| (r, value.at)),
                "from" => from_row = self.choice(value, &[("ref", false), ("row", true)]).unwrap_or(false),
                other => self.fault(Place::from(key.referenced), format!("unknown key `{other}`"), hint(other, &["region", "from"])),
            }
        }
        let Some((region, at)) = region else {
            self.fault(node.at, "expected `region` in `fictitious`", "for example {region: PT, from: ref}");
            return None;
        };
        let made = Fictitious::new(&region, from_row);
        if made.is_none() {
            self.fault(
                at,
                format!("no range of unassigned numbers is known for region {region:?}"),
                format!("known: {}", phone::fictitious_regions()),
            );
        }
        made
    }

    fn map(&mut self, node: &Node) -> Option<HashMap<String, String>> {
        let Tree::Map(entries) = &node.tree else {
            self.fault(node.at, format!("expected {{from: to, ...}}, found {}", node.tree.kind()), "");
            return None;
        };
        let mut map = HashMap::new();
        for (key, value) in entries {
            // `"": granted` and `N:` (nothing) are both useful: from and to the empty value.
            let to = if matches!(value.tree, Tree::Null) { Some(String::new()) } else { self.text(value) };
            if let Some(to) = to {
                map.insert(key.value.clone(), to);
            }
        }
        Some(map)
    }

    fn date_format(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node)?;
        if chrono::format::StrftimeItems::new(&text).any(|i| matches!(i, chrono::format::Item::Error)) {
            self.fault(node.at, format!("{text:?} is no date format"), "for example %Y%m%d or %d/%m/%Y %H:%M");
            return None;
        }
        Some(text)
    }

    pub(super) fn expression(&mut self, source: &str, at: Place) -> Option<Expression> {
        match Expression::compile(source) {
            Ok(e) => Some(e),
            Err(message) => {
                self.fault(
                    at,
                    message.lines().next().unwrap_or("the expression cannot be parsed"),
                    "expressions are CEL; every column is text, `row` is a whole number",
                );
                None
            }
        }
    }
}
