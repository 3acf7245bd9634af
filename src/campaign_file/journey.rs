//! The journey of a campaign file: its steps, how one leads to the next, retries and what counts as reached.
use super::Known;
use super::check::{channel, line, slug};
use super::content;
use super::reader::{Faults, Fields, one_of};
use super::texts::{self, Scope};
use super::tree::{Kind, Node, cut};
use crate::domain::campaign::{CallMode, ReachRule, Step};
use crate::domain::channel::Channel;
use crate::domain::ids::StepNo;
use crate::domain::outcome::{Disposition, Reason};
use crate::domain::time::{MINUTE, SECOND};
use std::collections::BTreeMap;
use std::ops::Range;

/// Steps at most.
const STEPS: usize = 100;
/// Attempts at most: the most that any list replays is 63.
const ATTEMPTS: u64 = 1_000;
/// The longest conversation that a reach rule may ask for, in seconds.
const CONVERSATION: u64 = 4 * 3_600;

/// A step as read, `after` still a name.
struct Read<'n> {
    name: Option<(String, Range<usize>)>,
    after: Option<(&'n str, Range<usize>)>,
    step: Option<Step>,
}

pub(super) fn steps(faults: &mut Faults, known: &Known, node: &Node, at: &Range<usize>) -> Option<Vec<Step>> {
    let nodes = faults.list(node, "a list of steps, each beginning with `- step: name`")?;
    if nodes.is_empty() {
        faults.add(at, "the journey has no steps").expected("at least one step");
        return None;
    }
    if nodes.len() > STEPS {
        faults.add(at, format!("the journey has {} steps", nodes.len())).expected(format!("at most {STEPS}"));
        return None;
    }
    let before = faults.len();
    let read: Vec<Read<'_>> = nodes.iter().map(|n| step(faults, known, n)).collect();
    let after = connect(faults, &read, at);
    if faults.len() > before {
        return None;
    }
    let mut steps = Vec::new();
    for (read, after) in read.into_iter().zip(after) {
        let mut step = read.step?;
        step.after = after.and_then(|i| u16::try_from(i).ok()).map(StepNo);
        steps.push(step);
    }
    Some(steps)
}

/// Finds the step that each `after` names; tells duplicates, unknown names, cycles, and a journey that nothing starts.
fn connect(faults: &mut Faults, read: &[Read<'_>], at: &Range<usize>) -> Vec<Option<usize>> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, step) in read.iter().enumerate() {
        if let Some((name, place)) = &step.name {
            if let Some(first) = numbers.get(name.as_str()) {
                faults
                    .add(place, format!("the step {name:?} stands twice"))
                    .help(format!("it is also step {} of the journey; give each its own name", first + 1));
            } else {
                numbers.insert(name, number);
            }
        }
    }
    let mut after: Vec<Option<usize>> = Vec::new();
    for step in read {
        after.push(step.after.as_ref().and_then(|(name, place)| {
            let found = numbers.get(name).copied();
            if found.is_none() {
                let names = numbers.keys().copied().filter(|n| step.name.as_ref().is_none_or(|(own, _)| own != n));
                let noted = faults.add(place, format!("there is no step {:?}", cut(name))).nearest(name, names.clone());
                noted.expected(one_of(names));
            }
            found
        }));
    }
    let mut told = vec![false; read.len()];
    for start in 0..read.len() {
        // Follow `after` from every step; coming back to one already passed is a cycle.
        let mut path = Vec::new();
        let mut here = Some(start);
        while let Some(number) = here {
            if let Some(begin) = path.iter().position(|n| *n == number) {
                let cycle = path.get(begin..).unwrap_or(&[]);
                if !cycle.iter().any(|n| told.get(*n) == Some(&true)) {
                    tell_cycle(faults, read, cycle);
                }
                cycle.iter().for_each(|n| told.iter_mut().skip(*n).take(1).for_each(|t| *t = true));
                break;
            }
            path.push(number);
            here = after.get(number).copied().flatten();
        }
    }
    if read.iter().all(|s| s.after.is_some()) && !told.contains(&true) {
        faults.add(at, "no step starts the journey: every step has an `after`").help("take `after` out of the first step");
    }
    after
}

