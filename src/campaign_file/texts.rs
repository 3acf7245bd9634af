//! Expressions and templates of a campaign file: compiled, their variables checked, faults placed inside the text.
use super::Known;
use super::diagnostic::Page;
use super::reader::{Faults, nearest, one_of};
use super::tree::{Kind, Node, Style, cut};
use crate::domain::expression::Expression;
use crate::domain::expression_syntax::{self, Gives};
use crate::domain::outcome::Reason;
use crate::domain::template::Template;
use crate::domain::touch::State;
use std::ops::Range;

/// What the engine itself gives to every template.
pub(super) const TEMPLATE_VARIABLES: &[&str] = &["reference", "language", "branch", "rm", "campaign", "title"];
/// What the end of a step gives to the `when` of the next one.
pub(super) const OUTCOME_VARIABLES: &[&str] = &["outcome", "disposition", "state", "attempt", "connected_seconds"];
/// Functions of the template language, which its own list of undeclared variables does not leave out.
const TEMPLATE_FUNCTIONS: &[&str] = &["range", "dict", "namespace", "debug"];
/// Templates are at most so long, in bytes; an e-mail of this size is already clipped by readers.
const TEMPLATE_LENGTH: usize = 100_000;

/// Where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// `audience.where`: at submission, over attributes.
    Audience,
    /// `when` of a step: at the end of the step before.
    Outcome,
}

/// Where a stretch of a scalar's value stands in the file: exactly where that can be told, else the scalar as a whole.
fn within(page: &Page, node: &Node, inner: &Range<usize>) -> Range<usize> {
    let Kind::Scalar { text, style } = &node.kind else { return node.at.clone() };
    let raw = page.text().get(node.at.clone()).unwrap_or("");
    if *style != Style::Block {
        if let Some(start) = raw.find(text.as_str()).filter(|_| !text.is_empty()) {
            return node.at.start + start + inner.start..node.at.start + start + inner.end;
        }
        // Escaped, or folded over lines: look for the words themselves, when they stand there once.
        let words = text.get(inner.clone()).unwrap_or("");
        let mut hits = raw.match_indices(words).filter(|_| !words.is_empty());
        return match (hits.next(), hits.next()) {
            (Some((start, _)), None) => node.at.start + start..node.at.start + start + words.len(),
            _ => node.at.clone(),
        };
    }
    // A block: line n of the text is line n after the indicator, unless `>` folds lines; then the line is looked for.
    let before = text.get(..inner.start).unwrap_or("");
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = text.get(line_start..).unwrap_or("").lines().next().unwrap_or("");
    let number = before.matches('\n').count();
    let (header, _) = page.line_of(node.at.start);
    for candidate in std::iter::once(header + number + 1).chain(std::iter::once(header + number)) {
        if let Some((start, source)) = page.line(candidate)
            && let Some(at) = source.find(line).filter(|_| !line.is_empty())
        {
            let from = start + at + (inner.start - line_start);
            return from..from + inner.len().min(line.len().saturating_sub(inner.start - line_start));
        }
    }
    let words = text.get(inner.clone()).unwrap_or("");
    match raw.find(words).filter(|_| !words.trim().is_empty()) {
        Some(start) => node.at.start + start..node.at.start + start + words.len(),
        None => node.at.clone(),
    }
}

/// Compiles an expression that must say true or false.
pub(super) fn expression(faults: &mut Faults, known: &Known, node: &Node, scope: Scope) -> Option<Expression> {
    let expected = "an expression (CEL) that gives true or false, such as balance >= 1000 && housing == \"no\"";
    match &node.kind {
        Kind::Scalar { text, style } if *style != Style::Plain || !super::tree::is_nothing(text) => {
            let reading = match expression_syntax::read(text) {
                Ok(reading) => reading,
                Err(wrong) => {
                    let at = within(&faults.page, node, &wrong.at);
                    let noted = faults.add(&at, wrong.message).expected(expected);
                    if let Some(help) = wrong.help {
                        noted.help(help);
                    }
                    return None;
                }
            };
            let found = match reading.gives {
                Gives::Truth | Gives::Unknown => None,
                Gives::Number => Some("a number"),
                Gives::Text => Some("a text"),
                Gives::Many => Some("a list"),
            };
            if let Some(found) = found {
                faults.add(&node.at, format!("this expression gives {found}")).expected(expected);
                return None;
            }
            for (name, at) in &reading.functions {
                if !expression_syntax::FUNCTIONS.contains(&name.as_str()) {
                    let at = within(&faults.page, node, at);
                    let names = expression_syntax::FUNCTIONS.iter().copied();
                    faults.add(&at, format!("the function {:?} is not known", cut(name))).expected(one_of(names.clone())).nearest(name, names);
                }
            }
            variables(faults, known, node, &reading.variables, scope);
            if scope == Scope::Outcome {
                outcomes(faults, node, &reading.compared);
            }
            // What the reader above accepts, the CEL crate accepts too; what it may still object to is told as it says it.
            match quietly(|| Expression::compile(text)) {
                Ok(expression) => Some(expression),
                Err(why) => {
                    let why = why.lines().next().unwrap_or("").rsplit("ERROR: ").next().unwrap_or("").to_owned();
                    faults.add(&node.at, format!("the expression does not compile: {}", cut(why.trim_start_matches("<input>:")))).expected(expected);
                    None
                }
            }
        }
        _ => {
            faults.wrong(node, expected);
            None
        }
    }
}

