//! Mapping files: all faults at once, each in its place; the schema; the worked examples.
use crate::{Desk, NOW, five};
use touchline::domain::consent::{ConsentState, Purpose};
use touchline::domain::{channel::Channel, time::Timestamp};
use touchline::intake::made_up::{MADE_UP_CUSTOMERS_MAP, MADE_UP_FACTS_MAP, write_customers, write_facts};
use touchline::intake::{IntakeError, Kind, Mapping, mapping_schema};
use touchline::store::memory::MemoryStore;
use touchline::store::{CustomerBook, FactBook};

#[test]
fn every_fault_is_told_with_line_and_column() {
    let text = "formt: csv\ndelimiter: \";;\"\nencoding: klingon\nwhere: 'y =='\ncolumns:\n  ref: {column: no, requird: yes}\n  fone: tel\n  attr.a b: x\n  timezone: {value: Asia/Shanghai, column: tz}\n  attr.n: {column: n, type: integer}\n  phone: {fictitious: {region: XX}}\n";
    let faults = Mapping::load("m.yaml", text).unwrap_err();
    let places: Vec<(u64, u64)> = faults.iter().map(|f| (f.line, f.column)).collect();
    assert_eq!(places, [(1, 1), (2, 12), (3, 11), (4, 8), (6, 21), (7, 3), (8, 3), (9, 3), (10, 29), (11, 32)], "{faults:#?}");
    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(all[0], "m.yaml:1:1: unknown key `formt` (did you mean `format`?)");
    assert!(all[4].contains("did you mean `required`?"), "{}", all[4]);
    assert!(all[5].contains("did you mean `phone`?"), "{}", all[5]);
    assert!(all[8].contains("did you mean `int`?"), "{}", all[8]);
}

#[test]
fn broken_yaml_and_other_shapes_are_one_fault_with_a_place() {
    for (text, line) in [("columns: {ref: [", 1), ("a: 1\na: 2\n", 2), ("[1, 2]", 1), ("", 1), ("columns: 7", 1), ("columns: {ref: {a: {b: c}}}", 1)]
    {
        let faults = Mapping::load("m.yaml", text).unwrap_err();
        assert!(faults.iter().any(|f| f.line <= line), "{text:?}: {faults:?}");
    }
}

