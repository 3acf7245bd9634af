//! The bank's identity provider: whom its tokens let in, what is forged, how its keys change, and what happens while it is down.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, OnceLock};
use touchline::app::oidc::{Oidc, Unknown};
use touchline::config::OidcConfig;
use touchline::domain::access::{Actor, Role, Roles};
use touchline::domain::time::{MINUTE, SECOND, Timestamp};

const NOW: Timestamp = Timestamp(1_795_478_400_000);

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An RSA key of openssl's, which ring cannot make itself.
fn rsa_key() -> Vec<u8> {
    let made = std::process::Command::new("openssl")
        .args(["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        .output()
        .unwrap_or_else(|e| panic!("openssl is needed for this test (the setup script installs it): {e}"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // PKCS#8 in PEM.
    let text: String = String::from_utf8(made.stdout).unwrap().lines().filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

type Signs = Box<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// A key of the provider's, with what signs and what it publishes.
struct Key {
    alg: &'static str,
    kid: String,
    public: Value,
    sign: Signs,
}

fn rsa(alg: &'static str, kid: &str, der: &[u8]) -> Key {
    let key = RsaKeyPair::from_pkcs8(der).unwrap();
    let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
    let public = json!({"kty": "RSA", "kid": kid, "use": "sig", "n": b64(public.n), "e": b64(public.e)});
    let sign = move |message: &[u8]| {
        let mut signature = vec![0; key.public().modulus_len()];
        let padding: &dyn signature::RsaEncoding = if alg == "PS256" { &signature::RSA_PSS_SHA256 } else { &signature::RSA_PKCS1_SHA256 };
        key.sign(padding, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    };
    Key { alg, kid: kid.into(), public, sign: Box::new(sign) }
}

fn ec(kid: &str) -> Key {
    let rng = SystemRandom::new();
    let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    let der = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &rng).unwrap();
    let point = key.public_key().as_ref().to_vec();
    let public = json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256", "x": b64(&point[1..33]), "y": b64(&point[33..])});
    Key { alg: "ES256", kid: kid.into(), public, sign: Box::new(move |m| key.sign(&SystemRandom::new(), m).unwrap().as_ref().to_vec()) }
}

fn ed(kid: &str) -> Key {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let key = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
    let public = json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(key.public_key().as_ref())});
    Key { alg: "EdDSA", kid: kid.into(), public, sign: Box::new(move |m| key.sign(m).as_ref().to_vec()) }
}

impl Key {
    fn jwt(&self, claims: &Value) -> String {
        self.jwt_with(&json!({"alg": self.alg, "kid": self.kid, "typ": "JWT"}), claims)
    }
    fn jwt_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = (self.sign)(signed.as_bytes());
        format!("{signed}.{}", b64(signature))
    }
}

/// An identity provider on the loopback: its answers can be changed, and its calls are counted.
struct Provider {
    url: String,
    keys: Arc<Mutex<Option<Vec<Value>>>>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Provider {
    fn new(keys: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (keys, calls) = (Arc::new(Mutex::new(Some(keys))), Arc::new(Mutex::new(Vec::new())));
        let (theirs, counted, issuer) = (Arc::clone(&keys), Arc::clone(&calls), url.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
                while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(0) | Err(_) => break,
                        Ok(n) => head.extend_from_slice(&buffer[..n]),
                    }
                }
                let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
                counted.lock().unwrap().push(path.clone());
                let body = match (&*theirs.lock().unwrap(), path.as_str()) {
                    (None, _) => None,
                    (Some(_), "/.well-known/openid-configuration") => Some(json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")})),
                    (Some(keys), "/keys") => Some(json!({"keys": keys})),
                    _ => None,
                };
                let answer = match body.map(|b| b.to_string()) {
                    Some(body) => format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()),
                    None => "HTTP/1.1 503 Down\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
                };
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, keys, calls }
    }
    fn publish(&self, keys: Option<Vec<Value>>) {
        *self.keys.lock().unwrap() = keys;
    }
    fn fetches(&self) -> usize {
        self.calls.lock().unwrap().iter().filter(|p| *p == "/keys").count()
    }
    fn oidc(&self) -> Oidc {
        Oidc::new(&OidcConfig { issuer: Some(self.url.clone()), ..OidcConfig::default() }).unwrap_or_else(|f| panic!("{}", f.text)).unwrap()
    }
    fn claims(&self) -> Value {
        let s = NOW.0 / 1_000;
        json!({"iss": self.url, "aud": "touchline", "sub": "4711", "exp": s + 300, "nbf": s - 10, "iat": s - 10,
            "preferred_username": "rita", "roles": ["rm", "offline_access"], "branch": "west", "rm": "rm-7"})
    }
}

fn shared_rsa() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(rsa_key)
}

