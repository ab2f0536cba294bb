//! ONNX's own Python packages, with which tests compare.

use std::path::PathBuf;
use std::process::Command;

use crate::cluster::not_run;
use crate::local::repository;

/// The Python environment of `scripts/onnx.sh`; the first statement of every test that needs it. `None` where the machine
/// lacks it, which is said where nobody can miss it.
///
/// # Panics
/// With `ZKINFER_REQUIRE_CLUSTER=1`, where it is not there.
#[must_use]
pub fn environment() -> Option<PathBuf> {
    let found = Command::new(repository().join("scripts/onnx.sh"))
        .arg("--check")
        .output();
    let missing = match found {
        Ok(output) if output.status.success() => {
            return Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    not_run(&format!("{missing}run scripts/onnx.sh")).then(PathBuf::new)
}

/// Weights of a model: a name, sizes, values.
pub type Weights<'a> = (&'a str, &'a [u64], &'a [f32]);

/// An ONNX file of nodes without attributes: `(operator, inputs, output)`. Inputs and outputs are floats of these sizes.
#[must_use]
pub fn file(
    nodes: &[(&str, &[&str], &str)],
    weights: &[Weights<'_>],
    inputs: &[(&str, &[u64])],
    outputs: &[(&str, &[u64])],
) -> Vec<u8> {
    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }
    fn field(tag: u64, bytes: &[u8]) -> Vec<u8> {
        [&varint(tag << 3 | 2)[..], &varint(bytes.len() as u64), bytes].concat()
    }
    fn number(tag: u64, value: u64) -> Vec<u8> {
        [varint(tag << 3), varint(value)].concat()
    }
    // The tags are those of onnx.proto; a float is element type 1.
    let port = |(name, sizes): &(&str, &[u64])| {
        let sizes: Vec<u8> = sizes.iter().flat_map(|&d| field(1, &number(1, d))).collect();
        let tensor = [number(1, 1), field(2, &sizes)].concat();
        [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
    };
    let node = |(op, inputs, output): &(&str, &[&str], &str)| {
        let inputs = inputs.iter().flat_map(|i| field(1, i.as_bytes()));
        let rest = [field(2, output.as_bytes()), field(4, op.as_bytes())].concat();
        inputs.chain(rest).collect::<Vec<u8>>()
    };
    let tensor = |(name, sizes, values): &Weights<'_>| {
        let sizes = sizes.iter().flat_map(|&d| number(1, d));
        let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let rest = [number(2, 1), field(8, name.as_bytes()), field(9, &raw)].concat();
        sizes.chain(rest).collect::<Vec<u8>>()
    };
    let graph: Vec<u8> = nodes
        .iter()
        .flat_map(|n| field(1, &node(n)))
        .chain(field(2, b"g"))
        .chain(weights.iter().flat_map(|w| field(5, &tensor(w))))
        .chain(inputs.iter().flat_map(|p| field(11, &port(p))))
        .chain(outputs.iter().flat_map(|p| field(12, &port(p))))
        .collect();
    [number(1, 8), field(7, &graph), field(8, &number(2, 13))].concat()
}
