//! Every decision about one customer: what is on record, what was done, by which rule, and what came of it.
use super::DeskResult;
use crate::domain::access::Actor;
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentRecord, SuppressionRecord};
use crate::domain::contact::{EmailAddress, Phone};
use crate::domain::ids::{CustomerId, ListId, RouteId};
use crate::domain::law::Rule;
use crate::domain::money::micros_to_decimal;
use crate::domain::touch::Touch;
use crate::store::{CampaignRow, CreditRow, CustomerRow, Needs, Status, Store, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What is known of one customer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Who, with addresses masked.
    pub customer: Identity,
    /// Consents on record, oldest first.
    pub consents: Vec<ConsentRecord>,
    /// Suppressions on record, oldest first.
    pub suppressions: Vec<SuppressionRecord>,
    /// Campaigns: those with a touch of the customer, or the one that was asked for.
    pub campaigns: Vec<InCampaign>,
    /// Facts on record, without their amounts.
    pub facts: Vec<FactSeen>,
}

/// A customer, recognisable to whoever has the bank's number, and to nobody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The bank's number.
    pub reference: String,
    /// Masked (`+86138****8000`).
    pub phone: Option<String>,
    /// Masked (`z***@bank.example`).
    pub email: Option<String>,
    /// Whether there is a push token.
    pub push: bool,
    /// Own zone.
    pub timezone: Option<String>,
    /// Language.
    pub language: Option<String>,
    /// Branch.
    pub branch: Option<String>,
    /// Whether a relationship manager is on record.
    pub rm: bool,
}

/// One campaign's dealings with the customer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct InCampaign {
    /// Name.
    pub campaign: String,
    /// Version.
    pub version: i64,
    /// Whether it contacted nobody.
    pub rehearsal: bool,
    /// Where the run stands.
    pub status: Status,
    /// Where the customer stands: a state, or `not_in_audience`.
    pub standing: String,
    /// In words, why.
    pub why: String,
    /// Touches, oldest first.
    pub touches: Vec<TouchSeen>,
    /// Credits given for facts.
    pub credits: Vec<CreditSeen>,
}

/// One touch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TouchSeen {
    /// Its name (campaign-customer-seq), as `touchline resolve` takes it.
    pub touch: String,
    /// The step: its name, or its place from 1 when the file can no longer be read.
    pub step: String,
    /// The attempt within the step.
    pub attempt: u16,
    /// Channel.
    pub channel: Option<Channel>,
    /// Route.
    pub route: Option<String>,
    /// State.
    pub state: Cow<'static, str>,
    /// Reason.
    pub reason: Cow<'static, str>,
    /// The rule of the law that allowed, deferred or forbade it.
    pub rule: Option<Rule>,
    /// When it was due.
    pub due_at: Option<String>,
    /// When it started.
    pub started_at: Option<String>,
    /// When its state came about.
    pub ended_at: Option<String>,
    /// Seconds of conversation.
    pub connected_s: u32,
    /// Cost, in the campaign's currency.
    pub cost: String,
    /// Raw receipts and resolutions, oldest first.
    pub receipts: Vec<ReceiptSeen>,
}

/// One receipt.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReceiptSeen {
    /// When it came.
    pub at: String,
    /// What it said.
    pub said: String,
    /// Whether it changed anything.
    pub applied: bool,
}

/// One credit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreditSeen {
    /// The conversion rule.
    pub rule: String,
    /// The fact's number.
    pub fact: i64,
    /// The touch credited; `None`: holdout, counted and never credited.
    pub seq: Option<u32>,
    /// A decimal amount.
    pub amount: String,
    /// Its currency.
    pub currency: String,
}

/// That a fact exists.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct FactSeen {
    /// Our number.
    pub id: i64,
    /// Kind.
    pub kind: String,
    /// Product.
    pub product: Option<String>,
    /// When it came about.
    pub at: String,
}

/// Explains one customer, in one campaign (its newest run of that name) or in all that have touched them.
/// A customer whom the asker may not see is as one that does not exist.
pub async fn explain(store: &dyn Store, reference: &str, campaign: Option<&str>, asker: &Actor) -> DeskResult<Explanation> {
    let customer = store.customer(reference).await?.filter(|c| asker.sees(c.branch.as_deref(), c.rm.as_deref()));
    let customer = customer.ok_or_else(|| StoreError::NotFound {
        what: "customer",
        name: reference.to_owned(),
        hint: "; give the bank's own number, as it was imported in the column `ref`".to_owned(),
    })?;
    let mut by_campaign: BTreeMap<_, Vec<Touch>> = BTreeMap::new();
    for touch in store.timeline(customer.id).await? {
        by_campaign.entry(touch.key.campaign).or_default().push(touch);
    }
    let mut runs = Vec::new();
    match campaign {
        Some(name) => runs.push(store.campaign(name, None).await?),
        None => {
            for id in by_campaign.keys() {
                runs.push(store.campaign_by_id(*id).await?);
            }
        }
    }
    runs.sort_by_key(|r| (r.submitted_at, r.id));
    let routes = store.routes().await?;
    let mut campaigns = Vec::new();
    for run in runs {
        let touches = by_campaign.remove(&run.id).unwrap_or_default();
        campaigns.push(in_campaign(store, &customer, run, touches, &routes).await?);
    }
    let facts = store.customer_facts(customer.id).await?;
    Ok(Explanation {
        consents: store.consents(customer.id).await?,
        suppressions: store.suppressions(customer.id).await?,
        campaigns,
        facts: facts.into_iter().map(|f| FactSeen { id: f.id, kind: f.kind, product: f.product, at: f.at.to_string() }).collect(),
        customer: identity(customer),
    })
}

