//! What stands beside a leaf where it is kept: columns by which entries are found, and which the leaf must bear out.

use crate::Entry;

/// Columns beside a leaf.
pub struct Beside<'a> {
    /// When it was recorded, microseconds since 1970.
    pub at: i64,
    /// What was done.
    pub action: &'a str,
    /// How it ended.
    pub outcome: &'a str,
    /// The project.
    pub project: Option<[u8; 16]>,
    /// The record that it tells of.
    pub record: Option<[u8; 16]>,
    /// The person under whose key the payload is.
    pub subject: Option<[u8; 16]>,
    /// 0 without a payload, 1 with one, 2 where it was purged, 3 where it was erased.
    pub state: i16,
    /// Whether the payload is there.
    pub is_sealed: bool,
    /// The others whom it concerns, and whether they still are known; none where nobody looked them up.
    pub named: Option<&'a Named<'a>>,
}

/// The others whom an entry concerns.
pub struct Named<'a> {
    /// Those who stand beside it.
    pub beside: &'a [[u8; 16]],
    /// Whether somebody was erased, so that they stand beside nothing any more.
    pub is_erased: &'a dyn Fn(&[u8; 16]) -> bool,
}

/// The key of `refs` that names the record of which an entry tells, by action.
fn record(entry: &Entry) -> Option<&str> {
    let key = if entry.action == "event" { "event" } else { "record" };
    entry.refs.get(key).map(String::as_str)
}

