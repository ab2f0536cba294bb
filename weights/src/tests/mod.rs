//! What is compared with the chain's own SDK comes from `tests/weights/vectors.json`, which that SDK has made.

mod chain;
mod file;
mod identities;
#[cfg(feature = "timelock")]
mod lock;
mod publication;
mod record;
mod schedule;
mod vector;

use std::path::Path;

use serde_json::Value;

/// What the SDK has made.
fn made() -> Value {
    serde_json::from_str(include_str!("../../../tests/weights/vectors.json")).unwrap()
}

/// The rows of one part of it; never none.
fn rows(part: &str) -> Vec<Value> {
    let rows = made()[part].as_array().unwrap().clone();
    assert!(!rows.is_empty());
    rows
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

/// What the SDK is given of ours, by `tests/weights/vectors.py --check`, is still good. It is random: where the file is missing,
/// ZKINFER_UPDATE=1 writes it.
fn ours(part: &str, rows: &Value, good: impl Fn(&[Value])) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/weights")
        .join(format!("ours-{part}.json"));
    if std::env::var_os("ZKINFER_UPDATE").is_some() && !path.exists() {
        std::fs::write(&path, format!("{rows:#}\n")).unwrap();
    }
    let held: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let held = held.as_array().unwrap();
    assert!(!held.is_empty());
    good(held);
}
