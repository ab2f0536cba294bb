//! Provers that lie about the witness, argue honestly from the lie, and make the lookups add up where they can.

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use rand::Rng;

use super::slices::*;
use crate::graph::{Activation, IntRange, LinearMap, TensorId};
use crate::relations::{Relation, SliceRelations};
use crate::sumcheck::field::F;
use crate::sumcheck::plan::Plan;
use crate::sumcheck::prover::prove_witness;
use crate::sumcheck::witness::Witness;
use crate::sumcheck::*;

/// A key, an honest instance, and its witness.
pub(super) struct Case {
    pub(super) key: Key,
    pub(super) inputs: Vec<Vec<i64>>,
    pub(super) witness: Witness,
}

impl Case {
    pub(super) fn new(slice: &SliceRelations, limb_bits: u8, seed: u64) -> Self {
        let key = Key::new(slice, SliceParameters { limb_bits }).unwrap();
        let inputs = inputs(slice, seed);
        let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        let witness = Witness::new(&key.inner.plan, slice, &views).unwrap();
        Self { key, inputs, witness }
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.key.inner.plan
    }

    /// A cell of a committed column.
    fn cell(&mut self, group: usize, column: usize, at: usize) -> &mut F {
        let (arity, cells) = &mut self.witness.groups[group];
        &mut cells[(column << *arity) + at]
    }

    /// Counts lookups again, as far as cells are in their tables: nothing else mends a multiplicity.
    fn recount(&mut self) {
        let plan = self.key.inner.plan.clone();
        for table in 0..plan.tables.len() {
            self.witness.groups[plan.relation_groups + table].1.fill(F::ZERO);
        }
        for (group, g) in plan.groups.iter().enumerate() {
            for lookup in &g.lookups {
                for at in 0..1 << g.axes.arity() {
                    let value = self.cell(group, lookup.column, at).as_canonical_u64() as usize;
                    if value < 1 << plan.tables[lookup.table].width {
                        *self.cell(plan.relation_groups + lookup.table, 0, value) += F::ONE;
                    }
                }
            }
        }
    }

    /// Whether the verifier believes what the witness now says, public outputs included.
    pub(super) fn accepted(self) -> bool {
        let views: Vec<&[i64]> = self.inputs.iter().map(Vec::as_slice).collect();
        let digest = self.key.digest();
        let Ok(made) = prove_witness(&self.key.inner, &digest, &statement(), &views, self.witness) else {
            return false;
        };
        let outputs: Vec<&[i64]> = made.outputs.iter().map(Vec::as_slice).collect();
        verify(&self.key, &statement(), &views, &outputs, &made.proof).is_ok()
    }
}

/// Shapes whose cubes have padding everywhere: 3 channels, 3×3 images, 5 rows.
fn padded() -> SliceRelations {
    let mut b = Builder::new(11);
    let x = b.input(45, IntRange::signed(5));
    let map = conv(&mut b, [5, 3, 3], 3, [2, 2], [1, 1], [1, 1], 1);
    let y = b.linear(&[x], map, 4, Activation::Relu);
    let map = conv(&mut b, [3, 4, 4], 5, [3, 3], [1, 1], [0, 0], 1);
    let z = b.linear(&[y], map, 6, Activation::Identity);
    let windows = (0..5u32)
        .map(|t| (0..=t % 3).map(|d| t * 4 + d).collect())
        .collect();
    let m = b.maximum(z, windows);
    let map = b.dense(m, 3, 1);
    let out = b.linear(&[m], map, 3, Activation::Relu);
    b.output(out);
    b.slice
}

fn slices() -> Vec<(SliceRelations, u8)> {
    // Limbs so narrow that activations are cut and need their sign, and so wide that they are looked up whole.
    vec![
        (small(), 4),
        (small(), 13),
        (padded(), 4),
        (padded(), 14),
        (attention(), 4),
        (attention(), 12),
    ]
}

#[test]
fn accepts_the_truth() {
    for (slice, limb_bits) in slices() {
        let mut case = Case::new(&slice, limb_bits, 2);
        case.recount();
        assert!(case.accepted());
    }
}

