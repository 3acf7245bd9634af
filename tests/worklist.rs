//! The worklist over both stores: who sees what, claims, rounds, calling off, and a campaign whose tasks come back as receipts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use async_trait::async_trait;
use std::net::TcpListener;
use std::sync::Arc;
use touchline::api::{self, Gate, House, Listening, Problem};
use touchline::app::{App, worklist::Keeper};
use touchline::campaign_file;
use touchline::channels::{RouteKind, RouteSpec};
use touchline::clock::{Clock, SystemClock, sleep_ms};
use touchline::config::Config;
use touchline::desk::approve::Eyes;
use touchline::desk::worklist::{self, Reported, Wanted};
use touchline::desk::{DeskError, approve, control, submit};
use touchline::domain::access::{Actor, Role, Roles};
use touchline::domain::campaign::Rate;
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentRecord, ConsentState, Purpose, SuppressionRecord};
use touchline::domain::contact::Phone;
use touchline::domain::ids::{CampaignId, CustomerId, TaskId, TouchKey};
use touchline::domain::outcome::Reason;
use touchline::domain::time::{DAY, HOUR, MINUTE, Timestamp};
use touchline::domain::touch::State;
use touchline::domain::worklist::lease::LEASE_MS;
use touchline::domain::worklist::{Leave, NewTask, Rm, TaskKind, TaskState};
use touchline::store::memory::MemoryStore;
use touchline::store::sqlite::{Options, SqliteStore};
use touchline::store::tasks::{TaskBook, TaskFilter};
use touchline::store::{CustomerInput, Status, Store, StoreError, Wanted as RunWanted};

const NOW: Timestamp = Timestamp(1_795_510_800_000);
const ZONE: chrono_tz::Tz = chrono_tz::Asia::Shanghai;

async fn both(test: impl AsyncFn(Arc<dyn Store>)) {
    test(Arc::new(MemoryStore::new())).await;
    let folder = tempfile::tempdir().unwrap();
    let options = Options { create: true, durable: false, ..Options::default() };
    test(Arc::new(SqliteStore::open_with(&folder.path().join("bank.db"), options).await.unwrap())).await;
}

/// Customers c0 .. of the branch north; c0's RM is rm-0, and so on round robin over three. All agree to everything.
async fn customers(store: &dyn Store, n: usize) {
    let granted = |channel| ConsentRecord {
        channel,
        purpose: Purpose::Marketing,
        state: ConsentState::Granted,
        at: Timestamp(0),
        source: "branch form".into(),
    };
    let input = |i: usize| CustomerInput {
        reference: format!("c{i}"),
        phone: Some(Phone::new(format!("+861380000{i:04}"))),
        timezone: Some(ZONE),
        language: Some("zh-CN".into()),
        branch: Some("north".into()),
        rm: Some(format!("rm-{}", i % 3)),
        consents: Channel::ALL.into_iter().map(granted).collect(),
        ..CustomerInput::default()
    };
    store.put_customers(&(0..n).map(input).collect::<Vec<_>>(), None).await.unwrap();
    let list = store.open_list("all", NOW).await.unwrap();
    store.add_all_customers(list).await.unwrap();
    store.freeze_list(list, NOW).await.unwrap();
}

fn rm(reference: &str, branch: &str, daily_capacity: u32) -> Rm {
    Rm {
        reference: reference.into(),
        branch: Some(branch.into()),
        languages: vec!["zh-CN".into()],
        skills: vec!["funds".into()],
        daily_capacity,
        left: false,
        leaves: vec![],
    }
}

fn as_rm(reference: &str, branch: &str) -> Actor {
    Actor { rm: Some(reference.into()), branch: Some(branch.into()), roles: Roles::of(&[Role::Rm]), ..Actor::local(format!("person of {reference}")) }
}

fn lead(branch: &str) -> Actor {
    Actor { rm: None, ..as_rm("lead", branch) }
}

fn task(key: &str, customer: i64) -> NewTask {
    NewTask {
        key: key.into(),
        kind: TaskKind::HandedOver,
        customer: CustomerId(customer),
        touch: None,
        title: "hand-over".into(),
        script: Some("Good morning".into()),
        language: Some("zh-CN".into()),
        skill: None,
        priority: 5,
        wanted_rm: Some(format!("rm-{}", (customer - 1) % 3)),
        branch: Some("north".into()),
        due_at: NOW,
        expires_at: Some(NOW.plus(3 * DAY)),
        at: NOW,
    }
}

