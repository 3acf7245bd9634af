//! Tokens, the audit log, first answers.
use super::kit::{T0, hours};
use crate::domain::access::{Role, Roles};
use crate::domain::audit::{Entry, Head};
use crate::domain::token::Grant;
use crate::store::{AuditFilter, Claim, KeptAnswer, NewToken, Store, StoreError};

fn new_token(name: &str, roles: &[Role]) -> NewToken {
    let grant = Grant {
        name: name.into(),
        roles: Roles::of(roles),
        branch: Some("north".into()),
        rm: None,
        scopes: vec!["worklist".into()],
        expires_at: hours(24),
    };
    NewToken { grant, hash: [7; 32], by: "admin".into(), at: T0 }
}

fn entry(actor: &str, target: &str, hour: i64) -> Entry {
    Entry {
        at: hours(hour),
        actor: actor.into(),
        token: (actor == "alma").then_some(1),
        operation: "readTask".into(),
        target: target.into(),
        outcome: "200".into(),
    }
}

pub async fn tokens_are_numbered_and_found(store: &dyn Store) {
    let a = store.put_token(&new_token("alma", &[Role::Rm, Role::System])).await.unwrap();
    let b = store.put_token(&NewToken { hash: [9; 32], ..new_token("bert", &[Role::Author]) }).await.unwrap();
    assert_eq!((a.id, b.id, a.made_by.as_str(), a.made_at), (1, 2, "admin", T0));
    assert_eq!(a.grant, new_token("alma", &[Role::Rm, Role::System]).grant);
    assert_eq!(store.token(2).await.unwrap(), Some((b.clone(), [9; 32])));
    assert_eq!(store.token(3).await.unwrap(), None);
    assert_eq!(store.tokens(0, 10).await.unwrap(), [a.clone(), b.clone()]);
    assert_eq!((store.tokens(1, 10).await.unwrap(), store.tokens(0, 1).await.unwrap()), (vec![b], vec![a]));
}

pub async fn tokens_are_revoked_once(store: &dyn Store) {
    let id = store.put_token(&new_token("alma", &[Role::Rm])).await.unwrap().id;
    let revoked = store.revoke_token(id, "bert", hours(1)).await.unwrap();
    assert_eq!((revoked.revoked_by.as_deref(), revoked.revoked_at), (Some("bert"), Some(hours(1))));
    assert_eq!(store.revoke_token(id, "carl", hours(2)).await.unwrap(), revoked, "the first to revoke stays on record");
    assert_eq!(store.token(id).await.unwrap().map(|(t, _)| t), Some(revoked));
    assert!(matches!(store.revoke_token(99, "bert", T0).await, Err(StoreError::NotFound { what: "token", .. })));
    assert_eq!(store.put_token(&new_token("dora", &[Role::Rm])).await.unwrap().id, id + 1);
}

pub async fn a_use_only_moves_on(store: &dyn Store) {
    let id = store.put_token(&new_token("alma", &[Role::Rm])).await.unwrap().id;
    for (used, kept) in [(hours(2), hours(2)), (hours(1), hours(2)), (hours(3), hours(3))] {
        store.token_used(id, used).await.unwrap();
        assert_eq!(store.token(id).await.unwrap().unwrap().0.used_at, Some(kept));
    }
    store.token_used(99, T0).await.expect("a number that was never given is nobody's use");
}

pub async fn audit_is_chained(store: &dyn Store) {
    assert_eq!(store.audit_head().await.unwrap(), Head::default());
    store.append_audit(&[entry("alma", "task=1", 0), entry("bert", "task=2", 1)]).await.unwrap();
    let head = store.append_audit(&[entry("alma", "task=3", 2)]).await.unwrap();
    assert_eq!(store.audit_head().await.unwrap(), head);
    let rows = store.audit(&AuditFilter { limit: 10, ..AuditFilter::default() }).await.unwrap();
    let mut walked = Head::default();
    for row in &rows {
        walked.follow(row).unwrap();
    }
    assert_eq!((walked, rows.len()), (head.clone(), 3));
    assert_eq!(store.append_audit(&[]).await.unwrap(), head, "nothing added leaves the head");
    // More than one statement takes.
    let many: Vec<Entry> = (0..2_500).map(|n| entry("carl", &format!("task={n}"), 3)).collect();
    assert_eq!(store.append_audit(&many).await.unwrap().number, 2_503);
    let rows = store.audit(&AuditFilter { after: 3, limit: 5_000, ..AuditFilter::default() }).await.unwrap();
    let mut walked = head;
    rows.iter().for_each(|row| walked.follow(row).unwrap());
    assert_eq!(walked, store.audit_head().await.unwrap());
}

