//! Keys of backups, and who was forgotten since: in a folder of their own, apart from the database and from the backups.
//!
//! A backup outlives what was erased after it. So each has a key of its own, which goes when the backup's time is over; and each erasure
//! leaves a line here that a database which was brought back is held against before it serves.

use crate::app::Context;
use crate::flow::FlowError;
use affiant_domain::Instant;
use affiant_store::micros;
use chrono::Duration;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A key as it lies in its file.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    id: Uuid,
    /// The key, sealed under the installation's.
    #[serde(with = "hex::serde")]
    sealed: Vec<u8>,
    /// When it goes, microseconds since 1970.
    pub(super) expires_at: i64,
}

/// Somebody who was forgotten or set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forgotten {
    /// Their token.
    pub subject: Uuid,
    /// The keyed hash by which they were found.
    pub lookup: Option<String>,
    /// When, microseconds since 1970.
    pub at: i64,
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> FlowError {
    let path = path.display().to_string();
    move |error| FlowError::Io(path.clone(), error)
}

fn purpose(id: Uuid) -> String {
    format!("backup {id}")
}

fn folder(app: &Context) -> Result<&Path, FlowError> {
    let folder = app.backup_keys.as_path();
    if !folder.exists() {
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        #[cfg(unix)]
        {
            let only_owner = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(folder, only_owner).map_err(failed(folder))?;
        }
    }
    Ok(folder)
}

/// Makes the key of a backup, which goes after so many days.
pub(super) fn make(app: &Context, id: Uuid, days: i64) -> Result<([u8; 32], Instant), FlowError> {
    let key: [u8; 32] = rand::random();
    let until = app.clock.now() + Duration::days(days);
    let sealed = app.key.seal(&purpose(id), &key);
    let kept = Kept {
        id,
        sealed: sealed.map_err(|error| FlowError::Trail(error.to_string()))?,
        expires_at: micros(until),
    };
    put(&folder(app)?.join(format!("{id}.json")), &kept)?;
    Ok((key, until))
}

fn put(path: &Path, kept: &Kept) -> Result<(), FlowError> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(file, "{}", serde_json::to_string(kept)?)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().map_err(failed(path))
}

/// The key of a backup.
///
/// # Errors
/// [`FlowError::NotFound`] where it is gone or was never here.
pub(super) fn find(app: &Context, id: Uuid) -> Result<[u8; 32], FlowError> {
    let path = app.backup_keys.join(format!("{id}.json"));
    let gone = || {
        let place = app.backup_keys.display();
        FlowError::NotFound(format!(
            "the key of this backup is not in {place}: its time is over, or it was made by another installation"
        ))
    };
    let text = std::fs::read_to_string(&path).map_err(|_| gone())?;
    let kept: Kept = serde_json::from_str(&text).map_err(|_| gone())?;
    if kept.expires_at <= micros(app.clock.now()) {
        return Err(gone());
    }
    let key = app.key.open(&purpose(id), &kept.sealed).map_err(|_| {
        FlowError::Trail("the key of the backup cannot be opened: is this the installation's key file?".to_owned())
    })?;
    key.try_into().map_err(|_| gone())
}

/// Key files with what is in them.
fn all(app: &Context) -> Result<Vec<(PathBuf, Kept)>, FlowError> {
    let folder = folder(app)?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
            if let Ok(kept) = serde_json::from_str(&text) {
                found.push((path, kept));
            }
        }
    }
    Ok(found)
}

/// Keys whose time is over: their files and ids.
pub(super) fn expired(app: &Context) -> Result<(Vec<(PathBuf, Uuid)>, usize), FlowError> {
    let now = micros(app.clock.now());
    let all = all(app)?;
    let count = all.len();
    let over = all.into_iter().filter(|(_, kept)| kept.expires_at <= now);
    Ok((over.map(|(path, kept)| (path, kept.id)).collect(), count))
}

/// Destroys a key: what its backup holds can be read by nobody any more. One that another server destroyed is destroyed.
pub(super) fn destroy(path: &Path) -> Result<(), FlowError> {
    let overwrite = || -> std::io::Result<()> {
        let length = path.metadata()?.len();
        let mut file = std::fs::OpenOptions::new().write(true).open(path)?;
        file.write_all(&vec![0; usize::try_from(length).unwrap_or(0)])?;
        file.sync_all()?;
        std::fs::remove_file(path)
    };
    match overwrite() {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(path)(error)),
        _ => Ok(()),
    }
}

/// Seals the keys of backups anew under the installation's present key; gives how many.
///
/// # Errors
/// [`FlowError::Io`] where the folder fails.
pub fn reseal(app: &Context) -> Result<u64, FlowError> {
    let mut count = 0;
    for (path, mut kept) in all(app)? {
        if let Some(sealed) = app.key.reseal(&purpose(kept.id), &kept.sealed) {
            kept.sealed = sealed;
            put(&path, &kept)?;
            count += 1;
        }
    }
    Ok(count)
}

/// The list of those who were forgotten.
fn list(app: &Context) -> PathBuf {
    app.backup_keys.join("forgotten.jsonl")
}

/// Writes down, durably, that somebody is forgotten, before they are.
///
/// # Errors
/// [`FlowError::Io`] where it cannot be written; then nobody may be forgotten.
pub fn note(app: &Context, one: &Forgotten) -> Result<(), FlowError> {
    folder(app)?;
    let path = list(app);
    let write = || -> std::io::Result<()> {
        let is_new = !path.exists();
        let mut options = std::fs::OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        // A line begins anew, whatever a fault left of the one before.
        file.write_all(format!("\n{}\n", serde_json::to_string(one)?).as_bytes())?;
        file.sync_all()?;
        if is_new {
            std::fs::File::open(&app.backup_keys)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(failed(&path))
}

/// Everybody who was forgotten, in order. A line that was cut by a fault was followed by no erasure.
pub(super) fn forgotten(app: &Context) -> Result<Vec<Forgotten>, FlowError> {
    let path = list(app);
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&path)(error)),
    };
    let mut found = Vec::new();
    for line in std::io::BufReader::new(file).lines() {
        let line = line.map_err(failed(&path))?;
        match serde_json::from_str(&line) {
            Ok(one) => found.push(one),
            Err(_) if line.trim().is_empty() => {}
            Err(_) => tracing::warn!("a line of those who were forgotten is cut; no erasure followed it"),
        }
    }
    Ok(found)
}
