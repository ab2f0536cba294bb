//! Pools that are p-norms: of windows by absolute values alone, of whole planes by any power.
//!
//! Invariant: exact in floats, but for a root that is no float of 32 bits, and up to the order of additions. Padding adds nothing
//! to a sum of powers.

use zkml::graph::TensorId;

use super::along::{Row, rows};
use super::draft::{Draft, Refusal, small, unsupported};
use super::function::function;
use super::power::powered;
use super::recipe::{Call, Recipe, sizes};
use super::span::Span;
use crate::float::FloatMap;
use crate::functions::Function;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("GlobalLpPool", global_lp_pool),
    Recipe::new("LpPool", lp_pool),
];

/// `|x|^p`, value by value.
fn magnitude(draft: &mut Draft, call: &Call<'_>, x: TensorId, p: f64) -> Result<TensorId, Refusal> {
    let even = p % 2.0 == 0.0;
    let x = if even {
        x
    } else {
        function(draft, call.name, x, Function::abs())?
    };
    powered(draft, call, x, p)
}

/// The exponent of a norm: a float in opset 1.
fn exponent(call: &Call<'_>) -> Result<f64, Refusal> {
    let p = if call.opset < 2 {
        call.float("p", 2.0)?
    } else {
        call.int("p", 2)? as f64
    };
    if p > 0.0 {
        Ok(p)
    } else {
        unsupported(format!("its attribute `p` is {p}"))
    }
}

fn lp_pool(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let from = draft.shape(x);
    let kernel = sizes(&call.ints("kernel_shape")?.unwrap_or_default())?;
    if from.len() < 3 || call.shape.len() != from.len() {
        return unsupported("an image of that rank");
    }
    // A root is steep near 0: calibrated on windows that are not, a narrow profile is taken, and is wrong where one is.
    let p = exponent(call)?;
    if p != 1.0 {
        return unsupported(format!("its attribute `p` is {p}; only 1 is supported"));
    }
    let mut sum = function(draft, call.name, x, Function::abs())?;
    let spans = Span::all(call, &from[2..], &call.shape[2..], &kernel)?;
    for (d, span) in spans.into_iter().enumerate() {
        let row = |o: usize| Row {
            weights: (0..span.kernel)
                .filter_map(|k| span.place(o, k))
                .map(|at| (at, 1.0))
                .collect(),
            bias: 0.0,
        };
        let made: Vec<Row> = (0..span.output).map(row).collect();
        sum = rows(draft, call, sum, d + 2, &made)?;
    }
    Ok(sum)
}

fn global_lp_pool(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let from = draft.shape(x);
    if from.len() < 3 {
        return unsupported("an image of that rank");
    }
    let p = exponent(call)?;
    let x = magnitude(draft, call, x, p)?;
    let plane = from[2..].iter().product::<usize>();
    let [inputs] = small([plane])?;
    let map = FloatMap::Dense {
        inputs,
        outputs: 1,
        weight: vec![1.0; plane],
        bias: vec![0.0],
    };
    let sum = draft.linear(call.name, map, &[x], call.shape)?;
    powered(draft, call, sum, 1.0 / p)
}
