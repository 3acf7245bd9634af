//! The operations of campaigns, as the table has them.
use super::super::Operation;
use super::views::{ApprovedView, CampaignPage, CampaignView, EventPage, ListedPage, RestartView, StandingView, SubmittedView};
use super::{Approval, Stop, Why};
use crate::campaign_file::LONGEST_FILE;
use crate::desk::diff::{Diff, Version};
use crate::domain::access::Role;
use serde_json::{Value, json};

const READERS: &[Role] = &[Role::Author, Role::Approver, Role::Operator, Role::Finance, Role::Compliance];
const STOPPERS: &[Role] = &[Role::Operator, Role::Approver, Role::Compliance];
const YAML: &[&str] = &["application/yaml", "text/yaml", "application/x-yaml"];

const FILE: &str = "campaign: spring\ntitle: Spring\nopportunity: investment\nowner: wealth-centre\naudience: {list: prospects}\n\
schedule: {start: 2026-11-24T09:00, end: 2026-12-15T20:00, timezone: Asia/Shanghai}\npolicy: [cn-bank]\nlimits: {rate: 100/s}\njourney:\n  \
- step: text\n    channel: sms\n    content: {en: \"Good morning.\"}\n";

fn campaign(status: &str) -> Value {
    json!({
        "id": 7, "name": "spring", "version": 1, "revision": 0, "status": status, "wanted": "run", "emergency": false, "audience": 45211,
        "audience_list": 4, "list": 4, "checksum": "4c1d2e3f", "currency": "CNY", "cursor": 0, "stop_reason": null,
        "hash": "8f2a3c5d7e90b1a4", "submitted_at": "2026-11-23T08:00:00Z", "started_at": null, "finished_at": null
    })
}

fn listed() -> Value {
    let mut row = campaign("running");
    if let Some(fields) = row.as_object_mut() {
        fields.extend([("rehearsal".to_owned(), json!(false)), ("counts".to_owned(), json!({"pending": 45211})), ("attempts".to_owned(), json!(0))]);
    }
    row
}

fn seal() -> Value {
    let list = json!({"name": "prospects", "count": 45211, "checksum": "4c1d2e3f"});
    json!({
        "seal": "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "parts": {
            "file": "8f2a3c5d7e90b1a4", "list": list, "audience": list, "texts": "77aa88bb",
            "policy": {"presets": ["cn-bank@2026.1"], "rules": 12, "hash": "99cc00dd"}
        }
    })
}

fn submitted(status: &str) -> Value {
    json!({"campaign": campaign(status), "continued": false, "seal": seal(), "filter": null, "revision": null, "changes": []})
}

fn standing() -> Value {
    json!({
        "campaign": "spring", "version": 1, "revision": 0, "rehearsal": false, "status": "running", "audience": 2,
        "counts": {"pending": 1, "scheduled": 0, "started": 0, "reached": 1, "missed": 0, "refused": 0, "uncertain": 0, "suppressed": 0,
                   "held_out": 0, "expired": 0, "cancelled": 0},
        "suppressed": {}, "called_off": {}, "attempts": {"total": 1, "by_channel": {"sms": 1}, "by_route": {"sms-main": 1},
        "by_disposition": {"delivered": 1}}, "reached_by_attempts": {"1": 1}, "parts": 1, "connected_seconds": 0,
        "cost": {"amount": "0.05", "currency": "CNY"}, "conversions": [], "lift": [], "started_at": "2026-11-24T01:00:00Z", "finished_at": null,
        "elapsed_s": 60.0, "wanted": "run", "authors": ["ann"],
        "approvals": [{"revision": 0, "seal": "0a1b2c3d4e5f", "by": "bob", "at": "2026-11-23T09:00:00Z", "alone": false, "void": null}],
        "waiting": null, "seal": null, "emergency": null
    })
}

/// A change of a campaign that asks for a reason and gives the campaign.
fn verb(path: &'static str, id: &'static str, summary: &'static str, status: &str) -> Operation {
    named(Operation::post(path, id).says("campaigns", summary)).takes::<Why>(json!({"why": "as agreed this morning"})).gives::<CampaignView>(
        200,
        "It is taken; what it leads to is in the status and the events.",
        campaign(status),
    )
}

