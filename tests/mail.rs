//! Mailing exports to a real SMTP server that nobody here wrote: `aiosmtpd` (see `.ci/setup`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]
#[path = "support/finance.rs"]
mod support;

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::*;
use touchline::clock::sleep_ms;
use touchline::domain::campaign::{Credit, ExportFormat};
use touchline::finance::mail::Password;
use touchline::finance::{ExportReport, ExportRequest, MailConfig, MailTls, What, export, mail};

/// The server; it ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn serve(mailbox: &Path, options: &[&str]) -> Server {
    let known = Command::new("python3").args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
    assert!(known.is_ok_and(|s| s.success()), "aiosmtpd is not installed: run .ci/setup");
    let port = free_port();
    let child = Command::new("python3")
        .args(["-m", "aiosmtpd", "-n", "-l", &format!("127.0.0.1:{port}")])
        .args(options)
        .args(["-c", "aiosmtpd.handlers.Mailbox"])
        .arg(mailbox)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child, port };
    // Python starts within a second; a loaded machine gets thirty.
    for _ in 0..300 {
        if TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_millis(100)).is_ok() {
            return server;
        }
        sleep_ms(100).await;
    }
    panic!("aiosmtpd did not open port {port} within 30 seconds");
}

fn config(port: u16) -> MailConfig {
    MailConfig {
        host: "localhost".into(),
        port: Some(port),
        tls: MailTls::None,
        ca_file: None,
        username: None,
        password: None,
        from: "touchline@bank.example".into(),
        timeout_s: 10,
        attach_limit_bytes: 1 << 20,
    }
}

async fn exported(out: &Path) -> (Bank, ExportReport) {
    let mut bank = Bank::open(On::Memory, 5, campaign("autumn", 0, Credit::LastReached)).await;
    bank.play(4, &|_, _| Act::Reach(30)).await;
    let request = ExportRequest {
        run: bank.run,
        campaign: &bank.campaign,
        what: What::Results,
        format: ExportFormat::Csv,
        out: out.to_owned(),
        as_of: bank.now(),
    };
    let report = export(bank.store(), request).await.unwrap();
    (bank, report)
}

/// The one mail in a Maildir, read by Python's mail parser: headers, then parts as (file name, text).
fn received(mailbox: &Path) -> serde_json::Value {
    const READ: &str = r#"
import email, email.policy, json, os, sys
names = os.listdir(os.path.join(sys.argv[1], "new"))
assert len(names) == 1, names
with open(os.path.join(sys.argv[1], "new", names[0]), "rb") as f:
    m = email.message_from_binary_file(f, policy=email.policy.default)
parts = [[p.get_filename(), p.get_content() if isinstance(p.get_content(), str) else p.get_content().decode()] for p in m.iter_parts()]
print(json.dumps({"headers": {k.lower(): v for k, v in m.items()}, "parts": parts}))
"#;
    let out = Command::new("python3").args(["-c", READ]).arg(mailbox).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[tokio::test]
async fn an_export_arrives_with_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let (bank, report) = exported(&dir.path().join("exports")).await;
    let mailbox = dir.path().join("mail");
    let server = serve(&mailbox, &[]).await;
    let sent = mail(&config(server.port), "finance@bank.example, Audit <audit@bank.example>", &report, bank.now()).await.unwrap();
    assert_eq!(sent.attached, ["manifest.json", "results.csv"]);
    let got = received(&mailbox);
    let headers = &got["headers"];
    assert_eq!(headers["subject"], "Touchline export 000001: results of autumn version 1");
    assert_eq!(headers["message-id"].as_str().unwrap(), sent.message_id);
    assert!(sent.message_id.starts_with("<touchline-export-000001-") && sent.message_id.ends_with("@bank.example>"));
    assert_eq!(headers["date"], "Tue, 24 Nov 2026 02:00:00 +0000");
    assert!(headers["to"].as_str().unwrap().contains("audit@bank.example"));
    let body = got["parts"][0][1].as_str().unwrap();
    for line in ["Rows               5", "Attempts           4", "Connected seconds  120", "Cost               0.18 CNY", "reached          4"] {
        assert!(body.contains(line), "{line} is not in {body}");
    }
    for n in 1..=5 {
        assert!(!body.contains(&reference(n)), "no customer is named in a body");
    }
    assert_eq!(got["parts"][1][0], "000001-manifest.json");
    assert_eq!(got["parts"][2][0], "000001-results.csv");
    for (part, file) in [(1, "manifest.json"), (2, "results.csv")] {
        // Python's parser gives text parts with \n line ends.
        let file = std::fs::read_to_string(report.folder.join(file)).unwrap();
        assert_eq!(got["parts"][part][1].as_str().unwrap().replace("\r\n", "\n"), file);
    }
}

