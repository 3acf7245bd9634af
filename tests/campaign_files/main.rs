//! Campaign files: the worked examples load, a bad file tells every fault at its place, rubbish never crashes the reader.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod rubbish;
mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use touchline::campaign_file::{Diagnostic, Known, fault_at, json_schema, load, load_with, render};
use touchline::domain::campaign::{CallMode, Campaign, Credit, ReachRule};
use touchline::domain::channel::Channel;
use touchline::domain::consent::Purpose;
use touchline::domain::outcome::Reason;
use touchline::domain::time::{DAY, HOUR, MINUTE};

fn examples() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("campaigns");
    let mut files: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn demo() -> Known {
    let route = |name: &str, channel| (name.to_owned(), channel);
    let words = |text: &str| Some(text.split(' ').map(str::to_owned).collect());
    Known {
        routes: vec![
            route("sip-north", Channel::Call),
            route("sip-south", Channel::Call),
            route("sms-main", Channel::Sms),
            route("sms-backup", Channel::Sms),
            route("push-main", Channel::Push),
            route("mail-main", Channel::Email),
            route("rm-desk", Channel::Worklist),
        ],
        lists: words("demo-customers"),
        attributes: words("balance housing loan age job segment product_due days_inactive name_masked"),
    }
}

fn example(name: &str) -> Campaign {
    let text = examples().into_iter().find(|(n, _)| n == name).unwrap().1;
    load_with(name, &text, &demo()).unwrap_or_else(|faults| panic!("{}", render(&faults, false)))
}

#[test]
fn every_example_loads_with_everything_known() {
    let files = examples();
    assert!(files.len() >= 9, "at least nine worked examples, found {}", files.len());
    let mut channels = BTreeSet::new();
    for (name, text) in &files {
        let campaign = load_with(&format!("campaigns/{name}.yaml"), text, &demo()).unwrap_or_else(|faults| panic!("{}", render(&faults, false)));
        assert_eq!(&campaign.name, name, "a file is named as its campaign");
        assert_eq!(campaign.audience.list, "demo-customers");
        assert!(campaign.source.contains(name.as_str()) && campaign.hash().len() == 64);
        assert!(campaign.schedule.start.to_string().as_str() >= "2026-11-24" && campaign.schedule.end.to_string().as_str() < "2027");
        channels.extend(campaign.steps.iter().map(|s| s.channel));
        // CR LF line ends change nothing.
        load_with(name, &text.replace('\n', "\r\n"), &demo()).unwrap_or_else(|faults| panic!("{}", render(&faults, false)));
    }
    assert_eq!(channels.len(), Channel::ALL.len(), "every channel has an example");
}

#[test]
fn a_file_becomes_the_campaign_that_it_says() {
    let c = example("term-deposit-2026q4");
    assert_eq!((c.audience.holdout_ppm, c.priority, c.purpose), (100_000, 5, Purpose::Marketing));
    assert_eq!(c.audience.filter.as_ref().unwrap().source(), "balance >= 1000 && housing == \"no\"");
    assert_eq!(c.schedule.starts_at().to_string(), "2026-11-24T01:00:00Z");
    assert_eq!(c.schedule.ends_at().to_string(), "2026-12-15T12:00:00Z");
    assert_eq!((c.schedule.cron.as_deref(), c.schedule.wave, c.schedule.lateness_ms), (Some("0 0 9 * * Mon-Fri"), Some(20_000), 2 * HOUR));
    assert_eq!(c.limits.rate.unwrap().to_string(), "200/s");
    assert_eq!(c.limits.budget.unwrap().to_string(), "50000.00 CNY");
    assert_eq!((c.steps.len(), c.steps[0].mode, c.steps[0].attempts), (3, CallMode::Predictive, 3));
    assert_eq!(c.steps[0].retry, BTreeMap::from([(Reason::Busy, 30 * MINUTE), (Reason::NoAnswer, 4 * HOUR), (Reason::Voicemail, DAY)]));
    assert_eq!(c.steps[0].reached, ReachRule::ConnectedSeconds(30));
    assert_eq!(c.steps[1].after.unwrap().0, 0);
    assert_eq!(c.steps[1].wait_ms, DAY);
    assert_eq!(c.steps[1].content[0].texts.iter().map(|(l, _)| l.as_str()).collect::<Vec<_>>(), ["zh-CN", "en"]);
    assert_eq!((c.conversions[0].window_ms, c.conversions[0].credit), (30 * DAY, Credit::LastReached));
    assert_eq!(c.finance.as_ref().unwrap().mail.as_deref(), Some("finance@bank.example"));
    assert!(c.stop_on.conversion && c.stop_on.complaint && c.stop_on.opt_out);

    let c = example("ab-of-two-texts");
    let variants: Vec<(&str, u32)> = c.steps[0].content.iter().map(|v| (v.name.as_str(), v.weight)).collect();
    assert_eq!(variants, [("plain", 3), ("benefit-first", 1)]);
    let text = &c.steps[0].content[1].texts[1].1;
    let rendered = text.body.render(&serde_json::json!({"name_masked": "Mr L."})).unwrap();
    assert!(rendered.starts_with("[Bank] Mr L., free transfers"), "{rendered}");

    assert_eq!(example("payment-date-sms").purpose, Purpose::Service);
    assert_eq!(example("fund-sip-in-waves").audience.holdout_ppm, 125_000);
    assert!(example("event-invitation-email").steps[0].content[0].texts[0].1.subject.is_some());
}

