//! Does what was approved: forgets a person as far as nothing stands in the way, in steps that go on where they were, and certifies it.

use super::plan::{Class, add, class, mentions};
use super::{PAGE, conflict, identifier_of, save, state_of};
use crate::app::Context;
use crate::flow::backup::{self, Forgotten};
use crate::flow::enforce_retention::DeletionRun;
use crate::flow::{FlowError, tell_processors, trail};
use crate::trail::PLACES;
use affiant_domain::Instant;
use affiant_domain::request::{Right, State, Step, Verdict, verdict};
use affiant_store::{Draft, HeldRecord, Log, damaged, entity, instant, micros, stored_json};
use affiant_trail::ranges;
use chrono::SecondsFormat;
use serde_json::json;
use uuid::Uuid;

/// What stands in the place of an outcome while a request is being fulfilled.
pub(super) const UNDER_WAY: &str = "under_way";

/// Does what was approved. What was done before a fault is done; the rest goes on where it was.
pub(super) async fn fulfil(
    app: &Context,
    mut row: entity::privacy_request::Model,
    actor: &str,
) -> Result<entity::privacy_request::Model, FlowError> {
    let unknown = || damaged("privacy_request", row.id, format_args!("unknown right {}", row.kind));
    let right = Right::parse(&row.kind).ok_or_else(unknown)?;
    let erases = right == Right::Erasure;
    if row.outcome != UNDER_WAY {
        let was = row.clone();
        UNDER_WAY.clone_into(&mut row.outcome);
        if !app.store.change_request(&was, row.clone()).await? {
            return Err(conflict("somebody else brought the request further meanwhile"));
        }
    }
    let name = identifier_of(app, &row)?.unwrap_or_default();
    if row.subject_id.is_none()
        && let Some(lookup) = app.trail.person(&name)
    {
        // Who was first seen after the plan.
        row.subject_id = app.store.find_subject(&lookup).await?.map(|subject| subject.id);
    }
    let planned: Vec<Class> = stored_json(("privacy_request", row.id, "plan"), &row.plan)?;
    let classes = match row.subject_id {
        Some(subject) if erases => {
            let mut all = erase(app, subject, (Some(row.id), &row.ground), actor).await?;
            let account = planned.into_iter().filter(|class| class.records.starts_with("account"));
            account.for_each(|class| add(&mut all, class));
            // As things are now, not as they were planned.
            for class in mentions(app, &name, true).await? {
                add(&mut all, class);
            }
            all
        }
        _ => planned,
    };
    let left = |word: &str| classes.iter().any(|class| class.verdict == word);
    let outcome = match (erases, row.subject_id.is_some(), left("restricted"), left("kept")) {
        (_, false, _, false) => "not_found",
        (false, ..) => "fulfilled",
        (true, _, true, _) => "restricted_hold",
        (true, _, false, true) => "partly_erased",
        (true, ..) => "erased",
    };
    let was = row.clone();
    let now = app.clock.now();
    outcome.clone_into(&mut row.outcome);
    State::Fulfilled.as_str().clone_into(&mut row.state);
    row.closed_at = Some(micros(now));
    row.done = serde_json::to_string(&classes).unwrap_or_default();
    let told = tell_processors::announce(app, &row, &name).await?;
    row.certificate = certificate(app, &row, (&classes, &told), now).await?;
    if erases {
        // Who is forgotten is not kept in a request, this one or another.
        row.identifier = None;
        row.proof = String::new();
        row.reason = String::new();
        let lookup = app.trail.person(&name);
        for other in app.store.named_requests().await? {
            let known = identifier_of(app, &other)?.and_then(|known| app.trail.person(&known));
            if known.is_some() && known == lookup && state_of(&other)?.is_closed() {
                app.store.anonymise_request(other.id).await?;
            }
        }
    }
    let done = save(app, &was, row, (Step::Fulfil, actor)).await?;
    if erases {
        app.store.purge_personal_answers().await?;
        app.store.scrub().await?;
    }
    Ok(done)
}

