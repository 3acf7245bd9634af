//! `touchline plan`: one streamed pass over the audience, then the pure forecast, then what only the store can tell.
pub use super::assume::{assumptions, capacities};
use super::submit::{self, channels, frozen_list};
use super::{DeskResult, PAGE};
use crate::domain::campaign::Campaign;
use crate::domain::caps::{PastContact, blocked, horizon};
use crate::domain::channel::Channel;
use crate::domain::decision::{in_language, template_values};
use crate::domain::experiment;
use crate::domain::expression::{Value, attributes};
use crate::domain::ids::{CustomerId, ListId};
use crate::domain::law::{ConsentVerdict, LawBook};
use crate::domain::outcome::Reason;
use crate::domain::planning::{Assumptions, Cell, Forecast, Population, Question, RouteCapacity, StepEstimate, Warning, Wave, forecast};
use crate::domain::sms_parts;
use crate::domain::time::Timestamp;
use crate::domain::touch::State;
use crate::domain::waves::next_wave;
use crate::store::{Member, Needs, Status, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Members looked at closely (texts written out, contact history read): enough for shares to within two points.
const SAMPLE: usize = 500;
/// Waves that a forecast looks ahead.
const WAVES: usize = 2_000;

/// What `touchline plan` says.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Name.
    pub campaign: String,
    /// The zone of the schedule, in which people read the times.
    pub timezone: String,
    /// The list named in the file.
    pub list: String,
    /// Its members.
    pub members: i64,
    /// What `where` kept.
    pub filter: Option<submit::Filtered>,
    /// The forecast.
    #[serde(flatten)]
    pub forecast: Forecast,
    /// Customers by zone (`+86`: only the country of the number is known; `unknown`).
    pub zones: BTreeMap<String, i64>,
    /// By channel: customers by what consent, suppression and address say (`allowed`, `no_consent` ...).
    pub contactable: BTreeMap<Channel, BTreeMap<String, i64>>,
    /// Customers whose language no text has; they get the first text.
    pub other_language: BTreeMap<String, i64>,
    /// Running or approved campaigns with the same customers.
    pub collisions: Vec<Collision>,
    /// What was assumed.
    pub assumptions: Assumptions,
    /// Members of the sample.
    pub sampled: usize,
}

/// Another campaign with the same customers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Collision {
    /// Its name.
    pub campaign: String,
    /// Where it stands.
    pub status: Status,
    /// Customers in both audiences.
    pub customers: i64,
}

/// Plans a campaign as of `at`: its list must be frozen; nothing is written. `routes` are those of the configuration; steps that
/// name routes use those alone.
pub async fn plan(store: &dyn Store, campaign: &Campaign, routes: &[RouteCapacity], assumptions: &Assumptions, at: Timestamp) -> DeskResult<Plan> {
    let law = submit::law(campaign)?;
    let list = frozen_list(store, &campaign.audience.list).await?;
    let survey = survey(store, campaign, &law, list.id, list.count).await?;
    let start = campaign.schedule.starts_at().max(at);
    let capped = capped_share(store, campaign, &law, &survey.sample, start).await?;
    let used: Vec<RouteCapacity> = routes.iter().filter(|r| uses(campaign, r)).cloned().collect();
    let steps = estimates(campaign, &survey.sample, &used, assumptions);
    let waves = waves(campaign, at);
    let mut result =
        forecast(&Question { campaign, law: &law, population: &survey.population, steps: &steps, assumptions, routes: &used, waves: &waves, capped });
    let collisions = collisions(store, campaign, &survey.filter, list.id).await?;
    warn(&mut result, campaign, &law, &survey, &collisions, routes, waves.is_empty());
    Ok(Plan {
        campaign: campaign.name.clone(),
        timezone: campaign.schedule.timezone.name().to_owned(),
        list: list.name,
        members: list.count,
        filter: campaign.audience.filter.as_ref().map(|_| survey.filter.clone()),
        forecast: result,
        zones: survey.zones,
        contactable: survey.contactable,
        other_language: survey.other_language,
        collisions,
        assumptions: assumptions.clone(),
        sampled: survey.sample.len(),
    })
}

