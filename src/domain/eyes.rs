//! Two persons: when two names are one person's, and what somebody who acts must be called.

/// The name under which the engine writes histories; no person may act under it.
pub const ENGINE: &str = "engine";

/// Characters that are drawn as nothing, or only turn others about (Unicode's default-ignorable code points).
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}')
}

/// Marks that are drawn over the letter before them: the same name could be written with and without.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// The Latin letter that a letter is drawn as (small or capital), as in Unicode's table of confusables; full width is taken as half.
fn drawn_as(c: char) -> char {
    match c {
        'а' | 'α' => 'a',
        'в' | 'β' => 'b',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ε' => 'e',
        'н' | 'һ' | 'η' => 'h',
        'і' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'м' | 'μ' => 'm',
        'о' | 'ο' => 'o',
        'р' | 'ρ' => 'p',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'ν' => 'v',
        'ԝ' => 'w',
        'х' | 'χ' => 'x',
        'у' | 'υ' => 'y',
        'ζ' => 'z',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        other => other,
    }
}

/// A name as persons are told apart by it: without case, spaces and characters that cannot be seen, and letters by how they are drawn.
/// `Ann`, `ann `, `ANN` and `Аnn` with a Cyrillic letter are one person. Two whom it takes for one are refused what needs two.
pub fn folded(name: &str) -> String {
    let seen = name.chars().filter(|c| !c.is_whitespace() && !c.is_control() && !is_unseen(*c) && !is_mark(*c));
    // Twice: a capital in full width, and a letter whose small form alone is in the table.
    seen.map(drawn_as).flat_map(char::to_lowercase).map(drawn_as).collect()
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
    if let Some(odd) = name.chars().find(|c| is_unseen(*c) || is_mark(*c)) {
        return Err(format!("expected a name of letters that are seen, each one character; found U+{:04X}", u32::from(odd)));
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
        for other in
            ["ann", "ANN", " Ann\t", "a\u{200b}nn", "an\u{ad}n", "\u{410}nn", "\u{430}nn", "Ａｎｎ", "a\u{fe0f}nn", "\u{202e}ann", "a\u{2063}nn"]
        {
            assert!(same("Ann", other), "{other:?}");
        }
        assert!(!same("ann", "anna") && same("ÄNNE", "änne"));
        assert!(among("BOB", ["ann", "bob"]) && !among("cy", ["ann", "bob"]) && !among("cy", []));
        for hidden in ["a\u{fe0f}nn", "ann\u{e0041}", "a\u{301}nn"] {
            assert!(check(hidden).is_err(), "{hidden:?}");
        }
        assert!(!same("王伟", "王玮") && !same("Анна", "Инна") && check("王伟").is_ok() && check("Łukasz Żak").is_ok());
        assert!(check("ann").is_ok() && check("  ").is_err() && check("Engine").is_err());
    }
}
