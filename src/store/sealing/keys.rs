//! Keys: 32 bytes each, as base64 text, from a file, from the environment, or from a file that is made beside the database.
use super::xchacha::KEY;
use ring::rand::{SecureRandom, SystemRandom};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Where the keys of a database come from.
#[derive(Clone, Debug, Default)]
pub enum KeySource {
    /// A file beside the database (`<database>.key`), made with a new key when the database is made. Whoever copies both has both.
    #[default]
    Beside,
    /// Keys that the settings name.
    Ring(Arc<KeyRing>),
}

/// A key's public name: the first four bytes of a hash of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 4]);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One key.
pub(super) struct Key {
    pub id: KeyId,
    pub bytes: Zeroizing<[u8; KEY]>,
}

/// Keys in order: the first seals, all open.
pub struct KeyRing {
    keys: Vec<Key>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

impl KeyRing {
    /// Reads keys: base64 of 32 bytes each, parted by commas or line ends; what follows `#` in a line is a remark.
    ///
    /// # Errors
    /// What was expected, without a word of what stands there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<Key> = Vec::new();
        let words = text.lines().filter_map(|line| line.split('#').next()).flat_map(|line| line.split(',')).map(str::trim).filter(|w| !w.is_empty());
        for (n, word) in words.enumerate() {
            let bytes = Zeroizing::new(STANDARD.decode(word).unwrap_or_default());
            let bytes: Zeroizing<[u8; KEY]> = Zeroizing::new(<[u8; KEY]>::try_from(bytes.as_slice()).map_err(|_| {
                format!("key {}: expected base64 of 32 bytes (44 characters), found {} characters; `touchline keys new` makes one", n + 1, word.len())
            })?);
            let hash = blake3::derive_key("touchline 2026-11 name of a personal data key", bytes.as_slice());
            let id = KeyId(std::array::from_fn(|i| hash.get(i).copied().unwrap_or_default()));
            if keys.iter().any(|k| k.id == id) {
                return Err(format!("key {} ({id}) stands there twice; name each key once", n + 1));
            }
            keys.push(Key { id, bytes });
        }
        if keys.is_empty() {
            return Err("expected at least one key (base64 of 32 bytes), found none; `touchline keys new` makes one".to_owned());
        }
        Ok(Self { keys })
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// Names the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|e| format!("the key file {} cannot be read: {e}", path.display()))?);
        Self::parse(&text).map_err(|e| format!("the key file {}: {e}", path.display()))
    }

    /// The names of the keys, the sealing one first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys.iter().map(|k| k.id)
    }
    /// The key that seals.
    pub(super) fn first(&self) -> Option<&Key> {
        self.keys.first()
    }
    /// The key of a name.
    pub(super) fn of(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|k| k.id == id)
    }
}

/// A new key as it is written in a key file or in the environment.
///
/// # Errors
/// When the system gives no random bytes.
pub fn new_key() -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new([0_u8; KEY]);
    SystemRandom::new().fill(bytes.as_mut_slice()).map_err(|_| "the system gives no random bytes".to_owned())?;
    Ok(Zeroizing::new(STANDARD.encode(bytes.as_slice())))
}

/// Where the key file of a database stands when no other is named: `<database>.key`.
pub fn key_file_beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".key");
    PathBuf::from(name)
}

/// Makes a key file with a new key, for its owner alone, unless there is one. It comes into being whole, and is on the disk before the
/// database speaks of it.
pub(super) fn make_key_file(path: &Path) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("the key file {} cannot be made: {e}", path.display());
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(name);
    let key = new_key()?;
    let mut open = std::fs::OpenOptions::new();
    open.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
    let mut file = open.open(&draft).map_err(failed)?;
    let made = writeln!(file, "# Opens the personal data in the database beside it. Keep a copy elsewhere: without it they are lost.\n{}", &*key)
        .and_then(|()| file.sync_all())
        // A link fails where a file stands: two processes that make the same database agree on one key.
        .and_then(|()| match std::fs::hard_link(&draft, path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    let removed = std::fs::remove_file(&draft);
    made.and(removed).map_err(failed)?;
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        // Not every system lets a folder be synced; the file itself is.
        let _ = std::fs::File::open(folder).and_then(|f| f.sync_all());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_lines_and_commas() {
        let (a, b) = (new_key().unwrap(), new_key().unwrap());
        let ring = KeyRing::parse(&format!("# mine\n{} # first\n{}\n", *a, *b)).unwrap();
        let same = KeyRing::parse(&format!("{},{}", *a, *b)).unwrap();
        assert_eq!(ring.ids().collect::<Vec<_>>(), same.ids().collect::<Vec<_>>());
        assert_eq!(ring.ids().count(), 2);
        assert!(!format!("{ring:?}").contains(a.as_str()), "a key never prints itself");
    }

    #[test]
    fn what_is_no_key_is_told_without_quoting_it() {
        for (text, expected) in [("", "at least one key"), ("hunter2", "expected base64 of 32 bytes"), ("AAAA", "found 4 characters")] {
            let error = KeyRing::parse(text).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        }
        let a = new_key().unwrap();
        assert!(KeyRing::parse(&format!("{},{}", *a, *a)).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_key_file_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = key_file_beside(&folder.path().join("bank.db"));
        make_key_file(&path).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        make_key_file(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first, "a key that is there stays");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o777, 0o600);
        KeyRing::read(&path).unwrap();
    }
}
