"""Hidden states, one by one: a task changes one, a task that could have run ahead reads it; natively and with four
processes. Seeded generators are compared to the bit. docs/states.md lists them by these names.

Both tasks are called twice: as the analysis sees it, and hidden from it (``hide``), where they run on trust.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from batch import run_batch

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked")

OF_THE_PROJECT: dict[str, tuple[str, str, str]] = {
    "module-level cache": ("CACHE = {}", "CACHE[len(CACHE)] = 1", "len(CACHE)"),
    "module-level counter": ("import state", "state.COUNT += 1", "state.COUNT"),
    "cache of a module's function": ("import state", "state.remember(len(state.SEEN))", "list(state.SEEN)"),
    "global": ("K = 0", "global K; K += 1", "K"),
    "class attribute": ("class C:\n    n = 0", "C.n += 1", "C.n"),
    "class attribute through an instance": ("class C:\n    seen = []\nc = C()", "c.seen.append(1)", "len(C.seen)"),
    "function attribute": ("def f(): pass\nf.n = 0", "f.n += 1", "f.n"),
    "default argument": ("def f(acc=[]):\n    acc.append(1)\n    return len(acc)", "f()", "f()"),
    "functools.lru_cache": (
        "import functools\n@functools.lru_cache(None)\ndef memo(x): return [x]",
        "memo(memo.cache_info().currsize)",
        "memo.cache_info()[:2], memo(0)",
    ),
    "functools.cached_property": (
        "import functools\nclass P:\n    n = 0\n    @functools.cached_property\n    def v(self): P.n += 1; return P.n\np = P()",
        "p.__dict__.clear()",
        "p.v",
    ),
    "random.Random": ("import random\nR = random.Random(3)", "R.random()", "R.random().hex()"),
    "context variable": (
        "import contextvars\nV = contextvars.ContextVar('v', default=0)",
        "V.set(V.get() + 1)",
        "V.get()",
    ),
    "thread's locals": ("import threading\nT = threading.local(); T.n = 0", "T.n += 1", "T.n"),
    "iterator": ("import itertools\nIDS = itertools.count()", "next(IDS)", "next(IDS)"),
    "open file": ("F = open('in.txt')", "F.read(1)", "F.read(1)"),
    "sqlite": (
        "import sqlite3\nDB = sqlite3.connect(':memory:')\nDB.execute('create table t(x)')",
        "DB.execute('insert into t values (1)')",
        "DB.execute('select count(*) from t').fetchone()",
    ),
}
"""What the project's own modules hold. For each state: what is set up, what changes it, what reads it."""

