//! What is compared with the chain's own SDK comes from `tests/weights/vectors.json`, which that SDK has made.

mod chain;
mod file;
mod identities;
mod publication;
mod schedule;
mod vector;

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
