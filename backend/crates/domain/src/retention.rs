//! How long an event must and may be kept, by its tags. Periods are calendar periods.

use crate::Instant;
use chrono::{Datelike, Duration, Months};

/// What a tag asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The rule's id.
    pub id: String,
    /// The tag that it belongs to; the rule without one holds where no other does.
    pub tag: String,
    /// Calendar months that the event must be kept; none where it need not.
    pub at_least: Option<u32>,
    /// Calendar months after which what is personal in it must go; none where it need not.
    pub at_most: Option<u32>,
    /// The law or practice that it rests on.
    pub reason: String,
}

/// Every rule that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules(Vec<Rule>);

/// A rule as it is where nobody changed it: id, tag, months at least and at most, and what it rests on.
type Usual = (&'static str, &'static str, Option<u32>, Option<u32>, &'static str);

/// The usual rules.
const DEFAULTS: [Usual; 5] = [
    (
        "ret-sox-issuer",
        "SOX",
        Some(84),
        None,
        "An issuer's own evidence of its controls: practice, which mirrors the seven years of auditors (17 CFR 210.2-06)",
    ),
    (
        "ret-hipaa-log",
        "HIPAA",
        Some(72),
        None,
        "Logs that are the proof of a required review: practice, after the six years of 45 CFR 164.316(b)(2)(i)",
    ),
    (
        "ret-gdpr-gen",
        "GDPR",
        None,
        Some(36),
        "No longer than the purpose needs (GDPR Art. 5(1)(e)); three years are a choice of policy, not of the law",
    ),
    (
        "ret-pci-log",
        "PCI_DSS",
        Some(12),
        None,
        "Twelve months of audit log history (PCI DSS 10.5.1)",
    ),
    (
        "ret-untagged",
        "",
        Some(12),
        None,
        "Where no tag says anything: as the rule that asks for least",
    ),
];

/// How long an event is kept, and by which rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Until when the event is kept.
    pub until: Instant,
    /// The rule that says so; `sender` where the sender asked for longer.
    pub rule: String,
    /// Until when what is personal in it is kept, and the rule that says so: where a ceiling comes before a duty ends, the event stays
    /// and what is personal in it goes.
    pub payload: Option<(Instant, String)>,
    /// Until when a duty towards others than the person keeps it, and which.
    pub duty: Option<(Instant, String)>,
}

/// Whether a rule is a duty towards others than the person; the rest are policies of the controller, and give way to an erasure. Of rules
/// that a customer adds, those whose id begins with `duty-` are.
#[must_use]
pub fn is_duty(rule: &str) -> bool {
    ["ret-sox-issuer", "ret-hipaa-log", "ret-pci-log"].contains(&rule) || rule.starts_with("duty-")
}

/// Two rules that cannot both have their way, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The rule that wants the event kept.
    pub keeps: String,
    /// The rule that wants it gone before.
    pub ends: String,
}

/// Whether deleting so many records at once asks for a person: more than five in a hundred. A handful of a handful asks too.
#[must_use]
pub const fn asks(due: u64, all: u64) -> bool {
    due > all / 20
}

/// The same for what goes one at a time in the ordinary course, such as the oldest backup: one alone never asks.
#[must_use]
pub const fn asks_for_several(due: u64, all: u64) -> bool {
    due > 1 && asks(due, all)
}

impl Default for Rules {
    fn default() -> Self {
        let rule = |(id, tag, at_least, at_most, reason): &Usual| Rule {
            id: (*id).to_owned(),
            tag: (*tag).to_owned(),
            at_least: *at_least,
            at_most: *at_most,
            reason: (*reason).to_owned(),
        };
        Self(DEFAULTS.iter().map(rule).collect())
    }
}

impl Rules {
    /// The usual rules, with these in the place of those of the same id, or beside them.
    #[must_use]
    pub fn changed(changes: Vec<Rule>) -> Self {
        let mut rules = Self::default();
        for change in changes {
            match rules.0.iter_mut().find(|rule| rule.id == change.id) {
                Some(rule) => *rule = change,
                None => rules.0.push(change),
            }
        }
        rules
    }

