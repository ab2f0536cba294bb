//! Comparisons of an input that is ranked, made ones of its ranks.
//!
//! Invariant: both have the same answer, of a missing value too. Where comparisons at a place differ on what that is, its rank is on
//! the side of most of them; for the others, what says that it is missing brings the rank to the other side of their bound.

use std::collections::{BTreeMap, BTreeSet};

use zkml::graph::{Missing, Ranking, TensorId};

use super::ImportError;
use super::compare::YES_OR_NO;
use super::draft::{Draft, Refusal, unsupported};
use super::moved;
use super::ranked::{Found, Kinds, Place, asked, found, missing_is_above};
use crate::float::{FloatNode, FloatOp, FloatTensor, Hold, Interval};
use crate::ops::{Step, Wiring};

/// Never: it is looked at before anything is changed.
const NO_RANK: &str = "a comparison of an input that is ranked, and this is not";

/// Ranks the inputs of a draft that can be.
///
/// # Errors
/// A tensor that is too large.
pub(super) fn rank(draft: &mut Draft, kinds: &Kinds) -> Result<(), ImportError> {
    let mut left: BTreeSet<u32> = BTreeSet::new();
    for (at, id) in draft.inputs.iter().enumerate() {
        let input = &draft.tensors[id.0 as usize];
        if input.whole || !kinds.contains_key(&input.name) {
            left.insert(at as u32);
        }
    }
    loop {
        if left.len() == draft.inputs.len() {
            return Ok(());
        }
        // With an input that is not ranked go those that it is put beside.
        match found(draft, kinds, &left) {
            Ok(found) => return rewrite(draft, &found).map_err(|why| told(&why)),
            Err(others) => left.extend(others),
        }
    }
}

fn told(refusal: &Refusal) -> ImportError {
    match refusal {
        Refusal::Unsupported(why) => ImportError::Form(why.clone()),
        _ => ImportError::Limit {
            place: "comparisons of inputs".to_owned(),
            what: "values",
            limit: super::MAX_TENSOR_LEN as u64,
        },
    }
}

/// Makes what is ranked ranks, and every comparison one of these.
fn rewrite(draft: &mut Draft, found: &Found) -> Result<(), Refusal> {
    let most = |input: u32| {
        let places = found.ranks.get(&input).map(|ranks| &ranks.places);
        places.into_iter().flatten().map(Ranking::most).max()
    };
    // Whatever is only moved is of ranks too.
    for (id, places) in &found.moved {
        let inputs: BTreeSet<u32> = places.iter().map(|(input, _)| *input).collect();
        // An input that nothing compares has none.
        let Some(most) = inputs.into_iter().map(most).collect::<Option<Vec<i64>>>() else {
            continue;
        };
        let tensor = &mut draft.tensors[id.0 as usize];
        tensor.bound = most.into_iter().max().map(|most| Interval::new(0, most));
        tensor.whole = true;
    }
    for (input, ranks) in &found.ranks {
        let id = draft.inputs[*input as usize];
        draft.tensors[id.0 as usize].ranks = Some(ranks.clone());
    }
    let mut made = Rewriting {
        draft,
        found,
        missing: BTreeMap::new(),
        gathered: BTreeMap::new(),
    };
    for (at, mut node) in std::mem::take(&mut made.draft.nodes).into_iter().enumerate() {
        if found.steps.contains(&at) {
            made.compare(&mut node)?;
        }
        made.draft.nodes.push(node);
    }
    Ok(())
}

/// A draft whose comparisons are made ones of ranks.
struct Rewriting<'a> {
    draft: &'a mut Draft,
    found: &'a Found,
    /// By input at some of whose places comparisons differ on what a missing value is: where each of these stands in a tensor, and
    /// that tensor, which is 1 where the value is missing.
    missing: BTreeMap<u32, (BTreeMap<u32, u32>, TensorId)>,
    /// By tensor whose values are one input's, the same taken from the input itself.
    gathered: BTreeMap<TensorId, TensorId>,
}

