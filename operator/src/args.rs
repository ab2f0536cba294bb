//! The command line.

mod check;
mod parse;
mod report;
mod studio;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand};
use zkinfer_crds::ProofSystem;
use zkinfer_crds::dimensions::dimension;
use zkinfer_crds::k8s::{DEFAULT_CLASS, Memory, ServedBy};
use zkinfer_crds::wire::DEFAULT_ERROR_BUDGET_MILLIONTHS;
use zkinfer_operator::client::{Cluster, GatewayAccess};
use zkinfer_operator::cluster::{RunOptions, Settings};
use zkinfer_operator::in_force::Rules;
use zkinfer_operator::local::Format;
use zkinfer_operator::logging::LogFormat;
use zkinfer_operator::runs::{Budget, container_limit};
use zkinfer_operator::specs::{Class, WorkerSettings};
use zkml::accuracy::DEFAULT_MAX_ERROR_MILLIONTHS;

use self::check::CheckArgs;
use self::parse::{class, error, loopback, namespace_name, prover, served_by};
use self::report::ReportArgs;
use self::studio::StudioArgs;

/// Slices models, has miners prove the slices, verifies every proof, and answers with a receipt.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is of use only where this program does the work itself.
const LOCAL_ONLY: [&str; 10] = [
    "allow_dev_srs",
    "srs",
    "state",
    "worker",
    "prover",
    "least_lease",
    "max_error",
    "serve",
    "otlp_endpoint",
    "web",
];

impl Args {
    /// The command line; wrong use ends the program.
    pub(crate) fn read() -> Self {
        Self::of(Self::command().get_matches()).unwrap_or_else(|e| e.exit())
    }

