"""Tensors there and back: all that a program can tell of them is kept, or they are refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from inferflow.worker import carry, exact, standing, transport
from inferflow.worker.exact_reach import reach, shares


def again(*values: Any) -> tuple[Any, ...]:
    packed = transport.pack(values, check=True)
    assert packed.exact, packed.why
    made = transport.unpack(packed.data())
    assert exact.same(values, made) is None
    return made


def parameter() -> nn.Parameter:
    made = nn.Parameter(torch.zeros(3))
    made.grad = torch.ones(3)
    made.note = [made]  # type: ignore[attr-defined]
    return made


def trained(optimizer: Any = torch.optim.Adam) -> tuple[nn.Module, Any]:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout())
    made = optimizer(net.parameters(), lr=0.1)
    for _ in range(3):
        made.zero_grad()
        net(torch.rand(5, 3)).sum().backward()
        made.step()
    return net, made


def test_views_detached_and_loose_tensors_of_one_storage() -> None:
    base = torch.arange(6.0)
    base.mul_(2)
    made = again(base, base[1:3], base.detach(), base.data, base.untyped_storage())
    made[1].add_(1)
    assert made[0].tolist() == [0, 3, 5, 6, 8, 10]
    assert made[1]._base is made[0]
    assert [one._version for one in made[:4]] == [2, 2, 2, base.data._version]
    assert made[3].untyped_storage() is made[4]


@pytest.mark.parametrize("size", [8, 100_000])
def test_a_storage_can_grow_as_it_could(size: int) -> None:
    grown, fixed = torch.zeros(size), torch.from_numpy(np.zeros(size))
    made = again(grown, grown[2:], fixed)
    made[0].resize_(size + 1)
    with pytest.raises(RuntimeError, match="not resizable"):
        made[2].resize_(size + 1)
    grown.resize_(size + 1)  # (having been looked at changes nothing)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("size", [5, 100_000])
def test_memory_shared_with_arrays(size: int, order: int) -> None:
    array, tensor = np.zeros(size), torch.zeros(size)
    for pair in ((array, torch.from_numpy(array)), (array, torch.from_numpy(array[1:])), (tensor, tensor.numpy())):
        first, second = again(*pair[::order])
        first[-1] = 7
        assert float(second[-1]) == 7


def test_parameters_with_gradients_and_what_was_hung_on_them() -> None:
    one = parameter()
    made, loose = again(one, one.detach())
    assert type(made) is nn.Parameter
    assert made.note == [made]
    assert (made.grad.tolist(), loose.requires_grad) == ([1, 1, 1], False)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.SGD, torch.optim.RMSprop, torch.optim.AdamW])
def test_networks_in_training_with_their_optimizers(kind: Any) -> None:
    net, optimizer = trained(kind)
    made, other, state, _ = again(net, optimizer, net.state_dict(), optimizer.state_dict())
    assert other.param_groups[0]["params"][0] is made[0].weight
    assert state["0.weight"].data_ptr() == made[0].weight.data_ptr()
    results = []
    for network, one in ((net, optimizer), (made, other)):
        torch.manual_seed(1)
        one.zero_grad()
        network(torch.ones(5, 3)).sum().backward()
        one.step()
        results.append([p.tolist() for p in network.parameters()])
    assert results[0] == results[1]


def test_other_kinds() -> None:
    generator = torch.Generator().manual_seed(3)
    made = again(
        torch.tensor(True), torch.zeros(0), torch.zeros(2, dtype=torch.bfloat16), torch.zeros(2, dtype=torch.complex64),
        torch.zeros(1).expand(5), torch.zeros(3, 4).t(), torch.arange(9)[::2], torch.tensor(float("nan")), generator,
        torch.float32, torch.device("cpu"), torch.zeros(2, 3).size(), torch.utils.data.TensorDataset(torch.zeros(3)),
    )  # fmt: skip
    assert torch.rand(2, generator=made[8]).tolist() == torch.rand(2, generator=generator).tolist()
    assert again(torch.default_generator)[0] is torch.default_generator


def test_a_view_made_while_no_gradients_were_wanted() -> None:
    base = nn.Parameter(torch.zeros(3))
    with torch.no_grad():
        view = base[1:]
    for one in (view, again(base, view)[1]):
        with pytest.raises(RuntimeError, match="view"):
            one.mul_(nn.Parameter(torch.ones(2)))


REFUSED = {
    "a tensor with its history of gradients": lambda: parameter() * 2,
    "a tensor that is not plain memory": lambda: torch.eye(3).to_sparse(),
    "a tensor of a special mode": lambda: torch.inference_mode()(lambda: torch.zeros(3))(),
    "a tensor in shared memory": lambda: torch.zeros(3).share_memory_(),
    "a tensor on meta": lambda: torch.zeros(3, device="meta"),
    "a tensor with hooks": lambda: hooked(),
}


def hooked() -> torch.Tensor:
    made = parameter()
    made.register_hook(lambda grad: grad)
    return made


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_rebuilt_is_refused(words: str) -> None:
    with pytest.raises(transport.Unpackable, match=words):
        transport.pack((REFUSED[words](),), check=True)


def test_differences_are_found() -> None:
    base = torch.zeros(4)
    pairs: list[tuple[Any, Any]] = [
        (base, torch.ones(4)), (base, torch.zeros(5)), (base, base.double()), (base, nn.Parameter(torch.zeros(4))),
        ([base, base[1:]], [torch.zeros(4), torch.zeros(3)]), ([base, base.detach()], [torch.zeros(4), torch.zeros(4)]),
        (base, torch.zeros(4).add_(0)), (base, torch.zeros(4, requires_grad=True)), (base[1:], torch.zeros(4)[:3]),
    ]  # fmt: skip
    assert [str(exact.same(*pair)) for pair in pairs if exact.same(*pair) is None] == []


def test_sharing_is_found() -> None:
    base = torch.zeros(4)
    for other in (base, base[1:], base.detach(), base.numpy(), [base.untyped_storage()]):
        assert shares((base,), (other,)) is not None
    assert shares((base,), (base.clone(),)) is None
    assert reach((parameter(),)).memory


def test_standings_show_changes_and_nothing_else() -> None:
    net, _ = trained()
    state = [net, torch.zeros(3), torch.Generator().manual_seed(1)]

    def look() -> str:
        return standing.digest([state], frozenset())

    before = look()
    assert look() == before
    changes = (lambda: state[1].numpy().fill(1), lambda: torch.rand(1, generator=state[2]), net.zero_grad, net.eval)
    for change in changes:
        change()
        now = look()
        assert now != before
        before = now


def test_what_changed_in_place_is_carried() -> None:
    net, optimizer = trained()
    given = transport.load(transport.pack((net, optimizer), check=True).data())
    used, using = given.values
    torch.manual_seed(2)
    using.zero_grad()
    used(torch.ones(5, 3)).sum().backward()
    using.step()
    packed = carry.carry(([used[0]],), [given], frozenset())
    assert not isinstance(packed, str), packed
    there = transport.load(transport.pack((net, optimizer), check=True).data())
    values, changes = transport.load(packed.data(), given=[there]).values
    carry.apply(changes, [there])
    assert exact.same((given.values, ([used[0]],)), (there.values, values)) is None
