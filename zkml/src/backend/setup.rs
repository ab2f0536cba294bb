//! The trusted setup of a proof system that has one.

use zkinfer_crds::Digest;

use super::{NO_SRS, Parameters};
use crate::setup::{Srs, SrsError, SrsSet, SrsSource};

/// Why there is no setup.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The proof system needs one, and none was given.
    #[error("the proofs rest on a trusted setup, and none was given")]
    Missing,
    /// The SRS does not fit.
    #[error(transparent)]
    Srs(#[from] SrsError),
}

/// What keys are made with beside relations and parameters.
#[derive(Debug, Clone)]
pub enum Setup {
    /// Nothing: the proof system is transparent.
    Transparent,
    /// Points, in the sizes of the slices.
    Srs(SrsSet),
}

impl Setup {
    /// The setup for slices with these parameters. A source is without effect where no slice needs one.
    ///
    /// # Errors
    /// No source where one is needed, or one with too few points.
    pub fn new(
        slices: impl IntoIterator<Item = Parameters>,
        source: Option<&SrsSource>,
    ) -> Result<Self, SetupError> {
        let sizes: Vec<u8> = slices.into_iter().filter_map(|p| p.k).collect();
        if sizes.is_empty() {
            return Ok(Self::Transparent);
        }
        let source = source.ok_or(SetupError::Missing)?;
        Ok(Self::Srs(SrsSet::new(source, sizes)?))
    }

    /// The digest that a manifest names: of the SRS's verifier part, or all zero.
    #[must_use]
    pub fn digest(&self) -> Digest {
        match self {
            Self::Transparent => NO_SRS,
            Self::Srs(srs) => srs.digest(),
        }
    }

    /// The points of a size; none where there are none of it.
    #[must_use]
    pub fn points(&self, k: u8) -> Option<&Srs> {
        match self {
            Self::Transparent => None,
            Self::Srs(srs) => srs.of(k).ok(),
        }
    }

    /// Every size of the points.
    pub fn sizes(&self) -> impl Iterator<Item = (u8, &Srs)> {
        let set = match self {
            Self::Transparent => None,
            Self::Srs(srs) => Some(srs),
        };
        set.into_iter().flat_map(SrsSet::sizes)
    }
}
