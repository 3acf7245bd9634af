//! The channels on which a customer can be contacted.
use serde::{Deserialize, Serialize};

/// A way to contact a customer. The number is what the store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Channel {
    /// An outbound telephone call.
    Call = 1,
    /// A text message, counted in parts.
    Sms = 2,
    /// A push notification to the bank's app.
    Push = 3,
    /// An e-mail.
    Email = 4,
    /// A task on the worklist of the customer's relationship manager.
    Worklist = 5,
}

impl Channel {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 5] = [Self::Call, Self::Sms, Self::Push, Self::Email, Self::Worklist];

    /// The number under which the store keeps it.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The channel of a stored number.
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|c| i64::from(c.code()) == code)
    }

    /// Its name in files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Sms => "sms",
            Self::Push => "push",
            Self::Email => "email",
            Self::Worklist => "worklist",
        }
    }

    /// The channel of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }
}

impl std::fmt::Display for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
