//! Provers that lie about the witness, argue honestly from the lie, and make the lookups add up where they can.

use p3_field::{PrimeCharacteristicRing, PrimeField64};
use proptest::prelude::*;
use rand::Rng;

use super::slices::*;
use super::{Event, Lie};
use crate::graph::{Activation, IntRange, LinearMap, TensorId};
use crate::relations::{Relation, SliceRelations, check};
use crate::sumcheck::field::F;
use crate::sumcheck::layout::{Home, Layout};
use crate::sumcheck::prover::prove_witness;
use crate::sumcheck::relation::Placed;
use crate::sumcheck::relation::requantised::Quotient;
use crate::sumcheck::witness::Witness;
use crate::sumcheck::*;

/// What the verifier says where the fractions of the lookup argument do not add up to 0: at the root, before any round.
pub(super) const SUM: Refutation = Refutation::Layer { layer: 0 };

/// A key, an honest instance, and its witness.
pub(super) struct Case {
    pub(super) key: Key,
    pub(super) inputs: Vec<Vec<i64>>,
    pub(super) witness: Witness,
    pub(super) lie: Lie,
}

impl Case {
    pub(super) fn new(slice: &SliceRelations, limb_bits: u8, seed: u64) -> Self {
        Self::of(slice, limb_bits, inputs(slice, seed))
    }

    pub(super) fn of(slice: &SliceRelations, limb_bits: u8, inputs: Vec<Vec<i64>>) -> Self {
        let key = Key::new(slice, SliceParameters { limb_bits }).unwrap();
        let views: Vec<&[i64]> = inputs.iter().map(Vec::as_slice).collect();
        let witness = Witness::new(&key.inner.plan, slice, &views).unwrap();
        Self {
            key,
            inputs,
            witness,
            lie: Lie::default(),
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.key.inner.plan.layout
    }

    /// One per relation.
    pub(super) fn steps(&self) -> &[Placed] {
        &self.key.inner.plan.steps
    }

    /// A cell of a committed column.
    pub(super) fn cell(&mut self, group: usize, column: usize, at: usize) -> &mut F {
        let (arity, cells) = &mut self.witness.groups[group];
        &mut cells[(column << *arity) + at]
    }

    /// Counts lookups again, as far as cells are in their tables: nothing else mends a multiplicity.
    pub(super) fn recount(&mut self) {
        let plan = self.layout().clone();
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

    /// Leaves messages out of the transcript: the challenges after them were known before.
    pub(super) fn say_nothing_of(&mut self, label: transcript::Label) {
        self.lie.unsaid = Some(label);
    }

    /// Which check refuses.
    pub(super) fn refusal(self) -> Refutation {
        match self.verdict() {
            Err(VerifyError::Refuted(refutation)) => refutation,
            other => panic!("{other:?}"),
        }
    }

    /// What the verifier says, and what was said to it.
    fn argued(self) -> (Result<(), VerifyError>, Vec<Event>) {
        let views: Vec<&[i64]> = self.inputs.iter().map(Vec::as_slice).collect();
        let digest = self.key.digest();
        // Whatever the witness is, the prover argues to the end: it is the verifier that refuses.
        let (made, lie) = prove_witness(
            &self.key.inner,
            &digest,
            &statement(),
            &views,
            self.witness,
            self.lie,
        )
        .unwrap();
        let outputs: Vec<&[i64]> = made.outputs.iter().map(Vec::as_slice).collect();
        let verdict = verify(&self.key, &statement(), &views, &outputs, &made.proof);
        (verdict, lie.events)
    }

    /// What the verifier says to what the witness now says, public outputs included.
    pub(super) fn verdict(self) -> Result<(), VerifyError> {
        self.argued().0
    }

    pub(super) fn accepted(self) -> bool {
        self.verdict().is_ok()
    }
}

/// Shapes whose cubes have padding everywhere: 3 channels, 3×3 images between two convolutions, 5 rows.
fn padded() -> SliceRelations {
    let mut b = Builder::new(11);
    let x = b.input(45, IntRange::signed(5));
    let map = conv(&mut b, [5, 3, 3], 3, [3, 3], [1, 1], [1, 1], 1);
    let y = b.linear(&[x], map, 4, Activation::Relu);
    let map = conv(&mut b, [3, 3, 3], 5, [2, 2], [1, 1], [0, 0], 1);
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

pub(super) fn slices() -> Vec<(SliceRelations, u8)> {
    // Limbs so narrow that activations are cut and need their sign, and so wide that they are looked up whole.
    vec![
        (small(), 4),
        (small(), 13),
        (padded(), 4),
        (padded(), 14),
        (attention_with(false), 4),
        (attention(), 12),
        (heads(), 4),
        (heads(), 12),
        (sorting(), 5),
        (sorting(), 12),
        (tables(), 4),
        (tables(), 12),
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
        let plan = Case::new(&slice, limb_bits, 2).layout().clone();
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 24 } else { 100 }))]

