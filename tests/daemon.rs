//! The daemon's own part in real time, over SQLite, on simulated carriers: it takes runs up as they are approved, lets them go on by
//! approved revisions, exports each once after its end, also after a kill between the two, and ends in order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use touchline::app::daemon::{DaemonEnd, DaemonHandle, Phase};
use touchline::app::{Access, App};
use touchline::campaign_file;
use touchline::clock::sleep_ms;
use touchline::config::{Overrides, load};
use touchline::desk::{approve, control, submit};
use touchline::domain::campaign::Campaign;
use touchline::domain::tally::Tally;
use touchline::domain::touch::State;
use touchline::store::{CampaignRow, CustomerInput, Status};

const CUSTOMERS: usize = 300;

async fn app(folder: &Path) -> Arc<App> {
    let settings = folder.join("touchline.toml");
    let profile =
        "profile = {channels = ['call'], outcomes = [{disposition = 'answered', share = '100%', after = {fixed = '20s'}, talk = {fixed = '40s'}}]}";
    let route = |name: &str| format!("[[routes]]\nname = '{name}'\nchannel = 'call'\nlimit = '5000/s'\nspeed = 1000\n{profile}\n");
    std::fs::write(&settings, route("trunk") + &route("other")).unwrap();
    let url = format!("sqlite:{}", folder.join("t.sqlite").display());
    let config = load(Some(&settings), &Overrides { store_url: Some(url), data: Some(folder.join("data")), ..Overrides::default() }).unwrap();
    Arc::new(App::open(config, Access::Write).await.unwrap())
}

async fn bank(app: &App) {
    let customers: Vec<CustomerInput> = (0..CUSTOMERS)
        .map(|i| CustomerInput {
            reference: format!("c{i:05}"),
            phone: Some(touchline::domain::contact::Phone::new(format!("+8613800{i:06}"))),
            timezone: Some(chrono_tz::Asia::Shanghai),
            ..CustomerInput::default()
        })
        .collect();
    app.store.put_customers(&customers, None).await.unwrap();
    let list = app.store.open_list("everybody", app.now()).await.unwrap();
    app.store.add_all_customers(list).await.unwrap();
    app.store.freeze_list(list, app.now()).await.unwrap();
}

