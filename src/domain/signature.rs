//! Signatures of messages between the bank's systems, its providers and us: Standard Webhooks (<https://www.standardwebhooks.com>,
//! text 1.0.0), and the schemes of providers' own. Pure: secrets, headers and the time come in as arguments.
use super::time::{MINUTE, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// How far a signed timestamp may be from our clock, either way, in milliseconds: five minutes, as the libraries of Standard Webhooks ask.
pub const TOLERANCE: i64 = 5 * MINUTE;
/// Before the base64 of a secret of Standard Webhooks.
pub const SECRET_PREFIX: &str = "whsec_";
/// An identifier that is longer than this (bytes) is none.
const LONGEST_ID: usize = 256;

/// The bytes of a secret. It never prints itself.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(zeroize::Zeroizing<Vec<u8>>);

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret(redacted)")
    }
}

impl SigningSecret {
    /// From the text of Standard Webhooks: base64 of 24 to 64 bytes, `whsec_` before it or not. The error does not quote it.
    pub fn standard(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let code = text.strip_prefix(SECRET_PREFIX).unwrap_or(text);
        let bytes = STANDARD.decode(code).or_else(|_| STANDARD_NO_PAD.decode(code)).map_err(|_| "expected whsec_ and base64, found another text")?;
        if !(24..=64).contains(&bytes.len()) {
            return Err(format!("expected a secret of 24 to 64 bytes (Standard Webhooks), found {}", bytes.len()));
        }
        Ok(Self(bytes.into()))
    }
    /// A text as its own bytes.
    pub fn plain(text: &str) -> Self {
        Self(text.trim().as_bytes().to_vec().into())
    }
    fn mac(&self, parts: &[&[u8]]) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).ok()?;
        parts.iter().for_each(|part| mac.update(part));
        Some(mac)
    }
    fn made(&self, parts: &[&[u8]], signature: &[u8]) -> bool {
        // Compares in constant time.
        self.mac(parts).is_some_and(|mac| mac.verify_slice(signature).is_ok())
    }
}

/// The header `webhook-signature` of a message: `v1,` and base64. `second`: seconds since 1970.
pub fn sign(secret: &SigningSecret, id: &str, second: i64, body: &[u8]) -> String {
    let second = second.to_string();
    let mac = secret.mac(&[id.as_bytes(), b".", second.as_bytes(), b".", body]);
    // An HMAC takes a key of any length: there is no secret without one.
    format!("v1,{}", STANDARD.encode(mac.map(|m| m.finalize().into_bytes().to_vec()).unwrap_or_default()))
}

/// How a provider signs what it posts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks: the headers `webhook-id`, `webhook-timestamp`, `webhook-signature`.
    #[default]
    StandardWebhooks,
    /// HMAC-SHA256 over the body, or over timestamp, a full stop and the body.
    Hmac {
        /// The header that bears the signature.
        header: String,
        /// How it is written.
        encoding: Encoding,
        /// Text before the signature (`sha256=`).
        prefix: String,
        /// The header that bears seconds since 1970; with it the signature is over `timestamp.body`.
        timestamp_header: Option<String>,
        /// The header that names the message, for the replay window; left out: a digest of what is signed names it.
        id_header: Option<String>,
    },
    /// A shared token in a header: for providers who sign nothing.
    Token {
        /// The header (`authorization` has `Bearer ` before the token).
        header: String,
        /// As of `hmac`.
        id_header: Option<String>,
    },
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Two digits a byte.
    #[default]
    Hex,
    /// Base64.
    Base64,
}

/// Why a message is refused. It says nothing of the secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A header is not there.
    #[error("expected the header {0}")]
    Missing(String),
    /// A header cannot be read.
    #[error("the header {0} cannot be read")]
    Unreadable(String),
    /// The timestamp is too far off.
    #[error("the timestamp is more than {} minutes from our clock: send the message anew, and look at the clock", TOLERANCE / MINUTE)]
    OffTime,
    /// No secret of ours made this signature.
    #[error("the signature fits none of the secrets of this route")]
    Wrong,
}

