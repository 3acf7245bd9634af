//! Campaign runs.
use super::kit::*;
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::law::Rule;
use crate::domain::outcome::Reason;
use crate::domain::touch::State;
use crate::store::{AttemptsBin, CreditRow, Status, StatusChange, Store, StoreError, Wanted, WaveRow};

pub async fn versions_per_name_and_mode(store: &dyn Store) {
    people(store, 2).await;
    let list = everybody(store, "all").await;
    let mut made = Vec::new();
    for (name, rehearsal) in [("a", false), ("a", true), ("a", false), ("b", false), ("a", true)] {
        let row = campaign(store, name, list, rehearsal).await;
        assert_eq!(row.id.is_rehearsal(), rehearsal, "rehearsals have negative numbers: {}", row.id);
        assert_ne!(row.id.0, 0);
        made.push((row.version, row));
    }
    assert_eq!(made.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [1, 1, 2, 1, 2]);
    let numbers: std::collections::BTreeSet<CampaignId> = made.iter().map(|(_, row)| row.id).collect();
    assert_eq!(numbers.len(), 5);
    let row = &made[0].1;
    let frozen = store.list("all").await.unwrap();
    assert_eq!((row.audience, &row.checksum, row.audience_list, row.list), (2, &frozen.checksum, list, list));
    assert_eq!((row.status, row.wanted, row.cursor), (Status::Submitted, Wanted::Run, CustomerId(0)));
    assert_eq!((row.submitted_at, row.started_at, row.finished_at, row.stop_reason), (T0, None, None, None));
    assert_eq!(store.campaign_by_id(row.id).await.unwrap(), *row, "what is stored is what was returned");
}

pub async fn newest_run_wins(store: &dyn Store) {
    people(store, 1).await;
    let list = everybody(store, "all").await;
    let rehearsal = store.create_campaign(&handed_in("deposit", list, true, hours(1)), &[]).await.unwrap();
    assert_eq!(store.campaign("deposit", None).await.unwrap().id, rehearsal.id, "without a real run the rehearsal is meant");
    store.create_campaign(&handed_in("deposit", list, false, hours(2)), &[]).await.unwrap();
    let real = store.create_campaign(&handed_in("deposit", list, false, hours(3)), &[]).await.unwrap();
    let later = store.create_campaign(&handed_in("deposit", list, true, hours(4)), &[]).await.unwrap();
    assert_eq!(store.campaign("deposit", None).await.unwrap().id, real.id);
    assert_eq!(store.campaign("deposit", Some(false)).await.unwrap().id, real.id);
    assert_eq!(store.campaign("deposit", Some(true)).await.unwrap().id, later.id);
    let order: Vec<CampaignId> = store.campaigns().await.unwrap().into_iter().map(|c| c.id).collect();
    assert_eq!((order.len(), order[0], order[1], order[3]), (4, later.id, real.id, rehearsal.id), "newest first");
    match store.campaign("deposits", None).await {
        Err(StoreError::NotFound { what, hint, .. }) => assert!(what == "campaign" && hint.contains("deposit"), "{what} {hint}"),
        other => panic!("expected no such campaign, found {other:?}"),
    }
    let unknown = store.campaign_by_id(CampaignId(4711)).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "{unknown:?}");
}

pub async fn open_runs_are_real_and_not_closed(store: &dyn Store) {
    people(store, 1).await;
    let list = everybody(store, "all").await;
    let mut real = Vec::new();
    for name in ["a", "b", "c"] {
        campaign(store, name, list, true).await;
        real.push(campaign(store, name, list, false).await.id);
    }
    let change = StatusChange { to: Status::Stopped, by: "x".to_owned(), why: "y".to_owned(), at: T0, reason: Some(Reason::Stopped) };
    store.set_status(real[1], &change).await.unwrap();
    let mut open: Vec<_> = store.open_runs().await.unwrap();
    open.sort_by_key(|row| row.id);
    assert_eq!(open.iter().map(|row| row.id).collect::<Vec<_>>(), [real[0], real[2]]);
    assert_eq!(open[1], store.campaign_by_id(real[2]).await.unwrap());
}

pub async fn audience_must_be_frozen(store: &dyn Store) {
    people(store, 1).await;
    let list = store.open_list("open", T0).await.unwrap();
    expect_conflict(store.create_campaign(&handed_in("a", list, false, T0), &[]).await, "a campaign over an open list");
    assert!(store.campaigns().await.unwrap().is_empty());
}

