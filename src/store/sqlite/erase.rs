//! Erasing a customer: one transaction, after which nothing in the database says who it was.
use super::{SqliteStore, Writing, contact_hash, contactable, customers, sealed};
use crate::domain::consent::SuppressionRecord;
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;
use crate::store::privacy::{self, ERASED, Erased, Erasure};
use crate::store::{CustomerRow, StoreError, StoreResult};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Row, SqliteConnection};

/// When a customer was erased.
pub(super) async fn of(conn: &mut SqliteConnection, customer: CustomerId) -> StoreResult<Option<Erasure>> {
    let found = sqlx::query("SELECT at, by, why FROM erasure WHERE customer_id = ?").bind(customer.0).fetch_optional(conn).await?;
    let Some(row) = found else { return Ok(None) };
    Ok(Some(Erasure { customer, at: Timestamp(row.try_get(0)?), by: row.try_get(1)?, why: row.try_get(2)? }))
}

/// See [`privacy::PersonalData::erase`].
pub(super) async fn erase(store: &SqliteStore, erasure: &Erasure) -> StoreResult<Erased> {
    let customer = erasure.customer;
    let mut erased = Erased { pseudonym: privacy::pseudonym(customer), ..Erased::default() };
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let mut arguments = SqliteArguments::default();
    arguments.add(customer.0).map_err(sqlx::Error::Encode)?;
    let row = customers::fetch(&mut writing.tx, &store.sealer, "FROM customer c WHERE c.id = ?", arguments).await?.pop();
    let row = row.ok_or_else(|| StoreError::NotFound { what: "customer", name: customer.to_string(), hint: String::new() })?;
    if of(&mut writing.tx, customer).await?.is_some() {
        erased.already = true;
        return Ok(erased);
    }
    marks(&mut writing, store, &row).await?;
    let mut hashes = contact_hash::Changes::new(&store.sealer);
    hashes.of(customer, (row.phone.as_ref(), row.email.as_ref()), (None, None));
    hashes.write(&mut writing).await?;
    sqlx::query(
        "UPDATE customer SET reference = ?, phone = NULL, email = NULL, push = NULL, timezone = NULL, language = NULL, branch = NULL, rm = NULL, \
         attributes = '{}' WHERE id = ?",
    )
    .bind(&erased.pseudonym)
    .bind(customer.0)
    .execute(&mut *writing.tx)
    .await?;
    erased.sources = sources(&mut writing, customer).await?;
    suppress(&mut writing, customer, &suppression(erasure.at)).await?;
    contactable::recompute(&mut writing, &[customer]).await?;
    erased.receipts = sqlx::query("UPDATE receipt SET said = ? WHERE customer_id = ? AND said <> ?")
        .bind(ERASED)
        .bind(customer.0)
        .bind(ERASED)
        .execute(&mut *writing.tx)
        .await?
        .rows_affected();
    erased.tasks = by_customer(
        &mut writing,
        // The title of a callback or a referral is what somebody wrote down of the customer; a journey's is its campaign's.
        "UPDATE task SET script = NULL, notes = NULL, title = iif(touch_campaign IS NULL, 'erased', title), version = version + 1 \
         WHERE customer_id = ? AND (script IS NOT NULL OR notes IS NOT NULL OR (touch_campaign IS NULL AND title <> 'erased'))",
        customer,
    )
    .await?;
    erased.checkpoints = by_customer(&mut writing, "DELETE FROM checkpoint WHERE customer_id = ?", customer).await?;
    // Words of relationship managers and of the customer; when they held or wished stays.
    by_customer(&mut writing, "UPDATE OR REPLACE contact_hold SET why = 'erased' WHERE customer_id = ?", customer).await?;
    by_customer(&mut writing, "UPDATE callback_wish SET topic = 'erased' WHERE customer_id = ?", customer).await?;
    letters(&mut writing, store, &row, erasure.at).await?;
    sqlx::query("INSERT INTO erasure (customer_id, at, by, why) VALUES (?, ?, ?, ?)")
        .bind(customer.0)
        .bind(erasure.at.0)
        .bind(&erasure.by)
        .bind(&erasure.why)
        .execute(&mut *writing.tx)
        .await?;
    writing.commit().await?;
    Ok(erased)
}

