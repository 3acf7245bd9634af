//! Tokens: made, listed and revoked by admins; and who the caller is.
use super::{Body, Caller, House, Operation, Paging, Problem, Query, Reply, created, ok};
use crate::desk::tokens;
use crate::domain::access::{Actor, Role, Roles};
use crate::domain::time::DAY;
use crate::domain::token::{Grant, Token, USUAL_DAYS};
use actix_web::web::Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A token to be made.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// The person or system it speaks for.
    #[schemars(length(min = 1, max = 100))]
    name: String,
    /// What they are.
    #[schemars(length(min = 1))]
    roles: Vec<Role>,
    /// Only customers of this branch.
    #[serde(default)]
    branch: Option<String>,
    /// Only customers of this relationship manager.
    #[serde(default)]
    rm: Option<String>,
    /// Only these operations (ids) or sections (tags) of the API.
    #[serde(default)]
    scopes: Vec<String>,
    /// Days until it expires.
    #[serde(default = "usual_days")]
    #[schemars(range(min = 1, max = 365))]
    days: i64,
}

fn usual_days() -> i64 {
    USUAL_DAYS
}

/// A token, without its secret.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TokenView {
    /// Its number.
    id: i64,
    /// Whom it speaks for.
    name: String,
    /// Their roles.
    roles: Vec<Role>,
    /// Only customers of this branch.
    branch: Option<String>,
    /// Only customers of this relationship manager.
    rm: Option<String>,
    /// Only these operations or sections; empty: whatever the roles allow.
    scopes: Vec<String>,
    /// `good`, `expired` or `revoked`.
    state: String,
    /// Who made it.
    made_by: String,
    /// When.
    made_at: String,
    /// Until when it lets in.
    expires_at: String,
    /// Who revoked it.
    revoked_by: Option<String>,
    /// When.
    revoked_at: Option<String>,
    /// The last use, to the minute.
    used_at: Option<String>,
}

impl TokenView {
    /// Of a token, at an instant.
    fn of(token: Token, at: crate::domain::time::Timestamp) -> Self {
        let state = if token.revoked_at.is_some() {
            "revoked"
        } else if token.is_good(at) {
            "good"
        } else {
            "expired"
        };
        Self {
            id: token.id,
            name: token.grant.name,
            roles: token.grant.roles.iter().collect(),
            branch: token.grant.branch,
            rm: token.grant.rm,
            scopes: token.grant.scopes,
            state: state.to_owned(),
            made_by: token.made_by,
            made_at: token.made_at.to_string(),
            expires_at: token.grant.expires_at.to_string(),
            revoked_by: token.revoked_by,
            revoked_at: token.revoked_at.map(|t| t.to_string()),
            used_at: token.used_at.map(|t| t.to_string()),
        }
    }
}

/// A token just made.
#[derive(Clone, Serialize, JsonSchema)]
pub struct MadeToken {
    /// What it is.
    token: TokenView,
    /// Its text, shown this once: it is kept nowhere.
    secret: String,
}

/// Who the caller is.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Me {
    /// Name.
    name: String,
    /// Roles.
    roles: Vec<Role>,
    /// Only customers of this branch are seen.
    branch: Option<String>,
    /// Only customers of this relationship manager are seen.
    rm: Option<String>,
    /// The number of the token shown; none for an identity provider's.
    token: Option<i64>,
}

/// What this file answers.
pub fn operations() -> Vec<Operation> {
    let token = json!({"id": 7, "name": "gateway-north", "roles": ["system"], "branch": null, "rm": null, "scopes": ["events"], "state": "good",
        "made_by": "alma", "made_at": "2026-11-24T09:00:00Z", "expires_at": "2027-02-22T09:00:00Z", "revoked_by": null, "revoked_at": null, "used_at": null});
    vec![
        Operation::get("/v1/me", "readMe")
            .says("access", "Who the caller is, and how far they see")
            .allow(Role::ALL)
            .gives::<Me>(200, "The caller.", json!({"name": "rita", "roles": ["rm"], "branch": "west", "rm": "rm-7", "token": 12}))
            .to(me),
        Operation::post("/v1/tokens", "makeToken")
            .says("access", "Make a token")
            .about(
                "An admin gives any role, but never to their own name, and only if they are not bound to a branch themselves. The secret is in this \
                 answer and nowhere else; the same Idempotency-Key again does not give it a second time.",
            )
            .allow(&[Role::Admin])
            .takes::<NewToken>(json!({"name": "gateway-north", "roles": ["system"], "scopes": ["events"], "days": 90}))
            .gives::<MadeToken>(201, "Made.", json!({"token": token, "secret": "tl_7_..."}))
            .keeps_no_answer()
            .to(make),
        Operation::get("/v1/tokens", "listTokens")
            .says("access", "All tokens, also expired and revoked ones")
            .allow(&[Role::Admin, Role::Compliance])
            .paged()
            .gives::<Vec<TokenView>>(200, "Tokens by number.", json!([token]))
            .to(list),
        Operation::delete("/v1/tokens/{id}", "revokeToken")
            .says("access", "Revoke a token")
            .about("It lets nobody in any more: at once here, within five seconds at other processes on the same store.")
            .allow(&[Role::Admin])
            .path_number("id", "The token's number.", 7)
            .gives::<TokenView>(200, "Revoked; who did so first stays on record.", token)
            .to(revoke),
    ]
}

async fn me(caller: Caller) -> Reply {
    let Actor { name, roles, branch, rm, token } = caller.0;
    ok(&Me { name, roles: roles.iter().collect(), branch, rm, token })
}

async fn make(house: House, caller: Caller, body: Body<NewToken>) -> Reply {
    let NewToken { name, roles, branch, rm, scopes, days } = body.0;
    let now = house.now();
    let known = |scope: &String| super::operations().iter().any(|o| o.id == scope || o.tag == scope);
    let grant = Grant { name, roles: Roles::of(&roles), branch, rm, scopes, expires_at: now.plus(days.saturating_mul(DAY)) };
    let mut faults = grant.faults(&caller, now);
    faults.extend(grant.scopes.iter().filter(|s| !known(s)).map(|s| format!("scopes: {s:?} is neither an operation's id nor a section of the API")));
    if !caller.0.sees_all() {
        return Err(Problem::forbidden("whoever is bound to a branch or a relationship manager gives no tokens"));
    }
    if !faults.is_empty() {
        return Err(Problem::unacceptable(faults.join("; ")));
    }
    let made = tokens::make(house.store.as_ref(), &caller, grant, now).await?;
    let target = made.token.id.to_string();
    created(&MadeToken { token: TokenView::of(made.token, now), secret: made.text }).map(|answer| super::about(answer, "token", &target))
}

async fn list(house: House, caller: Caller, page: Query<Paging>) -> Reply {
    let (after, limit) = page.0.checked()?;
    if !caller.0.sees_all() {
        return Err(Problem::forbidden("whoever is bound to a branch or a relationship manager sees no tokens"));
    }
    let now = house.now();
    let all = tokens::list(house.store.as_ref(), after, limit).await?;
    ok(&all.into_iter().map(|token| TokenView::of(token, now)).collect::<Vec<_>>())
}

async fn revoke(house: House, caller: Caller, id: Path<i64>) -> Reply {
    if !caller.0.sees_all() {
        return Err(Problem::forbidden("whoever is bound to a branch or a relationship manager revokes no tokens"));
    }
    let now = house.now();
    let token = tokens::revoke(house.store.as_ref(), &caller, *id, now).await?;
    house.gate.forget(token.id);
    ok(&TokenView::of(token, now))
}
