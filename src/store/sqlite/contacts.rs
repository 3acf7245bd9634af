//! Contacts reported from outside: touches of the house's own runs, written with their reports and sums in one transaction.
use super::batches::by_keys;
use super::rows::{code, reason};
use super::sums::Sums;
use super::{SqliteStore, Writing, campaigns, corrections, fault, record, reports, wishes};
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::ids::{CampaignId, CustomerId, TaskId, TouchKey};
use crate::domain::money::Currency;
use crate::domain::reported::{HOUSE_ROUTE, house_file, house_name};
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use crate::domain::touch::{EVER_REACHED, State, Touch};
use crate::store::contacts::{ContactBook, Report, Reported, ReportedContact, WHY, Wish, WishRow, check_report};
use crate::store::{Status, StatusChange, StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

const SELECT: &str = "SELECT source, reference, customer_id, campaign_id, seq, channel, purpose, started_at, disposition, connected_s, at, by \
                      FROM reported_contact";

fn contact_row(row: &SqliteRow) -> StoreResult<ReportedContact> {
    let customer = CustomerId(row.try_get(2)?);
    let small = |column: usize, what: &str| -> StoreResult<u32> {
        let n: i64 = row.try_get(column)?;
        u32::try_from(n).map_err(|_| fault::unknown(what, n))
    };
    Ok(ReportedContact {
        touch: TouchKey { customer, campaign: CampaignId(row.try_get(3)?), seq: small(4, "a touch's number")? },
        report: Report {
            source: row.try_get(0)?,
            reference: row.try_get(1)?,
            customer,
            channel: code("the channel", row.try_get(5)?, Channel::from_code)?,
            purpose: code("the purpose", row.try_get(6)?, Purpose::from_code)?,
            started_at: Timestamp(row.try_get(7)?),
            disposition: code("the disposition", row.try_get(8)?, reason)?,
            connected_s: small(9, "seconds")?,
            at: Timestamp(row.try_get(10)?),
            by: row.try_get(11)?,
        },
    })
}

async fn by_name(conn: &mut SqliteConnection, source: &str, reference: &str) -> StoreResult<Option<ReportedContact>> {
    let found =
        sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE source = ? AND reference = ?"))).bind(source).bind(reference).fetch_optional(conn).await?;
    found.as_ref().map(contact_row).transpose()
}

/// `NotFound` for a customer who is not in the book.
pub(super) async fn must_be_known(conn: &mut SqliteConnection, customer: CustomerId) -> StoreResult<()> {
    let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM customer WHERE id = ?").bind(customer.0).fetch_optional(conn).await?;
    known.map(|_| ()).ok_or_else(|| StoreError::NotFound { what: "customer", name: customer.to_string(), hint: String::new() })
}

/// The house's run for a purpose and its list, made at the first use.
async fn house(writing: &mut Writing<'_>, purpose: Purpose, at: Timestamp) -> StoreResult<(CampaignId, i64)> {
    let made = sqlx::query("SELECT campaign_id, list_id FROM house_run WHERE purpose = ?").bind(i64::from(purpose.code()));
    if let Some(row) = made.fetch_optional(&mut *writing.tx).await? {
        return Ok((CampaignId(row.try_get(0)?), row.try_get(1)?));
    }
    let (name, source) = (house_name(purpose), house_file(purpose));
    let taken: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM list WHERE name = ?1) OR EXISTS (SELECT 1 FROM campaign WHERE name = ?1)")
        .bind(name)
        .fetch_one(&mut *writing.tx)
        .await?;
    if taken {
        return Err(StoreError::Conflict(format!(
            "a list or campaign of this store, older than the reservation, is called {name:?}, the name of the house's run of reported contacts: \
             no contact can be recorded in this store"
        )));
    }
    let list: i64 =
        sqlx::query_scalar("INSERT INTO list (name, opened_at) VALUES (?, ?) RETURNING id").bind(name).bind(at.0).fetch_one(&mut *writing.tx).await?;
    let id: i64 = sqlx::query_scalar("UPDATE meta SET last_run = last_run + 1 RETURNING last_run").fetch_one(&mut *writing.tx).await?;
    sqlx::query(
        "INSERT INTO campaign (id, name, rehearsal, version, source, hash, status, audience_list, list, audience, checksum, currency, purpose, \
         submitted_at, started_at) VALUES (?1, ?2, 0, 1, ?3, ?4, ?5, ?6, ?6, 0, '', ?7, ?8, ?9, ?9)",
    )
    .bind(id)
    .bind(name)
    .bind(&source)
    .bind(blake3::hash(source.as_bytes()).to_hex().to_string())
    .bind(i64::from(Status::Finished.code()))
    .bind(list)
    .bind(Currency::CNY.code())
    .bind(i64::from(purpose.code()))
    .bind(at.0)
    .execute(&mut *writing.tx)
    .await?;
    sqlx::query("INSERT INTO house_run (purpose, campaign_id, list_id) VALUES (?, ?, ?)")
        .bind(i64::from(purpose.code()))
        .bind(id)
        .bind(list)
        .execute(&mut *writing.tx)
        .await?;
    let change = StatusChange { to: Status::Finished, by: "engine".to_owned(), why: WHY.to_owned(), at, reason: None };
    campaigns::enter(&mut writing.tx, CampaignId(id), &change).await?;
    Ok((CampaignId(id), list))
}

