//! Graphs with tables: what they compute, how they are written, and those that nobody may give.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::table::{MAX_ROWS, MAX_TOTAL_ROWS};
use super::*;
use crate::canonical::CanonicalError;
use crate::relations::{MAX_RELATIONS, MAX_TABLE_ROWS, Relation, lower};

fn table(first: i64, column: &[i64]) -> TableRef {
    TableRef::new(Table {
        name: "f".to_owned(),
        first,
        columns: vec![Arc::from(column)],
    })
}

/// The graph's table with a change.
fn change_table(graph: &mut IntGraph, at: usize, change: impl FnOnce(&mut Table)) {
    let mut table = Table::clone(&graph.tables[at]);
    change(&mut table);
    graph.tables[at] = TableRef::new(table);
}

fn info(name: &str, range: IntRange) -> TensorInfo {
    TensorInfo {
        name: name.to_owned(),
        range,
        shape: vec![1, 4],
        exponent: 0,
        whole: false,
        ranks: None,
    }
}

#[test]
fn whole_numbers_are_taken_as_they_are_and_fractions_refused() {
    let info = |range| TensorInfo {
        whole: true,
        ..info("x", range)
    };
    let input = |values: [f64; 4]| FloatInput::new(vec![1, 4], values.to_vec()).unwrap();
    let bytes = quantise_input(&info(IntRange::unsigned(8)), &input([0.0, 255.0, -0.0, 7.0]));
    assert_eq!(bytes.unwrap().values, [0, 255, 0, 7]);
    let said = |range, values| {
        quantise_input(&info(range), &input(values))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        said(IntRange::unsigned(8), [1.0, 2.5, 0.0, 0.0]),
        "the value 2.5 at 1 is no whole number, and the model takes whole numbers there"
    );
    for outside in [2.0, -1.0] {
        let said = said(IntRange::unsigned(1), [1.0, 0.0, outside, 0.0]);
        assert!(
            said.ends_with("at 2 is outside the calibrated range [0, 1]"),
            "{said}"
        );
    }
}

/// `x → T_0 → T_1 → …`, the index of each being what the one before made.
fn chain(tables: Vec<TableRef>, reads: &[u32]) -> IntGraph {
    let mut tensors = vec![info("x", tables[reads[0] as usize].index_range().unwrap())];
    let mut nodes = Vec::new();
    for (at, &read) in reads.iter().enumerate() {
        let range = tables[read as usize].column_range(0).unwrap();
        tensors.push(info(&format!("z{at}"), range));
        nodes.push(Node {
            op: Op::Table(Lookup { table: read }),
            name: format!("n{at}"),
            inputs: vec![TensorId(at as u32)],
            output: TensorId(at as u32 + 1),
        });
    }
    IntGraph {
        inputs: vec![TensorId(0)],
        outputs: vec![TensorId(nodes.len() as u32)],
        nodes,
        tables,
        tensors,
    }
}

/// Two tables of `[-2, 2)` to itself.
fn two() -> Vec<TableRef> {
    vec![table(-2, &[1, 0, -1, -2]), table(-2, &[0, 1, -2, -1])]
}

fn good() -> IntGraph {
    chain(two(), &[0, 1, 0])
}

fn run(graph: &IntGraph, x: [i64; 4]) -> Result<Vec<i64>, EvaluateError> {
    let input = IntTensor {
        shape: vec![1, 4],
        values: x.to_vec(),
    };
    let all = graph.evaluate(&[input])?;
    Ok(all[graph.outputs[0].0 as usize].values.clone())
}

#[test]
fn only_what_is_asked_for_is_in_memory_when_nobody_reads_it_any_more() {
    let (graph, x) = (good(), vec![-2, -1, 0, 1]);
    let input = IntTensor {
        shape: vec![1, 4],
        values: x.clone(),
    };
    let all = graph.evaluate(std::slice::from_ref(&input)).unwrap();
    let ids = |of: &[u32]| of.iter().map(|id| TensorId(*id)).collect::<BTreeSet<_>>();
    // In turn 4 values that a node reads and 8 while it makes 4.
    for (keep, most) in [(&[3][..], 12), (&[1, 3], 16), (&[0, 1, 2, 3], 20)] {
        let some = graph
            .evaluate_for(&ids(keep), std::slice::from_ref(&input))
            .unwrap();
        for (id, (tensor, whole)) in some.iter().zip(&all).enumerate() {
            assert_eq!(tensor.shape, whole.shape);
            let kept = keep.contains(&(id as u32));
            assert_eq!(tensor.values, if kept { &whole.values[..] } else { &[] }, "{id}");
        }
        assert_eq!(graph.evaluation_len(&ids(keep)), most, "{keep:?}");
    }
    let wide = IntTensor {
        shape: vec![1, 4],
        values: vec![7; 4],
    };
    assert!(matches!(
        graph.evaluate_for(&ids(&[3]), &[wide]),
        Err(EvaluateError::InputRange { .. })
    ));
}

