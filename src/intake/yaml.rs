//! A YAML document as a tree in which every key and value knows its line and column, so that all faults can be
//! reported at once (a derived `Deserialize` stops at the first).
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

/// A place in the document, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

impl From<Location> for Place {
    fn from(at: Location) -> Self {
        Self { line: at.line(), column: at.column() }
    }
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it starts.
    pub at: Place,
    /// What it is.
    pub tree: Tree,
}

/// What a value is. Scalars keep the text as written: `007` and `no` stay what the operator wrote.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    /// Nothing.
    Null,
    /// Text, or a scalar as written.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map in file order.
    Map(Vec<(Spanned<String>, Node)>),
}

impl Tree {
    /// For messages: the kind, never the value.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Text(_) => "a plain value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

enum Raw {
    Null,
    Text(String),
    /// Resolved by YAML to a number or boolean: the text is taken from the source.
    Resolved(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Raw;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
                Ok(Raw::Resolved(v.to_string()))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Raw, E> {
                Ok(Raw::Resolved(v.to_string()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Raw, E> {
                Ok(Raw::Resolved(v.to_string()))
            }
            fn visit_i128<E>(self, v: i128) -> Result<Raw, E> {
                Ok(Raw::Resolved(v.to_string()))
            }
            fn visit_u128<E>(self, v: u128) -> Result<Raw, E> {
                Ok(Raw::Resolved(v.to_string()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Raw, E> {
                Ok(Raw::Resolved(v.to_string()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
                Ok(Raw::Text(v.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Raw, D::Error> {
                Raw::deserialize(d)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = map.next_entry()? {
                    items.push(item);
                }
                Ok(Raw::Map(items))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Parses a document; a fault of the YAML itself is one fault with its place.
pub(super) fn parse(text: &str) -> Result<Node, (Place, String)> {
    match serde_saphyr::from_str::<Spanned<Raw>>(text) {
        Ok(raw) => Ok(node(raw, text)),
        Err(e) => {
            let at = e.location().map(Place::from).unwrap_or_default();
            // The first line of the message; the place is told by the fault.
            let message = e.without_snippet().to_string();
            Err((at, message.lines().next().unwrap_or("the YAML cannot be read").to_owned()))
        }
    }
}

fn node(raw: Spanned<Raw>, text: &str) -> Node {
    let at = Place::from(raw.referenced);
    let defined = Place::from(raw.defined);
    let tree = match raw.value {
        Raw::Null => Tree::Null,
        Raw::Text(t) => Tree::Text(t),
        Raw::Resolved(resolved) => Tree::Text(as_written(text, defined).unwrap_or(resolved)),
        Raw::List(items) => Tree::List(items.into_iter().map(|i| node(i, text)).collect()),
        Raw::Map(items) => Tree::Map(items.into_iter().map(|(k, v)| (k, node(v, text))).collect()),
    };
    Node { at, tree }
}

/// The plain scalar that stands at a place: up to a blank, comma, bracket or the line's end.
fn as_written(text: &str, at: Place) -> Option<String> {
    let line = text.lines().nth(usize::try_from(at.line.checked_sub(1)?).ok()?)?;
    let word: String =
        line.chars().skip(usize::try_from(at.column.checked_sub(1)?).ok()?).take_while(|c| !c.is_whitespace() && !",]}#".contains(*c)).collect();
    (!word.is_empty() && !word.starts_with(['&', '*', '!', '"', '\''])).then_some(word)
}