fn said(disposition: Reason) -> Reported {
    Reported { disposition, connected_s: 120, notes: Some("wants the brochure".into()), next_contact: None, at: None }
}

fn open(limit: usize) -> Wanted {
    Wanted { limit, ..Wanted::default() }
}

fn is_hidden<T: std::fmt::Debug>(result: Result<T, DeskError>) {
    assert!(matches!(result, Err(DeskError::Store(StoreError::NotFound { .. }))), "{result:?}");
}

fn refusal<T: std::fmt::Debug>(result: Result<T, DeskError>) -> String {
    match result {
        Err(DeskError::Refused(text)) => text,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

async fn ids(store: &dyn Store, actor: &Actor, wanted: &Wanted) -> Vec<i64> {
    worklist::list(store, actor, wanted, NOW).await.unwrap().into_iter().map(|t| t.id).collect()
}

#[tokio::test]
async fn an_rm_sees_own_tasks_and_a_claim_bars_others_without_naming_anybody() {
    both(async |store| {
        let store = store.as_ref();
        customers(store, 6).await;
        let operator = Actor::local("operator");
        worklist::put_rms(store, &operator, &[rm("rm-0", "north", 9), rm("rm-1", "north", 9), rm("rm-9", "south", 9)], NOW).await.unwrap();
        // c0 -> rm-0, c1 -> rm-1, c2 -> rm-2, who is not on the roster: the one with the fewest of the branch.
        store.make_tasks(&[task("a", 1), task("b", 2), NewTask { wanted_rm: None, language: Some("fr".into()), ..task("c", 3) }]).await.unwrap();
        let round = worklist::assign_round(store, ZONE, NOW).await.unwrap();
        assert_eq!((round.assigned, round.waiting, round.more), (2, 1, false));
        let (own, other, south) = (as_rm("rm-0", "north"), as_rm("rm-1", "north"), as_rm("rm-9", "south"));
        assert_eq!(ids(store, &own, &open(10)).await, [1, 3], "own, and what nobody has in the branch");
        assert_eq!(ids(store, &own, &Wanted { rm: Some(String::new()), ..open(10) }).await, [3]);
        assert_eq!(ids(store, &own, &Wanted { after: Some(TaskId(1)), ..open(1) }).await, [3]);
        assert_eq!(ids(store, &lead("north"), &open(10)).await, [1, 2, 3]);
        assert_eq!(ids(store, &lead("north"), &Wanted { rm: Some("rm-1".into()), ..open(10) }).await, [2]);
        assert_eq!(ids(store, &operator, &open(10)).await, [1, 2, 3]);
        assert_eq!(ids(store, &south, &open(10)).await, [0_i64; 0]);
        is_hidden(worklist::list(store, &own, &Wanted { rm: Some("rm-1".into()), ..open(10) }, NOW).await);
        is_hidden(worklist::list(store, &lead("north"), &Wanted { branch: Some("south".into()), ..open(10) }, NOW).await);
        is_hidden(worklist::task_view(store, &own, TaskId(2), NOW).await);
        is_hidden(worklist::task_view(store, &lead("south"), TaskId(1), NOW).await);
        is_hidden(worklist::claim(store, &south, TaskId(3), LEASE_MS, NOW).await);
        is_hidden(worklist::result(store, &south, TaskId(1), &said(Reason::Completed), NOW).await);

        let before = worklist::task_view(store, &own, TaskId(3), NOW).await.unwrap();
        assert!(!before.contact.phone_is_whole && before.contact.phone.as_deref() == Some("+86138****0002"), "{:?}", before.contact);
        assert_eq!(before.script.as_deref(), Some("Good morning"));
        let claimed = worklist::claim(store, &own, TaskId(3), LEASE_MS, NOW).await.unwrap();
        assert!(claimed.line.mine && claimed.contact.phone.as_deref() == Some("+8613800000002"));
        assert_eq!(claimed.line.rm.as_deref(), Some("rm-0"), "what nobody had is the claimer's");
        // Another of the branch does not see it any more; the lead does, is told until when, and by whom is not said.
        is_hidden(worklist::claim(store, &other, TaskId(3), LEASE_MS, NOW).await);
        let text = refusal(worklist::claim(store, &lead("north"), TaskId(3), LEASE_MS, NOW).await);
        assert!(text.contains(&NOW.plus(LEASE_MS).to_string()) && !text.contains("rm-0") && !text.contains("person"), "{text}");
        let seen = worklist::task_view(store, &lead("north"), TaskId(3), NOW).await.unwrap();
        assert!(!seen.contact.phone_is_whole && !seen.line.mine && seen.line.claimed_until.is_some());
        let later = NOW.plus(MINUTE);
        let renewed = worklist::claim(store, &own, TaskId(3), LEASE_MS, later).await.unwrap();
        assert_eq!(renewed.line.claimed_until, Some(later.plus(LEASE_MS)));
        let released = worklist::release(store, &own, TaskId(3), later).await.unwrap();
        assert_eq!((released.line.state, released.contact.phone_is_whole), (TaskState::Open, false));

        // A result stands; the same again is the same answer.
        let (done, new) = worklist::result(store, &own, TaskId(1), &said(Reason::Interested), later).await.unwrap();
        assert!(new && done.line.disposition == Some(Reason::Interested));
        let (again, new) = worklist::result(store, &own, TaskId(1), &said(Reason::Interested), later.plus(HOUR)).await.unwrap();
        assert_eq!((again.result, new), (done.result, false));
        refusal(worklist::result(store, &own, TaskId(1), &said(Reason::NotReached), later).await);
        refusal(worklist::claim(store, &own, TaskId(1), LEASE_MS, later).await);
        let bad = Reported { notes: Some("x".repeat(4_001)), next_contact: Some(NOW), ..said(Reason::Delivered) };
        let faults = worklist::result(store, &own, TaskId(3), &bad, later).await;
        assert!(matches!(&faults, Err(DeskError::Unfit(all)) if all.len() == 3), "{faults:?}");
        assert_eq!(ids(store, &own, &Wanted { states: vec![TaskState::Done], ..open(10) }).await, [1]);
        let what: Vec<String> = store.task_history(TaskId(3)).await.unwrap().into_iter().map(|e| e.what).collect();
        assert_eq!(what, ["made", "claimed", "claimed", "released"]);
    })
    .await;
}

#[tokio::test]
async fn rounds_assign_by_capacity_recall_what_is_idle_cover_for_who_is_away_and_expire() {
    both(async |store| {
        let store = store.as_ref();
        customers(store, 9).await;
        let operator = Actor::local("operator");
        worklist::put_rms(store, &operator, &[rm("rm-0", "north", 2), rm("rm-1", "north", 20)], NOW).await.unwrap();
        let all: Vec<NewTask> = (0..4).map(|n| task(&format!("t{n}"), 1)).collect();
        store.make_tasks(&all).await.unwrap();
        let round = worklist::assign_round(store, ZONE, NOW).await.unwrap();
        assert_eq!((round.assigned, round.waiting), (2, 2), "two a day, and the rest waits for the own RM's next day");
        assert_eq!(worklist::assign_round(store, ZONE, NOW.plus(1_000)).await.unwrap(), worklist::Rounds::default(), "nothing is looked at twice");
        let tomorrow = NOW.plus(DAY);
        assert_eq!(worklist::assign_round(store, ZONE, tomorrow).await.unwrap().assigned, 2);
        let own = as_rm("rm-0", "north");
        assert_eq!(ids(store, &own, &open(10)).await, [1, 2, 3, 4]);

        worklist::claim(store, &own, TaskId(1), LEASE_MS, tomorrow).await.unwrap();
        worklist::claim(store, &own, TaskId(2), LEASE_MS, tomorrow).await.unwrap();
        assert_eq!(worklist::assign_round(store, ZONE, tomorrow.plus(LEASE_MS - 1)).await.unwrap().recalled, 0);
        assert_eq!(worklist::assign_round(store, ZONE, tomorrow.plus(LEASE_MS)).await.unwrap().recalled, 2);
        let history = store.task_history(TaskId(1)).await.unwrap();
        assert_eq!(history.last().map(|e| e.what.as_str()), Some("recalled"));

        // rm-0 goes on leave, and rm-1 covers; then leaves for good, and nobody is named.
        let leave = Leave { from: tomorrow, to: tomorrow.plus(DAY), cover: Some("rm-1".into()) };
        let noon = tomorrow.plus(HOUR);
        worklist::put_rms(store, &operator, &[Rm { leaves: vec![leave], ..rm("rm-0", "north", 2) }], noon).await.unwrap();
        assert_eq!(worklist::cover_round(store, ZONE, noon).await.unwrap(), 4);
        assert_eq!(worklist::cover_round(store, ZONE, noon).await.unwrap(), 0);
        assert_eq!(ids(store, &as_rm("rm-1", "north"), &open(10)).await, [1, 2, 3, 4]);
        worklist::put_rms(store, &operator, &[Rm { left: true, ..rm("rm-1", "north", 20) }], noon).await.unwrap();
        assert_eq!(worklist::cover_round(store, ZONE, noon).await.unwrap(), 4);
        assert_eq!(ids(store, &lead("north"), &Wanted { rm: Some(String::new()), ..open(10) }).await, [1, 2, 3, 4], "visible to the branch");

        let end = NOW.plus(3 * DAY);
        assert_eq!(worklist::assign_round(store, ZONE, end).await.unwrap().expired, 4);
        assert!(store.waking_tasks(Timestamp::FAR, 10).await.unwrap().is_empty(), "nothing closed ever wakes");
        let bad = [Rm { leaves: vec![Leave { from: NOW, to: NOW, cover: Some("rm-5".into()) }], ..rm("rm-5", "north", 1) }, rm("rm-5", "north", 1)];
        assert!(matches!(worklist::put_rms(store, &operator, &bad, end).await, Err(DeskError::Unfit(all)) if all.len() == 3));
        is_hidden(worklist::put_rms(store, &lead("south"), &[rm("rm-0", "south", 1)], end).await);
    })
    .await;
}

fn campaign_text(name: &str, now: Timestamp, more: &str) -> String {
    let local = |at: Timestamp| at.utc().format("%Y-%m-%dT%H:%M").to_string();
    format!(
        "campaign: {name}\ntitle: Renewal\nopportunity: service\nowner: desk\naudience: {{list: all}}\n\
         schedule: {{start: {}, end: {}, timezone: UTC}}\npolicy: [wide-open]\nlimits: {{rate: 100/s}}\n\
         journey:\n  - step: rm\n    channel: worklist\n    routes: [rm-tasks]\n    skill: funds\n    content: {{zh-CN: \"ni hao\"}}\n{more}",
        local(now.plus(-HOUR)),
        local(now.plus(2 * DAY)),
    )
}

/// Submits, approves and starts, each by another.
async fn run_of(store: &dyn Store, text: &str, now: Timestamp) -> CampaignId {
    let campaign = campaign_file::load("c.yaml", text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let row = submit::submit(store, &campaign, false, "ann", now).await.unwrap().campaign;
    let seal = approve::seal(store, &row).await.unwrap();
    approve::approve(store, &row.name, &seal.seal, "bob", "read it", true, now).await.unwrap();
    control::start(store, &row.name, "cleo", "as planned", Eyes::Four, now).await.unwrap();
    row.id
}

#[tokio::test]
async fn who_opts_out_complains_or_converts_and_what_is_stopped_is_called_off() {
    both(async |store| {
        let store = store.as_ref();
        customers(store, 6).await;
        let more = "stop_on: [conversion, complaint, opt_out]\nconversions:\n  - {name: d, fact: loan_drawdown, window: 30d, credit: last_reached}\n";
        let first = run_of(store, &campaign_text("first", NOW, more), NOW).await;
        let second = run_of(store, &campaign_text("second", NOW, "stop_on: [complaint]\n"), NOW).await;
        let of = |customer: i64, campaign| {
            let touch = TouchKey { customer: CustomerId(customer), campaign, seq: 0 };
            NewTask { kind: TaskKind::Journey, touch: Some(touch), ..task(&format!("{customer}/{campaign}"), customer) }
        };
        store.make_tasks(&[of(1, first), of(2, first), of(3, first), of(4, first), of(5, second), task("not a touch's", 1)]).await.unwrap();
        let withdrawn =
            |channel| ConsentRecord { channel, purpose: Purpose::Marketing, state: ConsentState::Withdrawn, at: NOW, source: "sms".into() };
        store.put_consents(&[("c0".into(), withdrawn(Channel::Sms)), ("c4".into(), withdrawn(Channel::Sms))], None).await.unwrap();
        let complaint = SuppressionRecord { channel: None, why: "complaint".into(), at: NOW, until: None, source: "branch".into() };
        store.put_suppressions(&[("c1".into(), complaint)], None).await.unwrap();
        let fact = touchline::store::FactInput {
            fact_ref: "f1".into(),
            customer: "c2".into(),
            kind: "loan_drawdown".into(),
            product: None,
            amount: touchline::domain::money::Money { minor: 1, currency: touchline::domain::money::Currency::CNY },
            at: NOW,
        };
        store.put_facts(&[fact], None).await.unwrap();
        // A claim asks for itself, whether a round has come by or not.
        let operator = Actor::local("operator");
        let text = refusal(worklist::claim(store, &operator, TaskId(1), LEASE_MS, NOW).await);
        assert!(text.contains("opted_out"), "{text}");
        assert_eq!(worklist::call_off_round(store, TaskId(0), NOW).await.unwrap(), (2, TaskId(0)));
        let why = async |id| store.task_history(TaskId(id)).await.unwrap().last().map(|e| (e.what.clone(), e.why.clone())).unwrap();
        for (id, reason) in [(1, "opted_out"), (2, "complained"), (3, "converted")] {
            assert_eq!(why(id).await, ("cancelled".to_owned(), reason.to_owned()));
        }
        assert_eq!(ids(store, &operator, &open(10)).await, [4, 5, 6], "an opt-out of SMS alone bars no task where the campaign does not stop on it");
        store.set_wanted(second, RunWanted::Stop, "ann", "enough", NOW).await.unwrap();
        assert_eq!(worklist::call_off_round(store, TaskId(0), NOW).await.unwrap().0, 1);
        assert_eq!(why(5).await, ("cancelled".to_owned(), "stopped".to_owned()));
    })
    .await;
}

fn settings() -> Config {
    let route = RouteSpec { kind: RouteKind::Worklist, ..RouteSpec::simulated("rm-tasks", Channel::Worklist, Rate { count: 100, per_ms: 1_000 }) };
    Config { routes: vec![route], ..Config::default() }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..300 {
        if let Some(found) = look().await {
            return found;
        }
        sleep_ms(100).await;
    }
    panic!("{what} did not come within 30 s")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaigns_tasks_come_back_as_receipts_also_when_the_engine_was_away() {
    both(async |store| {
        let now = SystemClock.now();
        customers(store.as_ref(), 6).await;
        let operator = Actor::local("operator");
        let roster = [rm("rm-0", "north", 9), rm("rm-1", "north", 9), rm("rm-2", "north", 9)];
        worklist::put_rms(store.as_ref(), &operator, &roster, now).await.unwrap();
        let run = run_of(store.as_ref(), &campaign_text("renewal", now, "    attempts: 1\n"), now).await;
        let app = Arc::new(App { config: settings(), store: Arc::clone(&store), clock: Arc::new(SystemClock), ears: Default::default() });
        let (handle, end) = Arc::clone(&app).daemon(1).await.unwrap();
        let on_lists = TaskFilter { states: vec![TaskState::Open], limit: 100, ..TaskFilter::default() };
        let tasks = until("the tasks", async || {
            assert_eq!(handle.standing().troubles, [], "nothing bars the run");
            let tasks = store.tasks(&on_lists).await.unwrap();
            (tasks.len() == 6 && tasks.iter().all(|t| t.rm.is_some())).then_some(tasks)
        })
        .await;
        for task in &tasks {
            assert_eq!(task.rm, task.made.wanted_rm, "the customer's own RM");
            assert_eq!((task.made.title.as_str(), task.made.script.as_deref()), ("Renewal: rm", Some("ni hao")));
            assert_eq!((task.made.skill.as_deref(), task.made.priority), (Some("funds"), 5), "as the step and the campaign say");
            let touch = store.touch(task.made.touch.unwrap()).await.unwrap().unwrap();
            assert_eq!(touch.state, State::Started, "a task that is made is nobody reached");
        }
        let report = async |n: usize, disposition| {
            let actor = as_rm(tasks[n].rm.as_deref().unwrap(), "north");
            let now = SystemClock.now();
            worklist::claim(store.as_ref(), &actor, tasks[n].id, LEASE_MS, now).await.unwrap();
            worklist::result(store.as_ref(), &actor, tasks[n].id, &said(disposition), now).await.unwrap();
        };
        let state = async |n: usize| store.touch(tasks[n].made.touch.unwrap()).await.unwrap().map(|t| (t.state, t.reason, t.connected_s)).unwrap();
        report(0, Reason::Interested).await;
        report(1, Reason::NotReached).await;
        until("the first result", async || (state(0).await == (State::Reached, Reason::Interested, 120)).then_some(())).await;
        until("the second result", async || (state(1).await.0 == State::Missed).then_some(())).await;
        // The engine is away; results are taken all the same, and the next engine hears of them.
        handle.drain();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(60), end).await.unwrap();
        for n in 2..6 {
            report(n, Reason::Completed).await;
        }
        assert_eq!(state(2).await.0, State::Started);
        let (handle, end) = Arc::clone(&app).daemon(1).await.unwrap();
        until("the end", async || (store.campaign_by_id(run).await.unwrap().status == Status::Finished).then_some(())).await;
        let tallies = store.tallies(run).await.unwrap();
        let counts = tallies.customers(6);
        assert_eq!((counts[&State::Reached], counts[&State::Missed]), (5, 1));
        assert_eq!(tallies, store.recount(run).await.unwrap());
        until("the last mark", async || store.untold_tasks(TaskId(0), 9).await.unwrap().is_empty().then_some(())).await;
        for task in &tasks {
            assert_eq!(store.receipts(task.made.touch.unwrap()).await.unwrap().iter().filter(|r| r.applied).count(), 1, "applied once");
        }
        handle.drain();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(60), end).await.unwrap();
    })
    .await;
}

/// Tokens are names of people.
struct Doorman;

#[async_trait]
impl Gate for Doorman {
    async fn admit(&self, bearer: &str, _: Timestamp) -> Result<Actor, Problem> {
        match bearer {
            "admin" => Ok(Actor { roles: Roles::of(&[Role::Admin]), ..Actor::local("admin") }),
            "finance" => Ok(Actor { roles: Roles::of(&[Role::Finance]), ..Actor::local("finance") }),
            rm => Ok(as_rm(rm, "north")),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    customers(store.as_ref(), 3).await;
    let now = SystemClock.now();
    let app = Arc::new(App { config: settings(), store: Arc::clone(&store), clock: Arc::new(SystemClock), ears: Default::default() });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let house = House::new(app, Arc::new(Doorman));
    let serving = api::start(house, listener, Listening { workers: 1, connections: 50, tls: None }).unwrap();
    touchline::app::tls::provider();
    let http = reqwest::Client::new();
    let call = async |method: &str, path: &str, who: &str, body: Option<serde_json::Value>| {
        let url = format!("http://{}{path}", serving.address);
        let mut request = http.request(method.parse().unwrap(), url).bearer_auth(who);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap_or_default())
    };
    let roster = serde_json::json!({"rms": [rm("rm-0", "north", 9), rm("rm-1", "north", 9)]});
    assert_eq!(call("PUT", "/v1/rms", "rm-0", Some(roster.clone())).await.0, 403);
    assert_eq!(call("PUT", "/v1/rms", "admin", Some(roster)).await.0, 200);
    assert_eq!(call("GET", "/v1/rms", "rm-0", None).await.1["rms"].as_array().unwrap().len(), 2);
    store.make_tasks(&[NewTask { due_at: now, at: now, expires_at: None, ..task("a", 1) }]).await.unwrap();
    assert!(Keeper::new(Arc::clone(&store), ZONE).round(now).await.unwrap().is_empty());
    let (status, page) = call("GET", "/v1/worklist?state=open&limit=10", "rm-0", None).await;
    assert_eq!((status, page["tasks"][0]["id"].as_i64(), page["next"].is_null()), (200, Some(1), true), "{page}");
    assert_eq!(call("GET", "/v1/worklist", "rm-1", None).await.1["tasks"].as_array().unwrap().len(), 0);
    assert_eq!(call("GET", "/v1/worklist?limit=0", "rm-0", None).await.0, 400);
    assert_eq!(call("GET", "/v1/worklist?state=lost", "rm-0", None).await.0, 400);
    assert_eq!(call("GET", "/v1/worklist", "finance", None).await.0, 403);
    assert_eq!(call("GET", "/v1/worklist/1", "rm-1", None).await.0, 404);
    assert_eq!(call("POST", "/v1/worklist/1/claim", "rm-1", None).await.0, 404);
    let (status, claimed) = call("POST", "/v1/worklist/1/claim", "rm-0", None).await;
    assert_eq!((status, claimed["contact"]["phone"].as_str()), (200, Some("+8613800000000")), "{claimed}");
    assert_eq!(call("POST", "/v1/worklist/1/release", "rm-0", None).await.1["state"], "open");
    let result = serde_json::json!({"disposition": "completed", "connected_s": 60});
    let bad = serde_json::json!({"disposition": "opened", "connected_s": 60});
    let (status, problem) = call("POST", "/v1/worklist/1/result", "rm-0", Some(bad)).await;
    assert_eq!((status, problem["faults"].as_array().unwrap().len()), (422, 1), "{problem}");
    assert_eq!(call("POST", "/v1/worklist/1/result", "rm-0", Some(result.clone())).await.1["new"], true);
    assert_eq!(call("POST", "/v1/worklist/1/result", "rm-0", Some(result)).await.1["new"], false);
    let other = serde_json::json!({"disposition": "not_reached"});
    assert_eq!(call("POST", "/v1/worklist/1/result", "rm-0", Some(other)).await.0, 409);
    serving.stop().await.unwrap();
}

/// A day of a large bank. Run by hand: `cargo test --test worklist -- --ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement"]
async fn a_hundred_thousand_open_tasks_page_fast() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { create: true, durable: false, ..Options::default() };
    let store = SqliteStore::open_with(&folder.path().join("bank.db"), options).await.unwrap();
    customers(&store, 100).await;
    let roster: Vec<Rm> = (0..500).map(|n| rm(&format!("rm-{n}"), if n % 2 == 0 { "north" } else { "south" }, 10_000)).collect();
    worklist::put_rms(&store, &Actor::local("x"), &roster, NOW).await.unwrap();
    for chunk in 0..100_i64 {
        let one = |n: i64| {
            let n = chunk * 1_000 + n;
            let branch = Some(if n % 2 == 0 { "north" } else { "south" }.to_owned());
            NewTask { wanted_rm: Some(format!("rm-{}", n % 500)), branch, priority: (n % 7) as u8, ..task(&format!("t{n}"), n % 100 + 1) }
        };
        store.make_tasks(&(0..1_000).map(one).collect::<Vec<_>>()).await.unwrap();
    }
    let began = touchline::clock::monotonic();
    while worklist::assign_round(&store, ZONE, NOW).await.unwrap().more {}
    println!("assigned in {:?}", began.elapsed());
    for actor in [as_rm("rm-7", "south"), lead("north"), Actor::local("x")] {
        let (mut took, mut after, mut seen) = (Vec::new(), None, 0);
        for _ in 0..50 {
            let began = touchline::clock::monotonic();
            let page = worklist::list(&store, &actor, &Wanted { after, ..open(100) }, NOW).await.unwrap();
            took.push(began.elapsed());
            seen += page.len();
            let Some(last) = page.last() else { break };
            after = Some(TaskId(last.id));
        }
        took.sort();
        println!("{seen} tasks in {} pages: median {:?}, worst {:?}", took.len(), took[took.len() / 2], took[took.len() - 1]);
        assert!(took[took.len() / 2].as_millis() < 50);
    }
}