    fn of(mut matches: ArgMatches) -> Result<Self, clap::Error> {
        if let Some(("submit", submit)) = matches.subcommand()
            && !submit.get_flag("local")
        {
            let stated = |id: &&&str| submit.value_source(id) == Some(ValueSource::CommandLine);
            if let Some(id) = LOCAL_ONLY.iter().find(stated) {
                let flag = id.replace('_', "-");
                let message =
                    format!("--{flag} is for `submit --local`: on a cluster the operator has its own");
                return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
            }
        }
        Self::from_arg_matches_mut(&mut matches)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run Models, InferenceRequests and MinerPools from YAML on this machine, without a cluster.
    ///
    /// Exit codes: 0 every request succeeded and every Model that none asks is ready, 1 one did not, 2 wrong use or an unreadable
    /// file.
    Local {
        /// A file or folder of YAML, as for kubectl apply. May be given several times. With --web it may be left out: two
        /// pools wait for what is made in the page.
        #[arg(
            short,
            long = "filename",
            required_unless_present_any = ["serve", "web"],
            value_name = "PATH"
        )]
        filename: Vec<PathBuf>,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Run in a cluster: reconcile Models, InferenceRequests and MinerPools, answer workers and clients.
    Run(RunArgs),
    /// Prove one answer of one model: on a cluster, or with --local on this machine.
    ///
    /// Exit codes: 0 it succeeded (without --wait: it was made), 1 it did not, 2 wrong use, an unreadable file or no
    /// cluster.
    Submit {
        /// The ONNX file, of at most 64 MiB; on a cluster also the name of a Model that is there.
        model: PathBuf,
        /// The input: .npy, or .json (nested lists); by input name .npz, or .json (an object of lists). Several inputs are answered
        /// with one receipt: give it several times, one input each, or a file whose first axis counts them.
        #[arg(long, required = true)]
        input: Vec<PathBuf>,
        /// On this machine, without a cluster.
        #[arg(long, conflicts_with_all = ["wait", "context", "namespace"])]
        local: bool,
        /// Wait for the end, telling each step.
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        cluster: ClusterArgs,
        /// Samples that calibrate the integers, in a file as of the input, whose first axis counts them; without: standard-normal
        /// inputs.
        #[arg(long)]
        calibration: Option<PathBuf>,
        /// A JSON list of the classes' names: of an output that scores them.
        #[arg(long, conflicts_with = "no_top1")]
        classes: Option<PathBuf>,
        /// What the slices are proved with: SumcheckWhir, or Halo2Kzg, which needs a trusted setup.
        #[arg(long, value_name = "SYSTEM", default_value_t = ProofSystem::SumcheckWhir)]
        proof_system: ProofSystem,
        /// Least number of slices.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
        parallelism: u32,
        /// Greatest error of any output against the float model, in millionths of its size or of --output-scale.
        #[arg(long, default_value_t = DEFAULT_ERROR_BUDGET_MILLIONTHS, value_name = "MILLIONTHS")]
        error_budget: u32,
        /// The outputs' natural magnitudes, one for each. Without: the greatest that the float model reaches on the samples.
        #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
        output_scale: Vec<f64>,
        /// Outputs of shape [1, n] are no scores of classes: their greatest value may be elsewhere.
        #[arg(long)]
        no_top1: bool,
        /// The size of a dimension that the file leaves free, by the file's name of it, or INPUT.AXIS where it has none. May be
        /// given several times. A first dimension that is not named is a batch of 1.
        #[arg(long, value_name = "NAME=SIZE", value_parser = dimension)]
        bind: Vec<(String, u32)>,
        /// How many inputs are answered at once: for each number a manifest is made, at most 4. Without: as many as --input is given.
        #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=64))]
        batch_sizes: Vec<u32>,
        /// A namespace whose pools may prove the model, which then see it and every input; with an identity, only this
        /// miner's. May be given several times. Without: pools of its own namespace, and who else the namespace's
        /// ConfigMap zkinfer-consent names, or else the Validator's consent.
        #[arg(long, value_name = "NAMESPACE[=IDENTITY]", value_parser = served_by, conflicts_with = "local")]
        served_by: Vec<ServedBy>,
        /// Which installation of the cluster proves it, by its --controller-class. Of a Model that is there: its own.
        #[arg(long, value_name = "NAME", value_parser = class, conflicts_with = "local")]
        controller_class: Option<String>,
        #[command(flatten)]
        options: LocalArgs,
    },
    /// Fetch the receipt of a request that has succeeded.
    ///
    /// Exit codes: 0 written, 1 there is none or it was refused, 2 wrong use.
    Receipt {
        /// The InferenceRequest.
        name: String,
        /// Where to write the receipt.
        #[arg(short, long = "out", value_name = "FILE")]
        out: PathBuf,
        /// Write manifest, integer graph and verifying keys here, for `prover-worker verify --manifest`.
        #[arg(long, value_name = "DIR")]
        files: Option<PathBuf>,
        #[command(flatten)]
        cluster: ClusterArgs,
        #[command(flatten)]
        access: GatewayArgs,
    },
    /// Erase a request: its input, its answer and its receipt are removed, and cannot be brought back.
    ///
    /// That it was there, how it ended and who erased it is left, and the ledger stays valid. Exit codes: 0 nothing is left of it,
    /// 1 it was refused or is not done, 2 wrong use.
    Erase {
        /// The InferenceRequest.
        name: String,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Upload a model, calibration data or an input that is too large for a ConfigMap, and print the digest by which
    /// objects of the namespace may name it (`artifact: sha256:…`).
    ///
    /// What no object names is removed after a day. Exit codes: 0 it is there, 1 it was refused, 2 wrong use.
    Upload {
        /// The file: ONNX, .npy, .npz or .json, of at most 64 MiB.
        file: PathBuf,
        #[command(flatten)]
        cluster: ClusterArgs,
        #[command(flatten)]
        access: GatewayArgs,
    },
    /// Open the operator's web app on this machine, with your kubeconfig (docs/studio.md), and stay until told to stop.
    ///
    /// The address that is printed holds this run's secret. Exit codes: 0 told to stop, 1 it could not be served, 2 wrong use.
    Studio(StudioArgs),
    /// A miner's key, and the proof that a MinerPool's identity is the miner's own.
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Say whether an installation works: the operator is ready, its gateway answers, MinerPools are ready. `helm test` runs it.
    ///
    /// Exit codes: 0 all of it, 1 something is missing, 2 wrong use or no cluster.
    Check(CheckArgs),
    /// Write what somebody who is asked for help needs to see into one file: objects, events, logs, metrics, versions.
    ///
    /// No input, no answer, no Secret and no ConfigMap is in it, and no token as far as one can be told; look through it before you
    /// send it. Exit codes: 0 written, 1 written, and something could not be read, 2 wrong use or no cluster.
    Report(ReportArgs),
    /// Print the CustomResourceDefinitions, or write one file each.
    Crds {
        /// Write here instead of printing.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Make a key, and print the identity for `spec.identity`.
    New {
        /// Where to write it; a file that is there is not replaced. Whoever reads it can prove the identity.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Print a key's identity.
    Show {
        /// The key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Print the signature for `spec.possession` of a MinerPool that is there: over its namespace, name and uid.
    Prove {
        /// The MinerPool.
        pool: String,
        /// The key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The pool's uid; without: asked of the cluster.
        #[arg(long)]
        uid: Option<String>,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LocalArgs {
    /// What to print.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,
    /// Use the development SRS. Everything proved with it is FORGEABLE BY ANYONE.
    #[arg(long)]
    pub(crate) allow_dev_srs: bool,
    /// An SRS file that you trust (see `prover-worker srs import`).
    #[arg(long, value_name = "FILE", conflicts_with = "allow_dev_srs")]
    pub(crate) srs: Option<PathBuf>,
    /// Where compiled models, artifacts, logs and receipts are kept.
    #[arg(long, default_value = ".zkinfer", value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// The prover-worker binary; without: beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) worker: Option<PathBuf>,
    /// Another prover for a pool: NAMESPACE/NAME=PROGRAM [ARGUMENT …]. It speaks the worker protocol.
    #[arg(long, value_name = "POOL=COMMAND", value_parser = prover)]
    pub(crate) prover: Vec<(String, Vec<String>)>,
    /// Shortest lease of a claim, in seconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) least_lease: u64,
    /// Greatest error of an answer: of an output's values against the float model's, as a share of the greatest of them
    /// or of the output's scale. A Model that allows more is not served.
    #[arg(long, default_value_t = DEFAULT_MAX_ERROR, value_name = "ERROR", value_parser = error)]
    pub(crate) max_error: f64,
    /// Show no progress.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Stay until told to stop, and answer clients: `kubeconfig` below the state folder is for kube's clients, and the
    /// gateway's address is told.
    #[arg(long)]
    pub(crate) serve: bool,
    /// A collector of OpenTelemetry (OTLP over HTTP, such as http://127.0.0.1:4318) that operator and workers tell of the spans of
    /// each request. Without: none.
    #[arg(long, env = "ZKINFER_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Show what goes on in a browser, at an address of this machine (docs/studio.md), and stay until told to stop. The address
    /// that is printed holds this run's secret. Without ADDRESS a port is chosen.
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:0",
        value_parser = loopback
    )]
    pub(crate) web: Option<SocketAddr>,
}

/// Which cluster, and where in it.
#[derive(Debug, ClapArgs)]
pub(crate) struct ClusterArgs {
    /// The kubeconfig's context; without: the current one.
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// The namespace; without: the context's.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
}

impl From<ClusterArgs> for Cluster {
    fn from(args: ClusterArgs) -> Self {
        let ClusterArgs { context, namespace } = args;
        Self { context, namespace }
    }
}

/// How to reach the operator's gateway.
#[derive(Debug, ClapArgs)]
pub(crate) struct GatewayArgs {
    /// The operator's namespace.
    #[arg(long, default_value = "zkinfer-system")]
    operator_namespace: String,
    /// The gateway's address; without: through the API server's port-forward.
    #[arg(long, value_name = "URL")]
    gateway: Option<String>,
    /// A file with your token; without: the kubeconfig's, else one of the ServiceAccount zkinfer-client.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A ServiceAccount whose token is used instead of yours, as NAME in the namespace or NAMESPACE/NAME: you must be
    /// allowed to make tokens for it (create serviceaccounts/token).
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "token_file")]
    service_account: Option<String>,
}

impl From<GatewayArgs> for GatewayAccess {
    fn from(args: GatewayArgs) -> Self {
        Self {
            operator_namespace: args.operator_namespace,
            address: args.gateway,
            token_file: args.token_file,
            service_account: args.service_account,
        }
    }
}

/// How to run in a cluster.
#[derive(Debug, ClapArgs)]
pub(crate) struct RunArgs {
    /// The operator's own namespace: compilers run here.
    #[arg(long, env = "ZKINFER_NAMESPACE", default_value = "zkinfer-system")]
    namespace: String,
    /// The namespaces to watch, separated by commas; the operator's own is always one. It then needs no rights elsewhere, and
    /// Models, requests and pools elsewhere are not seen. Without: all of them.
    #[arg(
        long,
        env = "ZKINFER_NAMESPACES",
        value_name = "NAMES",
        value_delimiter = ',',
        value_parser = namespace_name
    )]
    namespaces: Vec<String>,
    /// Whose objects this installation takes: those whose spec.controllerClass is this. Each of several installations of a
    /// cluster has a class of its own.
    #[arg(
        long,
        env = "ZKINFER_CONTROLLER_CLASS",
        value_name = "NAME",
        default_value = DEFAULT_CLASS,
        value_parser = class
    )]
    controller_class: String,
    /// The artifact store: file:///folder, s3://bucket/prefix, gs://…, az://… (credentials from the environment).
    #[arg(long, env = "ZKINFER_ARTIFACTS", value_name = "URL")]
    artifacts: String,
    /// Where workers, compilers and clients are answered.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    gateway_address: String,
    /// The gateway's address as pods see it.
    #[arg(long, env = "ZKINFER_GATEWAY_URL", value_name = "URL")]
    gateway_url: String,
    /// Where probes and Prometheus are answered.
    #[arg(long, default_value = "0.0.0.0:8081", value_name = "ADDRESS")]
    health_address: String,
    /// Where the web app is served, such as 0.0.0.0:8082 (docs/studio.md): it shows each viewer what their own token may read.
    /// Without: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    web_address: Option<String>,
    /// The image of prover-worker in which models are compiled.
    #[arg(long, env = "ZKINFER_COMPILER_IMAGE", value_name = "IMAGE")]
    compiler_image: String,
    /// The socket of `prover-worker reference`, which gives the float model's answers.
    #[arg(long, default_value = "/run/zkinfer/reference.sock", value_name = "PATH")]
    reference_socket: PathBuf,
    /// An SRS file that you trust (see `prover-worker srs import`).
    #[arg(long, value_name = "FILE")]
    srs: Option<PathBuf>,
    /// Use the development SRS. Everything proved with it is FORGEABLE BY ANYONE.
    #[arg(long, conflicts_with = "srs")]
    allow_dev_srs: bool,
    /// Memory for compiled models. Without: what the container's memory limit (512Mi where there is none) leaves beside
    /// --run-memory and the 96Mi of everything else, at least a quarter of it. Beyond half of it a namespace has one model loaded.
    #[arg(long, value_name = "MEMORY")]
    model_memory: Option<Memory>,
    /// Memory for requests at work: their inputs, the tensors between slices, proofs. Without: an eighth of the container's memory
    /// limit (512Mi where there is none), at least 96Mi, at most a quarter of it. Beyond half of it a namespace has one request
    /// at work.
    #[arg(long, value_name = "MEMORY")]
    run_memory: Option<Memory>,
    /// A collector of OpenTelemetry (OTLP over HTTP, such as http://collector:4318) that the operator tells of the spans of each
    /// request. Without: none.
    #[arg(long, env = "ZKINFER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// The collector that workers tell of theirs, which their network has to let them reach. Without: none.
    #[arg(
        long,
        env = "ZKINFER_WORKER_OTLP_ENDPOINT",
        value_name = "URL",
        requires = "otlp_endpoint"
    )]
    worker_otlp_endpoint: Option<String>,
    /// How log lines are written.
    #[arg(
        long,
        env = "ZKINFER_LOG_FORMAT",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) log_format: LogFormat,
}

