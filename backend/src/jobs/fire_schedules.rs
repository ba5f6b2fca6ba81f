//! Turns due slots of schedules into work, each slot once over any number of servers.

use crate::app::Context;
use affiant_domain::schedule::Timetable;
use affiant_store::{DueSlot, StoreError, entity, instant, micros};

pub(super) async fn run(app: Context) {
    if let Err(error) = fire(&app).await {
        tracing::error!(%error, "schedules could not be looked at");
    }
}

async fn fire(app: &Context) -> Result<(), StoreError> {
    let now = app.clock.now();
    for (schedule, last) in app.store.schedules_on(now).await? {
        let Some(due) = due(&schedule, last, now) else {
            continue;
        };
        let payload = serde_json::json!({ "framework": schedule.framework, "schedule": schedule.id, "slot": due.slot })
            .to_string();
        if app.store.fire(due, schedule.project_id, &payload, now).await? {
            tracing::info!(schedule = %schedule.id, framework = schedule.framework, missed = due.missed, "slot fired");
        }
    }
    Ok(())
}

fn due(schedule: &entity::schedule::Model, last: Option<i64>, now: affiant_domain::Instant) -> Option<DueSlot> {
    let table = match Timetable::parse(&schedule.cron, &schedule.zone) {
        Ok(table) => table,
        Err(error) => {
            tracing::error!(schedule = %schedule.id, %error, "a stored schedule cannot be read, and is not fired");
            return None;
        }
    };
    // A schedule that was changed looks forward from the change, not from its last slot under the old times.
    let since = instant(schedule.since_at.max(last.unwrap_or(i64::MIN)));
    let due = table.due(since, now)?;
    Some(DueSlot {
        schedule: schedule.id,
        slot: micros(due.slot),
        missed: due.missed,
    })
}
