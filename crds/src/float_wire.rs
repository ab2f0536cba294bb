//! The contract between the operator and `prover-worker reference`, which evaluates models in floats: frames over a Unix
//! socket, one answer per call, in order.
//!
//! | call | body | answers |
//! |---|---|---|
//! | [`Call::Evaluate`] | the inputs' values | [`Answer::Outputs`] with values; [`Answer::Unknown`]: load the model first; [`Answer::Refused`]; [`Answer::Failed`] |
//! | [`Call::Load`] | ONNX file, manifest | [`Answer::Loaded`]; [`Answer::Refused`]; [`Answer::Failed`] |
//!
//! A frame is the header's length (u32, little-endian), the body's length (u64, little-endian), the header as JSON, and
//! the body. Values are f64, little-endian, one tensor after the other, row-major.
//!
//! Invariant: a reader takes no more than it was told to expect, and no memory before the bytes have come.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::words::Digest;

/// The largest header, in bytes.
pub const MAX_HEADER_BYTES: u32 = 64 << 10;
/// The largest model, in bytes: what the operator takes.
pub const MAX_MODEL_BYTES: u64 = 64 << 20;
/// The largest body of a model and its manifest, in bytes.
pub const MAX_LOAD_BYTES: u64 = MAX_MODEL_BYTES + (16 << 20);
/// The most values of all inputs, and of all outputs, together.
pub const MAX_VALUES: u64 = 1 << 22;
/// The largest body of values, in bytes.
pub const MAX_VALUES_BYTES: u64 = 8 * MAX_VALUES;
/// The longest that one call may take, in seconds; the reference ends it then.
pub const CALL_SECONDS: u64 = 60;

/// What is asked of the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Call {
    /// Hold a model: the body is its ONNX file, then its manifest.
    Load {
        /// SHA-256 of the manifest, by which the model is known from then on.
        manifest: Digest,
        /// SHA-256 of the ONNX file.
        model: Digest,
        /// Length of the ONNX file.
        model_bytes: u64,
    },
    /// Evaluate a model on one input; where the manifest answers several at once, on this one alone.
    Evaluate {
        /// SHA-256 of its manifest.
        manifest: Digest,
        /// The inputs; the body has their values, in this order.
        inputs: Vec<Input>,
        /// By output: its natural magnitude.
        output_scale: Vec<f64>,
    },
}

/// An input that is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Input {
    /// Its name in the model.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u32>,
}

/// Tensors that the integers hold too coarsely for an input, and what these alone do to the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Coarse {
    /// The first one.
    pub tensor: String,
    /// How many there are.
    pub count: u32,
    /// The error of the float answer with the integers in their places, with the outputs' scales.
    pub error: f64,
    /// The same, relative to the outputs' own size only.
    pub bare_error: f64,
}

/// What the reference answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Answer {
    /// The model is held, for now.
    Loaded,
    /// The model is not held.
    Unknown,
    /// The outputs; the body has their values.
    Outputs {
        /// By output, in the model's order: how many values.
        lengths: Vec<u64>,
        /// By output: whether the file says that it is of whole numbers, or of yes and no.
        exact: Vec<bool>,
        /// Whether the model has this answer without the outputs' scales as well: else a judge who is not told of them says that it
        /// hangs on how floats are rounded.
        bare_settled: bool,
        /// Tensors that are too coarse for the input, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        coarse: Option<Coarse>,
    },
    /// The model is none that the reference reads, or does not evaluate on these inputs; the same again ends the same.
    Refused {
        /// Why.
        message: String,
    },
    /// It was not done, for a reason that may pass: too little memory, too little time, a crash.
    Failed {
        /// Why.
        message: String,
    },
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side has ended, between two frames.
    #[error("the connection was closed")]
    Closed,
    /// A length beyond its limit.
    #[error("a frame's {what} of {got} bytes, at most {max} are read")]
    TooLarge {
        /// Header or body.
        what: &'static str,
        /// Its length.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// A header that is none.
    #[error("a frame's header: {0}")]
    Header(#[from] serde_json::Error),
    /// A body that is not the header's.
    #[error("a frame's body: {0}")]
    Body(&'static str),
}

/// Writes a frame.
///
/// # Errors
/// The socket, or a header beyond its limit.
pub fn write_frame(to: &mut impl Write, header: &impl Serialize, body: &[u8]) -> Result<(), FrameError> {
    let header = serde_json::to_vec(header)?;
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
    limit("header", length.into(), MAX_HEADER_BYTES.into())?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&(body.len() as u64).to_le_bytes())?;
    to.write_all(&header)?;
    to.write_all(body)?;
    Ok(to.flush()?)
}

/// Reads a frame whose body has at most `max_body` bytes.
///
/// # Errors
/// The socket, or bytes that are no such frame.
pub fn read_frame<T: DeserializeOwned>(
    from: &mut impl Read,
    max_body: u64,
) -> Result<(T, Vec<u8>), FrameError> {
    let mut lengths = [0; 12];
    let first = loop {
        match from.read(&mut lengths) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if first == 0 {
        return Err(FrameError::Closed);
    }
    from.read_exact(&mut lengths[first..])?;
    let [a, b, c, d, body @ ..] = lengths;
    let (header, body) = (u32::from_le_bytes([a, b, c, d]), u64::from_le_bytes(body));
    limit("header", header.into(), MAX_HEADER_BYTES.into())?;
    limit("body", body, max_body)?;
    let header = serde_json::from_slice(&bytes(from, header.into())?)?;
    Ok((header, bytes(from, body)?))
}

fn limit(what: &'static str, got: u64, max: u64) -> Result<(), FrameError> {
    if got > max {
        Err(FrameError::TooLarge { what, got, max })
    } else {
        Ok(())
    }
}

fn bytes(from: &mut impl Read, length: u64) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into()))
    }
}

