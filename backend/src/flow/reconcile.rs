//! Holds what is stored against the trail: assessments, reports, waivers and attestations against the entries that vouch for them, and audit
//! events against theirs.

use super::FlowError;
use crate::app::Context;
use crate::trail::{FACT, Trail};
use affiant_store::{Draft, KEPT, Record, RecordKind, Store, StoreError, damaged, entity, micros};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// The action of the entry that tells what came of it.
pub const RECONCILED: &str = "trail.reconciled";
/// The action of the entry that vouches for what was stored before entries did.
const BASELINE: &str = "records.baseline";
/// Records that are read at once: their bodies are.
const PAGE: u64 = 50;
/// Events that are read at once.
const EVENTS: u64 = 500;
/// What is told of what differs.
const SHOWN: usize = 20;

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Reconciliation {
    /// Records that were held against the trail.
    pub records: u64,
    /// How many of them the trail does not bear out.
    pub differ: u64,
    /// The first of those: kind, id, and whether it was altered, planted or removed.
    pub first: Vec<String>,
}

impl Reconciliation {
    fn tell(&mut self, kind: &str, id: Uuid, what: &str) {
        self.differ += 1;
        if self.first.len() < SHOWN {
            self.first.push(format!("{kind} {id} was {what}"));
        }
    }
}

/// Holds everything against the trail, and tells the trail what came of it.
///
/// # Errors
/// [`FlowError`] where the database fails; a record that differs is a result.
pub async fn reconcile(app: &Context) -> Result<Reconciliation, FlowError> {
    let app = &app.patient();
    vouch_for_what_was_there(app).await?;
    let mut found = Reconciliation::default();
    for kind in RecordKind::ALL {
        records(app, kind, &mut found).await?;
    }
    removed(app, &mut found).await?;
    events(app, &mut found).await?;
    let draft = Draft {
        action: RECONCILED.to_owned(),
        outcome: if found.differ == 0 { "success" } else { "failure" },
        refs: vec![
            ("records", found.records.to_string()),
            ("differ", found.differ.to_string()),
            ("first", found.first.join("; ")),
        ],
        ..blank(app)
    };
    app.store.append_alone(&[draft]).await?;
    Ok(found)
}

fn blank(app: &Context) -> Draft {
    Draft {
        action: String::new(),
        outcome: "success",
        actor: "system".to_owned(),
        concerns: Vec::new(),
        project: None,
        record: None,
        refs: Vec::new(),
        content: String::new(),
        at: micros(app.clock.now()),
    }
}

/// Whether the trail vouches for records already.
async fn is_begun(app: &Context) -> Result<bool, FlowError> {
    Ok(app.store.has_entry(BASELINE).await? || app.store.has_entry(RECONCILED).await?)
}

