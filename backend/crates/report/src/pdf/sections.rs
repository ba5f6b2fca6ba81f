//! The sections of the document, in order.

use super::chart;
use super::day;
use super::layout::{ACCENT, BLACK, Cell, Column, Face, GREY, INNER, Ink, LEFT, Layout, PALE};
use crate::Report;
use affiant_domain::score::{Status, per_cent};

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{} %", per_cent(value)))
}

fn cell(text: &str) -> Cell {
    text.to_owned().into()
}

fn inked(text: &str, ink: Ink) -> Cell {
    Cell {
        text: text.to_owned(),
        ink,
        face: Face::Bold,
    }
}

const fn column(title: &'static str, share: f32) -> Column {
    Column {
        title,
        share,
        right: false,
    }
}

const fn figure(title: &'static str, share: f32) -> Column {
    Column {
        title,
        share,
        right: true,
    }
}

pub(super) fn cover(layout: &mut Layout, report: &Report) {
    layout.bookmark("Cover");
    mark(layout, LEFT, 96.0);
    layout.line_at(LEFT + 40.0, 121.0, "Affiant", (Face::Bold, 19.0, BLACK), false);
    layout.y = 250.0;
    layout.paragraph("Period report", (Face::Regular, 13.0, ACCENT));
    layout.paragraph(&report.framework_title, (Face::Bold, 25.0, BLACK));
    layout.paragraph(
        &format!("Version {}", report.framework_version),
        (Face::Regular, 11.0, GREY),
    );
    layout.y += 18.0;
    layout.paragraph(&report.subject, (Face::Bold, 15.0, BLACK));
    let period = format!(
        "{} up to, not including, {} (UTC)",
        report.reporting_period.start.format("%-d %B %Y %H:%M"),
        report.reporting_period.end.format("%-d %B %Y %H:%M")
    );
    layout.paragraph(&period, (Face::Regular, 11.0, BLACK));
    if report.scored_at < report.reporting_period.end {
        let note = format!(
            "Interim: the period still ran when this report was made. The score is that of {} UTC.",
            report.scored_at.format("%Y-%m-%d %H:%M:%S")
        );
        layout.paragraph(&note, (Face::Bold, 10.0, chart::status_ink(Status::NotSatisfied)));
    }
    layout.y = 540.0;
    layout.paragraph(
        &format!("Score {}", share(report.metrics.compliance_score)),
        (Face::Bold, 22.0, BLACK),
    );
    let bounds = format!(
        "Coverage {}. If all that is not covered turned out bad the score would be {}, if good {}.",
        share(Some(report.metrics.audit_coverage)),
        share(Some(report.metrics.bounds.low)),
        share(Some(report.metrics.bounds.high))
    );
    layout.paragraph(&bounds, (Face::Regular, 11.0, BLACK));
    let y = layout.y + 10.0;
    chart::gauge(layout, report.metrics.compliance_score, report.metrics.bounds, y);
    layout.y = 690.0;
    layout.paragraph(
        &format!("Generated {} UTC", report.generated_at.format("%Y-%m-%d %H:%M:%S")),
        (Face::Regular, 8.0, GREY),
    );
    layout.paragraph(
        &format!("Evidence SHA-256 {}", report.evidence_digest),
        (Face::Regular, 8.0, GREY),
    );
    layout.paragraph(
        &format!("Catalogue SHA-256 {}", report.catalogue_digest),
        (Face::Regular, 8.0, GREY),
    );
}

/// The mark: a seal with a tick.
fn mark(layout: &mut Layout, x: f32, y: f32) {
    let centre = (x + 15.0, y + 17.0);
    let ring: Vec<(f32, f32)> = (0..8)
        .map(|n| {
            #[allow(clippy::cast_precision_loss, reason = "eight corners")]
            let angle = (n as f32 + 0.5) * std::f32::consts::FRAC_PI_4;
            (centre.0 + 16.0 * angle.cos(), centre.1 + 16.0 * angle.sin())
        })
        .collect();
    layout.fill(&ring, ACCENT);
    let tick = [
        (centre.0 - 7.5, centre.1 + 0.5),
        (centre.0 - 2.0, centre.1 + 6.0),
        (centre.0 + 8.0, centre.1 - 6.0),
    ];
    layout.stroke(&tick, 3.2, Ink(255, 255, 255));
}

