//! The room of an auditor from outside: named frameworks, a window of time, an end, and every reading written down.

use super::{Permission, Principal};
use uuid::Uuid;

/// What somebody may look at, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Frameworks; all, where none is named.
    pub frameworks: Vec<String>,
    /// From when on, microseconds.
    pub from: i64,
    /// Until before when.
    pub until: i64,
}

impl Room {
    /// Whether something of a framework and a span lies in it.
    #[must_use]
    pub fn holds(&self, framework: &str, (start, end): (i64, i64)) -> bool {
        let named = self.frameworks.is_empty() || self.frameworks.iter().any(|one| one == framework);
        named && start >= self.from && end <= self.until
    }
}

impl Principal {
    /// Whether they may see something of a framework and a span, in a project or over all.
    #[must_use]
    pub fn admits<P: Permission>(&self, project: Option<Uuid>, framework: &str, span: (i64, i64)) -> bool {
        self.grants
            .iter()
            .filter(|grant| P::ROLES.contains(&grant.role))
            .any(|grant| {
                let reaches = grant.project.is_none() || project.is_some() && grant.project == project;
                reaches
                    && grant
                        .room
                        .as_ref()
                        .is_none_or(|room| P::IN_ROOM && room.holds(framework, span))
            })
    }

    /// Whether they see a project from a room alone.
    #[must_use]
    pub fn is_guest(&self, project: Option<Uuid>) -> bool {
        let reaches = |grant: &&super::Grant| grant.project.is_none() || project.is_none() || grant.project == project;
        let mut held = self.grants.iter().filter(reaches).peekable();
        held.peek().is_some() && held.all(|grant| grant.room.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_walls() {
        let room = Room {
            frameworks: vec!["sox".to_owned()],
            from: 10,
            until: 20,
        };
        assert!(room.holds("sox", (10, 20)) && room.holds("sox", (12, 12)));
        assert!(!room.holds("hipaa", (12, 12)) && !room.holds("sox", (9, 12)) && !room.holds("sox", (12, 21)));
    }
}
