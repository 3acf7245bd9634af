//! What people see: progress, aligned tables, numbers and spans of time. Everything here goes to standard error or is a text
//! that the caller prints; with `--json` nothing of it appears.
use crate::app::outcome::Outcome;
use crate::desk::control::Listed;
use crate::desk::doctor::{Check, Health};
use crate::desk::explain::Explanation;
use crate::desk::plan::Plan;
use crate::desk::report::Report;
use crate::finance::VerifyReport;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The bar of a known total, under a line that says what is being done: one line of both is too long for a small terminal.
const COUNTED: &str = "{wide_msg}\n[{bar:16}] {percent:>3} %  {human_pos} of {human_len}  {rate} a second  {elapsed} gone, {eta} left";
/// The bar of a file.
const BYTES: &str = "{wide_msg}\n[{bar:16}] {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {elapsed} gone, {eta} left";
/// Of work whose amount is not known.
const OPEN: &str = "{wide_msg}\n{spinner} {elapsed} gone";

/// Work that was over sooner leaves no last line of progress.
const LEAST: Duration = Duration::from_secs(1);

/// How often a line is written when standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress of long work: a bar with rate, elapsed time and time left on a terminal; elsewhere a line every few seconds; with
/// `--json` nothing. May be shared between threads.
pub struct Progress {
    bar: ProgressBar,
    what: Mutex<String>,
    lines: bool,
    bytes: AtomicBool,
    written: Mutex<Instant>,
}

impl Progress {
    /// For `total` things (0: not known) named by `what` (`customers`, `rows`).
    pub fn new(what: &str, total: u64, json: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if json || !terminal { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(10) };
        let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target);
        bar.set_message(what.to_owned());
        let lines = !json && !terminal;
        let (bytes, written) = (AtomicBool::new(false), Mutex::new(crate::clock::monotonic()));
        let progress = Self { bar, what: Mutex::new(what.to_owned()), lines, bytes, written };
        progress.style();
        progress
    }

    /// For bytes of a file.
    pub fn bytes(what: &str, total: u64, json: bool) -> Self {
        let progress = Self::new(what, total, json);
        progress.bytes.store(true, Ordering::Relaxed);
        progress.style();
        progress
    }

    /// Another part of the work begins: position, total and time start anew. `bytes`: it is measured in bytes of a file.
    pub fn part(&self, what: &str, bytes: bool) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.bar.unset_length();
        self.bar.reset();
        self.style();
        self.describe(what);
    }

    fn style(&self) {
        let form = match (self.bar.length(), self.bytes.load(Ordering::Relaxed)) {
            (None, _) => OPEN,
            (Some(_), true) => BYTES,
            (Some(_), false) => COUNTED,
        };
        #[allow(clippy::cast_possible_truncation, reason = "a rate for people")]
        let rate = |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            // What cannot be written is not shown.
            let _ = to.write_str(&number(state.per_sec().round() as i64));
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            self.bar.set_style(style.with_key("rate", rate).progress_chars("=> "));
        }
    }

    /// What is being done, when it changes on the way.
    pub fn describe(&self, what: &str) {
        self.bar.set_message(what.to_owned());
        if let Ok(mut named) = self.what.lock() {
            what.clone_into(&mut named);
        }
    }

    /// So many are done.
    pub fn set(&self, done: u64) {
        self.bar.set_position(done);
        if !self.lines {
            return;
        }
        let Ok(mut written) = self.written.lock() else { return };
        if written.elapsed() >= LINE_EVERY {
            *written = crate::clock::monotonic();
            eprintln!("{}", self.line());
        }
    }

    /// So many more are done.
    pub fn add(&self, more: u64) {
        self.set(self.bar.position().saturating_add(more));
    }

    /// The total has become known, or has changed.
    pub fn total(&self, total: u64) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.style();
        }
    }

    /// A line above the bar.
    pub fn say(&self, text: &str) {
        if self.lines {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    /// Done: the bar goes, a last line stays.
    pub fn finish(&self) {
        if self.lines && self.bar.position() > 0 && self.bar.elapsed() >= LEAST {
            eprintln!("{}", self.line());
        }
        self.bar.finish_and_clear();
    }

    fn line(&self) -> String {
        let done = self.bar.position();
        let elapsed = self.bar.elapsed();
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people")]
        let rate = (done as f64 / elapsed.as_secs_f64().max(0.001)).round() as u64;
        let bytes = self.bytes.load(Ordering::Relaxed);
        let quantity = |n: u64| {
            let n = number(i64::try_from(if bytes { n.div_ceil(1024) } else { n }).unwrap_or(i64::MAX));
            if bytes { n + " KiB" } else { n }
        };
        let of = self.bar.length().map_or_else(String::new, |n| format!(" of {}", quantity(n)));
        let left = match self.bar.length() {
            Some(n) if n > done && done > 0 => format!(", {} left", span(self.bar.eta().as_secs_f64())),
            _ => String::new(),
        };
        let what = self.what.lock().map(|what| what.clone()).unwrap_or_default();
        format!("{what}: {}{of}, {} a second, {} gone{left}", quantity(done), quantity(rate), span(elapsed.as_secs_f64()))
    }
}

/// What a verification found.
pub fn verification(report: &VerifyReport) -> String {
    let verdict = if report.is_intact() { "intact" } else { "NOT INTACT" };
    let mut parts = vec![format!("export {:06} of {}: {} rows, {verdict}", report.number, report.campaign, number(report.rows))];
    for (title, count, differences) in
        [("faults", report.fault_count, &report.faults), ("changed in the ledger since", report.moved_on_count, &report.moved_on)]
    {
        if count > 0 {
            let rows = differences.iter().map(|d| vec![d.file.clone(), d.what.clone(), d.expected.clone(), d.found.clone()]).collect();
            parts.push(format!("{title}: {count}\n{}", table(&["file", "what", "expected", "found"], &[], rows)));
        }
    }
    parts.extend(report.unchecked.iter().map(|u| format!("not checked: {u}")));
    parts.extend(report.advice.clone());
    parts.join("\n")
}

/// The runs of a store.
pub fn campaigns(all: &[Listed]) -> String {
    let rows = all
        .iter()
        .map(|l| {
            let count = |name: &str| number(l.counts.get(name).copied().unwrap_or(0));
            let row = &l.campaign;
            let mode = if l.rehearsal { "rehearsal" } else { "run" };
            vec![
                row.name.clone(),
                row.version.to_string(),
                mode.to_owned(),
                row.status.to_string(),
                number(row.audience),
                count("pending"),
                count("reached"),
                number(l.attempts),
            ]
        })
        .collect::<Vec<_>>();
    if rows.is_empty() {
        return "no campaigns; hand one in: touchline campaign submit FILE".to_owned();
    }
    table(&["campaign", "version", "mode", "status", "audience", "pending", "reached", "attempts"], &[1, 4, 5, 6, 7], rows)
}

/// A whole number with commas between thousands.
pub fn number(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if n < 0 { format!("-{text}") } else { text }
}

/// A span in two units at most: `0.4 s`, `12 s`, `3 min 20 s`, `5 h 4 min`, `2 d 3 h`.
pub fn span(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a span for people")]
    let s = seconds.round() as u64;
    let two = |a: u64, unit: &str, b: u64, small: &str| if b == 0 { format!("{a} {unit}") } else { format!("{a} {unit} {b} {small}") };
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => two(s / 60, "min", s % 60, "s"),
        3_600..86_400 => two(s / 3_600, "h", s % 3_600 / 60, "min"),
        _ => two(s / 86_400, "d", s % 86_400 / 3_600, "h"),
    }
}

