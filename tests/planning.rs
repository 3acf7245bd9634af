//! The forecast against cases computed by hand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use chrono::{Datelike, NaiveTime, TimeZone, Timelike, Weekday};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use touchline::campaign_file;
use touchline::domain::campaign::Campaign;
use touchline::domain::caps::Cap;
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentState, Purpose};
use touchline::domain::ids::RuleNo;
use touchline::domain::law::{ConsentVerdict, LawBook, Rule, Whereabouts, WindowVerdict};
use touchline::domain::outcome::Reason;
use touchline::domain::planning::{
    Assumptions, Cell, ChannelAssumption, Forecast, Population, Question, RouteCapacity, StepEstimate, Wave, forecast,
};
use touchline::domain::time::Timestamp;
use touchline::domain::waves::next_wave;

/// 09-12 and 14-20, Monday to Friday, in the customer's own zone.
struct OfficeHours {
    weekends: bool,
    caps: Vec<Cap>,
    refused: bool,
}

const OFFICE: OfficeHours = OfficeHours { weekends: false, caps: Vec::new(), refused: false };

impl LawBook for OfficeHours {
    fn rules(&self) -> &[Rule] {
        &[]
    }
    fn window(&self, at: Timestamp, _: Channel, whereabouts: Whereabouts) -> WindowVerdict {
        let Whereabouts::Zone(zone) = whereabouts else { panic!("the tests name every zone") };
        if self.refused {
            return WindowVerdict::Refused { rule: RuleNo(0) };
        }
        let local = at.utc().with_timezone(&zone);
        let open_at = |hour: u32, day: Weekday| {
            (self.weekends || !matches!(day, Weekday::Sat | Weekday::Sun)) && ((9..12).contains(&hour) || (14..20).contains(&hour))
        };
        let open = open_at(local.hour(), local.weekday());
        // The next full hour at which the answer differs; these zones have whole hours and no switch in November.
        let mut edge = local.with_time(NaiveTime::from_hms_opt(local.hour(), 0, 0).unwrap()).unwrap();
        loop {
            edge += chrono::Duration::hours(1);
            if open_at(edge.hour(), edge.weekday()) != open {
                break;
            }
        }
        let edge = edge.with_timezone(&chrono::Utc).into();
        if open { WindowVerdict::Open { until: edge, rule: RuleNo(0) } } else { WindowVerdict::Closed { opens: edge, rule: RuleNo(0) } }
    }
    fn consent(&self, _: Channel, _: ConsentState) -> ConsentVerdict {
        ConsentVerdict::Allowed(RuleNo(0))
    }
    fn caps(&self) -> &[Cap] {
        &self.caps
    }
    fn purpose(&self) -> Purpose {
        Purpose::Marketing
    }
}

fn campaign(start: &str, end: &str, limits: &str, schedule: &str, steps: &str) -> Campaign {
    let text = format!(
        "campaign: plan\ntitle: Plan\nopportunity: service\nowner: desk\naudience: {{list: all}}\n\
         schedule: {{start: {start}, end: {end}, timezone: UTC{schedule}}}\npolicy: [wide-open]\nlimits: {{{limits}}}\njourney:\n{steps}"
    );
    campaign_file::load("plan.yaml", &text).unwrap_or_else(|faults| panic!("{faults:?}"))
}

const SMS: &str = "  - {step: text, channel: sms, content: {en: Hello}}\n";
const CALL: &str = "  - {step: call, channel: call, attempts: 2, retry: {no_answer: 4h}}\n";

fn certain(rates: &[(Channel, &[(Reason, f64)])]) -> Assumptions {
    let channel = |rates: &[(Reason, f64)]| ChannelAssumption {
        rates: rates.iter().copied().collect(),
        mean_talk_s: 60.0,
        source: "test".into(),
        ..ChannelAssumption::default()
    };
    Assumptions { channels: rates.iter().map(|(c, r)| (*c, channel(r))).collect(), relative_error: 0.0 }
}

fn delivered() -> Assumptions {
    certain(&[(Channel::Sms, &[(Reason::Delivered, 1.0)])])
}

