//! What an import changes: which findings are new, seen again, reopened or closed.
//!
//! Matching is by multiset: the k-th occurrence of a fingerprint in the file is the k-th stored occurrence of it, so
//! that the order in the file does not matter and two equal findings stay two.

use crate::{Severity, fingerprint::Fingerprint};
use std::collections::{HashMap, HashSet};

/// Whether the file is the whole truth for its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// What is absent closes, what returns reopens.
    Snapshot,
    /// Only adds.
    Delta,
}

impl std::str::FromStr for Mode {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "snapshot" => Ok(Self::Snapshot),
            "delta" => Ok(Self::Delta),
            other => Err(format!("unknown mode \"{other}\": use snapshot or delta")),
        }
    }
}

impl Mode {
    /// The word in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Delta => "delta",
        }
    }
}

/// State of a stored finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Open.
    Open,
    /// Closed.
    Closed,
    /// Set aside by the scanner itself; not open.
    Suppressed,
}

/// A stored finding as matching sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Position in the caller's list.
    pub key: u32,
    /// Its state.
    pub state: State,
    /// Its severity.
    pub severity: Severity,
    /// Whether the file mentioned it.
    seen: bool,
}

impl Stored {
    /// A stored finding that the file has not mentioned yet.
    #[must_use]
    pub const fn new(key: u32, state: State, severity: Severity) -> Self {
        Self {
            key,
            state,
            severity,
            seen: false,
        }
    }
}

/// What an observed failure means for what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A new finding; the number tells equal ones apart, from 0.
    Create(u32),
    /// Stored and in the same state.
    SeenAgain(u32),
    /// Stored, and its state or severity changes.
    Change(u32, State),
}

/// Matches the failures of one file with the stored findings of its scope.
#[derive(Debug, Default)]
pub struct Matcher {
    /// In order of fingerprint and occurrence: 32 bytes each, for scopes of a million.
    stored: Vec<(Fingerprint, Stored)>,
    /// What is not stored comes once in most files; only what comes again is counted.
    once: HashSet<Fingerprint>,
    again: HashMap<Fingerprint, u32>,
    historic: bool,
}

impl Matcher {
    /// A matcher over what is stored, in order of occurrence. A `historic` file (older than the scope's latest) closes and
    /// reopens nothing.
    #[must_use]
    pub fn new(mut stored: Vec<(Fingerprint, Stored)>, historic: bool) -> Self {
        stored.sort_by_key(|(fingerprint, _)| *fingerprint);
        Self {
            stored,
            historic,
            ..Self::default()
        }
    }

    /// What one observed failure means. `wanted` is the state that the file gives it.
    pub fn observe(&mut self, fingerprint: Fingerprint, wanted: State, severity: Severity) -> Verdict {
        let first = self.stored.partition_point(|(stored, _)| *stored < fingerprint);
        let is_first = match self.stored.get(first) {
            Some((stored, finding)) if *stored == fingerprint => !finding.seen,
            _ => self.once.insert(fingerprint),
        };
        let occurrence = if is_first {
            0
        } else {
            let times = self.again.entry(fingerprint).or_insert(0);
            *times += 1;
            *times
        };
        match self.stored.get_mut(first + occurrence as usize) {
            Some((stored, finding)) if *stored == fingerprint => {
                finding.seen = true;
                if self.historic || (finding.state == wanted && finding.severity == severity) {
                    Verdict::SeenAgain(finding.key)
                } else {
                    Verdict::Change(finding.key, wanted)
                }
            }
            _ => Verdict::Create(occurrence),
        }
    }

    /// The keys of stored findings that the file does not mention and that close for it, ascending.
    #[must_use]
    pub fn absent(&self, mode: Mode) -> Vec<u32> {
        if mode == Mode::Delta || self.historic {
            return Vec::new();
        }
        let is_absent = |stored: &&Stored| !stored.seen && stored.state != State::Closed;
        let stored = self.stored.iter().map(|(_, stored)| stored);
        let mut absent: Vec<u32> = stored.filter(is_absent).map(|stored| stored.key).collect();
        absent.sort_unstable();
        absent
    }
}

