//! `If`: a branch that is known to be taken stands in its place; where the inputs' values decide, both branches do, and each output
//! is chosen from the two as `Where` chooses.
//!
//! Invariant: the graph computes what it did before. A condition that is known has the float reference's value. Of one that is
//! computed both branches make the same shapes and types, or the node is refused by both; both are computed for every input, and what
//! the branch that is not taken makes is never read. A function that has no value somewhere, or grows out of every range, would refuse
//! inputs that do not take its branch: there its argument is another number, at which it has a value ([`partial`](super::partial)).

use std::collections::HashSet;

use tract_onnx::pb::{GraphProto, NodeProto};
use zkml_reference::{Tensor, Values};

use super::ImportError;
use super::admit::{name_of, unsupported};
use super::known::Known;
use super::spliced::{Branch, Spliced};

pub(super) fn is_if(node: &NodeProto) -> bool {
    node.op_type == "If" && (node.domain.is_empty() || node.domain == "ai.onnx")
}

pub(super) fn condition(node: &NodeProto) -> &str {
    node.input.first().map_or("", String::as_str)
}

/// Whether its condition does not depend on the inputs' values.
pub(super) fn is_known(node: &NodeProto, statics: &HashSet<String>) -> bool {
    is_if(node) && statics.contains(condition(node))
}

/// Why an `If` is still there.
pub(super) fn left(node: &NodeProto) -> Option<String> {
    let condition = Some(condition(node)).filter(|_| is_if(node))?;
    Some(format!(
        "its condition `{condition}` is made by nodes that are not supported"
    ))
}

/// The branch that a condition takes.
pub(super) fn decided(node: &NodeProto, condition: &Tensor) -> Result<bool, ImportError> {
    match condition.values() {
        Values::Bool(values) if values.len() == 1 => Ok(values[0]),
        _ => Err(not_one_bool(node, condition)),
    }
}

fn is_one_bool(tensor: &Tensor) -> bool {
    matches!(tensor.values(), Values::Bool(values) if values.len() == 1)
}

fn not_one_bool(node: &NodeProto, value: &Tensor) -> ImportError {
    ImportError::Malformed(format!(
        "the condition `{}` of an If is {} {:?}, not one bool",
        condition(node),
        value.element(),
        value.shape()
    ))
}

fn branch(node: &NodeProto, taken: bool) -> Result<GraphProto, ImportError> {
    let attribute = if taken { "then_branch" } else { "else_branch" };
    let wrong = |what: &str| ImportError::Node {
        node: name_of(node).to_owned(),
        op: node.op_type.clone(),
        reason: format!("its {attribute} {what}"),
    };
    let found = node.attribute.iter().find(|a| a.name == attribute);
    let branch = found
        .and_then(|a| a.g.clone())
        .ok_or_else(|| wrong("is missing"))?;
    if !branch.sparse_initializer.is_empty() {
        return Err(unsupported(node, format!("its {attribute} has sparse constants")));
    }
    if !branch.input.is_empty() {
        return Err(wrong("has inputs"));
    }
    if branch.output.len() != node.output.len() {
        return Err(wrong("has another number of outputs than the node"));
    }
    Ok(branch)
}

/// The branch that is taken.
pub(super) fn one(spliced: &mut Spliced<'_>, node: &NodeProto, taken: bool) -> Result<(), ImportError> {
    let branch = branch(node, taken)?;
    spliced.room(node, &branch, 1)?;
    spliced.gone(node);
    let made = spliced.graph(branch, &[]);
    for (made, name) in made.iter().zip(&node.output) {
        spliced.identity(made, name);
    }
    Ok(())
}

/// An output that is chosen from two: by their names what both branches make.
pub(super) struct Chosen {
    node: NodeProto,
    output: String,
    condition: String,
    both: [String; 2],
}

impl Chosen {
    /// What has to be seen of it.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.both.iter().chain([&self.condition])
    }
}

fn without_graphs(node: &NodeProto) -> NodeProto {
    NodeProto {
        name: node.name.clone(),
        op_type: node.op_type.clone(),
        input: node.input.clone(),
        output: node.output.clone(),
        ..NodeProto::default()
    }
}

/// Both branches, and a choice for each output.
pub(super) fn both(spliced: &mut Spliced<'_>, node: &NodeProto) -> Result<Vec<Chosen>, ImportError> {
    spliced.gone(node);
    let given = self::condition(node);
    let (seen, condition) = (spliced.fresh(given), spliced.fresh(given));
    spliced.identity(given, &seen);
    // Whatever its rank is, the choice has that of the branches.
    let number = spliced.integers("shape", &[0], &[]);
    spliced.node("Reshape", given, &[&seen, &number], &condition, vec![]);
    let mut made = Vec::new();
    for taken in [true, false] {
        let branch = branch(node, taken)?;
        spliced.room(node, &branch, 1)?;
        spliced.enter_branch(Branch {
            condition: condition.clone(),
            taken,
        });
        made.push(spliced.graph(branch, &[]));
        spliced.leave_branch();
    }
    let [then, otherwise] = &made[..] else {
        return Ok(Vec::new());
    };
    let mut chosen = Vec::new();
    for ((then, otherwise), output) in then.iter().zip(otherwise).zip(&node.output) {
        if output.is_empty() {
            continue;
        }
        // By these names what both make is seen, constants included.
        let both = [then, otherwise].map(|made| {
            let seen = spliced.fresh(made);
            spliced.identity(made, &seen);
            seen
        });
        let inputs = [condition.as_str(), &both[0], &both[1]];
        spliced.node("Where", name_of(node), &inputs, output, vec![]);
        chosen.push(Chosen {
            node: without_graphs(node),
            output: output.clone(),
            condition: seen.clone(),
            both,
        });
    }
    Ok(chosen)
}

/// Both branches make the same of every output, or the node is refused.
pub(super) fn check(chosen: &[Chosen], known: Known) -> Result<(), ImportError> {
    for choice in chosen {
        let decides = known.values.get(&choice.condition);
        if let Some(decides) = decides.filter(|c| !is_one_bool(c)) {
            return Err(not_one_bool(&choice.node, decides));
        }
        let [then, otherwise] = choice.both.each_ref().map(|name| known.values.get(name));
        let (Some(then), Some(otherwise)) = (then, otherwise) else {
            continue;
        };
        let same = (then.element(), then.shape()) == (otherwise.element(), otherwise.shape());
        if !same {
            let told = |t: &Tensor| format!("{} {:?}", t.element(), t.shape());
            return Err(unsupported(
                &choice.node,
                format!(
                    "its condition `{}` is computed, so that both branches have to make the same: of `{}` the then_branch makes \
                     {}, the else_branch {}",
                    condition(&choice.node),
                    choice.output,
                    told(then),
                    told(otherwise)
                ),
            ));
        }
    }
    known.error.map_or(Ok(()), Err)
}
