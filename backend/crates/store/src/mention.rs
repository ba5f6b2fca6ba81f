//! Where a person stands in text that is not sealed under their key: what scanners found, what people wrote, originals and reports. An
//! erasure takes none of it away, so its plan and its certificate name it.

use crate::sql::{column, row, rows};
use crate::{Store, StoreError};
use flate2::read::MultiGzDecoder;
use sea_orm::Value;
use std::io::Read;
use uuid::Uuid;

/// How many records hold a person's identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Which records.
    pub records: &'static str,
    /// How many.
    pub count: u64,
}

/// Records, their table, and the columns whose text is searched.
const PLACES: [(&str, &str, &[&str]); 23] = [
    (
        "findings that name them",
        "finding",
        &["title", "message", "location", "suppression", "package"],
    ),
    ("checks that name them", "checks", &["rule", "body"]),
    ("assets that are named after them", "asset", &["key"]),
    (
        "audit events that name them in clear",
        "audit_event",
        &[
            "resource",
            "agent",
            "source",
            "action",
            "categories",
            "reasons",
            "payloads",
        ],
    ),
    (
        "waivers that name them",
        "waiver",
        &["reason", "requested_by", "decided_by", "revoked_by", "owner"],
    ),
    (
        "attestations that name them",
        "attestation",
        &["statement", "evidence", "actor"],
    ),
    (
        "rulings on assets in scope that name them",
        "asset_scope",
        &["reason", "actor"],
    ),
    (
        "rulings on requirements that name them",
        "requirement_scope",
        &["reason", "actor"],
    ),
    ("legal holds that name them", "legal_hold", &["reason", "actor"]),
    ("retention rules that name them", "retention_rule", &["reason", "actor"]),
    (
        "breaches that name them",
        "breach",
        &["title", "what_happened", "late_because", "actor"],
    ),
    (
        "processing activities that name them",
        "processing_activity",
        &[
            "name",
            "purpose",
            "subjects",
            "categories",
            "recipients",
            "transfers",
            "measures",
            "actor",
        ],
    ),
    (
        "processors that name them",
        "processor",
        &["name", "services", "webhook_url", "actor"],
    ),
    ("consents whose purpose names them", "consent", &["purpose", "actor"]),
    (
        "API tokens that name them",
        "token",
        &["name", "subject", "actor", "holder"],
    ),
    ("projects that name them", "project", &["name", "slug"]),
    (
        "sources that name them",
        "source",
        &["name", "asset", "settings", "last_error"],
    ),
    (
        "expected operations that name them",
        "expected_operation",
        &["agent", "action", "actor"],
    ),
    ("imports that name them", "import", &["part", "actor", "result"]),
    ("jobs that name them", "job", &["payload", "result"]),
    (
        "memberships of groups that are named after them",
        "membership",
        &["member_of"],
    ),
    (
        "requests of data subjects whose notes name them",
        "privacy_request",
        &["reason", "proof"],
    ),
    ("entries of the trail that name them in clear", "trail_entry", &["leaf"]),
];
/// Bytes of an original that are searched at once.
const WINDOW: usize = 1 << 20;

impl Store {
    /// Where an identifier stands in text, whatever its case.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails, or an original cannot be read.
    pub async fn mentions(&self, identifier: &str) -> Result<Vec<Mention>, StoreError> {
        let needle = identifier.to_lowercase();
        if needle.is_empty() {
            return Ok(Vec::new());
        }
        let store = self.patient();
        let spellings = spellings(&needle);
        let mut found = Vec::new();
        for (records, table, columns) in PLACES {
            let count = store.rows_with(table, columns, &spellings).await?;
            found.push(Mention { records, count });
        }
        found.push(Mention {
            records: "originals of imports that name them",
            count: store.originals_with(&spellings).await?,
        });
        found.push(Mention {
            records: "stored reports that name them",
            count: store.reports_with(&spellings).await?,
        });
        found.retain(|mention| mention.count > 0);
        Ok(found)
    }

    /// How many rows of a table hold one of the lower-case spellings, whatever the case of their letters.
    async fn rows_with(&self, table: &str, columns: &[&str], spellings: &[String]) -> Result<u64, StoreError> {
        // SQLite knows the case of ASCII letters alone: any letter may stand for another one, and is looked at here.
        let is_exact = self.is_postgres() || spellings.iter().all(|spelling| spelling.is_ascii());
        let pattern = |spelling: &String| {
            let escaped = crate::finding::escape(spelling);
            let any = |c: char| if is_exact || c.is_ascii() { c } else { '_' };
            format!("%{}%", escaped.chars().map(any).collect::<String>())
        };
        let patterns: Vec<String> = spellings.iter().map(pattern).collect();
        let mut each = Vec::new();
        let mut values: Vec<Value> = Vec::new();
        for name in columns {
            for pattern in &patterns {
                each.push(format!("lower({name}) LIKE ? ESCAPE '\\'"));
                values.push(pattern.clone().into());
            }
        }
        let each = each.join(" OR ");
        if is_exact {
            let sql = format!("SELECT count(*) AS n FROM {table} WHERE {each}");
            let counted = row(&self.read, &sql, values).await?;
            return Ok(counted
                .map_or(Ok(0), |counted| column::<i64>(&counted, "n"))?
                .unsigned_abs());
        }
        let texts: Vec<String> = columns.iter().map(|name| format!("coalesce({name}, '')")).collect();
        let shown = texts.join(" || char(10) || ");
        let sql = format!("SELECT {shown} AS shown FROM {table} WHERE {each}");
        let mut count = 0;
        for row in rows(&self.read, &sql, values).await? {
            let text = column::<String>(&row, "shown")?.to_lowercase();
            count += u64::from(spellings.iter().any(|spelling| text.contains(spelling.as_str())));
        }
        Ok(count)
    }

