//! A declarative format, checked and made ready to read with.

use super::expr::{Condition, Expr};
use super::loops::{Levels, Loops};
use super::node::Node;
use super::path::{Path, Start, Step, Wanted};
use super::spec::{ExerciseSpec, FileSpec, LookupSpec, OutcomeSpec, RecordSpec, SeveritySpec, Spec, Words};
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
    pub(crate) lone: Lone,
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

const FINDING_OUTCOMES: [&str; 7] = ["open", "suppressed", "gone", "pass", "not_applicable", "error", "skip"];
const EVENT_OUTCOMES: [&str; 4] = ["success", "failure", "denied", "skip"];

impl Declared {
    /// Reads and checks a declarative format.
    ///
    /// # Errors
    /// [`SpecError`] with the key that is wrong.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let spec: Spec = toml::from_str(text).map_err(|error| {
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            SpecError {
                at: format!("line {line}"),
                why: error.message().to_owned(),
            }
        })?;
        Self::of(spec)
    }

    fn of(spec: Spec) -> Result<Self, SpecError> {
        let wrong = |at: &str, why: &str| SpecError {
            at: at.to_owned(),
            why: why.to_owned(),
        };
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if spec.name.is_empty() || spec.name.len() > 60 || !spec.name.chars().all(is_name) {
            return Err(wrong(
                "name",
                "a name has at most 60 lower-case letters, digits and '-'",
            ));
        }
        let kind = match spec.kind.as_str() {
            "findings" => Kind::Findings,
            "events" => Kind::Events,
            _ => return Err(wrong("kind", "use findings or events")),
        };
        let container = match spec.container.as_str() {
            "json" => Container::Json,
            "csv" => Container::Csv,
            "xml" => Container::Xml,
            _ => return Err(wrong("container", "use json, csv or xml")),
        };
        if spec.recognise.is_empty() || spec.records.is_empty() {
            return Err(wrong(
                "recognise",
                "a format has conditions that tell it and at least one [[records]]",
            ));
        }
        let recognise = spec.recognise.iter().map(|text| condition("recognise", text));
        let FileSpec {
            version,
            tool_version,
            scanned_at,
            refuse,
        } = spec.file;
        let refuse = refuse.iter().map(|rule| {
            Ok((
                condition("file.refuse.when", &rule.when)?,
                parse("file.refuse.why", &rule.why)?,
            ))
        });
        let tool = spec.tool.unwrap_or_else(|| Words::One(format!("={}", spec.name)));
        let records: Vec<RecordRule> = spec
            .records
            .iter()
            .enumerate()
            .map(|(n, record)| self::record(&format!("records[{n}]"), record, kind))
            .collect::<Result<_, _>>()?;
        if let Some((n, _)) = records
            .iter()
            .enumerate()
            .find(|(_, one)| records.iter().any(|other| one.holds(other)))
        {
            return Err(wrong(
                &format!("records[{n}]"),
                "records stand inside these; name them by each",
            ));
        }
        Ok(Self {
            kind,
            container,
            tool: words("tool", &tool)?,
            recognise: recognise.collect::<Result<_, _>>()?,
            empty: spec.empty,
            exercises: spec.exercises.iter().map(exercise).collect::<Result<_, _>>()?,
            lists_checks: spec.lists_checks,
            version: maybe("file.version", version.as_ref())?,
            tool_version: maybe("file.tool_version", tool_version.as_ref())?,
            scanned_at: maybe("file.scanned_at", scanned_at.as_ref())?,
            refuse: refuse.collect::<Result<_, _>>()?,
            lookups: spec
                .lookup
                .iter()
                .map(|(name, rule)| lookup(name, rule))
                .collect::<Result<_, _>>()?,
            records,
            name: spec.name,
            title: spec.title,
        })
    }

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
        for (when, why) in &self.refuse {
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
    fn holds(&self, other: &Self) -> bool {
        let inside = |outer: &Levels, inner: &Levels| outer.0.len() < inner.0.len() && inner.0.starts_with(&outer.0);
        self.at
            .iter()
            .any(|outer| !outer.0.is_empty() && other.at.iter().any(|inner| inside(outer, inner)))
    }

    fn paths(&self, give: &mut dyn FnMut(&Path)) {
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

fn parse(at: &str, text: &str) -> Result<Expr, SpecError> {
    Expr::parse(text).map_err(|why| SpecError { at: at.to_owned(), why })
}

fn words(at: &str, words: &Words) -> Result<Expr, SpecError> {
    match words {
        Words::One(text) => parse(at, text),
        Words::Several(all) => Ok(Expr::First(
            all.iter().map(|text| parse(at, text)).collect::<Result<_, _>>()?,
        )),
    }
}

fn maybe(at: &str, given: Option<&Words>) -> Result<Option<Expr>, SpecError> {
    given.map(|given| words(at, given)).transpose()
}

fn condition(at: &str, text: &str) -> Result<Condition, SpecError> {
    Condition::parse(text).map_err(|why| SpecError { at: at.to_owned(), why })
}

fn maybe_condition(at: &str, text: Option<&String>) -> Result<Condition, SpecError> {
    text.map_or_else(|| Ok(Condition::default()), |text| condition(at, text))
}

fn levels(at: &str, text: &str) -> Result<Levels, SpecError> {
    Levels::parse(text).map_err(|why| SpecError { at: at.to_owned(), why })
}

fn places(at: &str, given: &Words) -> Result<Vec<Levels>, SpecError> {
    match given {
        Words::One(text) => Ok(vec![levels(at, text)?]),
        Words::Several(all) => all.iter().map(|text| levels(at, text)).collect(),
    }
}

fn exercise(spec: &ExerciseSpec) -> Result<(String, Condition), SpecError> {
    match spec {
        ExerciseSpec::Always(category) => Ok((category.clone(), Condition::default())),
        ExerciseSpec::When(rule) => Ok((rule.category.clone(), condition("exercises", &rule.when)?)),
    }
}

fn lookup(name: &str, spec: &LookupSpec) -> Result<LookupRule, SpecError> {
    let at = format!("lookup.{name}");
    Ok(LookupRule {
        name: name.to_owned(),
        at: places(&at, &spec.at)?,
        key: words(&at, &spec.key)?,
        by: words(&at, &spec.by)?,
    })
}

fn record(at: &str, spec: &RecordSpec, kind: Kind) -> Result<RecordRule, SpecError> {
    let found = spec
        .at
        .as_ref()
        .map_or_else(|| Ok(vec![Levels::default()]), |given| places(at, given))?;
    let each = spec
        .each
        .as_deref()
        .map_or_else(|| Ok(Levels::default()), |text| levels(at, text))?;
    let required = spec.required.iter().map(|text| Ok((text.clone(), parse(at, text)?)));
    Ok(RecordRule {
        at: found,
        each,
        lone: one_of(
            &format!("{at}.lone"),
            spec.lone.as_deref(),
            &[("skip", Lone::Skip), ("keep", Lone::Keep), ("reject", Lone::Reject)],
        )?,
        when: maybe_condition(&format!("{at}.when"), spec.when.as_ref())?,
        required: required.collect::<Result<_, SpecError>>()?,
        body: match kind {
            Kind::Findings => Body::Finding(Box::new(finding(at, spec)?)),
            Kind::Events => Body::Event(Box::new(event(at, spec)?)),
        },
    })
}

/// One of a few words; the first where none is given.
fn one_of<T: Copy>(at: &str, given: Option<&str>, known: &[(&str, T)]) -> Result<T, SpecError> {
    let found = known.iter().find(|(word, _)| given.is_none_or(|given| given == *word));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        SpecError {
            at: at.to_owned(),
            why: format!("use {}", words.join(", ")),
        }
    })
}

