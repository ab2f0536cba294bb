//! `weights`, on the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use zkinfer_crds::Identity;

use super::{LedgerArgs, ScoringArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum WeightsCommand {
    /// Compute a ledger's scores, give everybody their place, and sign what weights come of it.
    Make(WeightsMakeArgs),
    /// Bind a pool's identity and a hotkey to each other, with a signature of both.
    Bind(WeightsBindArgs),
    /// Hand a miner's score over from a key to a new one, with a signature of both.
    Rotate(WeightsRotateArgs),
    /// Show who has which weight, and from what, of a file whose signature holds.
    Show {
        #[command(flatten)]
        file: WeightsFileArgs,
    },
    /// Check signature and vector; with a ledger, that every total in the file is the ledger's; with a receipt, that it proves the
    /// vector of the totals.
    Verify(WeightsVerifyArgs),
    /// Prove that a file's vector is what its rule makes of the totals in it: a receipt, which `weights verify --proof` takes.
    Prove(WeightsProveArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WeightsVerifyArgs {
    #[command(flatten)]
    pub(crate) file: WeightsFileArgs,
    /// A folder with the ledger's segments by number, as a store's `segments/`; what came after the file is passed over.
    #[arg(long = "ledger", value_name = "FOLDER")]
    pub(crate) segments: Option<PathBuf>,
    /// A receipt that `weights prove` has made of the file.
    #[arg(long, value_name = "RECEIPT")]
    pub(crate) proof: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WeightsProveArgs {
    #[command(flatten)]
    pub(crate) file: WeightsFileArgs,
    /// A folder with the ledger's segments by number: only there stands who is on the skip list.
    #[arg(long = "ledger", value_name = "FOLDER")]
    pub(crate) segments: PathBuf,
    /// Where to write the receipt.
    #[arg(long, value_name = "RECEIPT")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WeightsMakeArgs {
    #[command(flatten)]
    pub(crate) ledger: LedgerArgs,
    #[command(flatten)]
    pub(crate) rule: ScoringArgs,
    /// The subnet, and who is who in it, as JSON: see docs/weights.md.
    #[arg(long, value_name = "FILE")]
    pub(crate) subnet: PathBuf,
    /// The key that the ledger is signed with, such as `validator.key` of a state folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Where to write it.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WeightsBindArgs {
    /// The network that the installation serves.
    #[arg(long)]
    pub(crate) network: String,
    /// The MinerPool's namespace.
    #[arg(long)]
    pub(crate) namespace: String,
    /// The MinerPool's name.
    #[arg(long)]
    pub(crate) pool: String,
    /// Its `metadata.uid`.
    #[arg(long)]
    pub(crate) uid: String,
    /// The identity's key, as `operator identity new` makes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) identity_key: PathBuf,
    /// The hotkey's seed: 0x and 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    pub(crate) hotkey_seed: PathBuf,
    /// Print what `kubectl patch minerpool NAME --type=merge -p` takes, and not the binding by itself.
    #[arg(long)]
    pub(crate) patch: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WeightsRotateArgs {
    /// The network that the installation serves.
    #[arg(long)]
    pub(crate) network: String,
    /// The old identity's key, as `operator identity new` makes it.
    #[arg(long, value_name = "FILE")]
    pub(crate) from_key: PathBuf,
    /// The new one's.
    #[arg(long, value_name = "FILE")]
    pub(crate) to_key: PathBuf,
    /// Print what `kubectl patch minerpool NAME --type=merge -p` takes, and not the rotation by itself. It takes the place of
    /// rotations that the pool has.
    #[arg(long)]
    pub(crate) patch: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct WeightsFileArgs {
    /// The weights file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The validator that must have signed it. Without, whoever has.
    #[arg(long, value_name = "IDENTITY")]
    pub(crate) validator: Option<Identity>,
}
