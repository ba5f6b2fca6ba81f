//! Daily work: each job once a day over all servers. What was missed, because no server ran or the one that did died, is caught up with.

use super::{end_restrictions, enforce_retention, expire_backups, optimize, reconcile, register_evidence, sweep};
use crate::app::Context;
use crate::flow::FlowError;
use affiant_domain::Instant;
use chrono::{Duration, NaiveTime};
use std::future::Future;
use std::pin::Pin;

type Run = fn(Context) -> Pin<Box<dyn Future<Output = Result<(), FlowError>> + Send>>;

/// Every daily job: its name, hour and minute (UTC), and what it does.
const DAILY: [(&str, (u32, u32), Run); 7] = [
    ("register_evidence", (2, 47), |app| {
        Box::pin(register_evidence::run(app))
    }),
    ("enforce_retention", (3, 17), |app| {
        Box::pin(enforce_retention::run(app))
    }),
    ("end_restrictions", (3, 37), |app| Box::pin(end_restrictions::run(app))),
    ("expire_backups", (4, 7), |app| Box::pin(expire_backups::run(app))),
    ("sweep", (4, 27), |app| Box::pin(sweep::run(app))),
    ("optimize", (4, 47), |app| Box::pin(optimize::run(app))),
    ("reconcile", (5, 7), |app| Box::pin(reconcile::run(app))),
];
/// How long a claim holds without being renewed.
const LEASE: Duration = Duration::minutes(2);
/// How often it is renewed.
const RENEWAL: std::time::Duration = std::time::Duration::from_secs(30);

pub(super) async fn run(app: Context) {
    for (name, at, work) in DAILY {
        let now = app.clock.now();
        let slot = latest_slot(at, now);
        match app.store.claim_daily(name, slot, (now, LEASE)).await {
            Ok(Some(attempt)) => one(&app, (name, attempt), work).await,
            Ok(None) => {}
            Err(error) => tracing::error!(%error, job = name, "daily work could not be looked at"),
        }
    }
}

/// Does the work of a slot. Where it fails it is tried again when the claim ends.
async fn one(app: &Context, (name, attempt): (&str, i64), work: Run) {
    let renewing = async {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let until = app.clock.now() + LEASE;
            if let Err(error) = app.store.renew_daily(name, attempt, until).await {
                tracing::warn!(%error, job = name, "the claim of daily work could not be renewed");
            }
        }
    };
    let done = tokio::select! {
        done = work(app.clone()) => done,
        never = renewing => never,
    };
    let ended = match done {
        Ok(()) => app.store.end_daily(name, attempt, app.clock.now()).await,
        Err(error) => {
            tracing::error!(%error, job = name, "daily work failed and will be tried again");
            Ok(())
        }
    };
    if let Err(error) = ended {
        tracing::error!(%error, job = name, "the end of daily work could not be noted");
    }
}

/// The latest time of day `at` that is not after `now`.
fn latest_slot((hour, minute): (u32, u32), now: Instant) -> Instant {
    let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or(NaiveTime::MIN);
    let today = now.date_naive().and_time(time).and_utc();
    if today <= now { today } else { today - Duration::days(1) }
}

#[cfg(test)]
mod tests {
    use super::latest_slot;
    use affiant_domain::period::parse_instant;

    #[test]
    fn a_slot_of_today_is_due_from_its_minute_on() {
        let at = |text| parse_instant(text).unwrap();
        let slot = |now| latest_slot((3, 17), at(now));
        assert_eq!(slot("2026-11-27T03:17:00Z"), at("2026-11-27T03:17:00Z"));
        assert_eq!(slot("2026-11-27T03:16:59Z"), at("2026-11-26T03:17:00Z"));
        assert_eq!(slot("2026-11-27T23:00:00Z"), at("2026-11-27T03:17:00Z"));
    }
}
