//! Sealing everything anew under the first key, while the daemon may run.
use super::DeskResult;
use crate::domain::ids::CustomerId;
use crate::store::Store;
use crate::store::privacy::SealedUnder;
use serde::Serialize;

/// Customers sealed in one transaction: some ten milliseconds, in which others wait with their writes.
const CUSTOMERS: usize = 1_000;

/// What a rotation did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rotation {
    /// Rows sealed anew.
    pub sealed: u64,
    /// What is sealed under which key now.
    pub under: Vec<SealedUnder>,
    /// Nothing is left that another key is needed for.
    pub done: bool,
    /// What was replaced has been written over in the file and its log; else a process that reads was in the way.
    pub scrubbed: bool,
}

/// Walks over everything; stopped at any place, the next call goes on with what is left. `whole`: the file is written anew at the end, so
/// that values from before 0006 are not left in pages that were freed then.
pub async fn rotate(store: &dyn Store, whole: bool, progress: &mut (dyn FnMut(u64) + Send)) -> DeskResult<Rotation> {
    let (mut after, mut sealed) = (CustomerId(0), 0);
    loop {
        let round = store.seal_anew(after, CUSTOMERS).await?;
        sealed += round.sealed;
        progress(sealed);
        match round.next {
            Some(next) => after = next,
            None => break,
        }
    }
    let scrubbed = store.scrub(whole).await?;
    let under = store.sealed_under().await?;
    Ok(Rotation { sealed, done: under.iter().all(|u| u.current), under, scrubbed })
}