/// Goes on with the requests that were being carried out when their server ended, beside whatever else is done.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn resume(app: &Context) -> Result<(), FlowError> {
    for row in app.store.requests_under_way(UNDER_WAY).await? {
        let app = app.patient();
        tokio::spawn(async move {
            let id = row.id;
            match fulfil(&app, row, "system").await {
                Ok(_) => tracing::info!(request = %id, "a request of a data subject was carried out to its end"),
                Err(error) => {
                    tracing::error!(request = %id, %error, "a request of a data subject could not be carried out")
                }
            }
        });
    }
    Ok(())
}

/// Forgets a person, as far as nothing stands in the way: by the state of things now, under the lock that holds and events take, so that
/// what came after the plan counts. Gives what was done.
async fn erase(
    app: &Context,
    subject: Uuid,
    (request, ground): (Option<Uuid>, &str),
    actor: &str,
) -> Result<Vec<Class>, FlowError> {
    loop {
        let mut from = 0;
        while let Some(next) = erase_batch(app, subject, (request, ground), (from, actor)).await? {
            from = next;
        }
        if let Some(left) = finish(app, subject, ground, actor).await? {
            let mut all = match request {
                Some(id) => done_of(&app.store, id).await?,
                None => Vec::new(),
            };
            left.into_iter().for_each(|class| add(&mut all, class));
            return Ok(all);
        }
    }
}

async fn done_of(store: &affiant_store::Store, request: Uuid) -> Result<Vec<Class>, FlowError> {
    let row = store.request(request).await?;
    let row = row.ok_or_else(|| damaged("privacy_request", request, "the row is missing"))?;
    Ok(stored_json(("privacy_request", request, "done"), &row.done)?)
}

/// Takes the payloads of one page away; gives where the next one begins.
async fn erase_batch(
    app: &Context,
    subject: Uuid,
    (request, ground): (Option<Uuid>, &str),
    (from, actor): (i64, &str),
) -> Result<Option<i64>, FlowError> {
    let now = app.clock.now();
    let work = |store: affiant_store::Store| async move {
        store.lock_trail().await?;
        let records = store.held_of(subject, from, PAGE).await?;
        let Some(last) = records.last() else { return Ok(None) };
        let next = last.index + 1;
        let goes = |record: &&HeldRecord| fate(record, now) == Verdict::Erased;
        let (named, gone): (Vec<&HeldRecord>, Vec<&HeldRecord>) =
            records.iter().filter(goes).partition(|record| record.is_named);
        if gone.is_empty() && named.is_empty() {
            return Ok(Some(next));
        }
        let indices = |records: &[&HeldRecord]| records.iter().map(|record| record.index).collect::<Vec<i64>>();
        let (gone, named) = (indices(&gone), indices(&named));
        store.erase_payloads(&gone).await?;
        store.forget_names(subject, &named).await?;
        if let Some(id) = request {
            let mut done = done_of(&store, id).await?;
            let classes = records
                .iter()
                .filter(goes)
                .map(|record| class(record, true, ground, now));
            classes.for_each(|class| add(&mut done, class));
            store
                .keep_done(id, &serde_json::to_string(&done).unwrap_or_default())
                .await?;
        }
        let told = Draft {
            action: "subject.records-erased".to_owned(),
            outcome: "success",
            actor: actor.to_owned(),
            concerns: Vec::new(),
            project: None,
            record: None,
            refs: vec![(PLACES, ranges(&gone)), ("named", ranges(&named))],
            content: json!({ "actor": actor, "detail": "{}" }).to_string(),
            at: micros(now),
        };
        store.append_alone(&[told]).await?;
        Ok::<_, FlowError>(Some(next))
    };
    app.store.together(work).await
}

fn fate(record: &HeldRecord, now: Instant) -> Verdict {
    verdict(record.is_held, &record.rule, instant(record.keep_until), now)
}

