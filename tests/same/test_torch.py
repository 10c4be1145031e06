"""Drivers that use torch: the same bits, and what can run ahead does. Collected where torch is installed."""

from __future__ import annotations

from pathlib import Path

from batch import differences, run_batch

HEAD = """
import time
import numpy as np
import torch
from torch import nn
def nap(): time.sleep(0.15)
def hide(name): return globals()[name]
def data(seed, n=60, d=5):
    nap()
    X = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    return X, X[:, :1] * 2 + 1
def build(seed):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1))
    return net, torch.optim.Adam(net.parameters(), lr=1e-2)
def fit(net, opt, X, y, steps=5):
    nap()
    losses = []
    for _ in range(steps):
        opt.zero_grad()
        loss = ((net(X) - y) ** 2).mean()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses
def score(net, X, y):
    nap()
    with torch.no_grad(): return ((net(X) - y) ** 2).mean()
def tell(*nets):
    for net in nets: print([(p.tolist(), None if p.grad is None else p.grad.tolist(), p._version) for p in net.parameters()])
"""

BODIES = {
    "tensors from independent tasks": """
    a, b = data(1)
    c, d = data(2)
    e, f = data(3)
    print(a.sum(), c.sum(), e.sum(), torch.rand(2))
""",
    "views, and what is detached": """
    def views(n):
        nap()
        base = torch.arange(n) * 0.5
        return base, base[1:], base.detach(), base.numpy()
    a, b, c, d = views(6)
    e, f, g, h = views(8)
    b += 1; f += 2
    print(a, c, d, e, g, h, b._base is a, f._base is e, g._version)
""",
    "networks trained in place": """
    X, y = data(1)
    n0, o0 = build(5)
    n1, o1 = build(6)
    n2, o2 = build(7)
    l0 = fit(n0, o0, X, y)
    l1 = fit(n1, o1, X, y)
    l2 = hide('fit')(n2, o2, X, y)
    s = score(n1, X, y)
    tell(n0, n1, n2); print(l0, l1, l2, s, torch.rand(2))
""",
    "networks made in tasks": """
    def train(seed, X, y):
        net, opt = build(seed)
        fit(net, opt, X, y)
        return net, opt
    X, y = data(1)
    a, oa = train(1, X, y)
    b, ob = train(2, X, y)
    more = fit(a, oa, X, y)
    tell(a, b); print(more, torch.rand(2))
""",
    "the global generator": """
    def noise(n): nap(); return torch.rand(n)
    def pure(n): nap(); return torch.ones(n).cumsum(0)
    torch.manual_seed(3)
    a = noise(3)
    b = pure(5)
    c = hide('noise')(2) if 'noise' in globals() else noise(2)
    d = pure(4)
    torch.manual_seed(3)
    e = noise(2)
    print(a, b, c, d, e, torch.initial_seed())
""",
    "torch's settings": """
    def ones(n): nap(); return torch.ones(n)
    a = ones(3)
    torch.set_default_dtype(torch.float64)
    b = ones(3)
    with torch.no_grad():
        c = ones(2) * torch.ones(2, requires_grad=True)
    torch.set_default_dtype(torch.float32)
    d = ones(2)
    print(a.dtype, b.dtype, c.requires_grad, d.dtype)
""",
    "behind the analyzer's back": """
    X, y = data(1)
    Z = X[2:]
    net, opt = build(1)
    hide('fit')(net, opt, Z, y[2:])
    a = score(net, X, y)
    for p in net.parameters(): p.data.mul_(0.5)
    b = score(net, X, y)
    Z.add_(1)
    c = score(net, X, y)
    X.numpy()[0] = 9
    d = score(net, X, y)
    print(a, b, c, d, Z[0])
""",
    "a history of gradients": """
    def loss(net, X, y): nap(); return ((net(X) - y) ** 2).mean()
    X, y = data(1)
    n, o = build(1)
    a = loss(n, X, y)
    b = loss(n, X[:5], y[:5])
    (a + b).backward()
    tell(n)
""",
}


def test_torch(tmp_path: Path) -> None:
    drivers = {name: {"driver.py": f"{HEAD}def main():{body}main()\n"} for name, body in BODIES.items()}
    ahead = ("tensors from independent tasks", "views, and what is detached")
    found = run_batch(tmp_path, drivers, ahead, "numpy", "torch", "torch._dynamo", jobs=(2, 4))
    assert differences(found) == {}
    assert [name for name in ahead if not found[name][2]] == []
