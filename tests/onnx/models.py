"""Random models of the domains ai.onnx.ml and com.microsoft with ONNX Runtime's answers, the same for a seed, laid out as ONNX's node tests are:
python models.py FOLDER COUNT SEED"""

import pathlib
import random
import sys

import numpy
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "ai.onnx.ml"
MICROSOFT = "com.microsoft"
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
LABELS = ["no", "yes", "perhaps", "never"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.features = self.random.randint(1, 6)
        # Small whole numbers meet thresholds.
        self.whole = self.random.random() < 0.5

    def number(self):
        value = self.random.randint(-3, 3) if self.whole else self.random.gauss(0, 1)
        return float(numpy.float32(value))

    def numbers(self, count):
        return [float(numpy.float32(self.random.gauss(0, 1))) for _ in range(count)]

    def trees(self):
        """The lists of nodes, and the leaves."""
        names = ["treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids"]
        lists = {"nodes_" + name: [] for name in names}
        modes = self.random.choice([MODES[:1], MODES[1:2], MODES])
        leaves = []
        for tree in range(self.random.randint(1, 5)):
            nodes = [None]
            for _ in range(self.random.randint(0, 9)):
                at = self.random.choice([i for i, node in enumerate(nodes) if node is None])
                mode, feature = self.random.choice(modes), self.random.randrange(self.features)
                nodes[at] = (mode, feature, self.number(), len(nodes), len(nodes) + 1)
                nodes += [None, None]
            for i, node in enumerate(nodes):
                if node is None:
                    leaves.append((tree, i))
                values = (tree, i, *(node or ("LEAF", 0, 0.0, 0, 0)))
                for name, value in zip(lists, values):
                    lists[name].append(value)
        return lists, leaves

    def votes(self, kind, leaves, scores, numbers):
        pairs = [(tree, node, score) for tree, node in leaves for score in scores]
        return {
            kind + "_treeids": [tree for tree, _, _ in pairs],
            kind + "_nodeids": [node for _, node, _ in pairs],
            kind + "_ids": [score for _, _, score in pairs],
            kind + "_weights": numbers(len(pairs)),
        }

    def labels(self, integers, count):
        if self.random.random() < 0.5:
            return {integers: self.random.sample(range(9), count)}
        return {"classlabels_strings": LABELS[:count]}

    def TreeEnsemble(self):
        """Branches and leaves as two lists, from those of one."""
        lists, leaves = self.trees()
        keys = list(zip(lists["nodes_treeids"], lists["nodes_nodeids"]))
        branches = [key for key in keys if key not in leaves]
        names = ["featureids", "modes", "values", "truenodeids", "falsenodeids"]
        nodes = {key: [lists["nodes_" + name][at] for name in names] for at, key in enumerate(keys)}
        targets = self.random.randint(1, 3)
        made = {"n_targets": targets, "aggregate_function": self.random.choice([0, 1]), "tree_roots": []}
        for tree in sorted(set(lists["nodes_treeids"])):
            if (tree, 0) in branches:
                made["tree_roots"].append(branches.index((tree, 0)))
        if not branches:
            # A tree that is a leaf: both ways lead to it.
            branches, leaves, made["tree_roots"] = [(0, 0)], [(0, 0)], [0]
            nodes[0, 0] = [0, "BRANCH_LEQ", 0.0, 0, 0]
        for side, at in (("true", 3), ("false", 4)):
            child = [(key[0], nodes[key][at]) for key in branches]
            made[f"nodes_{side}leafs"] = [int(c in leaves) for c in child]
            made[f"nodes_{side}nodeids"] = [(leaves if c in leaves else branches).index(c) for c in child]
        tensor = lambda kind, values: helper.make_tensor("values", kind, [len(values)], values)
        made["nodes_featureids"] = [nodes[key][0] for key in branches]
        made["nodes_modes"] = tensor(TensorProto.UINT8, [MODES.index(nodes[key][1]) for key in branches])
        made["nodes_splits"] = tensor(TensorProto.FLOAT, [nodes[key][2] for key in branches])
        made["leaf_targetids"] = [self.random.randrange(targets) for _ in leaves]
        made["leaf_weights"] = tensor(TensorProto.FLOAT, self.numbers(len(leaves)))
        return made

    def TreeEnsembleRegressor(self):
        lists, leaves = self.trees()
        targets = self.random.randint(1, 3)
        if self.random.random() < 0.5:
            lists["base_values"] = self.numbers(targets)
        lists["aggregate_function"] = self.random.choice(["SUM", "AVERAGE", "MIN", "MAX"])
        return lists | self.votes("target", leaves, range(targets), self.numbers) | {"n_targets": targets}

    def TreeEnsembleClassifier(self):
        lists, leaves = self.trees()
        classes = self.random.randint(2, 4)
        lists |= self.labels("classlabels_int64s", classes)
        lists["post_transform"] = self.random.choice(["NONE", "LOGISTIC", "SOFTMAX"] if classes > 2 else ["NONE", "LOGISTIC"])
        scores, numbers, base = range(classes), self.numbers, classes
        if classes == 2 and self.random.random() < 0.7:
            scores, base = [0], 1
            if self.random.random() < 0.5:
                numbers = lambda count: [self.random.uniform(0.05, 0.2) for _ in range(count)]
        if base != 2 and self.random.random() < 0.5:
            lists["base_values"] = numbers(base)
        return lists | self.votes("class", leaves, scores, numbers)

    def LinearRegressor(self):
        targets = self.random.randint(1, 3)
        made = {"targets": targets, "coefficients": self.numbers(targets * self.features)}
        return made | ({"intercepts": self.numbers(targets)} if self.random.random() < 0.5 else {})

    def LinearClassifier(self):
        classes = self.random.randint(2, 4)
        scores = 1 if classes == 2 and self.random.random() < 0.5 else classes
        post = ["NONE", "LOGISTIC"] if scores == 1 else ["NONE", "LOGISTIC", "SOFTMAX"]
        return self.labels("classlabels_ints", classes) | {
            "coefficients": self.numbers(scores * self.features),
            "intercepts": self.numbers(scores),
            "post_transform": self.random.choice(post),
        }

    def SVMRegressor(self):
        kernel = self.random.choice(["LINEAR", "POLY", "RBF", "SIGMOID"])
        supports = self.random.randint(1, 5)
        made = {"kernel_type": kernel, "rho": self.numbers(1), "n_supports": supports}
        parameters = {"kernel_params": [self.random.uniform(0.1, 0.5), self.random.uniform(0, 1), self.random.randint(1, 3)]}
        vectors = {"coefficients": self.numbers(supports), "support_vectors": self.numbers(supports * self.features)}
        if kernel == "LINEAR" and self.random.random() < 0.5:
            return made | parameters | {"n_supports": 0, "coefficients": self.numbers(self.features)}
        return made | parameters | vectors

    def SVMClassifier(self):
        classes = self.random.randint(2, 4)
        per_class = [self.random.randint(1, 3) for _ in range(classes)]
        supports, pairs = sum(per_class), classes * (classes - 1) // 2
        return {
            "kernel_type": self.random.choice(["LINEAR", "POLY", "RBF", "SIGMOID"]),
            "kernel_params": [self.random.uniform(0.1, 0.5), self.random.uniform(0, 1), self.random.randint(1, 3)],
            "vectors_per_class": per_class,
            "coefficients": self.numbers((classes - 1) * supports),
            "support_vectors": self.numbers(supports * self.features),
            "rho": self.numbers(pairs),
            "classlabels_ints": self.random.sample(range(-5, 20), classes),
            "post_transform": "NONE",
        }

    def DynamicQuantizeLSTM(self):
        # Whole numbers lie half way between steps of their range, where rounding decides.
        self.whole = False
        return {"hidden_size": self.random.randint(1, 4), "direction": self.random.choice(["forward", "reverse", "bidirectional"])}

    def Scaler(self):
        count = self.random.choice([1, self.features])
        return {"offset": self.numbers(count), "scale": self.numbers(count)}

    def Normalizer(self):
        return {"norm": self.random.choice(["MAX", "L1", "L2"])}

    def Binarizer(self):
        return {"threshold": self.number()}

    def Imputer(self):
        missing = float("nan") if self.random.random() < 0.5 else self.number()
        return {"imputed_value_floats": self.numbers(self.features), "replaced_value_float": missing}

    def FeatureVectorizer(self):
        return {"inputdimensions": [self.features] * 2}

    def ArrayFeatureExtractor(self):
        return {}

    def LabelEncoder(self):
        self.whole = True
        keys = self.random.sample(range(-4, 5), self.random.randint(1, 6))
        return {"keys_floats": [float(k) for k in keys], "values_floats": self.numbers(len(keys)), "default_float": 0.5}

    def OneHotEncoder(self):
        self.whole = True
        return {"cats_int64s": self.random.sample(range(-4, 5), self.random.randint(1, 6))}


    def ZipMap(self):
        return self.labels("classlabels_int64s", self.features) if self.features <= len(LABELS) else {"classlabels_int64s": list(range(self.features))}


OPERATORS = [name for name in vars(Maker) if name[0].isupper()]


def maps(attributes):
    """What ONNX Runtime says of a ZipMap's output: a map from class to score for each row."""
    key = TensorProto.STRING if "classlabels_strings" in attributes else TensorProto.INT64
    score = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    return helper.make_value_info("y", helper.make_sequence_type_proto(helper.make_map_type_proto(key, score)))


def unzipped(answer, attributes):
    """The tensor of scores, columns in the order of the classes' names."""
    [names] = attributes.values()
    return numpy.array([[row[name] for name in names] for row in answer], numpy.float32)


def network(maker, hidden, direction):
    """The inputs of a quantised LSTM beside its first, and the constants among them."""
    draw, ways = numpy.random.default_rng(maker.random.getrandbits(32)), 2 if direction == "bidirectional" else 1
    rows = 4 * hidden
    own = lambda: (ways, rows) if maker.random.random() < 0.3 else (ways,)
    shapes = [own(), own()]
    values = {
        "w": draw.integers(-127, 128, (ways, maker.features, rows)).astype(numpy.int8),
        "r": draw.integers(-127, 128, (ways, hidden, rows)).astype(numpy.int8),
        "b": draw.normal(0, 0.3, (ways, 8 * hidden)).astype(numpy.float32),
        "h": draw.normal(0, 0.3, (ways, 1, hidden)).astype(numpy.float32),
        "c": draw.normal(0, 0.3, (ways, 1, hidden)).astype(numpy.float32),
        "p": draw.normal(0, 0.3, (ways, 3 * hidden)).astype(numpy.float32),
    }
    for name, shape in zip("wr", shapes):
        values[name + "s"] = draw.uniform(0.002, 0.006, shape).astype(numpy.float32)
        values[name + "z"] = numpy.zeros(shape, numpy.int8)
    left_out = {name for name in "bhcp" if maker.random.random() < 0.4}
    names = ["w", "r", "b", "", "h", "c", "p", "ws", "wz", "rs", "rz"]
    given = ["" if name in left_out else name for name in names]
    return given, [numpy_helper.from_array(values[name], name) for name in given if name]


def write(folder, seed):
    maker = Maker(seed)
    operator = OPERATORS[seed % len(OPERATORS)]
    attributes = getattr(maker, operator)()
    rows = maker.random.randint(1, 4)
    x = numpy.array([[maker.number() for _ in range(maker.features)] for _ in range(rows)], numpy.float32)
    inputs, constants = ["x"], []
    if operator == "FeatureVectorizer":
        inputs = ["x", "x"]
    if operator == "ArrayFeatureExtractor":
        places = [maker.random.randrange(maker.features) for _ in range(3)]
        inputs, constants = ["x", "places"], [helper.make_tensor("places", TensorProto.INT64, [3], places)]
    classifier = operator.endswith("Classifier")
    quantised = operator == "DynamicQuantizeLSTM"
    if quantised:
        more, constants = network(maker, attributes["hidden_size"], attributes["direction"])
        inputs, x = ["x", *more], x[:, None, :]
    domain = MICROSOFT if quantised else DOMAIN
    node = helper.make_node(operator, inputs, ["label", "y"] if classifier else ["y"], domain=domain, **attributes)
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    if operator == "ZipMap":
        outputs = [maps(attributes)]
    if classifier and "classlabels_strings" not in attributes:
        outputs.append(helper.make_tensor_value_info("label", TensorProto.INT64, None))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, *x.shape[1:]])
    graph = helper.make_graph([node], "g", [given], outputs, constants)
    version = 5 if operator == "TreeEnsemble" else 3
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(domain, 1 if quantised else version)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    answers = session.run(None, {"x": x})
    if operator == "ZipMap":
        answers = [unzipped(answers[0], attributes)]
    place = pathlib.Path(folder) / f"{operator}-{seed}"
    (place / "data").mkdir(parents=True)
    (place / "model.onnx").write_bytes(model.SerializeToString())
    (place / "data" / "input_0.pb").write_bytes(numpy_helper.from_array(x).SerializeToString())
    for i, answer in enumerate(answers):
        (place / "data" / f"output_{i}.pb").write_bytes(numpy_helper.from_array(answer).SerializeToString())


if __name__ == "__main__":
    for number in range(int(sys.argv[2])):
        write(sys.argv[1], int(sys.argv[3]) + number)
