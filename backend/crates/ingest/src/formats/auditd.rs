//! Linux audit daemon log: records grouped to events by their time and serial number, which may interleave.
//!
//! Lines are split at LF alone, since enriched records carry a 0x1d byte; a serial that is missing between two is said to be lost.

use crate::lines::each_line;
use crate::record::cut;
use crate::sniff::Sniff;
use crate::{Limits, ReadError, SerialGap, Sink, Source};
use affiant_domain::Instant;
use affiant_domain::audit::{AuditEvent, EventOutcome};
use affiant_domain::observation::Place;
use chrono::{TimeZone, Utc};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Events that may be open at once; the oldest is given away past this.
const OPEN: usize = 1024;
/// Missing serials that are remembered, to be found later.
const MISSING: u64 = 10_000;

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let is_record = |line: &&str| line.contains("type=") && line.contains("msg=audit(");
    sniff.text.split('\n').take(50).any(|line| is_record(&line))
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut groups = Groups::default();
    each_line(source, limits, sink, |line, place, sink| {
        let line = String::from_utf8_lossy(line);
        // What `ausearch` puts between events.
        if line == "----" || line == "<no matches>" || line.starts_with("time->") {
            return Ok(Ok(()));
        }
        match Record::parse(&line) {
            Ok(record) => groups.take(&record, place, sink).map(Ok),
            Err(why) => Ok(Err(why.to_owned())),
        }
    })?;
    while groups.give_oldest(sink)? {}
    groups
        .serials
        .values()
        .flat_map(Serials::gaps)
        .for_each(|gap| sink.gap(gap));
    let missing: Vec<u64> = groups
        .serials
        .values()
        .flat_map(|serials| serials.missing.iter().copied())
        .collect();
    if !missing.is_empty() {
        let first = missing.first().copied().unwrap_or_default();
        let count = missing.len();
        sink.remark(format!("{count} serial numbers are missing, the first is {first}: the kernel lost these events, or they were cut out"));
    }
    Ok(())
}

/// One line.
struct Record<'l> {
    node: &'l str,
    kind: &'l str,
    /// Milliseconds since 1970.
    at: i64,
    serial: u64,
    rest: &'l str,
}

impl<'l> Record<'l> {
    fn parse(line: &'l str) -> Result<Self, &'static str> {
        let (node, line) = match line.strip_prefix("node=") {
            Some(rest) => rest.split_once(' ').ok_or("a node and nothing else")?,
            None => ("", line),
        };
        let rest = line.strip_prefix("type=").ok_or("the line does not begin with type=")?;
        let (kind, rest) = rest.split_once(' ').ok_or("a type and nothing else")?;
        if kind.is_empty() {
            return Err("the type is empty");
        }
        let rest = rest
            .trim_start()
            .strip_prefix("msg=audit(")
            .ok_or("msg=audit(…) should follow the type")?;
        let (stamp, rest) = rest.split_once(')').ok_or("the time in audit(…) has no end")?;
        let (time, serial) = stamp.rsplit_once(':').ok_or("audit(…) holds no serial number")?;
        if time.contains('/') {
            return Err("the record is written for people to read: export with ausearch --raw");
        }
        let (seconds, fraction) = time.split_once('.').ok_or("the time in audit(…) has no milliseconds")?;
        let number = |text: &str| text.parse::<i64>().map_err(|_| "the time in audit(…) is not a number");
        let at = number(seconds)?
            .checked_mul(1000)
            .ok_or("the time in audit(…) is out of range")?;
        Ok(Self {
            node,
            kind,
            at: at.saturating_add(number(fraction)?.min(999)),
            serial: serial.parse().map_err(|_| "the serial number is not a number")?,
            rest: rest.strip_prefix(':').unwrap_or(rest).trim(),
        })
    }

    /// Hands each field to the closure: `key=value`, quoted, and those inside `msg='…'`.
    fn fields(&self, give: &mut dyn FnMut(&str, String)) {
        let mut rest = self.rest;
        while let Some(eq) = rest.find('=') {
            let key = rest[..eq]
                .rsplit([' ', '\u{1d}', '\'', ',', '('])
                .next()
                .unwrap_or_default();
            let after = &rest[eq + 1..];
            if key == "msg" && after.starts_with('\'') {
                rest = &after[1..];
                continue;
            }
            if let Some(inner) = after.strip_prefix('"') {
                let (value, next) = inner.split_once('"').unwrap_or((inner, ""));
                give(key, value.to_owned());
                rest = next;
                continue;
            }
            let end = after.find([' ', '\u{1d}', '\'']).unwrap_or(after.len());
            let (value, next) = (&after[..end], &after[end..]);
            // Old programs list what they say in brackets, with commas; `(null)` is a value.
            let value = match value.contains('(') {
                true => value,
                false => value.trim_end_matches([')', ',']),
            };
            // What the kernel writes without quotes may be in hexadecimal.
            give(
                key,
                if ENCODED.contains(&key) {
                    decode(value)
                } else {
                    value.to_owned()
                },
            );
            rest = next;
        }
    }
}

/// An event whose records are still coming.
#[derive(Default)]
struct Group {
    place: Place,
    at: i64,
    serial: u64,
    node: String,
    kinds: Vec<String>,
    fields: HashMap<String, String>,
    paths: Vec<String>,
    /// How many of them, at the beginning, are no parents.
    own: usize,
    /// A rule of a security module let it pass, or would not have.
    granted: Option<bool>,
}

#[derive(Default)]
struct Groups {
    open: HashMap<(String, i64, u64), Group>,
    order: VecDeque<(String, i64, u64)>,
    serials: BTreeMap<String, Serials>,
}

/// The serials of one machine.
#[derive(Default)]
struct Serials {
    last: Option<u64>,
    /// When the event with the highest serial so far was written.
    last_at: i64,
    missing: BTreeSet<u64>,
    /// Spans in which serials were passed over: when, and the first and last of them.
    spans: Vec<(i64, i64, u64, u64)>,
}

impl Serials {
    /// Notes the serials that were passed over. They wrap at 2^32, and begin anew when the machine does.
    fn count(&mut self, serial: u64, at: i64) {
        self.missing.remove(&serial);
        let last = self.last.replace(self.last.map_or(serial, |last| last.max(serial)));
        let Some(last) = last else { return };
        let wrapped = last > 0xf000_0000 && serial < 0x1000_0000;
        if wrapped || serial + MISSING < last {
            self.last = Some(serial);
        } else if serial > last && serial - last <= MISSING {
            let room = usize::try_from(MISSING)
                .unwrap_or(usize::MAX)
                .saturating_sub(self.missing.len());
            self.missing.extend((last + 1..serial).take(room));
            if serial > last + 1 {
                self.spans.push((self.last_at.min(at), at, last + 1, serial - 1));
            }
        }
        if self.last == Some(serial) {
            self.last_at = at;
        }
    }

