//! The images that `scripts/images.sh` has built, for the nodes of clusters.
//!
//! Invariant: what a test runs in pods is the tree as it is: archives older than a source file of the programs in them
//! are refused, by name.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::cluster::{self, Cluster, Error};
use crate::local::{program, repository};

/// The images of an installation.
const NAMES: [&str; 2] = ["operator", "prover-worker"];
/// What they are made from.
const SOURCES: [&str; 14] = [
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "images",
    "bittensor",
    "client",
    "crds",
    "operator",
    "prover-worker",
    "scoring",
    "spans",
    "weights",
    "zkml",
    "web/src",
];

/// The archives, operator first.
///
/// # Errors
/// Archives that are not there, or older than what they are made from.
pub fn archives() -> Result<Vec<PathBuf>, Error> {
    let folder = folder();
    let newest = SOURCES
        .iter()
        .filter_map(|name| newest(&repository().join(name)))
        .max();
    let archive = |name: &&str| {
        let path = folder.join(format!("{name}.tar"));
        let made = fs::metadata(&path).and_then(|m| m.modified());
        match (made, &newest) {
            (Err(e), _) => Err(unavailable(&format!("{}: {e}", path.display()))),
            (Ok(made), Some((changed, source))) if made < *changed => Err(unavailable(&format!(
                "{} is older than {}",
                path.display(),
                source.display()
            ))),
            (Ok(_), _) => Ok(path),
        }
    };
    NAMES.iter().map(archive).collect()
}

fn unavailable(what: &str) -> Error {
    Error::Unavailable(format!("{what}. `scripts/images.sh` builds the images"))
}

/// The same folder as in `scripts/images.sh`.
fn folder() -> PathBuf {
    let set = std::env::var_os("ZKINFER_IMAGES").filter(|value| !value.is_empty());
    set.map_or_else(
        || {
            let target = program("operator");
            let target = target.ancestors().nth(2).unwrap_or(Path::new("target"));
            target.join("images")
        },
        PathBuf::from,
    )
}

/// The file below a path that was changed last. Generated files and texts for people are none of an image's sources.
fn newest(path: &Path) -> Option<(SystemTime, PathBuf)> {
    if path.is_file() {
        let changed = fs::metadata(path).and_then(|m| m.modified()).ok()?;
        return Some((changed, path.to_owned()));
    }
    let source = |path: &PathBuf| {
        let ends = |end: &str| path.extension().is_some_and(|e| e == end);
        let web = ["ts", "tsx", "css", "html", "svg"];
        path.is_dir() && !path.ends_with("tests")
            || ends("rs")
            || ends("toml")
            || ends("Containerfile")
            || web.into_iter().any(ends)
    };
    let entries = fs::read_dir(path).ok()?.flatten().map(|entry| entry.path());
    entries.filter(source).filter_map(|path| newest(&path)).max()
}

/// Whether clusters can run on this machine and have these images; says so loudly where not.
///
/// # Panics
/// With `ZKINFER_REQUIRE_CLUSTER=1`, where not.
#[must_use]
pub fn can_run() -> bool {
    cluster::can_run() && archives().map_or_else(|e| cluster::not_run(&e.to_string()), |_| true)
}

/// Puts the images onto the node of a cluster.
///
/// # Errors
/// Archives that are not there or out of date, and containerd.
pub async fn import(cluster: &Cluster) -> Result<(), Error> {
    for archive in archives()? {
        cluster.import_image(&archive).await?;
    }
    Ok(())
}
