//! Changes of RFC 7644 section 3.5.2, as directories send them: `Add`, `replace` and `Remove` in any case, with and without a path.

use super::filter::quoted;
use super::{Fault, attribute};
use serde_json::{Map, Value};

/// Changes of one request.
const MOST: usize = 1000;

/// Makes the changes of a request's body in a resource.
pub(super) fn apply(resource: &mut Map<String, Value>, body: &Map<String, Value>) -> Result<(), Fault> {
    let operations = attribute(body, "Operations").and_then(Value::as_array);
    let operations = operations.filter(|all| all.len() <= MOST).ok_or_else(|| {
        Fault::new(
            400,
            "invalidSyntax",
            format!("Operations is a list of at most {MOST} changes"),
        )
    })?;
    for operation in operations {
        let operation = operation
            .as_object()
            .ok_or_else(|| Fault::new(400, "invalidSyntax", "a change is an object"))?;
        change(resource, operation)?;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Replace,
    Remove,
}

fn change(resource: &mut Map<String, Value>, operation: &Map<String, Value>) -> Result<(), Fault> {
    let op = attribute(operation, "op").and_then(Value::as_str).unwrap_or_default();
    let op = match op.to_ascii_lowercase().as_str() {
        "add" => Op::Add,
        "replace" => Op::Replace,
        "remove" => Op::Remove,
        _ => return Err(Fault::new(400, "invalidSyntax", "op is add, replace or remove")),
    };
    let value = attribute(operation, "value").cloned().unwrap_or(Value::Null);
    let path = attribute(operation, "path")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .trim();
    if path.is_empty() {
        let Value::Object(all) = value else {
            return Err(Fault::new(
                400,
                "noTarget",
                "a change without a path has an object as value",
            ));
        };
        for (path, value) in all {
            at_path(resource, op, &Path::parse(&path)?, value);
        }
        return Ok(());
    }
    at_path(resource, op, &Path::parse(path)?, value);
    Ok(())
}

/// `attribute`, `attribute.part`, `attribute[part eq "text"]` or `attribute[part eq "text"].part`.
struct Path<'p> {
    name: &'p str,
    only: Option<(&'p str, String)>,
    part: Option<&'p str>,
}

impl<'p> Path<'p> {
    fn parse(path: &'p str) -> Result<Self, Fault> {
        let wrong = || Fault::new(400, "invalidPath", format!("the path {path:?} is not understood"));
        let core = "urn:ietf:params:scim:schemas:core:2.0:";
        // The core schema may be named; what belongs to others is one name, which nobody keeps.
        let path = match path.get(..core.len()).filter(|head| head.eq_ignore_ascii_case(core)) {
            Some(_) => path.rsplit(':').next().unwrap_or(path),
            None => path,
        };
        if path.starts_with("urn:") {
            return Ok(Self {
                name: path,
                only: None,
                part: None,
            });
        }
        let Some((name, rest)) = path.split_once('[') else {
            let (name, part) = path
                .split_once('.')
                .map_or((path, None), |(name, part)| (name, Some(part)));
            return Ok(Self { name, only: None, part });
        };
        let (key, rest) = rest.trim_start().split_once(char::is_whitespace).ok_or_else(wrong)?;
        let (operator, rest) = rest.trim_start().split_once(char::is_whitespace).ok_or_else(wrong)?;
        let rest = rest.trim_start();
        let (text, rest) = match quoted(rest) {
            Some((text, rest)) => (text, rest),
            None => rest
                .split_once(']')
                .map(|(word, _)| (word.trim().to_owned(), &rest[word.len()..]))
                .ok_or_else(wrong)?,
        };
        let rest = rest.trim_start().strip_prefix(']').ok_or_else(wrong)?;
        let part = rest.strip_prefix('.');
        if !operator.eq_ignore_ascii_case("eq") || part.is_none() && !rest.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            name,
            only: Some((key, text)),
            part,
        })
    }
}

fn key_of(map: &Map<String, Value>, name: &str) -> String {
    let known = map.keys().find(|key| key.eq_ignore_ascii_case(name));
    known.cloned().unwrap_or_else(|| name.to_owned())
}

