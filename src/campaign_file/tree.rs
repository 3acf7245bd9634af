//! A YAML text as a tree in which every node knows its place, so that all faults of a file can be told at once.
//!
//! serde stops at the first type fault and loses how a scalar was written (`50000.00` must not become a float), so the
//! tree is built from the parser's own events.
use super::diagnostic::{Diagnostic, Page};
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle, ScanError};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Nodes nest at most so deep; a campaign needs seven.
const DEPTH: usize = 32;
/// Nodes at most, copies by `*alias` counted: a bomb of aliases ends here.
const NODES: usize = 50_000;

/// A value and where it stands (bytes).
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub at: Range<usize>,
    pub kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar { text: String, style: Style },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes: may be a number, a truth value, or nothing.
    Plain,
    /// In quotes: text.
    Quoted,
    /// `|` or `>`: text.
    Block,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Range<usize>,
    pub value: Node,
}

impl Node {
    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a mapping".into(),
            Kind::Scalar { text, style: Style::Plain } if is_nothing(text) => "nothing".into(),
            Kind::Scalar { text, style: Style::Plain } if is_number(text) => format!("the number {}", cut(text)),
            Kind::Scalar { text, style: Style::Plain } if is_truth(text) => format!("the truth value {text}"),
            Kind::Scalar { text, .. } => format!("{:?}", cut(text)),
        }
    }
    /// The place of the value at a path of keys and list positions with dots between them.
    pub(super) fn place_of(&self, path: &str) -> Option<Range<usize>> {
        let mut node = self;
        for part in path.split('.').filter(|p| !p.is_empty()) {
            node = match &node.kind {
                Kind::Map(entries) => &entries.iter().find(|e| e.key == part)?.value,
                Kind::List(nodes) => nodes.get(part.parse::<usize>().ok()?)?,
                Kind::Scalar { .. } => return None,
            };
        }
        Some(node.at.clone())
    }
    fn count(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(nodes) => nodes.iter().map(Self::count).sum(),
            Kind::Map(entries) => entries.iter().map(|e| e.value.count()).sum(),
        }
    }
    fn depth(&self) -> usize {
        1 + match &self.kind {
            Kind::Scalar { .. } => 0,
            Kind::List(nodes) => nodes.iter().map(Self::depth).max().unwrap_or(0),
            Kind::Map(entries) => entries.iter().map(|e| e.value.depth()).max().unwrap_or(0),
        }
    }
}

pub(super) fn is_nothing(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}
pub(super) fn is_truth(text: &str) -> bool {
    matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}
pub(super) fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) && text.parse::<f64>().is_ok()
}

/// At most 40 characters of a text.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or("")),
        None => text.to_owned(),
    }
}

enum Open {
    List { at: usize, anchor: usize, nodes: Vec<Node> },
    Map { at: usize, anchor: usize, entries: Vec<Entry>, seen: HashSet<String>, key: Option<(String, Range<usize>)> },
}

struct Builder<'a> {
    page: &'a Arc<Page>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
    faults: Vec<Diagnostic>,
}

/// Parses. `Err`: the text is no YAML that we take, one fault. Duplicate keys and the like are collected beside the tree.
pub(super) fn parse(page: &Arc<Page>) -> Result<(Node, Vec<Diagnostic>), Box<Diagnostic>> {
    let mut options = Options::default();
    options.flow_nesting_limit = DEPTH;
    options.block_nesting_limit = DEPTH;
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(page.text(), options);
    let mut builder = Builder { page, open: Vec::new(), anchors: HashMap::new(), root: None, nodes: 0, faults: Vec::new() };
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| Box::new(syntax(page, &e)))?;
        builder.take(event, span.byte_range().unwrap_or(0..0))?;
    }
    let faults = builder.faults;
    builder.root.map(|root| (root, faults)).ok_or_else(|| {
        let mut fault = page.diagnostic(0..0, "the file is empty");
        fault.expected = Some("a campaign: `campaign: name`, `title`, `audience`, `schedule`, `journey` ...".into());
        fault.help = Some("start from one of the examples in campaigns/".into());
        Box::new(fault)
    })
}

fn syntax(page: &Arc<Page>, error: &ScanError) -> Diagnostic {
    let text = page.text();
    let offset = error.marker().byte_offset().unwrap_or_else(|| text.char_indices().nth(error.marker().index()).map_or(text.len(), |(i, _)| i));
    let by_tab = tab_indent(page, offset).filter(|_| error.info().contains("tab"));
    let (place, help) = match by_tab {
        Some(at) => (at, "YAML is indented with blanks, never with tabs"),
        None => (
            offset..offset + text.get(offset..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8),
            "check the indentation, the quotes and the brackets here and on the line above; a text with `: ` or ` #` in it needs quotes",
        ),
    };
    let mut fault = page.diagnostic(place, format!("this is not YAML: {}", error.info()));
    fault.help = Some(help.into());
    fault
}