fn people(groups: &[(Tz, i64)]) -> Population {
    let mut population = Population::default();
    for (zone, n) in groups {
        let cell = Cell { whereabouts: Whereabouts::Zone(*zone), held_out: false, verdicts: [Reason::None; 5] };
        *population.cells.entry(cell).or_insert(0) += n;
    }
    population
}

fn ask(
    campaign: &Campaign,
    law: &dyn LawBook,
    population: &Population,
    assumptions: &Assumptions,
    steps: &[StepEstimate],
    routes: &[RouteCapacity],
) -> Forecast {
    let times = std::iter::successors(next_wave(&campaign.schedule, Timestamp(0)), |t| next_wave(&campaign.schedule, *t));
    let waves: Vec<Wave> = times.map(|at| Wave { at, take: campaign.schedule.wave }).collect();
    let forecast = forecast(&Question { campaign, law, population, steps, assumptions, routes, waves: &waves, capped: 0.0 });
    let sum = forecast.reached + forecast.missed + forecast.losses.values().sum::<i64>();
    assert_eq!(sum, population.total(), "the sum closes: {forecast:?}");
    forecast
}

fn steps(n: usize, cost_micros: i64) -> Vec<StepEstimate> {
    vec![StepEstimate { parts: 1.0, no_content: 0.0, cost_micros, when: None }; n]
}

fn at(text: &str) -> Option<String> {
    let local = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap();
    Some(Timestamp::from(chrono::Utc.from_utc_datetime(&local)).to_string())
}

// 2026-11-23 is a Monday.

#[test]
fn a_thousand_at_a_hundred_an_hour_take_nine_lawful_hours_and_one_more() {
    let c = campaign("2026-11-23T09:00", "2026-11-30T20:00", "rate: 100/h", "", SMS);
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &delivered(), &steps(1, 0), &[]);
    assert_eq!((f.first_touch_at, f.finishes_at), (at("2026-11-23T09:00"), at("2026-11-24T10:00")));
    assert_eq!((f.reached, f.attempts, f.feasible, f.left_at_end), (1_000, 1_000, true, 0));
}

#[test]
fn a_lunch_break_and_a_weekend_are_waited_out() {
    let c = campaign("2026-11-27T11:00", "2026-12-04T20:00", "rate: 100/h", "", SMS);
    // Friday 11-12: 100, 14-20: 600; Saturday and Sunday none; Monday 9-12: the last 300.
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &delivered(), &steps(1, 0), &[]);
    assert_eq!(f.finishes_at, at("2026-11-30T12:00"));
    let law = OfficeHours { weekends: true, ..OFFICE };
    let f = ask(&c, &law, &people(&[(Tz::UTC, 1_000)]), &delivered(), &steps(1, 0), &[]);
    assert_eq!(f.finishes_at, at("2026-11-28T12:00"));
}

#[test]
fn each_zone_has_its_own_hours() {
    let c = campaign("2026-11-23T00:00", "2026-11-30T20:00", "rate: 100/h", "", SMS);
    // Shanghai 01-04 UTC: 300, 06-08 UTC: 200; London 09-12: 300, 14-16: 200.
    let f = ask(&c, &OFFICE, &people(&[(Tz::Asia__Shanghai, 500), (Tz::Europe__London, 500)]), &delivered(), &steps(1, 0), &[]);
    assert_eq!((f.first_touch_at, f.finishes_at), (at("2026-11-23T01:00"), at("2026-11-23T16:00")));
    // Alone, Shanghai's hundred more must wait for its evening: 01-04, 06-09 are 600 at 100 an hour.
    let f = ask(&c, &OFFICE, &people(&[(Tz::Asia__Shanghai, 600)]), &delivered(), &steps(1, 0), &[]);
    assert_eq!(f.finishes_at, at("2026-11-23T09:00"));
}

