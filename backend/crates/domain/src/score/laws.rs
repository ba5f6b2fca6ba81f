//! The laws of the definition, as property tests, and its worked example.

use super::*;
use crate::{Instant, Severity};
use chrono::{Duration, TimeZone, Utc};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn day(n: i64) -> Instant {
    Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap() + Duration::days(n)
}

const AS_OF: i64 = 200;

fn score(evidence: &Evidence) -> FrameworkScore {
    validate(evidence).unwrap();
    compute(&build(evidence))
}

fn one_control(assets: &[&str]) -> Evidence {
    Evidence {
        schema: SCHEMA.into(),
        as_of: day(AS_OF),
        project: "p".into(),
        framework: FrameworkEvidence {
            id: "f".into(),
            version: "1".into(),
            requirements: vec![RequirementEvidence {
                id: "r".into(),
                weight: 1.0,
                applicable: true,
                controls: vec![ControlWeight {
                    id: "C".into(),
                    weight: 1.0,
                }],
            }],
        },
        controls: vec![ControlEvidence {
            id: "C".into(),
            window_days: 90.0,
            automatable: true,
            assets: assets.iter().map(ToString::to_string).collect(),
        }],
        scans: vec![],
        results: vec![],
        findings: vec![],
        waivers: vec![],
        attestations: vec![],
    }
}

fn finding(id: &str, asset: &str, severity: Severity) -> FindingEvidence {
    FindingEvidence {
        id: id.into(),
        asset: asset.into(),
        controls: BTreeMap::from([("C".into(), 1.0)]),
        severity,
        open: vec![Interval {
            from: day(10),
            until: None,
        }],
    }
}

fn scan(asset: &str, at: i64) -> ScanEvidence {
    ScanEvidence {
        asset: asset.into(),
        completed_at: day(at),
        controls: vec!["C".into()],
    }
}

#[test]
fn the_worked_example() {
    let mut evidence = one_control(&["A", "B", "C"]);
    evidence.findings = vec![finding("f1", "A", Severity::High), finding("f2", "A", Severity::Low)];
    evidence.scans = vec![scan("B", AS_OF - 10), scan("C", 0)];
    evidence.attestations = vec![Attestation {
        control: "C".into(),
        outcome: AttestedOutcome::Effective,
        from: day(0),
        until: day(999),
    }];
    let result = score(&evidence);
    let control = &result.requirements[0].controls[0];
    assert!((control.automated.unwrap() - 0.693_25).abs() < 1e-9);
    assert!((control.score.unwrap() - 0.693_25).abs() < 1e-9);
    assert!((control.coverage - 2.0 / 3.0).abs() < 1e-9);
    assert!(control.failing);
    assert_eq!(
        (control.in_scope, control.assessed, control.basis),
        (3, 2, Some(Basis::Both))
    );
    assert_eq!(result.requirements[0].status, Status::NotSatisfied);
}

#[test]
fn without_evidence_the_bounds_are_open() {
    let result = score(&one_control(&["A"]));
    assert_eq!((result.compliance_score, result.audit_coverage), (None, 0.0));
    assert_eq!((result.bounds.low, result.bounds.high), (0.0, 1.0));
    assert_eq!(result.requirements[0].status, Status::NotAssessed);
    assert_eq!(result.requirements[0].controls[0].reason, Some(Reason::NoData));
}

#[test]
fn good_news_goes_stale_and_bad_news_does_not() {
    let mut evidence = one_control(&["A", "B"]);
    evidence.scans = vec![scan("A", AS_OF - 90), scan("B", AS_OF - 91)];
    let control = score(&evidence).requirements[0].controls[0].clone();
    assert_eq!(control.assessed, 1, "90 days is within a window of 90 days");
    evidence.findings = vec![finding("f", "B", Severity::Critical)];
    assert_eq!(score(&evidence).requirements[0].controls[0].assessed, 2);
}

#[test]
fn malformed_files_are_refused_with_their_path() {
    let good = serde_json::to_value(one_control(&["A"])).unwrap();
    let refuse = |pointer: &str, value: serde_json::Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        parse(bad.to_string().as_bytes()).unwrap_err().path
    };
    assert_eq!(refuse("/controls/0/window_days", 0.into()), "$.controls[0].window_days");
    assert_eq!(
        refuse("/framework/requirements/0/weight", (-1).into()),
        "$.framework.requirements[0].weight"
    );
    assert_eq!(
        refuse("/framework/requirements/0/controls", serde_json::json!([])),
        "$.framework.requirements[0].controls"
    );
    let scans = serde_json::json!([{"asset": "A", "completed_at": "2026-01-01T00:00:00Z", "controls": ["X"]}]);
    assert_eq!(refuse("/scans", scans), "$.scans[0].controls[0]");
    let findings = serde_json::json!([{"id": "f", "asset": "A", "controls": {}, "severity": "bad", "open": []}]);
    assert_eq!(refuse("/findings", findings), "$.findings[0].severity");
    let reversed = serde_json::json!([{"id": "f", "asset": "A", "controls": {}, "severity": "low",
        "open": [{"from": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}]}]);
    assert_eq!(refuse("/findings", reversed), "$.findings[0].open[0].until");
    let unknown =
        serde_json::json!([{"finding": "nope", "from": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}]);
    assert_eq!(refuse("/waivers", unknown), "$.waivers[0].finding");
    assert!(parse(b"{\"schema\": 1}").is_err());
}

