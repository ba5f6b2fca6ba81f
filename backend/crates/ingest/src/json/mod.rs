//! JSON without a tree: a [`Walker`] goes through a stream, a [`Cursor`] through a value that is held.

mod cursor;
mod scan;
mod walker;

pub(crate) use cursor::{Cursor, Fault};
pub(crate) use walker::{Direct, Shape, Walker};
