//! Recurrent networks: RNN, GRU, LSTM, in one or both directions.

use super::{
    Call, Made, Operator, Step, Tensor,
    matmul::{Matrix, product},
    op, size,
    unary::{sigmoid, softplus},
};
use crate::{
    Values,
    attribute::{Declared, Value, float, floats, int, text, texts},
};

pub(super) const OPERATORS: &[Operator] = &[
    op("GRU", 3, 6, |c| run(c, 3, &["Sigmoid", "Tanh"], gru, None)).attributes(GRU),
    op("LSTM", 3, 8, |c| lstm_reading(c, None)).attributes(LSTM),
    op("RNN", 3, 6, |c| run(c, 1, &["Tanh"], rnn, None)).attributes(RNN),
];

/// What all of them declare, and some more.
macro_rules! declared {
    ($($more:expr),*) => {
        &[
            floats("activation_alpha"),
            floats("activation_beta"),
            texts("activations"),
            float("clip"),
            text("direction"),
            int("hidden_size"),
            int("layout").from(14),
            $($more),*
        ]
    };
}
const RNN: &[Declared] = declared![];
const GRU: &[Declared] = declared![int("linear_before_reset")];
const LSTM: &[Declared] = declared![int("input_forget")];

type Activation = Box<dyn Fn(f64) -> f64>;

/// One step of one direction: what the gates are made of, and what becomes of the state.
struct Cell<'a> {
    call: &'a Call<'a>,
    hidden: usize,
    activations: &'a [Activation],
    /// Weights of the state, `[gates · hidden, hidden]`, and its bias.
    r: &'a [f64],
    state_bias: &'a [f64],
    /// Peepholes of LSTM.
    p: &'a [f64],
    clip: f64,
}

/// The gates of a step from the input (bias added), for one batch; state and cell are changed.
type Advance = fn(&Cell, &[f64], &mut [f64], &mut [f64]) -> Step<()>;

impl Cell<'_> {
    fn activate(&self, which: usize, x: f64) -> f64 {
        let x = x.clamp(-self.clip, self.clip);
        self.activations.get(which).map_or(x, |f| f(x))
    }

    /// The state times the weights of the gates `from..to`, with their bias.
    fn recurrent(&self, state: &[f64], from: usize, to: usize) -> Step<Vec<f64>> {
        let n = self.hidden;
        let r = Matrix {
            values: &self.r[from * n * n..to * n * n],
            rows: n,
            columns: (to - from) * n,
            transposed: true,
        };
        let mut made = vec![0.0; (to - from) * n];
        product(
            self.call,
            1.0,
            Matrix::new(state, 1, n),
            r,
            0.0,
            &mut made,
            (to - from) * n,
        )?;
        made.iter_mut()
            .zip(&self.state_bias[from * n..to * n])
            .for_each(|(m, b)| *m += b);
        Ok(made)
    }
}

fn rnn(cell: &Cell, x: &[f64], state: &mut [f64], _: &mut [f64]) -> Step<()> {
    let h = cell.recurrent(state, 0, 1)?;
    state
        .iter_mut()
        .zip(x)
        .zip(&h)
        .for_each(|((s, x), h)| *s = cell.activate(0, x + h));
    Ok(())
}

/// Gates: update, reset, hidden.
fn gru(cell: &Cell, x: &[f64], state: &mut [f64], _: &mut [f64]) -> Step<()> {
    let n = cell.hidden;
    let h = cell.recurrent(state, 0, 2)?;
    let gate = |g: usize, i: usize| cell.activate(0, x[g * n + i] + h[g * n + i]);
    let candidate: Vec<f64> = if cell.call.flag("linear_before_reset", false)? {
        let linear = cell.recurrent(state, 2, 3)?;
        (0..n).map(|i| x[2 * n + i] + gate(1, i) * linear[i]).collect()
    } else {
        let reset: Vec<f64> = (0..n).map(|i| gate(1, i) * state[i]).collect();
        let linear = cell.recurrent(&reset, 2, 3)?;
        (0..n).map(|i| x[2 * n + i] + linear[i]).collect()
    };
    for i in 0..n {
        let z = gate(0, i);
        state[i] = (1.0 - z) * cell.activate(1, candidate[i]) + z * state[i];
    }
    Ok(())
}

