//! What an assessment reads: counts by asset, check and severity, not rows; and, for the exported evidence, the rows.
//!
//! `at` is the instant that is scored, `known` the instant at which it was: what was recorded later does not count, so that a stored
//! assessment can be made again.

use crate::entity::{attestation, checks, waiver};
use crate::sql::{column, marks, rows};
use crate::stored::{ATTESTED, WAIVER_STATES, damaged, numbers_in, stored_severity, stored_state, words_in};
use crate::{Scoped, StoreError, micros};
use affiant_domain::matching::State;
use affiant_domain::observation::Check;
use affiant_domain::{Instant, Severity};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// Imports that were under way at an instant: they had begun, and nobody could see them. Values: project, instant, instant.
const HIDDEN: &str = "SELECT id FROM import WHERE project_id = ? AND recorded_at <= ? AND visible_at > ?";
/// The scans of those, with the same values.
const HIDDEN_SCANS: &str = "SELECT s.id FROM import i JOIN scan s ON s.import_id = i.id \
                            WHERE i.project_id = ? AND i.recorded_at <= ? AND i.visible_at > ?";

/// Open findings that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FindingGroup {
    /// The asset.
    pub asset: Uuid,
    /// The check.
    pub check: i64,
    /// How bad they are.
    pub severity: Severity,
    /// Whether a waiver holds.
    pub waived: bool,
}

/// The latest scan of an asset with a list of checks.
#[derive(Clone, Debug)]
pub struct LatestScan {
    /// The asset.
    pub asset: Uuid,
    /// The tool.
    pub tool: String,
    /// Digest of the list of checks.
    pub checklist: String,
    /// When.
    pub at: i64,
}

/// The latest outcome of a check on an asset.
#[derive(Clone, Copy, Debug)]
pub struct LatestResult {
    /// The asset.
    pub asset: Uuid,
    /// The check.
    pub check: i64,
    /// 0 pass, 1 fail, 2 error, 3 not applicable.
    pub outcome: i16,
    /// When.
    pub at: i64,
}

/// All that an assessment reads of findings, scans and results.
#[derive(Clone, Debug, Default)]
pub struct Aggregates {
    /// Open findings, counted.
    pub open: BTreeMap<FindingGroup, u64>,
    /// Assets and checks on which a finding ever stood.
    pub seen: HashSet<(Uuid, i64)>,
    /// Latest scans.
    pub scans: Vec<LatestScan>,
    /// Latest results.
    pub results: Vec<LatestResult>,
    /// Checks that are named, by id.
    pub checks: HashMap<i64, Check>,
    /// Ids of the checks of each list that is named.
    pub checklists: HashMap<String, Vec<i64>>,
}

/// A finding as the exported evidence shows it.
#[derive(Clone, Debug)]
pub struct EvidenceFinding {
    /// Its id.
    pub id: Uuid,
    /// The asset.
    pub asset: Uuid,
    /// The check.
    pub check: i64,
    /// Its severity at the instant.
    pub severity: Severity,
    /// When it was open.
    pub open: Vec<(i64, Option<i64>)>,
}

/// Changes that are read at once.
const PAGE: usize = 5000;

/// A finding with the last change of it.
struct Changed {
    finding: Uuid,
    began: FindingGroup,
    began_open: bool,
    state: State,
    severity: Severity,
}

impl Changed {
    fn count(self, out: &mut Aggregates) {
        let Self { began, severity, .. } = self;
        if self.began_open {
            take(&mut out.open, began, 1);
        }
        if self.state == State::Open {
            *out.open.entry(FindingGroup { severity, ..began }).or_default() += 1;
        }
    }
}

