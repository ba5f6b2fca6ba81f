//! What a report says.

use affiant_domain::Instant;
use affiant_domain::score::{Bounds, Status};
use serde::{Deserialize, Serialize};

/// A period report for one framework, over one project or all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Id of the framework.
    pub framework: String,
    /// Its title and version, for people.
    pub framework_title: String,
    /// Its version.
    pub framework_version: String,
    /// What the report is about: a project's name, or all projects.
    pub subject: String,
    /// The projects in it.
    pub projects: Vec<ProjectLine>,
    /// The period.
    pub reporting_period: ReportingPeriod,
    /// The instant of the score: the end of the period, or when the report was made where the period still ran.
    pub scored_at: Instant,
    /// The figures.
    pub metrics: Metrics,
    /// What each figure means.
    pub definitions: Vec<Metric>,
    /// Every scored requirement.
    pub requirements: Vec<RequirementLine>,
    /// Findings that were open at the end or closed in the period.
    pub findings: FindingSection,
    /// What changed in the period.
    pub changes: Vec<Change>,
    /// The score's course.
    pub trend: Vec<TrendPoint>,
    /// Audit events of the period.
    pub audit_events: EventSection,
    /// What was recorded as an incident.
    pub security_incidents: Vec<Incident>,
    /// Spans in which events that were expected were not recorded.
    #[serde(default)]
    pub coverage_lost: Vec<CoverageLost>,
    /// What to do first.
    pub recommendations: Vec<Recommendation>,
    /// Digest of the catalogue.
    pub catalogue_digest: String,
    /// Digest of the evidence behind the score.
    pub evidence_digest: String,
    /// When it was made.
    pub generated_at: Instant,
}

/// A span in which the record of a source has a gap.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CoverageLost {
    /// Slug of the project.
    pub project: String,
    /// The source.
    pub source: String,
    /// From.
    pub from: Instant,
    /// Until.
    pub until: Instant,
    /// Events that are missing: by their numbers, or as many as the rhythm would have given.
    pub missing: u64,
    /// `silence` or `sequence`.
    pub reason: String,
}

/// A half-open period, UTC.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct ReportingPeriod {
    /// First instant inside.
    pub start: Instant,
    /// First instant after it; the instant of the score.
    pub end: Instant,
}

/// A project in a report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProjectLine {
    /// Slug.
    pub slug: String,
    /// Name.
    pub name: String,
    /// Its own score at the end of the period.
    pub compliance_score: Option<f64>,
    /// Its own coverage.
    pub audit_coverage: f64,
    /// The stored assessment behind its score, whose evidence can be exported.
    pub assessment: String,
    /// Digest of what that score read; `affiant score --digest` gives it from the exported evidence.
    pub evidence_digest: String,
}

/// The figures of a report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metrics {
    /// Operations of agents in the period.
    pub total_ai_operations: u64,
    /// Of all operations, those of high or critical risk.
    pub high_risk_operations: u64,
    /// Operations on data.
    pub data_processing_events: u64,
    /// Incidents.
    pub security_incidents: u64,
    /// 0 to 1, or null.
    pub compliance_score: Option<f64>,
    /// The same with no waiver heeded.
    pub compliance_score_raw: Option<f64>,
    /// The score at the start of the period.
    pub compliance_score_at_start: Option<f64>,
    /// 0 to 1.
    pub audit_coverage: f64,
    /// The range in which the true score lies.
    pub bounds: Bounds,
    /// Recorded operations over expected ones; null where nothing is expected.
    pub event_coverage: Option<f64>,
    /// Findings that the scanners themselves set aside and nobody has accepted.
    pub suppressed_by_scanners: u64,
}

/// What a figure means.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its definition.
    pub definition: String,
}

/// One requirement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RequirementLine {
    /// Catalogue id.
    pub id: String,
    /// As the framework writes it.
    pub label: String,
    /// In our words.
    pub title: String,
    /// Heading.
    pub group: String,
    /// What it comes to.
    pub status: Status,
    /// 0 to 1, or null.
    pub score: Option<f64>,
    /// 0 to 1, or null.
    pub coverage: Option<f64>,
    /// An open finding is waived.
    pub waived: bool,
    /// Controls that fail outright.
    pub failing_controls: Vec<String>,
    /// Why it does not apply.
    pub not_applicable_because: Option<String>,
}

/// Findings with their number, where the list is cut.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct FindingSection {
    /// How many there are.
    pub total: u64,
    /// Open at the end, by severity, worst first.
    pub open_by_severity: Vec<(String, u64)>,
    /// The worst of them.
    pub items: Vec<FindingLine>,
}

/// One finding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FindingLine {
    /// Its id.
    pub id: String,
    /// Project.
    pub project: String,
    /// Asset.
    pub asset: String,
    /// Tool.
    pub tool: String,
    /// Rule.
    pub rule: String,
    /// Title.
    pub title: String,
    /// File, package or object.
    pub location: String,
    /// Severity.
    pub severity: String,
    /// `open`, `waived`, `suppressed` (set aside by the scanner) or `closed`.
    pub status: String,
    /// When it opened.
    pub opened_at: Instant,
    /// When it closed.
    pub closed_at: Option<Instant>,
    /// Requirements that it bears on.
    pub requirements: Vec<String>,
}

/// Openings and closings of a stretch of the period.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    /// First instant of the stretch.
    pub from: Instant,
    /// Findings opened.
    pub opened: u64,
    /// Findings closed.
    pub closed: u64,
}

/// The score at an instant.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct TrendPoint {
    /// The instant.
    pub at: Instant,
    /// The score.
    pub score: Option<f64>,
    /// The coverage.
    pub coverage: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Audit events with their number, where the list is cut.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EventSection {
    /// All events of the period.
    pub total: u64,
    /// The latest ones of high or critical risk.
    pub items: Vec<EventLine>,
}

/// One audit event, without the person.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventLine {
    /// When.
    pub at: Instant,
    /// Project.
    pub project: String,
    /// Agent.
    pub agent: String,
    /// Action.
    pub action: String,
    /// What it was done to.
    pub resource: String,
    /// How it ended.
    pub outcome: String,
    /// Risk level.
    pub risk: String,
}

/// An incident.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Incident {
    /// When.
    pub at: Instant,
    /// Project.
    pub project: String,
    /// What happened.
    pub description: String,
    /// What it concerned.
    pub resource: String,
    /// How bad it is.
    pub severity: String,
}

/// Something to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recommendation {
    /// What.
    pub title: String,
    /// Why, and what it brings.
    pub reason: String,
    /// How much the score or the coverage would rise, 0 to 1.
    pub gain: f64,
    /// `score` or `coverage`.
    pub raises: String,
}
