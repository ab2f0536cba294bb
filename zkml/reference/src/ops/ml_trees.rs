//! Tree ensembles: each row walks down each tree.

use std::collections::HashMap;

use super::ml::{classes, classified, greatest, op, table};
use super::{Call, Made, Operator, Step, Tensor};
use crate::{
    Values,
    attribute::{Declared, floats, int, ints, tensor, text, texts},
    ops::one,
};

/// The attributes of both, and those of one.
macro_rules! with {
    ($($own:expr),* $(,)?) => {
        &[
            floats("base_values"),
            tensor("base_values_as_tensor").from(3),
            ints("nodes_falsenodeids"),
            ints("nodes_featureids"),
            floats("nodes_hitrates"),
            tensor("nodes_hitrates_as_tensor").from(3),
            ints("nodes_missing_value_tracks_true"),
            texts("nodes_modes"),
            ints("nodes_nodeids"),
            ints("nodes_treeids"),
            ints("nodes_truenodeids"),
            floats("nodes_values"),
            tensor("nodes_values_as_tensor").from(3),
            text("post_transform"),
            $($own),*
        ]
    };
}

const OF_CLASSIFIER: &[Declared] = with![
    ints("class_ids"),
    ints("class_nodeids"),
    ints("class_treeids"),
    floats("class_weights"),
    tensor("class_weights_as_tensor").from(3),
    ints("classlabels_int64s"),
    texts("classlabels_strings"),
];
const OF_REGRESSOR: &[Declared] = with![
    text("aggregate_function"),
    int("n_targets"),
    ints("target_ids"),
    ints("target_nodeids"),
    ints("target_treeids"),
    floats("target_weights"),
    tensor("target_weights_as_tensor").from(3),
];

pub(super) const OPERATORS: &[Operator] = &[
    op("TreeEnsemble", 1, 1, ensemble).attributes(&[
        int("aggregate_function"),
        ints("leaf_targetids"),
        tensor("leaf_weights"),
        int("n_targets"),
        ints("nodes_falseleafs"),
        ints("nodes_falsenodeids"),
        ints("nodes_featureids"),
        tensor("nodes_hitrates"),
        ints("nodes_missing_value_tracks_true"),
        tensor("nodes_modes"),
        tensor("nodes_splits"),
        ints("nodes_trueleafs"),
        ints("nodes_truenodeids"),
        int("post_transform"),
        ints("tree_roots"),
    ]),
    op("TreeEnsembleClassifier", 1, 1, classifier).attributes(OF_CLASSIFIER),
    op("TreeEnsembleRegressor", 1, 1, regressor).attributes(OF_REGRESSOR),
];

/// The lists of a node, by place.
struct Trees<'a> {
    modes: &'a [String],
    features: &'a [i64],
    thresholds: &'a [f64],
    tracks: &'a [i64],
    /// Where a node goes on, where its comparison is false and where it is true.
    children: Vec<[usize; 2]>,
    /// The first node of each tree.
    roots: Vec<usize>,
    /// By node, `(score, weight)` of its votes.
    votes: HashMap<usize, Vec<(usize, f64)>>,
}

impl<'a> Trees<'a> {
    fn read(call: &Call<'a>, [scores, nodes, trees]: [&str; 3], weights: &str) -> Step<Self> {
        let list = |name: &str| call.ints(name).unwrap_or_default();
        let (of, ids) = (list("nodes_treeids"), list("nodes_nodeids"));
        let (falses, trues) = (list("nodes_falsenodeids"), list("nodes_truenodeids"));
        let (features, modes) = (list("nodes_featureids"), call.texts("nodes_modes"));
        let thresholds = call.numbers("nodes_values")?;
        let count = modes.len();
        let lengths = [
            of.len(),
            ids.len(),
            falses.len(),
            trues.len(),
            features.len(),
            thresholds.len(),
        ];
        if count == 0 || lengths.iter().any(|&n| n != count) {
            return Err("its lists of nodes are empty or differ in length".into());
        }
        let (mut places, mut roots) = (HashMap::new(), Vec::new());
        for (at, key) in of.iter().zip(ids).enumerate() {
            if at == 0 || of[at - 1] != of[at] {
                roots.push(at);
            }
            if places.insert(key, at).is_some() {
                return Err(format!("node {} of tree {} is there twice", key.1, key.0));
            }
        }
        let mut children = vec![[0; 2]; count];
        for at in (0..count).filter(|&at| modes[at] != "LEAF") {
            for (child, id) in children[at].iter_mut().zip([&falses[at], &trues[at]]) {
                let found = places.get(&(&of[at], id)).copied();
                *child = found.ok_or_else(|| format!("tree {} has no node {id}", of[at]))?;
            }
        }
        let (scores, nodes, trees) = (list(scores), list(nodes), list(trees));
        let weights = call.numbers(weights)?;
        if [nodes.len(), trees.len(), weights.len()]
            .iter()
            .any(|&n| n != scores.len())
        {
            return Err("its lists of votes differ in length".into());
        }
        let mut votes: HashMap<usize, Vec<(usize, f64)>> = HashMap::new();
        for (i, key) in trees.iter().zip(nodes).enumerate() {
            let at = *places
                .get(&key)
                .ok_or_else(|| format!("a vote of node {} of tree {}", key.1, key.0))?;
            let score = usize::try_from(scores[i]).map_err(|_| format!("a vote for {}", scores[i]))?;
            votes.entry(at).or_default().push((score, weights[i]));
        }
        Ok(Self {
            modes,
            features,
            thresholds,
            tracks: list("nodes_missing_value_tracks_true"),
            children,
            roots,
            votes,
        })
    }

