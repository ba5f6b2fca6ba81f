//! pgAudit: lines of a PostgreSQL log with `AUDIT: …` behind a prefix, in a csvlog's or a JSON log's message.
//!
//! Statements are handed on to be measured and committed to, and are not stored: they hold the very data that is to be protected.

use crate::lines::each_line;
use crate::record::{cut, time};
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Sink, Source};
use affiant_domain::Instant;
use affiant_domain::audit::{AuditEvent, EventOutcome, Payload};
use serde_json::{Value, json};

const MARK: &str = "AUDIT: ";

pub(super) fn recognise(sniff: &Sniff<'_>) -> bool {
    let audit = sniff.text.contains("AUDIT: SESSION,") || sniff.text.contains("AUDIT: OBJECT,");
    audit || sniff.text.lines().take(5).any(is_csvlog)
}

/// A row of PostgreSQL's csvlog: a time first, a severity and an SQLSTATE in the middle.
fn is_csvlog(line: &str) -> bool {
    let first = line.trim_start_matches('"');
    let severities = ["LOG", "WARNING", "ERROR", "FATAL", "PANIC", "NOTICE", "INFO", "DEBUG"];
    let severe = |word: &str| {
        line.split(&format!(",{word},")).skip(1).any(|rest| {
            let state = rest.split(',').next().unwrap_or_default();
            state.len() == 5 && state.bytes().all(|b| b.is_ascii_alphanumeric())
        })
    };
    stamp(first).is_some_and(|(at, _)| at == 0) && severities.into_iter().any(severe)
}

pub(super) fn read(source: &dyn Source, limits: &Limits, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut others = 0_u64;
    each_line(source, limits, sink, |line, place, sink| {
        let line = String::from_utf8_lossy(line);
        let Some((before, after)) = line.split_once(MARK) else {
            others += 1;
            return Ok(Ok(()));
        };
        let read = match line.starts_with('{') {
            // What wraps the line of a log in JSON of its own is passed over like any prefix.
            true => of_json(&line).or_else(|_| event(before, after)),
            false => event(before, after),
        };
        match read {
            Ok(event) => {
                sink.event(event, place)?;
                Ok(Ok(()))
            }
            Err(why) => Ok(Err(why.to_owned())),
        }
    })?;
    if others > 0 {
        sink.remark(format!("{others} lines of the log are no audit records"));
    }
    Ok(())
}

/// A line of PostgreSQL's JSON log.
fn of_json(line: &str) -> Result<AuditEvent, &'static str> {
    let log: Value = serde_json::from_str(line).map_err(|_| "the line is not JSON")?;
    let text = |key: &str| match &log[key] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    let message = text("message");
    let after = message.split_once(MARK).map(|(_, after)| after);
    let mut event = event("", after.ok_or("the message is no audit record")?)?;
    event.at = stamp(&text("timestamp")).map(|(_, at)| at);
    event.user = cut(&text("user"), 400).to_owned();
    event.source_ip = cut(&text("remote_host"), 100).replace("[local]", "");
    let database = text("dbname");
    if event.resource.is_empty() {
        cut(&database, 400).clone_into(&mut event.resource);
    }
    event.detail["database"] = database.into();
    let session = [text("session_id"), text("pid")].into_iter().find(|id| !id.is_empty());
    event.detail["session"] = session.into();
    Ok(event)
}

fn event(before: &str, after: &str) -> Result<AuditEvent, &'static str> {
    // A csvlog doubles every quote of its message.
    let undoubled = is_csvlog(before).then(|| after.replace("\"\"", "\""));
    let fields = fields(undoubled.as_deref().unwrap_or(after));
    let field = |n: usize| fields.get(n).map_or("", String::as_str);
    if fields.len() < 5 || !matches!(field(0), "SESSION" | "OBJECT") {
        return Err("AUDIT: is not followed by SESSION or OBJECT, ids, a class and a command");
    }
    let row: Vec<String> = if is_csvlog(before) {
        self::fields(before)
    } else {
        Vec::new()
    };
    let prefix = Prefix::of(before);
    let column = |n: usize, told: &str| row.get(n).map_or(told, String::as_str).to_owned();
    let class = field(3);
    let object = if field(6).is_empty() {
        column(2, prefix.database)
    } else {
        field(6).to_owned()
    };
    let client = column(4, prefix.client);
    Ok(AuditEvent {
        at: stamp(before).map(|(_, at)| at),
        event_id: String::new(),
        user: cut(&column(1, prefix.user), 400).to_owned(),
        subjects: Vec::new(),
        agent: String::new(),
        action: cut(&format!("{} {}", class.to_lowercase(), field(4).to_lowercase()), 200).to_owned(),
        resource: cut(&object, 400).to_owned(),
        outcome: EventOutcome::Success,
        source_ip: cut(client.rsplit_once(':').map_or(client.as_str(), |(host, _)| host), 100).to_owned(),
        sender_risk: None,
        tags: Vec::new(),
        data_categories: Vec::new(),
        payloads: vec![Payload {
            side: "input".to_owned(),
            length: Some(field(7).len() as u64),
            sender_sha256: None,
            commitment: None,
            content: Some(field(7).to_owned()),
        }],
        flagged: false,
        detail: json!({
            "kind": field(0),
            "class": class,
            "statement": field(1),
            "substatement": field(2),
            "object_type": field(5),
            "database": column(2, prefix.database),
            "session": Some(column(5, prefix.process)).filter(|id| !id.is_empty()),
        }),
    })
}

