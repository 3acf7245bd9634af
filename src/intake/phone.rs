//! Telephone numbers: into E.164, and made-up ones for data that has none.
use crate::domain::contact::Phone;
use phonenumber::country::Id;
use std::fmt::Write as _;
use xxhash_rust::xxh3::xxh3_64;

/// The region of two capital letters, when the numbering data knows it.
pub(super) fn region(text: &str) -> Option<Id> {
    text.parse().ok()
}

/// A number as written in the file, in E.164. `region` is the country of numbers without a country code.
///
/// # Errors
/// Says what is wrong, never the number.
pub(super) fn normalise(text: &str, region: Option<Id>) -> Result<Phone, &'static str> {
    if let Some(phone) = chinese_mobile(text, region) {
        return Ok(phone);
    }
    if text.len() > 64 {
        return Err("is no telephone number: it is longer than 64 characters");
    }
    // The parser would turn letters into digits, as on an old dial, and drop an extension; a bank's file means neither.
    if text.strip_prefix("tel:").unwrap_or(text).chars().any(char::is_alphabetic) {
        return Err("is no telephone number: it holds letters");
    }
    // The parser strips the trunk prefix of the region given even from a number with another country's code: +39 06 would lose its
    // zero. So a number that bears a country code, by `+` or by an international prefix, is parsed without a region.
    let own = text.trim_start().trim_start_matches("tel:").starts_with(['+', '\u{ff0b}']);
    let region = region.filter(|_| !own);
    let fault = match region {
        Some(_) => "is no telephone number",
        None if own => "is no telephone number",
        None => "is no telephone number with a country code; say `region:` in the mapping for national numbers",
    };
    let mut number = phonenumber::parse(region, text).map_err(|_| fault)?;
    let foreign = number.country().code().to_string();
    if region.is_some_and(|r| phonenumber::metadata::DATABASE.by_id(r.as_ref()).is_some_and(|m| m.country_code().to_string() != foreign)) {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        let from = digits.find(&foreign).ok_or(fault)?;
        number = phonenumber::parse(None, format!("+{}", digits.get(from..).unwrap_or_default())).map_err(|_| fault)?;
    }
    if number.extension().is_some() {
        return Err("is a telephone number with an extension, which no carrier can dial");
    }
    let code = number.country().code();
    let database = &*phonenumber::metadata::DATABASE;
    let Some(regions) = database.by_code(&code).filter(|_| code != 0) else {
        return Err("is no telephone number: there is no such country code");
    };
    let national = number.national().to_string();
    let length = u16::try_from(national.len()).unwrap_or(u16::MAX);
    if !regions.iter().any(|m| has_length(m, length)) {
        return Err("is no telephone number: its length fits no number of its country");
    }
    let mut text = String::with_capacity(16);
    // Writing to a String does not fail.
    let _ = write!(text, "+{code}{national}");
    Ok(Phone::new(text))
}

/// Whether a country has numbers for subscribers of so many digits (the general description of the data has no lengths of its own).
fn has_length(country: &phonenumber::Metadata, length: u16) -> bool {
    let kinds = country.descriptors();
    [
        kinds.fixed_line(),
        kinds.mobile(),
        kinds.toll_free(),
        kinds.premium_rate(),
        kinds.shared_cost(),
        kinds.personal_number(),
        kinds.voip(),
        kinds.uan(),
    ]
    .into_iter()
    .flatten()
    .any(|kind| kind.possible_length().contains(&length))
}

/// The common case without the parser: a Chinese mobile number of eleven digits, with +86 or (in region CN) bare.
/// 11x, 12x and 179 stay with the parser, which takes them for carrier codes.
fn chinese_mobile(text: &str, region: Option<Id>) -> Option<Phone> {
    let national = match text.strip_prefix("+86") {
        Some(national) => national,
        None if region == Some(Id::CN) => text,
        None => return None,
    };
    let [b'1', b'3'..=b'9', third, rest @ ..] = national.as_bytes() else { return None };
    let good = rest.len() == 8 && third.is_ascii_digit() && rest.iter().all(u8::is_ascii_digit) && !national.starts_with("179");
    if !good {
        return None;
    }
    if national.len() < text.len() { Some(Phone::new(text)) } else { Some(Phone::new(format!("+86{text}"))) }
}

/// A range of numbers that are assigned to nobody, so that a made-up number can never ring at a stranger's.
#[derive(Clone, Copy, Debug)]
struct Range {
    region: &'static str,
    /// Country code and leading digits.
    prefix: &'static str,
    /// Digits after it.
    digits: u32,
}

