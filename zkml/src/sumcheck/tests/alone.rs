//! Lies that one check alone refuses: all else adds up, and the verifier's reason is that check's. Were it left out, the lie
//! would be believed.

use p3_field::{Field, PrimeCharacteristicRing, PrimeField64};

use super::lying::{Case, SUM};
use super::slices::*;
use crate::graph::{Activation, IntRange, LinearMap, TensorId};
use crate::relations::{InstanceError, Relation};
use crate::sumcheck::field::F;
use crate::sumcheck::layout::{Limbs, Second};
use crate::sumcheck::logup::Content;
use crate::sumcheck::relation::requantised::Quotient;
use crate::sumcheck::relation::{Placed, maximum, range, requantised};
use crate::sumcheck::*;

/// The end of the lookup argument is not what the columns and tables say.
const LEAVES: Refutation = Refutation::Leaves;

const Y: TensorId = TensorId(1);

/// That this claim on a tensor is refuted, and nothing before it.
fn refuted(tensor: TensorId, claim: Claim) -> Refutation {
    Refutation::Relation { tensor, claim }
}

impl Case {
    fn requantised(&self, step: usize) -> requantised::Placed {
        match &self.steps()[step] {
            Placed::Requantised(step) | Placed::Product(step) => step.clone(),
            _ => panic!("a requantisation"),
        }
    }

    fn maximum(&self, step: usize) -> maximum::Placed {
        match &self.steps()[step] {
            Placed::Maximum(step) => step.clone(),
            _ => panic!("a maximum"),
        }
    }

    /// What the prover itself believes of a tensor.
    fn value(&mut self, id: TensorId, at: usize) -> &mut i64 {
        &mut self.witness.values.get_mut(&id).unwrap()[at]
    }

    /// Adds to the first cell of a column, and takes it away again from what the lookup argument is made for.
    fn unseen(&mut self, group: usize, column: usize, delta: i64) {
        *self.cell(group, column, 0) += field::signed(delta);
        for block in &self.key.inner.plan.blocks.blocks {
            if let Content::Cells { group: g, lookup } = block.content
                && g == group
            {
                let first = field::signed(if lookup.column == column { -delta } else { 0 });
                let is_second = matches!(lookup.second, Second::Column(c) if c == column);
                let second = field::signed(if is_second { -delta } else { 0 });
                self.lie.leaves.push((block.offset, [F::ZERO, first, second]));
            }
        }
    }
}

fn lowest(limbs: &Limbs) -> usize {
    limbs.parts[0].0
}

/// The limbs of a quotient that is not rectified.
fn quotient(step: &requantised::Placed) -> Limbs {
    match &step.quotient {
        Quotient::Limbs(limbs) | Quotient::Signed { limbs, .. } => limbs.clone(),
        _ => panic!("limbs"),
    }
}

/// `q − 1` with `remainder + 2^S`: the right accumulator, cut wrongly.
fn cut_wrongly() -> (Case, requantised::Placed) {
    let mut case = Case::new(&blind(2, Activation::Identity), 8, 2);
    let step = case.requantised(1);
    *case.cell(0, lowest(&step.remainder), 0) += F::from_u64(4);
    *case.cell(0, lowest(&quotient(&step)), 0) -= F::ONE;
    *case.value(Y, 0) -= 1;
    (case, step)
}

#[test]
fn a_remainder_is_below_its_power_of_two() {
    let (mut case, _) = cut_wrongly();
    case.recount();
    assert_eq!(case.refusal(), SUM);
}

/// Rows beyond a narrow table's width repeat it: a multiplicity there vouches for no new value.
#[test]
fn a_narrow_table_has_no_rows_beyond_its_width() {
    let (mut case, step) = cut_wrongly();
    let (column, _, width) = step.remainder.parts[0];
    assert_eq!(width, 2);
    case.recount();
    let table = case.layout().tables.iter().position(|t| t.width == 2).unwrap();
    let rows = case.layout().relation_groups + table;
    let row = case.cell(0, column, 0).as_canonical_u64() as usize;
    assert!((4..8).contains(&row), "on one of the table's 16 places");
    *case.cell(rows, 0, row) += F::ONE;
    assert_eq!(case.refusal(), SUM);
}

/// A wider range table of the same slice has the row.
#[test]
fn a_table_vouches_for_its_own_lookups_only() {
    let (mut case, step) = cut_wrongly();
    case.recount();
    let table = case.layout().tables.iter().position(|t| t.width > 2).unwrap();
    let rows = case.layout().relation_groups + table;
    let row = case.cell(0, lowest(&step.remainder), 0).as_canonical_u64() as usize;
    *case.cell(rows, 0, row) += F::ONE;
    assert_eq!(case.refusal(), SUM);
}

/// A lookup argument for other cells than the committed ones: its sum is 0, its end is wrong.
#[test]
fn the_lookup_argument_is_about_the_committed_cells() {
    let mut case = Case::new(&blind(2, Activation::Identity), 8, 2);
    let step = case.requantised(1);
    case.unseen(0, lowest(&step.remainder), 4);
    case.unseen(0, lowest(&quotient(&step)), -1);
    *case.value(Y, 0) -= 1;
    assert_eq!(case.refusal(), LEAVES);
}

