//! Looks at the first bytes of a file to tell what it is, without reading it all.

use crate::declared::{Container, Node, column, separator, sniff_xml};
use bumpalo::Bump;
use bumpalo::collections::Vec as ArenaVec;
use serde_json::{Map, Value};

/// The first bytes of a file, understood as far as they go.
pub struct Sniff<'n> {
    /// The first JSON value, as far as it goes; none where the file is not JSON.
    pub json: Option<Value>,
    /// The head line of a CSV file, split, lower case; empty where the file is not one.
    pub header: Vec<String>,
    /// Nothing but white space.
    pub blank: bool,
    /// The first bytes as text.
    pub(crate) text: String,
    /// What holds the records, by the first byte.
    pub(crate) container: Container,
    /// The beginning as declarative formats see it: JSON's first value, XML's first element, the columns of a table.
    pub(crate) node: Node<'n>,
}

impl<'n> Sniff<'n> {
    /// Looks at a prefix; what is understood of it lies in the arena.
    #[must_use]
    pub fn of(prefix: &[u8], arena: &'n Bump) -> Self {
        let text = String::from_utf8_lossy(prefix);
        let trimmed = text.trim_start();
        let json = matches!(trimmed.as_bytes().first(), Some(b'{' | b'[' | b'n'))
            .then(|| {
                Partial {
                    bytes: trimmed.as_bytes(),
                    at: 0,
                    depth: 0,
                }
                .value()
            })
            .flatten();
        let xml = sniff_xml(prefix, arena);
        let header = if json.is_none() && xml.is_none() {
            header(trimmed)
        } else {
            Vec::new()
        };
        let (container, node) = match (&json, xml) {
            (Some(value), _) => (Container::Json, Node::of(value, arena)),
            (None, Some(node)) => (Container::Xml, node),
            (None, None) => (Container::Csv, columns(trimmed, arena)),
        };
        Self {
            json,
            header,
            blank: trimmed.is_empty(),
            text: text.chars().take(20_000).collect(),
            container,
            node,
        }
    }

    /// The first record: the value itself, or the first element of an array.
    #[must_use]
    pub fn first(&self) -> Option<&Value> {
        match self.json.as_ref()? {
            Value::Array(all) => all.first(),
            value => Some(value),
        }
    }

    /// Whether the first record is an object with this key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.first().is_some_and(|value| value.get(key).is_some())
    }

    /// Whether the file is the value `null` or an empty array: nothing, of any tool.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        match &self.json {
            Some(Value::Null) => true,
            Some(Value::Array(all)) => all.is_empty(),
            _ => false,
        }
    }
}

/// Whether each line is a JSON value of its own.
pub(crate) fn is_lines(prefix: &[u8]) -> bool {
    let text = prefix.trim_ascii_start();
    let Some(end) = memchr::memchr(b'\n', text) else {
        return false;
    };
    let first = text[..end].trim_ascii_end();
    let rest = text[end..].trim_ascii_start();
    let whole = first.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(first).is_ok();
    !rest.is_empty() && (whole || first.starts_with(b"{") && first.ends_with(b"}") && rest.starts_with(b"{"))
}

/// The columns of a table, each with itself as its value.
fn columns<'n>(text: &str, arena: &'n Bump) -> Node<'n> {
    let line = text.lines().next().unwrap_or_default();
    let fields = line.split(char::from(separator(line.as_bytes())));
    let names = fields.map(|field| &*arena.alloc_str(&column(field.trim().trim_matches('"'))));
    let entries = names.map(|name| (name, Node::Text(name)));
    Node::Map(ArenaVec::from_iter_in(entries, arena).into_bump_slice())
}

fn header(text: &str) -> Vec<String> {
    let line = text.lines().next().unwrap_or_default();
    let separator = if line.matches(';').count() > line.matches(',').count() {
        ';'
    } else {
        ','
    };
    if !line.contains(separator) || line.chars().any(|c| c.is_control() && c != '\t') {
        return Vec::new();
    }
    line.split(separator)
        .map(|field| field.trim().trim_matches('"').to_ascii_lowercase())
        .collect()
}

/// Reads JSON that may end anywhere; what is there by then is kept.
struct Partial<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl Partial<'_> {
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn value(&mut self) -> Option<Value> {
        match self.peek()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::array),
            b'"' => self.string().map(Value::String),
            _ => self.word(),
        }
    }

    fn nested(&mut self, inner: impl Fn(&mut Self) -> Value) -> Option<Value> {
        if self.depth >= 24 {
            self.at = self.bytes.len();
            return None;
        }
        self.depth += 1;
        self.at += 1;
        let value = inner(self);
        self.depth -= 1;
        Some(value)
    }

    fn object(&mut self) -> Value {
        let mut map = Map::new();
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    let Some(key) = self.string() else { break };
                    if self.peek() != Some(b':') {
                        break;
                    }
                    self.at += 1;
                    let Some(value) = self.value() else {
                        map.insert(key, Value::Null);
                        break;
                    };
                    map.insert(key, value);
                }
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    break;
                }
                _ => {
                    self.at = self.bytes.len();
                    break;
                }
            }
        }
        Value::Object(map)
    }

    fn array(&mut self) -> Value {
        let mut all = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    break;
                }
                _ => match self.value() {
                    Some(value) => all.push(value),
                    None => break,
                },
            }
        }
        Value::Array(all)
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        let mut at = start + 1;
        loop {
            match self.bytes.get(at)? {
                b'\\' => at += 2,
                b'"' => break,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        Some(serde_json::from_slice(&self.bytes[start..=at]).unwrap_or_default())
    }

    fn word(&mut self) -> Option<Value> {
        let start = self.at;
        while self
            .bytes
            .get(self.at)
            .is_some_and(|b| !matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
        {
            self.at += 1;
        }
        let word = &self.bytes[start..self.at];
        match serde_json::from_slice(word) {
            Ok(value) => Some(value),
            Err(_) => {
                self.at = self.bytes.len();
                None
            }
        }
    }
}