/// The first line at or after an offset that is indented with a tab.
fn tab_indent(page: &Page, offset: usize) -> Option<Range<usize>> {
    let first = page.line_of(offset).0;
    (first..first + 20).filter_map(|number| page.line(number)).find_map(|(start, line)| {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        line.get(..indent).is_some_and(|i| i.contains('\t')).then(|| start..start + line.len())
    })
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, at: Range<usize>) -> Result<(), Box<Diagnostic>> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let mut style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    _ => Style::Block,
                };
                if let Some(tag) = tag {
                    match tag.core_suffix() {
                        Some("str") => style = Style::Quoted,
                        Some(_) => {}
                        None => self.tag_fault(&at),
                    }
                }
                self.add(Node { at, kind: Kind::Scalar { text: text.into_owned(), style } }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                if tag.is_some_and(|t| t.core_suffix().is_none()) {
                    self.tag_fault(&at);
                }
                self.open(Open::List { at: at.start, anchor, nodes: Vec::new() }, at)
            }
            Event::MappingStart(_, anchor, tag) => {
                if tag.is_some_and(|t| t.core_suffix().is_none()) {
                    self.tag_fault(&at);
                }
                self.open(Open::Map { at: at.start, anchor, entries: Vec::new(), seen: HashSet::new(), key: None }, at)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { at: start, anchor, nodes }) => self.add(Node { at: start..at.end.max(start), kind: Kind::List(nodes) }, anchor),
                Some(Open::Map { at: start, anchor, entries, .. }) => {
                    self.add(Node { at: start..at.end.max(start), kind: Kind::Map(entries) }, anchor)
                }
                None => Ok(()),
            },
            Event::Alias(id) => match self.anchors.get(&id) {
                Some(node) if self.nodes + node.count() <= NODES && self.open.len() + node.depth() <= DEPTH => {
                    let node = node.clone();
                    self.nodes += node.count();
                    self.add(node, 0)
                }
                Some(_) => Err(Box::new(self.page.diagnostic(at, "this alias makes the file too large"))),
                None => Err(Box::new(self.page.diagnostic(at, "this alias names a value that contains it"))),
            },
            Event::DocumentStart(..) if self.root.is_some() => {
                let mut fault = self.page.diagnostic(at, "a second document begins here");
                fault.expected = Some("one campaign in a file".into());
                fault.help = Some("put each campaign into a file of its own".into());
                Err(Box::new(fault))
            }
            _ => Ok(()),
        }
    }
    fn tag_fault(&mut self, at: &Range<usize>) {
        let mut fault = self.page.diagnostic(at.clone(), "a campaign file has no tags of its own");
        fault.help = Some("remove the `!...`".into());
        self.faults.push(fault);
    }
    fn open(&mut self, open: Open, at: Range<usize>) -> Result<(), Box<Diagnostic>> {
        if self.open.len() >= DEPTH {
            return Err(Box::new(self.page.diagnostic(at, format!("values nest more than {DEPTH} deep here"))));
        }
        self.open.push(open);
        Ok(())
    }
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Box<Diagnostic>> {
        self.nodes += 1;
        if self.nodes > NODES {
            return Err(Box::new(self.page.diagnostic(node.at, format!("the file has more than {NODES} values"))));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { nodes, .. }) => nodes.push(node),
            Some(Open::Map { entries, seen, key, .. }) => match key.take() {
                None => match node.kind {
                    Kind::Scalar { text, .. } => *key = Some((text, node.at)),
                    _ => {
                        let mut fault = self.page.diagnostic(node.at.clone(), "a key must be a word, not a list or a mapping");
                        fault.help = Some("a template such as {{ name }} needs quotes around the whole text".into());
                        self.faults.push(fault);
                        // Its value is read and left out with it.
                        *key = Some((String::new(), node.at));
                    }
                },
                Some((name, key_at)) => {
                    if seen.contains(&name) {
                        let mut fault = self.page.diagnostic(key_at.clone(), format!("the key {:?} stands here a second time", cut(&name)));
                        fault.help = Some("keep one of the two".into());
                        self.faults.push(fault);
                    } else {
                        seen.insert(name.clone());
                        entries.push(Entry { key: name, key_at, value: node });
                    }
                }
            },
        }
        Ok(())
    }
}
