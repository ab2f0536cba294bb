//! Between a call, as `zkinfer_crds::calls` has it, and axum. Invariant: a route exists only as the route of a call, and
//! what it answers is of the call's type.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use serde::Serialize;
use zkinfer_crds::calls::{Call, Carries, Method};

use super::problem::Reject;

/// What a handler answers.
pub(super) type Answer = Result<Response, Reject>;
/// What the path names; an error is for the handler to answer, once it knows who asks.
pub(super) type Named<T = String> = Result<Path<T>, PathRejection>;

/// Routes of calls.
pub(super) struct Routes<S>(Router<S>);

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Router::new())
    }

    /// A call is answered by this.
    #[must_use]
    pub(super) fn call<C, H, T>(self, _: C, handler: H) -> Self
    where
        C: Call,
        H: Handler<T, S>,
        T: 'static,
    {
        let method = match C::METHOD {
            Method::Get => MethodFilter::GET,
            Method::Post => MethodFilter::POST,
            Method::Put => MethodFilter::PUT,
        };
        Self(self.0.route(C::PATH, on(method, handler)))
    }

    /// All of them, before this state.
    pub(super) fn router(self, state: S) -> Router {
        self.0.with_state(state)
    }
}

/// An answer that carries what the call's answers carry.
pub(super) fn carrying<C, T>(_: C, status: StatusCode, what: &T) -> Response
where
    C: Call<Answer: Carries<T>>,
    T: Serialize,
{
    (status, Json(what)).into_response()
}
