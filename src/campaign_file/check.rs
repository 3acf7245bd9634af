//! From the tree to a [`Campaign`]: all but the journey (`journey`) and what is said (`content`).
use super::Known;
use super::diagnostic::Diagnostic;
use super::journey;
use super::reader::{Faults, Fields, one_of};
use super::texts::{self, Scope};
use super::tree::{Kind, Node, cut};
use crate::domain::campaign::{Audience, Campaign, ConversionRule, Credit, ExportFormat, Finance, Limits, Opportunity, Schedule, StopOn};
use crate::domain::caps::Cap;
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::ids::RuleNo;
use crate::domain::law::Law;
use crate::domain::money::Currency;
use crate::domain::time::{HOUR, MINUTE, SECOND, Timestamp};
use crate::domain::waves::next_wave;
use std::collections::HashSet;
use std::ops::Range;

/// Priority unless told.
const PRIORITY: u8 = 5;
/// The largest holdout, in percent.
const HOLDOUT: u32 = 90;
/// A wave missed by more than this is skipped, unless told.
const LATENESS: i64 = HOUR;

pub(super) fn campaign(mut faults: Faults, known: &Known, root: &Node) -> Result<Campaign, Vec<Diagnostic>> {
    let campaign = read(&mut faults, known, root);
    match campaign {
        Some(campaign) if faults.len() == 0 => Ok(campaign),
        _ => {
            if faults.len() == 0 {
                // Every way to `None` notes a fault; should one be forgotten, a file must still not be refused in silence.
                faults.add(&root.at, "this is not a campaign").help("compare it with the examples in campaigns/");
            }
            Err(faults.finish())
        }
    }
}

fn read(faults: &mut Faults, known: &Known, root: &Node) -> Option<Campaign> {
    let top = match &root.kind {
        Kind::Map(entries) => entries.first().map_or(0..0, |e| e.key_at.clone()),
        _ => root.at.clone(),
    };
    let mut fields = Fields::open(faults, root, &top, "a campaign")?;
    let name =
        fields.must("campaign", "a name of lower-case letters, digits and hyphens").and_then(|e| slug(faults, &e.value, "the campaign's name"));
    let title = fields.must("title", "a title for people").and_then(|e| line(faults, &e.value, "a title for people", 200));
    let opportunities: Vec<_> = Opportunity::ALL.iter().map(|o| (o.name(), *o)).collect();
    let opportunity = fields
        .must("opportunity", "one of investment, financing, settlement, activity, service")
        .and_then(|e| faults.choice(&e.value, &opportunities));
    let owner = fields.must("owner", "the team that owns the campaign").and_then(|e| line(faults, &e.value, "the team that owns the campaign", 100));
    let purposes: Vec<_> = Purpose::ALL.iter().map(|p| (p.name(), *p)).collect();
    let purpose = fields.value("purpose").map_or(Some(Purpose::Marketing), |n| faults.choice(n, &purposes));
    let priority = fields.value("priority").map_or(Some(u64::from(PRIORITY)), |n| faults.whole(n, 0, 9, "the priority"));
    let stated = fields.value("currency").map(|n| (n, faults.currency(n)));
    let audience =
        fields.must("audience", "whom to contact: `list`, and if wanted `where` and `holdout`").map(|e| audience(faults, known, &e.value, &e.key_at));
    let schedule = fields.must("schedule", "when: `start`, `end`, `timezone`").map(|e| schedule(faults, &e.value, &e.key_at));
    let policy_entry = fields.must("policy", "names of presets such as [cn-bank]");
    let policy = policy_entry.and_then(|e| policy(faults, &e.value, purpose.unwrap_or(Purpose::Marketing)));
    let limits = fields.get("limits").map_or(Some(Limits::default()), |e| limits(faults, &e.value, &e.key_at));
    let journey_entry = fields.must("journey", "a list of steps");
    let steps = journey_entry.and_then(|e| journey::steps(faults, known, &e.value, &e.key_at));
    let stop_entry = fields.get("stop_on");
    let stop_on = stop_entry.map_or(Some(StopOn { conversion: false, complaint: true, opt_out: true }), |e| stop_on(faults, &e.value));
    let conversions_entry = fields.get("conversions");
    let conversions = conversions_entry.map_or(Some(Vec::new()), |e| conversions(faults, &e.value));
    let finance = fields.get("finance").map(|e| finance(faults, &e.value, &e.key_at));
    fields.close(faults);

    if let (Some(entry), Some(stop)) = (stop_entry, stop_on)
        && stop.conversion
        && conversions_entry.is_none_or(|e| matches!(&e.value.kind, Kind::List(l) if l.is_empty()))
    {
        faults
            .add(&entry.value.at, "the journey stops on a conversion, but no conversion is defined")
            .help("add `conversions`, or take `conversion` out of `stop_on`");
    }
    if let (Some(entry), Some(names), Some(purpose), Some(steps), Some(limits)) = (policy_entry, &policy, purpose, &steps, &limits) {
        let channels: Vec<Channel> = Channel::ALL.into_iter().filter(|c| steps.iter().any(|s| s.channel == *c)).collect();
        for fault in Law::compose(names, purpose, &channels, &limits.caps).err().into_iter().flatten() {
            faults.add(&entry.value.at, fault);
        }
    }
    let currency = match (stated, limits.as_ref().and_then(|l| l.budget)) {
        (Some((node, Some(stated))), Some(budget)) if stated != budget.currency => {
            faults
                .add(&node.at, format!("the currency is {stated}, but the budget is in {}", budget.currency))
                .help("a campaign counts its costs in one currency");
            None
        }
        (Some((_, stated)), _) => stated,
        (None, Some(budget)) => Some(budget.currency),
        (None, None) => Some(Currency::CNY),
    };
    Some(Campaign {
        name: name?,
        title: title?,
        opportunity: opportunity?,
        owner: owner?,
        purpose: purpose?,
        priority: u8::try_from(priority?).ok()?,
        audience: audience??,
        schedule: schedule??,
        policy: policy?,
        limits: limits?,
        steps: steps?,
        stop_on: stop_on?,
        conversions: conversions?,
        finance: match finance {
            Some(finance) => Some(finance?),
            None => None,
        },
        currency: currency?,
        source: faults.page.text().to_owned(),
    })
}

