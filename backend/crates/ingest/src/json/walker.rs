//! Walks JSON without holding it: enters objects and arrays one step at a time and gives single values as slices.
//!
//! The walker checks the structure it walks; what it hands out as a slice is complete and is checked by whoever parses it.

use super::leap::{Leap, Leapt};
use super::scan::end_of_plain;
use crate::source::{inflated, io_error};
use crate::{Limits, ReadError, Source};
use affiant_domain::observation::Place;
use bumpalo::Bump;
use std::io::Read;

/// What a value is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Array,
    Scalar,
}

/// A cursor over a stream of JSON.
pub(crate) struct Walker<'a> {
    reader: Box<dyn Read + Send + 'a>,
    pub(super) buffer: Vec<u8>,
    pub(super) at: usize,
    pub(super) base: u64,
    pub(super) line: u64,
    counted: usize,
    pub(super) ended: bool,
    pub(super) depth: usize,
    pub(super) limits: Limits,
    /// What was built of the present record.
    pub(super) arena: Bump,
}

impl<'a> Walker<'a> {
    pub(crate) fn open(source: &'a dyn Source, limits: &Limits) -> Result<Self, ReadError> {
        Ok(Self {
            reader: inflated(source, limits)?,
            buffer: Vec::new(),
            at: 0,
            base: 0,
            line: 1,
            counted: 0,
            ended: false,
            depth: 0,
            limits: *limits,
            arena: Bump::new(),
        })
    }

    /// Reads more bytes behind those in the buffer; false at the end of the file.
    pub(super) fn more(&mut self) -> Result<bool, ReadError> {
        if self.ended {
            return Ok(false);
        }
        let have = self.buffer.len();
        let chunk = self.limits.chunk.max(1);
        self.buffer.resize(have + chunk, 0);
        let mut n = 0;
        while n < chunk {
            let got = self
                .reader
                .read(&mut self.buffer[have + n..])
                .map_err(|e| io_error(&e))?;
            if got == 0 {
                self.ended = true;
                break;
            }
            n += got;
        }
        self.buffer.truncate(have + n);
        Ok(n > 0)
    }

    pub(super) fn count_lines(&mut self) {
        self.line += memchr::memchr_iter(b'\n', &self.buffer[self.counted..self.at]).count() as u64;
        self.counted = self.at;
    }

    /// Drops what was consumed, so that the buffer does not grow.
    pub(super) fn compact(&mut self) {
        if self.at >= self.limits.chunk {
            self.count_lines();
            self.buffer.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
            self.counted = 0;
        }
    }

