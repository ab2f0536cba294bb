//! Recurrent networks, step by step: each is a few nodes of its own, and its state the next one's input.
//!
//! Invariant: exact in floats. Weights, biases and first states may be constants or computed; numbers of steps are fixed. A first
//! state of zeros is left out, so that nothing is multiplied by it. Where a network reads its input and its states in the 255 steps of
//! their own ranges (`quantised`), these stand in their places.

use zkml::graph::TensorId;

use super::cells::{GRU, Kind, LSTM, Of, RNN, State, cell};
use super::draft::{Draft, Refusal, unsupported};
use super::moved::{self, Source, moved};
use super::recipe::{Call, Recipe};
use super::wiring;
use crate::functions;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::several("GRU", |draft, call| run(draft, call, &GRU, as_they_are)),
    Recipe::several("LSTM", |draft, call| run(draft, call, &LSTM, as_they_are)),
    Recipe::several("RNN", |draft, call| run(draft, call, &RNN, as_they_are)),
];

/// Most steps of a node: each has nodes of its own in the graph.
const MAX_STEPS: usize = 128;

/// Sizes of a node.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    steps: usize,
    pub batch: usize,
    pub inputs: usize,
    pub hidden: usize,
    directions: usize,
    batch_first: bool,
}

impl Sizes {
    fn of(draft: &Draft, call: &Call<'_>, directions: usize) -> Result<Self, Refusal> {
        let batch_first = call.int("layout", 0)? != 0;
        let (of_input, of_weights) = (call.shape_of(draft, 0)?, call.shape_of(draft, 2)?);
        let (&[a, b, inputs], &[_, _, hidden]) = (&of_input[..], &of_weights[..]) else {
            return unsupported("inputs or weights that have not three dimensions");
        };
        let (steps, batch) = if batch_first { (b, a) } else { (a, b) };
        if steps > MAX_STEPS {
            return unsupported(format!("{steps} steps: at most {MAX_STEPS} are supported"));
        }
        Ok(Self {
            steps,
            batch,
            inputs,
            hidden,
            directions,
            batch_first,
        })
    }

    /// A state of a direction in the file's order: the place of a value.
    fn place(self, direction: usize, b: usize, i: usize) -> usize {
        let row = if self.batch_first {
            b * self.directions + direction
        } else {
            direction * self.batch + b
        };
        row * self.hidden + i
    }

    /// A first state, where one is given that is not zeros.
    fn first(
        self,
        draft: &mut Draft,
        call: &Call<'_>,
        at: usize,
        direction: usize,
    ) -> Result<Option<TensorId>, Refusal> {
        if !call.has(at) {
            return Ok(None);
        }
        let shape = [self.batch, self.hidden];
        let places = (0..self.batch).flat_map(|b| (0..self.hidden).map(move |i| self.place(direction, b, i)));
        if call.is_computed(at) {
            let sources: Vec<Source> = places.map(|p| Source::Of(0, p)).collect();
            return Ok(Some(moved(
                draft,
                call.name,
                &[call.computed(at)?],
                &sources,
                &shape,
            )?));
        }
        let constant = call.constant(at)?.values;
        let values: Option<Vec<f64>> = places.map(|p| constant.get(p).copied()).collect();
        match values {
            Some(values) if values.iter().all(|v| *v == 0.0) => Ok(None),
            Some(values) => Ok(Some(moved::constant(draft, call.name, &values, &shape)?)),
            None => unsupported("a first state with too few values"),
        }
    }
}

fn activations(call: &Call<'_>, kind: &Kind, directions: usize) -> Result<Vec<Of>, Refusal> {
    for name in ["activation_alpha", "activation_beta"] {
        if call.floats(name)?.is_some_and(|list| !list.is_empty()) {
            return unsupported(format!("its attribute `{name}`"));
        }
    }
    let names = match call.texts("activations")? {
        Some(names) if names.len() == kind.activations.len() * directions => names,
        Some(names) => return unsupported(format!("{} activations", names.len())),
        None => kind
            .activations
            .repeat(directions)
            .into_iter()
            .map(str::to_owned)
            .collect(),
    };
    let of = |name: &String| {
        if name == "Relu" {
            return Ok(Of::Relu);
        }
        let plain = ["Sigmoid", "Tanh", "Softsign", "Softplus"].contains(&name.as_str());
        match functions::named(name).filter(|_| plain) {
            Some(function) => Ok(Of::Function(function)),
            None => unsupported(format!("the activation `{name}`")),
        }
    };
    names.iter().map(of).collect()
}

fn check(call: &Call<'_>, steps: usize) -> Result<(), Refusal> {
    if call.float("clip", f32::INFINITY)?.is_finite() {
        return unsupported("its attribute `clip`");
    }
    if call.int("input_forget", 0)? != 0 {
        return unsupported("its attribute `input_forget`");
    }
    match call.integers(4)? {
        Some(lengths) if lengths.iter().any(|&l| l != steps as i64) => {
            unsupported("sequences that are shorter than the input")
        }
        _ => Ok(()),
    }
}

