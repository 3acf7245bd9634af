//! Counts of a campaign: the tallies as kept, and the same from the rows.
use super::rows::{code, reason};
use super::sums::Sums;
use super::{campaigns, ledger};
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::tally::{Tallies, Tally, called_off_unseen};
use crate::domain::touch::{State, Touch};
use crate::store::sqlite::Writing;
use crate::store::sqlite::bulk::{self, Form};
use crate::store::{AttemptsBin, StoreResult};
use sqlx::{Row, SqliteConnection};
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

/// What calling off gave customers without a row: how many and why; `None` when the campaign was not called off.
async fn unseen(conn: &mut SqliteConnection, id: CampaignId, seen: i64) -> StoreResult<Option<(i64, crate::domain::outcome::Reason)>> {
    let row = sqlx::query("SELECT audience, called_off_reason FROM campaign WHERE id = ?").bind(id.0).fetch_one(conn).await?;
    let audience: i64 = row.try_get(0)?;
    row.try_get::<Option<i64>, _>(1)?.map(|r| Ok((audience - seen, code("the reason", r, reason)?))).transpose()
}

/// Walks the rows of a campaign in (customer, seq) order, and says of each whether it is its customer's head. In pages: SQLite
/// would sort all rows in memory to group them.
async fn walk(conn: &mut SqliteConnection, id: CampaignId, mut each: impl FnMut(&Touch, bool)) -> StoreResult<()> {
    let mut after = (CustomerId(i64::MIN), -1);
    let mut held: Option<Touch> = None;
    loop {
        let page = ledger::scan(conn, id, after, ledger::SCAN).await?;
        let Some(last) = page.last() else { break };
        after = (last.key.customer, i64::from(last.key.seq));
        for touch in page {
            let customer = touch.key.customer;
            if let Some(held) = held.replace(touch) {
                each(&held, held.key.customer != customer);
            }
        }
    }
    if let Some(held) = held {
        each(&held, true);
    }
    Ok(())
}

/// The tallies from the rows.
pub(super) async fn recount(conn: &mut SqliteConnection, id: CampaignId) -> StoreResult<Tallies> {
    campaigns::by_id(conn, id).await?;
    let (mut sums, mut tallies, mut seen) = (Sums::default(), Tallies::default(), 0);
    walk(conn, id, |touch, is_head| {
        sums.add(touch.into(), is_head, 1);
        seen += i64::from(is_head);
    })
    .await?;
    sums.flush(&mut tallies);
    if let Some((customers, reason)) = unseen(conn, id, seen).await? {
        called_off_unseen(&mut tallies, customers, reason);
    }
    Ok(tallies)
}

/// Customers by state and number of attempts that stand.
pub(super) async fn attempts_histogram(conn: &mut SqliteConnection, id: CampaignId) -> StoreResult<Vec<AttemptsBin>> {
    let audience = campaigns::by_id(conn, id).await?.audience;
    let (mut bins, mut seen, mut attempts) = (BTreeMap::<(State, i64), i64>::new(), 0, 0);
    walk(conn, id, |touch, is_head| {
        attempts += i64::from(touch.state.stands());
        if is_head {
            *bins.entry((touch.customer_state(), attempts)).or_default() += 1;
            (seen, attempts) = (seen + 1, 0);
        }
    })
    .await?;
    let rest = if unseen(conn, id, seen).await?.is_some() { State::Cancelled } else { State::Pending };
    if audience > seen {
        *bins.entry((rest, 0)).or_default() += audience - seen;
    }
    Ok(bins.into_iter().map(|((state, attempts), customers)| AttemptsBin { state, attempts, customers }).collect())
}
