//! `record`: commit what came of touches, and the next rows they lead to.
//!
//! The ordinary settlement is of a started touch that is stored exactly as its sender knew it: all of those go in one bulk
//! statement that checks each. Whatever differs (a late receipt, a repeated report, a correction) is looked at one by one in
//! `corrections`, in the same transaction.
use super::batches::by_keys;
use super::bulk::{self, Form};
use super::rows::{self, INSERT, SETTLE, cells, change};
use super::sums::Sums;
use super::{SqliteStore, Writing, batches, corrections, lease, outbox, reports};
use crate::domain::ids::{BatchId, CampaignId, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::tally::Tallies;
use crate::domain::touch::{EVER_REACHED, State, Touch};
use crate::store::{Before, Recorded, Settled, Status, StoreError, StoreResult};
use std::collections::{BTreeMap, HashMap};

static WAIT: Form<6> = Form {
    name: "await a receipt",
    tiers: &[0b11_1111],
    text: |slots| {
        format!("INSERT OR REPLACE INTO awaiting (route_id, provider_ref, customer_id, campaign_id, seq, deadline) VALUES {}", slots.all_columns())
    },
};
static END_WAIT: Form<2> = Form {
    name: "end a wait",
    tiers: &[0b11],
    text: |slots| {
        format!(
            "UPDATE awaiting SET deadline=NULL FROM (VALUES {}) AS v WHERE awaiting.route_id={} AND awaiting.provider_ref={} AND awaiting.deadline IS NOT NULL",
            slots.varying_columns(),
            slots.column(0),
            slots.column(1)
        )
    },
};

/// A settlement in its final shape.
pub(super) struct Settlement<'a> {
    pub given: &'a Settled,
    pub touch: Touch,
    /// Why its run has ended, if it has: nothing is scheduled in it any more.
    pub ended: Option<Reason>,
}

/// What a call has changed so far.
#[derive(Default)]
pub(super) struct Changes {
    pub sums: BTreeMap<CampaignId, Sums>,
    pub skipped: Vec<TouchKey>,
}

pub(super) async fn record(store: &SqliteStore, fence: i64, settlements: &[Settled], closed: &[BatchId]) -> StoreResult<Recorded> {
    let (mut plain, mut odd) = sort(settlements)?;
    let mut writer = store.writer_after_small_ones().await;
    let mut writing = writer.begin().await?;
    lease::check(&mut writing.tx, fence).await?;
    call_off_what_would_wait(&mut writing, &mut plain, &mut odd).await?;
    let mut changes = Changes::default();
    let differing = settle_plain(&mut writing, &mut plain, &mut changes).await?;
    let mut corrected = Vec::new();
    for settlement in differing.into_iter().chain(odd) {
        let skipped = changes.skipped.len();
        corrections::settle(&mut writing, &settlement, &mut changes).await?;
        if changes.skipped.len() == skipped {
            corrected.push(settlement.touch.key);
        }
    }
    outbox::tell_settled(&mut writing, &plain, corrected).await?;
    batches::close(&mut writing.tx, closed).await?;
    let mut recorded = Recorded { skipped: changes.skipped, tallies: Vec::new() };
    for (campaign, sums) in changes.sums {
        let mut tallies = Tallies::default();
        sums.flush(&mut tallies);
        reports::add(&mut writing, campaign, &tallies).await?;
        recorded.tallies.push((campaign, tallies));
    }
    writing.commit().await?;
    Ok(recorded)
}

/// In a run that has ended nothing is scheduled any more.
async fn call_off_what_would_wait<'s>(writing: &mut Writing<'_>, plain: &mut [Settlement<'s>], odd: &mut [Settlement<'s>]) -> StoreResult<()> {
    let mut known: HashMap<CampaignId, Option<Reason>> = HashMap::new();
    for settlement in plain.iter_mut().chain(odd) {
        if settlement.given.next.is_none() && settlement.touch.state != State::Scheduled {
            continue;
        }
        let campaign = settlement.touch.key.campaign;
        settlement.ended = match known.get(&campaign) {
            Some(ended) => *ended,
            None => {
                let ended: Option<i64> = sqlx::query_scalar(
                    "SELECT coalesce(stop_reason, called_off_reason, ?) FROM campaign WHERE id = ? AND (called_off_at IS NOT NULL OR status IN (?, ?, ?))",
                )
                .bind(i64::from(Reason::CampaignEnded.code()))
                .bind(campaign.0)
                .bind(i64::from(Status::Finished.code()))
                .bind(i64::from(Status::Stopped.code()))
                .bind(i64::from(Status::Archived.code()))
                .fetch_optional(&mut *writing.tx)
                .await?;
                let ended = ended.map(|code| rows::code("the reason", code, rows::reason)).transpose()?;
                *known.entry(campaign).or_insert(ended)
            }
        };
        settlement.touch.cancel_if_ended(settlement.ended, settlement.given.touch.ended_at);
    }
    Ok(())
}

