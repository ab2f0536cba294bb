//! Normalisations: values less a mean, over a root of a sum of squares.
//!
//! Invariant: exact in floats, but for `MeanVarianceNormalization`, whose 1e-9 beside the deviation is left out, and factors that
//! become the nearest float of 32 bits. Rows lie one behind the other before anything is computed: their means are a dense map,
//! their sums of squares products of a matrix of one row with one of one column.

use zkml::graph::{Activation, Product, TensorId};

use super::along::{self, Row};
use super::binary::combination;
use super::draft::{Draft, Refusal, small, unsupported};
use super::function::function;
use super::maps::{broadcast, each, repeated};
use super::moved::{self, Source};
use super::recipe::{Call, Recipe, axis};
use super::{product, wiring};
use crate::float::{FloatMap, FloatOp};
use crate::functions::Function;
use crate::ops::{Linear, Multiply};

pub(super) const RECIPES: &[Recipe] = &[
    // With constants alone it is one linear map, which is the reader's.
    Recipe::new("BatchNormalization", batch)
        .only(|node, constant| !node.input.iter().skip(1).all(|i| constant(i))),
    Recipe::new("GroupNormalization", group),
    Recipe::new("InstanceNormalization", instance),
    Recipe::new("LRN", local),
    Recipe::several("LayerNormalization", layer),
    Recipe::new("LpNormalization", lp),
    Recipe::new("MeanVarianceNormalization", mean_variance),
    Recipe::new("RMSNormalization", rms),
];

const EPSILON: f32 = 1e-5;

/// Rows of values that are normalised each on its own.
#[derive(Clone, Copy)]
struct Rows {
    count: usize,
    /// Values in each.
    len: usize,
}

impl Rows {
    fn of(shape: &[usize], from: usize) -> Self {
        let (before, behind) = shape.split_at(from.min(shape.len()));
        Self {
            count: before.iter().product(),
            len: behind.iter().product(),
        }
    }

    fn shape(self) -> [usize; 2] {
        [self.count, self.len]
    }

    /// `Σ weight · x` of each row.
    fn sum(self, draft: &mut Draft, name: &str, x: TensorId, weight: f64) -> Result<TensorId, Refusal> {
        let [inputs] = small([self.len])?;
        let map = FloatMap::Dense {
            inputs,
            outputs: 1,
            weight: vec![weight; self.len],
            bias: vec![0.0],
        };
        draft.linear(name, map, &[x], &[self.count, 1])
    }

    /// `Σ x²` of each row.
    fn squares(self, draft: &mut Draft, name: &str, x: TensorId) -> Result<TensorId, Refusal> {
        let [batch, inner] = small([self.count, self.len])?;
        let product = Product::Matrix {
            rows: 1,
            batch,
            inner,
            columns: 1,
        };
        draft.node(
            name,
            FloatOp::Product(Multiply { product }),
            &[x, x],
            &[self.count, 1],
        )
    }

    /// Less its mean.
    fn centred(self, draft: &mut Draft, name: &str, x: TensorId) -> Result<(TensorId, TensorId), Refusal> {
        let mean = self.sum(draft, name, x, 1.0 / self.len as f64)?;
        let all = wiring::broadcast(draft, name, mean, &self.shape())?;
        let map = combination(self.count * self.len, vec![1.0, -1.0])?;
        Ok((draft.linear(name, map, &[x, all], &self.shape())?, mean))
    }

    /// Each row times its factor.
    fn times(
        self,
        draft: &mut Draft,
        name: &str,
        x: TensorId,
        factor: TensorId,
    ) -> Result<TensorId, Refusal> {
        let all = wiring::broadcast(draft, name, factor, &self.shape())?;
        product::elements(draft, name, [x, all], &self.shape())
    }

