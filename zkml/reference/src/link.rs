//! Nodes, their names made numbers: those of the model's graph, and of the graphs that stand in its nodes.
//!
//! Invariant: every node reads only constants, inputs and what earlier nodes made, of its own graph or of those around it; every
//! value is made once, and one of a graph within a node is known there alone; every operator is one of the reference's, with
//! attributes and numbers of inputs that it has. What is not evaluated in a branch is an error only where the branch is taken.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use crate::{
    ElementType, Node, ReadError, Step, Tensor, UnsupportedNode, attribute, constant,
    limits::{MAX_LIVE, MAX_NODES, MAX_RANK},
    ops::{self, Body, Graphs, Operation, Stated},
    proto::{DimensionProto, GraphProto, NodeProto, TensorProto, ValueInfoProto},
};

/// Most graphs within each other.
const MOST_DEPTH: usize = 8;

/// The versions of the domains, where the file names one.
#[derive(Clone, Copy)]
pub(crate) struct Opsets {
    pub standard: Option<i64>,
    pub of_models: Option<i64>,
    pub of_microsoft: Option<i64>,
}

pub(crate) fn malformed(reason: impl Into<String>) -> ReadError {
    ReadError::Malformed(reason.into())
}

pub(crate) fn standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

pub(crate) fn name_of(node: &NodeProto) -> &str {
    if node.name.is_empty() {
        node.output.first().map_or("", String::as_str)
    } else {
        &node.name
    }
}

fn described(node: &NodeProto) -> Node {
    Node {
        name: name_of(node).to_owned(),
        op: node.op_type.clone(),
        inputs: node.input.clone(),
        outputs: node.output.clone(),
    }
}

/// What is known where a node stands.
pub(crate) struct Scope {
    opsets: Opsets,
    /// The numbers of values by name.
    pub names: HashMap<String, usize>,
    /// These names, in the order in which they became known.
    made: Vec<String>,
    /// How many values there are, those of graphs that are done included.
    pub values: usize,
    /// Those that depend on an input of the model.
    pub computed: HashSet<usize>,
    nodes: usize,
    constants: usize,
    depth: usize,
}

impl Scope {
    pub(crate) fn new(opsets: Opsets) -> Self {
        Self {
            opsets,
            names: HashMap::new(),
            made: Vec::new(),
            values: 0,
            computed: HashSet::new(),
            nodes: 0,
            constants: 0,
            depth: 0,
        }
    }

    pub(crate) fn make(&mut self, name: &str) -> Result<usize, ReadError> {
        if name.is_empty() {
            return Err(malformed("an input or a constant has no name"));
        }
        let value = self.values;
        match self.names.insert(name.to_owned(), value) {
            None => {
                self.made.push(name.to_owned());
                self.values += 1;
                Ok(value)
            }
            Some(_) => Err(malformed(format!("the value `{name}` is made twice"))),
        }
    }

    pub(crate) fn constants(&mut self, all: &[TensorProto]) -> Result<Vec<(usize, Arc<Tensor>)>, ReadError> {
        let mut found = Vec::new();
        for proto in all {
            let tensor = constant::read(proto)
                .map_err(|reason| ReadError::Unsupported(format!("constant `{}`: {reason}", proto.name)))?;
            self.constants += tensor.len();
            if self.constants > MAX_LIVE {
                let reason = format!("its constants have more than {MAX_LIVE} values");
                return Err(ReadError::Unsupported(reason));
            }
            found.push((self.make(&proto.name)?, tensor));
        }
        Ok(found)
    }

    /// The graph's nodes, whose first own value is given, behind its constants and inputs.
    pub(crate) fn body(
        &mut self,
        graph: &GraphProto,
        constants: Vec<(usize, Arc<Tensor>)>,
        inputs: Vec<usize>,
        first: usize,
    ) -> Result<Body, ReadError> {
        self.nodes += graph.node.len();
        if self.nodes > MAX_NODES {
            let reason = format!("{} nodes; at most {MAX_NODES} are evaluated", self.nodes);
            return Err(ReadError::Unsupported(reason));
        }
        let mut operations = self.operators(graph)?;
        for (node, operation) in graph.node.iter().zip(&mut operations) {
            self.link(node, operation)?;
        }
        let outputs = graph.output.iter().map(|info| {
            let value = self.names.get(&info.name).copied();
            value.ok_or_else(|| malformed(format!("nothing makes the output `{}`", info.name)))
        });
        let outputs: Vec<usize> = outputs.collect::<Result<_, _>>()?;
        let own = first..self.values;
        leave_out_unread(&mut operations, &own, &outputs);
        let dying = dying(&operations, &own, &outputs);
        Ok(Body {
            nodes: graph.node.iter().map(described).collect(),
            operations,
            constants,
            inputs,
            outputs,
            stated: graph.output.iter().map(stated).collect(),
            own,
            dying,
        })
    }

