//! Steps of recurrent networks, of one direction.
//!
//! Invariant: as ONNX defines them; a state of zeros is none, and nothing is multiplied by it. Weights and biases may be constants
//! or computed.

use zkml::graph::{Activation, TensorId};

use super::binary::{combination, line};
use super::draft::{Draft, Refusal, small, unsupported};
use super::held;
use super::moved::{self, Source, moved};
use super::product::{self, Factor};
use super::recipe::Call;
use super::recurrent::Sizes;
use super::wiring;
use crate::float::{FloatMap, FloatOp, Hold};
use crate::functions::Function;
use crate::ops::Linear;

/// A kind of network.
pub(super) struct Kind {
    pub gates: usize,
    /// Activations by default, of one direction.
    pub activations: &'static [&'static str],
    /// The next state and the next memory.
    pub step: fn(&mut Draft, &Cell<'_, '_>, TensorId, State) -> Result<State, Refusal>,
}

pub(super) const RNN: Kind = Kind {
    gates: 1,
    activations: &["Tanh"],
    step: rnn,
};
pub(super) const GRU: Kind = Kind {
    gates: 3,
    activations: &["Sigmoid", "Tanh"],
    step: gru,
};
pub(super) const LSTM: Kind = Kind {
    gates: 4,
    activations: &["Sigmoid", "Tanh", "Tanh"],
    step: lstm,
};

/// A part of an input.
#[derive(Clone)]
enum Part {
    Constant(Vec<f64>),
    Computed(TensorId),
}

impl Part {
    /// Values of an input from a place on.
    fn of(
        draft: &mut Draft,
        call: &Call<'_>,
        at: usize,
        from: usize,
        shape: &[usize],
    ) -> Result<Self, Refusal> {
        let len = shape.iter().product::<usize>();
        if from + len > call.shape_of(draft, at)?.iter().product() {
            return unsupported(format!("its input {at} has too few values"));
        }
        if call.is_computed(at) {
            let places = (from..from + len).map(|p| Source::Of(0, p)).collect::<Vec<_>>();
            let part = moved(draft, call.name, &[call.computed(at)?], &places, shape)?;
            return Ok(Self::Computed(part));
        }
        Ok(Self::Constant(
            call.constant(at)?.values[from..from + len].to_vec(),
        ))
    }
}

/// The greatest clip: beyond it every gate is flat.
const MOST_CLIP: f64 = 1024.0;

/// State and memory after a step, `[batch, hidden]`; none where they are zeros.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub hidden: Option<TensorId>,
    pub memory: Option<TensorId>,
}

/// One direction.
pub(super) struct Cell<'c, 'a> {
    call: &'c Call<'a>,
    batch: usize,
    hidden: usize,
    activations: Vec<Of>,
    /// By gate, `[hidden, hidden]`.
    weights: Vec<Part>,
    /// By gate, of the state; empty where there are none.
    biases: Vec<Part>,
    /// By gate, of the memory; empty where there are none.
    peepholes: Vec<Part>,
    linear_before_reset: bool,
    /// How far to both sides an activation's argument goes, where the file says that.
    clip: Option<f64>,
    /// Whether an LSTM forgets what it does not take.
    input_forget: bool,
}

/// An activation.
#[derive(Clone)]
pub(super) enum Of {
    Relu,
    Function(Function),
}

impl Cell<'_, '_> {
    fn shape(&self) -> [usize; 2] {
        [self.batch, self.hidden]
    }

    fn activate(&self, draft: &mut Draft, which: usize, x: TensorId) -> Result<TensorId, Refusal> {
        let x = match self.clip {
            Some(clip) => held::clipped(draft, self.call.name, x, clip)?,
            None => x,
        };
        self.unclipped(draft, which, x)
    }

    /// An activation of what no clip is for.
    fn unclipped(&self, draft: &mut Draft, which: usize, x: TensorId) -> Result<TensorId, Refusal> {
        let shape = draft.shape(x);
        match self.activations.get(which) {
            Some(Of::Function(of)) => held::flat(draft, self.call.name, x, of.clone()),
            Some(Of::Relu) => {
                let map = combination(shape.iter().product(), vec![1.0])?;
                let activation = Activation::Relu;
                draft.node(
                    self.call.name,
                    FloatOp::Linear(Linear { map, activation }),
                    &[x],
                    &shape,
                )
            }
            None => unsupported("too few activations"),
        }
    }

    /// Whether an activation takes whatever number there is.
    fn is_clamped(&self, which: usize) -> bool {
        match self.activations.get(which) {
            Some(Of::Function(function)) => function.flat_from().is_some(),
            Some(Of::Relu) => true,
            None => false,
        }
    }

