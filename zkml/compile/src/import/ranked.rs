//! Inputs that nothing but comparisons with constants reads: held by ranks ([`zkml::graph::ranks`]).
//!
//! Invariant: exact. Such a comparison is of the value as it is given, in the model's own floats, and is made one of its rank, a
//! whole number, with a whole constant; both have the same answer, whatever the value is. An input is ranked wholly or not at all:
//! what anything else reads, or what the file rounds on the way, stays a number that is rounded. Bounds are the file's thresholds and
//! nothing else, so that whoever has the file finds them again.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto};
use zkml::graph::ranks::{MAX_BOUNDS, MAX_PLACES};
use zkml::graph::{Activation, FloatKind, Missing, Ranking, Ranks, TensorId};

use super::draft::Draft;
use super::moved;
use super::whole::element;
use crate::float::{FloatGraph, FloatMap, FloatNode, FloatOp};
use crate::ops::{Linear, Step, Wiring};

/// Of inputs that may be ranked, by name, the floats that they are of.
pub(super) type Kinds = BTreeMap<String, FloatKind>;

/// The floats of a file's inputs. None where the file rounds floats to narrower ones anywhere: a comparison behind that is of
/// another value than was given, and the reader keeps no such cast.
pub(super) fn kinds(proto: &ModelProto) -> Kinds {
    let Some(graph) = &proto.graph else {
        return Kinds::new();
    };
    let kind = |kind: Option<DataType>| match kind {
        Some(DataType::Float) => Some(FloatKind::Float32),
        Some(DataType::Double) => Some(FloatKind::Float64),
        _ => None,
    };
    let inputs = graph.input.iter();
    let kinds = inputs.filter_map(|port| Some((port.name.clone(), kind(element(port))?)));
    let kinds: Kinds = kinds.collect();
    let doubles = kinds.values().any(|kind| *kind == FloatKind::Float64);
    let bodies = proto.functions.iter().flat_map(|function| &function.node);
    let narrows = graph.node.iter().chain(bodies).any(|node| narrows(node, doubles));
    if narrows { Kinds::new() } else { kinds }
}

/// Whether a node, or one inside it, may round a float to a narrower type.
fn narrows(node: &NodeProto, doubles: bool) -> bool {
    let to = node.attribute.iter().find(|a| a.name == "to").map_or(0, |a| a.i);
    // Whatever becomes a whole number there is compared as one.
    let rounds = match i32::try_from(to).ok().and_then(|to| DataType::try_from(to).ok()) {
        Some(DataType::Float) => doubles,
        Some(
            DataType::Double
            | DataType::Bool
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Uint8
            | DataType::Uint16
            | DataType::Uint32
            | DataType::Uint64
            | DataType::String,
        ) => false,
        _ => true,
    };
    let graphs = node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs));
    let inside = |graph: &GraphProto| graph.node.iter().any(|node| narrows(node, doubles));
    (node.op_type == "Cast" && rounds) || node.op_type == "CastLike" || graphs.into_iter().any(inside)
}

/// A value of an input: the input's place among the inputs, and the value's in it.
pub(super) type Place = (u32, u32);

/// What is found of a draft.
pub(super) struct Found {
    /// By tensor whose values are inputs' values in other places: which.
    pub(super) moved: BTreeMap<TensorId, Vec<Place>>,
    /// By node's place in the draft, those that compare one.
    pub(super) steps: BTreeSet<usize>,
    /// Inputs of which no value may be missing or infinite: something is made of them that is right for numbers alone.
    pub(super) finite: BTreeSet<u32>,
    /// How inputs are ranked.
    pub(super) ranks: BTreeMap<u32, Ranks>,
    /// By input, the places at which comparisons differ on what a missing value is.
    pub(super) differ: BTreeMap<u32, Vec<u32>>,
}

