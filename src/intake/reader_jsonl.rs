//! JSON Lines: one object a line; only the members that the mapping names are taken out of it.
use super::IntakeError;
use super::lines::Window;
use super::mapping::Shape;
use super::record::{FIELD_LIMIT, Next, ROW_LIMIT, Record, RowFault, Rows};
use super::source::{self, Meter};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Reads JSON Lines.
pub(super) struct Jsonl {
    path: PathBuf,
    window: Window,
    decoded: bool,
    names: Vec<String>,
    index: HashMap<String, usize>,
    values: Vec<Value>,
    line: u64,
}

/// A member's value as text.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Absent,
    Text(String),
    /// An object or a list, which no target takes.
    Nested,
    /// A number that has lost digits on its way through a float.
    Inexact,
    Twice,
}

impl Jsonl {
    /// Opens a file; `names`: the members to take out.
    pub fn open(path: &Path, shape: &Shape, names: Vec<String>, meter: &Meter) -> Result<Self, IntakeError> {
        let text = source::text(path, shape.encoding, meter)?;
        let index = names.iter().cloned().enumerate().map(|(i, n)| (n, i)).collect();
        let values = vec![Value::Absent; names.len()];
        Ok(Self {
            path: path.to_owned(),
            window: Window::new(text.reader, text.skipped),
            decoded: text.decoded.is_some(),
            names,
            index,
            values,
            line: 1,
        })
    }

    /// Length of the next line without its line feed; `None`: longer than the limit.
    fn line_length(&mut self) -> Result<Option<usize>, IntakeError> {
        let mut from = 0;
        loop {
            let data = self.window.data();
            if let Some(i) = data.get(from..).and_then(|d| d.iter().position(|b| *b == b'\n')) {
                return Ok(Some(from + i));
            }
            from = data.len();
            if from > ROW_LIMIT {
                return Ok(None);
            }
            if self.window.is_last() {
                return Ok(Some(from));
            }
            self.window.more().map_err(|e| source::broken(&self.path, &e))?;
        }
    }

    fn take(&mut self, length: usize, record: &mut Record) -> Next {
        let data = self.window.data().get(..length).unwrap_or_default();
        record.keep_raw(data.strip_suffix(b"\r").unwrap_or(data));
        let bad = |column: &str, reason: String| Next::Bad(RowFault::of(column, reason));
        let text = match std::str::from_utf8(data) {
            Ok(text) => text,
            Err(e) => return Next::Foreign(self.window.offset + e.valid_up_to() as u64, source::advice(data).to_owned()),
        };
        if self.decoded && text.contains('\u{fffd}') {
            return bad("", "holds bytes that do not exist in the file's encoding".into());
        }
        self.values.fill(Value::Absent);
        let mut json = serde_json::Deserializer::from_str(text);
        let read = Pick { index: &self.index, values: &mut self.values }.deserialize(&mut json).and_then(|()| json.end());
        if let Err(e) = read {
            // The message of the crate may quote a value: only its place and class are told.
            let what = if e.is_data() { "is no JSON object" } else { "is not valid JSON" };
            return bad("", format!("{what} (at character {})", e.column()));
        }
        for (name, value) in self.names.iter().zip(&self.values) {
            match value {
                Value::Absent => record.push(""),
                Value::Text(text) if text.len() > FIELD_LIMIT => return bad(name, "a field is longer than 1 MiB".into()),
                Value::Text(text) if text.contains('\0') => return bad(name, "holds a NUL character".into()),
                Value::Text(text) => record.push(text),
                Value::Nested => return bad(name, "expected a text, number or boolean, found an object or a list".into()),
                Value::Inexact => return bad(name, "a number with more than 15 digits loses some of them: write it as a text".into()),
                Value::Twice => return bad(name, "stands twice in the object".into()),
            }
        }
        Next::Row
    }
}

impl Rows for Jsonl {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn knows_all_names(&self) -> bool {
        false
    }

    fn next(&mut self, record: &mut Record) -> Result<Next, IntakeError> {
        record.clear();
        loop {
            record.line = self.line;
            let Some(length) = self.line_length()? else {
                record.keep_raw(self.window.data());
                self.window.skip_line().map_err(|e| source::broken(&self.path, &e))?;
                self.line += 1;
                return Ok(Next::Bad(RowFault { column: String::new(), reason: "the row is longer than 8 MiB".into() }));
            };
            let data = self.window.data();
            if data.is_empty() && self.window.is_last() {
                return Ok(Next::End);
            }
            let blank = data.get(..length).is_none_or(|d| d.trim_ascii().is_empty());
            let next = if blank { None } else { Some(self.take(length, record)) };
            self.window.consume(length + 1);
            self.line += 1;
            if let Some(next) = next {
                return Ok(next);
            }
        }
    }
}

/// Takes the named members out of an object.
struct Pick<'a> {
    index: &'a HashMap<String, usize>,
    values: &'a mut [Value],
}

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = ();
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(Key(self.index))? {
            match place.and_then(|i| self.values.get_mut(i)) {
                Some(slot) if *slot == Value::Absent => *slot = map.next_value()?,
                Some(slot) => {
                    map.next_value::<IgnoredAny>()?;
                    *slot = Value::Twice;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Key<'a>(&'a HashMap<String, usize>);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.get(key).copied())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
                Ok(Value::Text(v.to_string()))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
                Ok(Value::Text(v.to_string()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
                Ok(Value::Text(v.to_string()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
                let text = v.to_string();
                // A double keeps 15 significant digits; more in its shortest form means that the file's number was not that double.
                Ok(if text.bytes().filter(u8::is_ascii_digit).count() > 16 { Value::Inexact } else { Value::Text(text) })
            }
            fn visit_str<E>(self, v: &str) -> Result<Value, E> {
                Ok(Value::Text(v.to_owned()))
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Absent)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value::Nested)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value::Nested)
            }
        }
        deserializer.deserialize_any(Any)
    }
}
