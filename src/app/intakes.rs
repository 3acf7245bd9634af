//! Intakes of the daemon: a file that comes in by HTTP is kept in the data folder until it is taken in, by the same import as a file
//! named on the command line.
//!
//! `DATA/intakes/<number>/` has `intake.json` (what it is and how it stands), `mapping.yaml`, and the file itself under the hash of its
//! content; `DATA/intakes/rejects/` has rejected rows, named by content too, so that an intake which goes on after a stop, or is
//! repeated, finds them. All of it is as private as the file that came: mode 0600, not sealed, the file removed at the intake's end,
//! the rest after [`KEEP_DAYS`] days. Progress is kept in the store by content, so the same file sent again goes on where it stopped.
mod spool;
mod work;

pub use spool::{Receiving, SpoolError};

use super::daemon::DaemonHandle;
use super::{App, Failure};
use crate::clock::{Clock, monotonic, sleep_ms};
use crate::domain::time::{DAY, Timestamp};
use crate::intake::{Fault, Kind, Mapping, Report, Sums, key_of};
use crate::store::Store;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Records and rejects of intakes are kept so long: time enough to mend rows and send them again.
pub const KEEP_DAYS: i64 = 30;
/// Intakes that are taken in at once; a store has one writer, so more would only wait for each other.
const AT_ONCE: usize = 8;

/// Where an intake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntakeState {
    /// Its file is coming in.
    Receiving,
    /// Its rows are being taken in; a daemon that was killed goes on with it at its next start.
    Running,
    /// Every row is dealt with.
    Done,
    /// It could not go on: `fault` and `faults` say why. What was taken stays taken.
    Failed,
    /// Its file never came whole. Nothing of it was taken: send it again.
    CutOff,
}

impl IntakeState {
    /// Whether nothing more comes of it.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::CutOff)
    }
}

/// An intake.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Intake {
    /// Its number.
    pub number: i64,
    /// What the file holds.
    pub kind: Kind,
    /// The list that is made of its rows.
    pub list: Option<String>,
    /// The mapping's name.
    pub mapping: String,
    /// Where it stands.
    pub state: IntakeState,
    /// Who sent it.
    pub by: String,
    /// Though it was taken in in full before.
    pub again: bool,
    /// When it began to come in.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    pub begun_at: Timestamp,
    /// When it was over.
    #[serde(with = "crate::domain::time::iso_option")]
    #[schemars(with = "Option<String>")]
    pub ended_at: Option<Timestamp>,
    /// BLAKE3 of content and size, hex; empty while it comes in.
    pub content: String,
    /// So far; `rows_read = accepted + filtered + rejected + duplicates` at every moment.
    pub sums: Sums,
    /// What came of it, once it is done.
    pub report: Option<Report>,
    /// Why it failed.
    pub fault: Option<String>,
    /// Faults of the mapping, with their places.
    pub faults: Vec<Fault>,
}

/// What is to be taken in.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What the file holds.
    pub kind: Kind,
    /// The list that is made of its rows.
    pub list: Option<String>,
    /// The mapping's name.
    pub mapping: String,
    /// The mapping.
    pub text: String,
    /// Who sends it.
    pub by: String,
    /// Though it was taken in in full before.
    pub again: bool,
}

/// Why an intake does not begin.
#[derive(Debug)]
pub enum NotBegun {
    /// Another file for the same list is being taken in, by the intake of this number.
    ListBusy(i64),
    /// As many as may are being taken in.
    Busy,
    /// The data folder failed.
    Folder(std::io::Error),
}

/// An intake that is being taken in by this process.
struct UnderWay {
    folder: PathBuf,
    number: i64,
    key: String,
    list: Option<String>,
    sums: Sums,
}

/// Those of this process: one table, as there is one per data folder and number.
static UNDER_WAY: Mutex<Vec<UnderWay>> = Mutex::new(Vec::new());

