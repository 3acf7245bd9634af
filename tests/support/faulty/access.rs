//! Tokens, the audit log and first answers of a store that fails.
use super::Faulty;
use async_trait::async_trait;
use touchline::domain::time::Timestamp;
use touchline::store::*;

#[async_trait]
impl AccessBook for Faulty {
    async fn put_token(&self, new: &NewToken) -> StoreResult<access::Token> {
        self.next_call("put_token")?;
        self.inner.put_token(new).await
    }
    async fn token(&self, id: i64) -> StoreResult<Option<(access::Token, SecretHash)>> {
        self.next_call("token")?;
        self.inner.token(id).await
    }
    async fn tokens(&self, after: i64, limit: usize) -> StoreResult<Vec<access::Token>> {
        self.next_call("tokens")?;
        self.inner.tokens(after, limit).await
    }
    async fn revoke_token(&self, id: i64, by: &str, at: Timestamp) -> StoreResult<access::Token> {
        self.next_call("revoke_token")?;
        self.inner.revoke_token(id, by, at).await
    }
    async fn token_used(&self, id: i64, at: Timestamp) -> StoreResult<()> {
        self.next_call("token_used")?;
        self.inner.token_used(id, at).await
    }
}

#[async_trait]
impl AuditBook for Faulty {
    async fn append_audit(&self, entries: &[audit::Entry]) -> StoreResult<audit::Head> {
        self.next_call("append_audit")?;
        self.inner.append_audit(entries).await
    }
    async fn audit(&self, filter: &AuditFilter) -> StoreResult<Vec<audit::Linked>> {
        self.next_call("audit")?;
        self.inner.audit(filter).await
    }
    async fn audit_head(&self) -> StoreResult<audit::Head> {
        self.next_call("audit_head")?;
        self.inner.audit_head().await
    }
}

#[async_trait]
impl IdempotencyBook for Faulty {
    async fn claim_key(
        &self,
        key: &idempotency::Hash,
        request: &idempotency::Hash,
        at: Timestamp,
        stale: Timestamp,
        kept_since: Timestamp,
    ) -> StoreResult<Claim> {
        self.next_call("claim_key")?;
        self.inner.claim_key(key, request, at, stale, kept_since).await
    }
    async fn answer_key(&self, key: &idempotency::Hash, claimed_at: Timestamp, answer: &KeptAnswer) -> StoreResult<()> {
        self.next_call("answer_key")?;
        self.inner.answer_key(key, claimed_at, answer).await
    }
    async fn release_key(&self, key: &idempotency::Hash, claimed_at: Timestamp) -> StoreResult<()> {
        self.next_call("release_key")?;
        self.inner.release_key(key, claimed_at).await
    }
    async fn purge_keys(&self, before: Timestamp) -> StoreResult<u64> {
        self.next_call("purge_keys")?;
        self.inner.purge_keys(before).await
    }
}
