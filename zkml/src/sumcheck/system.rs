//! `SumcheckWhir` as the engine asks for it. It rests on no trusted setup, and everybody derives the one key from the
//! slice's relations.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zkinfer_crds::slice_files::{FileRole, Measure, Measures};
use zkinfer_crds::{Digest, ParameterId, Profile, ProofSystem};

use super::disclosed::NO_LIMBS;
use super::{Key, LIMB_BITS, SliceParameters, choose_parameters, prove, security, verify};
use crate::backend::{
    Cause, Circuit, CircuitError, Cost, CutRule, KeyError, LayoutError, NO_SRS, Parameters, ParametersId,
    ProveError, Proved, Prover, Proving, ProvingFiles, SecretRng, Security, Setup, SliceCount, SliceKeys,
    System, SystemId, Verifier, VerifyError,
};
use crate::relations::{Boundary, SliceRelations};
use crate::setup::VerifierSrs;

/// The proof system.
#[derive(Debug)]
pub struct SumcheckWhir;

/// What a manifest records of a slice; the rest follows from the relations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumcheckShape {
    /// Width of a full limb; 0 where accumulators stand in the proof.
    pub limb_bits: u8,
}

impl System for SumcheckWhir {
    fn id(&self) -> SystemId {
        SystemId::of(ProofSystem::SumcheckWhir)
    }

    fn parameter_id(&self) -> ParametersId {
        ParametersId::of(ParameterId::SumcheckWhirGoldilocksV1)
    }

    fn rests_on(&self) -> &'static str {
        "at least 100 bits of attack work are proven, 12 of them grinding (up to Johnson's bound; Blake3 as a random \
         oracle), nothing rests on a trusted setup; \
         nothing is hidden, and verifying takes the weights"
    }

    fn needs_srs(&self) -> bool {
        false
    }

    fn file_roles(&self) -> &'static [FileRole] {
        &[]
    }

    fn cut_rule(&self) -> CutRule {
        // Cells are rounded up to a power of two, and every proof has 60 to 80 KB whatever is in it: slices are large, and as
        // many as cost least in all. A verifier evaluates the weights, 2.7 ns each.
        CutRule {
            max_nodes: 64,
            max_weights: 2 << 20,
            count: SliceCount::Cheapest,
            per_slice_us: 15_000,
        }
    }

    fn deciding(&self) -> Profile {
        Profile::P16
    }

    fn instead(&self) -> Option<&'static str> {
        None
    }

    fn parameters(&self, circuit: &Circuit) -> Result<Parameters, CircuitError> {
        let SumcheckShape { limb_bits } = circuit.read()?;
        if limb_bits != NO_LIMBS && !LIMB_BITS.contains(&limb_bits) {
            return Err(CircuitError::Limits);
        }
        Ok(given(SliceParameters { limb_bits }))
    }

    fn choose(&self, relations: &SliceRelations) -> Result<(Parameters, Cost), LayoutError> {
        let (p, cost) = choose_parameters(relations)?;
        let cost = Cost {
            cpu_us: cost.cpu_us,
            memory_bytes: cost.memory_bytes,
            proof_bytes: cost.proof_bytes,
            key_bytes: 0,
            // Before they are rounded up to a power of two.
            measures: Measures::default().with(Measure::Cells, cost.cells),
        };
        Ok((given(p), cost))
    }

    fn is_least(&self, _relations: &SliceRelations, _parameters: Parameters) -> Result<bool, LayoutError> {
        // Nothing in these keys is larger than the slice.
        Ok(true)
    }

    fn read_verifier(
        &self,
        _vk: &[u8],
        _circuit: &Circuit,
        _srs: VerifierSrs,
    ) -> Result<Arc<dyn Verifier>, KeyError> {
        Err(KeyError::NoFile)
    }

    fn derive_verifier(
        &self,
        relations: Cow<'_, SliceRelations>,
        parameters: Parameters,
        _setup: &Setup,
    ) -> Result<(Arc<dyn Verifier>, Circuit), KeyError> {
        let p = own(parameters)?;
        let key = Key::owning(relations.into_owned(), p).map_err(LayoutError::from)?;
        Ok((Arc::new(KeyHolder(key)), circuit(p)))
    }
}

impl Proving for SumcheckWhir {
    fn keygen(
        &self,
        relations: &SliceRelations,
        parameters: Parameters,
        _setup: &Setup,
    ) -> Result<SliceKeys, KeyError> {
        let p = own(parameters)?;
        let key = Key::new(relations, p).map_err(LayoutError::from)?;
        Ok(SliceKeys {
            circuit: circuit(p),
            vk: key.digest(),
            files: None,
        })
    }

    fn prover(
        &self,
        relations: SliceRelations,
        parameters: Parameters,
        _files: &ProvingFiles<'_>,
    ) -> Result<Box<dyn Prover>, KeyError> {
        let key = Key::owning(relations, own(parameters)?).map_err(LayoutError::from)?;
        Ok(Box::new(KeyHolder(key)))
    }
}

/// The key, with relations, weights and tables in it: it proves, and it verifies.
#[derive(Debug, Clone)]
struct KeyHolder(Key);

impl Prover for KeyHolder {
    fn verifier(&self) -> Result<Arc<dyn Verifier>, KeyError> {
        Ok(Arc::new(self.clone()))
    }

    fn prove(
        &self,
        statement: &Digest,
        inputs: &[&[i64]],
        _rng: &mut dyn SecretRng,
    ) -> Result<Proved, ProveError> {
        let made = prove(&self.0, statement, inputs).map_err(ProveError::of)?;
        Ok(Proved {
            proof: made.proof,
            outputs: made.outputs,
        })
    }
}

impl Verifier for KeyHolder {
    fn vk_digest(&self) -> Digest {
        self.0.digest()
    }

    fn srs_digest(&self) -> Digest {
        NO_SRS
    }

    fn security(&self) -> Option<Security> {
        let of_key = security(&self.0);
        Some(Security {
            bits: of_key.bits,
            regime: of_key.regime,
        })
    }

    fn verify(
        &self,
        _boundary: Boundary<'_>,
        statement: &Digest,
        inputs: &[&[i64]],
        outputs: &[&[i64]],
        proof: &[u8],
    ) -> Result<(), VerifyError> {
        Ok(verify(&self.0, statement, inputs, outputs, proof)?)
    }
}

const fn given(parameters: SliceParameters) -> Parameters {
    Parameters {
        limb_bits: parameters.limb_bits,
        k: None,
    }
}

fn own(parameters: Parameters) -> Result<SliceParameters, LayoutError> {
    match parameters {
        Parameters { limb_bits, k: None } => Ok(SliceParameters { limb_bits }),
        Parameters { .. } => Err(LayoutError::Parameters),
    }
}

/// What a manifest records of these parameters.
fn circuit(parameters: SliceParameters) -> Circuit {
    Circuit::of(&SumcheckShape {
        limb_bits: parameters.limb_bits,
    })
}

impl From<super::VerifyError> for VerifyError {
    fn from(error: super::VerifyError) -> Self {
        match error {
            super::VerifyError::Malformed(_) | super::VerifyError::Refuted(_) => Self::refused(error),
            // Whoever verifies gives the public values, and has the program.
            super::VerifyError::Instance(_) | super::VerifyError::Fault(_) => Self::fault(error),
        }
    }
}

impl From<super::LayoutError> for LayoutError {
    fn from(error: super::LayoutError) -> Self {
        Self::Other(Cause::of(error))
    }
}
