//! `touchline token new|list|revoke`
use super::audit::here;
use super::{Answer, Context, ui};
use crate::app::{Access, Failure};
use crate::desk::tokens;
use crate::domain::access::{Role, Roles};
use crate::domain::token::{Grant, Token};
use std::time::Duration;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Make a token; its text is printed once and kept nowhere.
    New {
        /// The person or system that it speaks for.
        #[arg(long)]
        name: String,
        /// author, approver, operator, rm, finance, compliance, admin or system; several times for several.
        #[arg(long, required = true)]
        role: Vec<String>,
        /// Only customers of this branch.
        #[arg(long)]
        branch: Option<String>,
        /// Only customers of this relationship manager.
        #[arg(long)]
        rm: Option<String>,
        /// Only this operation (its id) or section (its tag) of the API, as /docs names them; several times for several.
        #[arg(long)]
        scope: Vec<String>,
        /// How long it lets in: 30d, 12h; 365d at most.
        #[arg(long, default_value = "90d", value_parser = humantime::parse_duration)]
        expires: Duration,
    },
    /// All tokens, without their secrets.
    List,
    /// A token lets nobody in any more.
    Revoke {
        /// Its number.
        id: i64,
    },
}

/// Does one of the verbs.
pub async fn run(args: Args, context: &Context) -> Answer {
    // The first token makes the store, so that a daemon can be set up before it runs.
    let app = context.open(if matches!(args.verb, Verb::New { .. }) { Access::Write } else { Access::Change }).await?;
    let (store, now, me) = (app.store.as_ref(), app.now(), here());
    match args.verb {
        Verb::New { name, role, branch, rm, scope, expires } => {
            let mut roles = Roles::default();
            for word in &role {
                let known = || Role::ALL.iter().map(|r| r.name()).collect::<Vec<_>>().join(", ");
                roles = roles.with(Role::from_name(word).ok_or_else(|| Failure::use_(format!("--role: expected {}; found {word:?}", known())))?);
            }
            let operations = crate::api::operations();
            if let Some(unknown) = scope.iter().find(|s| !operations.iter().any(|o| o.id == *s || o.tag == *s)) {
                return Err(Failure::use_(format!("--scope: {unknown:?} is neither an operation's id nor a section of the API; see /docs")));
            }
            let expires_at = now.plus(i64::try_from(expires.as_millis()).unwrap_or(i64::MAX));
            let grant = Grant { name, roles, branch, rm, scopes: scope, expires_at };
            let made = tokens::make(store, &me, grant, now).await?;
            let answer = serde_json::json!({ "token": made.token, "secret": made.text });
            context.answer(&answer, |_| {
                let t = &made.token;
                format!(
                    "{}\nToken {} of {} until {}. It is shown this once; keep it as a password.",
                    made.text, t.id, t.grant.name, t.grant.expires_at
                )
            })?;
        }
        Verb::List => {
            let (mut all, mut after) = (Vec::new(), 0);
            loop {
                let page = tokens::list(store, after, 1_000).await?;
                let Some(last) = page.last() else { break };
                after = last.id;
                all.extend(page);
            }
            context.answer(&all, |all| {
                let row = |t: &Token| {
                    let state = if t.revoked_at.is_some() {
                        "revoked"
                    } else if t.is_good(now) {
                        "good"
                    } else {
                        "expired"
                    };
                    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
                    let roles = t.grant.roles.iter().map(|r| r.name()).collect::<Vec<_>>().join(" ");
                    let bound = or_dash(t.grant.rm.clone().or_else(|| t.grant.branch.clone()));
                    let used = or_dash(t.used_at.map(|at| at.to_string()));
                    vec![t.id.to_string(), t.grant.name.clone(), roles, bound, state.to_owned(), t.grant.expires_at.to_string(), used]
                };
                ui::table(&["token", "name", "roles", "bound to", "state", "expires", "used"], &[], all.iter().map(row).collect())
            })?;
        }
        Verb::Revoke { id } => {
            let token = tokens::revoke(store, &me, id, now).await?;
            context.answer(&token, |t| format!("token {} of {} lets nobody in any more", t.id, t.grant.name))?;
        }
    }
    Ok(true)
}
