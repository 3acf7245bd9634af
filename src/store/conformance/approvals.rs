//! Drafts, approvals, revisions and emergency stops.
use super::kit::*;
use crate::domain::ids::{CampaignId, ListId};
use crate::domain::law::Rule;
use crate::domain::money::Currency;
use crate::domain::time::Timestamp;
use crate::store::{NewApproval, NewCampaign, NewDraft, NewRevision, Restart, RevisionStatus, Status, Store, Wanted};

fn draft_of(text: &str, by: &str, at: Timestamp) -> NewDraft {
    NewDraft { name: "a".into(), source: text.into(), hash: format!("hash of {text}"), currency: Currency::CNY, by: by.into(), at }
}

fn approval(by: &str, at: Timestamp) -> NewApproval {
    NewApproval { seal: "5ea1".into(), parts: "{}".into(), alone: false, by: by.into(), why: "read".into(), at }
}

fn rule(name: &str) -> Rule {
    Rule { preset: "cn-bank@2026.1".into(), name: name.into(), text: "9 to 20".into(), source: "a notice".into() }
}

fn revision_of(text: &str, rules: &[Rule], at: Timestamp) -> NewRevision {
    NewRevision {
        source: text.into(),
        hash: format!("hash of {text}"),
        seal: "5ea2".into(),
        rules: rules.to_vec(),
        authors: vec!["ann".into(), "cy".into()],
        at,
    }
}

/// A run that is being run, of two rules, approved by bob.
async fn running(store: &dyn Store) -> CampaignId {
    people(store, 2).await;
    let list = everybody(store, "all").await;
    let run = store.create_campaign(&handed_in("a", list, false, T0), &[rule("none"), rule("cap")]).await.unwrap().id;
    store.approve_campaign(run, &approval("bob", hours(1)), &[rule("none"), rule("cap")]).await.unwrap();
    store.set_status(run, &change(Status::Running, hours(2))).await.unwrap();
    run
}

pub async fn drafts_are_kept_and_handed_in(store: &dyn Store) {
    people(store, 3).await;
    let list = everybody(store, "all").await;
    let first = campaign(store, "a", list, false).await;
    let draft = store.draft_campaign(&draft_of("one", "ann", hours(1))).await.unwrap();
    assert_eq!((draft.status, draft.version, draft.audience, draft.audience_list), (Status::Draft, 2, 0, ListId(0)));
    assert_eq!(store.campaign_by_id(draft.id).await.unwrap(), draft);
    assert_eq!(store.campaign("a", None).await.unwrap().id, first.id, "a draft stands for no run");
    assert_eq!(store.campaign("a", Some(false)).await.unwrap().id, first.id);
    assert_eq!(store.draft("a").await.unwrap(), Some(draft.clone()));
    assert_eq!(store.draft("b").await.unwrap(), None);
    expect_conflict(store.draft_campaign(&draft_of("two", "ann", hours(2))).await, "a second draft of one name");
    expect_conflict(store.write_draft(first.id, &draft_of("two", "ann", hours(2))).await, "writing what was handed in");
    let written = store.write_draft(draft.id, &draft_of("two", "cy", hours(2))).await.unwrap();
    assert_eq!((written.source.as_str(), written.status), ("two", Status::Draft));
    let open = store.open_list("open", T0).await.unwrap();
    let new = NewCampaign { source: "three".into(), by: "dee".into(), ..handed_in("a", open, false, hours(3)) };
    expect_conflict(store.submit_draft(draft.id, &new, &[]).await, "an open audience");
    let new = NewCampaign { audience: list, list, ..new };
    let row = store.submit_draft(draft.id, &new, &[rule("none")]).await.unwrap();
    assert_eq!((row.status, row.audience, row.version, row.source.as_str()), (Status::Submitted, 3, 2, "three"));
    assert_eq!(row.checksum, store.list("all").await.unwrap().checksum);
    assert_eq!(store.campaign("a", None).await.unwrap(), row, "now it is the newest run");
    assert_eq!(store.rules(row.id).await.unwrap(), [rule("none")]);
    assert_eq!(store.draft("a").await.unwrap(), None);
    let texts: Vec<(i64, String, String)> = store.texts(row.id).await.unwrap().into_iter().map(|t| (t.n, t.source, t.by)).collect();
    assert_eq!(texts, [(1, "one".into(), "ann".into()), (2, "two".into(), "cy".into()), (3, "three".into(), "dee".into())]);
    let told: Vec<(Status, String)> = store.history(row.id).await.unwrap().into_iter().map(|h| (h.to, h.by)).collect();
    assert_eq!(told, [(Status::Draft, "ann".into()), (Status::Draft, "cy".into()), (Status::Submitted, "dee".into())]);
    expect_conflict(store.submit_draft(draft.id, &new, &[]).await, "handing in twice");
    // A draft that was put away stands for no run either, unless there is none.
    let away = store.draft_campaign(&draft_of("four", "ann", hours(5))).await.unwrap();
    store.set_status(away.id, &change(Status::Archived, hours(6))).await.unwrap();
    assert_eq!(store.campaign("a", None).await.unwrap().id, row.id);
    let alone = store.draft_campaign(&NewDraft { name: "z".into(), ..draft_of("five", "ann", hours(7)) }).await.unwrap();
    assert_eq!(store.campaign("z", Some(false)).await.unwrap(), alone);
}