    /// `Σ scale · x + bias` of a value for each row.
    fn affine(
        self,
        draft: &mut Draft,
        name: &str,
        tensors: &[TensorId],
        scale: Vec<f64>,
        bias: f64,
    ) -> Result<TensorId, Refusal> {
        let map = FloatMap::Affine {
            outer: 1,
            channels: 1,
            inner: small([self.count])?[0],
            scale,
            bias: vec![bias],
        };
        draft.linear(name, map, tensors, &[self.count, 1])
    }

    /// `x / √(Σx²/count + epsilon)` of each row, and what it is multiplied by. Rows of zeros stay zeros.
    fn normalised(
        self,
        draft: &mut Draft,
        name: &str,
        x: TensorId,
        (count, epsilon): (f64, f64),
    ) -> Result<(TensorId, TensorId), Refusal> {
        let root = |scale: f64, offset: f64| Function::inverse_power(0.5, scale as f32, offset as f32);
        let squares = self.squares(draft, name, x)?;
        let factor = function(draft, name, squares, root(1.0 / count, epsilon))?;
        let y = self.times(draft, name, x, factor)?;
        // The sum of squares has few digits where the row is small beside others, so that the factor is rough there. What it made is
        // of one size in all rows, and normalised again; in floats this second factor is 1.
        let per_row = [self.count, 1];
        let squares = self.squares(draft, name, y)?;
        let rest = if epsilon == 0.0 {
            self.affine(draft, name, &[squares], vec![1.0 / count], 0.0)?
        } else {
            // Each term has a scale of about 1, epsilon's by a 1 that is taken away again: how small it is depends on the row.
            let map = combination(self.count, vec![epsilon.sqrt()])?;
            let part = draft.linear(name, map, &[factor], &per_row)?;
            let part = product::elements(draft, name, [part, part], &per_row)?;
            let above = self.affine(draft, name, &[part], vec![1.0], 1.0)?;
            self.affine(draft, name, &[squares, above], vec![1.0 / count, 1.0], -1.0)?
        };
        let second = function(draft, name, rest, root(1.0, 0.0))?;
        let y = self.times(draft, name, y, second)?;
        Ok((y, product::elements(draft, name, [factor, second], &per_row)?))
    }
}

/// An input that is brought to the result's length: its place for each value.
struct Spread {
    at: usize,
    places: Vec<usize>,
}

impl Spread {
    /// As ONNX broadcasts.
    fn broadcast(draft: &Draft, call: &Call<'_>, at: usize) -> Result<Self, Refusal> {
        let from = call.shape_of(draft, at)?;
        if broadcast(&[call.shape.to_vec(), from.clone()])? != call.shape {
            return unsupported(format!("its input {at} of more values than the tensor"));
        }
        Self::by(call, at, |place| repeated(&from, place))
    }

    /// One value for so many channels, which are axis 1.
    fn per_channel(draft: &Draft, call: &Call<'_>, at: usize, each: usize) -> Result<Self, Refusal> {
        let channels = call.shape.get(1).copied().unwrap_or(1);
        let given = call.shape_of(draft, at)?;
        if given.iter().product::<usize>().checked_mul(each) != Some(channels) {
            return unsupported(format!(
                "its input {at} of shape {given:?} for {channels} channels"
            ));
        }
        Self::by(call, at, |place| place.get(1).map_or(0, |c| c / each))
    }

    fn by(call: &Call<'_>, at: usize, place: impl Fn(&[usize]) -> usize) -> Result<Self, Refusal> {
        let (_, sources) = each(call.shape.to_vec(), |p| Ok(Source::Of(0, place(p))))?;
        let places = sources.iter().map(|s| match s {
            Source::Of(_, place) => *place,
            Source::Constant(_) => 0,
        });
        Ok(Self {
            at,
            places: places.collect(),
        })
    }

    /// The constant's value for each of the result's.
    fn constant(&self, call: &Call<'_>) -> Result<Vec<f64>, Refusal> {
        let constant = call.constant(self.at)?.values;
        let values: Option<Vec<f64>> = self.places.iter().map(|&p| constant.get(p).copied()).collect();
        values.map_or_else(|| unsupported("a constant with too few values"), Ok)
    }

