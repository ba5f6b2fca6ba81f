//! `affiant serve`.

use super::context;
use super::output::{Failure, say};
use crate::app::Context;
use crate::auth::session::SignIn;
use crate::clock::Clock;
use crate::config::{Config, Listen, Storage};
use crate::flow::clock_watch;
use crate::flow::fulfil_request::resume;
use crate::flow::screen::Classifier;
use chrono::Duration;
use std::net::TcpListener;
use std::sync::Arc;

/// Arguments of `serve`.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    listen: Listen,
}

pub(super) async fn run(storage: &Storage, args: Args) -> Result<(), Failure> {
    let config = Config::load(args.listen.config.as_deref()).map_err(|mistakes| Failure::mistakes(&mistakes))?;
    let app = context(storage, Clock::system()).await?;
    let _alone = if app.store.is_postgres() {
        None
    } else {
        Some(alone(&storage.data)?)
    };
    serve(app, &args.listen, &config).await
}

/// Takes the data folder for this server: a SQLite database has one.
fn alone(data: &std::path::Path) -> Result<std::fs::File, Failure> {
    let path = data.join("server.lock");
    let lock = std::fs::File::create(&path);
    let lock = lock.map_err(|error| Failure::Input(format!("cannot use {}: {error}", path.display())))?;
    let other = "another server uses this data folder; stop it, choose another folder with --data, or use PostgreSQL for several servers";
    lock.try_lock().map_err(|_| Failure::Input(other.to_owned()))?;
    Ok(lock)
}

/// Serves until it is asked to stop; prints a link to sign in with, where no provider is set up.
pub(super) async fn serve(mut app: Context, listen: &Listen, config: &Config) -> Result<(), Failure> {
    let listener = TcpListener::bind(&listen.listen)
        .map_err(|error| Failure::Input(format!("cannot listen on {}: {error}", listen.listen)))?;
    let address = listener.local_addr().map_err(Failure::fault)?;
    let configured = (!config.server.public_url.is_empty()).then(|| config.server.public_url.clone());
    let url = listen.public_url.clone().or(configured);
    let tls = match config.server.tls_certificate.as_str() {
        "" => None,
        _ => Some(crate::config::tls::load(&config.server).map_err(Failure::Input)?),
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = url.unwrap_or_else(|| format!("{scheme}://{address}"));
    let secrets = config.fetch().await.map_err(|mistakes| Failure::mistakes(&mistakes))?;
    app.sign_in = Arc::new(SignIn::new(config, secrets, &url).map_err(Failure::Input)?);
    app.checkpoints = Arc::new(config.trail.clone());
    app.intake = config.privacy.intake.then(Arc::default);
    let screening = &config.screening;
    if !screening.classifier_url.is_empty() {
        let token = screening.classifier_token.resolve().await.map_err(Failure::Input)?;
        let classifier = Classifier::new(&screening.classifier_url, token, screening.classifier_milliseconds);
        app.classifier = Some(classifier.map_err(Failure::Input)?);
    }
    // Before anything is written, the newest entry of the trail is that of the server before.
    clock_watch::check_start(&app).await?;
    let link = if app.sign_in.providers.is_empty() {
        Some(link(&app, &url).await?)
    } else {
        None
    };
    // The database may have been brought back to a time before somebody was forgotten.
    let forgotten = crate::flow::backup::forget_again(&app).await?;
    if forgotten > 0 {
        tracing::warn!(forgotten, "people were forgotten again, whom the database still knew");
    }
    // SQLite has one server: what requests of the last one had claimed, nobody is at work for any more.
    if !app.store.is_postgres() {
        app.store.release_all_claims().await.map_err(Failure::fault)?;
        app.store.release_jobs().await.map_err(Failure::fault)?;
    }
    if !app.store.has_trigrams().await.map_err(Failure::fault)? {
        tracing::warn!("PostgreSQL has no extension pg_trgm: findings are searched by whole words");
    }
    resume(&app).await?;
    let mut last = app.clone();
    let watching = tokio::spawn(clock_watch::watch(app.clone()));
    let jobs = crate::jobs::start(&app).await.map_err(Failure::fault)?;
    let server = crate::http::serve(app, listener, tls).map_err(Failure::fault)?;
    say(format_args!("Affiant is at {url}"));
    match link {
        Some(link) => say(format_args!("Sign in, once and within the hour, at {link}")),
        None => say("People sign in with the providers of the configuration"),
    }
    let outcome = server.await.map_err(Failure::fault);
    watching.abort();
    jobs.shut_down().await;
    // What was refused last, and a checkpoint over all of it.
    last.store = last.store.afresh();
    if let Err(error) = crate::flow::refusals::write(&last).await {
        tracing::error!(%error, "refused access could not be written into the trail");
    }
    if let Err(error) = crate::flow::refusals::write_strangers(&last).await {
        tracing::error!(%error, "what strangers caused could not be written into the trail");
    }
    if let Err(error) = crate::flow::trail::sign(&last).await {
        tracing::error!(%error, "the trail was not signed");
    }
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
