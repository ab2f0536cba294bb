//! The one list of the proof systems that are shipped, and the only place that names them.
//!
//! Invariant: for each word of the wire there is one, and a verifier has no prover in it: who proves takes [`PROVING`].

use zkinfer_crds::ProofSystem;

use crate::backend::{Proving, System, Systems};
use crate::halo2::Halo2Kzg;
use crate::sumcheck::SumcheckWhir;

/// For whoever verifies.
pub const SYSTEMS: Systems<'static, dyn System> = Systems::new(&VERIFYING_LIST);

/// For whoever proves.
pub const PROVING: Systems<'static, dyn Proving> = Systems::new(&PROVING_LIST);

static VERIFYING_LIST: [&dyn System; ProofSystem::ALL.len()] = {
    let mut list = [of(ProofSystem::ALL[0]); ProofSystem::ALL.len()];
    let mut at = 0;
    while at < list.len() {
        list[at] = of(ProofSystem::ALL[at]);
        at += 1;
    }
    list
};

static PROVING_LIST: [&dyn Proving; ProofSystem::ALL.len()] = {
    let mut list = [proving(ProofSystem::ALL[0]); ProofSystem::ALL.len()];
    let mut at = 0;
    while at < list.len() {
        list[at] = proving(ProofSystem::ALL[at]);
        at += 1;
    }
    list
};

/// The proof system of a word, for whoever verifies.
#[must_use]
pub const fn of(word: ProofSystem) -> &'static dyn System {
    match word {
        ProofSystem::Halo2Kzg => &Halo2Kzg,
        ProofSystem::SumcheckWhir => &SumcheckWhir,
    }
}

/// The proof system of a word, for whoever proves.
#[must_use]
pub const fn proving(word: ProofSystem) -> &'static dyn Proving {
    match word {
        ProofSystem::Halo2Kzg => &Halo2Kzg,
        ProofSystem::SumcheckWhir => &SumcheckWhir,
    }
}

#[cfg(test)]
mod tests {
    use zkinfer_crds::ParameterId;

    use super::*;
    use crate::backend::SystemId;

    #[test]
    fn every_word_of_the_wire_is_one_proof_system_in_both_lists() {
        assert_eq!(SYSTEMS.iter().count(), ProofSystem::ALL.len());
        for &word in ProofSystem::ALL {
            let system = SYSTEMS.find(word.into()).unwrap();
            assert!(system.id() == word && of(word).id() == word);
            assert!(PROVING.find(word.into()).unwrap().id() == word && proving(word).id() == word);
            let parameters = ParameterId::try_from(system.parameter_id()).unwrap();
            assert_eq!(parameters.proof_system(), word);
            assert_eq!(system.needs_srs(), !system.derives_keys());
        }
        assert!(SYSTEMS.find(SystemId::new("Clear")).is_err());
    }
}
