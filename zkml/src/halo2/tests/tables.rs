//! Explicit tables: honest slices of them, their keys, their sizes, and what is refused before there is a circuit.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::Rng;

use super::super::layout::roles;
use super::*;
use crate::graph::{Table, TableRef};

fn table(first: i64, columns: &[&[i64]]) -> TableRef {
    TableRef::new(Table {
        name: "t".to_owned(),
        first,
        columns: columns.iter().map(|c| Arc::from(*c)).collect(),
    })
}

/// A table whose entries are not in order, the first column's between −30 and 30.
fn scattered(first: i64, rows: i64, columns: usize, seed: i64) -> TableRef {
    let column = |c: i64| -> Vec<i64> { (0..rows).map(|j| (j * 37 + c * 11 + seed) % 61 - 30).collect() };
    let columns: Vec<Vec<i64>> = (0..columns as i64).map(column).collect();
    table(first, &columns.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

fn read(table: &TableRef, index: u32, outputs: &[u32]) -> Relation {
    Relation::Table {
        table: table.clone(),
        index: TensorId(index),
        outputs: outputs.iter().map(|&id| TensorId(id)).collect(),
    }
}

fn tensor(id: u32, len: usize, range: IntRange) -> SliceTensor {
    SliceTensor {
        id: TensorId(id),
        len,
        range,
    }
}

fn column(id: u32, len: usize, table: &Table, column: usize) -> SliceTensor {
    tensor(id, len, table.column_range(column).unwrap())
}

pub(super) const INDICES: [i64; 6] = [-8, 7, 0, -1, 3, -5];

/// Public indices, public outputs: of two tables with the same keys, and of one with two columns.
pub(super) fn flat() -> SliceRelations {
    let [a, b, c] = [(1, 1), (1, 5), (2, 9)].map(|(columns, seed)| scattered(-8, 16, columns, seed));
    let index = IntRange::signed(4);
    SliceRelations {
        inputs: vec![tensor(0, 6, index)],
        outputs: vec![
            column(1, 6, &a, 0),
            column(2, 6, &b, 0),
            column(3, 6, &c, 0),
            column(4, 6, &c, 1),
        ],
        relations: vec![
            Relation::Range {
                tensor: TensorId(0),
                range: index,
            },
            read(&a, 0, &[1]),
            read(&b, 0, &[2]),
            read(&c, 0, &[3, 4]),
        ],
    }
}

/// A table of what another makes, both public.
pub(super) fn chained() -> SliceRelations {
    let a = scattered(-8, 16, 1, 3);
    let b = scattered(-32, 64, 1, 8);
    let index = IntRange::signed(4);
    SliceRelations {
        inputs: vec![tensor(0, 6, index)],
        outputs: vec![column(1, 6, &a, 0), column(2, 6, &b, 0)],
        relations: vec![
            Relation::Range {
                tensor: TensorId(0),
                range: index,
            },
            read(&a, 0, &[1]),
            read(&b, 1, &[2]),
        ],
    }
}

/// Tables between all the other relations: of an input, of a wired tensor, of a requantised one; their outputs go into
/// linear maps, a maximum, a wiring and out of the slice. One table is read twice, under two names.
fn deep() -> SliceRelations {
    let (a, b, c) = (
        scattered(-8, 16, 1, 3),
        scattered(0, 32, 2, 7),
        scattered(-16, 32, 1, 8),
    );
    let renamed = TableRef::new(Table {
        name: "another name".to_owned(),
        ..Table::clone(&a)
    });
    let index = IntRange::signed(4);
    let relu = Requantise {
        shift: 5,
        bits: 6,
        activation: Activation::Relu,
    };
    let linear = Requantise {
        shift: 3,
        bits: 5,
        activation: Activation::Identity,
    };
    let dense = LinearMap::Dense {
        inputs: 8,
        outputs: 6,
        weight: (0..48).map(|i| i * 7 % 9 - 4).collect(),
        bias: vec![100, 50, -20, 0, 200, 30].into(),
    };
    let add = LinearMap::Affine {
        outer: 1,
        channels: 1,
        inner: 6,
        scale: vec![2, -1].into(),
        bias: vec![5].into(),
    };
    let range = |t: &Table, c| t.column_range(c).unwrap();
    let (of_a, of_b) = (range(&a, 0), [range(&b, 0), range(&b, 1)]);
    SliceRelations {
        inputs: vec![tensor(0, 8, index)],
        outputs: vec![column(9, 6, &c, 0), column(7, 3, &b, 0), column(1, 8, &a, 0)],
        relations: vec![
            Relation::Range {
                tensor: TensorId(0),
                range: index,
            },
            read(&a, 0, &[1]),
            Relation::Wired {
                input: TensorId(0),
                source: Some(vec![5, 4, 3, 2, 1, 0].into()),
                output: TensorId(2),
            },
            read(&renamed, 2, &[3]),
            requantised(&[(1, of_a)], dense, relu, 4),
            read(&b, 4, &[5, 6]),
            Relation::Maximum {
                input: TensorId(5),
                range: of_b[0],
                windows: [vec![0, 1], vec![2, 3], vec![4, 5, 0]].iter().collect(),
                output: TensorId(7),
            },
            requantised(&[(3, of_a), (6, of_b[1])], add, linear, 8),
            read(&c, 8, &[9]),
        ],
    }
}

const DEEP: [i64; 8] = [-8, 7, 0, -1, 3, -5, 6, 2];

/// A slice's every tensor as the circuit has it, checked by the definitions of the relations.
fn checked(relations: &SliceRelations, input: &[i64]) {
    let cells = Layout::new(relations, PARAMETERS).unwrap().plan.cells;
    let mut ranges: BTreeMap<_, _> = relations.inputs.iter().map(|t| (t.id, t.range)).collect();
    for relation in &relations.relations {
        ranges.extend(match relation {
            Relation::Requantised {
                requantise, output, ..
            } => vec![(*output, requantise.output_range())],
            Relation::Maximum { range, output, .. } => vec![(*output, *range)],
            Relation::Wired { input, output, .. } => vec![(*output, ranges[input])],
            Relation::Table { table, outputs, .. } => {
                let columns = outputs.iter().enumerate();
                columns
                    .map(|(c, id)| (*id, table.column_range(c).unwrap()))
                    .collect()
            }
            Relation::Range { .. }
            | Relation::Product { .. }
            | Relation::Read { .. }
            | Relation::Rows { .. }
            | Relation::Permutation { .. } => Vec::new(),
        });
    }
    let mut all = relations.clone();
    all.outputs = cells
        .iter()
        .map(|(&id, cells)| SliceTensor {
            id,
            len: cells.len(),
            range: ranges[&id],
        })
        .filter(|t| t.id != TensorId(0))
        .collect();
    let layout = Layout::new(&all, PARAMETERS).unwrap();
    let witness = Witness::new(&layout, &all, &[input]).unwrap();
    let outputs = all.outputs.iter().map(|t| t.id).zip(witness.outputs);
    let values: BTreeMap<_, _> = outputs.chain([(TensorId(0), input.to_vec())]).collect();
    crate::relations::check(&all, &values).unwrap();
    let case = case_of(relations.clone(), &[input]);
    for (tensor, got) in relations.outputs.iter().zip(&case.witness.outputs) {
        assert_eq!(got, &values[&tensor.id]);
    }
    assert!(case.accepted());
    let predicted: Vec<_> = roles(&case.layout.plan, relations).into_iter().collect();
    assert_eq!(predicted, case.layout.shape.roles);
}

#[test]
fn a_slice_of_tables_is_proved_and_verified() {
    let relations = deep();
    let srs = Srs::development(9);
    let pk = keygen(&relations, PARAMETERS, &srs).unwrap();
    let system = pk.pk.get_vk().cs();
    assert_eq!(system.degree(), DEGREE);
    assert_eq!(system.blinding_factors() + 2, super::super::plan::RESERVED_ROWS);
    let rng = rand::rngs::OsRng;
    let made = prove(&pk, &relations, &srs, &statement(), &[&DEEP], rng).unwrap();
    let vk = VerifyingKey::from_bytes(&pk.verifying_key().to_bytes(), pk.shape()).unwrap();
    let verify_as = |outputs: &[Vec<i64>]| {
        let outputs: Vec<&[i64]> = outputs.iter().map(Vec::as_slice).collect();
        let boundary = relations.boundary();
        verify(
            &vk,
            &srs.verifier(),
            boundary,
            &statement(),
            &[&DEEP],
            &outputs,
            &made.proof,
        )
    };
    verify_as(&made.outputs).unwrap();
    for at in 0..made.outputs.len() {
        let mut wrong = made.outputs.clone();
        wrong[at][1] = -wrong[at][1] - 1;
        assert_eq!(verify_as(&wrong), Err(VerifyError::Invalid), "output {at}");
    }
    let predicted = cost(&relations, PARAMETERS).unwrap();
    assert!(
        (0..=96).contains(&(i64::from(predicted.proof_bytes) + 96 - made.proof.len() as i64)),
        "{} bytes, predicted {}",
        made.proof.len(),
        predicted.proof_bytes
    );
    let stored = ProvingKey::from_bytes(&pk.to_bytes(), &relations, PARAMETERS).unwrap();
    assert_eq!(stored.verifying_key().digest(), vk.digest());
    // Pinned, as the slice without tables.
    assert_eq!(
        vk.digest().to_string(),
        include_str!("../testdata/tables.vk").trim()
    );
}

#[test]
fn the_witness_has_the_values_that_the_plain_checkers_ask_for() {
    checked(&deep(), &DEEP);
    checked(&flat(), &INDICES);
    checked(&chained(), &INDICES);
}

#[test]
fn a_key_is_of_its_tables_rows() {
    let srs = Srs::development(9);
    let digest = |change: &dyn Fn(&mut Table)| {
        let mut relations = flat();
        for relation in &mut relations.relations {
            if let Relation::Table { table, outputs, .. } = relation
                && outputs.len() == 2
            {
                let mut changed = Table::clone(table);
                change(&mut changed);
                *table = TableRef::new(changed);
            }
        }
        let (vk, _) = keygen_verifier(&relations, PARAMETERS, &srs).unwrap();
        vk.digest()
    };
    let set = |column: usize, row: usize| {
        move |table: &mut Table| {
            let mut entries = table.columns[column].to_vec();
            entries[row] = if entries[row] == 0 { 1 } else { 0 };
            table.columns[column] = Arc::from(entries);
        }
    };
    let honest = digest(&|_| {});
    for (column, row) in [(0, 0), (0, 15), (1, 3), (1, 15)] {
        assert_ne!(digest(&set(column, row)), honest, "column {column}, row {row}");
    }
    assert_ne!(digest(&|table| table.columns.swap(0, 1)), honest);
    assert_eq!(digest(&|table| table.name.push('!')), honest);
}

#[test]
fn a_tables_rows_stand_once_however_often_it_is_read() {
    let layout = Layout::new(&deep(), PARAMETERS).unwrap();
    assert_eq!(layout.plan.tables.len(), 3);
    let start = layout.plan.table_start(0);
    assert_eq!(layout.plan.table_start(3) - start, 16 + 32 + 32);
}

/// One input, one table of it, one output.
fn of_one_table(table: &TableRef, len: usize) -> SliceRelations {
    let index = table.index_range().unwrap();
    SliceRelations {
        inputs: vec![tensor(0, len, index)],
        outputs: vec![column(1, len, table, 0)],
        relations: vec![
            Relation::Range {
                tensor: TensorId(0),
                range: index,
            },
            read(table, 0, &[1]),
        ],
    }
}

#[test]
fn the_largest_table_is_proved_from_its_first_row_to_its_last() {
    let relations = of_one_table(&scattered(-(1 << 15), 1 << 16, 1, 0), 5);
    let inputs = [-(1 << 15), -1, 0, 1, (1 << 15) - 1];
    let parameters = choose_parameters(&relations).unwrap();
    let srs = Srs::development(parameters.k.into());
    let pk = keygen(&relations, parameters, &srs).unwrap();
    let rng = rand::rngs::OsRng;
    let made = prove(&pk, &relations, &srs, &statement(), &[&inputs], rng).unwrap();
    let vk = pk.verifying_key();
    let said = |outputs: &[i64]| {
        let (boundary, srs) = (relations.boundary(), srs.verifier());
        verify(
            &vk,
            &srs,
            boundary,
            &statement(),
            &[&inputs],
            &[outputs],
            &made.proof,
        )
    };
    let entry = |x: i64| (x + (1 << 15)) * 37 % 61 - 30;
    assert_eq!(made.outputs, [inputs.map(entry)]);
    said(&made.outputs[0]).unwrap();
    for at in [0, 4] {
        let mut wrong = made.outputs[0].clone();
        wrong[at] += 1;
        assert_eq!(said(&wrong), Err(VerifyError::Invalid), "value {at}");
    }
}

#[test]
fn rows_of_tables_and_reads_decide_the_circuits_size() {
    for bits in [4, 8, 12, 16] {
        let relations = of_one_table(&scattered(0, 1 << bits, 1, 0), 10);
        let parameters = choose_parameters(&relations).unwrap();
        // A table of 2^b rows, those of limbs, and what a circuit cannot use.
        let least = if bits == 4 { 6 } else { bits + 1 };
        assert_eq!(parameters.k, least, "2^{bits} rows");
        assert!(is_least(&relations, parameters).unwrap());
        let cost = cost(&relations, parameters).unwrap();
        assert!(cost.rows > 1 << bits, "{}", cost.rows);
    }
    // Reads: an input, a read and a packed output each, one row more for a second output.
    let layout = |columns: usize| {
        let mut relations = of_one_table(&scattered(0, 16, columns, 0), 100);
        let outputs: Vec<u32> = (1..=columns as u32).collect();
        if let Relation::Table { outputs: made, .. } = &mut relations.relations[1] {
            *made = outputs.into_iter().map(TensorId).collect();
        }
        Layout::new(&relations, PARAMETERS).unwrap()
    };
    assert_eq!(layout(1).plan.rows, 300);
    assert_eq!(layout(2).plan.rows, 400);
}

#[test]
fn refuses_tables_and_ranges_that_do_not_fit() {
    let a = scattered(-8, 16, 1, 3);
    let honest = of_one_table(&a, 6);
    let refusal = |change: &dyn Fn(&mut SliceRelations)| {
        let mut relations = honest.clone();
        change(&mut relations);
        Layout::new(&relations, PARAMETERS).unwrap_err()
    };
    // An index whose range is not the table's: one of more values, one of fewer, one moved.
    for range in [IntRange::signed(5), IntRange::signed(3), IntRange::unsigned(4)] {
        let refused = refusal(&|r| {
            r.inputs[0].range = range;
            r.relations.remove(0);
        });
        assert_eq!(refused, LayoutError::Range { tensor: 0 });
    }
    let refused = refusal(&|r| {
        r.relations[0] = Relation::Range {
            tensor: TensorId(0),
            range: IntRange::signed(3),
        }
    });
    assert_eq!(refused, LayoutError::Range { tensor: 0 });
    assert_eq!(
        refusal(&|r| r.outputs[0].range = IntRange::signed(9)),
        LayoutError::Range { tensor: 1 }
    );
    assert_eq!(
        refusal(&|r| r.relations[1] = read(&a, 0, &[1, 2])),
        LayoutError::Unmade { tensor: 0 }
    );
    assert_eq!(
        refusal(&|r| r.relations[1] = read(&a, 9, &[1])),
        LayoutError::Unmade { tensor: 9 }
    );
    let uneven = table(-8, &[&[0; 16], &[0; 8]]);
    assert!(matches!(
        refusal(&|r| r.relations[1] = read(&uneven, 0, &[1, 2])),
        LayoutError::Table(_)
    ));
    let wide = table(-8, &[&[1 << 40; 16]]);
    assert!(matches!(
        refusal(&|r| r.relations[1] = read(&wide, 0, &[1])),
        LayoutError::Entries { .. }
    ));
    // Sixteen tables of 2^16 rows are more than 2^20.
    let relations = (0..16).map(|seed| read(&scattered(0, 1 << 16, 1, seed), 0, &[1 + seed as u32]));
    let range = IntRange::unsigned(16);
    let many = SliceRelations {
        inputs: vec![tensor(0, 1, range)],
        outputs: Vec::new(),
        relations: relations.collect(),
    };
    let refused = choose_parameters(&many).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "table `t`: with it the slice's tables have 1048577 rows, and a circuit of Halo2Kzg has at most 1048569: read fewer \
         tables in one slice, or smaller ones"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Any table and any indices: the plain checker's values are believed, and no other value at one place.
    #[test]
    fn agrees_with_the_plain_checker_on_random_tables(
        bits in 1u8..7, signed: bool, two: bool, wide in 1i64..1 << 31, len in 1usize..9, seed: u64, at: usize, off in 1i64..9,
    ) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let index = if signed { IntRange::signed(bits) } else { IntRange::unsigned(bits) };
        let columns: Vec<Vec<i64>> = (0..1 + usize::from(two))
            .map(|_| (0..1 << bits).map(|_| rng.gen_range(-wide..wide)).collect())
            .collect();
        let table = table(index.lo(), &columns.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assume!(table.check().is_ok());
        let ids: Vec<u32> = (1..=columns.len() as u32).collect();
        let relations = SliceRelations {
            inputs: vec![tensor(0, len, index)],
            outputs: ids.iter().map(|&id| column(id, len, &table, id as usize - 1)).collect(),
            relations: vec![read(&table, 0, &ids)],
        };
        let x: Vec<i64> = (0..len).map(|_| rng.gen_range(index.lo()..index.lo() + (1 << bits))).collect();
        checked(&relations, &x);
        let mut case = case_of(relations, &[&x]);
        let reads: Vec<usize> = case.layout.plan.cells[&TensorId(1)].clone();
        let row = reads[at % len] + at % columns.len();
        case.witness.z[row] += Fr::from(off as u64);
        prop_assert!(!case.accepted());
    }
}
