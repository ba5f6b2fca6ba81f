//! Expressions of the declarative formats: what a field is made of, and when a rule applies.
//!
//! | written | is |
//! |---|---|
//! | `a.b` | the value at a path |
//! | `=text` | the text itself |
//! | `{a} in {b.c}` | text with values in it; nothing where none of them is there; `{a!}` is needed, without it there is nothing |
//! | `a.b \| lower` | a value through filters |
//! | `["a", "b"]`, `a \|\| b` | the first of them that is there |

use super::path::Path;
use super::scope::Scope;
use crate::record::time;
use affiant_domain::observation::cwe_number;
use bumpalo::Bump;
use bumpalo::collections::String as ArenaString;

/// An expression, parsed.
#[derive(Clone, Debug)]
pub(crate) enum Expr {
    Path(Path),
    Literal(String),
    Template(Vec<Part>),
    First(Vec<Expr>),
    Filtered(Box<Expr>, Vec<Filter>),
    /// All values, with this between them.
    Joined(Box<Expr>, String),
    /// Of an object of lists, each `key/value`.
    Keyed(Path),
}

/// A part of a template.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Text(String),
    Value(Expr),
    /// A value without which there is no text at all.
    Needed(Expr),
}

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

impl Expr {
    /// Parses the text of an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(literal) = text.strip_prefix('=') {
            return Ok(Self::Literal(literal.to_owned()));
        }
        let choices = alternatives(text);
        if choices.len() > 1 {
            return choices
                .into_iter()
                .map(Self::parse)
                .collect::<Result<_, _>>()
                .map(Self::First);
        }
        if text.contains('{') {
            return template(text).map(Self::Template);
        }
        let mut parts: Vec<&str> = text.split(" | ").collect();
        let path = Path::parse(parts.remove(0))?;
        if parts == ["keyed"] {
            return Ok(Self::Keyed(path));
        }
        let join = parts.last().and_then(|last| last.strip_prefix("join "));
        let between = join.map(|between| between.trim_matches('\'').to_owned());
        if between.is_some() {
            parts.pop();
        }
        let filters = parts.into_iter().map(filter).collect::<Result<Vec<_>, _>>()?;
        let mut expr = Self::Path(path);
        if !filters.is_empty() {
            expr = Self::Filtered(Box::new(expr), filters);
        }
        Ok(match between {
            Some(between) => Self::Joined(Box::new(expr), between),
            None => expr,
        })
    }

    /// Hands each value to the closure.
    pub(crate) fn each<'s>(&'s self, scope: &Scope<'s>, give: &mut dyn FnMut(&'s str)) {
        match self {
            Self::Path(path) => scope.walk(path, give),
            Self::Literal(text) => give(text),
            Self::Template(parts) => {
                if let Some(text) = fill(parts, scope) {
                    give(text);
                }
            }
            Self::First(all) => {
                let mut found = false;
                for expr in all {
                    expr.each(scope, &mut |value| {
                        found = true;
                        give(value);
                    });
                    if found {
                        return;
                    }
                }
            }
            Self::Filtered(inner, filters) => {
                inner.each(scope, &mut |value| apply(filters, value, scope.file.arena, give));
            }
            Self::Joined(inner, between) => {
                if let Some(text) = inner.joined(scope, between) {
                    give(text);
                }
            }
            Self::Keyed(path) => scope.nodes(path, &mut |node| {
                if let super::node::Node::Map(entries) = node {
                    for (key, value) in entries.iter() {
                        let arena = scope.file.arena;
                        value.each(&mut |one| {
                            if let Some(text) = one.text(arena) {
                                give(bumpalo::format!(in arena, "{}/{}", key, text).into_bump_str());
                            }
                        });
                    }
                }
            }),
        }
    }

    /// The first value that is not empty.
    pub(crate) fn text<'s>(&'s self, scope: &Scope<'s>) -> Option<&'s str> {
        let mut first = None;
        self.each(scope, &mut |value| {
            if first.is_none() && !value.is_empty() {
                first = Some(value);
            }
        });
        first
    }

    /// The first value, or an empty text.
    pub(crate) fn or_empty<'s>(&'s self, scope: &Scope<'s>) -> &'s str {
        self.text(scope).unwrap_or_default()
    }

    /// All values with a text between them; none where there is no value.
    pub(crate) fn joined<'s>(&'s self, scope: &Scope<'s>, between: &str) -> Option<&'s str> {
        let mut first: Option<&'s str> = None;
        let mut all = ArenaString::new_in(scope.file.arena);
        self.each(scope, &mut |value| match first {
            None => first = Some(value),
            Some(before) => {
                if all.is_empty() {
                    all.push_str(before);
                }
                all.push_str(between);
                all.push_str(value);
            }
        });
        if all.is_empty() {
            first
        } else {
            Some(all.into_bump_str())
        }
    }

    /// Hands each path in it to the closure, so that the record is read for it.
    pub(crate) fn paths(&self, give: &mut dyn FnMut(&Path)) {
        match self {
            Self::Path(path) => give(path),
            Self::Literal(_) => {}
            Self::Template(parts) => parts.iter().for_each(|part| {
                if let Part::Value(expr) | Part::Needed(expr) = part {
                    expr.paths(give);
                }
            }),
            Self::First(all) => all.iter().for_each(|expr| expr.paths(give)),
            Self::Filtered(inner, _) | Self::Joined(inner, _) => inner.paths(give),
            Self::Keyed(path) => give(path),
        }
    }
}

