//! People by issuer and subject, what they and their groups may do, and the log of what was done and refused.

use crate::connection::Transaction;
use crate::entity::{membership, person, session, token};
use crate::lineage::{Maker, Root, is_there, revoke_made};
use crate::sql::clean;
use crate::{Draft, Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, Set,
};
use uuid::Uuid;

/// What a provider says of who signed in.
#[derive(Debug)]
pub struct Arrival<'a> {
    /// The provider, by its issuer.
    pub issuer: &'a str,
    /// The person, by the issuer's name for them.
    pub subject: &'a str,
    /// What they are called.
    pub name: &'a str,
    /// Where they are written to; shown, and never what they are known by.
    pub email: &'a str,
    /// Their groups.
    pub groups: &'a [String],
    /// What the provider's directory knows them by; empty where it has none.
    pub external_id: &'a str,
    /// Whether only those get in whom the directory told.
    pub only_told: bool,
}

/// A membership to make.
#[derive(Debug)]
pub struct NewMembership<'a> {
    /// The project; all, where none is named.
    pub project: Option<Uuid>,
    /// Who.
    pub member: Member<'a>,
    /// As what.
    pub role: &'a str,
    /// Until when, where it ends.
    pub ends_at: Option<Instant>,
    /// Frameworks to which it is bound; all, where none is named.
    pub frameworks: &'a [String],
    /// The window of time to which it is bound.
    pub window: (Option<Instant>, Option<Instant>),
    /// Who made it.
    pub actor: &'a str,
    /// By what it is made.
    pub maker: Maker,
}

/// A person, or a group of a provider.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    /// A person.
    Person(Uuid),
    /// A group: its provider, and as that names it.
    Group(&'a str, &'a str),
}

