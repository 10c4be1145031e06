"""Tensors of torch in the memory of the processor: written and rebuilt with all that a program can tell apart.

What torch pickles of a tensor is its numbers. A program sees more: who shares a *storage* (the memory, an object of its
own), who is a view of whom, the counter of versions by which autograd finds what was overwritten, the gradient.

    base = torch.zeros(4); view = base[1:]; loose = base.detach()
    written: storage 0, base = tensor of storage 0, view = strided view of base, loose = detached from base

What cannot be rebuilt (tensors with a history of gradients or with hooks, those of other devices) is refused in words.
torch is never imported here but to read tensors.
"""

from __future__ import annotations

import copyreg
import importlib
import pickle
import sys
from typing import TYPE_CHECKING, Any

from inferflow.worker.tensors import bytes_of, describes, layout, oddity, set_version
from inferflow.worker.transport_arrays import OUT_OF_BAND, Block, extent
from inferflow.worker.transport_code import Refused

if TYPE_CHECKING:
    from inferflow.worker.transport_pickle import Encoder

__all__ = ["is_optimizer", "reduce_optimizer", "reduce_storage", "reduce_tensor"]

_Reduced = Any


# --- writing ------------------------------------------------------------------------------------------


def reduce_tensor(encoder: Encoder, tensor: Any) -> _Reduced:
    """A plain tensor or a parameter. The first one of a storage is written as such, others that share its counter of
    versions as detached from it."""
    odd = oddity(tensor)
    if odd:
        raise Refused(odd, tensor)
    own = dict(tensor.__dict__)
    state = (own, tensor.grad) if own or tensor.grad is not None else None
    place = (tensor.storage_offset(), tuple(tensor.size()), tuple(tensor.stride()))
    needs = tensor.requires_grad
    if tensor._base is not None:
        under = "NO_GRAD" in layout(tensor)[-1]
        return _view, (tensor._base, *place, needs, under), state, None, None, _set_state
    storage = tensor.untyped_storage()
    others = encoder.tensors.setdefault(id(storage), [])
    encoder.keep += [tensor, storage]
    source = next((one for one in others if _one_counter(one, tensor) and one.dtype == tensor.dtype), None)
    if source is None:
        if any(_one_counter(one, tensor) for one in others):
            raise Refused("a tensor that is detached from one of another type", tensor)
        others.append(tensor)
    version = tensor._version
    torch: Any = sys.modules["torch"]
    parameter = type(tensor) is not torch.Tensor
    if source is None:
        arguments = (storage, tensor.dtype, *place, needs, version, parameter)
        return _tensor, arguments, state, None, None, _set_state
    return _detached, (source, *place, needs, version, parameter), state, None, None, _set_state


def _one_counter(one: Any, other: Any) -> bool:
    """Whether two tensors of one storage count their versions together (as those that were detached do): there is no
    other way to see it than to count."""
    torch: Any = sys.modules["torch"]
    before = one._version
    if other._version != before:
        return False
    torch._C._increment_version((one,))
    found = other._version != before
    set_version(one, before)
    return bool(found)


def reduce_storage(encoder: Encoder, storage: Any) -> _Reduced:
    """The memory of tensors. Where arrays look into it too, it is written as a piece of memory that they share."""
    if not describes(storage):
        raise Refused("a storage of torch outside of this process's memory", storage)
    own = dict(storage.__dict__) or None
    if storage.nbytes() == 0:
        return _own_storage, (b"", storage.resizable()), own
    memory = bytes_of(storage)
    low, high = extent(memory)
    owner = encoder.owner(low, high)
    if owner is not None and not storage.resizable():
        return _storage_in, (owner, low - extent(owner)[0], high - low), own
    encoder.extents.append((low, high, id(storage)))
    encoder.keep.append(memory)
    if memory.size < OUT_OF_BAND:
        return _own_storage, (memory.tobytes(), storage.resizable()), own
    return _own_storage, (pickle.PickleBuffer(memory), storage.resizable()), own


def is_optimizer(cls: type) -> bool:
    """Whether a class is one of torch's own optimizers, which forget some attributes when they are pickled."""
    base = getattr(sys.modules.get("torch.optim.optimizer"), "Optimizer", None)
    return isinstance(base, type) and issubclass(cls, base) and cls.__module__.startswith("torch.optim.")


def reduce_optimizer(encoder: Encoder, optimizer: Any) -> _Reduced:
    return copyreg.__newobj__, (type(optimizer),), vars(optimizer), None, None, _set_optimizer  # type: ignore[attr-defined]


# --- what the stream calls when it is read ---------------------------------------------------------


def _torch() -> Any:
    return sys.modules.get("torch") or importlib.import_module("torch")


def _own_storage(data: Any, resizable: bool) -> Any:
    """A storage with a copy of ``data``: memory that torch has not allocated could not grow. A buffer that must not be
    written is that of the original, which is being compared with this: no copy then."""
    torch = _torch()
    numpy = sys.modules.get("numpy") or importlib.import_module("numpy")
    if type(data) is not bytes and memoryview(data).readonly:
        low, high = extent(numpy.frombuffer(data, "u1"))
        return _over(low, high, data)
    size = memoryview(data).nbytes
    if not resizable:
        return torch.from_numpy(numpy.frombuffer(data, "u1").copy()).untyped_storage()
    made = torch.empty(size, dtype=torch.uint8)
    if size:
        bytes_of(made.untyped_storage())[:] = numpy.frombuffer(data, "u1")
    return made.untyped_storage()


def _storage_in(owner: Any, offset: int, size: int) -> Any:
    """The storage of a tensor that was made from an array."""
    low = extent(owner)[0] + offset
    return _over(low, low + size, owner)


def _over(low: int, high: int, owner: Any) -> Any:
    """A storage over memory of somebody else's. (torch would warn of an array that is read-only.)"""
    return _torch().from_numpy(sys.modules["numpy"].asarray(Block(low, high, owner))).untyped_storage()


def _tensor(
    storage: Any, dtype: Any, offset: int, size: Any, stride: Any, needs: bool, version: int, parameter: bool
) -> Any:
    torch = _torch()
    with torch.no_grad():
        made = torch.empty(0, dtype=dtype).set_(storage, offset, size, stride)
    return _finished(made, needs, version, parameter)


def _detached(source: Any, offset: int, size: Any, stride: Any, needs: bool, version: int, parameter: bool) -> Any:
    with _torch().no_grad():
        made = source.as_strided(size, stride, offset).detach()
    return _finished(made, needs, version, parameter)


def _finished(made: Any, needs: bool, version: int, parameter: bool) -> Any:
    if parameter:
        made = _torch().nn.Parameter(made, requires_grad=needs)
    elif needs:
        made.requires_grad_()
    set_version(made, version)
    return made


def _view(base: Any, offset: int, size: Any, stride: Any, needs: bool, under: bool) -> Any:
    """A view, which counts its versions with its base. ``under``: it was made while no gradients were wanted."""
    torch = _torch()
    with torch.set_grad_enabled(not under and torch.is_grad_enabled()):
        made = base.as_strided(size, stride, offset)
    return made.requires_grad_() if needs and not made.requires_grad else made


def _set_state(tensor: Any, state: tuple[dict[str, Any], Any]) -> None:
    own, gradient = state
    tensor.__dict__.update(own)
    if gradient is not None:
        tensor.grad = gradient


def _set_optimizer(optimizer: Any, state: dict[str, Any]) -> None:
    optimizer._patch_step_function()  # (its class calls hooks from the first instance on)
    optimizer.__dict__.clear()
    optimizer.__dict__.update(state)
