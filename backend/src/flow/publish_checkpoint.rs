//! Keeps checkpoints elsewhere too: in a folder, at an address, and with witnesses, who sign that each continues the last.

use super::trail::prove;
use crate::app::Context;
use affiant_store::micros;
use affiant_trail::proof::Claim;
use affiant_trail::{Witness, question};
use std::time::Duration;

/// The longest answer of a witness that is read.
const ANSWER: usize = 16 << 10;

/// A checkpoint that was signed.
#[derive(Clone)]
pub(super) struct Signed {
    /// Leaves of the tree.
    pub(super) size: u64,
    /// Leaves of the tree at the checkpoint before.
    pub(super) before: u64,
    pub(super) note: String,
    pub(super) at: affiant_domain::Instant,
}

/// Keeps a checkpoint elsewhere. What fails is told to the log; the next one comes within seconds of the next entry.
pub(super) async fn publish(app: &Context, signed: Signed) {
    let settings = &app.checkpoints;
    if !settings.checkpoint_folder.is_empty() {
        let path = std::path::Path::new(&settings.checkpoint_folder).join(format!("{:020}.txt", signed.size));
        if let Err(error) = tokio::fs::write(&path, &signed.note).await {
            tracing::error!(%error, "a checkpoint cannot be written into its folder");
        }
    }
    let witnesses = settings.witnesses();
    if settings.checkpoint_url.is_empty() && witnesses.is_empty() {
        return;
    }
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let Ok(client) = client else { return };
    // Nobody waits for any of them.
    for (url, witness) in witnesses {
        let (app, client, signed) = (app.clone(), client.clone(), signed.clone());
        tokio::spawn(async move {
            if let Err(what) = ask(&app, &client, (&url, &witness), &signed).await {
                tracing::error!(witness = witness.name(), size = signed.size, %what, "a witness did not cosign a checkpoint");
            }
        });
    }
    if !settings.checkpoint_url.is_empty() {
        let request = client
            .post(&settings.checkpoint_url)
            .header("content-type", "text/plain; charset=utf-8")
            .body(signed.note);
        tokio::spawn(async move {
            let sent = request.send().await.and_then(reqwest::Response::error_for_status);
            if let Err(error) = sent {
                tracing::error!(error = %error.without_url(), "a checkpoint cannot be sent");
            }
        });
    }
}

/// Asks a witness to cosign a checkpoint, and keeps its signature with it. One that saw another size last says so, and is asked again.
async fn ask(
    app: &Context,
    client: &reqwest::Client,
    (url, witness): (&str, &Witness),
    signed: &Signed,
) -> Result<(), String> {
    let mut old = signed.before;
    for _ in 0..3 {
        let proof = match old {
            old if old == 0 || old == signed.size => Vec::new(),
            // It was asked for a later checkpoint meanwhile.
            old if old > signed.size => return Ok(()),
            old => {
                let size = signed.size;
                let proof = prove(app, Claim::Consistency { size, old }).await;
                proof.map_err(|error| error.to_string())?
            }
        };
        let mut answer = client
            .post(format!("{}/add-checkpoint", url.trim_end_matches('/')))
            .header("content-type", "text/plain; charset=utf-8")
            .body(question(old, &proof, &signed.note))
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        let status = answer.status().as_u16();
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|_| "its answer breaks off")? {
            text.extend_from_slice(&piece);
            if text.len() > ANSWER {
                return Err("its answer is too long".to_owned());
            }
        }
        let text = String::from_utf8_lossy(&text);
        match status {
            200 => {
                let line = witness.line(&signed.note, &text);
                let line = line.ok_or("its answer has no good signature of the key that is set")?;
                let kept = app.store.cosign_checkpoint(signed.size, micros(signed.at), line).await;
                return kept.map_err(|error| error.to_string());
            }
            // The size that it saw last.
            409 => old = text.trim().parse().map_err(|_| "status 409 without a size")?,
            _ => return Err(format!("status {status}")),
        }
    }
    Err("it saw another size each time".to_owned())
}
