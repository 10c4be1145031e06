"""Values between processes: what is pickled together, what it weighs, and whether the copy can be told from it.

A *pack* is a tuple of values pickled jointly, so that what they share stays shared. On disk or in a message
it is a *container*:

    header   magic, format, flags, Python version, number of buffers, length of the pickle stream, total length
    index    offset and length of each buffer
    stream   pickle, protocol 5
    buffers  each of 64 KiB or more, aligned to 64 bytes: they are mapped, not read

>>> packed = pack(([1, 2], "x"), check=True)
>>> packed.exact, unpack(packed.data())
(True, ([1, 2], 'x'))

``pack`` raises :class:`Unpackable` for what cannot travel, and tells with ``exact`` and ``why`` whether a program could
tell the rebuilt values from the originals. ``load`` gives a :class:`Loaded`, which can tell later whether a task
changed the values (``unchanged``). A file is mapped privately (a small one is read): arrays alias the map and can be
written, and the file stays as it is.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import struct
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from inferflow.worker import exact as exactness
from inferflow.worker import transport_pickle as pickling
from inferflow.worker.exact_graph import ATOMS, uncollected
from inferflow.worker.exact_reach import Reach, common, reach
from inferflow.worker.pages import Twins
from inferflow.worker.transport_arrays import Block, joined, overlaps
from inferflow.worker.transport_code import Refused
from inferflow.worker.transport_refusal import Unpackable, explained, unpackable

__all__ = ["Damaged", "Loaded", "Packed", "Unpackable", "load", "pack", "refer", "touches_user_code", "unpack"]

Find = Callable[[str, str], Any]
"""Finds (module, qualified name), or raises LookupError to have it imported as usual."""

_HEADER = struct.Struct("<6sBBBBHIQQ")
_MAGIC = b"IFPACK"
_FORMAT = 1
_HAS_CODE, _NEEDS_GIVEN = 1, 2
_ENTRY = struct.Struct("<QQ")
_ALIGN = 64
_ZEROS = bytes(_ALIGN)


class Damaged(ValueError):
    """This is no container, or not the whole of one, or one that this Python cannot read."""


class Numbered(Protocol):
    """Whoever knows objects by their number in a pack."""

    def objects(self) -> dict[int, Any]: ...


class Packed:
    """Values in the form in which they travel. It holds on to the memory of large arrays, without a copy.

    ``exact``: whether the rebuilt values are known to be indistinguishable; ``None`` if that was not checked; ``why``
    says what is lost. ``user_code`` names a class of the project whose own methods ran, or will run when this is
    rebuilt (they may print). ``code``: holds functions or classes by value, which only the same Python version reads.
    ``needs_given``: refers to objects of another pack, and can be read only beside it."""

    __slots__ = ("_encoder", "_values", "buffers", "code", "exact", "head", "needs_given", "size", "user_code", "why")

    def __init__(self, head: bytes, buffers: list[memoryview], size: int) -> None:
        self.head = head
        self.buffers = buffers
        self.size = size
        self.exact: bool | None = None
        self.why = ""
        self.code = False
        self.user_code = ""
        self.needs_given = False
        self._encoder: Any = None
        self._values: Any = None

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The container's bytes, in order, without copying the buffers."""
        yield self.head
        at = len(self.head)
        for buffer in self.buffers:
            if at % _ALIGN:
                yield _ZEROS[at % _ALIGN :]
                at += _ALIGN - at % _ALIGN
            yield buffer
            at += buffer.nbytes

    def data(self) -> bytes:
        """The whole container (a copy)."""
        return b"".join(self.pieces()) if self.buffers else self.head

    def objects(self) -> dict[int, Any]:
        """The objects of the stream by their number there: the same numbers as in ``Loaded.objects`` of the reader."""
        if self._encoder is None and self._values is not None:
            self._encoder = pickle.Pickler(io.BytesIO(), 5)
            self._encoder.dump(self._values)
        if self._encoder is None:
            return {}
        found = dict(self._encoder.memo.copy().values())
        for number, value in found.items():
            if type(value) is Block:  # a piece of memory, which the reader has as an array
                found[number] = sys.modules["numpy"].asarray(value)
        return found

    def release(self) -> None:
        """Let go of the originals: ``objects`` is empty afterwards. (The buffers stay.)"""
        self._encoder = self._values = None


