//! `affiant clock`.

use super::context;
use super::output::{Failure, say};
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::clock_watch::{check_start, confirm, status};
use chrono::SecondsFormat;

/// Arguments of `clock`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Confirm that the clock is right, so that what is past its date is deleted again
    #[arg(long)]
    confirm: bool,
}

/// Shows whether the clock is trusted; exit code 1 where it is not.
pub(super) async fn run(storage: &Storage, args: &Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    check_start(&app).await?;
    if args.confirm {
        confirm(&app, "cli").await?;
    }
    let found = status(&app).await?;
    let now = found.now.to_rfc3339_opts(SecondsFormat::Secs, true);
    match found.suspected_at {
        None => {
            say(format_args!("{now}: the clock is trusted"));
            Ok(())
        }
        Some(since) => Err(Failure::No(format!(
            "{now}: the clock is not trusted since {}. {} Deletions by date wait for 24 hours, or for: affiant clock --confirm",
            since.to_rfc3339_opts(SecondsFormat::Secs, true),
            found.suspicion
        ))),
    }
}
