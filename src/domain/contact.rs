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
