//! The decision on one customer at one moment: start now, wait, or leave alone, each with its reason and its rule.
use super::campaign::{Campaign, Step, Text};
use super::caps::blocked;
use super::channel::Channel;
use super::consent::{ConsentState, Contactability, Purpose};
use super::contact::{EmailAddress, Phone, PushToken};
use super::experiment;
use super::ids::{CampaignId, CustomerId, RouteId, RuleNo, StepNo, TouchKey};
use super::journey;
use super::law::{ConsentVerdict, LawBook, Whereabouts, WindowVerdict};
use super::outcome::Reason;
use super::sms_parts;
use super::time::Timestamp;
use super::touch::{State, Touch};
use chrono_tz::Tz;
use std::sync::Arc;

/// A member of a list, with what was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Our number.
    pub id: CustomerId,
    /// Packed consent and suppression as of the read.
    pub contactability: Contactability,
    /// Own zone.
    pub timezone: Option<Tz>,
    /// If asked and known.
    pub phone: Option<Phone>,
    /// If asked and known.
    pub email: Option<EmailAddress>,
    /// If asked and known.
    pub push: Option<PushToken>,
    /// If asked and known: the rest of the person.
    pub person: Option<Box<Person>>,
    /// If asked: a JSON object.
    pub attributes: Option<Arc<str>>,
}

/// The parts of a customer that only some campaigns need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The bank's number for the customer.
    pub reference: String,
    /// BCP 47 tag.
    pub language: Option<String>,
    /// Branch.
    pub branch: Option<String>,
    /// Relationship manager.
    pub rm: Option<String>,
}

/// A customer about to be decided on.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who.
    pub member: Member,
    /// The scheduled head that is due; `None`: first time in this campaign.
    pub head: Option<Touch>,
}

/// What the store knows of a candidate at the moment of the commit.
#[derive(Debug)]
pub struct ContactFacts<'a> {
    /// Packed consent and suppression, fresh.
    pub contactability: Contactability,
    /// Contacts within the horizon, all campaigns and channels.
    pub history: &'a [crate::domain::caps::PastContact],
    /// A conversion fact exists.
    pub converted: bool,
}

impl Member {
    /// Whether there is something to contact the customer by.
    pub fn has_address(&self, channel: Channel) -> bool {
        match channel {
            Channel::Call | Channel::Sms => self.phone.is_some(),
            Channel::Push => self.push.is_some(),
            Channel::Email => self.email.is_some(),
            Channel::Worklist => true,
        }
    }
    /// Where the customer may be.
    pub fn whereabouts(&self) -> Whereabouts {
        match (self.timezone, &self.phone) {
            (Some(zone), _) => Whereabouts::Zone(zone),
            (None, Some(phone)) => phone.calling_code().map_or(Whereabouts::Unknown, Whereabouts::CallingCode),
            (None, None) => Whereabouts::Unknown,
        }
    }
    fn language(&self) -> Option<&str> {
        self.person.as_ref().and_then(|p| p.language.as_deref())
    }
}

/// A message written out for one customer.
#[derive(Clone, PartialEq, Eq)]
pub struct Written {
    /// For e-mail and push.
    pub subject: Option<String>,
    /// The text.
    pub body: String,
    /// Parts that it takes.
    pub parts: u16,
}

/// What a decision rests on that is the same for a whole batch.
pub struct Grounds<'a> {
    /// The campaign.
    pub campaign: &'a Campaign,
    /// Its run.
    pub id: CampaignId,
    /// Its law.
    pub law: &'a dyn LawBook,
    /// Its end.
    pub ends_at: Timestamp,
    /// The route that has room; touches whose step does not use it are not started on it.
    pub route: RouteId,
    /// What a touch of so many parts costs at most on that route, in millionths of the currency unit.
    pub reserve: &'a (dyn Fn(u16) -> i64 + Send + Sync),
}

/// Decides candidates one after another, keeping the budget that is left and the messages written.
pub struct Decider<'a> {
    grounds: Grounds<'a>,
    at: Timestamp,
    budget_left: Option<i64>,
    /// The budget ended the batch.
    pub budget_exhausted: bool,
    /// Messages of started touches.
    pub written: Vec<(TouchKey, Written)>,
}

impl<'a> Decider<'a> {
    /// For a batch at `at`; `budget_left` in millionths, `None`: no budget set.
    pub fn new(grounds: Grounds<'a>, at: Timestamp, budget_left: Option<i64>) -> Self {
        Self { grounds, at, budget_left, budget_exhausted: false, written: Vec::new() }
    }

