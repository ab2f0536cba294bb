//! What a division leaves.
//!
//! Invariant: exact in floats, but at jumps, where it is that of a neighbouring quotient. A constant divisor is a function of one
//! value, and of whole numbers an exact one; by a computed one it is `x − y · t`, with `t` the quotient without what is behind its
//! point: a divisor of 0 has no value, and no proof.

use zkml::graph::TensorId;

use super::binary::{aligned, combination};
use super::draft::{Draft, Refusal, unsupported};
use super::function::function;
use super::maps::{each, repeated};
use super::moved::{self, Source};
use super::power::apart;
use super::recipe::{Call, Recipe};
use super::whole_sums::{numbers, truncated};
use super::{product, wiring};
use crate::float::Interval;
use crate::functions::{Function, MAX_BITS};

pub(super) const RECIPES: &[Recipe] = &[Recipe::new("Mod", modulo)];
/// Of whole numbers.
pub(super) const OF_WHOLE: &[Recipe] = &[Recipe::new("Mod", of_whole)];

fn sign_of_x(call: &Call<'_>) -> Result<bool, Refusal> {
    Ok(call.int("fmod", 0)? != 0)
}

fn modulo(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if !sign_of_x(call)? {
        return unsupported("floats with an `fmod` of 0, which ONNX does not have");
    }
    if call.is_computed(1) {
        return by_computed(draft, call);
    }
    apart(draft, call, "divisors", None, |draft, x, c| {
        let left = Function::modulo(c, true).or_else(unsupported)?;
        function(draft, call.name, x, left)
    })
}

/// Whole numbers by constant ones: each quotient's rest is a row of a table.
fn of_whole(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.is_computed(1) {
        return unsupported("whole numbers by a computed divisor");
    }
    let sign_of_x = sign_of_x(call)?;
    if let Some(of) = numbers(draft, call.computed(0)?)?
        && of.bits() > u32::from(MAX_BITS)
    {
        return unsupported(format!(
            "whole numbers of {} bits: those of {MAX_BITS} are supported",
            of.bits()
        ));
    }
    apart(draft, call, "divisors", None, |draft, x, c| {
        let left = Function::modulo(c, sign_of_x).or_else(unsupported)?;
        let most = (c.abs() as i64).saturating_sub(1).max(1);
        if most >= 1 << (MAX_BITS - 1) {
            return unsupported(format!(
                "its divisor is {c}: one up to 2^{} is supported",
                MAX_BITS - 1
            ));
        }
        let made = function(draft, call.name, x, left)?;
        let bound = match (sign_of_x, c < 0.0) {
            (true, _) => Interval::new(-most, most),
            (false, true) => Interval::new(-most, 0),
            (false, false) => Interval::new(0, most),
        };
        draft.whole(made, bound);
        Ok(made)
    })
}

fn by_computed(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let y = aligned(draft, call.name, call.computed(1)?, call.shape.len())?;
    let y = wiring::broadcast(draft, call.name, y, call.shape)?;
    let x = if call.is_computed(0) {
        let x = aligned(draft, call.name, call.computed(0)?, call.shape.len())?;
        wiring::broadcast(draft, call.name, x, call.shape)?
    } else {
        let constant = call.constant(0)?;
        let (_, sources) = each(call.shape.to_vec(), |at| {
            let value = constant.values.get(repeated(&constant.shape, at));
            Ok(Source::Constant(value.copied().unwrap_or(0.0)))
        })?;
        moved::moved(draft, call.name, &[], &sources, call.shape)?
    };
    let quotient = product::quotient(draft, call.name, [x, y], call.shape)?;
    let times = truncated(draft, call.name, quotient)?;
    let whole = product::elements(draft, call.name, [y, times], call.shape)?;
    let map = combination(call.shape.iter().product(), vec![1.0, -1.0])?;
    draft.linear(call.name, map, &[x, whole], call.shape)
}
