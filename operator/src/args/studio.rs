//! `studio`'s arguments.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use zkinfer_operator::client::{Cluster, GatewayAccess, StudioOptions};

use super::parse::loopback;

#[derive(Debug, ClapArgs)]
pub(crate) struct StudioArgs {
    /// The kubeconfig's context; without: the current one.
    #[arg(long)]
    context: Option<String>,
    /// The namespace that is shown first; without: the context's.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Show all namespaces; you must be allowed to list the objects of all of them.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// The operator's namespace.
    #[arg(long, default_value = "zkinfer-system")]
    operator_namespace: String,
    /// The web app's address; without: through the API server's port-forward.
    #[arg(long, value_name = "URL")]
    web: Option<String>,
    /// Where to serve it: an address of this machine.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS", value_parser = loopback)]
    address: SocketAddr,
    /// A file with your token; without: the kubeconfig's, else one of the ServiceAccount zkinfer-client.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A ServiceAccount whose token is used instead of yours, as NAME in the namespace or NAMESPACE/NAME: you must be
    /// allowed to make tokens for it (create serviceaccounts/token).
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "token_file")]
    service_account: Option<String>,
}

impl From<StudioArgs> for StudioOptions {
    fn from(args: StudioArgs) -> Self {
        Self {
            cluster: Cluster {
                context: args.context,
                namespace: args.namespace,
            },
            all_namespaces: args.all_namespaces,
            access: GatewayAccess {
                operator_namespace: args.operator_namespace,
                address: args.web,
                token_file: args.token_file,
                service_account: args.service_account,
            },
            address: args.address,
        }
    }
}
