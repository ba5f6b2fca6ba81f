//! How long an event must be kept, by its tags. Periods are calendar periods.

use crate::Instant;
use chrono::{Datelike, Duration, Months};

/// A period that a tag asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The rule's id.
    pub id: &'static str,
    /// The tag that it belongs to.
    pub tag: &'static str,
    /// Calendar months.
    pub months: u32,
}

/// The rules for audit events; each names its duty in the table of retention rules.
pub const RULES: [Rule; 4] = [
    Rule {
        id: "ret-sox-issuer",
        tag: "SOX",
        months: 84,
    },
    Rule {
        id: "ret-hipaa-log",
        tag: "HIPAA",
        months: 72,
    },
    Rule {
        id: "ret-gdpr-gen",
        tag: "GDPR",
        months: 36,
    },
    Rule {
        id: "ret-pci-log",
        tag: "PCI_DSS",
        months: 12,
    },
];

/// What each rule rests on.
pub const REASONS: [(&str, &str); 4] = [
    (
        "ret-sox-issuer",
        "An issuer's own evidence of its controls: practice, which mirrors the seven years of auditors (17 CFR 210.2-06)",
    ),
    (
        "ret-hipaa-log",
        "Logs that are the proof of a required review: practice, after the six years of 45 CFR 164.316(b)(2)(i)",
    ),
    (
        "ret-gdpr-gen",
        "No longer than the purpose needs (GDPR Art. 5(1)(e)); three years are a choice of policy, not of the law",
    ),
    ("ret-pci-log", "Twelve months of audit log history (PCI DSS 10.5.1)"),
];

/// Whether letting go of so many records at once asks for a person: more than five in a hundred, and twenty at least.
#[must_use]
pub const fn asks(due: u64, all: u64) -> bool {
    due >= 20 && due > all / 20
}

/// What holds where no tag says anything: the period of the rule that asks for least.
pub const DEFAULT: Rule = Rule {
    id: "ret-pci-log",
    tag: "",
    months: 12,
};

/// Until when an event is kept, and the rule that says so: the longest of its tags. What the sender asks for may lengthen it, never
/// shorten it.
#[must_use]
pub fn keep_until(at: Instant, tags: &[String], sender_days: Option<u32>) -> (Instant, &'static str) {
    let of_tags = RULES.iter().filter(|rule| tags.iter().any(|tag| tag == rule.tag));
    let rule = of_tags.max_by_key(|rule| rule.months).unwrap_or(&DEFAULT);
    let until = after_months(at, rule.months);
    match sender_days.and_then(|days| at.checked_add_signed(Duration::days(i64::from(days)))) {
        Some(longer) if longer > until => (longer, "sender"),
        _ => (until, rule.id),
    }
}

/// So many calendar months later. A day that the month does not have (29 February) is the next day, so that no period ends early.
#[must_use]
pub fn after_months(at: Instant, months: u32) -> Instant {
    let later = at.checked_add_months(Months::new(months)).unwrap_or(at);
    if later.day() == at.day() {
        later
    } else {
        later + Duration::days(1)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn at(text: &str) -> Instant {
        chrono::DateTime::parse_from_rfc3339(text)
            .unwrap()
            .with_timezone(&chrono::Utc)
    }

    #[test]
    fn the_longest_tag_wins_and_the_sender_may_only_lengthen() {
        let event = at("2026-05-01T10:00:00Z");
        let tags = |all: &[&str]| all.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            keep_until(event, &tags(&["PCI_DSS", "SOX"]), None),
            (at("2033-05-01T10:00:00Z"), "ret-sox-issuer")
        );
        assert_eq!(keep_until(event, &tags(&["HIPAA"]), Some(3)).1, "ret-hipaa-log");
        assert_eq!(keep_until(event, &[], Some(4000)).1, "sender");
        assert_eq!(
            keep_until(event, &[], None),
            (at("2027-05-01T10:00:00Z"), "ret-pci-log")
        );
    }

    #[test]
    fn much_at_once_asks() {
        assert!(!asks(5, 100) && !asks(19, 19) && !asks(50, 1000));
        assert!(asks(51, 1000) && asks(20, 20) && asks(u64::MAX, u64::MAX));
    }

    #[test]
    fn a_leap_day_does_not_end_a_period_early() {
        assert_eq!(after_months(at("2024-02-29T08:00:00Z"), 12), at("2025-03-01T08:00:00Z"));
        assert_eq!(after_months(at("2024-02-29T08:00:00Z"), 48), at("2028-02-29T08:00:00Z"));
        assert_eq!(after_months(at("2026-01-31T08:00:00Z"), 1), at("2026-03-01T08:00:00Z"));
    }
}
