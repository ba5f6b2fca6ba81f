//! How a [`Walker`] gives records: parsed where they stand, or picked apart; and how it passes over what nobody asks for.

use super::leap::{Leap, Leapt};
use super::walker::{Shape, Walker};
use super::{Cursor, Fault};
use crate::ReadError;
use crate::declared::{Node, Wanted, pick};
use affiant_domain::observation::Place;
use bumpalo::Bump;

/// What came of parsing a value straight out of the buffer.
pub(crate) enum Direct {
    /// It was taken in, and is so many bytes long.
    Used(usize),
    /// The buffer ends inside it.
    More,
    /// It is not what was expected; the slow way says why.
    Unlike,
}

/// Takes a value at the beginning of bytes that may go on behind it.
pub(crate) type TakeDirect<'t> = &'t mut dyn for<'b> FnMut(&'b [u8], &'b Bump, Place) -> Result<Direct, ReadError>;

impl Walker<'_> {
    /// Lets the next object be parsed where it stands, without looking for its end first; false where it must be read the slow way.
    pub(crate) fn direct(&mut self, each: TakeDirect<'_>) -> Result<bool, ReadError> {
        if self.peek()? != Some(b'{') {
            return Ok(false);
        }
        self.compact();
        self.count_lines();
        let start = self.at;
        let place = Place {
            offset: self.base + start as u64,
            length: 0,
            line: self.line,
        };
        loop {
            self.arena.reset();
            match each(&self.buffer[start..], &self.arena, place)? {
                Direct::Used(length) => {
                    self.at = start + length;
                    return Ok(true);
                }
                Direct::More if !self.ended => self.double(start)?,
                Direct::More | Direct::Unlike => return Ok(false),
            }
        }
    }

    /// Reads as much again as there is of a value, so that a large one is not parsed over and over.
    fn double(&mut self, start: usize) -> Result<(), ReadError> {
        let goal = self.buffer.len() + (self.buffer.len() - start);
        while self.buffer.len() < goal && self.more()? {}
        if self.buffer.len() - start > self.limits.record + self.limits.chunk {
            let length = self.limits.record;
            return Err(self.limit(format!("a record is larger than {length} bytes")));
        }
        Ok(())
    }

    /// The next value, of which what is asked for is built and handed to the closure with its place. The inner error is a syntax error;
    /// then nothing is consumed.
    pub(crate) fn picked(
        &mut self,
        wanted: &Wanted,
        consume: &mut dyn FnMut(Node<'_>, Place) -> Result<(), ReadError>,
    ) -> Result<Result<(), String>, ReadError> {
        if self.peek()?.is_none() {
            return Err(self.broken("the file ends where a value should be"));
        }
        self.compact();
        self.count_lines();
        let start = self.at;
        let (offset, line) = (self.base + start as u64, self.line);
        loop {
            self.arena.reset();
            let mut cursor = Cursor::new(&self.buffer[start..], self.limits.depth, &self.arena);
            let mut node = Node::Null;
            match pick(&mut cursor, wanted, &self.arena, &mut node) {
                Ok(()) => {
                    let used = cursor.at();
                    let length = u32::try_from(used).unwrap_or(u32::MAX);
                    consume(node, Place { offset, length, line })?;
                    self.at = start + used;
                    return Ok(Ok(()));
                }
                Err(Fault::End) if !self.ended => {}
                Err(fault) => {
                    return Ok(Err(format!(
                        "{} (byte {})",
                        cursor.explain(fault),
                        offset + cursor.at() as u64
                    )));
                }
            }
            self.double(start)?;
        }
    }

    /// Passes over what is left of the line, or of a broken value, up to a line that begins with `{` or `[`; gives its place.
    pub(crate) fn pass_line(&mut self) -> Result<Place, ReadError> {
        self.count_lines();
        let place = Place {
            offset: self.base + self.at as u64,
            length: 0,
            line: self.line,
        };
        loop {
            while let Some(n) = memchr::memchr(b'\n', &self.buffer[self.at..]) {
                self.at += n + 1;
                if matches!(self.buffer.get(self.at), Some(b'{' | b'[')) {
                    return Ok(place);
                }
            }
            // The byte after a newline may be in the next chunk: keep the newline.
            let keeps = self.buffer.last() == Some(&b'\n') && !self.ended;
            self.at = self.buffer.len() - usize::from(keeps);
            self.compact();
            if !self.more()? {
                self.at = self.buffer.len();
                return Ok(place);
            }
        }
    }

    /// Passes over the next value without holding it; that its brackets match is checked, and no more.
    pub(crate) fn leap(&mut self) -> Result<(), ReadError> {
        match self.shape()? {
            Some(Shape::Object | Shape::Array) => self.leap_container(),
            _ => self.skip(),
        }
    }

    fn leap_container(&mut self) -> Result<(), ReadError> {
        let mut leap = Leap::new(self.limits.depth - self.depth);
        loop {
            let had = self.ended;
            match leap.over(&self.buffer[self.at..], self.ended) {
                Leapt::Over(n) => {
                    self.at += n;
                    return Ok(());
                }
                Leapt::On(n) => self.at += n,
                Leapt::Deep => return Err(self.limit(format!("nested more than {} deep", self.limits.depth))),
            }
            self.compact();
            if !self.more()? && had {
                return Err(self.broken("the file ends inside a value"));
            }
        }
    }
}
