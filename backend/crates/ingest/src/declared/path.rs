//! Paths into records: `a.b`, `a.*.b` (every value of an object), `a[0]`, `a[-1]`, `a[method=CVSSv31|CVSSv3].score`, `../a` (the
//! element around), `/a` (the file), `name:a` (a row of a lookup), `#key` (the key of the element in the object around it).
//!
//! Lists are transparent: `a.b` over a list of objects is the `b` of each.

use super::node::Node;

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The values of a key.
    Name(String),
    /// Every value of an object.
    Any,
    /// One element of a list; negative from its end.
    At(i64),
    /// The elements from this one on.
    From(usize),
    /// The elements where the value at these keys is one of these texts.
    Where(Vec<String>, Vec<String>),
    /// Not a step: only whether something is there is asked.
    Present,
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// At the record, or so many elements around it.
    Up(usize),
    /// At the file.
    File,
    /// At a row of a lookup.
    Row(String),
}

/// A path, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) start: Start,
    pub(crate) steps: Vec<Step>,
}

impl Path {
    /// Parses a path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let mut start = Start::Up(0);
        if let Some(inner) = rest.strip_prefix('/') {
            (start, rest) = (Start::File, inner);
        } else if let Some((name, inner)) = rest.split_once(':').filter(|(name, _)| is_lookup_name(name)) {
            (start, rest) = (Start::Row(name.to_owned()), inner);
        } else {
            let mut up = 0;
            while let Some(inner) = rest.strip_prefix("../") {
                up += 1;
                rest = inner;
            }
            if rest == ".." {
                up += 1;
                rest = "";
            }
            start = if up > 0 { Start::Up(up) } else { start };
        }
        Ok(Self {
            start,
            steps: steps(rest).map_err(|why| format!("path \"{text}\": {why}"))?,
        })
    }

    /// Whether it asks for the key of an element, not for what the element holds.
    pub(crate) fn is_of_key(&self) -> bool {
        matches!(self.steps.last(), Some(Step::Name(name)) if name == "#key")
    }

    /// The first text at the path below a node.
    pub(crate) fn first<'n>(&self, node: &'n Node<'_>) -> Option<&'n str> {
        first(&self.steps, node)
    }

    /// Hands each value at the path below a node to the closure.
    pub(crate) fn walk<'n, 'a>(&self, node: &'n Node<'a>, give: &mut dyn FnMut(&'n Node<'a>)) {
        walk(&self.steps, node, give);
    }
}

fn is_lookup_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Splits `a.b[0].c` into steps; `.` is the value itself, and a key with a dot is written in quotes.
fn steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            break;
        }
        if let Some(inner) = rest.strip_prefix('[') {
            let (inside, after) = inner.split_once(']').ok_or("'[' without ']'")?;
            if let Some(step) = bracket(inside)? {
                steps.push(step);
            }
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('"') {
            let (name, after) = inner.split_once('"').ok_or("a quote without its end")?;
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let name = rest[..end].trim();
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(format!(
                    "\"{}\" is no key; write keys with spaces in quotes",
                    &rest[..end]
                ));
            }
            steps.push(if name == "*" {
                Step::Any
            } else {
                Step::Name(name.to_owned())
            });
            rest = &rest[end..];
        }
    }
    Ok(steps)
}

fn bracket(inside: &str) -> Result<Option<Step>, String> {
    if inside.is_empty() {
        return Ok(None);
    }
    if let Some((key, values)) = inside.split_once('=') {
        let values = values.split('|').map(|value| value.trim().to_owned()).collect();
        return Ok(Some(Step::Where(
            key.split('.').map(|key| key.trim().to_owned()).collect(),
            values,
        )));
    }
    if let Some(from) = inside.strip_suffix(':') {
        let from = from
            .parse()
            .map_err(|_| format!("[{inside}] does not begin with a number"))?;
        return Ok(Some(Step::From(from)));
    }
    inside
        .parse()
        .map(|at| Some(Step::At(at)))
        .map_err(|_| format!("[{inside}] is neither a number nor key=value"))
}

