//! How a source is reached, as an operator or administrator writes it. Secrets are named, never written.

use crate::flow::{FlowError, invalid};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// Settings of a connector, by kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Settings {
    /// Nothing is pulled: others push under this name, and an event is expected of them.
    Push {},
    /// A folder under the operator's source folder.
    Folder {
        /// Its path below that folder.
        path: String,
    },
    /// Amazon S3, or a store that speaks its protocol.
    S3 {
        /// Bucket.
        bucket: String,
        /// Beginning of the keys.
        #[serde(default)]
        prefix: String,
        /// Region.
        #[serde(default = "region")]
        region: String,
        /// Address, where it is not Amazon's.
        #[serde(default)]
        endpoint: String,
        /// Access key; that of the machine, where none is named.
        #[serde(default)]
        access_key: Reference,
        /// Its secret.
        #[serde(default)]
        secret_key: Reference,
    },
    /// Google Cloud Storage.
    Gcs {
        /// Bucket.
        bucket: String,
        /// Beginning of the keys.
        #[serde(default)]
        prefix: String,
        /// Address, where it is not Google's.
        #[serde(default)]
        endpoint: String,
        /// Key of a service account, JSON; that of the machine, where none is named.
        #[serde(default)]
        service_account: Reference,
    },
    /// Azure Blob Storage.
    Azure {
        /// Storage account.
        account: String,
        /// Container.
        container: String,
        /// Beginning of the keys.
        #[serde(default)]
        prefix: String,
        /// Address with the account, where it is not that of Azure's public cloud.
        #[serde(default)]
        endpoint: String,
        /// Access key; that of the machine, where none is named.
        #[serde(default)]
        access_key: Reference,
    },
    /// CloudTrail's lookup: the management events of the last ninety days.
    CloudtrailApi {
        /// Region.
        #[serde(default = "region")]
        region: String,
        /// Address, where it is not Amazon's.
        #[serde(default)]
        endpoint: String,
        /// Access key; that of the machine, where none is named.
        #[serde(default)]
        access_key: Reference,
        /// Its secret.
        #[serde(default)]
        secret_key: Reference,
    },
    /// Findings of AWS Security Hub.
    SecurityHub {
        /// Region.
        #[serde(default = "region")]
        region: String,
        /// Address, where it is not Amazon's.
        #[serde(default)]
        endpoint: String,
        /// Access key; that of the machine, where none is named.
        #[serde(default)]
        access_key: Reference,
        /// Its secret.
        #[serde(default)]
        secret_key: Reference,
    },
    /// A query over PostgreSQL, whose columns are named as the fields of our event.
    Postgres {
        /// Address with user and password.
        url: Reference,
        /// The query, without order and limit.
        query: String,
        /// The column that orders the rows and only grows.
        cursor: String,
        /// Its type: `bigint`, `timestamptz` or `text`.
        #[serde(default = "bigint")]
        cursor_type: String,
    },
}

fn region() -> String {
    "us-east-1".to_owned()
}

fn bigint() -> String {
    "bigint".to_owned()
}

/// Names a secret: `env:AFFIANT_SOURCE_SLUG__…` or `file:NAME` in the project's folder for secrets. Empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(pub String);

/// How AWS is reached.
pub(super) struct Aws<'s> {
    pub(super) region: &'s str,
    pub(super) endpoint: &'s str,
    pub(super) access_key: &'s Reference,
    pub(super) secret_key: &'s Reference,
}

/// Where an operator lets sources read from. Each project has folders, secrets and variables of its own, so that none can name
/// another's.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Folders of sources lie below the project's folder in this one.
    pub folders: PathBuf,
    /// Secrets lie in the project's folder in this one.
    pub secrets: PathBuf,
    /// Addresses of compatible stores that may be named.
    pub endpoints: Vec<String>,
    /// Whether the machine's own credentials may be used where a source names none.
    pub machine: bool,
}

