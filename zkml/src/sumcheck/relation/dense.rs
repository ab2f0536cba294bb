//! Dense layers: `acc[b, o] = Σ_i W[o, i] · x[b, i]`. At `(ρ_b, ρ_o)` the batch's coordinates are kept and the sum-check
//! runs over `i` alone: `c(i) = Σ_o eq(ρ_o, o) · W[o, i]`.

use super::form::{Kind, Reading};
use crate::graph::TensorId;
use crate::sumcheck::axes::Axes;
use crate::sumcheck::field::{EF, combine_rows};
use crate::sumcheck::shapes::Classes;

/// Both tensors are cut where their rows begin, and what lies before is the same.
pub(super) fn fit(inputs: usize, outputs: usize, from: &Axes, to: &Axes) -> Option<Kind> {
    // A batch of one has no batch axis: the whole tensor is one row, however it is cut inside.
    let split = [from.cut(inputs)?, to.cut(outputs)?];
    (from.part(0..split[0]) == to.part(0..split[1])).then_some(Kind::Contract { split })
}

/// Rows of `inputs` and of `outputs` values.
pub(super) fn cut(classes: &mut Classes, [input, output]: [TensorId; 2], [inputs, outputs]: [usize; 2]) {
    classes.cut(input, inputs);
    classes.cut(output, outputs);
}

/// Gives the batch the same cuts on both sides: it is kept in place.
pub(super) fn keep(classes: &mut Classes, [input, output]: [TensorId; 2], [inputs, outputs]: [usize; 2]) {
    for (from, to, n, m) in [(input, output, inputs, outputs), (output, input, outputs, inputs)] {
        let outer: Vec<usize> = classes.cuts(from).iter().copied().filter(|c| *c > n).collect();
        outer.into_iter().for_each(|c| classes.cut(to, c / n * m));
    }
}

/// `Σ_{o, i} eq(ρ_o, o) · W[o, i] · eq(r, i)`, over values only: a padded input or output has no weight.
pub(super) fn coefficient_at(
    reading: &Reading<'_>,
    split: [usize; 2],
    output_point: &[EF],
    chosen: &[EF],
) -> EF {
    let (from, to) = (reading.from, reading.to);
    let (rows, columns) = (to.part(split[1]..to.count()), from.part(split[0]..from.count()));
    let outer = to.part(0..split[1]).arity();
    let point = [&output_point[outer..], chosen].concat();
    // The weights as a tensor of two axes: what is computed is its MLE.
    rows.joined(columns).all().evaluate(&point, reading.map.weight())
}

/// `c(i)` and `Σ_b eq(ρ_b, b) · x[b, i]`.
pub(super) fn factors(
    reading: &Reading<'_>,
    split: [usize; 2],
    output_point: &[EF],
    x: &[i64],
) -> [Vec<EF>; 2] {
    let (from, to) = (reading.from, reading.to);
    let row_axes = from.part(split[0]..from.count());
    let (head, tail) = output_point.split_at(to.part(0..split[1]).arity());
    let rows = to.part(split[1]..to.count()).eq(tail);
    let batch = from.part(0..split[0]).eq(head);
    let coefficients = combine_rows(&rows, reading.map.weight(), row_axes.len());
    [
        row_axes.spread(&coefficients),
        row_axes.spread(&combine_rows(&batch, x, row_axes.len())),
    ]
}
