//! What may be done with a task: claimed under a lease, released, recalled when idle, expired, cancelled, done with a result. Pure: a task
//! goes in, the task as it shall be comes out.
//!
//! Whoever changes a task sets when it wakes by [`Task::sleep_until`]: a task has one alarm for everything that waits for a time (its
//! lease, its expiry, the next try to give it to somebody, a callback's reminder and escalation), and each round deals with its own.
use super::{Task, TaskKind, TaskResult, TaskState};
use crate::domain::outcome::Disposition;
use crate::domain::outcome::Reason::{
    Busy, CallbackRequested, Completed, Interested, InvalidAddress, NoAnswer, NotInterested, NotReached, Rejected, Voicemail, WrongPerson,
};
use crate::domain::time::{DAY, MINUTE, Timestamp};

/// How long a claim holds unless it is renewed.
pub const LEASE_MS: i64 = 15 * MINUTE;
/// The longest notes, in characters.
pub const LONGEST_NOTES: usize = 4_000;
/// An instant that a caller gives may be so far ahead of our clock.
pub const SKEW_MS: i64 = 5 * MINUTE;
/// What a relationship manager may report of a task.
pub const DISPOSITIONS: &[Disposition] =
    &[Completed, Interested, NotInterested, CallbackRequested, NotReached, WrongPerson, NoAnswer, Busy, Voicemail, Rejected, InvalidAddress];

/// Why something cannot be done with a task. It names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Another has claimed it, until then.
    Claimed(Timestamp),
    /// Nothing more can be done with it: it is in this state.
    Closed(TaskState),
    /// It is done, with another result.
    OtherResult,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Claimed(until) => write!(f, "somebody else has claimed this task until {until}; take another, or try again then"),
            Self::Closed(state) => write!(f, "this task is {state}; nothing more can be done with it: read the list again"),
            Self::OtherResult => f.write_str("this task is done, with another result than this; a result stands: note what is new as a new contact"),
        }
    }
}

impl Task {
    /// Sets when the task must be looked at again; never for a closed one. It is the first of: its lease's end, its expiry, `also`, and an
    /// alarm that is not this caller's to move. A task on nobody's list keeps the one by which somebody is to be found for it, unless `also`
    /// is that time; a callback or referral keeps the one of its reminder and escalation, which `callback::attend` sets anew each time
    /// that it has gone off.
    pub fn sleep_until(&mut self, also: Option<Timestamp>) {
        let waits = self.state == TaskState::Open && self.rm.is_none() && also.is_none();
        let attended = matches!(self.made.kind, TaskKind::Callback | TaskKind::Referral);
        let kept = self.wakes_at.filter(|_| waits || attended);
        let all = [self.lease_until, self.made.expires_at, also, kept];
        self.wakes_at = if self.state.is_closed() { None } else { all.into_iter().flatten().min() };
    }

    /// The claim that still holds, by whomever.
    pub fn running_lease(&self, now: Timestamp) -> Option<Timestamp> {
        self.lease_until.filter(|until| self.state == TaskState::Claimed && *until > now)
    }

    fn held_by_another(&self, who: &str, now: Timestamp) -> Option<Held> {
        self.running_lease(now).filter(|_| self.claimed_by.as_deref() != Some(who)).map(Held::Claimed)
    }

    fn reopen(&mut self) {
        (self.state, self.claimed_by, self.lease_until) = (TaskState::Open, None, None);
    }

    fn close(&mut self, state: TaskState, now: Timestamp) {
        self.reopen();
        (self.state, self.closed_at, self.wakes_at) = (state, Some(now), None);
    }
}

