//! Where the bytes come from. A source can be opened more than once; compression is undone on the way.

use crate::{Limits, ReadError};
use flate2::read::MultiGzDecoder;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that can be read from the start, more than once.
pub trait Source: Send + Sync {
    /// The bytes from the start, as they came.
    ///
    /// # Errors
    /// Whatever the medium says.
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>>;
}

/// Bytes in memory.
#[derive(Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Source for Bytes<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.0))
    }
}

/// Bytes in memory that it owns.
#[derive(Debug)]
pub struct OwnedBytes(pub Vec<u8>);

impl Source for OwnedBytes {
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(self.0.as_slice()))
    }
}

/// A file.
#[derive(Debug)]
pub struct FileSource(pub PathBuf);

impl Source for FileSource {
    fn open(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(std::fs::File::open(&self.0)?))
    }
}

/// Recognition looks at this many bytes.
const PREFIX: u64 = 128 << 10;
/// Expansion is counted past this many bytes.
const EXPANSION_FLOOR: u64 = 32 << 20;

pub(crate) fn prefix(source: &dyn Source, limits: &Limits) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    inflated(source, limits)?
        .take(PREFIX)
        .read_to_end(&mut bytes)
        .map_err(|e| io_error(&e))?;
    Ok(bytes)
}

/// The inflated bytes, without a byte order mark, bounded by the limits.
pub(crate) fn inflated<'a>(source: &'a dyn Source, limits: &Limits) -> Result<Box<dyn Read + Send + 'a>, ReadError> {
    let open = || source.open().map_err(|error| ReadError::Io(Arc::new(error)));
    let mut magic = [0; 2];
    let mut first = open()?;
    let have = fill(&mut first, &mut magic).map_err(|error| ReadError::Io(Arc::new(error)))?;
    drop(first);
    let raw = open()?;
    if have == 2 && magic == [0x1f, 0x8b] {
        let counted = Counted {
            inner: BufReader::with_capacity(256 << 10, raw),
            read: 0,
        };
        let reader = Bounded {
            inner: MultiGzDecoder::new(counted),
            limits: *limits,
            out: 0,
        };
        return Ok(Box::new(without_bom(reader)?));
    }
    Ok(Box::new(without_bom(Capped {
        inner: raw,
        left: limits.inflated,
        limit: limits.inflated,
    })?))
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut have = 0;
    while have < buffer.len() {
        match reader.read(&mut buffer[have..])? {
            0 => break,
            n => have += n,
        }
    }
    Ok(have)
}

fn without_bom<'a>(mut reader: impl Read + Send + 'a) -> Result<impl Read + Send + 'a, ReadError> {
    let mut head = vec![0; 3];
    let have = fill(&mut reader, &mut head).map_err(|error| io_error(&error))?;
    head.truncate(have);
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Err(ReadError::Unrecognised(
            "the file is UTF-16; convert it to UTF-8".to_owned(),
        ));
    }
    if head == [0xef, 0xbb, 0xbf] {
        head.clear();
    }
    Ok(io::Cursor::new(head).chain(reader))
}

pub(crate) fn io_error(error: &io::Error) -> ReadError {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ReadError>()) {
        Some(own) => own.clone(),
        None if matches!(
            error.kind(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
        ) =>
        {
            ReadError::Inflate(format!("the gzip stream is damaged: {error}"))
        }
        None => ReadError::Io(Arc::new(io::Error::new(error.kind(), error.to_string()))),
    }
}

struct Counted<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read += n as u64;
        Ok(n)
    }
}

impl<R: io::BufRead> io::BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, n: usize) {
        self.read += n as u64;
        self.inner.consume(n);
    }
}

struct Bounded<R> {
    inner: MultiGzDecoder<Counted<R>>,
    limits: Limits,
    out: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.out += n as u64;
        let came = self.inner.get_ref().read.max(1);
        let limits = &self.limits;
        if self.out > limits.inflated {
            return Err(refuse(format!(
                "the file inflates to more than {} bytes",
                limits.inflated
            )));
        }
        if self.out > EXPANSION_FLOOR && self.out / came > limits.expansion {
            return Err(refuse(format!(
                "the file inflates to more than {} times its size",
                limits.expansion
            )));
        }
        Ok(n)
    }
}

struct Capped<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.left = match self.left.checked_sub(n as u64) {
            Some(left) => left,
            None => {
                return Err(refuse(format!("the file is larger than {} bytes", self.limit)));
            }
        };
        Ok(n)
    }
}

fn refuse(what: String) -> io::Error {
    io::Error::other(ReadError::Limit { line: 0, what })
}