pub async fn status_changes_allowed(store: &dyn Store) {
    people(store, 1).await;
    let list = everybody(store, "all").await;
    let run = campaign(store, "a", list, false).await.id;
    let before = store.history(run).await.unwrap().len();
    let steps = [Status::Approved, Status::Running, Status::Paused, Status::Running, Status::Finished, Status::Archived];
    for (h, to) in steps.into_iter().enumerate() {
        let at = hours(i64::try_from(h).unwrap() + 1);
        let row = store.set_status(run, &change(to, at)).await.unwrap();
        assert_eq!(row.status, to);
        assert_eq!(store.campaign_by_id(run).await.unwrap(), row);
    }
    let row = store.campaign_by_id(run).await.unwrap();
    assert_eq!((row.started_at, row.finished_at, row.stop_reason), (Some(hours(2)), Some(hours(5)), None), "the first start stands");
    let history = store.history(run).await.unwrap();
    let told: Vec<Status> = history[before..].iter().map(|h| h.to).collect();
    assert_eq!(told, steps);
    assert!(history.iter().all(|h| h.by == "tester"));

    let run = campaign(store, "b", list, false).await.id;
    let stop = StatusChange { reason: Some(Reason::Budget), ..change(Status::Stopped, hours(7)) };
    let row = store.set_status(run, &stop).await.unwrap();
    assert_eq!((row.status, row.stop_reason, row.finished_at), (Status::Stopped, Some(Reason::Budget), Some(hours(7))));
    assert_eq!(store.history(run).await.unwrap().last(), Some(&stop));
}

pub async fn status_changes_refused(store: &dyn Store) {
    people(store, 1).await;
    let list = everybody(store, "all").await;
    // A draft is made otherwise: see `approvals`.
    for from in Status::ALL.iter().filter(|s| **s != Status::Draft) {
        // The shortest way to each status.
        let way: &[Status] = match from {
            Status::Draft | Status::Submitted => &[],
            Status::Approved => &[Status::Approved],
            Status::Running => &[Status::Approved, Status::Running],
            Status::Paused => &[Status::Approved, Status::Running, Status::Paused],
            Status::Finished => &[Status::Approved, Status::Running, Status::Finished],
            Status::Stopped => &[Status::Stopped],
            Status::Scheduled => &[Status::Approved, Status::Scheduled],
            Status::Archived => &[Status::Stopped, Status::Archived],
        };
        let run = campaign(store, "a", list, false).await.id;
        for to in way {
            store.set_status(run, &change(*to, T0)).await.unwrap();
        }
        let told = store.history(run).await.unwrap().len();
        for to in Status::ALL.iter().filter(|to| !from.may_become(**to)) {
            expect_conflict(store.set_status(run, &change(*to, hours(1))).await, &format!("{from} to {to}"));
        }
        assert_eq!(store.campaign_by_id(run).await.unwrap().status, *from);
        assert_eq!(store.history(run).await.unwrap().len(), told, "a refused change is no history");
    }
}

pub async fn wanted_is_polled(store: &dyn Store) {
    people(store, 1).await;
    let list = everybody(store, "all").await;
    let run = campaign(store, "a", list, false).await.id;
    store.set_wanted(run, Wanted::Pause, "ana", "call centre is full", hours(1)).await.unwrap();
    assert_eq!(store.campaign_by_id(run).await.unwrap().wanted, Wanted::Pause);
    let entry = store.history(run).await.unwrap().pop().expect("who and why are kept");
    assert_eq!((entry.to, entry.by.as_str(), entry.why.as_str()), (Status::Submitted, "ana", "wanted pause: call centre is full"));
    store.set_wanted(run, Wanted::Run, "ana", "room again", hours(2)).await.unwrap();
    assert_eq!(store.campaign_by_id(run).await.unwrap().wanted, Wanted::Run);
    store.set_status(run, &change(Status::Stopped, hours(3))).await.unwrap();
    expect_conflict(store.set_wanted(run, Wanted::Pause, "ana", "too late", hours(4)).await, "wanting of a stopped campaign");
}

pub async fn waves_oldest_first(store: &dyn Store) {
    people(store, 1).await;
    let list = everybody(store, "all").await;
    let run = campaign(store, "a", list, false).await.id;
    let first = WaveRow { due_at: hours(1), fired_at: Some(hours(1)), left: Some(500) };
    let skipped = WaveRow { due_at: hours(25), fired_at: None, left: None };
    store.record_wave(run, &skipped).await.unwrap();
    store.record_wave(run, &first).await.unwrap();
    assert_eq!(store.waves(run).await.unwrap(), [first.clone(), skipped.clone()]);
    let taken = WaveRow { left: Some(120), ..first };
    store.record_wave(run, &taken).await.unwrap();
    assert_eq!(store.waves(run).await.unwrap(), [taken, skipped], "the same wave again is replaced");
}

