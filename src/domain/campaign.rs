//! A campaign as the engine knows it: what a campaign file says, checked, with names resolved and units fixed.
use super::channel::Channel;
use super::consent::Purpose;
use super::expression::Expression;
use super::ids::StepNo;
use super::money::{Currency, Money};
use super::outcome::{Disposition, coded};
use super::template::Template;
use chrono::{NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

coded!(
    /// The five opportunities of remote banking.
    Opportunity {
        /// Deposits, funds, wealth products.
        Investment = 1 "investment",
        /// Loans and cards.
        Financing = 2 "financing",
        /// Payments, payroll, settlement.
        Settlement = 3 "settlement",
        /// Events and engagement.
        Activity = 4 "activity",
        /// Service duties: due dates, renewals, notices.
        Service = 5 "service",
    }
);

/// A checked campaign. Built by `campaign_file` alone; everything in it is consistent.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Its name: lower-case letters, digits, hyphens; at most 64.
    pub name: String,
    /// For people.
    pub title: String,
    /// Which of the five opportunities.
    pub opportunity: Opportunity,
    /// The team that owns it.
    pub owner: String,
    /// What the law takes it for.
    pub purpose: Purpose,
    /// 0 (last) to 9 (first); 5 unless told. A route serves higher priorities first, equals in fair shares.
    pub priority: u8,
    /// Whom.
    pub audience: Audience,
    /// When.
    pub schedule: Schedule,
    /// Names of the presets whose strictest rule holds; never empty (`wide-open` must be said).
    pub policy: Vec<String>,
    /// How much at most.
    pub limits: Limits,
    /// In which steps; never empty.
    pub steps: Vec<Step>,
    /// What ends a customer's journey early.
    pub stop_on: StopOn,
    /// What counts as success.
    pub conversions: Vec<ConversionRule>,
    /// What finance is sent at the end.
    pub finance: Option<Finance>,
    /// The currency of costs and of the budget.
    pub currency: Currency,
    /// The file as submitted: what is approved and hashed.
    pub source: String,
}

/// Whom a campaign addresses.
#[derive(Clone, Debug)]
pub struct Audience {
    /// The name of a frozen list.
    pub list: String,
    /// Only members for whom this is true; evaluated once, at submission, over the customer's attributes.
    pub filter: Option<Expression>,
    /// Share left alone, in parts per million.
    pub holdout_ppm: u32,
}

/// When a campaign runs. Local times are in `timezone`.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// First instant, local.
    pub start: NaiveDateTime,
    /// Last instant, local; nothing starts at or after it.
    pub end: NaiveDateTime,
    /// The campaign's own zone (customers' zones rule the lawful window).
    pub timezone: Tz,
    /// When waves start (cron of six fields with seconds, in `timezone`); `None`: once, at `start`.
    pub cron: Option<String>,
    /// First touches a wave may take; `None`: all that are left.
    pub wave: Option<u64>,
    /// A wave missed by more than this many milliseconds is skipped, and said so.
    pub lateness_ms: i64,
}

impl Schedule {
    /// `start` as an instant; a local time that daylight saving skips becomes the first instant after the gap.
    pub fn starts_at(&self) -> super::time::Timestamp {
        instant(self.timezone, self.start)
    }
    /// `end` as an instant.
    pub fn ends_at(&self) -> super::time::Timestamp {
        instant(self.timezone, self.end)
    }
}

/// A local time as an instant: in an overlap the earlier, in a gap the first instant after it.
pub fn instant(zone: Tz, local: NaiveDateTime) -> super::time::Timestamp {
    // Gaps are at most some hours long; quarter-hour steps find the first valid local time after one.
    (0..=96)
        .find_map(|quarters| zone.from_local_datetime(&(local + chrono::Duration::minutes(15 * quarters))).earliest())
        .map_or(super::time::Timestamp(local.and_utc().timestamp_millis()), |at| at.with_timezone(&chrono::Utc).into())
}

/// How much at most.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Touches per span over the whole campaign.
    pub rate: Option<Rate>,
    /// Never spend more.
    pub budget: Option<Money>,
    /// A touch that has waited longer than this past its due time (milliseconds) expires.
    pub validity_ms: Option<i64>,
    /// Caps of this campaign's own on top of its presets'.
    pub caps: Vec<super::caps::Cap>,
}

/// A number of touches in any window of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many at most.
    pub count: u32,
    /// In any window of this many milliseconds.
    pub per_ms: i64,
}