fn must(at: &str, key: &str, given: Option<&Words>) -> Result<Expr, SpecError> {
    let at = format!("{at}.{key}");
    maybe(&at, given)?.ok_or_else(|| SpecError {
        at,
        why: "this key is needed".to_owned(),
    })
}

fn list(at: &str, key: &str, all: &[String]) -> Result<Vec<Expr>, SpecError> {
    all.iter().map(|text| parse(&format!("{at}.{key}"), text)).collect()
}

fn finding(at: &str, spec: &RecordSpec) -> Result<FindingRule, SpecError> {
    let opt = |key: &str, given: &Option<Words>| maybe(&format!("{at}.{key}"), given.as_ref());
    let only = [
        ("time", &spec.time),
        ("action", &spec.action),
        ("user", &spec.user),
        ("agent", &spec.agent),
    ];
    if let Some((key, _)) = only.iter().find(|(_, given)| given.is_some()) {
        return Err(SpecError {
            at: format!("{at}.{key}"),
            why: "this key is for formats of events".to_owned(),
        });
    }
    let rule = must(at, "rule", spec.rule.as_ref())?;
    Ok(FindingRule {
        tool: opt("tool", &spec.tool)?,
        title: opt("title", &spec.title)?.unwrap_or_else(|| rule.clone()),
        message: opt("message", &spec.message)?,
        severity: spec
            .severity
            .iter()
            .map(|rule| severity(at, rule))
            .collect::<Result<_, _>>()?,
        outcome: spec
            .outcome
            .iter()
            .map(|rule| outcome(at, rule, &FINDING_OUTCOMES))
            .collect::<Result<_, _>>()?,
        category: opt("category", &spec.category)?,
        cwe: opt("cwe", &spec.cwe)?,
        cve: opt("cve", &spec.cve)?,
        cvss: opt("cvss", &spec.cvss)?,
        tags: list(at, "tags", &spec.tags)?,
        location: opt("location", &spec.location)?,
        line: opt("line", &spec.line)?,
        package: opt("package", &spec.package)?,
        resource_kind: opt("resource_kind", &spec.resource_kind)?,
        resource: opt("resource", &spec.resource)?,
        remediation: opt("remediation", &spec.remediation)?,
        help_url: opt("help_url", &spec.help_url)?,
        observed_at: opt("observed_at", &spec.observed_at)?,
        fingerprint: list(at, "fingerprint", &spec.fingerprint)?,
        secret: list(at, "secret", &spec.secret)?,
        counted: one_of(
            &format!("{at}.counted"),
            spec.counted.as_deref(),
            &[
                ("failures", Counted::Failures),
                ("all", Counted::All),
                ("none", Counted::None),
            ],
        )?,
        rule,
    })
}

