//! When a wished callback may be: a table over zones, with days on which clocks are set.
use chrono::NaiveDateTime;
use chrono_tz::Tz;
use touchline::desk::callbacks::law;
use touchline::domain::callback::{NotThen, agreed, local};
use touchline::domain::time::{DAY, Timestamp};

fn wall(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap()
}

fn utc(text: &str) -> Timestamp {
    chrono::DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
}

/// What is said of a wish: the instant, or why not, with the next one.
fn said(policy: &str, zone: Tz, wish: &str, now: &str) -> String {
    let law = law(&[policy.to_owned()]).unwrap();
    match agreed(&law, zone, wall(wish), utc(now)) {
        Ok(at) => at.to_string(),
        Err(NotThen::Unlawful(next, rule)) => format!("unlawful by {}, next {}", rule.name, local(next, zone)),
        Err(NotThen::Skipped(next)) => format!("skipped, next {}", local(next, zone)),
        Err(NotThen::Past) => "past".into(),
        Err(NotThen::TooFar) => "too far".into(),
        Err(NotThen::Unknown(_)) => "unknown".into(),
    }
}

#[test]
fn a_table_of_wishes() {
    use chrono_tz::{America, Asia, Australia, Europe, Pacific};
    let table: &[(&str, Tz, &str, &str, &str)] = &[
        // The bank's hours for service calls, by the customer's own clock, wherever the customer is.
        ("cn-bank", Asia::Shanghai, "2026-11-25T15:30", "2026-11-24T01:00:00Z", "2026-11-25T07:30:00Z"),
        ("cn-bank", Europe::Lisbon, "2026-11-25T15:30", "2026-11-24T01:00:00Z", "2026-11-25T15:30:00Z"),
        ("cn-bank", Asia::Kolkata, "2026-11-25T15:30", "2026-11-24T01:00:00Z", "2026-11-25T10:00:00Z"),
        ("cn-bank", Pacific::Apia, "2026-11-25T15:30", "2026-11-24T01:00:00Z", "2026-11-25T02:30:00Z"),
        // Over, or too far ahead.
        ("cn-bank", Asia::Shanghai, "2026-11-24T08:59", "2026-11-24T01:00:00Z", "past"),
        ("cn-bank", Asia::Shanghai, "2026-11-24T09:00", "2026-11-24T01:00:00Z", "past"),
        ("cn-bank", Asia::Shanghai, "2027-03-25T10:00", "2026-11-24T01:00:00Z", "too far"),
        // New York, 2026-03-08 (a Sunday): clocks go from 02:00 to 03:00. 2026-11-01: from 02:00 back to 01:00.
        ("cn-bank", America::New_York, "2026-03-08T02:30", "2026-03-07T12:00:00Z", "skipped, next 2026-03-08T03:00:00-04:00"),
        ("cn-bank", America::New_York, "2026-03-07T09:00", "2026-03-07T12:00:00Z", "2026-03-07T14:00:00Z"),
        ("cn-bank", America::New_York, "2026-03-08T09:00", "2026-03-07T12:00:00Z", "2026-03-08T13:00:00Z"),
        ("cn-bank", America::New_York, "2026-03-08T08:59", "2026-03-07T12:00:00Z", "unlawful by window.service_call, next 2026-03-08T09:00:00-04:00"),
        ("cn-bank", America::New_York, "2026-03-07T20:00", "2026-03-07T12:00:00Z", "unlawful by window.service_call, next 2026-03-08T09:00:00-04:00"),
        ("cn-bank", America::New_York, "2026-11-01T01:30", "2026-10-31T12:00:00Z", "unlawful by window.service_call, next 2026-11-01T09:00:00-05:00"),
        // Without hours of a law: an hour that comes twice is its first coming, and its second once that is over.
        ("wide-open", America::New_York, "2026-11-01T01:30", "2026-10-31T12:00:00Z", "2026-11-01T05:30:00Z"),
        ("wide-open", America::New_York, "2026-11-01T01:30", "2026-11-01T05:45:00Z", "2026-11-01T06:30:00Z"),
        ("wide-open", America::New_York, "2026-11-01T01:30", "2026-11-01T06:45:00Z", "past"),
        ("wide-open", Europe::Lisbon, "2026-03-29T01:15", "2026-03-28T12:00:00Z", "skipped, next 2026-03-29T02:00:00+01:00"),
        // Half an hour only.
        ("wide-open", Australia::Lord_Howe, "2026-10-04T02:15", "2026-10-03T00:00:00Z", "skipped, next 2026-10-04T02:30:00+11:00"),
    ];
    let found: Vec<String> = table.iter().map(|(policy, zone, wish, now, _)| said(policy, *zone, wish, now)).collect();
    for ((policy, zone, wish, now, expected), found) in table.iter().zip(&found) {
        assert_eq!(found, expected, "{policy} {zone} {wish} at {now}");
    }
}

/// Of a wish that is refused as unlawful the next time is lawful, and nothing before it is; of one that is taken the clock shows what was wished.
#[test]
fn the_next_lawful_time_is_the_first() {
    use touchline::domain::channel::Channel;
    use touchline::domain::law::{LawBook, Whereabouts, WindowVerdict};
    let zones = [chrono_tz::Asia::Shanghai, chrono_tz::America::New_York, chrono_tz::Europe::Lisbon, chrono_tz::Australia::Lord_Howe];
    let days = [utc("2026-03-07T00:00:00Z"), utc("2026-03-28T12:00:00Z"), utc("2026-10-03T06:00:00Z"), utc("2026-10-31T09:00:00Z")];
    let mut refused = 0;
    for policy in ["cn-bank", "us-tcpa-call", "in-trai", "uk-call"] {
        let Ok(law) = law(&[policy.to_owned()]) else { continue };
        for (zone, start) in zones.iter().flat_map(|zone| days.map(|day| (*zone, day))) {
            for minutes in (0..2 * 24 * 60).step_by(45) {
                let wish = start.utc().with_timezone(&zone).naive_local() + chrono::Duration::minutes(minutes);
                match agreed(&law, zone, wish, start) {
                    Ok(at) => {
                        assert_eq!(at.utc().with_timezone(&zone).naive_local(), wish, "{policy} {zone}");
                        assert!(at > start && at.since(start) < 3 * DAY);
                    }
                    Err(NotThen::Unlawful(next, _)) => {
                        refused += 1;
                        let verdict = |at| law.window(at, Channel::Call, Whereabouts::Zone(zone));
                        assert!(matches!(verdict(next), WindowVerdict::Open { .. }), "{policy} {zone} {wish}: {next}");
                        assert!(!matches!(verdict(next.plus(-1)), WindowVerdict::Open { .. }), "{policy} {zone} {wish}: sooner than {next}");
                    }
                    Err(NotThen::Skipped(next)) => {
                        let after = next.utc().with_timezone(&zone).naive_local();
                        assert!(after > wish && after - wish < chrono::Duration::hours(2), "{policy} {zone} {wish}: {after}");
                    }
                    Err(NotThen::Past) => assert_eq!(minutes, 0),
                    Err(other) => panic!("{policy} {zone} {wish}: {other:?}"),
                }
            }
        }
    }
    assert!(refused > 100, "{refused}");
}
