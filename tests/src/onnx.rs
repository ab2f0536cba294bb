//! ONNX's own Python packages, with which tests compare.

use std::path::PathBuf;
use std::process::Command;

use crate::cluster::not_run;
use crate::local::repository;

/// The Python environment of `scripts/onnx.sh`; the first statement of every test that needs it. `None` where the machine
/// lacks it, which is said where nobody can miss it.
///
/// # Panics
/// With `ZKINFER_REQUIRE_CLUSTER=1`, where it is not there.
#[must_use]
pub fn environment() -> Option<PathBuf> {
    let found = Command::new(repository().join("scripts/onnx.sh"))
        .arg("--check")
        .output();
    let missing = match found {
        Ok(output) if output.status.success() => {
            return Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    not_run(&format!("{missing}run scripts/onnx.sh")).then(PathBuf::new)
}
