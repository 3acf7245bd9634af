//! The customer book.
use super::batches::json_arguments;
use super::bulk::{self, Cell, Form};
use super::fault::unknown;
use super::{SqliteStore, Writing, consents, contactable, members};
use crate::domain::consent::Contactability;
use crate::domain::contact::{EmailAddress, Phone, PushToken};
use crate::domain::ids::CustomerId;
use crate::store::{CustomerBook, CustomerInput, CustomerRow, IntakeProgress, Member, Needs, PutCount, StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};

/// Inserts, or updates field by field; a row that changes nothing is not counted as changed. `contactability` is that of the
/// consents that came with a new customer; for a known one it follows from all consents on record.
static UPSERT: Form<10> = Form {
    name: "customer",
    tiers: &[0b00_1000_0011, 0b00_1000_0111, 0b00_1101_0011, 0b11_1111_1111],
    text: |slots| {
        format!(
            "INSERT INTO customer (reference, phone, email, push, timezone, language, branch, rm, attributes, contactability) VALUES {} \
             ON CONFLICT (reference) DO UPDATE SET phone = coalesce(excluded.phone, phone), email = coalesce(excluded.email, email), \
             push = coalesce(excluded.push, push), timezone = coalesce(excluded.timezone, timezone), \
             language = coalesce(excluded.language, language), branch = coalesce(excluded.branch, branch), rm = coalesce(excluded.rm, rm), \
             attributes = iif(excluded.attributes = '{{}}', attributes, json_patch(attributes, excluded.attributes)) \
             WHERE coalesce(excluded.phone, phone) IS NOT phone OR coalesce(excluded.email, email) IS NOT email \
             OR coalesce(excluded.push, push) IS NOT push OR coalesce(excluded.timezone, timezone) IS NOT timezone \
             OR coalesce(excluded.language, language) IS NOT language OR coalesce(excluded.branch, branch) IS NOT branch \
             OR coalesce(excluded.rm, rm) IS NOT rm \
             OR (excluded.attributes <> '{{}}' AND excluded.attributes <> attributes AND json_patch(attributes, excluded.attributes) <> attributes)",
            slots.all_columns()
        )
    },
};

/// A row written out, before it is bound.
struct Prepared<'a> {
    input: &'a CustomerInput,
    attributes: String,
    contactability: Contactability,
}

/// Why a row is not taken.
fn refusal(input: &CustomerInput) -> Option<&'static str> {
    let private =
        [input.phone.as_ref().map(Phone::reveal), input.email.as_ref().map(EmailAddress::reveal), input.push.as_ref().map(PushToken::reveal)];
    let plain = [input.language.as_deref(), input.branch.as_deref(), input.rm.as_deref()];
    if input.reference.is_empty() {
        return Some("expected a customer reference, found none");
    }
    // NUL and the separators of information (0x1c-0x1f) are in no name, number or address; packed reads divide rows by them.
    let odd = |text: &str| text.bytes().any(|b| b == 0 || (0x1c..0x20).contains(&b));
    if odd(&input.reference) || private.into_iter().chain(plain).flatten().any(odd) {
        return Some("expected text, found control characters (NUL or an information separator)");
    }
    None
}

fn filled(text: Option<&str>) -> Cell<'_> {
    text.filter(|t| !t.is_empty()).into()
}

fn row<'a>(prepared: &'a Prepared<'_>) -> [Cell<'a>; 10] {
    let input = prepared.input;
    [
        input.reference.as_str().into(),
        filled(input.phone.as_ref().map(Phone::reveal)),
        filled(input.email.as_ref().map(EmailAddress::reveal)),
        filled(input.push.as_ref().map(PushToken::reveal)),
        input.timezone.map(chrono_tz::Tz::name).into(),
        filled(input.language.as_deref()),
        filled(input.branch.as_deref()),
        filled(input.rm.as_deref()),
        prepared.attributes.as_str().into(),
        prepared.contactability.0.into(),
    ]
}

