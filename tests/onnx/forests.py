"""Forests over five data sets whose features have units of their own, with the leaf that ONNX Runtime reaches in each tree, the same
for a seed: python forests.py FOLDER ROWS SEED

For each data set NAME.onnx, NAME.x.npy of ROWS rows, and NAME.leaves.npy: by row and tree the number of the leaf. A tree is a
target of its own and a leaf votes its number, so that the answer says which one was reached. Trees are grown as scikit-learn grows
its own: on a part of the rows, at a feature by chance, half-way between two neighbouring values. Rows of which a threshold is
made are among those that are asked, and so are values that are thresholds, those an ulp beside them, and where trees say what
becomes of them missing and infinite ones."""

import pathlib
import sys

import numpy
import onnxruntime
from onnx import TensorProto, helper

TREES = 8
DEPTH = 5
TRAINED = 2000
DOMAIN = "ai.onnx.ml"


def medical(random, rows):
    """Normal features from a thousandth to some thousands, as measures of cells are."""
    scale = 10.0 ** random.uniform(-3, 3.5, 12)
    return scale * (3 + random.standard_normal((rows, 12)))


def units(random, rows):
    """Log-normal features over twelve powers of ten."""
    return 10.0 ** random.uniform(-6, 6, 10) * numpy.exp(2 * random.standard_normal((rows, 10)))


def prices(random, rows):
    """Prices with two decimals beside counts and days: whatever is asked is a threshold's neighbour."""
    price = numpy.round(numpy.exp(random.uniform(0, 9, (rows, 4))), 2)
    count = random.integers(0, 40, (rows, 3))
    day = random.integers(15000, 20000, (rows, 1))
    share = numpy.round(random.uniform(0, 1, (rows, 2)), 3)
    return numpy.concatenate([price, count, day, share], axis=1)


def sensors(random, rows):
    """Readings around a large offset, which leaves their differences few bits, and small ones of both signs."""
    far = 101325 + 40 * random.standard_normal((rows, 3))
    near = 1e-4 * random.standard_normal((rows, 3))
    return numpy.concatenate([far, near, numpy.round(20 + 8 * random.standard_normal((rows, 2)), 1)], axis=1)


def survey(random, rows):
    """Answers that are missing as often as not, ages, incomes."""
    income = numpy.round(numpy.exp(10 + random.standard_normal((rows, 2))), -1)
    age = random.integers(18, 95, (rows, 1)).astype(float)
    answers = random.integers(1, 6, (rows, 4)).astype(float)
    return numpy.concatenate([income, age, answers], axis=1)


# With `missing`, values are missing or infinite, and every node says where they go.
SETS = {"medical": medical, "units": units, "prices": prices, "sensors": sensors, "survey": survey}
MISSING = {"units", "survey"}


