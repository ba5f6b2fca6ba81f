//! Takes JSON apart into [`Node`]s, building only what is asked for; the rest is checked and passed over. What is built lies in an arena
//! that is used again for the next record.

use super::node::{Many, Node};
use super::path::Wanted;
use crate::json::{Cursor, Fault};
use bumpalo::Bump;
use bumpalo::collections::Vec;
use std::borrow::Cow;

/// Takes the next value.
pub(crate) fn pick<'b>(cursor: &mut Cursor<'b>, wanted: &Wanted, arena: &'b Bump) -> Result<Node<'b>, Fault> {
    if wanted.is_empty() {
        return cursor.skip().map(|()| Node::Null);
    }
    match cursor.peek()? {
        b'"' => Ok(Node::Text(lent(cursor.quoted()?, arena))),
        b'{' => object(cursor, wanted, arena),
        b'[' => list(cursor, wanted, arena),
        b'n' => cursor.null().map(|_| Node::Null),
        b't' | b'f' => cursor.truth().map(Node::Bool),
        _ => cursor.number().map(number),
    }
}

fn object<'b>(cursor: &mut Cursor<'b>, wanted: &Wanted, arena: &'b Bump) -> Result<Node<'b>, Fault> {
    let mut map = Vec::new_in(arena);
    cursor.object(|c, key| {
        match wanted.of(key) {
            Some(wanted) => {
                let value = pick(c, wanted, arena)?;
                map.push((lent(key.clone(), arena), value));
            }
            None => c.skip()?,
        }
        Ok(())
    })?;
    Ok(Node::Map(Many::Lent(map.into_bump_slice())))
}

fn list<'b>(cursor: &mut Cursor<'b>, wanted: &Wanted, arena: &'b Bump) -> Result<Node<'b>, Fault> {
    let mut list = Vec::new_in(arena);
    let present = wanted.only_presence();
    cursor.list(|c| {
        if present {
            // Whether it is empty is known; what is in it is not held.
            if list.is_empty() {
                list.push(Node::Null);
            }
            return c.skip();
        }
        list.push(pick(c, wanted, arena)?);
        Ok(())
    })?;
    Ok(Node::List(Many::Lent(list.into_bump_slice())))
}

fn lent<'b>(text: Cow<'b, str>, arena: &'b Bump) -> Cow<'b, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text),
        Cow::Owned(text) => Cow::Borrowed(arena.alloc_str(&text)),
    }
}

/// A number; a whole one that is too large for 64 bits stays as it is written.
fn number(text: &str) -> Node<'_> {
    if let Ok(whole) = text.parse() {
        return Node::Int(whole);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Node::Text(Cow::Borrowed(text));
    }
    Node::Float(text.parse().unwrap_or(f64::NAN))
}
