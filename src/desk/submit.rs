//! Handing in a campaign: its law composed, its audience frozen, its run created, and sealed for whoever approves it.
use super::{DeskError, DeskResult, PAGE, approve, draft, revise};
use crate::domain::campaign::Campaign;
use crate::domain::changes::Change;
use crate::domain::channel::Channel;
use crate::domain::expression::{Expression, Value, attributes};
use crate::domain::eyes;
use crate::domain::ids::CustomerId;
use crate::domain::law::LawBook;
use crate::domain::seal::Seal;
use crate::domain::time::Timestamp;
use crate::domain::window::Law;
use crate::store::{CampaignRow, ListRow, Member, Needs, NewCampaign, RevisionRow, Status, StatusChange, Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a submission came to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Submitted {
    /// The run.
    pub campaign: CampaignRow,
    /// It was there already, unfinished, of the same file: the run goes on where it stands.
    pub continued: bool,
    /// What `audience.where` kept and left out; `None` without one, and for a run that goes on.
    pub filter: Option<Filtered>,
    /// What an approver signs.
    pub seal: Seal,
    /// The run is under way: the file was handed in as a revision of it.
    pub revision: Option<RevisionRow>,
    /// What the revision changes.
    pub changes: Vec<Change>,
}

/// What a filter did to a list. `kept + left_out + filter_errors = members`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Filtered {
    /// Members of the list.
    pub members: u64,
    /// For whom it was true.
    pub kept: u64,
    /// For whom it was false.
    pub left_out: u64,
    /// For whom it could not be told (a missing attribute, a type that does not fit); they are not in the audience.
    pub filter_errors: u64,
    /// The first few of those; not told over HTTP, where an author need not see who the customers are.
    #[serde(default)]
    pub examples: Vec<FilterError>,
}

/// One customer for whom the filter could not be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilterError {
    /// The bank's number for the customer.
    pub reference: String,
    /// Why, by names and types of attributes, never by their values.
    pub error: String,
}

/// How many filter errors are named one by one.
const EXAMPLES: usize = 5;

/// The channels that a campaign's steps use, each once, in the order of their codes.
pub fn channels(campaign: &Campaign) -> Vec<Channel> {
    Channel::ALL.into_iter().filter(|c| campaign.steps.iter().any(|s| s.channel == *c)).collect()
}

/// The composed law of a campaign, or every fault of its policy.
pub fn law(campaign: &Campaign) -> DeskResult<Law> {
    Law::compose(&campaign.policy, campaign.purpose, &channels(campaign), &campaign.limits.caps).map_err(DeskError::Law)
}

