//! NumPy's `.npy` files: a short header, then values.
//!
//! Invariant: nothing is allocated by a number in the file before it has been compared with the file's length and the
//! caller's limit.

use super::other_file;
use super::scale::power_of_two;
use super::tensor_file::{FloatInput, InputError};

pub(super) const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest header that is read; NumPy writes 128 bytes.
pub(super) const MAX_HEADER: usize = 4096;
const MAX_RANK: usize = 32;

/// Reads a float or integer array in C order.
///
/// # Errors
/// Bytes that are no such file, or more than `max` values.
pub(super) fn read(bytes: &[u8], max: usize) -> Result<FloatInput, InputError> {
    let malformed = |what: &str| InputError::Malformed(format!("not a readable .npy file: {what}"));
    let version = bytes.strip_prefix(MAGIC).and_then(|b| b.first_chunk::<2>());
    let (length_bytes, start) = match version {
        Some([1, _]) => (2, 8),
        Some([2 | 3, _]) => (4, 8),
        _ => {
            return Err(match other_file::recognise(bytes) {
                Some(other) if !bytes.starts_with(MAGIC) => {
                    InputError::Malformed(format!("not a .npy file but {other}"))
                }
                _ => malformed("no magic number or an unknown version"),
            });
        }
    };
    let length = bytes
        .get(start..start + length_bytes)
        .ok_or_else(|| malformed("it ends in its header"))?;
    let length = length.iter().rev().fold(0usize, |n, &b| n << 8 | usize::from(b));
    let data = start + length_bytes + length;
    if length > MAX_HEADER || data > bytes.len() {
        return Err(malformed("its header is too long"));
    }
    let header = std::str::from_utf8(&bytes[start + length_bytes..data])
        .map_err(|_| malformed("its header is not text"))?;
    let field = |name: &str| {
        let at = header.find(&format!("'{name}':"))?;
        Some(header[at..].split_once(':')?.1.trim_start())
    };
    let descr = field("descr")
        .and_then(|t| t.strip_prefix('\'')?.split_once('\''))
        .map(|(d, _)| d);
    let descr = descr.ok_or_else(|| malformed("no plain type"))?;
    if !field("fortran_order").is_some_and(|t| t.starts_with("False")) {
        return Err(malformed(
            "its values are in Fortran order; save numpy.ascontiguousarray(x)",
        ));
    }
    let dims = field("shape")
        .and_then(|t| t.strip_prefix('(')?.split_once(')'))
        .map(|(d, _)| d);
    let dims = dims
        .ok_or_else(|| malformed("no shape"))?
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty());
    let shape = dims.map(|d| d.parse().ok()).collect::<Option<Vec<usize>>>();
    let shape = shape
        .filter(|s| s.len() <= MAX_RANK)
        .ok_or_else(|| malformed("no shape"))?;
    let len = shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .filter(|n| *n <= max);
    let len = len.ok_or(InputError::TooLarge { max })?;
    let values = values(descr, &bytes[data..], len)?;
    FloatInput::new(shape, values)
}

fn values(descr: &str, data: &[u8], len: usize) -> Result<Vec<f64>, InputError> {
    fn all<const N: usize>(data: &[u8], len: usize, of: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let (chunks, rest) = data.as_chunks::<N>();
        (rest.is_empty() && chunks.len() == len).then(|| chunks.iter().map(|c| of(*c)).collect())
    }
    let read = match descr {
        "<f2" => all(data, len, |b| float16(u16::from_le_bytes(b))),
        "<f4" => all(data, len, |b| f64::from(f32::from_le_bytes(b))),
        "<f8" => all(data, len, f64::from_le_bytes),
        "|i1" => all(data, len, |b| f64::from(i8::from_le_bytes(b))),
        "|u1" | "|b1" => all(data, len, |b: [u8; 1]| f64::from(b[0])),
        "<i2" => all(data, len, |b| f64::from(i16::from_le_bytes(b))),
        "<u2" => all(data, len, |b| f64::from(u16::from_le_bytes(b))),
        "<i4" => all(data, len, |b| f64::from(i32::from_le_bytes(b))),
        "<u4" => all(data, len, |b| f64::from(u32::from_le_bytes(b))),
        "<i8" => all(data, len, |b| i64::from_le_bytes(b) as f64),
        other => {
            let other: String = other.chars().take(20).collect();
            return Err(InputError::Malformed(format!(
                "values of type `{other}`; save them as float32 or float64"
            )));
        }
    };
    read.ok_or_else(|| {
        InputError::Malformed(format!("not a readable .npy file: it does not hold {len} values"))
    })
}

/// The value of a float of 16 bits.
fn float16(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let magnitude = match i32::from(bits >> 10 & 0x1f) {
        0 => fraction * power_of_two(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        exponent => (fraction + 1024.0) * power_of_two(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_16_bits_are_what_they_say() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x2e66, 0.099_975_585_937_5),
            (0x7bff, 65504.0),
            (0x0001, 2f64.powi(-24)),
            (0x03ff, 1023.0 * 2f64.powi(-24)),
            (0x0400, 2f64.powi(-14)),
            (0x8000, 0.0),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(float16(bits), value, "{bits:#x}");
        }
        assert!(float16(0x7e00).is_nan());
    }
}
