//! What comes with an answer: inputs with a grant, and the next grant with the answer to a proof.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_carries_small_inputs_for_who_says_that_it_reads_them_and_for_nobody_else() {
    let world = World::new(&[ALPHA]).await;
    let call = |path: &str| {
        let call = world.call(Method::POST, path, &worker(ALPHA));
        call.json(&claim_request(0)).send()
    };
    let with = call("/v1/work/claims?inline=true").await.unwrap();
    let with: ClaimGrant = with.json().await.unwrap();
    let fetched = world.blob(&worker(ALPHA), with.inputs.digest).await;
    let fetched = fetched.bytes().await.unwrap();
    assert_eq!(with.inputs_bytes.as_deref(), Some(&*fetched));
    assert_eq!(Digest::of(&fetched), with.inputs.digest);
    // Not a field more than before.
    let without: Value = call("/v1/work/claims?inline=false")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (
            without.get("inputsBytes"),
            without["inputs"]["size"].as_u64() > Some(0)
        ),
        (None, true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_proof_carries_the_next_grant_for_who_asks_for_it() {
    let world = World::with(ProofSystem::SumcheckWhir, &[ALPHA]).await;
    let slices = files_of(ProofSystem::SumcheckWhir).report.slices.len();
    let alpha = worker(ALPHA);
    let mut grant = world.grant(ALPHA).await;
    for left in (0..slices).rev() {
        let proof = world.prove(ALPHA, &grant).await;
        let begun = Instant::now();
        // It would wait for 15 s, and is not waited with.
        let answer = world
            .submit_and_ask(&grant, proof, (&alpha, &claim_request(15)))
            .await;
        assert_eq!(answer.status(), 201);
        let body = answer.bytes().await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(world.end_of(&grant).await, AttemptEnd::Verified);
        if left == 0 {
            assert!(body.is_empty(), "nothing is left");
        } else {
            let next: ClaimGrant = serde_json::from_slice(&body).unwrap();
            assert_eq!((next.attempt, next.identity), (1, identity(ALPHA)));
            assert_ne!((next.slice, next.claim), (grant.slice, grant.claim));
            grant = next;
        }
    }
    assert!(world.dispatcher.all_verified(REQUEST));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_without_the_question_is_answered_as_ever() {
    let world = World::with(ProofSystem::SumcheckWhir, &[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let proof = world.prove(ALPHA, &grant).await;
    let answer = world.submit(&grant, proof).await;
    assert_eq!(answer.status(), 201);
    assert!(answer.bytes().await.unwrap().is_empty());
    let next = world.grant(ALPHA).await;
    assert_ne!(next.slice, grant.slice, "it is there for who asks");
}

/// The proof counts, and the answer has no grant.
async fn taken_without_more(world: &World, grant: &ClaimGrant, asked: (&str, &Value)) {
    let proof = world.prove(ALPHA, grant).await;
    let answer = world.submit_and_ask(grant, proof, asked).await;
    assert_eq!(answer.status(), 201);
    assert!(answer.bytes().await.unwrap().is_empty());
    assert_eq!(world.end_of(grant).await, AttemptEnd::Verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_grant_is_for_a_known_worker_that_may_have_it() {
    // The claim's token opens no other slice, nor does one that is of nobody, or of a pool without a part in it.
    let (whir, any) = (ProofSystem::SumcheckWhir, claim_request(0));
    let world = World::with(whir, &[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    taken_without_more(&world, &grant, (&grant.token, &any)).await;
    let world = World::with(whir, &[ALPHA]).await;
    taken_without_more(&world, &world.grant(ALPHA).await, (&worker("gamma"), &any)).await;
    let world = World::with(whir, &[ALPHA]).await;
    taken_without_more(&world, &world.grant(ALPHA).await, (&worker(BETA), &any)).await;
    // What it can prove is looked at as ever.
    for (key, value) in [
        ("memoryBytes", json!(1)),
        ("parameters", json!(["halo2-kzg-bn254/v1"])),
    ] {
        let world = World::with(whir, &[ALPHA]).await;
        let mut little = claim_request(0);
        little[key] = value;
        taken_without_more(&world, &world.grant(ALPHA).await, (&worker(ALPHA), &little)).await;
    }
    let left = World::with(whir, &[ALPHA]).await;
    let grant = left.grant(ALPHA).await;
    let drained = PoolFacts {
        identity: identity(ALPHA),
        claims: 8,
        score_millionths: 0,
        drained: true,
    };
    left.dispatcher.know(&pool(ALPHA), drained);
    taken_without_more(&left, &grant, (&worker(ALPHA), &any)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_proof_brings_no_grant_and_a_bad_question_burns_nothing() {
    let world = World::new(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let alpha = worker(ALPHA);
    let proof = world.prove(ALPHA, &grant).await;
    let bad = json!({ "vorker": 1 });
    let answer = world.submit_and_ask(&grant, proof.clone(), (&alpha, &bad)).await;
    assert_eq!(problem(answer).await, is(400, "InvalidBody"));
    world.nothing_ended().await;
    assert_eq!(world.submit(&grant, proof).await.status(), 201);
    assert_eq!(world.end_of(&grant).await, AttemptEnd::Verified);
    let other = world
        .submit_and_ask(&grant, "other", (&alpha, &claim_request(0)))
        .await;
    assert_eq!(problem(other).await, is(409, "OtherProof"));
    world.nothing_ended().await;
    assert_eq!(
        world.grant(ALPHA).await.attempt,
        1,
        "nothing was given with that answer"
    );
}
