"""Tensors of torch in the memory of the processor: what a program can tell of them apart.

torch is never imported here: who has no tensors, needs none. All that is called of it has been there since version 2.1.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["begin_using", "bytes_of", "describes", "gradient", "kind_of", "layout", "oddity", "set_version"]


def begin_using() -> None:
    """Let torch look at the machine, as it does once, past Python, when it is first used: what a task's C code reads
    speaks against the task."""
    ones = getattr(sys.modules.get("torch"), "ones", None)
    if ones is not None:
        ones(64)


def kind_of(cls: type) -> str:
    """ "tensor" or "storage" for the classes known here; empty for others (of subclasses nothing is known)."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "UntypedStorage") or not hasattr(torch, "nn"):
        return ""
    if cls is torch.Tensor or cls is getattr(torch.nn, "Parameter", None):
        return "tensor"
    return "storage" if cls is torch.UntypedStorage else ""


def describes(storage: Any) -> bool:
    """Whether the bytes of a storage can be looked at."""
    return bool(storage.device.type == "cpu" and not storage.is_shared())


def bytes_of(storage: Any) -> Any:
    """The memory of a storage as an array of bytes. (``Tensor.numpy`` would end that the storage can grow.)"""
    return sys.modules["numpy"].asarray(_Memory(storage))


class _Memory:
    """What numpy needs to know of a storage to look at it."""

    __slots__ = ("__array_interface__", "storage")

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        place = (storage.data_ptr(), False)
        self.__array_interface__ = {"version": 3, "data": place, "shape": (storage.nbytes(),), "typestr": "|u1"}


def oddity(tensor: Any) -> str:
    """Why a tensor cannot be rebuilt, in words; empty if it can."""
    torch: Any = sys.modules["torch"]
    if tensor.device.type != "cpu":
        return f"a tensor on {tensor.device}"
    if tensor.layout is not torch.strided or tensor.is_quantized or getattr(tensor, "is_nested", False):
        return "a tensor that is not plain memory"
    if tensor.grad_fn is not None:
        return "a tensor with its history of gradients"
    if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
        return "a tensor with hooks"
    if tensor.is_conj() or tensor.is_neg() or tensor.is_inference():
        return "a tensor of a special mode (conjugated, negated or made in inference mode)"
    if tensor._base is not None and tensor._base.dtype != tensor.dtype:
        return "a view of a tensor as another type"
    if not describes(tensor.untyped_storage()):
        return "a tensor in shared memory"
    return ""


def gradient(tensor: Any) -> Any:
    """The gradient of a tensor, if it has one. (To ask for that of one in the middle of a calculation is warned of.)"""
    return tensor.grad if tensor.is_leaf or tensor.retains_grad else None


def layout(tensor: Any) -> tuple[Any, ...]:
    """What a tensor is beside the objects that it refers to."""
    meta = str(sys.modules["torch"]._C._autograd._get_creation_meta(tensor)) if tensor._base is not None else ""
    return (
        str(tensor.dtype), tuple(tensor.size()), tuple(tensor.stride()), tensor.storage_offset(), tensor.requires_grad,
        tensor._version, meta,
    )  # fmt: skip


def set_version(tensor: Any, version: int) -> None:
    """Set the counter of versions, which other tensors may share."""
    if tensor._version != version:
        sys.modules["torch"]._C._autograd._unsafe_set_version_counter((tensor,), (version,))
