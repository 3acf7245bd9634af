//! Calling tasks off: a campaign that was stopped, or a customer who has opted out, complained or converted, wants no contact any more.
use super::rounds::{AT_ONCE, write};
use crate::campaign_file;
use crate::desk::DeskResult;
use crate::domain::campaign::Campaign;
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentState, Contactability, Purpose};
use crate::domain::ids::{CampaignId, CustomerId, TaskId};
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::worklist::{Task, TaskEvent, lease};
use crate::store::{Needs, Status, Store, Wanted};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Finds out whether tasks that carry out touches must still be done. Campaigns are read once.
#[derive(Default)]
pub struct CallOff {
    campaigns: HashMap<CampaignId, Grounds>,
}

struct Grounds {
    stopped: bool,
    file: Option<Campaign>,
}

/// Whether the customer's own word forbids it: the rules by which the engine would not start the touch any more.
fn forbidden(file: Option<&Campaign>, now: Contactability) -> Option<Reason> {
    let purpose = file.map_or(Purpose::Marketing, |c| c.purpose);
    let stop_on = file.map(|c| c.stop_on).unwrap_or_default();
    let withdrawn = |channel: &Channel| now.consent(*channel, purpose) == ConsentState::Withdrawn;
    if now.has_complained() && (stop_on.complaint || purpose == Purpose::Marketing) {
        return Some(Reason::Complained);
    }
    if now.is_suppressed(Channel::Worklist) {
        return Some(Reason::OnSuppressionList);
    }
    (withdrawn(&Channel::Worklist) || stop_on.opt_out && Channel::ALL.iter().any(withdrawn)).then_some(Reason::OptedOut)
}

impl CallOff {
    async fn grounds(&mut self, store: &dyn Store, id: CampaignId) -> DeskResult<&Grounds> {
        match self.campaigns.entry(id) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(place) => {
                let row = store.campaign_by_id(id).await?;
                let stopped = row.status == Status::Stopped || row.wanted == Wanted::Stop;
                Ok(place.insert(Grounds { stopped, file: campaign_file::load(&row.name, &row.source).ok() }))
            }
        }
    }

    /// Why a task must not be done any more; `None`: it may be, or it carries out no touch.
    pub async fn reason(&mut self, store: &dyn Store, task: &Task) -> DeskResult<Option<Reason>> {
        if task.made.touch.is_none() || task.state.is_closed() {
            return Ok(None);
        }
        let now = store.contactability(task.made.customer).await?;
        self.reason_given(store, task, now).await
    }

    async fn reason_given(&mut self, store: &dyn Store, task: &Task, now: Contactability) -> DeskResult<Option<Reason>> {
        let Some(touch) = task.made.touch else { return Ok(None) };
        let Grounds { stopped, file } = self.grounds(store, touch.campaign).await?;
        if *stopped {
            return Ok(Some(Reason::Stopped));
        }
        if let Some(reason) = forbidden(file.as_ref(), now) {
            return Ok(Some(reason));
        }
        let Some(file) = file.as_ref().filter(|c| c.stop_on.conversion && !c.conversions.is_empty()) else { return Ok(None) };
        let since = file.schedule.starts_at();
        let converts = |kind: &str, product: Option<&str>| {
            file.conversions.iter().any(|c| c.fact == kind && (c.product.is_none() || c.product.as_deref() == product))
        };
        let facts = store.customer_facts(task.made.customer).await?;
        let converted = facts.iter().any(|fact| fact.at >= since && converts(&fact.kind, fact.product.as_deref()));
        Ok(converted.then_some(Reason::Converted))
    }
}

/// Calls tasks off, each for its reason.
pub(super) async fn cancel(store: &dyn Store, tasks: &[(Task, Reason)], now: Timestamp) -> DeskResult<usize> {
    let off = |(task, reason): &(Task, Reason)| Some((lease::cancel(task, now)?, vec![TaskEvent::new("cancelled", "engine", reason.name(), now)]));
    let changes: Vec<_> = tasks.iter().filter_map(off).collect();
    if changes.is_empty() { Ok(0) } else { write(store, &changes).await }
}

/// Looks at the next [`AT_ONCE`] open tasks of touches after `after`, and calls off those that must not be done any more. Gives how many,
/// and where the next round goes on (0: from the beginning). `touchline serve` runs it every second; a claim asks for itself, so that an
/// opt-out holds at once for what nobody has claimed.
pub async fn call_off_round(store: &dyn Store, after: TaskId, now: Timestamp) -> DeskResult<(usize, TaskId)> {
    let page = store.open_touch_tasks(after, AT_ONCE).await?;
    let next = page.last().filter(|_| page.len() == AT_ONCE).map_or(TaskId(0), |task| task.id);
    let customers: Vec<CustomerId> = page.iter().map(|t| t.made.customer).collect();
    let members = store.members(&customers, Needs::default()).await?;
    let contactability: HashMap<CustomerId, Contactability> = members.into_iter().map(|m| (m.id, m.contactability)).collect();
    let mut call_off = CallOff::default();
    let mut found = Vec::new();
    for task in page {
        let now = contactability.get(&task.made.customer).copied().unwrap_or_default();
        if let Some(reason) = call_off.reason_given(store, &task, now).await? {
            found.push((task, reason));
        }
    }
    Ok((cancel(store, &found, now).await?, next))
}
