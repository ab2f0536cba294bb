//! A gateway with one request of a real model behind it, and a worker's calls. Every wait is bounded.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use rand::rngs::OsRng;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use zkinfer_crds::compile_report::{Accuracy, CompileReport, CompiledSlice};
use zkinfer_crds::k8s::ServedBy;
use zkinfer_crds::k8s::inference_request::InlineTensor;
use zkinfer_crds::slice_files::{FileRole, SliceFile, SliceFiles};
use zkinfer_crds::wire::{
    BlobRef, ClaimGrant, MAX_ENVELOPE_BYTES, NEXT_HEADER, Problem, WORKER_TOKEN_HEADER,
};
use zkinfer_crds::{ClaimId, Digest, Identity, Profile, ProofSystem, RequestUid};
use zkml::backend::{ProvingFiles, SliceKeys};
use zkml::canonical;
use zkml::manifest::Manifest;
use zkml::proof::SliceProver;
use zkml::setup::SrsSource;
use zkml::systems::{self, PROVING, SYSTEMS};
use zkml_compile::compile::{CompileOptions, compile, plan};
use zkml_compile::slice::{SlicePlan, SlicingOptions};

use super::super::*;
use crate::artifacts::Artifacts;
use crate::consent::{Lists, decide};
use crate::dispatch::{Attempt, AttemptEnd, Dispatcher, PoolFacts, PoolId, TokenKey, WorkerAuth};
use crate::runs::{CompiledModel, Run, Terms};

pub(super) const MODEL: &[u8] = include_bytes!("../../../../tests/models/wine.onnx");
pub(crate) const REQUEST: RequestUid = RequestUid::new([7; 16]);
pub(super) const ALPHA: &str = "alpha";
pub(super) const BETA: &str = "beta";
/// Of a namespace of its own, which the request's side lets in.
pub(super) const RIVAL: &str = "rival/own";
/// Longer than any answer takes; what takes longer fails the test.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const LONG_LEASE: Duration = Duration::from_secs(600);

/// What a compiler leaves behind.
pub(crate) struct Files {
    pub(crate) report: CompileReport,
    blobs: Vec<Bytes>,
}

/// Of the model with Halo2Kzg.
pub(super) fn files() -> &'static Files {
    files_of(ProofSystem::Halo2Kzg)
}

pub(crate) fn files_of(system: ProofSystem) -> &'static Files {
    static FILES: [OnceLock<Files>; 2] = [OnceLock::new(), OnceLock::new()];
    FILES[system as usize].get_or_init(|| compiled(system))
}

fn compiled(proof_system: ProofSystem) -> Files {
    let slicing = SlicingOptions::at_least(2);
    let options = CompileOptions {
        error_budget_millionths: 200_000,
        slicing,
        ..CompileOptions::new(proof_system)
    };
    let plan = plan(MODEL, None, &options).unwrap();
    let setup = plan.setup(Some(&SrsSource::Development)).unwrap();
    let compiled = compile(&plan, &setup, &|_| ()).unwrap();
    let mut blobs = Vec::new();
    let mut blob = |bytes: Vec<u8>| {
        let blob = BlobRef {
            digest: Digest::of(&bytes),
            size: bytes.len() as u64,
        };
        blobs.push(Bytes::from(bytes));
        blob
    };
    let slice = |(s, keys): (&SlicePlan, &SliceKeys)| CompiledSlice {
        nodes: Vec::new(),
        vk: keys.vk,
        files: SliceFiles::new(match &keys.files {
            Some(keys) => {
                let of_keys = keys.by_role().map(|(role, bytes)| (role, bytes.to_vec()));
                let points = (FileRole::Setup, setup.points(keys.k).unwrap().write());
                let all = of_keys.into_iter().chain([points]);
                all.map(|(role, bytes)| SliceFile::new(role, &blob(bytes)))
                    .collect()
            }
            None => Vec::new(),
        })
        .unwrap(),
        measures: s.cost.measures,
        // So little that the least lease holds.
        predicted_micros: 10_000,
        predicted_memory_bytes: s.cost.memory_bytes,
        predicted_proof_bytes: s.cost.proof_bytes,
    };
    let slices = plan.slices.iter().zip(&compiled.keys).map(slice).collect();
    let report = CompileReport {
        model: plan.model,
        batch: 1,
        manifest: blob(compiled.manifest.to_bytes()),
        graph: blob(compiled.graph),
        slices,
        accuracy: Accuracy {
            profile: Profile::P12,
            samples: 0,
            synthetic: true,
            max_error_millionths: 0,
            mean_error_millionths: 0,
            top1_agreement_millionths: 0,
            exact_agreement_millionths: 1_000_000,
            top_margin_millionths: None,
            sqnr_millibels: None,
            saturations: 0,
            widened: 0,
            tried: Vec::new(),
            nodes: Vec::new(),
            output_scale: Vec::new(),
            budget_millionths: 0,
            within_budget: true,
        },
        outlook: None,
        batches: Vec::new(),
    };
    Files { report, blobs }
}

