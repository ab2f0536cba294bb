//! Draft → float graph: what can be one node becomes one, what nobody reads goes.
//!
//! Invariant: the fused graph is the same function. A chain `linear → affine or ReLU` is one linear map with one
//! requantisation where its first part has no other reader; a reshape is no node, because operators see tensors by
//! their flat order; names are those of the last part.

use std::collections::{BTreeMap, BTreeSet};

use zkml::graph::{Activation, TensorId};

use super::draft::Draft;
use super::ranked::Kinds;
use super::ranked_steps::rank;
use super::{ImportError, held};
use crate::float::{FloatGraph, FloatMap, FloatNode, FloatOp};
use crate::functions::Function;
use crate::ops::{Linear, Wiring};

/// Fuses a draft whose outputs have these names, and whose inputs may be of these floats.
pub(super) fn fuse(draft: Draft, outputs: &[String], kinds: &Kinds) -> Result<FloatGraph, ImportError> {
    if draft.outputs.len() != outputs.len() {
        return Err(ImportError::Malformed(
            "the outputs are not those of the file".into(),
        ));
    }
    let mut draft = own_outputs(draft);
    drop_reshapes(&mut draft);
    fuse_chains(&mut draft);
    drop_identities(&mut draft);
    guard_functions(&mut draft);
    guard_wirings(&mut draft);
    rank(&mut draft, kinds)?;
    let mut graph = renumber(draft, outputs);
    held::make_room(&mut graph);
    Ok(graph)
}

/// Removes what is left of factors that make 1 behind a function: its table is at a scale of its own already.
fn drop_identities(draft: &mut Draft) {
    let mut readers: BTreeMap<TensorId, usize> = BTreeMap::new();
    let read = draft.nodes.iter().flat_map(|n| &n.inputs).chain(&draft.outputs);
    read.for_each(|id| *readers.entry(*id).or_default() += 1);
    let mut functions: BTreeMap<TensorId, usize> = BTreeMap::new();
    let mut kept: Vec<FloatNode> = Vec::with_capacity(draft.nodes.len());
    for node in std::mem::take(&mut draft.nodes) {
        let input = node.inputs.first().filter(|id| readers.get(id) == Some(&1));
        let function = input.and_then(|id| functions.get(id)).copied();
        if let Some(function) = function.filter(|_| node.op.is_guard()) {
            kept[function].output = node.output;
            functions.insert(node.output, function);
            continue;
        }
        if matches!(node.op, FloatOp::Table(_)) {
            functions.insert(node.output, kept.len());
        }
        kept.push(node);
    }
    draft.nodes = kept;
}

/// Puts a requantisation behind every function whose rows may end at a clamp: it refuses them. It comes after fusing, so that
/// nothing becomes one with it.
fn guard_functions(draft: &mut Draft) {
    let nodes = std::mem::take(&mut draft.nodes);
    for mut node in nodes {
        let grows = node.op.function().is_some_and(Function::grows);
        if !grows {
            draft.nodes.push(node);
            continue;
        }
        let output = node.output;
        let tensor = draft.tensors[output.0 as usize].clone();
        let guard = FloatNode {
            name: node.name.clone(),
            op: FloatOp::guard(tensor.len()),
            inputs: vec![TensorId(draft.tensors.len() as u32)],
            output,
        };
        node.output = guard.inputs[0];
        draft.tensors.push(tensor);
        draft.nodes.extend([node, guard]);
    }
}

/// Where no output is more than an input's values in other places, or rows of a table that an input names, puts a requantisation that rounds nothing before each: there
/// is something to prove in a graph only where it computes.
fn guard_wirings(draft: &mut Draft) {
    let moves = |n: &FloatNode| matches!(n.op, FloatOp::Wiring(_) | FloatOp::Rows(_));
    if !draft.nodes.iter().all(moves) {
        return;
    }
    for mut node in std::mem::take(&mut draft.nodes) {
        let output = node.output;
        if !draft.outputs.contains(&output) {
            draft.nodes.push(node);
            continue;
        }
        let tensor = draft.tensors[output.0 as usize].clone();
        let guard = FloatNode {
            name: node.name.clone(),
            op: FloatOp::guard(tensor.len()),
            inputs: vec![TensorId(draft.tensors.len() as u32)],
            output,
        };
        node.output = guard.inputs[0];
        draft.tensors.push(tensor);
        draft.nodes.extend([node, guard]);
    }
}

