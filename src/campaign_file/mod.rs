//! Campaign files: the YAML shape, its faults with line and column, its JSON Schema, and the way to [`Campaign`].
//!
//! A file is parsed into a tree that knows its places (`tree`), read key by key (`reader`, `values`, `texts`), and every
//! fault is noted on the way, so that one reading tells them all. Only a text that is no YAML stops at its first fault.
mod check;
mod content;
mod diagnostic;
mod journey;
mod reader;
mod shape;
mod texts;
mod tree;
mod values;

pub use diagnostic::{Diagnostic, Span, found_elsewhere, render};

use crate::domain::campaign::Campaign;
use crate::domain::channel::Channel;

/// A campaign file is at most so long, in bytes; the longest of ours has four thousand.
pub const LONGEST_FILE: usize = 1 << 20;

/// What the caller knows of the world, for checks that the file alone does not allow.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The configured routes with their channels; empty: not checked.
    pub routes: Vec<(String, Channel)>,
    /// The names of frozen lists; `None`: not checked.
    pub lists: Option<Vec<String>>,
    /// The names of the customers' attributes; `None`: not checked.
    pub attributes: Option<Vec<String>>,
}

/// Reads a campaign file. `Err`: every fault, in the order of the text; never empty.
pub fn load(name: &str, text: &str) -> Result<Campaign, Vec<Diagnostic>> {
    load_with(name, text, &Known::default())
}

/// As [`load`], also checking the names that the caller knows.
pub fn load_with(name: &str, text: &str, known: &Known) -> Result<Campaign, Vec<Diagnostic>> {
    let page = diagnostic::Page::new(name, text.get(..LONGEST_FILE).filter(|_| text.len() > LONGEST_FILE).unwrap_or(text));
    if text.len() > LONGEST_FILE {
        let mut fault = page.diagnostic(0..0, format!("the file has {} bytes", text.len()));
        fault.expected = Some(format!("a campaign file of at most {LONGEST_FILE} bytes"));
        return Err(vec![fault]);
    }
    let (root, faults) = tree::parse(&page).map_err(|fault| vec![*fault])?;
    check::campaign(reader::Faults::new(page, faults), known, &root)
}

/// A fault of the caller's own at a key of a file (`policy`, `audience.list`, `journey.2.routes`), for what only the caller
/// can know, such as a preset that is not in force. Without that key: at the beginning.
pub fn fault_at(name: &str, text: &str, path: &str, message: &str) -> Diagnostic {
    let page = diagnostic::Page::new(name, text);
    let place = tree::parse(&page).ok().and_then(|(root, _)| root.place_of(path)).unwrap_or(0..0);
    page.diagnostic(place, message)
}

/// The JSON Schema of a campaign file, for editors.
pub fn json_schema() -> serde_json::Value {
    shape::json_schema()
}
