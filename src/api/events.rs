//! Events that the bank's other systems tell.
use super::{Caller, House, Operation, Problem, Raw, Reply, ok, parse};
use crate::clock::monotonic;
use crate::desk::events::{EventResult, IncomingEvent, MOST, Verdict};
use crate::domain::access::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Bytes of a batch at most.
const BYTES: usize = 4 << 20;

/// What became of a batch.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct EventsTaken {
    /// Events taken now.
    pub taken: usize,
    /// Each event, by its place.
    pub results: Vec<EventResult>,
}

/// One event, or a batch.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(clippy::large_enum_variant, dead_code, reason = "a schema; bodies are read event by event, so that a wrong one does not spoil the others")]
enum OneOrMany {
    /// One.
    One(IncomingEvent),
    /// Several.
    Many(#[schemars(length(max = 1000))] Vec<Told>),
    /// Whatever else: told by its result.
    Other(serde_json::Map<String, Value>),
}

/// An event of a batch.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[allow(clippy::large_enum_variant, dead_code, reason = "a schema")]
enum Told {
    /// As it should be.
    Event(IncomingEvent),
    /// Whatever else: told by its result, and the others are taken.
    Other(Value),
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    let example = json!([{
        "specversion": "1.0", "id": "sms-1", "source": "urn:bank:sms-gateway", "type": "touchline.event.text", "time": "2026-11-24T09:00:05+08:00",
        "data": {"customer": "C00001", "text": "TD"}
    }]);
    let mut operation = Operation::post("/v1/events", "tellEvents")
        .says("events", "Opens, clicks, complaints, ratings, opt-outs, texts of customers")
        .about(
            "CloudEvents 1.0 in JSON, one or up to 1,000. Types: touchline.event.opened, .clicked, .complained, .rated, .opted_out, .text. A text \
             that is an opt-out as a whole (STOP, TD, 退订 and the like, in any language of the shipped list) withdraws consent for its channel; one \
             that only mentions it is kept for a person. Opt-outs are committed first and hold for everything that is not started. An event of a \
             source and id that was taken before changes nothing. Confirmation texts are not sent here.",
        )
        .allow(&[Role::System])
        .takes::<OneOrMany>(example)
        .up_to(BYTES)
        .gives::<EventsTaken>(200, "What became of each.", json!({"taken": 1, "results": [{"index": 0, "verdict": "taken", "detail": "opted out"}]}))
        .to(tell);
    if let Some(body) = &mut operation.body {
        let schema = body.content.first().map(|(_, schema)| *schema);
        body.content.extend(["application/cloudevents+json", "application/cloudevents-batch+json"].into_iter().zip(schema.into_iter().cycle()));
    }
    vec![operation]
}

async fn tell(house: House, caller: Caller, body: Raw) -> Reply {
    let began = monotonic();
    let batch = match parse::<Value>(&body.0)? {
        Value::Array(batch) => batch,
        one @ Value::Object(_) => vec![one],
        _ => return Err(Problem::unacceptable("expected an event or a list of events")),
    };
    if batch.len() > MOST {
        return Err(Problem::unacceptable(format!("expected at most {MOST} events, found {}; nothing was taken", batch.len())));
    }
    let results = house.take_events(&caller, &batch, began).await?;
    let taken = results.iter().filter(|r| r.verdict == Verdict::Taken).count();
    ok(&EventsTaken { taken, results })
}
