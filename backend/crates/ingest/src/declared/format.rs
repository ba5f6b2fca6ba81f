//! A declarative format, checked and made ready to read with.

use super::condition::Condition;
use super::expr::Expr;
use super::loops::{Levels, Loops};
use super::node::Node;
use super::path::{Path, Start, Step, Wanted};
use crate::formats::Kind;
use affiant_domain::Severity;
use std::collections::BTreeMap;

/// Why a declarative format is no format.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{at}: {why}")]
pub struct SpecError {
    /// The key in the file.
    pub at: String,
    /// What is wrong with it.
    pub why: String,
}

/// What holds the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Json,
    Csv,
    Xml,
}

/// A declarative format, ready to read with.
#[derive(Debug)]
pub struct Declared {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) kind: Kind,
    pub(crate) container: Container,
    pub(crate) tool: Expr,
    pub(crate) recognise: Vec<Condition>,
    pub(crate) empty: bool,
    pub(crate) exercises: Vec<(String, Condition)>,
    pub(crate) lists_checks: bool,
    pub(crate) version: Option<Expr>,
    pub(crate) tool_version: Option<Expr>,
    pub(crate) scanned_at: Option<Expr>,
    pub(crate) refuse: Vec<(Condition, Expr)>,
    pub(crate) partial: Vec<(Condition, Expr)>,
    pub(crate) lookups: Vec<LookupRule>,
    pub(crate) records: Vec<RecordRule>,
}

#[derive(Debug)]
pub(crate) struct LookupRule {
    pub(crate) name: String,
    pub(crate) at: Vec<Levels>,
    pub(crate) key: Expr,
    pub(crate) by: Expr,
}

#[derive(Debug)]
pub(crate) struct RecordRule {
    pub(crate) at: Vec<Levels>,
    pub(crate) each: Levels,
    /// Where the record itself stands inside what carries it: as JSON in a text, or as an object.
    pub(crate) inside: Vec<Path>,
    pub(crate) lone: Lone,
    /// Whether a record is a text alone.
    pub(crate) texts: bool,
    pub(crate) when: Condition,
    pub(crate) required: Vec<(String, Expr)>,
    pub(crate) body: Body,
}

/// What a record is whose parts should be the records, and that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lone {
    Skip,
    Keep,
    Reject,
}

/// Which records the file itself calls findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Failures,
    All,
    None,
}

#[derive(Debug)]
pub(crate) enum Body {
    Finding(Box<FindingRule>),
    Event(Box<EventRule>),
}

#[derive(Debug)]
pub(crate) struct FindingRule {
    pub(crate) tool: Option<Expr>,
    pub(crate) rule: Expr,
    pub(crate) title: Expr,
    pub(crate) message: Option<Expr>,
    pub(crate) severity: Vec<SeverityRule>,
    pub(crate) outcome: Vec<OutcomeRule>,
    pub(crate) category: Option<Expr>,
    pub(crate) cwe: Option<Expr>,
    pub(crate) cve: Option<Expr>,
    pub(crate) cvss: Option<Expr>,
    pub(crate) tags: Vec<Expr>,
    pub(crate) location: Option<Expr>,
    pub(crate) line: Option<Expr>,
    pub(crate) package: Option<Expr>,
    pub(crate) resource_kind: Option<Expr>,
    pub(crate) resource: Option<Expr>,
    pub(crate) remediation: Option<Expr>,
    pub(crate) help_url: Option<Expr>,
    pub(crate) observed_at: Option<Expr>,
    pub(crate) fingerprint: Vec<Expr>,
    pub(crate) secret: Vec<Expr>,
    /// When those are secrets.
    pub(crate) secret_when: Condition,
    pub(crate) counted: Counted,
}

#[derive(Debug)]
pub(crate) struct EventRule {
    pub(crate) time: Expr,
    pub(crate) id: Option<Expr>,
    pub(crate) user: Option<Expr>,
    pub(crate) agent: Option<Expr>,
    pub(crate) action: Expr,
    pub(crate) resource: Option<Expr>,
    pub(crate) outcome: Vec<OutcomeRule>,
    pub(crate) source_ip: Option<Expr>,
    pub(crate) data_categories: Vec<Expr>,
    pub(crate) detail: Vec<(String, Expr)>,
}

#[derive(Debug)]
pub(crate) struct SeverityRule {
    pub(crate) when: Condition,
    pub(crate) from: Option<Expr>,
    pub(crate) score: bool,
    pub(crate) words: BTreeMap<String, Severity>,
    pub(crate) is: Option<Severity>,
}

#[derive(Debug)]
pub(crate) struct OutcomeRule {
    pub(crate) when: Condition,
    pub(crate) is: String,
    pub(crate) reason: Option<Expr>,
}

impl Declared {
    /// Whether a kind of record names secrets.
    pub(crate) fn names_secrets(&self) -> bool {
        let names = |body: &Body| matches!(body, Body::Finding(rule) if !rule.secret.is_empty());
        self.records.iter().any(|record| names(&record.body))
    }

