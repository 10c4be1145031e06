"""Values that cannot leave their process, or not unchanged: whatever the order in which tasks use them.

For each kind there are three uses, each of which changes the value or depends on what the others did. A driver makes a
value for each of the six orders of the three, and uses it there: by a plain call, by one hidden from the analysis, within
a container, through a function that closes over it. In between stand tasks that may run ahead. Natively, with two and
with four processes.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest
from batch import differences, run_batch

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked")

HEAD = """
import time
{head}
def hide(name): return globals()[name]
def nap(seconds=0.02): time.sleep(seconds); return seconds
def other(x): return [x] * 2
def boxed(x): return {{'it': x}}
def unbox(box): return box['it']
def bind(f, x):
    def bound(): return f(x)
    return bound
def make(n):
    {make}
def first(x):
    {first}
def second(x):
    {second}
def third(x):
    {third}
"""

KINDS: dict[str, tuple[str, str, str, str, str]] = {
    "generator": ("def count(n):\n    while n < 50:\n        got = yield n\n        n += got or 1", "return count(n)", "return next(x)", "return x.send(None) * 2 + x.send(5)", "return [next(x), next(x)]"),
    "generator with finally": ("LOG = []\ndef count(n):\n    try:\n        while True:\n            yield n\n            n += 1\n    finally:\n        LOG.append(n)", "return count(n)", "return next(x, 'over')", "return [next(x, 'over'), len(LOG)]", "x.close(); return list(LOG)"),
    "generator expression": ("", "return (i * n for i in range(20))", "return next(x)", "return [next(x), next(x)]", "return sum(next(x) for _ in range(3))"),
    "map": ("", "return map(str, range(n, n + 20))", "return next(x)", "return [next(x), next(x)]", "return ''.join(next(x) for _ in range(3))"),
    "filter": ("", "return filter(None, range(n - 2, n + 20))", "return next(x)", "return [next(x), next(x)]", "return next(x) in (5, 6)"),
    "zip over one iterator": ("", "it = iter(range(n, n + 30)); return it, zip(it, it)", "return next(x[0])", "return next(x[1])", "return [next(x[1]), next(x[0])]"),
    "enumerate": ("", "return enumerate('abcdefgh' * 3, n)", "return next(x)", "return [next(x), next(x)]", "return dict([next(x)])"),
    "list iterator": ("", "return iter(list(range(n, n + 20)))", "return next(x)", "return [next(x), x.__length_hint__()]", "return next(x) + next(x)"),
    "dictionary iterator": ("", "return iter({i: n for i in range(20)}.items())", "return next(x)", "return [next(x), x.__length_hint__()]", "return next(x)[0] + next(x)[1]"),
    "itertools": ("import itertools", "return itertools.chain(itertools.count(n))", "return next(x)", "return list(itertools.islice(x, 2))", "return next(x) * next(x)"),
    "tee": ("import itertools", "return itertools.tee(iter(range(n, n + 30)))", "return next(x[0])", "return next(x[1])", "return [next(x[0]), next(x[1])]"),
    "groupby": ("import itertools", "return itertools.groupby(sorted('aabbbcdeeffgghh'))", "k, g = next(x); return k, list(g)", "k, g = next(x); return k", "return next(x)[0] + next(x)[0]"),
    "csv reader": ("import csv, io", "return csv.reader(io.StringIO('a,b\\n1,2\\n3,4\\n5,6\\n7,8\\n9,0\\n' * 3))", "return next(x)", "return x.line_num, next(x)", "return [next(x), next(x)]"),
    "file, reading": ("", "return open('in.txt')", "return x.read(3)", "return x.readline()", "x.seek(max(0, x.tell() - 1)); return x.tell(), x.read(1)"),
    "file, its lines": ("", "return open('in.txt')", "return next(x)", "return [next(x), next(x)]", "return x.readline()"),
    "file, writing": ("", "return open('out%d.txt' % n, 'w+')", "return x.write('one')", "return x.write('two!'), x.flush(), len(open(x.name).read())", "x.seek(0); t = x.read(); x.seek(0, 2); return t"),
    "file, appending": ("", "return open('all.txt', 'a')", "x.write('1'); x.flush(); return open('all.txt').read()", "x.write('22'); x.flush(); return x.tell()", "x.write('333'); x.flush(); return len(open('all.txt').read())"),
    "file, binary": ("", "return open('b%d.bin' % n, 'wb+', buffering=0)", "return x.write(b'abc')", "return x.seek(1), x.write(b'Z')", "x.seek(0); return x.read()"),
    "file, temporary": ("import tempfile\ntempfile.tempdir = '.'", "return tempfile.TemporaryFile('w+')", "return x.write('abc')", "x.seek(0); return x.read()", "x.seek(0); x.truncate(); return x.write('z')"),
    "descriptor": ("import os", "return os.open('d%d.bin' % n, os.O_RDWR | os.O_CREAT)", "return os.write(x, b'abc')", "return os.lseek(x, 0, 1), os.pread(x, 9, 0)", "return os.lseek(x, 0, 0)"),
    "pipe": ("import os", "return os.pipe()", "return os.write(x[1], b'abc')", "return os.write(x[1], b'de') and os.read(x[0], 1)", "return os.write(x[1], b'f') and os.read(x[0], 2)"),
    "lock": ("import threading", "return threading.Lock()", "return x.acquire(blocking=False)", "return x.locked()", "return x.release() if x.locked() else 'open'"),
    "reentrant lock": ("import threading", "return threading.RLock()", "return x.acquire(), x._is_owned()", "return x._recursion_count() if hasattr(x, '_recursion_count') else repr(x).split('count=')[1][0]", "return x.release() if x._is_owned() else 'not held'"),
    "semaphore": ("import threading", "return threading.Semaphore(n + 2)", "return x.acquire(blocking=False)", "return x._value", "return x.release()"),
    "event": ("import threading", "return threading.Event()", "return x.set()", "return x.is_set(), x.wait(0)", "return x.clear()"),
    "queue": ("import queue", "return queue.Queue()", "return x.put('a')", "return x.put('b'), x.qsize()", "return x.get() if x.qsize() else 'empty'"),
    "condition": ("import threading", "return threading.Condition(), [n]", "x[0].acquire(); x[1].append(1); x[0].release(); return list(x[1])", "return x[0].acquire(blocking=False), x[0].release()", "x[1].append(2); return len(x[1])"),
    "thread": ("import threading", "return threading.Thread(target=nap, args=(0.001,)), []", "x[1].append(x[0].is_alive()); return len(x[1])", "return x[0].start() if x[0].ident is None else x[0].join()", "x[1].append(x[0].ident is None); return list(x[1])"),
    "connection": ("import sqlite3", "c = sqlite3.connect(':memory:'); c.execute('create table t(x)'); return c", "return x.execute('insert into t values (1)').rowcount", "return x.execute('select count(*) from t').fetchone(), x.in_transaction", "x.commit(); return x.total_changes"),
    "connection to a file": ("import sqlite3", "c = sqlite3.connect('f%d.db' % n); c.execute('pragma journal_mode=memory'); c.execute('create table if not exists t(x)'); return c", "return x.execute('insert into t values (1)').rowcount", "x.commit(); return x.execute('select count(*) from t').fetchone()", "x.rollback(); return x.in_transaction"),
    "cursor": ("import sqlite3", "c = sqlite3.connect(':memory:'); c.execute('create table t(x)'); c.executemany('insert into t values (?)', [(i,) for i in range(9)]); return c.execute('select x from t')", "return x.fetchone()", "return x.fetchmany(2)", "return [r for r, _ in zip(x, range(2))]"),
    "socket": ("import socket", "return socket.socketpair()", "return x[0].send(b'abc')", "return x[0].send(b'de') and x[1].recv(1)", "return x[1].send(b'f') and x[0].recv(9)"),
    "process": ("import subprocess", "return subprocess.Popen(['cat'], stdin=-1, stdout=-1, bufsize=0)", "return x.stdin.write(b'ab') and x.stdout.read(1)", "return x.stdin.write(b'cde') and x.stdout.read(1) + x.stdout.read(1)", "return x.poll(), x.stdin.write(b'f') and x.stdout.read(1)"),
    "lambda over a generator": ("def count(n):\n    while True:\n        yield n\n        n += 1", "g = count(n); return lambda k: [next(g) for _ in range(k)]", "return x(1)", "return x(2)", "return x(3)[-1]"),
    "lambda over a file": ("", "f = open('in.txt'); return lambda k: f.read(k)", "return x(1)", "return x(2)", "return x(3)[-1:]"),
    "closure with a counter": ("", "def up():\n        nonlocal n\n        n += 1\n        return n\n    return up", "return x()", "return x() * 2", "return [x(), x()]"),
    "bound method of an iterator": ("", "return iter(range(n, n + 30)).__next__", "return x()", "return [x(), x()]", "return x() + x()"),
    "view of an array": ("import numpy as np", "a = np.arange(6.) + n; return a, a[1:4]", "x[1][0] += 1; return x[0].tolist()", "x[0][2] *= 3; return x[1].tolist()", "return x[1].base is x[0], float(x[1].sum())"),
    "view of a dictionary": ("", "d = {'a': n}; return d, d.keys(), d.items()", "x[0]['n%d' % len(x[1])] = 1; return list(x[1])", "return len(x[2]), x[1].mapping == x[0]", "x[0].pop(next(iter(x[1])), None); return list(x[2])"),
    "memory view": ("", "b = bytearray(b'abcdef'); return b, memoryview(b)[1:4]", "x[1][0] = 65 + x[1][0] % 7; return bytes(x[0])", "x[0][2] = 66; return bytes(x[1])", "return x[1].obj is x[0]"),
    "memory map": ("import mmap", "f = open('m%d.bin' % n, 'wb+'); f.write(b'0' * 16); f.flush(); return mmap.mmap(f.fileno(), 16)", "x[0] = x[0] + 1; return bytes(x[:3])", "return x.seek(1), x.write(b'Z'), x.tell()", "x.flush(); return open('m%d.bin' % (x[0] * 0), 'ab').close(), bytes(x[:4])"),
    "set in its order": ("", "return {'k%d' % i for i in range(n, n + 20)}", "return list(x)", "x.discard('k%d' % (n := len(x))); x.add('new%d' % n); return list(x)", "return x.pop(), list(x)[:3]"),
    "set ordered by addresses": ("class K: pass\nKEYS = [K() for _ in range(30)]", "return {*KEYS[n:n + 9]}", "return [k for k in x] == [k for k in x], len(x)", "x.add(KEYS[len(x) + 12]); return len(x)", "return len({KEYS.index(k) for k in x})"),
    "frozen set": ("", "return frozenset('k%d' % i for i in range(n, n + 20))", "return list(x)", "return list(x | {'more'})", "return [k for k in x if k in x][:4]"),
    "NaN by identity": ("NAN = float('nan')", "return [NAN, n, float('nan')]", "return NAN in x, x.count(NAN), x.index(NAN)", "x.append(x[0]); return x[0] in x, x[2] in x[:2]", "x.reverse(); return {x[0]: 1, x[-1]: 2, NAN: 3}.__len__()"),
    "NaN of numpy by identity": ("import numpy as np", "return {np.nan: n, 'x': np.nan}", "return np.nan in x, x['x'] is np.nan", "x[float('nan')] = 1; return len(x)", "x[np.nan] = x.get(np.nan, 0) + 1; return x[np.nan]"),
    "exception with its cause": ("", "try:\n        try:\n            {}[n]\n        except KeyError as e:\n            raise ValueError([n]) from e\n    except ValueError as e:\n        return e", "x.args[0].append(1); return repr(x), repr(x.__cause__)", "return type(x.__cause__).__name__, x.__traceback__.tb_frame.f_code.co_name", "x.__cause__ = OSError(len(x.args[0])); return x.__suppress_context__, repr(x.__cause__)"),
    "exception with its context": ("", "try:\n        try:\n            {}[n]\n        except KeyError:\n            1 / 0\n    except ZeroDivisionError as e:\n        return e", "return repr(x.__context__), x.__cause__", "x.note = getattr(x, 'note', 0) + 1; return x.note", "try:\n        raise x\n    except ZeroDivisionError as e:\n        return e is x, e.__traceback__.tb_next is not None, getattr(x, 'note', 0)"),
    "object by identity": ("SENTINEL = object()", "return [SENTINEL, object(), n]", "return x[0] is SENTINEL, x[1] is SENTINEL", "x.append(x[1]); return x[-1] is x[1]", "x[0], x[1] = x[1], x[0]; return x.index(SENTINEL)"),
    "class made at run time": ("", "return type('Made', (), {'n': n})", "x.n += 1; return x.n", "return x().n, x.__name__", "setattr(x, 'm', getattr(x, 'm', 0) + 1); return x.m"),
    "module made at run time": ("import types", "m = types.ModuleType('made'); exec('n = %d\\ndef up():\\n    global n\\n    n += 1\\n    return n' % n, m.__dict__); return m", "return x.up()", "x.n *= 2; return x.n", "return [x.up(), x.up()]"),
    "context manager half way": ("import contextlib\n@contextlib.contextmanager\ndef cm(log):\n    log.append('in')\n    yield log\n    log.append('out')", "log = []; c = cm(log); c.__enter__(); return c, log", "x[1].append(1); return list(x[1])", "return next(x[0].gen, 'over'), list(x[1])", "return len(x[1])"),
    "exit stack": ("import contextlib", "s = contextlib.ExitStack(); log = [n]; s.callback(log.append, 'end'); return s, log", "x[0].callback(x[1].append, 'more'); return list(x[1])", "x[0].close(); return list(x[1])", "x[0] and x[0].push(lambda *a: x[1].append('last')); return len(x[1])"),
    "coroutine": ("import types\n@types.coroutine\ndef step(n):\n    got = yield n\n    return got or 0\nasync def run(n):\n    while True:\n        n += 1 + await step(n)", "return run(n)", "return x.send(None)", "return x.send(None), x.cr_running", "return [x.send(None), x.send(None)]"),
    "regular expression's matches": ("import re", "return re.finditer('[a-z]', 'abcdefghijklmnop'), re.compile('[a-c]')", "return next(x[0]).group()", "return [m.group() for m, _ in zip(x[0], range(2))]", "m = next(x[0]); return m.start(), bool(x[1].match(m.group()))"),
    "weak reference": ("import weakref\nclass K:\n    pass\nALL = []", "k = K(); k.n = n; ALL.append(k); return weakref.ref(k)", "x().n += 1; return x().n", "return x() in ALL, x().n", "x().m = len(vars(x())); return sorted(vars(x()))"),
    "finalizer": ("import weakref\nLOG = []\nclass K:\n    pass", "k = K(); weakref.finalize(k, LOG.append, n); return [k]", "return len(LOG)", "x.clear(); return list(LOG)", "x.append(1); return len(x), list(LOG)"),
}  # fmt: skip
"""For each kind: what stands before, what makes a value (``n``: another number each time), and three uses."""

FIGURES: dict[str, tuple[str, str, str, str, str]] = {
    "figure of pyplot": ("import matplotlib.pyplot as plt", "return plt.figure(n + 20)", "x.add_subplot(1, 4, len(x.axes) + 1); return len(x.axes), plt.get_fignums()", "plt.figure(x.number); plt.plot([1, 2, 3]); return len(plt.gca().lines)", "return plt.gcf() is x, [len(a.lines) for a in x.axes]"),
    "figure without pyplot": ("from matplotlib.figure import Figure", "f = Figure(figsize=(1, 1)); f.add_subplot(); return f", "x.axes[0].plot([n for n in range(3)]); return len(x.axes[0].lines)", "x.axes[0].set_title('t%d' % len(x.axes[0].lines)); return x.axes[0].get_title()", "x.savefig('f.png'); return x.axes[0].get_xlim()"),
    "axes": ("import matplotlib.pyplot as plt", "f, a = plt.subplots(num=n + 20); return a", "return len(x.plot([1, 2])), len(x.lines)", "plt.sca(x); plt.title('t%d' % len(x.lines)); return plt.gca() is x", "x.figure.suptitle('s'); return x.get_title(), x.get_ylim()"),
    "artist": ("import matplotlib.pyplot as plt", "plt.figure(n + 20); return plt.plot([1, 2, 3])[0]", "x.set_ydata([n + len(x.axes.lines) for n in x.get_ydata()]); return list(x.get_ydata())", "x.axes.plot(x.get_ydata()); return len(x.axes.lines)", "x.set_label('l%d' % len(x.axes.lines)); return x.get_label(), x.axes is plt.figure(x.figure.number).axes[0]"),
}  # fmt: skip

WAYS = (
    "{use}(x{n})",
    "hide('{use}')(x{n})",
    "{use}(unbox(b{n}))",
    "c{n}_{use}()",
    "hide('{use}')(b{n}['it'])",
    "{use}(x{n})",
)
"""How the uses are called, one way for each order."""


FIXED = "FIXED = (tuple, frozenset)\n"
"""Of what cannot change, identity is nobody's business."""
UNSTEADY = {KINDS[name][0] for name in ("thread", "process", "set ordered by addresses")}
"""Of these, the values themselves differ between two native runs."""


