//! Every gate and every kind of copy is needed: for each there is a lie that it alone refuses. The same witness is
//! refused by the whole circuit and believed by the circuit without that gate, so no test here can pass because of
//! something else.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::halo2curves::ff::Field;

use super::super::circuit::configure;
use super::super::instance::power_of_two;
use super::super::layout::{CopyColumn, Layout};
use super::super::plan::{LinearUnit, Placed};
use super::super::synthesize::Second;
use super::super::voice::Voice;
use super::super::witness::Witness;
use super::{Case, case};

type Change = dyn Fn(&Layout, [Fr; 3], &mut Second) + Send + Sync;

/// What a lying prover does to second-phase cells, which it fills after it has seen the challenges.
#[derive(Clone)]
pub(super) struct SecondLie(Arc<Change>);

impl SecondLie {
    pub(super) fn new(lie: impl Fn(&Layout, [Fr; 3], &mut Second) + Send + Sync + 'static) -> Self {
        Self(Arc::new(lie))
    }
}

impl fmt::Debug for SecondLie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lie")
    }
}

thread_local! {
    static LEFT_OUT: Cell<Option<&'static str>> = const { Cell::new(None) };
    static SEEN: RefCell<BTreeSet<&'static str>> = const { RefCell::new(BTreeSet::new()) };
}

/// Leaves out the gate that [`without`] names, and lies about cells of the second phase.
#[derive(Debug, Clone, Default)]
pub(super) struct Lying(pub Option<SecondLie>);

impl Voice for Lying {
    fn has_gate(name: &'static str) -> bool {
        SEEN.with_borrow_mut(|seen| seen.insert(name));
        LEFT_OUT.get() != Some(name)
    }

    fn second(&self, layout: &Layout, challenges: [Fr; 3], mut second: Second) -> Second {
        if let Some(lie) = &self.0 {
            (lie.0)(layout, challenges, &mut second);
        }
        second
    }
}

/// Runs `then` with circuits that lack a gate.
pub(super) fn without<T>(gate: &'static str, then: impl FnOnce() -> T) -> T {
    LEFT_OUT.set(Some(gate));
    let result = then();
    LEFT_OUT.set(None);
    result
}

/// Rows of the case's instance: after the statement's two, the input's one element and the first output's.
const INPUT_ELEMENT: usize = 2;
const OUTPUT_ELEMENT: usize = 3;
/// Width of a value of the first output, tensor 5.
const OUTPUT_BITS: u32 = 9;

/// Row and flat index of an output of tensor 5 whose highest limb is not 0.
fn an_output(case: &Case) -> (usize, usize) {
    let linear = case.linear(5);
    let found = (linear.unit_row..)
        .zip(linear.units())
        .find_map(|(row, (unit, _))| match unit {
            LinearUnit::Output { pixel, output, .. } if case.witness.limbs[2][row] > 0 => {
                Some((row, linear.form.output_index(output, pixel)))
            }
            _ => None,
        });
    found.expect("an output with a large magnitude")
}

/// Changes the value of a public output, in its own row, in the row that packs it, and in the instance.
fn change_output(case: &mut Case, row: usize, index: usize, by: Fr) {
    case.witness.z[row] += by;
    change_packed_output(case, index, by);
}

fn change_packed_output(case: &mut Case, index: usize, by: Fr) {
    let packed = case.layout.plan.placed.iter().find_map(|p| match p {
        Placed::Output { index: 0, row } => Some(*row),
        _ => None,
    });
    case.witness.z[packed.expect("the first output is packed") + index] += by;
    case.instance[OUTPUT_ELEMENT] += by * power_of_two(OUTPUT_BITS * index as u32);
}

/// First step of a tournament, after its start row, at which the entry `x` is the maximum and the difference to the
/// entry above can grow by one in its lowest limb.
fn a_step(case: &Case) -> usize {
    let starts = case.layout.plan.placed.iter().find_map(|p| match p {
        Placed::Maximum { row, windows, .. } => {
            Some((0..windows.len()).map(move |w| row + w * windows.get(0).unwrap().len()))
        }
        _ => None,
    });
    let max_limbs = case.layout.plan.max_limbs;
    let limbs = &case.witness.limbs;
    let fits = |start: &usize| {
        let step = start + 1;
        let over_x = (max_limbs..2 * max_limbs).all(|c| limbs[c][step] == 0);
        over_x && case.witness.z[*start] != Fr::ZERO && limbs[0][step] < 15
    };
    starts
        .expect("there is a maximum")
        .find(fits)
        .expect("a tournament whose second entry wins")
        + 1
}

