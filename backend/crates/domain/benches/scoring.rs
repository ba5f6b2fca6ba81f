//! Scoring a million findings, loaded and ordered.

#![allow(missing_docs, reason = "a benchmark")]

use affiant_domain::Severity;
use affiant_domain::score::{AssetState, ControlInput, Freshness, Impact, Input, RequirementInput, compute};
use criterion::{Criterion, criterion_group, criterion_main};

/// 100 controls over 100 assets, with 100 findings each: a million.
fn input() -> Input {
    let open = |seed: usize| -> Vec<Impact> {
        (0..5)
            .map(|n| {
                let severity = Severity::ALL[(seed + n) % 6];
                Impact {
                    strength: 0.8,
                    severity,
                    waived: n == 4,
                    count: 20,
                }
            })
            .collect()
    };
    let assets = |control: usize| -> Vec<AssetState> {
        (0..100)
            .map(|n| AssetState {
                id: format!("asset-{n:04}"),
                freshness: Freshness {
                    fresh: true,
                    ever: true,
                    errors: false,
                },
                open: open(control + n),
            })
            .collect()
    };
    Input {
        as_of: chrono::DateTime::UNIX_EPOCH,
        framework: "bench".to_owned(),
        version: "1".to_owned(),
        requirements: (0..280)
            .map(|n| RequirementInput {
                id: format!("r-{n:04}"),
                weight: 1.0,
                applicable: true,
                controls: (0..4).map(|k| ((n + k * 25) % 100, 0.5)).collect(),
            })
            .collect(),
        controls: (0..100)
            .map(|n| ControlInput {
                id: format!("C-{n:04}"),
                automatable: true,
                assets: assets(n),
                attested: None,
                attested_before: false,
            })
            .collect(),
    }
}

fn scoring(c: &mut Criterion) {
    let input = input();
    c.bench_function("score a million findings", |b| b.iter(|| compute(&input)));
}

criterion_group!(benches, scoring);
criterion_main!(benches);
