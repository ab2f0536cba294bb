//! What a compiled graph would take otherwise, and what each node claims and takes: for people who choose and look.
//!
//! Invariants: it is a function of graph and options alone, and nothing of a manifest follows from it; it is bounded, whatever the graph
//! is. Costs are those by which graphs are cut ([`forecast`]).

use rayon::prelude::*;
use zkinfer_crds::ProofSystem;
use zkinfer_crds::outlook::{
    Cut, CutOutcome, CutWork, MAX_CLAIMS, MAX_NODES, MAX_OUTLINE_EDGES, MAX_OUTLINE_NODES, NodeOutlook,
    NodeWork, Outline, OutlineNode, Outlook,
};
use zkml::backend::{Cost, System};
use zkml::graph::IntGraph;
use zkml::relations::{self, Relation};
use zkml::systems;

use crate::slice::{SliceError, SlicingOptions, boundary, forecast};

/// The least numbers of slices that are looked at, beside the one that was asked for.
const PARALLELISM: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Graphs with more nodes than these are not cut again: each further cut takes as long as the first.
const MAX_CUT_NODES: usize = 128;
/// The most characters that are told of why there is no cut, and of a name.
const MAX_TEXT: usize = 400;

/// The outlook of a graph that is proved with a proof system and was cut so.
#[must_use]
pub fn of(graph: &IntGraph, system: &dyn System, slicing: SlicingOptions) -> Outlook {
    Outlook {
        cuts: if graph.nodes.len() > MAX_CUT_NODES {
            Vec::new()
        } else {
            cuts(graph, slicing)
        },
        nodes: if graph.nodes.len() > MAX_NODES {
            Vec::new()
        } else {
            let nodes = 0..graph.nodes.len();
            nodes.into_par_iter().map(|at| node(graph, system, at)).collect()
        },
    }
}

fn cuts(graph: &IntGraph, slicing: SlicingOptions) -> Vec<Cut> {
    let mut parallelism = PARALLELISM.to_vec();
    parallelism.push(slicing.parallelism.max(1));
    parallelism.sort_unstable();
    parallelism.dedup();
    let of = |&word: &ProofSystem| {
        let found = forecast(graph, systems::of(word), &parallelism, slicing.memory_per_worker);
        found.into_iter().map(move |(parallelism, cut)| Cut {
            proof_system: word,
            parallelism,
            outcome: outcome(cut),
        })
    };
    ProofSystem::ALL.iter().flat_map(of).collect()
}

fn outcome(cut: Result<Vec<Cost>, SliceError>) -> CutOutcome {
    match cut {
        Ok(slices) => CutOutcome::Cut(CutWork {
            slices: slices.len() as u32,
            predicted_micros: slices.iter().map(|cost| cost.cpu_us).sum(),
            longest_micros: slices.iter().map(|cost| cost.cpu_us).max().unwrap_or_default(),
            predicted_memory_bytes: slices
                .iter()
                .map(|cost| cost.memory_bytes)
                .max()
                .unwrap_or_default(),
            predicted_proof_bytes: slices.iter().map(|cost| cost.proof_bytes).sum(),
        }),
        Err(why) => CutOutcome::Refused(why.to_string().chars().take(MAX_TEXT).collect()),
    }
}

/// A node by itself: as a slice of its own it claims the ranges of what it reads, too.
fn node(graph: &IntGraph, system: &dyn System, at: usize) -> NodeOutlook {
    let nodes = at..at + 1;
    let (inputs, outputs) = boundary(graph, &nodes);
    let Ok(relations) = relations::lower(graph, nodes, &inputs, &outputs) else {
        return NodeOutlook {
            claims: Vec::new(),
            alone: None,
        };
    };
    let own = relations.relations.iter();
    let own = own.filter(|relation| !matches!(relation, Relation::Range { .. }));
    let mut claims: Vec<String> = own.map(|relation| relation.name().to_owned()).collect();
    claims.dedup();
    claims.truncate(MAX_CLAIMS);
    let proved = graph.nodes.get(at).is_some_and(|node| !node.op.moves());
    let chosen = proved.then(|| system.choose(&relations).ok()).flatten();
    NodeOutlook {
        claims,
        alone: chosen.map(|(_, cost)| NodeWork {
            predicted_micros: cost.cpu_us,
            predicted_memory_bytes: cost.memory_bytes,
            predicted_proof_bytes: cost.proof_bytes,
        }),
    }
}