/// The second phase as of the honest witness, in the columns that `take` copies.
pub(super) fn as_if_honest(honest: &Witness, take: fn(&mut Second, Second)) -> Option<SecondLie> {
    let honest = honest.clone();
    let lie = move |layout: &Layout, challenges, second: &mut Second| {
        take(second, Second::new(layout, &honest, challenges));
    };
    Some(SecondLie::new(lie))
}

pub(super) fn log_up(second: &mut Second, honest: Second) {
    (second.inverses, second.reads, second.running) = (honest.inverses, honest.reads, honest.running);
}

fn accumulator(second: &mut Second, honest: Second) {
    second.accumulator = honest.accumulator;
}

/// 16 more in the lower limb of a magnitude and one less in the upper: the same accumulator, from no table.
fn leave_the_table(case: &mut Case) {
    let (row, _) = an_output(case);
    case.witness.limbs[1][row] += 16;
    case.witness.limbs[2][row] -= 1;
}

/// A cell of a second-phase column in the second row of the convolution's images: no product and no copy reads it there.
/// (For the first row the mock prover would have to print a blinding cell, and gives up.)
fn in_the_images(case: &mut Case, column: fn(&mut Second) -> &mut Vec<Fr>) {
    let row = case.linear(1).image_row + 1;
    case.lie = Some(SecondLie::new(move |_, _, second| column(second)[row] += Fr::ONE));
}

type Lie = fn(&mut Case);

const LIES: &[(&str, Lie)] = &[
    ("inverses are those of the looked-up limbs", |case| {
        case.lie = as_if_honest(&case.witness, log_up);
        leave_the_table(case);
    }),
    ("the running sum takes in this row", |case| {
        case.lie = as_if_honest(&case.witness, log_up);
        case.witness.multiplicity[3] += 1;
    }),
    ("the running sum starts and ends at 0", leave_the_table),
    ("an input is the sum of its limbs", |case| {
        case.witness.limbs[0][3] ^= 1;
        assert!(case.recount());
    }),
    ("the accumulator packs public values", |case| {
        let last = case.layout.plan.cells[&case.relations.inputs[0].id].len() - 1;
        case.instance[INPUT_ELEMENT] += Fr::ONE;
        case.lie = Some(SecondLie::new(move |_, _, second| {
            second.accumulator[last] += Fr::ONE
        }));
    }),
    ("the sign is 0 or 1", |case| {
        // Another remainder, and a sign between 0 and 1 that makes up for it.
        let (row, index) = an_output(case);
        let (bits, shift) = (case.linear(5).limbs.bits, case.linear(5).limbs.shift);
        let old = case.witness.limbs[0][row];
        case.witness.limbs[0][row] ^= 1;
        let more = Fr::from(case.witness.limbs[0][row]) - Fr::from(old);
        let weight = power_of_two(bits - 1 + shift)
            .invert()
            .expect("a power of two is not 0");
        let by = -more * weight;
        case.witness.sign[row] += by;
        assert!(case.recount());
        change_output(case, row, index, by * power_of_two(bits - 1));
    }),
    ("z is the activation of the quotient", |case| {
        let (row, index) = an_output(case);
        change_output(case, row, index, Fr::ONE);
    }),
    ("the sum takes in factor · (accumulator − bias)", |case| {
        case.lie = as_if_honest(&case.witness, accumulator);
        let (row, _) = an_output(case);
        case.witness.limbs[0][row] ^= 1;
        assert!(case.recount());
    }),
    ("a tournament starts with its first entry", |case| {
        let step = a_step(case);
        case.witness.z[step - 1] -= Fr::ONE;
        case.witness.limbs[0][step] += 1;
        assert!(case.recount());
    }),
    ("z is the greater of the entry above and x", |case| {
        let step = a_step(case);
        case.witness.limbs[0][step] ^= 1;
        assert!(case.recount());
    }),
    ("the sum takes in a witness position", |case| {
        case.lie = as_if_honest(&case.witness, accumulator);
        let linear = case.linear(1);
        let at = linear
            .units()
            .position(|(u, _)| matches!(u, LinearUnit::Witness { .. }));
        let row = linear.unit_row + at.expect("the padded convolution has positions that are no output");
        case.witness.z[row] += Fr::ONE;
    }),
    ("the image polynomial by Horner's rule", |case| {
        in_the_images(case, |second| &mut second.image)
    }),
    ("the packed weights' polynomial by Horner's rule", |case| {
        in_the_images(case, |second| &mut second.weights);
    }),
    ("the sum takes in image · weights", |case| {
        in_the_images(case, |second| &mut second.sum)
    }),
];