impl Store {
    /// The person who arrives; made where they were never seen. Who had left is back, but for those whom their directory let go: for them,
    /// and for those whom it never told where it is to tell everybody, none.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn arrive(&self, who: &Arrival<'_>, now: Instant) -> Result<Option<person::Model>, StoreError> {
        let groups = serde_json::to_string(who.groups).unwrap_or_default();
        let tx = self.begin().await?;
        let known = match same(&tx, who.issuer, (person::Column::Subject, who.subject)).await? {
            None => told(&tx, who).await?,
            known => known,
        };
        let standing = known.as_ref().map_or("", |known| known.standing.as_str());
        if matches!(standing, "inactive" | "gone") || who.only_told && standing != "active" {
            return Ok(None);
        }
        let row = if let Some(known) = known {
            let mut row = known.into_active_model();
            row.subject = Set(clean(who.subject));
            row.email = Set(clean(who.email));
            row.member_of = Set(clean(&groups));
            row.seen_at = Set(micros(now));
            row.left_at = Set(None);
            if !who.external_id.is_empty() {
                row.external_id = Set(clean(who.external_id));
            }
            row.update(&tx).await?
        } else {
            let row = person::ActiveModel {
                id: Set(Uuid::now_v7()),
                issuer: Set(who.issuer.to_owned()),
                subject: Set(clean(who.subject)),
                name: Set(free_name(&tx, who.name).await?),
                email: Set(clean(who.email)),
                member_of: Set(clean(&groups)),
                created_at: Set(micros(now)),
                seen_at: Set(micros(now)),
                left_at: Set(None),
                external_id: Set(clean(who.external_id)),
                user_name: Set(String::new()),
                standing: Set(String::new()),
                profile: Set(String::new()),
            };
            row.insert(&tx).await?
        };
        tx.commit().await?;
        Ok(Some(row))
    }

    /// A person.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn person(&self, id: Uuid) -> Result<Option<person::Model>, StoreError> {
        Ok(person::Entity::find_by_id(id).one(&self.read).await?)
    }

    /// Everybody who signed in and has not left, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn people(&self) -> Result<Vec<person::Model>, StoreError> {
        let query = person::Entity::find().filter(person::Column::LeftAt.is_null());
        let query = query.order_by_asc(person::Column::Name);
        Ok(query.limit(5000).all(&self.read).await?)
    }

    /// What somebody and their groups are members of, as far as it has not ended.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn memberships_of(
        &self,
        person: Uuid,
        (provider, groups): (&str, &[String]),
        now: Instant,
    ) -> Result<Vec<membership::Model>, StoreError> {
        let mut who = Condition::any().add(membership::Column::PersonId.eq(person));
        if !groups.is_empty() {
            let own = Condition::all()
                .add(membership::Column::Provider.eq(provider))
                .add(membership::Column::MemberOf.is_in(groups.iter().map(String::as_str)));
            who = who.add(own);
        }
        let holds = Condition::any()
            .add(membership::Column::EndsAt.is_null())
            .add(membership::Column::EndsAt.gt(micros(now)));
        Ok(membership::Entity::find()
            .filter(who)
            .filter(holds)
            .all(&self.read)
            .await?)
    }

    /// Memberships of these projects; or all, with those for all projects.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn memberships(&self, only: Option<&[Uuid]>) -> Result<Vec<membership::Model>, StoreError> {
        let mut query = membership::Entity::find();
        if let Some(only) = only {
            query = query.filter(membership::Column::ProjectId.is_in(only.iter().copied()));
        }
        Ok(query.order_by_asc(membership::Column::Id).all(&self.read).await?)
    }

    /// Makes somebody, or a group, a member; none where what makes it was revoked meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn add_membership(
        &self,
        new: &NewMembership<'_>,
        now: Instant,
    ) -> Result<Option<membership::Model>, StoreError> {
        let (person, provider, group) = match new.member {
            Member::Person(id) => (Some(id), String::new(), String::new()),
            Member::Group(provider, name) => (None, provider.to_owned(), clean(name)),
        };
        let row = membership::ActiveModel {
            id: Set(Uuid::now_v7()),
            project_id: Set(new.project),
            person_id: Set(person),
            role: Set(new.role.to_owned()),
            member_of: Set(group),
            frameworks: Set(serde_json::to_string(new.frameworks).unwrap_or_default()),
            actor: Set(clean(new.actor)),
            created_at: Set(micros(now)),
            from_at: Set(new.window.0.map(micros)),
            until_at: Set(new.window.1.map(micros)),
            ends_at: Set(new.ends_at.map(micros)),
            provider: Set(provider),
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

    /// Ends a membership; false where it is not there.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn remove_membership(&self, id: Uuid, only: Option<&[Uuid]>) -> Result<bool, StoreError> {
        let mut gone = membership::Entity::delete_many().filter(membership::Column::Id.eq(id));
        if let Some(only) = only {
            gone = gone.filter(membership::Column::ProjectId.is_in(only.iter().copied()));
        }
        Ok(gone.exec(&self.write).await?.rows_affected > 0)
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn touch_session(&self, hash: &str, now: Instant) -> Result<(), StoreError> {
        let update = session::Entity::update_many().col_expr(session::Column::SeenAt, Expr::value(micros(now)));
        update.filter(session::Column::Hash.eq(hash)).exec(&self.write).await?;
        Ok(())
    }

    /// Takes on the renewal of a session's word from its provider; false where another server was quicker.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn claim_refresh(&self, was: &session::Model, now: Instant) -> Result<bool, StoreError> {
        let update = session::Entity::update_many().col_expr(session::Column::RefreshedAt, Expr::value(micros(now)));
        let done = update
            .filter(session::Column::Hash.eq(was.hash.as_str()))
            .filter(session::Column::RefreshedAt.eq(was.refreshed_at))
            .exec(&self.write)
            .await?;
        Ok(done.rows_affected == 1)
    }

    /// Keeps what the next renewal needs, sealed.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn keep_refresh(&self, hash: &str, sealed: Vec<u8>) -> Result<(), StoreError> {
        let update = session::Entity::update_many().col_expr(session::Column::Refresh, Expr::value(sealed));
        update.filter(session::Column::Hash.eq(hash)).exec(&self.write).await?;
        Ok(())
    }

    /// The sessions of a person that hold, latest first.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn sessions_of(&self, person: Uuid, now: Instant) -> Result<Vec<session::Model>, StoreError> {
        Ok(session::Entity::find()
            .filter(session::Column::PersonId.eq(person))
            .filter(session::Column::ExpiresAt.gt(micros(now)))
            .order_by_desc(session::Column::SeenAt)
            .all(&self.read)
            .await?)
    }

    /// Ends the sessions that a provider ends: one by its `sid`, or all of a person. Gives how many.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn end_sessions(
        &self,
        provider: &str,
        sid: Option<&str>,
        person: Option<Uuid>,
    ) -> Result<u64, StoreError> {
        let mut gone = session::Entity::delete_many().filter(session::Column::Provider.eq(provider));
        gone = match (sid, person) {
            (Some(sid), _) => gone.filter(session::Column::Sid.eq(sid)),
            (None, Some(person)) => gone.filter(session::Column::PersonId.eq(person)),
            (None, None) => return Ok(0),
        };
        Ok(gone.exec(&self.write).await?.rows_affected)
    }

    /// Whether [`Store::end_sessions`] would end any.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn has_sessions(
        &self,
        provider: &str,
        sid: Option<&str>,
        person: Option<Uuid>,
    ) -> Result<bool, StoreError> {
        let of_provider = session::Entity::find().filter(session::Column::Provider.eq(provider));
        let found = match (sid, person) {
            (Some(sid), _) => of_provider.filter(session::Column::Sid.eq(sid)),
            (None, Some(person)) => of_provider.filter(session::Column::PersonId.eq(person)),
            (None, None) => return Ok(false),
        };
        Ok(found.one(&self.read).await?.is_some())
    }

    /// Lets somebody leave: their sessions end, their tokens are revoked, and nothing they hold counts until they sign in again. False where
    /// they are not there.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn leave(&self, id: Uuid, now: Instant) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let left = let_go(&tx, id, now).await?;
        tx.commit().await?;
        Ok(left)
    }

    /// The person of this issuer and subject.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn person_of(&self, issuer: &str, subject: &str) -> Result<Option<person::Model>, StoreError> {
        let query = person::Entity::find().filter(person::Column::Issuer.eq(issuer));
        Ok(query
            .filter(person::Column::Subject.eq(subject))
            .one(&self.read)
            .await?)
    }

    /// Writes down what was done or refused.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails; then it must not be done.
    pub async fn record_action(
        &self,
        (actor, kind, project): (&str, &str, Option<Uuid>),
        detail: &str,
        now: Instant,
    ) -> Result<(), StoreError> {
        self.append_alone(&[action((actor, kind, project), detail, now)]).await
    }
}

