//! Products with another constant matrix for each element of a batch.
//!
//! Invariant: with the computed operand brought to `[batch…, contracted…, kept…]` and the constant to
//! `[batch…, new…, contracted…]`, the product is a convolution by windows of one place whose groups are the batch: each weight
//! stands once, as it does in the model. Axes of length 1 are left out on the way.

use zkml::graph::TensorId;

use super::batch::{self, Images, Plane};
use super::draft::{Constant, Draft, Refusal, unsupported};
use super::wiring;

/// An operand or a result by the names of its axes.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub axes: &'a [char],
    pub shape: &'a [usize],
}

impl Named<'_> {
    /// The length along an axis, 1 where there is none.
    fn size(&self, axis: char) -> usize {
        let at = self.axes.iter().position(|&a| a == axis);
        at.and_then(|d| self.shape.get(d)).copied().unwrap_or(1)
    }

    /// Distance of neighbours along an axis, 0 where values repeat.
    fn step(&self, axis: char) -> usize {
        match self.axes.iter().position(|&a| a == axis) {
            Some(d) if self.shape[d] > 1 => self.shape[d + 1..].iter().product(),
            Some(_) | None => 0,
        }
    }

    fn sizes(&self, axes: &[char]) -> Vec<usize> {
        axes.iter().map(|&c| self.size(c)).collect()
    }
}

/// The product of `x`, whose axes are `computed`, with a constant.
pub(super) fn product(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    computed: Named<'_>,
    (w, constant): (&Constant, &[char]),
    result: Named<'_>,
) -> Result<TensorId, Refusal> {
    let weights = Named {
        axes: constant,
        shape: &w.shape,
    };
    let (in_x, in_w) = (|c: char| computed.size(c) > 1, |c: char| weights.size(c) > 1);
    let lasts = |c: char| result.axes.contains(&c);
    let unlike = |c: &char| in_x(*c) && in_w(*c) && computed.size(*c) != weights.size(*c);
    if constant.iter().any(unlike) {
        return unsupported("operands whose sizes differ");
    }
    if constant.iter().any(|&c| in_w(c) && !in_x(c) && !lasts(c)) {
        return unsupported("a sum over an axis of the constant alone");
    }
    let of = |axes: &[char], is: &dyn Fn(char) -> bool| -> Vec<char> {
        axes.iter().copied().filter(|&c| is(c)).collect()
    };
    let elements = of(computed.axes, &|c| in_x(c) && in_w(c) && lasts(c));
    let contracted = of(computed.axes, &|c| in_x(c) && !lasts(c));
    let kept = of(computed.axes, &|c| in_x(c) && !in_w(c) && lasts(c));
    let new = of(constant, &|c| in_w(c) && !in_x(c));
    let count = |of: Named<'_>, axes: &[char]| of.sizes(axes).iter().product::<usize>();
    let [groups, depth, places] = [&elements, &contracted, &kept].map(|axes| count(computed, axes));
    let columns = count(weights, &new);
    // [elements…, new…, contracted…]
    let mut sources = vec![0usize];
    for &c in elements.iter().chain(&new).chain(&contracted) {
        let (size, step) = (computed.size(c).max(weights.size(c)), weights.step(c));
        if sources.len().saturating_mul(size) > super::MAX_TENSOR_LEN {
            return Err(Refusal::TooLarge);
        }
        sources = sources
            .iter()
            .flat_map(|&s| (0..size).map(move |i| s + i * step))
            .collect();
    }
    let weight = sources.iter().map(|&s| w.values.get(s).copied());
    let Some(weight) = weight.collect::<Option<Vec<_>>>() else {
        return unsupported("a constant with too few values");
    };
    let long = of(computed.axes, &in_x);
    let x = wiring::reshape(draft, name, x, &computed.sizes(&long))?;
    let x = wiring::permute(draft, name, x, &order(&[&elements, &contracted, &kept], &long))?;
    let made: Vec<char> = elements.iter().chain(&new).chain(&kept).copied().collect();
    let made_shape: Vec<usize> = made
        .iter()
        .map(|&c| computed.size(c).max(weights.size(c)))
        .collect();
    let plane = Plane {
        image: [1, places],
        output: [1, places],
        kernel: [1; 2],
        stride: [1; 2],
        dilation: [1; 2],
        pad: [0; 2],
    };
    let kernel = batch::Kernel {
        channels: groups * depth,
        maps: groups * columns,
        groups,
        weight,
        bias: vec![0.0; groups * columns],
    };
    let images = Images {
        name,
        x,
        count: 1,
        shape: &made_shape,
    };
    let y = batch::convolved(draft, &images, &plane, kernel)?;
    let lasting: Vec<char> = result.axes.iter().copied().filter(|c| made.contains(c)).collect();
    let y = wiring::permute(draft, name, y, &order(&[&lasting], &made))?;
    wiring::reshape(draft, name, y, result.shape)
}

/// Where each of the axes stands among `all`.
fn order(axes: &[&Vec<char>], all: &[char]) -> Vec<usize> {
    let axes = axes.iter().flat_map(|list| list.iter());
    axes.filter_map(|c| all.iter().position(|a| a == c)).collect()
}
