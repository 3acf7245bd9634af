//! Operators and customers speak up while a run is on, from processes of their own.
use super::bank::{Bank, CAMPAIGN, Plan, Process, nap, wait};
use touchline::clock::{Clock, SystemClock};
use touchline::domain::time::Timestamp;

fn slow(customers: usize) -> Plan {
    Plan { customers, rate: 300, credit: 60, batch: 20, ..Plan::default() }
}

fn assert_ends_well(run: &mut Process) {
    let status = run.end();
    assert!(status.success(), "{status}\n{}", run.said());
}

#[test]
fn an_interrupted_run_drains_leaves_nothing_in_doubt_and_goes_on_later() {
    for signal in ["INT", "TERM"] {
        let bank = Bank::new(slow(1_200));
        let mut run = bank.run();
        bank.wait_for_sends(250, &mut run);
        run.signal(signal);
        assert_ends_well(&mut run);
        let report = bank.status();
        assert_eq!((report.status.as_str(), report.count("uncertain"), report.count("started")), ("running", 0, 0), "{signal}: {report:?}");
        assert!(report.count("pending") > 0, "{signal}: it came to its end before it was interrupted: {report:?}");
        // What was begun and not sent was given back: every attempt on record was sent.
        assert_eq!(usize::try_from(report.attempts).unwrap(), bank.journal().len(), "{signal}");
        bank.run_to_end();
        let report = bank.status();
        report.assert_over("finished");
        assert_eq!(report.count("uncertain"), 0, "{report:?}");
        assert_eq!(usize::try_from(report.attempts).unwrap(), bank.journal().len(), "{signal}");
        bank.assert_nobody_twice();
    }
}

fn wait_for_status(bank: &Bank, wanted: &str, run: &mut Process) {
    let log = run.log.clone();
    wait(
        || {
            assert!(run.lives(), "the run ended: {}", run.said());
            let report = bank.status();
            (report.status == wanted && report.count("started") == 0).then_some(())
        },
        || format!("the run does not become {wanted}: {:?}\n{}", bank.status(), std::fs::read_to_string(&log).unwrap()),
    );
}

#[test]
fn pause_resume_and_stop_from_another_process() {
    let bank = Bank::new(slow(3_000));
    let mut run = bank.run();
    bank.wait_for_sends(200, &mut run);
    let refused = bank.ask(&["campaign", "pause", CAMPAIGN]);
    assert_eq!(refused.status.code(), Some(2), "a pause needs a reason: without one the command is used wrongly");
    bank.json(&["campaign", "pause", CAMPAIGN, "--why", "a complaint"]);
    wait_for_status(&bank, "paused", &mut run);
    let held = bank.journal().len();
    // Longer than the poll of wishes, the retry and the look ahead together.
    nap(3_000);
    assert_eq!(bank.journal().len(), held, "a paused campaign sends");
    let report = bank.status();
    assert!(report.count("pending") > 0 && report.count("uncertain") == 0, "{report:?}");

    bank.json(&["campaign", "resume", CAMPAIGN, "--why", "settled"]);
    bank.wait_for_sends(held + 200, &mut run);

    bank.json(&["campaign", "stop", CAMPAIGN, "--why", "enough"]);
    assert_ends_well(&mut run);
    let report = bank.status();
    report.assert_over("stopped");
    assert!(report.count("cancelled") > 0 && report.count("reached") > 0 && report.count("uncertain") == 0, "{report:?}");
    assert_eq!(usize::try_from(report.attempts).unwrap(), bank.journal().len());
    bank.assert_nobody_twice();

    let again = bank.ask(&["campaign", "resume", CAMPAIGN, "--why", "after all"]);
    assert_eq!(again.status.code(), Some(1), "a stopped run does not come back");
    // Nor by its file: whoever was called off was called off for good.
    let sends = bank.journal().len();
    bank.run_to_end();
    assert_eq!(bank.journal().len(), sends);
}