    fn link(&mut self, node: &NodeProto, operation: &mut Operation) -> Result<(), ReadError> {
        for (i, name) in node.input.iter().enumerate() {
            let value = match self.names.get(name) {
                _ if name.is_empty() => None,
                Some(&value) => Some(value),
                None => {
                    let reason = format!("reads `{name}`, which nothing before it makes");
                    return Err(malformed(format!(
                        "node `{}` {reason} (input {i})",
                        name_of(node)
                    )));
                }
            };
            operation.inputs.push(value);
        }
        if operation.operator.has_graphs() {
            let before = self.values;
            let graphs = if operation.operator.name == "If" {
                Graphs::Branches {
                    then: self.graph(node, "then_branch", Fits::Branch)?,
                    otherwise: self.graph(node, "else_branch", Fits::Branch)?,
                }
            } else {
                Graphs::Repeated(self.graph(node, "body", Fits::Body)?)
            };
            let read = graphs.bodies().flat_map(|body| {
                let by_nodes = body.operations.iter().flat_map(Operation::reads);
                by_nodes.chain(body.outputs.iter().copied())
            });
            let captured: HashSet<usize> = read.filter(|v| *v < before).collect();
            operation.captured = captured.into_iter().collect();
            operation.graphs = Some(Box::new(graphs));
        }
        let computed = operation.reads().any(|v| self.computed.contains(&v));
        operation.computed = computed;
        for name in &node.output {
            let value = if name.is_empty() {
                None
            } else {
                Some(self.make(name)?)
            };
            operation.outputs.push(value);
            self.computed.extend(value.filter(|_| operation.computed));
        }
        Ok(())
    }

    /// A graph in an attribute of a node, or why it is not evaluated.
    fn graph(&mut self, node: &NodeProto, attribute: &str, fits: Fits) -> Result<Step<Body>, ReadError> {
        let about = |reason: String| format!("node `{}`: its {attribute} {reason}", name_of(node));
        let found = node.attribute.iter().find(|a| a.name == attribute);
        let Some(graph) = found.and_then(|a| a.g.as_deref()) else {
            return Err(malformed(about("is missing".into())));
        };
        if self.depth == MOST_DEPTH {
            let reason = format!("is in more than {MOST_DEPTH} others");
            return Err(ReadError::Unsupported(about(reason)));
        }
        let (made, named) = (graph.output.len(), node.output.len());
        let wrong = match fits {
            Fits::Branch if !graph.input.is_empty() => Some("has inputs".to_owned()),
            Fits::Branch if made != named => Some(format!("has {made} outputs, the node {named}")),
            Fits::Body => fits_body(node, graph),
            Fits::Branch => None,
        };
        if let Some(wrong) = wrong {
            return Err(malformed(about(wrong)));
        }
        if !graph.sparse_initializer.is_empty() {
            return Ok(Err(format!("its {attribute} has sparse constants")));
        }
        let (around, first) = (self.made.len(), self.values);
        self.depth += 1;
        let body = self.constants(&graph.initializer).and_then(|constants| {
            let inputs = graph.input.iter().map(|input| self.make(&input.name));
            let inputs: Vec<usize> = inputs.collect::<Result<_, _>>()?;
            // Of a state that is a constant at first, later steps make what depends on inputs.
            self.computed.extend(&inputs);
            self.body(graph, constants, inputs, first)
        });
        self.depth -= 1;
        for name in self.made.drain(around..) {
            self.names.remove(&name);
        }
        match body {
            Ok(body) => Ok(Ok(body)),
            Err(error @ ReadError::Malformed(_)) => Err(error),
            Err(error @ (ReadError::Unsupported(_) | ReadError::Nodes(_))) => {
                Ok(Err(format!("its {attribute}: {error}")))
            }
        }
    }

