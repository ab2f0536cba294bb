//! Behaviour of the gateway, over HTTP, with a real model and real proofs. Every wait is bounded.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Instant;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use rand::rngs::OsRng;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use zkinfer_crds::compile_report::{Accuracy, CompileReport, CompiledSlice};
use zkinfer_crds::k8s::inference_request::InlineTensor;
use zkinfer_crds::wire::{BlobRef, ClaimGrant, MAX_ENVELOPE_BYTES, Problem};
use zkinfer_crds::{ClaimId, Digest, Identity, RequestUid};
use zkml::canonical;
use zkml::compile::{CompileOptions, compile, plan};
use zkml::halo2::{SrsSet, SrsSource};
use zkml::manifest::Manifest;
use zkml::proof::SliceProver;
use zkml::slice::SlicingOptions;

use super::*;
use crate::artifacts::Artifacts;
use crate::dispatch::{Attempt, AttemptEnd, PoolId, TokenKey, WorkerAuth};
use crate::runs::{CompiledModel, Run};

const MODEL: &[u8] = include_bytes!("../../../tests/models/wine.onnx");
const REQUEST: RequestUid = RequestUid::new([7; 16]);
const ALPHA: &str = "alpha";
const BETA: &str = "beta";
/// Longer than any answer takes; what takes longer fails the test.
const PATIENCE: Duration = Duration::from_secs(20);
const LONG_LEASE: Duration = Duration::from_secs(600);

/// What a compiler leaves behind.
struct Files {
    report: CompileReport,
    blobs: Vec<Bytes>,
}

fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(compiled)
}

