//! The worklist's book.
use super::kit::{T0, expect_conflict, hours, people};
use crate::domain::ids::{CampaignId, CustomerId, TaskId, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::time::MINUTE;
use crate::domain::worklist::Leave;
use crate::store::tasks::{Checkpoint, Load, NewTask, Rm, Task, TaskEvent, TaskFilter, TaskKind, TaskResult, TaskState};
use crate::store::{Store, StoreError};

fn new(key: &str, customer: CustomerId) -> NewTask {
    NewTask {
        key: key.into(),
        kind: TaskKind::Callback,
        customer,
        touch: None,
        title: "call back".into(),
        script: Some("Good morning".into()),
        language: Some("en".into()),
        skill: Some("funds".into()),
        priority: 5,
        wanted_rm: Some("rm-1".into()),
        branch: Some("north".into()),
        due_at: hours(1),
        expires_at: Some(hours(48)),
        at: T0,
    }
}

fn of_touch(key: &str, customer: CustomerId, seq: u32) -> NewTask {
    let touch = Some(TouchKey { customer, campaign: CampaignId(1), seq });
    NewTask { kind: TaskKind::Journey, touch, ..new(key, customer) }
}

fn event(what: &str) -> TaskEvent {
    TaskEvent { what: what.into(), by: "tester".into(), why: "because".into(), at: hours(2) }
}

fn rm(reference: &str) -> Rm {
    Rm {
        reference: reference.into(),
        branch: Some("north".into()),
        languages: vec!["en".into(), "zh-CN".into()],
        skills: vec!["funds".into()],
        daily_capacity: 40,
        left: false,
        leaves: vec![Leave { from: hours(24), to: hours(48), cover: Some("rm-2".into()) }],
    }
}

async fn make(store: &dyn Store, new: &[NewTask]) -> Vec<Task> {
    store.make_tasks(new).await.unwrap().into_iter().map(|(task, _)| task).collect()
}

async fn change(store: &dyn Store, task: &Task) -> Task {
    store.change_tasks(&[(task.clone(), vec![event("changed")])]).await.unwrap();
    store.task(task.id).await.unwrap().unwrap()
}

fn done(task: &Task) -> Task {
    let result = TaskResult {
        disposition: Reason::Interested,
        connected_s: 90,
        notes: Some("wants the brochure".into()),
        next_contact: Some(hours(72)),
        at: hours(2),
    };
    Task { state: TaskState::Done, wakes_at: None, result: Some(result), closed_at: Some(hours(2)), ..task.clone() }
}

fn ids(tasks: &[Task]) -> Vec<TaskId> {
    tasks.iter().map(|t| t.id).collect()
}

fn open(limit: usize) -> TaskFilter {
    TaskFilter { states: vec![TaskState::Open], limit, ..TaskFilter::default() }
}

pub async fn a_key_makes_one_task(store: &dyn Store) {
    let who = people(store, 1).await[0];
    let made = store.make_tasks(&[new("a", who), new("b", who), new("a", who)]).await.unwrap();
    assert_eq!(made.iter().map(|(_, fresh)| *fresh).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(made[0].0, made[2].0);
    let other = NewTask { title: "another title".into(), script: None, ..new("a", who) };
    let again = store.make_tasks(&[other]).await.unwrap();
    assert_eq!(again, [(made[0].0.clone(), false)], "what is on record is left as it is");
    let task = &made[0].0;
    assert_eq!((task.version, task.state, task.rm.as_deref(), task.wakes_at), (1, TaskState::Open, None, Some(T0)));
    assert_eq!(task.made, new("a", who));
    assert_eq!(store.task(task.id).await.unwrap().as_ref(), Some(task));
    assert_eq!(store.task_by_key("a").await.unwrap().as_ref(), Some(task));
    assert_eq!(store.task_by_key("c").await.unwrap(), None);
    let history = store.task_history(task.id).await.unwrap();
    assert_eq!(history, [TaskEvent { what: "made".into(), by: "engine".into(), why: "callback".into(), at: T0 }]);
}

pub async fn lists_are_paged_in_order(store: &dyn Store) {
    let who = people(store, 2).await;
    let mut rows = Vec::new();
    for n in 0..20_u8 {
        let mut row = new(&format!("t{n}"), who[usize::from(n % 2)]);
        row.priority = n % 3;
        row.due_at = hours(i64::from(n % 5));
        row.branch = Some(if n % 4 == 0 { "south" } else { "north" }.into());
        rows.push(row);
    }
    let mut tasks = make(store, &rows).await;
    for n in [1, 6, 11] {
        tasks[n] = change(store, &Task { rm: Some("rm-1".into()), assigned_at: Some(T0), ..tasks[n].clone() }).await;
    }
    for n in [2, 6] {
        tasks[n] = change(store, &done(&tasks[n])).await;
    }
    tasks.sort_by_key(|t| (std::cmp::Reverse(t.made.priority), t.made.due_at, t.id));
    let none = TaskFilter::default();
    type Fits = fn(&Task) -> bool;
    let filters: Vec<(TaskFilter, Fits)> = vec![
        (none.clone(), |_| true),
        (TaskFilter { rm: Some("rm-1".into()), ..none.clone() }, |t| t.rm.is_some()),
        (TaskFilter { rm: Some(String::new()), ..none.clone() }, |t| t.rm.is_none()),
        (TaskFilter { branch: Some("south".into()), ..none.clone() }, |t| t.made.branch.as_deref() == Some("south")),
        (TaskFilter { rm: Some(String::new()), branch: Some("north".into()), ..none.clone() }, |t| {
            t.rm.is_none() && t.made.branch.as_deref() == Some("north")
        }),
        (TaskFilter { rm: Some("rm-1".into()), branch: Some("north".into()), ..none.clone() }, |t| {
            t.rm.is_some() && t.made.branch.as_deref() == Some("north")
        }),
        (TaskFilter { customer: Some(who[0]), branch: Some("north".into()), ..none.clone() }, |t| {
            t.made.customer == CustomerId(1) && t.made.branch.as_deref() == Some("north")
        }),
        (TaskFilter { states: vec![TaskState::Done], ..none.clone() }, |t| t.state == TaskState::Done),
        (TaskFilter { states: vec![TaskState::Done, TaskState::Open, TaskState::Done], ..none.clone() }, |_| true),
        (TaskFilter { states: vec![TaskState::Cancelled], ..none.clone() }, |_| false),
    ];
    for (filter, fits) in filters {
        let expected: Vec<TaskId> = tasks.iter().filter(|t| fits(t)).map(|t| t.id).collect();
        for size in [1, 3, 100] {
            let mut filter = TaskFilter { limit: size, ..filter.clone() };
            let mut found = Vec::new();
            loop {
                let page = store.tasks(&filter).await.unwrap();
                let Some(last) = page.last() else { break };
                assert!(page.len() <= size);
                filter.after = Some(last.id);
                found.extend(ids(&page));
            }
            assert_eq!(found, expected, "pages of {size} of {filter:?}");
        }
    }
    let nobody = store.tasks(&TaskFilter { after: Some(TaskId(99)), ..open(1) }).await;
    assert!(matches!(nobody, Err(StoreError::NotFound { .. })), "{nobody:?}");
}

pub async fn a_change_names_its_version(store: &dyn Store) {
    let who = people(store, 1).await[0];
    let made = make(store, &[new("a", who), new("b", who)]).await;
    let claimed = Task {
        state: TaskState::Claimed,
        rm: Some("rm-1".into()),
        assigned_at: Some(hours(1)),
        claimed_by: Some("rm-1".into()),
        lease_until: Some(hours(1).plus(15 * MINUTE)),
        wakes_at: Some(hours(1).plus(15 * MINUTE)),
        reminded_at: Some(hours(1)),
        escalated_at: Some(hours(2)),
        ..made[0].clone()
    };
    let stored = change(store, &claimed).await;
    assert_eq!(stored, Task { version: 2, ..claimed.clone() });
    let both = [(made[1].clone(), vec![event("x")]), (claimed.clone(), vec![event("y")])];
    expect_conflict(store.change_tasks(&both).await, "a version that is no longer that one");
    assert_eq!(store.task(made[1].id).await.unwrap().as_ref(), Some(&made[1]), "all or nothing");
    assert_eq!(store.task_history(made[1].id).await.unwrap().len(), 1);
    let twice = [(made[1].clone(), vec![]), (made[1].clone(), vec![])];
    expect_conflict(store.change_tasks(&twice).await, "the same task twice on one version");
    let ghost = Task { id: TaskId(77), ..claimed };
    assert!(matches!(store.change_tasks(&[(ghost, vec![])]).await, Err(StoreError::NotFound { .. })));
    // Everything may change but what the task is for.
    let mut last = done(&stored);
    (last.claimed_by, last.lease_until) = (None, None);
    last.made = NewTask {
        title: "other".into(),
        script: None,
        language: None,
        skill: None,
        priority: 9,
        wanted_rm: None,
        branch: None,
        due_at: hours(9),
        expires_at: None,
        ..stored.made.clone()
    };
    let with_other_purpose = Task { made: NewTask { key: "z".into(), kind: TaskKind::Referral, at: hours(5), ..last.made.clone() }, ..last.clone() };
    let end = change(store, &with_other_purpose).await;
    assert_eq!(end, Task { version: 3, ..last });
    assert_eq!(store.task_by_key("z").await.unwrap(), None);
    let history: Vec<String> = store.task_history(end.id).await.unwrap().into_iter().map(|e| e.what).collect();
    assert_eq!(history, ["made", "changed", "changed"]);
}

pub async fn tasks_wake_soonest_first(store: &dyn Store) {
    let who = people(store, 1).await[0];
    let made = make(store, &[new("a", who), new("b", who), new("c", who), new("d", who)]).await;
    for (task, at) in made.iter().zip([Some(hours(3)), Some(hours(1)), None, Some(hours(2))]) {
        change(store, &Task { wakes_at: at, ..task.clone() }).await;
    }
    assert_eq!(ids(&store.waking_tasks(hours(2), 10).await.unwrap()), [made[1].id, made[3].id]);
    assert_eq!(ids(&store.waking_tasks(hours(9), 2).await.unwrap()), [made[1].id, made[3].id]);
    assert!(store.waking_tasks(T0, 10).await.unwrap().is_empty());
    let mine = store.task(made[0].id).await.unwrap().unwrap();
    change(store, &Task { rm: Some("rm-1".into()), ..mine }).await;
    assert_eq!(store.wake_unassigned(hours(1)).await.unwrap(), 2, "c slept for ever and d until hour 2; a is somebody's, b wakes then anyhow");
    assert_eq!(ids(&store.waking_tasks(hours(1), 10).await.unwrap()), [made[1].id, made[2].id, made[3].id]);
    assert_eq!(store.task(made[2].id).await.unwrap().unwrap().version, 2, "nothing was decided");
}

pub async fn touches_of_closed_tasks_are_told_once(store: &dyn Store) {
    let who = people(store, 1).await[0];
    let made = make(store, &[of_touch("a", who, 0), new("b", who), of_touch("c", who, 1), of_touch("d", who, 2)]).await;
    assert_eq!(ids(&store.open_touch_tasks(TaskId(0), 10).await.unwrap()), [made[0].id, made[2].id, made[3].id]);
    assert_eq!(ids(&store.open_touch_tasks(made[0].id, 1).await.unwrap()), [made[2].id]);
    assert!(store.untold_tasks(TaskId(0), 10).await.unwrap().is_empty());
    store.mark_told(&[made[0].id]).await.unwrap();
    for task in made.iter().take(3) {
        change(store, &done(task)).await;
    }
    change(store, &Task { state: TaskState::Cancelled, closed_at: Some(hours(2)), wakes_at: None, ..made[3].clone() }).await;
    assert!(store.open_touch_tasks(TaskId(0), 10).await.unwrap().is_empty());
    let untold = store.untold_tasks(TaskId(0), 10).await.unwrap();
    assert_eq!(ids(&untold), [made[0].id, made[2].id, made[3].id], "one that was open could not be marked");
    assert_eq!(untold[0].made.touch, made[0].made.touch);
    store.mark_told(&[made[0].id, made[1].id, TaskId(99)]).await.unwrap();
    assert_eq!(ids(&store.untold_tasks(TaskId(0), 10).await.unwrap()), [made[2].id, made[3].id]);
    assert_eq!(ids(&store.untold_tasks(made[2].id, 10).await.unwrap()), [made[3].id]);
}

pub async fn the_roster_and_its_loads(store: &dyn Store) {
    let who = people(store, 1).await[0];
    store.put_rms(&[rm("rm-2"), rm("rm-1")]).await.unwrap();
    let changed = Rm { left: true, branch: None, leaves: vec![], languages: vec![], daily_capacity: 0, ..rm("rm-2") };
    store.put_rms(std::slice::from_ref(&changed)).await.unwrap();
    assert_eq!(store.rms().await.unwrap(), [rm("rm-1"), changed]);
    let made = make(store, &[new("a", who), new("b", who), new("c", who), new("d", who)]).await;
    let on = |task: &Task, rm: &str, at| Task { rm: Some(rm.into()), assigned_at: Some(at), ..task.clone() };
    change(store, &on(&made[0], "rm-1", T0)).await;
    let second = change(store, &on(&made[1], "rm-1", hours(5))).await;
    change(store, &done(&second)).await;
    change(store, &on(&made[2], "nobody on the roster", hours(5))).await;
    let load = |open, today| Load { open, today };
    let found = store.loads(hours(4)).await.unwrap();
    assert_eq!(found, [("rm-1".to_owned(), load(1, 1)), ("rm-2".to_owned(), load(0, 0))]);
    assert_eq!(store.loads(T0).await.unwrap()[0].1, load(1, 2));
}

pub async fn the_newest_checkpoint_stands(store: &dyn Store) {
    let who = people(store, 2).await;
    let point = |name: &str, step: &str, h| Checkpoint {
        customer: who[0],
        name: name.into(),
        step: step.into(),
        left_on: "app".into(),
        detail: r#"{"amount":"1000"}"#.into(),
        at: hours(h),
        closed: false,
    };
    assert!(store.put_checkpoint(&point("loan", "income", 2)).await.unwrap());
    assert!(!store.put_checkpoint(&point("loan", "start", 1)).await.unwrap(), "an earlier one comes too late");
    assert!(store.put_checkpoint(&point("loan", "income", 2)).await.unwrap(), "the same again is the same");
    assert!(store.put_checkpoint(&point("deposit", "term", 3)).await.unwrap());
    let end = Checkpoint { closed: true, detail: "{}".into(), left_on: "branch".into(), ..point("loan", "signed", 4) };
    assert!(store.put_checkpoint(&end).await.unwrap());
    assert_eq!(store.checkpoints(who[0]).await.unwrap(), [end, point("deposit", "term", 3)]);
    assert!(store.checkpoints(who[1]).await.unwrap().is_empty());
}
