//! Names of those who act, as records bear them.

/// What stands between a person and what they act by.
const VIA: &str = " via ";

/// The name of a person who acts by a token of theirs.
#[must_use]
pub fn by_token(person: &str, token: &str) -> String {
    format!("{person}{VIA}token {token}")
}

/// Who acts: the person behind a token, or the name itself. Names of people never hold the words between.
#[must_use]
pub fn person_behind(name: &str) -> &str {
    name.split_once(VIA).map_or(name, |(person, _)| person)
}

/// Whether two acts are by one and the same: four eyes need two.
fn are_one(a: &str, b: &str) -> bool {
    person_behind(a) == person_behind(b)
}

/// What the names of tokens begin with that stand for no person.
const NAMELESS: &str = "token:";

/// The name of a token that stands for no person.
#[must_use]
pub fn nameless(token: &str) -> String {
    format!("{NAMELESS}{token}")
}

/// Whether nobody knows which person acted: anybody may hold such a token.
#[must_use]
pub fn is_nameless(name: &str) -> bool {
    name.starts_with(NAMELESS)
}

/// Who acts, and what is known of the person behind.
#[derive(Clone, Copy, Debug)]
pub struct Actor<'a> {
    /// Name in records.
    pub name: &'a str,
    /// The person behind.
    pub behind: Behind,
}

/// What is known of the person behind an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Who it is, or that they have the machine itself.
    Known,
    /// That it is a person at a browser, and not which.
    Somebody,
    /// Nothing: whoever holds a token.
    Nobody,
}

impl<'a> Actor<'a> {
    /// A person, or who has the machine.
    #[must_use]
    pub const fn known(name: &'a str) -> Self {
        Self {
            name,
            behind: Behind::Known,
        }
    }

    /// Whether they are a second pair of eyes on what somebody asked for. A token without a person is never one: whoever asked may hold it.
    /// For the same reason somebody without a name is none on what such a token asked for.
    #[must_use]
    pub fn is_second_to(&self, first: &str) -> bool {
        let may_differ = match self.behind {
            Behind::Known => true,
            Behind::Somebody => !is_nameless(first),
            Behind::Nobody => false,
        };
        may_differ && !are_one(first, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_no_second_pair_of_eyes() {
        assert!(are_one("Ann Lee", &by_token("Ann Lee", "ci")));
        assert!(are_one(
            &by_token("Ann Lee", "a"),
            &by_token("Ann Lee", "b via token c")
        ));
        assert!(!are_one("Ann Lee", "Ann Lee (2)"));
        let who = |name, behind| Actor { name, behind };
        let token = who("token:ci", Behind::Nobody);
        assert!(!token.is_second_to("Ann Lee") && !token.is_second_to("token:other"));
        let ann = Actor::known("Ann Lee via token ci");
        assert!(!ann.is_second_to("Ann Lee") && ann.is_second_to("Ben Roe") && ann.is_second_to("token:ci"));
        let emergency = who("break-glass", Behind::Somebody);
        assert!(emergency.is_second_to("Ann Lee") && !emergency.is_second_to("token:ci"));
        assert!(is_nameless(&nameless("ci")) && !is_nameless(&by_token("Ann Lee", "ci")));
    }
}
