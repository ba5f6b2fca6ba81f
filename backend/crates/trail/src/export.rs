//! A file that holds a trail whole: JSON Lines, in the order of the entries, each checkpoint behind the last entry that it covers.

use crate::beside::Beside;
use crate::tree::Node;
use crate::{Hash, Payload, PublicKey};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::{self, Write};

/// What is shown of the payload of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It has none.
    None,
    /// Salt and content.
    Open(Payload),
    /// It is there, and not shown here.
    Sealed,
    /// It cannot be read by anybody: the key of its subject is destroyed.
    Erased,
    /// It was purged; an entry says by which rule.
    Purged,
}

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line<'a> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) trail: Option<Header<'a>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) checkpoint: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) hash: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) leaf: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<LinePayload<'a>>,
}

impl Line<'_> {
    const EMPTY: Self = Self {
        trail: None,
        checkpoint: None,
        index: None,
        hash: None,
        leaf: None,
        payload: None,
    };
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header<'a> {
    pub(crate) version: u8,
    #[serde(borrow)]
    pub(crate) origin: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) size: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) key: Cow<'a, str>,
}

/// A payload in a line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinePayload<'a> {
    #[serde(borrow)]
    pub(crate) state: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) salt: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<Cow<'a, str>>,
}

/// Who is told a trail, in the order of such a file.
pub trait Told {
    /// Why it takes no more.
    type Error;

    /// A trail of this name begins, with so many entries, whose first checkpoints were signed by this key.
    ///
    /// # Errors
    /// Where it takes no more.
    fn begin(&mut self, origin: &str, size: u64, first: &PublicKey) -> Result<(), Self::Error>;

    /// The next entry: its place, and its canonical form, or its hash alone where it is not for the reader; and what stands beside it where it
    /// is kept, for who checks that.
    ///
    /// # Errors
    /// Where it takes no more.
    fn entry(
        &mut self,
        index: u64,
        hash: Hash,
        leaf: Option<&str>,
        payload: &Shown,
        beside: Option<&Beside<'_>>,
    ) -> Result<(), Self::Error>;

    /// The nodes of the tree that became whole since this was asked last, for who checks those.
    fn nodes(&mut self) -> Vec<Node> {
        Vec::new()
    }

    /// A checkpoint over the entries so far.
    ///
    /// # Errors
    /// Where it takes no more.
    fn checkpoint(&mut self, note: &str) -> Result<(), Self::Error>;
}

/// Writes such a file.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    #[must_use]
    pub const fn new(out: W) -> Self {
        Self { out }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn end(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Told for Writer<W> {
    type Error = io::Error;

    fn begin(&mut self, origin: &str, size: u64, first: &PublicKey) -> io::Result<()> {
        let header = Header {
            version: 1,
            origin: origin.into(),
            size: size.to_string().into(),
            key: first.as_str().into(),
        };
        line(
            &mut self.out,
            &Line {
                trail: Some(header),
                ..Line::EMPTY
            },
        )
    }

    fn entry(
        &mut self,
        index: u64,
        hash: Hash,
        leaf: Option<&str>,
        payload: &Shown,
        _: Option<&Beside<'_>>,
    ) -> io::Result<()> {
        let state = |state: &'static str| {
            Some(LinePayload {
                state: state.into(),
                salt: None,
                content: None,
            })
        };
        let payload = match payload {
            Shown::None => None,
            Shown::Sealed => state("sealed"),
            Shown::Erased => state("erased"),
            Shown::Purged => state("purged"),
            Shown::Open(payload) => Some(LinePayload {
                state: "open".into(),
                salt: Some(hex::encode(payload.salt).into()),
                content: Some(payload.content.as_str().into()),
            }),
        };
        line(
            &mut self.out,
            &Line {
                index: Some(index.to_string().into()),
                hash: Some(hex::encode(hash.0).into()),
                leaf: leaf.map(Into::into),
                payload,
                ..Line::EMPTY
            },
        )
    }

    fn checkpoint(&mut self, note: &str) -> io::Result<()> {
        line(
            &mut self.out,
            &Line {
                checkpoint: Some(note.into()),
                ..Line::EMPTY
            },
        )
    }
}

fn line(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
