//! A fault of a campaign file: where it is, what is wrong, what was expected, what to do; drawn for people and as JSON.
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteSpanContents, SourceSpan, SpanContents};
use serde::Serialize;
use std::ops::Range;
use std::sync::Arc;

/// How many faults [`render`] draws before it only counts the rest: nobody reads more, and a file of rubbish has thousands.
const DRAWN_AT_MOST: usize = 200;

/// One fault. `serde` writes it for `--json`; [`render`] draws it.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    /// The file's name as the caller gave it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters (not bytes), from 1; a tab is one.
    pub column: usize,
    /// The offending text.
    pub span: Span,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to do; where a name is unknown, the nearest one that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    #[serde(skip)]
    page: Arc<Page>,
}

/// A stretch of the text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Span {
    /// Bytes from the beginning of the text.
    pub offset: usize,
    /// Bytes; 0 only in an empty text or at its end.
    pub length: usize,
}

impl std::fmt::Display for Diagnostic {
    /// One line for logs: `file:line:column: message (expected ...; help)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// A text with its lines: shared by all faults of one file.
#[derive(Debug)]
pub(super) struct Page {
    name: String,
    text: String,
    lines: Vec<usize>,
}

impl Page {
    pub(super) fn new(name: &str, text: &str) -> Arc<Self> {
        // YAML breaks lines at LF, CR LF, and a CR alone.
        let bytes = text.as_bytes();
        let mut lines = vec![0];
        lines
            .extend(bytes.iter().enumerate().filter(|(i, b)| **b == b'\n' || (**b == b'\r' && bytes.get(i + 1) != Some(&b'\n'))).map(|(i, _)| i + 1));
        Arc::new(Self { name: name.to_owned(), text: text.to_owned(), lines })
    }
    pub(super) fn text(&self) -> &str {
        &self.text
    }
    /// The line of an offset, from 0, and the offset at which it starts.
    pub(super) fn line_of(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset).saturating_sub(1);
        (line, self.lines.get(line).copied().unwrap_or(0))
    }
    /// A line (from 0) without its break, and the offset at which it starts.
    pub(super) fn line(&self, line: usize) -> Option<(usize, &str)> {
        let start = *self.lines.get(line)?;
        let end = self.lines.get(line + 1).copied().unwrap_or(self.text.len());
        Some((start, self.text.get(start..end)?.trim_end_matches(['\n', '\r'])))
    }
    /// Clips a range to the text, to whole characters, and to the first line it touches, without blanks at its ends.
    fn tidy(&self, range: Range<usize>) -> Range<usize> {
        let floor = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (mut start, end) = (floor(range.start), floor(range.end.max(range.start)));
        let inside = self.text.get(start..end).unwrap_or("");
        start += inside.len() - inside.trim_start().len();
        let first = inside.trim_start().split(['\n', '\r']).next().unwrap_or("").trim_end();
        let mut end = start + first.len();
        if first.is_empty() {
            // Nothing visible is there (an empty value, the end of the text): show the character before, if there is one.
            let before = self.text.get(..floor(range.start)).unwrap_or("").trim_end();
            start = before.char_indices().next_back().map_or(0, |(i, _)| i);
            end = before.len();
            if end == 0 {
                end = self.text.chars().next().map_or(0, char::len_utf8);
            }
        }
        start..end
    }
    /// The place of an offset for people: line and column from 1, the column in characters, a byte-order mark not counted.
    fn place(&self, offset: usize) -> (usize, usize) {
        let (line, start) = self.line_of(offset);
        let before = self.text.get(start..offset).unwrap_or("");
        (line + 1, before.trim_start_matches('\u{feff}').chars().count() + 1)
    }
    pub(super) fn diagnostic(self: &Arc<Self>, range: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let range = self.tidy(range);
        let (line, column) = self.place(range.start);
        let span = Span { offset: range.start, length: range.len() };
        Diagnostic { file: self.name.clone(), line, column, span, message: message.into(), expected: None, help: None, page: Arc::clone(self) }
    }
    /// The text with everything replaced, byte for byte, that could move a terminal's cursor or turn its writing direction.
    fn harmless(&self) -> String {
        let stand_in = |c: char| match c {
            '\n' | '\r' | '\t' => c,
            c if c.is_ascii_control() => '?',
            '\u{80}'..='\u{9f}' => '·',
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => '\u{fffd}',
            c => c,
        };
        self.text.chars().map(stand_in).collect()
    }
}

/// A fault as miette draws it: the same text without dangerous characters, and our own line and column (miette counts bytes).
struct Drawn<'a> {
    fault: &'a Diagnostic,
    text: &'a str,
}

impl std::fmt::Debug for Drawn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.fault)
    }
}
impl std::fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.fault.message)
    }
}
impl std::error::Error for Drawn<'_> {}
impl miette::Diagnostic for Drawn<'_> {
    fn help(&self) -> Option<Box<dyn std::fmt::Display + '_>> {
        let expected = self.fault.expected.as_ref().map(|e| format!("expected {e}"));
        let parts: Vec<String> = expected.into_iter().chain(self.fault.help.clone()).collect();
        (!parts.is_empty()).then(|| Box::new(parts.join("\n")) as Box<dyn std::fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(self)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = SourceSpan::from((self.fault.span.offset, self.fault.span.length));
        Some(Box::new(std::iter::once(LabeledSpan::new_primary_with_span(None, span))))
    }
}
impl miette::SourceCode for Drawn<'_> {
    fn read_span<'a>(&'a self, span: &SourceSpan, before: usize, after: usize) -> Result<Box<dyn SpanContents<'a> + 'a>, miette::MietteError> {
        let inner = miette::SourceCode::read_span(self.text, span, before, after)?;
        // Without context lines miette asks for the place to name in the frame: that must be ours.
        let at_place = before == 0 && after == 0;
        let (line, column) = if at_place { (self.fault.line - 1, self.fault.column - 1) } else { (inner.line(), inner.column()) };
        Ok(Box::new(MietteSpanContents::new_named(self.fault.file.clone(), inner.data(), *inner.span(), line, column, inner.line_count())))
    }
}

/// A fault that another process has found in a text that is at hand here: it is drawn as if it had been found here.
pub fn found_elsewhere(name: &str, text: &str, span: Span, message: String, expected: Option<String>, help: Option<String>) -> Diagnostic {
    let mut fault = Page::new(name, text).diagnostic(span.offset..span.offset.saturating_add(span.length), message);
    (fault.expected, fault.help) = (expected, help);
    fault
}

/// Draws faults for people, the offending text underlined: with colours, or in plain ASCII that any log can hold.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::none() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(120).with_context_lines(1);
    let mut out = String::new();
    let mut text: Option<(*const Page, String)> = None;
    for fault in diagnostics.iter().take(DRAWN_AT_MOST) {
        let page = Arc::as_ptr(&fault.page);
        if text.as_ref().is_none_or(|(of, _)| *of != page) {
            text = Some((page, fault.page.harmless()));
        }
        let harmless = text.as_ref().map_or("", |(_, t)| t);
        if handler.render_report(&mut out, &Drawn { fault, text: harmless }).is_err() {
            out.push_str(&format!("{fault}\n"));
        }
    }
    if let Some(rest) = diagnostics.len().checked_sub(DRAWN_AT_MOST).filter(|rest| *rest > 0) {
        out.push_str(&format!("... and {rest} more faults; --json lists all of them\n"));
    }
    out
}