fn named(operation: Operation) -> Operation {
    operation.path_text("name", "The campaign's name.", "spring")
}

fn version(operation: Operation, name: &'static str, about: &'static str, example: &str) -> Operation {
    operation.query(name, about, json!({"type": "string", "minLength": 1, "maxLength": 40}), example.into())
}

/// What campaigns answer.
pub fn operations() -> Vec<Operation> {
    let mut all = writing();
    all.extend(operating());
    all.extend(reading());
    all
}

fn writing() -> Vec<Operation> {
    vec![
        Operation::post("/v1/campaigns", "handInCampaign")
            .says("campaigns", "Hand in a campaign file, or keep it as a draft")
            .about(
                "The audience is frozen and everything is sealed for an approver: file, list, texts and policy together. The same file again gives \
                 the run that it has. While a run of that name is approved or under way, another file becomes a revision of it, if it changes \
                 pace, budget, window, policy and routes alone; 409 names everything else that it changes.",
            )
            .allow(&[Role::Author])
            .query(
                "draft",
                "Keep it as a draft instead: checked, nothing frozen, to be written anew by its authors.",
                json!({"type": "boolean", "default": false}),
                false.into(),
            )
            .takes_text(YAML, FILE, Some(LONGEST_FILE))
            .gives::<SubmittedView>(201, "Handed in, or kept.", submitted("submitted"))
            .gives::<SubmittedView>(200, "It was there already.", submitted("running"))
            .refuses(422, "The file has faults: every one with line and column, as `touchline validate` tells them.")
            .to(super::hand_in),
        named(Operation::put("/v1/campaigns/{name}/draft", "writeDraft").says("campaigns", "Write a draft anew"))
            .about("Only whoever has written at it may. Every text is kept with its author; none of them can approve it.")
            .allow(&[Role::Author])
            .takes_text(YAML, FILE, Some(LONGEST_FILE))
            .gives::<SubmittedView>(
                200,
                "Kept.",
                json!({"campaign": campaign("draft"), "continued": false, "seal": null, "filter": null, "revision": null, "changes": []}),
            )
            .refuses(422, "The file has faults, or is of another campaign than the path.")
            .to(super::write_draft),
        named(Operation::post("/v1/campaigns/{name}/submit", "submitDraft").says("campaigns", "Hand in a draft as it is kept"))
            .allow(&[Role::Author])
            .gives::<SubmittedView>(200, "Handed in.", submitted("submitted"))
            .refuses(422, "The draft has faults by now (a list or route is gone).")
            .to(super::submit_draft),
        named(Operation::post("/v1/campaigns/{name}/approve", "approveCampaign").says("campaigns", "Approve what was handed in"))
            .about(
                "Signs the seal: file, list, texts and policy as they are now. Nobody who has written at it can. An open revision of a run under \
                 way is approved when there is one.",
            )
            .allow(&[Role::Approver])
            .takes::<Approval>(json!({"seal": "0a1b2c3d4e5f", "why": "read with the branch manager"}))
            .gives::<ApprovedView>(200, "Approved.", json!({"campaign": campaign("approved"), "seal": seal(), "revision": null}))
            .refuses(409, "An author asks, the seal is another, or nothing waits for an approval.")
            .to(super::approve_it),
    ]
}

