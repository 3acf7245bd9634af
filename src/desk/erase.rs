//! Erasing a customer (PIPL art. 47, GDPR art. 17): what is known of the person goes, the sums stay.
//!
//! Contact details, attributes, language, branch, RM and zone, scripts and notes of tasks, checkpoints, words of receipts, holds and wishes, and
//! the sources of consents are gone for good. The bank's reference becomes a pseudonym (`erased-NUMBER`). Touches, list memberships,
//! facts, credits, tallies and checksums stand under the customer's number: a list's checksum was taken when it was frozen and is
//! never taken again, and `verify` reads an erased customer's reference in an old export as the pseudonym. Exports made before stay
//! as they are: they are finance's records, kept by law (GDPR art. 17(3)(b)); so do backups until they are overwritten.
use super::{DeskError, DeskResult};
use crate::domain::access::Actor;
use crate::domain::contact::Phone;
use crate::domain::time::Timestamp;
use crate::domain::worklist::lease;
pub use crate::store::privacy::Erased;
use crate::store::privacy::{Erasure, is_pseudonym};
use crate::store::tasks::{TaskEvent, TaskFilter, TaskState};
use crate::store::{CustomerRow, Store, StoreError};

/// Longest reason.
const LONGEST_WHY: usize = 500;
/// Tasks called off at a time.
const TASKS: usize = 500;

/// Erases a customer. Open tasks are called off first; what is scheduled ends as suppressed when it is due, and nothing new is begun.
///
/// # Errors
/// `NotFound` for a reference that is unknown, or whose customer the actor may not see.
pub async fn erase(store: &dyn Store, actor: &Actor, reference: &str, why: &str, at: Timestamp) -> DeskResult<Erased> {
    let why = said(why)?;
    let customer = seen(store, actor, reference).await?;
    if !is_pseudonym(&customer.reference) {
        cancel_tasks(store, actor, &customer, at).await?;
    }
    let erased = store.erase(&Erasure { customer: customer.id, by: actor.name.clone(), why, at }).await?;
    // Best effort: a reader in the way leaves it to the next.
    store.scrub(false).await?;
    Ok(erased)
}

/// Lets an erased customer in again: an import may bring the reference or the telephone number as a new customer. What was erased does
/// not come back.
///
/// # Errors
/// When nothing bars either.
pub async fn readmit(store: &dyn Store, reference: Option<&str>, phone: Option<&Phone>, why: &str) -> DeskResult<()> {
    said(why)?;
    if store.readmit(reference, phone).await? {
        return Ok(());
    }
    Err(DeskError::Refused("no erased customer had that reference or telephone number: nothing bars them, and nothing was changed".to_owned()))
}

fn said(why: &str) -> DeskResult<String> {
    let why = why.trim();
    match why.chars().count() {
        0 => Err(DeskError::Refused("expected a reason (who asked, by which letter), found none".to_owned())),
        n if n > LONGEST_WHY => Err(DeskError::Refused(format!("expected a reason of at most {LONGEST_WHY} characters, found {n}"))),
        _ => Ok(why.to_owned()),
    }
}

async fn seen(store: &dyn Store, actor: &Actor, reference: &str) -> DeskResult<CustomerRow> {
    let customer = store.customer(reference).await?.filter(|c| actor.sees(c.branch.as_deref(), c.rm.as_deref()));
    // The reference of somebody who may be erased already is not repeated.
    let unknown = || StoreError::NotFound { what: "customer", name: "of this reference".to_owned(), hint: String::new() };
    Ok(customer.ok_or_else(unknown)?)
}

async fn cancel_tasks(store: &dyn Store, actor: &Actor, customer: &CustomerRow, at: Timestamp) -> DeskResult<()> {
    loop {
        let states = vec![TaskState::Open, TaskState::Claimed];
        let filter = TaskFilter { customer: Some(customer.id), states, limit: TASKS, ..TaskFilter::default() };
        let changes: Vec<_> = store
            .tasks(&filter)
            .await?
            .iter()
            .filter_map(|task| lease::cancel(task, at))
            .map(|task| (task, vec![TaskEvent::new("cancelled", &actor.name, "the customer was erased", at)]))
            .collect();
        if changes.is_empty() {
            return Ok(());
        }
        match store.change_tasks(&changes).await {
            // Somebody has worked on one meanwhile: look again.
            Ok(()) | Err(StoreError::Conflict(_)) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
}
