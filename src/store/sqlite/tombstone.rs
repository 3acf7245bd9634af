//! The marks of erased customers: an import that brings one back is told so.
use super::batches::json_arguments;
use super::packed;
use crate::store::sealing::Sealer;
use crate::store::{CustomerInput, StoreResult, privacy};
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};

fn hex(mark: &[u8; 16]) -> String {
    mark.iter().fold(String::with_capacity(32), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02X}");
        text
    })
}

/// Which of these customers, who are not on record, were erased before, by reference or by telephone number; with the reason to give.
pub(super) async fn among(
    conn: &mut SqliteConnection,
    sealer: &Sealer,
    strangers: &[(usize, &CustomerInput)],
) -> StoreResult<HashMap<usize, String>> {
    let mut found = HashMap::new();
    let any: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM tombstone)").fetch_one(&mut *conn).await?;
    if !any {
        return Ok(found);
    }
    for strangers in strangers.chunks(2_000) {
        let marks =
            |input: &CustomerInput| (hex(&sealer.reference_mark(&input.reference)), input.phone.as_ref().map(|phone| hex(&sealer.phone_mark(phone))));
        let of: Vec<_> = strangers.iter().map(|(index, input)| (*index, marks(input))).collect();
        let asked: HashSet<&str> =
            of.iter().flat_map(|(_, (reference, phone))| std::iter::once(reference.as_str()).chain(phone.as_deref())).collect();
        let sql = packed::pack(&["hex(t.mark)"], "FROM json_each(?) j CROSS JOIN tombstone t ON t.mark = unhex(j.value)");
        let text = packed::fetch(conn, sql.into(), json_arguments(&asked)?).await?;
        let mut known = HashSet::new();
        for mut row in packed::rows(&text) {
            known.insert(row.text()?);
        }
        for (index, (reference, phone)) in &of {
            if known.contains(reference.as_str()) {
                found.insert(*index, privacy::ERASED_REFERENCE.to_owned());
            } else if phone.as_ref().is_some_and(|p| known.contains(p.as_str())) {
                found.insert(*index, privacy::ERASED_PHONE.to_owned());
            }
        }
    }
    Ok(found)
}