pub async fn an_approval_is_kept_and_may_become_void(store: &dyn Store) {
    people(store, 1).await;
    let list = everybody(store, "all").await;
    let run = store.create_campaign(&handed_in("a", list, false, T0), &[rule("none"), rule("cap")]).await.unwrap().id;
    expect_conflict(store.void_approval(run, "nothing to void", T0).await, "voiding what is not approved");
    expect_conflict(store.approve_campaign(run, &approval("bob", T0), &[rule("cap"), rule("none")]).await, "other rules than the run's");
    assert!(store.approvals(run).await.unwrap().is_empty(), "a refused approval is none");
    let row = store.approve_campaign(run, &approval("bob", hours(1)), &[rule("none"), rule("cap"), rule("window")]).await.unwrap();
    assert_eq!(row.status, Status::Approved);
    assert_eq!(store.rules(run).await.unwrap(), [rule("none"), rule("cap"), rule("window")], "new rules come after the old ones");
    expect_conflict(store.approve_campaign(run, &approval("cy", hours(2)), &[]).await, "approving twice");
    let kept = store.approvals(run).await.unwrap();
    assert_eq!((kept.len(), kept[0].by.as_str(), kept[0].seal.as_str(), kept[0].revision, kept[0].void_at), (1, "bob", "5ea1", 0, None));
    store.set_status(run, &change(Status::Scheduled, hours(2))).await.unwrap();
    store.set_status(run, &change(Status::Running, hours(3))).await.unwrap();
    let row = store.void_approval(run, "a preset has changed", hours(4)).await.unwrap();
    assert_eq!((row.status, row.started_at), (Status::Submitted, Some(hours(3))));
    let last = store.history(run).await.unwrap().pop().unwrap();
    assert_eq!((last.to, last.by.as_str(), last.why.as_str()), (Status::Submitted, "engine", "the approval is void: a preset has changed"));
    let kept = store.approvals(run).await.unwrap();
    assert_eq!((kept[0].void_at, kept[0].void_why.as_str()), (Some(hours(4)), "a preset has changed"));
    store.approve_campaign(run, &approval("bob", hours(5)), &store.rules(run).await.unwrap()).await.unwrap();
    let row = store.set_status(run, &change(Status::Running, hours(6))).await.unwrap();
    assert_eq!(row.started_at, Some(hours(3)), "the first start stands");
    let kept: Vec<bool> = store.approvals(run).await.unwrap().iter().map(|a| a.void_at.is_some()).collect();
    assert_eq!(kept, [true, false]);
}

pub async fn two_persons_lift_an_emergency_stop(store: &dyn Store) {
    let run = running(store).await;
    expect_conflict(store.emergency_restart(run, "ann", "why not", hours(3)).await, "restarting what was not stopped");
    let row = store.emergency_stop(run, "ann", "wrong text", hours(3)).await.unwrap();
    assert_eq!((row.emergency, row.wanted, row.status), (true, Wanted::Pause, Status::Running));
    assert_eq!(store.campaign_by_id(run).await.unwrap(), row);
    let told = store.history(run).await.unwrap().len();
    store.emergency_stop(run, "Ann", "wrong text", hours(3)).await.unwrap();
    assert_eq!(store.history(run).await.unwrap().len(), told, "the same stop by the same person is one stop");
    expect_conflict(store.set_wanted(run, Wanted::Run, "bob", "go", hours(4)).await, "resuming alone");
    assert_eq!(store.emergency_restart(run, "ann", "mended", hours(4)).await.unwrap(), Restart::First);
    assert_eq!(store.emergency_restart(run, " ANN", "mended", hours(4)).await.unwrap(), Restart::Again);
    let open = store.emergency(run).await.unwrap().unwrap();
    assert_eq!((open.by.as_str(), open.why.as_str(), open.at, open.restarts.len()), ("ann", "wrong text", hours(3), 1));
    assert_eq!((open.restarts[0].by.as_str(), open.restarts[0].at), ("ann", hours(4)));
    // Somebody stops again: the word given before does not count any more.
    store.emergency_stop(run, "cy", "still wrong", hours(5)).await.unwrap();
    assert!(store.emergency(run).await.unwrap().unwrap().restarts.is_empty());
    assert_eq!(store.emergency_restart(run, "bob", "seen", hours(6)).await.unwrap(), Restart::First);
    assert!(store.campaign_by_id(run).await.unwrap().emergency);
    assert_eq!(store.emergency_restart(run, "ann", "seen", hours(6)).await.unwrap(), Restart::Lifted);
    let row = store.campaign_by_id(run).await.unwrap();
    assert_eq!((row.emergency, row.wanted), (false, Wanted::Run));
    assert_eq!(store.emergency(run).await.unwrap(), None);
    expect_conflict(store.emergency_restart(run, "dee", "late", hours(7)).await, "lifting what is lifted");
    // It can be stopped again, and a stop that ends the run stays what it is.
    store.set_wanted(run, Wanted::Stop, "ann", "enough", hours(8)).await.unwrap();
    let row = store.emergency_stop(run, "ann", "at once", hours(8)).await.unwrap();
    assert_eq!((row.emergency, row.wanted), (true, Wanted::Stop));
    store.set_status(run, &change(Status::Stopped, hours(9))).await.unwrap();
    expect_conflict(store.emergency_stop(run, "bob", "late", hours(9)).await, "stopping what has ended");
    expect_conflict(store.emergency_restart(run, "bob", "late", hours(9)).await, "restarting what has ended");
}

