//! Opening a file: plain or gzip, its encoding, and how far it has been read.
use super::IntakeError;
use encoding_rs::{DecoderResult, Encoding, UTF_8};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes read from the disk so far; shared with whoever shows progress.
pub(super) type Meter = Arc<AtomicU64>;

struct Metered<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.meter.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Opens a file for reading; refuses what is no file.
pub(super) fn open(path: &Path) -> Result<File, IntakeError> {
    let shown = path.display();
    let file = File::open(path).map_err(|e| IntakeError::File(format!("cannot open {shown}: {e}")))?;
    let meta = file.metadata().map_err(|e| IntakeError::File(format!("cannot read {shown}: {e}")))?;
    if meta.is_dir() {
        return Err(IntakeError::File(format!("{shown} is a directory: name a file in it")));
    }
    Ok(file)
}

/// BLAKE3 of a file's size and content, hex, read in pieces.
pub(super) fn hash(path: &Path) -> Result<String, IntakeError> {
    let mut file = open(path)?;
    let mut hash = ContentHash::default();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = file.read(&mut buffer).map_err(|e| IntakeError::File(format!("cannot read {}: {e}", path.display())))?;
        if n == 0 {
            break;
        }
        hash.update(buffer.get(..n).unwrap_or_default());
    }
    Ok(hash.finish())
}

/// BLAKE3 of content and size, for whoever has the bytes in hand as they come.
#[derive(Default)]
pub struct ContentHash {
    hasher: blake3::Hasher,
    size: u64,
}

impl ContentHash {
    /// More of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        self.hasher.update(bytes);
    }
    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }
    /// Hex.
    pub fn finish(mut self) -> String {
        self.hasher.update(&self.size.to_le_bytes());
        self.hasher.finalize().to_hex().to_string()
    }
}

/// The text of a file as bytes of UTF-8 (when `decoded` is false: bytes that claim to be UTF-8 and are checked row by row).
pub(super) struct Text {
    /// Its bytes.
    pub reader: Box<dyn Read + Send>,
    /// Whether an encoding other than UTF-8 was decoded; a malformed place is then U+FFFD.
    pub decoded: Option<&'static Encoding>,
    /// Bytes before the first byte of `reader` (a byte-order mark).
    pub skipped: u64,
}

/// Opens a text file: gzip by its first bytes, byte-order marks, encodings. `encoding`: as the mapping says.
pub(super) fn text(path: &Path, encoding: Option<&'static Encoding>, meter: &Meter) -> Result<Text, IntakeError> {
    let shown = path.display();
    let failed = |e: io::Error| IntakeError::File(format!("cannot read {shown}: {e}"));
    let mut file = open(path)?;
    let mut magic = [0; 2];
    let n = read_up_to(&mut file, &mut magic).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    let metered = BufReader::with_capacity(1 << 16, Metered { inner: file, meter: meter.clone() });
    let mut raw: Box<dyn Read + Send> =
        if n == 2 && magic == [0x1f, 0x8b] { Box::new(flate2::bufread::MultiGzDecoder::new(metered)) } else { Box::new(metered) };
    let mut head = vec![0; 4096];
    let n = read_up_to(&mut raw, &mut head).map_err(|e| broken(path, &e))?;
    head.truncate(n);
    let (marked, mark) = match Encoding::for_bom(&head) {
        Some((encoding, length)) => (Some(encoding), length),
        None => (None, 0),
    };
    let encoding = marked.or(encoding).unwrap_or(UTF_8);
    if encoding == UTF_8
        && let Some(advice) = looks_like_utf16(&head)
    {
        return Err(IntakeError::Encoding(format!("{shown} looks like UTF-16 without a byte-order mark: say `encoding: {advice}` in the mapping")));
    }
    let rest = head.get(mark..).unwrap_or_default().to_vec();
    let reader = io::Cursor::new(rest).chain(raw);
    if encoding == UTF_8 {
        return Ok(Text { reader: Box::new(reader), decoded: None, skipped: mark as u64 });
    }
    Ok(Text { reader: Box::new(Decoding::new(reader, encoding)), decoded: Some(encoding), skipped: mark as u64 })
}

/// What a failed read means, for gzip above all.
pub(super) fn broken(path: &Path, e: &io::Error) -> IntakeError {
    let shown = path.display();
    match e.kind() {
        io::ErrorKind::UnexpectedEof => {
            IntakeError::File(format!("{shown} ends in the middle of its gzip stream: it was cut off; copy it again and repeat the import"))
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            IntakeError::File(format!("{shown} is a damaged gzip file ({e}): copy it again and repeat the import"))
        }
        _ => IntakeError::File(format!("cannot read {shown}: {e}")),
    }
}

fn read_up_to(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

/// UTF-16 of mostly Latin text has a NUL in every second byte.
fn looks_like_utf16(head: &[u8]) -> Option<&'static str> {
    let pairs = head.len() / 2;
    let nuls = |odd: usize| head.iter().skip(odd).step_by(2).filter(|b| **b == 0).count();
    if pairs < 4 {
        return None;
    }
    match (nuls(0), nuls(1)) {
        (even, odd) if odd * 2 > pairs && even * 10 < pairs => Some("utf-16le"),
        (even, odd) if even * 2 > pairs && odd * 10 < pairs => Some("utf-16be"),
        _ => None,
    }
}

/// What the encoding of a text that is not UTF-8 may be, for advice.
pub(super) fn advice(sample: &[u8]) -> &'static str {
    let fits = |e: &'static Encoding| !e.decode_without_bom_handling(sample).1;
    // A sample cut in the middle of a character would not fit; the callers cut at line ends.
    if fits(encoding_rs::GB18030) {
        "it may be GB18030: say `encoding: gb18030` in the mapping (or big5, windows-1252 ...)"
    } else {
        "it may be a Western encoding: say `encoding: windows-1252` (or iso-8859-15, gb18030, big5 ...) in the mapping"
    }
}

struct Decoding<R> {
    inner: R,
    decoder: encoding_rs::Decoder,
    input: Vec<u8>,
    start: usize,
    end: usize,
    output: Vec<u8>,
    sent: usize,
    finished: bool,
}

impl<R: Read> Decoding<R> {
    fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder_without_bom_handling(),
            input: vec![0; 1 << 15],
            start: 0,
            end: 0,
            output: Vec::with_capacity(1 << 17),
            sent: 0,
            finished: false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        self.output.clear();
        self.sent = 0;
        let mut last = false;
        if self.start == self.end {
            self.start = 0;
            self.end = self.inner.read(&mut self.input)?;
            last = self.end == 0;
        }
        let input = self.input.get(self.start..self.end).unwrap_or_default();
        let room = self.decoder.max_utf8_buffer_length_without_replacement(input.len()).unwrap_or(1 << 17) + 8;
        self.output.resize(room, 0);
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(input, &mut self.output, last);
        self.output.truncate(written);
        self.start += read;
        match result {
            DecoderResult::Malformed(..) => self.output.extend_from_slice("\u{fffd}".as_bytes()),
            DecoderResult::InputEmpty => self.finished = last,
            DecoderResult::OutputFull => {}
        }
        Ok(())
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.sent == self.output.len() {
            if self.finished || buf.is_empty() {
                return Ok(0);
            }
            self.fill()?;
        }
        let ready = self.output.get(self.sent..).unwrap_or_default();
        let n = ready.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), ready.get(..n)) {
            to.copy_from_slice(from);
        }
        self.sent += n;
        Ok(n)
    }
}