    /// Every rule.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// Until when an event is kept: the longest that a tag of it asks for. What the sender asks for may lengthen it, never shorten it.
    #[must_use]
    pub fn keep(&self, at: Instant, tags: &[String], sender_days: Option<u32>) -> Kept {
        let of_tags = |rule: &&Rule| !rule.tag.is_empty() && tags.contains(&rule.tag);
        let mut rules: Vec<&Rule> = self.0.iter().filter(of_tags).collect();
        if rules.is_empty() {
            rules = self.0.iter().filter(|rule| rule.tag.is_empty()).collect();
        }
        let longest = rules
            .iter()
            .filter_map(|rule| Some((rule.at_least?, *rule)))
            .max_by_key(|(months, _)| *months);
        let ceiling = rules
            .iter()
            .filter_map(|rule| Some((rule.at_most?, *rule)))
            .min_by_key(|(months, _)| *months);
        let (months, rule) = match (longest, ceiling) {
            // Nothing need be kept so long, and it may be: until then.
            (Some((least, _)), Some((most, rule))) if most >= least => (most, &*rule.id),
            (Some((least, rule)), _) => (least, &*rule.id),
            (None, Some((most, rule))) => (most, &*rule.id),
            // No rule says that it may go.
            (None, None) => (LONGEST, ""),
        };
        let (mut until, mut rule) = (after_months(at, months), rule.to_owned());
        let asked = sender_days.and_then(|days| at.checked_add_signed(Duration::days(i64::from(days))));
        if let Some(longer) = asked.filter(|longer| *longer > until) {
            (until, rule) = (longer, "sender".to_owned());
        }
        let duties = rules.iter().filter(|rule| is_duty(&rule.id));
        let duty = duties.filter_map(|rule| Some((rule.at_least?, rule.id.clone()))).max();
        let payload = ceiling.map(|(months, rule)| (after_months(at, months), rule.id.clone()));
        Kept {
            duty: duty.map(|(months, id)| (after_months(at, months), id)),
            payload: payload.filter(|(end, _)| *end < until),
            until,
            rule,
        }
    }

    /// The first ceiling of an event's tags, and its rule.
    #[must_use]
    pub fn ceiling(&self, at: Instant, tags: &[String]) -> Option<(Instant, String)> {
        let of_tags = self
            .0
            .iter()
            .filter(|rule| !rule.tag.is_empty() && tags.contains(&rule.tag));
        let first = of_tags
            .filter_map(|rule| Some((rule.at_most?, rule)))
            .min_by_key(|(months, _)| *months);
        first.map(|(months, rule)| (after_months(at, months), rule.id.clone()))
    }

    /// Rules that cannot both have their way, where an event bears both their tags.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut all = Vec::new();
        for keeps in &self.0 {
            for ends in &self.0 {
                let crossed = matches!((keeps.at_least, ends.at_most), (Some(least), Some(most)) if most < least);
                if crossed && keeps.tag != ends.tag && !keeps.tag.is_empty() && !ends.tag.is_empty() {
                    all.push(Conflict {
                        keeps: keeps.id.clone(),
                        ends: ends.id.clone(),
                    });
                }
            }
        }
        all
    }
}