    /// Whether a state of a GRU that begins as zeros is between −1 and 1: each is between the last one and a Tanh.
    fn stays_within_one(&self) -> bool {
        let of = |which: usize| match self.activations.get(which) {
            Some(Of::Function(function)) => Some(function),
            Some(Of::Relu) | None => None,
        };
        of(0).is_some_and(Function::is_sigmoid) && of(1) == Some(&Function::tanh())
    }

    /// `Σ factor · x`.
    fn sum(&self, draft: &mut Draft, tensors: &[TensorId], factors: &[f64]) -> Result<TensorId, Refusal> {
        let map = combination(self.batch * self.hidden, factors.to_vec())?;
        draft.linear(self.call.name, map, tensors, &self.shape())
    }

    fn times(&self, draft: &mut Draft, a: TensorId, b: TensorId) -> Result<TensorId, Refusal> {
        product::elements(draft, self.call.name, [a, b], &self.shape())
    }

    /// A gate of the input's share, which has its bias.
    fn gate(&self, draft: &mut Draft, x: TensorId, gate: usize) -> Result<TensorId, Refusal> {
        let gates = draft.shape(x).iter().product::<usize>() / (self.batch * self.hidden);
        let n = self.hidden;
        let places =
            (0..self.batch).flat_map(|b| (0..n).map(move |i| Source::Of(0, (b * gates + gate) * n + i)));
        let places: Vec<Source> = places.collect();
        moved(draft, self.call.name, &[x], &places, &self.shape())
    }

    /// The state's share of a gate, without its bias.
    fn recurrent(&self, draft: &mut Draft, state: TensorId, gate: usize) -> Result<TensorId, Refusal> {
        linear(draft, self.call.name, state, &self.weights[gate], self.hidden)
    }

    /// A gate of both, before its activation. Biases of the state are with the input's share.
    fn both(&self, draft: &mut Draft, x: TensorId, state: State, gate: usize) -> Result<TensorId, Refusal> {
        let own = self.gate(draft, x, gate)?;
        let Some(hidden) = state.hidden else {
            return Ok(own);
        };
        let share = self.recurrent(draft, hidden, gate)?;
        self.sum(draft, &[own, share], &[1.0, 1.0])
    }

    /// With what a gate sees of the memory.
    fn peeping(
        &self,
        draft: &mut Draft,
        x: TensorId,
        memory: Option<TensorId>,
        gate: usize,
    ) -> Result<TensorId, Refusal> {
        let (Some(memory), Some(weights)) = (memory, self.peepholes.get(gate)) else {
            return Ok(x);
        };
        let seen = scaled(draft, self.call.name, memory, weights)?;
        self.sum(draft, &[x, seen], &[1.0, 1.0])
    }
}

/// `x · wᵀ` of an `x` of `[rows, inputs]`.
fn linear(draft: &mut Draft, name: &str, x: TensorId, w: &Part, outputs: usize) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let [rows, inputs] = shape[..] else {
        return unsupported("a tensor of another rank");
    };
    match w {
        Part::Constant(weight) => {
            let [inputs, outputs_small] = small([inputs, outputs])?;
            let map = FloatMap::Dense {
                inputs,
                outputs: outputs_small,
                weight: weight.clone(),
                bias: vec![0.0; outputs],
            };
            draft.linear(name, map, &[x], &[rows, outputs])
        }
        Part::Computed(w) => {
            let w = wiring::reshape(draft, name, *w, &[outputs, inputs])?;
            let left = Factor {
                axes: &['b', 'i'],
                tensor: x,
            };
            let right = Factor {
                axes: &['o', 'i'],
                tensor: w,
            };
            product::einsum(draft, name, &left, &right, &['b', 'o'], &[rows, outputs])
        }
    }
}

/// `x` of `[rows, n]`, each column times a number.
fn scaled(draft: &mut Draft, name: &str, x: TensorId, by: &Part) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    match by {
        Part::Constant(by) => {
            let map = FloatMap::Affine {
                outer: small([shape[0]])?[0],
                channels: small([by.len()])?[0],
                inner: 1,
                scale: by.clone(),
                bias: vec![0.0; by.len()],
            };
            draft.linear(name, map, &[x], &shape)
        }
        Part::Computed(by) => {
            let by = repeated(draft, name, *by, &shape)?;
            product::elements(draft, name, [x, by], &shape)
        }
    }
}

