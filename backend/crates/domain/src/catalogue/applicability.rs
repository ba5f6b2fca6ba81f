//! Which requirements concern a project by default.

use super::{FrameworkRow, RequirementRow};
use crate::{Instant, period::parse_instant};
use std::collections::BTreeSet;

/// The profiles a project can have; requirements can be for some of them only.
pub const PROFILES: [(&str, &str); 9] = [
    ("service-provider", "Service provider for others' card data (PCI DSS)"),
    ("multi-tenant", "Multi-tenant service provider (PCI DSS A1)"),
    ("issuer", "Issuer of payment cards (PCI DSS)"),
    ("legacy-pos", "Card terminals on legacy TLS (PCI DSS A2)"),
    ("designated-entity", "Designated entity (PCI DSS A3)"),
    ("clearinghouse", "Health care clearinghouse (HIPAA)"),
    ("group-health-plan", "Group health plan sponsor (HIPAA)"),
    (
        "accelerated-filer",
        "Accelerated filer, with auditor attestation (SOX 404(b))",
    ),
    ("child-services", "Online services offered to children (GDPR Art. 8)"),
];

/// Whether a requirement applies, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applicability {
    /// It applies.
    Applicable,
    /// It does not, for the reason given.
    NotApplicable(String),
}

impl Applicability {
    /// Whether it applies.
    #[must_use]
    pub const fn is_applicable(&self) -> bool {
        matches!(self, Self::Applicable)
    }
}

/// Decides by profile and by date.
#[must_use]
pub fn applicability(
    framework: &FrameworkRow,
    requirement: &RequirementRow,
    profiles: &BTreeSet<String>,
    at: Instant,
) -> Applicability {
    if let Some(missing) = requirement.only_for.iter().find(|needed| !profiles.contains(*needed)) {
        let title = PROFILES
            .iter()
            .find(|(id, _)| id == missing)
            .map_or(missing.as_str(), |(_, title)| title);
        return Applicability::NotApplicable(format!("only for: {title}"));
    }
    let from = requirement.valid_from.as_deref().unwrap_or(&framework.valid_from);
    if parse_instant(from).is_ok_and(|from| at < from) {
        return Applicability::NotApplicable(format!("in force from {from}"));
    }
    match requirement.valid_until.as_deref() {
        Some(until) if parse_instant(until).is_ok_and(|end| at >= end) => {
            let successor = requirement.superseded_by.as_deref().unwrap_or("nothing");
            Applicability::NotApplicable(format!("in force until {until}; superseded by {successor}"))
        }
        _ => Applicability::Applicable,
    }
}