fn tell_cycle(faults: &mut Faults, read: &[Read<'_>], cycle: &[usize]) {
    let name = |n: &usize| read.get(*n).and_then(|s| s.name.as_ref()).map_or("?", |(name, _)| name.as_str());
    // `after` points backwards in time, so the journey runs through the cycle in the other direction.
    // It is told from the step that stands first in the file.
    let first = cycle.iter().min();
    let mut round: Vec<&usize> = cycle.iter().rev().collect();
    let turn = round.iter().position(|n| Some(*n) == first).unwrap_or(0);
    round.rotate_left(turn);
    round.extend(first);
    let round: Vec<&str> = round.into_iter().map(name).collect();
    if let Some((_, place)) = first.and_then(|n| read.get(*n)).and_then(|s| s.after.as_ref()) {
        let message = if cycle.len() == 1 {
            format!("the step {:?} follows itself", name(&cycle.first().copied().unwrap_or(0)))
        } else {
            format!("these steps follow each other in a circle: {}", round.join(" -> "))
        };
        faults.add(place, message).help("one of them must start the journey: take its `after` out");
    }
}

fn step<'n>(faults: &mut Faults, known: &Known, node: &'n Node) -> Read<'n> {
    let mut read = Read { name: None, after: None, step: None };
    let Some(mut fields) = Fields::open(faults, node, &node.at, "a step") else { return read };
    let name_entry = fields.must("step", "the step's name, such as call");
    let name = name_entry.and_then(|e| slug(faults, &e.value, "the step's name"));
    let place = name_entry.map_or_else(|| node.at.clone(), |e| e.value.at.clone());
    fields.at = place.clone();
    read.name = name.clone().map(|n| (n, place.clone()));
    let after_entry = fields.get("after");
    read.after = after_entry.and_then(|e| Some((faults.text(&e.value, "the name of another step")?, e.value.at.clone())));
    let when_entry = fields.get("when");
    let when = when_entry.map(|e| texts::expression(faults, known, &e.value, Scope::Outcome));
    let wait_entry = fields.get("wait");
    let wait = wait_entry.map_or(Some(0), |e| faults.duration(&e.value, 0, "the wait"));
    if after_entry.is_none() {
        for entry in [when_entry, wait_entry].into_iter().flatten() {
            faults
                .add(&entry.key_at, format!("`{}` speaks of the end of another step, but there is no `after`", entry.key))
                .help("say which step with `after`, or leave it out");
        }
    }
    let channel = fields.must("channel", "one of call, sms, push, email, worklist").and_then(|e| channel(faults, &e.value));
    let routes = fields.value("routes").map_or(Some(Vec::new()), |n| routes(faults, known, n, channel));
    let mode_entry = fields.get("mode");
    let modes = [
        ("preview", CallMode::Preview),
        ("progressive", CallMode::Progressive),
        ("predictive", CallMode::Predictive),
        ("broadcast", CallMode::Broadcast),
    ];
    let mode = mode_entry.map_or(Some(CallMode::Progressive), |e| faults.choice(&e.value, &modes));
    if let (Some(entry), Some(other)) = (mode_entry, channel.filter(|c| *c != Channel::Call)) {
        faults.add(&entry.key_at, format!("`mode` is of calls; this step's channel is {other}")).help("leave it out");
    }
    let attempts_node = fields.value("attempts");
    let attempts = attempts_node.map_or(Some(1), |n| faults.whole(n, 1, ATTEMPTS, "attempts"));
    let reached_node = fields.value("reached");
    let reached = match (reached_node, channel) {
        (Some(n), channel) => reach(faults, n, channel),
        (None, channel) => channel.map(ReachRule::default_of),
    };
    let retry_entry = fields.get("retry");
    let retry = retry_entry.map_or(Some(BTreeMap::new()), |e| retry(faults, &e.value, channel, reached));
    if let (Some(1), Some(entry), Some(map)) = (attempts, retry_entry, &retry)
        && !map.is_empty()
    {
        faults.add(&entry.key_at, "`retry` has no effect with one attempt").help("say how many attempts there are at most: `attempts: 3`");
    }
    if let (Some(2..), Some(node), None) = (attempts, attempts_node, retry_entry) {
        faults
            .add(&node.at, "several attempts, but no disposition is tried again")
            .help("say which, and after how long: `retry: {no_answer: 4h}`; or leave `attempts` out");
    }
    let content = content::content(faults, known, fields.get("content"), channel, &place);
    let validity = fields.value("validity").map(|n| faults.duration(n, SECOND, "the validity"));
    let skill_entry = fields.get("skill");
    let skill = skill_entry.map(|e| line(faults, &e.value, "a skill as the roster of relationship managers names it, such as funds", 100));
    if let (Some(entry), Some(other)) = (skill_entry, channel.filter(|c| *c != Channel::Worklist)) {
        faults.add(&entry.key_at, format!("`skill` is of the worklist; this step's channel is {other}")).help("leave it out");
    }
    fields.close(faults);
    read.step = (|| {
        Some(Step {
            name: name?,
            after: None,
            when: match when {
                Some(when) => Some(when?),
                None => None,
            },
            wait_ms: wait?,
            channel: channel?,
            routes: routes?,
            mode: mode?,
            attempts: u16::try_from(attempts?).ok()?,
            retry: retry?,
            reached: reached?,
            content: content?,
            validity_ms: match validity {
                Some(validity) => Some(validity?),
                None => None,
            },
            skill: match skill {
                Some(skill) => Some(skill?),
                None => None,
            },
        })
    })();
    read
}

