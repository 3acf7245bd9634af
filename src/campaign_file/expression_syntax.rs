//! Reads a CEL expression before the CEL crate does: faults get their place and a way out, and text that is no expression
//! never reaches a parser that may panic on it (in a release build a panic ends the process).
//!
//! The grammar is that of the CEL language definition, without message construction, byte strings and triple quotes.
use super::tree::cut;
use std::ops::Range;

/// Parentheses, brackets, negations and calls nest at most so deep.
const DEPTH: usize = 24;
/// Operators at most: a chain of them is a tree as deep as the chain is long.
const OPERATORS: usize = 100;
/// Bytes at most.
const LENGTH: usize = 4_096;

/// What an expression gives, as far as its form tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// A comparison, a truth value.
    Truth,
    /// Arithmetic or a number.
    Number,
    /// A literal text.
    Text,
    /// A list or a map.
    Many,
    /// Only the customer's attributes tell.
    Unknown,
}

/// A fault inside an expression, in bytes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub at: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Every variable with its place, in order, with repetitions; those bound by `exists` and the like left out.
    pub variables: Vec<(String, Range<usize>)>,
    /// Every function with its place.
    pub functions: Vec<(String, Range<usize>)>,
    /// Variables compared with literal texts (`outcome == "busy"`, `state in ["missed"]`): name, text, place of the text.
    pub compared: Vec<(String, String, Range<usize>)>,
    pub gives: Gives,
}

/// The functions that an expression may call.
pub(super) const FUNCTIONS: &[&str] =
    &["all", "contains", "double", "endsWith", "exists", "exists_one", "filter", "int", "map", "matches", "size", "startsWith", "string"];
const BINDERS: &[&str] = &["all", "exists", "exists_one", "filter", "map"];
const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    Number,
    Text,
    Mark(&'static str),
    End,
}

const MARKS: &[&str] =
    &["||", "&&", "==", "!=", "<=", ">=", "<", ">", "+", "-", "*", "/", "%", "!", "?", ":", "(", ")", "[", "]", "{", "}", ",", "."];

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<(Token<'a>, Range<usize>)>,
    next: usize,
    depth: usize,
    operators: usize,
    bound: Vec<&'a str>,
    out: Reading,
}

/// Reads an expression.
pub(super) fn read(text: &str) -> Result<Reading, Wrong> {
    if text.len() > LENGTH {
        return Err(Wrong {
            at: 0..text.len(),
            message: format!("the expression is longer than {LENGTH} bytes"),
            help: Some("mark the customers in the list instead".into()),
        });
    }
    let out = Reading { variables: Vec::new(), functions: Vec::new(), compared: Vec::new(), gives: Gives::Unknown };
    let mut reader = Reader { text, tokens: tokens(text)?, next: 0, depth: 0, operators: 0, bound: Vec::new(), out };
    let gives = reader.expression()?;
    if reader.peek() != Token::End {
        return Err(reader.unexpected("the end of the expression, or an operator such as && or =="));
    }
    reader.out.gives = gives;
    reader.out.compared = compared(text, &reader.tokens);
    Ok(reader.out)
}