impl Scoped<'_> {
    /// What an assessment at `at` reads, as it was known at `known`.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn aggregates(&self, at: Instant, known: Instant) -> Result<Aggregates, StoreError> {
        let mut out = Aggregates::default();
        let (t, k) = (micros(at), micros(known));
        self.times_are_numbers().await?;
        words_in(*self, ("waiver", "state"), &WAIVER_STATES).await?;
        words_in(*self, ("attestation", "outcome"), &ATTESTED).await?;
        self.begin_states(&mut out, t, k).await?;
        self.later_states(&mut out, t, k).await?;
        self.heed_waivers(&mut out, t, k).await?;
        self.latest_scans(&mut out, t, k).await?;
        self.latest_results(&mut out, t, k).await?;
        self.name_checks(&mut out).await?;
        Ok(out)
    }

    /// A time that is none would put its row outside of every period.
    async fn times_are_numbers(&self) -> Result<(), StoreError> {
        let tables: [(&str, &[&str]); 10] = [
            ("finding", &["opened_at", "recorded_at"]),
            ("transition", &["at", "recorded_at"]),
            ("scan", &["completed_at", "recorded_at"]),
            ("result", &["observed_at", "recorded_at"]),
            ("import", &["recorded_at", "state", "visible_at"]),
            ("asset", &["first_seen_at", "recorded_at", "is_settled"]),
            ("asset_scope", &["at", "recorded_at", "in_scope"]),
            ("requirement_scope", &["at", "recorded_at", "applicable"]),
            ("attestation", &["from_at", "until_at", "recorded_at", "revoked_at"]),
            ("waiver", &["from_at", "until_at", "decided_at", "revoked_at"]),
        ];
        for (table, columns) in tables {
            let of_project = ("project_id = ?", vec![self.project.0.into()]);
            numbers_in(self.store, table, of_project, columns).await?;
        }
        Ok(())
    }

    /// Values for "up to `t`, recorded up to `k`", and for those of [`HIDDEN`] that follow.
    fn bound(&self, t: i64, k: i64) -> Vec<Value> {
        let project = self.project.0;
        vec![project.into(), t.into(), k.into(), project.into(), k.into(), k.into()]
    }

    /// How findings began: counted by the database.
    async fn begin_states(&self, out: &mut Aggregates, t: i64, k: i64) -> Result<(), StoreError> {
        // All are counted in the index alone; then those that were not visible are taken off, which are few.
        let sql = format!(
            "SELECT asset_id, check_id, first_severity, first_state, CAST(sum(n) AS bigint) AS n FROM (\
             SELECT asset_id, check_id, first_severity, first_state, count(*) AS n FROM finding \
             WHERE project_id = ? AND opened_at <= ? AND recorded_at <= ? GROUP BY asset_id, check_id, first_severity, first_state \
             UNION ALL \
             SELECT asset_id, check_id, first_severity, first_state, -count(*) AS n FROM finding \
             WHERE import_id IN ({HIDDEN}) AND opened_at <= ? GROUP BY asset_id, check_id, first_severity, first_state\
             ) AS counted GROUP BY asset_id, check_id, first_severity, first_state HAVING sum(n) > 0"
        );
        let values = self.bound(t, k).into_iter().chain([t.into()]).collect();
        for row in rows(&self.store.read, &sql, values).await? {
            let (asset, check): (Uuid, i64) = (column(&row, "asset_id")?, column(&row, "check_id")?);
            out.seen.insert((asset, check));
            // Counted: the asset and the check lead to the row.
            let place = format_args!("of asset {asset} and check {check}").to_string();
            let severity = stored_severity(&place, column(&row, "first_severity")?)?;
            if stored_state(&place, column(&row, "first_state")?)? == State::Open {
                let n: i64 = column(&row, "n")?;
                *out.open
                    .entry(FindingGroup {
                        asset,
                        check,
                        severity,
                        waived: false,
                    })
                    .or_default() += n.unsigned_abs();
            }
        }
        Ok(())
    }

    /// What became of those that changed: the last change up to the instant counts.
    async fn later_states(&self, out: &mut Aggregates, t: i64, k: i64) -> Result<(), StoreError> {
        // In order of findings, a page at a time: a project may have millions of changes.
        let sql = format!(
            "SELECT x.id AS id, x.at AS at, x.finding_id AS finding, f.asset_id, f.check_id, f.first_state, f.first_severity, x.state, x.severity \
             FROM transition x JOIN finding f ON f.id = x.finding_id \
             WHERE x.project_id = ? AND x.at <= ? AND x.recorded_at <= ? AND x.scan_id NOT IN ({HIDDEN_SCANS}) \
             AND (x.finding_id, x.at, x.id) > (?, ?, ?) ORDER BY x.finding_id, x.at, x.id LIMIT {PAGE}"
        );
        let mut after = (Uuid::nil(), i64::MIN, i64::MIN);
        let mut last: Option<Changed> = None;
        loop {
            let mut values = self.bound(t, k);
            values.extend([after.0.into(), after.1.into(), after.2.into()]);
            let page = rows(&self.store.read, &sql, values).await?;
            for row in &page {
                let finding: Uuid = column(row, "finding")?;
                let first = stored_severity(finding, column(row, "first_severity")?)?;
                let changed = Changed {
                    finding,
                    began: FindingGroup {
                        asset: column(row, "asset_id")?,
                        check: column(row, "check_id")?,
                        severity: first,
                        waived: false,
                    },
                    began_open: stored_state(finding, column(row, "first_state")?)? == State::Open,
                    state: stored_state(finding, column(row, "state")?)?,
                    severity: stored_severity(finding, column(row, "severity")?)?,
                };
                after = (finding, column(row, "at")?, column(row, "id")?);
                // The last change of each counts.
                if let Some(before) = last.replace(changed).filter(|before| before.finding != finding) {
                    before.count(out);
                }
            }
            if page.len() < PAGE {
                break;
            }
        }
        if let Some(last) = last {
            last.count(out);
        }
        Ok(())
    }

    async fn heed_waivers(&self, out: &mut Aggregates, t: i64, k: i64) -> Result<(), StoreError> {
        let waived: Vec<Uuid> = self
            .waivers_at(t, k)
            .await?
            .into_iter()
            .map(|w| w.finding_id)
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        for finding in self.finding_histories(&waived, t, k).await? {
            let open = finding
                .open
                .iter()
                .any(|(from, until)| *from <= t && until.is_none_or(|until| t < until));
            if open {
                let group = FindingGroup {
                    asset: finding.asset,
                    check: finding.check,
                    severity: finding.severity,
                    waived: false,
                };
                take(&mut out.open, group, 1);
                *out.open.entry(FindingGroup { waived: true, ..group }).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Approved waivers that were known.
    async fn approved_waivers(&self, k: i64) -> Result<Vec<waiver::Model>, StoreError> {
        Ok(waiver::Entity::find()
            .filter(waiver::Column::ProjectId.eq(self.project.0))
            .filter(waiver::Column::DecidedAt.lte(k))
            .filter(waiver::Column::State.is_in(["approved", "revoked"]))
            .order_by_asc(waiver::Column::Id)
            .all(&self.store.read)
            .await?)
    }

    /// Waivers that hold at an instant, as it was known; a revoked one ends when it was revoked.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn waivers_at(&self, t: i64, k: i64) -> Result<Vec<waiver::Model>, StoreError> {
        let mut all = self.approved_waivers(k).await?;
        for waiver in &mut all {
            if let Some(revoked) = waiver.revoked_at.filter(|revoked| *revoked <= k) {
                waiver.until_at = waiver.until_at.min(revoked);
            }
        }
        all.retain(|waiver| waiver.from_at <= t && t < waiver.until_at);
        Ok(all)
    }

    /// Attestations that were known, with their ends as they were known.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn attestations_known(&self, k: i64) -> Result<Vec<attestation::Model>, StoreError> {
        let mut all = attestation::Entity::find()
            .filter(attestation::Column::ProjectId.eq(self.project.0))
            .filter(attestation::Column::RecordedAt.lte(k))
            .order_by_asc(attestation::Column::Control)
            .order_by_asc(attestation::Column::FromAt)
            .order_by_asc(attestation::Column::Id)
            .all(&self.store.read)
            .await?;
        for attestation in &mut all {
            if let Some(revoked) = attestation.revoked_at.filter(|revoked| *revoked <= k) {
                attestation.until_at = attestation.until_at.min(revoked).max(attestation.from_at);
            }
        }
        Ok(all)
    }

    async fn latest_scans(&self, out: &mut Aggregates, t: i64, k: i64) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT asset_id, tool, checklist, max(completed_at) AS at FROM scan \
             WHERE project_id = ? AND completed_at <= ? AND recorded_at <= ? AND import_id NOT IN ({HIDDEN}) \
             GROUP BY asset_id, tool, checklist ORDER BY asset_id, tool, checklist"
        );
        for row in rows(&self.store.read, &sql, self.bound(t, k)).await? {
            out.scans.push(LatestScan {
                asset: column(&row, "asset_id")?,
                tool: column(&row, "tool")?,
                checklist: column(&row, "checklist")?,
                at: column(&row, "at")?,
            });
        }
        let lists: Vec<String> = out
            .scans
            .iter()
            .map(|scan| scan.checklist.clone())
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        for chunk in lists.chunks(500) {
            let sql = format!(
                "SELECT digest, body FROM checklist WHERE digest IN ({})",
                marks(chunk.len())
            );
            for row in rows(&self.store.read, &sql, chunk.iter().map(|d| d.clone().into()).collect()).await? {
                let body: String = column(&row, "body")?;
                let digest: String = column(&row, "digest")?;
                let checks = serde_json::from_str(&body);
                let checks = checks.map_err(|error| StoreError::Damaged(format!("checklist {digest}: {error}")))?;
                out.checklists.insert(digest, checks);
            }
        }
        match lists.iter().find(|digest| !out.checklists.contains_key(*digest)) {
            Some(missing) => Err(damaged("checklist", missing, "the row is missing")),
            None => Ok(()),
        }
    }

    async fn latest_results(&self, out: &mut Aggregates, t: i64, k: i64) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT asset_id, check_id, outcome, max(observed_at) AS at FROM result \
             WHERE project_id = ? AND observed_at <= ? AND recorded_at <= ? AND scan_id NOT IN ({HIDDEN_SCANS}) \
             GROUP BY asset_id, check_id, outcome ORDER BY asset_id, check_id, outcome"
        );
        for row in rows(&self.store.read, &sql, self.bound(t, k)).await? {
            let (asset, check): (Uuid, i64) = (column(&row, "asset_id")?, column(&row, "check_id")?);
            let outcome: i16 = column(&row, "outcome")?;
            if !(0..=3).contains(&outcome) {
                let place = format_args!("of asset {asset} and check {check}").to_string();
                return Err(damaged("result", place, format_args!("unknown outcome {outcome}")));
            }
            out.results.push(LatestResult {
                asset,
                check,
                outcome,
                at: column(&row, "at")?,
            });
        }
        Ok(())
    }

    async fn name_checks(&self, out: &mut Aggregates) -> Result<(), StoreError> {
        let mut ids: HashSet<i64> = out.seen.iter().map(|(_, check)| *check).collect();
        ids.extend(out.results.iter().map(|result| result.check));
        ids.extend(out.checklists.values().flatten());
        out.checks = self.checks(ids.into_iter().collect()).await?;
        Ok(())
    }

    /// Checks by id.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn checks(&self, ids: Vec<i64>) -> Result<HashMap<i64, Check>, StoreError> {
        let mut found = HashMap::with_capacity(ids.len());
        for chunk in ids.chunks(1000) {
            let query = checks::Entity::find().filter(checks::Column::Id.is_in(chunk.iter().copied()));
            for row in query.all(&self.store.read).await? {
                let check = serde_json::from_str(&row.body)
                    .map_err(|e| StoreError::Damaged(format!("check {}: {e}", row.id)))?;
                found.insert(row.id, check);
            }
        }
        // A list of checks names the tool's profile by a number that is no check.
        match ids.iter().find(|id| **id != 0 && !found.contains_key(*id)) {
            Some(missing) => Err(damaged("checks", missing, "the row is missing")),
            None => Ok(found),
        }
    }

    /// Histories of these findings up to an instant, as they were known.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn finding_histories(&self, ids: &[Uuid], t: i64, k: i64) -> Result<Vec<EvidenceFinding>, StoreError> {
        let mut out = Vec::new();
        for chunk in ids.chunks(500) {
            let marks = marks(chunk.len());
            let bind = |first: Vec<Value>| {
                first
                    .into_iter()
                    .chain(chunk.iter().map(|id| Value::from(*id)))
                    .collect::<Vec<_>>()
            };
            let sql = format!(
                "SELECT finding_id, at, state, severity FROM transition WHERE project_id = ? AND at <= ? AND recorded_at <= ? \
                 AND scan_id NOT IN ({HIDDEN_SCANS}) AND finding_id IN ({marks}) ORDER BY at, id"
            );
            let changes = group_changes(rows(&self.store.read, &sql, bind(self.bound(t, k))).await?)?;
            let sql = format!(
                "SELECT id, asset_id, check_id, first_state, first_severity, opened_at FROM finding \
                 WHERE project_id = ? AND opened_at <= ? AND recorded_at <= ? AND import_id NOT IN ({HIDDEN}) AND id IN ({marks}) ORDER BY id"
            );
            for row in rows(&self.store.read, &sql, bind(self.bound(t, k))).await? {
                out.push(history(&row, &changes)?);
            }
        }
        Ok(out)
    }

    /// All findings that opened up to an instant, in order of id, after an id, with their histories: one page of the exported evidence.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn evidence_findings(
        &self,
        after: Option<Uuid>,
        limit: u64,
        t: i64,
        k: i64,
    ) -> Result<Vec<EvidenceFinding>, StoreError> {
        let after = after.unwrap_or(Uuid::nil());
        let sql = format!(
            "SELECT id, asset_id, check_id, first_state, first_severity, opened_at FROM finding \
             WHERE project_id = ? AND opened_at <= ? AND recorded_at <= ? AND import_id NOT IN ({HIDDEN}) AND id > ? ORDER BY id LIMIT ?"
        );
        let mut values = self.bound(t, k);
        values.extend([after.into(), limit.cast_signed().into()]);
        let found = rows(&self.store.read, &sql, values).await?;
        let Some(last) = found.last() else {
            return Ok(Vec::new());
        };
        let last: Uuid = column(last, "id")?;
        let sql = format!(
            "SELECT finding_id, at, state, severity FROM transition WHERE project_id = ? AND at <= ? AND recorded_at <= ? \
             AND scan_id NOT IN ({HIDDEN_SCANS}) AND finding_id > ? AND finding_id <= ? ORDER BY at, id"
        );
        let mut values = self.bound(t, k);
        values.extend([after.into(), last.into()]);
        let changes = group_changes(rows(&self.store.read, &sql, values).await?)?;
        found.iter().map(|row| history(row, &changes)).collect()
    }
}