/// A row, for all rows.
fn repeated(draft: &mut Draft, name: &str, row: TensorId, shape: &[usize]) -> Result<TensorId, Refusal> {
    let n = draft.shape(row).iter().product::<usize>();
    let row = wiring::reshape(draft, name, row, &[1, n])?;
    wiring::broadcast(draft, name, row, shape)
}

/// `x` of `[rows, n]`, each column with biases.
fn shifted(draft: &mut Draft, name: &str, x: TensorId, biases: &[Part]) -> Result<TensorId, Refusal> {
    let shape = draft.shape(x);
    let (len, n) = (
        shape.iter().product::<usize>(),
        shape.last().copied().unwrap_or(1),
    );
    let (mut bias, mut tensors) = (vec![0.0; n], vec![x]);
    for part in biases {
        match part {
            Part::Constant(values) => bias.iter_mut().zip(values).for_each(|(b, v)| *b += v),
            Part::Computed(row) => tensors.push(repeated(draft, name, *row, &shape)?),
        }
    }
    if tensors.len() == 1 && bias.iter().all(|b| *b == 0.0) {
        return Ok(x);
    }
    let mut rows = vec![vec![1.0; len]; tensors.len()];
    rows.push((0..len).map(|i| bias[i % n]).collect());
    draft.linear(name, moved::affine(rows)?, &tensors, &shape)
}

fn rnn(draft: &mut Draft, cell: &Cell<'_, '_>, x: TensorId, state: State) -> Result<State, Refusal> {
    let sum = cell.both(draft, x, state, 0)?;
    Ok(State {
        hidden: Some(cell.activate(draft, 0, sum)?),
        memory: None,
    })
}

/// Gates: update, reset, hidden.
fn gru(draft: &mut Draft, cell: &Cell<'_, '_>, x: TensorId, state: State) -> Result<State, Refusal> {
    let update = cell.both(draft, x, state, 0)?;
    let update = cell.activate(draft, 0, update)?;
    let reset = cell.both(draft, x, state, 1)?;
    let reset = cell.activate(draft, 0, reset)?;
    let own = cell.gate(draft, x, 2)?;
    let share = match (state.hidden, cell.linear_before_reset) {
        (Some(hidden), false) => {
            let kept = cell.times(draft, reset, hidden)?;
            draft.hold(kept, Hold::All);
            Some(cell.recurrent(draft, kept, 2)?)
        }
        (Some(hidden), true) => {
            let linear = cell.recurrent(draft, hidden, 2)?;
            let linear = match cell.biases.get(2) {
                Some(bias) => shifted(draft, cell.call.name, linear, std::slice::from_ref(bias))?,
                None => linear,
            };
            draft.hold(linear, Hold::All);
            Some(cell.times(draft, reset, linear)?)
        }
        // Of a state of zeros its bias is left.
        (None, true) => match cell.biases.get(2) {
            Some(bias) => Some(scaled(draft, cell.call.name, reset, bias)?),
            None => None,
        },
        (None, false) => None,
    };
    let candidate = match share {
        Some(share) => cell.sum(draft, &[own, share], &[1.0, 1.0])?,
        None => own,
    };
    let candidate = cell.activate(draft, 1, candidate)?;
    // (1 − z)·n + z·h = n + z·(h − n).
    let (difference, sign) = match state.hidden {
        Some(hidden) => (cell.sum(draft, &[hidden, candidate], &[1.0, -1.0])?, 1.0),
        None => (candidate, -1.0),
    };
    draft.hold(difference, Hold::All);
    let moved = cell.times(draft, update, difference)?;
    let hidden = cell.sum(draft, &[candidate, moved], &[1.0, sign])?;
    draft.hold(hidden, Hold::All);
    if cell.stays_within_one() && state.hidden.is_none_or(|before| draft.bound_of(before).is_some()) {
        draft.bound(hidden, 1);
    }
    Ok(State {
        hidden: Some(hidden),
        memory: None,
    })
}

