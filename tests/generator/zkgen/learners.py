"""Operators of the domain ai.onnx.ml."""

import numpy as np
from onnx import TensorProto, helper

from .builder import ML
from .registry import operator


def _rows(x):
    return x.rank == 2 and x.shape[1] <= 10 and x.shape[0] <= 8


def _floats(values):
    return [float(v) for v in np.ravel(values)]


def _ml(b, op, inputs, shape, *versions, **attributes):
    b.of_ml(*(versions or (1, 2, 3, 5)))
    return b.node(op, inputs, shape, domain=ML, **attributes)


@operator("Scaler", fits=_rows)
def scaler(b, x):
    each = b.pick([1, x.shape[1]])
    offset, scale = b.normal(each), b.between(each, 0.4, 1.8, signs=True)
    return _ml(b, "Scaler", [x], x.shape, offset=_floats(offset), scale=_floats(scale))


@operator("Normalizer", fits=lambda x: _rows(x) and x.shape[1] >= 4)
def normalizer(b, x):
    norm = b.pick(["MAX", "L1", "L2"])
    # No row is near 0: it is divided.
    x = b.node("Sigmoid", [x], x.shape)
    if norm != "MAX":
        x = b.node("Mul", [x, b.constant(b.between(x.shape[1:], 0.5, 1.5, signs=True))], x.shape)
    return _ml(b, "Normalizer", [x], x.shape, norm=norm)


@operator("Binarizer", scalar=False)
def binarizer(b, x):
    return _ml(b, "Binarizer", [x], x.shape, threshold=b.pick([0.0, 0.3, -0.7]))


@operator("Imputer", fits=_rows)
def imputer(b, x):
    values = _floats(b.normal(b.pick([1, x.shape[1]])))
    return _ml(b, "Imputer", [x], x.shape, imputed_value_floats=values, replaced_value_float=float("nan"))


@operator("FeatureVectorizer", fits=_rows)
def vectorizer(b, x):
    alike = [t for t in b.tensors if t.rank == 2 and t.shape[0] == x.shape[0]]
    parts = [x, *(b.pick(alike) for _ in range(b.rng.randint(0, 2)))]
    sizes = [p.shape[1] for p in parts]
    return _ml(b, "FeatureVectorizer", parts, (x.shape[0], sum(sizes)), inputdimensions=sizes)


@operator("ArrayFeatureExtractor", fits=lambda x: x.rank in (1, 2))
def extractor(b, x):
    width = x.shape[-1]
    places = [b.rng.randrange(width) for _ in range(b.rng.randint(1, 4))]
    lead = x.shape[:-1] or (1,)
    return _ml(b, "ArrayFeatureExtractor", [x, b.ints(places)], (*lead, len(places)))


@operator("ArrayFeatureExtractor(places)", fits=lambda x: x.rank == 1 and 0 < x.most < 40, of=("int64",))
def extractor_at(b, x):
    """A list that is a constant, at computed places."""
    entries = b.normal((1, x.most + 1 + b.rng.randint(0, 3)))
    if b.chance(0.4):
        entries = np.round(entries * 4)
    return _ml(b, "ArrayFeatureExtractor", [b.constant(entries), x], (1, x.len))


@operator("LabelEncoder", fits=lambda x: x.rank > 0 and 0 < x.most < 40, of=("int64",))
def encoder(b, x):
    """Some of the numbers, and what stands in their places."""
    keys = b.rng.sample(range(x.most + 2), b.rng.randint(1, min(6, x.most + 2)))
    values = _floats(np.round(b.normal(len(keys)) * 4) if b.chance(0.5) else b.normal(len(keys)))
    return _ml(
        b, "LabelEncoder", [x], x.shape, 2, 3, 5, keys_int64s=keys, values_floats=values, default_float=b.pick([0.0, -1.5]),
    )


@operator("OneHotEncoder", fits=lambda x: x.rank > 0 and 0 < x.most < 40, of=("int64",))
def one_hot_encoder(b, x):
    categories = b.rng.sample(range(x.most + 2), b.rng.randint(1, min(6, x.most + 2)))
    return _ml(b, "OneHotEncoder", [x], (*x.shape, len(categories)), cats_int64s=categories)


