//! A compiled model as the operator holds it: manifest, integer graph, and a verifier per slice.

use zkinfer_crds::SliceIndex;
use zkinfer_crds::compile_report::{CompileReport, CompiledSlice};
use zkml::canonical::{self, CanonicalError};
use zkml::graph::IntGraph;
use zkml::graph::validate::GraphError;
use zkml::halo2::VerifierSrs;
use zkml::manifest::{Manifest, ManifestError};
use zkml::proof::{SliceVerifier, SliceVerifyError};

use crate::artifacts::{ArtifactError, Artifacts};

/// Largest manifest, graph and verifying key that the operator decodes, in bytes.
const MAX_GRAPH_BYTES: u64 = 256 << 20;
const MAX_KEY_BYTES: u64 = 64 << 20;

/// Why a compiled model cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is not in the store, or damaged.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The graph's bytes.
    #[error("integer graph: {0}")]
    Encoding(#[from] CanonicalError),
    /// The graph.
    #[error("integer graph: {0}")]
    Graph(#[from] GraphError),
    /// A verifying key.
    #[error("slice {slice}: {source}")]
    Key {
        /// The slice.
        slice: usize,
        /// Why.
        source: SliceVerifyError,
    },
    /// Manifest, graph and report do not belong together.
    #[error("the compile report does not fit the manifest: {0} differs")]
    Report(&'static str),
}

/// See the module.
#[derive(Debug)]
pub struct CompiledModel {
    /// What the compiler reported, with the digests of its files.
    pub report: CompileReport,
    /// The manifest.
    pub manifest: Manifest,
    /// The function that is proved.
    pub graph: IntGraph,
    verifiers: Vec<SliceVerifier>,
}

impl CompiledModel {
    /// Loads a model from the artifact store. Nothing in it is believed: the compiler ran in a sandbox on a file that
    /// came from outside, so manifest and graph are decoded with bounds and checked.
    ///
    /// # Errors
    /// A missing or damaged file, or files that do not belong together.
    pub async fn load(
        artifacts: &Artifacts,
        report: CompileReport,
        srs: VerifierSrs,
    ) -> Result<Self, LoadError> {
        let bytes = artifacts
            .get_blob(&report.manifest.digest, zkml::manifest::MAX_MANIFEST_BYTES as u64)
            .await?;
        let manifest = Manifest::from_bytes(&bytes)?;
        if manifest.graph != report.graph.digest {
            return Err(LoadError::Report("the integer graph"));
        }
        if manifest.slices.len() != report.slices.len() {
            return Err(LoadError::Report("the number of slices"));
        }
        let bytes = artifacts.get_blob(&manifest.graph, MAX_GRAPH_BYTES).await?;
        let graph: IntGraph = canonical::from_bytes(&bytes, MAX_GRAPH_BYTES as usize)?;
        graph.validate()?;
        if (&graph.inputs, &graph.outputs) != (&manifest.inputs, &manifest.outputs)
            || graph.nodes.len() != manifest.node_count as usize
        {
            return Err(LoadError::Report("the graph's interface"));
        }
        let mut verifiers = Vec::new();
        for (slice, entry) in manifest.slices.iter().enumerate() {
            let vk = artifacts.get_blob(&entry.vk, MAX_KEY_BYTES).await?;
            let verifier = SliceVerifier::new(&manifest, SliceIndex(slice as u32), &vk, srs.clone());
            verifiers.push(verifier.map_err(|source| LoadError::Key { slice, source })?);
        }
        Ok(Self {
            report,
            manifest,
            graph,
            verifiers,
        })
    }

    /// What the compiler reported of a slice.
    #[must_use]
    pub fn slice(&self, slice: SliceIndex) -> Option<&CompiledSlice> {
        self.report.slices.get(slice.0 as usize)
    }

    /// A slice's verifier.
    #[must_use]
    pub fn verifier(&self, slice: SliceIndex) -> Option<&SliceVerifier> {
        self.verifiers.get(slice.0 as usize)
    }
}