/// Dead letters are nobody's until somebody reads them: each is opened and looked at. What is left of one is that it came.
async fn letters(writing: &mut Writing<'_>, store: &SqliteStore, customer: &CustomerRow, at: Timestamp) -> StoreResult<()> {
    const PAGE: i64 = 200;
    let mut after = 0_i64;
    loop {
        let sql = "SELECT id, raw FROM dead_letter WHERE id > ? ORDER BY id LIMIT ?";
        let page = sqlx::query(sql).bind(after).bind(PAGE).fetch_all(&mut *writing.tx).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.try_get(0)?;
        for row in &page {
            if privacy::speaks_of(&sealed::raw(&store.sealer, row.try_get(1)?)?, customer) {
                sqlx::query("UPDATE dead_letter SET raw = ?, closed_at = coalesce(closed_at, ?), how = coalesce(how, ?) WHERE id = ?")
                    .bind(store.sealer.seal_bytes(sealed::RAW, 0, ERASED.as_bytes())?)
                    .bind(at.0)
                    .bind(privacy::LETTER_ERASED)
                    .bind(row.try_get::<i64, _>(0)?)
                    .execute(&mut *writing.tx)
                    .await?;
            }
        }
    }
}

async fn by_customer(writing: &mut Writing<'_>, sql: &'static str, customer: CustomerId) -> StoreResult<u64> {
    Ok(sqlx::query(sql).bind(customer.0).execute(&mut *writing.tx).await?.rows_affected())
}

/// The suppression for ever that an erased customer is under.
fn suppression(at: Timestamp) -> SuppressionRecord {
    SuppressionRecord { channel: None, why: ERASED.to_owned(), at, until: None, source: ERASED.to_owned() }
}

async fn suppress(writing: &mut Writing<'_>, customer: CustomerId, record: &SuppressionRecord) -> StoreResult<()> {
    sqlx::query("INSERT OR IGNORE INTO suppression (customer_id, channel, at, until, why, source) VALUES (?, 0, ?, ?, ?, ?)")
        .bind(customer.0)
        .bind(record.at.0)
        .bind(Timestamp::FAR.0)
        .bind(&record.why)
        .bind(&record.source)
        .execute(&mut *writing.tx)
        .await?;
    Ok(())
}

/// Who recorded a consent or an opt-out, and on what form, may name the customer; that it was given or taken back stays. Records that
/// differed in nothing else become one.
async fn sources(writing: &mut Writing<'_>, customer: CustomerId) -> StoreResult<u64> {
    let consents = sqlx::query("UPDATE OR REPLACE consent SET source = ? WHERE customer_id = ? AND source <> ?")
        .bind(ERASED)
        .bind(customer.0)
        .bind(ERASED)
        .execute(&mut *writing.tx)
        .await?
        .rows_affected();
    // A complaint is packed beside the customer and stays one; other reasons are words that somebody wrote.
    let suppressions =
        sqlx::query("UPDATE OR REPLACE suppression SET source = ?1, why = iif(why = 'complaint', why, ?1) WHERE customer_id = ?2 AND source <> ?1")
            .bind(ERASED)
            .bind(customer.0)
            .execute(&mut *writing.tx)
            .await?
            .rows_affected();
    Ok(consents + suppressions)
}

async fn marks(writing: &mut Writing<'_>, store: &SqliteStore, row: &CustomerRow) -> StoreResult<()> {
    let reference = store.sealer.reference_mark(&row.reference);
    let phone = row.phone.as_ref().map(|phone| store.sealer.phone_mark(phone));
    for mark in std::iter::once(reference).chain(phone) {
        sqlx::query("INSERT OR IGNORE INTO tombstone (mark, customer_id) VALUES (?, ?)")
            .bind(mark.as_slice())
            .bind(row.id.0)
            .execute(&mut *writing.tx)
            .await?;
    }
    Ok(())
}
