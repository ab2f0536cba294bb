//! A linear map of one or several inputs: the claim on its accumulators is split among the inputs, and each share becomes a
//! claim on that input.

use serde::{Serialize, Serializer};

use super::form::{self, Form, Reading, bias_steps};
use super::requantised::{self, Placed};
use super::{Lay, claim, digest, size, values};
use crate::graph::bound::accumulator_bound;
use crate::graph::{IntRange, LinearMap, Requantise, TensorId};
use crate::sumcheck::channel::Channel;
use crate::sumcheck::error::{Claim, LayoutError, VerifyError};
use crate::sumcheck::field::{EF, dot};
use crate::sumcheck::layout::Layout;
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::shapes::{Classes, Lengths};
use crate::sumcheck::sums::verify_sum;
use crate::sumcheck::transcript::Label;
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::{ROUND, Work};

const ROUNDS: [Label; 2] = [Label::Round, Label::Point];

/// A linear map with constant coefficients, requantised.
#[derive(Debug, Serialize)]
pub(in crate::sumcheck) struct Stated<'a> {
    pub(super) inputs: &'a [TensorId],
    pub(super) input_ranges: &'a [IntRange],
    #[serde(serialize_with = "geometry")]
    pub(super) map: &'a LinearMap,
    /// The map's.
    #[serde(serialize_with = "digest::integers")]
    pub(super) weight: &'a [i64],
    /// The map's.
    #[serde(serialize_with = "digest::integers")]
    pub(super) bias: &'a [i64],
    pub(super) requantise: Requantise,
    pub(super) output: TensorId,
}

/// A map without its coefficients.
#[derive(Serialize)]
enum Geometry {
    Dense {
        inputs: u32,
        outputs: u32,
    },
    Conv2d {
        input: [u32; 3],
        output: [u32; 3],
        kernel: [u32; 2],
        stride: [u32; 2],
        dilation: [u32; 2],
        pad: [u32; 2],
        groups: u32,
    },
    Affine {
        outer: u32,
        channels: u32,
        inner: u32,
    },
}

fn geometry<S: Serializer>(map: &&LinearMap, serializer: S) -> Result<S::Ok, S::Error> {
    let geometry = match map {
        LinearMap::Dense { inputs, outputs, .. } => Geometry::Dense {
            inputs: *inputs,
            outputs: *outputs,
        },
        LinearMap::Conv2d {
            input,
            output,
            kernel,
            stride,
            dilation,
            pad,
            groups,
            ..
        } => Geometry::Conv2d {
            input: *input,
            output: *output,
            kernel: *kernel,
            stride: *stride,
            dilation: *dilation,
            pad: *pad,
            groups: *groups,
        },
        LinearMap::Affine {
            outer,
            channels,
            inner,
            ..
        } => Geometry::Affine {
            outer: *outer,
            channels: *channels,
            inner: *inner,
        },
    };
    geometry.serialize(serializer)
}

impl<'a> Stated<'a> {
    /// The bound is a function of the map and the ranges.
    pub(super) fn of(
        inputs: &'a [TensorId],
        input_ranges: &'a [IntRange],
        map: &'a LinearMap,
        requantise: &Requantise,
        _bound: &i64,
        output: &TensorId,
    ) -> Self {
        Self {
            inputs,
            input_ranges,
            map,
            weight: map.weight(),
            bias: map.bias(),
            requantise: *requantise,
            output: *output,
        }
    }
}

impl Lay for Stated<'_> {
    fn length(&self, lens: &Lengths) -> Result<Option<(TensorId, usize)>, LayoutError> {
        let inputs = self.inputs.iter().map(|id| lens.of(*id));
        let made = self
            .map
            .output_len(&inputs.collect::<Result<Vec<_>, _>>()?)
            .map_err(|source| LayoutError::Geometry {
                output: self.output.0,
                source,
            })?;
        Ok(Some((self.output, made)))
    }

    fn join(&self, classes: &mut Classes) {
        match self.map {
            LinearMap::Affine { .. } => self.inputs.iter().for_each(|i| classes.join(*i, self.output)),
            LinearMap::Dense { .. } | LinearMap::Conv2d { .. } => {}
        }
    }

    fn cut(&self, classes: &mut Classes) {
        form::cut(self.map, self.inputs.first().copied(), self.output, classes);
    }

    fn keep(&self, classes: &mut Classes) {
        form::keep(self.map, self.inputs.first().copied(), self.output, classes);
    }

    fn place(&self, placer: &mut Placer<'_>) -> Result<super::Placed, LayoutError> {
        placer.check_ranges(self.inputs, self.input_ranges)?;
        let bound = accumulator_bound(self.map, self.input_ranges);
        let mut step = requantised::place(placer, bound, self.requantise, self.output)?;
        let axes = &placer.get(self.output)?.axes;
        for &input in self.inputs {
            step.forms
                .push(Form::new(self.map, input, &placer.get(input)?.axes, axes)?);
        }
        Ok(super::Placed::Requantised(step))
    }
}

