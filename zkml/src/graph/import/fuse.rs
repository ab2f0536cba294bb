//! Draft → float graph: what can be one node becomes one, what nobody reads goes.
//!
//! Invariant: the fused graph is the same function. A chain `linear → affine or ReLU` is one linear map with one
//! requantisation where its first part has no other reader; a reshape is no node, because operators see tensors by
//! their flat order; names are those of the last part.

use std::collections::{BTreeMap, BTreeSet};

use super::super::float::{FloatGraph, FloatMap, FloatNode, FloatOp};
use super::super::{Activation, TensorId};
use super::ImportError;
use super::draft::Draft;

/// Fuses a draft whose outputs have these names.
pub(super) fn fuse(draft: Draft, outputs: &[String]) -> Result<FloatGraph, ImportError> {
    if draft.outputs.len() != outputs.len() {
        return Err(ImportError::Malformed(
            "the outputs are not those of the file".into(),
        ));
    }
    let mut draft = own_outputs(draft);
    drop_reshapes(&mut draft);
    while let Some((first, second, op)) = next_fusion(&draft) {
        let consumed = draft.nodes.remove(second);
        let producer = &mut draft.nodes[first];
        (producer.op, producer.name, producer.output) = (op, consumed.name, consumed.output);
        // It stands at the consumer's place: other operands of later readers are made before it.
        let fused = draft.nodes.remove(first);
        draft.nodes.insert(second - 1, fused);
    }
    Ok(renumber(draft, outputs))
}

/// Gives every output a node of its own: one that is an input or another output as well is copied.
fn own_outputs(mut draft: Draft) -> Draft {
    let mut taken: BTreeSet<TensorId> = draft.inputs.iter().copied().collect();
    for at in 0..draft.outputs.len() {
        let id = draft.outputs[at];
        if !taken.insert(id) {
            let copy = TensorId(draft.tensors.len() as u32);
            let tensor = draft.tensors[id.0 as usize].clone();
            draft.nodes.push(FloatNode {
                name: tensor.name.clone(),
                op: FloatOp::Wiring { source: None },
                inputs: vec![id],
                output: copy,
            });
            draft.tensors.push(tensor);
            draft.outputs[at] = copy;
        }
    }
    draft
}

/// Removes reshapes: whoever reads the result reads the source. An output keeps its own shape.
fn drop_reshapes(draft: &mut Draft) {
    let mut alias: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    let mut kept: Vec<FloatNode> = Vec::with_capacity(draft.nodes.len());
    for mut node in std::mem::take(&mut draft.nodes) {
        for input in &mut node.inputs {
            *input = alias.get(input).copied().unwrap_or(*input);
        }
        let FloatOp::Wiring { source: None } = node.op else {
            kept.push(node);
            continue;
        };
        let source = node.inputs[0];
        let is_output = draft.outputs.contains(&node.output);
        if !is_output {
            alias.insert(node.output, source);
            continue;
        }
        // The source's producer makes the output itself, unless the source must stand on its own.
        let producer = kept.iter_mut().find(|n| n.output == source);
        match producer.filter(|_| !draft.outputs.contains(&source)) {
            Some(producer) => {
                producer.output = node.output;
                // Reshapes of the source that have gone already stand for the output from now on.
                for target in alias.values_mut().filter(|t| **t == source) {
                    *target = node.output;
                }
                alias.insert(source, node.output);
                for reader in &mut kept {
                    for input in reader.inputs.iter_mut().filter(|i| **i == source) {
                        *input = node.output;
                    }
                }
            }
            None => kept.push(node),
        }
    }
    draft.nodes = kept;
}

/// A pair of nodes that can be one, and what it does.
fn next_fusion(draft: &Draft) -> Option<(usize, usize, FloatOp)> {
    let mut producers: BTreeMap<TensorId, usize> = BTreeMap::new();
    for (second, node) in draft.nodes.iter().enumerate() {
        if let [input] = node.inputs[..]
            && let Some(&first) = producers.get(&input)
            && !draft.outputs.contains(&input)
            && draft.nodes.iter().filter(|n| n.inputs.contains(&input)).count() == 1
            && let Some(op) = fused(&draft.nodes[first].op, &node.op, draft.len(node.output))
        {
            return Some((first, second, op));
        }
        producers.insert(node.output, second);
    }
    None
}

/// `second ∘ first`, if it is one linear map with one activation.
fn fused(first: &FloatOp, second: &FloatOp, len: usize) -> Option<FloatOp> {
    let FloatOp::Linear {
        map: inner,
        activation: Activation::Identity,
    } = first
    else {
        return None;
    };
    let FloatOp::Linear {
        map: outer,
        activation,
    } = second
    else {
        return None;
    };
    let FloatMap::Affine { scale, bias, .. } = outer else {
        return None;
    };
    // Channel of the outer map by channel of the inner one; each must have just one.
    let mut channel: Vec<Option<usize>> = vec![None; inner.bias().len()];
    for t in 0..len {
        let (a, b) = (inner.channel_of(t), outer.channel_of(t));
        match channel.get(a)? {
            None => channel[a] = Some(b),
            Some(known) if *known == b => {}
            Some(_) => return None,
        }
    }
    let of = |c: usize| {
        channel
            .get(c)
            .copied()
            .flatten()
            .and_then(|c| Some((*scale.get(c)?, *bias.get(c)?)))
    };
    let (per_channel, channels) = (inner.weight().len() / inner.bias().len(), inner.bias().len());
    let affine = matches!(inner, FloatMap::Affine { .. });
    let mut at = 0usize;
    let map = inner.try_map(
        |_, w| {
            // Affine coefficients are [inputs, channels], all others [channels, …].
            let c = if affine { at % channels } else { at / per_channel };
            at += 1;
            of(c).map(|(s, _)| s * w).ok_or(())
        },
        |c, b| of(c).map(|(s, bias)| s * b + bias).ok_or(()),
    );
    Some(FloatOp::Linear {
        map: map.ok()?,
        activation: *activation,
    })
}

/// Drops what no output needs and numbers the rest: inputs, then tensors in the order of their nodes.
fn renumber(draft: Draft, outputs: &[String]) -> FloatGraph {
    let mut needed: BTreeSet<TensorId> = draft.outputs.iter().copied().collect();
    let mut nodes: Vec<FloatNode> = Vec::new();
    for node in draft.nodes.into_iter().rev().filter(|n| {
        let is_needed = needed.contains(&n.output);
        if is_needed {
            needed.extend(&n.inputs);
        }
        is_needed
    }) {
        nodes.push(node);
    }
    nodes.reverse();
    let mut new: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    let mut tensors = Vec::new();
    let order = draft.inputs.iter().copied().chain(nodes.iter().map(|n| n.output));
    for id in order {
        new.insert(id, TensorId(tensors.len() as u32));
        let mut tensor = draft.tensors[id.0 as usize].clone();
        if let Some(at) = draft.outputs.iter().position(|o| *o == id) {
            tensor.name.clone_from(&outputs[at]);
        }
        tensors.push(tensor);
    }
    let renamed = |id: &TensorId| new.get(id).copied().unwrap_or(*id);
    for node in &mut nodes {
        node.inputs = node.inputs.iter().map(renamed).collect();
        node.output = renamed(&node.output);
    }
    FloatGraph {
        tensors,
        nodes,
        inputs: draft.inputs.iter().map(renamed).collect(),
        outputs: draft.outputs.iter().map(renamed).collect(),
    }
}

impl Draft {
    fn len(&self, id: TensorId) -> usize {
        self.tensors.get(id.0 as usize).map_or(0, |t| t.len())
    }
}
