//! What the operator needs before it can begin, each with an error that says what to do.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::client::ClientBuilder;
use kube::{Client, Config};
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tower::util::MapRequestLayer;
use zkinfer_crds::wire::BlobRef;
use zkinfer_spans::SpansError;
use zkml::setup::{SrsSource, VerifierSrs};

use super::segments::{Keys, SegmentsError};
use super::viewers::Viewers;
use crate::artifacts::{ArtifactError, Artifacts};
use crate::dispatch::TokenKey;
use crate::in_force::Rules;
use crate::metrics::Metrics;
use crate::runs::Budget;
use crate::setup::{SetupError, SetupPolicy, srs_source};
use crate::specs::WorkerSettings;
use crate::web::{Hosts, Web};

const TOKENS: &str = "zkinfer-token-key";
const VALIDATOR: &str = "zkinfer-validator-key";
const SECRET_KEY: &str = "key";
const SECRET_NEXT: &str = "next";

/// How to run in a cluster.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// URL of the artifact store.
    pub artifacts: String,
    /// Where workers, compilers and clients are answered.
    pub gateway_address: String,
    /// Where probes and Prometheus are answered.
    pub health_address: String,
    /// Where people look; absent: nowhere.
    pub web_address: Option<String>,
    /// A collector of OpenTelemetry that the operator tells of its spans; absent: none.
    pub otlp_endpoint: Option<String>,
    /// An SRS file.
    pub srs: Option<PathBuf>,
    /// Use the development SRS, which is FORGEABLE BY ANYONE.
    pub allow_dev_srs: bool,
    /// The rest.
    pub settings: Settings,
}

/// How to run, wherever the objects are.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The operator's namespace.
    pub namespace: String,
    /// The namespaces to watch, beside the operator's own; none: all.
    pub namespaces: Vec<String>,
    /// For every worker's pod.
    pub workers: WorkerSettings,
    /// What is in force where there is no Validator.
    pub rules: Rules,
    /// The socket of `prover-worker reference`.
    pub reference_socket: PathBuf,
    /// How much memory compiled models may take.
    pub model_memory: Budget,
    /// How much memory requests at work may take.
    pub run_memory: Budget,
}

/// Why the operator does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No cluster.
    #[error("no cluster: {0} (in a pod its ServiceAccount is used, else $KUBECONFIG or ~/.kube/config)")]
    Config(Box<dyn std::error::Error + Send + Sync>),
    /// The API server.
    #[error("the API server: {0}")]
    Api(#[from] Box<kube::Error>),
    /// The trusted setup.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The artifact store.
    #[error(transparent)]
    Artifacts(#[from] ArtifactError),
    /// The store is another operator's.
    #[error(
        "the artifact store is that of the operator with --controller-class={0}, which would remove what is of others: each \
         operator needs a store, or a prefix of one, for itself"
    )]
    OthersStore(String),
    /// A Secret that is not the operator's.
    #[error("Secret {0}/{1} has no 32 bytes under `{SECRET_KEY}`; delete it and the operator makes another")]
    BadSecret(String, &'static str),
    /// A next key that is none.
    #[error(
        "Secret {0}/{1} has `{SECRET_NEXT}`, which is not 32 bytes: put the next key there, or remove it"
    )]
    BadNextKey(String, &'static str),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] SegmentsError),
    /// An address.
    #[error("cannot listen on {0}: {1}")]
    Listen(String, std::io::Error),
    /// The collector's address.
    #[error("--otlp-endpoint: {0}")]
    Spans(#[from] SpansError),
    /// Another operator may act from now on.
    #[error(
        "the Lease is somebody else's, or could not be renewed: this operator ends before another one acts"
    )]
    NotLeader,
    /// Signals.
    #[error("signals: {0}")]
    Signal(std::io::Error),
}

/// A client that counts what it writes.
pub(super) async fn client(metrics: &Arc<Metrics>) -> Result<Client, RunError> {
    let config = Config::infer().await.map_err(|e| RunError::Config(Box::new(e)))?;
    let builder = ClientBuilder::try_from(config).map_err(|e| RunError::Config(Box::new(e)))?;
    let metrics = Arc::clone(metrics);
    let count = MapRequestLayer::new(move |request: http::Request<_>| {
        metrics.called(request.method(), request.uri().path());
        request
    });
    Ok(builder.with_layer(&count).build())
}

pub(super) fn artifacts(options: &RunOptions) -> Result<Artifacts, RunError> {
    Ok(Artifacts::url(&options.artifacts)?)
}

/// The key of claim and compile tokens, made once per deployment.
pub(super) async fn token_key(client: &Client, namespace: &str) -> Result<TokenKey, RunError> {
    secret(client, namespace, TOKENS).await.map(TokenKey::new)
}

