//! Tokens, the audit log, first answers.
use super::super::idempotency::Hash;
use super::super::{AccessBook, AuditBook, AuditFilter, Claim, IdempotencyBook, KeptAnswer, NewToken, SecretHash, StoreResult};
use super::{MemoryStore, not_found};
use crate::domain::audit::{Entry, Head, Linked};
use crate::domain::time::Timestamp;
use crate::domain::token::Token;
use async_trait::async_trait;
use std::collections::BTreeMap;

/// What is kept of access.
#[derive(Clone, Default)]
pub(super) struct Kept {
    tokens: BTreeMap<i64, (Token, SecretHash)>,
    head: Head,
    audit: Vec<Linked>,
    answers: BTreeMap<Hash, Answer>,
}

#[derive(Clone)]
struct Answer {
    request: Hash,
    claimed_at: Timestamp,
    given: Option<KeptAnswer>,
}

#[async_trait]
impl AccessBook for MemoryStore {
    async fn put_token(&self, new: &NewToken) -> StoreResult<Token> {
        let tokens = &mut self.lock().access.tokens;
        let id = tokens.len() as i64 + 1;
        let token =
            Token { id, grant: new.grant.clone(), made_by: new.by.clone(), made_at: new.at, revoked_by: None, revoked_at: None, used_at: None };
        tokens.insert(id, (token.clone(), new.hash));
        Ok(token)
    }
    async fn token(&self, id: i64) -> StoreResult<Option<(Token, SecretHash)>> {
        Ok(self.lock().access.tokens.get(&id).cloned())
    }
    async fn tokens(&self, after: i64, limit: usize) -> StoreResult<Vec<Token>> {
        Ok(self.lock().access.tokens.range(after.saturating_add(1)..).take(limit).map(|(_, (token, _))| token.clone()).collect())
    }
    async fn revoke_token(&self, id: i64, by: &str, at: Timestamp) -> StoreResult<Token> {
        let mut state = self.lock();
        let (token, _) = state.access.tokens.get_mut(&id).ok_or_else(|| not_found("token", id))?;
        if token.revoked_at.is_none() {
            (token.revoked_by, token.revoked_at) = (Some(by.to_owned()), Some(at));
        }
        Ok(token.clone())
    }
    async fn token_used(&self, id: i64, at: Timestamp) -> StoreResult<()> {
        if let Some((token, _)) = self.lock().access.tokens.get_mut(&id) {
            token.used_at = token.used_at.max(Some(at));
        }
        Ok(())
    }
}

#[async_trait]
impl AuditBook for MemoryStore {
    async fn append_audit(&self, entries: &[Entry]) -> StoreResult<Head> {
        let kept = &mut self.lock().access;
        for entry in entries {
            let linked = kept.head.link(entry.clone());
            kept.audit.push(linked);
        }
        Ok(kept.head.clone())
    }
    async fn audit(&self, filter: &AuditFilter) -> StoreResult<Vec<Linked>> {
        let state = self.lock();
        let found = state.access.audit.iter().filter(|linked| {
            linked.number > filter.after
                && filter.actor.as_ref().is_none_or(|actor| linked.entry.actor == *actor)
                && filter.since.is_none_or(|since| linked.entry.at >= since)
                && filter.target.as_ref().is_none_or(|target| linked.entry.target.contains(target))
        });
        Ok(found.take(filter.limit).cloned().collect())
    }
    async fn audit_head(&self) -> StoreResult<Head> {
        Ok(self.lock().access.head.clone())
    }
}

#[async_trait]
impl IdempotencyBook for MemoryStore {
    async fn claim_key(&self, key: &Hash, request: &Hash, at: Timestamp, stale: Timestamp, kept_since: Timestamp) -> StoreResult<Claim> {
        let answers = &mut self.lock().access.answers;
        if let Some(known) = answers.get(key) {
            let is_over = known.claimed_at < kept_since;
            let is_same = known.request == *request;
            match (&known.given, is_same) {
                _ if is_over => {}
                (_, false) => return Ok(Claim::Other),
                (Some(answer), true) => return Ok(Claim::Done(answer.clone())),
                (None, true) if known.claimed_at >= stale => return Ok(Claim::Busy),
                (None, true) => {}
            }
        }
        answers.insert(*key, Answer { request: *request, claimed_at: at, given: None });
        Ok(Claim::Mine)
    }
    async fn answer_key(&self, key: &Hash, claimed_at: Timestamp, answer: &KeptAnswer) -> StoreResult<()> {
        if let Some(known) = self.lock().access.answers.get_mut(key).filter(|a| a.claimed_at == claimed_at && a.given.is_none()) {
            known.given = Some(answer.clone());
        }
        Ok(())
    }
    async fn release_key(&self, key: &Hash, claimed_at: Timestamp) -> StoreResult<()> {
        let answers = &mut self.lock().access.answers;
        if answers.get(key).is_some_and(|a| a.claimed_at == claimed_at && a.given.is_none()) {
            answers.remove(key);
        }
        Ok(())
    }
    async fn purge_keys(&self, before: Timestamp) -> StoreResult<u64> {
        let answers = &mut self.lock().access.answers;
        let count = answers.len();
        answers.retain(|_, a| a.claimed_at >= before);
        Ok((count - answers.len()) as u64)
    }
}
