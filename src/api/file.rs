//! Files out: streamed, whole or from a place on (RFC 9110, one range), under the hash of their content.
use super::{Problem, Reply};
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use std::io::SeekFrom;
use std::ops::Range;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Bytes read at once.
const PIECE: u64 = 256 * 1024;

/// Which part of a file of `length` bytes is wanted. `Ok(None)`: all of it (also when what is asked is no range that we know, or
/// several ranges: RFC 9110 lets a server answer with the whole). `Err`: the range begins behind the end.
fn range_of(text: &str, length: u64) -> Result<Option<Range<u64>>, ()> {
    let Some((first, last)) = text.trim().strip_prefix("bytes=").filter(|r| !r.contains(',')).and_then(|r| r.split_once('-')) else {
        return Ok(None);
    };
    let range = match (first.trim().parse::<u64>(), last.trim().parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Ok(first), Err(_)) if last.trim().is_empty() => first..length,
        (Err(_), Ok(last)) if first.trim().is_empty() => length.saturating_sub(last)..length,
        _ => return Ok(None),
    };
    if range.start >= length || range.is_empty() { Err(()) } else { Ok(Some(range)) }
}

fn text(request: &HttpRequest, name: HeaderName) -> Option<&str> {
    request.headers().get(name).and_then(|v| v.to_str().ok())
}

/// Answers with a file. `hash`: of its content, which makes the ETag. `name`: what a browser saves it as.
pub async fn answer(request: &HttpRequest, path: &Path, name: &str, content_type: &str, hash: &str) -> Reply {
    let gone = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Problem::not_found("the file is not in the data folder of this daemon any more"),
        _ => Problem::folder(&e),
    };
    let mut file = tokio::fs::File::open(path).await.map_err(gone)?;
    let length = file.metadata().await.map_err(gone)?.len();
    let etag = format!("\"{hash}\"");
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::ETAG, etag.clone())).insert_header((header::ACCEPT_RANGES, "bytes"));
    if text(request, header::IF_NONE_MATCH).is_some_and(|known| known == "*" || known.split(',').any(|k| k.trim() == etag)) {
        return Ok(answer.status(StatusCode::NOT_MODIFIED).finish());
    }
    // A range of another content is worth nothing: then the whole is given.
    let fits = text(request, header::IF_RANGE).is_none_or(|known| known == etag);
    let wanted = text(request, header::RANGE).filter(|_| fits).map_or(Ok(None), |asked| range_of(asked, length));
    let Ok(wanted) = wanted else {
        let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", format!("expected a range within {length} bytes"));
        let mut refusal = actix_web::ResponseError::error_response(&problem);
        if let Ok(value) = header::HeaderValue::from_str(&format!("bytes */{length}")) {
            refusal.headers_mut().insert(header::CONTENT_RANGE, value);
        }
        return Ok(refusal);
    };
    if let Some(range) = &wanted {
        answer.status(StatusCode::PARTIAL_CONTENT);
        answer.insert_header((header::CONTENT_RANGE, format!("bytes {}-{}/{length}", range.start, range.end - 1)));
    }
    let range = wanted.unwrap_or(0..length);
    file.seek(SeekFrom::Start(range.start)).await.map_err(gone)?;
    let size = range.end - range.start;
    let stream = futures_util::stream::try_unfold((file, size), |(mut file, left)| async move {
        if left == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        let mut piece = vec![0; usize::try_from(left.min(PIECE)).unwrap_or(1)];
        let n = file.read(&mut piece).await?;
        if n == 0 {
            // Shorter than it was when it was opened: the client must not take it for whole.
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        piece.truncate(n);
        Ok(Some((web::Bytes::from(piece), (file, left - n as u64))))
    });
    answer.content_type(content_type.to_owned());
    answer.insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    Ok(answer.body(SizedStream::new(size, stream)))
}

#[cfg(test)]
mod tests {
    use super::range_of;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        assert_eq!(range_of("bytes=0-3", 10), Ok(Some(0..4)));
        assert_eq!(range_of("bytes=4-", 10), Ok(Some(4..10)));
        assert_eq!(range_of("bytes=-3", 10), Ok(Some(7..10)));
        assert_eq!(range_of("bytes=-30", 10), Ok(Some(0..10)));
        assert_eq!(range_of("bytes=8-99", 10), Ok(Some(8..10)));
        assert_eq!(range_of("bytes=10-", 10), Err(()));
        assert_eq!(range_of("bytes=-0", 10), Err(()));
        for whole in ["", "lines=1-2", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=0-1,3-4", "bytes=18446744073709551616-"] {
            assert_eq!(range_of(whole, 10), Ok(None), "{whole}");
        }
        assert_eq!(range_of("bytes=0-18446744073709551615", 10), Ok(Some(0..10)));
    }
}
