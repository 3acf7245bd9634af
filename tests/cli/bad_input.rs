//! Bad input by the command line: each a clear error with a way out, nothing half-done.
use crate::desk::{CAMPAIGN, Desk, MAP};
use serde_json::Value;

/// What the store holds: a fault must leave it as it was.
fn stand(desk: &Desk) -> (Value, i64, i64) {
    let count = |sql: &str| {
        let out = desk.json(&["plan", "campaign.yaml"], 0);
        out[sql].as_i64().unwrap()
    };
    (desk.json(&["campaign", "list"], 0), count("members"), count("audience"))
}

#[test]
fn faults_of_a_campaign_file_are_told_with_place_and_way_out() {
    let desk = Desk::filled();
    let before = stand(&desk);
    let change = |from: &str, to: &str| {
        assert!(CAMPAIGN.contains(from), "{from}");
        CAMPAIGN.replacen(from, to, 1)
    };
    let cases = [
        ("broken YAML", "campaign: spring\n  title: [unclosed\n".to_owned(), &["bad.yaml:"][..]),
        ("wrong type", change("attempts: 2", "attempts: many"), &["many", "a whole number"]),
        ("unknown key", change("owner: desk", "ownr: desk"), &["ownr", "owner"]),
        ("unknown channel", change("channel: call", "channel: cal"), &["cal", "call"]),
        ("unknown route", change("routes: [sip-north]", "routes: [sip-nort]"), &["sip-nort", "sip-north"]),
        ("unknown preset", change("[wide-open]", "[cn-bnk]"), &["cn-bnk", "cn-bank"]),
        ("unknown zone", change("timezone: Asia/Shanghai", "timezone: Asia/Shangai"), &["Asia/Shangai", "Asia/Shanghai"]),
        ("impossible date", change("2026-11-24T09:00", "2026-02-30T09:00"), &["2026-02-30T09:00"]),
        ("end before start", change("2099-12-15T20:00", "2026-11-01T20:00"), &["end"]),
        ("unknown step", change("after: call", "after: cal"), &["cal", "call"]),
        (
            "a cycle",
            change("  - step: call\n", "  - step: call\n    after: note\n"),
            &["follow each other in a circle: call -> note -> call", "take its `after` out"],
        ),
        ("a list that does not exist", change("list: prospects", "list: prospect"), &["\"prospect\" is not known", "prospects"]),
        ("a condition that is none", change("when: 'disposition == \"no_answer\"'", "when: 'disposition =='"), &["disposition =="]),
        ("a negative budget", change("1000.00 CNY", "-1.00 CNY"), &["-1.00 CNY"]),
        ("a rate that is none", change("100/s", "fast"), &["fast"]),
        ("empty", String::new(), &["the file is empty", "campaigns/"]),
    ];
    for (what, text, says) in cases {
        desk.write("bad.yaml", text);
        for command in ["rehearse", "plan", "run"] {
            let all = desk.says(&[command, "bad.yaml"], 1, says);
            assert!(all.contains("bad.yaml:"), "{what}: no place in {all}");
        }
        desk.says(&["campaign", "submit", "bad.yaml"], 1, says);
        let told = desk.json(&["rehearse", "bad.yaml"], 1);
        let fault = &told["faults"][0];
        assert!(fault["line"].as_i64() >= Some(1) && fault["message"].as_str().is_some_and(|m| !m.is_empty()), "{what}: {told}");
    }
    assert_eq!(stand(&desk), before, "a refused file changes nothing");
}

#[test]
fn a_campaign_file_in_another_encoding_or_with_a_mark() {
    let desk = Desk::filled();
    desk.write("bom.yaml", format!("\u{feff}{CAMPAIGN}"));
    desk.says(&["validate", "bom.yaml"], 0, &["sound (spring)"]);
    desk.write("gbk.yaml", b"campaign: x\ntitle: \xbe\xad\xc0\xed\n");
    desk.says(&["validate", "gbk.yaml"], 1, &["gbk.yaml: expected UTF-8", "at byte 19", "save the file as UTF-8"]);
    desk.says(&["validate", "."], 1, &["cannot read ."]);
}

