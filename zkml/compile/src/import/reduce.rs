//! Reductions over axes that are more than the reader's sums and maxima.
//!
//! Invariant: exact in floats up to the order of additions. The axes that go are brought behind the others first, so that what
//! becomes one value lies together. `min(x) = −max(−x)`, and `ln Σ e^x = m + ln Σ e^(x − m)` with the greatest `m`.

use zkml::graph::TensorId;

use super::binary::{combination, scaled};
use super::draft::{Draft, Refusal, small, unsupported};
use super::function::function;
use super::recipe::{Call, Recipe, axis};
use super::{product, wiring};
use crate::float::{FloatMap, FloatOp};
use crate::functions::Function;
use crate::ops::Max;

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("ReduceL1", |draft, call| {
        let x = Together::new(draft, call)?;
        let x = x.by(draft, call, Function::abs())?;
        x.sum(draft, call)
    }),
    Recipe::new("ReduceL2", |draft, call| {
        let squares = Together::new(draft, call)?.by(draft, call, square()?)?;
        let sum = squares.sum(draft, call)?;
        function(draft, call.name, sum, Function::sqrt())
    }),
    Recipe::new("ReduceLogSum", |draft, call| {
        let sum = Together::new(draft, call)?.sum(draft, call)?;
        function(draft, call.name, sum, Function::log())
    }),
    Recipe::new("ReduceLogSumExp", log_sum_exp),
    Recipe::new("ReduceMin", |draft, call| {
        let mut x = Together::new(draft, call)?;
        x.tensor = scaled(draft, call.name, x.tensor, -1.0)?;
        let greatest = x.max(draft, call)?;
        scaled(draft, call.name, greatest, -1.0)
    }),
    Recipe::new("ReduceProd", |draft, call| {
        Together::new(draft, call)?.product(draft, call)
    }),
    Recipe::new("ReduceSumSquare", |draft, call| {
        let squares = Together::new(draft, call)?.by(draft, call, square()?)?;
        squares.sum(draft, call)
    }),
];

/// Most values that are multiplied: each product is rounded.
const MOST_FACTORS: usize = 16;

fn square() -> Result<Function, Refusal> {
    Function::power(2.0).or_else(unsupported)
}

/// A tensor whose values that become one lie together, `count` by `count`.
#[derive(Clone, Copy)]
struct Together {
    tensor: TensorId,
    count: usize,
}

impl Together {
    /// Of a reduction's input, by its axes: attributes in old opsets, an input in new ones.
    fn new(draft: &mut Draft, call: &Call<'_>) -> Result<Self, Refusal> {
        let x = call.computed(0)?;
        let from = draft.shape(x);
        let given = match call.ints("axes")? {
            Some(axes) => Some(axes),
            None => call.integers(1)?,
        };
        let given = given.unwrap_or_default();
        let named = given.iter().map(|&a| axis(a, from.len()));
        let named = named.collect::<Result<Vec<_>, _>>()?;
        let all = named.is_empty() && call.int("noop_with_empty_axes", 0)? == 0;
        let (gone, kept): (Vec<usize>, Vec<usize>) = (0..from.len()).partition(|d| all || named.contains(d));
        let count: usize = gone.iter().map(|&d| from[d]).product();
        if count.saturating_mul(call.shape.iter().product()) != from.iter().product::<usize>() {
            return unsupported(format!("a result of shape {:?}", call.shape));
        }
        let order: Vec<usize> = kept.into_iter().chain(gone).collect();
        let tensor = wiring::permute(draft, call.name, x, &order)?;
        Ok(Self { tensor, count })
    }

    /// The function of each value.
    fn by(self, draft: &mut Draft, call: &Call<'_>, of: Function) -> Result<Self, Refusal> {
        let tensor = function(draft, call.name, self.tensor, of)?;
        Ok(Self { tensor, ..self })
    }

    fn sum(self, draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
        if self.count == 1 {
            return wiring::reshape(draft, call.name, self.tensor, call.shape);
        }
        let [inputs] = small([self.count])?;
        let map = FloatMap::Dense {
            inputs,
            outputs: 1,
            weight: vec![1.0; self.count],
            bias: vec![0.0],
        };
        draft.linear(call.name, map, &[self.tensor], call.shape)
    }

    fn product(self, draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
        if self.count > MOST_FACTORS {
            return unsupported(format!(
                "a product of {} values: up to {MOST_FACTORS} are supported",
                self.count
            ));
        }
        let results = call.shape.iter().product::<usize>();
        let mut factor = |at: usize| {
            let places = (0..results).map(|t| (t * self.count + at) as u32).collect();
            wiring::emit(draft, call.name, self.tensor, call.shape, places)
        };
        let factors = (0..self.count).map(&mut factor).collect::<Result<Vec<_>, _>>()?;
        let Some((&first, others)) = factors.split_first() else {
            return unsupported("a product of no values");
        };
        let mut made = first;
        for &factor in others {
            made = product::elements(draft, call.name, [made, factor], call.shape)?;
        }
        Ok(made)
    }

    fn max(self, draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
        if self.count == 1 {
            return wiring::reshape(draft, call.name, self.tensor, call.shape);
        }
        let results = call.shape.iter().product::<usize>();
        let window = |t: usize| (t * self.count..(t + 1) * self.count).map(|i| i as u32).collect();
        let windows = (0..results).map(window).collect();
        draft.node(
            call.name,
            FloatOp::Max(Max { windows }),
            &[self.tensor],
            call.shape,
        )
    }
}

fn log_sum_exp(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let x = Together::new(draft, call)?;
    let greatest = x.max(draft, call)?;
    if x.count == 1 {
        return Ok(greatest);
    }
    let shape = draft.shape(x.tensor);
    let len = shape.iter().product::<usize>();
    let own = (0..len).map(|i| (i / x.count) as u32).collect();
    let repeated = wiring::emit(draft, call.name, greatest, &shape, own)?;
    let difference = combination(len, vec![1.0, -1.0])?;
    let difference = draft.linear(call.name, difference, &[x.tensor, repeated], &shape)?;
    let below = Together {
        tensor: difference,
        ..x
    };
    let sum = below.by(draft, call, Function::exp())?.sum(draft, call)?;
    let log = function(draft, call.name, sum, Function::log())?;
    let results = combination(call.shape.iter().product(), vec![1.0, 1.0])?;
    draft.linear(call.name, results, &[greatest, log], call.shape)
}
