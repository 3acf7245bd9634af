//! Facts of the core bank and the credits that attribution gives for them.
use super::batches::json_arguments;
use super::bulk::{self, Form};
use super::customers::{ids_of, put_progress};
use super::{SqliteStore, fault::unknown};
use crate::domain::ids::{CampaignId, CustomerId};
use crate::domain::money::Money;
use crate::domain::time::Timestamp;
use crate::store::{CreditRow, FactBook, FactInput, FactRow, IntakeProgress, PutCount, StoreResult};
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::collections::{BTreeSet, HashMap};

static PUT: Form<7> = Form {
    name: "fact",
    tiers: &[0b010_1110 | 0b1, 0b111_1111],
    text: |slots| format!("INSERT INTO fact (fact_ref, customer_id, amount_minor, at, kind, product, currency) VALUES {}", slots.all_columns()),
};
static WAITING: Form<8> = Form {
    name: "credit",
    tiers: &[0b1111_1111],
    text: |slots| {
        format!(
            "INSERT OR REPLACE INTO credit_waiting (fact_id, campaign_id, rule, seq, customer_id, amount_minor, currency, at) VALUES {}",
            slots.all_columns()
        )
    },
};

const SELECT: &str = "SELECT id, fact_ref, customer_id, kind, product, amount_minor, currency, at FROM fact";

fn money(minor: i64, currency: &str) -> StoreResult<Money> {
    Ok(Money { minor, currency: currency.parse().map_err(|_| unknown("the currency", currency))? })
}

fn fact_row(row: &SqliteRow) -> StoreResult<FactRow> {
    Ok(FactRow {
        id: row.try_get(0)?,
        fact_ref: row.try_get(1)?,
        customer: CustomerId(row.try_get(2)?),
        kind: row.try_get(3)?,
        product: row.try_get(4)?,
        amount: money(row.try_get(5)?, row.try_get(6)?)?,
        at: Timestamp(row.try_get(7)?),
    })
}

fn credit_row(row: &SqliteRow) -> StoreResult<CreditRow> {
    let seq: i64 = row.try_get(3)?;
    Ok(CreditRow {
        fact: row.try_get(0)?,
        campaign: CampaignId(row.try_get(1)?),
        rule: row.try_get(2)?,
        seq: if seq < 0 { None } else { Some(u32::try_from(seq).map_err(|_| unknown("a touch's number", seq))?) },
        customer: CustomerId(row.try_get(4)?),
        amount: money(row.try_get(5)?, row.try_get(6)?)?,
        at: Timestamp(row.try_get(7)?),
    })
}

/// The facts of a batch that are on record, by kind and reference.
async fn stored(conn: &mut SqliteConnection, batch: &[FactInput]) -> StoreResult<HashMap<(String, String), FactRow>> {
    let mut found = HashMap::new();
    for batch in batch.chunks(2_000) {
        let keys: Vec<(&str, &str)> = batch.iter().map(|f| (f.kind.as_str(), f.fact_ref.as_str())).collect();
        let rows = sqlx::query_with(
            "SELECT f.id, f.fact_ref, f.customer_id, f.kind, f.product, f.amount_minor, f.currency, f.at FROM json_each(?) j \
             CROSS JOIN fact f ON f.kind = j.value ->> 0 AND f.fact_ref = j.value ->> 1",
            json_arguments(&keys)?,
        )
        .fetch_all(&mut *conn)
        .await?;
        for row in &rows {
            let fact = fact_row(row)?;
            found.insert((fact.kind.clone(), fact.fact_ref.clone()), fact);
        }
    }
    Ok(found)
}

/// Facts of a list that other real runs hold a share of.
async fn held_elsewhere(conn: &mut SqliteConnection, campaign: CampaignId, facts: &[i64]) -> StoreResult<BTreeSet<i64>> {
    let mut held = BTreeSet::new();
    for facts in facts.chunks(5_000) {
        let rows = sqlx::query_with(
            "SELECT DISTINCT c.fact_id, c.campaign_id FROM json_each(?) j CROSS JOIN credit c ON c.fact_id = j.value \
             WHERE c.campaign_id > 0 AND c.seq >= 0",
            json_arguments(&facts)?,
        )
        .fetch_all(&mut *conn)
        .await?;
        for row in rows {
            if row.try_get::<i64, _>(1)? != campaign.0 {
                held.insert(row.try_get(0)?);
            }
        }
    }
    Ok(held)
}