pub async fn a_revision_is_approved_and_taken_up(store: &dyn Store) {
    let run = running(store).await;
    assert!(store.open_revision(run).await.unwrap().is_none() && store.revisions(run).await.unwrap().is_empty());
    let first = store.submit_revision(run, &revision_of("slow", &[rule("night")], hours(3))).await.unwrap();
    assert_eq!((first.number, first.status, first.submitted_at), (1, RevisionStatus::Open, hours(3)));
    assert_eq!(first.authors, ["ann", "cy"]);
    assert_eq!(store.open_revision(run).await.unwrap(), Some(first.clone()));
    expect_conflict(store.revision_taken(run, 1, hours(3)).await, "taking up what nobody has approved");
    let second = store.submit_revision(run, &revision_of("slower", &[rule("cap"), rule("dawn")], hours(4))).await.unwrap();
    assert_eq!(store.revisions(run).await.unwrap().iter().map(|r| r.status).collect::<Vec<_>>(), [RevisionStatus::Replaced, RevisionStatus::Open]);
    expect_conflict(store.approve_revision(run, 1, &approval("bob", hours(5))).await, "approving what was replaced");
    let approved = store.approve_revision(run, second.number, &approval("bob", hours(5))).await.unwrap();
    assert_eq!((approved.status, approved.approved_by.as_deref(), approved.approved_at), (RevisionStatus::Approved, Some("bob"), Some(hours(5))));
    assert_eq!(store.approved_revision(run).await.unwrap(), Some(approved));
    let void = store.void_revision(run, 2, "a preset has changed", hours(6)).await.unwrap();
    assert_eq!((void.status, void.approved_by, store.approved_revision(run).await.unwrap()), (RevisionStatus::Open, None, None));
    store.approve_revision(run, 2, &approval("dee", hours(7))).await.unwrap();
    let row = store.revision_taken(run, 2, hours(8)).await.unwrap();
    assert_eq!((row.revision, row.source.as_str(), row.hash.as_str(), row.status), (2, "slower", "hash of slower", Status::Running));
    assert_eq!(row.label(), "1.2");
    assert_eq!(store.rules(run).await.unwrap(), [rule("none"), rule("cap"), rule("dawn")], "old touches name old rules by number");
    assert_eq!(store.revision_taken(run, 2, hours(9)).await.unwrap(), row, "taken up once");
    let taken = store.revisions(run).await.unwrap().pop().unwrap();
    assert_eq!((taken.status, taken.taken_at), (RevisionStatus::Taken, Some(hours(8))));
    let approvals: Vec<(i64, bool)> = store.approvals(run).await.unwrap().iter().map(|a| (a.revision, a.void_at.is_some())).collect();
    assert_eq!(approvals, [(0, false), (2, true), (2, false)]);
    // The approval before it becoming void takes the next revision with it.
    store.submit_revision(run, &revision_of("fast", &[], hours(10))).await.unwrap();
    store.approve_revision(run, 3, &approval("bob", hours(10))).await.unwrap();
    store.void_approval(run, "another list", hours(11)).await.unwrap();
    assert_eq!(store.open_revision(run).await.unwrap().map(|r| r.number), Some(3));
    expect_conflict(store.submit_revision(run, &revision_of("new", &[], hours(12))).await, "revising what is not approved");
}
