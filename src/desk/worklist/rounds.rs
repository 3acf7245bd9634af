//! What the house does by itself with tasks, a bounded piece at a time: gives new ones to somebody, recalls what is claimed and idle,
//! closes what has expired, and hands over the tasks of who is away.
use crate::desk::DeskResult;
use crate::domain::time::{DAY, Timestamp};
use crate::domain::worklist::assign::{self, Choice, Roster};
use crate::domain::worklist::lease::{self, Lapse};
use crate::domain::worklist::{Task, TaskEvent, TaskState};
use crate::store::tasks::TaskFilter;
use crate::store::{Store, StoreError};
use chrono::{Days, NaiveTime};
use chrono_tz::Tz;

/// Tasks that one round looks at: at a round a second, 500 tasks a second.
pub const AT_ONCE: usize = 500;

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rounds {
    /// Put onto somebody's list.
    pub assigned: usize,
    /// Nobody can take them yet.
    pub waiting: usize,
    /// Claimed and idle: back on the list.
    pub recalled: usize,
    /// Their end had come.
    pub expired: usize,
    /// There may be more at once.
    pub more: bool,
}

/// The start of the day of an instant in a zone, and of the next one.
pub fn day_of(now: Timestamp, zone: Tz) -> (Timestamp, Timestamp) {
    let date = now.utc().with_timezone(&zone).date_naive();
    let start = |date: chrono::NaiveDate| {
        // Clocks that skip midnight: the day begins an hour later.
        let midnight = [0, 1].into_iter().filter_map(|hour| date.and_time(NaiveTime::default()).checked_add_signed(chrono::TimeDelta::hours(hour)));
        midnight.filter_map(|local| local.and_local_timezone(zone).earliest()).map(|at| at.to_utc().into()).next()
    };
    let today = start(date).unwrap_or(now);
    let next = date.checked_add_days(Days::new(1)).and_then(start).unwrap_or(today.plus(DAY));
    (today, next)
}

async fn roster(store: &dyn Store, today: Timestamp) -> DeskResult<Roster> {
    let loads: std::collections::HashMap<String, _> = store.loads(today).await?.into_iter().collect();
    let with_load = |rm: crate::domain::worklist::Rm| {
        let load = loads.get(&rm.reference).copied().unwrap_or_default();
        (rm.reference.clone(), (rm, load))
    };
    Ok(store.rms().await?.into_iter().map(with_load).collect())
}

/// Writes what was decided; what others have changed meanwhile is left for the next round. Gives how many were written.
pub(super) async fn write(store: &dyn Store, changes: &[(Task, Vec<TaskEvent>)]) -> DeskResult<usize> {
    match store.change_tasks(changes).await {
        Ok(()) => return Ok(changes.len()),
        Err(StoreError::Conflict(_) | StoreError::NotFound { .. }) => {}
        Err(other) => return Err(other.into()),
    }
    let mut written = 0;
    for change in changes {
        match store.change_tasks(std::slice::from_ref(change)).await {
            Ok(()) => written += 1,
            Err(StoreError::Conflict(_) | StoreError::NotFound { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(written)
}

/// One round over the tasks whose alarm has gone off, the soonest first: at most [`AT_ONCE`]. `touchline serve` runs it every second, and
/// again at once while it says that there is more. `zone` is the bank's, whose days an RM's daily capacity counts.
pub async fn assign_round(store: &dyn Store, zone: Tz, now: Timestamp) -> DeskResult<Rounds> {
    let awake = store.waking_tasks(now, AT_ONCE).await?;
    let mut done = Rounds::default();
    if awake.is_empty() {
        return Ok(done);
    }
    let (today, next_day) = day_of(now, zone);
    let mut known: Option<Roster> = None;
    let mut changes = Vec::new();
    for task in &awake {
        if let Some((after, what)) = lease::lapse(task, now) {
            let (what, why, count) = match what {
                Lapse::Recalled => ("recalled", "the lease is over, and nothing came of it", &mut done.recalled),
                Lapse::Expired => ("expired", "nobody did it before its end", &mut done.expired),
            };
            *count += 1;
            changes.push((after, vec![TaskEvent::new(what, "engine", why, now)]));
            continue;
        }
        let mut after = task.clone();
        let mut events = Vec::new();
        if task.state == TaskState::Open && task.rm.is_none() {
            let roster = match &mut known {
                Some(roster) => roster,
                None => known.insert(roster(store, today).await?),
            };
            match assign::choose(task, roster, now, next_day) {
                Choice::To(rm, why) => {
                    assign::count(roster, &rm);
                    assign::put(&mut after, Some(&rm), now);
                    after.sleep_until(None);
                    events.push(TaskEvent::new("assigned", "engine", format!("to {rm}: {why}"), now));
                    done.assigned += 1;
                }
                // No line of history: it would grow with every try.
                Choice::Nobody(_, again) => {
                    after.sleep_until(Some(again));
                    done.waiting += 1;
                }
            }
        } else {
            after.sleep_until(None);
        }
        if after != *task {
            changes.push((after, events));
        }
    }
    let written = write(store, &changes).await?;
    done.more = awake.len() == AT_ONCE && written > 0;
    Ok(done)
}

/// Hands over the open tasks of whoever has left or is away now, as far as somebody else can take them: at most [`AT_ONCE`] of each.
/// `touchline serve` runs it every minute and after a change of the roster. What is claimed is left to its lease.
pub async fn cover_round(store: &dyn Store, zone: Tz, now: Timestamp) -> DeskResult<usize> {
    let (today, next_day) = day_of(now, zone);
    let mut roster = roster(store, today).await?;
    let away: Vec<(String, bool)> = roster.values().filter(|(rm, _)| !rm.is_there(now)).map(|(rm, _)| (rm.reference.clone(), rm.left)).collect();
    let mut moved = 0;
    for (reference, has_left) in away {
        let filter = TaskFilter { rm: Some(reference.clone()), states: vec![TaskState::Open], limit: AT_ONCE, ..TaskFilter::default() };
        let mut changes = Vec::new();
        for task in store.tasks(&filter).await? {
            let mut after = task.clone();
            let why = if has_left { "has left" } else { "is away" };
            match assign::choose(&task, &roster, now, next_day) {
                Choice::To(rm, _) if rm == reference => continue,
                Choice::To(rm, how) => {
                    assign::count(&mut roster, &rm);
                    assign::put(&mut after, Some(&rm), now);
                    after.sleep_until(None);
                    changes.push((after, vec![TaskEvent::new("assigned", "engine", format!("to {rm}: {reference} {why}; {how}"), now)]));
                }
                Choice::Nobody(_, again) => {
                    assign::put(&mut after, None, now);
                    after.sleep_until(Some(again));
                    changes.push((after, vec![TaskEvent::new("assigned", "engine", format!("to nobody: {reference} {why}"), now)]));
                }
            }
        }
        moved += write(store, &changes).await?;
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::HOUR;

    #[test]
    fn a_day_begins_at_the_banks_midnight() {
        let now = Timestamp(1_795_478_400_000); // 2026-11-24T00:00:00Z
        let (today, next) = day_of(now, chrono_tz::Asia::Shanghai);
        assert_eq!((today, next), (now.plus(-8 * HOUR), now.plus(16 * HOUR)));
        // Clocks in Beirut skipped from midnight to one on 2022-03-27.
        let gap = Timestamp(1_648_375_200_000); // 2022-03-27T10:00:00Z
        let (today, next) = day_of(gap, chrono_tz::Asia::Beirut);
        assert!(today < gap && gap < next && next.since(today) == 23 * HOUR, "{today} {next}");
    }
}