/// The model with this proof system, as the operator holds it; its files are in the store.
pub(crate) async fn model_of(artifacts: &Artifacts, system: ProofSystem) -> CompiledModel {
    let files = files_of(system);
    for blob in &files.blobs {
        artifacts.put_blob(blob.clone()).await.unwrap();
    }
    let srs = systems::of(system)
        .needs_srs()
        .then(|| SrsSource::Development.verifier());
    let model = CompiledModel::load(artifacts, files.report.clone(), system, srs);
    model.await.unwrap()
}

/// A request of a model, evaluated.
pub(crate) async fn run_of(artifacts: &Artifacts, model: CompiledModel) -> Run {
    let input = |id| {
        let info = model.manifest.tensor(id).unwrap();
        let shape: Vec<u32> = info.shape.clone();
        let data = vec![0.25; shape.iter().product::<u32>() as usize];
        (info.name.clone(), InlineTensor { shape, data })
    };
    let inputs = model.manifest.inputs.iter().copied().map(input).collect();
    let (terms, model) = (Terms::new(10_000, 0.01, &[], true), Arc::new(model));
    let run = Run::prepare(REQUEST, "test", model, &inputs, &[], terms, artifacts);
    run.await.unwrap()
}

/// A gateway that listens, and a client.
pub(super) struct World {
    pub(super) address: SocketAddr,
    artifacts: Artifacts,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) client: reqwest::Client,
    pub(super) bodies: Bodies,
}

/// A pool of the namespace `default`, or of the one that is named.
pub(super) fn pool(name: &str) -> PoolId {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    PoolId::new(namespace, name)
}

/// The token of a pool's worker.
pub(super) fn worker(name: &str) -> String {
    format!("secret-of-{name}")
}

pub(super) fn identity(name: &str) -> Identity {
    Identity::new([name.as_bytes()[0]; 32])
}

impl World {
    /// Without work.
    pub(super) async fn idle(least_lease: Duration, body_time: Duration) -> Self {
        Self::on(Artifacts::memory(), least_lease, body_time).await
    }

    /// On a store of the test's choice; without work.
    pub(super) async fn on(artifacts: Artifacts, least_lease: Duration, body_time: Duration) -> Self {
        let dispatcher = Dispatcher::new(
            artifacts.clone(),
            TokenKey::new([3; 32]),
            (least_lease, Duration::from_secs(600)),
            2,
        );
        let auth = |name: &str| WorkerAuth {
            pool: pool(name),
            identity: identity(name),
        };
        let tokens = StaticTokens::new([ALPHA, BETA, RIVAL].map(|name| (worker(name), auth(name))));
        let gateway = Gateway::new(Arc::clone(&dispatcher), Arc::new(tokens)).with_body_time(body_time);
        let bodies = gateway.bodies.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(gateway.serve(listener, std::future::pending()));
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        Self {
            address,
            artifacts,
            dispatcher,
            client: client.build().unwrap(),
            bodies,
        }
    }

    /// With a request for these pools.
    pub(super) async fn new(pools: &[&str]) -> Self {
        let world = Self::idle(LONG_LEASE, PATIENCE).await;
        world.add(pools).await;
        world
    }

    /// With a request of a model with this proof system; no trusted setup is given where it has none.
    pub(super) async fn with(system: ProofSystem, pools: &[&str]) -> Self {
        let world = Self::idle(LONG_LEASE, PATIENCE).await;
        world.add_of(system, pools).await;
        world
    }

    pub(super) async fn add(&self, pools: &[&str]) {
        self.add_of(ProofSystem::Halo2Kzg, pools).await;
    }

    async fn add_of(&self, system: ProofSystem, pools: &[&str]) {
        let run = run_of(&self.artifacts, model_of(&self.artifacts, system).await).await;
        for name in pools {
            let facts = PoolFacts {
                identity: identity(name),
                claims: 8,
                score_millionths: 0,
                drained: false,
            };
            self.dispatcher.know(&pool(name), facts);
        }
        let pools = pools.iter().map(|name| pool(name)).collect();
        // The pools' own, and the rival's.
        let rival = ServedBy {
            namespace: "rival".to_owned(),
            identity: None,
        };
        self.consent("default", &[rival]);
        self.dispatcher.add(Arc::new(run), 0, 1, pools);
    }

    /// The request's Model is in this namespace and says this of who may serve it.
    pub(super) fn consent(&self, namespace: &str, served_by: &[ServedBy]) {
        let lists = Lists {
            own: None,
            installation: None,
        };
        let consent = decide(namespace, "wine", Some(served_by), &lists);
        self.dispatcher.consent(REQUEST, consent);
    }