    pub(super) fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            while let Some(byte) = self.buffer.get(self.at) {
                if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                    return Ok(Some(*byte));
                }
                self.at += 1;
            }
            self.compact();
            if !self.more()? {
                return Ok(None);
            }
        }
    }

    /// An error at the present place.
    pub(crate) fn broken(&mut self, what: impl Into<String>) -> ReadError {
        self.count_lines();
        ReadError::Broken {
            line: self.line,
            offset: self.base + self.at as u64,
            what: what.into(),
        }
    }

    pub(super) fn limit(&mut self, what: String) -> ReadError {
        self.count_lines();
        ReadError::Limit { line: self.line, what }
    }

    fn expect(&mut self, wanted: u8) -> Result<(), ReadError> {
        match self.peek()? {
            Some(byte) if byte == wanted => {
                self.at += 1;
                Ok(())
            }
            Some(byte) => Err(self.unexpected(byte, &format!("'{}'", wanted as char))),
            None => Err(self.broken(format!("the file ends where '{}' should be", wanted as char))),
        }
    }

    fn unexpected(&mut self, byte: u8, wanted: &str) -> ReadError {
        let got = if byte.is_ascii_graphic() {
            format!("'{}'", byte as char)
        } else {
            format!("byte 0x{byte:02x}")
        };
        self.broken(format!("{got} where {wanted} should be"))
    }

    /// What comes next; none at the end of the file.
    pub(crate) fn shape(&mut self) -> Result<Option<Shape>, ReadError> {
        Ok(self.peek()?.map(|byte| match byte {
            b'{' => Shape::Object,
            b'[' => Shape::Array,
            _ => Shape::Scalar,
        }))
    }

    fn enter(&mut self, open: u8) -> Result<(), ReadError> {
        self.expect(open)?;
        self.depth += 1;
        if self.depth > self.limits.depth {
            return Err(self.limit(format!("nested more than {} deep", self.limits.depth)));
        }
        Ok(())
    }

    /// Walks an object: the closure is given each key and must consume its value.
    pub(crate) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &str) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.enter(b'{')?;
        let mut first = true;
        loop {
            match self.peek()? {
                Some(b'}') if first => break,
                Some(b'}') => return Err(self.broken("a comma before '}'")),
                Some(b'"') => {}
                Some(byte) => return Err(self.unexpected(byte, "a key")),
                None => return Err(self.broken("the file ends inside an object")),
            }
            first = false;
            let key: String = {
                let raw = self.value()?;
                let parsed = serde_json::from_slice(raw);
                parsed.map_err(|error| self.broken(format!("a key is not readable: {error}")))?
            };
            self.expect(b':')?;
            each(self, &key)?;
            match self.peek()? {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                Some(byte) => return Err(self.unexpected(byte, "',' or '}'")),
                None => return Err(self.broken("the file ends inside an object")),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Walks an array: the closure must consume each element.
    pub(crate) fn array(
        &mut self,
        mut each: impl FnMut(&mut Self, usize) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.enter(b'[')?;
        let mut n = 0;
        loop {
            match self.peek()? {
                Some(b']') if n == 0 => break,
                Some(b']') => return Err(self.broken("a comma before ']'")),
                Some(_) => {}
                None => return Err(self.broken("the file ends inside an array")),
            }
            each(self, n)?;
            n += 1;
            match self.peek()? {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                Some(byte) => return Err(self.unexpected(byte, "',' or ']'")),
                None => return Err(self.broken("the file ends inside an array")),
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(())
    }

    /// Whether `null` comes next; nothing is taken.
    pub(crate) fn is_null(&mut self) -> Result<bool, ReadError> {
        Ok(self.peek()? == Some(b'n'))
    }

    /// Walks an array, or takes `null` for an empty one; anything else breaks the file.
    pub(crate) fn array_or_null(
        &mut self,
        what: &str,
        each: impl FnMut(&mut Self, usize) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        match self.shape()? {
            Some(Shape::Array) => self.array(each),
            Some(Shape::Scalar) => {
                let is_null = self.value()? == b"null";
                if is_null {
                    Ok(())
                } else {
                    Err(self.broken(format!("{what} is not an array")))
                }
            }
            _ => Err(self.broken(format!("{what} is not an array"))),
        }
    }

    /// The next value as bytes, complete.
    pub(crate) fn value(&mut self) -> Result<&[u8], ReadError> {
        let range = self.span()?;
        Ok(&self.buffer[range])
    }

    /// The next value with its place in the file.
    pub(crate) fn placed(&mut self) -> Result<(&[u8], Place), ReadError> {
        let range = self.span()?;
        // The newlines up to the record's first byte are counted; those inside are left for the next one.
        self.line += memchr::memchr_iter(b'\n', &self.buffer[self.counted..range.start]).count() as u64;
        self.counted = range.start;
        let length = u32::try_from(range.len()).unwrap_or(u32::MAX);
        let place = Place {
            offset: self.base + range.start as u64,
            length,
            line: self.line,
        };
        Ok((&self.buffer[range], place))
    }

    fn span(&mut self) -> Result<std::ops::Range<usize>, ReadError> {
        let Some(first) = self.peek()? else {
            return Err(self.broken("the file ends where a value should be"));
        };
        self.compact();
        let start = self.at;
        let end = match first {
            b'"' => self.end_of_string(start, start)?,
            b'{' | b'[' => self.end_of_container(start)?,
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => self.end_of_word(start)?,
            byte => return Err(self.unexpected(byte, "a value")),
        };
        self.at = end;
        Ok(start..end)
    }

    fn need(&mut self, start: usize) -> Result<(), ReadError> {
        if self.buffer.len() - start > self.limits.record {
            return Err(self.limit(format!("a record is larger than {} bytes", self.limits.record)));
        }
        if self.more()? {
            Ok(())
        } else {
            Err(self.broken("the file ends inside a value"))
        }
    }

    /// The end of the string that begins at `quote`, inside the value that begins at `start`.
    fn end_of_string(&mut self, start: usize, quote: usize) -> Result<usize, ReadError> {
        let mut at = quote + 1;
        loop {
            match end_of_plain(&self.buffer, at) {
                Some(n) if self.buffer[n] == b'"' => return Ok(n + 1),
                Some(n) => at = n + 1 + usize::from(self.buffer[n] == b'\\'),
                None => {
                    at = at.max(self.buffer.len());
                    self.need(start)?;
                }
            }
        }
    }

    fn end_of_container(&mut self, start: usize) -> Result<usize, ReadError> {
        let mut leap = Leap::new(self.limits.depth - self.depth);
        let mut at = start;
        loop {
            match leap.over(&self.buffer[at..], self.ended) {
                Leapt::Over(n) => return Ok(at + n),
                Leapt::On(n) => at += n,
                Leapt::Deep => {
                    self.at = at;
                    return Err(self.limit(format!("nested more than {} deep", self.limits.depth)));
                }
            }
            let had = self.ended;
            if self.buffer.len() - start > self.limits.record {
                return Err(self.limit(format!("a record is larger than {} bytes", self.limits.record)));
            }
            if !self.more()? && had {
                return Err(self.broken("the file ends inside a value"));
            }
        }
    }

    fn end_of_word(&mut self, start: usize) -> Result<usize, ReadError> {
        let mut at = start;
        loop {
            while let Some(byte) = self.buffer.get(at) {
                if matches!(byte, b',' | b']' | b'}' | b':' | b' ' | b'\n' | b'\r' | b'\t') {
                    return Ok(at);
                }
                at += 1;
            }
            if at - start > 1024 {
                return Err(self.broken("a number or word is too long"));
            }
            if !self.more()? {
                return Ok(at);
            }
        }
    }

    /// Passes over the next value, checking it.
    pub(crate) fn skip(&mut self) -> Result<(), ReadError> {
        match self.shape()? {
            Some(Shape::Object) => self.object(|walker, _| walker.skip()),
            Some(Shape::Array) => self.array(|walker, _| walker.skip()),
            Some(Shape::Scalar) => {
                let checked = serde_json::from_slice::<serde::de::IgnoredAny>(self.value()?).map_err(|e| e.to_string());
                checked.map(|_| ()).map_err(|what| self.broken(what))
            }
            None => Err(self.broken("the file ends where a value should be")),
        }
    }

    /// The next value, parsed; what does not parse breaks the file.
    pub(crate) fn parse<T: serde::de::DeserializeOwned>(&mut self, what: &str) -> Result<T, ReadError> {
        let parsed = serde_json::from_slice(self.value()?).map_err(|error| error.to_string());
        parsed.map_err(|error| self.broken(format!("{what}: {error}")))
    }

    /// A text, or nothing where the value is of another kind.
    pub(crate) fn text(&mut self) -> Result<Option<String>, ReadError> {
        if self.peek()? == Some(b'"') {
            return self.parse("a text").map(Some);
        }
        self.skip()?;
        Ok(None)
    }

    /// Nothing may follow.
    pub(crate) fn finish(&mut self) -> Result<(), ReadError> {
        match self.peek()? {
            None => Ok(()),
            Some(byte) => Err(self.unexpected(byte, "the end of the file")),
        }
    }
}
