//! When a project is assessed: a cron expression read in an IANA time zone.
//!
//! A slot is an instant at which a run is due. Slots are computed from the expression and the zone at each look, so
//! that a change of clocks is followed: a local time that is skipped moves to the next one that exists, a local
//! time that comes twice is due once.

use crate::Instant;
use chrono::SubsecRound;
use chrono_tz::Tz;
use croner::Cron;
use std::str::FromStr;

/// A cron expression (five fields) in a time zone.
#[derive(Clone, Debug)]
pub struct Timetable {
    cron: Cron,
    zone: Tz,
}

/// Why a timetable is refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadTimetable {
    /// Not a cron expression.
    #[error("\"{0}\" is not a cron expression of five fields (minute hour day month weekday): {1}")]
    Cron(String, String),
    /// Not an IANA time zone.
    #[error("\"{0}\" is not an IANA time zone such as Europe/Berlin or UTC")]
    Zone(String),
    /// There is no day on which it is due.
    #[error("\"{0}\" is never due")]
    Never(String),
}

/// Daily at 06:00, the default.
pub const DEFAULT_CRON: &str = "0 6 * * *";

impl Timetable {
    /// Reads an expression and a zone.
    ///
    /// # Errors
    /// [`BadTimetable`] says which of the two is wrong.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, BadTimetable> {
        if cron.split_whitespace().count() != 5 {
            return Err(BadTimetable::Cron(cron.to_owned(), "it has not five fields".to_owned()));
        }
        let parsed = Cron::from_str(cron).map_err(|e| BadTimetable::Cron(cron.to_owned(), e.to_string()))?;
        let zone = Tz::from_str(zone).map_err(|_| BadTimetable::Zone(zone.to_owned()))?;
        let table = Self { cron: parsed, zone };
        let epoch = chrono::DateTime::UNIX_EPOCH;
        if table.next_after(epoch).is_none() {
            return Err(BadTimetable::Never(cron.to_owned()));
        }
        Ok(table)
    }

    /// The first slot after an instant.
    #[must_use]
    pub fn next_after(&self, after: Instant) -> Option<Instant> {
        let local = after.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&local, false).ok()?;
        // The library keeps the fraction of a second that it was given; a slot bears none.
        let next = next.with_timezone(&chrono::Utc).trunc_subsecs(0);
        (next > after).then_some(next)
    }

    /// The latest slot that is due: after `last` (the last slot that ran, or when the schedule was made) and not after
    /// `now`, with how many earlier ones it catches up with.
    #[must_use]
    pub fn due(&self, last: Instant, now: Instant) -> Option<Due> {
        let mut slot = self.next_after(last).filter(|first| *first <= now)?;
        let mut missed = 0;
        while let Some(next) = self.next_after(slot).filter(|next| *next <= now) {
            slot = next;
            missed += 1;
            if missed >= 100_000 {
                break;
            }
        }
        Some(Due { slot, missed })
    }
}

/// A slot to run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The latest slot that is due.
    pub slot: Instant,
    /// How many earlier slots went by without a run; this run stands for them all.
    pub missed: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::parse_instant;

    fn at(text: &str) -> Instant {
        parse_instant(text).unwrap()
    }

    #[test]
    fn slots_bear_whole_seconds() {
        let table = Timetable::parse("*/5 * * * *", "UTC").unwrap();
        let next = table.next_after(at("2026-10-24T05:02:03.456789Z"));
        assert_eq!(next, Some(at("2026-10-24T05:05:00Z")));
        let due = table
            .due(at("2026-10-24T04:58:00.9Z"), at("2026-10-24T05:12:00.1Z"))
            .unwrap();
        assert_eq!((due.slot, due.missed), (at("2026-10-24T05:10:00Z"), 2));
    }

    #[test]
    fn a_slot_follows_the_clocks() {
        let table = Timetable::parse(DEFAULT_CRON, "Europe/Berlin").unwrap();
        assert_eq!(
            table.next_after(at("2026-10-24T05:00:00Z")),
            Some(at("2026-10-25T05:00:00Z"))
        );
        assert_eq!(
            table.next_after(at("2026-10-24T03:00:00Z")),
            Some(at("2026-10-24T04:00:00Z"))
        );
    }

    #[test]
    fn a_time_that_comes_twice_is_due_once() {
        let table = Timetable::parse("30 2 * * *", "Europe/Berlin").unwrap();
        let first = table.next_after(at("2026-10-24T22:00:00Z")).unwrap();
        let second = table.next_after(first).unwrap();
        assert!(second - first > chrono::Duration::hours(20), "{first} then {second}");
    }

    #[test]
    fn missed_slots_are_caught_up_once() {
        let table = Timetable::parse(DEFAULT_CRON, "UTC").unwrap();
        let due = table.due(at("2026-01-01"), at("2026-01-05T06:30:00Z")).unwrap();
        assert_eq!(
            due,
            Due {
                slot: at("2026-01-05T06:00:00Z"),
                missed: 4
            }
        );
        assert_eq!(table.due(due.slot, at("2026-01-05T23:00:00Z")), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(matches!(Timetable::parse("x", "UTC"), Err(BadTimetable::Cron(..))));
        assert!(matches!(
            Timetable::parse("0 6 * * *", "Mars/Base"),
            Err(BadTimetable::Zone(_))
        ));
        assert!(matches!(
            Timetable::parse("0 6 31 2 *", "UTC"),
            Err(BadTimetable::Never(_))
        ));
    }
}