OF_PYTHON: dict[str, tuple[str, str, str]] = {
    "random": ("import random\nrandom.seed(3)", "random.random()", "random.random().hex()"),
    "os.environ": (
        "import os",
        "os.environ['A_STATE'] = os.environ.get('A_STATE', '') + 'x'",
        "os.environ.get('A_STATE')",
    ),
    "os.putenv": (
        "import os, subprocess",
        "os.putenv('B_STATE', 'y')",
        "subprocess.run(['sh', '-c', 'echo $B_STATE'], capture_output=True, text=True).stdout",
    ),
    "os.chdir": (
        "import os",
        "os.chdir('sub' if os.path.exists('sub') else '..')",
        "os.path.basename(os.getcwd()), os.path.exists('in.txt')",
    ),
    "os.umask": (
        "import os",
        "os.umask(0o77 - os.umask(0))",
        "(open('m.txt', 'w').close(), oct(os.stat('m.txt').st_mode), os.remove('m.txt'))",
    ),
    "warnings' filters": (
        "import warnings",
        "warnings.simplefilter('error')",
        "warned()\ndef warned():\n    try: warnings.warn('w')\n    except UserWarning as e: return 'raised'\n    return 'shown'",
    ),
    "warnings shown once": ("import warnings", "warnings.warn('same')", "warnings.warn('same')"),
    "logging, root's level": (
        "import logging",
        "logging.getLogger().setLevel(logging.getLogger().level - 10)",
        "logging.getLogger('a').isEnabledFor(15)",
    ),
    "logging, a logger's handlers": (
        "import logging",
        "logging.getLogger('x').addHandler(logging.NullHandler())",
        "len(logging.getLogger('x').handlers)",
    ),
    "logging.basicConfig": (
        "import logging",
        "logging.basicConfig(format='%(message)s', level=logging.INFO)",
        "logging.info('told')",
    ),
    "logging.disable": ("import logging", "logging.disable(50)", "logging.getLogger('b').isEnabledFor(40)"),
    "decimal's context": ("import decimal", "decimal.getcontext().prec -= 5", "str(decimal.Decimal(1) / 7)"),
    "locale": (
        "import locale\nlocale.setlocale(locale.LC_ALL, 'C')",
        "locale.setlocale(locale.LC_ALL, 'C.UTF-8')",
        "locale.setlocale(locale.LC_ALL)",
    ),
    "sys.path": ("import sys", "sys.path.append('x%d' % len(sys.path[-1]))", "sys.path[-1]"),
    "sys.path, importing": (
        "import sys, importlib",
        "sys.path.insert(0, 'sub')",
        "has()\ndef has():\n    try: return importlib.import_module('inner').V\n    except ImportError: return 'none'",
    ),
    "recursion limit": (
        "import sys",
        "sys.setrecursionlimit(5000 if sys.getrecursionlimit() < 5000 else 6000)",
        "max(sys.getrecursionlimit(), 2000)",
    ),
    "finalizers": (
        "import weakref\nclass Kept: pass\nKEPT = Kept()",
        "weakref.finalize(KEPT, print, 'over', len(weakref.finalize._registry))",
        "len(weakref.finalize._registry)",
    ),
    "time zone": (
        "import os, time",
        "os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()",
        "time.tzname, time.localtime(0).tm_hour",
    ),
    "digits of integers": (
        "import sys",
        "sys.set_int_max_str_digits(sys.get_int_max_str_digits() + 1000)",
        "sys.get_int_max_str_digits()",
    ),
    "the collector": ("import gc", "gc.disable()", "gc.isenabled()"),
    "socket's timeout": ("import socket", "socket.setdefaulttimeout(3)", "socket.getdefaulttimeout()"),
    "csv's dialects": (
        "import csv",
        "csv.register_dialect('mine' + str(len(csv.list_dialects())), delimiter=';')",
        "csv.list_dialects()",
    ),
    "csv's field size": ("import csv", "csv.field_size_limit(csv.field_size_limit() + 1)", "csv.field_size_limit()"),
    "calendar's first day": ("import calendar", "calendar.setfirstweekday(6)", "calendar.firstweekday()"),
    "mime types": ("import mimetypes", "mimetypes.add_type('x/y', '.zz')", "mimetypes.guess_type('a.zz')"),
    "codecs' error handlers": (
        "import codecs",
        "codecs.register_error('mine', codecs.ignore_errors)",
        "has()\ndef has():\n    try: return b'a\\xff'.decode('utf-8', 'mine')\n    except LookupError: return 'none'",
    ),
    "signal handlers": (
        "import signal",
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN",
    ),
    "resource limits": (
        "import resource",
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); resource.setrlimit(resource.RLIMIT_NOFILE, (512, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 512",
    ),
    "niceness": ("import os", "os.nice(1)", "os.nice(0) > 15 or os.nice(0)"),
    "sys.dont_write_bytecode": (
        "import sys",
        "sys.dont_write_bytecode = not sys.dont_write_bytecode",
        "sys.dont_write_bytecode",
    ),
    "sys.displayhook": ("import sys", "sys.displayhook = print", "sys.displayhook is print"),
    "standard output": ("import sys, io", "sys.stdout = sys.stderr", "sys.stdout is sys.stderr"),
    "builtins": (
        "import builtins",
        "builtins.MINE = getattr(builtins, 'MINE', 0) + 1",
        "getattr(builtins, 'MINE', 'none')",
    ),
    "threads' switch interval": ("import sys", "sys.setswitchinterval(.25)", "sys.getswitchinterval()"),
    "copyreg": (
        "import copyreg, copy\nclass P:\n    v = 0\ndef red(p):\n    q = P(); q.v = 7\n    return P, ()",
        "copyreg.pickle(P, red)",
        "P in copyreg.dispatch_table",
    ),
    "atexit": ("import atexit", "atexit.register(print, 'bye')", "atexit._ncallbacks() > 0"),
    "linecache": (
        "import linecache",
        "linecache.cache['zz'] = (1, None, ['one\\n'], 'zz')",
        "linecache.getline('zz', 1)",
    ),
}
"""What the interpreter, its library and the process hold. For each state: what is set up, what changes it, what reads it."""

OF_LIBRARIES: dict[str, tuple[str, str, str]] = {
    "numpy.random, legacy": (
        "import numpy as np\nnp.random.seed(1)",
        "np.random.rand(3)",
        "float(np.random.rand()).hex(), float(np.random.normal()).hex()",
    ),
    "numpy.random, RandomState": (
        "import numpy as np\nR = np.random.RandomState(1)",
        "R.rand(3)",
        "float(R.rand()).hex()",
    ),
    "numpy.random, Generator": (
        "import numpy as np\nRNG = np.random.default_rng(1)",
        "RNG.random(3)",
        "float(RNG.random()).hex()",
    ),
    "numpy.random, seeded again": (
        "import numpy as np",
        "np.random.seed(len(str(np.random.get_state()[2])))",
        "float(np.random.rand()).hex()",
    ),
    "pandas' options": (
        "import pandas as pd",
        "pd.set_option('display.precision', pd.get_option('display.precision') - 2)",
        "str(pd.Series([1.23456789]))",
    ),
    "numpy's print options": (
        "import numpy as np",
        "np.set_printoptions(precision=np.get_printoptions()['precision'] - 2)",
        "str(np.array([1.23456789]))",
    ),
    "numpy's error state": (
        "import numpy as np",
        "np.seterr(all='raise')",
        "div()\ndef div():\n    try: return str(np.float64(1.) / np.float64(0.))\n    except FloatingPointError: return 'raised'",
    ),
    "pyplot's figures": (
        "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt",
        "plt.figure()",
        "plt.get_fignums()",
    ),
    "pyplot, the current axes": (
        "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt",
        "plt.plot([1, 2])",
        "len(plt.gca().lines)",
    ),
    "matplotlib's rcParams": (
        "import matplotlib",
        "matplotlib.rcParams['lines.linewidth'] += 2",
        "matplotlib.rcParams['lines.linewidth']",
    ),
}
"""What numpy, pandas and matplotlib hold. For each state: what is set up, what changes it, what reads it."""

TEMPLATE = """import time
{setup}
def act():
    time.sleep(0.03)
    {act}
def read():
    return {read}
def hide(name): return globals()[name]
def nap(): time.sleep(0.06)
def main():
    nap()
    hide('act')()
    x = hide('read')()
    a = read()
    act()
    b = read()
    c = read()
    hide('act')()
    d = read()
    e = hide('read')()
    print(x, a, b, c, d, e)
main()
"""
FILES = {
    "state.py": "COUNT = 0\nSEEN = {}\ndef remember(x):\n    SEEN[x] = 1\n",
    "in.txt": "abcdefghijkl",
    "sub/in2.txt": "x",
    "sub/inner.py": "V = 5\n",
}


def differences(folder: Path, states: dict[str, tuple[str, str, str]], *modules: str) -> dict[str, str]:
    drivers = {
        name: {"driver.py": TEMPLATE.format(setup=setup, act=act, read=read), **FILES}
        for name, (setup, act, read) in states.items()
    }
    found = run_batch(folder, drivers, frozenset(), *modules)
    return {name: difference for name, (difference, *_) in found.items() if difference}


def test_states_of_the_project(tmp_path: Path) -> None:
    assert differences(tmp_path, OF_THE_PROJECT) == {}


@pytest.mark.parametrize("part", range(2))
def test_states_of_python(tmp_path: Path, part: int) -> None:
    assert differences(tmp_path, dict(list(OF_PYTHON.items())[part::2])) == {}


STATES = {
    "numpy pandas matplotlib.pyplot": OF_LIBRARIES,
    "torch": {"its generator": ("import torch\ntorch.manual_seed(1)", "torch.rand(2)", "torch.rand(1).item().hex()")},
}
"""By what is imported before. torch, which is large, is tried where it happens to be installed."""
TRIED = [modules for modules in STATES if modules != "torch" or find_spec("torch") is not None]


@pytest.mark.parametrize("modules", TRIED)
def test_states_of_libraries(modules: str, tmp_path: Path) -> None:
    assert differences(tmp_path, STATES[modules], *modules.split()) == {}
