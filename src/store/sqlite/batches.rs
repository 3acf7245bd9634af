//! Open batches: which touches were committed `Started` together, as a delta-encoded list of (customer, seq).
use crate::domain::ids::{BatchId, CampaignId, CustomerId, RouteId, TouchKey};
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use crate::store::sqlite::{fault::unknown, rows};
use crate::store::{SentParts, StoreError, StoreResult};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Row, SqliteConnection};

/// LEB128 of a zig-zagged number: small numbers of either sign are one byte.
fn put(bytes: &mut Vec<u8>, n: i64) {
    let mut rest = (n.cast_unsigned() << 1) ^ (n >> 63).cast_unsigned();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

fn take(bytes: &mut std::slice::Iter<'_, u8>) -> Option<i64> {
    let mut n = 0_u64;
    for place in 0..10 {
        let byte = *bytes.next()?;
        n |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((n >> 1).cast_signed() ^ -((n & 1).cast_signed()));
        }
    }
    None
}

/// Customers in order cost a byte or two each, their `seq` one more.
pub(super) fn encode(members: &[(CustomerId, u32)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(members.len() * 3);
    let mut last = 0_i64;
    for (customer, seq) in members {
        put(&mut bytes, customer.0.wrapping_sub(last));
        put(&mut bytes, i64::from(*seq));
        last = customer.0;
    }
    bytes
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<(CustomerId, u32)>> {
    let mut iter = bytes.iter();
    let mut last = 0_i64;
    let mut members = Vec::new();
    while !iter.as_slice().is_empty() {
        last = last.wrapping_add(take(&mut iter)?);
        members.push((CustomerId(last), u32::try_from(take(&mut iter)?).ok()?));
    }
    Some(members)
}

/// Opens a batch.
pub(super) async fn open(
    conn: &mut SqliteConnection,
    fence: i64,
    campaign: CampaignId,
    at: Timestamp,
    members: &[(CustomerId, u32)],
) -> StoreResult<BatchId> {
    let id = sqlx::query_scalar("INSERT INTO touch_batch (fence, campaign_id, opened_at, members) VALUES (?, ?, ?, ?) RETURNING id")
        .bind(fence)
        .bind(campaign.0)
        .bind(at.0)
        .bind(encode(members))
        .fetch_one(conn)
        .await?;
    Ok(BatchId(id))
}

/// Closes batches.
pub(super) async fn close(conn: &mut SqliteConnection, batches: &[BatchId]) -> StoreResult<()> {
    for batch in batches {
        sqlx::query("DELETE FROM touch_batch WHERE id = ?").bind(batch.0).execute(&mut *conn).await?;
    }
    Ok(())
}

/// See [`crate::store::TouchLedger::orphans`].
pub(super) async fn orphans(conn: &mut SqliteConnection, fence: i64, rehearsal: bool, limit: usize) -> StoreResult<Vec<(BatchId, Vec<Touch>)>> {
    let mut found = Vec::new();
    let mut touches = 0;
    let mut after = 0_i64;
    while found.is_empty() || touches < limit {
        let next =
            sqlx::query("SELECT id, campaign_id, members FROM touch_batch WHERE id > ? AND fence < ? AND (campaign_id < 0) = ? ORDER BY id LIMIT 1")
                .bind(after)
                .bind(fence)
                .bind(rehearsal)
                .fetch_optional(&mut *conn)
                .await?;
        let Some(row) = next else { break };
        after = row.try_get(0)?;
        let campaign = CampaignId(row.try_get(1)?);
        let members = decode(row.try_get(2)?).ok_or_else(|| unknown("the open batch", after))?;
        let keys: Vec<TouchKey> = members.iter().map(|(customer, seq)| TouchKey { customer: *customer, campaign, seq: *seq }).collect();
        let stored = by_keys(conn, &keys).await?;
        let left: Vec<Touch> = stored.into_iter().filter(|t| t.state == State::Started && t.provider_ref.is_none()).collect();
        touches += left.len();
        found.push((BatchId(after), left));
    }
    Ok(found)
}

/// See [`crate::store::TouchLedger::sent_since`]. A scan of the ledger: it is asked once, at the start of a process, and only for
/// limits that look back further than a minute.
pub(super) async fn sent_since(conn: &mut SqliteConnection, since: Timestamp) -> StoreResult<Vec<SentParts>> {
    sqlx::query(
        "SELECT campaign_id, route_id, max(started_at), sum(parts) FROM touch WHERE started_at > ? AND state IN (2, 3, 4, 6) \
         AND campaign_id > 0 AND route_id IS NOT NULL GROUP BY campaign_id, route_id, started_at / 1000 ORDER BY 3",
    )
    .bind(since.0)
    .fetch_all(conn)
    .await?
    .iter()
    .map(|row| {
        let parts: i64 = row.try_get(3)?;
        Ok(SentParts {
            campaign: CampaignId(row.try_get(0)?),
            route: RouteId(row.try_get(1)?),
            at: Timestamp(row.try_get(2)?),
            parts: u64::try_from(parts).map_err(|_| unknown("a number of parts", parts))?,
        })
    })
    .collect()
}

/// Touches of these keys that are stored, in the order asked.
pub(super) async fn by_keys(conn: &mut SqliteConnection, keys: &[TouchKey]) -> StoreResult<Vec<Touch>> {
    let mut touches = Vec::with_capacity(keys.len());
    for keys in keys.chunks(1_000) {
        let json: Vec<(i64, i64, u32)> = keys.iter().map(|k| (k.customer.0, k.campaign.0, k.seq)).collect();
        touches.append(
            &mut rows::fetch(
                conn,
                "FROM json_each(?) j CROSS JOIN touch t ON t.customer_id = j.value ->> 0 AND t.campaign_id = j.value ->> 1 AND t.seq = j.value ->> 2",
                json_arguments(&json)?,
            )
            .await?,
        );
    }
    Ok(touches)
}

/// One JSON text as the only argument.
pub(super) fn json_arguments(value: &impl serde::Serialize) -> StoreResult<SqliteArguments> {
    let text = serde_json::to_string(value).map_err(|e| StoreError::Backend(format!("a list could not be written as JSON: {e}")))?;
    let mut arguments = SqliteArguments::default();
    arguments.add(text).map_err(sqlx::Error::Encode)?;
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_survive_their_encoding() {
        let members = [(7, 0), (8, 3), (8, u32::MAX), (-5, 1), (i64::MAX, 0), (i64::MIN, 9)].map(|(c, s)| (CustomerId(c), s));
        assert_eq!(decode(&encode(&members)).unwrap(), members);
        assert_eq!(decode(&encode(&[])).unwrap(), []);
        let dense: Vec<(CustomerId, u32)> = (1_000_000..1_005_000).map(|c| (CustomerId(c), 0)).collect();
        assert!(encode(&dense).len() < 10_010, "two bytes a touch of a dense page");
        assert!(decode(&[0x80]).is_none(), "a cut-off number is told");
    }
}
