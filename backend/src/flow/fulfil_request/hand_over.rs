//! What is handed over: records that are set aside, to be read for a reason, and the package of access and portability.

use super::{PAGE, conflict};
use crate::app::Context;
use crate::flow::{FlowError, invalid};
use affiant_domain::Instant;
use affiant_domain::request::{Right, State};
use affiant_store::{entity, instant};
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Write;
use utoipa::ToSchema;
use uuid::Uuid;

/// A record that is set aside.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetAside {
    /// When it was written.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub at: Instant,
    /// Its place in the trail.
    pub entry: i64,
    /// What was done.
    #[schema(example = "event")]
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// What is sealed.
    #[schema(value_type = Object)]
    pub content: Value,
}

/// What is set aside of the person whose request this is, from a place on. The reading and its reason are an entry before anything is read.
///
/// # Errors
/// [`FlowError`] where there is no such request, no reason, or nothing is set aside.
pub async fn read_set_aside(
    app: &Context,
    id: Uuid,
    (reason, from): (&str, i64),
    actor: &str,
) -> Result<Vec<SetAside>, FlowError> {
    if !(10..=1000).contains(&reason.trim().chars().count()) {
        return Err(invalid(
            "/reason",
            "10 to 1000 characters: why it must be read while it is set aside",
        ));
    }
    let row = app.store.request(id).await?;
    let row = row.ok_or_else(|| FlowError::NotFound("there is no such request".to_owned()))?;
    let known = match row.subject_id {
        Some(subject) => app
            .store
            .still_known(subject)
            .await?
            .map(|(_, is_restricted)| (subject, is_restricted)),
        None => None,
    };
    let Some((subject, true)) = known else {
        return Err(conflict("nothing is set aside for this request"));
    };
    let detail = json!({ "request": id, "reason": reason.trim(), "from": from }).to_string();
    app.store
        .record_action((actor, "subject.restricted-read", None), &detail, app.clock.now())
        .await?;
    let entries = app.store.entries_of(subject, from, PAGE).await?;
    let contents = app.store.contents_set_aside(&entries).await?;
    let told = |entry: &entity::trail_entry::Model| {
        Some(SetAside {
            at: instant(entry.at),
            entry: entry.idx,
            action: entry.action.clone(),
            outcome: entry.outcome.clone(),
            content: serde_json::from_str(contents.get(&entry.idx)?).ok()?,
        })
    };
    Ok(entries.iter().filter_map(told).collect())
}

/// Everything that is held of a person, as a ZIP: JSON, CSV, a readable index, and digests. Article 15 and Article 20.
///
/// # Errors
/// [`FlowError::Conflict`] where the request is not approved, or asks for something else.
pub async fn package(app: &Context, id: Uuid, actor: &str) -> Result<Vec<u8>, FlowError> {
    let row = app.store.request(id).await?;
    let row = row.ok_or_else(|| FlowError::NotFound("there is no such request".to_owned()))?;
    let right = Right::parse(&row.kind);
    let approved = matches!(State::parse(&row.state), Some(State::Approved | State::Fulfilled));
    if !approved || !matches!(right, Some(Right::Access | Right::Portability)) {
        return Err(conflict(
            "only an approved request for access or portability has a package",
        ));
    }
    let detail = json!({ "request": id }).to_string();
    app.store
        .record_action((actor, "request.package-read", None), &detail, app.clock.now())
        .await?;
    let mut records = Vec::new();
    if let Some(subject) = row.subject_id {
        let mut from = 0;
        loop {
            let entries = app.store.entries_of(subject, from, PAGE).await?;
            let Some(last) = entries.last() else { break };
            from = last.idx + 1;
            let contents = app.store.contents(&entries).await?;
            for entry in &entries {
                let content: Value = contents
                    .get(&entry.idx)
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_default();
                records.push(json!({
                    "at": instant(entry.at), "entry": entry.idx, "action": entry.action, "outcome": entry.outcome, "content": content,
                }));
            }
        }
        records.extend(naming(app, subject).await?);
    }
    zip(&row, &records).map_err(|error| FlowError::Io("the package".to_owned(), error))
}

/// The events of others that name a person, without what is personal to the others.
async fn naming(app: &Context, subject: Uuid) -> Result<Vec<Value>, FlowError> {
    let (mut from, mut all) = (0, Vec::new());
    loop {
        let events = app.store.events_naming(subject, from, PAGE).await?;
        let Some((last, _)) = events.last() else { return Ok(all) };
        from = last.idx + 1;
        all.extend(events.iter().map(|(entry, event)| {
            let content = event.as_ref().map(|event| {
                json!({
                    "names_you": true, "happened": instant(event.at), "action": event.action, "resource": event.resource,
                    "agent": event.agent, "source": event.source,
                })
            });
            json!({
                "at": instant(entry.at), "entry": entry.idx, "action": entry.action, "outcome": entry.outcome, "content": content,
            })
        }));
    }
}

fn zip(row: &entity::privacy_request::Model, records: &[Value]) -> std::io::Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["at", "entry", "action", "outcome", "content"])?;
    for record in records {
        let cell = |key: &str| match &record[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // A cell that a spreadsheet would run is text.
        let plain = |text: String| {
            if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
                format!("'{text}")
            } else {
                text
            }
        };
        table.write_record(["at", "entry", "action", "outcome", "content"].map(|key| plain(cell(key))))?;
    }
    let table = table
        .into_inner()
        .map_err(|error| std::io::Error::other(error.to_string()))?;
    let all = serde_json::to_vec_pretty(&json!({ "request": row.id, "right": row.kind, "records": records }))?;
    let index = format!(
        "What is held of you\n===================\n\nrequest {}\nright {}\nrecords {}\n\ndata.json   every record, for programs\ndata.csv    the same as a table\n\
         digests.txt SHA-256 of both\n\nYou may complain to a supervisory authority (GDPR Art. 77).\n",
        row.id,
        row.kind,
        records.len()
    );
    let digest = |bytes: &[u8]| affiant_domain::sha256_hex(bytes);
    let digests = format!("{}  data.json\n{}  data.csv\n", digest(&all), digest(&table));
    let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in [
        ("index.txt", index.as_bytes()),
        ("data.json", &all),
        ("data.csv", &table),
        ("digests.txt", digests.as_bytes()),
    ] {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        out.start_file(name, options).map_err(std::io::Error::other)?;
        out.write_all(bytes)?;
    }
    Ok(out.finish().map_err(std::io::Error::other)?.into_inner())
}
