//! The worklist and the roster of relationship managers.
use super::{Body, Caller, House, Operation, Paging, Problem, Query, Reply, ok};
use crate::desk::worklist::{self, Reported, TaskLine, TaskView, Wanted};
use crate::domain::access::Role;
use crate::domain::ids::TaskId;
use crate::domain::worklist::{Rm, TaskState};
use actix_web::web::Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const TAG: &str = "worklist";
const WORKERS: &[Role] = &[Role::Rm, Role::Operator];

/// A page of a worklist.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TaskPage {
    /// The most urgent first: by priority, due time, number.
    pub tasks: Vec<TaskLine>,
    /// What to give as `after` for the next page; null: this was the last.
    pub next: Option<i64>,
}

/// The answer to a result.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ResultTaken {
    /// Whether it was new; false: this very result was on record.
    pub new: bool,
    /// The task.
    pub task: TaskView,
}

/// Relationship managers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    /// By reference.
    pub rms: Vec<Rm>,
}

#[derive(Debug, Deserialize)]
struct ListQuery {
    rm: Option<String>,
    branch: Option<String>,
    state: Option<TaskState>,
    #[serde(default)]
    after: i64,
    limit: Option<u32>,
}

fn line_example() -> Value {
    json!({
        "id": 17, "kind": "journey", "state": "open", "title": "Term deposit renewal: rm", "customer": "C00042", "priority": 5,
        "language": "zh-CN", "skill": null, "branch": "north", "rm": "rm-7", "touch": "3-42-1", "due_at": "2026-11-24T01:00:00Z",
        "expires_at": "2026-12-01T01:00:00Z", "made_at": "2026-11-24T01:00:00Z", "mine": false, "claimed_until": null, "reminded_at": null,
        "escalated_at": null, "disposition": null, "closed_at": null
    })
}

fn view_example() -> Value {
    let mut view = line_example();
    let more = json!({
        "script": "Your term deposit ends on 1 December.",
        "contact": {"phone": "+86*********00", "phone_is_whole": false, "email": "a***@customers.example", "timezone": "Asia/Shanghai", "language": "zh-CN"},
        "held_until": null,
        "result": null,
        "history": [{"what": "made", "by": "engine", "why": "journey", "at": "2026-11-24T01:00:00Z"}],
        "checkpoints": [{"name": "loan-application", "step": "income", "left_on": "app", "detail": {}, "at": "2026-11-24T02:00:00Z", "closed": false}],
        "timeline": [{"at": "2026-11-24T01:00:00Z", "campaign": "term-deposit-2026q4", "channel": "worklist", "state": "started", "reason": "none", "connected_s": 0}]
    });
    if let (Value::Object(view), Value::Object(more)) = (&mut view, more) {
        view.extend(more);
    }
    view
}

fn roster_example() -> Value {
    json!({"rms": [{
        "reference": "rm-7", "branch": "north", "languages": ["zh-CN", "en"], "skills": ["funds"], "daily_capacity": 40, "left": false,
        "leaves": [{"from": "2026-12-21T00:00:00Z", "to": "2027-01-04T00:00:00Z", "cover": "rm-8"}]
    }]})
}