#[test]
fn the_lookup_argument_is_about_the_committed_second_parts() {
    let mut case = Case::new(&blind(2, Activation::Relu), 16, 2);
    let (group, column) = case.layout().column_of(Y).unwrap();
    case.unseen(group, column, 1);
    *case.value(Y, 0) += 1;
    assert_eq!(case.refusal(), LEAVES);
}

#[test]
fn the_lookup_argument_is_about_the_tables_own_rows_and_committed_multiplicities() {
    for lie in [[1, 0, 0], [0, 1, 0], [0, 0, 1]] {
        let mut case = Case::new(&blind(2, Activation::Relu), 16, 2);
        let plan = case.layout().clone();
        let blocks = case.key.inner.plan.blocks.blocks.clone();
        // A row that nothing looks up: its numerator is 0, so that the sum is 0 whatever its fingerprint is.
        let unused = |case: &mut Case| {
            blocks.iter().find_map(|block| {
                let Content::Rows { table } = block.content else {
                    return None;
                };
                let group = plan.relation_groups + table;
                let at = (0..1 << block.arity).find(|&at| *case.cell(group, 0, at) == F::ZERO)?;
                Some((group, at, block.offset + at))
            })
        };
        let (group, at, leaf) = unused(&mut case).unwrap();
        if lie[0] == 1 {
            // A multiplicity that the argument is not made for.
            *case.cell(group, 0, at) += F::ONE;
        }
        case.lie.leaves.push((leaf, lie.map(F::from_u64)));
        assert_eq!(case.refusal(), LEAVES, "{lie:?}");
    }
}

#[test]
fn a_rectified_value_is_looked_up_with_its_quotient() {
    let mut case = Case::new(&blind(2, Activation::Relu), 16, 2);
    let (group, column) = case.layout().column_of(Y).unwrap();
    *case.cell(group, column, 0) += F::ONE;
    *case.value(Y, 0) += 1;
    case.recount();
    assert_eq!(case.refusal(), SUM);
}

#[test]
fn a_value_whose_sign_is_looked_up_is_rectified() {
    let mut case = Case::new(&blind(2, Activation::Relu), 4, 2);
    let (group, column) = case.layout().column_of(Y).unwrap();
    *case.cell(group, column, 0) += F::ONE;
    *case.value(Y, 0) += 1;
    case.recount();
    assert_eq!(case.refusal(), refuted(Y, Claim::Rectified));
}

#[test]
fn a_sign_is_that_of_the_top_limb() {
    let slice = blind(2, Activation::Relu);
    let Relation::Requantised { map, requantise, .. } = &slice.relations[1] else {
        panic!("a dense layer")
    };
    let negative = |case: &Case| {
        let views: Vec<&[i64]> = case.inputs.iter().map(Vec::as_slice).collect();
        let quotient = requantise.quotient(map.accumulate(&views)[0]);
        (quotient < 0).then_some(quotient)
    };
    let mut cases = (0..20).map(|seed| Case::new(&slice, 4, seed));
    let (mut case, quotient) = cases.find_map(|c| negative(&c).map(|q| (c, q))).unwrap();
    let Quotient::Signed { sign, .. } = case.requantised(1).quotient else {
        panic!("a sign")
    };
    // The quotient itself as the value: it is `sign · q`.
    let (group, column) = case.layout().column_of(Y).unwrap();
    *case.cell(group, sign, 0) = F::ONE;
    *case.cell(group, column, 0) = field::signed(quotient);
    *case.value(Y, 0) = quotient;
    case.recount();
    assert_eq!(case.refusal(), SUM);
}

/// Two values, their maximum public.
fn greater_of(pair: [i64; 2]) -> Case {
    let mut b = Builder::new(3);
    let x = b.input(2, IntRange::signed(6));
    let m = b.maximum(x, vec![vec![0, 1]]);
    b.output(m);
    Case::of(&b.slice, 8, vec![pair.to_vec()])
}

/// One more than both.
#[test]
fn a_maximum_is_one_of_its_window() {
    let mut case = greater_of([3, 4]);
    let step = case.maximum(1);
    *case.cell(step.group, lowest(&step.above[0]), 0) += F::ONE;
    *case.cell(step.group, lowest(&step.below[0]), 0) += F::ONE;
    *case.value(Y, 0) += 1;
    case.recount();
    assert_eq!(case.refusal(), refuted(Y, Claim::OneOfTwo));
}

/// The lesser of the two: one difference is 0, the other is −1.
#[test]
fn a_maximum_is_no_less_than_any_of_its_window() {
    for (pair, [above, below]) in [([3, 4], [-1, -1]), ([4, 3], [-1, -1])] {
        let mut case = greater_of(pair);
        let step = case.maximum(1);
        *case.cell(step.group, lowest(&step.above[0]), 0) += field::signed(above);
        *case.cell(step.group, lowest(&step.below[0]), 0) += field::signed(below);
        *case.value(Y, 0) -= 1;
        case.recount();
        assert_eq!(case.refusal(), SUM, "{pair:?}");
    }
}