fn variables(faults: &mut Faults, known: &Known, node: &Node, variables: &[(String, Range<usize>)], scope: Scope) {
    for (name, at) in variables {
        let of_outcome = OUTCOME_VARIABLES.contains(&name.as_str());
        let is_attribute = known.attributes.as_ref().map(|list| list.contains(name));
        let place = within(&faults.page, node, at);
        match scope {
            Scope::Outcome if of_outcome => {}
            Scope::Audience if of_outcome && is_attribute != Some(true) => {
                faults
                    .add(&place, format!("`{name}` is not known yet when the audience is frozen"))
                    .help("conditions on an outcome belong into `when` of a later step");
            }
            _ if is_attribute == Some(false) => {
                let attributes = known.attributes.iter().flatten().map(String::as_str);
                let names: Vec<&str> =
                    if scope == Scope::Outcome { OUTCOME_VARIABLES.iter().copied().chain(attributes).collect() } else { attributes.collect() };
                faults
                    .add(&place, format!("the attribute {:?} is not known", cut(name)))
                    .expected(if names.is_empty() { "an attribute of the list; it has none".to_owned() } else { one_of(names.iter().copied()) })
                    .nearest(name, names.iter().copied());
            }
            // Which attributes there are is not known: only a slip in one of our own names can be told.
            Scope::Outcome if is_attribute.is_none() => {
                if let Some(near) = nearest(name, OUTCOME_VARIABLES.iter().copied()).filter(|near| slip(name, near)) {
                    faults.add(&place, format!("the variable {:?} is not known", cut(name))).help(format!("did you mean `{near}`?"));
                }
            }
            _ => {}
        }
    }
}

/// A condition on an outcome or state that does not exist would silently never hold.
fn outcomes(faults: &mut Faults, node: &Node, compared: &[(String, String, Range<usize>)]) {
    for (name, literal, at) in compared {
        let is_state = State::from_name(literal).is_some();
        let is_reason = Reason::from_name(literal).is_some();
        let at = within(&faults.page, node, at);
        match name.as_str() {
            "outcome" | "disposition" if !is_reason => {
                let names = Reason::ALL.iter().filter(|r| r.is_disposition() || (200..300).contains(&r.code())).map(|r| r.name());
                let noted = faults.add(&at, format!("no step ever ends with {name} {:?}", cut(literal))).expected(one_of(names.clone()));
                if is_state {
                    noted.help(format!("{literal:?} is a state: ask `state == {literal:?}`"));
                } else {
                    noted.nearest(literal, names);
                }
            }
            "state" if !is_state => {
                let names = ["reached", "missed", "refused", "uncertain"];
                let noted = faults.add(&at, format!("no step ever ends in the state {:?}", cut(literal))).expected(one_of(names));
                if is_reason {
                    noted.help(format!("{literal:?} is an outcome: ask `outcome == {literal:?}`"));
                } else {
                    noted.nearest(literal, names);
                }
            }
            _ => {}
        }
    }
}

/// One edit away and so surely a slip, not another name.
fn slip(found: &str, name: &str) -> bool {
    strsim::damerau_levenshtein(found, name) == 1 && name.len() > 4
}