fn campaign(name: &str, start: &str, rate: &str, route: &str) -> Campaign {
    let text = format!(
        "campaign: {name}\ntitle: A test\nopportunity: investment\nowner: tests\naudience: {{list: everybody}}\n\
         schedule: {{start: {start}, end: 2099-12-31T23:59, timezone: UTC}}\npolicy: [wide-open]\nlimits: {{rate: {rate}}}\n\
         journey:\n  - {{step: call, channel: call, routes: [{route}], attempts: 1}}\nstop_on: [opt_out]\nfinance: {{format: csv}}\n"
    );
    campaign_file::load(name, &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

const PAST: &str = "2020-01-01T00:00";

/// Handed in, approved and started: it begins at its first moment.
async fn enter(app: &App, campaign: &Campaign) -> CampaignRow {
    app.enter(std::slice::from_ref(campaign), "tester").await.unwrap_or_else(|f| panic!("{}", f.text));
    control::start(app.store.as_ref(), &campaign.name, "tester", "its time has come", app.eyes(campaign, false), app.now()).await.unwrap()
}

/// Looks until it is so; a minute is a hang.
async fn until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    for _ in 0..1_200 {
        if look().await {
            return;
        }
        sleep_ms(50).await;
    }
    panic!("it did not come to this within a minute: {what}");
}

async fn status(app: &App, name: &str) -> Status {
    app.store.campaign(name, Some(false)).await.unwrap().status
}

async fn exported(app: &App, row: &CampaignRow) -> bool {
    app.store.exports(row.id).await.unwrap().len() == 2
}

async fn end(handle: &DaemonHandle, ended: DaemonEnd) {
    handle.drain();
    ended.await.unwrap().unwrap_or_else(|f| panic!("{}", f.text));
    assert_eq!(handle.standing().engine.phase, Phase::Over);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_is_run_and_exported_once_and_the_rest_goes_on() {
    let folder = TempDir::new().unwrap();
    let app = app(folder.path()).await;
    bank(&app).await;
    let (handle, ended) = Arc::clone(&app).daemon(1).await.unwrap_or_else(|f| panic!("{}", f.text));
    until("ready", async || handle.standing().is_ready()).await;
    assert!(Arc::clone(&app).daemon(1).await.is_err(), "one daemon a store");

    // One that cannot be put together is shown, and does not stop the others; one of the future waits; one is stopped before it begins.
    let lost = enter(&app, &campaign("lost", PAST, "200/s", "nowhere")).await;
    let first = enter(&app, &campaign("first", PAST, "2000/s", "trunk")).await;
    let later = enter(&app, &campaign("later", "2098-01-01T00:00", "200/s", "trunk")).await;
    let never = enter(&app, &campaign("never", "2098-01-01T00:00", "200/s", "trunk")).await;
    control::stop(app.store.as_ref(), "never", "tester", "not wanted", app.now()).await.unwrap();
    handle.nudge();
    until("the first run is finished and exported", async || exported(&app, &first).await).await;
    until("the stopped run is closed", async || status(&app, "never").await == Status::Stopped).await;
    until("the stopped run is exported", async || exported(&app, &never).await).await;
    assert_eq!(status(&app, "first").await, Status::Finished);
    assert_eq!(status(&app, "later").await, later.status, "it waits for its start");
    let standing = handle.standing();
    assert!(standing.troubles.iter().any(|t| t.campaign == lost.id && t.what.contains("no configured route")), "{standing:?}");
    assert!(!handle.is_running(first.id) && !handle.is_running(later.id));
    let tallies = app.store.tallies(first.id).await.unwrap();
    assert_eq!(tallies.get(Tally::Customers, i64::from(State::Reached.code())), i64::try_from(CUSTOMERS).unwrap());
    end(&handle, ended).await;

    // The next one finds nothing left to do.
    let (handle, ended) = Arc::clone(&app).daemon(1).await.unwrap_or_else(|f| panic!("{}", f.text));
    until("ready", async || handle.standing().is_ready() && handle.standing().closing.is_empty()).await;
    sleep_ms(600).await;
    assert!(exported(&app, &first).await && exported(&app, &never).await, "nothing is exported twice");
    end(&handle, ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ended_just_before_a_kill_is_exported_by_the_next() {
    let folder = TempDir::new().unwrap();
    let app = app(folder.path()).await;
    bank(&app).await;
    let row = enter(&app, &campaign("ended", PAST, "5000/s", "trunk")).await;
    // An engine alone: it ends the run, and nobody exports it.
    let fence = app.store.acquire(false, app.now()).await.unwrap();
    let engine = app.start_engine(std::slice::from_ref(&row), fence, 1).await.unwrap_or_else(|f| panic!("{}", f.text));
    engine.ended.await.unwrap().unwrap();
    app.store.release(fence).await.unwrap();
    assert_eq!(status(&app, "ended").await, Status::Finished);
    assert!(app.store.exports(row.id).await.unwrap().is_empty());

    let (handle, ended) = Arc::clone(&app).daemon(1).await.unwrap_or_else(|f| panic!("{}", f.text));
    until("it is exported", async || exported(&app, &row).await).await;
    end(&handle, ended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_finished_run_goes_on_and_takes_an_approved_revision_up() {
    let folder = TempDir::new().unwrap();
    let app = app(folder.path()).await;
    bank(&app).await;
    // Ten a second: it would take half a minute.
    let row = enter(&app, &campaign("slow", PAST, "10/s", "trunk")).await;
    let (handle, ended) = Arc::clone(&app).daemon(1).await.unwrap_or_else(|f| panic!("{}", f.text));
    let attempts = async || app.store.tallies(row.id).await.unwrap().of(Tally::AttemptsByChannel).map(|(_, n)| n).sum::<i64>();
    until("it has begun", async || attempts().await >= 5).await;
    end(&handle, ended).await;
    let before = attempts().await;
    assert!(before < 100, "{before} at ten a second");

    let (handle, ended) = Arc::clone(&app).daemon(1).await.unwrap_or_else(|f| panic!("{}", f.text));
    until("it goes on", async || attempts().await > before).await;
    assert!(handle.is_running(row.id));
    // First one that cannot be run (no such route): it is shown, and the run goes on as it is.
    for (file, is_good) in [(campaign("slow", PAST, "900/s", "nowhere"), false), (campaign("slow", PAST, "900/s", "other"), true)] {
        let submitted = submit::submit(app.store.as_ref(), &file, false, "author", app.now()).await.unwrap();
        assert!(submitted.revision.is_some());
        approve::approve(app.store.as_ref(), "slow", &submitted.seal.seal, "approver", "faster", true, app.now()).await.unwrap();
        handle.nudge();
        if !is_good {
            until("the trouble is shown", async || handle.standing().troubles.iter().any(|t| t.campaign == row.id)).await;
            assert!(handle.is_running(row.id) && status(&app, "slow").await == Status::Running);
        }
    }
    until("finished and exported", async || exported(&app, &row).await).await;
    let done = app.store.campaign_by_id(row.id).await.unwrap();
    assert_eq!((done.status, done.revision), (Status::Finished, 2));
    assert!(handle.standing().troubles.is_empty(), "{:?}", handle.standing().troubles);
    let other = app.store.route_id("other").await.unwrap();
    let tallies = app.store.tallies(row.id).await.unwrap();
    let by_other = tallies.of(Tally::AttemptsByRoute).find(|(route, _)| *route == i64::from(other.0)).map_or(0, |(_, n)| n);
    assert!(by_other > 100, "{by_other} of {CUSTOMERS} by the route of the revision");
    assert_eq!(tallies.of(Tally::AttemptsByChannel).map(|(_, n)| n).sum::<i64>(), i64::try_from(CUSTOMERS).unwrap(), "each once");
    end(&handle, ended).await;
}
