"""Write the estimators of scikit-learn's data file (all that follows its line ``# -- estimators``).

    python tools/catalogue_sklearn.py

Estimators follow strict conventions, so their entries are derived: parameters by introspection, effects by the names
of the constructor's parameters (``random_state``, ``copy``, ``n_jobs``, ``verbose``, inner estimators). What the
conventions do not tell stands in the tables below; each row was found by running the estimators (does fitting move
numpy's global generator, does what is fitted share memory with the data), as
``tests/analysis/test_catalogue_truth.py`` does again.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from catalogue import DATA, parameters
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.utils import all_estimators

MARK = "# -- estimators"

ALWAYS_DRAW = {"SVR", "NuSVR", "OneClassSVM", "GraphicalLasso", "GraphicalLassoCV"}
"""Draw from numpy's global generator in ``fit``, whatever they are told."""

DRAW_ONLY_IF = {
    "LogisticRegression": "self.solver in sag|saga|liblinear",
    "LogisticRegressionCV": "self.solver in sag|saga|liblinear",
    "Ridge": "self.solver in sag|saga",
    "RidgeClassifier": "self.solver in sag|saga",
    "GaussianProcessClassifier": "given(self.n_restarts_optimizer)",
    "GaussianProcessRegressor": "given(self.n_restarts_optimizer)",
    "Lars": "given(self.jitter)",
    "LassoLars": "given(self.jitter)",
    "PCA": "not self.svd_solver in full|covariance_eigh",
    "ClassifierChain": "self.order in random",
    "RegressorChain": "self.order in random",
    "DummyClassifier": "self.strategy in stratified|uniform",
    "PatchExtractor": "given(self.max_patches)",
}
"""Use ``random_state`` in ``fit`` only under this condition."""

DRAW_LATER = {
    ("GaussianMixture", "sample"): "draws numpy.random if not given(self.random_state)",
    ("BayesianGaussianMixture", "sample"): "draws numpy.random if not given(self.random_state)",
    ("BernoulliRBM", "score_samples"): "draws numpy.random if not given(self.random_state)",
    ("BernoulliRBM", "gibbs"): "draws numpy.random if not given(self.random_state)",
    ("KernelDensity", "sample"): "draws numpy.random if not given(random_state)",
    ("PatchExtractor", "transform"): "draws numpy.random if given(self.max_patches) and not given(self.random_state)",
    ("LatentDirichletAllocation", "transform"): "draws numpy.random if not given(self.random_state)",
    ("GaussianProcessRegressor", "sample_y"): "draws numpy.random if random_state in None",
    ("TargetEncoder", "fit_transform"): "draws numpy.random if not given(self.random_state)",
    ("IterativeImputer", "transform"): "draws numpy.random if true(self.sample_posterior)",
} | {
    (
        "DummyClassifier",
        name,
    ): "draws numpy.random if self.strategy in stratified|uniform and not given(self.random_state)"
    for name in ("predict", "predict_proba", "predict_log_proba", "score")
}

KEEP_DATA = {
    "Birch", "HDBSCAN", "Isomap", "KNeighborsClassifier", "KNeighborsRegressor", "KNeighborsTransformer", "KernelRidge",
    "LabelPropagation", "LabelSpreading", "LocalOutlierFactor", "LocallyLinearEmbedding", "NearestNeighbors",
    "RadiusNeighborsClassifier", "RadiusNeighborsRegressor", "RadiusNeighborsTransformer", "KernelDensity", "KernelPCA",
    "KNNImputer", "GaussianProcessRegressor", "GaussianProcessClassifier", "SelfTrainingClassifier",
}  # fmt: skip
"""What is fitted holds (or may, by a setting) a view of the data, not only a copy."""

LAZY_CACHES = {
    "StackingClassifier", "StackingRegressor", "MultiLabelBinarizer", "FrozenEstimator", "GaussianProcessRegressor",
    "KNeighborsClassifier", "KNeighborsRegressor", "KNeighborsTransformer", "NearestNeighbors", "LocalOutlierFactor",
    "RadiusNeighborsClassifier", "RadiusNeighborsRegressor", "RadiusNeighborsTransformer", "Isomap", "KernelDensity",
    "LocallyLinearEmbedding", "LabelPropagation", "LabelSpreading",
}  # fmt: skip
"""``predict``, ``transform`` and the like fill caches in the estimator, or count in it (the trees of neighbors do)."""

PARALLEL = {
    "ensemble",
    "neighbors",
    "multioutput",
    "multiclass",
    "pipeline",
    "compose",
    "model_selection",
    "decomposition",
}
"""Modules whose estimators use ``n_jobs`` and ``verbose`` not only in ``fit``."""

SPARSE = {"CountVectorizer", "TfidfVectorizer", "HashingVectorizer", "TfidfTransformer", "FeatureHasher"}
HOLDS_X = {"FunctionTransformer"}
INNER = (
    "estimator",
    "estimators",
    "steps",
    "transformers",
    "transformer_list",
    "final_estimator",
    "regressor",
    "transformer",
    "cv",
)
CALLED = (
    "func",
    "inverse_func",
    "scoring",
    "metric",
    "kernel",
    "tokenizer",
    "preprocessor",
    "analyzer",
    "score_func",
    "importance_getter",
    "refit",
)
COPIES = ("copy", "copy_X", "copy_x")
FITTING = ("fit", "fit_transform", "fit_predict", "partial_fit", "score_fit")
RESULTS = {
    "score": "float",
    "get_feature_names_out": "ndarray",
    "get_params": "contains(self) dict",
    "get_depth": "int",
    "get_n_leaves": "int",
    "get_support": "ndarray",
    "path": "tuple",
    "kneighbors": "fresh",
    "get_stop_words": "view(self)",
    "build_analyzer": "contains(self) function",
    "build_preprocessor": "contains(self) function",
    "build_tokenizer": "contains(self) function",
    "decode": "str",
}
SKIPPED = {
    "get_params", "set_params", "set_output", "get_metadata_routing", "sparsify", "densify", "set_callbacks",
}  # fmt: skip
PLAIN = {
    "predict": "(X)",
    "predict_proba": "(X)",
    "predict_log_proba": "(X)",
    "decision_function": "(X)",
    "score_samples": "(X)",
    "transform": "(X)",
    "inverse_transform": "(X)",
    "get_feature_names_out": "(input_features=)",
}
"""Methods that ``AnyEstimator`` has already, if they have these parameters and no effects."""


