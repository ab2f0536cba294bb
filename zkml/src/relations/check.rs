//! Plain integer checkers: each reads like the definition of its relation.

use std::collections::BTreeMap;

use super::{Product, Relation, SliceRelations};
use crate::graph::{IntRange, LinearMap, Requantise, TensorId};

/// Which claim does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A tensor that a relation names was not given, or has the wrong length.
    #[error("tensor {0:?} is absent or has the wrong length")]
    Tensor(TensorId),
    /// A value lies outside its exact range.
    #[error("tensor {tensor:?}: value {value} at {index} is out of range")]
    Range {
        /// The tensor.
        tensor: TensorId,
        /// Flat index of the value.
        index: usize,
        /// The value.
        value: i64,
    },
    /// The output is not what the relation gives for its inputs.
    #[error("tensor {tensor:?}: value {got} at {index}, the relation gives {expected:?}")]
    Output {
        /// The relation's output tensor.
        tensor: TensorId,
        /// Flat index of the value.
        index: usize,
        /// The claimed value.
        got: i64,
        /// What the relation gives; `None` when it gives nothing (the quotient is out of its range).
        expected: Option<i64>,
    },
}

/// Checks every relation of a slice against the values of all its tensors.
///
/// # Errors
/// The first claim that does not hold.
pub fn check(relations: &SliceRelations, values: &BTreeMap<TensorId, Vec<i64>>) -> Result<(), CheckError> {
    let get = |id: TensorId| values.get(&id).map(Vec::as_slice).ok_or(CheckError::Tensor(id));
    for tensor in relations.inputs.iter().chain(&relations.outputs) {
        if get(tensor.id)?.len() != tensor.len {
            return Err(CheckError::Tensor(tensor.id));
        }
    }
    for relation in &relations.relations {
        check_one(relation, &get)?;
    }
    Ok(())
}

fn check_one<'v>(
    relation: &Relation,
    get: &impl Fn(TensorId) -> Result<&'v [i64], CheckError>,
) -> Result<(), CheckError> {
    let expect = |tensor: TensorId, got: &[i64], expected: &[Option<i64>]| {
        if got.len() != expected.len() {
            return Err(CheckError::Tensor(tensor));
        }
        match got.iter().zip(expected).position(|(g, e)| Some(*g) != *e) {
            None => Ok(()),
            Some(index) => Err(CheckError::Output {
                tensor,
                index,
                got: got[index],
                expected: expected[index],
            }),
        }
    };
    match relation {
        Relation::Range { tensor, range } => {
            match get(*tensor)?
                .iter()
                .enumerate()
                .find(|(_, v)| !range.contains(**v))
            {
                None => Ok(()),
                Some((index, &value)) => Err(CheckError::Range {
                    tensor: *tensor,
                    index,
                    value,
                }),
            }
        }
        Relation::Requantised {
            inputs,
            map,
            requantise,
            output,
            ..
        } => {
            let tensors = inputs.iter().map(|id| get(*id)).collect::<Result<Vec<_>, _>>()?;
            let accumulators = linear(map, &tensors).ok_or(CheckError::Tensor(*output))?;
            let expected = requantised(*requantise, accumulators);
            expect(*output, get(*output)?, &expected)
        }
        Relation::Product {
            factors,
            product,
            requantise,
            output,
            ..
        } => {
            let accumulators = multiplied(*product, get(factors[0])?, get(factors[1])?);
            let accumulators = accumulators.ok_or(CheckError::Tensor(*output))?;
            let expected = requantised(*requantise, accumulators);
            expect(*output, get(*output)?, &expected)
        }
        Relation::Maximum {
            input,
            windows,
            output,
            ..
        } => {
            let x = get(*input)?;
            let expected: Vec<_> = windows
                .iter()
                .map(|w| w.iter().filter_map(|&i| x.get(i as usize).copied()).max())
                .collect();
            expect(*output, get(*output)?, &expected)
        }
        Relation::Read { input, index, output } => {
            let x = get(*input)?;
            let read = |&i: &i64| usize::try_from(i).ok().and_then(|i| x.get(i).copied());
            let expected: Vec<_> = get(*index)?.iter().map(read).collect();
            expect(*output, get(*output)?, &expected)
        }
        Relation::Table {
            table,
            index,
            outputs,
        } => {
            if outputs.len() != table.columns.len() {
                return Err(CheckError::Tensor(*index));
            }
            let x = get(*index)?;
            for (column, output) in table.columns.iter().zip(outputs) {
                let entry = |&i: &i64| table.row(i).and_then(|row| column.get(row).copied());
                let expected: Vec<_> = x.iter().map(entry).collect();
                expect(*output, get(*output)?, &expected)?;
            }
            Ok(())
        }
        Relation::Permutation { input, output } => {
            let ascending = |values: &[i64]| {
                let mut values = values.to_vec();
                values.sort_unstable();
                values
            };
            let expected: Vec<_> = ascending(get(*input)?).into_iter().map(Some).collect();
            expect(*output, &ascending(get(*output)?), &expected)
        }
        Relation::Wired {
            input,
            source,
            output,
        } => {
            let x = get(*input)?;
            let expected: Vec<_> = match source {
                None => x.iter().map(|v| Some(*v)).collect(),
                Some(source) => source.iter().map(|&i| x.get(i as usize).copied()).collect(),
            };
            expect(*output, get(*output)?, &expected)
        }
    }
}

