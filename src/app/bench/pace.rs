//! `bench pace`: how well the engine keeps to a rate, by the instants at which a carrier in this process gets its touches.
use super::{Scratch, fill, scratch_app};
use crate::actors::shell::Engine;
use crate::app::Failure;
use crate::channels::route::RouteSpec;
use crate::channels::simulator::SimulatorCarrier;
use crate::channels::{Carrier, Dispatch, Reports};
use crate::clock::{monotonic, sleep_ms};
use crate::config::Config;
use crate::domain::campaign::Rate;
use crate::domain::ids::RouteId;
use async_trait::async_trait;
use serde::Serialize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

const SECOND_US: u128 = 1_000_000;

/// What `bench pace` measured.
#[derive(Debug, Serialize)]
pub struct Pace {
    /// The limit a second.
    pub rate: u32,
    /// Touches sent.
    pub sent: usize,
    /// The most in any sliding second, by the carrier's receipt to the microsecond.
    pub max_in_1s: usize,
    /// The share of the limit that was used, over the whole seconds between the first and the last, those two left out.
    pub used_share: f64,
}

/// When batches came, in microseconds, and of how many touches.
type Instants = Arc<Mutex<Vec<(u128, usize)>>>;

/// A carrier that notes when it is sent something.
struct Witness {
    carrier: SimulatorCarrier,
    begun: std::time::Instant,
    instants: Instants,
}

#[async_trait]
impl Carrier for Witness {
    fn kind(&self) -> &'static str {
        "witness"
    }
    fn is_idempotent(&self) -> bool {
        self.carrier.is_idempotent()
    }
    async fn send(&self, batch: Vec<Dispatch>, reports: Reports) {
        let noted = (self.begun.elapsed().as_micros(), batch.len());
        self.instants.lock().unwrap_or_else(PoisonError::into_inner).push(noted);
        self.carrier.send(batch, reports).await;
    }
}

/// Sends for about `seconds` seconds at `rate` a second.
pub async fn pace(config: Config, rate: u32, seconds: u32, parent: &Path, watch: &mut (dyn FnMut(&str, u64) + Send)) -> Result<Pace, Failure> {
    if rate == 0 || seconds < 4 {
        return Err(Failure::use_(format!(
            "bench pace: expected --rate of at least 1 and --seconds of at least 4 (the first and the last are left out), found {rate} and {seconds}"
        )));
    }
    let scratch = Scratch::new(parent)?;
    let mut app = scratch_app(config, &scratch.0, None).await?;
    for route in &mut app.config.routes {
        route.limit = Rate { count: rate, per_ms: 1_000 };
    }
    let customers = u64::from(rate) * u64::from(seconds);
    let campaign = fill(&app, customers, &mut |n| watch("making customers", n)).await?;
    let rows = app.enter(std::slice::from_ref(&campaign), "bench").await?;
    let fence = app.store.acquire(false, app.now()).await?;
    let instants = Instants::default();
    let begun = monotonic();
    let carrier = |spec: &RouteSpec, id: RouteId| -> Arc<dyn Carrier> {
        Arc::new(Witness { carrier: SimulatorCarrier::new(spec, id, 1), begun, instants: Arc::clone(&instants) })
    };
    let Engine { ended, .. } = app.start_engine_on(&rows, fence, carrier).await?;
    tokio::pin!(ended);
    let end = loop {
        tokio::select! {
            end = &mut ended => break end,
            () = sleep_ms(500) => {
                let sent: usize = instants.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, n)| n).sum();
                watch("sending", u64::try_from(sent).unwrap_or(0));
            }
        }
    };
    app.store.release(fence).await?;
    match end {
        Ok(Ok(())) => {}
        Ok(Err(text)) => return Err(Failure::reach(text)),
        Err(_) => return Err(Failure::reach("the engine ended without a word")),
    }
    let mut instants = std::mem::take(&mut *instants.lock().unwrap_or_else(PoisonError::into_inner));
    instants.sort_unstable();
    let sent = instants.iter().map(|(_, n)| n).sum();
    if u64::try_from(sent).ok() != Some(customers) {
        return Err(Failure::no(format!("expected {customers} touches sent, found {sent}")));
    }
    Ok(Pace { rate, sent, max_in_1s: most_in_a_second(&instants), used_share: used_share(&instants, rate) })
}

/// The most in any half-open second, of instants in order.
fn most_in_a_second(instants: &[(u128, usize)]) -> usize {
    let (mut within, mut most) = (0, 0);
    let mut leaving = instants.iter().peekable();
    for (at, n) in instants {
        within += n;
        while let Some((_, gone)) = leaving.next_if(|(then, _)| at - then >= SECOND_US) {
            within -= gone;
        }
        most = most.max(within);
    }
    most
}

/// See [`Pace::used_share`].
fn used_share(instants: &[(u128, usize)], rate: u32) -> f64 {
    let (Some((first, _)), Some((last, _))) = (instants.first(), instants.last()) else { return 0.0 };
    let seconds = ((last - first) / SECOND_US).saturating_sub(2);
    let (from, to) = (first + SECOND_US, first + (1 + seconds) * SECOND_US);
    let sent: usize = instants.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, n)| n).sum();
    sent as f64 / (seconds as f64 * f64::from(rate)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_half_open_and_slides() {
        let s = SECOND_US;
        assert_eq!(most_in_a_second(&[(0, 2), (s - 1, 3), (s, 4), (2 * s - 2, 5)]), 3 + 4 + 5);
        assert_eq!(most_in_a_second(&[(0, 7), (s, 6)]), 7);
        assert_eq!(most_in_a_second(&[]), 0);
    }

    #[test]
    fn the_share_leaves_out_the_first_and_the_last_second() {
        // Ten a second for five seconds; in the first and the last one there were more.
        let mut instants: Vec<(u128, usize)> = (0..50).map(|i| (i * SECOND_US / 10, 1)).collect();
        instants.push((1, 100));
        instants.push((5 * SECOND_US, 100));
        instants.sort_unstable();
        assert!((used_share(&instants, 10) - 1.0).abs() < 1e-9);
        assert!((used_share(&instants, 20) - 0.5).abs() < 1e-9);
    }
}
