//! The second pair of eyes: what an approval signs, who may give it, and whether it still holds.
use super::{DeskError, DeskResult};
use crate::campaign_file;
use crate::channels::route::RouteSpec;
use crate::domain::campaign::Campaign;
use crate::domain::eyes;
use crate::domain::ids::ListId;
use crate::domain::law::{LawBook, Rule};
use crate::domain::seal::{ListPart, Parts, Seal};
use crate::domain::time::Timestamp;
use crate::domain::window::Law;
pub use crate::store::RevisionRow;
use crate::store::{ApprovalRow, CampaignRow, NewApproval, Status, Store, StoreError};
use serde::Serialize;

/// How many persons a campaign needs before it may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eyes {
    /// Its author and another.
    Four,
    /// Its author alone: it contacts nobody, or the house has turned four eyes off.
    Two,
}

impl Eyes {
    /// What a campaign needs on these routes. `four_eyes` is the setting `approval.four_eyes`.
    pub fn needed(four_eyes: bool, rehearsal: bool, campaign: &Campaign, routes: &[RouteSpec]) -> Self {
        if four_eyes && !rehearsal && contacts_people(campaign, routes) { Self::Four } else { Self::Two }
    }
}

/// Whether any route that a step of the campaign may use contacts real people.
pub fn contacts_people(campaign: &Campaign, routes: &[RouteSpec]) -> bool {
    let used = |r: &&RouteSpec| campaign.steps.iter().any(|s| s.channel == r.channel && (s.routes.is_empty() || s.routes.contains(&r.name)));
    routes.iter().filter(used).any(RouteSpec::contacts_people)
}

/// What an approval came to.
#[derive(Clone, Debug, Serialize)]
pub struct Approved {
    /// The run.
    #[serde(flatten)]
    pub campaign: CampaignRow,
    /// What was signed.
    pub seal: Seal,
    /// The revision that was approved; `None`: the run itself.
    pub revision: Option<RevisionRow>,
}

/// A text of a run, sealed as of now.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// The seal.
    pub seal: Seal,
    /// The run's rules, followed by those that this text's law has and the run had not.
    pub rules: Vec<Rule>,
    /// How many of them the run had.
    pub known: usize,
}

/// The law of a run, numbered on from the rules that its touches name.
pub async fn law_of(store: &dyn Store, row: &CampaignRow, campaign: &Campaign) -> DeskResult<Law> {
    let earlier = store.rules(row.id).await?;
    let channels = super::submit::channels(campaign);
    Law::compose_onto(&earlier, &campaign.policy, campaign.purpose, &channels, &campaign.limits.caps).map_err(DeskError::Law)
}

/// The campaign in a text that the store keeps.
pub fn kept(name: &str, source: &str) -> DeskResult<Campaign> {
    campaign_file::load(name, source).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        DeskError::Refused(format!("the file kept of campaign {name:?} is none for this program any more:\n  {}", faults.join("\n  ")))
    })
}

/// Seals a campaign over a run's lists as they are kept now, and over its law as this program composes it now.
pub async fn seal_over(store: &dyn Store, row: &CampaignRow, campaign: &Campaign) -> DeskResult<Sealed> {
    let fresh = super::submit::law(campaign)?;
    let lists = store.lists().await?;
    let part = |id: ListId| {
        let list = lists.iter().find(|l| l.id == id);
        list.map(|l| ListPart { name: l.name.clone(), count: l.count, checksum: l.checksum.clone() })
            .ok_or_else(|| DeskError::Store(StoreError::NotFound { what: "list", name: id.to_string(), hint: String::new() }))
    };
    let seal = Seal::of(campaign, part(row.list)?, part(row.audience_list)?, fresh.rules());
    let known = store.rules(row.id).await?.len();
    let rules = law_of(store, row, campaign).await?.rules().to_vec();
    Ok(Sealed { seal, rules, known })
}

/// The seal of a run as it would be signed now.
pub async fn seal(store: &dyn Store, row: &CampaignRow) -> DeskResult<Seal> {
    Ok(seal_over(store, row, &kept(&row.name, &row.source)?).await?.seal)
}

