//! What a step says: texts by language, with a subject where the channel has one, or an A/B test of several.
use super::Known;
use super::check::line;
use super::reader::{Faults, Fields};
use super::texts;
use super::tree::{Entry, Kind, Node, cut};
use crate::domain::campaign::{Text, Variant};
use crate::domain::channel::Channel;
use std::ops::Range;

/// Variants at most: the ledger keeps their number in a byte.
const VARIANTS: usize = 50;

/// Reads `content`. Messages need one; calls and tasks may do without.
pub(super) fn content(
    faults: &mut Faults,
    known: &Known,
    entry: Option<&Entry>,
    channel: Option<Channel>,
    step: &Range<usize>,
) -> Option<Vec<Variant>> {
    let Some(entry) = entry else {
        return match channel {
            Some(channel @ (Channel::Sms | Channel::Push | Channel::Email)) => {
                let expected =
                    if channel == Channel::Email { "content: {zh-CN: {subject: \"...\", body: \"...\"}}" } else { "content: {zh-CN: \"...\"}" };
                faults.add(step, format!("this step sends by {channel}, but has no `content`")).expected(expected);
                None
            }
            _ => Some(Vec::new()),
        };
    };
    let Kind::Map(entries) = &entry.value.kind else {
        faults.wrong(&entry.value, "texts by language, such as {zh-CN: \"...\", en: \"...\"}, or `variants`");
        return None;
    };
    if !entries.iter().any(|e| e.key == "variants") {
        let texts = texts_of(faults, known, entries, &entry.key_at, channel)?;
        return Some(vec![Variant { name: "only".into(), weight: 1, texts }]);
    }
    let mut fields = Fields::open(faults, &entry.value, &entry.key_at, "content with variants")?;
    let variants = fields.value("variants").and_then(|n| variants(faults, known, n, channel));
    fields.close(faults);
    variants
}

fn variants(faults: &mut Faults, known: &Known, node: &Node, channel: Option<Channel>) -> Option<Vec<Variant>> {
    let nodes = faults.list(node, "a list of variants such as {name: plain, weight: 1, texts: {...}}")?;
    if !(1..=VARIANTS).contains(&nodes.len()) {
        faults.add(&node.at, format!("found {} variants", nodes.len())).expected(format!("from 1 to {VARIANTS}"));
        return None;
    }
    let mut out: Vec<Variant> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut first: Option<Vec<String>> = None;
    for node in nodes {
        let Some(mut fields) = Fields::open(faults, node, &node.at, "a variant") else { continue };
        let name = fields.must("name", "a name for reports").and_then(|e| {
            let name = line(faults, &e.value, "a name for reports", 64)?;
            if names.contains(&name) {
                faults.add(&e.value.at, format!("the variant {:?} stands twice", cut(&name))).help("give each its own name");
            }
            names.push(name.clone());
            Some(name)
        });
        let weight = fields.value("weight").map_or(Some(1), |n| faults.whole(n, 1, 1_000_000, "the weight"));
        let texts_entry = fields.must("texts", "texts by language, such as {zh-CN: \"...\"}");
        let texts = texts_entry.and_then(|e| match &e.value.kind {
            Kind::Map(entries) => {
                let mut languages: Vec<String> = entries.iter().map(|e| e.key.clone()).collect();
                languages.sort_unstable();
                match &first {
                    None => first = Some(languages),
                    Some(first) if *first != languages => {
                        let (here, there) = (languages.join(", "), first.join(", "));
                        faults
                            .add(&e.key_at, format!("this variant speaks {here}, the first one {there}"))
                            .expected("the same languages in every variant")
                            .help("otherwise the test would compare languages, not texts");
                    }
                    Some(_) => {}
                }
                texts_of(faults, known, entries, &e.key_at, channel)
            }
            _ => {
                faults.wrong(&e.value, "texts by language, such as {zh-CN: \"...\"}");
                None
            }
        });
        fields.close(faults);
        if let (Some(name), Some(weight), Some(texts)) = (name, weight, texts) {
            out.push(Variant { name, weight: u32::try_from(weight).unwrap_or(u32::MAX), texts });
        }
    }
    (out.len() == nodes.len()).then_some(out)
}

