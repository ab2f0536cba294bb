//! Proofs taken and judged.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_proof_is_verified() {
    all_slices_are_verified(ProofSystem::Halo2Kzg).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_proof_without_a_trusted_setup_is_verified() {
    all_slices_are_verified(ProofSystem::SumcheckWhir).await;
}

async fn all_slices_are_verified(system: ProofSystem) {
    let world = World::with(system, &[ALPHA]).await;
    let slices = files_of(system).report.slices.len();
    for left in (0..slices).rev() {
        let grant = world.grant(ALPHA).await;
        let of_prover = systems::of(system)
            .file_roles()
            .iter()
            .copied()
            .filter(|role| role.is_for_provers());
        assert!(grant.files.iter().map(|file| file.role).eq(of_prover));
        let proof = world.prove(ALPHA, &grant).await;
        assert!(proof.len() as u64 <= grant.max_bytes);
        assert_eq!(world.submit(&grant, proof.clone()).await.status(), 201);
        assert_eq!(world.submit(&grant, proof.clone()).await.status(), 200);
        let mut other = proof.clone();
        other[0] ^= 1;
        assert_eq!(
            problem(world.submit(&grant, other).await).await,
            is(409, "OtherProof")
        );
        let ended = world.ended().await;
        assert_eq!(ended.len(), 1);
        let attempt = &ended[0];
        assert_eq!(
            (attempt.claim, &attempt.end, &attempt.pool, attempt.bytes),
            (
                grant.claim,
                &AttemptEnd::Verified,
                &pool(ALPHA),
                Some(proof.len() as u64)
            )
        );
        assert_eq!(world.dispatcher.all_verified(REQUEST), left == 0);
        assert_eq!(world.submit(&grant, proof).await.status(), 200, "still the same");
    }
    world.nothing_ended().await;
    assert_eq!(world.claim(&worker(ALPHA), 0).await.status(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_proof_is_taken_and_judged_invalid() {
    let world = World::new(&[ALPHA]).await;
    let first = world.grant(ALPHA).await;
    let mut wrong = world.prove(ALPHA, &first).await;
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    assert_eq!(world.submit(&first, wrong).await.status(), 201);
    assert!(matches!(world.end_of(&first).await, AttemptEnd::Invalid(_)));
    let again = world.grant(ALPHA).await;
    assert_eq!((again.slice, again.attempt), (first.slice, 2));
    // A proof is for its claim alone, and garbage is none.
    let proof = world.prove(ALPHA, &first).await;
    assert_eq!(world.submit(&again, proof).await.status(), 201);
    assert!(matches!(world.end_of(&again).await, AttemptEnd::Invalid(_)));
    let third = world.grant(ALPHA).await;
    assert_eq!(world.submit(&third, "").await.status(), 201);
    assert!(matches!(world.end_of(&third).await, AttemptEnd::Invalid(_)));
    assert!(!world.dispatcher.all_verified(REQUEST));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_of_another_proof_system_is_judged_invalid_by_its_name() {
    for system in [ProofSystem::Halo2Kzg, ProofSystem::SumcheckWhir] {
        let world = World::with(system, &[ALPHA]).await;
        let grant = world.grant(ALPHA).await;
        let mut envelope = Envelope::from_bytes(&world.prove(ALPHA, &grant).await).unwrap();
        let other = match system {
            ProofSystem::Halo2Kzg => ParameterId::SumcheckWhirGoldilocksV1,
            ProofSystem::SumcheckWhir => ParameterId::Halo2KzgBn254V1,
        };
        envelope.parameter_id = other.into();
        envelope.proof_system = other.proof_system().into();
        assert_eq!(world.submit(&grant, envelope.to_bytes()).await.status(), 201);
        let end = world.end_of(&grant).await;
        let named = |why: &str| why.contains(other.as_str());
        assert!(
            matches!(&end, AttemptEnd::Invalid(why) if named(why)),
            "{system}: {end:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_proof_is_judged_whatever_the_worker_says_next() {
    for reason in ["Draining", "Fetch"] {
        // A pool that lies twice is paused.
        let world = World::new(&[ALPHA]).await;
        let grant = world.grant(ALPHA).await;
        let other = world.grant(ALPHA).await;
        let wrong = world.prove(ALPHA, &other).await;
        assert_eq!(world.submit(&grant, wrong).await.status(), 201);
        // No way to take back a lie.
        assert_eq!(
            problem(world.refuse(&grant, reason).await).await,
            is(410, "ClaimOver")
        );
        assert!(matches!(world.end_of(&grant).await, AttemptEnd::Invalid(_)));
        assert_eq!(world.refuse(&other, "Draining").await.status(), 204);
        let _ = world.end_of(&other).await;
    }
    let world = World::new(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let proof = world.prove(ALPHA, &grant).await;
    assert_eq!(world.submit(&grant, proof).await.status(), 201);
    let large = [0; MAX_ENVELOPE_BYTES as usize + 1];
    let large = stream::iter([Ok(Bytes::copy_from_slice(&large))]).chain(stream::pending());
    assert_eq!(
        problem(world.submit(&grant, body(large)).await).await,
        is(413, "TooLarge")
    );
    assert_eq!(world.end_of(&grant).await, AttemptEnd::Verified);
}