impl Entry {
    /// The column that says something else than the leaf, by name.
    #[must_use]
    pub fn differs(&self, beside: &Beside<'_>) -> Option<&'static str> {
        let same = |text: Option<&str>, column: Option<[u8; 16]>| text.and_then(bytes) == column;
        let payload = (self.payload.is_some(), beside.state, beside.is_sealed);
        let subject = self
            .actor
            .as_deref()
            .filter(|actor| self.subjects.iter().any(|subject| subject == actor));
        let checks = [
            ("at", micros(&self.at) == Some(beside.at)),
            ("action", self.action == beside.action),
            ("outcome", self.outcome == beside.outcome),
            ("project_id", same(self.project.as_deref(), beside.project)),
            ("record_id", same(record(self), beside.record)),
            ("subject_id", same(subject, beside.subject)),
            (
                "state",
                matches!(payload, (false, 0, false) | (true, 1, true) | (true, 2 | 3, false)),
            ),
            (
                "trail_subject",
                beside
                    .named
                    .is_none_or(|named| self.names(subject, named, beside.state)),
            ),
        ];
        checks.into_iter().find(|(_, holds)| !holds).map(|(name, _)| name)
    }

    /// Whether the others who stand beside the leaf are those whom it names, but for those who went with a purge or an erasure.
    fn names(&self, own: Option<&str>, named: &Named<'_>, state: i16) -> bool {
        let others = self
            .subjects
            .iter()
            .map(String::as_str)
            .filter(|subject| Some(*subject) != own);
        let others: Vec<[u8; 16]> = others.filter_map(bytes).collect();
        let is_gone = |other: &[u8; 16]| state > 1 || (named.is_erased)(other);
        named.beside.iter().all(|one| others.contains(one))
            && others
                .iter()
                .all(|other| named.beside.contains(other) || is_gone(other))
    }
}

/// An identifier of 32 hexadecimal digits, with or without hyphens.
fn bytes(text: &str) -> Option<[u8; 16]> {
    let mut digits = [0; 32];
    let mut at = 0;
    for byte in text.bytes().filter(|byte| *byte != b'-') {
        *digits.get_mut(at)? = byte;
        at += 1;
    }
    let mut out = [0; 16];
    hex::decode_to_slice(digits, &mut out).ok().filter(|()| at == 32)?;
    Some(out)
}

/// The microseconds since 1970 of an instant as leaves write it: `2026-11-20T09:30:00.000000Z`.
#[must_use]
pub fn micros(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let fixed = bytes.len() == 27
        && [
            (4, b'-'),
            (7, b'-'),
            (10, b'T'),
            (13, b':'),
            (16, b':'),
            (19, b'.'),
            (26, b'Z'),
        ]
        .iter()
        .all(|(at, byte)| bytes[*at] == *byte);
    if !fixed {
        return None;
    }
    let number = |from: usize, until: usize| {
        bytes[from..until].iter().try_fold(0_i64, |sum, byte| {
            byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Days since 1970 in the proleptic Gregorian calendar, counted from March so that a leap day comes last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000_000 + second * 1_000_000 + number(20, 26)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_they_are_written() {
        for (text, wanted) in [
            ("1970-01-01T00:00:00.000000Z", Some(0)),
            ("2026-11-20T09:30:00.000001Z", Some(1_795_167_000_000_001)),
            ("2024-02-29T23:59:59.999999Z", Some(1_709_251_199_999_999)),
            ("2024-03-01T00:00:00.000000Z", Some(1_709_251_200_000_000)),
            ("1969-12-31T23:59:59.000000Z", Some(-1_000_000)),
            ("2026-11-20T09:30:00Z", None),
            ("2026-11-20 09:30:00.000000Z", None),
        ] {
            assert_eq!(micros(text), wanted, "{text}");
        }
    }

    #[test]
    fn each_column_is_borne_out_by_the_leaf() {
        let (id, other) = ("0192f0000000700080000000000000aa", "0192f0000000700080000000000000bb");
        let entry = Entry {
            action: "event".to_owned(),
            actor: Some(id.to_owned()),
            at: "1970-01-01T00:00:00.000001Z".to_owned(),
            index: "0".to_owned(),
            outcome: "success".to_owned(),
            payload: Some("00".to_owned()),
            project: Some("0192f000-0000-7000-8000-0000000000cc".to_owned()),
            refs: [("event".to_owned(), "0192f000-0000-7000-8000-0000000000dd".to_owned())].into(),
            subjects: vec![id.to_owned(), other.to_owned()],
            v: 1,
        };
        let named = [bytes(other).unwrap()];
        let nobody = |_: &[u8; 16]| false;
        let all = Named {
            beside: &named,
            is_erased: &nobody,
        };
        let good = || Beside {
            at: 1,
            action: "event",
            outcome: "success",
            project: bytes("0192f0000000700080000000000000cc"),
            record: bytes("0192f0000000700080000000000000dd"),
            subject: bytes(id),
            state: 1,
            is_sealed: true,
            named: Some(&all),
        };
        assert_eq!(entry.differs(&good()), None);
        let none = Named {
            beside: &[],
            is_erased: &nobody,
        };
        let strangers = [bytes(id).unwrap()];
        let planted = Named {
            beside: &strangers,
            is_erased: &nobody,
        };
        for (column, beside) in [
            ("at", Beside { at: 2, ..good() }),
            (
                "action",
                Beside {
                    action: "sign-in",
                    ..good()
                },
            ),
            (
                "outcome",
                Beside {
                    outcome: "denied",
                    ..good()
                },
            ),
            (
                "project_id",
                Beside {
                    project: None,
                    ..good()
                },
            ),
            (
                "record_id",
                Beside {
                    record: bytes(id),
                    ..good()
                },
            ),
            (
                "subject_id",
                Beside {
                    subject: bytes(other),
                    ..good()
                },
            ),
            ("state", Beside { state: 2, ..good() }),
            (
                "state",
                Beside {
                    is_sealed: false,
                    ..good()
                },
            ),
            ("state", Beside { state: 7, ..good() }),
            (
                "trail_subject",
                Beside {
                    named: Some(&none),
                    ..good()
                },
            ),
            (
                "trail_subject",
                Beside {
                    named: Some(&planted),
                    ..good()
                },
            ),
        ] {
            assert_eq!(entry.differs(&beside), Some(column));
        }
        let purged = Beside {
            state: 2,
            is_sealed: false,
            named: Some(&none),
            ..good()
        };
        assert_eq!(entry.differs(&purged), None);
    }
}
