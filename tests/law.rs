//! The law room's tables: (policy, place, instant, expected), consent, rules and presets, and China's published working days.
//! The properties over every zone are in `law_zones.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking; helpers outside #[test] count too")]
use chrono::{DateTime, Datelike, NaiveDate, Utc, Weekday};
use touchline::domain::caps::Cap;
use touchline::domain::channel::Channel;
use touchline::domain::consent::{ConsentState, Purpose};
use touchline::domain::holiday::{self, DayKind};
use touchline::domain::ids::RuleNo;
use touchline::domain::law::{ConsentVerdict, Law, LawBook, Whereabouts, WindowVerdict};
use touchline::domain::outcome::Reason;
use touchline::domain::preset::{self, Mark, Preset};
use touchline::domain::time::{DAY, Timestamp};

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}
fn law(list: &[&str], purpose: Purpose, channels: &[Channel]) -> Law {
    Law::compose(&names(list), purpose, channels, &[]).unwrap()
}
fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap_or_else(|e| panic!("{text}: {e}")).with_timezone(&Utc).into()
}
/// A verdict as `open|closed <instant> <rule>`, `refused <rule>`.
fn said(law: &Law, verdict: WindowVerdict) -> String {
    let rule = |no: RuleNo| law.rules()[usize::from(no.0)].name.clone();
    match verdict {
        WindowVerdict::Open { until: Timestamp::FAR, rule: no } => format!("open for ever {}", rule(no)),
        WindowVerdict::Open { until, rule: no } => format!("open {until} {}", rule(no)),
        WindowVerdict::Closed { opens, rule: no } => format!("closed {opens} {}", rule(no)),
        WindowVerdict::Refused { rule: no } => format!("refused {}", rule(no)),
    }
}
/// `code 1`, `unknown`, or a zone.
fn place(text: &str) -> Whereabouts {
    match text.strip_prefix("code ") {
        Some(code) => Whereabouts::CallingCode(code.parse().unwrap()),
        None if text == "unknown" => Whereabouts::Unknown,
        None => Whereabouts::Zone(text.parse().unwrap()),
    }
}