/// Makes one node of each pair that can be one. Nodes are visited once, in order: what is fused stands at its consumer's place,
/// where the next consumer finds it, so a chain of any length is one pass.
fn fuse_chains(draft: &mut Draft) {
    let outputs: BTreeSet<TensorId> = draft.outputs.iter().copied().collect();
    let mut readers: BTreeMap<TensorId, usize> = BTreeMap::new();
    for node in &draft.nodes {
        let read: BTreeSet<TensorId> = node.inputs.iter().copied().collect();
        read.into_iter()
            .for_each(|id| *readers.entry(id).or_default() += 1);
    }
    let mut producers: BTreeMap<TensorId, usize> = BTreeMap::new();
    let nodes = std::mem::take(&mut draft.nodes);
    let mut kept: Vec<Option<FloatNode>> = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        let len = draft.tensors.get(node.output.0 as usize).map_or(0, |t| t.len());
        if let [input] = node.inputs[..]
            && let Some(&first) = producers.get(&input)
            && !outputs.contains(&input)
            && !is_guarded(draft, input)
            && readers.get(&input) == Some(&1)
            && let Some(producer) = kept[first].take_if(|producer| fits(&producer.op, &node.op, len))
        {
            node.op = fused(producer.op, &node.op, len);
            node.inputs = producer.inputs;
        }
        producers.insert(node.output, kept.len());
        kept.push(Some(node));
    }
    draft.nodes = kept.into_iter().flatten().collect();
}

/// Whether a tensor's own requantisation has to stay: of whole numbers that nothing bounds it refuses what their type would wrap.
fn is_guarded(draft: &Draft, id: TensorId) -> bool {
    let tensor = draft.tensors.get(id.0 as usize);
    tensor.is_some_and(|tensor| tensor.whole && tensor.bound.is_none())
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
                op: FloatOp::Wiring(Wiring { source: None }),
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
    let outputs: BTreeSet<TensorId> = draft.outputs.iter().copied().collect();
    let mut alias: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    let mut kept: Vec<FloatNode> = Vec::with_capacity(draft.nodes.len());
    // Where each tensor is made and read among those kept.
    let mut producers: BTreeMap<TensorId, usize> = BTreeMap::new();
    let mut readers: BTreeMap<TensorId, Vec<usize>> = BTreeMap::new();
    for mut node in std::mem::take(&mut draft.nodes) {
        for input in &mut node.inputs {
            while let Some(&source) = alias.get(input) {
                *input = source;
            }
        }
        let source = node.inputs[0];
        let is_reshape = matches!(node.op, FloatOp::Wiring(Wiring { source: None }));
        if is_reshape && !outputs.contains(&node.output) {
            alias.insert(node.output, source);
            continue;
        }
        // The source's producer makes the output itself, unless the source must stand on its own.
        let moves = is_reshape && !outputs.contains(&source);
        let Some(producer) = producers.get(&source).copied().filter(|_| moves) else {
            producers.insert(node.output, kept.len());
            for id in &node.inputs {
                readers.entry(*id).or_default().push(kept.len());
            }
            kept.push(node);
            continue;
        };
        kept[producer].output = node.output;
        producers.insert(node.output, producer);
        let (bound, hold) = {
            let source = &draft.tensors[source.0 as usize];
            (source.bound, source.hold)
        };
        let made = &mut draft.tensors[node.output.0 as usize];
        (made.bound, made.hold) = (bound, hold);
        let moved = readers.remove(&source).unwrap_or_default();
        for &reader in &moved {
            for input in kept[reader].inputs.iter_mut().filter(|i| **i == source) {
                *input = node.output;
            }
        }
        readers.insert(node.output, moved);
        alias.insert(source, node.output);
    }
    draft.nodes = kept;
}

