//! What a verdict on a proof says and of whom, and what a request takes of the memory.

use rand::rngs::OsRng;
use zkinfer_crds::ProofSystem;
use zkml::backend::{ProvingFiles, Security, Verifier, VerifyError};
use zkml::proof::{SliceProver, SliceVerifier};
use zkml::relations::Boundary;
use zkml::systems::PROVING;

use super::*;
use crate::gateway::tests::world::{REQUEST, model_of, run_of};
use crate::runs::{Asker, Budget, Needs, Rooms};

const SLICE: SliceIndex = SliceIndex(0);
const CLAIM: ClaimId = ClaimId::new([5; 16]);
const MINER: Identity = Identity::new([6; 32]);

/// A verifier with the key of a slice, which says the same of whatever it is given.
#[derive(Debug)]
struct Says {
    vk: Digest,
    srs: Digest,
    what: VerifyError,
}

impl Verifier for Says {
    fn vk_digest(&self) -> Digest {
        self.vk
    }

    fn srs_digest(&self) -> Digest {
        self.srs
    }

    fn security(&self) -> Option<Security> {
        None
    }

    fn verify(
        &self,
        _: Boundary<'_>,
        _: &Digest,
        _: &[&[i64]],
        _: &[&[i64]],
        _: &[u8],
    ) -> Result<(), VerifyError> {
        Err(self.what.clone())
    }
}

fn refused() -> VerifyError {
    VerifyError::refused(std::io::Error::other("it does not hold"))
}

/// What a run finds of an envelope where its verifier says this.
async fn found(what: VerifyError) -> VerifyOutcome {
    let artifacts = Artifacts::memory();
    let mut model = model_of(&artifacts, ProofSystem::SumcheckWhir).await;
    let says = Says {
        vk: model.manifest.slices[0].vk,
        srs: model.manifest.srs,
        what,
    };
    model.verifiers[0] = SliceVerifier::of(&model.manifest, SLICE, Arc::new(says)).unwrap();
    let envelope = model.verifiers[0].envelope(vec![1, 2, 3]).to_bytes();
    run_of(&artifacts, model)
        .await
        .verify(SLICE, CLAIM, MINER, &envelope)
}

#[tokio::test]
async fn a_fault_of_the_verifiers_own_is_the_operators_and_a_refused_proof_the_miners() {
    let fault = VerifyError::fault(std::io::Error::other("a step without a place"));
    assert_eq!(
        found(fault).await,
        VerifyOutcome::Operator("a step without a place".to_owned())
    );
    assert_eq!(
        found(refused()).await,
        VerifyOutcome::Invalid("it does not hold".to_owned())
    );
}

/// The proof of a slice, by its rightful prover.
fn proved(run: &Run, slice: SliceIndex) -> Vec<u8> {
    let (manifest, graph) = (&run.model.manifest, &run.model.graph);
    let prover = SliceProver::new(PROVING, manifest, graph, slice, &ProvingFiles::default()).unwrap();
    let inputs = run.values.boundary(slice).unwrap().0;
    let inputs: Vec<Vec<i64>> = inputs.into_iter().map(<[i64]>::to_vec).collect();
    let statement = run.statement(slice, CLAIM, MINER);
    prover.prove(&statement, &inputs, OsRng).unwrap().0
}

#[tokio::test]
async fn whatever_is_no_proof_of_the_claim_is_the_miners() {
    let artifacts = Artifacts::memory();
    let run = run_of(&artifacts, model_of(&artifacts, ProofSystem::SumcheckWhir).await).await;
    let proof = proved(&run, SLICE);
    let mut altered = proof.clone();
    *altered.last_mut().unwrap() ^= 1;
    for bytes in [&altered[..], &proof[..proof.len() - 1], b"no envelope", b""] {
        let found = run.verify(SLICE, CLAIM, MINER, bytes);
        assert!(matches!(found, VerifyOutcome::Invalid(_)), "{found:?}");
    }
    // Of another miner's claim.
    let found = run.verify(SLICE, CLAIM, Identity::new([9; 32]), &proof);
    assert!(matches!(found, VerifyOutcome::Invalid(_)), "{found:?}");
    assert_eq!(run.verify(SLICE, CLAIM, MINER, &proof), VerifyOutcome::Verified);
}

#[tokio::test]
async fn public_values_that_are_not_the_slices_are_no_provers_fault_in_any_proof_system() {
    for system in [ProofSystem::SumcheckWhir, ProofSystem::Halo2Kzg] {
        let artifacts = Artifacts::memory();
        let run = run_of(&artifacts, model_of(&artifacts, system).await).await;
        let verifier = run.model.verifier(SLICE).unwrap();
        let (inputs, outputs) = run.values.boundary(SLICE).unwrap();
        let statement = run.statement(SLICE, CLAIM, MINER);
        let none = verifier.envelope(vec![7; 100]).to_bytes();
        let verify = |envelope: &[u8], outputs: &[&[i64]]| {
            let found = verifier.verify(envelope, &statement, &inputs, outputs);
            found.unwrap_err().is_provers()
        };
        assert!(verify(&none, &outputs), "{system}: these bytes are no proof");
        // One proof system looks at the form of a proof before anything else.
        let formed = match system {
            ProofSystem::SumcheckWhir => proved(&run, SLICE),
            ProofSystem::Halo2Kzg => none,
        };
        let wide = vec![1_i64 << 40; outputs[0].len()];
        let wrong: [&[&[i64]]; 3] = [&[], &[&outputs[0][1..]], &[&wide]];
        for wrong in wrong {
            assert!(!verify(&formed, wrong), "{system}");
        }
    }
}

#[tokio::test]
async fn a_request_takes_no_more_than_its_account_says_and_gives_it_back() {
    let artifacts = Artifacts::memory();
    let model = model_of(&artifacts, ProofSystem::SumcheckWhir).await;
    let (needs, slices) = (Needs::of(&model), model.manifest.slices.len());
    assert_eq!(needs.inputs, 13);
    let rooms = Rooms::new(Budget::of(needs.beginning));
    let asker = Asker {
        uid: REQUEST,
        namespace: "n".to_owned(),
        benchmark: false,
    };
    let room = rooms.take(&asker, needs.beginning).unwrap();
    room.shrink(needs.kept);
    let run = run_of(&artifacts, model).await.in_room(room);
    assert_eq!(rooms.bytes(), needs.kept);
    assert!(matches!(run.finish(), Err(BuildError::Unproved(0))));
    for slice in (0..slices).map(|at| SliceIndex(at as u32)) {
        let proof = proved(&run, slice);
        assert_eq!(run.verify(slice, CLAIM, MINER, &proof), VerifyOutcome::Verified);
    }
    // The receipt as it is in memory, and its bytes.
    let receipt = run.finish().unwrap().len() as u64;
    assert!(
        2 * receipt <= needs.kept && needs.kept <= needs.beginning,
        "{receipt} {needs:?}"
    );
    assert!(
        needs.kept <= 8 * receipt + (48 << 10),
        "it is no wild guess: {receipt} {needs:?}"
    );
    drop(run);
    assert_eq!(rooms.bytes(), 0);
}
