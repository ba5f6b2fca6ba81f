//! Pieces that readers share: borrowed text, times, and the reading of single JSON records.

use crate::declared::{Node, Wanted, pick};
use crate::json::{Cursor, Shape, Walker};
use crate::lines::each_line;
use crate::{Limits, ReadError, Rejection, Sink, Source};
use affiant_domain::Instant;
use affiant_domain::observation::Place;
use bumpalo::Bump;
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone, Utc};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// `null` is the default.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(d: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(d).map(Option::unwrap_or_default)
}

/// A text of a record, borrowed where it has no escapes; `null` is an empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// As it is.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// A time as tools write it: RFC 3339, with a space, without a zone (then UTC), or seconds or milliseconds since 1970.
pub(crate) fn time(text: &str) -> Option<Instant> {
    let text = text.trim();
    // A date alone is common, and the forms below are slow.
    if text.len() == 10 && text.as_bytes()[4] == b'-' {
        return text
            .parse::<NaiveDate>()
            .ok()?
            .and_hms_opt(0, 0, 0)
            .map(|t| t.and_utc());
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&Utc));
    }
    // Go writes a name of the zone behind its offset, or the offset twice.
    let mut words = text.splitn(4, ' ');
    let head = [words.next(), words.next(), words.next()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ");
    for (text, form) in [
        (head.as_str(), "%Y-%m-%d %H:%M:%S%.f%:z"),
        (&head, "%Y-%m-%d %H:%M:%S%.f %z"),
        (text, "%m/%d/%Y %I:%M:%S %p %:z"),
    ] {
        if let Ok(time) = DateTime::parse_from_str(text, form) {
            return Some(time.with_timezone(&Utc));
        }
    }
    for form in [
        "%a, %d %b %Y %H:%M:%S",
        "%a %b %e %H:%M:%S %Y",
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.fZ",
        "%b %e, %Y %H:%M:%S UTC",
        "%b %e, %Y %H:%M:%S %Z",
        "%m/%d/%Y %I:%M:%S %p",
        "%m/%d/%Y %H:%M:%S",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, form) {
            return Some(time.and_utc());
        }
    }
    let date = ["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y"]
        .iter()
        .find_map(|form| NaiveDate::parse_from_str(text, form).ok());
    if let Some(date) = date {
        return date.and_hms_opt(0, 0, 0).map(|t| t.and_utc());
    }
    text.parse::<i64>().ok().and_then(epoch)
}

/// Seconds or, from the year 5138 on, milliseconds since 1970.
pub(crate) fn epoch(number: i64) -> Option<Instant> {
    if number.abs() < 100_000_000_000 {
        Utc.timestamp_opt(number, 0).single()
    } else {
        Utc.timestamp_millis_opt(number).single()
    }
}

/// A time from a JSON value, text or number.
pub(crate) fn time_of(value: &serde_json::Value) -> Option<Instant> {
    match value {
        serde_json::Value::String(text) => time(text),
        serde_json::Value::Number(number) => number.as_i64().and_then(epoch),
        _ => None,
    }
}

/// A score between 0 and 10 from a JSON value, number or text.
pub(crate) fn score(value: &serde_json::Value) -> Option<f64> {
    let score = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (0.0..=10.0).contains(&score).then_some(score)
}

/// Cuts a text to so many bytes, at a character.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let mut end = bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What reading one record says: fine, or why it is rejected.
pub(crate) type Read1 = Result<Result<(), String>, ReadError>;

/// Reads a file of records that stand in an array, in an object under a key, alone, one a line or one after the other.
pub(crate) struct Records<'k> {
    /// Keys of the enclosing object under which records stand.
    pub(crate) keys: &'k [&'k str],
    /// Whether an object without such a key is a record itself.
    pub(crate) bare: bool,
    /// A key of an envelope that may stand around the enclosing object.
    pub(crate) envelope: Option<&'k str>,
}

