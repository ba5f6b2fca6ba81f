//! Sessions in browsers. They are kept on the server, as hashes; the browser has a random secret in a cookie that only this host can set.

use super::oidc::{Identity, Providers, Renewal};
use super::{Grant, Principal, Role, Room, Way, hash, random};
use crate::app::Context;
use crate::config::{self, Config};
use affiant_store::{Arrival, StoreError, damaged, entity, micros, stored_json};
use chrono::Duration;
use ipnet::IpNet;
use rustls::server::danger::ClientCertVerifier;
use std::sync::Arc;

/// How people get in.
#[derive(Debug, Default)]
pub struct SignIn {
    /// How long sessions hold.
    pub session: config::Session,
    /// Providers of identities.
    pub providers: Providers,
    /// Address under which browsers and directories reach the server.
    pub public_url: String,
    /// Whether browsers come by TLS.
    pub tls: bool,
    /// Whether the local administrator for emergencies gets in.
    pub break_glass: bool,
    /// Bounds on requests.
    pub limits: config::Limits,
    /// Networks of the proxies that are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// What checks the certificates that trusted proxies tell; nothing of that is believed where there is none.
    pub told_certificates: Option<Arc<dyn ClientCertVerifier>>,
    /// Networks from which metrics are read.
    pub metrics_from: Vec<IpNet>,
}

impl SignIn {
    /// As a configuration says, with the secrets of its providers, for browsers that come to this address.
    ///
    /// # Errors
    /// What is wrong with a provider.
    pub fn new(config: &Config, secrets: Vec<String>, public_url: &str) -> Result<Self, String> {
        Ok(Self {
            session: config.session.clone(),
            providers: Providers::new(config, secrets, public_url)?,
            public_url: public_url.to_owned(),
            tls: public_url.starts_with("https://"),
            break_glass: config.server.break_glass,
            limits: config.limits.clone(),
            trusted_proxies: config.server.trusted_proxies.clone(),
            told_certificates: match config.server.client_cert_header {
                true => Some(config::tls::clients(&config.server.tls_client_authorities)?),
                false => None,
            },
            metrics_from: config.server.metrics_from.clone(),
        })
    }
}

/// How often the use of a session is noted, microseconds.
const NOTED: i64 = 30_000_000;
/// What a refresh token is sealed for.
pub(crate) const REFRESH: &str = "session.refresh";

/// Begins a session of somebody whom a provider vouches for; gives the secret for the cookie. None where the provider's directory let them
/// go, or never told them and is to tell everybody.
///
/// # Errors
/// [`StoreError`] where the database fails.
pub async fn begin(
    app: &Context,
    provider: &str,
    who: &Identity,
    refresh: Option<String>,
    browser: &str,
) -> Result<Option<String>, StoreError> {
    let Some(person) = arrive(app, provider, who).await? else {
        return Ok(None);
    };
    let secret = random();
    let row = entity::session::Model {
        name: person.name.clone(),
        person_id: Some(person.id),
        provider: provider.to_owned(),
        sid: who.sid.clone(),
        refresh: refresh.and_then(|token| app.key.seal(REFRESH, token.as_bytes()).ok()),
        ..blank(app, &secret, browser)
    };
    let add = |app: Context| async move {
        app.store.add_session(row).await?;
        Ok::<_, StoreError>(((), serde_json::json!({ "provider": provider, "subject": who.subject })))
    };
    app.deed((&person.name, "sign-in", None), add).await?;
    Ok(Some(secret))
}

/// Begins a session of who came by a link of the operator.
///
/// # Errors
/// [`StoreError`] where the database fails.
pub async fn begin_by_link(
    app: &Context,
    link: &entity::sign_in_link::Model,
    browser: &str,
) -> Result<String, StoreError> {
    let secret = random();
    let row = entity::session::Model {
        name: link.name.clone(),
        role: link.role.clone(),
        ..blank(app, &secret, browser)
    };
    let add = |app: Context| async move {
        app.store.add_session(row).await?;
        Ok::<_, StoreError>(((), serde_json::json!({ "link": true })))
    };
    app.deed((&link.name, "sign-in", None), add).await?;
    Ok(secret)
}

