//! How others write the ids of requirements, brought to ours.

/// Whether a text is an OSCAL token: a letter or `_`, then letters, digits, `.`, `-`, `_`.
#[must_use]
pub fn is_token(id: &str) -> bool {
    let mut chars = id.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// The requirement that a tag of a scanner names, such as `PCI-4.0/8.6.2`, `HIPAA/164_312_a_2_iv`,
/// `GDPR/article_32` or `PCI DSS v4.0.1/8.3.6`. Only the present numbering of PCI DSS is read: the numbers of v3.2.1 mean other
/// things.
#[must_use]
pub fn requirement_of(tag: &str) -> Option<String> {
    let (framework, id) = tag.split_once('/')?;
    let framework = framework.to_ascii_lowercase();
    let id = id.trim();
    if framework.contains("pci") {
        let current = framework.contains("4.0");
        return current
            .then(|| format!("pci-{}", id.to_ascii_lowercase()))
            .filter(|id| is_token(id));
    }
    if framework.contains("hipaa") {
        return hipaa(id);
    }
    if framework.contains("gdpr") {
        let id = id.trim_start_matches("article_").trim_start_matches("Art.").trim();
        return Some(format!("gdpr-{}", id.to_ascii_lowercase().replace('_', "."))).filter(|id| is_token(id));
    }
    None
}

fn hipaa(id: &str) -> Option<String> {
    let mut out = String::from("hipaa-");
    for c in id.to_ascii_lowercase().chars() {
        match c {
            '(' | '_' | '.' => {
                if !out.ends_with('.') {
                    out.push('.');
                }
            }
            ')' | ' ' => {}
            c => out.push(c),
        }
    }
    Some(out).filter(|id| is_token(id))
}

/// The NIST SP 800-53 control that a tag names: `nist/SC-28`, `NIST.800-53.r5/AC-2(1)` and the like give `SC-28`, `AC-2`.
#[must_use]
pub fn nist_control(tag: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    if !lower.starts_with("nist") {
        return None;
    }
    let id = tag.rsplit(['/', ' ']).next()?.to_ascii_uppercase().replace('_', "-");
    let (family, rest) = id.split_once('-')?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let is_family = family.len() == 2 && family.bytes().all(|b| b.is_ascii_uppercase());
    (is_family && !digits.is_empty()).then(|| format!("{family}-{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_others_become_ours() {
        assert_eq!(requirement_of("PCI-4.0/8.6.2").as_deref(), Some("pci-8.6.2"));
        assert_eq!(
            requirement_of("PCI-3.2.1/8.2.4"),
            None,
            "the numbers of v3.2.1 mean other things"
        );
        assert_eq!(
            requirement_of("HIPAA/164_312_a_2_iv").as_deref(),
            Some("hipaa-164.312.a.2.iv")
        );
        assert_eq!(
            requirement_of("HIPAA/164.312(a)(2)(iv)").as_deref(),
            Some("hipaa-164.312.a.2.iv")
        );
        assert_eq!(requirement_of("GDPR/article_32").as_deref(), Some("gdpr-32"));
        assert_eq!(nist_control("NIST.800-53.r5/AC-2(1)").as_deref(), Some("AC-2"));
        assert_eq!(nist_control("nist/SC-28").as_deref(), Some("SC-28"));
        assert_eq!(nist_control("owasp/A03"), None);
    }
}
