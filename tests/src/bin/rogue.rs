//! A worker that breaks the protocol in one chosen way, for tests of the operator. It speaks to the gateway that its
//! environment names, as any prover of a third party does.
//!
//! `rogue die | stall | hand-back | garbage | empty | envelope | other-system | huge | swap | replay | vanish`
//!
//! In a pod, where the argument is always `work`, the way is the end of the program's name: `rogue-stall work`.

use std::process::ExitCode;
use std::time::Duration;

use reqwest::{Body, Client, StatusCode};
use zkinfer_crds::calls::{Call, work};
use zkinfer_crds::wire::{BlobRef, ClaimGrant, ClaimRequest, Refusal, RefuseReason};
use zkinfer_crds::{Digest, ParameterId, RequestUid};
use zkml::backend::ProvingFiles;
use zkml::canonical::{self, Integers};
use zkml::envelope::Envelope;
use zkml::graph::IntGraph;
use zkml::manifest::Manifest;
use zkml::proof::SliceProver;
use zkml::systems::{PROVING, SYSTEMS};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

struct Rogue {
    http: Client,
    gateway: String,
    request: Option<RequestUid>,
}

/// How to misbehave.
fn mode() -> String {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let argument = arguments.next().unwrap_or_default();
    match program.rsplit_once("rogue-") {
        Some((_, mode)) if argument == "work" => mode.to_owned(),
        _ => argument,
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mode = mode();
    match misbehave(&mode).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("rogue {mode}: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn misbehave(mode: &str) -> Fallible<()> {
    let rogue = Rogue {
        http: Client::new(),
        gateway: std::env::var("ZKINFER_GATEWAY")?,
        request: std::env::var("ZKINFER_REQUEST")
            .ok()
            .map(|uid| uid.parse())
            .transpose()?,
    };
    while let Some(grant) = rogue.claim().await? {
        match mode {
            // Killed while it proves.
            "die" => std::process::exit(137),
            // Never answers.
            "stall" => tokio::time::sleep(Duration::from_secs(3600)).await,
            "hand-back" => rogue.hand_back(&grant).await?,
            "garbage" => rogue.submit(&grant, vec![0x5a; 3000]).await?,
            "empty" => rogue.submit(&grant, Vec::new()).await?,
            // Well-formed, with a proof of noise.
            "envelope" => {
                let (parameters, noise) = (grant.parameter_id, vec![7; 1500]);
                let noise = Envelope::new(parameters.proof_system().into(), parameters.into(), noise);
                let noise = noise.to_bytes();
                rogue.submit(&grant, noise).await?;
            }
            // An honest proof that calls itself another proof system's.
            "other-system" => {
                let mut envelope = Envelope::from_bytes(&rogue.prove(&grant).await?)?;
                let other = match grant.parameter_id {
                    ParameterId::Halo2KzgBn254V1 => ParameterId::SumcheckWhirGoldilocksV1,
                    ParameterId::SumcheckWhirGoldilocksV1 => ParameterId::Halo2KzgBn254V1,
                };
                envelope.parameter_id = other.into();
                envelope.proof_system = other.proof_system().into();
                rogue.submit(&grant, envelope.to_bytes()).await?;
            }
            "huge" => rogue.huge(&grant).await?,
            "swap" => rogue.swap(&grant).await?,
            "replay" => rogue.replay(&grant).await?,
            // Breaks off in the middle of its proof, then is gone.
            "vanish" => rogue.break_off(&grant).await?,
            _ => return Err("no such way to misbehave".into()),
        }
    }
    Ok(())
}

/// The worker's token. In a pod it is renewed every few minutes.
fn token() -> Fallible<String> {
    if let Ok(file) = std::env::var("ZKINFER_TOKEN_FILE") {
        return Ok(std::fs::read_to_string(file)?.trim().to_owned());
    }
    Ok(std::env::var("ZKINFER_TOKEN")?)
}

impl Rogue {
    async fn claim(&self) -> Fallible<Option<ClaimGrant>> {
        let request = ClaimRequest {
            worker: "rogue".to_owned(),
            parameters: vec![
                ParameterId::SumcheckWhirGoldilocksV1,
                ParameterId::Halo2KzgBn254V1,
            ],
            memory_bytes: 8 << 30,
            request: self.request,
            wait_seconds: 10,
        };
        loop {
            let url = format!("{}{}", self.gateway, work::Claim::PATH);
            let answer = self
                .http
                .post(url)
                .bearer_auth(token()?)
                .json(&request)
                .send()
                .await?;
            match answer.status() {
                StatusCode::OK => return Ok(Some(answer.json().await?)),
                StatusCode::GONE => return Ok(None),
                StatusCode::NO_CONTENT => {}
                other => return Err(format!("claim: {other}").into()),
            }
        }
    }

    async fn put(&self, grant: &ClaimGrant, body: Body) -> Fallible<StatusCode> {
        let url = format!("{}{}", self.gateway, work::Submit::path(&grant.claim));
        Ok(self
            .http
            .put(url)
            .bearer_auth(&grant.token)
            .body(body)
            .send()
            .await?
            .status())
    }

    async fn hand_back(&self, grant: &ClaimGrant) -> Fallible<()> {
        let url = format!("{}{}", self.gateway, work::Refuse::path(&grant.claim));
        let refusal = Refusal {
            reason: RefuseReason::Draining,
            message: "no".to_owned(),
        };
        let call = self.http.post(url).bearer_auth(&grant.token);
        call.json(&refusal).send().await?.error_for_status()?;
        Ok(())
    }

    async fn submit(&self, grant: &ClaimGrant, envelope: Vec<u8>) -> Fallible<()> {
        self.put(grant, envelope.into()).await?;
        Ok(())
    }

    /// A gigabyte without a stated length, in pieces.
    async fn huge(&self, grant: &ClaimGrant) -> Fallible<()> {
        let pieces = futures::stream::iter((0..1024).map(|_| Ok::<_, std::io::Error>(vec![0u8; 1 << 20])));
        // The gateway stops reading; whether the answer or the broken pipe is seen first does not matter.
        let _ = self.put(grant, Body::wrap_stream(pieces)).await;
        Ok(())
    }

    async fn break_off(&self, grant: &ClaimGrant) -> Fallible<()> {
        let pieces = futures::stream::iter([Ok(vec![0u8; 1000]), Err(std::io::Error::other("gone"))]);
        let _ = self.put(grant, Body::wrap_stream(pieces)).await;
        std::process::exit(1)
    }

    /// Proves two slices honestly and submits each proof for the other.
    async fn swap(&self, first: &ClaimGrant) -> Fallible<()> {
        let Some(second) = self.claim().await? else {
            return Ok(());
        };
        let proof = self.prove(first).await?;
        let other = self.prove(&second).await?;
        self.submit(&second, proof).await?;
        self.submit(first, other).await
    }

    /// Submits a good proof of the same slice that was made for another claim.
    async fn replay(&self, grant: &ClaimGrant) -> Fallible<()> {
        let mut other = grant.clone();
        other.statement = Digest::of(b"another claim");
        let proof = self.prove(&other).await?;
        self.submit(grant, proof).await
    }

    async fn prove(&self, grant: &ClaimGrant) -> Fallible<Vec<u8>> {
        let mut files = ProvingFiles::default();
        for file in grant.files.iter() {
            files.insert(file.role, self.blob(&file.blob()).await?);
        }
        let manifest = Manifest::from_bytes(&self.blob(&grant.manifest).await?, SYSTEMS)?;
        let graph = IntGraph::from_bytes(&self.blob(&grant.graph).await?, 1 << 28)?;
        let inputs: Vec<Integers> = canonical::from_bytes(&self.blob(&grant.inputs).await?, 1 << 28)?;
        let inputs: Vec<Vec<i64>> = inputs.into_iter().map(|i| i.0).collect();
        let prover = SliceProver::new(PROVING, &manifest, &graph, grant.slice, &files)?;
        Ok(prover.prove(&grant.statement, &inputs, rand::rngs::OsRng)?.0)
    }

    async fn blob(&self, blob: &BlobRef) -> Fallible<Vec<u8>> {
        let url = format!("{}{}", self.gateway, work::Fetch::path(&blob.digest));
        Ok(self
            .http
            .get(url)
            .bearer_auth(token()?)
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await?
            .to_vec())
    }
}
