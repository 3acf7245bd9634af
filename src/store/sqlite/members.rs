//! Members of a list and of a due page: only the columns that are needed, packed.
use super::batches::json_arguments;
use super::fault::unknown;
use super::packed::{self, Columns, quoted};
use super::sealed::{self, ATTRIBUTES, EMAIL, PHONE, PUSH};
use crate::domain::consent::Contactability;
use crate::domain::contact::{EmailAddress, Phone, PushToken};
use crate::domain::ids::{CustomerId, ListId};
use crate::store::sealing::Sealer;
use crate::store::{Member, Needs, Person, StoreResult};
use chrono_tz::Tz;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, SqliteConnection};
use std::collections::HashMap;

/// The packed columns for `needs`, of a customer table named `c`.
fn columns(needs: Needs) -> Vec<String> {
    let mut columns = vec!["c.id".to_owned(), "c.contactability".to_owned(), "c.timezone".to_owned()];
    if needs.phone {
        columns.push(sealed::packed("c.phone"));
    }
    if needs.email {
        columns.push(sealed::packed("c.email"));
    }
    if needs.push {
        columns.push(sealed::packed("c.push"));
    }
    if needs.person {
        columns.extend(["c.reference", "c.language", "c.branch", "c.rm"].map(quoted));
    }
    if needs.attributes {
        columns.push(sealed::packed("c.attributes"));
    }
    columns
}

fn select(needs: Needs, from: &str) -> std::sync::Arc<str> {
    let columns = columns(needs);
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    packed::pack(&columns, from).into()
}

fn member(row: &mut Columns<'_>, needs: Needs, zones: &mut Zones, sealer: &Sealer) -> StoreResult<Member> {
    let id = CustomerId(row.int()?);
    let contactability = Contactability(row.int()?);
    let timezone = match row.maybe_text()? {
        Some(name) => Some(zones.get(name).ok_or_else(|| unknown("the time zone", format!("{name:?}")))?),
        None => None,
    };
    let phone = if needs.phone { sealed::open(sealer, PHONE, id, row)?.map(Phone::new) } else { None };
    let email = if needs.email { sealed::open(sealer, EMAIL, id, row)?.map(EmailAddress::new) } else { None };
    let push = if needs.push { sealed::open(sealer, PUSH, id, row)?.map(PushToken::new) } else { None };
    let person = if needs.person {
        Some(Box::new(Person {
            reference: row.maybe_quoted()?.unwrap_or_default(),
            language: row.maybe_quoted()?,
            branch: row.maybe_quoted()?,
            rm: row.maybe_quoted()?,
        }))
    } else {
        None
    };
    let attributes = if needs.attributes { sealed::open(sealer, ATTRIBUTES, id, row)?.map(Into::into) } else { None };
    Ok(Member { id, contactability, timezone, phone, email, push, person, attributes })
}

/// The zones of a page: customers of one bank share a few.
#[derive(Default)]
pub(super) struct Zones {
    last: Option<(String, Tz)>,
}

impl Zones {
    /// A zone by name.
    pub fn get(&mut self, name: &str) -> Option<Tz> {
        if let Some((known, zone)) = &self.last
            && known == name
        {
            return Some(*zone);
        }
        let zone: Tz = name.parse().ok()?;
        self.last = Some((name.to_owned(), zone));
        Some(zone)
    }
}

/// The place in the contactability change log. The log is emptied when a new sender starts; its numbers go on.
pub(super) async fn seen_change(conn: &mut SqliteConnection) -> StoreResult<i64> {
    let seen: Option<i64> = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'contactability_change'").fetch_optional(conn).await?;
    Ok(seen.unwrap_or(0))
}

/// Members of a list after `after`, in customer order.
pub(super) async fn page(
    conn: &mut SqliteConnection,
    list: ListId,
    after: CustomerId,
    limit: usize,
    needs: Needs,
    sealer: &Sealer,
) -> StoreResult<Vec<Member>> {
    let sql = select(
        needs,
        "FROM list_member m CROSS JOIN customer c ON c.id = m.customer_id WHERE m.list_id = ? AND m.customer_id > ? ORDER BY m.customer_id LIMIT ?",
    );
    let mut arguments = SqliteArguments::default();
    for n in [list.0, after.0, i64::try_from(limit).unwrap_or(i64::MAX)] {
        arguments.add(n).map_err(sqlx::Error::Encode)?;
    }
    let text = packed::fetch(conn, sql, arguments).await?;
    let mut zones = Zones::default();
    packed::rows(&text).map(|mut row| member(&mut row, needs, &mut zones, sealer)).collect()
}

/// Members by number.
pub(super) async fn by_ids(
    conn: &mut SqliteConnection,
    ids: &[CustomerId],
    needs: Needs,
    sealer: &Sealer,
) -> StoreResult<HashMap<CustomerId, Member>> {
    let sql = select(needs, "FROM json_each(?) j CROSS JOIN customer c ON c.id = j.value");
    let text = packed::fetch(conn, sql, json_arguments(&ids)?).await?;
    let mut zones = Zones::default();
    packed::rows(&text).map(|mut row| member(&mut row, needs, &mut zones, sealer).map(|m| (m.id, m))).collect()
}
