//! What an import writes, in bulk, before it is visible.

use super::rows::{Change, NewFinding, NewResult, NewScan};
use super::{PendingImport, ROWS_AT_ONCE, state_code};
use crate::connection::Transaction;
use crate::sql::{clean, cleaned, run, tuples};
use crate::{StoreError, micros};
use affiant_domain::sha256_hex;
use sea_orm::Value;
use uuid::Uuid;

/// Findings written by one statement.
const FINDINGS_AT_ONCE: usize = 100;

impl PendingImport {
    /// Writes new findings.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_findings(&self, findings: Vec<NewFinding>) -> Result<(), StoreError> {
        const COLUMNS: usize = 28;
        let head = "INSERT INTO finding (id, project_id, asset_id, import_id, scope_id, check_id, opened_at, recorded_at, changed_at, \
                    fingerprint, occurrence, line, place_length, place_offset, place_line, fingerprint_version, first_state, \
                    first_severity, state, severity, title, message, location, suppression, package, secret, cvss, group_key) VALUES ";
        let full = format!("{head}{}", tuples(COLUMNS, FINDINGS_AT_ONCE));
        let recorded_at = micros(self.recorded_at);
        self.write_all(findings, FINDINGS_AT_ONCE, |findings| {
            let count = findings.len();
            let mut values: Vec<Value> = Vec::with_capacity(count * COLUMNS);
            for finding in findings {
                let (state, severity) = (state_code(finding.state), finding.severity.rank());
                values.extend([
                    finding.id.into(),
                    self.project.0.into(),
                    finding.asset.into(),
                    self.id.into(),
                    finding.scope.into(),
                    finding.check.into(),
                    finding.opened_at.into(),
                    recorded_at.into(),
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
            let sql = match count {
                FINDINGS_AT_ONCE => full.clone(),
                fewer => format!("{head}{}", tuples(COLUMNS, fewer)),
            };
            (sql, values)
        })
        .await
    }

    /// Records changes of findings. The findings themselves change when the import is visible and settled.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn change_findings(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.write_all(changes, ROWS_AT_ONCE, |changes| {
            let mut values: Vec<Value> = Vec::with_capacity(changes.len() * 7);
            for change in &changes {
                values.extend([
                    self.project.0.into(),
                    change.finding.into(),
                    change.scan.into(),
                    change.at.into(),
                    micros(self.recorded_at).into(),
                    state_code(change.state).into(),
                    change.severity.rank().into(),
                ]);
            }
            let insert = format!(
                "INSERT INTO transition (project_id, finding_id, scan_id, at, recorded_at, state, severity) VALUES {}",
                tuples(7, changes.len())
            );
            (insert, values)
        })
        .await
    }

    /// Writes the outcomes of checks.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn insert_results(&self, results: Vec<NewResult>) -> Result<(), StoreError> {
        self.write_all(results, ROWS_AT_ONCE, |results| {
            let mut values: Vec<Value> = Vec::with_capacity(results.len() * 8);
            for result in &results {
                values.extend([
                    self.project.0.into(),
                    result.scan.into(),
                    result.asset.into(),
                    result.check.into(),
                    result.observed_at.into(),
                    micros(self.recorded_at).into(),
                    result.outcome.into(),
                    result.count.into(),
                ]);
            }
            let insert = format!(
                "INSERT INTO result (project_id, scan_id, asset_id, check_id, observed_at, recorded_at, outcome, count) VALUES {}",
                tuples(8, results.len())
            );
            (insert, values)
        })
        .await
    }

    /// Begins a scan of a scope: what it changes names it.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn begin_scan(&self, id: Uuid, scope: i64, tool: &str, completed_at: i64) -> Result<(), StoreError> {
        let tx = self.step().await?;
        self.insert_scan(&tx, id, scope, tool, completed_at).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn insert_scan(
        &self,
        tx: &Transaction,
        id: Uuid,
        scope: i64,
        tool: &str,
        completed_at: i64,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO scan (id, import_id, project_id, asset_id, scope_id, completed_at, recorded_at, tool, tool_version, checklist) \
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', '')";
        let values = vec![
            id.into(),
            self.id.into(),
            self.project.0.into(),
            self.asset.into(),
            scope.into(),
            completed_at.into(),
            micros(self.recorded_at).into(),
            clean(tool).into(),
        ];
        run(tx, sql, values).await?;
        Ok(())
    }

    /// Completes a scan with the list of its checks.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn complete_scan(&self, scan: &NewScan) -> Result<(), StoreError> {
        let body = serde_json::to_string(&scan.checks).unwrap_or_default();
        let digest = sha256_hex(body.as_bytes());
        let tx = self.step().await?;
        let list = "INSERT INTO checklist (digest, body) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING";
        run(&tx, list, vec![digest.clone().into(), body.into()]).await?;
        let sql = "UPDATE scan SET tool_version = ?, checklist = ? WHERE id = ?";
        let values = vec![clean(&scan.tool_version).into(), digest.into(), scan.id.into()];
        run(&tx, sql, values).await?;
        Ok(tx.commit().await?)
    }
}

fn number(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}
