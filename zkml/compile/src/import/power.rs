//! Powers.
//!
//! Invariant: exact in floats, but for a constant exponent that is no float of 32 bits. Places with one such exponent are one function;
//! with a computed one the power is `e^(exponent · ln base)`, of bases above 0: a constant one that is not is refused by its value,
//! and a computed one has no proof.

use zkml::graph::TensorId;

use super::binary::{PerChannel, aligned};
use super::draft::{Draft, Refusal, unsupported};
use super::function::function;
use super::maps::{each, repeated};
use super::moved::{self, Source};
use super::recipe::{Call, Recipe};
use super::{product, wiring};
use crate::functions::Function;

pub(super) const RECIPES: &[Recipe] = &[Recipe::new("Pow", pow)];

/// Most exponents of a node: each has a table of its own.
const MOST: usize = 8;

fn pow(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.is_computed(1) {
        return with_computed(draft, call);
    }
    // What has an exponent of 0 is 1.
    let none = Some(0.0);
    apart(draft, call, "exponents", none, |draft, x, p| {
        powered(draft, call, x, p)
    })
}

/// A function of the places of input 0 that depends on a constant, input 1: each of its numbers is one function. Places of the number
/// that is left out are 1.
pub(super) fn apart(
    draft: &mut Draft,
    call: &Call<'_>,
    what: &str,
    left_out: Option<f64>,
    mut make: impl FnMut(&mut Draft, TensorId, f64) -> Result<TensorId, Refusal>,
) -> Result<TensorId, Refusal> {
    let x = call.computed(0)?;
    let constant = call.constant(1)?;
    let from = draft.shape(x);
    // For each place of the result, where its value is from, and its number.
    let (_, read) = each(call.shape.to_vec(), |at| Ok(Source::Of(0, repeated(&from, at))))?;
    let (_, numbers) = each(call.shape.to_vec(), |at| {
        let number = constant.values.get(repeated(&constant.shape, at));
        Ok(Source::Constant(number.copied().unwrap_or(1.0)))
    })?;
    let mut distinct: Vec<f64> = Vec::new();
    for number in &numbers {
        if let Source::Constant(p) = number
            && !distinct.contains(p)
        {
            if distinct.len() == MOST {
                return unsupported(format!("more than {MOST} different {what}"));
            }
            distinct.push(*p);
        }
    }
    let (mut made, mut sources) = (Vec::new(), vec![Source::Constant(1.0); read.len()]);
    for p in distinct.into_iter().filter(|p| Some(*p) != left_out) {
        let (mut own, tensor) = (Vec::new(), made.len());
        let places = read.iter().zip(&numbers).zip(&mut sources);
        for ((place, _), source) in places.filter(|((_, q), _)| **q == Source::Constant(p)) {
            *source = Source::Of(tensor, own.len());
            own.push(*place);
        }
        let of = moved::moved(draft, call.name, &[x], &own, &[own.len()])?;
        made.push(make(draft, of, p)?);
    }
    moved::moved(draft, call.name, &made, &sources, call.shape)
}

/// With an exponent that is computed.
fn with_computed(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    let at_shape = |draft: &mut Draft, at: usize| {
        let x = aligned(draft, call.name, call.computed(at)?, call.shape.len())?;
        wiring::broadcast(draft, call.name, x, call.shape)
    };
    let exponent = at_shape(draft, 1)?;
    let logarithm = if call.is_computed(0) {
        let base = at_shape(draft, 0)?;
        let of_base = function(draft, call.name, base, Function::log())?;
        product::elements(draft, call.name, [exponent, of_base], call.shape)?
    } else {
        let base = call.constant(0)?;
        if let Some(least) = base.values.iter().find(|b| **b <= 0.0) {
            return unsupported(format!(
                "its base is {least}: with a computed exponent only those above 0 are supported"
            ));
        }
        let map = PerChannel::new(&base, call.shape)?.map(f64::ln, |_| 0.0)?;
        draft.linear(call.name, map, &[exponent], call.shape)?
    };
    function(draft, call.name, logarithm, Function::exp())
}

/// `x^p`, value by value.
pub(super) fn powered(draft: &mut Draft, call: &Call<'_>, x: TensorId, p: f64) -> Result<TensorId, Refusal> {
    if p == 1.0 {
        return Ok(x);
    }
    let power = if p == 0.5 {
        Ok(Function::sqrt())
    } else {
        Function::power(p)
    };
    function(draft, call.name, x, power.or_else(unsupported)?)
}