/// Adds a contact that is not on record.
async fn add(writing: &mut Writing<'_>, report: &Report) -> StoreResult<TouchKey> {
    let (run, list) = house(writing, report.purpose, report.at).await?;
    let head = corrections::head(&mut writing.tx, run, report.customer).await?;
    let seq = head.as_ref().map_or(0, |head| head.key.seq.saturating_add(1));
    let route = campaigns::intern(&mut writing.tx, HOUSE_ROUTE).await?;
    let touch = report.touch(run, seq, route, head.as_ref().map_or(0, |head| head.flags));
    let mut sums = Sums::default();
    match &head {
        Some(head) => {
            sums.add(head.into(), true, -1);
            sums.add(head.into(), false, 1);
        }
        None => {
            sqlx::query("INSERT INTO list_member (list_id, customer_id) VALUES (?, ?)")
                .bind(list)
                .bind(report.customer.0)
                .execute(&mut *writing.tx)
                .await?;
            sqlx::query("UPDATE list SET members = members + 1 WHERE id = ?").bind(list).execute(&mut *writing.tx).await?;
            sqlx::query("UPDATE campaign SET audience = audience + 1 WHERE id = ?").bind(run.0).execute(&mut *writing.tx).await?;
        }
    }
    sums.add((&touch).into(), true, 1);
    let key = touch.key;
    record::insert(writing, &[touch]).await?;
    count(writing, run, sums).await?;
    Ok(key)
}

/// Rewrites the touch of a contact on record.
async fn correct(writing: &mut Writing<'_>, key: TouchKey, report: &Report) -> StoreResult<()> {
    let lost = || StoreError::Backend(format!("touch {key} of a reported contact is not stored; nothing was written"));
    let before = by_keys(&mut writing.tx, &[key]).await?.pop().ok_or_else(lost)?;
    let head = corrections::head(&mut writing.tx, key.campaign, key.customer).await?.ok_or_else(lost)?;
    let after = report.touch(key.campaign, key.seq, before.route.unwrap_or_default(), before.flags);
    let is_head = head.key == key;
    let mut sums = Sums::default();
    sums.add((&before).into(), is_head, -1);
    sums.add((&after).into(), is_head, 1);
    corrections::rewrite(writing, &before, &after).await?;
    if !is_head && after.state == State::Reached && head.flags & EVER_REACHED == 0 {
        let marked = Touch { flags: head.flags | EVER_REACHED, ..head.clone() };
        corrections::rewrite(writing, &head, &marked).await?;
        sums.add((&head).into(), true, -1);
        sums.add((&marked).into(), true, 1);
    }
    count(writing, key.campaign, sums).await
}

