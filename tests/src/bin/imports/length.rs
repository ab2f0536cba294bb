//! Files that are too long to be read at once.

use std::error::Error;
use std::path::Path;
use std::process::Command;

/// The most lines of a Rust file.
const MOST_LINES: usize = 500;

/// The Rust files in a checkout that are too long, those included that Git is not yet told of.
pub(crate) fn too_long(checkout: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let out = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
            "--",
            "*.rs",
        ])
        .current_dir(checkout)
        .output()?;
    if !out.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&out.stderr)).into());
    }
    let mut faults = Vec::new();
    for file in String::from_utf8(out.stdout)?.split_terminator('\0') {
        let path = checkout.join(file);
        if path.is_file() {
            faults.extend(fault(file, &std::fs::read_to_string(path)?));
        }
    }
    Ok(faults)
}

/// What is wrong with a file of this text, if anything.
pub(crate) fn fault(file: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MOST_LINES).then(|| format!("{file} has {lines} lines; the most is {MOST_LINES}"))
}
