//! What a compiler says beside its report to those who choose and look: what other choices would come to, what each node claims
//! and takes, and how a model looks that it has refused.
//!
//! Invariants: nothing is proved, verified, scored or scheduled by it; every list is bounded, and a report with longer ones is
//! refused.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::ProofSystem;

/// The most nodes that a report tells of one by one.
pub const MAX_NODES: usize = 512;
/// The most cuts of an outlook.
pub const MAX_CUTS: usize = 32;
/// The most claims that are told of a node.
pub const MAX_CLAIMS: usize = 8;
/// The most nodes of an outline; a model with more has none.
pub const MAX_OUTLINE_NODES: usize = 2_000;
/// The most edges of one.
pub const MAX_OUTLINE_EDGES: usize = 20_000;

/// A compiled model, as it would be otherwise, and node by node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outlook {
    /// The same integers, cut otherwise. Empty of a graph that is too long to be cut again and again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cuts: Vec<Cut>,
    /// Node by node, in the graph's order; empty where there are more than [`MAX_NODES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeOutlook>,
}

impl Outlook {
    /// What is wrong with it, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let claims = self.nodes.iter().map(|node| node.claims.len()).max();
        let long = self.cuts.len() > MAX_CUTS || self.nodes.len() > MAX_NODES;
        (long || claims.is_some_and(|claims| claims > MAX_CLAIMS)).then(|| {
            format!("outlook: at most {MAX_CUTS} cuts, and {MAX_NODES} nodes of at most {MAX_CLAIMS} claims")
        })
    }
}

/// What one choice of proof system and least number of slices comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cut {
    /// What the slices would be proved with.
    pub proof_system: ProofSystem,
    /// The least number of slices that is asked for.
    pub parallelism: u32,
    /// What that comes to.
    pub outcome: CutOutcome,
}

/// What a choice comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CutOutcome {
    /// Slices.
    Cut(CutWork),
    /// There is no such cut: why.
    Refused(String),
}

/// What proving all slices of a cut is predicted to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CutWork {
    /// The number of slices.
    pub slices: u32,
    /// CPU microseconds of all slices, on one core of the reference machine.
    pub predicted_micros: u64,
    /// Of the longest slice: what is left where each slice has a core of its own.
    pub longest_micros: u64,
    /// Memory of the slice that takes most.
    pub predicted_memory_bytes: u64,
    /// Bytes of all proofs.
    pub predicted_proof_bytes: u64,
}

/// A node of the integer graph by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeOutlook {
    /// The relations that are claimed of it, by name, beside the ranges of what it reads.
    pub claims: Vec<String>,
    /// What proving it takes as a slice of its own. Absent where it is none: it only moves values, or has no place alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<NodeWork>,
}

/// What proving one node by itself is predicted to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeWork {
    /// CPU microseconds on one core of the reference machine.
    pub predicted_micros: u64,
    /// Memory.
    pub predicted_memory_bytes: u64,
    /// Bytes of the proof.
    pub predicted_proof_bytes: u64,
}

/// The nodes of an ONNX file, and who reads whom: what is drawn of a model that cannot be proved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outline {
    /// The nodes, each after those that it reads.
    pub nodes: Vec<OutlineNode>,
    /// Who is read, and by whom, as places in the list of nodes; each pair once.
    pub edges: Vec<(u32, u32)>,
}

impl Outline {
    /// What is wrong with it, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let (nodes, edges) = (self.nodes.len(), self.edges.len());
        let goes_down = |(from, to): &(u32, u32)| from < to && (*to as usize) < nodes;
        let good =
            nodes <= MAX_OUTLINE_NODES && edges <= MAX_OUTLINE_EDGES && self.edges.iter().all(goes_down);
        (!good).then(|| {
            format!(
                "outline: at most {MAX_OUTLINE_NODES} nodes and {MAX_OUTLINE_EDGES} edges, each from one of them to a later one"
            )
        })
    }
}

/// A node of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutlineNode {
    /// Its name, or its first output's where it has none.
    pub name: String,
    /// Its operator.
    pub op: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(edges: &[(u32, u32)]) -> Outline {
        let node = |name: &str| OutlineNode {
            name: name.to_owned(),
            op: "Relu".to_owned(),
        };
        Outline {
            nodes: vec![node("a"), node("b")],
            edges: edges.to_vec(),
        }
    }

    #[test]
    fn edges_go_from_a_node_that_is_there_to_a_later_one() {
        assert_eq!(outline(&[(0, 1)]).fault(), None);
        for bad in [(0, 2), (1, 0), (1, 1), (u32::MAX, 1), (0, u32::MAX)] {
            assert!(outline(&[bad]).fault().is_some(), "{bad:?}");
        }
        assert!(outline(&vec![(0, 1); MAX_OUTLINE_EDGES + 1]).fault().is_some());
    }

    #[test]
    fn lists_that_are_longer_than_their_bounds_are_faults() {
        let node = |claims| NodeOutlook {
            claims: vec!["Wired".to_owned(); claims],
            alone: None,
        };
        let of = |nodes: Vec<NodeOutlook>| Outlook {
            cuts: Vec::new(),
            nodes,
        };
        assert_eq!(of(vec![node(MAX_CLAIMS); MAX_NODES]).fault(), None);
        assert!(of(vec![node(MAX_CLAIMS + 1)]).fault().is_some());
        assert!(of(vec![node(0); MAX_NODES + 1]).fault().is_some());
        let cut = Cut {
            proof_system: ProofSystem::SumcheckWhir,
            parallelism: 1,
            outcome: CutOutcome::Refused("there is none".to_owned()),
        };
        let cuts = Outlook {
            cuts: vec![cut; MAX_CUTS + 1],
            nodes: Vec::new(),
        };
        assert!(cuts.fault().is_some());
    }
}
