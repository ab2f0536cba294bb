//! Files of this machine that are given to an operator.
//!
//! Invariant: what an operator would refuse for its size is refused here, by name and before anything is sent.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::MAX_FILE_BYTES;

/// Why a file is not given.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An operator reads none so large.
    #[error(
        "{} has {}, and an operator reads at most {MAX_FILE_BYTES} ({} MiB) of a file: compile a larger model by hand with \
         `prover-worker compile`, and prove with `prover-worker prove`",
        path.display(),
        size.map_or_else(|| "more bytes than that".to_owned(), |size| format!("{size} bytes")),
        MAX_FILE_BYTES >> 20
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its bytes, where it says so: a pipe does not.
        size: Option<u64>,
    },
}

/// Reads a file that an operator may be given.
///
/// # Errors
/// See [`FileError`].
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let too_large = |size| FileError::TooLarge {
        path: path.to_owned(),
        size,
    };
    let file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    if size > MAX_FILE_BYTES {
        return Err(too_large(Some(size)));
    }
    let mut bytes = Vec::new();
    // A device or a pipe has no size.
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large(None));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_limit_and_a_larger_one_or_an_endless_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let file = File::create(&path).unwrap();
        file.set_len(MAX_FILE_BYTES).unwrap();
        assert_eq!(read(&path).unwrap().len() as u64, MAX_FILE_BYTES);
        file.set_len(MAX_FILE_BYTES + 1).unwrap();
        let said = read(&path).unwrap_err().to_string();
        let words =
            "model.onnx has 67108865 bytes, and an operator reads at most 67108864 (64 MiB) of a file";
        assert!(
            said.contains(words) && said.contains("`prover-worker compile`"),
            "{said}"
        );
        let endless = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(
            endless.starts_with("/dev/zero has more bytes than that"),
            "{endless}"
        );
        let nowhere = read(&folder.path().join("nowhere")).unwrap_err().to_string();
        assert!(
            nowhere.starts_with("cannot read ") && nowhere.contains("No such file"),
            "{nowhere}"
        );
    }
}