/// What a prefix tells of the session. Everybody sets it up differently: `user=ann,db=shop,client=10.0.0.1`, `ann@shop` as Debian has
/// it, `10.0.0.1(5432):ann@shop:[77]:` as Amazon does.
#[derive(Default)]
struct Prefix<'b> {
    user: &'b str,
    database: &'b str,
    client: &'b str,
    process: &'b str,
}

impl<'b> Prefix<'b> {
    fn of(before: &'b str) -> Self {
        let named = |keys: &[&str]| {
            keys.iter()
                .find_map(|key| setting(before, key))
                .filter(|value| !value.is_empty())
        };
        let words = || before.split([' ', ',', ':', '\t']).filter(|word| !word.contains('='));
        let at = words().find_map(|word| word.split_once('@').filter(|(user, _)| !user.is_empty()));
        // A host with its port in brackets.
        let from = words().find_map(|word| word.strip_suffix(')')?.split_once('(').map(|(host, _)| host));
        let bare = || words().find(|word| word.parse::<core::net::IpAddr>().is_ok());
        let client = named(&["client", "host", "remote", "h", "r"]).map(|host| host.split('(').next().unwrap_or(host));
        let client = client.or(from).map(|host| host.trim_start_matches('[')).or_else(bare);
        Self {
            user: named(&["user", "usr", "u"])
                .or(at.map(|(user, _)| user))
                .unwrap_or_default(),
            database: named(&["db", "database", "d"])
                .or(at.map(|(_, database)| database.split('/').next().unwrap_or(database)))
                .unwrap_or_default(),
            client: client
                .filter(|host| !matches!(host.trim_end_matches(']'), "local"))
                .unwrap_or_default(),
            process: named(&["pid", "p"]).or_else(|| process(before)).unwrap_or_default(),
        }
    }
}

/// The number of the server process: in brackets, where `00000` would be an error's code, else what stands last.
fn process(before: &str) -> Option<&str> {
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let bracketed = before
        .split('[')
        .skip(1)
        .filter_map(|part| part.split_once(']'))
        .map(|(inside, _)| inside);
    let found = bracketed.filter(is_number).find(|number| *number != "00000");
    found.or_else(|| before.split([' ', ':']).rev().find(is_number))
}

/// `key=value` in a prefix, up to a comma or space.
fn setting<'b>(before: &'b str, key: &str) -> Option<&'b str> {
    let mut rest = before;
    while let Some(at) = rest.find(key) {
        let starts = at == 0 || !rest.as_bytes()[at - 1].is_ascii_alphanumeric();
        let after = &rest[at + key.len()..];
        if let Some(value) = after.strip_prefix('=').filter(|_| starts) {
            return value.split([',', ' ', '\t']).next();
        }
        rest = after;
    }
    None
}

