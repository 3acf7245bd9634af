//! Signatures against the PyPI package `standardwebhooks` (see `.ci/setup`), both ways.
use super::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use touchline::clock::SystemClock;
use touchline::domain::signature::{Refusal, Scheme};

struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/standardwebhooks_peer.py");
        let mut child = Command::new("python3").arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, to, from }
    }
    fn ask(&mut self, wanted: &Value) -> String {
        writeln!(self.to, "{wanted}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the peer has ended: standardwebhooks is not installed? run .ci/setup");
        line.trim().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_we_sign_it_verifies_and_what_it_signs_we_verify() {
    let mut peer = Peer::start();
    let now = SystemClock.now();
    let second = now.0.div_euclid(1000);
    let made = touchline::app::webhooks::new_secret().unwrap_or_else(|f| panic!("{}", f.text));
    for secret in [SECRET, NEXT_SECRET, &made] {
        for body in ["{}", r#"{"customer":"c00001","说":"退订"}"#, "[1,2,3]"] {
            let ours = SigningSecret::standard(secret).unwrap();
            let signature = sign(&ours, "evt_1", second, body.as_bytes());
            let headers = |id: &str, second: i64, signature: &str| json!({"webhook-id": id, "webhook-timestamp": second.to_string(), "webhook-signature": signature});
            let verify = |headers: Value, body: &str| json!({"do": "verify", "secret": secret, "headers": headers, "body": body});
            assert_eq!(peer.ask(&verify(headers("evt_1", second, &signature), body)), "ok");
            assert_eq!(peer.ask(&verify(headers("evt_2", second, &signature), body)), "No matching signature found");
            assert_eq!(peer.ask(&verify(headers("evt_1", second, &signature), &format!("{body} "))), "No matching signature found");
            let old = second - 400;
            assert_eq!(peer.ask(&verify(headers("evt_1", old, &sign(&ours, "evt_1", old, body.as_bytes())), body)), "Message timestamp too old");

            let theirs = peer.ask(&json!({"do": "sign", "secret": secret, "id": "msg_1", "second": second, "body": body}));
            let check = |id: &str, signature: &str, body: &str| {
                let all = headers(id, second, signature);
                let header = |name: &str| all[name].as_str().map(str::to_owned);
                Scheme::StandardWebhooks.verify(std::slice::from_ref(&ours), &header, body.as_bytes(), now)
            };
            assert_eq!(check("msg_1", &theirs, body), Ok("msg_1".to_owned()));
            assert_eq!(check("msg_1", &format!("v1,AAAA {theirs}"), body), Ok("msg_1".to_owned()), "one of several");
            assert_eq!(check("msg_2", &theirs, body), Err(Refusal::Wrong));
            assert_eq!(check("msg_1", &theirs, &format!("{body} ")), Err(Refusal::Wrong));
        }
    }
}
