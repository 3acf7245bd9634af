//! What is wrong with a mapping file, with the place and the way out.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A fault of a mapping file. Several are reported at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The file as the caller named it.
    pub file: String,
    /// From 1; 0: the whole file.
    pub line: u64,
    /// In characters, from 1; 0: the whole line.
    pub column: u64,
    /// What was expected and what was found.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.help.is_empty() {
            write!(f, " ({})", self.help)?;
        }
        Ok(())
    }
}

/// The nearest of some names, when one is near enough to be what was meant.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(&wanted, &k.to_lowercase()), k))
        .filter(|(near, _)| *near >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

/// `did you mean X?`, else the names that there are (at most 30 of them).
pub(super) fn hint(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let more = if known.len() > 30 { ", ..." } else { "" };
            format!("known: {}{more}", known.iter().take(30).copied().collect::<Vec<_>>().join(", "))
        }
    }
}