/// Claims a task for `who`, or renews their claim: it is theirs until `now + lease_ms`. A lease that is over bars nobody.
pub fn claim(task: &Task, who: &str, now: Timestamp, lease_ms: i64) -> Result<Task, Held> {
    if task.state.is_closed() {
        return Err(Held::Closed(task.state));
    }
    if let Some(held) = task.held_by_another(who, now) {
        return Err(held);
    }
    if task.running_lease(now).is_none() && task.made.expires_at.is_some_and(|end| end <= now) {
        return Err(Held::Closed(TaskState::Expired));
    }
    let mut claimed = task.clone();
    claimed.state = TaskState::Claimed;
    claimed.claimed_by = Some(who.to_owned());
    // A renewal never shortens.
    claimed.lease_until = Some(now.plus(lease_ms).max(task.running_lease(now).unwrap_or(now)));
    claimed.sleep_until(None);
    Ok(claimed)
}

/// Gives a claimed task back to the list; one that is open stays as it is (`None`).
pub fn release(task: &Task, who: &str, now: Timestamp) -> Result<Option<Task>, Held> {
    if task.state.is_closed() {
        return Err(Held::Closed(task.state));
    }
    if let Some(held) = task.held_by_another(who, now) {
        return Err(held);
    }
    Ok((task.state == TaskState::Claimed).then(|| {
        let mut released = task.clone();
        released.reopen();
        released.sleep_until(None);
        released
    }))
}

/// What the time alone makes of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lapse {
    /// It was claimed and nothing came of it: back to the list.
    Recalled,
    /// Its end has come.
    Expired,
}

/// What the time makes of a task; `None`: nothing yet. Whoever is at work on it is not interrupted by its end.
pub fn lapse(task: &Task, now: Timestamp) -> Option<(Task, Lapse)> {
    if task.state.is_closed() || task.running_lease(now).is_some() {
        return None;
    }
    let mut after = task.clone();
    if task.made.expires_at.is_some_and(|end| end <= now) {
        after.close(TaskState::Expired, now);
        return Some((after, Lapse::Expired));
    }
    (task.state == TaskState::Claimed).then(|| {
        after.reopen();
        after.sleep_until(None);
        (after, Lapse::Recalled)
    })
}

/// Calls a task off; `None`: it is closed already.
pub fn cancel(task: &Task, now: Timestamp) -> Option<Task> {
    (!task.state.is_closed()).then(|| {
        let mut after = task.clone();
        after.close(TaskState::Cancelled, now);
        after
    })
}

/// Every fault of a result that is about to be reported, each with what to do. `now` is the present, `made_at` when the task was made.
pub fn check(result: &TaskResult, made_at: Timestamp, now: Timestamp) -> Vec<String> {
    let mut faults = Vec::new();
    if !DISPOSITIONS.contains(&result.disposition) {
        let known: Vec<&str> = DISPOSITIONS.iter().map(|d| d.name()).collect();
        faults.push(format!("disposition: expected one of {}, found {}", known.join(", "), result.disposition));
    }
    let notes = result.notes.as_deref().map_or(0, |notes| notes.chars().count());
    if notes > LONGEST_NOTES {
        faults.push(format!("notes: expected at most {LONGEST_NOTES} characters, found {notes}; shorten them"));
    }
    if result.connected_s > 86_400 {
        faults.push(format!("connected_s: expected the seconds of one conversation (86400 at most), found {}", result.connected_s));
    }
    if result.next_contact.is_some_and(|next| next <= now) {
        faults.push("next_contact: expected an instant to come, found one that is over; ask the customer anew, or leave it out".to_owned());
    }
    if result.at > now.plus(SKEW_MS) {
        faults.push(format!("at: expected when it happened, found an instant after the present ({now})"));
    }
    if result.at < made_at.plus(-DAY) {
        faults.push("at: expected when it happened, found an instant more than a day before the task was made".to_owned());
    }
    faults
}

