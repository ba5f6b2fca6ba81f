//! Scheduled work. The tables name every job; the scheduler library is named only here, and only ticks: what is due is computed from rows.

mod daily;
mod end_imports;
mod end_restrictions;
mod enforce_retention;
mod expire_backups;
mod fire_schedules;
mod index_text;
mod optimize;
mod pull_sources;
mod purge_answers;
mod reconcile;
mod refresh_keys;
mod register_evidence;
mod sign_trail;
mod sweep;
mod tell_processors;
mod work;
mod write_log_back;
mod write_refusals;

use crate::app::Context;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

type Run = fn(Context) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Every job that ticks: its name, when it looks (UTC, with seconds), and what it does.
const JOBS: [(&str, &str, Run); 14] = [
    ("fire_schedules", "*/15 * * * * *", |app| {
        Box::pin(fire_schedules::run(app))
    }),
    ("daily", "5 * * * * *", |app| Box::pin(daily::run(app))),
    ("pull_sources", "*/10 * * * * *", |app| Box::pin(pull_sources::run(app))),
    ("refresh_keys", "*/10 * * * * *", |app| Box::pin(refresh_keys::run(app))),
    ("tell_processors", "*/5 * * * * *", |app| {
        Box::pin(tell_processors::run(app))
    }),
    ("sign_trail", "*/10 * * * * *", |app| Box::pin(sign_trail::run(app))),
    ("write_strangers", "0 * * * * *", |app| {
        Box::pin(write_refusals::strangers(app))
    }),
    ("write_refusals", "*/5 * * * * *", |app| {
        Box::pin(write_refusals::run(app))
    }),
    ("purge_answers", "30 * * * * *", |app| Box::pin(purge_answers::run(app))),
    ("end_imports", PULSE, |app| Box::pin(end_imports::run(app))),
    ("index_text", PULSE, |app| Box::pin(index_text::run(app))),
    ("write_log_back", PULSE, |app| Box::pin(write_log_back::run(app))),
    ("work", PULSE, |app| Box::pin(work::run(app))),
    ("work_for_installation", PULSE, |app| {
        Box::pin(work::run_for_installation(app))
    }),
];
/// When the job looks that looks most often.
const PULSE: &str = "*/2 * * * * *";
/// Two of its ticks, and time for the third to be late.
const SILENCE: Duration = Duration::from_secs(5);

/// Ticks until it is shut down.
///
/// The library keeps the next tick of each job as a time of the clock, so that a clock that was ahead and comes back stops it for as long as
/// it was ahead. A watchdog that goes by monotonic time starts it anew where two ticks are missing.
pub struct Ticker {
    watchdog: tokio::task::JoinHandle<()>,
    scheduler: Arc<tokio::sync::Mutex<JobScheduler>>,
}

impl Ticker {
    /// Stops ticking.
    pub async fn shut_down(self) {
        self.watchdog.abort();
        let _ = self.scheduler.lock().await.shutdown().await;
    }
}

/// What jobs share between one scheduler and the next.
#[derive(Clone)]
struct Pulse {
    /// When anything ticked last.
    last: Arc<Mutex<Instant>>,
    /// One for each job: held while it is at work.
    busy: Arc<[tokio::sync::Mutex<()>]>,
}

impl Pulse {
    fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_silent(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > SILENCE
    }
}

/// Starts ticking.
///
/// # Errors
/// [`JobSchedulerError`] where the scheduler cannot start.
pub async fn start(app: &Context) -> Result<Ticker, JobSchedulerError> {
    let app = app.patient();
    let pulse = Pulse {
        last: Arc::new(Mutex::new(Instant::now())),
        busy: JOBS.iter().map(|_| tokio::sync::Mutex::new(())).collect(),
    };
    let scheduler = Arc::new(tokio::sync::Mutex::new(schedule(&app, &pulse).await?));
    let watched = scheduler.clone();
    let watchdog = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !pulse.is_silent() {
                continue;
            }
            tracing::warn!("no job ticked for two ticks: the scheduler is started anew");
            pulse.beat();
            let mut scheduler = watched.lock().await;
            let _ = scheduler.shutdown().await;
            match schedule(&app, &pulse).await {
                Ok(anew) => *scheduler = anew,
                Err(error) => tracing::error!(%error, "the scheduler could not be started anew"),
            }
        }
    });
    Ok(Ticker { watchdog, scheduler })
}

async fn schedule(app: &Context, pulse: &Pulse) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for (at, (name, when, run)) in JOBS.into_iter().enumerate() {
        let (app, pulse) = (app.clone(), pulse.clone());
        let job = Job::new_async(when, move |_, _| {
            let (app, pulse) = (app.clone(), pulse.clone());
            Box::pin(async move {
                pulse.beat();
                // A tick that finds the one before still at work leaves it alone.
                if let Some(Ok(_turn)) = pulse.busy.get(at).map(tokio::sync::Mutex::try_lock) {
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
