//! The command line with the real binary: a full walk, the shapes of its JSON, its exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/desk.rs"]
mod desk;
#[path = "cli/four_eyes.rs"]
mod four_eyes;

use desk::{CAMPAIGN, Desk, MAP};
use serde_json::Value;

#[test]
fn from_a_file_of_customers_to_a_verified_export_and_a_tampered_one() {
    let desk = Desk::new();
    let import = desk.json(&["import", "customers", "customers.csv", "--mapping", "map.yaml", "--name", "prospects"], 0);
    assert_eq!((import["sums"]["rows_read"].as_i64(), import["sums"]["accepted"].as_i64()), (Some(40), Some(40)));
    assert_eq!((import["list"]["name"].as_str(), import["list"]["count"].as_i64()), (Some("prospects"), Some(40)));

    let valid = desk.json(&["validate", "campaign.yaml"], 0);
    assert_eq!((valid[0]["valid"].as_bool(), valid[0]["campaign"].as_str()), (Some(true), Some("spring")));

    let plan = desk.json(&["plan", "campaign.yaml"], 0);
    assert_eq!(plan["audience"], 40);
    let losses: i64 = plan["losses"].as_object().unwrap().values().map(|n| n.as_i64().unwrap()).sum();
    assert_eq!(plan["reached"].as_i64().unwrap() + plan["missed"].as_i64().unwrap() + losses, 40);

    let report = desk.json(&["rehearse", "campaign.yaml", "--seed", "3"], 0);
    is_a_report(&report, "spring", 40);
    assert_eq!(report["rehearsal"], true);
    let status = desk.json(&["campaign", "status", "spring"], 0);
    is_a_report(&status, "spring", 40);
    assert_eq!(status["counts"], report["counts"]);
    let listed = desk.json(&["campaign", "list"], 0);
    assert_eq!((listed[0]["name"].as_str(), listed[0]["audience"].as_i64()), (Some("spring"), Some(40)));
    assert!(listed[0]["finished_at"].as_str().unwrap().ends_with('Z'), "an instant is told as RFC 3339: {}", listed[0]["finished_at"]);

    let told = desk.json(&["explain", "--customer", "c1", "--campaign", "spring"], 0);
    assert_eq!(told["customer"]["reference"], "c1");
    assert!(!told["campaigns"][0]["touches"].as_array().unwrap().is_empty());
    assert!(!told.to_string().contains("15400000001"), "no number in full");

    for (n, (what, format)) in [("results", "csv"), ("touches", "parquet"), ("conversions", "jsonl")].into_iter().enumerate() {
        let export = desk.json(&["export", what, "--campaign", "spring", "--format", format, "--out", "out"], 0);
        let folder = format!("out/{:06}", n + 1);
        assert_eq!(export["export"]["folder"], folder.as_str());
        let manifest: Value = serde_json::from_slice(&desk.bytes(&format!("{folder}/manifest.json"))).unwrap();
        assert_eq!(manifest["campaign"], "spring");
        let verified = desk.json(&["verify", &folder], 0);
        assert_eq!(verified["fault_count"], 0);
    }
    let rows = String::from_utf8(desk.bytes("out/000001/results.csv")).unwrap();
    assert_eq!(rows.lines().count(), 41);
    desk.write("out/000001/results.csv", rows.replacen(",missed,", ",reached,", 1).replacen(",no_answer,", ",answered,", 1));
    let tampered = desk.json(&["verify", "out/000001"], 1);
    assert!(tampered["fault_count"].as_i64().unwrap() > 0, "{tampered}");
    desk.says(&["verify", "out/000001"], 1, &["NOT INTACT", "results.csv", "sha256", "do not use this export"]);
    desk.says(&["verify", "out/000003"], 0, &["intact"]);
    desk.says(&["export", "--correct", "3", "--out", "out"], 0, &["nothing has changed since export 000003"]);
}

