//! Projects.

use crate::entity::project;
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use affiant_domain::id::ProjectId;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set, SqlErr};
use std::collections::BTreeSet;
use uuid::Uuid;

/// A project to make.
#[derive(Debug)]
pub struct NewProject<'a> {
    /// Name in addresses.
    pub slug: &'a str,
    /// Name for people.
    pub name: &'a str,
    /// Profiles that decide which requirements apply.
    pub profiles: &'a BTreeSet<String>,
}

impl Store {
    /// Projects, by slug: these, or all.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn projects(&self, only: Option<&[Uuid]>) -> Result<Vec<project::Model>, StoreError> {
        let mut query = project::Entity::find();
        if let Some(only) = only {
            query = query.filter(project::Column::Id.is_in(only.iter().copied()));
        }
        Ok(query.order_by_asc(project::Column::Slug).all(&self.read).await?)
    }

    /// The project of this slug.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn project_by_slug(&self, slug: &str) -> Result<Option<project::Model>, StoreError> {
        Ok(project::Entity::find()
            .filter(project::Column::Slug.eq(slug))
            .one(&self.read)
            .await?)
    }

    /// The project of this id.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn project_by_id(&self, id: ProjectId) -> Result<Option<project::Model>, StoreError> {
        Ok(project::Entity::find_by_id(id.0).one(&self.read).await?)
    }

    /// Makes a project.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the slug is taken.
    pub async fn create_project(&self, new: &NewProject<'_>, now: Instant) -> Result<project::Model, StoreError> {
        let row = project::ActiveModel {
            id: Set(Uuid::now_v7()),
            slug: Set(new.slug.to_owned()),
            name: Set(new.name.to_owned()),
            profiles: Set(serde_json::to_string(new.profiles).unwrap_or_default()),
            created_at: Set(micros(now)),
            known_at: Set(0),
        };
        row.insert(&self.write).await.map_err(|error| match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(_)) => {
                StoreError::Conflict(format!("there is a project \"{}\" already", new.slug))
            }
            _ => error.into(),
        })
    }

    /// Changes a project's name and profiles.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn update_project(
        &self,
        id: ProjectId,
        name: &str,
        profiles: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        let row = project::ActiveModel {
            id: Set(id.0),
            name: Set(name.to_owned()),
            profiles: Set(serde_json::to_string(profiles).unwrap_or_default()),
            ..Default::default()
        };
        row.update(&self.write).await?;
        Ok(())
    }
}
