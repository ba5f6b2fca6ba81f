//! `affiant demo`: a company with a year behind it, made through the same doors that people use.

mod company;
mod files;

use super::context;
use super::output::{Failure, say};
use super::serve::serve;
use crate::clock::Clock;
use crate::config::{Config, Listen, Storage};

/// Arguments of `demo`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    listen: Listen,
    /// Fill the database and end
    #[arg(long)]
    no_serve: bool,
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    let mut storage = storage.clone();
    if storage.data.as_os_str() == "data" {
        storage.data = "data/demo".into();
    }
    let system = Clock::system();
    let clock = Clock::standing(system.now());
    let app = context(&storage, clock.clone()).await?;
    if company::is_there(&app).await? {
        say("the demonstration is there already; nothing was changed");
    } else {
        say("making a year of a company, through the same doors that people use …");
        company::make(&app, &clock, system.now()).await?;
    }
    drop(app);
    if args.no_serve {
        return Ok(());
    }
    let app = context(&storage, system).await?;
    serve(app, &args.listen, &Config::default()).await
}
