//! Callbacks that happened or are wished for, holds, referrals, checkpoints, and a customer's timeline.
use super::{Body, Caller, House, Operation, Problem, Reply, accepted, created, ok};
use crate::desk::callbacks::{Wanted, WishSeen, law, wanted};
use crate::desk::contacts::{ContactSeen, Happened, Heard, HoldAsked, HoldSeen, happened, hold, lift};
use crate::desk::referrals::{self, CheckpointSaid, CheckpointSeen, ReferralSeen, Referred};
use crate::desk::timeline::timeline;
use crate::desk::worklist::{self, Reported};
use crate::desk::{DeskError, DeskResult};
use crate::domain::access::Role;
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::window::Law;
use actix_web::web::Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A callback: one that happened, or one that is wished for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Callback {
    /// A contact that happened.
    #[serde(default)]
    pub happened: Option<Happened>,
    /// A wish to be called.
    #[serde(default)]
    pub wanted: Option<Wanted>,
}

/// What became of it: one of these.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct CallbackAnswer {
    /// The contact as recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactSeen>,
    /// The touch whose outcome it is: told to the engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_for: Option<String>,
    /// The task whose result it is: recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result_of: Option<i64>,
    /// The wish as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wish: Option<WishSeen>,
}

/// A wish to be called, taken down while working on a task: its customer is the task's.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedOfTask {
    /// When, by the clock on the customer's wall (`2026-11-25T15:30`); left out only when it is cancelled.
    #[serde(default)]
    pub local_time: Option<String>,
    /// The zone of that clock; left out: the customer's own.
    #[serde(default)]
    pub timezone: Option<String>,
    /// What about, in one line without personal data.
    #[serde(default)]
    pub topic: Option<String>,
    /// Not any more.
    #[serde(default)]
    pub cancelled: bool,
}

