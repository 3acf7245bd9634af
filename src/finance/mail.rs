//! Mailing an export by SMTP: the manifest, and the data files up to a size. Subject and body speak of the export alone and
//! carry no personal data; the data files do (the bank's references of its customers), so TLS is the default.
use super::FinanceError;
use super::export::ExportReport;
use super::manifest::{FILE, Manifest, folder_name};
use crate::domain::time::Timestamp;
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailboxes, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// How the connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Not at all: only for a relay on this machine or in its own network. No password is sent over it.
    None,
    /// Plain at first, then TLS or nothing (port 587).
    #[default]
    Starttls,
    /// TLS from the first byte (port 465).
    Tls,
}

/// A password that does not print itself.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(redacted)")
    }
}

/// The mail server and what is sent by it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// The server's name; with TLS, the name in its certificate.
    pub host: String,
    /// Its port; `None`: 25, 587 or 465 by `tls`.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: MailTls,
    /// PEM file of the bank's own certificate authority, trusted beside the public ones.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Login, if the server asks for one.
    #[serde(default)]
    pub username: Option<String>,
    /// Its password.
    #[serde(default)]
    pub password: Option<Password>,
    /// The sender's address.
    pub from: String,
    /// Seconds that each answer of the server may take.
    #[serde(default = "default_timeout")]
    pub timeout_s: u64,
    /// Data files are attached while they have no more bytes than this together; else the mail names the export's folder.
    #[serde(default = "default_limit")]
    pub attach_limit_bytes: u64,
}

fn default_timeout() -> u64 {
    30
}
/// Ten MiB are 14 MB in base64, which servers commonly take.
fn default_limit() -> u64 {
    10 << 20
}

/// What was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mailed {
    /// The mail's own id: the same for the same export and sender, so that a mail sent twice is seen to be one.
    pub message_id: String,
    /// Files attached.
    pub attached: Vec<String>,
    /// Data files left out for their size.
    pub left_out: Vec<String>,
}

/// Mails an export to finance. `at` is the mail's date.
pub async fn mail(config: &MailConfig, to: &str, report: &ExportReport, at: Timestamp) -> Result<Mailed, FinanceError> {
    let manifest = &report.manifest;
    // Addresses are people's: an error says which setting is wrong, not what stands there.
    let from: Address = config.from.parse().map_err(|_| fault("mail.from: expected an address such as touchline@bank.example"))?;
    let recipients: Mailboxes = to.parse().map_err(|_| fault("finance.mail: expected an address such as finance@bank.example"))?;
    let message_id =
        format!("<touchline-export-{}-{}@{}>", folder_name(manifest.number), report.manifest_sha256.get(..16).unwrap_or_default(), from.domain());
    let fits = manifest.files.iter().map(|f| f.bytes).sum::<u64>() <= config.attach_limit_bytes;
    let mut mailed = Mailed { message_id: message_id.clone(), attached: vec![FILE.to_owned()], left_out: Vec::new() };
    let names = manifest.files.iter().map(|f| f.name.clone());
    if fits {
        mailed.attached.extend(names)
    } else {
        mailed.left_out.extend(names)
    }

    let mut parts = MultiPart::mixed().singlepart(SinglePart::plain(body(manifest, &report.manifest_sha256, &mailed)));
    for name in &mailed.attached {
        let path = report.folder.join(name);
        let bytes = tokio::fs::read(&path).await.map_err(|e| FinanceError::io("reading", &path, e))?;
        let kind = match name.rsplit('.').next() {
            Some("json") => "application/json",
            Some("csv") => "text/csv; charset=utf-8",
            Some("jsonl") => "application/x-ndjson",
            _ => "application/vnd.apache.parquet",
        };
        let kind = ContentType::parse(kind).map_err(|e| fault(format!("the type of {name}: {e}")))?;
        // Attachments of different exports must not overwrite each other in a folder of downloads.
        parts = parts.singlepart(Attachment::new(format!("{}-{name}", folder_name(manifest.number))).body(bytes, kind));
    }
    let date = u64::try_from(at.0).map_or(SystemTime::UNIX_EPOCH, |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms));
    let mut builder = Message::builder().from(from.into()).date(date).message_id(Some(message_id)).subject(subject(manifest));
    for recipient in recipients {
        builder = builder.to(recipient);
    }
    let message = builder.multipart(parts).map_err(|e| fault(format!("the mail could not be written: {e}")))?;
    transport(config)?.send(message).await.map_err(|e| explain(config, to, &e))?;
    Ok(mailed)
}

fn fault(text: impl Into<String>) -> FinanceError {
    FinanceError::Mail(text.into())
}