def entry(name: str, cls: type) -> Iterator[str]:
    """The lines of one estimator."""
    settings = inspect.signature(cls).parameters
    yield f"class {name}(sklearn.base.AnyEstimator)"
    held = [
        p for p in settings if settings[p].kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    ]
    links = f"contains({', '.join(held)})" if held else "fresh"
    calls = "".join(f" ; calls {p} later" for p in held if p in CALLED)
    yield f"  new{parameters(cls)} -> {links}{calls}"
    for method in sorted(dir(cls)):
        function = inspect.getattr_static(cls, method)
        if method.startswith("_") or method in SKIPPED or (method.startswith("set_") and method.endswith("_request")):
            continue
        if hasattr(function, "fn"):  # available_if: the method itself
            function = function.fn
        if not inspect.isfunction(function):
            continue
        params = parameters(function, method=True)
        clauses = effects(name, cls, method, params or "", set(settings))
        returned = result(name, method, set(settings))
        if clauses or params != PLAIN.get(method) or name in HOLDS_X:
            yield "  def " + " ; ".join([f"{method}{params} -> {returned}", *clauses])


def result(name: str, method: str, settings: set[str]) -> str:
    """What a method gives."""
    if method in ("fit", "partial_fit"):
        return "same(self)"
    if name in HOLDS_X:
        return "same(X) view(X)" if "transform" in method else "fresh"
    if name in SPARSE and method in ("transform", "fit_transform"):
        return "sparse"
    if "transform" in method and "copy" in settings:
        return "same(X) view(X) if false(self.copy) -> ndarray"
    if method.startswith("staged_"):
        return "contains(self, X) iterator[ndarray]"
    return RESULTS.get(method, "ndarray" if "transform" in method or "predict" in method else "fresh")


def effects(name: str, cls: type, method: str, params: str, settings: set[str]) -> list[str]:
    """The clauses of a method."""
    clauses = []
    fits = method in FITTING
    takes_x = "X" in params.strip("()").replace("=", "").split(", ")
    inner = [p for p in INNER if p in settings]
    shallow = not fits or (name in KEEP_DATA and "random_state" not in settings and not inner)
    if fits or (name in LAZY_CACHES and not method.startswith("get_")):
        clauses.append("mutates self only" if shallow else "mutates self")
    if fits and name in KEEP_DATA and takes_x:
        clauses.append("keeps X")
    if fits and name in KEEP_DATA and "y" in params.strip("()").replace("=", "").split(", "):
        clauses.append("keeps y")
    if fits:
        clauses += list(randomness(name, cls, settings))
        clauses += [f"draws numpy.random if not plain(self.{p})" for p in inner]
        clauses += [f"world process, stdout if not plain(self.{p})" for p in inner]
    if (name, method) in DRAW_LATER:
        clauses.append(DRAW_LATER[name, method])
        clauses += ["mutates self"] if not fits else []
        clauses += ["mutates random_state"] if "random_state" in params else []
    elif "random_state" in params:
        clauses.append("mutates random_state")
    if takes_x and (fits or "transform" in method or "predict" in method or method == "score"):
        clauses += [f"mutates X if false(self.{c})" for c in COPIES if c in settings and (fits or c == "copy")]
        clauses += [f"mutates X if not plain(self.{p})" for p in inner if p != "cv"]
    if "n_jobs" in settings and (
        fits or "predict" in method or "transform" in method or method.startswith("kneighbors")
    ):
        clauses.append("world process if given(self.n_jobs) and not self.n_jobs in 1")
    if "verbose" in settings and (fits or "predict" in method or "transform" in method):
        clauses.append("world stdout if true(self.verbose)")
    return clauses


def randomness(name: str, cls: type, settings: set[str]) -> Iterator[str]:
    """How ``fit`` uses numpy's global generator."""
    if name in ALWAYS_DRAW:
        yield "draws numpy.random"
    elif "random_state" in settings:
        more = f" and {DRAW_ONLY_IF[name]}" if name in DRAW_ONLY_IF else ""
        seeded = isinstance(inspect.signature(cls).parameters["random_state"].default, int)
        unseeded = "self.random_state in None" if seeded else "not given(self.random_state)"
        yield f"draws numpy.random if {unseeded}{more}"


def main() -> None:
    """Replace the second part of the data file."""
    warnings.simplefilter("ignore")
    path = DATA / "sklearn.effects"
    text = path.read_text(encoding="utf-8").partition(MARK)[0].rstrip()
    lines = [text, "", MARK, ""]
    modules: dict[str, list[tuple[str, type]]] = {}
    for name, cls in all_estimators():
        public = ".".join(part for part in cls.__module__.split(".") if not part.startswith("_"))
        while not hasattr(sys.modules.get(public), name):
            public = public.rpartition(".")[0]
        modules.setdefault(public, []).append((name, cls))
    for module, found in sorted(modules.items()):
        lines.append(f"module {module}")
        for name, cls in found:
            lines += entry(name, cls)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
