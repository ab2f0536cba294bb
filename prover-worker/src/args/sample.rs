//! The arguments of `sample`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

#[derive(Debug, ClapArgs)]
pub(crate) struct SampleArgs {
    /// The manifest.
    pub(crate) manifest: PathBuf,
    /// The seed, 64 hexadecimal digits: `status.benchmarkSeed` of a benchmark.
    #[arg(long, value_name = "HEX")]
    pub(crate) seed: String,
    /// The calibration data that the Model was compiled with, if it was.
    #[arg(long, value_name = "FILE")]
    pub(crate) calibration: Option<PathBuf>,
    /// Where to write the input. Without: nowhere, and its digest is printed all the same.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}
