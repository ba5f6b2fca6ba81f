//! What was made by a token or in a session: it is shown before its maker is revoked, and revoked with it.

use crate::connection::Transaction;
use crate::entity::{membership, session, token};
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use std::collections::HashSet;
use uuid::Uuid;

/// By what something is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    /// The token.
    pub token: Option<Uuid>,
    /// Or the session, by its hash; empty where it was none.
    pub session: String,
}

/// What some tokens or sessions made, and what those tokens made in turn.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Tokens that still are worth something.
    pub tokens: Vec<token::Model>,
    /// Memberships.
    pub memberships: Vec<membership::Model>,
}

impl Made {
    /// Whether it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.memberships.is_empty()
    }

    /// How much it is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens.len() + self.memberships.len()
    }
}

/// What is at the root of a lineage.
#[derive(Clone, Copy, Debug)]
pub enum Root<'a> {
    /// A token.
    Token(Uuid),
    /// Sessions, by their hashes.
    Sessions(&'a [String]),
    /// A person: their tokens, and whatever those made.
    Person(Uuid),
}

/// Tokens that are looked up at once.
const AT_ONCE: usize = 500;

async fn made_by(db: &impl ConnectionTrait, root: Root<'_>, now: Instant) -> Result<Made, StoreError> {
    let mut made = Made::default();
    let mut makers: Vec<Uuid> = match root {
        Root::Token(id) => vec![id],
        Root::Person(id) => {
            let own = token::Entity::find().filter(token::Column::PersonId.eq(id));
            let own = own.all(db).await?;
            let ids = own.iter().map(|token| token.id).collect();
            made.tokens.extend(own);
            ids
        }
        Root::Sessions(hashes) => {
            for chunk in hashes.chunks(AT_ONCE) {
                let tokens = token::Entity::find().filter(token::Column::BySession.is_in(chunk));
                made.tokens.extend(tokens.all(db).await?);
                let given = membership::Entity::find().filter(membership::Column::BySession.is_in(chunk));
                made.memberships.extend(given.all(db).await?);
            }
            made.tokens.iter().map(|token| token.id).collect()
        }
    };
    // One that has ended may have made one that has not. A token that replaced its maker stands in a circle with it.
    let mut met: HashSet<Uuid> = makers.iter().copied().collect();
    while !makers.is_empty() {
        let mut next = Vec::new();
        for chunk in makers.chunks(AT_ONCE) {
            let of_chunk = token::Column::ByToken.is_in(chunk.iter().copied());
            let tokens = token::Entity::find()
                .filter(of_chunk)
                .order_by_asc(token::Column::Id)
                .all(db)
                .await?;
            for token in tokens {
                if met.insert(token.id) {
                    next.push(token.id);
                    made.tokens.push(token);
                }
            }
            let given = membership::Column::ByToken.is_in(chunk.iter().copied());
            made.memberships
                .extend(membership::Entity::find().filter(given).all(db).await?);
        }
        makers = next;
    }
    made.tokens
        .retain(|token| token.revoked_at.is_none() && token.expires_at > micros(now));
    Ok(made)
}

/// Revokes what a root made; gives what that was.
pub(crate) async fn revoke_made(tx: &Transaction, root: Root<'_>, now: Instant) -> Result<Made, StoreError> {
    let mut all = Made::default();
    loop {
        let made = made_by(tx, root, now).await?;
        if made.is_empty() {
            return Ok(all);
        }
        for chunk in made.tokens.chunks(AT_ONCE) {
            token::Entity::update_many()
                .col_expr(token::Column::RevokedAt, Expr::value(micros(now)))
                .filter(token::Column::Id.is_in(chunk.iter().map(|token| token.id)))
                .filter(token::Column::RevokedAt.is_null())
                .exec(tx)
                .await?;
        }
        for chunk in made.memberships.chunks(AT_ONCE) {
            membership::Entity::delete_many()
                .filter(membership::Column::Id.is_in(chunk.iter().map(|given| given.id)))
                .exec(tx)
                .await?;
        }
        // What one of them made meanwhile shows once its row was waited for: until there is nothing more.
        all.tokens.extend(made.tokens);
        all.memberships.extend(made.memberships);
    }
}

/// Whether a maker still is there, and stays so to the end of the transaction: what is made beside its revocation is not left behind.
pub(crate) async fn is_there(tx: &Transaction, maker: &Maker) -> Result<bool, StoreError> {
    if let Some(id) = maker.token {
        let query = token::Entity::find_by_id(id).filter(token::Column::RevokedAt.is_null());
        return Ok(query.lock_exclusive().one(tx).await?.is_some());
    }
    if maker.session.is_empty() {
        return Ok(true);
    }
    let query = session::Entity::find_by_id(maker.session.as_str());
    Ok(query.lock_exclusive().one(tx).await?.is_some())
}

impl Store {
    /// What would be revoked with a root.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn made_by(&self, root: Root<'_>, now: Instant) -> Result<Made, StoreError> {
        made_by(&self.read, root, now).await
    }

    /// Gives what a token made to the one that takes its place.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn adopt_made(&self, old: Uuid, new: Uuid) -> Result<(), StoreError> {
        token::Entity::update_many()
            .col_expr(token::Column::ByToken, Expr::value(new))
            .filter(token::Column::ByToken.eq(old))
            .filter(token::Column::Id.ne(new))
            .exec(&self.write)
            .await?;
        membership::Entity::update_many()
            .col_expr(membership::Column::ByToken, Expr::value(new))
            .filter(membership::Column::ByToken.eq(old))
            .exec(&self.write)
            .await?;
        Ok(())
    }

    /// Ends sessions, and revokes what was made in them; gives what that was.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn end_and_revoke(&self, sessions: &[String], now: Instant) -> Result<Made, StoreError> {
        let tx = self.begin().await?;
        for chunk in sessions.chunks(AT_ONCE) {
            let gone = session::Entity::delete_many().filter(session::Column::Hash.is_in(chunk));
            gone.exec(&tx).await?;
        }
        let made = revoke_made(&tx, Root::Sessions(sessions), now).await?;
        tx.commit().await?;
        Ok(made)
    }
}
