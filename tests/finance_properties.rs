//! What was exported plus its correction is what the ledger says, whatever happened in between; and the encoder's speed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/finance.rs"]
mod support;

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use support::*;
use touchline::domain::campaign::{Credit, ExportFormat};
use touchline::domain::ids::CustomerId;
use touchline::domain::outcome::Reason;
use touchline::domain::tally::Tally;
use touchline::domain::time::{HOUR, Timestamp};
use touchline::domain::touch::State;
use touchline::finance::totals::Totals;
use touchline::finance::{What, attribute, correct, verify};
use touchline::store::*;

/// What is exported plus its correction, by the columns of the CSV files alone.
fn apply(old: &[BTreeMap<String, String>], correction: &[BTreeMap<String, String>]) -> BTreeMap<BTreeMap<String, String>, i64> {
    let mut rows: BTreeMap<BTreeMap<String, String>, i64> = BTreeMap::new();
    for row in old {
        *rows.entry(row.clone()).or_insert(0) += 1;
    }
    for row in correction {
        let mut row = row.clone();
        let reversal = row.remove("change").unwrap() == "reversal";
        if reversal {
            for measure in ["attempts", "steps", "connected_s", "cost", "parts", "amount"] {
                if let Some(text) = row.get_mut(measure) {
                    *text = match text.strip_prefix('-') {
                        Some(positive) => positive.to_owned(),
                        None if text.trim_start_matches(['0', '.']).is_empty() => text.clone(),
                        None => format!("-{text}"),
                    };
                }
            }
        }
        *rows.entry(row).or_insert(0) += if reversal { -1 } else { 1 };
    }
    rows.retain(|_, n| *n != 0);
    rows
}

type Sums = (BTreeMap<String, i64>, [i64; 3], BTreeMap<String, Vec<rust_decimal::Decimal>>);

fn sum(a: &Totals, b: &Totals) -> Sums {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    let mut sums: BTreeMap<String, Vec<rust_decimal::Decimal>> = BTreeMap::new();
    for totals in [a, b] {
        for (state, n) in &totals.counts {
            *counts.entry(state.clone()).or_insert(0) += n;
        }
        for (currency, s) in &totals.sums {
            let of = sums.entry(currency.clone()).or_insert_with(|| vec![rust_decimal::Decimal::ZERO; 4]);
            for (into, text) in of.iter_mut().zip([&s.cost, &s.amount, &s.credited, &s.holdout]) {
                *into += text.parse::<rust_decimal::Decimal>().unwrap();
            }
        }
    }
    counts.retain(|_, n| *n != 0);
    sums.retain(|_, s| s.iter().any(|d| !d.is_zero()));
    (counts, [a.attempts + b.attempts, a.connected_s + b.connected_s, a.parts + b.parts], sums)
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0_u32..300).prop_map(Act::Reach),
        4 => Just(Act::Miss),
        1 => Just(Act::Last),
        1 => Just(Act::Refuse),
        1 => Just(Act::Doubt),
        1 => Just(Act::LeaveStarted),
        1 => Just(Act::Suppress),
        1 => Just(Act::Defer),
    ]
}

#[derive(Debug, Clone)]
struct Case {
    scripts: Vec<Vec<Act>>,
    firsts: Vec<usize>,
    cut: usize,
    facts: Vec<(usize, i64, i64)>,
    credit: Credit,
    holdout_ppm: u32,
    stop: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    let credit = prop_oneof![Just(Credit::LastReached), Just(Credit::FirstReached), Just(Credit::Linear), Just(Credit::Position)];
    (
        proptest::collection::vec(proptest::collection::vec(acts(), 1..4), 1..14),
        proptest::collection::vec(0_usize..8, 1..5),
        0_usize..5,
        proptest::collection::vec((0_usize..14, -50_000_i64..50_000, 0_i64..90), 0..12),
        credit,
        prop_oneof![Just(0_u32), Just(250_000)],
        any::<bool>(),
    )
        .prop_map(|(scripts, firsts, cut, facts, credit, holdout_ppm, stop)| Case { scripts, firsts, cut, facts, credit, holdout_ppm, stop })
}

