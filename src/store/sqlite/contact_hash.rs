//! The blind index: who has this telephone number or address, without either standing in the database.
use super::bulk::{self, Form};
use super::{SqliteStore, Writing, members};
use crate::domain::contact::{EmailAddress, Phone};
use crate::domain::ids::CustomerId;
use crate::store::sealing::Sealer;
use crate::store::{Member, Needs, StoreResult};

static ADD: Form<2> = Form {
    name: "contact hash",
    tiers: &[0b11],
    text: |slots| format!("INSERT OR IGNORE INTO contact_hash (hash, customer_id) VALUES {}", slots.all_columns()),
};

/// What is to be added and taken away.
pub(super) struct Changes<'a> {
    sealer: &'a Sealer,
    added: Vec<(i64, i64)>,
    removed: Vec<(i64, i64)>,
}

impl<'a> Changes<'a> {
    /// None yet.
    pub fn new(sealer: &'a Sealer) -> Self {
        Self { sealer, added: Vec::new(), removed: Vec::new() }
    }

    /// A customer's number and address before and after.
    pub fn of(&mut self, customer: CustomerId, before: (Option<&Phone>, Option<&EmailAddress>), after: (Option<&Phone>, Option<&EmailAddress>)) {
        let (phone, email) = (|p| self.sealer.phone_hash(p), |e| self.sealer.email_hash(e));
        if before.0 != after.0 {
            self.removed.extend(before.0.map(phone).map(|hash| (hash, customer.0)));
            self.added.extend(after.0.map(phone).map(|hash| (hash, customer.0)));
        }
        if before.1 != after.1 {
            self.removed.extend(before.1.map(email).map(|hash| (hash, customer.0)));
            self.added.extend(after.1.map(email).map(|hash| (hash, customer.0)));
        }
    }

    /// Writes them: additions in the order of the table, so that a batch touches each of its pages once.
    pub async fn write(mut self, writing: &mut Writing<'_>) -> StoreResult<()> {
        for (hash, customer) in self.removed {
            sqlx::query("DELETE FROM contact_hash WHERE hash = ? AND customer_id = ?").bind(hash).bind(customer).execute(&mut *writing.tx).await?;
        }
        self.added.sort_unstable();
        let rows: Vec<_> = self.added.iter().map(|(hash, customer)| [(*hash).into(), (*customer).into()]).collect();
        bulk::write(&mut writing.tx, writing.texts, &ADD, &rows).await?;
        Ok(())
    }
}

/// Customers of a place in the index whose value is the one asked for, ascending.
async fn holders(store: &SqliteStore, hash: i64, needs: Needs, same: impl Fn(&Member) -> bool) -> StoreResult<Vec<CustomerId>> {
    let mut reader = store.reader().await?;
    let ids: Vec<i64> =
        sqlx::query_scalar("SELECT customer_id FROM contact_hash WHERE hash = ? ORDER BY customer_id").bind(hash).fetch_all(&mut *reader).await?;
    let ids: Vec<CustomerId> = ids.into_iter().map(CustomerId).collect();
    let found = members::by_ids(&mut reader, &ids, needs, &store.sealer).await?;
    Ok(ids.into_iter().filter(|id| found.get(id).is_some_and(&same)).collect())
}

/// See [`crate::store::CustomerBook::customers_by_phone`].
pub(super) async fn by_phone(store: &SqliteStore, phone: &Phone) -> StoreResult<Vec<CustomerId>> {
    let wanted = phone.normalised();
    let same = |m: &Member| m.phone.as_ref().is_some_and(|p| p.normalised() == wanted);
    holders(store, store.sealer.phone_hash(phone), Needs { phone: true, ..Needs::default() }, same).await
}

/// See [`crate::store::CustomerBook::customers_by_email`].
pub(super) async fn by_email(store: &SqliteStore, email: &EmailAddress) -> StoreResult<Vec<CustomerId>> {
    let wanted = email.normalised();
    let same = |m: &Member| m.email.as_ref().is_some_and(|e| e.normalised() == wanted);
    holders(store, store.sealer.email_hash(email), Needs { email: true, ..Needs::default() }, same).await
}