    /// The loops over the records of a file that begins so, and what is asked of it around them.
    pub(crate) fn loops(&self, first: &Node<'_>) -> Loops {
        let mut loops = Loops::default();
        for (n, record) in self.records.iter().enumerate() {
            // The place of which most is there; of equals, the one that is named first.
            let Some(at) = record.at.iter().rev().max_by_key(|at| at.fit(first)) else {
                continue;
            };
            let mut wanted = Wanted::default();
            record.paths(&mut |path| self.ask(path, at, &record.each, &mut wanted, &mut loops.head));
            for lookup in &self.lookups {
                lookup
                    .by
                    .paths(&mut |path| self.ask(path, at, &record.each, &mut wanted, &mut loops.head));
            }
            loops.root.add(&at.0, n, &wanted);
        }
        for lookup in &self.lookups {
            for at in &lookup.at {
                lookup
                    .key
                    .paths(&mut |path| loops.head.add(&[at.steps(), without_key(&path.steps)].concat()));
            }
        }
        let exprs = [&self.version, &self.tool_version, &self.scanned_at];
        let mut file = |path: &Path| loops.head.add(&path.steps);
        exprs.into_iter().flatten().for_each(|expr| expr.paths(&mut file));
        self.tool.paths(&mut file);
        self.exercises.iter().for_each(|(_, when)| when.paths(&mut file));
        for (when, why) in self.refuse.iter().chain(&self.partial) {
            when.paths(&mut file);
            why.paths(&mut file);
        }
        loops.head.settle();
        loops.root.settle();
        loops
    }

    /// Notes whom a path asks: the record, the elements around it, or a row of a lookup.
    fn ask(&self, path: &Path, at: &Levels, each: &Levels, record: &mut Wanted, head: &mut Wanted) {
        let steps = without_key(&path.steps);
        if steps.is_empty() && !path.steps.is_empty() {
            return;
        }
        match &path.start {
            Start::File => head.add(&steps),
            Start::Row(name) => {
                if let Some(lookup) = self.lookups.iter().find(|lookup| lookup.name == *name) {
                    lookup
                        .at
                        .iter()
                        .for_each(|at| head.add(&[at.steps(), steps.clone()].concat()));
                }
            }
            Start::Up(up) if *up <= each.0.len() => {
                let inside = each.upto(each.0.len() - up);
                record.add(&[inside, steps].concat());
            }
            Start::Up(up) => {
                let around = at.upto((at.0.len() + each.0.len()).saturating_sub(*up));
                head.add(&[around, steps].concat());
            }
        }
    }
}

/// Steps without `#key`, which asks nothing of the record.
fn without_key(steps: &[Step]) -> Vec<Step> {
    let asks = |step: &&Step| !matches!(step, Step::Name(name) if name == "#key");
    steps.iter().filter(asks).cloned().collect()
}

impl RecordRule {
    /// Whether another kind of record stands inside this one.
    pub(super) fn holds(&self, other: &Self) -> bool {
        let inside = |outer: &Levels, inner: &Levels| outer.0.len() < inner.0.len() && inner.0.starts_with(&outer.0);
        self.at
            .iter()
            .any(|outer| !outer.0.is_empty() && other.at.iter().any(|inner| inside(outer, inner)))
    }

    fn paths(&self, give: &mut dyn FnMut(&Path)) {
        self.inside.iter().for_each(&mut *give);
        self.when.paths(give);
        self.required.iter().for_each(|(_, expr)| expr.paths(give));
        match &self.body {
            Body::Finding(rule) => rule.paths(give),
            Body::Event(rule) => rule.paths(give),
        }
    }
}

impl FindingRule {
    fn paths(&self, give: &mut dyn FnMut(&Path)) {
        [&self.rule, &self.title].into_iter().for_each(|expr| expr.paths(give));
        let single = [
            &self.tool,
            &self.message,
            &self.category,
            &self.cwe,
            &self.cve,
            &self.cvss,
            &self.location,
            &self.line,
            &self.package,
            &self.resource_kind,
            &self.resource,
            &self.remediation,
            &self.help_url,
            &self.observed_at,
        ];
        single.into_iter().flatten().for_each(|expr| expr.paths(give));
        self.tags
            .iter()
            .chain(&self.fingerprint)
            .chain(&self.secret)
            .for_each(|expr| expr.paths(give));
        for rule in &self.severity {
            rule.when.paths(give);
            rule.from.iter().for_each(|expr| expr.paths(give));
        }
        self.secret_when.paths(give);
        self.outcome.iter().for_each(|rule| rule.paths(give));
    }
}

impl EventRule {
    fn paths(&self, give: &mut dyn FnMut(&Path)) {
        [&self.time, &self.action].into_iter().for_each(|expr| expr.paths(give));
        let single = [&self.id, &self.user, &self.agent, &self.resource, &self.source_ip];
        single.into_iter().flatten().for_each(|expr| expr.paths(give));
        self.data_categories.iter().for_each(|expr| expr.paths(give));
        self.detail.iter().for_each(|(_, expr)| expr.paths(give));
        self.outcome.iter().for_each(|rule| rule.paths(give));
    }
}

impl OutcomeRule {
    fn paths(&self, give: &mut dyn FnMut(&Path)) {
        self.when.paths(give);
        self.reason.iter().for_each(|expr| expr.paths(give));
    }
}
