//! The inbox: receipts before they are answered, names of messages taken, dead letters, ratings.
use super::batches::json_arguments;
use super::bulk::{self, Form};
use super::fault::unknown;
use super::rows::{code, reason};
use super::{SqliteStore, Writing, sealed};
use crate::domain::ids::{CampaignId, CustomerId, RouteId, TouchKey};
use crate::domain::time::Timestamp;
use crate::store::inbox::{DeadKind, DeadLetter, Inbox, InboxReceipt, NewDeadLetter, NewReceipt, Post, Rating};
use crate::store::sealing::Sealer;
use crate::store::{StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

static KEEP: Form<11> = Form {
    name: "inbox receipt",
    tiers: &[(1 << 11) - 1],
    text: |slots| {
        format!(
            "INSERT INTO inbox_receipt (route_id, provider_ref, customer_id, campaign_id, seq, at, disposition, connected_s, cost_micros, \
             received_at, next_at) VALUES {}",
            slots.all_columns()
        )
    },
};
static SEE: Form<3> = Form {
    name: "seen message",
    tiers: &[0b111],
    text: |slots| format!("INSERT OR IGNORE INTO seen_message (source, id, at) VALUES {}", slots.all_columns()),
};

const RECEIPT: &str = "SELECT id, route_id, provider_ref, customer_id, campaign_id, seq, at, disposition, connected_s, cost_micros, received_at, tries FROM inbox_receipt";
const LETTER: &str = "SELECT id, source, kind, reason, raw, received_at, closed_at, how FROM dead_letter";

fn receipt(row: &SqliteRow) -> StoreResult<InboxReceipt> {
    let (customer, campaign, seq): (Option<i64>, Option<i64>, Option<i64>) = (row.try_get(3)?, row.try_get(4)?, row.try_get(5)?);
    let touch = match (customer, campaign, seq) {
        (Some(customer), Some(campaign), Some(seq)) => Some(TouchKey {
            customer: CustomerId(customer),
            campaign: CampaignId(campaign),
            seq: u32::try_from(seq).map_err(|_| unknown("a touch's number", seq))?,
        }),
        _ => None,
    };
    let (connected_s, tries): (i64, i64) = (row.try_get(8)?, row.try_get(11)?);
    Ok(InboxReceipt {
        id: row.try_get(0)?,
        receipt: NewReceipt {
            route: RouteId(row.try_get(1)?),
            provider_ref: row.try_get(2)?,
            touch,
            at: Timestamp(row.try_get(6)?),
            disposition: code("the disposition", row.try_get(7)?, reason)?,
            connected_s: u32::try_from(connected_s).map_err(|_| unknown("seconds", connected_s))?,
            cost_micros: row.try_get(9)?,
        },
        received_at: Timestamp(row.try_get(10)?),
        tries: u32::try_from(tries).map_err(|_| unknown("a number of tries", tries))?,
    })
}

fn letter(row: &SqliteRow, sealer: &Sealer) -> StoreResult<DeadLetter> {
    let closed_at: Option<i64> = row.try_get(6)?;
    let how: Option<String> = row.try_get(7)?;
    Ok(DeadLetter {
        id: row.try_get(0)?,
        letter: NewDeadLetter {
            source: row.try_get(1)?,
            kind: code("the kind of dead letter", row.try_get(2)?, DeadKind::from_code)?,
            reason: row.try_get(3)?,
            raw: sealed::raw(sealer, row.try_get(4)?)?,
        },
        received_at: Timestamp(row.try_get(5)?),
        closed: closed_at.map(Timestamp).zip(how),
    })
}

async fn bury(writing: &mut Writing<'_>, sealer: &Sealer, letters: impl Iterator<Item = &NewDeadLetter>, at: Timestamp) -> StoreResult<()> {
    for letter in letters {
        sqlx::query("INSERT INTO dead_letter (source, kind, reason, raw, received_at) VALUES (?, ?, ?, ?, ?)")
            .bind(&letter.source)
            .bind(i64::from(letter.kind.code()))
            .bind(&letter.reason)
            // Whose it is nobody knows before it is read: it is bound to no customer.
            .bind(sealer.seal_bytes(sealed::RAW, 0, &letter.raw)?)
            .bind(at.0)
            .execute(&mut *writing.tx)
            .await?;
    }
    Ok(())
}

fn many(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl Inbox for SqliteStore {
    async fn take_post(&self, post: &Post<'_>) -> StoreResult<bool> {
        let rows: Vec<_> = post
            .receipts
            .iter()
            .map(|r| {
                [
                    i64::from(r.route.0).into(),
                    r.provider_ref.as_deref().into(),
                    r.touch.map(|t| t.customer.0).into(),
                    r.touch.map(|t| t.campaign.0).into(),
                    r.touch.map(|t| i64::from(t.seq)).into(),
                    r.at.0.into(),
                    i64::from(r.disposition.code()).into(),
                    i64::from(r.connected_s).into(),
                    r.cost_micros.into(),
                    post.at.0.into(),
                    post.next_at.0.into(),
                ]
            })
            .collect();
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let seen = [[post.source.into(), post.id.into(), post.at.0.into()]];
        if bulk::write(&mut writing.tx, writing.texts, &SEE, &seen).await? == 0 {
            return Ok(false);
        }
        bulk::write(&mut writing.tx, writing.texts, &KEEP, &rows).await?;
        bury(&mut writing, &self.sealer, post.dead.iter(), post.at).await?;
        writing.commit().await?;
        Ok(true)
    }

    async fn open_receipts(&self, due: Option<Timestamp>, after: i64, limit: usize) -> StoreResult<Vec<InboxReceipt>> {
        let mut reader = self.reader().await?;
        let sql = format!("{RECEIPT} WHERE applied = 0 AND next_at <= ? AND id > ? ORDER BY id LIMIT ?");
        let rows =
            sqlx::query(AssertSqlSafe(sql)).bind(due.map_or(i64::MAX, |at| at.0)).bind(after).bind(many(limit)).fetch_all(&mut *reader).await?;
        rows.iter().map(receipt).collect()
    }

    async fn confirm_receipts(&self, receipts: &[(i64, TouchKey)]) -> StoreResult<Vec<i64>> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let mut confirmed = Vec::new();
        for (id, touch) in receipts {
            let known: Option<i64> = sqlx::query_scalar("SELECT disposition FROM inbox_receipt WHERE id = ? AND applied = 0")
                .bind(id)
                .fetch_optional(&mut *writing.tx)
                .await?;
            let Some(disposition) = known.map(|c| code("the disposition", c, reason)).transpose()? else { continue };
            let changed = sqlx::query(
                "UPDATE inbox_receipt SET applied = 1 WHERE id = ?1 AND EXISTS (SELECT 1 FROM receipt r \
                 WHERE r.customer_id = ?2 AND r.campaign_id = ?3 AND r.seq = ?4 AND r.at = inbox_receipt.at AND r.said = ?5)",
            )
            .bind(id)
            .bind(touch.customer.0)
            .bind(touch.campaign.0)
            .bind(i64::from(touch.seq))
            // As the engine keeps it with the raw receipt.
            .bind(disposition.name())
            .execute(&mut *writing.tx)
            .await?
            .rows_affected();
            if changed == 1 {
                confirmed.push(*id);
            }
        }
        writing.commit().await?;
        Ok(confirmed)
    }

    async fn receipts_handed(&self, ids: &[i64], next_at: Timestamp) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let list = serde_json::to_string(ids).map_err(|e| StoreError::Backend(e.to_string()))?;
        sqlx::query("UPDATE inbox_receipt SET tries = tries + 1, next_at = ?2 WHERE id IN (SELECT value FROM json_each(?1))")
            .bind(list)
            .bind(next_at.0)
            .execute(&mut *writing.tx)
            .await?;
        writing.commit().await
    }

    async fn bury_receipts(&self, buried: &[(i64, NewDeadLetter)], at: Timestamp) -> StoreResult<()> {
        let ids: Vec<i64> = buried.iter().map(|(id, _)| *id).collect();
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        bury(&mut writing, &self.sealer, buried.iter().map(|(_, letter)| letter), at).await?;
        sqlx::query_with("UPDATE inbox_receipt SET applied = 1 WHERE id IN (SELECT value FROM json_each(?))", json_arguments(&ids)?)
            .execute(&mut *writing.tx)
            .await?;
        writing.commit().await
    }

    async fn keep_dead_letters(&self, letters: &[NewDeadLetter], at: Timestamp) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        bury(&mut writing, &self.sealer, letters.iter(), at).await?;
        writing.commit().await
    }

    async fn dead_letters(&self, open: bool, after: i64, limit: usize) -> StoreResult<Vec<DeadLetter>> {
        let mut reader = self.reader().await?;
        let only = if open { "AND closed_at IS NULL" } else { "" };
        let sql = format!("{LETTER} WHERE id > ? {only} ORDER BY id LIMIT ?");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(many(limit)).fetch_all(&mut *reader).await?;
        rows.iter().map(|row| letter(row, &self.sealer)).collect()
    }

    async fn dead_letter(&self, id: i64) -> StoreResult<Option<DeadLetter>> {
        let mut reader = self.reader().await?;
        let row = sqlx::query(AssertSqlSafe(format!("{LETTER} WHERE id = ?"))).bind(id).fetch_optional(&mut *reader).await?;
        row.as_ref().map(|row| letter(row, &self.sealer)).transpose()
    }

    async fn close_dead_letter(&self, id: i64, how: &str, at: Timestamp) -> StoreResult<bool> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let closed = sqlx::query("UPDATE dead_letter SET closed_at = ?2, how = ?3 WHERE id = ?1 AND closed_at IS NULL")
            .bind(id)
            .bind(at.0)
            .bind(how)
            .execute(&mut *writing.tx)
            .await?
            .rows_affected();
        writing.commit().await?;
        Ok(closed == 1)
    }

    async fn known_events(&self, events: &[(String, String)]) -> StoreResult<Vec<bool>> {
        let list = serde_json::to_string(events).map_err(|e| StoreError::Backend(e.to_string()))?;
        let mut reader = self.reader().await?;
        let sql = "SELECT EXISTS (SELECT 1 FROM seen_message s WHERE s.source = j.value ->> 0 AND s.id = j.value ->> 1) \
                   FROM json_each(?) j ORDER BY j.key";
        Ok(sqlx::query_scalar(sql).bind(list).fetch_all(&mut *reader).await?)
    }

    async fn keep_events(&self, events: &[(String, String)], ratings: &[Rating], at: Timestamp) -> StoreResult<()> {
        let rows: Vec<_> = events.iter().map(|(source, id)| [source.as_str().into(), id.as_str().into(), at.0.into()]).collect();
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        bulk::write(&mut writing.tx, writing.texts, &SEE, &rows).await?;
        for rating in ratings {
            sqlx::query("INSERT OR IGNORE INTO rating (source, event_id, customer_id, campaign_id, seq, rating, at) VALUES (?, ?, ?, ?, ?, ?, ?)")
                .bind(&rating.event.0)
                .bind(&rating.event.1)
                .bind(rating.customer.0)
                .bind(rating.touch.map(|t| t.campaign.0))
                .bind(rating.touch.map(|t| i64::from(t.seq)))
                .bind(i64::from(rating.rating))
                .bind(rating.at.0)
                .execute(&mut *writing.tx)
                .await?;
        }
        writing.commit().await
    }

    async fn ratings(&self, campaign: Option<CampaignId>) -> StoreResult<[i64; 5]> {
        let mut reader = self.reader().await?;
        let rows: Vec<(i64, i64)> = sqlx::query_as("SELECT rating, count(*) FROM rating WHERE ?1 IS NULL OR campaign_id = ?1 GROUP BY rating")
            .bind(campaign.map(|c| c.0))
            .fetch_all(&mut *reader)
            .await?;
        let mut counts = [0; 5];
        for (rating, n) in rows {
            if let Some(count) = usize::try_from(rating - 1).ok().and_then(|place| counts.get_mut(place)) {
                *count = n;
            }
        }
        Ok(counts)
    }

    async fn forget_messages(&self, before: Timestamp) -> StoreResult<u64> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let mut gone = 0;
        for sql in ["DELETE FROM seen_message WHERE at < ?", "DELETE FROM inbox_receipt WHERE applied = 1 AND received_at < ?"] {
            gone += sqlx::query(sql).bind(before.0).execute(&mut *writing.tx).await?.rows_affected();
        }
        writing.commit().await?;
        Ok(gone)
    }
}
