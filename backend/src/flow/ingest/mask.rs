//! Takes secrets out of a scanner's file before anything of it is kept.
//!
//! The file is read once for them; then it is written anew with a stand-in of the same length in the place of each, so that every
//! other byte stays where it was. What cannot be masked for certain is not kept.

use crate::flow::FlowError;
use crate::keys::Key;
use affiant_domain::audit::AuditEvent;
use affiant_domain::observation::{Observation, Place};
use affiant_ingest::{FileSource, Format, Limits, Rejection, Sink, Stop, inflate};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Bytes of secrets that are remembered at most.
const MOST: usize = 64 << 20;
/// Shorter secrets are masked only where they are a whole value.
const SHORT: usize = 6;

/// What came of masking.
pub(super) enum Masked {
    /// The file holds no secrets.
    Clean,
    /// The file, with stand-ins.
    File(NamedTempFile),
    /// It holds secrets that could not be found in its bytes.
    Impossible,
}

/// Collects the secrets of a file with the places of their records.
#[derive(Default)]
struct Secrets {
    pending: Vec<String>,
    found: Vec<(Place, Vec<String>)>,
    bytes: usize,
    unsure: bool,
}

impl Sink for Secrets {
    fn observation(&mut self, observation: Observation<'_>) -> Result<(), Stop> {
        if !self.pending.is_empty() {
            self.found.push((observation.place, std::mem::take(&mut self.pending)));
        }
        if self.bytes > MOST {
            self.unsure = true;
            return Err(Stop);
        }
        Ok(())
    }
    fn event(&mut self, _: AuditEvent, _: Place) -> Result<(), Stop> {
        Ok(())
    }
    fn reject(&mut self, _: Rejection) -> Result<(), Stop> {
        // What is in a record that cannot be read is not known.
        self.unsure = true;
        Err(Stop)
    }
    fn secret(&mut self, secret: &str) {
        let secret = secret.trim();
        if !secret.is_empty() {
            self.bytes += secret.len();
            self.pending.push(secret.to_owned());
        }
    }
}

/// Masks a file. A file that cannot be read is left to the import, which says why.
pub(super) fn mask(
    path: &Path,
    format: &Format,
    limits: &Limits,
    key: &Key,
    spool: &Path,
) -> Result<Masked, FlowError> {
    let source = FileSource(path.to_owned());
    match format.secret_marks() {
        None => return Ok(Masked::Clean),
        Some(marks) if !marks.is_empty() && !holds_any(inflate(&source, limits)?, marks) => return Ok(Masked::Clean),
        Some(_) => {}
    }
    let mut secrets = Secrets::default();
    let read = format.read(&source, limits, &mut secrets);
    if secrets.unsure {
        return Ok(Masked::Impossible);
    }
    if read.is_err() || secrets.found.is_empty() {
        return Ok(Masked::Clean);
    }
    let failed = |error| FlowError::Io(spool.display().to_string(), error);
    let file = NamedTempFile::new_in(spool).map_err(failed)?;
    let reader = inflate(&source, limits)?;
    write(
        reader,
        &mut std::io::BufWriter::new(file.as_file()),
        &mut secrets.found,
        key,
    )
    .map_err(failed)?;
    Ok(if is_masked(&file, format, limits, &secrets.found) {
        Masked::File(file)
    } else {
        Masked::Impossible
    })
}

/// Whether any of these words is among the bytes. What cannot be read is left to the import.
fn holds_any(mut reader: impl Read, words: &[&str]) -> bool {
    const OVERLAP: usize = 32;
    let mut buffer = vec![0; 1 << 20];
    let mut have = 0;
    loop {
        let n = reader.read(&mut buffer[have..]).unwrap_or(0);
        let bytes = &buffer[..have + n];
        if words
            .iter()
            .any(|word| memchr::memmem::find(bytes, word.as_bytes()).is_some())
        {
            return true;
        }
        if n == 0 {
            return false;
        }
        let keep = OVERLAP.min(have + n);
        buffer.copy_within(have + n - keep..have + n, 0);
        have = keep;
    }
}

