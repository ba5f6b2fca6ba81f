//! What a directory tells: people with their standing, and groups. Of one issuer at a time: no directory sees or changes what another told.

use crate::connection::Transaction;
use crate::entity::{directory_group, directory_member, membership, person};
use crate::people::{free_name, let_go, same, unbound};
use crate::sql::clean;
use crate::{Store, StoreError, micros};
use affiant_domain::Instant;
use sea_orm::sea_query::{Expr, ExprTrait, Func};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select, Set,
};
use uuid::Uuid;

/// Somebody, as a directory tells it.
#[derive(Debug)]
pub struct Told<'a> {
    /// What the directory knows them by; what a provider vouches for when they sign in.
    pub external_id: &'a str,
    /// Whether that is the provider's name for them too.
    pub is_subject: bool,
    /// What they sign in with there.
    pub user_name: &'a str,
    /// What they are called.
    pub name: &'a str,
    /// Where they are written to.
    pub email: &'a str,
    /// What else is given back as it came.
    pub profile: &'a str,
    /// Whether they may get in.
    pub active: bool,
}

/// What came of telling something.
#[derive(Debug)]
pub enum Telling<T> {
    /// It is so now.
    Done(T),
    /// Another has this name or identity.
    Taken,
    /// It is not there.
    Missing,
    /// It was changed by somebody else meanwhile: read it again.
    Stale,
    /// They were made an administrator here: their identity does not change.
    Bound,
}

/// Which people, or groups, of a directory.
#[derive(Debug, Default)]
pub struct Asked {
    /// Each column with the text that it must hold; names without regard to case.
    pub equal: Vec<(&'static str, String)>,
    /// How many to pass over.
    pub skip: u64,
    /// How many to give.
    pub take: u64,
}

impl Store {
    /// Takes in somebody new; who signed in before, and is told now, is known.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn tell_person(
        &self,
        issuer: &str,
        told: &Told<'_>,
        now: Instant,
    ) -> Result<Telling<person::Model>, StoreError> {
        let tx = self.begin().await?;
        let known = match same(&tx, issuer, (person::Column::ExternalId, told.external_id)).await? {
            None if told.is_subject => same(&tx, issuer, (person::Column::Subject, told.external_id)).await?,
            known => known,
        };
        let standing = known.as_ref().map_or("", |known| known.standing.as_str());
        if matches!(standing, "active" | "inactive") || is_taken(&tx, issuer, told, known.as_ref()).await? {
            return Ok(Telling::Taken);
        }
        let row = match known {
            Some(known) => write(&tx, known, told, now).await?,
            None => {
                let id = Uuid::now_v7();
                let subject = if told.is_subject {
                    clean(told.external_id)
                } else {
                    unbound(id)
                };
                let row = person::ActiveModel {
                    id: Set(id),
                    issuer: Set(issuer.to_owned()),
                    subject: Set(subject),
                    name: Set(free_name(&tx, told.name).await?),
                    email: Set(clean(told.email)),
                    member_of: Set("[]".to_owned()),
                    created_at: Set(micros(now)),
                    seen_at: Set(micros(now)),
                    left_at: Set((!told.active).then(|| micros(now))),
                    external_id: Set(clean(told.external_id)),
                    user_name: Set(clean(told.user_name)),
                    standing: Set(standing_of(told.active)),
                    profile: Set(clean(told.profile)),
                };
                row.insert(&tx).await?
            }
        };
        tx.commit().await?;
        Ok(Telling::Done(row))
    }