impl Records<'_> {
    pub(crate) fn read(
        &self,
        source: &dyn Source,
        limits: &Limits,
        sink: &mut dyn Sink,
        mut each: impl FnMut(&[u8], Place, &mut dyn Sink) -> Read1,
    ) -> Result<(), ReadError> {
        let prefix = crate::source::prefix(source, limits)?;
        if crate::sniff::is_lines(&prefix) {
            return each_line(source, limits, sink, |text, place, sink| {
                self.line(text, place, sink, &mut each)
            });
        }
        let arena = bumpalo::Bump::new();
        let sniff = crate::sniff::Sniff::of(&prefix, &arena);
        let json = sniff.json.as_ref();
        let inner = json.and_then(|value| value.get(self.envelope?));
        let nested = self.keys.iter().any(|key| {
            [json, inner]
                .into_iter()
                .flatten()
                .any(|value| value.get(key).is_some())
        });
        let mut walker = Walker::open(source, limits)?;
        let mut rejected = 0;
        if walker.shape()?.is_none() {
            return Err(walker.broken("the file is empty"));
        }
        while let Some(shape) = walker.shape()? {
            match shape {
                Shape::Array => walker.array(|w, _| one(w, limits, sink, &mut rejected, &mut each))?,
                Shape::Object if self.bare && !nested => one(&mut walker, limits, sink, &mut rejected, &mut each)?,
                Shape::Object => {
                    // A value of the enclosing object: a list of records, or something else.
                    let mut list = |w: &mut Walker<'_>, key: &str| {
                        if !self.keys.contains(&key) {
                            return w.skip();
                        }
                        w.array_or_null(key, |w, _| one(w, limits, sink, &mut rejected, &mut each))
                    };
                    walker.object(|w, key| {
                        if self.envelope == Some(key) && w.shape()? == Some(Shape::Object) {
                            return w.object(&mut list);
                        }
                        list(w, key)
                    })?;
                }
                Shape::Scalar => {
                    let null = walker.value()? == b"null";
                    if !null {
                        return Err(walker.broken("neither an object nor an array"));
                    }
                }
            }
        }
        walker.finish()
    }

    fn line(
        &self,
        text: &[u8],
        place: Place,
        sink: &mut dyn Sink,
        each: &mut impl FnMut(&[u8], Place, &mut dyn Sink) -> Read1,
    ) -> Read1 {
        if text.starts_with(b"[") {
            let Ok(all) = serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(text) else {
                return Ok(Err("the line is not JSON".to_owned()));
            };
            for record in all {
                if let Err(why) = each(record.get().as_bytes(), place, sink)? {
                    return Ok(Err(why));
                }
            }
            return Ok(Ok(()));
        }
        each(text, place, sink)
    }
}

/// Takes of records what is asked for, and no more.
pub(crate) struct Picker {
    wanted: Wanted,
    depth: usize,
    arena: Bump,
}

impl Picker {
    /// Asks for these paths.
    pub(crate) fn of(paths: &[&str], limits: &Limits) -> Self {
        Self {
            wanted: Wanted::of_paths(paths),
            depth: limits.depth,
            arena: Bump::new(),
        }
    }

    /// Forgets the record before.
    pub(crate) fn next(&mut self) -> &Self {
        self.arena.reset();
        self
    }

    /// Takes a record, which is all of these bytes; or says why it cannot be read.
    pub(crate) fn node<'p>(&'p self, bytes: &'p [u8]) -> Result<Node<'p>, String> {
        let mut cursor = Cursor::new(bytes, self.depth, &self.arena);
        let mut node = Node::Null;
        let taken = pick(&mut cursor, &self.wanted, &self.arena, &mut node);
        taken.map_err(|fault| format!("not JSON: {}", cursor.explain(fault)))?;
        let is_whole = bytes[cursor.at()..].trim_ascii().is_empty();
        is_whole
            .then_some(node)
            .ok_or_else(|| "not JSON: something follows the record".to_owned())
    }
}

/// One element: parsed by the closure, rejected with its place where it cannot be.
pub(crate) fn one(
    walker: &mut Walker<'_>,
    limits: &Limits,
    sink: &mut dyn Sink,
    rejected: &mut u64,
    each: &mut impl FnMut(&[u8], Place, &mut dyn Sink) -> Read1,
) -> Result<(), ReadError> {
    let (bytes, place) = walker.placed()?;
    if let Err(why) = each(bytes, place, sink)? {
        let syntax = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).err();
        if let Some(error) = syntax.filter(serde_json::Error::is_syntax) {
            return Err(walker.broken(format!("not JSON: {error}")));
        }
        sink.reject(Rejection {
            at: format!("line {}, byte {}", place.line, place.offset),
            why,
        })?;
        *rejected += 1;
        if *rejected > limits.rejected {
            return Err(ReadError::Limit {
                line: place.line,
                what: format!("more than {} records are rejected", limits.rejected),
            });
        }
    }
    Ok(())
}

