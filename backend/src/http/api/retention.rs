//! How long records are kept: the rules, what is past its date, and legal holds.

use super::{List, time, uuid};
use crate::app::Context;
use crate::auth::{Allowed, In, Read, WriteRetention};
use crate::flow::enforce_retention::{RetentionRun, Wish, run};
use crate::http::App;
use crate::http::problem::Problem;
use actix_web::{HttpResponse, delete, get, post, put, web};
use affiant_store::{NewHold, entity, instant};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// How long something must and may be kept, and why.
#[derive(Debug, Serialize, ToSchema)]
pub struct RetentionRule {
    /// Its id.
    #[schema(example = "ret-pci-log")]
    pub id: String,
    /// The compliance tag that it belongs to; empty where no tag says anything.
    #[schema(example = "PCI_DSS")]
    pub tag: String,
    /// Calendar months from the event on that it must be kept.
    pub at_least: Option<u32>,
    /// Calendar months after which what is personal in it must go.
    pub at_most: Option<u32>,
    /// The law or practice that it rests on.
    pub reason: String,
    /// Rules that want an event gone before this one lets it go; then it stays without what is personal in it.
    pub ends_before: Vec<String>,
    /// Whether it was changed here.
    pub changed: bool,
}

/// List the rules for audit events
///
/// Of several that apply the longest counts; what a sender asks for may lengthen it. Where a ceiling comes before a duty ends
/// (`ends_before`), the event stays for the duty and what is personal in it goes at the ceiling. Needs the permission `retention:write`.
#[utoipa::path(tag = "retention", responses((status = 200, body = [RetentionRule]), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[get("/api/v1/retention/rules")]
pub async fn rules(_who: Allowed<WriteRetention>, app: App) -> Result<HttpResponse, Problem> {
    let rules = app.store.retention_rules().await?;
    let changed = app.store.changed_rules().await?;
    let conflicts = rules.conflicts();
    let rule = |rule: &affiant_domain::retention::Rule| RetentionRule {
        id: rule.id.clone(),
        tag: rule.tag.clone(),
        at_least: rule.at_least,
        at_most: rule.at_most,
        reason: rule.reason.clone(),
        ends_before: conflicts
            .iter()
            .filter(|one| one.keeps == rule.id)
            .map(|one| one.ends.clone())
            .collect(),
        changed: changed.iter().any(|row| row.id == rule.id && row.actor != "migration"),
    };
    Ok(HttpResponse::Ok().json(rules.iter().map(rule).collect::<Vec<_>>()))
}

/// A rule as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleChange {
    /// The compliance tag that it belongs to, for a rule that is new: `SOX`, `HIPAA`, `GDPR` or `PCI_DSS`.
    #[serde(default)]
    pub tag: String,
    /// Calendar months that an event must be kept.
    #[serde(default)]
    pub at_least: Option<u32>,
    /// Calendar months after which what is personal in it must go.
    #[serde(default)]
    pub at_most: Option<u32>,
    /// The law or practice that it rests on.
    #[schema(example = "Our counsel's reading of section 147 of the tax code, of 2026-10-01")]
    pub reason: String,
}

/// How many stored events have another date now.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleChanged {
    /// Events.
    pub events: u64,
}

/// Change a rule, or add one
///
/// Events that are stored get their new dates at once. The id of a new rule begins with `duty-` where it is a duty towards others, before
/// which an erasure gives way, else with `policy-`. Needs the permission `retention:write` for all projects.
#[utoipa::path(tag = "retention", params(("rule" = String, Path, description = "Id")), request_body = RuleChange, responses((status = 200, body = RuleChanged), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem)))]
#[put("/api/v1/retention/rules/{rule}")]
pub async fn set_rule(
    who: Allowed<WriteRetention>,
    app: App,
    path: web::Path<String>,
    wanted: web::Json<RuleChange>,
) -> Result<HttpResponse, Problem> {
    if !who.principal.reach::<WriteRetention>().is_all() {
        return Err(Problem::forbidden("retention:write for all projects"));
    }
    let id = path.into_inner();
    let usual = affiant_domain::retention::Rules::default();
    let known = usual.iter().find(|rule| rule.id == id);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_new = (id.starts_with("duty-") || id.starts_with("policy-")) && id.len() <= 60 && id.chars().all(plain);
    if known.is_none() && !is_new {
        let what = "one of those in the list, or a new one: duty-… or policy-…, lower-case letters, digits and '-'";
        return Err(Problem::invalid("rule", what));
    }
    let tag = known.map_or_else(|| wanted.tag.clone(), |rule| rule.tag.clone());
    if known.is_none() && !affiant_domain::audit::COMPLIANCE_TAGS.contains(&tag.as_str()) {
        return Err(Problem::invalid(
            "/tag",
            format!("one of {}", affiant_domain::audit::COMPLIANCE_TAGS.join(", ")),
        ));
    }
    let months = |at: &str, months: Option<u32>| match months {
        Some(1201..) => Err(Problem::invalid(at, "at most 1200 months")),
        months => Ok(months.map(i64::from)),
    };
    let (at_least, at_most) = (
        months("/at_least", wanted.at_least)?,
        months("/at_most", wanted.at_most)?,
    );
    if at_least.is_none() && at_most.is_none() {
        return Err(Problem::invalid("/at_least", "at_least, at_most or both"));
    }
    if !(10..=1000).contains(&wanted.reason.trim().chars().count()) {
        return Err(Problem::invalid(
            "/reason",
            "10 to 1000 characters: the law or practice, and who says so",
        ));
    }
    let row = entity::retention_rule::Model {
        id,
        tag,
        reason: wanted.reason.trim().replace('\0', ""),
        actor: who.principal.name.clone(),
        at_least,
        at_most,
        changed_at: affiant_store::micros(app.clock.now()),
        pending: true,
    };
    let events = crate::flow::enforce_retention::change_rule(&app, row, &who.principal.name).await?;
    Ok(HttpResponse::Ok().json(RuleChanged { events }))
}

