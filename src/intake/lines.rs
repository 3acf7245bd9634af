//! A buffer over a reader in which a whole row lies in one piece, up to a limit.
use std::io::{self, Read};

/// The buffer.
pub(super) struct Window {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the decoded text of the first byte of the window.
    pub offset: u64,
    ended: bool,
}

impl Window {
    /// Over a reader; `offset`: bytes skipped before it.
    pub fn new(reader: Box<dyn Read + Send>, offset: u64) -> Self {
        Self { reader, buffer: vec![0; 1 << 18], start: 0, end: 0, offset, ended: false }
    }
    /// What lies in the window.
    pub fn data(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }
    /// Whether nothing comes after the window.
    pub fn is_last(&self) -> bool {
        self.ended
    }
    /// Reads more; the window grows as needed.
    pub fn more(&mut self) -> io::Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        loop {
            match self.reader.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(n) => {
                    self.ended = n == 0;
                    self.end += n;
                    return Ok(());
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
    /// Takes `n` bytes out of the front.
    pub fn consume(&mut self, n: usize) {
        let n = n.min(self.end - self.start);
        self.start += n;
        self.offset += n as u64;
    }
    /// Drops everything up to and including the next line feed, without holding it; false: the file ended first.
    pub fn skip_line(&mut self) -> io::Result<bool> {
        loop {
            if let Some(i) = self.data().iter().position(|b| *b == b'\n') {
                self.consume(i + 1);
                return Ok(true);
            }
            self.consume(usize::MAX);
            if self.ended {
                return Ok(false);
            }
            self.more()?;
        }
    }
}
