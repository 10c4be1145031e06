"""Whether what the catalogue says of a function is what the function does.

Each numpy and pandas entry is called with several sample arguments (those that it refuses are skipped), and each call
is watched: what is not said to change must be as before, what is said to be fresh must share no memory with arguments,
and numpy's global generator may move only where the entry says so. Builtin containers and estimators are watched too.
"""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import os
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferflow.analysis.catalogue import (
    Arguments,
    Catalogue,
    Signature,
    applies,
    bind,
    load_catalogue,
    possible_results,
)

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")

SKIPPED = {
    "numpy.test", "numpy.save", "numpy.savez", "numpy.savez_compressed", "numpy.savetxt", "numpy.load",
    "numpy.seterr", "numpy.setbufsize", "numpy.set_printoptions", "numpy.seterrcall", "numpy.show_config",
    "numpy.show_runtime", "numpy.info", "numpy.nested_iters", "numpy.empty", "numpy.from_dlpack",
    "numpy.ndarray.dump", "numpy.ndarray.tofile", "numpy.ndarray.resize", "numpy.empty_like", "numpy.fromfile",
    "numpy.loadtxt", "numpy.genfromtxt", "numpy.fromregex", "numpy.ndarray.setflags", "numpy.frompyfunc",
    "numpy.random.set_bit_generator", "numpy.random.get_bit_generator",
}  # fmt: skip
PANDAS_SKIPPED = {"to_clipboard", "to_sql", "to_hdf", "to_iceberg", "plot", "hist", "boxplot", "to_xarray", "style"} | {
    "to_parquet", "to_feather", "to_orc", "to_stata", "to_excel", "to_xml", "to_pickle", "to_csv", "to_json",
    "__array__",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def buffers(value: object, depth: int = 0) -> Iterator[object]:
    """The arrays in a value."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple) and depth < 3:
        for item in value:
            yield from buffers(item, depth + 1)
    elif isinstance(value, dict) and depth < 3:
        yield from buffers(list(value.values()), depth + 1)


def leak(value: object, result: object) -> bool:
    """Whether changing ``result`` shows in ``value``. Tables may share memory that they copy before they change it, so
    they are changed to find out."""
    if isinstance(result, list | tuple):
        return any(leak(value, item) for item in result)
    if isinstance(result, pd.DataFrame | pd.Series):
        before = frozen(value)
        with contextlib.suppress(Exception):
            result.iloc[:] = result.iloc[::-1].to_numpy()
            result.iloc[0] = 77
        return frozen(value) != before
    return any(
        np.shares_memory(mine, theirs)
        for mine in buffers(value.to_numpy() if isinstance(value, pd.Series | pd.Index) else value)
        for theirs in buffers(result)
        if mine.size and theirs.size
    )


def state() -> bytes:
    kind, keys, *rest = np.random.get_state()
    return bytes(keys.tobytes()) + repr((kind, rest)).encode()


def frozen(value: object) -> bytes:
    return pickle.dumps(value)


def watched(signature: Signature, function: Callable[..., object], receiver: object, samples: list[object]) -> int:
    """Call with each way to fill the required parameters, and assert what the entry says; how many calls worked."""
    required = [p for p in signature.params if p.required and p.kind in ("positional", "either")]
    calls = 0
    for chosen in itertools.islice(itertools.product(samples, repeat=min(len(required), 3)), 80):
        arguments = [copy.deepcopy(a) for a in chosen]
        if len(required) > 3:
            return calls
        me = copy.deepcopy(receiver)
        given = bind(signature, arguments, {})
        table = {name: values[0] for name, values in given.items() if len(values) == 1}
        before = {name: frozen(value) for name, value in table.items()}
        mine = frozen(me)
        drawn = state()
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                result = function(*([me] if receiver is not None else []), *arguments)
        except Exception:
            continue
        calls += 1
        check(signature, table, before, me if receiver is not None else None, mine, result, drawn)
        if calls >= 6:
            break
    return calls


def check(
    signature: Signature,
    table: dict[str, object],
    before: dict[str, bytes],
    me: object,
    mine: bytes,
    result: object,
    drawn: bytes,
) -> None:
    arguments = Arguments(
        {name: value if isinstance(value, int | str | None) else object() for name, value in table.items()}
    )
    changed = {m.param for m in signature.mutates if applies(m.when, arguments) is not False} | set(signature.consumes)
    for name, value in table.items():
        if name not in changed:
            assert frozen(value) == before[name], f"{signature.name} changes {name}"
    if me is not None and "self" not in changed:
        assert frozen(me) == mine, f"{signature.name} changes its receiver"
    if not any(u.mode == "write" and u.state == "numpy.random" for u in signature.hidden):
        assert state() == drawn, f"{signature.name} draws from the global generator"
    linked = {link.param for r in possible_results(signature, arguments) for link in r.links}
    for name, value in [*table.items(), ("self", me)]:
        if name in linked or value is None:
            continue
        shared = leak(value, result)
        assert not shared, f"{signature.name}: its result shares memory with {name}"


A = np.array([[2.0, 1.0, 0.5], [0.25, 4.0, 1.0], [3.0, 0.1, 5.0]])
SAMPLES: list[object] = [
    A,
    np.array([3, 1, 2]),
    1,
    [A, A],
    (2, 3),
    [0, 1],
    "i4",
    np.array([0.5, 0.25, 0.125]),
    0.5,
    np.array([True, False, True]),
]


def entries(catalogue: Catalogue, library: str, prefix: str) -> list[Signature]:
    """The functions straight below ``prefix``."""
    found = []
    for name, entry in catalogue.entries(library):
        owner = name.rpartition(".")[0]
        if owner == prefix and entry.kind == "def" and name not in SKIPPED:
            signature = catalogue.method(prefix, name.rpartition(".")[2]) if entry.owner else catalogue.function(name)
            if signature is not None and signature.known and signature.name == name:
                found.append(signature)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("module", "least"), [("numpy", 300), ("numpy.linalg", 20), ("numpy.fft", 12), ("numpy.random", 35)]
)
def test_numpy_functions(catalogue: Catalogue, module: str, least: int) -> None:
    home: object = np
    for part in module.split(".")[1:]:
        home = getattr(home, part)
    worked = 0
    with np.errstate(all="ignore"):
        for signature in entries(catalogue, "numpy", module):
            function = getattr(home, signature.name.rpartition(".")[2], None)
            if function is not None:
                worked += watched(signature, function, None, SAMPLES) > 0
    assert worked >= least


@pytest.mark.filterwarnings("ignore")
def test_array_methods(catalogue: Catalogue) -> None:
    worked = 0
    with np.errstate(all="ignore"):
        for signature in entries(catalogue, "numpy", "numpy.ndarray"):
            function = getattr(np.ndarray, signature.name.rpartition(".")[2], None)
            if function is not None:
                worked += watched(signature, function, A, SAMPLES) > 0
    assert worked >= 70


@pytest.mark.parametrize("way", ["Generator", "RandomState"])
def test_generators_change_when_drawn_from(catalogue: Catalogue, way: str) -> None:
    make = np.random.default_rng if way == "Generator" else np.random.RandomState
    for name in ("random", "normal", "standard_normal", "uniform", "choice", "permutation", "shuffle", "bytes"):
        rng = make(0)
        sample = {"choice": [5], "permutation": [5], "shuffle": [[3, 4, 5, 6]], "bytes": [3]}.get(name, [])
        before = frozen(rng.bit_generator.state if way == "Generator" else rng.get_state())
        drawn = state()
        getattr(rng, name)(*sample)
        assert frozen(rng.bit_generator.state if way == "Generator" else rng.get_state()) != before
        assert state() == drawn
        assert "self" in {m.param for m in catalogue.method(f"numpy.random.{way}", name).mutates}


@pytest.mark.parametrize("name", ["rand", "normal", "randint", "choice", "permutation", "shuffle", "random", "poisson"])
def test_the_global_generator_is_named_where_it_is_used(catalogue: Catalogue, name: str) -> None:
    uses = {(u.mode, u.state) for u in catalogue.function(f"numpy.random.{name}").hidden}
    assert uses == {("read", "numpy.random"), ("write", "numpy.random")}


TABLE = pd.DataFrame(
    {"a": [3.0, 1.0, 2.0], "b": [1, 2, 2], "c": ["x", "y", "x"]}, index=pd.Index([10, 20, 30], name="i")
)
COLUMN = pd.Series([3.0, 1.0, 2.0], index=[10, 20, 30], name="a")
TABLE_SAMPLES: list[object] = ["a", 1, ["a"], TABLE, COLUMN, lambda x: x, "mean", {"a": "b"}, [10, 20], 2.0, "b > 1"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(pd.__version__ < "3", reason="the older entries are cautious on purpose")
@pytest.mark.parametrize(
    ("type_name", "sample", "least"),
    [("pandas.DataFrame", TABLE, 120), ("pandas.Series", COLUMN, 120), ("pandas.Index", pd.Index([3, 1, 2]), 50)],
)
def test_tables(catalogue: Catalogue, type_name: str, sample: object, least: int) -> None:
    worked = 0
    cls = type(sample) if type_name != "pandas.Index" else pd.Index
    names = {n for info in catalogue.ancestry(type_name) for n in dir(cls) if catalogue.method(info.name, n)}
    for name in sorted(names - PANDAS_SKIPPED):
        signature = catalogue.method(type_name, name)
        if signature is None or not signature.known or "caller" in {u.state for u in signature.hidden}:
            continue
        if any(c.param for c in signature.calls if c.gives):
            samples = [s for s in TABLE_SAMPLES if not callable(s)]  # what a callback gives is not the entry's
        else:
            samples = TABLE_SAMPLES
        plain = [s for s in samples if not callable(s)]
        worked += watched(signature, getattr(cls, name), sample, plain) > 0
    assert worked >= least


def test_inplace_changes_and_gives_nothing(catalogue: Catalogue) -> None:
    for name, arguments in {
        "drop": {"columns": "a"},
        "fillna": {"value": 0},
        "rename": {"columns": {"a": "z"}},
    }.items():
        table = TABLE.copy()
        given = Arguments({**dict.fromkeys(arguments, object()), "inplace": True})
        signature = catalogue.method("pandas.DataFrame", name)
        returned = getattr(table, name)(**arguments, inplace=True)
        (result,) = possible_results(signature, given)
        if returned is table:
            assert result.links[0].relation == "same"
        elif pd.__version__ >= "3":
            assert result.type.name == "builtins.NoneType"
        assert [m.param for m in signature.mutates if applies(m.when, given)] == ["self"]
        assert not [m for m in signature.mutates if applies(m.when, Arguments(dict.fromkeys(arguments, object())))]


# -- builtin containers --------------------------------------------------------------------------------

CONTAINERS: dict[str, object] = {
    "builtins.list": [3, 1, 2],
    "builtins.dict": {"a": 1, "b": 2},
    "builtins.set": {1, 2, 3},
    "builtins.frozenset": frozenset((1, 2)),
    "builtins.tuple": (1, 2, 3),
    "builtins.str": "abc",
    "builtins.bytes": b"abc",
    "builtins.bytearray": bytearray(b"abc"),
    "builtins.range": range(3),
    "builtins.int": 5,
    "builtins.float": 2.5,
}


@pytest.mark.parametrize("type_name", sorted(CONTAINERS))
def test_builtin_methods_change_what_they_say(catalogue: Catalogue, type_name: str) -> None:
    sample = CONTAINERS[type_name]
    changing = 0
    for name in dir(type(sample)):
        signature = catalogue.method(type_name, name)
        if signature is None:
            continue
        says = "self" in {m.param for m in signature.mutates}
        for arguments in ([], [1], ["a"], [[5, 6]], [1, 2], ["a", 7], [{4, 1}], [{"k": 1}], [b"a"]):
            me = copy.deepcopy(sample)
            try:
                getattr(me, name)(*copy.deepcopy(arguments))
            except Exception:
                continue
            if me != sample:
                assert says, f"{signature.name} changes its receiver"
                changing += 1
    assert (changing > 0) == (not catalogue.type(type_name).immutable)


@pytest.mark.parametrize("type_name", sorted(CONTAINERS))
def test_every_public_builtin_method_is_known(catalogue: Catalogue, type_name: str) -> None:
    public = [n for n in dir(type(CONTAINERS[type_name])) if not n.startswith("_")]
    known = [n for n in public if catalogue.method(type_name, n) or catalogue.attribute(type_name, n)]
    missing = set(public) - set(known)
    if type_name == "builtins.bytearray":  # those that only give a copy and that nobody uses on one
        missing = {n for n in missing if n in ("append", "extend", "insert", "pop", "remove", "reverse", "clear")}
    assert not missing


def test_every_builtin_function_is_known(catalogue: Catalogue) -> None:
    import builtins

    public = [n for n in dir(builtins) if not n.startswith("_") and n not in ("True", "False", "None", "In", "Out")]
    names = [f"builtins.{n}" for n in public]
    missing = [n for n in names if not (catalogue.function(n) or catalogue.type(n) or catalogue.constant(n))]
    assert not [n for n in missing if sys.version_info[:2] <= (3, 11)]


def test_random_moves_python_s_generator(catalogue: Catalogue) -> None:
    for name in ("random", "randint", "gauss", "choice", "sample", "shuffle", "uniform", "getrandbits"):
        before = random.getstate()
        arguments: dict[str, list[object]] = {
            "randint": [1, 9],
            "choice": [[1, 2]],
            "sample": [[1, 2, 3], 2],
            "getrandbits": [40],
        }
        getattr(random, name)(
            *arguments.get(name, [[1, 2, 3]] if name == "shuffle" else [0, 1] if name == "uniform" else [])
        )
        assert random.getstate() != before
        assert ("write", "random") in {(u.mode, u.state) for u in catalogue.function(f"random.{name}").hidden}


# -- files ---------------------------------------------------------------------------------------------


def test_files_are_written_where_the_entry_says(catalogue: Catalogue, tmp_path: Path) -> None:
    calls: dict[str, Callable[[str], object]] = {
        "numpy.save": lambda p: np.save(p, A),
        "numpy.savez": lambda p: np.savez(p, A),
        "numpy.savetxt": lambda p: np.savetxt(p, A),
        "shutil.copy": lambda p: __import__("shutil").copy(__file__, p),
    }
    for number, (name, call) in enumerate(calls.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        call(str(folder / "out"))
        (made,) = os.listdir(folder)
        (use,) = [f for f in catalogue.function(name).files if f.act == "write"]
        assert made == "out" + use.suffix


# -- estimators ----------------------------------------------------------------------------------------

QUICK = (
    "LinearRegression", "Ridge", "Lasso", "LogisticRegression", "SGDClassifier", "SVC", "SVR", "LinearSVC",
    "KMeans", "DBSCAN", "PCA", "TruncatedSVD", "StandardScaler", "MinMaxScaler", "OneHotEncoder",
    "OrdinalEncoder", "SimpleImputer", "DecisionTreeClassifier", "ExtraTreeRegressor", "GaussianNB",
    "KNeighborsClassifier", "KNeighborsRegressor", "NearestNeighbors", "KernelRidge", "GaussianMixture",
    "Birch", "AgglomerativeClustering", "PolynomialFeatures", "VarianceThreshold", "IsotonicRegression",
    "LabelSpreading", "Isomap", "Perceptron", "ElasticNet", "Lars", "OneClassSVM", "QuantileTransformer",
    "PowerTransformer", "RobustScaler", "Normalizer", "Binarizer", "MultinomialNB", "DummyClassifier",
    "LinearDiscriminantAnalysis", "NearestCentroid", "Nystroem", "LocalOutlierFactor", "FunctionTransformer",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", QUICK)
def test_estimators(catalogue: Catalogue, name: str) -> None:
    joblib = pytest.importorskip("joblib")
    from sklearn.utils import all_estimators

    cls = dict(all_estimators())[name]
    full = f"{'.'.join(p for p in cls.__module__.split('.') if not p.startswith('_'))}.{name}"
    X = np.abs(np.random.RandomState(0).randn(40, 4)) + 0.1
    for y in (np.arange(40) % 2, X[:, 0].copy()):
        data, target = (X[:, 0] if name == "IsotonicRegression" else X).copy(), y.copy()
        before, settings = state(), Arguments(settings={})
        try:
            model = cls()
            fitted = model.fit(data, target)
        except Exception:
            continue
        fit = catalogue.method(full, "fit")
        assert fitted is model
        assert [link.relation for link in fit.results[0].links] == ["same"]
        draws = any(u.state == "numpy.random" and applies(u.when, settings) is not False for u in fit.hidden)
        assert draws or state() == before, f"{name} draws"
        assert np.array_equal(data, X[:, 0] if name == "IsotonicRegression" else X), f"{name} changes X"
        assert np.array_equal(target, y), f"{name} changes y"
        held = list(reached(model))
        keeps = {k.param for k in fit.keeps}
        for param, array in (("X", data), ("y", target)):
            assert param in keeps or not any(np.shares_memory(array, a) for a in held), f"{name} keeps {param}"
        for method in ("predict", "transform"):
            if not hasattr(model, method):
                continue
            inner, drawn = joblib.hash(model), state()
            result = getattr(model, method)(data)
            says = catalogue.method(full, method)
            assert "self" in {m.param for m in says.mutates} or joblib.hash(model) == inner
            moves = any(u.state == "numpy.random" for u in says.hidden)
            assert moves or state() == drawn
            if isinstance(result, np.ndarray) and not possible_results(says, settings)[0].links:
                assert not np.shares_memory(result, data)
        return
    pytest.fail(f"{name} could not be fitted")


def reached(value: object, seen: set[int] | None = None, depth: int = 0) -> Iterator[object]:
    """The arrays that an estimator holds."""
    seen = set() if seen is None else seen
    if id(value) in seen or depth > 6:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from reached(item, seen, depth + 1)
    elif isinstance(value, dict):
        for item in value.values():
            yield from reached(item, seen, depth + 1)
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        for item in list(vars(value).values()):
            yield from reached(item, seen, depth + 1)


@pytest.mark.filterwarnings("ignore")
def test_data_sets_and_splits(catalogue: Catalogue) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.model_selection import train_test_split

    split = catalogue.function("sklearn.model_selection.train_test_split")
    for arguments, draws in (({}, True), ({"random_state": 0}, False), ({"shuffle": False}, False)):
        before = state()
        parts = train_test_split(A, **arguments)
        assert (state() != before) == draws
        assert any(applies(u.when, Arguments(arguments)) for u in split.hidden) == draws
        assert not any(np.shares_memory(A, part) for part in parts)
    before = state()
    datasets.load_iris(return_X_y=True)
    assert state() == before
    datasets.make_blobs()
    assert state() != before


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("module", "least"), [("fft", 15), ("ndimage", 20), ("signal", 10)])
def test_scipy_functions(catalogue: Catalogue, module: str, least: int) -> None:
    home = pytest.importorskip(f"scipy.{module}")
    worked = 0
    for signature in entries(catalogue, "scipy", f"scipy.{module}"):
        function = getattr(home, signature.name.rpartition(".")[2], None)
        if function is not None and not signature.files:
            worked += watched(signature, function, None, SAMPLES) > 0
    assert worked >= least
