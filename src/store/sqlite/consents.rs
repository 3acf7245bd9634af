//! Consents and suppressions, each kept for ever with its provenance.
use super::batches::json_arguments;
use super::bulk::{self, Cell, Form};
use super::customers::{ids_of, put_progress};
use super::rows::code;
use super::{SqliteStore, Writing, contactable, holds, packed};
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentRecord, ConsentState, Contactability, HoldRecord, Purpose, SuppressionRecord};
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;
use crate::store::{ConsentList, IntakeProgress, PutCount, StoreResult};
use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use std::collections::HashMap;

static PUT_CONSENT: Form<6> = Form {
    name: "consent",
    tiers: &[0b111_111],
    text: |slots| format!("INSERT OR IGNORE INTO consent (customer_id, channel, purpose, at, state, source) VALUES {}", slots.all_columns()),
};
static PUT_SUPPRESSION: Form<6> = Form {
    name: "suppression",
    tiers: &[0b111_111],
    text: |slots| format!("INSERT OR IGNORE INTO suppression (customer_id, channel, at, until, why, source) VALUES {}", slots.all_columns()),
};

/// `until` of a suppression for ever.
const FOR_EVER: i64 = Timestamp::FAR.0;

fn consent_row(customer: CustomerId, record: &ConsentRecord) -> [Cell<'_>; 6] {
    [
        customer.0.into(),
        i64::from(record.channel.code()).into(),
        i64::from(record.purpose.code()).into(),
        record.at.0.into(),
        i64::from(record.state.code()).into(),
        record.source.as_str().into(),
    ]
}

/// Writes consents of customers; returns how many were not on record before. The packed states are the caller's to follow up.
pub(super) async fn append_consents(writing: &mut Writing<'_>, records: &[(CustomerId, &ConsentRecord)]) -> StoreResult<u64> {
    let rows: Vec<_> = records.iter().map(|(customer, record)| consent_row(*customer, record)).collect();
    bulk::write(&mut writing.tx, writing.texts, &PUT_CONSENT, &rows).await
}

/// The consents on record of these customers.
pub(super) async fn on_record(conn: &mut SqliteConnection, customers: &[CustomerId]) -> StoreResult<HashMap<CustomerId, Vec<ConsentRecord>>> {
    let mut found: HashMap<CustomerId, Vec<ConsentRecord>> = HashMap::new();
    for customers in customers.chunks(2_000) {
        let sql = packed::pack(
            &["c.customer_id", "c.channel", "c.purpose", "c.state", "c.at", &packed::quoted("c.source")],
            "FROM json_each(?) j CROSS JOIN consent c ON c.customer_id = j.value",
        );
        let text = packed::fetch(conn, sql.into(), json_arguments(&customers)?).await?;
        for mut row in packed::rows(&text) {
            let customer = CustomerId(row.int()?);
            found.entry(customer).or_default().push(ConsentRecord {
                channel: code("the channel", row.int()?, Channel::from_code)?,
                purpose: code("the purpose", row.int()?, Purpose::from_code)?,
                state: code("the consent", row.int()?, ConsentState::from_code)?,
                at: Timestamp(row.int()?),
                source: row.maybe_quoted()?.unwrap_or_default(),
            });
        }
    }
    Ok(found)
}

/// Why a record is not taken for a customer that is not in the book. (The reference is not repeated: texts carry no personal data.)
const UNKNOWN_CUSTOMER: &str = "expected a customer that has been imported, found an unknown reference; import the customer first";

fn sorted(mut customers: Vec<CustomerId>) -> Vec<CustomerId> {
    customers.sort_unstable();
    customers.dedup();
    customers
}

