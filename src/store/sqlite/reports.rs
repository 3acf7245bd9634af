//! Counts of a campaign: the tallies as kept, and the same from the rows.
use super::rows::{code, reason};
use super::{campaigns, packed};
use crate::domain::channel::Channel;
use crate::domain::ids::{CampaignId, RouteId};
use crate::domain::tally::{Tallies, Tally, Weight, called_off_unseen};
use crate::domain::touch::{EVER_REACHED, State, customer_state};
use crate::store::sqlite::bulk::{self, Form};
use crate::store::sqlite::{Writing, fault::unknown};
use crate::store::{AttemptsBin, StoreResult};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Row, SqliteConnection};
use std::collections::BTreeMap;

static ADD: Form<4> = Form {
    name: "tally",
    tiers: &[0b1111],
    text: |slots| {
        format!(
            "INSERT INTO campaign_tally (campaign_id, tally, key, n) VALUES {} ON CONFLICT (campaign_id, tally, key) DO UPDATE SET n = n + excluded.n",
            slots.all_columns()
        )
    },
};

/// Adds changes to a campaign's tallies.
pub(super) async fn add(writing: &mut Writing<'_>, campaign: CampaignId, tallies: &Tallies) -> StoreResult<()> {
    let rows: Vec<_> =
        tallies.0.iter().map(|((tally, key), n)| [campaign.0.into(), i64::from(tally.code()).into(), (*key).into(), (*n).into()]).collect();
    bulk::write(&mut writing.tx, writing.texts, &ADD, &rows).await?;
    Ok(())
}

/// The tallies as kept.
pub(super) async fn tallies(conn: &mut SqliteConnection, id: CampaignId) -> StoreResult<Tallies> {
    let mut tallies = Tallies::default();
    for row in sqlx::query("SELECT tally, key, n FROM campaign_tally WHERE campaign_id = ?").bind(id.0).fetch_all(conn).await? {
        tallies.add(code("the tally", row.try_get(0)?, Tally::from_code)?, row.try_get(1)?, row.try_get(2)?);
    }
    Ok(tallies)
}

/// A campaign's touches, by its audience: the ledger is clustered by customer, so a campaign of few customers in a long ledger
/// is read by their keys.
const TOUCHES: &str = "FROM campaign p CROSS JOIN list_member m CROSS JOIN touch t ON t.customer_id = m.customer_id AND t.campaign_id = p.id \
                       WHERE p.id = ? AND m.list_id = p.audience_list";

/// What calling off gave customers without a row: how many and why; `None` when the campaign was not called off.
async fn unseen(conn: &mut SqliteConnection, id: CampaignId, seen: i64) -> StoreResult<Option<(i64, crate::domain::outcome::Reason)>> {
    let row = sqlx::query("SELECT audience, called_off_reason FROM campaign WHERE id = ?").bind(id.0).fetch_one(conn).await?;
    let audience: i64 = row.try_get(0)?;
    row.try_get::<Option<i64>, _>(1)?.map(|r| Ok((audience - seen, code("the reason", r, reason)?))).transpose()
}

/// The tallies from the rows: those of the same weight are counted together by SQLite.
pub(super) async fn recount(conn: &mut SqliteConnection, id: CampaignId) -> StoreResult<Tallies> {
    campaigns::by_id(conn, id).await?;
    let head = "t.seq = (SELECT max(h.seq) FROM touch h WHERE h.customer_id = t.customer_id AND h.campaign_id = t.campaign_id)";
    let sql = packed::pack(
        &["state", "reason", "reached", "channel", "route_id", "head", "n", "cost", "parts", "seconds"],
        &format!(
            "FROM (SELECT t.state, t.reason, t.flags & {EVER_REACHED} AS reached, t.channel, t.route_id, {head} AS head, count(*) AS n, \
             sum(t.cost_micros) AS cost, sum(t.parts) AS parts, sum(t.connected_s) AS seconds {TOUCHES} GROUP BY 1, 2, 3, 4, 5, 6)"
        ),
    );
    let mut arguments = SqliteArguments::default();
    arguments.add(id.0).map_err(sqlx::Error::Encode)?;
    let text = packed::fetch(conn, sql.into(), arguments).await?;
    let (mut tallies, mut seen) = (Tallies::default(), 0);
    for mut row in packed::rows(&text) {
        let mut weight = Weight {
            state: code("the state", row.int()?, State::from_code)?,
            reason: code("the reason", row.int()?, reason)?,
            flags: u32::try_from(row.int()?).map_err(|_| unknown("flags", "out of range"))?,
            channel: row.maybe_int()?.map(|c| code("the channel", c, Channel::from_code)).transpose()?,
            route: row.maybe_int()?.map(|r| i32::try_from(r).map_err(|_| unknown("a route", r))).transpose()?.map(RouteId),
            cost_micros: 0,
            parts: 0,
            connected_s: 0,
        };
        let is_head = row.int()? == 1;
        let n = row.int()?;
        weight.add_to(&mut tallies, is_head, n);
        // Sums of many rows: more than a row's own fields hold.
        weight.cost_micros = row.int()?;
        if weight.state.stands() {
            tallies.add(Tally::CostMicros, 0, weight.cost_micros);
            tallies.add(Tally::Parts, 0, row.int()?);
            tallies.add(Tally::ConnectedSeconds, 0, row.int()?);
        }
        if is_head {
            seen += n;
        }
    }
    if let Some((customers, reason)) = unseen(conn, id, seen).await? {
        called_off_unseen(&mut tallies, customers, reason);
    }
    Ok(tallies)
}

/// Customers by state and number of attempts that stand.
pub(super) async fn attempts_histogram(conn: &mut SqliteConnection, id: CampaignId) -> StoreResult<Vec<AttemptsBin>> {
    let audience = campaigns::by_id(conn, id).await?.audience;
    // SQLite takes the other columns of a group from the row that has the maximum: the head.
    let sql = format!(
        "SELECT state, reached, attempts, count(*) FROM (SELECT max(t.seq), t.state AS state, t.flags & {EVER_REACHED} AS reached, \
         count(*) FILTER (WHERE t.state IN (2, 3, 4, 6)) AS attempts {TOUCHES} GROUP BY t.customer_id) GROUP BY 1, 2, 3"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).fetch_all(&mut *conn).await?;
    let (mut bins, mut seen) = (BTreeMap::<(State, i64), i64>::new(), 0);
    for row in rows {
        let (reached, attempts, n): (i64, i64, i64) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let state = customer_state(code("the state", row.try_get(0)?, State::from_code)?, u32::from(reached != 0) * EVER_REACHED);
        *bins.entry((state, attempts)).or_default() += n;
        seen += n;
    }
    let rest = if unseen(conn, id, seen).await?.is_some() { State::Cancelled } else { State::Pending };
    if audience > seen {
        *bins.entry((rest, 0)).or_default() += audience - seen;
    }
    Ok(bins.into_iter().map(|((state, attempts), customers)| AttemptsBin { state, attempts, customers }).collect())
}