/// A file in which almost every line is wrong.
const BAD: &str = r#"campain: Term Deposit
title: 定期存款
opportunity: investments
owner: 42
purpose: marketing
priority: 12
currency: EUR
audience:
  list: demo-customer
  where: 'balanc >= 1000 and housing == "no"'
  holdout: 95%
schedule:
  start: 2026-11-31T09:00
  end: 2026-12-15
  timezone: Asia/Shanghia
  cron: "0 9 * * Mon-Fri"
policy: []
limits: {rate: 0/s, budget: 100.005 CNY, caps: [{count: 0, per: 7, chanel: call}]}
journey:
  - step: call
    after: rm
    channel: call
    routes: [sip-nort, sms-main]
    attempts: 0
    retry: {bussy: 30m, undelivered: 1d, answered: 1h}
    reached: opened
  - step: sms
    after: call
    when: 'outcome == "missed"'
    channel: sms
    content: {zh_CN: "尊敬的{{ nmae_masked }}", en: "Dear {{ name_masked }"}
  - {step: rm, after: sms, channel: worklist}
  - {step: sms, after: cal, channel: email, content: {zh-CN: "无主题"}}
  - {step: push, channel: push}
stop_on: [complaints]
conversions: [{name: deposit, fact: aum_daily_average, window: 30d, window: 60d}]
finance: {format: xlsx, mail: nobody}
"#;

/// Its faults: line, column, and how the message begins.
const EVERY_FAULT: &str = r#"1:1 unknown key "campain" in a campaign
3:14 "investments" is not known here
4:8 found the number 42
6:11 found the number 12
9:9 the list "demo-customer" is not known
10:26 found "and" where the end of the expression
11:12 the share 95% is out of range
13:10 2026-11-31 is not a day of the calendar
14:8 the time of day is missing after 2026-12-15
15:13 the time zone "Asia/Shanghia" is not known
16:9 the cron expression has 5 fields
17:9 no preset is named
18:16 a rate of 0 sends nothing
18:29 100.005 has more than 2 decimal places
18:57 found the number 0
18:65 the duration 7 has no unit
18:68 unknown key "chanel" in a cap
21:12 these steps follow each other in a circle: call -> sms -> rm -> call
23:14 the route "sip-nort" is not configured
23:24 the route sms-main is of channel sms, this step is of call
24:15 found the number 0
25:13 there is no disposition "bussy"
25:25 undelivered cannot come of channel call
25:42 answered is a customer reached; only who was missed is tried again
26:14 the rule opened does not fit the channel call
29:23 no step ever ends with outcome "missed"
31:15 "zh_CN" is not a language tag
31:29 the text in zh_CN uses "nmae_masked", which no customer has
31:51 the template in en does not compile: syntax error: unexpected `}`
33:12 the step "sms" stands twice
33:24 there is no step "cal"
33:55 the e-mail in zh-CN has no subject
34:12 this step sends by push, but has no `content`
35:11 "complaints" is not known here
36:69 the key "window" stands here a second time
37:19 "xlsx" is not known here
37:31 this is not an e-mail address"#;

