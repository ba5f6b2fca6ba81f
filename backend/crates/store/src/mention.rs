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
const PLACES: [(&str, &str, &[&str]); 11] = [
    (
        "findings that name them",
        "finding",
        &["title", "message", "location", "suppression", "package"],
    ),
    ("assets that are named after them", "asset", &["key"]),
    (
        "audit events whose resource, agent or source names them",
        "audit_event",
        &["resource", "agent", "source"],
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
    (
        "breaches that name them",
        "breach",
        &["title", "what_happened", "late_because", "actor"],
    ),
    (
        "processing activities that name them",
        "processing_activity",
        &["name", "subjects", "recipients", "actor"],
    ),
    ("API tokens that name them", "token", &["name", "subject", "actor"]),
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
        let pattern = format!("%{}%", crate::finding::escape(&needle));
        let mut found = Vec::new();
        for (records, table, columns) in PLACES {
            let each: Vec<String> = columns
                .iter()
                .map(|name| format!("lower({name}) LIKE ? ESCAPE '\\'"))
                .collect();
            let sql = format!("SELECT count(*) AS n FROM {table} WHERE {}", each.join(" OR "));
            let values = vec![Value::from(pattern.clone()); columns.len()];
            let counted = row(&self.read, &sql, values).await?;
            let count = counted
                .map_or(Ok(0), |counted| column::<i64>(&counted, "n"))?
                .unsigned_abs();
            found.push(Mention { records, count });
        }
        found.push(Mention {
            records: "originals of imports that name them",
            count: self.originals_with(needle.as_bytes()).await?,
        });
        found.push(Mention {
            records: "stored reports that name them",
            count: self.reports_with(needle.as_bytes()).await?,
        });
        found.retain(|mention| mention.count > 0);
        Ok(found)
    }

    async fn originals_with(&self, needle: &[u8]) -> Result<u64, StoreError> {
        let mut count = 0;
        for original in rows(&self.read, "SELECT id, gzip FROM original ORDER BY id", Vec::new()).await? {
            let (id, gzip): (Uuid, bool) = (column(&original, "id")?, column(&original, "gzip")?);
            count += u64::from(self.original_holds(id, gzip, needle).await?);
        }
        Ok(count)
    }

    async fn original_holds(&self, id: Uuid, gzip: bool, needle: &[u8]) -> Result<bool, StoreError> {
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
            if holds(&mut carried, &mut MultiGzDecoder::new(body.as_slice()), needle).map_err(damaged)? {
                return Ok(true);
            }
        }
        if whole.is_empty() {
            return Ok(false);
        }
        holds(&mut carried, &mut MultiGzDecoder::new(whole.as_slice()), needle).map_err(damaged)
    }

    async fn reports_with(&self, needle: &[u8]) -> Result<u64, StoreError> {
        let mut count = 0;
        for report in rows(&self.read, "SELECT id FROM report ORDER BY id", Vec::new()).await? {
            let id: Uuid = column(&report, "id")?;
            let body = row(&self.read, "SELECT body FROM report WHERE id = ?", vec![id.into()]).await?;
            let body = body.map(|body| column::<Vec<u8>>(&body, "body")).transpose()?;
            let mut json = body.map_or_else(|| Ok(Vec::new()), |body| crate::assessment::unpack(&body))?;
            json.make_ascii_lowercase();
            count += u64::from(memchr::memmem::find(&json, needle).is_some());
        }
        Ok(count)
    }
}

/// Whether a stream holds the lower-case needle, whatever the case of its own letters; `carried` is the end of what came before it, and its own end when it is through.
fn holds(carried: &mut Vec<u8>, stream: &mut impl Read, needle: &[u8]) -> std::io::Result<bool> {
    let mut window = vec![0; WINDOW];
    loop {
        let read = stream.read(&mut window)?;
        if read == 0 {
            return Ok(false);
        }
        window[..read].make_ascii_lowercase();
        carried.extend_from_slice(&window[..read]);
        if memchr::memmem::find(carried, needle).is_some() {
            return Ok(true);
        }
        carried.drain(..carried.len().saturating_sub(needle.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_across_windows_and_pieces() {
        let mut carried = Vec::new();
        let first = [vec![b'x'; WINDOW - 3], b"jan".to_vec()].concat();
        assert!(!holds(&mut carried, &mut first.as_slice(), b"jane@corp").unwrap());
        assert!(holds(&mut carried, &mut b"E@Corp.example".as_slice(), b"jane@corp").unwrap());
    }
}