/// The id of a known vulnerability in a rule id. Tools write more behind it (`CVE-2024-1-openssl`, `CVE-2024-1/app`) or before it
/// (`BDSA-2020-1 (CVE-2020-2)`).
pub(crate) fn vulnerability_id(rule: &str) -> Option<String> {
    const FAMILIES: [&str; 8] = ["PYSEC-", "RUSTSEC-", "GO-20", "OSV-", "ALAS", "DSA-", "RHSA-", "ELSA-"];
    if let Some(at) = rule
        .find("CVE-")
        .filter(|at| !rule[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-'))
    {
        let year = &rule[at + 4..];
        let is_year =
            year.len() > 5 && year.as_bytes()[..4].iter().all(u8::is_ascii_digit) && year.as_bytes()[4] == b'-';
        let digits = year.bytes().skip(5).take_while(u8::is_ascii_digit).count();
        if is_year && digits > 0 {
            return Some(rule[at..at + 9 + digits].to_owned());
        }
    }
    if let Some(rest) = rule.strip_prefix("GHSA-") {
        return Some(format!("GHSA-{}", rest.get(..14).unwrap_or(rest)));
    }
    let found = FAMILIES.iter().any(|family| rule.starts_with(family));
    found.then(|| rule.split(['/', ' ']).next().unwrap_or(rule).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_many_tools_are_read() {
        let read = |text: &str| time(text).map(|time| time.to_rfc3339());
        assert_eq!(
            read("2022-06-16 10:17:40 -0700 -0700").as_deref(),
            Some("2022-06-16T17:17:40+00:00")
        );
        assert_eq!(
            read("2022-06-16 10:17:40 +0000 UTC").as_deref(),
            Some("2022-06-16T10:17:40+00:00")
        );
        assert_eq!(
            read("2022-06-16 10:17:40+02:00").as_deref(),
            Some("2022-06-16T08:17:40+00:00")
        );
        assert_eq!(
            read("Oct 7, 2024 17:24:54 UTC").as_deref(),
            Some("2024-10-07T17:24:54+00:00")
        );
        assert_eq!(
            read("8/22/2022 6:07:16 PM").as_deref(),
            Some("2022-08-22T18:07:16+00:00")
        );
        assert_eq!(
            read("1/9/2007 10:41:00 AM +01:00").as_deref(),
            Some("2007-01-09T09:41:00+00:00")
        );
        assert_eq!(read("2018-01-30").as_deref(), Some("2018-01-30T00:00:00+00:00"));
        assert_eq!(read("2018-13-30"), None);
        assert_eq!(read("01/30/2018").as_deref(), Some("2018-01-30T00:00:00+00:00"));
        assert_eq!(read("28/02/2021").as_deref(), Some("2021-02-28T00:00:00+00:00"));
    }

    #[test]
    fn ids_of_vulnerabilities_are_found_within_rules() {
        let of = |rule: &str| vulnerability_id(rule);
        assert_eq!(of("CVE-1999-0001-package-1").as_deref(), Some("CVE-1999-0001"));
        assert_eq!(of("BDSA-2020-1001 (CVE-2020-11022)").as_deref(), Some("CVE-2020-11022"));
        assert_eq!(
            of("GHSA-aaaa-bbbb-cccc-express").as_deref(),
            Some("GHSA-aaaa-bbbb-cccc")
        );
        assert_eq!(of("CVE-2019-14697/musl").as_deref(), Some("CVE-2019-14697"));
        assert_eq!(of("CVE-today"), None);
        assert_eq!(of("no-CVE-2020-1"), None);
        assert_eq!(of("PYSEC-2021-1 x").as_deref(), Some("PYSEC-2021-1"));
    }
}
