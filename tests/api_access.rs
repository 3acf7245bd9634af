//! Every operation of the API, for every role, with own and with foreign customers, out of the table itself: an operation that comes
//! without a rule, or without saying here how it is called, fails.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/house.rs"]
mod house;

use house::{Served, serve};
use touchline::api::{Access, Operation, operations};
use touchline::domain::access::Role;
use touchline::domain::worklist::{NewTask, TaskKind};

/// How an operation is called here: its path with true values, and whether it is about the customer C1, who is of branch west.
struct Recipe {
    path: &'static str,
    body: Option<&'static str>,
    is_about_c1: bool,
}

const fn any(path: &'static str) -> Option<Recipe> {
    Some(Recipe { path, body: None, is_about_c1: false })
}

const fn of_c1(path: &'static str) -> Option<Recipe> {
    Some(Recipe { path, body: None, is_about_c1: true })
}

/// Names and numbers are such as nothing has, but for the customer C1 and the task 1 about C1: what is allowed then answers 404, 409 or
/// 422, never 401 or 403.
fn recipe(id: &str) -> Option<Recipe> {
    match id {
        "readMe" => any("/v1/me"),
        "makeToken" | "listTokens" => any("/v1/tokens"),
        "revokeToken" => any("/v1/tokens/999999"),
        "readAudit" => any("/v1/audit?limit=1"),
        "verifyAudit" => any("/v1/audit/verify"),
        "validateCampaign" => any("/v1/validate"),
        "planCampaign" => any("/v1/plan"),
        "explainCustomer" => of_c1("/v1/explain?customer=C1"),
        "listUncertain" => any("/v1/campaigns/nothing/uncertain"),
        "resolveUncertain" => any("/v1/campaigns/nothing/resolve"),
        "postCallback" => Some(Recipe {
            path: "/v1/callbacks",
            body: Some(r#"{"wanted": {"id": "w-1", "customer": "C1", "local_time": "2026-11-25T15:30", "topic": "mortgage"}}"#),
            is_about_c1: true,
        }),
        "listTasks" => any("/v1/worklist"),
        "readTask" => of_c1("/v1/worklist/1"),
        "claimTask" => of_c1("/v1/worklist/1/claim"),
        "releaseTask" => of_c1("/v1/worklist/1/release"),
        "reportTask" => of_c1("/v1/worklist/1/result"),
        "postTaskCallback" => of_c1("/v1/worklist/1/callback"),
        "postTaskReferral" => of_c1("/v1/worklist/1/referral"),
        "postTaskCheckpoint" => of_c1("/v1/worklist/1/checkpoint"),
        "holdCustomer" | "liftHold" => of_c1("/v1/customers/C1/hold"),
        "putCheckpoint" | "listCheckpoints" => of_c1("/v1/customers/C1/checkpoints"),
        "readTimeline" => of_c1("/v1/customers/C1/timeline"),
        "listRms" | "putRms" => any("/v1/rms"),
        "makeExport" | "listExports" => any("/v1/exports"),
        "readExport" => any("/v1/exports/999999"),
        "fetchExport" => any("/v1/exports/999999/manifest.json"),
        "verifyExport" => any("/v1/exports/999999/verify"),
        "correctExport" => any("/v1/exports/999999/correct"),
        "importList" => any("/v1/lists/nothing?mapping=nothing"),
        "importCustomers" => any("/v1/customers?mapping=nothing"),
        "importConsents" => any("/v1/consents?mapping=nothing"),
        "importSuppressions" => any("/v1/suppressions?mapping=nothing"),
        "importFacts" => any("/v1/facts?mapping=nothing"),
        "listIntakes" => any("/v1/intakes"),
        "readIntake" => any("/v1/intakes/999999"),
        "readRejects" => any("/v1/intakes/999999/rejects"),
        "keepMapping" | "readMapping" => any("/v1/mappings/nothing"),
        "listMappings" => any("/v1/mappings"),
        "handInCampaign" => any("/v1/campaigns?draft=true"),
        "listCampaigns" => any("/v1/campaigns"),
        "writeDraft" => any("/v1/campaigns/no-such/draft"),
        "submitDraft" => any("/v1/campaigns/no-such/submit"),
        "approveCampaign" => any("/v1/campaigns/no-such/approve"),
        "startCampaign" => any("/v1/campaigns/no-such/start"),
        "pauseCampaign" => any("/v1/campaigns/no-such/pause"),
        "resumeCampaign" => any("/v1/campaigns/no-such/resume"),
        "stopCampaign" => any("/v1/campaigns/no-such/stop"),
        "restartCampaign" => any("/v1/campaigns/no-such/restart"),
        "archiveCampaign" => any("/v1/campaigns/no-such/archive"),
        "stopEverything" => any("/v1/emergency-stop"),
        "readCampaign" => any("/v1/campaigns/nothing"),
        "readCampaignEvents" => any("/v1/campaigns/nothing/events"),
        "listCampaignVersions" => any("/v1/campaigns/nothing/versions"),
        "readCampaignFile" => any("/v1/campaigns/nothing/file"),
        "compareCampaignVersions" => any("/v1/campaigns/nothing/diff"),
        "listDeadLetters" => any("/v1/dead-letters"),
        "readDeadLetter" => any("/v1/dead-letters/999999"),
        "retryDeadLetter" => any("/v1/dead-letters/999999/retry"),
        "closeDeadLetter" => any("/v1/dead-letters/999999/close"),
        "tellEvents" => any("/v1/events"),
        "addWebhook" | "listWebhooks" => any("/v1/webhooks"),
        "removeWebhook" => any("/v1/webhooks/999999"),
        "enableWebhook" => any("/v1/webhooks/999999/enable"),
        "replayWebhook" => any("/v1/webhooks/999999/replay"),
        "readReport" => any("/v1/campaigns/nothing/report"),
        "compareWithFile" => any("/v1/campaigns/nothing/diff"),
        // Nobody's: C1 must stay for the others.
        "eraseCustomer" => any("/v1/customers/nobody/erase"),
        _ => None,
    }
}

/// A task about C1, open.
async fn task_about_c1(house: &Served) {
    let c1 = house.app.store.customer_ids(&["C1"]).await.unwrap()[0].unwrap();
    let at = house.app.now();
    let task = NewTask {
        key: "callback:test/1".into(),
        kind: TaskKind::Callback,
        customer: c1,
        touch: None,
        title: "call back".into(),
        script: None,
        language: None,
        skill: None,
        priority: 5,
        wanted_rm: None,
        branch: Some("west".into()),
        due_at: at,
        expires_at: None,
        at,
    };
    let made = house.app.store.make_tasks(&[task]).await.unwrap();
    assert_eq!(made[0].0.id.0, 1, "recipes name the task 1");
}

async fn call(house: &Served, operation: &Operation, recipe: &Recipe, token: Option<&str>) -> u16 {
    let method = reqwest::Method::from_bytes(operation.method.as_str().as_bytes()).unwrap();
    let mut request = house.http.request(method, format!("{}{}", house.url, recipe.path));
    if let Some(body) = &operation.body {
        let example = || body.example.as_str().map_or_else(|| body.example.to_string(), str::to_owned);
        let text = recipe.body.map_or_else(example, str::to_owned);
        request = request.header("content-type", body.content[0].0).body(text);
    }
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    house.call(request).await.0
}

#[tokio::test]
async fn every_operation_lets_in_whom_its_rule_names_and_nobody_else() {
    let house = serve(|c| c.serve.failed_logins_per_minute = 100_000).await;
    house.customers().await;
    task_about_c1(&house).await;
    let mut tokens = Vec::new();
    for role in Role::ALL {
        let own = house.token(&format!("own-{role}"), &[*role], |g| g.branch = Some("west".into())).await;
        let foreign = house.token(&format!("foreign-{role}"), &[*role], |g| g.branch = Some("east".into())).await;
        // Whoever is bound to a branch gives no tokens; an RM without one would see everybody and is not made.
        let whole = if *role == Role::Rm { own.clone() } else { house.token(&format!("whole-{role}"), &[*role], |_| ()).await };
        tokens.push((*role, whole, own, foreign));
    }
    let forged = format!("tl_1_{}", "A".repeat(43));
    let mut wrong = Vec::new();
    let mut calls = 0;
    for operation in operations() {
        let Access::Roles(roles) = operation.access else { continue };
        let Some(recipe) = recipe(operation.id) else {
            wrong.push(format!("{operation:?}: it is new: say in tests/api_access.rs (recipe) how it is called, and whether it is about a customer"));
            continue;
        };
        for (who, token) in [("nobody", None), ("a forged token", Some(forged.as_str())), ("rubbish", Some("x"))] {
            let status = call(&house, &operation, &recipe, token).await;
            if status != 401 {
                wrong.push(format!("{operation:?} for {who}: expected 401, found {status}"));
            }
        }
        for (role, whole, own, foreign) in &tokens {
            calls += 1;
            let status = call(&house, &operation, &recipe, Some(whole)).await;
            let is_in = roles.has(*role);
            if is_in && matches!(status, 401 | 403 | 405 | 429) || status >= 500 {
                wrong.push(format!("{operation:?} for {role}: it may, found {status}"));
            }
            if !is_in && status != 403 {
                wrong.push(format!("{operation:?} for {role}: expected 403, found {status}"));
            }
            if is_in && recipe.is_about_c1 {
                let (mine, theirs) = (call(&house, &operation, &recipe, Some(own)).await, call(&house, &operation, &recipe, Some(foreign)).await);
                if matches!(mine, 401 | 403 | 404) || theirs != 404 {
                    wrong.push(format!(
                        "{operation:?} for {role}: an own customer gives {mine}, a foreign one {theirs}; expected 404 for the foreign alone"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of the table's answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(calls >= 6 * Role::ALL.len(), "{calls} calls");
}

#[test]
fn every_operation_has_a_rule_and_a_place() {
    let mut ids = std::collections::BTreeSet::new();
    for o in operations() {
        assert!(ids.insert(o.id), "{o:?}: its id is taken");
        assert!(o.is_answered() && !o.tag.is_empty() && !o.summary.is_empty() && !o.replies.is_empty(), "{o:?} is not described");
        match o.access {
            Access::Roles(roles) => assert!(!roles.is_empty(), "{o:?}: nobody may; name its roles with allow()"),
            Access::Open => assert!(o.method == "GET", "{o:?}: what changes something is open to nobody"),
            Access::Signed => assert!(o.method == "POST", "{o:?}: a signature is over a body"),
        }
        assert!(o.method == "GET" || o.is_audited || o.access == Access::Open, "{o:?}: a change that nobody answers for");
        for name in o.path.split(['{', '}']).skip(1).step_by(2) {
            assert!(o.params.iter().any(|p| p.place == "path" && p.name == name), "{o:?}: {name} is not described");
        }
    }
}

/// Who needs no token sees nothing of anybody: these and no others, each looked at by a person.
#[test]
fn what_is_open_is_known() {
    let open: Vec<&str> = operations().iter().filter(|o| o.access == Access::Open).map(|o| o.path).filter(|p| !p.starts_with("/assets/")).collect();
    for path in &open {
        assert!(["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/workbench"].contains(path), "{path} is open to everybody");
    }
    assert!(open.len() >= 5, "{open:?}");
}