    /// The row to write, or `None` to end the batch before this candidate (budget used up).
    pub fn decide(&mut self, candidate: &Candidate, facts: &ContactFacts<'_>) -> Option<Touch> {
        let Grounds { campaign, id, ends_at, .. } = self.grounds;
        let customer = candidate.member.id;
        let Some(base) = self.base_row(candidate) else {
            return Some(bare(id, customer, State::Cancelled, Reason::NoContent));
        };
        if candidate.head.is_none() && experiment::is_held_out(&campaign.name, customer, campaign.audience.holdout_ppm) {
            return Some(Touch { ended_at: Some(self.at), ..bare(id, customer, State::HeldOut, Reason::HeldOut) });
        }
        let Some(step) = campaign.step(base.step) else {
            return Some(self.close(base, State::Cancelled, Reason::NoContent, RuleNo(0)));
        };
        if self.at >= ends_at {
            return Some(self.close(base, State::Expired, Reason::CampaignEnded, RuleNo(0)));
        }
        if base.due_at.is_some_and(|due| due > self.at) {
            return Some(base);
        }
        let validity = step.validity_ms.or(campaign.limits.validity_ms);
        if let (Some(validity), Some(due)) = (validity, candidate.head.as_ref().and_then(|h| h.due_at))
            && self.at.since(due) > validity
        {
            return Some(self.pass_over(base, State::Expired, Reason::Validity, RuleNo(0)));
        }
        if campaign.stop_on.conversion && facts.converted {
            return Some(self.close(base, State::Cancelled, Reason::Converted, RuleNo(0)));
        }
        match self.permitted(step, &candidate.member, facts) {
            Verdict::Never(reason, rule) => Some(self.pass_over(base, State::Suppressed, reason, rule)),
            Verdict::Later(due, reason, rule) => Some(Touch { state: State::Scheduled, reason, rule, due_at: Some(due), ..base }),
            Verdict::Now(rule) => self.start(step, base, candidate, rule),
        }
    }

    /// The row as it would be scheduled: the head that is due, or the journey's opening.
    fn base_row(&self, candidate: &Candidate) -> Option<Touch> {
        if let Some(head) = &candidate.head {
            return Some(head.clone());
        }
        let (step, due, agenda) = journey::opening(self.grounds.campaign, self.at)?;
        let channel = self.grounds.campaign.step(step).map(|s| s.channel);
        let waits = due > self.at;
        let mut row = bare(self.grounds.id, candidate.member.id, State::Scheduled, if waits { Reason::NextStep } else { Reason::None });
        row.step = step;
        row.attempt = 1;
        row.channel = channel;
        row.due_at = Some(due);
        row.agenda = agenda;
        Some(row)
    }

    fn close(&self, base: Touch, state: State, reason: Reason, rule: RuleNo) -> Touch {
        Touch { state, reason, rule, ended_at: Some(self.at), ..base }
    }

    /// What closes this step leaves the steps beside it, unless it is about the customer in every channel.
    fn pass_over(&self, base: Touch, state: State, reason: Reason, rule: RuleNo) -> Touch {
        let closed = self.close(base, state, reason, rule);
        let campaign = self.grounds.campaign;
        let is_final = reason == Reason::Complained || (reason == Reason::OptedOut && campaign.stop_on.opt_out);
        match journey::pass_over(campaign, &closed, self.at) {
            Some(next) if !is_final && next.due_at.is_some_and(|due| due < self.grounds.ends_at) => next,
            _ => closed,
        }
    }

    /// Suppression, consent, address, hold, window, caps: in this order, so that the reason kept is the most lasting one.
    fn permitted(&self, step: &Step, member: &Member, facts: &ContactFacts<'_>) -> Verdict {
        let Grounds { campaign, law, ends_at, .. } = &self.grounds;
        let (now, channel) = (facts.contactability, step.channel);
        if now.has_complained() && (campaign.stop_on.complaint || campaign.purpose == Purpose::Marketing) {
            return Verdict::Never(Reason::Complained, RuleNo(0));
        }
        if now.is_suppressed(channel) {
            return Verdict::Never(Reason::OnSuppressionList, RuleNo(0));
        }
        let opted_out_somewhere = || Channel::ALL.iter().any(|c| now.consent(*c, campaign.purpose) == ConsentState::Withdrawn);
        if campaign.stop_on.opt_out && opted_out_somewhere() {
            return Verdict::Never(Reason::OptedOut, RuleNo(0));
        }
        let allowed_by = match law.consent(channel, now.consent(channel, campaign.purpose)) {
            ConsentVerdict::Allowed(rule) => rule,
            ConsentVerdict::Forbidden(rule, reason) => return Verdict::Never(reason, rule),
        };
        if !member.has_address(channel) {
            return Verdict::Never(Reason::NoAddress, allowed_by);
        }
        // The relationship manager's own worklist goes on: the hold is what keeps the others out of their way.
        if channel != Channel::Worklist
            && let Some(until) = now.held_until().filter(|until| *until > self.at)
        {
            // Also beyond the campaign's end, where it is called off with whatever else is left (`campaign_ended`): a hold may be lifted
            // early, and what it puts off is never dropped before that end.
            return Verdict::Later(until, Reason::Held, RuleNo(0));
        }
        let open_by = match law.window(self.at, channel, member.whereabouts()) {
            WindowVerdict::Open { rule, .. } => rule,
            WindowVerdict::Closed { opens, rule } if opens < *ends_at => return Verdict::Later(opens, Reason::OutsideWindow, rule),
            WindowVerdict::Closed { rule, .. } => return Verdict::Never(Reason::NoWindow, rule),
            WindowVerdict::Refused { rule } => return Verdict::Never(Reason::NoCalendar, rule),
        };
        match blocked(law.caps(), facts.history, channel, campaign.purpose, self.at) {
            Some((cap, opens)) if opens < *ends_at => Verdict::Later(opens, Reason::CapWait, cap.rule),
            Some((cap, _)) => Verdict::Never(Reason::Cap, cap.rule),
            None => Verdict::Now(open_by),
        }
    }