impl Rewriting<'_> {
    fn compare(&mut self, node: &mut FloatNode) -> Result<(), Refusal> {
        let found = self.found;
        let (FloatOp::Step(step), &[read]) = (&mut node.op, &node.inputs[..]) else {
            return unsupported(NO_RANK);
        };
        let Some(places) = found.moved.get(&read) else {
            return unsupported(NO_RANK);
        };
        let (mut scale, mut bias, mut corrected) = (Vec::new(), Vec::new(), Vec::new());
        for (t, (input, at)) in places.iter().enumerate() {
            let channel = step.map.channel_of(t);
            let compared = found.ranks.get(input).and_then(|ranks| {
                let asked = asked(step, channel, ranks.float)?;
                let ranking = ranks.place(*at as usize)?;
                Some((asked.above, ranking, ranking.reaches(asked.bound)?))
            });
            let Some((above, ranking, from)) = compared else {
                return unsupported(NO_RANK);
            };
            let sign = if above { 1.0 } else { -1.0 };
            scale.push(sign);
            // rank ≥ from is rank + 1 − from > 0, and rank < from is from − rank > 0.
            bias.push(if above { 1 - from } else { from } as f64);
            // Added where the value is missing, so that the rank above all others comes to be just below `from`, or that below
            // all others, which is 0, to be `from`.
            corrected.push(match (ranking.missing, missing_is_above(step, channel, above)) {
                (Missing::Above, Some(false)) => -sign * (ranking.most() + 1 - from) as f64,
                (Missing::Below, Some(true)) => sign * from as f64,
                _ => 0.0,
            });
        }
        node.inputs = vec![self.gathered(read, places, node.output)];
        let mut rows = vec![scale, bias];
        if corrected.iter().any(|c| *c != 0.0) {
            node.inputs.push(self.missing(places, node.output)?);
            rows.insert(1, corrected);
        }
        *step = Step::new(moved::affine(rows)?);
        Ok(())
    }

    /// A tensor's ranks from where they stand, whatever moved them.
    fn gathered(&mut self, read: TensorId, places: &[Place], like: TensorId) -> TensorId {
        let input = places.first().map_or(0, |(input, _)| *input);
        if places.iter().any(|(other, _)| *other != input) {
            return read;
        }
        if let Some(made) = self.gathered.get(&read) {
            return *made;
        }
        let (from, shape) = (self.draft.inputs[input as usize], self.shape(like));
        let made = self.wiring(from, places.iter().map(|(_, at)| *at).collect(), shape, like);
        self.gathered.insert(read, made);
        made
    }

    /// For each of these places, all of one input, whether its value is missing; 0 or 1, whichever, where all comparisons agree.
    fn missing(&mut self, places: &[Place], like: TensorId) -> Result<TensorId, Refusal> {
        let input = places.first().map_or(0, |(input, _)| *input);
        if !self.missing.contains_key(&input) {
            let made = self.asked_if_missing(input, like)?;
            self.missing.insert(input, made);
        }
        let Some((stands, all)) = self.missing.get(&input) else {
            return unsupported(NO_RANK);
        };
        let sources = places.iter().map(|(_, at)| stands.get(at).copied().unwrap_or(0));
        let (all, sources, shape) = (*all, sources.collect(), self.shape(like));
        Ok(self.wiring(all, sources, shape, like))
    }

    /// Of each place of an input at which comparisons differ, whether the value is missing.
    fn asked_if_missing(
        &mut self,
        input: u32,
        like: TensorId,
    ) -> Result<(BTreeMap<u32, u32>, TensorId), Refusal> {
        let found = self.found;
        let differ = found.differ.get(&input).map_or(&[][..], Vec::as_slice);
        let (mut scale, mut bias) = (Vec::new(), Vec::new());
        for at in differ {
            let Some(ranking) = found
                .ranks
                .get(&input)
                .and_then(|ranks| ranks.place(*at as usize))
            else {
                return unsupported(NO_RANK);
            };
            let above = ranking.missing == Missing::Above;
            scale.push(if above { 1.0 } else { -1.0 });
            bias.push(if above { 1 - ranking.most() } else { 1 } as f64);
        }
        let shape = vec![differ.len() as u32];
        let from = self.draft.inputs[input as usize];
        let ranks = self.wiring(from, differ.to_vec(), shape.clone(), like);
        let step = Step::new(moved::affine(vec![scale, bias])?);
        let made = self.node(FloatOp::Step(step), ranks, shape, like);
        let tensor = &mut self.draft.tensors[made.0 as usize];
        (tensor.bound, tensor.whole) = (Some(YES_OR_NO), true);
        Ok((differ.iter().copied().zip(0..).collect(), made))
    }

    fn shape(&self, of: TensorId) -> Vec<u32> {
        self.draft.tensors[of.0 as usize].shape.clone()
    }

    /// Values of a tensor in other places; the tensor itself where that is none.
    fn wiring(&mut self, from: TensorId, sources: Vec<u32>, shape: Vec<u32>, like: TensorId) -> TensorId {
        let source = &self.draft.tensors[from.0 as usize];
        let (bound, whole) = (source.bound, source.whole);
        if sources.len() == source.len() && sources.iter().copied().eq(0..sources.len() as u32) {
            return from;
        }
        let source = Some(sources);
        let made = self.node(FloatOp::Wiring(Wiring { source }), from, shape, like);
        let tensor = &mut self.draft.tensors[made.0 as usize];
        (tensor.bound, tensor.whole) = (bound, whole);
        made
    }

    /// A node that reads one tensor and is named after another's.
    fn node(&mut self, op: FloatOp, read: TensorId, shape: Vec<u32>, like: TensorId) -> TensorId {
        let name = self.draft.tensors[like.0 as usize].name.clone();
        let output = TensorId(self.draft.tensors.len() as u32);
        self.draft.tensors.push(FloatTensor {
            name: name.clone(),
            shape,
            bound: None,
            whole: false,
            ranks: None,
            hold: Hold::Calibrated,
        });
        let inputs = vec![read];
        self.draft.nodes.push(FloatNode {
            name,
            op,
            inputs,
            output,
        });
        output
    }
}
