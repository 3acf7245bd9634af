//! Who may do what: roles, and whose customers a caller may see.
use super::outcome::coded;
use serde::{Deserialize, Serialize};

coded!(
    /// What somebody is to the bank's remote marketing. A caller may have several roles.
    Role {
        /// Writes campaigns and hands them in.
        Author = 0 "author",
        /// Approves what others have written.
        Approver = 1 "approver",
        /// Runs campaigns: starts, pauses, stops, imports lists, settles doubt.
        Operator = 2 "operator",
        /// A relationship manager: works the worklist of own customers, reports callbacks.
        Rm = 3 "rm",
        /// Takes exports and attributions.
        Finance = 4 "finance",
        /// Asks why a customer was or was not contacted, reads the audit log, erases.
        Compliance = 5 "compliance",
        /// Tokens, keys, webhooks, the roster of RMs.
        Admin = 6 "admin",
        /// Another system of the bank, or a provider's gateway: posts events, facts, consents and contacts.
        System = 7 "system",
    }
);

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Roles(u16);

impl Roles {
    /// These roles.
    pub fn of(roles: &[Role]) -> Self {
        roles.iter().fold(Self::default(), |set, role| set.with(*role))
    }
    /// With one more.
    #[must_use]
    pub fn with(self, role: Role) -> Self {
        Self(self.0 | 1 << role.code())
    }
    /// Whether it is among them.
    pub fn has(self, role: Role) -> bool {
        self.0 >> role.code() & 1 == 1
    }
    /// Whether any is in both.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Those there are, in the order of their codes.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.iter().copied().filter(move |role| self.has(*role))
    }
}

impl Serialize for Roles {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Roles {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(&Vec::<Role>::deserialize(deserializer)?))
    }
}

/// Whoever asks for something, as the gate has found them to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The person or system: unique in the bank; what approvals, histories and the audit log name.
    pub name: String,
    /// What they are.
    pub roles: Roles,
    /// Only customers of this branch; `None`: of all.
    pub branch: Option<String>,
    /// Only customers of this relationship manager; set for every RM who is not a branch's lead.
    pub rm: Option<String>,
    /// The number of the token that was shown; `None`: an identity provider's, or somebody at the machine itself.
    pub token: Option<i64>,
}

impl Actor {
    /// Somebody who works at the machine itself, with the store's file in hand: every role.
    pub fn local(name: impl Into<String>) -> Self {
        Self { name: name.into(), roles: Roles::of(Role::ALL), branch: None, rm: None, token: None }
    }
    /// Whether a customer of this branch and relationship manager is one that the actor may see. What the actor is bound to must be
    /// there and equal: a customer without a branch is seen by nobody who is bound to one.
    pub fn sees(&self, branch: Option<&str>, rm: Option<&str>) -> bool {
        self.branch.as_deref().is_none_or(|own| branch == Some(own)) && self.rm.as_deref().is_none_or(|own| rm == Some(own))
    }
    /// Whether the actor may see every customer.
    pub fn sees_all(&self) -> bool {
        self.branch.is_none() && self.rm.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_rm_sees_own_customers_and_a_branch_its_own() {
        let rm = Actor { rm: Some("rm-1".into()), branch: Some("west".into()), ..Actor::local("x") };
        assert!(rm.sees(Some("west"), Some("rm-1")));
        assert!(!rm.sees(Some("west"), Some("rm-2")) && !rm.sees(Some("east"), Some("rm-1")) && !rm.sees(None, None));
        let lead = Actor { branch: Some("west".into()), ..Actor::local("x") };
        assert!(lead.sees(Some("west"), None) && !lead.sees(Some("east"), Some("rm-1")) && !lead.sees(None, Some("rm-1")));
        assert!(Actor::local("x").sees(None, None));
    }

    #[test]
    fn roles_go_through_json_by_name() {
        let roles = Roles::of(&[Role::Rm, Role::Admin]);
        let text = serde_json::to_string(&roles).unwrap_or_default();
        assert_eq!(text, r#"["rm","admin"]"#);
        assert_eq!(serde_json::from_str::<Roles>(&text).ok(), Some(roles));
        assert!(roles.meets(Roles::of(&[Role::Admin])) && !roles.meets(Roles::of(&[Role::Author])) && !roles.is_empty());
    }
}
