//! Reads a CEL expression before the CEL crate does: faults get their place and a way out, and text that is no expression
//! never reaches a parser that may panic on it (in a release build a panic ends the process).
//!
//! The grammar is that of the CEL language definition, without message construction, byte strings and triple quotes.
mod tokens;

use std::ops::Range;
use tokens::{Token, tokens};

/// Parentheses, brackets, negations and calls nest at most so deep.
const DEPTH: usize = 24;
/// Operators at most: a chain of them is a tree as deep as the chain is long.
const OPERATORS: usize = 100;
/// Bytes at most.
const LENGTH: usize = 4_096;
/// `all`, `exists`, `map` and the like at most, none within another: nested ones cost items^depth for each customer, and a chain of `map`
/// doubles what it makes with each link. Attributes are flat, so nothing that a campaign needs is lost.
const WALKS: usize = 8;
/// Of these, `map`.
const MAPS: usize = 2;

/// What an expression gives, as far as its form tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gives {
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
pub(crate) struct Wrong {
    pub at: Range<usize>,
    pub message: String,
    pub help: Option<String>,
}

impl Wrong {
    /// For whoever has no page to show the place on.
    pub(crate) fn in_words(&self, text: &str) -> String {
        let column = text.get(..self.at.start).map_or(1, |before| before.chars().count() + 1);
        format!("at character {column}: {}{}", self.message, self.help.as_ref().map_or_else(String::new, |help| format!("; {help}")))
    }
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Every variable with its place, in order, with repetitions; those bound by `exists` and the like left out.
    pub variables: Vec<(String, Range<usize>)>,
    /// Every function with its place.
    pub functions: Vec<(String, Range<usize>)>,
    /// Variables compared with literal texts (`outcome == "busy"`, `state in ["missed"]`): name, text, place of the text.
    pub compared: Vec<(String, String, Range<usize>)>,
    pub gives: Gives,
}

/// The functions that an expression may call.
pub(crate) const FUNCTIONS: &[&str] =
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
pub(crate) fn read(text: &str) -> Result<Reading, Wrong> {
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
        self.out.functions.push((name.to_owned(), at.clone()));
        let mut bound = false;
        if BINDERS.contains(&name) {
            self.may_walk(name, at)?;
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
    /// Whether one more function that walks over a list is taken.
    fn may_walk(&self, name: &str, at: Range<usize>) -> Result<(), Wrong> {
        let so_far = |wanted: &dyn Fn(&str) -> bool| self.out.functions.iter().filter(|(f, _)| wanted(f)).count();
        if self.bound.is_empty() && so_far(&|f| BINDERS.contains(&f)) <= WALKS && so_far(&|f| f == "map") <= MAPS {
            return Ok(());
        }
        let message = format!("{name} is one walk over a list too many: expected none within another, {WALKS} at most and {MAPS} of them `map`");
        Err(Wrong { at, message, help: Some("ask for several values at once with `in [...]`, or mark the customers in the list".into()) })
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

/// At most 40 characters of a text.
fn cut(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or("")),
        None => text.to_owned(),
    }
}
