//! Rotary embeddings: pairs of a head's values turned by the angle of their position.
//!
//! Invariant: exact in floats: `cos · x ∓ sin · partner`. Angles may be constants, which are coefficients then, or computed; positions
//! are constants.

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, unsupported};
use super::moved::{self, Source, moved};
use super::recipe::{Call, Recipe};
use super::{product, wiring};

pub(super) const RECIPES: &[Recipe] = &[Recipe::new("RotaryEmbedding", rotary)];

/// A value that is turned: where it stands, where its partner does, where its angle does, and whether it is the second of the two.
struct Turned {
    own: usize,
    partner: usize,
    angle: usize,
    second: bool,
}

/// Those of a tensor, in its order, and whether they are all.
fn turned(draft: &Draft, call: &Call<'_>, x: TensorId) -> Result<(Vec<Turned>, bool), Refusal> {
    let shape = draft.shape(x);
    let count = |name: &str| Ok(usize::try_from(call.int(name, 0)?).unwrap_or(0));
    let ([batch, heads, sequence, width], flat) = match shape[..] {
        [batch, heads, sequence, width] => ([batch, heads, sequence, width], false),
        [batch, sequence, all] => {
            let heads = count("num_heads")?;
            if heads == 0 || !all.is_multiple_of(heads) {
                return unsupported(format!("{all} values in {heads} heads"));
            }
            ([batch, heads, sequence, all / heads], true)
        }
        _ => return unsupported(format!("a tensor of shape {shape:?}")),
    };
    let of_head = match count("rotary_embedding_dim")? {
        0 => width,
        turned => turned,
    };
    let half = of_head / 2;
    if of_head % 2 != 0 || of_head > width {
        return unsupported(format!("{of_head} of {width} values turned"));
    }
    let positions = call.integers(3)?;
    let interleaved = call.int("interleaved", 0)? != 0;
    let mut all = Vec::new();
    for own in 0..batch * heads * sequence * width {
        let (d, rest) = (own % width, own / width);
        let (b, s) = if flat {
            (rest / heads / sequence, rest / heads % sequence)
        } else {
            (rest / sequence / heads, rest % sequence)
        };
        if d >= of_head {
            continue;
        }
        let (i, second) = if interleaved {
            (d / 2, d % 2 == 1)
        } else {
            (d % half, d >= half)
        };
        let apart = if interleaved { 1 } else { half };
        let at = b * sequence + s;
        let row = match &positions {
            Some(list) => match list.get(at).map(|p| usize::try_from(*p)) {
                Some(Ok(row)) => row,
                _ => return unsupported(format!("positions {list:?}")),
            },
            None => at,
        };
        all.push(Turned {
            own,
            partner: if second { own - apart } else { own + apart },
            angle: row * half + i,
            second,
        });
    }
    Ok((all, of_head == width))
}

fn rotary(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let (turned, all) = turned(draft, call, x)?;
    let shape = [turned.len()];
    for at in [1, 2] {
        let angles = call.shape_of(draft, at)?.iter().product::<usize>();
        if turned.iter().any(|t| t.angle >= angles) {
            return unsupported("a position that no angle is given for");
        }
    }
    let take = |draft: &mut Draft, place: fn(&Turned) -> usize| {
        let sources: Vec<Source> = turned.iter().map(|t| Source::Of(0, place(t))).collect();
        moved(draft, call.name, &[x], &sources, &shape)
    };
    let own = take(draft, |t| t.own)?;
    let partner = take(draft, |t| t.partner)?;
    let sign = |t: &Turned| if t.second { 1.0 } else { -1.0 };
    let y = if call.is_computed(1) || call.is_computed(2) {
        let mut times = |at: usize, x: TensorId| {
            let angles = if call.is_computed(at) {
                let sources: Vec<Source> = turned.iter().map(|t| Source::Of(0, t.angle)).collect();
                moved(draft, call.name, &[call.computed(at)?], &sources, &shape)?
            } else {
                let values = call.constant(at)?.values;
                let value = |t: &Turned| Source::Constant(values.get(t.angle).copied().unwrap_or(0.0));
                let sources: Vec<Source> = turned.iter().map(value).collect();
                moved(draft, call.name, &[], &sources, &shape)?
            };
            product::elements(draft, call.name, [angles, x], &shape)
        };
        let parts = [times(1, own)?, times(2, partner)?];
        let signs = turned.iter().map(sign).collect();
        let rows = vec![vec![1.0; turned.len()], signs, vec![0.0; turned.len()]];
        draft.linear(call.name, moved::affine(rows)?, &parts, &shape)?
    } else {
        let (cos, sin) = (call.constant(1)?.values, call.constant(2)?.values);
        let value = |of: &[f64], t: &Turned| of.get(t.angle).copied().unwrap_or(0.0);
        let rows = vec![
            turned.iter().map(|t| value(&cos, t)).collect(),
            turned.iter().map(|t| sign(t) * value(&sin, t)).collect(),
            vec![0.0; turned.len()],
        ];
        draft.linear(call.name, moved::affine(rows)?, &[own, partner], &shape)?
    };
    if all {
        return wiring::reshape(draft, call.name, y, call.shape);
    }
    // What is not turned stays where it is.
    let len = call.shape.iter().product::<usize>();
    let mut sources: Vec<Source> = (0..len).map(|at| Source::Of(1, at)).collect();
    for (at, t) in turned.iter().enumerate() {
        sources[t.own] = Source::Of(0, at);
    }
    moved(draft, call.name, &[y, x], &sources, call.shape)
}