#[tokio::test]
async fn what_is_too_large_is_named_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let (bank, report) = exported(&dir.path().join("exports")).await;
    let mailbox = dir.path().join("mail");
    let server = serve(&mailbox, &[]).await;
    let small = MailConfig { attach_limit_bytes: 100, ..config(server.port) };
    let sent = mail(&small, "finance@bank.example", &report, bank.now()).await.unwrap();
    assert_eq!(
        (sent.attached.as_slice(), sent.left_out.as_slice()),
        (["manifest.json".to_owned()].as_slice(), ["results.csv".to_owned()].as_slice())
    );
    let got = received(&mailbox);
    assert_eq!(got["parts"].as_array().unwrap().len(), 2);
    assert!(got["parts"][0][1].as_str().unwrap().contains("Too large to attach: results.csv. See folder 000001"));
}

#[tokio::test]
async fn starttls_with_the_banks_own_authority() {
    let dir = tempfile::tempdir().unwrap();
    let (bank, report) = exported(&dir.path().join("exports")).await;
    let (key, certificate, mailbox) = (dir.path().join("key.pem"), dir.path().join("cert.pem"), dir.path().join("mail"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status();
    assert!(made.is_ok_and(|s| s.success()), "openssl is needed to make a certificate for this test");
    let server = serve(&mailbox, &["--tlscert", certificate.to_str().unwrap(), "--tlskey", key.to_str().unwrap()]).await;
    // The server insists on TLS.
    let error = mail(&config(server.port), "finance@bank.example", &report, bank.now()).await.unwrap_err().to_string();
    assert!(error.contains("STARTTLS") && error.contains("The export itself stands"), "{error}");
    // A certificate that nobody vouches for is refused.
    let unknown = MailConfig { tls: MailTls::Starttls, ..config(server.port) };
    let error = mail(&unknown, "finance@bank.example", &report, bank.now()).await.unwrap_err().to_string();
    assert!(error.contains("mail.ca_file"), "{error}");
    let known = MailConfig { ca_file: Some(certificate), ..unknown };
    mail(&known, "finance@bank.example", &report, bank.now()).await.unwrap();
    assert_eq!(received(&mailbox)["headers"]["from"], "touchline@bank.example");
}

#[tokio::test]
async fn errors_say_what_to_do_and_name_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (bank, report) = exported(&dir.path().join("exports")).await;
    let failed = async |config: MailConfig, to: &str| mail(&config, to, &report, bank.now()).await.unwrap_err().to_string();
    let nobody = config(free_port());
    let error = failed(nobody.clone(), "finance@bank.example").await;
    assert!(error.contains("localhost") && error.contains("check mail.host, mail.port"), "{error}");
    let error = failed(nobody.clone(), "j.doe(at)bank.example").await;
    assert!(error.contains("finance.mail: expected an address") && !error.contains("doe"), "{error}");
    let open = MailConfig { username: Some("u".into()), password: Some(Password("secret-word".into())), ..nobody.clone() };
    assert!(!format!("{open:?}").contains("secret-word"));
    let error = failed(open, "finance@bank.example").await;
    assert!(error.contains("in the open") && !error.contains("secret-word"), "{error}");
    // Too large for the server: it says so for good, and its text is passed on without the address.
    let server = serve(&dir.path().join("mail"), &["-s", "2000"]).await;
    let error = failed(config(server.port), "finance@bank.example").await;
    assert!(error.contains("552") && error.contains("refused it for good") && !error.contains("finance@bank.example"), "{error}");
}
