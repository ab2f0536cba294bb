//! Tree ensembles, from the lists that a node has of its trees.
//!
//! Invariant: what the lists say of a tree is read once and wholly: a branch that leads nowhere, a vote of no leaf, or a tree
//! without a single root is refused by name. A missing value goes where the node says: every comparison with it is false but that
//! it is unequal, unless `nodes_missing_value_tracks_true` says that it counts as true. Of two classes, scores are what ONNX Runtime makes of them; where it looks at the row's votes to decide what they mean, the form is refused.

use std::collections::{BTreeMap, BTreeSet};

use zkml::graph::TensorId;

use super::draft::{Draft, Refusal, unsupported};
use super::greatest::{label, label_of_two};
use super::ml::{Post, both, classified, labels, numbers, table, tensor};
use super::ml_forest::{self, Forest, Mode, Node};
use super::recipe::{Call, Recipe};

pub(super) const RECIPES: &[Recipe] = &[
    Recipe::new("TreeEnsemble", ensemble),
    Recipe::several("TreeEnsembleClassifier", classifier),
    Recipe::new("TreeEnsembleRegressor", regressor),
];

fn regressor(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if Post::of(call)? != Post::Nothing {
        return unsupported("its `post_transform`: of a regressor only NONE is supported");
    }
    let targets = usize::try_from(call.int("n_targets", 1)?).unwrap_or(0);
    let mut forest = read(
        call,
        ["target_ids", "target_nodeids", "target_treeids"],
        "target_weights",
    )?;
    forest.base = base(call, targets)?;
    match call.text("aggregate_function", "SUM")?.as_str() {
        "SUM" => {}
        "AVERAGE" => forest.average(),
        other => {
            return unsupported(format!(
                "its `aggregate_function` is `{other}`: SUM and AVERAGE are supported"
            ));
        }
    }
    ml_forest::scores(draft, call, call.computed(0)?, &forest)
}

/// What a score is before any vote.
fn base(call: &Call<'_>, scores: usize) -> Result<Vec<f64>, Refusal> {
    let base = numbers(call, "base_values")?;
    match base.len() {
        0 if scores > 0 => Ok(vec![0.0; scores]),
        n if n == scores && n > 0 => Ok(base),
        n => unsupported(format!("{n} base values for {scores} scores")),
    }
}

fn classifier(draft: &mut Draft, call: &Call<'_>) -> Result<Vec<Option<TensorId>>, Refusal> {
    let names = call.ints("classlabels_int64s")?.unwrap_or_default();
    let (classes, post) = (labels(call, "classlabels_int64s")?, Post::of(call)?);
    let mut forest = read(
        call,
        ["class_ids", "class_nodeids", "class_treeids"],
        "class_weights",
    )?;
    let x = call.computed(0)?;
    let votes = || {
        forest.nodes.iter().flat_map(|node| match node {
            Node::Leaf(votes) => &votes[..],
            Node::Branch { .. } => &[],
        })
    };
    let voted: BTreeSet<usize> = votes().map(|(class, _)| *class).collect();
    if classes != 2 {
        if classes < 2 {
            return unsupported("a classifier of one class");
        }
        // ONNX Runtime names the greatest of the classes that got a vote; a base value counts as one.
        let all_count =
            !numbers(call, "base_values")?.is_empty() || (0..classes).all(|class| forest.always_votes(class));
        forest.base = base(call, classes)?;
        let scores = ml_forest::scores(draft, call, x, &forest)?;
        let told = post.apply(draft, call.name, scores)?;
        let [rows, _] = table(draft, x)?;
        return classified(draft, call, told, |draft| {
            if !all_count {
                return unsupported("the label where a class may get no vote: implementations differ on it");
            }
            label(draft, call.name, scores, [rows, classes], &names)
        });
    }
    if voted.len() > 1 {
        if !numbers(call, "base_values")?.is_empty() || !forest.always_votes(1) {
            return unsupported("base values, or rows that get no vote for the second of two classes");
        }
        forest.base = vec![0.0; classes];
        let scores = ml_forest::scores(draft, call, x, &forest)?;
        let told = post.apply(draft, call.name, scores)?;
        // ONNX takes the greater score, ONNX Runtime the sign of the second.
        return classified(draft, call, told, |_| {
            unsupported("the label of two classes that both get votes: implementations differ on it")
        });
    }
    // All votes are for one: its score says what the other's is.
    if voted.first() != Some(&0) {
        return unsupported("two classes whose votes are all for the second; name the first in `class_ids`");
    }
    // Without a vote below 0 the score is a probability.
    let none_below = votes().all(|(_, weight)| *weight >= 0.0);
    let probability = none_below && post == Post::Nothing;
    forest.base = base(call, 1)?;
    let second = ml_forest::scores(draft, call, x, &forest)?;
    let made = both(draft, call, second, post, probability)?;
    let bound = if probability { 0.5 } else { 0.0 };
    classified(draft, call, made, |draft| {
        // ONNX holds what comes of it against a half, ONNX Runtime the score.
        if none_below && !probability {
            return unsupported(
                "the label of two classes whose votes are not below 0, behind a post_transform: implementations differ on it",
            );
        }
        label_of_two(draft, call.name, second, bound, &names)
    })
}

