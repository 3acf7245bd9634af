//! Customers in: what is on record is opened, merged with what comes, and sealed anew. (Sealed values cannot be compared or merged in
//! SQL.) New customers are one bulk insert, changed ones one bulk update, whatever the batch holds.
use super::bulk::{self, Cell, Form};
use super::sealed::{ATTRIBUTES, EMAIL, PHONE, PUSH};
use super::{SqliteStore, Writing, consents, contact_hash, contactable, customers, tombstone};
use crate::domain::consent::{ConsentRecord, ConsentState};
use crate::domain::contact::{EmailAddress, Phone, PushToken};
use crate::domain::ids::CustomerId;
use crate::store::sealing::Sealer;
use crate::store::{CustomerInput, CustomerRow, IntakeProgress, PutCount, StoreResult, merge};
use std::collections::{HashMap, HashSet};

static INSERT: Form<11> = Form {
    name: "customer",
    tiers: &[0b000_0000_0111, 0b010_0000_1111, 0b111_1111_1111],
    text: |slots| {
        format!(
            "INSERT INTO customer (id, reference, phone, email, push, timezone, language, branch, rm, attributes, contactability) VALUES {}",
            slots.all_columns()
        )
    },
};
static UPDATE: Form<9> = Form {
    name: "customer update",
    tiers: &[0b1_1111_1111],
    text: |slots| {
        format!(
            "UPDATE customer SET phone={}, email={}, push={}, timezone={}, language={}, branch={}, rm={}, attributes={} FROM (VALUES {}) AS v \
             WHERE customer.id={}",
            slots.column(1),
            slots.column(2),
            slots.column(3),
            slots.column(4),
            slots.column(5),
            slots.column(6),
            slots.column(7),
            slots.column(8),
            slots.varying_columns(),
            slots.column(0)
        )
    },
};

/// A customer of the batch, as it will be.
struct Pending<'a> {
    row: CustomerRow,
    /// What the blind index had of it; `None`: a new customer.
    before: Option<(Option<Phone>, Option<EmailAddress>)>,
    changed: bool,
    consents: Vec<&'a ConsentRecord>,
}

/// The four sealed values of a customer, written out.
pub(super) struct SealedValues {
    phone: Option<Vec<u8>>,
    email: Option<Vec<u8>>,
    push: Option<Vec<u8>>,
    attributes: Option<Vec<u8>>,
}

impl SealedValues {
    /// Seals under the first key. Attributes that say nothing stay open.
    pub fn of(sealer: &Sealer, row: &CustomerRow) -> StoreResult<Self> {
        let id = row.id.0;
        let seal = |field, text: Option<&str>| text.map(|t| sealer.seal(field, id, t)).transpose();
        Ok(Self {
            phone: seal(PHONE, row.phone.as_ref().map(Phone::reveal))?,
            email: seal(EMAIL, row.email.as_ref().map(EmailAddress::reveal))?,
            push: seal(PUSH, row.push.as_ref().map(PushToken::reveal))?,
            attributes: seal(ATTRIBUTES, Some(row.attributes.as_str()).filter(|a| *a != "{}"))?,
        })
    }
    /// Phone, email, push, attributes.
    pub fn cells(&self) -> [Cell<'_>; 4] {
        [
            self.phone.as_deref().map_or(Cell::Null, Cell::Bytes),
            self.email.as_deref().map_or(Cell::Null, Cell::Bytes),
            self.push.as_deref().map_or(Cell::Null, Cell::Bytes),
            self.attributes.as_deref().map_or(Cell::Text("{}"), Cell::Bytes),
        ]
    }
}

fn open_cells(row: &CustomerRow) -> [Cell<'_>; 4] {
    [row.timezone.map(chrono_tz::Tz::name).into(), row.language.as_deref().into(), row.branch.as_deref().into(), row.rm.as_deref().into()]
}

/// Writes customers' rows over those on record.
pub(super) async fn update(writing: &mut Writing<'_>, sealer: &Sealer, rows: &[&CustomerRow]) -> StoreResult<u64> {
    let sealed = rows.iter().map(|row| SealedValues::of(sealer, row)).collect::<StoreResult<Vec<_>>>()?;
    let cells: Vec<_> = rows
        .iter()
        .zip(&sealed)
        .map(|(row, sealed)| {
            let [phone, email, push, attributes] = sealed.cells();
            let [timezone, language, branch, rm] = open_cells(row);
            [row.id.0.into(), phone, email, push, timezone, language, branch, rm, attributes]
        })
        .collect();
    bulk::write(&mut writing.tx, writing.texts, &UPDATE, &cells).await
}

async fn insert(writing: &mut Writing<'_>, sealer: &Sealer, new: &[&Pending<'_>]) -> StoreResult<()> {
    let sealed = new.iter().map(|p| SealedValues::of(sealer, &p.row)).collect::<StoreResult<Vec<_>>>()?;
    let cells: Vec<_> = new
        .iter()
        .zip(&sealed)
        .map(|(pending, sealed)| {
            let row = &pending.row;
            let mut latest = contactable::Latest::default();
            for record in &pending.consents {
                contactable::consider(&mut latest, record.channel, record.purpose, record.at.0, record.state);
            }
            let [phone, email, push, attributes] = sealed.cells();
            let [timezone, language, branch, rm] = open_cells(row);
            let contactability = contactable::pack(&latest).0.into();
            [row.id.0.into(), row.reference.as_str().into(), phone, email, push, timezone, language, branch, rm, attributes, contactability]
        })
        .collect();
    bulk::write(&mut writing.tx, writing.texts, &INSERT, &cells).await?;
    Ok(())
}

