//! Backups that do not keep what was erased, and databases that are brought back and hold nobody who was forgotten.

mod container;
mod keys;

pub use container::Head;
pub use keys::{Forgotten, note, reseal};

use crate::app::Context;
use crate::flow::enforce_retention::DeletionRun;
use crate::flow::{FlowError, fulfil_request};
use affiant_store::BackupError;
use chrono::SecondsFormat;
use container::{Opener, Sealer};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use uuid::Uuid;

/// Days after which a backup's key goes, where nobody says otherwise.
pub const DAYS: i64 = 35;

/// A backup that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Made {
    /// Its id.
    pub id: Uuid,
    /// Its size, bytes.
    pub bytes: u64,
    /// Until when it can be brought back, RFC 3339.
    pub until: String,
}

impl From<BackupError> for FlowError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Store(error) => error.into(),
            BackupError::Io(error) => Self::Io("the backup".to_owned(), error),
            BackupError::Unfit(what) => Self::Conflict(what),
        }
    }
}

/// Writes a backup to a file that is not there yet. Its key goes after so many days, and with it what it holds.
///
/// # Errors
/// [`FlowError`] where the database, the file or the folder of keys fails; then no file is left.
pub async fn make(app: &Context, path: &Path, days: i64, actor: &str) -> Result<Made, FlowError> {
    if !(1..=3650).contains(&days) {
        return Err(crate::flow::invalid("days", "1 to 3650 days"));
    }
    let failed = |error| FlowError::Io(path.display().to_string(), error);
    if path.exists() {
        return Err(FlowError::Conflict(format!("{} is there already", path.display())));
    }
    let is_postgres = app.store.is_postgres();
    let head = Head {
        id: Uuid::now_v7(),
        database: if is_postgres { "postgresql" } else { "sqlite" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: app.store.schema().await?,
        made_at: app.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true),
    };
    let (key, until) = keys::make(app, head.id, days)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let sealer = Sealer::new(BufWriter::new(file), &key, &head).map_err(failed)?;
    let mut out = GzEncoder::new(sealer, Compression::fast());
    if is_postgres {
        app.store.dump(&mut out).await?;
    } else {
        // Readable by nobody else while it is there; what a fault leaves of it goes at the next start.
        let folder = tempfile::tempdir_in(&app.spool);
        let folder = folder.map_err(failed)?;
        let copy = folder.path().join("copy.sqlite");
        let copied = app.store.copy_to(&copy).await;
        let written = copied.map_err(FlowError::from).and_then(|()| {
            let mut from = File::open(&copy).map_err(failed)?;
            std::io::copy(&mut from, &mut out).map_err(failed)
        });
        drop(folder);
        written?;
    }
    let file = out.finish().and_then(Sealer::finish).map_err(failed)?;
    let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
    file.as_file().sync_all().map_err(failed)?;
    let bytes = file.as_file().metadata().map_err(failed)?.len();
    file.persist_noclobber(path).map_err(|error| failed(error.error))?;
    let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
    let detail = json!({ "backup": head.id, "bytes": bytes, "until": until }).to_string();
    app.store
        .record_action((actor, "backup.made", None), &detail, app.clock.now())
        .await?;
    Ok(Made {
        id: head.id,
        bytes,
        until,
    })
}

/// Destroys the keys of backups whose time is over; gives how many.
///
/// # Errors
/// [`FlowError`] where the folder or the database fails.
pub async fn expire(app: &Context, confirm: bool) -> Result<DeletionRun, FlowError> {
    let (expired, all) = keys::expired(app)?;
    let mut told = DeletionRun::begin(app, (expired.len(), all as u64), confirm).await?;
    if told.waits {
        tracing::warn!(
            due = told.due,
            all,
            "keys of backups past their date wait for a person: confirm the run"
        );
        return Ok(told);
    }
    for (path, id) in expired {
        // The entry first: where it cannot be written, the key stays.
        let detail = json!({ "backup": id }).to_string();
        app.store
            .record_action(("schedule", "backup.expired", None), &detail, app.clock.now())
            .await?;
        match keys::destroy(&path) {
            Ok(()) => told.done += 1,
            Err(error) => tracing::error!(%error, "the key of a backup could not be destroyed"),
        }
    }
    Ok(told)
}

/// What a backup says of itself.
///
/// # Errors
/// [`FlowError::Io`] where the file is none.
pub fn head(path: &Path) -> Result<Head, FlowError> {
    let failed = |error| FlowError::Io(path.display().to_string(), error);
    container::head(&mut BufReader::new(File::open(path).map_err(failed)?)).map_err(failed)
}

/// The content of a backup.
fn content(app: &Context, path: &Path) -> Result<impl Read + Send + use<>, FlowError> {
    let failed = |error| FlowError::Io(path.display().to_string(), error);
    let mut from = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let head = container::head(&mut from).map_err(failed)?;
    let key = keys::find(app, head.id)?;
    Ok(MultiGzDecoder::new(Opener::new(from, &key, &head).map_err(failed)?))
}

/// Writes the SQLite database of a backup to a file that is not there yet: whole, or not at all. `app` is any context that has the
/// installation's keys.
///
/// # Errors
/// [`FlowError`] where the backup cannot be opened, was cut or changed, or the file is there.
pub fn bring_back_file(app: &Context, path: &Path, to: &Path) -> Result<(), FlowError> {
    let failed = |error| FlowError::Io(path.display().to_string(), error);
    let folder = to
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::copy(&mut content(app, path)?, &mut file).map_err(failed)?;
    file.flush().map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(to)
        .map(|_| ())
        .map_err(|error| FlowError::Io(to.display().to_string(), error.error))
}

/// Reads the tables of a backup into a PostgreSQL database in which nothing was recorded yet: all, or none.
///
/// # Errors
/// [`FlowError`] where the backup cannot be opened, was cut or changed, or the database is not new.
pub async fn bring_back_tables(app: &Context, path: &Path) -> Result<(), FlowError> {
    if !app.store.is_new().await? {
        return Err(FlowError::Conflict(
            "the database is not empty: name a new one".to_owned(),
        ));
    }
    let schema = app.store.schema().await?;
    let head = head(path)?;
    if head.schema != schema {
        return Err(FlowError::Conflict(format!(
            "the backup is of version {} ({}); restore it with that version",
            head.version, head.schema
        )));
    }
    app.store.bring_back(&mut content(app, path)?).await?;
    Ok(())
}

/// Tells the trail that a database was brought back.
///
/// # Errors
/// [`FlowError`] where the database fails.
pub async fn told(app: &Context, head: &Head, forgotten: u64, actor: &str) -> Result<(), FlowError> {
    let detail = json!({ "backup": head.id, "made_at": head.made_at, "forgotten_again": forgotten }).to_string();
    app.store
        .record_action((actor, "backup.restored", None), &detail, app.clock.now())
        .await?;
    Ok(())
}

/// Forgets again everybody who was forgotten since the database was as it is now: it may have been brought back, by us or by other
/// means. Gives how many. It is done before a server serves.
///
/// # Errors
/// [`FlowError`] where the list or the database fails.
pub async fn forget_again(app: &Context) -> Result<u64, FlowError> {
    let mut count = 0;
    let mut done = std::collections::BTreeSet::new();
    for one in keys::forgotten(app)? {
        if !done.insert(one.subject) {
            continue;
        }
        count += u64::from(fulfil_request::forget_again(app, &one).await?);
    }
    Ok(count)
}
