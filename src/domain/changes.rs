//! What one version of a campaign changes against another, by meaning; and which of it a run may take up on its way.
use super::campaign::{Campaign, Step};
use super::expression::Expression;
use super::money::Money;
use super::outcome::coded;
use super::preset::Span;
use serde::{Deserialize, Serialize};

coded!(
    /// What a change is about.
    Aspect {
        /// How fast: rate, validity, caps, size of a wave.
        Pace = 1 "pace",
        /// Which law: the presets.
        Policy = 2 "policy",
        /// By which provider accounts.
        Routes = 3 "routes",
        /// How much may be spent.
        Budget = 4 "budget",
        /// From when to when, and in which waves.
        Schedule = 5 "schedule",
        /// What is said.
        Texts = 6 "texts",
        /// Which steps, in which order, under which conditions.
        Journey = 7 "journey",
        /// Whom.
        Audience = 8 "audience",
        /// What counts as success.
        Conversions = 9 "conversions",
        /// Everything else: title, owner, opportunity, purpose, priority, currency, finance.
        Terms = 10 "terms",
    }
);

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Change {
    /// What it is about.
    pub aspect: Aspect,
    /// The key in the campaign file, such as `limits.rate` or `journey.call.routes`.
    pub key: String,
    /// What it said; empty: nothing.
    pub from: String,
    /// What it says.
    pub to: String,
    /// Whether a run may take it up on its way: nobody is lost or contacted twice by it.
    pub revisable: bool,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let told = |text: &str| if text.is_empty() { "nothing".to_owned() } else { text.to_owned() };
        // Long texts are shown by the line diff.
        if self.from.chars().count() > 60 || self.to.chars().count() > 60 {
            return write!(f, "{}: {} changed", self.aspect, self.key);
        }
        write!(f, "{}: {}: {} -> {}", self.aspect, self.key, told(&self.from), told(&self.to))
    }
}

struct Compared(Vec<Change>);

impl Compared {
    fn see(&mut self, aspect: Aspect, revisable: bool, key: &str, from: String, to: String) {
        if from != to {
            self.0.push(Change { aspect, key: key.to_owned(), from, to, revisable });
        }
    }
}

