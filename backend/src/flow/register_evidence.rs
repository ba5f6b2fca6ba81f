//! Lets the registers of privacy speak for controls: what they say today goes through the same import as any scanner's report, so that
//! it is scored, shown and recomputed like the rest.

use super::FlowError;
use super::fulfil_request::due_at;
use super::ingest::{Options, Upload, import};
use crate::app::Context;
use affiant_domain::id::ProjectId;
use affiant_domain::request::breach_due;
use affiant_store::{instant, micros};
use chrono::Duration;
use serde_json::{Value, json};
use std::io::Write;

/// What the checks are about.
const ASSET: &str = "org:privacy";
/// An activity is to be looked at within so many days.
const REVIEW: i64 = 365;

/// What a check found: nothing to say, or whether it holds and why not.
struct Found {
    rule: &'static str,
    title: &'static str,
    /// How many records it looked at.
    all: usize,
    /// How many of them fail it. Which ones is for those to see who keep the registers.
    failing: usize,
}

impl Found {
    /// As a finding of OCSF, class compliance.
    fn told(&self, at: &str) -> Option<Value> {
        (self.all > 0).then(|| {
            let holds = self.failing == 0;
            let message = if holds {
                format!("{} records hold", self.all)
            } else {
                format!("{} of {} records do not; the page Privacy has them", self.failing, self.all)
            };
            json!({
                "class_uid": 2003, "category_uid": 2, "activity_id": 1, "type_uid": 200_301, "time_dt": at, "message": message,
                "severity_id": 4, "status_id": 1, "metadata": {
                    "version": "1.4.0", "event_code": self.rule, "product": { "name": "Affiant", "version": env!("CARGO_PKG_VERSION") },
                },
                "finding_info": { "uid": self.rule, "title": self.title },
                "compliance": { "status": if holds { "Pass" } else { "Fail" }, "status_id": if holds { 1 } else { 3 } },
            })
        })
    }
}

async fn look(app: &Context) -> Result<Vec<Found>, FlowError> {
    let now = app.clock.now();
    let requests = app.store.requests(100_000).await?;
    let late = requests
        .iter()
        .filter(|row| row.closed_at.map_or(now, instant) >= due_at(row));
    let breaches = app.store.breaches().await?;
    let untold = breaches
        .iter()
        .filter(|row| row.authority_told_at.map_or(now, instant) > breach_due(instant(row.aware_at)));
    let (consents, unproved) = app.store.consents_in_force().await?;
    let recorded = app.store.activities().await?;
    let activities: Vec<_> = recorded.iter().filter(|row| row.ended_at.is_none()).collect();
    let old = activities
        .iter()
        .filter(|row| row.created_at < micros(now - Duration::days(REVIEW)));
    let processors = app.store.processors().await?;
    let processors: Vec<_> = processors.iter().filter(|row| row.ended_at.is_none()).collect();
    let unreviewed = processors.iter().filter(|row| row.review_at <= micros(now));
    let whole = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    // A record in which everything ended is no record.
    let gone = usize::from(!recorded.is_empty() && activities.is_empty());
    Ok(vec![
        Found {
            rule: "privacy-requests-in-time",
            title: "Requests of data subjects are answered in time",
            all: requests.len(),
            failing: late.count(),
        },
        Found {
            rule: "privacy-breaches-in-time",
            title: "Breaches are told to the authority within 72 hours",
            all: breaches.len(),
            failing: untold.count(),
        },
        Found {
            rule: "privacy-consents-proved",
            title: "Each consent that holds has its proof",
            all: whole(consents),
            failing: whole(unproved),
        },
        Found {
            rule: "privacy-activities-recorded",
            title: "Processing activities are recorded and looked at within a year",
            all: activities.len() + gone,
            failing: old.count() + gone,
        },
        Found {
            rule: "privacy-contracts-reviewed",
            title: "Contracts with processors are reviewed in time",
            all: processors.len(),
            failing: unreviewed.count(),
        },
    ])
}

/// Tells every project what the registers say now; gives how many projects. Where nothing is in any register, nothing is told.
///
/// # Errors
/// [`FlowError`] where the database or the disk fails.
pub async fn tell(app: &Context, actor: &str) -> Result<usize, FlowError> {
    // To the day: what another server tells too is answered from its digest.
    let at = app.clock.now().format("%Y-%m-%dT00:00:00Z").to_string();
    let told: Vec<Value> = look(app).await?.iter().filter_map(|found| found.told(&at)).collect();
    if told.is_empty() {
        return Ok(0);
    }
    let failed = |error| FlowError::Io(app.spool.display().to_string(), error);
    let mut file = tempfile::NamedTempFile::new_in(&app.spool).map_err(failed)?;
    file.write_all(json!(told).to_string().as_bytes()).map_err(failed)?;
    let mut count = 0;
    for project in app.store.projects(None).await? {
        let upload = Upload::of(file.path()).map_err(failed)?;
        let options = Options {
            asset: ASSET.to_owned(),
            part: String::new(),
            mode: "snapshot".to_owned(),
            format: Some("ocsf-json".to_owned()),
            scanned_at: None,
            dry_run: false,
            confirm: true,
            actor: actor.to_owned(),
        };
        match import(app, ProjectId(project.id), &upload, &options).await {
            Ok(_) => count += 1,
            Err(error) => {
                tracing::error!(%error, project = %project.slug, "what the registers say could not be taken in")
            }
        }
    }
    Ok(count)
}
