//! Where records are in a file: `matches[]`, `results[].packages[]`, `advisories.*`, `[]`.

use super::node::Node;
use super::path::{Step, Wanted};

/// What a level goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// The elements of a list, or the one element that stands in its place.
    Elements,
    /// The values of an object.
    Values,
}

/// One level: down these keys, then over what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) names: Vec<String>,
    pub(crate) over: Over,
}

/// Levels from the outermost; none where the file is the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Levels(pub(crate) Vec<Level>);

impl Levels {
    /// Parses levels.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut levels = Vec::new();
        let mut names: Vec<String> = Vec::new();
        let spaced = text.replace("[]", ".[]");
        for word in spaced.split('.').map(str::trim).filter(|word| !word.is_empty()) {
            let over = match word {
                "[]" => Over::Elements,
                "*" => Over::Values,
                name if name.contains(['[', ']', '/', ' ']) => {
                    return Err(format!("\"{text}\": records are at keys, [] and *"));
                }
                name => {
                    names.push(name.to_owned());
                    continue;
                }
            };
            levels.push(Level {
                names: std::mem::take(&mut names),
                over,
            });
        }
        if !names.is_empty() {
            levels.push(Level {
                names,
                over: Over::Elements,
            });
        }
        Ok(Self(levels))
    }

    /// How much of the way to the first level is there in a file that begins so. A place at the top is better than nothing, and best
    /// where the file is a list.
    pub(crate) fn fit(&self, first: &Node<'_>) -> usize {
        let Some(level) = self.0.first() else { return 1 };
        if level.names.is_empty() && level.over == Over::Values {
            let next = self.0.get(1).and_then(|level| level.names.first());
            let found = |node: &Node<'_>| match (next, node) {
                (Some(name), node) => node.get(name).is_some(),
                (None, Node::List(all)) => matches!(all.first(), Some(Node::Map(_))),
                _ => false,
            };
            return match first {
                Node::Map(entries) if entries.iter().any(|(_, node)| found(node)) => 2,
                _ => 0,
            };
        }
        if level.names.is_empty() && matches!(first, Node::Map(_)) {
            // An object in the place of the list: what the elements hold must be in it.
            let next = self.0.get(1).and_then(|level| level.names.first());
            return usize::from(next.is_none_or(|name| first.get(name).is_some()));
        }
        if level.names.is_empty() {
            return 1 + usize::from(matches!(first, Node::List(_)));
        }
        let mut node = Some(first);
        let mut found = 0;
        for name in &level.names {
            node = node.and_then(|node| node.get(name));
            found += usize::from(node.is_some()) * 2;
        }
        found
    }

    /// The steps down the first so many levels.
    pub(crate) fn upto(&self, levels: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        for level in self.0.iter().take(levels) {
            steps.extend(level.names.iter().map(|name| Step::Name(name.clone())));
            if level.over == Over::Values {
                steps.push(Step::Any);
            }
        }
        steps
    }

    /// The steps down all levels.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.upto(self.0.len())
    }
}

/// The loops of a format over one file.
#[derive(Debug, Default)]
pub(crate) struct Loops {
    /// What is asked of the file around the records.
    pub(crate) head: Wanted,
    /// The way to the records.
    pub(crate) root: Loop,
}

/// A point on the way to records.
#[derive(Debug, Default)]
pub(crate) struct Loop {
    /// Ways on, by key.
    pub(crate) names: Vec<(String, Loop)>,
    /// The way on over elements.
    pub(crate) elements: Option<Box<Loop>>,
    /// The way on over values.
    pub(crate) values: Option<Box<Loop>>,
    /// Kinds of records that stand here.
    pub(crate) records: Vec<usize>,
    /// What is asked of a record that stands here.
    pub(crate) wanted: Wanted,
}

impl Loop {
    pub(crate) fn add(&mut self, levels: &[Level], record: usize, wanted: &Wanted) {
        let Some((level, rest)) = levels.split_first() else {
            self.records.push(record);
            self.wanted.merge(wanted);
            return;
        };
        let mut at = self;
        for name in &level.names {
            let found = at.names.iter().position(|(known, _)| known == name);
            let n = found.unwrap_or_else(|| {
                at.names.push((name.clone(), Self::default()));
                at.names.len() - 1
            });
            at = &mut at.names[n].1;
        }
        let next = match level.over {
            Over::Elements => &mut at.elements,
            Over::Values => &mut at.values,
        };
        next.get_or_insert_default().add(rest, record, wanted);
    }

    pub(crate) fn settle(&mut self) {
        self.wanted.settle();
        self.names.iter_mut().for_each(|(_, inner)| inner.settle());
        self.elements
            .iter_mut()
            .chain(&mut self.values)
            .for_each(|inner| inner.settle());
    }

    /// The way on by a key.
    pub(crate) fn by(&self, key: &str) -> Option<&Self> {
        self.names.iter().find(|(name, _)| name == key).map(|(_, inner)| inner)
    }

    /// What is asked of the file where it is read whole: everything on the way, and the records.
    pub(crate) fn ask(&self, wanted: &mut Wanted) {
        wanted.merge(&self.wanted);
        for (name, inner) in &self.names {
            inner.ask(wanted.key(name));
        }
        if let Some(inner) = &self.elements {
            inner.ask(wanted);
        }
        if let Some(inner) = &self.values {
            inner.ask(wanted.any.get_or_insert_default());
        }
    }
}

impl Loops {
    /// Everything that is asked of a file that is read whole.
    pub(crate) fn whole(&self) -> Wanted {
        let mut wanted = self.head.clone();
        self.root.ask(&mut wanted);
        wanted.settle();
        wanted
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn levels_are_keys_lists_and_objects() {
        let levels = Levels::parse("results.*[]").unwrap();
        assert_eq!(levels.0.len(), 2);
        assert_eq!(levels.0[0].over, Over::Values);
        assert!(levels.0[1].names.is_empty());
        assert!(Levels::parse(".").unwrap().0.is_empty());
        assert_eq!(Levels::parse("a.b[].c[]").unwrap().0[1].names, ["c"]);
        assert!(Levels::parse("a[0]").is_err());
    }
}
