//! Products of two computed tensors: element by element, and of matrices in whatever order of axes they come.
//!
//! Invariant: exact in floats. An axis of length 1 does nothing, and one that a single factor has is never repeated for the other.

use zkml::graph::{Product, TensorId};

use super::draft::{Draft, Refusal, small, unsupported};
use super::function::function;
use super::wiring;
use crate::float::FloatOp;
use crate::functions::Function;
use crate::ops::Multiply;

/// `a · b`, value by value, of two tensors of this shape.
pub(super) fn elements(
    draft: &mut Draft,
    name: &str,
    factors: [TensorId; 2],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let product = Product::Elements;
    draft.node(name, FloatOp::Product(Multiply { product }), &factors, shape)
}

/// `a / b`, value by value: a divisor of 0 has no value, and no proof.
pub(super) fn quotient(
    draft: &mut Draft,
    name: &str,
    [a, b]: [TensorId; 2],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let inverse = function(draft, name, b, Function::reciprocal())?;
    elements(draft, name, [a, inverse], shape)
}

/// What the axes of an Einstein sum of two are to it, by their letters.
struct Axes {
    /// Of both and of the result.
    batch: Vec<char>,
    /// Of the left factor and of the result.
    rows: Vec<char>,
    /// Of the right factor and of the result.
    columns: Vec<char>,
    /// Of both, summed over.
    inner: Vec<char>,
}

/// A factor: its letters and its tensor.
pub(super) struct Factor<'a> {
    pub axes: &'a [char],
    pub tensor: TensorId,
}

impl Factor<'_> {
    fn size(&self, draft: &Draft, letter: char) -> usize {
        let at = self.axes.iter().position(|&a| a == letter);
        at.and_then(|d| draft.shape(self.tensor).get(d).copied())
            .unwrap_or(1)
    }

    /// Its tensor with the axes in this order, those of length 1 left out.
    fn ordered(&self, draft: &mut Draft, name: &str, order: &[&[char]]) -> Result<TensorId, Refusal> {
        let listed = order.concat();
        let alone = |a: &&char| !listed.contains(a);
        let letters: Vec<char> = self
            .axes
            .iter()
            .filter(alone)
            .copied()
            .chain(listed.clone())
            .collect();
        let order: Vec<usize> = letters
            .iter()
            .filter_map(|c| self.axes.iter().position(|a| a == c))
            .collect();
        wiring::permute(draft, name, self.tensor, &order)
    }
}

impl Axes {
    fn new(draft: &Draft, left: &Factor<'_>, right: &Factor<'_>, out: &[char]) -> Result<Self, Refusal> {
        let mut axes = Self {
            batch: Vec::new(),
            rows: Vec::new(),
            columns: Vec::new(),
            inner: Vec::new(),
        };
        let mut letters: Vec<char> = left.axes.iter().chain(right.axes).copied().collect();
        letters.sort_unstable();
        letters.dedup();
        for c in letters {
            let (l, r) = (left.size(draft, c), right.size(draft, c));
            match (l != 1, r != 1, out.contains(&c)) {
                (true, true, _) if l != r => return unsupported("operands whose sizes differ"),
                (true, true, true) => axes.batch.push(c),
                (true, true, false) => axes.inner.push(c),
                (true, false, true) => axes.rows.push(c),
                (false, true, true) => axes.columns.push(c),
                (false, false, _) => {}
                (true, false, false) | (false, true, false) => {
                    return unsupported("a sum over an axis of one factor alone");
                }
            }
        }
        // In the result's order there is nothing to be moved in it where all are in a row.
        let place = |c: &char| out.iter().position(|a| a == c);
        for list in [&mut axes.batch, &mut axes.rows, &mut axes.columns] {
            list.sort_by_key(place);
        }
        let of_left = |c: &char| left.axes.iter().position(|a| a == c);
        axes.inner.sort_by_key(of_left);
        Ok(axes)
    }
}

/// An Einstein sum of two computed tensors, of this shape.
pub(super) fn einsum(
    draft: &mut Draft,
    name: &str,
    left: &Factor<'_>,
    right: &Factor<'_>,
    out: &[char],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let axes = Axes::new(draft, left, right, out)?;
    let size = |draft: &Draft, letters: &[char]| -> Vec<usize> {
        letters
            .iter()
            .map(|&c| left.size(draft, c).max(right.size(draft, c)))
            .collect()
    };
    let [rows, batch, inner, columns] =
        [&axes.rows, &axes.batch, &axes.inner, &axes.columns].map(|l| size(draft, l));
    let count = |sizes: &[usize]| sizes.iter().product::<usize>();
    let [r, b, i, c] = [&rows, &batch, &inner, &columns].map(|s| count(s));
    let a = left.ordered(draft, name, &[&axes.batch, &axes.rows, &axes.inner])?;
    let x = right.ordered(draft, name, &[&axes.batch, &axes.inner, &axes.columns])?;
    let made: Vec<usize> = [batch, rows, columns].concat();
    let product = if (r, i, c) == (1, 1, 1) {
        Product::Elements
    } else {
        let [rows, batch, inner, columns] = small([r, b, i, c])?;
        Product::Matrix {
            rows,
            batch,
            inner,
            columns,
        }
    };
    let y = draft.node(name, FloatOp::Product(Multiply { product }), &[a, x], &made)?;
    let letters = [axes.batch, axes.rows, axes.columns].concat();
    let order: Vec<usize> = out
        .iter()
        .filter_map(|c| letters.iter().position(|a| a == c))
        .collect();
    let y = wiring::permute(draft, name, y, &order)?;
    wiring::reshape(draft, name, y, shape)
}