/// Whether a step of the campaign may use the route.
fn uses(campaign: &Campaign, route: &RouteCapacity) -> bool {
    campaign.steps.iter().any(|s| s.channel == route.channel && (s.routes.is_empty() || s.routes.contains(&route.name)))
}

#[derive(Default)]
struct Survey {
    population: Population,
    filter: submit::Filtered,
    sample: Vec<Member>,
    zones: BTreeMap<String, i64>,
    contactable: BTreeMap<Channel, BTreeMap<String, i64>>,
    other_language: BTreeMap<String, i64>,
}

/// One pass over the list: counts alone, and every so-manieth member as the sample. Memory does not grow with the audience.
async fn survey(store: &dyn Store, campaign: &Campaign, law: &dyn LawBook, list: ListId, count: i64) -> DeskResult<Survey> {
    let used = channels(campaign);
    let uses = |wanted: &[Channel]| used.iter().any(|c| wanted.contains(c));
    let needs = Needs { phone: true, email: uses(&[Channel::Email]), push: uses(&[Channel::Push]), person: true, attributes: true };
    let every = usize::try_from(count).unwrap_or(1).div_ceil(SAMPLE).max(1);
    let mut survey = Survey::default();
    let mut after = CustomerId(i64::MIN);
    let mut kept = 0_usize;
    loop {
        let page = store.page(list, after, PAGE, needs).await?;
        for member in page.members.iter() {
            after = member.id;
            survey.filter.members += 1;
            match campaign.audience.filter.as_ref().map_or(Ok(true), |f| submit::holds(f, member)) {
                Ok(true) => survey.filter.kept += 1,
                Ok(false) => {
                    survey.filter.left_out += 1;
                    continue;
                }
                Err(_) => {
                    survey.filter.filter_errors += 1;
                    continue;
                }
            }
            count_member(&mut survey, campaign, law, &used, member);
            if kept.is_multiple_of(every) {
                survey.sample.push(member.clone());
            }
            kept += 1;
        }
        if page.last || page.members.is_empty() {
            return Ok(survey);
        }
    }
}

fn count_member(survey: &mut Survey, campaign: &Campaign, law: &dyn LawBook, used: &[Channel], member: &Member) {
    let mut cell = Cell {
        whereabouts: member.whereabouts(),
        held_out: experiment::is_held_out(&campaign.name, member.id, campaign.audience.holdout_ppm),
        verdicts: [Reason::None; 5],
    };
    for channel in used {
        let verdict = verdict(campaign, law, *channel, member);
        if let Some(place) = cell.verdicts.get_mut(usize::from(channel.code()) - 1) {
            *place = verdict;
        }
        let name = if verdict == Reason::None { "allowed" } else { verdict.name() };
        let counts = survey.contactable.entry(*channel).or_default();
        match counts.get_mut(name) {
            Some(n) => *n += 1,
            None => drop(counts.insert(name.to_owned(), 1)),
        }
    }
    let zone = match cell.whereabouts {
        crate::domain::law::Whereabouts::Zone(zone) => zone.name().to_owned(),
        crate::domain::law::Whereabouts::CallingCode(code) => format!("+{code}"),
        crate::domain::law::Whereabouts::Unknown => "unknown".to_owned(),
    };
    *survey.zones.entry(zone).or_insert(0) += 1;
    survey.population.add(cell);
    let language = member.person.as_ref().and_then(|p| p.language.as_deref());
    if let Some(language) = language
        && !campaign.steps.iter().all(|s| s.content.iter().all(|v| speaks(v, language)))
    {
        *survey.other_language.entry(language.to_owned()).or_insert(0) += 1;
    }
}

