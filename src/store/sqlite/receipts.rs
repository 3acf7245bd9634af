//! Raw receipts, and touches by the provider's name for them.
use super::batches::json_arguments;
use super::bulk::{self, Cell, Form};
use super::fault::unknown;
use super::{SqliteStore, rows};
use crate::domain::ids::{CampaignId, CustomerId, RouteId, TouchKey};
use crate::domain::time::Timestamp;
use crate::domain::touch::Touch;
use crate::store::{ReceiptRow, StoreResult};
use sqlx::{Arguments, Row, SqliteConnection};

static KEEP: Form<8> = Form {
    name: "receipt",
    tiers: &[0b1111_1111],
    text: |slots| {
        format!("INSERT INTO receipt (route_id, provider_ref, customer_id, campaign_id, seq, at, said, applied) VALUES {}", slots.all_columns())
    },
};

pub(super) async fn keep(store: &SqliteStore, receipts: &[ReceiptRow]) -> StoreResult<()> {
    let rows: Vec<[Cell<'_>; 8]> = receipts
        .iter()
        .map(|r| {
            [
                i64::from(r.route.0).into(),
                r.provider_ref.as_str().into(),
                r.touch.map(|t| t.customer.0).into(),
                r.touch.map(|t| t.campaign.0).into(),
                r.touch.map(|t| i64::from(t.seq)).into(),
                r.at.0.into(),
                r.said.as_str().into(),
                i64::from(r.applied).into(),
            ]
        })
        .collect();
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    bulk::write(&mut writing.tx, writing.texts, &KEEP, &rows).await?;
    writing.commit().await
}

pub(super) async fn of_touch(conn: &mut SqliteConnection, touch: TouchKey) -> StoreResult<Vec<ReceiptRow>> {
    sqlx::query(
        "SELECT route_id, provider_ref, customer_id, campaign_id, seq, at, said, applied FROM receipt \
         WHERE customer_id = ? AND campaign_id = ? AND seq = ? ORDER BY at, id",
    )
    .bind(touch.customer.0)
    .bind(touch.campaign.0)
    .bind(i64::from(touch.seq))
    .fetch_all(conn)
    .await?
    .iter()
    .map(|row| {
        let (customer, campaign, seq): (i64, i64, i64) = (row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
        let seq = u32::try_from(seq).map_err(|_| unknown("a touch's number", seq))?;
        Ok(ReceiptRow {
            route: RouteId(row.try_get(0)?),
            provider_ref: row.try_get(1)?,
            touch: Some(TouchKey { customer: CustomerId(customer), campaign: CampaignId(campaign), seq }),
            at: Timestamp(row.try_get(5)?),
            said: row.try_get(6)?,
            applied: row.try_get(7)?,
        })
    })
    .collect()
}

/// Touches that a provider knows by these names, in whatever state, in key order.
pub(super) async fn awaiting(conn: &mut SqliteConnection, route: RouteId, names: &[&str]) -> StoreResult<Vec<Touch>> {
    let mut touches = Vec::with_capacity(names.len());
    for names in names.chunks(1_000) {
        let mut arguments = json_arguments(&names)?;
        arguments.add(i64::from(route.0)).map_err(sqlx::Error::Encode)?;
        let from = "FROM json_each(?) j CROSS JOIN awaiting a ON a.route_id = ? AND a.provider_ref = j.value CROSS JOIN touch t \
                    ON t.customer_id = a.customer_id AND t.campaign_id = a.campaign_id AND t.seq = a.seq";
        touches.append(&mut rows::fetch(conn, from, arguments).await?);
    }
    touches.sort_by_key(|t| t.key);
    touches.dedup_by_key(|t| t.key);
    Ok(touches)
}
