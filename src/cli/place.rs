//! Where a command is done: on a store here, or by a daemon.
use super::Context;
use super::client::{Client, Said};
use crate::app::{Access, App, Failure};
use serde::Serialize;

/// The place.
#[allow(clippy::large_enum_variant, reason = "there is one in a process")]
pub enum Place {
    /// A store that this process opens.
    Here(Box<App>),
    /// A daemon.
    There(Client),
}

impl Context {
    /// The daemon of `--url`, or else the store here.
    pub(super) async fn place(&self, access: Access) -> Result<Place, Failure> {
        match &self.remote {
            Some(remote) => Ok(Place::There(Client::new(remote)?)),
            None => Ok(Place::Here(Box::new(self.open(access).await?))),
        }
    }

    /// Prints an answer of either place.
    pub(super) fn say<T: Serialize>(&self, said: &Said<T>, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        match &said.json {
            Some(json) if self.json => self.print(&pretty(json)),
            _ => self.answer(&said.value, text),
        }
    }
}

/// JSON with line breaks and indents as serde_json writes them, every value as it stands.
fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = json.trim().chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => {
                in_text = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                if let Some(close) = chars.next_if(|c| matches!(c, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::pretty;
    use serde_json::{Value, json};

    #[test]
    fn it_is_what_serde_json_prints() {
        let cases = [
            json!({}),
            json!([]),
            json!({"a": [], "b": {}, "c": [1, -2.5, 1e300, null, true], "d": {"e": "x,y:{}[]\"\\\\\"", "f": "\\"}}),
            json!(["", "\u{1f600}", "line\nbreak\t\\\"", {"key \"quoted\\": [[[]], [{}]]}]),
            json!("text"),
            json!(0.123_456_789_012_345_67),
        ];
        for case in cases {
            let expected = serde_json::to_string_pretty(&case).unwrap();
            assert_eq!(pretty(&serde_json::to_string(&case).unwrap()), expected);
            // Also of what is laid out already.
            assert_eq!(pretty(&expected), expected);
        }
        assert_eq!(serde_json::from_str::<Value>(&pretty("{ \"n\" : 1.10 }")).unwrap(), json!({"n": 1.1}));
        assert!(pretty("{\"n\":1.10}").contains("1.10"));
    }
}