#[tokio::test]
async fn tokens_of_every_algorithm_let_in_whom_they_name() {
    let keys = [rsa("RS256", "r", shared_rsa()), rsa("PS256", "p", shared_rsa()), ec("e"), ed("d")];
    // A kind of key that nobody knows takes none of the others along.
    let mut published: Vec<Value> = keys.iter().map(|k| k.public.clone()).collect();
    published.push(json!({"kty": "LATTICE", "kid": "future", "x": "AA"}));
    published.push(json!("rubbish"));
    let provider = Provider::new(published);
    let oidc = provider.oidc();
    let rita = Actor { name: "rita".into(), roles: Roles::of(&[Role::Rm]), branch: Some("west".into()), rm: Some("rm-7".into()), token: None };
    for key in &keys {
        assert_eq!(oidc.admit(&key.jwt(&provider.claims()), NOW).await, Ok(rita.clone()), "{}", key.alg);
    }
    let many = json!({"aud": ["account", "touchline"]});
    let mut claims = provider.claims();
    claims.as_object_mut().unwrap().extend(many.as_object().unwrap().clone());
    assert_eq!(oidc.admit(&keys[2].jwt(&claims), NOW).await, Ok(rita));
    assert_eq!(*provider.calls.lock().unwrap(), ["/.well-known/openid-configuration", "/keys"], "found by discovery, fetched once");
}