@operator("LinearRegressor", fits=_rows)
def linear_regressor(b, x):
    targets = b.rng.randint(1, 3)
    attributes = {"coefficients": _floats(b.normal((targets, x.shape[1]), 0.5)), "targets": targets}
    if b.chance(0.7):
        attributes["intercepts"] = _floats(b.normal(targets, 0.5))
    return _ml(b, "LinearRegressor", [x], (x.shape[0], targets), **attributes)


def _labels(b, classes):
    """Names of classes: in order, or any."""
    return list(range(classes)) if b.chance(0.5) else b.rng.sample(range(-5, 40), classes)


def _classified(b, op, x, classes, *versions, **attributes):
    b.of_ml(*versions)
    shapes = [(x.shape[0],), (x.shape[0], classes)]
    made = b.node(op, [x], shapes, kind=["int64", "float"], domain=ML, **attributes)
    if b.chance(0.3):
        made.reverse()
    return made


@operator("LinearClassifier", fits=_rows, weight=1.5)
def linear_classifier(b, x):
    classes = b.rng.randint(2, 4)
    rows = 1 if classes == 2 and b.chance(0.5) else classes
    post = b.pick(["NONE", "LOGISTIC"] + (["SOFTMAX"] if rows > 1 else []))
    return _classified(
        b, "LinearClassifier", x, classes, 1, 2, 3, 5,
        coefficients=_floats(b.normal((rows, x.shape[1]), 0.7)), intercepts=_floats(b.normal(rows, 0.5)),
        classlabels_ints=_labels(b, classes), post_transform=post, multi_class=b.rng.randint(0, 1),
    )


class Trees:
    """Lists of a few random trees, as the attributes of a node have them."""

    MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT")

    def __init__(self, b, features, scores, trees, every=False):
        self.b, self.features, self.scores, self.every = b, features, scores, every
        self.nodes = {n: [] for n in ("treeids", "nodeids", "featureids", "modes", "values", "falsenodeids", "truenodeids")}
        self.votes = {"ids": [], "nodeids": [], "treeids": [], "weights": []}
        for tree in range(trees):
            self.next = 0
            self._node(tree, b.rng.randint(0 if trees > 1 else 1, 3))

    def _node(self, tree, depth):
        at, b = self.next, self.b
        self.next += 1
        leaf = depth == 0
        row = len(self.nodes["modes"])
        mode, value, feature = "LEAF", 0.0, 0
        if not leaf:
            mode, value, feature = b.pick(self.MODES), float(np.float32(b.rng.gauss(0, 0.7))), b.rng.randrange(self.features)
        for name, v in zip(self.nodes, (tree, at, feature, mode, value, 0, 0)):
            self.nodes[name].append(v)
        if leaf:
            for score in range(self.scores) if self.every else [b.rng.randrange(self.scores)]:
                for name, v in zip(self.votes, (score, at, tree, float(b.between((), 0.1, 1.0)))):
                    self.votes[name].append(v)
            return at
        self.nodes["falsenodeids"][row] = self._node(tree, depth - 1 if b.chance(0.7) else 0)
        self.nodes["truenodeids"][row] = self._node(tree, depth - 1 if b.chance(0.7) else 0)
        return at

    def attributes(self, kind):
        """With the votes' names of a classifier or regressor."""
        nodes = {f"nodes_{n}": v for n, v in self.nodes.items()}
        return {**nodes, **{f"{kind}_{n}": v for n, v in self.votes.items()}}


@operator("TreeEnsembleRegressor", few=True, fits=_rows, weight=1.5)
def tree_regressor(b, x):
    targets, trees = b.rng.randint(1, 3), b.rng.randint(1, 3)
    attributes = Trees(b, x.shape[1], targets, trees).attributes("target")
    if b.chance(0.4):
        attributes["base_values"] = _floats(b.normal(targets, 0.5))
    if b.chance(0.3):
        attributes["aggregate_function"] = b.pick(["SUM", "AVERAGE"])
    return _ml(b, "TreeEnsembleRegressor", [x], (x.shape[0], targets), 1, 3, n_targets=targets, **attributes)


@operator("TreeEnsembleClassifier", few=True, fits=_rows, weight=1.5)
def tree_classifier(b, x):
    """Of three classes and more, each with a vote in every leaf; of two, with votes for one of them: other forms are read in
    several ways."""
    classes = b.rng.randint(2, 4)
    trees = Trees(b, x.shape[1], 1 if classes == 2 else classes, b.rng.randint(1, 3), every=True)
    attributes = trees.attributes("class")
    if classes == 2 and b.chance(0.3):
        # Scores of both signs are no probabilities.
        attributes["class_weights"] = [w if i % 2 else -w for i, w in enumerate(attributes["class_weights"])]
    post = b.pick(["NONE", "LOGISTIC"] + (["SOFTMAX"] if classes > 2 else []))
    return _classified(
        b, "TreeEnsembleClassifier", x, classes, 1, 3,
        classlabels_int64s=_labels(b, classes), post_transform=post, **attributes,
    )


