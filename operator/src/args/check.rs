//! The arguments of `operator check`.

use std::time::Duration;

use clap::Args as ClapArgs;
use zkinfer_operator::client::{CheckOptions, Cluster, PoolName};

/// What is to be checked.
#[derive(Debug, ClapArgs)]
pub(crate) struct CheckArgs {
    /// Where the operator's probes are answered: it must be ready.
    #[arg(long, value_name = "URL", required_unless_present_any = ["gateway", "pool"])]
    health: Option<String>,
    /// The gateway: it must answer from here.
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// A MinerPool that must be ready. May be given several times, or separated by commas.
    #[arg(long, value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    pool: Vec<PoolName>,
    /// How long to wait for all of it, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3600))]
    seconds: u64,
    /// The kubeconfig's context; without: the current one, or the pod's own account.
    #[arg(long)]
    context: Option<String>,
}

impl From<CheckArgs> for CheckOptions {
    fn from(args: CheckArgs) -> Self {
        let CheckArgs {
            health,
            gateway,
            pool,
            seconds,
            context,
        } = args;
        Self {
            gateway,
            health,
            pools: pool,
            patience: Duration::from_secs(seconds),
            cluster: Cluster {
                context,
                namespace: None,
            },
        }
    }
}
