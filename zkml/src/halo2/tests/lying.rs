//! First-phase cells are tampered with, everything downstream is recomputed honestly.

use halo2_proofs::halo2curves::bn256::Fr;
use halo2_proofs::halo2curves::ff::Field;

use super::super::plan::{LinearUnit, Placed};
use super::super::shape::Role;
use super::case;

#[test]
fn rejects_an_input_that_is_not_the_public_one() {
    let mut case = case();
    // v + 1 in one cell, v' − 1 … in the next: the packed element changes, so the instance copy must fail.
    case.witness.z[3] += Fr::ONE;
    case.witness.limbs[0][3] += 1;
    case.recount();
    assert!(!case.accepted());
}

#[test]
fn rejects_another_unpacking_of_the_same_element() {
    // x0 + 2^w and x1 − 1 pack to the same element: only the exact range check refuses it.
    let mut case = case();
    case.witness.z[0] += Fr::from(64);
    case.witness.z[1] -= Fr::ONE;
    let low = case.witness.limbs[0][1];
    assert!(low > 0);
    case.witness.limbs[0][1] -= 1;
    case.witness.limbs[1][0] += 4; // 64 = 4 · 16: the second limb leaves its 2-bit table
    case.recount();
    assert!(!case.accepted());
}

#[test]
fn rejects_a_wrong_output() {
    for output in [1, 4, 5] {
        let mut case = case();
        let row = case.linear(output).unit_row;
        let at = case
            .linear(output)
            .units()
            .position(|(u, _)| matches!(u, LinearUnit::Output { .. }))
            .unwrap();
        case.witness.z[row + at] += Fr::ONE;
        assert!(!case.accepted(), "tensor {output}");
    }
}

#[test]
fn rejects_limbs_of_another_accumulator() {
    // Sign, magnitude and remainder stay consistent with each other; only the linear identity is false.
    let mut case = case();
    let linear = case.linear(5);
    let at = linear
        .units()
        .position(|(u, _)| matches!(u, LinearUnit::Output { .. }))
        .unwrap();
    let row = linear.unit_row + at;
    case.witness.limbs[0][row] ^= 1; // remainder's lowest bit: z does not change
    case.recount();
    assert!(!case.accepted());
}

#[test]
fn rejects_a_limb_where_none_is_used() {
    let mut case = case();
    let row = case.layout.plan.rows - 1; // a packed output: no limbs
    case.witness.limbs[0][row] = 1;
    case.recount();
    assert!(!case.accepted());
}

#[test]
fn rejects_a_relu_that_keeps_a_negative_or_drops_a_positive() {
    let base = case();
    let linear = base.linear(1);
    let rows: Vec<_> = linear
        .units()
        .enumerate()
        .filter(|(_, (u, _))| matches!(u, LinearUnit::Output { .. }))
        .map(|(i, _)| linear.unit_row + i)
        .collect();
    let negative = *rows.iter().find(|r| base.witness.sign[**r] == Fr::ZERO).unwrap();
    let positive = *rows
        .iter()
        .find(|r| base.witness.sign[**r] == Fr::ONE && base.witness.z[**r] != Fr::ZERO)
        .unwrap();
    for (row, sign) in [(negative, 1), (positive, 0), (negative, 2)] {
        let sign = Fr::from(sign);
        let mut case = case();
        case.witness.sign[row] = sign;
        assert!(!case.accepted(), "row {row}, sign {sign:?}");
    }
    let mut case = case();
    case.witness.z[positive] = Fr::ZERO;
    assert!(!case.accepted());
}

#[test]
fn rejects_a_maximum_that_is_none_of_the_entries_or_not_the_greatest() {
    let base = case();
    let (row, window) = base
        .layout
        .plan
        .placed
        .iter()
        .find_map(|p| match p {
            Placed::Maximum { row, windows, .. } => Some((*row, windows.get(0).unwrap().len())),
            _ => None,
        })
        .unwrap();
    // Greater than every entry: differences stay in range, the product is not 0.
    let mut greater = case();
    let last = row + window - 1;
    greater.witness.z[last] += Fr::ONE;
    greater.witness.limbs[0][last] += 1;
    greater.witness.limbs[greater.layout.plan.max_limbs][last] += 1;
    greater.recount();
    assert!(!greater.accepted());
    // One entry replaced by another value than its copy.
    let mut copied = case();
    copied.witness.x[last] += Fr::ONE;
    assert!(!copied.accepted());
}

#[test]
fn rejects_an_image_that_is_not_a_copy() {
    for output in [1, 4, 5] {
        let mut case = case();
        let linear = case.linear(output);
        let row = linear.image_row + linear.image_rows - 1;
        case.witness.x[row] += Fr::ONE;
        assert!(!case.accepted(), "tensor {output}");
    }
}

#[test]
fn rejects_a_tampered_witness_position() {
    let mut case = case();
    let linear = case.linear(1);
    let at = linear
        .units()
        .position(|(u, _)| matches!(u, LinearUnit::Witness { .. }))
        .unwrap();
    let row = linear.unit_row + at;
    case.witness.z[row] += Fr::ONE;
    assert!(!case.accepted());
}

#[test]
fn every_first_phase_cell_of_the_slice_is_constrained() {
    // One more in each cell that any row type uses; nothing may survive but cells that no claim reads.
    let base = case();
    let rows = base.layout.plan.rows;
    let mut survivors = Vec::new();
    let typed = |role: Role, row: usize| base.layout.fixed.get(&role).is_some_and(|c| c[row] != Fr::ZERO);
    let requantised = |row: usize| {
        (0..base.layout.shape.requantisations.len()).any(|i| typed(Role::Requantise(i as u8), row))
    };
    for row in (0..rows).step_by(3) {
        for column in 0..usize::from(base.layout.shape.limb_columns) {
            let mut case = case();
            case.witness.limbs[column][row] += 1;
            if case.recount() && case.accepted() {
                survivors.push(format!("limb {column} row {row}"));
            }
        }
        let value = typed(Role::Input, row)
            || typed(Role::Pack, row)
            || typed(Role::Witness, row)
            || requantised(row)
            || typed(Role::TournamentStart, row)
            || typed(Role::TournamentStep, row);
        if value {
            let mut case = case();
            case.witness.z[row] += Fr::ONE;
            if case.accepted() {
                survivors.push(format!("z row {row}"));
            }
        }
        if requantised(row) {
            let mut case = case();
            case.witness.sign[row] = Fr::ONE - case.witness.sign[row];
            if case.accepted() {
                survivors.push(format!("sign row {row}"));
            }
        }
    }
    assert!(survivors.is_empty(), "unconstrained: {survivors:?}");
}
