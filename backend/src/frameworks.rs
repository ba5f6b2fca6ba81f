//! The catalogue: the built-in files and those of the user.

use affiant_domain::catalogue::{Catalogue, Inspection, Source, SourceError, inspect};
use std::path::Path;

/// The built-in files, by name.
const BUILT_IN: [(&str, &str); 8] = [
    ("agent-baseline.toml", include_str!("../frameworks/agent-baseline.toml")),
    ("controls.toml", include_str!("../frameworks/controls.toml")),
    ("crosswalk.toml", include_str!("../frameworks/crosswalk.toml")),
    ("gdpr.toml", include_str!("../frameworks/gdpr.toml")),
    ("hipaa.toml", include_str!("../frameworks/hipaa.toml")),
    ("mappings.toml", include_str!("../frameworks/mappings.toml")),
    ("pci-dss.toml", include_str!("../frameworks/pci-dss.toml")),
    ("sox.toml", include_str!("../frameworks/sox.toml")),
];

/// Why a catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A file cannot be read.
    #[error("cannot read {0}: {1}")]
    Io(String, std::io::Error),
    /// A file is not a catalogue file.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The whole does not hold together.
    #[error("the catalogue has {} faults; the first: {}: {}", .0.faults.len(), first(.0).0, first(.0).1)]
    Faults(Box<Inspection>),
}

fn first(inspection: &Inspection) -> (&str, &str) {
    inspection
        .faults
        .first()
        .map_or(("", ""), |fault| (&fault.at, &fault.what))
}

/// The built-in catalogue with the files of a folder beside it; faults are left to the caller.
///
/// # Errors
/// [`CatalogueError`] names the file.
pub fn load(folder: Option<&Path>) -> Result<Catalogue, CatalogueError> {
    let mut sources = BUILT_IN
        .iter()
        .map(|(name, text)| Source::parse(name, text))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(folder) = folder {
        let read = |path: &Path, error| CatalogueError::Io(path.display().to_string(), error);
        let entries = std::fs::read_dir(folder).map_err(|error| read(folder, error))?;
        let mut paths: Vec<_> = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(|error| read(&path, error))?;
            sources.push(Source::parse(&path.display().to_string(), &text)?);
        }
    }
    Ok(Catalogue::new(sources))
}

/// The catalogue, checked.
///
/// # Errors
/// [`CatalogueError`] where a file cannot be read or the whole does not hold together.
pub fn load_checked(folder: Option<&Path>) -> Result<Catalogue, CatalogueError> {
    let catalogue = load(folder)?;
    let inspection = inspect(&catalogue);
    if inspection.faults.is_empty() {
        Ok(catalogue)
    } else {
        Err(CatalogueError::Faults(Box::new(inspection)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test")]
mod tests {
    use super::*;
    use affiant_domain::Severity;
    use affiant_domain::catalogue::{EvidenceKind, Mapper};
    use affiant_domain::observation::Check;

    #[test]
    fn the_built_in_catalogue_is_whole() {
        let inspection = inspect(&load(None).unwrap());
        let faults: Vec<String> = inspection
            .faults
            .iter()
            .map(|f| format!("{}: {}", f.at, f.what))
            .collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
        let counts: Vec<_> = inspection
            .counts
            .iter()
            .map(|(id, (rows, scored))| (id.as_str(), *rows, *scored))
            .collect();
        let wanted = [
            ("agent-baseline", 83, 83),
            ("gdpr", 98, 95),
            ("hipaa", 108, 102),
            ("pci-dss", 280, 277),
            ("sox", 74, 73),
        ];
        assert_eq!(counts, wanted);
    }

    #[test]
    fn what_no_tool_can_speak_for_is_answered_by_statement() {
        let catalogue = load(None).unwrap();
        for framework in catalogue.frameworks.values().filter(|f| f.row.id != "agent-baseline") {
            for row in framework.scored() {
                let tools = row
                    .evidence
                    .iter()
                    .any(|kind| matches!(kind, EvidenceKind::Finding | EvidenceKind::Event));
                let stated = catalogue
                    .controls_of(&row.id)
                    .iter()
                    .any(|(control, _)| !control.automatable);
                assert!(tools || stated, "{} has no control that a statement answers", row.id);
            }
        }
    }

    #[test]
    fn an_exact_rule_comes_before_a_weakness_class() {
        let catalogue = load(None).unwrap();
        let mapper = Mapper::new(&catalogue);
        let check = Check {
            tool: "trivy".into(),
            rule: "AWS-0088".into(),
            cwe: vec![89],
            ..Check::default()
        };
        let controls = mapper.controls(&check, Severity::High);
        assert_eq!(controls.get("CLD-01"), Some(&1.0));
        assert!(!controls.contains_key("COD-09"), "{controls:?}");
    }

    #[test]
    fn severity_decides_which_control_a_vulnerability_speaks_for() {
        let catalogue = load(None).unwrap();
        let mapper = Mapper::new(&catalogue);
        let check = Check {
            tool: "grype".into(),
            rule: "CVE-2026-1".into(),
            cve: Some("CVE-2026-1".into()),
            ..Check::default()
        };
        assert!(mapper.controls(&check, Severity::Critical).contains_key("VUL-01"));
        assert!(mapper.controls(&check, Severity::Low).contains_key("VUL-03"));
        assert!(!mapper.controls(&check, Severity::Low).contains_key("VUL-01"));
    }

    #[test]
    fn tags_of_tools_count_for_less_than_our_own_mappings() {
        let catalogue = load(None).unwrap();
        let mapper = Mapper::new(&catalogue);
        let tagged = |tool: &str| Check {
            tool: tool.into(),
            rule: "some_new_check".into(),
            tags: vec!["PCI-4.0/8.6.2".into()],
            ..Check::default()
        };
        let strength = |tool: &str| {
            mapper
                .controls(&tagged(tool), Severity::High)
                .values()
                .copied()
                .fold(0.0, f64::max)
        };
        assert!((strength("prowler") - 0.8).abs() < 1e-9);
        assert!(strength("anything") < 0.5);
    }
}
