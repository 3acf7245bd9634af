//! Which keys a file has had already, in memory that does not grow with the file: 128-bit hashes, the newest half million in a table, older ones
//! in sorted runs in an unlinked temporary file, each behind a Bloom filter (1.5 bytes a key) and a sparse index (a 256th of the keys).
//! Two different keys of ten million share a hash with a chance of about 10^-25.
use super::IntakeError;
use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use xxhash_rust::xxh3::xxh3_128;

/// Keys in memory before they are written out.
const TABLE: usize = 1 << 19;
/// Keys between two entries of a run's sparse index.
const BLOCK: usize = 256;
/// Bits of the filter for each key, and how many of them a key sets: 0.4 % of lookups go to the file in vain.
const BITS: u64 = 12;
const PROBES: u64 = 7;

/// The keys.
pub(super) struct Seen {
    table: HashSet<u128, BuildHasherDefault<AsIs>>,
    runs: Vec<Run>,
    /// Where the temporary file is made.
    folder: PathBuf,
    file: Option<File>,
    length: u64,
    most: usize,
}

/// The keys are hashes already: half of one is the table's.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

struct Run {
    offset: u64,
    count: usize,
    filter: Vec<u64>,
    index: Vec<u128>,
}

impl Seen {
    /// Nothing seen yet; `folder` takes the temporary file, if one is needed.
    pub fn new(folder: PathBuf) -> Self {
        Self { table: HashSet::default(), runs: Vec::new(), folder, file: None, length: 0, most: TABLE }
    }

    /// Notes a key; whether it is new.
    pub fn insert(&mut self, key: &[u8]) -> Result<bool, IntakeError> {
        self.note(xxh3_128(key))
            .map_err(|e| IntakeError::File(format!("cannot keep the keys seen so far in a temporary file in {}: {e}", self.folder.display())))
    }

    fn note(&mut self, hash: u128) -> io::Result<bool> {
        if self.table.contains(&hash) {
            return Ok(false);
        }
        if let Some(file) = &mut self.file {
            for run in &self.runs {
                if run.has(hash, file)? {
                    return Ok(false);
                }
            }
        }
        self.table.insert(hash);
        if self.table.len() >= self.most {
            self.spill()?;
        }
        Ok(true)
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut keys: Vec<u128> = self.table.drain().collect();
        keys.sort_unstable();
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(unlinked(&self.folder)?),
        };
        let bits = (keys.len() as u64 * BITS).next_multiple_of(64);
        let mut filter = vec![0_u64; usize::try_from(bits / 64).unwrap_or(1)];
        let mut bytes = Vec::with_capacity(keys.len() * 16);
        for key in &keys {
            bytes.extend_from_slice(&key.to_le_bytes());
            for place in places(*key, bits) {
                if let Some(word) = filter.get_mut(place / 64) {
                    *word |= 1 << (place % 64);
                }
            }
        }
        file.seek(SeekFrom::Start(self.length))?;
        file.write_all(&bytes)?;
        self.runs.push(Run { offset: self.length, count: keys.len(), filter, index: keys.iter().step_by(BLOCK).copied().collect() });
        self.length += bytes.len() as u64;
        Ok(())
    }
}

impl Run {
    fn has(&self, hash: u128, file: &mut File) -> io::Result<bool> {
        let bits = self.filter.len() as u64 * 64;
        if !places(hash, bits).all(|p| self.filter.get(p / 64).is_some_and(|w| w >> (p % 64) & 1 == 1)) {
            return Ok(false);
        }
        let Some(block) = self.index.partition_point(|first| *first <= hash).checked_sub(1) else { return Ok(false) };
        let from = block * BLOCK;
        let count = BLOCK.min(self.count - from);
        let mut bytes = vec![0; count * 16];
        file.seek(SeekFrom::Start(self.offset + from as u64 * 16))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes.chunks_exact(16).any(|k| k == hash.to_le_bytes()))
    }
}

/// Bits of a key in a filter: two halves of the hash, as in double hashing.
fn places(hash: u128, bits: u64) -> impl Iterator<Item = usize> {
    let (a, b) = (hash as u64, (hash >> 64) as u64 | 1);
    (0..PROBES).map(move |i| usize::try_from(a.wrapping_add(i.wrapping_mul(b)) % bits).unwrap_or(0))
}

/// A file without a name: it is gone with the process, however that ends.
fn unlinked(folder: &std::path::Path) -> io::Result<File> {
    let path = folder.join(format!(".touchline-seen-{}", std::process::id()));
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_again_in_the_table_and_in_the_runs() {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Seen::new(folder.path().to_owned());
        seen.most = 1000;
        for i in 0..10_500_u32 {
            assert!(seen.insert(format!("c{i}").as_bytes()).unwrap(), "{i} was taken for seen");
        }
        assert_eq!(seen.runs.len(), 10);
        for i in 0..10_500_u32 {
            assert!(!seen.insert(format!("c{i}").as_bytes()).unwrap(), "{i} was forgotten");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "the temporary file has a name");
    }
}
