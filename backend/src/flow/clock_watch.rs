//! Watches the clock. A leap, a start far from the newest entry of the trail, or a clock apart from the database's is an entry in the trail,
//! and what deletes by date waits for a day of monotonic running or for a person's confirmation.

use super::FlowError;
use crate::app::Context;
use crate::clock::{Uptime, system_time};
use affiant_domain::Instant;
use affiant_domain::clock::{PROBATION, Suspicion, at_start, beside, watched};
use chrono::Duration;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use utoipa::ToSchema;

/// How often the system's clock is looked at.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);
/// How long a clock that leapt is not followed. One that was set right by a person or by NTP stays where it is.
const HOLDOVER: Duration = Duration::minutes(10);
/// Looks between two at the database's clock, and at what other servers found.
const DATABASE: u64 = 10;

/// The suspicion that this server knows of, and since when by monotonic time.
pub type Probation = Arc<Mutex<Option<(Instant, Uptime)>>>;

/// What is known of the clock.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClockStatus {
    /// The time that this installation goes by: the database's on PostgreSQL.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub now: Instant,
    /// Why the clock is not trusted; empty where it is.
    #[schema(example = "The clock moved by +365 days against the monotonic clock.")]
    pub suspicion: String,
    /// Since when. Deletions by date wait for 24 hours without another suspicion, or for a confirmation.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub suspected_at: Option<Instant>,
}

/// What is known of the clock.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn status(app: &Context) -> Result<ClockStatus, FlowError> {
    let found = app.store.clock_suspicion().await?;
    let (suspicion, suspected_at) = found.map_or_else(Default::default, |(why, at)| (why, Some(at)));
    Ok(ClockStatus {
        now: app.clock.now(),
        suspicion,
        suspected_at,
    })
}

/// Trusts the clock again, as a person confirms.
///
/// # Errors
/// [`FlowError::Conflict`] where the clock is not under suspicion.
pub async fn confirm(app: &Context, actor: &str) -> Result<(), FlowError> {
    let found = app.store.clock_suspicion().await?;
    let none = || FlowError::Conflict("The clock is not under suspicion. There is nothing to confirm.".to_owned());
    let (why, at) = found.ok_or_else(none)?;
    trust(app, (actor, "clock.confirmed"), &why, at).await
}

/// Whether what deletes by date may run.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn may_delete(app: &Context) -> Result<bool, FlowError> {
    let found = app.store.clock_suspicion().await?;
    if let Some((why, since)) = &found {
        tracing::warn!(why, %since, "deletions by date wait: confirm the clock, or let the server run for 24 hours");
    }
    Ok(found.is_none())
}

/// Compares the clock with the newest entry of the trail, and takes the database's time where there is one. Nothing may be deleted, and
/// nothing written to the trail, before this.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn check_start(app: &Context) -> Result<(), FlowError> {
    let newest = app.store.newest_entry_at().await?;
    let system = system_time();
    if let Some(database) = app.store.database_time().await? {
        app.clock.set(database);
        if let Some(found) = beside(system, database) {
            suspect(app, found).await?;
        }
    }
    match at_start(app.clock.now(), newest) {
        Some(found) => suspect(app, found).await,
        None => Ok(()),
    }
}

/// Looks at the clock for as long as the server runs.
pub async fn watch(app: Context) {
    let mut found = Found {
        leapt: None,
        // What the check at the start told is not told again.
        is_apart: app.store.is_postgres() && beside(system_time(), app.clock.now()).is_some(),
    };
    let mut looks = 0_u64;
    loop {
        tokio::time::sleep(LOOK).await;
        looks += 1;
        let outcome = async {
            if !app.store.is_postgres() {
                found.follow(&app, system_time()).await?;
            }
            if looks.is_multiple_of(DATABASE) {
                if let Some(database) = app.store.database_time().await? {
                    found.follow(&app, database).await?;
                    found.compare(&app, database).await?;
                }
                end_probation(&app).await?;
            }
            Ok::<_, FlowError>(())
        };
        if let Err(error) = outcome.await {
            tracing::error!(%error, "the clock could not be looked after");
        }
    }
}

/// What the watch has found and told.
struct Found {
    /// Since when the clock that is followed is somewhere else.
    leapt: Option<Uptime>,
    is_apart: bool,
}

impl Found {
    /// Follows a clock, unless it leapt: then time goes on as before for as long as the leap may still be a mistake. One that comes back
    /// in that time has done nothing.
    async fn follow(&mut self, app: &Context, said: Instant) -> Result<(), FlowError> {
        let leap = watched(app.clock.now(), Duration::zero(), said);
        match (leap, self.leapt) {
            (None, _) => self.leapt = None,
            (Some(leap), None) => {
                // Told before anything else: where that fails, the next look tells it.
                suspect(app, leap).await?;
                self.leapt = Some(Uptime::now());
            }
            (Some(_), Some(since)) if since.elapsed() >= HOLDOVER => self.leapt = None,
            (Some(_), Some(_)) => {}
        }
        if self.leapt.is_none() {
            app.clock.set(said);
        }
        Ok(())
    }

    /// Tells once that the server's clock is apart from its database's.
    async fn compare(&mut self, app: &Context, database: Instant) -> Result<(), FlowError> {
        let apart = beside(system_time(), database);
        if let Some(apart) = apart.filter(|_| !self.is_apart) {
            suspect(app, apart).await?;
        }
        self.is_apart = apart.is_some();
        Ok(())
    }
}

/// Puts the clock under suspicion, before anybody goes by it.
async fn suspect(app: &Context, found: Suspicion) -> Result<(), FlowError> {
    let why = found.to_string();
    tracing::error!(why, "the clock is not trusted: deletions by date wait");
    let now = app.clock.now();
    let told = why.clone();
    let keep = |app: Context| async move {
        app.store.suspect_clock(&told, now).await?;
        Ok::<_, FlowError>(((), serde_json::json!({ "suspicion": told })))
    };
    app.deed(("system", "clock.suspected", None), keep).await
}

/// Trusts the clock again once this server ran for so long without another suspicion.
async fn end_probation(app: &Context) -> Result<(), FlowError> {
    let found = app.store.clock_suspicion().await?;
    let over = {
        let mut known = app.probation.lock().unwrap_or_else(PoisonError::into_inner);
        match (&found, *known) {
            (Some((_, at)), Some((same, since))) if *at == same => since.elapsed() >= PROBATION,
            (found, _) => {
                *known = found.as_ref().map(|(_, at)| (*at, Uptime::now()));
                false
            }
        }
    };
    match found.filter(|_| over) {
        Some((why, at)) => trust(app, ("system", "clock.trusted"), &why, at).await,
        None => Ok(()),
    }
}

async fn trust(app: &Context, (actor, action): (&str, &str), why: &str, at: Instant) -> Result<(), FlowError> {
    let detail = serde_json::json!({ "suspicion": why });
    let keep = |app: Context| async move {
        if !app.store.trust_clock(at).await? {
            let why = "The clock came under another suspicion meanwhile. Read it, then confirm again.";
            return Err(FlowError::Conflict(why.to_owned()));
        }
        Ok(((), detail))
    };
    app.deed((actor, action, None), keep).await
}
