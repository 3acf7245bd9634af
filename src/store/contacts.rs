//! Contacts reported from outside, and customers' wishes to be called.
use super::{StoreError, StoreResult};
pub use crate::domain::callback::Wish;
use crate::domain::consent::Purpose;
use crate::domain::ids::{CampaignId, CustomerId, TaskId, TouchKey};
pub use crate::domain::reported::Report;
use async_trait::async_trait;

/// A contact as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedContact {
    /// The report that rules.
    pub report: Report,
    /// The touch of the house's run that it is.
    pub touch: TouchKey,
}

/// What a report did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The contact as it stands now.
    pub contact: ReportedContact,
    /// It was not known before.
    pub made: bool,
    /// The report rules now: it was the first, or it corrected the one that did.
    pub changed: bool,
}

/// A wish as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WishRow {
    /// The newest word.
    pub wish: Wish,
    /// Its task has been brought in line with that word.
    pub settled: bool,
    /// The task, once there is one.
    pub task: Option<TaskId>,
}

/// The book of contacts and wishes.
#[async_trait]
pub trait ContactBook: Send + Sync {
    /// Records a contact as a touch of the house's run for its purpose, or corrects it when the report prevails over the one on record
    /// (`Report::gives_way_to`); else nothing changes. In one transaction with the run's tallies, and for a customer's first contact of that
    /// purpose with the run's audience and list, which both grow by one. The first contact of a purpose makes the run: real, finished
    /// (nothing is ever begun in it), over a list that stays open, with the file `domain::reported::house_file`. An unknown customer is
    /// `NotFound`; a report that contradicts the one on record (another customer or purpose) is a conflict; and nothing is written.
    /// Whatever the order of reports, the same ones rule in the end; only the numbers (`seq`) of a customer's touches are those of arrival.
    async fn report_contact(&self, report: &Report) -> StoreResult<Reported>;
    /// A contact by its name.
    async fn reported_contact(&self, source: &str, reference: &str) -> StoreResult<Option<ReportedContact>>;
    /// Contacts of a customer, by start, then by name.
    async fn reported_contacts(&self, customer: CustomerId) -> StoreResult<Vec<ReportedContact>>;
    /// The house's run for a purpose; `None` before its first contact.
    async fn house_run(&self, purpose: Purpose) -> StoreResult<Option<CampaignId>>;

    /// Keeps a wish when it is the first or the newest word (`Wish::gives_way_to`); then its task is to be brought in line. Gives what is
    /// on record afterwards, and whether the word was taken. A word on another customer than the one on record is a conflict.
    async fn put_wish(&self, wish: &Wish) -> StoreResult<(WishRow, bool)>;
    /// A wish by its name.
    async fn wish(&self, source: &str, reference: &str) -> StoreResult<Option<WishRow>>;
    /// Wishes of a customer, newest word first.
    async fn wishes(&self, customer: CustomerId) -> StoreResult<Vec<WishRow>>;
    /// Wishes whose tasks are not in line with them, oldest word first.
    async fn unsettled_wishes(&self, limit: usize) -> StoreResult<Vec<WishRow>>;
    /// The task of a wish is in line with this word of it. A word that a newer one has overtaken meanwhile settles nothing but the task's number.
    async fn settle_wish(&self, wish: &Wish, task: Option<TaskId>) -> StoreResult<()>;
}

/// Campaigns and lists may not bear the names of the house's runs.
pub(super) fn refuse_house_name(what: &str, name: &str) -> StoreResult<()> {
    if crate::domain::reported::is_house_name(name) {
        return Err(StoreError::Conflict(format!("the name {name:?} is reserved for contacts reported from outside; give the {what} another name")));
    }
    Ok(())
}

/// What a house's run has in its history.
pub(super) const WHY: &str = "the house's own run: contacts reported from outside; nothing is ever begun in it";

/// Two reports of one contact must agree on its customer and purpose.
pub(super) fn check_report(known: &Report, report: &Report) -> StoreResult<()> {
    let Some(what) = known.contradicts(report) else { return Ok(()) };
    Err(StoreError::Conflict(format!(
        "the contact {:?} of {:?} is on record for {what}: give another contact another reference",
        report.reference, report.source
    )))
}

/// Two words on one wish must be about one customer.
pub(super) fn check_wish(known: &Wish, word: &Wish) -> StoreResult<()> {
    if known.customer == word.customer {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "the wish {:?} of {:?} is on record for another customer: give another wish another reference",
        word.reference, word.source
    )))
}
