//! The seal of a submission: one hash over everything that an approval answers for.
//!
//! A file alone says little: the same text over another list, or under another version of a preset, is another campaign. So an approval
//! signs file, list, audience, texts and law together, and is void as soon as any of them is not what it was.
use super::campaign::Campaign;
use super::law::Rule;
use serde::{Deserialize, Serialize};

/// The digits of a seal that an approver must name at least.
pub const DIGITS: usize = 12;

/// A list as it was frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ListPart {
    /// Its name.
    pub name: String,
    /// Its members.
    pub count: i64,
    /// BLAKE3 over the members' references.
    pub checksum: String,
}

/// The law as it was composed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyPart {
    /// The presets with their versions (`cn-bank@2026.1`), in the order of their rules.
    pub presets: Vec<String>,
    /// How many rules they make.
    pub rules: usize,
    /// BLAKE3 over preset, name, text and source of every rule.
    pub hash: String,
}

/// What a seal is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Parts {
    /// BLAKE3 of the campaign file.
    pub file: String,
    /// The list that the file names.
    pub list: ListPart,
    /// The audience: the list, or what `where` has kept of it.
    pub audience: ListPart,
    /// BLAKE3 over every text of every step, in the order of the file. (Texts stand in the file; no campaign file refers to another.)
    pub texts: String,
    /// The law.
    pub policy: PolicyPart,
}

/// A seal with its parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Seal {
    /// BLAKE3 over the parts, hex.
    pub seal: String,
    /// The parts.
    pub parts: Parts,
}

/// BLAKE3 over the JSON of a value whose keys stand in a fixed order.
fn hash(value: &impl Serialize) -> String {
    // Values of this file are text and numbers alone, which always serialise.
    blake3::hash(&serde_json::to_vec(value).unwrap_or_default()).to_hex().to_string()
}

impl Seal {
    /// Seals a campaign over its lists and its freshly composed law.
    pub fn of(campaign: &Campaign, list: ListPart, audience: ListPart, rules: &[Rule]) -> Self {
        let mut presets: Vec<String> = Vec::new();
        for rule in rules {
            if !presets.contains(&rule.preset) && rule.preset.contains('@') {
                presets.push(rule.preset.clone());
            }
        }
        let policy = PolicyPart { presets, rules: rules.len(), hash: hash(&rules) };
        Self::over(Parts { file: campaign.hash(), list, audience, texts: texts(campaign), policy })
    }

    fn over(parts: Parts) -> Self {
        // The number is that of this form: a seal of another form is another seal.
        Self { seal: hash(&(1, &parts)), parts }
    }

    /// The digits that are shown, and that an approver names.
    pub fn short(&self) -> &str {
        self.seal.get(..DIGITS).unwrap_or(&self.seal)
    }

    /// Whether these digits name this seal.
    pub fn named_by(&self, digits: &str) -> bool {
        digits.len() >= DIGITS && self.seal.starts_with(&digits.to_ascii_lowercase())
    }
}

impl Parts {
    /// What differs from `now`, in words; empty when nothing does.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.file != now.file {
            changes.push("the campaign file".to_owned());
        }
        for (what, then, now) in [("list", &self.list, &now.list), ("audience", &self.audience, &now.audience)] {
            if then != now {
                changes.push(format!("the {what} ({} with {} members then, {} with {} now)", then.name, then.count, now.name, now.count));
            }
        }
        if self.texts != now.texts {
            changes.push("the texts".to_owned());
        }
        if self.policy.presets != now.policy.presets {
            changes.push(format!("the presets ({} then, {} now)", self.policy.presets.join(", "), now.policy.presets.join(", ")));
        } else if self.policy != now.policy {
            changes.push(format!("the rules of {}", now.policy.presets.join(", ")));
        }
        changes
    }
}

fn texts(campaign: &Campaign) -> String {
    let mut all: Vec<[&str; 5]> = Vec::new();
    for step in &campaign.steps {
        for variant in &step.content {
            for (language, text) in &variant.texts {
                let subject = text.subject.as_ref().map_or("", |s| s.source());
                all.push([&step.name, &variant.name, language, subject, text.body.source()]);
            }
        }
    }
    hash(&all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A way to change a part.
    type Spoil = fn(&mut Parts);

    fn parts() -> Parts {
        let list = ListPart { name: "all".into(), count: 3, checksum: "aa".into() };
        let policy = PolicyPart { presets: vec!["cn-bank@1".into()], rules: 4, hash: "bb".into() };
        Parts { file: "cc".into(), audience: list.clone(), list, texts: "dd".into(), policy }
    }

    #[test]
    fn every_part_is_under_the_seal_and_named_when_it_differs() {
        let then = parts();
        let sealed = Seal::over(then.clone());
        assert_eq!(sealed, Seal::over(then.clone()), "the same parts make the same seal");
        let spoil: [(Spoil, &str); 7] = [
            (|p| p.file.push('x'), "the campaign file"),
            (|p| p.list.count = 4, "the list (all with 3 members then, all with 4 now)"),
            (|p| p.audience.checksum.push('x'), "the audience"),
            (|p| p.texts.push('x'), "the texts"),
            (|p| p.policy.presets = vec!["cn-bank@2".into()], "the presets (cn-bank@1 then, cn-bank@2 now)"),
            (|p| p.policy.hash.push('x'), "the rules of cn-bank@1"),
            (|p| p.policy.rules = 5, "the rules of cn-bank@1"),
        ];
        for (spoil, told) in spoil {
            let mut now = then.clone();
            spoil(&mut now);
            assert_ne!(Seal::over(now.clone()).seal, sealed.seal, "{told}");
            let changes = then.changes(&now);
            assert!(changes.len() == 1 && changes.iter().all(|c| c.contains(told)), "{changes:?}");
        }
        assert!(then.changes(&then).is_empty());
    }

    #[test]
    fn a_seal_is_named_by_twelve_digits_at_least() {
        let seal = Seal::over(parts());
        assert!(seal.named_by(&seal.seal) && seal.named_by(seal.short()) && seal.named_by(&seal.short().to_uppercase()));
        assert!(!seal.named_by(seal.short().get(..11).unwrap_or_default()) && !seal.named_by("000000000000") && !seal.named_by(""));
    }
}
