//! How the flow of a forecast is bounded, and what it came to.
use crate::domain::outcome::Reason;
use crate::domain::time::{HOUR, MINUTE, Timestamp};
use std::collections::BTreeMap;

/// The grain of the simulation.
pub const SLOT: i64 = 15 * MINUTE;
/// Less than this many customers outstanding: the work is done.
pub(super) const DONE: f64 = 0.5;
/// Expected amounts below this are dropped with their end counted where they stand.
pub(super) const DUST: f64 = 1e-7;
/// How far past its end a campaign is followed to say when it would have finished: 180 days.
pub(super) const BEYOND: i64 = 180 * 24 * HOUR;

/// How a simulation is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// All rates times this; infinity: no rate holds.
    pub scale: f64,
    /// Whether the end of the schedule ends the work.
    pub ends: bool,
}

/// What the flow came to.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// Reached customers.
    pub reached: f64,
    /// Attempted, not reached.
    pub missed: f64,
    /// Never attempted, or cut off, by reason.
    pub lost: BTreeMap<Reason, f64>,
    /// Cut off by the schedule's end (in `lost` too).
    pub left: f64,
    /// Per step.
    pub steps: Vec<StepFlow>,
    /// When fewer than half a customer was outstanding; `None`: not within the bounds.
    pub finished: Option<Timestamp>,
    /// The first touch.
    pub first: Option<Timestamp>,
    /// The budget ended it.
    pub budget_spent: bool,
}

/// One step's part of the flow.
#[derive(Clone, Debug, Default)]
pub struct StepFlow {
    /// Customers that came to it.
    pub entered: f64,
    /// Attempts made.
    pub attempts: f64,
    /// Attempts that reached.
    pub reached: f64,
    /// Parts sent.
    pub parts: f64,
}