fn operating() -> Vec<Operation> {
    vec![
        verb("/v1/campaigns/{name}/start", "startCampaign", "Let an approved campaign start", "scheduled")
            .about("It begins at its schedule's start, or at once when that has passed. An approval that does not hold any more is void: 409 says why.")
            .allow(&[Role::Operator])
            .to(super::start),
        verb("/v1/campaigns/{name}/pause", "pauseCampaign", "Hold: nothing new starts, nothing is lost", "running").allow(&[Role::Operator]).to(super::pause),
        verb("/v1/campaigns/{name}/resume", "resumeCampaign", "Go on after a pause", "paused").allow(&[Role::Operator]).to(super::resume),
        named(Operation::post("/v1/campaigns/{name}/stop", "stopCampaign").says("campaigns", "End early, or hold in an emergency"))
            .about("One person is enough. With `emergency` it is held at once and goes on only when two different persons restart it; else what has not started is called off for good.")
            .allow(STOPPERS)
            .takes::<Stop>(json!({"why": "wrong text", "emergency": true}))
            .gives::<CampaignView>(200, "Taken; nothing new starts within half a second.", campaign("running"))
            .to(super::stop),
        Operation::post("/v1/emergency-stop", "stopEverything")
            .says("campaigns", "Hold every campaign in an emergency")
            .allow(STOPPERS)
            .takes::<Why>(json!({"why": "the carrier sends to wrong numbers"}))
            .gives::<CampaignPage>(200, "Those that are held now.", json!({"items": [campaign("running")], "next": null}))
            .to(super::stop_all),
        named(Operation::post("/v1/campaigns/{name}/restart", "restartCampaign").says("campaigns", "Go on after an emergency stop"))
            .about("Two different persons must say so; whoever stopped it may be one of them. The same person again changes nothing.")
            .allow(STOPPERS)
            .takes::<Why>(json!({"why": "the text is mended"}))
            .gives::<RestartView>(200, "Noted, or lifted.", json!({"campaign": campaign("paused"), "restart": "first", "said_so": ["ann"], "held_by": null}))
            .to(super::restart),
        verb("/v1/campaigns/{name}/archive", "archiveCampaign", "Put a closed campaign, or an own draft, away", "archived")
            .allow(&[Role::Operator, Role::Author])
            .to(super::archive),
    ]
}

fn reading() -> Vec<Operation> {
    vec![
        Operation::get("/v1/campaigns", "listCampaigns")
            .says("campaigns", "Campaigns, by number")
            .allow(READERS)
            .query("archived", "Also those put away.", json!({"type": "boolean", "default": false}), false.into())
            .paged()
            .gives::<ListedPage>(200, "A page.", json!({"items": [listed()], "next": null}))
            .to(super::list),
        named(Operation::get("/v1/campaigns/{name}", "readCampaign").says("campaigns", "The report of a campaign, and where its approval stands"))
            .allow(READERS)
            .gives::<StandingView>(200, "The report.", standing())
            .to(super::standing),
        named(Operation::get("/v1/campaigns/{name}/events", "readCampaignEvents").says("campaigns", "What happened to a campaign, oldest first"))
            .allow(READERS)
            .paged()
            .gives::<EventPage>(
                200,
                "A page.",
                json!({"items": [{"id": 1, "at": "2026-11-23T08:00:00Z", "status": "submitted", "by": "ann", "why": "submitted"}], "next": null}),
            )
            .to(super::events),
        named(Operation::get("/v1/campaigns/{name}/versions", "listCampaignVersions").says("campaigns", "Every version on record, oldest first"))
            .allow(READERS)
            .gives::<Vec<Version>>(
                200,
                "The versions.",
                json!([{"version": "1", "status": "running", "hash": "8f2a3c5d7e90b1a4", "by": "ann", "at": "2026-11-23T08:00:00Z"}]),
            )
            .to(super::versions),
        version(
            named(Operation::get("/v1/campaigns/{name}/file", "readCampaignFile").says("campaigns", "The file of a version, as it was handed in")),
            "version",
            "`2`, `2.1` or `draft`; left out: the one in force.",
            "1",
        )
        .allow(READERS)
        .gives_text(200, "The file.", "application/yaml", FILE)
        .to(super::file),
        version(
            version(
                named(Operation::get("/v1/campaigns/{name}/diff", "compareCampaignVersions").says("campaigns", "What changes between two versions")),
                "from",
                "`2`, `2.1` or `draft`; left out: the one in force.",
                "1",
            ),
            "to",
            "As `from`; left out: what waits for its approval, or else the version after `from`.",
            "1.1",
        )
        .allow(READERS)
        .gives::<Diff>(
            200,
            "By meaning and line by line.",
            json!({"from": "1", "to": "1.1", "revisable": true,
                   "changes": [{"aspect": "pace", "key": "limits.rate", "from": "100/s", "to": "50/s", "revisable": true}],
                   "lines": [{"op": "removed", "line": "limits: {rate: 100/s}"}, {"op": "added", "line": "limits: {rate: 50/s}"}]}),
        )
        .refuses(409, "There is no such version, or only one.")
        .to(super::compare),
    ]
}
