//! `affiant backup` and `affiant restore`.

use super::context;
use super::output::{Failure, say};
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::{backup, trail, verify_trail};
use std::path::PathBuf;

/// Arguments of `backup`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// File to write; it must not be there yet
    out: PathBuf,
    /// Days after which its key goes, and with it what it holds
    #[arg(long, env = "AFFIANT_BACKUP_DAYS", default_value_t = backup::DAYS)]
    days: i64,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `restore`.
#[derive(clap::Args)]
pub(super) struct RestoreArgs {
    /// The backup
    file: PathBuf,
}

pub(super) async fn run(storage: &Storage, args: &Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    let made = backup::make(&app, &args.out, args.days, "cli").await?;
    if args.json {
        say(serde_json::to_string(&made).map_err(Failure::fault)?);
    } else {
        let (file, folder) = (args.out.display(), app.backup_keys.display());
        say(format_args!(
            "{file}: {} bytes; it can be restored until {}",
            made.bytes, made.until
        ));
        say(format_args!(
            "its key is in {folder}: keep that folder, and not beside the backup"
        ));
    }
    Ok(())
}

pub(super) async fn restore(storage: &Storage, args: &RestoreArgs) -> Result<(), Failure> {
    let head = backup::head(&args.file)?;
    let url = storage.url().resolve().await.map_err(Failure::Input)?;
    let wanted = if url.starts_with("sqlite:") {
        "sqlite"
    } else {
        "postgresql"
    };
    if head.database != wanted {
        let what = format!(
            "the backup is of {} and the database that is named is {wanted}",
            head.database
        );
        return Err(Failure::Input(what));
    }
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = PathBuf::from(path.trim_start_matches("//"));
        if path.exists() {
            return Err(Failure::Input(format!(
                "{} is there already: name an empty --data",
                path.display()
            )));
        }
        // Somewhere to open the installation's keys from.
        let beside = tempfile::tempdir().map_err(Failure::fault)?;
        let places = Storage {
            data: storage.data.clone(),
            database_url: Some(format!("sqlite:{}", beside.path().join("none.sqlite").display())),
            ..storage.clone()
        };
        let app = context(&places, Clock::system()).await?;
        backup::bring_back_file(&app, &args.file, &path)?;
    } else {
        let app = context(storage, Clock::system()).await?;
        backup::bring_back_tables(&app, &args.file).await?;
    }
    let app = context(storage, Clock::system()).await?;
    let forgotten = backup::forget_again(&app).await?;
    let checked = verify_trail::check(&app).await?.entries;
    backup::told(&app, &head, forgotten, "cli").await?;
    trail::sign(&app).await?;
    say(format_args!(
        "restored as of {}; {} entries of the trail verify; {forgotten} people were forgotten again",
        head.made_at, checked
    ));
    Ok(())
}