impl Forest {
    /// Makes the sum of all votes the trees' average.
    fn average(&mut self) {
        let share = 1.0 / self.roots.len() as f64;
        for node in &mut self.nodes {
            if let Node::Leaf(votes) = node {
                votes.iter_mut().for_each(|(_, weight)| *weight *= share);
            }
        }
    }

    /// Whether every row gets a vote for this score.
    fn always_votes(&self, score: usize) -> bool {
        let votes = |root: &usize| {
            let mut stack = vec![*root];
            let mut left = self.nodes.len();
            while let Some(at) = stack.pop() {
                // A tree of more nodes than there are is refused elsewhere.
                if left == 0 {
                    return false;
                }
                left -= 1;
                match self.nodes.get(at) {
                    Some(Node::Branch { children, .. }) => stack.extend(children),
                    Some(Node::Leaf(votes)) if votes.iter().any(|(s, _)| *s == score) => {}
                    Some(Node::Leaf(_)) | None => return false,
                }
            }
            true
        };
        self.roots.iter().any(votes)
    }
}

/// The trees of a node; `votes` names the lists of its leaves' votes: score, node and tree.
fn read(call: &Call<'_>, votes: [&str; 3], weights: &str) -> Result<Forest, Refusal> {
    let list = |name: &str| -> Result<Vec<i64>, Refusal> { Ok(call.ints(name)?.unwrap_or_default()) };
    let (trees, ids) = (list("nodes_treeids")?, list("nodes_nodeids")?);
    let (features, modes) = (
        list("nodes_featureids")?,
        call.texts("nodes_modes")?.unwrap_or_default(),
    );
    let thresholds = numbers(call, "nodes_values")?;
    let children = [list("nodes_falsenodeids")?, list("nodes_truenodeids")?];
    let count = trees.len();
    let lengths = [
        ids.len(),
        features.len(),
        modes.len(),
        thresholds.len(),
        children[0].len(),
        children[1].len(),
    ];
    if count == 0 || lengths.iter().any(|&n| n != count) {
        return unsupported("its lists of nodes are empty, or differ in length");
    }
    let tracks = tracks(call, count)?;
    let mut places: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    for (at, key) in trees.iter().copied().zip(ids).enumerate() {
        if places.insert(key, at).is_some() {
            return unsupported(format!("node {} of tree {} is there twice", key.1, key.0));
        }
    }
    let mut nodes = Vec::with_capacity(count);
    let mut hangs = vec![false; count];
    for at in 0..count {
        let mode = match modes[at].as_str() {
            "LEAF" => {
                nodes.push(Node::Leaf(Vec::new()));
                continue;
            }
            "BRANCH_LEQ" => Mode::AtMost,
            "BRANCH_LT" => Mode::Below,
            "BRANCH_GTE" => Mode::AtLeast,
            "BRANCH_GT" => Mode::Above,
            "BRANCH_EQ" => Mode::Equal,
            "BRANCH_NEQ" => Mode::Unequal,
            other => return unsupported(format!("a node of mode `{other}`")),
        };
        let mut behind = [0; 2];
        for (child, list) in behind.iter_mut().zip(&children) {
            let Some(&found) = places.get(&(trees[at], list[at])) else {
                return unsupported(format!("tree {} has no node {}", trees[at], list[at]));
            };
            (*child, hangs[found]) = (found, true);
        }
        let Ok(feature) = usize::try_from(features[at]) else {
            return unsupported(format!("feature {}", features[at]));
        };
        nodes.push(Node::Branch {
            feature,
            mode,
            threshold: thresholds[at],
            missing: tracks[at] || mode == Mode::Unequal,
            children: behind,
        });
    }
    let [scores, leaves, of] = votes.map(list);
    let (scores, leaves, of, weights) = (scores?, leaves?, of?, numbers(call, weights)?);
    if [leaves.len(), of.len(), weights.len()]
        .iter()
        .any(|&n| n != scores.len())
    {
        return unsupported("its lists of votes differ in length");
    }
    for (i, weight) in weights.into_iter().enumerate() {
        let at = places.get(&(of[i], leaves[i]));
        let (Some(Node::Leaf(votes)), Ok(score)) =
            (at.and_then(|&at| nodes.get_mut(at)), usize::try_from(scores[i]))
        else {
            return unsupported(format!(
                "a vote of node {} of tree {}, which is no leaf",
                leaves[i], of[i]
            ));
        };
        votes.push((score, weight));
    }
    // The first node of each tree is its root, and the only one that hangs on none.
    let mut roots: BTreeMap<i64, usize> = BTreeMap::new();
    for (at, tree) in trees.iter().enumerate().filter(|(at, _)| !hangs[*at]) {
        if roots.insert(*tree, at).is_some() {
            return unsupported(format!("tree {tree} has two roots"));
        }
    }
    let all: BTreeSet<i64> = trees.iter().copied().collect();
    if let Some(tree) = all.iter().find(|tree| !roots.contains_key(tree)) {
        return unsupported(format!("tree {tree} has no root"));
    }
    Ok(Forest {
        nodes,
        roots: roots.into_values().collect(),
        base: Vec::new(),
    })
}

