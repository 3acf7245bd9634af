//! The audit log: read and verified by compliance and admins.
use super::{Caller, House, Operation, Paging, Problem, Query, Reply, ok};
use crate::desk::audit::{self, Verdict};
use crate::domain::access::Role;
use crate::domain::audit::{Head, Linked};
use crate::store::AuditFilter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// An entry.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EntryView {
    /// Its number.
    number: i64,
    /// When.
    at: String,
    /// Who.
    actor: String,
    /// The number of the token shown.
    token: Option<i64>,
    /// The operation's id, or the words of the command line.
    operation: String,
    /// On what.
    target: String,
    /// The HTTP status, or `done`, `no`, `failed`.
    outcome: String,
    /// Its hash, over the hash before it and its content.
    hash: String,
}

impl From<Linked> for EntryView {
    fn from(linked: Linked) -> Self {
        let Linked { number, entry, hash } = linked;
        Self {
            number,
            at: entry.at.to_string(),
            actor: entry.actor,
            token: entry.token,
            operation: entry.operation,
            target: entry.target,
            outcome: entry.outcome,
            hash,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Wanted {
    actor: Option<String>,
    since: Option<String>,
    target: Option<String>,
    #[serde(default)]
    after: i64,
    #[serde(default = "hundred")]
    limit: u32,
}

fn hundred() -> u32 {
    100
}

#[derive(Debug, Deserialize)]
struct Kept {
    head: Option<String>,
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    let text = json!({"type": "string", "maxLength": 200});
    let head = format!("1:{}", "5f".repeat(32));
    vec![
        Operation::get("/v1/audit", "readAudit")
            .says("access", "Who did what, and when")
            .about("Reading it is itself an entry.")
            .allow(&[Role::Compliance, Role::Admin])
            .query("actor", "Only of this actor.", text.clone(), "alma".into())
            .query("since", "Not before this instant (RFC 3339).", json!({"type": "string", "format": "date-time"}), "2026-11-24T00:00:00Z".into())
            .query("target", "Only entries whose target has this text in it.", text, "name=term-deposit".into())
            .paged()
            .audited()
            .gives::<Vec<EntryView>>(
                200,
                "Entries by number.",
                json!([{"number": 1, "at": "2026-11-24T09:00:00Z", "actor": "alma", "token": 3, "operation": "approveCampaign",
                    "target": "name=term-deposit", "outcome": "200", "hash": "5f".repeat(32)}]),
            )
            .to(read),
        Operation::get("/v1/audit/verify", "verifyAudit")
            .says("access", "Recompute the audit log's chain")
            .about(
                "From the first entry to the last. A chain alone does not tell that its end was cut off, or that all of it was written anew: a head \
                 that was kept elsewhere does.",
            )
            .allow(&[Role::Compliance, Role::Admin])
            .query(
                "head",
                "A head kept elsewhere, which must be in the log.",
                json!({"type": "string", "pattern": "^[0-9]+:[0-9a-fA-F]{64}$"}),
                head.clone().into(),
            )
            .gives::<Verdict>(
                200,
                "What was found; `is_whole` says whether all holds.",
                json!({"is_whole": true, "entries": 1, "head": head, "fault": null}),
            )
            .to(verify),
    ]
}

async fn read(house: House, caller: Caller, wanted: Query<Wanted>) -> Reply {
    caller.sees_all("the audit log is")?;
    let Wanted { actor, since, target, after, limit } = wanted.0;
    let (after, limit) = Paging { after, limit }.checked()?;
    let since = since.map(|text| instant(&text)).transpose()?;
    let found = audit::list(house.store.as_ref(), &AuditFilter { actor, since, target, after, limit }).await?;
    ok(&found.into_iter().map(EntryView::from).collect::<Vec<_>>())
}

async fn verify(house: House, caller: Caller, kept: Query<Kept>) -> Reply {
    caller.sees_all("the audit log is")?;
    let kept = kept.0.head.map(|text| text.parse::<Head>()).transpose().map_err(Problem::bad)?;
    ok(&audit::verify(house.store.as_ref(), kept.as_ref()).await?)
}

fn instant(text: &str) -> Result<crate::domain::time::Timestamp, Problem> {
    chrono::DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc().into())
        .map_err(|_| Problem::bad(format!("since: expected an instant such as 2026-11-24T09:00:00Z, found {text:?}")))
}