    async fn originals_with(&self, needles: &[String]) -> Result<u64, StoreError> {
        let mut count = 0;
        for original in rows(&self.read, "SELECT id, gzip FROM original ORDER BY id", Vec::new()).await? {
            let (id, gzip): (Uuid, bool) = (column(&original, "id")?, column(&original, "gzip")?);
            count += u64::from(self.original_holds(id, gzip, needles).await?);
        }
        Ok(count)
    }

    async fn original_holds(&self, id: Uuid, gzip: bool, needles: &[String]) -> Result<bool, StoreError> {
        let damaged = |error: std::io::Error| crate::damaged("original", id, error);
        let sql = "SELECT body FROM original_chunk WHERE original_id = ? AND n = ?";
        let mut whole = Vec::new();
        let mut carried: Vec<u8> = Vec::new();
        for n in 0_i32.. {
            let Some(piece) = row(&self.read, sql, vec![id.into(), n.into()]).await? else {
                break;
            };
            let body: Vec<u8> = column(&piece, "body")?;
            if gzip {
                // One stream over all pieces, as it came.
                whole.extend(body);
                continue;
            }
            if holds(&mut carried, &mut MultiGzDecoder::new(body.as_slice()), needles).map_err(damaged)? {
                return Ok(true);
            }
        }
        if whole.is_empty() {
            return Ok(false);
        }
        holds(&mut carried, &mut MultiGzDecoder::new(whole.as_slice()), needles).map_err(damaged)
    }

    async fn reports_with(&self, needles: &[String]) -> Result<u64, StoreError> {
        let mut count = 0;
        for report in rows(&self.read, "SELECT id FROM report ORDER BY id", Vec::new()).await? {
            let id: Uuid = column(&report, "id")?;
            let body = row(&self.read, "SELECT body FROM report WHERE id = ?", vec![id.into()]).await?;
            let body = body.map(|body| column::<Vec<u8>>(&body, "body")).transpose()?;
            let mut json = body.map_or_else(|| Ok(Vec::new()), |body| crate::assessment::unpack(&body))?;
            json.make_ascii_lowercase();
            count += u64::from(is_in(&json, needles));
        }
        Ok(count)
    }
}

/// How an identifier may be written in a file, in lower case: as it is, as JSON escapes it, and as addresses do.
fn spellings(needle: &str) -> Vec<String> {
    let escaped = |c: char, at_sign: bool| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '@' if at_sign => "\\u0040".to_owned(),
        c if c.is_ascii() => c.to_string(),
        c => c
            .encode_utf16(&mut [0; 2])
            .iter()
            .map(|unit| format!("\\u{unit:04x}"))
            .collect(),
    };
    let json = |at_sign: bool| needle.chars().map(|c| escaped(c, at_sign)).collect::<String>();
    let address: String = needle
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        })
        .collect();
    let mut all = vec![needle.to_owned(), json(false), json(true), address];
    all.sort();
    all.dedup();
    all
}

fn is_in(text: &[u8], needles: &[String]) -> bool {
    needles
        .iter()
        .any(|needle| memchr::memmem::find(text, needle.as_bytes()).is_some())
}

/// Whether a stream holds one of the lower-case needles, whatever the case of its own letters; `carried` is the end of what came before
/// it, and its own end when it is through.
fn holds(carried: &mut Vec<u8>, stream: &mut impl Read, needles: &[String]) -> std::io::Result<bool> {
    let mut window = vec![0; WINDOW];
    loop {
        let read = stream.read(&mut window)?;
        if read == 0 {
            return Ok(false);
        }
        window[..read].make_ascii_lowercase();
        carried.extend_from_slice(&window[..read]);
        if is_in(carried, needles) {
            return Ok(true);
        }
        let longest = needles.iter().map(String::len).max().unwrap_or(0);
        carried.drain(..carried.len().saturating_sub(longest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_however_it_is_escaped() {
        let needles = spellings("j\u{fc}rgen@corp");
        for text in [
            "j\u{fc}rgen@corp",
            "j\\u00fcrgen@corp",
            "j\\u00fcrgen\\u0040corp",
            "j%c3%bcrgen%40corp",
        ] {
            assert!(is_in(text.as_bytes(), &needles), "{text}");
        }
        assert!(!is_in(b"jurgen@corp", &needles));
    }

    #[test]
    fn a_needle_is_found_across_windows_and_pieces() {
        let mut carried = Vec::new();
        let first = [vec![b'x'; WINDOW - 3], b"jan".to_vec()].concat();
        let needles = spellings("jane@corp");
        assert!(!holds(&mut carried, &mut first.as_slice(), &needles).unwrap());
        assert!(holds(&mut carried, &mut b"E@Corp.example".as_slice(), &needles).unwrap());
    }
}