fn places(faults: &[Diagnostic]) -> Vec<String> {
    faults.iter().map(|f| format!("{}:{} {}", f.line, f.column, f.message)).collect()
}

#[test]
fn a_bad_file_tells_every_fault_at_once() {
    let faults = load_with("bad.yaml", BAD, &demo()).unwrap_err();
    let found = places(&faults);
    let expected: Vec<&str> = EVERY_FAULT.lines().collect();
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.starts_with(expected), "expected {expected:?}, found {found:?}");
    }
    assert_eq!(found.len(), expected.len(), "{}", found.join("\n"));
}

#[test]
fn positions_count_characters_after_chinese_tabs_and_crlf() {
    let text = "campaign: a\ntitle: \"标题\"   # 注释\nowner: o\nopportunity: service\npolicy: [cn-bank]\naudience: {list: l}\nschedule: {start: 2026-11-24T09:00, end: 2026-12-01T09:00, timezone: Asia/Shanghai}\njourney:\n- {step: s, channel: sms, content: {zh-CN: \"您好\t{{ unbekannt }}\", en: \"{{ unknown }}\"}}\n";
    let known = Known { attributes: Some(vec![]), ..Known::default() };
    for (ends, text) in
        [("LF", text.to_owned()), ("CRLF", text.replace('\n', "\r\n")), ("CR", text.replace('\n', "\r")), ("BOM", format!("\u{feff}{text}"))]
    {
        let faults = load_with("f", &text, &known).unwrap_err();
        assert_eq!(faults.iter().map(|f| (f.line, f.column)).collect::<Vec<_>>(), [(9, 51), (9, 74)], "{ends}: {}", render(&faults, false));
        let (first, second) = (&faults[0].span, &faults[1].span);
        assert_eq!(&text[first.offset..first.offset + first.length], "unbekannt", "{ends}");
        assert_eq!(&text[second.offset..second.offset + second.length], "unknown", "{ends}");
        assert!(faults[1].message.contains("text in en") && faults[0].message.contains("text in zh-CN"));
    }
}

#[test]
fn broken_yaml_is_one_fault_with_its_place() {
    for (text, line, what) in [
        ("campaign: a\ntitle: \"open\nowner: b\n", 2, "quote"),
        ("campaign: a\n\ttitle: b\n", 2, "tab"),
        ("campaign: [a, b\ntitle: c\n", 2, "bracket"),
        ("a: b: c\n", 1, "colon"),
    ] {
        let faults = load("f", text).unwrap_err();
        assert_eq!(faults.len(), 1, "{what}: {faults:?}");
        assert!(faults[0].line >= line && faults[0].message.starts_with("this is not YAML"), "{what}: {:?}", places(&faults));
    }
    assert!(load("f", "").unwrap_err()[0].message.contains("empty"));
    assert!(load("f", "a: 1\n---\nb: 2\n").unwrap_err()[0].message.contains("second document"));
    assert!(load("f", &"x".repeat(2 << 20)).unwrap_err()[0].message.contains("bytes"));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n";
    assert!(load("f", bomb).unwrap_err()[0].message.contains("alias"));
}

/// The faults of an example with one stretch of it replaced.
fn after(name: &str, from: &str, to: &str) -> Vec<Diagnostic> {
    let text = examples().into_iter().find(|(n, _)| n == name).unwrap().1;
    assert!(text.contains(from), "{name} has no {from:?}");
    match load_with(name, &text.replacen(from, to, 1), &demo()) {
        Ok(_) => panic!("{name} with {to:?} for {from:?} was accepted"),
        Err(faults) => faults,
    }
}

