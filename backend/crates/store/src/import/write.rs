//! What an import writes, in bulk.

use super::rows::{Change, NewFinding, NewImport, NewResult, NewScan};
use super::{ImportTx, ROWS_AT_ONCE, state_code};
use crate::sql::{clean, cleaned, marks, run, tuples};
use crate::{StoreError, micros};
use affiant_domain::{Instant, sha256_hex};
use sea_orm::Value;
use std::collections::HashMap;
use std::sync::PoisonError;
use uuid::Uuid;

/// Findings written by one statement.
const FINDINGS_AT_ONCE: usize = 100;

impl ImportTx {
    /// Writes new findings.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_findings(
        &self,
        import: Uuid,
        findings: Vec<NewFinding>,
        now: Instant,
    ) -> Result<(), StoreError> {
        const COLUMNS: usize = 28;
        let head = "INSERT INTO finding (id, project_id, asset_id, import_id, scope_id, check_id, opened_at, recorded_at, changed_at, \
                    fingerprint, occurrence, line, place_length, place_offset, place_line, fingerprint_version, first_state, \
                    first_severity, state, severity, title, message, location, suppression, package, secret, cvss, group_key) VALUES ";
        let full = format!("{head}{}", tuples(COLUMNS, FINDINGS_AT_ONCE));
        let mut findings = findings.into_iter();
        while findings.len() > 0 {
            let count = findings.len().min(FINDINGS_AT_ONCE);
            let mut values: Vec<Value> = Vec::with_capacity(count * COLUMNS);
            for finding in findings.by_ref().take(count) {
                let (state, severity) = (state_code(finding.state), finding.severity.rank());
                values.extend([
                    finding.id.into(),
                    self.project.0.into(),
                    finding.asset.into(),
                    import.into(),
                    finding.scope.into(),
                    finding.check.into(),
                    finding.opened_at.into(),
                    micros(now).into(),
                    finding.opened_at.into(),
                    finding.fingerprint.to_be_bytes().to_vec().into(),
                    number(finding.occurrence).into(),
                    number(finding.line).into(),
                    number(finding.place.length).into(),
                    finding.place.offset.cast_signed().into(),
                    finding.place.line.cast_signed().into(),
                    affiant_domain::fingerprint::VERSION.into(),
                    state.into(),
                    severity.into(),
                    state.into(),
                    severity.into(),
                    cleaned(finding.title).into(),
                    cleaned(finding.message).into(),
                    cleaned(finding.location).into(),
                    cleaned(finding.suppression).into(),
                    cleaned(finding.package).into(),
                    cleaned(finding.secret).into(),
                    finding.cvss.into(),
                    finding.group.map(|group| group.to_be_bytes().to_vec()).into(),
                ]);
            }
            if count == FINDINGS_AT_ONCE {
                run(&self.tx, &full, values).await?;
            } else {
                run(&self.tx, &format!("{head}{}", tuples(COLUMNS, count)), values).await?;
            }
        }
        Ok(())
    }

    /// Records changes of stored findings.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn change_findings(&self, changes: &[Change], now: Instant) -> Result<(), StoreError> {
        for chunk in changes.chunks(ROWS_AT_ONCE) {
            let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * 7);
            for change in chunk {
                values.extend([
                    self.project.0.into(),
                    change.finding.into(),
                    change.scan.into(),
                    change.at.into(),
                    micros(now).into(),
                    state_code(change.state).into(),
                    change.severity.rank().into(),
                ]);
            }
            let insert = format!(
                "INSERT INTO transition (project_id, finding_id, scan_id, at, recorded_at, state, severity) VALUES {}",
                tuples(7, chunk.len())
            );
            run(&self.tx, &insert, values).await?;
            let mut groups: HashMap<(i16, i16, i64), Vec<Value>> = HashMap::new();
            for change in chunk {
                let key = (state_code(change.state), change.severity.rank(), change.at);
                groups.entry(key).or_default().push(change.finding.into());
            }
            for ((state, severity, at), ids) in groups {
                let update = format!(
                    "UPDATE finding SET state = ?, severity = ?, changed_at = ? WHERE id IN ({})",
                    marks(ids.len())
                );
                let mut values: Vec<Value> = vec![state.into(), severity.into(), at.into()];
                values.extend(ids);
                run(&self.tx, &update, values).await?;
            }
        }
        Ok(())
    }

    /// Writes the outcomes of checks.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_results(&self, results: &[NewResult], now: Instant) -> Result<(), StoreError> {
        for chunk in results.chunks(ROWS_AT_ONCE) {
            let mut values: Vec<Value> = Vec::with_capacity(chunk.len() * 8);
            for result in chunk {
                values.extend([
                    self.project.0.into(),
                    result.scan.into(),
                    result.asset.into(),
                    result.check.into(),
                    result.observed_at.into(),
                    micros(now).into(),
                    result.outcome.into(),
                    result.count.into(),
                ]);
            }
            let insert = format!(
                "INSERT INTO result (project_id, scan_id, asset_id, check_id, observed_at, recorded_at, outcome, count) VALUES {}",
                tuples(8, chunk.len())
            );
            run(&self.tx, &insert, values).await?;
        }
        Ok(())
    }

    /// Writes an import.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_import(&self, import: &NewImport<'_>, now: Instant) -> Result<(), StoreError> {
        let sql = "INSERT INTO import (id, project_id, asset_id, original_id, part, mode, format, format_version, digest, actor, result, \
                   size, completed_at, recorded_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = vec![
            import.id.into(),
            self.project.0.into(),
            import.asset.into(),
            import.original.into(),
            clean(import.part).into(),
            import.mode.to_owned().into(),
            import.format.to_owned().into(),
            clean(import.format_version).into(),
            import.digest.to_owned().into(),
            clean(import.actor).into(),
            clean(import.result).into(),
            import.size.into(),
            micros(import.completed_at).into(),
            micros(now).into(),
        ];
        run(&self.tx, sql, values).await?;
        let detail = serde_json::json!({ "import": import.id, "mode": import.mode, "part": import.part });
        let of = (import.actor, "scan.imported", Some(self.project.0));
        let mut draft = crate::people::action(of, &detail.to_string(), now);
        draft.refs = vec![
            ("import", import.id.to_string()),
            ("sha256", import.digest.to_owned()),
            ("format", import.format.to_owned()),
        ];
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(draft);
        Ok(())
    }

    /// Writes a scan, with the list of its checks.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_scan(&self, scan: &NewScan, now: Instant) -> Result<(), StoreError> {
        let body = serde_json::to_string(&scan.checks).unwrap_or_default();
        let digest = sha256_hex(body.as_bytes());
        let list = "INSERT INTO checklist (digest, body) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING";
        run(&self.tx, list, vec![digest.clone().into(), body.into()]).await?;
        let sql = "INSERT INTO scan (id, import_id, project_id, asset_id, scope_id, completed_at, recorded_at, tool, tool_version, checklist) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let values = vec![
            scan.id.into(),
            scan.import.into(),
            self.project.0.into(),
            scan.asset.into(),
            scan.scope.into(),
            scan.completed_at.into(),
            micros(now).into(),
            clean(&scan.tool).into(),
            clean(&scan.tool_version).into(),
            digest.into(),
        ];
        run(&self.tx, sql, values).await?;
        if scan.latest {
            let sql = "UPDATE scan_scope SET latest_at = ?, latest_import_id = ? WHERE id = ?";
            run(
                &self.tx,
                sql,
                vec![scan.completed_at.into(), scan.import.into(), scan.scope.into()],
            )
            .await?;
        }
        Ok(())
    }
}

fn number(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
