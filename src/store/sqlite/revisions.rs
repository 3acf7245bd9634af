//! Revisions of runs under way.
use super::approvals::{add_approval, note, revision_status, rules_of};
use super::{SqliteStore, campaigns, fault::unknown};
use crate::domain::eyes::ENGINE;
use crate::domain::ids::CampaignId;
use crate::domain::law::Rule;
use crate::domain::time::Timestamp;
use crate::store::{CampaignRow, NewApproval, NewRevision, RevisionRow, RevisionStatus, StoreError, StoreResult};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

fn revision(id: CampaignId, row: &SqliteRow) -> StoreResult<RevisionRow> {
    let (rules, authors): (String, String) = (row.try_get(4)?, row.try_get(5)?);
    Ok(RevisionRow {
        campaign: id,
        number: row.try_get(0)?,
        source: row.try_get(1)?,
        hash: row.try_get(2)?,
        seal: row.try_get(3)?,
        rules: serde_json::from_str::<Vec<Rule>>(&rules).map_err(|_| unknown("the rules of a revision", id))?,
        authors: serde_json::from_str(&authors).map_err(|_| unknown("the authors of a revision", id))?,
        submitted_at: Timestamp(row.try_get(6)?),
        approved_by: row.try_get(7)?,
        approved_at: row.try_get::<Option<i64>, _>(8)?.map(Timestamp),
        taken_at: row.try_get::<Option<i64>, _>(9)?.map(Timestamp),
        status: revision_status(row.try_get(10)?)?,
    })
}

/// Revisions of a run, by number.
pub(super) async fn all(conn: &mut SqliteConnection, id: CampaignId) -> StoreResult<Vec<RevisionRow>> {
    let rows = sqlx::query(
        "SELECT number, source, hash, seal, rules, authors, submitted_at, approved_by, approved_at, taken_at, status FROM revision \
         WHERE campaign_id = ? ORDER BY number",
    )
    .bind(id.0)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| revision(id, row)).collect()
}

async fn one(conn: &mut SqliteConnection, id: CampaignId, number: i64) -> StoreResult<RevisionRow> {
    let found = all(conn, id).await?.into_iter().find(|r| r.number == number);
    found.ok_or_else(|| StoreError::NotFound { what: "revision", name: format!("{id}.{number}"), hint: String::new() })
}

fn must_be(row: &CampaignRow, revision: &RevisionRow, status: RevisionStatus) -> StoreResult<()> {
    if revision.status == status && !row.status.is_closed() {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "expected revision {} of the campaign {:?} to be {status}; it is {}, and its run {}",
        revision.number, row.name, revision.status, row.status
    )))
}

pub(super) async fn submit(store: &SqliteStore, id: CampaignId, new: &NewRevision) -> StoreResult<RevisionRow> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let row = campaigns::by_id(&mut writing.tx, id).await?;
    if !row.status.is_approved() {
        return Err(StoreError::Conflict(format!("the campaign {:?} is {}; only an approved run can be revised", row.name, row.status)));
    }
    sqlx::query("UPDATE revision SET status = ?2 WHERE campaign_id = ?1 AND status IN (?3, ?4)")
        .bind(id.0)
        .bind(i64::from(RevisionStatus::Replaced.code()))
        .bind(i64::from(RevisionStatus::Open.code()))
        .bind(i64::from(RevisionStatus::Approved.code()))
        .execute(&mut *writing.tx)
        .await?;
    let json = |fault: serde_json::Error| StoreError::Backend(fault.to_string());
    let number: i64 = sqlx::query_scalar(
        "INSERT INTO revision (campaign_id, number, source, hash, seal, rules, authors, submitted_at, status) \
         VALUES (?1, (SELECT coalesce(max(number), 0) + 1 FROM revision WHERE campaign_id = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING number",
    )
    .bind(id.0)
    .bind(&new.source)
    .bind(&new.hash)
    .bind(&new.seal)
    .bind(serde_json::to_string(&new.rules).map_err(json)?)
    .bind(serde_json::to_string(&new.authors).map_err(json)?)
    .bind(new.at.0)
    .bind(i64::from(RevisionStatus::Open.code()))
    .fetch_one(&mut *writing.tx)
    .await?;
    let by = new.authors.first().map_or(ENGINE, String::as_str);
    note(&mut writing.tx, &row, by, format!("revision {number} handed in"), new.at).await?;
    let revision = one(&mut writing.tx, id, number).await?;
    writing.commit().await?;
    Ok(revision)
}

