//! Mappings that are kept by name, for files that come in by HTTP: `DATA/mappings/<name>.yaml`, checked before it is kept.
use super::{App, Failure, private};
use crate::intake::{Fault, Mapping};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A mapping that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptMapping {
    /// Its name.
    pub name: String,
    /// What it fills, as it says or as its targets tell.
    pub kind: Option<crate::intake::Kind>,
    /// BLAKE3 of its text, hex.
    pub hash: String,
}

/// Whether a name is one: letters, digits, `-`, `_` and `.`, at most 64, not beginning with a point.
pub fn is_name(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(good)
}

impl App {
    fn mappings_folder(&self) -> PathBuf {
        self.config.data_folder().join("mappings")
    }

    /// Keeps a mapping under a name, in place of the one before. `Err(Ok(faults))`: it is at fault, and the one before stays.
    pub fn keep_mapping(&self, name: &str, text: &str) -> Result<KeptMapping, Result<Vec<Fault>, Failure>> {
        let mapping = Mapping::load("body", text).map_err(Ok)?;
        let folder = self.mappings_folder();
        let path = folder.join(format!("{name}.yaml"));
        let kept = private::folder(&folder).and_then(|()| private::write(&path, text.as_bytes()));
        kept.map_err(|e| Err(Failure::file("cannot write", &path, &e)))?;
        Ok(KeptMapping { name: name.to_owned(), kind: mapping.kind(), hash: mapping.hash().to_owned() })
    }

    /// The text of a mapping; `None`: there is none of this name.
    pub fn mapping_text(&self, name: &str) -> Result<Option<String>, Failure> {
        if !is_name(name) {
            return Ok(None);
        }
        let path = self.mappings_folder().join(format!("{name}.yaml"));
        match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            text => text.map(Some).map_err(|e| Failure::reach(format!("cannot read {}: {e}", path.display()))),
        }
    }

    /// Every mapping that is kept, by name.
    pub fn mappings(&self) -> Result<Vec<KeptMapping>, Failure> {
        let folder = self.mappings_folder();
        let fault = |e: std::io::Error| Failure::reach(format!("cannot read {}: {e}", folder.display()));
        let mut names = Vec::new();
        match std::fs::read_dir(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            entries => {
                for entry in entries.map_err(fault)? {
                    let name = entry.map_err(fault)?.file_name();
                    names.extend(name.to_str().and_then(|n| n.strip_suffix(".yaml")).filter(|n| is_name(n)).map(str::to_owned));
                }
            }
        }
        names.sort();
        let mut kept = Vec::with_capacity(names.len());
        for name in names {
            // One that a newer program no longer takes is not offered.
            if let Some(mapping) = self.mapping_text(&name)?.and_then(|text| Mapping::load(&name, &text).ok()) {
                kept.push(KeptMapping { kind: mapping.kind(), hash: mapping.hash().to_owned(), name });
            }
        }
        Ok(kept)
    }
}
