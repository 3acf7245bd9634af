//! Contact details: types that never print themselves (law 7).
use serde::{Deserialize, Serialize};

macro_rules! private {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);
        impl $name {
            /// Wraps text that has been checked by its intake.
            pub fn new(text: impl Into<Box<str>>) -> Self { Self(text.into()) }
            /// The text itself: for the carrier and the store alone, never for a log, an error, a metric or a file name.
            pub fn reveal(&self) -> &str { &self.0 }
        }
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(concat!(stringify!($name), "(redacted)")) }
        }
    };
}

private!(
    /// A telephone number in E.164 (`+8613800138000`).
    Phone
);
private!(
    /// An e-mail address.
    EmailAddress
);
private!(
    /// A device's push token.
    PushToken
);
private!(
    /// What a carrier needs to find the customer on a channel.
    Address
);

impl Phone {
    /// As it is compared and looked up: the digits of E.164 with the plus sign before them.
    pub fn normalised(&self) -> String {
        self.0.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect()
    }

    /// For outputs that need not the whole number: the calling code and up to three digits after it, at least four stars, and up to four
    /// digits (`+86138****8000`). A short number shows less, one of four digits or fewer nothing.
    pub fn masked(&self) -> String {
        let code = self.calling_code().map_or_else(String::new, |code| format!("+{code}"));
        let national: Vec<char> = self.0.strip_prefix(code.as_str()).unwrap_or(&self.0).chars().collect();
        let shown = national.len().saturating_sub(4).min(7);
        let tail = shown.div_ceil(2).min(4);
        let head = (shown - tail).min(3);
        let stars = national.len() - head - tail;
        let part = |range: std::ops::Range<usize>| national.get(range).unwrap_or_default().iter().collect::<String>();
        format!("{code}{}{}{}", part(0..head), "*".repeat(stars), part(national.len() - tail..national.len()))
    }

    /// The country calling code of an E.164 number (ITU-T E.164: 1 and 7 have one digit, the codes listed here two, all others three).
    pub fn calling_code(&self) -> Option<u16> {
        const TWO: [u16; 44] = [
            20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 63, 64, 65, 66, 81,
            82, 84, 86, 90, 91, 92, 93, 94, 95, 98,
        ];
        let digits = self.0.strip_prefix('+')?;
        let code = |n: usize| digits.get(..n).and_then(|d| d.parse::<u16>().ok());
        match code(1)? {
            1 => Some(1),
            7 => Some(7),
            _ => code(2).filter(|c| TWO.contains(c)).or_else(|| code(3)),
        }
    }
}

impl EmailAddress {
    /// As it is compared and looked up: without blanks around it, in small letters.
    pub fn normalised(&self) -> String {
        self.0.trim().to_lowercase()
    }

    /// For outputs that need not the whole address: the first character and the domain (`z***@bank.example`); the length is not told.
    pub fn masked(&self) -> String {
        match self.0.rsplit_once('@') {
            Some((name, domain)) if name.chars().count() > 1 => format!("{}***@{domain}", name.chars().take(1).collect::<String>()),
            Some((_, domain)) => format!("***@{domain}"),
            None => "***".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_hides_at_least_four_digits() {
        for (number, masked) in [
            ("+8613800138000", "+86138****8000"),
            ("+12125550123", "+1212****123"),
            ("+35312345678", "+35312****78"),
            ("+4930123456", "+4930****56"),
            ("+861", "+86*"),
            ("+8612345", "+86****5"),
            ("12345678", "12****78"),
            ("", ""),
        ] {
            assert_eq!(Phone::new(number).masked(), masked, "{number}");
        }
    }

    #[test]
    fn an_address_shows_its_domain_and_one_character() {
        for (address, masked) in [("zhang@bank.example", "z***@bank.example"), ("z@bank.example", "***@bank.example"), ("nothing", "***")] {
            assert_eq!(EmailAddress::new(address).masked(), masked);
        }
        assert_eq!(EmailAddress::new(" Zhang@Bank.Example ").normalised(), "zhang@bank.example");
        assert_eq!(Phone::new("+86 138-0013-8000").normalised(), "+8613800138000");
    }
}
