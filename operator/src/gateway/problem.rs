//! Answers that are errors.

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use zkinfer_crds::calls::Reason;
use zkinfer_crds::wire::{BodyError, Problem};

/// An error answer: status, stable word, sentence.
#[derive(Debug)]
pub(super) struct Reject {
    status: StatusCode,
    reason: Reason,
    message: String,
}

impl Reject {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        // The list has statuses alone, as its test shows.
        let status = StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::with(status, reason, message)
    }

    /// With a status other than the reason's own.
    pub(super) fn with(status: StatusCode, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }

    pub(super) fn unknown_token() -> Self {
        let message = "the bearer token is absent or not known here";
        Self::new(Reason::UnknownToken, message)
    }

    pub(super) fn gone() -> Self {
        let message = "the lease has ended, or the request is over: ask for another slice";
        Self::new(Reason::ClaimOver, message)
    }

    pub(super) fn unavailable(error: &dyn std::fmt::Display) -> Self {
        tracing::warn!(%error, "authentication");
        let message = "nobody could be asked whose token this is: try again";
        Self::new(Reason::AuthenticationUnavailable, message)
    }

    pub(super) fn store(error: &dyn std::fmt::Display) -> Self {
        // What the store says may name its insides; that is for the log.
        tracing::warn!(%error, "artifact store");
        Self::new(Reason::StoreUnavailable, "the artifact store failed: try again")
    }
}

pub(super) async fn unknown_path(request: Request) -> Reject {
    let message = format!("there is no {}", request.uri().path());
    Reject::new(Reason::UnknownPath, message)
}

pub(super) async fn unknown_method(request: Request) -> Reject {
    let message = format!("{} has no {}", request.uri().path(), request.method());
    Reject::new(Reason::UnknownMethod, message)
}

impl From<BodyError> for Reject {
    fn from(error: BodyError) -> Self {
        Self::new(Reason::InvalidBody, error.to_string())
    }
}

impl IntoResponse for Reject {
    fn into_response(self) -> Response {
        let problem = Problem {
            reason: self.reason.as_str().to_owned(),
            message: self.message,
        };
        (self.status, Json(problem)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_the_status_of_an_error() {
        for reason in Reason::ALL {
            let status = StatusCode::from_u16(reason.status()).unwrap();
            assert!(
                status.is_client_error() || status.is_server_error(),
                "{reason}: {status}"
            );
        }
    }
}
