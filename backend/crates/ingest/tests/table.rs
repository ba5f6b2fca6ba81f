//! The table of formats in the documentation is made from the registry. `UPDATE=1` writes it.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use affiant_ingest::{Formats, Kind};
use std::fmt::Write;
use std::path::Path;

#[test]
fn the_documentation_lists_every_format() {
    let mut table = String::from("| name | what it is | holds | written |\n|---|---|---|---|\n");
    let formats = Formats::built_in();
    let mut all: Vec<_> = formats.iter().collect();
    all.sort_by_key(|format| (format.kind == Kind::Events, format.name.clone()));
    for format in all {
        let holds = if format.kind == Kind::Events {
            "events"
        } else {
            "findings"
        };
        let written = if format.is_declared() { "TOML" } else { "code" };
        writeln!(table, "| `{}` | {} | {holds} | {written} |", format.name, format.title).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/FORMATS.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("<!-- table -->\n").unwrap();
    let (there, after) = rest.split_once("<!-- /table -->").unwrap();
    if std::env::var("UPDATE").is_ok() {
        std::fs::write(&path, format!("{before}<!-- table -->\n{table}<!-- /table -->{after}")).unwrap();
    } else {
        assert_eq!(there, table, "run UPDATE=1 cargo test -p affiant-ingest --test table");
    }
}
