//! Slices given, waited for, handed back.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_given_only_what_it_can_prove() {
    let world = World::with(ProofSystem::SumcheckWhir, &[ALPHA]).await;
    let mut request = claim_request(0);
    request["parameters"] = json!(["halo2-kzg-bn254/v1"]);
    let call = world.call(Method::POST, "/v1/work/claims", &worker(ALPHA));
    assert_eq!(call.json(&request).send().await.unwrap().status(), 204);
    let grant = world.grant(ALPHA).await;
    assert_eq!(grant.parameter_id, ParameterId::SumcheckWhirGoldilocksV1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_handed_back_goes_to_another() {
    let world = World::new(&[ALPHA]).await;
    let drained = world.grant(ALPHA).await;
    let proof = world.prove(ALPHA, &drained).await;
    assert_eq!(world.refuse(&drained, "Draining").await.status(), 204);
    let again = world.refuse(&drained, "Draining").await;
    assert_eq!(problem(again).await, is(410, "ClaimOver"), "an attempt ends once");
    assert!(matches!(
        world.end_of(&drained).await,
        AttemptEnd::HandedBack(zkinfer_crds::wire::RefuseReason::Draining, message) if message == "bye"
    ));
    let next = world.grant(ALPHA).await;
    assert_eq!((next.slice, next.attempt), (drained.slice, 2));
    assert_ne!((next.claim, next.statement), (drained.claim, drained.statement));
    let late = world.submit(&drained, proof).await;
    assert_eq!(problem(late).await, is(410, "ClaimOver"));
    let proof = world.prove(ALPHA, &next).await;
    assert_eq!(world.submit(&next, proof).await.status(), 201);
    assert_eq!(world.end_of(&next).await, AttemptEnd::Verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_after_the_lease_is_refused() {
    let world = World::idle(Duration::from_secs(1), PATIENCE).await;
    world.add(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    assert_eq!(grant.lease_seconds, 1);
    let proof = world.prove(ALPHA, &grant).await;
    sleep(Duration::from_millis(1100)).await;
    let late = world.submit(&grant, proof.clone()).await;
    assert_eq!(problem(late).await, is(410, "ClaimOver"));
    assert_eq!(world.end_of(&grant).await, AttemptEnd::LeaseExpired);
    let late = world.submit(&grant, proof).await;
    assert_eq!(problem(late).await, is(410, "ClaimOver"));
    assert_eq!(world.grant(ALPHA).await.slice, grant.slice);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_is_not_handed_back_after_its_lease() {
    let world = World::idle(Duration::from_secs(1), PATIENCE).await;
    world.add(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    sleep(Duration::from_millis(1100)).await;
    let late = world.refuse(&grant, "Draining").await;
    assert_eq!(problem(late).await, is(410, "ClaimOver"));
    assert_eq!(world.end_of(&grant).await, AttemptEnd::LeaseExpired);
}

/// A claim that waits, and is seen to.
async fn waiting(world: &Arc<World>) -> tokio::task::JoinHandle<Response> {
    let waiter = Arc::clone(world);
    let waiting = tokio::spawn(async move { waiter.claim(&worker(ALPHA), 15).await });
    sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    waiting
}

/// Much less than the worker would wait.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_worker_gets_work_as_soon_as_it_comes() {
    let world = Arc::new(World::idle(LONG_LEASE, PATIENCE).await);
    files();
    let first = waiting(&world).await;
    world.add(&[ALPHA]).await;
    let response = timeout(SOON, first).await.expect("work has come").unwrap();
    assert_eq!(response.status(), 200);
    // What another hands back is work that comes, too.
    let held: ClaimGrant = response.json().await.unwrap();
    for _ in 1..files().report.slices.len() {
        world.grant(ALPHA).await;
    }
    let second = waiting(&world).await;
    assert_eq!(world.refuse(&held, "Draining").await.status(), 204);
    let response = timeout(SOON, second).await.expect("work has come").unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.json::<ClaimGrant>().await.unwrap().slice, held.slice);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_waits_no_longer_than_it_said() {
    let world = World::idle(LONG_LEASE, PATIENCE).await;
    let begun = Instant::now();
    assert_eq!(world.claim(&worker(ALPHA), 1).await.status(), 204);
    assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < SOON);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_worker_is_told_when_it_is_over() {
    let world = Arc::new(World::idle(LONG_LEASE, PATIENCE).await);
    let waiting = waiting(&world).await;
    let of_a_request = |uid: RequestUid| {
        let mut request = claim_request(15);
        request["request"] = json!(uid);
        let call = world.call(Method::POST, "/v1/work/claims", &worker(ALPHA));
        call.json(&request).send()
    };
    let gone = timeout(SOON, of_a_request(REQUEST)).await.unwrap().unwrap();
    assert_eq!(
        problem(gone).await,
        is(410, "Over"),
        "a request that is not there is over"
    );
    world.dispatcher.close();
    let response = timeout(SOON, waiting).await.expect("it is over").unwrap();
    assert_eq!(problem(response).await, is(410, "Over"));
    assert_eq!(
        problem(world.claim(&worker(ALPHA), 15).await).await,
        is(410, "Over")
    );
}