/// `target` is what the accumulators without their biases are said to be at `point`.
pub(super) fn verify<C: Channel>(
    state: &mut Verifying<'_, C>,
    step: &Placed,
    map: &LinearMap,
    point: &[EF],
    target: EF,
) -> Result<(), VerifyError> {
    // Σ shares = target: the map is the sum of what each input contributes. A single share is the target itself.
    let shares = if step.forms.len() == 1 {
        vec![target]
    } else {
        let shares = state.channel.receive(Label::Contributions, step.forms.len())?;
        state.channel.check(Claim::Shares.refuted(step.output), || {
            shares.iter().copied().sum::<EF>() == target
        })?;
        shares
    };
    let layout = state.layout();
    for (index, (form, share)) in step.forms.iter().zip(shares).enumerate() {
        let (from, to) = (layout.axes(form.input)?, layout.axes(step.output)?);
        let reading = Reading {
            map,
            index,
            kind: &form.kind,
            from,
            to,
        };
        // The share is Σ_s c(s)·x(s); its sum-check ends in c(r)·x(r) …
        let (end, chosen) = verify_sum(&mut state.channel, ROUNDS, share, form.kind.rounds(from))?;
        let x = state.claim(form.input, &reading.input_point(point, &chosen))?;
        // … of which c(r) is the verifier's own: no weight comes from the proof.
        state.channel.check(Claim::Map.refuted(step.output), || {
            reading.coefficient_at(point, &chosen) * x == end
        })?;
    }
    Ok(())
}

pub(super) fn work(layout: &Layout, step: &Placed, map: &LinearMap) -> Work {
    let output = values(layout, step.output);
    let mut work = Work {
        prover: map.multiplications(output) + 5 * map.weight().len() as u64,
        verifier: 0,
        weights: map.weight().len() as u64,
    };
    for (index, form) in step.forms.iter().enumerate() {
        let (Ok(from), Ok(to)) = (layout.axes(form.input), layout.axes(step.output)) else {
            continue;
        };
        let reading = Reading {
            map,
            index,
            kind: &form.kind,
            from,
            to,
        };
        work.prover += 40 * size(layout, form.input);
        work.verifier += ROUND * form.kind.rounds(from) as u64 + claim(layout, form.input) + reading.steps();
        if index == 0 {
            work.verifier += bias_steps(map, &form.kind, to);
        }
    }
    work
}

pub(super) fn prove<V: Voice>(state: &mut Proving<'_, V>, step: &Placed, map: &LinearMap, point: &[EF]) {
    let layout = state.layout();
    let factors: Vec<_> = step
        .forms
        .iter()
        .enumerate()
        .filter_map(|(index, form)| {
            let (from, to) = (layout.axes(form.input).ok()?, layout.axes(step.output).ok()?);
            let reading = Reading {
                map,
                index,
                kind: &form.kind,
                from,
                to,
            };
            let x = state.values(form.input);
            Some((form, reading, x, reading.factors(point, x)))
        })
        .collect();
    // A convolution has one input, and a single share is not said.
    if factors.len() > 1 {
        let shares = factors.iter().flat_map(|(_, _, _, factors)| factors);
        let shares: Vec<EF> = shares.map(|[c, x]| dot(c, x)).collect();
        state.sender.send(Label::Contributions, &shares);
    }
    for (form, reading, x, factors) in factors {
        let chosen = reading.prove(&mut state.sender, ROUNDS, factors, (point, x));
        state.claim(form.input, &reading.input_point(point, &chosen));
    }
}