fn take(open: &mut BTreeMap<FindingGroup, u64>, group: FindingGroup, n: u64) {
    if let Some(count) = open.get_mut(&group) {
        *count = count.saturating_sub(n);
        if *count == 0 {
            open.remove(&group);
        }
    }
}

type Changes = HashMap<Uuid, Vec<(i64, State, Severity)>>;

fn group_changes(rows: Vec<sea_orm::QueryResult>) -> Result<Changes, StoreError> {
    let mut changes = Changes::new();
    for row in rows {
        let id: Uuid = column(&row, "finding_id")?;
        let change = (
            column(&row, "at")?,
            stored_state(id, column(&row, "state")?)?,
            stored_severity(id, column(&row, "severity")?)?,
        );
        changes.entry(id).or_default().push(change);
    }
    Ok(changes)
}

fn history(row: &sea_orm::QueryResult, changes: &Changes) -> Result<EvidenceFinding, StoreError> {
    let id: Uuid = column(row, "id")?;
    let mut finding = EvidenceFinding {
        id,
        asset: column(row, "asset_id")?,
        check: column(row, "check_id")?,
        severity: stored_severity(id, column(row, "first_severity")?)?,
        open: Vec::new(),
    };
    let began_open = stored_state(id, column(row, "first_state")?)? == State::Open;
    let mut since = began_open.then_some(column::<i64>(row, "opened_at")?);
    for (at, state, severity) in changes.get(&id).into_iter().flatten() {
        finding.severity = *severity;
        match (since, state) {
            (Some(from), State::Closed | State::Suppressed) => {
                finding.open.push((from, Some((*at).max(from))));
                since = None;
            }
            (None, State::Open) => since = Some(*at),
            _ => {}
        }
    }
    if let Some(from) = since {
        finding.open.push((from, None));
    }
    Ok(finding)
}
