//! `touchline doctor`: what is wrong, or soon will be, each with a way out.
use super::DeskResult;
use crate::domain::holiday;
use crate::domain::time::{DAY, Timestamp};
use crate::store::privacy::SealedUnder;
use crate::store::{Store, StoreError};
use chrono::Datelike;
use serde::Serialize;
use std::path::Path;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// It may be meant, and should not be so in a bank's daily work.
    Warning,
    /// Something to do.
    Fault,
    /// It could not be told here.
    Unknown,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at (`store`, `lease`, `sum`, `calendar`, `disk`, `config`, `approval`).
    pub check: &'static str,
    /// How it came out.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do; empty when nothing.
    pub way_out: String,
}

impl Check {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, health: Health::Ok, found: found.into(), way_out: String::new() }
    }
    fn warning(check: &'static str, found: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { check, health: Health::Warning, found: found.into(), way_out: way_out.into() }
    }
    fn fault(check: &'static str, found: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self { check, health: Health::Fault, found: found.into(), way_out: way_out.into() }
    }
}

impl Check {
    /// Where the key of the personal data lies, and what is not sealed under it.
    pub fn of_keys(beside: bool, under: &[SealedUnder]) -> Vec<Self> {
        let mut checks = vec![if beside {
            let way_out = "make one with `touchline keys new`, keep it elsewhere (personal_data.key_file, TOUCHLINE_PERSONAL_DATA_KEY) before the one beside the \
                           database, and run `touchline keys rotate`";
            Self::warning("keys", "the key of the personal data lies beside the database: whoever copies the folder has both", way_out)
        } else {
            Self::ok("keys", "the key of the personal data is where the settings say")
        }];
        let left: u64 = under.iter().filter(|u| !u.current).map(|u| u.values).sum();
        if left > 0 {
            checks.push(Self::warning(
                "sealing",
                format!("{left} values are not sealed, or under a key that seals no more"),
                "run `touchline keys rotate`; it may run beside the daemon",
            ));
        }
        checks
    }
}

/// Whether anything is to be done: exit code 1.
pub fn has_faults(checks: &[Check]) -> bool {
    checks.iter().any(|c| c.health == Health::Fault)
}

/// Calendars that end sooner than this are a fault.
const CALENDAR_NOTICE: i64 = 60 * DAY;
/// Less room than this is a fault: a day's ledger of some million customers, and an export.
const ROOM_MIB: u64 = 1_024;

/// All checks. `config_faults` are those that reading the configuration gave; `data_folder` is where the store's files lie, if it
/// has any.
pub async fn doctor(store: &dyn Store, config_faults: &[String], data_folder: Option<&Path>, at: Timestamp) -> DeskResult<Vec<Check>> {
    let mut checks = config(config_faults);
    checks.extend(calendars(at));
    checks.extend(data_folder.map(disk));
    match store.campaigns().await {
        Ok(campaigns) => {
            checks.push(Check::ok("store", format!("{} store in reach, runs of campaigns on record: {}", store.kind(), campaigns.len())));
            checks.push(lease(store, at).await?);
            for run in &campaigns {
                checks.extend(sums(store, run).await?);
            }
        }
        Err(fault) => checks.push(unreachable(&fault)),
    }
    Ok(checks)
}

/// The check of a store that could not even be opened.
pub fn unreachable(fault: &StoreError) -> Check {
    let way_out = match fault {
        StoreError::Full(_) => "free some room on the disk and run the command again",
        StoreError::Unusable(_) => "do what the message says, or open another store with --store URL",
        _ => "check the URL (--store, TOUCHLINE_STORE_URL, `store.url`), that its folder exists, and that this user may write there",
    };
    Check::fault("store", fault.to_string(), way_out)
}

fn config(faults: &[String]) -> Vec<Check> {
    if faults.is_empty() {
        return vec![Check::ok("config", "every key is known and fits")];
    }
    faults
        .iter()
        .map(|f| Check::fault("config", f.clone(), "correct the key; the reference is config.default.toml, the schema: touchline schema config"))
        .collect()
}

/// Whether two persons are needed for a campaign that contacts people.
pub fn approval(four_eyes: bool) -> Check {
    if four_eyes {
        return Check::ok("approval", "a campaign that contacts people needs its author and another person");
    }
    Check {
        check: "approval",
        health: Health::Warning,
        found: "four eyes are turned off: an author may approve what contacts people".to_owned(),
        way_out: "fit for an installation where one person tries things out; else take `approval.four_eyes = false` out of the settings".to_owned(),
    }
}