#[test]
fn rejects_every_wrong_output() {
    for (slice, limb_bits) in slices() {
        for output in &slice.outputs {
            for index in [0, output.len - 1] {
                let mut case = Case::new(&slice, limb_bits, 2);
                let values = case.witness.values.get_mut(&output.id).unwrap();
                values[index] += if values[index] == output.range.hi() { -1 } else { 1 };
                assert!(!case.accepted(), "tensor {:?} at {index}", output.id);
            }
        }
    }
}

#[test]
fn rejects_a_change_of_any_committed_cell_padding_included() {
    let mut rng = rng(5);
    for (slice, limb_bits) in slices() {
        let plan = Case::new(&slice, limb_bits, 2).plan().clone();
        for (group, g) in plan.groups.iter().enumerate().take(plan.relation_groups) {
            for column in 0..g.columns {
                let size = 1usize << g.axes.arity();
                // A value, the last place (padding unless the tensor fills its cube), and one more of either.
                for at in [0, size - 1, rng.gen_range(0..size)] {
                    let delta = [F::ONE, -F::ONE, F::from_u64(rng.gen_range(2..9))][rng.gen_range(0..3)];
                    let mut case = Case::new(&slice, limb_bits, 2);
                    *case.cell(group, column, at) += delta;
                    case.recount();
                    assert!(!case.accepted(), "group {group}, column {column}, cell {at}");
                }
            }
        }
    }
}

#[test]
fn rejects_a_wrong_multiplicity_of_any_table() {
    for (slice, limb_bits) in slices() {
        let plan = Case::new(&slice, limb_bits, 2).plan().clone();
        for table in 0..plan.tables.len() {
            let mut case = Case::new(&slice, limb_bits, 2);
            *case.cell(plan.relation_groups + table, 0, 1) += F::ONE;
            assert!(!case.accepted());
        }
    }
}

/// A limb that lies outside its table by wrapping, with the next one corrected so that their sum is right.
#[test]
fn rejects_limbs_whose_sum_is_right_but_whose_widths_are_not() {
    for (slice, limb_bits) in slices() {
        let plan = Case::new(&slice, limb_bits, 2).plan().clone();
        for step in &plan.steps {
            let plan::Step::Requantised(step) = step else {
                continue;
            };
            let [(low, _, width), (high, _, _), ..] = step.remainder.parts[..] else {
                continue;
            };
            let Some(group) = step.group else { continue };
            let mut case = Case::new(&slice, limb_bits, 2);
            *case.cell(group, low, 0) += F::from_u64(1 << width);
            *case.cell(group, high, 0) -= F::ONE;
            case.recount();
            assert!(!case.accepted());
        }
    }
}

/// `q + 1` with `remainder − 2^S`: the right accumulator, cut wrongly.
#[test]
fn rejects_a_quotient_that_takes_its_remainder_out_of_range() {
    let mut b = Builder::new(3);
    let x = b.input(16, IntRange::signed(6));
    let map = b.dense(x, 16, 1);
    let y = b.linear(&[x], map, 4, Activation::Identity);
    let map = b.dense(y, 3, 1);
    let z = b.linear(&[y], map, 4, Activation::Identity);
    b.output(z);
    let mut case = Case::new(&b.slice, 8, 2);
    let plan::Step::Requantised(step) = case.plan().steps[1].clone() else {
        panic!("a dense layer")
    };
    let plan::Quotient::Limbs(limbs) = &step.quotient else {
        panic!("limbs")
    };
    *case.cell(0, step.remainder.parts[0].0, 0) -= F::from_u64(16);
    *case.cell(0, limbs.parts[0].0, 0) += F::ONE;
    case.recount();
    assert!(!case.accepted());
}

