//! Whatever the order of reports and wishes, and however often each comes: the same rows in the end.
use crate::people;
use crate::support::now;
use proptest::prelude::*;
use std::collections::BTreeMap;
use touchline::domain::channel::Channel;
use touchline::domain::consent::Purpose;
use touchline::domain::ids::CustomerId;
use touchline::domain::outcome::Reason;
use touchline::domain::time::{MINUTE, Timestamp};
use touchline::domain::touch::Touch;
use touchline::store::Store;
use touchline::store::conformance::check_sums;
use touchline::store::contacts::{ContactBook, Report, Wish};
use touchline::store::memory::MemoryStore;
use touchline::store::sqlite::{Options, SqliteStore};

const T0: Timestamp = Timestamp(1_795_482_000_000);

/// Everything of the ledger that a set of reports says, but for the numbers of touches, which are those of arrival, and for the mark on
/// earlier rows of a customer that one had been reached before.
#[derive(Debug, PartialEq)]
struct Ledger {
    contacts: BTreeMap<String, (Report, Touch)>,
    tallies: Vec<touchline::domain::tally::Tallies>,
    audiences: Vec<i64>,
}

async fn ledger(store: &dyn Store, names: &[String]) -> Ledger {
    check_sums(store).await;
    let mut contacts = BTreeMap::new();
    for name in names {
        if let Some(kept) = store.reported_contact("s", name).await.unwrap() {
            let mut touch = store.touch(kept.touch).await.unwrap().unwrap();
            (touch.key.seq, touch.flags) = (0, 0);
            touch.key.campaign = touchline::domain::ids::CampaignId(0);
            contacts.insert(name.clone(), (kept.report, touch));
        }
    }
    let (mut tallies, mut audiences) = (Vec::new(), Vec::new());
    for purpose in Purpose::ALL {
        if let Some(run) = store.house_run(*purpose).await.unwrap() {
            tallies.push(store.tallies(run).await.unwrap());
            audiences.push(store.campaign_by_id(run).await.unwrap().audience);
        }
    }
    Ledger { contacts, tallies, audiences }
}

/// Reports on six contacts of two customers; each contact has one customer and one purpose, all else may differ from report to report.
fn report() -> impl Strategy<Value = Report> {
    let dispositions = prop::sample::select(vec![Reason::Answered, Reason::Interested, Reason::NoAnswer, Reason::Busy, Reason::NotReached]);
    (0..6_usize, dispositions, 0..4_i64, 0..3_i64, 0..3_u32, prop::bool::ANY).prop_map(|(contact, disposition, at, start, seconds, visit)| Report {
        source: "s".into(),
        reference: format!("r{contact}"),
        customer: CustomerId(1 + i64::try_from(contact % 2).unwrap()),
        channel: if visit { Channel::Worklist } else { Channel::Call },
        purpose: Purpose::ALL[contact % 3],
        started_at: T0.plus(start * MINUTE),
        disposition,
        connected_s: seconds,
        at: T0.plus(at * MINUTE),
        by: format!("rm-{seconds}"),
    })
}

/// A set of reports, and an order of them with repetitions.
fn posts() -> impl Strategy<Value = (Vec<Report>, Vec<usize>)> {
    prop::collection::vec(report(), 1..14).prop_flat_map(|reports| {
        let each: Vec<usize> = (0..reports.len()).collect();
        let more = prop::collection::vec(0..reports.len(), 0..10);
        (Just(reports), Just(each).prop_shuffle(), more)
            .prop_flat_map(|(reports, each, more)| (Just(reports), Just([each, more].concat()).prop_shuffle()))
    })
}

async fn post(store: &dyn Store, reports: &[Report], order: impl Iterator<Item = usize>) {
    for place in order {
        store.report_contact(&reports[place]).await.unwrap();
    }
}

fn names() -> Vec<String> {
    (0..6).map(|n| format!("r{n}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn reports_in_any_order_with_repetitions_end_in_the_same_rows((reports, order) in posts()) {
        let ends = [Vec::from_iter(0..reports.len()), order].map(|order| {
            let store = MemoryStore::new();
            now(people(&store));
            now(post(&store, &reports, order.into_iter()));
            now(ledger(&store, &names()))
        });
        let [straight, shuffled] = ends;
        prop_assert_eq!(straight, shuffled);
    }

    #[test]
    fn words_on_wishes_in_any_order_end_in_the_same_wish(words in prop::collection::vec((0..3_usize, prop::option::of(0..3_i64), 0..3_i64), 1..8), seed in any::<u64>()) {
        let word = |(name, wanted, at): (usize, Option<i64>, i64)| Wish {
            source: "s".into(),
            reference: format!("w{name}"),
            customer: CustomerId(1),
            wanted_at: wanted.map(|m| T0.plus(m * MINUTE)),
            zone: chrono_tz::Asia::Shanghai,
            topic: "t".into(),
            at: T0.plus(at * MINUTE),
            by: "b".into(),
        };
        let words: Vec<Wish> = words.into_iter().map(word).collect();
        let mut shuffled = [words.clone(), words.clone()].concat();
        // A fixed shuffle from the seed: sorted by a mixed key.
        shuffled.sort_by_key(|w| (w.at.0 ^ w.wanted_at.map_or(7, |t| t.0)).wrapping_mul(i64::from_ne_bytes(seed.to_ne_bytes()) | 1));
        let ends = [words, shuffled].map(|words| {
            let store = MemoryStore::new();
            now(people(&store));
            for word in &words {
                now(store.put_wish(word)).unwrap();
            }
            now(store.wishes(CustomerId(1))).unwrap().into_iter().map(|row| (row.wish.reference.clone(), row.wish)).collect::<BTreeMap<_, _>>()
        });
        let [straight, shuffled] = ends;
        prop_assert_eq!(straight, shuffled);
    }
}

/// The same over SQLite, and both stores alike: fewer cases, since each is a file.
#[tokio::test]
async fn both_stores_end_alike() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for case in 0..12 {
        let (reports, order) = posts().new_tree(&mut runner).unwrap().current();
        let memory = MemoryStore::new();
        people(&memory).await;
        post(&memory, &reports, 0..reports.len()).await;
        let folder = tempfile::tempdir().unwrap();
        let options = Options { create: true, durable: false, ..Options::default() };
        let sqlite = SqliteStore::open_with(&folder.path().join("s.sqlite"), options).await.unwrap();
        people(&sqlite).await;
        post(&sqlite, &reports, order.into_iter()).await;
        assert_eq!(ledger(&memory, &names()).await, ledger(&sqlite, &names()).await, "case {case}");
    }
}
