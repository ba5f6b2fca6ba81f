//! Hands what was read of a record to the sink.

use super::format::{Body, Declared, Lone, LookupRule, RecordRule};
use super::loops::{Level, Loop, Over};
use super::node::Node;
use super::path::Wanted;
use super::pick::pick;
use super::scope::{File, Lookup, Scope};
use super::{event, finding};
use crate::json::Cursor;
use crate::known::Known;
use crate::{Limits, ReadError, Rejection, Sink};
use affiant_domain::observation::{Check, Place, RunInfo, tool_name};
use bumpalo::Bump;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// One reading of one file.
pub(crate) struct Emit<'e> {
    pub(crate) format: &'e Declared,
    pub(crate) limits: &'e Limits,
    pub(crate) sink: &'e mut dyn Sink,
    /// Checks that were told before.
    pub(crate) checks: Known,
    /// Where the texts of the present record are made.
    arena: Bump,
    pub(crate) tools: BTreeSet<String>,
    pub(crate) run: RunInfo,
    /// Categories of checks that the scan ran, found or not.
    exercises: Vec<String>,
    begun: bool,
    /// The file was said to tell only a part.
    partial: bool,
    records: u64,
    rejected: u64,
}

impl<'e> Emit<'e> {
    pub(crate) fn new(format: &'e Declared, limits: &'e Limits, sink: &'e mut dyn Sink) -> Self {
        Self {
            format,
            limits,
            sink,
            checks: Known::default(),
            arena: Bump::new(),
            tools: BTreeSet::new(),
            run: RunInfo::default(),
            exercises: Vec::new(),
            begun: false,
            partial: false,
            records: 0,
            rejected: 0,
        }
    }

    /// What the file says of itself; it may say that it is no report at all.
    pub(crate) fn begin(&mut self, head: &Node<'_>) -> Result<(), ReadError> {
        let arena = Bump::new();
        let file = File::of(head, &arena);
        let scope = Scope::of(head, &file);
        for (when, why) in &self.format.refuse {
            if when.holds(&scope) {
                let what = why.or_empty(&scope).to_owned();
                return Err(ReadError::Broken {
                    line: 1,
                    offset: 0,
                    what,
                });
            }
        }
        for (when, why) in &self.format.partial {
            if !self.partial && when.holds(&scope) {
                self.partial = true;
                self.sink.partial(why.or_empty(&scope).to_owned());
            }
        }
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let text = |expr: &Option<super::expr::Expr>| {
            let text = expr.as_ref().and_then(|expr| expr.text(&scope)).unwrap_or_default();
            crate::record::cut(text, 60).to_owned()
        };
        self.sink.version(&text(&self.format.version));
        self.run = RunInfo {
            tool: tool_name(self.format.tool.or_empty(&scope)),
            tool_version: text(&self.format.tool_version),
            scanned_at: self
                .format
                .scanned_at
                .as_ref()
                .and_then(|expr| super::expr::time_at(expr, &scope)),
        };
        let ran = self.format.exercises.iter().filter(|(_, when)| when.holds(&scope));
        self.exercises = ran.map(|(category, _)| category.clone()).collect();
        if self.format.kind == crate::Kind::Findings {
            let tool = self.run.tool.clone();
            self.announce(&tool);
        }
        Ok(())
    }

    /// The first word of a tool.
    pub(crate) fn announce(&mut self, tool: &str) {
        if self.tools.contains(tool) {
            return;
        }
        self.tools.insert(tool.to_owned());
        self.sink.run(&RunInfo {
            tool: tool.to_owned(),
            ..self.run.clone()
        });
        for category in &self.exercises {
            let cve = (category == "vulnerability").then(|| "any".to_owned());
            let rule = format!("({category})");
            let check = Check {
                tool: tool.to_owned(),
                rule,
                cve,
                category: category.clone(),
                ..Check::default()
            };
            self.sink.listed(&Arc::new(check));
        }
    }