/// (policy, channel, place, instant with its local offset, expected with UTC instants), for marketing.
const TABLE: &[(&[&str], Channel, &str, &str, &str)] = &[
    // Edges to the millisecond: 08:00 inclusive, 21:00 exclusive, in New York (UTC-5).
    (&["us-tcpa-call"], Channel::Call, "America/New_York", "2026-01-15T07:59:59.999-05:00", "closed 2026-01-15T13:00:00Z window.call"),
    (&["us-tcpa-call"], Channel::Call, "America/New_York", "2026-01-15T08:00:00-05:00", "open 2026-01-16T02:00:00Z window.call"),
    (&["us-tcpa-call"], Channel::Call, "America/New_York", "2026-01-15T20:59:59.999-05:00", "open 2026-01-16T02:00:00Z window.call"),
    (&["us-tcpa-call"], Channel::Call, "America/New_York", "2026-01-15T21:00:00-05:00", "closed 2026-01-16T13:00:00Z window.call"),
    // The night of the spring switch (2026-03-08) is an hour shorter, that of the autumn switch (2026-11-01) an hour longer.
    (&["us-tcpa-call"], Channel::Call, "America/New_York", "2026-03-07T21:00:00-05:00", "closed 2026-03-08T12:00:00Z window.call"),
    (&["us-tcpa-call"], Channel::Call, "America/New_York", "2026-10-31T21:00:00-04:00", "closed 2026-11-01T13:00:00Z window.call"),
    (&["us-tcpa-call"], Channel::Call, "America/Phoenix", "2026-03-07T21:00:00-07:00", "closed 2026-03-08T15:00:00Z window.call"),
    // Leap day.
    (&["us-tcpa-call"], Channel::Call, "America/Denver", "2024-02-28T21:00:00-07:00", "closed 2024-02-29T15:00:00Z window.call"),
    (&["us-tcpa-call"], Channel::Call, "America/Denver", "2024-02-29T20:59:59.999-07:00", "open 2024-03-01T04:00:00Z window.call"),
    // Florida closes an hour earlier; together the stricter holds.
    (&["us-fl"], Channel::Sms, "America/New_York", "2026-01-15T19:59:59.999-05:00", "open 2026-01-16T01:00:00Z window.call"),
    (&["us-tcpa-call", "us-fl"], Channel::Call, "America/New_York", "2026-01-15T20:00:00-05:00", "closed 2026-01-16T13:00:00Z window.call"),
    // Only +1 is known: from 08:00 in Guam (UTC+10) to 21:00 in St. John's (UTC-3:30, in summer UTC-2:30).
    (&["us-tcpa-call"], Channel::Call, "code 1", "2026-01-15T12:00:00-05:00", "closed 2026-01-15T22:00:00Z window.call"),
    (&["us-tcpa-call"], Channel::Call, "code 1", "2026-01-15T22:00:00Z", "open 2026-01-16T00:30:00Z window.call"),
    (&["us-tcpa-call"], Channel::Call, "code 1", "2026-07-15T23:29:59.999Z", "open 2026-07-15T23:30:00Z window.call"),
    // Nothing is known: the zones of the presets' jurisdictions; San Juan (UTC-4) closes first.
    (&["us-tcpa-call"], Channel::Call, "unknown", "2026-01-16T00:59:59.999Z", "open 2026-01-16T01:00:00Z window.call"),
    (&["us-fl"], Channel::Call, "unknown", "2026-01-15T13:30:00Z", "closed 2026-01-15T14:00:00Z window.call"),
    // A calling code of no country is as good as nothing known.
    (&["us-fl"], Channel::Call, "code 999", "2026-01-15T13:30:00Z", "closed 2026-01-15T14:00:00Z window.call"),
    // Lisbon, Madeira and the Azores (UTC-1 in winter): 09:00Z to 21:00Z.
    (&["uk-call"], Channel::Call, "code 351", "2026-01-15T08:30:00Z", "closed 2026-01-15T09:00:00Z window.call"),
    (&["uk-call"], Channel::Call, "code 351", "2026-01-15T09:00:00Z", "open 2026-01-15T21:00:00Z window.call"),
    // United Kingdom: no calls from Saturday 21:00 to Monday 08:00; the clocks change on Sunday 2026-03-29.
    (&["uk-call"], Channel::Call, "Europe/London", "2026-03-28T21:00:00Z", "closed 2026-03-30T07:00:00Z window.call"),
    (&["uk-call"], Channel::Call, "Europe/London", "2026-03-28T08:59:59.999Z", "closed 2026-03-28T09:00:00Z window.call"),
    (&["uk-call"], Channel::Call, "Europe/London", "2026-03-28T09:00:00Z", "open 2026-03-28T21:00:00Z window.call"),
    // India.
    (&["in-trai"], Channel::Sms, "Asia/Kolkata", "2026-05-01T09:59:59.999+05:30", "closed 2026-05-01T04:30:00Z window.promotional"),
    (&["in-trai"], Channel::Sms, "code 91", "2026-05-01T10:00:00+05:30", "open 2026-05-01T15:30:00Z window.promotional"),
    // China: the noon pause, a made-up Saturday, a holiday on a weekday, a plain weekend.
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2026-03-02T11:59:59.999+08:00", "open 2026-03-02T04:00:00Z window.call"),
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2026-03-02T12:00:00+08:00", "closed 2026-03-02T06:00:00Z window.call"),
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2026-02-14T09:00:00+08:00", "open 2026-02-14T04:00:00Z window.call"),
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2026-02-14T20:00:00+08:00", "closed 2026-02-24T01:00:00Z window.call"),
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2026-02-27T20:00:00+08:00", "closed 2026-02-28T01:00:00Z window.call"),
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2026-03-07T10:00:00+08:00", "closed 2026-03-09T01:00:00Z window.call"),
    (&["cn-bank"], Channel::Sms, "Asia/Shanghai", "2026-03-07T10:00:00+08:00", "open 2026-03-07T13:00:00Z window.message"),
    // Only +86 is known: Urumqi's clock (UTC+6) counts too.
    (&["cn-bank"], Channel::Call, "code 86", "2026-03-02T09:00:00+08:00", "closed 2026-03-02T03:00:00Z window.call"),
    (&["cn-bank"], Channel::Call, "code 86", "2026-03-02T11:00:00+08:00", "open 2026-03-02T04:00:00Z window.call"),
    (&["cn-bank"], Channel::Call, "code 86", "2026-03-02T12:00:00+08:00", "closed 2026-03-02T08:00:00Z window.call"),
    // A year without a table: refused, from the last closing on; messages have the same hours every day and need no table.
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2026-12-31T19:59:59.999+08:00", "open 2026-12-31T12:00:00Z window.call"),
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2026-12-31T20:00:00+08:00", "refused window.call"),
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2027-03-02T10:00:00+08:00", "refused window.call"),
    (&["cn-bank"], Channel::Call, "Asia/Shanghai", "2023-12-29T10:00:00+08:00", "refused window.call"),
    (&["cn-bank"], Channel::Sms, "Asia/Shanghai", "2027-03-02T10:00:00+08:00", "open 2027-03-02T13:00:00Z window.message"),
    (&["us-tcpa-call", "cn-bank"], Channel::Call, "Asia/Shanghai", "2027-03-02T03:00:00+08:00", "refused window.call"),
    // No hours at all, and every hour.
    (&["eu-eprivacy"], Channel::Email, "Europe/Berlin", "2026-03-02T03:00:00+01:00", "open for ever none"),
    (&["wide-open"], Channel::Call, "Europe/Berlin", "2026-03-29T02:00:00+01:00", "open for ever window.any"),
    (&["wide-open"], Channel::Push, "unknown", "1969-03-29T02:00:00+01:00", "open for ever window.any"),
    (&["wide-open", "uk-call"], Channel::Call, "Europe/London", "2026-01-15T07:00:00Z", "closed 2026-01-15T08:00:00Z window.call"),
];

