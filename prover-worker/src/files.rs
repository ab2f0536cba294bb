//! Reading and writing files, every failure named.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use zkinfer_crds::Digest;
use zkml::graph::Inputs;
use zkml::graph::other_file::recognise;
use zkml::manifest::Manifest;
use zkml::setup::{Srs, SrsSource};
use zkml::systems::SYSTEMS;

use crate::args::SrsArgs;
use crate::exit::UsageError;

/// Largest input or calibration file, in values.
const MAX_VALUES: usize = 1 << 24;
/// Largest file that is read whole, in bytes.
const MAX_FILE_BYTES: u64 = 2 << 30;

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, UsageError> {
    read_up_to(path, MAX_FILE_BYTES)
}

/// What is read decides, not what the file system says: devices and pipes have no size.
fn read_up_to(path: &Path, most: u64) -> Result<Vec<u8>, UsageError> {
    let bad = |e: std::io::Error| UsageError::new(format!("cannot read {}: {e}", path.display()));
    let too_large = || UsageError::new(format!("{} is larger than {most} bytes", path.display()));
    let mut file = File::open(path).map_err(bad)?;
    let size = file.metadata().map_err(bad)?.len();
    if size > most {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.by_ref()
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(bad)?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok(bytes)
}

/// Writes beside the target and renames: a reader never sees half a file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), UsageError> {
    let bad = |e: std::io::Error| UsageError::new(format!("cannot write {}: {e}", path.display()));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(bad)?;
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, path))
        .map_err(bad)
}

/// Where a blob stands below a folder.
pub(crate) fn blob_path(dir: &Path, digest: &Digest) -> PathBuf {
    dir.join("blobs").join("sha256").join(digest.hex())
}

/// Writes a blob under its digest.
pub(crate) fn write_blob(dir: &Path, bytes: &[u8]) -> Result<Digest, UsageError> {
    let digest = Digest::of(bytes);
    write(&blob_path(dir, &digest), bytes)?;
    Ok(digest)
}

/// Reads a blob and compares its digest.
pub(crate) fn read_blob(dir: &Path, digest: &Digest) -> Result<Vec<u8>, UsageError> {
    let path = blob_path(dir, digest);
    let bytes = read(&path)?;
    let got = Digest::of(&bytes);
    if got == *digest {
        Ok(bytes)
    } else {
        Err(UsageError::new(format!(
            "{} is damaged: its digest is {got}",
            path.display()
        )))
    }
}

/// Reads a model's inputs, or samples of them: `.npy`, nested JSON lists, or `.npz` or a JSON object by input name.
pub(crate) fn inputs(path: &Path) -> Result<Inputs, UsageError> {
    Inputs::read(&read(path)?, MAX_VALUES).map_err(|e| UsageError::new(format!("{}: {e}", path.display())))
}

/// Reads inputs that are given one after the other, for a batch; none where nothing is given.
pub(crate) fn rows(paths: &[PathBuf]) -> Result<Option<Inputs>, UsageError> {
    let read: Vec<Inputs> = paths.iter().map(|path| inputs(path)).collect::<Result<_, _>>()?;
    Ok((!read.is_empty()).then(|| Inputs::several(read)))
}

/// What a file was read as, or what it is instead where that can be told.
pub(crate) fn read_as<T, E: std::fmt::Display>(
    what: &str,
    path: &Path,
    bytes: &[u8],
    read: Result<T, E>,
) -> Result<T, UsageError> {
    read.map_err(|e| match recognise(bytes) {
        Some(other) => UsageError::new(format!("{} is not {what} but {other}", path.display())),
        None => UsageError::new(format!("{}: {e}", path.display())),
    })
}

/// Reads a manifest.
pub(crate) fn manifest(path: &Path) -> Result<Manifest, UsageError> {
    let bytes = read(path)?;
    read_as("a manifest", path, &bytes, Manifest::from_bytes(&bytes, SYSTEMS))
}

/// The trusted setup that the flags name.
pub(crate) fn srs_source(args: &SrsArgs) -> Result<Option<SrsSource>, UsageError> {
    match &args.srs {
        Some(path) => {
            let bytes = read(path)?;
            let srs = read_as("an SRS", path, &bytes, Srs::read(&bytes))?;
            Ok(Some(SrsSource::Points(Box::new(srs))))
        }
        None => Ok(args.allow_dev_srs.then_some(SrsSource::Development)),
    }
}

/// What to do without a trusted setup.
pub(crate) const NO_SRS: &str = "no trusted setup was given. Import one from a public ceremony, for example
    prover-worker srs import powersOfTau28_hez_final_16.ptau --k 16 --out srs-16.bin
and give it with --srs srs-16.bin; or give --allow-dev-srs for a try-out whose proofs are FORGEABLE BY ANYONE";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_size_is_read_up_to_the_limit() {
        let error = read_up_to(Path::new("/dev/zero"), 1 << 20).unwrap_err();
        assert!(error.to_string().contains("larger than 1048576 bytes"), "{error}");
        assert_eq!(read_up_to(Path::new("/dev/null"), 1).unwrap(), b"");
    }
}