/// Why these are unassigned: CN: the mobile block 154 has never been given to an operator (MIIT numbering plan; Google's
/// libphonenumber excludes it). PT: the mobile block 98 is in nobody's hands (ANACOM's plan gives 91, 92, 93, 96).
/// US: area codes of the form N9X are kept back for the expansion of the numbering plan (NANPA). GB: 07700 900xxx is reserved by Ofcom
/// for drama; it has a thousand numbers only, so that they repeat.
const RANGES: [Range; 4] = [
    Range { region: "CN", prefix: "+86154", digits: 8 },
    Range { region: "PT", prefix: "+35198", digits: 7 },
    Range { region: "US", prefix: "+12992", digits: 6 },
    Range { region: "GB", prefix: "+447700900", digits: 3 },
];

/// Where made-up numbers come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fictitious {
    range: Range,
    /// From the row number, else from the reference.
    pub from_row: bool,
}

/// The regions with a range.
pub(super) fn fictitious_regions() -> String {
    RANGES.map(|r| r.region).join(", ")
}

impl Fictitious {
    /// For a region with a known unassigned range.
    pub fn new(region: &str, from_row: bool) -> Option<Self> {
        RANGES.iter().find(|r| r.region == region).map(|&range| Self { range, from_row })
    }

    /// The number of a reference (or row): always the same one. References that end in digits get distinct numbers as long as the
    /// range has room; others are hashed, and may share one.
    pub fn number(&self, from: &str) -> Phone {
        let head = from.trim_end_matches(|c: char| c.is_ascii_digit());
        let tail = from.get(head.len()..).unwrap_or_default();
        let seed = tail.get(tail.len().saturating_sub(18)..).and_then(|t| t.parse().ok()).unwrap_or_else(|| xxh3_64(from.as_bytes()));
        let digits = self.range.digits as usize;
        Phone::new(format!("{}{:0digits$}", self.range.prefix, seed % 10_u64.pow(self.range.digits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_path_answers_as_the_parser_does() {
        for head in 130..200 {
            for tail in [0_u64, 138_000, 12_345_678, 99_999_999] {
                let bare = format!("{head}{tail:08}");
                let full = format!("+86{bare}");
                for (text, region) in [(&full, None), (&full, Some(Id::CN)), (&full, Some(Id::PT)), (&bare, Some(Id::CN))] {
                    let Some(fast) = chinese_mobile(text, region) else { continue };
                    let slow = phonenumber::parse(region, text).unwrap();
                    assert_eq!(fast.reveal(), slow.format().mode(phonenumber::Mode::E164).to_string(), "{head}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_normalised_or_refused() {
        let good = [
            ("138-0013-8000", Some(Id::CN), "+8613800138000"),
            (" +86 138 0013 8000", None, "+8613800138000"),
            ("010 6552 9988", Some(Id::CN), "+861065529988"),
            ("0086 13800138000", Some(Id::CN), "+8613800138000"),
            ("912 345 678", Some(Id::PT), "+351912345678"),
            ("+39 06 698 12345", Some(Id::CN), "+390669812345"),
            ("0039 06 698 12345", Some(Id::CN), "+390669812345"),
            ("011 44 20 7946 0018", Some(Id::US), "+442079460018"),
            ("(212) 555-0123", Some(Id::US), "+12125550123"),
        ];
        for (text, region, expected) in good {
            assert_eq!(normalise(text, region).map(|p| p.reveal().to_owned()), Ok(expected.to_owned()), "{text}");
        }
        for (text, region) in [
            ("", None),
            ("n/a", Some(Id::CN)),
            ("555-HOLMES", Some(Id::US)),
            ("010 6552 9988 #12", Some(Id::CN)),
            ("12", Some(Id::CN)),
            ("13800138000", None),
            ("+999123456789", None),
            ("1380013800013800", Some(Id::CN)),
        ] {
            assert!(normalise(text, region).is_err(), "{text}");
        }
    }

    #[test]
    fn made_up_numbers_are_stable_and_nobodys() {
        for range in RANGES {
            let made = Fictitious::new(range.region, false).unwrap();
            for from in ["uci-00001", "uci-45211", "abc", "999999999999999999999999"] {
                let number = made.number(from);
                assert_eq!(number, made.number(from));
                let parsed = phonenumber::parse(None, number.reveal()).unwrap();
                assert_eq!(normalise(number.reveal(), None).unwrap(), number);
                // Ofcom's drama numbers are inside a block that is in use; the others must not be valid at all.
                assert!(range.region == "GB" || !phonenumber::is_valid(&parsed), "{}", range.region);
            }
            assert_ne!(made.number("uci-00001"), made.number("uci-00002"));
        }
    }
}
