//! Laws that every reader keeps, over the fixtures of all formats: no bytes make it panic, where the bytes were cut into chunks changes
//! nothing, and what is cut off gives an error or a part of what was there.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test")]

use affiant_ingest::{Bytes, Counter, Formats, Limits};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static FIXTURES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let mut all = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for format in std::fs::read_dir(folder).unwrap().flatten() {
        let name = format.file_name().into_string().unwrap();
        let mut files: Vec<PathBuf> = std::fs::read_dir(format.path())
            .unwrap()
            .flatten()
            .map(|f| f.path())
            .collect();
        files.sort();
        for file in files {
            if !file.to_str().unwrap().ends_with(".expected.json") {
                all.push((name.clone(), std::fs::read(&file).unwrap()));
            }
        }
    }
    all.sort();
    all
});

fn say(bytes: &[u8], format: &str, chunk: usize) -> (Counter, Option<String>) {
    let limits = Limits {
        chunk,
        ..Limits::default()
    };
    let mut counter = Counter::new();
    let read = Formats::built_in()
        .recognise(&Bytes(bytes), Some(format), &limits)
        .and_then(|format| format.read(&Bytes(bytes), &limits, &mut counter));
    (counter, read.err().map(|error| error.to_string()))
}

fn counts(counter: &Counter) -> (u64, u64, u64, u64, usize) {
    (
        counter.findings,
        counter.open,
        counter.passed,
        counter.events,
        counter.rejected.len(),
    )
}

#[test]
fn where_chunks_end_changes_nothing() {
    for (format, bytes) in FIXTURES.iter() {
        let (whole, error) = say(bytes, format, 1 << 18);
        for chunk in [1, 2, 3, 7, 64] {
            let (cut, cut_error) = say(bytes, format, chunk);
            assert_eq!(counts(&cut), counts(&whole), "{format} in chunks of {chunk}");
            assert_eq!(cut_error, error, "{format} in chunks of {chunk}");
            assert_eq!(cut.severity, whole.severity, "{format} in chunks of {chunk}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_gives_an_error_or_a_part(n in 0..1000_usize, at in 0.0..1.0_f64) {
        let (format, bytes) = &FIXTURES[n % FIXTURES.len()];
        let (whole, error) = say(bytes, format, 1 << 18);
        prop_assume!(error.is_none());
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share")]
        let end = (bytes.len() as f64 * at) as usize;
        let (cut, error) = say(&bytes[..end], format, 1 << 18);
        if error.is_none() {
            prop_assert!(cut.findings <= whole.findings, "{format} cut at {end}");
            prop_assert!(cut.events <= whole.events + 1, "{format} cut at {end}");
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(n in 0..1000_usize, edits in prop::collection::vec((0..5000_usize, any::<u8>(), 0..3_u8), 1..12)) {
        let (format, bytes) = &FIXTURES[n % FIXTURES.len()];
        let mut bytes = bytes.clone();
        for (at, byte, how) in edits {
            let at = at % (bytes.len() + 1);
            match how {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ if at < bytes.len() => { bytes.remove(at); }
                _ => {}
            }
        }
        for chunk in [13, 1 << 18] {
            say(&bytes, format, chunk);
        }
    }

    #[test]
    fn anything_at_all_gets_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for format in Formats::built_in().iter() {
            say(&bytes, &format.name, 5);
        }
    }
}