pub(super) async fn approve(store: &SqliteStore, id: CampaignId, number: i64, approval: &NewApproval) -> StoreResult<RevisionRow> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let row = campaigns::by_id(&mut writing.tx, id).await?;
    must_be(&row, &one(&mut writing.tx, id, number).await?, RevisionStatus::Open)?;
    sqlx::query("UPDATE revision SET status = ?3, approved_by = ?4, approved_at = ?5 WHERE campaign_id = ?1 AND number = ?2")
        .bind(id.0)
        .bind(number)
        .bind(i64::from(RevisionStatus::Approved.code()))
        .bind(&approval.by)
        .bind(approval.at.0)
        .execute(&mut *writing.tx)
        .await?;
    add_approval(&mut writing.tx, id, number, approval).await?;
    note(&mut writing.tx, &row, &approval.by, format!("revision {number} approved: {}", approval.why), approval.at).await?;
    let revision = one(&mut writing.tx, id, number).await?;
    writing.commit().await?;
    Ok(revision)
}

pub(super) async fn void(store: &SqliteStore, id: CampaignId, number: i64, why: &str, at: Timestamp) -> StoreResult<RevisionRow> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let row = campaigns::by_id(&mut writing.tx, id).await?;
    must_be(&row, &one(&mut writing.tx, id, number).await?, RevisionStatus::Approved)?;
    sqlx::query("UPDATE revision SET status = ?3, approved_by = NULL, approved_at = NULL WHERE campaign_id = ?1 AND number = ?2")
        .bind(id.0)
        .bind(number)
        .bind(i64::from(RevisionStatus::Open.code()))
        .execute(&mut *writing.tx)
        .await?;
    sqlx::query("UPDATE approval SET void_at = ?3, void_why = ?4 WHERE campaign_id = ?1 AND revision = ?2 AND void_at IS NULL")
        .bind(id.0)
        .bind(number)
        .bind(at.0)
        .bind(why)
        .execute(&mut *writing.tx)
        .await?;
    note(&mut writing.tx, &row, ENGINE, format!("the approval of revision {number} is void: {why}"), at).await?;
    let revision = one(&mut writing.tx, id, number).await?;
    writing.commit().await?;
    Ok(revision)
}

pub(super) async fn taken(store: &SqliteStore, id: CampaignId, number: i64, at: Timestamp) -> StoreResult<CampaignRow> {
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let row = campaigns::by_id(&mut writing.tx, id).await?;
    let revision = one(&mut writing.tx, id, number).await?;
    if revision.status == RevisionStatus::Taken && row.revision == number {
        return Ok(row);
    }
    must_be(&row, &revision, RevisionStatus::Approved)?;
    sqlx::query("UPDATE revision SET status = ?3, taken_at = ?4 WHERE campaign_id = ?1 AND number = ?2")
        .bind(id.0)
        .bind(number)
        .bind(i64::from(RevisionStatus::Taken.code()))
        .bind(at.0)
        .execute(&mut *writing.tx)
        .await?;
    let known = rules_of(&mut writing.tx, id).await?;
    let new: Vec<Rule> = revision.rules.into_iter().filter(|rule| !known.contains(rule)).collect();
    campaigns::add_rules(&mut writing.tx, id, &new).await?;
    sqlx::query("UPDATE campaign SET source = ?2, hash = ?3, revision = ?4 WHERE id = ?1")
        .bind(id.0)
        .bind(&revision.source)
        .bind(&revision.hash)
        .bind(number)
        .execute(&mut *writing.tx)
        .await?;
    note(&mut writing.tx, &row, ENGINE, format!("revision {number} taken up"), at).await?;
    let row = campaigns::by_id(&mut writing.tx, id).await?;
    writing.commit().await?;
    Ok(row)
}
