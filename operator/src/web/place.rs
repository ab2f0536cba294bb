//! Which namespace a call asks for.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::Deserialize;
use zkinfer_crds::k8s::is_namespace;

use super::refused::Refused;

/// Which namespace is shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// Empty: all of them.
    #[serde(default)]
    namespace: String,
}

/// What a query names, or why it names nothing.
pub(super) fn place(query: Result<Query<Place>, QueryRejection>) -> Result<String, Refused> {
    let Query(Place { namespace }) = query.map_err(|e| Refused::invalid_query(e.body_text()))?;
    if namespace.is_empty() || is_namespace(&namespace) {
        Ok(namespace)
    } else {
        Err(Refused::invalid_query("namespace: not a namespace's name"))
    }
}
