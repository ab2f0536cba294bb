//! Decoders of foreign bytes: whatever they are given they answer, soon, within their memory, and they read one spelling.
#![allow(clippy::unwrap_used, reason = "a test says by panicking what is wrong")]

use std::process::Command;

/// Seconds for each decoder in CI; `ZKINFER_FUZZ_INPUTS` asks for a number of inputs instead (`./check --long`: a million).
const SECONDS: &str = "5";

fn fuzz(arguments: &[&str]) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_fuzz"))
        .args(arguments)
        // What is freed goes back to the system at once: what one input has taken hides nothing of what the next one takes.
        .envs([
            ("MALLOC_MMAP_THRESHOLD_", "65536"),
            ("MALLOC_TRIM_THRESHOLD_", "65536"),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(
        ran.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    print!("{said}");
    said
}

#[test]
fn changed_files_are_answered_in_bounded_time_and_memory() {
    let said = match std::env::var("ZKINFER_FUZZ_INPUTS") {
        Ok(inputs) => fuzz(&["--inputs", &inputs]),
        Err(_) => fuzz(&["--seconds", SECONDS]),
    };
    assert_eq!(
        said.lines().count(),
        13,
        "each decoder says what it was given: {said}"
    );
}

#[test]
fn decoding_takes_as_much_memory_as_the_file_and_64_mib() {
    let said = fuzz(&["memory"]);
    assert!(said.lines().count() > 50, "{said}");
}
