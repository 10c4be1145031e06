"""Values through a container and into another process. Each test that names a pitfall is one that pickle falls into."""

from __future__ import annotations

import collections
import datetime
import doctest
import importlib
import os
import random
import re
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_exact import KEPT, Forgetful, Plain, canonical, plain

from inferflow.worker import layout
from inferflow.worker.describe import describe
from inferflow.worker.exact import same
from inferflow.worker.exact_reach import shares
from inferflow.worker.transport import Damaged, Packed, Unpackable, load, pack, touches_user_code, unpack
from inferflow.worker.transport_files import Writer, write

BIG = 100_000
MANY = int(os.environ.get("INFERFLOW_TEST_EXAMPLES", "150"))


class Model:
    def __init__(self) -> None:
        self.weights = np.arange(6.0).reshape(2, 3)


class Talkative:
    def __init__(self) -> None:
        self.x = 1

    def __getstate__(self) -> dict[str, Any]:
        print("being pickled")
        return self.__dict__


class Final:
    def __del__(self) -> None:
        print("gone")


class Drifting:
    """Changes a little on every round trip."""

    def __init__(self) -> None:
        self.x = np.ones(3)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.x = self.x * 2


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "tmp").mkdir()
    return tmp_path


def keep(packed: Packed, store: Path) -> Any:
    stored = write(packed, str(store / "tmp"))
    return stored.path or stored.inline


def exact(*values: Any) -> Packed:
    """Packs that must be exact, and are: here ..."""
    packed = pack(values, check=True)
    assert packed.exact, packed.why
    assert same(values, unpack(packed.data())) is None
    return packed


def inexact(*values: Any) -> str:
    packed = pack(values, check=True)
    assert packed.exact is False
    return packed.why


def refused(*values: Any) -> str:
    with pytest.raises(Unpackable) as caught:
        pack(values, check=True)
    return caught.value.why