    /// `x`, which has this input's values, at the result's length.
    fn spread(&self, draft: &mut Draft, call: &Call<'_>, x: TensorId) -> Result<TensorId, Refusal> {
        let sources = self.places.iter().map(|&p| Source::Of(0, p)).collect::<Vec<_>>();
        moved::moved(draft, call.name, &[x], &sources, call.shape)
    }
}

/// `scale · y + shift`; either may be computed.
fn scaled(
    draft: &mut Draft,
    call: &Call<'_>,
    y: TensorId,
    scale: Option<&Spread>,
    shift: Option<&Spread>,
) -> Result<TensorId, Refusal> {
    let mut y = wiring::reshape(draft, call.name, y, call.shape)?;
    let len = call.shape.iter().product();
    let mut rows = vec![vec![1.0; len]];
    match scale {
        Some(scale) if call.is_computed(scale.at) => {
            let all = scale.spread(draft, call, call.computed(scale.at)?)?;
            y = product::elements(draft, call.name, [y, all], call.shape)?;
        }
        Some(scale) => rows[0] = scale.constant(call)?,
        None => {}
    }
    let mut tensors = vec![y];
    let mut bias = vec![0.0; len];
    match shift {
        Some(shift) if call.is_computed(shift.at) => {
            tensors.push(shift.spread(draft, call, call.computed(shift.at)?)?);
            rows.push(vec![1.0; len]);
        }
        Some(shift) => bias = shift.constant(call)?,
        None => {}
    }
    let same = rows.concat().iter().all(|v| *v == 1.0) && bias.iter().all(|b| *b == 0.0);
    if tensors.len() == 1 && same {
        return Ok(y);
    }
    rows.push(bias);
    draft.linear(call.name, moved::affine(rows)?, &tensors, call.shape)
}

/// Statistics of another precision than floats' are another function.
fn check_stash(call: &Call<'_>) -> Result<(), Refusal> {
    match call.int("stash_type", 1)? {
        1 | 11 => Ok(()),
        other => unsupported(format!(
            "its `stash_type` {other}: float and double are supported"
        )),
    }
}

fn epsilon(call: &Call<'_>) -> Result<f64, Refusal> {
    let epsilon = call.float("epsilon", EPSILON)?;
    if epsilon.is_finite() && epsilon >= 0.0 {
        return Ok(epsilon);
    }
    unsupported(format!("its `epsilon` {epsilon}"))
}

/// The rows from an axis on.
fn from_axis(draft: &Draft, call: &Call<'_>, x: TensorId) -> Result<(Rows, usize), Refusal> {
    let shape = draft.shape(x);
    let from = axis(call.int("axis", -1)?, shape.len())?;
    Ok((Rows::of(&shape, from), from))
}

fn layer(draft: &mut Draft, call: &Call<'_>) -> Result<Vec<Option<TensorId>>, Refusal> {
    check_stash(call)?;
    let x = call.computed(0)?;
    let (rows, _) = from_axis(draft, call, x)?;
    let x = wiring::reshape(draft, call.name, x, &rows.shape())?;
    let (centred, mean) = rows.centred(draft, call.name, x)?;
    let of = (rows.len as f64, epsilon(call)?);
    let (y, factor) = rows.normalised(draft, call.name, centred, of)?;
    let scale = Spread::broadcast(draft, call, 1)?;
    let shift = if call.has(2) {
        Some(Spread::broadcast(draft, call, 2)?)
    } else {
        None
    };
    let mut made = vec![Some(scaled(draft, call, y, Some(&scale), shift.as_ref())?)];
    for (at, per_row) in [(1, mean), (2, factor)] {
        let shape = call.shapes.get(at).copied().flatten();
        made.push(match shape {
            Some(shape) => Some(wiring::reshape(draft, call.name, per_row, shape)?),
            None => None,
        });
    }
    Ok(made)
}

