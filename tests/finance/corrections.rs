//! Property tests: what was exported plus its corrections is, row by row, what the ledger says.
use super::*;
use proptest::prelude::*;

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

async fn old_plus_correction_is_new(case: Case) {
    let mut bank = Bank::open(case.scripts.len(), campaign("property", case.holdout_ppm, case.credit)).await;
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
    attribute(&bank.store, &bank.row().await, &bank.campaign).await.unwrap();
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
    attribute(&bank.store, &bank.row().await, &bank.campaign).await.unwrap();
    bank.round += 1;
    let credits = bank.store.credits(bank.run, None, 10_000).await.unwrap();
    for (i, (_, name, minor, _)) in facts.iter().enumerate() {
        let of: Vec<_> = credits.iter().filter(|c| c.fact == i as i64 + 1).collect();
        assert!(of.is_empty() || of.iter().map(|c| c.amount.minor).sum::<i64>() == *minor, "{name} of {minor}: {of:?}");
    }
    for report in &old {
        let moved = verify(Some(&bank.store), &report.folder).await.unwrap();
        assert!(moved.is_intact(), "what came later is no fault: {moved:#?}");
        let correction = correct(&bank.store, report.manifest.number, out.path(), bank.now()).await.unwrap();
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
        assert!(correct(&bank.store, report.manifest.number, out.path(), bank.now()).await.unwrap().export.is_none());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn old_plus_correction_is_new_whatever_happened(case in cases()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(old_plus_correction_is_new(case));
    }
}