/// Months that a rule may ask for at most.
pub const LONGEST: u32 = 1200;

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
    use proptest::prelude::*;

    fn at(text: &str) -> Instant {
        chrono::DateTime::parse_from_rfc3339(text)
            .unwrap()
            .with_timezone(&chrono::Utc)
    }

    fn tags(all: &[&str]) -> Vec<String> {
        all.iter().map(|tag| (*tag).to_owned()).collect()
    }

    #[test]
    fn the_longest_tag_wins_and_the_sender_may_only_lengthen() {
        let (event, rules) = (at("2026-05-01T10:00:00Z"), Rules::default());
        let kept = |all: &[&str], days| {
            let kept = rules.keep(event, &tags(all), days);
            (kept.until, kept.rule)
        };
        assert_eq!(
            kept(&["PCI_DSS", "SOX"], None),
            (at("2033-05-01T10:00:00Z"), "ret-sox-issuer".to_owned())
        );
        assert_eq!(kept(&["HIPAA"], Some(3)).1, "ret-hipaa-log");
        assert_eq!(kept(&[], Some(4000)).1, "sender");
        assert_eq!(kept(&[], None), (at("2027-05-01T10:00:00Z"), "ret-untagged".to_owned()));
        assert_eq!(
            kept(&["PCI_DSS", "GDPR"], None),
            (at("2029-05-01T10:00:00Z"), "ret-gdpr-gen".to_owned())
        );
    }

    #[test]
    fn where_a_ceiling_comes_before_a_duty_ends_what_is_personal_goes_first() {
        let (event, rules) = (at("2026-05-01T10:00:00Z"), Rules::default());
        let kept = rules.keep(event, &tags(&["SOX", "GDPR"]), None);
        assert_eq!(
            (kept.until, kept.rule.as_str()),
            (at("2033-05-01T10:00:00Z"), "ret-sox-issuer")
        );
        assert_eq!(
            kept.payload,
            Some((at("2029-05-01T10:00:00Z"), "ret-gdpr-gen".to_owned()))
        );
        assert_eq!(rules.keep(event, &tags(&["GDPR"]), None).payload, None);
        // A sender cannot lift the ceiling.
        let kept = rules.keep(event, &tags(&["GDPR"]), Some(4000));
        assert_eq!(
            (kept.rule.as_str(), kept.payload.unwrap().0),
            ("sender", at("2029-05-01T10:00:00Z"))
        );
        let names: Vec<_> = rules.conflicts().into_iter().map(|one| (one.keeps, one.ends)).collect();
        assert_eq!(
            names,
            [
                ("ret-sox-issuer".to_owned(), "ret-gdpr-gen".to_owned()),
                ("ret-hipaa-log".to_owned(), "ret-gdpr-gen".to_owned())
            ]
        );
    }

    #[test]
    fn a_duty_is_seen_behind_whatever_gave_the_date() {
        let (event, rules) = (at("2026-05-01T10:00:00Z"), Rules::default());
        let kept = rules.keep(event, &tags(&["PCI_DSS", "GDPR"]), None);
        assert_eq!(
            (kept.rule.as_str(), kept.duty),
            (
                "ret-gdpr-gen",
                Some((at("2027-05-01T10:00:00Z"), "ret-pci-log".to_owned()))
            )
        );
        let kept = rules.keep(event, &tags(&["SOX"]), Some(5000));
        assert_eq!(
            (kept.rule.as_str(), kept.duty.unwrap().1),
            ("sender", "ret-sox-issuer".to_owned())
        );
        assert_eq!(rules.keep(event, &tags(&["GDPR"]), Some(5000)).duty, None);
        assert_eq!(rules.keep(event, &[], None).duty, None);
    }

    #[test]
    fn much_at_once_asks() {
        assert!(!asks(5, 100) && !asks(0, 0) && !asks(50, 1000));
        assert!(asks(51, 1000) && asks(18, 18) && asks(1, 3) && asks(u64::MAX, u64::MAX));
        assert!(!asks_for_several(1, 1) && asks_for_several(2, 2) && !asks_for_several(2, 40));
    }

    #[test]
    fn a_leap_day_does_not_end_a_period_early() {
        assert_eq!(after_months(at("2024-02-29T08:00:00Z"), 12), at("2025-03-01T08:00:00Z"));
        assert_eq!(after_months(at("2024-02-29T08:00:00Z"), 48), at("2028-02-29T08:00:00Z"));
        assert_eq!(after_months(at("2026-01-31T08:00:00Z"), 1), at("2026-03-01T08:00:00Z"));
    }

    proptest! {
        #[test]
        fn no_duty_ends_early_and_no_ceiling_is_passed(periods in prop::collection::vec((prop::option::of(0_u32..200), prop::option::of(0_u32..200)), 1..5), has in any::<u8>(), days in prop::option::of(0_u32..9000)) {
            let rule = |(n, (at_least, at_most)): (usize, &(Option<u32>, Option<u32>))| Rule { id: format!("r{n}"), tag: format!("T{n}"), at_least: *at_least, at_most: *at_most, reason: String::new() };
            let rules = Rules::changed(periods.iter().enumerate().map(rule).collect());
            let tags: Vec<String> = (0..periods.len()).filter(|n| has & (1 << n) != 0).map(|n| format!("T{n}")).collect();
            prop_assume!(!tags.is_empty());
            let event = at("2024-02-29T10:00:00Z");
            let kept = rules.keep(event, &tags, days);
            for rule in rules.iter().filter(|rule| tags.contains(&rule.tag)) {
                if let Some(months) = rule.at_least {
                    prop_assert!(kept.until >= after_months(event, months), "a duty ends early");
                }
                if let Some(months) = rule.at_most {
                    let gone = kept.payload.as_ref().map_or(kept.until, |(end, _)| *end);
                    prop_assert!(gone <= after_months(event, months), "what is personal is kept too long");
                }
            }
        }
    }
}
