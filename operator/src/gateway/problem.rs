//! Answers that are errors.

use axum::Json;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use zkinfer_crds::wire::{BodyError, Problem};

/// An error answer: status, stable word, sentence.
#[derive(Debug)]
pub(crate) struct Reject {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

impl Reject {
    pub(crate) fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }

    pub(crate) fn unknown_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "UnknownToken",
            "the bearer token is absent or not known here",
        )
    }

    pub(crate) fn gone() -> Self {
        let message = "the lease has ended, or the request is over: ask for another slice";
        Self::new(StatusCode::GONE, "ClaimOver", message)
    }

    pub(crate) fn unavailable(error: &dyn std::fmt::Display) -> Self {
        tracing::warn!(%error, "authentication");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "AuthenticationUnavailable",
            "nobody could be asked whose token this is: try again",
        )
    }

    pub(crate) fn store(error: &dyn std::fmt::Display) -> Self {
        // What the store says may name its insides; that is for the log.
        tracing::warn!(%error, "artifact store");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "StoreUnavailable",
            "the artifact store failed: try again",
        )
    }
}

impl From<BodyError> for Reject {
    fn from(error: BodyError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidBody", error.to_string())
    }
}

impl IntoResponse for Reject {
    fn into_response(self) -> Response {
        let problem = Problem {
            reason: self.reason.to_owned(),
            message: self.message,
        };
        let mut response = (self.status, Json(problem)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            // Who is not known holds no line.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    }
}
