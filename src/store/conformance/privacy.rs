//! Look-ups by contact, erasing, forgetting.
use super::kit::*;
use crate::domain::channel::Channel;
use crate::domain::consent::ConsentState;
use crate::domain::contact::{EmailAddress, Phone};
use crate::domain::ids::CustomerId;
use crate::domain::outcome::Reason;
use crate::domain::touch::State;
use crate::store::inbox::{DeadKind, NewDeadLetter};
use crate::store::privacy::{ERASED, Erasure, Retained};
use crate::store::{CustomerInput, ReceiptRow, Store, StoreError};

fn erasure(customer: CustomerId) -> Erasure {
    Erasure { customer, by: "officer".into(), why: "asked by letter".into(), at: hours(5) }
}

pub async fn found_by_phone_and_email(store: &dyn Store) {
    let ids = people(store, 3).await;
    let shared = CustomerInput { phone: person(1).phone, email: Some(EmailAddress::new("C2@Customers.Example")), ..person(9) };
    store.put_customers(&[shared], None).await.unwrap();
    let ninth = store.customer("C00009").await.unwrap().expect("put before").id;
    let phone = |n: usize| person(n).phone.expect("each has one");
    assert_eq!(store.customers_by_phone(&phone(1)).await.unwrap(), [ids[0], ninth], "two share a telephone");
    assert_eq!(store.customers_by_email(&EmailAddress::new("c2@customers.example")).await.unwrap(), [ids[1], ninth], "capitals do not matter");
    assert!(store.customers_by_phone(&Phone::new("+8613900000000")).await.unwrap().is_empty());
    let moved = CustomerInput { reference: reference(1), phone: Some(Phone::new("+8613900000000")), ..CustomerInput::default() };
    store.put_customers(&[moved], None).await.unwrap();
    assert_eq!(store.customers_by_phone(&phone(1)).await.unwrap(), [ninth], "a number given up finds nobody");
    assert_eq!(store.customers_by_phone(&Phone::new("+8613900000000")).await.unwrap(), [ids[0]]);
}

pub async fn one_batch_may_name_a_customer_twice(store: &dyn Store) {
    store.put_customers(&[person(1)], None).await.unwrap();
    let email = |n: usize| CustomerInput { reference: reference(n), email: Some(EmailAddress::new("x@y.example")), ..CustomerInput::default() };
    let mut consenting = person(3);
    consenting.consents.push(consent(Channel::Sms, ConsentState::Granted, T0));
    let batch = [email(1), person(2), email(2), person(2), consenting.clone(), consenting];
    let count = store.put_customers(&batch, None).await.unwrap();
    assert_eq!((count.inserted, count.updated, count.duplicates), (2, 3, 1), "{count:?}");
    let second = store.customer("C00002").await.unwrap().expect("put before");
    assert_eq!((second.id, second.email), (CustomerId(2), person(2).email));
    assert_eq!(store.customers_by_email(&EmailAddress::new("x@y.example")).await.unwrap(), [CustomerId(1)]);
    assert_eq!(store.consents(CustomerId(3)).await.unwrap().len(), 1);
    assert_eq!(store.customer_count().await.unwrap(), 3);
}

pub async fn erased_is_gone_and_sums_stand(store: &dyn Store) {
    let bed = bed(store, 4).await;
    let given = consent(Channel::Sms, ConsentState::Granted, T0);
    store.put_consents(&[(reference(2), given)], None).await.unwrap();
    bed.start(2, T0).await;
    let key = bed.key(1, 0);
    let said =
        |touch| ReceiptRow { route: bed.route, provider_ref: "p".into(), touch: Some(touch), at: T0, said: "to Ms Example".into(), applied: true };
    store.keep_receipts(&[said(key), said(bed.key(0, 0))]).await.unwrap();
    let before = (store.tallies(bed.run).await.unwrap(), store.list("everybody").await.unwrap());
    let page = store.page(bed.list, CustomerId(0), 10, Default::default()).await.unwrap();

    let erased = store.erase(&erasure(bed.ids[1])).await.unwrap();
    assert_eq!((erased.pseudonym.as_str(), erased.receipts, erased.sources, erased.already), ("erased-2", 1, 1, false));
    let row = store.customer("erased-2").await.unwrap().expect("by its pseudonym");
    assert_eq!((row.id, row.phone, row.email, row.push, row.timezone), (bed.ids[1], None, None, None, None));
    assert_eq!((row.language, row.branch, row.rm, row.attributes.as_str()), (None, None, None, "{}"));
    assert_eq!(store.customer(&reference(2)).await.unwrap(), None, "the reference is unknown");
    assert!(store.customers_by_phone(&person(2).phone.expect("one")).await.unwrap().is_empty());
    assert!(store.customers_by_email(&person(2).email.expect("one")).await.unwrap().is_empty());
    assert_eq!(store.receipts(key).await.unwrap()[0].said, ERASED);
    assert_eq!(store.receipts(bed.key(0, 0)).await.unwrap()[0].said, "to Ms Example", "of another customer");
    assert_eq!(store.consents(row.id).await.unwrap()[0].source, ERASED, "that it was given stays, who wrote it down does not");
    let suppressions = store.suppressions(row.id).await.unwrap();
    assert!(suppressions.iter().any(|s| s.channel.is_none() && s.until.is_none() && s.why == ERASED), "{suppressions:?}");
    assert!(Channel::ALL.into_iter().all(|c| row.contactability.is_suppressed(c)));
    assert_eq!(store.erasure(row.id).await.unwrap(), Some(erasure(row.id)));

    assert_eq!(store.timeline(row.id).await.unwrap().len(), 1, "the ledger's rows stay by number");
    assert_eq!(store.page(bed.list, CustomerId(0), 10, Default::default()).await.unwrap().members.len(), page.members.len());
    assert_eq!((store.tallies(bed.run).await.unwrap(), store.list("everybody").await.unwrap()), before);
    let again = store.erase(&erasure(row.id)).await.unwrap();
    assert!(again.already && again.receipts == 0);
    assert!(matches!(store.erase(&erasure(CustomerId(99))).await, Err(StoreError::NotFound { .. })));
}

