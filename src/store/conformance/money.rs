//! Facts, credits, exports and ownership.
use super::kit::*;
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::time::Timestamp;
use crate::store::{CreditRow, ExportRow, FactInput, Store};

fn fact(fact_ref: &str, customer: usize, kind: &str, product: Option<&str>, minor: i64, at: Timestamp) -> FactInput {
    FactInput {
        fact_ref: fact_ref.into(),
        customer: reference(customer),
        kind: kind.into(),
        product: product.map(Into::into),
        amount: cny(minor),
        at,
    }
}

pub async fn facts_duplicates_and_conflicts(store: &dyn Store) {
    let ids = people(store, 2).await;
    let first = fact("1", 1, "deposit", Some("term"), 100, T0);
    let count =
        store.put_facts(&[first.clone(), fact("1", 1, "loan_balance", None, 5, T0), fact("9", 99, "deposit", None, 1, T0)], None).await.unwrap();
    assert_eq!((count.inserted, count.duplicates, count.rejected.len(), count.rejected[0].0), (2, 0, 1, 2), "numbers are unique per kind: {count:?}");
    let changed = FactInput { amount: cny(101), ..first.clone() };
    let moved = FactInput { customer: reference(2), ..first.clone() };
    let count = store.put_facts(&[changed, first, moved], None).await.unwrap();
    assert_eq!((count.inserted, count.duplicates), (0, 1));
    assert_eq!(count.rejected.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 2], "other content under a known number");
    let kept = store.customer_facts(ids[0]).await.unwrap();
    assert_eq!((kept.len(), kept.iter().map(|f| f.amount.minor).sum::<i64>()), (2, 105));
    assert!(store.customer_facts(ids[1]).await.unwrap().is_empty());
}

pub async fn facts_in_order(store: &dyn Store) {
    let ids = people(store, 3).await;
    let batch = [
        fact("d", 2, "deposit", Some("term"), 4, hours(1)),
        fact("c", 2, "deposit", Some("demand"), 3, T0),
        fact("a", 1, "deposit", Some("term"), 1, hours(9)),
        fact("b", 3, "deposit", None, 2, T0),
        fact("x", 1, "loan_balance", Some("term"), 9, T0),
        fact("e", 2, "deposit", Some("term"), 5, hours(1)),
    ];
    store.put_facts(&batch, None).await.unwrap();
    let amounts = |facts: Vec<crate::store::FactRow>| facts.iter().map(|f| f.amount.minor).collect::<Vec<_>>();
    assert_eq!(amounts(store.facts((ids[0], ids[2]), "deposit", None).await.unwrap()), [1, 3, 4, 5, 2]);
    assert_eq!(amounts(store.facts((ids[0], ids[1]), "deposit", Some("term")).await.unwrap()), [1, 4, 5]);
    assert_eq!(amounts(store.facts((ids[2], ids[2]), "deposit", None).await.unwrap()), [2], "both ends are included");
    assert_eq!(amounts(store.customer_facts(ids[0]).await.unwrap()), [9, 1], "oldest first");
    let row = store.facts((ids[0], ids[0]), "deposit", None).await.unwrap().remove(0);
    assert_eq!((row.fact_ref.as_str(), row.customer, row.product.as_deref(), row.at, row.amount), ("a", ids[0], Some("term"), hours(9), cny(1)));
}

/// Four facts of one customer; their numbers.
async fn four_facts(store: &dyn Store) -> (CustomerId, Vec<i64>) {
    let id = people(store, 1).await[0];
    everybody(store, "all").await;
    let batch: Vec<_> = (1..=4).map(|n| fact(&n.to_string(), 1, "deposit", None, 100 * n, hours(n))).collect();
    store.put_facts(&batch, None).await.unwrap();
    (id, store.customer_facts(id).await.unwrap().into_iter().map(|f| f.id).collect())
}

async fn run(store: &dyn Store, name: &str, rehearsal: bool) -> CampaignId {
    campaign(store, name, store.list("all").await.unwrap().id, rehearsal).await.id
}

fn credit(campaign: CampaignId, customer: CustomerId, fact: i64, seq: Option<u32>) -> CreditRow {
    CreditRow { campaign, rule: "deposit".into(), fact, customer, seq, amount: cny(100), at: hours(1) }
}

async fn put(store: &dyn Store, campaign: CampaignId, credits: &[CreditRow]) -> Vec<i64> {
    store.put_credits(campaign, "deposit", credits, true, true).await.unwrap()
}

pub async fn credits_once_over_campaigns(store: &dyn Store) {
    let (id, facts) = four_facts(store).await;
    let (a, b) = (run(store, "a", false).await, run(store, "b", false).await);
    assert!(put(store, a, &[credit(a, id, facts[0], Some(0)), credit(a, id, facts[1], None)]).await.is_empty());
    let wanted = [credit(b, id, facts[0], Some(0)), credit(b, id, facts[1], Some(0)), credit(b, id, facts[2], Some(0))];
    assert_eq!(put(store, b, &wanted).await, [facts[0]], "what the other holds is refused; a holdout's row holds nothing");
    assert_eq!(store.credits(b, None, 10).await.unwrap(), wanted[1..]);
    assert_eq!(store.credited_elsewhere(b, &[facts[2], facts[0], facts[3]]).await.unwrap(), [facts[0]]);
    assert_eq!(store.credited_elsewhere(a, &facts).await.unwrap(), facts[1..3]);
    assert!(put(store, b, &[credit(b, id, facts[0], None)]).await.is_empty(), "a holdout's row is counted, whoever holds the fact");
    assert!(put(store, a, &[]).await.is_empty());
    assert!(put(store, b, &[credit(b, id, facts[0], Some(0))]).await.is_empty(), "what was given up is free again");
}