def pack(
    values: tuple[Any, ...],
    *,
    check: bool = False,
    main: types.ModuleType | None = None,
    project: frozenset[str] = frozenset(),
    quiet: bool = False,
    given: Sequence[Loaded] = (),
    worth: Callable[[int], bool] | None = None,
) -> Packed:
    """Pickle ``values`` jointly. With ``check``, also find out whether a round trip is exact; ``main`` is the driver's
    module if that is not ``sys.modules["__main__"]``; ``project`` names the modules whose code is the user's: if
    ``quiet``, their pickling methods (which may print, or count) are not called, and what needs them is refused.

    ``given`` is what the task that made the values was given, unchanged, and what the reader still has as live objects:
    what values share with it is written as a reference to those, so that the reader shares it too. Such a pack
    (``needs_given``) can only be read beside them, and is no record of its own.

    ``worth`` may say that what has so many bytes (large arrays do not count) is not worth the check after all.

    Raises Unpackable. A small plain value takes some 5 microseconds with the check, a large array next to nothing:
    its memory is not copied, and must not change before the pack is written."""
    with uncollected():
        return _pack(values, check, main, project, quiet, given, worth)


def _pack(
    values: tuple[Any, ...],
    check: bool,
    main: types.ModuleType | None,
    project: frozenset[str],
    quiet: bool,
    given: Sequence[Loaded],
    worth: Callable[[int], bool] | None,
) -> Packed:
    fixed = _shared_with(given, values) if given else None
    known = exactness.known_exact(values) if check and fixed is None else None
    if known and (sys.modules.get("numpy") is None or not _has_arrays(values)):
        return _plain(values)
    swapped = None
    if main is not None and sys.modules.get("__main__") is not main:
        swapped, sys.modules["__main__"] = sys.modules.get("__main__"), main
    try:
        if fixed is not None:
            numbers = {key: (part, number) for part, one in enumerate(given) for key, number in one.numbers().items()}
            packed = _encode(values, project, quiet, pickling.CarefulEncoder, numbers)
            _check(packed, values, [one.objects() for one in given], fixed)
            return packed
        if known is None and check:
            packed = _encode(values, project, quiet, pickling.Encoder)
            if worth is not None and not worth(len(packed.head)):
                return packed
            _check(packed, values)
            if packed.exact or not _may_help(packed.why):
                return packed
            careful = _encode(values, project, quiet, pickling.CarefulEncoder)
            _check(careful, values)
            return careful
        packed = _encode(values, project, quiet, pickling.CarefulEncoder if known is False else pickling.Encoder)
        if check:
            doubts = packed._encoder.doubts
            packed.exact = not doubts
            packed.why = doubts[0] if doubts else ""
        return packed
    finally:
        if swapped is not None:
            sys.modules["__main__"] = swapped


def refer(values: tuple[Any, ...], given: Sequence[Loaded], project: frozenset[str]) -> Packed:
    """Pickle ``values`` with references to all objects of ``given`` that they reach, changed or not. Nothing is
    checked. Raises Unpackable."""
    with uncollected():
        numbers = {key: (part, number) for part, one in enumerate(given) for key, number in one.numbers().items()}
        return _encode(values, project, True, pickling.CarefulEncoder, numbers)


def _shared_with(given: Sequence[Loaded], values: tuple[Any, ...]) -> Reach | None:
    """What can be reached from ``given``, if the values share any of it."""
    theirs = reach(values)
    if not theirs.objects and not theirs.memory:
        return None
    ours = reach(tuple(value for one in given for value in one.values))
    return None if common(ours, theirs) is None else ours


def _plain(values: tuple[Any, ...]) -> Packed:
    """The short way, for values that consist of atoms and builtin containers."""
    try:
        packed = _container(pickle.dumps(values, 5), [])
    except RecursionError:
        raise Unpackable("it is nested too deeply to be pickled") from None
    packed.exact = True
    packed._values = values
    return packed


def _has_arrays(values: tuple[Any, ...]) -> bool:
    """Whether a known-exact value needs our own pickler. Atoms at the top, and lists of them, do not."""
    kinds = _PLAIN_TYPES
    for value in values:
        cls = type(value)
        if cls in kinds:
            continue
        if (cls is list or cls is tuple) and len(value) < 1000 and set(map(type, value)) <= kinds:
            continue
        return True
    return False


_PLAIN_TYPES = frozenset({type(None), bool, int, float, complex, str, bytes})
_CHANGED_BY_PLAIN_PICKLE = ("NaN", "set that comes", "set whose")


def _may_help(why: str) -> bool:
    return any(text in why for text in _CHANGED_BY_PLAIN_PICKLE)