/// The channel of the outer map for each channel of the inner one, if each has just one: both see the same
/// `len` flat values, the channel of value `t` being `t / stride % channels`.
fn channels(inner: &FloatMap, outer: &FloatMap, len: usize) -> Option<Vec<usize>> {
    let FloatMap::Affine {
        channels: many,
        inner: stride,
        ..
    } = outer
    else {
        return None;
    };
    let (many, stride) = (*many as usize, *stride as usize);
    if many == 0 || stride == 0 || len == 0 {
        return None;
    }
    // The inner map's channels, and how many values follow each other in one.
    let (count, run) = match inner {
        FloatMap::Dense { outputs, .. } => (*outputs as usize, 1),
        FloatMap::Conv2d {
            output: [c, h, w], ..
        } => (*c as usize, *h as usize * *w as usize),
        FloatMap::Affine { channels, inner, .. } => (*channels as usize, *inner as usize),
    };
    let of = |c: usize| c * run / stride % many;
    // Within a run the outer channel stays: the run lies inside a block of the outer map.
    let inside = (0..count).all(|c| (c * run) / stride == ((c + 1) * run - 1) / stride);
    // And the next round of channels meets the same ones: a round is a whole number of the outer map's rounds.
    let again = len == count * run || (count * run).is_multiple_of(many * stride);
    (many == 1 || (inside && again)).then(|| (0..count).map(of).collect())
}

/// Whether `second ∘ first` is one linear map with one activation.
fn fits(first: &FloatOp, second: &FloatOp, len: usize) -> bool {
    match (first, second) {
        (
            FloatOp::Linear(Linear {
                map: inner,
                activation: Activation::Identity,
            }),
            FloatOp::Linear(Linear { map: outer, .. }),
        ) => channels(inner, outer, len).is_some(),
        _ => false,
    }
}

