"""The contract, one driver at a time: what ``inferflow run`` gives is what ``python driver.py`` gives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from compare import assert_same, both, environment, observe, write_files

DRIVERS: dict[str, str] = {
    "what the driver leaves dies as natively": """
import os

class Held:
    def __del__(self):
        print("held")
        os.write(1, b"its globals are there\\n")

def make():
    return Held()

held = make()
print("end")
""",
    "what was opened, run ahead and looped over dies as natively": """
import os, time

class Held:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        os.write(1, b"dies: %s\\n" % self.name.encode())

def pair(name):
    return Held(name), Held(name + "'")

def slow(x):
    time.sleep(0.15)
    return [x]

first = pair("first")
a = slow(1)
b = slow(2)
c = [slow(x) for x in range(3)]
for d in range(3):
    e = slow(d)
second = pair("second")
print(a, b, c, d, e)
""",
    "nothing stands below the driver's module": """
import inspect, sys, warnings
warnings.warn("as if from below", stacklevel=2)

def f(x):
    warnings.warn("from far below", stacklevel=9)
    return x

def main():
    a = f(1)
    b = f(2)
    print(a, b, sys.orig_argv[1:], [frame.function for frame in inspect.stack()][:2])

main()
""",
    "functions of the library replaced": """
import builtins, json, os, time

real = open

def loud(*a, **k):
    print("open", a)
    return real(*a, **k)

def f(x):
    with open("x.txt", "w") as file:
        file.write(json.dumps(x))
    return [x]

a = f(1)
json.dumps = lambda x: "patched"
time.time = lambda: 0.0
time.perf_counter = time.process_time = os.fork = os.write = None
builtins.open = loud
b = f(2)
print(a, b, time.time(), open("x.txt").read())
""",
    "print": 'print("hi")\n',
    "empty": "",
    "only a comment": "# nothing\n",
    "traceback through main": """
def f():
    return 1 / 0

def main():
    x = 3
    f()

if __name__ == "__main__":
    main()
""",
    "chained exceptions": 'try:\n    {}["a"]\nexcept KeyError as e:\n    raise ValueError("x") from e\n',
    "context of exceptions": 'try:\n    {}["a"]\nexcept KeyError as e:\n    1 / 0\n',
    "notes": 'e = ValueError("x")\nif hasattr(e, "add_note"):\n    e.add_note("note")\nraise e\n',
    "exit status": 'import sys\nprint("a")\nsys.exit(3)\n',
    "exit message": 'import sys\nsys.exit("bad thing")\n',
    "exit in finally": 'import sys\ntry:\n    sys.exit(4)\nfinally:\n    print("fin")\n',
    "os._exit loses what is buffered": 'import os\nprint("lost")\nos._exit(5)\n',
    "child processes write before what is buffered": (
        'import os, sys\nprint("a")\nos.system("echo b")\nprint("c", file=sys.stderr)\nos.write(1, b"raw\\n")\n'
    ),
    "warnings": """
import warnings
x = "\\d"
if x is "a":
    pass
warnings.warn("boo")
def f():
    warnings.warn("foo", DeprecationWarning)