def _encode(
    values: tuple[Any, ...],
    project: frozenset[str],
    quiet: bool,
    kind: type[pickling.Encoder],
    given: dict[int, tuple[int, int]] | None = None,
) -> Packed:
    """One or, if arrays share memory, two goes of the pickler."""
    clusters: tuple[tuple[int, int], ...] = ()
    together: list[tuple[int, int, int]] = []
    owners: list[tuple[int, int, Any]] = []
    for final in (False, True):
        stream = io.BytesIO()
        found: list[pickle.PickleBuffer] = []
        encoder = kind(stream, found, project, clusters, given, quiet)
        encoder.owners = owners
        encoder.joined.update(key for _, _, key in together)
        try:
            encoder.dump(values)
        except Refused as refused:
            raise unpackable(values, refused.what, refused.culprit) from None
        except RecursionError:
            raise Unpackable("it is nested too deeply to be pickled") from None
        except MemoryError:
            raise
        except Exception as error:
            raise explained(values, error) from None
        together = together or joined(encoder.framed, encoder.extents)
        shared = overlaps(encoder.extents if final else encoder.extents + together)
        if not shared:
            break
        if final:
            encoder.doubts.append("arrays share memory in a way that cannot be rebuilt")
        clusters = shared
    flags = (_HAS_CODE if encoder.code else 0) | (_NEEDS_GIVEN if given is not None else 0)
    packed = _container(stream.getvalue(), [buffer.raw() for buffer in found], flags)
    packed.user_code = encoder.user_code
    packed._encoder = encoder
    return packed


def _container(stream: bytes, buffers: list[memoryview], flags: int = 0) -> Packed:
    at = _HEADER.size + _ENTRY.size * len(buffers) + len(stream)
    index = []
    for buffer in buffers:
        at += -at % _ALIGN
        index.append(_ENTRY.pack(at, buffer.nbytes))
        at += buffer.nbytes
    major, minor = sys.version_info[:2]
    header = _HEADER.pack(_MAGIC, _FORMAT, flags, major, minor, 0, len(buffers), len(stream), at)
    packed = Packed(b"".join((header, *index, stream)), buffers, at)
    packed.code = bool(flags & _HAS_CODE)
    packed.needs_given = bool(flags & _NEEDS_GIVEN)
    return packed


def _check(packed: Packed, values: tuple[Any, ...], given: Any = None, fixed: Reach | None = None) -> None:
    """Rebuild the pack in this process, and compare. The rebuilt arrays look at the originals' memory, read-only."""
    encoder = packed._encoder
    if encoder.nameless:  # rebuilding such a class would write to the original
        packed.exact, packed.why = False, encoder.doubts[0]
        return
    try:
        rebuilt = _decode(packed.head, [buffer.toreadonly() for buffer in packed.buffers], None, given)[0]
    except Exception as error:
        packed.exact, packed.why = False, f"it cannot be rebuilt: {type(error).__name__}: {error}"[:300]
        return
    difference = exactness.same(values, rebuilt, fixed)
    if difference is not None:
        packed.exact, packed.why = False, str(difference)
    else:
        packed.exact = not encoder.doubts
        packed.why = encoder.doubts[0] if encoder.doubts else ""


def touches_user_code(values: tuple[Any, ...], project: frozenset[str]) -> str:
    """The name of a class of the project's modules whose own methods would run if the values were pickled or rebuilt;
    empty if there is none. Calls none of them; takes longer than ``pack(..., quiet=True)``, which refuses them."""
    for cls in reach(values).types:
        if pickling.runs_user_code(cls, project):
            return f"{cls.__module__}.{cls.__qualname__}"
    return ""


# --- the way back --------------------------------------------------------------------------------------


class Loaded:
    """``values`` as they came out of a container, which is kept to compare them with. ``memory`` is that of the
    container, if it is mapped."""

    __slots__ = ("_decoder", "_memory", "_source", "values")

    def __init__(self, values: tuple[Any, ...], decoder: Any, source: Any, memory: memoryview | None) -> None:
        self.values = values
        self._decoder = decoder
        self._source = source
        self._memory = memory

    def unchanged(self) -> bool:
        """Whether the values are still as they were loaded, to the last bit and reference. Loads the container once
        more and compares, of large arrays only what may have been written (see ``pages``)."""
        return self.change() is None

    def change(self) -> exactness.Difference | None:
        """What changed first, if anything did."""
        with uncollected():
            fresh = load(self._source)
            mapped = self._memory is not None and fresh._memory is not None and "numpy" in sys.modules
            twins = Twins(self._memory, fresh._memory) if mapped else None  # type: ignore[arg-type]
            return exactness.same(fresh.values, self.values, twins=twins)

    def reload(self) -> Loaded:
        """The values once more, as they were loaded."""
        return load(self._source)

    def objects(self) -> dict[int, Any]:
        """The loaded objects by their number in the stream: the same numbers as in ``Packed.objects``."""
        return dict(self._decoder.memo.copy())

    def numbers(self) -> dict[int, int]:
        """The number of each loaded object that has an identity, by its id."""
        return {id(value): number for number, value in self.objects().items() if type(value) not in ATOMS}


