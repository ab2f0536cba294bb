use std::sync::Mutex;
use std::time::Instant;

use zkinfer_crds::ProofSystem;
use zkml::graph::{Activation, Linear, LinearMap, Lookup, Node, Op, Profile, Requantise, Table, TableRef};
use zkml::systems;

use super::*;
use crate::calibrate::{CalibrationOptions, calibrate, synthetic_samples};
use crate::import::import;
use crate::progress::{Progress, silent};
use crate::quantise::apply;

const ALONE: SlicingOptions = SlicingOptions::at_least(1);

/// A graph of nodes one after the other, none of which fuses with the next.
fn chain(nodes: usize) -> IntGraph {
    chain_of(nodes, [2, 3], 1)
}

/// A [`chain`] on images of this size, each node of which looks this far to both sides.
fn chain_of(nodes: usize, [height, width]: [i64; 2], reach: i64) -> IntGraph {
    let name = |at: usize| match at {
        0 => "x".to_owned(),
        _ if at == nodes => "y".to_owned(),
        _ => format!("h{at}"),
    };
    let ints = crate::tests::ints;
    let window = [
        ints("kernel_shape", &[1, 2 * reach + 1]),
        ints("pads", &[0, reach, 0, reach]),
    ];
    let onnx = (0..nodes).fold(crate::tests::Onnx::new(&[1, 1, height, width]), |onnx, at| {
        onnx.node("MaxPool", &[&name(at)], &name(at + 1), window.to_vec())
    });
    let graph = of(&onnx);
    assert_eq!(graph.nodes.len(), nodes);
    graph
}

fn of(onnx: &crate::tests::Onnx) -> IntGraph {
    let float = import(&onnx.bytes()).unwrap();
    let samples = synthetic_samples(&float, 1, 7);
    let values = float.evaluate(&samples[0]).unwrap();
    let expected = float.outputs.iter().map(|id| values[id.0 as usize].clone());
    let options = CalibrationOptions {
        profile: Some(Profile::P12),
        deciding: Profile::P12,
        error_budget: 1.0,
        output_scale: None,
        compare_top1: false,
    };
    let expected = [expected.collect()];
    let (plan, _) = calibrate(&float, &samples, &expected, &options, &silent).unwrap();
    apply(&float, &plan).unwrap()
}

/// Nodes that read no tensor of interest, for what a cut counts.
fn nodes(ops: Vec<Op>) -> IntGraph {
    let table = Table {
        name: "f".to_owned(),
        first: 0,
        columns: vec![vec![0; 1 << 16].into()],
    };
    let node = |op| Node {
        op,
        name: String::new(),
        inputs: Vec::new(),
        output: TensorId(0),
    };
    IntGraph {
        nodes: ops.into_iter().map(node).collect(),
        inputs: Vec::new(),
        tables: vec![TableRef::new(table)],
        outputs: Vec::new(),
        tensors: Vec::new(),
    }
}

fn dense(weights: usize) -> Op {
    let map = LinearMap::Dense {
        inputs: weights as u32,
        outputs: 1,
        weight: vec![0; weights].into(),
        bias: vec![0].into(),
    };
    let requantise = Requantise {
        bits: 8,
        shift: 0,
        activation: Activation::Identity,
    };
    Op::Linear(Linear { map, requantise })
}

#[test]
fn a_table_counts_once_in_a_slice_and_is_not_cut_from_a_large_map() {
    let rule = systems::of(ProofSystem::SumcheckWhir).cut_rule();
    let most = rule.max_weights as usize;
    let ends = |ops| feasible_ends(&nodes(ops), 0, rule).last();
    let read = || Op::Table(Lookup { table: 0 });
    assert_eq!(ends(vec![dense(most + 1), read(), read()]), Some(3));
    assert_eq!(ends(vec![dense(most + 1), read(), dense(1)]), Some(2));
    let mut many = vec![dense(1)];
    many.extend((0..40).map(|_| read()));
    many.push(dense(1));
    assert_eq!(ends(many), Some(42));
    // Its rows are weights as any.
    assert_eq!(ends(vec![dense(1), read(), dense(most - (1 << 16) - 1)]), Some(3));
    assert_eq!(ends(vec![dense(1), read(), dense(most - (1 << 16))]), Some(2));
}

/// Seconds of a cut, and the work that it told of.
fn cut(graph: &IntGraph, system: ProofSystem) -> (f64, u64) {
    let told: Mutex<Vec<Progress>> = Mutex::new(Vec::new());
    let began = Instant::now();
    let listener = |p: Progress| told.lock().unwrap().push(p);
    let slices = plan_telling(graph, systems::of(system), ALONE, &listener).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let covered: usize = slices.iter().map(|s| s.nodes.len()).sum();
    assert_eq!(covered, graph.nodes.len());
    let told = told.into_inner().unwrap();
    assert!(told.windows(2).all(|two| two[0].done < two[1].done));
    let last = told.last().unwrap();
    assert_eq!((told[0].done, last.done), (0, last.of));
    // Often enough to be told of: once for every node.
    assert_eq!(told.len(), graph.nodes.len() + 1);
    (seconds, last.of)
}

