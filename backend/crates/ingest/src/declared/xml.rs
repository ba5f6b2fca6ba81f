//! Records out of XML. Names are taken without their namespace prefix, attributes with `@`; entities other than the five of XML itself
//! and characters are left as they stand, and nothing outside the file is ever read.

use super::emit::{Emit, lookups};
use super::format::Declared;
use super::loops::{Loop, Loops};
use super::node::{Index, Node};
use super::path::Wanted;
use super::scope::{File, Scope};
use crate::source::{inflated, io_error};
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::observation::Place;
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

pub(super) fn read(
    format: &Declared,
    source: &dyn Source,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let prefix = crate::source::prefix(source, limits)?;
    let arena = Bump::new();
    let loops = format.loops(&sniff(&prefix, &arena).unwrap_or(Node::Null));
    let mut emit = Emit::new(format, limits, sink);
    let head = if loops.head.is_empty() {
        Node::Null
    } else {
        Document::open(source, limits)?.head(&loops, &arena)?
    };
    emit.begin(&head)?;
    let tables = lookups(format, &head, &arena);
    let file = File {
        lookups: &tables,
        ..File::of(&head, &arena)
    };
    let scope = Scope::of(&head, &file);
    let mut document = Document::open(source, limits)?;
    document.root(&loops.root, &scope, &mut emit)?;
    document.finish()
}

/// The first element of a file that begins so, as far as it goes.
pub(crate) fn sniff<'n>(prefix: &[u8], arena: &'n Bump) -> Option<Node<'n>> {
    let text = prefix.trim_ascii_start();
    if !text.starts_with(b"<") {
        return None;
    }
    let whole = Wanted {
        whole: true,
        ..Wanted::default()
    };
    let mut document = Document::over(Box::new(prefix), &Limits::default());
    let mut entries = ArenaVec::new_in(arena);
    document.collect(&whole, &mut entries, &mut String::new()).ok();
    (!entries.is_empty()).then_some(Node::Map(entries.into_bump_slice()))
}

struct Document<'d> {
    reader: Reader<Lines<BufReader<Box<dyn Read + Send + 'd>>>>,
    buffer: Vec<u8>,
    depth: usize,
    /// Elements that are held.
    held: u64,
    limits: Limits,
    /// What was built of the present record.
    arena: Bump,
}

/// Children of an element, and its attributes.
type Entries<'n> = ArenaVec<'n, (&'n str, Node<'n>)>;

/// Elements that are held at most: around the records, or in one of them.
const HELD: u64 = 1_000_000;

/// What comes next.
enum Next {
    Start(BytesStart<'static>, bool),
    Text(String),
    End,
    Eof,
}

impl<'d> Document<'d> {
    fn open(source: &'d dyn Source, limits: &Limits) -> Result<Self, ReadError> {
        Ok(Self::over(inflated(source, limits)?, limits))
    }

    fn over(reader: Box<dyn Read + Send + 'd>, limits: &Limits) -> Self {
        let lines = Lines {
            inner: BufReader::with_capacity(256 << 10, reader),
            line: 1,
        };
        Self {
            reader: Reader::from_reader(lines),
            buffer: Vec::new(),
            depth: 0,
            held: 0,
            limits: *limits,
            arena: Bump::new(),
        }
    }

    fn place(&self) -> Place {
        Place {
            offset: self.reader.buffer_position(),
            length: 0,
            line: self.reader.get_ref().line,
        }
    }

    fn broken(&self, what: impl Into<String>) -> ReadError {
        let Place { offset, line, .. } = self.place();
        ReadError::Broken {
            line,
            offset,
            what: what.into(),
        }
    }