    fn start(&mut self, step: &Step, base: Touch, candidate: &Candidate, rule: RuleNo) -> Option<Touch> {
        let (variant, written) = match self.write(step, &candidate.member) {
            Ok(written) => written,
            Err(()) => return Some(self.pass_over(base, State::Suppressed, Reason::NoContent, rule)),
        };
        let parts = written.as_ref().map_or(1, |w| w.parts);
        let cost = (self.grounds.reserve)(parts);
        if let Some(left) = &mut self.budget_left {
            if cost > *left {
                self.budget_exhausted = true;
                return None;
            }
            *left -= cost;
        }
        if let Some(written) = written {
            self.written.push((base.key, written));
        }
        let due_at = base.due_at.filter(|_| candidate.head.is_some());
        Some(Touch {
            state: State::Started,
            reason: Reason::None,
            rule,
            route: Some(self.grounds.route),
            variant,
            started_at: Some(self.at),
            due_at,
            cost_micros: cost,
            parts,
            ..base
        })
    }

    /// The customer's variant and language of the step's content.
    fn write(&self, step: &Step, member: &Member) -> Result<(u8, Option<Written>), ()> {
        if step.content.is_empty() {
            return Ok((0, None));
        }
        let weights: Vec<u32> = step.content.iter().map(|v| v.weight).collect();
        let variant = experiment::variant(&self.grounds.campaign.name, &step.name, member.id, &weights);
        let text = step.content.get(usize::from(variant)).and_then(|v| in_language(&v.texts, member.language())).ok_or(())?;
        let values = template_values(self.grounds.campaign, member);
        let body = text.body.render(&values).map_err(|_| ())?;
        let subject = text.subject.as_ref().map(|s| s.render(&values)).transpose().map_err(|_| ())?;
        let parts = if step.channel == Channel::Sms { sms_parts::parts(&body) } else { 1 };
        Ok((variant, Some(Written { subject, body, parts })))
    }
}

enum Verdict {
    Now(RuleNo),
    Later(Timestamp, Reason, RuleNo),
    Never(Reason, RuleNo),
}

/// The text in the customer's language: the exact tag, then the same primary language, then the first text.
pub fn in_language<'t>(texts: &'t [(String, Text)], language: Option<&str>) -> Option<&'t Text> {
    let primary = |tag: &str| tag.split('-').next().unwrap_or(tag).to_ascii_lowercase();
    let exact = language.and_then(|l| texts.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(l)));
    let near = || language.and_then(|l| texts.iter().find(|(tag, _)| primary(tag) == primary(l)));
    exact.or_else(near).or_else(|| texts.first()).map(|(_, text)| text)
}

/// The variables that a template sees: the customer's attributes, then `reference`, `language`, `branch`, `rm`, `campaign`, `title`.
pub fn template_values(campaign: &Campaign, member: &Member) -> serde_json::Value {
    let mut values = match member.attributes.as_deref().map(serde_json::from_str) {
        Some(Ok(serde_json::Value::Object(map))) => map,
        _ => serde_json::Map::new(),
    };
    let mut put = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            values.insert(name.to_owned(), value.into());
        }
    };
    put("campaign", Some(&campaign.name));
    put("title", Some(&campaign.title));
    if let Some(person) = &member.person {
        put("reference", Some(&person.reference));
        put("language", person.language.as_deref());
        put("branch", person.branch.as_deref());
        put("rm", person.rm.as_deref());
    }
    serde_json::Value::Object(values)
}

fn bare(campaign: CampaignId, customer: CustomerId, state: State, reason: Reason) -> Touch {
    Touch {
        key: TouchKey { customer, campaign, seq: 0 },
        step: StepNo(0),
        attempt: 0,
        channel: None,
        route: None,
        variant: 0,
        state,
        reason,
        rule: RuleNo(0),
        due_at: None,
        started_at: None,
        ended_at: None,
        connected_s: 0,
        cost_micros: 0,
        parts: 0,
        flags: 0,
        agenda: None,
        provider_ref: None,
    }
}
