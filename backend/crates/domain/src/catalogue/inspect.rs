//! Checks a catalogue as a whole: ids, references, cycles, dates, orphans; and counts.

use super::{Catalogue, EvidenceKind, is_token};
use crate::{asset::KINDS, period::parse_instant};
use std::collections::{BTreeMap, BTreeSet};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, such as `pci-dss.requirement[pci-8.6.2].group`.
    pub at: String,
    /// What, and what to do.
    pub what: String,
}

/// The outcome of an inspection.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// What must be put right.
    pub faults: Vec<Fault>,
    /// What is worth a look: rows that could be scanned and have no mapping, mappings with equal conditions.
    pub remarks: Vec<Fault>,
    /// Rows and scored rows, by framework id.
    pub counts: BTreeMap<String, (usize, usize)>,
}

impl Inspection {
    fn fault(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.faults.push(Fault {
            at: at.into(),
            what: what.into(),
        });
    }

    fn remark(&mut self, at: impl Into<String>, what: impl Into<String>) {
        self.remarks.push(Fault {
            at: at.into(),
            what: what.into(),
        });
    }
}

/// Checks everything and counts.
#[must_use]
pub fn inspect(catalogue: &Catalogue) -> Inspection {
    let mut out = Inspection::default();
    unique_ids(catalogue, &mut out);
    for framework in catalogue.frameworks.values() {
        requirements(framework, &mut out);
        cycles(framework, &mut out);
        out.counts.insert(
            framework.row.id.clone(),
            (framework.requirements.len(), framework.scored().count()),
        );
    }
    controls(catalogue, &mut out);
    crosswalk(catalogue, &mut out);
    mappings(catalogue, &mut out);
    orphans(catalogue, &mut out);
    out
}

fn unique_ids(catalogue: &Catalogue, out: &mut Inspection) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for source in catalogue.sources() {
        let framework = source.framework.iter().map(|f| format!("framework {}", f.id));
        let groups = source.group.iter().map(|g| format!("group {}", g.id));
        let requirements = source.requirement.iter().map(|r| format!("requirement {}", r.id));
        let controls = source.control.iter().map(|c| format!("control {}", c.id));
        let mappings = source.mapping.iter().map(|m| format!("mapping {}", m.id));
        for id in framework
            .chain(groups)
            .chain(requirements)
            .chain(controls)
            .chain(mappings)
        {
            *seen.entry(id).or_default() += 1;
        }
    }
    for (id, times) in seen {
        if times > 1 {
            out.fault(&id, format!("the id is used {times} times; ids are never reused"));
        }
        if !id.split(' ').nth(1).is_some_and(is_token) {
            out.fault(&id, "an id is a letter, then letters, digits, '.', '-' or '_'");
        }
    }
}

fn requirements(framework: &super::Framework, out: &mut Inspection) {
    let groups: BTreeSet<&str> = framework.groups.iter().map(|g| g.id.as_str()).collect();
    let known: BTreeSet<&str> = framework.requirements.iter().map(|r| r.id.as_str()).collect();
    let name = &framework.row.id;
    let mut date = |at: String, text: Option<&str>| {
        if let Some(text) = text
            && parse_instant(text).is_err()
        {
            out.fault(at, format!("\"{text}\" is not a date"));
        }
    };
    date(format!("{name}.valid_from"), Some(&framework.row.valid_from));
    for row in &framework.requirements {
        date(format!("{name}.{}.valid_from", row.id), row.valid_from.as_deref());
        date(format!("{name}.{}.valid_until", row.id), row.valid_until.as_deref());
    }
    for row in &framework.requirements {
        let at = format!("{name}.requirement[{}]", row.id);
        if !groups.contains(row.group.as_str()) {
            out.fault(format!("{at}.group"), format!("no group \"{}\"", row.group));
        }
        if let Some(next) = row.superseded_by.as_deref().filter(|next| !known.contains(next)) {
            out.fault(format!("{at}.superseded_by"), format!("no requirement \"{next}\""));
        }
        if !(row.weight.is_finite() && row.weight > 0.0) {
            out.fault(format!("{at}.weight"), "a weight is positive");
        }
        if row.valid_from.is_some() && row.valid_until.is_some() && row.valid_from >= row.valid_until {
            out.fault(format!("{at}.valid_until"), "it ends before it begins");
        }
        for profile in &row.only_for {
            if !super::PROFILES.iter().any(|(id, _)| id == profile) {
                out.fault(format!("{at}.only_for"), format!("no profile \"{profile}\""));
            }
        }
    }
}

fn cycles(framework: &super::Framework, out: &mut Inspection) {
    let parents: BTreeMap<&str, &str> = framework
        .groups
        .iter()
        .filter_map(|g| Some((g.id.as_str(), g.parent.as_deref()?)))
        .collect();
    let successors: BTreeMap<&str, &str> = framework
        .requirements
        .iter()
        .filter_map(|r| Some((r.id.as_str(), r.superseded_by.as_deref()?)))
        .collect();
    for (what, links) in [("group", &parents), ("requirement", &successors)] {
        for start in links.keys() {
            let mut at = *start;
            for _ in 0..=links.len() {
                match links.get(at) {
                    Some(next) => at = next,
                    None => break,
                }
            }
            if links.contains_key(at) {
                out.fault(format!("{}.{what}[{start}]", framework.row.id), "it is above itself");
            }
        }
    }
    for group in &framework.groups {
        if let Some(parent) = group.parent.as_deref()
            && !framework.groups.iter().any(|g| g.id == parent)
        {
            out.fault(
                format!("{}.group[{}].parent", framework.row.id, group.id),
                format!("no group \"{parent}\""),
            );
        }
    }
}

