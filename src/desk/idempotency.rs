//! The same request again gives the first answer again. Keys are kept as hashes; the body of an answer is sealed with a key that is
//! derived from the idempotency key itself, so that at rest nobody reads what was answered.
//!
//! After a crash between the work and its answer the claim stays without one. It counts as dead once the process that made it is gone,
//! and the same request is then done anew: what it does finds its own traces (a task by its key, a campaign by its hash, a callback by
//! its reference), or, where there are none, is done for the first time.
use super::{DeskResult, secret};
use crate::domain::time::{DAY, MINUTE, Timestamp};
use crate::store::{Claim, KeptAnswer, Store};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

/// Answers are kept so long (milliseconds).
pub const KEPT_MS: i64 = DAY;
/// A claim without an answer is dead after so long, whatever became of its process.
const STALE_MS: i64 = 15 * MINUTE;
const NONCE: usize = 12;

/// A key within its scope.
#[derive(Clone, Copy)]
pub struct Key {
    hash: [u8; 32],
    seal: [u8; 32],
}

impl Key {
    /// The key that an actor gives for an operation on a path.
    pub fn new(actor: &str, operation: &str, path: &str, key: &str) -> Self {
        let parts = [actor, operation, path, key];
        Self {
            hash: digest("touchline idempotency key", &parts.map(str::as_bytes)),
            seal: digest("touchline idempotency seal", &parts.map(str::as_bytes)),
        }
    }
    /// What names it in the book.
    pub fn name(&self) -> [u8; 32] {
        self.hash
    }
}

/// What a request is, for telling whether another is the same.
pub fn fingerprint(parts: &[&[u8]]) -> [u8; 32] {
    digest("touchline request", parts)
}

/// SHA-256 with lengths, so that no two lists of parts give the same bytes.
fn digest(what: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    for part in std::iter::once(what.as_bytes()).chain(parts.iter().copied()) {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

/// Claims a key for a request. Claims from before `began` (the start of this process, the one that serves the store) are dead.
pub async fn claim(store: &dyn Store, key: &Key, request: &[u8; 32], at: Timestamp, began: Timestamp) -> DeskResult<Claim> {
    let stale = at.plus(-STALE_MS).max(began);
    let claim = store.claim_key(&key.hash, request, at, stale, at.plus(-KEPT_MS)).await?;
    let Claim::Done(answer) = claim else { return Ok(claim) };
    let body = match answer.body.as_deref().map(|sealed| open(key, sealed)) {
        None => None,
        // A seal of the same key that does not open was changed by a foreign hand: as if the answer held a secret, it is not given.
        Some(None) => None,
        Some(Some(body)) => Some(body),
    };
    Ok(Claim::Done(KeptAnswer { body, ..answer }))
}

/// Keeps the answer of a claim.
pub async fn answer(store: &dyn Store, key: &Key, claimed_at: Timestamp, answer: KeptAnswer) -> DeskResult<()> {
    let body = answer.body.map(|body| seal(key, body)).transpose()?;
    Ok(store.answer_key(&key.hash, claimed_at, &KeptAnswer { body, ..answer }).await?)
}

/// Gives a claim back.
pub async fn release(store: &dyn Store, key: &Key, claimed_at: Timestamp) -> DeskResult<()> {
    Ok(store.release_key(&key.hash, claimed_at).await?)
}

/// Removes answers that are past their time; the retention round calls it.
pub async fn purge(store: &dyn Store, at: Timestamp) -> DeskResult<u64> {
    Ok(store.purge_keys(at.plus(-KEPT_MS)).await?)
}

fn cipher(key: &Key) -> Option<LessSafeKey> {
    UnboundKey::new(&CHACHA20_POLY1305, &key.seal).ok().map(LessSafeKey::new)
}

fn seal(key: &Key, mut body: Vec<u8>) -> DeskResult<Vec<u8>> {
    let broken = || super::DeskError::Broken("an answer could not be sealed".to_owned());
    let nonce: [u8; NONCE] = secret::random()?;
    let cipher = cipher(key).ok_or_else(broken)?;
    cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut body).map_err(|_| broken())?;
    let mut sealed = nonce.to_vec();
    sealed.append(&mut body);
    Ok(sealed)
}

fn open(key: &Key, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_at_checked(NONCE)?;
    let mut body = body.to_vec();
    let opened = cipher(key)?.open_in_place(Nonce::try_assume_unique_for_key(nonce).ok()?, Aad::empty(), &mut body).ok()?.len();
    body.truncate(opened);
    Some(body)
}
