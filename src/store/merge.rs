//! How a customer that an intake brings changes the customer on record: the same in every store.
use super::{CustomerInput, CustomerRow};
use crate::domain::consent::Contactability;
use crate::domain::ids::CustomerId;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A customer of whom nothing is known but the reference.
pub(super) fn blank(id: CustomerId, reference: &str) -> CustomerRow {
    CustomerRow {
        id,
        reference: reference.to_owned(),
        phone: None,
        email: None,
        push: None,
        timezone: None,
        language: None,
        branch: None,
        rm: None,
        attributes: "{}".into(),
        contactability: Contactability::default(),
    }
}

/// Later values win field by field, nothing is taken away by a field that is left out or empty, attributes are merged by name.
/// Returns whether anything has changed.
pub(super) fn merge(row: &mut CustomerRow, input: &CustomerInput) -> bool {
    let text = |new: &Option<String>| new.clone().filter(|t| !t.is_empty());
    let mut changed = later(&mut row.phone, input.phone.clone().filter(|p| !p.reveal().is_empty()));
    changed |= later(&mut row.email, input.email.clone().filter(|e| !e.reveal().is_empty()));
    changed |= later(&mut row.push, input.push.clone().filter(|p| !p.reveal().is_empty()));
    changed |= later(&mut row.timezone, input.timezone);
    changed |= later(&mut row.language, text(&input.language));
    changed |= later(&mut row.branch, text(&input.branch));
    changed |= later(&mut row.rm, text(&input.rm));
    if !input.attributes.is_empty() {
        let attributes = attributes(&row.attributes, &input.attributes);
        changed |= attributes != row.attributes;
        row.attributes = attributes;
    }
    changed
}

fn later<T: PartialEq>(kept: &mut Option<T>, new: Option<T>) -> bool {
    let changes = new.is_some() && new != *kept;
    if changes {
        *kept = new;
    }
    changes
}

/// Attributes by name, the new ones over the old; names in order, so that the text does not depend on the order of arrival.
fn attributes(old: &str, new: &Map<String, Value>) -> String {
    let mut all: BTreeMap<&str, Value> = if old == "{}" { BTreeMap::new() } else { serde_json::from_str(old).unwrap_or_default() };
    let written = if all.is_empty() {
        serde_json::to_string(&new.iter().collect::<BTreeMap<_, _>>())
    } else {
        all.extend(new.iter().map(|(name, value)| (name.as_str(), value.clone())));
        serde_json::to_string(&all)
    };
    written.unwrap_or_else(|_| "{}".into())
}
