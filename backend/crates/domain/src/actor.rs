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
#[must_use]
pub fn are_one(a: &str, b: &str) -> bool {
    person_behind(a) == person_behind(b)
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
        assert!(!are_one("token:ci", "token:other"));
    }
}
