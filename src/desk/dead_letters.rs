//! Dead letters as they are shown.
use super::DeskResult;
use crate::domain::time::Timestamp;
use crate::store::Store;
use crate::store::inbox::DeadLetter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// Its number.
    pub id: i64,
    /// The route's name, or the source of the event.
    pub source: String,
    /// `receipts` (a whole message), `receipt` (one of a message) or `event`.
    pub kind: String,
    /// Why it could not be taken.
    pub reason: String,
    /// How long what was sent is, in bytes.
    pub bytes: usize,
    /// When it came.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub received_at: Timestamp,
    /// When it was dealt with.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub closed_at: Option<Timestamp>,
    /// How.
    pub how: Option<String>,
    /// What was sent, where it was asked for by number; what is no UTF-8 in it is replaced. May hold personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

impl From<&DeadLetter> for Shown {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.id,
            source: letter.letter.source.clone(),
            kind: letter.letter.kind.name().to_owned(),
            reason: letter.letter.reason.clone(),
            bytes: letter.letter.raw.len(),
            received_at: letter.received_at,
            closed_at: letter.closed.as_ref().map(|(at, _)| *at),
            how: letter.closed.as_ref().map(|(_, how)| how.clone()),
            raw: None,
        }
    }
}

impl Shown {
    /// With what was sent.
    pub fn whole(letter: &DeadLetter) -> Self {
        Self { raw: Some(String::from_utf8_lossy(&letter.letter.raw).into_owned()), ..Self::from(letter) }
    }
}

/// A page, in the order in which they came; `open`: only those that nobody has dealt with.
pub async fn list(store: &dyn Store, open: bool, after: i64, limit: usize) -> DeskResult<Vec<Shown>> {
    Ok(store.dead_letters(open, after, limit).await?.iter().map(Shown::from).collect())
}
