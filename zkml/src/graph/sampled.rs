//! An input that is drawn with a seed: what a benchmark asks, which anybody who has the seed draws again.
//!
//! ```text
//! word n     = the n-th 8 bytes of SHA-256("zkinfer/sampled-input/v1" seed 0) SHA-256(… seed 1) …      numbers big-endian
//! below(m)   = word · m / 2^64, rounded down
//!
//! of samples = two of them, a = below(count) and b = below(count), and a part t = below(65537) of the way from one to the other;
//!              then of each value, input by input, row-major:
//!              a + round((b - a) · t / 65536) + below(2 j + 1) - j      j = the 512th part of the range, at least 1
//!              a                                                        of an input of whole numbers, or of ranks
//! without    = of each value
//!              a normal number: twelve below(2^32) added up, less 6 · 2^32, by 2^(exponent - 32), rounded
//!              the mean of three below(2^bits), rounded                 of an input of whole numbers
//!              the mean of three below(ranks), rounded                  of an input of ranks: a float that has this one
//! ```
//!
//! Invariant: integers from the seed on, the same on every machine; each is one of its input's exact range, so that quantising the
//! floats gives the same integers again.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{FloatInput, TensorInfo, given_floats, scale::power_of_two};

const DOMAIN: &[u8] = b"zkinfer/sampled-input/v1";
/// Parts of the way from one sample to another.
const PARTS: u64 = 1 << 16;

/// Why no input can be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// The samples are of another model.
    #[error("a sample of input `{input}` has {got} values, and the model takes {expected}")]
    Length {
        /// The input.
        input: String,
        /// What the model takes.
        expected: usize,
        /// What the sample has.
        got: usize,
    },
}

/// Inputs as a file that whoever asks may give: nested lists of the only one, or an object by input name.
#[must_use]
pub fn input_file<V: AsRef<[f64]>>(inputs: &[&TensorInfo], values: &[V]) -> Vec<u8> {
    let named = inputs.iter().zip(values);
    input_file_of_rows([named.map(|(info, values)| (info.name.as_str(), &*info.shape, values.as_ref()))])
}

/// The same of several times a model's inputs, each with name, shape and values: the outermost lists count them.
#[must_use]
pub fn input_file_of_rows<'a, R: IntoIterator<Item = (&'a str, &'a [u32], &'a [f64])>>(
    rows: impl IntoIterator<Item = R>,
) -> Vec<u8> {
    // By name, whatever order JSON's objects are made in.
    let mut all: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, shape, values) in rows.into_iter().flatten() {
        all.entry(name).or_default().push(nested(shape, values));
    }
    let joined = |mut rows: Vec<Value>| match rows.len() {
        1 => rows.remove(0),
        _ => Value::Array(rows),
    };
    let mut all: BTreeMap<&str, Value> = all.into_iter().map(|(name, rows)| (name, joined(rows))).collect();
    let file = match all.len() {
        1 => all.values_mut().next().map(Value::take).unwrap_or_default(),
        _ => all.into_iter().map(|(name, of)| (name.to_owned(), of)).collect(),
    };
    file.to_string().into_bytes()
}

/// A tensor as nested lists.
fn nested(shape: &[u32], values: &[f64]) -> Value {
    match shape.split_first() {
        None => values.first().map_or(Value::Null, |v| (*v).into()),
        Some((&first, inner)) => {
            let each = values.len() / (first as usize).max(1);
            let rows = values.chunks(each.max(1)).map(|row| nested(inner, row));
            Value::Array(rows.collect())
        }
    }
}

/// Words that follow from a seed.
struct Words<'a> {
    seed: &'a [u8; 32],
    block: u64,
    left: Vec<u64>,
}

impl<'a> Words<'a> {
    const fn of(seed: &'a [u8; 32]) -> Self {
        Self {
            seed,
            block: 0,
            left: Vec::new(),
        }
    }

    fn next(&mut self) -> u64 {
        loop {
            if let Some(word) = self.left.pop() {
                return word;
            }
            let mut hash = Sha256::new();
            hash.update(DOMAIN);
            hash.update(self.seed);
            hash.update(self.block.to_be_bytes());
            self.block += 1;
            let bytes = hash.finalize();
            let words = bytes.chunks_exact(8).rev();
            self.left
                .extend(words.map(|word| word.iter().fold(0, |n, byte| (n << 8) | u64::from(*byte))));
        }
    }

    fn below(&mut self, most: u64) -> i64 {
        ((u128::from(self.next()) * u128::from(most)) >> 64) as i64
    }
}