    /// Takes in what changed of somebody. Who is no longer active is out at once: sessions, tokens and own roles end.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn retell_person(
        &self,
        issuer: &str,
        was: &person::Model,
        told: &Told<'_>,
        now: Instant,
    ) -> Result<Telling<person::Model>, StoreError> {
        let tx = self.begin().await?;
        let query = people(issuer).filter(person::Column::Id.eq(was.id));
        let Some(known) = query.lock_exclusive().one(&tx).await? else {
            return Ok(Telling::Missing);
        };
        // A change of an address must not bring back who was let go between reading and writing.
        if known.standing != was.standing {
            return Ok(Telling::Stale);
        }
        if is_taken(&tx, issuer, told, Some(&known)).await? {
            return Ok(Telling::Taken);
        }
        // Whoever signs in with the other identity would be an administrator.
        if known.external_id != clean(told.external_id) && administers(&tx, known.id).await? {
            return Ok(Telling::Bound);
        }
        let row = write(&tx, known, told, now).await?;
        tx.commit().await?;
        Ok(Telling::Done(row))
    }

    /// Lets go of somebody whom the directory no longer knows; false where they are not there.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn forget_person(&self, issuer: &str, id: Uuid, now: Instant) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let gone = person::Entity::update_many()
            .col_expr(person::Column::Standing, Expr::value("gone"))
            .filter(person::Column::Id.eq(id))
            .filter(person::Column::Issuer.eq(issuer))
            .filter(person::Column::Standing.is_in(["active", "inactive"]))
            .exec(&tx)
            .await?;
        if gone.rows_affected == 0 {
            return Ok(false);
        }
        let_go(&tx, id, now).await?;
        let members = directory_member::Entity::delete_many();
        members
            .filter(directory_member::Column::PersonId.eq(id))
            .exec(&tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// One person of a directory.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn told_person(&self, issuer: &str, id: Uuid) -> Result<Option<person::Model>, StoreError> {
        Ok(people(issuer).filter(person::Column::Id.eq(id)).one(&self.read).await?)
    }

    /// The people of a directory: how many there are, and these.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn told_people(&self, issuer: &str, asked: &Asked) -> Result<(u64, Vec<person::Model>), StoreError> {
        let mut query = people(issuer);
        for (column, text) in &asked.equal {
            query = match *column {
                "userName" => query.filter(folded(person::Column::UserName, text)),
                "externalId" => query.filter(person::Column::ExternalId.eq(text.as_str())),
                _ => query.filter(person::Column::Id.eq(Uuid::parse_str(text).unwrap_or_default())),
            };
        }
        let all = query.clone().count(&self.read).await?;
        let page = query.order_by_asc(person::Column::Id).offset(asked.skip);
        Ok((all, page.limit(asked.take).all(&self.read).await?))
    }

    /// Takes in a group, with its members; one that is there, as it was when it was read.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn tell_group(
        &self,
        issuer: &str,
        (was, name, external_id): (Option<&directory_group::Model>, &str, &str),
        members: &[Uuid],
        now: Instant,
    ) -> Result<Telling<directory_group::Model>, StoreError> {
        let tx = self.begin().await?;
        let other = groups(issuer).filter(directory_group::Column::Name.eq(clean(name)));
        if other
            .one(&tx)
            .await?
            .is_some_and(|other| was.is_none_or(|was| was.id != other.id))
        {
            return Ok(Telling::Taken);
        }
        let row = match was {
            None => {
                let row = directory_group::ActiveModel {
                    id: Set(Uuid::now_v7()),
                    issuer: Set(issuer.to_owned()),
                    external_id: Set(clean(external_id)),
                    name: Set(clean(name)),
                    created_at: Set(micros(now)),
                    changed_at: Set(micros(now)),
                };
                row.insert(&tx).await?
            }
            Some(was) => {
                let known = groups(issuer).filter(directory_group::Column::Id.eq(was.id));
                let Some(known) = known.lock_exclusive().one(&tx).await? else {
                    return Ok(Telling::Missing);
                };
                if known.changed_at != was.changed_at {
                    return Ok(Telling::Stale);
                }
                let mut row = known.into_active_model();
                row.name = Set(clean(name));
                row.external_id = Set(clean(external_id));
                row.changed_at = Set(Ord::max(micros(now), was.changed_at + 1));
                row.update(&tx).await?
            }
        };
        let own = directory_member::Column::GroupId.eq(row.id);
        directory_member::Entity::delete_many().filter(own).exec(&tx).await?;
        for chunk in members.chunks(500) {
            // Who is not of this directory is no member.
            let known = people(issuer).filter(person::Column::Id.is_in(chunk.iter().copied()));
            let known: Vec<Uuid> = known
                .select_only()
                .column(person::Column::Id)
                .into_tuple()
                .all(&tx)
                .await?;
            let rows = known.into_iter().map(|person| directory_member::ActiveModel {
                group_id: Set(row.id),
                person_id: Set(person),
            });
            directory_member::Entity::insert_many(rows)
                .exec_without_returning(&tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Telling::Done(row))
    }

    /// Forgets a group; false where it is not there.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn forget_group(&self, issuer: &str, id: Uuid) -> Result<bool, StoreError> {
        let tx = self.begin().await?;
        let known = groups(issuer).filter(directory_group::Column::Id.eq(id));
        let Some(known) = known.one(&tx).await? else {
            return Ok(false);
        };
        let own = directory_member::Column::GroupId.eq(known.id);
        directory_member::Entity::delete_many().filter(own).exec(&tx).await?;
        directory_group::Entity::delete_by_id(known.id).exec(&tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// One group of a directory.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn told_group(&self, issuer: &str, id: Uuid) -> Result<Option<directory_group::Model>, StoreError> {
        let query = groups(issuer).filter(directory_group::Column::Id.eq(id));
        Ok(query.one(&self.read).await?)
    }

    /// The groups of a directory: how many there are, and these.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn told_groups(
        &self,
        issuer: &str,
        asked: &Asked,
    ) -> Result<(u64, Vec<directory_group::Model>), StoreError> {
        let mut query = groups(issuer);
        for (column, text) in &asked.equal {
            query = match *column {
                "displayName" => query.filter(folded(directory_group::Column::Name, text)),
                "externalId" => query.filter(directory_group::Column::ExternalId.eq(text.as_str())),
                _ => query.filter(directory_group::Column::Id.eq(Uuid::parse_str(text).unwrap_or_default())),
            };
        }
        let all = query.clone().count(&self.read).await?;
        let page = query.order_by_asc(directory_group::Column::Id).offset(asked.skip);
        Ok((all, page.limit(asked.take).all(&self.read).await?))
    }

    /// Who is in a group: identifier and name.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn members_of(&self, group: Uuid) -> Result<Vec<(Uuid, String)>, StoreError> {
        let own = directory_member::Entity::find()
            .select_only()
            .column(directory_member::Column::PersonId)
            .filter(directory_member::Column::GroupId.eq(group))
            .into_query();
        let query = person::Entity::find().filter(person::Column::Id.in_subquery(own));
        let query = query.select_only().columns([person::Column::Id, person::Column::Name]);
        Ok(query
            .order_by_asc(person::Column::Id)
            .into_tuple()
            .all(&self.read)
            .await?)
    }

    /// The groups in which a directory has somebody.
    ///
    /// # Errors
    /// [`StoreError`] where the database fails.
    pub async fn told_groups_of(&self, person: Uuid) -> Result<Vec<directory_group::Model>, StoreError> {
        let own = directory_member::Entity::find()
            .select_only()
            .column(directory_member::Column::GroupId)
            .filter(directory_member::Column::PersonId.eq(person))
            .into_query();
        let query = directory_group::Entity::find().filter(directory_group::Column::Id.in_subquery(own));
        Ok(query
            .order_by_asc(directory_group::Column::Name)
            .limit(1000)
            .all(&self.read)
            .await?)
    }
}