f()
f()
""",
    "atexit": 'import atexit\natexit.register(print, "bye")\nprint("x")\n',
    "streams say what they are": (
        "import sys\nfor s in (sys.stdout, sys.stderr):\n    print(s, s.buffer, type(s), type(s.buffer), s.name, s.fileno())\n"
    ),
    "names in their order": "print(list(globals()), list(vars()))\n",
    "names that exit functions find": ("import atexit\natexit.register(lambda: print(sorted(globals())))\nx = 1\n"),
    "names that exit functions find after sys.exit": (
        "import atexit, sys\natexit.register(lambda: print(sorted(globals())))\nx = 1\nsys.exit(3)\n"
    ),
    "names that exit functions find after an exception": (
        "import atexit, sys\natexit.register(lambda: print(sorted(globals())))\nx = 1 / 0\n"
    ),
    "a thread that outlives main": (
        "import threading, time\n"
        'def w():\n    time.sleep(.2)\n    print("thread")\n'
        'threading.Thread(target=w).start()\nprint("main")\n'
    ),
    "an exception in a thread": (
        "import threading\nt = threading.Thread(target=lambda: 1 / 0)\nt.start()\nt.join()\nprint('after')\n"
    ),
    "who am I": (
        "import sys, os\n"
        "print(sys.argv, __file__, __name__, os.getcwd(), sys.path[0], __doc__, __spec__, __package__, "
        "sorted(globals()), sys.flags, sys.getrecursionlimit() >= 1000)\n"
    ),
    "stdin": "print(input())\nimport sys\nprint(sys.stdin.read())\n",
    "logging": (
        "import logging\nlogging.basicConfig(level=logging.INFO)\nlogging.info('hello')\n"
        "logging.getLogger('x').warning('w')\n"
    ),
    "segmentation fault": 'import ctypes\nprint("x", flush=True)\nctypes.string_at(0)\n',
    "future annotations": (
        "from __future__ import annotations\ndef f(x: Foo): pass\nprint(f.__annotations__)\n"
        "class A:\n    y: int = 3\nz: int = 4\nprint(__annotations__)\n"
    ),
    "excepthook": "import sys\nsys.excepthook = lambda *a: print('HOOK', a[0])\n1 / 0\n",
    "a broken excepthook": "import sys\ndef hook(*a):\n    raise ValueError('hook')\nsys.excepthook = hook\n1 / 0\n",
    "a module that is not there": "import nonexisting_thing\n",
    "recursion without end": "def f(n): return f(n + 1)\nf(0)\n",
    "source of a function": "import inspect\ndef f():\n    return 3\nprint(inspect.getsource(f))\n",
    "source of main": "import inspect\ndef main():\n    a = 1\n    print(inspect.getsource(main))\nmain()\n",
    "pickled instances of __main__": (
        "import pickle\nclass A: pass\na = pickle.loads(pickle.dumps(A()))\nprint(type(a), A.__module__)\n"
    ),
    "a pool of forked processes": (
        "import multiprocessing as mp\ndef f(x): return x * 2\n"
        'if __name__ == "__main__":\n    with mp.get_context("fork").Pool(2) as p: print(p.map(f, [1, 2, 3]))\n'
    ),
    "a pool of spawned processes": (
        "import multiprocessing as mp\ndef f(x): return x * 2\n"
        'if __name__ == "__main__":\n    with mp.get_context("spawn").Pool(1) as p: print(p.map(f, [1, 2, 3]))\n'
    ),
    "a driver that forks": (
        'import os\nprint("a", flush=True)\ndef f(x):\n    return x\npid = os.fork()\ny = f(3)\n'
        'if pid: os.waitpid(pid, 0)\nprint("both", bool(pid), flush=True)\nz = f(4)\n'
    ),
    "all descriptors closed": (
        'import os\nprint("a")\nos.closerange(3, 4096)\ndef f(x):\n    return x\ny = f(3)\nprint(y)\n'
    ),
    "numbers of descriptors": 'f = open("x", "w")\nprint(f.fileno())\n',
    "killed by a signal": "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(3)\n",
    "Ctrl-C": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(3)\n",
    "stdout closed": "import sys\nsys.stdout.close()\n",
    "stdout replaced": "import sys, io\nsys.stdout = io.StringIO()\nprint('x')\nsys.stderr.write(sys.stdout.getvalue())\n",
    "stream attributes": (
        'print("h\\xe9 \\u2603")\nimport sys\nfor s in (sys.stdout, sys.stderr):\n'
        "    print(s.encoding, s.errors, s.line_buffering, s.name, s.mode, s.isatty(), s.newlines, s.fileno())\n"
    ),
    "much output": "for i in range(100000): print(i)\n",
    "unraisable": 'class A:\n    def __del__(self): 1 / 0\na = A()\ndel a\nprint("ok")\n',
    "asyncio": ('import asyncio\nasync def m():\n    await asyncio.sleep(.01)\n    print("async")\nasyncio.run(m())\n'),
    "environment": "import os\nprint(sorted(k for k in os.environ if 'INFERFLOW' in k))\n",
    "locals": "def main():\n    a = 1\n    b = a + 1\n    print(sorted(locals()))\n    return b\nmain()\n",
    "exec and eval": "def main():\n    a = 1\n    exec('print(a)')\n    return eval('a + 1')\nprint(main())\n",
    "globals changed behind": "def main():\n    globals()['z'] = 3\n    return z\nprint(main())\n",
    "monkey patch": "import math\ndef f(x):\n    return math.sqrt(x)\nmath.sqrt = lambda x: 42\na = f(4)\nprint(a)\n",
    "unbound local": "def main():\n    if False:\n        x = 1\n    print(x)\nmain()\n",
    "early return": "def f(): return 3\ndef main():\n    a = f()\n    if a:\n        return a\n    b = f()\n    return b\nprint(main())\n",
    "closures": (
        "def main():\n    n = 1\n    def g(): return n\n    a = g()\n    n = 2\n    b = g()\n    return a, b\nprint(main())\n"
    ),
    "nonlocal": (
        "def main():\n    n = 0\n    def bump():\n        nonlocal n\n        n += 1\n        return n\n"
        "    a = bump()\n    b = bump()\n    return a, b, n\nprint(main())\n"
    ),
    "walrus, star, chain": (
        "def f(*a, **k): return [*a, k]\ndef main():\n    x = y = f(1)\n    (p, *q), r = f(1, 2), f(3)\n"
        "    if (w := f(4)): pass\n    z: list = f(5)\n    z += [6]\n    del p\n    return x is y, q, r, w, z\nprint(main())\n"
    ),
    "main called twice": "def f(x): return x\ndef main():\n    a = f(1)\n    print(a)\nmain()\nmain()\n",
    "pickling methods that print and change things": (
        "class Model:\n    calls = []\n    def __getstate__(self):\n        print('SIDE EFFECT')\n"
        "        self.calls.append(1)\n        return {}\n"
        "def fit(): return Model()\ndef main():\n    m = fit()\n    n = [m]\n    print(m.calls)\n    return m\nmain()\n"
    ),
    "a child process that outlives the driver": (
        "import subprocess\nsubprocess.Popen('sleep 0.5; echo late; echo later >&2', shell=True)\nprint('done')\n"
    ),
    "very much output in one task": (
        "import os\ndef f():\n    for i in range(200):\n        print('x' * 60000)\n    os.system('echo child')\n"
        "def g(): print('g')\nf()\ng()\nos.system('echo end')\n"
    ),
    "a flush in a task that ran ahead": (
        "import os, sys, time\ndef slow():\n    time.sleep(0.3)\n    return 1\n"
        "def tell(x):\n    print('told', x, flush=True)\n    print('kept', x)\n    return x\n"
        "def quiet(x):\n    sys.stdout.flush()\n    return x\n"
        "def main():\n    a = slow()\n    b = tell(2)\n    os.system('echo child')\n    print('more')\n"
        "    c = slow()\n    d = quiet(3)\n    os.system('echo child')\n    return a, b, c, d\nmain()\n"
    ),
    "code that runs in a dictionary without a name": (
        "import ctypes\ndef f(n):\n    space = {'__name__': n, 'ctypes': ctypes}\n"
        "    exec('x = ctypes.CDLL(None).getpid()', space)\n    return space['x'] > 0\n"
        "def main():\n    a = f(None)\n    b = f(3)\n    c = f('m')\n    print(a, b, c)\nmain()\n"
    ),
    "set order": "def f(): return {str(i) for i in range(40)}\ndef g(s): return list(s)\ns = f()\nprint(g(s), list(s))\n",
}


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_gives_the_same(name: str, tmp_path: Path) -> None:
    assert_same(tmp_path, DRIVERS[name], "argument", "--option")


@pytest.mark.parametrize(
    "name", ["print", "child processes write before what is buffered", "os._exit loses what is buffered"]
)
def test_unbuffered(name: str, tmp_path: Path) -> None:
    assert_same(tmp_path, DRIVERS[name], PYTHONUNBUFFERED="1")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_exception_groups(tmp_path: Path) -> None:
    assert_same(tmp_path, 'raise ExceptionGroup("g", [ValueError(1), TypeError(2)])\n')


def test_another_encoding(tmp_path: Path) -> None:
    text = '# -*- coding: latin-1 -*-\nprint(ascii("\xe9"))\n'
    assert_same(tmp_path, {"driver.py": text.encode("latin-1")})


def test_a_byte_order_mark(tmp_path: Path) -> None:
    assert_same(tmp_path, {"driver.py": b"\xef\xbb\xbfprint('x')\n"})


def test_siblings_files_and_packages(tmp_path: Path) -> None:
    assert_same(
        tmp_path,
        {
            "driver.py": "from steps import load\nfrom pack.sub import save\nx = load('data.txt')\nsave(x, 'out.txt')\nprint(x)\n",
            "steps.py": "print('imported once')\ndef load(p):\n    return open(p).read()\n",
            "pack/__init__.py": "",
            "pack/sub.py": "def save(x, p):\n    with open(p, 'w') as f:\n        f.write(x.upper())\n",
            "data.txt": "content",
        },
    )


def test_a_module_that_shadows_the_library(tmp_path: Path) -> None:
    driver = "import random, json, socket\nprint(random.__file__.split('/')[-1], random.X)\n"
    assert_same(tmp_path, {"driver.py": driver, "random.py": "X = 1\ndef Random(): pass\n_inst = 1\n"})


@pytest.mark.parametrize("name", ["json", "ast", "inspect", "copy", "dis", "fcntl"])
def test_a_module_with_the_name_of_one_that_we_need(name: str, tmp_path: Path) -> None:
    assert_same(
        tmp_path, {"driver.py": "def f(x): return [x]\na = f(1)\nb = f(a)\nprint(b)\n", f"{name}.py": "X = 1\n"}
    )
    driver = f"print('a')\nimport {name}\nprint({name}.X)\n"
    assert_same(tmp_path / "fails", {"driver.py": driver, f"{name}.py": "X = 1 / 0\n"})


def test_a_module_that_the_librarys_own_traceback_needs(tmp_path: Path) -> None:
    """It is the driver's, and fails: to tell of that needs the library's. (``python -m`` would not come so far.)"""
    program = Path(sys.executable).parent / "inferflow"
    if not program.exists():
        pytest.skip("inferflow is not installed here")
    driver = "def f(x): return x\na = f(1)\nimport collections\nprint(collections.X)\nraise ValueError(a)\n"
    for text in ("X = 1 / 0\n", "X = 1\n"):
        write_files(tmp_path, {"driver.py": driver, "collections.py": text, "tokenize.py": "X = 2 / 0\n"})
        native, inferred = (
            observe([str(word) for word in command], tmp_path, b"", environment())
            for command in ([sys.executable, "driver.py"], [program, "-q", "run", "driver.py"])
        )
        assert native.exit_code == 1
        assert (inferred.stdout, inferred.stderr) == (native.stdout, native.stderr)
        assert inferred.exit_code == 1


@pytest.mark.parametrize("name", ["importlib", "keyword", "threading", "warnings"])
def test_a_module_that_takes_the_place_of_what_nearly_all_needs(name: str, tmp_path: Path) -> None:
    """The command is the installed one: `python -m` itself would look into the driver's folder first."""
    command = [sys.executable, "-c", "import sys; del sys.path[0]; from inferflow.cli import main; main()", "-q", "run"]
    text = "import time\ndef f(x):\n    time.sleep(0.1)\n    return [x]\na = f(1)\nb = f(2)\nprint(a, b)\n"
    write_files(tmp_path, {"driver.py": f"{text}import {name}\nprint({name}.X)\n", f"{name}.py": "X = 1\n"})
    native = observe([sys.executable, "driver.py"], tmp_path, b"", environment())
    inferred = observe([*command, "driver.py"], tmp_path, b"", environment())
    assert (inferred.stdout, inferred.stderr, inferred.exit_code) == (native.stdout, native.stderr, native.exit_code)