/// Rows beyond a narrow table's width repeat it: a multiplicity there vouches for no new value.
#[test]
fn a_narrow_table_has_no_rows_beyond_its_width() {
    let mut b = Builder::new(3);
    let x = b.input(16, IntRange::signed(6));
    let map = b.dense(x, 16, 1);
    let y = b.linear(&[x], map, 2, Activation::Identity);
    b.output(y);
    let mut case = Case::new(&b.slice, 8, 2);
    let plan::Step::Requantised(step) = case.plan().steps[1].clone() else {
        panic!("a dense layer")
    };
    let (column, _, width) = step.remainder.parts[0];
    assert_eq!(width, 2);
    let table = case.plan().groups[0].lookups[0].table;
    let rows = case.plan().relation_groups + table;
    // Remainder 5 in place of 1, were there a row of 5.
    let old = case.cell(0, column, 0).as_canonical_u64() as usize;
    *case.cell(0, column, 0) += F::from_u64(4);
    *case.cell(rows, 0, old) -= F::ONE;
    *case.cell(rows, 0, old + 4) += F::ONE;
    assert!(!case.accepted());
}

/// A column of 16 places for 5 values: what stands beyond them must not be read, and must not be written.
#[test]
fn padding_of_an_inner_tensor_reaches_no_output() {
    let slice = padded();
    let case = Case::new(&slice, 14, 2);
    let plan = case.plan().clone();
    for id in (1..5).map(TensorId) {
        let Some((group, column)) = plan.column_of(id) else {
            continue;
        };
        let size = 1usize << plan.groups[group].axes.arity();
        let mut case = Case::new(&slice, 14, 2);
        // Every padded place of the tensor at once, with all else as it was.
        let ones = plan
            .tensor(id)
            .unwrap()
            .axes
            .scatter(&vec![1; plan.tensor(id).unwrap().axes.len()]);
        let mut changed = 0;
        for at in (0..size).filter(|&at| ones[at] == F::ZERO) {
            *case.cell(group, column, at) = F::from_u64(3);
            changed += 1;
        }
        assert!(changed == 0 || !case.accepted());
    }
}

/// Two maxima exchanged, each right for the other's window.
#[test]
fn rejects_maxima_of_swapped_windows() {
    let slice = small();
    let mut case = Case::new(&slice, 13, 2);
    let out = TensorId(2);
    let values = case.witness.values.get_mut(&out).unwrap();
    let other = values.iter().position(|v| *v != values[0]).unwrap();
    values.swap(0, other);
    assert!(!case.accepted());
}

/// A wiring whose values are a permutation of the right ones.
#[test]
fn rejects_swapped_values_of_a_public_wiring() {
    let mut b = Builder::new(3);
    let x = b.input(12, IntRange::signed(8));
    let y = b.wired(x, Some((0..12).rev().collect()));
    b.output(y);
    for swap in [false, true] {
        let mut case = Case::new(&b.slice, 8, 2);
        if swap {
            case.witness.values.get_mut(&TensorId(1)).unwrap().swap(0, 1);
        }
        assert_eq!(case.accepted(), !swap);
    }
}

/// Nothing is committed and nothing looked up: the output is checked at a point drawn after the statement.
#[test]
fn rejects_a_wrong_output_where_nothing_is_looked_up() {
    let mut b = Builder::new(3);
    let x = b.input(12, IntRange::signed(8));
    let map = b.affine(2, [1, 3, 4]);
    let y = b.linear(&[x, x], map, 0, Activation::Identity);
    b.output(y);
    for wrong in [false, true] {
        let mut case = Case::new(&b.slice, 8, 2);
        assert!(case.plan().groups.is_empty());
        case.witness.values.get_mut(&TensorId(1)).unwrap()[7] += i64::from(wrong);
        assert_eq!(case.accepted(), !wrong);
    }
}

/// A witness for other weights: the same shapes, another model.
#[test]
fn rejects_the_witness_of_another_model() {
    let slice = small();
    let mut other = slice.clone();
    for relation in &mut other.relations {
        if let Relation::Requantised {
            map: LinearMap::Conv2d { weight, .. },
            ..
        } = relation
        {
            weight[4] += 1;
        }
    }
    let mut case = Case::new(&other, 8, 5);
    case.key = Key::new(&slice, SliceParameters { limb_bits: 8 }).unwrap();
    assert!(!case.accepted());
}
