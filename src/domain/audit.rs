//! The audit log's chain: each entry's hash is over the hash before it and its own content, so that an entry which is changed, taken
//! out or put in breaks everything after it. What is cut off at the end is told by a head that was kept elsewhere.
use super::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Longest target that is kept, in characters.
const TARGET: usize = 300;

/// What somebody did or asked to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    #[serde(with = "super::time::iso")]
    pub at: Timestamp,
    /// Who: an actor's name.
    pub actor: String,
    /// The token shown; `None`: an identity provider's, a signature, or somebody at the machine.
    pub token: Option<i64>,
    /// The operation's id, or the words of the command line.
    pub operation: String,
    /// On what: `name=term-deposit`, `task=17`, `customer=C00042`. Never contact data.
    pub target: String,
    /// What came of it: an HTTP status, or `done`, `no`, `failed`.
    pub outcome: String,
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// Its number, from 1, without gaps.
    pub number: i64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// The end of the log at some moment; written `N:HASH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last entry's number; 0: none yet.
    pub number: i64,
    /// Its hash, hexadecimal; of no entry: [`GENESIS`].
    pub hash: String,
}

/// What the first entry follows.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Default for Head {
    fn default() -> Self {
        Self { number: 0, hash: GENESIS.to_owned() }
    }
}

impl Head {
    /// The next entry, linked to this one; the head becomes it.
    pub fn link(&mut self, entry: Entry) -> Linked {
        self.number += 1;
        self.hash = hash(&self.hash, self.number, &entry);
        Linked { number: self.number, entry, hash: self.hash.clone() }
    }

    /// Whether `next` follows this head; on yes the head becomes it, on no this says what is wrong.
    pub fn follow(&mut self, next: &Linked) -> Result<(), String> {
        if next.number != self.number + 1 {
            return Err(format!("expected entry {}, found {}: what stood between them is gone", self.number + 1, next.number));
        }
        let expected = hash(&self.hash, next.number, &next.entry);
        if expected != next.hash {
            return Err(format!("entry {}: its hash should be {expected}, found {}: it or what it follows was changed", next.number, next.hash));
        }
        (self.number, self.hash) = (next.number, expected);
        Ok(())
    }
}

impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl std::str::FromStr for Head {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || format!("expected a head such as 17:{GENESIS} (number, colon, 64 hexadecimal digits), found {text:?}");
        let (number, hash) = text.trim().split_once(':').ok_or_else(fault)?;
        let number = number.parse::<i64>().ok().filter(|n| *n >= 0).ok_or_else(fault)?;
        if hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(fault());
        }
        Ok(Self { number, hash: hash.to_ascii_lowercase() })
    }
}

/// SHA-256 over the hash before (hexadecimal), a line end, and the entry as a JSON array of number, epoch milliseconds, actor, token or
/// null, operation, target, outcome: anybody can recompute it with common tools.
fn hash(before: &str, number: i64, entry: &Entry) -> String {
    let content = serde_json::json!([number, entry.at.0, entry.actor, entry.token, entry.operation, entry.target, entry.outcome]);
    let mut sha = Sha256::new();
    sha.update(before.as_bytes());
    sha.update(b"\n");
    sha.update(content.to_string().as_bytes());
    hex(&sha.finalize())
}

/// Hexadecimal, lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, b| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{b:02x}");
        text
    })
}

/// A target out of names and values. What looks like an address or an international number is withheld: it came where a name or a
/// number of the bank's belongs.
pub fn target<'a>(parts: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in parts {
        if !text.is_empty() {
            text.push(' ');
        }
        let contact = value.contains('@') || (value.starts_with('+') && value.chars().filter(char::is_ascii_digit).count() >= 7);
        let value = if contact { "(withheld)" } else { value };
        let safe = value.chars().map(|c| if c.is_control() || c == ' ' { '_' } else { c });
        text.extend(name.chars().chain(['=']).chain(safe));
    }
    text.chars().take(TARGET).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(target: &str) -> Entry {
        Entry {
            at: Timestamp(1_795_478_400_000),
            actor: "alma".into(),
            token: Some(3),
            operation: "approveCampaign".into(),
            target: target.into(),
            outcome: "200".into(),
        }
    }

    #[test]
    fn a_change_a_gap_and_a_swap_break_the_chain() {
        let mut head = Head::default();
        let good: Vec<Linked> = ["a", "b", "c"].into_iter().map(|t| head.link(entry(t))).collect();
        let check = |rows: &[Linked]| rows.iter().try_fold(Head::default(), |mut head, row| head.follow(row).map(|()| head));
        assert_eq!(check(&good), Ok(head));
        for spoil in [
            (|r: &mut Vec<Linked>| r[1].entry.actor = "bert".into()) as fn(&mut Vec<Linked>),
            |r| r[1].entry.token = None,
            |r| r[1].entry.outcome = "403".into(),
            |r| r[1].entry.at.0 += 1,
            |r| r[0].hash = GENESIS.into(),
            |r| drop(r.remove(1)),
            |r| r.swap(0, 1),
            |r| {
                r.remove(1);
                r[1].number = 2;
            },
        ] {
            let mut rows = good.clone();
            spoil(&mut rows);
            assert!(check(&rows).is_err(), "{rows:?}");
        }
    }

    #[test]
    fn the_hash_is_what_common_tools_compute() {
        // printf '%064d\n[1,1795478400000,"alma",3,"approveCampaign","name=x","200"]' 0 | sha256sum
        let linked = Head::default().link(entry("name=x"));
        assert_eq!(linked.hash, "51a360ab03fd5e8067927f672ea6d0ca87d93b5723ced6c3e8bc216bc9ca586f");
    }

    #[test]
    fn heads_are_read_back() {
        let head = Head { number: 17, hash: GENESIS.replace('0', "a") };
        assert_eq!(head.to_string().parse::<Head>(), Ok(head));
        for bad in ["", "17", "x:00", "17:00", "-1:0000000000000000000000000000000000000000000000000000000000000000"] {
            assert!(bad.parse::<Head>().is_err(), "{bad}");
        }
    }

    #[test]
    fn targets_hold_no_contact_data() {
        assert_eq!(target([("customer", "C 1\n2"), ("name", "x")]), "customer=C_1_2 name=x");
        assert_eq!(target([("customer", "a@b.example")]), "customer=(withheld)");
        assert_eq!(target([("customer", "+86 138 0000 0000")]), "customer=(withheld)");
        assert_eq!(target([("customer", "10293847")]), "customer=10293847");
        assert_eq!(target([("x", "y".repeat(1000).as_str())]).chars().count(), TARGET);
    }
}
