//! Images without a registry: an archive made elsewhere, or one static binary wrapped as an image FROM scratch.
//!
//! Invariant: the same binary under the same name gives the same bytes, hence the same digest.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Error, tools::search_path};

/// Whether the file is a program, and not an archive.
pub(super) fn is_binary(file: &Path) -> Result<bool, Error> {
    let mut magic = [0; 4];
    let mut file_handle = fs::File::open(file).map_err(Error::io(file.display().to_string()))?;
    Ok(file_handle.read_exact(&mut magic).is_ok() && magic == *b"\x7fELF")
}

/// Wraps a static binary as an OCI archive in `work`: entry point `/<file name>`, user 65532, nothing else inside.
pub(super) fn wrap(binary: &Path, name: &str, work: &Path) -> Result<PathBuf, Error> {
    let file_name = binary
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("program");
    let layout = work.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(Error::io("image layout"))?;

    // Under its plain name and mode, whatever the build folder says.
    let root = work.join("root");
    fs::create_dir_all(&root).map_err(Error::io("image root"))?;
    let program = root.join(file_name);
    fs::copy(binary, &program).map_err(Error::io(binary.display().to_string()))?;
    let mode = <fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    fs::set_permissions(&program, mode).map_err(Error::io(file_name))?;
    let layer_file = work.join("layer.tar");
    tar(&root, &layer_file, &[file_name])?;

    let layer = Blob::new(&blobs, &fs::read(&layer_file).map_err(Error::io("layer.tar"))?)?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = Blob::new(
        &blobs,
        &json_bytes(&json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"User": "65532:65532", "Entrypoint": [format!("/{file_name}")], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        })),
    )?;
    let manifest = Blob::new(
        &blobs,
        &json_bytes(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
        })),
    )?;
    let mut entry = manifest.descriptor(MANIFEST);
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry["annotations"] =
        json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name});
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]});
    fs::write(layout.join("index.json"), json_bytes(&index)).map_err(Error::io("index.json"))?;
    let version = json!({"imageLayoutVersion": "1.0.0"});
    fs::write(layout.join("oci-layout"), json_bytes(&version)).map_err(Error::io("oci-layout"))?;
    let archive = work.join("image.tar");
    tar(&layout, &archive, &["oci-layout", "index.json", "blobs"])?;
    Ok(archive)
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

struct Blob {
    digest: String,
    size: usize,
}

impl Blob {
    fn new(blobs: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let hex = hex::encode(Sha256::digest(bytes));
        fs::write(blobs.join(&hex), bytes).map_err(Error::io(hex.clone()))?;
        Ok(Self {
            digest: format!("sha256:{hex}"),
            size: bytes.len(),
        })
    }

    fn descriptor(&self, media_type: &str) -> serde_json::Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.size})
    }
}

fn json_bytes(value: &serde_json::Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn tar(folder: &Path, archive: &Path, entries: &[&str]) -> Result<(), Error> {
    let output = Command::new("tar")
        .args([
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--format=ustar",
        ])
        .arg("-C")
        .arg(folder)
        .arg("-cf")
        .arg(archive)
        .args(entries)
        .env("PATH", search_path())
        .output()
        .map_err(Error::io("tar"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Command {
        command: "tar".into(),
        status: output.status,
        stderr,
    })
}
