//! Real files of other projects, where their folder stands beside this one: every count must hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a test"
)]

use affiant_domain::Severity;
use affiant_ingest::{Counter, FORMATS, FileSource, Limits, read};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn samples() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/samples");
    folder.join("EXPECTED.tsv").exists().then_some(folder)
}

fn check(path: &Path, format: Option<&str>) -> Counter {
    let mut counter = Counter::new();
    if let Err(error) = read(&FileSource(path.to_owned()), format, &Limits::default(), &mut counter) {
        counter.error = Some(error.to_string());
    }
    counter
}

/// The file's own labels, as our severities. Where a number of the rule decides, the label does not, so those files are left out.
fn wanted_severities(format: &str, histogram: &str) -> Option<BTreeMap<&'static str, u64>> {
    let mut wanted = BTreeMap::new();
    for pair in histogram.split(';') {
        let (label, count) = pair.split_once('=')?;
        let severity = match (format, label) {
            (_, "null" | "(none)") => Severity::Unknown,
            (_, label) => Severity::from_label(label),
        };
        *wanted.entry(severity.as_str()).or_default() += count.parse::<u64>().ok()?;
    }
    Some(wanted)
}

#[test]
fn every_sample_of_a_known_format_gives_its_counts() {
    let Some(folder) = samples() else { return };
    let table = std::fs::read_to_string(folder.join("EXPECTED.tsv")).unwrap();
    let mut problems = Vec::new();
    let mut checked = 0;
    for row in table.lines().skip(1) {
        let cells: Vec<&str> = row.split('\t').collect();
        let (file, format, expected, open, histogram) = (cells[0], cells[1], cells[2], cells[5], cells[6]);
        if !FORMATS.iter().any(|known| known.name == format) {
            continue;
        }
        checked += 1;
        let counter = check(&folder.join(file), None);
        if expected.starts_with("reject") {
            if counter.error.is_none() {
                problems.push(format!("{file}: not refused"));
            }
            continue;
        }
        let mut problem = |what: String| problems.push(format!("{file}: {what}"));
        if let Some(error) = &counter.error {
            problem(error.clone());
            continue;
        }
        let want: u64 = expected.split('|').next().unwrap().parse().unwrap();
        let is_audit = format.contains("audit") || format.contains("cloudtrail");
        let got = if is_audit { counter.events } else { counter.findings };
        if counter.format != Some(format) {
            problem(format!("recognised as {:?}", counter.format));
        }
        if got != want {
            problem(format!(
                "{got} instead of {expected}; rejected {:?}",
                counter.rejected.first()
            ));
        }
        if !is_audit && open != "-" && counter.open != open.parse::<u64>().unwrap() {
            problem(format!("{} open instead of {open}", counter.open));
        }
        let text = std::fs::read(folder.join(file)).unwrap();
        let scored = text.windows(17).any(|window| window == b"security-severity");
        if !is_audit
            && !scored
            && let Some(wanted) = wanted_severities(format, histogram)
        {
            let got: BTreeMap<_, _> = counter.severity.into_iter().filter(|(_, n)| *n > 0).collect();
            if got != wanted && !file.contains("InvocationOverrides") {
                problem(format!("severities {got:?} instead of {wanted:?}"));
            }
        }
    }
    assert!(problems.is_empty(), "of {checked} files:\n{}", problems.join("\n"));
    assert!(checked > 50, "only {checked} files were checked");
}