impl Allowed {
    /// What a project may name.
    #[must_use]
    pub fn of(&self, slug: &str) -> Own {
        let plain: String = slug
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_uppercase()
                } else {
                    '_'
                }
            })
            .collect();
        Own {
            folders: self.folders.join(slug),
            secrets: self.secrets.join(slug),
            variables: format!("AFFIANT_SOURCE_{plain}__"),
            endpoints: self.endpoints.clone(),
            machine: self.machine,
        }
    }
}

/// What one project may name.
#[derive(Clone, Debug)]
pub struct Own {
    folders: PathBuf,
    secrets: PathBuf,
    /// Beginning of its environment variables.
    pub variables: String,
    endpoints: Vec<String>,
    /// Whether the machine's own credentials may be used.
    pub(super) machine: bool,
}

impl Own {
    /// Whether an address may be reached; none is named where it is the provider's own.
    fn endpoint(&self, endpoint: &str) -> Result<(), FlowError> {
        if endpoint.is_empty() || self.endpoints.iter().any(|allowed| allowed == endpoint) {
            return Ok(());
        }
        let what = "the operator names the addresses that may be reached: --source-endpoint";
        Err(invalid("settings/endpoint", what))
    }
}

impl Settings {
    /// Reads and checks settings.
    ///
    /// # Errors
    /// [`FlowError::Invalid`] with the key that is wrong.
    pub fn parse(text: &str, own: &Own) -> Result<Self, FlowError> {
        let settings: Self = serde_json::from_str(text).map_err(|error| invalid("settings", error.to_string()))?;
        settings.check(own)?;
        Ok(settings)
    }

    fn check(&self, own: &Own) -> Result<(), FlowError> {
        let named = match self {
            Self::S3 { bucket, .. } | Self::Gcs { bucket, .. } => is_plain(bucket),
            Self::Azure { account, container, .. } => {
                let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
                (3..=24).contains(&account.len()) && account.chars().all(letters) && is_plain(container)
            }
            _ => true,
        };
        if !named {
            return Err(invalid("settings", "a bucket, account or container by its plain name"));
        }
        let references: Vec<(&str, &Reference)> = match self {
            Self::Push {} => Vec::new(),
            Self::Folder { path } => return plain_path(path).map(|_| ()),
            Self::S3 { .. } | Self::CloudtrailApi { .. } | Self::SecurityHub { .. } => {
                let Some(aws) = self.aws() else { return Ok(()) };
                own.endpoint(aws.endpoint)?;
                // It becomes part of an address.
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                if aws.region.is_empty() || !aws.region.chars().all(plain) {
                    return Err(invalid("settings/region", "lower-case letters, digits and '-'"));
                }
                if aws.access_key.0.is_empty() != aws.secret_key.0.is_empty() {
                    return Err(invalid("settings/access_key", "access_key and secret_key go together"));
                }
                vec![("access_key", aws.access_key), ("secret_key", aws.secret_key)]
            }
            Self::Gcs {
                endpoint,
                service_account,
                ..
            } => {
                own.endpoint(endpoint)?;
                vec![("service_account", service_account)]
            }
            Self::Azure {
                endpoint, access_key, ..
            } => {
                own.endpoint(endpoint)?;
                vec![("access_key", access_key)]
            }
            Self::Postgres {
                url,
                query,
                cursor,
                cursor_type,
            } => {
                check_query(query, cursor, cursor_type)?;
                vec![("url", url)]
            }
        };
        let named = references.iter().any(|(_, reference)| !reference.0.is_empty());
        if !named && !own.machine && !references.is_empty() {
            let what = "name the credentials; those of the machine are for sources only where the operator says so";
            return Err(invalid("settings", what));
        }
        for (name, reference) in references {
            reference.check(&format!("settings/{name}"), own)?;
        }
        Ok(())
    }