/// What an approver would sign now: of a submitted run, or of the revision that waits for it; `None` when nothing waits, or when what waits
/// cannot be sealed any more (its next submission says why).
pub async fn to_be_signed(store: &dyn Store, row: &CampaignRow) -> DeskResult<Option<Seal>> {
    let source = if row.status == Status::Submitted {
        row.source.clone()
    } else {
        match store.open_revision(row.id).await? {
            Some(revision) if row.status.is_approved() => revision.source,
            _ => return Ok(None),
        }
    };
    let Ok(campaign) = kept(&row.name, &source) else { return Ok(None) };
    match seal_over(store, row, &campaign).await {
        Ok(sealed) => Ok(Some(sealed.seal)),
        Err(DeskError::Law(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Everybody who has written or handed in a text of a run.
pub async fn authors(store: &dyn Store, row: &CampaignRow) -> DeskResult<Vec<String>> {
    let mut authors: Vec<String> = Vec::new();
    for text in store.texts(row.id).await? {
        if !authors.contains(&text.by) {
            authors.push(text.by);
        }
    }
    Ok(authors)
}

/// Refuses an approver whose token stems from an author of what waits: made by one, or by somebody whose own token one has made, and so on. Whoever
/// may make tokens could else give themselves a second name, and approve under it what they wrote under the first.
pub async fn not_of_an_authors_making(store: &dyn Store, name: &str, token: i64) -> DeskResult<()> {
    let row = store.campaign(name, Some(false)).await?;
    let authors = match store.open_revision(row.id).await? {
        Some(revision) if row.status.is_approved() => revision.authors,
        _ => authors(store, &row).await?,
    };
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = store.tokens(after, super::PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        all.extend(page);
    }
    let mut makers: Vec<&str> = all.iter().filter(|t| t.id == token).map(|t| t.made_by.as_str()).collect();
    let mut next = 0;
    while let Some(maker) = makers.get(next).copied() {
        if eyes::among(maker, authors.iter().map(String::as_str)) {
            return Err(DeskError::Refused(format!(
                "the token shown stems from {maker}, who has written or handed in this version of campaign {name:?}; an approver whom {maker} did not let in \
                 must approve it"
            )));
        }
        next += 1;
        for token in all.iter().filter(|t| eyes::same(&t.grant.name, maker)) {
            if !makers.contains(&token.made_by.as_str()) {
                makers.push(&token.made_by);
            }
        }
    }
    Ok(())
}

/// Approves what waits: the open revision of a run that is under way, or else a submitted run. `digits` are what the approver has seen of its
/// seal, 12 at least. With `four_eyes` whoever has written at it cannot approve.
pub async fn approve(store: &dyn Store, name: &str, digits: &str, by: &str, why: &str, four_eyes: bool, at: Timestamp) -> DeskResult<Approved> {
    eyes::check(by).map_err(DeskError::Refused)?;
    let row = store.campaign(name, Some(false)).await?;
    let open = if row.status.is_approved() { store.open_revision(row.id).await? } else { None };
    if open.is_none() && row.status != Status::Submitted {
        if row.status.is_approved()
            && let Some(standing) = in_force(&store.approvals(row.id).await?, row.revision)
            && standing.seal == digits
            && eyes::same(&standing.by, by)
        {
            let seal = seal(store, &row).await?;
            return Ok(Approved { campaign: row, seal, revision: None });
        }
        return Err(DeskError::Refused(format!(
            "campaign {name:?} version {} is {}; only a submitted one can be approved, or a revision that was handed in",
            row.label(),
            row.status
        )));
    }
    let authors = match &open {
        Some(revision) => revision.authors.clone(),
        None => authors(store, &row).await?,
    };
    let alone = eyes::among(by, authors.iter().map(String::as_str));
    if alone && four_eyes {
        return Err(DeskError::Refused(format!(
            "{by} has written or handed in this version of campaign {name:?}; another person must approve it (authors: {})",
            authors.join(", ")
        )));
    }
    let source = open.as_ref().map_or(&row.source, |r| &r.source);
    let sealed = seal_over(store, &row, &kept(name, source)?).await?;
    if !sealed.seal.named_by(digits) {
        let what = open.as_ref().map_or_else(|| format!("version {}", row.label()), |r| format!("revision {}", r.number));
        return Err(DeskError::Refused(format!(
            "the hash does not match: the seal of campaign {name:?} {what} is {}, the approval names {digits:?} (12 digits at least). \
             File, list, texts or policy are not what was read; look again (touchline campaign diff {name}) and approve that",
            sealed.seal.short()
        )));
    }
    let approval = signed(&sealed.seal, alone, by, why, at)?;
    match open {
        None => {
            let campaign = store.approve_campaign(row.id, &approval, &sealed.rules).await?;
            Ok(Approved { campaign, seal: sealed.seal, revision: None })
        }
        Some(revision) => {
            let revision = store.approve_revision(row.id, revision.number, &approval).await?;
            Ok(Approved { campaign: row, seal: sealed.seal, revision: Some(revision) })
        }
    }
}

fn signed(seal: &Seal, alone: bool, by: &str, why: &str, at: Timestamp) -> DeskResult<NewApproval> {
    let parts = serde_json::to_string(&seal.parts).map_err(|e| DeskError::Broken(format!("the parts of a seal could not be written: {e}")))?;
    Ok(NewApproval { seal: seal.seal.clone(), parts, alone, by: by.to_owned(), why: why.to_owned(), at })
}

/// Approves, in the author's own name, what needs no second person ([`Eyes::Two`]): a submitted run, or else its open revision. What is
/// approved already is left as it is.
pub async fn approve_alone(store: &dyn Store, row: &CampaignRow, by: &str, why: &str, at: Timestamp) -> DeskResult<CampaignRow> {
    if row.status == Status::Submitted {
        let sealed = seal_over(store, row, &kept(&row.name, &row.source)?).await?;
        return Ok(store.approve_campaign(row.id, &signed(&sealed.seal, true, by, why, at)?, &sealed.rules).await?);
    }
    if row.status.is_approved()
        && let Some(revision) = store.open_revision(row.id).await?
    {
        let sealed = seal_over(store, row, &kept(&row.name, &revision.source)?).await?;
        store.approve_revision(row.id, revision.number, &signed(&sealed.seal, true, by, why, at)?).await?;
    }
    Ok(row.clone())
}

/// The approval that counts for a revision.
fn in_force(approvals: &[ApprovalRow], revision: i64) -> Option<&ApprovalRow> {
    approvals.iter().rev().find(|a| a.revision == revision && a.void_at.is_none())
}

/// Whether the approval of a run still holds: what it signed is what would be signed now, and it was given by as many persons as are needed
/// now. The error says why not; [`ensure`] draws the consequence.
pub async fn holds(store: &dyn Store, row: &CampaignRow, eyes: Eyes) -> DeskResult<Result<(), String>> {
    let sealed = match kept(&row.name, &row.source) {
        Ok(campaign) => seal_over(store, row, &campaign).await,
        Err(fault) => Err(fault),
    };
    match sealed {
        Ok(sealed) => verdict(&store.approvals(row.id).await?, row.revision, &sealed.seal, eyes),
        // A preset that is gone, a file that this program does not read: nobody has approved that.
        Err(fault @ (DeskError::Law(_) | DeskError::Refused(_))) => Ok(Err(fault.to_string())),
        Err(other) => Err(other),
    }
}

/// As [`holds`], for a revision that is approved and not taken up.
pub(super) async fn revision_holds(store: &dyn Store, row: &CampaignRow, revision: &RevisionRow, eyes: Eyes) -> DeskResult<Result<(), String>> {
    let campaign = match kept(&row.name, &revision.source) {
        Ok(campaign) => campaign,
        Err(fault) => return Ok(Err(fault.to_string())),
    };
    match seal_over(store, row, &campaign).await {
        Ok(sealed) => verdict(&store.approvals(row.id).await?, revision.number, &sealed.seal, eyes),
        Err(DeskError::Law(faults)) => Ok(Err(faults.join("; "))),
        Err(other) => Err(other),
    }
}

fn verdict(approvals: &[ApprovalRow], revision: i64, now: &Seal, eyes: Eyes) -> DeskResult<Result<(), String>> {
    let Some(approval) = in_force(approvals, revision) else {
        return Ok(Err(
            "no approval on record signs its list, texts and policy (an earlier version of Touchline let the file alone be signed)".to_owned()
        ));
    };
    if approval.seal != now.seal {
        let then: Parts = serde_json::from_str(&approval.parts)
            .map_err(|e| DeskError::Broken(format!("the parts of the seal {} cannot be read: {e}", approval.seal)))?;
        return Ok(Err(format!("what {} signed is not what is here now: {}", approval.by, then.changes(&now.parts).join(", "))));
    }
    if approval.alone && eyes == Eyes::Four {
        return Ok(Err(format!("{} approved it alone, and it would contact people: another person must approve it", approval.by)));
    }
    Ok(Ok(()))
}

/// A run that may start: approved, and its approval holds. One whose approval does not hold any more goes back to `Submitted`, with the
/// reason in its history.
pub async fn ensure(store: &dyn Store, row: &CampaignRow, eyes: Eyes, at: Timestamp) -> DeskResult<()> {
    if !row.status.is_approved() {
        return Err(not_approved(store, row).await?);
    }
    let Err(why) = holds(store, row, eyes).await? else { return Ok(()) };
    let row = store.void_approval(row.id, &why, at).await?;
    tracing::warn!(campaign = %row.id, "the approval of {} version {} is void: {why}", row.name, row.label());
    let DeskError::Refused(next) = not_approved(store, &row).await? else { return Err(DeskError::Refused(why)) };
    Err(DeskError::Refused(format!("the approval of campaign {:?} version {} is void: {why}. {next}", row.name, row.label())))
}

/// The refusal of a run that is not approved, with the command that approves it.
pub async fn not_approved(store: &dyn Store, row: &CampaignRow) -> DeskResult<DeskError> {
    if row.status != Status::Submitted {
        return Ok(DeskError::Refused(format!("campaign {:?} version {} is {}, not approved", row.name, row.label(), row.status)));
    }
    let digits = match seal(store, row).await {
        Ok(seal) => seal.short().to_owned(),
        // It cannot be sealed any more, which is told with the next submission.
        Err(_) => "SEAL".to_owned(),
    };
    Ok(DeskError::Refused(format!(
        "campaign {:?} version {} is not approved yet; another person than its author does it: touchline campaign approve {} --hash {digits}",
        row.name,
        row.label(),
        row.name
    )))
}