    /// The leaf that a row reaches from a root.
    fn leaf(&self, row: &[f64], root: usize) -> Step<usize> {
        let mut at = root;
        // No tree is deeper than there are nodes.
        for _ in 0..=self.modes.len() {
            let mode = self.modes[at].as_str();
            if mode == "LEAF" {
                return Ok(at);
            }
            let feature = self.features[at];
            let x = usize::try_from(feature).ok().and_then(|f| row.get(f));
            let (x, t) = (
                *x.ok_or_else(|| format!("feature {feature} of {}", row.len()))?,
                self.thresholds[at],
            );
            let holds = match mode {
                "BRANCH_LEQ" => x <= t,
                "BRANCH_LT" => x < t,
                "BRANCH_GTE" => x >= t,
                "BRANCH_GT" => x > t,
                "BRANCH_EQ" => x == t,
                "BRANCH_NEQ" => x != t,
                other => return Err(format!("a node of mode `{other}`")),
            };
            let missing = x.is_nan() && self.tracks.get(at).is_some_and(|&t| t != 0);
            at = self.children[at][usize::from(holds || missing)];
        }
        Err("a tree goes round in a circle".into())
    }

    /// Puts a row's votes together; whether each score got one.
    fn add(&self, row: &[f64], scores: &mut [f64], together: fn(f64, f64) -> f64) -> Step<Vec<bool>> {
        let mut got = vec![false; scores.len()];
        for &root in &self.roots {
            let leaf = self.leaf(row, root)?;
            for &(score, weight) in self.votes.get(&leaf).into_iter().flatten() {
                let sum = scores
                    .get_mut(score)
                    .ok_or_else(|| format!("a vote for score {score}"))?;
                *sum = if got[score] {
                    together(*sum, weight)
                } else {
                    weight
                };
                got[score] = true;
            }
        }
        Ok(got)
    }

    /// Rows of scores, and for each row which of them got a vote.
    fn rows(
        &self,
        call: &Call,
        scores: usize,
        together: fn(f64, f64) -> f64,
    ) -> Step<Vec<(Vec<f64>, Vec<bool>)>> {
        let x = call.input(0)?;
        let (rows, features) = table(x)?;
        call.room(&[rows, self.modes.len()])?;
        call.room(&[rows, scores])?;
        let values = super::ml::floats_of(x);
        let row = |at: usize| {
            let mut made = vec![0.0; scores];
            let got = self.add(&values[at * features..(at + 1) * features], &mut made, together)?;
            Ok((made, got))
        };
        (0..rows).map(row).collect()
    }
}

fn regressor(call: &Call) -> Made {
    let trees = Trees::read(
        call,
        ["target_ids", "target_nodeids", "target_treeids"],
        "target_weights",
    )?;
    let targets = crate::ops::size(call.int("n_targets", 1))?;
    let sum: fn(f64, f64) -> f64 = |a, b| a + b;
    let (together, share) = match call.text("aggregate_function", "SUM") {
        "SUM" => (sum, 1.0),
        "AVERAGE" => (sum, 1.0 / trees.roots.len() as f64),
        "MIN" => (f64::min as fn(f64, f64) -> f64, 1.0),
        "MAX" => (f64::max as fn(f64, f64) -> f64, 1.0),
        other => return Err(format!("aggregate_function is `{other}`")),
    };
    super::ml::plain(call)?;
    let base = base(call, targets)?;
    let rows = trees.rows(call, targets, together)?;
    let count = rows.len();
    let values = rows
        .into_iter()
        .flat_map(|(row, _)| {
            row.into_iter()
                .zip(&base)
                .map(|(v, b)| v * share + b)
                .collect::<Vec<_>>()
        })
        .collect();
    one(Tensor::make(
        call.input(0)?.element(),
        vec![count, targets],
        Values::Float(values),
    )?)
}

fn base(call: &Call, scores: usize) -> Step<Vec<f64>> {
    match call.numbers("base_values")? {
        [] => Ok(vec![0.0; scores]),
        base if base.len() == scores => Ok(base.to_vec()),
        base => Err(format!("{} base values for {scores} scores", base.len())),
    }
}

