//! A day of the bank over HTTP alone, against the real binary as a process: import, submission, the refusal of self-approval, approval, run,
//! claims and results, callbacks, opt-outs mid-batch, receipts out of order, a kill, a revision, exports, verification. And the same commands
//! by the command line as a client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
mod bank;
mod cli;
mod evening;
mod eyes;
mod http;
mod morning;
mod noon;
#[path = "../events/receiver.rs"]
#[allow(dead_code, reason = "other tests script its answers")]
mod receiver;
#[path = "../support/serving.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod serving;

use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_day_over_http() {
    let mut house = http::House::open(bank::settings);
    let hooks = morning::subscribe(&house).await;
    morning::take_in(&house).await;
    morning::put_roster(&house).await;
    eyes::hand_in_and_approve(&house).await;

    let held = noon::hold(&house).await;
    house.verb("olga", "start", json!({"why": "as agreed"}), 200).await;
    noon::progress(&house).await;
    noon::work_a_task(&house).await;
    noon::wish(&house).await;
    noon::report_a_call(&house).await;
    let out = noon::opt_out(&house).await;
    noon::pause_and_resume(&house).await;
    let texts = noon::receipts(&house).await;
    noon::emergency(&house).await;

    let before = house.attempts().await;
    house.kill();
    house.start();
    noon::goes_on(&house, before).await;
    eyes::revise(&house).await;
    noon::lift(&house, &held).await;
    let facts = evening::facts(&house).await;
    evening::finish(&house).await;

    noon::nothing_after_opt_out(&house, &out).await;
    noon::held_were_put_off_and_not_dropped(&house, &held).await;
    evening::exports(&house, &facts).await;
    evening::late_receipt(&house, &texts).await;
    evening::told(&house, &hooks).await;
    evening::audited(&house).await;
    let status = house.end();
    assert!(status.success(), "the daemon ended with {status}: {}", house.log.join("\n"));
    evening::quiet(&house.log);
}