impl std::str::FromStr for Rate {
    type Err = String;
    /// `200/s`, `100/min`, `5000/h`, `20000/d`.
    fn from_str(text: &str) -> Result<Self, String> {
        use super::time::{DAY, HOUR, MINUTE, SECOND};
        let fault = || format!("expected a rate such as 200/s, 100/min, 5000/h or 20000/d, found {text:?}");
        let (count, unit) = text.trim().split_once('/').ok_or_else(fault)?;
        let per_ms = match unit.trim() {
            "s" | "sec" | "second" => SECOND,
            "m" | "min" | "minute" => MINUTE,
            "h" | "hour" => HOUR,
            "d" | "day" => DAY,
            _ => return Err(fault()),
        };
        match count.trim().replace('_', "").parse() {
            Ok(0) => Err("expected a rate above 0; to send nothing, pause the campaign".into()),
            Ok(count) => Ok(Self { count, per_ms }),
            Err(_) => Err(fault()),
        }
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.per_ms {
            1_000 => "s",
            60_000 => "min",
            3_600_000 => "h",
            _ => "d",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

/// How an agent and a call come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallMode {
    /// The agent looks first, then dials.
    Preview,
    /// One call for each free agent.
    Progressive,
    /// More calls than agents, by forecast, under the abandonment guard.
    Predictive,
    /// A recorded announcement.
    Broadcast,
}

/// What counts as effective reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReachRule {
    /// A call answered for at least so many seconds.
    ConnectedSeconds(u32),
    /// Delivered.
    Delivered,
    /// Opened or clicked.
    Opened,
    /// The RM finished the task.
    Completed,
}

impl ReachRule {
    /// The rule of a channel when the file names none: any answer, delivery, or a finished task.
    pub fn default_of(channel: Channel) -> Self {
        match channel {
            Channel::Call => Self::ConnectedSeconds(0),
            Channel::Sms | Channel::Push | Channel::Email => Self::Delivered,
            Channel::Worklist => Self::Completed,
        }
    }
}

/// One step of a journey.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, unique in the campaign.
    pub name: String,
    /// The step whose end leads here; `None`: the journey starts here. Several steps without `after` run in file order.
    pub after: Option<StepNo>,
    /// Only when this is true at the end of that step (variables: `outcome`, `disposition`, `state`, `attempt`,
    /// `connected_seconds`, and the customer's attributes).
    pub when: Option<Expression>,
    /// Milliseconds to wait after that end.
    pub wait_ms: i64,
    /// How.
    pub channel: Channel,
    /// Names of configured routes; empty: every route of the channel. Weights: see `route_weights`.
    pub routes: Vec<String>,
    /// For calls.
    pub mode: CallMode,
    /// Attempts at most, over all dispositions; at least 1.
    pub attempts: u16,
    /// Which dispositions are tried again, and after how many milliseconds.
    pub retry: BTreeMap<Disposition, i64>,
    /// What counts as reached.
    pub reached: ReachRule,
    /// What is said; empty for calls without a script.
    pub content: Vec<Variant>,
    /// See `Limits::validity_ms`; the step's own wins.
    pub validity_ms: Option<i64>,
    /// What the relationship manager must know who does the task; for steps on the worklist.
    pub skill: Option<String>,
}

/// One of the texts of an A/B test; a step without a test has one variant of weight 1.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its name in reports.
    pub name: String,
    /// Its share, relative to the others.
    pub weight: u32,
    /// Text by language tag (`zh-CN`, `en`); never empty. The first is the fallback.
    pub texts: Vec<(String, Text)>,
}

/// A text in one language.
#[derive(Clone, Debug)]
pub struct Text {
    /// For e-mail and push.
    pub subject: Option<Template>,
    /// The message.
    pub body: Template,
}

/// What ends a journey early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopOn {
    /// A fact that would be one of the campaign's conversions.
    pub conversion: bool,
    /// A complaint.
    pub complaint: bool,
    /// An opt-out (law 3 holds with or without it; here it also ends steps on other channels).
    pub opt_out: bool,
}

/// Which touch a conversion is credited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Credit {
    /// The last touch that reached the customer before the fact.
    LastReached,
    /// The first touch that reached the customer.
    FirstReached,
    /// Equal parts to every touch that reached.
    Linear,
    /// 40 % first, 40 % last, 20 % shared between.
    Position,
}

/// What counts as a conversion.
#[derive(Clone, Debug)]
pub struct ConversionRule {
    /// Its name in reports.
    pub name: String,
    /// The kind of fact (`loan_drawdown`, `loan_balance`, `aum_daily_average`, any kind imported).
    pub fact: String,
    /// Only facts of this product.
    pub product: Option<String>,
    /// Milliseconds after the credited touch within which the fact counts.
    pub window_ms: i64,
    /// Which touch is credited.
    pub credit: Credit,
}

/// What finance is sent.
#[derive(Clone, Debug)]
pub struct Finance {
    /// `csv`, `jsonl` or `parquet`.
    pub format: ExportFormat,
    /// To whom the export is mailed; `None`: only written.
    pub mail: Option<String>,
}

/// The file formats of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// Comma separated, UTF-8, header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Apache Parquet.
    Parquet,
}

impl ExportFormat {
    /// The name in files and on the command line, also the file ending.
    pub fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

impl Campaign {
    /// The step of a number.
    pub fn step(&self, no: StepNo) -> Option<&Step> {
        self.steps.get(usize::from(no.0))
    }
    /// Steps with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (StepNo, &Step)> {
        self.steps.iter().enumerate().map(|(i, s)| (StepNo(u16::try_from(i).unwrap_or(u16::MAX)), s))
    }
    /// Steps that follow `no` directly (or start the journey, for `None`), in file order.
    pub fn followers(&self, no: Option<StepNo>) -> impl Iterator<Item = (StepNo, &Step)> {
        self.numbered().filter(move |(_, s)| s.after == no)
    }
    /// The hash of the file, as signed by an approval: BLAKE3, hex.
    pub fn hash(&self) -> String {
        blake3::hash(self.source.as_bytes()).to_hex().to_string()
    }
}