fn event(at: &str, spec: &RecordSpec) -> Result<EventRule, SpecError> {
    let opt = |key: &str, given: &Option<Words>| maybe(&format!("{at}.{key}"), given.as_ref());
    if spec.rule.is_some() || !spec.severity.is_empty() {
        return Err(SpecError {
            at: at.to_owned(),
            why: "rule and severity are for formats of findings".to_owned(),
        });
    }
    let detail = spec
        .detail
        .iter()
        .map(|(key, value)| Ok((key.clone(), words(&format!("{at}.detail.{key}"), value)?)));
    Ok(EventRule {
        time: must(at, "time", spec.time.as_ref())?,
        id: opt("id", &spec.id)?,
        user: opt("user", &spec.user)?,
        agent: opt("agent", &spec.agent)?,
        action: must(at, "action", spec.action.as_ref())?,
        resource: opt("resource", &spec.resource)?,
        outcome: spec
            .outcome
            .iter()
            .map(|rule| outcome(at, rule, &EVENT_OUTCOMES))
            .collect::<Result<_, _>>()?,
        source_ip: opt("source_ip", &spec.source_ip)?,
        data_categories: list(at, "data_categories", &spec.data_categories)?,
        detail: detail.collect::<Result<_, SpecError>>()?,
    })
}

fn severity(at: &str, spec: &SeveritySpec) -> Result<SeverityRule, SpecError> {
    let at = format!("{at}.severity");
    let rule = match spec {
        SeveritySpec::From(text) => {
            return Ok(SeverityRule {
                when: Condition::default(),
                from: Some(parse(&at, text)?),
                score: false,
                words: BTreeMap::new(),
                is: None,
            });
        }
        SeveritySpec::Rule(rule) => rule,
    };
    let known = |word: &String| {
        word.parse::<Severity>().map_err(|error| SpecError {
            at: at.clone(),
            why: error.to_string(),
        })
    };
    Ok(SeverityRule {
        when: maybe_condition(&at, rule.when.as_ref())?,
        from: maybe(&at, rule.from.as_ref())?,
        score: rule.score,
        words: rule
            .words
            .iter()
            .map(|(word, severity)| Ok((word.to_lowercase(), known(severity)?)))
            .collect::<Result<_, SpecError>>()?,
        is: rule.is.as_ref().map(known).transpose()?,
    })
}

fn outcome(at: &str, spec: &OutcomeSpec, known: &[&str]) -> Result<OutcomeRule, SpecError> {
    let at = format!("{at}.outcome");
    if !known.contains(&spec.is.as_str()) {
        let why = format!("unknown outcome \"{}\": use {}", spec.is, known.join(", "));
        return Err(SpecError { at, why });
    }
    Ok(OutcomeRule {
        when: maybe_condition(&at, spec.when.as_ref())?,
        is: spec.is.clone(),
        reason: maybe(&at, spec.reason.as_ref())?,
    })
}