/// Checks the settlements, brings them into shape, and tells the plain ones (in key order, for the tree's sake) from those
/// that need a look (in the order given).
fn sort(settlements: &[Settled]) -> StoreResult<(Vec<Settlement<'_>>, Vec<Settlement<'_>>)> {
    let mut times: HashMap<TouchKey, u32> = HashMap::new();
    let mut in_order = true;
    let mut last = None;
    for settled in settlements {
        in_order &= last.is_none_or(|last| last < settled.touch.key);
        last = Some(settled.touch.key);
    }
    if !in_order {
        for settled in settlements {
            *times.entry(settled.touch.key).or_default() += 1;
        }
    }
    let (mut plain, mut odd) = (Vec::with_capacity(settlements.len()), Vec::new());
    for given in settlements {
        let settlement = Settlement { given, touch: shape(given)?, ended: None };
        // A started touch is its customer's head: a next row is never started, and follows a touch that is over.
        // One without a start is told of a touch that was put back meanwhile: the stored row decides.
        let is_plain = given.before.state == State::Started
            && (!settlement.touch.state.stands() || (settlement.touch.started_at.is_some() && settlement.touch.channel.is_some()))
            && State::Started.may_settle_as(given.touch.state)
            && (given.touch.state != State::Started || given.touch.provider_ref.is_some())
            && times.get(&given.touch.key).is_none_or(|n| *n == 1);
        if is_plain { plain.push(settlement) } else { odd.push(settlement) }
    }
    if !in_order {
        plain.sort_unstable_by_key(|s| s.touch.key);
    }
    Ok((plain, odd))
}

/// The row as it shall be written: a touch that was given back loses what its start gave it, and flags are only ever added.
fn shape(given: &Settled) -> StoreResult<Touch> {
    let fault = |expected: &str| Err(StoreError::Conflict(format!("a settlement of touch {}: expected {expected}", given.touch.key)));
    let mut touch = given.touch.clone();
    touch.flags |= given.before.flags;
    match touch.state {
        State::Scheduled if touch.due_at.is_none() => return fault("a put-back touch with its due time"),
        State::Scheduled | State::Refused => {
            (touch.started_at, touch.cost_micros, touch.parts, touch.connected_s) = (None, 0, 0, 0);
            if touch.state == State::Scheduled {
                touch.provider_ref = None;
            }
        }
        State::Started | State::Reached | State::Missed | State::Uncertain => {
            if touch.state == State::Reached {
                touch.flags |= EVER_REACHED;
            }
        }
        State::Pending | State::Suppressed | State::HeldOut | State::Expired | State::Cancelled => {
            return fault("a state that a started touch can come to");
        }
    }
    if given.receipt_by.is_some() && (touch.provider_ref.is_none() || touch.route.is_none()) {
        return fault("the provider's name for a touch whose receipt is awaited, and its route");
    }
    if let Some(next) = &given.next {
        if next.key.customer != touch.key.customer || next.key.campaign != touch.key.campaign {
            return fault("a next row of the same customer and campaign");
        }
        if matches!(touch.state, State::Started | State::Scheduled) {
            return fault("no next row while the touch is not over");
        }
        let well_formed = match next.state {
            State::Scheduled => next.due_at.is_some() && next.started_at.is_none(),
            State::Suppressed | State::HeldOut | State::Expired | State::Cancelled => next.started_at.is_none(),
            State::Pending | State::Started | State::Reached | State::Missed | State::Refused | State::Uncertain => false,
        };
        if !well_formed {
            return fault("a next row that is scheduled with a due time, or closed before its start");
        }
    }
    Ok(touch)
}

/// The provider's name that must be on record for a settlement to be plain.
fn expected_ref(touch: &Touch) -> Option<&str> {
    // Taken by the provider, or put back: only a touch that no provider has taken.
    if matches!(touch.state, State::Started | State::Scheduled) { None } else { touch.provider_ref.as_deref() }
}