/// Draws a value of every input: with samples beside them, without samples (`count` is 0) as inputs are made up for a model that has
/// none. Each sample has its inputs in the order of the model's; `sample` is asked for two of them.
///
/// # Errors
/// Samples of another model.
pub fn sampled(
    inputs: &[&TensorInfo],
    count: usize,
    sample: impl Fn(usize) -> Vec<FloatInput>,
    seed: &[u8; 32],
) -> Result<Vec<Vec<f64>>, SampleError> {
    let mut words = Words::of(seed);
    if count == 0 {
        let drawn = inputs.iter().map(|info| {
            let integers = (0..info.len()).map(|at| made_up(info, at, &mut words));
            floats(info, &integers.collect::<Vec<i64>>())
        });
        return Ok(drawn.collect());
    }
    let count = count as u64;
    let (one, other) = (words.below(count) as usize, words.below(count) as usize);
    let (one, other) = (sample(one), sample(other));
    let part = words.below(PARTS + 1);
    let drawn = inputs.iter().enumerate().map(|(at, info)| {
        let (one, other) = (of(&one, at, info)?, of(&other, at, info)?);
        let pairs = one.iter().zip(other);
        let integers: Vec<i64> = pairs
            .enumerate()
            .map(|(place, (a, b))| between(info, place, (*a, *b), part, &mut words))
            .collect();
        Ok(floats(info, &integers))
    });
    drawn.collect()
}

/// The floats of integers that were drawn, each of which is some float's.
fn floats(info: &TensorInfo, integers: &[i64]) -> Vec<f64> {
    given_floats(info, integers).unwrap_or_default()
}

/// An input's values in a sample.
fn of<'s>(sample: &'s [FloatInput], at: usize, info: &TensorInfo) -> Result<&'s [f64], SampleError> {
    let values = sample.get(at).map_or(&[][..], |tensor| tensor.values.as_slice());
    match values.len() == info.len() {
        true => Ok(values),
        false => Err(SampleError::Length {
            input: info.name.clone(),
            expected: info.len(),
            got: values.len(),
        }),
    }
}

/// The integer of a sample's float, in range whatever it is.
fn integer(info: &TensorInfo, at: usize, value: f64) -> i64 {
    if let Some(ranks) = &info.ranks {
        return ranks.rank(at, value).unwrap_or_default();
    }
    let rounded = (value * power_of_two(info.exponent.into())).round();
    (rounded as i64).clamp(info.range.lo(), info.range.hi())
}

fn between(info: &TensorInfo, at: usize, (a, b): (f64, f64), part: i64, words: &mut Words<'_>) -> i64 {
    let (a, b) = (integer(info, at, a), integer(info, at, b));
    if info.whole || info.ranks.is_some() {
        return a;
    }
    let way = ((b - a) * part + (PARTS / 2) as i64).div_euclid(PARTS as i64);
    let aside = (width(info) >> 9).max(1);
    let aside = words.below(2 * aside + 1) - aside as i64;
    (a + way + aside).clamp(info.range.lo(), info.range.hi())
}

fn made_up(info: &TensorInfo, at: usize, words: &mut Words<'_>) -> i64 {
    let (lo, hi) = (info.range.lo(), info.range.hi());
    let mut mean = |count: u64| {
        let sum: i64 = (0..3).map(|_| words.below(count)).sum();
        lo + (2 * sum + 3) / 6
    };
    if let Some(ranks) = &info.ranks {
        return mean(ranks.most(at).unsigned_abs() + 1);
    }
    if info.whole {
        return mean(width(info));
    }
    let sum: i64 = (0..12).map(|_| words.below(1 << 32)).sum();
    let normal = i128::from(sum - (6 << 32));
    let shift = i32::from(info.exponent) - 32;
    let scaled = match u32::try_from(shift) {
        Ok(left) => normal << left.min(64),
        Err(_) => {
            let right = shift.unsigned_abs().min(100);
            (normal + (1 << (right - 1))) >> right
        }
    };
    scaled.clamp(lo.into(), hi.into()) as i64
}