/// Whether a variant has a text of the language, exactly or by its primary tag.
fn speaks(variant: &crate::domain::campaign::Variant, language: &str) -> bool {
    let primary = |tag: &str| tag.split('-').next().unwrap_or(tag).to_ascii_lowercase();
    variant.texts.iter().any(|(tag, _)| primary(tag) == primary(language))
}

/// Suppression, consent, address, in the order of `domain::decision`; `Reason::None`: nothing stands against it.
fn verdict(campaign: &Campaign, law: &dyn LawBook, channel: Channel, member: &Member) -> Reason {
    use crate::domain::consent::{ConsentState, Purpose};
    let now = member.contactability;
    if now.has_complained() && (campaign.stop_on.complaint || campaign.purpose == Purpose::Marketing) {
        return Reason::Complained;
    }
    if now.is_suppressed(channel) {
        return Reason::OnSuppressionList;
    }
    if campaign.stop_on.opt_out && Channel::ALL.iter().any(|c| now.consent(*c, campaign.purpose) == ConsentState::Withdrawn) {
        return Reason::OptedOut;
    }
    if let ConsentVerdict::Forbidden(_, reason) = law.consent(channel, now.consent(channel, campaign.purpose)) {
        return reason;
    }
    if member.has_address(channel) { Reason::None } else { Reason::NoAddress }
}

/// Share of the sample whose caps are used up by earlier contacts until after the campaign's end.
async fn capped_share(store: &dyn Store, campaign: &Campaign, law: &dyn LawBook, sample: &[Member], start: Timestamp) -> DeskResult<f64> {
    let back = horizon(law.caps());
    let Some(step) = campaign.steps.first() else { return Ok(0.0) };
    if back == 0 || sample.is_empty() {
        return Ok(0.0);
    }
    let mut capped = 0_u32;
    for member in sample {
        let touches = store.timeline(member.id).await?;
        let history: Vec<PastContact> = touches
            .iter()
            .filter(|t| !t.key.campaign.is_rehearsal() && matches!(t.state, State::Started | State::Uncertain | State::Reached | State::Missed))
            .filter_map(|t| Some(PastContact { at: t.started_at?, channel: t.channel?, purpose: law.purpose() }))
            .filter(|p| start.since(p.at) < back)
            .collect();
        let ends = campaign.schedule.ends_at();
        capped += u32::from(blocked(law.caps(), &history, step.channel, law.purpose(), start).is_some_and(|(_, opens)| opens >= ends));
    }
    Ok(f64::from(capped) / f64::from(u32::try_from(sample.len()).unwrap_or(u32::MAX)))
}

fn estimates(campaign: &Campaign, sample: &[Member], routes: &[RouteCapacity], assumptions: &Assumptions) -> Vec<StepEstimate> {
    campaign
        .steps
        .iter()
        .map(|step| {
            let (mut parts, mut failed, mut written) = (0_u64, 0_u32, 0_u32);
            let weights: Vec<u32> = step.content.iter().map(|v| v.weight).collect();
            for member in sample.iter().filter(|_| !step.content.is_empty()) {
                let variant = experiment::variant(&campaign.name, &step.name, member.id, &weights);
                let language = member.person.as_ref().and_then(|p| p.language.as_deref());
                let text = step.content.get(usize::from(variant)).and_then(|v| in_language(&v.texts, language));
                let values = template_values(campaign, member);
                let subject = text.and_then(|t| t.subject.as_ref()).map(|s| s.render(&values)).transpose();
                match (text.map(|t| t.body.render(&values)), subject) {
                    (Some(Ok(body)), Ok(_)) => {
                        written += 1;
                        parts += u64::from(if step.channel == Channel::Sms { sms_parts::parts(&body) } else { 1 });
                    }
                    _ => failed += 1,
                }
            }
            let of_step = routes.iter().filter(|r| r.channel == step.channel && (step.routes.is_empty() || step.routes.contains(&r.name)));
            // The dearest route of the step: a forecast that errs says too much rather than too little.
            let cost_micros = of_step.map(|r| r.cost_micros).max().unwrap_or(0);
            let parts = f64::from(u32::try_from(parts).unwrap_or(u32::MAX));
            StepEstimate {
                parts: if written == 0 { 1.0 } else { parts / f64::from(written) },
                no_content: if written + failed == 0 { 0.0 } else { f64::from(failed) / f64::from(written + failed) },
                cost_micros,
                when: step.when.as_ref().map(|when| when_shares(campaign, step, when, sample, assumptions)),
            }
        })
        .collect()
}