/// Findings that must close in one import before it is asked whether that is meant.
pub const MASS_CLOSE_MIN: u64 = 20;

/// Whether an import closes so much that a person should confirm it: 20 or more, and over half of what is open.
#[must_use]
pub const fn is_mass_close(closing: u64, open_before: u64) -> bool {
    closing >= MASS_CLOSE_MIN && closing * 2 > open_before
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(stored: &[(u8, bool)], file: &[u8], mode: Mode) -> (usize, usize, usize, usize) {
        let existing = stored.iter().enumerate().map(|(n, (fp, open))| {
            let state = if *open { State::Open } else { State::Closed };
            (
                Fingerprint(u128::from(*fp)),
                Stored::new(u32::try_from(n).unwrap(), state, Severity::Low),
            )
        });
        let mut matcher = Matcher::new(existing.collect(), false);
        let (mut created, mut seen, mut changed) = (0, 0, 0);
        for fp in file {
            match matcher.observe(Fingerprint(u128::from(*fp)), State::Open, Severity::Low) {
                Verdict::Create(_) => created += 1,
                Verdict::SeenAgain(_) => seen += 1,
                Verdict::Change(..) => changed += 1,
            }
        }
        (created, seen, changed, matcher.absent(mode).len())
    }

    proptest! {
        #[test]
        fn order_changes_nothing(stored in proptest::collection::vec((0u8..6, any::<bool>()), 0..20), file in proptest::collection::vec(0u8..6, 0..20)) {
            let mut reversed = file.clone();
            reversed.reverse();
            prop_assert_eq!(run(&stored, &file, Mode::Snapshot), run(&stored, &reversed, Mode::Snapshot));
        }

        #[test]
        fn after_a_snapshot_what_is_open_is_what_the_file_holds(stored in proptest::collection::vec((0u8..6, any::<bool>()), 0..20), file in proptest::collection::vec(0u8..6, 0..20)) {
            let open = stored.iter().filter(|(_, open)| *open).count();
            let (created, seen, changed, closed) = run(&stored, &file, Mode::Snapshot);
            prop_assert_eq!(open + created + changed - closed, file.len());
            prop_assert_eq!(created + seen + changed, file.len());
        }

        #[test]
        fn a_delta_closes_nothing(stored in proptest::collection::vec((0u8..6, any::<bool>()), 0..20), file in proptest::collection::vec(0u8..6, 0..20)) {
            prop_assert_eq!(run(&stored, &file, Mode::Delta).3, 0);
        }

        #[test]
        fn the_same_file_again_changes_nothing(file in proptest::collection::vec(0u8..6, 0..20)) {
            let mut stored: Vec<(u8, bool)> = file.iter().map(|fp| (*fp, true)).collect();
            stored.sort_unstable();
            prop_assert_eq!(run(&stored, &file, Mode::Snapshot), (0, file.len(), 0, 0));
        }
    }

    #[test]
    fn an_older_file_closes_and_reopens_nothing() {
        let stored = [
            (Fingerprint(1), Stored::new(0, State::Closed, Severity::Low)),
            (Fingerprint(2), Stored::new(1, State::Open, Severity::Low)),
        ];
        let mut matcher = Matcher::new(stored.to_vec(), true);
        assert_eq!(
            matcher.observe(Fingerprint(1), State::Open, Severity::Low),
            Verdict::SeenAgain(0)
        );
        assert!(matcher.absent(Mode::Snapshot).is_empty());
    }

    #[test]
    fn a_mass_close_is_twenty_and_over_half() {
        assert!(is_mass_close(20, 39));
        assert!(!is_mass_close(20, 40));
        assert!(!is_mass_close(19, 19));
    }
}
