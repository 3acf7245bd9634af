//! Law 2 as a property: over every zone of the IANA database, both switches of daylight saving, leap days and the ends of the holiday tables,
//! the window's verdicts are compared with a reading of the wall clock that shares no code with them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking; helpers outside #[test] count too")]
use chrono::{DateTime, Datelike, Duration, NaiveDate, Offset, Timelike, Utc, Weekday};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use touchline::domain::channel::Channel;
use touchline::domain::consent::Purpose;
use touchline::domain::law::{Law, LawBook, Whereabouts, WindowVerdict};
use touchline::domain::time::{DAY, HOUR, MINUTE, Timestamp};
use touchline::domain::zones;

/// The Chinese table, read without the code under test: make-up working days are true, holidays false.
static CHINA: LazyLock<BTreeMap<NaiveDate, bool>> = LazyLock::new(|| {
    let rows = include_str!("../src/domain/holidays/cn.csv").lines().filter(|l| l.starts_with("20"));
    rows.map(|l| (l[..10].parse().unwrap(), l[11..].starts_with("workday"))).collect()
});

/// Whether the wall clock of `zone` says that a marketing call is lawful; written by hand from the presets' texts. `None`: cannot be told.
fn lawful(preset: &str, zone: Tz, at: Timestamp) -> Option<bool> {
    let local = at.utc().with_timezone(&zone);
    let minute = local.hour() * 60 + local.minute();
    let within = |from: u32, to: u32| (from * 60..to * 60).contains(&minute);
    Some(match preset {
        "us-tcpa-call" => within(8, 21),
        "us-fl" => within(8, 20),
        "in-trai" => within(10, 21),
        "uk-call" => match local.weekday() {
            Weekday::Sun => false,
            Weekday::Sat => within(9, 21),
            _ => within(8, 21),
        },
        "cn-bank" => {
            let date = local.date_naive();
            if !(2024..=2026).contains(&date.year()) {
                return None;
            }
            let weekday = !matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
            CHINA.get(&date).copied().unwrap_or(weekday) && (within(9, 12) || within(14, 20))
        }
        other => panic!("no reading of {other}"),
    })
}

/// Lawful by every preset in every zone; `None` as soon as one cannot be told.
fn all_lawful(policy: &[&str], zones: &[Tz], at: Timestamp) -> Option<bool> {
    let mut all = true;
    for preset in policy {
        for zone in zones {
            all &= lawful(preset, *zone, at)?;
        }
    }
    Some(all)
}

const POLICIES: &[&[&str]] = &[
    &["us-tcpa-call"],
    &["us-tcpa-call", "us-fl"],
    &["uk-call"],
    &["cn-bank"],
    &["in-trai"],
    &["cn-bank", "us-tcpa-call"],
    &["uk-call", "in-trai", "us-fl"],
];

fn law(policy: &[&str]) -> Law {
    let names: Vec<String> = policy.iter().map(|name| (*name).to_owned()).collect();
    Law::compose(&names, Purpose::Marketing, &[Channel::Call], &[]).unwrap()
}

static LAWS: LazyLock<Vec<Law>> = LazyLock::new(|| POLICIES.iter().map(|policy| law(policy)).collect());

/// Checks one verdict against the wall clock: at its ends to the millisecond, in between every `step` milliseconds.
fn check(which: usize, zones: &[Tz], whereabouts: Whereabouts, at: Timestamp, step: i64) -> Result<(), TestCaseError> {
    let (policy, law) = (POLICIES[which], &LAWS[which]);
    let told = law.window(at, Channel::Call, whereabouts);
    let context = format!("{policy:?} {whereabouts:?} {at}: {told:?}");
    prop_assert_eq!(told, law.window_anew(at, Channel::Call, whereabouts), "cache: {}", context);
    prop_assert_eq!(told, law.window(at, Channel::Call, whereabouts), "asked again: {}", context);
    let lawful = |at: Timestamp| all_lawful(policy, zones, at);
    let between = |from: Timestamp, to: Timestamp| (0..).map(move |n| from.plus(n * step)).take_while(move |t| *t < to);
    match told {
        WindowVerdict::Open { until, .. } => {
            prop_assert!(at < until, "{context}");
            for t in between(at, until).chain([until.plus(-1)]) {
                prop_assert_eq!(lawful(t), Some(true), "{} at {}", context, t);
            }
            prop_assert_ne!(lawful(until), Some(true), "{}: lawful for longer", context);
        }
        WindowVerdict::Closed { opens, .. } => {
            prop_assert!(at < opens, "{context}");
            for t in between(at, opens).chain([opens.plus(-1)]) {
                prop_assert_eq!(lawful(t), Some(false), "{} at {}", context, t);
            }
            prop_assert_eq!(lawful(opens), Some(true), "{}", context);
        }
        WindowVerdict::Refused { .. } => {
            // Either a year without a table comes before anything lawful, or nothing is lawful for 60 days.
            let first = between(at, at.plus(60 * DAY)).find(|t| lawful(*t) != Some(false));
            prop_assert!(first.is_none_or(|t| lawful(t).is_none()), "{context}: lawful at {first:?}");
        }
    }
    Ok(())
}

