//! Simulates a network in virtual time with the operator's own queue and scoring rules, and holds it against the bars.
//!
//! ```text
//! cargo run --release -p zkinfer-tests --bin sim -- --miners 1500 --hours 24 --seed word --out DIR
//! ```
//!
//! It prints a report and writes it, with plots, into DIR. Exit 0 when every bar for the default rule holds; without
//! benchmarks nothing is held against bars but that nobody starves.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use zkinfer_tests::sim::{Settings, network, pictures, simulate};

/// Simulates a network of miners.
#[derive(Debug, Parser)]
struct Args {
    /// Machines.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    miners: u32,
    /// Virtual hours.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    hours: u32,
    /// What everything random comes of.
    #[arg(long, default_value = "word")]
    seed: String,
    /// Predicted seconds of a slice, in the mean; otherwise ten for each hour, from 10 to 300.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    slice: Option<u32>,
    /// How much of the capacity clients ask for in the mean, in per cent.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(0..=200))]
    organic: u32,
    /// Without benchmarks: machines are idle while nobody asks.
    #[arg(long)]
    no_benchmarks: bool,
    /// Folder for the report and the plots.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    let hours = f64::from(args.hours);
    let mut settings = Settings::new(hours, &args.seed);
    settings.organic = f64::from(args.organic) / 100.0;
    settings.benchmarks = !args.no_benchmarks;
    if let Some(slice) = args.slice {
        settings.slice = f64::from(slice);
    }
    let machines = network(args.miners as usize, true, hours, &args.seed);
    let outcome = simulate(settings, machines);
    let report = outcome.report();
    print!("{report}");
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out)?;
        std::fs::write(out.join("report.txt"), &report)?;
        for (name, picture) in pictures(&outcome) {
            std::fs::write(out.join(name), picture)?;
        }
    }
    Ok(outcome.broken().is_empty())
}
