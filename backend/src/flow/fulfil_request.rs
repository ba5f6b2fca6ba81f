//! Requests of data subjects: taken in, brought forward step by step by two people, and fulfilled once, with a signed certificate.

use super::backup::Forgotten;
use super::{FlowError, invalid, trail};
use crate::app::Context;
use affiant_domain::Instant;
use affiant_domain::actor::are_one;
use affiant_domain::request::{Right, State, Step, Verdict, due, verdict};
use affiant_store::{HeldRecord, Log, entity, instant, micros};
use chrono::{Duration, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Write;
use utoipa::ToSchema;
use uuid::Uuid;

/// What the identifier of a request is sealed for.
pub(crate) const IDENTIFIER: &str = "privacy.identifier";
/// Records that are looked at together.
const PAGE: u64 = 1000;
/// Grounds on which records may be kept or set aside.
pub const GROUNDS: [&str; 5] = ["17.3.a", "17.3.b", "17.3.c", "17.3.d", "17.3.e"];

/// A class of records in a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Class {
    /// Which records.
    #[schema(example = "audit events kept by ret-sox-issuer")]
    pub records: String,
    /// `erased`, `restricted` or `kept`.
    #[schema(example = "restricted")]
    pub verdict: String,
    /// How many.
    pub count: u64,
    /// On which ground they do not go now.
    pub basis: String,
    /// Until when, where that is known.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub until: Option<Instant>,
}

fn conflict(what: &str) -> FlowError {
    FlowError::Conflict(what.to_owned())
}

/// Takes a request in. One that is open already for the same person and right is given back instead of a second one.
///
/// # Errors
/// [`FlowError`] where something is wrong with it.
pub async fn receive(
    app: &Context,
    right: Right,
    identifier: &str,
    received: Instant,
    actor: &str,
) -> Result<(entity::privacy_request::Model, bool), FlowError> {
    let identifier = identifier.trim();
    if identifier.is_empty() || identifier.len() > 500 || identifier.chars().any(char::is_control) {
        return Err(invalid("/identifier", "what events call the person, at most 500 bytes"));
    }
    let now = app.clock.now();
    if received > now || now - received > Duration::days(366) {
        return Err(invalid("/received_at", "within the last year, and not in the future"));
    }
    for row in app.store.named_requests().await? {
        let open = State::parse(&row.state).is_some_and(|state| !state.is_closed());
        let same = || identifier_of(app, &row).is_some_and(|known| known.eq_ignore_ascii_case(identifier));
        if open && row.kind == right.as_str() && same() {
            return Ok((row, false));
        }
    }
    let sealed = app.key.seal(IDENTIFIER, identifier.as_bytes());
    let row = entity::privacy_request::Model {
        id: Uuid::now_v7(),
        subject_id: None,
        kind: right.as_str().to_owned(),
        state: State::Received.as_str().to_owned(),
        handlers: json!([actor]).to_string(),
        approver: String::new(),
        proof: String::new(),
        reason: String::new(),
        ground: String::new(),
        plan: "[]".to_owned(),
        done: "[]".to_owned(),
        outcome: String::new(),
        certificate: String::new(),
        identifier: Some(sealed.map_err(|error| FlowError::Trail(error.to_string()))?),
        received_at: micros(received),
        created_at: micros(now),
        paused: 0,
        extended_at: None,
        closed_at: None,
    };
    let new = row.clone();
    let keep = |app: Context| async move {
        app.store.add_request(new.clone()).await?;
        Ok::<_, FlowError>(((), json!({ "request": new.id, "right": new.kind })))
    };
    app.deed((actor, "request.received", None), keep).await?;
    Ok((row, true))
}

/// Whose request it is; none once they are forgotten.
#[must_use]
pub fn identifier_of(app: &Context, row: &entity::privacy_request::Model) -> Option<String> {
    let bytes = app.key.open(IDENTIFIER, row.identifier.as_ref()?).ok()?;
    String::from_utf8(bytes).ok()
}

/// When it is due.
#[must_use]
pub fn due_at(row: &entity::privacy_request::Model) -> Instant {
    let paused = Duration::microseconds(row.paused);
    due(instant(row.received_at), row.extended_at.is_some(), paused)
}