fn routes(faults: &mut Faults, known: &Known, node: &Node, channel: Option<Channel>) -> Option<Vec<String>> {
    let nodes = faults.list(node, "a list of routes such as [sip-north]")?;
    if nodes.is_empty() {
        faults.add(&node.at, "no route is named").help("leave `routes` out to use every route of the channel");
        return None;
    }
    let mut names: Vec<String> = Vec::new();
    for node in nodes {
        let Some(name) = line(faults, node, "the name of a route", 100) else { continue };
        if names.contains(&name) {
            faults.add(&node.at, format!("the route {:?} is named twice", cut(&name)));
        }
        if !known.routes.is_empty() {
            match known.routes.iter().find(|(n, _)| *n == name) {
                Some((_, of)) => {
                    if let Some(channel) = channel.filter(|c| c != of) {
                        faults.add(&node.at, format!("the route {name} is of channel {of}, this step is of {channel}"));
                    }
                }
                None => {
                    let fitting: Vec<&str> = known.routes.iter().filter(|(_, c)| channel.is_none_or(|w| w == *c)).map(|(n, _)| n.as_str()).collect();
                    let expected = if fitting.is_empty() {
                        "a configured route; there is none of this channel".to_owned()
                    } else {
                        one_of(fitting.iter().copied())
                    };
                    faults.add(&node.at, format!("the route {:?} is not configured", cut(&name))).expected(expected).nearest(&name, fitting);
                }
            }
        }
        names.push(name);
    }
    (names.len() == nodes.len()).then_some(names)
}

/// What can come of an attempt on a channel.
fn possible(channel: Channel) -> &'static [Reason] {
    use Reason::{
        Answered, Busy, CallbackRequested, Clicked, Congestion, Delivered, Interested, InvalidAddress, NoAnswer, NotInterested, NotOpened, Opened,
        Rejected, Short, Undelivered, Voicemail, WrongPerson,
    };
    match channel {
        Channel::Call => &[
            Answered,
            Interested,
            NotInterested,
            CallbackRequested,
            NoAnswer,
            Busy,
            Voicemail,
            Congestion,
            Rejected,
            Short,
            InvalidAddress,
            WrongPerson,
        ],
        Channel::Sms => &[Delivered, Clicked, Undelivered, InvalidAddress],
        Channel::Push | Channel::Email => &[Delivered, Opened, Clicked, Undelivered, InvalidAddress, NotOpened],
        Channel::Worklist => crate::domain::worklist::lease::DISPOSITIONS,
    }
}