    pub(super) fn call(&self, method: Method, path: &str, token: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.address);
        self.client.request(method, url).bearer_auth(token)
    }

    pub(super) async fn claim(&self, token: &str, wait_seconds: u32) -> Response {
        let call = self.call(Method::POST, "/v1/work/claims", token);
        call.json(&claim_request(wait_seconds)).send().await.unwrap()
    }

    /// A claim that is granted.
    pub(super) async fn grant(&self, name: &str) -> ClaimGrant {
        let response = self.claim(&worker(name), 0).await;
        assert_eq!(response.status(), 200, "{name}");
        response.json().await.unwrap()
    }

    pub(super) async fn blob(&self, token: &str, digest: impl std::fmt::Display) -> Response {
        let call = self.call(Method::GET, &format!("/v1/work/blobs/{digest}"), token);
        call.send().await.unwrap()
    }

    pub(super) async fn submit(&self, grant: &ClaimGrant, body: impl Into<reqwest::Body>) -> Response {
        let call = self.call(Method::PUT, &proof_path(grant.claim), &grant.token);
        call.body(body).send().await.unwrap()
    }

    /// Submits, and says that this worker takes another slice.
    pub(super) async fn submit_and_ask(
        &self,
        grant: &ClaimGrant,
        body: impl Into<reqwest::Body>,
        (token, next): (&str, &Value),
    ) -> Response {
        let call = self.call(Method::PUT, &proof_path(grant.claim), &grant.token);
        let call = call.header(NEXT_HEADER, next.to_string());
        let call = call.header(WORKER_TOKEN_HEADER, token).body(body);
        call.send().await.unwrap()
    }

    /// Begins to submit the largest proof, and sends nothing of it.
    pub(super) async fn stall(&self, grant: &ClaimGrant) -> TcpStream {
        let head = format!(
            "PUT {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\ncontent-length: {MAX_ENVELOPE_BYTES}\r\n\r\n",
            proof_path(grant.claim),
            grant.token,
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }

    pub(super) async fn refuse(&self, grant: &ClaimGrant, reason: &str) -> Response {
        let path = format!("/v1/work/claims/{}/refuse", grant.claim);
        let refusal = json!({ "reason": reason, "message": "bye" });
        let call = self.call(Method::POST, &path, &grant.token);
        call.json(&refusal).send().await.unwrap()
    }

    /// Proves with nothing but what the gateway gives.
    pub(super) async fn prove(&self, name: &str, grant: &ClaimGrant) -> Vec<u8> {
        let fetch = async |blob: &BlobRef| {
            let response = self.blob(&worker(name), blob.digest).await;
            assert_eq!(response.status(), 200);
            response.bytes().await.unwrap()
        };
        let manifest = Manifest::from_bytes(&fetch(&grant.manifest).await, SYSTEMS).unwrap();
        let graph = zkml::graph::IntGraph::from_bytes(&fetch(&grant.graph).await, 1 << 20).unwrap();
        let inputs: Vec<canonical::Integers> =
            canonical::from_bytes(&fetch(&grant.inputs).await, 1 << 20).unwrap();
        let inputs: Vec<Vec<i64>> = inputs.into_iter().map(|i| i.0).collect();
        let mut files = ProvingFiles::default();
        for file in grant.files.iter() {
            files.insert(file.role, fetch(&file.blob()).await.to_vec());
        }
        let (slice, statement) = (grant.slice, grant.statement);
        let prove = move || {
            let prover = SliceProver::new(PROVING, &manifest, &graph, slice, &files).unwrap();
            prover.prove(&statement, &inputs, OsRng).unwrap().0
        };
        tokio::task::spawn_blocking(prove).await.unwrap()
    }

    /// Waits for the next ended attempts.
    pub(super) async fn ended(&self) -> Vec<Attempt> {
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
    pub(super) async fn end_of(&self, grant: &ClaimGrant) -> AttemptEnd {
        let mut ended = self.ended().await;
        assert_eq!((ended.len(), ended[0].claim), (1, grant.claim), "{ended:?}");
        ended.remove(0).end
    }

    /// Nothing has ended, and nothing is about to.
    pub(super) async fn nothing_ended(&self) {
        sleep(Duration::from_millis(100)).await;
        assert_eq!(self.dispatcher.take_ended(), []);
    }
}

pub(super) fn proof_path(claim: ClaimId) -> String {
    format!("/v1/work/claims/{claim}/proof")
}

pub(super) fn claim_request(wait_seconds: u32) -> Value {
    json!({
        "worker": "w-0",
        "parameters": ["halo2-kzg-bn254/v1", "sumcheck-whir-goldilocks/v1"],
        "memoryBytes": 8u64 << 30,
        "waitSeconds": wait_seconds,
    })
}

/// Status and stable word of an answer that is an error.
pub(super) async fn problem(response: Response) -> (u16, String) {
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

pub(super) fn is(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

pub(super) type Chunks = std::io::Result<Bytes>;

pub(super) fn body(chunks: impl Stream<Item = Chunks> + Send + 'static) -> reqwest::Body {
    reqwest::Body::wrap_stream(chunks)
}
