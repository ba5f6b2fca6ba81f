//! Does the work that waits: assessments and large imports.

use crate::app::Context;
use crate::flow::ingest::Progress;
use crate::flow::{self, FlowError};
use affiant_domain::id::ProjectId;
use affiant_store::{ATTEMPTS, JobState, entity};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard, PoisonError};
use uuid::Uuid;

/// The work of projects.
pub(super) async fn run(app: Context) {
    claim(&app, true).await;
}

/// The work of the installation.
pub(super) async fn run_for_installation(app: Context) {
    claim(&app, false).await;
}

async fn claim(app: &Context, of_projects: bool) {
    loop {
        match app.store.claim_job(of_projects, app.clock.now()).await {
            Ok(Some(job)) => one(app, &job).await,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "jobs could not be looked at");
                return;
            }
        }
    }
}

#[tracing::instrument(name = "job", skip_all, fields(job = %job.id, kind = job.kind))]
async fn one(app: &Context, job: &entity::job::Model) {
    let outcome = tokio::select! {
        outcome = perform(app, job) => outcome,
        () = keep_alive(app, job) => Err(FlowError::Worker),
    };
    let (state, result) = match outcome {
        Ok(result) => (JobState::Done, result),
        Err(error) if matches!(error, FlowError::Store(_)) && job.attempt < ATTEMPTS => {
            tracing::warn!(%error, job = %job.id, "a job failed and will be tried again");
            return;
        }
        Err(error) => (
            JobState::Failed,
            serde_json::json!({ "error": error.for_readers() }).to_string(),
        ),
    };
    if let Err(error) = app.store.end_job(job, state, &result).await {
        tracing::error!(%error, job = %job.id, "a job's end could not be recorded");
    }
}

/// Renews the lease while the work goes on; ends where another worker has taken the job over.
async fn keep_alive(app: &Context, job: &entity::job::Model) {
    loop {
        tokio::time::sleep(std::time::Duration::from_secs(15)).await;
        // The lease outlives several tries.
        let renewed = app.store.renew_job(job, job.done, job.total, app.clock.now());
        if let Ok(Ok(false)) = tokio::time::timeout(std::time::Duration::from_secs(5), renewed).await {
            return;
        }
    }
}

#[derive(Deserialize)]
struct Assess {
    framework: String,
    schedule: Uuid,
    slot: i64,
}

async fn perform(app: &Context, job: &entity::job::Model) -> Result<String, FlowError> {
    if job.kind == flow::verify_trail::KIND {
        let verdict = flow::verify_trail::verify(app).await?;
        return serde_json::to_string(&verdict).map_err(|_| FlowError::Worker);
    }
    let project = ProjectId(job.project_id.ok_or(FlowError::Worker)?);
    let damaged = |error: serde_json::Error| affiant_store::StoreError::Damaged(error.to_string());
    match job.kind.as_str() {
        "assess" => {
            let wanted: Assess = serde_json::from_str(&job.payload).map_err(damaged)?;
            let request = flow::assess::Request {
                origin: "schedule",
                actor: "schedule",
                slot: Some((wanted.schedule, wanted.slot)),
            };
            let at = affiant_store::instant(wanted.slot).min(app.clock.now());
            let stored = flow::assess::assess(app, project, &[wanted.framework], at, request).await?;
            let ids: Vec<Uuid> = stored.iter().map(|(row, _)| row.id).collect();
            Ok(serde_json::json!({ "assessments": ids }).to_string())
        }
        "import" => {
            let wanted: flow::ingest::JobPayload = serde_json::from_str(&job.payload).map_err(damaged)?;
            let progress = Arc::new(Progress::default());
            lock(app).insert(job.id, progress.clone());
            let result = import(app, project, wanted, progress).await;
            lock(app).remove(&job.id);
            let result = result?;
            Ok(serde_json::to_string(&result).unwrap_or_default())
        }
        other => Err(FlowError::NotFound(format!("there is no job of kind \"{other}\""))),
    }
}

async fn import(
    app: &Context,
    project: ProjectId,
    wanted: flow::ingest::JobPayload,
    progress: Arc<Progress>,
) -> Result<flow::ingest::ImportResult, FlowError> {
    let gone = || FlowError::NotFound("the original is gone".to_owned());
    let file = flow::ingest::fetch(app, project, wanted.original)
        .await?
        .ok_or_else(gone)?;
    let upload = flow::ingest::Upload {
        path: file.path().to_owned(),
        digest: wanted.digest,
        size: wanted.size,
        gzip: wanted.gzip,
        masked: wanted.masked,
        keeps: true,
        progress,
        keyed: None,
    };
    flow::ingest::import_kept(app, project, &upload, &wanted.options, Some(wanted.original)).await
}

/// How far the imports of this server are.
fn lock(app: &Context) -> MutexGuard<'_, HashMap<Uuid, Arc<Progress>>> {
    app.progress.lock().unwrap_or_else(PoisonError::into_inner)
}