@operator("TreeEnsemble", few=True, fits=_rows, weight=1.5)
def tree_ensemble(b, x):
    """Branches and leaves in two lists."""
    targets = b.rng.randint(1, 2)
    branches, leaves, roots = [], [], []

    def grow(depth):
        at = len(branches)
        branches.append(None)
        mode, split = b.rng.randint(0, 3), float(np.float32(b.rng.gauss(0, 0.7)))
        sides = []
        for _ in range(2):
            if depth and b.chance(0.6):
                sides.append((grow(depth - 1), 0))
            else:
                leaves.append((b.rng.randrange(targets), float(b.normal(()))))
                sides.append((len(leaves) - 1, 1))
        branches[at] = (b.rng.randrange(x.shape[1]), mode, split, *sides[0], *sides[1])
        return at

    for _ in range(b.rng.randint(1, 3)):
        roots.append(grow(b.rng.randint(0, 2)))
    features, modes, splits, no, no_leaf, yes, yes_leaf = (list(c) for c in zip(*branches))
    tensor = lambda name, kind, values: helper.make_tensor(name, kind, [len(values)], values)
    return _ml(
        b, "TreeEnsemble", [x], (x.shape[0], targets), 5, n_targets=targets, tree_roots=roots, nodes_featureids=features,
        nodes_modes=tensor("modes", TensorProto.UINT8, modes), nodes_splits=tensor("splits", TensorProto.FLOAT, splits),
        nodes_falsenodeids=no, nodes_falseleafs=no_leaf, nodes_truenodeids=yes, nodes_trueleafs=yes_leaf,
        leaf_targetids=[t for t, _ in leaves], leaf_weights=tensor("weights", TensorProto.FLOAT, [w for _, w in leaves]),
        post_transform=0, aggregate_function=b.pick([0, 1]),
    )


@operator("SVMRegressor", fits=lambda x: _rows(x) and x.shape[1] <= 6)
def svm_regressor(b, x):
    kernel = b.pick(["LINEAR", "POLY", "RBF", "SIGMOID"])
    supports, features = b.rng.randint(1, 4), x.shape[1]
    return _ml(
        b, "SVMRegressor", [x], (x.shape[0], 1), kernel_type=kernel, n_supports=supports, rho=_floats(b.normal(1, 0.5)),
        kernel_params=_kernel(b, kernel), coefficients=_floats(b.normal(supports)),
        support_vectors=_floats(b.normal((supports, features), 0.7)),
    )


def _kernel(b, kernel):
    kernels = {"LINEAR": [0, 0, 3], "POLY": [0.5, 0.5, b.rng.randint(1, 3)], "RBF": [0.3, 0, 3], "SIGMOID": [0.5, 0.1, 3]}
    return [float(v) for v in kernels[kernel]]


@operator("SVMClassifier", fits=lambda x: _rows(x) and x.shape[1] <= 6)
def svm_classifier(b, x):
    """Without probabilities, which an iteration makes."""
    kernel = b.pick(["LINEAR", "POLY", "RBF", "SIGMOID"])
    classes = b.rng.randint(2, 4)
    counts = [b.rng.randint(1, 2) for _ in range(classes)]
    pairs = classes * (classes - 1) // 2
    return _classified(
        b, "SVMClassifier", x, 2 if classes == 2 else pairs, 1, 2, 3, 5, kernel_type=kernel, kernel_params=_kernel(b, kernel),
        vectors_per_class=counts, coefficients=_floats(b.normal((classes - 1, sum(counts)))), rho=_floats(b.normal(pairs, 0.5)),
        support_vectors=_floats(b.normal((sum(counts), x.shape[1]), 0.7)), classlabels_ints=_labels(b, classes),
        post_transform="NONE",
    )


BY_PRODUCT = {"Normalizer", "SVMClassifier", "SVMRegressor", "LinearClassifier", "TreeEnsembleClassifier"}
"""Operators that have functions or products of two computed tensors, in some form."""
