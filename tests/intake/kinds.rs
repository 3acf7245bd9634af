//! Every kind of intake, in every format.
use crate::{Desk, NOW, five};
use std::io::Write;
use std::sync::Arc;
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentState, Purpose};
use touchline::intake::{IntakeError, Kind};
use touchline::store::memory::MemoryStore;
use touchline::store::{ConsentList, CustomerBook, FactBook, ListBook};

const PEOPLE: &str = "no,tel,mail,tz,sms,bal\n\
    c1,13800138000,a@example.com,Asia/Shanghai,1,\"1,234.50\"\n\
    c2,+351 912 345 678,,Europe/Lisbon,0,\n\
    c3,,,,,7\n\
    c1,13900139000,,,1,8\n";
const PEOPLE_MAP: &str = "columns:\n  ref: no\n  phone: {column: tel, region: CN}\n  email: mail\n  timezone: tz\n  consent.sms: sms\n  attr.balance: {column: bal, type: decimal}\n";

#[tokio::test]
async fn customers_are_normalised_typed_and_deduplicated() {
    let (desk, store) = (Desk::new(), MemoryStore::new());
    let report = desk.import(&store, Kind::Customers, &desk.file("people.csv", PEOPLE), PEOPLE_MAP, Some("people")).await.unwrap();
    assert_eq!(five(&report), (4, 3, 0, 0, 1));
    let first = store.customer("c1").await.unwrap().unwrap();
    assert_eq!(first.phone.unwrap().reveal(), "+8613800138000", "the first of two rows of one person counts");
    assert_eq!(first.email.unwrap().reveal(), "a@example.com");
    assert_eq!(first.timezone, Some(chrono_tz::Asia::Shanghai));
    assert_eq!(first.attributes, r#"{"balance":1234.5}"#);
    assert_eq!(first.contactability.consent(Channel::Sms, Purpose::Marketing), ConsentState::Granted);
    let second = store.customer("c2").await.unwrap().unwrap();
    assert_eq!(second.phone.unwrap().reveal(), "+351912345678");
    assert_eq!(second.contactability.consent(Channel::Sms, Purpose::Marketing), ConsentState::Withdrawn);
    let third = store.customer("c3").await.unwrap().unwrap();
    assert_eq!((third.phone, third.timezone), (None, None));
    assert_eq!(third.contactability.consent(Channel::Sms, Purpose::Marketing), ConsentState::Unknown);
    let given = store.consents(first.id).await.unwrap();
    assert_eq!((given[0].at, given[0].source.as_str()), (NOW, "import of people.csv"));
    let list = report.list.unwrap();
    assert_eq!((list.count, list.frozen_at), (3, Some(NOW)));
    assert_eq!(list.checksum, blake3::hash(b"c1\nc2\nc3\n").to_hex().to_string());
}

#[tokio::test]
async fn the_three_formats_and_gzip_give_the_same_customers() {
    let desk = Desk::new();
    let jsonl = "{\"no\":\"c1\",\"tel\":13800138000,\"mail\":\"a@example.com\",\"tz\":\"Asia/Shanghai\",\"sms\":true,\"bal\":1234.5,\"more\":{\"x\":[1]}}\n\n\
        {\"no\":\"c2\",\"tel\":\"+351 912 345 678\",\"tz\":\"Europe/Lisbon\",\"sms\":false,\"mail\":null}\n{\"no\":\"c3\",\"bal\":7}\n{\"no\":\"c1\"}";
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&PEOPLE.as_bytes()[..30]).unwrap();
    let mut packed = gz.finish().unwrap();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&PEOPLE.as_bytes()[30..]).unwrap();
    packed.extend(gz.finish().unwrap());
    let files = [
        (desk.file("p.csv", PEOPLE), "format: csv\n"),
        (desk.file("p.csv.gz", packed), "format: csv\n"),
        (desk.file("p.jsonl", jsonl), "format: jsonl\n"),
        (desk.file("p.parquet", parquet_people()), "format: parquet\n"),
    ];
    let mut all = Vec::new();
    for (file, format) in files {
        let store = MemoryStore::new();
        let report = desk.import(&store, Kind::Customers, &file, &format!("{format}{PEOPLE_MAP}"), None).await.unwrap();
        assert_eq!(five(&report), (4, 3, 0, 0, 1), "{format}");
        let mut rows = Vec::new();
        for reference in ["c1", "c2", "c3"] {
            rows.push(store.customer(reference).await.unwrap().unwrap());
        }
        all.push(rows);
    }
    for other in &all[1..] {
        assert_eq!(&all[0], other);
        assert_eq!(all[0][0].phone.as_ref().unwrap().reveal(), other[0].phone.as_ref().unwrap().reveal());
    }
}

