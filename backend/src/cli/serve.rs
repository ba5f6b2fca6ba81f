//! `affiant serve`.

use super::context;
use super::output::{Failure, say};
use crate::app::Context;
use crate::clock::Clock;
use crate::config::{Listen, Storage};
use chrono::Duration;
use std::net::TcpListener;

/// Arguments of `serve`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    listen: Listen,
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    let app = context(storage, Clock::system()).await?;
    serve(app, &args.listen).await
}

/// Serves until it is asked to stop; prints a link to sign in with.
pub(super) async fn serve(app: Context, listen: &Listen) -> Result<(), Failure> {
    let listener = TcpListener::bind(&listen.listen)
        .map_err(|error| Failure::Input(format!("cannot listen on {}: {error}", listen.listen)))?;
    let address = listener.local_addr().map_err(Failure::fault)?;
    let url = listen.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let link = link(&app, &url).await?;
    let mut jobs = crate::jobs::start(&app).await.map_err(Failure::fault)?;
    let server = crate::http::serve(app, listener).map_err(Failure::fault)?;
    say(format_args!("Affiant is at {url}"));
    say(format_args!("Sign in, once and within the hour, at {link}"));
    let outcome = server.await.map_err(Failure::fault);
    let _ = jobs.shutdown().await;
    outcome
}

/// A link that signs its first visitor in as administrator.
async fn link(app: &Context, url: &str) -> Result<String, Failure> {
    let secret = crate::auth::random();
    let until = app.clock.now() + Duration::hours(1);
    app.store
        .add_link(&crate::auth::hash(&secret), "operator", "admin", until)
        .await
        .map_err(Failure::fault)?;
    Ok(format!("{}/sign-in/{secret}", url.trim_end_matches('/')))
}
