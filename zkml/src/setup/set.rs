//! One SRS in the sizes that a model's slices need. Making a size costs group operations per point, so each is made once.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;
use zkinfer_crds::Digest;

use super::srs::{Srs, SrsError, VerifierSrs};

/// Where an SRS comes from.
#[derive(Debug, Clone)]
pub enum SrsSource {
    /// The development SRS: FORGEABLE BY ANYONE.
    Development,
    /// Points that have been read and checked.
    Points(Box<Srs>),
}

impl SrsSource {
    /// The digest of the verifier's part.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.verifier().digest()
    }

    /// The verifier's part.
    #[must_use]
    pub fn verifier(&self) -> VerifierSrs {
        match self {
            Self::Development => VerifierSrs::development(),
            Self::Points(srs) => srs.verifier(),
        }
    }
}

/// An SRS by size.
#[derive(Debug, Clone)]
pub struct SrsSet {
    by_k: BTreeMap<u8, Srs>,
    digest: Digest,
}

impl SrsSet {
    /// Makes the given sizes, side by side.
    ///
    /// # Errors
    /// A source with fewer points than the largest size.
    pub fn new(source: &SrsSource, sizes: impl IntoIterator<Item = u8>) -> Result<Self, SrsError> {
        let sizes: BTreeSet<u8> = sizes.into_iter().collect();
        let make = |k: u8| match source {
            SrsSource::Development => Ok((k, Srs::development(u32::from(k)))),
            SrsSource::Points(srs) => srs.downsize(u32::from(k)).map(|srs| (k, srs)),
        };
        let by_k = sizes.into_par_iter().map(make).collect::<Result<_, SrsError>>()?;
        Ok(Self {
            by_k,
            digest: source.digest(),
        })
    }

    /// The SRS of 2^k points.
    ///
    /// # Errors
    /// A size that the set was not made for.
    pub fn of(&self, k: u8) -> Result<&Srs, SrsError> {
        let have = self.by_k.keys().next_back().copied().map_or(0, u32::from);
        self.by_k.get(&k).ok_or(SrsError::TooSmall {
            have,
            need: u32::from(k),
        })
    }

    /// The sizes.
    pub fn sizes(&self) -> impl Iterator<Item = (u8, &Srs)> {
        self.by_k.iter().map(|(k, srs)| (*k, srs))
    }

    /// The digest of the verifier's part.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}
