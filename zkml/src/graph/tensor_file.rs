//! Tensors as people have them: `.npy`, `.npz` or JSON files of floats, and the way from there to a model's integers and back.
//!
//! Invariant: the integer of a float `x` is `round(x · 2^exponent)`, ties away from zero, or its rank where the input is held by
//! [`ranks`](super::ranks), for prover and verifier alike; a value that is not finite or lies outside the tensor's range is an error
//! that names it, never a clamp, and so is a fraction where the model takes whole numbers. Only an input that is held by ranks may
//! take a missing or an infinite value.

use std::collections::BTreeMap;

use super::scale::power_of_two;
use super::{IntTensor, TensorInfo, json, npy, npz};

/// A tensor of floats, row-major. A missing value is NaN; whether one is taken, [`quantise_input`] says.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatInput {
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
    /// As many as the product of `shape`.
    pub values: Vec<f64>,
}

/// Why something is not a tensor, or not one that a model takes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InputError {
    /// The bytes are no tensor.
    #[error("{0}")]
    Malformed(String),
    /// There are too many values.
    #[error("more than {max} values")]
    TooLarge {
        /// The most that is read.
        max: usize,
    },
    /// A value is NaN or infinite, where the model takes none.
    #[error("the value at {index} is missing or not finite")]
    NonFinite {
        /// Flat index.
        index: usize,
    },
    /// The shape is not the model's.
    #[error("the model takes the shape {expected:?}, the tensor has {got:?}{}", batch(.expected, .got))]
    Shape {
        /// The model's.
        expected: Vec<u32>,
        /// The tensor's.
        got: Vec<usize>,
    },
    /// So many inputs, more than a batch holds.
    #[error("{0} inputs were given, and the batch holds at most {1}")]
    Batch(usize, u32),
    /// The model takes whole numbers there.
    #[error("the value {value} at {index} is no whole number, and the model takes whole numbers there")]
    Fraction {
        /// Flat index.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A value lies outside what the model was calibrated for: this input has no proof.
    #[error("the value {value} at {index} is outside the calibrated range [{lo}, {hi}]")]
    OutOfCalibratedRange {
        /// Flat index.
        index: usize,
        /// The value.
        value: f64,
        /// Least accepted value.
        lo: f64,
        /// Greatest accepted value.
        hi: f64,
    },
}

/// What to do with a batch, where the tensor is one.
fn batch(expected: &[u32], got: &[usize]) -> String {
    let one: Vec<usize> = expected.iter().map(|&d| d as usize).collect();
    let one: Vec<usize> = one.into_iter().skip_while(|d| *d == 1).collect();
    let front = got.strip_suffix(one.as_slice());
    let many = front.and_then(|front| front.iter().try_fold(1usize, |n, &d| n.checked_mul(d)));
    match many {
        Some(many) if many > 1 => format!(
            ": a batch of {many}, and one input is answered at a time: make a request for each of them, or compile the model for \
             so many at once (batchSizes of a Model)"
        ),
        _ => String::new(),
    }
}

impl FloatInput {
    /// A tensor whose shape fits its values.
    ///
    /// # Errors
    /// A shape of another length.
    pub fn new(shape: Vec<usize>, values: Vec<f64>) -> Result<Self, InputError> {
        if shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)) != Some(values.len()) {
            return Err(InputError::Malformed(format!(
                "{} values do not have the shape {shape:?}",
                values.len()
            )));
        }
        Ok(Self { shape, values })
    }
}

/// Reads a `.npy` file of floats or integers in C order.
///
/// # Errors
/// Bytes that are no such file, or more than `max` values.
pub fn read_npy(bytes: &[u8], max: usize) -> Result<FloatInput, InputError> {
    npy::read(bytes, max)
}

/// Reads nested JSON lists of numbers; `null` is a missing value.
///
/// # Errors
/// Bytes that are no JSON, lists of uneven length, anything but numbers in them, or more than `max` values.
pub fn read_json(bytes: &[u8], max: usize) -> Result<FloatInput, InputError> {
    json::read(bytes, max)
}

/// Reads a JSON object of nested lists by input name, of together at most `max` values, or bare nested lists as the tensor of
/// `only`.
///
/// # Errors
/// As [`read_json`]; or bare lists where the model has not just one input.
pub fn read_json_by_name(
    bytes: &[u8],
    only: Option<&str>,
    max: usize,
) -> Result<BTreeMap<String, FloatInput>, InputError> {
    if without_mark(bytes).trim_ascii_start().starts_with(b"{") {
        return json::read_by_name(bytes, max);
    }
    let several = "the model has several inputs: give an object of tensors by input name";
    let only = only.ok_or_else(|| InputError::Malformed(several.to_owned()))?;
    Ok(BTreeMap::from([(only.to_owned(), json::read(bytes, max)?)]))
}

