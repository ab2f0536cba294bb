//! Keys of a slice, for whoever compiles a model.

use zkinfer_crds::Digest;
use zkinfer_crds::slice_files::FileRole;

use super::{Circuit, LayoutError, Parameters, Setup, SetupError, SumcheckShape};
use crate::halo2;
use crate::relations::SliceRelations;
use crate::sumcheck;

/// Why keys could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The slice cannot be proved.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// There is no setup.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A file that the prover needs is not there.
    #[error("the slice's {0} is not among its files")]
    NoSuchFile(FileRole),
    /// A halo2 key.
    #[error(transparent)]
    Halo2Kzg(#[from] halo2::KeyError),
    /// A file where the key is derived.
    #[error("keys of this proof system are derived from the integer graph, not read from files")]
    NoFile,
    /// The slice has no layout for sum-checks.
    #[error(transparent)]
    SumcheckWhir(#[from] sumcheck::LayoutError),
}

/// What making a slice's keys gives.
#[derive(Debug, Clone)]
pub struct SliceKeys {
    /// What the manifest records.
    pub circuit: Circuit,
    /// The verifying key's name in the manifest.
    pub vk: Digest,
    /// Keys that are files; absent where prover and verifier derive theirs from the integer graph.
    pub files: Option<KeyFiles>,
}

/// Keys, encoded.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    /// log2 of the points that proving takes from the SRS.
    pub k: u8,
    /// The proving key.
    pub pk: Vec<u8>,
    /// The verifying key.
    pub vk: Vec<u8>,
}

impl KeyFiles {
    /// The keys by what they are.
    #[must_use]
    pub fn by_role(&self) -> [(FileRole, &[u8]); 2] {
        [
            (FileRole::VerifyingKey, &self.vk),
            (FileRole::ProvingKey, &self.pk),
        ]
    }
}

/// Makes the keys of a slice.
///
/// # Errors
/// A slice that cannot be proved, or a setup that is missing or too small.
pub fn keygen(
    relations: &SliceRelations,
    parameters: Parameters,
    setup: &Setup,
) -> Result<SliceKeys, KeyError> {
    match parameters {
        Parameters::Halo2Kzg(p) => {
            let srs = setup.points(p.k).ok_or(SetupError::Missing)?;
            let pk = halo2::keygen(relations, p, srs)?;
            let vk = pk.verifying_key();
            Ok(SliceKeys {
                circuit: Circuit::Halo2Kzg(pk.shape().clone()),
                vk: vk.digest(),
                files: Some(KeyFiles {
                    k: p.k,
                    pk: pk.to_bytes(),
                    vk: vk.to_bytes(),
                }),
            })
        }
        Parameters::SumcheckWhir(p) => Ok(SliceKeys {
            circuit: sumcheck_circuit(p),
            vk: sumcheck::Key::new(relations, p)?.digest(),
            files: None,
        }),
    }
}

/// What a manifest records of these parameters.
pub(super) const fn sumcheck_circuit(parameters: sumcheck::SliceParameters) -> Circuit {
    Circuit::SumcheckWhir(SumcheckShape {
        limb_bits: parameters.limb_bits,
    })
}
