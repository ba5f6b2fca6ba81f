//! One state of the database for several statements, with the imports that are not settled in it: those that nobody may see, and those
//! whose changes are not copied into the findings yet.

use crate::entity::{finding, transition};
use crate::import::{ABANDONED, PENDING, SETTLED, VISIBLE};
use crate::sql::{column, row, rows};
use crate::stored::damaged;
use crate::{Scoped, Store, StoreError};
use affiant_domain::id::ProjectId;
use sea_orm::sea_query::{Expr, ExprTrait, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, QueryTrait, Select};
use std::collections::HashMap;
use uuid::Uuid;

/// What a list of findings is read in.
pub(crate) struct View {
    pub(crate) within: Store,
    pub(crate) project: ProjectId,
    /// Imports that are not visible.
    pub(crate) hidden: Vec<Uuid>,
    /// Scans of visible imports whose findings are in the state that they had before.
    pub(crate) settling: Vec<Uuid>,
}

/// Which findings, by where their present state stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// In their own row.
    Row,
    /// In a change by a scan that is settling.
    Change,
}

impl Standing {
    /// The present state.
    pub(crate) fn state(self) -> SimpleExpr {
        match self {
            Self::Row => Expr::col((finding::Entity, finding::Column::State)),
            Self::Change => Expr::col((transition::Entity, transition::Column::State)),
        }
    }

    /// The present severity.
    pub(crate) fn severity(self) -> SimpleExpr {
        match self {
            Self::Row => Expr::col((finding::Entity, finding::Column::Severity)),
            Self::Change => Expr::col((transition::Entity, transition::Column::Severity)),
        }
    }
}

impl Scoped<'_> {
    /// Begins to look at one state of the database.
    pub(crate) async fn view(&self) -> Result<View, StoreError> {
        let within = self.store.snapshot().await?;
        let sql = format!("SELECT id, state FROM import WHERE project_id = ? AND state <> {SETTLED}");
        let (mut hidden, mut settling) = (Vec::new(), Vec::new());
        within.project(self.project).findings_are_whole().await?;
        for import in rows(&within.read, &sql, vec![self.project.0.into()]).await? {
            let id: Uuid = column(&import, "id")?;
            match column::<i16>(&import, "state")? {
                VISIBLE => {}
                PENDING | ABANDONED => {
                    hidden.push(id);
                    continue;
                }
                other => return Err(damaged("import", id, format_args!("unknown state {other}"))),
            }
            for scan in rows(&within.read, "SELECT id FROM scan WHERE import_id = ?", vec![id.into()]).await? {
                settling.push(column(&scan, "id")?);
            }
        }
        Ok(View {
            within,
            project: self.project,
            hidden,
            settling,
        })
    }
}

impl Scoped<'_> {
    /// Whether every finding has a state and a severity: one without would be in no list that asks for one. Both are looked up in indices.
    async fn findings_are_whole(&self) -> Result<(), StoreError> {
        for (name, highest) in [("state", 2), ("severity", 5)] {
            let sql = format!(
                "SELECT id FROM finding WHERE project_id = ? AND {name} < 0 \
                 UNION ALL SELECT id FROM finding WHERE project_id = ? AND {name} > {highest} LIMIT 1"
            );
            let values = vec![self.project.0.into(), self.project.0.into()];
            if let Some(found) = row(&self.store.read, &sql, values).await? {
                let id: Uuid = column(&found, "id")?;
                return Err(damaged("finding", id, format_args!("unknown {name}")));
            }
        }
        Ok(())
    }
}

impl View {
    /// The project, as it is in this state.
    pub(crate) const fn scoped(&self) -> Scoped<'_> {
        self.within.project(self.project)
    }

    /// Where present states stand: findings are read once for each.
    pub(crate) fn standings(&self) -> &'static [Standing] {
        if self.settling.is_empty() {
            &[Standing::Row]
        } else {
            &[Standing::Row, Standing::Change]
        }
    }

    /// The visible findings, in the state of their rows: [`View::as_changed`] gives them the present one.
    pub(crate) fn select_any(&self) -> Select<finding::Entity> {
        let query = finding::Entity::find();
        if self.hidden.is_empty() {
            return query;
        }
        query.filter(finding::Column::ImportId.is_not_in(self.hidden.iter().copied()))
    }

    /// The visible findings whose present state stands there.
    pub(crate) fn select(&self, standing: Standing) -> Select<finding::Entity> {
        let mut query = self.select_any();
        if self.settling.is_empty() {
            return query;
        }
        let of_finding = Expr::col((transition::Entity, transition::Column::FindingId))
            .equals((finding::Entity, finding::Column::Id));
        let of_settling = transition::Column::ScanId.is_in(self.settling.iter().copied());
        match standing {
            Standing::Row => {
                let change = transition::Entity::find().select_only().expr(Expr::value(1));
                let change = change.filter(of_finding).filter(of_settling).into_query();
                // Looked up for each row that is read: as "not exists", PostgreSQL would join the whole table without knowing how much changed.
                query.filter(Expr::value(1).not_in_subquery(change))
            }
            Standing::Change => {
                QueryTrait::query(&mut query).join(JoinType::InnerJoin, transition::Entity, of_finding);
                query.filter(of_settling)
            }
        }
    }

    /// Gives findings the state that settling scans changed them to.
    pub(crate) async fn as_changed(&self, findings: &mut [finding::Model]) -> Result<(), StoreError> {
        if self.settling.is_empty() {
            return Ok(());
        }
        for chunk in findings.chunks_mut(500) {
            let changes = transition::Entity::find()
                .filter(transition::Column::FindingId.is_in(chunk.iter().map(|finding| finding.id)))
                .filter(transition::Column::ScanId.is_in(self.settling.iter().copied()))
                .all(&self.within.read)
                .await?;
            let changes: HashMap<Uuid, transition::Model> =
                changes.into_iter().map(|change| (change.finding_id, change)).collect();
            for finding in chunk {
                if let Some(change) = changes.get(&finding.id) {
                    (finding.state, finding.severity, finding.changed_at) = (change.state, change.severity, change.at);
                }
            }
        }
        Ok(())
    }
}
