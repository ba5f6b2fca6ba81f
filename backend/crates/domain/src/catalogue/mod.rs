//! The catalogue: frameworks and their requirements, common controls, the crosswalk between the two, and the mappings
//! from checks to controls.
//!
//! A catalogue is made from TOML [`Source`]s, the built-in ones and those of the user, and is known by the digest of them:
//! a stored assessment names the digest, and the catalogue of that digest is stored with it, so that the score can be
//! computed again after the catalogue has moved on.

mod applicability;
mod inspect;
mod mapping;
mod reference;
mod source;

pub use applicability::{Applicability, PROFILES, applicability};
pub use inspect::{Fault, Inspection, inspect};
pub use mapping::{Mapper, SPEAKS};
pub use reference::{is_token, nist_control, requirement_of};
pub use source::{
    BridgeRow, ControlRow, CrosswalkRow, EvidenceKind, FrameworkRow, GroupRow, MappingRow, Polarity, RequirementRow,
    Source, SourceError, ToolRow, TrustRow, When,
};

use std::collections::BTreeMap;

/// A framework with its groups and requirements in the order of its source.
#[derive(Clone, Debug)]
pub struct Framework {
    /// Its head.
    pub row: FrameworkRow,
    /// Headings.
    pub groups: Vec<GroupRow>,
    /// Clauses, scored and not.
    pub requirements: Vec<RequirementRow>,
}

impl Framework {
    /// The clauses that are scored.
    pub fn scored(&self) -> impl Iterator<Item = &RequirementRow> {
        self.requirements.iter().filter(|r| r.is_scored())
    }
}

/// All that is known of frameworks, controls and mappings.
#[derive(Clone, Debug)]
pub struct Catalogue {
    sources: Vec<Source>,
    digest: String,
    /// Frameworks by id.
    pub frameworks: BTreeMap<String, Framework>,
    /// Common controls by id.
    pub controls: BTreeMap<String, ControlRow>,
    /// Requirement id to control ids with weights, ordered by control id.
    pub crosswalk: BTreeMap<String, BTreeMap<String, f64>>,
    /// Mappings from checks to controls.
    pub mappings: Vec<MappingRow>,
    /// What a tool exercises when its file lists no checks.
    pub tools: BTreeMap<String, ToolRow>,
    /// How far framework tags of a tool are to be trusted.
    pub trust: Vec<TrustRow>,
    /// NIST SP 800-53 families to requirements.
    pub bridge: BTreeMap<String, Vec<String>>,
}

impl Catalogue {
    /// Puts sources together. Ids that come twice are left to [`inspect`]; the later row wins.
    #[must_use]
    pub fn new(sources: Vec<Source>) -> Self {
        let json = serde_json::to_vec(&sources).unwrap_or_default();
        let mut catalogue = Self {
            digest: crate::sha256_hex(&json),
            frameworks: BTreeMap::new(),
            controls: BTreeMap::new(),
            crosswalk: BTreeMap::new(),
            mappings: Vec::new(),
            tools: BTreeMap::new(),
            trust: Vec::new(),
            bridge: BTreeMap::new(),
            sources: Vec::new(),
        };
        for source in &sources {
            catalogue.add(source);
        }
        catalogue.sources = sources;
        catalogue
    }

    fn add(&mut self, source: &Source) {
        if let Some(row) = &source.framework {
            let framework = Framework {
                row: row.clone(),
                groups: source.group.clone(),
                requirements: source.requirement.clone(),
            };
            self.frameworks.insert(row.id.clone(), framework);
        }
        for control in &source.control {
            self.controls.insert(control.id.clone(), control.clone());
        }
        for row in &source.crosswalk {
            for (requirement, weight) in &row.to {
                let weights = self.crosswalk.entry(requirement.clone()).or_default();
                let weight = weights
                    .get(&row.control)
                    .map_or(*weight, |known: &f64| known.max(*weight));
                weights.insert(row.control.clone(), weight);
            }
        }
        self.mappings.extend(source.mapping.iter().cloned());
        self.tools
            .extend(source.tool.iter().map(|tool| (tool.id.clone(), tool.clone())));
        self.trust.extend(source.trust.iter().cloned());
        for row in &source.bridge {
            self.bridge
                .entry(row.nist.clone())
                .or_default()
                .extend(row.to.iter().cloned());
        }
    }

    /// SHA-256 of the sources, hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The sources it was made from, for storing.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The framework, or the list of known ones.
    ///
    /// # Errors
    /// [`UnknownFramework`] lists the known ids.
    pub fn framework(&self, id: &str) -> Result<&Framework, UnknownFramework> {
        self.frameworks.get(id).ok_or_else(|| UnknownFramework {
            id: id.chars().take(60).collect(),
            known: self.frameworks.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// A requirement and its framework, by requirement id.
    #[must_use]
    pub fn requirement(&self, id: &str) -> Option<(&Framework, &RequirementRow)> {
        self.frameworks
            .values()
            .find_map(|framework| Some((framework, framework.requirements.iter().find(|r| r.id == id)?)))
    }

    /// The requirements that a control serves, with weights, ordered by requirement id.
    #[must_use]
    pub fn requirements_of(&self, control: &str) -> Vec<(&str, f64)> {
        self.crosswalk
            .iter()
            .filter_map(|(requirement, weights)| Some((requirement.as_str(), *weights.get(control)?)))
            .collect()
    }

    /// The controls of a requirement with weights, ordered by control id.
    #[must_use]
    pub fn controls_of(&self, requirement: &str) -> Vec<(&ControlRow, f64)> {
        self.crosswalk.get(requirement).map_or_else(Vec::new, |weights| {
            weights
                .iter()
                .filter_map(|(id, weight)| Some((self.controls.get(id)?, *weight)))
                .collect()
        })
    }
}

/// A framework id that is not in the catalogue.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("unknown framework \"{id}\"; known are {known}")]
pub struct UnknownFramework {
    /// What was asked for.
    pub id: String,
    /// What there is.
    pub known: String,
}