/// Brings a request a step further.
///
/// # Errors
/// [`FlowError::Conflict`] where the step cannot be made now, [`FlowError::Forbidden`] where it wants another person.
pub async fn step(
    app: &Context,
    id: Uuid,
    (step, text, ground): (Step, &str, &str),
    actor: &str,
) -> Result<entity::privacy_request::Model, FlowError> {
    let row = app.store.request(id).await?;
    let mut row = row.ok_or_else(|| FlowError::NotFound("there is no such request".to_owned()))?;
    let was = row.clone();
    if row.outcome == UNDER_WAY && step != Step::Fulfil {
        return Err(conflict("it is being fulfilled"));
    }
    let state = State::parse(&row.state).ok_or(FlowError::Worker)?;
    let next = state
        .after(step)
        .ok_or_else(|| conflict("the request is not where this step can be made"))?;
    let now = app.clock.now();
    let needs_text = matches!(step, Step::VerifyIdentity | Step::Refuse | Step::Extend);
    if needs_text && !(3..=2000).contains(&text.trim().chars().count()) {
        return Err(invalid("/text", "write 3 to 2000 characters"));
    }
    let mut handlers: Vec<String> = serde_json::from_str(&row.handlers).unwrap_or_default();
    match step {
        Step::VerifyIdentity => {
            text.trim().clone_into(&mut row.proof);
            // The clock stands while identity is being proved.
            row.paused = micros(now) - row.created_at;
        }
        Step::Plan => {
            if !ground.is_empty() && !GROUNDS.contains(&ground) {
                return Err(invalid("/ground", format!("one of {}", GROUNDS.join(", "))));
            }
            (if ground.is_empty() { "17.3.e" } else { ground }).clone_into(&mut row.ground);
            text.trim().clone_into(&mut row.reason);
            let (subject, plan) = plan(app, &row, now).await?;
            row.subject_id = subject;
            row.plan = serde_json::to_string(&plan).unwrap_or_default();
        }
        Step::Approve => {
            if handlers.iter().any(|handler| are_one(handler, actor)) {
                return Err(FlowError::Forbidden(
                    "a request is approved by somebody else than those who handled it".to_owned(),
                ));
            }
            actor.clone_into(&mut row.approver);
        }
        Step::Fulfil => return fulfil(app, row, actor).await,
        Step::Refuse => text.trim().clone_into(&mut row.reason),
        Step::Withdraw => {}
        Step::Extend => {
            if row.extended_at.is_some() {
                return Err(conflict("it was extended before, and can be once"));
            }
            // The person is told within the first month.
            if now > due_at(&row) {
                return Err(conflict("the first month is over: it can no longer be extended"));
            }
            row.extended_at = Some(micros(now));
            text.trim().clone_into(&mut row.reason);
        }
    }
    if step != Step::Approve && !handlers.iter().any(|handler| handler == actor) {
        handlers.push(actor.to_owned());
        row.handlers = json!(handlers).to_string();
    }
    next.as_str().clone_into(&mut row.state);
    if next.is_closed() {
        row.closed_at = Some(micros(now));
        (if next == State::Refused {
            "refused_unfounded"
        } else {
            "withdrawn"
        })
        .clone_into(&mut row.outcome);
    }
    save(app, &was, row, (step, actor)).await
}

async fn save(
    app: &Context,
    was: &entity::privacy_request::Model,
    row: entity::privacy_request::Model,
    (step, actor): (Step, &str),
) -> Result<entity::privacy_request::Model, FlowError> {
    let word = Step::ALL
        .iter()
        .find(|(_, known)| *known == step)
        .map_or("", |(word, _)| word);
    let new = row.clone();
    let keep = |app: Context| async move {
        let detail = json!({ "request": new.id, "step": word, "state": new.state });
        if !app.store.change_request(was, new).await? {
            return Err(conflict("somebody else brought the request further meanwhile"));
        }
        Ok(((), detail))
    };
    app.deed((actor, "request.step", None), keep).await?;
    Ok(row)
}

/// What an erasure of a person would do today.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn preview(app: &Context, identifier: &str) -> Result<(Option<Uuid>, Vec<Class>), FlowError> {
    classes_of(app, identifier.trim(), (true, "17.3.e"), app.clock.now()).await
}

/// What would be done: each record in one class.
async fn plan(
    app: &Context,
    row: &entity::privacy_request::Model,
    now: Instant,
) -> Result<(Option<Uuid>, Vec<Class>), FlowError> {
    let name = identifier_of(app, row).unwrap_or_default();
    let erases = row.kind == Right::Erasure.as_str();
    classes_of(app, &name, (erases, &row.ground), now).await
}

async fn classes_of(
    app: &Context,
    name: &str,
    (erases, ground): (bool, &str),
    now: Instant,
) -> Result<(Option<Uuid>, Vec<Class>), FlowError> {
    let lookup = app.trail.person(name);
    let subject = match lookup {
        Some(lookup) => app.store.find_subject(&lookup).await?,
        None => None,
    };
    let mut classes: Vec<Class> = Vec::new();
    if let Some(subject) = &subject {
        let mut from = 0;
        loop {
            let records = app.store.held_of(subject.id, from, PAGE).await?;
            let Some(last) = records.last() else { break };
            from = last.index + 1;
            for record in &records {
                add(&mut classes, class(record, erases, ground, now));
            }
        }
    }
    if app.store.has_account(name).await? {
        add(
            &mut classes,
            Class {
                records: "account in Affiant, and decisions that bear its name".to_owned(),
                verdict: Verdict::Kept.as_str().to_owned(),
                count: 1,
                basis: "in use, and proof of who decided what (17.3.e)".to_owned(),
                until: None,
            },
        );
    }
    Ok((subject.map(|subject| subject.id), classes))
}

