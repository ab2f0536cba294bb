//! Feeds every decoder that reads foreign bytes, the engine's and the gateway's, with changed files, and asserts what it may
//! take.
//!
//! ```text
//! target/release/fuzz --inputs 1000000          # each decoder, which takes hours for ONNX files alone
//! target/release/fuzz --seconds 4               # each decoder for so long: what CI does
//! target/release/fuzz memory                    # large files, as dense as a hostile hand makes them
//! ```
//!
//! Inputs are a function of their number: what is printed on a failure is how to meet it again (`--decoder`, `--first`). A
//! panic ends the run.

mod corpus;
mod gateway;
mod memory;
mod mutate;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use rand::SeedableRng;
use rand::rngs::StdRng;

use self::corpus::{Corpus, Decoder};
use self::memory::Memory;
use self::mutate::mutated;

/// No input may take more of the processor, nor, so that a machine with other work is no fault, this many times as long.
const MOST_TIME: Duration = Duration::from_secs(2);
const MOST_WAITING: u32 = 15;

/// Fuzzes the decoders.
#[derive(Debug, Parser)]
struct Args {
    /// Inputs for each decoder.
    #[arg(long, default_value_t = u64::MAX)]
    inputs: u64,
    /// Seconds for each decoder.
    #[arg(long, default_value_t = u64::MAX)]
    seconds: u64,
    /// Only this one.
    #[arg(long, value_enum)]
    decoder: Option<Decoder>,
    /// The number of the first input.
    #[arg(long, default_value_t = 0)]
    first: u64,
    #[command(subcommand)]
    command: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Decodes large files and asserts the memory that it takes.
    Memory,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    if let Some(What::Memory) = args.command {
        return memory::run();
    }
    // The ONNX reader panics inside, which is caught there; its messages would drown all others.
    std::panic::set_hook(Box::new(|_| ()));
    let corpus = Corpus::new()?;
    corpus.is_read()?;
    for &decoder in Decoder::value_variants() {
        if args.decoder.is_none_or(|only| only == decoder) {
            fuzz(args, decoder, &corpus)?;
        }
    }
    Ok(())
}

fn fuzz(args: &Args, decoder: Decoder, corpus: &Corpus) -> Result<(), Box<dyn Error>> {
    let files = corpus.files(decoder);
    let (began, mut accepted, mut longest, mut most) = (Instant::now(), 0, Duration::ZERO, 0);
    let mut number = args.first;
    let memory = Memory::now()?;
    while number < args.first.saturating_add(args.inputs) && began.elapsed().as_secs() < args.seconds {
        let mut rng = StdRng::seed_from_u64(number);
        let input = mutated(decoder, files, &mut rng);
        let (started, before) = (Instant::now(), processor_time()?);
        let verdict = std::panic::catch_unwind(|| decoder.read(&input));
        let took = processor_time()?
            .saturating_sub(before)
            .max(started.elapsed() / MOST_WAITING);
        longest = longest.max(took);
        most = most.max(input.len());
        match verdict {
            Ok(Ok(read)) => accepted += u64::from(read),
            Ok(Err(why)) => return Err(format!("{decoder:?}, input {number}: {why}").into()),
            Err(_) => return Err(format!("{decoder:?}, input {number}: a panic").into()),
        }
        if longest > MOST_TIME {
            return Err(format!("{decoder:?}, input {number}: it took {longest:?}").into());
        }
        number += 1;
    }
    let taken = memory.more()?;
    println!(
        "{decoder:<12?} {:>8} inputs, {accepted} of them read; the longest took {longest:.1?} of the processor, all {:.0?}; at most {} KiB more memory",
        number - args.first,
        began.elapsed(),
        taken >> 10,
    );
    // Of a file, and beside: the fuzzer's own copies and what an allocator keeps are in it, too.
    let limit = decoder.memory() + 4 * most;
    if taken > limit {
        return Err(format!("{decoder:?}: {taken} bytes of memory, at most {limit}").into());
    }
    Ok(())
}

/// What this thread, which reads every input, has had of a processor.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = schedule.split_whitespace().next().ok_or("no processor time")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}