fn transport(config: &MailConfig) -> Result<AsyncSmtpTransport<Tokio1Executor>, FinanceError> {
    let tls = || -> Result<TlsParameters, FinanceError> {
        let mut parameters = TlsParameters::builder(config.host.clone());
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path).map_err(|e| FinanceError::io("reading", path, e))?;
            let certificate = Certificate::from_pem(&pem).map_err(|_| fault("mail.ca_file: expected a certificate in PEM"))?;
            parameters = parameters.add_root_certificate(certificate);
        }
        parameters.build().map_err(|e| fault(format!("mail: TLS cannot be set up: {e}")))
    };
    let (tls, port) = match config.tls {
        MailTls::None => (Tls::None, 25),
        MailTls::Starttls => (Tls::Required(tls()?), 587),
        MailTls::Tls => (Tls::Wrapper(tls()?), 465),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(config.host.clone())
        .port(config.port.unwrap_or(port))
        .tls(tls)
        .timeout(Some(Duration::from_secs(config.timeout_s)));
    if let (Some(user), Some(password)) = (&config.username, &config.password) {
        if config.tls == MailTls::None {
            return Err(fault("mail.password would be sent in the open: set mail.tls to starttls or tls, or leave the password out"));
        }
        builder = builder.credentials(Credentials::new(user.clone(), password.0.clone()));
    }
    Ok(builder.build())
}

/// What went wrong and what to do; addresses that the server repeats are taken out.
fn explain(config: &MailConfig, to: &str, error: &lettre::transport::smtp::Error) -> FinanceError {
    use std::error::Error;
    let mut said = error.to_string();
    if let Some(source) = error.source()
        && !said.contains(&source.to_string())
    {
        said = format!("{said}: {source}");
    }
    let said = std::iter::once(config.from.as_str())
        .chain(to.split([',', ' ', '<', '>']))
        .filter(|a| a.contains('@'))
        .fold(said, |text, address| text.replace(address, "(address)"));
    let said = said.replace("Connection error: Connection error: ", "Connection error: ");
    let port = config.port.map_or_else(|| "its usual port".to_owned(), |p| format!("port {p}"));
    let advice = match () {
        () if error.is_permanent() => "the server refused it for good: check mail.from, finance.mail and the login",
        () if error.is_transient() => "the server asks to try later: send it again with the same export",
        () if error.is_timeout() => "the server did not answer in time: check mail.host and mail.timeout_s",
        // A failed handshake comes as a broken connection.
        () if error.is_tls() || said.contains("certificate") => {
            "check mail.tls, mail.ca_file and that mail.host is the name in the server's certificate"
        }
        () => "check mail.host, mail.port and mail.tls",
    };
    fault(format!("the mail was not sent by {} on {port}: {said}. The export itself stands; {advice}", config.host))
}

fn subject(manifest: &Manifest) -> String {
    let kind = if manifest.rehearsal { "[REHEARSAL] " } else { "" };
    let what = if manifest.corrects.is_some() { "correction of " } else { "" };
    format!(
        "{kind}Touchline export {}: {what}{} of {} version {}",
        folder_name(manifest.number),
        manifest.what.name(),
        manifest.campaign,
        manifest.version
    )
}

fn body(manifest: &Manifest, sha256: &str, mailed: &Mailed) -> String {
    let mut lines = vec![
        format!("Export {} of campaign {} version {}: {}.", folder_name(manifest.number), manifest.campaign, manifest.version, manifest.what.name()),
        format!("As of {}. Campaign {}. Audience {}.", manifest.as_of, manifest.status, manifest.audience),
    ];
    if manifest.rehearsal {
        lines.push("This is a REHEARSAL: nobody was contacted, and its figures must not be booked.".into());
    }
    if let Some(number) = manifest.corrects {
        lines.push(format!("It corrects export {}: add its rows to that export's; reversals are negative.", folder_name(number)));
    }
    lines.push(String::new());
    lines.push(format!("Rows               {}", manifest.totals.rows));
    lines.push(format!("Attempts           {}", manifest.totals.attempts));
    lines.push(format!("Connected seconds  {}", manifest.totals.connected_s));
    for (currency, sums) in &manifest.totals.sums {
        lines.push(format!("Cost               {} {currency}", sums.cost));
        if manifest.what == super::What::Conversions {
            lines.push(format!("Amount credited    {} {currency}", sums.credited));
            lines.push(format!("Amount of holdout  {} {currency}", sums.holdout));
        }
    }
    lines.extend(manifest.totals.counts.iter().filter(|(_, n)| **n != 0).map(|(state, n)| format!("  {state:<16} {n}")));
    lines.push(String::new());
    if !mailed.left_out.is_empty() {
        let (files, folder) = (mailed.left_out.join(", "), folder_name(manifest.number));
        lines.push(format!("Too large to attach: {files}. See folder {folder} where exports are kept."));
    }
    lines.extend(manifest.files.iter().map(|f| format!("{}: {} bytes, SHA-256 {}", f.name, f.bytes, f.sha256)));
    lines.push(format!("{FILE}: SHA-256 {sha256}"));
    if let Some(previous) = &manifest.previous {
        lines.push(format!("Export before it: {}, manifest SHA-256 {}", folder_name(previous.number), previous.manifest_sha256));
    }
    lines.push("Check them with `touchline verify FOLDER`.".into());
    lines.join("\r\n") + "\r\n"
}