async fn update(writing: &mut Writing<'_>, plain: &[Settlement<'_>]) -> StoreResult<bool> {
    let rows: Vec<_> = plain.iter().map(|s| change(&s.touch, &s.given.before, expected_ref(&s.touch))).collect();
    Ok(bulk::write(&mut writing.tx, writing.texts, &SETTLE, &rows).await? == rows.len() as u64)
}

/// Writes the plain settlements; returns those that are stored otherwise than was thought.
async fn settle_plain<'a>(writing: &mut Writing<'_>, plain: &mut Vec<Settlement<'a>>, changes: &mut Changes) -> StoreResult<Vec<Settlement<'a>>> {
    if plain.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query("SAVEPOINT settle").execute(&mut *writing.tx).await?;
    let mut differing = Vec::new();
    if !update(writing, plain).await? {
        sqlx::query("ROLLBACK TO settle").execute(&mut *writing.tx).await?;
        let keys: Vec<TouchKey> = plain.iter().map(|s| s.touch.key).collect();
        let stored: HashMap<TouchKey, Touch> = by_keys(&mut writing.tx, &keys).await?.into_iter().map(|t| (t.key, t)).collect();
        let (same, other): (Vec<_>, Vec<_>) = std::mem::take(plain).into_iter().partition(|s| {
            stored.get(&s.touch.key).is_some_and(|stored| {
                Before::of(stored) == s.given.before
                    && stored.provider_ref.as_deref() == expected_ref(&s.touch)
                    && (stored.route, stored.channel) == (s.touch.route, s.touch.channel)
            })
        });
        (*plain, differing) = (same, other);
        if !update(writing, plain).await? {
            return Err(StoreError::Backend("touches changed under the transaction that settles them; nothing was written".into()));
        }
    }
    sqlx::query("RELEASE settle").execute(&mut *writing.tx).await?;
    let next: Vec<Touch> = plain.iter().filter_map(|s| s.given.next.as_ref().map(|next| follow(next, s, &s.touch, s.touch.key.seq))).collect();
    insert(writing, &next).await?;
    let mut following = next.iter();
    for settlement in plain.iter() {
        let sums = changes.sums.entry(settlement.touch.key.campaign).or_default();
        sums.add(settlement.given.before.weight(&settlement.touch), true, -1);
        sums.add((&settlement.touch).into(), settlement.given.next.is_none(), 1);
        if let Some(next) = settlement.given.next.as_ref().and_then(|_| following.next()) {
            sums.add(next.into(), true, 1);
        }
    }
    let waits: Vec<_> = plain.iter().map(|s| (&s.touch, s.given.receipt_by)).collect();
    wait(writing, &waits).await?;
    Ok(differing)
}

/// The next row, after the head of `seq`.
pub(super) fn follow(next: &Touch, settlement: &Settlement<'_>, touch: &Touch, seq: u32) -> Touch {
    let mut next = next.clone();
    next.key.seq = seq.saturating_add(1);
    next.flags |= touch.flags & EVER_REACHED;
    next.cancel_if_ended(settlement.ended, settlement.given.touch.ended_at);
    next
}

/// Inserts next rows.
pub(super) async fn insert(writing: &mut Writing<'_>, next: &[Touch]) -> StoreResult<()> {
    let rows: Vec<_> = next.iter().map(cells).collect();
    bulk::write(&mut writing.tx, writing.texts, &INSERT, &rows).await?;
    Ok(())
}

/// Opens the wait for a receipt, or ends one.
pub(super) async fn wait(writing: &mut Writing<'_>, touches: &[(&Touch, Option<crate::domain::time::Timestamp>)]) -> StoreResult<()> {
    let (mut begin, mut end) = (Vec::new(), Vec::new());
    for (touch, deadline) in touches {
        let (Some(route), Some(name)) = (touch.route, touch.provider_ref.as_deref()) else { continue };
        let (route, name) = (i64::from(route.0).into(), name.into());
        let key = touch.key;
        match deadline {
            Some(deadline) => begin.push([route, name, key.customer.0.into(), key.campaign.0.into(), i64::from(key.seq).into(), deadline.0.into()]),
            None => end.push([route, name]),
        }
    }
    bulk::write(&mut writing.tx, writing.texts, &WAIT, &begin).await?;
    bulk::write(&mut writing.tx, writing.texts, &END_WAIT, &end).await?;
    Ok(())
}