fn prepare<'a>(batch: &'a [CustomerInput], count: &mut PutCount) -> StoreResult<Vec<Prepared<'a>>> {
    let mut prepared = Vec::with_capacity(batch.len());
    for (index, input) in batch.iter().enumerate() {
        if let Some(why) = refusal(input) {
            count.rejected.push((index, why.to_owned()));
            continue;
        }
        let attributes = if input.attributes.is_empty() {
            "{}".to_owned()
        } else {
            serde_json::to_string(&input.attributes).map_err(|e| StoreError::Backend(format!("attributes could not be written as JSON: {e}")))?
        };
        let mut latest = contactable::Latest::default();
        for record in &input.consents {
            contactable::consider(&mut latest, record.channel, record.purpose, record.at.0, record.state);
        }
        prepared.push(Prepared { input, attributes, contactability: contactable::pack(&latest) });
    }
    Ok(prepared)
}

async fn last_id(conn: &mut SqliteConnection) -> StoreResult<i64> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM customer").fetch_one(conn).await?)
}

/// Writes rows that came with consents where some of the customers are known: one by one, so that a customer whose row changes
/// nothing but who has a new consent is counted as updated.
async fn put_each(writing: &mut Writing<'_>, prepared: &[Prepared<'_>], count: &mut PutCount) -> StoreResult<()> {
    let mut customers = Vec::new();
    for each in prepared {
        let before = last_id(&mut writing.tx).await?;
        let changed = bulk::write(&mut writing.tx, writing.texts, &UPSERT, &[row(each)]).await?;
        let id: i64 =
            sqlx::query_scalar("SELECT id FROM customer WHERE reference = ?").bind(&each.input.reference).fetch_one(&mut *writing.tx).await?;
        let records: Vec<_> = each.input.consents.iter().map(|c| (CustomerId(id), c)).collect();
        let added = consents::append_consents(writing, &records).await?;
        if added > 0 {
            customers.push(CustomerId(id));
        }
        match (id > before, changed + added > 0) {
            (true, _) => count.inserted += 1,
            (false, true) => count.updated += 1,
            (false, false) => count.duplicates += 1,
        }
    }
    customers.sort_unstable();
    customers.dedup();
    contactable::recompute(writing, &customers).await?;
    Ok(())
}

/// Writes rows in bulk. `false`: nothing of it stands, because consents came along and some of the customers are known.
async fn put_bulk(writing: &mut Writing<'_>, prepared: &[Prepared<'_>], count: &mut PutCount) -> StoreResult<bool> {
    let before = last_id(&mut writing.tx).await?;
    let rows: Vec<_> = prepared.iter().map(row).collect();
    let changed = bulk::write(&mut writing.tx, writing.texts, &UPSERT, &rows).await?;
    // Customers are never deleted, and an id is given to new ones alone: the difference is how many are new.
    let inserted = (last_id(&mut writing.tx).await? - before).unsigned_abs();
    if prepared.iter().any(|p| !p.input.consents.is_empty()) {
        if inserted != prepared.len() as u64 {
            return Ok(false);
        }
        // All new: numbered in the order in which they came, and their contactability is packed already.
        let records: Vec<_> = (before + 1..).zip(prepared).flat_map(|(id, p)| p.input.consents.iter().map(move |c| (CustomerId(id), c))).collect();
        consents::append_consents(writing, &records).await?;
    }
    count.inserted = inserted;
    count.updated = changed.saturating_sub(inserted);
    count.duplicates = (prepared.len() as u64).saturating_sub(changed);
    Ok(true)
}

