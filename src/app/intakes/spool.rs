//! A file on its way in: bytes to the disk, bounded, hashed as they come.
use super::{Intake, IntakeState, Intakes, MAPPING, Wanted};
use crate::app::private;
use crate::desk::doctor;
use crate::intake::{ContentHash, Sums};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Room that is left to the store on the disk, in MiB: it must be able to commit what is taken in.
const LEAVE_MIB: u64 = 512;
/// The room is asked again after so many bytes.
const ASK_EVERY: u64 = 256 << 20;
/// The name of a file that is not whole yet.
const PART: &str = "receiving.part";

/// Why a file is not received.
#[derive(Debug)]
pub enum SpoolError {
    /// It is longer than allowed; bytes at most.
    TooLarge(u64),
    /// The disk has no room for it.
    NoRoom,
    /// The data folder failed.
    Folder(std::io::Error),
}

impl From<std::io::Error> for SpoolError {
    fn from(e: std::io::Error) -> Self {
        if e.kind() == std::io::ErrorKind::StorageFull { Self::NoRoom } else { Self::Folder(e) }
    }
}

/// Whether the disk of a folder has room for so many bytes more. What cannot be told is no reason to refuse: a full disk tells it.
fn has_room(folder: &Path, bytes: u64) -> bool {
    doctor::room(folder).is_none_or(|mib| mib >= LEAVE_MIB + (bytes >> 20))
}

/// An intake whose file is coming in. Dropped before its end, it leaves the record that it was cut off, and no byte of the file.
pub struct Receiving {
    intakes: Intakes,
    intake: Option<Intake>,
    file: File,
    hash: ContentHash,
    most: u64,
    asked_at: u64,
}

impl Intakes {
    /// Opens an intake for a file of `length` bytes (when that is known) and `most` at most. It asks the system for the disk's room, so it blocks.
    pub fn receive(&self, wanted: &Wanted, length: Option<u64>, most: u64) -> Result<Receiving, SpoolError> {
        if length.is_some_and(|n| n > most) {
            return Err(SpoolError::TooLarge(most));
        }
        private::folder(&self.folder.join("rejects"))?;
        if !has_room(&self.folder, length.unwrap_or(0)) {
            return Err(SpoolError::NoRoom);
        }
        let number = self.next()?;
        let intake = Intake {
            number,
            kind: wanted.kind,
            list: wanted.list.clone(),
            mapping: wanted.mapping.clone(),
            state: IntakeState::Receiving,
            by: wanted.by.clone(),
            again: wanted.again,
            begun_at: self.clock.now(),
            ended_at: None,
            content: String::new(),
            sums: Sums::default(),
            report: None,
            fault: None,
            faults: Vec::new(),
        };
        self.write(&intake)?;
        private::write(&self.at(number).join(MAPPING), wanted.text.as_bytes())?;
        let file = private::create(&self.at(number).join(PART))?;
        Ok(Receiving { intakes: self.clone(), intake: Some(intake), file, hash: ContentHash::default(), most, asked_at: 0 })
    }

    /// The next number: whoever makes its folder has it.
    fn next(&self) -> std::io::Result<i64> {
        loop {
            let number = self.numbers()?.last().copied().unwrap_or(0) + 1;
            match std::fs::create_dir(self.at(number)) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| number),
            }
        }
    }
}

impl Receiving {
    /// More bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let size = self.hash.size() + bytes.len() as u64;
        if size > self.most {
            return Err(SpoolError::TooLarge(self.most));
        }
        if size - self.asked_at >= ASK_EVERY {
            self.asked_at = size;
            if !has_room(&self.intakes.folder, 0) {
                return Err(SpoolError::NoRoom);
            }
        }
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }

    /// The file is whole: it is on the disk under the hash of its content.
    pub fn end(mut self) -> Result<Intake, SpoolError> {
        self.file.sync_all()?;
        let Some(mut intake) = self.intake.take() else { return Err(SpoolError::Folder(std::io::Error::other("an intake ended twice"))) };
        let hash = std::mem::take(&mut self.hash);
        intake.sums.bytes_total = hash.size();
        intake.content = hash.finish();
        let at = self.intakes.at(intake.number);
        std::fs::rename(at.join(PART), at.join(&intake.content))?;
        self.intakes.write(&intake)?;
        Ok(intake)
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let Some(mut intake) = self.intake.take() else { return };
        remove_body(&self.intakes.at(intake.number));
        intake.state = IntakeState::CutOff;
        intake.ended_at = Some(self.intakes.clock.now());
        intake.sums.bytes = self.hash.size();
        if let Err(fault) = self.intakes.write(&intake) {
            tracing::warn!(intake = intake.number, %fault, "the record of an intake that was cut off could not be written");
        }
    }
}

/// Removes a file that never came whole.
pub(super) fn remove_body(folder: &Path) {
    if let Err(fault) = std::fs::remove_file(folder.join(PART))
        && fault.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%fault, "a file that was cut off could not be removed from the data folder; remove it by hand");
    }
}