#[test]
fn wishes_made_while_no_process_runs_hold_at_the_next_start() {
    let bank = Bank::new(slow(1_500));
    let mut run = bank.run();
    bank.wait_for_sends(150, &mut run);
    bank.json(&["campaign", "pause", CAMPAIGN, "--why", "night"]);
    wait_for_status(&bank, "paused", &mut run);
    run.kill();
    let sends = bank.journal().len();

    // Killed while paused: paused it comes back.
    let mut run = bank.run();
    nap(1_500);
    assert!(run.lives(), "{}", run.said());
    assert_eq!(bank.journal().len(), sends, "a paused campaign sends after a restart");
    run.signal("INT");
    assert_ends_well(&mut run);

    // Resumed while nobody runs it: it goes on at the next start.
    bank.json(&["campaign", "resume", CAMPAIGN, "--why", "morning"]);
    let mut run = bank.run();
    bank.wait_for_sends(sends + 150, &mut run);
    assert_eq!(bank.status().status, "running");
    run.kill();

    // Paused while nobody runs it, and resumed under way.
    bank.json(&["campaign", "pause", CAMPAIGN, "--why", "noon"]);
    let sends = bank.journal().len();
    let mut run = bank.run();
    wait_for_status(&bank, "paused", &mut run);
    nap(1_500);
    assert_eq!(bank.journal().len(), sends);
    bank.json(&["campaign", "resume", CAMPAIGN, "--why", "afternoon"]);
    bank.wait_for_sends(sends + 50, &mut run);
    run.kill();

    // Stopped while nobody runs it: closed at once.
    bank.json(&["campaign", "stop", CAMPAIGN, "--why", "evening"]);
    let report = bank.status();
    assert_eq!(report.status, "stopped", "{report:?}");
    bank.assert_nobody_twice();
}

#[test]
fn an_opt_out_imported_under_way_holds_from_the_moment_the_import_returns() {
    const OUT: usize = 40;
    let bank = Bank::new(slow(2_000));
    let mut run = bank.run();
    bank.wait_for_sends(100, &mut run);
    // Every fifth of those who come soon, where the page read ahead and the touches in hand are.
    let out: Vec<usize> = (0..OUT).map(|i| 300 + i * 5).collect();
    let rows: String = out.iter().map(|i| format!("c{i:06},2026-01-01T00:00:00Z\n")).collect();
    std::fs::write(bank.path("out.csv"), format!("customer,at\n{rows}")).unwrap();
    let map = "kind: consents\nformat: csv\ncolumns:\n  customer: customer\n  channel: {value: call}\n  purpose: {value: marketing}\n  state: {value: withdrawn}\n  at: at\n  source: {value: hotline}\n";
    std::fs::write(bank.path("out.map.yaml"), map).unwrap();
    let report = bank.json(&["import", "consents", "out.csv", "--mapping", "out.map.yaml"]);
    let returned = SystemClock.now();
    assert_eq!(report["sums"]["accepted"], OUT, "{report}");
    assert_ends_well(&mut run);

    let journal = bank.journal();
    let (mut refused, mut late) = (0, Vec::new());
    for i in out {
        let reference = format!("c{i:06}");
        let seen = bank.json(&["explain", "--customer", &reference, "--campaign", CAMPAIGN]);
        let touches = seen["campaigns"][0]["touches"].as_array().unwrap().clone();
        for touch in &touches {
            let Some(started) = touch["started_at"].as_str() else { continue };
            let started: Timestamp = chrono::DateTime::parse_from_rfc3339(started).unwrap().to_utc().into();
            if started > returned {
                late.push(touch["touch"].clone());
            }
        }
        if seen["campaigns"][0]["standing"] == "suppressed" {
            refused += 1;
            // Suppressed before any touch: the carrier never heard of them.
            let sent = journal.iter().filter(|l| usize::try_from(l.touch.customer.0).unwrap() == i + 1).count();
            let started = touches.iter().filter(|t| t["started_at"].is_string()).count();
            assert_eq!(sent, started, "{reference}");
        }
    }
    assert!(late.is_empty(), "started after the opt-out was on record: {late:?}");
    assert!(refused > 0, "every one of them was called before the opt-out came: this test has shown nothing");
    println!("{refused} of {OUT} were refused in time");
    bank.status().assert_over("finished");
    bank.assert_nobody_twice();
}
