//! Changes the key that data keys and other secrets are sealed under, while servers run.

use super::FlowError;
use crate::app::Context;
use crate::auth::{break_glass, session};
use crate::flow::{fulfil_request, keyed, tell_processors, trail};
use crate::keys::Change;
use affiant_store::{Sealed, SealedId};
use serde_json::json;
use std::time::Duration;

/// Rows that are sealed anew at once.
const BATCH: u64 = 500;

/// What the bytes of a row are sealed for.
fn purpose(kind: Sealed, id: &SealedId) -> String {
    match (kind, id) {
        (Sealed::Subject, SealedId::Uuid(id)) => crate::trail::purpose(*id),
        (Sealed::TrailKey, _) => trail::SIGNING.to_owned(),
        (Sealed::Request, _) => fulfil_request::IDENTIFIER.to_owned(),
        (Sealed::Consent, _) => "consent.proof".to_owned(),
        (Sealed::BreakGlass, _) => break_glass::SECRET.to_owned(),
        (Sealed::Processor, SealedId::Uuid(id)) => tell_processors::secret_purpose(*id),
        (Sealed::Notice, _) => tell_processors::BODY.to_owned(),
        (Sealed::Answer, _) => keyed::ANSWER.to_owned(),
        _ => session::REFRESH.to_owned(),
    }
}

/// Changes the sealing key and seals everything anew, from wherever the last try ended. Between its steps it waits until every server has
/// read the keys again. Gives how much was sealed anew.
///
/// # Errors
/// [`FlowError`] where the database, the file or the keeper of the master key fails; saying it again goes on.
pub async fn rotate(app: &Context, actor: &str, wait: Duration) -> Result<u64, FlowError> {
    let file = |error| FlowError::Io("the installation's keys".to_owned(), error);
    // One that broke off may have made its last step a moment ago.
    if app.key.told().await.map_err(file)?.is_changing {
        tokio::time::sleep(wait).await;
    }
    let mut resealed = 0;
    loop {
        let told = app.key.told().await.map_err(file)?;
        if told.is_changing && !told.is_announced {
            // Until a look finds nothing: a server that was late may have sealed under the key before.
            loop {
                let found = reseal(app).await? + super::backup::reseal(app)?;
                resealed += found;
                if found == 0 {
                    break;
                }
                tokio::time::sleep(wait).await;
            }
        }
        match app.key.change().await.map_err(file)? {
            Change::Announced | Change::Taken => tokio::time::sleep(wait).await,
            Change::Dropped => break,
        }
    }
    let detail = json!({ "sealed_anew": resealed }).to_string();
    app.store
        .record_action((actor, "keys.rotated", None), &detail, app.clock.now())
        .await?;
    Ok(resealed)
}

/// Seals everything anew that is not sealed under the present key.
async fn reseal(app: &Context) -> Result<u64, FlowError> {
    let mut count = 0;
    for kind in Sealed::ALL {
        let mut after = None;
        loop {
            let found = app.store.sealed(kind, after, BATCH).await?;
            let Some((last, _)) = found.last() else { break };
            after = Some(last.clone());
            for (id, was) in found {
                let purpose = purpose(kind, &id);
                if app.key.open(&purpose, &was).is_err() {
                    // With the key before gone it would be lost for good.
                    let what = format!(
                        "something sealed cannot be opened ({purpose}): the key before stays until it is seen to"
                    );
                    return Err(FlowError::Trail(what));
                }
                if let Some(now) = app.key.reseal(&purpose, &was) {
                    count += u64::from(app.store.reseal(kind, id, was, now).await?);
                }
            }
        }
    }
    Ok(count)
}