/// The parts between ` || ` that is not inside braces.
fn alternatives(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            '|' if depth == 0 && at >= start && text[at..].starts_with("|| ") && text[..at].ends_with(' ') => {
                parts.push(text[start..at].trim());
                start = at + 3;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn template(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, behind) = after
            .split_once('}')
            .ok_or_else(|| format!("\"{text}\": '{{' without '}}'"))?;
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(match inside.strip_suffix('!') {
            Some(inside) => Part::Needed(Expr::parse(inside)?),
            None => Part::Value(Expr::parse(inside)?),
        });
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn fill<'s>(parts: &'s [Part], scope: &Scope<'s>) -> Option<&'s str> {
    let mut out = ArenaString::with_capacity_in(120, scope.file.arena);
    let mut found = false;
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Value(expr) => {
                if let Some(value) = expr.text(scope) {
                    found = true;
                    out.push_str(value);
                }
            }
            Part::Needed(expr) => {
                out.push_str(expr.text(scope)?);
                found = true;
            }
        }
    }
    // What stood between a value and one that is not there.
    found.then(|| out.into_bump_str().trim_matches([' ', ':', ';', ',']))
}

fn filter(text: &str) -> Result<Filter, String> {
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
        "starting" => Filter::Starting(argument),
        "frameworks" => Filter::Frameworks,
        "not" => Filter::Not(argument.split('|').map(str::to_owned).collect()),
        "among" => Filter::Among(argument.split('|').map(str::to_owned).collect()),
        "as" => Filter::As(argument),
        other => {
            return Err(format!(
                "unknown filter \"{other}\": use lower, line, before, after, last, split, cve, cwe, html, cvss, host, starting, \
                 frameworks, not, among, as, or at the end join or keyed"
            ));
        }
    })
}