#[test]
fn a_route_holds_the_pace_where_the_campaign_does_not() {
    let c = campaign("2026-11-23T09:00", "2026-11-30T20:00", "", "", SMS);
    let route = |rate: &str| RouteCapacity { name: "sms".into(), channel: Channel::Sms, rate: rate.parse().ok(), cost_micros: 0 };
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &delivered(), &steps(1, 0), &[route("60/h"), route("40/h")]);
    assert_eq!(f.finishes_at, at("2026-11-24T10:00"));
    // 400 a day in any sliding day: two full days from 09:00, then the last 200 at 09:00 of the third.
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &delivered(), &steps(1, 0), &[route("400/d")]);
    assert!(f.finishes_at >= at("2026-11-25T09:00") && f.finishes_at <= at("2026-11-25T09:15"), "{:?}", f.finishes_at);
}

#[test]
fn an_end_that_comes_too_soon_is_told_with_the_rate_that_would_do() {
    let c = campaign("2026-11-23T09:00", "2026-11-23T15:00", "rate: 100/h", "", SMS);
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &delivered(), &steps(1, 0), &[]);
    // 9-12 and 14-15 are four hours: 400 done, 600 left; the rest takes until 10:00 of the next day; 250/h would do.
    assert_eq!((f.reached, f.left_at_end, f.feasible), (400, 600, false));
    assert_eq!(f.losses.get("campaign_ended"), Some(&600));
    assert_eq!(f.finishes_at, at("2026-11-24T10:00"));
    let rate = f.sufficient_rate.clone().unwrap();
    let count: u32 = rate.strip_suffix("/h").unwrap().parse().unwrap();
    assert!((250..=254).contains(&count), "{rate}");
    assert!(f.warnings.iter().any(|w| w.code == "infeasible_end" && w.text.contains("600") && w.text.contains(&rate)), "{:?}", f.warnings);
}

#[test]
fn no_rate_helps_when_waits_are_too_long() {
    let call = "  - {step: call, channel: call, attempts: 3, retry: {no_answer: 1d}}\n";
    let c = campaign("2026-11-23T09:00", "2026-11-24T12:00", "", "", call);
    let assumptions = certain(&[(Channel::Call, &[(Reason::NoAnswer, 1.0)])]);
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 100)]), &assumptions, &steps(1, 0), &[]);
    // The third attempt would be due after the end: it is not planned, and the customer closes as missed.
    assert_eq!((f.attempts, f.missed, f.feasible, f.sufficient_rate), (200, 100, false, None));
}

#[test]
fn retries_follow_the_assumed_dispositions() {
    let c = campaign("2026-11-23T09:00", "2026-11-30T20:00", "", "", CALL);
    let assumptions = certain(&[(Channel::Call, &[(Reason::Answered, 0.5), (Reason::NoAnswer, 0.3), (Reason::InvalidAddress, 0.2)])]);
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &assumptions, &steps(1, 30_000), &[]);
    // First: 500 reached, 300 tried again of whom 150 are reached.
    assert_eq!((f.attempts, f.reached, f.missed), (1_300, 650, 350));
    assert_eq!(f.cost, "39.00");
    let [low, high] = f.reached_interval;
    // 1.96 * sqrt(1000 * 0.65 * 0.35) = 29.6
    assert_eq!((low, high), (620, 680));
}

#[test]
fn a_reach_rule_of_seconds_takes_its_share() {
    let call = "  - {step: call, channel: call, reached: {connected_seconds: 60}}\n";
    let c = campaign("2026-11-23T09:00", "2026-11-30T20:00", "", "", call);
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &certain(&[(Channel::Call, &[(Reason::Answered, 1.0)])]), &steps(1, 0), &[]);
    // Mean talk 60 s: exp(-1) = 36.8 % last for 60 s.
    assert_eq!((f.reached, f.missed), (368, 632));
}

#[test]
fn caps_space_the_attempts() {
    let call = "  - {step: call, channel: call, attempts: 3, retry: {no_answer: 30m}}\n";
    let c = campaign("2026-11-23T09:00", "2026-12-04T20:00", "", "", call);
    let cap = Cap { count: 1, per_ms: 86_400_000, channel: None, purpose: None, rule: RuleNo(0) };
    let law = OfficeHours { caps: vec![cap], ..OFFICE };
    let assumptions = certain(&[(Channel::Call, &[(Reason::NoAnswer, 1.0)])]);
    let capped = ask(&c, &law, &people(&[(Tz::UTC, 100)]), &assumptions, &steps(1, 0), &[]);
    assert_eq!((capped.attempts, capped.finishes_at), (300, at("2026-11-25T09:00")));
    let free = ask(&c, &OFFICE, &people(&[(Tz::UTC, 100)]), &assumptions, &steps(1, 0), &[]);
    assert_eq!((free.attempts, free.finishes_at), (300, at("2026-11-23T10:00")));
}