pub async fn credits_are_replaced(store: &dyn Store) {
    let (id, facts) = four_facts(store).await;
    let a = run(store, "a", false).await;
    put(store, a, &[credit(a, id, facts[0], Some(0)), credit(a, id, facts[1], Some(0))]).await;
    let other = CreditRow { rule: "loan".into(), ..credit(a, id, facts[0], Some(0)) };
    store.put_credits(a, "loan", std::slice::from_ref(&other), true, true).await.unwrap();
    let pieces = [credit(a, id, facts[2], Some(0)), credit(a, id, facts[3], Some(1))];
    store.put_credits(a, "deposit", &pieces[..1], false, true).await.unwrap();
    assert_eq!(store.credits(a, None, 10).await.unwrap().len(), 3, "until the last piece the old ones stand");
    store.put_credits(a, "deposit", &pieces[1..], true, false).await.unwrap();
    let kept = store.credits(a, None, 10).await.unwrap();
    assert_eq!(kept, [other, pieces[0].clone(), pieces[1].clone()], "only that rule's are replaced");
    put(store, a, &pieces[..1]).await;
    put(store, a, &pieces[..1]).await;
    assert_eq!(store.credits(a, None, 10).await.unwrap().len(), 2, "doing it again changes nothing");
}

pub async fn rehearsal_credits_bar_nobody(store: &dyn Store) {
    let (id, facts) = four_facts(store).await;
    let (rehearsal, real) = (run(store, "a", true).await, run(store, "a", false).await);
    assert!(put(store, rehearsal, &[credit(rehearsal, id, facts[0], Some(0))]).await.is_empty());
    assert!(store.credited_elsewhere(real, &facts).await.unwrap().is_empty());
    assert!(put(store, real, &[credit(real, id, facts[0], Some(0))]).await.is_empty());
    assert_eq!(store.credits(rehearsal, None, 10).await.unwrap().len(), 1);
    assert_eq!(store.credited_elsewhere(rehearsal, &facts).await.unwrap(), facts[..1], "a real one's do, also for a rehearsal");
}

pub async fn credits_page_whole_groups(store: &dyn Store) {
    let (id, facts) = four_facts(store).await;
    let a = run(store, "a", false).await;
    let shares: Vec<CreditRow> = facts.iter().flat_map(|f| [Some(0), Some(2), Some(5)].map(|seq| credit(a, id, *f, seq))).collect();
    put(store, a, &shares).await;
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = store.credits(a, after, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        assert_eq!(page.len() % 3, 0, "shares of one fact come together");
        after = Some((last.customer, last.fact));
        found.extend(page);
    }
    assert_eq!(found, shares);
}

pub async fn exports_are_numbered(store: &dyn Store) {
    people(store, 1).await;
    everybody(store, "all").await;
    let (a, b) = (run(store, "a", false).await, run(store, "b", false).await);
    let export = |number, campaign, corrects| ExportRow {
        number,
        campaign,
        what: "results".into(),
        manifest_hash: format!("{number:064x}"),
        corrects,
        as_of: hours(number),
        rows: 7,
    };
    assert_eq!(store.export(None).await.unwrap(), None);
    expect_conflict(store.put_export(&export(1, a, None)).await, "an export without a reserved number");
    let mut numbers = Vec::new();
    for _ in 0..4 {
        numbers.push(store.next_export().await.unwrap());
    }
    assert_eq!(numbers, [1, 2, 3, 4], "each number once, also when nothing comes of it");
    store.put_export(&export(1, a, None)).await.unwrap();
    store.put_export(&export(3, b, None)).await.unwrap();
    store.put_export(&export(4, a, Some(1))).await.unwrap();
    expect_conflict(store.put_export(&export(3, b, None)).await, "an export recorded twice");
    assert_eq!(store.export(None).await.unwrap(), Some(export(4, a, Some(1))));
    assert_eq!(store.export(Some(3)).await.unwrap(), Some(export(3, b, None)));
    assert_eq!(store.export(Some(2)).await.unwrap(), None, "reserved, but not finished");
    assert_eq!(store.exports(a).await.unwrap(), [export(1, a, None), export(4, a, Some(1))]);
    assert_eq!(store.next_export().await.unwrap(), 5);
}

pub async fn references_by_range(store: &dyn Store) {
    let ids = people(store, 4).await;
    let found = store.references(ids[1], ids[2]).await.unwrap();
    assert_eq!(found, [(ids[1], "C00002".into()), (ids[2], "C00003".into())]);
    assert_eq!(store.references(CustomerId(0), CustomerId(i64::MAX)).await.unwrap().len(), 4);
    assert!(store.references(ids[2], ids[1]).await.unwrap().is_empty());
}

pub async fn one_owner_at_a_time(store: &dyn Store) {
    let first = store.acquire(false, T0).await.unwrap();
    expect_fenced(store.acquire(false, hours(1)).await, "a second owner");
    store.release(first).await.unwrap();
    let second = store.acquire(false, hours(2)).await.unwrap();
    assert!(second > first, "numbers only grow: {first} then {second}");
    expect_fenced(store.release(first).await, "giving back what another holds");
    store.release(second).await.unwrap();
}
