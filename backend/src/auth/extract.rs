//! Extractors that hold a permission: [`Allowed`] for the installation, [`In`] for the project in the path.

use super::{Grant, Permission, Principal, Role, Way, WriteTokens, hash, session};
use crate::app::Context;
use crate::http::limits::{Gate, address, steady};
use crate::http::problem::Problem;
use crate::http::{App, certificate};
use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use affiant_domain::actor;
use affiant_domain::id::ProjectId;
use affiant_store::{Scoped, entity};
use std::future::{Ready, ready};
use std::marker::PhantomData;

/// Name of the session's cookie.
pub const SESSION_COOKIE: &str = "__Host-affiant_session";

/// Somebody who has permission `P`.
pub struct Allowed<P: Permission> {
    /// Who.
    pub principal: Principal,
    marker: PhantomData<P>,
}

/// Somebody who has permission `P` in the project of the path.
pub struct In<P: Permission> {
    /// Who.
    pub principal: Principal,
    /// The project.
    pub project: entity::project::Model,
    /// The parts of the installation.
    pub app: App,
    marker: PhantomData<P>,
}

impl<P: Permission> In<P> {
    /// The present as "known at": nothing that is visible in the project is later.
    #[must_use]
    pub fn known(&self) -> affiant_domain::Instant {
        self.app.clock.now().max(affiant_store::instant(self.project.known_at))
    }

    /// The project's id.
    #[must_use]
    pub const fn id(&self) -> ProjectId {
        ProjectId(self.project.id)
    }

    /// Whether they have another permission in the project too.
    #[must_use]
    pub fn may<Q: Permission>(&self) -> bool {
        self.principal.reach::<Q>().covers(self.project.id)
    }

    /// Does something in the project together with its entry in the trail, as [`Context::deed`] does.
    ///
    /// # Errors
    /// Those of the work, and of the database.
    pub async fn deed<T, F, Fut>(&self, kind: &str, work: F) -> Result<T, Problem>
    where
        F: FnOnce(Context) -> Fut,
        Fut: Future<Output = Result<(T, serde_json::Value), Problem>>,
    {
        let of = (self.principal.name.as_str(), kind, Some(self.project.id));
        self.app.deed(of, work).await
    }

    /// The project's view of the store.
    #[must_use]
    pub fn scoped(&self) -> Scoped<'_> {
        self.app.store.project(self.id())
    }
}

/// The project of the path, where there is one that whoever asks may see.
#[derive(Clone)]
struct AskedProject(Option<entity::project::Model>);

/// Finds out who is asking, and of which project, before anything of the request's body is looked at. It refuses nobody: that is for the
/// handler's signature.
///
/// # Errors
/// [`Problem`] where the database fails.
pub async fn identify(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let app = request.app_data::<web::Data<Context>>().cloned();
    if let Some(app) = app.filter(|_| !request.path().starts_with("/assets/")) {
        // An answer, not an error: what stands around it adds its headers to answers alone.
        if let Err(problem) = known(&app, &request).await {
            return Ok(request
                .into_response(HttpResponse::from_error(problem))
                .map_into_right_body());
        }
        steady(&mut request);
    }
    Ok(next.call(request).await?.map_into_left_body())
}

/// Notes who asks and of which project, where not too many requests came before.
async fn known(app: &Context, request: &ServiceRequest) -> Result<(), Problem> {
    let found = principal_of(app, request).await?;
    admit(app, request, found.as_ref())?;
    if let Some(principal) = found {
        meant(request, &principal)?;
        let project = asked_project(app, &principal, request.path()).await?;
        let asked = project.as_ref().map(|project| project.id);
        if principal.is_guest(asked) {
            // A reading that cannot be written down does not happen.
            let detail = serde_json::json!({ "path": request.path() }).to_string();
            let of = (principal.name.as_str(), "room.read", asked);
            app.store.record_action(of, &detail, app.clock.now()).await?;
        }
        request.extensions_mut().insert(principal);
        request.extensions_mut().insert(AskedProject(project));
    }
    Ok(())
}

/// Lets a request through where not too many came before it. What watches over the server is not counted.
fn admit(app: &Context, request: &ServiceRequest, who: Option<&Principal>) -> Result<(), Problem> {
    let Some(gate) = request.app_data::<web::Data<Gate>>() else {
        return Ok(());
    };
    if matches!(request.path(), "/healthz" | "/readyz" | "/metrics") {
        return Ok(());
    }
    match who {
        Some(who) => gate.admit(&who.identity()),
        None => {
            let peer = request.peer_addr().map(|peer| peer.ip());
            gate.admit_from(address(peer, request.headers(), &app.sign_in.trusted_proxies))
        }
    }
}

async fn principal_of(app: &Context, request: &ServiceRequest) -> Result<Option<Principal>, Problem> {
    let header = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    match header {
        Some(header) => match header
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        {
            Some((_, secret)) => {
                let proxies = (
                    app.sign_in.trusted_proxies.as_slice(),
                    app.sign_in.told_certificates.as_deref(),
                );
                let shown = certificate::shown(request, proxies, app.clock.now());
                by_token(app, secret.trim(), shown.as_ref()).await
            }
            None => Ok(None),
        },
        None => match request.cookie(SESSION_COOKIE) {
            Some(cookie) => Ok(session::principal(app, cookie.value()).await?),
            None => Ok(None),
        },
    }
}

