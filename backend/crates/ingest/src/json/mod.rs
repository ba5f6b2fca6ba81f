//! JSON without a tree: a [`Walker`] goes through a stream, a [`Cursor`] through a value that is held.

mod cursor;
mod leap;
mod scan;
mod walker;

pub(crate) use cursor::{Cursor, Fault, text};
pub(crate) use walker::{Direct, Shape, Walker};
