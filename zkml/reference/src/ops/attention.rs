//! Attention: `softmax(softcap(scale · Q · Kᵀ) + bias) · V`, head by head.

use super::{Call, Made, Operator, Step, Tensor, op, same_type, size, softmax::softmax};
use crate::{
    Values,
    attribute::{float, int},
    layout::broadcast_strides,
};

pub(super) const OPERATORS: &[Operator] = &[op("Attention", 3, 7, attention).since(23).attributes(&[
    int("is_causal"),
    int("kv_num_heads"),
    int("q_num_heads"),
    int("qk_matmul_output_mode"),
    float("scale"),
    float("softcap"),
    int("softmax_precision"),
])];

/// `[batch, heads, sequence, size]`, row-major.
struct Heads {
    shape: [usize; 4],
    values: Vec<f64>,
}

impl Heads {
    /// Of a tensor of that shape, or of one whose heads stand side by side in each row.
    fn new(tensor: &Tensor, heads: i64) -> Step<Self> {
        let values = tensor.floats()?;
        match *tensor.shape() {
            [batch, heads, sequence, size] => Ok(Self {
                shape: [batch, heads, sequence, size],
                values: values.to_vec(),
            }),
            [batch, sequence, hidden] => {
                let heads = size(heads)?;
                if heads == 0 || !hidden.is_multiple_of(heads) {
                    return Err(format!("{hidden} values are not those of {heads} heads"));
                }
                let size = hidden / heads;
                let mut split = Vec::with_capacity(values.len());
                for b in 0..batch {
                    for h in 0..heads {
                        for s in 0..sequence {
                            let start = (b * sequence + s) * hidden + h * size;
                            split.extend_from_slice(&values[start..start + size]);
                        }
                    }
                }
                Ok(Self {
                    shape: [batch, heads, sequence, size],
                    values: split,
                })
            }
            _ => Err(format!("a tensor of shape {:?} has no heads", tensor.shape())),
        }
    }

    fn row(&self, batch: usize, head: usize, at: usize) -> &[f64] {
        let [_, heads, sequence, size] = self.shape;
        let start = ((batch * heads + head) * sequence + at) * size;
        &self.values[start..start + size]
    }

    /// With these behind the past ones.
    fn behind(self, past: Option<&Tensor>) -> Step<Self> {
        let Some(past) = past else { return Ok(self) };
        let past = Self::new(past, 0)?;
        let ([b, h, before, s], [batch, heads, new, size]) = (past.shape, self.shape);
        if [b, h, s] != [batch, heads, size] {
            return Err(format!(
                "a past of shape {:?} before {:?}",
                past.shape, self.shape
            ));
        }
        let mut values = Vec::with_capacity(past.values.len() + self.values.len());
        for of in 0..batch * heads {
            values.extend_from_slice(&past.values[of * before * size..(of + 1) * before * size]);
            values.extend_from_slice(&self.values[of * new * size..(of + 1) * new * size]);
        }
        Ok(Self {
            shape: [batch, heads, before + new, size],
            values,
        })
    }

    /// Each row's heads side by side.
    fn side_by_side(self, like: &Tensor) -> Step<Tensor> {
        let [batch, heads, sequence, size] = self.shape;
        let mut values = Vec::with_capacity(self.values.len());
        for b in 0..batch {
            for s in 0..sequence {
                (0..heads).for_each(|h| values.extend_from_slice(self.row(b, h, s)));
            }
        }
        Tensor::make(
            like.element(),
            vec![batch, sequence, heads * size],
            Values::Float(values),
        )
    }

    fn tensor(self, like: &Tensor) -> Step<Tensor> {
        Tensor::make(like.element(), self.shape.to_vec(), Values::Float(self.values))
    }
}

/// What is added to the score of a query and a key, by batch and head: 0, a mask's value, or minus infinity.
struct Bias<'a> {
    mask: Option<(&'a Tensor, Vec<usize>, usize)>,
    causal: bool,
    past: usize,
    lengths: Option<&'a [i64]>,
}

impl<'a> Bias<'a> {
    fn new(call: &Call<'a>, [batch, heads, queries, keys]: [usize; 4], past: usize) -> Step<Self> {
        let mask = match call.optional(3) {
            None => None,
            Some(mask) => {
                // A mask may end before the keys do, but for one that is the same for all of them.
                let given = mask.shape().last().copied().unwrap_or(1);
                let covered = if given == 1 { keys } else { given.min(keys) };
                if given > keys {
                    return Err(format!("a mask of {given} places for {keys} keys"));
                }
                let by = broadcast_strides(mask.shape(), &[batch, heads, queries, covered])?;
                Some((mask, by, covered))
            }
        };
        let lengths = match call.optional(6) {
            Some(lengths) if lengths.shape() == [batch] => Some(lengths.ints()?),
            Some(lengths) => return Err(format!("lengths of shape {:?}", lengths.shape())),
            None => None,
        };
        Ok(Self {
            mask,
            causal: call.flag("is_causal", false)?,
            past,
            lengths,
        })
    }

