//! What is shown of a namespace, or of all, as JSON: made at most once a second, for everybody who looks.
//!
//! Invariant: each part is made of one kind's objects alone, so that who may list only some kinds sees only their parts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::reflector::Store;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::shown::{Part, Sees, Shown};
use super::stats;
use super::tiles::Tiles;

/// How long one is shown.
const FRESH: Duration = Duration::from_secs(1);
/// Namespaces whose snapshots are kept.
const KEPT: usize = 64;

/// The parts, each as JSON.
#[derive(Debug)]
pub(super) struct Snapshot {
    requests: String,
    /// What is counted of them, and nothing of any one.
    counts: String,
    models: String,
    pools: String,
    tiles: Tiles,
    millis: i64,
}

impl Snapshot {
    fn make(shown: &Shown, namespace: &str, millis: i64) -> Self {
        let pools = stats::pools(&of(&shown.pools, namespace));
        let requests = stats::requests(&of(&shown.requests, namespace), millis);
        Self {
            requests: json(&requests),
            counts: json(&requests.counts()),
            models: json(&stats::models(&of(&shown.models, namespace))),
            pools: json(&pools),
            tiles: Tiles::of(&requests, &pools),
            millis,
        }
    }

    /// The tiles.
    pub(super) const fn tiles(&self) -> &Tiles {
        &self.tiles
    }

    /// The parts that somebody may see.
    fn parts(&self, sees: Sees) -> String {
        let part = |seen: bool, json| if seen { json } else { "null" };
        format!(
            r#""requests":{},"models":{},"pools":{}"#,
            match sees.requests {
                Part::Nothing => "null",
                Part::Counts => self.counts.as_str(),
                Part::Everything => self.requests.as_str(),
            },
            part(sees.models, self.models.as_str()),
            part(sees.pools, self.pools.as_str())
        )
    }

    /// As JSON, and a digest of all but the time.
    pub(super) fn told(&self, sees: Sees) -> (String, [u8; 32]) {
        let parts = self.parts(sees);
        let digest = Sha256::digest(parts.as_bytes()).into();
        let version = env!("CARGO_PKG_VERSION");
        (
            format!(r#"{{"at":{},"version":"{version}",{parts}}}"#, self.millis),
            digest,
        )
    }
}

/// Numbers, texts and lists of ours are JSON.
fn json<T: serde::Serialize>(part: &T) -> String {
    serde_json::to_string(part).unwrap_or_else(|_| "null".to_owned())
}

fn of<K>(store: &Store<K>, namespace: &str) -> Vec<Arc<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let all = store.state().into_iter();
    all.filter(|object| namespace.is_empty() || object.namespace().as_deref() == Some(namespace))
        .collect()
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    kept: Mutex<BTreeMap<String, (Instant, Arc<Snapshot>)>>,
}

impl Snapshots {
    /// The latest of a namespace.
    pub(super) async fn get(&self, shown: &Shown, namespace: &str) -> Arc<Snapshot> {
        let mut kept = self.kept.lock().await;
        let now = Instant::now();
        if let Some((at, snapshot)) = kept.get(namespace)
            && now.saturating_duration_since(*at) < FRESH
        {
            return Arc::clone(snapshot);
        }
        let millis = crate::clock::now().0.as_millisecond();
        let snapshot = Arc::new(Snapshot::make(shown, namespace, millis));
        if kept.len() >= KEPT {
            kept.retain(|_, (at, _)| now.saturating_duration_since(*at) < FRESH);
        }
        if kept.len() < KEPT {
            kept.insert(namespace.to_owned(), (now, Arc::clone(&snapshot)));
        }
        snapshot
    }
}
