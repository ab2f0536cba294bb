//! A client's verbs on a cluster: submit a request and follow it, fetch its receipt, look at it all in a browser; a miner's: prove an identity; whether
//! an installation works, and what it looks like to somebody who is asked for help.

mod check;
mod erase;
mod follow;
mod gateway;
mod identity;
mod receipt;
mod report;
mod studio;
mod submit;
mod upload;

use std::path::PathBuf;

use kube::config::KubeConfigOptions;
use kube::{Client, Config};

pub use check::{CheckOptions, Checked, PoolName, check};
pub use erase::{EraseOptions, erase};
pub use identity::{ProveOptions, new_identity, prove_identity, show_identity};
pub use receipt::{ReceiptOptions, receipt};
pub use report::{ReportOptions, Reported, report};
pub use studio::{StudioOptions, studio};
pub use submit::{ClusterSubmit, Submitted, submit};
pub use upload::{UploadOptions, upload};

use crate::local::SubmitError;
use crate::sources::FileError;

/// Why a client's verb failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No cluster.
    #[error("no cluster: {0} (`operator submit --local` needs none)")]
    Config(Box<dyn std::error::Error + Send + Sync>),
    /// The API server.
    #[error("the API server: {0}")]
    Api(Box<kube::Error>),
    /// The objects.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A path.
    #[error("{}: {source}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file to be given to the operator.
    #[error(transparent)]
    File(#[from] FileError),
    /// The gateway.
    #[error("the gateway: {0}")]
    Gateway(String),
    /// A request was made, and how it ends cannot be known here; in a sentence.
    #[error("{0}")]
    Unfollowed(String),
    /// Something that is not as it should be, in a sentence.
    #[error("{0}")]
    Other(String),
}

impl From<kube::Error> for ClientError {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// Which cluster, and where in it.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The kubeconfig's context; absent: the current one.
    pub context: Option<String>,
    /// The namespace; absent: the context's.
    pub namespace: Option<String>,
}

/// How to reach the gateway.
#[derive(Debug, Clone)]
pub struct GatewayAccess {
    /// The operator's namespace.
    pub operator_namespace: String,
    /// The gateway's address; absent: through the API server's port-forward.
    pub address: Option<String>,
    /// A file with the caller's token.
    pub token_file: Option<PathBuf>,
    /// A ServiceAccount whose token is asked for: its name in the caller's namespace, or `namespace/name`.
    pub service_account: Option<String>,
}

impl Cluster {
    async fn connect(&self) -> Result<(Config, Client, String), ClientError> {
        let failed = |e: Box<dyn std::error::Error + Send + Sync>| ClientError::Config(e);
        let config = match &self.context {
            None => Config::infer().await.map_err(|e| failed(Box::new(e)))?,
            Some(context) => {
                let options = KubeConfigOptions {
                    context: Some(context.clone()),
                    ..KubeConfigOptions::default()
                };
                Config::from_kubeconfig(&options)
                    .await
                    .map_err(|e| failed(Box::new(e)))?
            }
        };
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config.clone()).map_err(|e| failed(Box::new(e)))?;
        Ok((config, client, namespace))
    }
}
