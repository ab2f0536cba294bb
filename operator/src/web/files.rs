//! The app's files, as they were built into this program. Invariant: nothing is read from a disk, and a path names a file of the
//! list or none.

use axum::body::Bytes;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

include!(concat!(env!("OUT_DIR"), "/web_files.rs"));

/// What is shown where the app was not built.
const ABSENT: &str = "This operator was built without its web app: run scripts/build-web.sh (it needs Node 20 or later and npm), \
                      and build the operator again.\n";

/// Whether the app is in this program.
#[must_use]
pub(super) fn is_built() -> bool {
    !FILES.is_empty()
}

/// A file by its path. Names of objects have dots too: every path below a folder is a page of the app.
pub(super) async fn file(uri: Uri, headers: HeaderMap) -> Response {
    if !is_built() {
        let plain = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
        return (StatusCode::NOT_FOUND, plain, ABSENT).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let name = if path.contains('.') && !path.contains('/') {
        path
    } else {
        "index.html"
    };
    let Some(bytes) = find(name) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    // `app.js` is always the program's own; `?` and what follows is ignored.
    let plain = [
        (CONTENT_TYPE, type_of(name)),
        (CACHE_CONTROL, "no-cache"),
        (VARY, "accept-encoding"),
    ];
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok());
    let gzip = accepted.is_some_and(|v| v.split(',').any(|e| e.trim() == "gzip"));
    match find(&format!("{name}.gz")).filter(|_| gzip) {
        Some(packed) => (plain, [(CONTENT_ENCODING, "gzip")], Bytes::from_static(packed)).into_response(),
        None => (plain, Bytes::from_static(bytes)).into_response(),
    }
}

fn find(name: &str) -> Option<&'static [u8]> {
    let found = FILES.iter().find(|(known, _)| *known == name);
    found.map(|(_, bytes)| *bytes)
}

fn type_of(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
