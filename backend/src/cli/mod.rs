//! The command line: one file per command. Exit codes: 0 done, 1 the answer is no, 2 bad use or input, 3 fault.

mod assess;
mod backup;
mod break_glass;
mod clock;
mod config;
mod demo;
mod formats;
mod frameworks;
mod health;
#[cfg(unix)]
mod heaps;
mod ingest;
mod keys;
mod output;
mod privacy;
mod report;
mod reread;
mod retention;
mod score;
mod serve;
mod sources;
mod token;
mod trail;

use crate::app::Context;
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::FlowError;
use clap::{CommandFactory, Parser, Subcommand};
use output::{Failure, say};
use std::process::ExitCode;
use std::sync::Arc;

/// Proves, again and again, what scanner findings and audit events mean for SOX, HIPAA, GDPR and PCI DSS
#[derive(Parser)]
#[command(name = "affiant", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    storage: Storage,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the dashboard and the API
    Serve(serve::Args),
    /// Fill a database with a believable company and serve it
    Demo(demo::Args),
    /// Import scanner files or audit logs, here or into a server
    Ingest(ingest::Args),
    /// Set up and pull audit stores
    Sources(sources::Args),
    /// Score a project now and store the assessment
    Assess(assess::Args),
    /// Make a period report
    Report(report::Args),
    /// Compute a score from an exported evidence file
    Score(score::Args),
    /// Look at the catalogue of frameworks
    Frameworks(frameworks::Args),
    /// Look at the formats that are read
    Formats(formats::Args),
    /// Read stored originals again with the readers of this version
    Reread(reread::Args),
    /// Make an API token
    Token(token::Args),
    /// Check a configuration, or print an example
    Config(config::Args),
    /// Make a local administrator for the day on which no provider answers
    BreakGlass(break_glass::Args),
    /// Let go of what is past its date, as the server does daily
    Retention(retention::Args),
    /// Show whether the clock is trusted, or confirm it
    Clock(clock::Args),
    /// Write a sealed backup of the database
    Backup(backup::Args),
    /// Bring a database back from a backup, and forget again who was forgotten since
    Restore(backup::RestoreArgs),
    /// Wrap and change the installation's keys
    Keys(keys::Args),
    /// Carry out requests of data subjects
    Privacy(privacy::Args),
    /// Export, verify and prove the trail of everything that happened
    Trail(trail::Args),
    /// Ask a server whether it is ready
    Health(health::Args),
    /// Bring the database's schema up to date
    Migrate,
    /// Print the description of the API
    Openapi,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    #[cfg(unix)]
    if matches!(cli.command, Command::Serve(_) | Command::Demo(_)) {
        heaps::limit();
    }
    let traces = match crate::telemetry::start() {
        Ok(traces) => traces,
        Err(why) => return Failure::Input(why).report(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        return ExitCode::from(3);
    };
    let done = runtime.block_on(dispatch(cli));
    drop(traces);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let storage = &cli.storage;
    match cli.command {
        Command::Serve(args) => serve::run(storage, args).await,
        Command::Demo(args) => demo::run(storage, args).await,
        Command::Ingest(args) => ingest::run(storage, args).await,
        Command::Sources(args) => sources::run(storage, args).await,
        Command::Assess(args) => assess::run(storage, args).await,
        Command::Report(args) => report::run(storage, args).await,
        Command::Score(args) => score::run(&args),
        Command::Frameworks(args) => frameworks::run(storage, &args),
        Command::Formats(args) => formats::run(storage, &args),
        Command::Reread(args) => reread::run(storage, &args).await,
        Command::Token(args) => token::run(storage, args).await,
        Command::Config(args) => config::run(&args).await,
        Command::BreakGlass(args) => break_glass::run(storage, &args).await,
        Command::Retention(args) => retention::run(storage, &args).await,
        Command::Clock(args) => clock::run(storage, &args).await,
        Command::Backup(args) => backup::run(storage, &args).await,
        Command::Restore(args) => backup::restore(storage, &args).await,
        Command::Keys(args) => keys::run(storage, &args).await,
        Command::Privacy(args) => privacy::run(storage, args).await,
        Command::Trail(args) => trail::run(storage, args).await,
        Command::Health(args) => health::run(&args).await,
        Command::Migrate => {
            context(storage, Clock::system()).await?;
            say("the schema is up to date");
            Ok(())
        }
        Command::Openapi => {
            say(crate::http::api::description().trim_end());
            Ok(())
        }
        Command::Completions { shell } => {
            // Made whole first: where its reader has gone away, the library would panic.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "affiant", &mut script);
            let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
            Ok(())
        }
    }
}

/// Makes the data folder where it is not there, readable by its owner alone; so is one that is an installation's. A folder that was there for
/// something else is left as it is.
fn keep_private(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mode = std::fs::metadata(folder)?.permissions().mode();
    if mode & 0o077 != 0
        && folder.join("installation.key").exists()
        && let Err(error) = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
    {
        tracing::warn!(folder = %folder.display(), %error, "others than its owner may read the data folder");
    }
    Ok(())
}

/// Opens the installation that the flags name.
async fn context(storage: &Storage, clock: Clock) -> Result<Context, Failure> {
    let catalogue = crate::frameworks::load_checked(storage.frameworks.as_deref()).map_err(Failure::input)?;
    let io = |error| Failure::fault(FlowError::Io(storage.data.display().to_string(), error));
    keep_private(&storage.data).map_err(io)?;
    let url = storage.url().resolve().await.map_err(Failure::Input)?;
    let store = affiant_store::Store::connect(&url).await.map_err(Failure::fault)?;
    let spool = storage.data.join("spool");
    let formats = storage.load_formats().map_err(Failure::input)?;
    let app = Context::new(store, Arc::new(catalogue), formats, clock, spool, storage.places()).await?;
    crate::flow::sweep::after_ended(&app).await?;
    Ok(app)
}
