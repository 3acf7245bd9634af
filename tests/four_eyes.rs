//! Four eyes over both stores: who may approve what, what an approval signs, revisions of runs under way, emergency stops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use std::sync::Arc;
use touchline::campaign_file;
use touchline::channels::route::RouteSpec;
use touchline::desk::approve::{self, Eyes};
use touchline::desk::diff::{DiffLine, compare_versions, versions};
use touchline::desk::submit::Submitted;
use touchline::desk::{DeskError, DeskResult, control, draft, emergency, revise, submit};
use touchline::domain::campaign::Campaign;
use touchline::domain::changes::Aspect;
use touchline::domain::law::LawBook;
use touchline::domain::seal::Parts;
use touchline::domain::time::{HOUR, Timestamp};
use touchline::store::memory::MemoryStore;
use touchline::store::sqlite::{Options, SqliteStore};
use touchline::store::*;

/// 2026-11-24T00:00:00Z.
const NOW: Timestamp = Timestamp(1_795_478_400_000);

const FILE: &str = "campaign: spring\ntitle: Spring\nopportunity: investment\nowner: desk\naudience: {list: all}\n\
schedule: {start: 2026-11-24T09:00, end: 2026-12-04T20:00, timezone: UTC}\npolicy: [wide-open]\nlimits: {rate: 100/s}\njourney:\n  \
- step: text\n    channel: sms\n    routes: [sms-one]\n    content: {en: \"Good morning\"}\n";

