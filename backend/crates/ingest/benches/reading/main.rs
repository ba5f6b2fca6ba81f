//! Reading reports of several formats, each beside what `serde_json` alone takes to parse the same bytes into borrowed types that hold the
//! fields which the reader takes.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

mod asff;
mod cloudtrail;
mod findings;
mod grype;
mod sarif;

use affiant_ingest::{Bytes, Counter, Limits, read};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const RECORDS: usize = 20_000;

fn reading(c: &mut Criterion) {
    beside(c, "sarif", &sarif::text(), sarif::limit);
    beside(c, "grype, declared in TOML", &grype::text(), grype::limit);
    beside(c, "asff", &asff::text(), asff::limit);
    beside(c, "cloudtrail", &cloudtrail::text(), cloudtrail::limit);
    beside(c, "own findings", &findings::text(), findings::limit);
}

fn beside(c: &mut Criterion, name: &str, text: &str, limit: fn(&str) -> usize) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(text.len() as u64)).sample_size(20);
    group.bench_function("affiant reader", |b| {
        b.iter(|| {
            let mut counter = Counter::new();
            read(&Bytes(text.as_bytes()), None, &Limits::default(), &mut counter).unwrap();
            assert_eq!(counter.findings + counter.events, RECORDS as u64);
        });
    });
    group.bench_function("limit: serde_json, borrowed types", |b| {
        b.iter(|| assert_eq!(limit(black_box(text)), RECORDS));
    });
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
