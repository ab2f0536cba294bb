//! Lies about reads of explicit tables: nothing but the row of the relation's own table, at the index, is believed. As in
//! [`super::gates`], each lie is refused by one gate or copy alone.

use halo2_proofs::halo2curves::ff::Field;

use super::super::circuit::configure;
use super::super::instance::{power_of_two, signed};
use super::super::layout::CopyColumn;
use super::super::shape::Role;
use super::super::synthesize::Second;
use super::gates::{SecondLie, as_if_honest, log_up, without};
use super::tables::{INDICES, chained, flat};
use super::*;

const READ: &str = "a read's inverse is that of the row it looks up";
const SUM: &str = "the running sum takes in this row";

fn flat_case() -> Case {
    case_of(flat(), &[&INDICES])
}

/// Which of the six values is lied about: index 0, row 8 of each table.
const AT: usize = 2;
const ROW: usize = 8;

/// The row in which a tensor's value stands.
fn cell(case: &Case, id: u32) -> usize {
    case.layout.plan.cells[&TensorId(id)][AT]
}

/// Gives a public output another value, in its read, where it is packed, and in the instance.
fn answer(case: &mut Case, id: u32, value: i64) {
    let output = id as usize - 1;
    let (range, old) = (
        case.relations.outputs[output].range,
        case.witness.outputs[output][AT],
    );
    let by = signed(i128::from(value) - i128::from(old));
    let packed = case.layout.plan.placed.iter().find_map(|p| match p {
        Placed::Output { index, row } if *index == output => Some(*row + AT),
        _ => None,
    });
    for row in [cell(case, id), packed.unwrap()] {
        case.witness.z[row] += by;
    }
    // The statement's two elements, the input's one, one for each output.
    case.instance[3 + output] += by * power_of_two(u32::from(range.bits) * AT as u32);
}

/// The index of one read alone, no longer a copy of the public one.
fn ask(case: &mut Case, id: u32, row: Fr) {
    let at = cell(case, id);
    let mut layout = Layout::clone(&case.layout);
    layout.copies.retain(|(_, to)| *to != (CopyColumn::X, at));
    case.layout = Arc::new(layout);
    case.witness.x[at] = row;
}

fn entry(case: &Case, number: usize, column: usize, row: usize) -> i64 {
    case.layout.plan.tables[number].table.columns[column][row]
}

type Lie = fn(&mut Case);

/// What a table's read may never be. Everything else about the lie is consistent.
const LIES: &[(&str, Lie)] = &[
    ("the neighbour's entry", |case| {
        let value = entry(case, 0, 0, ROW + 1);
        answer(case, 1, value);
    }),
    ("another table's entry for the same index", |case| {
        let value = entry(case, 1, 0, ROW);
        answer(case, 1, value);
    }),
    ("a row before the first", |case| ask(case, 1, -Fr::ONE)),
    ("a row after the last", |case| ask(case, 1, Fr::from(16))),
    ("a row of the limbs' table", |case| {
        // It has (row, width, 0), and 0 stands for the range's least value.
        let least = case.relations.outputs[0].range.lo();
        answer(case, 1, least);
    }),
    ("the row of an idle limb", |case| {
        ask(case, 1, Fr::ZERO);
        let least = case.relations.outputs[0].range.lo();
        answer(case, 1, least);
    }),
    ("the second output of the neighbour", |case| {
        let value = entry(case, 2, 1, ROW + 1);
        answer(case, 4, value);
    }),
    ("the first output of the neighbour", |case| {
        let value = entry(case, 2, 0, ROW + 1);
        answer(case, 3, value);
    }),
    ("both outputs exchanged", |case| {
        let [first, second] = [0, 1].map(|c| entry(case, 2, c, ROW));
        answer(case, 3, second);
        answer(case, 4, first);
    }),
    ("one more than the entry", |case| {
        let value = entry(case, 0, 0, ROW) + 1;
        answer(case, 1, value);
    }),
];

#[test]
fn nothing_but_the_tables_row_at_the_index_is_read() {
    for (what, lie) in LIES {
        // Whatever follows is computed honestly: the sum does not end at 0.
        let mut case = flat_case();
        let honest = case.witness.clone();
        lie(&mut case);
        assert!(!case.recount(), "{what} is a row");
        assert!(!case.accepted(), "{what}");
        // The running sum as if the read were the true one: then only the inverse's own gate, or the sum's, refuses.
        case.lie = as_if_honest(&honest, log_up);
        assert!(!case.accepted(), "{what}");
        assert!(
            without(READ, || case.accepted()),
            "{what}: another gate refuses it"
        );
        case.lie = as_if_honest(&honest, |second: &mut Second, honest: Second| {
            (second.inverses, second.running) = (honest.inverses, honest.running);
        });
        assert!(!case.accepted(), "{what}");
        assert!(
            without(SUM, || case.accepted()),
            "{what}: another gate refuses it"
        );
    }
}

#[test]
fn a_row_of_another_table_is_refused_by_its_tag_alone() {
    // Moves the multiplicity of one read to the row that the liar means, which the tag of that row's table would allow.
    let told = |lie: Lie, row: usize, tag: u64| {
        let mut case = flat_case();
        let honest = case.layout.plan.table_start(0) + ROW;
        lie(&mut case);
        case.witness.multiplicity[honest] -= 1;
        case.witness.multiplicity[row] += 1;
        let refused = !case.accepted();
        let mut layout = Layout::clone(&case.layout);
        let at = cell(&case, 1);
        layout.fixed.get_mut(&Role::ReadTag).unwrap()[at] = Fr::from(tag);
        case.layout = Arc::new(layout);
        refused && case.accepted()
    };
    let plan = &flat_case().layout.plan;
    assert_eq!(plan.widths.iter().copied().collect::<Vec<_>>(), [4]);
    let other = plan.table_start(1) + ROW;
    assert!(told(LIES[1].1, other, 18), "the other explicit table's row");
    assert!(told(LIES[4].1, 1 + ROW, 4), "the limbs' row");
    assert!(told(LIES[5].1, 0, 0), "the idle limb's row");
}

