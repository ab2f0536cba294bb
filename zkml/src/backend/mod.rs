//! The one place that knows which proof systems exist. Everything else of the engine asks here.
//!
//! Invariant: a proof system proves relations and nothing else. What it needs of a slice beyond them is here: parameters
//! ([`Parameters`]), the part of them that a manifest records ([`Circuit`]), what proving costs ([`Cost`]), the trusted
//! setup or none ([`Setup`]), keys ([`SliceKeys`]), a [`Prover`] and a [`Verifier`].

mod keys;
mod prover;
mod setup;
mod verifier;

use serde::{Deserialize, Serialize};
use zkinfer_crds::slice_files::{FileRole, Measure, Measures};
use zkinfer_crds::{Digest, ParameterId, ProofSystem};

pub use keys::{KeyError, KeyFiles, SliceKeys, keygen};
pub use prover::{ProveError, Prover, ProvingFiles};
pub use setup::{Setup, SetupError};
pub use verifier::{Verifier, VerifyError};

pub use crate::sumcheck::Security;

use crate::halo2;
use crate::relations::SliceRelations;
use crate::sumcheck;

/// The parameters that this program proves and verifies a proof system with.
#[must_use]
pub const fn parameter_id(system: ProofSystem) -> ParameterId {
    match system {
        ProofSystem::Halo2Kzg => ParameterId::Halo2KzgBn254V1,
        ProofSystem::SumcheckWhir => ParameterId::SumcheckWhirGoldilocksV1,
    }
}

/// The SRS digest of a manifest without a trusted setup.
pub const NO_SRS: Digest = Digest::new([0; 32]);

/// Whether proofs of the system rest on a trusted setup.
#[must_use]
pub const fn needs_srs(system: ProofSystem) -> bool {
    match system {
        ProofSystem::Halo2Kzg => true,
        ProofSystem::SumcheckWhir => false,
    }
}

/// [`instruction_set`] of a program that runs on every processor of its architecture.
pub const BASELINE: &str = "baseline";

/// The instruction set that this program was built for: what is chosen when it is compiled decides how fast it proves.
#[must_use]
pub const fn instruction_set() -> &'static str {
    if cfg!(target_feature = "avx512f") {
        "x86-64-v4"
    } else if cfg!(target_feature = "avx2") {
        "x86-64-v3"
    } else {
        BASELINE
    }
}

/// What a proof of the system rests on and hides, in a sentence for people.
#[must_use]
pub const fn rests_on(system: ProofSystem) -> &'static str {
    match system {
        ProofSystem::Halo2Kzg => {
            "sound if nobody knows the secret of the trusted setup and by the hardness of discrete logarithms in bn254 \
             (about 100 bits); what is inside a slice is hidden, input, output and boundary tensors are not"
        }
        ProofSystem::SumcheckWhir => {
            "at least 100 bits of attack work are proven, 12 of them grinding (up to Johnson's bound; Blake3 as a random \
             oracle), nothing rests on a trusted setup; \
             nothing is hidden, and verifying takes the weights"
        }
    }
}

/// Whether a verifier derives its keys from the integer graph, instead of reading them from files.
#[must_use]
pub const fn derives_keys(system: ProofSystem) -> bool {
    !needs_srs(system)
}

/// Which files a slice has, in the order of [`FileRole::ALL`].
#[must_use]
pub const fn file_roles(system: ProofSystem) -> &'static [FileRole] {
    match system {
        ProofSystem::Halo2Kzg => &[FileRole::VerifyingKey, FileRole::ProvingKey, FileRole::Setup],
        ProofSystem::SumcheckWhir => &[],
    }
}

/// What a proof system was told to do with one slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// Limb width and k.
    Halo2Kzg(halo2::SliceParameters),
    /// Limb width.
    SumcheckWhir(sumcheck::SliceParameters),
}

impl Parameters {
    /// Width of a full limb.
    #[must_use]
    pub const fn limb_bits(self) -> u8 {
        match self {
            Self::Halo2Kzg(p) => p.limb_bits,
            Self::SumcheckWhir(p) => p.limb_bits,
        }
    }

    /// log2 of the points that proving takes from the SRS.
    #[must_use]
    pub const fn k(self) -> Option<u8> {
        match self {
            Self::Halo2Kzg(p) => Some(p.k),
            Self::SumcheckWhir(_) => None,
        }
    }
}

/// What a manifest records of one slice's parameters: all that a verifier needs of them. On the wire each form is told by
/// its fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "CircuitFields")]
pub enum Circuit {
    /// Limb width, k and columns.
    Halo2Kzg(halo2::CircuitShape),
    /// Limb width; the rest follows from the relations.
    SumcheckWhir(SumcheckShape),
}

/// The fields of either form. To try one form after the other would take a copy of everything in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CircuitFields {
    k: Option<u8>,
    roles: Option<Vec<halo2::Role>>,
    limb_bits: u8,
    max_limbs: Option<u8>,
    limb_columns: Option<u8>,
    requantisations: Option<Vec<crate::graph::Requantise>>,
}

impl TryFrom<CircuitFields> for Circuit {
    type Error = &'static str;

    fn try_from(fields: CircuitFields) -> Result<Self, Self::Error> {
        let limb_bits = fields.limb_bits;
        let CircuitFields {
            k,
            roles,
            max_limbs,
            limb_columns,
            requantisations,
            ..
        } = fields;
        match (k, roles, max_limbs, limb_columns, requantisations) {
            (None, None, None, None, None) => Ok(Self::SumcheckWhir(SumcheckShape { limb_bits })),
            (Some(k), Some(roles), Some(max_limbs), Some(limb_columns), Some(requantisations)) => {
                Ok(Self::Halo2Kzg(halo2::CircuitShape {
                    k,
                    roles,
                    limb_bits,
                    max_limbs,
                    limb_columns,
                    requantisations,
                }))
            }
            _ => Err("the circuit's fields are of no proof system"),
        }
    }
}