    /// Takes what stands at a point of the loops: a record of each kind that stands there.
    pub(crate) fn record(&mut self, kinds: &[usize], scope: &Scope<'_>, place: Place) -> Result<(), ReadError> {
        self.records += 1;
        if self.records > self.limits.records {
            let what = format!("more than {} records", self.limits.records);
            return Err(ReadError::Limit { line: place.line, what });
        }
        let format = self.format;
        for rule in kinds.iter().filter_map(|n| format.records.get(*n)) {
            if rule.inside.is_empty() {
                self.parts(rule, &rule.each.0, scope, place)?;
            } else {
                self.inside(rule, scope, place)?;
            }
        }
        Ok(())
    }

    /// A record that something else carries; what carries nothing is the record itself.
    fn inside(&mut self, rule: &RecordRule, scope: &Scope<'_>, place: Place) -> Result<(), ReadError> {
        let mut carried = None;
        for path in &rule.inside {
            scope.nodes(path, &mut |node| carried = carried.or(Some(*node)));
        }
        let arena = Bump::new();
        let node = match carried {
            Some(Node::Text(text)) => {
                let mut cursor = Cursor::new(text.as_bytes(), self.limits.depth, &arena);
                let mut node = Node::Null;
                if let Err(fault) = pick(&mut cursor, Wanted::all(), &arena, &mut node) {
                    let why = format!("the record inside is not JSON: {}", cursor.explain(fault));
                    return self.reject(place, why);
                }
                node
            }
            Some(node @ Node::Map(_)) => node,
            _ => *scope.node,
        };
        self.parts(rule, &rule.each.0, &Scope { node: &node, ..*scope }, place)
    }

    /// A record, or each of its parts where the parts are the records.
    fn parts(&mut self, rule: &RecordRule, each: &[Level], scope: &Scope<'_>, place: Place) -> Result<(), ReadError> {
        let Some((level, rest)) = each.split_first() else {
            return self.one(rule, scope, place);
        };
        let mut found = Vec::new();
        elements(scope.node, level, &mut |node, key| found.push((node, key)));
        if found.is_empty() {
            let inner = Scope {
                node: &NOTHING,
                key: "",
                around: Some(scope),
                file: scope.file,
            };
            return match rule.lone {
                Lone::Skip => Ok(()),
                Lone::Keep => self.parts(rule, rest, &inner, place),
                Lone::Reject => self.reject(place, format!("a record without {}", level.names.join("."))),
            };
        }
        for (node, key) in found {
            let inner = Scope {
                node,
                key,
                around: Some(scope),
                file: scope.file,
            };
            self.parts(rule, rest, &inner, place)?;
        }
        Ok(())
    }

    fn one(&mut self, rule: &RecordRule, scope: &Scope<'_>, place: Place) -> Result<(), ReadError> {
        let format = self.format;
        if format.lookups.is_empty() {
            return self.body(rule, scope, place);
        }
        let rows: Vec<_> = format
            .lookups
            .iter()
            .enumerate()
            .map(|(n, lookup)| row(lookup, n, scope))
            .collect();
        let file = File {
            rows: &rows,
            ..*scope.file
        };
        self.body(rule, &Scope { file: &file, ..*scope }, place)
    }

    fn body(&mut self, rule: &RecordRule, scope: &Scope<'_>, place: Place) -> Result<(), ReadError> {
        let mut arena = std::mem::take(&mut self.arena);
        let file = File {
            arena: &arena,
            ..*scope.file
        };
        let done = self.evaluated(rule, &Scope { file: &file, ..*scope }, place);
        arena.reset();
        self.arena = arena;
        done
    }

    fn evaluated(&mut self, rule: &RecordRule, scope: &Scope<'_>, place: Place) -> Result<(), ReadError> {
        if !rule.when.holds(scope) {
            return Ok(());
        }
        if let Some((name, _)) = rule.required.iter().find(|(_, expr)| expr.text(scope).is_none()) {
            return self.reject(place, format!("a record without {name}"));
        }
        let read = match &rule.body {
            Body::Finding(rule) => finding::observe(self, rule, scope, place)?,
            Body::Event(rule) => event::give(self, rule, scope, place)?,
        };
        match read {
            Ok(()) => Ok(()),
            Err(why) => self.reject(place, why),
        }
    }

