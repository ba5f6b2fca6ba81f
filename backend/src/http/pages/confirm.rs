//! What cannot be taken back is asked once: a page says what is lost, and sends the form again.

use super::{Chrome, page};
use crate::http::problem::Problem;
use actix_web::HttpResponse;
use askama::Template;

/// A question before something is done.
#[derive(Template)]
#[template(path = "pages/confirm.html")]
pub(super) struct Confirm {
    pub(super) chrome: Chrome,
    pub(super) heading: String,
    /// What is lost.
    pub(super) text: &'static str,
    /// What is lost, one by one.
    pub(super) items: Vec<String>,
    /// Where the form goes again.
    pub(super) action: String,
    /// What it bears again.
    pub(super) fields: Vec<(&'static str, String)>,
    /// What the button says.
    pub(super) button: &'static str,
    /// Where to go instead.
    pub(super) back: String,
}

impl Confirm {
    /// Asks.
    pub(super) fn ask(&self) -> Result<HttpResponse, Problem> {
        page(self)
    }
}
