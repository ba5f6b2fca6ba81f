//! Readers: bytes of any scanner or audit store become records, streaming, with limits.
//!
//! [`read`] recognises the format by content, walks the file once and hands each record to a [`Sink`]. A record that cannot be
//! read is rejected with its place and the rest goes on; a file whose container is broken is refused whole with one
//! [`ReadError`]. Memory does not grow with the file: only one record is held at a time.
//!
//! One file in [`formats`] per format; the registry there is what the command line, the API and the tests walk.

pub mod formats;
mod json;
mod limits;
mod lines;
mod record;
mod sink;
mod sniff;
mod source;

pub use formats::{FORMATS, Format, Kind};
pub use limits::Limits;
pub use sink::{Counter, Refused, Rejection, Sink, Stop};
pub use source::{Bytes, FileSource, Source};

use std::sync::Arc;

/// Why a file is refused whole. Nothing of it is kept.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The bytes could not be read at all.
    #[error("cannot read the file: {0}")]
    Io(Arc<std::io::Error>),
    /// It is compressed, and damaged or made to expand without end.
    #[error("{0}")]
    Inflate(String),
    /// No format fits.
    #[error("not a format that is read here: {0}")]
    Unrecognised(String),
    /// A format was named that does not exist.
    #[error("unknown format \"{0}\"; known are {known}", known = formats::names())]
    UnknownFormat(String),
    /// The container is broken or not what the format says.
    #[error("line {line}, byte {offset}: {what}")]
    Broken {
        /// Line, from 1.
        line: u64,
        /// Offset in the inflated file.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A limit was passed.
    #[error("line {line}: {what}")]
    Limit {
        /// Line, from 1.
        line: u64,
        /// Which limit, and its value.
        what: String,
    },
    /// Whoever takes the records asked to stop.
    #[error("stopped")]
    Stopped,
}

impl From<Stop> for ReadError {
    fn from(_: Stop) -> Self {
        Self::Stopped
    }
}

/// What was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Name of the format, as in the registry.
    pub format: &'static str,
    /// Whether it holds findings or events.
    pub kind: Kind,
}

/// Recognises a file by its first bytes, or looks a named format up.
///
/// # Errors
/// [`ReadError`] where nothing fits.
pub fn recognise(source: &dyn Source, format: Option<&str>, limits: &Limits) -> Result<&'static Format, ReadError> {
    let named = format
        .map(|name| formats::by_name(name).ok_or_else(|| ReadError::UnknownFormat(name.chars().take(60).collect())));
    let named = named.transpose()?;
    let sniff = sniff::Sniff::of(&source::prefix(source, limits)?);
    match named {
        None => formats::recognise(&sniff),
        // A log may begin with a broken line; a report of findings must bear the marks of its format, or it would be read as one
        // without findings.
        Some(format) if format.kind == Kind::Events || sniff.is_nothing() || (format.recognise)(&sniff) => Ok(format),
        Some(format) => Err(formats::foreign(format, &sniff)),
    }
}

/// Reads a whole file into a sink.
///
/// # Errors
/// [`ReadError`] where the file is refused whole; what the sink has taken by then is to be thrown away.
pub fn read(
    source: &dyn Source,
    format: Option<&str>,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<Recognised, ReadError> {
    let format = recognise(source, format, limits)?;
    sink.recognised(format);
    (format.read)(source, limits, sink)?;
    Ok(Recognised {
        format: format.name,
        kind: format.kind,
    })
}
