//! The packed contactability beside a customer, recomputed from all that is on record for the customer.
use super::Writing;
use super::batches::json_arguments;
use super::bulk::{self, Form};
use super::packed;
use super::rows::code;
use crate::domain::channel::Channel;
use crate::domain::consent::{ConsentState, Contactability, Purpose};
use crate::domain::ids::CustomerId;
use crate::store::StoreResult;
use std::collections::BTreeMap;

/// What of consents matters per (channel, purpose): the latest, withdrawal winning a tie.
pub(super) type Latest = BTreeMap<(Channel, Purpose), (i64, ConsentState)>;

/// Takes a consent into account.
pub(super) fn consider(latest: &mut Latest, channel: Channel, purpose: Purpose, at: i64, state: ConsentState) {
    let entry = latest.entry((channel, purpose)).or_insert((at, state));
    if at > entry.0 || (at == entry.0 && state == ConsentState::Withdrawn) {
        *entry = (at, state);
    }
}

/// Consents packed; no suppression.
pub(super) fn pack(latest: &Latest) -> Contactability {
    latest.iter().fold(Contactability::default(), |packed, ((channel, purpose), (_, state))| packed.with_consent(*channel, *purpose, *state))
}

static SET: Form<2> = Form {
    name: "contactability set",
    tiers: &[0b11],
    text: |slots| {
        format!(
            "UPDATE customer SET contactability={} FROM (VALUES {}) AS v WHERE customer.id={}",
            slots.column(1),
            slots.varying_columns(),
            slots.column(0)
        )
    },
};
static LOG: Form<1> = Form {
    name: "contactability change",
    tiers: &[0b1],
    text: |slots| format!("INSERT INTO contactability_change (customer_id) VALUES {}", slots.all_columns()),
};

/// Recomputes these customers (sorted, each once); those that changed enter the change log. Returns how many changed.
pub(super) async fn recompute(writing: &mut Writing<'_>, customers: &[CustomerId]) -> StoreResult<u64> {
    let mut changed = 0;
    for customers in customers.chunks(2_000) {
        changed += recompute_some(writing, customers).await?;
    }
    Ok(changed)
}

async fn recompute_some(writing: &mut Writing<'_>, customers: &[CustomerId]) -> StoreResult<u64> {
    let mut latest: BTreeMap<i64, Latest> = BTreeMap::new();
    let sql = packed::pack(
        &["c.customer_id", "c.channel", "c.purpose", "c.at", "c.state"],
        "FROM json_each(?) j CROSS JOIN consent c ON c.customer_id = j.value",
    );
    let text = packed::fetch(&mut writing.tx, sql.into(), json_arguments(&customers)?).await?;
    for mut row in packed::rows(&text) {
        let of = latest.entry(row.int()?).or_default();
        let channel = code("the channel", row.int()?, Channel::from_code)?;
        let purpose = code("the purpose", row.int()?, Purpose::from_code)?;
        let at = row.int()?;
        consider(of, channel, purpose, at, code("the consent", row.int()?, ConsentState::from_code)?);
    }
    let mut packed: BTreeMap<i64, Contactability> = latest.iter().map(|(customer, latest)| (*customer, pack(latest))).collect();
    let sql = packed::pack(
        &["s.customer_id", "s.channel", "s.lapsed", "s.why = 'complaint'"],
        "FROM json_each(?) j CROSS JOIN suppression s ON s.customer_id = j.value",
    );
    let text = packed::fetch(&mut writing.tx, sql.into(), json_arguments(&customers)?).await?;
    for mut row in packed::rows(&text) {
        let of = packed.entry(row.int()?).or_default();
        let channel = row.int()?;
        if row.int()? == 0 {
            for each in Channel::ALL.into_iter().filter(|c| channel == 0 || i64::from(c.code()) == channel) {
                *of = of.with_suppressed(each, true);
            }
        }
        // A complaint stays on record when its suppression has lapsed.
        if row.int()? == 1 {
            *of = of.with_complaint();
        }
    }
    for (customer, until) in super::holds::ruling(&mut writing.tx, customers).await? {
        let of = packed.entry(customer).or_default();
        *of = of.with_hold(until);
    }
    let sql = packed::pack(&["c.id", "c.contactability"], "FROM json_each(?) j CROSS JOIN customer c ON c.id = j.value");
    let text = packed::fetch(&mut writing.tx, sql.into(), json_arguments(&customers)?).await?;
    let mut changes = Vec::new();
    for mut row in packed::rows(&text) {
        let (id, stored) = (row.int()?, row.int()?);
        let now = packed.get(&id).copied().unwrap_or_default().0;
        if now != stored {
            changes.push((id, now));
        }
    }
    let rows: Vec<_> = changes.iter().map(|(id, now)| [(*id).into(), (*now).into()]).collect();
    bulk::write(&mut writing.tx, writing.texts, &SET, &rows).await?;
    let rows: Vec<_> = changes.iter().map(|(id, _)| [(*id).into()]).collect();
    bulk::write(&mut writing.tx, writing.texts, &LOG, &rows).await
}
