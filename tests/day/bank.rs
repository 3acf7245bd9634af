//! The bank of the day: its settings, customers, mappings, and the campaign file in its versions.
use std::fmt::Write as _;
use std::path::Path;

/// Customers on the list.
pub const CUSTOMERS: usize = 2_000;
/// The campaign.
pub const NAME: &str = "term-deposit-autumn";
/// By which the provider of sms-east signs.
pub const PROVIDER_SECRET: &str = "whsec_cHJvdmlkZXItb2Ytc21zLWVhc3QtMDEyMzQ1Njc4OQ==";

/// Somebody of the staff: name, roles, branch, reference as an RM.
type Person = (&'static str, &'static [&'static str], Option<&'static str>, Option<&'static str>);

/// Whom the morning's tokens are for.
pub const STAFF: &[Person] = &[
    ("ann", &["author", "approver"], None, None),
    ("bob", &["approver"], None, None),
    ("olga", &["operator"], None, None),
    ("eve", &["compliance"], None, None),
    ("fay", &["finance"], None, None),
    ("adam", &["admin"], None, None),
    ("core", &["system"], None, None),
    ("rita", &["rm"], Some("north"), Some("rm-0")),
    ("ravi", &["rm"], Some("south"), Some("rm-1")),
    ("rosa", &["rm"], Some("north"), Some("rm-2")),
    ("rolf", &["rm"], Some("south"), Some("rm-3")),
];

/// The RM's token of a customer.
pub fn rm_of(i: usize) -> &'static str {
    ["rita", "ravi", "rosa", "rolf"][i % 4]
}

/// The bank's reference of customer `i`, from 1.
pub fn reference(i: usize) -> String {
    format!("C{i:05}")
}

/// Their number, whole.
pub fn phone(i: usize) -> String {
    format!("+861380000{i:04}")
}

/// The zone of their clock.
pub fn zone(i: usize) -> chrono_tz::Tz {
    if i.is_multiple_of(10) { chrono_tz::Europe::London } else { chrono_tz::Asia::Shanghai }
}

/// Whether they have taken back their consent to texts long ago.
pub fn wants_no_texts(i: usize) -> bool {
    i % 20 == 7
}

/// Two kinds of carriers that contact nobody, and the worklist. Calls are a thousand times faster than the world. The gateway of sms-east takes
/// sixty a second and tells nothing by itself: its receipts come over HTTP.
pub fn settings(folder: &Path) -> String {
    let secret = folder.join("sms-east.secret");
    std::fs::write(&secret, PROVIDER_SECRET).unwrap();
    format!(
        "[log]\nlevel = 'info'\n[webhooks]\nallow_private = true\n[worklist]\ntimezone = 'Asia/Shanghai'\n\
         [[routes]]\nname = 'calls'\nchannel = 'call'\nlimit = '600/s'\nspeed = 1000\nprice = '0.12 CNY/min'\n\
         profile = {{channels = ['call'], outcomes = [\
         {{disposition = 'answered', share = '30%', after = {{fixed = '20s'}}, talk = {{fixed = '40s'}}, split = [\
         {{disposition = 'interested', share = '15%', talk = {{fixed = '90s'}}}}, {{disposition = 'not_interested', share = '40%'}}]}}, \
         {{disposition = 'no_answer', share = '50%', after = {{fixed = '25s'}}}}, {{disposition = 'busy', share = '15%', after = {{fixed = '3s'}}}}, \
         {{disposition = 'invalid_address', share = '5%', after = {{fixed = '3s'}}}}]}}\n\
         [[routes]]\nname = 'sms-east'\nchannel = 'sms'\nlimit = '60/s'\nprice = '0.045 CNY/part'\nfaults = {{lost_receipts = '100%'}}\n\
         profile = {{channels = ['sms'], accept = {{fixed = '20ms'}}, outcomes = [\
         {{disposition = 'delivered', share = '100%', told = 'receipt', after = {{fixed = '1s'}}}}]}}\n\
         [[routes]]\nname = 'desk'\nchannel = 'worklist'\nkind = 'worklist'\nlimit = '1000/s'\n\
         [receipts.sms-east]\nsecret_file = '{}'\ndispositions = {{DELIVRD = 'delivered', UNDELIV = 'undelivered'}}\n",
        secret.display()
    )
}

/// How the core bank's file becomes ours.
pub const CUSTOMER_MAP: &str = "kind: customers\nformat: csv\ncolumns:\n  ref: {column: no, required: yes}\n  phone: {column: tel, region: CN}\n  \
timezone: zone\n  language: {value: en}\n  branch: branch\n  rm: rm\n  \
consent.sms: {column: sms_ok, map: {Y: granted, N: withdrawn}, at: day, source: branch form}\n  attr.balance: {column: balance, type: decimal}\n";
/// The members of a list.
pub const MEMBER_MAP: &str = "kind: list\nformat: csv\ncolumns:\n  ref: no\n";
/// What came of it in the core bank.
pub const FACT_MAP: &str = "kind: facts\nformat: csv\ncolumns:\n  fact_ref: booking\n  customer: no\n  kind: {value: aum_daily_average}\n  \
product: {value: term-deposit}\n  amount: amount\n  currency: {value: CNY}\n  at: booked\n";

/// The customers, and one row more that fits nowhere.
pub fn customers(n: usize) -> String {
    let mut text = String::from("no,tel,zone,branch,rm,sms_ok,day,balance\n");
    for i in 1..=n {
        let branch = if i.is_multiple_of(2) { "north" } else { "south" };
        let says = if wants_no_texts(i) { "N" } else { "Y" };
        let tel = phone(i).split_off(3);
        writeln!(text, "{},{tel},{},{branch},rm-{},{says},2026-01-15,{}", reference(i), zone(i).name(), i % 4, i * 250).unwrap();
    }
    text.push_str("C99999,not a number,Asia/Shanghai,north,rm-0,Y,2026-01-15,1\n");
    text
}

/// The list: all customers by reference.
pub fn members(n: usize) -> String {
    (1..=n).fold(String::from("no\n"), |mut text, i| {
        writeln!(text, "{}", reference(i)).unwrap();
        text
    })
}

/// The campaign at a pace.
pub fn campaign(rate: &str) -> String {
    format!(
        "campaign: {NAME}\ntitle: Term deposits, autumn\nopportunity: investment\nowner: wealth-remote-centre\n\
         audience: {{list: prospects, holdout: 10%}}\nschedule: {{start: 2020-01-01T00:00, end: 2099-12-31T23:59, timezone: Asia/Shanghai}}\n\
         policy: [wide-open]\nlimits: {{rate: {rate}, budget: 50000.00 CNY}}\njourney:\n  - step: call\n    channel: call\n    routes: [calls]\n    \
         attempts: 1\n    reached: {{connected_seconds: 10}}\n  - step: again\n    after: call\n    \
         when: 'disposition == \"busy\"'\n    channel: call\n    routes: [calls]\n    reached: {{connected_seconds: 10}}\n  - step: note\n    after: call\n    \
         when: 'disposition == \"no_answer\"'\n    channel: sms\n    routes: [sms-east]\n    content: {{en: \"We tried to call you about your term deposit.\"}}\n  \
         - step: meet\n    after: call\n    when: 'disposition == \"interested\"'\n    channel: worklist\n    routes: [desk]\n    \
         content: {{en: \"Your term deposit ends soon; the new rate is 2.1 %.\"}}\n  - step: thanks\n    after: meet\n    \
         when: 'disposition == \"completed\"'\n    channel: sms\n    routes: [sms-east]\n    content: {{en: \"Thank you for your time.\"}}\n\
         stop_on: [conversion, complaint, opt_out]\nconversions:\n  - {{name: deposit, fact: aum_daily_average, product: term-deposit, window: 30d}}\n\
         finance: {{format: csv}}\n"
    )
}
