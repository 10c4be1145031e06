"""Threads of libraries: as many as natively in every process, and no lock that a fork has copied while it was held.

Real processes, since the arena runs with one thread. The numbers of threads are those that the variables say, or, where
they say nothing, what each library makes of the machine."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from compare import assert_same

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked")

ARRAYS = """
import hashlib, time
import numpy as np
def hide(name): return globals()[name]
def digest(x): return hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()[:16]
def make(n, seed): return np.random.default_rng(seed).normal(size=(n, n))
def product(a, b): return digest(a @ b)
def values(a): return digest(np.linalg.svd(a, compute_uv=False))
def solved(a, b): return digest(np.linalg.solve(a, b[:, 0]))
def symmetric(a): return digest(np.linalg.eigvalsh(a + a.T))
def threads(where):
    import threadpoolctl
    return [(one["user_api"], one["num_threads"]) for one in threadpoolctl.threadpool_info()]
def first(a):
    for _ in range(20): a = a @ a / np.abs(a).max()
    return digest(a)
def main():
    a = make(400, 1)
    b = make(400, 2)
    w = first(a)
    t = threads("proved")
    p = product(a, b)
    s = hide("threads")("trusted")
    v = values(a)
    x = hide("solved")(a, b)
    y = symmetric(b)
    q = product(b, a)
    r = [product(make(300, seed), b[:300, :300]) for seed in range(6)]
    z = threads("later")
    print(w, t, p, s, v, x, y, q, r, z)
main()
"""


@pytest.mark.parametrize("jobs", ["2", "4"])
@pytest.mark.parametrize("number", ["", "1", "2", "3"])
def test_products_of_matrices_are_equal_to_the_bit(number: str, jobs: str, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    pytest.importorskip("threadpoolctl")
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    assert_same(tmp_path, ARRAYS, options=("-j", jobs), **(dict.fromkeys(names, number) if number else {}))


FORKED = """
import os, sys, time
{head}
import numpy as np
def hide(name): return globals()[name]
def nap(seconds=0.2): time.sleep(seconds); return seconds
def data(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 5))
    return X, X[:, 0] * 2 + X[:, 1]
def use(seed, k):
    X, y = data(seed)
    {use}
def other(x): return [x]
def main():
    p = nap()
    a = use(1, 3)
    b = use(2, 3)
    q = nap()
    c = hide('use')(3, 4)
    d = use(4, 2)
    o = other(1)
    e = hide('use')(5, 2)
    r = [use(seed, 2) for seed in range(6, 12)]
    if o:
        f = use(13, 2)
        g = use(14, 2)
    h = hide('use')(15, 3)
    i = use(16, 3)
    print([np.asarray(x).round(9).tolist() for x in (a, b, c, d, e, f, g, h, i)], r)
main()
"""

LIBRARIES: dict[str, tuple[str, str, str]] = {
    "numpy": ("numpy", "", "return [float(np.linalg.svd(X.T @ X, compute_uv=False)[0]), float((X @ X.T)[0, :k].sum())]"),
    "scikit-learn, OpenMP": ("sklearn", "from sklearn.ensemble import HistGradientBoostingRegressor as H", "return H(max_iter=k, random_state=0).fit(X, y).predict(X[:3]).tolist()"),
    "scikit-learn, nearest": ("sklearn", "from sklearn.cluster import KMeans", "return sorted(KMeans(k, n_init=2, random_state=0).fit(X).cluster_centers_[:, 0].tolist())"),
    "scikit-learn, joblib's threads": ("sklearn", "from sklearn.ensemble import RandomForestRegressor as R", "return R(k, random_state=0, n_jobs=2).fit(X, y).predict(X[:3]).tolist()"),
    "LightGBM": ("lightgbm", "import lightgbm as lgb", "return lgb.train({'verbose': -1, 'seed': 1, 'deterministic': True, 'force_row_wise': True, 'num_threads': 2}, lgb.Dataset(X, y), k).predict(X[:3]).tolist()"),
    "LightGBM, its own number": ("lightgbm", "import lightgbm as lgb", "return lgb.LGBMRegressor(n_estimators=k, verbose=-1, random_state=0).fit(X, y).predict(X[:3]).tolist()"),
    "XGBoost": ("xgboost", "import xgboost as xgb", "return xgb.train({'nthread': 2, 'verbosity': 0, 'seed': 1}, xgb.DMatrix(X, y, nthread=2), k).predict(xgb.DMatrix(X[:3], nthread=2)).tolist()"),
    "XGBoost, its own number": ("xgboost", "import xgboost as xgb", "return xgb.XGBRegressor(n_estimators=k, random_state=0).fit(X, y).predict(X[:3]).tolist()"),
    "polars": ("polars", "import polars as pl", "return pl.DataFrame({'g': [n % 3 for n in range(300)], 'y': y}).group_by('g').agg(pl.col('y').sum()).sort('g')['y'].to_list()"),
    "torch": ("torch", "import torch\ntorch.manual_seed(0)", "m = torch.nn.Linear(5, 1); t = torch.from_numpy(X).float(); o = torch.optim.SGD(m.parameters(), 0.1)\n    for _ in range(k): o.zero_grad(); l = ((m(t)[:, 0] - torch.from_numpy(y).float()) ** 2).mean(); l.backward(); o.step()\n    return [float(l), torch.get_num_threads()]"),
}  # fmt: skip


TOO_LARGE = {"torch"}
"""Tried where they happen to be installed."""
USED = [name for name, (module, *_) in LIBRARIES.items() if module not in TOO_LARGE or find_spec(module) is not None]


@pytest.mark.parametrize("name", USED)
def test_used_at_home_and_in_helpers(name: str, tmp_path: Path) -> None:
    """A pool of threads of a library that home has used is not there in a process forked from it: some libraries wait for
    it for ever."""
    module, head, use = LIBRARIES[name]
    pytest.importorskip(module, reason=f"{module} is not installed")
    driver = FORKED.format(head=head, use=use)
    assert_same(tmp_path, driver, options=("-j", "3"))


def test_used_by_the_driver_before_anything_is_forked(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    _, head, use = LIBRARIES["scikit-learn, OpenMP"]
    early = FORKED.format(head=head, use=use).replace("def main():\n", "print(use(0, 2))\ndef main():\n")
    assert_same(tmp_path, early, options=("-j", "3"))


POOLS = """
import os
from inferflow.worker.pools import Pools
import numpy, lightgbm
pools, told = Pools(), []
pools.begin()
def look(): told.append(bool(pools.hindrance(1)))
X = numpy.random.default_rng(0).normal(size=(300, 5))
look()
X.T @ X
look()
if os.fork() == 0: os._exit(0)  # OpenBLAS ends its threads
os.wait()
look()
numpy.ones((900, 900)) @ numpy.ones((900, 900))  # and begins again
look()
if os.fork() == 0: os._exit(0)
os.wait()
lightgbm.LGBMRegressor(n_estimators=2, verbose=-1, n_jobs=2).fit(X, X[:, 0])
look()
print(told)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are told apart by what /proc says of them")
def test_pools_of_openmp_are_told_from_those_of_openblas() -> None:
    """After a fork there are fewer threads than before, though one of them is of OpenMP: numbers say nothing."""
    pytest.importorskip("lightgbm")
    done = subprocess.run([sys.executable, "-c", POOLS], capture_output=True, text=True, timeout=120)
    assert done.stdout == "[False, False, False, False, True]\n", done.stdout + done.stderr
