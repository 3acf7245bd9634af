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
    let bank = Bank::new(Plan { customers: 2_000, rate: 200, credit: 400, batch: 50, no_answer: 0, ..Plan::default() });
    let mut run = bank.run();
    for kill in 1..=3 {
        bank.wait_for_sends(kill * 300, &mut run);
        run.kill();
        run = bank.run();
    }
    bank.wait_for_sends(1_100, &mut run);
    run.kill();
    let most = most_in_window(&bank.journal(), 1_000);
    println!("at most {most} in a second over four kills");
    assert!(most <= 200, "{most} in one second, the limit is 200");
}
