//! Tokens: what is kept of them, and what may be given. The secret itself is kept nowhere.
use super::access::{Actor, Role, Roles};
use super::eyes;
use super::time::{DAY, Timestamp};
use serde::{Deserialize, Serialize};

/// A token lives so long (days) unless told otherwise.
pub const USUAL_DAYS: i64 = 90;
/// And at most so long (days): whoever needs longer renews it, and is seen to.
pub const MOST_DAYS: i64 = 365;
/// The last use is kept to this grain (milliseconds), so that a busy token costs a write a minute and not one a request.
pub const USE_GRAIN_MS: i64 = 60_000;

/// Whom a token speaks for, and how far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The actor's name.
    pub name: String,
    /// Their roles.
    pub roles: Roles,
    /// Only customers of this branch.
    pub branch: Option<String>,
    /// Only customers of this relationship manager.
    pub rm: Option<String>,
    /// Only these operations, or sections of the API (their tags); empty: whatever the roles allow.
    pub scopes: Vec<String>,
    /// Until when (this instant excluded).
    #[serde(with = "super::time::iso")]
    pub expires_at: Timestamp,
}

/// A token on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its number; part of its text.
    pub id: i64,
    /// Whom it speaks for.
    pub grant: Grant,
    /// Who made it.
    pub made_by: String,
    /// When.
    #[serde(with = "super::time::iso")]
    pub made_at: Timestamp,
    /// Who revoked it.
    pub revoked_by: Option<String>,
    /// When.
    #[serde(with = "super::time::iso_option")]
    pub revoked_at: Option<Timestamp>,
    /// The last use, to the minute.
    #[serde(with = "super::time::iso_option")]
    pub used_at: Option<Timestamp>,
}

impl Token {
    /// Whether it lets anybody in.
    pub fn is_good(&self, at: Timestamp) -> bool {
        self.revoked_at.is_none() && at < self.grant.expires_at
    }
    /// Whoever shows it.
    pub fn actor(&self) -> Actor {
        let Grant { name, roles, branch, rm, .. } = self.grant.clone();
        Actor { name, roles, branch, rm, token: Some(self.id) }
    }
}

/// Whether this is a relationship manager who would see everybody's customers: bound to none, and without a role that sees them all anyway.
pub fn is_unbound_rm(roles: Roles, branch: Option<&str>, rm: Option<&str>) -> bool {
    roles.has(Role::Rm) && !roles.meets(Roles::of(&[Role::Operator, Role::Compliance])) && branch.is_none() && rm.is_none()
}

impl Grant {
    /// Whether an operation of this id and section is within the scopes.
    pub fn covers(&self, operation: &str, tag: &str) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|s| s == operation || s == tag)
    }

    /// What is wrong with this grant when `by` gives it at `at`; empty: nothing. An admin gives any role, but only to others: whoever
    /// could add a role to their own name could approve what they wrote. (Somebody at the machine itself has every role already.)
    pub fn faults(&self, by: &Actor, at: Timestamp) -> Vec<String> {
        let mut faults = Vec::new();
        if self.name.trim() != self.name || self.name.is_empty() || self.name.chars().count() > 100 || self.name.chars().any(char::is_control) {
            faults.push("name: expected 1 to 100 characters without line ends or outer blanks".to_owned());
        }
        if let Err(fault) = eyes::check(&self.name) {
            faults.push(format!("name: {fault}"));
        }
        if self.roles.is_empty() {
            faults.push(format!("roles: expected one or more of {}", Role::ALL.iter().map(|r| r.name()).collect::<Vec<_>>().join(", ")));
        }
        if eyes::same(&self.name, &by.name) && by.roles != Roles::of(Role::ALL) {
            faults.push("name: nobody gives a token to themselves; another admin does, or whoever works at the machine".to_owned());
        }
        if is_unbound_rm(self.roles, self.branch.as_deref(), self.rm.as_deref()) {
            faults.push("rm or branch: a relationship manager sees their own customers or those of a branch; expected one of the two".to_owned());
        }
        let span = self.expires_at.since(at);
        if span <= 0 || span > MOST_DAYS * DAY {
            faults.push(format!("expires: expected a time within the next {MOST_DAYS} days, found {}", self.expires_at));
        }
        for (what, text) in [("branch", &self.branch), ("rm", &self.rm)] {
            if text.as_ref().is_some_and(|t| t.is_empty() || t.chars().count() > 100 || t.chars().any(char::is_control)) {
                faults.push(format!("{what}: expected 1 to 100 characters without line ends"));
            }
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_478_400_000);

    fn grant(name: &str, roles: &[Role]) -> Grant {
        Grant { name: name.into(), roles: Roles::of(roles), branch: None, rm: None, scopes: Vec::new(), expires_at: NOW.plus(90 * DAY) }
    }

    #[test]
    fn nobody_gives_to_themselves_and_an_rm_is_bound() {
        let admin = Actor { token: Some(1), roles: Roles::of(&[Role::Admin]), ..Actor::local("alma") };
        assert_eq!(grant("bert", &[Role::Author]).faults(&admin, NOW), Vec::<String>::new());
        assert!(grant("Alma", &[Role::Approver]).faults(&admin, NOW)[0].contains("themselves"));
        assert!(grant("alma", &[Role::Approver]).faults(&Actor::local("alma"), NOW).is_empty(), "whoever is at the machine begins");
        assert!(grant("rita", &[Role::Rm]).faults(&admin, NOW)[0].contains("branch"));
        assert!(grant("rita", &[Role::Rm, Role::Author]).faults(&admin, NOW)[0].contains("branch"), "another role does not unbind");
        for own in ["al ma", "ＡＬＭＡ", "\u{430}lma"] {
            assert!(grant(own, &[Role::Approver]).faults(&admin, NOW).iter().any(|f| f.contains("themselves")), "{own:?}");
        }
        assert!(!grant("engine", &[Role::Author]).faults(&admin, NOW).is_empty(), "nobody acts as the engine");
        assert!(grant("x", &[]).faults(&admin, NOW)[0].contains("roles"));
        assert!(!grant("line\nend", &[Role::Author]).faults(&admin, NOW).is_empty());
        for days in [0, 366] {
            let long = Grant { expires_at: NOW.plus(days * DAY), ..grant("bert", &[Role::Author]) };
            assert!(long.faults(&admin, NOW)[0].contains("365"));
        }
    }

    #[test]
    fn scopes_name_operations_or_sections() {
        let mut g = grant("x", &[Role::System]);
        assert!(g.covers("postEvent", "events"));
        g.scopes = vec!["events".into(), "takeCallback".into()];
        assert!(g.covers("postEvent", "events") && g.covers("takeCallback", "worklist") && !g.covers("claimTask", "worklist"));
    }
}
