//! The worklist as a carrier: a touch becomes a task for the customer's relationship manager. Making the task is not reaching the
//! customer: the carrier accepts, and the result that the RM reports comes back as the receipt. A task is made once for a touch,
//! however often the touch is handed over, so a touch in doubt may be sent again.
use super::route::RouteSpec;
use super::{Carrier, CarrierEvent, Dispatch, Reports};
use crate::clock::Clock;
use crate::domain::ids::{TaskId, TouchKey};
use crate::domain::outcome::{Outcome, Reason, SendResult};
use crate::domain::time::{SECOND, Timestamp};
use async_trait::async_trait;
use std::sync::Arc;

/// After so long the engine hands over again what could not be made into tasks.
const AGAIN_MS: i64 = 30 * SECOND;

/// Where tasks are made.
#[async_trait]
pub trait TaskSink: Send + Sync {
    /// Makes a task for each dispatch whose touch has none yet (see [`task_key`]), in one transaction; gives the task of each, in order.
    /// Nobody is to do them from `until` on. A fault means that nothing was made, or that it cannot be told: trying again is harmless.
    async fn make(&self, batch: &[Dispatch], at: Timestamp, until: Timestamp) -> Result<Vec<TaskId>, String>;
}

/// The key of a touch's task.
pub fn task_key(touch: TouchKey) -> String {
    format!("touch:{}/{}/{}", touch.customer, touch.campaign, touch.seq)
}

/// See the module.
pub struct WorklistCarrier {
    sink: Arc<dyn TaskSink>,
    clock: Arc<dyn Clock>,
    deadline_ms: i64,
}

impl WorklistCarrier {
    /// The carrier of a route of kind `worklist`.
    pub fn new(spec: &RouteSpec, sink: Arc<dyn TaskSink>, clock: Arc<dyn Clock>) -> Self {
        Self { sink, clock, deadline_ms: spec.deadline_ms() }
    }
}

#[async_trait]
impl Carrier for WorklistCarrier {
    fn kind(&self) -> &'static str {
        "worklist"
    }

    fn is_idempotent(&self) -> bool {
        true
    }

    async fn send(&self, batch: Vec<Dispatch>, reports: Reports) {
        let at = self.clock.now();
        let until = at.plus(self.deadline_ms);
        let made = self.sink.make(&batch, at, until).await;
        if let Err(fault) = &made {
            tracing::warn!(%fault, touches = batch.len(), "tasks could not be made; their touches go back to the schedule");
        }
        let mut tasks = made.unwrap_or_default().into_iter();
        let outcome = |dispatch: Dispatch| {
            let result = match tasks.next() {
                Some(task) => SendResult::Accepted { provider_ref: task.to_string().into(), deadline: until },
                None => SendResult::NotSent { reason: Reason::NotSent, again_at: at.plus(AGAIN_MS) },
            };
            CarrierEvent::Outcome(Outcome { touch: dispatch.touch, at, result })
        };
        // A closed channel: the engine has ended, and its successor hands over again.
        let _ = reports.send(batch.into_iter().map(outcome).collect());
    }
}