def test_a_file_whose_name_a_library_completes(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    assert_same(
        tmp_path,
        "import numpy as np, time\ndef slow():\n    time.sleep(0.3)\n    return 1\n"
        "def save(n):\n    np.save('arr', np.arange(n))\n    return n\n"
        "def load():\n    return float(np.load('arr.npy').sum())\n"
        "def main():\n    a = slow()\n    b = save(10)\n    c = load()\n    print(a, b, c)\nmain()\n",
    )


def test_a_file_under_two_names(tmp_path: Path) -> None:
    """The analysis takes the two names for two files; the run finds out."""
    assert_same(
        tmp_path,
        "import os, time\ndef slow(x):\n    time.sleep(0.3)\n    return [x]\n"
        "def write():\n    with open('real.txt', 'w') as f:\n        f.write('new')\n    return 1\n"
        "def read():\n    with open('link.txt') as f:\n        return f.read()\n"
        "def main():\n    open('real.txt', 'w').write('old')\n    os.symlink('real.txt', 'link.txt')\n"
        "    s = slow(1)\n    w = write()\n    r = read()\n    print(s, w, r)\nmain()\n",
    )


RECURSION = """
def depth(n):
    try:
        return depth(n + 1)
    except RecursionError:
        return n
def twice(f, x):
    return f(x)
f = lambda x: twice(f, x)
def main():
    print(depth(0), [depth(i) for i in range(2)])
print(depth(0))
main()
f(1)
"""


def test_recursion_goes_as_deep(tmp_path: Path) -> None:
    """Nothing of ours takes away from the room that the interpreter grants."""
    assert_same(tmp_path, RECURSION)


def test_a_syntax_error_in_a_sibling(tmp_path: Path) -> None:
    assert_same(tmp_path, {"driver.py": "import badmod\n", "badmod.py": "x = = 3\n"})


def test_a_driver_that_fails_while_it_is_imported(tmp_path: Path) -> None:
    assert_same(
        tmp_path, {"driver.py": "import mod\nprint(1)\n", "mod.py": "print('before')\nraise RuntimeError('no')\n"}
    )


def test_the_exit_status_of_a_syntax_error_is_3_and_python_s_text_is_shown(tmp_path: Path) -> None:
    native, inferred, _ = both(tmp_path, {"driver.py": "x = 1\ny = = 3\n"})
    assert inferred.exit_code == 3
    assert [line for line in native.stderr.splitlines() if "^" in line or "SyntaxError" in line] == [
        line for line in inferred.stderr.splitlines() if "^" in line or "SyntaxError" in line
    ]
