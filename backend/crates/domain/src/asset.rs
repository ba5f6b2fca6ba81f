//! Assets: what is assessed.

use std::fmt;

/// The kinds of asset that people name themselves. A resource that a scanner names is a further kind,
/// `resource.<service>` (`resource.s3`, `resource.iam`) or `workload`.
pub const KINDS: [(&str, &str); 12] = [
    ("repo", "source repository"),
    ("image", "container image"),
    ("host", "server or workstation"),
    ("account", "cloud account, subscription or project"),
    ("cluster", "Kubernetes cluster"),
    ("workload", "workload in a cluster"),
    ("service", "running service or API"),
    ("database", "database"),
    ("agent", "AI agent"),
    ("pipeline", "build or deployment pipeline"),
    ("data", "data set or document store"),
    ("org", "organisation as a whole"),
];

/// The longest asset key, in bytes.
pub const MAX_KEY: usize = 512;

/// A named asset: `kind:name`, such as `repo:payments`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssetKey {
    key: String,
    kind_len: usize,
}

/// Why a text is not an asset key.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadAssetKey {
    /// There is no colon, or nothing on one side of it.
    #[error("an asset is written kind:name, such as repo:payments; got \"{0}\"")]
    Shape(String),
    /// The kind is not one that a person can name.
    #[error("unknown kind of asset \"{0}\"; known are {known}", known = known_kinds())]
    Kind(String),
    /// Longer than [`MAX_KEY`].
    #[error("an asset's name has at most {MAX_KEY} bytes")]
    Long,
    /// A control character.
    #[error("an asset's name holds no control characters")]
    Control,
}

fn known_kinds() -> String {
    KINDS.map(|(kind, _)| kind).join(", ")
}

impl AssetKey {
    /// Reads `kind:name` as a person writes it.
    ///
    /// # Errors
    /// [`BadAssetKey`] says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, BadAssetKey> {
        let text = text.trim();
        let (kind, name) = text
            .split_once(':')
            .ok_or_else(|| BadAssetKey::Shape(text.chars().take(80).collect()))?;
        if kind.is_empty() || name.trim().is_empty() {
            return Err(BadAssetKey::Shape(text.chars().take(80).collect()));
        }
        if text.len() > MAX_KEY {
            return Err(BadAssetKey::Long);
        }
        if text.chars().any(char::is_control) {
            return Err(BadAssetKey::Control);
        }
        if !KINDS.iter().any(|(known, _)| *known == kind) {
            return Err(BadAssetKey::Kind(kind.chars().take(40).collect()));
        }
        Ok(Self {
            kind_len: kind.len(),
            key: text.to_owned(),
        })
    }

    /// The key of a resource that a scanner's file names. Long and odd names are cut and cleaned, never refused.
    #[must_use]
    pub fn resource(kind: &str, name: &str) -> Self {
        let mut key = format!("{kind}:");
        for c in name.trim().chars().filter(|c| !c.is_control()) {
            if key.len() + c.len_utf8() > MAX_KEY {
                break;
            }
            key.push(c);
        }
        Self {
            kind_len: kind.len(),
            key,
        }
    }

    /// The whole key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// What comes before the colon.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.key[..self.kind_len]
    }

    /// What comes after it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.key[self.kind_len + 1..]
    }
}

impl fmt::Display for AssetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// The service of a cloud resource, from its ARN, its Azure path or its GCP type: `s3`, `iam`, `storage`, ….
#[must_use]
pub fn resource_kind(uid: &str, resource_type: &str) -> String {
    let service = arn_service(uid)
        .or_else(|| azure_service(uid))
        .unwrap_or_else(|| type_service(resource_type));
    let service: String = service
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(24)
        .collect();
    if service.is_empty() {
        "resource.other".to_owned()
    } else {
        format!("resource.{service}")
    }
}

fn arn_service(uid: &str) -> Option<String> {
    let mut parts = uid.strip_prefix("arn:")?.split(':');
    parts.nth(1).filter(|s| !s.is_empty()).map(str::to_owned)
}

fn azure_service(uid: &str) -> Option<String> {
    let rest = uid.split("/providers/").nth(1)?;
    let service = rest.split('/').next()?;
    service.rsplit('.').next().map(str::to_owned)
}

fn type_service(resource_type: &str) -> String {
    let word = resource_type.strip_prefix("Aws").unwrap_or(resource_type);
    let mut service = String::new();
    for c in word.chars() {
        if !service.is_empty() && (c.is_ascii_uppercase() || !c.is_alphanumeric()) {
            break;
        }
        service.push(c);
    }
    service
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_known_kind_and_a_name() {
        assert_eq!(
            AssetKey::parse("repo:payments").map(|k| k.name().to_owned()),
            Ok("payments".to_owned())
        );
        assert!(matches!(AssetKey::parse("payments"), Err(BadAssetKey::Shape(_))));
        assert!(matches!(AssetKey::parse("planet:mars"), Err(BadAssetKey::Kind(_))));
        assert!(matches!(AssetKey::parse("repo:a\u{0}b"), Err(BadAssetKey::Control)));
    }

    #[test]
    fn resources_are_sorted_by_service() {
        assert_eq!(resource_kind("arn:aws:s3:::bucket", "AwsS3Bucket"), "resource.s3");
        assert_eq!(resource_kind("x", "AwsIamRole"), "resource.iam");
        assert_eq!(
            resource_kind(
                "/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a",
                ""
            ),
            "resource.storage"
        );
        assert_eq!(resource_kind("", ""), "resource.other");
    }
}
