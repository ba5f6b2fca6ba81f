//! How bad a finding is.

use serde::{Deserialize, Serialize};

/// Severity of a finding, in the order from worst to least.
///
/// A severity that the tool does not give, or gives in a word nobody knows, is [`Severity::Unknown`]; it weighs
/// like medium but is never shown as medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Exploitable now, with the worst outcome.
    Critical,
    /// Serious.
    High,
    /// Should be fixed in the normal course.
    Medium,
    /// Not stated, or stated in a word that nobody knows.
    Unknown,
    /// Minor.
    Low,
    /// A remark; it never lowers a score.
    Informational,
}

impl Severity {
    /// Every severity, worst first.
    pub const ALL: [Self; 6] = [
        Self::Critical,
        Self::High,
        Self::Medium,
        Self::Unknown,
        Self::Low,
        Self::Informational,
    ];

    /// The weight `w` of the scoring definition, clause 2.
    #[must_use]
    pub const fn weight(self) -> f64 {
        match self {
            Self::Critical => 0.80,
            Self::High => 0.40,
            Self::Medium | Self::Unknown => 0.15,
            Self::Low => 0.03,
            Self::Informational => 0.0,
        }
    }

    /// The word used in files, tables and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Unknown => "unknown",
            Self::Low => "low",
            Self::Informational => "informational",
        }
    }

    /// Position in [`Severity::ALL`]; the number kept in the database.
    #[must_use]
    pub const fn rank(self) -> i16 {
        match self {
            Self::Critical => 0,
            Self::High => 1,
            Self::Medium => 2,
            Self::Unknown => 3,
            Self::Low => 4,
            Self::Informational => 5,
        }
    }

    /// The severity at a rank; none where there is no such rank.
    #[must_use]
    pub fn from_rank(rank: i16) -> Option<Self> {
        usize::try_from(rank).ok().and_then(|at| Self::ALL.get(at).copied())
    }

    /// Reads the words that scanners use, in any case. Never fails: what is not known is [`Severity::Unknown`].
    #[must_use]
    pub fn from_label(label: &str) -> Self {
        const WORDS: [(&str, Severity); 22] = [
            ("critical", Severity::Critical),
            ("fatal", Severity::Critical),
            ("very-high", Severity::Critical),
            ("high", Severity::High),
            ("error", Severity::High),
            ("important", Severity::High),
            ("major", Severity::High),
            ("medium", Severity::Medium),
            ("moderate", Severity::Medium),
            ("warning", Severity::Medium),
            ("warn", Severity::Medium),
            ("low", Severity::Low),
            ("note", Severity::Low),
            ("minor", Severity::Low),
            ("negligible", Severity::Informational),
            ("informational", Severity::Informational),
            ("information", Severity::Informational),
            ("info", Severity::Informational),
            ("none", Severity::Informational),
            ("log", Severity::Informational),
            ("debug", Severity::Informational),
            ("unknown", Severity::Unknown),
        ];
        let label = label.trim();
        WORDS
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(label))
            .map_or(Self::Unknown, |(_, s)| *s)
    }

    /// The severity of a CVSS-like number from 0 to 10 (bands of CVSS v3.1, section 5; 0 is informational).
    #[must_use]
    pub fn from_cvss(score: f64) -> Self {
        match score {
            s if s.is_nan() => Self::Unknown,
            s if s >= 9.0 => Self::Critical,
            s if s >= 7.0 => Self::High,
            s if s >= 4.0 => Self::Medium,
            s if s > 0.0 => Self::Low,
            _ => Self::Informational,
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Severity {
    type Err = UnknownSeverity;
    fn from_str(word: &str) -> Result<Self, UnknownSeverity> {
        Self::ALL
            .into_iter()
            .find(|s| s.as_str() == word)
            .ok_or_else(|| UnknownSeverity(word.to_owned()))
    }
}

/// A word that is not one of our severities.
#[derive(Debug, thiserror::Error)]
#[error("unknown severity \"{0}\": use critical, high, medium, low, informational or unknown")]
pub struct UnknownSeverity(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_many_tools_are_understood_and_the_rest_is_unknown() {
        assert_eq!(Severity::from_label("MODERATE"), Severity::Medium);
        assert_eq!(Severity::from_label(" Important "), Severity::High);
        assert_eq!(Severity::from_label("banana"), Severity::Unknown);
        assert_eq!(Severity::from_label(""), Severity::Unknown);
    }

    #[test]
    fn ranks_and_words_round_trip() {
        for severity in Severity::ALL {
            assert_eq!(Severity::from_rank(severity.rank()), Some(severity));
            assert_eq!(severity.as_str().parse::<Severity>().ok(), Some(severity));
        }
    }
}
