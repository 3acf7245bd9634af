//! Personal data at rest: nothing of it can be read out of the files, keys can be changed under way, what is erased is gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use touchline::desk::erase::erase;
use touchline::desk::retention::{preview, retention_round};
use touchline::desk::rotate::rotate;
use touchline::domain::access::Actor;
use touchline::domain::channel::Channel;
use touchline::domain::consent::ConsentState;
use touchline::domain::contact::{EmailAddress, Phone, PushToken};
use touchline::domain::ids::CustomerId;
use touchline::domain::retention::Retention;
use touchline::domain::time::DAY;
use touchline::store::conformance::kit::{T0, consent, hours, person, reference};
use touchline::store::privacy::Retained;
use touchline::store::sealing::{KeyRing, KeySource, key_file_beside, new_key};
use touchline::store::sqlite::{Options, SqliteStore};
use touchline::store::tasks::{Checkpoint, NewTask, TaskBook, TaskKind};
use touchline::store::*;

fn ring(keys: &[&str]) -> KeySource {
    KeySource::Ring(Arc::new(KeyRing::parse(&keys.join(",")).unwrap()))
}

async fn open(path: &Path, keys: KeySource) -> StoreResult<SqliteStore> {
    SqliteStore::open_with(path, Options { create: true, durable: false, keys, ..Options::default() }).await
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

/// Files of a folder in which one of these texts stands.
fn holding(folder: &Path, texts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for text in texts {
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(format!("{} holds {text}", path.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    found
}

fn known() -> CustomerInput {
    CustomerInput {
        phone: Some(Phone::new("+8613812345678")),
        email: Some(EmailAddress::new("zhang.wei@known.example")),
        push: Some(PushToken::new("push-token-of-zhang-wei")),
        attributes: [("nickname".to_owned(), serde_json::json!("Old Zhang the baker"))].into_iter().collect(),
        ..person(1)
    }
}

fn task(customer: CustomerId) -> NewTask {
    NewTask {
        key: "referral:test/1".into(),
        kind: TaskKind::Referral,
        customer,
        touch: None,
        title: "Call about a deposit".into(),
        script: Some("Good morning Mr Zhang Wei".into()),
        language: None,
        skill: None,
        priority: 5,
        wanted_rm: None,
        branch: Some("north".into()),
        due_at: T0,
        expires_at: None,
        at: T0,
    }
}

fn checkpoint(customer: CustomerId, closed: bool) -> Checkpoint {
    let detail = r#"{"income": "31999 a month"}"#.to_owned();
    Checkpoint { customer, name: "loan".into(), step: "income".into(), left_on: "app".into(), detail, at: T0, closed }
}

const SECRETS: [&str; 7] = [
    "13812345678",
    "+8613912345678",
    "zhang.wei@known.example",
    "push-token-of-zhang-wei",
    "Old Zhang the baker",
    "Good morning Mr Zhang Wei",
    "31999 a month",
];

#[tokio::test]
async fn nothing_personal_can_be_read_out_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let key = new_key().unwrap();
    let store = open(&path, ring(&[&key])).await.unwrap();
    store.put_customers(&[known(), person(2)], None).await.unwrap();
    let moved = CustomerInput { reference: reference(1), phone: Some(Phone::new("+8613912345678")), ..CustomerInput::default() };
    store.put_customers(&[moved], None).await.unwrap();
    let made = store.make_tasks(&[task(CustomerId(1))]).await.unwrap();
    assert_eq!(made[0].0.made.script.as_deref(), Some("Good morning Mr Zhang Wei"));
    store.put_checkpoint(&checkpoint(CustomerId(1), false)).await.unwrap();
    assert_eq!(holding(folder.path(), &SECRETS), Vec::<String>::new(), "with its log");
    let row = store.customer("C00001").await.unwrap().unwrap();
    assert_eq!((row.phone, row.email, row.push), (Some(Phone::new("+8613912345678")), known().email, known().push));
    assert!(row.attributes.contains("Old Zhang the baker"), "{}", row.attributes);
    let read = store.task(made[0].0.id).await.unwrap().unwrap();
    assert_eq!(read.made.script.as_deref(), Some("Good morning Mr Zhang Wei"));
    assert_eq!(store.checkpoints(CustomerId(1)).await.unwrap(), [checkpoint(CustomerId(1), false)]);
    store.close().await.unwrap();
    assert_eq!(holding(folder.path(), &SECRETS), Vec::<String>::new(), "without it");
    assert_eq!(holding(folder.path(), &["C00001"]).len(), 1, "the search itself finds what is there");
    assert!(!key_file_beside(&path).exists(), "no key is made where one is named");
}

#[tokio::test]
async fn a_wrong_or_missing_key_is_told_and_nothing_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let (right, wrong) = (new_key().unwrap(), new_key().unwrap());
    let store = open(&path, ring(&[&right])).await.unwrap();
    store.put_customers(&[known()], None).await.unwrap();
    store.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    for read_only in [false, true] {
        let options = |keys| Options { read_only, keys, ..Options::default() };
        let error = SqliteStore::open_with(&path, options(ring(&[&wrong]))).await.err().unwrap();
        assert!(
            matches!(&error, StoreError::Unusable(why) if why.contains("sealed under the key") && why.contains("Nothing was changed")),
            "{error}"
        );
        let error = SqliteStore::open_with(&path, options(KeySource::Beside)).await.err().unwrap();
        assert!(matches!(&error, StoreError::Unusable(why) if why.contains("bank.db.key") && why.contains("Nothing was changed")), "{error}");
        let store = SqliteStore::open_with(&path, options(ring(&[&wrong, &right]))).await.unwrap();
        assert_eq!(store.customer("C00001").await.unwrap().unwrap().phone, known().phone, "any key of the ring opens");
        store.close().await.unwrap();
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(!key_file_beside(&path).exists());
}

#[tokio::test]
async fn a_value_that_was_moved_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = open(&path, KeySource::Beside).await.unwrap();
    store.put_customers(&[known(), person(2)], None).await.unwrap();
    let mut conn = raw(&path).await;
    let swap = "UPDATE customer SET phone = (SELECT phone FROM customer WHERE id = 1) WHERE id = 2";
    sqlx::query(swap).execute(&mut conn).await.unwrap();
    let error = store.customer("C00002").await.unwrap_err();
    assert!(matches!(&error, StoreError::Unusable(why) if why.contains("customer.phone") && !why.contains("138")), "{error}");
    assert!(store.members(&[CustomerId(2)], Needs { phone: true, ..Needs::default() }).await.is_err());
    assert!(store.members(&[CustomerId(2)], Needs { email: true, ..Needs::default() }).await.is_ok(), "what nobody asks for is not opened");
    sqlx::query("UPDATE customer SET phone = email WHERE id = 1").execute(&mut conn).await.unwrap();
    assert!(store.customer("C00001").await.is_err(), "nor in another column");
    conn.close().await.unwrap();
}

#[tokio::test]
async fn an_interrupted_rotation_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let (old, new) = (new_key().unwrap(), new_key().unwrap());
    let store = open(&path, ring(&[&old])).await.unwrap();
    store.put_customers(&(1..=2_300).map(person).collect::<Vec<_>>(), None).await.unwrap();
    store.make_tasks(&[task(CustomerId(1))]).await.unwrap();
    store.put_checkpoint(&checkpoint(CustomerId(1), false)).await.unwrap();
    store.close().await.unwrap();

    let store = open(&path, ring(&[&new, &old])).await.unwrap();
    let first = store.seal_anew(CustomerId(0), 500).await.unwrap();
    assert_eq!((first.next, first.sealed), (Some(CustomerId(500)), 500));
    // Another process that still seals under the old key, in the middle of it.
    let daemon = open(&path, ring(&[&old, &new])).await.unwrap();
    let moved = CustomerInput { reference: reference(7), phone: Some(Phone::new("+8613900000007")), ..CustomerInput::default() };
    daemon.put_customers(&[moved], None).await.unwrap();
    daemon.close().await.unwrap();
    store.close().await.unwrap();

    let store = open(&path, ring(&[&new, &old])).await.unwrap();
    assert_eq!(store.sealed_under().await.unwrap().len(), 2, "what is left is told");
    let rotation = rotate(&store, false, &mut |_| {}).await.unwrap();
    assert!(rotation.done && rotation.scrubbed, "{rotation:?}");
    assert_eq!(rotation.sealed, 1_800 + 1 + 1 + 1 + 1, "the rest, the one moved back, a task, a checkpoint and the secret");
    assert_eq!(rotate(&store, false, &mut |_| {}).await.unwrap().sealed, 0);
    store.close().await.unwrap();

    assert!(open(&path, ring(&[&old])).await.is_err(), "the old key opens nothing any more");
    let store = open(&path, ring(&[&new])).await.unwrap();
    let row = store.customer("C00007").await.unwrap().unwrap();
    assert_eq!((row.phone, row.email), (Some(Phone::new("+8613900000007")), person(7).email));
    assert_eq!(store.customers_by_phone(&person(2_300).phone.unwrap()).await.unwrap(), [CustomerId(2_300)], "look-ups outlive the key");
    let task = store.task_by_key("referral:test/1").await.unwrap().unwrap();
    assert_eq!(task.made.script.as_deref(), Some("Good morning Mr Zhang Wei"));
    assert_eq!(store.checkpoints(CustomerId(1)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_was_open_before_is_read_and_sealed_by_the_same_walk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = open(&path, KeySource::Beside).await.unwrap();
    store.put_customers(&[person(2)], None).await.unwrap();
    store.close().await.unwrap();
    // As a version before 0006 has left it.
    let mut conn = raw(&path).await;
    sqlx::query(
        "INSERT INTO customer (id, reference, phone, email, push, attributes) VALUES \
         (2, 'C00001', '+8613812345678', 'zhang.wei@known.example', 'push-token-of-zhang-wei', '{\"nickname\":\"Old Zhang the baker\"}')",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    conn.close().await.unwrap();
    assert!(!holding(folder.path(), &SECRETS).is_empty());
    let store = open(&path, KeySource::Beside).await.unwrap();
    let row = store.customer("C00001").await.unwrap().unwrap();
    assert_eq!((&row.phone, &row.email), (&known().phone, &known().email));
    let needs = Needs { phone: true, email: true, push: true, person: true, attributes: true };
    assert_eq!(store.members(&[row.id], needs).await.unwrap()[0].attributes.as_deref(), Some(row.attributes.as_str()));
    let rotation = rotate(&store, true, &mut |_| {}).await.unwrap();
    assert_eq!((rotation.sealed, rotation.done), (1, true), "{rotation:?}");
    assert_eq!(store.customer("C00001").await.unwrap().unwrap(), row);
    assert_eq!(store.customers_by_phone(&known().phone.unwrap()).await.unwrap(), [row.id]);
    store.close().await.unwrap();
    assert_eq!(holding(folder.path(), &SECRETS), Vec::<String>::new());
}

#[tokio::test]
async fn an_erased_customer_is_in_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bank.db");
    let store = open(&path, KeySource::Beside).await.unwrap();
    let mut first = CustomerInput { reference: "REF-OF-ZHANG".into(), branch: Some("far-branch".into()), ..known() };
    first.consents.push(consent(Channel::Sms, ConsentState::Granted, T0));
    store.put_customers(&[first.clone(), person(2)], None).await.unwrap();
    store.make_tasks(&[task(CustomerId(1))]).await.unwrap();
    store.put_checkpoint(&checkpoint(CustomerId(1), false)).await.unwrap();
    assert!(!holding(folder.path(), &["REF-OF-ZHANG"]).is_empty());

    let stranger = Actor { branch: Some("elsewhere".into()), ..Actor::local("x") };
    assert!(erase(&store, &stranger, "REF-OF-ZHANG", "letter 1", hours(1)).await.is_err(), "not one of theirs");
    assert!(erase(&store, &Actor::local("officer"), "REF-OF-ZHANG", " ", hours(1)).await.is_err(), "without a reason");
    let erased = erase(&store, &Actor::local("officer"), "REF-OF-ZHANG", "letter 1", hours(1)).await.unwrap();
    assert_eq!((erased.pseudonym.as_str(), erased.tasks, erased.checkpoints, erased.sources), ("erased-1", 1, 1, 1));
    let task = store.task_by_key("referral:test/1").await.unwrap().unwrap();
    assert!(task.state.is_closed() && task.made.script.is_none(), "called off, and its script gone");
    let again = erase(&store, &Actor::local("officer"), "erased-1", "letter 1", hours(2)).await.unwrap();
    assert!(again.already);
    let refused = store.put_customers(&[first], None).await.unwrap();
    assert_eq!((refused.inserted, refused.rejected.len()), (0, 1), "{refused:?}");
    let mut gone = SECRETS.to_vec();
    gone.extend(["REF-OF-ZHANG", "far-branch"]);
    assert_eq!(holding(folder.path(), &gone), Vec::<String>::new());
    store.close().await.unwrap();
    assert_eq!(holding(folder.path(), &gone), Vec::<String>::new());
}

#[tokio::test]
async fn what_has_been_kept_long_enough_goes_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder.path().join("bank.db"), KeySource::Beside).await.unwrap();
    let memory = touchline::store::memory::MemoryStore::new();
    for store in [&sqlite as &dyn Store, &memory as &dyn Store] {
        store.put_customers(&[person(1), person(2)], None).await.unwrap();
        store.put_checkpoint(&checkpoint(CustomerId(1), true)).await.unwrap();
        store.put_checkpoint(&checkpoint(CustomerId(2), false)).await.unwrap();
        let made = store.make_tasks(&[task(CustomerId(1))]).await.unwrap().remove(0).0;
        let closed = touchline::domain::worklist::lease::cancel(&made, hours(1)).unwrap();
        store.change_tasks(&[(closed, Vec::new())]).await.unwrap();
        let policy = Retention::default();
        let rows = |all: &[touchline::desk::retention::Forgotten], what| all.iter().find(|f| f.what == what).unwrap().rows;
        let early = retention_round(store, &policy, T0.plus(30 * DAY)).await.unwrap();
        assert_eq!((rows(&early, Retained::Tasks), rows(&early, Retained::Checkpoints)), (0, 0), "{early:?}");
        let late = T0.plus(1_200 * DAY);
        let seen = preview(store, &policy, late).await.unwrap();
        assert_eq!((rows(&seen, Retained::Tasks), rows(&seen, Retained::Checkpoints)), (1, 1), "{seen:?}");
        assert!(store.task(made.id).await.unwrap().unwrap().made.script.is_some(), "a preview removes nothing");
        let round = retention_round(store, &policy, late).await.unwrap();
        assert_eq!((rows(&round, Retained::Tasks), rows(&round, Retained::Checkpoints)), (1, 1));
        assert!(store.task(made.id).await.unwrap().unwrap().made.script.is_none(), "the task stays, its words go");
        assert!(store.checkpoints(CustomerId(1)).await.unwrap().is_empty());
        assert_eq!(store.checkpoints(CustomerId(2)).await.unwrap().len(), 1, "one that is open stays");
        assert!(preview(store, &policy, late).await.unwrap().iter().all(|f| f.rows == 0));
    }
}
