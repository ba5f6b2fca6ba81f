//! Which controls a check speaks for, and how strongly.
//!
//! Levels, most exact first: a rule by its full id; a rule by a prefix; CWE, vulnerability, category, class, tag; a requirement that the
//! tool names itself (strength is the trust in that tool times the crosswalk weight); a NIST SP 800-53 control that it names (half of
//! that). A level adds a control only for frameworks that no more exact level has reached.

use super::{Catalogue, MappingRow, Polarity, When, nist_control, requirement_of};
use crate::{Severity, observation::Check};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// From this strength on, a scan or a passed check assures (clause 4 of the definition); below, it can only cast doubt.
pub const SPEAKS: f64 = 0.5;

/// Matches checks and events against a catalogue.
#[derive(Debug)]
pub struct Mapper<'a> {
    catalogue: &'a Catalogue,
    exact: HashMap<String, Vec<usize>>,
    prefixes: Vec<(String, usize)>,
    broad: Vec<usize>,
    by_cwe: HashMap<u32, Vec<usize>>,
    events: Vec<usize>,
    frameworks: HashMap<&'a str, BTreeSet<&'a str>>,
}

type Strengths<'a> = BTreeMap<&'a str, f64>;

impl<'a> Mapper<'a> {
    /// Indexes a catalogue for matching.
    #[must_use]
    pub fn new(catalogue: &'a Catalogue) -> Self {
        let mut mapper = Self {
            catalogue,
            exact: HashMap::new(),
            prefixes: Vec::new(),
            broad: Vec::new(),
            by_cwe: HashMap::new(),
            events: Vec::new(),
            frameworks: reach(catalogue),
        };
        for (at, mapping) in catalogue.mappings.iter().enumerate() {
            mapper.index(at, &mapping.when);
        }
        mapper
    }

    fn index(&mut self, at: usize, when: &When) {
        if !when.event.is_empty() {
            self.events.push(at);
        } else if !when.rule.is_empty() {
            for rule in &when.rule {
                match rule.strip_suffix('*') {
                    Some(prefix) => self.prefixes.push((prefix.to_ascii_lowercase(), at)),
                    None => self.exact.entry(rule.to_ascii_lowercase()).or_default().push(at),
                }
            }
        } else if !when.cwe.is_empty() {
            for cwe in &when.cwe {
                self.by_cwe.entry(*cwe).or_default().push(at);
            }
        } else {
            self.broad.push(at);
        }
    }