fn file(text: &str) -> Campaign {
    campaign_file::load("spring.yaml", text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn changed(from: &str, to: &str) -> Campaign {
    assert!(FILE.contains(from), "{from}");
    file(&FILE.replacen(from, to, 1))
}

/// Runs a test on the store in memory and on SQLite.
async fn on_both(test: impl AsyncFn(&dyn Store)) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { create: true, durable: false, ..Options::default() };
    let sqlite = SqliteStore::open_with(&folder.path().join("bank.db"), options).await.unwrap();
    for store in [Arc::new(MemoryStore::new()) as Arc<dyn Store>, Arc::new(sqlite)] {
        let customers: Vec<CustomerInput> = (0..20).map(|i| CustomerInput { reference: format!("c{i}"), ..CustomerInput::default() }).collect();
        store.put_customers(&customers, None).await.unwrap();
        let list = store.open_list("all", NOW).await.unwrap();
        store.add_all_customers(list).await.unwrap();
        store.freeze_list(list, NOW).await.unwrap();
        test(store.as_ref()).await;
    }
}

async fn hand_in(store: &dyn Store, campaign: &Campaign, by: &str) -> DeskResult<Submitted> {
    submit::submit(store, campaign, false, by, NOW).await
}

async fn approve_as(store: &dyn Store, digits: &str, by: &str) -> DeskResult<approve::Approved> {
    approve::approve(store, "spring", digits, by, "read", true, NOW.plus(HOUR)).await
}

/// Handed in by ann, approved by bob, running.
async fn running(store: &dyn Store) -> CampaignRow {
    let submitted = hand_in(store, &file(FILE), "ann").await.unwrap();
    let row = approve_as(store, submitted.seal.short(), "bob").await.unwrap().campaign;
    let change = StatusChange { to: Status::Running, by: "engine".into(), why: "started".into(), at: NOW, reason: None };
    store.set_status(row.id, &change).await.unwrap()
}

fn refused<T>(result: DeskResult<T>, parts: &[&str]) {
    match result {
        Ok(_) => panic!("expected a refusal with {parts:?}"),
        Err(error) => {
            let text = error.to_string();
            assert!(parts.iter().all(|p| text.contains(p)), "{parts:?} not all in: {text}");
            assert_eq!(error.exit_code(), 1);
        }
    }
}

#[tokio::test]
async fn nobody_approves_what_they_have_written() {
    on_both(async |store| {
        draft::write(store, &changed("Good morning", "Good day"), "ann", NOW).await.unwrap();
        refused(draft::write(store, &file(FILE), "bob", NOW).await, &["the draft of campaign \"spring\" is by ann", "bob may hand it in"]);
        refused(hand_in(store, &file(FILE), "bob").await, &["the draft of campaign \"spring\" is by ann"]);
        let written = draft::write(store, &file(FILE), "ANN", NOW).await.unwrap();
        assert_eq!((written.status, written.hash), (Status::Draft, file(FILE).hash()));
        refused(control::pause(store, "spring", "bob", "why", NOW).await, &["is a draft", "touchline campaign submit spring"]);
        let submitted = draft::hand_in(store, "spring", "bob", NOW).await.unwrap();
        assert_eq!((submitted.campaign.status, submitted.campaign.version, submitted.campaign.audience), (Status::Submitted, 1, 20));
        let seal = submitted.seal.seal;
        for by in ["ann", "Ann ", "BOB", "b\u{43e}b", "Ｂｏｂ"] {
            refused(approve_as(store, &seal, by).await, &["another person must approve it", "ann", "bob"]);
        }
        for by in ["b\u{200b}ob", "bo\u{301}b"] {
            refused(approve_as(store, &seal, by).await, &["letters that are seen"]);
        }
        refused(approve_as(store, &seal, " ").await, &["--by NAME"]);
        refused(approve_as(store, &seal, "engine").await, &["the name of the engine"]);
        // The hash of the file is not enough any more: it says nothing of list and policy.
        refused(approve_as(store, &file(FILE).hash(), "cy").await, &["the hash does not match", &seal[..12], "campaign diff"]);
        refused(approve_as(store, &seal[..11], "cy").await, &["12 digits"]);
        let approved = approve_as(store, &seal[..12], "cy").await.unwrap();
        assert_eq!((approved.campaign.status, approved.seal.seal.as_str()), (Status::Approved, seal.as_str()));
        assert!(approve_as(store, &seal, "cy").await.is_ok(), "said again by the same person it changes nothing");
        refused(approve_as(store, &seal, "dee").await, &["is approved"]);
        let kept = store.approvals(approved.campaign.id).await.unwrap();
        assert_eq!((kept.len(), kept[0].by.as_str(), kept[0].alone, kept[0].why.as_str()), (1, "cy", false, "read"));
        let told: Vec<String> = control::told(store, "spring").await.unwrap().into_iter().map(|e| e.by).collect();
        assert_eq!(told, ["ann", "ANN", "bob", "cy"], "every entry names who did it");
    })
    .await;
}

#[tokio::test]
async fn one_person_is_enough_where_nobody_is_contacted_or_the_house_says_so() {
    let routes = [RouteSpec::simulated("sms-one", touchline::domain::channel::Channel::Sms, "10/s".parse().unwrap())];
    assert!(!approve::contacts_people(&file(FILE), &routes), "simulated carriers contact nobody");
    assert_eq!(Eyes::needed(true, false, &file(FILE), &routes), Eyes::Two);
    on_both(async |store| {
        let submitted = hand_in(store, &file(FILE), "ann").await.unwrap();
        let row = approve::approve_alone(store, &submitted.campaign, "ann", "run", NOW).await.unwrap();
        assert_eq!(row.status, Status::Approved);
        assert_eq!(approve::holds(store, &row, Eyes::Two).await.unwrap(), Ok(()));
        // The same run on routes that contact people: nobody else has looked.
        let why = approve::holds(store, &row, Eyes::Four).await.unwrap().unwrap_err();
        assert!(why.contains("approved it alone"), "{why}");
        refused(control::start(store, "spring", "ann", "go", Eyes::Four, NOW).await, &["void", "approve spring --hash", submitted.seal.short()]);
        assert_eq!(store.campaign_by_id(row.id).await.unwrap().status, Status::Submitted);
        let alone = approve::approve(store, "spring", submitted.seal.short(), "ann", "trial", false, NOW).await.unwrap();
        assert!(alone.campaign.status == Status::Approved && store.approvals(row.id).await.unwrap().last().unwrap().alone);
    })
    .await;
}

#[tokio::test]
async fn an_approval_is_void_when_what_it_signed_has_changed() {
    on_both(async |store| {
        let row = running(store).await;
        assert_eq!(approve::holds(store, &row, Eyes::Four).await.unwrap(), Ok(()));
        // What an update of the program does: it composes another version of a preset than the one that was signed.
        let seal = approve::seal(store, &row).await.unwrap();
        let row = store.void_approval(row.id, "to be signed anew", NOW).await.unwrap();
        let parts: Parts = serde_json::from_str(&serde_json::to_string(&seal.parts).unwrap().replace("wide-open@", "wide-open@old-")).unwrap();
        let signed = NewApproval {
            seal: "01d".into(),
            parts: serde_json::to_string(&parts).unwrap(),
            alone: false,
            by: "bob".into(),
            why: "read".into(),
            at: NOW,
        };
        let rules = store.rules(row.id).await.unwrap();
        let row = store.approve_campaign(row.id, &signed, &rules).await.unwrap();
        refused(
            control::start(store, "spring", "op", "go", Eyes::Four, NOW).await,
            &["void", "what bob signed", "the presets (wide-open@old-", "touchline campaign approve spring --hash"],
        );
        let row = store.campaign_by_id(row.id).await.unwrap();
        assert_eq!(row.status, Status::Submitted);
        let last = control::told(store, "spring").await.unwrap().pop().unwrap();
        assert!(last.by == "engine" && last.why.contains("the approval is void: what bob signed"), "{last:?}");
        refused(control::start(store, "spring", "op", "go", Eyes::Four, NOW).await, &["is not approved yet"]);
        // Signed anew it goes on.
        approve_as(store, seal.short(), "bob").await.unwrap();
        let row = control::start(store, "spring", "op", "go", Eyes::Four, NOW).await.unwrap();
        assert_eq!((row.status, row.wanted), (Status::Scheduled, Wanted::Run));
    })
    .await;
}

#[tokio::test]
async fn a_run_without_a_whole_approval_is_approved_anew() {
    on_both(async |store| {
        // As a store of the version before knows it: the status, and no signature over list and policy.
        let submitted = hand_in(store, &file(FILE), "ann").await.unwrap();
        let change = StatusChange { to: Status::Approved, by: "bob".into(), why: "ok".into(), at: NOW, reason: None };
        store.set_status(submitted.campaign.id, &change).await.unwrap();
        refused(control::start(store, "spring", "op", "go", Eyes::Two, NOW).await, &["no approval on record signs", "void"]);
    })
    .await;
}

#[tokio::test]
async fn a_run_under_way_is_revised_in_pace_window_and_routes_alone() {
    on_both(async |store| {
        let row = running(store).await;
        let wrong = file(
            &FILE
                .replace("Good morning", "Good night")
                .replace("owner: desk", "owner: other")
                .replace("100/s", "50/s")
                .replace("start: 2026-11-24T09:00", "start: 2026-11-25T09:00"),
        );
        // Everything that may not change is named, all at once; what may is not.
        match hand_in(store, &wrong, "ann").await {
            Err(DeskError::Refused(text)) => {
                for key in ["texts: journey.text.content", "terms: owner: desk -> other", "schedule.start", "touchline campaign stop spring"] {
                    assert!(text.contains(key), "{key} not in {text}");
                }
                assert!(!text.contains("limits.rate"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        let slower = changed("100/s", "50/s");
        let revised = hand_in(store, &slower, "ann").await.unwrap();
        let revision = revised.revision.unwrap();
        assert_eq!((revision.number, revision.status, revised.continued), (1, RevisionStatus::Open, false));
        assert_eq!(revised.changes.iter().map(|c| (c.aspect, c.key.as_str())).collect::<Vec<_>>(), [(Aspect::Pace, "limits.rate")]);
        assert!(hand_in(store, &slower, "dee").await.unwrap().continued, "the same text again is the same revision");
        assert_eq!(revise::take(store, &row, |_| Eyes::Four, NOW).await.unwrap(), None, "nobody has approved it");
        refused(approve_as(store, revised.seal.short(), "Ann").await, &["another person"]);
        refused(approve_as(store, approve::seal(store, &row).await.unwrap().short(), "bob").await, &["revision 1", revised.seal.short()]);
        // Another text replaces it; who wrote at the one before stays an author.
        let other = file(&FILE.replace("100/s}", "20/s, caps: [{count: 3, per: 1d}]}").replace("routes: [sms-one]", "routes: [sms-one, sms-two]"));
        let revised = hand_in(store, &other, "bob").await.unwrap();
        assert_eq!(revised.revision.as_ref().unwrap().authors, ["bob", "ann"]);
        for by in ["ann", "bob"] {
            refused(approve_as(store, revised.seal.short(), by).await, &["another person"]);
        }
        let approved = approve_as(store, revised.seal.short(), "cy").await.unwrap();
        assert_eq!((approved.revision.unwrap().status, approved.campaign.status), (RevisionStatus::Approved, Status::Running));
        assert_eq!(store.campaign_by_id(row.id).await.unwrap().hash, row.hash, "the run goes on as it is until it is taken up");
        let before = store.rules(row.id).await.unwrap();
        let taken = revise::take(store, &row, |_| Eyes::Four, NOW).await.unwrap().unwrap();
        assert_eq!((taken.label(), taken.status, taken.hash.clone()), ("1.2".to_owned(), Status::Running, other.hash()));
        let after = store.rules(row.id).await.unwrap();
        assert!(after.starts_with(&before) && after.len() == before.len() + 1, "old touches name old rules; the new cap comes after them");
        let law = approve::law_of(store, &taken, &other).await.unwrap();
        assert_eq!(law.rules(), after, "and the engine counts as the store does");
        let cap = &law.caps()[0];
        assert_eq!(usize::from(cap.rule.0), before.len());
        assert_eq!(approve::holds(store, &taken, Eyes::Four).await.unwrap(), Ok(()), "the revision's approval is the run's now");
        assert_eq!(revise::take(store, &taken, |_| Eyes::Four, NOW).await.unwrap(), None);
        // Back to the first text: a revision like any other, and its rules have their old numbers.
        let back = hand_in(store, &file(FILE), "ann").await.unwrap();
        assert_eq!(back.revision.as_ref().unwrap().authors, ["ann"]);
        approve_as(store, back.seal.short(), "bob").await.unwrap();
        let back = revise::take(store, &taken, |_| Eyes::Four, NOW).await.unwrap().unwrap();
        assert_eq!((back.label().as_str(), back.hash), ("1.3", file(FILE).hash()));
        assert_eq!(store.rules(row.id).await.unwrap(), after);
    })
    .await;
}

#[tokio::test]
async fn a_revision_whose_approval_does_not_hold_waits_and_the_run_goes_on() {
    on_both(async |store| {
        let row = running(store).await;
        let revised = hand_in(store, &changed("100/s", "50/s"), "ann").await.unwrap();
        // Approved alone, for routes that contacted nobody then.
        approve::approve_alone(store, &row, "ann", "run", NOW).await.unwrap();
        assert_eq!(revise::take(store, &row, |_| Eyes::Four, NOW).await.unwrap(), None);
        let open = store.open_revision(row.id).await.unwrap().unwrap();
        assert_eq!((open.number, open.approved_by), (1, None));
        assert_eq!(store.campaign_by_id(row.id).await.unwrap(), row, "nothing of the run has changed");
        let last = control::told(store, "spring").await.unwrap().pop().unwrap();
        assert!(last.why.contains("the approval of revision 1 is void: ann approved it alone"), "{last:?}");
        approve_as(store, revised.seal.short(), "bob").await.unwrap();
        assert!(revise::take(store, &row, |_| Eyes::Four, NOW).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_draft_of_a_run_under_way_becomes_its_revision() {
    on_both(async |store| {
        let row = running(store).await;
        draft::write(store, &changed("100/s", "30/s"), "dee", NOW).await.unwrap();
        assert_eq!(store.campaign("spring", None).await.unwrap().id, row.id, "whoever pauses `spring` means the run");
        let diff = compare_versions(store, "spring", None, None, None).await.unwrap();
        assert_eq!((diff.from.as_str(), diff.to.as_str(), diff.revisable), ("1", "draft", true));
        let revised = draft::hand_in(store, "spring", "ann", NOW).await.unwrap();
        assert_eq!(revised.revision.unwrap().authors, ["ann", "dee"]);
        refused(approve_as(store, revised.seal.short(), "dee").await, &["another person"]);
        assert_eq!(store.draft("spring").await.unwrap(), None);
        assert_eq!(store.campaign("spring", None).await.unwrap().id, row.id);
        approve_as(store, revised.seal.short(), "bob").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_emergency_stop_takes_one_person_and_a_restart_two() {
    on_both(async |store| {
        let row = running(store).await;
        refused(emergency::stop(store, "spring", "op", " ", NOW).await, &["--why"]);
        let stopped = emergency::stop(store, "spring", "op", "wrong list", NOW).await.unwrap();
        assert!(stopped.emergency && stopped.wanted == Wanted::Pause);
        let paused = emergency::pause_unheld(store, vec![stopped], "op", "wrong list", NOW).await.unwrap();
        assert_eq!(paused[0].status, Status::Paused, "no process runs it");
        refused(
            control::resume(store, "spring", "bob", "go", NOW).await,
            &["emergency", "two different persons", "touchline campaign restart spring"],
        );
        refused(control::start(store, "spring", "bob", "go", Eyes::Two, NOW).await, &["emergency"]);
        let first = emergency::restart(store, "spring", "op", "list mended", NOW).await.unwrap();
        assert_eq!((first.restart, first.held_by.map(|h| h.restarts.len())), (Restart::First, Some(1)));
        assert_eq!(emergency::restart(store, "spring", "OP", "again", NOW).await.unwrap().restart, Restart::Again);
        refused(control::resume(store, "spring", "bob", "go", NOW).await, &["emergency"]);
        let second = emergency::restart(store, "spring", "bob", "seen", NOW).await.unwrap();
        assert_eq!((second.restart, second.held_by.is_none(), second.campaign.wanted), (Restart::Lifted, true, Wanted::Run));
        refused(emergency::restart(store, "spring", "cy", "seen", NOW).await, &["not stopped in an emergency"]);
        let by: Vec<String> = control::told(store, "spring").await.unwrap().into_iter().rev().take(4).map(|e| e.by).collect();
        assert_eq!(by, ["bob", "op", "op", "op"]);
        // All at once: what is closed, a draft or a rehearsal is left alone.
        draft::write(store, &file(&FILE.replace("campaign: spring", "campaign: summer")), "ann", NOW).await.unwrap();
        submit::submit(store, &file(&FILE.replace("campaign: spring", "campaign: autumn")), true, "ann", NOW).await.unwrap();
        let all = emergency::stop_all(store, "op", "fire", NOW).await.unwrap();
        assert_eq!(all.iter().map(|r| r.id).collect::<Vec<_>>(), [row.id]);
        let fence = store.acquire(false, NOW).await.unwrap();
        let held = emergency::pause_unheld(store, all, "op", "fire", NOW).await.unwrap();
        assert_eq!(held[0].wanted, Wanted::Pause, "whoever holds the store pauses it");
        store.release(fence).await.unwrap();
        // One person may end it for good.
        let (ended, closed) = control::stop_from_outside(store, "spring", "op", "enough", NOW).await.unwrap();
        assert_eq!((ended.status, closed), (Status::Stopped, true));
        refused(emergency::restart(store, "spring", "bob", "late", NOW).await, &["stopped; it has no more to do"]);
    })
    .await;
}

#[tokio::test]
async fn what_has_ended_is_put_away_and_not_run_again() {
    on_both(async |store| {
        let row = running(store).await;
        refused(control::archive(store, "spring", "op", "tidy", NOW).await, &["is running", "campaign stop spring"]);
        let fence = store.acquire(false, NOW).await.unwrap();
        store.call_off(fence, row.id, touchline::domain::outcome::Reason::CampaignEnded, NOW).await.unwrap();
        let change = StatusChange { to: Status::Finished, by: "engine".into(), why: "ended".into(), at: NOW, reason: None };
        store.set_status(row.id, &change).await.unwrap();
        let away = control::archive(store, "spring", "op", "tidy", NOW).await.unwrap();
        assert_eq!((away.status, away.ended_as(), away.finished_at), (Status::Archived, Some(Status::Finished), Some(NOW)));
        assert!(control::archive(store, "spring", "op", "tidy", NOW).await.is_ok());
        assert!(control::list(store, false).await.unwrap().is_empty());
        assert_eq!(control::list(store, true).await.unwrap().len(), 1);
        refused(hand_in(store, &file(FILE), "ann").await, &["of this very file is finished"]);
        let next = hand_in(store, &changed("Good morning", "Hello again"), "ann").await.unwrap();
        assert_eq!((next.campaign.version, next.continued), (2, false));
    })
    .await;
}

#[tokio::test]
async fn versions_are_compared_by_meaning_and_by_line() {
    on_both(async |store| {
        running(store).await;
        refused(compare_versions(store, "spring", None, None, None).await, &["one version alone"]);
        let text = FILE
            .replace("100/s", "60/s")
            .replace("[wide-open]", "[wide-open, cn-bank]")
            .replace("[sms-one]", "[sms-two]")
            .replace("12-04T20", "12-05T20")
            .replace("{list: all}", "{list: all, holdout: 5%}")
            .replace("limits: {", "limits: {budget: 10.00 CNY, ")
            .replace("Good morning", "Good evening");
        let text = format!("{text}stop_on: [complaint]\nconversions:\n  - {{name: deposit, fact: aum_daily_average, window: 30d}}\n");
        file(&text);
        let diff = compare_versions(store, "spring", None, None, Some(&text)).await.unwrap();
        let changes = diff.changes.unwrap();
        let mut aspects: Vec<Aspect> = changes.iter().map(|c| c.aspect).collect();
        aspects.sort_unstable();
        aspects.dedup();
        let all = [
            Aspect::Pace,
            Aspect::Policy,
            Aspect::Routes,
            Aspect::Budget,
            Aspect::Schedule,
            Aspect::Texts,
            Aspect::Journey,
            Aspect::Audience,
            Aspect::Conversions,
        ];
        assert_eq!(aspects, all, "{changes:?}");
        assert!(!diff.revisable && diff.lines.contains(&DiffLine::Removed("policy: [wide-open]".into())));
        hand_in(store, &changed("100/s", "50/s"), "ann").await.unwrap();
        let labels: Vec<(String, String)> = versions(store, "spring").await.unwrap().into_iter().map(|v| (v.version, v.by)).collect();
        assert_eq!(labels, [("1".into(), "ann".into()), ("1.1".into(), "ann".into())]);
        let diff = compare_versions(store, "spring", None, None, None).await.unwrap();
        assert_eq!((diff.from.as_str(), diff.to.as_str(), diff.revisable), ("1", "1.1", true));
        let diff = compare_versions(store, "spring", Some("1.1"), Some("1"), None).await.unwrap();
        assert_eq!(diff.changes.unwrap()[0].to_string(), "pace: limits.rate: 50/s -> 100/s");
        refused(compare_versions(store, "spring", Some("7"), None, None).await, &["no version \"7\"", "1, 1.1"]);
        let broken = compare_versions(store, "spring", None, None, Some("campaign: [")).await.unwrap();
        assert!(broken.changes.is_none() && !broken.lines.is_empty());
    })
    .await;
}
