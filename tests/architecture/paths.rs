//! Reads the paths that a source text names: `use` trees and paths within expressions, without comments and literals.

/// One path.
#[derive(Debug)]
pub struct Found {
    /// Its line.
    pub line: usize,
    /// Without `crate::`; a path of another crate begins with that crate.
    pub path: String,
    /// Whether it leads into this crate.
    pub own: bool,
}

/// The text with comments and the contents of strings and characters blanked; line ends stay.
pub fn code_of(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let blank = |out: &mut String, c: char| out.push(if c == '\n' { '\n' } else { ' ' });
    let mut i = 0;
    while i < chars.len() {
        let word_before = i > 0 && is_word(at(i - 1));
        let start = i;
        if at(i) == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if at(i) == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                let step = match (at(i), at(i + 1)) {
                    ('/', '*') => 1,
                    ('*', '/') => -1,
                    _ => 0,
                };
                depth += step;
                i += if step == 0 { 1 } else { 2 };
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if at(i) == 'r' && !word_before && raw_hashes(&chars, i + 1).is_some() {
            let hashes = raw_hashes(&chars, i + 1).unwrap_or(0);
            i += hashes + 2;
            while i < chars.len() && !(at(i) == '"' && (1..=hashes).all(|h| at(i + h) == '#')) {
                i += 1;
            }
            i += hashes + 1;
        } else if at(i) == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if at(i) == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            // A character; anything else after the mark is a lifetime.
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < chars.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else {
            out.push(at(i));
            i += 1;
            continue;
        }
        chars[start..i.min(chars.len())].iter().for_each(|c| blank(&mut out, *c));
    }
    out
}

/// After an `r`: the number of `#` before the opening quote of a raw string.
fn raw_hashes(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from.min(chars.len())..].iter().take_while(|c| **c == '#').count();
    (chars.get(from + hashes) == Some(&'"')).then_some(hashes)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Words and marks with their lines.
fn tokens(code: &str) -> Vec<(usize, String)> {
    let mut tokens: Vec<(usize, String)> = Vec::new();
    let mut line = 1;
    let mut open = false;
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if is_word(c) {
            match tokens.last_mut() {
                Some((_, word)) if open => word.push(c),
                _ => tokens.push((line, c.to_string())),
            }
            open = true;
            continue;
        }
        open = false;
        if c == '\n' {
            line += 1;
        } else if c == ':' && chars.peek() == Some(&':') {
            chars.next();
            tokens.push((line, "::".to_owned()));
        } else if !c.is_whitespace() {
            tokens.push((line, c.to_string()));
        }
    }
    tokens
}

/// Every path of two parts or more, and every bare name that is imported, resolved from the crate's root.
pub fn paths(module: &str, text: &str) -> Vec<Found> {
    let tokens = tokens(&code_of(text));
    let word = |i: usize| tokens.get(i).map_or("", |(_, t)| t.as_str());
    let mut found = Vec::new();
    // Inline modules that are open: their names, and at which depth of braces each began.
    let mut at: Vec<(String, usize)> = vec![(module.to_owned(), 0)];
    let mut depth = 0;
    let mut i = 0;
    while i < tokens.len() {
        match word(i) {
            "mod" if word(i + 2) == "{" => {
                depth += 1;
                at.push((word(i + 1).to_owned(), depth));
                i += 3;
                continue;
            }
            "{" => depth += 1,
            "}" => {
                at.retain(|(_, began)| *began < depth || depth == 0);
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        let imports = i > 0 && word(i - 1) == "use";
        let starts = word(i).starts_with(is_word) && (word(i + 1) == "::" || imports);
        if !starts {
            i += 1;
            continue;
        }
        let line = tokens[i].0;
        let mut leaves = Vec::new();
        i = tree(&tokens, i, &[], &mut leaves);
        for leaf in leaves {
            let here = at.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("::");
            if let Some((own, path)) = resolve(&here, &leaf) {
                found.push(Found { line, path, own });
            }
        }
    }
    found
}

/// Reads a use tree from token `i` on; gives the token after it.
fn tree(tokens: &[(usize, String)], mut i: usize, before: &[String], leaves: &mut Vec<Vec<String>>) -> usize {
    let word = |i: usize| tokens.get(i).map_or("", |(_, t)| t.as_str());
    let mut path = before.to_vec();
    loop {
        if word(i) == "{" {
            i += 1;
            while i < tokens.len() && word(i) != "}" {
                i = tree(tokens, i, &path, leaves);
                // `as name`, and the comma.
                while i < tokens.len() && word(i) != "}" && word(i) != "," {
                    i += 1;
                }
                i += usize::from(word(i) == ",");
            }
            return i + 1;
        }
        if !(word(i).starts_with(is_word) || word(i) == "*") {
            break;
        }
        path.push(word(i).to_owned());
        i += 1;
        if word(i) != "::" {
            break;
        }
        i += 1;
    }
    leaves.push(path);
    i
}

/// From the crate's root: (into this crate, path). Names of the module's own children are nobody's arrow.
fn resolve(module: &str, leaf: &[String]) -> Option<(bool, String)> {
    let mut at: Vec<&str> = module.split("::").collect();
    let mut rest = leaf.iter().map(String::as_str).filter(|w| *w != "self").peekable();
    let first = *rest.peek()?;
    match first {
        "crate" => {
            rest.next();
            at.clear();
        }
        "super" => {
            while rest.next_if_eq(&"super").is_some() {
                at.pop();
            }
        }
        _ if leaf.first().is_some_and(|w| w == "self") => return None,
        _ => return Some((false, rest.collect::<Vec<_>>().join("::"))),
    }
    at.extend(rest);
    let path = at.join("::");
    Some((true, if path.is_empty() { "the whole crate".to_owned() } else { path }))
}
