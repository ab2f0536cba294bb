//! The nodes of a file and who reads whom, to be drawn: of files too that nobody evaluates.
//!
//! Invariants: it is the file's main graph as it stands there, and nothing is computed by it; it is bounded, or there is none. A node
//! reads only what nodes before it have made, as ONNX demands; whatever else it names is left out.

use std::collections::{BTreeSet, HashMap};

use crate::{ReadError, link::name_of, proto};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// By node, in the file's order: its name, or its first output's where it has none, and its operator.
    pub nodes: Vec<(String, String)>,
    /// Who is read, and by whom, as places in the list of nodes; each pair once.
    pub edges: Vec<(usize, usize)>,
}

impl Outline {
    /// The outline of a file with at most so many nodes and edges; none where there are more.
    ///
    /// # Errors
    /// [`ReadError::Malformed`]: bytes that are no ONNX model.
    pub fn read(onnx: &[u8], most_nodes: usize, most_edges: usize) -> Result<Option<Self>, ReadError> {
        let model = proto::model(onnx).map_err(ReadError::Malformed)?;
        let Some(graph) = model.graph else {
            return Ok(None);
        };
        if graph.node.len() > most_nodes {
            return Ok(None);
        }
        let (mut nodes, mut edges) = (Vec::with_capacity(graph.node.len()), Vec::new());
        let mut made: HashMap<&str, usize> = HashMap::new();
        for (at, node) in graph.node.iter().enumerate() {
            nodes.push((name_of(node).to_owned(), node.op_type.clone()));
            let from: BTreeSet<usize> = node
                .input
                .iter()
                .filter_map(|name| made.get(name.as_str()))
                .copied()
                .collect();
            if edges.len() + from.len() > most_edges {
                return Ok(None);
            }
            edges.extend(from.into_iter().map(|from| (from, at)));
            let outputs = node.output.iter().filter(|name| !name.is_empty());
            made.extend(outputs.map(|name| (name.as_str(), at)));
        }
        Ok(Some(Self { nodes, edges }))
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::proto::{GraphProto, ModelProto, NodeProto};

    fn node(name: &str, op: &str, reads: &[&str], makes: &[&str]) -> NodeProto {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        NodeProto {
            input: texts(reads),
            output: texts(makes),
            name: name.to_owned(),
            op_type: op.to_owned(),
            ..NodeProto::default()
        }
    }

    fn file(node: Vec<NodeProto>) -> Vec<u8> {
        let graph = GraphProto {
            node,
            ..GraphProto::default()
        };
        let model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }

    #[test]
    fn nodes_of_operators_that_nobody_has_are_drawn_with_who_reads_whom() {
        let onnx = file(vec![
            node("a", "Nonsense", &["x"], &["y", ""]),
            node("", "Relu", &["y", "y", "later", ""], &["z"]),
            node("b", "Add", &["y", "z"], &["later"]),
        ]);
        let outline = Outline::read(&onnx, 3, 3).unwrap().unwrap();
        let named: Vec<_> = outline
            .nodes
            .iter()
            .map(|(n, o)| (n.as_str(), o.as_str()))
            .collect();
        assert_eq!(named, [("a", "Nonsense"), ("z", "Relu"), ("b", "Add")]);
        assert_eq!(outline.edges, [(0, 1), (0, 2), (1, 2)]);
        assert_eq!(Outline::read(&onnx, 2, 3), Ok(None), "a node more");
        assert_eq!(Outline::read(&onnx, 3, 2), Ok(None), "an edge more");
    }

    #[test]
    fn a_file_without_a_graph_has_none_and_what_is_no_model_is_refused() {
        assert_eq!(
            Outline::read(&ModelProto::default().encode_to_vec(), 9, 9),
            Ok(None)
        );
        assert!(matches!(
            Outline::read(b"a text", 9, 9),
            Err(ReadError::Malformed(_))
        ));
    }
}
