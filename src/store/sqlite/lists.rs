//! Lists.
use super::bulk::{self, Form};
use super::customers::put_progress;
use super::{SqliteStore, members, packed};
use crate::domain::ids::{CustomerId, ListId};
use crate::domain::time::Timestamp;
use crate::store::{IntakeProgress, ListBook, ListRow, Needs, Page, StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, Row, SqliteConnection};

static ADD: Form<2> = Form {
    name: "list member",
    tiers: &[0b10, 0b11],
    text: |slots| format!("INSERT OR IGNORE INTO list_member (list_id, customer_id) VALUES {}", slots.all_columns()),
};

const SELECT: &str = "SELECT id, name, members, checksum, frozen_at FROM list";

fn list_row(row: &SqliteRow) -> StoreResult<ListRow> {
    Ok(ListRow {
        id: ListId(row.try_get(0)?),
        name: row.try_get(1)?,
        count: row.try_get(2)?,
        checksum: row.try_get(3)?,
        frozen_at: row.try_get::<Option<i64>, _>(4)?.map(Timestamp),
    })
}

/// A list by number.
pub(super) async fn by_id(conn: &mut SqliteConnection, list: ListId) -> StoreResult<ListRow> {
    let found = sqlx::query("SELECT id, name, members, checksum, frozen_at FROM list WHERE id = ?").bind(list.0).fetch_optional(conn).await?;
    list_row(&found.ok_or_else(|| StoreError::NotFound { what: "list", name: list.to_string(), hint: String::new() })?)
}

async fn open_by_id(conn: &mut SqliteConnection, list: ListId) -> StoreResult<ListRow> {
    let row = by_id(conn, list).await?;
    match row.frozen_at {
        None => Ok(row),
        Some(at) => Err(frozen(&row.name, at)),
    }
}

fn frozen(name: &str, at: Timestamp) -> StoreError {
    StoreError::Conflict(format!("the list {name:?} was frozen at {at} and takes no more members; import under another name"))
}

