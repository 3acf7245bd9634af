//! Files in: customers, lists, consents, suppressions and facts as streamed CSV, JSONL or Parquet, by a mapping that is kept by name.
use super::{Caller, House, Operation, Paging, Problem, Query, Reply, Text, accepted, file, next_bytes, ok};
use crate::app::intakes::{Intake, IntakeState, NotBegun, Receiving, SpoolError, Wanted};
use crate::app::mappings::{KeptMapping, is_name};
use crate::domain::access::Role;
use crate::intake::{Kind, Mapping, check_name};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

/// What a file may come as; what it really is, its mapping says.
const FILES: &[&str] =
    &["text/csv", "application/x-ndjson", "application/jsonl", "application/vnd.apache.parquet", "application/gzip", "application/octet-stream"];
const YAML: &[&str] = &["application/yaml", "application/x-yaml", "text/yaml", "text/plain"];
/// A wait longer than this (seconds) would be cut by proxies.
const LONGEST_WAIT: u64 = 60;
/// Bytes that are gathered before they are written.
const PIECE: usize = 1 << 20;

const ABOUT: &str = "The body is the file itself, plain or gzip, streamed; `mapping` names a mapping that was kept with PUT /v1/mappings/{name} and says how its \
    columns become ours. The file lies in the daemon's data folder (mode 0600, not sealed) until it is taken in, and is removed then. An upload that breaks off takes \
    nothing: send the file again. The same file, for the same list and by the same mapping, is taken in once: sent again after its end it changes \
    nothing and says so (`report.already`), sent again after a failure or a kill it goes on where it stopped, and sent again while it is being taken in it \
    is answered with the intake that does so. Answers 200 when it is over within `wait` seconds, else 202: ask GET /v1/intakes/{number}.";

fn example(state: &str) -> Value {
    let sums =
        json!({"rows_read": 45211, "accepted": 45211, "filtered": 0, "rejected": 0, "duplicates": 0, "bytes": 3751188, "bytes_total": 3751188});
    let report = json!({
        "kind": "customers", "sums": sums, "already": false, "resumed_from": 0, "inserted": 45211, "updated": 0, "warnings": 0, "reasons": {},
        "list": {"id": 1, "name": "term-deposit-prospects", "count": 45211, "checksum": "5f2b", "frozen_at": "2026-11-24T01:00:04Z"},
        "rejects": null, "notes": [],
    });
    let over = state == "done";
    json!({
        "number": 7, "kind": "customers", "list": "term-deposit-prospects", "mapping": "core-bank", "state": state, "by": "core-bank-export", "again": false,
        "begun_at": "2026-11-24T01:00:00Z", "ended_at": if over { json!("2026-11-24T01:00:04Z") } else { Value::Null }, "content": "9c1e",
        "sums": sums, "report": if over { report } else { Value::Null }, "fault": null, "faults": [],
    })
}

