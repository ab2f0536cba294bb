//! Where a call comes from, and what a browser may do with the answer.
//!
//! Invariants: a page of another site gets no answer that it could use: the Host must be this server's own where it is known, an
//! Origin must be the Host's, and whatever a browser says is of another site reaches no call of the API. Every answer carries
//! the policy under which a browser runs nothing but the app's own files.

use std::net::SocketAddr;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::refused::Refused;
use super::tiles::TILES;

/// Nothing inline, nothing from elsewhere, no frames, no forms.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The paths of the API.
pub(super) const API: &str = "/api/";

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Under which names the server may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// Only those of this machine, with this port: a name of somebody else's that leads here is refused.
    Loopback(SocketAddr),
    /// Any: behind a Service it has names that it does not know. Whoever calls has to bring a token of their own, which no
    /// browser sends by itself.
    Any,
}

impl Hosts {
    fn are(self, host: &str) -> bool {
        match self {
            Self::Any => !host.is_empty(),
            Self::Loopback(address) => {
                let port = address.port();
                let names = [
                    format!("127.0.0.1:{port}"),
                    format!("localhost:{port}"),
                    format!("[::1]:{port}"),
                ];
                host == address.to_string() || names.iter().any(|name| name == host)
            }
        }
    }

    fn is_own(self, origin: &str, host: &str) -> bool {
        let secure = matches!(self, Self::Any) && origin.strip_prefix("https://") == Some(host);
        secure || origin.strip_prefix("http://") == Some(host)
    }

    /// Why a call is not answered.
    pub(super) fn check(self, path: &str, headers: &HeaderMap) -> Result<(), Refused> {
        let host = only(headers, &HOST)?.unwrap_or_default();
        if !self.are(host) {
            return Err(Refused::other_host());
        }
        if let Some(origin) = only(headers, &ORIGIN)?
            && !self.is_own(origin, host)
        {
            return Err(Refused::other_origin());
        }
        // Browsers write it, and no page can.
        let site = only(headers, &FETCH_SITE)?.unwrap_or("none");
        if path.starts_with(API) && !matches!(site, "same-origin" | "none") {
            return Err(Refused::other_origin());
        }
        Ok(())
    }
}

/// A header that may be there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, Refused> {
    let mut all = headers.get_all(name).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(Refused::other_host());
    }
    match first.map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(Refused::other_host()),
    }
}

/// Before every answer, and after.
pub(super) async fn gate(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = match hosts.check(&path, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    // Who else may show it: a picture of numbers that are public, and of nothing else.
    let shown_by = if path.starts_with(TILES) && response.status().is_success() {
        "cross-origin"
    } else {
        "same-origin"
    };
    let headers = response.headers_mut();
    let set = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (HeaderName::from_static("cross-origin-resource-policy"), shown_by),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if path.starts_with(API) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in all {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn loopback() -> Hosts {
        Hosts::Loopback(SocketAddr::from(([127, 0, 0, 1], 4000)))
    }

    #[test]
    fn on_loopback_only_names_of_this_machine_and_its_own_pages_are_answered() {
        let check = |all: &[_]| loopback().check("/api/v1/overview", &headers(all)).is_ok();
        for host in ["127.0.0.1:4000", "localhost:4000", "[::1]:4000"] {
            assert!(check(&[("host", host)]), "{host}");
        }
        for host in [
            "127.0.0.1",
            "127.0.0.1:4001",
            "evil.example:4000",
            "localhost.evil.example:4000",
            "",
        ] {
            assert!(!check(&[("host", host)]), "{host}");
        }
        assert!(!check(&[]), "without a host");
        assert!(
            !check(&[("host", "localhost:4000"), ("host", "evil.example")]),
            "two of them"
        );
        let own = ("host", "localhost:4000");
        assert!(check(&[own, ("origin", "http://localhost:4000")]));
        for origin in [
            "https://localhost:4000",
            "http://evil.example",
            "null",
            "http://127.0.0.1:4000",
        ] {
            assert!(!check(&[own, ("origin", origin)]), "{origin}");
        }
    }

    #[test]
    fn what_a_browser_says_is_of_another_site_reaches_no_call() {
        let own = ("host", "localhost:4000");
        for (site, path, answered) in [
            ("same-origin", "/api/v1/overview", true),
            ("none", "/api/v1/overview", true),
            ("same-site", "/api/v1/overview", false),
            ("cross-site", "/api/v1/overview", false),
            // A link to the page itself may stand anywhere.
            ("cross-site", "/", true),
        ] {
            let found = loopback().check(path, &headers(&[own, ("sec-fetch-site", site)]));
            assert_eq!(found.is_ok(), answered, "{site} {path}");
        }
    }

    #[test]
    fn behind_a_service_the_origin_is_the_hosts() {
        let check = |all: &[_]| Hosts::Any.check("/api/v1/overview", &headers(all)).is_ok();
        let own = ("host", "studio.example");
        assert!(check(&[own]) && check(&[own, ("origin", "https://studio.example")]));
        assert!(!check(&[own, ("origin", "https://evil.example")]));
        assert!(!check(&[("host", "")]));
    }
}
