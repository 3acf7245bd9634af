//! Questions: is a campaign file sound, what would it come to, why was a customer (not) contacted, which touches are in doubt.
use super::{Body, Caller, Fault, House, Operation, Problem, Query, Reply, Text, ok};
use crate::app::outcome::Outcome;
use crate::campaign_file::LONGEST_FILE;
use crate::desk::diff::{self, Diff};
use crate::desk::explain::Explanation;
use crate::desk::plan::Plan;
use crate::desk::resolve::{Finding, Resolved, Selection};
use crate::domain::access::Role;
use crate::domain::outcome::Reason;
use crate::domain::touch::Touch;
use actix_web::web;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

const YAML: &[&str] = &["application/yaml", "application/x-yaml", "text/yaml", "text/plain"];
const CAMPAIGN: &str = "campaign: term-deposit-2026q4\ntitle: Term deposit renewal\nopportunity: investment\nowner: wealth-remote-centre\n\
    audience: {list: term-deposit-prospects}\nschedule: {start: 2026-11-24T09:00, end: 2026-12-15T20:00, timezone: Asia/Shanghai}\npolicy: [cn-bank]\n\
    journey:\n  - {step: call, channel: call, routes: [sip-north]}\n";
/// Touches in doubt that are listed at most.
const MOST_IN_DOUBT: u32 = 10_000;

/// What a campaign file is found to be.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Whether it has no fault.
    pub valid: bool,
    /// The campaign's name, of a file without fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Its hash, of a file without fault: what an approval names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Every fault, with line and column.
    pub faults: Vec<Fault>,
}

/// What was found out of touches in doubt.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WantedResolution {
    /// `reached`, or how the customer was missed (`no_answer`, `busy`, `undelivered` ...).
    #[serde(rename = "as")]
    pub as_: String,
    /// For a call that reached the customer: seconds of conversation.
    #[serde(default)]
    pub connected_seconds: u32,
    /// Only these touches (campaign-customer-seq); empty: all that are in doubt.
    #[serde(default)]
    pub touches: Vec<String>,
    /// Why; kept with every touch, with the caller's name.
    #[schemars(length(min = 1))]
    pub why: String,
}

impl WantedResolution {
    /// The finding, and the touches; `Err`: what is wrong with them.
    pub fn read(&self) -> Result<(Finding, Selection), String> {
        let finding = match Reason::from_name(&self.as_) {
            _ if self.as_ == "reached" => Finding::Reached { connected_s: self.connected_seconds },
            Some(reason) if reason.is_missed() => Finding::Missed(reason),
            _ => {
                let known: Vec<&str> = Reason::ALL.iter().filter(|r| r.is_missed()).map(|r| r.name()).collect();
                return Err(format!("--as: expected reached, {}; found {:?}", known.join(", "), self.as_));
            }
        };
        if self.touches.is_empty() {
            return Ok((finding, Selection::All));
        }
        let keys: Result<_, String> = self.touches.iter().map(|t| t.parse()).collect();
        Ok((finding, Selection::Touches(keys.map_err(|e| format!("--touch: {e}"))?)))
    }
}

fn forecast() -> serde_json::Value {
    json!({"campaign": "term-deposit-2026q4", "timezone": "Asia/Shanghai", "list": "term-deposit-prospects", "members": 40, "filter": null,
        "audience": 40, "reached": 12, "reached_interval": [8, 17], "missed": 28, "losses": {}, "steps": [{"step": "call", "channel":
        "call", "customers": 40, "attempts": 67, "reached": 12, "parts": 67, "cost": "2.14"}], "attempts": 67, "parts": 67, "cost": "2.14",
        "currency": "CNY", "budget": "1000.00", "budget_suffices": true, "first_touch_at": "2026-11-24T01:00:00Z", "finishes_at":
        "2026-11-24T17:18:11Z", "ends_at": "2026-12-15T12:00:00Z", "feasible": true, "left_at_end": 0, "sufficient_rate": null, "warnings":
        [], "zones": {"Asia/Shanghai": 40}, "contactable": {"call": {"allowed": 40}}, "other_language": {}, "collisions": [], "assumptions":
        {"channels": {"call": {"rates": {"answered": 0.06, "interested": 0.012, "no_answer": 0.63}, "mean_talk_s": 0.0, "delay_ms":
        {"answered": 73741}, "source": "profile of the simulated carrier: telephone-bank-cn"}}, "relative_error": 0.15}, "sampled": 40})
}