#[test]
fn one_change_one_fault() {
    let cases = [
        ("term-deposit-2026q4", "end: 2026-12-15T20:00", "end: 2026-11-24T09:00", "is not after the start"),
        ("term-deposit-2026q4", "end: 2026-12-15T20:00", "end: 2026-02-30T20:00", "2026-02-30 is not a day of the calendar"),
        ("term-deposit-2026q4", "end: 2026-12-15T20:00", "end: 2026-12-15T20:00+08:00", "carries a zone of its own"),
        ("term-deposit-2026q4", "\"0 0 9 * * Mon-Fri\"", "\"0 0 9 30 2 *\"", "no wave starts"),
        ("term-deposit-2026q4", "\"0 0 9 * * Mon-Fri\"", "\"0 0 25 * * *\"", "cron"),
        ("term-deposit-2026q4", "50000.00 CNY", "-5.00 CNY", "not above 0"),
        ("term-deposit-2026q4", "50000.00 CNY", "50000.001 CNY", "decimal places"),
        ("term-deposit-2026q4", "50000.00 CNY", "50000", "no currency"),
        ("term-deposit-2026q4", "rate: 200/s", "rate: 200", "not a rate"),
        ("term-deposit-2026q4", "attempts: 3", "attempts: 1", "no effect"),
        ("term-deposit-2026q4", "reached: {connected_seconds: 30}", "reached: delivered", "does not fit the channel call"),
        ("term-deposit-2026q4", "wait: 1d", "wait: 1", "has no unit"),
        ("journey-of-four-steps", "after: push", "after: rm", "these steps follow each other in a circle: sms -> call -> rm -> sms"),
        ("term-deposit-2026q4", "after: call", "after: follow-up", "follows itself"),
        ("term-deposit-2026q4", "after: call", "after: coll", "no step \"coll\""),
        ("term-deposit-2026q4", "balance >= 1000 &&", "balance >= &&", "where a value should stand"),
        ("term-deposit-2026q4", "balance >= 1000 &&", "balance = 1000 &&", "has no meaning"),
        ("term-deposit-2026q4", "balance >= 1000 && housing == \"no\"", "balance + 1", "gives a number"),
        ("term-deposit-2026q4", "balance >= 1000 && housing == \"no\"", "sise(housing) > 1", "function \"sise\""),
        ("term-deposit-2026q4", "balance >= 1000 && housing == \"no\"", "outcome == \"busy\"", "not known yet"),
        ("term-deposit-2026q4", "disposition == \"interested\"", "disposition == \"intrested\"", "no step ever ends with"),
        ("term-deposit-2026q4", "policy: [cn-bank]", "policy: [cn-bank, cn-bank]", "named twice"),
        ("term-deposit-2026q4", "cron: ", "crno: ", "unknown key \"crno\""),
        ("term-deposit-2026q4", "mail: finance@bank.example", "mail: finance at bank", "not an e-mail address"),
        ("payment-date-sms", "purpose: service", "purpose: servce", "not known here"),
        ("payment-date-sms", "stop_on: [complaint", "stop_on: [conversion", "no conversion is defined"),
        ("payment-date-sms", "{undelivered: 2h}", "{no_answer: 2h}", "cannot come of channel sms"),
        ("payment-date-sms", "{undelivered: 2h}", "{delivered: 2h}", "is a customer reached"),
        ("payment-date-sms", "{undelivered: 2h}", "{no_receipt: 2h}", "never repeated"),
        ("wake-up-dormant-push", "reached: opened", "reached: delivered", "not_opened cannot occur"),
        ("event-invitation-email", "        subject: 名额有限：年终财富论坛\n", "", "no subject"),
        ("event-invitation-email", "{% endif %}", "", "does not compile"),
        ("event-invitation-email", "{{ title }}", "{{ title | shout }}", "filter"),
        (
            "ab-of-two-texts",
            "            en: \"[Bank] {{ name_masked }}, free transfers",
            "            fr: \"[Bank] {{ name_masked }}, free transfers",
            "this variant speaks fr, zh-CN",
        ),
        ("ab-of-two-texts", "name: benefit-first", "name: plain", "stands twice"),
        ("ab-of-two-texts", "weight: 1", "weight: 0", "the number 0"),
        ("journey-of-four-steps", "channel: push", "channel: pusch", "not known here"),
        ("journey-of-four-steps", "mode: preview", "mode: previw", "not known here"),
        ("rm-follow-up", "routes: [rm-desk]", "routes: [sms-main]", "is of channel sms"),
        ("rm-follow-up", "routes: [rm-desk]", "mode: preview", "`mode` is of calls"),
        ("journey-of-four-steps", "mode: preview", "skill: funds", "`skill` is of the worklist"),
    ];
    for (name, from, to, message) in cases {
        let faults = after(name, from, to);
        assert!(faults.iter().any(|f| f.message.contains(message)), "{name}: {to:?} for {from:?} gave\n{}", render(&faults, false));
        let allowed = if to.contains("pusch") { 2 } else { 1 };
        assert!(faults.len() <= allowed, "{name}: {to:?} for {from:?} should be one fault:\n{}", render(&faults, false));
    }
}