#[test]
fn scalars_stay_as_written() {
    let mapping =
        Mapping::load("m.yaml", "kind: customers\ncolumns:\n  ref: 007\n  language: {value: no}\n  branch: {column: b, default: 0010}\n").unwrap();
    let text = format!("{mapping:?}");
    assert!(text.contains(r#"Column("007")"#) && text.contains(r#"Value("no")"#) && text.contains(r#"Some("0010")"#), "{text}");
}

#[tokio::test]
async fn a_column_that_the_file_does_not_have_is_told_with_the_nearest() {
    let (desk, store) = (Desk::new(), MemoryStore::new());
    let file = desk.file("p.csv", "customer_no,mobile\nc1,\n");
    let map = "where: 'mobil != \"\"'\ncolumns:\n  ref: customer_nr\n  phone: {column: mobile, region: CN}\n";
    let Err(IntakeError::Faults(faults)) = desk.import(&store, Kind::Customers, &file, map, None).await else { panic!("expected faults") };
    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        all,
        [
            "test.map.yaml:1:8: the file has no column `mobil` (did you mean `mobile`?)",
            "test.map.yaml:3:3: the file has no column `customer_nr` (did you mean `customer_no`?)"
        ]
    );
    let Err(IntakeError::Faults(faults)) = desk.import(&store, Kind::Facts, &file, "columns: {ref: customer_no, email: mobile}", None).await else {
        panic!("expected faults")
    };
    assert!(faults[0].message.contains("fills customers, not facts"), "{faults:?}");
}

#[test]
fn the_schema_names_every_key() {
    let schema = mapping_schema();
    assert_eq!(schema["properties"]["columns"]["properties"]["consent.sms.service"]["$ref"], "#/$defs/column");
    for key in ["kind", "format", "delimiter", "quote", "encoding", "header", "names", "where", "columns"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn the_worked_mappings_load() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("campaigns/examples");
    let mut found = 0;
    for folder in [folder.clone(), folder.join("uci-bank")] {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with(".map.yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                Mapping::load(&path.to_string_lossy(), &text).unwrap_or_else(|f| panic!("{f:#?}"));
                found += 1;
            }
        }
    }
    assert!(found >= 7, "only {found} worked mappings");
}

#[tokio::test]
async fn the_worked_mapping_of_customers_reads_gb18030() {
    let (desk, store) = (Desk::new(), MemoryStore::new());
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("campaigns/examples/customers.map.yaml");
    let map = std::fs::read_to_string(path).unwrap();
    let text = "customer_no|mobile|email|app_token|tz|lang|branch_no|rm_no|tel_ok|sms_ok|consent_date|balance|maturity|status\n\
        k1|138 0013 8000|||  |C|北京分行|r1|Y|N|31/10/2026|600000.00|24/12/2026|open\nk2|12|x|||E||||| |1||open\nk3|||||||||||1||closed\nk4||||||||||| ||open\n";
    let (bytes, _, unmappable) = encoding_rs::GB18030.encode(text);
    assert!(!unmappable);
    let report = desk.import(&store, Kind::Customers, &desk.file("c.csv", bytes), &map, None).await.unwrap();
    assert_eq!(five(&report), (4, 2, 1, 1, 0), "{}", desk.rejected());
    assert_eq!(report.warnings, 2, "the number and the address of k2");
    assert!(desk.rejected().contains("attr.segment"), "a balance that is no number cannot be compared: {}", desk.rejected());
    let k1 = store.customer("k1").await.unwrap().unwrap();
    assert_eq!((k1.branch.as_deref(), k1.language.as_deref(), k1.timezone), (Some("北京分行"), Some("zh-CN"), Some(chrono_tz::Asia::Shanghai)));
    assert_eq!(k1.attributes, r#"{"balance":600000.0,"product_due":"2026-12-24","segment":"private"}"#);
    assert_eq!(k1.contactability.consent(Channel::Call, Purpose::Marketing), ConsentState::Granted);
    assert_eq!(k1.contactability.consent(Channel::Sms, Purpose::Marketing), ConsentState::Withdrawn);
    assert_eq!(store.customer("k2").await.unwrap().unwrap().phone, None);
}

#[tokio::test]
async fn the_made_up_files_fit_their_mappings_and_depend_on_the_seed_alone() {
    let (desk, store) = (Desk::new(), MemoryStore::new());
    let made = |n: u64, seed: u64| {
        let mut out = Vec::new();
        write_customers(&mut out, n, seed).unwrap();
        out
    };
    assert_eq!(made(500, 7), made(500, 7));
    assert_ne!(made(500, 7), made(500, 8));
    let report = desk.import(&store, Kind::Customers, &desk.file("c.csv", made(12_000, 1)), MADE_UP_CUSTOMERS_MAP, Some("all")).await.unwrap();
    assert_eq!(five(&report), (12_000, 12_000, 0, 0, 0), "{}", desk.rejected());
    let mut facts = Vec::new();
    write_facts(&mut facts, 12_000, 1, NOW).unwrap();
    let lines = facts.iter().filter(|b| **b == b'\n').count() as u64 - 1;
    let report = desk.import(&store, Kind::Facts, &desk.file("f.csv", facts), MADE_UP_FACTS_MAP, None).await.unwrap();
    assert_eq!(five(&report), (lines, lines, 0, 0, 0), "{}", desk.rejected());
    assert!((1_000..2_500).contains(&lines), "{lines}");
    let (first, last) = (store.customer("c000000001").await.unwrap().unwrap().id, store.customer("c000012000").await.unwrap().unwrap().id);
    let drawdowns = store.facts((first, last), "loan_drawdown", Some("consumer-loan")).await.unwrap();
    assert!(!drawdowns.is_empty() && drawdowns.iter().all(|f| f.at >= NOW && f.at < Timestamp(NOW.0 + 30 * 86_400_000)));
}
