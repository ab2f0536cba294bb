//! Sums of products over named indices.

use std::collections::BTreeMap;

use super::{Call, MANY, Made, Operator, Step, Tensor, one, op, same_type};
use crate::{Values, attribute::text, layout::strides, limits::volume};

pub(super) const OPERATORS: &[Operator] = &[op("Einsum", 1, MANY, einsum)
    .since(12)
    .attributes(&[text("equation")])];

/// An index: a letter, or a dimension that an ellipsis stands for, counted from the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Index {
    Ellipsis(usize),
    Letter(char),
}

/// The indices of a term; `dims` are those that its ellipsis stands for.
fn term(text: &str, dims: usize) -> Step<Vec<Index>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("...") {
            found.extend((0..dims).rev().map(Index::Ellipsis));
            rest = after;
        } else if c.is_ascii_alphabetic() {
            found.push(Index::Letter(c));
            rest = &rest[1..];
        } else {
            return Err(format!("the term `{text}`"));
        }
    }
    Ok(found)
}

fn einsum(call: &Call) -> Made {
    let inputs = call.all()?;
    let equation: String = call
        .text("equation", "")
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let terms: Vec<&str> = left.split(',').collect();
    if terms.len() != inputs.len() {
        return Err(format!("`{equation}` of {} inputs", inputs.len()));
    }
    let mut sizes: BTreeMap<Index, usize> = BTreeMap::new();
    let mut count: BTreeMap<Index, usize> = BTreeMap::new();
    let (mut operands, mut ellipsis) = (Vec::new(), 0);
    for (text, x) in terms.iter().zip(&inputs) {
        same_type(inputs[0], x)?;
        let letters = text.chars().filter(char::is_ascii_alphabetic).count();
        let dims = if text.contains("...") {
            x.rank().saturating_sub(letters)
        } else {
            0
        };
        ellipsis = ellipsis.max(dims);
        let indices = term(text, dims)?;
        if indices.len() != x.rank() {
            return Err(format!("the term `{text}` for the shape {:?}", x.shape()));
        }
        for (&index, &n) in indices.iter().zip(x.shape()) {
            *count.entry(index).or_default() += 1;
            let size = sizes.entry(index).or_insert(n);
            match (*size, n, index) {
                (size, n, _) if size == n => (),
                (_, 1, Index::Ellipsis(_)) => (),
                (1, n, Index::Ellipsis(_)) => *size = n,
                (size, n, _) => return Err(format!("an index of size {size} and {n}")),
            }
        }
        operands.push(indices);
    }
    let output = match right {
        Some(right) => term(right, ellipsis)?,
        // The ellipsis, then the letters that stand once, in order.
        None => {
            let dots = (0..ellipsis).rev().map(Index::Ellipsis);
            let once = count
                .iter()
                .filter(|&(i, &n)| n == 1 && matches!(i, Index::Letter(_)));
            dots.chain(once.map(|(&i, _)| i)).collect()
        }
    };
    let distinct = (1..output.len()).all(|i| !output[..i].contains(&output[i]));
    if !distinct || output.iter().any(|i| !sizes.contains_key(i)) {
        return Err(format!("the output of `{equation}`"));
    }
    one(summed(call, &inputs, &operands, &output, &sizes)?)
}

fn summed(
    call: &Call,
    inputs: &[&Tensor],
    operands: &[Vec<Index>],
    output: &[Index],
    sizes: &BTreeMap<Index, usize>,
) -> Step<Tensor> {
    // All indices: those of the output first, so that each of its values is one run of the walk.
    let inner: Vec<Index> = sizes.keys().filter(|i| !output.contains(i)).copied().collect();
    let size = |i: &Index| sizes.get(i).copied().unwrap_or(1);
    let shape: Vec<usize> = output.iter().map(size).collect();
    let terms: Vec<usize> = inner.iter().map(size).collect();
    let len = call.room(&shape)?;
    let count = terms
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .ok_or("too many terms")?;
    call.touch(len.saturating_mul(count).saturating_mul(inputs.len() + 1))?;
    // The stride of each index in each operand; an index that stands twice moves along the diagonal.
    let strides_of = |indices: &[Index], x: &Tensor, all: &[Index]| -> Vec<usize> {
        let own = strides(x.shape());
        let by = |index: &Index| {
            let dims = indices.iter().zip(x.shape()).zip(&own);
            dims.filter(|((i, n), _)| *i == index && **n > 1)
                .map(|(_, s)| s)
                .sum()
        };
        all.iter().map(by).collect()
    };
    let outer: Vec<Vec<usize>> = operands
        .iter()
        .zip(inputs)
        .map(|(o, x)| strides_of(o, x, output))
        .collect();
    let within: Vec<Vec<usize>> = operands
        .iter()
        .zip(inputs)
        .map(|(o, x)| strides_of(o, x, &inner))
        .collect();
    let place = |mut i: usize, dims: &[usize], by: &[usize]| {
        let mut at = 0;
        for (&n, &by) in dims.iter().zip(by).rev() {
            at += i % n * by;
            i /= n;
        }
        at
    };
    let element = inputs[0].element();
    let bases = |o: usize| -> Vec<usize> { outer.iter().map(|by| place(o, &shape, by)).collect() };
    let offset = |t: usize, x: usize| place(t, &terms, &within[x]);
    volume(&[len])?;
    let values = if element.is_float() {
        let v: Vec<&[f64]> = inputs.iter().map(|x| x.floats()).collect::<Step<_>>()?;
        let sum = |o: usize| {
            let base = bases(o);
            let product = |t: usize| {
                v.iter()
                    .enumerate()
                    .map(|(x, v)| v[base[x] + offset(t, x)])
                    .product::<f64>()
            };
            (0..count).map(product).sum()
        };
        Values::Float((0..len).map(sum).collect())
    } else {
        let v: Vec<&[i64]> = inputs.iter().map(|x| x.ints()).collect::<Step<_>>()?;
        let sum = |o: usize| {
            let base = bases(o);
            let terms = (0..count).map(|t| {
                let factors = v.iter().enumerate().map(|(x, v)| v[base[x] + offset(t, x)]);
                factors.fold(1, i64::wrapping_mul)
            });
            element.wrap(terms.fold(0, i64::wrapping_add))
        };
        Values::Int((0..len).map(sum).collect())
    };
    Tensor::make(element, shape, values)
}
