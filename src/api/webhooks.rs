//! Subscriptions of other systems.
use super::{Body, Caller, House, Operation, Reply, created, ok};
use crate::app::webhooks::{Made, Wanted};
use crate::desk::webhooks::Shown;
use crate::domain::access::Role;
use crate::domain::time::Timestamp;
use actix_web::HttpResponse;
use actix_web::web::Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// From when on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Since {
    /// RFC 3339.
    #[serde(with = "crate::domain::time::iso")]
    #[schemars(with = "String")]
    since: Timestamp,
}

/// What is told again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Replayed {
    /// Events, of all types, that lie before the subscription again.
    events: u64,
}

fn example() -> Value {
    json!({
        "id": 1, "url": "https://crm.bank.example/touchline", "types": ["touchline.touch.settled"], "campaign": null, "batched": false, "by": "ada",
        "made_at": "2026-11-24T09:00:00Z", "enabled": true, "failures": 0, "failing_since": null, "next_at": "2026-11-24T09:00:00Z", "sent": 0
    })
}

fn with_secret() -> Value {
    let mut made = example();
    if let Some(map) = made.as_object_mut() {
        map.insert("secret".to_owned(), "whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=".into());
    }
    made
}

/// Events are told of every customer.
const WHOSE: &str = "events are";

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    let roles = [Role::Admin];
    let about = "Deliveries are CloudEvents 1.0 in JSON, signed by Standard Webhooks, at least once, in order for each subscription; an event's id stays \
                 the same in every repetition. What is not answered by 2xx within 15 s is tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h \
                 and then daily, with up to a fifth more; after 5 days of failures the subscription is disabled. Redirects are not followed. 410 disables \
                 at once. No event bears contact details.";
    vec![
        Operation::post("/v1/webhooks", "addWebhook")
            .says("webhooks", "Subscribe a system to events; the secret is shown this once")
            .about(about)
            .allow(&roles)
            .takes::<Wanted>(json!({"url": "https://crm.bank.example/touchline", "types": ["touchline.touch.settled"]}))
            .gives::<Made>(201, "It is told what happens from now on.", with_secret())
            .keeps_no_answer()
            .refuses(409, "The address or a type cannot be.")
            .to(add),
        Operation::get("/v1/webhooks", "listWebhooks")
            .says("webhooks", "The subscriptions, and how their deliveries stand")
            .allow(&roles)
            .gives::<Vec<Shown>>(200, "All of them.", json!([example()]))
            .to(list),
        Operation::delete("/v1/webhooks/{id}", "removeWebhook")
            .says("webhooks", "End a subscription")
            .path_number("id", "Its number.", 1)
            .allow(&roles)
            .gives_nothing(204, "It is gone.")
            .refuses(404, "There is none of this number.")
            .to(remove),
        Operation::post("/v1/webhooks/{id}/enable", "enableWebhook")
            .says("webhooks", "Let a subscription go on that was disabled, or that waits")
            .path_number("id", "Its number.", 1)
            .allow(&roles)
            .gives::<Shown>(200, "It goes on at once, from where it stopped.", example())
            .refuses(404, "There is none of this number.")
            .to(enable),
        Operation::post("/v1/webhooks/{id}/replay", "replayWebhook")
            .says("webhooks", "Tell again what came about since a time")
            .about("As far back as events are kept (`webhooks.keep_days`), and were kept for anybody: those of a type that nobody subscribed to are not.")
            .path_number("id", "Its number.", 1)
            .allow(&roles)
            .takes::<Since>(json!({"since": "2026-11-24T00:00:00Z"}))
            .gives::<Replayed>(200, "They are told again.", json!({"events": 12}))
            .refuses(404, "There is none of this number.")
            .to(replay),
    ]
}

async fn add(house: House, caller: Caller, body: Body<Wanted>) -> Reply {
    caller.sees_all(WHOSE)?;
    created(&house.add_webhook(&body.0, &caller.name).await?)
}

async fn list(house: House, caller: Caller) -> Reply {
    caller.sees_all(WHOSE)?;
    ok(&house.webhooks().await?)
}

async fn remove(house: House, caller: Caller, id: Path<i64>) -> Reply {
    caller.sees_all(WHOSE)?;
    house.remove_webhook(*id).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn enable(house: House, caller: Caller, id: Path<i64>) -> Reply {
    caller.sees_all(WHOSE)?;
    ok(&house.enable_webhook(*id).await?)
}

async fn replay(house: House, caller: Caller, id: Path<i64>, body: Body<Since>) -> Reply {
    caller.sees_all(WHOSE)?;
    ok(&Replayed { events: house.replay_webhook(*id, body.0.since).await? })
}
