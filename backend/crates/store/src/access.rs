//! One-time links, sessions and tokens. Secrets are here only as hashes.

use crate::entity::{session, sign_in_link, token};
use crate::lineage::{Made, Maker, Root, is_there, revoke_made};
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, Set};
use uuid::Uuid;

/// A token to make.
#[derive(Debug)]
pub struct NewToken<'a> {
    /// The project, or none for all.
    pub project: Option<Uuid>,
    /// What it is for.
    pub name: &'a str,
    /// Its first characters, to recognise it by.
    pub prefix: &'a str,
    /// SHA-256 of it.
    pub hash: &'a str,
    /// What it may do.
    pub role: &'a str,
    /// Who made it.
    pub actor: &'a str,
    /// First instant at which it is worth nothing.
    pub expires_at: Instant,
    /// Whose it is.
    pub person: Option<Uuid>,
    /// Permissions to which it is bound; all of its role, where none is named.
    pub scopes: &'a [String],
    /// Which workload it was exchanged for.
    pub subject: &'a str,
    /// The client certificate to which it is bound; none, where it is empty.
    pub holder: &'a str,
    /// By what it is made.
    pub maker: Maker,
}

impl Store {
    /// Keeps a one-time link.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn add_link(&self, hash: &str, name: &str, role: &str, expires_at: Instant) -> Result<(), StoreError> {
        let row = sign_in_link::ActiveModel {
            hash: Set(hash.to_owned()),
            name: Set(name.to_owned()),
            role: Set(role.to_owned()),
            expires_at: Set(micros(expires_at)),
            used_at: Set(None),
        };
        row.insert(&self.write).await?;
        Ok(())
    }

    /// Uses a link up; none where it is unknown, used or too old.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn use_link(&self, hash: &str, now: Instant) -> Result<Option<sign_in_link::Model>, StoreError> {
        let used = sign_in_link::Entity::update_many()
            .col_expr(sign_in_link::Column::UsedAt, Expr::value(micros(now)))
            .filter(sign_in_link::Column::Hash.eq(hash))
            .filter(sign_in_link::Column::UsedAt.is_null())
            .filter(sign_in_link::Column::ExpiresAt.gt(micros(now)))
            .exec(&self.write)
            .await?;
        if used.rows_affected != 1 {
            return Ok(None);
        }
        Ok(sign_in_link::Entity::find_by_id(hash).one(&self.write).await?)
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn add_session(&self, row: session::Model) -> Result<(), StoreError> {
        session::Entity::insert(session::ActiveModel::from(row))
            .exec_without_returning(&self.write)
            .await?;
        Ok(())
    }

    /// The session of this hash, if it still holds.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn session(&self, hash: &str, now: Instant) -> Result<Option<session::Model>, StoreError> {
        let query = session::Entity::find_by_id(hash).filter(session::Column::ExpiresAt.gt(micros(now)));
        Ok(query.one(&self.read).await?)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn end_session(&self, hash: &str) -> Result<(), StoreError> {
        session::Entity::delete_by_id(hash).exec(&self.write).await?;
        Ok(())
    }

    /// Makes a token; none where what makes it was revoked meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn add_token(&self, new: &NewToken<'_>, now: Instant) -> Result<Option<token::Model>, StoreError> {
        let row = token::ActiveModel {
            id: Set(Uuid::now_v7()),
            project_id: Set(new.project),
            name: Set(new.name.to_owned()),
            prefix: Set(new.prefix.to_owned()),
            hash: Set(new.hash.to_owned()),
            role: Set(new.role.to_owned()),
            actor: Set(new.actor.to_owned()),
            created_at: Set(micros(now)),
            expires_at: Set(micros(new.expires_at)),
            last_used_at: Set(None),
            revoked_at: Set(None),
            person_id: Set(new.person),
            scopes: Set(new.scopes.join(" ")),
            holder: Set(new.holder.to_owned()),
            subject: Set(new.subject.to_owned()),
            by_token: Set(new.maker.token),
            by_session: Set(new.maker.session.clone()),
        };
        let tx = self.begin().await?;
        if !is_there(&tx, &new.maker).await? {
            return Ok(None);
        }
        let row = row.insert(&tx).await?;
        tx.commit().await?;
        Ok(Some(row))
    }

    /// The token of this hash, if it is still worth something.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn token(&self, hash: &str, now: Instant) -> Result<Option<token::Model>, StoreError> {
        Ok(token::Entity::find()
            .filter(token::Column::Hash.eq(hash))
            .filter(token::Column::RevokedAt.is_null())
            .filter(token::Column::ExpiresAt.gt(micros(now)))
            .one(&self.read)
            .await?)
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn touch_token(&self, id: Uuid, now: Instant) -> Result<(), StoreError> {
        let update = token::Entity::update_many().col_expr(token::Column::LastUsedAt, Expr::value(micros(now)));
        update.filter(token::Column::Id.eq(id)).exec(&self.write).await?;
        Ok(())
    }

    /// Tokens, latest first; of these projects, or all.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn tokens(&self, only: Option<&[Uuid]>) -> Result<Vec<token::Model>, StoreError> {
        let mut query = token::Entity::find();
        if let Some(only) = only {
            query = query.filter(token::Column::ProjectId.is_in(only.iter().copied()));
        }
        Ok(query.order_by_desc(token::Column::Id).all(&self.read).await?)
    }

    /// A token of these projects, or of all, that still is worth something.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn token_by_id(
        &self,
        id: Uuid,
        only: Option<&[Uuid]>,
        now: Instant,
    ) -> Result<Option<token::Model>, StoreError> {
        let mut query = token::Entity::find_by_id(id)
            .filter(token::Column::RevokedAt.is_null())
            .filter(token::Column::ExpiresAt.gt(micros(now)));
        if let Some(only) = only {
            query = query.filter(token::Column::ProjectId.is_in(only.iter().copied()));
        }
        Ok(query.one(&self.read).await?)
    }

    /// A token of these projects, or of all, whether it still is worth something or not: what it made may be.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn known_token(&self, id: Uuid, only: Option<&[Uuid]>) -> Result<Option<token::Model>, StoreError> {
        let mut query = token::Entity::find_by_id(id);
        if let Some(only) = only {
            query = query.filter(token::Column::ProjectId.is_in(only.iter().copied()));
        }
        Ok(query.one(&self.read).await?)
    }

    /// Lets a token end at this instant, where it does not end before.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn shorten_token(&self, id: Uuid, until: Instant) -> Result<(), StoreError> {
        token::Entity::update_many()
            .col_expr(token::Column::ExpiresAt, Expr::value(micros(until)))
            .filter(token::Column::Id.eq(id))
            .filter(token::Column::ExpiresAt.gt(micros(until)))
            .exec(&self.write)
            .await?;
        Ok(())
    }

    /// Revokes a token, and what it made; gives what that was, none where the token is not there.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn revoke_token(
        &self,
        id: Uuid,
        only: Option<&[Uuid]>,
        now: Instant,
    ) -> Result<Option<Made>, StoreError> {
        let tx = self.begin().await?;
        let mut update = token::Entity::update_many()
            .col_expr(token::Column::RevokedAt, Expr::value(micros(now)))
            .filter(token::Column::Id.eq(id))
            .filter(token::Column::RevokedAt.is_null());
        if let Some(only) = only {
            update = update.filter(token::Column::ProjectId.is_in(only.iter().copied()));
        }
        if update.exec(&tx).await?.rows_affected != 1 {
            return Ok(None);
        }
        let made = revoke_made(&tx, Root::Token(id), now).await?;
        tx.commit().await?;
        Ok(Some(made))
    }
}
