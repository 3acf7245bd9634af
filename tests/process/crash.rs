//! `kill -9` at random moments of a real run.
use super::bank::{Bank, CAMPAIGN, Plan, campaign_until, nap, wait};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use touchline::clock::{Clock, SystemClock};
use touchline::domain::ids::{CampaignId, CustomerId, TouchKey};
use touchline::domain::time::{SECOND, Timestamp};

const CUSTOMERS: usize = 50_000;
const CREDIT: u32 = 500;

/// `TOUCHLINE_SEED`, or another one each time.
fn seed() -> u64 {
    let seed = std::env::var("TOUCHLINE_SEED").ok().map_or_else(rand::random, |s| s.parse().unwrap());
    println!("TOUCHLINE_SEED={seed}");
    seed
}

/// Every row of the ledger, from its export: the touch and its state. One intent (a step's attempt) has one row.
fn ledger(bank: &Bank) -> BTreeMap<TouchKey, String> {
    bank.json(&["export", "touches", "--campaign", CAMPAIGN, "--format", "csv", "--out", "exports"]);
    let (mut rows, mut intents) = (BTreeMap::new(), BTreeSet::new());
    for folder in std::fs::read_dir(bank.path("exports")).unwrap().flatten().filter(|f| f.path().is_dir()) {
        for file in std::fs::read_dir(folder.path()).unwrap().flatten().filter(|f| f.path().extension().is_some_and(|e| e == "csv")) {
            let mut csv = csv::Reader::from_path(file.path()).unwrap();
            let header = csv.headers().unwrap().clone();
            let place = |name: &str| header.iter().position(|h| h == name).unwrap_or_else(|| panic!("no column {name} in {header:?}"));
            let (customer, seq, step, attempt, state) = (place("customer"), place("seq"), place("step"), place("attempt"), place("state"));
            for row in csv.records() {
                let row = row.unwrap();
                let intent = (row[customer].to_owned(), row[step].to_owned(), row[attempt].to_owned());
                assert!(intents.insert(intent.clone()), "two touches for {intent:?}");
                let touch =
                    TouchKey { customer: CustomerId(row[customer].parse().unwrap()), campaign: CampaignId(1), seq: row[seq].parse().unwrap() };
                assert!(rows.insert(touch, row[state].to_owned()).is_none(), "touch {touch} twice in the export");
            }
        }
    }
    rows
}

#[test]
fn killed_at_random_moments_nobody_is_sent_twice_and_every_sum_closes() {
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let bank = Bank::new(Plan { customers: CUSTOMERS, rate: 5_000, credit: CREDIT, batch: 200, ..Plan::default() });
    let mut kills: u32 = 0;
    let mut run = bank.run();
    // Eight kills spread over the sends; after every second one the next comes while the new process is still putting the last one's
    // touches in order.
    for eighth in 0..8_usize {
        bank.wait_for_sends(eighth * 5_000 + rng.random_range(1..4_500), &mut run);
        nap(rng.random_range(0..30));
        run.kill();
        kills += 1;
        run = bank.run();
        if eighth % 2 == 1 {
            let pid = run.pid().to_string();
            let lock = bank.path("touchline.sqlite.lock");
            wait(|| (std::fs::read_to_string(&lock).ok()? == pid).then_some(()), || format!("the run does not take the lock:\n{}", run.said()));
            nap(rng.random_range(0..60));
            run.kill();
            kills += 1;
            run = bank.run();
        }
    }
    let end = run.end();
    assert!(end.success(), "{end}\n{}", run.said());

    bank.assert_nobody_twice();
    let report = bank.status();
    report.assert_over("finished");
    assert_eq!((report.audience, report.version), (i64::try_from(CUSTOMERS).unwrap(), 1));
    let in_doubt = report.count("uncertain");
    println!("{kills} kills, {} sends, {in_doubt} customers in doubt: {report:?}", bank.journal().len());
    assert!(in_doubt > 0, "no kill met a touch in flight: this test has shown nothing");
    assert!(in_doubt <= i64::from(CREDIT * kills), "{in_doubt} in doubt after {kills} kills with {CREDIT} in hand at most");
    assert!(report.count("missed") > 0 && report.count("reached") > 0, "{report:?}");

    // Carrier and ledger agree touch by touch: whatever was sent is on record as an attempt; what is on record and was not sent is
    // in doubt, and of those no more than were in hand.
    let rows = ledger(&bank);
    let sent: BTreeSet<TouchKey> = bank.journal().iter().filter(|l| l.sent).map(|l| l.touch).collect();
    for touch in &sent {
        let state = rows.get(touch).unwrap_or_else(|| panic!("touch {touch} was sent and is not in the ledger"));
        assert!(["reached", "missed", "uncertain"].contains(&state.as_str()), "touch {touch} was sent and is {state}");
    }
    for (touch, state) in rows.iter().filter(|(touch, _)| !sent.contains(touch)) {
        assert_eq!(state, "uncertain", "touch {touch} was never sent");
    }
    assert_eq!(i64::try_from(rows.len()).unwrap(), report.attempts);
    // Everybody by the last of their touches.
    let mut states: BTreeMap<&str, i64> = BTreeMap::new();
    let heads: BTreeMap<CustomerId, &str> = rows.iter().map(|(touch, state)| (touch.customer, state.as_str())).collect();
    for state in heads.values() {
        *states.entry(state).or_default() += 1;
    }
    for state in ["reached", "missed", "uncertain"] {
        assert_eq!(states.get(state).copied().unwrap_or(0), report.count(state), "customers {state}");
    }
    assert_eq!(heads.len(), CUSTOMERS);
    // The tallies, recounted from the rows.
    let checks = String::from_utf8(bank.ask(&["doctor", "--json"]).stdout).unwrap();
    assert!(checks.contains("closed over 50000 customers, and recounted from the rows"), "{checks}");
}

#[test]
fn the_same_command_after_the_end_contacts_nobody_again() {
    let bank = Bank::new(Plan { customers: 300, rate: 1_000, ..Plan::default() });
    bank.run_to_end();
    let sends = bank.journal().len();
    // A service manager that restarts a process killed between the campaign's end and its own gives this command.
    bank.run_to_end();
    assert_eq!(bank.journal().len(), sends);
    let report = bank.status();
    report.assert_over("finished");
    assert_eq!(report.version, 1);
    bank.assert_nobody_twice();
}

#[test]
fn a_run_that_was_killed_before_its_end_and_restarted_after_it_calls_off_what_is_left() {
    let bank = Bank::new(Plan { customers: 4_000, rate: 100, credit: 40, batch: 20, ..Plan::default() });
    let end = SystemClock.now().plus(15 * SECOND);
    let end = Timestamp(end.0 - end.0 % SECOND);
    campaign_until(&bank.path("campaign.yaml"), CAMPAIGN, &end.utc().format("%Y-%m-%dT%H:%M:%S").to_string());
    let mut run = bank.run();
    bank.wait_for_sends(50, &mut run);
    run.kill();
    wait(|| (SystemClock.now() > end).then_some(()), || "the clock stands".to_owned());
    let sends = bank.journal().len();
    bank.run_to_end();
    assert_eq!(bank.journal().len(), sends, "sent after the campaign's end");
    let report = bank.status();
    report.assert_over("finished");
    assert!(report.count("cancelled") + report.count("expired") > 3_000 && report.count("uncertain") <= 40, "{report:?}");
}