/// All that is ranked where `left` is not, or further inputs that cannot be.
pub(super) fn found(draft: &Draft, kinds: &Kinds, left: &BTreeSet<u32>) -> Result<Found, BTreeSet<u32>> {
    let mut found = Found {
        moved: BTreeMap::new(),
        steps: BTreeSet::new(),
        finite: BTreeSet::new(),
        ranks: BTreeMap::new(),
        differ: BTreeMap::new(),
    };
    for (at, id) in draft
        .inputs
        .iter()
        .enumerate()
        .filter(|(at, _)| !left.contains(&(*at as u32)))
    {
        let len = draft.tensors[id.0 as usize].len() as u32;
        found
            .moved
            .insert(*id, (0..len).map(|t| (at as u32, t)).collect());
    }
    let needed = needed(draft);
    let mut others: BTreeSet<u32> = BTreeSet::new();
    for (at, node) in draft.nodes.iter().enumerate().filter(|(at, _)| needed[*at]) {
        let read = node.inputs.iter().enumerate().filter(|(k, _)| !ignores(node, *k));
        let read = read.filter_map(|(_, id)| found.moved.get(id));
        let inputs: BTreeSet<u32> = read.flatten().map(|(input, _)| *input).collect();
        if inputs.is_empty() {
            continue;
        }
        if let Some(moved) = moves(node, draft, &found.moved) {
            // Where values are multiplied by 0, one that is not finite makes all of them no numbers.
            if matches!(node.op, FloatOp::Linear(_)) {
                found.finite.extend(&inputs);
            }
            found.moved.insert(node.output, moved);
        } else if compares(node) {
            found.steps.insert(at);
        } else {
            others.extend(&inputs);
        }
    }
    let read = |id: &TensorId| found.moved.get(id).into_iter().flatten().map(|(input, _)| *input);
    others.extend(draft.outputs.iter().flat_map(read));
    let asked: Vec<u32> = draft.finite.iter().flat_map(read).collect();
    found.finite.extend(asked);
    if others.is_empty() {
        others = ranks(draft, kinds, &mut found);
    }
    if others.is_empty() { Ok(found) } else { Err(others) }
}

/// Whether a tensor that a node reads is multiplied by 0, as one is that a constant is made of.
fn ignores(node: &FloatNode, operand: usize) -> bool {
    let FloatOp::Linear(Linear { map, .. }) = &node.op else {
        return false;
    };
    let each = map.weight().len() / node.inputs.len().max(1);
    let own = map.weight().iter().skip(operand * each).take(each);
    matches!(map, FloatMap::Affine { .. } | FloatMap::Dense { .. }) && own.into_iter().all(|w| *w == 0.0)
}

/// By node, whether some output hangs on it.
fn needed(draft: &Draft) -> Vec<bool> {
    let mut tensors: BTreeSet<TensorId> = draft.outputs.iter().copied().collect();
    let mut needed = vec![false; draft.nodes.len()];
    for (at, node) in draft.nodes.iter().enumerate().rev() {
        needed[at] = tensors.contains(&node.output);
        if needed[at] {
            tensors.extend(&node.inputs);
        }
    }
    needed
}