/// For each way in which the step before can end: the share of the sample for whom the condition is true.
fn when_shares(
    campaign: &Campaign,
    step: &crate::domain::campaign::Step,
    when: &crate::domain::expression::Expression,
    sample: &[Member],
    assumptions: &Assumptions,
) -> BTreeMap<Reason, f64> {
    const OWN: [&str; 5] = ["outcome", "disposition", "state", "attempt", "connected_seconds"];
    let Some(before) = step.after.and_then(|no| campaign.step(no)) else { return BTreeMap::new() };
    let reads_attributes = when.variables().iter().any(|v| !OWN.contains(&v.as_str()));
    let asked = if reads_attributes { sample } else { sample.get(..1).unwrap_or_default() };
    let customers: Vec<Vec<(String, Value)>> =
        if asked.is_empty() { vec![Vec::new()] } else { asked.iter().map(|m| m.attributes.as_deref().map(attributes).unwrap_or_default()).collect() };
    let seconds = match before.reached {
        crate::domain::campaign::ReachRule::ConnectedSeconds(s) => i64::from(s),
        _ => 0,
    };
    let endings = assumptions.endings(before.channel, before.reached);
    endings
        .into_iter()
        .map(|(disposition, reached)| {
            let own = [
                ("outcome", Value::Text(disposition.name().to_owned())),
                ("disposition", Value::Text(disposition.name().to_owned())),
                ("state", Value::Text(if reached { State::Reached } else { State::Missed }.name().to_owned())),
                ("attempt", Value::Int(i64::from(before.attempts))),
                ("connected_seconds", Value::Int(if reached { seconds } else { 0 })),
            ];
            let holds = |customer: &Vec<(String, Value)>| {
                let values = customer.iter().map(|(n, v)| (n.as_str(), v.clone())).filter(|(n, _)| !OWN.contains(n));
                when.holds(values.chain(own.iter().map(|(n, v)| (*n, v.clone())))).unwrap_or(false)
            };
            let true_for = customers.iter().filter(|c| holds(c)).count();
            let share = f64::from(u32::try_from(true_for).unwrap_or(u32::MAX)) / f64::from(u32::try_from(customers.len()).unwrap_or(u32::MAX));
            (disposition, share)
        })
        .collect()
}

/// The waves that are still to come: one more than `lateness` before `at` is past.
fn waves(campaign: &Campaign, at: Timestamp) -> Vec<Wave> {
    let schedule = &campaign.schedule;
    let from = if schedule.cron.is_some() { at.plus(-schedule.lateness_ms) } else { Timestamp(i64::MIN / 2) };
    let times = std::iter::successors(next_wave(schedule, from), |t| next_wave(schedule, *t));
    times.take(WAVES).map(|t| Wave { at: t, take: schedule.wave }).collect()
}

/// Running, paused and approved campaigns whose audience shares customers with this one's, by walking both in customer order.
async fn collisions(store: &dyn Store, campaign: &Campaign, filter: &submit::Filtered, list: ListId) -> DeskResult<Vec<Collision>> {
    let mut found = Vec::new();
    if filter.kept == 0 {
        return Ok(found);
    }
    for other in store.campaigns().await? {
        let alive = other.status.is_approved();
        if !alive || other.id.is_rehearsal() || other.name == campaign.name {
            continue;
        }
        let customers = if other.audience_list == list && campaign.audience.filter.is_none() {
            other.audience
        } else {
            overlap(store, campaign, list, other.audience_list).await?
        };
        if customers > 0 {
            found.push(Collision { campaign: other.name, status: other.status, customers });
        }
    }
    Ok(found)
}

