//! One record of any container (JSON, CSV, XML) as a small tree of what a format asks for, borrowed where it can be.

use bumpalo::Bump;
use std::borrow::Cow;
use std::collections::HashMap;

/// A value of a record: a few words that are copied freely, over what lies in the bytes read or in the arena of whoever read them. XML
/// attributes have keys that begin with `@`, the text of an element with attributes is `#text`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Node<'a> {
    /// Nothing, or not asked for.
    Null,
    /// A truth value.
    Bool(bool),
    /// A number in its plainest form: no exponent, and no zero behind a point that says nothing.
    Number(&'a str),
    /// Text.
    Text(&'a str),
    /// Values in order.
    List(&'a [Node<'a>]),
    /// Values by key, in the order of the file; XML repeats keys.
    Map(&'a [(&'a str, Node<'a>)]),
}

impl<'a> Node<'a> {
    /// The value as text; none where it is nothing, empty, or not a single value.
    #[inline]
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(trimmed(text)).filter(|text| !text.is_empty()),
            Self::Number(text) => Some(text),
            Self::Bool(value) => Some(if *value { "true" } else { "false" }),
            Self::Map(_) => self.get("#text").and_then(Self::text),
            Self::Null | Self::List(_) => None,
        }
    }

    /// A value of the JSON library.
    pub(crate) fn of(value: &serde_json::Value, arena: &'a Bump) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => Self::Number(arena.alloc_str(&plain(&number.to_string()))),
            serde_json::Value::String(text) => Self::Text(arena.alloc_str(text)),
            serde_json::Value::Array(all) => {
                Self::List(arena.alloc_slice_fill_iter(all.iter().map(|value| Self::of(value, arena))))
            }
            serde_json::Value::Object(map) => Self::Map(
                arena.alloc_slice_fill_iter(
                    map.iter()
                        .map(|(key, value)| (&*arena.alloc_str(key), Self::of(value, arena))),
                ),
            ),
        }
    }

    /// Whether its text is one of these, whatever the case.
    pub(crate) fn is_one_of(&self, words: &[String]) -> bool {
        let is = |text: &str| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        match self {
            Self::Text(text) => is(text.trim()),
            _ => self.text().is_some_and(is),
        }
    }

    /// The first value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| *name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value down these keys; of a list, its first element.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<&Node<'a>> {
        keys.iter().try_fold(self, |node, key| match node {
            Self::List(all) => all.first()?.get(key),
            node => node.get(key),
        })
    }

    /// The text down these keys, as it stands; none where something else stands there.
    pub(crate) fn text_at(&self, keys: &[&str]) -> Option<&'a str> {
        match self.at(keys)? {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as text; of a list, its first.
    pub(crate) fn first_text(&self) -> Option<&str> {
        match self {
            Self::List(all) => all.iter().find_map(Self::text),
            one => one.text(),
        }
    }

    /// As a value of the JSON library.
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(text) => serde_json::from_str(text).unwrap_or_default(),
            Self::Text(text) => (*text).into(),
            Self::List(all) => all.iter().map(Node::json).collect(),
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.json()))
                .collect(),
        }
    }

    /// Hands each value to the closure: those of a list, else the value itself; nothing is not handed over.
    pub(crate) fn each<'n>(&'n self, give: &mut dyn FnMut(&'n Node<'a>)) {
        match self {
            Self::List(all) => all.iter().for_each(|one| one.each(give)),
            Self::Null => {}
            one => give(one),
        }
    }

    /// Whether it is an element of its own: not nothing and not a single value.
    pub(crate) fn is_container(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_))
    }
}

/// The entries of an object by key, so that a large one is not searched over and over. XML repeats keys.
pub(crate) struct Index<'n>(HashMap<&'n str, Vec<&'n Node<'n>>>);

impl<'n> Index<'n> {
    /// The entries of a node; none where it is no object.
    pub(crate) fn of(node: &'n Node<'n>) -> Self {
        let mut all: HashMap<&str, Vec<&Node<'_>>> = HashMap::new();
        if let Node::Map(entries) = node {
            for (key, value) in entries.iter() {
                all.entry(key).or_default().push(value);
            }
        }
        Self(all)
    }

    /// The first value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node<'n>> {
        self.nth(key, 0)
    }

    /// The n-th value of a key.
    pub(crate) fn nth(&self, key: &str, n: usize) -> Option<&'n Node<'n>> {
        self.0.get(key)?.get(n).copied()
    }
}

/// Without white space around it. Most texts have none, which their ends tell.
#[inline]
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

/// The plainest form of a number of JSON: `7` for `7.0`, `1000` for `1e3`. Most are in it already.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let is_whole = digits.iter().all(u8::is_ascii_digit) && text != "-0";
    let is_short = || {
        digits.len() <= 15
            && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
            && digits.contains(&b'.')
            && digits.last() != Some(&b'0')
    };
    if is_whole || is_short() {
        return Cow::Borrowed(text);
    }
    match text.parse::<f64>() {
        // Negative zero is zero.
        Ok(number) if number.is_finite() => Cow::Owned((number + 0.0).to_string()),
        _ => Cow::Borrowed(text),
    }
}
