//! Readers: bytes of any scanner or audit store become records, streaming, with limits.
//!
//! [`read`] recognises the format by content, walks the file once and hands each record to a [`Sink`]. A record that cannot be
//! read is rejected with its place and the rest goes on; a file whose container is broken is refused whole with one
//! [`ReadError`]. Memory does not grow with the file: only one record is held at a time.
//!
//! A regular format is a TOML file ([`Declared`]), an irregular one a file in `formats/`; the registry ([`Formats`]) is what the command
//! line, the API and the tests walk.

mod declared;
mod formats;
mod json;
mod known;
mod limits;
mod lines;
mod record;
mod sink;
mod sniff;
mod source;

pub use declared::{Declared, SpecError, skeleton};
pub use formats::{Format, Formats, FormatsError, Kind};
pub use limits::Limits;
pub use sink::{Counter, Refused, Rejection, SerialGap, Shown, Sink, Stop};
pub use source::{Bytes, FileSource, OwnedBytes, Source};

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
    #[error("unknown format \"{0}\"; known are {1}")]
    UnknownFormat(String, String),
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

/// The bytes of a source, inflated where they are compressed, without a byte order mark: what places count in.
///
/// # Errors
/// [`ReadError`] where they cannot be read.
pub fn inflate<'s>(source: &'s dyn Source, limits: &Limits) -> Result<Box<dyn std::io::Read + Send + 's>, ReadError> {
    source::inflated(source, limits)
}

/// Recognises a file and reads it whole into a sink, with the formats that come with the program.
///
/// # Errors
/// [`ReadError`] where the file is refused whole; what the sink has taken by then is to be thrown away.
pub fn read(
    source: &dyn Source,
    format: Option<&str>,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<Arc<Format>, ReadError> {
    let format = Formats::built_in().recognise(source, format, limits)?;
    format.read(source, limits, sink)?;
    Ok(format)
}
