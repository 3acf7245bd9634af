//! Reads values out of the tree, noting every fault on the way instead of stopping at the first.
use super::diagnostic::{Diagnostic, Page};
use super::tree::{Entry, Kind, Node, Style, cut, is_nothing, is_number, is_truth};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// The faults of one file.
pub(super) struct Faults {
    pub page: Arc<Page>,
    list: Vec<Diagnostic>,
}

/// A fault just noted, to which what was expected and what to do can be added.
pub(super) struct Noted<'a>(&'a mut Diagnostic);

impl Noted<'_> {
    pub(super) fn expected(self, what: impl Into<String>) -> Self {
        self.0.expected = Some(what.into());
        self
    }
    pub(super) fn help(self, what: impl Into<String>) -> Self {
        self.0.help = Some(what.into());
        self
    }
    /// "Did you mean ...", when a known name is near.
    pub(super) fn nearest<'a>(self, found: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(found, known) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None => self,
        }
    }
}

/// The known name that is most like `found`, if any is like it enough to be meant.
pub(super) fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if found.len() > 100 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', ' ', '.'], "_");
    let wanted = plain(found);
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&wanted, &plain(name)), strsim::damerau_levenshtein(&wanted, &plain(name)), name))
        .filter(|(likeness, edits, name)| *edits <= 1 + name.chars().count() / 4 || *likeness >= 0.88)
        .max_by(|a, b| b.1.cmp(&a.1).then(a.0.total_cmp(&b.0)))
        .map(|(_, _, name)| name)
}

impl Faults {
    pub(super) fn new(page: Arc<Page>, list: Vec<Diagnostic>) -> Self {
        Self { page, list }
    }
    pub(super) fn add(&mut self, at: &Range<usize>, message: impl Into<String>) -> Noted<'_> {
        self.list.push(self.page.diagnostic(at.clone(), message));
        let last = self.list.len() - 1;
        #[allow(clippy::indexing_slicing)] // just pushed
        Noted(&mut self.list[last])
    }
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
    /// All of them in the order of the text, none twice.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.sort_by_key(|d| (d.span.offset, d.span.length));
        let mut seen = BTreeSet::new();
        self.list.retain(|d| seen.insert((d.span.offset, d.span.length, d.message.clone())));
        self.list
    }
    pub(super) fn wrong(&mut self, node: &Node, expected: &str) {
        let found = node.describe();
        self.add(&node.at, format!("found {found}")).expected(expected);
    }

    /// Any scalar as written; numbers too, since `30`, `1.5` or `2026-11-24` are only meant as such by their reader.
    pub(super) fn written<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar { text, style } if *style != Style::Plain || !is_nothing(text) => Some(text.trim()),
            _ => {
                self.wrong(node, expected);
                None
            }
        }
    }
    /// A text: not a number, truth value or nothing, unless in quotes.
    pub(super) fn text<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n str> {
        match &node.kind {
            Kind::Scalar { text, style: Style::Plain } if is_number(text) || is_truth(text) => {
                let found = node.describe();
                self.add(&node.at, format!("found {found}")).expected(expected).help(format!("as a text it needs quotes: \"{}\"", cut(text)));
                None
            }
            Kind::Scalar { text, .. } if text.trim().is_empty() => {
                self.add(&node.at, "found an empty text").expected(expected);
                None
            }
            _ => self.written(node, expected),
        }
    }
    /// A whole number within bounds.
    pub(super) fn whole(&mut self, node: &Node, least: u64, most: u64, what: &str) -> Option<u64> {
        let expected = format!("{what}: a whole number from {least} to {most}");
        if let Kind::Scalar { text, style: Style::Plain } = &node.kind
            && let Ok(number) = text.replace('_', "").parse::<u64>()
            && (least..=most).contains(&number)
        {
            return Some(number);
        }
        self.wrong(node, &expected);
        None
    }
    /// One of some names.
    pub(super) fn choice<T: Copy>(&mut self, node: &Node, choices: &[(&'static str, T)]) -> Option<T> {
        let expected = one_of(choices.iter().map(|(name, _)| *name));
        let text = self.written(node, &expected)?;
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
        if found.is_none() {
            self.add(&node.at, format!("{:?} is not known here", cut(text))).expected(expected).nearest(text, choices.iter().map(|c| c.0));
        }
        found
    }
    /// The items of a list; one scalar or mapping is not taken for a list of one.
    pub(super) fn list<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n [Node]> {
        match &node.kind {
            Kind::List(nodes) => Some(nodes),
            _ => {
                self.wrong(node, expected);
                None
            }
        }
    }
}

/// `one of a, b, c`.
pub(super) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    format!("one of {}", names.into_iter().collect::<Vec<_>>().join(", "))
}

/// A mapping being read: what was asked for is known, what is left over is a fault.
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    /// Where to point when something is missing: the key that leads here.
    pub at: Range<usize>,
    what: &'static str,
    asked: Vec<&'static str>,
    missing: Vec<(&'static str, &'static str)>,
}

impl<'n> Fields<'n> {
    /// Opens a mapping; `at` is the key that leads to it.
    pub(super) fn open(faults: &mut Faults, node: &'n Node, at: &Range<usize>, what: &'static str) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => Some(Self { entries, at: at.clone(), what, asked: Vec::new(), missing: Vec::new() }),
            _ => {
                faults.wrong(node, &format!("the keys of {what}"));
                None
            }
        }
    }
    pub(super) fn get(&mut self, key: &'static str) -> Option<&'n Entry> {
        self.asked.push(key);
        self.entries.iter().find(|e| e.key == key)
    }
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'n Node> {
        self.get(key).map(|e| &e.value)
    }
    /// A key that must be there.
    pub(super) fn must(&mut self, key: &'static str, expected: &'static str) -> Option<&'n Entry> {
        let found = self.get(key);
        if found.is_none() {
            self.missing.push((key, expected));
        }
        found
    }
    /// Notes every key that nobody asked for, and every one that is missing.
    pub(super) fn close(self, faults: &mut Faults) {
        let mut all = self.asked.clone();
        all.sort_unstable();
        let free: Vec<&str> = all.iter().copied().filter(|a| !self.entries.iter().any(|e| e.key == *a)).collect();
        let mut misspelled = Vec::new();
        // An empty key was no scalar: told already when the tree was built.
        for entry in self.entries.iter().filter(|e| !e.key.is_empty() && !self.asked.contains(&e.key.as_str())) {
            misspelled.extend(nearest(&entry.key, free.iter().copied()));
            let message = format!("unknown key {:?} in {}", cut(&entry.key), self.what);
            faults.add(&entry.key_at, message).expected(one_of(all.iter().copied())).nearest(&entry.key, free.iter().copied());
        }
        for (key, expected) in self.missing {
            // A misspelled key is told once, as unknown with its right name, not also as missing.
            if !misspelled.contains(&key) {
                faults.add(&self.at, format!("`{key}` is missing in {}", self.what)).expected(expected);
            }
        }
    }
}