/// Hands in a campaign. Its list must be frozen; a `where` is evaluated here, once, and the result frozen as a list of its
/// own (`<list>@<campaign>#<version>`). The same file handed in again while its run is unfinished gives that run (so that
/// `run` after a crash goes on), and is refused once that run has finished. Another file becomes a revision of a run that is approved or under
/// way ([`revise`]); while the run waits for its approval it is refused. A draft of that name is handed in with it. A rehearsal replaces
/// the rehearsal before it.
pub async fn submit(store: &dyn Store, campaign: &Campaign, rehearsal: bool, by: &str, at: Timestamp) -> DeskResult<Submitted> {
    eyes::check(by).map_err(DeskError::Refused)?;
    let law = law(campaign)?;
    let hash = campaign.hash();
    let before = match store.campaign(&campaign.name, Some(rehearsal)).await {
        Ok(row) => Some(row).filter(CampaignRow::is_handed_in),
        Err(StoreError::NotFound { .. }) => None,
        Err(other) => return Err(other.into()),
    };
    let kept_draft = if rehearsal { None } else { store.draft(&campaign.name).await? };
    if let Some(kept_draft) = kept_draft.as_ref().filter(|d| d.hash != hash) {
        draft::must_be_author(store, kept_draft, by).await?;
    }
    let mut version = kept_draft.as_ref().map_or(1, |d| d.version);
    if let Some(row) = before {
        version = version.max(row.version + 1);
        if rehearsal {
            store.purge_rehearsal(row.id).await?;
        } else if !row.status.is_closed() && row.hash == hash {
            let seal = approve::seal(store, &row).await?;
            return Ok(Submitted { campaign: row, continued: true, filter: None, seal, revision: None, changes: Vec::new() });
        } else if row.ended_as() == Some(Status::Finished) && row.hash == hash {
            return Err(DeskError::Refused(format!(
                "campaign {:?} version {} of this very file is finished; to run it again would contact the same customers again for one intent. \
                 If that is meant, say so in the file: another schedule, audience or name",
                row.name,
                row.label()
            )));
        } else if row.status.is_approved() {
            return revised(store, row, campaign, kept_draft, by, at).await;
        } else if !row.status.is_closed() {
            return Err(DeskError::Refused(format!(
                "campaign {:?} version {} is {} with another file; two versions would contact the same customers for one intent. \
                 Let it finish, or end it first: touchline campaign stop {}",
                row.name,
                row.label(),
                row.status,
                row.name
            )));
        }
    }
    let list = frozen_list(store, &campaign.audience.list).await?;
    let (audience, filter) = match &campaign.audience.filter {
        None => (list.clone(), None),
        Some(expression) => {
            let (audience, filtered) = derive(store, campaign, &list, expression, rehearsal, version, at).await?;
            (audience, Some(filtered))
        }
    };
    if audience.count == 0 {
        let how = filter.as_ref().map_or_else(String::new, |f| {
            let example = f.examples.first().map_or_else(String::new, |e| format!(" (the first: {})", e.error));
            format!(" {} of its {} members are left out by `where`, for {} it could not be told{example}.", f.left_out, f.members, f.filter_errors)
        });
        return Err(DeskError::Refused(format!("the audience of {:?} is empty: list {:?} gives nobody.{how}", campaign.name, list.name)));
    }
    let new = NewCampaign {
        name: campaign.name.clone(),
        rehearsal,
        source: campaign.source.clone(),
        hash,
        audience: audience.id,
        list: list.id,
        currency: campaign.currency,
        by: by.to_owned(),
        at,
    };
    let row = match kept_draft {
        Some(kept_draft) => store.submit_draft(kept_draft.id, &new, law.rules()).await?,
        None => store.create_campaign(&new, law.rules()).await?,
    };
    let seal = approve::seal_over(store, &row, campaign).await?.seal;
    Ok(Submitted { campaign: row, continued: false, filter, seal, revision: None, changes: Vec::new() })
}

/// Hands in a revision; a draft that it was written in is put away, and its authors are authors of the revision.
async fn revised(
    store: &dyn Store,
    row: CampaignRow,
    campaign: &Campaign,
    kept_draft: Option<CampaignRow>,
    by: &str,
    at: Timestamp,
) -> DeskResult<Submitted> {
    let mut authors = vec![by.to_owned()];
    if let Some(kept_draft) = &kept_draft {
        authors.extend(approve::authors(store, kept_draft).await?.into_iter().filter(|a| a != by));
    }
    let handed_in = revise::hand_in(store, &row, campaign, &authors, at).await?;
    if let Some(kept_draft) = kept_draft {
        let why = format!("handed in as revision {} of version {}", handed_in.revision.number, row.version);
        let change = StatusChange { to: Status::Archived, by: by.to_owned(), why, at, reason: None };
        store.set_status(kept_draft.id, &change).await?;
    }
    let seal = approve::seal_over(store, &row, campaign).await?.seal;
    Ok(Submitted {
        campaign: row,
        continued: handed_in.continued,
        filter: None,
        seal,
        revision: Some(handed_in.revision),
        changes: handed_in.changes,
    })
}

