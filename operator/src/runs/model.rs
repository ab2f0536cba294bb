//! A compiled model as the operator holds it: manifest, integer graph, and a verifier per slice.

use std::collections::BTreeMap;

use zkinfer_crds::compile_report::{CompileReport, CompiledSlice};
use zkinfer_crds::slice_files::FileRole;
use zkinfer_crds::{Digest, ParameterId, ProofSystem, SliceIndex, WordError};
use zkml::backend::SystemId;
use zkml::canonical::CanonicalError;
use zkml::graph::IntGraph;
use zkml::graph::validate::GraphError;
use zkml::manifest::{Manifest, ManifestError};
use zkml::proof::{KeySources, MAX_GRAPH_BYTES, SliceKeyError, SliceVerifier, slice_verifiers};
use zkml::setup::VerifierSrs;
use zkml::systems::{self, SYSTEMS};

use crate::artifacts::{ArtifactError, Artifacts};

/// The largest verifying key that the operator decodes, in bytes.
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
    /// The name of the manifest's parameters.
    #[error(transparent)]
    Word(#[from] WordError),
    /// The graph's bytes.
    #[error("integer graph: {0}")]
    Encoding(#[from] CanonicalError),
    /// The graph.
    #[error("integer graph: {0}")]
    Graph(#[from] GraphError),
    /// The verifying keys.
    #[error(transparent)]
    Keys(#[from] SliceKeyError),
    /// Deriving them ended badly.
    #[error("deriving the verifying keys was broken off")]
    BrokenOff,
    /// The compiler took another proof system than the Model's.
    #[error("it was compiled for {got}, the Model asks for {expected}")]
    ProofSystem {
        /// The Model's.
        expected: ProofSystem,
        /// The manifest's.
        got: SystemId,
    },
    /// It was compiled for another trusted setup.
    #[error("it was compiled for the trusted setup {expected}, the operator has {given}")]
    OtherSrs {
        /// The manifest's.
        expected: Digest,
        /// The operator's.
        given: Digest,
    },
    /// Manifest, graph and report do not belong together.
    #[error("the compile report does not fit the manifest: {0} differs")]
    Report(&'static str),
    /// Errors are measured beside magnitudes that nobody asked for.
    #[error("{0}")]
    Magnitudes(String),
}

impl LoadError {
    /// Whether the files are such as another version makes: this one does not read them.
    #[must_use]
    pub fn is_of_another_version(&self) -> bool {
        matches!(self, Self::Manifest(_) | Self::Encoding(_) | Self::Graph(_))
    }
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
    /// What the slices are proved with.
    pub proof_system: ProofSystem,
    /// With these parameters.
    pub parameter_id: ParameterId,
    /// By slice.
    pub(super) verifiers: Vec<SliceVerifier>,
}

impl CompiledModel {
    /// The manifest of a report, and whether the report fits it.
    ///
    /// # Errors
    /// A missing or damaged file, or files that do not belong together.
    pub async fn manifest(
        artifacts: &Artifacts,
        report: &CompileReport,
        expected: ProofSystem,
    ) -> Result<Manifest, LoadError> {
        let bytes = artifacts
            .get_blob(&report.manifest.digest, zkml::manifest::MAX_MANIFEST_BYTES as u64)
            .await?;
        // What is said of it here is what memory is counted by; so with graph and keys.
        if bytes.len() as u64 != report.manifest.size {
            return Err(LoadError::Report("the size of the manifest"));
        }
        let manifest = Manifest::from_bytes(&bytes, SYSTEMS)?;
        let got = manifest.proof_system;
        if got != expected {
            return Err(LoadError::ProofSystem { expected, got });
        }
        if manifest.batch != report.batch {
            return Err(LoadError::Report("the number of inputs at once"));
        }
        if manifest.graph != report.graph.digest {
            return Err(LoadError::Report("the integer graph"));
        }
        if manifest.slices.len() != report.slices.len() {
            return Err(LoadError::Report("the number of slices"));
        }
        let of_slices = manifest.slices.iter().zip(&report.slices);
        if of_slices.into_iter().any(|(m, r)| m.vk != r.vk) {
            return Err(LoadError::Report("a verifying key"));
        }
        let roles = systems::of(expected).file_roles().iter().copied();
        let has_all = |s: &CompiledSlice| s.files.iter().map(|file| file.role).eq(roles.clone());
        if !report.slices.iter().all(has_all) {
            return Err(LoadError::Report("the list of a slice's files"));
        }
        let is_vk = |s: &CompiledSlice| {
            let file = s.files.get(FileRole::VerifyingKey);
            file.is_none_or(|file| file.digest == s.vk)
        };
        if !report.slices.iter().all(is_vk) {
            return Err(LoadError::Report("the file of a verifying key"));
        }
        Ok(manifest)
    }

    /// Looks at all of a model but its graph and its keys, which are large: the manifest, and that the other files are
    /// there. What is wrong with those is found when the model is loaded.
    ///
    /// # Errors
    /// A missing or damaged file, or files that do not belong together.
    pub async fn look(
        artifacts: &Artifacts,
        report: &CompileReport,
        expected: ProofSystem,
        srs: Option<Digest>,
    ) -> Result<Manifest, LoadError> {
        let manifest = Self::manifest(artifacts, report, expected).await?;
        if let Some(given) = srs.filter(|srs| systems::of(expected).needs_srs() && manifest.srs != *srs) {
            let expected = manifest.srs;
            return Err(LoadError::OtherSrs { expected, given });
        }
        for blob in report.blobs() {
            if !artifacts.has_blob(&blob).await? {
                return Err(ArtifactError::NotFound(blob.digest).into());
            }
        }
        Ok(manifest)
    }

    /// Loads a model from the artifact store. Nothing in it is believed: the compiler ran in a sandbox on a file that
    /// came from outside, so manifest and graph are decoded with bounds and checked.
    ///
    /// # Errors
    /// A missing or damaged file, or files that do not belong together.
    pub async fn load(
        artifacts: &Artifacts,
        report: CompileReport,
        expected: ProofSystem,
        srs: Option<VerifierSrs>,
    ) -> Result<Self, LoadError> {
        let manifest = Self::manifest(artifacts, &report, expected).await?;
        let parameter_id = ParameterId::try_from(manifest.parameter_id)?;
        let mut vks = BTreeMap::new();
        let keys = report.slices.iter();
        for key in keys.filter_map(|s| s.files.get(FileRole::VerifyingKey)) {
            let bytes = artifacts.get_blob(&key.digest, MAX_KEY_BYTES).await?;
            if bytes.len() as u64 != key.size {
                return Err(LoadError::Report("the size of a verifying key"));
            }
            vks.insert(key.digest, bytes);
        }
        let bytes = artifacts
            .get_blob(&manifest.graph, MAX_GRAPH_BYTES as u64)
            .await?;
        if bytes.len() as u64 != report.graph.size {
            return Err(LoadError::Report("the size of the integer graph"));
        }
        // Seconds for a large graph.
        let derive = move || {
            let graph = IntGraph::from_bytes(&bytes, MAX_GRAPH_BYTES)?;
            // As large as the graph itself: not kept while the keys are derived.
            drop(bytes);
            graph.validate()?;
            if !manifest.describes(&graph) {
                return Err(LoadError::Report("the graph's description"));
            }
            let sources = KeySources {
                systems: SYSTEMS,
                files: &|digest| vks.get(&digest).map(|vk| vk.to_vec()),
                srs: srs.as_ref(),
                graph: Some(&graph),
            };
            let verifiers = slice_verifiers(&manifest, &sources)?;
            Ok((manifest, graph, verifiers))
        };
        let derived = tokio::task::spawn_blocking(derive).await;
        let (manifest, graph, verifiers) = derived.map_err(|_| LoadError::BrokenOff)??;
        Ok(Self {
            report,
            manifest,
            graph,
            proof_system: expected,
            parameter_id,
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