    fn next(&mut self) -> Result<Next, ReadError> {
        loop {
            self.buffer.clear();
            let event = match self.reader.read_event_into(&mut self.buffer) {
                Ok(event) => event,
                Err(quick_xml::Error::Io(error)) => return Err(io_error(&error)),
                Err(error) => return Err(self.broken(format!("not XML: {error}"))),
            };
            let next = match event {
                Event::Start(start) => Next::Start(start.into_owned(), false),
                Event::Empty(start) => Next::Start(start.into_owned(), true),
                Event::End(_) => Next::End,
                Event::Text(text) => Next::Text(text.xml10_content().into_owned()),
                Event::CData(text) => Next::Text(text.to_string()),
                Event::GeneralRef(entity) => {
                    let name = entity.to_string();
                    let character = entity.resolve_char_ref().ok().flatten().map(String::from);
                    let known = quick_xml::escape::resolve_xml_entity(&name).map(str::to_owned);
                    Next::Text(character.or(known).unwrap_or_else(|| format!("&{name};")))
                }
                Event::Eof => Next::Eof,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => continue,
            };
            match &next {
                Next::Start(_, false) => {
                    self.depth += 1;
                    if self.depth > self.limits.depth {
                        let what = format!("nested more than {} deep", self.limits.depth);
                        return Err(ReadError::Limit {
                            line: self.place().line,
                            what,
                        });
                    }
                }
                Next::End => self.depth = self.depth.saturating_sub(1),
                Next::Eof if self.depth > 0 => return Err(self.broken("the file ends inside an element")),
                _ => {}
            }
            return Ok(next);
        }
    }

    /// The one element of the document.
    fn root(&mut self, at: &Loop, file: &Scope<'_>, emit: &mut Emit<'_>) -> Result<(), ReadError> {
        loop {
            match self.next()? {
                Next::Start(start, empty) => {
                    let name = name(&start);
                    let Some(next) = at.by(&name) else {
                        return Err(self.broken(format!("the root element is {name}, which is not of this format")));
                    };
                    return self.step(
                        (&start, empty),
                        next,
                        file,
                        file.node.get(&name).unwrap_or(&NOTHING),
                        emit,
                    );
                }
                Next::Text(text) if text.trim().is_empty() => {}
                _ => return Err(self.broken("the file holds no element")),
            }
        }
    }

    /// Only white space may follow the document.
    fn finish(&mut self) -> Result<(), ReadError> {
        loop {
            match self.next()? {
                Next::Eof => return Ok(()),
                Next::Text(text) if text.trim().is_empty() => {}
                _ => return Err(self.broken("something follows the end of the document")),
            }
        }
    }