    fn at(&self, batch: usize, head: usize, query: usize, key: usize) -> f64 {
        let padded = self.lengths.is_some_and(|l| key as i64 >= l[batch]);
        if padded || (self.causal && key > query + self.past) {
            return f64::NEG_INFINITY;
        }
        let Some((mask, by, covered)) = &self.mask else {
            return 0.0;
        };
        if key >= *covered {
            return f64::NEG_INFINITY;
        }
        let place = [batch, head, query, key]
            .iter()
            .zip(by)
            .map(|(i, by)| i * by)
            .sum();
        match mask.values() {
            Values::Bool(takes_part) if takes_part[place] => 0.0,
            Values::Bool(_) => f64::NEG_INFINITY,
            Values::Float(_) | Values::Int(_) => mask.number(place),
        }
    }
}

fn attention(call: &Call) -> Made {
    let (of_q, of_k, of_v) = (call.input(0)?, call.input(1)?, call.input(2)?);
    same_type(of_q, of_k)?;
    same_type(of_q, of_v)?;
    let groups = call.int("kv_num_heads", 0);
    let q = Heads::new(of_q, call.int("q_num_heads", 0))?;
    let past = call.optional(4);
    if past.is_some() != call.optional(5).is_some() {
        return Err("a past of keys or of values alone".into());
    }
    let before = past.and_then(|p| p.shape().get(2)).copied().unwrap_or(0);
    let k = Heads::new(of_k, groups)?.behind(past)?;
    let v = Heads::new(of_v, groups)?.behind(call.optional(5))?;
    let ([batch, heads, queries, width], [_, groups, keys, _]) = (q.shape, k.shape);
    let out = v.shape[3];
    let fits = k.shape == [batch, groups, keys, width] && v.shape == [batch, groups, keys, out];
    if !fits || groups == 0 || !heads.is_multiple_of(groups) {
        return Err(format!(
            "queries {:?}, keys {:?} and values {:?} do not fit each other",
            q.shape, k.shape, v.shape
        ));
    }
    let each = (batch * heads) as u64 * queries as u64 * keys as u64;
    call.budget.spend(each.saturating_mul((width + out) as u64))?;
    let scores_shape = [batch, heads, queries, keys];
    let count = call.room(&scores_shape)?;
    call.room(&[batch, heads, queries, out])?;
    let bias = Bias::new(call, scores_shape, before)?;
    let scale = if call.has("scale") {
        call.float("scale", 1.0)
    } else {
        1.0 / (width as f64).sqrt()
    };
    let (cap, mode) = (call.float("softcap", 0.0), call.int("qk_matmul_output_mode", 0));
    if !(0..=3).contains(&mode) {
        return Err(format!("attribute `qk_matmul_output_mode` is {mode}"));
    }
    let (mut seen, mut y) = (Vec::with_capacity(count), Vec::new());
    let mut row = vec![0.0; keys];
    let mut note = |row: &[f64], at: i64| {
        if at == mode {
            seen.extend_from_slice(row);
        }
    };
    for b in 0..batch {
        for h in 0..heads {
            let group = h / (heads / groups);
            for i in 0..queries {
                let query = q.row(b, h, i);
                for (j, score) in row.iter_mut().enumerate() {
                    let key = k.row(b, group, j);
                    *score = scale * query.iter().zip(key).map(|(x, y)| x * y).sum::<f64>();
                }
                note(&row, 0);
                if cap > 0.0 {
                    row.iter_mut().for_each(|s| *s = cap * (*s / cap).tanh());
                }
                note(&row, 1);
                row.iter_mut()
                    .enumerate()
                    .for_each(|(j, s)| *s += bias.at(b, h, i, j));
                note(&row, 2);
                softmax(&mut row);
                note(&row, 3);
                let start = y.len();
                y.resize(start + out, 0.0);
                for (j, weight) in row.iter().enumerate() {
                    let value = v.row(b, group, j);
                    y[start..]
                        .iter_mut()
                        .zip(value)
                        .for_each(|(y, v)| *y += weight * v);
                }
            }
        }
    }
    let y = Heads {
        shape: [batch, heads, queries, out],
        values: y,
    };
    let y = if of_q.rank() == 3 {
        y.side_by_side(of_q)
    } else {
        y.tensor(of_q)
    };
    let seen = Tensor::make(of_q.element(), scores_shape.to_vec(), Values::Float(seen));
    Ok(vec![y?, k.tensor(of_k)?, v.tensor(of_v)?, seen?])
}
