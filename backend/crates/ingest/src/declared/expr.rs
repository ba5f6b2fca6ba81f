//! Expressions of the declarative formats: what a field is made of, and when a rule applies.
//!
//! | written | is |
//! |---|---|
//! | `a.b` | the value at a path |
//! | `=text` | the text itself |
//! | `{a} in {b.c}` | text with values in it; nothing where none of them is there; `{a!}` is needed, without it there is nothing |
//! | `a.b \| lower` | a value through filters |
//! | `["a", "b"]`, `a \|\| b` | the first of them that is there |

use super::filter::{Filter, apply, filter};
use super::path::Path;
use super::scope::Scope;
use crate::record::time;
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
                        if !value.is_empty() {
                            found = true;
                            give(value);
                        }
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
                            if let Some(text) = one.text() {
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
        let text = match self {
            Self::Path(path) => scope.first(path),
            Self::Literal(text) => Some(text.as_str()),
            Self::Template(parts) => fill(parts, scope),
            Self::First(all) => all.iter().find_map(|expr| expr.text(scope)),
            _ => {
                let mut first = None;
                self.each(scope, &mut |value| {
                    first = first.or(Some(value).filter(|value| !value.is_empty()))
                });
                first
            }
        };
        text.filter(|text| !text.is_empty())
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
