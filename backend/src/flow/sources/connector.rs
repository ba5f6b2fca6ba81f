//! Connectors: what of an audit store is to be read next. One for everything that keeps objects, one for rows behind a cursor.

use super::settings::{Own, Settings};
use crate::flow::{FlowError, invalid};
use affiant_domain::Instant;
use affiant_store::{Behind, Checkpoint, ForeignQuery, StoreError, foreign_rows};
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig};
use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::NamedTempFile;

/// Objects that one listing may hold.
const OBJECTS: usize = 2_000_000;
/// Bytes of one object.
const LARGEST: u64 = 4 << 30;
/// How long a page of a query may take, connecting and all.
const DEADLINE: Duration = Duration::from_secs(90);
/// Rows of one page of a query.
const ROWS: u32 = 2000;

/// Something to read: an object, or a page of rows.
#[derive(Debug)]
pub(super) struct Piece {
    /// Key of the object, or the name of the cursor.
    pub(super) key: String,
    /// Its version: what changes when it does. Of rows, the cursor behind them.
    pub(super) version: String,
    /// Its size, bytes.
    pub(super) size: u64,
    /// Its content.
    pub(super) file: NamedTempFile,
    /// Events of it that were taken in already.
    pub(super) skip: u64,
}

/// What comes next.
pub(super) enum Next {
    /// Something to read.
    Piece(Box<Piece>),
    /// An object that cannot be had: which, and why. The rest goes on.
    Problem(String),
    /// All was read.
    End,
}

/// What reads an audit store.
#[async_trait::async_trait]
pub(super) trait Connector: Send {
    /// What is to be read next.
    async fn next(&mut self, spool: &Path) -> Result<Next, FlowError>;
}

/// Opens a store, with what was read of it.
pub(super) async fn open(
    settings: &Settings,
    allowed: &Own,
    known: HashMap<String, Checkpoint>,
    now: Instant,
) -> Result<Box<dyn Connector>, FlowError> {
    if let (Settings::CloudtrailApi { .. }, Some(aws)) = (settings, settings.aws()) {
        return Ok(Box::new(super::aws::Lookup::new(&aws, allowed, &known, now)?));
    }
    if let Settings::Postgres {
        url,
        query,
        cursor,
        cursor_type,
    } = settings
    {
        let missing = || invalid("settings/url", "an address is needed");
        return Ok(Box::new(Rows {
            url: url.resolve("settings/url", allowed)?.ok_or_else(missing)?,
            query: ForeignQuery {
                query: query.clone(),
                cursor: cursor.clone(),
                cursor_type: cursor_type.clone(),
            },
            after: known
                .get(CURSOR)
                .map(|point| point.version.clone())
                .filter(|at| !at.is_empty()),
            begun: false,
        }));
    }
    let (store, prefix) = objects(settings, allowed)?;
    let root = match settings {
        Settings::Folder { path } => Some(allowed.folder(path)?),
        _ => None,
    };
    // Stores list whole segments of keys: what stands behind the last `/` is compared here.
    let begins = Key::from(prefix.as_str());
    let parent = prefix.rsplit_once('/').map(|(parent, _)| Key::from(parent));
    let mut waiting: Vec<ObjectMeta> = Vec::new();
    let mut listing = store.list(parent.as_ref());
    while let Some(object) = listing.try_next().await.map_err(|error| away(&error))? {
        let wanted = object.location.as_ref().starts_with(begins.as_ref());
        if wanted && is_log(&object.location) && !is_read(&known, &object) {
            waiting.push(object);
        }
        if waiting.len() > OBJECTS {
            return Err(invalid(
                "settings/prefix",
                format!("more than {OBJECTS} objects; name a longer prefix"),
            ));
        }
    }
    drop(listing);
    // Keys of logs begin with their time, so that the oldest come first.
    waiting.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(Box::new(Objects {
        store,
        root,
        waiting: waiting.into(),
        known,
    }))
}