async fn in_campaign(
    store: &dyn Store,
    customer: &CustomerRow,
    run: CampaignRow,
    touches: Vec<Touch>,
    routes: &[(RouteId, String)],
) -> DeskResult<InCampaign> {
    let rules = store.rules(run.id).await?;
    let file = crate::campaign_file::load(&run.name, &run.source).ok();
    let (standing, why) = match touches.last() {
        Some(head) => (head.customer_state().name().to_owned(), words(head)),
        None => without_a_row(store, customer.id, &run).await?,
    };
    let mut seen = Vec::with_capacity(touches.len());
    for touch in &touches {
        let receipts = store.receipts(touch.key).await?;
        seen.push(TouchSeen {
            touch: touch.key.to_string(),
            step: file.as_ref().and_then(|c| c.step(touch.step)).map_or_else(|| (touch.step.0 + 1).to_string(), |s| s.name.clone()),
            attempt: touch.attempt,
            channel: touch.channel,
            route: touch.route.and_then(|id| routes.iter().find(|(r, _)| *r == id)).map(|(_, name)| name.clone()),
            state: touch.state.name().into(),
            reason: touch.reason.name().into(),
            // Place 0 is "no rule applied".
            rule: rules.get(usize::from(touch.rule.0)).filter(|_| touch.rule.0 != 0).cloned(),
            due_at: touch.due_at.map(|t| t.to_string()),
            started_at: touch.started_at.map(|t| t.to_string()),
            ended_at: touch.ended_at.map(|t| t.to_string()),
            connected_s: touch.connected_s,
            cost: micros_to_decimal(touch.cost_micros).to_string(),
            receipts: receipts.into_iter().map(|r| ReceiptSeen { at: r.at.to_string(), said: r.said, applied: r.applied }).collect(),
        });
    }
    // Credits are ordered by (customer, fact): those of one customer come right after every fact of the one before.
    let after = Some((CustomerId(customer.id.0 - 1), i64::MAX));
    let credits: Vec<CreditRow> = store.credits(run.id, after, 1_000).await?;
    let credits = credits.into_iter().filter(|c| c.customer == customer.id).map(|c| CreditSeen {
        rule: c.rule,
        fact: c.fact,
        seq: c.seq,
        amount: c.amount.decimal().to_string(),
        currency: c.amount.currency.code().to_owned(),
    });
    Ok(InCampaign {
        standing,
        why,
        touches: seen,
        credits: credits.collect(),
        version: run.version,
        rehearsal: run.id.is_rehearsal(),
        status: run.status,
        campaign: run.name,
    })
}

fn words(head: &Touch) -> String {
    let when = head.ended_at.or(head.due_at).or(head.started_at).map_or_else(String::new, |t| format!(" at {t}"));
    let own = if head.customer_state() == head.state { String::new() } else { format!(" (its last touch: {})", head.state) };
    format!("{}{own}: {}{when}", head.customer_state(), head.reason)
}

/// A customer without a row: not in the audience, not yet looked at, or called off with the rest.
async fn without_a_row(store: &dyn Store, customer: CustomerId, run: &CampaignRow) -> DeskResult<(String, String)> {
    if !is_member(store, run.audience_list, customer).await? {
        let why = if run.audience_list != run.list && is_member(store, run.list, customer).await? {
            "a member of the list, left out by the campaign's `where` when it was submitted"
        } else {
            "no member of the campaign's list as it was frozen"
        };
        return Ok(("not_in_audience".to_owned(), why.to_owned()));
    }
    let closed = run.status.is_closed();
    Ok(match run.stop_reason {
        Some(reason) => ("cancelled".to_owned(), format!("called off before the first touch, with all that were left: {reason}")),
        None if closed => ("pending".to_owned(), "the run is closed, and nothing was decided about this customer; run touchline doctor".to_owned()),
        None => ("pending".to_owned(), format!("in the audience, not looked at yet; the run is {}", run.status)),
    })
}

async fn is_member(store: &dyn Store, list: ListId, customer: CustomerId) -> DeskResult<bool> {
    let page = store.page(list, CustomerId(customer.0 - 1), 1, Needs::default()).await?;
    Ok(page.members.first().is_some_and(|m| m.id == customer))
}

/// A customer with addresses masked.
pub(super) fn identity(customer: CustomerRow) -> Identity {
    Identity {
        phone: customer.phone.as_ref().map(Phone::masked),
        email: customer.email.as_ref().map(EmailAddress::masked),
        push: customer.push.is_some(),
        timezone: customer.timezone.map(|z| z.name().to_owned()),
        language: customer.language,
        branch: customer.branch,
        rm: customer.rm.is_some(),
        reference: customer.reference,
    }
}