/// Closes a task with a result; `None`: it has this very result already. A result that comes after the task was called off or has expired
/// is taken too: the conversation has happened. `given_at` is false where the caller did not say when: then `result.at` is no part of it.
pub fn finish(task: &Task, who: &str, result: &TaskResult, given_at: bool, now: Timestamp) -> Result<Option<Task>, Held> {
    if let Some(known) = task.result.as_ref() {
        let at = if given_at { result.at } else { known.at };
        return if *known == (TaskResult { at, ..result.clone() }) { Ok(None) } else { Err(Held::OtherResult) };
    }
    if let Some(held) = task.held_by_another(who, now) {
        return Err(held);
    }
    let mut done = task.clone();
    done.close(TaskState::Done, now);
    done.result = Some(result.clone());
    Ok(Some(done))
}

#[cfg(test)]
mod tests {
    use super::super::NewTask;
    use super::*;
    use crate::domain::ids::{CustomerId, TaskId};
    use crate::domain::outcome::Reason;
    use proptest::prelude::*;

    const T0: Timestamp = Timestamp(1_795_478_400_000);

    fn task(expires_at: Option<Timestamp>) -> Task {
        NewTask {
            key: "k".into(),
            kind: TaskKind::Journey,
            customer: CustomerId(1),
            touch: None,
            title: "t".into(),
            script: None,
            language: None,
            skill: None,
            priority: 5,
            wanted_rm: None,
            branch: None,
            due_at: T0,
            expires_at,
            at: T0,
        }
        .row(TaskId(1))
    }

    fn result(disposition: Disposition) -> TaskResult {
        TaskResult { disposition, connected_s: 60, notes: None, next_contact: None, at: T0 }
    }

    #[test]
    fn a_claim_is_renewed_by_claiming_again_and_bars_others_until_its_end() {
        let first = claim(&task(None), "a", T0, LEASE_MS).unwrap();
        assert_eq!((first.lease_until, first.wakes_at), (Some(T0.plus(LEASE_MS)), Some(T0.plus(LEASE_MS))));
        let later = T0.plus(MINUTE);
        assert_eq!(claim(&first, "b", later, LEASE_MS), Err(Held::Claimed(T0.plus(LEASE_MS))));
        assert_eq!(release(&first, "b", later), Err(Held::Claimed(T0.plus(LEASE_MS))));
        let again = claim(&first, "a", later, LEASE_MS).unwrap();
        assert_eq!(again.lease_until, Some(later.plus(LEASE_MS)));
        assert_eq!(claim(&again, "a", later, 1).unwrap().lease_until, again.lease_until, "a renewal never shortens");
        let over = later.plus(LEASE_MS);
        assert_eq!(lapse(&again, over.plus(-1)), None);
        assert_eq!(lapse(&again, over).map(|(t, l)| (t.state, t.claimed_by, l)), Some((TaskState::Open, None, Lapse::Recalled)));
        assert_eq!(claim(&again, "b", over, LEASE_MS).map(|t| t.claimed_by), Ok(Some("b".into())), "a lease that is over bars nobody");
    }

    #[test]
    fn the_end_of_a_task_does_not_interrupt_who_is_at_work() {
        let claimed = claim(&task(Some(T0.plus(MINUTE))), "a", T0, LEASE_MS).unwrap();
        assert_eq!(lapse(&claimed, T0.plus(2 * MINUTE)), None);
        let done = finish(&claimed, "a", &result(Reason::Completed), true, T0.plus(2 * MINUTE)).unwrap().unwrap();
        assert_eq!((done.state, done.wakes_at, done.closed_at), (TaskState::Done, None, Some(T0.plus(2 * MINUTE))));
        let (expired, how) = lapse(&claimed, T0.plus(LEASE_MS)).unwrap();
        assert_eq!((expired.state, how), (TaskState::Expired, Lapse::Expired));
        assert_eq!(claim(&expired, "a", T0.plus(LEASE_MS), LEASE_MS), Err(Held::Closed(TaskState::Expired)));
        let late = finish(&expired, "a", &result(Reason::Completed), true, T0.plus(LEASE_MS + 1)).unwrap().unwrap();
        assert_eq!(late.state, TaskState::Done, "what has happened is taken, however late");
    }

