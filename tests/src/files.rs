//! Files of a store, as they lie in its folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::{Error, wait_for};

/// The file itself, or all files below the folder; none where nothing is.
#[must_use]
pub fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.flat_map(|entry| files(&entry.path())).collect()
}

/// Waits until none of these files and folders holds anything.
///
/// # Errors
/// What is left after `limit`.
pub async fn until_no_files(what: &str, limit: Duration, paths: &[PathBuf]) -> Result<(), Error> {
    wait_for(what, limit, async || {
        let left: Vec<_> = paths.iter().flat_map(|path| files(path)).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await
}
