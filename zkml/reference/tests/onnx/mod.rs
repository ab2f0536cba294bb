//! ONNX's own Python package, as scripts/onnx.sh installs it.
//!
//! Invariant: a test that cannot run without it says so where nobody can miss it, and fails if
//! `ZKINFER_REQUIRE_CLUSTER=1`. Nothing is installed from here.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

/// The folder that scripts/onnx.sh installs into.
fn environment() -> Option<PathBuf> {
    let named = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    named("ZKINFER_ONNX_ENV").or_else(|| {
        let cache = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
        Some(cache.join("zkinfer/onnx"))
    })
}

/// The folder of ONNX's node tests; none, said loudly, where the package is not installed and need not be.
pub fn node_tests() -> Option<PathBuf> {
    let folder = environment()
        .filter(|env| env.join(".stamp").is_file())
        .and_then(|env| fs::read_dir(env.join("lib")).ok())
        .and_then(|mut versions| versions.find_map(|v| v.ok()).map(|v| v.path()))
        .map(|python| python.join("site-packages/onnx/backend/test/data/node"));
    if let Some(folder) = folder.filter(|f| f.is_dir()) {
        return Some(folder);
    }
    let what = "ONNX's node tests are not on this machine; `scripts/onnx.sh` installs them";
    assert!(
        env::var("ZKINFER_REQUIRE_CLUSTER").as_deref() != Ok("1"),
        "{what}"
    );
    // Not eprintln!: the test runner keeps that to itself unless the test fails.
    let _ = writeln!(std::io::stderr(), "\n*** NOT RUN: {what}\n");
    None
}

/// The folders in a folder, by name.
pub fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is read");
    let mut found: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}
