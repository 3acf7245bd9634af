//! The rate: what a carrier is sent in one second.
use super::bank::{Bank, Plan};
use std::process::Command;
use touchline::channels::simulator::journal::most_in_window;

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
    let bank = Bank::new(Plan { customers: 500, rate: 10, credit: 20, batch: 10, no_answer: 0, ..Plan::default() });
    let mut run = bank.run();
    for kill in 1..=4 {
        bank.wait_for_sends(kill * 14, &mut run);
        run.kill();
        run = bank.run();
    }
    bank.wait_for_sends(70, &mut run);
    run.kill();
    let most = most_in_window(&bank.journal(), 1_000);
    println!("at most {most} in a second over four restarts");
    // By the carrier's clock, which a busy machine reads late: one send of those a tenth of a second apart may fall into its
    // neighbour's second. Without a memory of the process before it would be the two that every new one begins with, and more.
    assert!(most <= 11, "{most} in one second, the limit is 10");
}
