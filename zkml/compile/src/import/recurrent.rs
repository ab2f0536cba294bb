//! Recurrent networks, step by step: each is a few nodes of its own, and its state the next one's input.
//!
//! Invariant: exact in floats, but for gates that are clamped where they are flat (`held`). Weights, biases and first states may be
//! constants or computed; numbers of steps, and each row's length, are fixed: past its end a row keeps its state, and shows zeros. A
//! first state of zeros is left out, so that nothing is multiplied by it. Where a network reads its input and its states in the 255 steps of
//! their own ranges (`quantised`), these stand in their places.

use zkml::graph::TensorId;

use super::cells::{GRU, Kind, LSTM, Of, RNN, State, cell};
use super::draft::{Draft, Refusal, unsupported};
use super::moved::{self, Source, moved};
use super::recipe::{Call, Recipe};
use super::wiring;
use crate::float::Hold;
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

/// Activations with numbers of their own, by ONNX's names: which of its lists of alphas and betas say one, in order.
const WITH_NUMBERS: &[(&str, &[&str])] = &[
    ("Elu", &["alpha"]),
    ("HardSigmoid", &["alpha", "beta"]),
    ("LeakyRelu", &["alpha"]),
    ("ThresholdedRelu", &["alpha"]),
];

/// Each activation takes the next of the numbers that it has; where the list is at its end, the operator's own.
fn activations(call: &Call<'_>, kind: &Kind, directions: usize) -> Result<Vec<Of>, Refusal> {
    let lists = ["activation_alpha", "activation_beta"].map(|name| call.floats(name));
    let [alphas, betas] = lists;
    let mut numbers = [alphas?, betas?].map(|list| list.unwrap_or_default().into_iter());
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
        if let Some((op, takes)) = WITH_NUMBERS.iter().find(|(op, _)| op == name) {
            let mut given = Vec::new();
            for (attribute, list) in ["alpha", "beta"].into_iter().zip(&mut numbers) {
                let taken = takes.contains(&attribute).then(|| list.next()).flatten();
                given.extend(taken.map(|number| (attribute, number as f32)));
            }
            return functions::with_numbers(op, &given)
                .map(Of::Function)
                .or_else(unsupported);
        }
        let plain = ["Sigmoid", "Tanh", "Softsign", "Softplus"].contains(&name.as_str());
        match functions::named(name).filter(|_| plain) {
            Some(function) => Ok(Of::Function(function)),
            None => unsupported(format!("the activation `{name}`")),
        }
    };
    names.iter().map(of).collect()
}

/// How many steps each row of the batch has: the others are as if they were not there.
fn lengths(call: &Call<'_>, sizes: Sizes) -> Result<Vec<usize>, Refusal> {
    let Some(lengths) = call.integers(4)? else {
        return Ok(vec![sizes.steps; sizes.batch]);
    };
    let within = |l: &i64| usize::try_from(*l).ok().filter(|l| *l <= sizes.steps);
    match lengths.iter().map(within).collect::<Option<Vec<_>>>() {
        Some(known) if known.len() == sizes.batch => Ok(known),
        _ => unsupported(format!(
            "lengths {lengths:?} of {} rows of {} steps",
            sizes.batch, sizes.steps
        )),
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
    let lengths = lengths(call, sizes)?;
    let functions = activations(call, kind, sizes.directions)?;
    let mut x = call.computed(0)?;
    if sizes.batch_first {
        x = wiring::permute(draft, call.name, x, &[1, 0, 2])?;
    }
    let x = wiring::reshape(draft, call.name, x, &[sizes.steps * sizes.batch, sizes.inputs])?;
    let x = read(draft, call.name, x)?;
    let longest = lengths.iter().copied().max().unwrap_or(0);
    // By direction and step.
    let mut hidden = Vec::new();
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
        for step in 0..longest {
            let each = kind.gates * sizes.hidden;
            let mut places = Vec::with_capacity(sizes.batch * each);
            for (b, &length) in lengths.iter().enumerate() {
                // Of a row that has ended any will do: what it makes is not taken.
                let t = time(reverse, length, step.min(length.saturating_sub(1)));
                let from = (t * sizes.batch + b) * each;
                places.extend((from..from + each).map(|p| Source::Of(0, p)));
            }
            let own = moved(draft, call.name, &[xs], &places, &[sizes.batch, each])?;
            if let Some(hidden) = &mut state.hidden {
                *hidden = read(draft, call.name, *hidden)?;
            }
            let next = (kind.step)(draft, &cell, own, state)?;
            let mut taken = |new: Option<TensorId>, old: Option<TensorId>| {
                let new = new.filter(|_| lengths.iter().any(|length| step >= *length));
                new.map(|new| going_on(draft, call, sizes, [Some(new), old], |b| step < lengths[b]))
                    .transpose()
            };
            let (hidden_then, memory_then) = (
                taken(next.hidden, state.hidden)?,
                taken(next.memory, state.memory)?,
            );
            state = State {
                hidden: hidden_then.or(next.hidden),
                memory: memory_then.or(next.memory),
            };
            hidden.extend(state.hidden);
        }
        last.push(state);
    }
    let shape_of = |at: usize| call.shapes.get(at).copied().flatten();
    let all = match shape_of(0) {
        Some(shape) => {
            let steps = Steps {
                sizes,
                longest,
                lengths: &lengths,
                reversed,
            };
            Some(every_step(draft, call, &steps, &hidden, shape)?)
        }
        None => None,
    };
    let mut made = vec![all];
    // What has room for all that a state can be is not refused where states stand side by side.
    let last_hidden: Vec<Option<TensorId>> = last.iter().map(|s| s.hidden).collect();
    let last_memory: Vec<Option<TensorId>> = last.iter().map(|s| s.memory).collect();
    for (at, parts) in [(1, last_hidden), (2, last_memory)] {
        made.push(match shape_of(at) {
            Some(shape) => Some(joined(draft, call, sizes, &parts, shape)?),
            None => None,
        });
    }
    for id in made.iter().flatten() {
        draft.hold(*id, Hold::All);
    }
    Ok(made)
}