    /// How AWS is reached, where it is.
    pub(super) fn aws(&self) -> Option<Aws<'_>> {
        match self {
            Self::S3 {
                region,
                endpoint,
                access_key,
                secret_key,
                ..
            }
            | Self::CloudtrailApi {
                region,
                endpoint,
                access_key,
                secret_key,
            }
            | Self::SecurityHub {
                region,
                endpoint,
                access_key,
                secret_key,
            } => Some(Aws {
                region,
                endpoint,
                access_key,
                secret_key,
            }),
            _ => None,
        }
    }

    /// Whether it holds findings in the place of events.
    pub(super) const fn holds_findings(&self) -> bool {
        matches!(self, Self::SecurityHub { .. })
    }

    /// The kind's name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Push {} => "push",
            Self::Folder { .. } => "folder",
            Self::S3 { .. } => "s3",
            Self::Gcs { .. } => "gcs",
            Self::Azure { .. } => "azure",
            Self::CloudtrailApi { .. } => "cloudtrail-api",
            Self::SecurityHub { .. } => "security-hub",
            Self::Postgres { .. } => "postgres",
        }
    }
}

fn check_query(query: &str, cursor: &str, cursor_type: &str) -> Result<(), FlowError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if cursor.is_empty() || !cursor.chars().all(plain) {
        return Err(invalid(
            "settings/cursor",
            "a column's name: lower-case letters, digits and _",
        ));
    }
    if !["bigint", "timestamptz", "text"].contains(&cursor_type) {
        return Err(invalid("settings/cursor_type", "use bigint, timestamptz or text"));
    }
    let begins = query
        .trim_start()
        .get(..6)
        .is_some_and(|word| word.eq_ignore_ascii_case("select"));
    if !begins || query.trim_end().trim_end_matches(';').contains(';') {
        return Err(invalid(
            "settings/query",
            "one SELECT, without order, limit and semicolon",
        ));
    }
    Ok(())
}

/// A path that leads nowhere but down.
fn plain_path(path: &str) -> Result<&Path, FlowError> {
    let path = Path::new(path);
    if path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    {
        Ok(path)
    } else {
        Err(invalid(
            "settings/path",
            "a path below the folder for sources, without ..",
        ))
    }
}

impl Own {
    /// A folder that a source names.
    ///
    /// # Errors
    /// [`FlowError::Invalid`] where it leads out of the folder for sources.
    pub fn folder(&self, path: &str) -> Result<PathBuf, FlowError> {
        let wanted = self.folders.join(plain_path(path)?);
        let (Ok(root), Ok(real)) = (self.folders.canonicalize(), wanted.canonicalize()) else {
            return Err(invalid("settings/path", format!("{} is not there", wanted.display())));
        };
        if real.starts_with(&root) {
            Ok(real)
        } else {
            Err(invalid(
                "settings/path",
                "the folder leads out of the folder for sources",
            ))
        }
    }
}

/// What stands behind a project's prefix is the end of the name: it cannot be another project's, whose own name goes on there.
fn is_last(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_alphanumeric()) && !rest.contains("__")
}

/// A name that becomes part of an address.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= 222 && name.chars().all(plain) && !name.starts_with('.')
}

impl Reference {
    fn check(&self, at: &str, own: &Own) -> Result<(), FlowError> {
        let variables = &own.variables;
        match self.0.split_once(':') {
            None if self.0.is_empty() => Ok(()),
            Some(("env", name)) if name.strip_prefix(variables.as_str()).is_some_and(is_last) => Ok(()),
            Some(("env", _)) => Err(invalid(
                at,
                format!("variables that sources name begin with {variables}"),
            )),
            Some(("file", name)) if Path::new(name).components().count() == 1 && !name.starts_with('.') => Ok(()),
            Some(("file", _)) => Err(invalid(at, "the name of a file in the folder for secrets")),
            _ => Err(invalid(
                at,
                format!("a secret is named, not written: env:{variables}NAME or file:NAME"),
            )),
        }
    }