#[test]
fn a_campaign_is_submitted_approved_held_and_run_by_name() {
    let desk = Desk::filled();
    desk.write("touchline.toml", "[[routes]]\nname = \"fast\"\nchannel = \"worklist\"\nlimit = \"1000/s\"\nprofile = \"instant\"\n");
    desk.write("real.yaml", REAL);
    let submitted = desk.json(&["campaign", "submit", "real.yaml", "--by", "ann"], 0);
    let seal = submitted["seal"]["seal"].as_str().unwrap().to_owned();
    assert_eq!((submitted["campaign"]["status"].as_str(), submitted["continued"].as_bool()), (Some("submitted"), Some(false)));
    desk.says(&["run", "real"], 1, &["not approved", "touchline campaign approve real --hash"]);
    desk.says(&["campaign", "start", "real"], 1, &["not approved yet"]);
    desk.says(&["campaign", "approve", "real", "--hash", "000000000000", "--by", "bob"], 1, &["the hash does not match"]);
    let approved = desk.json(&["campaign", "approve", "real", "--hash", &seal[..12], "--by", "bob"], 0);
    assert_eq!(approved["status"], "approved");
    assert_eq!(desk.json(&["campaign", "start", "real"], 0)["wanted"], "run");
    desk.says(&["campaign", "pause", "real"], 2, &["--why"]);
    assert_eq!(desk.json(&["campaign", "pause", "real", "--why", "a fault at the carrier"], 0)["wanted"], "pause");
    assert_eq!(desk.json(&["campaign", "resume", "real", "--why", "mended"], 0)["wanted"], "run");
    let diff = desk.json(&["campaign", "diff", "real", "campaign.yaml"], 0);
    assert!(diff.to_string().contains("term deposits"), "{diff}");

    let report = desk.json(&["run", "real"], 0);
    is_a_report(&report, "real", 40);
    assert_eq!((report["rehearsal"].as_bool(), report["counts"]["reached"].as_i64()), (Some(false), Some(40)));
    // The same file again, as whoever restarts a killed process would: its report, and nobody is contacted again (see the attempts below).
    desk.says(&["run", "real.yaml"], 0, &["is finished", "nobody is contacted again"]);
    desk.says(&["run", "real"], 1, &["version 1 is finished"]);
    desk.says(&["campaign", "stop", "real", "--why", "late"], 1, &["is finished"]);
    assert_eq!(desk.json(&["campaign", "status", "real"], 0)["attempts"]["total"], 40);
    let doubt = desk.json(&["resolve", "--campaign", "real"], 0);
    assert_eq!(doubt, Value::Array(Vec::new()));
    desk.says(&["resolve", "--campaign", "real", "--as", "nonsense", "--by", "a", "--why", "b"], 2, &["--as: expected reached", "no_answer"]);
    desk.says(&["resolve", "--campaign", "real", "--as", "reached"], 2, &["--by", "--why"]);
}

#[test]
fn a_stopped_campaign_stays_stopped_and_its_customers_are_cancelled() {
    let desk = Desk::filled();
    desk.write("real.yaml", REAL.replace("fast", "rm-desk"));
    desk.json(&["campaign", "submit", "real.yaml"], 0);
    let row = desk.json(&["campaign", "stop", "real", "--why", "wrong list"], 0);
    assert_eq!(row["status"], "stopped");
    let report = desk.json(&["campaign", "status", "real"], 0);
    is_a_report(&report, "real", 40);
    assert_eq!(report["counts"]["cancelled"], 40);
}

const REAL: &str = "campaign: real\ntitle: Real\nopportunity: service\nowner: x\naudience: {list: prospects}\n\
schedule: {start: 2020-01-01T00:00, end: 2099-12-30T23:59, timezone: Asia/Shanghai}\npolicy: [wide-open]\n\
journey:\n  - {step: task, channel: worklist, routes: [fast]}\nstop_on: []\n";