/// A name of lower-case letters, digits and hyphens, at most 64.
pub(super) fn slug(faults: &mut Faults, node: &Node, what: &str) -> Option<String> {
    let expected = format!("{what}: lower-case letters, digits and hyphens, at most 64, such as term-deposit-2026q4");
    let text = faults.text(node, &expected)?;
    let fits = |t: &str| {
        (1..=64).contains(&t.len())
            && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !t.starts_with('-')
            && !t.ends_with('-')
    };
    if fits(text) {
        return Some(text.to_owned());
    }
    let mended: String = text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mended = mended.trim_matches('-').to_owned();
    let noted = faults.add(&node.at, format!("{:?} is not a name", cut(text))).expected(expected);
    if fits(&mended) && mended.bytes().any(|b| b != b'-') {
        noted.help(format!("such as `{mended}`"));
    }
    None
}

/// One line of text.
pub(super) fn line(faults: &mut Faults, node: &Node, what: &str, most: usize) -> Option<String> {
    let text = faults.text(node, what)?;
    if text.chars().any(char::is_control) {
        faults.add(&node.at, "found a line break or a control character").expected(format!("{what}, on one line"));
        return None;
    }
    if text.chars().count() > most {
        faults.add(&node.at, format!("found {} characters", text.chars().count())).expected(format!("{what}, at most {most} characters"));
        return None;
    }
    Some(text.to_owned())
}

fn audience(faults: &mut Faults, known: &Known, node: &Node, at: &Range<usize>) -> Option<Audience> {
    let mut fields = Fields::open(faults, node, at, "the audience")?;
    let list = fields.must("list", "the name of a frozen list").and_then(|e| {
        let name = line(faults, &e.value, "the name of a frozen list", 100)?;
        if let Some(lists) = &known.lists
            && !lists.contains(&name)
        {
            let names = lists.iter().map(String::as_str);
            let expected = if lists.is_empty() { "a frozen list; there is none yet".to_owned() } else { one_of(names.clone()) };
            let near = super::reader::nearest(&name, names);
            let help = near.map_or_else(
                || "freeze it first: touchline import list FILE --mapping MAP.yaml --name NAME".into(),
                |n| format!("did you mean `{n}`?"),
            );
            faults.add(&e.value.at, format!("the list {:?} is not known", cut(&name))).expected(expected).help(help);
        }
        Some(name)
    });
    let filter = fields.value("where").map(|n| texts::expression(faults, known, n, Scope::Audience));
    let holdout = fields.value("holdout").map_or(Some(0), |n| faults.share(n, HOLDOUT, "the holdout"));
    fields.close(faults);
    let filter = match filter {
        Some(filter) => Some(filter?),
        None => None,
    };
    Some(Audience { list: list?, filter, holdout_ppm: holdout? })
}