/// Ownership: free (taken and given back at once), held by another process, or barred because the store is a restored copy.
async fn lease(store: &dyn Store, at: Timestamp) -> DeskResult<Check> {
    match store.acquire(false, at).await {
        Ok(fence) => {
            store.release(fence).await?;
            Ok(Check::ok("lease", format!("no process is sending; the next fencing number follows {fence}")))
        }
        Err(StoreError::Fenced(text)) => Ok(Check::ok("lease", format!("a process is sending: {text}"))),
        Err(StoreError::Unusable(text)) => {
            Ok(Check::fault("lease", text, "if this copy shall send from now on, and the original never again, say so: --accept-restored"))
        }
        Err(other) => Err(other.into()),
    }
}

async fn sums(store: &dyn Store, run: &crate::store::CampaignRow) -> DeskResult<Vec<Check>> {
    let name = format!("{} version {}{}", run.name, run.version, if run.id.is_rehearsal() { " (rehearsal)" } else { "" });
    let kept = store.tallies(run.id).await?;
    let recounted = store.recount(run.id).await?;
    let customers = kept.customers(run.audience);
    let mut checks = Vec::new();
    if customers.values().any(|n| *n < 0) {
        let states: Vec<String> = customers.iter().map(|(s, n)| format!("{s} {n}")).collect();
        let way_out = "stop sending from this store, keep a copy of it, and restore the last backup";
        checks.push(Check::fault("sum", format!("{name}: the sum does not close over {}: {}", run.audience, states.join(", ")), way_out));
    }
    let differences: Vec<String> = kept
        .0
        .keys()
        .chain(recounted.0.keys())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .filter(|(tally, key)| kept.get(*tally, *key) != recounted.get(*tally, *key))
        .map(|(tally, key)| format!("{tally} {key}: kept {}, counted {}", kept.get(*tally, *key), recounted.get(*tally, *key)))
        .collect();
    if !differences.is_empty() {
        let way_out = "stop sending from this store and keep a copy of it: its rows and its counts contradict each other";
        checks.push(Check::fault("recount", format!("{name}: {}", differences.join("; ")), way_out));
    }
    if checks.is_empty() {
        checks.push(Check::ok("sum", format!("{name}: closed over {} customers, and recounted from the rows", run.audience)));
    }
    Ok(checks)
}

fn calendars(at: Timestamp) -> Vec<Check> {
    let calendars = match holiday::calendars() {
        Ok(calendars) => calendars,
        Err(fault) => return vec![Check::fault("calendar", fault, "the tables are part of the program: install it again")],
    };
    calendars
        .iter()
        .map(|calendar| {
            let needed = at.plus(CALENDAR_NOTICE).utc().year();
            let has = (at.utc().year()..=needed).all(|year| calendar.years().contains(&year));
            let last = calendar.years().iter().max().map_or_else(|| "never".to_owned(), |y| format!("the end of {y}"));
            let found = format!("holidays of {}: known until {last}", calendar.country());
            if has {
                Check::ok("calendar", found)
            } else {
                let way_out = "it ends within 60 days, and no contact is made in a year without its table: install a version with the new one";
                Check::fault("calendar", found, way_out)
            }
        })
        .collect()
}

/// Room on a folder's disk in MiB, asked of the system's own `df` (the standard library has no call for it); `None`: it cannot be told.
pub fn room(folder: &Path) -> Option<u64> {
    let asked = std::process::Command::new("df").arg("-Pk").arg(folder).output().ok().filter(|o| o.status.success());
    room_mib(&asked.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default())
}

fn disk(folder: &Path) -> Check {
    match room(folder) {
        None => Check { check: "disk", health: Health::Unknown, found: "the room on the disk could not be told".to_owned(), way_out: String::new() },
        Some(mib) if mib < ROOM_MIB => Check::fault(
            "disk",
            format!("{mib} MiB free in the data folder, less than {ROOM_MIB}"),
            "free some room, or move the data folder (`store.data`)",
        ),
        Some(mib) => Check::ok("disk", format!("{mib} MiB free in the data folder")),
    }
}

/// The fourth column (available, in KiB) of the last line of `df -Pk`.
fn room_mib(df: &str) -> Option<u64> {
    let kib: u64 = df.lines().last()?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kib / 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_read_from_df() {
        let df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda1 103081248 20480000 2097152 21% /\n";
        assert_eq!(room_mib(df), Some(2_048));
        assert_eq!(room_mib("nothing"), None);
    }

    #[test]
    fn a_calendar_that_ends_soon_is_a_fault() {
        let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&chrono::Utc).into();
        let last = holiday::calendars().unwrap().iter().find(|c| c.country() == "cn").and_then(|c| c.years().iter().max().copied()).unwrap();
        let cn = |t| calendars(t).into_iter().find(|c| c.found.contains("of cn")).unwrap();
        assert_eq!(cn(at(&format!("{last}-06-01T00:00:00Z"))).health, Health::Ok);
        assert_eq!(cn(at(&format!("{last}-12-01T00:00:00Z"))).health, Health::Fault);
    }
}
