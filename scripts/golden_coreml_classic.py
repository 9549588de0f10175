#!/usr/bin/env python3
"""Writes tests/golden/graphs/coreml/classic.npz: scikit-learn models as Core ML, with scikit-learn's answers.

    python scripts/golden_coreml_classic.py

Needs coremltools 9 and scikit-learn 1.5.  Probabilities are stored under the name of the dictionary, in the
order of the labels; labels that are text are left out.
"""
import os
import zipfile

import numpy as np

import golden_coreml as g
import coremltools as ct
from coremltools.converters import sklearn as cs
from coremltools.models import datatypes
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVR, NuSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

r = np.random.RandomState(1)
# Numbers that f32 holds exactly: what a comparison says is the same everywhere.
X = np.round(r.uniform(-2, 2, (60, 4)) * 64) / 64
Y = X[:, 0] * 2 - X[:, 1] + 0.5 * X[:, 2] * X[:, 3]
TWO, THREE = (Y > 0).astype(int), np.digitize(Y, [-1.5, 1.5])
Q = np.round(r.uniform(-2, 2, 4) * 64) / 64


def regressor(model):
    model.fit(X, Y)
    return cs.convert(model, "x", "y"), {"x": Q}, {"y": model.predict(Q[None])[0]}


def classifier(model, labels):
    model.fit(X, labels)
    made = cs.convert(model, "x", "label")
    out = {"label": np.int64(model.predict(Q[None])[0])}
    # Of a forest of several classes coremltools writes the sum of its trees, not their mean.
    if hasattr(model, "predict_proba") and not (isinstance(model, RandomForestClassifier) and labels.max() > 1):
        out["classProbability"] = model.predict_proba(Q[None])[0]
    return made, {"x": Q}, out


def transformer(model, data, query):
    model.fit(data)
    return cs.convert(model, "x", "y"), {"x": query}, {"y": np.asarray(model.transform(query[None]))[0]}


def normalizer(norm, model):
    spec = ct.proto.Model_pb2.Model(specificationVersion=1)
    spec.normalizer.normType = norm
    for features, name in [(spec.description.input, "x"), (spec.description.output, "y")]:
        feature = features.add(name=name)
        feature.type.multiArrayType.shape.append(4)
        feature.type.multiArrayType.dataType = ct.proto.FeatureTypes_pb2.ArrayFeatureType.DOUBLE
    return ct.models.MLModel(spec, skip_model_load=True), {"x": Q}, {"y": model.fit_transform(Q[None])[0]}


def neighbours(k, weights="uniform", text=False, samples=True):
    """k nearest samples; 1 / squared distance is what the format's words say."""
    near = KNeighborsClassifier(k, algorithm="brute", weights="uniform" if weights == "uniform" else lambda d: 1 / d ** 2)
    near.fit(X.astype(np.float32), THREE)
    spec = cs.convert(KNeighborsClassifier(k, algorithm="brute").fit(X.astype(np.float32), THREE), "x", "label").get_spec()
    knn = spec.kNearestNeighborsClassifier
    if weights != "uniform":
        knn.inverseDistanceWeighting.SetInParent()
    out = {"label": np.int64(near.predict(Q[None].astype(np.float32))[0])}
    probabilities = spec.description.output.add(name="classProbability")
    probabilities.type.dictionaryType.int64KeyType.SetInParent()
    out["classProbability"] = near.predict_proba(Q[None].astype(np.float32))[0]
    if text:  # labels that are text are left out of what is compared
        words = [f"class {i}" for i in knn.int64ClassLabels.vector]
        knn.stringClassLabels.vector.extend(words)
        spec.description.output[0].type.stringType.SetInParent()
        probabilities.type.dictionaryType.stringKeyType.SetInParent()
        del out["label"]
    if not samples:
        del knn.nearestNeighborsIndex.floatSamples[:], knn.int64ClassLabels.vector[:]
        knn.defaultInt64Label = 7
        out = {"label": np.int64(7), "classProbability": np.float64([1])}
    return ct.models.MLModel(spec, skip_model_load=True), {"x": Q}, out


