//! `affiant retention`.

use super::context;
use super::output::{Failure, say};
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::backup::expire;
use crate::flow::clock_watch::check_start;
use crate::flow::enforce_retention::{Wish, run_all};
use crate::flow::fulfil_request::end_restrictions;

/// Arguments of `retention`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// It is meant, though it is more than five in a hundred records at once
    #[arg(long)]
    confirm: bool,
}

pub(super) async fn run(storage: &Storage, args: &Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    let wish = Wish {
        dry_run: args.dry_run,
        confirm: args.confirm,
    };
    check_start(&app).await?;
    let mut waits = false;
    for run in run_all(&app, wish, "cli").await? {
        waits |= run.waits && !args.dry_run;
        let what = run
            .waits_for
            .map_or_else(String::new, |why| format!("; waiting: {}", why.advice()));
        say(format_args!(
            "{}: {} of {} records are past their date, {} more are held, {} purged; what is personal in {} more is past its ceiling, {} purged{what}",
            run.project, run.due, run.all, run.held, run.purged, run.payloads_due, run.payloads_purged
        ));
    }
    if !args.dry_run {
        let runs = [
            ("restrictions", end_restrictions(&app, args.confirm).await?),
            ("keys of backups", expire(&app, args.confirm).await?),
        ];
        for (what, run) in runs {
            waits |= run.waits;
            let wait = run
                .waits_for
                .map_or_else(String::new, |why| format!("; waiting: {}", why.advice()));
            say(format_args!(
                "{what}: {} past their date, {} deleted{wait}",
                run.due, run.done
            ));
        }
    }
    if waits {
        return Err(Failure::No("records wait for a person".to_owned()));
    }
    Ok(())
}