fn takes(path: &'static str, id: &'static str, summary: &'static str, roles: &[Role]) -> Operation {
    Operation::post(path, id)
        .says("intake", summary)
        .about(ABOUT)
        .allow(roles)
        .must_query("mapping", "The mapping's name.", json!({"type": "string", "minLength": 1, "maxLength": 64}), "core-bank".into())
        .query("again", "Take it in though the same file was taken in in full before.", json!({"type": "boolean", "default": false}), false.into())
        .query(
            "wait",
            "Seconds that the answer may wait for the end.",
            json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": LONGEST_WAIT, "default": 5}),
            5.into(),
        )
        .takes_text(FILES, "ref,phone\nc1,+8615400000001\n", None)
        .gives::<Intake>(200, "It is over.", example("done"))
        .gives::<Intake>(202, "It is being taken in.", example("running"))
        .refuses(404, "No mapping of this name is kept.")
        .refuses(507, "The disk has no room for it.")
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    let feeds = [Role::Operator, Role::System];
    let list = json!({"type": "string", "minLength": 1, "maxLength": 64});
    let kept = json!({"name": "core-bank", "kind": "customers", "hash": "c0ffee"});
    vec![
        takes("/v1/lists/{name}", "importList", "Take in the members of a list, by reference, and freeze it", &feeds)
            .path_text("name", "The list that is made of the rows.", "term-deposit-prospects")
            .to(members),
        takes("/v1/customers", "importCustomers", "Take in customers, with contacts, attributes and consents", &feeds)
            .query("list", "Also make this list of them, and freeze it.", list, "term-deposit-prospects".into())
            .to(customers),
        takes("/v1/consents", "importConsents", "Take in consents given and taken back", &[Role::Operator, Role::System, Role::Compliance])
            .to(consents),
        takes("/v1/suppressions", "importSuppressions", "Take in suppressions", &[Role::Operator, Role::System, Role::Compliance]).to(suppressions),
        takes("/v1/facts", "importFacts", "Take in facts of the core bank: drawdowns, balances, deposits", &feeds).to(facts),
        Operation::get("/v1/intakes", "listIntakes")
            .says("intake", "Intakes, oldest first")
            .about("Records are kept for 30 days.")
            .allow(&[Role::Operator, Role::System, Role::Compliance])
            .paged()
            .gives::<Vec<Intake>>(200, "They.", json!([example("done")]))
            .to(page),
        Operation::get("/v1/intakes/{number}", "readIntake")
            .says("intake", "How an intake stands")
            .about("At every moment rows_read = accepted + filtered + rejected + duplicates. After a kill of the daemon a running intake goes on at its next start.")
            .allow(&[Role::Operator, Role::System, Role::Compliance])
            .path_number("number", "The intake's number.", 7)
            .query(
                "wait",
                "Seconds that the answer may wait for the end.",
                json!({"type": "integer", "format": "int64", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0}),
                0.into(),
            )
            .gives::<Intake>(200, "It.", example("running"))
            .to(read),
        Operation::get("/v1/intakes/{number}/rejects", "readRejects")
            .says("intake", "The rows that did not fit, each with line, column, reason and as it was written")
            .about("They are personal data. Kept for 30 days, to be mended and sent again.")
            .allow(&[Role::Operator, Role::System, Role::Compliance])
            .audited()
            .path_number("number", "The intake's number.", 7)
            .gives_text(200, "CSV.", "text/csv", "row,line,column,reason,as_written\n3,4,phone,is no telephone number,\"c3,abc\"\n")
            .ranged()
            .gives_text(206, "A part of it, as `Range` asked.", "text/csv", "3,4,phone,is no telephone number,\"c3,abc\"\n")
            .to(rejects),
        Operation::put("/v1/mappings/{name}", "keepMapping")
            .says("intake", "Keep a mapping under a name, in place of the one before")
            .about("A mapping says how a foreign file becomes ours; `touchline schema mapping` has its schema. One that is at fault is refused with every fault's line and column.")
            .allow(&feeds)
            .path_text("name", "Letters, digits, `-`, `_` and `.`, at most 64.", "core-bank")
            .takes_text(YAML, "kind: customers\nformat: csv\ncolumns:\n  ref: no\n  phone: {column: tel, region: CN}\n", Some(super::operation::BODY_BYTES))
            .gives::<KeptMapping>(200, "It is kept.", kept.clone())
            .to(keep),
        Operation::get("/v1/mappings", "listMappings")
            .says("intake", "The mappings that are kept")
            .allow(&[Role::Operator, Role::System, Role::Compliance])
            .gives::<Vec<KeptMapping>>(200, "They, by name.", json!([kept]))
            .to(mappings),
        Operation::get("/v1/mappings/{name}", "readMapping")
            .says("intake", "A mapping as it is kept")
            .allow(&[Role::Operator, Role::System, Role::Compliance])
            .path_text("name", "Its name.", "core-bank")
            .gives_text(200, "YAML.", "application/yaml", "kind: customers\nformat: csv\ncolumns:\n  ref: no\n")
            .to(mapping),
    ]
}