fn blank(app: &Context, secret: &str, browser: &str) -> entity::session::Model {
    let now = app.clock.now();
    let longest = Duration::seconds(app.sign_in.session.longest_seconds.into());
    entity::session::Model {
        hash: hash(secret),
        name: String::new(),
        role: String::new(),
        csrf: random(),
        created_at: micros(now),
        expires_at: micros(now + longest),
        person_id: None,
        provider: String::new(),
        sid: String::new(),
        browser: browser.chars().filter(|c| !c.is_control()).take(200).collect(),
        refresh: None,
        seen_at: micros(now),
        refreshed_at: micros(now),
    }
}

async fn arrive(app: &Context, provider: &str, who: &Identity) -> Result<Option<entity::person::Model>, StoreError> {
    let provider = app.sign_in.providers.by_name(provider);
    let arrival = Arrival {
        external_id: &who.external_id,
        only_told: provider.is_some_and(|provider| provider.settings.directory_only),
        issuer: &who.issuer,
        subject: &who.subject,
        name: &who.name,
        email: &who.email,
        groups: &who.groups,
    };
    app.store.arrive(&arrival, app.clock.now()).await
}

/// Who a session's secret stands for, if it holds.
///
/// # Errors
/// [`StoreError`] where the database fails.
pub async fn principal(app: &Context, secret: &str) -> Result<Option<Principal>, StoreError> {
    let now = app.clock.now();
    let Some(row) = app.store.session(&hash(secret), now).await? else {
        return Ok(None);
    };
    let settings = &app.sign_in.session;
    let idle = micros(now) - row.seen_at;
    if idle > i64::from(settings.idle_seconds) * 1_000_000 {
        app.store.end_session(&row.hash).await?;
        return Ok(None);
    }
    if idle > NOTED.min(i64::from(settings.idle_seconds) * 250_000) {
        app.store.touch_session(&row.hash, now).await?;
    }
    let Some(person) = row.person_id else {
        let role = Role::parse(&row.role);
        return Ok(role.map(|role| Principal {
            name: row.name.clone(),
            grants: vec![Grant {
                role,
                project: None,
                room: None,
                until: None,
            }],
            person: None,
            scopes: None,
            holder: String::new(),
            until: None,
            way: way(&row),
        }));
    };
    if micros(now) - row.refreshed_at > i64::from(settings.renew_seconds) * 1_000_000 && !renew(app, &row).await? {
        return Ok(None);
    }
    let Some(person) = app.store.person(person).await?.filter(is_here) else {
        return Ok(None);
    };
    Ok(Some(Principal {
        grants: grants(app, &person).await?,
        name: person.name,
        person: Some(person.id),
        scopes: None,
        holder: String::new(),
        until: None,
        way: way(&row),
    }))
}

/// Whether somebody has not left, here or in their directory.
pub(super) fn is_here(person: &entity::person::Model) -> bool {
    // Told by a directory, or by none; any other word lets nobody in.
    person.left_at.is_none() && matches!(person.standing.as_str(), "" | "active")
}

fn way(row: &entity::session::Model) -> Way {
    Way::Session {
        hash: row.hash.clone(),
        csrf: row.csrf.clone(),
    }
}

/// What a person may do: by themselves, and by the groups that their own provider last told, or its directory tells. A group that only the
/// directory tells administers where the configuration says so: else whoever may tell groups could make anybody an administrator.
pub(super) async fn grants(app: &Context, person: &entity::person::Model) -> Result<Vec<Grant>, StoreError> {
    let claimed: Vec<String> = stored_json(("person", person.id, "member_of"), &person.member_of)?;
    let mut groups = claimed.clone();
    if !person.standing.is_empty() {
        let told = app.store.told_groups_of(person.id).await?;
        groups.extend(told.into_iter().map(|group| group.name));
    }
    let own = app.sign_in.providers.by_issuer(&person.issuer);
    let provider = own.as_ref().map_or_else(String::new, |own| own.settings.name.clone());
    let from_directory = own.as_ref().map_or(&[][..], |own| &own.settings.directory_admin_groups);
    let may_administer = |group: &String| claimed.contains(group) || from_directory.contains(group);
    let administers = own.as_ref().is_some_and(|provider| {
        let is_admin = |group: &String| provider.settings.admin_groups.contains(group) && claimed.contains(group);
        groups
            .iter()
            .any(|group| is_admin(group) || from_directory.contains(group))
    });
    let rows = app
        .store
        .memberships_of(person.id, (&provider, &groups), app.clock.now())
        .await?;
    let mut held = Vec::new();
    for row in &rows {
        let unknown = || damaged("membership", row.id, format_args!("unknown role {}", row.role));
        let role = Role::parse(&row.role).ok_or_else(unknown)?;
        if role == Role::Admin && !row.member_of.is_empty() && !may_administer(&row.member_of) {
            continue;
        }
        held.push(Grant {
            role,
            project: row.project_id,
            room: room(row)?,
            until: row.ends_at.map(affiant_store::instant),
        });
    }
    let admin = administers.then_some(Grant {
        role: Role::Admin,
        project: None,
        room: None,
        until: None,
    });
    Ok(admin.into_iter().chain(held).collect())
}

