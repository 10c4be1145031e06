"""Arrays, tables, figures and the like in a portrait (see ``portrait``): told by their content, element by element.

An array is told in blocks of 512 elements: a digest of the bits and the first few values, so that a difference can be
shown and placed. Figures are told by their pixels. No library is imported here: what is met has been imported.
"""

from __future__ import annotations

import hashlib
import io
import sys
from typing import TYPE_CHECKING, Any

from inferflow.worker.exact_graph import attributes, package
from inferflow.worker.transport_arrays import extent

if TYPE_CHECKING:
    from inferflow.worker.portrait import Portrait

__all__ = ["arrays_overlap", "data_parts", "is_data"]

BLOCK = 512
"""Elements of an array that make one part."""
FEW = 16
"""Values of a block that are shown."""


def is_data(value: Any) -> bool:
    """Whether :func:`data_parts` knows the value."""
    cls = type(value)
    if cls.__module__ == "builtins":
        return False
    return any(isinstance(value, found) for found in _known())


def _known() -> list[Any]:
    names = (
        ("numpy", "ndarray"), ("numpy", "generic"), ("numpy", "dtype"), ("numpy", "ufunc"), ("pandas", "DataFrame"),
        ("pandas", "Series"), ("pandas", "Index"), ("polars", "DataFrame"), ("polars", "Series"),
        ("matplotlib.artist", "Artist"), ("torch", "Tensor"), ("PIL.Image", "Image"),
    )  # fmt: skip
    found = []
    for module, name in names:
        loaded = sys.modules.get(module)
        kind = getattr(loaded, "__dict__", {}).get(name) if loaded is not None else None
        if isinstance(kind, type):
            found.append(kind)
    return found


def data_parts(portrait: Portrait, path: str, value: Any) -> None:
    """Write an array, a table or a figure down."""
    library = next(
        package(base)
        for base in type(value).__mro__
        if package(base) in ("numpy", "pandas", "polars", "matplotlib", "torch", "PIL")
    )
    {
        "numpy": _numpy,
        "pandas": _pandas,
        "polars": _polars,
        "matplotlib": _matplotlib,
        "torch": _torch,
        "PIL": _pillow,
    }[library](portrait, path, value)


def _name(value: Any) -> str:
    return f"{package(type(value))}.{type(value).__qualname__}"


# -- numpy ---------------------------------------------------------------------------------------------


def _numpy(portrait: Portrait, path: str, value: Any) -> None:
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.ndarray):
        bare = numpy.ndarray.view(value, numpy.ndarray) if type(value) is not numpy.ndarray else value
        flags = "" if bare.flags.writeable else ", read-only"
        order = "" if bare.flags.c_contiguous else ", in Fortran's order" if bare.flags.f_contiguous else ", strided"
        portrait.part(path, f"{_name(value)} {bare.dtype} {bare.shape}{order}{flags}")
        low, high = extent(bare)
        if high > low:
            portrait.memory.append((low, high, path))
            portrait.kept.append(bare)
        own = attributes(value) if type(value) is not numpy.ndarray else None
        if own:
            portrait.later([(f"{path}.{name}", item) for name, item in own.items()])
        if isinstance(value, getattr(numpy.ma, "MaskedArray", ())):
            mask = numpy.ma.getmaskarray(value)
            numbers(portrait, path + ".mask", mask)
            bare = _uncovered(bare, mask)
        numbers(portrait, path, bare)
    elif isinstance(value, numpy.generic):
        if value.dtype.names is not None or value.dtype.hasobject:
            portrait.part(path, f"{_name(value)} {value.dtype}")
            numbers(portrait, path, numpy.asarray(value).reshape(1))
        else:
            portrait.part(path, f"{_name(value)} {value.item()!r} {_digest(value.tobytes())}")
    else:
        portrait.part(path, f"{_name(value)} {value}")


def _uncovered(data: Any, mask: Any) -> Any:
    """The elements with zeros under the mask: what lies there is nobody's business. (Not by ``filled()``, which
    remembers in the array what it fills with.)"""
    numpy = sys.modules["numpy"]
    found = numpy.array(data, order="K")
    if data.dtype.names is None:
        found[mask] = numpy.zeros((), data.dtype)[()]
    else:
        for name in data.dtype.names:
            found[name] = _uncovered(data[name], mask[name])
    return found


