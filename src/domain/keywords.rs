//! What a customer means by a text of their own: whether it opts out. The words are data (`keywords.yaml`), with their sources.
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The whole text is an opt-out: by this word.
    OptOut {
        /// From every channel, not only from the one on which it came.
        all: bool,
        /// The word, as the data has it.
        word: &'static str,
    },
    /// A longer text in which such a word stands: a person must look at it, a machine must not guess.
    Mentions,
    /// Nothing of the kind.
    Nothing,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    sources: Vec<String>,
    lists: Vec<List>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    language: String,
    words: Vec<String>,
    all: Vec<String>,
    mentions: Vec<String>,
}

struct Word {
    word: String,
    all: bool,
    /// Languages in which a word of one character counts.
    languages: Vec<String>,
}

struct Words {
    version: String,
    whole: BTreeMap<String, Word>,
    mentions: Vec<String>,
}

static WORDS: LazyLock<Words> = LazyLock::new(|| {
    // A test reads the file: it is part of the program.
    let file: File =
        serde_saphyr::from_str(include_str!("keywords.yaml")).unwrap_or(File { version: String::new(), sources: Vec::new(), lists: Vec::new() });
    debug_assert!(!file.sources.is_empty(), "keywords.yaml cannot be read");
    let mut words = Words { version: file.version, whole: BTreeMap::new(), mentions: Vec::new() };
    for list in file.lists {
        for (all, word) in list.words.into_iter().map(|w| (false, w)).chain(list.all.into_iter().map(|w| (true, w))) {
            let entry = words.whole.entry(plain(&word)).or_insert_with(|| Word { word, all, languages: Vec::new() });
            entry.languages.push(list.language.clone());
        }
        words.mentions.extend(list.mentions.iter().map(|m| plain(m)));
    }
    words
});

/// The version of the data: kept with every consent that is withdrawn by it.
pub fn version() -> &'static str {
    &WORDS.version
}

/// What a text says. `language`: the customer's (BCP 47), where it is known.
pub fn hear(text: &str, language: Option<&str>) -> Heard {
    let text = plain(text);
    let primary = language.and_then(|l| l.split(['-', '_']).next()).map(str::to_lowercase);
    if let Some(found) = WORDS.whole.get(&text)
        && (text.chars().count() > 1 || primary.as_ref().is_none_or(|own| found.languages.iter().any(|l| l == own)))
    {
        return Heard::OptOut { all: found.all, word: &found.word };
    }
    let spaced = format!(" {text} ");
    let stands = |word: &String| if word.is_ascii() { spaced.contains(&format!(" {word} ")) } else { text.contains(word.as_str()) };
    if WORDS.mentions.iter().any(stands) { Heard::Mentions } else { Heard::Nothing }
}

/// Half-width, lower case, without punctuation and marks, single spaces.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let c = match c {
            // The full-width forms of ASCII (U+FF01 to U+FF5E) stand 0xFEE0 above it.
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
            c => c,
        };
        match c {
            // Within a word: don't, opt\u{200b}out.
            '\'' | '\u{2019}' | '\u{200b}'..='\u{200d}' | '\u{feff}' => {}
            c if c.is_alphanumeric() => out.extend(c.to_lowercase()),
            _ if out.ends_with(' ') || out.is_empty() => {}
            _ => out.push(' '),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_messages_opt_out() {
        let out = |text: &str, language: Option<&str>| matches!(hear(text, language), Heard::OptOut { all: false, .. });
        for text in [
            "STOP",
            " stop ",
            "Stop.",
            "“STOP”!!",
            "ＳＴＯＰ",
            "Unsubscribe",
            "QUIT",
            "end",
            "Cancel",
            "REVOKE",
            "OPT OUT",
            "opt-out",
            "OPTOUT",
            "TD",
            "td。",
            "ＴＤ",
            "T",
            "退订",
            "退訂",
            " 退 ",
            "退订！",
            "N",
            "n.",
            "Don’t call",
            "baja",
            "ARRÊT",
            "Stopp",
            "配信停止",
            "不要再发",
        ] {
            assert!(out(text, None), "{text:?} opts out");
        }
        for text in ["N", "T", "退"] {
            assert!(out(text, Some("zh-CN")), "{text:?} opts out in Chinese");
        }
        assert!(!out("N", Some("en-GB")) && !out("T", Some("en")) && !out("r", Some("de")), "a single letter is no word of another language");
        assert!(out("退订", Some("en")) && out("STOP", Some("zh-CN")), "words of any language count");
    }

    #[test]
    fn all_channels() {
        for text in ["STOP ALL", "stopall", "全部退订", "Opt out all"] {
            assert!(matches!(hear(text, None), Heard::OptOut { all: true, .. }), "{text:?}");
        }
    }

    #[test]
    fn within_a_sentence_a_person_looks() {
        for text in [
            "please stop calling me at work",
            "I want to unsubscribe from this",
            "你们不要再发短信了，我要退订",
            "Non, ne plus recevoir vos sms",
            "stop 1234",
        ] {
            assert_eq!(hear(text, None), Heard::Mentions, "{text:?}");
        }
        for text in ["", "?!", "Yes please", "I will be there at the end", "unstoppable", "Thanks", "好的", "明天可以", "bus stops here", "no"]
        {
            assert_eq!(hear(text, None), Heard::Nothing, "{text:?}");
        }
    }

    #[test]
    fn the_data_is_whole() {
        assert!(!version().is_empty() && WORDS.whole.len() > 60 && WORDS.mentions.len() > 20);
        assert!(WORDS.whole.keys().all(|w| !w.is_empty()) && WORDS.mentions.iter().all(|w| w.chars().count() > 1));
    }
}
