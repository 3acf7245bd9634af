//! Drafts, approvals and emergency stops.
use super::rows::code;
use super::{SqliteStore, campaigns, fault::unknown, revisions};
use crate::domain::eyes::{self, ENGINE};
use crate::domain::ids::CampaignId;
use crate::domain::law::Rule;
use crate::domain::time::Timestamp;
use crate::store::{
    ApprovalBook, ApprovalRow, CampaignRow, EmergencyRow, NewApproval, NewCampaign, NewDraft, NewRevision, Restart, RestartRow, RevisionRow,
    RevisionStatus, Status, StatusChange, StoreError, StoreResult, TextRow, Wanted,
};
use async_trait::async_trait;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

/// The refusal of whoever wants a run to go on that was stopped in an emergency.
pub(super) fn held(row: &CampaignRow) -> StoreError {
    StoreError::Conflict(format!(
        "the campaign {:?} was stopped in an emergency; it goes on when two persons have said so: touchline campaign restart {} --why TEXT",
        row.name, row.name
    ))
}

/// Keeps a text of a run.
pub(super) async fn add_text(conn: &mut SqliteConnection, id: CampaignId, source: &str, hash: &str, by: &str, at: Timestamp) -> StoreResult<()> {
    sqlx::query(
        "INSERT INTO campaign_text (campaign_id, n, source, hash, by, at) \
         VALUES (?1, (SELECT coalesce(max(n), 0) + 1 FROM campaign_text WHERE campaign_id = ?1), ?2, ?3, ?4, ?5)",
    )
    .bind(id.0)
    .bind(source)
    .bind(hash)
    .bind(by)
    .bind(at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// A line of the history that keeps the status.
pub(super) async fn note(conn: &mut SqliteConnection, row: &CampaignRow, by: &str, why: String, at: Timestamp) -> StoreResult<()> {
    campaigns::enter(conn, row.id, &StatusChange { to: row.status, by: by.to_owned(), why, at, reason: None }).await
}

/// The rules of a run, by number.
pub(super) async fn rules_of(conn: &mut SqliteConnection, id: CampaignId) -> StoreResult<Vec<Rule>> {
    let rows = sqlx::query("SELECT preset, name, text, source FROM rule WHERE campaign_id = ? ORDER BY no").bind(id.0).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(Rule { preset: row.try_get(0)?, name: row.try_get(1)?, text: row.try_get(2)?, source: row.try_get(3)? })).collect()
}

/// Keeps what was signed.
pub(super) async fn add_approval(conn: &mut SqliteConnection, id: CampaignId, revision: i64, new: &NewApproval) -> StoreResult<()> {
    sqlx::query("INSERT INTO approval (campaign_id, revision, seal, parts, alone, by, why, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(id.0)
        .bind(revision)
        .bind(&new.seal)
        .bind(&new.parts)
        .bind(new.alone)
        .bind(&new.by)
        .bind(&new.why)
        .bind(new.at.0)
        .execute(conn)
        .await?;
    Ok(())
}

fn must_be(row: &CampaignRow, status: Status, what: &str) -> StoreResult<()> {
    if row.status == status {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("the campaign {:?} is {}; only a {status} one can be {what}", row.name, row.status)))
}

async fn open_emergency(conn: &mut SqliteConnection, id: CampaignId) -> StoreResult<Option<EmergencyRow>> {
    let found = sqlx::query("SELECT by, why, at, restarts FROM emergency WHERE campaign_id = ? AND lifted_at IS NULL")
        .bind(id.0)
        .fetch_optional(conn)
        .await?;
    let Some(row) = found else { return Ok(None) };
    let restarts: String = row.try_get(3)?;
    let restarts: Vec<(String, String, i64)> = serde_json::from_str(&restarts).map_err(|_| unknown("the restarts of an emergency stop", id))?;
    Ok(Some(EmergencyRow {
        by: row.try_get(0)?,
        why: row.try_get(1)?,
        at: Timestamp(row.try_get(2)?),
        restarts: restarts.into_iter().map(|(by, why, at)| RestartRow { by, why, at: Timestamp(at) }).collect(),
    }))
}

async fn want(conn: &mut SqliteConnection, id: CampaignId, wanted: Wanted) -> StoreResult<()> {
    // A stop that is under way is not taken back.
    let sql = "UPDATE campaign SET wanted = ?2 WHERE id = ?1 AND wanted <> ?3";
    sqlx::query(sql).bind(id.0).bind(i64::from(wanted.code())).bind(i64::from(Wanted::Stop.code())).execute(conn).await?;
    Ok(())
}

#[async_trait]
impl ApprovalBook for SqliteStore {
    async fn draft_campaign(&self, new: &NewDraft) -> StoreResult<CampaignRow> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM campaign WHERE name = ? AND status = ?)")
            .bind(&new.name)
            .bind(i64::from(Status::Draft.code()))
            .fetch_one(&mut *writing.tx)
            .await?;
        if there {
            return Err(StoreError::Conflict(format!("there is a draft of the campaign {:?} already; write that one anew", new.name)));
        }
        let id = campaigns::next_number(&mut writing.tx, false).await?;
        sqlx::query(
            "INSERT INTO campaign (id, name, rehearsal, version, source, hash, status, audience_list, list, audience, checksum, currency, submitted_at) \
             VALUES (?1, ?2, 0, (SELECT coalesce(max(version), 0) + 1 FROM campaign WHERE name = ?2 AND rehearsal = 0), ?3, ?4, ?5, 0, 0, 0, '', ?6, ?7)",
        )
        .bind(id)
        .bind(&new.name)
        .bind(&new.source)
        .bind(&new.hash)
        .bind(i64::from(Status::Draft.code()))
        .bind(new.currency.code())
        .bind(new.at.0)
        .execute(&mut *writing.tx)
        .await?;
        let id = CampaignId(id);
        add_text(&mut writing.tx, id, &new.source, &new.hash, &new.by, new.at).await?;
        let row = campaigns::by_id(&mut writing.tx, id).await?;
        note(&mut writing.tx, &row, &new.by, "drafted".to_owned(), new.at).await?;
        writing.commit().await?;
        Ok(row)
    }

    async fn write_draft(&self, id: CampaignId, new: &NewDraft) -> StoreResult<CampaignRow> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        must_be(&campaigns::by_id(&mut writing.tx, id).await?, Status::Draft, "written anew")?;
        sqlx::query("UPDATE campaign SET source = ?2, hash = ?3, currency = ?4, submitted_at = ?5 WHERE id = ?1")
            .bind(id.0)
            .bind(&new.source)
            .bind(&new.hash)
            .bind(new.currency.code())
            .bind(new.at.0)
            .execute(&mut *writing.tx)
            .await?;
        add_text(&mut writing.tx, id, &new.source, &new.hash, &new.by, new.at).await?;
        let row = campaigns::by_id(&mut writing.tx, id).await?;
        note(&mut writing.tx, &row, &new.by, "written anew".to_owned(), new.at).await?;
        writing.commit().await?;
        Ok(row)
    }

    async fn submit_draft(&self, id: CampaignId, new: &NewCampaign, rules: &[Rule]) -> StoreResult<CampaignRow> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        must_be(&campaigns::by_id(&mut writing.tx, id).await?, Status::Draft, "handed in")?;
        let audience = campaigns::frozen(&mut writing.tx, new.audience).await?;
        sqlx::query(
            "UPDATE campaign SET source = ?2, hash = ?3, currency = ?4, audience_list = ?5, list = ?6, audience = ?7, checksum = ?8, submitted_at = ?9 \
             WHERE id = ?1",
        )
        .bind(id.0)
        .bind(&new.source)
        .bind(&new.hash)
        .bind(new.currency.code())
        .bind(new.audience.0)
        .bind(new.list.0)
        .bind(audience.count)
        .bind(&audience.checksum)
        .bind(new.at.0)
        .execute(&mut *writing.tx)
        .await?;
        campaigns::add_rules(&mut writing.tx, id, rules).await?;
        add_text(&mut writing.tx, id, &new.source, &new.hash, &new.by, new.at).await?;
        let change = StatusChange { to: Status::Submitted, by: new.by.clone(), why: "submitted".into(), at: new.at, reason: None };
        let row = campaigns::change_status(&mut writing.tx, id, &change).await?;
        writing.commit().await?;
        Ok(row)
    }

    async fn draft(&self, name: &str) -> StoreResult<Option<CampaignRow>> {
        let found = sqlx::query(AssertSqlSafe(format!("{} WHERE name = ? AND status = ?", campaigns::SELECT)))
            .bind(name)
            .bind(i64::from(Status::Draft.code()))
            .fetch_optional(&mut *self.reader().await?)
            .await?;
        found.as_ref().map(campaigns::campaign_row).transpose()
    }

    async fn texts(&self, id: CampaignId) -> StoreResult<Vec<TextRow>> {
        let mut reader = self.reader().await?;
        campaigns::by_id(&mut reader, id).await?;
        let rows = sqlx::query("SELECT n, source, hash, by, at FROM campaign_text WHERE campaign_id = ? ORDER BY n")
            .bind(id.0)
            .fetch_all(&mut *reader)
            .await?;
        let text = |row: &sqlx::sqlite::SqliteRow| -> StoreResult<TextRow> {
            Ok(TextRow { n: row.try_get(0)?, source: row.try_get(1)?, hash: row.try_get(2)?, by: row.try_get(3)?, at: Timestamp(row.try_get(4)?) })
        };
        rows.iter().map(text).collect()
    }

    async fn approve_campaign(&self, id: CampaignId, approval: &NewApproval, rules: &[Rule]) -> StoreResult<CampaignRow> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let row = campaigns::by_id(&mut writing.tx, id).await?;
        must_be(&row, Status::Submitted, "approved")?;
        let known = rules_of(&mut writing.tx, id).await?;
        let Some(new) = rules.strip_prefix(known.as_slice()) else {
            return Err(StoreError::Conflict(format!("the rules of the campaign {:?} are others than those approved; touches name them", row.name)));
        };
        campaigns::add_rules(&mut writing.tx, id, new).await?;
        add_approval(&mut writing.tx, id, row.revision, approval).await?;
        let change = StatusChange { to: Status::Approved, by: approval.by.clone(), why: approval.why.clone(), at: approval.at, reason: None };
        let row = campaigns::change_status(&mut writing.tx, id, &change).await?;
        writing.commit().await?;
        Ok(row)
    }

    async fn approvals(&self, id: CampaignId) -> StoreResult<Vec<ApprovalRow>> {
        let mut reader = self.reader().await?;
        campaigns::by_id(&mut reader, id).await?;
        let rows = sqlx::query("SELECT revision, seal, parts, alone, by, why, at, void_at, void_why FROM approval WHERE campaign_id = ? ORDER BY n")
            .bind(id.0)
            .fetch_all(&mut *reader)
            .await?;
        let approval = |row: &sqlx::sqlite::SqliteRow| -> StoreResult<ApprovalRow> {
            Ok(ApprovalRow {
                revision: row.try_get(0)?,
                seal: row.try_get(1)?,
                parts: row.try_get(2)?,
                alone: row.try_get(3)?,
                by: row.try_get(4)?,
                why: row.try_get(5)?,
                at: Timestamp(row.try_get(6)?),
                void_at: row.try_get::<Option<i64>, _>(7)?.map(Timestamp),
                void_why: row.try_get(8)?,
            })
        };
        rows.iter().map(approval).collect()
    }

    async fn void_approval(&self, id: CampaignId, why: &str, at: Timestamp) -> StoreResult<CampaignRow> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        sqlx::query("UPDATE approval SET void_at = ?2, void_why = ?3 WHERE campaign_id = ?1 AND void_at IS NULL")
            .bind(id.0)
            .bind(at.0)
            .bind(why)
            .execute(&mut *writing.tx)
            .await?;
        let change = StatusChange { to: Status::Submitted, by: ENGINE.to_owned(), why: format!("the approval is void: {why}"), at, reason: None };
        let row = campaigns::change_status(&mut writing.tx, id, &change).await?;
        // A revision that was approved rests on the approval before it.
        sqlx::query("UPDATE revision SET status = ?2, approved_by = NULL, approved_at = NULL WHERE campaign_id = ?1 AND status = ?3")
            .bind(id.0)
            .bind(i64::from(RevisionStatus::Open.code()))
            .bind(i64::from(RevisionStatus::Approved.code()))
            .execute(&mut *writing.tx)
            .await?;
        writing.commit().await?;
        Ok(row)
    }

    async fn emergency_stop(&self, id: CampaignId, by: &str, why: &str, at: Timestamp) -> StoreResult<CampaignRow> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let row = campaigns::by_id(&mut writing.tx, id).await?;
        if row.status.is_closed() || row.status == Status::Draft {
            return Err(StoreError::Conflict(format!("the campaign {:?} is {}: there is nothing to stop", row.name, row.status)));
        }
        let open = open_emergency(&mut writing.tx, id).await?;
        if open.as_ref().is_some_and(|e| e.restarts.is_empty() && eyes::same(&e.by, by)) {
            return Ok(row);
        }
        let sql = if open.is_some() {
            "UPDATE emergency SET restarts = '[]' WHERE campaign_id = ?1 AND lifted_at IS NULL"
        } else {
            "INSERT INTO emergency (campaign_id, by, why, at) VALUES (?1, ?2, ?3, ?4)"
        };
        sqlx::query(sql).bind(id.0).bind(by).bind(why).bind(at.0).execute(&mut *writing.tx).await?;
        want(&mut writing.tx, id, Wanted::Pause).await?;
        note(&mut writing.tx, &row, by, format!("emergency stop: {why}"), at).await?;
        let row = campaigns::by_id(&mut writing.tx, id).await?;
        writing.commit().await?;
        Ok(row)
    }

    async fn emergency(&self, id: CampaignId) -> StoreResult<Option<EmergencyRow>> {
        let mut reader = self.reader().await?;
        campaigns::by_id(&mut reader, id).await?;
        open_emergency(&mut reader, id).await
    }

    async fn emergency_restart(&self, id: CampaignId, by: &str, why: &str, at: Timestamp) -> StoreResult<Restart> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let row = campaigns::by_id(&mut writing.tx, id).await?;
        let Some(emergency) = open_emergency(&mut writing.tx, id).await?.filter(|_| !row.status.is_closed()) else {
            return Err(StoreError::Conflict(format!("the campaign {:?} is {}, not stopped in an emergency", row.name, row.status)));
        };
        if eyes::among(by, emergency.restarts.iter().map(|r| r.by.as_str())) {
            return Ok(Restart::Again);
        }
        let mut restarts: Vec<(&str, &str, i64)> = emergency.restarts.iter().map(|r| (r.by.as_str(), r.why.as_str(), r.at.0)).collect();
        restarts.push((by, why, at.0));
        let lifted = restarts.len() >= 2;
        sqlx::query("UPDATE emergency SET restarts = ?2, lifted_at = ?3 WHERE campaign_id = ?1 AND lifted_at IS NULL")
            .bind(id.0)
            .bind(serde_json::to_string(&restarts).map_err(|e| StoreError::Backend(e.to_string()))?)
            .bind(lifted.then_some(at.0))
            .execute(&mut *writing.tx)
            .await?;
        if lifted {
            want(&mut writing.tx, id, Wanted::Run).await?;
        }
        let told =
            if lifted { "restart after an emergency stop, by the second of two" } else { "restart after an emergency stop, one more is needed" };
        note(&mut writing.tx, &row, by, format!("{told}: {why}"), at).await?;
        writing.commit().await?;
        Ok(if lifted { Restart::Lifted } else { Restart::First })
    }

    async fn submit_revision(&self, id: CampaignId, new: &NewRevision) -> StoreResult<RevisionRow> {
        revisions::submit(self, id, new).await
    }

    async fn revisions(&self, id: CampaignId) -> StoreResult<Vec<RevisionRow>> {
        let mut reader = self.reader().await?;
        campaigns::by_id(&mut reader, id).await?;
        revisions::all(&mut reader, id).await
    }

    async fn open_revision(&self, id: CampaignId) -> StoreResult<Option<RevisionRow>> {
        Ok(self.revisions(id).await?.into_iter().find(|r| r.status == RevisionStatus::Open))
    }

    async fn approved_revision(&self, id: CampaignId) -> StoreResult<Option<RevisionRow>> {
        Ok(self.revisions(id).await?.into_iter().find(|r| r.status == RevisionStatus::Approved))
    }

    async fn approve_revision(&self, id: CampaignId, number: i64, approval: &NewApproval) -> StoreResult<RevisionRow> {
        revisions::approve(self, id, number, approval).await
    }

    async fn void_revision(&self, id: CampaignId, number: i64, why: &str, at: Timestamp) -> StoreResult<RevisionRow> {
        revisions::void(self, id, number, why, at).await
    }

    async fn revision_taken(&self, id: CampaignId, number: i64, at: Timestamp) -> StoreResult<CampaignRow> {
        revisions::taken(self, id, number, at).await
    }
}

/// A revision's status by its code.
pub(super) fn revision_status(stored: i64) -> StoreResult<RevisionStatus> {
    code("the revision's status", stored, RevisionStatus::from_code)
}