/// Another window's maximum.
#[test]
fn a_maximum_is_over_its_own_window() {
    let mut b = Builder::new(3);
    let x = b.input(4, IntRange::signed(6));
    let m = b.maximum(x, vec![vec![0, 1], vec![2, 3]]);
    b.output(m);
    let mut case = Case::of(&b.slice, 8, vec![vec![1, 2, 4, 5]]);
    case.witness.values.insert(Y, vec![5, 2]);
    assert_eq!(case.refusal(), refuted(Y, Claim::Window));
}

/// A tensor of 16 values whose claimed range is narrower than its own.
fn ranged(range: IntRange, first: i64) -> Case {
    let mut b = Builder::new(3);
    let x = b.input(16, IntRange::signed(10));
    let ones = LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: 16,
        scale: vec![1].into(),
        bias: vec![0].into(),
    };
    let y = b.linear(&[x], ones, 0, Activation::Identity);
    b.slice.relations.push(Relation::Range {
        tensor: Builder::id(y),
        range,
    });
    let z = b.wired(x, Some(vec![0]));
    b.output(z);
    let mut input = vec![range.lo(); 16];
    input[1] = range.hi();
    input[0] = first;
    Case::of(&b.slice, 4, vec![input])
}

#[test]
fn an_inner_tensor_lies_in_its_exact_range() {
    for range in [IntRange::signed(6), IntRange::unsigned(7), IntRange::signed(1)] {
        for inside in [range.lo(), range.hi()] {
            assert_eq!(ranged(range, inside).verdict(), Ok(()), "{range:?}");
        }
        for outside in [range.lo() - 1, range.hi() + 1] {
            // Limbs that are in their tables, but of another value …
            let limbs = refuted(Y, Claim::Range);
            assert_eq!(ranged(range, outside).refusal(), limbs, "{range:?}");
            // … or of this value, but not in their tables.
            let mut case = ranged(range, outside);
            let Placed::Range(range::Placed::InnerRange { group, limbs, lo, .. }) = case.steps()[2].clone()
            else {
                panic!("a range")
            };
            for (column, ..) in &limbs.parts {
                *case.cell(group, *column, 0) = F::ZERO;
            }
            *case.cell(group, lowest(&limbs), 0) = field::signed(outside - lo);
            case.recount();
            assert_eq!(case.refusal(), SUM, "{range:?}");
        }
    }
}

/// `z − 2^−S` modulo p with `remainder + 1`: the identity holds in the field, and the public value is no integer of the range.
#[test]
fn a_public_quotient_lies_in_its_range() {
    let mut b = Builder::new(3);
    let x = b.input(16, IntRange::signed(6));
    let map = b.dense(x, 3, 1);
    let y = b.linear(&[x], map, 4, Activation::Identity);
    b.output(y);
    let mut case = Case::new(&b.slice, 8, 2);
    let step = case.requantised(1);
    let remainder = lowest(&step.remainder);
    // A place where the remainder can grow inside its table.
    let at = (0..3)
        .find(|&at| case.cell(0, remainder, at).as_canonical_u64() < 15)
        .unwrap();
    *case.cell(0, remainder, at) += F::ONE;
    let wrapped = field::signed(*case.value(Y, at)) - field::power_of_two(4).inverse();
    // Every residue is an i64: above p/2 by what it lacks to p.
    let value = i128::from(wrapped.as_canonical_u64());
    let p = i128::from(F::ORDER_U64);
    *case.value(Y, at) = i64::try_from(if value > p / 2 { value - p } else { value }).unwrap();
    case.recount();
    assert!(matches!(
        case.verdict(),
        Err(VerifyError::Instance(InstanceError::Range { .. }))
    ));
}

/// `w` is read twice at one point, once as `w + e` and once as `w − e`: the sum of both claims is right.
#[test]
fn several_claims_on_a_wiring_are_each_right() {
    let mut b = Builder::new(3);
    let x = b.input(16, IntRange::signed(6));
    let w = b.wired(x, Some((0..16).rev().collect()));
    let sum = LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: 16,
        scale: vec![1, 2].into(),
        bias: vec![0].into(),
    };
    let y = b.linear(&[w, w], sum, 0, Activation::Identity);
    b.output(y);
    for e in [0, 1] {
        let mut case = Case::new(&b.slice, 8, 2);
        let (w, y) = (Builder::id(w), Builder::id(y));
        let mut shifted = [case.witness.values[&w].clone(), case.witness.values[&w].clone()];
        shifted[0][0] += e;
        shifted[1][0] -= e;
        // 1·(w + e) + 2·(w − e)
        *case.value(y, 0) -= e;
        // The factors of both sums, then both claims.
        let argued = [&shifted[0], &shifted[1], &shifted[0], &shifted[1]];
        case.lie
            .values
            .get_mut()
            .insert(w, argued.into_iter().cloned().collect());
        match e {
            0 => assert_eq!(case.verdict(), Ok(())),
            _ => assert_eq!(case.refusal(), refuted(w, Claim::Wiring)),
        }
    }
}
