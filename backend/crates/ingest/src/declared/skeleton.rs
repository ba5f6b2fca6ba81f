//! The beginning of a declarative format, made after a file: what is there, and where the usual fields may be.

use super::format::Container;
use super::node::Node;
use crate::sniff::Sniff;
use crate::{Limits, ReadError, Source};
use std::fmt::Write;

/// Words that a field's key may hold, best first.
const GUESSES: [(&str, &[&str]); 9] = [
    (
        "rule",
        &[
            "ruleid",
            "rule_id",
            "checkid",
            "check_id",
            "pluginid",
            "plugin_id",
            "rule",
            "check",
            "vulnerabilityid",
            "cve",
            "code",
            "id",
        ],
    ),
    ("title", &["title", "name", "summary"]),
    ("message", &["message", "description", "desc", "details", "text"]),
    ("severity", &["severity", "level", "risk", "priority"]),
    ("cwe", &["cwe"]),
    ("cve", &["cve"]),
    (
        "location",
        &["path", "file", "filename", "file_path", "location", "url", "uri"],
    ),
    ("line", &["line", "line_number", "startline", "start_line"]),
    ("resource", &["resource", "resource_id", "host", "arn"]),
];

/// Prints the beginning of a format after a file.
///
/// # Errors
/// [`ReadError`] where the file cannot be read or is neither JSON, CSV nor XML.
pub fn skeleton(name: &str, source: &dyn Source, limits: &Limits) -> Result<String, ReadError> {
    let arena = bumpalo::Bump::new();
    let sniff = Sniff::of(&crate::source::prefix(source, limits)?, &arena);
    let container = match sniff.container {
        Container::Json => "json",
        Container::Csv if !sniff.header.is_empty() => "csv",
        Container::Csv => {
            return Err(ReadError::Unrecognised(
                "it is neither JSON nor XML nor a table".to_owned(),
            ));
        }
        Container::Xml => "xml",
    };
    let (at, record) = records(&sniff.node, sniff.container);
    let mut leaves = Vec::new();
    leaf_paths(record, "", 0, &mut leaves);
    Ok(write(name, container, &at, &recognition(&sniff.node, &at), &leaves))
}

/// The list of objects with the most elements: where the records most likely are.
fn records<'n>(node: &'n Node<'n>, container: Container) -> (String, &'n Node<'n>) {
    if container == Container::Csv {
        return (String::new(), node);
    }
    let mut best = (0, String::from("[]"), node);
    lists(node, "", 0, &mut best);
    (best.1, best.2)
}

fn lists<'n>(node: &'n Node<'n>, path: &str, depth: usize, best: &mut (usize, String, &'n Node<'n>)) {
    if depth > 8 {
        return;
    }
    match node {
        Node::List(all) => {
            let at = format!("{path}[]");
            if let Some(first) = all.iter().find(|one| matches!(one, Node::Map(_))) {
                if all.len() > best.0 {
                    *best = (all.len(), at.clone(), first);
                }
                lists(first, &at, depth + 1, best);
            }
        }
        Node::Map(entries) => {
            for (key, value) in entries.iter() {
                let inner = if path.is_empty() {
                    key.to_string()
                } else {
                    format!("{path}.{key}")
                };
                let same = entries.iter().filter(|(other, _)| other == key).count();
                if same > best.0 && matches!(value, Node::Map(_)) && same > 1 {
                    *best = (same, format!("{inner}[]"), value);
                }
                lists(value, &inner, depth + 1, best);
            }
        }
        _ => {}
    }
}

fn leaf_paths(node: &Node<'_>, path: &str, depth: usize, found: &mut Vec<(String, String)>) {
    if depth > 5 || found.len() > 80 {
        return;
    }
    match node {
        Node::Map(entries) => {
            for (key, value) in entries.iter() {
                let key = if key.contains(['.', ' ', '[']) {
                    format!("\\\"{key}\\\"")
                } else {
                    key.to_string()
                };
                let inner = if path.is_empty() { key } else { format!("{path}.{key}") };
                leaf_paths(value, &inner, depth + 1, found);
            }
        }
        Node::List(all) => {
            if let Some(first) = all.first() {
                leaf_paths(first, path, depth + 1, found);
            }
        }
        leaf => {
            if !found.iter().any(|(known, _)| known == path) {
                // What kind of value, not the value: the file may hold secrets, and a format is for sharing.
                let kind = match leaf {
                    Node::Bool(_) => "true or false",
                    Node::Number(_) => "a number",
                    Node::Null => "nothing",
                    _ => "text",
                };
                found.push((path.to_owned(), kind.to_owned()));
            }
        }
    }
}

fn recognition(node: &Node<'_>, at: &str) -> String {
    let keys = |node: &Node<'_>| match node {
        Node::Map(entries) => entries
            .iter()
            .take(3)
            .map(|(key, _)| key.to_string())
            .collect::<Vec<_>>(),
        Node::List(all) => all.first().map_or_else(Vec::new, |first| match first {
            Node::Map(entries) => entries.iter().take(3).map(|(key, _)| key.to_string()).collect(),
            _ => Vec::new(),
        }),
        _ => Vec::new(),
    };
    let all = keys(node);
    if all.is_empty() {
        at.replace("[]", "")
    } else {
        all.join(" and ")
    }
}

fn write(name: &str, container: &str, at: &str, recognise: &str, leaves: &[(String, String)]) -> String {
    let mut out = String::new();
    let at_line = if at.is_empty() {
        String::new()
    } else {
        format!("at = \"{at}\"\n")
    };
    let _ = write!(
        out,
        "# docs/FORMATS.md explains every key. Try it: affiant formats check FILE --spec THIS-FILE --show 3\n\
         name = \"{name}\"\ntitle = \"{name}\"\nkind = \"findings\"\ncontainer = \"{container}\"\ntool = \"={name}\"\n\
         # Conditions on the first bytes that no other format meets; one must hold.\n\
         recognise = [\"{recognise}\"]\n\n[[records]]\n{at_line}"
    );
    for (field, words) in GUESSES {
        let matches = |path: &str, word: &str| {
            let last = path
                .rsplit('.')
                .next()
                .unwrap_or(path)
                .trim_start_matches('@')
                .to_ascii_lowercase();
            last == word
        };
        let found = words
            .iter()
            .find_map(|word| leaves.iter().find(|(path, _)| matches(path, word)));
        match (field, found) {
            ("severity", Some((path, _))) => {
                let _ = writeln!(out, "severity = [\"{path}\"]");
            }
            (_, Some((path, _))) => {
                let _ = writeln!(out, "{field} = \"{path}\"");
            }
            ("rule", None) => out.push_str("rule = \"=unknown\"\n"),
            (_, None) => {
                let _ = writeln!(out, "# {field} =");
            }
        }
    }
    out.push_str("category = \"=misconfiguration\"\n# fingerprint = [\"what tells two findings of one rule apart, and stays when lines move\"]\n");
    out.push_str("# What a record holds:\n");
    for (path, kind) in leaves {
        let _ = writeln!(out, "#   {path}: {kind}");
    }
    out
}
