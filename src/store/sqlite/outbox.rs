//! Subscriptions, and the events that are told to them.
use super::batches::by_keys;
use super::bulk::{self, Form};
use super::record::Settlement;
use super::rows::code;
use super::{SqliteStore, Writing};
use crate::domain::ids::{CampaignId, CustomerId, TouchKey};
use crate::domain::time::Timestamp;
use crate::domain::touch::Touch;
use crate::store::outbox::{EventKind, EventRow, NewWebhook, Outbox, Standing, TouchBody, Webhook};
use crate::store::{StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

static TELL: Form<5> = Form {
    name: "event out",
    // Number of the customer, time and body differ; kind and campaign are those of a batch.
    tiers: &[0b1_1010, 0b1_1111],
    text: |slots| format!("INSERT INTO event_out (kind, at, campaign_id, customer_id, body) VALUES {}", slots.all_columns()),
};

const SELECT: &str = "SELECT id, url, kinds, campaign, batched, secret, by, made_at, sent, tries, failing_since, next_at, disabled_at FROM webhook";

fn webhook(row: &SqliteRow) -> StoreResult<Webhook> {
    let tries: i64 = row.try_get(9)?;
    Ok(Webhook {
        id: row.try_get(0)?,
        made: NewWebhook {
            url: row.try_get(1)?,
            kinds: row.try_get(2)?,
            campaign: row.try_get(3)?,
            batched: row.try_get(4)?,
            secret: row.try_get(5)?,
            by: row.try_get(6)?,
            at: Timestamp(row.try_get(7)?),
        },
        sent: row.try_get(8)?,
        standing: Standing {
            tries: u32::try_from(tries).unwrap_or(u32::MAX),
            failing_since: row.try_get::<Option<i64>, _>(10)?.map(Timestamp),
            next_at: Timestamp(row.try_get(11)?),
            disabled_at: row.try_get::<Option<i64>, _>(12)?.map(Timestamp),
        },
    })
}

fn no_webhook(id: i64) -> StoreError {
    StoreError::NotFound { what: "webhook", name: id.to_string(), hint: "; `touchline webhooks list` shows those there are".to_owned() }
}

async fn one(conn: &mut SqliteConnection, id: i64) -> StoreResult<Webhook> {
    let row = sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE id = ?"))).bind(id).fetch_optional(conn).await?;
    row.as_ref().map(webhook).transpose()?.ok_or_else(|| no_webhook(id))
}

/// Whether anybody subscribes to a kind: asked once a transaction, of a table of a few rows.
pub(super) async fn is_wanted(conn: &mut SqliteConnection, kind: EventKind) -> StoreResult<bool> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM webhook WHERE kinds & ?)").bind(kind.bit()).fetch_one(conn).await?)
}

/// Tells of touches that this transaction has settled: the plain ones as they were written, the others as they are stored now.
pub(super) async fn tell_settled(writing: &mut Writing<'_>, plain: &[Settlement<'_>], mut other: Vec<TouchKey>) -> StoreResult<()> {
    let is_told = |t: &&Touch| TouchBody::is_told(t.state) && !t.key.campaign.is_rehearsal();
    if (plain.is_empty() && other.is_empty()) || !is_wanted(&mut writing.tx, EventKind::TouchSettled).await? {
        return Ok(());
    }
    // Settled twice in one call (missed, then reached after all): told once, as it stands at the end.
    other.sort_unstable();
    other.dedup();
    let other = by_keys(&mut writing.tx, &other).await?;
    let touches: Vec<&Touch> = plain.iter().map(|s| &s.touch).chain(&other).filter(is_told).collect();
    let bodies: Vec<String> = touches.iter().map(|t| serde_json::to_string(&TouchBody::of(t)).unwrap_or_default()).collect();
    let kind = i64::from(EventKind::TouchSettled.code());
    let rows: Vec<_> = touches
        .iter()
        .zip(&bodies)
        .map(|(touch, body)| {
            let at = touch.ended_at.or(touch.started_at).unwrap_or_default();
            [kind.into(), at.0.into(), touch.key.campaign.0.into(), touch.key.customer.0.into(), body.as_str().into()]
        })
        .collect();
    bulk::write(&mut writing.tx, writing.texts, &TELL, &rows).await?;
    Ok(())
}

