"""Arrays in a pack: strides, read-only flag and shared memory are kept.

Each array is written with just its own memory, in band if that is small, beside the stream if not. If it turns
out that several arrays of a pack share memory (``overlaps``), the pack is made again with these ``clusters``: what
lies in one is written as a window into the array that owns the memory, or into a :class:`Block` that nobody owns.

numpy is never imported here but to read arrays: who has none, needs none.
"""

from __future__ import annotations

import importlib
import itertools
import mmap
import pickle
import sys
from typing import TYPE_CHECKING, Any

from inferflow.worker.exact_graph import package
from inferflow.worker.tensors import bytes_of, kind_of
from inferflow.worker.transport_code import Refused

if TYPE_CHECKING:
    from inferflow.worker.transport_pickle import Encoder

__all__ = ["OUT_OF_BAND", "Block", "extent", "joined", "overlaps", "reduce_array", "reduce_block", "reduce_subclass"]

OUT_OF_BAND = 64 * 1024
"""Bytes. Buffers from here on are written beside the pickle stream, aligned, so that they can be mapped."""

_Reduced = Any


# --- what the stream calls when it is read ---------------------------------------------------------


def _array(buffer: Any, dtype: Any, shape: Any, strides: Any, writeable: bool) -> Any:
    """An array over a mapped buffer. ``strides`` is "C", "F" or a tuple of bytes."""
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    if isinstance(strides, str):
        array = numpy.ndarray(shape, dtype, buffer, 0, None, strides)
    else:
        array = numpy.ndarray(shape, dtype, buffer, 0, strides)
    if not writeable:
        array.flags.writeable = False
    return array


def _own(data: bytes, dtype: Any, shape: Any, strides: Any, writeable: bool) -> Any:
    """A small array that owns its memory, as one that was made natively does."""
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    if isinstance(strides, str):
        array = numpy.empty(shape, dtype, strides)
    else:
        order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
        array = numpy.empty([shape[axis] for axis in order], dtype)
        array = array.transpose([order.index(axis) for axis in range(len(shape))])
    if data:
        array.ravel("K").view("u1")[:] = numpy.frombuffer(data, "u1")
    if not writeable:
        array.flags.writeable = False
    return array


def _view(base: Any, offset: int, dtype: Any, shape: Any, strides: Any, writeable: bool) -> Any:
    """A window into the memory of ``base``, ``offset`` bytes from its start."""
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    memory = base.ravel("K").view("u1")
    array = numpy.ndarray(shape, dtype, memory, offset, strides)
    if not writeable:
        array.flags.writeable = False
    return array


def _in_storage(storage: Any, offset: int, dtype: Any, shape: Any, strides: Any, writeable: bool) -> Any:
    """A window into the memory of a tensor."""
    return _view(bytes_of(storage), offset, dtype, shape, strides, writeable)


def _view_of_objects(base: Any, index: Any, shape: Any, strides: Any, writeable: bool) -> Any:
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    array = numpy.lib.stride_tricks.as_strided(base.ravel("K")[index:], shape, strides)
    array = array.view(numpy.ndarray)
    if not writeable:
        array.flags.writeable = False
    return array


def _as_subclass(plain: Any, cls: type) -> Any:
    return type(plain).view(plain, cls)


def _set_attributes(array: Any, attributes: dict[str, Any]) -> None:
    array.__dict__.clear()
    array.__dict__.update(attributes)


# --- writing ------------------------------------------------------------------------------------------


class Block:
    """Memory that arrays of a pack look into where none of them owns it: addresses from ``low`` to ``high``."""

    __slots__ = ("__array_interface__", "high", "low", "owner")

    def __init__(self, low: int, high: int, owner: object) -> None:
        self.low = low
        self.high = high
        self.owner = owner
        self.__array_interface__ = {"version": 3, "data": (low, False), "shape": (high - low,), "typestr": "|u1"}


