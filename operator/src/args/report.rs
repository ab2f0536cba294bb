//! The arguments of `operator report`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use zkinfer_operator::client::{Cluster, ReportOptions};

/// What is to be reported.
#[derive(Debug, ClapArgs)]
pub(crate) struct ReportArgs {
    /// The file to write.
    #[arg(
        short,
        long = "out",
        value_name = "FILE",
        default_value = "zkinfer-report.tar.gz"
    )]
    pub(crate) out: PathBuf,
    /// The kubeconfig's context; without: the current one.
    #[arg(long)]
    context: Option<String>,
    /// The namespace whose objects are read; without: all of them.
    #[arg(short, long)]
    namespace: Option<String>,
    /// The operator's namespace.
    #[arg(long, value_name = "NAMESPACE", default_value = "zkinfer-system")]
    operator_namespace: String,
    /// Of each log, so many lines from its end.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    log_lines: u32,
}

impl From<ReportArgs> for ReportOptions {
    fn from(args: ReportArgs) -> Self {
        let ReportArgs {
            out,
            context,
            namespace,
            operator_namespace,
            log_lines,
        } = args;
        Self {
            out,
            cluster: Cluster { context, namespace },
            operator_namespace,
            log_lines,
        }
    }
}