/// A list by name, which must be frozen.
pub async fn frozen_list(store: &dyn Store, name: &str) -> DeskResult<ListRow> {
    let list = store.list(name).await?;
    if list.frozen_at.is_none() {
        return Err(DeskError::Refused(format!(
            "list {name:?} is still open ({} members): its count and checksum are part of what is approved. Its import did not end; \
             run the same `touchline import list FILE --mapping MAP.yaml --name {name}` again: it goes on where it stopped, and freezes the list",
            list.count
        )));
    }
    Ok(list)
}

async fn derive(
    store: &dyn Store,
    campaign: &Campaign,
    list: &ListRow,
    expression: &Expression,
    rehearsal: bool,
    version: i64,
    at: Timestamp,
) -> DeskResult<(ListRow, Filtered)> {
    let name = free_name(store, &format!("{}@{}#{version}{}", list.name, campaign.name, if rehearsal { "r" } else { "" })).await?;
    let derived = store.open_list(&name, at).await?;
    let mut filtered = Filtered::default();
    let mut after = CustomerId(i64::MIN);
    loop {
        let page = store.page(list.id, after, PAGE, filter_needs()).await?;
        let mut kept = Vec::with_capacity(page.members.len());
        for member in &page.members {
            after = member.id;
            filtered.members += 1;
            match holds(expression, member) {
                Ok(true) => kept.push(member.id),
                Ok(false) => filtered.left_out += 1,
                Err(error) => {
                    filtered.filter_errors += 1;
                    if filtered.examples.len() < EXAMPLES {
                        let reference = member.person.as_ref().map_or_else(|| member.id.to_string(), |p| p.reference.clone());
                        filtered.examples.push(FilterError { reference, error });
                    }
                }
            }
        }
        filtered.kept += kept.len() as u64;
        if !kept.is_empty() {
            store.add_members(derived, &kept, None).await?;
        }
        if page.last || page.members.is_empty() {
            break;
        }
    }
    Ok((store.freeze_list(derived, at).await?, filtered))
}

/// `name`, or `name~2`, `name~3` ... when a submission that was cut off, or an earlier rehearsal, has left a list of that name.
async fn free_name(store: &dyn Store, name: &str) -> DeskResult<String> {
    let mut candidate = name.to_owned();
    for n in 2_u32.. {
        match store.list(&candidate).await {
            Err(StoreError::NotFound { .. }) => break,
            Err(other) => return Err(other.into()),
            Ok(_) => candidate = format!("{name}~{n}"),
        }
    }
    Ok(candidate)
}

/// What a filter reads of a member.
pub(super) fn filter_needs() -> Needs {
    Needs { attributes: true, person: true, ..Needs::default() }
}

/// Evaluates a filter for a member: attributes by name, and `language`, `branch`, `rm` where no attribute has that name.
/// The error speaks of names and types only: values are the customer's own business.
pub(super) fn holds(expression: &Expression, member: &Member) -> Result<bool, String> {
    let wanted = expression.variables();
    let mut values: Vec<(String, Value)> = member.attributes.as_deref().map(attributes).unwrap_or_default();
    values.retain(|(name, _)| wanted.contains(name));
    if let Some(person) = &member.person {
        for (name, value) in [("language", &person.language), ("branch", &person.branch), ("rm", &person.rm)] {
            if let Some(text) = value
                && wanted.contains(name)
                && !values.iter().any(|(n, _)| n == name)
            {
                values.push((name.to_owned(), Value::Text(text.clone())));
            }
        }
    }
    expression.holds(values.iter().map(|(n, v)| (n.as_str(), v.clone()))).map_err(|_| {
        let missing: Vec<&str> = wanted.iter().map(String::as_str).filter(|w| !values.iter().any(|(n, _)| n == w)).collect();
        if missing.is_empty() {
            let types: Vec<String> = values.iter().map(|(n, v)| format!("{n} is {}", type_of(v))).collect();
            format!("`{}` cannot be told: {}", expression.source(), types.join(", "))
        } else {
            format!("`{}` cannot be told: no value for {}", expression.source(), missing.join(", "))
        }
    })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "text",
        Value::Int(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Bool(_) => "true or false",
    }
}