/// What is to be done.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionRequest {
    /// Only say what would go.
    pub dry_run: bool,
    /// It is meant, though it is more than five in a hundred records at once.
    pub confirm: bool,
}

/// Let go of what is past its date, now
///
/// What a job does daily. What is under a hold stays; more than five in a hundred records at once wait for `confirm`. The entries of the
/// trail stay and verify; a purge is an entry itself. Needs the permission `retention:write`.
#[utoipa::path(tag = "retention", params(("project" = String, Path, description = "Slug")), request_body = RetentionRequest, responses((status = 200, body = RetentionRun), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/projects/{project}/retention/runs")]
pub async fn enforce(at: In<WriteRetention>, wanted: web::Json<RetentionRequest>) -> Result<HttpResponse, Problem> {
    let wish = Wish {
        dry_run: wanted.dry_run,
        confirm: wanted.confirm,
    };
    Ok(HttpResponse::Ok().json(run(&at.app, &at.project, wish, &at.principal.name).await?))
}

/// A legal hold.
#[derive(Debug, Serialize, ToSchema)]
pub struct Hold {
    /// Its id.
    pub id: Uuid,
    /// Whether it is for the records of one person alone.
    pub of_person: bool,
    /// Records from then on.
    pub from: Option<DateTime<Utc>>,
    /// Records before then.
    pub until: Option<DateTime<Utc>>,
    /// Why.
    pub reason: String,
    /// Who made it.
    pub actor: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it was released.
    pub released_at: Option<DateTime<Utc>>,
}

impl From<entity::legal_hold::Model> for Hold {
    fn from(row: entity::legal_hold::Model) -> Self {
        Self {
            id: row.id,
            of_person: row.subject_id.is_some(),
            from: row.from_at.map(instant),
            until: row.until_at.map(instant),
            reason: row.reason,
            actor: row.actor,
            created_at: instant(row.created_at),
            released_at: row.released_at.map(instant),
        }
    }
}

/// A hold to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldRequest {
    /// Records of this person alone, as events name them; of all, where it is not given.
    pub person: Option<String>,
    /// Records from then on.
    pub from: Option<String>,
    /// Records before then.
    pub until: Option<String>,
    /// Why.
    #[schema(example = "Litigation 2026-114")]
    pub reason: String,
}

/// List legal holds, latest first
///
/// Needs the permission `read`.
#[utoipa::path(tag = "retention", params(("project" = String, Path, description = "Slug")), responses((status = 200, body = List<Hold>), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[get("/api/v1/projects/{project}/holds")]
pub async fn holds(at: In<Read>) -> Result<HttpResponse, Problem> {
    let items = at.scoped().holds().await?.into_iter().map(Hold::from).collect();
    Ok(HttpResponse::Ok().json(List::<Hold> { items, next: None }))
}

/// Hold records
///
/// What it covers is neither purged nor erased until it is released. Needs the permission `retention:write`.
#[utoipa::path(tag = "retention", params(("project" = String, Path, description = "Slug")), request_body = HoldRequest, responses((status = 201, body = Hold), (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[post("/api/v1/projects/{project}/holds")]
pub async fn hold(at: In<WriteRetention>, wanted: web::Json<HoldRequest>) -> Result<HttpResponse, Problem> {
    let n = wanted.reason.trim().chars().count();
    if !(3..=2000).contains(&n) || wanted.reason.contains('\0') {
        return Err(Problem::invalid("/reason", "write 3 to 2000 characters"));
    }
    let from = wanted.from.as_deref().map(|text| time("/from", text)).transpose()?;
    let until = wanted.until.as_deref().map(|text| time("/until", text)).transpose()?;
    if from.zip(until).is_some_and(|(from, until)| until <= from) {
        return Err(Problem::invalid("/until", "it ends after it begins"));
    }
    let person = wanted.person.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let (at, reason) = (&at, wanted.reason.as_str());
    let make = |app: Context| async move {
        let new = NewHold {
            person,
            from,
            until,
            reason,
            actor: &at.principal.name,
        };
        let row = app.store.project(at.id()).hold(&new, app.clock.now()).await?;
        let detail = serde_json::json!({ "hold": row.id, "reason": row.reason, "of_person": row.subject_id.is_some() });
        Ok((row, detail))
    };
    let row = at.deed("hold.made", make).await?;
    Ok(HttpResponse::Created().json(Hold::from(row)))
}

/// Release a legal hold
///
/// Needs the permission `retention:write`.
#[utoipa::path(tag = "retention", params(("project" = String, Path, description = "Slug"), ("hold" = String, Path, description = "Id")), responses((status = 204), (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
#[delete("/api/v1/projects/{project}/holds/{hold}")]
pub async fn release(at: In<WriteRetention>, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let id = uuid(&path.1, "hold")?;
    let at = &at;
    let end = |app: Context| async move {
        if !app.store.project(at.id()).release_hold(id, app.clock.now()).await? {
            return Err(Problem::not_found("there is no such hold, or it was released before"));
        }
        Ok(((), serde_json::json!({ "hold": id })))
    };
    at.deed("hold.released", end).await?;
    Ok(HttpResponse::NoContent().finish())
}