/// The report of CONTRACT.md, field by field.
fn is_a_report(report: &Value, campaign: &str, audience: i64) {
    assert_eq!(report["campaign"], campaign);
    assert!(report["version"].as_i64().unwrap() >= 1);
    assert!(["finished", "stopped", "running", "paused", "submitted", "approved", "scheduled"].contains(&report["status"].as_str().unwrap()));
    assert_eq!(report["audience"], audience);
    let counts = report["counts"].as_object().unwrap();
    let states = ["pending", "scheduled", "started", "reached", "missed", "refused", "uncertain", "suppressed", "held_out", "expired", "cancelled"];
    assert!(counts.len() == states.len() && states.iter().all(|s| counts.contains_key(*s)), "{counts:?}");
    assert_eq!(counts.values().map(|n| n.as_i64().unwrap()).sum::<i64>(), audience, "every customer is in exactly one state");
    let sum = |v: &Value| v.as_object().unwrap().values().map(|n| n.as_i64().unwrap()).sum::<i64>();
    assert_eq!(sum(&report["suppressed"]), counts["suppressed"].as_i64().unwrap());
    let attempts = &report["attempts"];
    for by in ["by_channel", "by_route"] {
        assert_eq!(sum(&attempts[by]), attempts["total"].as_i64().unwrap(), "{by}");
    }
    assert!(attempts["by_disposition"].is_object());
    let money = |v: &Value| {
        let (whole, cents) = v["amount"].as_str().unwrap().split_once('.').unwrap();
        assert!(whole.parse::<i64>().is_ok() && cents.len() >= 2 && v["currency"].as_str().unwrap().len() == 3, "{v}");
    };
    money(&report["cost"]);
    for line in report["conversions"].as_array().unwrap() {
        money(line);
        assert!(line["name"].is_string() && line["customers"].is_i64());
    }
    for line in report["lift"].as_array().unwrap() {
        assert!(line["name"].is_string() && line["arm"].is_string() && line["metric"].is_string());
        assert!(line["estimate"].is_number() && line["se"].is_number() && line["ci95"].as_array().unwrap().len() == 2);
    }
    for at in ["started_at", "finished_at"] {
        let told = &report[at];
        assert!(told.is_null() || chrono::DateTime::parse_from_rfc3339(told.as_str().unwrap()).is_ok(), "{at}: {told}");
    }
    assert!(report["elapsed_s"].is_f64());
}

#[test]
fn the_demo_is_one_command_and_one_document() {
    let desk = Desk::new();
    let demo = desk.json(&["demo", "--customers", "600"], 0);
    is_a_report(&demo, "term-deposit-2026q4", demo["audience"].as_i64().unwrap());
    assert_eq!(demo["verified"], true);
    assert_eq!(demo["demo_exports"].as_array().unwrap().len(), 3);
    // What it tells to go on with works as it stands.
    for line in demo["next"].as_array().unwrap() {
        let words: Vec<&str> = line.as_str().unwrap().split(' ').skip(1).collect();
        desk.says(&words, 0, &["term-deposit-2026q4"]);
    }
    // For people the way there goes to standard error, the result to standard output; once more into the same folder.
    let out = desk.run(&["demo", "--customers", "600"]);
    let (told, way) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    assert!(out.status.success() && told.contains("verified against the ledger") && told.contains("touchline explain"), "{told}");
    assert!(way.contains("== rehearsing") && way.contains("list demo-customers: 600 members"), "{way}");
    desk.write("mine/notes.txt", "not to be lost");
    desk.says(&["demo", "--dir", "mine"], 2, &["mine is not empty", "--dir"]);
    assert_eq!(desk.bytes("mine/notes.txt"), b"not to be lost");
}

#[test]
fn what_a_new_user_asks_without_a_store() {
    let desk = Desk::new();
    let help = desk.run(&["--help"]);
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Exit codes: 0 done, 1"));
    assert!(desk.run(&["--version"]).status.success());
    for command in
        [&["campaign", "list"][..], &["campaign", "pause", "x", "--why", "y"], &["explain", "--customer", "c1"], &["plan", "campaign.yaml"]]
    {
        desk.says(command, 3, &["does not exist", "--store", "touchline migrate"]);
    }
    desk.says(&["export", "results", "--campaign", "x"], 3, &["does not exist"]);
    assert!(!desk.path("store.sqlite").exists(), "a command that needs a store makes none");
    let doctor = desk.json(&["doctor"], 3);
    assert_eq!(doctor["checks"][0]["health"], "fault");
    desk.says(&["rehearse", "campaign.yaml"], 1, &["the list \"prospects\" is not known", "touchline import list"]);
    let ready = desk.json(&["migrate"], 0);
    assert_eq!(ready["ready"], true);
    assert_eq!(desk.json(&["campaign", "list"], 0), Value::Array(Vec::new()));
    desk.says(&["campaign", "list"], 0, &["touchline campaign submit FILE"]);
    for (of, key) in [("campaign", "journey"), ("mapping", "columns"), ("config", "routes")] {
        assert!(desk.json(&["schema", of], 0).to_string().contains(&format!("\"{key}\"")), "{of}");
    }
    let script = desk.json(&["completions", "bash"], 0);
    assert!(script["script"].as_str().unwrap().contains("_touchline()"));
    desk.says(&["completions", "fish"], 0, &["complete -c touchline"]);
}