#[test]
fn a_table_gives_the_row_of_each_index() {
    assert_eq!(
        run(&chain(two()[..1].to_vec(), &[0]), [-2, -1, 0, 1]),
        Ok(vec![1, 0, -1, -2])
    );
    assert_eq!(run(&good(), [-2, -1, 0, 1]), Ok(vec![0, 1, -2, -1]));
    assert!(matches!(
        run(&good(), [2, 0, 0, 0]),
        Err(EvaluateError::InputRange { value: 2, .. })
    ));
}

#[test]
fn a_node_lowers_to_the_claim_of_its_table() {
    let graph = good();
    let lowered = lower(&graph, 1..2, &[TensorId(1)], &[TensorId(2)]).unwrap();
    let claim = Relation::Table {
        table: graph.tables[1].clone(),
        index: TensorId(1),
        outputs: vec![TensorId(2)],
    };
    assert_eq!(lowered.relations[1..], [claim]);
    let mut absent = graph;
    absent.tables.pop();
    assert!(lower(&absent, 1..2, &[TensorId(1)], &[TensorId(2)]).is_err());
}

#[test]
fn tables_are_written_once_and_read_back() {
    let graph = good();
    let bytes = graph.to_bytes();
    assert_eq!(IntGraph::from_bytes(&bytes, bytes.len()), Ok(graph.clone()));
    // Where there is no table there is no word of one; an empty list is a second spelling.
    let mut none = graph;
    none.tables.clear();
    none.nodes.clear();
    let bytes = none.to_bytes();
    let word = b"\x66tables";
    assert!(!bytes.windows(word.len()).any(|w| w == word));
    let at = bytes.windows(8).position(|w| w == b"\x67outputs").unwrap();
    let mut second = [&bytes[..at], word, b"\x80", &bytes[at..]].concat();
    // {"graph": a map of four entries, …}: now of five.
    let map = second.iter().position(|b| *b == 0xa4).unwrap();
    second[map] = 0xa5;
    assert_eq!(
        IntGraph::from_bytes(&second, second.len()),
        Err(CanonicalError::NotCanonical)
    );
}

#[test]
fn a_hostile_list_of_tables_is_refused_while_it_is_read() {
    let refused = |graph: &IntGraph| {
        let bytes = graph.to_bytes();
        IntGraph::from_bytes(&bytes, bytes.len()).unwrap_err().to_string()
    };
    let mut graph = good();
    change_table(&mut graph, 0, |t| {
        t.columns = vec![Arc::from([0; 4].as_slice()); 3]
    });
    assert!(refused(&graph).contains("too many columns or rows"));
    change_table(&mut graph, 0, |t| {
        t.columns = vec![Arc::from(vec![0; MAX_ROWS + 1])]
    });
    assert!(refused(&graph).contains("too many columns or rows"));
    graph.tables = (0..=MAX_TOTAL_ROWS / MAX_ROWS)
        .map(|_| table(0, &[0; MAX_ROWS]))
        .collect();
    assert!(refused(&graph).contains("too many tables"));
    graph.tables = vec![table(0, &[]); table::MAX_TABLES + 1];
    assert!(refused(&graph).contains("too many tables"));
}

