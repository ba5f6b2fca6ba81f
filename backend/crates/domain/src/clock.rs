//! Whether a clock can be trusted. A wrong clock must not delete: what it says is compared with monotonic time, with the newest entry of
//! the trail, and with the clock of the database.

use crate::Instant;
use chrono::Duration;

/// How far a clock may be from what is expected of it.
pub const TOLERANCE: Duration = Duration::minutes(5);
/// How far the clock may be ahead of the newest entry of the trail when a server starts.
pub const SILENCE: Duration = Duration::days(1);
/// Monotonic time without a new suspicion after which a suspected clock is trusted again.
pub const PROBATION: Duration = Duration::hours(24);

/// Why a clock is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// It moved by another time than the monotonic clock.
    Leap(Duration),
    /// It is so far ahead of the newest entry of the trail.
    Ahead(Duration),
    /// It is so far behind the newest entry of the trail.
    Behind(Duration),
    /// It is so far ahead (or, negative, behind) of the database's clock.
    Apart(Duration),
}

impl std::fmt::Display for Suspicion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Leap(by) => write!(f, "The clock moved by {} against the monotonic clock.", signed(*by)),
            Self::Ahead(by) => write!(
                f,
                "At start the clock was {} ahead of the newest entry in the trail.",
                unsigned(*by)
            ),
            Self::Behind(by) => write!(
                f,
                "At start the clock was {} behind the newest entry in the trail.",
                unsigned(*by)
            ),
            Self::Apart(by) => write!(f, "The server's clock is {} from the database's clock.", signed(*by)),
        }
    }
}

fn signed(by: Duration) -> String {
    let sign = if by < Duration::zero() { '-' } else { '+' };
    format!("{sign}{}", unsigned(by))
}

/// In the largest unit of which there are about two, rounded.
fn unsigned(by: Duration) -> String {
    let units = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let seconds = by.num_seconds().abs();
    let unit = units
        .into_iter()
        .find(|(unit, _)| seconds >= unit * 3 / 2)
        .unwrap_or((60, "minutes"));
    format!("{} {}", (seconds + unit.0 / 2) / unit.0, unit.1)
}

/// A clock that said `before`, and says `after` when so much monotonic time has passed.
#[must_use]
pub fn watched(before: Instant, passed: Duration, after: Instant) -> Option<Suspicion> {
    let by = after - before - passed;
    (by.abs() > TOLERANCE).then_some(Suspicion::Leap(by))
}

/// A clock that says `now` when a server starts over a trail whose newest entry is of `newest`.
#[must_use]
pub fn at_start(now: Instant, newest: Option<Instant>) -> Option<Suspicion> {
    let ahead = now - newest?;
    if ahead > SILENCE {
        Some(Suspicion::Ahead(ahead))
    } else if ahead < -TOLERANCE {
        Some(Suspicion::Behind(-ahead))
    } else {
        None
    }
}

/// A server's clock beside its database's.
#[must_use]
pub fn beside(server: Instant, database: Instant) -> Option<Suspicion> {
    let by = server - database;
    (by.abs() > TOLERANCE).then_some(Suspicion::Apart(by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Instant {
        chrono::DateTime::UNIX_EPOCH + Duration::seconds(seconds)
    }

    proptest! {
        #[test]
        fn only_what_passed_is_no_leap(start in 0_i64..4_000_000_000, passed in 0_i64..1_000_000, drift in -300_i64..=300) {
            let after = at(start + passed + drift);
            prop_assert_eq!(watched(at(start), Duration::seconds(passed), after), None);
        }

        #[test]
        fn a_leap_is_told_by_how_much(start in 0_i64..4_000_000_000, passed in 0_i64..1_000_000, by in 301_i64..100_000_000, back: bool) {
            let by = if back { -by } else { by };
            let found = watched(at(start), Duration::seconds(passed), at(start + passed + by));
            prop_assert_eq!(found, Some(Suspicion::Leap(Duration::seconds(by))));
        }

        #[test]
        fn a_start_is_trusted_within_a_day_of_the_trail(newest in 0_i64..4_000_000_000, ahead in -300_i64..=86_400) {
            prop_assert_eq!(at_start(at(newest + ahead), Some(at(newest))), None);
            prop_assert_eq!(at_start(at(newest), None), None);
        }

        #[test]
        fn a_start_far_from_the_trail_is_suspect(newest in 100_000_000_i64..4_000_000_000, ahead in 86_401_i64..90_000_000, behind in 301_i64..90_000_000) {
            prop_assert_eq!(at_start(at(newest + ahead), Some(at(newest))), Some(Suspicion::Ahead(Duration::seconds(ahead))));
            prop_assert_eq!(at_start(at(newest - behind), Some(at(newest))), Some(Suspicion::Behind(Duration::seconds(behind))));
        }
    }

    #[test]
    fn suspicions_carry_unit_and_sign() {
        let year = Suspicion::Leap(Duration::days(365));
        assert_eq!(
            year.to_string(),
            "The clock moved by +365 days against the monotonic clock."
        );
        let apart = Suspicion::Apart(Duration::minutes(-10));
        assert_eq!(
            apart.to_string(),
            "The server's clock is -10 minutes from the database's clock."
        );
    }
}