/// The store that settings name, and the beginning of its keys.
pub(super) fn objects(settings: &Settings, allowed: &Own) -> Result<(Arc<dyn ObjectStore>, String), FlowError> {
    let retry = RetryConfig {
        max_retries: 3,
        retry_timeout: Duration::from_secs(30),
        ..RetryConfig::default()
    };
    let client = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(10))
        .with_timeout(Duration::from_secs(300));
    let wrong = |error: object_store::Error| invalid("settings", error.to_string());
    Ok(match settings {
        Settings::Folder { path } => {
            let store = LocalFileSystem::new_with_prefix(allowed.folder(path)?).map_err(wrong)?;
            (Arc::new(store), String::new())
        }
        Settings::S3 {
            bucket,
            prefix,
            region,
            endpoint,
            access_key,
            secret_key,
        } => {
            let mut builder = (if allowed.machine {
                AmazonS3Builder::from_env()
            } else {
                AmazonS3Builder::new()
            })
            .with_bucket_name(bucket)
            .with_region(region)
            .with_retry(retry)
            .with_client_options(client.with_allow_http(endpoint.starts_with("http://")));
            if !endpoint.is_empty() {
                builder = builder.with_endpoint(endpoint);
            }
            if let Some(key) = access_key.resolve("settings/access_key", allowed)? {
                let secret = secret_key.resolve("settings/secret_key", allowed)?.unwrap_or_default();
                builder = builder.with_access_key_id(key).with_secret_access_key(secret);
            }
            (Arc::new(builder.build().map_err(wrong)?), prefix.clone())
        }
        Settings::Gcs {
            bucket,
            prefix,
            endpoint,
            service_account,
        } => {
            let mut builder = (if allowed.machine {
                GoogleCloudStorageBuilder::from_env()
            } else {
                GoogleCloudStorageBuilder::new()
            })
            .with_bucket_name(bucket)
            .with_retry(retry)
            .with_client_options(client.with_allow_http(endpoint.starts_with("http://")));
            if !endpoint.is_empty() {
                builder = builder.with_base_url(endpoint);
            }
            if let Some(key) = service_account.resolve("settings/service_account", allowed)? {
                builder = builder.with_service_account_key(key);
            }
            (Arc::new(builder.build().map_err(wrong)?), prefix.clone())
        }
        Settings::Azure {
            account,
            container,
            prefix,
            endpoint,
            access_key,
        } => {
            let mut builder = (if allowed.machine {
                MicrosoftAzureBuilder::from_env()
            } else {
                MicrosoftAzureBuilder::new()
            })
            .with_account(account)
            .with_container_name(container)
            .with_retry(retry)
            .with_client_options(client.with_allow_http(endpoint.starts_with("http://")));
            if !endpoint.is_empty() {
                builder = builder.with_endpoint(endpoint.clone());
            }
            if let Some(key) = access_key.resolve("settings/access_key", allowed)? {
                builder = builder.with_access_key(key);
            }
            (Arc::new(builder.build().map_err(wrong)?), prefix.clone())
        }
        Settings::Push {}
        | Settings::Postgres { .. }
        | Settings::CloudtrailApi { .. }
        | Settings::SecurityHub { .. } => return Err(invalid("settings/kind", "it holds no objects")),
    })
}

/// The store cannot be reached or refuses; no address or key is told.
fn away(error: &object_store::Error) -> FlowError {
    let what = match error {
        object_store::Error::NotFound { .. } => "there is no such bucket or object",
        object_store::Error::PermissionDenied { .. } => "the store refuses the credentials",
        object_store::Error::Unauthenticated { .. } => "the store wants credentials",
        _ => "the store cannot be reached",
    };
    tracing::warn!(%error, "a source cannot be read");
    FlowError::Away(what.to_owned())
}

/// Digests that CloudTrail puts beside its logs hold no events.
fn is_log(key: &Key) -> bool {
    let key = key.as_ref();
    !key.contains("CloudTrail-Digest") && !key.ends_with('/')
}

fn version(object: &ObjectMeta) -> String {
    object
        .e_tag
        .clone()
        .unwrap_or_else(|| format!("{}-{}", object.last_modified.timestamp_micros(), object.size))
}

fn is_read(known: &HashMap<String, Checkpoint>, object: &ObjectMeta) -> bool {
    known
        .get(object.location.as_ref())
        .is_some_and(|point| point.complete && point.version == version(object))
}

