//! Simulated carriers: they answer by a profile of published rates, latencies and faults, or replay what a list tells.
//!
//! The heart ([`Simulator::answer`]) is a function of seed, touch, attempt and instant, for virtual time; [`SimulatorCarrier`]
//! lets the same answers happen in real time; [`server`] is the same carrier as a process of its own that remembers what it was sent.
mod answer;
mod draws;
pub mod expected;
pub mod faults;
pub mod journal;
pub mod latency;
mod plan;
pub mod profile;
pub mod realtime;
pub mod replay;
pub mod server;

pub use journal::{JournalLine, read_journal};
pub use realtime::SimulatorCarrier;
pub use server::serve_carrier;

use super::route::RouteSpec;
use crate::domain::ids::RouteId;
use faults::Gate;
use latency::Sampler;
use plan::Plan;
use replay::Replay;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

/// A simulated carrier, in whatever time it is asked.
#[derive(Debug)]
pub struct Simulator {
    spec: RouteSpec,
    route: RouteId,
    seed: u64,
    plan: Plan,
    replay: Option<(Replay, Sampler)>,
    gate: Option<Mutex<Gate>>,
    longest_call_s: u32,
    speed: i64,
    warned: AtomicBool,
}

impl Simulator {
    /// The carrier of a route. The route's own seed, if it has one, goes before `seed`.
    pub fn new(spec: &RouteSpec, route: RouteId, seed: u64) -> Self {
        let profile = spec.behaviour();
        let faults = spec.faults.as_ref().unwrap_or(&profile.faults);
        Self {
            route,
            seed: spec.seed.unwrap_or(seed),
            plan: Plan::new(&profile, faults, spec.channel),
            replay: spec.replay.as_ref().map(|r| (r.clone(), r.ring.sampler())),
            gate: faults.throttle.map(|t| Mutex::new(Gate::new(t))),
            longest_call_s: spec.longest_call_s(),
            speed: i64::from(spec.speed.max(1)),
            warned: AtomicBool::new(false),
            spec: spec.clone(),
        }
    }

    /// The route's configuration.
    pub fn spec(&self) -> &RouteSpec {
        &self.spec
    }

    /// See [`RouteSpec::price_micros`].
    pub fn price_micros(&self, parts: u16, connected_s: u32) -> i64 {
        self.spec.price_micros(parts, connected_s)
    }

    /// Milliseconds from the sending until a receipt is no longer waited for.
    fn receipt_deadline_ms(&self) -> i64 {
        (self.spec.deadline_ms() / self.speed).max(1)
    }
}
