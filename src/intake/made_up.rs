//! Made-up customers and facts, for the demo and for measuring: the same for the same seed. No number, address or name is anybody's:
//! telephone numbers lie in the mobile block 154, which has never been given to an operator, addresses at domains of RFC 2606.
use crate::domain::time::{DAY, Timestamp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::{self, Write};

/// The mapping for what `write_customers` writes.
pub const MADE_UP_CUSTOMERS_MAP: &str = r#"kind: customers
format: csv
columns:
  ref: ref
  phone: {column: phone, region: CN}
  email: email
  push.fcm: push_token
  timezone: timezone
  language: language
  branch: branch
  rm: rm
  consent.call: consent_call
  consent.sms: consent_sms
  consent.push: consent_push
  consent.email: consent_email
  attr.balance: {column: balance, type: decimal}
  attr.age: {column: age, type: int}
  attr.job: job
  attr.housing: housing
  attr.loan: loan
  attr.segment: segment
  attr.product_due: {column: product_due, type: date}
  attr.days_inactive: {column: days_inactive, type: int}
  attr.name_masked: name_masked
"#;

/// The mapping for what `write_facts` writes.
pub const MADE_UP_FACTS_MAP: &str = r#"kind: facts
format: csv
columns:
  fact_ref: fact_ref
  customer: customer
  kind: kind
  product: product
  amount: amount
  currency: currency
  at: at
"#;

const CUSTOMERS_HEADER: &str = "ref,phone,email,push_token,timezone,language,branch,rm,consent_call,consent_sms,consent_push,consent_email,\
balance,age,job,housing,loan,segment,product_due,days_inactive,name_masked\n";
const JOBS: [&str; 10] =
    ["employee", "management", "technician", "services", "self-employed", "retired", "student", "entrepreneur", "civil-servant", "unknown"];
const ZONES: [&str; 6] = ["Asia/Urumqi", "Asia/Hong_Kong", "Asia/Singapore", "America/New_York", "Europe/London", "Australia/Sydney"];
const SURNAMES: [&str; 10] = ["王", "李", "张", "刘", "陈", "杨", "黄", "赵", "吴", "周"];
/// Rows between two writes.
const BUFFERED: usize = 1 << 16;

/// The reference of the `i`-th made-up customer (from 1).
pub fn reference(i: u64) -> String {
    format!("c{i:09}")
}

/// Writes `n` customers as CSV, header included.
///
/// # Errors
/// What `out` says.
pub fn write_customers(out: &mut dyn Write, n: u64, seed: u64) -> io::Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut text = Vec::with_capacity(BUFFERED + 1024);
    text.extend_from_slice(CUSTOMERS_HEADER.as_bytes());
    for i in 1..=n {
        customer(&mut text, i, &mut random)?;
        if text.len() >= BUFFERED {
            out.write_all(&text)?;
            text.clear();
        }
    }
    out.write_all(&text)?;
    out.flush()
}

fn customer(text: &mut Vec<u8>, i: u64, random: &mut ChaCha8Rng) -> io::Result<()> {
    // 61,803,399 and 10^8 have no common factor: every customer of the first hundred million has a number of his own.
    let number = i.wrapping_mul(61_803_399) % 100_000_000;
    write!(text, "c{i:09},+86154{number:08},")?;
    let mut percent = || random.random_range(0..100_u32);
    if percent() < 70 {
        write!(text, "c{i}@example.{}", if i.is_multiple_of(3) { "org" } else { "com" })?;
    }
    text.push(b',');
    if percent() < 60 {
        write!(text, "made-up-{:016x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15))?;
    }
    text.push(b',');
    let zone = match percent() {
        0..=93 => "Asia/Shanghai",
        94..=96 => pick(&ZONES, percent()),
        _ => "",
    };
    let language = if zone == "Asia/Shanghai" && percent() < 96 { "zh-CN" } else { "en" };
    write!(text, "{zone},{language},b{:04},rm{:05},", i % 1200, i % 9000)?;
    // Granted, withdrawn, nothing on record: calls and texts are asked for when an account is opened, e-mail rarely.
    for (granted, withdrawn) in [(72, 9), (78, 7), (64, 12), (41, 6)] {
        text.extend_from_slice(match percent() {
            p if p < granted => b"granted,".as_slice(),
            p if p < granted + withdrawn => b"withdrawn,",
            _ => b",",
        });
    }
    // Balances spread over orders of magnitude, and one in twelve is overdrawn.
    let cents = match percent() {
        0..=7 => -i64::from(random.random_range(1..300_000_u32)),
        p => i64::from(random.random_range(0..10_000_u32)) * 10_i64.pow(p % 5),
    };
    let sign = if cents < 0 { "-" } else { "" };
    write!(text, "{sign}{}.{:02},", cents.abs() / 100, cents.abs() % 100)?;
    let mut percent = || random.random_range(0..100_u32);
    let age = 18 + percent() * 3 / 5;
    let segment = match cents {
        50_000_000.. => "private",
        5_000_000.. => "affluent",
        _ => "mass",
    };
    let housing = if percent() < 52 { "yes" } else { "no" };
    let loan = if percent() < 16 { "yes" } else { "no" };
    write!(text, "{age},{},{housing},{loan},{segment},", pick(&JOBS, percent()))?;
    if percent() < 25 {
        write!(text, "2026-12-{:02}", 1 + percent() % 31)?;
    }
    let inactive = if percent() < 30 { 90 + percent() * 5 } else { percent() % 60 };
    write!(text, ",{inactive},{}**", pick(&SURNAMES, percent()))?;
    text.push(b'\n');
    Ok(())
}

/// Writes facts of about one in eight of the customers of `write_customers(n)`, over 30 days from `from`: loan drawdowns, and average assets
/// under management of a day, with and without a term deposit.
///
/// # Errors
/// What `out` says.
pub fn write_facts(out: &mut dyn Write, n: u64, seed: u64, from: Timestamp) -> io::Result<()> {
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0xfac7);
    let mut text = Vec::with_capacity(BUFFERED + 1024);
    text.extend_from_slice(b"fact_ref,customer,kind,product,amount,currency,at\n");
    for i in 1..=n {
        let (kind, product, cents) = match random.random_range(0..1000_u32) {
            0..=29 => ("loan_drawdown", "consumer-loan", random.random_range(100_000..20_000_000_u64)),
            30..=69 => ("aum_daily_average", "term-deposit", random.random_range(1_000_000..100_000_000_u64)),
            70..=129 => ("aum_daily_average", "fund", random.random_range(100_000..50_000_000_u64)),
            _ => continue,
        };
        let at = from.plus(i64::from(random.random_range(0..u32::try_from(30 * DAY / 1000).unwrap_or(u32::MAX))) * 1000);
        writeln!(text, "f{i:09},c{i:09},{kind},{product},{}.{:02},CNY,{at}", cents / 100, cents % 100)?;
        if text.len() >= BUFFERED {
            out.write_all(&text)?;
            text.clear();
        }
    }
    out.write_all(&text)?;
    out.flush()
}

fn pick<'a>(of: &[&'a str], percent: u32) -> &'a str {
    of.get(percent as usize % of.len().max(1)).copied().unwrap_or_default()
}
