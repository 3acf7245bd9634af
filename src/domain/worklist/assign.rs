//! Who a task goes to: a total order, so that the same roster and the same loads give the same answer everywhere.
//!
//! The customer's own RM first; when they are away, whoever covers for them; else the best of the branch. Who has had a full day takes
//! nothing more: the task then waits for the next day, unless it is needed before somebody could look at it then.
use super::{Load, Rm, Task};
use crate::domain::time::{HOUR, MINUTE, Timestamp};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A task that is needed sooner than so long after the next day's start does not wait for its own RM's next day: it leaves them half a
/// morning.
pub const MORNING_MS: i64 = 4 * HOUR;
/// A task that nobody can take is tried again after so long at most: loads, leaves and due times move on. (A changed roster wakes it at
/// once.)
pub const TRY_AGAIN_MS: i64 = 15 * MINUTE;

/// The roster with what each has, by reference.
pub type Roster = BTreeMap<String, (Rm, Load)>;

/// What becomes of a task that is on nobody's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It goes to this RM, for this reason (in a few words, for its history).
    To(String, &'static str),
    /// It stays with nobody, for this reason, and is tried again then.
    Nobody(&'static str, Timestamp),
}

impl Rm {
    /// The leave that they are on.
    pub fn leave_at(&self, at: Timestamp) -> Option<&super::Leave> {
        self.leaves.iter().find(|leave| leave.from <= at && at < leave.to)
    }
    /// Whether they are there to work.
    pub fn is_there(&self, at: Timestamp) -> bool {
        !self.left && self.leave_at(at).is_none()
    }
}

/// Whether they are there and their day is not full.
fn is_free(rm: &Rm, load: Load, at: Timestamp) -> bool {
    rm.is_there(at) && load.today < rm.daily_capacity
}

/// How well somebody speaks a language (BCP 47): 0 this very tag, 1 another of its primary language, 2 the roster does not say what they
/// speak; `None`: not at all.
fn speaks(rm: &Rm, language: Option<&str>) -> Option<u8> {
    let Some(wanted) = language else { return Some(0) };
    let primary = |tag: &str| tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    if rm.languages.is_empty() {
        return Some(2);
    }
    if rm.languages.iter().any(|tag| tag.eq_ignore_ascii_case(wanted)) {
        return Some(0);
    }
    rm.languages.iter().any(|tag| primary(tag) == primary(wanted)).then_some(1)
}

/// What must fit: the branch where the task has one, the skill and the language that it asks for.
fn fit(rm: &Rm, task: &Task) -> Option<u8> {
    let made = &task.made;
    let of_branch = made.branch.is_none() || rm.branch == made.branch;
    let skilled = made.skill.as_ref().is_none_or(|skill| rm.skills.contains(skill));
    if of_branch && skilled { speaks(rm, made.language.as_deref()) } else { None }
}

/// The better of two who fit: the language, then the lower load (open tasks over capacity), then fewer today, then the reference.
fn better(a: (u8, &Rm, Load), b: (u8, &Rm, Load)) -> Ordering {
    // a.open / a.capacity < b.open / b.capacity without a division; a capacity of 0 has been left out before.
    let weigh = |x: (u8, &Rm, Load), y: (u8, &Rm, Load)| u64::from(x.2.open) * u64::from(y.1.daily_capacity);
    a.0.cmp(&b.0).then_with(|| weigh(a, b).cmp(&weigh(b, a))).then_with(|| a.2.today.cmp(&b.2.today)).then_with(|| a.1.reference.cmp(&b.1.reference))
}

/// When somebody must have looked at the task: its agreed time, or its end where none was agreed.
fn needed_by(task: &Task) -> Option<Timestamp> {
    if task.made.due_at > task.made.at { Some(task.made.due_at) } else { task.made.expires_at }
}

/// Chooses for an open task. `now` is the present, `next_day` the start of the next day, when everybody's day is empty again.
pub fn choose(task: &Task, roster: &Roster, now: Timestamp, next_day: Timestamp) -> Choice {
    // Whoever is to do it must be there when it is due.
    let at = task.made.due_at.max(now);
    let free = |reference: &str| roster.get(reference).filter(|(rm, load)| is_free(rm, *load, at));
    let again = |soonest: Timestamp| soonest.min(now.plus(TRY_AGAIN_MS)).max(now.plus(1));
    if let Some((own, load)) = task.made.wanted_rm.as_deref().and_then(|wanted| roster.get(wanted)) {
        if is_free(own, *load, at) {
            return Choice::To(own.reference.clone(), "the customer's own RM");
        }
        let cover = own.leave_at(at).filter(|_| !own.left).and_then(|leave| leave.cover.as_deref());
        if let Some((cover, _)) = cover.and_then(free) {
            return Choice::To(cover.reference.clone(), "covers for the customer's own RM");
        }
        let waits = needed_by(task).is_none_or(|by| by >= next_day.plus(MORNING_MS));
        if own.is_there(at) && own.daily_capacity > 0 && waits {
            return Choice::Nobody("the day of the customer's own RM is full", again(next_day));
        }
    }
    let best = roster
        .values()
        .filter(|(rm, load)| is_free(rm, *load, at))
        .filter_map(|(rm, load)| fit(rm, task).map(|language| (language, rm, *load)))
        .min_by(|a, b| better(*a, *b));
    match best {
        Some((_, rm, _)) => Choice::To(rm.reference.clone(), "by branch, language, skill and load"),
        None => Choice::Nobody("nobody fits who is there and has room today", again(next_day)),
    }
}

/// Puts a task onto a list (`Some`) or takes it off any.
pub fn put(task: &mut Task, rm: Option<&str>, now: Timestamp) {
    if task.rm.as_deref() != rm {
        task.rm = rm.map(str::to_owned);
        task.assigned_at = rm.map(|_| now);
    }
}

/// One more on somebody's list, so that the next task of the same round sees it.
pub fn count(roster: &mut Roster, reference: &str) {
    if let Some((_, load)) = roster.get_mut(reference) {
        load.open = load.open.saturating_add(1);
        load.today = load.today.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Leave, NewTask, TaskKind};
    use super::*;
    use crate::domain::ids::{CustomerId, TaskId};
    use crate::domain::time::DAY;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_795_478_400_000);
    const NEXT_DAY: Timestamp = Timestamp(1_795_478_400_000 + 10 * HOUR);

    fn task(wanted: Option<&str>) -> Task {
        NewTask {
            key: "k".into(),
            kind: TaskKind::Journey,
            customer: CustomerId(1),
            touch: None,
            title: "t".into(),
            script: None,
            language: Some("zh-CN".into()),
            skill: Some("funds".into()),
            priority: 5,
            wanted_rm: wanted.map(Into::into),
            branch: Some("north".into()),
            due_at: NOW,
            expires_at: Some(NOW.plus(7 * DAY)),
            at: NOW,
        }
        .row(TaskId(1))
    }

    fn rm(reference: &str) -> (Rm, Load) {
        let rm = Rm {
            reference: reference.into(),
            branch: Some("north".into()),
            languages: vec!["zh-CN".into()],
            skills: vec!["funds".into()],
            daily_capacity: 10,
            left: false,
            leaves: vec![],
        };
        (rm, Load::default())
    }

    fn roster(all: Vec<(Rm, Load)>) -> Roster {
        all.into_iter().map(|(rm, load)| (rm.reference.clone(), (rm, load))).collect()
    }

    fn to(choice: &Choice) -> Option<&str> {
        match choice {
            Choice::To(rm, _) => Some(rm),
            Choice::Nobody(..) => None,
        }
    }

    #[test]
    fn the_own_rm_then_the_cover_then_the_branch() {
        let mut own = rm("own");
        own.0.skills.clear();
        let all = |own: &(Rm, Load)| roster(vec![own.clone(), rm("cover"), rm("a")]);
        let choose = |own: &(Rm, Load)| to(&choose(&task(Some("own")), &all(own), NOW, NEXT_DAY)).map(str::to_owned);
        assert_eq!(choose(&own).as_deref(), Some("own"), "the own RM knows the customer, whatever the skill");
        own.0.leaves = vec![Leave { from: NOW, to: NOW.plus(1), cover: Some("cover".into()) }];
        assert_eq!(choose(&own).as_deref(), Some("cover"));
        own.0.leaves[0].cover = None;
        assert_eq!(choose(&own).as_deref(), Some("a"));
        own.0.leaves[0].to = NOW;
        assert_eq!(choose(&own).as_deref(), Some("own"), "a leave ends before its last instant");
        own.0.left = true;
        own.0.leaves = vec![Leave { from: NOW, to: NOW.plus(1), cover: Some("cover".into()) }];
        assert_eq!(choose(&own).as_deref(), Some("a"), "who has left has no cover any more");
    }

    #[test]
    fn a_full_day_waits_for_the_next_unless_the_task_is_needed_before() {
        let mut own = rm("own");
        own.1.today = 10;
        let both = roster(vec![own, rm("a")]);
        let mut due = task(Some("own"));
        assert!(matches!(choose(&due, &both, NOW, NEXT_DAY), Choice::Nobody(_, at) if at == NOW.plus(TRY_AGAIN_MS)));
        due.made.due_at = NEXT_DAY.plus(MORNING_MS - 1);
        assert_eq!(to(&choose(&due, &both, NOW, NEXT_DAY)), Some("a"));
        due.made.due_at = NEXT_DAY.plus(MORNING_MS);
        assert_eq!(to(&choose(&due, &both, NOW, NEXT_DAY)), None);
        due.made.due_at = due.made.at;
        due.made.expires_at = Some(NEXT_DAY.plus(HOUR));
        assert_eq!(to(&choose(&due, &both, NOW, NEXT_DAY)), Some("a"), "its end is near");
    }

    #[test]
    fn branch_skill_and_language_must_fit_and_the_least_loaded_is_taken() {
        let mut others: Vec<(Rm, Load)> = ["a", "b", "c", "d", "e"].iter().map(|r| rm(r)).collect();
        others[0].0.branch = Some("south".into());
        others[1].0.skills = vec!["loans".into()];
        others[2].0.languages = vec!["en".into()];
        others[3].1.open = 3;
        (others[4].0.daily_capacity, others[4].1.open) = (20, 5);
        let everybody = roster(others.clone());
        assert_eq!(to(&choose(&task(None), &everybody, NOW, NEXT_DAY)), Some("e"), "5 of 20 is less than 3 of 10");
        others[4].0.languages = vec!["zh-HK".into()];
        assert_eq!(to(&choose(&task(None), &roster(others.clone()), NOW, NEXT_DAY)), Some("d"), "the very language before its sister");
        let nobody = choose(&task(None), &roster(others.drain(..3).collect()), NOW, NEXT_DAY);
        assert_eq!(to(&nobody), None);
    }

    fn any_roster() -> impl Strategy<Value = Vec<(Rm, Load)>> {
        let one = (0..3_u8, 0..3_u8, any::<bool>(), 0..4_u32, 0..4_u32, 0..4_u32, prop::bool::weighted(0.2), 0..3_u8, 0..8_u8);
        prop::collection::vec(one, 0..8).prop_map(|all| {
            let mut everybody = Vec::new();
            for (n, (branch, tongue, skilled, capacity, open, today, left, leave, cover)) in all.into_iter().enumerate() {
                let (mut rm, _) = rm(&format!("rm-{n}"));
                rm.branch = ["north", "south"].get(usize::from(branch)).map(|b| (*b).to_owned());
                rm.languages = [vec!["zh-CN".to_owned()], vec!["zh".to_owned()], vec![]][usize::from(tongue)].clone();
                if !skilled {
                    rm.skills.clear();
                }
                (rm.daily_capacity, rm.left) = (capacity, left);
                if leave == 0 {
                    rm.leaves = vec![Leave { from: NOW, to: NOW.plus(DAY), cover: Some(format!("rm-{cover}")) }];
                }
                everybody.push((rm, Load { open, today }));
            }
            everybody
        })
    }

    proptest! {
        /// Whoever is chosen is there, has room, and is the own RM, their cover, or fits; the order of the roster does not matter; a round
        /// over many tasks never overfills a day.
        #[test]
        fn a_choice_is_lawful_and_the_same_everywhere(all in any_roster(), wanted in 0..9_u8, far in any::<bool>()) {
            let mut task = task(Some(&format!("rm-{wanted}")));
            if far {
                task.made.due_at = NOW.plus(2 * DAY);
            }
            let at = task.made.due_at;
            let mut everybody = roster(all.clone());
            let choice = choose(&task, &everybody, NOW, NEXT_DAY);
            prop_assert_eq!(&choice, &choose(&task, &roster(all.into_iter().rev().collect()), NOW, NEXT_DAY));
            let own = everybody.get(&format!("rm-{wanted}")).cloned();
            match &choice {
                Choice::To(chosen, _) => {
                    let (rm, load) = everybody.get(chosen).cloned().ok_or_else(|| TestCaseError::fail("not on the roster"))?;
                    prop_assert!(is_free(&rm, load, at));
                    let covers = own.as_ref().and_then(|(o, _)| o.leave_at(at)).and_then(|l| l.cover.as_deref()) == Some(chosen);
                    prop_assert!(Some(chosen) == task.made.wanted_rm.as_ref() || covers || fit(&rm, &task).is_some());
                    if let Some((own, load)) = own {
                        prop_assert!(!is_free(&own, load, at) || own.reference == *chosen, "the own RM comes first");
                    }
                }
                Choice::Nobody(_, again) => {
                    prop_assert!(*again > NOW && *again <= NOW.plus(TRY_AGAIN_MS));
                    let waits = own.is_some_and(|(o, l)| o.is_there(at) && l.today >= o.daily_capacity);
                    prop_assert!(waits || everybody.values().all(|(rm, load)| !is_free(rm, *load, at) || fit(rm, &task).is_none()));
                }
            }
            for _ in 0..40 {
                if let Choice::To(chosen, _) = choose(&task, &everybody, NOW, NEXT_DAY) {
                    count(&mut everybody, &chosen);
                }
            }
            prop_assert!(everybody.values().all(|(rm, load)| load.today <= rm.daily_capacity.max(3)));
        }
    }
}
