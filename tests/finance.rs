//! Exports, verification, corrections and attribution, over the store in memory and over SQLite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/finance.rs"]
mod support;

use rstest::rstest;
use std::path::Path;
use support::*;
use touchline::domain::campaign::{Credit, ExportFormat};
use touchline::domain::ids::CustomerId;
use touchline::domain::outcome::Reason;
use touchline::domain::tally::Tally;
use touchline::domain::time::DAY;
use touchline::domain::touch::State;
use touchline::finance::totals::Totals;
use touchline::finance::{ExportRequest, FinanceError, What, attribute, correct, export, verify};
use touchline::store::*;

/// Ten customers, every state, two rounds: figures counted by hand.
async fn played(on: On) -> Bank {
    let mut bank = Bank::open(on, 10, campaign("autumn", 0, Credit::LastReached)).await;
    let first = bank.ids[0].0;
    let script = move |customer: CustomerId, seq: u32| match (customer.0 - first, seq) {
        (0, 0) => Act::Reach(61),
        (1, 0) => Act::Miss,
        (1, 1) => Act::Reach(0),
        (2, 0) => Act::Miss,
        (2, _) => Act::Last,
        (3, _) => Act::Refuse,
        (4, _) => Act::Doubt,
        (5, _) => Act::LeaveStarted,
        (6, _) => Act::Suppress,
        (7, _) => Act::Miss,
        _ => Act::Defer,
    };
    bank.play(9, &script).await;
    bank.play(0, &script).await;
    bank
}

#[rstest]
#[tokio::test]
async fn every_customer_is_in_the_results_once_with_a_state(#[values(On::Memory, On::Sqlite)] on: On) {
    let bank = played(on).await;
    let out = tempfile::tempdir().unwrap();
    let report = make(&bank, out.path(), What::Results, ExportFormat::Csv).await;
    assert_eq!(report.folder, out.path().join("000001"));
    let totals = &report.manifest.totals;
    let nonzero: Vec<(&str, i64)> = totals.counts.iter().filter(|(_, n)| **n > 0).map(|(s, n)| (s.as_str(), *n)).collect();
    assert_eq!(
        nonzero,
        vec![("missed", 1), ("pending", 1), ("reached", 2), ("refused", 1), ("scheduled", 2), ("started", 1), ("suppressed", 1), ("uncertain", 1)]
    );
    // Started: 0, 1 twice, 2 twice, 4, 5, 7 twice; the refused one was not sent.
    assert_eq!((totals.rows, totals.attempts, totals.connected_s), (10, 9, 61));
    assert_eq!(totals.sums["CNY"].cost, "0.405");
    let rows = csv_rows(&report.folder.join("results.csv"));
    assert_eq!(rows[0]["reference"], "=1+1");
    assert_eq!(rows[3]["reference"], "two\nlines");
    assert_eq!((rows[1]["attempts"].as_str(), rows[1]["steps"].as_str(), rows[1]["variant"].as_str()), ("2", "2", "warm"));
    assert_eq!((rows[0]["rule"].as_str(), rows[0]["first_started_at"].as_str()), ("cn-bank@2026.1/window.call", "2026-11-24T01:00:00Z"));
    assert_eq!((rows[9]["state"].as_str(), rows[9]["reason"].as_str(), rows[9]["last_ended_at"].as_str()), ("pending", "none", ""));
    let raw = std::fs::read_to_string(report.folder.join("results.csv")).unwrap();
    assert!(raw.contains("\"'=1+1\"") && raw.contains("\"'-000042\"") && raw.contains("\"'@ref, \"\"old\"\"\""), "{raw}");
    assert_intact(&bank, &report.folder).await;
}