/// The first text at a path. What is most common, keys of objects and lists, goes without a closure.
fn first<'n>(steps: &[Step], node: &'n Node<'_>) -> Option<&'n str> {
    match (steps, node) {
        ([] | [Step::Name(_) | Step::Any | Step::Where(..), ..], Node::List(all)) => {
            all.iter().find_map(|one| first(steps, one))
        }
        ([], one) => one.text(),
        ([Step::Name(name), rest @ ..], Node::Map(entries)) => {
            let mut named = entries.iter().filter(|(key, _)| is(key.as_bytes(), name.as_bytes()));
            named.find_map(|(_, value)| first(rest, value))
        }
        _ => {
            let mut text = None;
            walk(steps, node, &mut |found| {
                found.each(&mut |one| text = text.or_else(|| one.text()))
            });
            text
        }
    }
}

fn walk<'n, 'a>(steps: &[Step], node: &'n Node<'a>, give: &mut dyn FnMut(&'n Node<'a>)) {
    let Some((step, rest)) = steps.split_first() else {
        give(node);
        return;
    };
    match (step, node) {
        (Step::At(at), Node::List(all)) => {
            let at = if *at < 0 {
                all.len().cast_signed() as i64 + at
            } else {
                *at
            };
            if let Some(one) = usize::try_from(at).ok().and_then(|at| all.get(at)) {
                walk(rest, one, give);
            }
        }
        (Step::At(0 | -1), one) => walk(rest, one, give),
        (Step::From(from), Node::List(all)) => all.iter().skip(*from).for_each(|one| walk(rest, one, give)),
        (Step::Present, _) => walk(rest, node, give),
        (_, Node::List(all)) => all.iter().for_each(|one| walk(steps, one, give)),
        (Step::Name(name), Node::Map(entries)) => entries
            .iter()
            .filter(|(key, _)| is(key.as_bytes(), name.as_bytes()))
            .for_each(|(_, value)| walk(rest, value, give)),
        // An XML element with text and no attributes is its text.
        (Step::Name(name), Node::Text(_)) if name == "#text" => walk(rest, node, give),
        (Step::Any, Node::Map(entries)) => entries.iter().for_each(|(_, value)| walk(rest, value, give)),
        (Step::Where(keys, values), Node::Map(_)) => {
            let found = keys.iter().try_fold(node, |node, key| node.get(key));
            if found.is_some_and(|found| found.is_one_of(values)) {
                walk(rest, node, give);
            }
        }
        _ => {}
    }
}

/// Whether two keys are the same. They are short, so that a few words of them are compared where they stand.
#[inline]
pub(super) fn is(one: &[u8], other: &[u8]) -> bool {
    match one.len() {
        length if length != other.len() => false,
        0..4 => one == other,
        4..8 => one.first_chunk::<4>() == other.first_chunk::<4>() && one.last_chunk::<4>() == other.last_chunk::<4>(),
        8..=16 => {
            one.first_chunk::<8>() == other.first_chunk::<8>() && one.last_chunk::<8>() == other.last_chunk::<8>()
        }
        _ => one.last_chunk::<16>() == other.last_chunk::<16>() && one == other,
    }
}

/// What a format asks of a record: which keys, and everything below where nothing more is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The whole value.
    pub(crate) whole: bool,
    /// Whether there is one.
    pub(crate) present: bool,
    /// Of an object, these keys.
    pub(crate) keys: Vec<(String, Wanted)>,
    /// Of an object, every key.
    pub(crate) any: Option<Box<Wanted>>,
}