pub async fn rules_are_kept(store: &dyn Store) {
    people(store, 1).await;
    let list = everybody(store, "all").await;
    let rule = |name: &str| Rule { preset: "cn-bank@2026.1".into(), name: name.into(), text: "9 to 20".into(), source: "a notice".into() };
    let rules = [rule("window.call"), rule("cap.daily"), rule("a")];
    let run = store.create_campaign(&handed_in("a", list, false, T0), &rules).await.unwrap().id;
    assert_eq!(store.rules(run).await.unwrap(), rules, "in the order given: touches name them by place");
}

pub async fn routes_are_interned(store: &dyn Store) {
    let north = store.route_id("sip-north").await.unwrap();
    let south = store.route_id("sip-south").await.unwrap();
    assert_ne!(north, south);
    assert_eq!(store.route_id("sip-north").await.unwrap(), north);
    assert_eq!(store.routes().await.unwrap(), [(north, "sip-north".to_owned()), (south, "sip-south".to_owned())]);
}

pub async fn purge_rehearsals(store: &dyn Store) {
    let bed = bed(store, 3).await;
    bed.start(3, T0).await;
    let rehearsal = campaign(store, "bed", bed.list, true).await.id;
    let (candidates, seen) = bed.first_timers(rehearsal, 2).await;
    let begun = bed.start_these(rehearsal, candidates, seen, T0).await;
    bed.record(&[accepted(&begun.written[0].1, "m-1", hours(9))]).await;
    let credit = CreditRow { campaign: rehearsal, rule: "d".into(), fact: 1, customer: bed.ids[0], seq: Some(0), amount: cny(1), at: T0 };
    store.put_credits(rehearsal, "d", &[credit], true, true).await.unwrap();
    expect_conflict(store.purge_rehearsal(bed.run).await, "purging a real run");
    store.purge_rehearsal(rehearsal).await.unwrap();
    assert!(matches!(store.campaign_by_id(rehearsal).await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.touch(begun.written[0].1.key).await.unwrap(), None);
    assert_eq!(store.timeline(bed.ids[0]).await.unwrap().len(), 1, "the real touch stays");
    assert!(store.awaiting(bed.route, &["m-1"]).await.unwrap().is_empty());
    assert_eq!(store.next_deadline().await.unwrap(), None);
    assert!(store.credits(rehearsal, None, 10).await.unwrap().is_empty());
    store.release(bed.fence).await.unwrap();
    let fence = store.acquire(false, hours(1)).await.unwrap();
    let left: usize = store.orphans(fence, false, 100).await.unwrap().iter().map(|(_, touches)| touches.len()).sum();
    assert_eq!(left, 3, "only the real run's touches are in doubt");
    assert_ne!(campaign(store, "bed", bed.list, true).await.id, rehearsal, "a number is not given twice");
}

pub async fn histogram_adds_up(store: &dyn Store) {
    let bed = bed(store, 5).await;
    let begun = bed.start(3, T0).await;
    let touch = |i: usize| begun.written[i].1.clone();
    bed.record(&[
        ended(&touch(0), State::Reached, Reason::Answered, hours(1)),
        missed(&touch(1), Reason::Busy, hours(1), hours(2)),
        ended(&touch(2), State::Refused, Reason::ProviderRefused, hours(1)),
    ])
    .await;
    let second = bed.start_due(hours(2)).await;
    bed.record(&[ended(&second.written[0].1, State::Reached, Reason::Answered, hours(3))]).await;
    let bin = |state, attempts, customers| AttemptsBin { state, attempts, customers };
    let expected = [bin(State::Pending, 0, 2), bin(State::Reached, 1, 1), bin(State::Reached, 2, 1), bin(State::Refused, 0, 1)];
    assert_eq!(store.attempts_histogram(bed.run).await.unwrap(), expected);
    store.call_off(bed.fence, bed.run, Reason::CampaignEnded, hours(9)).await.unwrap();
    let bins = store.attempts_histogram(bed.run).await.unwrap();
    assert!(bins.contains(&bin(State::Cancelled, 0, 2)), "those never looked at are cancelled now: {bins:?}");
}
