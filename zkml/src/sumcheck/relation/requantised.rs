//! Requantised linear maps and products. The accumulator is not committed: it is a linear function of limbs, so its MLE at the point of the
//! lookup argument follows from the limbs' claims there.
//!
//! `acc + 2^(S−1) + 2^(bits−1+S) = q' · 2^S + remainder` with `q' = q + 2^(bits−1)` in `[0, 2^bits)` and `remainder` in `[0, 2^S)`,
//! both by limbs of exact width. The decomposition of a number below 2^(bits+S) ≤ 2^62 is unique, and `acc` is below 2^62 in
//! absolute value, so equality modulo p is equality of integers and `q` is the one that the relation defines.

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use serde::Serialize;

use super::form::{Form, bias_at};
pub(super) use super::linear::Stated;
use super::product::Factors;
use super::{Argue, Written, arity, claim, linear, product, size, values};
use crate::graph::{Activation, Requantise, TensorId};
use crate::relations::{Relation, limb_widths};
use crate::sumcheck::channel::Channel;
use crate::sumcheck::columns::{Columns, Values, values_of};
use crate::sumcheck::disclosed;
use crate::sumcheck::error::{Claim, Fault, LayoutError, ProveError, VerifyError};
use crate::sumcheck::field::{EF, F, Ring, reach, signed};
use crate::sumcheck::layout::{Home, Layout, Limbs, Second};
use crate::sumcheck::placer::Placer;
use crate::sumcheck::proving::{Proving, Voice};
use crate::sumcheck::sums::{prove_sum, verify_weighted_sum};
use crate::sumcheck::table::Function;
use crate::sumcheck::transcript::Label;
use crate::sumcheck::verifying::Verifying;
use crate::sumcheck::work::{ROUND, Work, opening};

const ROUNDS: [Label; 2] = [Label::ProductRound, Label::ProductPoint];

/// Steps for each accumulator that a proof names.
const NAMED: u64 = 20;
/// What limbs can express stays below 2^62, as accumulators do.
const MAX_EXPRESSED_BITS: u32 = reach(F::ORDER_U64);

/// How a requantised output follows from the quotient's limbs.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) enum Quotient {
    /// `z = q`, inner: `q + 2^(bits−1)` is cut into limbs.
    Limbs(Limbs),
    /// `z = q`, public, its range checked by the verifier: nothing is committed.
    Public,
    /// `(q + 2^(bits−1), z)` is a row of the activation table.
    Activation { column: usize },
    /// Whole accumulators are named, and the quotient derived: nothing is committed.
    Named,
    /// `q + 2^(bits−1)` is cut into limbs, the top one looked up with the sign; `z = sign · q` by a product sum-check.
    Signed { limbs: Limbs, sign: usize },
}

/// A requantised linear map or product.
#[derive(Debug, Clone, Serialize)]
pub(in crate::sumcheck) struct Placed {
    pub(in crate::sumcheck) output: TensorId,
    pub(in crate::sumcheck) requantise: Requantise,
    /// `None`: nothing is committed, so nothing is looked up.
    pub(in crate::sumcheck) group: Option<usize>,
    pub(in crate::sumcheck) remainder: Limbs,
    pub(in crate::sumcheck) quotient: Quotient,
    /// One per input of a linear map; none for a product.
    pub(super) forms: Vec<Form>,
    /// The factors, if the accumulator is a product.
    pub(super) factors: Option<Factors>,
}