fn under_way() -> MutexGuard<'static, Vec<UnderWay>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The intakes of a data folder.
#[derive(Clone)]
pub struct Intakes {
    folder: PathBuf,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    daemon: Option<DaemonHandle>,
}

impl App {
    /// Its intakes. The engine that runs beside them, if there is one, hears at once of customers who may not be contacted any more.
    pub fn intakes(&self, daemon: Option<DaemonHandle>) -> Intakes {
        Intakes { folder: self.config.data_folder().join("intakes"), store: Arc::clone(&self.store), clock: Arc::clone(&self.clock), daemon }
    }
}

impl Intakes {
    fn at(&self, number: i64) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// Numbers there are, ascending.
    fn numbers(&self) -> std::io::Result<Vec<i64>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// An intake as it stands; `None`: there is none of this number.
    pub fn get(&self, number: i64) -> Result<Option<Intake>, Failure> {
        let path = self.at(number).join(RECORD);
        let bytes = match std::fs::read(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|e| Failure::reach(format!("cannot read {}: {e}", path.display())))?,
        };
        let mut intake: Intake = serde_json::from_slice(&bytes).map_err(|e| Failure::reach(format!("{}: {e}", path.display())))?;
        if let Some(running) = under_way().iter().find(|u| u.number == number && u.folder == self.folder) {
            intake.sums = running.sums;
        }
        Ok(Some(intake))
    }

    /// Intakes after a number, oldest first.
    pub fn page(&self, after: i64, limit: usize) -> Result<Vec<Intake>, Failure> {
        let numbers = self.numbers().map_err(|e| Failure::reach(format!("cannot read {}: {e}", self.folder.display())))?;
        let mut found = Vec::new();
        for number in numbers.into_iter().filter(|n| *n > after).take(limit) {
            found.extend(self.get(number)?);
        }
        Ok(found)
    }

    /// The intake as it stands when it is over, or after so many seconds.
    pub async fn wait(&self, number: i64, seconds: u64) -> Result<Option<Intake>, Failure> {
        let began = monotonic();
        loop {
            let intake = self.get(number)?;
            if intake.as_ref().is_none_or(|i| i.state.is_over()) || began.elapsed() >= Duration::from_secs(seconds) {
                return Ok(intake);
            }
            sleep_ms(50).await;
        }
    }

    /// The rejected rows of an intake, when there are any.
    pub fn rejects(&self, intake: &Intake) -> Option<PathBuf> {
        let mapping = self.mapping(intake)?;
        Some(self.rejects_of(&key_of(intake.kind, intake.list.as_deref(), &intake.content, &mapping))).filter(|path| path.exists())
    }

    fn mapping(&self, intake: &Intake) -> Option<Mapping> {
        let text = std::fs::read_to_string(self.at(intake.number).join(MAPPING)).ok()?;
        Mapping::load(&intake.mapping, &text).ok()
    }

    fn rejects_of(&self, key: &str) -> PathBuf {
        self.folder.join("rejects").join(format!("{}.csv", blake3::hash(key.as_bytes()).to_hex().get(..32).unwrap_or_default()))
    }

    /// Takes in the file of a received intake, unless it is under way already: then the number of that one is given.
    pub fn begin(&self, mut intake: Intake) -> Result<i64, NotBegun> {
        let number = intake.number;
        let Some(mapping) = self.mapping(&intake) else {
            return Err(NotBegun::Folder(std::io::Error::other("the mapping of the intake is gone")));
        };
        let key = key_of(intake.kind, intake.list.as_deref(), &intake.content, &mapping);
        {
            let mut table = under_way();
            let here = || table.iter().filter(|u| u.folder == self.folder);
            let refusal = match here().find(|u| u.key == key) {
                Some(same) => Some(Ok(same.number)),
                None => match here().find(|u| u.list.is_some() && u.list == intake.list) {
                    Some(other) => Some(Err(NotBegun::ListBusy(other.number))),
                    None => (here().count() >= AT_ONCE).then_some(Err(NotBegun::Busy)),
                },
            };
            if let Some(refusal) = refusal {
                drop(table);
                self.forget(number);
                return refusal;
            }
            table.push(UnderWay { folder: self.folder.clone(), number, key: key.clone(), list: intake.list.clone(), sums: intake.sums });
        }
        intake.state = IntakeState::Running;
        let begun = self.write(&intake).and_then(|()| work::start(self, intake, mapping, key));
        begun.map_err(|e| {
            self.is_over(number);
            NotBegun::Folder(e)
        })?;
        Ok(number)
    }

    fn is_over(&self, number: i64) {
        under_way().retain(|u| u.number != number || u.folder != self.folder);
    }

    fn is_under_way(&self, number: i64) -> bool {
        under_way().iter().any(|u| u.number == number && u.folder == self.folder)
    }

    /// Removes everything of an intake.
    fn forget(&self, number: i64) {
        if let Err(fault) = std::fs::remove_dir_all(self.at(number)) {
            tracing::warn!(intake = number, %fault, "the folder of an intake could not be removed; remove it by hand");
        }
    }

    /// At the start of a daemon: what was being taken in goes on, what was coming in was cut off, what is old goes.
    pub fn go_on(&self) -> Result<(), Failure> {
        let fault = |e: std::io::Error| Failure::reach(format!("cannot read {}: {e}", self.folder.display()));
        for number in self.numbers().map_err(fault)? {
            let Some(mut intake) = self.get(number)? else {
                self.forget(number);
                continue;
            };
            match intake.state {
                // A file that had come whole is taken in also when its sender was not told so any more.
                IntakeState::Running | IntakeState::Receiving if self.is_whole(&intake) && !self.is_under_way(number) => {
                    if let Err(fault) = self.begin(intake) {
                        tracing::error!(intake = number, ?fault, "an intake that was cut off could not go on; send its file again");
                    }
                }
                IntakeState::Receiving | IntakeState::Running if !self.is_under_way(number) => {
                    spool::remove_body(&self.at(number));
                    intake.state = IntakeState::CutOff;
                    intake.ended_at = Some(self.clock.now());
                    self.write(&intake).map_err(fault)?;
                }
                IntakeState::Receiving | IntakeState::Running | IntakeState::Done | IntakeState::Failed | IntakeState::CutOff => {}
            }
        }
        self.clean().map_err(fault)
    }

    /// Removes records and rejects that are older than [`KEEP_DAYS`]; the newest record stays, for its number.
    pub(super) fn clean(&self) -> std::io::Result<()> {
        let until = self.clock.now().plus(-KEEP_DAYS * DAY);
        let mut numbers = self.numbers()?;
        numbers.pop();
        for number in numbers {
            if let Ok(Some(intake)) = self.get(number)
                && intake.ended_at.is_some_and(|at| at < until)
            {
                self.forget(number);
            }
        }
        let rejects = self.folder.join("rejects");
        if rejects.exists() {
            for entry in std::fs::read_dir(rejects)? {
                let entry = entry?;
                let changed: chrono::DateTime<chrono::Utc> = entry.metadata()?.modified()?.into();
                if Timestamp::from(changed) < until {
                    std::fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    fn write(&self, intake: &Intake) -> std::io::Result<()> {
        let bytes = serde_json::to_vec_pretty(intake)?;
        super::private::write(&self.at(intake.number).join(RECORD), &bytes)
    }

    /// Whether its file has come whole, and has not been taken in yet.
    fn is_whole(&self, intake: &Intake) -> bool {
        !intake.content.is_empty() && self.body(intake).is_file()
    }

    fn body(&self, intake: &Intake) -> PathBuf {
        self.at(intake.number).join(&intake.content)
    }

    /// The data folder, for the room on its disk.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

const RECORD: &str = "intake.json";
const MAPPING: &str = "mapping.yaml";
