//! Personal data at rest: sealed with XChaCha20-Poly1305, found again by keyed hashes.
//!
//! A sealed value is `version (1 byte) | key id (4) | nonce (24) | ciphertext | tag (16)`: 45 bytes more than the text. The nonce is
//! random (192 bits: no count of values comes near a repetition). Associated data are the table, the column and the number of the row's
//! owner, so that a value moved to another column or another customer does not open. The keys stand in a [`KeyRing`]: the first
//! seals, all open, and a walk seals everything anew under the first (`touchline keys rotate`).
//!
//! Each database has a secret of its own, itself sealed under a key: opening it tells a wrong key before anything is read or written.
//! The blind index (who has this telephone number?) and the marks of erased customers are BLAKE3 hashes keyed by subkeys of that
//! secret, so that they outlive a rotation: what an erased customer's reference was is known to nobody who could hash it anew.
//!
//! ```
//! # use touchline::store::sealing::{Field, KeyRing, Sealer, new_key, new_secret};
//! # use std::sync::Arc;
//! const SCRIPT: Field = Field { table: "task", column: "script" };
//! # let ring = Arc::new(KeyRing::parse(&new_key().unwrap()).unwrap());
//! # let sealer = Sealer::new(ring, &new_secret().unwrap());
//! // Of customer 7: bound into a BLOB column.
//! let sealed: Vec<u8> = sealer.seal(SCRIPT, 7, "Ask about the deposit that ends on Friday").unwrap();
//! assert_eq!(sealer.open(SCRIPT, 7, &sealed).unwrap(), "Ask about the deposit that ends on Friday");
//! assert!(sealer.open(SCRIPT, 8, &sealed).is_err(), "another customer's row");
//! ```
mod keys;
mod xchacha;

use super::{StoreError, StoreResult};
use crate::domain::contact::{EmailAddress, Phone};
pub use keys::{KeyId, KeyRing, KeySource, key_file_beside, new_key};
use ring::rand::{SecureRandom, SystemRandom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use xchacha::{NONCE, TAG};
use zeroize::Zeroizing;

/// The form of a sealed value; another form gets another number.
const VERSION: u8 = 1;
/// Version and key id.
const HEAD: usize = 5;
/// Bytes that sealing adds.
pub const OVERHEAD: usize = HEAD + NONCE + TAG;
/// Nonces that are asked of the system at once: a call costs more than a sealing.
const NONCES: usize = 256;

/// A column that is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Of which table.
    pub table: &'static str,
    /// Which.
    pub column: &'static str,
}

/// A database's own secret.
pub type DatabaseSecret = Zeroizing<[u8; 32]>;

/// Seals and opens, and hashes for look-ups.
pub struct Sealer {
    ring: Arc<KeyRing>,
    phone: Zeroizing<[u8; 32]>,
    email: Zeroizing<[u8; 32]>,
    tombstone: Zeroizing<[u8; 32]>,
    nonces: Mutex<Nonces>,
}

/// Random bytes that have been fetched and not been used.
struct Nonces {
    bytes: Box<[u8]>,
    used: usize,
}

impl Nonces {
    fn next(&mut self) -> StoreResult<[u8; NONCE]> {
        if self.used >= self.bytes.len() {
            SystemRandom::new().fill(&mut self.bytes).map_err(|_| no_random())?;
            self.used = 0;
        }
        let nonce = self.bytes.get(self.used..).and_then(|rest| rest.first_chunk::<NONCE>().copied()).ok_or_else(no_random)?;
        self.used += NONCE;
        Ok(nonce)
    }
}

fn no_random() -> StoreError {
    StoreError::Backend("the system gives no random bytes, and without them nothing can be sealed".to_owned())
}

/// A new database's secret.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_secret() -> StoreResult<DatabaseSecret> {
    let mut secret = Zeroizing::new([0_u8; 32]);
    SystemRandom::new().fill(secret.as_mut_slice()).map_err(|_| no_random())?;
    Ok(secret)
}

impl Sealer {
    /// Over these keys and a database's secret.
    pub fn new(ring: Arc<KeyRing>, secret: &DatabaseSecret) -> Self {
        let subkey = |what| Zeroizing::new(blake3::derive_key(what, secret.as_slice()));
        Self {
            ring,
            phone: subkey("touchline 2026-11 blind index of telephone numbers"),
            email: subkey("touchline 2026-11 blind index of e-mail addresses"),
            tombstone: subkey("touchline 2026-11 marks of erased customers"),
            nonces: Mutex::new(Nonces { bytes: vec![0; NONCES * NONCE].into(), used: usize::MAX }),
        }
    }

    /// The keys.
    pub fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// The name of the key that seals.
    pub fn sealing_key(&self) -> Option<KeyId> {
        self.ring.ids().next()
    }

