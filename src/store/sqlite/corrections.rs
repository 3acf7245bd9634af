//! Settlements that need a look: repeated, late or corrected ones. The stored row decides, by the lattice that all stores share.
use super::Writing;
use super::batches::by_keys;
use super::bulk;
use super::record::{Changes, Settlement, follow, insert, wait};
use super::rows::{self, RESTART, change};
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::outcome::Reason;
use crate::domain::touch::{EVER_REACHED, State, Touch};
use crate::store::{Before, StoreError, StoreResult};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, SqliteConnection};

/// The customer's head in a campaign.
pub(super) async fn head(conn: &mut SqliteConnection, campaign: CampaignId, customer: CustomerId) -> StoreResult<Option<Touch>> {
    let mut arguments = SqliteArguments::default();
    for n in [customer.0, campaign.0] {
        arguments.add(n).map_err(sqlx::Error::Encode)?;
    }
    Ok(rows::fetch(conn, "FROM touch t WHERE t.customer_id = ? AND t.campaign_id = ? ORDER BY t.seq DESC LIMIT 1", arguments).await?.pop())
}

/// Rewrites one row.
pub(super) async fn rewrite(writing: &mut Writing<'_>, before: &Touch, after: &Touch) -> StoreResult<()> {
    let row = change(after, &Before::of(before), before.provider_ref.as_deref());
    match bulk::write(&mut writing.tx, writing.texts, &RESTART, &[row]).await? {
        1 => Ok(()),
        n => Err(StoreError::Backend(format!("expected to change touch {} once, changed {n}; nothing was written", after.key))),
    }
}

/// Whether the stored row lets the settlement through.
fn passes(stored: &Touch, touch: &Touch) -> bool {
    stored.state.may_settle_as(touch.state)
        && match touch.state {
            State::Started => stored.provider_ref.is_none() && touch.provider_ref.is_some(),
            // Put back: what a provider has taken is not ours to send again.
            State::Scheduled => stored.provider_ref.is_none(),
            _ => true,
        }
}

/// Settles one touch as the stored row allows; a settlement that it does not let through is named in `changes.skipped`.
pub(super) async fn settle(writing: &mut Writing<'_>, settlement: &Settlement<'_>, changes: &mut Changes) -> StoreResult<()> {
    let key = settlement.touch.key;
    let Some(stored) = by_keys(&mut writing.tx, &[key]).await?.pop().filter(|stored| passes(stored, &settlement.given.touch)) else {
        changes.skipped.push(key);
        return Ok(());
    };
    let mut after = settlement.touch.clone();
    (after.step, after.attempt, after.channel, after.route, after.variant) =
        (stored.step, stored.attempt, stored.channel, stored.route, stored.variant);
    after.flags |= stored.flags;
    after.due_at = after.due_at.or(stored.due_at);
    after.started_at = stored.started_at.filter(|_| after.state.stands());
    if after.state != State::Scheduled {
        after.provider_ref = after.provider_ref.or_else(|| stored.provider_ref.clone());
    }
    let head = head(&mut writing.tx, key.campaign, key.customer).await?.unwrap_or_else(|| stored.clone());
    rewrite(writing, &stored, &after).await?;
    let was_head = head.key == key;
    // A later head that still waits is called off by a reach that became known late; any later head counts its customer as reached.
    let mut cancels = false;
    let mut later = None;
    if !was_head && after.state == State::Reached {
        let mut marked = head.clone();
        marked.flags |= EVER_REACHED;
        if marked.state == State::Scheduled {
            cancels = true;
            (marked.state, marked.reason, marked.ended_at) = (State::Cancelled, Reason::ReachedAfterAll, after.ended_at);
        }
        rewrite(writing, &head, &marked).await?;
        later = Some(marked);
    }
    let goes_on = was_head || (cancels && head.key.seq == key.seq.saturating_add(1));
    let next =
        settlement.given.next.as_ref().filter(|_| goes_on).map(|next| follow(next, settlement, later.as_ref().unwrap_or(&after), head.key.seq));
    if let Some(next) = &next {
        insert(writing, std::slice::from_ref(next)).await?;
    }
    let sums = changes.sums.entry(key.campaign).or_default();
    sums.add((&stored).into(), was_head, -1);
    sums.add((&after).into(), was_head && next.is_none(), 1);
    if let Some(later) = &later {
        sums.add((&head).into(), true, -1);
        sums.add(later.into(), next.is_none(), 1);
    }
    if let Some(next) = &next {
        sums.add(next.into(), true, 1);
    }
    let deadline = settlement.given.receipt_by;
    // A put-back row has lost its name, and had none that a receipt was awaited by.
    wait(writing, &[(&after, deadline)]).await
}