fn apply<'s>(filters: &'s [Filter], value: &'s str, arena: &'s Bump, give: &mut dyn FnMut(&'s str)) {
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
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        let tag = &rest[at + 1..];
        let is_tag = tag.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!'));
        match tag.find('>').filter(|_| is_tag) {
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

/// When a rule applies: `a` (there and not empty), `?a` (the key is there), `!?a` (it is not), `!a`, `a = x|y`, `a != x|y`, `a ~ part`, `a ^= start`, `a > 3`, `a < 3`, joined by `and`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition(Vec<Test>);

#[derive(Clone, Debug)]
struct Test {
    expr: Expr,
    is: Is,
}

#[derive(Clone, Debug)]
enum Is {
    There,
    Known,
    Unknown,
    Absent,
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Containing(Vec<String>),
    Starting(Vec<String>),
    Over(f64),
    Under(f64),
}

impl Condition {
    /// Parses a condition.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split(" and ").map(test).collect::<Result<_, _>>().map(Self)
    }

    /// Whether it holds.
    pub(crate) fn holds(&self, scope: &Scope<'_>) -> bool {
        self.0.iter().all(|test| test.holds(scope))
    }

    /// Hands each path in it to the closure.
    pub(crate) fn paths(&self, give: &mut dyn FnMut(&Path)) {
        for test in &self.0 {
            match (&test.is, &test.expr) {
                // What is only asked to be there is not held.
                (Is::There | Is::Known | Is::Unknown | Is::Absent, Expr::Path(path)) => {
                    let mut path = path.clone();
                    path.steps.push(super::path::Step::Present);
                    give(&path);
                }
                (_, expr) => expr.paths(give),
            }
        }
    }
}

fn test(text: &str) -> Result<Test, String> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("!?") {
        return Ok(Test {
            expr: Expr::parse(path)?,
            is: Is::Unknown,
        });
    }
    if let Some(path) = text.strip_prefix('!') {
        return Ok(Test {
            expr: Expr::parse(path)?,
            is: Is::Absent,
        });
    }
    if let Some(path) = text.strip_prefix('?') {
        return Ok(Test {
            expr: Expr::parse(path)?,
            is: Is::Known,
        });
    }
    type Make = fn(&str) -> Result<Is, String>;
    let operators: [(&str, Make); 6] = [
        (" != ", |words| Ok(Is::NoneOf(split(words)))),
        (" ^= ", |words| Ok(Is::Starting(split(words)))),
        (" = ", |words| Ok(Is::OneOf(split(words)))),
        (" ~ ", |words| Ok(Is::Containing(split(words)))),
        (" > ", |number| parse_number(number).map(Is::Over)),
        (" < ", |number| parse_number(number).map(Is::Under)),
    ];
    for (operator, make) in operators {
        if let Some((left, right)) = text.split_once(operator) {
            return Ok(Test {
                expr: Expr::parse(left.trim())?,
                is: make(right.trim())?,
            });
        }
    }
    Ok(Test {
        expr: Expr::parse(text)?,
        is: Is::There,
    })
}

fn split(words: &str) -> Vec<String> {
    words.split('|').map(|word| word.trim().to_ascii_lowercase()).collect()
}

fn parse_number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not a number"))
}

impl Test {
    fn holds(&self, scope: &Scope<'_>) -> bool {
        match &self.is {
            Is::There => self.is_there(scope),
            Is::Known => self.is_known(scope),
            Is::Unknown => !self.is_known(scope),
            Is::Absent => !self.is_there(scope),
            Is::OneOf(words) => self.any(scope, |text| words.iter().any(|word| word.eq_ignore_ascii_case(text))),
            Is::NoneOf(words) => !self.any(scope, |text| words.iter().any(|word| word.eq_ignore_ascii_case(text))),
            Is::Containing(words) => self.any(scope, |text| {
                let lower = text.to_ascii_lowercase();
                words.iter().any(|word| lower.contains(word.as_str()))
            }),
            Is::Starting(words) => self.any(scope, |text| {
                let begins = |word: &String| {
                    text.as_bytes()
                        .get(..word.len())
                        .map(|start| start.eq_ignore_ascii_case(word.as_bytes()))
                };
                words.iter().any(|word| begins(word) == Some(true))
            }),
            Is::Over(number) => self.any(scope, |text| text.parse::<f64>().is_ok_and(|value| value > *number)),
            Is::Under(number) => self.any(scope, |text| text.parse::<f64>().is_ok_and(|value| value < *number)),
        }
    }

    /// There is a value: any but `false`, or a list or object.
    fn is_there(&self, scope: &Scope<'_>) -> bool {
        if let Expr::Path(path) = &self.expr {
            let mut found = false;
            scope.nodes(path, &mut |node| found |= node.is_container());
            if found {
                return true;
            }
        }
        self.any(scope, |text| !text.eq_ignore_ascii_case("false"))
    }

    fn is_known(&self, scope: &Scope<'_>) -> bool {
        let mut found = false;
        if let Expr::Path(path) = &self.expr {
            scope.nodes(path, &mut |_| found = true);
        }
        found
    }

    fn any(&self, scope: &Scope<'_>, accept: impl Fn(&str) -> bool) -> bool {
        let mut found = false;
        self.expr.each(scope, &mut |value| found |= accept(value));
        found
    }
}

/// The first time that an expression gives.
pub(crate) fn time_at(expr: &Expr, scope: &Scope<'_>) -> Option<affiant_domain::Instant> {
    let mut first = None;
    expr.each(scope, &mut |value| {
        if first.is_none() {
            first = time(value);
        }
    });
    first
}
