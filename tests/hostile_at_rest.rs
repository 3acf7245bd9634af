//! What lies in the database's files, read as a thief would: bytes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use touchline::app::{Access, App};
use touchline::config::{Overrides, load};
use touchline::domain::contact::Phone;
use touchline::domain::ids::CustomerId;
use touchline::domain::time::Timestamp;
use touchline::store::inbox::{DeadKind, Inbox, NewDeadLetter};
use touchline::store::privacy::Erasure;
use touchline::store::sqlite::{Options, SqliteStore};
use touchline::store::{CustomerBook, CustomerInput, PersonalData};

const T0: Timestamp = Timestamp(1_795_478_400_000);

fn bytes(folder: &std::path::Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|p| p.is_file()).flat_map(|p| std::fs::read(p).unwrap()).collect()
}

fn holds(folder: &std::path::Path, text: &str) -> bool {
    bytes(folder).windows(text.len()).any(|w| w == text.as_bytes())
}

#[tokio::test]
async fn dead_letters_are_sealed_and_erased_with_their_customer() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_with(&folder.path().join("house.sqlite"), Options { create: true, ..Options::default() }).await.unwrap();
    let customer = CustomerInput { reference: "C-7788".into(), phone: Some(Phone::new("+8613800777888")), ..CustomerInput::default() };
    store.put_customers(&[customer], None).await.unwrap();
    let raw = br#"{"data": {"phone": "+8613800777888", "text": "tell Ms Zhaoshengsheng to stop"}}"#.to_vec();
    let not_text = vec![0xff, 0x00, 0x01, 0xfe];
    let letter = |raw: &[u8]| NewDeadLetter { source: "gateway".into(), kind: DeadKind::Event, reason: "a person".into(), raw: raw.to_vec() };
    store.keep_dead_letters(&[letter(&raw), letter(&not_text), letter(b"")], T0).await.unwrap();
    store.scrub(false).await.unwrap();
    assert!(!holds(folder.path(), "Zhaoshengsheng") && !holds(folder.path(), "13800777888"), "at rest nobody reads it");
    let read = async |n: i64| store_letter(&store, n).await;
    assert_eq!((read(1).await, read(2).await, read(3).await), (raw, not_text, Vec::new()), "and it is read as it came");
    assert!(store.sealed_under().await.unwrap().iter().all(|under| under.current), "a rotation finds every one of them");
    store.erase(&Erasure { customer: CustomerId(1), by: "officer".into(), why: "letter".into(), at: T0 }).await.unwrap();
    assert_eq!(read(1).await, b"erased");
    store.scrub(true).await.unwrap();
    assert!(!holds(folder.path(), "C-7788"), "the reference is nowhere");
}

async fn store_letter(store: &SqliteStore, n: i64) -> Vec<u8> {
    store.dead_letter(n).await.unwrap().unwrap().letter.raw
}

/// Rejected rows are personal data in a file; a daemon that is never started anew must drop them too.
#[tokio::test]
async fn rejected_rows_go_with_the_daily_round() {
    let folder = tempfile::tempdir().unwrap();
    let overrides = Overrides { store_url: Some("memory:".to_owned()), data: Some(folder.path().to_owned()), ..Overrides::default() };
    let app = App::open(load(None, &overrides).unwrap(), Access::Write).await.unwrap_or_else(|f| panic!("{}", f.text));
    let rejects = folder.path().join("intakes/rejects");
    std::fs::create_dir_all(&rejects).unwrap();
    let day = std::time::Duration::from_secs(86_400);
    for (name, days) in [("old.csv", 31), ("new.csv", 29)] {
        let file = std::fs::File::create(rejects.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::from(app.now().utc()) - day * days).unwrap();
    }
    app.retention(true).await.unwrap_or_else(|f| panic!("{}", f.text));
    assert!(rejects.join("old.csv").exists(), "a look removes nothing");
    app.retention(false).await.unwrap_or_else(|f| panic!("{}", f.text));
    assert!(!rejects.join("old.csv").exists() && rejects.join("new.csv").exists());
}