/// Whether a file begins as one of numbers does: a `.npy` array, a `.npz` archive of them, or JSON.
#[must_use]
pub fn begins_as_numbers(bytes: &[u8]) -> bool {
    let json = without_mark(bytes).trim_ascii_start().first();
    ending(bytes) != "json" || json.is_some_and(|b| b"[{".contains(b))
}

/// What a file of numbers is called by what it begins with: `npy`, `npz`, or else `json`.
#[must_use]
pub fn ending(bytes: &[u8]) -> &'static str {
    match bytes {
        bytes if bytes.starts_with(npy::MAGIC) => "npy",
        bytes if npz::is_npz(bytes) => "npz",
        _ => "json",
    }
}

/// Without the mark that some editors put before a text.
pub(super) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The integers of a float tensor for an input of the model. Leading dimensions of 1 may be left out or added.
///
/// # Errors
/// Another shape, a value that is not finite where none is taken, a fraction where the model takes whole numbers, or a value outside
/// the calibrated range.
pub fn quantise_input(info: &TensorInfo, input: &FloatInput) -> Result<IntTensor, InputError> {
    let expected = info.shape.iter().map(|&d| d as usize);
    let without_ones = |dims: Vec<usize>| dims.into_iter().skip_while(|d| *d == 1).collect::<Vec<_>>();
    if without_ones(expected.collect()) != without_ones(input.shape.clone())
        || info.len() != input.values.len()
    {
        return Err(InputError::Shape {
            expected: info.shape.clone(),
            got: input.shape.clone(),
        });
    }
    let (factor, unit) = (
        power_of_two(info.exponent.into()),
        power_of_two(-i32::from(info.exponent)),
    );
    let (lo, hi) = (info.range.lo(), info.range.hi());
    let integer = |(index, &value): (usize, &f64)| {
        if let Some(ranks) = &info.ranks {
            return ranks.rank(index, value).ok_or(InputError::NonFinite { index });
        }
        if !value.is_finite() {
            return Err(InputError::NonFinite { index });
        }
        if info.whole && value.fract() != 0.0 {
            return Err(InputError::Fraction { index, value });
        }
        let rounded = (value * factor).round();
        if rounded < lo as f64 || rounded > hi as f64 {
            let (lo, hi) = (lo as f64 * unit, hi as f64 * unit);
            return Err(InputError::OutOfCalibratedRange { index, value, lo, hi });
        }
        Ok(rounded as i64)
    };
    let values = input
        .values
        .iter()
        .enumerate()
        .map(integer)
        .collect::<Result<_, _>>()?;
    Ok(IntTensor {
        shape: info.shape.clone(),
        values,
    })
}

/// The floats that a tensor's integers stand for.
#[must_use]
pub fn dequantise(info: &TensorInfo, values: &[i64]) -> Vec<f64> {
    let unit = power_of_two(-i32::from(info.exponent));
    values.iter().map(|&v| v as f64 * unit).collect()
}

/// The floats that a request's integers stand for; of an input that is held by ranks, one of those that have the rank. None where
/// no value has it.
#[must_use]
pub fn given_floats(info: &TensorInfo, values: &[i64]) -> Option<Vec<f64>> {
    let Some(ranks) = &info.ranks else {
        return Some(dequantise(info, values));
    };
    let ranked = values.iter().enumerate();
    ranked.map(|(at, rank)| ranks.value(at, *rank)).collect()
}