def thresholds():
    spec = ct.proto.Model_pb2.Model(specificationVersion=7)
    spec.classConfidenceThresholding.SetInParent()
    for features, name in [(spec.description.input, "x"), (spec.description.output, "y")]:
        feature = features.add(name=name)
        feature.type.multiArrayType.dataType = ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    spec.description.input[0].type.multiArrayType.shape.append(4)
    return ct.models.MLModel(spec, skip_model_load=True), {"x": Q}, {"y": np.stack([Q, np.ones(4)])}


HOLES = X.copy()
HOLES[::5, 1] = np.nan
QH = Q.copy()
QH[1] = np.nan
CASES = {
    "tree_regressor": lambda: regressor(DecisionTreeRegressor(max_depth=4, random_state=0)),
    "forest_regressor": lambda: regressor(RandomForestRegressor(5, max_depth=4, random_state=0)),
    "tree_classifier": lambda: classifier(DecisionTreeClassifier(max_depth=3, random_state=0), TWO),
    "tree_classifier_three": lambda: classifier(DecisionTreeClassifier(max_depth=3, random_state=0), THREE),
    "forest_classifier": lambda: classifier(RandomForestClassifier(5, max_depth=3, random_state=0), THREE),
    "boosted_classifier": lambda: classifier(GradientBoostingClassifier(n_estimators=5, random_state=0), TWO),
    "linear_regression": lambda: regressor(LinearRegression()),
    "linear_svr": lambda: regressor(LinearSVR(random_state=0)),
    "logistic": lambda: classifier(LogisticRegression(multi_class="ovr"), TWO),
    "logistic_rest": lambda: classifier(LogisticRegression(multi_class="ovr"), THREE),
    "svr_rbf": lambda: regressor(SVR(kernel="rbf", gamma=0.3)),
    "svr_poly": lambda: regressor(SVR(kernel="poly", degree=2, gamma=0.3, coef0=0.5)),
    "svc": lambda: classifier(SVC(probability=True, gamma=0.3, random_state=0), TWO),
    "svc_three": lambda: classifier(SVC(probability=True, gamma=0.3, random_state=0), THREE),
    "nu_svc": lambda: classifier(NuSVC(probability=True, gamma=0.3, random_state=0), THREE),
    "neighbours": lambda: neighbours(5),
    "neighbours_weighted": lambda: neighbours(7, weights="distance"),
    "neighbours_text": lambda: neighbours(5, text=True),
    "neighbours_none": lambda: neighbours(5, samples=False),
    "thresholds": thresholds,
    "scaler": lambda: transformer(StandardScaler(), X, Q),
    "normalizer": lambda: normalizer(2, Normalizer("l2")),
    "normalizer_l1": lambda: normalizer(1, Normalizer("l1")),
    "imputer": lambda: transformer(SimpleImputer(), HOLES, QH),
    "pipeline": lambda: regressor(Pipeline([("scale", StandardScaler()), ("line", LinearRegression())])),
    "pipeline_tree": lambda: classifier(Pipeline([("scale", StandardScaler()), ("tree", DecisionTreeClassifier(max_depth=3, random_state=0))]), TWO),
}


def main():
    failed = []
    path = os.path.join(g.OUT, "classic.npz")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, make in CASES.items():
            try:
                model, inputs, outputs = make()
                spec = model.get_spec()
                spec.description.metadata.Clear()
                g.add(archive, f"{name}/model", np.frombuffer(spec.SerializeToString(deterministic=True), np.uint8))
                single = spec.description.input[0].type.multiArrayType.dataType == ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
                for n, a in inputs.items():
                    g.add(archive, f"{name}/in/{n}", np.array(a, np.float32 if single else np.float64))
                names = [o.name for o in spec.description.output]
                for n, a in outputs.items():
                    assert n in names, (n, names)
                    a = np.asarray(a)
                    g.add(archive, f"{name}/out/{n}", np.array(a, np.int64 if a.dtype.kind == "i" else np.float64, order="C"))
            except Exception as e:  # noqa: all of them are shown
                failed.append(f"{name}: {type(e).__name__}: {str(e)[:300]}")
    print(len(CASES) - len(failed), "cases;", os.path.getsize(path), "bytes")
    for line in failed:
        print(line)


if __name__ == "__main__":
    main()