fn schedule(faults: &mut Faults, node: &Node, at: &Range<usize>) -> Option<Schedule> {
    let mut fields = Fields::open(faults, node, at, "the schedule")?;
    let start = fields.must("start", "the first instant, such as 2026-11-24T09:00").and_then(|e| faults.local_time(&e.value));
    let end_entry = fields.must("end", "the last instant, such as 2026-12-15T20:00");
    let end = end_entry.and_then(|e| faults.local_time(&e.value));
    let timezone = fields.must("timezone", "a time zone of the IANA list such as Asia/Shanghai").and_then(|e| faults.zone(&e.value));
    let cron_node = fields.value("cron");
    let cron = cron_node.map(|n| faults.cron(n));
    let wave_entry = fields.get("wave");
    let wave = wave_entry.map(|e| faults.whole(&e.value, 1, u64::from(u32::MAX), "first touches in a wave"));
    let lateness = fields.value("lateness").map_or(Some(LATENESS), |n| faults.duration(n, MINUTE, "the lateness"));
    let before = faults.len();
    fields.close(faults);
    let keys_known = faults.len() == before;

    if let (Some(start), Some(end), Some(entry)) = (start, end, end_entry)
        && end <= start
    {
        faults.add(&entry.value.at, format!("the end {end} is not after the start {start}")).expected("an end after the start");
        return None;
    }
    // (Where a key is unknown, it may well be a misspelled `cron`.)
    if let (Some(entry), None, true) = (wave_entry, cron_node, keys_known) {
        faults
            .add(&entry.key_at, "`wave` is the size of each wave, but there is no `cron` to start more than one")
            .help("add `cron`, or leave it out");
    }
    let schedule = Schedule {
        start: start?,
        end: end?,
        timezone: timezone?,
        cron: match cron {
            Some(cron) => Some(cron?),
            None => None,
        },
        wave: match wave {
            Some(wave) => Some(wave?),
            None => None,
        },
        lateness_ms: lateness?,
    };
    if let Some(node) = cron_node.filter(|_| next_wave(&schedule, Timestamp(0)).is_none()) {
        faults.add(&node.at, "no wave starts between `start` and `end`").expected("a cron expression that fires while the campaign runs");
        return None;
    }
    Some(schedule)
}

fn policy(faults: &mut Faults, node: &Node, purpose: Purpose) -> Option<Vec<String>> {
    let nodes = faults.list(node, "a list of presets such as [cn-bank]")?;
    if nodes.is_empty() {
        faults.add(&node.at, "no preset is named").expected("at least one preset").help("a campaign without any rule must say so: [wide-open]");
        return None;
    }
    let mut names = Vec::new();
    let mut complete = true;
    for node in nodes {
        let name = slug(faults, node, "the name of a preset");
        if let Some(name) = name {
            if names.contains(&name) {
                faults.add(&node.at, format!("the preset {name} is named twice"));
            }
            // Alone and for no channel: whether there is such a preset, told at its own name.
            for fault in Law::compose(std::slice::from_ref(&name), purpose, &[], &[]).err().into_iter().flatten() {
                faults.add(&node.at, fault);
                complete = false;
            }
            names.push(name);
        }
    }
    (complete && names.len() == nodes.len()).then_some(names)
}

fn limits(faults: &mut Faults, node: &Node, at: &Range<usize>) -> Option<Limits> {
    let mut fields = Fields::open(faults, node, at, "the limits")?;
    let rate = fields.value("rate").map(|n| faults.rate(n));
    let budget = fields.value("budget").map(|n| faults.money(n));
    let validity = fields.value("validity").map(|n| faults.duration(n, SECOND, "the validity"));
    let caps = fields.value("caps").map_or(Some(Vec::new()), |n| {
        let nodes = faults.list(n, "a list of caps such as {count: 1, per: 1d}")?;
        let caps: Vec<Option<Cap>> = nodes.iter().map(|n| cap(faults, n)).collect();
        caps.into_iter().collect()
    });
    fields.close(faults);
    Some(Limits {
        rate: match rate {
            Some(rate) => Some(rate?),
            None => None,
        },
        budget: match budget {
            Some(budget) => Some(budget?),
            None => None,
        },
        validity_ms: match validity {
            Some(validity) => Some(validity?),
            None => None,
        },
        caps: caps?,
    })
}

