//! What an expression can see: the record, the elements around it, the file, and rows of lookups.

use super::node::Node;
use super::path::{Path, Start};
use bumpalo::Bump;
use std::borrow::Cow;
use std::collections::HashMap;

/// An element and those around it, innermost first.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'s> {
    /// The element.
    pub(crate) node: &'s Node<'s>,
    /// Its key in the object around it; empty in a list.
    pub(crate) key: &'s str,
    /// The element around it.
    pub(crate) around: Option<&'s Scope<'s>>,
    /// What is the same for the whole file.
    pub(crate) file: &'s File<'s>,
}

/// What is the same for the whole file.
#[derive(Clone, Copy)]
pub(crate) struct File<'s> {
    /// What was asked for of the file.
    pub(crate) head: &'s Node<'s>,
    /// Lookups: rows by key.
    pub(crate) lookups: &'s [Lookup<'s>],
    /// The row of each lookup that the record names.
    pub(crate) rows: &'s [Option<(&'s str, &'s Node<'s>)>],
    /// Where texts are made.
    pub(crate) arena: &'s Bump,
}

impl<'s> File<'s> {
    /// A file of which only this is known.
    pub(crate) const fn of(head: &'s Node<'s>, arena: &'s Bump) -> Self {
        Self {
            head,
            lookups: &[],
            rows: &[],
            arena,
        }
    }
}

/// A table inside the file that records refer to.
pub(crate) struct Lookup<'s> {
    /// Its name in paths.
    pub(crate) name: &'s str,
    /// Its rows.
    pub(crate) rows: HashMap<Cow<'s, str>, &'s Node<'s>>,
}

impl<'s> Scope<'s> {
    /// The outermost element.
    pub(crate) const fn of(node: &'s Node<'s>, file: &'s File<'s>) -> Self {
        Self {
            node,
            key: "",
            around: None,
            file,
        }
    }

    /// Hands each value at a path to the closure.
    pub(crate) fn walk(&self, path: &Path, give: &mut dyn FnMut(&'s str)) {
        if path.is_of_key() {
            self.key_of(path).into_iter().for_each(give);
        } else if let Some(node) = self.start(&path.start) {
            path.walk(node, &mut |found| {
                found.each(&mut |one| one.text().into_iter().for_each(&mut *give))
            });
        }
    }

    /// The first value at a path.
    pub(crate) fn first(&self, path: &Path) -> Option<&'s str> {
        if path.is_of_key() {
            return self.key_of(path);
        }
        path.first(self.start(&path.start)?)
    }

    /// Hands each value at a path, as it is, to the closure.
    pub(crate) fn nodes(&self, path: &Path, give: &mut dyn FnMut(&'s Node<'s>)) {
        if let Some(node) = self.start(&path.start) {
            path.walk(node, give);
        }
    }

    fn key_of(&self, path: &Path) -> Option<&'s str> {
        let key = match &path.start {
            Start::Up(up) => self.up(*up)?.key,
            Start::File => return None,
            Start::Row(name) => self.row(name)?.0,
        };
        Some(key).filter(|key| !key.is_empty())
    }

    fn start(&self, start: &Start) -> Option<&'s Node<'s>> {
        match start {
            Start::Up(up) => self.up(*up).map(|scope| scope.node),
            Start::File => Some(self.file.head),
            Start::Row(name) => self.row(name).map(|(_, node)| node),
        }
    }

    fn up(&self, up: usize) -> Option<&Scope<'s>> {
        let mut scope = self;
        for _ in 0..up {
            scope = scope.around?;
        }
        Some(scope)
    }

    fn row(&self, name: &str) -> Option<(&'s str, &'s Node<'s>)> {
        let at = self.file.lookups.iter().position(|lookup| lookup.name == name)?;
        self.file.rows.get(at).copied().flatten()
    }
}
