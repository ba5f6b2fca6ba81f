//! The one place where an error becomes an answer: RFC 9457 `application/problem+json`.

use crate::auth::oidc::OidcError;
use crate::flow::FlowError;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use affiant_ingest::ReadError;
use affiant_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Types of problem: name, title, status, and what to do. The table in `docs/API.md` is this one.
pub const TYPES: [(&str, &str, u16, &str); 14] = [
    (
        "unauthenticated",
        "Nobody is signed in",
        401,
        "Sign in, or send a token as Authorization: Bearer.",
    ),
    (
        "sign-in-refused",
        "The sign-in is refused",
        403,
        "Begin again; where it happens again, the log of actions says why.",
    ),
    (
        "forbidden",
        "Not permitted",
        403,
        "Ask for a role or token that has the permission named in the detail.",
    ),
    (
        "not-found",
        "Not found",
        404,
        "Check the address; what belongs to another project looks the same.",
    ),
    (
        "invalid",
        "The request is not valid",
        400,
        "Each entry of errors says where and what.",
    ),
    (
        "file-refused",
        "The file is refused",
        422,
        "The detail names line and reason; nothing was stored.",
    ),
    ("too-large", "Too large", 413, "The limit is in the detail."),
    (
        "conflict",
        "It does not fit with what is there",
        409,
        "Read the present state and try again.",
    ),
    (
        "mass-close",
        "The snapshot would close most of what is open",
        409,
        "Check that the file is whole; then send it with confirm=true.",
    ),
    (
        "precondition-failed",
        "It was changed meanwhile",
        412,
        "Read it again and repeat the change.",
    ),
    (
        "key-reused",
        "The idempotency key was used for another request",
        422,
        "Use a new key for a new request.",
    ),
    (
        "too-many-requests",
        "Too many requests",
        429,
        "Wait as long as Retry-After says.",
    ),
    (
        "unavailable",
        "Not available",
        503,
        "Try again after the time in Retry-After.",
    ),
    (
        "internal",
        "A fault of the server",
        500,
        "Report the instance to the operator; the log names it.",
    ),
];

/// What an error of this status may say, as titles.
#[must_use]
pub(crate) fn titles(status: &str) -> String {
    let of_status = TYPES.iter().filter(|(_, _, known, _)| known.to_string() == status);
    let titles: Vec<&str> = of_status.map(|(_, title, ..)| *title).collect();
    titles.join("; or: ")
}

/// An error as it is sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Address of the type.
    #[serde(rename = "type")]
    #[schema(example = "urn:affiant:problem:invalid")]
    pub kind: String,
    /// Title of the type.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// What happened here.
    pub detail: String,
    /// Identity of this occurrence.
    #[schema(example = "urn:uuid:018f0000-0000-7000-8000-000000000000")]
    pub instance: String,
    /// Where the input is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub errors: Vec<InputError>,
    /// How many findings would close, for a mass close.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub closing: Option<u64>,
    /// How many are open, for a mass close.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub open: Option<u64>,
    /// Seconds to wait; a header says it.
    #[serde(skip)]
    pub wait: Option<u64>,
}

/// A place in the input.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct InputError {
    /// JSON Pointer, parameter or line.
    pub at: String,
    /// What is wrong.
    pub detail: String,
}

impl Problem {
    /// A problem of a type in [`TYPES`].
    #[must_use]
    pub fn new(name: &str, detail: impl Into<String>) -> Self {
        let (name, title, status, _) = TYPES
            .iter()
            .find(|(known, ..)| *known == name)
            .copied()
            .unwrap_or(TYPES[TYPES.len() - 1]);
        Self {
            kind: format!("urn:affiant:problem:{name}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            instance: format!("urn:uuid:{}", super::observe::request_id()),
            errors: Vec::new(),
            closing: None,
            open: None,
            wait: None,
        }
    }

    /// Nobody is signed in.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new("unauthenticated", "this needs a session or a token")
    }

    /// Somebody without a permission.
    #[must_use]
    pub fn forbidden(permission: &str) -> Self {
        Self::new("forbidden", format!("this needs the permission {permission}"))
    }

    /// Not there, or not theirs.
    #[must_use]
    pub fn not_found(detail: &str) -> Self {
        Self::new("not-found", detail)
    }

    /// A fault of ours; what it is goes to the log.
    #[must_use]
    pub fn internal(what: &str) -> Self {
        let problem = Self::new("internal", "the server could not do this; the log says why");
        tracing::error!(instance = problem.instance, "{what}");
        problem
    }

    /// Input that is wrong at one place.
    #[must_use]
    pub fn invalid(at: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let mut problem = Self::new("invalid", detail.clone());
        problem.errors.push(InputError { at: at.into(), detail });
        problem
    }

    fn status_code_of(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status_code_of()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code_of());
        if self.status == 503 || self.wait.is_some() {
            response.insert_header(("Retry-After", self.wait.unwrap_or(5).to_string()));
        }
        if self.status == 401 {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        let body = serde_json::to_string(self).unwrap_or_default();
        response.content_type("application/problem+json").body(body)
    }
}

impl From<OidcError> for Problem {
    fn from(error: OidcError) -> Self {
        let name = match error {
            OidcError::Away(_) => "unavailable",
            OidcError::Refused(_) | OidcError::Unproved(_) => "sign-in-refused",
        };
        Self::new(name, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { outage, error } => {
                tracing::warn!(?outage, %error, "the database does not serve");
                Self::new("unavailable", outage.detail())
            }
            StoreError::Conflict(what) => Self::new("conflict", what),
            other => Self::internal(&other.to_string()),
        }
    }
}

impl From<FlowError> for Problem {
    fn from(error: FlowError) -> Self {
        let text = error.to_string();
        match error {
            FlowError::NotFound(what) => Self::not_found(&what),
            FlowError::Invalid { at, what } => Self::invalid(at, what),
            FlowError::Refused(refused) => refused_file(&refused),
            FlowError::MassClose { closing, open } => Self {
                closing: Some(closing),
                open: Some(open),
                ..Self::new("mass-close", text)
            },
            FlowError::Conflict(what) => Self::new("conflict", what),
            FlowError::KeyInUse => Self {
                wait: Some(2),
                ..Self::new("conflict", text)
            },
            FlowError::Busy => Self::new("unavailable", text),
            FlowError::KeyReused => Self::new("key-reused", text),
            FlowError::Forbidden(what) => Self::new("forbidden", what),
            FlowError::Framework(unknown) => Self::invalid("framework", unknown.to_string()),
            FlowError::Away(what) => Self::new("unavailable", what),
            FlowError::Store(error) => error.into(),
            FlowError::Io(..) => {
                tracing::error!("{text}");
                Self::new("unavailable", "the server cannot write at the moment")
            }
            FlowError::Report(_) | FlowError::Worker => Self::internal(&text),
            FlowError::Trail(_) => {
                tracing::error!(error = text, "the trail");
                Self::new(
                    "unavailable",
                    "the trail cannot be written or signed; the server's log says why",
                )
            }
        }
    }
}

fn refused_file(error: &ReadError) -> Problem {
    let name = match error {
        ReadError::Limit { .. } => "too-large",
        ReadError::UnknownFormat(..) => "invalid",
        _ => "file-refused",
    };
    let mut problem = Problem::new(name, error.to_string());
    if let ReadError::Broken { line, what, .. } = error {
        problem.errors.push(InputError {
            at: format!("line {line}"),
            detail: what.clone(),
        });
    }
    problem
}
