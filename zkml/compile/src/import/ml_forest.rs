//! Forests as comparisons, paths and votes.
//!
//! Invariant: every value between the features and the sum of votes is 0 or 1, exactly. A question is whether a feature is above
//! a threshold, or below it, and says what it is of a missing one; a leaf is reached where all answers on its path are those that lead there, which is one more step
//! of a sum of answers; its votes are then a dense map.

use std::collections::BTreeMap;

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, small, unsupported};
use super::ml::table;
use super::recipe::Call;
use super::{moved, wiring};
use crate::float::{FloatMap, FloatOp};
use crate::ops::Step;

/// Answers on the paths of all leaves, added up, and votes.
const MAX_ANSWERS: usize = 1 << 22;
/// What one node of the graph has of either: a slice takes 2^21.
const AT_ONCE: usize = 1 << 20;

/// How a branch compares its feature with its threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    Unequal,
}

/// A node of a tree.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// It goes on at `children[0]` where the comparison is false, at `children[1]` where it is true.
    Branch {
        feature: usize,
        mode: Mode,
        threshold: f64,
        /// Whether the comparison counts as true where the feature is missing.
        missing: bool,
        children: [usize; 2],
    },
    /// For which scores it votes, and how much.
    Leaf(Vec<(usize, f64)>),
}

/// Trees whose votes are added up.
#[derive(Debug, Clone, Default)]
pub(super) struct Forest {
    pub nodes: Vec<Node>,
    pub roots: Vec<usize>,
    /// What each score is before any vote.
    pub base: Vec<f64>,
}

/// Whether a feature is above (or below) a threshold, which is kept by its bits, and what is so of a missing one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Question {
    feature: usize,
    below: bool,
    missing: bool,
    threshold: u64,
}

/// A leaf is reached where `Σ weight · answer + bias > 0`.
struct Leaf<'f> {
    answers: Vec<(usize, f64)>,
    bias: f64,
    votes: &'f [(usize, f64)],
}

/// The questions of a forest, each once, in the order in which they are first asked.
#[derive(Default)]
struct Questions {
    all: Vec<Question>,
    places: BTreeMap<Question, usize>,
}

impl Questions {
    fn place(&mut self, question: Question) -> usize {
        let next = self.all.len();
        let place = *self.places.entry(question).or_insert(next);
        if place == next {
            self.all.push(question);
        }
        place
    }
}

/// What leads to a leaf: for each feature and side the tightest threshold, by answer, and what cannot be put so.
#[derive(Default)]
struct Path {
    /// By feature, side, what is so of a missing one, and answer.
    tightest: BTreeMap<(usize, bool, bool, bool), f64>,
    /// Feature, threshold, and what "above" is of a missing one; "below" is not so.
    unequal: Vec<(usize, f64, bool)>,
}

impl Path {
    /// A comparison that held, or did not; `missing` is whether it counts as true of a missing value.
    fn step(&mut self, feature: usize, (mode, missing): (Mode, bool), threshold: f64, held: bool) {
        // What the question is of a missing value, so that the comparison is what it has to be.
        let of_above = match mode {
            Mode::AtMost | Mode::Equal => !missing,
            Mode::Above | Mode::Unequal => missing,
            Mode::Below | Mode::AtLeast => false,
        };
        let of_below = match mode {
            Mode::Below => missing,
            Mode::AtLeast => !missing,
            Mode::AtMost | Mode::Above | Mode::Equal | Mode::Unequal => false,
        };
        // Which questions have which answer.
        let answers: &[(bool, bool)] = match (mode, held) {
            (Mode::AtMost, true) | (Mode::Above, false) => &[(false, false)],
            (Mode::AtMost, false) | (Mode::Above, true) => &[(false, true)],
            (Mode::Below, true) | (Mode::AtLeast, false) => &[(true, true)],
            (Mode::Below, false) | (Mode::AtLeast, true) => &[(true, false)],
            (Mode::Equal, true) | (Mode::Unequal, false) => &[(false, false), (true, false)],
            (Mode::Equal, false) | (Mode::Unequal, true) => {
                self.unequal.push((feature, threshold, of_above));
                &[]
            }
        };
        for &(below, answer) in answers {
            let missing = if below { of_below } else { of_above };
            let key = (feature, below, missing, answer);
            let held = self.tightest.entry(key).or_insert(threshold);
            // "Above t" and "not below t" hold for less the greater t is, the others the smaller.
            let tighter = if below == answer {
                threshold < *held
            } else {
                threshold > *held
            };
            if tighter {
                *held = threshold;
            }
        }
    }