/// What weights are multiplied by, in the place of an input or of a state.
type Read = fn(&mut Draft, &str, TensorId) -> Result<TensorId, Refusal>;

fn as_they_are(_: &mut Draft, _: &str, x: TensorId) -> Result<TensorId, Refusal> {
    Ok(x)
}

/// An LSTM that reads its input and its states otherwise than they are; of a batch of one, which shares no range.
pub(super) fn lstm_reading(
    draft: &mut Draft,
    call: &Call<'_>,
    read: Read,
) -> Result<Vec<Option<TensorId>>, Refusal> {
    if call.shape_of(draft, 0)?.get(1) != Some(&1) {
        return unsupported(
            "a batch of more than one: whether its rows share one range is left open, and one row is supported",
        );
    }
    run(draft, call, &LSTM, read)
}

fn run(
    draft: &mut Draft,
    call: &Call<'_>,
    kind: &Kind,
    read: Read,
) -> Result<Vec<Option<TensorId>>, Refusal> {
    let reversed: &[bool] = match call.text("direction", "forward")?.as_str() {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return unsupported(format!("its `direction` `{other}`")),
    };
    let sizes = Sizes::of(draft, call, reversed.len())?;
    check(call, sizes.steps)?;
    let functions = activations(call, kind, sizes.directions)?;
    let mut x = call.computed(0)?;
    if sizes.batch_first {
        x = wiring::permute(draft, call.name, x, &[1, 0, 2])?;
    }
    let x = wiring::reshape(draft, call.name, x, &[sizes.steps * sizes.batch, sizes.inputs])?;
    let x = read(draft, call.name, x)?;
    let mut hidden = vec![Vec::new(); sizes.steps];
    let mut last = Vec::new();
    for (k, &reverse) in reversed.iter().enumerate() {
        let of_one = kind.activations.len();
        let functions = functions[k * of_one..(k + 1) * of_one].to_vec();
        let (cell, xs) = cell(draft, call, (kind, functions), sizes, k, x)?;
        let mut state = State {
            hidden: sizes.first(draft, call, 5, k)?,
            memory: if kind.gates == 4 {
                sizes.first(draft, call, 6, k)?
            } else {
                None
            },
        };
        for step in 0..sizes.steps {
            let t = if reverse { sizes.steps - 1 - step } else { step };
            let len = sizes.batch * kind.gates * sizes.hidden;
            let places: Vec<Source> = (t * len..(t + 1) * len).map(|p| Source::Of(0, p)).collect();
            let own = moved(
                draft,
                call.name,
                &[xs],
                &places,
                &[sizes.batch, kind.gates * sizes.hidden],
            )?;
            if let Some(hidden) = &mut state.hidden {
                *hidden = read(draft, call.name, *hidden)?;
            }
            state = (kind.step)(draft, &cell, own, state)?;
            hidden[t].extend(state.hidden);
        }
        last.push(state);
    }
    let shape_of = |at: usize| call.shapes.get(at).copied().flatten();
    let all = match shape_of(0) {
        Some(shape) => Some(every_step(draft, call, sizes, &hidden.concat(), shape)?),
        None => None,
    };
    let mut made = vec![all];
    let last_hidden: Vec<TensorId> = last.iter().filter_map(|s| s.hidden).collect();
    let last_memory: Vec<TensorId> = last.iter().filter_map(|s| s.memory).collect();
    for (at, parts) in [(1, last_hidden), (2, last_memory)] {
        made.push(match shape_of(at) {
            Some(shape) => Some(joined(draft, call, sizes, &parts, shape)?),
            None => None,
        });
    }
    Ok(made)
}

/// States of all steps and directions, by step and then direction, in the file's order.
fn every_step(
    draft: &mut Draft,
    call: &Call<'_>,
    sizes: Sizes,
    states: &[TensorId],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let Sizes {
        steps,
        batch,
        hidden,
        directions,
        ..
    } = sizes;
    let source = |t: usize, k: usize, b: usize, i: usize| Source::Of(t * directions + k, b * hidden + i);
    let mut sources = Vec::new();
    if sizes.batch_first {
        for b in 0..batch {
            for t in 0..steps {
                for k in 0..directions {
                    sources.extend((0..hidden).map(|i| source(t, k, b, i)));
                }
            }
        }
    } else {
        for t in 0..steps {
            for k in 0..directions {
                for b in 0..batch {
                    sources.extend((0..hidden).map(|i| source(t, k, b, i)));
                }
            }
        }
    }
    moved(draft, call.name, states, &sources, shape)
}

/// Last states of all directions in the file's order.
fn joined(
    draft: &mut Draft,
    call: &Call<'_>,
    sizes: Sizes,
    states: &[TensorId],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let mut sources = vec![Source::Constant(0.0); sizes.batch * sizes.directions * sizes.hidden];
    for k in 0..sizes.directions {
        for b in 0..sizes.batch {
            for i in 0..sizes.hidden {
                sources[sizes.place(k, b, i)] = Source::Of(k, b * sizes.hidden + i);
            }
        }
    }
    moved(draft, call.name, states, &sources, shape)
}