#[test]
fn a_follow_up_counts_each_customer_once() {
    let journey = "  - {step: call, channel: call}\n  - {step: text, after: call, when: 'outcome == \"no_answer\"', wait: 1h, channel: sms, content: {en: Hello}}\n";
    let c = campaign("2026-11-23T09:00", "2026-11-30T20:00", "", "", journey);
    let assumptions = certain(&[(Channel::Call, &[(Reason::Answered, 0.6), (Reason::NoAnswer, 0.4)]), (Channel::Sms, &[(Reason::Delivered, 1.0)])]);
    let mut estimates = steps(2, 0);
    estimates[1].when = Some(BTreeMap::from([(Reason::Answered, 0.0), (Reason::NoAnswer, 1.0)]));
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &assumptions, &estimates, &[]);
    assert_eq!((f.reached, f.missed, f.attempts), (1_000, 0, 1_400));
    assert_eq!(f.steps.iter().map(|s| s.attempts).collect::<Vec<_>>(), [1_000, 400]);
}

#[test]
fn the_budget_is_a_hard_stop() {
    let c = campaign("2026-11-23T09:00", "2026-11-30T20:00", "budget: 300.00 CNY", "", SMS);
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &delivered(), &steps(1, 1_000_000), &[]);
    assert_eq!((f.reached, f.cost.as_str(), f.budget_suffices), (300, "300.00", false));
    assert_eq!(f.losses.get("budget"), Some(&700));
    let c = campaign("2026-11-23T09:00", "2026-11-30T20:00", "budget: 1000.00 CNY", "", SMS);
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &delivered(), &steps(1, 1_000_000), &[]);
    assert_eq!((f.reached, f.budget_suffices), (1_000, true));
}

#[test]
fn waves_take_their_share_each_morning() {
    let c = campaign("2026-11-23T00:00", "2026-11-30T20:00", "", ", cron: '0 0 9 * * Mon-Fri', wave: 300", SMS);
    let f = ask(&c, &OFFICE, &people(&[(Tz::UTC, 1_000)]), &delivered(), &steps(1, 0), &[]);
    // 300 on Monday, Tuesday, Wednesday; 100 on Thursday.
    assert!(f.finishes_at >= at("2026-11-26T09:00") && f.finishes_at <= at("2026-11-26T09:15"), "{:?}", f.finishes_at);
}

#[test]
fn losses_name_their_reasons() {
    let c = campaign("2026-11-23T09:00", "2026-11-30T20:00", "", "", SMS);
    let mut population = people(&[(Tz::UTC, 500)]);
    let cell = |held_out, sms| Cell {
        whereabouts: Whereabouts::Zone(Tz::UTC),
        held_out,
        verdicts: [Reason::None, sms, Reason::None, Reason::None, Reason::None],
    };
    population.cells.insert(cell(true, Reason::None), 100);
    population.cells.insert(cell(false, Reason::NoConsent), 300);
    population.cells.insert(cell(false, Reason::NoAddress), 100);
    let mut estimates = steps(1, 0);
    estimates[0].no_content = 0.1;
    let f = ask(&c, &OFFICE, &population, &delivered(), &estimates, &[]);
    assert_eq!(f.reached, 450);
    let expected = [("held_out", 100), ("no_address", 100), ("no_consent", 300), ("no_content", 50)];
    assert_eq!(f.losses.iter().map(|(k, v)| (k.as_str(), *v)).collect::<Vec<_>>(), expected);
    let law = OfficeHours { refused: true, ..OFFICE };
    let f = ask(&c, &law, &people(&[(Tz::UTC, 10)]), &delivered(), &steps(1, 0), &[]);
    assert_eq!(f.losses.get("no_calendar"), Some(&10));
    assert!(f.warnings.iter().any(|w| w.code == "no_calendar"));
}
