//! Customers and intakes.
use super::kit::*;
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentState, Purpose};
use crate::domain::contact::Phone;
use crate::store::{CustomerInput, IntakeProgress, Store};

pub async fn inserts_and_numbers_upwards(store: &dyn Store) {
    assert_eq!(store.customer_count().await.unwrap(), 0);
    let count = store.put_customers(&[person(3), person(1), person(2)], None).await.unwrap();
    assert_eq!((count.inserted, count.updated, count.duplicates), (3, 0, 0));
    assert!(count.rejected.is_empty());
    assert_eq!(store.customer_count().await.unwrap(), 3);
    let ids = store.customer_ids(&["C00003", "C00001", "C00002"]).await.unwrap();
    assert!(ids.iter().all(Option::is_some) && ids.is_sorted(), "customers are numbered as they come: {ids:?}");
    let row = store.customer("C00001").await.unwrap().expect("put before");
    assert_eq!((row.reference.as_str(), row.phone, row.timezone), ("C00001", person(1).phone, Some(chrono_tz::Asia::Shanghai)));
    assert_eq!(store.customer("C99999").await.unwrap(), None);
}

pub async fn merges_field_by_field(store: &dyn Store) {
    store.put_customers(&[person(1)], None).await.unwrap();
    let update = CustomerInput {
        reference: reference(1),
        phone: Some(Phone::new("+8613911111111")),
        attributes: [("job".to_owned(), serde_json::json!("admin."))].into_iter().collect(),
        ..CustomerInput::default()
    };
    let count = store.put_customers(&[update], None).await.unwrap();
    assert_eq!((count.inserted, count.updated, count.duplicates), (0, 1, 0));
    let row = store.customer("C00001").await.unwrap().expect("put before");
    assert_eq!(row.phone, Some(Phone::new("+8613911111111")), "the later number wins");
    assert_eq!((row.email, row.branch, row.rm), (person(1).email, person(1).branch, person(1).rm), "what is not given stays");
    let attributes: serde_json::Value = serde_json::from_str(&row.attributes).unwrap();
    assert_eq!(attributes, serde_json::json!({"balance": 1, "job": "admin."}), "attributes are merged by name");
}

pub async fn same_row_is_a_duplicate(store: &dyn Store) {
    store.put_customers(&[person(1), person(2)], None).await.unwrap();
    let count = store.put_customers(&[person(1), person(2), person(3)], None).await.unwrap();
    assert_eq!((count.inserted, count.updated, count.duplicates), (1, 0, 2));
}

pub async fn consents_come_with_the_row(store: &dyn Store) {
    let mut with = person(1);
    with.consents.push(consent(Channel::Sms, ConsentState::Granted, T0));
    store.put_customers(&[with.clone(), person(2)], None).await.unwrap();
    let row = store.customer("C00001").await.unwrap().expect("put before");
    assert_eq!(row.contactability.consent(Channel::Sms, Purpose::Marketing), ConsentState::Granted);
    assert_eq!(store.consents(row.id).await.unwrap(), with.consents);
    with.consents.push(consent(Channel::Sms, ConsentState::Withdrawn, hours(1)));
    let count = store.put_customers(&[with], None).await.unwrap();
    assert_eq!(count.updated, 1, "a new consent is an update: {count:?}");
    assert_eq!(store.contactability(row.id).await.unwrap().consent(Channel::Sms, Purpose::Marketing), ConsentState::Withdrawn);
    assert_eq!(store.consents(row.id).await.unwrap().len(), 2, "a consent on record is not recorded again");
}

pub async fn ids_in_the_order_asked(store: &dyn Store) {
    let ids = people(store, 3).await;
    let found = store.customer_ids(&["C00003", "nobody", "C00001", "C00003"]).await.unwrap();
    assert_eq!(found, [Some(ids[2]), None, Some(ids[0]), Some(ids[2])]);
}

pub async fn progress_goes_with_the_rows(store: &dyn Store) {
    let mark = |rows_read, done| IntakeProgress {
        key: "customers:main:abcd".into(),
        rows_read,
        accepted: rows_read - 1,
        filtered: 0,
        rejected: 1,
        duplicates: 0,
        rejects_bytes: 17,
        done,
    };
    assert_eq!(store.intake_progress("customers:main:abcd").await.unwrap(), None);
    store.put_customers(&[person(1)], Some(&mark(2, false))).await.unwrap();
    assert_eq!(store.intake_progress("customers:main:abcd").await.unwrap(), Some(mark(2, false)));
    let list = store.open_list("l", T0).await.unwrap();
    let ids = store.customer_ids(&["C00001"]).await.unwrap();
    store.add_members(list, &[ids[0].unwrap()], Some(&mark(3, false))).await.unwrap();
    assert_eq!(store.intake_progress("customers:main:abcd").await.unwrap(), Some(mark(3, false)));
    store.set_intake_progress(&mark(9, true)).await.unwrap();
    assert_eq!(store.intake_progress("customers:main:abcd").await.unwrap(), Some(mark(9, true)));
    assert_eq!(store.intake_progress("customers:other:abcd").await.unwrap(), None);
}