#[test]
fn every_fault_of_a_file_is_told_at_once() {
    let desk = Desk::new();
    desk.write("bad.yaml", CAMPAIGN.replace("owner:", "ownr:").replace("attempts: 2", "attempts: many").replace("[wide-open]", "[cn-bnk]"));
    let told = desk.json(&["validate", "campaign.yaml", "bad.yaml"], 1);
    assert_eq!((told[0]["valid"].as_bool(), told[1]["valid"].as_bool()), (Some(true), Some(false)));
    let faults = told[1]["faults"].to_string();
    assert!(["ownr", "many", "cn-bnk"].iter().all(|f| faults.contains(f)), "{faults}");
    desk.says(&["validate", "campaign.yaml", "bad.yaml"], 1, &["campaign.yaml: sound (spring)", "bad.yaml: "]);
}

#[test]
fn a_campaign_whose_end_has_passed_is_not_run() {
    let desk = Desk::filled();
    desk.write("late.yaml", CAMPAIGN.replace("2026-11-24T09:00", "2020-01-01T09:00").replace("2099-12-15T20:00", "2020-02-01T20:00"));
    desk.says(&["run", "late.yaml"], 1, &["it ended at 2020-02-01T12:00:00Z", "schedule.end", "touchline rehearse"]);
    assert_eq!(desk.json(&["campaign", "list"], 0), Value::Array(Vec::new()));
}

#[test]
fn files_of_customers_with_marks_encodings_and_ragged_rows() {
    let desk = Desk::filled();
    desk.write("bom.csv", "\u{feff}no,tel,balance,job\nb1,+8615500000001,1,a\n");
    let told = desk.json(&["import", "customers", "bom.csv", "--mapping", "map.yaml"], 0);
    assert_eq!(told["sums"]["accepted"], 1);
    let before = stand(&desk);

    desk.write("gbk.csv", b"no,tel,balance,job\ng1,+8615500000002,1,\xbe\xad\xc0\xed\n");
    desk.says(
        &["import", "customers", "gbk.csv", "--mapping", "map.yaml"],
        1,
        &["gbk.csv:2", "is not UTF-8", "encoding: gb18030", "Nothing was imported"],
    );
    desk.says(&["explain", "--customer", "g1"], 2, &["does not exist"]);

    desk.write("ragged.csv", "no,tel,balance,job\nr1,+8615500000003\nr2,+8615500000004,1,a,b\nr3,+8615500000005,1,a\nr4,+8615500000006,much,a\n");
    let told = desk.json(&["import", "customers", "ragged.csv", "--mapping", "map.yaml"], 0);
    let sums = &told["sums"];
    assert_eq!((sums["rows_read"].as_i64(), sums["accepted"].as_i64(), sums["rejected"].as_i64()), (Some(4), Some(1), Some(3)));
    let rejects = String::from_utf8(desk.bytes(told["rejects"].as_str().unwrap())).unwrap();
    assert!(rejects.contains("expected 4 fields, found 2") && rejects.contains("expected 4 fields, found 5"), "{rejects}");

    desk.write("big.csv", format!("no,tel,balance,job\nx1,+8615500000007,1,{}\nx2,+8615500000008,1,a\n", "x".repeat(10_000_000)));
    let told = desk.json(&["import", "customers", "big.csv", "--mapping", "map.yaml"], 0);
    assert_eq!((told["sums"]["accepted"].as_i64(), told["sums"]["rejected"].as_i64()), (Some(1), Some(1)));
    assert!(told["reasons"].to_string().contains("longer than 1 MiB"), "{told}");

    desk.write("empty.csv", "");
    desk.says(&["import", "customers", "empty.csv", "--mapping", "map.yaml"], 1, &["empty.csv is empty"]);
    desk.says(&["import", "customers", "data", "--mapping", "map.yaml"], 2, &["cannot read data"]);
    desk.says(&["import", "customers", ".", "--mapping", "map.yaml"], 1, &["is a directory"]);
    desk.says(&["import", "customers", "bom.csv", "--mapping", "."], 1, &["cannot read ."]);
    desk.says(&["import", "list", "customers.csv", "--mapping", "map.yaml", "--name", "prospects"], 1, &["\"prospects\" was frozen", "another name"]);
    assert_eq!(stand(&desk), before, "the list and the campaigns are as they were");
}