def driver_of(head: str, make: str, first: str, second: str, third: str, shift: int) -> str:
    lines = [HEAD.format(head=head, make=make, first=first, second=second, third=third), FIXED, "p = nap()"]
    shown = []
    for number, order in enumerate(itertools.permutations(("first", "second", "third"))):
        way = WAYS[(number + shift) % len(WAYS)]
        lines.append(f"x{number} = {'hide(' + repr('make') + ')' if (number + shift) % 3 == 1 else 'make'}({number})")
        lines.append(f"b{number} = boxed(x{number})")
        if way.startswith("c"):
            lines += [f"c{number}_{use} = bind({use}, x{number})" for use in order]
        lines.append(f"o{number} = other({number})")
        for place, use in enumerate(order):
            lines.append(f"r{number}_{place} = {way.format(use=use, n=number)}")
            if place == 0:
                lines.append(f"n{number} = nap(0.01)")
            shown.append(f"r{number}_{place}")
        lines.append(f"s{number} = b{number}['it'] is x{number} or type(x{number}) in FIXED, other({number} + 1)")
        if head in UNSTEADY:
            lines.append(f"x{number} = b{number} = c{number}_first = c{number}_second = c{number}_third = None")
    return "\n".join(lines) + f"\nprint({', '.join(shown)})\n"