#[async_trait]
impl ConsentList for SqliteStore {
    async fn put_consents(&self, batch: &[(String, ConsentRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let references: Vec<&str> = batch.iter().map(|(reference, _)| reference.as_str()).collect();
        let ids = ids_of(&mut writing.tx, &references).await?;
        let mut count = PutCount::default();
        let mut records = Vec::with_capacity(batch.len());
        for (index, ((_, record), id)) in batch.iter().zip(ids).enumerate() {
            match id {
                Some(_) if record.state == ConsentState::Unknown => {
                    count.rejected.push((index, "expected a consent that was granted or withdrawn, found \"unknown\"".into()));
                }
                Some(customer) => records.push((customer, record)),
                None => count.rejected.push((index, UNKNOWN_CUSTOMER.into())),
            }
        }
        count.inserted = append_consents(&mut writing, &records).await?;
        count.duplicates = records.len() as u64 - count.inserted;
        contactable::recompute(&mut writing, &sorted(records.iter().map(|(customer, _)| *customer).collect())).await?;
        put_progress(&mut writing.tx, progress).await?;
        writing.commit().await?;
        Ok(count)
    }

    async fn put_suppressions(&self, batch: &[(String, SuppressionRecord)], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let references: Vec<&str> = batch.iter().map(|(reference, _)| reference.as_str()).collect();
        let ids = ids_of(&mut writing.tx, &references).await?;
        let mut count = PutCount::default();
        let mut rows = Vec::with_capacity(batch.len());
        let mut customers = Vec::with_capacity(batch.len());
        for (index, ((_, record), id)) in batch.iter().zip(ids).enumerate() {
            let Some(customer) = id else {
                count.rejected.push((index, UNKNOWN_CUSTOMER.into()));
                continue;
            };
            customers.push(customer);
            rows.push([
                customer.0.into(),
                record.channel.map_or(0, |c| i64::from(c.code())).into(),
                record.at.0.into(),
                record.until.map_or(FOR_EVER, |t| t.0).into(),
                record.why.as_str().into(),
                record.source.as_str().into(),
            ]);
        }
        count.inserted = bulk::write(&mut writing.tx, writing.texts, &PUT_SUPPRESSION, &rows).await?;
        count.duplicates = rows.len() as u64 - count.inserted;
        contactable::recompute(&mut writing, &sorted(customers)).await?;
        put_progress(&mut writing.tx, progress).await?;
        writing.commit().await?;
        Ok(count)
    }

    async fn consents(&self, customer: CustomerId) -> StoreResult<Vec<ConsentRecord>> {
        let mut reader = self.reader().await?;
        sqlx::query("SELECT channel, purpose, state, at, source FROM consent WHERE customer_id = ? ORDER BY at, channel, purpose, state")
            .bind(customer.0)
            .fetch_all(&mut *reader)
            .await?
            .iter()
            .map(|row| {
                Ok(ConsentRecord {
                    channel: code("the channel", row.try_get(0)?, Channel::from_code)?,
                    purpose: code("the purpose", row.try_get(1)?, Purpose::from_code)?,
                    state: code("the consent", row.try_get(2)?, ConsentState::from_code)?,
                    at: Timestamp(row.try_get(3)?),
                    source: row.try_get(4)?,
                })
            })
            .collect()
    }

    async fn suppressions(&self, customer: CustomerId) -> StoreResult<Vec<SuppressionRecord>> {
        let mut reader = self.reader().await?;
        sqlx::query("SELECT channel, why, at, until, source FROM suppression WHERE customer_id = ? ORDER BY at, channel, why")
            .bind(customer.0)
            .fetch_all(&mut *reader)
            .await?
            .iter()
            .map(|row| {
                let channel: i64 = row.try_get(0)?;
                let until: i64 = row.try_get(3)?;
                Ok(SuppressionRecord {
                    channel: if channel == 0 { None } else { Some(code("the channel", channel, Channel::from_code)?) },
                    why: row.try_get(1)?,
                    at: Timestamp(row.try_get(2)?),
                    until: (until < FOR_EVER).then_some(Timestamp(until)),
                    source: row.try_get(4)?,
                })
            })
            .collect()
    }

    async fn contactability(&self, customer: CustomerId) -> StoreResult<Contactability> {
        let mut reader = self.reader().await?;
        let packed: Option<i64> =
            sqlx::query_scalar("SELECT contactability FROM customer WHERE id = ?").bind(customer.0).fetch_optional(&mut *reader).await?;
        packed.map(Contactability).ok_or_else(|| crate::store::StoreError::NotFound {
            what: "customer",
            name: customer.to_string(),
            hint: String::new(),
        })
    }

    async fn lapse_suppressions(&self, at: Timestamp) -> StoreResult<u64> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let due: Vec<i64> =
            sqlx::query_scalar("UPDATE suppression SET lapsed = 1 WHERE lapsed = 0 AND until < 253402300799000 AND until <= ? RETURNING customer_id")
                .bind(at.0)
                .fetch_all(&mut *writing.tx)
                .await?;
        let changed = contactable::recompute(&mut writing, &sorted(due.into_iter().map(CustomerId).collect())).await?;
        writing.commit().await?;
        Ok(changed)
    }

    async fn hold(&self, customer: CustomerId, entry: &HoldRecord) -> StoreResult<Option<Timestamp>> {
        holds::hold(self, customer, entry).await
    }

    async fn holds(&self, customer: CustomerId) -> StoreResult<Vec<HoldRecord>> {
        holds::of(&mut *self.reader().await?, customer).await
    }
}

/// The packed states of these customers that may have changed after a place in the log (others between them may come along).
pub(super) async fn changed_since(
    conn: &mut sqlx::SqliteConnection,
    seen: i64,
    customers: &[CustomerId],
) -> StoreResult<Vec<(CustomerId, Contactability)>> {
    let (Some(first), Some(last)) = (customers.iter().min(), customers.iter().max()) else {
        return Ok(Vec::new());
    };
    let floor: i64 = sqlx::query_scalar("SELECT change_floor FROM meta").fetch_one(&mut *conn).await?;
    let changed: Vec<i64> = if seen < floor {
        customers.iter().map(|c| c.0).collect()
    } else {
        sqlx::query_scalar("SELECT DISTINCT customer_id FROM contactability_change WHERE seq > ? AND customer_id BETWEEN ? AND ?")
            .bind(seen)
            .bind(first.0)
            .bind(last.0)
            .fetch_all(&mut *conn)
            .await?
    };
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_with("SELECT c.id, c.contactability FROM json_each(?) j CROSS JOIN customer c ON c.id = j.value", json_arguments(&changed)?)
        .fetch_all(conn)
        .await?
        .iter()
        .map(|row| Ok((CustomerId(row.try_get(0)?), Contactability(row.try_get(1)?))))
        .collect()
}
