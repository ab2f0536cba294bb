//! The crates of the workspace and their roots, as Cargo names them.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// A package: a folder with a `Cargo.toml`.
pub(crate) struct Package {
    /// Where its `Cargo.toml` is.
    pub folder: PathBuf,
    /// Its library and programs. Programs depend on the library, and nothing on programs.
    pub targets: Vec<Target>,
}

/// What is compiled as one.
#[derive(Deserialize)]
pub(crate) struct Target {
    /// Its name in paths.
    pub name: String,
    /// Its first file.
    #[serde(rename = "src_path")]
    pub root: PathBuf,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

/// Asks Cargo.
pub(crate) fn of_workspace() -> Result<Vec<Package>, Box<dyn Error>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()?;
    if !out.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&out.stderr)).into());
    }
    let metadata: Metadata = serde_json::from_slice(&out.stdout)?;
    metadata.packages.into_iter().map(package).collect()
}

fn package(described: Described) -> Result<Package, Box<dyn Error>> {
    let manifest = described.manifest_path.canonicalize()?;
    let is_of_src = |t: &Target| {
        t.kind
            .iter()
            .any(|k| k == "lib" || k == "bin" || k == "proc-macro")
    };
    let mut targets: Vec<Target> = described.targets.into_iter().filter(is_of_src).collect();
    for target in &mut targets {
        target.name = target.name.replace('-', "_");
        target.root = target.root.canonicalize()?;
    }
    let folder = manifest.parent().unwrap_or(Path::new("/")).to_path_buf();
    Ok(Package { folder, targets })
}