/// The key that the ledger is signed with, made once per deployment, and the one that shall sign it from now on, where a person has
/// put one beside it.
pub(super) async fn validator_keys(client: &Client, namespace: &str) -> Result<Keys, RunError> {
    let key = SigningKey::from_bytes(&secret(client, namespace, VALIDATOR).await?);
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = api.get(VALIDATOR).await.map_err(|e| RunError::Api(Box::new(e)))?;
    let next = secret.data.and_then(|mut data| data.remove(SECRET_NEXT));
    let next = next.map(|next| <[u8; 32]>::try_from(next.0)).transpose();
    let next = next.map_err(|_| RunError::BadNextKey(namespace.to_owned(), VALIDATOR))?;
    Ok(Keys {
        key,
        next: next.map(|bytes| SigningKey::from_bytes(&bytes)),
        past: None,
    })
}

/// 32 bytes that are kept in a Secret, made where there is none.
async fn secret(client: &Client, namespace: &str, name: &'static str) -> Result<[u8; 32], RunError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let failed = |e| RunError::Api(Box::new(e));
    let mut fresh = [0; 32];
    OsRng.fill_bytes(&mut fresh);
    let secret = match api.get_opt(name).await.map_err(failed)? {
        Some(secret) => secret,
        None => {
            let secret = Secret {
                metadata: ObjectMeta {
                    name: Some(name.to_owned()),
                    namespace: Some(namespace.to_owned()),
                    labels: Some(
                        [(
                            crate::specs::labels::MANAGED_BY.to_owned(),
                            crate::specs::labels::MANAGER.to_owned(),
                        )]
                        .into(),
                    ),
                    ..ObjectMeta::default()
                },
                data: Some([(SECRET_KEY.to_owned(), ByteString(fresh.to_vec()))].into()),
                ..Secret::default()
            };
            match api.create(&PostParams::default(), &secret).await {
                // Somebody else was first: theirs counts.
                Err(kube::Error::Api(status)) if status.code == 409 => api.get(name).await,
                made => made,
            }
            .map_err(failed)?
        }
    };
    let key = secret.data.and_then(|mut d| d.remove(SECRET_KEY));
    key.and_then(|k| k.0.try_into().ok())
        .ok_or_else(|| RunError::BadSecret(namespace.to_owned(), name))
}

/// The trusted setup in use, if any.
pub struct Setup {
    /// What is required of it.
    pub policy: Option<SetupPolicy>,
    /// Its verifier part.
    pub verifier: Option<VerifierSrs>,
    /// For compilers; absent: they make the development setup themselves.
    pub file: Option<BlobRef>,
}

/// Reads the trusted setup, and puts it where compilers find it.
///
/// # Errors
/// A file that is none, a store that fails.
pub async fn setup(
    srs: Option<&Path>,
    allow_dev_srs: bool,
    artifacts: &Artifacts,
) -> Result<Setup, RunError> {
    let source = srs_source(srs, allow_dev_srs)?;
    let file = match &source {
        Some(SrsSource::Points(srs)) => Some(artifacts.put_blob(srs.write()).await?),
        Some(SrsSource::Development) | None => None,
    };
    Ok(Setup {
        policy: source.as_ref().map(SetupPolicy::of),
        verifier: source.as_ref().map(SrsSource::verifier),
        file,
    })
}

/// Tells a collector of spans from now on, if there is one.
///
/// # Errors
/// What is no address of a collector.
pub fn tell_spans(endpoint: Option<&str>) -> Result<(), SpansError> {
    zkinfer_spans::start(endpoint, "zkinfer-operator", env!("CARGO_PKG_VERSION"))
}

/// Listens.
pub(super) async fn listen(address: &str) -> Result<TcpListener, RunError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|e| RunError::Listen(address.to_owned(), e))
}

/// The web app's server, where one is asked for. Behind a Service it does not know its names.
pub(super) async fn web(address: Option<&str>) -> Result<Option<Web>, RunError> {
    let Some(address) = address else { return Ok(None) };
    let config = Config::infer().await.map_err(|e| RunError::Config(Box::new(e)))?;
    Ok(Some(Web {
        listener: listen(address).await?,
        hosts: Hosts::Any,
        maker: Arc::new(Viewers::new(config)),
    }))
}

/// Tells when the operator shall stop.
pub type Stop = watch::Receiver<bool>;

/// Is told by SIGTERM or SIGINT.
///
/// # Errors
/// A system without signals.
pub fn stop_signal() -> Result<Stop, RunError> {
    let (sender, receiver) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signal)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to stop");
        let _ = sender.send(true);
        // Receivers would take a dropped sender for nothing.
        std::future::pending::<()>().await;
    });
    Ok(receiver)
}

/// Done when the operator shall stop.
pub async fn stopped(mut stop: Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}