    /// The secret itself; none where none is named.
    ///
    /// # Errors
    /// [`FlowError::Invalid`] where it is not there.
    pub fn resolve(&self, at: &str, allowed: &Own) -> Result<Option<String>, FlowError> {
        self.check(at, allowed)?;
        match self.0.split_once(':') {
            Some(("env", name)) => std::env::var(name)
                .map(Some)
                .map_err(|_| invalid(at, format!("{name} is not set"))),
            Some(("file", name)) => {
                let path = allowed.secrets.join(name);
                let text = std::fs::read_to_string(&path);
                let text = text.map_err(|error| invalid(at, format!("the secret {name} cannot be read: {error}")))?;
                Ok(Some(text.trim_end().to_owned()))
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_and_paths_lead_down() {
        let own = Allowed {
            endpoints: vec!["https://store.example".to_owned()],
            ..Allowed::default()
        }
        .of("shop");
        let wrong = [
            r#"{"kind":"s3","bucket":"b","access_key":"AKIA","secret_key":"x"}"#,
            r#"{"kind":"s3","bucket":"b","access_key":"env:PATH","secret_key":"env:PATH"}"#,
            r#"{"kind":"s3","bucket":"b","access_key":"file:../etc/passwd","secret_key":"file:x"}"#,
            r#"{"kind":"s3","bucket":"b","access_key":"env:AFFIANT_SOURCE_SHOP__A"}"#,
            r#"{"kind":"folder","path":"../../etc"}"#,
            r#"{"kind":"folder","path":"/etc"}"#,
            r#"{"kind":"postgres","url":"postgres://u:p@h/d","query":"select 1","cursor":"id"}"#,
            r#"{"kind":"postgres","url":"env:AFFIANT_SOURCE_SHOP__DB","query":"select 1; drop table x","cursor":"id"}"#,
            r#"{"kind":"postgres","url":"env:AFFIANT_SOURCE_SHOP__DB","query":"select 1","cursor":"id\" desc"}"#,
            r#"{"kind":"s3","bucket":"b","access_key":"env:AFFIANT_SOURCE_OTHER__A","secret_key":"file:b"}"#,
            r#"{"kind":"s3","bucket":"b","endpoint":"https://evil.example","access_key":"file:a","secret_key":"file:b"}"#,
            r#"{"kind":"s3","bucket":"b"}"#,
            r#"{"kind":"security-hub","region":"evil.example/","access_key":"file:a","secret_key":"file:b"}"#,
            r#"{"kind":"cloudtrail-api","endpoint":"http://169.254.169.254","access_key":"file:a","secret_key":"file:b"}"#,
            r#"{"kind":"cloudtrail-api","access_key":"file:a"}"#,
            r#"{"kind":"azure","account":"evil.example/?","container":"c","access_key":"file:a"}"#,
            r#"{"kind":"s3","bucket":"../other","access_key":"file:a","secret_key":"file:b"}"#,
            r#"{"kind":"s3","bucket":"b","access_key":"env:AFFIANT_SOURCE_SHOP__X__A","secret_key":"file:b"}"#,
            r#"{"kind":"s3","bucket":"b","access_key":"env:AFFIANT_SOURCE_SHOP___A","secret_key":"file:b"}"#,
            r#"{"kind":"s3","bucket":"b","access_key":"env:AFFIANT_SOURCE_SHOP_X__A","secret_key":"file:b"}"#,
            r#"{"kind":"ftp"}"#,
            r#"{"kind":"folder","path":"a","more":1}"#,
        ];
        for text in wrong {
            assert!(Settings::parse(text, &own).is_err(), "{text}");
        }
        for text in [
            r#"{"kind":"s3","bucket":"b","access_key":"env:AFFIANT_SOURCE_SHOP__A","secret_key":"file:b"}"#,
            r#"{"kind":"folder","path":"cloudtrail/prod"}"#,
            r#"{"kind":"cloudtrail-api","region":"eu-central-1","access_key":"file:a","secret_key":"file:b"}"#,
            r#"{"kind":"postgres","url":"env:AFFIANT_SOURCE_SHOP__DB","query":"select id, at from audit","cursor":"id"}"#,
        ] {
            Settings::parse(text, &own).unwrap();
        }
    }
}
