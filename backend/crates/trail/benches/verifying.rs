//! Checking an exported trail, beside what SHA-256 and `serde_json` alone take for the same bytes.

#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark")]

use affiant_trail::{
    Entry, Frontier, Head, Payload, Shown, SigningKey, Told as _, Trusted, Writer, leaf_hash, signed_by, verify,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sha2::{Digest, Sha256};

const ENTRIES: u64 = 50_000;

fn file() -> Vec<u8> {
    let key = SigningKey::new("bench.example/trail", &[7; 32]).unwrap();
    let mut writer = Writer::new(Vec::new());
    writer.begin("bench.example/trail", ENTRIES, key.public()).unwrap();
    let mut tree = Frontier::new();
    for n in 0..ENTRIES {
        let payload = Payload {
            salt: [n as u8; 32],
            content: format!(r#"{{"resource":"db:orders/{n}","tool":"sql","model_version":"4.1"}}"#),
        };
        let entry = Entry {
            action: "event".to_owned(),
            actor: Some(format!("{n:032x}")),
            at: "2026-11-20T18:00:00.123456Z".to_owned(),
            index: n.to_string(),
            outcome: "success".to_owned(),
            payload: Some(payload.commitment()),
            project: Some("018f0000-0000-7000-8000-000000000000".to_owned()),
            refs: [
                ("event".to_owned(), format!("{n:032x}")),
                ("risk".to_owned(), "LOW".to_owned()),
            ]
            .into(),
            subjects: vec![format!("{n:032x}")],
            v: 1,
        };
        let leaf = entry.canonical().unwrap();
        let hash = leaf_hash(&leaf);
        tree.append(hash, &mut |_| {});
        writer.entry(n, hash, Some(&leaf), &Shown::Open(payload), None).unwrap();
        if n % 1000 == 999 {
            let head = Head {
                origin: "bench.example/trail".to_owned(),
                size: n + 1,
                root: tree.root(),
                time: "2026-11-20T18:00:00Z".to_owned(),
            };
            writer.checkpoint(&signed_by(&head, &[&key]).unwrap()).unwrap();
        }
    }
    writer.end().unwrap()
}

fn verifying(c: &mut Criterion) {
    let bytes = file();
    let mut group = c.benchmark_group("trail");
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(20);
    group.bench_function("verify", |b| {
        b.iter(|| {
            let found = verify(bytes.as_slice(), &Trusted::default()).unwrap();
            assert_eq!((found.entries, found.intact), (ENTRIES, ENTRIES));
        });
    });
    group.bench_function("limit: parse each line and hash it twice", |b| {
        b.iter(|| {
            let mut sum = 0_u8;
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let value: serde_json::Value = serde_json::from_slice(line).unwrap();
                let text = value["leaf"].as_str().unwrap_or_default();
                sum ^= Sha256::digest(text)[0] ^ Sha256::digest(&line[..96])[0];
            }
            sum
        });
    });
    group.finish();
}

criterion_group!(benches, verifying);
criterion_main!(benches);
