//! The rate: what a carrier is sent in one second.
use super::bank::{Bank, Plan, wait};
use std::process::Command;
use touchline::channels::simulator::journal::most_in_window;
use touchline::clock::{Clock, SystemClock};

#[test]
fn no_second_holds_more_than_the_limit() {
    for (rate, seconds) in [(10, 5), (200, 5), (5_000, 5)] {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_touchline"))
            .current_dir(folder.path())
            .args(["bench", "pace", "--json", "--rate", &rate.to_string(), "--seconds", &seconds.to_string()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let measured: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        println!("{measured}");
        let most = measured["max_in_1s"].as_u64().unwrap();
        assert!((1..=rate).contains(&most), "{measured}");
        assert!(measured["sent"].as_u64().unwrap() > 0 && measured["used_share"].as_f64().unwrap() > 0.0, "{measured}");
    }
}

#[test]
fn a_restart_does_not_forget_what_was_sent_a_moment_ago() {
    let bank = Bank::new(Plan { customers: 3_000, rate: 200, credit: 100, batch: 50, no_answer: 0, ..Plan::default() });
    let mut run = bank.run();
    for _ in 0..3 {
        bank.wait_for_sends(bank.journal().len() + 220, &mut run);
        run.kill();
        // First touches are begun in the order of customers: whoever comes after these is sent by the next process.
        let begun = bank.status().attempts;
        let killed = SystemClock.now();
        run = bank.run();
        let first = || bank.journal().into_iter().filter(|l| l.touch.customer.0 > begun).map(|l| l.at).min();
        let first = wait(first, || format!("nothing is sent after a restart\n{}", bank.status().attempts));
        // What was sent before the kill is out of every window by then. (A busy machine can only make it later.)
        assert!(first.since(killed) >= 1_000, "the next process sent {} ms after the kill of one that used the whole limit", first.since(killed));
    }
    run.kill();
    println!("by the carrier's clock at most {} in a second, of 200", most_in_window(&bank.journal(), 1_000));
}
