//! Touches as rows: cells to write, packed columns to read, and the statements over them.
use super::bulk::{Cell, Form, Slots};
use super::fault::unknown;
use super::packed::{self, Columns};
use crate::domain::channel::Channel;
use crate::domain::ids::{CampaignId, CustomerId, RouteId, RuleNo, StepNo, TouchKey};
use crate::domain::outcome::Reason;
use crate::domain::time::Timestamp;
use crate::domain::touch::{State, Touch};
use crate::store::StoreResult;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteArguments;

/// Columns of a touch, in the order of [`cells`] and [`touch`].
const COLUMNS: [&str; 20] = [
    "customer_id",
    "campaign_id",
    "seq",
    "step",
    "attempt",
    "channel",
    "route_id",
    "variant",
    "state",
    "reason",
    "rule",
    "due_at",
    "started_at",
    "ended_at",
    "connected_s",
    "cost_micros",
    "parts",
    "flags",
    "agenda",
    "provider_ref",
];
const EVERY: u32 = (1 << 20) - 1;

const fn mask(columns: &[u32]) -> u32 {
    let mut mask = 0;
    let mut i = 0;
    while i < columns.len() {
        // A constant expression: an index out of bounds would not compile.
        #[allow(clippy::indexing_slicing)]
        let column = columns[i];
        mask |= 1 << column;
        i += 1;
    }
    mask
}

/// The values of a touch.
pub(super) fn cells(touch: &Touch) -> [Cell<'_>; 20] {
    [
        touch.key.customer.0.into(),
        touch.key.campaign.0.into(),
        i64::from(touch.key.seq).into(),
        i64::from(touch.step.0).into(),
        i64::from(touch.attempt).into(),
        touch.channel.map(|c| i64::from(c.code())).into(),
        touch.route.map(|r| i64::from(r.0)).into(),
        i64::from(touch.variant).into(),
        i64::from(touch.state.code()).into(),
        i64::from(touch.reason.code()).into(),
        i64::from(touch.rule.0).into(),
        touch.due_at.map(|t| t.0).into(),
        touch.started_at.map(|t| t.0).into(),
        touch.ended_at.map(|t| t.0).into(),
        i64::from(touch.connected_s).into(),
        touch.cost_micros.into(),
        i64::from(touch.parts).into(),
        i64::from(touch.flags).into(),
        touch.agenda.as_deref().into(),
        touch.provider_ref.as_deref().into(),
    ]
}

/// Inserts new rows.
pub(super) static INSERT: Form<20> = Form {
    name: "touch insert",
    // The customer alone (a first page on one route); what a spread over routes, variants and rules changes; everything.
    tiers: &[mask(&[0]), mask(&[0, 6, 7, 10, 15, 16]), EVERY],
    text: |slots: &Slots| format!("INSERT INTO touch ({}) VALUES {}", COLUMNS.join(","), slots.all_columns()),
};

/// A row to be changed, followed by what must be stored for the change to be made: state, flags, cost, parts, seconds, reason,
/// the provider's name.
pub(super) const CHANGE: usize = 27;

/// Settles started touches that are stored as they are thought to be; others are left alone, and missing in the count.
pub(super) static SETTLE: Form<CHANGE> = Form {
    name: "touch settle",
    // Customer, reason, end and seconds (answers to a first page); what retries, refusals and costs change; everything.
    tiers: &[mask(&[0, 9, 13, 14]), mask(&[0, 6, 8, 9, 10, 13, 14, 15, 16, 18, 22]), (1 << CHANGE) - 1],
    // A settlement never changes the step, the attempt, the channel, the route or the variant.
    text: |slots: &Slots| change_text(slots, 8..20, "AND touch.route_id IS ROUTE AND touch.channel IS CHANNEL"),
};

/// Rewrites scheduled rows that are due: started, put off, or closed.
pub(super) static RESTART: Form<CHANGE> = Form {
    name: "touch restart",
    tiers: &[mask(&[0, 2, 4, 6, 9, 11, 15, 25]), (1 << CHANGE) - 1],
    text: |slots: &Slots| change_text(slots, 3..20, ""),
};