impl Placed {
    /// The tensors that a product reads.
    pub(super) fn factors(&self) -> impl Iterator<Item = TensorId> + use<> {
        self.factors
            .iter()
            .flat_map(|f| f.tensors)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// The part of a requantised relation that does not depend on where its accumulators come from.
pub(super) fn place(
    placer: &mut Placer<'_>,
    bound: Option<i64>,
    requantise: Requantise,
    output: TensorId,
) -> Result<Placed, LayoutError> {
    let (shift, bits) = (u32::from(requantise.shift), u32::from(requantise.bits));
    let wide = |bits| LayoutError::Wide {
        output: output.0,
        bits,
    };
    if bound.is_none() {
        return Err(wide(63));
    }
    if !(2..=32).contains(&bits) || bits + shift > MAX_EXPRESSED_BITS {
        return Err(wide(bits + shift));
    }
    if placer.discloses() {
        placer.make(output, requantise.output_range(), Home::Derived)?;
        return Ok(Placed {
            output,
            requantise,
            group: None,
            remainder: Limbs::default(),
            quotient: Quotient::Named,
            forms: Vec::new(),
            factors: None,
        });
    }
    let axes = placer.axes(output)?;
    let public = placer.public(output);
    let relu = match requantise.activation {
        Activation::Relu => true,
        Activation::Identity => false,
    };
    let group = (shift > 0 || relu || public.is_none()).then(|| placer.open_group(&axes));
    // For a public output `make` puts the statement's values in this place.
    let mut home = Home::Wired;
    let (mut remainder, mut quotient) = (Limbs::default(), Quotient::Public);
    if let Some(group) = group {
        remainder = placer.limbs(group, shift);
        (quotient, home) = if relu {
            place_relu(placer, group, bits, public)
        } else if public.is_none() {
            let limbs = placer.limbs(group, bits);
            let offset = 1 << (bits - 1);
            let home = Home::Limbs {
                group,
                limbs: limbs.clone(),
                offset,
            };
            (Quotient::Limbs(limbs), home)
        } else {
            (Quotient::Public, home)
        };
    }
    placer.make(output, requantise.output_range(), home)?;
    Ok(Placed {
        output,
        requantise,
        group,
        remainder,
        quotient,
        forms: Vec::new(),
        factors: None,
    })
}

/// A narrow quotient is looked up with its rectified value; a wide one is cut, and its sign looked up.
fn place_relu(placer: &mut Placer<'_>, group: usize, bits: u32, public: Option<usize>) -> (Quotient, Home) {
    let inner = |column| Home::Column { group, column };
    if bits <= placer.limb_bits() {
        let column = placer.column(group);
        let (second, home) = match public {
            Some(index) => (Second::Output(index), Home::Wired),
            None => {
                let z = placer.column(group);
                (Second::Column(z), inner(z))
            }
        };
        placer.look_up(group, column, Function::Relu, bits, second);
        return (Quotient::Activation { column }, home);
    }
    let widths = limb_widths(bits, placer.limb_bits());
    let mut limbs = Limbs::default();
    let (mut shift, mut sign) = (0, 0);
    for (i, &width) in widths.iter().enumerate() {
        let column = placer.column(group);
        if i + 1 == widths.len() {
            sign = placer.column(group);
            placer.look_up(group, column, Function::Sign, width, Second::Column(sign));
        } else {
            placer.look_up(group, column, Function::Range, width, Second::Zero);
        }
        limbs.parts.push((column, shift, width));
        shift += width;
    }
    let home = match public {
        Some(_) => Home::Wired,
        None => inner(placer.column(group)),
    };
    (Quotient::Signed { limbs, sign }, home)
}

impl Placed {
    /// Cuts accumulators into limbs; the outputs.
    fn cut(&self, accumulators: Vec<i64>, columns: &mut Columns<'_>) -> Result<Vec<i64>, ProveError> {
        let (shift, bits) = (u32::from(self.requantise.shift), u32::from(self.requantise.bits));
        let half = 1i64 << (bits - 1);
        let offset = disclosed::offset(self.requantise);
        if let Quotient::Named = self.quotient {
            columns.name(self.output, &accumulators);
        }
        let mut cut = Vec::new();
        for (index, acc) in accumulators.into_iter().enumerate() {
            match u64::try_from(acc + offset) {
                Ok(v) if v >> (bits + shift) == 0 => cut.push(v),
                _ => {
                    return Err(ProveError::OutOfRange {
                        tensor: self.output.0,
                        index,
                    });
                }
            }
        }
        let activation = self.requantise.activation;
        let value = |v: &u64| activation.of((v >> shift) as i64 - half);
        let made: Vec<i64> = cut.iter().map(value).collect();
        let Some(group) = self.group else { return Ok(made) };
        columns.put_limbs(group, &self.remainder, &cut);
        let quotients: Vec<u64> = cut.into_iter().map(|v| v >> shift).collect();
        match &self.quotient {
            Quotient::Limbs(limbs) => columns.put_limbs(group, limbs, &quotients),
            Quotient::Public | Quotient::Named => {}
            Quotient::Activation { column } => {
                columns.put(group, *column, &quotients, |v| v);
                columns.put_output(self.output, &made);
            }
            Quotient::Signed { limbs, sign } => {
                columns.put_limbs(group, limbs, &quotients);
                columns.put(group, *sign, &quotients, |v| v >> (bits - 1));
                columns.put_output(self.output, &made);
            }
        }
        Ok(made)
    }
}

impl Written for Placed {
    const TAG: Option<&'static str> = Some("Requantised");
}

impl Argue for Placed {
    fn fill(
        &self,
        relation: &Relation,
        columns: &mut Columns<'_>,
        values: &Values,
    ) -> Result<Option<(TensorId, Vec<i64>)>, ProveError> {
        let get = |id: &TensorId| values_of(values, *id);
        let accumulators = match relation {
            Relation::Requantised {
                map, inputs, bound, ..
            } => map.accumulate_within(&inputs.iter().map(get).collect::<Vec<_>>(), *bound),
            Relation::Product { factors, product, .. } => {
                product.accumulate(get(&factors[0]), get(&factors[1]))
            }
            _ => return Err(Fault::OtherStep(self.output).into()),
        };
        Ok(Some((self.output, self.cut(accumulators, columns)?)))
    }

    fn prove<V: Voice>(&self, relation: &Relation, state: &mut Proving<'_, V>) {
        let point = match self.group {
            Some(group) => state.looked_up(group),
            None => {
                let arity = state.layout().axes(self.output).map_or(0, |a| a.arity());
                state.draw_point(arity)
            }
        };
        if let (Quotient::Signed { limbs, sign }, Some(group)) = (&self.quotient, self.group) {
            let lift = |column| {
                state
                    .column(group, column)
                    .iter()
                    .map(|&v| EF::from(v))
                    .collect::<Vec<_>>()
            };
            let mut quotient = state.combine(group, limbs);
            let half = signed(self.half());
            quotient.iter_mut().for_each(|q| *q -= half);
            let pairs = vec![[lift(*sign), quotient]];
            let chosen = prove_sum(&mut state.sender, ROUNDS, pairs, Some(&point));
            let columns: Vec<_> = limbs.columns().chain([*sign]).collect();
            state.open(group, &columns, Label::Factors, chosen);
        }
        match (relation, &self.factors) {
            (Relation::Requantised { map, .. }, None) => linear::prove(state, self, map, &point),
            (_, Some(factors)) => product::prove(state, factors, self.output, &point),
            _ => {}
        }
    }

    fn verify<C: Channel>(
        &self,
        relation: &Relation,
        state: &mut Verifying<'_, C>,
    ) -> Result<(), VerifyError> {
        let axes = state.layout().axes(self.output)?;
        // Where nothing is looked up there is no point yet. It is drawn here, after the commitment: an output whose accumulators
        // are wrong anywhere is wrong at it with probability ≥ 1 − arity/|EF|.
        let (point, values) = match self.group {
            Some(group) => {
                let opened = state.looked_up(group);
                (opened.point, opened.values)
            }
            None => (state.draw_point(axes.arity()), Vec::new()),
        };
        let ones = axes.all().indicator(&point);
        let accumulator = match &self.quotient {
            Quotient::Named => state.accumulators(self.output, &point)?,
            quotient => {
                let public = match quotient {
                    // Whose range the verifier has checked: it is its own proof of range.
                    Quotient::Public => state.public(self.output, &point)?,
                    _ => EF::ZERO,
                };
                if let Quotient::Signed { limbs, sign } = quotient {
                    verify_sign(state, self, limbs, *sign, &point, &values)?;
                }
                self.accumulator(&values, public, ones)
                    .ok_or(VerifyError::Fault(Fault::OtherStep(self.output)))?
            }
        };
        match (relation, &self.factors, self.forms.first()) {
            (Relation::Requantised { map, .. }, None, Some(form)) => {
                let target = accumulator - state.channel.compute(|| bias_at(map, &form.kind, axes, &point));
                linear::verify(state, self, map, &point, target)
            }
            (Relation::Product { .. }, Some(factors), _) => {
                product::verify(state, factors, self.output, &point, accumulator)
            }
            _ => Err(VerifyError::Fault(Fault::OtherStep(self.output))),
        }
    }

    fn work(&self, relation: &Relation, layout: &Layout) -> Work {
        let own = match &self.quotient {
            Quotient::Limbs(_) | Quotient::Activation { .. } => Work::default(),
            Quotient::Public => Work {
                verifier: claim(layout, self.output),
                ..Work::default()
            },
            // Read, absorbed, divided, and evaluated at the point.
            Quotient::Named => Work {
                prover: NAMED * values(layout, self.output) as u64,
                verifier: NAMED * values(layout, self.output) as u64 + claim(layout, self.output),
                ..Work::default()
            },
            Quotient::Signed { limbs, .. } => {
                let z = match layout.column_of(self.output) {
                    Some(_) => 0,
                    None => claim(layout, self.output),
                };
                let axes = layout.tensor(self.output).map(|t| &t.axes);
                let factors = axes.map_or(0, |axes| opening(axes, limbs.parts.len() + 1));
                Work {
                    prover: 100 * size(layout, self.output),
                    verifier: z + factors + ROUND * arity(layout, self.output),
                    weights: 0,
                }
            }
        };
        let accumulator = match relation {
            Relation::Requantised { map, .. } => linear::work(layout, self, map),
            Relation::Product { product, .. } => product::work(layout, self, *product),
            // The step of another relation, which is neither filled nor verified.
            _ => Work::UNCOUNTED,
        };
        [own, accumulator].into_iter().sum()
    }
}

/// What holds at each place, and so of MLEs at a point; `ones` is 1 at values and 0 at padding.
impl Placed {
    /// The accumulator, from all columns of the group and the output's value if that is public; none where it is named.
    pub(in crate::sumcheck) fn accumulator<R: Ring>(&self, columns: &[R], public: R, ones: R) -> Option<R> {
        let quotient = match &self.quotient {
            Quotient::Limbs(limbs) | Quotient::Signed { limbs, .. } => limbs.value(columns),
            Quotient::Public => public + ones.times(self.half()),
            // (q', z) was looked up together: z is the rectified q.
            Quotient::Activation { column } => columns[*column],
            Quotient::Named => return None,
        };
        let expressed = self.remainder.value(columns) + quotient.times(1 << self.requantise.shift);
        Some(expressed - ones.times(disclosed::offset(self.requantise)))
    }

    /// `z`, from the sign and `q'`. At padding both are 0, and so is `z`.
    pub(in crate::sumcheck) fn rectified<R: Ring>(&self, sign: R, quotient: R) -> R {
        sign * (quotient - R::integer(self.half()))
    }

    fn half(&self) -> i64 {
        1 << (self.requantise.bits - 1)
    }
}

/// `z = sign · q` everywhere, where `sign` was looked up with the top limb of `q'`: 1 exactly if `q ≥ 0`.
fn verify_sign<C: Channel>(
    state: &mut Verifying<'_, C>,
    step: &Placed,
    limbs: &Limbs,
    sign: usize,
    point: &[EF],
    values: &[EF],
) -> Result<(), VerifyError> {
    let Some(group) = step.group else {
        return Err(VerifyError::Fault(Fault::OtherStep(step.output)));
    };
    // z at the point of the lookup argument: the column's claim, or the verifier's own.
    let z = match state.layout().column_of(step.output) {
        Some((_, column)) => values[column],
        None => state.public(step.output, point)?,
    };
    // Σ_t eq(ρ, t) · sign(t) · q(t) = z(ρ): equality at a random ρ is equality everywhere.
    let (end, chosen) = verify_weighted_sum(&mut state.channel, ROUNDS, z, point)?;
    let columns: Vec<_> = limbs.columns().chain([sign]).collect();
    let factors = state.open(group, &columns, &chosen)?;
    let (sign, parts) = factors
        .split_last()
        .ok_or(VerifyError::Fault(Fault::OtherStep(step.output)))?;
    state.channel.check(Claim::Rectified.refuted(step.output), || {
        step.rectified(*sign, limbs.value_of(parts)) == end
    })
}