async fn old_plus_correction_is_new(on: On, case: Case) {
    let mut bank = Bank::open(on, case.scripts.len(), campaign("property", case.holdout_ppm, case.credit)).await;
    let first = bank.ids[0].0;
    let scripts = case.scripts.clone();
    let script = move |c: CustomerId, seq: u32| scripts[(c.0 - first) as usize].get(seq as usize).copied().unwrap_or(Act::Last);
    let out = tempfile::tempdir().unwrap();
    let facts: Vec<(usize, String, i64, Timestamp)> = case
        .facts
        .iter()
        .enumerate()
        .filter(|(_, (c, ..))| *c < case.scripts.len())
        .map(|(i, (c, minor, quarter))| (*c + 1, format!("F{i}"), *minor, T0.plus(quarter * HOUR / 4)))
        .collect();
    let half = facts.len() / 2;
    let put = async |bank: &Bank, facts: &[(usize, String, i64, Timestamp)]| {
        let rows: Vec<_> = facts
            .iter()
            .map(|(c, f, m, at)| (*c, f.as_str(), if m % 2 == 0 { "term-deposit" } else { "fund" }, *m, if m % 3 == 0 { "KWD" } else { "CNY" }, *at))
            .collect();
        bank.facts(&rows).await;
    };
    for n in case.firsts.iter().take(case.cut) {
        bank.play(*n, &script).await;
    }
    put(&bank, &facts[..half]).await;
    attribute(bank.store(), &bank.row().await, &bank.campaign).await.unwrap();
    bank.round += 1;
    let mut old = Vec::new();
    for what in What::ALL {
        old.push(make(&bank, out.path(), what, ExportFormat::Csv).await);
    }
    // Exports are what the ledger says, and intact.
    let row = bank.row().await;
    let tallies = bank.store.tallies(bank.run).await.unwrap();
    let results = &old[0].manifest.totals;
    for (state, n) in tallies.customers(row.audience) {
        assert_eq!(results.counts[state.name()], n, "{state}");
    }
    for report in &old[..2] {
        let totals = &report.manifest.totals;
        assert_eq!(totals.attempts, tallies.of(Tally::AttemptsByChannel).map(|(_, n)| n).sum::<i64>());
        assert_eq!((totals.connected_s, totals.parts), (tallies.get(Tally::ConnectedSeconds, 0), tallies.get(Tally::Parts, 0)));
        let cost = totals
            .sums
            .get("CNY")
            .map_or(0, |s| (s.cost.parse::<rust_decimal::Decimal>().unwrap() * rust_decimal::Decimal::from(1_000_000)).try_into().unwrap());
        assert_eq!(cost, tallies.get(Tally::CostMicros, 0));
    }
    for report in &old {
        assert_intact(&bank, &report.folder).await;
    }
    // Time goes on.
    bank.round += 1;
    for n in case.firsts.iter().skip(case.cut) {
        bank.play(*n, &script).await;
    }
    put(&bank, &facts[half..]).await;
    if case.stop {
        bank.round += 1;
        bank.store.call_off(bank.fence, bank.run, Reason::Stopped, bank.now()).await.unwrap();
        let change = StatusChange { to: Status::Stopped, by: "op".into(), why: "enough".into(), at: bank.now(), reason: Some(Reason::Stopped) };
        bank.store.set_status(bank.run, &change).await.unwrap();
    }
    attribute(bank.store(), &bank.row().await, &bank.campaign).await.unwrap();
    bank.round += 1;
    let credits = bank.store.credits(bank.run, None, 10_000).await.unwrap();
    for (i, (_, name, minor, _)) in facts.iter().enumerate() {
        let of: Vec<_> = credits.iter().filter(|c| c.fact == i as i64 + 1).collect();
        assert!(of.is_empty() || of.iter().map(|c| c.amount.minor).sum::<i64>() == *minor, "{name} of {minor}: {of:?}");
    }
    for report in &old {
        let moved = verify(Some(bank.store()), &report.folder).await.unwrap();
        assert!(moved.is_intact(), "what came later is no fault: {moved:#?}");
        let correction = correct(bank.store(), report.manifest.number, out.path(), bank.now()).await.unwrap();
        assert_eq!(correction.export.is_some(), moved.moved_on_count > 0, "{moved:#?}");
        let fresh = make(&bank, out.path(), report.manifest.what, ExportFormat::Csv).await;
        let file = |folder: &PathBuf| csv_rows(&folder.join(format!("{}.csv", report.manifest.what.name())));
        let (corrected, totals) = match &correction.export {
            Some(c) => (file(&c.folder), c.manifest.totals.clone()),
            None => (Vec::new(), Totals::default()),
        };
        assert_eq!(apply(&file(&report.folder), &corrected), apply(&file(&fresh.folder), &[]));
        assert_eq!(sum(&report.manifest.totals, &totals), sum(&fresh.manifest.totals, &Totals::default()));
        if let Some(made) = &correction.export {
            assert_intact(&bank, &made.folder).await;
        }
        assert!(correct(bank.store(), report.manifest.number, out.path(), bank.now()).await.unwrap().export.is_none());
    }
}

