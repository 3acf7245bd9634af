//! Bad input: a clear error or a counted reject, never a panic, a blow-up or mojibake.
use crate::{Desk, five};
use std::io::Write;
use touchline::intake::{IntakeError, Kind, Report};
use touchline::store::memory::MemoryStore;
use touchline::store::{CustomerBook, Store};

const MAP: &str = "columns: {ref: no, attr.job: job}";

async fn take(desk: &Desk, content: impl AsRef<[u8]>) -> Result<Report, IntakeError> {
    desk.import(&MemoryStore::new(), Kind::Customers, &desk.file("in.csv", content), MAP, None).await
}

async fn take_into(store: &dyn Store, desk: &Desk, content: impl AsRef<[u8]>) -> Report {
    desk.import(store, Kind::Customers, &desk.file("in.csv", content), MAP, None).await.unwrap()
}

#[tokio::test]
async fn byte_order_marks_line_ends_and_blank_lines() {
    for text in ["\u{feff}no,job\nc1,a\nc2,b\n", "no,job\r\nc1,a\r\n\r\nc2,b", "\u{feff}no,job\r\n\"c1\",\"a\"\r\nc2,b\r\n\r\n"] {
        let (desk, store) = (Desk::new(), MemoryStore::new());
        let report = take_into(&store, &desk, text).await;
        assert_eq!(five(&report), (2, 2, 0, 0, 0), "{text:?}");
        assert_eq!(store.customer("c2").await.unwrap().unwrap().attributes, r#"{"job":"b"}"#);
    }
}

#[tokio::test]
async fn utf16_is_read_by_its_mark_and_told_without_one() {
    let desk = Desk::new();
    let wide = |mark: bool, big: bool| -> Vec<u8> {
        let text = format!("{}no,job\nc1,é中\nc2,b\n", if mark { "\u{feff}" } else { "" });
        text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
    };
    for big in [false, true] {
        let store = MemoryStore::new();
        assert_eq!(five(&take_into(&store, &desk, wide(true, big)).await), (2, 2, 0, 0, 0));
        assert_eq!(store.customer("c1").await.unwrap().unwrap().attributes, r#"{"job":"é中"}"#);
        let Err(IntakeError::Encoding(told)) = take(&desk, wide(false, big)).await else { panic!("expected an encoding fault") };
        assert!(told.contains(if big { "encoding: utf-16be" } else { "encoding: utf-16le" }), "{told}");
    }
}

#[tokio::test]
async fn another_encoding_is_told_with_its_offset_and_advice() {
    let desk = Desk::new();
    let (bytes, ..) = encoding_rs::GB18030.encode("no,job\nc1,a\nc2,经理\n");
    let Err(IntakeError::Encoding(told)) = take(&desk, &bytes).await else { panic!("expected an encoding fault") };
    assert!(
        told.contains(":3: the byte at offset 15 is not UTF-8") && told.contains("encoding: gb18030") && told.contains("Nothing was imported"),
        "{told}"
    );
    // A lone wrong byte after the first batch costs its row.
    let mut many: Vec<u8> = b"no,job\n".to_vec();
    for i in 0..24_000 {
        many.extend_from_slice(format!("c{i},x\n").as_bytes());
    }
    many.extend_from_slice(b"bad,\xff\n");
    let report = take(&desk, &many).await.unwrap();
    assert_eq!(five(&report), (24_001, 24_000, 0, 1, 0));
    // A file in an encoding that has been named, with a byte that does not exist in it.
    let mut bytes = encoding_rs::GB18030.encode("no,job\nc1,经理\nc2,").0.into_owned();
    bytes.extend_from_slice(b"\xff\nc3,b\n");
    let report =
        desk.import(&MemoryStore::new(), Kind::Customers, &desk.file("g.csv", bytes), &format!("encoding: gb18030\n{MAP}"), None).await.unwrap();
    assert_eq!(five(&report), (3, 2, 0, 1, 0));
}

#[tokio::test]
async fn rows_that_are_no_rows_cost_themselves_alone() {
    let cases = [
        ("ragged", "no,job\nc1,a\nc2\nc3,b,c\nc4,d\n", 2, "expected 2 fields, found 1"),
        ("text after a quote", "no,job\nc1,\"a\"b\nc2,b\n", 1, "closing quote"),
        ("a quote never closed", "no,job\nc1,\"a\nc2,b\nc3,c\n", 1, "not closed"),
        ("a quote that swallows the next", "no,job\nc1,\"a\nc2,\"b\"\nc3,c\n", 1, "closing quote"),
        ("NUL", "no,job\nc1,a\0b\nc2,b\n", 1, "NUL"),
        ("no reference", "no,job\n,a\nc2,b\n", 1, "is empty"),
        ("a control character", "no,job\nc\u{7}1,a\nc2,b\n", 1, "control character"),
    ];
    for (what, text, bad, reason) in cases {
        let desk = Desk::new();
        let report = take(&desk, text).await.unwrap();
        let rows = text.lines().count() as u64 - 1;
        assert_eq!(five(&report), (rows, rows - bad, 0, bad, 0), "{what}: {}", desk.rejected());
        assert!(desk.rejected().contains(reason), "{what}: {}", desk.rejected());
    }
}

#[tokio::test]
async fn quoted_fields_hold_delimiters_quotes_and_lines() {
    let (desk, store) = (Desk::new(), MemoryStore::new());
    let report = take_into(&store, &desk, "no,job\nc1,\"a, \"\"b\"\"\r\nc\"\nc2,\"\"\nc3,it\"s\nc4\n").await;
    assert_eq!(five(&report), (4, 3, 0, 1, 0));
    assert_eq!(store.customer("c1").await.unwrap().unwrap().attributes, r#"{"job":"a, \"b\"\r\nc"}"#);
    assert_eq!(store.customer("c3").await.unwrap().unwrap().attributes, r#"{"job":"it\"s"}"#);
    assert!(desk.rejected().contains("\n4,6,,"), "row 4 stands on line 6: {}", desk.rejected());
}

#[tokio::test]
async fn ten_megabytes_in_a_field_cost_one_row() {
    let long = "x".repeat(10 << 20);
    for text in [format!("no,job\nc1,{long}\nc2,b\n"), format!("no,job\nc1,\"{long}\"\nc2,b\n")] {
        let desk = Desk::new();
        let report = take(&desk, text).await.unwrap();
        assert_eq!(five(&report), (2, 1, 0, 1, 0));
        assert!(desk.rejected().contains("1,2,,a field is longer than 1 MiB,"));
        assert!(desk.rejected().len() < 100_000, "the rejects file holds {} bytes", desk.rejected().len());
    }
    let desk = Desk::new();
    let rows = format!("{{\"no\":\"c1\",\"job\":\"{long}\"}}\n{{\"no\":\"c2\"}}\n{{\"no\":\"c3\"\n[1]\n");
    let report =
        desk.import(&MemoryStore::new(), Kind::Customers, &desk.file("in.jsonl", rows), &format!("format: jsonl\n{MAP}"), None).await.unwrap();
    assert_eq!(five(&report), (4, 1, 0, 3, 0), "{:?}", report.reasons);
}

#[tokio::test]
async fn files_that_are_no_files() {
    let desk = Desk::new();
    let told = |result: Result<Report, IntakeError>| result.unwrap_err().to_string();
    assert!(told(take(&desk, "").await).contains("is empty"));
    assert_eq!(five(&take(&desk, "no,job\n").await.unwrap()), (0, 0, 0, 0, 0));
    assert!(told(take(&desk, "no,job,no\nc1,a,b\n").await).contains("the column `no` twice"));
    let store = MemoryStore::new();
    assert!(told(desk.import(&store, Kind::Customers, desk.folder.path(), MAP, None).await).contains("is a directory"));
    assert!(told(desk.import(&store, Kind::Customers, &desk.folder.path().join("none.csv"), MAP, None).await).contains("cannot open"));
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all("no,job\n".as_bytes()).unwrap();
    for i in 0..20_000 {
        gz.write_all(format!("c{i},{}\n", i * 7919 % 10_007).as_bytes()).unwrap();
    }
    let mut packed = gz.finish().unwrap();
    packed.truncate(packed.len() / 2);
    assert!(told(take(&desk, packed).await).contains("cut off"));
    let parquet = desk.import(&store, Kind::Customers, &desk.file("x.parquet", "no parquet"), &format!("format: parquet\n{MAP}"), None).await;
    assert!(told(parquet).contains("cannot be read as Parquet"));
}

#[tokio::test]
async fn reasons_never_hold_a_personal_value() {
    let desk = Desk::new();
    let map = "columns: {ref: no, phone: {column: tel, region: CN}, email: mail, timezone: tz, attr.n: {column: n, type: int}}";
    let secret = ["555-holmes", "sherlock at example", "Baker/Street", "221b"];
    let rows = format!("no,tel,mail,tz,n\nc1,{},,,\nc2,,{},,\nc3,,,{},\nc4,,,,{}\n", secret[0], secret[1], secret[2], secret[3]);
    let report = desk.import(&MemoryStore::new(), Kind::Customers, &desk.file("in.csv", rows), map, None).await.unwrap();
    assert_eq!(five(&report), (4, 0, 0, 4, 0));
    let told = format!("{:?}", report.reasons);
    assert!(secret.iter().all(|s| !told.contains(s)), "{told}");
    assert_eq!(report.reasons.len(), 4);
}
