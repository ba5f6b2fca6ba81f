//! Rendering a period report with 10,000 findings.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use affiant_domain::score::Bounds;
use affiant_report::{FindingLine, FindingSection, Metrics, Report, ReportingPeriod, by_name};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const FINDINGS: usize = 10_000;

fn report() -> Report {
    let at = chrono::DateTime::UNIX_EPOCH;
    let line = |n: usize| FindingLine {
        id: format!("{n:032x}"),
        project: "payments".to_owned(),
        asset: format!("repo:service-{}", n % 40),
        tool: "semgrep".to_owned(),
        rule: format!("rule-{}", n % 300),
        title: "Input reaches a query and lets an attacker change what it asks".to_owned(),
        location: format!("src/module{n}/order.py"),
        severity: ["critical", "high", "medium", "low"][n % 4].to_owned(),
        status: "open".to_owned(),
        opened_at: at,
        closed_at: None,
        requirements: vec!["6.2.4".to_owned(), "8.6.2".to_owned()],
    };
    Report {
        framework: "pci-dss".to_owned(),
        framework_title: "Bench".to_owned(),
        framework_version: "1".to_owned(),
        subject: "Bench".to_owned(),
        projects: Vec::new(),
        reporting_period: ReportingPeriod { start: at, end: at },
        scored_at: at,
        metrics: Metrics {
            total_ai_operations: 0,
            high_risk_operations: 0,
            data_processing_events: 0,
            security_incidents: 0,
            compliance_score: Some(0.5),
            compliance_score_raw: Some(0.5),
            compliance_score_at_start: None,
            audit_coverage: 0.5,
            bounds: Bounds { low: 0.25, high: 0.75 },
            event_coverage: None,
            suppressed_by_scanners: 0,
        },
        definitions: Vec::new(),
        requirements: Vec::new(),
        findings: FindingSection {
            total: FINDINGS as u64,
            open_by_severity: Vec::new(),
            items: (0..FINDINGS).map(line).collect(),
        },
        changes: Vec::new(),
        trend: Vec::new(),
        audit_events: Default::default(),
        security_incidents: Vec::new(),
        coverage_lost: Vec::new(),
        recommendations: Vec::new(),
        catalogue_digest: "0".repeat(64),
        evidence_digest: "0".repeat(64),
        generated_at: at,
    }
}

fn rendering(c: &mut Criterion) {
    let report = report();
    let mut group = c.benchmark_group("10,000 findings");
    group.throughput(Throughput::Elements(FINDINGS as u64)).sample_size(10);
    for (name, table) in [("pdf", ""), ("csv", "findings"), ("json", "")] {
        group.bench_function(name, |b| {
            b.iter(|| (by_name(name).unwrap().render)(&report, table).unwrap().len())
        });
    }
    group.finish();
}

criterion_group!(benches, rendering);
criterion_main!(benches);
