//! What a store does for personal data beside sealing them: erasing, forgetting what has been kept long enough, sealing anew.
use super::{CustomerRow, StoreResult};
use crate::domain::contact::Phone;
use crate::domain::ids::{CustomerId, TouchKey};
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use serde::Serialize;

/// The reason and the source of the suppression that an erased customer is under, and what takes the place of texts.
pub const ERASED: &str = "erased";

/// Whether what was sent and could not be taken speaks of a customer: by reference, telephone number (its digits, however they are
/// grouped), address, or one of their touches.
pub fn speaks_of(raw: &[u8], customer: &CustomerRow) -> bool {
    let text = String::from_utf8_lossy(raw);
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let names = |word: &str| {
        text.match_indices(word).any(|(at, found)| {
            let before = text.get(..at).and_then(|t| t.chars().next_back());
            let after = text.get(at + found.len()..).and_then(|t| t.chars().next());
            !before.is_some_and(is_part) && !after.is_some_and(is_part)
        })
    };
    let of_phone = |phone: &Phone| {
        let packed: String = text.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
        let digits: String = phone.normalised().chars().filter(char::is_ascii_digit).collect();
        digits.len() >= 7 && packed.contains(&digits)
    };
    let of_touch = |word: &str| word.parse::<TouchKey>().is_ok_and(|touch| touch.customer == customer.id);
    names(&customer.reference)
        || customer.phone.as_ref().is_some_and(of_phone)
        || customer.email.as_ref().is_some_and(|email| text.to_lowercase().contains(&*email.normalised()))
        || text.split(|c| !is_part(c)).any(of_touch)
}

/// How a dead letter is closed whose customer is erased.
pub const LETTER_ERASED: &str = "its customer was erased";

/// Why a customer whose reference was erased is not taken in.
pub const ERASED_REFERENCE: &str = "the customer of this reference was erased at their wish and is not taken in again; if they have come back by \
    their own will, say so first: `touchline erase --readmit --customer REF --why TEXT`";
/// Why a new customer with an erased customer's telephone number is not taken in.
pub const ERASED_PHONE: &str = "the telephone number is that of a customer who was erased at their wish; if it is another person's now, or they have come \
    back by their own will, say so first: `touchline erase --readmit --phone NUMBER --why TEXT`";
/// Why a reference in the form of a pseudonym is not taken in.
pub const PSEUDONYM: &str = "expected the bank's reference, found one of the form erased-NUMBER, which stands for customers who were erased";

/// What an erased customer is called from then on.
pub fn pseudonym(customer: CustomerId) -> String {
    format!("erased-{customer}")
}

/// Whether a reference is an erased customer's.
pub fn is_pseudonym(reference: &str) -> bool {
    reference.strip_prefix("erased-").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// A customer to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// Whom.
    pub customer: CustomerId,
    /// Who has asked for it in the bank.
    pub by: String,
    /// Why, without personal data.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// What an erasure did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Erased {
    /// What the customer is called from now on.
    pub pseudonym: String,
    /// The customer had been erased before, and nothing was done.
    pub already: bool,
    /// Raw receipts whose text was overwritten.
    pub receipts: u64,
    /// Consents and suppressions whose source was overwritten; that they were given stays.
    pub sources: u64,
    /// Tasks whose script and notes were removed.
    pub tasks: u64,
    /// Checkpoints that were removed.
    pub checkpoints: u64,
}

/// How far a walk that seals anew has come, and what it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealRound {
    /// Where the next round goes on; `None`: everything is sealed under the first key.
    pub next: Option<CustomerId>,
    /// Customers (and rows of theirs) sealed anew in this round.
    pub sealed: u64,
}

/// How many values are sealed under a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SealedUnder {
    /// The key's name; `None`: not sealed.
    pub key: Option<String>,
    /// How many values.
    pub values: u64,
    /// Whether it is the key that seals now.
    pub current: bool,
}

/// What is not kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Retained {
    /// Raw receipts of providers; the ledger's rows that they led to stay.
    Receipts,
    /// Scripts and notes of closed tasks; the tasks themselves, with their results, stay.
    Tasks,
    /// Closed checkpoints.
    Checkpoints,
    /// Dead letters that somebody has dealt with: what was sent, as it was sent.
    DeadLetters,
    /// The log of changed contactability: only a page that was read before a change and is decided on after it asks for it.
    ContactChanges,
}

impl Retained {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Receipts, Self::Tasks, Self::Checkpoints, Self::DeadLetters, Self::ContactChanges];
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receipts => "receipts",
            Self::Tasks => "tasks",
            Self::Checkpoints => "checkpoints",
            Self::DeadLetters => "dead_letters",
            Self::ContactChanges => "contact_changes",
        }
    }
}

/// Erasing, forgetting, sealing anew.
#[async_trait]
pub trait PersonalData: Send + Sync {
    /// Erases a customer in one transaction: contact details, attributes and everything said about them go, the reference becomes a
    /// [`pseudonym`], a suppression for ever (`erased`) stands on it, and marks of the reference and the telephone number stay, so that an import
    /// that brings them back is told. Touches, list memberships, facts, credits and checksums stay under the customer's number: every sum stands.
    /// An unknown customer is `NotFound`.
    async fn erase(&self, erasure: &Erasure) -> StoreResult<Erased>;
    /// When, by whom and why a customer was erased.
    async fn erasure(&self, customer: CustomerId) -> StoreResult<Option<Erasure>>;
    /// Takes the marks away that bar a reference, or a telephone number, from being taken in again; says whether there were any.
    /// What was erased does not come back.
    async fn readmit(&self, reference: Option<&str>, phone: Option<&Phone>) -> StoreResult<bool>;
    /// Seals up to `limit` customers after `after` that are open or under another key anew under the first key, in one transaction, also while others
    /// write. A store that seals nothing is done at once.
    async fn seal_anew(&self, after: CustomerId, limit: usize) -> StoreResult<SealRound>;
    /// How many values are sealed under which key.
    async fn sealed_under(&self) -> StoreResult<Vec<SealedUnder>>;
    /// What replaced and removed values leave in files (free pages, the log) is written over. Waits for nobody: says whether all of it is gone.
    /// `whole`: the whole file is written anew, which takes as much room again.
    async fn scrub(&self, whole: bool) -> StoreResult<bool>;
    /// How much of a kind is older than `before`.
    async fn outdated(&self, what: Retained, before: Timestamp) -> StoreResult<u64>;
    /// Removes up to `limit` of a kind that are older than `before`; returns how many.
    async fn forget(&self, what: Retained, before: Timestamp, limit: usize) -> StoreResult<u64>;
}
