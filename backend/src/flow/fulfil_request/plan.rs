//! What would be done with the records of a person: each in one class, with its ground and date.

use super::{PAGE, identifier_of};
use crate::app::Context;
use crate::flow::FlowError;
use affiant_domain::Instant;
use affiant_domain::request::{Right, Verdict, verdict};
use affiant_store::{HeldRecord, Log, entity, instant};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

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

/// What an erasure of a person would do today.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn preview(app: &Context, identifier: &str) -> Result<(Option<Uuid>, Vec<Class>), FlowError> {
    classes_of(app, identifier.trim(), (true, "17.3.e"), app.clock.now()).await
}

/// What would be done: each record in one class.
pub(super) async fn plan(
    app: &Context,
    row: &entity::privacy_request::Model,
    now: Instant,
) -> Result<(Option<Uuid>, Vec<Class>), FlowError> {
    let name = identifier_of(app, row)?.unwrap_or_default();
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
    for mention in mentions(app, name, erases).await? {
        add(&mut classes, mention);
    }
    Ok((subject.map(|subject| subject.id), classes))
}

/// Records that hold the person's identifier in text that no key of theirs seals: an erasure leaves them as they are, and says so.
pub(super) async fn mentions(app: &Context, name: &str, erases: bool) -> Result<Vec<Class>, FlowError> {
    let basis = if erases {
        "text that Affiant does not change: correct it where it comes from, then import again"
    } else {
        "the request does not ask for erasure"
    };
    let found = app.store.patient().mentions(name.trim()).await?;
    let class = |mention: affiant_store::Mention| Class {
        records: mention.records.to_owned(),
        verdict: Verdict::Kept.as_str().to_owned(),
        count: mention.count,
        basis: basis.to_owned(),
        until: None,
    };
    Ok(found.into_iter().map(class).collect())
}

pub(super) fn class(record: &HeldRecord, erases: bool, ground: &str, now: Instant) -> Class {
    let until = instant(record.keep_until);
    let what = match (record.rule.as_str(), record.is_named) {
        ("", _) => "actions in Affiant".to_owned(),
        (rule, false) => format!("audit events kept by {rule}"),
        (rule, true) => format!("audit events of others that name them, kept by {rule}"),
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

pub(super) fn add(classes: &mut Vec<Class>, one: Class) {
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