#[tokio::test]
async fn forged_expired_and_foreign_tokens_let_nobody_in() {
    let (rsa_key, ec_key, stranger) = (rsa("RS256", "r", shared_rsa()), ec("e"), ec("e"));
    let provider = Provider::new(vec![rsa_key.public.clone(), ec_key.public.clone()]);
    let oidc = provider.oidc();
    let claims = provider.claims();
    assert!(oidc.admit(&ec_key.jwt(&claims), NOW).await.is_ok());
    let with = |change: Value| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        ec_key.jwt(&claims)
    };
    let s = NOW.0 / 1_000;
    let good = ec_key.jwt(&claims);
    let (head, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    // HS256 with the public key, which everybody has, as the secret.
    let hs = {
        let signed = format!("{}.{payload}", b64(json!({"alg": "HS256", "kid": "r"}).to_string()));
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, rsa_key.public["n"].as_str().unwrap().as_bytes());
        format!("{signed}.{}", b64(ring::hmac::sign(&secret, signed.as_bytes())))
    };
    let admin = b64(claims.to_string().replace("\"rm\",", "\"admin\","));
    let cases = [
        ("wrong key of the right name", stranger.jwt(&claims)),
        ("expired", with(json!({"exp": s - 61}))),
        ("not valid yet", with(json!({"nbf": s + 61}))),
        ("without an end", with(json!({"exp": null}))),
        ("another issuer", with(json!({"iss": "https://evil.example"}))),
        ("issuer with a slash more", with(json!({"iss": format!("{}/", provider.url)}))),
        ("another audience", with(json!({"aud": "account"}))),
        ("no name", with(json!({"preferred_username": ""}))),
        ("an RM bound to nothing", with(json!({"branch": null, "rm": null}))),
        ("alg none", format!("{}.{payload}.", b64(r#"{"alg":"none"}"#))),
        ("alg None with a signature", format!("{}.{payload}.{signature}", b64(r#"{"alg":"None","kid":"e"}"#))),
        ("HS256 with the public key", hs),
        ("other claims under the signature", format!("{head}.{admin}.{signature}")),
        ("no signature", format!("{head}.{payload}.")),
        ("half a signature", format!("{head}.{payload}.{}", &signature[..40])),
        ("another algorithm for the key", ec_key.jwt_with(&json!({"alg": "ES384", "kid": "e"}), &claims)),
        ("the key of another kind", ec_key.jwt_with(&json!({"alg": "ES256", "kid": "r"}), &claims)),
        ("its own key in the head", stranger.jwt_with(&json!({"alg": "ES256", "kid": "x", "jwk": stranger.public}), &claims)),
        ("its own address of keys", stranger.jwt_with(&json!({"alg": "ES256", "kid": "x", "jku": "https://evil.example/keys"}), &claims)),
        ("critical extensions", ec_key.jwt_with(&json!({"alg": "ES256", "kid": "e", "crit": ["exp"]}), &claims)),
        ("a token of another kind", ec_key.jwt_with(&json!({"alg": "ES256", "kid": "e", "typ": "logout+jwt"}), &claims)),
        ("a path for a kid", ec_key.jwt_with(&json!({"alg": "ES256", "kid": "../../dev/null"}), &claims)),
        ("rubbish", "a.b.c".to_owned()),
        ("four parts", format!("{good}.x")),
        ("far too long", format!("{head}.{}.{signature}", "A".repeat(100_000))),
    ];
    for (what, jwt) in cases {
        let found = oidc.admit(&jwt, NOW).await;
        assert!(matches!(found, Err(Unknown::Refused(_))), "{what}: {found:?}");
    }
    assert!(oidc.admit(&with(json!({"exp": s - 59, "nbf": s + 59})), NOW).await.is_ok(), "clocks may be a minute apart");
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_shown_and_a_flood_of_unknown_ones_is_not() {
    let (old, new) = (ec("2026"), ec("2027"));
    let provider = Provider::new(vec![old.public.clone()]);
    let oidc = provider.oidc();
    let far = |key: &Key| {
        let mut claims = provider.claims();
        claims["exp"] = json!(NOW.0 / 1_000 + 86_400);
        key.jwt(&claims)
    };
    assert!(oidc.admit(&far(&old), NOW).await.is_ok());
    provider.publish(Some(vec![old.public.clone(), new.public.clone()]));
    assert!(oidc.admit(&far(&new), NOW.plus(2 * SECOND)).await.is_err(), "keys were fetched two seconds ago");
    let later = NOW.plus(MINUTE);
    assert!(oidc.admit(&far(&new), later).await.is_ok(), "a minute later the new key is fetched");
    assert_eq!(provider.fetches(), 2);
    let calls = (0..500).map(|n| {
        let jwt = old.jwt_with(&json!({"alg": "ES256", "kid": format!("made-up-{n}")}), &provider.claims());
        let oidc = &oidc;
        async move { oidc.admit(&jwt, later.plus(SECOND + n)).await }
    });
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_err));
    assert_eq!(provider.fetches(), 2, "within a minute the provider is not asked again");
    provider.publish(Some(vec![new.public.clone()]));
    let at = later.plus(11 * MINUTE);
    assert!(oidc.admit(&far(&old), at).await.is_err(), "a key that was taken back lets nobody in once the keys are old");
    assert!(oidc.admit(&far(&new), at).await.is_ok());
}

#[tokio::test]
async fn while_the_provider_is_down_its_keys_serve_for_a_bounded_time() {
    let key = ec("e");
    let provider = Provider::new(vec![key.public.clone()]);
    let mut claims = provider.claims();
    claims["exp"] = json!(NOW.0 / 1_000 + 86_400);
    let jwt = key.jwt(&claims);
    let oidc = provider.oidc();
    provider.publish(None);
    assert_eq!(oidc.admit(&jwt, NOW).await, Err(Unknown::Unreachable));
    provider.publish(Some(vec![key.public.clone()]));
    assert_eq!(oidc.admit(&jwt, NOW.plus(30 * SECOND)).await, Err(Unknown::Unreachable), "half a minute after a failure it is not asked again");
    let from = NOW.plus(MINUTE);
    assert!(oidc.admit(&jwt, from).await.is_ok());
    provider.publish(None);
    for minutes in [5, 11, 30, 69] {
        assert!(oidc.admit(&jwt, from.plus(minutes * MINUTE)).await.is_ok(), "{minutes} minutes");
    }
    assert_eq!(oidc.admit(&jwt, from.plus(70 * MINUTE)).await, Err(Unknown::Unreachable), "an hour after they were old they serve no more");
}

#[tokio::test]
async fn a_document_of_another_issuer_is_not_believed() {
    let key = ec("e");
    let provider = Provider::new(vec![key.public.clone()]);
    let issuer = format!("{}/", provider.url);
    let oidc = Oidc::new(&OidcConfig { issuer: Some(issuer), ..OidcConfig::default() }).unwrap_or_else(|f| panic!("{}", f.text)).unwrap();
    assert_eq!(oidc.admit(&key.jwt(&provider.claims()), NOW).await, Err(Unknown::Unreachable));
    assert_eq!(provider.fetches(), 0);
}