#[test]
fn help_names_the_nearest_right_name() {
    for (name, from, to, help) in [
        ("term-deposit-2026q4", "cron: ", "crno: ", "did you mean `cron`?"),
        ("term-deposit-2026q4", "timezone: Asia/Shanghai", "timezone: Shanghai", "did you mean `Asia/Shanghai`?"),
        ("term-deposit-2026q4", "timezone: Asia/Shanghai", "timezone: Asia/Shanghia", "did you mean `Asia/Shanghai`?"),
        ("term-deposit-2026q4", "list: demo-customers", "list: demo-custmers", "did you mean `demo-customers`?"),
        ("term-deposit-2026q4", "{{ product_due }}", "{{ product_du }}", "did you mean `product_due`?"),
        ("term-deposit-2026q4", "\"0 0 9 * * Mon-Fri\"", "\"0 9 * * Mon-Fri\"", "put the second in front: \"0 0 9 * * Mon-Fri\""),
        ("payment-date-sms", "zh-CN:", "zh_cn:", "did you mean `zh-CN`?"),
        ("payment-date-sms", "[sms-main, sms-backup]", "[sms_main, sms-backup]", "did you mean `sms-main`?"),
        ("payment-date-sms", "{undelivered: 2h}", "{undeliverd: 2h}", "did you mean `undelivered`?"),
    ] {
        let faults = after(name, from, to);
        assert!(faults.iter().any(|f| f.help.as_deref() == Some(help)), "{to:?}: {}", render(&faults, false));
    }
}

#[test]
fn rendering_underlines_and_is_plain_without_colour() {
    let faults = after("term-deposit-2026q4", "cron: ", "crno: ");
    let plain = render(&faults, false);
    assert!(plain.is_ascii() || !plain.contains('\u{1b}'), "{plain}");
    assert!(!plain.contains('\u{1b}') && plain.contains("crno") && plain.contains("^^^^") && plain.contains("did you mean `cron`?"), "{plain}");
    assert!(plain.contains("[term-deposit-2026q4:17:3]"), "{plain}");
    assert!(render(&faults, true).contains('\u{1b}'));
    let json = serde_json::to_value(&faults).unwrap();
    assert_eq!((&json[0]["line"], &json[0]["column"], &json[0]["span"]["length"]), (&17.into(), &3.into(), &4.into()));
    assert!(json[0].get("page").is_none() && json[0]["message"].as_str().unwrap().contains("crno"));
    // What could move a terminal's cursor is not passed on.
    let escape = load("f", "campaign: \"\u{1b}[2J\"\n\u{202e}x: 1\n").unwrap_err();
    assert!(!render(&escape, false).contains(['\u{1b}', '\u{202e}']), "{:?}", render(&escape, false));
    let policy = fault_at("f", "a: 1\npolicy: [nowhere]\n", "policy.0", "not in force");
    assert_eq!((policy.line, policy.column, policy.span.length), (2, 10, 7));
}

#[test]
fn faults_inside_a_block_of_text_stand_on_their_own_line() {
    let faults = after("event-invitation-email", "您的邀请编号：{{ reference }}", "您的邀请编号：{{ referense }}");
    assert_eq!(places(&faults), ["35:21 the text in zh-CN uses \"referense\", which no customer has"]);
    let faults = after("event-invitation-email", "Your invitation number: {{ reference }}", "Your invitation number: {{ reference | shout }}");
    assert_eq!(places(&faults), ["45:11 the template in en cannot be filled in: unknown filter: filter shout is unknown"]);
    let faults = after("event-invitation-email", "You are warmly invited", "You are {{ warmly invited");
    assert!(places(&faults)[0].starts_with("42:11 the template in en does not compile"), "{:?}", places(&faults));
    let faults = after("payment-date-sms", "zh-CN: 【银行】尊敬的", "zh-CN: {{ name_masked }} #");
    assert_eq!(places(&faults).len(), 1, "{:?}", places(&faults));
}

