//! Rotary embeddings: pairs of a head's values turned by the angle of their position.

use super::{Call, Made, Operator, Step, Tensor, one, op, size};
use crate::{Values, attribute::int};

pub(super) const OPERATORS: &[Operator] = &[op("RotaryEmbedding", 3, 4, rotary).since(23).attributes(&[
    int("interleaved"),
    int("num_heads"),
    int("rotary_embedding_dim"),
])];

/// Where the values of a head stand: `[batch, heads, sequence, size]`, or heads side by side.
fn sizes(call: &Call, x: &Tensor) -> Step<([usize; 4], bool)> {
    match *x.shape() {
        [batch, heads, sequence, size] => Ok(([batch, heads, sequence, size], false)),
        [batch, sequence, all] => {
            let heads = size(call.int("num_heads", 0))?;
            if heads == 0 || !all.is_multiple_of(heads) {
                return Err(format!("{all} values in {heads} heads"));
            }
            Ok(([batch, heads, sequence, all / heads], true))
        }
        _ => Err(format!("an input of shape {:?}", x.shape())),
    }
}

fn rotary(call: &Call) -> Made {
    let (x, cos, sin) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let ([batch, heads, sequence, width], flat) = sizes(call, x)?;
    let turned = match size(call.int("rotary_embedding_dim", 0))? {
        0 => width,
        turned => turned,
    };
    let half = turned / 2;
    let positions = call
        .optional(3)
        .map(|p| Ok::<_, String>((p.ints()?, p.shape())))
        .transpose()?;
    let fits = match &positions {
        Some((_, shape)) => **shape == [batch, sequence] && matches!(*cos.shape(), [_, of] if of == half),
        None => *cos.shape() == [batch, sequence, half],
    };
    if turned % 2 != 0 || turned > width || !fits || cos.shape() != sin.shape() {
        return Err(format!(
            "{turned} values of {:?} turned by angles of shape {:?} and {:?}",
            x.shape(),
            cos.shape(),
            sin.shape()
        ));
    }
    let interleaved = call.flag("interleaved", false)?;
    let (cos, sin) = (cos.floats()?, sin.floats()?);
    let mut made = x.floats()?.to_vec();
    call.touch(made.len())?;
    for b in 0..batch {
        for s in 0..sequence {
            let row = match &positions {
                Some((positions, _)) => size(positions[b * sequence + s])?,
                None => b * sequence + s,
            };
            let absent = || format!("a position {row} that no angle is given for");
            let angles = row * half..(row + 1) * half;
            let cos = cos.get(angles.clone()).ok_or_else(absent)?;
            let sin = sin.get(angles).ok_or_else(absent)?;
            for h in 0..heads {
                let start = if flat {
                    ((b * sequence + s) * heads + h) * width
                } else {
                    ((b * heads + h) * sequence + s) * width
                };
                for (i, (cos, sin)) in cos.iter().zip(sin).enumerate() {
                    let [first, second] = if interleaved {
                        [2 * i, 2 * i + 1]
                    } else {
                        [i, half + i]
                    };
                    let (a, c) = (made[start + first], made[start + second]);
                    made[start + first] = cos * a - sin * c;
                    made[start + second] = sin * a + cos * c;
                }
            }
        }
    }
    one(Tensor::make(
        x.element(),
        x.shape().to_vec(),
        Values::Float(made),
    )?)
}
