//! The REST API under `/api/v1`, one file per resource. The description is made from the handlers.

pub mod assessments;
pub mod assets;
pub mod attestations;
pub mod catalogue;
pub mod clock;
pub mod events;
pub mod findings;
pub mod health;
pub mod jobs;
pub mod lineage;
pub mod people;
pub mod privacy;
pub mod processors;
pub mod projects;
pub mod registers;
pub mod reports;
pub mod retention;
pub mod scans;
pub mod schedules;
pub mod screening;
pub mod sources;
pub mod tokens;
pub mod trail;
pub mod waivers;

use super::problem::Problem;
use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, KnownFormat, License, ObjectBuilder, OpenApi, RefOr, Required, SchemaFormat,
    SecurityRequirement, ServerBuilder, Type,
};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

/// Rows on a page, where nobody says.
pub(crate) const PAGE: u64 = 50;
/// Rows on a page at most.
pub(crate) const MOST: u64 = 500;

/// Every route of the API.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config
        .service(health::live)
        .service(health::ready)
        .service(projects::list)
        .service(projects::create)
        .service(projects::show)
        .service(projects::update)
        .service(assets::list)
        .service(assets::register)
        .service(assets::rule)
        .service(assets::rule_requirement)
        .service(scans::push)
        .service(scans::list)
        .service(scans::original)
        .service(findings::list)
        .service(findings::show)
        .service(findings::push)
        .service(waivers::list)
        .service(waivers::request)
        .service(waivers::decide)
        .service(waivers::revoke)
        .service(waivers::take_over)
        .service(attestations::list)
        .service(attestations::create)
        .service(attestations::revoke)
        .service(events::push)
        .service(events::list)
        .service(assessments::list)
        .service(assessments::run)
        .service(assessments::show)
        .service(assessments::evidence)
        .service(sources::list)
        .service(sources::set)
        .service(sources::remove)
        .service(sources::pull_now)
        .service(sources::coverage)
        .service(people::me)
        .service(people::people)
        .service(people::end_sessions)
        .service(people::leave)
        .service(people::made_by)
        .service(people::memberships)
        .service(people::add)
        .service(people::remove)
        .service(people::actions)
        .service(sources::expected)
        .service(sources::set_expected)
        .service(sources::forget_expected)
        .service(schedules::list)
        .service(schedules::set)
        .service(reports::list)
        .service(reports::make)
        .service(reports::make_overall)
        .service(reports::download)
        .service(jobs::show)
        .service(catalogue::frameworks)
        .service(catalogue::framework)
        .service(catalogue::formats)
        .service(privacy::list)
        .service(privacy::create)
        .service(privacy::show)
        .service(privacy::go)
        .service(privacy::download)
        .service(privacy::due)
        .service(privacy::read)
        .service(registers::consent)
        .service(registers::withdraw)
        .service(registers::activities)
        .service(registers::set_activity)
        .service(registers::end_activity)
        .service(registers::answers)
        .service(processors::list)
        .service(processors::set)
        .service(processors::end)
        .service(processors::answer)
        .service(processors::breaches)
        .service(processors::add_breach)
        .service(processors::step_breach)
        .service(retention::rules)
        .service(retention::set_rule)
        .service(retention::enforce)
        .service(retention::holds)
        .service(retention::hold)
        .service(retention::release)
        .service(screening::run)
        .service(clock::show)
        .service(clock::confirm_it)
        .service(trail::entries)
        .service(trail::proof)
        .service(trail::keys)
        .service(trail::export)
        .service(trail::verify)
        .service(trail::verification)
        .service(tokens::list)
        .service(tokens::create)
        .service(tokens::exchange)
        .service(tokens::rotate)
        .service(tokens::made_by)
        .service(tokens::revoke);
}

/// Puts the head of the description on.
#[must_use]
pub fn describe(mut api: OpenApi) -> OpenApi {
    api.info = InfoBuilder::new()
        .title("Affiant")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Push scanner findings and audit events; read scores, evidence and reports. Errors are RFC 9457 problems; docs/API.md lists \
             their types.",
        ))
        .license(Some(License::new("Apache-2.0")))
        .build();
    api.servers = Some(vec![ServerBuilder::new().url("/").build()]);
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "An API token, aff_…, made under Settings or by `affiant token create`",
        ))
        .build();
    let mut components = api
        .components
        .take()
        .unwrap_or_else(|| ComponentsBuilder::new().build());
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    api.components = Some(components);
    api.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    for (path, item) in &mut api.paths.paths {
        item.post.iter_mut().for_each(describe_retries);
        let each = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
        ];
        for (method, operation) in each {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(operation_id(method, path));
            describe_problems(operation);
            describe_responses(operation);
        }
    }
    api
}