impl RunArgs {
    /// How to run.
    ///
    /// # Errors
    /// Settings that cannot be read.
    pub(crate) fn options(self) -> Result<RunOptions, String> {
        let Self {
            namespace,
            namespaces,
            controller_class,
            artifacts,
            gateway_address,
            gateway_url,
            health_address,
            web_address,
            compiler_image,
            reference_socket,
            srs,
            allow_dev_srs,
            model_memory,
            run_memory,
            otlp_endpoint,
            worker_otlp_endpoint,
            log_format: _,
        } = self;
        let (bytes, limit) = (
            |memory: Option<Memory>| memory.map(|m| m.bytes()),
            container_limit(),
        );
        let run_memory = Budget::of_runs(bytes(run_memory), limit);
        let settings = Settings {
            workers: WorkerSettings {
                gateway: gateway_url,
                namespace: namespace.clone(),
                class: Class::named(&controller_class),
                otlp_endpoint: worker_otlp_endpoint,
            },
            rules: Rules::defaults(compiler_image)?,
            namespace,
            namespaces,
            reference_socket,
            model_memory: Budget::of_models(bytes(model_memory), run_memory, limit),
            run_memory,
        };
        Ok(RunOptions {
            artifacts,
            gateway_address,
            health_address,
            web_address,
            srs,
            allow_dev_srs,
            otlp_endpoint,
            settings,
        })
    }
}

/// The greatest error that is accepted unless somebody says otherwise.
const DEFAULT_MAX_ERROR: f64 = DEFAULT_MAX_ERROR_MILLIONTHS as f64 / 1e6;

#[cfg(test)]
mod tests;
