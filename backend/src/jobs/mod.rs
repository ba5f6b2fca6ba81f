//! Scheduled work. The table names every job; the scheduler library is named only here.

mod end_restrictions;
mod enforce_retention;
mod expire_backups;
mod fire_schedules;
mod pull_sources;
mod refresh_keys;
mod register_evidence;
mod sign_trail;
mod tell_processors;
mod work;
mod write_refusals;

use crate::app::Context;
use std::future::Future;
use std::pin::Pin;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

type Run = fn(Context) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Every job: its name, when it looks (UTC, with seconds), and what it does. When assessments are due is computed from their rows, not here.
const JOBS: [(&str, &str, Run); 11] = [
    ("fire_schedules", "*/15 * * * * *", |app| {
        Box::pin(fire_schedules::run(app))
    }),
    ("enforce_retention", "0 17 3 * * *", |app| {
        Box::pin(enforce_retention::run(app))
    }),
    ("end_restrictions", "0 37 3 * * *", |app| {
        Box::pin(end_restrictions::run(app))
    }),
    ("expire_backups", "0 7 * * * *", |app| {
        Box::pin(expire_backups::run(app))
    }),
    ("pull_sources", "*/10 * * * * *", |app| Box::pin(pull_sources::run(app))),
    ("refresh_keys", "*/10 * * * * *", |app| Box::pin(refresh_keys::run(app))),
    ("tell_processors", "*/5 * * * * *", |app| {
        Box::pin(tell_processors::run(app))
    }),
    ("register_evidence", "0 47 2 * * *", |app| {
        Box::pin(register_evidence::run(app))
    }),
    ("sign_trail", "*/10 * * * * *", |app| Box::pin(sign_trail::run(app))),
    ("write_refusals", "*/5 * * * * *", |app| {
        Box::pin(write_refusals::run(app))
    }),
    ("work", "*/2 * * * * *", |app| Box::pin(work::run(app))),
];

/// Starts the ticker; it stops when the handle is dropped or shut down.
///
/// # Errors
/// [`JobSchedulerError`] where the ticker cannot start.
pub async fn start(app: &Context) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for (name, when, run) in JOBS {
        let app = app.clone();
        let busy = std::sync::Arc::new(tokio::sync::Mutex::new(()));
        let job = Job::new_async(when, move |_, _| {
            let (app, busy) = (app.clone(), busy.clone());
            Box::pin(async move {
                // A tick that finds the one before still at work leaves it alone.
                if let Ok(_turn) = busy.try_lock() {
                    tracing::trace!(job = name, "tick");
                    run(app).await;
                }
            })
        })?;
        scheduler.add(job).await?;
    }
    scheduler.start().await?;
    Ok(scheduler)
}

/// Fires what is due and does all waiting work, once; for tests and the command line.
pub async fn tick(app: &Context) {
    fire_schedules::run(app.clone()).await;
    pull_sources::run(app.clone()).await;
    work::run(app.clone()).await;
}
