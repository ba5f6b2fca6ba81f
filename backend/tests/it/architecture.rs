//! The arrows of the house: who may name whom.

use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    walkdir::WalkDir::new(root)
        .into_iter()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "rs"))
        .map(|entry| (entry.path().to_owned(), std::fs::read_to_string(entry.path()).unwrap()))
        .collect()
}

fn never(folder: &str, words: &[&str]) {
    let files = sources(folder);
    assert!(!files.is_empty(), "{folder} holds no source");
    for (path, text) in files {
        for word in words {
            let line = text
                .lines()
                .find(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(
                line.is_none(),
                "{} names {word}: {}",
                path.display(),
                line.unwrap_or_default()
            );
        }
    }
}

#[test]
fn flow_knows_no_server_and_no_scheduler() {
    never(
        "src/flow",
        &[
            "actix",
            "tokio_cron_scheduler",
            "crate::http",
            "crate::jobs",
            "crate::cli",
            "sea_orm",
        ],
    );
}

#[test]
fn jobs_and_server_never_meet() {
    never("src/jobs", &["crate::http", "actix", "crate::cli"]);
    never("src/http", &["crate::jobs", "crate::cli", "tokio_cron_scheduler"]);
}

#[test]
fn only_the_store_knows_sql() {
    for folder in ["src", "crates/domain/src", "crates/ingest/src", "crates/report/src"] {
        never(folder, &["sea_orm", "sqlx", "SELECT "]);
    }
}

#[test]
fn the_pure_rooms_do_nothing_but_compute() {
    for folder in ["crates/domain/src", "crates/report/src"] {
        never(
            folder,
            &["std::fs", "std::net", "tokio", "Utc::now", "SystemTime", "std::env"],
        );
    }
    never(
        "crates/ingest/src",
        &["std::net", "tokio", "Utc::now", "SystemTime", "std::env"],
    );
}

#[test]
fn rooms_beside_each_other_do_not_know_each_other() {
    never("crates/ingest/src", &["affiant_store", "affiant_report"]);
    never("crates/report/src", &["affiant_store", "affiant_ingest"]);
    never("crates/store/src", &["affiant_ingest", "affiant_report"]);
    never("crates/domain/src", &["affiant_"]);
}

#[test]
fn no_cellar_for_odds_and_ends() {
    for (path, _) in sources(".") {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(
            !["utils", "util", "helpers", "common", "manager", "misc"].contains(&name.as_str()),
            "{}",
            path.display()
        );
    }
}