fn retry(faults: &mut Faults, node: &Node, channel: Option<Channel>, reached: Option<ReachRule>) -> Option<BTreeMap<Disposition, i64>> {
    let Kind::Map(entries) = &node.kind else {
        faults.wrong(node, "dispositions with durations such as {busy: 30m, no_answer: 4h}");
        return None;
    };
    let retriable = |c: Channel| possible(c).iter().filter(|d| d.is_missed()).map(|d| d.name());
    let mut map = BTreeMap::new();
    for entry in entries {
        let after = faults.duration(&entry.value, MINUTE, "how long to wait before the next attempt");
        let Some(channel) = channel else { continue };
        let expected = one_of(retriable(channel));
        let Some(disposition) = Reason::from_name(&entry.key).filter(|r| r.is_disposition()) else {
            if !entry.key.is_empty() {
                let noted = faults.add(&entry.key_at, format!("there is no disposition {:?}", cut(&entry.key))).expected(expected);
                noted.nearest(&entry.key, retriable(channel));
            }
            continue;
        };
        let fault = if disposition.is_reached() {
            Some(format!("{disposition} is a customer reached; only who was missed is tried again"))
        } else if !disposition.is_missed() {
            Some(format!("{disposition} leaves open whether the customer was contacted, and is never repeated"))
        } else if !possible(channel).contains(&disposition) {
            Some(format!("{disposition} cannot come of channel {channel}"))
        } else if disposition == Reason::Short && reached == Some(ReachRule::ConnectedSeconds(0)) {
            Some("short cannot occur: without `reached: {connected_seconds: N}` every answer counts as reached".to_owned())
        } else if disposition == Reason::NotOpened && reached.is_some_and(|r| r != ReachRule::Opened) {
            Some("not_opened cannot occur: without `reached: opened` the delivery counts as reached".to_owned())
        } else {
            None
        };
        match (fault, after) {
            (Some(fault), _) => drop(faults.add(&entry.key_at, fault).expected(expected)),
            (None, Some(after)) => drop(map.insert(disposition, after)),
            (None, None) => {}
        }
    }
    Some(map)
}

fn reach(faults: &mut Faults, node: &Node, channel: Option<Channel>) -> Option<ReachRule> {
    let rules: &[&'static str] = match channel {
        Some(Channel::Call) => &["connected_seconds"],
        Some(Channel::Sms) => &["delivered"],
        Some(Channel::Push | Channel::Email) => &["delivered", "opened"],
        Some(Channel::Worklist) => &["completed"],
        None => &["connected_seconds", "delivered", "opened", "completed"],
    };
    let expected = match channel {
        Some(Channel::Call) => "{connected_seconds: N}".to_owned(),
        _ => one_of(rules.iter().copied()),
    };
    let (name, place, value) = match &node.kind {
        Kind::Map(entries) => match entries.as_slice() {
            [entry] => (entry.key.as_str(), &entry.key_at, Some(&entry.value)),
            _ => {
                faults.add(&node.at, format!("found {} rules of reach", entries.len())).expected(format!("exactly one: {expected}"));
                return None;
            }
        },
        _ => (faults.text(node, &expected)?, &node.at, None),
    };
    let all = ["connected_seconds", "delivered", "opened", "completed"];
    if !all.contains(&name) {
        faults.add(place, format!("there is no rule of reach {:?}", cut(name))).expected(expected).nearest(name, rules.iter().copied());
        return None;
    }
    if let Some(channel) = channel.filter(|_| !rules.contains(&name)) {
        faults.add(place, format!("the rule {name} does not fit the channel {channel}")).expected(expected);
        return None;
    }
    if name == "connected_seconds" {
        let Some(value) = value else {
            faults.add(place, "the seconds are missing").expected("{connected_seconds: 30}");
            return None;
        };
        return faults.whole(value, 0, CONVERSATION, "seconds of conversation").and_then(|s| u32::try_from(s).ok()).map(ReachRule::ConnectedSeconds);
    }
    if let Some(value) = value
        && !matches!(&value.kind, Kind::Scalar { text, .. } if text == "true")
    {
        faults.wrong(value, &format!("true, or simply `reached: {name}`"));
        return None;
    }
    match name {
        "delivered" => Some(ReachRule::Delivered),
        "opened" => Some(ReachRule::Opened),
        _ => Some(ReachRule::Completed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::nearest;
    use super::*;

    #[test]
    fn every_missed_disposition_can_come_of_some_channel() {
        for reason in Reason::ALL.iter().filter(|r| r.is_missed() || r.is_reached()) {
            assert!(Channel::ALL.iter().any(|c| possible(*c).contains(reason)), "{reason}");
        }
        assert_eq!(nearest("no_anwser", possible(Channel::Call).iter().map(|r| r.name())), Some("no_answer"));
    }
}