fn outcome() -> serde_json::Value {
    json!({"campaign": "term-deposit-2026q4", "version": 1, "revision": 0, "rehearsal": false, "status": "finished", "audience": 40,
        "counts": {"pending": 0, "scheduled": 0, "started": 0, "reached": 23, "missed": 17, "refused": 0, "uncertain": 0, "suppressed": 0,
        "held_out": 0, "expired": 0, "cancelled": 0}, "suppressed": {}, "called_off": {}, "attempts": {"total": 68, "by_channel": {"call":
        68}, "by_route": {"sip-north": 68}, "by_disposition": {"answered": 23, "no_answer": 45}}, "reached_by_attempts": {"1": 9, "2": 14},
        "parts": 68, "connected_seconds": 286, "cost": {"amount": "1.20", "currency": "CNY"}, "conversions": [], "lift": [], "started_at":
        "2026-11-24T01:00:00Z", "finished_at": "2026-11-25T16:05:30Z", "elapsed_s": 140730.0, "attribution": {"conversions": [], "holdout":
        [], "lift": [], "no_lift": [], "held_elsewhere": {}}})
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    let touch = json!({
        "key": {"customer": 17, "campaign": 3, "seq": 0}, "step": 0, "attempt": 1, "channel": "call", "route": 1, "variant": 0, "state": "uncertain",
        "reason": "no_receipt", "rule": 1, "due_at": null, "started_at": "2026-11-24T01:00:00Z", "ended_at": null, "connected_s": 0, "cost_micros": 0,
        "provider_ref": null, "parts": 0, "flags": 0,
    });
    vec![
        Operation::post("/v1/validate", "validateCampaign")
            .says("campaigns", "Check a campaign file: every fault with line and column, and what to do")
            .about("Against the daemon's routes and presets; nothing is kept.")
            .allow(&[Role::Author, Role::Approver, Role::Operator])
            .takes_text(YAML, CAMPAIGN, Some(LONGEST_FILE))
            .gives::<Verdict>(200, "The verdict.", json!({"valid": true, "campaign": "term-deposit-2026q4", "hash": "77ab", "faults": []}))
            .to(validate),
        Operation::post("/v1/plan", "planCampaign")
            .says("campaigns", "Forecast a campaign before its launch: reach, losses, attempts, finish time, cost, collisions")
            .about("Nothing is kept. A file at fault is refused as at its submission.")
            .allow(&[Role::Author, Role::Approver, Role::Operator])
            .takes_text(YAML, CAMPAIGN, Some(LONGEST_FILE))
            .gives::<Plan>(200, "The forecast.", forecast())
            .to(plan),
        Operation::get("/v1/explain", "explainCustomer")
            .says("customers", "Every decision about one customer, with its rule and time")
            .about("Addresses are masked. A relationship manager is told of own customers alone.")
            .allow(&[Role::Compliance, Role::Rm])
            .audited()
            .must_query("customer", "The bank's number for the customer.", json!({"type": "string", "minLength": 1, "maxLength": 200}), "c1".into())
            .query("campaign", "Only this campaign.", json!({"type": "string", "minLength": 1, "maxLength": 200}), "term-deposit-2026q4".into())
            .gives::<Explanation>(200, "What is on record.", json!({
                "customer": {"reference": "c1", "phone": "+86*********01", "email": null, "push": false, "timezone": "Asia/Shanghai", "language": null, "branch": null, "rm": false},
                "consents": [], "suppressions": [], "campaigns": [], "facts": [],
            }))
            .refuses(404, "There is no such customer, or the customer is not the caller's; or no such campaign.")
            .to(explain),
        Operation::get("/v1/campaigns/{name}/report", "readReport")
            .says("campaigns", "The report of a campaign, with its attribution once it has ended")
            .allow(&[Role::Author, Role::Approver, Role::Operator, Role::Finance, Role::Compliance])
            .path_text("name", "The campaign; its newest real run, or else its newest rehearsal.", "term-deposit-2026q4")
            .query("rehearsal", "The rehearsal, though there is a real run.", json!({"type": "boolean", "default": false}), false.into())
            .gives::<Outcome>(200, "The report.", outcome())
            .to(report),
        Operation::post("/v1/campaigns/{name}/diff", "compareWithFile")
            .says("campaigns", "What a file would change, by meaning and line by line")
            .about("Nothing is kept.")
            .allow(&[Role::Author, Role::Approver, Role::Operator, Role::Finance, Role::Compliance])
            .path_text("name", "The campaign.", "term-deposit-2026q4")
            .query("from", "`2`, `2.1` or `draft`; left out: the version in force.", json!({"type": "string", "minLength": 1, "maxLength": 40}), "1".into())
            .takes_text(YAML, CAMPAIGN, Some(LONGEST_FILE))
            .gives::<Diff>(200, "The differences.", json!({"from": "1", "to": "file", "revisable": true, "changes": [], "lines": []}))
            .to(compare),
        Operation::get("/v1/campaigns/{name}/uncertain", "listUncertain")
            .says("campaigns", "Touches of which nobody knows whether they happened")
            .allow(&[Role::Operator, Role::Compliance])
            .path_text("name", "The campaign.", "term-deposit-2026q4")
            .query("limit", "How many at most.", json!({"type": "integer", "format": "int32", "minimum": 1, "maximum": MOST_IN_DOUBT, "default": MOST_IN_DOUBT}), MOST_IN_DOUBT.into())
            .gives::<Vec<Touch>>(200, "They.", json!([touch]))
            .to(in_doubt),
        Operation::post("/v1/campaigns/{name}/resolve", "resolveUncertain")
            .says("campaigns", "Settle touches in doubt by what a person has found out")
            .about("Every touch keeps who, why and as what. A disposition that the step retries leads to a retry, as if the carrier had said so.")
            .allow(&[Role::Operator, Role::Compliance])
            .path_text("name", "The campaign.", "term-deposit-2026q4")
            .takes::<WantedResolution>(json!({"as": "no_answer", "touches": ["3-17-0"], "why": "the carrier's list of 24 November"}))
            .gives::<Resolved>(200, "What it came to.", json!({"settled": 1, "continued": 1, "skipped": []}))
            .to(resolve),
    ]
}

