//! The inbox: receipts before they are answered, dead letters, names of messages, ratings.
use super::kit::*;
use crate::domain::outcome::Reason;
use crate::domain::time::{MINUTE, Timestamp};
use crate::domain::touch::State;
use crate::store::inbox::{DeadKind, NewDeadLetter, NewReceipt, Post, Rating};
use crate::store::{ReceiptRow, Store};

fn receipt(bed: &Bed<'_>, name: &str, at: Timestamp) -> NewReceipt {
    NewReceipt {
        route: bed.route,
        provider_ref: Some(name.into()),
        touch: None,
        at,
        disposition: Reason::Delivered,
        connected_s: 0,
        cost_micros: Some(45_000),
    }
}

fn dead(reason: &str) -> NewDeadLetter {
    NewDeadLetter { source: "sms-east".into(), kind: DeadKind::Receipts, reason: reason.into(), raw: vec![0, 159, 255] }
}

fn post<'a>(id: &'a str, receipts: &'a [NewReceipt], dead: &'a [NewDeadLetter]) -> Post<'a> {
    Post { source: "sms-east", id, receipts, dead, at: T0, next_at: T0.plus(2 * MINUTE) }
}

pub async fn a_repeated_message_changes_nothing(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let receipts = [receipt(&bed, "a", T0), NewReceipt { provider_ref: None, touch: Some(bed.key(0, 0)), ..receipt(&bed, "", T0) }];
    assert!(store.take_post(&post("m-1", &receipts, &[dead("no JSON")])).await.unwrap());
    assert!(!store.take_post(&post("m-1", &receipts, &[dead("no JSON")])).await.unwrap());
    let other = Post { source: "sms-west", ..post("m-1", &[], &[]) };
    assert!(store.take_post(&other).await.unwrap(), "names are a source's own");
    let open = store.open_receipts(None, 0, 10).await.unwrap();
    assert_eq!(open.iter().map(|r| r.receipt.clone()).collect::<Vec<_>>(), receipts);
    assert_eq!((open[0].received_at, open[0].tries), (T0, 0));
    assert_eq!(store.open_receipts(None, open[0].id, 10).await.unwrap().len(), 1, "goes on after a number");
    assert!(store.open_receipts(Some(T0), 0, 10).await.unwrap().is_empty(), "not yet due");
    assert_eq!(store.open_receipts(Some(T0.plus(2 * MINUTE)), 0, 1).await.unwrap().len(), 1);
    let letters = store.dead_letters(true, 0, 10).await.unwrap();
    assert_eq!((letters.len(), &letters[0].letter), (1, &dead("no JSON")));
}

pub async fn receipts_are_open_until_the_engine_has_them(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let begun = bed.start(1, T0).await;
    let touch = &begun.written[0].1;
    bed.record(&[accepted(touch, "a", hours(9))]).await;
    assert!(store.take_post(&post("m-1", &[receipt(&bed, "a", hours(1))], &[])).await.unwrap());
    let id = store.open_receipts(None, 0, 10).await.unwrap()[0].id;
    store.receipts_handed(&[id], hours(3)).await.unwrap();
    assert_eq!(store.confirm_receipts(&[(id, touch.key)]).await.unwrap(), [0; 0], "handed over is not on record");
    assert!(store.open_receipts(Some(hours(2)), 0, 10).await.unwrap().is_empty());
    assert_eq!(store.open_receipts(Some(hours(3)), 0, 10).await.unwrap()[0].tries, 1);
    let raw =
        ReceiptRow { route: bed.route, provider_ref: "a".into(), touch: Some(touch.key), at: hours(1), said: "delivered".into(), applied: true };
    store.keep_receipts(&[ReceiptRow { at: hours(2), ..raw.clone() }, ReceiptRow { said: "opened".into(), ..raw.clone() }]).await.unwrap();
    assert_eq!(store.confirm_receipts(&[(id, touch.key)]).await.unwrap(), [0; 0], "another receipt of that touch");
    store.keep_receipts(&[raw]).await.unwrap();
    assert_eq!(store.confirm_receipts(&[(id, touch.key)]).await.unwrap(), [id]);
    assert_eq!(store.confirm_receipts(&[(id, touch.key)]).await.unwrap(), [0; 0], "once");
    assert!(store.open_receipts(None, 0, 10).await.unwrap().is_empty());
    assert_eq!(bed.stored(touch.key).await.state, State::Started, "the inbox itself changes no touch");
}

pub async fn what_is_given_up_becomes_a_dead_letter(store: &dyn Store) {
    let bed = bed(store, 1).await;
    store.take_post(&post("m-1", &[receipt(&bed, "a", T0), receipt(&bed, "b", T0)], &[])).await.unwrap();
    let open = store.open_receipts(None, 0, 10).await.unwrap();
    store.bury_receipts(&[(open[0].id, dead("no touch"))], hours(1)).await.unwrap();
    assert_eq!(store.open_receipts(None, 0, 10).await.unwrap(), open[1..]);
    let letter = store.dead_letters(true, 0, 10).await.unwrap().remove(0);
    assert_eq!((letter.received_at, letter.closed.clone()), (hours(1), None));
    assert!(store.close_dead_letter(letter.id, "taken after all", hours(2)).await.unwrap());
    assert!(!store.close_dead_letter(letter.id, "again", hours(3)).await.unwrap() && !store.close_dead_letter(99, "none", T0).await.unwrap());
    assert!(store.dead_letters(true, 0, 10).await.unwrap().is_empty());
    assert_eq!(store.dead_letters(false, 0, 10).await.unwrap()[0].closed, Some((hours(2), "taken after all".into())));
    assert_eq!(store.dead_letter(99).await.unwrap(), None);
    store.keep_dead_letters(&[dead("x"), dead("y")], T0).await.unwrap();
    assert_eq!(store.dead_letters(true, letter.id, 1).await.unwrap()[0].letter.reason, "x", "in the order in which they came");
}

pub async fn events_are_known_and_forgotten(store: &dyn Store) {
    let bed = bed(store, 1).await;
    let event = |id: &str| ("app".to_owned(), id.to_owned());
    let rating = |id: &str, rating, touch| Rating { event: event(id), customer: bed.ids[0], touch, rating, at: T0 };
    let ratings = [rating("1", 5, Some(bed.key(0, 0))), rating("2", 1, None)];
    store.keep_events(&[event("1"), event("2")], &ratings, T0).await.unwrap();
    store.keep_events(&[event("2"), event("3")], &[rating("2", 4, None)], hours(1)).await.unwrap();
    assert_eq!(store.known_events(&[event("3"), event("4"), event("1")]).await.unwrap(), [true, false, true], "in the order asked");
    assert_eq!(store.ratings(None).await.unwrap(), [1, 0, 0, 0, 1], "a repeated event rates once");
    assert_eq!(store.ratings(Some(bed.run)).await.unwrap(), [0, 0, 0, 0, 1]);
    assert_eq!(store.forget_messages(hours(1)).await.unwrap(), 2);
    assert_eq!(store.known_events(&[event("1"), event("3")]).await.unwrap(), [false, true]);
    assert_eq!(store.ratings(None).await.unwrap(), [1, 0, 0, 0, 1], "ratings stay");
}