#[test]
fn the_table_of_instants() {
    for (policy, channel, whereabouts, instant, expected) in TABLE {
        let law = law(policy, Purpose::Marketing, &[*channel]);
        let verdict = law.window(at(instant), *channel, place(whereabouts));
        assert_eq!(said(&law, verdict), *expected, "{policy:?} {channel} {whereabouts} {instant}");
    }
}

#[test]
fn the_rule_named_is_the_one_that_decides() {
    let law = law(&["us-tcpa-call", "us-fl"], Purpose::Marketing, &[Channel::Call]);
    let preset = |instant: &str| match law.window(at(instant), Channel::Call, place("America/New_York")) {
        WindowVerdict::Open { rule, .. } | WindowVerdict::Closed { rule, .. } | WindowVerdict::Refused { rule } => {
            law.rules()[usize::from(rule.0)].preset.clone()
        }
    };
    assert_eq!(preset("2026-01-15T12:00:00-05:00"), "us-fl@2026.1", "Florida closes first");
    assert_eq!(preset("2026-01-15T20:30:00-05:00"), "us-fl@2026.1", "only Florida forbids");
    assert_eq!(preset("2026-01-15T22:00:00-05:00"), "us-tcpa-call@2026.1", "both forbid: the lower number");
}

#[test]
fn service_and_collection_have_rules_of_their_own() {
    let service = law(&["cn-bank"], Purpose::Service, &[Channel::Sms]);
    let night = service.window(at("2027-01-01T07:00:00+08:00"), Channel::Sms, place("Asia/Shanghai"));
    assert_eq!(said(&service, night), "closed 2027-01-01T00:00:00Z window.service_message");
    let collection = law(&["cn-collection"], Purpose::Collection, &[Channel::Call]);
    let evening = collection.window(at("2026-10-01T21:59:59.999+08:00"), Channel::Call, place("Asia/Shanghai"));
    assert_eq!(said(&collection, evening), "open 2026-10-01T14:00:00Z window.collection");
    assert_eq!(collection.caps().iter().map(|c| (c.count, c.per_ms, c.channel)).collect::<Vec<_>>(), [(3, DAY, Some(Channel::Call))]);
}

#[test]
fn hours_that_never_meet_are_refused_not_searched_for_ever() {
    // China's working hours in Shanghai and in New York, half a day apart, never overlap for a customer of whom nothing is known.
    let law = law(&["cn-bank", "us-tcpa-call"], Purpose::Marketing, &[Channel::Call]);
    let verdict = law.window(at("2026-03-02T10:00:00+08:00"), Channel::Call, Whereabouts::Unknown);
    assert!(matches!(verdict, WindowVerdict::Refused { .. }), "{verdict:?}");
}