def in_fork(work: Callable[[], str]) -> str:
    """What ``work`` gives in a forked process."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            text = work()
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


# --- what travels -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KEPT)
def test_it_travels_exactly(name: str, store: Path) -> None:
    value = KEPT[name]
    packed = exact(value, [value])
    where = keep(packed, store)
    assert in_fork(lambda: str(same((value, [value]), unpack(where)))) == "None"


@settings(deadline=None, max_examples=MANY)
@given(plain)
def test_any_plain_data_travels_exactly_or_is_said_not_to(value: Any) -> None:
    packed = pack((value,), check=True)
    if packed.exact:
        rebuilt = unpack(packed.data())
        assert canonical((value,)) == canonical(rebuilt)
        assert same((value,), rebuilt) is None
    else:
        assert packed.why


arrays = st.builds(
    lambda kind, shape, order, start: np.asarray(
        np.arange(start, start + int(np.prod(shape))).reshape(shape), dtype=kind, order=order
    ),
    st.sampled_from(["f8", "f4", "i2", "?", "c16", "M8[ns]", "m8[s]", "S3", "U2", ">i4"]),
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
    st.sampled_from("CF"),
    st.integers(0, 100),
)


@settings(deadline=None, max_examples=MANY)
@given(st.lists(arrays, min_size=1, max_size=3), st.data())
def test_arrays_and_their_views_travel_exactly(made: list[Any], data: Any) -> None:
    values = list(made)
    for _ in range(data.draw(st.integers(0, 4))):
        array = data.draw(st.sampled_from(values))
        how = data.draw(st.sampled_from(["T", "step", "reverse", "head", "itself", "flat", "broadcast"]))
        if how == "T":
            array = array.T
        elif how == "broadcast":
            array = np.broadcast_to(array, (2, *array.shape))
        elif how == "flat":
            array = array.reshape(-1)
        elif array.ndim:
            array = {"step": array[::2], "reverse": array[::-1], "head": array[:2], "itself": array}[how]
        values.append(array)
    exact(*values)


def test_set_order_is_kept() -> None:
    generator = random.Random(5)
    for size in (2, 5, 8, 19, 30, 76, 77, 200, 1000):
        for _ in range(5):
            exact({"".join(generator.choices("abcdefgh", k=6)) for _ in range(size)})
            exact(frozenset(generator.randrange(1 << 50) for _ in range(size)))
            exact({"inside": [{generator.randrange(4 * size) for _ in range(size)}] * 2})


def test_nan_identity_is_kept() -> None:
    nan, numbers = float("nan"), [float("nan"), 1.0]
    packed = exact([nan, nan, numbers[0]], np.nan, {"a": np.nan}, {nan: 1})
    (rebuilt, constant, inner, keyed) = unpack(packed.data())
    assert rebuilt[0] in rebuilt[1:2]
    assert rebuilt[2] not in rebuilt[:2]
    assert constant is np.nan
    assert inner["a"] is np.nan
    assert keyed[rebuilt[0]] == 1


def test_the_global_generators_go_by_name() -> None:
    packed = exact(np.random.mtrand._rand, Plain(rng=random._inst), np.random.RandomState(1), os.environ)
    rebuilt = unpack(packed.data())
    assert rebuilt[0] is np.random.mtrand._rand
    assert rebuilt[1].rng is random._inst
    assert rebuilt[3] is os.environ
    assert shares((np.random.mtrand._rand, [1]), (np.random.mtrand._rand,)) is None


def test_a_view_stays_a_view() -> None:
    base = np.zeros((3, 4))
    base_, view = unpack(exact(base, base[1:, ::2]).data())
    base_[1, 0] = -1
    assert view[0, 0] == -1
    assert view.base is base_


def test_a_view_whose_base_died_is_exact_and_keeps_its_strides() -> None:
    def columns() -> Any:
        return np.arange(600.0).reshape(150, 4)[:, :2]

    (rebuilt,) = unpack(exact(columns()).data())
    assert rebuilt.strides == (32, 8)


def test_a_small_view_of_a_large_array_is_small() -> None:
    large = np.zeros((1000, 1000))
    assert exact(large[:3]).size < 30_000
    assert exact(large[:3, :10]).size < 30_000


@pytest.mark.parametrize("count", [10, BIG])
def test_overlapping_views_without_their_base_share_memory(count: int) -> None:
    base = np.arange(float(count))
    one, other = unpack(exact(base[: count - 2], base[2:]).data())
    one[2] = -5
    assert other[0] == -5


@pytest.mark.parametrize("count", [10, BIG])
def test_read_only_stays_read_only(count: int) -> None:
    array = np.arange(float(count))
    array.flags.writeable = False
    (rebuilt, other) = unpack(exact(array, np.arange(float(count))).data())
    assert not rebuilt.flags.writeable
    assert other.flags.writeable


def test_a_small_array_owns_its_memory() -> None:
    (rebuilt,) = unpack(exact(np.arange(3)).data())
    assert rebuilt.flags.owndata
    rebuilt.resize(5)


def test_a_large_array_is_not_copied(store: Path) -> None:
    array = np.arange(10.0 * BIG)
    packed = exact(array, {"again": array})
    assert [buffer.nbytes for buffer in packed.buffers] == [array.nbytes]
    where = keep(packed, store)
    before = Path(where).read_bytes()
    rebuilt, again = unpack(where)
    assert again["again"] is rebuilt
    assert rebuilt.__array_interface__["data"][0] % 64 == 0
    rebuilt[:] = 0
    assert Path(where).read_bytes() == before


def test_any_order_of_axes() -> None:
    exact(np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0).copy(order="K"), np.array(5), np.zeros((0, 3)))


def test_object_arrays() -> None:
    shared = [1]
    array = np.array([[shared, "x"], [None, shared]], dtype=object)
    exact(array, array.T, array[::-1], np.asfortranarray(array), np.zeros(2, dtype=[("a", "i4"), ("b", "O")]))


def test_array_subclasses() -> None:
    masked = np.ma.masked_array([1.0, 2.0, 3.0], mask=[0, 1, 0])
    exact(masked, masked[1:], np.ma.masked_array([1], mask=[1], hard_mask=True))
    exact(np.rec.array([(1, "x")], names="a,b"))


def test_frames_travel_exactly() -> None:
    frame = pd.DataFrame(
        {"a": [1, 2, 3], "b": ["x", None, "y"], "c": [1.5, np.nan, 2], "d": pd.date_range("2024", periods=3)}
    )
    frame.attrs["source"] = {"file": "x.csv"}
    frame["e"] = frame.b.astype("category")
    frame["f"] = frame.a.astype("Int64")
    frame["g"] = frame.b.astype(object)
    exact(frame)
    exact(frame, frame.a, frame.index, frame[["a", "c"]])
    exact(frame[frame.a > 1].groupby("a").mean(numeric_only=True))
    exact(pd.DataFrame(np.arange(12.0).reshape(4, 3), columns=list("abc"))["b"])
    exact(frame.set_index("d"), pd.Index([1, 2], name="i"), pd.interval_range(0, 3), pd.Timestamp("2024", tz="UTC"))


def test_arrays_that_look_into_a_frame_still_do() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    rebuilt, values = unpack(exact(frame, frame["a"].values).data())
    assert np.shares_memory(values, rebuilt["a"].values)
    assert not values.flags.writeable
    mixed = pd.DataFrame({"a": [1, 2], "t": ["x", "y"], "n": [0.5, 1.5]})
    exact(mixed[["a", "n"]].to_numpy(), mixed["n"].to_numpy(), mixed["t"].to_numpy(), mixed)
    exact(mixed.groupby("t"))


def test_large_frames_are_mapped(store: Path) -> None:
    frame = pd.DataFrame(np.arange(4.0 * BIG).reshape(-1, 4), columns=list("abcd"))
    packed = exact(frame, frame[["a"]])
    assert sum(buffer.nbytes for buffer in packed.buffers) <= 1.3 * frame.to_numpy().nbytes
    rebuilt, part = unpack(keep(packed, store))
    pd.testing.assert_frame_equal(frame, rebuilt)
    part.iloc[0, 0] = -1.0
    assert rebuilt.iloc[0, 0] == 0


def test_estimators_travel_exactly() -> None:
    pytest.importorskip("sklearn")
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_iris
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    iris = load_iris()
    exact(iris)
    features, target = iris.data[:, :2], iris.target
    for estimator in (
        LogisticRegression(C=1.0),
        RandomForestClassifier(n_estimators=3, random_state=0),
        GradientBoostingClassifier(n_estimators=2),  # holds the global generator
        KNeighborsClassifier(),
        KMeans(2, n_init=1, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ):
        estimator.fit(features, target)
        packed = exact(estimator)
        (rebuilt,) = unpack(packed.data())
        assert (rebuilt.predict(features) == estimator.predict(features)).all()


def test_sparse_matrices_travel_exactly() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    exact(sparse.random(10, 10, 0.2, format="csr", random_state=0), sparse.eye_array(3).tocoo())


# --- functions and classes ----------------------------------------------------------------------------------


def test_functions_without_a_name() -> None:
    counter = 0
    shared = [1]

    def bump(by: int = 1, *, unused: object = shared) -> int:
        nonlocal counter
        counter += by
        return counter

    def read() -> int:
        return counter

    packed = exact(bump, read, shared, lambda x: x + BIG)
    assert packed.code
    bump_, read_, shared_, add = unpack(packed.data())
    assert (bump_(5), read_(), read(), add(1)) == (5, 5, 0, BIG + 1)
    assert bump_.__kwdefaults__["unused"] is shared_
    assert add.__globals__ is globals()


def test_a_recursive_inner_function() -> None:
    def down(n: int) -> int:
        return n if n == 0 else down(n - 1)

    (rebuilt,) = unpack(exact(down).data())
    assert rebuilt(3) == 0
    assert rebuilt.__closure__[0].cell_contents is rebuilt


def test_what_has_a_name_goes_by_name() -> None:
    packed = exact(Model, test_set_order_is_kept, len, np.add, os.path, Model().__init__, str.upper)
    assert not packed.code
    rebuilt = unpack(packed.data())
    assert rebuilt[0] is Model
    assert rebuilt[4] is os.path


def test_the_drivers_classes_are_found_in_its_main_module() -> None:
    module = types.ModuleType("__main__")
    exec("class Thing:\n    pass\nthing = Thing()\nadd = lambda x: x + offset\noffset = 3\n", vars(module))
    packed = pack((module.thing, module.add), check=True, main=module)
    assert packed.exact, packed.why

    def find(name: str, qualname: str) -> Any:
        if name == "__main__":
            return getattr(module, qualname)
        raise LookupError

    saved = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        thing, add = unpack(packed.data(), find=find)
    finally:
        sys.modules["__main__"] = saved
    assert type(thing) is module.Thing
    module.offset = 4
    assert add(1) == 5


def test_a_class_made_in_a_function_is_sent_but_not_exact() -> None:
    class Local:
        limit: ClassVar = [1]

    before = Local.limit
    assert "inside a function" in inexact(Local())
    assert Local.limit is before


def test_code_of_another_python_is_not_run() -> None:
    data = bytearray(pack((lambda: 1,)).data())
    data[9] += 1  # the minor version
    with pytest.raises(Damaged, match="functions of Python"):
        unpack(bytes(data))


# --- what does not --------------------------------------------------------------------------------------------


def test_refusals_say_what_and_where(tmp_path: Path) -> None:
    with open(tmp_path / "f", "w") as file, sqlite3.connect(":memory:") as base, socket.socket() as plug:
        assert refused({"log": [file]}) == "it holds an open file (at ['log'][0])"
        assert refused(1, base) == "it is an open connection"
        assert refused(plug) == "it is an open socket"
    assert refused(i for i in ()) == "it is a generator"
    assert refused(Plain(rows=(i for i in ()))) == "it holds a generator (at .rows)"
    assert refused([memoryview(b"x")]) == "it holds a memoryview (at [0])"
    assert refused(iter([1])) == "it is a live iterator (list_iterator)"
    assert refused({"z": zip([1], [2], strict=True)}) == "it holds a live iterator (zip) (at ['z'])"
    assert refused(threading.Lock()) == "it is a lock"
    assert refused(threading.local()) == "it is a thread-local object"
    assert refused({}.keys()) == "it is a live view of a dictionary"
    assert refused(weakref.ref(Model)) == "it is a weak reference"
    assert refused(lambda: file).startswith("it holds an open file (at .<file>)")


def test_the_failing_member_is_told() -> None:
    with pytest.raises(Unpackable) as caught:
        pack((1, [2], {"k": threading.Lock()}))
    assert caught.value.member == 2


def test_memory_maps_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(5))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert "mapped from a file" in refused(mapped)
    assert "mapped from a file" in refused(np.asarray(mapped)[1:])


def test_figures_that_pyplot_holds_are_refused() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    try:
        assert "pyplot" in refused(figure)
        assert "pyplot" in refused([axes])
    finally:
        pyplot.close(figure)


def test_what_travels_but_changes_is_inexact() -> None:
    try:
        raise ValueError("x") from KeyError("y")
    except ValueError as error:
        caught = error
    assert "exception" in inexact(caught)
    assert "'cache'" in inexact(Forgetful())
    assert "numbers changed" in inexact(Drifting())
    assert "object()" in inexact([object()])
    assert inexact({Plain(), Plain()})
    memory = bytearray(100)
    assert "shared memory" in inexact(memory, np.frombuffer(memory, "u1"))


def test_checking_does_not_change_the_original() -> None:
    class Local:
        data: ClassVar = [1]

    drifting, array = Drifting(), np.arange(float(BIG))
    drifting.x = array
    pack((drifting, Local), check=True)
    assert array[1] == 1
    assert Local.data == [1]


def test_deep_nesting_is_refused_not_fatal() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    try:
        assert "deep" in refused(value)
    finally:
        while value:
            value = value.pop()


def test_user_code_is_named() -> None:
    project = frozenset({__name__, "test_exact"})
    assert pack(([Talkative()],), project=project).user_code.endswith("Talkative")
    assert (
        pack(([Model(), Plain(), KEPT["dataclass"], KEPT["named tuple"], KEPT["enum"]],), project=project).user_code
        == ""
    )
    assert pack(([Talkative()],)).user_code == ""
    assert touches_user_code(({"k": Talkative()},), project).endswith("Talkative")
    assert touches_user_code((Model(), KEPT["enum"]), project) == ""


def test_quietly_no_method_of_the_project_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Unpackable, match=r"a Talkative, which has pickling methods of its own \(at \['k'\]\)"):
        pack(({"k": Talkative()},), check=True, project=frozenset({__name__}), quiet=True)
    assert touches_user_code((Talkative(),), frozenset({__name__}))
    assert capsys.readouterr().out == ""


def test_finalizers_do_not_run_for_copies() -> None:
    assert "finalizer" in refused(Final())


# --- change, and sharing with what was given ------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["list"].append(1),
        lambda v: v["array"].__setitem__(3, -1),
        lambda v: v["large"].__setitem__(BIG - 1, -1),
        lambda v: v["model"].weights.__imul__(2),
        lambda v: v["frame"].__setitem__("new", 1),
        lambda v: v["frame"].index.__setattr__("name", "i"),
        lambda v: v["set"].add("z"),
        lambda v: v.__setitem__("list", list(v["list"])) or v["shared"].append(v["list"]),
        lambda v: v["dict"].__setitem__("a", v["dict"].pop("a")),
        lambda v: v["array"].setflags(write=False),
        lambda v: setattr(v["model"], "fitted", True),
    ],
)
def test_a_change_of_a_loaded_value_is_seen(change: Callable[[Any], Any], store: Path) -> None:
    shared = [1]
    value = {
        "list": shared,
        "shared": [shared],
        "array": np.arange(5.0),
        "large": np.arange(float(BIG)),
        "model": Model(),
        "frame": pd.DataFrame({"a": [1, 2]}),
        "set": {"a", "b"},
        "dict": {"a": 1, "b": 2},
    }
    loaded = load(keep(exact(value), store))
    assert loaded.unchanged()
    (rebuilt,) = loaded.values
    rebuilt["frame"].describe(), rebuilt["large"].sum(), sorted(rebuilt["set"]), rebuilt["model"].weights @ [1, 2, 3]
    assert loaded.unchanged()
    change(rebuilt)
    assert not loaded.unchanged()


def through_a_helper(values: tuple[Any, ...], task: Callable[..., tuple[Any, ...]], store: Path) -> tuple[Any, ...]:
    """What home gets for ``task(*values)`` if another process runs it."""
    sent = pack(values, check=True)
    assert sent.exact, sent.why
    where = keep(sent, store)
    path = store / "result"

    def work() -> str:
        loaded = load(where)
        results = task(*loaded.values)
        assert loaded.unchanged()
        packed = pack(results, check=True, given=[loaded])
        assert packed.exact, packed.why
        path.write_bytes(packed.data())
        return "fine"

    assert in_fork(work) == "fine"
    return load(path, given=[sent]).values


def test_a_result_shares_with_the_input_at_home_what_it_shared_in_the_helper(store: Path) -> None:
    class_, frame, array, rows = Model(), pd.DataFrame({"a": [1.0, 2.0]}), np.arange(float(BIG)), [[1], [2]]

    def task(model: Any, frame: Any, array: Any, rows: Any) -> tuple[Any, ...]:
        return {"model": model, "row": rows[1]}, frame * 2, array[10:], model.weights.T, frame.assign(b=1), 7

    box, doubled, tail, turned, wider, seven = through_a_helper((class_, frame, array, rows), task, store)
    assert seven == 7
    assert box["model"] is class_
    assert box["row"] is rows[1]
    assert doubled.index is frame.index
    assert wider["a"].tolist() == [1.0, 2.0]
    tail[0] = -1
    assert array[10] == -1
    turned[0, 0] = 9
    assert class_.weights[0, 0] == 9


def parts_of(value: Any) -> list[Any]:
    """Everything in a value, breadth first."""
    queue, seen = [value], set()
    for part in queue:
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, (list, tuple, set)):
            queue.extend(part)
        elif isinstance(part, dict):
            queue.extend(part.values())
        elif isinstance(part, Plain):
            queue.extend(vars(part).values())
    return queue


objects = st.recursive(
    st.builds(lambda n: np.arange(float(n)), st.integers(1, 6))
    | st.builds(lambda n: np.arange(12.0).reshape(3, 4)[:, :n], st.integers(1, 4))
    | st.builds(lambda: pd.DataFrame({"a": [1.0, 2.0], "t": ["x", None]}))
    | st.sampled_from([1, "x", None, float("nan"), np.nan])
    | st.builds(set, st.lists(st.integers(0, 40), max_size=6)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.builds(lambda part: Plain(x=part, y=[part]), inner)
        | st.tuples(inner, inner).map(lambda pair: (*pair, []))  # of an immutable tuple a copy is as good
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=MANY)
@given(st.lists(objects, min_size=1, max_size=3), st.data())
def test_inputs_and_results_hang_together_at_home_as_in_the_helper(values: list[Any], data: Any) -> None:
    sent = pack(tuple(values), check=True)
    if not sent.exact:
        return
    loaded = load(sent.data())
    here = parts_of(loaded.values)[1:]
    results = []
    for _ in range(data.draw(st.integers(1, 4))):
        part = data.draw(st.sampled_from(here))
        how = data.draw(st.sampled_from(["itself", "boxed", "copied", "view", "both"]))
        if how == "view" and isinstance(part, np.ndarray):
            part = part[::-1]
        elif how == "view" and isinstance(part, pd.DataFrame):
            part = part["a"]
        elif how == "copied" and isinstance(part, (list, dict, set, np.ndarray, pd.DataFrame)):
            part = part.copy()
        elif how == "both":
            part = [part, (part, results[:1])]
        results.append([part] if how == "boxed" else part)
    packed = pack(tuple(results), check=True, given=[loaded])
    if packed.exact:
        returned = load(packed.data(), given=[sent])
        assert same((loaded.values, tuple(results)), (tuple(values), returned.values)) is None


def test_several_packs_can_be_given(store: Path) -> None:
    one, other = [[1]], np.arange(float(BIG))
    sent = [pack((one,), check=True), pack((other,), check=True)]
    loaded = [load(keep(packed, store)) for packed in sent]
    (rows,), (array,) = (part.values for part in loaded)
    packed = pack((rows[0], array[::2]), check=True, given=loaded)
    assert packed.exact, packed.why
    with pytest.raises(Damaged, match="refers to"):
        unpack(packed.data())
    first, evens = load(packed.data(), given=sent).values
    assert first is one[0]
    assert np.shares_memory(evens, other)
    # a process that has them from a container itself finds them too
    first, evens = load(packed.data(), given=loaded).values
    assert first is rows[0]
    assert np.shares_memory(evens, array)


def test_plain_inputs_can_be_shared_too(store: Path) -> None:
    rows = [[1], [2]]
    ((first, copied),) = through_a_helper((rows,), lambda rows: ((rows[0], list(rows)),), store)
    assert first is rows[0]
    assert copied[1] is rows[1]
    assert copied is not rows


def test_arrays_of_one_container_do_not_share(store: Path) -> None:
    one, other = unpack(keep(exact(np.zeros(BIG), np.ones(BIG)), store))
    assert shares((one,), (other,)) is None
    assert shares((one,), (one[5:],)) is not None


def test_many_loaded_values_do_not_use_up_the_descriptors(store: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    where = keep(exact(np.zeros(BIG)), store)
    kept = [load(where) for _ in range(50)]
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
    assert len(kept) == 50


def test_results_that_share_nothing_do_not_need_the_inputs(store: Path) -> None:
    loaded = load(keep(exact(np.arange(5.0), [1]), store))
    packed = pack((loaded.values[0] * 2, {"n": 1}), check=True, given=[loaded])
    assert not packed.needs_given
    assert packed.exact


def test_sharing_that_pickling_hides_is_not_called_exact(store: Path) -> None:
    class Wrapper(random.Random):
        pass

    loaded = load(keep(exact([1]), store))
    secret = HidesItsList(loaded.values[0])
    packed = pack((secret,), check=True, given=[loaded])
    assert packed.exact is False


class HidesItsList:
    def __init__(self, rows: Any) -> None:
        self.rows = list(rows) if isinstance(rows, tuple) else rows

    def __reduce__(self) -> Any:
        return HidesItsList, (tuple(self.rows),)


# --- containers ------------------------------------------------------------------------------------------------


def test_a_container_is_the_same_in_a_message_and_in_a_file(store: Path) -> None:
    packed = exact(np.arange(float(BIG)), "x", np.zeros(BIG // 2))
    stored = write(packed, str(store / "tmp"))
    data = packed.data()
    assert Path(stored.path).read_bytes() == data
    assert stored.size == len(data) == packed.size
    assert same(unpack(data), unpack(stored.path)) is None
    assert os.listdir(store / "tmp") == [os.path.basename(stored.path)]


def test_damage_is_told_from_data(store: Path) -> None:
    path = Path(keep(pack((np.zeros(BIG),)), store))
    data = path.read_bytes()
    for broken in (b"", data[:10], data[:-1], data + b"x", b"x" * len(data)):
        path.write_bytes(broken)
        with pytest.raises(Damaged):
            unpack(path)
    with pytest.raises(OSError):
        unpack(store / "absent")


def test_a_full_disk_leaves_nothing_behind(store: Path) -> None:
    with pytest.raises(OSError):
        write(pack((np.zeros(BIG),)), str(store / "absent"))
    program = (
        "import resource, sys, numpy; from inferflow.worker.transport import pack\n"
        "from inferflow.worker.transport_files import write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try: write(pack((numpy.zeros(100_000),)), sys.argv[1])\n"
        "except OSError as error: print(type(error).__name__)"
    )
    result = subprocess.run([sys.executable, "-c", program, store / "tmp"], capture_output=True, text=True, check=True)
    assert result.stdout == "OSError\n"
    assert os.listdir(store / "tmp") == []


def test_writing_behind(store: Path) -> None:
    writer = Writer(str(store / "tmp"))
    done: list[Any] = []
    arrays = [np.full(BIG, float(number)) for number in range(5)]
    begun: list[str] = []
    tickets = [writer.submit(pack((array,)), begun.append, done.append) for array in arrays]
    low = arrays[2].__array_interface__["data"][0]
    writer.wait([(low, low + 8)])
    assert tickets[2].done
    writer.wait()
    assert [ticket.stored for ticket in done] == [ticket.stored for ticket in tickets]
    assert begun == [ticket.result().path for ticket in tickets]
    assert writer.pending == 0
    for ticket, array in zip(tickets, arrays, strict=True):
        assert (unpack(ticket.result().path)[0] == array).all()


def test_the_writer_lets_go_of_what_it_wrote(store: Path) -> None:
    class Watched(np.ndarray):
        pass

    writer = Writer(str(store / "tmp"))
    array = np.zeros(BIG).view(Watched)
    gone = weakref.ref(array)
    ticket = writer.submit(pack((array,)))
    del array
    ticket.result(60)
    deadline = time.monotonic() + 60
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gone() is None


def test_the_writer_rests_before_a_fork(store: Path) -> None:
    writer = Writer(str(store / "tmp"))
    before = threading.active_count()
    for _ in range(2):
        tickets = [writer.submit(pack((np.full(BIG, float(number)),))) for number in range(3)]
        writer.rest()
        assert threading.active_count() == before
        assert all(ticket.done for ticket in tickets)
    writer.rest()


def test_a_failed_write_is_told_when_asked(store: Path) -> None:
    writer = Writer(str(store / "absent"))
    ticket = writer.submit(pack((np.zeros(BIG),)))
    writer.wait()
    with pytest.raises(OSError):
        ticket.result()


def test_a_forked_child_has_a_writer_of_its_own(store: Path) -> None:
    writer = Writer(str(store / "tmp"))
    tickets = [writer.submit(pack((np.full(BIG * 10, float(number)),))) for number in range(3)]

    def work() -> str:
        writer.wait()
        assert writer.pending == 0
        return str(writer.submit(pack((np.ones(BIG),))).result(10).size)

    assert int(in_fork(work)) > 8 * BIG
    assert all(ticket.result(60) for ticket in tickets)


OTHERS = [
    path
    for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"))
    if re.match(r"3\.(9|1\d)\.", path.parent.parent.name)
]


@pytest.mark.parametrize("python", OTHERS or [None], ids=lambda path: path.parent.parent.name if path else "none")
def test_plain_data_is_read_by_other_pythons(python: Path | None, store: Path) -> None:
    if python is None:
        pytest.skip("no other Python here")
    value = ({"a": [1, 2.5, None], "s": {"x", "y"}}, collections.Counter("hello"), datetime.date(2024, 1, 2))
    path = store / "plain"
    path.write_bytes(pack(value, check=True).data())
    program = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from inferflow.worker import transport, transport_files, describe, exact
        values = transport.unpack(sys.argv[2])
        again = transport.pack((values, {"b", "c"}, float("nan"), lambda: 1), check=True)
        assert again.exact, again.why
        print(values[1] == {"h": 1, "e": 1, "l": 2, "o": 1}, values[2], sorted(values[0]["s"]), "numpy" in sys.modules)
    """
    source = str(Path(layout.__file__).parents[2])
    result = subprocess.run(
        [python, "-c", textwrap.dedent(program), source, path], capture_output=True, text=True, check=False
    )
    assert result.stdout == "True 2024-01-02 ['x', 'y'] False\n", result.stderr


