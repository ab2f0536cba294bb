//! `prover-worker`: proves slices and compiles models for a gateway, and by hand inspects, compiles, proves, verifies
//! and qualifies. This file parses and calls.

mod args;
mod by_hand;
mod compile_job;
mod exit;
mod files;
mod launch;
mod reference;
mod work;

use clap::Parser;

use crate::args::{Args, Command};
use crate::exit::Exit;

fn main() -> std::process::ExitCode {
    launch::launch();
    be_silent_of_the_reader();
    let args = Args::parse();
    let format = args.output;
    let done = match args.command {
        Command::Work(args) => work::run(args),
        Command::CompileJob(args) => compile_job::run(&args),
        Command::Reference(args) => reference::run(&args),
        Command::ReferenceEvaluator(args) => reference::evaluate(&args),
        Command::Inspect(args) => by_hand::inspect::run(&args, format),
        Command::Join(args) => by_hand::join::run(&args, format),
        Command::Compile(args) => by_hand::compile::run(&args, format),
        Command::Prove(args) => by_hand::prove::run(&args, format),
        Command::Verify(args) => by_hand::verify::run(&args, format),
        Command::Qualify(args) => by_hand::qualify::run(&args, format),
        Command::Sample(args) => by_hand::sample::run(&args, format),
        Command::Srs(args) => by_hand::srs::run(&args, format),
        Command::Ledger(args) => by_hand::ledger::run(&args, format),
        Command::Weights(args) => by_hand::weights::run(&args, format),
    };
    done.unwrap_or_else(|error| {
        exit::say(&error, format);
        Exit::Usage
    })
    .into()
}

/// What makes the ONNX reader panic is caught, and told as an error.
fn be_silent_of_the_reader() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !zkml_compile::import::reader_at_work() {
            tell(panic);
        }
    }));
}
