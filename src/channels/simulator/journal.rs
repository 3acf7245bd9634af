//! What a simulated carrier remembers of what it was sent: a file of JSON lines, without addresses or texts.
use crate::domain::channel::Channel;
use crate::domain::ids::TouchKey;
use crate::domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

/// One dispatch as the carrier received it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalLine {
    /// When, by the carrier's clock.
    pub at: Timestamp,
    /// Which touch.
    pub touch: TouchKey,
    /// Its attempt within the step.
    pub attempt: u16,
    /// On which channel.
    pub channel: Channel,
    /// Message parts.
    pub parts: u16,
    /// Whether it went out to the customer: not when the carrier refused it, took nothing, or recognised it as sent before.
    pub sent: bool,
    /// Whether this touch had gone out before.
    pub duplicate: bool,
}

/// Reads a journal. A last line without its end (the carrier was killed while it wrote) is left out: it was never answered.
pub fn read_journal(path: &Path) -> io::Result<Vec<JournalLine>> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut lines, mut text) = (Vec::new(), String::new());
    loop {
        text.clear();
        if reader.read_line(&mut text)? == 0 || !text.ends_with('\n') {
            return Ok(lines);
        }
        let line = serde_json::from_str(&text).map_err(|fault| {
            let place = lines.len() + 1;
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {place} of the carrier's journal is none of its lines ({fault}); is this the right file?"),
            )
        })?;
        lines.push(line);
    }
}

/// How often each touch went out to its customer: more than 1 breaks law 1.
pub fn sends_by_touch(lines: &[JournalLine]) -> HashMap<TouchKey, u32> {
    let mut sends = HashMap::new();
    for line in lines.iter().filter(|l| l.sent) {
        *sends.entry(line.touch).or_insert(0) += 1;
    }
    sends
}

/// The most that was received in any sliding window of `per_ms` milliseconds, whether it went out or not. A window is half open.
pub fn most_in_window(lines: &[JournalLine], per_ms: i64) -> usize {
    let mut times: Vec<i64> = lines.iter().map(|l| l.at.0).collect();
    times.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for (last, at) in times.iter().enumerate() {
        while times.get(first).is_some_and(|t| at - t >= per_ms) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}

/// A journal being written, with what stood in it before.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    /// Touches that went out, as they did so first.
    sent: HashMap<TouchKey, JournalLine>,
    text: Vec<u8>,
}

impl Journal {
    /// Opens the file, made if need be, and remembers what it tells.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let mut sent = HashMap::new();
        for line in read_journal(path)?.into_iter().filter(|l| l.sent) {
            sent.entry(line.touch).or_insert(line);
        }
        // A torn last line gets its end, so that the next begins on a line of its own; it then reads as a fault, so it is cut instead.
        let whole = whole_lines(path)?;
        if file.metadata()?.len() > whole {
            file.set_len(whole)?;
            file.flush()?;
        }
        Ok(Self { file, sent, text: Vec::new() })
    }

    /// Whether this touch has gone out.
    pub fn has_sent(&self, touch: TouchKey) -> bool {
        self.sent.contains_key(&touch)
    }

    /// How a touch went out first; `None`: it never did.
    pub fn sent(&self, touch: TouchKey) -> Option<&JournalLine> {
        self.sent.get(&touch)
    }

    /// Notes a dispatch; `write` makes it lasting.
    pub fn note(&mut self, line: &JournalLine) -> io::Result<()> {
        if line.sent {
            self.sent.entry(line.touch).or_insert(*line);
        }
        serde_json::to_writer(&mut self.text, line)?;
        self.text.push(b'\n');
        Ok(())
    }

    /// Hands what was noted to the operating system: it outlives this process, if not the machine.
    pub fn write(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.text);
        self.text.clear();
        written
    }
}

/// Bytes up to the end of the last whole line.
fn whole_lines(path: &Path) -> io::Result<u64> {
    let mut reader = BufReader::new(File::open(path)?);
    let (mut whole, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 || line.last() != Some(&b'\n') {
            return Ok(whole);
        }
        whole += read as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{CampaignId, CustomerId};

    fn line(at: i64, customer: i64, sent: bool) -> JournalLine {
        let touch = TouchKey { customer: CustomerId(customer), campaign: CampaignId(1), seq: 0 };
        JournalLine { at: Timestamp(at), touch, attempt: 1, channel: Channel::Sms, parts: 1, sent, duplicate: false }
    }

    #[test]
    fn a_window_is_half_open_and_slides() {
        let lines: Vec<_> = [0, 400, 999, 1_000, 1_399, 1_400].iter().map(|at| line(*at, *at, true)).collect();
        assert_eq!(most_in_window(&lines, 1_000), 4); // 400, 999, 1000, 1399
        assert_eq!(most_in_window(&lines, 1), 1);
        assert_eq!(most_in_window(&[], 1_000), 0);
    }

    #[test]
    fn a_journal_survives_a_torn_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("carrier.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.note(&line(1, 1, true)).unwrap();
        journal.note(&line(2, 2, false)).unwrap();
        journal.write().unwrap();
        drop(journal);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"at\":3,").unwrap();
        assert_eq!(read_journal(&path).unwrap().len(), 2);
        let mut journal = Journal::open(&path).unwrap();
        assert!(journal.has_sent(line(1, 1, true).touch) && !journal.has_sent(line(2, 2, true).touch));
        journal.note(&line(4, 2, true)).unwrap();
        journal.write().unwrap();
        let lines = read_journal(&path).unwrap();
        assert_eq!(lines, [line(1, 1, true), line(2, 2, false), line(4, 2, true)]);
        assert_eq!(sends_by_touch(&lines).values().copied().collect::<Vec<_>>(), [1, 1]);
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "hello\n").unwrap();
        assert!(Journal::open(&path).unwrap_err().to_string().contains("line 1"));
    }
}