fn compiled() -> Files {
    let slicing = SlicingOptions {
        parallelism: 2,
        memory_per_worker: None,
    };
    let options = CompileOptions {
        profile: None,
        error_budget_millionths: 200_000,
        slicing,
    };
    let plan = plan(MODEL, None, options).unwrap();
    let sizes = plan.slices.iter().map(|s| s.parameters.k);
    let srs = SrsSet::new(&SrsSource::Development, sizes).unwrap();
    let compiled = compile(&plan, &srs, &|_| ()).unwrap();
    let mut blobs = Vec::new();
    let mut blob = |bytes: Vec<u8>| {
        let blob = BlobRef {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        blobs.push(Bytes::from(bytes));
        blob
    };
    let slice = |(s, keys): (&zkml::slice::SlicePlan, &zkml::compile::SliceKeys)| CompiledSlice {
        nodes: Vec::new(),
        k: s.parameters.k,
        rows: s.cost.rows as u64,
        verifying_key: blob(keys.vk.clone()),
        proving_key: blob(keys.pk.clone()),
        srs: blob(srs.of(s.parameters.k).unwrap().write()),
        // So little that the least lease holds.
        predicted_millis: 10,
        predicted_memory_bytes: s.cost.memory_bytes,
        predicted_proof_bytes: s.cost.proof_bytes,
    };
    let slices = plan.slices.iter().zip(&compiled.keys).map(slice).collect();
    let report = CompileReport {
        model: plan.model,
        manifest: blob(compiled.manifest.to_bytes()),
        graph: blob(compiled.graph),
        slices,
        accuracy: Accuracy {
            profile: String::new(),
            samples: 0,
            synthetic: true,
            max_error_millionths: 0,
            mean_error_millionths: 0,
            top1_agreement_millionths: 0,
            budget_millionths: 0,
            within_budget: true,
        },
    };
    Files { report, blobs }
}

/// A gateway that listens, and a client.
struct World {
    address: SocketAddr,
    artifacts: Artifacts,
    dispatcher: Arc<Dispatcher>,
    client: reqwest::Client,
}

fn pool(name: &str) -> PoolId {
    PoolId::new("default", name)
}

/// The token of a pool's worker.
fn worker(name: &str) -> String {
    format!("secret-of-{name}")
}

fn identity(name: &str) -> Identity {
    Identity::new([name.as_bytes()[0]; 32])
}

impl World {
    /// Without work.
    async fn idle(least_lease: Duration, body_time: Duration) -> Self {
        let artifacts = Artifacts::memory();
        let dispatcher = Dispatcher::new(artifacts.clone(), TokenKey::new([3; 32]), least_lease, 2);
        let auth = |name: &str| WorkerAuth {
            pool: pool(name),
            identity: identity(name),
        };
        let tokens = StaticTokens::new([ALPHA, BETA].map(|name| (worker(name), auth(name))));
        let gateway = Gateway::new(Arc::clone(&dispatcher), Arc::new(tokens)).with_body_time(body_time);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(gateway.serve(listener, std::future::pending()));
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        Self {
            address,
            artifacts,
            dispatcher,
            client: client.build().unwrap(),
        }
    }

    /// With a request for these pools.
    async fn new(pools: &[&str]) -> Self {
        let world = Self::idle(LONG_LEASE, PATIENCE).await;
        world.add(pools).await;
        world
    }

    async fn add(&self, pools: &[&str]) {
        for blob in &files().blobs {
            self.artifacts.put_blob(blob.clone()).await.unwrap();
        }
        let srs = SrsSource::Development.verifier();
        let model = CompiledModel::load(&self.artifacts, files().report.clone(), srs);
        let model = Arc::new(model.await.unwrap());
        let input = |id| {
            let info = model.manifest.tensor(id).unwrap();
            let shape: Vec<u32> = info.shape.clone();
            let data = vec![0.25; shape.iter().product::<u32>() as usize];
            (info.name.clone(), InlineTensor { shape, data })
        };
        let inputs = model.manifest.inputs.iter().copied().map(input).collect();
        let run = Run::prepare(REQUEST, "test", Arc::clone(&model), &inputs, &[], &self.artifacts);
        let pools = pools.iter().map(|name| pool(name)).collect();
        self.dispatcher.add(Arc::new(run.await.unwrap()), 0, 1, pools);
    }

    fn call(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method, url).bearer_auth(token)
    }

    async fn claim(&self, token: &str, wait_seconds: u32) -> Response {
        let call = self.call(Method::POST, "/v1/work/claims", token);
        call.json(&claim_request(wait_seconds)).send().await.unwrap()
    }

    /// A claim that is granted.
    async fn grant(&self, name: &str) -> ClaimGrant {
        let response = self.claim(&worker(name), 0).await;
        assert_eq!(response.status(), 200, "{name}");
        response.json().await.unwrap()
    }

    async fn blob(&self, token: &str, digest: impl std::fmt::Display) -> Response {
        let call = self.call(Method::GET, &format!("/v1/work/blobs/{digest}"), token);
        call.send().await.unwrap()
    }

    async fn submit(&self, grant: &ClaimGrant, body: impl Into<reqwest::Body>) -> Response {
        let call = self.call(Method::PUT, &proof_path(grant.claim), &grant.token);
        call.body(body).send().await.unwrap()
    }

    async fn refuse(&self, grant: &ClaimGrant, reason: &str) -> Response {
        let path = format!("/v1/work/claims/{}/refuse", grant.claim);
        let refusal = json!({ "reason": reason, "message": "bye" });
        let call = self.call(Method::POST, &path, &grant.token);
        call.json(&refusal).send().await.unwrap()
    }

    /// Proves with nothing but what the gateway gives.
    async fn prove(&self, name: &str, grant: &ClaimGrant) -> Vec<u8> {
        let fetch = async |blob: &BlobRef| {
            let response = self.blob(&worker(name), blob.digest).await;
            assert_eq!(response.status(), 200);
            response.bytes().await.unwrap()
        };
        let manifest = Manifest::from_bytes(&fetch(&grant.manifest).await).unwrap();
        let graph = canonical::from_bytes(&fetch(&grant.graph).await, 1 << 20).unwrap();
        let inputs: Vec<Vec<i64>> = canonical::from_bytes(&fetch(&grant.inputs).await, 1 << 20).unwrap();
        let pk = fetch(grant.proving_key.as_ref().unwrap()).await;
        let srs = fetch(grant.srs.as_ref().unwrap()).await;
        let (slice, statement) = (grant.slice, grant.statement);
        let prove = move || {
            let prover = SliceProver::new(&manifest, &graph, slice, &pk, &srs).unwrap();
            prover.prove(&statement, &inputs, OsRng).unwrap().0
        };
        tokio::task::spawn_blocking(prove).await.unwrap()
    }

    /// Waits for the next ended attempts.
    async fn ended(&self) -> Vec<Attempt> {
        let wait = async {
            loop {
                let ended = self.dispatcher.take_ended();
                if !ended.is_empty() {
                    return ended;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("nothing has ended")
    }

    /// How the one attempt that has ended did so.
    async fn end_of(&self, grant: &ClaimGrant) -> AttemptEnd {
        let mut ended = self.ended().await;
        assert_eq!((ended.len(), ended[0].claim), (1, grant.claim), "{ended:?}");
        ended.remove(0).end
    }

    /// Nothing has ended, and nothing is about to.
    async fn nothing_ended(&self) {
        sleep(Duration::from_millis(100)).await;
        assert_eq!(self.dispatcher.take_ended(), []);
    }
}

fn proof_path(claim: ClaimId) -> String {
    format!("/v1/work/claims/{claim}/proof")
}

fn claim_request(wait_seconds: u32) -> Value {
    json!({
        "worker": "w-0",
        "parameters": ["halo2-kzg-bn254/v1"],
        "memoryBytes": 8u64 << 30,
        "waitSeconds": wait_seconds,
    })
}

/// Status and stable word of an answer that is an error.
async fn problem(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    match serde_json::from_str::<Problem>(&text) {
        Ok(problem) => {
            assert!(!problem.message.is_empty());
            (status, problem.reason)
        }
        Err(_) => panic!("{status} carries no problem, but {text:?}"),
    }
}

fn is(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

type Chunks = std::io::Result<Bytes>;

fn body(chunks: impl Stream<Item = Chunks> + Send + 'static) -> reqwest::Body {
    reqwest::Body::wrap_stream(chunks)
}

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
    let other = report.slices.iter().find(|s| s.proving_key != *key).unwrap();
    let never = other.proving_key.digest;
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
    let world = World::new(&[ALPHA]).await;
    let slices = files().report.slices.len();
    for left in (0..slices).rev() {
        let grant = world.grant(ALPHA).await;
        let proof = world.prove(ALPHA, &grant).await;
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