#[test]
fn rubbish_in_expressions_and_templates_is_a_fault() {
    let deep = format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000));
    let long = "a + ".repeat(3_000) + "a";
    let nots = "!".repeat(3_000) + "a";
    let rubbish = [
        "1 +",
        "((((",
        "\"",
        "'\\q'",
        "a..b",
        "a[",
        "{",
        "💥",
        "a ? b",
        "in in in",
        "0x",
        "1e",
        "a.exists(",
        "a.all(x)",
        ".",
        "b'x'",
        "99999999999999999999 > a",
        &deep,
        &long,
        &nots,
    ];
    for text in rubbish {
        let quoted = text.replace('\'', "''");
        let faults = after("term-deposit-2026q4", "balance >= 1000 && housing == \"no\"", &quoted);
        assert!(!faults.is_empty() && faults.iter().all(|f| f.line == 10), "{text}: {}", render(&faults, false));
    }
    let loops = "{% for a in range(99999999) %}{% for b in range(99999999) %}x{% endfor %}{% endfor %}";
    let nested = format!("{}x{}", "{% if a %}".repeat(4_000), "{% endif %}".repeat(4_000));
    for text in ["{{", "{% if %}", "{{ 1 + }}", "{% include 'x' %}", "{{ f() }}", "{{ a is odd_one }}", loops, &nested] {
        let faults = after("payment-date-sms", "【银行】尊敬的", &format!("\"{text}\" #"));
        assert!(!faults.is_empty(), "{text}");
    }
}

#[test]
fn what_stands_just_inside_the_limits_compiles() {
    let text = examples().into_iter().find(|(n, _)| n == "term-deposit-2026q4").unwrap().1;
    let sum = format!("{}a > 1", "a + ".repeat(99));
    let either = format!("{}a == 1", "a == 1 || ".repeat(49));
    let deep = format!("{}a > 1{}", "(".repeat(23), ")".repeat(23));
    let names = format!("job in [{}]", (0..400).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", "));
    for expression in [sum, either, deep, names] {
        let changed = text.replacen("balance >= 1000 && housing == \"no\"", &expression, 1);
        let campaign = load("f", &changed).unwrap_or_else(|faults| panic!("{}", render(&faults, false)));
        let values = [("a", touchline::domain::expression::Value::Int(1)), ("job", touchline::domain::expression::Value::Text("7".into()))];
        assert!(campaign.audience.filter.unwrap().holds(values).is_ok());
    }
    // Every function that is offered exists.
    for (expression, answer) in [
        ("size(job) == 1", true),
        ("job.contains(\"7\") && job.startsWith(\"7\") && job.endsWith(\"7\") && job.matches(\"^[0-9]$\")", true),
        ("int(job) == 7 && double(job) == 7.0 && string(a) == \"1\"", true),
        ("[1, 2].exists(x, x == a) && [1].all(x, x == a) && [1, 2].exists_one(x, x == a)", true),
        ("size([1, 2].filter(x, x == a)) == 1 && [1, 2].map(x, x + a) == [2, 3]", true),
        ("a > 1 ? true : job == \"8\"", false),
    ] {
        let changed = text.replacen("balance >= 1000 && housing == \"no\"", expression, 1);
        let campaign = load("f", &changed).unwrap_or_else(|faults| panic!("{}", render(&faults, false)));
        let values = [("a", touchline::domain::expression::Value::Int(1)), ("job", touchline::domain::expression::Value::Text("7".into()))];
        assert_eq!(campaign.audience.filter.unwrap().holds(values), Ok(answer), "{expression}");
    }
}

#[test]
fn presets_are_judged_by_the_law_itself() {
    let text = examples().into_iter().find(|(n, _)| n == "payment-date-sms").unwrap().1.replace("[cn-bank]", "[cn-bank, cn-bnak]");
    let law = touchline::domain::law::Law::compose(&["cn-bnak".into()], Purpose::Service, &[], &[]);
    match (law, load("f", &text)) {
        (Ok(_), loaded) => assert!(loaded.is_ok(), "the law knows it, so the file may name it"),
        (Err(faults), loaded) => {
            let told = loaded.unwrap_err();
            assert_eq!(places(&told), [format!("19:19 {}", faults[0])]);
            assert_eq!(told[0].span.length, "cn-bnak".len());
        }
    }
}
