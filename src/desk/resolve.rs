//! Settling touches in doubt by a person who has found out what became of them. The journey goes on from there.
use super::{DeskError, DeskResult, PAGE};
use crate::domain::channel::Channel;
use crate::domain::ids::TouchKey;
use crate::domain::journey::Settled;
use crate::domain::outcome::{Disposition, Outcome, Reason, SendResult};
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use crate::store::{CampaignRow, ReceiptRow, Store, Wanted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every touch of the campaign that is in doubt.
    All,
    /// These.
    Touches(Vec<TouchKey>),
}

/// What the person has found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The customer was reached; for calls, with the seconds of conversation that the reach rule is to judge.
    Reached {
        /// Seconds; 0 for other channels.
        connected_s: u32,
    },
    /// The customer was not, and this came of the attempt (a disposition of a customer missed). A disposition that the step
    /// retries leads to a retry, as if the carrier had said so.
    Missed(Disposition),
}

impl Finding {
    /// The disposition on a channel: what reached means there, for every reach rule of that channel.
    fn disposition(self, channel: Option<Channel>) -> Disposition {
        match (self, channel) {
            (Self::Missed(disposition), _) => disposition,
            (Self::Reached { .. }, Some(Channel::Call) | None) => Reason::Answered,
            (Self::Reached { .. }, Some(Channel::Sms)) => Reason::Delivered,
            (Self::Reached { .. }, Some(Channel::Push | Channel::Email)) => Reason::Opened,
            (Self::Reached { .. }, Some(Channel::Worklist)) => Reason::Completed,
        }
    }
}

/// What a resolution came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// Touches settled.
    pub settled: u64,
    /// Of these, with a retry or a next step.
    pub continued: u64,
    /// Touches that were settled by a receipt in the meantime, or were not in doubt; they stay as they are.
    pub skipped: Vec<String>,
}

/// Settles touches in doubt, under the sender's `fence`. `settle` is `domain::journey::settle` with the campaign at hand. Every touch keeps who, why and as
/// what among its receipts; the run's history has one entry for the whole.
#[allow(clippy::too_many_arguments, reason = "each is another thing that must be said of a resolution")]
pub async fn resolve(
    store: &dyn Store,
    fence: i64,
    campaign: &CampaignRow,
    selection: &Selection,
    as_: Finding,
    by: &str,
    why: &str,
    at: Timestamp,
    settle: &(dyn Fn(&Touch, &Outcome) -> Settled + Sync),
) -> DeskResult<Resolved> {
    check(as_, by, why)?;
    let mut resolved = Resolved::default();
    match selection {
        Selection::Touches(_) => {
            let touches = chosen(store, campaign, selection, &mut resolved).await?;
            settle_all(store, fence, touches, as_, by, why, at, settle, &mut resolved).await?;
        }
        Selection::All => loop {
            let touches = chosen(store, campaign, selection, &mut resolved).await?;
            let before = resolved.settled;
            settle_all(store, fence, touches, as_, by, why, at, settle, &mut resolved).await?;
            if resolved.settled == before {
                break;
            }
        },
    }
    noted(store, campaign, as_, by, why, at, &resolved).await?;
    Ok(resolved)
}

/// Whether a resolution is one: who, why, and a disposition that is a miss.
pub fn check(as_: Finding, by: &str, why: &str) -> DeskResult<()> {
    if by.trim().is_empty() || why.trim().is_empty() {
        return Err(DeskError::Refused("expected who resolves (--by) and why (--why): both are kept with every touch".to_owned()));
    }
    if let Finding::Missed(disposition) = as_
        && !disposition.is_missed()
    {
        let known: Vec<&str> = Reason::ALL.iter().filter(|r| r.is_missed()).map(|r| r.name()).collect();
        return Err(DeskError::Refused(format!("expected missed with one of {}, found {disposition}", known.join(", "))));
    }
    Ok(())
}