/// An action as an entry of the trail.
pub(crate) fn action((actor, kind, project): (&str, &str, Option<Uuid>), detail: &str, now: Instant) -> Draft {
    Draft {
        action: kind.to_owned(),
        outcome: if kind.ends_with(".refused") {
            "denied"
        } else {
            "success"
        },
        actor: clean(actor),
        concerns: Vec::new(),
        project,
        record: None,
        refs: Vec::new(),
        content: serde_json::json!({ "actor": actor, "detail": detail }).to_string(),
        at: micros(now),
    }
}

/// The person of an issuer for whom a column holds this.
pub(crate) async fn same(
    tx: &Transaction,
    issuer: &str,
    (column, value): (person::Column, &str),
) -> Result<Option<person::Model>, StoreError> {
    let query = person::Entity::find().filter(person::Column::Issuer.eq(issuer));
    // A directory that lets them go at this very moment is not overwritten.
    Ok(query.filter(column.eq(value)).lock_exclusive().one(tx).await?)
}

/// Who arrives for the first time and was told by their directory before.
async fn told(tx: &Transaction, who: &Arrival<'_>) -> Result<Option<person::Model>, StoreError> {
    if who.external_id.is_empty() {
        return Ok(None);
    }
    let known = same(tx, who.issuer, (person::Column::ExternalId, who.external_id)).await?;
    // Somebody else's subject is not taken over.
    Ok(known.filter(|known| !known.standing.is_empty() && known.subject == unbound(known.id)))
}

/// What stands for the subject of somebody whom a directory told and who never signed in.
pub(crate) fn unbound(id: Uuid) -> String {
    format!("directory:{id}")
}

/// A name that nobody has yet: one name is one person, in every record.
pub(crate) async fn free_name(tx: &Transaction, wanted: &str) -> Result<String, StoreError> {
    let wanted = clean(wanted);
    let mut name = wanted.clone();
    for n in 2.. {
        let same = person::Entity::find().filter(person::Column::Name.eq(name.as_str()));
        if same.one(tx).await?.is_none() {
            break;
        }
        name = format!("{wanted} ({n})");
    }
    Ok(name)
}

/// Ends somebody's sessions, tokens, what those tokens made, and own roles; false where they are not there.
pub(crate) async fn let_go(tx: &Transaction, id: Uuid, now: Instant) -> Result<bool, StoreError> {
    let left = person::Entity::update_many()
        .col_expr(person::Column::LeftAt, Expr::value(micros(now)))
        .filter(person::Column::Id.eq(id))
        .exec(tx)
        .await?;
    session::Entity::delete_many()
        .filter(session::Column::PersonId.eq(id))
        .exec(tx)
        .await?;
    revoke_made(tx, Root::Person(id), now).await?;
    token::Entity::update_many()
        .col_expr(token::Column::RevokedAt, Expr::value(micros(now)))
        .filter(token::Column::PersonId.eq(id))
        .filter(token::Column::RevokedAt.is_null())
        .exec(tx)
        .await?;
    membership::Entity::delete_many()
        .filter(membership::Column::PersonId.eq(id))
        .exec(tx)
        .await?;
    Ok(left.rows_affected > 0)
}