/// Which values of inputs a node makes, where it makes nothing else: it moves them, or takes each once.
fn moves(node: &FloatNode, draft: &Draft, moved: &BTreeMap<TensorId, Vec<Place>>) -> Option<Vec<Place>> {
    let of = |k: usize, t: usize| moved.get(node.inputs.get(k)?)?.get(t).copied();
    let len = draft.tensors.get(node.output.0 as usize)?.len();
    match &node.op {
        FloatOp::Wiring(Wiring { source: None }) => moved.get(node.inputs.first()?).cloned(),
        FloatOp::Wiring(Wiring { source: Some(source) }) => {
            source.iter().map(|&t| of(0, t as usize)).collect()
        }
        FloatOp::Linear(Linear {
            map,
            activation: Activation::Identity,
        }) => {
            if map.bias().iter().any(|b| *b != 0.0) {
                return None;
            }
            // By channel, the one coefficient that is not 0: it is 1.
            let only = |mut row: Vec<(usize, f64)>| {
                row.retain(|(_, w)| *w != 0.0);
                matches!(row[..], [(_, 1.0)]).then(|| row[0].0)
            };
            match map {
                FloatMap::Affine { channels, scale, .. } => {
                    let channels = *channels as usize;
                    let row = |c: usize| {
                        scale
                            .iter()
                            .skip(c)
                            .step_by(channels)
                            .copied()
                            .enumerate()
                            .collect()
                    };
                    let only: Vec<usize> = (0..channels).map(|c| only(row(c))).collect::<Option<_>>()?;
                    (0..len).map(|t| of(*only.get(map.channel_of(t))?, t)).collect()
                }
                FloatMap::Dense {
                    inputs,
                    outputs,
                    weight,
                    ..
                } => {
                    let (inputs, outputs) = (*inputs as usize, *outputs as usize);
                    let rows = weight.chunks(inputs.max(1));
                    let rows = rows.map(|row| only(row.iter().copied().enumerate().collect()));
                    let only: Vec<usize> = rows.collect::<Option<_>>()?;
                    (0..len)
                        .map(|t| of(0, t / outputs * inputs + only.get(t % outputs)?))
                        .collect()
                }
                FloatMap::Conv2d { .. } => None,
            }
        }
        _ => None,
    }
}

/// Whether a node compares the values of one tensor, each with a constant.
fn compares(node: &FloatNode) -> bool {
    let FloatOp::Step(Step { map, .. }) = &node.op else {
        return false;
    };
    node.inputs.len() == 1
        && matches!(map, FloatMap::Affine { .. })
        && map.weight().iter().all(|w| w.abs() == 1.0)
}

/// A comparison: whether it asks if the value is at least the bound, or if it is not.
pub(super) struct Asked {
    pub(super) bound: i64,
    pub(super) above: bool,
}

/// What a channel of a step asks.
pub(super) fn asked(step: &Step, channel: usize, float: FloatKind) -> Option<Asked> {
    let (w, b) = (*step.map.weight().get(channel)?, *step.map.bias().get(channel)?);
    let threshold = -b * w;
    let above = w > 0.0;
    let bound = if above {
        float.above(threshold)
    } else {
        float.not_below(threshold)
    }?;
    let most = float.greatest();
    (1 - most..=most)
        .contains(&bound)
        .then_some(Asked { bound, above })
}

/// Whether "at least the bound" is so of a missing value, that the answer be what it has to be.
pub(super) fn missing_is_above(step: &Step, channel: usize, above: bool) -> Option<bool> {
    let answer = *step.missing.as_ref()?.get(channel)?;
    Some(answer == above)
}

/// The step at a place of the draft.
fn step(draft: &Draft, at: usize) -> Option<(&Step, TensorId)> {
    match (&draft.nodes[at].op, &draft.nodes[at].inputs[..]) {
        (FloatOp::Step(step), [read]) => Some((step, *read)),
        _ => None,
    }
}

