//! Lists.
use super::kit::*;
use crate::domain::ids::CustomerId;
use crate::store::{Needs, Store, StoreError};

/// BLAKE3 of `C00001\nC00002\nC00003\n`.
const CHECKSUM: &str = "f9ce4afd1e0092cfe03923aa8af1418096702f900a44b2de0dddeb0ecbab5b63";

pub async fn freeze_gives_the_fixed_checksum(store: &dyn Store) {
    let ids = people(store, 4).await;
    let list = store.open_list("three", T0).await.unwrap();
    store.add_members(list, &[ids[2], ids[0]], None).await.unwrap();
    store.add_members(list, &[ids[1]], None).await.unwrap();
    let open = store.list("three").await.unwrap();
    assert_eq!((open.id, open.count, open.checksum.as_str(), open.frozen_at), (list, 3, "", None));
    let frozen = store.freeze_list(list, hours(1)).await.unwrap();
    assert_eq!(
        (frozen.count, frozen.checksum.as_str(), frozen.frozen_at),
        (3, CHECKSUM, Some(hours(1))),
        "in customer order, not in order of arrival"
    );
    assert_eq!(store.freeze_list(list, hours(2)).await.unwrap(), frozen, "freezing again changes nothing");
    assert_eq!(store.list("three").await.unwrap(), frozen);
    let empty = store.open_list("empty", T0).await.unwrap();
    let empty = store.freeze_list(empty, T0).await.unwrap();
    assert_eq!((empty.count, empty.checksum), (0, blake3::hash(b"").to_hex().to_string()));
}

pub async fn frozen_takes_nothing(store: &dyn Store) {
    let ids = people(store, 2).await;
    let list = everybody(store, "all").await;
    expect_conflict(store.add_members(list, &ids, None).await, "adding to a frozen list");
    expect_conflict(store.add_all_customers(list).await, "adding all to a frozen list");
    expect_conflict(store.open_list("all", T0).await, "opening a frozen list");
    people(store, 3).await;
    assert_eq!(store.list("all").await.unwrap().count, 2, "a customer who comes later is no member");
    let page = store.page(list, CustomerId(0), 10, Needs::default()).await.unwrap();
    assert_eq!(page.members.len(), 2);
}

pub async fn members_once(store: &dyn Store) {
    let ids = people(store, 3).await;
    let list = store.open_list("l", T0).await.unwrap();
    assert_eq!(store.open_list("l", T0).await.unwrap(), list, "an open list is gone on with");
    assert_eq!(store.add_members(list, &[ids[0], ids[1], ids[0]], None).await.unwrap(), 2);
    assert_eq!(store.add_members(list, &[ids[1], ids[2]], None).await.unwrap(), 1);
    assert_eq!(store.add_all_customers(list).await.unwrap(), 0);
    assert_eq!(store.list("l").await.unwrap().count, 3);
    let unknown = store.add_members(list, &[CustomerId(999_999)], None).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })), "an unknown member: {unknown:?}");
}

pub async fn pages_in_customer_order(store: &dyn Store) {
    let ids = people(store, 5).await;
    let list = everybody(store, "all").await;
    let mut seen = Vec::new();
    let mut after = CustomerId(0);
    for expected_last in [false, false, true] {
        let page = store.page(list, after, 2, Needs::default()).await.unwrap();
        assert_eq!(page.last, expected_last, "after {after}");
        seen.extend(page.members.iter().map(|m| m.id));
        after = *seen.last().unwrap();
    }
    assert_eq!(seen, ids);
    let beyond = store.page(list, after, 2, Needs::default()).await.unwrap();
    assert!(beyond.members.is_empty() && beyond.last);
    let exact = store.page(list, ids[2], 2, Needs::default()).await.unwrap();
    assert!(exact.members.len() == 2 && exact.last, "a page that just holds the rest is the last");
}

pub async fn page_carries_what_is_needed(store: &dyn Store) {
    people(store, 1).await;
    let list = everybody(store, "all").await;
    let bare = store.page(list, CustomerId(0), 10, Needs::default()).await.unwrap().members.remove(0);
    assert!(bare.phone.is_none() && bare.email.is_none() && bare.push.is_none() && bare.person.is_none() && bare.attributes.is_none());
    assert_eq!(bare.timezone, Some(chrono_tz::Asia::Shanghai), "the zone always comes");
    let all = Needs { phone: true, email: true, push: true, person: true, attributes: true };
    let full = store.page(list, CustomerId(0), 10, all).await.unwrap().members.remove(0);
    assert_eq!((full.phone, full.email, full.push), (person(1).phone, person(1).email, person(1).push));
    let who = full.person.expect("asked for");
    assert_eq!((who.reference, who.language, who.branch, who.rm), (reference(1), person(1).language, person(1).branch, person(1).rm));
    let attributes: serde_json::Value = serde_json::from_str(&full.attributes.expect("asked for")).unwrap();
    assert_eq!(attributes, serde_json::json!({"balance": 1}));
}

pub async fn unknown_list_gets_a_hint(store: &dyn Store) {
    everybody(store, "term-deposit-prospects").await;
    everybody(store, "zz").await;
    match store.list("term-deposit-prospect").await {
        Err(StoreError::NotFound { what, name, hint }) => {
            assert_eq!((what, name.as_str()), ("list", "term-deposit-prospect"));
            assert!(hint.contains("term-deposit-prospects"), "the hint names the nearest list: {hint:?}");
        }
        other => panic!("expected the list not to be found, found {other:?}"),
    }
    let names: Vec<String> = store.lists().await.unwrap().into_iter().map(|l| l.name).collect();
    assert_eq!(names, ["zz", "term-deposit-prospects"], "newest first");
}