fn rms(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    check_stash(call)?;
    let x = call.computed(0)?;
    let (rows, _) = from_axis(draft, call, x)?;
    let x = wiring::reshape(draft, call.name, x, &rows.shape())?;
    let (y, _) = rows.normalised(draft, call.name, x, (rows.len as f64, epsilon(call)?))?;
    let scale = Spread::broadcast(draft, call, 1)?;
    scaled(draft, call, y, Some(&scale), None)
}

fn instance(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    grouped(draft, call, None, 1)
}

fn group(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    check_stash(call)?;
    let channels = call.shape.get(1).copied().unwrap_or(1);
    let groups = usize::try_from(call.int("num_groups", 0)?).unwrap_or(0);
    if groups == 0 || !channels.is_multiple_of(groups) {
        return unsupported(format!("{channels} channels in {groups} groups"));
    }
    // Before opset 21 a scale and a shift per group, since then per channel.
    let each = if call.opset < 21 { channels / groups } else { 1 };
    grouped(draft, call, Some(groups), each)
}

/// Each group of channels of each batch on its own; scale and shift have a value for so many channels each.
fn grouped(
    draft: &mut Draft,
    call: &Call<'_>,
    groups: Option<usize>,
    each: usize,
) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let [batch, channels, behind @ ..] = call.shape else {
        return unsupported("a tensor without channels");
    };
    let groups = groups.unwrap_or(*channels);
    let rows = Rows {
        count: batch * groups,
        len: channels / groups * behind.iter().product::<usize>(),
    };
    let x = wiring::reshape(draft, call.name, x, &rows.shape())?;
    let (x, _) = rows.centred(draft, call.name, x)?;
    let (y, _) = rows.normalised(draft, call.name, x, (rows.len as f64, epsilon(call)?))?;
    let scale = Spread::per_channel(draft, call, 1, each)?;
    let shift = Spread::per_channel(draft, call, 2, each)?;
    scaled(draft, call, y, Some(&scale), Some(&shift))
}

/// Brings axes behind all others and does something to the rows that they are.
fn over(
    draft: &mut Draft,
    call: &Call<'_>,
    axes: &[usize],
    of_rows: impl FnOnce(&mut Draft, Rows, TensorId) -> Result<TensorId, Refusal>,
) -> Result<TensorId, Refusal> {
    let shape = call.shape;
    let (kept, order): (Vec<usize>, Vec<usize>) = (0..shape.len()).partition(|d| !axes.contains(d));
    let from = kept.len();
    let order: Vec<usize> = kept.into_iter().chain(order).collect();
    let x = wiring::permute(draft, call.name, call.computed(0)?, &order)?;
    let permuted = draft.shape(x);
    let rows = Rows::of(&permuted, from);
    let x = wiring::reshape(draft, call.name, x, &rows.shape())?;
    let y = of_rows(draft, rows, x)?;
    let y = wiring::reshape(draft, call.name, y, &permuted)?;
    let mut back = vec![0; order.len()];
    for (at, &d) in order.iter().enumerate() {
        back[d] = at;
    }
    wiring::permute(draft, call.name, y, &back)
}

fn mean_variance(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let axes = call.ints("axes")?.unwrap_or_else(|| vec![0, 2, 3]);
    let axes = axes.iter().map(|&a| axis(a, call.shape.len()));
    let axes = axes.collect::<Result<Vec<_>, _>>()?;
    over(draft, call, &axes, |draft, rows, x| {
        let (x, _) = rows.centred(draft, call.name, x)?;
        Ok(rows.normalised(draft, call.name, x, (rows.len as f64, 0.0))?.0)
    })
}