    /// The operators of all nodes with their attributes, or all nodes that have none.
    fn operators(&self, graph: &GraphProto) -> Result<Vec<Operation>, ReadError> {
        let (mut found, mut unsupported) = (Vec::new(), Vec::new());
        for node in &graph.node {
            match operator(node, self.opsets) {
                Ok(operation) => found.push(operation),
                Err(reason) => unsupported.push(UnsupportedNode {
                    node: name_of(node).to_owned(),
                    op: node.op_type.clone(),
                    reason,
                }),
            }
        }
        if unsupported.is_empty() {
            Ok(found)
        } else {
            Err(ReadError::Nodes(unsupported))
        }
    }
}

/// What a graph in a node has to fit.
#[derive(Clone, Copy)]
enum Fits {
    /// A branch, which reads what is around it alone.
    Branch,
    /// What is computed at each step of a `Loop` or `Scan`.
    Body,
}

/// What of a body does not fit its node.
fn fits_body(node: &NodeProto, graph: &GraphProto) -> Option<String> {
    let (read, made) = (graph.input.len(), graph.output.len());
    // A Loop's has the number of the trip and says whether there is one more.
    let of_loop = node.op_type == "Loop";
    let outputs = node.output.len() + usize::from(of_loop);
    if made != outputs {
        return Some(format!("has {made} outputs, not {outputs}"));
    }
    (of_loop && read != node.input.len()).then(|| format!("has {read} inputs, the node {}", node.input.len()))
}

/// Type and shape as the file states them.
fn stated(info: &ValueInfoProto) -> Option<Stated> {
    let tensor = info.r#type.as_ref()?.tensor_type.as_ref()?;
    let element = ElementType::from_onnx(tensor.elem_type.into())?;
    let size = |d: &DimensionProto| usize::try_from(d.dim_value.unwrap_or(0)).unwrap_or(0);
    let shape: Vec<usize> = tensor.shape.as_ref()?.dim.iter().map(size).collect();
    (shape.len() < MAX_RANK).then_some((element, shape))
}

fn operator(node: &NodeProto, opsets: Opsets) -> Step<Operation> {
    let opset = match node.domain.as_str() {
        ops::ml::DOMAIN => opsets.of_models,
        ops::microsoft::DOMAIN => opsets.of_microsoft,
        domain if standard(domain) => opsets.standard,
        domain => return Err(format!("operators of domain `{domain}` are not evaluated")),
    };
    let opset = opset.ok_or("the file states no version of ONNX's operators")?;
    if !node.overload.is_empty() {
        return Err("it calls a function".into());
    }
    let operator = ops::find(&node.domain, &node.op_type, opset)?;
    let (least, most) = operator.inputs;
    if !(least..=most).contains(&node.input.len()) {
        return Err(format!(
            "{} inputs, the operator has {least} to {most}",
            node.input.len()
        ));
    }
    if node.output.is_empty() {
        return Err("it has no output".into());
    }
    Ok(Operation {
        operator,
        opset,
        attributes: attribute::read(operator.attributes, opset, &node.attribute)?,
        inputs: Vec::new(),
        outputs: Vec::new(),
        graphs: None,
        captured: Vec::new(),
        computed: false,
    })
}

/// Which of a graph's own values are among some.
fn among(own: &Range<usize>, values: impl Iterator<Item = usize>) -> Vec<bool> {
    let mut among = vec![false; own.len()];
    values
        .filter(|v| own.contains(v))
        .for_each(|v| among[v - own.start] = true);
    among
}

/// Leaves out labels that nothing reads: they may be texts, which no tensor holds here.
fn leave_out_unread(operations: &mut [Operation], own: &Range<usize>, outputs: &[usize]) {
    let by_nodes = operations.iter().flat_map(Operation::reads);
    let read = among(own, by_nodes.chain(outputs.iter().copied()));
    for operation in operations.iter_mut().filter(|o| ops::ml::has_label(o.operator)) {
        if let Some(label) = operation.outputs.first_mut() {
            *label = label.filter(|&v| read[v - own.start]);
        }
    }
}

/// For each node, the graph's own values that neither a later node nor an output reads.
fn dying(operations: &[Operation], own: &Range<usize>, outputs: &[usize]) -> Vec<Vec<usize>> {
    let mut needed = among(own, outputs.iter().copied());
    let mut dying = vec![Vec::new(); operations.len()];
    for (operation, dead) in operations.iter().zip(&mut dying).rev() {
        let touched = operation
            .outputs
            .iter()
            .copied()
            .flatten()
            .chain(operation.reads());
        for value in touched.filter(|v| own.contains(v)) {
            if !needed[value - own.start] {
                needed[value - own.start] = true;
                dead.push(value);
            }
        }
    }
    dying
}
