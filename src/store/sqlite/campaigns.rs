//! Campaign runs.
use super::lists::{self, nearest};
use super::rows::{code, reason};
use super::{SqliteStore, approvals, fault::unknown, reports};
use crate::domain::ids::{CampaignId, CustomerId, ListId, RouteId};
use crate::domain::law::Rule;
use crate::domain::tally::Tallies;
use crate::domain::time::Timestamp;
use crate::store::{AttemptsBin, CampaignBook, CampaignRow, ListRow, NewCampaign, Status, StatusChange, StoreError, StoreResult, Wanted, WaveRow};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

pub(super) const SELECT: &str = "SELECT id, name, version, source, hash, status, wanted, audience_list, list, audience, checksum, currency, cursor, \
                      stop_reason, submitted_at, started_at, finished_at, revision, \
                      EXISTS (SELECT 1 FROM emergency e WHERE e.campaign_id = campaign.id AND e.lifted_at IS NULL) FROM campaign";

pub(super) fn campaign_row(row: &SqliteRow) -> StoreResult<CampaignRow> {
    let currency: String = row.try_get(11)?;
    Ok(CampaignRow {
        id: CampaignId(row.try_get(0)?),
        name: row.try_get(1)?,
        version: row.try_get(2)?,
        revision: row.try_get(17)?,
        source: row.try_get(3)?,
        hash: row.try_get(4)?,
        status: code("the campaign's status", row.try_get(5)?, Status::from_code)?,
        wanted: code("the campaign's wish", row.try_get(6)?, Wanted::from_code)?,
        audience_list: ListId(row.try_get(7)?),
        list: ListId(row.try_get(8)?),
        audience: row.try_get(9)?,
        checksum: row.try_get(10)?,
        currency: currency.parse().map_err(|_| unknown("the currency", &currency))?,
        cursor: CustomerId(row.try_get(12)?),
        stop_reason: row.try_get::<Option<i64>, _>(13)?.map(|r| code("the reason", r, reason)).transpose()?,
        emergency: row.try_get(18)?,
        submitted_at: Timestamp(row.try_get(14)?),
        started_at: row.try_get::<Option<i64>, _>(15)?.map(Timestamp),
        finished_at: row.try_get::<Option<i64>, _>(16)?.map(Timestamp),
    })
}

/// A run by number.
pub(super) async fn by_id(conn: &mut SqliteConnection, id: CampaignId) -> StoreResult<CampaignRow> {
    let found = sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE id = ?"))).bind(id.0).fetch_optional(conn).await?;
    campaign_row(&found.ok_or_else(|| StoreError::NotFound { what: "campaign", name: id.to_string(), hint: String::new() })?)
}

