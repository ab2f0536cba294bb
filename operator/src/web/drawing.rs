//! The graph of a compiled Model, drawn from what the sandboxed compiler has left in the store.
//!
//! Invariants: no model is ever parsed here, only the engine's own manifest and integer graph, with bounds; one at a time; what
//! was drawn is kept by the graph's digest, and only so much of it.

use std::collections::VecDeque;

use axum::body::Bytes;
use tokio::sync::Mutex;
use zkinfer_crds::Digest;
use zkml::graph::{Drawing, IntGraph};
use zkml::manifest::{MAX_MANIFEST_BYTES, Manifest};
use zkml::proof::MAX_GRAPH_BYTES;
use zkml::systems::SYSTEMS;

use super::refused::Refused;
use crate::artifacts::{ArtifactError, Artifacts};

/// The largest graph that is drawn, in bytes with its weights, of those that are read anywhere: no account has its memory.
const MAX_DRAWN_BYTES: usize = 64 << 20;
const _: () = assert!(MAX_DRAWN_BYTES <= MAX_GRAPH_BYTES);
/// Drawings that are kept, and the bytes of all of them.
const KEPT: usize = 16;
const KEPT_BYTES: usize = 16 << 20;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Drawings {
    /// The latest last. Whoever draws holds it.
    kept: Mutex<VecDeque<(Digest, Bytes)>>,
}

impl Drawings {
    /// The drawing of a manifest's graph, as JSON.
    pub(super) async fn get(
        &self,
        artifacts: &Artifacts,
        manifest: Digest,
        graph: Digest,
    ) -> Result<Bytes, Refused> {
        let mut kept = self.kept.lock().await;
        // Another cut of the same graph is another manifest.
        if let Some((_, json)) = kept.iter().find(|(of, _)| *of == manifest) {
            return Ok(json.clone());
        }
        let manifest_bytes = read(artifacts, &manifest, MAX_MANIFEST_BYTES as u64).await?;
        let graph_bytes = read(artifacts, &graph, MAX_DRAWN_BYTES as u64).await?;
        let drawn = tokio::task::spawn_blocking(move || draw(&manifest_bytes, &graph_bytes, graph));
        let json = drawn.await.map_err(|e| Refused::unavailable(&e))??;
        if json.len() <= KEPT_BYTES {
            kept.push_back((manifest, json.clone()));
        }
        while kept.len() > KEPT || kept.iter().map(|(_, json)| json.len()).sum::<usize>() > KEPT_BYTES {
            kept.pop_front();
        }
        Ok(json)
    }
}

/// A manifest's bytes.
pub(super) async fn read_manifest(artifacts: &Artifacts, manifest: &Digest) -> Result<Bytes, Refused> {
    read(artifacts, manifest, MAX_MANIFEST_BYTES as u64).await
}

async fn read(artifacts: &Artifacts, digest: &Digest, max: u64) -> Result<Bytes, Refused> {
    match artifacts.get_blob(digest, max).await {
        Ok(bytes) => Ok(bytes),
        Err(ArtifactError::TooLarge { size, max, .. }) => Err(Refused::too_large(format!(
            "it has {size} bytes; at most {max} are drawn"
        ))),
        Err(ArtifactError::NotFound(digest)) => {
            Err(Refused::not_found(format!("there is no artifact {digest}")))
        }
        Err(e) => Err(Refused::unavailable(&e)),
    }
}

fn draw(manifest: &[u8], graph: &[u8], expected: Digest) -> Result<Bytes, Refused> {
    let manifest = Manifest::from_bytes(manifest, SYSTEMS).map_err(|e| Refused::too_large(e.to_string()))?;
    if manifest.graph != expected {
        return Err(Refused::not_found("the manifest is of another graph"));
    }
    let graph = IntGraph::from_bytes(graph, MAX_DRAWN_BYTES)
        .map_err(|e| Refused::too_large(format!("integer graph: {e}")))?;
    let slices = manifest.slices.iter().map(|slice| slice.nodes());
    let drawing = Drawing::of(&graph, slices).map_err(|e| Refused::too_large(e.to_string()))?;
    let json = serde_json::to_vec(&drawing).map_err(|e| Refused::unavailable(&e))?;
    Ok(Bytes::from(json))
}
