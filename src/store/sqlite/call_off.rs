//! Calling a campaign off: what is scheduled and what is pending is cancelled.
use super::fault::unknown;
use super::{SqliteStore, campaigns, lease, reports};
use crate::domain::ids::CampaignId;
use crate::domain::outcome::Reason;
use crate::domain::tally::{Tallies, Tally, Weight, called_off_unseen};
use crate::domain::time::Timestamp;
use crate::domain::touch::{EVER_REACHED, State};
use crate::store::StoreResult;
use sqlx::Row;

pub(super) async fn call_off(store: &SqliteStore, fence: i64, campaign: CampaignId, reason: Reason, at: Timestamp) -> StoreResult<Tallies> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    lease::check(&mut writing.tx, fence).await?;
    let row = campaigns::by_id(&mut writing.tx, campaign).await?;
    let mut tallies = Tallies::default();
    let waiting = sqlx::query("SELECT reason, flags, count(*) FROM touch WHERE campaign_id = ? AND state = 1 GROUP BY reason, flags")
        .bind(campaign.0)
        .fetch_all(&mut *writing.tx)
        .await?;
    for kind in waiting {
        let flags: i64 = kind.try_get(1)?;
        let flags = u32::try_from(flags).map_err(|_| unknown("flags", flags))? & EVER_REACHED;
        let stored = super::rows::code("the reason", kind.try_get(0)?, super::rows::reason)?;
        let n: i64 = kind.try_get(2)?;
        let weight = |state, reason| Weight { state, reason, flags, channel: None, route: None, cost_micros: 0, parts: 0, connected_s: 0 };
        weight(State::Scheduled, stored).add_to(&mut tallies, true, -n);
        weight(State::Cancelled, reason).add_to(&mut tallies, true, n);
    }
    sqlx::query("UPDATE touch SET state = 10, reason = ?, ended_at = ? WHERE campaign_id = ? AND state = 1")
        .bind(i64::from(reason.code()))
        .bind(at.0)
        .bind(campaign.0)
        .execute(&mut *writing.tx)
        .await?;
    let first = sqlx::query(
        "UPDATE campaign SET called_off_reason = ?2, called_off_at = ?3, stop_reason = coalesce(stop_reason, ?2) WHERE id = ?1 AND called_off_at IS NULL",
    )
    .bind(campaign.0)
    .bind(i64::from(reason.code()))
    .bind(at.0)
    .execute(&mut *writing.tx)
    .await?
    .rows_affected();
    if first == 1 {
        // Customers without a row, when the rows' own counts are taken off the audience. (What was just cancelled has rows.)
        let counted: i64 = reports::tallies(&mut writing.tx, campaign).await?.of(Tally::Customers).map(|(_, n)| n).sum();
        called_off_unseen(&mut tallies, row.audience - counted, reason);
    }
    reports::add(&mut writing, campaign, &tallies).await?;
    writing.commit().await?;
    Ok(tallies)
}
