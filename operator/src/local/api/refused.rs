//! What a caller is told that does not get what it asked for: the API's own Status.

use serde_json::{Value, json};

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(in crate::local) struct Refused {
    pub(in crate::local) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Refused {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code,
            reason,
            message,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "a token that this program has not given out")
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(404, "NotFound", format!("there is no {}", what.into()))
    }

    pub(super) fn not_allowed(what: impl Into<String>) -> Self {
        Self::new(405, "MethodNotAllowed", what)
    }

    pub(super) fn exists(what: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{what} is there already"))
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(409, "Conflict", message)
    }

    pub(super) fn expired() -> Self {
        Self::new(410, "Expired", "so old a resourceVersion is not known any more")
    }

    pub(super) fn not_understood(what: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!("{what} is not understood here"),
        )
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    pub(super) fn status(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
            "code": self.code, "reason": self.reason, "message": self.message,
        })
    }
}