#[async_trait]
impl CustomerBook for SqliteStore {
    async fn put_customers(&self, batch: &[CustomerInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        let mut count = PutCount::default();
        let prepared = prepare(batch, &mut count)?;
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        sqlx::query("SAVEPOINT customers").execute(&mut *writing.tx).await?;
        if !put_bulk(&mut writing, &prepared, &mut count).await? {
            sqlx::query("ROLLBACK TO customers").execute(&mut *writing.tx).await?;
            put_each(&mut writing, &prepared, &mut count).await?;
        }
        sqlx::query("RELEASE customers").execute(&mut *writing.tx).await?;
        put_progress(&mut writing.tx, progress).await?;
        writing.commit().await?;
        Ok(count)
    }

    async fn customer(&self, reference: &str) -> StoreResult<Option<CustomerRow>> {
        let mut reader = self.reader().await?;
        let found = sqlx::query(
            "SELECT id, reference, phone, email, push, timezone, language, branch, rm, attributes, contactability FROM customer WHERE reference = ?",
        )
        .bind(reference)
        .fetch_optional(&mut *reader)
        .await?;
        let Some(row) = found else { return Ok(None) };
        let zone: Option<String> = row.try_get(5)?;
        Ok(Some(CustomerRow {
            id: CustomerId(row.try_get(0)?),
            reference: row.try_get(1)?,
            phone: row.try_get::<Option<String>, _>(2)?.map(Phone::new),
            email: row.try_get::<Option<String>, _>(3)?.map(EmailAddress::new),
            push: row.try_get::<Option<String>, _>(4)?.map(PushToken::new),
            timezone: zone.map(|z| z.parse().map_err(|_| unknown("the time zone", format!("{z:?}")))).transpose()?,
            language: row.try_get(6)?,
            branch: row.try_get(7)?,
            rm: row.try_get(8)?,
            attributes: row.try_get(9)?,
            contactability: Contactability(row.try_get(10)?),
        }))
    }

    async fn customer_ids(&self, references: &[&str]) -> StoreResult<Vec<Option<CustomerId>>> {
        let mut reader = self.reader().await?;
        ids_of(&mut reader, references).await
    }

    async fn members(&self, customers: &[CustomerId], needs: Needs) -> StoreResult<Vec<Member>> {
        let mut sorted = customers.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut members = members::by_ids(&mut *self.reader().await?, &sorted, needs).await?;
        Ok(sorted.into_iter().filter_map(|id| members.remove(&id)).collect())
    }

    async fn customer_count(&self) -> StoreResult<i64> {
        let mut reader = self.reader().await?;
        Ok(sqlx::query_scalar("SELECT count(*) FROM customer").fetch_one(&mut *reader).await?)
    }

    async fn intake_progress(&self, key: &str) -> StoreResult<Option<IntakeProgress>> {
        let mut reader = self.reader().await?;
        let found = sqlx::query("SELECT key, rows_read, accepted, filtered, rejected, duplicates, rejects_bytes, done FROM intake WHERE key = ?")
            .bind(key)
            .fetch_optional(&mut *reader)
            .await?;
        let Some(row) = found else { return Ok(None) };
        let n = |column: usize| -> StoreResult<u64> {
            let n: i64 = row.try_get(column)?;
            u64::try_from(n).map_err(|_| unknown("an intake's count", n))
        };
        Ok(Some(IntakeProgress {
            key: row.try_get(0)?,
            rows_read: n(1)?,
            accepted: n(2)?,
            filtered: n(3)?,
            rejected: n(4)?,
            duplicates: n(5)?,
            rejects_bytes: n(6)?,
            done: row.try_get(7)?,
        }))
    }

    async fn set_intake_progress(&self, progress: &IntakeProgress) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        put_progress(&mut writing.tx, Some(progress)).await?;
        writing.commit().await
    }
}

/// Numbers of references, in the order asked.
pub(super) async fn ids_of(conn: &mut SqliteConnection, references: &[&str]) -> StoreResult<Vec<Option<CustomerId>>> {
    let mut ids = vec![None; references.len()];
    for (at, chunk) in references.chunks(2_000).enumerate() {
        let found =
            sqlx::query_with("SELECT j.key, c.id FROM json_each(?) j CROSS JOIN customer c ON c.reference = j.value", json_arguments(&chunk)?)
                .fetch_all(&mut *conn)
                .await?;
        for row in found {
            let place: i64 = row.try_get(0)?;
            let place = at * 2_000 + usize::try_from(place).unwrap_or(usize::MAX);
            if let Some(id) = ids.get_mut(place) {
                *id = Some(CustomerId(row.try_get(1)?));
            }
        }
    }
    Ok(ids)
}

/// Keeps an intake's mark.
pub(super) async fn put_progress(conn: &mut SqliteConnection, progress: Option<&IntakeProgress>) -> StoreResult<()> {
    let Some(progress) = progress else { return Ok(()) };
    let n = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    sqlx::query("INSERT OR REPLACE INTO intake (key, rows_read, accepted, filtered, rejected, duplicates, rejects_bytes, done) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(&progress.key)
        .bind(n(progress.rows_read))
        .bind(n(progress.accepted))
        .bind(n(progress.filtered))
        .bind(n(progress.rejected))
        .bind(n(progress.duplicates))
        .bind(n(progress.rejects_bytes))
        .bind(progress.done)
        .execute(conn)
        .await?;
    Ok(())
}
