//! One granted slice: fetch what it names, prove.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::OsRng;
use zkinfer_client::CallError;
use zkinfer_crds::wire::{BlobRef, ClaimGrant};
use zkinfer_crds::{Digest, SliceIndex};
use zkinfer_spans::Timed;
use zkml::backend::ProvingFiles;
use zkml::canonical::{self, Integers};
use zkml::graph::IntGraph;
use zkml::manifest::Manifest;
use zkml::proof::{MAX_GRAPH_BYTES, MAX_INPUTS_BYTES, SliceProver};
use zkml::systems::{PROVING, SYSTEMS};

use super::cache::Cache;
use super::client::Client;
use super::recent::Recent;

/// Provers that stay loaded: their keys are read once, not for every proof.
const MAX_LOADED: usize = 8;

/// Why a slice is handed back.
#[derive(Debug, thiserror::Error)]
pub(super) enum TaskError {
    /// A blob could not be fetched.
    #[error("fetching {0}")]
    Fetch(#[from] CallError),
    /// A blob is not what its digest names.
    #[error("blob {expected} arrived as {got}")]
    Damaged { expected: Digest, got: Digest },
    /// The grant lacks what the proof system needs, or its files are not readable.
    #[error("{0}")]
    Unsupported(String),
    /// Proving failed.
    #[error("{0}")]
    Prove(String),
    /// The prover panicked.
    #[error("the prover panicked")]
    Panicked,
}

pub(super) struct Prover {
    cache: Cache,
    loaded: Mutex<Recent<(Digest, SliceIndex), Arc<SliceProver>>>,
    /// Held by who loads: the same keys are never derived twice side by side.
    loading: tokio::sync::Mutex<()>,
}

impl Prover {
    pub(super) fn new(cache: Cache) -> Self {
        Self {
            cache,
            loaded: Mutex::new(Recent::new(MAX_LOADED)),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// Proves the granted slice; the envelope's bytes have been verified.
    pub(super) async fn prove(
        &self,
        client: &Client,
        grant: &ClaimGrant,
        work: &Timed,
    ) -> Result<Vec<u8>, TaskError> {
        let prover = work.child("load").during(self.load(client, grant)).await?;
        let inputs = work.child("inputs").during(self.inputs(client, grant)).await?;
        let inputs: Vec<Integers> = canonical::from_bytes(&inputs, MAX_INPUTS_BYTES)
            .map_err(|e| TaskError::Unsupported(format!("the slice's inputs: {e}")))?;
        let inputs: Vec<Vec<i64>> = inputs.into_iter().map(|i| i.0).collect();
        let statement = grant.statement;
        let proving = async {
            let proved = tokio::task::spawn_blocking(move || prover.prove(&statement, &inputs, OsRng)).await;
            let (envelope, _) = proved
                .map_err(|_| TaskError::Panicked)?
                .map_err(|e| TaskError::Prove(e.to_string()))?;
            Ok(envelope)
        };
        work.child("prove").during(proving).await
    }

    /// The slice's keys, from memory, disk or the gateway.
    async fn load(&self, client: &Client, grant: &ClaimGrant) -> Result<Arc<SliceProver>, TaskError> {
        let key = (grant.manifest.digest, grant.slice);
        let _one = self.loading.lock().await;
        let loaded = {
            let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            loaded.get(&key)
        };
        if let Some(prover) = loaded {
            return Ok(prover);
        }
        let manifest = self.blob(client, &grant.manifest, true).await?;
        let graph = self.blob(client, &grant.graph, true).await?;
        let mut files = ProvingFiles::default();
        for file in grant.files.iter() {
            files.insert(file.role, self.blob(client, &file.blob(), true).await?);
        }
        let slice = grant.slice;
        let read = move || {
            let unsupported = |e: &dyn std::fmt::Display| TaskError::Unsupported(e.to_string());
            let manifest = Manifest::from_bytes(&manifest, SYSTEMS).map_err(|e| unsupported(&e))?;
            let graph = IntGraph::from_bytes(&graph, MAX_GRAPH_BYTES).map_err(|e| unsupported(&e))?;
            graph.validate().map_err(|e| unsupported(&e))?;
            SliceProver::new(PROVING, &manifest, &graph, slice, &files).map_err(|e| unsupported(&e))
        };
        let prover = Arc::new(
            tokio::task::spawn_blocking(read)
                .await
                .map_err(|_| TaskError::Panicked)??,
        );
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.put(key, Arc::clone(&prover));
        Ok(prover)
    }

    /// The slice's inputs, which came with the grant where they are small.
    async fn inputs(&self, client: &Client, grant: &ClaimGrant) -> Result<Vec<u8>, TaskError> {
        match &grant.inputs_bytes {
            Some(bytes) => {
                compared(&grant.inputs, bytes)?;
                Ok(bytes.clone())
            }
            None => self.blob(client, &grant.inputs, false).await,
        }
    }

    async fn blob(&self, client: &Client, blob: &BlobRef, keep: bool) -> Result<Vec<u8>, TaskError> {
        if let Some(bytes) = self.cache.get(&blob.digest) {
            return Ok(bytes);
        }
        let bytes = client.blob(blob).await?;
        compared(blob, &bytes)?;
        if keep {
            self.cache.put(&blob.digest, &bytes);
        }
        Ok(bytes)
    }
}

/// Whether bytes are what the digest names.
fn compared(blob: &BlobRef, bytes: &[u8]) -> Result<(), TaskError> {
    let got = Digest::of(bytes);
    if got == blob.digest {
        return Ok(());
    }
    Err(TaskError::Damaged {
        expected: blob.digest,
        got,
    })
}