fn people(issuer: &str) -> Select<person::Entity> {
    person::Entity::find()
        .filter(person::Column::Issuer.eq(issuer))
        .filter(person::Column::Standing.is_in(["active", "inactive"]))
}

fn groups(issuer: &str) -> Select<directory_group::Entity> {
    directory_group::Entity::find().filter(directory_group::Column::Issuer.eq(issuer))
}

/// A column that holds a text, without regard to case. RFC 7643: userName and displayName are not case-exact.
fn folded(column: impl ColumnTrait, text: &str) -> Expr {
    ExprTrait::eq(Func::lower(Expr::col(column)), Func::lower(Expr::value(text)))
}

fn standing_of(active: bool) -> String {
    if active { "active" } else { "inactive" }.to_owned()
}

/// Whether another of the directory has this name or identity.
async fn is_taken(
    tx: &Transaction,
    issuer: &str,
    told: &Told<'_>,
    own: Option<&person::Model>,
) -> Result<bool, StoreError> {
    let own = own.map_or(Uuid::nil(), |own| own.id);
    let of_others = || people(issuer).filter(person::Column::Id.ne(own));
    let name = of_others().filter(folded(person::Column::UserName, told.user_name));
    if name.one(tx).await?.is_some() {
        return Ok(true);
    }
    let identity = of_others().filter(person::Column::ExternalId.eq(clean(told.external_id)));
    Ok(identity.one(tx).await?.is_some())
}

/// Whether somebody was made an administrator themselves, of a project or of all.
async fn administers(tx: &Transaction, person: Uuid) -> Result<bool, StoreError> {
    let own = membership::Entity::find().filter(membership::Column::PersonId.eq(person));
    Ok(own
        .filter(membership::Column::Role.eq("admin"))
        .one(tx)
        .await?
        .is_some())
}

async fn write(
    tx: &Transaction,
    known: person::Model,
    told: &Told<'_>,
    now: Instant,
) -> Result<person::Model, StoreError> {
    let id = known.id;
    let had_left = known.left_at.is_some();
    let mut row = known.into_active_model();
    row.external_id = Set(clean(told.external_id));
    row.user_name = Set(clean(told.user_name));
    row.email = Set(clean(told.email));
    row.profile = Set(clean(told.profile));
    row.standing = Set(standing_of(told.active));
    if told.active {
        row.left_at = Set(None);
    }
    let mut row = row.update(tx).await?;
    if !told.active && !had_left {
        let_go(tx, id, now).await?;
        row.left_at = Some(micros(now));
    }
    Ok(row)
}
