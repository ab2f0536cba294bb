//! The command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use zkinfer_operator::local::Format;

/// Slices models, has miners prove the slices, verifies every proof, and answers with a receipt.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run Models, InferenceRequests and MinerPools from YAML on this machine, without a cluster.
    ///
    /// Exit codes: 0 every request succeeded, 1 one did not, 2 wrong use or an unreadable file.
    Local {
        /// A file or folder of YAML, as for kubectl apply. May be given several times.
        #[arg(short, long = "filename", required = true, value_name = "PATH")]
        filename: Vec<PathBuf>,
        #[command(flatten)]
        local: LocalArgs,
    },
    /// Prove one answer of one model.
    ///
    /// Exit codes: as of local.
    Submit {
        /// The ONNX file.
        model: PathBuf,
        /// The input: .npy, or .json (nested lists, or an object by input name).
        #[arg(long)]
        input: PathBuf,
        /// On this machine, without a cluster.
        #[arg(long, required = true)]
        local: bool,
        /// Samples that calibrate the integers; without: standard-normal inputs.
        #[arg(long)]
        calibration: Option<PathBuf>,
        /// A JSON list of the classes' names.
        #[arg(long)]
        classes: Option<PathBuf>,
        /// Least number of slices.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
        parallelism: u32,
        /// Greatest error against the float model, in millionths of max(1, max |y|).
        #[arg(long, default_value_t = 20_000, value_name = "MILLIONTHS")]
        error_budget: u32,
        #[command(flatten)]
        options: LocalArgs,
    },
    /// Print the CustomResourceDefinitions, or write one file each.
    Crds {
        /// Write here instead of printing.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct LocalArgs {
    /// How to print the objects.
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
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
    /// Show no progress.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

fn prover(text: &str) -> Result<(String, Vec<String>), String> {
    let (pool, command) = text.split_once('=').ok_or("expected POOL=COMMAND")?;
    let pool = if pool.contains('/') {
        pool.to_owned()
    } else {
        format!("default/{pool}")
    };
    let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
    if command.is_empty() {
        Err("the command is empty".to_owned())
    } else {
        Ok((pool, command))
    }
}
