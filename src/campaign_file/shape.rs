//! The YAML shape of a campaign file, as its JSON Schema describes it to editors.
//!
//! The reader (`check`, `journey`, `content`) asks for the same keys; a test compares the two key by key, so neither can
//! gain a key without the other.
use crate::domain::campaign::{CallMode, Credit, ExportFormat, Opportunity};
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;
use crate::domain::outcome::Reason;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

const SLUG: &str = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$";
const DURATION: &str = r"^(0|([0-9]+(\.[0-9]+)?\s*[A-Za-z]+\s*)+)$";
const LANGUAGE: &str = "^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$";

pub(super) fn json_schema() -> serde_json::Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<CampaignFile>();
    schema.insert("title".to_owned(), "A Touchline campaign file".into());
    let mut schema = schema.to_value();
    without_null(&mut schema);
    schema
}

/// A key may be left out, but not be given without a value: `null`, which schemars adds to what is optional, goes.
fn without_null(schema: &mut serde_json::Value) {
    use serde_json::Value;
    match schema {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(names)) = map.get_mut("enum") {
                names.retain(|n| !n.is_null());
            }
            if let Some(Value::Array(options)) = map.get_mut("anyOf") {
                options.retain(|o| o != &serde_json::json!({"type": "null"}));
                if options.len() == 1
                    && let Some(Value::Object(only)) = options.pop()
                {
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            if map.get("default").is_some_and(Value::is_null) {
                map.remove("default");
            }
            map.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

fn slug(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": SLUG, "examples": ["term-deposit-2026q4"]})
}
fn slugs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": {"type": "string", "pattern": SLUG}, "minItems": 1, "uniqueItems": true, "examples": [["cn-bank"]]})
}
fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["string", "integer"], "pattern": DURATION, "examples": ["30m", "4h", "1d", "2h30m"]})
}
fn share(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": r"^[0-9]{1,2}(\.[0-9]{1,4})?\s*%$", "examples": ["10%", "0.5%"]})
}
fn local_time(_: &mut SchemaGenerator) -> Schema {
    let pattern = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$";
    json_schema!({"type": "string", "pattern": pattern, "examples": ["2026-11-24T09:00"]})
}
fn cron(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": r"^\s*\S+(\s+\S+){5}\s*$", "examples": ["0 0 9 * * Mon-Fri"]})
}
fn rate(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": "^[0-9_]+ */ *(s|sec|second|m|min|minute|h|hour|d|day)$", "examples": ["200/s", "100/min"]})
}
fn money(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "pattern": r"^[0-9][0-9_]*(\.[0-9]+)?\s+[A-Z]{3}$", "examples": ["50000.00 CNY"]})
}
fn retry(generator: &mut SchemaGenerator) -> Schema {
    let missed = Reason::ALL.iter().filter(|r| r.is_missed());
    let properties: serde_json::Map<String, serde_json::Value> = missed.map(|r| (r.name().to_owned(), duration(generator).to_value())).collect();
    json_schema!({"type": "object", "properties": properties, "additionalProperties": false, "examples": [{"busy": "30m", "no_answer": "4h"}]})
}
fn reached(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"oneOf": [
        {"type": "string", "enum": ["delivered", "opened", "completed"]},
        {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false, "properties": {
            "connected_seconds": {"type": "integer", "minimum": 0, "maximum": 14_400, "description": "Calls: answered for at least so many seconds."},
            "delivered": {"const": true, "description": "Messages: arrived."},
            "opened": {"const": true, "description": "Push and e-mail: opened or clicked."},
            "completed": {"const": true, "description": "Worklist: the RM finished the task."}}}
    ], "examples": [{"connected_seconds": 30}, "opened"]})
}
fn texts(generator: &mut SchemaGenerator) -> Schema {
    let text = generator.subschema_for::<TextShape>();
    json_schema!({"type": "object", "minProperties": 1, "patternProperties": {LANGUAGE: text}, "additionalProperties": false,
        "examples": [{"zh-CN": "{{ title }}", "en": "{{ title }}"}]})
}
fn content(generator: &mut SchemaGenerator) -> Schema {
    let (texts, variants) = (texts(generator), generator.subschema_for::<VariantsShape>());
    json_schema!({"anyOf": [texts, variants]})
}