/// Fills in how inputs are ranked; inputs that cannot be.
fn ranks(draft: &Draft, kinds: &Kinds, found: &mut Found) -> BTreeSet<u32> {
    let kind = |input: u32| {
        let id = draft.inputs.get(input as usize)?;
        kinds.get(&draft.tensors[id.0 as usize].name).copied()
    };
    // By value: its bounds, and how many ask a missing one to be above them, and below.
    let mut asks: BTreeMap<Place, (BTreeSet<i64>, [usize; 2])> = BTreeMap::new();
    let mut others = BTreeSet::new();
    for (step, read) in found.steps.iter().filter_map(|at| step(draft, *at)) {
        for (t, place) in found.moved.get(&read).into_iter().flatten().enumerate() {
            let channel = step.map.channel_of(t);
            let Some(asked) = kind(place.0).and_then(|float| asked(step, channel, float)) else {
                others.insert(place.0);
                continue;
            };
            let (bounds, sides) = asks.entry(*place).or_default();
            bounds.insert(asked.bound);
            match missing_is_above(step, channel, asked.above) {
                Some(above) => sides[usize::from(!above)] += 1,
                None => _ = found.finite.insert(place.0),
            }
        }
    }
    let inputs: BTreeSet<u32> = asks.keys().map(|(input, _)| *input).collect();
    for input in inputs {
        let len = draft.tensors[draft.inputs[input as usize].0 as usize].len() as u32;
        let ranking = |t: u32| {
            let (bounds, sides) = asks.get(&(input, t)).cloned().unwrap_or_default();
            let missing = match found.finite.contains(&input) {
                true => Missing::Refused,
                false if sides[1] > sides[0] => Missing::Below,
                false => Missing::Above,
            };
            let bounds = bounds.into_iter().collect();
            Ranking { bounds, missing }
        };
        let Some(float) = kind(input) else {
            others.insert(input);
            continue;
        };
        let places = repeated((0..len).map(ranking).collect());
        let ranks = Ranks { float, places };
        if ranks.places.len() > MAX_PLACES || ranks.bounds() > MAX_BOUNDS {
            others.insert(input);
        }
        let both = |t: &u32| {
            asks.get(&(input, *t))
                .is_some_and(|(_, sides)| !sides.contains(&0))
        };
        if !found.finite.contains(&input) {
            found.differ.insert(input, (0..len).filter(both).collect());
        }
        found.ranks.insert(input, ranks);
    }
    others
}

/// The shortest list that is all of them, over and over: of a batch what one input has, or a part of that.
fn repeated(mut all: Vec<Ranking>) -> Vec<Ranking> {
    let mut numbers: BTreeMap<&Ranking, usize> = BTreeMap::new();
    let numbered: Vec<usize> = all
        .iter()
        .map(|ranking| {
            let next = numbers.len();
            *numbers.entry(ranking).or_insert(next)
        })
        .collect();
    let len = all.len();
    let repeats = |period: &usize| {
        len.is_multiple_of(*period) && numbered.iter().zip(&numbered[*period..]).all(|(a, b)| a == b)
    };
    let period = moved::divisors(len).into_iter().find(repeats).unwrap_or(len);
    all.truncate(period);
    all
}

/// A comparison with a constant of values that are rounded first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rounded {
    /// The node that compares.
    pub node: String,
    /// What it compares, before it was only moved.
    pub tensor: TensorId,
}

/// The comparisons of a graph in which a value within half a step of a threshold may have the answer of the threshold's other side:
/// those of numbers that are neither whole nor a ranked input's.
#[must_use]
pub fn rounded(graph: &FloatGraph) -> Vec<Rounded> {
    let whole = graph.tensors.iter().map(|tensor| tensor.whole);
    let mut whole: Vec<bool> = whole.collect();
    // By tensor, from where its values are moved.
    let mut from: Vec<TensorId> = (0u32..).map(TensorId).take(whole.len()).collect();
    let mut all: Vec<Rounded> = Vec::new();
    for node in &graph.nodes {
        let made = node.output.0 as usize;
        let read_whole = node.inputs.iter().all(|id| whole[id.0 as usize]);
        match &node.op {
            FloatOp::Wiring(_) => {
                whole[made] |= read_whole;
                from[made] = node.inputs.first().map_or(node.output, |id| from[id.0 as usize]);
            }
            FloatOp::Step(_) => {
                let rounded = node.inputs.iter().filter(|id| !whole[id.0 as usize]);
                for id in rounded {
                    let (node, tensor) = (node.name.clone(), from[id.0 as usize]);
                    let one = Rounded { node, tensor };
                    if !all.contains(&one) {
                        all.push(one);
                    }
                }
                whole[made] = true;
            }
            // Sums of yes and no.
            FloatOp::Linear(Linear { map, .. }) => {
                let mut coefficients = map.weight().iter().chain(map.bias());
                whole[made] |= read_whole && coefficients.all(|c| c.fract() == 0.0);
            }
            _ => {}
        }
    }
    all
}