fn live(on: On, case: Case) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(old_plus_correction_is_new(on, case));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn old_plus_correction_is_new_whatever_happened(case in cases()) {
        live(On::Memory, case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn old_plus_correction_is_new_over_sqlite(case in cases()) {
        live(On::Sqlite, case);
    }
}

/// The encoder alone, from arrays: pages of touches into Parquet. Prints its rate; meant for an optimised build:
/// `cargo test --release --test finance_properties -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn parquet_of_touches_from_arrays_at_speed() {
    use touchline::domain::channel::Channel;
    use touchline::domain::ids::{RuleNo, TouchKey};
    use touchline::domain::touch::Touch;
    use touchline::finance::columns::touch_columns;
    use touchline::finance::labels::{Labels, Names};
    use touchline::finance::rows::Shape;
    use touchline::finance::writer::Encoder;
    let bank = Bank::open(On::Memory, 1, campaign("autumn", 0, Credit::LastReached)).await;
    let labels = Labels::from(&bank.campaign);
    let names = std::sync::Arc::new(Names::load(bank.store(), &bank.row().await, &labels).await.unwrap());
    let shape = Shape { what: What::Touches, correction: false, amount_digits: 2 };
    let pages: Vec<(Vec<Touch>, Vec<Box<str>>)> = (0..50_i64)
        .map(|page| {
            let ids: Vec<i64> = (0..20_000).map(|n| page * 20_000 + n).collect();
            let touch = |id: &i64| Touch {
                channel: Some(Channel::Call),
                route: Some(bank.route),
                rule: RuleNo((id % 3) as u16),
                state: if id % 3 == 0 { State::Reached } else { State::Missed },
                reason: if id % 3 == 0 { Reason::Answered } else { Reason::NoAnswer },
                attempt: 1,
                started_at: Some(T0.plus(id * 5)),
                ended_at: Some(T0.plus(id * 5 + ((id * 2_654_435_761) >> 9) % 60_000)),
                connected_s: (((id * 2_654_435_761) >> 11) % 300) as u32,
                cost_micros: 45_000 * (1 + id % 4),
                parts: 1,
                ..blank(TouchKey { customer: CustomerId(*id), campaign: bank.run, seq: 0 })
            };
            (ids.iter().map(touch).collect(), ids.iter().map(|id| format!("{id:08}").into()).collect())
        })
        .collect();
    let rows: usize = pages.iter().map(|(p, _)| p.len()).sum();
    for format in FORMATS {
        let dir = tempfile::tempdir().unwrap();
        let started = touchline::clock::monotonic();
        let encoder = Encoder::start(format, shape, dir.path().join("touches"));
        for (touches, references) in pages.clone() {
            let names = std::sync::Arc::clone(&names);
            assert!(encoder.give(Box::new(move || touch_columns(&names, shape, &touches, &references))).await);
        }
        let (mark, _) = encoder.finish().await.unwrap();
        let seconds = started.elapsed().as_secs_f64();
        println!("{}: {rows} rows in {seconds:.2} s = {:.0} rows/s, {} bytes", format.name(), rows as f64 / seconds, mark.bytes);
    }
}