/// At which of a row's times it is in a step.
const fn time(reverse: bool, length: usize, step: usize) -> usize {
    if reverse {
        length.saturating_sub(step + 1)
    } else {
        step
    }
}

/// What is new of the rows that go on, and what is old of all others: of the two, or zeros.
fn going_on(
    draft: &mut Draft,
    call: &Call<'_>,
    sizes: Sizes,
    [new, old]: [Option<TensorId>; 2],
    goes_on: impl Fn(usize) -> bool,
) -> Result<TensorId, Refusal> {
    let tensors: Vec<TensorId> = new.into_iter().chain(old).collect();
    let source = |t: usize| match (goes_on(t / sizes.hidden), old) {
        (true, _) => Source::Of(0, t),
        (false, Some(_)) => Source::Of(1, t),
        (false, None) => Source::Constant(0.0),
    };
    let sources: Vec<Source> = (0..sizes.batch * sizes.hidden).map(source).collect();
    let made = moved(draft, call.name, &tensors, &sources, &[sizes.batch, sizes.hidden])?;
    draft.hold(made, Hold::All);
    if let Some(bound) = new.and_then(|new| draft.bound_of(new)) {
        draft.bound(made, bound);
    }
    Ok(made)
}

/// Where the states of steps stand.
struct Steps<'a> {
    sizes: Sizes,
    /// Steps that are made.
    longest: usize,
    lengths: &'a [usize],
    reversed: &'a [bool],
}

/// States of all times and directions, made by direction and then step, in the file's order; zeros behind a row's end.
fn every_step(
    draft: &mut Draft,
    call: &Call<'_>,
    of: &Steps<'_>,
    states: &[TensorId],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let Sizes {
        steps,
        batch,
        hidden,
        directions,
        ..
    } = of.sizes;
    let source = |t: usize, k: usize, b: usize, i: usize| {
        let length = of.lengths[b];
        if t < length {
            // It is its own opposite.
            let step = time(of.reversed[k], length, t);
            Source::Of(k * of.longest + step, b * hidden + i)
        } else {
            Source::Constant(0.0)
        }
    };
    let mut sources = Vec::new();
    if of.sizes.batch_first {
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

/// Last states of all directions in the file's order; a direction without one has zeros.
fn joined(
    draft: &mut Draft,
    call: &Call<'_>,
    sizes: Sizes,
    states: &[Option<TensorId>],
    shape: &[usize],
) -> Result<TensorId, Refusal> {
    let mut sources = vec![Source::Constant(0.0); sizes.batch * sizes.directions * sizes.hidden];
    let mut given = Vec::new();
    for (k, state) in states.iter().enumerate() {
        let Some(state) = state else { continue };
        for b in 0..sizes.batch {
            for i in 0..sizes.hidden {
                sources[sizes.place(k, b, i)] = Source::Of(given.len(), b * sizes.hidden + i);
            }
        }
        given.push(*state);
    }
    moved(draft, call.name, &given, &sources, shape)
}
