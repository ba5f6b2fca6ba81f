//! `affiant break-glass`.

use super::context;
use super::output::{Failure, say};
use crate::auth::break_glass::set;
use crate::clock::Clock;
use crate::config::Storage;

/// Arguments of `break-glass`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make the local administrator for emergencies, or make it anew; prints password and authenticator's address once
    Set,
    /// Remove it
    Remove,
}

pub(super) async fn run(storage: &Storage, args: &Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    match args.command {
        Command::Set => {
            let made = set(&app).await.map_err(Failure::fault)?;
            say(format_args!("password: {}", made.password));
            say(format_args!("authenticator: {}", made.otpauth));
            say("Keep both apart and sealed. It gets in at /emergency, where [server] break_glass = true says so.");
        }
        Command::Remove => {
            if !app.store.remove_break_glass().await.map_err(Failure::fault)? {
                return Err(Failure::Input("there is none".to_owned()));
            }
            say("removed");
        }
    }
    Ok(())
}
