//! The layout for exchange over an object store: `audit_logs/<year>/<id>.json`, one event each, with what decides its keeping as metadata.

use super::connector::objects;
use super::{Settings, invalid, own};
use crate::app::Context;
use crate::flow::FlowError;
use affiant_domain::Instant;
use affiant_domain::id::ProjectId;
use affiant_store::{EventRow, instant, micros, stored_json};
use chrono::Datelike;
use object_store::path::Path as Key;
use object_store::{Attribute, Attributes, ObjectStore, PutMode, PutOptions};
use serde::Serialize;
use serde_json::json;

/// Events that are read at once.
const PAGE: u64 = 500;

/// What was written.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Exported {
    /// Objects that are new.
    pub written: u64,
    /// Objects that were there already.
    pub there: u64,
}

/// Writes the events of a period to the store of a source.
///
/// # Errors
/// [`FlowError`] where store or database are away; what was written by then stays, and writing again goes on.
pub async fn export(
    app: &Context,
    project: ProjectId,
    name: &str,
    (start, end): (Instant, Instant),
) -> Result<Exported, FlowError> {
    let scoped = app.store.project(project);
    let source = scoped
        .source(name)
        .await?
        .ok_or_else(|| FlowError::NotFound(format!("there is no source \"{name}\"")))?;
    let own = own(app, project).await?;
    let settings = Settings::parse(&source.settings, &own)?;
    let (store, prefix) = objects(&settings, &own)?;
    // Azure takes names only that are words of a programming language.
    let joint = if settings.kind() == "azure" { "_" } else { "-" };
    let mut told = Exported::default();
    let mut cursor = None;
    loop {
        let page = scoped
            .events((micros(start), micros(end)), &[], cursor.as_ref(), PAGE)
            .await?;
        for row in &page.items {
            match write(store.as_ref(), &prefix, joint, row).await? {
                true => told.written += 1,
                false => told.there += 1,
            }
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(told),
        }
    }
}

/// Writes an event once; false where it is there.
async fn write(store: &dyn ObjectStore, prefix: &str, joint: &str, row: &EventRow) -> Result<bool, FlowError> {
    let event = &row.event;
    let words = |column, text: &str| stored_json::<Vec<String>>(("audit_event", event.id, column), text);
    let (at, tags) = (instant(event.at), words("tags", &event.tags)?);
    let key = Key::from(format!("{prefix}/audit_logs/{}/{}.json", at.year(), event.id).trim_start_matches('/'));
    let body = json!({
        "event_id": event.id, "timestamp": at, "user_id": row.user, "agent_id": event.agent, "action": event.action,
        "resource": event.resource, "outcome": event.outcome, "source_ip": row.source_ip, "risk_level": event.risk,
        "compliance_tags": tags, "data_categories": words("categories", &event.categories)?,
    });
    let mut body = body;
    if let Some(map) = body.as_object_mut() {
        map.retain(|_, value| value.as_str().is_none_or(|text| !text.is_empty()));
    }
    let days = (instant(event.keep_until) - at).num_days();
    let mut attributes = Attributes::new();
    for (name, value) in [
        ("compliance-frameworks", tags.join(",")),
        ("retention-period", days.to_string()),
        ("risk-level", event.risk.clone()),
    ] {
        attributes.insert(Attribute::Metadata(name.replace('-', joint).into()), value.into());
    }
    attributes.insert(Attribute::ContentType, "application/json".into());
    let options = PutOptions {
        mode: PutMode::Create,
        attributes,
        ..PutOptions::default()
    };
    match store.put_opts(&key, body.to_string().into(), options).await {
        Ok(_) => Ok(true),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => {
            tracing::warn!(%error, "an event cannot be written");
            Err(invalid("source", "the store cannot be written; the log says why"))
        }
    }
}