/// The bytes of tensors' values, one after the other.
#[must_use]
pub fn value_bytes<'a>(tensors: impl IntoIterator<Item = &'a [f64]>) -> Vec<u8> {
    let values = tensors.into_iter().flatten();
    values.flat_map(|v| v.to_le_bytes()).collect()
}

/// The values of tensors of these lengths.
///
/// # Errors
/// A body that has not as many.
pub fn values_of(body: &[u8], lengths: impl IntoIterator<Item = u64>) -> Result<Vec<Vec<f64>>, FrameError> {
    let other = || FrameError::Body("it has another number of values than its header says");
    let (mut rest, mut tensors) = (body, Vec::new());
    for length in lengths {
        let bytes = usize::try_from(length).ok().and_then(|n| n.checked_mul(8));
        let (own, after) = bytes.and_then(|n| rest.split_at_checked(n)).ok_or_else(other)?;
        let of_bytes = |b: &[u8]| b.try_into().map_or(f64::NAN, f64::from_le_bytes);
        tensors.push(own.chunks(8).map(of_bytes).collect());
        rest = after;
    }
    if rest.is_empty() {
        Ok(tensors)
    } else {
        Err(other())
    }
}

/// The number of values of a shape; `None` beyond [`MAX_VALUES`].
#[must_use]
pub fn length_of(shape: &[u32]) -> Option<u64> {
    let product = shape.iter().try_fold(1u64, |n, &d| n.checked_mul(d.into()));
    product.filter(|n| *n <= MAX_VALUES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluate() -> Call {
        Call::Evaluate {
            manifest: Digest::of(b"m"),
            output_scale: vec![0.1],
            inputs: [("x", vec![1, 2]), ("y", vec![])]
                .map(|(name, shape)| Input {
                    name: name.to_owned(),
                    shape,
                })
                .into(),
        }
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &evaluate(), body).unwrap();
        bytes
    }

    #[test]
    fn a_frame_and_its_values_come_back_as_they_were() {
        let tensors: [&[f64]; 2] = [&[1.5, -0.0], &[f64::INFINITY]];
        let bytes = frame(&value_bytes(tensors));
        let mut from = bytes.as_slice();
        let (call, body) = read_frame::<Call>(&mut from, 24).unwrap();
        assert_eq!((call, from.len()), (evaluate(), 0));
        assert_eq!(values_of(&body, [2, 1]).unwrap(), tensors);
        for lengths in [vec![2], vec![2, 2], vec![3, 1], vec![u64::MAX, 1]] {
            assert!(values_of(&body, lengths).is_err());
        }
        assert!(matches!(
            read_frame::<Call>(&mut from, 24),
            Err(FrameError::Closed)
        ));
    }

    #[test]
    fn takes_no_more_than_its_limits_and_no_memory_for_what_is_announced_only() {
        let bytes = frame(&[0; 24]);
        let refused = |bytes: &[u8], max| read_frame::<Call>(&mut &*bytes, max).unwrap_err().to_string();
        assert!(refused(&bytes, 23).contains("a frame's body of 24 bytes"));
        let mut long = bytes.clone();
        long[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(refused(&long, 24).contains("a frame's header of 4294967295 bytes"));
        let mut announced = bytes.clone();
        announced[4..12].copy_from_slice(&(1u64 << 50).to_le_bytes());
        // 2^50 bytes are allowed here: they are not there, and were not allocated.
        assert!(refused(&announced, u64::MAX).contains("unexpected end"));
        for cut in [1, 11, 20, bytes.len() - 1] {
            refused(&bytes[..cut], 24);
        }
        let mut other = bytes;
        other[12] = b'x';
        assert!(refused(&other, 24).contains("a frame's header"));
    }
}