impl Wanted {
    /// Asks for all there is.
    pub(crate) const fn all() -> &'static Self {
        &WHOLE
    }

    /// Asks for these paths, which are right.
    pub(crate) fn of_paths(paths: &[&str]) -> Self {
        let mut wanted = Self::default();
        let parsed = paths.iter().filter_map(|path| Path::parse(path).ok());
        parsed.for_each(|path| wanted.add(&path.steps));
        wanted.settle();
        wanted
    }

    /// Asks for a path.
    pub(crate) fn add(&mut self, steps: &[Step]) {
        let Some((step, rest)) = steps.split_first() else {
            self.whole = true;
            return;
        };
        match step {
            Step::Name(name) => self.key(name).add(rest),
            Step::Any => self.any.get_or_insert_default().add(rest),
            Step::At(_) | Step::From(_) => self.add(rest),
            Step::Present => self.present = true,
            Step::Where(keys, _) => {
                let of_key = keys.iter().fold(&mut *self, |wanted, key| wanted.key(key));
                of_key.whole = true;
                self.add(rest);
            }
        }
    }

    /// What is asked of a key, to be added to.
    pub(crate) fn key(&mut self, name: &str) -> &mut Self {
        let at = match self.keys.iter().position(|(key, _)| key == name) {
            Some(at) => at,
            None => {
                self.keys.push((name.to_owned(), Self::default()));
                self.keys.len() - 1
            }
        };
        &mut self.keys[at].1
    }

    /// What is asked of a key; none where nothing is.
    pub(crate) fn of(&self, key: impl AsRef<[u8]>) -> Option<&Self> {
        if self.whole {
            return Some(&WHOLE);
        }
        let named = self
            .keys
            .iter()
            .find(|(name, _)| is(name.as_bytes(), key.as_ref()))
            .map(|(_, wanted)| wanted);
        named.or(self.any.as_deref())
    }

    /// Lets what is asked of every key be asked of the named ones too; to be called once all paths are in.
    pub(crate) fn settle(&mut self) {
        if let Some(any) = self.any.clone() {
            self.keys.iter_mut().for_each(|(_, wanted)| wanted.merge(&any));
        }
        self.keys.iter_mut().for_each(|(_, wanted)| wanted.settle());
        if let Some(any) = &mut self.any {
            any.settle();
        }
    }

    /// Asks for all that another asks for.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.whole |= other.whole;
        self.present |= other.present;
        for (key, wanted) in &other.keys {
            self.key(key).merge(wanted);
        }
        if let Some(any) = &other.any {
            self.any.get_or_insert_default().merge(any);
        }
    }

    /// Whether nothing is asked.
    pub(crate) fn is_empty(&self) -> bool {
        !self.whole && !self.present && self.keys.is_empty() && self.any.is_none()
    }

    /// Whether only is asked if there is a value.
    pub(crate) fn only_presence(&self) -> bool {
        self.present && !self.whole && self.keys.is_empty() && self.any.is_none()
    }
}

static WHOLE: Wanted = Wanted {
    whole: true,
    present: false,
    keys: Vec::new(),
    any: None,
};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn all(path: &str, json: &str) -> Vec<String> {
        let arena = bumpalo::Bump::new();
        let node = Node::of(&serde_json::from_str(json).unwrap(), &arena);
        let mut found = Vec::new();
        Path::parse(path)
            .unwrap()
            .walk(&node, &mut |node| found.extend(node.text().map(str::to_owned)));
        found
    }

    #[test]
    fn paths_go_through_lists_objects_and_conditions() {
        let json = r#"{"a":[{"b":1},{"b":2,"c":"x"}],"m":{"p":{"v":3},"q":{"v":4}},"k.l":5}"#;
        assert_eq!(all("a.b", json), ["1", "2"]);
        assert_eq!(all("a[1].b", json), ["2"]);
        assert_eq!(all("a[-1].b", json), ["2"]);
        assert_eq!(all("a[c=X|y].b", json), ["2"]);
        assert_eq!(all("m.*.v", json), ["3", "4"]);
        assert_eq!(all("\"k.l\"", json), ["5"]);
        assert!(all("a.b.c", json).is_empty());
        assert!(Path::parse("a[").is_err());
    }
}