    /// The controls that a failing or passing check speaks for, with strengths, ordered by control id.
    #[must_use]
    pub fn controls(&self, check: &Check, severity: Severity) -> Strengths<'a> {
        let mut found = Strengths::new();
        let mut reached = BTreeSet::new();
        let key = format!("{}/{}", check.tool, check.rule).to_ascii_lowercase();
        let exact = self.exact.get(&key).map_or(&[][..], Vec::as_slice);
        self.level(&mut found, &mut reached, exact.iter().copied(), check, severity);
        let globs = self
            .prefixes
            .iter()
            .filter(|(prefix, _)| key.starts_with(prefix))
            .map(|(_, at)| *at);
        self.level(&mut found, &mut reached, globs, check, severity);
        let by_cwe = check
            .cwe
            .iter()
            .flat_map(|cwe| self.by_cwe.get(cwe).into_iter().flatten())
            .copied();
        self.level(
            &mut found,
            &mut reached,
            by_cwe.chain(self.broad.iter().copied()),
            check,
            severity,
        );
        self.by_tags(&mut found, &mut reached, check);
        found
    }

    fn level(
        &self,
        found: &mut Strengths<'a>,
        reached: &mut BTreeSet<&'a str>,
        mappings: impl Iterator<Item = usize>,
        check: &Check,
        severity: Severity,
    ) {
        let before = reached.clone();
        for mapping in mappings.filter_map(|at| self.catalogue.mappings.get(at)) {
            if holds(mapping, check, severity) {
                for (control, strength) in &mapping.controls {
                    self.add(found, reached, &before, control, *strength);
                }
            }
        }
    }

    /// Adds a control unless every framework it serves was reached by a more exact level.
    fn add(
        &self,
        found: &mut Strengths<'a>,
        reached: &mut BTreeSet<&'a str>,
        before: &BTreeSet<&str>,
        control: &'a str,
        strength: f64,
    ) {
        let serves = self.frameworks.get(control);
        if serves.is_some_and(|serves| serves.iter().any(|framework| !before.contains(framework))) {
            reached.extend(serves.into_iter().flatten());
            let known = found.entry(control).or_insert(strength);
            *known = known.max(strength);
        }
    }

    fn by_tags(&self, found: &mut Strengths<'a>, reached: &mut BTreeSet<&'a str>, check: &Check) {
        if check.tags.is_empty() {
            return;
        }
        let row = |name: &str| self.catalogue.trust.iter().find(|row| row.tool == name);
        let Some(trust) = row(&check.tool).or_else(|| row("*")) else {
            return;
        };
        let blanket = |tag: &str| trust.blanket.iter().any(|pattern| matches_pattern(pattern, tag));
        let before = reached.clone();
        for tag in check.tags.iter().filter(|tag| !blanket(tag)) {
            if let Some(requirement) = requirement_of(tag) {
                self.add_for_requirement(found, reached, &before, &requirement, trust.trust);
            }
        }
        let before = reached.clone();
        for nist in check
            .tags
            .iter()
            .filter(|tag| !blanket(tag))
            .filter_map(|tag| nist_control(tag))
        {
            for requirement in self.catalogue.bridge.get(&nist).into_iter().flatten() {
                self.add_for_requirement(found, reached, &before, requirement, trust.trust * 0.5);
            }
        }
    }

    /// The automatable control that counts most for a requirement answers for a tag that names it.
    fn add_for_requirement(
        &self,
        found: &mut Strengths<'a>,
        reached: &mut BTreeSet<&'a str>,
        before: &BTreeSet<&str>,
        requirement: &str,
        trust: f64,
    ) {
        let Some((_, weights)) = self.catalogue.crosswalk.get_key_value(requirement) else {
            return;
        };
        let automatable = weights
            .iter()
            .filter(|(id, _)| self.catalogue.controls.get(*id).is_some_and(|c| c.automatable));
        let best = automatable.fold(None::<(&String, f64)>, |best, (id, weight)| match best {
            Some((_, known)) if known >= *weight => best,
            _ => Some((id, *weight)),
        });
        if let Some((control, weight)) = best {
            self.add(found, reached, before, control, trust * weight.min(1.0));
        }
    }

    /// The controls that a complete run exercises, by the checks it lists or, where it lists none, by the tool's profile.
    #[must_use]
    pub fn exercised<'c>(&self, tool: &str, checks: impl Iterator<Item = &'c Check>) -> BTreeSet<&'a str> {
        let mut controls = BTreeSet::new();
        let mut listed = false;
        for check in checks {
            listed = true;
            for severity in self.severities(check) {
                let strong = self
                    .controls(check, *severity)
                    .into_iter()
                    .filter(|(_, strength)| *strength >= SPEAKS);
                controls.extend(strong.map(|(control, _)| control));
            }
        }
        if !listed && let Some(profile) = self.catalogue.tools.get(tool) {
            controls.extend(profile.controls.iter().map(String::as_str));
        }
        controls
    }

    /// Whether the tool has a profile.
    #[must_use]
    pub fn has_profile(&self, tool: &str) -> bool {
        self.catalogue.tools.contains_key(tool)
    }

    const fn severities(&self, check: &Check) -> &'static [Severity] {
        if check.cve.is_some() {
            &Severity::ALL
        } else {
            &[Severity::High]
        }
    }

    /// The controls that an audit event speaks for: control, strength, and what it says.
    #[must_use]
    pub fn event_controls(&self, action: &str, outcome: &str) -> Vec<(&'a str, f64, Polarity)> {
        let matching = self
            .events
            .iter()
            .filter_map(|at| self.catalogue.mappings.get(*at))
            .filter(|mapping| {
                let when = &mapping.when;
                when.event.iter().any(|pattern| matches_pattern(pattern, action))
                    && (when.outcome.is_empty() || when.outcome.iter().any(|o| o == outcome))
            });
        let mut found: BTreeMap<&str, (f64, Polarity)> = BTreeMap::new();
        for mapping in matching {
            for (control, strength) in &mapping.controls {
                let entry = found.entry(control).or_insert((*strength, mapping.polarity));
                entry.0 = entry.0.max(*strength);
            }
        }
        found
            .into_iter()
            .map(|(control, (strength, polarity))| (control, strength, polarity))
            .collect()
    }

    /// The mappings that a check meets, most exact first; what a page shows beside a finding.
    #[must_use]
    pub fn mappings_of(&self, check: &Check, severity: Severity) -> Vec<&'a MappingRow> {
        let controls = self.controls(check, severity);
        let key = format!("{}/{}", check.tool, check.rule).to_ascii_lowercase();
        self.catalogue
            .mappings
            .iter()
            .filter(|mapping| {
                mapping.when.event.is_empty() && mapping.controls.keys().any(|c| controls.contains_key(c.as_str()))
            })
            .filter(|mapping| {
                let rules = &mapping.when.rule;
                rules.is_empty()
                    || rules
                        .iter()
                        .any(|rule| matches_pattern(&rule.to_ascii_lowercase(), &key))
            })
            .filter(|mapping| holds(mapping, check, severity))
            .collect()
    }
}

/// The frameworks that each control serves.
fn reach(catalogue: &Catalogue) -> HashMap<&str, BTreeSet<&str>> {
    let mut reach: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for (id, framework) in &catalogue.frameworks {
        for requirement in &framework.requirements {
            for control in catalogue
                .crosswalk
                .get(&requirement.id)
                .into_iter()
                .flat_map(BTreeMap::keys)
            {
                reach.entry(control).or_default().insert(id);
            }
        }
    }
    reach
}

/// Every condition but the rule, which the index has answered.
fn holds(mapping: &MappingRow, check: &Check, severity: Severity) -> bool {
    let when = &mapping.when;
    let any = |wanted: &[String], have: &str| wanted.is_empty() || wanted.iter().any(|w| w.eq_ignore_ascii_case(have));
    any(&when.tool, &check.tool)
        && (when.cwe.is_empty() || when.cwe.iter().any(|cwe| check.cwe.contains(cwe)))
        && when.cve.is_none_or(|wanted| wanted == check.cve.is_some())
        && (when.severity.is_empty() || when.severity.contains(&severity))
        && (when.tag.is_empty()
            || when
                .tag
                .iter()
                .any(|tag| check.tags.iter().any(|t| t.eq_ignore_ascii_case(tag))))
        && any(&when.category, &check.category)
        && (when.ocsf_class.is_empty() || check.ocsf_class.is_some_and(|class| when.ocsf_class.contains(&class)))
        && (when.compliance.is_empty()
            || when
                .compliance
                .iter()
                .any(|pattern| check.tags.iter().any(|tag| matches_pattern(pattern, tag))))
}

fn matches_pattern(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => pattern == text,
    }
}
