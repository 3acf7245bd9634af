//! Consents and suppressions.
use super::kit::*;
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentRecord, ConsentState, Purpose, SuppressionRecord};
use crate::domain::ids::CustomerId;
use crate::domain::time::Timestamp;
use crate::store::{Needs, Store};
use ConsentState::{Granted, Unknown, Withdrawn};

async fn put(store: &dyn Store, records: &[ConsentRecord]) -> (u64, u64) {
    let batch: Vec<_> = records.iter().map(|r| (reference(1), r.clone())).collect();
    let count = store.put_consents(&batch, None).await.unwrap();
    assert!(count.rejected.is_empty(), "{:?}", count.rejected);
    (count.inserted, count.duplicates)
}

async fn sms(store: &dyn Store, id: CustomerId) -> ConsentState {
    store.contactability(id).await.unwrap().consent(Channel::Sms, Purpose::Marketing)
}

fn suppression(channel: Option<Channel>, why: &str, until: Option<Timestamp>) -> SuppressionRecord {
    SuppressionRecord { channel, why: why.into(), at: T0, until, source: "register".into() }
}

pub async fn provenance_is_kept(store: &dyn Store) {
    let id = people(store, 1).await[0];
    let first = ConsentRecord { source: "call recording".into(), ..consent(Channel::Sms, Granted, T0) };
    let second = ConsentRecord { source: "keyword STOP".into(), ..consent(Channel::Sms, Withdrawn, hours(2)) };
    assert_eq!(put(store, &[second.clone(), first.clone()]).await, (2, 0));
    assert_eq!(store.consents(id).await.unwrap(), [first.clone(), second], "oldest first, whole");
    assert_eq!(put(store, &[first]).await, (0, 1), "the same record again is a duplicate");
    assert_eq!(store.consents(id).await.unwrap().len(), 2);
}

pub async fn withdrawal_wins_a_tie(store: &dyn Store) {
    let id = people(store, 1).await[0];
    put(store, &[consent(Channel::Sms, Withdrawn, T0), consent(Channel::Sms, Granted, T0)]).await;
    assert_eq!(sms(store, id).await, Withdrawn, "withdrawn first, granted at the same instant");
    put(store, &[consent(Channel::Sms, Granted, hours(1)), consent(Channel::Sms, Withdrawn, hours(1))]).await;
    assert_eq!(sms(store, id).await, Withdrawn, "granted first, withdrawn at the same instant");
    put(store, &[consent(Channel::Sms, Granted, hours(2))]).await;
    assert_eq!(sms(store, id).await, Granted, "a later consent gives it again");
}

pub async fn older_record_does_not_override(store: &dyn Store) {
    let id = people(store, 1).await[0];
    put(store, &[consent(Channel::Sms, Withdrawn, hours(5))]).await;
    put(store, &[consent(Channel::Sms, Granted, hours(1))]).await;
    assert_eq!(sms(store, id).await, Withdrawn, "an older consent that arrives later does not undo the withdrawal");
    assert_eq!(store.consents(id).await.unwrap().len(), 2, "but it is kept");
}

pub async fn purposes_and_channels_are_apart(store: &dyn Store) {
    let id = people(store, 1).await[0];
    let service = ConsentRecord { purpose: Purpose::Service, ..consent(Channel::Email, Granted, T0) };
    put(store, &[service, consent(Channel::Call, Withdrawn, T0)]).await;
    let packed = store.contactability(id).await.unwrap();
    for channel in Channel::ALL {
        for purpose in Purpose::ALL {
            let expected = match (channel, purpose) {
                (Channel::Email, Purpose::Service) => Granted,
                (Channel::Call, Purpose::Marketing) => Withdrawn,
                _ => Unknown,
            };
            assert_eq!(packed.consent(channel, *purpose), expected, "{channel:?} {purpose}");
        }
    }
}

pub async fn unknown_customers_are_rejected(store: &dyn Store) {
    people(store, 1).await;
    let batch = [("nobody".to_owned(), consent(Channel::Sms, Granted, T0)), (reference(1), consent(Channel::Sms, Granted, T0))];
    let count = store.put_consents(&batch, None).await.unwrap();
    assert_eq!((count.inserted, count.rejected.len(), count.rejected[0].0), (1, 1, 0));
    assert!(!count.rejected[0].1.contains("nobody"), "no reference in a text that may be logged");
    let batch = [(reference(1), suppression(None, "deceased", None)), ("nobody".to_owned(), suppression(None, "deceased", None))];
    let count = store.put_suppressions(&batch, None).await.unwrap();
    assert_eq!((count.inserted, count.rejected.len(), count.rejected[0].0), (1, 1, 1));
}

pub async fn suppression_on_all_or_one(store: &dyn Store) {
    let ids = people(store, 2).await;
    let one = suppression(Some(Channel::Sms), "do_not_contact", None);
    let batch = [(reference(1), one.clone()), (reference(2), suppression(None, "deceased", None)), (reference(1), one.clone())];
    let count = store.put_suppressions(&batch, None).await.unwrap();
    assert_eq!((count.inserted, count.duplicates), (2, 1));
    for channel in Channel::ALL {
        assert_eq!(store.contactability(ids[0]).await.unwrap().is_suppressed(channel), channel == Channel::Sms, "{channel:?}");
        assert!(store.contactability(ids[1]).await.unwrap().is_suppressed(channel), "{channel:?}");
    }
    assert_eq!(store.suppressions(ids[0]).await.unwrap(), [one]);
}

pub async fn suppression_lapses(store: &dyn Store) {
    let ids = people(store, 2).await;
    let batch = [
        (reference(1), suppression(Some(Channel::Sms), "holiday", Some(hours(2)))),
        (reference(1), suppression(Some(Channel::Call), "legal_hold", None)),
        (reference(2), suppression(Some(Channel::Sms), "short", Some(hours(2)))),
        (reference(2), suppression(Some(Channel::Sms), "long", Some(hours(9)))),
    ];
    store.put_suppressions(&batch, None).await.unwrap();
    assert_eq!(store.lapse_suppressions(hours(1)).await.unwrap(), 0);
    let list = everybody(store, "all").await;
    let before = store.page(list, CustomerId(0), 1, Needs::default()).await.unwrap().seen_change;
    assert_eq!(store.lapse_suppressions(hours(2)).await.unwrap(), 1, "the second customer is still under the longer one");
    let first = store.contactability(ids[0]).await.unwrap();
    assert!(!first.is_suppressed(Channel::Sms) && first.is_suppressed(Channel::Call));
    assert!(store.contactability(ids[1]).await.unwrap().is_suppressed(Channel::Sms));
    let after = store.page(list, CustomerId(0), 1, Needs::default()).await.unwrap().seen_change;
    assert!(after > before, "a lapse is a change of contactability: {before} then {after}");
    assert_eq!(store.lapse_suppressions(hours(9)).await.unwrap(), 1);
    assert_eq!(store.suppressions(ids[1]).await.unwrap().len(), 2, "a lapsed suppression stays on record");
}

pub async fn complaint_stays(store: &dyn Store) {
    let id = people(store, 1).await[0];
    let batch = [(reference(1), suppression(Some(Channel::Call), "complaint", Some(hours(1))))];
    store.put_suppressions(&batch, None).await.unwrap();
    assert!(store.contactability(id).await.unwrap().has_complained());
    store.lapse_suppressions(hours(1)).await.unwrap();
    let packed = store.contactability(id).await.unwrap();
    assert!(packed.has_complained() && !packed.is_suppressed(Channel::Call), "the suppression lapses, the mark does not");
}