/// Gates: input, output, forget, cell.
fn lstm(cell: &Cell, x: &[f64], state: &mut [f64], memory: &mut [f64]) -> Step<()> {
    let n = cell.hidden;
    let h = cell.recurrent(state, 0, 4)?;
    let sum = |g: usize, i: usize| x[g * n + i] + h[g * n + i];
    let coupled = cell.call.flag("input_forget", false)?;
    for i in 0..n {
        let peep = |g: usize, c: f64| cell.p[g * n + i] * c;
        let old = memory[i];
        let input = cell.activate(0, sum(0, i) + peep(0, old));
        let forget = if coupled {
            1.0 - input
        } else {
            cell.activate(0, sum(2, i) + peep(2, old))
        };
        memory[i] = forget * old + input * cell.activate(1, sum(3, i));
        let output = cell.activate(0, sum(1, i) + peep(1, memory[i]));
        state[i] = output * cell.activations.get(2).map_or(memory[i], |f| f(memory[i]));
    }
    Ok(())
}

fn activations(call: &Call, defaults: &[&str], directions: usize) -> Step<Vec<Activation>> {
    let numbers = |name: &str| match call.operation.attributes.get(name) {
        Some(Value::Floats(list)) => list.clone(),
        _ => Vec::new(),
    };
    let mut alphas = numbers("activation_alpha").into_iter();
    let mut betas = numbers("activation_beta").into_iter();
    let names: Vec<&str> = match call.operation.attributes.get("activations") {
        Some(Value::Texts(list)) => list.iter().map(String::as_str).collect(),
        _ => defaults.repeat(directions),
    };
    if names.len() != defaults.len() * directions {
        return Err(format!("{} activations", names.len()));
    }
    // Each takes the next of the numbers that it has.
    let named = |name: &&str| -> Step<Activation> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "relu" => Box::new(|x| if x < 0.0 { 0.0 } else { x }),
            "tanh" => Box::new(f64::tanh),
            "sigmoid" => Box::new(sigmoid),
            "softplus" => Box::new(softplus),
            "softsign" => Box::new(|x| x / (1.0 + x.abs())),
            "affine" => {
                let (a, b) = (alphas.next().unwrap_or(1.0), betas.next().unwrap_or(0.0));
                Box::new(move |x| a * x + b)
            }
            "elu" => {
                let a = alphas.next().unwrap_or(1.0);
                Box::new(move |x| if x < 0.0 { a * x.exp_m1() } else { x })
            }
            "hardsigmoid" => {
                let a = alphas.next().unwrap_or(f64::from(0.2f32));
                let b = betas.next().unwrap_or(0.5);
                Box::new(move |x| (a * x + b).clamp(0.0, 1.0))
            }
            "leakyrelu" => {
                let a = alphas.next().unwrap_or(f64::from(0.01f32));
                Box::new(move |x| if x < 0.0 { a * x } else { x })
            }
            "scaledtanh" => {
                let (a, b) = (alphas.next().unwrap_or(1.0), betas.next().unwrap_or(1.0));
                Box::new(move |x| a * (b * x).tanh())
            }
            "thresholdedrelu" => {
                let a = alphas.next().unwrap_or(1.0);
                Box::new(move |x| if x > a { x } else { 0.0 })
            }
            _ => return Err(format!("the activation `{name}` is not evaluated")),
        })
    };
    names.iter().map(named).collect()
}

/// Input of an optional tensor of floats with exactly the shape, or zeros.
fn parameter(call: &Call, i: usize, shape: &[usize]) -> Step<Vec<f64>> {
    match call.optional(i) {
        Some(t) if t.shape() == shape => Ok(t.floats()?.to_vec()),
        Some(t) => Err(format!("input {i} of shape {:?}, not {shape:?}", t.shape())),
        None => Ok(vec![0.0; crate::limits::volume(shape)?]),
    }
}

/// What weights are multiplied by, in the place of a state: changed before the step that makes the next of it.
type Read = fn(&mut [f64]);

/// An LSTM, which may read its states otherwise than they are.
pub(super) fn lstm_reading(call: &Call, read: Option<Read>) -> Made {
    run(call, 4, &["Sigmoid", "Tanh", "Tanh"], lstm, read)
}

