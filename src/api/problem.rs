//! Problem details (RFC 9457): every refusal has a status, a type, a title, what was found and what to do.
use crate::app::Failure;
use crate::campaign_file::{Diagnostic, Span};
use crate::desk::DeskError;
use crate::store::StoreError;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The content type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A refusal.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// What kind, as a stable reference: `urn:touchline:problem:<slug>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was expected, what was found, where, and what to do. Never personal data.
    pub detail: String,
    /// Every fault of a file or body, with line and column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Seconds after which it may be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

/// One fault of a file or body.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// The file's name, or `body`.
    pub file: String,
    /// Line, from 1; 0 where a fault has no place.
    pub line: usize,
    /// Column, from 1; 0 where a fault has no place.
    pub column: usize,
    /// The offending text, in bytes of the file or body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What is wrong.
    pub message: String,
    /// What would have been right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl From<&Diagnostic> for Fault {
    fn from(d: &Diagnostic) -> Self {
        let (expected, help) = (d.expected.clone(), d.help.clone());
        Self { file: d.file.clone(), line: d.line, column: d.column, span: Some(d.span), message: d.message.clone(), expected, help }
    }
}

impl From<&crate::intake::Fault> for Fault {
    fn from(f: &crate::intake::Fault) -> Self {
        let place = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let help = Some(f.help.clone()).filter(|h| !h.is_empty());
        Self { file: f.file.clone(), line: place(f.line), column: place(f.column), span: None, message: f.message.clone(), expected: None, help }
    }
}

impl Problem {
    /// Of a status, with what was found and what to do.
    pub fn new(status: StatusCode, slug: &str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem").to_owned();
        Self {
            kind: format!("urn:touchline:problem:{slug}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            faults: Vec::new(),
            retry_after_s: None,
        }
    }
    /// 400: the request is not one.
    pub fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }
    /// 401: no token, or none that is known.
    pub fn unknown_caller(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unknown-caller", detail)
    }
    /// 403: known, and not allowed.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }
    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }
    /// 409: asked at the wrong moment.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }
    /// 422: understood, and not acceptable.
    pub fn unacceptable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unacceptable", detail)
    }
    /// 503, to be tried again.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).after(5)
    }
    /// May be tried again after so many seconds.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }
    /// 422 with every fault of a campaign file.
    pub fn faults(faults: &[Diagnostic]) -> Self {
        let mut problem = Self::unacceptable(format!("{} fault(s); nothing was kept. Mend them all and hand it in again", faults.len()));
        problem.faults = faults.iter().map(Fault::from).collect();
        problem
    }
    /// 422 with every fault of a mapping.
    pub fn mapping(faults: &[crate::intake::Fault]) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "mapping", format!("{} fault(s) of the mapping", faults.len()));
        problem.faults = faults.iter().map(Fault::from).collect();
        problem
    }
    /// 507: the disk has no room.
    pub fn no_room() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage-full", "the disk of the data folder has no room for this; nothing was kept")
    }
    /// 503 of the data folder, told in full to the log alone: what it says names places of this machine.
    pub fn folder(fault: &std::io::Error) -> Self {
        tracing::error!(%fault, "the data folder failed a request");
        Self::unavailable("the data folder is out of reach; nothing was lost: try again")
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status, self.title, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut answer = HttpResponse::build(self.status_code());
        answer.content_type(CONTENT_TYPE);
        if let Some(seconds) = self.retry_after_s {
            answer.insert_header((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if self.status == 401 {
            answer.insert_header((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"touchline\"")));
        }
        answer.body(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        let text = e.to_string();
        match e {
            StoreError::NotFound { .. } => Self::not_found(text),
            StoreError::Conflict(_) => Self::conflict(text),
            StoreError::Full(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage-full", text),
            // What a database says may name files and statements: that is for the log alone.
            StoreError::Fenced(_) | StoreError::Unusable(_) | StoreError::Backend(_) => {
                tracing::error!(fault = %text, "the store failed a request");
                Self::unavailable("the store is out of reach; nothing was lost: try again")
            }
        }
    }
}

impl From<DeskError> for Problem {
    fn from(e: DeskError) -> Self {
        match e {
            DeskError::Store(e) => e.into(),
            DeskError::Law(_) => Self::unacceptable(e.to_string()),
            DeskError::Unfit(faults) => {
                let mut problem = Self::unacceptable(format!("{} fault(s); nothing was kept. Mend them all and send it again", faults.len()));
                let fault = |message| Fault { file: "body".to_owned(), line: 0, column: 0, span: None, message, expected: None, help: None };
                problem.faults = faults.into_iter().map(fault).collect();
                problem
            }
            DeskError::Refused(text) => Self::conflict(text),
            DeskError::Broken(text) => {
                tracing::error!(fault = %text, "the books do not add up");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", "the books do not add up; the log has the details")
            }
        }
    }
}

impl From<Failure> for Problem {
    fn from(f: Failure) -> Self {
        let faults = f.detail.get("faults").cloned().and_then(|v| serde_json::from_value::<Vec<Fault>>(v).ok()).unwrap_or_default();
        match f.code {
            1 if !faults.is_empty() => {
                let mut problem = Self::unacceptable(format!("{} fault(s); nothing was kept. Mend them all and hand it in again", faults.len()));
                problem.faults = faults;
                problem
            }
            1 => Self::conflict(f.text),
            2 => Self::not_found(f.text),
            _ => {
                tracing::error!(fault = %f.text, "a request failed");
                Self::unavailable("the store is out of reach; nothing was lost: try again")
            }
        }
    }
}