async fn overlap(store: &dyn Store, campaign: &Campaign, ours: ListId, theirs: ListId) -> DeskResult<i64> {
    let needs = if campaign.audience.filter.is_some() { submit::filter_needs() } else { Needs::default() };
    let (mut a, mut b) = (Walk::new(ours, needs), Walk::new(theirs, Needs::default()));
    let mut both = 0;
    loop {
        let (Some(x), Some(y)) = (a.head(store).await?, b.head(store).await?) else { return Ok(both) };
        match x.cmp(&y) {
            std::cmp::Ordering::Less => a.skip(),
            std::cmp::Ordering::Greater => b.skip(),
            std::cmp::Ordering::Equal => {
                both +=
                    i64::from(a.members.last().is_some_and(|m| campaign.audience.filter.as_ref().is_none_or(|f| submit::holds(f, m) == Ok(true))));
                a.skip();
                b.skip();
            }
        }
    }
}

/// A cursor over a list, a page at a time.
struct Walk {
    list: ListId,
    needs: Needs,
    after: CustomerId,
    last: bool,
    /// Of the current page, in reverse.
    members: Vec<Member>,
}

impl Walk {
    fn new(list: ListId, needs: Needs) -> Self {
        Self { list, needs, after: CustomerId(i64::MIN), last: false, members: Vec::new() }
    }
    async fn head(&mut self, store: &dyn Store) -> DeskResult<Option<CustomerId>> {
        if self.members.is_empty() && !self.last {
            let page = store.page(self.list, self.after, PAGE, self.needs).await?;
            self.last = page.last || page.members.is_empty();
            self.after = page.members.last().map_or(self.after, |m| m.id);
            self.members = page.members;
            self.members.reverse();
        }
        Ok(self.members.last().map(|m| m.id))
    }
    fn skip(&mut self) {
        self.members.pop();
    }
}

fn warn(
    result: &mut Forecast,
    campaign: &Campaign,
    law: &crate::domain::window::Law,
    survey: &Survey,
    collisions: &[Collision],
    routes: &[RouteCapacity],
    no_waves: bool,
) {
    let mut say = |code: &'static str, text| result.warnings.push(Warning { code: code.into(), text });
    if no_waves {
        say("no_wave", "the schedule gives no wave between now and its end: look at `start`, `end`, `cron` and `lateness`".to_owned());
    }
    for text in law.not_in_force(campaign.schedule.starts_at(), campaign.schedule.ends_at()) {
        say("not_in_force", text);
    }
    for step in &campaign.steps {
        let of_step = |r: &&RouteCapacity| r.channel == step.channel && (step.routes.is_empty() || step.routes.contains(&r.name));
        if !routes.iter().any(|r| of_step(&r)) {
            let named = if step.routes.is_empty() { String::new() } else { format!(" among {}", step.routes.join(", ")) };
            say("no_route", format!("step {:?}: no route of channel {}{named} is configured; it would wait for one", step.name, step.channel));
        }
    }
    if survey.filter.filter_errors > 0 {
        let n = survey.filter.filter_errors;
        say(
            "filter_errors",
            format!(
                "for {n} of {} members `where` cannot be told (a missing value, a type that does not fit); they are left out",
                survey.filter.members
            ),
        );
    }
    let others: i64 = survey.other_language.values().sum();
    if others > 0 {
        let languages: Vec<String> = survey.other_language.iter().map(|(l, n)| format!("{l} {n}")).collect();
        say("language", format!("{others} customers speak a language without a text and get the first one ({}); add texts", languages.join(", ")));
    }
    for other in collisions {
        let caps = if law.caps().is_empty() { "no cap holds the two apart" } else { "contacts of one use up caps of the other" };
        say("cap_collision", format!("{} customers are in campaign {:?} too, which is {}: {caps}", other.customers, other.campaign, other.status));
    }
}
