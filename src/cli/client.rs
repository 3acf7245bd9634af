//! A daemon, asked over HTTP: what it answers becomes the same types, and what it refuses the same failures, as of a store here.
use crate::api::{Fault, Problem};
use crate::app::{Failure, tls};
use crate::campaign_file::found_elsewhere;
use crate::clock::sleep_ms;
use futures_util::StreamExt;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_RANGE, RANGE, RETRY_AFTER};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// A request is sent so often at most; the first waits between are 0.2, 0.4, 0.8 and 1.6 seconds.
const TRIES: u32 = 5;
/// A daemon that asks for more patience than this (seconds) is not waited for.
const LONGEST_PAUSE_S: u64 = 15;
/// A connection is given up after so long.
const CONNECT: Duration = Duration::from_secs(10);
/// An answer whose next byte takes longer is given up: an export of millions of rows is written before it is answered.
const SILENCE: Duration = Duration::from_secs(1_800);
/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// Where a daemon is, and how it is spoken to.
#[derive(Clone)]
pub struct Remote {
    /// `https://touchline.bank.example`.
    pub url: String,
    /// A file with the token; without it `TOUCHLINE_TOKEN`.
    pub token_file: Option<PathBuf>,
    /// PEM file of the bank's own certificate authority.
    pub ca_file: Option<PathBuf>,
}

/// What was answered: the value, and the text that it was read from.
pub struct Said<T> {
    /// The value.
    pub value: T,
    /// The JSON as it came: printed as it is, so that not even a number's last digit differs.
    pub json: Option<String>,
}

impl<T> From<T> for Said<T> {
    fn from(value: T) -> Self {
        Self { value, json: None }
    }
}

/// Why it was not answered.
pub struct Refusal {
    failure: Failure,
    problem: Option<Problem>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, problem: None }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        refusal.failure
    }
}

impl Refusal {
    fn of(status: StatusCode, body: &[u8]) -> Self {
        let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
            let text = format!("the daemon answered {status}, in words that are not ours: is it a touchline daemon that listens there?");
            return Failure::reach(text).into();
        };
        let failure = match problem.status {
            400 | 401 | 404 | 405 | 413 | 415 => Failure::use_(problem.detail.clone()),
            408 | 429 | 500.. => Failure::reach(problem.detail.clone()),
            _ => Failure::no(problem.detail.clone()),
        };
        Self { failure, problem: Some(problem) }
    }
    /// The failure, for a request that carried a campaign file: its faults are drawn in the file as it is here.
    pub fn of_campaign(self, name: &str, text: &str) -> Failure {
        let faults = self.problem.as_ref().map(|p| p.faults.as_slice()).unwrap_or_default();
        if faults.is_empty() { self.failure } else { in_file(faults, name, text) }
    }
}

/// Faults of a campaign file, drawn in the file as it is here.
pub fn in_file(faults: &[Fault], name: &str, text: &str) -> Failure {
    let drawn: Vec<_> = faults
        .iter()
        .map(|f| {
            found_elsewhere(
                name,
                text,
                f.span.unwrap_or(crate::campaign_file::Span { offset: 0, length: 0 }),
                f.message.clone(),
                f.expected.clone(),
                f.help.clone(),
            )
        })
        .collect();
    Failure::diagnostics(&drawn)
}

type Answered<T> = Result<Said<T>, Refusal>;

/// A daemon.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