    /// Seals a text of a field of a customer (or of another owner of rows) under the first key.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal(&self, field: Field, owner: i64, text: &str) -> StoreResult<Vec<u8>> {
        let nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        seal_under(&self.ring, field, owner, text.as_bytes(), &nonce)
    }

    /// Seals bytes that need not be a text.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_bytes(&self, field: Field, owner: i64, bytes: &[u8]) -> StoreResult<Vec<u8>> {
        let nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        seal_under(&self.ring, field, owner, bytes, &nonce)
    }

    /// Opens what [`Self::seal_bytes`] sealed.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_bytes(&self, field: Field, owner: i64, sealed: &[u8]) -> StoreResult<Vec<u8>> {
        open_under(&self.ring, field, owner, sealed)
    }

    /// Seals a text that may be missing.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_some(&self, field: Field, owner: i64, text: Option<&str>) -> StoreResult<Option<Vec<u8>>> {
        text.map(|text| self.seal(field, owner, text)).transpose()
    }

    /// Opens what was sealed for this field and owner.
    ///
    /// # Errors
    /// `Unusable`: sealed under a key that is not in the ring, or not for this place, or damaged.
    pub fn open(&self, field: Field, owner: i64, sealed: &[u8]) -> StoreResult<String> {
        String::from_utf8(open_under(&self.ring, field, owner, sealed)?).map_err(|_| not_its_place(field))
    }

    /// Under which key something was sealed; `None`: it is no sealed value.
    pub fn key_of(sealed: &[u8]) -> Option<KeyId> {
        let (version, rest) = sealed.split_first()?;
        (*version == VERSION && sealed.len() >= OVERHEAD).then(|| rest.first_chunk::<4>().copied().map(KeyId)).flatten()
    }

    /// The place of a telephone number in the blind index. 64 bits: of ten million numbers two share a place with a chance of
    /// 1 to 370,000, and whoever looks up compares the numbers themselves.
    pub fn phone_hash(&self, phone: &Phone) -> i64 {
        place(&self.phone, phone.normalised().as_bytes())
    }

    /// The place of an e-mail address in the blind index.
    pub fn email_hash(&self, email: &EmailAddress) -> i64 {
        place(&self.email, email.normalised().as_bytes())
    }

    /// The mark that an erased customer's reference leaves.
    pub fn reference_mark(&self, reference: &str) -> [u8; 16] {
        self.mark(b"reference:", reference)
    }

    /// The mark that an erased customer's telephone number leaves.
    pub fn phone_mark(&self, phone: &Phone) -> [u8; 16] {
        self.mark(b"phone:", &phone.normalised())
    }

    fn mark(&self, kind: &[u8], text: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.tombstone);
        hasher.update(kind).update(text.as_bytes());
        hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
    }
}

fn place(key: &[u8; 32], text: &[u8]) -> i64 {
    i64::from_le_bytes(blake3::keyed_hash(key, text).as_bytes().first_chunk().copied().unwrap_or_default())
}

/// What is authenticated beside the text.
fn associated(field: Field, owner: i64) -> Vec<u8> {
    let mut data = Vec::with_capacity(field.table.len() + field.column.len() + 10);
    for part in [field.table, field.column] {
        data.extend_from_slice(part.as_bytes());
        data.push(0);
    }
    data.extend_from_slice(&owner.to_le_bytes());
    data
}