/// One campaign: whom to contact, when, how, under which limits, and what counts as success.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct CampaignFile {
    /// Its name, unique and stable: the holdout and the variants are drawn with it.
    #[schemars(schema_with = "slug", required)]
    campaign: String,
    /// For people; templates can use it as {{ title }}.
    #[schemars(length(min = 1, max = 200))]
    title: String,
    /// Which of the five opportunities of remote banking.
    opportunity: Opportunity,
    /// The team that owns it.
    #[schemars(length(min = 1, max = 100))]
    owner: String,
    /// What the law takes it for; marketing unless told.
    purpose: Option<Purpose>,
    /// 0 (last) to 9 (first); 5 unless told.
    #[schemars(range(min = 0, max = 9))]
    priority: Option<u8>,
    /// Of costs; the budget's unless told, else CNY.
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    currency: Option<String>,
    /// Whom.
    audience: AudienceShape,
    /// When.
    schedule: ScheduleShape,
    /// Presets of law; the strictest rule of all wins. A campaign without any must say `wide-open`.
    #[schemars(schema_with = "slugs", required)]
    policy: Vec<String>,
    /// How much at most.
    limits: Option<LimitsShape>,
    /// In which steps.
    #[schemars(length(min = 1, max = 100))]
    journey: Vec<StepShape>,
    /// What ends a customer's journey early; complaint and opt_out unless told.
    stop_on: Option<Vec<StopReason>>,
    /// What counts as success.
    conversions: Option<Vec<ConversionShape>>,
    /// What finance is sent at the end.
    finance: Option<FinanceShape>,
}

/// What ends a journey early.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only its schema is used")]
enum StopReason {
    /// A fact that counts as one of the campaign's conversions.
    Conversion,
    /// A complaint.
    Complaint,
    /// An opt-out; also ends the steps on other channels.
    OptOut,
}

/// Whom a campaign addresses.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct AudienceShape {
    /// The name of a frozen list; its count and checksum are part of what is approved.
    #[schemars(length(min = 1, max = 100))]
    list: String,
    /// Only members for whom this expression (CEL) over their attributes is true.
    #[schemars(length(min = 1, max = 4096), example = "balance >= 1000 && housing == \"no\"")]
    r#where: Option<String>,
    /// Share never touched, against which lift is measured; at most 90%.
    #[serde(default)]
    #[schemars(schema_with = "share")]
    holdout: Option<String>,
}

/// When a campaign runs.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct ScheduleShape {
    /// First instant, local to `timezone`.
    #[schemars(schema_with = "local_time", required)]
    start: String,
    /// Last instant, local to `timezone`; nothing starts at or after it.
    #[schemars(schema_with = "local_time", required)]
    end: String,
    /// A zone of the IANA list. (The lawful window follows each customer's own zone.)
    #[schemars(length(min = 1), example = "Asia/Shanghai")]
    timezone: String,
    /// When waves start: second minute hour day month weekday, in `timezone`; left out: once, at `start`.
    #[serde(default)]
    #[schemars(schema_with = "cron")]
    cron: Option<String>,
    /// First touches that one wave may take; left out: all that are left.
    #[schemars(range(min = 1))]
    wave: Option<u32>,
    /// A wave missed by more than this is skipped, and said so; 1h unless told.
    #[serde(default)]
    #[schemars(schema_with = "duration")]
    lateness: Option<String>,
}

/// How much at most.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct LimitsShape {
    /// Touches in any window of that length, over the whole campaign.
    #[serde(default)]
    #[schemars(schema_with = "rate")]
    rate: Option<String>,
    /// Never spend more.
    #[serde(default)]
    #[schemars(schema_with = "money")]
    budget: Option<String>,
    /// A touch that has waited longer than this past its due time expires.
    #[serde(default)]
    #[schemars(schema_with = "duration")]
    validity: Option<String>,
    /// Contact caps of this campaign's own, on top of the presets'.
    caps: Option<Vec<CapShape>>,
}

/// At most so many contacts with one customer in any window of that length, over all campaigns.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct CapShape {
    /// How many.
    #[schemars(range(min = 1, max = 10_000))]
    count: u32,
    /// In any window of this length.
    #[schemars(schema_with = "duration", required)]
    per: String,
    /// Counting this channel alone; left out: all together.
    channel: Option<Channel>,
}

