//! Pages.
use crate::http::problem::Problem;
use actix_web::{HttpRequest, HttpResponse};

/// Routes.
pub fn routes(_: &mut actix_web::web::ServiceConfig) {}

pub(super) async fn missing(_: &HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::not_found("there is nothing at this address"))
}
