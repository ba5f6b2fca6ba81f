//! Filters of RFC 7644 section 3.4.2.2 as directories send them: `attribute eq "text"`, joined by `and`.

use super::Fault;

/// The attributes of a filter with the text of each; none where there is no filter.
pub(super) fn parse(filter: &str, known: &[&'static str]) -> Result<Vec<(&'static str, String)>, Fault> {
    let refused = || {
        let all = known.join(", ");
        Fault::new(
            400,
            "invalidFilter",
            format!("a filter is ATTRIBUTE eq \"TEXT\", joined by and; attributes are {all}"),
        )
    };
    let mut rest = filter.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once(char::is_whitespace).ok_or_else(refused)?;
        let name = name.rsplit(':').next().unwrap_or(name);
        let name = known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .ok_or_else(refused)?;
        let (operator, after) = after.trim_start().split_once(char::is_whitespace).ok_or_else(refused)?;
        if !operator.eq_ignore_ascii_case("eq") {
            return Err(refused());
        }
        let (text, after) = quoted(after.trim_start()).ok_or_else(refused)?;
        found.push((*name, text));
        rest = match after.trim_start() {
            "" => "",
            after => {
                let (word, next) = after.split_once(char::is_whitespace).ok_or_else(refused)?;
                if !word.eq_ignore_ascii_case("and") || next.trim().is_empty() {
                    return Err(refused());
                }
                next.trim_start()
            }
        };
    }
    Ok(found)
}

/// A text in quotes at the beginning, as JSON writes it, and what stands behind it.
pub(super) fn quoted(text: &str) -> Option<(String, &str)> {
    let mut all = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let found = all.next()?.ok()?;
    Some((found, &text[all.byte_offset()..]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn filters_as_directories_send_them() {
        let known = ["userName", "externalId"];
        let all = parse(r#"userName eq "a \"b\" and c" AND externalid Eq "7""#, &known).unwrap();
        assert_eq!(
            all,
            [("userName", "a \"b\" and c".to_owned()), ("externalId", "7".to_owned())]
        );
        assert!(parse("", &known).unwrap().is_empty());
        for wrong in [
            "userName",
            "userName pr",
            "userName co \"a\"",
            "userName eq a",
            "userName eq \"a\" or externalId eq \"b\"",
            "userName eq \"a\" and",
            "password eq \"a\"",
        ] {
            assert_eq!(parse(wrong, &known).unwrap_err().kind, "invalidFilter", "{wrong}");
        }
    }
}