fn run(call: &Call, gates: usize, defaults: &[&str], advance: Advance, read: Option<Read>) -> Made {
    let x = call.input(0)?;
    let batch_first = call.flag("layout", false)?;
    let (times, batches, width) = match *x.shape() {
        [t, b, w] if !batch_first => (t, b, w),
        [b, t, w] => (t, b, w),
        _ => return Err(format!("an input of shape {:?}", x.shape())),
    };
    let directions: &[bool] = match call.text("direction", "forward") {
        "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        other => return Err(format!("direction is `{other}`")),
    };
    let (d, r) = (directions.len(), call.input(2)?);
    let n = *r
        .shape()
        .get(2)
        .ok_or("the weights of the state have not three dimensions")?;
    let rows = gates.checked_mul(n).ok_or("too many weights")?;
    if call.has("hidden_size") && size(call.int("hidden_size", 0))? != n || n == 0 {
        return Err(format!("hidden_size is not {n}"));
    }
    let (w, r) = (
        parameter(call, 1, &[d, rows, width])?,
        parameter(call, 2, &[d, rows, n])?,
    );
    let bias = parameter(call, 3, &[d, 2 * rows])?;
    let peepholes = if gates == 4 {
        parameter(call, 7, &[d, 3 * n])?
    } else {
        vec![0.0; d * 3 * n]
    };
    let lengths = match call.optional(4) {
        Some(t) if t.shape() == [batches] => t.ints()?.to_vec(),
        Some(t) => return Err(format!("lengths of shape {:?}", t.shape())),
        None => vec![times as i64; batches],
    };
    if lengths.iter().any(|&l| l < 0 || l as usize > times) {
        return Err(format!("lengths {lengths:?} of {times} steps"));
    }
    let state_shape = if batch_first {
        [batches, d, n]
    } else {
        [d, batches, n]
    };
    let place = |k: usize, b: usize| {
        if batch_first {
            (b * d + k) * n
        } else {
            (k * batches + b) * n
        }
    };
    let mut states = parameter(call, 5, &state_shape)?;
    let mut memories = if gates == 4 {
        parameter(call, 6, &state_shape)?
    } else {
        vec![0.0; states.len()]
    };
    let shape = if batch_first {
        vec![batches, times, d, n]
    } else {
        vec![times, d, batches, n]
    };
    let mut all = vec![0.0; call.room(&shape)?];
    call.touch(all.len().saturating_mul(gates * 4))?;
    let functions = activations(call, defaults, d)?;
    let v = x.floats()?;
    for (k, &reverse) in directions.iter().enumerate() {
        let own = &bias[k * 2 * rows..];
        let cell = Cell {
            call,
            hidden: n,
            activations: &functions[k * defaults.len()..(k + 1) * defaults.len()],
            r: &r[k * rows * n..(k + 1) * rows * n],
            state_bias: &own[rows..2 * rows],
            p: &peepholes[k * 3 * n..(k + 1) * 3 * n],
            clip: if call.has("clip") {
                call.float("clip", 0.0).abs()
            } else {
                f64::INFINITY
            },
        };
        if cell.clip.is_nan() {
            return Err("clip is no number".into());
        }
        let w = &w[k * rows * width..(k + 1) * rows * width];
        for (b, &length) in lengths.iter().enumerate() {
            let at = place(k, b);
            let length = length as usize;
            for step in 0..length {
                let t = if reverse { length - 1 - step } else { step };
                let from = if batch_first {
                    b * times + t
                } else {
                    t * batches + b
                } * width;
                let mut gate = own[..rows].to_vec();
                let weights = Matrix {
                    values: w,
                    rows: width,
                    columns: rows,
                    transposed: true,
                };
                let mut made = vec![0.0; rows];
                product(
                    call,
                    1.0,
                    Matrix::new(&v[from..from + width], 1, width),
                    weights,
                    0.0,
                    &mut made,
                    rows,
                )?;
                gate.iter_mut().zip(&made).for_each(|(g, m)| *g += m);
                if let Some(read) = read {
                    read(&mut states[at..at + n]);
                }
                advance(&cell, &gate, &mut states[at..at + n], &mut memories[at..at + n])?;
                let to = if batch_first {
                    (b * times + t) * d + k
                } else {
                    (t * d + k) * batches + b
                } * n;
                all[to..to + n].copy_from_slice(&states[at..at + n]);
            }
        }
    }
    let element = x.element();
    let mut made = vec![
        Tensor::make(element, shape, Values::Float(all))?,
        Tensor::make(element, state_shape.to_vec(), Values::Float(states))?,
    ];
    if gates == 4 {
        made.push(Tensor::make(
            element,
            state_shape.to_vec(),
            Values::Float(memories),
        )?);
    }
    Ok(made)
}