/// Fields between commas; quotes may be doubled, or escaped by a log around the log. The last field ends with the line.
fn fields(text: &str) -> Vec<String> {
    let text = text.replace("\\\"", "\"");
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    // A csvlog writes a quote inside the message as two, so that a quoted statement begins with two.
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

/// Zones as a log writes them, in minutes; PostgreSQL's own meaning where a name has several.
const ZONES: [(&str, i32); 20] = [
    ("EST", -300),
    ("EDT", -240),
    ("CST", -360),
    ("CDT", -300),
    ("MST", -420),
    ("MDT", -360),
    ("PST", -480),
    ("PDT", -420),
    ("AKST", -540),
    ("AKDT", -480),
    ("BST", 60),
    ("CET", 60),
    ("CEST", 120),
    ("EET", 120),
    ("EEST", 180),
    ("WEST", 60),
    ("MSK", 180),
    ("JST", 540),
    ("AEST", 600),
    ("AEDT", 660),
];

/// The first time in a text, with where it begins. A zone that is not known is taken for UTC.
fn stamp(text: &str) -> Option<(usize, Instant)> {
    let bytes = text.as_bytes();
    let digits = |from: usize, count: usize| {
        bytes
            .get(from..from + count)
            .is_some_and(|b| b.iter().all(u8::is_ascii_digit))
    };
    for at in 0..bytes.len().saturating_sub(18) {
        let shaped = digits(at, 4)
            && bytes[at + 4] == b'-'
            && digits(at + 5, 2)
            && matches!(bytes[at + 10], b' ' | b'T')
            && digits(at + 11, 2)
            && bytes[at + 13] == b':'
            && digits(at + 14, 2)
            && bytes[at + 16] == b':'
            && digits(at + 17, 2);
        if !shaped {
            continue;
        }
        let rest = &text[at..];
        let end = rest[19..]
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .map_or(rest.len(), |n| n + 19);
        let zone = &rest[end..];
        let offset = zone.strip_prefix(['+', '-']).map_or(0, |digits| {
            1 + digits
                .find(|c: char| !c.is_ascii_digit() && c != ':')
                .unwrap_or(digits.len())
        });
        let whole = format!(
            "{}{}",
            rest[..end].replacen(' ', "T", 1),
            if offset >= 6 { &zone[..offset] } else { "Z" }
        );
        let name = zone.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next();
        let minutes = ZONES
            .iter()
            .find(|(known, _)| Some(*known) == name)
            .map_or(0, |(_, minutes)| *minutes);
        return time(&whole).map(|found| (at, found - chrono::Duration::minutes(minutes.into())));
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn statements_are_measured_and_not_kept() {
        let line = r#"2026-05-16 05:11:50.269 UTC,"ann","shop",1001,"192.0.2.10:54321",0001.03e9,1,"SELECT",2026-05-16 05:00:00 UTC,1/1,0,LOG,00000,"AUDIT: SESSION,4,1,READ,SELECT,TABLE,public.card,""select number from card where id = 1"",<none>",,,,"psql""#;
        let (before, after) = line.split_once(MARK).unwrap();
        let event = event(before, after).unwrap();
        assert_eq!((event.user.as_str(), event.source_ip.as_str()), ("ann", "192.0.2.10"));
        assert_eq!(event.action, "read select");
        assert_eq!(event.resource, "public.card");
        assert_eq!(event.at.unwrap().to_rfc3339(), "2026-05-16T05:11:50.269+00:00");
        assert!(!event.detail.to_string().contains("number"));
        assert!(event.payloads[0].length.unwrap() > 10);
    }

    #[test]
    fn a_prefix_gives_user_and_client() {
        let before =
            "2022-08-10 11:34:19 UTC [pgAdmin 4] [00000] [8077]: [1-1] user=admin,db=shop,client=10.0.0.1 LOG:  ";
        let event = event(before, "SESSION,1,1,DDL,CREATE TABLE,,,create table t,<not logged>").unwrap();
        assert_eq!((event.user.as_str(), event.source_ip.as_str()), ("admin", "10.0.0.1"));
        assert_eq!(event.resource, "shop");
        assert_eq!(event.detail["session"], "8077");
        assert!(event.at.is_some());
    }

    #[test]
    fn prefixes_of_distributions_and_clouds_are_understood() {
        let of = |before: &str| {
            let event = event(before, "SESSION,1,1,READ,SELECT,,,select 1,<not logged>").unwrap();
            let session = event.detail["session"].as_str().unwrap_or_default().to_owned();
            [
                event.user,
                event.resource,
                event.source_ip,
                session,
                event.at.unwrap().to_rfc3339(),
            ]
        };
        let debian = "2020-08-21 13:02:29.1 UTC [5f3b15c5.876e] postgres@dvdrental 34614: LOG:  ";
        assert_eq!(
            of(debian),
            ["postgres", "dvdrental", "", "34614", "2020-08-21T13:02:29.100+00:00"]
        );
        let amazon = "2020-08-21 13:51:46 UTC:10.123.10.212(57116):postgres@test_database:[28213]:LOG:  ";
        assert_eq!(
            of(amazon),
            [
                "postgres",
                "test_database",
                "10.123.10.212",
                "28213",
                "2020-08-21T13:51:46+00:00"
            ]
        );
        let zoned = "2018-06-26 15:57:45 PDT user=ann db=shop host=192.0.2.7(4000) pid=3944 LOG:  ";
        assert_eq!(
            of(zoned),
            ["ann", "shop", "192.0.2.7", "3944", "2018-06-26T22:57:45+00:00"]
        );
    }
}