/// How many values there are.
fn width(info: &TensorInfo) -> u64 {
    1 << info.range.bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Inputs, IntRange, quantise_input};

    fn info(range: IntRange, exponent: i16, whole: bool, shape: &[u32]) -> TensorInfo {
        TensorInfo {
            name: "x".to_owned(),
            range,
            shape: shape.to_vec(),
            whole,
            ranks: None,
            exponent,
        }
    }

    fn sample(values: &[f64]) -> Vec<FloatInput> {
        vec![FloatInput {
            shape: vec![values.len()],
            values: values.to_vec(),
        }]
    }

    fn drawn_from(
        inputs: &[&TensorInfo],
        samples: &[Vec<FloatInput>],
        seed: &[u8; 32],
    ) -> Result<Vec<Vec<f64>>, SampleError> {
        sampled(inputs, samples.len(), |at| samples[at].clone(), seed)
    }

    /// The integers of what was drawn: it quantises to what it was drawn as.
    fn integers(info: &TensorInfo, drawn: &[f64]) -> Vec<i64> {
        let shape = info.shape.iter().map(|d| *d as usize).collect();
        let values = drawn.to_vec();
        quantise_input(info, &FloatInput { shape, values })
            .unwrap()
            .values
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_one_something_else() {
        let of = info(IntRange::signed(12), 8, false, &[4, 8]);
        let draw = |seed: u8| drawn_from(&[&of], &[], &[seed; 32]).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(draw(1)[0].len(), 32);
    }

    #[test]
    fn without_samples_values_are_standard_normal_and_in_range() {
        let of = info(IntRange::signed(16), 10, false, &[20_000]);
        let drawn = drawn_from(&[&of], &[], &[7; 32]).unwrap().remove(0);
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let variance = drawn.iter().map(|v| v * v).sum::<f64>() / drawn.len() as f64;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05,
            "{mean} {variance}"
        );
        integers(&of, &drawn);
        // A range that holds less is not left.
        let narrow = info(IntRange::signed(3), 2, false, &[500]);
        let drawn = drawn_from(&[&narrow], &[], &[7; 32]).unwrap().remove(0);
        let least = integers(&narrow, &drawn).into_iter().min();
        assert_eq!(least, Some(-4));
    }

    #[test]
    fn whole_numbers_are_whole_in_range_and_the_middle_is_likelier() {
        let of = info(IntRange::unsigned(10), 0, true, &[5000]);
        let drawn = drawn_from(&[&of], &[], &[3; 32]).unwrap().remove(0);
        let integers = integers(&of, &drawn);
        let middle = integers.iter().filter(|v| (256..768).contains(*v)).count();
        assert!(middle > 3500, "{middle}");
        let yes = info(IntRange::unsigned(1), 0, true, &[64]);
        let drawn = drawn_from(&[&yes], &[], &[3; 32]).unwrap().remove(0);
        assert!(drawn.contains(&0.0) && drawn.contains(&1.0));
    }

    #[test]
    fn with_samples_values_lie_between_two_of_them() {
        let of = info(IntRange::signed(12), 4, false, &[3]);
        let samples = [sample(&[10.0, 20.0, -30.0]), sample(&[12.0, 24.0, -36.0])];
        for seed in 0..50 {
            let drawn = drawn_from(&[&of], &samples, &[seed; 32]).unwrap().remove(0);
            integers(&of, &drawn);
            // The 512th part of the range is half of one.
            for (value, (least, most)) in drawn.iter().zip([(10.0, 12.0), (20.0, 24.0), (-36.0, -30.0)]) {
                assert!(
                    (least - 0.5..=most + 0.5).contains(value),
                    "{seed}: {value} of {least} {most}"
                );
            }
        }
    }

    #[test]
    fn of_whole_numbers_a_sample_is_kept_and_what_leaves_the_range_is_its_end() {
        let of = info(IntRange::unsigned(4), 0, true, &[3]);
        let samples = [sample(&[3.0, 99.0, -7.0])];
        let drawn = drawn_from(&[&of], &samples, &[1; 32]).unwrap();
        assert_eq!(drawn, [vec![3.0, 15.0, 0.0]]);
    }

    #[test]
    fn a_file_of_what_was_drawn_is_read_as_what_was_drawn() {
        let mut one = info(IntRange::signed(8), 2, false, &[2, 2]);
        one.name = "b".to_owned();
        let other = info(IntRange::unsigned(3), 0, true, &[3]);
        let drawn = drawn_from(&[&one, &other], &[], &[5; 32]).unwrap();
        let file = input_file(&[&one, &other], &drawn);
        assert!(
            file.starts_with(br#"{"b":[["#),
            "by name: {}",
            String::from_utf8_lossy(&file)
        );
        let read = Inputs::read(&file, 100).unwrap();
        let read = read.in_order(&["b", "x"]).unwrap();
        assert_eq!([&read[0].values, &read[1].values], [&drawn[0], &drawn[1]]);
        let alone = input_file(&[&other], &drawn[1..]);
        assert!(matches!(Inputs::read(&alone, 100), Ok(Inputs::One(tensor)) if tensor.values == drawn[1]));
    }

    #[test]
    fn samples_of_another_model_are_refused_by_the_inputs_name() {
        let of = info(IntRange::signed(8), 0, false, &[2]);
        let error = drawn_from(&[&of], &[sample(&[1.0])], &[0; 32]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a sample of input `x` has 1 values, and the model takes 2"
        );
    }
}