#[async_trait]
impl FactBook for SqliteStore {
    async fn put_facts(&self, batch: &[FactInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        let references: Vec<&str> = batch.iter().map(|f| f.customer.as_str()).collect();
        let ids = ids_of(&mut writing.tx, &references).await?;
        let mut known = stored(&mut writing.tx, batch).await?;
        let mut count = PutCount::default();
        let mut rows = Vec::with_capacity(batch.len());
        for (index, (fact, id)) in batch.iter().zip(ids).enumerate() {
            let Some(customer) = id else {
                count
                    .rejected
                    .push((index, "expected a customer that has been imported, found an unknown reference; import the customer first".into()));
                continue;
            };
            let key = (fact.kind.clone(), fact.fact_ref.clone());
            if let Some(on_record) = known.get(&key) {
                let same =
                    on_record.customer == customer && on_record.product == fact.product && on_record.amount == fact.amount && on_record.at == fact.at;
                if same {
                    count.duplicates += 1;
                } else {
                    count.rejected.push((
                        index,
                        format!("a {} fact of this reference is on record with other content; correct it by a fact of its own reference", fact.kind),
                    ));
                }
                continue;
            }
            rows.push([
                fact.fact_ref.as_str().into(),
                customer.0.into(),
                fact.amount.minor.into(),
                fact.at.0.into(),
                fact.kind.as_str().into(),
                fact.product.as_deref().into(),
                fact.amount.currency.code().into(),
            ]);
            let taken = FactRow {
                id: 0,
                fact_ref: key.1.clone(),
                customer,
                kind: key.0.clone(),
                product: fact.product.clone(),
                amount: fact.amount,
                at: fact.at,
            };
            known.insert(key, taken);
        }
        count.inserted = bulk::write(&mut writing.tx, writing.texts, &PUT, &rows).await?;
        put_progress(&mut writing.tx, progress).await?;
        writing.commit().await?;
        Ok(count)
    }

    async fn facts(&self, customers: (CustomerId, CustomerId), kind: &str, product: Option<&str>) -> StoreResult<Vec<FactRow>> {
        let mut reader = self.reader().await?;
        let sql = format!("{SELECT} WHERE customer_id BETWEEN ?1 AND ?2 AND kind = ?3 AND (?4 IS NULL OR product = ?4) ORDER BY customer_id, at, id");
        sqlx::query(AssertSqlSafe(sql))
            .bind(customers.0.0)
            .bind(customers.1.0)
            .bind(kind)
            .bind(product)
            .fetch_all(&mut *reader)
            .await?
            .iter()
            .map(fact_row)
            .collect()
    }

    async fn customer_facts(&self, customer: CustomerId) -> StoreResult<Vec<FactRow>> {
        let mut reader = self.reader().await?;
        let sql = format!("{SELECT} WHERE customer_id = ? ORDER BY at, id");
        sqlx::query(AssertSqlSafe(sql)).bind(customer.0).fetch_all(&mut *reader).await?.iter().map(fact_row).collect()
    }

    async fn put_credits(&self, campaign: CampaignId, rule: &str, credits: &[CreditRow], last: bool, first: bool) -> StoreResult<Vec<i64>> {
        let mut writer = self.writer.lock().await;
        let mut writing = writer.begin().await?;
        if first {
            sqlx::query("DELETE FROM credit_waiting WHERE campaign_id = ? AND rule = ?")
                .bind(campaign.0)
                .bind(rule)
                .execute(&mut *writing.tx)
                .await?;
        }
        let shares: Vec<i64> = credits.iter().filter(|c| c.seq.is_some()).map(|c| c.fact).collect();
        let barred = if campaign.is_rehearsal() { BTreeSet::new() } else { held_elsewhere(&mut writing.tx, campaign, &shares).await? };
        let rows: Vec<_> = credits
            .iter()
            .filter(|c| c.seq.is_none() || !barred.contains(&c.fact))
            .map(|c| {
                [
                    c.fact.into(),
                    campaign.0.into(),
                    rule.into(),
                    c.seq.map_or(-1, i64::from).into(),
                    c.customer.0.into(),
                    c.amount.minor.into(),
                    c.amount.currency.code().into(),
                    c.at.0.into(),
                ]
            })
            .collect();
        bulk::write(&mut writing.tx, writing.texts, &WAITING, &rows).await?;
        if last {
            super::outbox::tell_credits(&mut writing.tx, campaign, rule).await?;
            for sql in [
                "DELETE FROM credit WHERE campaign_id = ?1 AND rule = ?2",
                "INSERT INTO credit SELECT * FROM credit_waiting WHERE campaign_id = ?1 AND rule = ?2",
                "DELETE FROM credit_waiting WHERE campaign_id = ?1 AND rule = ?2",
            ] {
                sqlx::query(sql).bind(campaign.0).bind(rule).execute(&mut *writing.tx).await?;
            }
        }
        writing.commit().await?;
        Ok(barred.into_iter().collect())
    }

    async fn credits(&self, campaign: CampaignId, after: Option<(CustomerId, i64)>, limit: usize) -> StoreResult<Vec<CreditRow>> {
        let mut reader = self.reader().await?;
        let (customer, fact) = after.map_or((i64::MIN, i64::MIN), |(customer, fact)| (customer.0, fact));
        let columns = "SELECT fact_id, campaign_id, rule, seq, customer_id, amount_minor, currency, at FROM credit";
        let sql = format!("{columns} WHERE campaign_id = ? AND (customer_id, fact_id) > (?, ?) ORDER BY customer_id, fact_id, rule, seq LIMIT ?");
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign.0)
            .bind(customer)
            .bind(fact)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *reader)
            .await?;
        let mut credits: Vec<CreditRow> = rows.iter().map(credit_row).collect::<StoreResult<_>>()?;
        // The shares of the last fact that the limit cut off.
        if let Some(last) = credits.last().cloned().filter(|_| credits.len() == limit) {
            let sql = format!("{columns} WHERE campaign_id = ? AND customer_id = ? AND fact_id = ? AND (rule, seq) > (?, ?) ORDER BY rule, seq");
            let rest = sqlx::query(AssertSqlSafe(sql))
                .bind(campaign.0)
                .bind(last.customer.0)
                .bind(last.fact)
                .bind(&last.rule)
                .bind(last.seq.map_or(-1, i64::from))
                .fetch_all(&mut *reader)
                .await?;
            for row in &rest {
                credits.push(credit_row(row)?);
            }
        }
        Ok(credits)
    }

    async fn credited_elsewhere(&self, campaign: CampaignId, facts: &[i64]) -> StoreResult<Vec<i64>> {
        let held = held_elsewhere(&mut *self.reader().await?, campaign, facts).await?;
        Ok(facts.iter().copied().filter(|fact| held.contains(fact)).collect())
    }
}