#[test]
fn what_no_graph_with_tables_may_be_is_refused_by_name() {
    assert_eq!(good().validate(), Ok(()));
    let changed = |change: &dyn Fn(&mut IntGraph)| {
        let mut graph = good();
        change(&mut graph);
        graph.validate().unwrap_err().to_string()
    };
    type Change<'a> = &'a dyn Fn(&mut IntGraph);
    let cases: [(Change<'_>, &str); 15] = [
        (
            &|g| g.nodes[0].op = Op::Table(Lookup { table: 2 }),
            "before an earlier one",
        ),
        (
            &|g| g.nodes[0].op = Op::Table(Lookup { table: u32::MAX }),
            "before an earlier one",
        ),
        (
            &|g| g.nodes[2].op = Op::Table(Lookup { table: 2 }),
            "table does not exist",
        ),
        (
            &|g| g.tables.push(table(0, &[1, 0])),
            "table 2 is read by no node",
        ),
        (
            &|g| g.tables[1] = g.tables[0].clone(),
            "table 1 is in the list twice",
        ),
        // Another name is no other table.
        (
            &|g| {
                g.tables[1] = g.tables[0].clone();
                change_table(g, 1, |t| t.name = "g".to_owned());
            },
            "twice",
        ),
        (&|g| g.tables[1] = table(-2, &[0, 1]), "not all values of a range"),
        (
            &|g| g.tables[1] = table(-2, &[0, 1, 2]),
            "not all values of a range",
        ),
        (
            &|g| g.tables[1] = table(0, &[0, 1, -2, -1]),
            "range of its indices",
        ),
        (&|g| g.tables[1] = table(-2, &[0, 1, 0, 1]), "least that holds"),
        (&|g| g.tables[1] = table(-2, &[0, 1, 0, 1 << 48]), "2^48"),
        (
            &|g| g.tables[1] = table(-2, &[0, 1, 0, 1 << 32]),
            "least that holds",
        ),
        (
            &|g| {
                change_table(g, 1, |t| t.columns.push(t.columns[0].clone()));
            },
            "two columns",
        ),
        (&|g| g.tensors[1].range = IntRange::signed(3), "least that holds"),
        (
            &|g| change_table(g, 1, |t| t.name = "f".repeat(2000)),
            "bytes in a name",
        ),
    ];
    for (change, words) in cases {
        let said = changed(change);
        assert!(said.contains(words), "{said}: no {words}");
    }
    let said = changed(&|g| {
        g.tensors[3].shape = vec![1, 5];
    });
    assert!(said.contains("length"), "{said}");
    let said = changed(&|g| g.nodes[1].inputs.push(TensorId(0)));
    assert!(said.contains("exactly one tensor"), "{said}");
    let many = |count: usize| {
        let of = |k: usize| {
            let mut column = vec![0; MAX_ROWS];
            column[k] = 65_535;
            table(0, &column)
        };
        let reads: Vec<u32> = (0..count as u32).collect();
        chain((0..count).map(of).collect(), &reads)
    };
    let most = MAX_TOTAL_ROWS / MAX_ROWS;
    assert_eq!(many(most).validate(), Ok(()));
    let said = many(most + 1).validate().unwrap_err().to_string();
    assert!(said.contains("rows in all tables"), "{said}");
}

#[test]
fn a_slice_has_no_more_relations_and_rows_than_a_verifier_may_be_asked_for() {
    let lower = |graph: &IntGraph| {
        let nodes = 0..graph.nodes.len();
        lower(graph, nodes, &graph.inputs, &graph.outputs).map(|slice| slice.relations.len())
    };
    let of = |k: usize| {
        let mut column = vec![0; MAX_ROWS];
        column[k] = 65_535;
        table(0, &column)
    };
    let most = MAX_TABLE_ROWS / MAX_ROWS;
    let tables: Vec<_> = (0..=most).map(of).collect();
    // Each table is counted once, however often it is read. One relation is the input's range.
    let reads: Vec<u32> = (0..most as u32).chain(0..most as u32).collect();
    assert_eq!(lower(&chain(tables.clone(), &reads)), Ok(2 * most + 1));
    let one_more: Vec<u32> = (0..=most as u32).collect();
    let said = lower(&chain(tables, &one_more)).unwrap_err().to_string();
    assert!(said.contains("more than 524288 rows in its tables"), "{said}");

    assert_eq!(lower(&chain(two(), &[0; MAX_RELATIONS - 1])), Ok(MAX_RELATIONS));
    let said = lower(&chain(two(), &[0; MAX_RELATIONS])).unwrap_err().to_string();
    assert!(said.contains("more than 8192 relations"), "{said}");
}

#[test]
fn windows_are_what_they_were_made_of() {
    let made: [&[u32]; 4] = [&[1, 2], &[], &[3], &[0, 4, 5]];
    let windows: Windows = made.iter().collect();
    assert!(windows.iter().eq(made));
    for (at, window) in made.into_iter().enumerate() {
        assert_eq!(windows.get(at), Some(window));
    }
    assert_eq!(windows.get(made.len()), None);
    assert_eq!(Windows::default().get(0), None);
}