/// Gates: input, output, forget, cell.
fn lstm(draft: &mut Draft, cell: &Cell<'_, '_>, x: TensorId, state: State) -> Result<State, Refusal> {
    let input = cell.both(draft, x, state, 0)?;
    let input = cell.peeping(draft, input, state.memory, 0)?;
    let input = cell.activate(draft, 0, input)?;
    let candidate = cell.both(draft, x, state, 3)?;
    let candidate = cell.activate(draft, 1, candidate)?;
    let taken = cell.times(draft, input, candidate)?;
    let memory = match state.memory {
        Some(memory) => {
            let forget = if cell.input_forget {
                let map = line(cell.batch * cell.hidden, vec![-1.0], 1.0)?;
                draft.linear(cell.call.name, map, &[input], &cell.shape())?
            } else {
                let forget = cell.both(draft, x, state, 2)?;
                let forget = cell.peeping(draft, forget, Some(memory), 2)?;
                cell.activate(draft, 0, forget)?
            };
            let kept = cell.times(draft, forget, memory)?;
            cell.sum(draft, &[kept, taken], &[1.0, 1.0])?
        }
        None => taken,
    };
    // A gate is 1 at most: so many steps make so much of it, at most, and for that there is room; but not in the table of a function
    // that is flat nowhere.
    if cell.is_clamped(2) {
        draft.hold(memory, Hold::All);
    }
    let output = cell.both(draft, x, state, 1)?;
    let output = cell.peeping(draft, output, Some(memory), 1)?;
    let output = cell.activate(draft, 0, output)?;
    let shown = cell.unclipped(draft, 2, memory)?;
    let hidden = cell.times(draft, output, shown)?;
    draft.hold(hidden, Hold::All);
    Ok(State {
        hidden: Some(hidden),
        memory: Some(memory),
    })
}

/// A direction's weights, and the input's share of all gates with all biases that can be there, `[steps · batch, gates · hidden]`.
pub(super) fn cell<'c, 'a>(
    draft: &mut Draft,
    call: &'c Call<'a>,
    (kind, activations): (&Kind, Vec<Of>),
    sizes: Sizes,
    k: usize,
    x: TensorId,
) -> Result<(Cell<'c, 'a>, TensorId), Refusal> {
    let (n, gates) = (sizes.hidden, kind.gates);
    let rows = gates * n;
    let linear_before_reset = call.int("linear_before_reset", 0)? != 0;
    let w = Part::of(draft, call, 1, k * rows * sizes.inputs, &[rows, sizes.inputs])?;
    let weights = (0..gates).map(|g| Part::of(draft, call, 2, (k * rows + g * n) * n, &[n, n]));
    let weights = weights.collect::<Result<Vec<_>, _>>()?;
    let mut xs = linear(draft, call.name, x, &w, rows)?;
    let mut biases = Vec::new();
    if call.has(3) {
        let from = k * 2 * rows;
        let own = Part::of(draft, call, 3, from, &[rows])?;
        for g in 0..gates {
            biases.push(Part::of(draft, call, 3, from + rows + g * n, &[n])?);
        }
        let mut of_state = Part::of(draft, call, 3, from + rows, &[rows])?;
        if linear_before_reset && gates == 3 {
            // The hidden gate's is multiplied by the reset gate.
            of_state = without_last(draft, call, of_state, n)?;
        }
        xs = shifted(draft, call.name, xs, &[own, of_state])?;
    }
    let mut peepholes = Vec::new();
    if gates == 4 && call.has(7) {
        for g in 0..3 {
            peepholes.push(Part::of(draft, call, 7, (k * 3 + g) * n, &[n])?);
        }
    }
    let cell = Cell {
        call,
        batch: sizes.batch,
        hidden: n,
        activations,
        weights,
        biases,
        peepholes,
        linear_before_reset,
        clip: clip(call)?,
        input_forget: gates == 4 && call.int("input_forget", 0)? != 0,
    };
    Ok((cell, xs))
}

fn clip(call: &Call<'_>) -> Result<Option<f64>, Refusal> {
    let clip = call.float("clip", f32::INFINITY)?.abs();
    if clip.is_nan() || clip > MOST_CLIP && clip.is_finite() {
        return unsupported(format!(
            "its attribute `clip` of {clip}: up to {MOST_CLIP} is supported"
        ));
    }
    Ok(Some(clip).filter(|clip| clip.is_finite()))
}

/// A row whose last values are 0.
fn without_last(draft: &mut Draft, call: &Call<'_>, row: Part, last: usize) -> Result<Part, Refusal> {
    match row {
        Part::Constant(mut values) => {
            let from = values.len() - last;
            values[from..].fill(0.0);
            Ok(Part::Constant(values))
        }
        Part::Computed(row) => {
            let shape = draft.shape(row);
            let len = shape.iter().product::<usize>();
            let source = |i: usize| {
                if i + last < len {
                    Source::Of(0, i)
                } else {
                    Source::Constant(0.0)
                }
            };
            let sources: Vec<Source> = (0..len).map(source).collect();
            Ok(Part::Computed(moved(draft, call.name, &[row], &sources, &shape)?))
        }
    }
}