/// By node, whether its comparison counts as true where the value is missing.
fn tracks(call: &Call<'_>, nodes: usize) -> Result<Vec<bool>, Refusal> {
    let list = call.ints("nodes_missing_value_tracks_true")?.unwrap_or_default();
    match list.len() {
        0 => Ok(vec![false; nodes]),
        n if n == nodes => Ok(list.iter().map(|of| *of != 0).collect()),
        n => unsupported(format!(
            "`nodes_missing_value_tracks_true` of {n} nodes, where there are {nodes}"
        )),
    }
}

/// The newer operator, whose branches and leaves are two lists; comparisons are numbers in [`MODES`]' order.
fn ensemble(draft: &mut Draft, call: &Call<'_>) -> Result<TensorId, Refusal> {
    if call.int("post_transform", 0)? != 0 {
        return unsupported("its `post_transform`: only NONE (0) is supported");
    }
    let list = |name: &str| -> Result<Vec<i64>, Refusal> { Ok(call.ints(name)?.unwrap_or_default()) };
    let (features, roots, targets) = (
        list("nodes_featureids")?,
        list("tree_roots")?,
        list("leaf_targetids")?,
    );
    let (modes, splits) = (tensor(call, "nodes_modes")?, tensor(call, "nodes_splits")?);
    let weights = tensor(call, "leaf_weights")?;
    let children = [list("nodes_falsenodeids")?, list("nodes_truenodeids")?];
    let leaves = [list("nodes_falseleafs")?, list("nodes_trueleafs")?];
    let count = features.len();
    let lists = children.iter().chain(&leaves).map(Vec::len);
    if lists.chain([modes.len(), splits.len()]).any(|n| n != count) || targets.len() != weights.len() {
        return unsupported("its lists differ in length");
    }
    let place = |id: i64, most: usize| {
        let place = usize::try_from(id).ok().filter(|at| *at < most);
        place.map_or_else(|| unsupported(format!("place {id} of {most}")), Ok)
    };
    let tracks = tracks(call, count)?;
    let mut nodes = vec![Node::Leaf(Vec::new()); count];
    for at in 0..count {
        let Some(&mode) = MODES.get(modes[at] as usize) else {
            return unsupported("a comparison with a set of values");
        };
        let mut behind = [0; 2];
        for (side, child) in behind.iter_mut().enumerate() {
            let id = children[side][at];
            *child = if leaves[side][at] == 0 {
                place(id, count)?
            } else {
                // A leaf that several branches lead to is one for each of them.
                let leaf = place(id, weights.len())?;
                let target = place(targets[leaf], usize::MAX)?;
                nodes.push(Node::Leaf(vec![(target, weights[leaf])]));
                nodes.len() - 1
            };
        }
        nodes[at] = Node::Branch {
            feature: place(features[at], usize::MAX)?,
            mode,
            threshold: splits[at],
            missing: tracks[at] || mode == Mode::Unequal,
            children: behind,
        };
    }
    let roots = roots.into_iter().map(|root| place(root, count));
    let mut forest = Forest {
        nodes,
        roots: roots.collect::<Result<_, _>>()?,
        base: base(call, usize::try_from(call.int("n_targets", 1)?).unwrap_or(0))?,
    };
    match call.int("aggregate_function", 1)? {
        0 => forest.average(),
        1 => {}
        other => {
            return unsupported(format!(
                "its `aggregate_function` is {other}: AVERAGE (0) and SUM (1) are supported"
            ));
        }
    }
    ml_forest::scores(draft, call, call.computed(0)?, &forest)
}

const MODES: [Mode; 6] = [
    Mode::AtMost,
    Mode::Below,
    Mode::AtLeast,
    Mode::Above,
    Mode::Equal,
    Mode::Unequal,
];
