//! Screens content: prompts on their way to a model, and what comes back. What is kept as evidence is the decision, the rules and a
//! keyed hash; never the text.

use super::FlowError;
use crate::app::Context;
use affiant_domain::screening::{Classified, Screening, sanitized, screen as judge};
use affiant_store::{Draft, micros};
use serde::Deserialize;
use std::sync::LazyLock;
use std::time::Duration;
use tiktoken_rs::CoreBPE;
use uuid::Uuid;

/// Bytes of a text.
pub const LONGEST: usize = 1 << 20;
/// Bytes of a classifier's answer.
const ANSWER: usize = 64 << 10;

static TOKENS: LazyLock<Option<CoreBPE>> = LazyLock::new(|| tiktoken_rs::cl100k_base().ok());

/// Asks a service how unsafe a text is.
#[derive(Clone, Debug)]
pub struct Classifier {
    url: String,
    token: String,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct Answer {
    score: f64,
}

impl Classifier {
    /// The service at an address, with what shows it who asks.
    ///
    /// # Errors
    /// Why no client can be made.
    pub fn new(url: &str, token: String, milliseconds: u32) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_millis(milliseconds.into()))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            url: url.to_owned(),
            token,
            http,
        })
    }

    async fn ask(&self, text: &str) -> Option<f64> {
        let mut request = self.http.post(&self.url).json(&serde_json::json!({ "text": text }));
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        let mut answer = request.send().await.ok()?.error_for_status().ok()?;
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.ok()? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER {
                return None;
            }
        }
        serde_json::from_slice::<Answer>(&bytes).ok().map(|answer| answer.score)
    }
}

/// What came of screening.
#[derive(Debug)]
pub struct Outcome {
    /// Of the text as it came.
    pub first: Screening,
    /// A text without what matched, where one is offered: it was screened again, and is safe.
    pub sanitized: Option<String>,
}

async fn once(app: &Context, text: &str) -> Result<Screening, FlowError> {
    let classified = match &app.classifier {
        None => Classified::None,
        Some(classifier) => match classifier.ask(text).await {
            Some(score) => Classified::Score(score),
            None => {
                tracing::warn!("the classifier cannot be asked; content is not called safe");
                Classified::Failed
            }
        },
    };
    let own = text.to_owned();
    let judged = tokio::task::spawn_blocking(move || {
        let counted = TOKENS.as_ref()?.encode_ordinary(&own).len();
        Some(judge(&own, counted, classified))
    });
    judged.await.ok().flatten().ok_or(FlowError::Worker)
}

/// Screens a text; keeps the decision as an entry of the trail before it answers.
///
/// # Errors
/// [`FlowError`] where the text cannot be screened or the entry not be written: then nobody may take it for safe.
pub async fn screen(app: &Context, text: &str, (actor, project): (&str, Option<Uuid>)) -> Result<Outcome, FlowError> {
    let first = once(app, text).await?;
    let mut left = sanitized(text, &first);
    if let Some(offered) = &left
        && !once(app, offered).await?.is_safe()
    {
        left = None;
    }
    let issues: Vec<&str> = first.issues.iter().map(|issue| issue.as_str()).collect();
    let mut classes: Vec<&str> = first.data.iter().map(|found| found.class).collect();
    classes.sort_unstable();
    classes.dedup();
    let draft = Draft {
        action: "content.screened".to_owned(),
        outcome: if first.is_safe() { "success" } else { "denied" },
        actor: actor.to_owned(),
        concerns: Vec::new(),
        project,
        record: None,
        refs: vec![
            ("rule-set", affiant_domain::content::RULE_SET.to_string()),
            ("rules", first.rules.join(" ")),
            ("issues", issues.join(" ")),
            ("data", classes.join(" ")),
            ("tokens", first.tokens.to_string()),
            ("hmac", hex::encode(app.key.hash("screened", text.as_bytes()))),
        ],
        content: String::new(),
        at: micros(app.clock.now()),
    };
    app.store.append_alone(&[draft]).await?;
    Ok(Outcome { first, sanitized: left })
}