    fn leaf<'f>(&self, questions: &mut Questions, votes: &'f [(usize, f64)]) -> Leaf<'f> {
        let mut place = |feature, below, missing, threshold: f64| {
            questions.place(Question {
                feature,
                below,
                missing,
                threshold: threshold.to_bits(),
            })
        };
        let (mut answers, mut bias) = (Vec::new(), 1.0);
        for (&(feature, below, missing, answer), &threshold) in &self.tightest {
            let at = place(feature, below, missing, threshold);
            answers.push((at, if answer { 1.0 } else { -1.0 }));
            bias -= f64::from(u8::from(answer));
        }
        // One of the two, never both.
        for &(feature, threshold, missing) in &self.unequal {
            answers.push((place(feature, false, missing, threshold), 1.0));
            answers.push((place(feature, true, false, threshold), 1.0));
            bias -= 1.0;
        }
        Leaf { answers, bias, votes }
    }
}

impl Forest {
    /// For all leaves, how many branches lead there, added up; every node hangs on one branch at most, and behind a root.
    fn check(&self) -> Result<(), Refusal> {
        let mut seen = vec![false; self.nodes.len()];
        let mut stack: Vec<(usize, usize)> = self.roots.iter().map(|&r| (r, 0)).collect();
        let mut answers = 0usize;
        while let Some((at, depth)) = stack.pop() {
            match seen.get_mut(at) {
                Some(seen) if !*seen => *seen = true,
                Some(_) => return unsupported("a node of its trees hangs on two branches"),
                None => return unsupported("a branch of its trees leads to no node"),
            }
            match &self.nodes[at] {
                Node::Branch { children, .. } => stack.extend(children.map(|c| (c, depth + 1))),
                Node::Leaf(votes) => answers += depth + votes.len(),
            }
            if answers > MAX_ANSWERS {
                return unsupported(format!(
                    "its trees have more than {MAX_ANSWERS} votes and branches on the paths of all leaves together"
                ));
            }
        }
        // Whatever hangs on no branch is a root.
        if seen.contains(&false) {
            return unsupported("a tree of it goes round in a circle");
        }
        Ok(())
    }

    /// The leaves that vote, those with the shortest paths first.
    fn leaves(&self, questions: &mut Questions) -> Vec<Leaf<'_>> {
        let mut leaves = Vec::new();
        for &root in &self.roots {
            let mut path: Vec<(usize, bool)> = Vec::new();
            let mut stack = vec![(root, 0, None)];
            while let Some((at, depth, step)) = stack.pop() {
                path.truncate(depth);
                path.extend(step);
                match &self.nodes[at] {
                    Node::Branch { children, .. } => {
                        let behind = [1, 0].map(|held| (children[held], path.len(), Some((at, held == 1))));
                        stack.extend(behind);
                    }
                    Node::Leaf(votes) => {
                        let mut taken = Path::default();
                        for &(branch, held) in &path {
                            if let Node::Branch {
                                feature,
                                mode,
                                threshold,
                                missing,
                                ..
                            } = self.nodes[branch]
                            {
                                taken.step(feature, (mode, missing), threshold, held);
                            }
                        }
                        if !votes.is_empty() {
                            leaves.push(taken.leaf(questions, votes));
                        }
                    }
                }
            }
        }
        leaves.sort_by_key(|leaf| leaf.answers.len());
        leaves
    }
}

/// The scores of a forest, `[rows, scores]`.
pub(super) fn scores(
    draft: &mut Draft,
    call: &Call<'_>,
    x: TensorId,
    forest: &Forest,
) -> Result<TensorId, Refusal> {
    forest.check()?;
    let [rows, features] = table(draft, x)?;
    let mut questions = Questions::default();
    let mut leaves = forest.leaves(&mut questions);
    let mut base = forest.base.clone();
    // A tree that is a leaf votes always.
    let always = leaves.iter().take_while(|leaf| leaf.answers.is_empty()).count();
    for leaf in leaves.drain(..always) {
        vote(&mut base, leaf.votes, |score, weight| *score += weight)?;
    }
    let scores = base.len();
    let shape = [rows, scores];
    if leaves.is_empty() {
        let values: Vec<f64> = (0..rows).flat_map(|_| base.iter().copied()).collect();
        return moved::constant(draft, call.name, &values, &shape);
    }
    let answers = ask(draft, call.name, x, [rows, features], &questions.all)?;
    let mut sums = Vec::new();
    let mut rest = &leaves[..];
    while !rest.is_empty() {
        let fits = |n: &usize| {
            let longest = rest[n - 1].answers.len();
            n * longest.max(scores).max(rows) <= AT_ONCE
        };
        let count = (1..=rest.len()).take_while(fits).last();
        let Some(count) = count else {
            return unsupported(format!("a leaf of more than {AT_ONCE} answers, votes or rows"));
        };
        let (now, later) = rest.split_at(count);
        let base = if sums.is_empty() {
            base.clone()
        } else {
            vec![0.0; scores]
        };
        sums.push(voted(
            draft,
            call.name,
            answers,
            [rows, questions.all.len()],
            now,
            base,
        )?);
        rest = later;
    }
    if let [only] = sums[..] {
        return Ok(only);
    }
    let map = super::binary::combination(rows * scores, vec![1.0; sums.len()])?;
    draft.linear(call.name, map, &sums, &shape)
}

