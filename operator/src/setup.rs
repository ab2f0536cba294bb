//! The trusted setup that the operator was given, and what it accepts of others.
//!
//! Invariant: the development setup is in use only where a flag asks for it by name.

use std::path::{Path, PathBuf};

use zkinfer_crds::Digest;
use zkml::setup::{Srs, SrsError, SrsSource, development_srs_digest};

/// Why there is no setup.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Path {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no SRS.
    #[error("{}: {source}", path.display())]
    Srs {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SrsError,
    },
}

/// Which trusted setups are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetupPolicy {
    /// The setup in use.
    pub srs: Digest,
    /// It is the development setup.
    pub development: bool,
}

impl SetupPolicy {
    /// The policy of an operator that was given this setup.
    #[must_use]
    pub fn of(source: &SrsSource) -> Self {
        let srs = source.digest();
        Self {
            srs,
            development: srs == development_srs_digest(),
        }
    }
}

/// The trusted setup that the flags name; none where they name none.
///
/// # Errors
/// A file that is no SRS.
pub fn srs_source(file: Option<&Path>, allow_dev_srs: bool) -> Result<Option<SrsSource>, SetupError> {
    let Some(path) = file else {
        return Ok(allow_dev_srs.then_some(SrsSource::Development));
    };
    let path = path.to_owned();
    let bytes = std::fs::read(&path).map_err(|source| SetupError::Path {
        path: path.clone(),
        source,
    })?;
    let srs = Srs::read(&bytes).map_err(|source| SetupError::Srs { path, source })?;
    Ok(Some(SrsSource::Points(Box::new(srs))))
}
