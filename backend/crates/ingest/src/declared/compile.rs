//! Checks a declarative format as it is written and makes it ready to read with. Every mistake names its key.

use super::condition::Condition;
use super::expr::Expr;
use super::format::{
    Body, Container, Counted, Declared, EventRule, FindingRule, Lone, LookupRule, OutcomeRule, RecordRule,
    SeverityRule, SpecError,
};
use super::loops::Levels;
use super::path::Path;
use super::spec::{ExerciseSpec, FileSpec, LookupSpec, OutcomeSpec, RecordSpec, RefuseSpec, SeveritySpec, Spec, Words};
use crate::formats::Kind;
use affiant_domain::Severity;
use std::collections::BTreeMap;

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
            partial,
        } = spec.file;
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
            refuse: reasons("file.refuse", &refuse)?,
            partial: reasons("file.partial", &partial)?,
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
}

fn parse(at: &str, text: &str) -> Result<Expr, SpecError> {
    Expr::parse(text).map_err(|why| SpecError { at: at.to_owned(), why })
}

/// Conditions on the file, each with what follows from it.
fn reasons(at: &str, all: &[RefuseSpec]) -> Result<Vec<(Condition, Expr)>, SpecError> {
    let one = |rule: &RefuseSpec| {
        let when = condition(&format!("{at}.when"), &rule.when)?;
        Ok((when, parse(&format!("{at}.why"), &rule.why)?))
    };
    all.iter().map(one).collect()
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
    let inside = spec.inside.iter().map(|text| {
        Path::parse(text).map_err(|why| SpecError {
            at: format!("{at}.inside"),
            why,
        })
    });
    let required = spec.required.iter().map(|text| Ok((text.clone(), parse(at, text)?)));
    Ok(RecordRule {
        at: found,
        each,
        lone: one_of(
            &format!("{at}.lone"),
            spec.lone.as_deref(),
            &[("skip", Lone::Skip), ("keep", Lone::Keep), ("reject", Lone::Reject)],
        )?,
        inside: inside.collect::<Result<_, SpecError>>()?,
        texts: spec.texts,
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
        secret_when: maybe_condition(&format!("{at}.secret_when"), spec.secret_when.as_ref())?,
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
