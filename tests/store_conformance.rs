//! Every store passes the same suite. A store joins by one line.
use futures_util::FutureExt;
use touchline::store::Store;
use touchline::store::conformance::{CASES, check_sums, run_all};
use touchline::store::memory::MemoryStore;

#[tokio::test]
async fn memory() {
    run_all(async || Box::new(MemoryStore::new()) as Box<dyn Store>).await;
}

#[test]
fn the_suite_is_no_smaller_than_it_was() {
    assert!(CASES.len() >= 80, "{} cases", CASES.len());
}

/// A world in virtual time polls the store without a runtime: whatever it asks is answered at once.
#[test]
fn memory_is_never_pending() {
    for (name, case) in CASES {
        let store = MemoryStore::new();
        let outcome = async {
            case(&store).await;
            check_sums(&store).await;
        };
        assert!(outcome.now_or_never().is_some(), "{name}: a call was pending");
    }
}