fn texts_of(faults: &mut Faults, known: &Known, entries: &[Entry], at: &Range<usize>, channel: Option<Channel>) -> Option<Vec<(String, Text)>> {
    if entries.is_empty() {
        faults.add(at, "there is no text").expected("at least one language");
        return None;
    }
    let mut out = Vec::new();
    for entry in entries.iter().filter(|e| !e.key.is_empty()) {
        let known_tag = language(faults, entry);
        let text = text(faults, known, entry, channel);
        if let (true, Some(text)) = (known_tag, text) {
            out.push((entry.key.clone(), text));
        }
    }
    (out.len() == entries.len()).then_some(out)
}

fn text(faults: &mut Faults, known: &Known, entry: &Entry, channel: Option<Channel>) -> Option<Text> {
    let language = cut(&entry.key);
    let has_subject = matches!(channel, None | Some(Channel::Email | Channel::Push));
    let is_parts =
        matches!(&entry.value.kind, Kind::Map(entries) if entries.iter().any(|e| matches!(e.key.as_str(), "body" | "subject" | "text" | "title")));
    if !is_parts {
        let body = texts::template(faults, known, &entry.value, &language, "the text");
        if channel == Some(Channel::Email) {
            faults
                .add(&entry.key_at, format!("the e-mail in {language} has no subject"))
                .expected(format!("{language}: {{subject: \"...\", body: \"...\"}}"));
            return None;
        }
        return Some(Text { subject: None, body: body? });
    }
    let mut fields = Fields::open(faults, &entry.value, &entry.key_at, "a text with subject and body")?;
    let subject_entry = fields.get("subject");
    let subject = subject_entry.map(|e| {
        let template = texts::template(faults, known, &e.value, &language, "the subject");
        // A line break in a subject would end the header and let the rest be read as another one.
        if template.as_ref().is_some_and(|t| t.source().trim_end().contains(['\n', '\r'])) {
            faults.add(&e.value.at, format!("the subject in {language} has more than one line")).expected("one line");
        }
        template
    });
    if let (Some(e), false) = (subject_entry, has_subject) {
        let channel = channel.map_or("this channel", Channel::name);
        faults.add(&e.key_at, format!("{channel} has no subject")).help("leave it out, or write the text directly after the language");
    }
    let body = fields.must("body", "the text").and_then(|e| texts::template(faults, known, &e.value, &language, "the text"));
    if channel == Some(Channel::Email) && subject_entry.is_none() {
        faults.add(&entry.key_at, format!("the e-mail in {language} has no subject")).expected("subject: \"...\"");
    }
    fields.close(faults);
    let subject = match subject {
        Some(subject) => Some(subject?),
        None => None,
    };
    Some(Text { subject, body: body? })
}

/// Whether a key is a language tag (BCP 47: language, then script, then region: `zh`, `zh-CN`, `zh-Hant-HK`, `es-419`).
fn language(faults: &mut Faults, entry: &Entry) -> bool {
    if is_tag(&entry.key) {
        return true;
    }
    let mended: Vec<String> = entry
        .key
        .split(['-', '_'])
        .enumerate()
        .map(|(i, part)| match (i, part.chars().count()) {
            (1.., 2) => part.to_uppercase(),
            (1.., 4) => part.chars().take(1).flat_map(char::to_uppercase).chain(part.chars().skip(1).flat_map(char::to_lowercase)).collect(),
            _ => part.to_lowercase(),
        })
        .collect();
    let mended = mended.join("-");
    let noted =
        faults.add(&entry.key_at, format!("{:?} is not a language tag", cut(&entry.key))).expected("a language tag such as zh-CN, zh-Hant-HK or en");
    if is_tag(&mended) {
        noted.help(format!("did you mean `{mended}`?"));
    }
    false
}

fn is_tag(tag: &str) -> bool {
    let is = |part: &str, test: fn(&u8) -> bool| part.bytes().all(|b| test(&b));
    let mut parts = tag.split('-').peekable();
    let primary = parts.next().is_some_and(|p| (2..=3).contains(&p.len()) && is(p, u8::is_ascii_lowercase));
    let title =
        |p: &str| p.len() == 4 && p.starts_with(|c: char| c.is_ascii_uppercase()) && p.get(1..).is_some_and(|r| is(r, u8::is_ascii_lowercase));
    parts.next_if(|p| title(p));
    parts.next_if(|p| (p.len() == 2 && is(p, u8::is_ascii_uppercase)) || (p.len() == 3 && is(p, u8::is_ascii_digit)));
    primary && parts.next().is_none()
}
