//! Refused access, as entries of the trail. A flood of it is counted, not stored one by one: of the same who, where and why there is one
//! entry for each stretch of seconds; and of all that strangers cause, one entry a minute, with how often of each kind.

use crate::app::Context;
use affiant_store::{Draft, StoreError, micros};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

/// What is told apart between two writings; the rest is counted together.
const MOST: usize = 500;

/// Who was refused what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Refusal {
    actor: String,
    method: &'static str,
    route: String,
    status: u16,
}

/// How often, and since when.
#[derive(Clone, Copy, Debug)]
struct Count {
    times: u64,
    since: i64,
}

/// Refusals that are not written yet: of people and tokens that are known, and of strangers by kind.
#[derive(Debug, Default)]
pub struct Refusals {
    known: Mutex<HashMap<Refusal, Count>>,
    strangers: Mutex<BTreeMap<&'static str, Count>>,
}

impl Refusals {
    /// Counts what a stranger caused. The kinds are few and ours: `token`, `forbidden`, `rate`, `sign-in`, `emergency`, `exchange`.
    pub fn stranger(&self, kind: &'static str, at: i64) {
        let mut all = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(kind).or_insert(Count { times: 0, since: at });
        count.times += 1;
    }

    /// Counts one of somebody who is known.
    pub fn note(&self, actor: &str, (method, route): (&'static str, &str), status: u16, at: i64) {
        let mut one = Refusal {
            actor: actor.to_owned(),
            method,
            route: route.to_owned(),
            status,
        };
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(&one) {
            one = Refusal {
                method,
                status,
                route: "others".to_owned(),
                ..Refusal::default()
            };
        }
        let count = all.entry(one).or_insert(Count { times: 0, since: at });
        count.times += 1;
    }

    fn take(&self) -> HashMap<Refusal, Count> {
        std::mem::take(&mut *self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back what could not be written.
    fn restore(&self, taken: HashMap<Refusal, Count>) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (refusal, was) in taken {
            let count = all.entry(refusal).or_insert(Count { times: 0, ..was });
            count.times += was.times;
            count.since = count.since.min(was.since);
        }
    }
}

/// Writes what was refused since the last time.
///
/// # Errors
/// [`StoreError`] where it cannot be written; it is kept for the next time.
pub async fn write(app: &Context) -> Result<(), StoreError> {
    let taken = app.refusals.take();
    let now = app.clock.now();
    let draft = |(refusal, count): (&Refusal, &Count)| Draft {
        action: "access.refused".to_owned(),
        outcome: "denied",
        actor: refusal.actor.clone(),
        concerns: Vec::new(),
        project: None,
        record: None,
        refs: [
            ("status", refusal.status.to_string()),
            ("method", refusal.method.to_owned()),
            ("route", refusal.route.clone()),
            ("times", count.times.to_string()),
            ("since", affiant_store::instant(count.since).to_rfc3339()),
        ]
        .into(),
        content: serde_json::json!({ "actor": refusal.actor, "detail": "" }).to_string(),
        at: micros(now),
    };
    let drafts: Vec<Draft> = taken.iter().map(draft).collect();
    if drafts.is_empty() {
        return Ok(());
    }
    let written = app.store.append_alone(&drafts).await;
    if written.is_err() {
        app.refusals.restore(taken);
    }
    written
}

/// Writes what strangers caused since the last time, in one entry.
///
/// # Errors
/// [`StoreError`] where it cannot be written; it is kept for the next time.
pub async fn write_strangers(app: &Context) -> Result<(), StoreError> {
    let all = || app.refusals.strangers.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = std::mem::take(&mut *all());
    let Some(since) = taken.values().map(|count| count.since).min() else {
        return Ok(());
    };
    let counts = taken.iter().map(|(kind, count)| (*kind, count.times.to_string()));
    let since = ("since", affiant_store::instant(since).to_rfc3339());
    let draft = Draft {
        action: "strangers.refused".to_owned(),
        outcome: "denied",
        actor: String::new(),
        concerns: Vec::new(),
        project: None,
        record: None,
        refs: std::iter::once(since).chain(counts).collect(),
        content: serde_json::json!({ "actor": "", "detail": "" }).to_string(),
        at: micros(app.clock.now()),
    };
    let written = app.store.append_alone(&[draft]).await;
    if written.is_err() {
        let mut all = all();
        for (kind, was) in taken {
            let count = all.entry(kind).or_insert(Count { times: 0, ..was });
            count.times += was.times;
            count.since = count.since.min(was.since);
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_bounded() {
        let refusals = Refusals::default();
        for n in 0..2000 {
            refusals.note("ann", ("GET", "/x"), 403, n);
            refusals.note(&format!("token:{n}"), ("GET", "/x"), 403, n);
            refusals.stranger("token", n);
        }
        let taken = refusals.take();
        assert!(taken.len() <= MOST + 1, "{}", taken.len());
        assert_eq!(taken.values().map(|count| count.times).sum::<u64>(), 4000);
        let ann = taken.iter().find(|(refusal, _)| refusal.actor == "ann");
        assert!(ann.is_some_and(|(_, count)| count.times == 2000 && count.since == 0));
        refusals.restore(taken);
        refusals.note("ann", ("GET", "/x"), 403, 9999);
        assert_eq!(refusals.strangers.lock().unwrap()["token"].times, 2000);
        assert_eq!(refusals.take().values().map(|count| count.times).sum::<u64>(), 4001);
    }
}
