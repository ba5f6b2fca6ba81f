//! A half-open period in UTC, `[start, end)`.

use crate::Instant;
use chrono::{DateTime, Datelike, NaiveDate, TimeZone, Utc};
use serde::Serialize;

/// `[start, end)`, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    start: Instant,
    end: Instant,
}

/// Why a text is not a period.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadPeriod {
    /// Neither a date nor an instant.
    #[error("\"{0}\" is neither a date (2026-09-30) nor an RFC 3339 instant (2026-09-30T00:00:00Z)")]
    Instant(String),
    /// Not a named period.
    #[error("\"{0}\" is not a period: write 2026, 2026-Q3, 2026-09 or START..END")]
    Name(String),
    /// The end does not come after the start.
    #[error("a period ends after it starts: {0} is not before {1}")]
    Reversed(String, String),
}

/// Reads a date (its first instant in UTC) or an RFC 3339 instant.
///
/// # Errors
/// [`BadPeriod::Instant`] quotes the text.
pub fn parse_instant(text: &str) -> Result<Instant, BadPeriod> {
    let text = text.trim();
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(instant.with_timezone(&Utc));
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .map(|at| at.and_utc())
        .ok_or_else(|| BadPeriod::Instant(text.chars().take(60).collect()))
}

impl Period {
    /// A period from two instants.
    ///
    /// # Errors
    /// [`BadPeriod::Reversed`] where the end does not come after the start.
    pub fn new(start: Instant, end: Instant) -> Result<Self, BadPeriod> {
        if start < end {
            Ok(Self { start, end })
        } else {
            Err(BadPeriod::Reversed(start.to_rfc3339(), end.to_rfc3339()))
        }
    }

    /// Reads `2026`, `2026-Q3`, `2026-09` or `START..END`.
    ///
    /// # Errors
    /// [`BadPeriod`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, BadPeriod> {
        let text = text.trim();
        if let Some((start, end)) = text.split_once("..") {
            return Self::new(parse_instant(start)?, parse_instant(end)?);
        }
        Self::named(text).ok_or_else(|| BadPeriod::Name(text.chars().take(60).collect()))
    }

    fn named(text: &str) -> Option<Self> {
        let month = |year: i32, month: u32| Utc.with_ymd_and_hms(year, month, 1, 0, 0, 0).single();
        let (year, rest) = text.split_once('-').map_or((text, None), |(y, r)| (y, Some(r)));
        let year: i32 = (year.len() == 4).then(|| year.parse().ok())??;
        let (first, months) = match rest {
            None => (1, 12),
            Some(rest) => match rest.strip_prefix(['Q', 'q']) {
                Some(quarter) => {
                    let quarter: u32 = quarter.parse().ok().filter(|q| (1..=4).contains(q))?;
                    (quarter * 3 - 2, 3)
                }
                None => (
                    rest.parse().ok().filter(|m| (1..=12).contains(m) && rest.len() == 2)?,
                    1,
                ),
            },
        };
        let next = first + months;
        let end = if next > 12 {
            month(year + 1, next - 12)?
        } else {
            month(year, next)?
        };
        Self::new(month(year, first)?, end).ok()
    }

    /// The calendar quarter before the one that holds the instant.
    #[must_use]
    pub fn last_quarter(now: Instant) -> Option<Self> {
        let quarter = now.month0() / 3;
        let (year, quarter) = if quarter == 0 {
            (now.year() - 1, 4)
        } else {
            (now.year(), quarter)
        };
        Self::named(&format!("{year}-Q{quarter}"))
    }

    /// First instant inside.
    #[must_use]
    pub const fn start(&self) -> Instant {
        self.start
    }

    /// First instant after it, the instant of the score.
    #[must_use]
    pub const fn end(&self) -> Instant {
        self.end
    }

    /// Whether the instant lies inside.
    #[must_use]
    pub fn holds(&self, at: Instant) -> bool {
        self.start <= at && at < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_months_and_years_are_calendar_periods() {
        let shown = |text| Period::parse(text).map(|p| (p.start().to_rfc3339(), p.end().to_rfc3339()));
        let range = |a: &str, b: &str| Ok((format!("{a}T00:00:00+00:00"), format!("{b}T00:00:00+00:00")));
        assert_eq!(shown("2026-Q4"), range("2026-10-01", "2027-01-01"));
        assert_eq!(shown("2024-02"), range("2024-02-01", "2024-03-01"));
        assert_eq!(shown("2026"), range("2026-01-01", "2027-01-01"));
        assert_eq!(shown("2026-01-05..2026-01-06"), range("2026-01-05", "2026-01-06"));
        assert!(matches!(shown("2026-02-02..2026-02-01"), Err(BadPeriod::Reversed(..))));
        assert!(matches!(shown("2026-13"), Err(BadPeriod::Name(_))));
        assert!(matches!(shown("2026-02-29..2026-03-01"), Err(BadPeriod::Instant(_))));
    }
}