fn cap(faults: &mut Faults, node: &Node) -> Option<Cap> {
    let mut fields = Fields::open(faults, node, &node.at, "a cap")?;
    let count = fields.must("count", "contacts at most").and_then(|e| faults.whole(&e.value, 1, 10_000, "contacts at most"));
    let per = fields.must("per", "a duration such as 1d").and_then(|e| faults.duration(&e.value, SECOND, "the window"));
    let channel = fields.value("channel").map(|n| channel(faults, n));
    fields.close(faults);
    Some(Cap {
        count: u32::try_from(count?).ok()?,
        per_ms: per?,
        channel: match channel {
            Some(channel) => Some(channel?),
            None => None,
        },
        purpose: None,
        rule: RuleNo(0),
    })
}

pub(super) fn channel(faults: &mut Faults, node: &Node) -> Option<Channel> {
    let channels: Vec<_> = Channel::ALL.iter().map(|c| (c.name(), *c)).collect();
    faults.choice(node, &channels)
}

fn stop_on(faults: &mut Faults, node: &Node) -> Option<StopOn> {
    let nodes = faults.list(node, "a list of conversion, complaint, opt_out")?;
    let mut stop = StopOn::default();
    let mut complete = true;
    for node in nodes {
        match faults.choice(node, &[("conversion", 0), ("complaint", 1), ("opt_out", 2)]) {
            Some(0) => stop.conversion = true,
            Some(1) => stop.complaint = true,
            Some(_) => stop.opt_out = true,
            None => complete = false,
        }
    }
    complete.then_some(stop)
}

fn conversions(faults: &mut Faults, node: &Node) -> Option<Vec<ConversionRule>> {
    let nodes = faults.list(node, "a list of conversions")?;
    let mut names = HashSet::new();
    let mut rules = Vec::new();
    for node in nodes {
        rules.extend(conversion(faults, node, &mut names));
    }
    (rules.len() == nodes.len()).then_some(rules)
}

fn conversion(faults: &mut Faults, node: &Node, names: &mut HashSet<String>) -> Option<ConversionRule> {
    let mut fields = Fields::open(faults, node, &node.at, "a conversion")?;
    let name = fields.must("name", "a name for reports").and_then(|e| {
        let name = line(faults, &e.value, "a name for reports", 64)?;
        if !names.insert(name.clone()) {
            faults.add(&e.value.at, format!("the conversion {:?} is defined twice", cut(&name))).help("give each its own name");
        }
        Some(name)
    });
    let fact = fields
        .must("fact", "a kind of fact such as loan_drawdown, loan_balance, aum_daily_average")
        .and_then(|e| line(faults, &e.value, "a kind of fact such as loan_drawdown, loan_balance, aum_daily_average", 64));
    let product = fields.value("product").map(|n| line(faults, n, "the name of a product", 100));
    let window =
        fields.must("window", "how long after the touch a fact counts, such as 30d").and_then(|e| faults.duration(&e.value, MINUTE, "the window"));
    let credits =
        [("last_reached", Credit::LastReached), ("first_reached", Credit::FirstReached), ("linear", Credit::Linear), ("position", Credit::Position)];
    let credit = fields.value("credit").map_or(Some(Credit::LastReached), |n| faults.choice(n, &credits));
    fields.close(faults);
    let product = match product {
        Some(product) => Some(product?),
        None => None,
    };
    Some(ConversionRule { name: name?, fact: fact?, product, window_ms: window?, credit: credit? })
}

fn finance(faults: &mut Faults, node: &Node, at: &Range<usize>) -> Option<Finance> {
    let mut fields = Fields::open(faults, node, at, "finance")?;
    let formats = [("csv", ExportFormat::Csv), ("jsonl", ExportFormat::Jsonl), ("parquet", ExportFormat::Parquet)];
    let format = fields.must("format", "one of csv, jsonl, parquet").and_then(|e| faults.choice(&e.value, &formats));
    let mail = fields.value("mail").map(|n| {
        let expected = "an e-mail address such as finance@bank.example";
        let text = faults.text(n, expected)?;
        if text.parse::<lettre::Address>().is_ok() {
            return Some(text.to_owned());
        }
        // The address itself is not repeated: it may be a person's.
        faults.add(&n.at, "this is not an e-mail address").expected(expected);
        None
    });
    fields.close(faults);
    let mail = match mail {
        Some(mail) => Some(mail?),
        None => None,
    };
    Some(Finance { format: format?, mail })
}
