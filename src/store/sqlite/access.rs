//! Tokens.
use super::SqliteStore;
use super::fault::unknown;
use crate::domain::access::{Role, Roles};
use crate::domain::time::Timestamp;
use crate::domain::token::{Grant, Token};
use crate::store::{AccessBook, NewToken, SecretHash, StoreError, StoreResult};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};

const COLUMNS: &str = "id, name, roles, branch, rm, scopes, made_by, made_at, expires_at, revoked_by, revoked_at, used_at, hash";

/// As bits: one a role, at the place of its code.
fn bits(roles: Roles) -> i64 {
    roles.iter().fold(0, |bits, role| bits | 1 << role.code())
}

fn roles_of(bits: i64) -> StoreResult<Roles> {
    let roles = Role::ALL.iter().copied().filter(|r| bits >> r.code() & 1 == 1).fold(Roles::default(), Roles::with);
    if self::bits(roles) == bits { Ok(roles) } else { Err(unknown("roles", bits)) }
}

fn token_row(row: &SqliteRow) -> StoreResult<(Token, SecretHash)> {
    let scopes: String = row.try_get(5)?;
    let hash: Vec<u8> = row.try_get(12)?;
    let grant = Grant {
        name: row.try_get(1)?,
        roles: roles_of(row.try_get(2)?)?,
        branch: row.try_get(3)?,
        rm: row.try_get(4)?,
        scopes: serde_json::from_str(&scopes).map_err(|_| unknown("scopes", &scopes))?,
        expires_at: Timestamp(row.try_get(8)?),
    };
    let token = Token {
        id: row.try_get(0)?,
        grant,
        made_by: row.try_get(6)?,
        made_at: Timestamp(row.try_get(7)?),
        revoked_by: row.try_get(9)?,
        revoked_at: row.try_get::<Option<i64>, _>(10)?.map(Timestamp),
        used_at: row.try_get::<Option<i64>, _>(11)?.map(Timestamp),
    };
    Ok((token, hash.try_into().map_err(|_| unknown("a token's hash", "of another length"))?))
}

#[async_trait]
impl AccessBook for SqliteStore {
    async fn put_token(&self, new: &NewToken) -> StoreResult<Token> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let scopes = serde_json::to_string(&new.grant.scopes).map_err(|e| StoreError::Backend(format!("scopes could not be written: {e}")))?;
        let sql = format!(
            "INSERT INTO token (name, roles, branch, rm, scopes, hash, made_by, made_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {COLUMNS}"
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(&new.grant.name)
            .bind(bits(new.grant.roles))
            .bind(&new.grant.branch)
            .bind(&new.grant.rm)
            .bind(scopes)
            .bind(new.hash.as_slice())
            .bind(&new.by)
            .bind(new.at.0)
            .bind(new.grant.expires_at.0)
            .fetch_one(&mut *writing.tx)
            .await?;
        let (token, _) = token_row(&row)?;
        writing.commit().await?;
        Ok(token)
    }

    async fn token(&self, id: i64) -> StoreResult<Option<(Token, SecretHash)>> {
        let mut reader = self.reader().await?;
        let sql = format!("SELECT {COLUMNS} FROM token WHERE id = ?");
        sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(&mut *reader).await?.as_ref().map(token_row).transpose()
    }

    async fn tokens(&self, after: i64, limit: usize) -> StoreResult<Vec<Token>> {
        let mut reader = self.reader().await?;
        let sql = format!("SELECT {COLUMNS} FROM token WHERE id > ? ORDER BY id LIMIT ?");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(after).bind(limit).fetch_all(&mut *reader).await?;
        rows.iter().map(|row| token_row(row).map(|(token, _)| token)).collect()
    }

    async fn revoke_token(&self, id: i64, by: &str, at: Timestamp) -> StoreResult<Token> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let sql = format!(
            "UPDATE token SET revoked_by = coalesce(revoked_by, ?2), revoked_at = coalesce(revoked_at, ?3) WHERE id = ?1 RETURNING {COLUMNS}"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(by).bind(at.0).fetch_optional(&mut *writing.tx).await?;
        let Some(row) = row else { return Err(StoreError::NotFound { what: "token", name: id.to_string(), hint: String::new() }) };
        let (token, _) = token_row(&row)?;
        writing.commit().await?;
        Ok(token)
    }

    async fn token_used(&self, id: i64, at: Timestamp) -> StoreResult<()> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        sqlx::query("UPDATE token SET used_at = ?2 WHERE id = ?1 AND (used_at IS NULL OR used_at < ?2)")
            .bind(id)
            .bind(at.0)
            .execute(&mut *writing.tx)
            .await?;
        writing.commit().await
    }
}