/// Enters a change into a campaign's history.
pub(super) async fn enter(conn: &mut SqliteConnection, id: CampaignId, change: &StatusChange) -> StoreResult<()> {
    sqlx::query("INSERT INTO campaign_history (campaign_id, status, by, why, at, reason) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(id.0)
        .bind(i64::from(change.to.code()))
        .bind(&change.by)
        .bind(&change.why)
        .bind(change.at.0)
        .bind(change.reason.map(|r| i64::from(r.code())))
        .execute(conn)
        .await?;
    Ok(())
}

/// The number of a route's name, in a write transaction.
pub(super) async fn intern(conn: &mut SqliteConnection, name: &str) -> StoreResult<RouteId> {
    sqlx::query("INSERT OR IGNORE INTO route (name) VALUES (?)").bind(name).execute(&mut *conn).await?;
    Ok(RouteId(sqlx::query_scalar("SELECT id FROM route WHERE name = ?").bind(name).fetch_one(conn).await?))
}

/// A list that must be frozen, to be an audience.
pub(super) async fn frozen(conn: &mut SqliteConnection, id: ListId) -> StoreResult<ListRow> {
    let audience = lists::by_id(conn, id).await?;
    if audience.frozen_at.is_none() {
        return Err(StoreError::Conflict(format!(
            "the list {:?} is still open; freeze it before a campaign takes it as its audience",
            audience.name
        )));
    }
    Ok(audience)
}

/// The number of the next run; none is given twice.
pub(super) async fn next_number(conn: &mut SqliteConnection, rehearsal: bool) -> StoreResult<i64> {
    let number = if rehearsal {
        "UPDATE meta SET last_rehearsal = last_rehearsal - 1 RETURNING last_rehearsal"
    } else {
        "UPDATE meta SET last_run = last_run + 1 RETURNING last_run"
    };
    Ok(sqlx::query_scalar(number).fetch_one(conn).await?)
}

/// Adds rules after those that a run has.
pub(super) async fn add_rules(conn: &mut SqliteConnection, id: CampaignId, rules: &[Rule]) -> StoreResult<()> {
    for rule in rules {
        sqlx::query(
            "INSERT INTO rule (campaign_id, no, preset, name, text, source) \
             VALUES (?1, (SELECT coalesce(max(no), -1) + 1 FROM rule WHERE campaign_id = ?1), ?2, ?3, ?4, ?5)",
        )
        .bind(id.0)
        .bind(&rule.preset)
        .bind(&rule.name)
        .bind(&rule.text)
        .bind(&rule.source)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Changes a run's status, with its line in the history.
pub(super) async fn change_status(conn: &mut SqliteConnection, id: CampaignId, change: &StatusChange) -> StoreResult<CampaignRow> {
    let row = by_id(conn, id).await?;
    if !row.status.may_become(change.to) {
        return Err(StoreError::Conflict(format!("the campaign {:?} is {} and cannot become {}", row.name, row.status, change.to)));
    }
    let stop_reason = if change.to == Status::Stopped { change.reason } else { None };
    sqlx::query(
        "UPDATE campaign SET status = ?2, started_at = coalesce(started_at, iif(?3, ?5, NULL)), finished_at = iif(?4, ?5, finished_at), \
         stop_reason = coalesce(stop_reason, ?6) WHERE id = ?1",
    )
    .bind(id.0)
    .bind(i64::from(change.to.code()))
    .bind(change.to == Status::Running)
    .bind(matches!(change.to, Status::Finished | Status::Stopped))
    .bind(change.at.0)
    .bind(stop_reason.map(|r| i64::from(r.code())))
    .execute(&mut *conn)
    .await?;
    enter(conn, id, change).await?;
    by_id(conn, id).await
}

#[async_trait]
impl CampaignBook for SqliteStore {
    async fn create_campaign(&self, new: &NewCampaign, rules: &[Rule]) -> StoreResult<CampaignRow> {
        crate::store::contacts::refuse_house_name("campaign", &new.name)?;
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let audience = frozen(&mut writing.tx, new.audience).await?;
        let id = next_number(&mut writing.tx, new.rehearsal).await?;
        sqlx::query(
            "INSERT INTO campaign (id, name, rehearsal, version, source, hash, status, audience_list, list, audience, checksum, currency, submitted_at) \
             VALUES (?1, ?2, ?3, (SELECT coalesce(max(version), 0) + 1 FROM campaign WHERE name = ?2 AND rehearsal = ?3), ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .bind(id)
        .bind(&new.name)
        .bind(new.rehearsal)
        .bind(&new.source)
        .bind(&new.hash)
        .bind(i64::from(Status::Submitted.code()))
        .bind(new.audience.0)
        .bind(new.list.0)
        .bind(audience.count)
        .bind(&audience.checksum)
        .bind(new.currency.code())
        .bind(new.at.0)
        .execute(&mut *writing.tx)
        .await?;
        add_rules(&mut writing.tx, CampaignId(id), rules).await?;
        approvals::add_text(&mut writing.tx, CampaignId(id), &new.source, &new.hash, &new.by, new.at).await?;
        let handed_in = StatusChange { to: Status::Submitted, by: new.by.clone(), why: "submitted".into(), at: new.at, reason: None };
        enter(&mut writing.tx, CampaignId(id), &handed_in).await?;
        let row = by_id(&mut writing.tx, CampaignId(id)).await?;
        writing.commit().await?;
        Ok(row)
    }

    async fn campaign(&self, name: &str, rehearsal: Option<bool>) -> StoreResult<CampaignRow> {
        let mut reader = self.reader().await?;
        let found = sqlx::query(AssertSqlSafe(format!(
            "{SELECT} WHERE name = ?1 AND (?2 IS NULL OR rehearsal = ?2) ORDER BY audience_list = 0, rehearsal, version DESC LIMIT 1"
        )))
        .bind(name)
        .bind(rehearsal)
        .fetch_optional(&mut *reader)
        .await?;
        match found {
            Some(row) => campaign_row(&row),
            None => {
                let names: Vec<String> = sqlx::query_scalar("SELECT DISTINCT name FROM campaign").fetch_all(&mut *reader).await?;
                Err(StoreError::NotFound { what: "campaign", name: name.to_owned(), hint: nearest(name, &names) })
            }
        }
    }

    async fn campaign_by_id(&self, id: CampaignId) -> StoreResult<CampaignRow> {
        by_id(&mut *self.reader().await?, id).await
    }

    async fn campaigns(&self) -> StoreResult<Vec<CampaignRow>> {
        let mut reader = self.reader().await?;
        sqlx::query(AssertSqlSafe(format!(
            "{SELECT} ORDER BY submitted_at DESC, (SELECT min(n) FROM campaign_history h WHERE h.campaign_id = campaign.id) DESC"
        )))
        .fetch_all(&mut *reader)
        .await?
        .iter()
        .map(campaign_row)
        .collect()
    }

    async fn open_runs(&self) -> StoreResult<Vec<CampaignRow>> {
        let mut reader = self.reader().await?;
        let rows = sqlx::query(AssertSqlSafe(format!("{SELECT} WHERE id > 0 AND finished_at IS NULL"))).fetch_all(&mut *reader).await?;
        let rows: StoreResult<Vec<CampaignRow>> = rows.iter().map(campaign_row).collect();
        Ok(rows?.into_iter().filter(|row| !row.status.is_closed()).collect())
    }

    async fn set_status(&self, id: CampaignId, change: &StatusChange) -> StoreResult<CampaignRow> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let row = change_status(&mut writing.tx, id, change).await?;
        writing.commit().await?;
        Ok(row)
    }

    async fn set_wanted(&self, id: CampaignId, wanted: Wanted, by: &str, why: &str, at: Timestamp) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let row = by_id(&mut writing.tx, id).await?;
        if row.status.is_closed() {
            return Err(StoreError::Conflict(format!("the campaign {:?} is {} and takes no more orders", row.name, row.status)));
        }
        if wanted == Wanted::Run && row.emergency {
            return Err(approvals::held(&row));
        }
        sqlx::query("UPDATE campaign SET wanted = ? WHERE id = ?").bind(i64::from(wanted.code())).bind(id.0).execute(&mut *writing.tx).await?;
        let change = StatusChange { to: row.status, by: by.to_owned(), why: format!("wanted {wanted}: {why}"), at, reason: None };
        enter(&mut writing.tx, id, &change).await?;
        writing.commit().await
    }

    async fn history(&self, id: CampaignId) -> StoreResult<Vec<StatusChange>> {
        let mut reader = self.reader().await?;
        by_id(&mut reader, id).await?;
        sqlx::query("SELECT status, by, why, at, reason FROM campaign_history WHERE campaign_id = ? ORDER BY n")
            .bind(id.0)
            .fetch_all(&mut *reader)
            .await?
            .iter()
            .map(|row| {
                Ok(StatusChange {
                    to: code("the campaign's status", row.try_get(0)?, Status::from_code)?,
                    by: row.try_get(1)?,
                    why: row.try_get(2)?,
                    at: Timestamp(row.try_get(3)?),
                    reason: row.try_get::<Option<i64>, _>(4)?.map(|r| code("the reason", r, reason)).transpose()?,
                })
            })
            .collect()
    }

    async fn record_wave(&self, id: CampaignId, wave: &WaveRow) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        by_id(&mut writing.tx, id).await?;
        sqlx::query("INSERT OR REPLACE INTO wave (campaign_id, due_at, fired_at, left_over) VALUES (?, ?, ?, ?)")
            .bind(id.0)
            .bind(wave.due_at.0)
            .bind(wave.fired_at.map(|t| t.0))
            .bind(wave.left)
            .execute(&mut *writing.tx)
            .await?;
        writing.commit().await
    }

    async fn waves(&self, id: CampaignId) -> StoreResult<Vec<WaveRow>> {
        let mut reader = self.reader().await?;
        by_id(&mut reader, id).await?;
        sqlx::query("SELECT due_at, fired_at, left_over FROM wave WHERE campaign_id = ? ORDER BY due_at")
            .bind(id.0)
            .fetch_all(&mut *reader)
            .await?
            .iter()
            .map(|row| {
                Ok(WaveRow { due_at: Timestamp(row.try_get(0)?), fired_at: row.try_get::<Option<i64>, _>(1)?.map(Timestamp), left: row.try_get(2)? })
            })
            .collect()
    }

    async fn rules(&self, id: CampaignId) -> StoreResult<Vec<Rule>> {
        let mut reader = self.reader().await?;
        by_id(&mut reader, id).await?;
        sqlx::query("SELECT preset, name, text, source FROM rule WHERE campaign_id = ? ORDER BY no")
            .bind(id.0)
            .fetch_all(&mut *reader)
            .await?
            .iter()
            .map(|row| Ok(Rule { preset: row.try_get(0)?, name: row.try_get(1)?, text: row.try_get(2)?, source: row.try_get(3)? }))
            .collect()
    }

    async fn tallies(&self, id: CampaignId) -> StoreResult<Tallies> {
        let mut reader = self.reader().await?;
        by_id(&mut reader, id).await?;
        reports::tallies(&mut reader, id).await
    }

    async fn recount(&self, id: CampaignId) -> StoreResult<Tallies> {
        reports::recount(&mut *self.reader().await?, id).await
    }

    async fn attempts_histogram(&self, id: CampaignId) -> StoreResult<Vec<AttemptsBin>> {
        reports::attempts_histogram(&mut *self.reader().await?, id).await
    }

    async fn purge_rehearsal(&self, id: CampaignId) -> StoreResult<()> {
        if !id.is_rehearsal() {
            return Err(StoreError::Conflict(format!("run {id} contacted people; its ledger is kept, only rehearsals can be removed")));
        }
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let row = by_id(&mut writing.tx, id).await?;
        // By the audience: touches are clustered by customer, and a scan of the whole ledger would be long.
        sqlx::query("DELETE FROM touch WHERE campaign_id = ?1 AND customer_id IN (SELECT customer_id FROM list_member WHERE list_id = ?2)")
            .bind(id.0)
            .bind(row.audience_list.0)
            .execute(&mut *writing.tx)
            .await?;
        for sql in [
            "DELETE FROM touch_batch WHERE campaign_id = ?",
            "DELETE FROM awaiting WHERE campaign_id = ?",
            "DELETE FROM receipt WHERE campaign_id = ?",
            "DELETE FROM credit WHERE campaign_id = ?",
            "DELETE FROM credit_waiting WHERE campaign_id = ?",
            "DELETE FROM campaign_tally WHERE campaign_id = ?",
            "DELETE FROM rule WHERE campaign_id = ?",
            "DELETE FROM wave WHERE campaign_id = ?",
            "DELETE FROM campaign_history WHERE campaign_id = ?",
            "DELETE FROM campaign_text WHERE campaign_id = ?",
            "DELETE FROM approval WHERE campaign_id = ?",
            "DELETE FROM revision WHERE campaign_id = ?",
            "DELETE FROM emergency WHERE campaign_id = ?",
            "DELETE FROM campaign WHERE id = ?",
        ] {
            sqlx::query(sql).bind(id.0).execute(&mut *writing.tx).await?;
        }
        writing.commit().await
    }

    async fn route_id(&self, name: &str) -> StoreResult<RouteId> {
        let known: Option<i32> =
            sqlx::query_scalar("SELECT id FROM route WHERE name = ?").bind(name).fetch_optional(&mut *self.reader().await?).await?;
        if let Some(id) = known {
            return Ok(RouteId(id));
        }
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let id = intern(&mut writing.tx, name).await?;
        writing.commit().await?;
        Ok(id)
    }

    async fn routes(&self) -> StoreResult<Vec<(RouteId, String)>> {
        let mut reader = self.reader().await?;
        let rows = sqlx::query("SELECT id, name FROM route ORDER BY id").fetch_all(&mut *reader).await?;
        rows.iter().map(|row| Ok((RouteId(row.try_get(0)?), row.try_get(1)?))).collect()
    }
}
