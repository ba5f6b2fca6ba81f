//! Parses JSON into [`Node`]s, building only what is asked for; the rest is checked and passed over.

use super::node::Node;
use super::path::Wanted;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// Builds what is asked for of one value.
#[derive(Clone, Copy)]
pub(crate) struct Pick<'w>(pub(crate) &'w Wanted);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        if self.0.is_empty() {
            return IgnoredAny::deserialize_in(deserializer);
        }
        deserializer.deserialize_any(self)
    }
}

/// Passes over a value.
trait Passing<'de> {
    fn deserialize_in<D: Deserializer<'de>>(deserializer: D) -> Result<Node<'de>, D::Error>;
}

impl<'de> Passing<'de> for IgnoredAny {
    fn deserialize_in<D: Deserializer<'de>>(deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_ignored_any(Self).map(|_| Node::Null)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Int(value))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(i64::try_from(value).map_or_else(|_| Node::Text(Cow::Owned(value.to_string())), Node::Int))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Float(value))
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(value)))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Node<'de>, A::Error> {
        let mut list = Vec::new();
        if self.0.only_presence() {
            while all.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Node::List(list));
        }
        while let Some(one) = all.next_element_seed(self)? {
            list.push(one);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        // No more than is asked for, where single keys are: one allocation.
        let mut map = Vec::with_capacity(self.0.keys.len());
        while let Some(key) = entries.next_key_seed(Key)? {
            match self.0.of(&key) {
                Some(wanted) => map.push((key, entries.next_value_seed(Pick(wanted))?)),
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Node::Map(map))
    }
}

/// A key, borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