def numbers(portrait: Portrait, path: str, array: Any) -> None:
    """The elements of an array, in blocks."""
    if array.dtype.names is not None:
        for name in array.dtype.names:  # not the padding between the fields
            numbers(portrait, f"{path}[{name!r}]", array[name])
        return
    if array.dtype.hasobject or array.dtype.kind == "T":
        portrait.later([(path + "[:]", list(array.flat))])
        return
    flat = array.reshape(-1)
    for at in range(0, flat.size, BLOCK):
        block = flat[at : at + BLOCK]
        few = ", ".join(map(str, block[:FEW].tolist()))
        dots = ", ..." if block.size > FEW else ""
        portrait.part(f"{path}[{at}:{at + block.size}]", f"{few}{dots} #{_digest(block.tobytes())}")


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def arrays_overlap(memory: list[tuple[int, int, str]]) -> list[tuple[str, str]]:
    """For each array whose memory belongs to one that was met before: whose, and how many bytes behind its start."""
    found = []
    placed: list[tuple[int, int, str]] = []
    if len(memory) > 3000:
        memory = memory[:3000]
    for low, high, path in memory:
        other = next((item for item in placed if item[0] < high and low < item[1]), None)
        if other is None:
            placed.append((low, high, path))
        else:
            found.append((path, f"shares memory with {other[2]}, from byte {low - other[0]} on"))
    return found


# -- tables --------------------------------------------------------------------------------------------


def _pandas(portrait: Portrait, path: str, value: Any) -> None:
    pandas = sys.modules["pandas"]
    if isinstance(value, pandas.DataFrame):
        portrait.part(path, f"{_name(value)} {value.shape}")
        children = [(path + ".columns", value.columns), (path + ".index", value.index)]
        names = [str(name) for name in value.columns]
        for at, name in enumerate(names):
            children.append((f"{path}[{name!r}]", _column(value.iloc[:, at])))
        portrait.later([*children, *_attrs(path, value)])
    elif isinstance(value, pandas.MultiIndex):
        portrait.part(path, f"{_name(value)} of {len(value)}, names {list(value.names)}")
        portrait.later([(f"{path}.level{at}", value.get_level_values(at)) for at in range(value.nlevels)])
    elif isinstance(value, pandas.RangeIndex):
        portrait.part(path, f"{_name(value)} {value.start}:{value.stop}:{value.step}, name {value.name!r}")
    elif isinstance(value, pandas.Index):
        frequency = getattr(value, "freqstr", None)
        portrait.part(path, f"{_name(value)} {value.dtype} of {len(value)}, name {value.name!r}, freq {frequency}")
        portrait.later([(path + ".values", _column(value))])
    else:
        portrait.part(path, f"{_name(value)} {value.dtype} of {len(value)}, name {value.name!r}")
        portrait.later([(path + ".index", value.index), (path + ".values", _column(value)), *_attrs(path, value)])


def _attrs(path: str, value: Any) -> list[tuple[str, Any]]:
    return [(path + ".attrs", dict(value.attrs))] if value.attrs else []


def _column(series: Any) -> Any:
    """What a column holds: an array without the caches and the sharing that pandas keeps to itself."""
    numpy = sys.modules["numpy"]
    if isinstance(series.dtype, numpy.dtype):
        array = series.to_numpy()
        return list(array) if array.dtype.hasobject else array.copy()
    if hasattr(series, "cat") or str(series.dtype) == "category":
        categories = series.cat if hasattr(series, "cat") else series
        codes = numpy.asarray(categories.codes)
        return [str(series.dtype), bool(categories.ordered), codes, list(categories.categories)]
    return [str(series.dtype), [None if missing else item for item, missing in zip(series.tolist(), series.isna())]]


def _polars(portrait: Portrait, path: str, value: Any) -> None:
    if hasattr(value, "columns"):
        portrait.part(path, f"{_name(value)} {value.shape}")
        portrait.later([(f"{path}[{name!r}]", value[name]) for name in value.columns])
    else:
        portrait.part(path, f"{_name(value)} {value.dtype} of {len(value)}, name {value.name!r}")
        portrait.later([(path + ".values", value.to_list())])


def _torch(portrait: Portrait, path: str, value: Any) -> None:
    portrait.part(path, f"{_name(value)} {value.dtype} {tuple(value.shape)}, gradient {value.requires_grad}")
    numbers(portrait, path, value.detach().cpu().contiguous().numpy())


# -- pictures ------------------------------------------------------------------------------------------


def _matplotlib(portrait: Portrait, path: str, value: Any) -> None:
    figure = value if hasattr(value, "savefig") else getattr(value, "figure", None)
    if figure is value and value is not None:
        portrait.part(path, f"{_name(value)} {_pixels(value)}")
        return
    portrait.part(path, f"{_name(value)}, compared by the figure that it is part of")
    if figure is not None:
        portrait.later([(path + ".figure", figure)])


def _pixels(figure: Any) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="rgba")
    return f"of {picture.tell()} bytes, pixels #{_digest(picture.getvalue())}"


def _pillow(portrait: Portrait, path: str, value: Any) -> None:
    portrait.part(path, f"{_name(value)} {value.mode} {value.size} #{_digest(value.tobytes())}")
