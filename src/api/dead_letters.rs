//! Dead letters: what could not be taken, or must be looked at by a person.
use super::{Body, Caller, House, Operation, Query, Reply, ok};
use crate::api::Paging;
use crate::desk::dead_letters::{self, Shown};
use crate::domain::access::Role;
use actix_web::web::Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Which are asked for.
#[derive(Clone, Debug, Deserialize)]
struct Which {
    #[serde(default)]
    all: bool,
    #[serde(default)]
    after: i64,
    #[serde(default = "hundred")]
    limit: u32,
}

fn hundred() -> u32 {
    100
}

/// Why one is closed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Closing {
    /// What was done about it; kept with it. No personal data.
    why: String,
}

fn example() -> Value {
    json!({
        "id": 7, "source": "sms-east", "kind": "receipt", "reason": "expected provider_ref or touch", "bytes": 61,
        "received_at": "2026-11-24T09:00:05Z", "closed_at": null, "how": null
    })
}

/// Nobody knows whose they are before they are read.
const WHOSE: &str = "dead letters are";

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    let roles = [Role::Operator, Role::Compliance];
    vec![
        Operation::get("/v1/dead-letters", "listDeadLetters")
            .says("receipts", "What could not be taken, without its contents")
            .query("all", "Also those that were dealt with.", json!({"type": "boolean", "default": false}), false.into())
            .paged()
            .allow(&roles)
            .gives::<Vec<Shown>>(200, "A page.", json!([example()]))
            .to(list),
        Operation::get("/v1/dead-letters/{id}", "readDeadLetter")
            .says("receipts", "One dead letter, with what was sent")
            .path_number("id", "Its number.", 7)
            .allow(&roles)
            .audited()
            .gives::<Shown>(200, "It.", example())
            .refuses(404, "There is none of this number.")
            .to(read),
        Operation::post("/v1/dead-letters/{id}/retry", "retryDeadLetter")
            .says("receipts", "Take a dead letter once more: after a setting was mended, or a customer imported")
            .path_number("id", "Its number.", 7)
            .allow(&roles)
            .gives::<Shown>(200, "It was taken, and is closed.", example())
            .refuses(404, "There is none of this number.")
            .refuses(409, "It still cannot be taken, or was dealt with already.")
            .to(retry),
        Operation::post("/v1/dead-letters/{id}/close", "closeDeadLetter")
            .says("receipts", "Close a dead letter that a person has dealt with")
            .path_number("id", "Its number.", 7)
            .allow(&roles)
            .takes::<Closing>(json!({"why": "the customer was asked; no opt-out was meant"}))
            .gives::<Shown>(200, "It is closed.", example())
            .refuses(404, "There is none of this number.")
            .refuses(409, "It was dealt with already.")
            .to(close),
    ]
}

async fn list(house: House, caller: Caller, which: Query<Which>) -> Reply {
    caller.sees_all(WHOSE)?;
    let (after, limit) = Paging { after: which.0.after, limit: which.0.limit }.checked()?;
    ok(&dead_letters::list(house.store.as_ref(), !which.0.all, after, limit).await?)
}

async fn read(house: House, caller: Caller, id: Path<i64>) -> Reply {
    caller.sees_all(WHOSE)?;
    ok(&Shown::whole(&house.dead_letter(*id).await?))
}

async fn retry(house: House, caller: Caller, id: Path<i64>) -> Reply {
    caller.sees_all(WHOSE)?;
    ok(&Shown::from(&house.retry_dead_letter(&caller, *id).await?))
}

async fn close(house: House, caller: Caller, id: Path<i64>, body: Body<Closing>) -> Reply {
    caller.sees_all(WHOSE)?;
    ok(&Shown::from(&house.close_dead_letter(&caller, *id, &body.0.why).await?))
}