/// The batch as it will be written, and what becomes of each row.
struct Plan<'a> {
    pending: Vec<Pending<'a>>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Plan<'a> {
    /// Takes one row: whether it made a customer, changed one, or said nothing new.
    fn take(&mut self, input: &'a CustomerInput, next: &mut i64, on_record: &HashMap<CustomerId, Vec<ConsentRecord>>, count: &mut PutCount) {
        let mut new = false;
        let place = *self.places.entry(input.reference.as_str()).or_insert_with(|| {
            new = true;
            *next += 1;
            let row = merge::blank(CustomerId(*next), &input.reference);
            self.pending.push(Pending { row, before: None, changed: false, consents: Vec::new() });
            self.pending.len() - 1
        });
        let Some(pending) = self.pending.get_mut(place) else { return };
        let changed = merge::merge(&mut pending.row, input);
        let had = pending.consents.len();
        for record in input.consents.iter().filter(|r| r.state != ConsentState::Unknown) {
            let known = on_record.get(&pending.row.id).is_some_and(|all| all.contains(record)) || pending.consents.contains(&record);
            if !known {
                pending.consents.push(record);
            }
        }
        pending.changed |= changed;
        match (new, changed || pending.consents.len() > had) {
            (true, _) => count.inserted += 1,
            (false, true) => count.updated += 1,
            (false, false) => count.duplicates += 1,
        }
    }
}

/// See [`crate::store::CustomerBook::put_customers`].
pub(super) async fn put(store: &SqliteStore, batch: &[CustomerInput], progress: Option<&IntakeProgress>) -> StoreResult<PutCount> {
    let mut count = PutCount::default();
    let mut taken: Vec<(usize, &CustomerInput)> = Vec::with_capacity(batch.len());
    for (index, input) in batch.iter().enumerate() {
        match customers::refusal(input) {
            Some(why) => count.rejected.push((index, why.to_owned())),
            None => taken.push((index, input)),
        }
    }
    let sealer = &*store.sealer;
    let mut writer = store.writer.lock().await;
    let mut writing = writer.begin().await?;
    let references: Vec<&str> = taken.iter().map(|(_, input)| input.reference.as_str()).collect();
    let known = customers::rows_of(&mut writing.tx, sealer, &references).await?;
    let with_consents: HashSet<&str> = taken.iter().filter(|(_, i)| !i.consents.is_empty()).map(|(_, i)| i.reference.as_str()).collect();
    let asked: Vec<CustomerId> = known.iter().filter(|row| with_consents.contains(row.reference.as_str())).map(|row| row.id).collect();
    let on_record = consents::on_record(&mut writing.tx, &asked).await?;
    let mut plan = Plan { pending: Vec::with_capacity(taken.len()), places: HashMap::with_capacity(taken.len()) };
    let by_reference: HashMap<&str, usize> = known.iter().enumerate().map(|(place, row)| (row.reference.as_str(), place)).collect();
    let strangers: Vec<(usize, &CustomerInput)> = taken.iter().copied().filter(|(_, i)| !by_reference.contains_key(i.reference.as_str())).collect();
    let erased = tombstone::among(&mut writing.tx, sealer, &strangers).await?;
    for (_, input) in &taken {
        if let Some(row) = by_reference.get(input.reference.as_str()).and_then(|place| known.get(*place))
            && !plan.places.contains_key(input.reference.as_str())
        {
            plan.places.insert(&input.reference, plan.pending.len());
            let before = Some((row.phone.clone(), row.email.clone()));
            plan.pending.push(Pending { row: row.clone(), before, changed: false, consents: Vec::new() });
        }
    }
    let mut next = customers::last_id(&mut writing.tx).await?;
    for (index, input) in taken {
        match erased.get(&index) {
            Some(why) => count.rejected.push((index, why.clone())),
            None => plan.take(input, &mut next, &on_record, &mut count),
        }
    }
    count.rejected.sort_by_key(|(index, _)| *index);
    let pending = plan.pending;
    let new: Vec<&Pending<'_>> = pending.iter().filter(|p| p.before.is_none()).collect();
    insert(&mut writing, sealer, &new).await?;
    let changed: Vec<&CustomerRow> = pending.iter().filter(|p| p.before.is_some() && p.changed).map(|p| &p.row).collect();
    update(&mut writing, sealer, &changed).await?;
    let mut hashes = contact_hash::Changes::new(sealer);
    for each in pending.iter().filter(|p| p.before.is_none() || p.changed) {
        let (phone, email) = each.before.as_ref().map_or((None, None), |(phone, email)| (phone.as_ref(), email.as_ref()));
        hashes.of(each.row.id, (phone, email), (each.row.phone.as_ref(), each.row.email.as_ref()));
    }
    hashes.write(&mut writing).await?;
    let records: Vec<_> = pending.iter().flat_map(|p| p.consents.iter().map(move |record| (p.row.id, *record))).collect();
    consents::append_consents(&mut writing, &records).await?;
    // A new customer's are packed already.
    let mut again: Vec<CustomerId> = pending.iter().filter(|p| p.before.is_some() && !p.consents.is_empty()).map(|p| p.row.id).collect();
    again.sort_unstable();
    contactable::recompute(&mut writing, &again).await?;
    customers::put_progress(&mut writing.tx, progress).await?;
    writing.commit().await?;
    Ok(count)
}
