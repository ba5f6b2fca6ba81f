//! `affiant keys`.

use super::context;
use super::output::{Failure, say};
use crate::clock::Clock;
use crate::config::Storage;
use crate::flow::FlowError;
use crate::flow::rotate_keys::rotate;
use crate::keys::Master;
use std::time::Duration;

/// Arguments of `keys`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Say how the installation's keys are kept; no key is shown
    Show,
    /// Wrap the keys by another master key, by the newest version of the present one, or by none
    Wrap {
        /// vault:MOUNT/NAME, aws-kms:KEY, or none: then the file holds them in clear
        #[arg(long)]
        to: String,
    },
    /// Change the key that data keys are sealed under, and seal them anew; servers go on meanwhile
    Rotate {
        /// Seconds between the steps: servers read the keys again every ten
        #[arg(long, default_value_t = 30)]
        wait: u64,
    },
}

pub(super) async fn run(storage: &Storage, args: &Args) -> Result<(), Failure> {
    // The keys are opened as they are, whatever wraps them.
    let storage = Storage {
        master_key: None,
        ..storage.clone()
    };
    let app = context(&storage, Clock::system()).await?;
    let fault = |error: std::io::Error| Failure::fault(error);
    match &args.command {
        Command::Show => {
            let told = app.key.told().await.map_err(fault)?;
            let how = told
                .wrapped_by
                .as_deref()
                .unwrap_or("no master key: the file holds them in clear");
            say(format_args!("wrapped by {how}; {} keys seal or open", told.seals));
            if told.is_changing {
                say("a change is under way: `affiant keys rotate` ends it");
            }
        }
        Command::Wrap { to } => {
            let master = match to.as_str() {
                "none" => None,
                reference => Some(Master::parse(reference).map_err(Failure::Input)?),
            };
            let change = |app: crate::app::Context| async move {
                let kept = |error| FlowError::Io("the installation's keys".to_owned(), error);
                app.key.wrap(master.as_ref()).await.map_err(kept)?;
                let by = master.map(|master| master.reference());
                Ok::<_, FlowError>((by.clone(), serde_json::json!({ "by": by })))
            };
            match app.deed(("cli", "keys.wrapped", None), change).await? {
                Some(by) => say(format_args!("wrapped by {by}: name it as --master-key from now on")),
                None => say("the file holds the keys in clear"),
            }
        }
        Command::Rotate { wait } => {
            let count = rotate(&app, "cli", Duration::from_secs(*wait)).await?;
            say(format_args!(
                "{count} data keys and secrets are sealed anew; the key before is gone"
            ));
        }
    }
    Ok(())
}