/// What clients name an operation by: its method and path, such as `getProjectsByProjectFindings`. No two are the same.
fn operation_id(method: &str, path: &str) -> String {
    let mut id = method.to_owned();
    for part in path
        .split(['/', '-', '.'])
        .filter(|part| !matches!(*part, "" | "api" | "v1"))
    {
        let name = part.trim_matches(['{', '}']);
        if part.starts_with('{') {
            id.push_str("By");
        }
        let mut letters = name.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id
}

/// Says of each response what it is, where its own description does not, and of files that they are binary.
fn describe_responses(operation: &mut Operation) {
    let binary = |media: &str| {
        matches!(
            media,
            "application/octet-stream" | "application/pdf" | "application/zip"
        )
    };
    let file = || {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
    };
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for (media, content) in &mut body.content {
            if let RefOr::T(content) = content
                && binary(media)
            {
                content.schema = Some(file().into());
            }
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        for (media, content) in &mut response.content {
            let RefOr::T(content) = content else { continue };
            if binary(media) {
                content.schema = Some(file().into());
            } else if media == "application/x-ndjson" {
                content.schema = Some(ObjectBuilder::new().schema_type(Type::String).into());
            }
        }
        if response.description.is_empty() {
            response.description = match status.as_str() {
                "200" => "Done: what was asked for".to_owned(),
                "201" => "Made".to_owned(),
                "202" => "Queued".to_owned(),
                "204" => "Done".to_owned(),
                other => super::problem::titles(other),
            };
        }
    }
}

/// Every POST of somebody who is known takes an idempotency key.
fn describe_retries(operation: &mut Operation) {
    let is_open = operation
        .security
        .as_ref()
        .is_some_and(|all| all.iter().all(|one| *one == SecurityRequirement::default()));
    if is_open {
        return;
    }
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "1 to 200 characters. The same key and request give the same answer for a day (ten minutes where it shows a secret); another \
             request with the key gives 422, one whose first request is still being processed 409 with Retry-After.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    operation.parameters.get_or_insert_default().push(RefOr::T(key));
    let all = &mut operation.responses.responses;
    let problem = all.get("401").cloned();
    for status in ["409", "422"] {
        if let Some(problem) = &problem {
            all.entry(status.to_owned()).or_insert_with(|| problem.clone());
        }
    }
}

/// Errors are `application/problem+json`, and some can come of any request.
fn describe_problems(operation: &mut Operation) {
    const ANY: [&str; 4] = ["400", "413", "429", "503"];
    let all = &mut operation.responses.responses;
    let problem = all.get("401").cloned();
    for status in ANY {
        if let Some(problem) = &problem {
            all.entry(status.to_owned()).or_insert_with(|| problem.clone());
        }
    }
    for (status, response) in all.iter_mut() {
        let RefOr::T(response) = response else { continue };
        if status.starts_with(['4', '5'])
            && let Some(content) = response.content.shift_remove("application/json")
        {
            response.content.insert("application/problem+json".to_owned(), content);
        }
    }
}

/// The description as it is served.
pub struct Document(String);

impl Document {
    /// Writes it once.
    #[must_use]
    pub fn new(api: &OpenApi) -> Self {
        Self(api.to_pretty_json().unwrap_or_default())
    }
}

/// The description without a server, as `affiant openapi` prints it.
#[must_use]
pub fn description() -> String {
    use utoipa_actix_web::AppExt;
    let (_, api) = actix_web::App::new()
        .into_utoipa_app()
        .configure(routes)
        .split_for_parts();
    let mut text = describe(api).to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

pub(super) async fn openapi(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document.0.clone())
}

/// The description to read and try in a browser, without any outside host.
#[must_use]
pub fn browser(_: OpenApi) -> utoipa_swagger_ui::SwaggerUi {
    let config = utoipa_swagger_ui::Config::from("/api/openapi.json").persist_authorization(false);
    utoipa_swagger_ui::SwaggerUi::new("/{_:.*}").config(config)
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// Rows on a page, 1 to 500; 50 where it is not given.
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u64>,
}

pub(crate) fn limit(wanted: Option<u64>) -> Result<u64, Problem> {
    match wanted {
        None => Ok(PAGE),
        Some(limit) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::invalid("limit", format!("a page has 1 to {MOST} rows"))),
    }
}

/// A list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// The rows.
    pub items: Vec<T>,
    /// What to send as `cursor` for the next page; null on the last.
    pub next: Option<String>,
}

/// Answers with a list, and a `Link` to the next page.
pub(crate) fn listed<T: Serialize>(path: &str, query: &str, list: &List<T>) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(next) = &list.next {
        let kept: String = query
            .split('&')
            .filter(|part| !part.is_empty() && !part.starts_with("cursor="))
            .fold(String::new(), |mut all, part| {
                all.push_str(part);
                all.push('&');
                all
            });
        response.insert_header(("Link", format!("<{path}?{kept}cursor={next}>; rel=\"next\"")));
    }
    response.json(list)
}

pub(crate) fn uuid(text: &str, what: &str) -> Result<uuid::Uuid, Problem> {
    uuid::Uuid::parse_str(text).map_err(|_| Problem::not_found(&format!("there is no such {what}")))
}

/// A body of at most so many bytes, read where it is known who asks.
pub(crate) async fn bytes(body: web::Payload, most: usize) -> Result<web::Bytes, Problem> {
    match body.to_bytes_limited(most).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(Problem::invalid("body", error.to_string())),
        Err(_) => Err(Problem::new(
            "too-large",
            format!("a body has at most {most} bytes here"),
        )),
    }
}

pub(crate) fn time(at: &str, text: &str) -> Result<affiant_domain::Instant, Problem> {
    affiant_domain::period::parse_instant(text).map_err(|error| Problem::invalid(at, error.to_string()))
}