pub(super) fn summary(layout: &mut Layout, report: &Report) {
    layout.new_page();
    layout.heading("Summary");
    let m = &report.metrics;
    let figures = [
        ("Score", share(m.compliance_score)),
        ("Without waivers", share(m.compliance_score_raw)),
        ("Coverage", share(Some(m.audit_coverage))),
        ("At the start", share(m.compliance_score_at_start)),
        ("Agent operations", m.total_ai_operations.to_string()),
        ("High-risk operations", m.high_risk_operations.to_string()),
        ("Data processing events", m.data_processing_events.to_string()),
        ("Security incidents", m.security_incidents.to_string()),
    ];
    tiles(layout, &figures);
    layout.paragraph("Requirements by status", (Face::Bold, 9.5, BLACK));
    let counts: Vec<(Status, usize)> = Status::ALL
        .into_iter()
        .map(|status| {
            (
                status,
                report.requirements.iter().filter(|r| r.status == status).count(),
            )
        })
        .filter(|(_, n)| *n > 0)
        .collect();
    chart::statuses(layout, &counts);
    if report.trend.len() > 1 {
        layout.paragraph("Course of the score, with its bounds", (Face::Bold, 9.5, BLACK));
        chart::trend(layout, &report.trend);
    }
    if report.projects.len() > 1 {
        layout.paragraph("Projects", (Face::Bold, 9.5, BLACK));
        let rows = report.projects.iter().map(|p| {
            vec![
                cell(&p.name),
                cell(&share(p.compliance_score)),
                cell(&share(Some(p.audit_coverage))),
            ]
        });
        layout.table(
            &[column("Project", 0.6), figure("Score", 0.2), figure("Coverage", 0.2)],
            rows,
        );
    }
    if !report.recommendations.is_empty() {
        layout.paragraph("What to do first", (Face::Bold, 9.5, BLACK));
        let rows = report.recommendations.iter().map(|r| {
            vec![
                cell(&r.title),
                cell(&r.reason),
                cell(&r.raises),
                cell(&format!("+{:.2}", r.gain * 100.0)),
            ]
        });
        layout.table(
            &[
                column("Do", 0.42),
                column("Why", 0.34),
                column("Raises", 0.12),
                figure("Points", 0.12),
            ],
            rows,
        );
    }
}

fn tiles(layout: &mut Layout, figures: &[(&str, String)]) {
    let width = INNER / 4.0;
    for row in figures.chunks(4) {
        layout.need(60.0);
        let y = layout.y;
        let mut x = LEFT;
        for (label, value) in row {
            layout.bar(x, y, width - 8.0, 46.0, PALE);
            layout.line_at(x + 9.0, y + 22.0, value, (Face::Bold, 14.0, BLACK), false);
            layout.line_at(x + 9.0, y + 37.0, label, (Face::Regular, 7.4, GREY), false);
            x += width;
        }
        layout.y = y + 55.0;
    }
    layout.y += 4.0;
}

pub(super) fn requirements(layout: &mut Layout, report: &Report) {
    layout.new_page();
    layout.heading("Requirements");
    let columns = [
        column("Requirement", 0.13),
        column("Title", 0.41),
        column("Status", 0.17),
        figure("Score", 0.1),
        figure("Coverage", 0.11),
        column("Waived", 0.08),
    ];
    let rows = report.requirements.iter().map(|r| {
        let mut title = r.title.clone();
        if let Some(reason) = &r.not_applicable_because {
            title = format!("{title} ({reason})");
        }
        if !r.failing_controls.is_empty() {
            title = format!("{title}. Failing: {}", r.failing_controls.join(", "));
        }
        vec![
            inked(&r.label, BLACK),
            cell(&title),
            inked(r.status.label(), chart::status_ink(r.status)),
            cell(&share(r.score)),
            cell(&share(r.coverage)),
            cell(if r.waived { "yes" } else { "" }),
        ]
    });
    layout.table(&columns, rows);
}

pub(super) fn changes(layout: &mut Layout, report: &Report) {
    layout.heading("What changed in the period");
    let opened: u64 = report.changes.iter().map(|c| c.opened).sum();
    let closed: u64 = report.changes.iter().map(|c| c.closed).sum();
    let text = format!(
        "{opened} findings opened and {closed} closed. The score went from {} to {}.",
        share(report.metrics.compliance_score_at_start),
        share(report.metrics.compliance_score)
    );
    layout.paragraph(&text, (Face::Regular, 9.0, BLACK));
    chart::changes(layout, &report.changes);
}

pub(super) fn findings(layout: &mut Layout, report: &Report) {
    layout.heading("Findings");
    let section = &report.findings;
    let counts: Vec<String> = section
        .open_by_severity
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(s, n)| format!("{n} {s}"))
        .collect();
    let open = if counts.is_empty() {
        "none".to_owned()
    } else {
        counts.join(", ")
    };
    let mut text = format!("Open at the end of the period: {open}.");
    if (section.items.len() as u64) < section.total {
        text.push_str(&format!(
            " The {} worst of {} that were open at the end or closed in the period follow; the CSV holds the same list.",
            section.items.len(),
            section.total
        ));
    }
    if report.metrics.suppressed_by_scanners > 0 {
        text.push_str(&format!(
            " The scanners themselves set {} more aside; these are not open and nobody has accepted them here.",
            report.metrics.suppressed_by_scanners
        ));
    }
    layout.paragraph(&text, (Face::Regular, 9.0, BLACK));
    let columns = [
        column("Severity", 0.1),
        column("Finding", 0.36),
        column("Asset", 0.2),
        column("State", 0.1),
        column("Opened", 0.11),
        column("Bears on", 0.13),
    ];
    let rows = section.items.iter().map(|f| {
        let place = if f.location.is_empty() {
            String::new()
        } else {
            format!(" at {}", f.location)
        };
        let bears = f.requirements.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
        vec![
            inked(&f.severity, severity_ink(&f.severity)),
            cell(&format!("{} ({} {}){place}", f.title, f.tool, f.rule)),
            cell(&format!("{} / {}", f.project, f.asset)),
            cell(&f.status),
            cell(&day(f.opened_at)),
            cell(&bears),
        ]
    });
    layout.table(&columns, rows);
}