#[test]
fn wrong_use_is_told_with_exit_code_2_and_in_json_too() {
    let desk = Desk::filled();
    for (words, says) in [
        (&["bogus"][..], "unrecognized subcommand"),
        (&["plan"], "<FILE>"),
        (&["plan", "no.yaml"], "cannot read no.yaml"),
        (&["validate", "no.yaml"], "cannot read no.yaml"),
        (&["rehearse", "campaign.yaml", "--seed", "many"], "invalid value 'many'"),
        (&["export", "wishes", "--campaign", "spring"], "results, touches, conversions"),
        (&["export", "results", "--campaign", "spring", "--format", "pdf"], "csv, jsonl, parquet"),
        (&["import", "people", "customers.csv", "--mapping", "map.yaml"], "customers, list, consents, suppressions, facts"),
        (&["import", "list", "customers.csv", "--mapping", "map.yaml"], "--name"),
        (&["import", "customers", "no.csv", "--mapping", "map.yaml"], "cannot read no.csv"),
        (&["import", "customers", "customers.csv", "--mapping", "no.yaml"], "cannot read no.yaml"),
        (&["campaign", "status", "no-such"], "touchline campaign list"),
        (&["explain", "--customer", "no-such"], "as it was imported"),
        (&["verify", "no-such"], "Check the path"),
        (&["campaign", "list", "--store", "mysql:x"], "expected sqlite:PATH"),
        (&["campaign", "list", "--config", "no.toml"], "there is no such file"),
    ] {
        desk.says(words, 2, &[says]);
        let told = desk.json(words, 2);
        assert!(told.to_string().contains(&says.replace('"', "\\\"")), "{words:?}: {told}");
    }
}

#[test]
fn measurements_print_their_figures() {
    let desk = Desk::new();
    let touches = desk.json(&["bench", "touches", "--customers", "2000"], 0);
    for key in ["elapsed_s", "touches_per_s", "peak_rss_mib", "raw_touches_per_s"] {
        assert!(touches[key].as_f64().unwrap() > 0.0, "{key}: {touches}");
    }
    assert_eq!((touches["customers"].as_i64(), touches["store"].as_str(), touches["durable"].as_bool()), (Some(2_000), Some("sqlite"), Some(true)));
    for what in ["import", "export"] {
        let rows = desk.json(&["bench", what, "--customers", "2000"], 0);
        assert!(rows["rows"].as_i64() >= Some(2_000) && rows["rows_per_s"].as_f64() > Some(0.0), "{rows}");
    }
    let left: Vec<_> = std::fs::read_dir(desk.path(".")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|name| name.contains("bench")), "scratch files are left: {left:?}");
}

#[test]
fn tables_are_aligned_also_with_wide_characters() {
    let rows = vec![vec!["经理".to_owned(), "1".to_owned()], vec!["admin".to_owned(), "12,345".to_owned()]];
    let text = touchline::cli::ui::table(&["job", "customers"], &[1], rows);
    // A Chinese character takes two columns of a terminal.
    let width = |line: &str| line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>();
    let widths: Vec<usize> = text.lines().map(width).collect();
    assert!(widths.len() == 3 && widths.iter().all(|w| *w == widths[0]), "{text}");
    assert!(CAMPAIGN.contains("spring") && MAP.contains("columns"));
}