def unpack(data: bytes | str | os.PathLike[str], *, find: Find | None = None) -> tuple[Any, ...]:
    """The values of a container, given as bytes or as the path of a file (which is mapped)."""
    return load(data, find=find).values


def load(data: bytes | str | os.PathLike[str], *, find: Find | None = None, given: Sequence[Numbered] = ()) -> Loaded:
    """As :func:`unpack`, with what is needed to tell later whether the values changed. ``given`` are the packs of the
    task's inputs in the order in which the task had them, for a pack that refers to them: the objects that were packed
    (or, if this process had them from a container itself, loaded) here, and are alive.

    Raises Damaged, OSError, and whatever rebuilding the values raises."""
    memory = memoryview(data) if isinstance(data, (bytes, bytearray, memoryview)) else _mapped(data)
    length, count, flags = _validate(memory)
    at = _HEADER.size + _ENTRY.size * count
    buffers = []
    if count:
        if memory.readonly:
            memory = memoryview(_Memory(memory))
        for number in range(count):
            offset, size = _ENTRY.unpack_from(memory, _HEADER.size + _ENTRY.size * number)
            buffers.append(memory[offset : offset + size])
    if flags & _NEEDS_GIVEN and not given:
        raise Damaged("it refers to objects of other containers, which are not given")
    objects = [one.objects() for one in given] if flags & _NEEDS_GIVEN else None
    with uncollected():
        values, decoder = _decode(memory[at : at + length], buffers, find, objects, whole=False)
    return Loaded(values, decoder, data, memory if isinstance(memory.obj, _Map) else None)


class _Map(mmap.mmap):
    """The private map of a container, told from those of the user's, which show in their files."""


class _Memory(bytearray):
    """The private copy of a container, told from the user's bytearrays."""


_MAPPED = 4 << 20
"""Bytes. Smaller files are read: a map holds on to a file descriptor (before Python 3.13), of which there are few."""


def _mapped(path: str | os.PathLike[str]) -> memoryview:
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size >= _MAPPED:
            if sys.version_info >= (3, 13):
                return memoryview(_Map(file.fileno(), 0, access=mmap.ACCESS_COPY, trackfd=False))
            return memoryview(_Map(file.fileno(), 0, access=mmap.ACCESS_COPY))
        memory = _Memory(size)
        if file.readinto(memory) != size:
            raise Damaged(f"{os.fspath(path)} could not be read whole")
        return memoryview(memory)


def _validate(memory: memoryview) -> tuple[int, int, int]:
    """Length of the stream, number of buffers, flags."""
    if memory.nbytes < _HEADER.size:
        raise Damaged(f"a container of only {memory.nbytes} bytes")
    magic, form, flags, major, minor, _, count, length, total = _HEADER.unpack_from(memory)
    if magic != _MAGIC or form != _FORMAT:
        raise Damaged("not a container of values, or one of a newer version")
    if total != memory.nbytes:
        raise Damaged(f"a container of {total} bytes is {memory.nbytes} bytes long")
    if flags & _HAS_CODE and (major, minor) != sys.version_info[:2]:
        here = "{}.{}".format(*sys.version_info[:2])
        raise Damaged(f"it holds functions of Python {major}.{minor}, which Python {here} cannot run")
    return length, count, flags


def _decode(
    stream: Any, buffers: list[memoryview], find: Find | None, given: Any, whole: bool = True
) -> tuple[Any, Any]:
    if whole:
        stream = memoryview(stream)
        length, count = _HEADER.unpack_from(stream)[7], len(buffers)
        stream = stream[_HEADER.size + _ENTRY.size * count :][:length]
    file = io.BytesIO(stream)
    decoder: Any
    if find is None:
        decoder = pickling.Decoder(file, buffers, given)
    else:
        decoder = pickling.FindingDecoder(file, buffers, given)
        decoder.find = find
    return decoder.load(), decoder