/// Greatest |a − b| over the values, relative to max(1, max |b|); infinite for other lengths.
#[must_use]
pub fn relative_error(got: &[f64], expected: &[f64]) -> f64 {
    if got.len() != expected.len() {
        return f64::INFINITY;
    }
    let scale = expected.iter().fold(1f64, |m, v| m.max(v.abs()));
    got.iter()
        .zip(expected)
        .fold(0f64, |m, (a, b)| m.max((a - b).abs()))
        / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{FloatKind, IntRange, Missing, Ranking, Ranks};

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn info() -> TensorInfo {
        TensorInfo {
            name: "x".into(),
            shape: vec![1, 2, 2],
            range: IntRange::signed(8),
            exponent: 4,
            whole: false,
            ranks: None,
        }
    }

    #[test]
    fn reads_what_numpy_writes() {
        let data: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let read = read_npy(
            &npy(
                "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }\n",
                &data,
            ),
            9,
        )
        .unwrap();
        assert_eq!(
            read,
            FloatInput {
                shape: vec![1, 2],
                values: vec![1.5, -2.0]
            }
        );
        let read = read_npy(
            &npy(
                "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n",
                &[1, 2, 255],
            ),
            9,
        );
        assert_eq!(read.unwrap().values, [1.0, 2.0, 255.0]);
    }

    #[test]
    fn refuses_damaged_npy_files_without_allocating_by_their_numbers() {
        let huge = npy(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
            &[],
        );
        assert_eq!(
            read_npy(&huge, 1 << 20),
            Err(InputError::TooLarge { max: 1 << 20 })
        );
        let good = npy(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }",
            &1f64.to_le_bytes(),
        );
        for len in 0..good.len() {
            assert!(read_npy(&good[..len], 9).is_err(), "{len} bytes");
        }
        for (header, said) in [
            (
                "{'descr': '<f8', 'fortran_order': True, 'shape': (1,), }",
                "Fortran",
            ),
            (
                "{'descr': '<c16', 'fortran_order': False, 'shape': (1,), }",
                "<c16",
            ),
            (
                "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
                "plain type",
            ),
            (
                "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
                "shape",
            ),
        ] {
            let error = read_npy(&npy(header, &1f64.to_le_bytes()), 9)
                .unwrap_err()
                .to_string();
            assert!(error.contains(said), "{error}");
        }
        let nan = npy(
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }",
            &f64::NAN.to_le_bytes(),
        );
        assert!(read_npy(&nan, 9).unwrap().values[0].is_nan());
    }

    #[test]
    fn reads_tensors_by_input_name() {
        let read = read_json_by_name(br#"{"a": [1], "b": [[2, 3]]}"#, None, 9).unwrap();
        assert_eq!(
            (read["a"].values.as_slice(), read["b"].shape.as_slice()),
            (&[1.0][..], &[1, 2][..])
        );
        assert_eq!(
            read_json_by_name(b"[4]", Some("x"), 9).unwrap()["x"].values,
            [4.0]
        );
        assert!(
            read_json_by_name(br#" {"a": [1], "b": [2], "a": [3]}"#, None, 9)
                .unwrap_err()
                .to_string()
                .contains("`a` stands there twice")
        );
        assert!(
            read_json_by_name(b"[4]", None, 9)
                .unwrap_err()
                .to_string()
                .contains("several inputs")
        );
        assert!(
            read_json_by_name(br#"{"a": [[1], 2]}"#, None, 9)
                .unwrap_err()
                .to_string()
                .contains("input `a`")
        );
    }

    #[test]
    fn quantises_by_rounding_half_away_from_zero() {
        let input = FloatInput::new(vec![2, 2], vec![0.03125, -0.03125, 0.03, 7.9375]).unwrap();
        assert_eq!(quantise_input(&info(), &input).unwrap().values, [1, -1, 0, 127]);
        assert_eq!(dequantise(&info(), &[1, -128]), [0.0625, -8.0]);
    }

    #[test]
    fn refuses_other_shapes_and_values_out_of_range() {
        let transposed = FloatInput::new(vec![4], vec![0.0; 4]).unwrap();
        assert!(matches!(
            quantise_input(&info(), &transposed),
            Err(InputError::Shape { .. })
        ));
        for value in [7.97, -8.1, 1e300] {
            let input = FloatInput::new(vec![1, 2, 2], vec![0.0, 0.0, value, 0.0]).unwrap();
            let error = quantise_input(&info(), &input).unwrap_err();
            assert!(
                matches!(error, InputError::OutOfCalibratedRange { index: 2, .. }),
                "{value}: {error}"
            );
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused_where_nothing_ranks_it() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let input = FloatInput::new(vec![2, 2], vec![0.0, value, 0.0, 0.0]).unwrap();
            let refused = quantise_input(&info(), &input);
            assert_eq!(refused, Err(InputError::NonFinite { index: 1 }), "{value}");
        }
        let mut ranked = info();
        let ranking = |missing| Ranking {
            bounds: vec![0],
            missing,
        };
        ranked.ranks = Some(Ranks {
            float: FloatKind::Float32,
            places: vec![ranking(Missing::Above), ranking(Missing::Refused)],
        });
        let of = |values: [f64; 4]| {
            quantise_input(&ranked, &FloatInput::new(vec![2, 2], values.to_vec()).unwrap())
        };
        let made = of([f64::NAN, -1.0, f64::INFINITY, -0.0]).unwrap().values;
        assert_eq!(made, [2, 0, 1, 1]);
        assert_eq!(
            of([0.0, 0.0, 0.0, f64::NAN]),
            Err(InputError::NonFinite { index: 3 })
        );
        let back = given_floats(&ranked, &made).unwrap();
        assert!(back[0].is_nan() && back[1] < 0.0 && back[2..] == [0.0, 0.0]);
        assert_eq!(given_floats(&ranked, &[0, 2, 0, 0]), None);
    }

    #[test]
    fn error_is_relative_to_the_largest_expected_value() {
        assert_eq!(relative_error(&[1.0, 9.0], &[1.0, 10.0]), 0.1);
        assert_eq!(relative_error(&[0.1], &[0.2]), 0.1);
        assert_eq!(relative_error(&[], &[1.0]), f64::INFINITY);
    }
}