    /// What is asked of the file around its records.
    fn head<'n>(mut self, loops: &Loops, arena: &'n Bump) -> Result<Node<'n>, ReadError> {
        let mut entries = ArenaVec::new_in(arena);
        self.collect(&loops.head, &mut entries, &mut String::new())?;
        Ok(Node::Map(entries.into_bump_slice()))
    }

    /// The children up to the end of the present element, as far as they are wanted. Entries are kept where the file is cut.
    fn collect<'n>(&mut self, wanted: &Wanted, entries: &mut Entries<'n>, text: &mut String) -> Result<(), ReadError> {
        loop {
            match self.next()? {
                Next::Start(start, empty) => match wanted.of(name(&start)) {
                    Some(inner) => self.element(&start, empty, inner, entries)?,
                    None if empty => {}
                    None => self.pass()?,
                },
                Next::Text(part) => {
                    if text.len() + part.len() > self.limits.record {
                        let what = format!("a text is larger than {} bytes", self.limits.record);
                        return Err(ReadError::Limit {
                            line: self.place().line,
                            what,
                        });
                    }
                    text.push_str(&part);
                }
                Next::End | Next::Eof => return Ok(()),
            }
        }
    }

    fn element<'n>(
        &mut self,
        start: &BytesStart<'_>,
        empty: bool,
        wanted: &Wanted,
        entries: &mut Entries<'n>,
    ) -> Result<(), ReadError> {
        self.held += 1;
        if self.held > HELD {
            return Err(self.broken(format!("more than {HELD} elements are asked for at once")));
        }
        let arena: &'n Bump = entries.bump();
        let name = &*arena.alloc_str(&name(start));
        if wanted.only_presence() {
            entries.push((name, Node::Map(&[])));
            return if empty { Ok(()) } else { self.pass() };
        }
        let mut inner = self.attributes(start, wanted, arena)?;
        if !wanted.whole && wanted.of("#all").is_some() && !empty {
            inner.push(("#all", Node::Text(arena.alloc_str(&self.all_text()?))));
            entries.push((name, Node::Map(inner.into_bump_slice())));
            return Ok(());
        }
        let mut text = String::new();
        let read = if empty {
            Ok(())
        } else {
            self.collect(wanted, &mut inner, &mut text)
        };
        let trimmed = text.trim();
        let takes_text = wanted.whole || wanted.of("#text").is_some();
        let node = if inner.is_empty() && takes_text {
            Node::Text(arena.alloc_str(trimmed))
        } else {
            if takes_text && !trimmed.is_empty() {
                inner.push(("#text", Node::Text(arena.alloc_str(trimmed))));
            }
            Node::Map(inner.into_bump_slice())
        };
        entries.push((name, node));
        read
    }

    fn attributes<'n>(
        &self,
        start: &BytesStart<'_>,
        wanted: &Wanted,
        arena: &'n Bump,
    ) -> Result<Entries<'n>, ReadError> {
        let mut found = ArenaVec::new_in(arena);
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| self.broken(format!("not XML: {error}")))?;
            let key = format!("@{}", local(attribute.key.as_ref()));
            if wanted.of(&key).is_some() {
                let value = attribute
                    .normalized_value(XmlVersion::Implicit1_0)
                    .map_or_else(|_| attribute.value.to_string(), Cow::into_owned);
                found.push((&*arena.alloc_str(&key), Node::Text(arena.alloc_str(&value))));
            }
        }
        Ok(found)
    }

    /// All text up to the end of the present element, that of the elements in it too.
    fn all_text(&mut self) -> Result<String, ReadError> {
        let depth = self.depth - 1;
        let mut text = String::new();
        while self.depth > depth {
            match self.next()? {
                Next::Text(part) if text.len() < self.limits.record => text.push_str(&part),
                Next::Eof => return Err(self.broken("the file ends inside an element")),
                _ => {}
            }
        }
        Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Passes over the rest of the present element.
    fn pass(&mut self) -> Result<(), ReadError> {
        let depth = self.depth - 1;
        while self.depth > depth {
            if matches!(self.next()?, Next::Eof) {
                return Err(self.broken("the file ends inside an element"));
            }
        }
        Ok(())
    }

    /// Walks the children of the present element towards the records. `around` is the element of a level that was entered last, `head`
    /// what was asked of the file at this point.
    fn children(
        &mut self,
        at: &Loop,
        around: &Scope<'_>,
        head: &Node<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<(), ReadError> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let entries = Index::of(head);
        loop {
            match self.next()? {
                Next::Start(start, empty) => {
                    let name = name(&start);
                    let n = seen.entry(name.clone()).or_default();
                    let head = entries.nth(&name, *n).unwrap_or(&NOTHING);
                    *n += 1;
                    match at.by(&name) {
                        Some(next) => self.step((&start, empty), next, around, head, emit)?,
                        None if empty => {}
                        None => self.pass()?,
                    }
                }
                Next::End | Next::Eof => return Ok(()),
                Next::Text(_) => {}
            }
        }
    }

    /// One element on the way, or a record.
    fn step(
        &mut self,
        (start, empty): (&BytesStart<'_>, bool),
        at: &Loop,
        around: &Scope<'_>,
        head: &Node<'_>,
        emit: &mut Emit<'_>,
    ) -> Result<(), ReadError> {
        let Some(next) = at.elements.as_deref() else {
            return if empty {
                Ok(())
            } else {
                self.children(at, around, head, emit)
            };
        };
        let scope = Scope {
            node: head,
            key: "",
            around: Some(around),
            file: around.file,
        };
        if next.records.is_empty() {
            return if empty {
                Ok(())
            } else {
                self.children(next, &scope, head, emit)
            };
        }
        let mut place = self.place();
        place.offset = place.offset.saturating_sub(start.len() as u64 + 2);
        let mut arena = std::mem::take(&mut self.arena);
        arena.reset();
        let mut entries = ArenaVec::new_in(&arena);
        self.held = 0;
        self.element(start, empty, &next.wanted, &mut entries)?;
        place.length = u32::try_from(self.place().offset.saturating_sub(place.offset)).unwrap_or(u32::MAX);
        let node = entries.pop().map_or(Node::Null, |(_, node)| node);
        emit.record(&next.records, &Scope { node: &node, ..scope }, place)?;
        drop(entries);
        self.arena = arena;
        Ok(())
    }
}

static NOTHING: Node<'static> = Node::Null;

fn name(start: &BytesStart<'_>) -> String {
    local(start.name().as_ref()).to_owned()
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// Counts the lines that were read.
struct Lines<R> {
    inner: R,
    line: u64,
}

impl<R: BufRead> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buffer)
    }
}

impl<R: BufRead> BufRead for Lines<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, n: usize) {
        if let Ok(bytes) = self.inner.fill_buf() {
            self.line += memchr::memchr_iter(b'\n', &bytes[..n.min(bytes.len())]).count() as u64;
        }
        self.inner.consume(n);
    }
}
