//! `Halo2Kzg` as the engine asks for it. Keys are files, and rest on the points of a trusted setup.

use std::borrow::Cow;
use std::sync::Arc;

use zkinfer_crds::slice_files::{FileRole, Measure, Measures};
use zkinfer_crds::{Digest, ParameterId, Profile, ProofSystem};

use super::{
    CircuitShape, ProvingKey, SliceParameters, VerifyingKey, choose_parameters, cost, is_least, keygen,
    keygen_verifier, prove, verify,
};
use crate::backend::{
    Cause, Circuit, CircuitError, Cost, CutRule, KeyError, KeyFiles, LayoutError, Parameters, ParametersId,
    ProveError, Proved, Prover, Proving, ProvingFiles, SecretRng, Security, Setup, SetupError, SliceCount,
    SliceKeys, System, SystemId, Verifier, VerifyError,
};
use crate::relations::{Boundary, SliceRelations};
use crate::setup::{Srs, VerifierSrs};

/// The proof system.
#[derive(Debug)]
pub struct Halo2Kzg;

impl System for Halo2Kzg {
    fn id(&self) -> SystemId {
        SystemId::of(ProofSystem::Halo2Kzg)
    }

    fn parameter_id(&self) -> ParametersId {
        ParametersId::of(ParameterId::Halo2KzgBn254V1)
    }

    fn rests_on(&self) -> &'static str {
        "sound if nobody knows the secret of the trusted setup and by the hardness of discrete logarithms in bn254 \
         (about 100 bits); what is inside a slice is hidden, input, output and boundary tensors are not"
    }

    fn needs_srs(&self) -> bool {
        true
    }

    fn file_roles(&self) -> &'static [FileRole] {
        &[FileRole::VerifyingKey, FileRole::ProvingKey, FileRole::Setup]
    }

    fn cut_rule(&self) -> CutRule {
        CutRule {
            max_nodes: 24,
            max_weights: u64::MAX,
            count: SliceCount::Fewest,
            per_slice_us: 0,
        }
    }

    fn deciding(&self) -> Profile {
        // 2^16 rows of a table are rows of its circuit: minutes instead of seconds.
        Profile::P12
    }

    fn instead(&self) -> Option<&'static str> {
        Some("SumcheckWhir")
    }

    fn parameters(&self, circuit: &Circuit) -> Result<Parameters, CircuitError> {
        let shape: CircuitShape = circuit.read()?;
        if !shape.check() {
            return Err(CircuitError::Limits);
        }
        Ok(given(SliceParameters {
            limb_bits: shape.limb_bits,
            k: shape.k,
        }))
    }

    fn choose(&self, relations: &SliceRelations) -> Result<(Parameters, Cost), LayoutError> {
        let p = choose_parameters(relations)?;
        let cost = cost(relations, p)?;
        let cost = Cost {
            cpu_us: 1000 * u64::from(cost.cpu_ms),
            memory_bytes: cost.memory_bytes,
            proof_bytes: u64::from(cost.proof_bytes),
            key_bytes: cost.pk_bytes,
            measures: Measures::default()
                .with(Measure::K, u64::from(p.k))
                .with(Measure::Rows, cost.rows as u64),
        };
        Ok((given(p), cost))
    }

    fn is_least(&self, relations: &SliceRelations, parameters: Parameters) -> Result<bool, LayoutError> {
        Ok(is_least(relations, own(parameters)?)?)
    }

    fn read_verifier(
        &self,
        vk: &[u8],
        circuit: &Circuit,
        srs: VerifierSrs,
    ) -> Result<Arc<dyn Verifier>, KeyError> {
        let shape: CircuitShape = circuit.read()?;
        let vk = VerifyingKey::from_bytes(vk, &shape).map_err(KeyError::of)?;
        Ok(Arc::new(Halo2Verifier { vk, srs }))
    }

    fn derive_verifier(
        &self,
        relations: Cow<'_, SliceRelations>,
        parameters: Parameters,
        setup: &Setup,
    ) -> Result<(Arc<dyn Verifier>, Circuit), KeyError> {
        let p = own(parameters)?;
        let points = setup.points(p.k).ok_or(SetupError::Missing)?;
        let (vk, shape) = keygen_verifier(&relations, p, points).map_err(KeyError::of)?;
        let srs = points.verifier();
        Ok((Arc::new(Halo2Verifier { vk, srs }), Circuit::of(&shape)))
    }
}

