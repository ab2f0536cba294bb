//! Answers that are errors: a stable word and a sentence, which the page shows as text.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use zkinfer_crds::wire::Problem;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    status: StatusCode,
    reason: &'static str,
    message: String,
}

impl Refused {
    fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            reason,
            message: message.into(),
        }
    }

    pub(super) fn other_host() -> Self {
        let message = "this server is not asked under that name: use the address that it printed";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "OtherHost", message)
    }

    pub(super) fn other_origin() -> Self {
        let message = "the call comes from a page of another site";
        Self::new(StatusCode::FORBIDDEN, "OtherOrigin", message)
    }

    pub(super) fn unknown_token() -> Self {
        let message = "the token is absent, or not known here any more";
        Self::new(StatusCode::UNAUTHORIZED, "UnknownToken", message)
    }

    pub(super) fn forbidden(what: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", what)
    }

    /// Whether it is known who asks, and they may not.
    pub(super) fn is_forbidden(&self) -> bool {
        self.reason == "Forbidden"
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", what)
    }

    pub(super) fn invalid_body(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidBody", what)
    }

    /// `studio` does not reach the operator's app.
    pub(super) fn no_operator(why: impl std::fmt::Display) -> Self {
        let message =
            format!("the operator's web app does not answer (is it served, with web.enabled=true?): {why}");
        Self::new(StatusCode::BAD_GATEWAY, "NoOperator", message)
    }

    /// What the API server said.
    pub(super) fn by_server(code: u16, reason: &str, message: &str) -> Self {
        // Some status of an error: whatever else it says is no refusal that a page understands.
        let status = StatusCode::from_u16(code).ok();
        let status = status.filter(|s| s.is_client_error() || s.is_server_error());
        let status = status.unwrap_or(StatusCode::BAD_GATEWAY);
        let reason = if reason == "AlreadyExists" {
            "AlreadyExists"
        } else {
            "Refused"
        };
        Self::new(status, reason, message)
    }

    pub(super) fn invalid_query(what: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidQuery", what)
    }

    /// An input that is not taken, or not now: why, in words for whoever gave it.
    pub(super) fn not_tried(what: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "NotTried", what)
    }

    pub(super) fn too_large(what: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "TooLarge", what)
    }

    pub(super) fn body_too_large(what: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", what)
    }

    pub(super) fn too_many_viewers(most: usize) -> Self {
        let message = format!("{most} pages are open at once, and no more are served: try again later");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "TooManyViewers", message)
    }

    /// There is no room for what the viewer sends.
    pub(super) fn busy(why: &dyn std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", why.to_string())
    }

    pub(super) fn unavailable(error: &dyn std::fmt::Display) -> Self {
        // What failed may name the operator's insides; that is for the log.
        tracing::warn!(%error, "web");
        let message = "the operator could not find it out now: try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Unavailable", message)
    }

    /// As a browser is told of it in the middle of a stream.
    pub(super) fn told(&self) -> String {
        serde_json::json!({ "reason": self.reason, "message": self.message }).to_string()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let problem = Problem {
            reason: self.reason.to_owned(),
            message: self.message,
        };
        (self.status, Json(problem)).into_response()
    }
}
