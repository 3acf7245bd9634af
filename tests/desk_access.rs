//! Tokens, the audit log and first answers at the desk, over the store in memory.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod audit {
    use std::sync::Arc;
    use touchline::desk::audit::*;
    use touchline::domain::audit::Entry;
    use touchline::domain::time::Timestamp;
    use touchline::store::AuditBook;
    use touchline::store::AuditFilter;
    use touchline::store::memory::MemoryStore;

    fn entry(n: i64) -> Entry {
        Entry {
            at: Timestamp(1_795_478_400_000 + n),
            actor: "alma".into(),
            token: None,
            operation: "x".into(),
            target: n.to_string(),
            outcome: "200".into(),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_who_write_at_once_are_in_the_log_when_they_are_told() {
        let store = Arc::new(MemoryStore::new());
        let auditor = Auditor::new(store.clone());
        let writes = (0..200).map(|n| {
            let (auditor, store) = (auditor.clone(), store.clone());
            tokio::spawn(async move {
                auditor.write(entry(n)).await.unwrap();
                let found = store.audit(&AuditFilter { limit: 500, ..AuditFilter::default() }).await.unwrap();
                assert!(found.iter().any(|row| row.entry == entry(n)), "{n} was told before it was written");
            })
        });
        for write in writes.collect::<Vec<_>>() {
            write.await.unwrap();
        }
        let verdict = verify(store.as_ref(), None).await.unwrap();
        assert!(verdict.is_whole && verdict.entries == 200, "{verdict:?}");
    }

    #[tokio::test]
    async fn whoever_goes_away_is_written_all_the_same() {
        let store = Arc::new(MemoryStore::new());
        let auditor = Auditor::new(store.clone());
        {
            let write = auditor.write(entry(1));
            tokio::pin!(write);
            let _ = futures_util::poll!(&mut write);
        }
        auditor.write(entry(2)).await.unwrap();
        assert_eq!(store.audit_head().await.unwrap().number, 2);
    }

    #[tokio::test]
    async fn a_head_kept_elsewhere_tells_of_a_cut_and_of_a_log_written_anew() {
        let (store, other) = (MemoryStore::new(), MemoryStore::new());
        let kept = store.append_audit(&[entry(1), entry(2), entry(3)]).await.unwrap();
        store.append_audit(&[entry(4)]).await.unwrap();
        assert!(verify(&store, Some(&kept)).await.unwrap().is_whole);
        other.append_audit(&[entry(1), entry(2)]).await.unwrap();
        let cut = verify(&other, Some(&kept)).await.unwrap();
        assert!(!cut.is_whole && cut.fault.unwrap().contains("cut off"));
        other.append_audit(&[entry(9)]).await.unwrap();
        let anew = verify(&other, Some(&kept)).await.unwrap();
        assert_eq!((anew.is_whole, anew.entries), (false, 2));
        assert!(anew.fault.unwrap().starts_with("entry 3: the hash that was kept elsewhere"));
    }
}

mod tokens {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use touchline::desk::DeskError;
    use touchline::desk::tokens::*;
    use touchline::domain::access::Actor;
    use touchline::domain::access::{Role, Roles};
    use touchline::domain::time::DAY;
    use touchline::domain::time::Timestamp;
    use touchline::domain::token::Grant;
    use touchline::store::AccessBook;
    use touchline::store::memory::MemoryStore;

    const NOW: Timestamp = Timestamp(1_795_478_400_000);

    fn grant(name: &str) -> Grant {
        Grant { name: name.into(), roles: Roles::of(&[Role::Author]), branch: None, rm: None, scopes: Vec::new(), expires_at: NOW.plus(DAY) }
    }

    #[tokio::test]
    async fn a_token_is_known_by_its_whole_text_until_it_ends() {
        let store = MemoryStore::new();
        let made = make(&store, &Actor::local("root"), grant("alma"), NOW).await.unwrap();
        assert!(made.text.starts_with("tl_1_") && made.text.len() == "tl_1_".len() + 43, "{}", made.text.len());
        assert!(!format!("{made:?}").contains(&made.text), "its text is not printed by accident");
        assert_eq!(find(&store, &made.text, NOW).await.unwrap(), Some(made.token.clone()));
        let (_, kept) = store.token(1).await.unwrap().unwrap();
        let secret = URL_SAFE_NO_PAD.decode(&made.text["tl_1_".len()..]).unwrap();
        assert_ne!(kept.as_slice(), secret.as_slice(), "the secret itself is not kept");
        let other = make(&store, &Actor::local("root"), grant("bert"), NOW).await.unwrap();
        let swapped = made.text.replace("tl_1_", "tl_2_");
        for wrong in ["", "tl_", "tl_1_", "tl_01_x", "tl_9_AAAA", &made.text[..made.text.len() - 1], &swapped, &made.text.replace("tl_1", "tl_+1")] {
            assert_eq!(find(&store, wrong, NOW).await.unwrap(), None, "{wrong}");
        }
        assert_eq!(find(&store, &made.text, NOW.plus(DAY)).await.unwrap(), None, "expired");
        revoke(&store, &Actor::local("root"), other.token.id, NOW).await.unwrap();
        assert_eq!(find(&store, &other.text, NOW).await.unwrap(), None, "revoked");
    }

    #[tokio::test]
    async fn an_admin_of_one_branch_gives_none() {
        let bound = Actor { branch: Some("west".into()), token: Some(1), ..Actor::local("wim") };
        let refused = make(&MemoryStore::new(), &bound, grant("alma"), NOW).await;
        assert!(matches!(refused, Err(DeskError::Refused(text)) if text.contains("bound to a branch")));
    }
}

mod idempotency {
    use touchline::desk::idempotency::*;
    use touchline::domain::time::{MINUTE, Timestamp};
    use touchline::store::IdempotencyBook;
    use touchline::store::memory::MemoryStore;
    use touchline::store::{Claim, KeptAnswer};

    const NOW: Timestamp = Timestamp(1_795_478_400_000);

    #[tokio::test]
    async fn an_answer_is_sealed_at_rest_and_opened_by_its_key() {
        let store = MemoryStore::new();
        let key = Key::new("alma", "claimTask", "/v1/worklist/1/claim", "k1");
        let request = fingerprint(&[b"POST", b"{}"]);
        assert_eq!(claim(&store, &key, &request, NOW, NOW).await.unwrap(), Claim::Mine);
        let given = KeptAnswer { status: 200, content_type: "application/json".into(), body: Some(b"+8613800000000".to_vec()) };
        answer(&store, &key, NOW, given.clone()).await.unwrap();
        let Claim::Done(kept) = store.claim_key(&key.name(), &request, NOW, NOW, NOW).await.unwrap() else { panic!("not kept") };
        let sealed = kept.body.unwrap();
        assert!(!sealed.windows(5).any(|w| w == b"13800"), "readable at rest");
        assert_eq!(claim(&store, &key, &request, NOW.plus(1), NOW).await.unwrap(), Claim::Done(given));
        let theirs = Key::new("bert", "claimTask", "/v1/worklist/1/claim", "k1");
        assert_eq!(claim(&store, &theirs, &request, NOW.plus(1), NOW).await.unwrap(), Claim::Mine, "another actor's key is another key");
        assert_eq!(purge(&store, NOW.plus(KEPT_MS + 1)).await.unwrap(), 1, "the older of the two");
    }

    #[tokio::test]
    async fn a_claim_of_a_process_that_is_gone_is_taken_over() {
        let store = MemoryStore::new();
        let key = Key::new("alma", "x", "/x", "k");
        assert_eq!(claim(&store, &key, &[0; 32], NOW, NOW).await.unwrap(), Claim::Mine);
        assert_eq!(claim(&store, &key, &[0; 32], NOW.plus(MINUTE), NOW).await.unwrap(), Claim::Busy);
        assert_eq!(claim(&store, &key, &[0; 32], NOW.plus(MINUTE), NOW.plus(1)).await.unwrap(), Claim::Mine);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
    }
}
