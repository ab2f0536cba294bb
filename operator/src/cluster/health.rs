//! Probes and Prometheus.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::operator::Operator;
use crate::gateway::{Door, serve_router};
use crate::world::Part;

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, ctx: Arc<Operator>) {
    let router = Router::new()
        .route("/healthz", get(|| std::future::ready("ok")))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(ctx);
    let served = serve_router(Door::Health, listener, router, std::future::pending());
    if let Err(error) = served.await {
        tracing::error!(%error, "probes are not answered any more");
    }
}

/// Answers probes while another operator is at work, for ever.
pub(super) async fn stand_by(address: &str) {
    let ready = || std::future::ready((StatusCode::SERVICE_UNAVAILABLE, "another operator is at work"));
    let router = Router::new()
        .route("/healthz", get(|| std::future::ready("ok")))
        .route("/readyz", get(ready));
    match TcpListener::bind(address).await {
        Ok(listener) => {
            let served = serve_router(Door::Health, listener, router, std::future::pending());
            if let Err(error) = served.await {
                tracing::error!(%error, "probes are not answered");
            }
        }
        Err(error) => tracing::error!(%error, address, "probes are not answered"),
    }
    std::future::pending::<()>().await;
}

async fn ready(State(ctx): State<Arc<Operator>>) -> Response {
    if let Some(problem) = ctx.world.store.problem() {
        // Nothing is taken, so nobody need be sent here.
        (StatusCode::SERVICE_UNAVAILABLE, problem).into_response()
    } else if ctx.world.ready.is(Part::Gateway) {
        // Whoever is served is served, whatever is missing elsewhere.
        let told = std::iter::once("ok".to_owned()).chain(ctx.world.scope.problems());
        told.collect::<Vec<_>>().join("\n").into_response()
    } else {
        let missing = ctx.world.ready.missing();
        let message = if missing.is_empty() {
            "waiting for requests from before the restart".to_owned()
        } else {
            format!("waiting for the API server's lists of {}", missing.join(", "))
        };
        let message = std::iter::once(message).chain(ctx.world.scope.problems());
        let message = message.collect::<Vec<_>>().join("\n");
        (StatusCode::SERVICE_UNAVAILABLE, message).into_response()
    }
}

async fn metrics(State(ctx): State<Arc<Operator>>) -> Response {
    ctx.world.dispatcher.count(&ctx.world.metrics);
    ctx.world.jobs.count(&ctx.world.metrics);
    ctx.world.store.count(&ctx.world.metrics);
    ctx.world.scope.count(&ctx.world.metrics);
    let (models, runs) = (ctx.world.shelf.bytes(), ctx.world.rooms.bytes());
    ctx.world.metrics.memory(models, runs);
    match ctx.world.metrics.text() {
        Ok(text) => {
            let type_ = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(CONTENT_TYPE, type_)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