/// Before the first time, what was stored by an older version is vouched for as it is.
async fn vouch_for_what_was_there(app: &Context) -> Result<(), FlowError> {
    if is_begun(app).await? {
        return Ok(());
    }
    for kind in RecordKind::ALL {
        let mut after = Uuid::nil();
        loop {
            let page = app.store.records(kind, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            let ids: Vec<Uuid> = page.iter().map(|record| record.id).collect();
            let now = app.clock.now();
            let work = |store: Store| async move {
                // What is decided meanwhile comes with an entry of its own.
                store.lock_trail().await?;
                let known = store.vouched(&ids).await?;
                let new: Vec<Uuid> = ids.into_iter().filter(|id| !known.contains_key(id)).collect();
                store.vouch(kind, &new, now).await
            };
            app.store.together(work).await?;
        }
    }
    let draft = Draft {
        action: BASELINE.to_owned(),
        ..blank(app)
    };
    Ok(app.store.append_alone(&[draft]).await?)
}

/// What an entry says of the record that it vouches for, where nothing beside its leaf was edited.
fn row_of(entry: &entity::trail_entry::Model) -> Option<String> {
    match Trail::told(entry) {
        (Some(told), None) => told.refs.get("row").cloned(),
        _ => None,
    }
}

async fn records(app: &Context, kind: RecordKind, found: &mut Reconciliation) -> Result<(), FlowError> {
    let mut after = Uuid::nil();
    loop {
        let page = app.store.records(kind, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id;
        let ids: Vec<Uuid> = page.iter().map(|record| record.id).collect();
        let entries = app.store.vouched(&ids).await?;
        for record in &page {
            found.records += 1;
            let what = match entries.get(&record.id) {
                None => "planted",
                Some(entry) if row_of(entry).as_ref() != Some(&record.row) => "altered",
                Some(_) => continue,
            };
            // It may have been decided on between the two readings.
            if !agrees(app, kind, record.id).await? {
                found.tell(kind.as_str(), record.id, what);
            }
        }
    }
}

/// Whether a record is what the latest entry about it says, looked up in one state of the database.
async fn agrees(app: &Context, kind: RecordKind, id: Uuid) -> Result<bool, FlowError> {
    let work = |store: Store| async move {
        store.lock_trail().await?;
        let record = store.record_of(kind, id).await?;
        let entry = store.vouched(&[id]).await?.remove(&id);
        let same = |record: Record| Some(record.row) == entry.as_ref().and_then(row_of);
        Ok::<_, StoreError>(record.is_some_and(same))
    };
    Ok(app.store.together(work).await?)
}

/// Records that entries vouch for, and that are not there.
async fn removed(app: &Context, found: &mut Reconciliation) -> Result<(), FlowError> {
    let mut from = 0;
    loop {
        let page = app.store.vouching_from(from, 500).await?;
        let Some(last) = page.last() else { return Ok(()) };
        from = last.idx + 1;
        for entry in &page {
            if let (_, Some(column)) = Trail::told(entry) {
                found.differ += 1;
                let what = format!("entry {} of the trail was edited in the column {column}", entry.idx);
                found.first.extend((found.first.len() < SHOWN).then_some(what));
            }
        }
        for kind in RecordKind::ALL {
            let of_kind = |entry: &entity::trail_entry::Model| {
                let told = Trail::told(entry).0?;
                let is_of_kind = told.refs.get("kind").map(String::as_str) == Some(kind.as_str());
                told.refs.get("record").filter(|_| is_of_kind)?.parse::<Uuid>().ok()
            };
            let ids: Vec<Uuid> = page.iter().filter_map(of_kind).collect();
            for id in app.store.records_gone(kind, &ids).await? {
                found.tell(kind.as_str(), id, "removed");
            }
        }
    }
}

/// Events against their entries: what the leaf says of each in clear.
async fn events(app: &Context, found: &mut Reconciliation) -> Result<(), FlowError> {
    let mut after = Uuid::nil();
    loop {
        let page = app.store.events_after(after, EVENTS).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.id;
        let ids: Vec<Uuid> = page.iter().map(|event| event.id).collect();
        let entries = app.store.entries_of_events(&ids).await?;
        let by_event: HashMap<Uuid, &entity::trail_entry::Model> = entries
            .iter()
            .filter_map(|entry| Some((entry.record_id?, entry)))
            .collect();
        for event in &page {
            found.records += 1;
            match by_event.get(&event.id) {
                None => found.tell("audit event", event.id, "planted"),
                Some(entry) if !bears_out(entry, event) => found.tell("audit event", event.id, "altered"),
                Some(_) => {}
            }
        }
    }
}

/// Whether the leaf of an event's entry says what the event's row does.
fn bears_out(entry: &entity::trail_entry::Model, event: &entity::audit_event::Model) -> bool {
    let (Some(told), None) = Trail::told(entry) else {
        return false;
    };
    let says = |key: &str| told.refs.get(key).map_or("", String::as_str);
    affiant_trail::micros(says("happened")) == Some(event.at)
        && says("did") == event.action_key
        && says("risk") == event.risk
        && says("source") == event.source
        && says("agent") == event.agent.chars().take(FACT).collect::<String>()
        && told.outcome == event.outcome
        && told.project == Some(event.project_id.to_string())
}

/// Whether a stored record is what the trail vouches for, before it leaves.
///
/// # Errors
/// [`StoreError::Damaged`] names a record that was altered or planted.
pub async fn hold(app: &Context, kind: RecordKind, id: Uuid) -> Result<(), FlowError> {
    let Some(record) = app.store.record_of(kind, id).await? else {
        return Ok(());
    };
    match app.store.vouched(&[id]).await?.get(&id) {
        // Before entries vouched for records, none did.
        None if !is_begun(app).await? => Ok(()),
        Some(entry) if row_of(entry).as_ref() == Some(&record.row) => Ok(()),
        found => {
            let what = match found {
                Some(entry) => format!("it is not what entry {} of the trail vouches for ({KEPT})", entry.idx),
                None => "no entry of the trail vouches for it".to_owned(),
            };
            Err(damaged(kind.as_str(), id, what).into())
        }
    }
}