#[test]
fn every_gate_refuses_a_lie_that_no_other_gate_refuses() {
    SEEN.take();
    for (gate, lie) in LIES {
        let mut case = case();
        assert!(case.accepted());
        lie(&mut case);
        assert!(!case.accepted(), "the lie about `{gate}` is believed");
        assert!(
            without(gate, || case.accepted()),
            "without `{gate}` something else refuses the lie, or the name is no gate's"
        );
    }
    let told: BTreeSet<&str> = LIES.iter().map(|(gate, _)| *gate).collect();
    assert_eq!(SEEN.with_borrow(Clone::clone), told, "every gate has its lie");
}

/// Copies between two columns, and a lie that they alone refuse.
const COPIES: &[((CopyColumn, CopyColumn), Lie)] = &[
    ((CopyColumn::Accumulator, CopyColumn::Sum), |case| {
        // Limbs of another accumulator: both sides of the identity are computed honestly, and differ.
        let (row, _) = an_output(case);
        case.witness.limbs[0][row] ^= 1;
        assert!(case.recount());
    }),
    ((CopyColumn::Z, CopyColumn::X), |case| {
        let step = a_step(case);
        case.witness.z[step - 1] -= Fr::ONE;
        case.witness.x[step - 1] -= Fr::ONE;
        case.witness.limbs[0][step] += 1;
        assert!(case.recount());
    }),
    ((CopyColumn::Z, CopyColumn::Z), |case| {
        change_packed_output(case, 1, Fr::ONE)
    }),
];

#[test]
fn every_kind_of_copy_refuses_a_lie_that_nothing_else_refuses() {
    let without = |case: &mut Case, change: &dyn Fn(&mut Layout)| {
        let mut layout = Layout::clone(&case.layout);
        change(&mut layout);
        case.layout = Arc::new(layout);
    };
    for (kind, lie) in COPIES {
        let mut case = case();
        assert!(
            case.layout
                .copies
                .iter()
                .any(|((a, _), (b, _))| (*a, *b) == *kind)
        );
        lie(&mut case);
        assert!(!case.accepted(), "the lie about {kind:?} is believed");
        without(&mut case, &|layout| {
            layout.copies.retain(|((a, _), (b, _))| (*a, *b) != *kind)
        });
        assert!(case.accepted(), "without {kind:?} something else refuses the lie");
    }
    // The same for the copies to the instance.
    let mut case = case();
    case.instance[INPUT_ELEMENT] += Fr::ONE;
    assert!(!case.accepted());
    without(&mut case, &|layout| layout.public.clear());
    assert!(case.accepted());
}

#[test]
fn what_claims_are_about_is_committed_before_the_challenges() {
    let mut system = halo2_proofs::plonk::ConstraintSystem::<Fr>::default();
    let columns = configure::<Lying>(&mut system, &case().layout.shape);
    let phase =
        |column: &halo2_proofs::plonk::Column<halo2_proofs::plonk::Advice>| column.column_type().phase();
    let single = [columns.sign, columns.z, columns.x, columns.multiplicity];
    assert!(columns.limbs.iter().chain(&single).all(|c| phase(c) == 0));
    let second = [
        columns.accumulator,
        columns.image,
        columns.weights,
        columns.sum,
        columns.running,
    ];
    assert!(columns.inverses.iter().chain(&second).all(|c| phase(c) == 1));
    for challenge in [columns.r, columns.theta, columns.beta] {
        assert_eq!(challenge.phase(), 0, "usable only after the first phase");
    }
}

#[test]
fn the_packing_base_exceeds_every_accumulator_that_limbs_can_hold() {
    // Otherwise y0 + B and y1 − 1 would have the packed sum of y0 and y1.
    let case = case();
    for output in [1, 4, 5] {
        let linear = case.linear(output);
        let held: u32 = linear.limbs.widths().sum::<u32>() + 1;
        assert!(linear.packing.base_bits > held, "tensor {output}");
        assert!(
            linear.packing.base_bits * linear.packing.per_element as u32 <= 252,
            "tensor {output}"
        );
    }
}
