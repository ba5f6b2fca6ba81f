//! What is taken from a provider's claims.

use serde_json::{Map, Value};

/// Groups of one person that are looked at.
const GROUPS: usize = 1000;
/// Names that records use for the installation itself.
const OWN: [&str; 6] = ["operator", "cli", "schedule", "system", "demo", "break-glass"];

/// Who somebody is, as a provider vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider's issuer.
    pub issuer: String,
    /// The provider's name for the person; it never changes.
    pub subject: String,
    /// What they are called.
    pub name: String,
    /// Where they are written to.
    pub email: String,
    /// Their groups.
    pub groups: Vec<String>,
    /// The provider's name for its session with them.
    pub sid: String,
    /// What the provider's directory knows them by; empty where the claim is not there.
    pub external_id: String,
    /// How strongly they showed who they are, in the provider's words; empty where it does not say.
    pub acr: String,
}

/// Claims whose names a configuration says.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'c> {
    /// The one that lists groups.
    pub groups: &'c str,
    /// The one by which the provider's directory knows people.
    pub directory: &'c str,
}

impl Identity {
    /// Takes it from the claims of the ID token and of the user-info answer.
    #[must_use]
    pub fn of((issuer, subject): (&str, &str), claims: &Map<String, Value>, names: Claims<'_>) -> Self {
        let text = |key: &str| claims.get(key).and_then(Value::as_str).unwrap_or_default();
        let called = ["name", "preferred_username", "email"].into_iter().map(text);
        let called = called.map(shown).find(|name| !name.is_empty());
        Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            name: called.unwrap_or_else(|| shown(subject)),
            email: text("email").chars().filter(|c| !c.is_control()).take(200).collect(),
            groups: groups(claims.get(names.groups)),
            sid: text("sid").to_owned(),
            acr: text("acr").to_owned(),
            external_id: match names.directory {
                "sub" => subject.to_owned(),
                name => text(name).chars().take(200).collect(),
            },
        }
    }
}

/// A name as records may bear it: no control characters, not too long, none that stands for the installation or its tokens.
#[must_use]
pub fn shown(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
    let plain = plain
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace(" via ", " Via ");
    let lower = plain.to_lowercase();
    let reserved = ["token:", "source:", "workload:"]
        .iter()
        .any(|prefix| lower.starts_with(prefix));
    if OWN.contains(&lower.as_str()) || reserved {
        return format!("{plain} (person)");
    }
    plain
}

fn groups(claim: Option<&Value>) -> Vec<String> {
    let mut all: Vec<String> = match claim {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(one)) => vec![one.clone()],
        _ => Vec::new(),
    };
    all.retain(|group| !group.is_empty() && group.len() <= 200);
    all.sort_unstable();
    all.dedup();
    all.truncate(GROUPS);
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(claims: Value) -> Identity {
        let names = Claims {
            groups: "groups",
            directory: "oid",
        };
        Identity::of(("https://i", "s-1"), claims.as_object().unwrap(), names)
    }

    #[test]
    fn a_name_stands_for_one_person_and_not_for_the_installation() {
        assert_eq!(of(json!({"name": "Ann\u{202e}\n  Lee"})).name, "Ann\u{202e} Lee");
        assert_eq!(of(json!({"name": "Schedule"})).name, "Schedule (person)");
        assert_eq!(of(json!({"name": "token:ci"})).name, "token:ci (person)");
        assert_eq!(of(json!({"name": "Ann via token ci"})).name, "Ann Via token ci");
        assert_eq!(of(json!({"name": "\n", "email": "a@b.test"})).name, "a@b.test");
        assert_eq!(of(json!({})).name, "s-1");
    }

    #[test]
    fn groups_are_texts_or_one_text() {
        assert_eq!(of(json!({"groups": ["b", "a", "a", "", 5, null]})).groups, ["a", "b"]);
        assert_eq!(of(json!({"groups": "one"})).groups, ["one"]);
        assert!(of(json!({"groups": {"a": true}})).groups.is_empty());
    }
}
