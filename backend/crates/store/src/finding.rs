//! Lists of findings, and one finding with its history.

use crate::entity::{asset, checks, finding, import, scan, transition};
use crate::page::{Cursor, Page};
use crate::sql::{column, rows};
use crate::stored::{damaged, stored_severity, stored_state};
use crate::view::{Standing, View};
use crate::{Scoped, StoreError};
use affiant_domain::Severity;
use affiant_domain::matching::State;
use affiant_domain::observation::Check;
use sea_orm::sea_query::{Expr, ExprTrait, LikeExpr};
use sea_orm::{ColumnTrait, Condition, EntityTrait, JoinType, Order, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Which findings are wanted. Every field narrows.
#[derive(Clone, Debug, Default)]
pub struct FindingFilter {
    /// `open`, `closed`, `suppressed`.
    pub state: Option<i16>,
    /// Severities.
    pub severity: Vec<Severity>,
    /// Key of the asset.
    pub asset: Option<String>,
    /// Tool.
    pub tool: Option<String>,
    /// Rule of the tool.
    pub rule: Option<String>,
    /// Ids of checks; none means any.
    pub checks: Option<Vec<i64>>,
    /// Text in title, message or location, taken literally.
    pub text: Option<String>,
}

/// A finding in a list.
#[derive(Clone, Debug)]
pub struct FindingRow {
    /// The row.
    pub finding: finding::Model,
    /// Key of its asset.
    pub asset: String,
    /// Its check.
    pub check: Check,
    /// Its state.
    pub state: State,
    /// Its severity.
    pub severity: Severity,
}

/// A finding with all that is known of it.
#[derive(Clone, Debug)]
pub struct FindingDetail {
    /// As in a list.
    pub row: FindingRow,
    /// Its changes, oldest first.
    pub transitions: Vec<transition::Model>,
    /// The import that first brought it.
    pub import: Option<import::Model>,
    /// Other findings that tell the same issue: of other tools, or of another place in a report.
    pub same: Vec<FindingRow>,
}

/// Findings that hold a text, up to which they are counted.
const COUNTED: u64 = 2000;
/// Findings of one issue that are shown.
const SAME: u64 = 50;

impl Scoped<'_> {
    /// One page of findings, worst first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn findings(
        &self,
        filter: &FindingFilter,
        cursor: Option<&Cursor>,
        limit: u64,
    ) -> Result<Page<FindingRow>, StoreError> {
        let view = self.view().await?;
        let mut found = Vec::new();
        for standing in view.standings() {
            let Some(condition) = view.scoped().condition(filter, *standing).await? else {
                continue;
            };
            let mut query = view.select(*standing).filter(condition);
            if let Some(cursor) = cursor {
                let severity = i16::try_from(cursor.sort).unwrap_or(i16::MAX);
                query = query.filter(
                    Condition::any().add(standing.severity().gt(severity)).add(
                        Condition::all()
                            .add(standing.severity().eq(severity))
                            .add(finding::Column::Id.gt(cursor.id)),
                    ),
                );
            }
            let query = query
                .order_by(standing.severity(), Order::Asc)
                .order_by_asc(finding::Column::Id)
                .limit(limit + 1);
            found.extend(query.all(&view.within.read).await?);
        }
        view.as_changed(&mut found).await?;
        found.sort_by_key(|finding| (finding.severity, finding.id));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1));
        let items = view.scoped().dress(found).await?;
        Ok(Page::cut(items, limit, |row| Cursor {
            sort: i64::from(row.finding.severity),
            id: row.finding.id,
        }))
    }

    /// How many findings hold a text, by severity; none where they are so many that counting them would take longer than showing them.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn count_matching(&self, filter: &FindingFilter) -> Result<Option<HashMap<Severity, u64>>, StoreError> {
        let view = self.view().await?;
        let mut counts = HashMap::new();
        for standing in view.standings() {
            let Some(condition) = view.scoped().condition(filter, *standing).await? else {
                continue;
            };
            let query = view.select(*standing).filter(condition).select_only();
            let query = query.expr_as(standing.severity(), "rank").limit(COUNTED + 1);
            let found: Vec<i16> = query.into_tuple().all(&view.within.read).await?;
            for rank in found {
                *counts.entry(stored_severity("(counted)", rank)?).or_default() += 1;
            }
        }
        Ok((counts.values().sum::<u64>() <= COUNTED).then_some(counts))
    }

    /// How many findings there are, by severity.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn count_findings(&self, filter: &FindingFilter) -> Result<HashMap<Severity, u64>, StoreError> {
        let view = self.view().await?;
        let mut counts = HashMap::new();
        for standing in view.standings() {
            let Some(condition) = view.scoped().condition(filter, *standing).await? else {
                continue;
            };
            let query = view.select(*standing).filter(condition).select_only();
            let query = query
                .expr_as(standing.severity(), "rank")
                .column_as(finding::Column::Id.count(), "n")
                .group_by(standing.severity());
            let found: Vec<(i16, i64)> = query.into_tuple().all(&view.within.read).await?;
            for (rank, n) in found {
                *counts.entry(stored_severity("(counted)", rank)?).or_default() += n.unsigned_abs();
            }
        }
        Ok(counts)
    }

    /// None where the filter can match nothing.
    async fn condition(&self, filter: &FindingFilter, standing: Standing) -> Result<Option<Condition>, StoreError> {
        let mut all = Condition::all().add(finding::Column::ProjectId.eq(self.project.0));
        if let Some(state) = filter.state {
            all = all.add(standing.state().eq(state));
        }
        if !filter.severity.is_empty() {
            all = all.add(standing.severity().is_in(filter.severity.iter().map(|s| s.rank())));
        }
        if let Some(key) = &filter.asset {
            let Some(found) = self.asset(key).await? else {
                return Ok(None);
            };
            all = all.add(finding::Column::AssetId.eq(found.id));
        }
        if filter.tool.is_some() || filter.rule.is_some() {
            let mut wanted = Condition::all();
            if let Some(tool) = &filter.tool {
                wanted = wanted.add(checks::Column::Tool.eq(tool.as_str()));
            }
            if let Some(rule) = &filter.rule {
                wanted = wanted.add(checks::Column::Rule.eq(rule.as_str()));
            }
            let ids: Vec<i64> = checks::Entity::find()
                .filter(wanted)
                .select_only()
                .column(checks::Column::Id)
                .into_tuple()
                .all(&self.store.read)
                .await?;
            all = all.add(finding::Column::CheckId.is_in(ids));
        }
        if let Some(ids) = &filter.checks {
            all = all.add(finding::Column::CheckId.is_in(ids.iter().copied()));
        }
        if let Some(text) = filter.text.as_deref().filter(|text| !text.is_empty()) {
            let pattern = format!("%{}%", escape(text));
            let is_postgres = self.store.is_postgres();
            let like = |column: finding::Column| {
                let pattern = LikeExpr::new(pattern.clone());
                // SQLite's LIKE heeds no case of ASCII letters, PostgreSQL's does; there a backslash escapes by itself.
                if is_postgres {
                    column.ilike(pattern)
                } else {
                    column.like(pattern.escape('\\'))
                }
            };
            let literally = Condition::any()
                .add(like(finding::Column::Title))
                .add(like(finding::Column::Location))
                .add(like(finding::Column::Message));
            all = all.add(self.holding(text, Condition::all().add(literally)).await?);
        }
        Ok(Some(all))
    }

    async fn dress(&self, found: Vec<finding::Model>) -> Result<Vec<FindingRow>, StoreError> {
        let checks = self.checks(found.iter().map(|f| f.check_id).collect()).await?;
        let ids: Vec<Uuid> = found.iter().map(|f| f.asset_id).collect();
        let mut keys: HashMap<Uuid, String> = HashMap::new();
        for chunk in ids.chunks(1000) {
            let assets = asset::Entity::find()
                .filter(asset::Column::Id.is_in(chunk.iter().copied()))
                .all(&self.store.read)
                .await?;
            keys.extend(assets.into_iter().map(|asset| (asset.id, asset.key)));
        }
        let dressed = |finding: finding::Model| {
            let missing = |what: &str| damaged("finding", finding.id, format_args!("its {what} is missing"));
            Ok(FindingRow {
                asset: keys.get(&finding.asset_id).cloned().ok_or_else(|| missing("asset"))?,
                check: checks.get(&finding.check_id).cloned().ok_or_else(|| missing("check"))?,
                state: stored_state(finding.id, finding.state)?,
                severity: stored_severity(finding.id, finding.severity)?,
                finding,
            })
        };
        found.into_iter().map(dressed).collect()
    }

    /// These findings, in order of id.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn findings_by_id(&self, ids: &[Uuid]) -> Result<Vec<FindingRow>, StoreError> {
        self.view().await?.findings_by_id(ids).await
    }

    /// One finding with its history.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn finding(&self, id: Uuid) -> Result<Option<FindingDetail>, StoreError> {
        let view = self.view().await?;
        let Some(row) = view.findings_by_id(&[id]).await?.pop() else {
            return Ok(None);
        };
        let mut transitions = transition::Entity::find()
            .filter(transition::Column::ProjectId.eq(self.project.0))
            .filter(transition::Column::FindingId.eq(id));
        if !view.hidden.is_empty() {
            let of_hidden = scan::Entity::find()
                .select_only()
                .column(scan::Column::Id)
                .filter(scan::Column::ImportId.is_in(view.hidden.iter().copied()));
            transitions = transitions.filter(transition::Column::ScanId.not_in_subquery(of_hidden.into_query()));
        }
        let transitions = transitions
            .order_by_asc(transition::Column::At)
            .order_by_asc(transition::Column::Id)
            .all(&view.within.read)
            .await?;
        let import = import::Entity::find_by_id(row.finding.import_id)
            .one(&view.within.read)
            .await?;
        let same = view.same_issue(&row.finding).await?;
        Ok(Some(FindingDetail {
            row,
            transitions,
            import,
            same,
        }))
    }

    /// Tools and rules of open findings with their counts, most first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn open_by_tool(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let view = self.view().await?;
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for standing in view.standings() {
            let mut query = view.select(*standing);
            let of_finding =
                Expr::col((checks::Entity, checks::Column::Id)).equals((finding::Entity, finding::Column::CheckId));
            QueryTrait::query(&mut query).join(JoinType::InnerJoin, checks::Entity, of_finding);
            let query = query
                .filter(finding::Column::ProjectId.eq(self.project.0))
                .filter(standing.state().eq(0))
                .select_only()
                .column(checks::Column::Tool)
                .column_as(finding::Column::Id.count(), "n")
                .group_by(checks::Column::Tool);
            let found: Vec<(String, i64)> = query.into_tuple().all(&view.within.read).await?;
            for (tool, n) in found {
                *counts.entry(tool).or_default() += n.unsigned_abs();
            }
        }
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        Ok(counts)
    }

    /// How many findings opened and how many closed in a period.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn changed_between(&self, start: i64, end: i64) -> Result<(u64, u64), StoreError> {
        // Counted in indices alone; what nobody may see yet is taken off.
        let began = "SELECT count(*) AS opened, CAST(0 AS bigint) AS closed FROM finding \
                     WHERE project_id = ? AND opened_at >= ? AND opened_at < ? AND first_state = 0";
        let began_hidden = "SELECT -count(*) AS opened, CAST(0 AS bigint) AS closed FROM finding \
                     WHERE import_id IN (SELECT id FROM import WHERE project_id = ? AND state > 1) \
                     AND opened_at >= ? AND opened_at < ? AND first_state = 0";
        let changed = "SELECT count(CASE WHEN state = 0 THEN 1 END) AS opened, count(CASE WHEN state = 1 THEN 1 END) AS closed \
                       FROM transition WHERE project_id = ? AND at >= ? AND at < ?";
        let changed_hidden = "SELECT -count(CASE WHEN state = 0 THEN 1 END) AS opened, -count(CASE WHEN state = 1 THEN 1 END) AS closed \
                       FROM transition WHERE scan_id IN (\
                       SELECT s.id FROM import i JOIN scan s ON s.import_id = i.id WHERE i.project_id = ? AND i.state > 1) \
                       AND at >= ? AND at < ?";
        let within = self.store.snapshot().await?;
        let (mut opened, mut closed) = (0_i64, 0_i64);
        for sql in [began, began_hidden, changed, changed_hidden] {
            let values = vec![self.project.0.into(), start.into(), end.into()];
            for row in rows(&within.read, sql, values).await? {
                opened += column::<i64>(&row, "opened")?;
                closed += column::<i64>(&row, "closed")?;
            }
        }
        Ok((opened.unsigned_abs(), closed.unsigned_abs()))
    }
}

