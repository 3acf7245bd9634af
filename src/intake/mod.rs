//! Files in: customers, lists, consents, suppressions and facts, by mapping files; streamed, resumable, with every row counted.
//!
//! A row ends in exactly one of four counts: accepted, filtered (the mapping's `where` said no), rejected (it does not fit; the rejects file says
//! why, and holds the row as written, since it is the operator's own file), or duplicate (it repeats one taken before).
mod columns;
mod fault;
mod lines;
pub mod made_up;
mod mapping;
mod parse;
mod phone;
mod reader_csv;
mod reader_jsonl;
mod reader_parquet;
mod record;
mod rejects;
mod run;
mod schema;
mod seen;
mod source;
mod targets;
mod values;
mod yaml;

pub use fault::Fault;
pub use mapping::Mapping;
pub use rejects::rejects_path;
pub use run::{ImportRequest, Report, Sums, Withdrawn, check_name, import, key_of};
pub use schema::mapping_schema;
pub use source::ContentHash;

use crate::store::StoreError;
use serde::{Deserialize, Serialize};

/// What is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Customers, with contact details, attributes and consents.
    Customers,
    /// The members of a list, by reference.
    List,
    /// Consents given and taken back.
    Consents,
    /// Suppressions.
    Suppressions,
    /// Facts from the core bank (drawdowns, balances, deposits).
    Facts,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Customers, Self::List, Self::Consents, Self::Suppressions, Self::Facts];
    /// Its name on the command line and in mapping files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customers => "customers",
            Self::List => "list",
            Self::Consents => "consents",
            Self::Suppressions => "suppressions",
            Self::Facts => "facts",
        }
    }
}

/// The format of a foreign file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Jsonl,
    Parquet,
}

impl Format {
    const ALL: [Self; 3] = [Self::Csv, Self::Jsonl, Self::Parquet];
    fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// Why an import ended without an answer. What was taken before stays taken, and the same command goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The mapping does not fit the file or the kind.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
    /// The file cannot be read.
    #[error("{0}")]
    File(String),
    /// The file is not in the encoding that it was said to have.
    #[error("{0}")]
    Encoding(String),
    /// The rejects file cannot be written.
    #[error("{0}")]
    Rejects(String),
    /// The request makes no sense.
    #[error("{0}")]
    Request(String),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}
