//! Tokens: made, told apart, revoked. A token's text is `tl_<number>_<43 characters>`; only the hash of its secret is kept.
use super::{DeskError, DeskResult, secret};
use crate::domain::access::Actor;
use crate::domain::time::Timestamp;
use crate::domain::token::{Grant, Token};
use crate::store::{NewToken, SecretHash, Store, StoreError};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// What every token of ours begins with: scanners of leaked secrets know it by that.
pub const PREFIX: &str = "tl_";

/// A token just made.
pub struct Made {
    /// As it is on record.
    pub token: Token,
    /// Its text, shown this once.
    pub text: String,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("token", &self.token).finish_non_exhaustive()
    }
}

/// Makes a token. `Refused` names every fault of the grant.
pub async fn make(store: &dyn Store, by: &Actor, grant: Grant, at: Timestamp) -> DeskResult<Made> {
    let faults = grant.faults(by, at);
    if !faults.is_empty() {
        return Err(DeskError::Refused(faults.join("\n")));
    }
    if !by.sees_all() {
        return Err(DeskError::Refused("whoever is bound to a branch or a relationship manager gives no tokens".to_owned()));
    }
    let secret: [u8; 32] = secret::random()?;
    let token = store.put_token(&NewToken { grant, hash: hash(&secret), by: by.name.clone(), at }).await?;
    let text = format!("{PREFIX}{}_{}", token.id, URL_SAFE_NO_PAD.encode(secret));
    Ok(Made { token, text })
}

/// Tokens after a number.
pub async fn list(store: &dyn Store, after: i64, limit: usize) -> DeskResult<Vec<Token>> {
    Ok(store.tokens(after, limit).await?)
}

/// Revokes a token; whoever had revoked it before stays on record.
pub async fn revoke(store: &dyn Store, by: &Actor, id: i64, at: Timestamp) -> DeskResult<Token> {
    Ok(store.revoke_token(id, &by.name, at).await?)
}

/// The number and the secret's hash of a text that has the form of a token.
pub fn read(text: &str) -> Option<(i64, SecretHash)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    // A number has one spelling: otherwise one token had several texts.
    let number: i64 = id.parse().ok().filter(|n: &i64| *n > 0 && n.to_string() == id)?;
    let secret: [u8; 32] = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
    Some((number, hash(&secret)))
}

/// Whether two hashes are the same, in a time that does not tell where they differ.
pub fn same(a: &SecretHash, b: &SecretHash) -> bool {
    // BLAKE3's hash type compares in constant time; it is but the carrier here.
    blake3::Hash::from_bytes(*a) == blake3::Hash::from_bytes(*b)
}

/// The token that a text is of, if it is on record and good. `Ok(None)`: nobody's, whatever the reason.
pub async fn find(store: &dyn Store, text: &str, at: Timestamp) -> Result<Option<Token>, StoreError> {
    let Some((id, hash)) = read(text) else { return Ok(None) };
    Ok(store.token(id).await?.filter(|(token, kept)| same(kept, &hash) && token.is_good(at)).map(|(token, _)| token))
}

fn hash(secret: &[u8; 32]) -> SecretHash {
    Sha256::digest(secret).into()
}
