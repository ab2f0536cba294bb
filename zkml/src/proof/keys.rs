//! The verifying keys of a manifest's slices: from files or from the integer graph, as the proof system has it.
//!
//! Invariant: a key that is not the one that the manifest names is never used.

use rayon::prelude::*;
use zkinfer_crds::{Digest, SliceIndex};

use super::MAX_GRAPH_BYTES;
use super::verifier::{SliceVerifier, SliceVerifyError};
use crate::backend::{System, Systems, UnknownSystem};
use crate::graph::IntGraph;
use crate::manifest::Manifest;
use crate::setup::VerifierSrs;

/// Files by digest: what a manifest names.
pub type Files<'a> = &'a (dyn Fn(Digest) -> Option<Vec<u8>> + Sync);

/// What verifying keys come from. A proof system takes what it needs and leaves the rest.
#[derive(Clone, Copy)]
pub struct KeySources<'a> {
    /// The proof systems that there are.
    pub systems: Systems<'a, dyn System>,
    /// The files that the manifest names: verifying keys, or the integer graph where they are derived from it.
    pub files: Files<'a>,
    /// The verifier's part of the trusted setup.
    pub srs: Option<&'a VerifierSrs>,
    /// The integer graph, where it has been read already.
    pub graph: Option<&'a IntGraph>,
}

/// Why there are no verifying keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SliceKeyError {
    /// The proof system.
    #[error(transparent)]
    System(#[from] UnknownSystem),
    /// The integer graph.
    #[error("the integer graph {digest} {why}")]
    Graph {
        /// Its digest in the manifest.
        digest: Digest,
        /// What is wrong with it.
        why: String,
    },
    /// One slice's key.
    #[error("slice {slice}: {source}")]
    Slice {
        /// The slice.
        slice: SliceIndex,
        /// Why.
        source: SliceVerifyError,
    },
}

/// Reads the integer graph that a manifest names and compares the two.
///
/// # Errors
/// A file that is missing, damaged, no integer graph, or that the manifest's description does not fit.
pub fn graph_of(manifest: &Manifest, files: Files<'_>) -> Result<IntGraph, SliceKeyError> {
    let digest = manifest.graph;
    let graph = |why: String| SliceKeyError::Graph { digest, why };
    let bytes = files(digest).ok_or_else(|| graph("is not among the files".to_owned()))?;
    if Digest::of(&bytes) != digest {
        return Err(graph("is damaged".to_owned()));
    }
    let read =
        IntGraph::from_bytes(&bytes, MAX_GRAPH_BYTES).map_err(|e| graph(format!("cannot be read: {e}")))?;
    read.validate()
        .map_err(|e| graph(format!("is not well-formed: {e}")))?;
    if manifest.describes(&read) {
        Ok(read)
    } else {
        Err(graph("is not what the manifest describes".to_owned()))
    }
}

/// A verifier for every slice of a manifest, in order.
///
/// # Errors
/// A key that is missing or is not the one that the manifest names; the first slice's.
pub fn slice_verifiers(
    manifest: &Manifest,
    sources: &KeySources<'_>,
) -> Result<Vec<SliceVerifier>, SliceKeyError> {
    let system = sources.systems.find(manifest.proof_system)?;
    let read;
    let graph = match sources.graph {
        None if system.derives_keys() => {
            read = graph_of(manifest, sources.files)?;
            Some(&read)
        }
        given => given,
    };
    let sources = KeySources { graph, ..*sources };
    (0..manifest.slices.len() as u32)
        .into_par_iter()
        .map(|slice| {
            let slice = SliceIndex(slice);
            SliceVerifier::new(manifest, slice, &sources)
                .map_err(|source| SliceKeyError::Slice { slice, source })
        })
        .collect()
}