fn parquet_people() -> Vec<u8> {
    use arrow_array::{ArrayRef, BooleanArray, Decimal128Array, RecordBatch, StringArray};
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("unused", Arc::new(StringArray::from(vec!["x"; 4]))),
        ("no", Arc::new(StringArray::from(vec!["c1", "c2", "c3", "c1"]))),
        ("tel", Arc::new(StringArray::from(vec![Some("13800138000"), Some("+351 912 345 678"), None, None]))),
        ("mail", Arc::new(StringArray::from(vec![Some("a@example.com"), None, None, None]))),
        ("tz", Arc::new(StringArray::from(vec![Some("Asia/Shanghai"), Some("Europe/Lisbon"), None, None]))),
        ("sms", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None]))),
        ("bal", Arc::new(Decimal128Array::from(vec![Some(123_450), None, Some(700), None]).with_precision_and_scale(12, 2).unwrap())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

async fn with_people(count: usize) -> (Desk, MemoryStore) {
    let (desk, store) = (Desk::new(), MemoryStore::new());
    let text: String = std::iter::once("no\n".to_owned()).chain((1..=count).map(|i| format!("c{i}\n"))).collect();
    desk.import(&store, Kind::Customers, &desk.file("base.csv", text), "columns: {ref: no}", None).await.unwrap();
    (desk, store)
}

#[tokio::test]
async fn a_list_takes_known_references_once_and_is_frozen() {
    let (desk, store) = with_people(3).await;
    let file = desk.file("list.txt", "c3\nc1\nnobody\nc3\nnobody\n");
    let report = desk.import(&store, Kind::List, &file, "header: no\nnames: [no]\ncolumns: {ref: no}", Some("few")).await.unwrap();
    assert_eq!(five(&report), (5, 2, 0, 2, 1));
    assert_eq!(report.list.unwrap().checksum, blake3::hash(b"c1\nc3\n").to_hex().to_string());
    assert_eq!(desk.rejected().lines().nth(1).unwrap(), "3,3,ref,no customer has this reference; import customers first,nobody");
    assert!(store.list("few").await.unwrap().frozen_at.is_some());
    let again = desk.import(&store, Kind::List, &desk.file("other.txt", "c2\n"), "header: no\nnames: [no]\ncolumns: {ref: no}", Some("few")).await;
    assert!(matches!(again, Err(IntakeError::Store(_))), "a frozen list takes no more: {again:?}");
    let nameless = desk.import(&store, Kind::List, &file, "header: no\nnames: [no]\ncolumns: {ref: no}", None).await;
    assert!(matches!(nameless, Err(IntakeError::Request(_))));
}

#[tokio::test]
async fn consents_and_suppressions_keep_their_provenance() {
    let (desk, store) = with_people(2).await;
    let file = desk.file(
        "consents.jsonl",
        "{\"c\":\"c1\",\"ch\":\"call\",\"s\":\"granted\",\"t\":\"2026-01-02T03:04:05Z\"}\n{\"c\":\"c1\",\"ch\":\"call\",\"s\":\"withdrawn\",\"t\":\"2026-02-02\"}\n\
         {\"c\":\"c9\",\"ch\":\"call\",\"s\":\"granted\",\"t\":\"2026-02-02\"}\n{\"c\":\"c1\",\"ch\":\"fax\",\"s\":\"granted\",\"t\":\"2026-02-02\"}\n\
         {\"c\":\"c1\",\"ch\":\"call\",\"s\":\"withdrawn\",\"t\":\"2026-02-02\"}\n{\"c\":\"c2\",\"ch\":\"sms\",\"s\":\"unknown\",\"t\":\"2026-02-02\"}\n",
    );
    let map = "format: jsonl\ncolumns: {customer: c, channel: ch, state: s, at: t, source: {value: form}}";
    let report = desk.import(&store, Kind::Consents, &file, map, None).await.unwrap();
    assert_eq!(five(&report), (6, 2, 0, 3, 1));
    let c1 = store.customer("c1").await.unwrap().unwrap();
    assert_eq!(c1.contactability.consent(Channel::Call, Purpose::Marketing), ConsentState::Withdrawn);
    assert_eq!(store.consents(c1.id).await.unwrap()[0].source, "form");
    let file = desk.file("no.csv", "c,ch,w,u\nc1,,deceased,\nc2,sms,complaint,2027-01-01\nc2,all,legal_hold,2020-01-01\n");
    let map = "columns: {customer: c, channel: ch, why: w, until: u}";
    let report = desk.import(&store, Kind::Suppressions, &file, map, None).await.unwrap();
    assert_eq!(five(&report), (3, 2, 0, 1, 0));
    let c1 = store.customer("c1").await.unwrap().unwrap();
    assert!(Channel::ALL.iter().all(|c| c1.contactability.is_suppressed(*c)));
    let c2 = store.customer("c2").await.unwrap().unwrap();
    assert!(c2.contactability.has_complained() && c2.contactability.is_suppressed(Channel::Sms) && !c2.contactability.is_suppressed(Channel::Call));
}

#[tokio::test]
async fn facts_are_exact_and_counted_once() {
    let (desk, store) = with_people(2).await;
    let map = "columns: {fact_ref: f, customer: c, kind: {value: loan_drawdown}, product: p, amount: {column: a, decimal: \",\"}, currency: {value: CNY}, at: t}";
    let rows = "f,c,p,a,t\nf1,c1,car,\"1.234,50\",2026-11-01\nf1,c1,car,\"1.234,50\",2026-11-01\nf1,c1,car,\"9,00\",2026-11-01\nf2,c2,car,\"0,005\",2026-11-01\nf3,c9,car,\"1,00\",2026-11-01\nf4,c2,,-3,2026-11-01\n";
    let report = desk.import(&store, Kind::Facts, &desk.file("f.csv", rows), map, None).await.unwrap();
    assert_eq!(five(&report), (6, 2, 0, 3, 1));
    let c1 = store.customer("c1").await.unwrap().unwrap();
    let facts = store.customer_facts(c1.id).await.unwrap();
    assert_eq!((facts.len(), facts[0].amount.minor, facts[0].at.to_string()), (1, 123_450, "2026-11-01T00:00:00Z".to_owned()));
    // The same fact in another file is a duplicate, the same number with other content a reject.
    let rows = "f,c,p,a,t\nf1,c1,car,\"1.234,50\",2026-11-01\nf4,c2,,-4,2026-11-01\nf5,c2,,5,2026-11-01\n";
    let report = desk.import(&store, Kind::Facts, &desk.file("g.csv", rows), map, None).await.unwrap();
    assert_eq!(five(&report), (3, 1, 0, 1, 1));
    assert!(desk.rejected().contains("\n2,3,,"), "{}", desk.rejected());
}
