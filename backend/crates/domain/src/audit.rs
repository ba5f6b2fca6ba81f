//! Audit events: what agents and other systems did, in our words, and how risky it was.

use crate::Instant;
use serde::{Deserialize, Serialize};

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventOutcome {
    /// It was done.
    Success,
    /// It was tried and failed.
    Failure,
    /// It was refused.
    Denied,
}

impl EventOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Denied];

    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
        }
    }
}

/// Risk of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RiskLevel {
    /// Ordinary.
    Low,
    /// Content held personal data or an attempt at injection.
    Medium,
    /// The action itself is dangerous.
    High,
    /// A detector says so.
    Critical,
}

impl RiskLevel {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

/// The frameworks that an event can be tagged with.
pub const COMPLIANCE_TAGS: [&str; 4] = ["SOX", "HIPAA", "GDPR", "PCI_DSS"];

/// Actions that are high risk by themselves, normalised, with the class each belongs to.
const HIGH_RISK: [(&str, &str); 26] = [
    ("model_update", "model_update"),
    ("update_model", "model_update"),
    ("deploy_model", "model_update"),
    ("privilege_escalation", "privilege_escalation"),
    ("grant_role", "privilege_escalation"),
    ("role_granted", "privilege_escalation"),
    ("attach_user_policy", "privilege_escalation"),
    ("attach_role_policy", "privilege_escalation"),
    ("put_user_policy", "privilege_escalation"),
    ("put_role_policy", "privilege_escalation"),
    ("add_user_to_group", "privilege_escalation"),
    ("create_access_key", "privilege_escalation"),
    ("update_assume_role_policy", "privilege_escalation"),
    ("create_clusterrolebindings", "privilege_escalation"),
    ("create_rolebindings", "privilege_escalation"),
    ("data_export", "data_export"),
    ("export_data", "data_export"),
    ("modify_snapshot_attribute", "data_export"),
    ("share_snapshot", "data_export"),
    ("put_bucket_policy", "data_export"),
    ("stop_logging", "logging_stopped"),
    ("delete_trail", "logging_stopped"),
    ("logging_stopped", "logging_stopped"),
    ("log_cleared", "logging_stopped"),
    ("delete_flow_logs", "logging_stopped"),
    ("update_detector", "logging_stopped"),
];

/// An audit event as a reader gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditEvent {
    /// When it happened; none where the log does not say.
    pub at: Option<Instant>,
    /// The sender's identity of the event: the same one again from one source adds nothing.
    pub event_id: String,
    /// The person. Personal data.
    pub user: String,
    /// Other people whom it concerns. Personal data; only what they are found by is kept.
    pub subjects: Vec<String>,
    /// The agent.
    pub agent: String,
    /// What was done, as sent.
    pub action: String,
    /// What it was done to.
    pub resource: String,
    /// How it ended.
    pub outcome: EventOutcome,
    /// Address it came from. Personal data.
    pub source_ip: String,
    /// The risk that the sender states.
    pub sender_risk: Option<RiskLevel>,
    /// Frameworks that the sender names.
    pub tags: Vec<String>,
    /// Categories of data that the sender names, and those that were detected.
    pub data_categories: Vec<String>,
    /// Length and digest of what went in and out; never the content.
    pub payloads: Vec<Payload>,
    /// Whether the content held an attempt at injection or sensitive data.
    pub flagged: bool,
    /// Everything else worth keeping, as a JSON object.
    pub detail: serde_json::Value,
}

/// A payload that was seen and not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// `input` or `output`.
    pub side: String,
    /// Length in bytes, where the content was sent.
    pub length: Option<u64>,
    /// SHA-256 that the sender computed, in hexadecimal, where no content was sent.
    pub sender_sha256: Option<String>,
    /// Keyed hash of the content (HMAC-SHA256, hexadecimal): a plain hash of a short text could be guessed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    /// The content on its way to being committed to; never stored.
    #[serde(skip)]
    pub content: Option<String>,
}

/// An action's name in snake case: `ModelUpdate`, `model.update` and `model-update` are `model_update`.
#[must_use]
pub fn normalise_action(action: &str) -> String {
    let mut out = String::with_capacity(action.len() + 4);
    let mut before = ' ';
    for c in action.trim().chars().take(200) {
        if c.is_alphanumeric() {
            if c.is_uppercase() && (before.is_lowercase() || before.is_numeric()) {
                out.push('_');
            }
            out.extend(c.to_lowercase());
        } else if !out.ends_with('_') && !out.is_empty() {
            out.push('_');
        }
        before = c;
    }
    out.trim_end_matches('_').to_owned()
}

/// Our own risk level of an event, with its reasons. `CRITICAL` comes only from detectors, never from here.
#[must_use]
pub fn risk(event: &AuditEvent) -> (RiskLevel, Vec<String>) {
    let action = normalise_action(&event.action);
    let class = HIGH_RISK
        .iter()
        .find(|(known, _)| *known == action)
        .map(|(_, class)| *class);
    match class {
        Some(class) => (RiskLevel::High, vec![format!("the action is {class}")]),
        None if event.flagged => (
            RiskLevel::Medium,
            vec!["the content held personal data or an attempt at injection".to_owned()],
        ),
        None => (RiskLevel::Low, Vec::new()),
    }
}

/// Whether an event is an operation on data: a read, write, export or deletion of it.
#[must_use]
pub fn is_data_processing(action: &str, data_categories: &[String]) -> bool {
    const WORDS: [&str; 16] = [
        "data",
        "record",
        "query",
        "read",
        "write",
        "export",
        "import",
        "select",
        "insert",
        "update",
        "delete",
        "get_object",
        "put_object",
        "retrieve",
        "summarise",
        "summarize",
    ];
    let action = normalise_action(action);
    !data_categories.is_empty() || WORDS.iter().any(|word| action.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_one_word_however_written() {
        for text in [
            "ModelUpdate",
            "model.update",
            "model-update",
            "MODEL_UPDATE",
            "model update",
        ] {
            assert_eq!(normalise_action(text), "model_update", "{text}");
        }
        assert_eq!(normalise_action("AttachUserPolicy"), "attach_user_policy");
    }
}