/// The room of a membership that names frameworks or a window.
fn room(row: &entity::membership::Model) -> Result<Option<Room>, StoreError> {
    let frameworks: Vec<String> = stored_json(("membership", row.id, "frameworks"), &row.frameworks)?;
    let bounded = !frameworks.is_empty() || row.from_at.is_some() || row.until_at.is_some();
    Ok(bounded.then(|| Room {
        frameworks,
        from: row.from_at.unwrap_or(i64::MIN),
        until: row.until_at.unwrap_or(i64::MAX),
    }))
}

/// Asks the provider again; false where it ended the session. A provider that is away ends nothing before the session's own end.
async fn renew(app: &Context, row: &entity::session::Model) -> Result<bool, StoreError> {
    let now = app.clock.now();
    let (Some(sealed), Some(provider)) = (&row.refresh, app.sign_in.providers.by_name(&row.provider)) else {
        // A provider that is no longer set up vouches for nobody.
        let known = app.sign_in.providers.by_name(&row.provider).is_some();
        if !known {
            end(app, row, "the provider is no longer set up").await?;
        }
        return Ok(known);
    };
    if !app.store.claim_refresh(row, now).await? {
        return Ok(true);
    }
    let opened = app
        .key
        .open(REFRESH, sealed)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let person = match row.person_id {
        Some(id) => app.store.person(id).await?,
        None => None,
    };
    let (Some(refresh), Some(person)) = (opened, person) else {
        end(app, row, "it cannot be renewed").await?;
        return Ok(false);
    };
    match provider.renew(&refresh, &person.subject, now).await {
        Renewal::Holds(who, next) => {
            if arrive(app, &row.provider, &who).await?.is_none() {
                end(app, row, "the directory let them go").await?;
                return Ok(false);
            }
            if let Some(sealed) = next.and_then(|token| app.key.seal(REFRESH, token.as_bytes()).ok()) {
                app.store.keep_refresh(&row.hash, sealed).await?;
            }
            Ok(true)
        }
        Renewal::Ended(why) => {
            end(app, row, &why).await?;
            Ok(false)
        }
        Renewal::Away => Ok(true),
    }
}

async fn end(app: &Context, row: &entity::session::Model, why: &str) -> Result<(), StoreError> {
    let end = |app: Context| async move {
        app.store.end_session(&row.hash).await?;
        Ok(((), serde_json::json!({ "provider": row.provider, "why": why })))
    };
    app.deed((&row.name, "session.ended", None), end).await
}

#[cfg(test)]
mod tests {
    use super::room;
    use affiant_store::entity;
    use uuid::Uuid;

    #[test]
    fn frameworks_that_cannot_be_read_open_nothing() {
        let mut row = entity::membership::Model {
            id: Uuid::nil(),
            project_id: None,
            person_id: None,
            provider: String::new(),
            member_of: String::new(),
            role: "auditor".to_owned(),
            ends_at: None,
            frameworks: "[\"sox\"]".to_owned(),
            from_at: None,
            until_at: None,
            actor: String::new(),
            created_at: 0,
            by_token: None,
            by_session: String::new(),
        };
        assert!(room(&row).unwrap().is_some_and(|room| room.frameworks == ["sox"]));
        row.frameworks = "[\"sox\"".to_owned();
        assert!(room(&row).is_err());
    }
}