/// Adds a leaf's votes.
fn vote<T>(
    scores: &mut [T],
    votes: &[(usize, f64)],
    mut add: impl FnMut(&mut T, f64),
) -> Result<(), Refusal> {
    for &(score, weight) in votes {
        match scores.get_mut(score) {
            Some(score) => add(score, weight),
            None => return unsupported(format!("a vote for score {score}, of {}", scores.len())),
        }
    }
    Ok(())
}

/// The answers, `[rows, questions]`.
fn ask(
    draft: &mut Draft,
    name: &str,
    x: TensorId,
    [rows, features]: [usize; 2],
    questions: &[Question],
) -> Result<TensorId, Refusal> {
    if let Some(question) = questions.iter().find(|q| q.feature >= features) {
        return unsupported(format!("feature {} of a row of {features}", question.feature));
    }
    let asked = gather(rows, features, &questions.iter().map(|q| q.feature));
    let shape = [rows, questions.len()];
    let asked = wiring::emit(draft, name, x, &shape, asked)?;
    let sign = |q: &Question| if q.below { -1.0 } else { 1.0 };
    let bias = questions
        .iter()
        .map(|q| -sign(q) * f64::from_bits(q.threshold))
        .collect();
    let map = affine(rows, questions.iter().map(sign).collect(), bias)?;
    let missing = Some(questions.iter().map(|q| q.missing).collect());
    draft.node(name, FloatOp::Step(Step { map, missing }), &[asked], &shape)
}

/// The sums of some leaves' votes.
fn voted(
    draft: &mut Draft,
    name: &str,
    answers: TensorId,
    [rows, questions]: [usize; 2],
    leaves: &[Leaf<'_>],
    base: Vec<f64>,
) -> Result<TensorId, Refusal> {
    // The shortest paths are first.
    let longest = leaves.last().map_or(0, |leaf| leaf.answers.len());
    let (mut read, mut scale) = (Vec::new(), Vec::new());
    for k in 0..longest {
        let answer = |leaf: &Leaf<'_>| leaf.answers.get(k).copied().unwrap_or((0, 0.0));
        let places = gather(rows, questions, &leaves.iter().map(|leaf| answer(leaf).0));
        read.push(wiring::emit(draft, name, answers, &[rows, leaves.len()], places)?);
        scale.extend(leaves.iter().map(|leaf| answer(leaf).1));
    }
    let map = affine(rows, scale, leaves.iter().map(|leaf| leaf.bias).collect())?;
    let reached = draft.node(name, FloatOp::Step(Step::new(map)), &read, &[rows, leaves.len()])?;
    let mut weight = vec![0.0; base.len() * leaves.len()];
    for (at, leaf) in leaves.iter().enumerate() {
        let mut column: Vec<f64> = vec![0.0; base.len()];
        vote(&mut column, leaf.votes, |sum, weight| *sum += weight)?;
        for (score, sum) in column.into_iter().enumerate() {
            weight[score * leaves.len() + at] = sum;
        }
    }
    let shape = [rows, base.len()];
    let [inputs, outputs] = small([leaves.len(), base.len()])?;
    let map = FloatMap::Dense {
        inputs,
        outputs,
        weight,
        bias: base,
    };
    draft.linear(name, map, &[reached], &shape)
}

/// Row by row, the places of a row.
fn gather(rows: usize, width: usize, places: &(impl Iterator<Item = usize> + Clone)) -> Vec<u32> {
    // A tensor has at most 2^22 values.
    (0..rows)
        .flat_map(|row| places.clone().map(move |place| (row * width + place) as u32))
        .collect()
}

/// Row by row the same, one channel for each value of a row.
fn affine(rows: usize, scale: Vec<f64>, bias: Vec<f64>) -> Result<FloatMap, Refusal> {
    let [outer, channels] = small([rows, bias.len()])?;
    Ok(FloatMap::Affine {
        outer,
        channels,
        inner: 1,
        scale,
        bias,
    })
}