/// Tells of credits that are about to be replaced by those that wait: what is new or has changed, and what is taken back.
pub(super) async fn tell_credits(conn: &mut SqliteConnection, campaign: CampaignId, rule: &str) -> StoreResult<()> {
    if campaign.is_rehearsal() || !is_wanted(conn, EventKind::ConversionCredited).await? {
        return Ok(());
    }
    for (from, against, reversed) in [("credit", "credit_waiting", 1), ("credit_waiting", "credit", 0)] {
        let sql = format!(
            "INSERT INTO event_out (kind, at, campaign_id, customer_id, body) SELECT {kind}, c.at, c.campaign_id, c.customer_id, \
             json_object('rule', c.rule, 'fact_ref', f.fact_ref, 'fact_kind', f.kind, 'seq', c.seq, 'amount_minor', c.amount_minor, \
             'currency', c.currency, 'reversed', {reversed}) FROM {from} c JOIN fact f ON f.id = c.fact_id \
             WHERE c.campaign_id = ?1 AND c.rule = ?2 AND c.seq >= 0 AND NOT EXISTS (SELECT 1 FROM {against} o WHERE o.campaign_id = c.campaign_id \
             AND o.rule = c.rule AND o.fact_id = c.fact_id AND o.seq = c.seq AND o.amount_minor = c.amount_minor AND o.currency = c.currency) \
             ORDER BY c.customer_id, c.fact_id, c.seq",
            kind = EventKind::ConversionCredited.code()
        );
        sqlx::query(AssertSqlSafe(sql)).bind(campaign.0).bind(rule).execute(&mut *conn).await?;
    }
    Ok(())
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn add_webhook(&self, new: &NewWebhook) -> StoreResult<Webhook> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO webhook (url, kinds, campaign, batched, secret, by, made_at, next_at, sent) \
             VALUES (?, ?, ?, ?, ?, ?, ?7, ?7, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event_out'), 0)) RETURNING id",
        )
        .bind(&new.url)
        .bind(new.kinds)
        .bind(&new.campaign)
        .bind(new.batched)
        .bind(&new.secret)
        .bind(&new.by)
        .bind(new.at.0)
        .fetch_one(&mut *writing.tx)
        .await?;
        let made = one(&mut writing.tx, id).await?;
        writing.commit().await?;
        Ok(made)
    }

    async fn webhooks(&self) -> StoreResult<Vec<Webhook>> {
        let mut reader = self.reader().await?;
        let rows = sqlx::query(AssertSqlSafe(format!("{SELECT} ORDER BY id"))).fetch_all(&mut *reader).await?;
        rows.iter().map(webhook).collect()
    }

    async fn webhook(&self, id: i64) -> StoreResult<Webhook> {
        one(&mut *self.reader().await?, id).await
    }

    async fn remove_webhook(&self, id: i64) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let gone = sqlx::query("DELETE FROM webhook WHERE id = ?").bind(id).execute(&mut *writing.tx).await?.rows_affected();
        writing.commit().await?;
        if gone == 1 { Ok(()) } else { Err(no_webhook(id)) }
    }

    async fn enable_webhook(&self, id: i64, at: Timestamp) -> StoreResult<Webhook> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        sqlx::query("UPDATE webhook SET tries = 0, failing_since = NULL, disabled_at = NULL, next_at = ?2 WHERE id = ?1")
            .bind(id)
            .bind(at.0)
            .execute(&mut *writing.tx)
            .await?;
        let enabled = one(&mut writing.tx, id).await?;
        writing.commit().await?;
        Ok(enabled)
    }

    async fn replay_webhook(&self, id: i64, since: Timestamp) -> StoreResult<u64> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        one(&mut writing.tx, id).await?;
        let first: Option<i64> = sqlx::query_scalar("SELECT min(n) FROM event_out WHERE at >= ?").bind(since.0).fetch_one(&mut *writing.tx).await?;
        let Some(first) = first else { return Ok(0) };
        sqlx::query("UPDATE webhook SET sent = min(sent, ?2) WHERE id = ?1").bind(id).bind(first - 1).execute(&mut *writing.tx).await?;
        let again: i64 = sqlx::query_scalar("SELECT count(*) FROM event_out WHERE n > (SELECT sent FROM webhook WHERE id = ?)")
            .bind(id)
            .fetch_one(&mut *writing.tx)
            .await?;
        writing.commit().await?;
        Ok(u64::try_from(again).unwrap_or(0))
    }

    async fn outgoing(&self, webhook: &Webhook, limit: usize) -> StoreResult<(Vec<EventRow>, i64)> {
        let mut reader = self.reader().await?;
        let newest: Option<i64> = sqlx::query_scalar("SELECT max(n) FROM event_out").fetch_one(&mut *reader).await?;
        let Some(newest) = newest.filter(|n| *n > webhook.sent) else { return Ok((Vec::new(), webhook.sent)) };
        let rows = sqlx::query(
            "SELECT n, kind, at, campaign_id, customer_id, body FROM event_out WHERE n > ?1 AND n <= ?2 AND (1 << kind) & ?3 \
             AND (?4 IS NULL OR campaign_id IN (SELECT id FROM campaign WHERE name = ?4)) ORDER BY n LIMIT ?5",
        )
        .bind(webhook.sent)
        .bind(newest)
        .bind(webhook.made.kinds)
        .bind(&webhook.made.campaign)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *reader)
        .await?;
        let events: Vec<EventRow> = rows
            .iter()
            .map(|row| {
                Ok(EventRow {
                    n: row.try_get(0)?,
                    kind: code("the kind of event", row.try_get(1)?, EventKind::from_code)?,
                    at: Timestamp(row.try_get(2)?),
                    campaign: row.try_get::<Option<i64>, _>(3)?.map(CampaignId),
                    customer: row.try_get::<Option<i64>, _>(4)?.map(CustomerId),
                    body: row.try_get(5)?,
                })
            })
            .collect::<StoreResult<_>>()?;
        let seen = if events.len() < limit { newest } else { events.last().map_or(newest, |e| e.n) };
        Ok((events, seen))
    }

    async fn report_delivery(&self, id: i64, from: i64, to: i64, standing: Standing) -> StoreResult<bool> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let done =
            sqlx::query("UPDATE webhook SET sent = ?3, tries = ?4, failing_since = ?5, next_at = ?6, disabled_at = ?7 WHERE id = ?1 AND sent = ?2")
                .bind(id)
                .bind(from)
                .bind(to)
                .bind(i64::from(standing.tries))
                .bind(standing.failing_since.map(|t| t.0))
                .bind(standing.next_at.0)
                .bind(standing.disabled_at.map(|t| t.0))
                .execute(&mut *writing.tx)
                .await?
                .rows_affected();
        writing.commit().await?;
        Ok(done == 1)
    }

    async fn trim_events(&self, before: Timestamp) -> StoreResult<u64> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        // The oldest come first by number: a late one of an older time goes with its neighbours.
        let gone = sqlx::query("DELETE FROM event_out WHERE n < coalesce((SELECT min(n) FROM event_out WHERE at >= ?1), 9223372036854775807)")
            .bind(before.0)
            .execute(&mut *writing.tx)
            .await?
            .rows_affected();
        writing.commit().await?;
        Ok(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::monotonic;
    use crate::domain::outcome::Reason;
    use crate::domain::touch::State;
    use crate::store::TouchLedger;
    use crate::store::conformance::kit;

    /// What a subscription costs the statement that settles: `cargo test --lib -- --ignored --nocapture what_telling_costs`.
    #[tokio::test]
    #[ignore = "a measurement"]
    async fn what_telling_costs() {
        for round in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&folder.path().join("t.sqlite"), true).await.unwrap();
            let bed = kit::bed(&store, 20_000).await;
            let is_told = round % 2 == 1;
            if is_told {
                let new = NewWebhook {
                    url: "https://bank.example/".into(),
                    kinds: 1,
                    campaign: None,
                    batched: false,
                    secret: String::new(),
                    by: "me".into(),
                    at: kit::T0,
                };
                store.add_webhook(&new).await.unwrap();
            }
            let began = monotonic();
            for _ in 0..4 {
                let begun = bed.start(5_000, kit::T0).await;
                let settled: Vec<_> = begun.written.iter().map(|(_, t)| kit::ended(t, State::Reached, Reason::Answered, kit::T0)).collect();
                store.record(bed.fence, &settled, &[]).await.unwrap();
            }
            println!("begin and record of 20,000 touches, {}: {:.3} s", if is_told { "told" } else { "not told" }, began.elapsed().as_secs_f64());
        }
    }
}
