//! Records out of JSON: a document, walked without holding it, or values one after the other.

use super::emit::{Emit, lookups};
use super::format::Declared;
use super::loops::{Loop, Loops};
use super::node::{Index, Node};
use super::path::Wanted;
use super::scope::{File, Scope};
use crate::json::{Shape, Walker};
use crate::sniff::{Sniff, is_lines};
use crate::{Limits, ReadError, Sink, Source};
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;

pub(super) fn read(
    format: &Declared,
    source: &dyn Source,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let prefix = crate::source::prefix(source, limits)?;
    let loops = format.loops(&Sniff::of(&prefix, &Bump::new()).node);
    let mut emit = Emit::new(format, limits, sink);
    if is_lines(&prefix) {
        return values(&mut emit, &loops, &mut Walker::open(source, limits)?);
    }
    document(&mut emit, &loops, source, limits)
}

/// A single document: first what is asked of it around its records, then the records.
fn document(emit: &mut Emit<'_>, loops: &Loops, source: &dyn Source, limits: &Limits) -> Result<(), ReadError> {
    let arena = Bump::new();
    let head = if loops.head.is_empty() {
        Node::Null
    } else {
        around(&mut Walker::open(source, limits)?, &loops.head, &arena, &mut 0)?
    };
    emit.begin(&head)?;
    let tables = lookups(emit.format, &head, &arena);
    let file = File {
        lookups: &tables,
        ..File::of(&head, &arena)
    };
    let scope = Scope::of(&head, &file);
    let mut walker = Walker::open(source, limits)?;
    if walker.shape()?.is_none() {
        return Err(walker.broken("the file is empty"));
    }
    let is_object = walker.shape()? == Some(Shape::Object);
    go(&mut walker, &loops.root, &scope, &head, emit)?;
    // Values one after the other, of which the first is pretty-printed or long.
    if is_object && walker.shape()? == Some(Shape::Object) {
        return values(emit, loops, &mut walker);
    }
    walker.finish()
}

/// Builds what is asked of a value, without holding the rest.
fn around<'n>(
    walker: &mut Walker<'_>,
    wanted: &Wanted,
    arena: &'n Bump,
    count: &mut u64,
) -> Result<Node<'n>, ReadError> {
    *count += 1;
    if *count > HEAD {
        return Err(walker.broken(format!("more than {HEAD} values stand around the records")));
    }
    let present = wanted.only_presence();
    match walker.shape()? {
        Some(Shape::Object) if present => walker.leap().map(|()| Node::Map(&[])),
        Some(Shape::Array) if present => {
            // Whether it is empty is known; what is in it is not held.
            let mut all: &[Node<'_>] = &[];
            walker.array(|w, _| {
                all = &[Node::Null];
                w.leap()
            })?;
            Ok(Node::List(all))
        }
        Some(Shape::Object) if !wanted.whole => {
            let mut map = ArenaVec::new_in(arena);
            walker.object(|w, key| match wanted.of(key) {
                Some(inner) => {
                    map.push((&*arena.alloc_str(key), around(w, inner, arena, count)?));
                    Ok(())
                }
                None => w.leap(),
            })?;
            Ok(Node::Map(map.into_bump_slice()))
        }
        Some(Shape::Array) if !wanted.whole => {
            let mut list = ArenaVec::new_in(arena);
            walker.array(|w, _| {
                list.push(around(w, wanted, arena, count)?);
                Ok(())
            })?;
            Ok(Node::List(list.into_bump_slice()))
        }
        Some(_) => Ok(Node::of(&walker.parse("a value")?, arena)),
        None => Err(walker.broken("the file is empty")),
    }
}

static NOTHING: Node<'static> = Node::Null;

/// Values around the records that are held at most.
const HEAD: u64 = 1_000_000;

/// Walks towards the records. `around` is the element that was entered last, `head` what was asked of the file at this point.
fn go(
    walker: &mut Walker<'_>,
    at: &Loop,
    around: &Scope<'_>,
    head: &Node<'_>,
    emit: &mut Emit<'_>,
) -> Result<(), ReadError> {
    if !at.records.is_empty() {
        return record(walker, at, around, emit);
    }
    match walker.shape()? {
        Some(Shape::Array) => walker.array(|w, n| {
            let head = match head {
                Node::List(all) => all.get(n).unwrap_or(&NOTHING),
                _ => &NOTHING,
            };
            match at.elements.as_deref() {
                Some(next) => enter(w, next, around, (head, ""), emit),
                None => go(w, at, around, head, emit),
            }
        }),
        Some(Shape::Object) => {
            if let Some(next) = at.elements.as_deref().filter(|_| at.names.is_empty()) {
                return enter(walker, next, around, (head, ""), emit);
            }
            let entries = Index::of(head);
            walker.object(|w, key| {
                let head = entries.get(key).unwrap_or(&NOTHING);
                match (at.by(key), &at.values) {
                    (Some(next), _) => go(w, next, around, head, emit),
                    (None, Some(next)) => enter(w, next, around, (head, key), emit),
                    (None, None) => w.leap(),
                }
            })
        }
        _ => {
            let is_null = walker.value()? == b"null";
            if is_null {
                Ok(())
            } else {
                Err(walker.broken("a list or an object should be here"))
            }
        }
    }
}

/// Goes into an element.
fn enter(
    walker: &mut Walker<'_>,
    at: &Loop,
    around: &Scope<'_>,
    (head, key): (&Node<'_>, &str),
    emit: &mut Emit<'_>,
) -> Result<(), ReadError> {
    let scope = Scope {
        node: head,
        key,
        around: Some(around),
        file: around.file,
    };
    go(walker, at, &scope, head, emit)
}

/// The record that comes next; the scope given is its own as far as the file was asked for it.
fn record(walker: &mut Walker<'_>, at: &Loop, scope: &Scope<'_>, emit: &mut Emit<'_>) -> Result<(), ReadError> {
    let texts = at.records.iter().filter_map(|n| emit.format.records.get(*n));
    let texts = texts.into_iter().any(|rule| rule.texts);
    let read = walker.picked(&at.wanted, &mut |node, place| {
        if !(matches!(node, Node::Map(_)) || texts && matches!(node, Node::Text(_))) {
            return match node {
                Node::Null => Ok(()),
                _ => emit.reject(place, "a record that is not an object".to_owned()),
            };
        }
        emit.record(&at.records, &Scope { node: &node, ..*scope }, place)
    })?;
    read.map_err(|what| walker.broken(what))
}

/// Values one after the other, usually one a line. One that is broken is rejected, and reading goes on at the next line.
fn values(emit: &mut Emit<'_>, loops: &Loops, walker: &mut Walker<'_>) -> Result<(), ReadError> {
    let wanted = loops.whole();
    while walker.shape()?.is_some() {
        let read = walker.picked(&wanted, &mut |node, place| {
            if !node.is_container() {
                return emit.reject(place, "the line is not a JSON object".to_owned());
            }
            emit.begin(&node)?;
            let arena = Bump::new();
            let tables = lookups(emit.format, &node, &arena);
            let file = File {
                lookups: &tables,
                ..File::of(&node, &arena)
            };
            let scope = Scope::of(&node, &file);
            emit.whole(&loops.root, &scope, &node, place)
        })?;
        if let Err(why) = read {
            let place = walker.pass_line()?;
            emit.reject(place, format!("not JSON: {why}"))?;
        }
    }
    Ok(())
}