    #[test]
    fn a_result_stands_and_its_repetition_is_the_same_answer() {
        let one = result(Reason::Completed);
        let done = finish(&task(None), "a", &one, true, T0).unwrap().unwrap();
        assert_eq!(finish(&done, "a", &one, true, T0.plus(9)), Ok(None));
        let elsewhen = TaskResult { at: T0.plus(1), ..one.clone() };
        assert_eq!(finish(&done, "a", &elsewhen, false, T0.plus(9)), Ok(None), "the caller did not say when");
        assert_eq!(finish(&done, "a", &elsewhen, true, T0.plus(9)), Err(Held::OtherResult));
        assert_eq!(finish(&done, "a", &result(Reason::NotReached), false, T0.plus(9)), Err(Held::OtherResult));
    }

    #[test]
    fn a_result_that_cannot_be_is_told_all_at_once() {
        assert_eq!(check(&result(Reason::Completed), T0, T0), Vec::<String>::new());
        let bad = TaskResult {
            disposition: Reason::Delivered,
            connected_s: 86_401,
            notes: Some("\u{597d}".repeat(LONGEST_NOTES + 1)),
            next_contact: Some(T0),
            at: T0.plus(SKEW_MS + 1),
        };
        let faults = check(&bad, T0, T0);
        assert_eq!(faults.len(), 5, "{faults:?}");
        let fits = TaskResult { notes: Some("\u{597d}".repeat(LONGEST_NOTES)), next_contact: Some(T0.plus(1)), ..result(Reason::Busy) };
        assert!(check(&fits, T0, T0).is_empty());
        assert!(DISPOSITIONS.iter().all(|d| d.is_reached() || d.is_missed()));
    }

    proptest! {
        /// Whatever is done in whatever order: one holder at a time, a closed task stays closed but for a late result, a result stands, the
        /// alarm never sounds after the lease or the end, and the fields agree with the state.
        #[test]
        fn a_task_is_always_whole(moves in prop::collection::vec((0..6_u8, 0..3_usize, 0..40_i64), 1..60), ends in prop::option::of(0..400_i64)) {
            let mut now = T0;
            let mut task = task(ends.map(|m| T0.plus(m * MINUTE)));
            for (what, who, minutes) in moves {
                now = now.plus(minutes * MINUTE);
                let who = ["a", "b", "c"][who];
                let before = task.clone();
                let next = match what {
                    0 | 1 => claim(&task, who, now, LEASE_MS).map(Some),
                    2 => release(&task, who, now),
                    3 => Ok(lapse(&task, now).map(|(t, _)| t)),
                    4 if minutes > 35 => Ok(cancel(&task, now)),
                    4 => Ok(None),
                    _ => finish(&task, who, &result(if minutes % 2 == 0 { Reason::Busy } else { Reason::Completed }), true, now),
                };
                if before.running_lease(now).is_some() && before.claimed_by.as_deref() != Some(who) && (what < 3 || what == 5) {
                    prop_assert_eq!(&next, &Err(Held::Claimed(before.lease_until.unwrap())));
                }
                if let Ok(Some(next)) = next {
                    task = next;
                }
                prop_assert_eq!(task.state == TaskState::Claimed, task.claimed_by.is_some() && task.lease_until.is_some());
                prop_assert_eq!(task.state == TaskState::Done, task.result.is_some());
                prop_assert_eq!(task.state.is_closed(), task.closed_at.is_some());
                prop_assert!(!task.state.is_closed() || task.wakes_at.is_none());
                if !task.state.is_closed() && task != before {
                    for end in [task.lease_until, task.made.expires_at].into_iter().flatten() {
                        prop_assert!(task.wakes_at.is_some_and(|at| at <= end));
                    }
                }
                if before.state.is_closed() {
                    prop_assert!(task == before || (before.state != TaskState::Done && task.state == TaskState::Done));
                }
            }
        }
    }
}
