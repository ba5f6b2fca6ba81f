//! Our own findings as a table: a head line with at least Title, Severity and Description; comma or semicolon.

use super::findings_json::{Given, observe};
use crate::declared::broken_table as broken;
use crate::known::Known;
use crate::sniff::Sniff;
use crate::source::inflated;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::observation::{Place, RunInfo};

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let has = |name: &str| sniff.header.iter().any(|column| column == name);
    has("title") && has("severity")
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let prefix = crate::source::prefix(source, limits)?;
    let head = prefix.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| head.iter().filter(|byte| **byte == wanted).count();
    let delimiter = if count(b';') > count(b',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .from_reader(inflated(source, limits)?);
    let columns = columns(&mut reader)?;
    sink.run(&RunInfo {
        tool: "generic".to_owned(),
        ..RunInfo::default()
    });
    let (mut record, mut known) = (csv::ByteRecord::new(), Known::default());
    loop {
        let more = reader.read_byte_record(&mut record).map_err(|error| broken(&error))?;
        if !more {
            return Ok(());
        }
        row(&columns, &record, &mut known, sink)?;
    }
}

type Setter = fn(&mut Given<'_>, &str);

/// The columns that are read, by lower-case name without spaces and underscores.
const COLUMNS: [(&str, Setter); 24] = [
    ("title", |g, v| g.title = Some(v.to_owned().into())),
    ("severity", |g, v| g.severity = Some(v.to_owned().into())),
    ("description", |g, v| g.description = Some(v.to_owned().into())),
    ("mitigation", |g, v| g.mitigation = v.to_owned().into()),
    ("date", |g, v| g.date = v.to_owned().into()),
    ("cweid", |g, v| g.cwe = serde_json::Value::String(v.to_owned())),
    ("cwe", |g, v| g.cwe = serde_json::Value::String(v.to_owned())),
    ("cve", |g, v| g.cve = v.to_owned().into()),
    ("vulnerabilityid", |g, v| g.cve = v.to_owned().into()),
    ("filepath", |g, v| g.file_path = v.to_owned().into()),
    ("url", |g, v| g.file_path = v.to_owned().into()),
    ("line", |g, v| g.line = serde_json::Value::String(v.to_owned())),
    ("vulnidfromtool", |g, v| g.vuln_id_from_tool = v.to_owned().into()),
    ("uniqueidfromtool", |g, v| g.unique_id_from_tool = v.to_owned().into()),
    ("componentname", |g, v| g.component_name = v.to_owned().into()),
    ("componentversion", |g, v| g.component_version = v.to_owned().into()),
    ("service", |g, v| g.service = v.to_owned().into()),
    ("references", |g, v| g.references = v.to_owned().into()),
    ("active", |g, v| g.active = flag(v)),
    ("falsepositive", |g, v| g.false_p = flag(v)),
    ("ismitigated", |g, v| g.is_mitigated = flag(v)),
    ("tags", |g, v| {
        g.tags = v
            .split([',', ' '])
            .filter(|t| !t.is_empty())
            .map(|tag| tag.to_owned().into())
            .collect()
    }),
    ("asset", |g, v| g.asset = v.to_owned().into()),
    ("category", |g, v| g.category = v.to_owned().into()),
];

fn flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn columns<R: std::io::Read>(reader: &mut csv::Reader<R>) -> Result<Vec<Option<Setter>>, ReadError> {
    let header = reader.byte_headers().map_err(|error| broken(&error))?;
    let names: Vec<String> = header
        .iter()
        .map(|name| {
            String::from_utf8_lossy(name)
                .to_ascii_lowercase()
                .replace([' ', '_', '-'], "")
        })
        .collect();
    for required in ["title", "severity", "description"] {
        if !names.iter().any(|name| name == required) {
            return Err(ReadError::Broken {
                line: 1,
                offset: 0,
                what: format!("the column {required} is missing"),
            });
        }
    }
    let setter = |name: &String| {
        COLUMNS
            .iter()
            .find(|(column, _)| column == name)
            .map(|(_, setter)| *setter)
    };
    Ok(names.iter().map(setter).collect())
}

fn row(
    columns: &[Option<Setter>],
    record: &csv::ByteRecord,
    known: &mut Known,
    sink: &mut dyn Sink,
) -> Result<(), ReadError> {
    let position = record.position();
    let (line, offset) = position.map_or((0, 0), |p| (p.line(), p.byte()));
    if record.iter().all(|field| field.trim_ascii().is_empty()) {
        return Ok(());
    }
    let mut given = Given::default();
    for (setter, field) in columns.iter().zip(record) {
        if let Some(setter) = setter
            && !field.is_empty()
        {
            setter(&mut given, String::from_utf8_lossy(field).trim());
        }
    }
    if given.title.is_none() || given.severity.is_none() {
        return Err(ReadError::Broken {
            line,
            offset,
            what: "a row without Title or Severity".to_owned(),
        });
    }
    let length = record.iter().map(|field| field.len() + 1).sum::<usize>();
    let place = Place {
        offset,
        length: u32::try_from(length).unwrap_or(u32::MAX),
        line,
    };
    observe(&given, ("generic", known), place, sink)
}
