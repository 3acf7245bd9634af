//! What handlers take out of a request: bodies (bounded, and dropped when they come too slowly), queries, paths.
use super::guard::too_large;
use super::operation::{BODY_BYTES, Operation};
use super::{House, Problem};
use crate::clock::sleep_ms;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::future::{Ready, ready};
use std::sync::Arc;

/// A body whose next bytes take longer than this (milliseconds) is given up: a slow client holds nothing for long.
pub const BODY_SILENCE_MS: u64 = 10_000;

/// The next bytes of a body; `None`: its end.
pub async fn next_bytes(payload: &mut Payload) -> Result<Option<web::Bytes>, Problem> {
    let slow = || Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", format!("no byte of the body came for {} s", BODY_SILENCE_MS / 1000));
    tokio::select! {
        chunk = payload.next() => match chunk {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(_)) => Err(Problem::bad("the body broke off before its end")),
        },
        () = sleep_ms(BODY_SILENCE_MS) => Err(slow()),
    }
}

/// A bounded body, which must have come within so many seconds: who sends a byte a second holds nothing for long either.
pub(super) async fn whole(payload: &mut Payload, limit: usize, seconds: u32) -> Result<Vec<u8>, Problem> {
    let read = async {
        let mut body = Vec::new();
        while let Some(bytes) = next_bytes(payload).await? {
            if body.len() + bytes.len() > limit {
                return Err(too_large(limit));
            }
            body.extend_from_slice(&bytes);
        }
        Ok(body)
    };
    tokio::select! {
        read = read => read,
        () = sleep_ms(u64::from(seconds) * 1_000) =>
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", format!("the body did not come within {seconds} s"))),
    }
}

fn seconds_of(request: &HttpRequest) -> u32 {
    request.app_data::<House>().map_or(30, |house| house.config.serve.body_s)
}

fn limit_of(request: &HttpRequest) -> usize {
    request.extensions().get::<Arc<Operation>>().and_then(|o| o.body_limit()).unwrap_or(BODY_BYTES)
}

/// The bytes of a body, as they came (signatures are over them).
#[derive(Clone, Debug)]
pub struct Raw(pub Vec<u8>);

impl FromRequest for Raw {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (limit, seconds, mut payload) = (limit_of(request), seconds_of(request), payload.take());
        Box::pin(async move { Ok(Self(whole(&mut payload, limit, seconds).await?)) })
    }
}

/// A body of text.
#[derive(Clone, Debug)]
pub struct Text(pub String);

impl FromRequest for Text {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let raw = Raw::from_request(request, payload);
        Box::pin(async move {
            let text = String::from_utf8(raw.await?.0)
                .map_err(|e| Problem::bad(format!("expected UTF-8, found another byte at offset {}", e.utf8_error().valid_up_to())))?;
            Ok(Self(text))
        })
    }
}

/// A JSON body.
#[derive(Clone, Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;
    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let raw = Raw::from_request(request, payload);
        Box::pin(async move { Ok(Self(parse(&raw.await?.0)?)) })
    }
}

/// Reads JSON; the fault says where and what.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => Problem::unacceptable(format!("the body is JSON, but not what was expected: {e}")),
        _ => Problem::bad(format!("the body is not JSON: {e}")),
    })
}

/// The query.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let read = web::Query::<T>::from_query(request.query_string());
        ready(read.map(|q| Self(q.into_inner())).map_err(|e| Problem::bad(format!("the query is not what was expected: {e}"))))
    }
}

/// A page of a list.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Paging {
    /// The last id of the page before.
    #[serde(default)]
    pub after: i64,
    /// How many at most.
    #[serde(default = "hundred")]
    pub limit: u32,
}

fn hundred() -> u32 {
    100
}

impl Paging {
    /// The limit, or what is wrong with it.
    pub fn checked(self) -> Result<(i64, usize), Problem> {
        if !(1..=1000).contains(&self.limit) {
            return Err(Problem::bad(format!("expected a limit from 1 to 1000, found {}", self.limit)));
        }
        if self.after < 0 {
            return Err(Problem::bad(format!("expected `after` to be an id (0 or more), found {}", self.after)));
        }
        Ok((self.after, usize::try_from(self.limit).unwrap_or(1000)))
    }
}

/// The house, for handlers.
impl FromRequest for House {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.app_data::<House>().cloned().ok_or_else(|| Problem::unavailable("the house is not open yet")))
    }
}