/// Objects of a store.
struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The folder, where it is one: nothing is read that a link leads out of it to.
    root: Option<PathBuf>,
    waiting: VecDeque<ObjectMeta>,
    known: HashMap<String, Checkpoint>,
}

#[async_trait::async_trait]
impl Connector for Objects {
    async fn next(&mut self, spool: &Path) -> Result<Next, FlowError> {
        let Some(object) = self.waiting.pop_front() else {
            return Ok(Next::End);
        };
        let key = object.location.to_string();
        if let Some(root) = &self.root {
            let real = root.join(&key).canonicalize();
            if !real.is_ok_and(|real| real.starts_with(root)) {
                return Ok(Next::Problem(format!(
                    "{key}: it leads out of the folder, and is not read"
                )));
            }
        }
        let got = match self.store.get(&object.location).await {
            Ok(got) => got,
            Err(
                error @ (object_store::Error::NotFound { .. }
                | object_store::Error::PermissionDenied { .. }
                | object_store::Error::Precondition { .. }),
            ) => return Ok(Next::Problem(format!("{key}: {}", away(&error)))),
            Err(error) => return Err(away(&error)),
        };
        // The version is that of the listing, which some stores write without a tag: an object that has changed since is read again.
        let (version, size) = (version(&object), got.meta.size);
        if size > LARGEST {
            return Ok(Next::Problem(format!("{key}: an object has at most {LARGEST} bytes")));
        }
        let disk = |error| FlowError::Io(spool.display().to_string(), error);
        let mut file = NamedTempFile::new_in(spool).map_err(disk)?;
        let mut bytes = got.into_stream();
        while let Some(chunk) = bytes.next().await {
            file.write_all(&chunk.map_err(|error| away(&error))?).map_err(disk)?;
        }
        file.flush().map_err(disk)?;
        let before = self
            .known
            .get(&key)
            .filter(|point| point.version == version && !point.complete);
        let skip = before.map_or(0, |point| point.events);
        Ok(Next::Piece(Box::new(Piece {
            key,
            version,
            size,
            file,
            skip,
        })))
    }
}

/// The name under which a cursor is kept.
pub(super) const CURSOR: &str = "cursor";

/// Rows behind a cursor.
struct Rows {
    url: String,
    query: ForeignQuery,
    after: Option<String>,
    begun: bool,
}

#[async_trait::async_trait]
impl Connector for Rows {
    async fn next(&mut self, spool: &Path) -> Result<Next, FlowError> {
        let behind = match (&self.after, self.begun) {
            (None, _) => Behind::Nothing,
            (Some(at), false) => Behind::ALittleBefore(at),
            (Some(at), true) => Behind::Row(at),
        };
        let away = |error: &dyn std::fmt::Display| {
            tracing::warn!(%error, "a source cannot be read");
            FlowError::Away("the database cannot be reached, or refuses the query; the log says why".to_owned())
        };
        let read = tokio::time::timeout(DEADLINE, foreign_rows(&self.url, &self.query, behind, ROWS));
        let rows = read.await.map_err(|error| away(&error))?.map_err(|error| match error {
            StoreError::Damaged(what) => invalid("settings/query", what),
            error => away(&error),
        })?;
        let Some(last) = rows.last() else {
            return Ok(Next::End);
        };
        let version = last.cursor.clone();
        if self.begun && self.after.as_ref() == Some(&version) {
            let what = format!("the query does not get behind the cursor {version}");
            return Err(invalid("settings/query", what));
        }
        let disk = |error| FlowError::Io(spool.display().to_string(), error);
        let mut file = NamedTempFile::new_in(spool).map_err(disk)?;
        let mut size = 0;
        for row in &rows {
            writeln!(file, "{}", row.json).map_err(disk)?;
            size += row.json.len() as u64 + 1;
        }
        file.flush().map_err(disk)?;
        self.after = Some(version.clone());
        self.begun = true;
        Ok(Next::Piece(Box::new(Piece {
            key: CURSOR.to_owned(),
            version,
            size,
            file,
            skip: 0,
        })))
    }
}
