//! What a mapping can fill: the targets of each kind of intake.
use super::Kind;
use crate::domain::channel::Channel;
use crate::domain::consent::Purpose;

/// Where a mapped value goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Ref,
    Phone,
    Email,
    Push,
    Timezone,
    Language,
    Branch,
    Rm,
    Consent(Channel, Purpose),
    Attr(String),
    Customer,
    Kind,
    Product,
    Amount,
    Currency,
    At,
    FactRef,
    Channel,
    Purpose,
    State,
    Source,
    Why,
    Until,
}

/// The targets with fixed names, and the kinds that take them.
const FIXED: &[(&str, Target, &[Kind])] = &[
    ("ref", Target::Ref, &[Kind::Customers, Kind::List]),
    ("phone", Target::Phone, &[Kind::Customers]),
    ("email", Target::Email, &[Kind::Customers]),
    ("push.fcm", Target::Push, &[Kind::Customers]),
    ("timezone", Target::Timezone, &[Kind::Customers]),
    ("language", Target::Language, &[Kind::Customers]),
    ("branch", Target::Branch, &[Kind::Customers]),
    ("rm", Target::Rm, &[Kind::Customers]),
    ("customer", Target::Customer, &[Kind::Consents, Kind::Suppressions, Kind::Facts]),
    ("kind", Target::Kind, &[Kind::Facts]),
    ("product", Target::Product, &[Kind::Facts]),
    ("amount", Target::Amount, &[Kind::Facts]),
    ("currency", Target::Currency, &[Kind::Facts]),
    ("fact_ref", Target::FactRef, &[Kind::Facts]),
    ("at", Target::At, &[Kind::Consents, Kind::Suppressions, Kind::Facts]),
    ("channel", Target::Channel, &[Kind::Consents, Kind::Suppressions]),
    ("purpose", Target::Purpose, &[Kind::Consents]),
    ("state", Target::State, &[Kind::Consents]),
    ("source", Target::Source, &[Kind::Consents, Kind::Suppressions]),
    ("why", Target::Why, &[Kind::Suppressions]),
    ("until", Target::Until, &[Kind::Suppressions]),
];

/// The targets that a kind cannot do without.
pub(super) fn required(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Customers | Kind::List => &["ref"],
        Kind::Consents => &["customer", "channel", "state", "at"],
        Kind::Suppressions => &["customer", "why"],
        Kind::Facts => &["customer", "kind", "amount", "currency", "at", "fact_ref"],
    }
}

/// Names of the targets of a kind (`None`: of all), with a stand-in for the open families.
pub(super) fn names(kind: Option<Kind>) -> Vec<&'static str> {
    let mut names: Vec<&str> = FIXED.iter().filter(|(_, _, kinds)| kind.is_none_or(|k| kinds.contains(&k))).map(|(n, _, _)| *n).collect();
    if kind.is_none_or(|k| k == Kind::Customers) {
        names.extend(["consent.call", "consent.sms", "consent.push", "consent.email", "consent.worklist", "attr.NAME"]);
    }
    names
}

impl Target {
    /// The target of a name; the error says what is wrong with it.
    pub fn parse(name: &str) -> Result<Self, String> {
        if let Some((_, target, _)) = FIXED.iter().find(|(n, _, _)| *n == name) {
            return Ok(target.clone());
        }
        if let Some(attr) = name.strip_prefix("attr.") {
            let mut chars = attr.chars();
            let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
                && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
                && attr.len() <= 64;
            return if good {
                Ok(Self::Attr(attr.to_owned()))
            } else {
                Err(format!("expected an attribute name of letters, digits and `_` (at most 64) after `attr.`, found {attr:?}"))
            };
        }
        if let Some(consent) = name.strip_prefix("consent.") {
            let (channel, purpose) = consent.split_once('.').unwrap_or((consent, Purpose::Marketing.name()));
            let Some(channel) = Channel::from_name(channel) else {
                return Err(format!("`{name}`: no such channel; known: {}", Channel::ALL.map(Channel::name).join(", ")));
            };
            let Some(purpose) = Purpose::from_name(purpose) else {
                return Err(format!("`{name}`: no such purpose; known: marketing, service, collection"));
            };
            return Ok(Self::Consent(channel, purpose));
        }
        Err(format!("unknown target `{name}`; {}", super::fault::hint(name, &names(None))))
    }

    /// Its name, as written in mapping files.
    pub fn name(&self) -> String {
        match self {
            Self::Attr(name) => format!("attr.{name}"),
            Self::Consent(channel, purpose) => format!("consent.{channel}.{purpose}"),
            fixed => FIXED.iter().find(|(_, t, _)| t == fixed).map_or_else(String::new, |(n, _, _)| (*n).to_owned()),
        }
    }

    /// Whether a kind of intake takes it.
    pub fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Attr(_) | Self::Consent(..) => kind == Kind::Customers,
            fixed => FIXED.iter().any(|(_, t, kinds)| t == fixed && kinds.contains(&kind)),
        }
    }
}
