//! One table a file. Cells that a spreadsheet would take for a formula begin with an apostrophe.

use crate::{RenderError, Report};

/// The tables of a report.
pub const TABLES: [&str; 7] = [
    "requirements",
    "findings",
    "audit_events",
    "metrics",
    "changes",
    "coverage_lost",
    "recommendations",
];

pub(crate) fn render(report: &Report, name: &str) -> Result<Vec<u8>, RenderError> {
    let name = if name.is_empty() { "requirements" } else { name };
    let (header, rows) = table(report, name).ok_or_else(|| RenderError::Table(name.chars().take(40).collect()))?;
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(&header)?;
    for row in rows {
        writer.write_record(row.iter().map(|cell| neutral(cell).into_owned()))?;
    }
    writer
        .into_inner()
        .map_err(|error| RenderError::Csv(error.into_error().into()))
}

/// A text that no spreadsheet takes for a formula; numbers stay as they are.
fn neutral(cell: &str) -> std::borrow::Cow<'_, str> {
    let risky = cell.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]) || cell.trim_start().starts_with('=');
    if risky && cell.parse::<f64>().is_err() {
        format!("'{cell}").into()
    } else {
        cell.into()
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Head and rows of a table, as text.
#[must_use]
pub fn table(report: &Report, name: &str) -> Option<(Vec<&'static str>, Vec<Vec<String>>)> {
    Some(match name {
        "requirements" => requirements(report),
        "findings" => findings(report),
        "audit_events" => audit_events(report),
        "metrics" => metrics(report),
        "changes" => changes(report),
        "coverage_lost" => coverage_lost(report),
        "recommendations" => recommendations(report),
        _ => return None,
    })
}

type Table = (Vec<&'static str>, Vec<Vec<String>>);

fn requirements(report: &Report) -> Table {
    let head = vec![
        "id",
        "label",
        "group",
        "title",
        "status",
        "score",
        "coverage",
        "waived",
        "failing_controls",
        "not_applicable_because",
    ];
    let rows = report.requirements.iter().map(|r| {
        vec![
            r.id.clone(),
            r.label.clone(),
            r.group.clone(),
            r.title.clone(),
            r.status.as_str().to_owned(),
            number(r.score),
            number(r.coverage),
            r.waived.to_string(),
            r.failing_controls.join(" "),
            r.not_applicable_because.clone().unwrap_or_default(),
        ]
    });
    (head, rows.collect())
}

fn findings(report: &Report) -> Table {
    let head = vec![
        "id",
        "project",
        "asset",
        "tool",
        "rule",
        "title",
        "location",
        "severity",
        "status",
        "opened_at",
        "closed_at",
        "requirements",
    ];
    let rows = report.findings.items.iter().map(|f| {
        vec![
            f.id.clone(),
            f.project.clone(),
            f.asset.clone(),
            f.tool.clone(),
            f.rule.clone(),
            f.title.clone(),
            f.location.clone(),
            f.severity.clone(),
            f.status.clone(),
            f.opened_at.to_rfc3339(),
            f.closed_at.map_or_else(String::new, |at| at.to_rfc3339()),
            f.requirements.join(" "),
        ]
    });
    (head, rows.collect())
}

fn audit_events(report: &Report) -> Table {
    let head = vec!["at", "project", "agent", "action", "resource", "outcome", "risk"];
    let rows = report.audit_events.items.iter().map(|e| {
        vec![
            e.at.to_rfc3339(),
            e.project.clone(),
            e.agent.clone(),
            e.action.clone(),
            e.resource.clone(),
            e.outcome.clone(),
            e.risk.clone(),
        ]
    });
    (head, rows.collect())
}

fn coverage_lost(report: &Report) -> Table {
    let rows = report.coverage_lost.iter().map(|lost| {
        vec![
            lost.project.clone(),
            lost.source.clone(),
            lost.from.to_rfc3339(),
            lost.until.to_rfc3339(),
            lost.missing.to_string(),
            lost.reason.clone(),
        ]
    });
    (
        vec!["project", "source", "from", "until", "missing", "reason"],
        rows.collect(),
    )
}

fn metrics(report: &Report) -> Table {
    let m = &report.metrics;
    let values = [
        ("total_ai_operations", m.total_ai_operations.to_string()),
        ("high_risk_operations", m.high_risk_operations.to_string()),
        ("data_processing_events", m.data_processing_events.to_string()),
        ("security_incidents", m.security_incidents.to_string()),
        ("compliance_score", number(m.compliance_score)),
        ("compliance_score_raw", number(m.compliance_score_raw)),
        ("audit_coverage", m.audit_coverage.to_string()),
        ("bounds_low", m.bounds.low.to_string()),
        ("bounds_high", m.bounds.high.to_string()),
        ("event_coverage", number(m.event_coverage)),
    ];
    let definition = |name: &str| {
        let name = if name.starts_with("bounds") { "bounds" } else { name };
        report
            .definitions
            .iter()
            .find(|d| d.name == name)
            .map_or_else(String::new, |d| d.definition.clone())
    };
    let rows = values
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value, definition(name)]);
    (vec!["metric", "value", "definition"], rows.collect())
}

fn changes(report: &Report) -> Table {
    let rows = report
        .changes
        .iter()
        .map(|c| vec![c.from.to_rfc3339(), c.opened.to_string(), c.closed.to_string()]);
    (vec!["from", "opened", "closed"], rows.collect())
}

fn recommendations(report: &Report) -> Table {
    let rows = report
        .recommendations
        .iter()
        .map(|r| vec![r.title.clone(), r.reason.clone(), r.raises.clone(), r.gain.to_string()]);
    (vec!["title", "reason", "raises", "gain"], rows.collect())
}

#[cfg(test)]
mod tests {
    use super::neutral;

    #[test]
    fn formulas_are_neutral_and_numbers_unharmed() {
        for cell in [
            "=1+1",
            "+1+1",
            "@SUM(1)",
            "\t=1",
            " =1",
            "\u{ff1d}1+1",
            "=cmd|'/c calc'!A0",
        ] {
            assert!(neutral(cell).starts_with('\''), "{cell}");
        }
        assert_eq!(neutral("-5"), "-5");
        assert_eq!(neutral("plain"), "plain");
    }
}
