//! Erasing, forgetting and sealing of a store that fails.
use super::Faulty;
use async_trait::async_trait;
use touchline::domain::contact::Phone;
use touchline::domain::ids::CustomerId;
use touchline::domain::time::Timestamp;
use touchline::store::StoreResult;
use touchline::store::privacy::{Erased, Erasure, PersonalData, Retained, SealRound, SealedUnder};

#[async_trait]
impl PersonalData for Faulty {
    async fn erase(&self, erasure: &Erasure) -> StoreResult<Erased> {
        self.next_call("erase")?;
        self.inner.erase(erasure).await
    }
    async fn erasure(&self, customer: CustomerId) -> StoreResult<Option<Erasure>> {
        self.next_call("erasure")?;
        self.inner.erasure(customer).await
    }
    async fn readmit(&self, reference: Option<&str>, phone: Option<&Phone>) -> StoreResult<bool> {
        self.next_call("readmit")?;
        self.inner.readmit(reference, phone).await
    }
    async fn seal_anew(&self, after: CustomerId, limit: usize) -> StoreResult<SealRound> {
        self.next_call("seal_anew")?;
        self.inner.seal_anew(after, limit).await
    }
    async fn sealed_under(&self) -> StoreResult<Vec<SealedUnder>> {
        self.next_call("sealed_under")?;
        self.inner.sealed_under().await
    }
    async fn scrub(&self, whole: bool) -> StoreResult<bool> {
        self.next_call("scrub")?;
        self.inner.scrub(whole).await
    }
    async fn outdated(&self, what: Retained, before: Timestamp) -> StoreResult<u64> {
        self.next_call("outdated")?;
        self.inner.outdated(what, before).await
    }
    async fn forget(&self, what: Retained, before: Timestamp, limit: usize) -> StoreResult<u64> {
        self.next_call("forget")?;
        self.inner.forget(what, before, limit).await
    }
}
