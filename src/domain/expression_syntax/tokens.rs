//! An expression's words: names, numbers, texts, marks; each with its place.
use super::{Wrong, cut};
use std::ops::Range;

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Name(&'a str),
    Number,
    Text,
    Mark(&'static str),
    End,
}

const MARKS: &[&str] =
    &["||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")", "[", "]", "{", "}", ",", "."];

/// Takes a text apart.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, Wrong> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or("");
        let run = |test: &dyn Fn(char) -> bool| rest.find(|c: char| !test(c)).unwrap_or(rest.len());
        if c.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        if c == '"' || c == '\'' || (c == 'r' && rest.get(1..2).is_some_and(|q| q == "\"" || q == "'")) {
            let length = text_literal(rest, at)?;
            out.push((Token::Text, at..at + length));
            at += length;
        } else if c.is_ascii_alphabetic() || c == '_' {
            let length = run(&|c| c.is_ascii_alphanumeric() || c == '_');
            out.push((Token::Name(rest.get(..length).unwrap_or("")), at..at + length));
            at += length;
        } else if c.is_ascii_digit() {
            let length = number(rest, at)?;
            out.push((Token::Number, at..at + length));
            at += length;
        } else if let Some(mark) = MARKS.iter().find(|m| rest.starts_with(**m)) {
            out.push((Token::Mark(mark), at..at + mark.len()));
            at += mark.len();
        } else {
            let help = match c {
                '=' => Some("equality is written =="),
                '&' => Some("\"and\" is written &&"),
                '|' => Some("\"or\" is written ||"),
                '“' | '”' | '‘' | '’' | '「' | '」' => Some("texts stand in straight quotes: \"...\""),
                '（' | '）' | '，' | '＝' | '＞' | '＜' => Some("write brackets, commas and operators in half width"),
                c if c.is_alphabetic() => Some("a text needs quotes; attributes have names of ASCII letters, digits and _"),
                _ => None,
            };
            let message = format!("{c:?} has no meaning in an expression");
            return Err(Wrong { at: at..at + c.len_utf8(), message, help: help.map(str::to_owned) });
        }
    }
    out.push((Token::End, text.len()..text.len()));
    Ok(out)
}

fn text_literal(rest: &str, at: usize) -> Result<usize, Wrong> {
    let raw = rest.starts_with('r');
    let mut chars = rest.char_indices().skip(usize::from(raw));
    let quote = chars.next().map_or('"', |(_, c)| c);
    if rest.get(usize::from(raw)..).is_some_and(|r| r.starts_with("\"\"\"") || r.starts_with("'''")) {
        return Err(Wrong {
            at: at..at + 3 + usize::from(raw),
            message: "texts in triple quotes are not taken".into(),
            help: Some("use one quote".into()),
        });
    }
    while let Some((i, c)) = chars.next() {
        match c {
            c if c == quote => return Ok(i + c.len_utf8()),
            '\n' | '\r' => break,
            '\\' => match chars.next() {
                Some((_, e)) if raw && e != '\n' && e != '\r' => {}
                Some((_, 'n' | 't' | 'r' | '\\' | '"' | '\'' | '`' | '?' | 'a' | 'b' | 'f' | 'v')) => {}
                Some((_, 'u')) => {
                    let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                    if !u32::from_str_radix(&digits, 16).is_ok_and(|code| digits.len() == 4 && char::from_u32(code).is_some()) {
                        return Err(Wrong { at: at + i..at + i + 2, message: "\\u needs four hexadecimal digits of a character".into(), help: None });
                    }
                }
                _ => {
                    return Err(Wrong {
                        at: at + i..at + i + 1,
                        message: "this escape is not known".into(),
                        help: Some("a backslash in a text is written \\\\".into()),
                    });
                }
            },
            _ => {}
        }
    }
    Err(Wrong { at: at..at + rest.lines().next().unwrap_or(rest).len(), message: "this text has no closing quote".into(), help: None })
}

fn number(rest: &str, at: usize) -> Result<usize, Wrong> {
    let run = |from: usize, test: fn(&u8) -> bool| rest.bytes().skip(from).take_while(test).count();
    let mut length;
    let fits;
    if rest.starts_with("0x") || rest.starts_with("0X") {
        length = 2 + run(2, u8::is_ascii_hexdigit);
        fits = i64::from_str_radix(rest.get(2..length).unwrap_or(""), 16).is_ok();
    } else {
        length = run(0, u8::is_ascii_digit);
        let mut whole = true;
        if rest.as_bytes().get(length) == Some(&b'.') && run(length + 1, u8::is_ascii_digit) > 0 {
            length += 1 + run(length + 1, u8::is_ascii_digit);
            whole = false;
        }
        if matches!(rest.as_bytes().get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(rest.as_bytes().get(length + 1), Some(b'+' | b'-')));
            let digits = run(length + 1 + sign, u8::is_ascii_digit);
            if digits > 0 {
                length += 1 + sign + digits;
                whole = false;
            }
        }
        let digits = rest.get(..length).unwrap_or("");
        fits = if whole { digits.parse::<i64>().is_ok() } else { digits.parse::<f64>().is_ok_and(f64::is_finite) };
    }
    let tail = run(length, |b| b.is_ascii_alphanumeric() || *b == b'_');
    if tail > 0 {
        let found = cut(rest.get(..length + tail).unwrap_or(""));
        let help = "units are not known in an expression; texts need quotes";
        return Err(Wrong { at: at..at + length + tail, message: format!("{found:?} is not a number"), help: Some(help.into()) });
    }
    if !fits {
        return Err(Wrong { at: at..at + length, message: "this number is too large".into(), help: None });
    }
    Ok(length)
}