const PEOPLE: &[Role] = &[Role::Rm, Role::Operator];
const ALL: &[Role] = &[Role::Rm, Role::Operator, Role::System];
const READERS: &[Role] = &[Role::Rm, Role::Operator, Role::Compliance, Role::System];

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    let wish = json!({"source": "app", "id": "w-81", "wanted_at": "2026-11-25T07:30:00Z", "local_time": "2026-11-25T15:30:00+08:00", "task": 12, "taken": true});
    let contact = json!({"source": "call-centre", "id": "c-17", "touch": "3-104-0", "state": "reached", "disposition": "interested", "started_at": "2026-11-24T02:00:00Z", "reported_at": "2026-11-24T02:04:00Z"});
    let held = json!({"customer": "C00104", "held_until": "2026-11-27T10:00:00Z"});
    let left_off = json!({"name": "loan-application", "step": "income", "left_on": "app", "detail": {"application": "A-17"}, "at": "2026-11-24T02:00:00Z", "closed": false});
    let referral = json!({"task": 13, "due_at": "2026-11-24T02:00:00Z"});
    let customer = |operation: Operation| operation.path_text("reference", "The bank's reference of the customer.", "C00104");
    let task = |operation: Operation| operation.path_number("id", "The task.", 12);
    vec![
        Operation::post("/v1/callbacks", "postCallback")
            .says("callbacks", "Report a contact that happened, or take down a wish to be called")
            .about(
                "`happened` is recorded as a touch, so that caps count it; when it names a campaign's touch it is that touch's receipt. `wanted` becomes a task \
                 due then, with a reminder, for the customer's own RM. Both are named by (source, id): the same again, late or out of order, changes nothing, \
                 and a newer one corrects.",
            )
            .allow(ALL)
            .takes::<Callback>(json!({"wanted": {"id": "w-81", "customer": "C00104", "local_time": "2026-11-25T15:30", "topic": "mortgage"}}))
            .gives::<CallbackAnswer>(200, "It was on record before.", json!({"wish": wish}))
            .gives::<CallbackAnswer>(201, "It is new.", json!({"contact": contact}))
            .gives::<CallbackAnswer>(202, "It is the outcome of a touch, and kept; the engine records it.", json!({"receipt_for": "3-104-0"}))
            .refuses(404, "There is no such customer, touch or task that the caller may see.")
            .refuses(409, "The name is on record for another customer or purpose.")
            .refuses(422, "Faults, all of them: a time that is not lawful comes with the next one that is.")
            .to(post),
        task(Operation::post("/v1/worklist/{id}/callback", "postTaskCallback"))
            .says("worklist", "Take down when the customer of a task wants to be called")
            .allow(PEOPLE)
            .takes::<WantedOfTask>(json!({"local_time": "2026-11-25T15:30"}))
            .gives::<WishSeen>(200, "As it stands.", wish.clone())
            .gives::<WishSeen>(201, "It is new.", wish)
            .refuses(404, "There is no such task that the caller may see.")
            .refuses(422, "Faults, all of them.")
            .to(task_callback),
        task(Operation::post("/v1/worklist/{id}/referral", "postTaskReferral"))
            .says("worklist", "Refer the transaction of a task to an RM, a branch or another channel")
            .about("The checkpoint goes with it. On to a channel: consent and law of this moment are asked, and the task is due at the next lawful time.")
            .allow(PEOPLE)
            .takes::<Referred>(json!({"id": "f-1", "to_branch": "east", "title": "Finish the loan application"}))
            .gives::<ReferralSeen>(200, "It was on record before.", referral.clone())
            .gives::<ReferralSeen>(201, "It is new.", referral)
            .refuses(404, "There is no such task that the caller may see.")
            .refuses(409, "The id is on record for another customer.")
            .refuses(422, "Faults, all of them.")
            .to(task_referral),
        task(Operation::post("/v1/worklist/{id}/checkpoint", "postTaskCheckpoint"))
            .says("worklist", "Keep where the customer of a task left off")
            .allow(PEOPLE)
            .takes::<CheckpointSaid>(left_off.clone())
            .gives::<Vec<CheckpointSeen>>(200, "The customer's checkpoints, newest first.", json!([left_off]))
            .refuses(404, "There is no such task that the caller may see.")
            .refuses(422, "Faults, all of them.")
            .to(task_checkpoint),
        customer(Operation::post("/v1/customers/{reference}/hold", "holdCustomer"))
            .says("customers", "Hold a customer's touches: \"I am meeting her\"")
            .about("Touches on all channels but the RM's worklist wait until then; none is dropped. Whoever says it last rules.")
            .allow(PEOPLE)
            .takes::<HoldAsked>(json!({"until": "2026-11-27T10:00:00Z", "why": "meeting on Friday"}))
            .gives::<HoldSeen>(200, "The hold as it stands, rounded up to a quarter of an hour.", held.clone())
            .refuses(404, "There is no such customer that the caller may see.")
            .refuses(422, "Faults, all of them.")
            .to(hold_customer),
        customer(Operation::delete("/v1/customers/{reference}/hold", "liftHold"))
            .says("customers", "Lift a customer's hold")
            .about("What it had put off is due at once; a running campaign takes it up within a second.")
            .allow(PEOPLE)
            .gives::<HoldSeen>(200, "Nothing is held any more.", json!({"customer": "C00104", "held_until": null}))
            .refuses(404, "There is no such customer that the caller may see.")
            .to(lift_hold),
        customer(Operation::post("/v1/customers/{reference}/checkpoints", "putCheckpoint"))
            .says("customers", "Keep where a customer left off, or close it")
            .about("Of checkpoints of a name the newest rules; an older one that comes late changes nothing.")
            .allow(ALL)
            .takes::<CheckpointSaid>(left_off.clone())
            .gives::<Vec<CheckpointSeen>>(200, "The customer's checkpoints, newest first.", json!([left_off]))
            .refuses(404, "There is no such customer that the caller may see.")
            .refuses(422, "Faults, all of them.")
            .to(put_checkpoint),
        customer(Operation::get("/v1/customers/{reference}/checkpoints", "listCheckpoints"))
            .says("customers", "Where a customer left off")
            .allow(ALL)
            .audited()
            .gives::<Vec<CheckpointSeen>>(200, "Newest first, closed ones too.", json!([left_off]))
            .refuses(404, "There is no such customer that the caller may see.")
            .to(list_checkpoints),
        customer(Operation::get("/v1/customers/{reference}/timeline", "readTimeline"))
            .says("customers", "A customer's timeline")
            .about("Consents, touches with their rules, tasks, holds, wishes, checkpoints, facts without amounts; addresses are masked.")
            .allow(READERS)
            .audited()
            .gives::<serde_json::Map<String, serde_json::Value>>(
                200,
                "What is known.",
                json!({"customer": {"reference": "C00104"}, "campaigns": [], "tasks": [], "checkpoints": [left_off], "held_until": null}),
            )
            .refuses(404, "There is no such customer that the caller may see.")
            .to(read_timeline),
    ]
}

async fn post(house: House, caller: Caller, body: Body<Callback>) -> Reply {
    match (body.0.happened, body.0.wanted) {
        (Some(said), None) => post_happened(&house, &caller, &said).await,
        (None, Some(asked)) => {
            let (wish, made) = wished(&house, &caller, &asked).await?;
            answer(made, &CallbackAnswer { wish: Some(wish), ..CallbackAnswer::default() })
        }
        (happened, wanted) => {
            let found = if happened.is_some() && wanted.is_some() { "both" } else { "neither" };
            Err(Problem::unacceptable(format!("expected one of `happened` and `wanted`, found {found}")))
        }
    }
}

