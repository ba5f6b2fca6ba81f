//! Records out of CSV: a head line, then a row each; comma, semicolon, tab or bar.

use super::emit::{Emit, lookups};
use super::format::Declared;
use super::node::Node;
use super::scope::{File, Scope};
use crate::source::{inflated, io_error};
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::observation::Place;
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use std::borrow::Cow;

/// What separates the fields of a head line.
pub(crate) fn separator(head: &[u8]) -> u8 {
    let count = |wanted: u8| head.iter().filter(|byte| **byte == wanted).count();
    [b',', b';', b'\t', b'|']
        .into_iter()
        .max_by_key(|byte| (count(*byte), *byte == b','))
        .unwrap_or(b',')
}

/// A column's name as paths write it: `Plugin ID` is `plugin_id`, `CVSS v2.0 Base Score` is `cvss_v2_0_base_score`.
pub(crate) fn column(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.trim().chars() {
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        } else if !out.ends_with('_') && !out.is_empty() {
            out.push('_');
        }
    }
    out.trim_end_matches('_').to_owned()
}

pub(super) fn read(
    format: &Declared,
    source: &dyn Source,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let prefix = crate::source::prefix(source, limits)?;
    let head = prefix.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator(head))
        .flexible(true)
        .from_reader(inflated(source, limits)?);
    let loops = format.loops(&Node::Null);
    let wanted = loops.whole();
    let names = reader.byte_headers().map_err(|error| broken(&error))?;
    let names: Vec<String> = names
        .iter()
        .map(|name| column(&String::from_utf8_lossy(name)))
        .collect();
    let kept: Vec<bool> = names.iter().map(|name| wanted.of(name).is_some()).collect();
    let mut emit = Emit::new(format, limits, sink);
    let mut record = csv::ByteRecord::new();
    let mut any = false;
    while reader.read_byte_record(&mut record).map_err(|error| broken(&error))? {
        if record.iter().all(|field| field.trim_ascii().is_empty()) {
            continue;
        }
        any = true;
        let place = place(&record);
        if record.len() != names.len() {
            emit.reject(
                place,
                format!("a row of {} fields under {} columns", record.len(), names.len()),
            )?;
            continue;
        }
        let fields = names.iter().zip(&kept).zip(&record).filter(|((_, kept), _)| **kept);
        let arena = Bump::new();
        let text = |field| match String::from_utf8_lossy(field) {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => arena.alloc_str(&text),
        };
        let entries = fields.map(|((name, _), field)| (name.as_str(), Node::Text(text(field))));
        let node = Node::Map(ArenaVec::from_iter_in(entries, &arena).into_bump_slice());
        emit.begin(&node)?;
        let tables = lookups(format, &node, &arena);
        let file = File {
            lookups: &tables,
            ..File::of(&node, &arena)
        };
        let scope = Scope::of(&node, &file);
        emit.whole(&loops.root, &scope, &node, place)?;
    }
    if any { Ok(()) } else { emit.begin(&Node::Null) }
}

fn place(record: &csv::ByteRecord) -> Place {
    let (line, offset) = record.position().map_or((0, 0), |p| (p.line(), p.byte()));
    let length = record.iter().map(|field| field.len() + 1).sum::<usize>();
    Place {
        offset,
        length: u32::try_from(length).unwrap_or(u32::MAX),
        line,
    }
}

/// A table that cannot be read on.
pub(crate) fn broken(error: &csv::Error) -> ReadError {
    if let csv::ErrorKind::Io(inner) = error.kind() {
        return io_error(inner);
    }
    let (line, offset) = error.position().map_or((0, 0), |p| (p.line(), p.byte()));
    ReadError::Broken {
        line,
        offset,
        what: error.to_string(),
    }
}
