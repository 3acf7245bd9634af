//! Two persons: when two names are one person's, and what somebody who acts must be called.

/// The name under which the engine writes histories; no person may act under it.
pub const ENGINE: &str = "engine";

/// A name as persons are told apart by it: without case, spaces and characters that cannot be seen. `Ann`, `ann ` and `ANN` are one person.
pub fn folded(name: &str) -> String {
    // U+00AD, U+200B to U+200F, U+2060 and U+FEFF are drawn as nothing.
    let unseen = |c: char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}');
    name.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !unseen(*c)).flat_map(char::to_lowercase).collect()
}

/// Whether two names are one person's.
pub fn same(a: &str, b: &str) -> bool {
    folded(a) == folded(b)
}

/// Whether a person is one of these.
pub fn among<'a>(name: &str, others: impl IntoIterator<Item = &'a str>) -> bool {
    let name = folded(name);
    others.into_iter().any(|other| folded(other) == name)
}

/// Whether a name can stand for a person in a history; else what is wrong with it.
pub fn check(name: &str) -> Result<(), String> {
    let folded = folded(name);
    if folded.is_empty() {
        return Err("expected the name of whoever does it (--by NAME): it is kept in the campaign's history".to_owned());
    }
    if folded == ENGINE {
        return Err(format!("{ENGINE:?} is the name of the engine itself; expected a person's name (--by NAME)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_by_any_spelling() {
        for other in ["ann", "ANN", " Ann\t", "a\u{200b}nn", "an\u{ad}n"] {
            assert!(same("Ann", other), "{other:?}");
        }
        assert!(!same("ann", "anna") && same("ÄNNE", "änne"));
        assert!(among("BOB", ["ann", "bob"]) && !among("cy", ["ann", "bob"]) && !among("cy", []));
        assert!(check("ann").is_ok() && check("  ").is_err() && check("Engine").is_err());
    }
}