fn classifier(call: &Call) -> Made {
    let trees = Trees::read(
        call,
        ["class_ids", "class_nodeids", "class_treeids"],
        "class_weights",
    )?;
    let classes = classes(call, "classlabels_int64s")?;
    let name = "classlabels_int64s";
    if classes != 2 {
        if classes < 2 {
            return Err("a classifier of one class is not evaluated".into());
        }
        let base = base(call, classes)?;
        let rows = trees.rows(call, classes, |a, b| a + b)?.into_iter();
        let rows = rows.map(|(row, _)| row.iter().zip(&base).map(|(v, b)| v + b).collect());
        return classified(call, name, rows.collect(), &greatest);
    }
    let weights = call.numbers("class_weights")?;
    let voted = call.ints("class_ids").unwrap_or_default();
    let second_of_one = voted.iter().all(|&class| class == 0);
    let rows = trees.rows(call, if second_of_one { 1 } else { classes }, |a, b| a + b)?;
    if !second_of_one {
        if !call.numbers("base_values")?.is_empty() || rows.iter().any(|(_, got)| !got[1]) {
            return Err("base values, or a row without a vote for the second of two classes".into());
        }
        // ONNX Runtime then answers with 0 or 1 whatever the labels are.
        if call
            .ints(name)
            .is_some_and(|labels| !labels.is_empty() && labels != [0, 1])
        {
            return Err("labels other than 0 and 1 of two classes that both get votes".into());
        }
        let rows = rows.into_iter().map(|(row, _)| row);
        // By the sign of the second's score, not against the first's.
        return classified(call, name, rows.collect(), &|row| usize::from(row[1] > 0.0));
    }
    // The score of the second; the first's is what is missing to 1, or its negative.
    let base = base(call, 1)?[0];
    let none_below = weights.iter().all(|&w| w >= 0.0);
    let logistic = call.text("post_transform", "NONE") != "NONE";
    if call.text("post_transform", "NONE") == "SOFTMAX" {
        return Err("SOFTMAX of one score for two classes is not evaluated".into());
    }
    let both = |(row, _): (Vec<f64>, _)| {
        let second = row[0] + base;
        let first = if none_below && !logistic {
            1.0 - second
        } else {
            -second
        };
        vec![first, second]
    };
    let rows = rows.into_iter().map(both).collect();
    // A probability is held against a half, whatever follows it: ONNX Runtime's answer, where ONNX's own evaluator holds what
    // follows against a half.
    let least = if none_below { 0.5 } else { 0.0 };
    classified(call, name, rows, &|row| usize::from(row[1] > least))
}

/// Branches and leaves in two lists.
fn ensemble(call: &Call) -> Made {
    let x = call.input(0)?;
    let (rows, width) = table(x)?;
    let list = |name: &str| call.ints(name).unwrap_or_default();
    let tensor = |name: &str| call.tensor(name).ok_or_else(|| format!("`{name}` is missing"));
    let (features, roots, targets) = (
        list("nodes_featureids"),
        list("tree_roots"),
        list("leaf_targetids"),
    );
    let (modes, splits) = (tensor("nodes_modes")?, tensor("nodes_splits")?.floats()?);
    let weights = tensor("leaf_weights")?.floats()?;
    let (children, leaves) = (
        [list("nodes_falsenodeids"), list("nodes_truenodeids")],
        [list("nodes_falseleafs"), list("nodes_trueleafs")],
    );
    let tracks = list("nodes_missing_value_tracks_true");
    let count = features.len();
    let lengths = children.iter().chain(&leaves).map(|l| l.len());
    if lengths.chain([modes.len(), splits.len()]).any(|n| n != count) || targets.len() != weights.len() {
        return Err("its lists differ in length".into());
    }
    let scores = crate::ops::size(call.int("n_targets", 1))?;
    let share = match call.int("aggregate_function", 1) {
        0 => 1.0 / roots.len() as f64,
        1 => 1.0,
        other => return Err(format!("aggregate_function is {other}")),
    };
    if call.int("post_transform", 0) != 0 {
        return Err("its post_transform is not evaluated".into());
    }
    call.room(&[rows, count.max(scores)])?;
    let place = |id: i64, most: usize| {
        let place = usize::try_from(id).ok().filter(|at| *at < most);
        place.ok_or_else(|| format!("place {id} of {most}"))
    };
    let leaf = |row: &[f64], root: i64| -> Step<usize> {
        let mut at = place(root, count)?;
        for _ in 0..=count {
            let (x, t) = (row[place(features[at], width)?], splits[at]);
            let holds = match modes.number(at) as i64 {
                0 => x <= t,
                1 => x < t,
                2 => x >= t,
                3 => x > t,
                4 => x == t,
                5 => x != t,
                other => return Err(format!("a node of mode {other}")),
            };
            let holds = holds || (x.is_nan() && tracks.get(at).is_some_and(|&t| t != 0));
            let side = usize::from(holds);
            if leaves[side][at] != 0 {
                return place(children[side][at], weights.len());
            }
            at = place(children[side][at], count)?;
        }
        Err("a tree goes round in a circle".into())
    };
    let values = super::ml::floats_of(x);
    let mut made = vec![0.0; rows * scores];
    for row in 0..rows {
        for &root in roots {
            let leaf = leaf(&values[row * width..(row + 1) * width], root)?;
            made[row * scores + place(targets[leaf], scores)?] += weights[leaf] * share;
        }
    }
    one(Tensor::make(
        x.element(),
        vec![rows, scores],
        Values::Float(made),
    )?)
}