impl View {
    /// These findings, in order of id.
    async fn findings_by_id(&self, ids: &[Uuid]) -> Result<Vec<FindingRow>, StoreError> {
        let mut all = Vec::new();
        for chunk in ids.chunks(1000) {
            let found = self
                .select_any()
                .filter(finding::Column::ProjectId.eq(self.project.0))
                .filter(finding::Column::Id.is_in(chunk.iter().copied()))
                .order_by_asc(finding::Column::Id);
            let mut found = found.all(&self.within.read).await?;
            self.as_changed(&mut found).await?;
            all.extend(self.scoped().dress(found).await?);
        }
        Ok(all)
    }

    async fn same_issue(&self, of: &finding::Model) -> Result<Vec<FindingRow>, StoreError> {
        let Some(group) = &of.group_key else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for standing in self.standings() {
            let mut same = self
                .select(*standing)
                .filter(finding::Column::ProjectId.eq(self.project.0))
                .filter(finding::Column::GroupKey.eq(group.clone()))
                .filter(finding::Column::Id.ne(of.id));
            // A place is one within its asset; a vulnerable package is the same wherever it is installed.
            if of.package.is_empty() {
                same = same.filter(finding::Column::AssetId.eq(of.asset_id));
            }
            let same = same
                .order_by(standing.state(), Order::Asc)
                .order_by_asc(finding::Column::Id)
                .limit(SAME);
            found.extend(same.all(&self.within.read).await?);
        }
        self.as_changed(&mut found).await?;
        found.sort_by_key(|finding| (finding.state, finding.id));
        found.truncate(usize::try_from(SAME).unwrap_or(usize::MAX));
        self.scoped().dress(found).await
    }
}

/// A text as a literal inside a LIKE pattern.
pub(crate) fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_")
        .replace('\0', "")
}
