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
    /// Its state at the instant.
    pub state: State,
    /// When it opened: at first, and after it closed. What a scanner set aside and tells again was open all the time.
    pub opened: Vec<i64>,
    /// When it closed after it was open. What a scanner set aside is not closed by that.
    pub closed: Vec<i64>,
}

/// Tables that an assessment reads by their times: one that is none would put its row outside of every period.
const READ_BY_TIME: [&str; 10] = [
    "finding",
    "transition",
    "scan",
    "result",
    "import",
    "asset",
    "asset_scope",
    "requirement_scope",
    "attestation",
    "waiver",
];

impl Scoped<'_> {
    /// What an assessment at `at` reads, as it was known at `known`.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn aggregates(&self, at: Instant, known: Instant) -> Result<Aggregates, StoreError> {
        // One state of the database: the counts of one statement are corrected by the next.
        let view = self.view().await?;
        view.scoped().aggregates_within(micros(at), micros(known)).await
    }

    async fn aggregates_within(self, t: i64, k: i64) -> Result<Aggregates, StoreError> {
        let mut out = Aggregates::default();
        numbers_in(self.store, Some(self.project), &READ_BY_TIME).await?;
        words_in(self, ("waiver", "state"), &WAIVER_STATES).await?;
        words_in(self, ("attestation", "outcome"), &ATTESTED).await?;
        self.present_states(&mut out, t, k).await?;
        self.earlier_states(&mut out, t, k).await?;
        self.heed_waivers(&mut out, t, k).await?;
        self.latest_scans(&mut out, t, k).await?;
        self.latest_results(&mut out, t, k).await?;
        self.name_checks(&mut out).await?;
        Ok(out)
    }

    /// Values for "up to `t`, recorded up to `k`", and for those of [`HIDDEN`] that follow.
    fn bound(&self, t: i64, k: i64) -> Vec<Value> {
        let project = self.project.0;
        vec![project.into(), t.into(), k.into(), project.into(), k.into(), k.into()]
    }

    /// The findings that there were, in the state of their rows.
    async fn present_states(&self, out: &mut Aggregates, t: i64, k: i64) -> Result<(), StoreError> {
        // All are counted in the index alone; then those that were not visible are taken off, which are few.
        let sql = format!(
            "SELECT asset_id, check_id, severity, state, CAST(sum(n) AS bigint) AS n FROM (\
             SELECT asset_id, check_id, severity, state, count(*) AS n FROM finding \
             WHERE project_id = ? AND opened_at <= ? AND recorded_at <= ? GROUP BY asset_id, check_id, severity, state \
             UNION ALL \
             SELECT asset_id, check_id, severity, state, -count(*) AS n FROM finding \
             WHERE import_id IN ({HIDDEN}) AND opened_at <= ? GROUP BY asset_id, check_id, severity, state\
             ) AS counted GROUP BY asset_id, check_id, severity, state HAVING sum(n) > 0"
        );
        let values = self.bound(t, k).into_iter().chain([t.into()]).collect();
        for row in rows(&self.store.read, &sql, values).await? {
            let (asset, check): (Uuid, i64) = (column(&row, "asset_id")?, column(&row, "check_id")?);
            out.seen.insert((asset, check));
            let n: i64 = column(&row, "n")?;
            if let Some(group) = open_group(&row, (asset, check), ("severity", "state"))? {
                *out.open.entry(group).or_default() += n.unsigned_abs();
            }
        }
        Ok(())
    }

    /// Those whose row tells a later state, put back into the one that they had: the last change up to the instant counts, else how they
    /// began. Their row is ahead where a change came after the instant, or was not known; it is behind where a visible import is still being
    /// settled. How often findings changed before does not matter.
    async fn earlier_states(&self, out: &mut Aggregates, t: i64, k: i64) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT n.asset_id, n.check_id, n.severity, n.state, n.was_severity, n.was_state, count(*) AS n FROM (\
             SELECT f.asset_id, f.check_id, f.severity, f.state, coalesce(x.severity, f.first_severity) AS was_severity, \
             coalesce(x.state, f.first_state) AS was_state FROM finding f LEFT JOIN transition x ON x.id = (\
             SELECT y.id FROM transition y WHERE y.project_id = f.project_id AND y.finding_id = f.id AND y.at <= ? AND y.recorded_at <= ? \
             AND y.scan_id NOT IN ({HIDDEN_SCANS}) ORDER BY y.at DESC, y.id DESC LIMIT 1) \
             WHERE f.opened_at <= ? AND f.recorded_at <= ? AND f.import_id NOT IN ({HIDDEN}) AND f.id IN (\
             SELECT finding_id FROM transition WHERE project_id = ? AND at > ? \
             UNION SELECT c.finding_id FROM import i JOIN scan s ON s.import_id = i.id JOIN transition c ON c.scan_id = s.id \
             WHERE i.project_id = ? AND (i.visible_at > ? OR i.state <> 0))\
             ) AS n GROUP BY n.asset_id, n.check_id, n.severity, n.state, n.was_severity, n.was_state"
        );
        let project: Value = self.project.0.into();
        let (t, k): (Value, Value) = (t.into(), k.into());
        let hidden = [project.clone(), k.clone(), k.clone()];
        let mut values = vec![t.clone(), k.clone()];
        values.extend(hidden.clone());
        values.extend([t.clone(), k.clone()]);
        values.extend(hidden);
        values.extend([project.clone(), t, project, k]);
        for row in rows(&self.store.read, &sql, values).await? {
            let of = (column(&row, "asset_id")?, column(&row, "check_id")?);
            let n = column::<i64>(&row, "n")?.unsigned_abs();
            if let Some(group) = open_group(&row, of, ("severity", "state"))? {
                take(&mut out.open, group, n);
            }
            if let Some(group) = open_group(&row, of, ("was_severity", "was_state"))? {
                *out.open.entry(group).or_default() += n;
            }
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

    /// The changes of findings behind one up to another, a page at a time: a finding may have changed hundreds of times.
    async fn changes_of(&self, (after, last): (Uuid, Uuid), (t, k): (i64, i64)) -> Result<Changes, StoreError> {
        const PAGE: usize = 5000;
        let sql = format!(
            "SELECT id, finding_id, at, state, severity FROM transition WHERE project_id = ? AND at <= ? AND recorded_at <= ? \
             AND scan_id NOT IN ({HIDDEN_SCANS}) AND (finding_id, at, id) > (?, ?, ?) AND finding_id <= ? \
             ORDER BY finding_id, at, id LIMIT {PAGE}"
        );
        let mut changes = Changes::new();
        let mut behind = (after, i64::MAX, i64::MAX);
        loop {
            let mut values = self.bound(t, k);
            values.extend([behind.0.into(), behind.1.into(), behind.2.into(), last.into()]);
            let page = rows(&self.store.read, &sql, values).await?;
            if let Some(row) = page.last() {
                behind = (column(row, "finding_id")?, column(row, "at")?, column(row, "id")?);
            }
            let is_last = page.len() < PAGE;
            for (finding, of_page) in group_changes(page)? {
                changes.entry(finding).or_default().extend(of_page);
            }
            if is_last {
                return Ok(changes);
            }
        }
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
        let changes = self.changes_of((after, last), (t, k)).await?;
        found.iter().map(|row| history(row, &changes)).collect()
    }
}

/// The group of counted findings in a state, where that is open.
fn open_group(
    row: &sea_orm::QueryResult,
    (asset, check): (Uuid, i64),
    (severity, state): (&str, &str),
) -> Result<Option<FindingGroup>, StoreError> {
    // Counted: the asset and the check lead to the row.
    let place = format_args!("of asset {asset} and check {check}").to_string();
    let severity = stored_severity(&place, column(row, severity)?)?;
    let state = stored_state(&place, column(row, state)?)?;
    Ok((state == State::Open).then_some(FindingGroup {
        asset,
        check,
        severity,
        waived: false,
    }))
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
        state: stored_state(id, column(row, "first_state")?)?,
        opened: Vec::new(),
        closed: Vec::new(),
    };
    let mut since = (finding.state == State::Open).then_some(column::<i64>(row, "opened_at")?);
    finding.opened.extend(since);
    for (at, state, severity) in changes.get(&id).into_iter().flatten() {
        finding.severity = *severity;
        let was = finding.state;
        if *state == State::Closed && was != State::Closed && !finding.opened.is_empty() {
            finding.closed.push(*at);
        }
        if *state == State::Open && (was == State::Closed || finding.opened.is_empty()) {
            finding.opened.push(*at);
        }
        finding.state = *state;
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