/// `second ∘ first` of two that fit.
fn fused(first: FloatOp, second: &FloatOp, len: usize) -> FloatOp {
    let (
        FloatOp::Linear(Linear { map: mut inner, .. }),
        FloatOp::Linear(Linear {
            map: outer,
            activation,
        }),
    ) = (first, second)
    else {
        return second.clone();
    };
    let channel = channels(&inner, outer, len).unwrap_or_default();
    let (of, factors, added) = (
        |c: usize| channel.get(c).copied().unwrap_or(0),
        outer.weight(),
        outer.bias(),
    );
    let affine = matches!(inner, FloatMap::Affine { .. });
    let (FloatMap::Dense { weight, bias, .. }
    | FloatMap::Conv2d { weight, bias, .. }
    | FloatMap::Affine {
        scale: weight, bias, ..
    }) = &mut inner;
    let (count, per_channel) = (bias.len().max(1), weight.len() / bias.len().max(1));
    for (at, w) in weight.iter_mut().enumerate() {
        // Affine coefficients are [inputs, channels], all others [channels, …].
        let c = of(if affine {
            at % count
        } else {
            at / per_channel.max(1)
        });
        *w *= factors.get(c).copied().unwrap_or(1.0);
    }
    for (c, b) in bias.iter_mut().enumerate() {
        let c = of(c);
        *b = factors.get(c).copied().unwrap_or(1.0) * *b + added.get(c).copied().unwrap_or(0.0);
    }
    FloatOp::Linear(Linear {
        map: inner,
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
    let named: BTreeMap<TensorId, usize> = draft
        .outputs
        .iter()
        .enumerate()
        .map(|(at, id)| (*id, at))
        .collect();
    let mut new: BTreeMap<TensorId, TensorId> = BTreeMap::new();
    let mut tensors = Vec::new();
    let order = draft.inputs.iter().copied().chain(nodes.iter().map(|n| n.output));
    for id in order {
        new.insert(id, TensorId(tensors.len() as u32));
        let mut tensor = draft.tensors[id.0 as usize].clone();
        if let Some(&at) = named.get(&id) {
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
        exact: draft.exact,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn affine(outer: u32, channels: u32, inner: u32, factor: f64) -> FloatMap {
        FloatMap::Affine {
            outer,
            channels,
            inner,
            scale: vec![factor; channels as usize],
            bias: vec![1.0; channels as usize],
        }
    }

    fn dense(outputs: u32) -> FloatMap {
        FloatMap::Dense {
            inputs: 1,
            outputs,
            weight: vec![1.0; outputs as usize],
            bias: vec![0.0; outputs as usize],
        }
    }

    fn conv([channels, h, w]: [u32; 3]) -> FloatMap {
        FloatMap::Conv2d {
            input: [1, h, w],
            output: [channels, h, w],
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            pad: [0, 0],
            groups: 1,
            weight: vec![1.0; channels as usize],
            bias: vec![0.0; channels as usize],
        }
    }

    /// As it is defined: every value's channels.
    fn walked(inner: &FloatMap, outer: &FloatMap, len: usize) -> Option<Vec<usize>> {
        let mut of = vec![None; inner.bias().len()];
        for t in 0..len {
            let (a, b) = (inner.channel_of(t), outer.channel_of(t));
            if of[a].is_some_and(|known| known != b) {
                return None;
            }
            of[a] = Some(b);
        }
        of.into_iter().collect()
    }

    #[test]
    fn channels_by_axes_are_those_of_the_values() {
        let (len, mut fitting) = (48, 0);
        let divisors: Vec<u32> = (1..=len).filter(|d| len % d == 0).collect();
        let triples = || {
            divisors.iter().flat_map(|&a| {
                let rest = divisors.iter().filter(move |b| len % (a * **b) == 0);
                rest.map(move |&b| [a, b, len / a / b])
            })
        };
        let mut inners: Vec<FloatMap> = divisors.iter().map(|&m| dense(m)).collect();
        inners.extend(triples().map(conv));
        inners.extend(triples().map(|[a, b, c]| affine(a, b, c, 2.0)));
        for inner in &inners {
            for [a, b, c] in triples() {
                let outer = affine(a, b, c, 3.0);
                let expected = walked(inner, &outer, len as usize);
                assert_eq!(
                    channels(inner, &outer, len as usize),
                    expected,
                    "{inner:?} {outer:?}"
                );
                fitting += usize::from(expected.is_some());
            }
        }
        assert!(fitting > 100, "{fitting}");
    }

    fn chain(nodes: usize) -> Draft {
        let mut draft = Draft::default();
        let mut last = draft.tensor("x", &[4096]).unwrap();
        draft.inputs.push(last);
        for at in 0..nodes {
            let map = affine(1, 1, 4096, 1.0);
            last = draft.linear(&format!("n{at}"), map, &[last], &[4096]).unwrap();
            if at % 10 == 9 {
                let op = FloatOp::Wiring(Wiring { source: None });
                last = draft.node("reshape", op, &[last], &[4096]).unwrap();
            }
        }
        draft.outputs.push(last);
        draft
    }

    /// A tenth of the nodes takes a tenth of the time; were it a hundredth, no chain of thousands would be read.
    #[test]
    fn a_chain_of_ten_times_as_many_nodes_takes_ten_times_as_long() {
        let time = |nodes: usize| {
            let times = (0..3).map(|_| {
                let draft = chain(nodes);
                let began = Instant::now();
                let graph = fuse(draft, &["y".to_owned()], &Kinds::new()).unwrap();
                assert_eq!((graph.nodes.len(), graph.tensors.len()), (1, 2));
                let FloatOp::Linear(Linear { map, .. }) = &graph.nodes[0].op else {
                    panic!("a linear map");
                };
                assert_eq!((map.weight(), map.bias()), (&[1.0][..], &[nodes as f64][..]));
                began.elapsed()
            });
            times.min().unwrap().max(Duration::from_micros(100))
        };
        let (few, many) = (time(400), time(4000));
        assert!(many < 50 * few, "{few:?} and {many:?}");
    }
}