/// Words about a customer in places that are no customer's: dead letters, and titles that people wrote.
pub async fn erased_is_gone_from_dead_letters_and_titles(store: &dyn Store) {
    let ids = people(store, 12).await;
    let touch = format!("3-{}-0", ids[0]);
    let digits = person(1).phone.expect("each has one").normalised().replace('+', "");
    let (head, tail) = digits.split_at(5);
    let (of_first, of_others) = (
        [
            r#"{"data": {"customer": "C00001", "text": "please stop"}}"#.to_owned(),
            "no JSON, of C00001.".to_owned(),
            format!(r#"{{"touch": "{touch}"}}"#),
            format!(r#"{{"phone": "+{head} {tail}"}}"#),
        ],
        [
            r#"{"data": {"customer": "C000012"}}"#.to_owned(),
            r#"{"data": {"customer": "C00002", "text": "stop"}}"#.to_owned(),
            format!(r#"{{"touch": "3-{}-0"}}"#, ids[10]),
        ],
    );
    let letter =
        |raw: &String| NewDeadLetter { source: "gateway".into(), kind: DeadKind::Event, reason: "a person".into(), raw: raw.clone().into_bytes() };
    let letters: Vec<NewDeadLetter> = of_first.iter().chain(&of_others).map(letter).collect();
    store.keep_dead_letters(&letters, T0).await.unwrap();
    let task = |key: &str, customer| crate::store::tasks::NewTask {
        key: key.into(),
        kind: crate::store::tasks::TaskKind::Callback,
        customer,
        touch: None,
        title: "Call back: about her mother's house".into(),
        script: None,
        language: None,
        skill: None,
        priority: 5,
        wanted_rm: None,
        branch: None,
        due_at: T0,
        expires_at: None,
        at: T0,
    };
    let made = store.make_tasks(&[task("a", ids[0]), task("b", ids[1])]).await.unwrap();
    let erased = store.erase(&erasure(ids[0])).await.unwrap();
    assert_eq!(erased.tasks, 1);
    let raws: Vec<String> =
        store.dead_letters(false, 0, 20).await.unwrap().into_iter().map(|l| String::from_utf8(l.letter.raw).expect("a text")).collect();
    assert_eq!(raws[..4], [ERASED; 4], "what speaks of the customer is gone");
    assert_eq!(raws[4..], of_others, "and nothing of others");
    assert_eq!(store.dead_letters(true, 0, 20).await.unwrap().len(), 3, "nobody need look at what is gone");
    let titles =
        [store.task(made[0].0.id).await.unwrap().expect("made").made.title, store.task(made[1].0.id).await.unwrap().expect("made").made.title];
    assert_eq!(titles, [ERASED.to_owned(), "Call back: about her mother's house".to_owned()]);
}

pub async fn erased_is_not_begun(store: &dyn Store) {
    let bed = bed(store, 2).await;
    let (candidates, seen) = bed.first_timers(bed.run, 2).await;
    store.erase(&erasure(bed.ids[0])).await.unwrap();
    let request = bed.request(bed.run, hours(6), candidates, seen);
    let mut seen = Vec::new();
    store
        .begin(request, &mut |c, facts| {
            seen.push(facts.contactability.is_suppressed(Channel::Call));
            Some(begun_of(c, bed.run, bed.route, hours(6)))
        })
        .await
        .unwrap();
    assert_eq!(seen, [true, false], "a page that was read before the erasure is decided with it");
}

pub async fn erased_does_not_come_back_unasked(store: &dyn Store) {
    let ids = people(store, 3).await;
    store.erase(&erasure(ids[1])).await.unwrap();
    let same_phone = CustomerInput { phone: person(2).phone, ..person(8) };
    let pseudonym = CustomerInput { reference: "erased-2".into(), ..person(7) };
    let known = CustomerInput { phone: person(2).phone, ..person(3) };
    let batch = [person(1), person(2), same_phone.clone(), person(4), pseudonym, known];
    let count = store.put_customers(&batch, None).await.unwrap();
    assert_eq!((count.inserted, count.updated, count.duplicates), (1, 1, 1), "{count:?}");
    let rejected: Vec<usize> = count.rejected.iter().map(|(index, _)| *index).collect();
    assert_eq!(rejected, [1, 2, 4], "the reference, its telephone number under another name, and a false pseudonym");
    assert!(count.rejected[0].1.contains("erased") && !count.rejected[0].1.contains("C00002"), "{:?}", count.rejected[0]);
    assert!(store.readmit(Some("C00002"), person(2).phone.as_ref()).await.unwrap());
    assert!(!store.readmit(Some("C00002"), None).await.unwrap(), "once");
    let count = store.put_customers(&[person(2), same_phone], None).await.unwrap();
    assert_eq!(count.inserted, 2, "{count:?}");
    let back = store.customer("C00002").await.unwrap().expect("taken in again");
    assert_ne!(back.id, ids[1], "as a new customer: the past is not joined to it");
}

pub async fn receipts_are_forgotten_in_time(store: &dyn Store) {
    let bed = bed(store, 2).await;
    bed.start(2, T0).await;
    let receipt = |n: usize, h: i64| ReceiptRow {
        route: bed.route,
        provider_ref: format!("p{n}"),
        touch: Some(bed.key(n % 2, 0)),
        at: hours(h),
        said: Reason::Delivered.name().into(),
        applied: false,
    };
    store.keep_receipts(&(0..6).map(|n| receipt(n, n as i64)).collect::<Vec<_>>()).await.unwrap();
    store.keep_receipts(&[ReceiptRow { touch: None, ..receipt(9, 1) }]).await.unwrap();
    assert_eq!(store.outdated(Retained::Receipts, hours(3)).await.unwrap(), 4, "three of touches, and one that was never matched");
    let mut gone = 0;
    for _ in 0..20 {
        gone += store.forget(Retained::Receipts, hours(3), 2).await.unwrap();
    }
    assert!(gone >= 3, "{gone}");
    while store.forget(Retained::Receipts, hours(3), 100).await.unwrap() > 0 {}
    assert_eq!(store.outdated(Retained::Receipts, hours(3)).await.unwrap(), 0);
    let left = store.receipts(bed.key(0, 0)).await.unwrap().len() + store.receipts(bed.key(1, 0)).await.unwrap().len();
    assert_eq!(left, 3, "newer ones stay");
    assert_eq!(store.touch(bed.key(0, 0)).await.unwrap().map(|t| t.state), Some(State::Started), "and so does the ledger");
}

pub async fn dead_letters_are_forgotten_once_dealt_with(store: &dyn Store) {
    let letter = |reason: &str| NewDeadLetter { source: "sms-east".into(), kind: DeadKind::Receipts, reason: reason.into(), raw: vec![0, 159] };
    store.keep_dead_letters(&[letter("a"), letter("b")], T0).await.unwrap();
    let first = store.dead_letters(false, 0, 10).await.unwrap()[0].id;
    assert!(store.close_dead_letter(first, "read by hand", hours(1)).await.unwrap());
    assert_eq!(store.forget(Retained::DeadLetters, hours(1), 10).await.unwrap(), 0, "not before its time");
    assert_eq!(store.outdated(Retained::DeadLetters, hours(2)).await.unwrap(), 1);
    assert_eq!(store.forget(Retained::DeadLetters, hours(2), 10).await.unwrap(), 1);
    let left = store.dead_letters(false, 0, 10).await.unwrap();
    assert_eq!(left.iter().map(|l| l.letter.reason.as_str()).collect::<Vec<_>>(), ["b"], "one that waits for somebody stays");
}

pub async fn forgotten_changes_are_asked_again(store: &dyn Store) {
    let bed = bed(store, 3).await;
    let (candidates, seen) = bed.first_timers(bed.run, 3).await;
    store.put_consents(&[(reference(2), consent(Channel::Call, ConsentState::Withdrawn, T0))], None).await.unwrap();
    while store.forget(Retained::ContactChanges, hours(1), 1).await.unwrap() > 0 {}
    assert_eq!(store.outdated(Retained::ContactChanges, hours(1)).await.unwrap(), 0);
    let request = bed.request(bed.run, T0, candidates, seen);
    let mut withdrawn = Vec::new();
    store
        .begin(request, &mut |c, facts| {
            withdrawn.push(facts.contactability.consent(Channel::Call, crate::domain::consent::Purpose::Marketing) == ConsentState::Withdrawn);
            Some(begun_of(c, bed.run, bed.route, T0))
        })
        .await
        .unwrap();
    assert_eq!(withdrawn, [false, true, false], "a change that is no longer in the log is not overlooked");
}

pub async fn sealing_anew_ends(store: &dyn Store) {
    people(store, 5).await;
    let round = store.seal_anew(CustomerId(0), 100).await.unwrap();
    assert_eq!((round.next, round.sealed), (None, 0), "everything is under the first key already");
    assert!(store.sealed_under().await.unwrap().iter().all(|s| s.current));
    assert!(store.scrub(false).await.unwrap());
}