impl Scheme {
    /// A secret of this scheme from its text.
    pub fn secret(&self, text: &str) -> Result<SigningSecret, String> {
        match self {
            Self::StandardWebhooks => SigningSecret::standard(text),
            Self::Hmac { .. } | Self::Token { .. } if text.trim().len() < 16 => Err("expected a secret of at least 16 characters".to_owned()),
            Self::Hmac { .. } | Self::Token { .. } => Ok(SigningSecret::plain(text)),
        }
    }
    /// Checks a message against any of the secrets (several while one is being replaced); gives the name by which a repetition is known.
    pub fn verify(&self, secrets: &[SigningSecret], header: &dyn Fn(&str) -> Option<String>, body: &[u8], now: Timestamp) -> Result<String, Refusal> {
        let need = |name: &str| header(name).filter(|v| !v.trim().is_empty()).ok_or_else(|| Refusal::Missing(name.to_owned()));
        let named = |id_header: &Option<String>, signed: &[&[u8]]| match id_header {
            Some(name) => checked_id(name, need(name)?),
            None => {
                let mut digest = Sha256::new();
                signed.iter().for_each(|part| digest.update(part));
                Ok(hex(&digest.finalize()))
            }
        };
        match self {
            Self::StandardWebhooks => {
                let id = checked_id("webhook-id", need("webhook-id")?)?;
                let stamp = need("webhook-timestamp")?;
                on_time("webhook-timestamp", &stamp, now)?;
                let signed: [&[u8]; 5] = [id.as_bytes(), b".", stamp.trim().as_bytes(), b".", body];
                let given = need("webhook-signature")?;
                let versions = given.split(' ').filter_map(|s| s.strip_prefix("v1,")).filter_map(|code| STANDARD.decode(code).ok());
                any(secrets, &signed, versions).map(|()| id)
            }
            Self::Hmac { header: name, encoding, prefix, timestamp_header, id_header } => {
                let given = need(name)?;
                let code = given.trim().strip_prefix(prefix.as_str()).ok_or_else(|| Refusal::Unreadable(name.clone()))?;
                let signature = match encoding {
                    Encoding::Hex => unhex(code),
                    Encoding::Base64 => STANDARD.decode(code).ok(),
                };
                let signature = signature.ok_or_else(|| Refusal::Unreadable(name.clone()))?;
                let stamp = timestamp_header.as_ref().map(|name| need(name).and_then(|s| on_time(name, &s, now).map(|()| s))).transpose()?;
                let stamp = stamp.unwrap_or_default();
                let signed: [&[u8]; 3] = if timestamp_header.is_some() { [stamp.trim().as_bytes(), b".", body] } else { [b"", b"", body] };
                any(secrets, &signed, std::iter::once(signature))?;
                named(id_header, &signed)
            }
            Self::Token { header: name, id_header } => {
                let given = need(name)?;
                let token = given.trim();
                let token = token.strip_prefix("Bearer ").unwrap_or(token).trim();
                // Both sides through one keyed digest: then the comparison takes the same time whatever was sent.
                let is_known = secrets.iter().any(|secret| {
                    let expected = secret.mac(&[&secret.0]).map(|m| m.finalize().into_bytes().to_vec()).unwrap_or_default();
                    secret.made(&[token.as_bytes()], &expected)
                });
                if is_known { named(id_header, &[body]) } else { Err(Refusal::Wrong) }
            }
        }
    }
}

fn any(secrets: &[SigningSecret], signed: &[&[u8]], mut signatures: impl Iterator<Item = Vec<u8>>) -> Result<(), Refusal> {
    let fits = signatures.any(|signature| secrets.iter().any(|secret| secret.made(signed, &signature)));
    if fits { Ok(()) } else { Err(Refusal::Wrong) }
}

fn checked_id(name: &str, id: String) -> Result<String, Refusal> {
    if id.len() <= LONGEST_ID { Ok(id) } else { Err(Refusal::Unreadable(name.to_owned())) }
}