#[test]
fn consent_is_the_strictest_and_an_opt_out_is_final_for_marketing() {
    use ConsentState::{Granted, Unknown, Withdrawn};
    let reason = |list: &[&str], purpose, channel, state| match law(list, purpose, &[channel]).consent(channel, state) {
        ConsentVerdict::Allowed(_) => Reason::None,
        ConsentVerdict::Forbidden(_, reason) => reason,
    };
    let (required, free) = ([Reason::NoConsent, Reason::None, Reason::OptedOut], [Reason::None, Reason::None, Reason::OptedOut]);
    for (list, purpose, channel, expected) in [
        (&["cn-bank"][..], Purpose::Marketing, Channel::Call, required),
        (&["cn-bank"], Purpose::Marketing, Channel::Push, free),
        (&["cn-bank"], Purpose::Service, Channel::Sms, free),
        (&["us-tcpa-call"], Purpose::Marketing, Channel::Call, free),
        (&["us-tcpa-call", "us-fl"], Purpose::Marketing, Channel::Call, required),
        (&["us-fl", "us-tcpa-call"], Purpose::Marketing, Channel::Call, required),
        (&["eu-eprivacy"], Purpose::Marketing, Channel::Email, required),
        (&["wide-open"], Purpose::Marketing, Channel::Call, free),
        (&["wide-open"], Purpose::Service, Channel::Call, [Reason::None; 3]),
        (&["cn-collection"], Purpose::Collection, Channel::Call, [Reason::None; 3]),
    ] {
        assert_eq!([Unknown, Granted, Withdrawn].map(|state| reason(list, purpose, channel, state)), expected, "{list:?} {purpose} {channel}");
    }
    // The rule that decided is named: Florida's, not the weaker federal one.
    let both = law(&["us-tcpa-call", "us-fl"], Purpose::Marketing, &[Channel::Call]);
    let ConsentVerdict::Forbidden(RuleNo(no), _) = both.consent(Channel::Call, Unknown) else { panic!("allowed") };
    assert_eq!(both.rules()[usize::from(no)].preset, "us-fl@2026.1");
}

#[test]
fn rules_are_numbered_evidence_and_caps_name_theirs() {
    let own = Cap { count: 2, per_ms: 7 * DAY, channel: None, purpose: None, rule: RuleNo(0) };
    let law = Law::compose(&names(&["cn-bank"]), Purpose::Marketing, &[Channel::Call], &[own]).unwrap();
    assert_eq!((law.rules()[0].preset.as_str(), law.rules()[0].name.as_str()), ("none", "none"));
    let caps: Vec<_> = law.caps().iter().map(|c| (law.rules()[usize::from(c.rule.0)].name.as_str(), c.count, c.per_ms)).collect();
    assert_eq!(caps, [("cap.call_daily", 1, DAY), ("cap.call_monthly", 3, 30 * DAY), ("cap.1", 2, 7 * DAY)]);
    let window = law.rules().iter().find(|r| r.name == "window.call").unwrap();
    assert_eq!(
        window.text,
        "marketing by call, worklist: working days 09:00-12:00 and 14:00-20:00, weekends never, holidays never, by the customer's own clock"
    );
    assert!(window.source.ends_with("[verify]"), "{}", window.source);
    // A cap on a channel that is not in use is not carried along (it would lengthen the history that is read).
    assert!(self::law(&["cn-bank"], Purpose::Marketing, &[Channel::Sms]).caps().is_empty());
}

#[test]
fn every_fault_of_a_policy_is_told_at_once() {
    let bad = Cap { count: 2, per_ms: 0, channel: None, purpose: None, rule: RuleNo(0) };
    let faults = Law::compose(&names(&["cn-bnak", "zzz", "uk-call@2019.1"]), Purpose::Marketing, &[Channel::Call], &[bad]).unwrap_err();
    assert_eq!(faults.len(), 4, "{faults:#?}");
    assert!(faults[0].contains("did you mean \"cn-bank\"?"), "{}", faults[0]);
    assert!(faults[1].contains("unknown policy preset \"zzz\": known are cn-bank, "), "{}", faults[1]);
    assert!(faults[2].contains("is shipped in version 2026.1, the file asks for 2019.1"), "{}", faults[2]);
    assert!(faults[3].contains("cap 1 of the campaign"), "{}", faults[3]);
    let faults = Law::compose(&names(&["uk-call"]), Purpose::Marketing, &[Channel::Call, Channel::Sms, Channel::Push], &[]).unwrap_err();
    assert_eq!(faults[0], "policy [uk-call] has no rule for marketing by sms: add one of cn-bank, eu-eprivacy, in-trai, us-fl, wide-open");
    assert_eq!(faults.len(), 2);
    assert!(Law::compose(&[], Purpose::Marketing, &[], &[]).unwrap_err()[0].contains("names no preset"));
    assert!(Law::compose(&names(&["uk-call@2026.1", "uk-call"]), Purpose::Marketing, &[Channel::Call], &[]).is_ok());
}

