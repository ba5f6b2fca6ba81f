//! Stored reports.

use crate::assessment::unpack;
use crate::entity::report;
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, Iterable, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

/// A report to store.
#[derive(Debug)]
pub struct NewReport<'a> {
    /// The project, or none for all.
    pub project: Option<Uuid>,
    /// The framework.
    pub framework: &'a str,
    /// SHA-256 of the JSON.
    pub digest: &'a str,
    /// Who asked.
    pub actor: &'a str,
    /// First instant of the period.
    pub start: Instant,
    /// First instant after it.
    pub end: Instant,
    /// The report, JSON, as [`crate::pack`] packs it: that takes its time, and others wait for who writes.
    pub packed: Vec<u8>,
}

impl Store {
    /// Stores a report.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn store_report(&self, new: NewReport<'_>, now: Instant) -> Result<report::Model, StoreError> {
        let row = report::ActiveModel {
            id: Set(Uuid::now_v7()),
            project_id: Set(new.project),
            framework: Set(new.framework.to_owned()),
            digest: Set(new.digest.to_owned()),
            actor: Set(new.actor.to_owned()),
            start_at: Set(micros(new.start)),
            end_at: Set(micros(new.end)),
            recorded_at: Set(micros(now)),
            body: Set(new.packed),
        };
        Ok(row.insert(&self.write).await?)
    }

    /// Reports of these projects; or all, with those over all projects. Latest first, from before one on; where a project is named, its own and
    /// those over all. Without their bodies, which no list shows.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn reports(
        &self,
        only: Option<&[Uuid]>,
        (of, before): (Option<Uuid>, Option<Uuid>),
        limit: u64,
    ) -> Result<Vec<report::Model>, StoreError> {
        let mut query = report::Entity::find().select_only();
        for column in report::Column::iter().filter(|column| !matches!(column, report::Column::Body)) {
            query = query.column(column);
        }
        query = query.column_as(Expr::value(Vec::<u8>::new()), "body");
        if let Some(only) = only {
            query = query.filter(report::Column::ProjectId.is_in(only.iter().copied()));
        }
        if let Some(before) = before {
            query = query.filter(report::Column::Id.lt(before));
        }
        let query = query.order_by_desc(report::Column::Id).limit(limit);
        let Some(of) = of else {
            return Ok(query.all(&self.read).await?);
        };
        // Each out of the index in its order; of both the latest are kept.
        let own = query.clone().filter(report::Column::ProjectId.eq(of));
        let over_all = query.filter(report::Column::ProjectId.is_null());
        let mut found = own.all(&self.read).await?;
        found.extend(over_all.all(&self.read).await?);
        found.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// One report with its JSON.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn report(&self, id: Uuid) -> Result<Option<(report::Model, Vec<u8>)>, StoreError> {
        let found = report::Entity::find_by_id(id).one(&self.read).await?;
        found
            .map(|row| {
                let json = unpack(&row.body)?;
                Ok((row, json))
            })
            .transpose()
    }
}