#[test]
fn cutting_takes_ten_times_as_long_for_ten_times_the_nodes() {
    let graphs = [chain(100), chain(1000)];
    for system in [ProofSystem::Halo2Kzg, ProofSystem::SumcheckWhir] {
        let work = graphs.each_ref().map(|graph| {
            let rule = systems::of(system).cut_rule();
            let of = |start| {
                feasible_ends(graph, start, rule)
                    .map(|end| end - start)
                    .sum::<usize>()
            };
            (0..graph.nodes.len()).map(of).sum::<usize>()
        });
        // The ends of the graph have fewer slices than the rest.
        assert!(
            work[1] > 9 * work[0] && work[1] < 20 * work[0],
            "{system}: {work:?}"
        );
    }
    // The proof system with the shorter slices, for the time that the test takes.
    let [few, many] = graphs.each_ref().map(|g| cut(g, ProofSystem::Halo2Kzg));
    // What is quadratic takes a hundred times as long.
    assert!(
        many.0 < 40.0 * few.0,
        "{} s for 100 nodes, {} s for 1000",
        few.0,
        many.0
    );
    assert!(many.1 < 20 * few.1);
}

#[test]
fn a_node_that_no_circuit_holds_is_named_and_no_cut_is_proposed() {
    let graph = chain_of(1, [256, 256], 15);
    let said = plan(&graph, systems::of(ProofSystem::Halo2Kzg), ALONE)
        .unwrap_err()
        .to_string();
    let node = format!("node `{}` alone needs", graph.nodes[0].name);
    for words in [&node, "no cut helps", "--proof-system"] {
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn what_is_too_much_only_together_with_values_that_are_moved_is_named() {
    let window = [crate::tests::ints("kernel_shape", &[1, 3])];
    let onnx = crate::tests::Onnx::new(&[1, 1, 1, 64])
        .integers("to", &[1, 1, 64, 64])
        .node("Expand", &["x", "to"], "moved", vec![])
        .node("MaxPool", &["moved"], "y", window.to_vec());
    let graph = of(&onnx);
    assert_eq!(graph.nodes.len(), 2);
    let system = systems::of(ProofSystem::SumcheckWhir);
    let memory = |nodes: Range<usize>| {
        let slice = plan_slice(&graph, &last_readers(&graph), system, nodes).unwrap();
        slice.cost.memory_bytes
    };
    // A worker that holds either, but not both; what is moved alone is no slice.
    let options = SlicingOptions {
        parallelism: 1,
        memory_per_worker: Some(memory(0..1).max(memory(1..2))),
    };
    assert!(memory(0..2) > options.memory_per_worker.unwrap());
    let refused = plan(&graph, system, options).unwrap_err();
    assert!(
        matches!(&refused, SliceError::Memory { node, .. } if node == "y_MaxPool"),
        "{refused}"
    );
}

#[test]
fn a_small_graph_is_one_slice_and_no_cut_of_it_is_cheaper() {
    for system in [ProofSystem::Halo2Kzg, ProofSystem::SumcheckWhir].map(systems::of) {
        let rule = system.cut_rule();
        for nodes in 2..=5 {
            let graph = chain(nodes);
            let total = |parts| {
                let slices = plan(&graph, system, SlicingOptions::at_least(parts)).unwrap();
                assert_eq!(slices.len(), parts as usize, "{}", system.id());
                let costs = slices.iter().map(|s| s.cost.cpu_us + rule.per_slice_us);
                costs.sum::<u64>()
            };
            let whole = total(1);
            assert!((2..=nodes as u32).all(|parts| whole < total(parts)));
        }
        // A worker too small for the whole is given less of it.
        let graph = chain(5);
        let [whole] = &*plan(&graph, system, ALONE).unwrap() else {
            panic!("{}: it is cut", system.id());
        };
        let smaller = SlicingOptions {
            memory_per_worker: Some(whole.cost.memory_bytes - 1),
            ..ALONE
        };
        if let Ok(slices) = plan(&graph, system, smaller) {
            assert!(slices.len() > 1, "{}", system.id());
        }
    }
}

#[test]
fn every_node_that_the_proof_system_does_not_prove_is_named() {
    let onnx = crate::tests::Onnx::new(&[1, 4])
        .node("Mul", &["x", "x"], "square", vec![])
        .node("Relu", &["square"], "r", vec![])
        .node("Mul", &["r", "x"], "y", vec![]);
    let graph = of(&onnx);
    let halo2 = systems::of(ProofSystem::Halo2Kzg);
    let refused = plan(&graph, halo2, ALONE).unwrap_err();
    let said = refused.to_string();
    let SliceError::Layout { node, others, .. } = refused else {
        panic!("{said}");
    };
    let others: Vec<_> = others.iter().map(|(node, _)| node.as_str()).collect();
    assert_eq!((node.as_str(), others.as_slice()), ("square_Mul", &["y_Mul"][..]));
    assert!(
        said.contains("`square_Mul`") && said.contains("nor can node `y_Mul`"),
        "{said}"
    );
}