async fn count_members(conn: &mut SqliteConnection, list: ListId, added: u64) -> StoreResult<()> {
    sqlx::query("UPDATE list SET members = members + ? WHERE id = ?")
        .bind(i64::try_from(added).unwrap_or(i64::MAX))
        .bind(list.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// BLAKE3 over the members' references in customer order, each followed by a newline; and how many there are.
async fn checksum(conn: &mut SqliteConnection, list: ListId) -> StoreResult<(String, i64)> {
    let sql: std::sync::Arc<str> = packed::pack(
        &["c.id", &packed::quoted("c.reference")],
        "FROM list_member m CROSS JOIN customer c ON c.id = m.customer_id WHERE m.list_id = ? AND m.customer_id > ? ORDER BY m.customer_id LIMIT 2000",
    )
    .into();
    let (mut hash, mut count, mut after) = (blake3::Hasher::new(), 0_i64, i64::MIN);
    loop {
        let mut arguments = SqliteArguments::default();
        for n in [list.0, after] {
            arguments.add(n).map_err(sqlx::Error::Encode)?;
        }
        let text = packed::fetch(conn, std::sync::Arc::clone(&sql), arguments).await?;
        if text.is_empty() {
            return Ok((hash.finalize().to_hex().to_string(), count));
        }
        for mut row in packed::rows(&text) {
            after = row.int()?;
            hash.update(row.maybe_quoted()?.unwrap_or_default().as_bytes());
            hash.update(b"\n");
            count += 1;
        }
    }
}

#[async_trait]
impl ListBook for SqliteStore {
    async fn open_list(&self, name: &str, at: Timestamp) -> StoreResult<ListId> {
        crate::store::contacts::refuse_house_name("list", name)?;
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let found =
            sqlx::query("SELECT id, name, members, checksum, frozen_at FROM list WHERE name = ?").bind(name).fetch_optional(&mut *writing.tx).await?;
        if let Some(row) = found {
            let row = list_row(&row)?;
            return row.frozen_at.map_or(Ok(row.id), |frozen_at| Err(frozen(name, frozen_at)));
        }
        let id = sqlx::query_scalar("INSERT INTO list (name, opened_at) VALUES (?, ?) RETURNING id")
            .bind(name)
            .bind(at.0)
            .fetch_one(&mut *writing.tx)
            .await?;
        writing.commit().await?;
        Ok(ListId(id))
    }

    async fn add_members(&self, list: ListId, members: &[CustomerId], progress: Option<&IntakeProgress>) -> StoreResult<u64> {
        let mut sorted = members.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        open_by_id(&mut writing.tx, list).await?;
        // Customers are numbered without gaps from 1 and never deleted, so the ends tell whether all are known.
        let last: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM customer").fetch_one(&mut *writing.tx).await?;
        if let Some(stranger) = sorted.iter().find(|c| c.0 < 1 || c.0 > last) {
            return Err(StoreError::NotFound { what: "customer", name: stranger.to_string(), hint: String::new() });
        }
        let rows: Vec<_> = sorted.iter().map(|customer| [list.0.into(), customer.0.into()]).collect();
        let added = bulk::write(&mut writing.tx, writing.texts, &ADD, &rows).await?;
        count_members(&mut writing.tx, list, added).await?;
        put_progress(&mut writing.tx, progress).await?;
        writing.commit().await?;
        Ok(added)
    }

    async fn add_all_customers(&self, list: ListId) -> StoreResult<u64> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        open_by_id(&mut writing.tx, list).await?;
        let added = sqlx::query("INSERT OR IGNORE INTO list_member (list_id, customer_id) SELECT ?, id FROM customer ORDER BY id")
            .bind(list.0)
            .execute(&mut *writing.tx)
            .await?
            .rows_affected();
        count_members(&mut writing.tx, list, added).await?;
        writing.commit().await?;
        Ok(added)
    }

    async fn freeze_list(&self, list: ListId, at: Timestamp) -> StoreResult<ListRow> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let row = by_id(&mut writing.tx, list).await?;
        if row.frozen_at.is_some() {
            return Ok(row);
        }
        let (checksum, count) = checksum(&mut writing.tx, list).await?;
        sqlx::query("UPDATE list SET members = ?, checksum = ?, frozen_at = ? WHERE id = ?")
            .bind(count)
            .bind(&checksum)
            .bind(at.0)
            .bind(list.0)
            .execute(&mut *writing.tx)
            .await?;
        writing.commit().await?;
        Ok(ListRow { count, checksum, frozen_at: Some(at), ..row })
    }

    async fn list(&self, name: &str) -> StoreResult<ListRow> {
        let mut reader = self.reader().await?;
        let found = sqlx::query("SELECT id, name, members, checksum, frozen_at FROM list WHERE name = ? ORDER BY id DESC LIMIT 1")
            .bind(name)
            .fetch_optional(&mut *reader)
            .await?;
        match found {
            Some(row) => list_row(&row),
            None => {
                let names: Vec<String> = sqlx::query_scalar("SELECT name FROM list").fetch_all(&mut *reader).await?;
                Err(StoreError::NotFound { what: "list", name: name.to_owned(), hint: nearest(name, &names) })
            }
        }
    }

    async fn lists(&self) -> StoreResult<Vec<ListRow>> {
        let mut reader = self.reader().await?;
        let sql = sqlx::AssertSqlSafe(format!("{SELECT} ORDER BY id DESC"));
        sqlx::query(sql).fetch_all(&mut *reader).await?.iter().map(list_row).collect()
    }

    async fn page(&self, list: ListId, after: CustomerId, limit: usize, needs: Needs) -> StoreResult<Page> {
        let mut reader = self.reader().await?;
        let seen_change = members::seen_change(&mut reader).await?;
        // One more than asked tells whether anything follows.
        let mut members = members::page(&mut reader, list, after, limit.saturating_add(1), needs, &self.sealer).await?;
        let last = members.len() <= limit;
        members.truncate(limit);
        Ok(Page { last, members, seen_change })
    }
}

/// `; did you mean "...?"` for the nearest of some names, or empty when none is near.
pub(super) fn nearest(name: &str, names: &[String]) -> String {
    names
        .iter()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(near, _)| *near > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!("; did you mean {known:?}?"))
        .unwrap_or_default()
}