fn class(record: &HeldRecord, erases: bool, ground: &str, now: Instant) -> Class {
    let until = instant(record.keep_until);
    let what = if record.rule.is_empty() {
        "actions in Affiant".to_owned()
    } else {
        format!("audit events kept by {}", record.rule)
    };
    let verdict = if erases {
        verdict(record.is_held, &record.rule, until, now)
    } else {
        Verdict::Kept
    };
    Class {
        records: what,
        verdict: verdict.as_str().to_owned(),
        count: 1,
        basis: match verdict {
            Verdict::Erased => String::new(),
            Verdict::Restricted => ground.to_owned(),
            Verdict::Kept if record.is_held => "a legal hold".to_owned(),
            Verdict::Kept => "the request does not ask for erasure".to_owned(),
        },
        until: (verdict == Verdict::Restricted).then_some(until),
    }
}

fn add(classes: &mut Vec<Class>, one: Class) {
    let same =
        |known: &&mut Class| known.records == one.records && known.verdict == one.verdict && known.basis == one.basis;
    match classes.iter_mut().find(same) {
        Some(known) => {
            known.count += one.count;
            known.until = known.until.max(one.until);
        }
        None => classes.push(one),
    }
}

/// What stands in the place of an outcome while a request is being fulfilled.
const UNDER_WAY: &str = "under_way";

/// Does what was approved. What was done before a fault is done; the rest goes on where it was.
async fn fulfil(
    app: &Context,
    mut row: entity::privacy_request::Model,
    actor: &str,
) -> Result<entity::privacy_request::Model, FlowError> {
    let right = Right::parse(&row.kind).ok_or(FlowError::Worker)?;
    let erases = right == Right::Erasure;
    if row.outcome != UNDER_WAY {
        let was = row.clone();
        UNDER_WAY.clone_into(&mut row.outcome);
        if !app.store.change_request(&was, row.clone()).await? {
            return Err(conflict("somebody else brought the request further meanwhile"));
        }
    }
    let name = identifier_of(app, &row).unwrap_or_default();
    if row.subject_id.is_none()
        && let Some(lookup) = app.trail.person(&name)
    {
        // Who was first seen after the plan.
        row.subject_id = app.store.find_subject(&lookup).await?.map(|subject| subject.id);
    }
    let planned: Vec<Class> = serde_json::from_str(&row.plan).unwrap_or_default();
    let classes = match row.subject_id {
        Some(subject) if erases => {
            let mut all = erase(app, subject, (Some(row.id), &row.ground), actor).await?;
            let account = planned.into_iter().filter(|class| class.records.starts_with("account"));
            account.for_each(|class| add(&mut all, class));
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
    let told = super::tell_processors::announce(app, &row, &name).await?;
    row.certificate = certificate(app, &row, (&classes, &told), now).await?;
    if erases {
        // Who is forgotten is not kept in a request, this one or another.
        row.identifier = None;
        row.proof = String::new();
        row.reason = String::new();
        let lookup = app.trail.person(&name);
        for other in app.store.named_requests().await? {
            let known = identifier_of(app, &other).and_then(|known| app.trail.person(&known));
            let same = known.is_some() && known == lookup;
            let closed = State::parse(&other.state).is_some_and(State::is_closed);
            if same && closed {
                app.store.anonymise_request(other.id).await?;
            }
        }
    }
    let done = save(app, &was, row, (Step::Fulfil, actor)).await?;
    if erases {
        app.store.scrub().await?;
    }
    Ok(done)
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
    Ok(row
        .and_then(|row| serde_json::from_str(&row.done).ok())
        .unwrap_or_default())
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
        let gone: Vec<i64> = records.iter().filter(goes).map(|record| record.index).collect();
        if gone.is_empty() {
            return Ok(Some(next));
        }
        store.erase_payloads(&gone).await?;
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
        let detail = json!({ "entries": gone }).to_string();
        store
            .record_action((actor, "subject.records-erased", None), &detail, now)
            .await?;
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
        super::backup::note(app, &Forgotten { subject, lookup, at })?;
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
        let name = identifier_of(app, &row);
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
pub async fn end_restrictions(app: &Context) -> Result<u64, FlowError> {
    let mut ended = 0;
    for subject in app.store.restrictions_ended(app.clock.now()).await? {
        let first = app.store.held_of(subject, 0, PAGE).await?;
        let now = app.clock.now();
        if first.iter().any(|record| fate(record, now) != Verdict::Erased) {
            continue;
        }
        erase(app, subject, (None, ""), "schedule").await?;
        app.store.scrub().await?;
        ended += 1;
    }
    Ok(ended)
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
    }
    zip(&row, &records).map_err(|error| FlowError::Io("the package".to_owned(), error))
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
