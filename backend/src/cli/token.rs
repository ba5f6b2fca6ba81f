//! `affiant token create`.

use super::context;
use super::output::{Failure, say};
use crate::auth::Principal;
use crate::clock::Clock;
use crate::config::Storage;
use crate::http::api::tokens::{TokenRequest, make};

/// Arguments of `token`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a token and print it; it is not kept anywhere in clear
    Create {
        /// What it is for
        #[arg(long, default_value = "cli")]
        name: String,
        /// ingest, auditor, member, compliance or admin
        #[arg(long, default_value = "ingest")]
        role: String,
        /// Slug of its project; all projects, where it is not given
        #[arg(long)]
        project: Option<String>,
        /// When it ends; 90 days from now, where it is not given
        #[arg(long)]
        expires_at: Option<String>,
        /// Permission to which it is bound, such as scans:write; repeat it for several, leave it out for all of the role
        #[arg(long = "scope")]
        scopes: Vec<String>,
        /// Client certificate without which it is worth nothing: sha256:FINGERPRINT, dns:NAME or uri:ADDRESS of it
        #[arg(long)]
        holder: Option<String>,
    },
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    let Command::Create {
        name,
        role,
        project,
        expires_at,
        scopes,
        holder,
    } = args.command;
    let app = context(storage, Clock::system()).await?;
    let wanted = TokenRequest {
        name,
        role,
        project,
        expires_at,
        scopes,
        holder,
    };
    let (_, secret) = make(&app, &wanted, &Principal::operator("cli"))
        .await
        .map_err(|problem| Failure::Input(problem.detail))?;
    say(secret);
    Ok(())
}