fn answer<T: Serialize>(made: bool, value: &T) -> Reply {
    if made { created(value) } else { ok(value) }
}

async fn wished(house: &House, caller: &Caller, asked: &Wanted) -> DeskResult<(WishSeen, bool)> {
    let callbacks = &house.config.callbacks;
    wanted(house.store.as_ref(), caller, &law(&callbacks.policy)?, &callbacks.times(), asked, house.now()).await
}

async fn post_happened(house: &House, caller: &Caller, said: &Happened) -> Reply {
    match happened(house.store.as_ref(), caller, said, house.now()).await? {
        Heard::Contact { contact, made } => answer(made, &CallbackAnswer { contact: Some(contact), ..CallbackAnswer::default() }),
        Heard::Receipt(heard) => {
            let is_new = house.take_report(&heard).await?;
            let taken = CallbackAnswer { receipt_for: Some(heard.touch.to_string()), ..CallbackAnswer::default() };
            if is_new { accepted(&taken) } else { ok(&taken) }
        }
        Heard::Task(id, result) => {
            let reported =
                Reported { disposition: result.disposition, connected_s: result.connected_s, notes: None, next_contact: None, at: Some(result.at) };
            let (_, made) = worklist::result(house.store.as_ref(), caller, id, &reported, house.now()).await?;
            answer(made, &CallbackAnswer { result_of: Some(id.0), ..CallbackAnswer::default() })
        }
    }
}

async fn task_callback(house: House, caller: Caller, id: Path<i64>, body: Body<WantedOfTask>) -> Reply {
    let (task, customer) = referrals::task_of(house.store.as_ref(), &caller, *id).await?;
    let WantedOfTask { local_time, timezone, topic, cancelled } = body.0;
    let topic = topic.or(Some(task.made.title.clone()));
    let asked =
        Wanted { source: None, id: format!("task-{}", task.id), customer: customer.reference, local_time, timezone, topic, cancelled, at: None };
    // Whoever has the task may speak for its customer, whosever the customer is.
    let caller = Caller(crate::domain::access::Actor { branch: None, rm: None, ..caller.0 });
    let (wish, made) = wished(&house, &caller, &asked).await?;
    answer(made, &wish)
}

async fn task_referral(house: House, caller: Caller, id: Path<i64>, body: Body<Referred>) -> Reply {
    let (_, customer) = referrals::task_of(house.store.as_ref(), &caller, *id).await?;
    if body.0.customer.as_ref().is_some_and(|named| *named != customer.reference) {
        return Err(DeskError::Unfit(vec!["customer: expected the task's own, or none".to_owned()]).into());
    }
    let policy = &house.config.callbacks.policy;
    let law = |channel: Channel| Law::compose(policy, Purpose::Service, &[channel], &[]).map_err(DeskError::Law);
    let unbound = crate::domain::access::Actor { branch: None, rm: None, ..caller.0 };
    let seen = referrals::refer(house.store.as_ref(), &unbound, &law, &customer.reference, &body.0, house.now()).await?;
    answer(seen.made, &seen)
}

async fn task_checkpoint(house: House, caller: Caller, id: Path<i64>, body: Body<CheckpointSaid>) -> Reply {
    let (_, customer) = referrals::task_of(house.store.as_ref(), &caller, *id).await?;
    let unbound = crate::domain::access::Actor { branch: None, rm: None, ..caller.0 };
    ok(&referrals::put_checkpoint(house.store.as_ref(), &unbound, &customer.reference, &body.0, house.now()).await?)
}

async fn hold_customer(house: House, caller: Caller, reference: Path<String>, body: Body<HoldAsked>) -> Reply {
    let seen = hold(house.store.as_ref(), &caller, &reference, &body.0, house.now()).await?;
    if let (Some(daemon), Some(customer)) = (&house.daemon, house.store.customer(&reference).await?) {
        daemon.withdrawn([customer.id]);
    }
    ok(&seen)
}

async fn lift_hold(house: House, caller: Caller, reference: Path<String>) -> Reply {
    ok(&lift(house.store.as_ref(), &caller, &reference, house.now()).await?)
}

async fn put_checkpoint(house: House, caller: Caller, reference: Path<String>, body: Body<CheckpointSaid>) -> Reply {
    ok(&referrals::put_checkpoint(house.store.as_ref(), &caller, &reference, &body.0, house.now()).await?)
}

async fn list_checkpoints(house: House, caller: Caller, reference: Path<String>) -> Reply {
    ok(&referrals::checkpoints(house.store.as_ref(), &caller, &reference).await?)
}

async fn read_timeline(house: House, caller: Caller, reference: Path<String>) -> Reply {
    ok(&timeline(house.store.as_ref(), &caller, &reference, house.now()).await?)
}