fn lp(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let along = axis(call.int("axis", -1)?, call.shape.len())?;
    match call.int("p", 2)? {
        1 => over(draft, call, &[along], |draft, rows, x| {
            // |x| = 2·relu(x) − x.
            let (len, shape) = (rows.count * rows.len, rows.shape());
            let relu = FloatOp::Linear(Linear {
                map: combination(len, vec![1.0])?,
                activation: Activation::Relu,
            });
            let above = draft.node(call.name, relu, &[x], &shape)?;
            let size = draft.linear(call.name, combination(len, vec![2.0, -1.0])?, &[above, x], &shape)?;
            let norm = rows.sum(draft, call.name, size, 1.0)?;
            let factor = function(draft, call.name, norm, Function::inverse_power(1.0, 1.0, 0.0))?;
            rows.times(draft, call.name, x, factor)
        }),
        2 => over(draft, call, &[along], |draft, rows, x| {
            Ok(rows.normalised(draft, call.name, x, (1.0, 0.0))?.0)
        }),
        p => unsupported(format!("a norm of exponent {p}")),
    }
}

/// Each value over a power of the sum of squares in the channels around.
fn local(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let Some(&channels) = call.shape.get(1) else {
        return unsupported("a tensor without channels");
    };
    let window = usize::try_from(call.int("size", 0)?).unwrap_or(0);
    if window == 0 {
        return unsupported("a window of no channels");
    }
    let (alpha, beta) = (call.float("alpha", 0.0001)?, call.float("beta", 0.75)?);
    let bias = call.float("bias", 1.0)?;
    if ![alpha, beta, bias].iter().all(|v| v.is_finite()) {
        return Err(Refusal::NonFinite);
    }
    let squares = product::elements(draft, call.name, [x, x], call.shape)?;
    let row = |c: usize| {
        let from = c.saturating_sub((window - 1) / 2);
        let to = c.saturating_add(window / 2).saturating_add(1).min(channels);
        Row {
            weights: (from..to).map(|k| (k, 1.0)).collect(),
            bias: 0.0,
        }
    };
    let around: Vec<Row> = (0..channels).map(row).collect();
    let sums = along::rows(draft, call, squares, 1, &around)?;
    let factor = Function::inverse_power(beta as f32, (alpha / window as f64) as f32, bias as f32);
    let factor = function(draft, call.name, sums, factor)?;
    product::elements(draft, call.name, [x, factor], call.shape)
}

/// With a scale, shift, mean or variance that is computed.
fn batch(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let epsilon = epsilon(call)?;
    let spread = |draft: &Draft, at: usize| Spread::per_channel(draft, call, at, 1);
    let [scale, shift, mean, variance] = [1, 2, 3, 4].map(|at| spread(draft, at));
    let (scale, shift, mean, variance) = (scale?, shift?, mean?, variance?);
    let len = call.shape.iter().product::<usize>();
    let (mut rows, mut tensors) = (vec![vec![1.0; len]], vec![call.computed(0)?]);
    if call.is_computed(mean.at) {
        rows.extend([vec![-1.0; len], vec![0.0; len]]);
        tensors.push(mean.spread(draft, call, call.computed(mean.at)?)?);
    } else {
        rows.push(mean.constant(call)?.iter().map(|m| -m).collect());
    }
    let centred = draft.linear(call.name, moved::affine(rows)?, &tensors, call.shape)?;
    let y = if call.is_computed(variance.at) {
        let root = Function::inverse_power(0.5, 1.0, epsilon as f32);
        let factor = function(draft, call.name, call.computed(variance.at)?, root)?;
        let factor = variance.spread(draft, call, factor)?;
        product::elements(draft, call.name, [centred, factor], call.shape)?
    } else {
        let mut factors = variance.constant(call)?;
        factors.iter_mut().for_each(|v| *v = 1.0 / (*v + epsilon).sqrt());
        let rows = vec![factors, vec![0.0; len]];
        draft.linear(call.name, moved::affine(rows)?, &[centred], call.shape)?
    };
    scaled(draft, call, y, Some(&scale), Some(&shift))
}
