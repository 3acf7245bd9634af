//! A JWT: taken apart, and its signature checked by ring. Only signatures of a private key count: `none` is no algorithm here, and
//! secrets shared with the provider (HS256 ...) are not known, so that a public key can never be taken for one.
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, Header};
use ring::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::{Map, Value};

/// Longest JWT that is looked at, in bytes.
const LONGEST: usize = 16 * 1024;

/// A JWT whose signature is not checked yet.
pub(super) struct Jwt<'a> {
    header: Header,
    signed: &'a str,
    claims: &'a str,
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Takes a text apart.
    pub(super) fn read(text: &'a str) -> Result<Self, &'static str> {
        if text.len() > LONGEST {
            return Err("it is too long");
        }
        let (signed, signature) = text.rsplit_once('.').ok_or("it has no three parts")?;
        let (head, claims) = signed.split_once('.').filter(|(_, claims)| !claims.contains('.')).ok_or("it has no three parts")?;
        let raw: Map<String, Value> = decode(head)?;
        // RFC 7515, 4.1.11: whoever does not know what `crit` names must refuse.
        if raw.contains_key("crit") {
            return Err("its header asks for extensions that are not known");
        }
        let typ = raw.get("typ").map(|t| t.as_str().unwrap_or("?").to_ascii_lowercase());
        if typ.is_some_and(|typ| !matches!(typ.trim_start_matches("application/"), "jwt" | "at+jwt")) {
            return Err("it is a token of another kind");
        }
        let header: Header = serde_json::from_value(Value::Object(raw)).map_err(|_| "its algorithm is not known")?;
        if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return Err("its algorithm is one of a shared secret");
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "its signature is not base64url")?;
        Ok(Self { header, signed, claims, signature })
    }

    /// The key that it names. (A key that it carries with it, or an address of one, is never looked at.)
    pub(super) fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// How it says that it is signed.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.header.alg
    }

    /// Its claims, once its signature has been checked with a key of the provider's.
    pub(super) fn verified(&self, key: &Jwk) -> Result<Map<String, Value>, &'static str> {
        if !fits(key, self.header.alg) {
            return Err("its algorithm is not that of the key");
        }
        let message = self.signed.as_bytes();
        let checked = match &key.algorithm {
            AlgorithmParameters::RSA(rsa) => {
                let (n, e) = (decode_bytes(&rsa.n)?, decode_bytes(&rsa.e)?);
                let parameters = rsa_parameters(self.header.alg).ok_or("its algorithm is not that of the key")?;
                RsaPublicKeyComponents { n: without_zeros(&n), e: without_zeros(&e) }.verify(parameters, message, &self.signature)
            }
            AlgorithmParameters::EllipticCurve(ec) => {
                let mut point = vec![4];
                point.extend(decode_bytes(&ec.x)?);
                point.extend(decode_bytes(&ec.y)?);
                let algorithm = match self.header.alg {
                    Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
                    _ => &signature::ECDSA_P384_SHA384_FIXED,
                };
                UnparsedPublicKey::new(algorithm, point).verify(message, &self.signature)
            }
            AlgorithmParameters::OctetKeyPair(ed) => {
                UnparsedPublicKey::new(&signature::ED25519, decode_bytes(&ed.x)?).verify(message, &self.signature)
            }
            // Shared secrets, and kinds that are not known.
            _ => return Err("its key is of no known kind"),
        };
        checked.map_err(|_| "its signature is not of that key")?;
        decode(self.claims)
    }
}

/// Whether a key may check signatures of an algorithm.
pub(super) fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let kind = match &key.algorithm {
        AlgorithmParameters::RSA(_) => rsa_parameters(algorithm).is_some(),
        AlgorithmParameters::EllipticCurve(ec) => match algorithm {
            Algorithm::ES256 => ec.curve == EllipticCurve::P256,
            Algorithm::ES384 => ec.curve == EllipticCurve::P384,
            _ => false,
        },
        AlgorithmParameters::OctetKeyPair(ed) => algorithm == Algorithm::EdDSA && ed.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let signs = !matches!(&key.common.public_key_use, Some(other) if *other != PublicKeyUse::Signature);
    let bound = key.common.key_algorithm.is_none_or(|bound| bound.to_string().parse() == Ok(algorithm));
    kind && signs && bound
}

/// RSA of 2,048 bits at least.
fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// Some providers write a leading zero before the modulus, which ring does not take.
fn without_zeros(number: &[u8]) -> &[u8] {
    number.iter().position(|b| *b != 0).and_then(|at| number.get(at..)).unwrap_or(number)
}

fn decode_bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| "its key cannot be read")
}

fn decode(part: &str) -> Result<Map<String, Value>, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| "a part of it is not base64url")?;
    serde_json::from_slice(&bytes).map_err(|_| "a part of it is not a JSON object")
}