fn controls(catalogue: &Catalogue, out: &mut Inspection) {
    for control in catalogue.controls.values() {
        let at = format!("control[{}]", control.id);
        if control.window_days == 0 {
            out.fault(format!("{at}.window_days"), "a window is at least one day");
        }
        for kind in &control.applies_to {
            if !kind.starts_with("resource.") && !KINDS.iter().any(|(known, _)| known == kind) {
                out.fault(format!("{at}.applies_to"), format!("no kind of asset \"{kind}\""));
            }
        }
        if control.automatable && control.applies_to.is_empty() {
            out.fault(
                format!("{at}.applies_to"),
                "a control that tools can test applies to some kind of asset",
            );
        }
    }
}

fn crosswalk(catalogue: &Catalogue, out: &mut Inspection) {
    for (requirement, weights) in &catalogue.crosswalk {
        if catalogue.requirement(requirement).is_none() {
            out.fault(format!("crosswalk[{requirement}]"), "no such requirement");
        }
        for (control, weight) in weights {
            let at = format!("crosswalk[{control} to {requirement}]");
            if !catalogue.controls.contains_key(control) {
                out.fault(&at, format!("no control \"{control}\""));
            }
            if !(*weight > 0.0 && *weight <= 1.0) {
                out.fault(&at, "a weight is above 0 and at most 1");
            }
        }
    }
    for (nist, requirements) in &catalogue.bridge {
        for requirement in requirements.iter().filter(|id| catalogue.requirement(id).is_none()) {
            out.fault(format!("bridge[{nist}]"), format!("no requirement \"{requirement}\""));
        }
    }
}

fn mappings(catalogue: &Catalogue, out: &mut Inspection) {
    let mut conditions: BTreeMap<String, &str> = BTreeMap::new();
    for mapping in &catalogue.mappings {
        let at = format!("mapping[{}]", mapping.id);
        for (control, strength) in &mapping.controls {
            if !catalogue.controls.contains_key(control) {
                out.fault(format!("{at}.controls"), format!("no control \"{control}\""));
            }
            if !(*strength > 0.0 && *strength <= 1.0) {
                out.fault(
                    format!("{at}.controls.{control}"),
                    "a strength is above 0 and at most 1",
                );
            }
        }
        if mapping.rationale.trim().is_empty() {
            out.fault(format!("{at}.rationale"), "say why");
        }
        if mapping.when == super::When::default() {
            out.fault(format!("{at}.when"), "it matches everything");
        }
        for rule in &mapping.when.rule {
            if !rule.contains('/') || rule[..rule.len() - 1].contains('*') {
                out.fault(
                    format!("{at}.when.rule"),
                    format!("\"{rule}\" is not tool/rule with '*' at most at the end"),
                );
            }
        }
        let condition = serde_json::to_string(&mapping.when).unwrap_or_default();
        if let Some(first) = conditions.insert(condition, &mapping.id) {
            out.remark(&at, format!("the same condition as {first}"));
        }
    }
    for tool in catalogue.tools.values() {
        for control in tool.controls.iter().filter(|id| !catalogue.controls.contains_key(*id)) {
            out.fault(format!("tool[{}]", tool.id), format!("no control \"{control}\""));
        }
    }
    for row in &catalogue.trust {
        if !(row.trust > 0.0 && row.trust <= 1.0) {
            out.fault(format!("trust[{}]", row.tool), "trust is above 0 and at most 1");
        }
    }
}

fn orphans(catalogue: &Catalogue, out: &mut Inspection) {
    let mapped: BTreeSet<&str> = catalogue
        .mappings
        .iter()
        .flat_map(|m| m.controls.keys())
        .map(String::as_str)
        .collect();
    for framework in catalogue.frameworks.values() {
        for row in framework.scored() {
            let controls = catalogue.controls_of(&row.id);
            let at = format!("{}.requirement[{}]", framework.row.id, row.id);
            if controls.is_empty() {
                out.fault(&at, "no control serves it");
            }
            let scannable = row.evidence.contains(&EvidenceKind::Finding);
            if scannable && !controls.iter().any(|(control, _)| mapped.contains(control.id.as_str())) {
                out.remark(&at, "a finding could speak about it and no mapping reaches it");
            }
        }
    }
    let used: BTreeSet<&str> = catalogue
        .crosswalk
        .values()
        .flat_map(BTreeMap::keys)
        .map(String::as_str)
        .collect();
    for control in catalogue.controls.values() {
        if !used.contains(control.id.as_str()) {
            out.fault(format!("control[{}]", control.id), "it serves no requirement");
        }
        if control.automatable != mapped.contains(control.id.as_str()) {
            let what = if control.automatable {
                "it is called automatable and no mapping reaches it"
            } else {
                "a mapping reaches it and it is not called automatable"
            };
            out.fault(format!("control[{}].automatable", control.id), what);
        }
    }
}
