//! Carriers: what takes a touch to a customer and says what came of it. One file or folder a carrier; none imports another.
pub mod remote;
pub mod route;
pub mod simulator;
pub mod text;
mod wire;
pub mod worklist;

pub use route::{RouteKind, RouteSpec, check_routes, default_routes};

use crate::domain::channel::Channel;
use crate::domain::contact::Address;
use crate::domain::ids::{RouteId, StepNo, TouchKey};
use crate::domain::outcome::{Disposition, Outcome};
use crate::domain::time::Timestamp;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One touch as a carrier gets it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dispatch {
    /// Which touch: also the idempotency key.
    pub touch: TouchKey,
    /// On which route.
    pub route: RouteId,
    /// How.
    pub channel: Channel,
    /// Which step of the journey.
    pub step: StepNo,
    /// The attempt within the step, from 1.
    pub attempt: u16,
    /// To whom: number, address, token or RM.
    pub address: Address,
    /// What is said, written out in the customer's language.
    pub message: Option<Message>,
    /// Message parts.
    pub parts: u16,
    /// The customer's attributes (a JSON object), for carriers whose profile replays them.
    pub attributes: Option<Arc<str>>,
}

/// A message, written out.
#[derive(Clone, Serialize, Deserialize)]
pub struct Message {
    /// For e-mail and push.
    pub subject: Option<String>,
    /// The text.
    pub body: String,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Message({} bytes)", self.body.len())
    }
}

/// What a carrier says, in its own time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CarrierEvent {
    /// The answer to one dispatch: exactly one for each.
    Outcome(Outcome),
    /// A receipt for a touch that was `Accepted`: any number, in any order, also before the `Accepted`.
    Receipt(Receipt),
}

/// A delivery receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// From which route.
    pub route: RouteId,
    /// The provider's name for the touch.
    pub provider_ref: Box<str>,
    /// Our own name for it, where the provider hands it back.
    pub touch: Option<TouchKey>,
    /// When it was so.
    pub at: Timestamp,
    /// What came of it.
    pub disposition: Disposition,
    /// Seconds of conversation.
    pub connected_s: u32,
    /// What the provider charges, in millionths of the campaign's currency unit; `None`: as reserved at the start.
    #[serde(default)]
    pub cost_micros: Option<i64>,
}

/// Where carriers put their events; bounded by the credit of the route, not by itself.
pub type Reports = tokio::sync::mpsc::UnboundedSender<Vec<CarrierEvent>>;

/// A carrier in real time. (In virtual time the simulator is asked directly: see `simulator::Simulator::answer`.)
#[async_trait]
pub trait Carrier: Send + Sync {
    /// `simulator`, `smpp` ...
    fn kind(&self) -> &'static str;
    /// Whether a repeated `Dispatch` of the same touch is sent once only by the provider: then a touch in doubt may be sent again.
    fn is_idempotent(&self) -> bool;
    /// Sends a batch: returns when the carrier has taken it over; events follow through `reports`, one `Outcome` per dispatch
    /// whatever happens (a carrier that breaks reports `Unknown` for what it may have sent and `NotSent` for what it has not).
    async fn send(&self, batch: Vec<Dispatch>, reports: Reports);
    /// Asks the provider what became of touches in doubt. What it knows comes back as receipts; of what it does not know it says
    /// nothing, and the touch stays in doubt. A carrier whose provider cannot be asked does nothing.
    async fn query(&self, _touches: Vec<TouchKey>, _reports: Reports) {}
}

/// The carrier of a route, in real time. `tasks` is where routes of kind `worklist` make their tasks, by the same `clock`.
pub fn build(
    spec: &RouteSpec,
    id: RouteId,
    seed: u64,
    tasks: &Arc<dyn worklist::TaskSink>,
    clock: &Arc<dyn crate::clock::Clock>,
) -> Arc<dyn Carrier> {
    match spec.kind {
        RouteKind::Worklist => Arc::new(worklist::WorklistCarrier::new(spec, Arc::clone(tasks), Arc::clone(clock))),
        RouteKind::Simulator => Arc::new(simulator::SimulatorCarrier::new(spec, id, seed)),
        RouteKind::RemoteSimulator => Arc::new(remote::RemoteCarrier::new(spec, id)),
    }
}
