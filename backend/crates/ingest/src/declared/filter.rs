//! Filters of expressions: what a value goes through.

use affiant_domain::observation::cwe_number;
use bumpalo::Bump;

/// What a value goes through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// To lower case.
    Lower,
    /// The first line.
    Line,
    /// What stands before a text, or all.
    Before(String),
    /// What stands after a text, or nothing.
    After(String),
    /// What stands after the last such text, or all.
    Last(String),
    /// Parts between a separator.
    Split(String),
    /// Ids of known vulnerabilities in it.
    Cve,
    /// Its CWE numbers.
    Cwe,
    /// Text without HTML's tags and entities.
    Html,
    /// Base score of a CVSS vector.
    Cvss,
    /// The host of an address.
    Host,
    /// An address of the network without brackets and port.
    Ip,
    /// What stands between the first and the last single quote, or nothing.
    Quoted,
    /// Nothing, where it is one of these.
    Not(Vec<String>),
    /// Nothing, unless it is one of these.
    Among(Vec<String>),
    /// This text in its place.
    As(String),
    /// Nothing, unless it starts so.
    Starting(String),
    /// `A: x, y | B: z` as `A/x`, `A/y`, `B/z`.
    Frameworks,
}

/// Parses a filter.
///
/// # Errors
/// What is wrong with it.
pub(super) fn filter(text: &str) -> Result<Filter, String> {
    let (name, argument) = text
        .trim()
        .split_once(' ')
        .map_or((text.trim(), ""), |(name, rest)| (name, rest));
    let argument = argument.trim().trim_matches('\'').to_owned();
    Ok(match name {
        "lower" => Filter::Lower,
        "line" => Filter::Line,
        "before" => Filter::Before(argument),
        "after" => Filter::After(argument),
        "last" => Filter::Last(argument),
        "split" => Filter::Split(argument),
        "cve" => Filter::Cve,
        "cwe" => Filter::Cwe,
        "html" => Filter::Html,
        "cvss" => Filter::Cvss,
        "host" => Filter::Host,
        "ip" => Filter::Ip,
        "quoted" => Filter::Quoted,
        "starting" => Filter::Starting(argument),
        "frameworks" => Filter::Frameworks,
        "not" => Filter::Not(argument.split('|').map(str::to_owned).collect()),
        "among" => Filter::Among(argument.split('|').map(str::to_owned).collect()),
        "as" => Filter::As(argument),
        other => {
            return Err(format!(
                "unknown filter \"{other}\": use lower, line, before, after, last, split, cve, cwe, html, cvss, host, ip, quoted, starting, \
                 frameworks, not, among, as, or at the end join or keyed"
            ));
        }
    })
}

/// Hands what becomes of a value to the closure.
pub(super) fn apply<'s>(filters: &'s [Filter], value: &'s str, arena: &'s Bump, give: &mut dyn FnMut(&'s str)) {
    let Some((filter, rest)) = filters.split_first() else {
        give(value);
        return;
    };
    let mut next = |value: &'s str| apply(rest, value, arena, give);
    match filter {
        Filter::Lower => next(arena.alloc_str(&value.to_lowercase())),
        Filter::Line => next(value.lines().next().unwrap_or_default().trim()),
        Filter::Before(mark) => next(value.split(mark.as_str()).next().unwrap_or(value).trim()),
        Filter::After(mark) => {
            if let Some((_, after)) = value.split_once(mark.as_str()) {
                next(after.trim());
            }
        }
        Filter::Last(mark) => next(value.rsplit(mark.as_str()).next().unwrap_or(value).trim()),
        Filter::Split(mark) => {
            let parts = value.split(mark.as_str()).map(str::trim);
            parts.filter(|part| !part.is_empty()).for_each(next);
        }
        Filter::Cve => vulnerability_ids(value, &mut |id| next(arena.alloc_str(&id))),
        Filter::Cwe => {
            if let Some(number) = cwe_number(value) {
                next(bumpalo::format!(in arena, "{}", number).into_bump_str());
            }
        }
        Filter::Html => next(arena.alloc_str(&without_tags(value))),
        Filter::Cvss => {
            if let Some(score) = cvss(value) {
                next(bumpalo::format!(in arena, "{}", score).into_bump_str());
            }
        }
        Filter::Host => next(host(value).trim()),
        Filter::Ip => next(ip(value)),
        Filter::Quoted => {
            let inside = value.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\''));
            if let Some((inside, _)) = inside {
                next(inside);
            }
        }
        Filter::Starting(start) => {
            if value.starts_with(start.as_str()) {
                next(value);
            }
        }
        Filter::Frameworks => {
            for part in value.split('|') {
                let (name, ids) = part.split_once(':').unwrap_or((part, ""));
                for id in ids.split(',').map(str::trim).filter(|id| !id.is_empty()) {
                    next(bumpalo::format!(in arena, "{}/{}", name.trim(), id).into_bump_str());
                }
            }
        }
        Filter::Among(words) => {
            if words.iter().any(|word| word.eq_ignore_ascii_case(value)) {
                next(value);
            }
        }
        Filter::As(text) => next(text),
        Filter::Not(words) => {
            if !words.iter().any(|word| word.eq_ignore_ascii_case(value)) {
                next(value);
            }
        }
    }
}

fn host(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

fn ip(text: &str) -> &str {
    let text = text.trim();
    let inside = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let address = inside.map_or(text, |(address, _)| address);
    let mapped = address.strip_prefix("::ffff:").filter(|rest| rest.contains('.'));
    let address = mapped.unwrap_or(address);
    match address.split_once(':') {
        // Of an address of version 6 the colons are its own.
        Some((before, port)) if !port.contains(':') => before,
        _ => address,
    }
}

/// Ids such as CVE-2021-44228 and GHSA-… anywhere in a text.
fn vulnerability_ids(text: &str, give: &mut dyn FnMut(String)) {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | ':')));
    for word in words {
        let upper = word.to_ascii_uppercase();
        if upper.starts_with("CVE-") && upper.len() > 8 {
            give(upper);
        } else if let Some(id) = crate::record::vulnerability_id(word) {
            give(id);
        }
    }
}

/// Base score of a CVSS vector of version 2, 3 or 4, or a score written as a number.
pub(crate) fn cvss(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(score) = text.parse::<f64>() {
        return (0.0..=10.0).contains(&score).then_some(score);
    }
    let vector = text.strip_prefix("CVSS2#").unwrap_or(text).trim_matches(['(', ')']);
    let vector = vector.split_once('#').map_or(vector, |(_, rest)| rest);
    // Tools drop the prefix of version 3; its vectors alone ask for privileges.
    let bare = vector.contains("/PR:") && !vector.starts_with("CVSS:");
    let vector = if bare {
        format!("CVSS:3.1/{vector}")
    } else {
        vector.to_owned()
    };
    vector.parse::<cvss::Cvss>().ok().map(|vector| vector.score())
}

/// Text of HTML: tags become spaces, entities characters. Never meant to be shown as HTML again.
pub(crate) fn without_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut closes = true;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let tag = &rest[at + 1..];
        let is_tag = tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        let end = if is_tag && closes { tag.find('>') } else { None };
        // Where none follows here, none follows further on.
        closes &= !is_tag || end.is_some();
        match end {
            Some(end) => {
                out.push(' ');
                rest = &tag[end + 1..];
            }
            None => {
                out.push('<');
                rest = tag;
            }
        }
    }
    out.push_str(rest);
    let out = out
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'");
    let out = out.replace("&nbsp;", " ").replace("&amp;", "&");
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}