async fn validate(house: House, text: Text) -> Reply {
    let verdict = match house.check_campaign_text("body", &text.0) {
        Ok(campaign) => Verdict { valid: true, hash: Some(campaign.hash()), campaign: Some(campaign.name), faults: Vec::new() },
        Err(failure) => {
            let problem = Problem::from(failure);
            if problem.faults.is_empty() {
                return Err(problem);
            }
            Verdict { valid: false, campaign: None, hash: None, faults: problem.faults }
        }
    };
    ok(&verdict)
}

async fn plan(house: House, caller: Caller, text: Text) -> Reply {
    caller.sees_all("a forecast is")?;
    let campaign = house.campaign_text("body", &text.0).await?;
    let app = std::sync::Arc::clone(&house.app);
    ok(&super::long::at_length(async move || app.plan(&campaign).await).await?)
}

#[derive(Deserialize)]
struct Asked {
    customer: String,
    campaign: Option<String>,
}

async fn explain(house: House, caller: Caller, asked: Query<Asked>) -> Reply {
    ok(&house.explain(&asked.0.customer, asked.0.campaign.as_deref(), &caller).await?)
}

#[derive(Deserialize)]
struct Mode {
    #[serde(default)]
    rehearsal: bool,
}

async fn report(house: House, name: web::Path<String>, mode: Query<Mode>) -> Reply {
    let row = house.run_named(&name, mode.0.rehearsal.then_some(true)).await?;
    ok(&house.status(&row).await?)
}

#[derive(Deserialize)]
struct From {
    from: Option<String>,
}

async fn compare(house: House, name: web::Path<String>, from: Query<From>, text: Text) -> Reply {
    ok(&diff::compare_versions(house.store.as_ref(), &name, from.0.from.as_deref(), None, Some(&text.0)).await?)
}

#[derive(Deserialize)]
struct Limit {
    limit: Option<u32>,
}

async fn in_doubt(house: House, caller: Caller, name: web::Path<String>, limit: Query<Limit>) -> Reply {
    caller.sees_all("touches in doubt are")?;
    let limit = limit.0.limit.unwrap_or(MOST_IN_DOUBT);
    if !(1..=MOST_IN_DOUBT).contains(&limit) {
        return Err(Problem::bad(format!("expected a limit from 1 to {MOST_IN_DOUBT}, found {limit}")));
    }
    let mut touches = house.in_doubt(&name).await?;
    touches.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    ok(&touches)
}

async fn resolve(house: House, caller: Caller, name: web::Path<String>, wanted: Body<WantedResolution>) -> Reply {
    caller.sees_all("touches in doubt are")?;
    if wanted.0.why.trim().is_empty() {
        return Err(Problem::unacceptable("expected a reason in `why`: it is kept with every touch"));
    }
    let (finding, selection) = wanted.0.read().map_err(Problem::unacceptable)?;
    let (by, why) = (caller.name.as_str(), wanted.0.why.as_str());
    ok(&match &house.daemon {
        Some(daemon) => house.resolve_by_engine(daemon, &name, &selection, finding, by, why).await?,
        None => house.resolve(&name, &selection, finding, by, why).await?,
    })
}