def extent(array: Any) -> tuple[int, int]:
    """The first address of the array's memory, and the first after it."""
    low = high = array.__array_interface__["data"][0]
    if array.size == 0:
        return low, low
    if array.flags.c_contiguous:
        return low, low + array.nbytes
    for length, stride in zip(array.shape, array.strides):
        if stride < 0:
            low += (length - 1) * stride
        else:
            high += (length - 1) * stride
    return low, high + array.itemsize


def _dense(array: Any, low: int, high: int) -> bool:
    """Whether the elements fill one piece of memory without gaps (in any order of axes, none of them backwards)."""
    flags = array.flags
    if flags.c_contiguous or flags.f_contiguous:
        return True
    return high - low == array.nbytes and all(stride > 0 for stride in array.strides)


def _root(encoder: Encoder, array: Any, ndarray: Any) -> Any:
    """The object that owns the array's memory: an ndarray, or whatever exports the buffer."""
    base = array
    memmap = sys.modules["numpy"].memmap
    while isinstance(base, ndarray) and base.base is not None and id(base) not in encoder.given:
        if isinstance(base, memmap):
            break
        base = base.base
    if isinstance(base, memmap) or type(base) is mmap.mmap:  # that of a loaded container is of a subclass
        raise Refused("an array mapped from a file", array)
    return base


def _layout(array: Any) -> Any:
    flags = array.flags
    return "C" if flags.c_contiguous else "F" if flags.f_contiguous else array.strides


def reduce_array(encoder: Encoder, array: Any) -> _Reduced:
    """A plain ``numpy.ndarray``. At first each is written with its own memory; the pack is made again with
    ``encoder.clusters`` if it turns out that some overlap."""
    numpy = sys.modules["numpy"]
    dtype = array.dtype
    if dtype.hasobject or dtype.kind == "T":
        return _reduce_objects(encoder, array, numpy)
    flags = array.flags
    if array.nbytes == 0:
        return _own, (b"", dtype, array.shape, "F" if flags.fnc else "C", flags.writeable)
    low, high = extent(array)
    if id(array) in encoder.lonely and id(array) not in encoder.joined:
        encoder.framed.append((low, high, id(array)))
        if _dense(array, low, high):
            return _reduce_dense(array, array.ravel("K").view("u1"))
        offset = array.__array_interface__["data"][0] - low
        return _view, (Block(low, high, array), offset, dtype, array.shape, array.strides, flags.writeable)
    if array.base is not None:
        root = _root(encoder, array, numpy.ndarray)
        if type(root) is numpy.ndarray and not root.dtype.hasobject and _dense(root, *extent(root)):
            encoder.owners.append((*extent(root), root))
        if kind_of(type(root)) == "tensor" and encoder.cluster(low) is not None:  # ``tensor.numpy()``
            storage = root.untyped_storage()
            offset = array.__array_interface__["data"][0] - extent(bytes_of(storage))[0]
            return _in_storage, (storage, offset, dtype, array.shape, array.strides, flags.writeable)
        base = _base(encoder, root, low, high, numpy)
        if base is None and not _dense(array, low, high):
            base = Block(low, high, root)
            encoder.extents.append((low, high, id(base)))
        if base is not None:
            start = base.low if type(base) is Block else extent(base)[0]
            if type(base) is not Block and flags.writeable and not base.flags.writeable:
                encoder.doubts.append("a writable view of a read-only array")
            offset = array.__array_interface__["data"][0] - start
            return _view, (base, offset, dtype, array.shape, array.strides, flags.writeable)
    elif _dense(array, low, high):
        encoder.owners.append((low, high, array))
    encoder.extents.append((low, high, id(array)))
    return _reduce_dense(array, array.ravel("K").view("u1"))