#[rstest]
#[tokio::test]
async fn the_three_formats_say_the_same(#[values(On::Memory, On::Sqlite)] on: On) {
    let bank = played(on).await;
    bank.facts(&[(1, "F1", "term-deposit", 123_456, "CNY", T0.plus(DAY)), (2, "F2", "", -1_050, "JPY", T0.plus(2 * DAY))]).await;
    attribute(bank.store(), &bank.row().await, &bank.campaign).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    for what in What::ALL {
        let mut totals: Vec<Totals> = Vec::new();
        for format in FORMATS {
            let report = make(&bank, out.path(), what, format).await;
            assert_intact(&bank, &report.folder).await;
            totals.push(report.manifest.totals);
        }
        assert!(totals.windows(2).all(|w| w[0] == w[1]), "{what:?}: {totals:#?}");
    }
    let json = std::fs::read_to_string(out.path().join("000008/conversions.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = json.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(rows[0]["amount"], "1234.56");
    assert_eq!((&rows[1]["amount"], &rows[1]["currency"], &rows[1]["product"]), (&"-1050".into(), &"JPY".into(), &serde_json::Value::Null));
    assert_eq!((&rows[1]["step"], &rows[1]["seq"], &rows[1]["conversion"]), (&"follow-up".into(), &1.into(), &"any-aum".into()));
}

#[rstest]
#[tokio::test]
async fn exports_are_chained_and_never_rewritten(#[values(On::Memory, On::Sqlite)] on: On) {
    let bank = played(on).await;
    let out = tempfile::tempdir().unwrap();
    let first = make(&bank, out.path(), What::Results, ExportFormat::Csv).await;
    let second = make(&bank, out.path(), What::Touches, ExportFormat::Parquet).await;
    assert_eq!(first.manifest.previous, None);
    let previous = second.manifest.previous.clone().unwrap();
    assert_eq!((previous.number, previous.manifest_sha256), (1, first.manifest_sha256.clone()));
    // A folder that is there already, from another store.
    std::fs::create_dir(out.path().join("000003")).unwrap();
    let request =
        ExportRequest { run: bank.run, campaign: &bank.campaign, what: What::Results, format: ExportFormat::Csv, out: out.path().into(), as_of: T0 };
    let error = export(bank.store(), request.clone()).await.unwrap_err();
    assert!(error.to_string().contains("never rewritten"), "{error}");
    // Nothing is left of the attempt.
    let hidden: Vec<_> =
        std::fs::read_dir(out.path()).unwrap().filter_map(|e| e.ok()).filter(|e| e.file_name().to_string_lossy().starts_with(".making")).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
    // Another file than the approved one.
    let other = support::campaign("winter", 0, Credit::LastReached);
    let error = export(bank.store(), ExportRequest { campaign: &other, ..request }).await.unwrap_err();
    assert!(error.to_string().contains("not the one that was approved"), "{error}");
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[rstest]
#[tokio::test]
async fn verify_finds_what_was_touched(#[values(On::Memory, On::Sqlite)] on: On) {
    let bank = played(on).await;
    let found = async |what: &str, spoil: &dyn Fn(&Path)| {
        let out = tempfile::tempdir().unwrap();
        let folder = make(&bank, out.path(), What::Results, ExportFormat::Csv).await.folder;
        spoil(&folder);
        let report = verify(Some(bank.store()), &folder).await.unwrap();
        assert!(!report.is_intact(), "{what}: {report:#?}");
        report.faults.iter().map(|f| format!("{}|{}|{}|{}", f.file, f.what, f.expected, f.found)).collect::<Vec<_>>().join("\n")
    };
    let cost = found("a figure", &|f| edit(&f.join("results.csv"), "0.045", "0.046")).await;
    assert!(cost.contains("results.csv|sha256|") && cost.contains("results.csv|sum of cost in CNY|0.405|0.406"), "{cost}");
    let row = found("a row", &|f| edit(&f.join("results.csv"), "suppressed", "reached")).await;
    assert!(row.contains("count of reached|2|3") && row.contains("count of suppressed|1|0"), "{row}");
    let manifest = found("the manifest", &|f| edit(&f.join("manifest.json"), "\"attempts\": 9", "\"attempts\": 8")).await;
    assert!(manifest.contains("sha256 as the export book has it") && manifest.contains("attempts|8|9"), "{manifest}");
    let missing = found("a file", &|f| std::fs::remove_file(f.join("results.csv")).unwrap()).await;
    assert!(missing.contains("results.csv|file|to be there"), "{missing}");
    let more = found("one more", &|f| std::fs::write(f.join("notes.txt"), "x").unwrap()).await;
    assert!(more.contains("notes.txt"), "{more}");
    let cut = found("cut off", &|f| edit(&f.join("results.csv"), ",1,1,2026", ",one,1,2026")).await;
    assert!(cut.contains("content"), "{cut}");
}

#[rstest]
#[tokio::test]
async fn verify_finds_a_broken_chain_and_an_unknown_export(#[values(On::Memory, On::Sqlite)] on: On) {
    let bank = played(on).await;
    let out = tempfile::tempdir().unwrap();
    make(&bank, out.path(), What::Results, ExportFormat::Csv).await;
    let second = make(&bank, out.path(), What::Touches, ExportFormat::Jsonl).await;
    edit(&out.path().join("000001/manifest.json"), "\"audience\": 10", "\"audience\": 11");
    let report = verify(None, &second.folder).await.unwrap();
    assert!(report.faults.iter().any(|f| f.what.contains("manifest of export 000001")), "{report:#?}");
    std::fs::remove_dir_all(out.path().join("000001")).unwrap();
    let report = verify(None, &second.folder).await.unwrap();
    assert!(report.is_intact() && report.unchecked.iter().any(|u| u.contains("not beside")), "{report:#?}");
    let other = Bank::open(on, 1, campaign("autumn", 0, Credit::LastReached)).await;
    let report = verify(Some(other.store()), &second.folder).await.unwrap();
    assert!(report.faults.iter().any(|f| f.file == "export book" && f.found == "not recorded"), "{report:#?}");
    let error = verify(None, out.path()).await.unwrap_err();
    assert!(matches!(error, FinanceError::Io { .. }) && error.to_string().contains("manifest.json"), "{error}");
}

#[rstest]
#[tokio::test]
async fn a_stopped_campaign_cancels_who_is_left_and_asks_for_a_correction(#[values(On::Memory, On::Sqlite)] on: On) {
    let mut bank = played(on).await;
    let out = tempfile::tempdir().unwrap();
    let before = make(&bank, out.path(), What::Results, ExportFormat::Parquet).await;
    bank.round += 1;
    bank.store.call_off(bank.fence, bank.run, Reason::Stopped, bank.now()).await.unwrap();
    let change = StatusChange { to: Status::Stopped, by: "op".into(), why: "enough".into(), at: bank.now(), reason: Some(Reason::Stopped) };
    bank.store.set_status(bank.run, &change).await.unwrap();

    let report = verify(Some(bank.store()), &before.folder).await.unwrap();
    assert!(report.is_intact(), "{report:#?}");
    assert_eq!(report.moved_on_count, 3, "two scheduled and one pending are cancelled: {report:#?}");
    assert!(report.advice.unwrap().contains("make a correction"));

    let correction = correct(bank.store(), 1, out.path(), bank.now()).await.unwrap();
    assert_eq!((correction.reversals, correction.new_rows), (3, 3));
    let made = correction.export.unwrap();
    assert_eq!((made.manifest.number, made.manifest.corrects, made.manifest.totals.counts["cancelled"]), (2, Some(1), 3));
    assert_intact(&bank, &made.folder).await;
    // Nothing more to correct, and no number is used up.
    let again = correct(bank.store(), 2, out.path(), bank.now()).await.unwrap();
    assert!(again.export.is_none() && again.corrects == 1);
    assert_eq!(make(&bank, out.path(), What::Results, ExportFormat::Csv).await.manifest.number, 3);
}

#[rstest]
#[tokio::test]
async fn a_ledger_that_lost_what_was_exported_is_a_fault(#[values(On::Memory, On::Sqlite)] on: On) {
    let bank = played(on).await;
    let out = tempfile::tempdir().unwrap();
    let made = make(&bank, out.path(), What::Touches, ExportFormat::Csv).await;
    // The same customers and export book, but the second round never happened: an old copy of the ledger.
    let mut old = Bank::open(on, 10, campaign("autumn", 0, Credit::LastReached)).await;
    let first = old.ids[0].0;
    old.play(9, &move |c, _| if c.0 == first { Act::Reach(60) } else { Act::Last }).await;
    old.store.next_export().await.unwrap();
    let row = bank.store.export(Some(1)).await.unwrap().unwrap();
    old.store.put_export(&row).await.unwrap();
    let report = verify(Some(old.store()), &made.folder).await.unwrap();
    assert!(report.faults.iter().any(|f| f.what.ends_with("connected_s") && f.expected == "60" && f.found == "61"), "{report:#?}");
    assert!(report.faults.iter().any(|f| f.expected == "not in the ledger"), "{report:#?}");
}

#[rstest]
#[tokio::test]
async fn facts_are_credited_once_over_all_campaigns_and_the_holdout_never(#[values(On::Memory, On::Sqlite)] on: On) {
    let mut bank = Bank::open(on, 400, campaign("autumn", 300_000, Credit::Linear)).await;
    // Everybody is reached by the second touch, an hour later.
    for _ in 0..2 {
        bank.play(400, &|_, seq| if seq == 0 { Act::Miss } else { Act::Reach(9) }).await;
    }
    let facts: Vec<(usize, String)> = (1..=400).map(|n| (n, format!("F{n}"))).collect();
    let rows: Vec<_> = facts.iter().map(|(n, f)| (*n, f.as_str(), "term-deposit", 100, "CNY", T0.plus(DAY))).collect();
    bank.facts(&rows).await;
    let row = bank.row().await;
    let report = attribute(bank.store(), &row, &bank.campaign).await.unwrap();
    let held = bank.store.tallies(bank.run).await.unwrap().get(Tally::Customers, i64::from(State::HeldOut.code()));
    assert!(held > 60 && held < 180, "{held}");
    let line = &report.conversions[1];
    assert_eq!((line.name.as_str(), line.customers as i64, line.amount.clone()), ("deposit", 400 - held, format!("{}.00", 400 - held)));
    assert_eq!((report.holdout[0].customers as i64, report.holdout.len()), (held, 1));
    assert_eq!(report.conversions[0].facts, 0, "the second rule finds its facts taken: {report:#?}");
    // All of both arms converted.
    let rate = report.lift.iter().find(|l| l.name == "deposit" && l.metric == "rate").unwrap();
    assert_eq!((rate.estimate.estimate, rate.customers), (0.0, [400 - held as u64, held as u64]));
    // Once more gives the same, and a second campaign gets nothing of it.
    assert_eq!(attribute(bank.store(), &row, &bank.campaign).await.unwrap(), report);
    let fence = bank.fence;
    let other = campaign("winter", 0, Credit::LastReached);
    let run = hand_in(bank.store(), &other, row.audience_list, false).await;
    let mut second = Bank { run, campaign: other, fence, ..bank };
    second.round = 0;
    second.play(400, &|_, _| Act::Reach(9)).await;
    let report = attribute(second.store(), &second.row().await, &second.campaign).await.unwrap();
    assert_eq!(report.conversions.iter().map(|c| c.facts as i64).sum::<i64>(), held, "only those of the first one's holdout are free");
    assert_eq!(report.held_elsewhere["deposit"] as i64, 400 - held);
    assert!(report.no_lift.iter().any(|l| l.reason.contains("holdout")), "{report:#?}");
}

/// More customers than any page holds: cursors, page ends and staged credits.
#[rstest]
#[tokio::test]
async fn audiences_of_several_pages(#[values(On::Memory, On::Sqlite)] on: On) {
    const N: usize = 41_003;
    let mut bank = Bank::open(on, N, campaign("large", 100_000, Credit::LastReached)).await;
    let script = |c: CustomerId, seq: u32| if c.0 % 4 == 0 && seq == 0 { Act::Miss } else { Act::Reach(7) };
    bank.play(N - 3, &script).await;
    bank.play(0, &script).await;
    let out = tempfile::tempdir().unwrap();
    // At first two facts only, far apart: their touches are looked up one by one.
    bank.facts(&[(5, "A", "fund", 250, "CNY", T0.plus(DAY)), (N - 4, "B", "fund", 250, "CNY", T0.plus(DAY))]).await;
    attribute(bank.store(), &bank.row().await, &bank.campaign).await.unwrap();
    let few = make(&bank, out.path(), What::Conversions, ExportFormat::Csv).await;
    assert_intact(&bank, &few.folder).await;
    for row in csv_rows(&few.folder.join("conversions.csv")) {
        let step = if row["arm"] == "holdout" {
            ""
        } else if row["seq"] == "1" {
            "follow-up"
        } else {
            "call"
        };
        assert_eq!(row["step"], step, "{row:?}");
    }
    // Then of every seventh customer too.
    let facts: Vec<(usize, String)> = (1..=N - 3).filter(|n| n % 7 == 0).map(|n| (n, format!("F{n}"))).collect();
    bank.facts(&facts.iter().map(|(n, f)| (*n, f.as_str(), "fund", 250, "CNY", T0.plus(DAY))).collect::<Vec<_>>()).await;
    let report = attribute(bank.store(), &bank.row().await, &bank.campaign).await.unwrap();
    let line = report.conversions.iter().find(|c| c.name == "any-aum").unwrap();
    let held = report.holdout.iter().find(|c| c.name == "any-aum").unwrap();
    assert_eq!((line.facts + held.facts) as usize, facts.len() + 2);
    bank.round += 1;
    for what in What::ALL {
        let made = make(&bank, out.path(), what, ExportFormat::Parquet).await;
        assert_intact(&bank, &made.folder).await;
        let totals = made.manifest.totals;
        match what {
            What::Results => assert_eq!((totals.rows, totals.counts["pending"]), (N as i64, 3)),
            What::Touches => assert!(totals.rows > N as i64 && totals.counts["held_out"] > 3_500, "{totals:?}"),
            What::Conversions => assert_eq!(totals.sums["CNY"].credited, line.amount),
        }
    }
}

#[rstest]
#[tokio::test]
async fn an_erasure_leaves_old_exports_and_sums_as_they_were(#[values(On::Memory, On::Sqlite)] on: On) {
    let bank = played(on).await;
    let out = tempfile::tempdir().unwrap();
    let mut exports = Vec::new();
    for what in [What::Results, What::Touches] {
        exports.push(make(&bank, out.path(), what, ExportFormat::Csv).await);
    }
    let erasure = |customer| touchline::store::privacy::Erasure { customer, by: "officer".into(), why: "a letter".into(), at: bank.now() };
    bank.store().erase(&erasure(bank.ids[1])).await.unwrap();
    for report in &exports {
        let verified = verify(Some(bank.store()), &report.folder).await.unwrap();
        assert!(verified.is_intact() && verified.moved_on_count == 0 && verified.unchecked.is_empty(), "{verified:?}");
    }
    let later = make(&bank, out.path(), What::Results, ExportFormat::Csv).await;
    assert_eq!(later.manifest.totals, exports[0].manifest.totals, "every sum stands");
    let reference = csv_rows(&later.folder.join("results.csv"))[1]["reference"].clone();
    assert_eq!(reference, format!("erased-{}", bank.ids[1]));
    assert_intact(&bank, &later.folder).await;
}