#[test]
fn mappings_that_do_not_fit_import_nothing() {
    let desk = Desk::filled();
    desk.write(
        "facts.map.yaml",
        "kind: facts\nformat: csv\ncolumns: {fact_ref: no, customer: no, kind: job, amount: balance, currency: {value: CNY}, at: tel}\n",
    );
    desk.says(&["import", "customers", "customers.csv", "--mapping", "facts.map.yaml"], 1, &["fills facts, not customers"]);
    desk.says(&["import", "facts", "customers.csv", "--mapping", "map.yaml"], 1, &["fills customers, not facts"]);
    desk.says(&["import", "customers", "customers.csv", "--mapping", "campaign.yaml"], 1, &["campaign.yaml:1:1: unknown key `campaign`", "columns"]);
    desk.write("none.yaml", "");
    desk.says(&["import", "customers", "customers.csv", "--mapping", "none.yaml"], 1, &["found nothing", "touchline schema mapping"]);
    desk.write("odd.yaml", MAP.replace("column: tel", "column: telephone"));
    desk.says(&["import", "customers", "customers.csv", "--mapping", "odd.yaml"], 1, &["telephone", "tel"]);
    let told = desk.json(&["import", "customers", "customers.csv", "--mapping", "odd.yaml"], 1);
    assert!(told["error"].as_str().is_some_and(|e| e.contains("telephone")), "{told}");
}

#[test]
fn files_that_are_no_store_of_ours() {
    let desk = Desk::filled();
    desk.write(
        "foreign.sqlite",
        "this is a letter, and no database; it is long enough to have a header of a hundred bytes, and then some more to be sure",
    );
    let before = desk.bytes("foreign.sqlite");
    for command in [&["campaign", "list"][..], &["migrate"], &["rehearse", "campaign.yaml"]] {
        let words = [command, &["--store", "sqlite:foreign.sqlite"]].concat();
        desk.says(&words, 3, &["foreign.sqlite", "no SQLite database", "name another file"]);
        assert!(desk.json(&words, 3)["error"].is_string());
    }
    assert_eq!(desk.bytes("foreign.sqlite"), before, "a file of somebody else's is left as it was");
    desk.says(&["campaign", "list", "--store", "sqlite:."], 3, &["found a folder"]);
    desk.says(&["migrate", "--store", "sqlite:/proc/none/x.sqlite"], 3, &["/proc/none could not be made"]);
    let doctor = desk.json(&["doctor", "--store", "sqlite:foreign.sqlite"], 3);
    assert!(doctor["checks"][0]["found"].as_str().unwrap().contains("no SQLite database"), "{doctor}");
}

/// Runs statements on a database, behind the program's back.
async fn altered(desk: &Desk, name: &str, statements: &[&str]) {
    use sqlx::{ConnectOptions, Connection};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(desk.path(name)).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe((*statement).to_owned())).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
}

#[tokio::test]
async fn a_store_of_a_newer_version_and_one_of_another_program() {
    let desk = Desk::filled();
    altered(&desk, "store.sqlite", &["UPDATE _sqlx_migrations SET version = 99990101 WHERE version = (SELECT max(version) FROM _sqlx_migrations)"])
        .await;
    for command in [&["campaign", "list"][..], &["migrate"], &["import", "customers", "customers.csv", "--mapping", "map.yaml"]] {
        desk.says(&[command, &["--store", "sqlite:store.sqlite"]].concat(), 3, &["99990101", "newer than this program", "use the newer touchline"]);
    }
    let other = Desk::new();
    altered(&other, "other.sqlite", &["CREATE TABLE letters (id INTEGER)"]).await;
    other.says(&["migrate", "--store", "sqlite:other.sqlite"], 3, &["other.sqlite is the database of another program"]);
}

#[test]
fn settings_that_do_not_fit_are_told_with_their_key() {
    let desk = Desk::new();
    desk.write("touchline.toml", "[engine]\nbatch = \"many\"\n[stor]\nurl = 1\n");
    let all = desk.says(&["campaign", "list"], 2, &["engine.batch", "stor: unknown section, did you mean store?", "touchline.toml"]);
    assert!(!all.contains("does not exist"), "{all}");
    desk.write("touchline.toml", "[engine\n");
    desk.says(&["campaign", "list"], 2, &["touchline.toml"]);
}
