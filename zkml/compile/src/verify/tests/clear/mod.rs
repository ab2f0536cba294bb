//! `Clear`: the proof is the witness, the verifier the relations' plain checkers.
//!
//! It stands in the tests' list of proof systems alone. It hides nothing and saves nothing; it is what a proof system must
//! agree with: whatever the others accept of a slice, it accepts, and where it refuses it names the relation that does not
//! hold.
//!
//! Invariant: a proof is the statement's digest, then the values of every tensor inside the slice in the order in which
//! relations make them. Each is determined by the slice's inputs, so a statement has one proof.

mod tests;
mod witness;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use zkinfer_crds::slice_files::{FileRole, Measures};
use zkinfer_crds::{Digest, Profile};
use zkml::backend::{
    Cause, Circuit, CircuitError, Cost, CutRule, KeyError, LayoutError, NO_SRS, Parameters, ParametersId,
    ProveError, Proved, Prover, Proving, ProvingFiles, SecretRng, Security, Setup, SliceCount, SliceKeys,
    System, SystemId, Verifier, VerifyError,
};
use zkml::canonical::{self, CanonicalError, Integers};
use zkml::graph::TensorId;
use zkml::relations::{Boundary, CheckError, SliceRelations, check};
use zkml::setup::VerifierSrs;

use self::witness::{Made, made, name_of, witness};

/// The proof system.
#[derive(Debug)]
pub(crate) struct Clear;

/// Most values of a slice's witness: as many as an envelope holds.
const MAX_VALUES: usize = 48 << 10;

/// Why there is no proof, or none that holds.
#[derive(Debug, thiserror::Error)]
enum ClearError {
    #[error("no node of an integer graph makes the relation of tensor {0}")]
    Unsupported(u32),
    #[error("the slice's witness has {0} values, a proof holds {MAX_VALUES}")]
    Large(usize),
    #[error("the inputs have no proof: tensor {0} leaves its range")]
    Witness(u32),
    #[error("the proof does not hold: it is of another statement")]
    Statement,
    #[error("the proof does not hold: it is no witness: {0}")]
    Encoding(#[from] CanonicalError),
    #[error("the proof does not hold: it is not a witness of this slice")]
    Shape,
    #[error("the public values are not those of this slice")]
    Public,
    #[error("the proof does not hold: {relation} of tensor {tensor}: {why}")]
    Relation {
        relation: &'static str,
        tensor: u32,
        why: CheckError,
    },
}

impl System for Clear {
    fn id(&self) -> SystemId {
        SystemId::new("Clear")
    }

    fn parameter_id(&self) -> ParametersId {
        ParametersId::new("clear/v1")
    }

    fn rests_on(&self) -> &'static str {
        "every value is checked by its relation's definition; nothing is hidden"
    }

    fn needs_srs(&self) -> bool {
        false
    }

    fn file_roles(&self) -> &'static [FileRole] {
        &[]
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
        Profile::P16
    }

    fn instead(&self) -> Option<&'static str> {
        None
    }

    fn parameters(&self, circuit: &Circuit) -> Result<Parameters, CircuitError> {
        circuit.read::<()>()?;
        Ok(PARAMETERS)
    }

    fn choose(&self, relations: &SliceRelations) -> Result<(Parameters, Cost), LayoutError> {
        let other = |e: ClearError| LayoutError::Other(Cause::of(e));
        let values: usize = made(relations).map_err(other)?.iter().map(|m| m.len).sum();
        if values > MAX_VALUES {
            return Err(other(ClearError::Large(values)));
        }
        let cost = Cost {
            cpu_us: values as u64 + 1,
            memory_bytes: 1 << 20,
            proof_bytes: 8 * values as u64,
            key_bytes: 0,
            measures: Measures::default(),
        };
        Ok((PARAMETERS, cost))
    }

    fn is_least(&self, _: &SliceRelations, _: Parameters) -> Result<bool, LayoutError> {
        Ok(true)
    }

    fn read_verifier(&self, _: &[u8], _: &Circuit, _: VerifierSrs) -> Result<Arc<dyn Verifier>, KeyError> {
        Err(KeyError::NoFile)
    }

    fn derive_verifier(
        &self,
        relations: Cow<'_, SliceRelations>,
        _: Parameters,
        _: &Setup,
    ) -> Result<(Arc<dyn Verifier>, Circuit), KeyError> {
        Ok((Arc::new(Key::new(relations.into_owned())?), Circuit::of(&())))
    }
}

impl Proving for Clear {
    fn keygen(&self, relations: &SliceRelations, _: Parameters, _: &Setup) -> Result<SliceKeys, KeyError> {
        Ok(SliceKeys {
            circuit: Circuit::of(&()),
            vk: Key::new(relations.clone())?.vk_digest(),
            files: None,
        })
    }