#[derive(Deserialize)]
struct Asked {
    mapping: String,
    #[serde(default)]
    again: bool,
    list: Option<String>,
    wait: Option<u64>,
}

#[derive(Deserialize)]
struct Waiting {
    #[serde(default)]
    wait: u64,
}

fn checked(wait: u64) -> Result<u64, Problem> {
    if wait <= LONGEST_WAIT { Ok(wait) } else { Err(Problem::bad(format!("expected `wait` to be at most {LONGEST_WAIT} seconds, found {wait}"))) }
}

/// A handler for one kind.
macro_rules! takes_in {
    ($name:ident, $kind:expr) => {
        async fn $name(house: House, caller: Caller, asked: Query<Asked>, request: HttpRequest, body: web::Payload) -> Reply {
            take(&house, &caller, $kind, asked.0, &request, body).await
        }
    };
}
takes_in!(customers, Kind::Customers);
takes_in!(consents, Kind::Consents);
takes_in!(suppressions, Kind::Suppressions);
takes_in!(facts, Kind::Facts);

async fn members(house: House, caller: Caller, name: web::Path<String>, asked: Query<Asked>, request: HttpRequest, body: web::Payload) -> Reply {
    let asked = Asked { list: Some(name.into_inner()), ..asked.0 };
    take(&house, &caller, Kind::List, asked, &request, body).await
}

async fn take(house: &House, caller: &Caller, kind: Kind, asked: Asked, request: &HttpRequest, body: web::Payload) -> Reply {
    caller.sees_all("a file is")?;
    let wait = checked(asked.wait.unwrap_or(5))?;
    check_name(kind, asked.list.as_deref()).map_err(|e| Problem::unacceptable(e.to_string()))?;
    let text = house.mapping_text(&asked.mapping)?.ok_or_else(|| {
        Problem::not_found(format!("no mapping {:?} is kept; keep it with PUT /v1/mappings/NAME, then send the file again", asked.mapping))
    })?;
    let checked = Mapping::load(&asked.mapping, &text).and_then(|m| m.check(kind));
    checked.map_err(|faults| Problem::mapping(&faults))?;
    let wanted = Wanted { kind, list: asked.list, mapping: asked.mapping, text, by: caller.name.clone(), again: asked.again };
    let intakes = house.intakes(house.daemon.clone());
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let most = house.config.serve.max_upload_bytes;
    let receiving = {
        let intakes = intakes.clone();
        off(move || intakes.receive(&wanted, length, most)).await?
    };
    let intake = receive(receiving, body).await?;
    let number = intakes.begin(intake).map_err(|refused| match refused {
        NotBegun::ListBusy(other) => Problem::conflict(format!(
            "another file for this list is being taken in by intake {other}; when that is over the list is frozen: take another name"
        )),
        NotBegun::Busy => Problem::unavailable("as many files as may are being taken in; nothing of this one was kept: send it again").after(30),
        NotBegun::Folder(e) => Problem::folder(&e),
    })?;
    let intake = intakes.wait(number, wait).await?.ok_or_else(|| Problem::not_found("the intake is gone"))?;
    match intake.state {
        IntakeState::Done => ok(&intake),
        IntakeState::Failed | IntakeState::CutOff => Err(failed(&intake)),
        IntakeState::Receiving | IntakeState::Running => {
            let mut answer = accepted(&intake)?;
            if let Ok(place) = header::HeaderValue::from_str(&format!("/v1/intakes/{number}")) {
                answer.headers_mut().insert(header::LOCATION, place);
            }
            Ok(answer)
        }
    }
}

/// Why an intake failed, as a problem.
fn failed(intake: &Intake) -> Problem {
    let mut problem = Problem::mapping(&intake.faults);
    problem.detail = intake.fault.clone().unwrap_or_default();
    problem
}

