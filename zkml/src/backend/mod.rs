//! What the rest of the engine asks of a proof system, whichever it is.
//!
//! Invariants: a proof system proves relations and nothing else. What it needs of a slice beyond them has one form for all:
//! parameters ([`Parameters`]), the part of them that a manifest records ([`Circuit`]), what proving costs ([`Cost`]), the
//! trusted setup or none ([`Setup`]), keys ([`SliceKeys`]), a [`Prover`] and a [`Verifier`]. No proof system is named here:
//! whoever reads a document is given the list of those that it may be of ([`Systems`]), and a proof system that is not in
//! the list does not exist. The list that is shipped stands in [`systems`](crate::systems).

mod error;
mod keys;
mod prover;
mod setup;
mod verifier;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use zkinfer_crds::slice_files::{FileRole, Measures};
use zkinfer_crds::{Digest, Profile};

pub use error::{Cause, CircuitError, KeyError, LayoutError, ProveError, UnknownSystem, VerifyError};
pub use keys::{KeyFiles, SliceKeys};
pub use prover::{Proved, Prover, Proving, ProvingFiles, SecretRng};
pub use setup::{Setup, SetupError};
pub use verifier::{Security, Verifier};
pub use words::{NoWord, ParametersId, SystemId};

use crate::canonical::Item;
use crate::relations::SliceRelations;
use crate::setup::VerifierSrs;

/// The SRS digest of a manifest without a trusted setup.
pub const NO_SRS: Digest = Digest::new([0; 32]);

/// A proof system, as far as whoever verifies needs it, or plans a cut. It says all of it: nothing has a default, and what follows
/// from something else is written here once.
pub trait System: fmt::Debug + Send + Sync {
    /// Its name.
    fn id(&self) -> SystemId;

    /// The parameters that this program proves and verifies with.
    fn parameter_id(&self) -> ParametersId;

    /// What a proof rests on and hides, in a sentence for people.
    fn rests_on(&self) -> &'static str;

    /// Whether proofs rest on a trusted setup.
    fn needs_srs(&self) -> bool;

    /// Which files a slice has, in the order of [`FileRole::ALL`].
    fn file_roles(&self) -> &'static [FileRole];

    /// Whether a verifier derives its keys from the integer graph, instead of reading them from files.
    fn derives_keys(&self) -> bool {
        !self.file_roles().contains(&FileRole::VerifyingKey)
    }

    /// What it asks of a cut.
    fn cut_rule(&self) -> CutRule;

    /// The profile that is tried first where a rounded number decides a whole one or a choice (a comparison, a place, a tree's
    /// branch): what is nearer than a step falls either way, so the finest that costs a proof little more.
    fn deciding(&self) -> Profile;

    /// What may help where it has no place for a node, for people.
    fn instead(&self) -> Option<&'static str>;

    /// The parameters that a manifest records, every number within its limits.
    ///
    /// # Errors
    /// What is not this proof system's.
    fn parameters(&self, circuit: &Circuit) -> Result<Parameters, CircuitError>;

    /// The parameters that its cost model chooses for a slice, and the cost with them.
    ///
    /// # Errors
    /// A slice that it cannot prove.
    fn choose(&self, relations: &SliceRelations) -> Result<(Parameters, Cost), LayoutError>;

    /// Whether the parameters waste nothing. It costs little, so whoever derives keys for a manifest from outside asks this
    /// first and is not made to work for needlessly large keys.
    ///
    /// # Errors
    /// A slice that cannot be proved with these parameters.
    fn is_least(&self, relations: &SliceRelations, parameters: Parameters) -> Result<bool, LayoutError>;

    /// Reads a verifying key that is a file.
    ///
    /// # Errors
    /// Bytes that are no key of such a circuit.
    fn read_verifier(
        &self,
        vk: &[u8],
        circuit: &Circuit,
        srs: VerifierSrs,
    ) -> Result<Arc<dyn Verifier>, KeyError>;

    /// Derives a verifying key from the slice's relations, and what a manifest must record of it. Owned relations are not
    /// copied, nor their weights.
    ///
    /// # Errors
    /// A slice that cannot be proved with these parameters, or a setup that is missing or too small.
    fn derive_verifier(
        &self,
        relations: Cow<'_, SliceRelations>,
        parameters: Parameters,
        setup: &Setup,
    ) -> Result<(Arc<dyn Verifier>, Circuit), KeyError>;
}

/// The proof systems that there are, for whoever is given this list.
pub struct Systems<'a, S: ?Sized + 'static>(&'a [&'static S]);

impl<S: ?Sized> Clone for Systems<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: ?Sized> Copy for Systems<'_, S> {}

impl<'a, S: ?Sized> Systems<'a, S> {
    /// A list.
    #[must_use]
    pub const fn new(list: &'a [&'static S]) -> Self {
        Self(list)
    }

    /// In the list's order.
    pub fn iter(self) -> impl Iterator<Item = &'static S> + 'a {
        self.0.iter().copied()
    }
}

impl<S: System + ?Sized> Systems<'_, S> {
    /// The one of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(self, id: SystemId) -> Result<&'static S, UnknownSystem> {
        self.iter().find(|s| s.id() == id).ok_or(UnknownSystem(id))
    }
}

impl<S: System + ?Sized> fmt::Debug for Systems<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(System::id)).finish()
    }
}

/// What a proof system was told to do with one slice. Each takes what it knows, and refuses what it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameters {
    /// Width of a full limb; 0 where values are not cut into limbs.
    pub limb_bits: u8,
    /// log2 of the points that proving takes from the SRS.
    pub k: Option<u8>,
}

/// What a manifest records of one slice's parameters: all that a verifier needs of them. Which fields it has is the proof
/// system's matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Circuit(Item);

impl Circuit {
    /// A proof system's own form.
    #[must_use]
    pub fn of<T: Serialize>(form: &T) -> Self {
        Self(Item::of(form))
    }

    /// Read as a proof system's own form.
    ///
    /// # Errors
    /// Other fields.
    pub fn read<T: Serialize + DeserializeOwned>(&self) -> Result<T, CircuitError> {
        Ok(self.0.read()?)
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