impl Client {
    /// To a daemon.
    pub fn new(remote: &Remote) -> Result<Self, Failure> {
        let expected = |found: &str| Failure::use_(format!("--url: expected https://HOST or http://127.0.0.1:8080, {found}"));
        // What stands there is not repeated: it may hold a password.
        let base = Url::parse(&remote.url).map_err(|e| expected(&format!("found what is no URL ({e})")))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(expected("found a user or password in it: a token comes by --token-file or TOUCHLINE_TOKEN"));
        }
        let host = base.host_str().unwrap_or_default();
        let is_here = host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match base.scheme() {
            "https" => {}
            "http" if is_here => {}
            "http" => return Err(expected("found plain http to another machine: a token is not sent in the clear; use https")),
            other => return Err(expected(&format!("found the scheme {other:?}"))),
        }
        tls::provider();
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).redirect(reqwest::redirect::Policy::none());
        if is_here {
            http = http.no_proxy();
        }
        if let Some(path) = &remote.ca_file {
            let pem = std::fs::read(path).map_err(|e| Failure::file("cannot read --ca-file", path, &e))?;
            let own = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|e| Failure::use_(format!("--ca-file {}: expected certificates in PEM: {e}", path.display())))?;
            http = http.tls_certs_merge(own);
        }
        let http = http.build().map_err(|e| Failure::reach(format!("TLS cannot be set up: {e}")))?;
        Ok(Self { http, base, token: token(remote)? })
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Result<RequestBuilder, Failure> {
        let mut url = self.base.clone();
        // Each part is escaped by itself: a name cannot climb out of its place.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if path.iter().any(|part| matches!(*part, "" | "." | "..")) {
            return Err(Failure::use_("expected a name, found one that is empty or of points alone"));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self.http.request(method, url).header(AUTHORIZATION, format!("Bearer {}", self.token)))
    }

    fn unreachable(&self, e: &reqwest::Error) -> Failure {
        let mut why: &dyn std::error::Error = e;
        while let Some(inner) = why.source() {
            why = inner;
        }
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port_or_known_default().unwrap_or_default();
        Failure::reach(format!("the daemon at {host}:{port} is out of reach: {why}; is it running (touchline serve), and is --url right?"))
    }

    /// Sends, again where that is harmless (the request changes nothing, or bears an idempotency key) and may help: the connection failed, or the daemon asks for patience.
    async fn send(&self, request: RequestBuilder) -> Result<Response, Refusal> {
        for again in 1.. {
            let Some(this) = request.try_clone() else { break };
            let pause = match this.send().await {
                Ok(answer) if !matches!(answer.status().as_u16(), 429 | 502 | 503 | 504) || again == TRIES => return checked(answer).await,
                Ok(answer) => {
                    let asked = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
                    if asked.is_some_and(|s| s > LONGEST_PAUSE_S) {
                        return checked(answer).await;
                    }
                    asked.map(|s| s * 1_000)
                }
                Err(e) if again == TRIES || e.is_builder() => return Err(self.unreachable(&e).into()),
                Err(_) => None,
            };
            sleep_ms(pause.unwrap_or(100 << again)).await;
        }
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        checked(answer).await
    }

    async fn answered<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answered<T> {
        let answer = self.send(request).await?;
        let json = answer.text().await.map_err(|e| self.unreachable(&e))?;
        let value = serde_json::from_str(&json).map_err(|e| {
            Failure::reach(format!("the daemon's answer is not what this version of touchline knows ({e}); use the daemon's own version"))
        })?;
        Ok(Said { value, json: Some(json) })
    }

    /// GET.
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Answered<T> {
        self.answered(self.request(Method::GET, path, query)?).await
    }

    /// POST of JSON.
    pub async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Answered<T> {
        self.answered(self.request(Method::POST, path, &[])?.header("Idempotency-Key", key()).json(body)).await
    }

    /// POST or PUT of YAML.
    pub async fn yaml<T: DeserializeOwned>(&self, method: Method, path: &[&str], query: &[(&str, &str)], text: &str) -> Answered<T> {
        let mut request = self.request(method.clone(), path, query)?.header(CONTENT_TYPE, "application/yaml").body(text.to_owned());
        if method == Method::POST {
            request = request.header("Idempotency-Key", key());
        }
        self.answered(request).await
    }

    /// POST of a file, streamed. `sent` hears of every piece.
    pub async fn upload<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        file: &Path,
        mut sent: impl FnMut(u64) + Send + 'static,
    ) -> Answered<T> {
        let open = tokio::fs::File::open(file).await.map_err(|e| Failure::file("cannot read", file, &e))?;
        let length = open.metadata().await.map_err(|e| Failure::file("cannot read", file, &e))?.len();
        let mut done = 0;
        let pieces = futures_util::stream::try_unfold(open, |mut open| async move {
            let mut piece = vec![0; PIECE];
            let n = open.read(&mut piece).await?;
            piece.truncate(n);
            Ok::<_, std::io::Error>((n > 0).then_some((piece, open)))
        });
        let pieces = pieces.inspect(move |piece| {
            done += piece.as_ref().map_or(0, |p| p.len() as u64);
            sent(done);
        });
        // Not sent again by itself: its stream is gone. Whoever sends the same file again takes nothing twice.
        let request = self.request(Method::POST, path, query)?.header(CONTENT_TYPE, "application/octet-stream").header(CONTENT_LENGTH, length);
        let answer = request.body(Body::wrap_stream(pieces)).send().await.map_err(|e| {
            let mut failure = self.unreachable(&e);
            failure.text.push_str("; nothing is lost: run the same command again");
            failure
        })?;
        let answer = checked(answer).await?;
        let json = answer.text().await.map_err(|e| self.unreachable(&e))?;
        let value = serde_json::from_str(&json).map_err(|e| Failure::reach(format!("the daemon's answer cannot be read: {e}")))?;
        Ok(Said { value, json: Some(json) })
    }

    /// Fetches a file; after a break it goes on where it stopped, as long as the file is the same. The file is made anew, readable by its owner alone.
    pub async fn download(&self, path: &[&str], to: &Path) -> Result<(), Refusal> {
        let failed = |e: std::io::Error| Refusal::from(Failure::file("cannot write", to, &e));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(to).map_err(failed)?;
        let (mut have, mut tag): (u64, Option<String>) = (0, None);
        for again in 1..=TRIES {
            let mut request = self.request(Method::GET, path, &[])?;
            if let (1.., Some(tag)) = (have, &tag) {
                request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, tag);
            }
            let answer = self.send(request).await?;
            if answer.status() != StatusCode::PARTIAL_CONTENT {
                have = 0;
                file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(failed)?;
            }
            tag = answer.headers().get(ETAG).and_then(|v| v.to_str().ok()).map(str::to_owned);
            let mut pieces = answer.bytes_stream();
            let broke = loop {
                match pieces.next().await {
                    None => break None,
                    Some(Ok(piece)) => {
                        file.write_all(&piece).map_err(failed)?;
                        have += piece.len() as u64;
                    }
                    Some(Err(e)) => break Some(e),
                }
            };
            match broke {
                None => return file.sync_all().map_err(failed),
                Some(e) if again == TRIES => return Err(self.unreachable(&e).into()),
                Some(_) => sleep_ms(100 << again).await,
            }
        }
        Ok(())
    }
}

fn key() -> String {
    uuid::Uuid::now_v7().to_string()
}

async fn checked(answer: Response) -> Result<Response, Refusal> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    Err(Refusal::of(status, &answer.bytes().await.unwrap_or_default()))
}

/// The token, from a file or the environment: never from the command line, which every user of the machine can read.
fn token(remote: &Remote) -> Result<String, Failure> {
    let text = match &remote.token_file {
        Some(path) => std::fs::read_to_string(path).map_err(|e| Failure::file("cannot read --token-file", path, &e))?,
        None => std::env::var("TOUCHLINE_TOKEN").map_err(|_| {
            Failure::use_(
                "a daemon wants a token: --token-file FILE, or TOUCHLINE_TOKEN in the environment; an admin makes one with `touchline token new`",
            )
        })?,
    };
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Failure::use_("the token is empty, or holds what no token holds: expected one line as `touchline token new` printed it"));
    }
    Ok(token.to_owned())
}
