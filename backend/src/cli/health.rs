//! `affiant health`: for images without a shell, whose runtime asks whether the server is ready.

use super::output::{Failure, say};
use std::time::Duration;

/// Arguments of `health`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Address of the server; on loopback its certificate is not asked for
    #[arg(long, env = "AFFIANT_HEALTH_URL", default_value = "http://127.0.0.1:8400")]
    url: String,
}

pub(super) async fn run(args: &Args) -> Result<(), Failure> {
    let loopback = args.url.starts_with("https://127.0.0.1") || args.url.starts_with("https://localhost");
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .no_proxy()
        .danger_accept_invalid_certs(loopback)
        .build();
    let client = client.map_err(Failure::fault)?;
    let url = format!("{}/readyz", args.url.trim_end_matches('/'));
    let answer = client.get(&url).send().await;
    match answer {
        Ok(answer) if answer.status().is_success() => {
            say("ready");
            Ok(())
        }
        Ok(answer) => Err(Failure::No(format!("{url} answers {}", answer.status()))),
        Err(error) => Err(Failure::No(format!("{url} cannot be reached: {error}"))),
    }
}