fn text() -> Value {
    json!({"type": "string", "maxLength": 200})
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v1/worklist", "listTasks")
            .says(TAG, "Tasks for relationship managers, the most urgent first")
            .about("An RM sees their own list and what nobody has in their branch, a branch's lead the branch's tasks, an operator all.")
            .allow(WORKERS)
            .query("rm", "On this RM's list; empty: on nobody's.", text(), "rm-7".into())
            .query("branch", "Of this branch.", text(), "north".into())
            .query(
                "state",
                "In this state; left out: open and claimed.",
                json!({"type": "string", "enum": ["open", "claimed", "done", "cancelled", "expired"]}),
                "open".into(),
            )
            .paged()
            .gives::<TaskPage>(200, "A page.", json!({"tasks": [line_example()], "next": null}))
            .refuses(404, "There is no task of the number that `after` gives.")
            .to(list),
        Operation::get("/v1/worklist/{id}", "readTask")
            .says(TAG, "A task with its script, its customer and their timeline")
            .about("Contact data are masked. The telephone number is whole for whoever holds a claim of the task.")
            .allow(WORKERS)
            .path_number("id", "The task.", 17)
            .audited()
            .gives::<TaskView>(200, "The task.", view_example())
            .to(read),
        Operation::post("/v1/worklist/{id}/claim", "claimTask")
            .says(TAG, "Claims a task, or renews the claim")
            .about("The claim holds for the lease that is configured (15 minutes unless told otherwise); what is claimed and idle goes back.")
            .allow(WORKERS)
            .path_number("id", "The task.", 17)
            .gives::<TaskView>(200, "It is the caller's.", view_example())
            .refuses(409, "Somebody else has claimed it (it says until when), it is closed, or the customer must not be contacted any more.")
            .to(claim),
        Operation::post("/v1/worklist/{id}/release", "releaseTask")
            .says(TAG, "Gives a claimed task back to the list")
            .allow(WORKERS)
            .path_number("id", "The task.", 17)
            .gives::<TaskView>(200, "It is open.", view_example())
            .refuses(409, "Somebody else has claimed it, or it is closed.")
            .to(release),
        Operation::post("/v1/worklist/{id}/result", "reportTask")
            .says(TAG, "Reports what came of a task")
            .about("The same again is the same answer. A result stands: another one is refused. A journey goes on by it.")
            .allow(WORKERS)
            .path_number("id", "The task.", 17)
            .takes::<Reported>(
                json!({"disposition": "interested", "connected_s": 240, "notes": "Wants the brochure.", "next_contact": "2026-12-24T02:00:00Z"}),
            )
            .gives::<ResultTaken>(200, "It is on record.", json!({"new": true, "task": view_example()}))
            .refuses(409, "The task has another result, or somebody else has claimed it.")
            .refuses(422, "The result does not fit; every fault is told.")
            .to(report),
        Operation::get("/v1/rms", "listRms")
            .says(TAG, "The roster of relationship managers")
            .about("An RM and a branch's lead see their branch.")
            .allow(&[Role::Rm, Role::Operator, Role::Admin])
            .gives::<Roster>(200, "The roster, by reference.", roster_example())
            .to(list_rms),
        Operation::put("/v1/rms", "putRms")
            .says(TAG, "Sets relationship managers")
            .about("Those that are not named stay as they are. Whoever has left or is away hands over what they have not claimed.")
            .allow(&[Role::Admin])
            .takes::<Roster>(roster_example())
            .up_to(1024 * 1024)
            .gives::<Roster>(200, "The roster as it is now.", roster_example())
            .refuses(422, "Something does not fit; every fault is told, and nothing is changed.")
            .to(put_rms),
    ]
}

async fn list(house: House, caller: Caller, query: Query<ListQuery>) -> Reply {
    let ListQuery { rm, branch, state, after, limit } = query.0;
    let (after, limit) = Paging { after, limit: limit.unwrap_or(100) }.checked()?;
    let after = (after > 0).then_some(TaskId(after));
    let wanted = Wanted { rm, branch, states: state.into_iter().collect(), after, limit };
    let tasks = worklist::list(house.store.as_ref(), &caller, &wanted, house.now()).await?;
    let next = tasks.last().filter(|_| tasks.len() == limit).map(|t| t.id);
    ok(&TaskPage { tasks, next })
}

fn task_id(path: &Path<i64>) -> TaskId {
    TaskId(**path)
}

async fn read(house: House, caller: Caller, id: Path<i64>) -> Reply {
    ok(&worklist::task_view(house.store.as_ref(), &caller, task_id(&id), house.now()).await?)
}

async fn claim(house: House, caller: Caller, id: Path<i64>) -> Reply {
    let lease = house.config.worklist.lease_ms();
    ok(&worklist::claim(house.store.as_ref(), &caller, task_id(&id), lease, house.now()).await?)
}

async fn release(house: House, caller: Caller, id: Path<i64>) -> Reply {
    ok(&worklist::release(house.store.as_ref(), &caller, task_id(&id), house.now()).await?)
}

async fn report(house: House, caller: Caller, id: Path<i64>, body: Body<Reported>) -> Reply {
    let (task, new) = worklist::result(house.store.as_ref(), &caller, task_id(&id), &body.0, house.now()).await?;
    ok(&ResultTaken { new, task })
}

async fn list_rms(house: House, caller: Caller) -> Reply {
    ok(&Roster { rms: worklist::rms(house.store.as_ref(), &caller).await? })
}

async fn put_rms(house: House, caller: Caller, body: Body<Roster>) -> Result<actix_web::HttpResponse, Problem> {
    let now = house.now();
    worklist::put_rms(house.store.as_ref(), &caller, &body.0.rms, now).await?;
    worklist::cover_round(house.store.as_ref(), house.config.worklist.timezone, now).await?;
    ok(&Roster { rms: worklist::rms(house.store.as_ref(), &caller).await? })
}