/// A share as a percentage with one decimal.
#[allow(clippy::cast_precision_loss, reason = "a percentage for people")]
pub fn percent(n: i64, of: i64) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.1} %", n as f64 * 100.0 / of as f64) }
}

/// An aligned table without frames; columns named in `right` (by place) are aligned right.
pub fn table(head: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if !head.is_empty() {
        table.set_header(head.iter().copied());
    }
    for row in rows {
        table.add_row(row);
    }
    for place in right {
        if let Some(column) = table.column_mut(*place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn pairs<'a>(counts: impl IntoIterator<Item = (&'a String, &'a i64)>, of: i64) -> Vec<Vec<String>> {
    counts.into_iter().map(|(name, n)| vec![format!("  {name}"), number(*n), percent(*n, of)]).collect()
}

/// The report as tables.
pub fn report(report: &Report) -> String {
    let kind = if report.rehearsal { " (rehearsal: nobody was contacted)" } else { "" };
    let mut parts = vec![format!("{} version {}: {}{kind}", report.campaign, report.version, report.status)];
    let mut rows = vec![vec!["audience".to_owned(), number(report.audience), String::new()]];
    for (state, n) in report.counts.iter().filter(|(_, n)| *n != 0) {
        rows.push(vec![format!("  {state}"), number(*n), percent(*n, report.audience)]);
        let reasons = if *state == "suppressed" { &report.suppressed } else { continue };
        rows.extend(reasons.iter().map(|(reason, n)| vec![format!("    {reason}"), number(*n), percent(*n, report.audience)]));
    }
    rows.extend(report.called_off.iter().map(|(reason, n)| vec![format!("  called off: {reason}"), number(*n), percent(*n, report.audience)]));
    parts.push(table(&["customers", "", ""], &[1, 2], rows));
    let mut rows = vec![vec!["attempts".to_owned(), number(report.attempts.total), String::new()]];
    let of = &report.attempts;
    for (title, counts) in [("by channel", &of.by_channel), ("by route", &of.by_route), ("by what came of it", &of.by_disposition)] {
        if !counts.is_empty() {
            rows.push(vec![format!("  {title}"), String::new(), String::new()]);
            rows.extend(counts.iter().map(|(name, n)| vec![format!("    {name}"), number(*n), percent(*n, of.total)]));
        }
    }
    parts.push(table(&[], &[1, 2], rows));
    if report.reached_by_attempts.len() > 1 {
        let shown = 10;
        let mut rows: Vec<Vec<String>> =
            report.reached_by_attempts.iter().take(shown).map(|(attempts, n)| vec![attempts.to_string(), number(*n)]).collect();
        let rest: i64 = report.reached_by_attempts.values().skip(shown).sum();
        if rest > 0 {
            rows.push(vec!["more".to_owned(), number(rest)]);
        }
        parts.push(table(&["reached on attempt", "customers"], &[0, 1], rows));
    }
    for line in &report.conversions {
        parts.push(format!("conversion {}: {} customers, {} {}", line.name, number(line.customers), line.amount, line.currency));
    }
    if !report.lift.is_empty() {
        let rows = report.lift.iter().map(|l| {
            let [low, high] = l.ci95;
            vec![
                l.name.clone(),
                l.arm.clone(),
                l.metric.clone(),
                format!("{:.5}", l.estimate),
                format!("{:.5}", l.se),
                format!("{low:.5} to {high:.5}"),
            ]
        });
        parts.push(table(&["lift", "arm", "metric", "estimate", "s.e.", "95 % interval"], &[3, 4], rows.collect()));
    }
    let talk = if report.connected_seconds > 0 { format!(", {} connected seconds", number(report.connected_seconds)) } else { String::new() };
    parts.push(format!("cost {} {}{talk}, took {}", report.cost.amount, report.cost.currency, span(report.elapsed_s)));
    parts.join("\n\n")
}

/// The report, and why a conversion has no lift.
pub fn outcome(outcome: &Outcome) -> String {
    let why = outcome.attribution.no_lift.iter().map(|l| format!("no lift of {}: {}", l.name, l.reason));
    std::iter::once(report(&outcome.report)).chain(why).collect::<Vec<_>>().join("\n\n")
}

/// The plan as tables, its warnings last, where they are seen.
pub fn plan(plan: &Plan) -> String {
    let f = &plan.forecast;
    let mut parts = vec![format!("{}: list {} with {} members, audience {}", plan.campaign, plan.list, number(plan.members), number(f.audience))];
    let [low, high] = f.reached_interval;
    let mut rows = vec![
        vec!["audience".into(), number(f.audience), String::new()],
        vec!["  reached".into(), number(f.reached), format!("{} (95 %: {} to {})", percent(f.reached, f.audience), number(low), number(high))],
        vec!["  missed".into(), number(f.missed), percent(f.missed, f.audience)],
    ];
    rows.extend(pairs(&f.losses, f.audience));
    parts.push(table(&["customers expected", "", ""], &[1], rows));
    let steps = f.steps.iter().map(|s| {
        vec![s.step.clone(), s.channel.to_string(), number(s.customers), number(s.attempts), number(s.reached), number(s.parts), s.cost.clone()]
    });
    parts.push(table(&["step", "channel", "customers", "attempts", "reached", "parts", "cost"], &[2, 3, 4, 5, 6], steps.collect()));
    let mut zones: Vec<(&String, &i64)> = plan.zones.iter().collect();
    zones.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let rows = zones.into_iter().take(10).map(|(zone, n)| vec![zone.clone(), number(*n), percent(*n, f.audience)]);
    parts.push(table(&["zone", "customers", ""], &[1, 2], rows.collect()));
    let budget = f
        .budget
        .as_ref()
        .map_or_else(String::new, |b| format!(" of {b} {} ({})", f.currency, if f.budget_suffices { "enough" } else { "not enough" }));
    let local = |at: &str| local(at, &plan.timezone);
    parts.push(format!(
        "first touch {}, done {}, end {} ({})\ncost {} {}{budget}",
        f.first_touch_at.as_deref().map_or_else(|| "never".to_owned(), local),
        f.finishes_at.as_deref().map_or_else(|| "not within 180 days of the end".to_owned(), local),
        local(&f.ends_at),
        plan.timezone,
        f.cost,
        f.currency
    ));
    let assumed = plan.assumptions.channels.iter().filter(|(channel, _)| f.steps.iter().any(|s| s.channel == **channel));
    parts.push(assumed.map(|(channel, a)| format!("assumed for {channel}: {}", a.source)).collect::<Vec<_>>().join("\n"));
    if !f.warnings.is_empty() {
        parts.push(f.warnings.iter().map(|w| format!("warning ({}): {}", w.code, w.text)).collect::<Vec<_>>().join("\n"));
    }
    parts.join("\n\n")
}

/// An instant as the clock of a zone shows it, to the minute; as it is when either cannot be read.
fn local(at: &str, zone: &str) -> String {
    match (chrono::DateTime::parse_from_rfc3339(at), zone.parse::<chrono_tz::Tz>()) {
        (Ok(at), Ok(zone)) => at.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
        _ => at.to_owned(),
    }
}

/// An explanation, campaign by campaign.
pub fn explanation(explanation: &Explanation) -> String {
    let who = &explanation.customer;
    let of = |v: &Option<String>| v.clone().unwrap_or_else(|| "-".to_owned());
    let mut parts = vec![format!(
        "customer {}: phone {}, e-mail {}, push {}, zone {}, language {}",
        who.reference,
        of(&who.phone),
        of(&who.email),
        if who.push { "yes" } else { "-" },
        of(&who.timezone),
        of(&who.language)
    )];
    let consents = explanation
        .consents
        .iter()
        .map(|c| vec![c.at.to_string(), c.channel.to_string(), c.purpose.to_string(), c.state.to_string(), c.source.clone()])
        .collect::<Vec<_>>();
    parts.push(if consents.is_empty() {
        "no consent on record".to_owned()
    } else {
        table(&["consent at", "channel", "purpose", "state", "source"], &[], consents)
    });
    for s in &explanation.suppressions {
        let until = s.until.map_or_else(String::new, |t| format!(" until {t}"));
        let on = s.channel.map_or("all channels", |c| c.name());
        parts.push(format!("suppressed on {on} since {}{until}: {} ({})", s.at, s.why, s.source));
    }
    for run in &explanation.campaigns {
        parts.push(format!(
            "campaign {} version {}{}: {}\n  {}",
            run.campaign,
            run.version,
            if run.rehearsal { " (rehearsal)" } else { "" },
            run.standing,
            run.why
        ));
        for t in &run.touches {
            let when = t.started_at.as_ref().or(t.due_at.as_ref()).or(t.ended_at.as_ref()).map_or("", String::as_str);
            let on = t.channel.map_or("", |c| c.name());
            let mut lines = vec![format!("  {when}  {}  step {} attempt {}  {on}  {}: {}", t.touch, t.step, t.attempt, t.state, t.reason)];
            if let Some(rule) = &t.rule {
                lines.push(format!("      by {} {}: {} ({})", rule.preset, rule.name, rule.text, rule.source));
            }
            lines.extend(t.receipts.iter().map(|r| format!("      {} {}{}", r.at, r.said, if r.applied { "" } else { " (changed nothing)" })));
            parts.push(lines.join("\n"));
        }
        for c in &run.credits {
            let to = c.seq.map_or_else(|| "nobody (holdout)".to_owned(), |seq| format!("touch {seq}"));
            parts.push(format!("  fact {} credited by {} to {to}: {} {}", c.fact, c.rule, c.amount, c.currency));
        }
    }
    if explanation.campaigns.is_empty() {
        parts.push("no campaign has decided anything about this customer".to_owned());
    }
    let facts = explanation.facts.iter().map(|f| vec![f.at.clone(), f.kind.clone(), f.product.clone().unwrap_or_default()]).collect::<Vec<_>>();
    if !facts.is_empty() {
        parts.push(table(&["fact at", "kind", "product"], &[], facts));
    }
    parts.join("\n\n")
}

/// The doctor's checks.
pub fn checks(checks: &[Check]) -> String {
    let rows = checks.iter().map(|c| {
        let health = match c.health {
            Health::Ok => "ok",
            Health::Warning => "warning",
            Health::Fault => "FAULT",
            Health::Unknown => "?",
        };
        let text = if c.way_out.is_empty() { c.found.clone() } else { format!("{}\n-> {}", c.found, c.way_out) };
        vec![health.to_owned(), c.check.to_owned(), text]
    });
    table(&[], &[], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_read_well() {
        assert_eq!([number(0), number(999), number(1_000), number(-45_211), number(1_234_567)], ["0", "999", "1,000", "-45,211", "1,234,567"]);
        assert_eq!(
            [span(0.42), span(12.4), span(200.0), span(3_600.0), span(18_240.0), span(183_600.0)],
            ["0.4 s", "12 s", "3 min 20 s", "1 h", "5 h 4 min", "2 d 3 h"]
        );
        assert_eq!([percent(1, 8), percent(0, 0)], ["12.5 %", "-"]);
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&["a", "n"], &[1], vec![vec!["x".into(), "1".into()], vec!["long".into(), "1,000".into()]]);
        let ends: Vec<usize> = text.lines().map(|l| l.chars().count()).collect();
        assert!(ends.iter().all(|e| *e == ends[0]), "{text}");
    }
}
