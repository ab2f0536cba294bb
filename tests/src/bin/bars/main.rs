//! Measures both proof systems side by side against the project's bars, in one run on one machine, and prints a table and
//! JSON.
//!
//! ```text
//! cargo build --release --locked --workspace --bins && target/release/bars
//! ```
//!
//! `scripts/bars.sh` does the same with the build that a worker's image starts on this processor: the bars are for that one.
//!
//! `bars worst` searches for the slice that takes a verifier longest.
//!
//! Exit 0 when every bar is met. CPU seconds are of one process per row; wall times need an idle machine with two cores.

mod layers;
mod measure;
mod quickstart;
mod report;
mod worst;

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};

use clap::{Parser, Subcommand, ValueEnum};
use zkinfer_crds::ProofSystem;

use self::layers::Layer;
use self::measure::{Measured, measure, predict};
use self::report::{Report, Row};

/// Measures the bars.
#[derive(Debug, Parser)]
struct Args {
    /// Print JSON only.
    #[arg(long)]
    json: bool,
    /// Prove with Halo2Kzg what is only predicted otherwise: it takes minutes and gigabytes.
    #[arg(long)]
    all_halo2: bool,
    /// Only these kinds of work; without the quickstart.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Layer>,
    #[command(subcommand)]
    command: Option<Measure>,
}

#[derive(Debug, Subcommand)]
enum Measure {
    /// One row, in a process of its own.
    #[command(hide = true)]
    Row {
        /// The work.
        #[arg(value_enum)]
        layer: Layer,
        /// What proves it.
        system: ProofSystem,
        /// How often.
        times: u32,
    },
    /// The slices that take a verifier of SumcheckWhir longest, against their budget.
    Worst,
    /// What the cost model says of a row.
    #[command(hide = true)]
    Predict {
        /// The work.
        #[arg(value_enum)]
        layer: Layer,
        /// What proves it.
        system: ProofSystem,
    },
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    match args.command {
        Some(Measure::Row { layer, system, times }) => {
            println!("{}", serde_json::to_string(&measure(layer, system, times)?)?);
            return Ok(true);
        }
        Some(Measure::Predict { layer, system }) => {
            println!("{}", predict(layer, system)?);
            return Ok(true);
        }
        Some(Measure::Worst) => return worst::run(),
        None => {}
    }
    let mut report = Report::default();
    // First: the memory of a child is at least that of the greatest child before it.
    if args.only.is_empty() {
        report.quickstarts = quickstart::both()?;
    }
    for layer in Layer::ALL {
        if !args.only.is_empty() && !args.only.contains(&layer) {
            continue;
        }
        eprintln!("{} ...", layer.title());
        let sumcheck = in_its_own_process(layer, ProofSystem::SumcheckWhir, 5)?;
        // These two are beyond what anybody waits for.
        let long = matches!(layer, Layer::DenseBatch | Layer::Activations);
        let halo2 = if long && !args.all_halo2 {
            None
        } else {
            Some(in_its_own_process(layer, ProofSystem::Halo2Kzg, 1)?)
        };
        let halo2_predicted = match &halo2 {
            Some(measured) => Some(measured.predicted_cpu_seconds),
            // A layer that halo2 cannot prove at all has no prediction either.
            None => predicted(layer, ProofSystem::Halo2Kzg).ok(),
        };
        report.rows.push(Row {
            layer,
            sumcheck,
            halo2,
            halo2_predicted_cpu_seconds: halo2_predicted,
        });
    }
    report.judge();
    if !args.json {
        report.print();
    }
    println!("{:#}", report.json());
    Ok(report.met())
}

fn in_its_own_process(layer: Layer, system: ProofSystem, times: u32) -> Result<Measured, Box<dyn Error>> {
    let said = this_program("row", layer, system, &[&times.to_string()])?;
    Ok(serde_json::from_slice(&said)?)
}

fn predicted(layer: Layer, system: ProofSystem) -> Result<f64, Box<dyn Error>> {
    let said = this_program("predict", layer, system, &[])?;
    Ok(String::from_utf8(said)?.trim().parse()?)
}

/// Runs this program for one row. This process stays small: a child's greatest memory counts from its parent's.
fn this_program(
    what: &str,
    layer: Layer,
    system: ProofSystem,
    more: &[&str],
) -> Result<Vec<u8>, Box<dyn Error>> {
    let name = layer.to_possible_value().map(|v| v.get_name().to_owned());
    let ran = Command::new(std::env::current_exe()?)
        .args([what, &name.unwrap_or_default(), &system.to_string()])
        .args(more)
        .stderr(Stdio::inherit())
        .output()?;
    if ran.status.success() {
        Ok(ran.stdout)
    } else {
        Err(format!("{} with {system} was not measured", layer.title()).into())
    }
}
