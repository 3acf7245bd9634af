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
