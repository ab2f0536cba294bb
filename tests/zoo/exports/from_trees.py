#!/usr/bin/env python3
"""Exports estimators of scikit-learn, XGBoost and LightGBM to ONNX: families scikit-learn and onnxmltools.

    from_trees.py FOLDER        writes FOLDER/FAMILY/NAME.onnx, and FOLDER/data/SET.npy

Each is trained, with the library's own defaults but for sizes and seeds, on a data set that scikit-learn ships. A data set's
file holds 64 rows of the training part, by which a model is calibrated, and then 3 of the other part, which are asked.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as BoostedFloats
from skl2onnx import to_onnx
from sklearn import (
    cluster,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    gaussian_process,
    kernel_approximation,
    linear_model,
    mixture,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn import datasets
from sklearn.model_selection import train_test_split
from xgboost import XGBClassifier, XGBRegressor

SEED = 7
OPSET = {"": 17, "ai.onnx.ml": 3}
SETS = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
    "diabetes": datasets.load_diabetes,
}
scaled = lambda e: pipeline.make_pipeline(preprocessing.StandardScaler(), e)

SCIKIT = {
    "linear-regression": ("diabetes", linear_model.LinearRegression()),
    "ridge": ("diabetes", linear_model.Ridge()),
    "lasso": ("diabetes", linear_model.Lasso()),
    "elastic-net": ("diabetes", linear_model.ElasticNet()),
    "bayesian-ridge": ("diabetes", linear_model.BayesianRidge()),
    "huber": ("diabetes", linear_model.HuberRegressor(max_iter=1000)),
    "poisson": ("diabetes", linear_model.PoissonRegressor()),
    "logistic-iris": ("iris", linear_model.LogisticRegression(max_iter=1000)),
    "logistic-cancer": ("cancer", scaled(linear_model.LogisticRegression(max_iter=1000))),
    "logistic-digits": ("digits", linear_model.LogisticRegression(max_iter=2000)),
    "ridge-classifier": ("wine", scaled(linear_model.RidgeClassifier())),
    "sgd-classifier": ("wine", scaled(linear_model.SGDClassifier(loss="log_loss", random_state=SEED))),
    "perceptron": ("iris", linear_model.Perceptron(random_state=SEED)),
    "linear-svc": ("iris", svm.LinearSVC(random_state=SEED)),
    "svc-rbf": ("iris", svm.SVC(random_state=SEED)),
    "svc-linear": ("wine", scaled(svm.SVC(kernel="linear", random_state=SEED))),
    "svr-rbf": ("diabetes", svm.SVR()),
    "nu-svr-poly": ("diabetes", svm.NuSVR(kernel="poly", degree=2)),
    "mlp-classifier-iris": ("iris", scaled(neural_network.MLPClassifier((16,), max_iter=2000, random_state=SEED))),
    "mlp-classifier-digits": ("digits", neural_network.MLPClassifier((32,), max_iter=400, random_state=SEED)),
    "mlp-classifier-tanh": (
        "wine", scaled(neural_network.MLPClassifier((16, 8), activation="tanh", max_iter=2000, random_state=SEED))
    ),
    "mlp-regressor": ("diabetes", scaled(neural_network.MLPRegressor(hidden_layer_sizes=(16,), max_iter=2000, random_state=SEED))),
    "decision-tree-classifier": ("iris", tree.DecisionTreeClassifier(random_state=SEED)),
    "decision-tree-regressor": ("diabetes", tree.DecisionTreeRegressor(max_depth=6, random_state=SEED)),
    "extra-tree-classifier": ("wine", tree.ExtraTreeClassifier(random_state=SEED)),
    "random-forest-classifier": ("iris", ensemble.RandomForestClassifier(20, max_depth=5, random_state=SEED)),
    "random-forest-regressor": ("diabetes", ensemble.RandomForestRegressor(10, max_depth=5, random_state=SEED)),
    "extra-trees-classifier": ("cancer", ensemble.ExtraTreesClassifier(10, max_depth=5, random_state=SEED)),
    "gradient-boosting-classifier": ("iris", ensemble.GradientBoostingClassifier(n_estimators=20, random_state=SEED)),
    "gradient-boosting-regressor": ("diabetes", ensemble.GradientBoostingRegressor(n_estimators=50, random_state=SEED)),
    "ada-boost": ("iris", ensemble.AdaBoostClassifier(n_estimators=10, random_state=SEED)),
    "bagging": ("iris", ensemble.BaggingClassifier(n_estimators=5, random_state=SEED)),
    "isolation-forest": ("iris", ensemble.IsolationForest(n_estimators=5, random_state=SEED)),
    "gaussian-nb": ("iris", naive_bayes.GaussianNB()),
    "multinomial-nb": ("digits", naive_bayes.MultinomialNB()),
    "bernoulli-nb": ("digits", naive_bayes.BernoulliNB(binarize=8)),
    "k-neighbours-classifier": ("iris", neighbors.KNeighborsClassifier(3)),
    "k-neighbours-regressor": ("iris", neighbors.KNeighborsRegressor(3)),
    "lda": ("wine", discriminant_analysis.LinearDiscriminantAnalysis()),
    "qda": ("iris", discriminant_analysis.QuadraticDiscriminantAnalysis()),
    "k-means": ("iris", cluster.KMeans(3, random_state=SEED, n_init=4)),
    "gaussian-mixture": ("iris", mixture.GaussianMixture(3, random_state=SEED)),
    "gaussian-process": ("iris", gaussian_process.GaussianProcessRegressor(alpha=0.1)),
    "pls-regression": ("diabetes", cross_decomposition.PLSRegression(2)),
    "pca": ("wine", scaled(decomposition.PCA(3))),
    "truncated-svd": ("digits", decomposition.TruncatedSVD(8, random_state=SEED)),
    "standard-scaler": ("wine", preprocessing.StandardScaler()),
    "min-max-scaler": ("wine", preprocessing.MinMaxScaler()),
    "normalizer": ("wine", preprocessing.Normalizer()),
    "polynomial-features": ("iris", preprocessing.PolynomialFeatures(2)),
    "binarizer": ("digits", preprocessing.Binarizer(threshold=7.5)),
    "k-bins": ("iris", preprocessing.KBinsDiscretizer(4, encode="onehot-dense")),
    "select-k-best": ("wine", feature_selection.SelectKBest(k=5)),
}

BOOSTED = {
    "xgboost-classifier-binary": ("cancer", XGBClassifier(n_estimators=10, max_depth=3, random_state=SEED)),
    "xgboost-classifier-iris": ("iris", XGBClassifier(n_estimators=10, max_depth=3, random_state=SEED)),
    "xgboost-classifier-digits": ("digits", XGBClassifier(n_estimators=5, max_depth=3, random_state=SEED)),
    "xgboost-regressor": ("diabetes", XGBRegressor(n_estimators=20, max_depth=3, random_state=SEED)),
    "xgboost-poisson": (
        "diabetes", XGBRegressor(objective="count:poisson", n_estimators=20, max_depth=3, random_state=SEED)
    ),
    "lightgbm-classifier-binary": (
        "cancer", LGBMClassifier(n_estimators=10, num_leaves=8, random_state=SEED, verbose=-1)
    ),
    "lightgbm-classifier-iris": ("iris", LGBMClassifier(n_estimators=10, num_leaves=8, random_state=SEED, verbose=-1)),
    "lightgbm-classifier-wine": ("wine", LGBMClassifier(n_estimators=10, num_leaves=8, random_state=SEED, verbose=-1)),
    "lightgbm-regressor": ("diabetes", LGBMRegressor(n_estimators=20, num_leaves=8, random_state=SEED, verbose=-1)),
    "lightgbm-forest": (
        "diabetes",
        LGBMRegressor(
            boosting_type="rf", n_estimators=10, num_leaves=8, bagging_freq=1, bagging_fraction=0.8, random_state=SEED,
            verbose=-1,
        ),
    ),
    "lightgbm-poisson": (
        "diabetes", LGBMRegressor(objective="poisson", n_estimators=20, num_leaves=8, random_state=SEED, verbose=-1)
    ),
}


def split(name):
    x, y = SETS[name](return_X_y=True)
    stratify = None if name == "diabetes" else y
    return train_test_split(x.astype(np.float32), y, test_size=0.25, random_state=SEED, stratify=stratify)


def scikit(name, data, estimator):
    x, _, y, _ = split(data)
    if name == "k-neighbours-classifier":
        x, y = x[:40], y[:40]
    estimator.fit(x, y)
    # Scores as a tensor, not as a sequence of maps, wherever the converter can.
    try:
        return to_onnx(estimator, x[:1], options={id(estimator): {"zipmap": False}}, target_opset=OPSET)
    except (NameError, RuntimeError):
        return to_onnx(estimator, x[:1], target_opset=OPSET)


def boosted(name, data, estimator):
    x, _, y, _ = split(data)
    estimator.fit(x, y)
    types = [("X", BoostedFloats([None, x.shape[1]]))]
    if name.startswith("xgboost"):
        return convert_xgboost(estimator, initial_types=types, target_opset=15)
    return convert_lightgbm(estimator, initial_types=types, target_opset=15, zipmap=False)


def main(folder):
    warnings.filterwarnings("ignore")
    folder, failed = Path(folder), 0
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name in SETS:
        train, test, _, y = split(name)
        # Of different classes, so that a constant answers none of them.
        asked = sorted(np.unique(y, return_index=True)[1])[:3]
        asked += [i for i in range(len(y)) if i not in asked][: 3 - len(asked)]
        np.save(folder / "data" / f"{name}.npy", np.concatenate([train[:64], test[asked]]))
    for family, models, make in (("scikit-learn", SCIKIT, scikit), ("onnxmltools", BOOSTED, boosted)):
        (folder / family).mkdir(exist_ok=True)
        for name, (data, estimator) in models.items():
            try:
                model = make(name, data, estimator)
                (folder / family / f"{name}.onnx").write_bytes(model.SerializeToString())
                print(f"{family}\t{name}\t{data}")
            except Exception as error:
                failed += 1
                print(f"{family}/{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
