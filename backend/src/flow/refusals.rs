//! Refused access, as entries of the trail. A flood of it is counted, not stored one by one: of the same who, where and why there is one
//! entry for each stretch of seconds.

use crate::app::Context;
use affiant_store::{Draft, StoreError, micros};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// What is told apart between two writings; the rest is counted together.
const MOST: usize = 500;

/// Who was refused what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Refusal {
    actor: String,
    /// A keyed hash of the address, where nobody is known.
    from: String,
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

/// Refusals that are not written yet.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<Refusal, Count>>);

impl Refusals {
    /// Counts one.
    pub fn note(&self, (actor, from): (&str, String), (method, route): (&'static str, &str), status: u16, at: i64) {
        let mut one = Refusal {
            actor: actor.to_owned(),
            from: if actor.is_empty() { from } else { String::new() },
            method,
            route: route.to_owned(),
            status,
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back what could not be written.
    fn restore(&self, taken: HashMap<Refusal, Count>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
            ("from", refusal.from.clone()),
        ]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_bounded() {
        let refusals = Refusals::default();
        for n in 0..2000 {
            refusals.note(("ann", String::new()), ("GET", "/x"), 403, n);
            refusals.note(("", format!("address {n}")), ("GET", "/x"), 401, n);
        }
        let taken = refusals.take();
        assert!(taken.len() <= MOST + 1, "{}", taken.len());
        assert_eq!(taken.values().map(|count| count.times).sum::<u64>(), 4000);
        let ann = taken.iter().find(|(refusal, _)| refusal.actor == "ann");
        assert!(ann.is_some_and(|(_, count)| count.times == 2000 && count.since == 0));
        refusals.restore(taken);
        refusals.note(("ann", String::new()), ("GET", "/x"), 403, 9999);
        assert_eq!(refusals.take().values().map(|count| count.times).sum::<u64>(), 4001);
    }
}
