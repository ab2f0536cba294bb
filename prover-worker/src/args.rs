//! The command line.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use zkinfer_crds::dimensions::dimension;
use zkinfer_crds::wire::DEFAULT_ERROR_BUDGET_MILLIONTHS;
use zkinfer_crds::{Identity, Profile, ProofSystem, RequestUid};
use zkinfer_scoring::RuleName;
use zkml::accuracy::Rule;
use zkml::manifest::MAX_BATCH;
use zkml::receipt::DEFAULT_RULE;

mod sample;

pub(crate) use sample::SampleArgs;
mod weights;

pub(crate) use weights::{
    WeightsBindArgs, WeightsCommand, WeightsFileArgs, WeightsMakeArgs, WeightsProveArgs, WeightsRotateArgs,
    WeightsVerifyArgs,
};

/// Proves slices of models, and checks the receipts of whole runs.
///
/// Exit codes: 0 done, valid or qualified, 1 bad model, invalid receipt or manifest not qualified, 2 wrong use or an
/// unreadable path.
#[derive(Debug, Parser)]
#[command(version = version(), max_term_width = 100)]
pub(crate) struct Args {
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Format::Text, global = true)]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The version, and which build of it runs here: an image holds several.
fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let build = zkml::processor::instruction_set();
        format!("{} ({build})", env!("CARGO_PKG_VERSION"))
    });
    &VERSION
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Claim slices from a gateway and prove them until there is no more work.
    Work(WorkArgs),
    /// Compile one model for an operator that started this program for it.
    CompileJob(CompileJobArgs),
    /// Evaluate models in floats, as they stand in their files, for an operator that asks over a Unix socket.
    ///
    /// It ends with the process that started it.
    Reference(ReferenceArgs),
    /// Read and evaluate one model, for `reference`, which starts it.
    ReferenceEvaluator(EvaluatorArgs),
    /// Show what proving a model would take: nodes, slices, rows, time, memory; or all that is unsupported.
    Inspect(InspectArgs),
    /// Make one file of a model that keeps tensors in other files of its folder.
    Join(JoinArgs),
    /// Make manifest, integer graph and keys of a model.
    Compile(CompileArgs),
    /// Prove a compiled model's answer to an input, all slices, and write a receipt.
    Prove(ProveArgs),
    /// Check a receipt, sentence by sentence.
    Verify(VerifyArgs),
    /// Judge a manifest once on your own data, so that its receipts need no model from then on.
    Qualify(QualifyArgs),
    /// Draw the input of a benchmark again, and print its digest.
    Sample(SampleArgs),
    /// Make, import or check a structured reference string (trusted setup).
    #[command(subcommand)]
    Srs(SrsCommand),
    /// Check a validator's ledger, recompute its scores, or say why a miner has its score.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Show the weights that a validator has signed, or check them against its ledger.
    #[command(subcommand)]
    Weights(WeightsCommand),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WorkArgs {
    /// The gateway, such as http://zkinfer-gateway:8080.
    #[arg(long, env = "ZKINFER_GATEWAY")]
    pub(crate) gateway: String,
    /// This worker's token. Prefer --token-file where the token is renewed.
    #[arg(
        long,
        env = "ZKINFER_TOKEN",
        hide_env_values = true,
        conflicts_with = "token_file"
    )]
    pub(crate) token: Option<String>,
    /// A file with this worker's token, read again for every call.
    #[arg(long, env = "ZKINFER_TOKEN_FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Prove slices of this request only, and end when it is over.
    #[arg(long, env = "ZKINFER_REQUEST")]
    pub(crate) request: Option<RequestUid>,
    /// This worker's name, for people.
    #[arg(long, env = "ZKINFER_WORKER", default_value = "worker")]
    pub(crate) name: String,
    /// Memory that all slices in hand may use together, in MiB.
    #[arg(long, env = "ZKINFER_MEMORY_MIB", default_value_t = 512)]
    pub(crate) memory_mib: u64,
    /// How many slices to prove side by side, memory permitting: one per core. They share keys.
    #[arg(long, env = "ZKINFER_CLAIMS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) claims: u32,
    /// Keep fetched blobs here, by digest, for other workers too.
    #[arg(long, env = "ZKINFER_CACHE")]
    pub(crate) cache: Option<PathBuf>,
    /// A collector of OpenTelemetry (OTLP over HTTP, such as http://collector:4318) that is told of the spans of each slice whose
    /// grant names one to put them below. Without: none.
    #[arg(long, env = "ZKINFER_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<String>,
    /// End after this many seconds without an answer from the gateway.
    #[arg(long, default_value_t = 300)]
    pub(crate) patience: u64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CompileJobArgs {
    /// The gateway, such as http://zkinfer-gateway:8080.
    #[arg(long, env = "ZKINFER_GATEWAY")]
    pub(crate) gateway: String,
    /// The token that names the task.
    #[arg(
        long,
        env = "ZKINFER_COMPILE_TOKEN",
        hide_env_values = true,
        required_unless_present = "token_file"
    )]
    pub(crate) token: Option<String>,
    /// A file with that token.
    #[arg(long, env = "ZKINFER_COMPILE_TOKEN_FILE", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A folder for the model and what is made of it.
    #[arg(long, env = "ZKINFER_SCRATCH", value_name = "DIR")]
    pub(crate) scratch: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReferenceArgs {
    /// The socket to listen on; what is there is replaced.
    #[arg(long, value_name = "PATH", default_value = "/run/zkinfer/reference.sock")]
    pub(crate) socket: PathBuf,
    /// How many models to hold at once, each in a process of its own.
    #[arg(long, default_value_t = 3)]
    pub(crate) models: usize,
    /// Memory that all models may take together, in MiB; each gets the same share.
    #[arg(long, default_value_t = 3072)]
    pub(crate) memory_mib: u64,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct EvaluatorArgs {
    /// Memory that it may take, in MiB.
    #[arg(long)]
    pub(crate) memory_mib: u64,
}

#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ModelArgs {
    /// The ONNX file.
    pub(crate) model: PathBuf,
    /// Samples that calibrate the integers, .npy or .json; the first axis counts them. Of several inputs: a .npz archive or a
    /// JSON object of them by input name. Without: standard-normal inputs.
    #[arg(long)]
    pub(crate) calibration: Option<PathBuf>,
    /// Bits of the integers: P8, P12, P16 or P20. Without: the fewest that keep the error budget.
    #[arg(long)]
    pub(crate) profile: Option<Profile>,
    /// Greatest error of any output against the float model, in millionths of its size or of --output-scale.
    #[arg(long, default_value_t = DEFAULT_ERROR_BUDGET_MILLIONTHS, value_name = "MILLIONTHS")]
    pub(crate) error_budget: u32,
    /// The outputs' natural magnitudes, one for each. Without: the greatest that the float model reaches on the samples.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',')]
    pub(crate) output_scale: Vec<f64>,
    /// Outputs of shape [1, n] are no scores of classes: their greatest value may be elsewhere.
    #[arg(long)]
    pub(crate) no_top1: bool,
    /// The size of a dimension that the file leaves free, by the file's name of it, or INPUT.AXIS where it has none. May be given
    /// several times. A first dimension that is not named is a batch of 1.
    #[arg(long, value_name = "NAME=SIZE", value_parser = dimension)]
    pub(crate) bind: Vec<(String, u32)>,
    /// How many inputs are proved at once: the first dimension of every input, which the file leaves free or has as 1, counts
    /// them. Of fewer the last is repeated.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BATCH)))]
    pub(crate) batch: u32,
    /// Least number of slices, wherever the graph allows.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) parallelism: u32,
    /// Most memory that proving one slice may need, in MiB.
    #[arg(long)]
    pub(crate) memory_mib: Option<u64>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Show this proof system only.
    #[arg(long, value_name = "SYSTEM")]
    pub(crate) proof_system: Option<ProofSystem>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct JoinArgs {
    /// The ONNX file; its other files lie in the same folder or below.
    pub(crate) model: PathBuf,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// Where the trusted setup comes from. Without effect where the proof system has none.
#[derive(Debug, ClapArgs)]
pub(crate) struct SrsArgs {
    /// An SRS file that you trust (see `prover-worker srs import`).
    #[arg(long, value_name = "FILE")]
    pub(crate) srs: Option<PathBuf>,
    /// Use the development SRS. Everything made with it is FORGEABLE BY ANYONE.
    #[arg(long, conflicts_with = "srs")]
    pub(crate) allow_dev_srs: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CompileArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What the slices are proved with: SumcheckWhir or Halo2Kzg.
    #[arg(long, value_name = "SYSTEM", default_value_t = ProofSystem::SumcheckWhir)]
    pub(crate) proof_system: ProofSystem,
    #[command(flatten)]
    pub(crate) srs: SrsArgs,
    /// Where to write manifest.cbor, compile.json and blobs/sha256/…
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ProveArgs {
    /// A folder that `compile` wrote.
    pub(crate) dir: PathBuf,
    /// The model's input: .npy, nested JSON lists, or .npz or a JSON object by input name. Of a model that was compiled for a
    /// batch it may be given several times, in order, and the first axis of a file may count inputs.
    #[arg(long, required = true)]
    pub(crate) input: Vec<PathBuf>,
    /// Where to write the receipt.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The network id to bind the proofs to.
    #[arg(long, default_value = "local")]
    pub(crate) network: String,
}

/// How an answer is judged against the float model's.
#[derive(Debug, ClapArgs)]
pub(crate) struct RuleArgs {
    /// Greatest error that you accept: of an output's values against the float model's, as a share of the greatest of
    /// them (or of --output-scale). Without: 0.01. What a manifest allows decides nothing.
    #[arg(long, value_name = "ERROR", value_parser = magnitude)]
    pub(crate) max_error: Option<f64>,
    /// The outputs' natural magnitudes, one per output: errors are a share of these where an output is smaller. Without:
    /// what a qualification measured, else 0.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', value_parser = magnitude)]
    pub(crate) output_scale: Vec<f64>,
    /// Do not compare where outputs of shape [1, n] are greatest: they are no classes.
    #[arg(long)]
    pub(crate) no_top1: bool,
}

impl RuleArgs {
    /// Whether anything was said.
    pub(crate) fn given(&self) -> bool {
        self.max_error.is_some() || !self.output_scale.is_empty() || self.no_top1
    }

    pub(crate) fn rule(&self) -> Rule {
        Rule {
            max_error: self.max_error.unwrap_or(DEFAULT_RULE.max_error),
            output_scale: self.output_scale.clone(),
            compare_top1: !self.no_top1,
        }
    }
}

/// A finite number that is not negative.
fn magnitude(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err("expected a number that is not negative".to_owned()),
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct VerifyArgs {
    /// The receipt.
    pub(crate) receipt: PathBuf,
    /// A manifest that you trust: the fast check, with no ONNX and no float.
    #[arg(long)]
    pub(crate) manifest: Option<PathBuf>,
    /// The files that the manifest names. Without: beside the manifest.
    #[arg(long, value_name = "DIR", requires = "manifest")]
    pub(crate) files: Option<PathBuf>,
    /// What `qualify` wrote of the manifest: how far its integers are from the model on your own data.
    #[arg(long, value_name = "FILE", requires = "manifest")]
    pub(crate) qualified: Option<PathBuf>,
    /// An ONNX file that you trust: derives integer graph and keys from it and compares with the float model.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Your own input: .npy, nested JSON lists, or .npz or a JSON object by input name. Is it the one that was proved, and is the
    /// answer the float model's to it? Of a batch all inputs that were given, in order, as `prove` takes them.
    #[arg(long)]
    pub(crate) input: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) rule: RuleArgs,
    /// Writes the proved output here if the receipt is valid: .npy of one output, .npz of any number by name.
    #[arg(long, value_name = "FILE")]
    pub(crate) values: Option<PathBuf>,
    /// The network that the receipt must name.
    #[arg(long, value_name = "ID")]
    pub(crate) network: Option<String>,
    /// The request that the receipt must name.
    #[arg(long, value_name = "UID")]
    pub(crate) request: Option<RequestUid>,
    /// The miner that every slice must name; may be given several times, for one of them.
    #[arg(long, value_name = "IDENTITY")]
    pub(crate) miner: Vec<Identity>,
    #[command(flatten)]
    pub(crate) srs: SrsArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct QualifyArgs {
    /// The manifest.
    pub(crate) manifest: PathBuf,
    /// An ONNX file that you trust.
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Your own data: .npy, nested JSON lists, or .npz or a JSON object by input name; the first axis counts the samples.
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) rule: RuleArgs,
    /// Where to write what was found. Without: MANIFEST.qualified.json.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) srs: SrsArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Check that segments are signed, follow each other, and end where the signed head says.
    Verify {
        #[command(flatten)]
        ledger: LedgerArgs,
    },
    /// Check it, and compute everybody's score from its entries.
    Replay {
        #[command(flatten)]
        ledger: LedgerArgs,
        #[command(flatten)]
        rule: ScoringArgs,
    },
    /// Check it, and say what each entry of a miner is worth, and what becomes of the sum.
    Explain {
        #[command(flatten)]
        ledger: LedgerArgs,
        #[command(flatten)]
        rule: ScoringArgs,
        /// The miner.
        #[arg(long, value_name = "IDENTITY")]
        miner: Identity,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LedgerArgs {
    /// Segments, in their order; or one folder with segments by number and `head`, as in a store's `segments/`.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) segments: Vec<PathBuf>,
    /// The signed head. Without, and where a folder has none, a missing end is not seen.
    #[arg(long, value_name = "FILE")]
    pub(crate) head: Option<PathBuf>,
    /// The validator that must have signed the first segment. Without, whoever has.
    #[arg(long, value_name = "IDENTITY")]
    pub(crate) validator: Option<Identity>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ScoringArgs {
    /// Another rule than the ledger's, with the constants that it has unless somebody says otherwise. Without: the rule that the
    /// ledger names for that time, with its constants; where it names none, SpeedSizeAccuracy.
    #[arg(long, value_name = "NAME")]
    pub(crate) rule: Option<RuleName>,
    /// Scores at this time, in Unix milliseconds. Without: when the last claim ended.
    #[arg(long, value_name = "MILLIS")]
    pub(crate) at: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SrsCommand {
    /// Write the development SRS, which is FORGEABLE BY ANYONE: whoever has this program knows its secret.
    Make {
        /// log2 of the number of points: the largest k that it serves.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=20))]
        k: u8,
        /// Where to write it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Say that you know.
        #[arg(long, required = true)]
        allow_dev_srs: bool,
    },
    /// Take an SRS from a public ceremony's .ptau file, recognised by its published hash.
    Import {
        /// The ceremony file, such as powersOfTau28_hez_final_16.ptau.
        ptau: PathBuf,
        /// log2 of the number of points: the largest k that it serves.
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=20))]
        k: u8,
        /// Where to write it.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Take a file that is not on the published list, because you trust the ceremony that made it.
        #[arg(long)]
        trust_unlisted_ceremony: bool,
    },
    /// Check that a file holds powers of one secret, and print its digest.
    Verify {
        /// The SRS file.
        file: PathBuf,
    },
}