fn severity_ink(severity: &str) -> Ink {
    match severity {
        "critical" | "high" => chart::status_ink(Status::NotSatisfied),
        "medium" | "unknown" => chart::status_ink(Status::PartiallySatisfied),
        _ => GREY,
    }
}

pub(super) fn events(layout: &mut Layout, report: &Report) {
    layout.heading("Audit events and incidents");
    let text = format!(
        "{} audit events were recorded in the period, {} of them of high or critical risk. Incidents: {}.",
        report.audit_events.total, report.metrics.high_risk_operations, report.metrics.security_incidents
    );
    layout.paragraph(&text, (Face::Regular, 9.0, BLACK));
    if !report.security_incidents.is_empty() {
        let rows = report.security_incidents.iter().map(|i| {
            vec![
                cell(&i.at.format("%Y-%m-%d %H:%M").to_string()),
                cell(&i.project),
                cell(&i.description),
                cell(&i.resource),
            ]
        });
        layout.table(
            &[
                column("Incident at", 0.18),
                column("Project", 0.16),
                column("What", 0.36),
                column("On", 0.3),
            ],
            rows,
        );
    }
    let covered = match report.metrics.event_coverage {
        Some(share) => format!(
            "Of the events that were expected {:.1} % were recorded. Spans without record: {}.",
            share * 100.0,
            report.coverage_lost.len()
        ),
        None => "Nothing was expected of any source, so that nothing can be said of what was not recorded.".to_owned(),
    };
    layout.paragraph(&covered, (Face::Regular, 9.0, BLACK));
    if !report.coverage_lost.is_empty() {
        let rows = report.coverage_lost.iter().map(|lost| {
            vec![
                cell(&lost.source),
                cell(&lost.project),
                cell(&lost.from.format("%Y-%m-%d %H:%M").to_string()),
                cell(&lost.until.format("%Y-%m-%d %H:%M").to_string()),
                cell(&format!("{} ({})", lost.missing, lost.reason)),
            ]
        });
        layout.table(
            &[
                column("Coverage lost", 0.28),
                column("Project", 0.18),
                column("From", 0.18),
                column("To", 0.18),
                column("Missing", 0.18),
            ],
            rows,
        );
    }
    if !report.audit_events.items.is_empty() {
        let columns = [
            column("At", 0.17),
            column("Project", 0.14),
            column("Agent", 0.19),
            column("Action", 0.2),
            column("On", 0.2),
            column("Risk", 0.1),
        ];
        let rows = report.audit_events.items.iter().map(|e| {
            vec![
                cell(&e.at.format("%Y-%m-%d %H:%M").to_string()),
                cell(&e.project),
                cell(&e.agent),
                cell(&format!("{} ({})", e.action, e.outcome)),
                cell(&e.resource),
                cell(&e.risk),
            ]
        });
        layout.table(&columns, rows);
    }
}

pub(super) fn method(layout: &mut Layout, report: &Report) {
    layout.heading("Method");
    let text = "The score is one pure function of the evidence, defined in docs/SCORING.md of the Affiant project. Anybody can recompute it \
                from the exported evidence file, with this program or another one, and get the same number; affiant score --digest gives the digests below. What is unknown never counts as \
                met: it lowers the coverage and widens the bounds.";
    layout.paragraph(text, (Face::Regular, 9.0, BLACK));
    let rows = report
        .projects
        .iter()
        .map(|p| vec![cell(&p.name), cell(&p.assessment), cell(&p.evidence_digest)]);
    let columns = [
        column("Project", 0.2),
        column("Assessment", 0.35),
        column("Digest of its evidence", 0.45),
    ];
    layout.table(&columns, rows);
    let rows = report
        .definitions
        .iter()
        .map(|d| vec![inked(&d.name, BLACK), cell(&d.definition)]);
    layout.table(&[column("Figure", 0.28), column("Definition", 0.72)], rows);
    if layout.missing {
        let note = "Characters that the embedded fonts do not have are shown by their Unicode number, as in [U+6F22]; the JSON and CSV \
                    forms of this report hold them as they are.";
        layout.paragraph(note, (Face::Regular, 8.0, GREY));
    }
}