#[test]
fn an_index_is_the_one_of_its_tensor_by_its_copy_alone() {
    let mut case = flat_case();
    let at = cell(&case, 1);
    case.witness.x[at] += Fr::ONE;
    let value = entry(&case, 0, 0, ROW + 1);
    answer(&mut case, 1, value);
    assert!(case.recount(), "it is a row of the table");
    assert!(!case.accepted());
    let next = Fr::from(ROW as u64 + 1);
    ask(&mut case, 1, next);
    assert!(case.accepted(), "something else refuses another index");
}

fn chained_case() -> Case {
    case_of(chained(), &[&INDICES])
}

/// Has the second table of a chain read another row, with the entry there.
fn follow(case: &mut Case, row: i64) {
    let at = cell(case, 2);
    case.witness.x[at] = signed(i128::from(row));
    let value = entry(case, 1, 0, row as usize);
    answer(case, 2, value);
}

#[test]
fn a_table_of_a_tables_output_is_read_where_that_table_says() {
    let honest = chained_case();
    assert!(honest.accepted());
    let first = honest.layout.plan.tables[1].table.first;
    let row = honest.witness.outputs[0][AT] - first;
    // Another output of the first table, and what follows from it.
    let mut case = chained_case();
    let neighbour = entry(&case, 0, 0, ROW + 1);
    answer(&mut case, 1, neighbour);
    follow(&mut case, neighbour - first);
    assert!(!case.recount(), "it is a row");
    assert!(!case.accepted());
    case.lie = as_if_honest(&honest.witness, log_up);
    assert!(!case.accepted());
    // Another row of the second table: a copy alone refuses it.
    let mut case = chained_case();
    follow(&mut case, row + 1);
    assert!(case.recount(), "it is a row of the table");
    assert!(!case.accepted());
    let at = cell(&case, 2);
    let mut layout = Layout::clone(&case.layout);
    layout.copies.retain(|(_, to)| *to != (CopyColumn::X, at));
    case.layout = Arc::new(layout);
    assert!(case.accepted(), "something else refuses another index");
}

#[test]
fn an_index_outside_the_table_is_none_of_its_tensors_range() {
    // The tensor's own cell goes along: its limbs refuse it.
    for (by, index) in [(-9, -9), (8, 8)] {
        let mut case = flat_case();
        let moved = signed(by);
        let index_row = case.layout.plan.cells[&TensorId(0)][AT];
        case.witness.z[index_row] += moved;
        for id in 1..=3 {
            let at = cell(&case, id);
            case.witness.x[at] += moved;
        }
        case.instance[2] += moved * power_of_two(4 * AT as u32);
        assert!(!case.accepted(), "index {index}");
    }
}

#[test]
fn every_cell_of_a_read_and_every_used_multiplicity_is_constrained() {
    let base = flat_case();
    let reads = &base.layout.fixed[&Role::Read];
    let plan = &base.layout.plan;
    for row in (0..base.layout.on_rows).filter(|&row| reads[row] != Fr::ZERO) {
        for change in [
            |w: &mut Witness, row: usize| w.x[row] += Fr::ONE,
            |w: &mut Witness, row: usize| w.z[row] += Fr::ONE,
        ] {
            let mut case = flat_case();
            change(&mut case.witness, row);
            assert!(!case.accepted(), "row {row}");
        }
    }
    for row in plan.table_start(0)..plan.table_start(3) {
        let mut case = flat_case();
        case.witness.multiplicity[row] += 1;
        assert!(!case.accepted(), "multiplicity of row {row}");
    }
}

#[test]
fn a_row_that_reads_nothing_adds_nothing() {
    let base = flat_case();
    let reads = &base.layout.fixed[&Role::Read];
    let idle = (20..base.layout.on_rows).filter(|&row| reads[row] == Fr::ZERO);
    let [one, other]: [usize; 2] = idle.take(2).collect::<Vec<_>>().try_into().unwrap();
    // Taken in by the sum in one row, taken away in another: it still ends at 0.
    let mut case = flat_case();
    case.lie = Some(SecondLie::new(move |_, _, second| {
        second.reads[one] += Fr::ONE;
        second.reads[other] -= Fr::ONE;
        for row in one + 1..=other {
            second.running[row] += Fr::ONE;
        }
    }));
    assert!(!case.accepted());
    assert!(without(READ, || case.accepted()));
}

#[test]
fn inverses_of_reads_are_committed_after_the_challenges() {
    let mut system = halo2_proofs::plonk::ConstraintSystem::<Fr>::default();
    let columns = configure::<Lying>(&mut system, &flat_case().layout.shape);
    assert_eq!(columns.reads.unwrap().column_type().phase(), 1);
    let without = configure::<Lying>(
        &mut halo2_proofs::plonk::ConstraintSystem::<Fr>::default(),
        &case().layout.shape,
    );
    assert!(
        without.reads.is_none(),
        "a slice without tables has no column more"
    );
}
