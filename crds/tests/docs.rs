//! The documents that are generated, and those that must name all of something.
#![cfg(feature = "k8s")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test may fail the test"
)]

use std::path::{Path, PathBuf};

use zkinfer_crds::k8s::reference;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(repository().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

/// Compares a file with what it should hold; with `ZKINFER_UPDATE` set, writes it.
fn is_current(file: &str, text: &str) {
    if std::env::var_os("ZKINFER_UPDATE").is_some() {
        std::fs::write(repository().join(file), text).unwrap();
    }
    assert!(
        read(file) == text,
        "{file} is not current: run the tests with ZKINFER_UPDATE=1"
    );
}

#[test]
fn the_api_reference_is_current() {
    is_current("docs/api-reference.md", &reference());
}
