//! Whom and which touch an event is about, read in as few calls as a batch allows.
use super::read::{Kind, Read};
use crate::desk::DeskResult;
use crate::domain::access::Actor;
use crate::domain::channel::Channel;
use crate::domain::contact::Phone;
use crate::domain::ids::CustomerId;
use crate::domain::touch::Touch;
use crate::store::{Needs, Person, Store};
use std::collections::{BTreeSet, HashMap};

/// The customers that a batch speaks of, as far as the teller may speak of them.
#[derive(Default)]
pub(super) struct Found {
    people: HashMap<CustomerId, Person>,
    by_reference: HashMap<String, CustomerId>,
    by_phone: HashMap<Phone, Vec<CustomerId>>,
    /// Names of campaigns by run, for those that an event names.
    runs: HashMap<crate::domain::ids::CampaignId, String>,
}

impl Found {
    /// Whom an event is about: none, one, or several who share a number.
    pub fn customers(&self, event: &Read) -> Vec<CustomerId> {
        let by_reference = event.data.customer.as_ref().map(|r| self.by_reference.get(r).copied());
        let by_touch = event.touch.map(|key| Some(key.customer));
        let all: Vec<CustomerId> = match (by_reference, by_touch, &event.phone) {
            // Two names of two customers: of nobody.
            (Some(a), Some(b), _) if a != b => Vec::new(),
            (Some(found), ..) | (None, Some(found), _) => found.into_iter().collect(),
            (None, None, Some(phone)) => self.by_phone.get(phone).cloned().unwrap_or_default(),
            (None, None, None) => Vec::new(),
        };
        all.into_iter().filter(|id| self.people.contains_key(id)).collect()
    }
    pub fn person(&self, customer: CustomerId) -> Option<&Person> {
        self.people.get(&customer)
    }
}

pub(super) async fn find<'a>(store: &dyn Store, actor: &Actor, events: impl Iterator<Item = &'a Read>) -> DeskResult<Found> {
    let mut found = Found::default();
    let (mut references, mut ids, mut names_a_campaign) = (BTreeSet::new(), BTreeSet::new(), false);
    for event in events {
        references.extend(event.data.customer.as_deref());
        ids.extend(event.touch.map(|key| key.customer));
        names_a_campaign |= event.data.campaign.is_some();
        if let Some(phone) = &event.phone
            && !found.by_phone.contains_key(phone)
        {
            let customers = store.customers_by_phone(phone).await?;
            ids.extend(&customers);
            found.by_phone.insert(phone.clone(), customers);
        }
    }
    let references: Vec<&str> = references.into_iter().collect();
    for (reference, id) in references.iter().zip(store.customer_ids(&references).await?) {
        if let Some(id) = id {
            found.by_reference.insert((*reference).to_owned(), id);
            ids.insert(id);
        }
    }
    let ids: Vec<CustomerId> = ids.into_iter().collect();
    for member in store.members(&ids, Needs { person: true, ..Needs::default() }).await? {
        if let Some(person) = member.person
            && actor.sees(person.branch.as_deref(), person.rm.as_deref())
        {
            found.people.insert(member.id, *person);
        }
    }
    if names_a_campaign {
        found.runs = store.campaigns().await?.into_iter().map(|row| (row.id, row.name)).collect();
    }
    Ok(found)
}

/// The touch that an open or a click is about: the one it names, else the customer's newest message that was sent.
pub(super) async fn touch(store: &dyn Store, event: &Read, customer: CustomerId, found: &Found) -> DeskResult<Option<Touch>> {
    if let Some(key) = event.touch {
        return Ok(store.touch(key).await?.filter(|t| t.state.stands()));
    }
    let carries = |channel: Option<Channel>| match event.data.channel {
        Some(only) => channel == Some(only),
        None if event.kind == Kind::Opened => matches!(channel, Some(Channel::Push | Channel::Email)),
        None => matches!(channel, Some(Channel::Push | Channel::Email | Channel::Sms)),
    };
    let of_campaign = |touch: &Touch| event.data.campaign.as_ref().is_none_or(|name| found.runs.get(&touch.key.campaign) == Some(name));
    let touches = store.timeline(customer).await?;
    Ok(touches.into_iter().rev().find(|t| t.state.stands() && !t.key.campaign.is_rehearsal() && carries(t.channel) && of_campaign(t)))
}