/// What a requantisation gives for each accumulator; `None` where the quotient is out of its range.
fn requantised(requantise: Requantise, accumulators: Vec<i64>) -> Vec<Option<i64>> {
    let range = IntRange::signed(requantise.bits);
    let activate = |acc| {
        let q = requantise.quotient(acc);
        range.contains(q).then(|| q.max(requantise.output_range().lo()))
    };
    accumulators.into_iter().map(activate).collect()
}

/// The accumulators of a product, written as its definition; `None` when a length does not fit.
fn multiplied(product: Product, left: &[i64], right: &[i64]) -> Option<Vec<i64>> {
    product.output_len(left.len(), right.len())?;
    Some(match product {
        Product::Elements => left.iter().zip(right).map(|(a, b)| a * b).collect(),
        Product::Matrix { rows, inner, columns } => {
            let (n, m) = (inner as usize, columns as usize);
            let entry = |i: usize, j: usize| (0..n).map(|k| left[i * n + k] * right[k * m + j]).sum();
            (0..rows as usize)
                .flat_map(|i| (0..m).map(move |j| (i, j)))
                .map(|(i, j)| entry(i, j))
                .collect()
        }
    })
}

/// The accumulators of a linear map, written as its definition; `None` when a length does not fit.
fn linear(map: &LinearMap, x: &[&[i64]]) -> Option<Vec<i64>> {
    match map {
        LinearMap::Dense {
            inputs,
            outputs,
            weight,
            bias,
        } => {
            let (n, m, x) = (*inputs as usize, *outputs as usize, x.first()?);
            let batch = x.len().checked_div(n)?;
            let mut acc = Vec::with_capacity(batch * m);
            for b in 0..batch {
                for o in 0..m {
                    let dot: i64 = (0..n).map(|i| weight[o * n + i] * x[b * n + i]).sum();
                    acc.push(dot + bias[o]);
                }
            }
            Some(acc)
        }
        LinearMap::Conv2d {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
            groups,
            weight,
            bias,
        } => {
            let [ic, h, w] = input.map(i64::from);
            let [oc, oh, ow] = output.map(i64::from);
            let ([kh, kw], [sh, sw], [dh, dw], [ph, pw]) = (
                kernel.map(i64::from),
                stride.map(i64::from),
                dilation.map(i64::from),
                pad.map(i64::from),
            );
            let (icg, ocg) = (ic / i64::from(*groups), oc / i64::from(*groups));
            let x = x.first()?;
            let mut acc = Vec::with_capacity((oc * oh * ow) as usize);
            for o in 0..oc {
                for (y, z) in (0..oh).flat_map(|y| (0..ow).map(move |z| (y, z))) {
                    let mut sum = bias[o as usize];
                    for (c, a, b) in
                        (0..icg).flat_map(|c| (0..kh).flat_map(move |a| (0..kw).map(move |b| (c, a, b))))
                    {
                        let (u, v) = (y * sh + a * dh - ph, z * sw + b * dw - pw);
                        if (0..h).contains(&u) && (0..w).contains(&v) {
                            let weight = weight[(((o * icg + c) * kh + a) * kw + b) as usize];
                            sum += weight * x[((((o / ocg) * icg + c) * h + u) * w + v) as usize];
                        }
                    }
                    acc.push(sum);
                }
            }
            Some(acc)
        }
        LinearMap::Affine {
            outer,
            channels,
            inner,
            scale,
            bias,
        } => {
            let (outer, channels, inner) = (*outer as usize, *channels as usize, *inner as usize);
            if x.iter().any(|x| x.len() != outer * channels * inner) {
                return None;
            }
            Some(
                (0..outer * channels * inner)
                    .map(|i| {
                        let c = i / inner % channels;
                        let sum: i64 = x
                            .iter()
                            .enumerate()
                            .map(|(k, x)| scale[k * channels + c] * x[i])
                            .sum();
                        sum + bias[c]
                    })
                    .collect(),
            )
        }
    }
}