/// Finds `name == "text"`, `name != "text"` and `name in ["text", ...]`.
fn compared(text: &str, tokens: &[(Token<'_>, Range<usize>)]) -> Vec<(String, String, Range<usize>)> {
    let mut out = Vec::new();
    for (i, (token, _)) in tokens.iter().enumerate() {
        let Token::Name(name) = token else { continue };
        let rest = tokens.get(i + 1..).unwrap_or(&[]);
        let literals: Vec<&Range<usize>> = match rest {
            [(Token::Mark("==" | "!="), _), (Token::Text, at), ..] => vec![at],
            [(Token::Name("in"), _), (Token::Mark("["), _), list @ ..] => {
                let inside = list.iter().take_while(|(t, _)| matches!(t, Token::Text | Token::Mark(",")));
                inside.filter(|(t, _)| *t == Token::Text).map(|(_, at)| at).collect()
            }
            _ => continue,
        };
        for at in literals {
            // Escapes do not occur in names of outcomes; a text with one is not looked at.
            let literal = text.get(at.start + 1..at.end - 1).filter(|l| !l.contains('\\') && !l.contains(['"', '\'']));
            out.extend(literal.map(|l| ((*name).to_owned(), l.to_owned(), at.clone())));
        }
    }
    out
}

fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, Wrong> {
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

impl<'a> Reader<'a> {
    fn peek(&self) -> Token<'a> {
        self.tokens.get(self.next).map_or(Token::End, |t| t.0)
    }
    fn place(&self) -> Range<usize> {
        self.tokens.get(self.next).map_or(self.text.len()..self.text.len(), |t| t.1.clone())
    }
    fn take(&mut self, mark: &'static str) -> bool {
        let found = self.peek() == Token::Mark(mark);
        self.next += usize::from(found);
        found
    }
    fn expect(&mut self, mark: &'static str) -> Result<(), Wrong> {
        if self.take(mark) { Ok(()) } else { Err(self.unexpected(&format!("`{mark}`"))) }
    }
    fn unexpected(&self, expected: &str) -> Wrong {
        let at = self.place();
        let found = self.text.get(at.clone()).unwrap_or("");
        let help = match found {
            "and" | "AND" => Some("\"and\" is written &&"),
            "or" | "OR" => Some("\"or\" is written ||"),
            "not" | "NOT" => Some("\"not\" is written !"),
            _ => None,
        };
        let message = if found.is_empty() {
            format!("the expression ends where {expected} should stand")
        } else {
            format!("found {:?} where {expected} should stand", cut(found))
        };
        Wrong { at, message, help: help.map(str::to_owned) }
    }
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Wrong>) -> Result<T, Wrong> {
        if self.depth >= DEPTH {
            return Err(Wrong { at: self.place(), message: format!("the expression nests more than {DEPTH} deep"), help: None });
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
    fn operator(&mut self) -> Result<(), Wrong> {
        self.operators += 1;
        if self.operators > OPERATORS {
            let help = "ask for several values at once with `in [...]`, or mark the customers in the list";
            return Err(Wrong { at: self.place(), message: format!("the expression has more than {OPERATORS} operators"), help: Some(help.into()) });
        }
        Ok(())
    }
    fn expression(&mut self) -> Result<Gives, Wrong> {
        self.deeper(|r| {
            let first = r.binary(0)?;
            if !r.take("?") {
                return Ok(first);
            }
            r.operator()?;
            let yes = r.binary(0)?;
            r.expect(":")?;
            let no = r.expression()?;
            Ok(if yes == no { yes } else { Gives::Unknown })
        })
    }
    /// Levels of binding, loosest first: `||`, `&&`, comparisons, sums, products.
    fn binary(&mut self, level: usize) -> Result<Gives, Wrong> {
        const LEVELS: [&[&str]; 5] = [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];
        let Some(marks) = LEVELS.get(level) else { return self.unary() };
        let mut gives = self.binary(level + 1)?;
        loop {
            let here = self.peek();
            let binds_here = matches!(here, Token::Mark(m) if marks.contains(&m)) || (level == 2 && here == Token::Name("in"));
            if !binds_here {
                return Ok(gives);
            }
            self.operator()?;
            self.next += 1;
            let right = self.binary(level + 1)?;
            gives = match (level, here) {
                (0..=2, _) => Gives::Truth,
                // A sum is of the kind of its parts; which kind, one of them tells.
                (_, Token::Mark("+")) => {
                    if gives == Gives::Unknown {
                        right
                    } else {
                        gives
                    }
                }
                _ => Gives::Number,
            };
        }
    }
    fn unary(&mut self) -> Result<Gives, Wrong> {
        // One kind only: CEL has `!!a` and `--a`, but not `!-a`.
        for (mark, gives) in [("!", Gives::Truth), ("-", Gives::Number)] {
            if self.take(mark) {
                self.operator()?;
                while self.take(mark) {
                    self.operator()?;
                }
                self.member()?;
                return Ok(gives);
            }
        }
        self.member()
    }
    fn member(&mut self) -> Result<Gives, Wrong> {
        let mut gives = self.primary()?;
        loop {
            if self.take(".") {
                self.operator()?;
                let at = self.place();
                let Token::Name(name) = self.peek() else { return Err(self.unexpected("a name")) };
                self.next += 1;
                gives = if self.take("(") { self.call(name, at)? } else { Gives::Unknown };
            } else if self.take("[") {
                self.operator()?;
                self.expression()?;
                self.expect("]")?;
                gives = Gives::Unknown;
            } else {
                return Ok(gives);
            }
        }
    }
    /// After the opening parenthesis.
    fn call(&mut self, name: &'a str, at: Range<usize>) -> Result<Gives, Wrong> {
        self.out.functions.push((name.to_owned(), at));
        let mut bound = false;
        if BINDERS.contains(&name) {
            let Token::Name(variable) = self.peek() else { return Err(self.unexpected("the name of a variable for each item")) };
            self.next += 1;
            self.expect(",")?;
            self.bound.push(variable);
            bound = true;
        }
        let result = self.items(")");
        if bound {
            self.bound.pop();
        }
        result?;
        Ok(match name {
            "size" | "int" | "double" => Gives::Number,
            "string" => Gives::Text,
            "map" | "filter" => Gives::Many,
            _ => Gives::Truth,
        })
    }
    /// Expressions with commas between them up to a closing mark.
    fn items(&mut self, close: &'static str) -> Result<(), Wrong> {
        if self.take(close) {
            return Ok(());
        }
        loop {
            self.expression()?;
            if self.take(close) {
                return Ok(());
            }
            if !self.take(",") {
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
        }
    }
    fn primary(&mut self) -> Result<Gives, Wrong> {
        let at = self.place();
        match self.peek() {
            Token::Number => {
                self.next += 1;
                Ok(Gives::Number)
            }
            Token::Text => {
                self.next += 1;
                Ok(Gives::Text)
            }
            Token::Name("true" | "false") => {
                self.next += 1;
                Ok(Gives::Truth)
            }
            Token::Name("null") => {
                self.next += 1;
                Ok(Gives::Unknown)
            }
            Token::Name(name) if name == "in" || RESERVED.contains(&name) => {
                let mut wrong = self.unexpected("a value");
                if name != "in" {
                    wrong.help = Some(format!("`{name}` is a reserved word"));
                }
                Err(wrong)
            }
            Token::Name(name) => {
                self.next += 1;
                if self.take("(") {
                    return self.call(name, at);
                }
                if !self.bound.contains(&name) {
                    self.out.variables.push((name.to_owned(), at));
                }
                Ok(Gives::Unknown)
            }
            Token::Mark("(") => {
                self.next += 1;
                let gives = self.expression()?;
                self.expect(")")?;
                Ok(gives)
            }
            Token::Mark("[") => {
                self.next += 1;
                self.items("]")?;
                Ok(Gives::Many)
            }
            Token::Mark("{") => {
                self.next += 1;
                while !self.take("}") {
                    self.expression()?;
                    self.expect(":")?;
                    self.expression()?;
                    if !self.take(",") {
                        self.expect("}")?;
                        break;
                    }
                }
                Ok(Gives::Many)
            }
            _ => Err(self.unexpected("a value")),
        }
    }
}