fn text(value: Option<&impl std::fmt::Display>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn span(ms: Option<i64>) -> String {
    ms.map(|ms| Span(ms).to_string()).unwrap_or_default()
}

fn money(amount: Option<Money>) -> String {
    amount.map(|m| format!("{} {}", m.decimal(), m.currency)).unwrap_or_default()
}

fn source(expression: Option<&Expression>) -> String {
    expression.map(|e| e.source().to_owned()).unwrap_or_default()
}

/// Every difference, in the order of a campaign file.
pub fn compare(old: &Campaign, new: &Campaign) -> Vec<Change> {
    let mut seen = Compared(Vec::new());
    terms(&mut seen, old, new);
    let (a, b) = (&old.audience, &new.audience);
    seen.see(Aspect::Audience, false, "audience.list", a.list.clone(), b.list.clone());
    seen.see(Aspect::Audience, false, "audience.where", source(a.filter.as_ref()), source(b.filter.as_ref()));
    seen.see(Aspect::Audience, false, "audience.holdout", ppm(a.holdout_ppm), ppm(b.holdout_ppm));
    let (a, b) = (&old.schedule, &new.schedule);
    seen.see(Aspect::Schedule, false, "schedule.start", a.start.to_string(), b.start.to_string());
    seen.see(Aspect::Schedule, true, "schedule.end", a.end.to_string(), b.end.to_string());
    seen.see(Aspect::Schedule, false, "schedule.timezone", a.timezone.to_string(), b.timezone.to_string());
    seen.see(Aspect::Schedule, true, "schedule.cron", text(a.cron.as_ref()), text(b.cron.as_ref()));
    seen.see(Aspect::Schedule, true, "schedule.lateness", span(Some(a.lateness_ms)), span(Some(b.lateness_ms)));
    seen.see(Aspect::Pace, true, "schedule.wave", text(a.wave.as_ref()), text(b.wave.as_ref()));
    seen.see(Aspect::Policy, true, "policy", old.policy.join(", "), new.policy.join(", "));
    let (a, b) = (&old.limits, &new.limits);
    seen.see(Aspect::Pace, true, "limits.rate", text(a.rate.as_ref()), text(b.rate.as_ref()));
    seen.see(Aspect::Budget, true, "limits.budget", money(a.budget), money(b.budget));
    seen.see(Aspect::Pace, true, "limits.validity", span(a.validity_ms), span(b.validity_ms));
    seen.see(Aspect::Pace, true, "limits.caps", caps(old), caps(new));
    steps(&mut seen, old, new);
    let stops = |c: &Campaign| {
        let of = [("conversion", c.stop_on.conversion), ("complaint", c.stop_on.complaint), ("opt_out", c.stop_on.opt_out)];
        of.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    };
    seen.see(Aspect::Journey, false, "stop_on", stops(old), stops(new));
    seen.see(Aspect::Conversions, false, "conversions", conversions(old), conversions(new));
    seen.0
}

fn terms(seen: &mut Compared, old: &Campaign, new: &Campaign) {
    let finance = |c: &Campaign| {
        let of = |f: &super::campaign::Finance| format!("{}{}", f.format.name(), f.mail.as_ref().map_or_else(String::new, |m| format!(" to {m}")));
        c.finance.as_ref().map(of).unwrap_or_default()
    };
    for (key, from, to) in [
        ("campaign", old.name.clone(), new.name.clone()),
        ("title", old.title.clone(), new.title.clone()),
        ("opportunity", old.opportunity.to_string(), new.opportunity.to_string()),
        ("owner", old.owner.clone(), new.owner.clone()),
        ("purpose", old.purpose.to_string(), new.purpose.to_string()),
        ("priority", old.priority.to_string(), new.priority.to_string()),
        ("currency", old.currency.to_string(), new.currency.to_string()),
        ("finance", finance(old), finance(new)),
    ] {
        seen.see(Aspect::Terms, false, key, from, to);
    }
}

fn steps(seen: &mut Compared, old: &Campaign, new: &Campaign) {
    let names = |c: &Campaign| c.steps.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
    let before = seen.0.len();
    seen.see(Aspect::Journey, false, "journey", names(old), names(new));
    if seen.0.len() != before {
        // Steps are told apart by their places: with others in between, nothing more can be compared.
        return;
    }
    for (a, b) in old.steps.iter().zip(&new.steps) {
        let key = |of: &str| format!("journey.{}.{of}", a.name);
        seen.see(Aspect::Journey, false, &key("shape"), shape(old, a), shape(new, b));
        seen.see(Aspect::Routes, true, &key("routes"), a.routes.join(", "), b.routes.join(", "));
        seen.see(Aspect::Pace, true, &key("validity"), span(a.validity_ms), span(b.validity_ms));
        seen.see(Aspect::Texts, false, &key("content"), content(a), content(b));
    }
}

/// Everything of a step but its routes, validity and texts.
fn shape(campaign: &Campaign, step: &Step) -> String {
    let mut parts = vec![step.channel.to_string(), format!("attempts {}", step.attempts), format!("reached {:?}", step.reached)];
    if step.channel == super::channel::Channel::Call {
        parts.push(format!("mode {:?}", step.mode));
    }
    if let Some(skill) = &step.skill {
        parts.push(format!("skill {skill}"));
    }
    if let Some(after) = step.after.and_then(|no| campaign.step(no)) {
        parts.push(format!("after {}", after.name));
    }
    if let Some(when) = &step.when {
        parts.push(format!("when {}", when.source()));
    }
    if step.wait_ms != 0 {
        parts.push(format!("wait {}", Span(step.wait_ms)));
    }
    parts.extend(step.retry.iter().map(|(disposition, ms)| format!("retry {disposition} {}", Span(*ms))));
    parts.join("; ")
}

fn content(step: &Step) -> String {
    let mut lines = Vec::new();
    for variant in &step.content {
        for (language, text) in &variant.texts {
            let subject = text.subject.as_ref().map_or("", |s| s.source());
            lines.push(format!("{}*{} {language} {subject:?} {:?}", variant.name, variant.weight, text.body.source()));
        }
    }
    lines.join("\n")
}

fn caps(campaign: &Campaign) -> String {
    let one = |c: &super::caps::Cap| {
        let on = c.channel.map_or_else(String::new, |c| format!(" by {c}"));
        let of = c.purpose.map_or_else(String::new, |p| format!(" {p}"));
        format!("{}{of}{on} in {}", c.count, Span(c.per_ms))
    };
    campaign.limits.caps.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn conversions(campaign: &Campaign) -> String {
    let one = |c: &super::campaign::ConversionRule| {
        format!("{}: {} {} within {} to {:?}", c.name, c.fact, c.product.as_deref().unwrap_or("any product"), Span(c.window_ms), c.credit)
    };
    campaign.conversions.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Parts per million as per cent.
fn ppm(ppm: u32) -> String {
    rust_decimal::Decimal::new(i64::from(ppm), 4).normalize().to_string() + " %"
}
