//! Declarative formats: one TOML file says how to recognise a format, where its records are and which field is which.
//!
//! JSON, CSV and XML are streamed into [`Node`]s that hold only what the format asks for, in two passes where it asks for something
//! around the records: once for that, once for the records. `docs/FORMATS.md` is the reference of the TOML file.

mod compile;
mod condition;
mod emit;
mod event;
mod expr;
mod filter;
mod finding;
mod format;
mod json;
mod loops;
mod node;
mod path;
mod pick;
mod scope;
mod skeleton;
mod spec;
mod table;
mod xml;

pub(crate) use format::Container;
pub use format::{Declared, SpecError};
pub(crate) use node::Node;
pub(crate) use path::Wanted;
pub(crate) use pick::pick;
pub use skeleton::skeleton;
pub(crate) use table::{broken as broken_table, column, separator};
pub(crate) use xml::sniff as sniff_xml;

use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use scope::{File, Scope};

impl Declared {
    /// Whether a file that begins so is of this format.
    pub(crate) fn recognises(&self, sniff: &Sniff<'_>) -> bool {
        if self.container != sniff.container {
            return false;
        }
        let arena = bumpalo::Bump::new();
        let file = File::of(&sniff.node, &arena);
        let scope = Scope::of(&sniff.node, &file);
        self.recognise.iter().any(|condition| condition.holds(&scope))
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// [`ReadError`] where the file is refused whole.
    pub(crate) fn read(&self, source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let nothing = crate::source::prefix(source, limits)?.trim_ascii().is_empty();
        if nothing {
            if !self.empty {
                let what = "the file is empty".to_owned();
                return Err(ReadError::Broken {
                    line: 1,
                    offset: 0,
                    what,
                });
            }
            let mut emit = emit::Emit::new(self, limits, sink);
            emit.begin(&Node::Null)?;
            emit.sink.remark(format!(
                "the file is empty, which is how {} says that it found nothing",
                self.title
            ));
            return Ok(());
        }
        match self.container {
            Container::Json => json::read(self, source, limits, sink),
            Container::Csv => table::read(self, source, limits, sink),
            Container::Xml => xml::read(self, source, limits, sink),
        }
    }
}