    /// The spans whose serials did not come later.
    fn gaps(&self) -> Vec<SerialGap> {
        let gap = |(from, until, first, last): &(i64, i64, u64, u64)| {
            let missing = self.missing.range(first..=last).count() as u64;
            let (from, until) = (instant(*from)?, instant(*until)?);
            (missing > 0).then_some(SerialGap { from, until, missing })
        };
        self.spans.iter().filter_map(gap).collect()
    }
}

impl Groups {
    fn take(&mut self, record: &Record<'_>, place: Place, sink: &mut dyn Sink) -> Result<(), ReadError> {
        let key = (record.node.to_owned(), record.at, record.serial);
        if !self.open.contains_key(&key) {
            // The daemon numbers what it says of itself on its own.
            if !record.kind.starts_with("DAEMON_") {
                let serials = self.serials.entry(record.node.to_owned()).or_default();
                serials.count(record.serial, record.at);
            }
            self.order.push_back(key.clone());
            let group = Group {
                place,
                at: record.at,
                serial: record.serial,
                node: record.node.to_owned(),
                ..Group::default()
            };
            self.open.insert(key.clone(), group);
        }
        if let Some(group) = self.open.get_mut(&key) {
            group.add(record);
        }
        if self.order.len() > OPEN {
            self.give_oldest(sink)?;
        }
        Ok(())
    }

    fn give_oldest(&mut self, sink: &mut dyn Sink) -> Result<bool, ReadError> {
        let Some(key) = self.order.pop_front() else {
            return Ok(false);
        };
        if let Some(group) = self.open.remove(&key) {
            let place = group.place;
            sink.event(group.event(), place)?;
        }
        Ok(true)
    }
}

/// Fields that the kernel writes in hexadecimal where they hold odd characters.
const ENCODED: [&str; 8] = ["name", "exe", "comm", "cwd", "acct", "cmd", "proctitle", "data"];

impl Group {
    fn add(&mut self, record: &Record<'_>) {
        if self.kinds.len() < 64 {
            self.kinds.push(record.kind.to_owned());
        }
        let is_path = record.kind == "PATH";
        let (mut path, mut is_parent, mut is_permissive) = (None, false, false);
        record.fields(&mut |key, value| {
            if is_path && key == "name" {
                path = Some(value);
            } else if is_path && key == "nametype" {
                is_parent = value == "PARENT";
            } else if key == "permissive" {
                is_permissive = value == "1";
            } else if self.fields.len() < 200 && !value.is_empty() {
                self.fields.entry(key.to_owned()).or_insert(value);
            }
        });
        if matches!(record.kind, "AVC" | "USER_AVC") {
            let said = record.rest.split('{').next().unwrap_or_default();
            // Of several rules one that refuses wins.
            match (said.contains("denied"), is_permissive) {
                (true, false) => self.granted = Some(false),
                (true, true) => self.granted = self.granted.or(Some(true)),
                _ if said.contains("granted") => self.granted = self.granted.or(Some(true)),
                _ => {}
            }
        }
        // The folder of a file that is made or removed stands before it.
        match path {
            Some(path) if is_parent => self.paths.push(path),
            Some(path) => {
                self.paths.insert(self.own, path);
                self.own += 1;
            }
            None => {}
        }
    }

