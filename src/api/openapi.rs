//! The OpenAPI 3.1 document and its page, both made from the table of operations: complete by construction.
use super::operation::{Access, Operation, ReplySpec, SchemaOf};
use super::{House, Problem, Reply, operations};
use crate::domain::access::Role;
use actix_web::HttpResponse;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What this file answers.
pub fn operations_here() -> Vec<Operation> {
    vec![
        Operation::get("/openapi.json", "readOpenApi")
            .says("house", "This document")
            .open()
            .gives::<BTreeMap<String, Value>>(
                200,
                "OpenAPI 3.1.",
                json!({"openapi": "3.1.0", "info": {"title": "Touchline", "version": "0.1.0"}, "paths": {}}),
            )
            .to(read),
        Operation::get("/docs", "readDocs")
            .says("house", "This document as a page that needs no internet")
            .open()
            .gives_text(200, "The page.", "text/html", "<!doctype html>")
            .to(page),
    ]
}

async fn read() -> Reply {
    super::ok(&document(&operations()))
}

/// The page's template.
const PAGE: &str = include_str!("../web/docs.html");

async fn page(_: House) -> Reply {
    let mut environment = minijinja::Environment::new();
    let broken = |e: minijinja::Error| {
        tracing::error!(fault = %e, "the page of the API could not be made");
        Problem::new(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR, "internal", "the page could not be made; the log has the details")
    };
    // `.html`: what is put in is escaped.
    environment.add_template("docs.html", PAGE).map_err(broken)?;
    let text = environment.get_template("docs.html").and_then(|t| t.render(minijinja::value::Serde(&sections(&operations())))).map_err(broken)?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(text))
}

/// Operations by section, as the page shows them.
fn sections(operations: &[Operation]) -> Value {
    let mut by_tag: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for o in operations {
        let pretty = |v: &Value| if let Value::String(text) = v { text.clone() } else { serde_json::to_string_pretty(v).unwrap_or_default() };
        let replies: Vec<Value> = o
            .replies
            .iter()
            .map(|r| json!({"status": r.status, "about": r.about, "type": r.content.as_ref().map(|(t, _)| *t), "example": if r.example.is_null() { String::new() } else { pretty(&r.example) }}))
            .collect();
        let params: Vec<Value> = o
            .params
            .iter()
            .map(|p| json!({"name": p.name, "place": p.place, "about": p.about, "required": p.required, "example": pretty(&p.example)}))
            .collect();
        let body = o.body.as_ref().map(|b| json!({"types": b.content.iter().map(|(t, _)| *t).collect::<Vec<_>>(), "example": pretty(&b.example)}));
        by_tag.entry(o.tag).or_default().push(json!({
            "id": o.id, "method": o.method.as_str(), "path": o.path, "summary": o.summary, "about": o.about,
            "may": who_may(o.access), "params": params, "body": body, "replies": replies,
        }));
    }
    json!({ "version": env!("CARGO_PKG_VERSION"), "sections": by_tag.into_iter().map(|(tag, operations)| json!({"tag": tag, "operations": operations})).collect::<Vec<_>>() })
}

fn who_may(access: Access) -> String {
    match access {
        Access::Open => "anybody".to_owned(),
        Access::Signed => "a provider that signs".to_owned(),
        Access::Roles(roles) => roles.iter().map(Role::name).collect::<Vec<_>>().join(", "),
    }
}

/// The document of some operations.
pub fn document(operations: &[Operation]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut schemas = settings.into_generator();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations {
        paths.entry(operation.path).or_default().insert(operation.method.as_str().to_ascii_lowercase(), describe(operation, &mut schemas));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Touchline",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Outbound marketing of a bank: campaigns under four eyes, the worklist of relationship managers, receipts and events, exports. \
                            Refusals are problem details (RFC 9457). `Idempotency-Key` is honoured on every POST that a token makes, but for streamed imports.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A token made by an admin, or a JWT of the bank's identity provider."}},
        },
    })
}

fn describe(o: &Operation, schemas: &mut SchemaGenerator) -> Value {
    let mut params: Vec<Value> = o
        .params
        .iter()
        .map(|p| json!({"name": p.name, "in": p.place, "required": p.required, "description": p.about, "schema": p.schema, "example": p.example}))
        .collect();
    let secured = matches!(o.access, Access::Roles(_));
    if o.honours_keys() {
        params.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "The same key with the same request gives the first answer again (with `Idempotency-Replayed: true`) and does nothing twice, for 24 hours. \
                            Another request under the key: 422. The first still under way: 409 with Retry-After. Refusals 401, 409, 429 and faults of ours are not kept.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
        }));
    }
    let mut replies = Map::new();
    for reply in &o.replies {
        let described = describe_reply(reply, schemas);
        // Of a status that comes in several content types each is an entry of the table.
        let before = replies.get_mut(&reply.status.to_string()).and_then(|b| b.pointer_mut("/content")).and_then(Value::as_object_mut);
        match (before, described.get("content").and_then(Value::as_object)) {
            (Some(before), Some(content)) => before.extend(content.clone()),
            _ => drop(replies.insert(reply.status.to_string(), described)),
        }
    }
    for (status, about) in standing_problems(o) {
        replies.entry(status.to_owned()).or_insert_with(|| problem(status, about, schemas));
    }
    let mut described = json!({
        "operationId": o.id, "tags": [o.tag], "summary": o.summary, "parameters": params, "responses": replies,
        "description": format!("{}{}{}May be called by: {}.", o.about, if o.about.is_empty() { "" } else { "\n\n" }, streamed(o), who_may(o.access)),
        "x-roles": if let Access::Roles(roles) = o.access { json!(roles) } else { json!([]) },
        "security": if secured { json!([{"token": []}]) } else { json!([]) },
    });
    if let (Some(body), Some(object)) = (&o.body, described.as_object_mut()) {
        let mut content = Map::new();
        for (content_type, schema) in &body.content {
            content.insert((*content_type).to_owned(), json!({"schema": schema(schemas), "example": body.example}));
        }
        object.insert("requestBody".to_owned(), json!({"required": body.required, "content": content}));
    }
    described
}

