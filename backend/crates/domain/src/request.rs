//! Requests of data subjects: the six rights, the way of a request, and its clock. GDPR Articles 12 and 15 to 21; periods by Regulation
//! 1182/71.

use crate::Instant;
use crate::retention::is_duty;
use chrono::{Datelike, Duration, Months, NaiveTime, Weekday};

/// A right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Article 15.
    Access,
    /// Article 16.
    Rectification,
    /// Article 17.
    Erasure,
    /// Article 18.
    Restriction,
    /// Article 20.
    Portability,
    /// Article 21.
    Objection,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 6] = [
        Self::Access,
        Self::Rectification,
        Self::Erasure,
        Self::Restriction,
        Self::Portability,
        Self::Objection,
    ];

    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Rectification => "rectification",
            Self::Erasure => "erasure",
            Self::Restriction => "restriction",
            Self::Portability => "portability",
            Self::Objection => "objection",
        }
    }

    /// The right of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.as_str() == word)
    }
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It came.
    Received,
    /// It is certain who asks.
    IdentityVerified,
    /// It is known what would be done.
    Planned,
    /// Somebody else agreed.
    Approved,
    /// It is done.
    Fulfilled,
    /// It is not done, and the person was told why.
    Refused,
    /// The person no longer wants it.
    Withdrawn,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Received,
        Self::IdentityVerified,
        Self::Planned,
        Self::Approved,
        Self::Fulfilled,
        Self::Refused,
        Self::Withdrawn,
    ];

    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::IdentityVerified => "identity_verified",
            Self::Planned => "planned",
            Self::Approved => "approved",
            Self::Fulfilled => "fulfilled",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Whether nothing more comes.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Fulfilled | Self::Refused | Self::Withdrawn)
    }

    /// Where a step leads from here; none where it cannot be made. A plan can be made anew until it is approved.
    #[must_use]
    pub const fn after(self, step: Step) -> Option<Self> {
        match (self, step) {
            (Self::Received, Step::VerifyIdentity) => Some(Self::IdentityVerified),
            (Self::IdentityVerified | Self::Planned, Step::Plan) => Some(Self::Planned),
            (Self::Planned, Step::Approve) => Some(Self::Approved),
            (Self::Approved, Step::Fulfil) => Some(Self::Fulfilled),
            (open, Step::Refuse) if !open.is_closed() => Some(Self::Refused),
            (open, Step::Withdraw) if !open.is_closed() => Some(Self::Withdrawn),
            (open, Step::Extend) if !open.is_closed() => Some(open),
            _ => None,
        }
    }
}

/// A step on the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was made certain who asks.
    VerifyIdentity,
    /// Works out what would be done.
    Plan,
    /// Agrees with the plan.
    Approve,
    /// Does it.
    Fulfil,
    /// Does not do it, with a reason.
    Refuse,
    /// The person no longer wants it.
    Withdraw,
    /// Takes two months more, with a reason, once.
    Extend,
}

impl Step {
    /// Every step with its word in the API.
    pub const ALL: [(&'static str, Self); 7] = [
        ("verify_identity", Self::VerifyIdentity),
        ("plan", Self::Plan),
        ("approve", Self::Approve),
        ("fulfil", Self::Fulfil),
        ("refuse", Self::Refuse),
        ("withdraw", Self::Withdraw),
        ("extend", Self::Extend),
    ];

    /// The step of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(name, _)| *name == word)
            .map(|(_, step)| step)
    }
}

/// When a request is due: one month after receipt by the calendar, three where it was extended, later by so long as identity was being
/// proved. It ends with the day; a day that the month does not have is its last, and a Saturday or Sunday the Monday behind it.
#[must_use]
pub fn due(received: Instant, extended: bool, paused: Duration) -> Instant {
    let months = Months::new(if extended { 3 } else { 1 });
    let day = received.checked_add_months(months).unwrap_or(received) + paused;
    let more = match day.weekday() {
        Weekday::Sat => 2,
        Weekday::Sun => 1,
        _ => 0,
    };
    let next = (day + Duration::days(more + 1)).date_naive();
    next.and_time(NaiveTime::MIN).and_utc()
}