pub async fn audit_is_filtered_and_paged(store: &dyn Store) {
    let entries = [entry("alma", "task=1", 0), entry("bert", "customer=C1", 1), entry("alma", "customer=C2", 2), entry("alma", "customer=C1", 3)];
    store.append_audit(&entries).await.unwrap();
    let all = AuditFilter { limit: 10, ..AuditFilter::default() };
    for (filter, numbers) in [
        (AuditFilter { actor: Some("alma".into()), ..all.clone() }, vec![1, 3, 4]),
        (AuditFilter { since: Some(hours(2)), ..all.clone() }, vec![3, 4]),
        (AuditFilter { target: Some("customer=C1".into()), ..all.clone() }, vec![2, 4]),
        (AuditFilter { target: Some("%".into()), ..all.clone() }, vec![]),
        (AuditFilter { actor: Some("alma".into()), target: Some("C1".into()), since: Some(hours(1)), ..all.clone() }, vec![4]),
        (AuditFilter { after: 1, limit: 2, ..AuditFilter::default() }, vec![2, 3]),
    ] {
        let found: Vec<i64> = store.audit(&filter).await.unwrap().iter().map(|row| row.number).collect();
        assert_eq!(found, numbers, "{filter:?}");
    }
}

pub async fn keys_are_claimed_and_answered(store: &dyn Store) {
    let (key, request, other) = ([1; 32], [2; 32], [3; 32]);
    let claim = async |request: &[u8; 32], h: i64| store.claim_key(&key, request, hours(h), hours(h).plus(-60_000), hours(h - 24)).await.unwrap();
    assert_eq!(claim(&request, 0).await, Claim::Mine);
    let at_once = store.claim_key(&key, &request, T0.plus(1), T0.plus(-1), hours(-24)).await.unwrap();
    assert_eq!(at_once, Claim::Busy);
    assert_eq!(claim(&other, 0).await, Claim::Other);
    let answer = KeptAnswer { status: 201, content_type: "application/json".into(), body: Some(vec![0, 255, 10]) };
    store.answer_key(&key, T0.plus(5), &answer).await.unwrap();
    assert_eq!(claim(&request, 0).await, Claim::Busy, "an answer to another claim is not kept");
    store.answer_key(&key, T0, &answer).await.unwrap();
    assert_eq!(claim(&request, 1).await, Claim::Done(answer.clone()));
    assert_eq!(claim(&other, 1).await, Claim::Other);
    store.answer_key(&key, T0, &KeptAnswer { status: 500, ..answer.clone() }).await.unwrap();
    store.release_key(&key, T0).await.unwrap();
    assert_eq!(claim(&request, 2).await, Claim::Done(answer), "the first answer stays");
    assert_eq!(claim(&other, 25).await, Claim::Mine, "after a day the key is anybody's");
    store.release_key(&key, hours(25)).await.unwrap();
    assert_eq!(claim(&request, 25).await, Claim::Mine, "given back");
    let secret = KeptAnswer { status: 201, content_type: String::new(), body: None };
    store.answer_key(&key, hours(25), &secret).await.unwrap();
    assert_eq!(claim(&request, 26).await, Claim::Done(secret));
}

pub async fn keys_go_stale_and_are_purged(store: &dyn Store) {
    let (key, request) = ([1; 32], [2; 32]);
    let claim = async |request: &[u8; 32], h: i64| store.claim_key(&key, request, hours(h), hours(h).plus(-60_000), hours(h - 24)).await.unwrap();
    assert_eq!(claim(&request, 0).await, Claim::Mine);
    assert_eq!(claim(&[4; 32], 1).await, Claim::Other, "a dead claim is taken over by the same request only");
    assert_eq!(claim(&request, 1).await, Claim::Mine);
    store.release_key(&key, hours(0)).await.unwrap();
    assert_eq!(claim(&request, 1).await, Claim::Busy, "whoever lost the claim gives nothing back");
    store.claim_key(&[8; 32], &request, hours(5), hours(4), hours(-24)).await.unwrap();
    assert_eq!(store.purge_keys(hours(2)).await.unwrap(), 1);
    assert_eq!(claim(&request, 1).await, Claim::Mine);
    assert_eq!(store.purge_keys(hours(6)).await.unwrap(), 2);
}
