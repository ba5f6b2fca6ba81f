//! Takes JSON apart into [`Node`]s, building only what is asked for; the rest is checked and passed over. What is built lies in an arena
//! that is used again for the next record.

use super::node::{Node, plain};
use super::path::Wanted;
use crate::json::{Cursor, Fault, text};
use bumpalo::Bump;
use bumpalo::collections::Vec;
use std::borrow::Cow;

/// Takes the next value. It is built where it will stay.
pub(crate) fn pick<'b>(
    cursor: &mut Cursor<'b>,
    wanted: &Wanted,
    arena: &'b Bump,
    to: &mut Node<'b>,
) -> Result<(), Fault> {
    if wanted.is_empty() {
        return cursor.skip();
    }
    match cursor.peek()? {
        b'"' => *to = Node::Text(cursor.quoted()?),
        b'{' => object(cursor, wanted, arena, to)?,
        b'[' => list(cursor, wanted, arena, to)?,
        b'n' => *to = cursor.null().map(|_| Node::Null)?,
        b't' | b'f' => *to = Node::Bool(cursor.truth()?),
        _ => {
            *to = Node::Number(match plain(cursor.number()?) {
                Cow::Borrowed(text) => text,
                Cow::Owned(text) => arena.alloc_str(&text),
            });
        }
    }
    Ok(())
}

fn object<'b>(cursor: &mut Cursor<'b>, wanted: &Wanted, arena: &'b Bump, to: &mut Node<'b>) -> Result<(), Fault> {
    let mut map = Vec::with_capacity_in(wanted.keys.len(), arena);
    cursor.object(|c, key| {
        let Some(wanted) = wanted.of(key) else {
            return c.skip();
        };
        map.push((text(key)?, Node::Null));
        match map.last_mut() {
            Some((_, value)) => pick(c, wanted, arena, value),
            None => Ok(()),
        }
    })?;
    *to = Node::Map(map.into_bump_slice());
    Ok(())
}

fn list<'b>(cursor: &mut Cursor<'b>, wanted: &Wanted, arena: &'b Bump, to: &mut Node<'b>) -> Result<(), Fault> {
    let mut list = Vec::new_in(arena);
    let present = wanted.only_presence();
    cursor.list(|c| {
        // Where only is asked if it is empty, what is in it is not held.
        if present && !list.is_empty() {
            return c.skip();
        }
        list.push(Node::Null);
        match list.last_mut() {
            Some(_) if present => c.skip(),
            Some(value) => pick(c, wanted, arena, value),
            None => Ok(()),
        }
    })?;
    *to = Node::List(list.into_bump_slice());
    Ok(())
}