/// Compiles a template; `language` is named in faults.
pub(super) fn template(faults: &mut Faults, known: &Known, node: &Node, language: &str, what: &str) -> Option<Template> {
    let expected = format!("{what} in {language}");
    let Kind::Scalar { text, style } = &node.kind else {
        match &node.kind {
            // `{{ name }}` without quotes: a mapping whose key is a mapping, told already when the tree was built.
            Kind::Map(entries) if entries.iter().any(|e| e.key.is_empty()) => {}
            Kind::Map(_) => {
                faults.add(&node.at, "found a mapping").expected(expected).help("a text that begins with { needs quotes around the whole of it");
            }
            _ => faults.wrong(node, &expected),
        }
        return None;
    };
    if *style == Style::Plain && faults.text(node, &expected).is_none() {
        return None;
    }
    if text.trim().is_empty() {
        faults.add(&node.at, format!("the text in {language} is empty")).expected(expected);
        return None;
    }
    if text.len() > TEMPLATE_LENGTH {
        faults.add(&node.at, format!("the text in {language} is longer than {TEMPLATE_LENGTH} bytes"));
        return None;
    }
    let template = match quietly(|| Template::compile(text)) {
        Ok(template) => template,
        Err(why) => {
            let first = why.lines().next().unwrap_or("").trim();
            let (message, line) = told(first);
            let at = line_of(text, line).map_or_else(|| node.at.clone(), |inner| within(&faults.page, node, &inner));
            let help = "variables stand as {{ name }}, conditions as {% if name %} ... {% endif %}";
            faults.add(&at, format!("the template in {language} does not compile: {message}")).help(help);
            return None;
        }
    };
    if let Some(why) = rehearse(&template) {
        let (message, line) = told(&why);
        let at = line_of(text, line).map_or_else(|| node.at.clone(), |inner| within(&faults.page, node, &inner));
        faults.add(&at, format!("the template in {language} cannot be filled in: {message}"));
        return None;
    }
    let Some(attributes) = &known.attributes else { return Some(template) };
    for name in template.variables() {
        let ours = TEMPLATE_VARIABLES.contains(&name.as_str()) || TEMPLATE_FUNCTIONS.contains(&name.as_str());
        if ours || attributes.contains(name) {
            continue;
        }
        let at = use_of(text, name).map_or_else(|| node.at.clone(), |inner| within(&faults.page, node, &inner));
        let names: Vec<&str> = attributes.iter().map(String::as_str).chain(TEMPLATE_VARIABLES.iter().copied()).collect();
        faults
            .add(&at, format!("the text in {language} uses {:?}, which no customer has", cut(name)))
            .expected(one_of(names.iter().copied()))
            .nearest(name, names.iter().copied());
    }
    Some(template)
}

/// Message and line of what MiniJinja says, which ends with `(in t:LINE)`.
fn told(why: &str) -> (&str, usize) {
    why.rsplit_once(" (in t:").map_or((why, 1), |(message, line)| (message, line.trim_end_matches(')').parse().unwrap_or(1)))
}

/// A line (from 1) of a text as a range of it, without blanks at its ends.
fn line_of(text: &str, line: usize) -> Option<Range<usize>> {
    let start = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum::<usize>();
    let found = text.get(start..)?.lines().next()?;
    let indent = found.len() - found.trim_start().len();
    Some(start + indent..start + found.trim_end().len().max(indent))
}

/// Where a template uses a variable: the first time its name stands as a word inside `{{ }}` or `{% %}`.
fn use_of(text: &str, name: &str) -> Option<Range<usize>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name).map(|(at, _)| at..at + name.len()).find(|at| {
        let (before, after) = (text.get(..at.start).unwrap_or(""), text.get(at.end..).unwrap_or(""));
        let opened = before.rfind("{{").max(before.rfind("{%"));
        let closed = before.rfind("}}").max(before.rfind("%}"));
        !before.ends_with(is_word) && !before.ends_with('.') && !after.starts_with(is_word) && opened.is_some() && opened > closed
    })
}

/// Fills a template in with numbers, texts and truth values, the kinds that attributes have. What fails with all of them
/// (a loop without end, an include) fails for every customer, and so does an unknown filter, test or function that any of
/// them meets; other faults come of the made-up values.
fn rehearse(template: &Template) -> Option<String> {
    let mut faults = Vec::new();
    let kinds = [serde_json::json!(1), serde_json::json!("1"), serde_json::json!(true)];
    for value in &kinds {
        let names = template.variables().iter().filter(|n| !TEMPLATE_FUNCTIONS.contains(&n.as_str()));
        let values: serde_json::Map<String, serde_json::Value> = names.map(|n| (n.clone(), value.clone())).collect();
        if let Err(why) = quietly(|| template.render(&serde_json::Value::Object(values))) {
            faults.push(why.lines().next().unwrap_or("").trim().to_owned());
        }
    }
    let for_all = faults.iter().position(|f| f.starts_with("unknown ")).or_else(|| (faults.len() == kinds.len()).then_some(0))?;
    faults.into_iter().nth(for_all)
}

/// Runs a compiler that may panic on text it does not like, with the panic hook silent for this thread: a bad file is a
/// fault with a place, never noise on stderr. (The panic itself is caught in `Expression::compile`.)
fn quietly<T>(inner: impl FnOnce() -> T) -> T {
    use std::cell::Cell;
    use std::sync::Once;
    thread_local! { static QUIET: Cell<bool> = const { Cell::new(false) } }
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.with(Cell::get) {
                loud(info);
            }
        }));
    });
    let before = QUIET.with(|q| q.replace(true));
    let result = inner();
    QUIET.with(|q| q.set(before));
    result
}