/// One step of the journey.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct StepShape {
    /// Its name, unique in the campaign.
    #[schemars(schema_with = "slug", required)]
    step: String,
    /// The step whose end leads here; left out: the journey starts here.
    #[serde(default)]
    #[schemars(schema_with = "slug")]
    after: Option<String>,
    /// Only when this expression (CEL) is true at the end of that step: outcome, disposition, state, attempt,
    /// connected_seconds, and the customer's attributes.
    #[schemars(length(min = 1, max = 4096), example = "outcome in [\"no_answer\", \"voicemail\"]")]
    when: Option<String>,
    /// How long to wait after that end.
    #[serde(default)]
    #[schemars(schema_with = "duration")]
    wait: Option<String>,
    /// How.
    channel: Channel,
    /// Configured routes, used by weight and health; left out: every route of the channel.
    #[schemars(length(min = 1), inner(length(min = 1, max = 100)))]
    routes: Option<Vec<String>>,
    /// For calls: how agent and call come together; progressive unless told.
    mode: Option<CallMode>,
    /// Attempts at most, over all dispositions; 1 unless told.
    #[schemars(range(min = 1, max = 1_000))]
    attempts: Option<u16>,
    /// Which dispositions are tried again, and after how long.
    #[serde(default)]
    #[schemars(schema_with = "retry")]
    retry: Option<serde_json::Value>,
    /// What counts as effective reach; an answer, a delivery, or a finished task unless told.
    #[serde(default)]
    #[schemars(schema_with = "reached")]
    reached: Option<serde_json::Value>,
    /// What is said, by language, or several variants of it for an A/B test.
    #[serde(default)]
    #[schemars(schema_with = "content")]
    content: Option<serde_json::Value>,
    /// As `limits.validity`, for this step.
    #[serde(default)]
    #[schemars(schema_with = "duration")]
    validity: Option<String>,
    /// On the worklist: what the relationship manager must know, as the roster names it (`funds`).
    #[serde(default)]
    skill: Option<String>,
}

/// A text: plain, or with a subject. Variables: {{ reference }}, {{ language }}, {{ branch }}, {{ rm }}, {{ campaign }},
/// {{ title }}, and the customer's attributes.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only its schema is used")]
enum TextShape {
    /// The message.
    Plain(#[schemars(length(min = 1))] String),
    /// The message with its subject.
    Titled(TitledShape),
}

/// A message with its subject; e-mails must have one, push messages may.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct TitledShape {
    /// One line.
    #[schemars(length(min = 1))]
    subject: Option<String>,
    /// The message.
    #[schemars(length(min = 1))]
    body: String,
}

/// An A/B test of texts.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct VariantsShape {
    /// All speak the same languages.
    #[schemars(length(min = 1, max = 50))]
    variants: Vec<VariantShape>,
}

/// One of the texts of an A/B test.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct VariantShape {
    /// Its name in reports.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// Its share, relative to the others; 1 unless told.
    #[schemars(range(min = 1, max = 1_000_000))]
    weight: Option<u32>,
    /// What it says, by language.
    #[schemars(schema_with = "texts", required)]
    texts: serde_json::Value,
}

/// What counts as a conversion.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct ConversionShape {
    /// Its name in reports.
    #[schemars(length(min = 1, max = 64))]
    name: String,
    /// The kind of fact: any that is imported.
    #[schemars(length(min = 1, max = 64), example = &"loan_drawdown", example = &"loan_balance", example = &"aum_daily_average")]
    fact: String,
    /// Only facts of this product.
    #[schemars(length(min = 1, max = 100))]
    product: Option<String>,
    /// How long after the credited touch a fact counts.
    #[schemars(schema_with = "duration", required)]
    window: String,
    /// Which touch is credited; last_reached unless told.
    credit: Option<Credit>,
}

/// What finance is sent.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct FinanceShape {
    /// The format of the data files.
    format: ExportFormat,
    /// To whom the export is mailed; left out: only written.
    #[schemars(email)]
    mail: Option<String>,
}
