//! Reads stored originals again, with the readers of this version: where one gives a finding another fingerprint than the reader that first
//! brought it, the finding takes the new one and keeps the old as a link. Nothing opens or closes.

use super::fetch;
use crate::app::Context;
use crate::flow::FlowError;
use affiant_domain::audit::AuditEvent;
use affiant_domain::fingerprint::Fingerprint;
use affiant_domain::id::ProjectId;
use affiant_domain::observation::{Observation, Place};
use affiant_ingest::{FileSource, Rejection, Sink, Stop};
use affiant_store::{Refingerprint, Reread as Stored};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Reread {
    /// Originals that were read.
    pub originals: u64,
    /// Findings that they first brought.
    pub findings: u64,
    /// Findings that have a new fingerprint.
    pub linked: u64,
    /// Findings that the reader no longer finds at their place, or finds another number of; they are left as they are.
    pub not_found: u64,
    /// Originals that the present reader refuses.
    pub unreadable: u64,
}

/// The fingerprints of failures by the place of their record, in the order of the file.
#[derive(Default)]
struct Fingerprints(BTreeMap<i64, Vec<Fingerprint>>);

impl Sink for Fingerprints {
    fn observation(&mut self, o: Observation<'_>) -> Result<(), Stop> {
        if o.outcome.is_finding() {
            self.0
                .entry(o.place.offset.cast_signed())
                .or_default()
                .push(o.fingerprint);
        }
        Ok(())
    }
    fn event(&mut self, _: AuditEvent, _: Place) -> Result<(), Stop> {
        Ok(())
    }
    fn reject(&mut self, _: Rejection) -> Result<(), Stop> {
        Ok(())
    }
}

/// Reads the originals of a project again.
///
/// # Errors
/// [`FlowError`] where the database or the disk fails; what was linked by then stays.
pub async fn reread(app: &Context, project: ProjectId) -> Result<Reread, FlowError> {
    let scoped = app.store.project(project);
    let mut told = Reread::default();
    for import in scoped.imports_with_originals().await? {
        let findings = scoped.findings_of_import(import.id).await?;
        let Some(format) = app.formats.by_name(&import.format).filter(|_| !findings.is_empty()) else {
            continue;
        };
        let Some(file) = fetch(app, project, import.original).await? else {
            continue;
        };
        let (format, limits) = (format.clone(), app.limits);
        let read = tokio::task::spawn_blocking(move || {
            let mut found = Fingerprints::default();
            format
                .read(&FileSource(file.path().to_owned()), &limits, &mut found)
                .map(|()| found)
        });
        let Ok(found) = read.await.map_err(|_| FlowError::Worker)? else {
            told.unreadable += 1;
            continue;
        };
        let scopes: BTreeSet<i64> = findings.iter().map(|finding| finding.scope).collect();
        let stored = scoped.fingerprints_of(&scopes).await?;
        let changes = changes(&findings, found, &stored, &mut told);
        scoped.refingerprint(&changes, app.clock.now()).await?;
        told.originals += 1;
    }
    Ok(told)
}

/// The findings of an import beside what the reader finds at their places now. What is found there and stored under its fingerprint
/// already is settled; the rest is linked in order, where there are as many of one as of the other.
fn changes(findings: &[Stored], found: Fingerprints, stored: &HashSet<u128>, told: &mut Reread) -> Vec<Refingerprint> {
    let mut by_place: BTreeMap<i64, Vec<&Stored>> = BTreeMap::new();
    for finding in findings {
        told.findings += 1;
        by_place.entry(finding.place_offset).or_default().push(finding);
    }
    let mut changes = Vec::new();
    for (place, findings) in by_place {
        let here = found.0.get(&place).map_or(&[] as &[Fingerprint], Vec::as_slice);
        let told_now: HashSet<u128> = here.iter().map(|fingerprint| fingerprint.0).collect();
        let old: Vec<&Stored> = findings
            .into_iter()
            .filter(|f| !told_now.contains(&f.fingerprint))
            .collect();
        let new: Vec<u128> = here.iter().map(|f| f.0).filter(|f| !stored.contains(f)).collect();
        if old.len() != new.len() {
            told.not_found += old.len() as u64;
            continue;
        }
        told.linked += old.len() as u64;
        changes.extend(old.iter().zip(new).map(|(finding, new)| Refingerprint {
            finding: finding.id,
            scope: finding.scope,
            old: finding.fingerprint,
            new,
        }));
    }
    changes
}