/// What belongs to somebody else is as if it were not there.
async fn asked_project(
    app: &Context,
    principal: &Principal,
    path: &str,
) -> Result<Option<entity::project::Model>, Problem> {
    let rest = path
        .strip_prefix("/api/v1/projects/")
        .or_else(|| path.strip_prefix("/p/"));
    let slug = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if crate::flow::project::check_slug(slug).is_err() {
        return Ok(None);
    }
    Ok(app
        .store
        .project_by_slug(slug)
        .await?
        .filter(|project| principal.known().covers(project.id)))
}

async fn by_token(
    app: &Context,
    secret: &str,
    shown: Option<&certificate::Shown>,
) -> Result<Option<Principal>, Problem> {
    /// How often the last use is noted, microseconds.
    const NOTED: i64 = 60_000_000;
    let now = app.clock.now();
    let Some(row) = app.store.token(&hash(secret), now).await? else {
        return Ok(None);
    };
    // Who found a token that is bound to a certificate has found nothing.
    if !row.holder.is_empty() && !shown.is_some_and(|shown| shown.is(&row.holder)) {
        return Ok(None);
    }
    if row
        .last_used_at
        .is_none_or(|last| affiant_store::micros(now) - last > NOTED)
    {
        app.store.touch_token(row.id, now).await?;
    }
    let mut name = actor::nameless(&row.name);
    if let Some(id) = row.person_id {
        // Who has left leaves no token behind.
        let Some(person) = app.store.person(id).await?.filter(session::is_here) else {
            return Ok(None);
        };
        // It can do no more than who made it still could.
        let held = session::grants(app, &person).await?;
        let makes = |grant: &&Grant| WriteTokens::ROLES.contains(&grant.role);
        let covers = |grant: &Grant| grant.project.is_none() || grant.project == row.project_id;
        if !held.iter().filter(makes).any(covers) {
            return Ok(None);
        }
        name = actor::by_token(&person.name, &row.name);
    }
    let role = Role::parse(&row.role);
    Ok(role.map(|role| Principal {
        name,
        grants: vec![Grant {
            role,
            project: row.project_id,
            room: None,
            until: None,
        }],
        person: row.person_id,
        scopes: (!row.scopes.is_empty()).then(|| row.scopes.split(' ').map(str::to_owned).collect()),
        holder: row.holder,
        until: Some(affiant_store::instant(row.expires_at)),
        way: Way::Token(row.id),
    }))
}

fn principal(request: &HttpRequest) -> Result<Principal, Problem> {
    let found = request.extensions().get::<Principal>().cloned();
    found.ok_or_else(|| {
        if request.headers().contains_key("authorization") {
            Problem::new("unauthenticated", "the token is unknown, has ended or was revoked")
        } else {
            Problem::unauthenticated()
        }
    })
}

/// Refuses what another site made the browser send, whatever the route. A session is sent by the browser whether its owner means it or not: what
/// changes something must show that it comes from this site, and what reads is opened as a page or comes from this site, since a reading is
/// written down in its owner's name. Forms of pages carry a secret of their own, too.
fn meant(request: &ServiceRequest, principal: &Principal) -> Result<(), Problem> {
    if !matches!(principal.way, Way::Session { .. }) {
        return Ok(());
    }
    let told = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_meant = if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        // Links from elsewhere lead here; images and scripts of another site do not.
        let is_opened = told("sec-fetch-mode") == Some("navigate") && told("sec-fetch-dest") == Some("document");
        is_opened || !matches!(told("sec-fetch-site"), Some("same-site" | "cross-site"))
    } else {
        // Browsers say where a request comes from; programs with a session must say it too.
        told("sec-fetch-site") == Some("same-origin")
    };
    if is_meant {
        return Ok(());
    }
    let why = "the browser does not say that this request comes from this site (Sec-Fetch-Site: same-origin)";
    Err(Problem::new("forbidden", why))
}

/// Refuses a session where the permission is for programs.
fn by_session<P: Permission>(principal: Principal) -> Result<Principal, Problem> {
    if P::BY_SESSION || !matches!(principal.way, Way::Session { .. }) {
        return Ok(principal);
    }
    let why = format!(
        "the permission {} is for programs: send an API token, not the session of a browser",
        P::NAME
    );
    Err(Problem::new("forbidden", why))
}

impl<P: Permission> Allowed<P> {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let principal = principal(request)?;
        if !principal.may::<P>() {
            return Err(Problem::forbidden(P::NAME));
        }
        Ok(Self {
            principal: by_session::<P>(principal)?,
            marker: PhantomData,
        })
    }
}

impl<P: Permission> FromRequest for Allowed<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl<P: Permission> In<P> {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let principal = principal(request)?;
        let app = App::of(request)?;
        let asked = request
            .extensions()
            .get::<AskedProject>()
            .and_then(|asked| asked.0.clone());
        let project = asked.ok_or_else(|| Problem::not_found("there is no such project"))?;
        if !principal.reach::<P>().covers(project.id) {
            return Err(Problem::forbidden(P::NAME));
        }
        Ok(Self {
            principal: by_session::<P>(principal)?,
            project,
            app,
            marker: PhantomData,
        })
    }
}

impl<P: Permission> FromRequest for In<P> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}