const CONTROLS: [&str; 3] = ["C1", "C2", "C3"];
const ASSETS: [&str; 4] = ["a", "b", "c", "out"];

fn severity() -> impl Strategy<Value = Severity> {
    (0i16..6).prop_map(|rank| Severity::from_rank(rank).unwrap())
}

prop_compose! {
    fn any_finding()(asset in 0usize..4, severity in severity(), from in 0i64..260, len in proptest::option::of(0i64..200),
        strengths in proptest::collection::vec(proptest::option::of(0.05f64..=1.0), 3)) -> FindingEvidence {
        FindingEvidence {
            id: String::new(),
            asset: ASSETS[asset].into(),
            controls: strengths.into_iter().zip(CONTROLS).filter_map(|(s, c)| Some((c.to_owned(), s?))).collect(),
            severity,
            open: vec![Interval { from: day(from), until: len.map(|l| day(from + l)) }],
        }
    }
}

prop_compose! {
    fn any_evidence()(
        findings in proptest::collection::vec(any_finding(), 0..12),
        scans in proptest::collection::vec((0usize..4, 0i64..260, 0usize..3), 0..10),
        results in proptest::collection::vec((0usize..4, 0i64..260, 0usize..3, 0usize..4), 0..8),
        waivers in proptest::collection::vec((any::<prop::sample::Index>(), 0i64..260, 0i64..100), 0..4),
        attestations in proptest::collection::vec((0usize..3, 0i64..260, 0i64..200, 0usize..3), 0..4),
        weights in proptest::collection::vec(0.1f64..5.0, 8),
        applicable in proptest::collection::vec(proptest::bool::weighted(0.8), 3),
        automatable in proptest::collection::vec(any::<bool>(), 3),
    ) -> Evidence {
        let outcomes = [ResultOutcome::Pass, ResultOutcome::Fail, ResultOutcome::Error, ResultOutcome::NotApplicable];
        let stated = [AttestedOutcome::Effective, AttestedOutcome::PartiallyEffective, AttestedOutcome::Ineffective];
        let findings: Vec<_> = findings.into_iter().enumerate()
            .map(|(n, f)| FindingEvidence { id: format!("f{n}"), ..f }).collect();
        Evidence {
            controls: (0..3).map(|n| ControlEvidence {
                id: CONTROLS[n].into(), window_days: 90.0, automatable: automatable[n],
                assets: ASSETS[..=n].iter().map(ToString::to_string).collect(),
            }).collect(),
            framework: FrameworkEvidence { id: "f".into(), version: "1".into(), requirements: (0..3).map(|n| RequirementEvidence {
                id: format!("r{n}"), weight: weights[n], applicable: applicable[n],
                controls: (0..=n).map(|c| ControlWeight { id: CONTROLS[c].into(), weight: weights[3 + c] }).collect(),
            }).collect() },
            scans: scans.into_iter().map(|(a, at, c)| ScanEvidence {
                asset: ASSETS[a].into(), completed_at: day(at), controls: vec![CONTROLS[c].into()] }).collect(),
            results: results.into_iter().map(|(a, at, c, o)| ResultEvidence {
                asset: ASSETS[a].into(), observed_at: day(at), controls: vec![CONTROLS[c].into()], outcome: outcomes[o] }).collect(),
            waivers: if findings.is_empty() { vec![] } else { waivers.into_iter().map(|(f, from, len)| WaiverEvidence {
                finding: f.get(&findings).id.clone(), from: day(from), until: day(from + len) }).collect() },
            attestations: attestations.into_iter().map(|(c, from, len, o)| Attestation {
                control: CONTROLS[c].into(), outcome: stated[o], from: day(from), until: day(from + len) }).collect(),
            findings,
            ..one_control(&[])
        }
    }
}

fn controls_of(score: &FrameworkScore) -> BTreeMap<String, ControlScore> {
    score
        .requirements
        .iter()
        .flat_map(|r| r.controls.iter().map(|c| (c.id.clone(), c.clone())))
        .collect()
}

fn bits(score: &FrameworkScore) -> String {
    serde_json::to_string(score).unwrap()
}