    /// Reports a record that cannot be read.
    pub(crate) fn reject(&mut self, place: Place, why: String) -> Result<(), ReadError> {
        let at = format!("line {}, byte {}", place.line, place.offset);
        self.sink.reject(Rejection { at, why })?;
        self.rejected += 1;
        if self.rejected > self.limits.rejected {
            let what = format!("more than {} records are rejected", self.limits.rejected);
            return Err(ReadError::Limit { line: place.line, what });
        }
        Ok(())
    }

    /// Goes over the loops of a value that is held whole. `around` is the element that was entered last.
    pub(crate) fn whole(
        &mut self,
        at: &Loop,
        around: &Scope<'_>,
        value: &Node<'_>,
        place: Place,
    ) -> Result<(), ReadError> {
        if !at.records.is_empty() {
            return self.record(&at.records, &Scope { node: value, ..*around }, place);
        }
        match value {
            Node::List(all) => all.iter().try_for_each(|one| match &at.elements {
                Some(next) => self.enter(next, around, (one, ""), place),
                None => self.whole(at, around, one, place),
            }),
            Node::Map(entries) => {
                for (key, one) in entries.iter() {
                    if let Some(next) = at.by(key) {
                        self.whole(next, around, one, place)?;
                    }
                    if let Some(next) = &at.values {
                        self.enter(next, around, (one, key), place)?;
                    }
                }
                match &at.elements {
                    Some(next) => self.enter(next, around, (value, ""), place),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn enter(
        &mut self,
        at: &Loop,
        around: &Scope<'_>,
        (node, key): (&Node<'_>, &str),
        place: Place,
    ) -> Result<(), ReadError> {
        let scope = Scope {
            node,
            key,
            around: Some(around),
            file: around.file,
        };
        self.whole(at, &scope, node, place)
    }
}

/// The elements at a level of a value that is held whole, with their keys.
fn elements<'n>(node: &'n Node<'n>, level: &Level, give: &mut dyn FnMut(&'n Node<'n>, &'n str)) {
    let steps: Vec<_> = level
        .names
        .iter()
        .map(|name| super::path::Step::Name(name.clone()))
        .collect();
    let path = super::path::Path {
        start: super::path::Start::Up(0),
        steps,
    };
    path.walk(node, &mut |found| match (level.over, found) {
        (Over::Elements, Node::List(all)) => all.iter().for_each(|one| give(one, "")),
        (Over::Elements, Node::Null) | (Over::Values, _) if !matches!(found, Node::Map(_)) => {}
        (Over::Values, Node::Map(entries)) => entries.iter().for_each(|(key, one)| give(one, key)),
        (_, one) => give(one, ""),
    });
}

static NOTHING: Node<'static> = Node::Null;

fn row<'s>(lookup: &'s LookupRule, n: usize, scope: &Scope<'s>) -> Option<(&'s str, &'s Node<'s>)> {
    let mut found = None;
    let table = scope.file.lookups.get(n)?;
    lookup.by.each(scope, &mut |name| {
        if found.is_none() {
            found = table.rows.get_key_value(name).map(|(key, node)| (key.as_ref(), *node));
        }
    });
    found
}

/// Builds the lookups of a format from what was asked of the file.
pub(crate) fn lookups<'s>(format: &'s Declared, head: &'s Node<'s>, arena: &'s Bump) -> Vec<Lookup<'s>> {
    let file = File::of(head, arena);
    format
        .lookups
        .iter()
        .map(|rule| {
            let mut rows: HashMap<Cow<'s, str>, &'s Node<'s>> = HashMap::new();
            for at in &rule.at {
                descend(head, &at.0, "", &mut |node, key| {
                    let scope = Scope {
                        node,
                        key,
                        around: None,
                        file: &file,
                    };
                    rule.key.each(&scope, &mut |name| {
                        rows.entry(Cow::Owned(name.to_owned())).or_insert(node);
                    });
                });
            }
            Lookup { name: &rule.name, rows }
        })
        .collect()
}

fn descend<'s>(node: &'s Node<'s>, levels: &[Level], key: &'s str, give: &mut dyn FnMut(&'s Node<'s>, &'s str)) {
    match levels.split_first() {
        None => give(node, key),
        Some((level, rest)) => elements(node, level, &mut |inner, key| descend(inner, rest, key, give)),
    }
}