/// Instants at which the zone's offset changes in 2024 to 2026.
fn switches(zone: Tz) -> Vec<Timestamp> {
    let offset = |t: DateTime<Utc>| t.with_timezone(&zone).offset().fix().local_minus_utc();
    let day = |y| NaiveDate::from_ymd_opt(y, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
    let (mut day, end) = (day(2024), day(2027));
    let mut found = Vec::new();
    while day < end {
        let next = day + Duration::days(1);
        if offset(day) != offset(next) {
            let (mut before, mut after) = (day, next);
            while after - before > Duration::seconds(1) {
                let middle = before + Duration::seconds((after - before).num_seconds() / 2);
                if offset(middle) == offset(day) { before = middle } else { after = middle }
            }
            found.push(after.into());
        }
        day = next;
    }
    found
}

#[test]
fn both_switches_of_every_zone() {
    let mut seen = 0;
    for zone in TZ_VARIANTS {
        for switch in switches(zone) {
            seen += 1;
            // Around the switch, and in the daytime windows on either side of it.
            for around in [-18 * HOUR, -HOUR, -1, 0, 1, HOUR, 7 * HOUR] {
                for which in [1, 3] {
                    check(which, &[zone], Whereabouts::Zone(zone), switch.plus(around), 3 * HOUR).unwrap();
                }
            }
        }
    }
    assert!(seen > 600, "only {seen} switches found in three years of all zones");
}

fn zone() -> impl Strategy<Value = Tz> {
    (0..TZ_VARIANTS.len()).prop_map(|n| TZ_VARIANTS[n])
}
/// 2023-12-01 to 2027-02-01, so that the ends of the Chinese table are within.
fn instant() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        4 => (1_701_388_800_000..1_801_440_000_000_i64).prop_map(Timestamp),
        // 2024-02-28 to 03-02: leap day and the days around it in every zone.
        1 => (1_709_078_400_000..1_709_337_600_000_i64).prop_map(Timestamp),
        // The last days of 2026, after which the Chinese table ends.
        1 => (1_798_416_000_000..1_798_848_000_000_i64).prop_map(Timestamp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Law 2 in every zone of the IANA database.
    #[test]
    fn the_window_is_the_wall_clocks(zone in zone(), at in instant(), which in 0..POLICIES.len()) {
        check(which, &[zone], Whereabouts::Zone(zone), at, 7 * MINUTE + 1)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Of a customer whose country alone is known, every zone of the country is asked.
    #[test]
    fn a_calling_code_is_lawful_in_all_its_zones(
        code in prop::sample::select(vec![1_u16, 44, 86, 91, 49, 33, 351, 420, 61, 7]),
        at in instant(),
        which in 0..POLICIES.len(),
    ) {
        let zones = zones::of_calling_code(code).unwrap();
        let step = if zones.len() > 9 { 67 * MINUTE } else { 11 * MINUTE };
        check(which, zones, Whereabouts::CallingCode(code), at, step)?;
    }

    /// Many asks in any order over one law: the cache says what is computed anew.
    #[test]
    fn the_cache_changes_nothing(
        zones in prop::collection::vec(zone(), 1..4),
        start in instant(),
        asks in prop::collection::vec((0..4_usize, -30 * HOUR..40 * HOUR, 0..9_usize), 1..60),
        which in 0..POLICIES.len(),
    ) {
        let law = law(POLICIES[which]);
        for (place, shift, kind) in asks {
            let whereabouts = match kind {
                0 => Whereabouts::Unknown,
                1 | 2 => Whereabouts::CallingCode([351, 86, 999, 44][place]),
                _ => Whereabouts::Zone(zones[place % zones.len()]),
            };
            let at = start.plus(shift);
            prop_assert_eq!(law.window(at, Channel::Call, whereabouts), law.window_anew(at, Channel::Call, whereabouts));
        }
    }
}

#[test]
fn threads_that_share_a_law_get_the_same_answers() {
    let law = law(POLICIES[1]);
    let start = Timestamp(1_773_000_000_000);
    std::thread::scope(|scope| {
        for lane in 0..4_i64 {
            let law = &law;
            scope.spawn(move || {
                for n in 0..500 {
                    let at = start.plus((n * 37 + lane * 11) * MINUTE);
                    let whereabouts = Whereabouts::Zone(TZ_VARIANTS[(n % 7) as usize * 80]);
                    assert_eq!(law.window(at, Channel::Call, whereabouts), law.window_anew(at, Channel::Call, whereabouts));
                }
            });
        }
    });
}
