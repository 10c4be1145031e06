"""The library catalogue: its notation, its lookups, and whether what it says is true of the installed libraries."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from inferflow.analysis import catalogue as package
from inferflow.analysis.catalogue import (
    SOMETHING,
    UNKNOWN,
    Arguments,
    Catalogue,
    Condition,
    Malformed,
    Signature,
    TypeRef,
    applies,
    bind,
    load_catalogue,
    lookup,
    open_acts,
    possible_results,
)
from inferflow.analysis.catalogue.notation import Entry, index, read_condition, read_signature, version_range

DATA = Path(package.__file__).parent / "data"
LIBRARIES = sorted(path.stem for path in DATA.glob("*.effects") if path.stem != "hidden")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


# -- the files as they stand ---------------------------------------------------------------------------


def signatures(catalogue: Catalogue, library: str) -> list[tuple[Entry, Signature]]:
    return [
        (entry, read_signature(name, entry, catalogue._library(library).index.shorts))
        for name, entry in catalogue.entries(library)
        if entry.kind in ("def", "new", "classmethod", "staticmethod")
    ]


def conditions(s: Signature) -> list[Condition]:
    groups = (s.results, s.mutates, s.keeps, s.calls, s.hidden, s.files, s.world)
    return [item.when for group in groups for item in group if item.when]


def parameters_named(s: Signature) -> set[str]:
    """Every parameter that the clauses of an entry speak of."""
    names = {link.param for result in s.results for link in result.links}
    names |= {m.param for m in s.mutates} | {k.param for k in s.keeps} | {k.into for k in s.keeps} | set(s.consumes)
    names |= {c.param for c in s.calls} | {link.param for c in s.calls for link in c.receives}
    names |= {f.param for f in s.files} | {f.mode for f in s.files}
    return names | {check.param for when in conditions(s) for check in when if not check.param.startswith("self.")}


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_line_is_in_the_notation(catalogue: Catalogue, library: str) -> None:
    for name, entry in catalogue.entries(library):
        match entry.kind:
            case "def" | "new" | "classmethod" | "staticmethod":
                continue
            case "class":
                assert catalogue.type(name) or version_range(entry.rest) != (None, None)
            case "attr":
                assert catalogue.attribute(*name.rsplit(".", 1)) or version_range(entry.rest) != (None, None)
            case "const":
                assert catalogue.constant(name) or version_range(entry.rest) != (None, None)
            case other:
                pytest.fail(f"{name}: {other}")
    assert signatures(catalogue, library) is not None


@pytest.mark.parametrize("library", LIBRARIES)
def test_entries_speak_of_their_own_parameters(catalogue: Catalogue, library: str) -> None:
    wrong = []
    for entry, s in signatures(catalogue, library):
        known = {p.name for p in s.params} | {""} | ({"self"} if entry.owner else set())
        if not entry.rest.startswith("("):
            wrong.append(f"{s.name}: no parameters")
        wrong += [f"{s.name}: {name}" for name in sorted(parameters_named(s) - known)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", LIBRARIES)
def test_names_stand_once_for_each_version(catalogue: Catalogue, library: str) -> None:
    seen: dict[str, list[tuple[str | None, str | None]]] = {}
    for name, entry in catalogue.entries(library):
        seen.setdefault(name, []).append(version_range(entry.rest))
    # Two entries of one name must lie on two sides of one version.
    wrong = {n for n, ranges in seen.items() if len(ranges) > 1 and not apart(ranges)}
    assert wrong == set()


def apart(ranges: list[tuple[str | None, str | None]]) -> bool:
    (since1, until1), (since2, until2) = ranges[0], ranges[-1]
    return len(ranges) == 2 and ((until1 is not None and until1 == since2) or (until2 is not None and until2 == since1))


@pytest.mark.parametrize("library", LIBRARIES)
def test_hidden_states_types_and_bases_exist(catalogue: Catalogue, library: str) -> None:
    states = {state.name for state in catalogue.hidden_states()}
    wrong = []
    for _, s in signatures(catalogue, library):
        wrong += [f"{s.name}: state {use.state}" for use in s.hidden if use.state not in states]
        wrong += [f"{s.name}: type {t}" for result in s.results for t in unknown_types(catalogue, result.type)]
    for name, entry in catalogue.entries(library):
        if entry.kind == "const" and (value := catalogue.constant(name)):
            wrong += [f"{name}: state {value.state}"] if value.state and value.state not in states else []
            wrong += [f"{name}: type {t}" for t in unknown_types(catalogue, value.type)]
        elif entry.kind == "attr" and (value := catalogue.attribute(*name.rsplit(".", 1))):
            wrong += [f"{name}: type {t}" for t in unknown_types(catalogue, value.type)]
        elif entry.kind == "class" and (info := catalogue.type(name)):
            wrong += [f"{name}: base {base}" for base in info.bases if catalogue.type(base) is None]
    assert not wrong, "\n".join(wrong)


def unknown_types(catalogue: Catalogue, type_: TypeRef) -> list[str]:
    own = [] if type_.name in ("", "|", "type") or catalogue.type(type_.name) else [type_.name]
    return own + [t for item in type_.items for t in unknown_types(catalogue, item)]


@pytest.mark.parametrize("library", LIBRARIES)
def test_any_name_may_be_looked_up_in_any_way(catalogue: Catalogue, library: str) -> None:
    for name, entry in catalogue.entries(library):
        found = [catalogue.function(name), catalogue.type(name), catalogue.constant(name)]
        if entry.kind in ("const", "attr"):
            assert found[0] is None
        assert (found[2] is not None) <= (entry.kind == "const")


def test_the_page_of_the_catalogue_shows_entries_that_work(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text()
    for block in page.split("```")[1::2]:
        first, _, text = block.strip().partition("\n")
        if first.startswith("# effects/"):
            (tmp_path / first.removeprefix("# effects/")).write_text(text)
    acme = load_catalogue([tmp_path])
    assert acme.function("acme.load").files[0].param == "path"
    assert [use.state for use in acme.function("acme.sample").hidden] == ["acme.random", "acme.random"]
    assert acme.method("acme.Table", "head").results[0].links[0].relation == "view"
    assert acme.attribute("acme.Table", "rows").type == TypeRef("builtins.list")
    assert acme.hidden("acme.random").what == "acme's random generator"


# -- against the installed libraries --------------------------------------------------------------------


def tool() -> object:
    """``tools/catalogue.py``, which compares entries with what is installed."""
    path = Path(__file__).parents[2] / "tools" / "catalogue.py"
    spec = importlib.util.spec_from_file_location("catalogue_tool", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def is_here(library: str) -> bool:
    try:
        return importlib.util.find_spec(library) is not None
    except ValueError:
        return True


NO_LIBRARY = {"ipython_magics"}
"""What stands for lines that only IPython understands, which no module has."""
TOO_LARGE = {"torch"}
"""Compared with the library where that happens to be installed."""
COMPARED = [
    library
    for library in LIBRARIES
    # the standard library's entries are those of Python 3.11, with the ranges of others
    if library not in NO_LIBRARY
    and (library not in sys.stdlib_module_names or sys.version_info[:2] == (3, 11))
    and (library not in TOO_LARGE or is_here(library))
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", COMPARED)
def test_every_entry_exists_with_these_parameters(library: str) -> None:
    if not is_here(library):
        pytest.skip(f"{library} is not installed (it comes with the extra 'catalogue')")
    problems = list(tool().check(library))
    assert not problems, "\n".join(problems)


# -- looking up ----------------------------------------------------------------------------------------


def test_a_library_is_read_when_a_name_of_it_is_first_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = lookup._shipped
    monkeypatch.setattr(lookup, "_shipped", lambda top: read.append(top) or real(top))
    lookup._load.cache_clear()
    catalogue = load_catalogue()
    assert read == []
    catalogue.function("builtins.len")
    catalogue.function("numpy.sort")
    catalogue.function("numpy.random.seed")
    assert read == ["builtins", "numpy"]


def test_importing_the_catalogue_imports_no_library() -> None:
    import subprocess

    code = (
        "import sys; from inferflow.analysis.catalogue import load_catalogue as l;"
        "l().function('numpy.sort'); l().method('pandas.DataFrame', 'head');"
        "print(sorted({'numpy', 'pandas', 'libcst', 'importlib.metadata', 'cattrs'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_names_of_other_modules_lead_to_the_same_entry(catalogue: Catalogue) -> None:
    assert catalogue.function("os.path.join") is catalogue.function("posixpath.join")
    assert catalogue.function("numpy.random.mtrand.seed") is catalogue.function("numpy.random.seed")
    assert catalogue.function("pandas.io.parsers.readers.read_csv") is catalogue.function("pandas.read_csv")
    assert catalogue.canonical("numpy.double") == "numpy.float64"
    assert catalogue.canonical("builtins.IOError") == "builtins.OSError"
    assert catalogue.function("nowhere.f") is None
    assert catalogue.function("numpy.no_such_function") is None


def test_modules_are_known_by_name(catalogue: Catalogue) -> None:
    assert catalogue.module("numpy")
    assert catalogue.module("os.path")
    assert catalogue.module("sklearn.linear_model")
    assert not catalogue.module("numpy.ndarray")
    assert not catalogue.module("../numpy")
    assert not catalogue.module("hidden")


def test_a_class_is_its_constructor(catalogue: Catalogue) -> None:
    signature = catalogue.function("sklearn.linear_model.LogisticRegression")
    assert signature.kind == "class"
    assert signature.name == "sklearn.linear_model.LogisticRegression"
    assert signature.results[0].type == TypeRef("sklearn.linear_model.LogisticRegression")


def test_methods_follow_bases(catalogue: Catalogue) -> None:
    assert catalogue.method("collections.Counter", "keys").name == "builtins.dict.keys"
    assert catalogue.method("pathlib.PosixPath", "read_text").files[0].act == "read"
    assert catalogue.attribute("sklearn.cluster.KMeans", "labels_").links[0].relation == "view"
    assert catalogue.method("builtins.list", "no_such_method") is None
    assert [info.name for info in catalogue.ancestry("builtins.bool")] == ["builtins.bool", "builtins.int"]


def test_a_method_can_be_reached_through_its_class(catalogue: Catalogue) -> None:
    assert catalogue.function("builtins.str.join").name == "builtins.str.join"
    assert catalogue.function("datetime.datetime.now").kind == "classmethod"
    assert catalogue.function("sklearn.cluster.KMeans.predict").kind == "method"


def test_methods_of_an_unknown_receiver(catalogue: Catalogue) -> None:
    names = [s.name for s in catalogue.methods_named("append", ["collections", "pandas.core"])]
    assert "builtins.list.append" in names
    assert "collections.deque.append" in names
    assert "pandas.Index.append" in names
    assert catalogue.methods_named("append", ["pandas", "collections"]) == catalogue.methods_named(
        "append", ["collections", "pandas.core"]
    )


def test_flags_of_types(catalogue: Catalogue) -> None:
    assert catalogue.type("builtins.tuple").immutable
    assert catalogue.type("builtins.list").container
    assert catalogue.type("pandas.DataFrame").cells
    assert catalogue.type("io.TextIOWrapper").iterator
    assert not catalogue.type("numpy.random.Generator").immutable


def test_globals_that_are_hidden_states(catalogue: Catalogue) -> None:
    assert catalogue.constant("os.environ").state == "os.environ"
    assert catalogue.constant("matplotlib.pyplot.rcParams").state == "matplotlib.rcParams"
    assert catalogue.constant("math.pi").type == TypeRef("builtins.float")
    assert catalogue.constant("sys.stderr").world[0].kind == "stderr"
    assert catalogue.hidden("numpy.random").what == "numpy's global random generator"
    assert catalogue.hidden("matplotlib.rcParams").config


def test_versions_choose_between_entries(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, links in (((2, 2, 3), 1), ((3, 0, 0), 0), ((), 0)):
        lookup._load.cache_clear()
        monkeypatch.setattr(lookup, "_installed", lambda package, version=version: version)
        assert len(catalogue.method("pandas.DataFrame", "head").results[0].links) == links
    lookup._load.cache_clear()


def test_folders_of_more_data_files(tmp_path: Path) -> None:
    (tmp_path / "acme.effects").write_text("module acme\ndef go(x, y=) -> view(x) ; writes acme.mood ; mutates y\n")
    (tmp_path / "math.effects").write_text("module math\ndef sqrt(x, /) -> float ; world stdout\n")
    (tmp_path / "hidden.effects").write_text("acme.mood ; the mood of acme ; state\n")
    catalogue = load_catalogue([tmp_path])
    assert catalogue.function("acme.go").mutates[0].param == "y"
    assert catalogue.function("math.sqrt").world[0].kind == "stdout"
    assert catalogue.function("math.sin").cheap
    assert catalogue.hidden("acme.mood").what == "the mood of acme"
    assert load_catalogue().function("acme.go") is None


# -- conditions and arguments --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "given", "answer"),
    [
        ("true(p)", {}, False),
        ("true(p)", {"p": True}, True),
        ("true(p)", {"p": 0}, False),
        ("true(p)", {"p": UNKNOWN}, None),
        ("true(p)", {"p": SOMETHING}, None),
        ("false(p)", {}, False),
        ("false(p)", {"p": False}, True),
        ("not true(p)", {}, True),
        ("not true(p)", {"p": UNKNOWN}, None),
        ("given(p)", {}, False),
        ("given(p)", {"p": None}, False),
        ("given(p)", {"p": 0}, True),
        ("given(p)", {"p": UNKNOWN}, None),
        ("given(p)", {"p": SOMETHING}, True),
        ("not given(p)", {"p": 3}, False),
        ("p in a|b", {"p": "b"}, True),
        ("p in a|b", {"p": "c"}, False),
        ("p in a|b", {}, False),
        ("p in absent|a", {}, True),
        ("p in 1|0", {"p": True}, False),
        ("p in None", {"p": None}, True),
        ("mentions(p, @)", {"p": "a > @b"}, True),
        ("mentions(p, @)", {"p": "a > b"}, False),
        ("text(p)", {"p": "a"}, True),
        ("text(p)", {"p": 1}, False),
        ("text(p)", {"p": package.TEXT}, True),
        ("text(p)", {"p": package.NUMBER}, False),
        ("number(p)", {"p": 2.5}, True),
        ("number(p)", {"p": package.NUMBER}, True),
        ("number(p)", {"p": SOMETHING}, None),
        ("slice(p)", {"p": package.SLICE}, True),
        ("slice(p)", {"p": "a"}, False),
        ("given(p)", {"p": package.TEXT}, True),
        ("true(p)", {"p": package.NUMBER}, None),
        ("plain(p)", {"p": package.NUMBER}, True),
        ("plain(p)", {}, True),
        ("plain(p)", {"p": 5}, True),
        ("plain(p)", {"p": SOMETHING}, None),
        ("plain(p)", {"p": package.PLAIN}, True),
        ("given(p) and true(q)", {"p": 1, "q": UNKNOWN}, None),
        ("given(p) and true(q)", {"p": None, "q": UNKNOWN}, False),
        ("given(self.p)", {"p": 1}, None),
    ],
)
def test_conditions(condition: str, given: dict[str, object], answer: bool | None) -> None:
    assert applies(read_condition(condition), Arguments(given)) is answer


def test_conditions_on_what_the_receiver_was_made_with() -> None:
    unseeded = read_condition("not given(self.random_state)")
    assert applies(unseeded, Arguments(settings={"random_state": 0})) is False
    assert applies(unseeded, Arguments(settings={})) is True
    assert applies(unseeded, Arguments()) is None


def test_star_arguments_leave_open_what_is_given() -> None:
    assert applies(read_condition("true(p)"), Arguments({}, complete=False)) is None


def test_arguments_are_bound_by_name(catalogue: Catalogue) -> None:
    assert bind(catalogue.function("builtins.print"), ["a", "b"], {"file": "f"}) == {"args": ("a", "b"), "file": ("f",)}
    assert bind(catalogue.function("builtins.dict"), ["m"], {"k": "v"}) == {"mapping": ("m",), "kwargs": ("v",)}
    drop = catalogue.method("pandas.DataFrame", "dropna")
    assert bind(drop, [], {"inplace": 1}) == {"inplace": (1,)}
    assert bind(catalogue.function("math.sqrt"), [1, 2], {"z": 3}) == {"x": (1,)}


def test_results_are_tried_in_order(catalogue: Catalogue) -> None:
    load = catalogue.function("sklearn.datasets.load_iris")
    names = {
        "none": [r.type.name for r in possible_results(load, Arguments())],
        "pair": [r.type.name for r in possible_results(load, Arguments({"return_X_y": True}))],
        "any": [r.type.name for r in possible_results(load, Arguments({"return_X_y": UNKNOWN}))],
    }
    assert names["none"] == ["sklearn.utils.Bunch"]
    assert names["pair"] == ["builtins.tuple"]
    assert names["any"] == ["builtins.tuple", "sklearn.utils.Bunch"]


def test_modes_of_open() -> None:
    assert open_acts("r") == ("read",)
    assert open_acts("rb") == ("read",)
    assert open_acts("w") == ("write",)
    assert open_acts("a") == ("append",)
    assert open_acts("r+") == ("read", "write")
    assert open_acts(None) == ("read", "write", "append")


def test_plain_objects(catalogue: Catalogue) -> None:
    forest = "sklearn.ensemble.RandomForestClassifier"
    assert catalogue.is_plain(forest, {"random_state": 0})
    assert not catalogue.is_plain(forest, {})
    assert not catalogue.is_plain(forest, {"random_state": 0, "n_jobs": -1})
    assert catalogue.is_plain("sklearn.pipeline.Pipeline", {"steps": package.PLAIN})
    assert not catalogue.is_plain("sklearn.pipeline.Pipeline", {"steps": SOMETHING})
    assert not catalogue.is_plain("nowhere.Thing", {})


# -- the notation --------------------------------------------------------------------------------------


def one(line: str) -> Signature:
    table = index("module m\nshort A = numpy.ndarray\n" + line)
    ((name, (entry,)),) = table.entries.items()
    return read_signature(name, entry, table.shorts)


def test_a_line_with_everything() -> None:
    s = one(
        "def f(a, b=, /, *rest, c=, **more) -> None if true(c) -> view(a) contains(b) tuple[A, int|str] "
        "; mutates a if given(b) ; mutates b only ; keeps *rest in a ; consumes b ; calls c(element b, a) later gives "
        "; draws random ; file open a b ; file write b + .npy ; world stdout, process ; irrevocable"
    )
    assert [(p.name, p.kind, p.required) for p in s.params] == [
        ("a", "positional", True),
        ("b", "positional", False),
        ("rest", "var_positional", False),
        ("c", "keyword", False),
        ("more", "var_keyword", False),
    ]
    assert s.results[0].type.name == "builtins.NoneType"
    assert [(link.relation, link.param) for link in s.results[1].links] == [("view", "a"), ("contains", "b")]
    assert s.results[1].type.items[0].name == "numpy.ndarray"
    assert s.results[1].type.items[1].name == "|"
    assert [(m.param, m.deep) for m in s.mutates] == [("a", True), ("b", False)]
    assert s.keeps[0].relation == "elements"
    assert s.keeps[0].into == "a"
    assert s.calls[0].later
    assert s.calls[0].gives
    assert [link.relation for link in s.calls[0].receives] == ["element", "same"]
    assert [(use.mode, use.state) for use in s.hidden] == [("read", "random"), ("write", "random")]
    assert s.files[0].mode == "b"
    assert s.files[1].suffix == ".npy"
    assert [use.kind for use in s.world] == ["stdout", "process"]
    assert s.irrevocable
    assert not s.cheap


@pytest.mark.parametrize(
    "line",
    [
        "def f(a) -> None ; mutate a",
        "def f(a) -> None ; mutates a if maybe(a)",
        "def f(a) -> list[",
        "def f(a) -> not-a-type",
        "def f(a) -> None ; file eat a",
        "def f(a) -> None ; calls f(",
    ],
)
def test_what_is_not_in_the_notation_is_refused(line: str) -> None:
    with pytest.raises(Malformed):
        one(line)