#[test]
fn a_preset_before_its_time_is_told() {
    let law = law(&["us-tcpa-call", "uk-call"], Purpose::Marketing, &[Channel::Call]);
    assert_eq!(law.not_in_force(at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z")), Vec::<String>::new());
    assert_eq!(
        law.not_in_force(at("2025-04-10T00:00:00Z"), at("2025-05-01T00:00:00Z")),
        ["preset us-tcpa-call@2026.1 is in force from 2025-04-11, the campaign starts on 2025-04-10"]
    );
}

#[test]
fn every_shipped_preset_says_where_it_comes_from() {
    preset::shipped().unwrap();
    let shipped: Vec<_> = preset::presets().iter().map(|p| p.preset.as_str()).collect();
    assert_eq!(shipped, ["cn-bank", "cn-collection", "eu-eprivacy", "in-trai", "uk-call", "us-fl", "us-reg-f", "us-tcpa-call", "wide-open"]);
    for preset in preset::presets() {
        assert!(preset.notice.contains("Defaults to be confirmed by counsel."), "{}", preset.preset);
        assert!(!preset.law.is_empty() && !preset.sources.is_empty(), "{}", preset.preset);
        // What a report prints can be read back.
        let printed = serde_json::to_string(preset).unwrap();
        let read: Preset = serde_json::from_str(&printed).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), printed);
    }
    let tcpa = preset::find("us-tcpa-call").unwrap();
    let abandon = tcpa.abandon.as_ref().unwrap();
    assert_eq!((abandon.max_percent, abandon.per.0, abandon.connect_within.0, abandon.ring_at_least.0), (3, 30 * DAY, 2_000, 15_000));
    assert_eq!((tcpa.windows[0].mark, abandon.mark), (Mark::Seen, Mark::Verify));
}

#[test]
fn a_broken_preset_file_is_refused() {
    let good = include_str!("../src/domain/presets/uk-call.yaml");
    assert!(Preset::parse(good).is_ok());
    for (from, to, expected) in [
        ("needs_calendar: false", "needs_calendar: false\ncolour: red", "colour"),
        ("\"08:00-21:00\"", "\"21:00-08:00\"", "expected hours of one day"),
        ("\"08:00-21:00\"", "\"08:00-24:01\"", "expected hours of one day"),
        ("\"08:00-21:00\"", "\"8:00-21:00\"", "expected hours of one day"),
        ("\"08:00-21:00\"", "\"08:00-12:00\", \"12:00-14:00\"", "apart from each other"),
        ("needs_calendar: false", "needs_calendar: true", "no holiday table of \"gb\""),
        ("Europe/London", "Europe/Londno", "Europe/Londno"),
        ("zones: [Europe/London]", "zones: []", "need the zones"),
        ("per: 24h", "per: soon", "expected a length of time"),
        ("from: 2017-03-01", "from: 2017-02-29", "from: 2017-02-29"),
        ("channels: [call, worklist]\nneeds", "channels: [worklist]\nneeds", "does not cover"),
    ] {
        let fault = Preset::parse(&good.replacen(from, to, 1)).expect_err(to);
        assert!(good.contains(from) && fault.contains(expected), "{to}: {fault}");
    }
}

#[test]
fn chinas_working_days_are_the_published_ones() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/expected.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        println!("skipped: the published figures (shared/data/expected.json beside the repository) are not there");
        return;
    };
    let published: serde_json::Value = serde_json::from_str(&text).unwrap();
    let cn = holiday::calendar("cn").unwrap();
    for year in [2024, 2025, 2026] {
        let expected = &published["china_workdays"][year.to_string()];
        let days: Vec<NaiveDate> = NaiveDate::from_ymd_opt(year, 1, 1).unwrap().iter_days().take_while(|d| d.year() == year).collect();
        let working = |d: &&NaiveDate| cn.kind(**d) == Some(DayKind::Working);
        let weekend = |d: &&NaiveDate| matches!(d.weekday(), Weekday::Sat | Weekday::Sun);
        let texts = |days: Vec<&NaiveDate>| serde_json::Value::from(days.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(expected["days"], days.len(), "{year}");
        assert_eq!(expected["workdays"], days.iter().filter(working).count(), "{year}");
        assert_eq!(expected["weekend_workdays"], texts(days.iter().filter(working).filter(weekend).collect()), "{year}");
        assert_eq!(expected["weekday_holidays"], texts(days.iter().filter(|d| !weekend(d) && !working(d)).collect()), "{year}");
    }
}