class Forest:
    def __init__(self, random, x, missing):
        self.random, self.x, self.missing = random, x, missing
        names = ["treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids"]
        self.lists = {"nodes_" + name: [] for name in [*names, "missing_value_tracks_true"]}
        self.leaves = []
        self.thresholds = [[] for _ in range(x.shape[1])]
        for tree in range(TREES):
            self.count, self.reached = 0, 0
            self.grow(tree, random.choice(len(x), TRAINED), DEPTH)

    def put(self, tree, node, values):
        for name, value in zip(self.lists, (tree, node, *values)):
            self.lists[name].append(value)

    def grow(self, tree, rows, depth):
        """The number of the node that these rows come to."""
        node, self.count = self.count, self.count + 1
        feature = int(self.random.integers(self.x.shape[1]))
        values = numpy.unique(self.x[rows, feature])
        values = values[numpy.isfinite(values)]
        if depth == 0 or len(values) < 2:
            self.leaves.append((tree, node, self.reached))
            self.reached += 1
            self.put(tree, node, ("LEAF", 0, 0.0, 0, 0, 0))
            return node
        at = int(self.random.integers(len(values) - 1))
        middle = (float(values[at]) + float(values[at + 1])) / 2
        # The greatest float that is at most half-way.
        threshold = numpy.float32(middle)
        if float(threshold) > middle:
            threshold = numpy.nextafter(threshold, numpy.float32(-numpy.inf))
        modes = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE"] if self.missing else ["BRANCH_LEQ"]
        mode = modes[int(self.random.integers(len(modes)))]
        tracks = int(self.random.integers(2)) if self.missing else 0
        self.thresholds[feature].append(threshold)
        place = len(self.lists["nodes_modes"])
        self.put(tree, node, (mode, feature, float(threshold), 0, 0, tracks))
        below = self.x[rows, feature] <= threshold
        for name, part in [("nodes_truenodeids", rows[below]), ("nodes_falsenodeids", rows[~below])]:
            self.lists[name][place] = self.grow(tree, part, depth - 1)
        return node

    def model(self):
        trees, nodes, numbers = zip(*self.leaves)
        made = helper.make_node(
            "TreeEnsembleRegressor", ["x"], ["y"], domain=DOMAIN, n_targets=TREES, **self.lists,
            target_treeids=trees, target_nodeids=nodes, target_ids=trees, target_weights=[float(n) for n in numbers],
        )
        ports = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", size])]
            for name, size in [("x", self.x.shape[1]), ("y", TREES)]
        ]
        graph = helper.make_graph([made], "forest", *ports)
        imports = [helper.make_opsetid("", 17), helper.make_opsetid(DOMAIN, 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)

    def asked(self, x):
        """Rows some of whose values are thresholds, or beside one, or missing or infinite."""
        x = x.copy()
        for feature, thresholds in enumerate(self.thresholds):
            if not thresholds:
                continue
            near = numpy.array(thresholds, dtype=numpy.float32)
            ways = [near, numpy.nextafter(near, numpy.float32(numpy.inf)), numpy.nextafter(near, numpy.float32(-numpy.inf))]
            near = numpy.concatenate(ways)
            chosen = self.random.random(len(x)) < 0.3
            x[chosen, feature] = self.random.choice(near, int(chosen.sum()))
        if self.missing:
            x[self.random.random(x.shape) < 0.2] = numpy.nan
            x[self.random.random(x.shape) < 0.02] = numpy.inf
            x[self.random.random(x.shape) < 0.02] = -numpy.inf
            x[self.random.random(x.shape) < 0.02] = -0.0
        return x


def main(folder, rows, seed):
    for number, (name, make) in enumerate(SETS.items()):
        random = numpy.random.Generator(numpy.random.PCG64([int(seed), number]))
        x = make(random, int(rows)).astype(numpy.float32)
        forest = Forest(random, x, name in MISSING)
        x, model = forest.asked(x), forest.model()
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        leaves = session.run(["y"], {"x": x})[0]
        # Each tree asked alone, plainly: the oracle is not taken at its word.
        assert (leaves == walked(forest, x)).all(), name
        base = pathlib.Path(folder) / name
        base.with_suffix(".onnx").write_bytes(model.SerializeToString())
        numpy.save(str(base) + ".x.npy", x)
        numpy.save(str(base) + ".leaves.npy", leaves)


COMPARED = {"BRANCH_LEQ": numpy.less_equal, "BRANCH_LT": numpy.less, "BRANCH_GT": numpy.greater, "BRANCH_GTE": numpy.greater_equal}


def walked(forest, x):
    """The leaf of each row in each tree."""
    lists, all_rows = forest.lists, numpy.arange(len(x))
    places = {key: at for at, key in enumerate(zip(lists["nodes_treeids"], lists["nodes_nodeids"]))}
    numbers = {(tree, node): number for tree, node, number in forest.leaves}
    leaves = numpy.zeros((len(x), TREES), dtype=numpy.float32)
    for tree in range(TREES):
        stack = [(0, all_rows)]
        while stack:
            node, rows = stack.pop()
            at = places[tree, node]
            if lists["nodes_modes"][at] == "LEAF":
                leaves[rows, tree] = numbers[tree, node]
                continue
            value = x[rows, lists["nodes_featureids"][at]]
            holds = COMPARED[lists["nodes_modes"][at]](value, numpy.float32(lists["nodes_values"][at]))
            holds |= numpy.isnan(value) & bool(lists["nodes_missing_value_tracks_true"][at])
            stack += [(lists["nodes_truenodeids"][at], rows[holds]), (lists["nodes_falsenodeids"][at], rows[~holds])]
    return leaves


if __name__ == "__main__":
    main(*sys.argv[1:])