/// The touches that are meant and in doubt, a page of them when all are meant; named ones that are not in doubt are skipped.
pub async fn chosen(store: &dyn Store, campaign: &CampaignRow, selection: &Selection, resolved: &mut Resolved) -> DeskResult<Vec<Touch>> {
    let Selection::Touches(keys) = selection else { return Ok(store.uncertain(campaign.id, PAGE).await?) };
    let mut touches = Vec::with_capacity(keys.len());
    for key in keys {
        match store.touch(*key).await? {
            Some(touch) if key.campaign == campaign.id && touch.state == State::Uncertain => touches.push(touch),
            _ => resolved.skipped.push(key.to_string()),
        }
    }
    Ok(touches)
}

/// The entry of a resolution in the run's history.
pub async fn noted(
    store: &dyn Store,
    campaign: &CampaignRow,
    as_: Finding,
    by: &str,
    why: &str,
    at: Timestamp,
    resolved: &Resolved,
) -> DeskResult<()> {
    if resolved.settled > 0 {
        let text = format!("resolved {} uncertain touches as {}: {why}", resolved.settled, name(as_));
        note(store, campaign, by, &text, at).await?;
    }
    Ok(())
}

/// What a person's word about a touch is as a disposition, and in seconds of conversation.
pub fn said(as_: Finding, touch: &Touch) -> (Disposition, u32) {
    (as_.disposition(touch.channel), if let Finding::Reached { connected_s } = as_ { connected_s } else { touch.connected_s })
}

/// What is kept beside a touch of who settled it, why and as what.
pub fn word(as_: Finding, touch: &Touch, by: &str, why: &str, at: Timestamp, applied: bool) -> Option<ReceiptRow> {
    let provider_ref = touch.provider_ref.as_deref().unwrap_or_default().to_owned();
    let said = format!("resolved as {} by {by}: {why}", name(as_));
    touch.route.map(|route| ReceiptRow { route, provider_ref, touch: Some(touch.key), at, said, applied })
}

#[allow(clippy::too_many_arguments, reason = "the arguments of `resolve`")]
async fn settle_all(
    store: &dyn Store,
    fence: i64,
    touches: Vec<Touch>,
    as_: Finding,
    by: &str,
    why: &str,
    at: Timestamp,
    settle: &(dyn Fn(&Touch, &Outcome) -> Settled + Sync),
    resolved: &mut Resolved,
) -> DeskResult<()> {
    if touches.is_empty() {
        return Ok(());
    }
    let settlements: Vec<Settled> = touches
        .iter()
        .map(|touch| {
            let (disposition, connected_s) = said(as_, touch);
            let result = SendResult::Done { disposition, connected_s, cost_micros: None };
            settle(touch, &Outcome { touch: touch.key, at, result })
        })
        .collect();
    let recorded = store.record(fence, &settlements, &[]).await?;
    let mut receipts = Vec::with_capacity(touches.len());
    for (touch, settled) in touches.iter().zip(&settlements) {
        let applied = !recorded.skipped.contains(&touch.key);
        if applied {
            resolved.settled += 1;
            resolved.continued += u64::from(settled.next.is_some());
        } else {
            resolved.skipped.push(touch.key.to_string());
        }
        receipts.extend(word(as_, touch, by, why, at, applied));
    }
    store.keep_receipts(&receipts).await?;
    Ok(())
}

fn name(finding: Finding) -> String {
    match finding {
        Finding::Reached { .. } => "reached".to_owned(),
        Finding::Missed(disposition) => format!("missed ({disposition})"),
    }
}

/// An entry in the run's history that changes nothing: the wish that stands is set again, with who and why. A closed run takes
/// no more entries; there the receipts of the touches are the record.
async fn note(store: &dyn Store, campaign: &CampaignRow, by: &str, text: &str, at: Timestamp) -> DeskResult<()> {
    let now = store.campaign_by_id(campaign.id).await?;
    if !now.status.is_closed() {
        let wanted: Wanted = now.wanted;
        store.set_wanted(campaign.id, wanted, by, text, at).await?;
    }
    Ok(())
}