    #[test]
    fn rejects_a_change_of_any_cell_and_any_output_of_random_slices(seed in any::<u64>(), change in any::<u64>(), limb_bits in 4u8..=9) {
        let slice = random_of_all(seed);
        let mut rng = rng(change);
        let case = || Case::new(&slice, limb_bits, change);
        let plan = case().layout().clone();
        if plan.relation_groups > 0 {
            let group = rng.gen_range(0..plan.relation_groups);
            let column = rng.gen_range(0..plan.groups[group].columns);
            let at = rng.gen_range(0..1 << plan.groups[group].axes.arity());
            let mut case = case();
            *case.cell(group, column, at) += F::from_u64(rng.gen_range(1..F::ORDER_U64));
            case.recount();
            prop_assert!(!case.accepted(), "group {group}, column {column}, cell {at}");
        }
        if !slice.outputs.is_empty() {
            let output = &slice.outputs[rng.gen_range(0..slice.outputs.len())];
            let mut case = case();
            let value = &mut case.witness.values.get_mut(&output.id).unwrap()[rng.gen_range(0..output.len)];
            let other = rng.gen_range(output.range.lo()..output.range.hi());
            // Any other value of the range.
            *value = if other < *value { other } else { other + 1 };
            prop_assert!(check(&slice, &case.witness.values).is_err());
            prop_assert!(!case.accepted(), "output {:?}", output.id);
        }
    }
}

#[test]
fn rejects_a_wrong_multiplicity_of_any_table() {
    for (slice, limb_bits) in slices() {
        let plan = Case::new(&slice, limb_bits, 2).layout().clone();
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
    let mut tried = 0;
    for (slice, limb_bits) in slices() {
        for step in Case::new(&slice, limb_bits, 2).steps() {
            let (Placed::Requantised(step) | Placed::Product(step)) = step else {
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
            assert_eq!(case.verdict(), Err(SUM.into()));
            tried += 1;
        }
    }
    assert!(tried > 5);
}

/// A column of 16 places for 5 values: what stands beyond them must not be read, and must not be written.
#[test]
fn padding_of_an_inner_tensor_reaches_no_output() {
    let slice = padded();
    let case = Case::new(&slice, 14, 2);
    let plan = case.layout().clone();
    let mut tried = 0;
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
        assert!(changed > 0 && !case.accepted(), "{id:?}");
        tried += 1;
    }
    assert_eq!(tried, 2);
}

/// A row of the activation table, (q', z) = (half + 1, 1), on a padded place.
fn one_on_padding(case: &mut Case, step: usize, at: usize) {
    let (Placed::Requantised(step) | Placed::Product(step)) = case.steps()[step].clone() else {
        panic!("a requantisation")
    };
    let Quotient::Activation { column } = step.quotient else {
        panic!("an activation that is looked up whole")
    };
    let (group, made) = case.layout().column_of(step.output).unwrap();
    *case.cell(group, column, at) = F::from_u64((1 << (step.requantise.bits - 1)) + 1);
    *case.cell(group, made, at) = F::ONE;
}

/// Beyond the 3×3 values of an image stand 7 padded places: the next convolution's kernel lies beside them.
#[test]
fn rejects_a_fringe_beyond_an_image() {
    for at in [9, 15] {
        let mut case = Case::new(&padded(), 16, 2);
        one_on_padding(&mut case, 1, at);
        case.recount();
        assert_eq!(case.verdict(), Err(Claim::Map.refuted(TensorId(2))));
    }
}

/// `Σ_{b, k} eq(ρ_b, b)·P(b, i, k)·V(b, k, j)` runs over padding too: with 1 on both paddings a product would be another.
#[test]
fn rejects_padding_on_both_sides_of_a_product() {
    let cases = [
        // Scores: 3 × 3 values on 4 × 4 places. Values: 3 × 5 on 4 × 8.
        (attention_with(false), 3, 3 << 3),
        // 3 × 5 × 5 on 4 × 8 × 8, and 3 × 5 × 3 on 4 × 8 × 4: beside the rows, and the matrix after the last.
        (heads(), 5, 5 << 2),
        (heads(), 3 << 6, 3 << 5),
    ];
    for (slice, of_scores, of_values) in cases {
        let mut case = Case::new(&slice, 16, 2);
        let [scores, values] = [5, 3].map(TensorId);
        let step = case
            .steps()
            .iter()
            .position(|s| matches!(s, Placed::Requantised(s) | Placed::Product(s) if s.output == scores));
        one_on_padding(&mut case, step.unwrap(), of_scores);
        let Home::Limbs { group, limbs, .. } = case.layout().tensor(values).unwrap().home.clone() else {
            panic!("limbs")
        };
        *case.cell(group, limbs.parts[0].0, of_values) = F::ONE;
        case.recount();
        assert_eq!(case.verdict(), Err(Claim::Product.refuted(TensorId(6))));
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
        assert!(case.layout().groups.is_empty());
        case.witness.values.get_mut(&TensorId(1)).unwrap()[7] += i64::from(wrong);
        assert_eq!(case.accepted(), !wrong);
    }
}

/// Challenges that were drawn before what they must depend on.
#[test]
fn rejects_any_kind_of_message_that_is_said_after_its_challenges() {
    use transcript::Label::*;
    let slices = [small(), padded(), attention_with(false), heads(), sorting()];
    for label in [
        Statement,
        Key,
        Public,
        Root,
        FractionRound,
        Layer,
        Columns,
        Contributions,
        Round,
        Claim,
        ProductRound,
        Factors,
    ] {
        let mut tried = 0;
        for slice in &slices {
            let case = || Case::new(slice, 5, 2);
            let (verdict, events) = case().argued();
            assert_eq!(verdict, Ok(()));
            let said = |event: &Event| matches!(event, Event::Absorb(l, _) if *l == label);
            if events.iter().any(said) {
                let mut case = case();
                case.lie.unsaid = Some(label);
                assert!(!case.accepted(), "{label:?}");
                tried += 1;
            }
        }
        assert!(tried > 0, "{label:?}");
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