def drivers_of(kinds: dict[str, tuple[str, str, str, str, str]], shift: int) -> dict[str, dict[str, str]]:
    text = "".join(f"line {number} of the file\n" for number in range(40))
    return {name: {"driver.py": driver_of(*kind, shift), "in.txt": text} for name, kind in kinds.items()}


@pytest.mark.parametrize("part", range(4))
def test_in_any_order(tmp_path: Path, part: int) -> None:
    pytest.importorskip("numpy")
    drivers = dict(list(drivers_of(KINDS, part).items())[part::4])
    assert differences(run_batch(tmp_path, drivers, (), "numpy", jobs=(2, 4))) == {}


def test_figures_in_any_order(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drivers = drivers_of(FIGURES, 1)
    assert differences(run_batch(tmp_path, drivers, (), "matplotlib.pyplot", jobs=(2, 4))) == {}


def test_the_uses_do_depend_on_their_order(tmp_path: Path) -> None:
    """Else these drivers would prove nothing: for each kind, two orders give different answers."""
    steady = []
    for name, (head, make, first, second, third) in KINDS.items():
        if "numpy" in head or name == "frozen set":  # (which nothing can change)
            continue
        (tmp_path / "in.txt").write_text("".join(f"line {number}\n" for number in range(40)))
        seen = set()
        for order in itertools.permutations(("first", "second", "third")):
            text = HEAD.format(head=head, make=make, first=first, second=second, third=third)
            calls = "\n".join(f"{use} = {use}(x)" for use in order)
            done = _run(f"{text}\nx = make(1)\n{calls}\nprint(repr((first, second, third)))", tmp_path)
            seen.add(done)
        if len(seen) == 1:
            steady.append(name)
    assert steady == [], steady


def _run(text: str, folder: Path) -> str:
    import subprocess

    env = {"PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, timeout=400, env=env
    )
    assert done.returncode == 0, done.stderr
    for path in folder.iterdir():
        if path.name != "in.txt":
            path.unlink()
    return done.stdout