def _reduce_dense(array: Any, memory: Any) -> _Reduced:
    rest = (array.dtype, array.shape, _layout(array), array.flags.writeable)
    if memory.size < OUT_OF_BAND:
        return _own, (memory.tobytes(), *rest)
    return _array, (pickle.PickleBuffer(memory), *rest)


def _base(encoder: Encoder, root: Any, low: int, high: int, numpy: Any) -> Any:
    """What an array that shares memory within the pack is a window into; ``None`` if it shares with nothing."""
    if id(root) in encoder.given:
        return root
    cluster = encoder.cluster(low)
    if cluster is None:
        return None
    if type(root) is numpy.ndarray:
        first, last = extent(root)
        if cluster[0] <= first <= low and high <= last <= cluster[1] and _dense(root, first, last):
            return root
    block = encoder.blocks.get(cluster)
    if block is None:
        block = encoder.blocks[cluster] = Block(cluster[0], cluster[1], root)
        encoder.extents.append((low, high, id(block)))
    return block


def reduce_block(encoder: Encoder, block: Block) -> _Reduced:
    memory = sys.modules["numpy"].asarray(block)
    return _reduce_dense(memory, memory)


def _reduce_objects(encoder: Encoder, array: Any, numpy: Any) -> _Reduced:
    """An array of Python objects. Of views only the plain ones are rebuilt as views."""
    base = array.base
    if base is not None and array.size:
        root = _root(encoder, array, numpy.ndarray)
        low, high = extent(array)
        if type(root) is numpy.ndarray and root.dtype == array.dtype and array.dtype.kind == "O":
            first, last = extent(root)
            if _dense(root, first, last):
                skipped, odd = divmod(array.__array_interface__["data"][0] - first, array.itemsize)
                encoder.extents.append((first, last, id(root)))
                if not odd:
                    return _view_of_objects, (root, skipped, array.shape, array.strides, array.flags.writeable)
        elif not _dense(array, low, high):
            encoder.doubts.append("a view of an array of objects")
        encoder.extents.append((low, high, id(array)))
    if not array.flags.writeable:
        encoder.doubts.append("a read-only array of objects")
    return array.__reduce__()


def reduce_subclass(encoder: Encoder, array: Any) -> _Reduced:
    """A matrix, masked or record array, or a project's own subclass without pickling methods of its own: its memory as
    a plain array, its attributes, its class."""
    numpy = sys.modules["numpy"]
    cls = type(array)
    if cls.__reduce__ is not numpy.ndarray.__reduce__ and package(cls) != "numpy":
        if array.base is not None or not array.flags.writeable:
            encoder.doubts.append(f"a view as {cls.__name__}")
        encoder.extents.append((*extent(array), id(array)))
        return NotImplemented
    plain = numpy.ndarray.view(array, numpy.ndarray)
    return _as_subclass, (plain, cls), getattr(array, "__dict__", None) or None, None, None, _set_attributes


def joined(framed: list[tuple[int, int, int]], extents: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Of the ``framed`` memory, that of pandas, the parts that plain arrays look into (``df["x"].values``): each must
    be rebuilt together with them. Not those that several pandas objects share as well, which nothing can rebuild."""
    found = []
    for low, high in overlaps([*framed, *((low, high, 0) for low, high, _ in extents)]):
        inside = [entry for entry in framed if entry[0] < high and low < entry[1]]
        if len(inside) == 1 and any(first < high and low < last for first, last, _ in extents):
            found += inside
    return found


def overlaps(extents: list[tuple[int, int, int]]) -> tuple[tuple[int, int], ...]:
    """The merged ranges of addresses that entries with different owners share."""
    clusters: list[tuple[int, int]] = []
    low = high = owner = -1
    shared = False
    for first, last, key in itertools.chain(sorted(extents), [(1 << 70, 1 << 70, -2)]):
        if first < high:
            shared = shared or key != owner
            high = max(high, last)
            continue
        if shared:
            clusters.append((low, high))
        low, high, owner, shared = first, last, key, False
    return tuple(clusters)