impl Proving for Halo2Kzg {
    fn keygen(
        &self,
        relations: &SliceRelations,
        parameters: Parameters,
        setup: &Setup,
    ) -> Result<SliceKeys, KeyError> {
        let p = own(parameters)?;
        let points = setup.points(p.k).ok_or(SetupError::Missing)?;
        let pk = keygen(relations, p, points).map_err(KeyError::of)?;
        let vk = pk.verifying_key();
        Ok(SliceKeys {
            circuit: Circuit::of(pk.shape()),
            vk: vk.digest(),
            files: Some(KeyFiles {
                k: p.k,
                pk: pk.to_bytes(),
                vk: vk.to_bytes(),
            }),
        })
    }

    fn prover(
        &self,
        relations: SliceRelations,
        parameters: Parameters,
        files: &ProvingFiles<'_>,
    ) -> Result<Box<dyn Prover>, KeyError> {
        let key = files.get(FileRole::ProvingKey)?;
        let pk = ProvingKey::from_bytes(key, &relations, own(parameters)?).map_err(KeyError::of)?;
        let srs = Srs::read_unchecked(files.get(FileRole::Setup)?).map_err(SetupError::from)?;
        Ok(Box::new(Halo2Prover { relations, pk, srs }))
    }
}

/// Key, relations and points.
#[derive(Debug)]
struct Halo2Prover {
    relations: SliceRelations,
    pk: ProvingKey,
    srs: Srs,
}

impl Prover for Halo2Prover {
    fn verifier(&self) -> Result<Arc<dyn Verifier>, KeyError> {
        let (vk, srs) = (self.pk.verifying_key(), self.srs.verifier());
        Ok(Arc::new(Halo2Verifier { vk, srs }))
    }

    fn prove(
        &self,
        statement: &Digest,
        inputs: &[&[i64]],
        rng: &mut dyn SecretRng,
    ) -> Result<Proved, ProveError> {
        let made = prove(&self.pk, &self.relations, &self.srs, statement, inputs, rng);
        let made = made.map_err(ProveError::of)?;
        Ok(Proved {
            proof: made.proof,
            outputs: made.outputs,
        })
    }
}

/// The key and the SRS's verifier part; no graph and no weights.
#[derive(Debug)]
struct Halo2Verifier {
    vk: VerifyingKey,
    srs: VerifierSrs,
}

impl Verifier for Halo2Verifier {
    fn vk_digest(&self) -> Digest {
        self.vk.digest()
    }

    fn srs_digest(&self) -> Digest {
        self.srs.digest()
    }

    /// It rests on assumptions of which the library has no account.
    fn security(&self) -> Option<Security> {
        None
    }

    fn verify(
        &self,
        boundary: Boundary<'_>,
        statement: &Digest,
        inputs: &[&[i64]],
        outputs: &[&[i64]],
        proof: &[u8],
    ) -> Result<(), VerifyError> {
        Ok(verify(
            &self.vk, &self.srs, boundary, statement, inputs, outputs, proof,
        )?)
    }
}

const fn given(parameters: SliceParameters) -> Parameters {
    Parameters {
        limb_bits: parameters.limb_bits,
        k: Some(parameters.k),
    }
}

fn own(parameters: Parameters) -> Result<SliceParameters, LayoutError> {
    Ok(SliceParameters {
        limb_bits: parameters.limb_bits,
        k: parameters.k.ok_or(LayoutError::Parameters)?,
    })
}

impl From<super::VerifyError> for VerifyError {
    fn from(error: super::VerifyError) -> Self {
        match error {
            super::VerifyError::Malformed(_) | super::VerifyError::Invalid => Self::refused(error),
            // Whoever verifies gives the public values.
            super::VerifyError::Instance(_) => Self::fault(error),
        }
    }
}

impl From<super::LayoutError> for LayoutError {
    fn from(error: super::LayoutError) -> Self {
        match error {
            super::LayoutError::Rows { rows, available, .. } => Self::Rows {
                rows,
                most: available,
                why: Cause::of(error),
            },
            other => Self::Other(Cause::of(other)),
        }
    }
}