fn change_text(slots: &Slots, set: std::ops::Range<usize>, and: &str) -> String {
    let set: Vec<String> = set
        .map(|c| {
            let (name, value) = (COLUMNS.get(c).copied().unwrap_or_default(), slots.column(c));
            match name {
                "due_at" => format!("due_at=coalesce({value},touch.due_at)"),
                _ => format!("{name}={value}"),
            }
        })
        .collect();
    let were = ["state", "flags", "cost_micros", "parts", "connected_s", "reason", "provider_ref"];
    let guard: Vec<String> = were.iter().enumerate().map(|(i, c)| format!("touch.{c} IS {}", slots.column(20 + i))).collect();
    format!(
        "UPDATE touch SET {} FROM (VALUES {}) AS v WHERE touch.customer_id={} AND touch.campaign_id={} AND touch.seq={} AND {} {}",
        set.join(","),
        slots.varying_columns(),
        slots.column(0),
        slots.column(1),
        slots.column(2),
        guard.join(" AND "),
        and.replace("ROUTE", &slots.column(6)).replace("CHANNEL", &slots.column(5)),
    )
}

/// The row `after` in place of the row `before` (state, flags, cost, parts, seconds, reason, the provider's name).
pub(super) fn change<'a>(after: &'a Touch, before: &crate::store::Before, provider_ref: Option<&'a str>) -> [Cell<'a>; CHANGE] {
    let mut row = [Cell::Null; CHANGE];
    let were: [Cell<'a>; 7] = [
        i64::from(before.state.code()).into(),
        i64::from(before.flags).into(),
        before.cost_micros.into(),
        i64::from(before.parts).into(),
        i64::from(before.connected_s).into(),
        i64::from(before.reason.code()).into(),
        provider_ref.into(),
    ];
    for (cell, value) in row.iter_mut().zip(cells(after).into_iter().chain(were)) {
        *cell = value;
    }
    row
}

/// SQL for the packed rows of touches: `from` is a FROM clause onwards in which the touch's table is named `t`.
pub(super) fn select(from: &str) -> String {
    let columns: Vec<String> =
        COLUMNS.iter().map(|c| if matches!(*c, "agenda" | "provider_ref") { packed::quoted(&format!("t.{c}")) } else { format!("t.{c}") }).collect();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    packed::pack(&columns, from)
}

/// Reads touches. `from` as in [`select`].
pub(super) async fn fetch(conn: &mut SqliteConnection, from: &str, arguments: SqliteArguments) -> StoreResult<Vec<Touch>> {
    let text = packed::fetch(conn, select(from).into(), arguments).await?;
    packed::rows(&text).map(|mut row| touch(&mut row)).collect()
}

/// A code that an enum must know.
pub(super) fn code<T>(what: &str, code: i64, from: fn(i64) -> Option<T>) -> StoreResult<T> {
    from(code).ok_or_else(|| unknown(what, code))
}

fn small<T: TryFrom<i64>>(what: &str, n: i64) -> StoreResult<T> {
    T::try_from(n).map_err(|_| unknown(what, n))
}

/// A touch from the packed columns of its row.
pub(super) fn touch(row: &mut Columns<'_>) -> StoreResult<Touch> {
    Ok(Touch {
        key: TouchKey { customer: CustomerId(row.int()?), campaign: CampaignId(row.int()?), seq: small("a touch's number", row.int()?)? },
        step: StepNo(small("a step", row.int()?)?),
        attempt: small("an attempt", row.int()?)?,
        channel: row.maybe_int()?.map(|c| code("the channel", c, Channel::from_code)).transpose()?,
        route: row.maybe_int()?.map(|r| small("a route", r)).transpose()?.map(RouteId),
        variant: small("a variant", row.int()?)?,
        state: code("the state", row.int()?, State::from_code)?,
        reason: code("the reason", row.int()?, reason)?,
        rule: RuleNo(small("a rule", row.int()?)?),
        due_at: row.maybe_int()?.map(Timestamp),
        started_at: row.maybe_int()?.map(Timestamp),
        ended_at: row.maybe_int()?.map(Timestamp),
        connected_s: small("seconds", row.int()?)?,
        cost_micros: row.int()?,
        parts: small("parts", row.int()?)?,
        flags: small("flags", row.int()?)?,
        agenda: row.maybe_quoted()?.map(String::into_boxed_str),
        provider_ref: row.maybe_quoted()?.map(String::into_boxed_str),
    })
}

/// The reason of a code, by table: `Reason::from_code` searches, and an export asks it half a million times a second.
pub(super) fn reason(code: i64) -> Option<Reason> {
    use std::sync::LazyLock;
    static BY_CODE: LazyLock<Vec<Option<Reason>>> = LazyLock::new(|| (0..512).map(Reason::from_code).collect());
    match usize::try_from(code) {
        Ok(place) if place < BY_CODE.len() => BY_CODE.get(place).copied().flatten(),
        _ => Reason::from_code(code),
    }
}
