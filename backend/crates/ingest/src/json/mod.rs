//! JSON without a tree: a [`Walker`] goes through a stream, a [`Cursor`] through a value that is held.

mod cursor;
mod leap;
mod records;
mod scan;
mod walker;

pub(crate) use cursor::{Cursor, Fault, text};
pub(crate) use records::Direct;
pub(crate) use walker::{Shape, Walker};