fn seal_under(ring: &KeyRing, field: Field, owner: i64, text: &[u8], nonce: &[u8; NONCE]) -> StoreResult<Vec<u8>> {
    let refused = || StoreError::Backend(format!("a value of {}.{} could not be sealed", field.table, field.column));
    let key = ring.first().ok_or_else(refused)?;
    let mut sealed = Vec::with_capacity(text.len() + OVERHEAD);
    sealed.push(VERSION);
    sealed.extend_from_slice(&key.id.0);
    sealed.extend_from_slice(nonce);
    sealed.extend_from_slice(text);
    let body = sealed.get_mut(HEAD + NONCE..).ok_or_else(refused)?;
    let tag = xchacha::seal(&key.bytes, nonce, &associated(field, owner), body).map_err(|_| refused())?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

fn open_under(ring: &KeyRing, field: Field, owner: i64, sealed: &[u8]) -> StoreResult<Vec<u8>> {
    let id = Sealer::key_of(sealed).ok_or_else(|| not_its_place(field))?;
    let key = ring.of(id).ok_or_else(|| unknown_key(ring, id))?;
    let (nonce, body) = sealed.get(HEAD..).and_then(|rest| rest.split_first_chunk::<NONCE>()).ok_or_else(|| not_its_place(field))?;
    xchacha::open(&key.bytes, nonce, &associated(field, owner), body.to_vec()).map_err(|_| not_its_place(field))
}

fn unknown_key(ring: &KeyRing, id: KeyId) -> StoreError {
    let known: Vec<String> = ring.ids().map(|k| k.to_string()).collect();
    StoreError::Unusable(format!(
        "the personal data in this database are sealed under the key {id}, and the keys given are {}; add the key {id} to them \
         (`personal_data.key_file`, or TOUCHLINE_PERSONAL_DATA_KEY, as a further key after a comma). Nothing was changed",
        known.join(", ")
    ))
}

fn not_its_place(field: Field) -> StoreError {
    StoreError::Unusable(format!(
        "a sealed value of {}.{} does not open: it is damaged, or was moved there from another row or column; restore the last backup, or \
         import the customer's data again",
        field.table, field.column
    ))
}

const SECRET: Field = Field { table: "sealing", column: "secret" };

/// Seals a database's secret.
pub(super) fn seal_secret(ring: &KeyRing, secret: &DatabaseSecret) -> StoreResult<Vec<u8>> {
    let mut nonces = Nonces { bytes: vec![0; NONCE].into(), used: usize::MAX };
    seal_under(ring, SECRET, 1, secret.as_slice(), &nonces.next()?)
}

/// Opens a database's secret: the check of the keys.
pub(super) fn open_secret(ring: &KeyRing, sealed: &[u8]) -> StoreResult<DatabaseSecret> {
    let bytes = Zeroizing::new(open_under(ring, SECRET, 1, sealed)?);
    bytes.first_chunk::<32>().map(|b| Zeroizing::new(*b)).ok_or_else(|| not_its_place(SECRET))
}

/// The keys for a database whose data are sealed already (`new`: not yet; the file beside it is made when it is needed).
pub(super) fn keys_for(database: &Path, source: &KeySource, new: bool) -> StoreResult<Arc<KeyRing>> {
    let path = match source {
        KeySource::Ring(ring) => return Ok(Arc::clone(ring)),
        KeySource::Beside => key_file_beside(database),
    };
    if !path.exists() {
        if !new {
            return Err(StoreError::Unusable(format!(
                "the personal data in this database are sealed, and its key file {} is not there; put it back, or say where the key is \
                 (`personal_data.key_file`, or TOUCHLINE_PERSONAL_DATA_KEY). Nothing was changed",
                path.display()
            )));
        }
        keys::make_key_file(&path).map_err(StoreError::Backend)?;
    }
    KeyRing::read(&path).map(Arc::new).map_err(StoreError::Unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: Field = Field { table: "customer", column: "phone" };

    fn sealer(keys: &str, secret: &DatabaseSecret) -> Sealer {
        Sealer::new(Arc::new(KeyRing::parse(keys).unwrap()), secret)
    }

    #[test]
    fn a_value_opens_in_its_place_alone() {
        let secret = new_secret().unwrap();
        let sealer = sealer(&new_key().unwrap(), &secret);
        let sealed = sealer.seal(PHONE, 7, "+8613800138000").unwrap();
        assert_eq!(sealed.len(), 14 + OVERHEAD);
        assert_ne!(sealed, sealer.seal(PHONE, 7, "+8613800138000").unwrap(), "each with a nonce of its own");
        assert_eq!(sealer.open(PHONE, 7, &sealed).unwrap(), "+8613800138000");
        assert!(sealer.open(PHONE, 8, &sealed).is_err(), "another customer");
        assert!(sealer.open(Field { column: "email", ..PHONE }, 7, &sealed).is_err(), "another column");
        for place in 0..sealed.len() {
            let mut other = sealed.clone();
            other[place] ^= 1;
            assert!(sealer.open(PHONE, 7, &other).is_err(), "byte {place} changed");
        }
        assert!(sealer.open(PHONE, 7, &sealed[..OVERHEAD - 1]).is_err() && sealer.open(PHONE, 7, b"").is_err());
        assert_eq!(sealer.open(PHONE, 7, &sealer.seal(PHONE, 7, "").unwrap()).unwrap(), "");
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let (old, new, secret) = (new_key().unwrap(), new_key().unwrap(), new_secret().unwrap());
        let before = sealer(&old, &secret);
        let both = sealer(&format!("{},{}", *new, *old), &secret);
        let sealed = before.seal(PHONE, 1, "x").unwrap();
        assert_eq!(both.open(PHONE, 1, &sealed).unwrap(), "x");
        let anew = both.seal(PHONE, 1, "x").unwrap();
        assert_eq!(Sealer::key_of(&anew), both.sealing_key());
        let error = before.open(PHONE, 1, &anew).unwrap_err().to_string();
        assert!(error.contains(&both.sealing_key().unwrap().to_string()) && error.contains("Nothing was changed"), "{error}");
        let phone = Phone::new("+8613800138000");
        assert_eq!(before.phone_hash(&phone), both.phone_hash(&phone), "look-ups outlive a rotation");
        assert_ne!(before.phone_hash(&phone), before.email_hash(&EmailAddress::new("+8613800138000")));
    }

    #[test]
    fn nonces_do_not_repeat_past_the_end_of_a_fetch() {
        let sealer = sealer(&new_key().unwrap(), &new_secret().unwrap());
        let seen: std::collections::HashSet<Vec<u8>> =
            (0..3 * NONCES).map(|_| sealer.seal(PHONE, 1, "").unwrap()[HEAD..HEAD + NONCE].to_vec()).collect();
        assert_eq!(seen.len(), 3 * NONCES);
    }
}
