//! Forms that are read before it is known who sends them: small ones.

use crate::http::problem::Problem;
use actix_web::dev::{Payload, UrlEncoded};
use actix_web::error::UrlencodedError;
use actix_web::{FromRequest, HttpRequest};
use futures::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use std::ops::Deref;

/// Bytes of one.
const LIMIT: usize = 64 << 10;

/// A form of anybody.
#[derive(Debug)]
pub struct Small<T>(T);

impl<T> Deref for Small<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Small<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = UrlEncoded::<T>::new(request, payload).limit(LIMIT);
        Box::pin(async move {
            form.await.map(Self).map_err(|error| match error {
                UrlencodedError::Overflow { limit, .. } => {
                    Problem::new("too-large", format!("this form has at most {limit} bytes"))
                }
                other => Problem::invalid("form", other.to_string()),
            })
        })
    }
}