/// See [`Circuit::SumcheckWhir`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumcheckShape {
    /// Width of a full limb.
    pub limb_bits: u8,
}

impl Circuit {
    /// Whose parameters these are.
    #[must_use]
    pub const fn proof_system(&self) -> ProofSystem {
        match self {
            Self::Halo2Kzg(_) => ProofSystem::Halo2Kzg,
            Self::SumcheckWhir(_) => ProofSystem::SumcheckWhir,
        }
    }

    /// Whether every number is within its limits.
    #[must_use]
    pub fn check(&self) -> bool {
        match self {
            Self::Halo2Kzg(shape) => shape.check(),
            Self::SumcheckWhir(shape) => sumcheck::LIMB_BITS.contains(&shape.limb_bits),
        }
    }

    /// The parameters.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        match self {
            Self::Halo2Kzg(shape) => Parameters::Halo2Kzg(halo2::SliceParameters {
                limb_bits: shape.limb_bits,
                k: shape.k,
            }),
            Self::SumcheckWhir(shape) => Parameters::SumcheckWhir(sumcheck::SliceParameters {
                limb_bits: shape.limb_bits,
            }),
        }
    }
}

/// What proving a slice costs, predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// CPU microseconds to prove, one core of the reference machine.
    pub cpu_us: u64,
    /// Peak memory to prove, in bytes.
    pub memory_bytes: u64,
    /// Bytes of a proof.
    pub proof_bytes: u64,
    /// Bytes of the proving key; 0 where it is derived from the integer graph.
    pub key_bytes: u64,
    /// How large the slice is, in the proof system's own measures.
    pub measures: Measures,
}

/// Why a slice cannot be proved in a proof system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Its halo2 circuit.
    #[error(transparent)]
    Halo2Kzg(#[from] halo2::LayoutError),
    /// Its layout for sum-checks.
    #[error(transparent)]
    SumcheckWhir(#[from] sumcheck::LayoutError),
}

/// The parameters that a proof system's cost model chooses for a slice, and the cost with them.
///
/// # Errors
/// A slice that the proof system cannot prove.
pub fn choose(system: ProofSystem, relations: &SliceRelations) -> Result<(Parameters, Cost), LayoutError> {
    match system {
        ProofSystem::Halo2Kzg => {
            let p = halo2::choose_parameters(relations)?;
            let cost = halo2::cost(relations, p)?;
            let cost = Cost {
                cpu_us: 1000 * u64::from(cost.cpu_ms),
                memory_bytes: cost.memory_bytes,
                proof_bytes: u64::from(cost.proof_bytes),
                key_bytes: cost.pk_bytes,
                measures: Measures::default()
                    .with(Measure::K, u64::from(p.k))
                    .with(Measure::Rows, cost.rows as u64),
            };
            Ok((Parameters::Halo2Kzg(p), cost))
        }
        ProofSystem::SumcheckWhir => {
            let p = sumcheck::choose_parameters(relations)?;
            let cost = sumcheck::cost(relations, p)?;
            let cost = Cost {
                cpu_us: cost.cpu_us,
                memory_bytes: cost.memory_bytes,
                proof_bytes: cost.proof_bytes,
                key_bytes: 0,
                // Before they are rounded up to a power of two.
                measures: Measures::default().with(Measure::Cells, cost.cells),
            };
            Ok((Parameters::SumcheckWhir(p), cost))
        }
    }
}

/// What a proof system asks of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutRule {
    /// Longest slice that is considered, in nodes: costs are asked for every range up to it.
    pub max_nodes: usize,
    /// Most constant coefficients of a slice of several linear maps.
    pub max_weights: u64,
    /// How many slices.
    pub count: SliceCount,
    /// What one slice more costs beside its proof's work, in CPU microseconds: bytes, verification, a claim.
    pub per_slice_us: u64,
}

/// How many slices a model is cut into where the owner asks for fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SliceCount {
    /// The least number that is feasible.
    Fewest,
    /// The number that costs least in all.
    Cheapest,
}

/// What the proof system asks of a cut.
#[must_use]
pub const fn cut_rule(system: ProofSystem) -> CutRule {
    match system {
        ProofSystem::Halo2Kzg => CutRule {
            max_nodes: 24,
            max_weights: u64::MAX,
            count: SliceCount::Fewest,
            per_slice_us: 0,
        },
        // Cells are rounded up to a power of two, and every proof has 60 to 80 KB whatever is in it: slices are large, and as
        // many as cost least in all. A verifier evaluates the weights, 2.7 ns each.
        ProofSystem::SumcheckWhir => CutRule {
            max_nodes: 64,
            max_weights: 2 << 20,
            count: SliceCount::Cheapest,
            per_slice_us: 15_000,
        },
    }
}

/// Whether the parameters waste nothing. It costs little, so whoever derives keys for a manifest from outside asks this
/// first and is not made to work for needlessly large keys.
///
/// # Errors
/// A slice that cannot be proved with these parameters.
pub fn is_least(relations: &SliceRelations, parameters: Parameters) -> Result<bool, LayoutError> {
    match parameters {
        Parameters::Halo2Kzg(p) => Ok(halo2::is_least(relations, p)?),
        // Nothing in these keys is larger than the slice.
        Parameters::SumcheckWhir(_) => Ok(true),
    }
}
