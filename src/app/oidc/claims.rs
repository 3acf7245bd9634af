//! What a JWT claims: whether it is for us and in time, and who it says that its bearer is.
use crate::config::OidcConfig;
use crate::domain::access::{Actor, Role, Roles};
use crate::domain::eyes;
use crate::domain::time::Timestamp;
use crate::domain::token::is_unbound_rm;
use serde_json::{Map, Value};

/// Clocks may be so far apart (seconds).
const LEEWAY_S: f64 = 60.0;

/// Whether issuer, audience and times hold.
pub(super) fn hold(claims: &Map<String, Value>, issuer: &str, audience: &str, at: Timestamp) -> Result<(), &'static str> {
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err("it is of another issuer");
    }
    let is_ours = match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    };
    if !is_ours {
        return Err("it is for another audience");
    }
    // Seconds since the epoch, with fractions allowed (RFC 7519, section 2).
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of our millennia are exact in a double")]
    let now = at.0 as f64 / 1_000.0;
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_f64().map(Some).ok_or("one of its times is no number"),
    };
    let expires = time("exp")?.ok_or("it never expires")?;
    if now >= expires + LEEWAY_S {
        return Err("it has expired");
    }
    if time("nbf")?.is_some_and(|from| now < from - LEEWAY_S) {
        return Err("it is not valid yet");
    }
    if time("iat")?.is_some_and(|made| now < made - LEEWAY_S) {
        return Err("it was made in the future");
    }
    Ok(())
}

/// Who it is, in our words.
pub(super) fn actor(claims: &Map<String, Value>, config: &OidcConfig) -> Result<Actor, &'static str> {
    let text = |path: &str| at(claims, path).and_then(Value::as_str).map(str::trim).filter(|t| !t.is_empty() && t.len() <= 200).map(str::to_owned);
    let name = text(&config.name_claim).filter(|name| !name.chars().any(char::is_control)).ok_or("it does not say whose it is")?;
    eyes::check(&name).map_err(|_| "its bearer's name has characters that are not seen, or is the engine's")?;
    let groups: Vec<&str> = match at(claims, &config.roles_claim) {
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => one.split_whitespace().collect(),
        _ => Vec::new(),
    };
    let role = |group: &&str| if config.roles.is_empty() { Role::from_name(group) } else { config.roles.get(*group).copied() };
    let roles = groups.iter().filter_map(role).fold(Roles::default(), Roles::with);
    let (branch, rm) = (text(&config.branch_claim), text(&config.rm_claim));
    if is_unbound_rm(roles, branch.as_deref(), rm.as_deref()) {
        return Err("it is a relationship manager's and names neither the manager nor a branch");
    }
    Ok(Actor { name, roles, branch, rm, token: None })
}

/// A claim by its path: as it stands (names with dots are common in URLs), or through objects.
fn at<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(path) {
        return Some(found);
    }
    let (first, rest) = path.split_once('.')?;
    at(claims.get(first)?.as_object()?, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn times_are_checked_with_the_leeway() {
        let now = Timestamp(1_795_478_400_000);
        let s = now.0 / 1_000;
        let good = json!({"iss": "i", "aud": ["x", "touchline"], "exp": s + 10});
        let check = |change: Value| {
            let mut claims = map(good.clone());
            claims.extend(map(change));
            hold(&claims, "i", "touchline", now)
        };
        assert_eq!(check(json!({})), Ok(()));
        assert_eq!(check(json!({"exp": s - 59, "nbf": s + 60, "iat": s as f64 + 59.5})), Ok(()));
        for (bad, why) in [
            (json!({"exp": s - 60}), "it has expired"),
            (json!({"nbf": s + 61}), "it is not valid yet"),
            (json!({"iat": s + 61}), "it was made in the future"),
            (json!({"exp": null}), "one of its times is no number"),
            (json!({"exp": "9999999999"}), "one of its times is no number"),
            (json!({"iss": "j"}), "it is of another issuer"),
            (json!({"aud": "touchline2"}), "it is for another audience"),
            (json!({"aud": null}), "it is for another audience"),
        ] {
            assert_eq!(check(bad.clone()), Err(why), "{bad}");
        }
        assert_eq!(hold(&map(json!({"iss": "i", "aud": "touchline"})), "i", "touchline", now), Err("it never expires"));
    }

    #[test]
    fn groups_become_roles_by_the_mapping_alone() {
        let config = OidcConfig { roles_claim: "realm_access.roles".into(), ..OidcConfig::default() };
        let claims = map(json!({"preferred_username": "alma", "realm_access": {"roles": ["author", "offline_access"]}, "branch": "west"}));
        let who = actor(&claims, &config).unwrap();
        assert_eq!((who.name.as_str(), who.roles, who.branch.as_deref(), who.token), ("alma", Roles::of(&[Role::Author]), Some("west"), None));
        let mapped = OidcConfig { roles: [("bank-approvers".to_owned(), Role::Approver)].into(), ..OidcConfig::default() };
        let claims = map(json!({"preferred_username": "alma", "roles": "bank-approvers admin"}));
        assert_eq!(actor(&claims, &mapped).unwrap().roles, Roles::of(&[Role::Approver]), "a group called admin is no admin of ours");
        let unbound = map(json!({"preferred_username": "rita", "roles": ["rm"]}));
        assert!(actor(&unbound, &OidcConfig::default()).is_err(), "an RM who is bound to nothing would see everybody");
        assert!(actor(&map(json!({"roles": ["rm"]})), &OidcConfig::default()).is_err());
    }
}
