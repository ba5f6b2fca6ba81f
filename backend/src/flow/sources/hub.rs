//! Findings that are pulled: each pull is a snapshot of all that the hub holds, imported as a pushed file is.

use super::settings::{Own, Settings};
use super::{Pulled, SHOWN, aws};
use crate::app::Context;
use crate::flow::FlowError;
use crate::flow::ingest::{Options, Upload, import};
use affiant_domain::id::ProjectId;
use affiant_store::entity;

/// Reads all findings of a hub. One that is cut off imports nothing, so that nothing is closed that was only not heard.
pub(super) async fn pull(
    app: &Context,
    source: &entity::source::Model,
    settings: &Settings,
    own: &Own,
) -> Result<Pulled, FlowError> {
    let hub = settings.aws().ok_or(FlowError::Worker)?;
    let (file, events) = aws::findings(&hub, own, &app.spool).await?;
    let path = file.path().to_owned();
    let upload = tokio::task::spawn_blocking(move || Upload::of(&path))
        .await
        .map_err(|_| FlowError::Worker)?
        .map_err(|error| FlowError::Io(file.path().display().to_string(), error))?;
    let options = Options {
        asset: source.asset.clone(),
        // Two hubs of one account, one a region, never close each other's findings.
        part: source.name.clone(),
        mode: "snapshot".to_owned(),
        format: Some("asff-json".to_owned()),
        scanned_at: None,
        dry_run: false,
        confirm: false,
        actor: format!("source:{}", source.name),
    };
    let result = import(app, ProjectId(source.project_id), &upload, &options).await?;
    let rejections = result.rejections.iter().map(|one| format!("{}: {}", one.at, one.why));
    Ok(Pulled {
        objects: 1,
        events,
        created: result.created,
        rejected: result.rejected,
        problems: rejections.take(SHOWN).collect(),
    })
}
