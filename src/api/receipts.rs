//! Receipts of providers.
use super::{House, Operation, Problem, Raw, Reply, accepted, ok};
use crate::app::inbound::Unsigned;
use crate::desk::receipts::{Posted, PostedReceipt};
use actix_web::HttpRequest;
use actix_web::web::Path;
use schemars::JsonSchema;
use serde_json::{Value, json};

/// Bytes of a message at most: a thousand receipts of a kilobyte.
const BYTES: usize = 1 << 20;

/// A message.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(dead_code, reason = "a schema; a message is read receipt by receipt, so that a wrong one does not spoil the others")]
enum Message {
    /// As it should be.
    Receipts(Vec<PostedReceipt>),
    /// Whatever else: kept as a dead letter.
    Other(Value),
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/v1/receipts/{route}", "postReceipts")
            .says("receipts", "Delivery receipts of a provider")
            .about(
                "A list of up to 1,000 receipts. The signature is the one that `[receipts.ROUTE]` of the settings names: Standard Webhooks \
                 (headers webhook-id, webhook-timestamp, webhook-signature), HMAC-SHA256 of the provider's own make, or a shared token. What \
                 is taken is on disk before it is answered. A message that comes again is answered 200 and changes nothing; receipts may come \
                 late, repeated and in any order. What cannot be read is kept as a dead letter, and counted in the answer.",
            )
            .path_text("route", "The route.", "sms-east")
            .takes::<Message>(json!([
                {"provider_ref": "p-4711", "disposition": "delivered", "at": "2026-11-24T09:00:05Z", "cost": "0.045"}
            ]))
            .up_to(BYTES)
            .signed()
            .gives::<Posted>(202, "It is kept.", json!({"taken": 1, "dead_letters": 0, "repeated": false}))
            .gives::<Posted>(200, "It was taken before; nothing was changed.", json!({"taken": 0, "dead_letters": 0, "repeated": true}))
            .refuses(401, "The signature does not hold.")
            .refuses(404, "No receipts are taken on this route.")
            .to(post),
    ]
}

async fn post(house: House, request: HttpRequest, route: Path<String>, body: Raw) -> Reply {
    let headers = request.headers().clone();
    let header = move |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    match house.take_receipts(&route, header, &body.0).await {
        Ok(posted) if posted.repeated => ok(&posted),
        Ok(posted) => accepted(&posted),
        Err(Unsigned::NoRoute) => Err(Problem::not_found("no receipts are taken on this route: it has no [receipts.ROUTE] in the settings")),
        Err(Unsigned::NoSecret) => Err(Problem::unavailable("the secrets of this route cannot be read; nothing was taken: send it again")),
        Err(Unsigned::Refused(refusal)) => Err(Problem::unknown_caller(refusal.to_string())),
        Err(Unsigned::Failed(failure)) => Err(failure.into()),
    }
}