def test_only_the_standard_library_is_imported() -> None:
    program = (
        "import sys; before = set(sys.modules)\n"
        "from inferflow.worker import transport_files, describe\n"
        "print(sorted({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "['inferflow']\n"


@pytest.mark.parametrize(
    "name",
    [
        "describe",
        "exact",
        "exact_graph",
        "exact_reach",
        "transport",
        "transport_arrays",
        "transport_code",
        "transport_pickle",
        "transport_sets",
    ],
)
def test_the_examples_in_the_docstrings(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(f"inferflow.worker.{name}"))
    assert not failed


# --- in words ----------------------------------------------------------------------------------------------------


class Loud:
    def __repr__(self) -> str:
        raise RuntimeError("called")

    def __len__(self) -> int:
        raise RuntimeError("called")


class LoudList(list):  # type: ignore[type-arg]
    __len__ = Loud.__len__  # type: ignore[assignment]
    __repr__ = Loud.__repr__


@pytest.mark.parametrize(
    ("value", "name", "summary"),
    [
        (1, "int", "1"),
        ("a\nb", "str", "'a\\nb'"),
        ("x" * 200, "str", "'" + "x" * 56 + "..."),
        (1 << 2000, "int", "an integer of 2001 bits"),
        ([1], "list", "1 element"),
        ({}, "dict", "0 keys"),
        (np.zeros((2, 3)), "numpy.ndarray", "float64 (2, 3)"),
        (np.float32(1.5), "numpy.float32", "float32 1.5"),
        (pd.DataFrame({"a": [1], 2: [2]}), "pandas.DataFrame", "1 row x 2 columns: a, 2"),
        (pd.Series([1, 2], name="s"), "pandas.Series", "int64 's' 2 rows"),
        (Loud(), "test_transport.Loud", ""),
        (LoudList([1, 2]), "test_transport.LoudList", "2 elements"),
        (Model, "type", "class Model"),
        (ValueError("no such thing"), "ValueError", "'no such thing'"),
        (Path("a/b"), "pathlib.PosixPath", "a/b"),
        (None, "NoneType", "None"),
        (datetime.date(2024, 1, 2), "datetime.date", "datetime.date(2024, 1, 2)"),
    ],
)
def test_descriptions(value: object, name: str, summary: str) -> None:
    found, text = describe(value)
    assert (found.replace("pathlib._local.", "pathlib."), text) == (name, summary)


def test_wide_frames_are_described_shortly() -> None:
    frame = pd.DataFrame({f"column number {number}": [1.0] for number in range(50)})
    assert len(describe(frame)[1]) <= 60


def test_pickling_methods_of_a_library_that_nobody_knows_are_not_called() -> None:
    """They may leave traces in the object, which native would not."""
    library = types.ModuleType("some_library")
    code = "class Traced:\n    def __init__(self):\n        self.trace = []\n    def __getstate__(self):\n        self.trace.append(1)\n        return {}\n"
    sys.modules["some_library"] = library
    try:
        exec(code, library.__dict__)
        value = library.Traced()
        with pytest.raises(Unpackable):
            pack((value,), project=frozenset({"__main__"}), quiet=True)
        assert value.trace == []
    finally:
        del sys.modules["some_library"]


def test_a_library_whose_values_change_when_they_are_pickled() -> None:
    """A result of statsmodels forgets the callback that its model was fitted with: it is packed in a copy only."""
    discrete = pytest.importorskip("statsmodels.discrete.discrete_model")
    from inferflow.worker.transport_pickle import runs_user_code

    assert runs_user_code(discrete.ProbitResults, frozenset({"__main__"}))
