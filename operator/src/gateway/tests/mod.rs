//! Behaviour of the gateway, over HTTP, with a real model and real proofs.

mod leaving;
mod world;

use std::time::Instant;

use bytes::Bytes;
use futures::{StreamExt, stream};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use zkinfer_crds::wire::{ClaimGrant, MAX_ENVELOPE_BYTES};
use zkinfer_crds::{Digest, ParameterId, ProofSystem, RequestUid};
use zkml::envelope::Envelope;

use self::world::*;
use super::*;
use crate::dispatch::AttemptEnd;

#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_worker_whose_token_is_not_known() {
    let world = World::new(&[ALPHA]).await;
    let granted = world.grant(ALPHA).await.manifest.digest;
    for token in ["", "secret", &worker("gamma"), &worker(ALPHA).to_uppercase()] {
        let refused = is(401, "UnknownToken");
        assert_eq!(problem(world.claim(token, 0).await).await, refused, "{token:?}");
        assert_eq!(
            problem(world.blob(token, granted).await).await,
            refused,
            "{token:?}"
        );
    }
    let url = format!("http://{}/v1/work/claims", world.address);
    let without = world.client.post(url).json(&claim_request(0)).send();
    assert_eq!(problem(without.await.unwrap()).await, is(401, "UnknownToken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn gives_a_slice_to_a_pool_of_the_request_and_nothing_to_another() {
    let world = World::new(&[ALPHA]).await;
    let response = world.claim(&worker(BETA), 0).await;
    assert_eq!(response.status(), 204);
    assert!(response.bytes().await.unwrap().is_empty());
    let first = world.grant(ALPHA).await;
    assert_eq!(
        (first.request, first.identity, first.attempt),
        (REQUEST, identity(ALPHA), 1)
    );
    let second = world.grant(ALPHA).await;
    assert_ne!((first.slice, first.claim), (second.slice, second.claim));
    assert_ne!(first.statement, second.statement);
    assert_eq!(
        world.claim(&worker(ALPHA), 0).await.status(),
        204,
        "every slice is claimed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_read_only_by_a_pool_that_it_was_granted_to() {
    let world = World::new(&[ALPHA]).await;
    let report = &files().report;
    let (alpha, beta) = (worker(ALPHA), worker(BETA));
    let absent = is(404, "NotFound");
    assert_eq!(
        problem(world.blob(&alpha, report.graph.digest).await).await,
        absent
    );
    let grant = world.grant(ALPHA).await;
    let key = grant.proving_key.as_ref().unwrap();
    let points = grant.srs.as_ref().unwrap();
    for blob in [&grant.manifest, &grant.graph, &grant.inputs, key, points] {
        assert_eq!(problem(world.blob(&beta, blob.digest).await).await, absent);
        let response = world.blob(&alpha, blob.digest).await;
        assert_eq!(response.status(), 200);
        let bytes = response.bytes().await.unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (blob.digest, blob.size));
    }
    let mut keys = report
        .slices
        .iter()
        .flat_map(|s| &s.halo2)
        .map(|h| &h.proving_key);
    let never = keys.find(|k| *k != key).unwrap().digest;
    assert_eq!(
        problem(world.blob(&alpha, never).await).await,
        absent,
        "of a slice that was not granted"
    );
    let nowhere = Digest::of(b"nowhere");
    assert_eq!(problem(world.blob(&alpha, nowhere).await).await, absent);
    assert_eq!(problem(world.blob(&alpha, "no-digest").await).await, absent);
}

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
        let keys = system == ProofSystem::Halo2Kzg;
        assert_eq!((grant.proving_key.is_some(), grant.srs.is_some()), (keys, keys));
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
        envelope.parameter_id = match system {
            ProofSystem::Halo2Kzg => ParameterId::SumcheckWhirGoldilocksV1,
            ProofSystem::SumcheckWhir => ParameterId::Halo2KzgBn254V1,
        };
        envelope.proof_system = envelope.parameter_id.proof_system();
        assert_eq!(world.submit(&grant, envelope.to_bytes()).await.status(), 201);
        let end = world.end_of(&grant).await;
        let named = |why: &str| why.contains(envelope.parameter_id.as_str());
        assert!(
            matches!(&end, AttemptEnd::Invalid(why) if named(why)),
            "{system}: {end:?}"
        );
    }
}

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
async fn a_submitted_proof_is_judged_whatever_the_worker_says_next() {
    let world = World::new(&[ALPHA]).await;
    for reason in ["Draining", "Fetch"] {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_body_above_the_cap_is_cut_off() {
    let world = World::new(&[ALPHA]).await;
    let cap = MAX_ENVELOPE_BYTES;
    // A length that is stated is enough: not one byte is waited for.
    let stated = world.grant(ALPHA).await;
    assert_eq!(stated.max_bytes, cap);
    let call = world.call(Method::PUT, &proof_path(stated.claim), &stated.token);
    let call = call.header("content-length", cap + 1);
    let response = call.body(body(stream::pending())).send().await.unwrap();
    assert_eq!(problem(response).await, is(413, "TooLarge"));
    assert_eq!(world.end_of(&stated).await, AttemptEnd::TooLarge);
    // Without one, the stream is cut off as it passes the cap, though it would go on.
    let chunked = world.grant(ALPHA).await;
    let chunk = Bytes::from(vec![0; cap as usize / 8]);
    let full = stream::repeat(chunk).take(8).map(Ok);
    let more = stream::iter([Ok(Bytes::from_static(b"x"))]).chain(stream::pending());
    let response = world.submit(&chunked, body(full.chain(more))).await;
    assert_eq!(problem(response).await, is(413, "TooLarge"));
    assert_eq!(world.end_of(&chunked).await, AttemptEnd::TooLarge);
    // At the cap it is read, and judged.
    let whole = world.grant(ALPHA).await;
    assert_eq!(world.submit(&whole, vec![0; cap as usize]).await.status(), 201);
    assert!(matches!(world.end_of(&whole).await, AttemptEnd::Invalid(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_given_up() {
    let world = World::idle(LONG_LEASE, Duration::from_secs(1)).await;
    world.add(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let proof = world.prove(ALPHA, &grant).await;
    // It never pauses for long, but as a whole it would take minutes.
    let drops = stream::unfold(0u8, |n| async move {
        sleep(Duration::from_millis(100)).await;
        Some((Ok(Bytes::from(vec![n])), n.wrapping_add(1)))
    });
    let begun = Instant::now();
    let response = world.submit(&grant, body(drops)).await;
    assert_eq!(problem(response).await, is(408, "TooSlow"));
    assert!(
        begun.elapsed() >= Duration::from_millis(900) && begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    world.nothing_ended().await;
    assert_eq!(world.submit(&grant, proof).await.status(), 201);
    assert_eq!(world.end_of(&grant).await, AttemptEnd::Verified);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_body_burns_nothing() {
    let world = World::new(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let proof = world.prove(ALPHA, &grant).await;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        proof_path(grant.claim),
        grant.token,
        proof.len()
    );
    // Cut off as a whole, then only its sending side, so that the gateway is heard to have noticed.
    let mut dropped = TcpStream::connect(world.address).await.unwrap();
    dropped.write_all(head.as_bytes()).await.unwrap();
    dropped.write_all(&proof[..proof.len() / 2]).await.unwrap();
    drop(dropped);
    let mut half = TcpStream::connect(world.address).await.unwrap();
    half.write_all(head.as_bytes()).await.unwrap();
    half.write_all(&proof[..proof.len() / 2]).await.unwrap();
    half.shutdown().await.unwrap();
    let mut heard = String::new();
    let read = timeout(PATIENCE, half.read_to_string(&mut heard)).await;
    assert!(read.expect("the gateway hangs up").is_ok());
    assert!(
        heard.starts_with("HTTP/1.1 400 ") && heard.contains("BrokenOff"),
        "{heard:?}"
    );
    world.nothing_ended().await;
    assert_eq!(world.submit(&grant, proof).await.status(), 201);
    assert_eq!(world.end_of(&grant).await, AttemptEnd::Verified);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_claims_token_is_good_for_its_claim_only() {
    let world = World::new(&[ALPHA]).await;
    let (mine, other) = (world.grant(ALPHA).await, world.grant(ALPHA).await);
    let mixed = ClaimGrant {
        token: mine.token.clone(),
        ..other.clone()
    };
    assert_eq!(
        problem(world.submit(&mixed, "proof").await).await,
        is(401, "OtherClaim")
    );
    assert_eq!(
        problem(world.refuse(&mixed, "Draining").await).await,
        is(401, "OtherClaim")
    );
    let no_claim = world.call(Method::PUT, "/v1/work/claims/x/proof", &mine.token);
    assert_eq!(
        problem(no_claim.send().await.unwrap()).await,
        is(401, "OtherClaim")
    );
    // Neither kind of token stands in for the other, and a changed one is none.
    let changed = format!("{}x", mine.token);
    for token in [worker(ALPHA), changed] {
        let with = ClaimGrant {
            token,
            ..mine.clone()
        };
        assert_eq!(
            problem(world.submit(&with, "proof").await).await,
            is(401, "UnknownToken")
        );
        assert_eq!(
            problem(world.refuse(&with, "Draining").await).await,
            is(401, "UnknownToken")
        );
    }
    assert_eq!(
        problem(world.claim(&mine.token, 0).await).await,
        is(401, "UnknownToken")
    );
    let blob = world.blob(&mine.token, mine.graph.digest).await;
    assert_eq!(problem(blob).await, is(401, "UnknownToken"));
    world.nothing_ended().await;
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

#[tokio::test(flavor = "multi_thread")]
async fn names_what_is_wrong_with_a_call() {
    let world = World::new(&[ALPHA]).await;
    let grant = world.grant(ALPHA).await;
    let alpha = worker(ALPHA);
    let refuse = format!("/v1/work/claims/{}/refuse", grant.claim);
    let said = async |method: Method, path: &str, token: &str, body: String| {
        let call = world.call(method, path, token).body(body);
        problem(call.send().await.unwrap()).await
    };
    let claims = "/v1/work/claims";
    for path in [
        "/",
        "/v1",
        "/v2/work/claims",
        "/v1/work/claims/",
        "/v1/work/blobs",
    ] {
        assert_eq!(
            said(Method::GET, path, &alpha, String::new()).await,
            is(404, "UnknownPath"),
            "{path}"
        );
    }
    let blob = format!("/v1/work/blobs/{}", grant.graph.digest);
    for (method, path) in [
        (Method::GET, claims),
        (Method::DELETE, blob.as_str()),
        (Method::POST, &proof_path(grant.claim)),
        (Method::PUT, refuse.as_str()),
    ] {
        assert_eq!(
            said(method, path, &alpha, String::new()).await,
            is(405, "UnknownMethod"),
            "{path}"
        );
    }
    // A path that is no text is a path like another.
    let odd = |path: &str| path.replace("{}", "%ff%fe");
    assert_eq!(
        said(Method::GET, &odd("/v1/work/blobs/{}"), &alpha, String::new()).await,
        is(404, "NotFound")
    );
    assert_eq!(
        said(Method::GET, &odd("/v1/work/blobs/{}"), "who", String::new()).await,
        is(401, "UnknownToken")
    );
    for (method, path) in [
        (Method::PUT, "/v1/work/claims/{}/proof"),
        (Method::POST, "/v1/work/claims/{}/refuse"),
    ] {
        assert_eq!(
            said(method, &odd(path), &grant.token, String::new()).await,
            is(401, "OtherClaim")
        );
    }
    let changed = |key: &str, value: Value| {
        let mut request = claim_request(0);
        request[key] = value;
        request.to_string()
    };
    let invalid = is(400, "InvalidBody");
    for text in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        claim_request(0).to_string() + "x",
        changed("vorker", json!("w")),
        changed("memoryBytes", json!(-1)),
        changed("parameters", json!(["groth16"])),
        changed("request", json!("no uid")),
        changed("worker", json!("w".repeat(257))),
    ] {
        assert_eq!(
            said(Method::POST, claims, &alpha, text.clone()).await,
            invalid,
            "{text}"
        );
    }
    for refusal in [
        json!({ "reason": "Bored", "message": "" }),
        json!({ "reason": "Draining" }),
        json!({ "reason": "Draining", "message": "", "more": 1 }),
        json!({ "reason": "Draining", "message": "m".repeat(257) }),
    ] {
        let text = refusal.to_string();
        assert_eq!(
            said(Method::POST, &refuse, &grant.token, text).await,
            invalid,
            "{refusal}"
        );
    }
    let long = changed("worker", json!("w".repeat(MAX_JSON_BYTES)));
    assert_eq!(
        said(Method::POST, claims, &alpha, long).await,
        is(413, "TooLarge")
    );
    world.nothing_ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pools_right_to_read_ends_with_the_request() {
    let world = World::new(&[ALPHA]).await;
    let inputs = world.grant(ALPHA).await.inputs.digest;
    assert_eq!(world.blob(&worker(ALPHA), inputs).await.status(), 200);
    world.dispatcher.remove(REQUEST);
    assert_eq!(
        problem(world.blob(&worker(ALPHA), inputs).await).await,
        is(404, "NotFound")
    );
}