fn on_time(name: &str, stamp: &str, now: Timestamp) -> Result<(), Refusal> {
    let second: i64 = stamp.trim().parse().map_err(|_| Refusal::Unreadable(name.to_owned()))?;
    let off = now.since(Timestamp(second.saturating_mul(1000)));
    if (-TOLERANCE..=TOLERANCE).contains(&off) { Ok(()) } else { Err(Refusal::OffTime) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The vector of the Standard Webhooks libraries (secret, id, second, body, signature).
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SECOND: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn headers<'a>(all: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        move |name| all.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| (*v).to_owned())
    }

    fn standard(secrets: &[&str], id: &str, stamp: &str, signature: &str, now: i64) -> Result<String, Refusal> {
        let secrets: Vec<_> = secrets.iter().map(|s| SigningSecret::standard(s).unwrap()).collect();
        let all = [("webhook-id", id), ("webhook-timestamp", stamp), ("webhook-signature", signature)];
        Scheme::StandardWebhooks.verify(&secrets, &headers(&all), BODY, Timestamp(now * 1000))
    }

    #[test]
    fn the_published_vector_holds_both_ways() {
        assert_eq!(sign(&SigningSecret::standard(SECRET).unwrap(), ID, SECOND, BODY), SIGNATURE);
        assert_eq!(standard(&[SECRET], ID, "1614265330", SIGNATURE, SECOND), Ok(ID.to_owned()));
    }

    #[test]
    fn a_standard_message_is_refused_for_what_it_is() {
        let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        for (what, result, expected) in [
            ("old", standard(&[SECRET], ID, "1614265330", SIGNATURE, SECOND + 301), Err(Refusal::OffTime)),
            ("just in time", standard(&[SECRET], ID, "1614265330", SIGNATURE, SECOND + 300), Ok(ID.to_owned())),
            ("of the future", standard(&[SECRET], ID, "1614265330", SIGNATURE, SECOND - 301), Err(Refusal::OffTime)),
            ("another secret", standard(&[other], ID, "1614265330", SIGNATURE, SECOND), Err(Refusal::Wrong)),
            ("a rotated secret", standard(&[other, SECRET], ID, "1614265330", SIGNATURE, SECOND), Ok(ID.to_owned())),
            ("signed by two", standard(&[SECRET], ID, "1614265330", &format!("v1,AAAA v1a,xx {SIGNATURE}"), SECOND), Ok(ID.to_owned())),
            ("another id", standard(&[SECRET], "msg_2", "1614265330", SIGNATURE, SECOND), Err(Refusal::Wrong)),
            ("no version", standard(&[SECRET], ID, "1614265330", SIGNATURE.trim_start_matches("v1,"), SECOND), Err(Refusal::Wrong)),
            ("no second", standard(&[SECRET], ID, "now", SIGNATURE, SECOND), Err(Refusal::Unreadable("webhook-timestamp".into()))),
            ("no id", standard(&[SECRET], "", "1614265330", SIGNATURE, SECOND), Err(Refusal::Missing("webhook-id".into()))),
        ] {
            assert_eq!(result, expected, "{what}");
        }
        assert!(SigningSecret::standard("whsec_AAAA").is_err() && SigningSecret::standard("no base64!").is_err());
        assert!(!format!("{:?}", SigningSecret::standard(SECRET).unwrap()).contains("Mf"));
    }

    #[test]
    fn providers_own_schemes() {
        // HMAC-SHA256 by OpenSSL: printf '%s' '{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let secrets = [SigningSecret::plain("0123456789abcdef")];
        let hmac = |timestamp: Option<&str>, id: Option<&str>, encoding| Scheme::Hmac {
            header: "X-Sign".into(),
            encoding,
            prefix: "sha256=".into(),
            timestamp_header: timestamp.map(Into::into),
            id_header: id.map(Into::into),
        };
        let (body, now) = (br#"{"a":1}"#, Timestamp(1_700_000_000_000));
        let code = hex(&secrets[0].mac(&[body]).unwrap().finalize().into_bytes());
        assert_eq!(code, "1c76fbb930d3aa8b1633728fae212c68ca68a6752bb319b98be6fe17e86cf5b8");
        let signed = format!("sha256={code}");
        let first = hmac(None, None, Encoding::Hex).verify(&secrets, &headers(&[("x-sign", &signed)]), body, now).unwrap();
        assert_eq!(first.len(), 64, "a digest names it");
        assert_eq!(hmac(None, None, Encoding::Hex).verify(&secrets, &headers(&[("x-sign", &signed)]), b"{}", now), Err(Refusal::Wrong));
        assert_eq!(
            hmac(None, None, Encoding::Hex).verify(&secrets, &headers(&[("x-sign", &code)]), body, now),
            Err(Refusal::Unreadable("X-Sign".into())),
            "without the text before it"
        );
        let stamped = STANDARD.encode(secrets[0].mac(&[b"1700000000.", body]).unwrap().finalize().into_bytes());
        let stamped = format!("sha256={stamped}");
        let all = [("x-sign", stamped.as_str()), ("x-time", "1700000000"), ("x-id", "m-1")];
        let scheme = hmac(Some("X-Time"), Some("X-Id"), Encoding::Base64);
        assert_eq!(scheme.verify(&secrets, &headers(&all), body, now), Ok("m-1".into()));
        assert_eq!(scheme.verify(&secrets, &headers(&all), body, now.plus(TOLERANCE + 1)), Err(Refusal::OffTime));
        let token = Scheme::Token { header: "Authorization".into(), id_header: None };
        assert!(token.verify(&secrets, &headers(&[("authorization", "Bearer 0123456789abcdef")]), body, now).is_ok());
        assert_eq!(token.verify(&secrets, &headers(&[("authorization", "Bearer 0123456789abcdeg")]), body, now), Err(Refusal::Wrong));
        assert_eq!(token.verify(&secrets, &headers(&[]), body, now), Err(Refusal::Missing("Authorization".into())));
        assert!(token.secret("short").is_err());
    }
}