    fn field(&self, keys: &[&str]) -> Option<&str> {
        let known = |value: &&str| !matches!(*value, "?" | "(null)" | "(none)" | "4294967295" | "unset" | "-1");
        keys.iter()
            .find_map(|key| self.fields.get(*key).map(String::as_str).filter(known))
    }

    fn action(&self) -> String {
        let called = self.kinds.iter().any(|kind| kind == "SYSCALL");
        match self.field(&["SYSCALL", "syscall"]).filter(|_| called) {
            Some(call) => format!("syscall {call}"),
            None => self.kinds.first().map_or_else(String::new, |kind| kind.to_lowercase()),
        }
    }

    fn outcome(&self) -> EventOutcome {
        let denied = self.granted == Some(false) || self.field(&["apparmor"]) == Some("DENIED");
        match self.field(&["success", "res", "result"]) {
            Some("no" | "failed" | "0" | "fail") => match self.fields.get("exit").map(String::as_str) {
                // EPERM and EACCES.
                Some("-1" | "-13" | "EPERM" | "EACCES") => EventOutcome::Denied,
                _ => EventOutcome::Failure,
            },
            None if denied => EventOutcome::Denied,
            _ => EventOutcome::Success,
        }
    }

    fn event(self) -> AuditEvent {
        let text = |keys: &[&str], most: usize| cut(self.field(keys).unwrap_or_default(), most).to_owned();
        let resource = self
            .paths
            .first()
            .cloned()
            .unwrap_or_else(|| text(&["unit", "exe", "path", "name"], 400));
        AuditEvent {
            at: instant(self.at),
            event_id: format!("{}{}.{:03}:{}", self.node, self.at / 1000, self.at % 1000, self.serial),
            // Who signed in once acts, whatever account it is about.
            user: text(&["AUID", "auid", "acct", "ID", "UID", "uid"], 400),
            subjects: Vec::new(),
            agent: String::new(),
            action: cut(&self.action(), 200).to_owned(),
            resource: cut(&resource, 400).to_owned(),
            outcome: self.outcome(),
            source_ip: text(&["addr"], 100),
            sender_risk: None,
            tags: Vec::new(),
            data_categories: Vec::new(),
            payloads: Vec::new(),
            flagged: false,
            detail: json!({
                "types": self.kinds,
                "node": self.node,
                "operation": self.field(&["op", "operation"]),
                "exe": self.field(&["exe"]),
                "comm": self.field(&["comm"]),
                "cwd": self.field(&["cwd"]),
                "key": self.field(&["key"]),
                "session": self.field(&["ses"]),
                "terminal": self.field(&["terminal", "tty"]),
                "exit": self.fields.get("exit"),
                "account": self.field(&["acct", "ID", "id"]),
            }),
        }
    }
}

fn instant(millis: i64) -> Option<Instant> {
    Utc.timestamp_millis_opt(millis).single()
}

/// Text of hexadecimal digits as the kernel writes it; other text as it is.
fn decode(value: &str) -> String {
    let digits = value.len() >= 4
        && value.len().is_multiple_of(2)
        && value.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b));
    if !digits {
        return value.to_owned();
    }
    let pair = |at: usize| u8::from_str_radix(&value[at..at + 2], 16).unwrap_or(b'?');
    let bytes: Vec<u8> = (0..value.len())
        .step_by(2)
        .map(pair)
        .map(|b| if b == 0 { b' ' } else { b })
        .collect();
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn records_are_parsed_and_fields_decoded() {
        let line = "node=a type=PATH msg=audit(1500661699.656:1208725): item=0 name=2F746D702F6120622063 msg='op=x res=success'";
        let record = Record::parse(line).unwrap();
        assert_eq!(
            (record.node, record.kind, record.at, record.serial),
            ("a", "PATH", 1_500_661_699_656, 1_208_725)
        );
        let mut fields = Vec::new();
        record.fields(&mut |key, value| fields.push((key.to_owned(), value)));
        assert_eq!(fields[1].0, "name");
        assert_eq!(fields[1].1, "/tmp/a b c");
        assert_eq!(fields[3], ("res".to_owned(), "success".to_owned()));
        assert!(Record::parse("type=X msg=audit(1337845201): a").is_err());
    }

    #[test]
    fn a_serial_that_is_passed_over_is_missing_until_it_comes() {
        let mut groups = Serials::default();
        for serial in [10, 12, 13, 11, 16, 0xffff_ffff, 1] {
            groups.count(serial, 0);
        }
        assert_eq!(groups.missing.into_iter().collect::<Vec<_>>(), [14, 15]);
    }
}