/// The outline of a file; none of one that is no ONNX model, or too large to be looked at.
#[must_use]
pub fn outline(onnx: &[u8]) -> Option<Outline> {
    let read = zkml_reference::Outline::read(onnx, MAX_OUTLINE_NODES, MAX_OUTLINE_EDGES);
    let found = read.ok().flatten()?;
    let cut = |text: &str| text.chars().take(MAX_TEXT).collect();
    let node = |(name, op): &(String, String)| OutlineNode {
        name: cut(name),
        op: cut(op),
    };
    Some(Outline {
        nodes: found.nodes.iter().map(node).collect(),
        edges: found
            .edges
            .iter()
            .map(|&(from, to)| (from as u32, to as u32))
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{CompileOptions, plan};

    const DIGITS: &[u8] = include_bytes!("../../../tests/models/digits.onnx");

    fn work(cut: &Cut) -> CutWork {
        match &cut.outcome {
            CutOutcome::Cut(work) => *work,
            CutOutcome::Refused(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_cut_is_what_compiling_with_that_choice_finds() {
        let found = plan(DIGITS, None, &CompileOptions::new(ProofSystem::SumcheckWhir)).unwrap();
        let outlook = of(
            &found.graph,
            systems::of(ProofSystem::SumcheckWhir),
            SlicingOptions::at_least(3),
        );
        assert_eq!(outlook.fault(), None);
        for cut in &outlook.cuts {
            let options = CompileOptions {
                slicing: SlicingOptions::at_least(cut.parallelism),
                ..CompileOptions::new(cut.proof_system)
            };
            let slices = crate::slice::plan(&found.graph, systems::of(cut.proof_system), options.slicing);
            let costs = slices.map(|slices| slices.iter().map(|slice| slice.cost).collect());
            assert_eq!(
                cut.outcome,
                outcome(costs),
                "{} {}",
                cut.proof_system,
                cut.parallelism
            );
        }
        let of_system = |word| outlook.cuts.iter().filter(move |cut| cut.proof_system == word);
        for &word in ProofSystem::ALL {
            let asked: Vec<u32> = of_system(word).map(|cut| cut.parallelism).collect();
            assert_eq!(asked[..4], [1, 2, 3, 4], "{word}");
            // The last is the first that there are not enough nodes for.
            let short = |cut: &&Cut| work(cut).slices < cut.parallelism;
            assert_eq!(of_system(word).filter(short).count(), 1, "{word}");
        }
        let longest: Vec<u64> = of_system(ProofSystem::SumcheckWhir)
            .map(|cut| work(cut).longest_micros)
            .collect();
        assert!(longest[0] > longest[2], "{longest:?}");
    }

    #[test]
    fn each_node_has_its_claims_and_what_it_takes_alone() {
        let found = plan(DIGITS, None, &CompileOptions::new(ProofSystem::SumcheckWhir)).unwrap();
        let nodes = of(
            &found.graph,
            systems::of(ProofSystem::SumcheckWhir),
            SlicingOptions::at_least(1),
        )
        .nodes;
        assert_eq!(nodes.len(), found.graph.nodes.len());
        for (node, told) in found.graph.nodes.iter().zip(&nodes) {
            assert!(
                !told.claims.is_empty() && !told.claims.contains(&"Range".to_owned()),
                "{}",
                node.name
            );
            assert_eq!(told.alone.is_some(), !node.op.moves(), "{}", node.name);
            assert!(
                told.alone
                    .is_none_or(|work| work.predicted_proof_bytes > 0 && work.predicted_micros > 0)
            );
        }
    }

    #[test]
    fn what_is_no_model_has_no_outline() {
        assert_eq!(outline(b"a text"), None);
        let outline = outline(DIGITS).unwrap();
        assert!(outline.fault().is_none() && outline.nodes.iter().any(|node| node.op == "Conv"));
    }
}
