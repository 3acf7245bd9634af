//! The customer book.
use super::batches::json_arguments;
use super::fault::unknown;
use super::members::{self, Zones};
use super::packed::{self, Columns};
use super::sealed::{self, ATTRIBUTES, EMAIL, PHONE, PUSH};
use super::{SqliteStore, contact_hash, put_customers};
use crate::domain::consent::Contactability;
use crate::domain::contact::{EmailAddress, Phone, PushToken};
use crate::domain::ids::CustomerId;
use crate::store::sealing::Sealer;
use crate::store::{CustomerBook, CustomerInput, CustomerRow, IntakeProgress, Member, Needs, PutCount, StoreResult, privacy};
use async_trait::async_trait;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Row, SqliteConnection};

/// Why a row is not taken.
pub(super) fn refusal(input: &CustomerInput) -> Option<&'static str> {
    let private =
        [input.phone.as_ref().map(Phone::reveal), input.email.as_ref().map(EmailAddress::reveal), input.push.as_ref().map(PushToken::reveal)];
    let plain = [input.language.as_deref(), input.branch.as_deref(), input.rm.as_deref()];
    if input.reference.is_empty() {
        return Some("expected a customer reference, found none");
    }
    if privacy::is_pseudonym(&input.reference) {
        return Some(privacy::PSEUDONYM);
    }
    // NUL and the separators of information (0x1c-0x1f) are in no name, number or address; packed reads divide rows by them.
    let odd = |text: &str| text.bytes().any(|b| b == 0 || (0x1c..0x20).contains(&b));
    if odd(&input.reference) || private.into_iter().chain(plain).flatten().any(odd) {
        return Some("expected text, found control characters (NUL or an information separator)");
    }
    None
}

/// The highest number given.
pub(super) async fn last_id(conn: &mut SqliteConnection) -> StoreResult<i64> {
    Ok(sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM customer").fetch_one(conn).await?)
}

/// What [`row`] reads, in its order.
fn columns() -> String {
    let quoted = ["c.reference", "c.timezone", "c.language", "c.branch", "c.rm"].map(packed::quoted);
    let sealed = ["c.phone", "c.email", "c.push", "c.attributes"].map(sealed::packed);
    let columns: Vec<&str> = ["c.id", "c.contactability"].into_iter().chain(quoted.iter().chain(&sealed).map(String::as_str)).collect();
    columns.join(",char(31),")
}

fn row(columns: &mut Columns<'_>, sealer: &Sealer, zones: &mut Zones) -> StoreResult<CustomerRow> {
    let id = CustomerId(columns.int()?);
    let contactability = Contactability(columns.int()?);
    let reference = columns.maybe_quoted()?.unwrap_or_default();
    let zone = columns.maybe_quoted()?;
    Ok(CustomerRow {
        id,
        reference,
        timezone: zone.map(|name| zones.get(&name).ok_or_else(|| unknown("the time zone", format!("{name:?}")))).transpose()?,
        language: columns.maybe_quoted()?,
        branch: columns.maybe_quoted()?,
        rm: columns.maybe_quoted()?,
        phone: sealed::open(sealer, PHONE, id, columns)?.map(Phone::new),
        email: sealed::open(sealer, EMAIL, id, columns)?.map(EmailAddress::new),
        push: sealed::open(sealer, PUSH, id, columns)?.map(PushToken::new),
        attributes: sealed::open(sealer, ATTRIBUTES, id, columns)?.unwrap_or_else(|| "{}".to_owned()),
        contactability,
    })
}

/// Customers opened, of a FROM clause over a customer table named `c`.
pub(super) async fn fetch(conn: &mut SqliteConnection, sealer: &Sealer, from: &str, arguments: SqliteArguments) -> StoreResult<Vec<CustomerRow>> {
    let text = packed::fetch(conn, packed::pack(&[&columns()], from).into(), arguments).await?;
    let mut zones = Zones::default();
    packed::rows(&text).map(|mut columns| row(&mut columns, sealer, &mut zones)).collect()
}

/// Those of these references who are on record, each once.
pub(super) async fn rows_of(conn: &mut SqliteConnection, sealer: &Sealer, references: &[&str]) -> StoreResult<Vec<CustomerRow>> {
    let mut rows = Vec::new();
    if last_id(&mut *conn).await? == 0 {
        return Ok(rows);
    }
    for references in references.chunks(2_000) {
        rows.append(
            &mut fetch(conn, sealer, "FROM json_each(?) j CROSS JOIN customer c ON c.reference = j.value", json_arguments(&references)?).await?,
        );
    }
    rows.sort_by_key(|row| row.id);
    rows.dedup_by_key(|row| row.id);
    Ok(rows)
}

#[async_trait]
impl CustomerBook for SqliteStore {
    async fn put_customers(&self, batch: &[CustomerInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        put_customers::put(self, batch, progress).await
    }

    async fn customer(&self, reference: &str) -> StoreResult<Option<CustomerRow>> {
        let mut reader = self.reader().await?;
        let mut arguments = SqliteArguments::default();
        arguments.add(reference).map_err(sqlx::Error::Encode)?;
        Ok(fetch(&mut reader, &self.sealer, "FROM customer c WHERE c.reference = ?", arguments).await?.pop())
    }

    async fn customers_by_phone(&self, phone: &Phone) -> StoreResult<Vec<CustomerId>> {
        contact_hash::by_phone(self, phone).await
    }

    async fn customers_by_email(&self, email: &EmailAddress) -> StoreResult<Vec<CustomerId>> {
        contact_hash::by_email(self, email).await
    }

    async fn customer_ids(&self, references: &[&str]) -> StoreResult<Vec<Option<CustomerId>>> {
        let mut reader = self.reader().await?;
        ids_of(&mut reader, references).await
    }

    async fn members(&self, customers: &[CustomerId], needs: Needs) -> StoreResult<Vec<Member>> {
        let mut sorted = customers.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut members = members::by_ids(&mut *self.reader().await?, &sorted, needs, &self.sealer).await?;
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