proptest! {
    #[test]
    fn order_and_duplicates_change_nothing(evidence in any_evidence()) {
        let wanted = bits(&score(&evidence));
        let mut other = evidence.clone();
        other.findings.reverse();
        other.scans.reverse();
        other.results.reverse();
        other.waivers.reverse();
        other.attestations.reverse();
        other.controls.reverse();
        other.framework.requirements.reverse();
        for requirement in &mut other.framework.requirements { requirement.controls.reverse(); }
        for control in &mut other.controls { control.assets.reverse(); }
        prop_assert_eq!(&wanted, &bits(&score(&other)));
        other.findings.extend(evidence.findings.clone());
        other.scans.extend(evidence.scans.clone());
        other.results.extend(evidence.results.clone());
        other.waivers.extend(evidence.waivers.clone());
        other.attestations.extend(evidence.attestations.clone());
        other.controls.extend(evidence.controls.clone());
        other.framework.requirements.extend(evidence.framework.requirements);
        prop_assert_eq!(&wanted, &bits(&score(&other)));
    }

    #[test]
    fn opening_a_finding_never_raises_a_control(evidence in any_evidence(), new in any_finding()) {
        let mut evidence = evidence;
        for control in &evidence.controls.clone() {
            for asset in &control.assets {
                evidence.scans.push(ScanEvidence { asset: asset.clone(), completed_at: day(AS_OF), controls: vec![control.id.clone()] });
            }
        }
        let before = controls_of(&score(&evidence));
        let mut more = evidence.clone();
        more.findings.push(FindingEvidence { id: "new".into(), open: vec![Interval { from: day(0), until: None }], ..new });
        let after = controls_of(&score(&more));
        for (id, control) in &after {
            prop_assert!(control.score.unwrap_or(0.0) <= before[id].score.unwrap_or(1.0) + 1e-12);
        }
        more.waivers.push(WaiverEvidence { finding: "new".into(), from: day(0), until: day(900) });
        let waived = controls_of(&score(&more));
        for (id, control) in &after {
            prop_assert!(waived[id].score.unwrap_or(1.0) >= control.score.unwrap_or(0.0) - 1e-12);
        }
    }

    #[test]
    fn a_waiver_never_raises_coverage(evidence in any_evidence(), which in any::<prop::sample::Index>()) {
        prop_assume!(!evidence.findings.is_empty());
        let mut waived = evidence.clone();
        let finding = which.get(&evidence.findings).id.clone();
        waived.waivers.push(WaiverEvidence { finding, from: day(0), until: day(900) });
        prop_assert!(score(&waived).audit_coverage <= score(&evidence).audit_coverage + 1e-12);
    }

    #[test]
    fn an_attestation_never_raises_a_control_above_its_automated_score(evidence in any_evidence()) {
        for control in controls_of(&score(&evidence)).values() {
            if let (Some(automated), Some(score)) = (control.automated, control.score) {
                prop_assert!(score <= automated);
            }
        }
    }

    #[test]
    fn more_assets_without_evidence_never_raise_anything(evidence in any_evidence(), which in 0usize..3) {
        let mut more = evidence.clone();
        more.controls[which].assets.push("zz-new".into());
        let (before, after) = (score(&evidence), score(&more));
        prop_assert!(after.audit_coverage <= before.audit_coverage + 1e-12);
        let (b, a) = (controls_of(&before), controls_of(&after));
        for (id, control) in &a {
            prop_assert!(control.coverage <= b[id].coverage + 1e-12);
            prop_assert_eq!(control.score, b[id].score);
        }
    }

    #[test]
    fn bounds_are_ordered(evidence in any_evidence()) {
        let result = score(&evidence);
        prop_assert!(0.0 <= result.bounds.low && result.bounds.low <= result.bounds.high && result.bounds.high <= 1.0);
        if result.audit_coverage >= 1.0 { prop_assert_eq!(result.bounds.low, result.bounds.high); }
    }

    #[test]
    fn what_comes_after_the_instant_changes_nothing(evidence in any_evidence(), late in any_finding(), at in 1i64..50) {
        let wanted = bits(&score(&evidence));
        let after = day(AS_OF + at);
        let mut more = evidence;
        more.findings.push(FindingEvidence { id: "late".into(), open: vec![Interval { from: after, until: None }], ..late });
        more.scans.push(ScanEvidence { asset: "a".into(), completed_at: after, controls: vec!["C1".into()] });
        more.results.push(ResultEvidence { asset: "a".into(), observed_at: after, controls: vec!["C1".into()], outcome: ResultOutcome::Pass });
        more.waivers.push(WaiverEvidence { finding: "late".into(), from: after, until: day(900) });
        more.attestations.push(Attestation { control: "C1".into(), outcome: AttestedOutcome::Ineffective, from: after, until: day(900) });
        prop_assert_eq!(wanted, bits(&score(&more)));
    }

    #[test]
    fn scaling_all_weights_changes_nothing(evidence in any_evidence(), factor in 0.01f64..100.0) {
        let mut scaled = evidence.clone();
        for requirement in &mut scaled.framework.requirements { requirement.weight *= factor; }
        let (a, b) = (score(&evidence), score(&scaled));
        prop_assert!((a.compliance_score.unwrap_or(-1.0) - b.compliance_score.unwrap_or(-1.0)).abs() < 1e-12);
        prop_assert!((a.audit_coverage - b.audit_coverage).abs() < 1e-12);
    }
}
