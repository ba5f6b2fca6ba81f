//! Small files of our own for every format: what a reader must say of each stands beside it. `UPDATE=1` writes what it says now.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test")]

use affiant_ingest::{Counter, FileSource, Formats, Limits, Shown, read};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn say(path: &Path, format: Option<&str>) -> serde_json::Value {
    let (source, limits) = (FileSource(path.to_owned()), Limits::default());
    let mut shown = Shown::new(9);
    let read = Formats::built_in()
        .recognise(&source, format, &limits)
        .and_then(|format| {
            shown.recognised_as(&format);
            format.read(&source, &limits, &mut shown)
        });
    let (mut counter, records) = shown.into_parts();
    counter.error = read.err().map(|error| error.to_string());
    let mut said = serde_json::to_value(&counter).unwrap();
    said["records"] = records.into();
    said
}

#[test]
fn every_fixture_gives_what_stands_beside_it() {
    let mut covered = BTreeSet::new();
    for format in std::fs::read_dir(folder()).unwrap().flatten() {
        let name = format.file_name().into_string().unwrap();
        for file in std::fs::read_dir(format.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
        {
            if file.to_str().unwrap().ends_with(".expected.json") {
                continue;
            }
            // A file of nothing could be of any tool: its format is named.
            let nothing = std::fs::metadata(&file).unwrap().len() < 6;
            let said = say(&file, nothing.then_some(name.as_str()));
            let beside = PathBuf::from(format!("{}.expected.json", file.display()));
            if std::env::var("UPDATE").is_ok() {
                std::fs::write(&beside, serde_json::to_string_pretty(&said).unwrap() + "\n").unwrap();
            }
            let wanted: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&beside).unwrap()).unwrap();
            assert_eq!(said, wanted, "{}", file.display());
            assert_eq!(
                said["format"],
                name,
                "{} is recognised as another format",
                file.display()
            );
            covered.insert(name.clone());
        }
    }
    for format in Formats::built_in().iter() {
        assert!(covered.contains(&format.name), "{} has no fixture", format.name);
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_or_read_and_never_panics() {
    for name in [
        "sarif/kinds-and-states.sarif",
        "trivy-json/image.json",
        "asff-json/states.json",
        "checkov-json/two-frameworks.json",
    ] {
        let whole = std::fs::read(folder().join(name)).unwrap();
        for end in (0..whole.len()).step_by(7) {
            let mut counter = Counter::new();
            let format = name.split('/').next();
            let outcome = read(
                &affiant_ingest::Bytes(&whole[..end]),
                format,
                &Limits::default(),
                &mut counter,
            );
            assert!(
                outcome.is_err(),
                "{name} cut at {end} of {} is taken for whole",
                whole.len()
            );
        }
    }
}