/// Destroys the key, or sets aside what must stay; gives what stays. None where something came meanwhile that can go.
async fn finish(app: &Context, subject: Uuid, ground: &str, actor: &str) -> Result<Option<Vec<Class>>, FlowError> {
    let now = app.clock.now();
    let work = |store: affiant_store::Store| async move {
        store.lock_trail().await?;
        let (mut from, mut left, mut until) = (0, Vec::new(), None::<i64>);
        loop {
            let records = store.held_of(subject, from, PAGE).await?;
            let Some(last) = records.last() else { break };
            from = last.index + 1;
            for record in &records {
                match fate(record, now) {
                    Verdict::Erased => return Ok(None),
                    Verdict::Restricted => until = until.max(Some(record.keep_until)),
                    Verdict::Kept => {}
                }
                add(&mut left, class(record, true, ground, now));
            }
        }
        // Known outside the database first: one that is brought back is held against it.
        let lookup = store.still_known(subject).await?.and_then(|(lookup, _)| lookup);
        let at = micros(now);
        backup::note(app, &Forgotten { subject, lookup, at })?;
        let what = if left.is_empty() {
            store.drop_proofs(subject).await?;
            store.destroy_key(subject, now).await?;
            "erased"
        } else {
            // A hold has no end that is known: it is looked at again daily.
            store.restrict(subject, until.unwrap_or_else(|| micros(now))).await?;
            "restricted"
        };
        let detail = json!({ "subject": subject.simple().to_string(), "done": what }).to_string();
        store
            .record_action((actor, "subject.erased", None), &detail, now)
            .await?;
        Ok::<_, FlowError>(Some(left))
    };
    app.store.together(work).await
}

/// Forgets somebody again who was forgotten before and whom the database still knows; false where it does not.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn forget_again(app: &Context, one: &Forgotten) -> Result<bool, FlowError> {
    let Some((_, is_restricted)) = app.store.still_known(one.subject).await? else {
        return Ok(false);
    };
    if is_restricted {
        return Ok(false);
    }
    erase(app, one.subject, (None, "17.3.e"), "restore").await?;
    for row in app.store.named_requests().await? {
        let name = identifier_of(app, &row)?;
        let lookup = name.and_then(|name| app.trail.person(&name));
        // One that is being carried out still has to tell processors whom it is about; it forgets the name itself.
        let is_under_way = row.outcome == UNDER_WAY || row.state == State::Approved.as_str();
        if lookup.is_some() && lookup == one.lookup && !is_under_way {
            app.store.anonymise_request(row.id).await?;
        }
    }
    app.store.scrub().await?;
    Ok(true)
}

/// Forgets those whose restriction has ended; who is under a hold stays.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn end_restrictions(app: &Context, confirm: bool) -> Result<DeletionRun, FlowError> {
    let ended = app.store.restrictions_ended(app.clock.now()).await?;
    let all = app.store.restricted_subjects().await?;
    let mut told = DeletionRun::begin(app, (ended.len(), all), confirm).await?;
    if told.waits {
        tracing::warn!(
            due = told.due,
            all,
            "restrictions that ended wait for a person: confirm the run"
        );
        return Ok(told);
    }
    for subject in ended {
        let first = app.store.held_of(subject, 0, PAGE).await?;
        let now = app.clock.now();
        if first.iter().any(|record| fate(record, now) != Verdict::Erased) {
            continue;
        }
        erase(app, subject, (None, ""), "schedule").await?;
        app.store.scrub().await?;
        told.done += 1;
    }
    Ok(told)
}

/// What was done, what is kept, why and until when: signed by the trail's key.
async fn certificate(
    app: &Context,
    row: &entity::privacy_request::Model,
    (classes, told): (&[Class], &[String]),
    now: Instant,
) -> Result<String, FlowError> {
    let mut text = format!(
        "Affiant: certificate of a request of a data subject\nrequest {}\nright {}\nreceived {}\ncompleted {}\noutcome {}\n",
        row.id,
        row.kind,
        instant(row.received_at).to_rfc3339_opts(SecondsFormat::Secs, true),
        now.to_rfc3339_opts(SecondsFormat::Secs, true),
        row.outcome,
    );
    for class in classes {
        let until = class.until.map_or_else(String::new, |until| {
            format!(" until {}", until.to_rfc3339_opts(SecondsFormat::Secs, true))
        });
        let basis = if class.basis.is_empty() {
            String::new()
        } else {
            format!(" by {}", class.basis)
        };
        text.push_str(&format!(
            "{} {} {}{basis}{until}\n",
            class.verdict, class.count, class.records
        ));
    }
    for processor in told {
        text.push_str(&format!("processor to be told: {processor}\n"));
    }
    let keys = trail::keys(app).await?;
    let (_, key) = keys.last().ok_or(FlowError::Worker)?;
    affiant_trail::note(&text, key).ok_or_else(|| FlowError::Trail("the certificate cannot be signed".to_owned()))
}