/// Copies a file, record by record where there are secrets.
fn write(
    mut reader: impl Read,
    out: &mut impl Write,
    found: &mut [(Place, Vec<String>)],
    key: &Key,
) -> std::io::Result<()> {
    found.sort_by_key(|(place, _)| place.offset);
    let mut at = 0;
    let mut record = Vec::new();
    let mut of_record: Vec<&String> = Vec::new();
    for (n, (place, secrets)) in found.iter().enumerate() {
        of_record.extend(secrets);
        if found.get(n + 1).is_some_and(|(next, _)| next.offset == place.offset) {
            continue;
        }
        if place.offset < at {
            of_record.clear();
            continue;
        }
        std::io::copy(&mut reader.by_ref().take(place.offset - at), out)?;
        record.clear();
        reader.by_ref().take(u64::from(place.length)).read_to_end(&mut record)?;
        // The longest first: one may be part of another.
        of_record.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in of_record.drain(..) {
            replace(&mut record, secret, key);
        }
        out.write_all(&record)?;
        at = place.offset + record.len() as u64;
    }
    std::io::copy(&mut reader, out)?;
    out.flush()
}

/// Puts the stand-in in the place of a secret, as it may be written in JSON.
fn replace(record: &mut [u8], secret: &str, key: &Key) {
    for form in forms(secret) {
        let whole = if secret.len() < SHORT {
            format!("\"{form}\"")
        } else {
            form
        };
        let needle = whole.as_bytes();
        let stand_in = key.stand_in(&whole).into_bytes();
        let quoted = secret.len() < SHORT;
        let mut from = 0;
        while let Some(n) = memchr::memmem::find(&record[from..], needle) {
            let (start, end) = (from + n, from + n + needle.len());
            // A short text between quotes may be a key.
            let is_key = quoted && record[end..].trim_ascii_start().first() == Some(&b':');
            if quoted && !is_key {
                record[start + 1..end - 1].copy_from_slice(&stand_in[1..stand_in.len() - 1]);
            } else if !is_key {
                record[start..end].copy_from_slice(&stand_in);
            }
            from = end;
        }
    }
}

/// The ways in which JSON may write a text: as it is, escaped, with `<>&` or all but ASCII as `\u….`, or with `\/`.
fn forms(secret: &str) -> BTreeSet<String> {
    let escaped = serde_json::to_string(secret).unwrap_or_default();
    let escaped = escaped.trim_start_matches('"');
    let escaped = escaped.strip_suffix('"').unwrap_or(escaped).to_owned();
    let unicode = |text: &str, which: fn(char) -> bool| {
        let mut out = String::new();
        for c in text.chars() {
            if which(c) {
                let mut units = [0; 2];
                c.encode_utf16(&mut units)
                    .iter()
                    .for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            } else {
                out.push(c);
            }
        }
        out
    };
    let html = unicode(&escaped, |c| matches!(c, '<' | '>' | '&'));
    let ascii = unicode(&escaped, |c| !c.is_ascii());
    let slashes = escaped.replace('/', "\\/");
    [secret.to_owned(), escaped, html, ascii, slashes]
        .into_iter()
        .filter(|form| !form.is_empty())
        .collect()
}

/// Reads the masked file again: none of the secrets may be told by it.
fn is_masked(file: &NamedTempFile, format: &Format, limits: &Limits, found: &[(Place, Vec<String>)]) -> bool {
    let mut again = Secrets::default();
    if format
        .read(&FileSource(file.path().to_owned()), limits, &mut again)
        .is_err()
    {
        return false;
    }
    let known: BTreeSet<&str> = found
        .iter()
        .flat_map(|(_, all)| all.iter().map(String::as_str))
        .collect();
    let told = again
        .found
        .iter()
        .flat_map(|(_, all)| all)
        .any(|secret| known.contains(secret.as_str()));
    !told && again.found.len() == found.len()
}