/// When the authority is to be told of a breach: 72 hours after we became aware of it, whatever days they are. GDPR Article 33(1).
#[must_use]
pub fn breach_due(aware: Instant) -> Instant {
    aware + Duration::hours(72)
}

/// What happens to records of a class when their subject is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They go now.
    Erased,
    /// They are set aside until their duty ends, and go then.
    Restricted,
    /// They stay.
    Kept,
}

impl Verdict {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Erased => "erased",
            Self::Restricted => "restricted",
            Self::Kept => "kept",
        }
    }
}

/// What happens to one record: a hold keeps it, a duty that has not ended restricts it, everything else goes. Each record gets one verdict.
#[must_use]
pub fn verdict(is_held: bool, rule: &str, keep_until: Instant, now: Instant) -> Verdict {
    if is_held {
        Verdict::Kept
    } else if is_duty(rule) && keep_until > now {
        Verdict::Restricted
    } else {
        Verdict::Erased
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Instant {
        chrono::DateTime::parse_from_rfc3339(text)
            .unwrap()
            .with_timezone(&chrono::Utc)
    }

    #[test]
    fn the_clock_goes_by_the_calendar() {
        let day = |received: &str, extended| due(at(received), extended, Duration::zero()) - Duration::seconds(1);
        assert_eq!(day("2026-03-03T10:00:00Z", false), at("2026-04-03T23:59:59Z"));
        assert_eq!(
            day("2027-01-31T10:00:00Z", false),
            at("2027-03-01T23:59:59Z"),
            "28 February 2027 is a Sunday"
        );
        assert_eq!(day("2024-01-31T10:00:00Z", false), at("2024-02-29T23:59:59Z"));
        assert_eq!(
            day("2026-09-24T10:00:00Z", false),
            at("2026-10-26T23:59:59Z"),
            "24 October is a Saturday"
        );
        assert_eq!(day("2026-03-03T10:00:00Z", true), at("2026-06-03T23:59:59Z"));
        let paused = due(at("2026-03-03T10:00:00Z"), false, Duration::days(4)) - Duration::seconds(1);
        assert_eq!(paused, at("2026-04-07T23:59:59Z"));
    }

    #[test]
    fn a_request_goes_its_way_and_no_other() {
        let way = [Step::VerifyIdentity, Step::Plan, Step::Approve, Step::Fulfil];
        let end = way.into_iter().try_fold(State::Received, State::after);
        assert_eq!(end, Some(State::Fulfilled));
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
            for (_, step) in Step::ALL {
                assert!(!state.is_closed() || state.after(step).is_none());
                // Nothing is fulfilled that was not approved, and nothing approved that was not planned.
                assert_eq!(
                    state.after(step) == Some(State::Fulfilled),
                    state == State::Approved && step == Step::Fulfil
                );
                assert_eq!(
                    state.after(step) == Some(State::Approved) && step != Step::Extend,
                    state == State::Planned && step == Step::Approve
                );
            }
        }
    }

    proptest! {
        #[test]
        fn a_hold_is_never_erased_and_nothing_under_a_duty(held: bool, rule in prop::sample::select(vec!["ret-sox-issuer", "ret-hipaa-log", "ret-pci-log", "ret-gdpr-gen", "sender"]), days in -4000_i64..4000) {
            let now = at("2026-11-20T00:00:00Z");
            let until = now + Duration::days(days);
            let found = verdict(held, rule, until, now);
            prop_assert!(!held || found == Verdict::Kept);
            prop_assert!(held || found != Verdict::Kept);
            let duty = is_duty(rule) && until > now;
            prop_assert_eq!(found == Verdict::Restricted, duty && !held);
        }

        #[test]
        fn a_request_is_never_due_early(days in 0_i64..20_000, extended: bool) {
            let received = at("2020-01-01T12:00:00Z") + Duration::days(days);
            let end = due(received, extended, Duration::zero());
            let months = Months::new(if extended { 3 } else { 1 });
            prop_assert!(end > received.checked_add_months(months).unwrap());
            let most = if extended { 96 } else { 35 };
            prop_assert!(end - received <= Duration::days(most));
            let last = (end - Duration::seconds(1)).weekday();
            prop_assert!(!matches!(last, Weekday::Sat | Weekday::Sun));
        }
    }
}