async fn count(writing: &mut Writing<'_>, run: CampaignId, sums: Sums) -> StoreResult<()> {
    let mut tallies = Tallies::default();
    sums.flush(&mut tallies);
    reports::add(writing, run, &tallies).await
}

async fn keep(conn: &mut SqliteConnection, contact: &ReportedContact) -> StoreResult<()> {
    let ReportedContact { report, touch } = contact;
    sqlx::query(
        "INSERT OR REPLACE INTO reported_contact (source, reference, customer_id, campaign_id, seq, channel, purpose, started_at, disposition, \
         connected_s, at, by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&report.source)
    .bind(&report.reference)
    .bind(report.customer.0)
    .bind(touch.campaign.0)
    .bind(i64::from(touch.seq))
    .bind(i64::from(report.channel.code()))
    .bind(i64::from(report.purpose.code()))
    .bind(report.started_at.0)
    .bind(i64::from(report.disposition.code()))
    .bind(i64::from(report.connected_s))
    .bind(report.at.0)
    .bind(&report.by)
    .execute(conn)
    .await?;
    Ok(())
}

#[async_trait]
impl ContactBook for SqliteStore {
    async fn report_contact(&self, report: &Report) -> StoreResult<Reported> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        must_be_known(&mut writing.tx, report.customer).await?;
        let known = by_name(&mut writing.tx, &report.source, &report.reference).await?;
        let (touch, made) = match known {
            Some(known) => {
                check_report(&known.report, report)?;
                if !known.report.gives_way_to(report) {
                    return Ok(Reported { contact: known, made: false, changed: false });
                }
                correct(&mut writing, known.touch, report).await?;
                (known.touch, false)
            }
            None => (add(&mut writing, report).await?, true),
        };
        let contact = ReportedContact { report: report.clone(), touch };
        keep(&mut writing.tx, &contact).await?;
        writing.commit().await?;
        Ok(Reported { contact, made, changed: true })
    }

    async fn reported_contact(&self, source: &str, reference: &str) -> StoreResult<Option<ReportedContact>> {
        by_name(&mut *self.reader().await?, source, reference).await
    }

    async fn reported_contacts(&self, customer: CustomerId) -> StoreResult<Vec<ReportedContact>> {
        let sql = AssertSqlSafe(format!("{SELECT} WHERE customer_id = ? ORDER BY started_at, source, reference"));
        sqlx::query(sql).bind(customer.0).fetch_all(&mut *self.reader().await?).await?.iter().map(contact_row).collect()
    }

    async fn house_run(&self, purpose: Purpose) -> StoreResult<Option<CampaignId>> {
        let found = sqlx::query_scalar("SELECT campaign_id FROM house_run WHERE purpose = ?").bind(i64::from(purpose.code()));
        Ok(found.fetch_optional(&mut *self.reader().await?).await?.map(CampaignId))
    }

    async fn put_wish(&self, wish: &Wish) -> StoreResult<(WishRow, bool)> {
        wishes::put(self, wish).await
    }

    async fn wish(&self, source: &str, reference: &str) -> StoreResult<Option<WishRow>> {
        wishes::by_name(&mut *self.reader().await?, source, reference).await
    }

    async fn wishes(&self, customer: CustomerId) -> StoreResult<Vec<WishRow>> {
        wishes::of_customer(&mut *self.reader().await?, customer).await
    }

    async fn unsettled_wishes(&self, limit: usize) -> StoreResult<Vec<WishRow>> {
        wishes::unsettled(&mut *self.reader().await?, limit).await
    }

    async fn settle_wish(&self, wish: &Wish, task: Option<TaskId>) -> StoreResult<()> {
        wishes::settle(self, wish, task).await
    }
}