fn streamed(o: &Operation) -> &'static str {
    if o.method == actix_web::http::Method::POST && matches!(o.access, Access::Roles(_)) && !o.honours_keys() {
        "The body is streamed and an Idempotency-Key is not needed: rows taken in before are counted as duplicates and change nothing.\n\n"
    } else {
        ""
    }
}

/// Problems that the guard and the extractors give, by what there is to be wrong.
fn standing_problems(o: &Operation) -> Vec<(&'static str, &'static str)> {
    let mut all = Vec::new();
    let secured = matches!(o.access, Access::Roles(_));
    if !o.params.is_empty() || o.body.is_some() || secured {
        all.push(("400", "The request is not one: its path, query, headers or body cannot be read."));
    }
    if secured || o.access == Access::Signed {
        all.push(("401", "No token, signature or identity that is known."));
    }
    if secured {
        all.push(("403", "Known, and without the role for it."));
        all.push(("429", "More requests than this token may make; see Retry-After."));
    }
    if o.params.iter().any(|p| p.place == "path") {
        all.push(("404", "There is no such thing, or it is not the caller's to see."));
    }
    if o.body.is_some() {
        all.push(("408", "The body came too slowly."));
        all.push(("413", "The body is larger than this operation takes."));
        all.push(("415", "The body is of another content type."));
        all.push(("422", "Understood, and not acceptable; `faults` has every one."));
    }
    if o.honours_keys() {
        all.push(("422", "Not acceptable, or the idempotency key was used for another request."));
        all.push(("408", "The body came too slowly."));
        all.push(("413", "The body is larger than this operation takes."));
    }
    if o.is_audited || o.method != actix_web::http::Method::GET {
        all.push(("507", "The disk is full; nothing was lost."));
    }
    if o.method != actix_web::http::Method::GET {
        all.push(("409", "Asked at the wrong moment, or an idempotency key is in use."));
    }
    all.push(("503", "The store is out of reach, or the house is draining; to be tried again."));
    all
}

fn problem(status: &str, about: &str, schemas: &mut SchemaGenerator) -> Value {
    let content = json!({"schema": schemas.subschema_for::<Problem>(), "example": problem_example(status.parse().unwrap_or(400))});
    json!({"description": about, "content": {super::problem::CONTENT_TYPE: content}})
}

/// A problem of a status as it may come.
fn problem_example(status: u16) -> Value {
    use actix_web::http::StatusCode;
    let (slug, detail) = match status {
        400 => ("bad-request", "limit: expected a whole number from 1 to 1000, found \"0\""),
        401 => ("unknown-caller", "expected Authorization: Bearer with a token of this house, found none that is known"),
        403 => ("forbidden", "makeToken needs one of the roles admin; this token has none of them"),
        404 => ("not-found", "campaign \"spring\" does not exist"),
        408 => ("slow-body", "no byte of the body came for 10 s"),
        409 => ("conflict", "the first request with this Idempotency-Key is still under way"),
        413 => ("too-large", "expected a body of at most 65536 bytes"),
        415 => ("content-type", "expected Content-Type application/json, found \"text/plain\""),
        416 => ("range", "expected a range within 412 bytes"),
        422 => ("unacceptable", "the body is JSON, but not what was expected: missing field `why` at line 1 column 2"),
        429 => ("too-many", "more requests than this token may make; try again in 1 s"),
        507 => ("storage-full", "the disk of the data folder has no room for this; nothing was kept"),
        _ => ("unavailable", "the store is out of reach; nothing was lost: try again"),
    };
    let problem = Problem::new(StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE), slug, detail);
    let problem = if status == 429 {
        problem.after(1)
    } else if status == 503 {
        problem.after(5)
    } else {
        problem
    };
    json!(problem)
}

fn describe_reply(reply: &ReplySpec, schemas: &mut SchemaGenerator) -> Value {
    let Some((content_type, schema)) = &reply.content else { return json!({"description": reply.about}) };
    let schema: &SchemaOf = schema;
    let mut content = json!({"schema": schema(schemas)});
    let example = if *content_type == super::problem::CONTENT_TYPE { problem_example(reply.status) } else { reply.example.clone() };
    if let (false, Some(object)) = (example.is_null(), content.as_object_mut()) {
        object.insert("example".to_owned(), example);
    }
    json!({"description": reply.about, "content": {*content_type: content}})
}
