//! Models from addresses: https, and the stores of the clouds.
//!
//! Invariant: nothing is fetched but what lies under an address that the operator's owner listed. Whoever writes a Model
//! would otherwise choose what the operator, with its credentials and its place in the network, looks at.

use std::str::FromStr;
use std::time::Duration;

use object_store::client::{HttpClient, HttpConnector};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, Error as StoreError, ObjectStore, ObjectStoreExt, ObjectStoreScheme};
use reqwest::Url;

use super::error::SourceError;

/// Time to reach a server, and for the whole of a file.
const CONNECT_TIME: Duration = Duration::from_secs(10);
const TIME: Duration = Duration::from_secs(120);

/// An address under which everything may be fetched: `https://models.example/public/`, `s3://bucket/models/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedUrl(Url);

impl FromStr for AllowedUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url: Url = text.parse().map_err(|e| format!("`{text}`: {e}"))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(format!("`{text}` names no host or bucket"));
        }
        if !plain(&url) {
            return Err(format!(
                "`{text}`: user, password, query and fragment have no place here"
            ));
        }
        Ok(Self(url))
    }
}

/// Nothing but scheme, host, port and path.
fn plain(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none()
}

impl AllowedUrl {
    /// Whether an address is this one or lies under it, as a whole path segment.
    fn covers(&self, url: &Url) -> bool {
        let same = self.0.scheme() == url.scheme()
            && self.0.host_str() == url.host_str()
            && self.0.port_or_known_default() == url.port_or_known_default();
        let rest = url.path().strip_prefix(self.0.path().trim_end_matches('/'));
        same && plain(url) && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Fetches a file of at most `max` bytes.
///
/// # Errors
/// An address that is not listed, a file that is absent or too large, or a store that does not answer.
pub(crate) async fn fetch(text: &str, allowed: &[AllowedUrl], max: u64) -> Result<Vec<u8>, SourceError> {
    let invalid = |e: &dyn std::fmt::Display| SourceError::Invalid(format!("source.url {text}: {e}"));
    let url: Url = text.parse().map_err(|e| invalid(&e))?;
    if !allowed.iter().any(|a| a.covers(&url)) {
        return Err(SourceError::NotAllowed(format!(
            "{text} is under none of the addresses that this operator fetches from (sourceUrls of the Validator); give the model \
             by configMap or artifact"
        )));
    }
    let failed = |e: StoreError| match e {
        StoreError::NotFound { .. } => SourceError::NotFound(format!("there is no {text}")),
        e => SourceError::Unavailable(format!("{text}: {e}")),
    };
    let (store, path) = open(&url).map_err(|e| invalid(&e))?;
    let found = store.get(&path).await.map_err(failed)?;
    if found.meta.size > max {
        let size = found.meta.size;
        return Err(SourceError::TooLarge(format!(
            "{text} has {size} bytes, at most {max} are read"
        )));
    }
    Ok(found.bytes().await.map_err(failed)?.to_vec())
}

fn open(url: &Url) -> Result<(Box<dyn ObjectStore>, Path), StoreError> {
    let (scheme, path) = ObjectStoreScheme::parse(url)?;
    if scheme == ObjectStoreScheme::Http {
        let store = HttpBuilder::new()
            .with_url(url.origin().ascii_serialization())
            .with_http_connector(NoRedirects)
            .build()?;
        return Ok((Box::new(store), path));
    }
    // Settings and credentials are the operator's, by the names of the clouds' own tools.
    let settings = std::env::vars().map(|(k, v)| (k.to_ascii_lowercase(), v));
    object_store::parse_url_opts(url, settings)
}

/// A server that is listed does not choose what else is fetched.
#[derive(Debug)]
struct NoRedirects;

impl HttpConnector for NoRedirects {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient, StoreError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIME)
            .timeout(TIME)
            .build();
        client.map(HttpClient::new).map_err(|e| StoreError::Generic {
            store: "HTTP",
            source: Box::new(e),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::get;

    fn covers(allowed: &str, url: &str) -> bool {
        let allowed: AllowedUrl = allowed.parse().unwrap();
        allowed.covers(&url.parse().unwrap())
    }

    #[test]
    fn an_address_is_under_a_listed_one_by_whole_segments_of_the_same_host() {
        let listed = "https://models.example/public";
        assert!(covers(listed, "https://models.example/public"));
        assert!(covers(listed, "https://models.example:443/public/a/b.onnx"));
        assert!(covers(
            "https://models.example/public/",
            "https://models.example/public/b.onnx"
        ));
        assert!(covers("s3://bucket", "s3://bucket/any/thing"));
        for other in [
            "http://models.example/public/a",
            "https://models.example/publicly/a",
            "https://models.example/public/../private",
            "https://models.example/public/%2e%2e/private",
            "https://models.example.evil/public/a",
            "https://models.example@evil/public/a",
            "https://user@models.example/public/a",
            "https://models.example:444/public/a",
            "https://models.example/public/a?x=1",
        ] {
            assert!(!covers(listed, other), "{other}");
        }
        assert!(!covers("s3://bucket/a", "s3://other/a"));
    }

    #[test]
    fn what_is_no_address_of_a_place_cannot_be_listed() {
        for text in [
            "models.example",
            "file:///etc",
            "https://",
            "https://a:b@c/",
            "https://c/?q",
        ] {
            assert!(text.parse::<AllowedUrl>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_is_fetched_from_a_listed_address_alone_and_up_to_its_limit() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let at = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/models/a.onnx", get(|| async { vec![7u8; 100] }))
            .route(
                "/models/away.onnx",
                get(|| async { Redirect::temporary("/inside") }),
            )
            .route("/inside", get(|| async { vec![9u8; 10] }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let allowed = [format!("{at}/models").parse().unwrap()];
        let file = fetch(&format!("{at}/models/a.onnx"), &allowed, 100)
            .await
            .unwrap();
        assert_eq!(file, [7; 100]);
        let error = |path: &str, max| {
            let (url, allowed) = (format!("{at}{path}"), &allowed);
            async move { fetch(&url, allowed, max).await.unwrap_err() }
        };
        assert!(matches!(
            error("/models/a.onnx", 99).await,
            SourceError::TooLarge(_)
        ));
        assert!(matches!(
            error("/models/b.onnx", 99).await,
            SourceError::NotFound(_)
        ));
        assert!(matches!(error("/a.onnx", 99).await, SourceError::NotAllowed(_)));
        // Nor does a listed address lead to one that is not.
        assert!(matches!(
            error("/models/away.onnx", 99).await,
            SourceError::Unavailable(_)
        ));
    }
}