fn at_path(resource: &mut Map<String, Value>, op: Op, path: &Path<'_>, value: Value) {
    let key = key_of(resource, path.name);
    if let Some((of, text)) = &path.only {
        return among(resource, op, (&key, of, text, path.part), value);
    }
    if let Some(part) = path.part {
        let inner = resource.entry(key).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(inner) = inner {
            let part = key_of(inner, part);
            match op {
                Op::Remove => drop(inner.remove(&part)),
                Op::Add | Op::Replace => drop(inner.insert(part, value)),
            }
        }
        return;
    }
    match (op, resource.get_mut(&key), value) {
        // Entra removes members by listing them as the value.
        (Op::Remove, Some(Value::Array(all)), Value::Array(gone)) => {
            all.retain(|one| !gone.iter().any(|gone| is_same(one, gone)));
        }
        (Op::Remove, _, _) => drop(resource.remove(&key)),
        (Op::Add, Some(Value::Array(all)), Value::Array(more)) => {
            for one in more {
                if !all.iter().any(|known| is_same(known, &one)) {
                    all.push(one);
                }
            }
        }
        (Op::Add, Some(Value::Array(all)), one @ Value::Object(_)) => {
            if !all.iter().any(|known| is_same(known, &one)) {
                all.push(one);
            }
        }
        (Op::Add | Op::Replace, Some(Value::Object(known)), Value::Object(more)) => {
            for (part, value) in more {
                let part = key_of(known, &part);
                known.insert(part, value);
            }
        }
        (Op::Add | Op::Replace, _, value) => drop(resource.insert(key, value)),
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    match (a.get("value"), b.get("value")) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Changes elements of a list that hold a text at a key; where none does, an added one is made.
fn among(
    resource: &mut Map<String, Value>,
    op: Op,
    (key, of, text, part): (&str, &str, &str, Option<&str>),
    value: Value,
) {
    let list = resource
        .entry(key.to_owned())
        .or_insert_with(|| Value::Array(Vec::new()));
    let Value::Array(all) = list else { return };
    let is_meant = |one: &Value| {
        let held = one.as_object().and_then(|one| attribute(one, of));
        match held {
            Some(Value::String(held)) => held.eq_ignore_ascii_case(text),
            Some(Value::Bool(held)) => held.to_string().eq_ignore_ascii_case(text),
            _ => false,
        }
    };
    if op == Op::Remove && part.is_none() {
        all.retain(|one| !is_meant(one));
        return;
    }
    if op != Op::Remove && !all.iter().any(is_meant) {
        let mut made = Map::new();
        made.insert(of.to_owned(), Value::String(text.to_owned()));
        all.push(Value::Object(made));
    }
    for one in all.iter_mut().filter(|one| is_meant(one)) {
        let Value::Object(one) = one else { continue };
        match (part, op, &value) {
            (Some(part), Op::Remove, _) => drop(one.remove(&key_of(one, part))),
            (Some(part), _, value) => drop(one.insert(key_of(one, part), value.clone())),
            (None, _, Value::Object(more)) => one.extend(more.clone()),
            (None, _, _) => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    fn patched(mut resource: Value, operations: Value) -> Value {
        let body = json!({ "Operations": operations });
        let map = resource.as_object_mut().unwrap();
        apply(map, body.as_object().unwrap()).unwrap();
        resource
    }

    #[test]
    fn changes_as_entra_and_okta_send_them() {
        let user = json!({"userName": "ann", "active": true, "emails": [{"type": "work", "value": "a@x.test"}]});
        let entra = json!([
            {"op": "Replace", "path": "active", "value": "False"},
            {"op": "Add", "path": "emails[type eq \"work\"].value", "value": "b@x.test"},
            {"op": "Add", "path": "name.givenName", "value": "Ann"},
            {"op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "d"},
        ]);
        let done = patched(user.clone(), entra);
        assert_eq!(done["active"], "False");
        assert_eq!(done["emails"], json!([{"type": "work", "value": "b@x.test"}]));
        assert_eq!(done["name"]["givenName"], "Ann");
        let okta = json!([{"op": "replace", "value": {"active": false, "USERNAME": "ann.lee"}}]);
        let done = patched(user, okta);
        assert_eq!((&done["active"], &done["userName"]), (&json!(false), &json!("ann.lee")));
    }

    #[test]
    fn members_come_and_go() {
        let group = json!({"displayName": "g", "members": [{"value": "1"}, {"value": "2"}, {"value": "3"}]});
        let done = patched(
            group,
            json!([
                {"op": "add", "path": "members", "value": [{"value": "2"}, {"value": "4"}]},
                {"op": "remove", "path": "members[value eq \"1\"]"},
                {"op": "Remove", "path": "members", "value": [{"value": "3"}]},
            ]),
        );
        assert_eq!(done["members"], json!([{"value": "2"}, {"value": "4"}]));
        assert_eq!(
            patched(done, json!([{"op": "remove", "path": "members"}])).get("members"),
            None
        );
    }

    #[test]
    fn what_is_not_understood_is_said() {
        let mut user = json!({});
        let map = user.as_object_mut().unwrap();
        for wrong in [
            json!({}),
            json!({"Operations": [{"op": "move", "path": "a"}]}),
            json!({"Operations": [{"op": "add", "path": "a[b", "value": 1}]}),
            json!({"Operations": [{"op": "add", "value": 1}]}),
            json!({"Operations": [7]}),
        ] {
            assert_eq!(
                apply(map, wrong.as_object().unwrap()).unwrap_err().status,
                400,
                "{wrong}"
            );
        }
    }
}
