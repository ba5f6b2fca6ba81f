//! `affiant config`.

use super::output::{Failure, say};
use crate::config::Config;
use std::path::PathBuf;

/// Arguments of `config`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check a configuration with the environment, as the server does at its start, and name every mistake
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print a configuration in which each key stands with its default
    Example,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    match &args.command {
        Command::Check { file } => {
            let config = Config::load(Some(file)).map_err(|mistakes| Failure::mistakes(&mistakes))?;
            config.fetch().await.map_err(|mistakes| Failure::mistakes(&mistakes))?;
            say(format_args!("{} is right", file.display()));
        }
        Command::Example => say(Config::example().trim_end()),
    }
    Ok(())
}