    fn prover(
        &self,
        relations: SliceRelations,
        _: Parameters,
        _: &ProvingFiles<'_>,
    ) -> Result<Box<dyn Prover>, KeyError> {
        Ok(Box::new(Key::new(relations)?))
    }
}

/// It has nothing to choose.
const PARAMETERS: Parameters = Parameters {
    limb_bits: 0,
    k: None,
};

/// The relations, and what they make.
#[derive(Debug, Clone)]
struct Key {
    relations: SliceRelations,
    made: Vec<Made>,
}

impl Key {
    fn new(relations: SliceRelations) -> Result<Self, KeyError> {
        let made = made(&relations).map_err(KeyError::of)?;
        Ok(Self { relations, made })
    }

    /// What relations make and the statement does not name.
    fn inner(&self) -> impl Iterator<Item = &Made> {
        let outputs = &self.relations.outputs;
        self.made.iter().filter(|m| outputs.iter().all(|o| o.id != m.id))
    }

    fn verify(
        &self,
        statement: &Digest,
        inputs: &[&[i64]],
        outputs: &[&[i64]],
        proof: &[u8],
    ) -> Result<(), ClearError> {
        let (of, proof) = proof.split_at_checked(32).ok_or(ClearError::Shape)?;
        if of != statement.as_bytes() {
            return Err(ClearError::Statement);
        }
        let inner: Vec<Integers> = canonical::from_bytes(proof, 16 * MAX_VALUES)?;
        if inner.len() != self.inner().count() {
            return Err(ClearError::Shape);
        }
        let mut values: BTreeMap<TensorId, Vec<i64>> = BTreeMap::new();
        let inputs = self.relations.inputs.iter().zip(inputs);
        let public = inputs.chain(self.relations.outputs.iter().zip(outputs));
        for (tensor, given) in public {
            let fits = given.len() == tensor.len && given.iter().all(|v| tensor.range.contains(*v));
            if !fits {
                return Err(ClearError::Public);
            }
            values.insert(tensor.id, given.to_vec());
        }
        for (tensor, Integers(given)) in self.inner().zip(inner) {
            // So that no checker meets a number or a length that its relation's bound does not cover.
            let fits = given.len() == tensor.len && given.iter().all(|v| tensor.range.contains(*v));
            if !fits {
                return Err(ClearError::Relation {
                    relation: name_of(&self.relations, tensor.id),
                    tensor: tensor.id.0,
                    why: CheckError::Tensor(tensor.id),
                });
            }
            values.insert(tensor.id, given);
        }
        check(&self.relations, &values).map_err(|why| {
            let tensor = match &why {
                CheckError::Tensor(tensor)
                | CheckError::Range { tensor, .. }
                | CheckError::Output { tensor, .. } => *tensor,
            };
            ClearError::Relation {
                relation: name_of(&self.relations, tensor),
                tensor: tensor.0,
                why,
            }
        })
    }
}

impl Prover for Key {
    fn verifier(&self) -> Result<Arc<dyn Verifier>, KeyError> {
        Ok(Arc::new(self.clone()))
    }

    fn prove(
        &self,
        statement: &Digest,
        inputs: &[&[i64]],
        _: &mut dyn SecretRng,
    ) -> Result<Proved, ProveError> {
        let mut values = witness(&self.relations, inputs).map_err(ProveError::of)?;
        let inner: Vec<Integers> = self
            .inner()
            .map(|m| Integers(values.remove(&m.id).unwrap_or_default()))
            .collect();
        let outputs = self.relations.outputs.iter();
        Ok(Proved {
            proof: [statement.as_bytes().as_slice(), &canonical::to_bytes(&inner)].concat(),
            outputs: outputs
                .map(|t| values.remove(&t.id).unwrap_or_default())
                .collect(),
        })
    }
}

impl Verifier for Key {
    fn vk_digest(&self) -> Digest {
        Digest::of(format!("{:?}", self.relations).as_bytes())
    }

    fn srs_digest(&self) -> Digest {
        NO_SRS
    }

    fn security(&self) -> Option<Security> {
        None
    }

    fn verify(
        &self,
        _: Boundary<'_>,
        statement: &Digest,
        inputs: &[&[i64]],
        outputs: &[&[i64]],
        proof: &[u8],
    ) -> Result<(), VerifyError> {
        Key::verify(self, statement, inputs, outputs, proof).map_err(|error| match error {
            ClearError::Public => VerifyError::fault(error),
            _ => VerifyError::refused(error),
        })
    }
}
