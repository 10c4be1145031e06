"""Maintain the data files of the library catalogue (``src/inferflow/analysis/catalogue/data``).

What a function does is written by hand; what its parameters are called is asked of the installed library:

    python tools/catalogue.py fill numpy pandas     write parameter lists into lines that have none, and split
                                                    ``def a, b -> int`` into one line for each name
    python tools/catalogue.py check numpy           entries that the library does not have, or has with other parameters
    python tools/catalogue.py missing numpy.linalg  public names of modules that have no entry

``fill`` leaves lines with a parameter list alone: where several versions are supported, it is a person who decides.
``check`` is what ``tests/analysis/test_catalogue.py`` runs for everything that is installed.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferflow.analysis.catalogue import Parameter

DATA = Path(__file__).parent.parent / "src" / "inferflow" / "analysis" / "catalogue" / "data"

_LINE = re.compile(r"(?P<indent> *)(?P<kind>def|classmethod|staticmethod|attr|const|new)\b(?P<rest>.*)")
_NAMES = re.compile(r"(?P<names>[\w.]+(?:, *[\w.]+)*)(?P<params>\([^)]*\))?(?P<tail>(?: *->.*| *;.*)?)$")
STANDS_FOR_NOTHING = {
    "builtins": {"iterator", "NoneType", "function", "module", "generator", "coroutine"}
    | {"dict_keys", "dict_values", "dict_items"},
    "_csv": {"reader", "writer"},
    "hashlib": {"HASH"},
    "matplotlib": {"AnyArtist", "AxesOrArray"},
    "networkx": {"Graph"},
    "numpy": {"index_trick"},
    "pandas": {"Styler", "CombinedDatetimelikeProperties", "BaseWindow", "GroupBy"}
    | {"SeriesOrFrame", "SeriesOrDates", "SeriesOrDeltas"},
    "polars": {"GroupBy"},
    "scipy": {"rv_generic", "_spbase", "Result"},
    "seaborn": {"Grid"},
    "sklearn": {"AnyEstimator", "FrameBunch"},
    "statsmodels": {"Model", "Results"},
    "sys": {"StandardOutput", "StandardError", "StandardInput"},
    "threading": {"LockType"},
}
"""Classes of the catalogue that cannot be looked up in the library: they stand for several, or have no name there."""


def resolve(qualname: str) -> object:
    """The object of a qualified name. Raises AttributeError or ImportError."""
    parts = qualname.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = inspect.getattr_static(found, part) if isinstance(found, type) else getattr(found, part)
            found = getattr(found, "__func__", found) if isinstance(found, classmethod | staticmethod) else found
        return found
    raise ImportError(qualname)


def parameters(function: object, *, method: bool = False) -> str | None:
    """The parameter list in the notation, without the receiver; ``None`` if Python cannot tell."""
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None
    words: list[str] = []
    previous = None
    params = list(signature.parameters.values())
    if method and params and params[0].kind not in (params[0].VAR_POSITIONAL, params[0].KEYWORD_ONLY):
        params = params[1:]
    star = False
    for p in params:
        if previous == p.POSITIONAL_ONLY and p.kind != p.POSITIONAL_ONLY:
            words.append("/")
        if p.kind == p.KEYWORD_ONLY and not star:
            words.append("*")
            star = True
        star = star or p.kind == p.VAR_POSITIONAL
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        words.append(prefix + p.name + ("=" if p.default is not p.empty else ""))
        previous = p.kind
    if previous is not None and params[-1].kind == params[-1].POSITIONAL_ONLY:
        words.append("/")
    return f"({', '.join(words)})"


def found_parameters(kind: str, qualname: str) -> str | None:
    """The parameters of an entry (``new``: of the class ``qualname``)."""
    if kind == "new":
        return parameters(resolve(qualname))
    owner = qualname.rpartition(".")[0]
    try:
        method = kind != "staticmethod" and isinstance(resolve(owner), type)
    except (ImportError, AttributeError):
        method = False
    return parameters(resolve(qualname), method=method)


def fill(text: str) -> Iterator[str]:
    """The lines of a data file with parameter lists."""
    module = owner = ""
    for line in text.splitlines():
        found = _LINE.match(line)
        if line.startswith("module "):
            module = line[7:].strip()
        if line.startswith("class "):
            owner = module + "." + re.split(r"[ (]", line[6:].strip())[0]
        if found is None:
            yield line
            continue
        indent, kind, rest = found["indent"], found["kind"], found["rest"].strip()
        if kind == "new":
            yield line if rest.startswith("(") else f"{indent}new{_safe(kind, owner)} {rest}".rstrip()
            continue
        names = _NAMES.match(rest)
        if names is None or (names["params"] and "," not in names["names"]):
            yield line
            continue
        for name in (n.strip() for n in names["names"].split(",")):
            params = names["params"] or ""
            if not params and kind not in ("attr", "const"):
                params = _safe(kind, f"{owner if indent else module}.{name}")
            yield f"{indent}{kind} {name}{params} {names['tail'].strip()}".rstrip()


def _safe(kind: str, qualname: str) -> str:
    try:
        found = found_parameters(kind, qualname)
    except (ImportError, AttributeError) as error:
        print(f"{qualname}: {error!r}", file=sys.stderr)
        return ""
    if found is None:
        print(f"{qualname}: no signature", file=sys.stderr)
    return found or ""


def missing(module: ModuleType) -> Iterator[str]:
    """Public names that a module (or a class in it) has and the catalogue has not."""
    from inferflow.analysis.catalogue import load_catalogue

    catalogue = load_catalogue()
    public = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
    for name in sorted(public):
        full = f"{module.__name__}.{name}"
        value = getattr(module, name, None)
        if isinstance(value, ModuleType) or getattr(value, "__module__", "").split(".")[0] == "typing":
            continue
        if isinstance(value, type) and catalogue.type(full):
            for member in dir(value):
                known = catalogue.method(full, member) or catalogue.attribute(full, member)
                if not member.startswith("_") and not known:
                    yield f"{full}.{member}"
        elif not (catalogue.function(full) or catalogue.constant(full) or catalogue.type(full)):
            yield full


def check(library: str) -> Iterator[str]:
    """What is wrong with the entries of a library, in words."""
    from inferflow.analysis.catalogue import load_catalogue
    from inferflow.analysis.catalogue.notation import read_params, version_range

    catalogue = load_catalogue()
    for optional in ("enable_iterative_imputer", "enable_halving_search_cv") if library == "sklearn" else ():
        importlib.import_module(f"sklearn.experimental.{optional}")
    for name, entry in catalogue.entries(library):
        if version_range(entry.rest) != (None, None):
            continue
        owner = entry.owner or name
        if owner == "threading.Condition":  # its methods are attributes of each instance
            continue
        if owner.rpartition(".")[2] in STANDS_FOR_NOTHING.get(library, ()) or entry.kind in ("attr", "class"):
            continue
        try:
            if entry.kind == "const":
                if sys.platform == "linux":  # others lack some constants of the operating system
                    resolve(name)
                continue
            actual = found_parameters(entry.kind, owner if entry.kind == "new" else name)
        except (ImportError, AttributeError) as error:
            yield f"{name}: {error!r}"
            continue
        if actual is not None and not _agree(read_params(entry.rest)[0], read_params(actual)[0]):
            yield f"{name}: the catalogue has {entry.rest.partition(')')[0]}), the library {actual}"


def _agree(ours: tuple[Parameter, ...], theirs: tuple[Parameter, ...]) -> bool:
    """Whether two parameter lists bind the same positional arguments to the same names, as far as both go (versions of
    a library add and drop some), and what only ours has by name may be given by name."""
    for mine, actual in zip(ours, theirs, strict=False):
        if "var_positional" in (mine.kind, actual.kind) or "keyword" in (mine.kind, actual.kind):
            break
        if mine.name != actual.name and "var_keyword" not in (mine.kind, actual.kind):
            return False
    known = {p.name for p in theirs}
    open_ended = any(p.kind in ("var_keyword", "var_positional") for p in (*theirs, *ours))
    return open_ended or all(p.name in known for p in ours)


def main(arguments: list[str]) -> int:
    """Run one command; the exit status."""
    match arguments:
        case ["fill", *libraries]:
            for library in libraries:
                path = DATA / f"{library}.effects"
                path.write_text("\n".join(fill(path.read_text(encoding="utf-8"))) + "\n", encoding="utf-8")
        case ["check", *libraries]:
            problems = [problem for library in libraries for problem in check(library)]
            print(*problems, sep="\n")
            return bool(problems)
        case ["missing", *modules]:
            for module in modules:
                print(*missing(importlib.import_module(module)), sep="\n")
        case _:
            print(__doc__)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
