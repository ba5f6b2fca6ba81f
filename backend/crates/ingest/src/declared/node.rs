//! One record of any container (JSON, CSV, XML) as a small tree of what a format asks for, borrowed where it can be.

use bumpalo::Bump;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Deref;

/// A value of a record. XML attributes have keys that begin with `@`, the text of an element with attributes is `#text`.
#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    /// Nothing, or not asked for.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Values in order.
    List(Many<'a, Node<'a>>),
    /// Values by key, in the order of the file; XML repeats keys.
    Map(Many<'a, (Cow<'a, str>, Node<'a>)>),
}

/// Values in a row: held, or lent by whoever read the record.
#[derive(Clone, Debug)]
pub enum Many<'a, T> {
    /// Its own.
    Held(Vec<T>),
    /// Of the arena of a record.
    Lent(&'a [T]),
}

impl<T> Deref for Many<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Held(all) => all,
            Self::Lent(all) => all,
        }
    }
}

impl<T: PartialEq> PartialEq for Many<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T> FromIterator<T> for Many<'_, T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        Self::Held(all.into_iter().collect())
    }
}

impl<T> From<Vec<T>> for Many<'_, T> {
    fn from(all: Vec<T>) -> Self {
        Self::Held(all)
    }
}

impl<'a> Node<'a> {
    /// The value as text; none where it is nothing, empty, or not a single value. A number is written into the arena.
    pub(crate) fn text<'n>(&'n self, arena: &'n Bump) -> Option<&'n str> {
        match self {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            Self::Bool(value) => Some(if *value { "true" } else { "false" }),
            Self::Int(value) => Some(bumpalo::format!(in arena, "{}", value).into_bump_str()),
            Self::Float(value) => Some(bumpalo::format!(in arena, "{}", value).into_bump_str()),
            Self::Map(_) => self.get("#text").and_then(|text| text.text(arena)),
            Self::Null | Self::List(_) => None,
        }
    }

    /// Whether its text is one of these, whatever the case.
    pub(crate) fn is_one_of(&self, words: &[String]) -> bool {
        let is = |text: &str| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        match self {
            Self::Text(text) => is(text.trim()),
            _ => self.text(&Bump::new()).is_some_and(is),
        }
    }

    /// The first value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node<'a>> {
        match self {
            Self::Map(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
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

impl From<&serde_json::Value> for Node<'static> {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(value) => Self::Int(value),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::Text(Cow::Owned(text.clone())),
            serde_json::Value::Array(all) => Self::List(all.iter().map(Node::from).collect()),
            serde_json::Value::Object(map) => Self::Map(
                map.iter()
                    .map(|(key, value)| (Cow::Owned(key.clone()), Node::from(value)))
                    .collect(),
            ),
        }
    }
}

impl From<&Node<'_>> for serde_json::Value {
    fn from(node: &Node<'_>) -> Self {
        match node {
            Node::Null => Self::Null,
            Node::Bool(value) => Self::Bool(*value),
            Node::Int(value) => Self::from(*value),
            Node::Float(value) => Self::from(*value),
            Node::Text(text) => Self::String(text.clone().into_owned()),
            Node::List(all) => Self::Array(all.iter().map(Self::from).collect()),
            Node::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.clone().into_owned(), Self::from(value)))
                .collect(),
        }
    }
}
