//! What a remote carrier and its client say to each other: JSON lines over TCP, a batch of dispatches one way, a batch of events the other.
use super::{CarrierEvent, Dispatch};
use crate::domain::ids::TouchKey;
use serde::{Deserialize, Serialize};
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// A longer line is refused: it is no line of ours.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;
/// A batch is cut into lines of about this many bytes: what a broken connection leaves in doubt stays small.
const LINE_BYTES: usize = 64 * 1024;
/// The server says something at least this often (milliseconds), so that a dead connection is told from a quiet one.
pub(crate) const BEAT_MS: u64 = 1_000;
/// After so many milliseconds of silence the connection counts as broken.
pub(crate) const SILENCE_MS: u64 = 10 * BEAT_MS;

/// A line of the client's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchLine {
    /// Dispatches to send.
    #[serde(default)]
    pub batch: Vec<Dispatch>,
    /// Touches of which the client asks what became of them.
    #[serde(default)]
    pub query: Vec<TouchKey>,
}

/// A line of the server's; without events it only says that the server lives.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventLine {
    pub events: Vec<CarrierEvent>,
}

/// Events as a line.
pub(crate) fn event_line(events: &[CarrierEvent]) -> io::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        events: &'a [CarrierEvent],
    }
    let mut text = serde_json::to_vec(&Borrowed { events })?;
    text.push(b'\n');
    Ok(text)
}

/// Lines of bounded length, each with the dispatches it holds.
pub(crate) type BatchLines = Vec<(Vec<u8>, Vec<Dispatch>)>;

/// A question as a line.
pub(crate) fn query_line(touches: &[TouchKey]) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(&serde_json::json!({ "query": touches }))?;
    text.push(b'\n');
    Ok(text)
}

const BATCH_HEAD: &[u8] = b"{\"batch\":[";
const BATCH_END: &[u8] = b"]}\n";

/// A batch as lines; gives the whole batch back when one dispatch cannot be written out.
pub(crate) fn batch_lines(batch: Vec<Dispatch>) -> Result<BatchLines, (io::Error, Vec<Dispatch>)> {
    let mut lines = BatchLines::new();
    let (mut text, mut held) = (BATCH_HEAD.to_vec(), Vec::new());
    let mut batch = batch.into_iter();
    while let Some(dispatch) = batch.next() {
        if !held.is_empty() {
            text.push(b',');
        }
        let written = serde_json::to_writer(&mut text, &dispatch);
        held.push(dispatch);
        if let Err(fault) = written {
            let all = lines.into_iter().flat_map(|(_, held)| held).chain(held).chain(batch);
            return Err((fault.into(), all.collect()));
        }
        if text.len() >= LINE_BYTES {
            text.extend_from_slice(BATCH_END);
            lines.push((std::mem::replace(&mut text, BATCH_HEAD.to_vec()), std::mem::take(&mut held)));
        }
    }
    if !held.is_empty() {
        text.extend_from_slice(BATCH_END);
        lines.push((text, held));
    }
    Ok(lines)
}

/// Reads a line; `None`: the other side has ended the connection. A line without its end counts as the end: it was cut off.
pub(crate) async fn read<R: AsyncBufRead + Unpin, T: for<'de> Deserialize<'de>>(reader: &mut R, text: &mut Vec<u8>) -> io::Result<Option<T>> {
    text.clear();
    (&mut *reader).take(LONGEST_LINE).read_until(b'\n', text).await?;
    if text.last() != Some(&b'\n') {
        if text.len() as u64 >= LONGEST_LINE {
            return Err(invalid(format!("a line longer than {LONGEST_LINE} bytes")));
        }
        return Ok(None);
    }
    // What serde says may quote the line, and the line holds addresses (law 7): only the place and the kind go on.
    let parsed = serde_json::from_slice(text)
        .map_err(|e| invalid(format!("a line that is none of the protocol's: {:?} fault at column {}", e.classify(), e.column())))?;
    Ok(Some(parsed))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("expected a JSON line of a simulated carrier, found {text}; is something else listening or connecting there?"),
    )
}