/// Receives the body.
async fn receive(mut receiving: Receiving, body: web::Payload) -> Result<Intake, Problem> {
    let mut body = body.into_inner();
    let mut piece = Vec::with_capacity(PIECE);
    loop {
        let bytes = next_bytes(&mut body).await?;
        let ended = bytes.is_none();
        piece.extend_from_slice(bytes.as_deref().unwrap_or_default());
        if piece.len() >= PIECE || ended {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE));
            receiving = off(move || receiving.write(&full).map(|()| receiving)).await?;
        }
        if ended {
            return off(move || receiving.end()).await;
        }
    }
}

/// Work that waits for the disk, off the threads that answer.
async fn off<T: Send + 'static>(work: impl FnOnce() -> Result<T, SpoolError> + Send + 'static) -> Result<T, Problem> {
    let done = web::block(work).await.map_err(|_| Problem::unavailable("the daemon is ending; send it again"))?;
    done.map_err(|fault| match fault {
        SpoolError::TooLarge(most) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("expected a file of at most {most} bytes (serve.max_upload_bytes)"))
        }
        SpoolError::NoRoom => Problem::no_room(),
        SpoolError::Folder(e) => Problem::folder(&e),
    })
}

async fn page(house: House, caller: Caller, paging: Query<Paging>) -> Reply {
    caller.sees_all("intakes are")?;
    let (after, limit) = paging.0.checked()?;
    ok(&house.intakes(house.daemon.clone()).page(after, limit)?)
}

async fn read(house: House, caller: Caller, number: web::Path<i64>, waiting: Query<Waiting>) -> Reply {
    caller.sees_all("intakes are")?;
    let wait = checked(waiting.0.wait)?;
    ok(&house.intakes(house.daemon.clone()).wait(*number, wait).await?.ok_or_else(|| unknown(*number))?)
}

fn unknown(number: i64) -> Problem {
    Problem::not_found(format!("there is no intake {number}; records are kept for 30 days"))
}

async fn rejects(house: House, caller: Caller, number: web::Path<i64>, request: HttpRequest) -> Reply {
    caller.sees_all("rejected rows are")?;
    let intakes = house.intakes(house.daemon.clone());
    let intake = intakes.get(*number)?.ok_or_else(|| unknown(*number))?;
    let path = intakes
        .rejects(&intake)
        .ok_or_else(|| Problem::not_found(format!("intake {number} has rejected no row, or its rejects are no longer kept")))?;
    // It grows while the intake runs: its length is part of what it is.
    let length = std::fs::metadata(&path).map_err(|e| Problem::folder(&e))?.len();
    file::answer(&request, &path, &format!("intake-{number}.rejects.csv"), "text/csv; charset=utf-8", &format!("{number}-{length}")).await
}

async fn keep(house: House, caller: Caller, name: web::Path<String>, text: Text) -> Reply {
    caller.sees_all("a mapping is")?;
    if !is_name(&name) {
        return Err(Problem::unacceptable(format!("expected a name of letters, digits, `-`, `_` and `.` (at most 64), found {:?}", *name)));
    }
    let kept = house.keep_mapping(&name, &text.0).map_err(|fault| match fault {
        Ok(faults) => Problem::mapping(&faults),
        Err(failure) => {
            tracing::error!(fault = %failure.text, "a mapping could not be kept");
            Problem::unavailable("the data folder is out of reach; nothing was lost: try again")
        }
    })?;
    ok(&kept)
}

async fn mappings(house: House) -> Reply {
    ok(&house.mappings()?)
}

async fn mapping(house: House, name: web::Path<String>) -> Reply {
    let text = house.mapping_text(&name)?.ok_or_else(|| Problem::not_found(format!("no mapping {:?} is kept", *name)))?;
    Ok(HttpResponse::Ok().content_type("application/yaml").body(text))
}
