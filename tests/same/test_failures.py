"""Failure: a task that raises leaves exactly the effects that native would have left, although later tasks were already
computing; whoever catches it catches what was raised; a process that dies ends the run with a record, and no run hangs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import differences, run_batch
from compare import both, recorded

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked")

HEAD = """
import os, sys, time, sqlite3, subprocess, warnings, logging
def hide(name): return globals()[name]
def nap(seconds=0.05): time.sleep(seconds); return seconds
STATE = []
def effect(k):
    {effect}
    return [k]
def fail(k):
    time.sleep(0.1)
    {partly}
    raise {error}
"""

EFFECTS: dict[str, str] = {
    "files": "open('f%d.txt' % k, 'w').write(str(k))",
    "one file": "open('log.txt', 'a').write('%d,' % k)",
    "renaming": "open('t%d' % k, 'w').close(); os.rename('t%d' % k, 'r%d' % k)",
    "removing": "os.remove('there%d.txt' % k)",
    "folders": "os.mkdir('d%d' % k)",
    "output": "print('effect', k); sys.stderr.write('error %d\\n' % k)",
    "output of C": "os.write(1, b'raw %d\\n' % k)",
    "children": "subprocess.run(['sh', '-c', 'echo %d >> by_child.txt' % k])",
    "a database": "c = sqlite3.connect('x.db'); c.execute('create table if not exists t(x)'); c.execute('insert into t values (%d)' % k); c.commit(); c.close()",
    "a global": "STATE.append(k)",
    "the environment": "os.environ['EFFECT'] = str(k)",
    "a warning": "warnings.warn('effect %d' % k)",
    "logging": "logging.warning('effect %d', k)",
    "nothing": "pass",
}  # fmt: skip
"""What tasks do before and behind the one that fails."""

ERRORS = {
    "ValueError([k])": "half = open('half.txt', 'w'); half.write('half')",
    "KeyError(k)": "STATE.append('half'); print('half')",
    "sys.exit(k + 2)": "print('leaving')",
    "SystemExit('the end')": "open('half.txt', 'w').close()",
    "KeyboardInterrupt": "STATE.append('half')",
    "StopIteration(k)": "pass",
    "Own('text', k) from ZeroDivisionError('cause')": "os.environ['HALF'] = '1'",
}
"""What is raised, and what is done before. (``sys.exit`` raises too.)"""


def failing(effect: str, error: str, partly: str, place: int, hidden: bool) -> dict[str, str]:
    """Five tasks, and one at ``place`` that fails."""
    head = HEAD.format(effect=effect, partly=partly, error=error)
    own = "class Own(Exception):\n    def __init__(self, *a): super().__init__(*a); self.more = list(a)\n"
    lines = [head, own, "p = nap()"]
    for number in range(5):
        if number == place:
            lines.append("f = hide('fail')(1)" if hidden else "f = fail(1)")
        call = f"hide('effect')({number})" if (number + hidden) % 3 == 0 else f"effect({number})"
        lines.append(f"e{number} = {call}")
    files = {f"there{number}.txt": "x" for number in range(5)}
    if place % 2:
        lines += ["if True:", "    g = nap(0.01)"]
    return {"driver.py": "\n".join(lines) + "\nprint('the end', STATE)\n", **files}


def all_failing() -> dict[str, dict[str, str]]:
    found = {}
    for number, (name, effect) in enumerate(EFFECTS.items()):
        for place in (0, 2, 4):
            error, partly = list(ERRORS.items())[(number + place) % len(ERRORS)]
            hidden = (number + place // 2) % 2 == 1
            found[f"{name}, {error} at {place}"] = failing(effect, error, partly, place, hidden)
    return found


@pytest.mark.parametrize("part", range(3))
def test_a_failure_leaves_what_native_leaves(tmp_path: Path, part: int) -> None:
    drivers = dict(list(all_failing().items())[part::3])
    assert differences(run_batch(tmp_path, drivers, jobs=(2, 4))) == {}


CAUGHT = """
import sys, time, json, sqlite3, decimal
def hide(name): return globals()[name]
def nap(seconds=0.05): time.sleep(seconds); return seconds
class Own(Exception):
    def __init__(self, text, payload): super().__init__(text); self.payload = payload
class Odd(Exception):
    def __init__(self, a, b): self.a, self.b = a, b
class Base(BaseException): pass
PAYLOAD = [1]
def fail(x):
    time.sleep(0.02)
    {raises}
def other(x): return [x]
def after(x): return [x, x]
p = nap()
a = other(1)
try:
    b = {call}
    c = after(2)
except {catches} as error:
    d = after(3)
    kind, text, args = type(error), str(error), error.args
    depth = 0
    trace = error.__traceback__
    while trace is not None:
        depth, trace, line = min(depth + 1, 900), trace.tb_next, trace.tb_lineno
    more = {more}
else:
    e = other(4)
finally:
    f = other(5)
g = other(6)
print(a, kind.__mro__, text, args, depth, line, more, f, g, 'b' in globals(), 'error' in globals())
"""

RAISES: dict[str, tuple[str, str, str]] = {
    "its own class, with what it holds": ("raise Own('text', PAYLOAD)", "Own", "error.payload is PAYLOAD, PAYLOAD.append(2)"),
    "a class that pickle cannot make anew": ("raise Odd(1, [2])", "Odd", "error.a, error.b"),
    "of a class of its own making": ("class Inner(ValueError): pass\n    raise Inner(x)", "ValueError", "kind.__name__"),
    "with a cause": ("raise Own('t', x) from KeyError('cause')", "Own", "repr(error.__cause__), error.__suppress_context__"),
    "with a context": ("try:\n        {}[x]\n    except KeyError:\n        raise Own('t', x)", "Own", "repr(error.__context__)"),
    "no Exception at all": ("raise Base(x)", "BaseException", "0"),
    "SystemExit": ("sys.exit(4)", "SystemExit", "error.code"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt", "0"),
    "StopIteration": ("return next(iter(()))", "StopIteration", "error.value"),
    "of arithmetic": ("return x // 0", "ArithmeticError", "0"),
    "of the system": ("open('not/there')", "OSError", "error.errno, error.filename"),
    "of json": ("json.loads('{')", "ValueError", "error.pos, error.lineno"),
    "of sqlite": ("sqlite3.connect(':memory:').execute('select nothing')", "sqlite3.Error", "kind.__name__"),
    "of decimal": ("decimal.Decimal('x')", "decimal.InvalidOperation", "0"),
    "of text": ("b'\\xff'.decode()", "UnicodeDecodeError", "error.start, error.object"),
    "recursion": ("return fail(x)", "RecursionError", "depth > 900"),
    "a failed assertion": ("assert not x, PAYLOAD", "AssertionError", "error.args[0] is PAYLOAD"),
    "no such name": ("return nothing", "NameError", "error.name"),
    "no such attribute": ("return x.nothing", "AttributeError", "error.name, error.obj"),
    "with notes": ("e = ValueError(x)\n    e.__notes__ = ['one']\n    raise e", "ValueError", "error.__notes__"),
    "memory": ("return bytearray(1 << 62)", "MemoryError", "0"),
    "an object that was there": ("raise ERROR", "ValueError", "error is ERROR"),
}  # fmt: skip
"""What is raised, what catches it, and what more of it is looked at."""


def test_what_is_caught_is_what_was_raised(tmp_path: Path) -> None:
    drivers = {}
    for name, (raises, catches, more) in RAISES.items():
        for way, call in (("plain", "fail(7)"), ("hidden", "hide('fail')(7)")):
            text = CAUGHT.format(raises=raises, catches=catches, more=more, call=call)
            if "ERROR" in raises:
                text = text.replace("PAYLOAD = [1]", "PAYLOAD = [1]\nERROR = ValueError(PAYLOAD)")
            drivers[f"{name}, {way}"] = {"driver.py": text}
    assert differences(run_batch(tmp_path, drivers, jobs=(2, 4))) == {}


# -- processes that die ---------------------------------------------------------------------------------

DYING = """
import ctypes, faulthandler, os, resource, signal, sys, time
def hide(name): return globals()[name]
def nap(seconds=0.3): time.sleep(seconds); return seconds
def save(name): open(name, 'w').write(name); return name
def die(x):
    time.sleep(0.05)
    {die}
def other(x): return [x]
p = nap()
a = save('a.txt')
print('before', flush=True)
b = {call}
c = other(2)
d = save('never.txt')
print('never')
"""

DEATHS: dict[str, str] = {
    "os._exit": "os._exit(7)",
    "os._exit with 0": "os._exit(0)",
    "segmentation fault": "ctypes.string_at(0)",
    "abort": "os.abort()",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "no more memory": "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)); big = []\n    while True: big.append(bytearray(1 << 27))",
    "no more processor time": "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))\n    while True: pass",
    "no more room for files": "signal.signal(signal.SIGXFSZ, signal.SIG_DFL); resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10)); f = open('big', 'w'); f.write('x' * 99); f.close()",
}  # fmt: skip


@pytest.mark.parametrize("call", ["die(1)", "hide('die')(1)"])
@pytest.mark.parametrize("name", DEATHS)
def test_a_process_that_dies(name: str, call: str, tmp_path: Path) -> None:
    driver = DYING.format(die=DEATHS[name], call=call)
    native, inferred, folder = both(tmp_path, {"driver.py": driver}, options=("-j", "3"))
    assert (inferred.exit_code, inferred.stdout) == (native.exit_code, native.stdout)
    assert inferred.files == native.files
    run = recorded(folder)
    assert run["status"] == ("ok" if native.exit_code == 0 else "crashed" if native.exit_code > 128 else "failed")
    last = [task["attempts"][-1] for task in run["tasks"] if task["task"] == ("die" if call == "die(1)" else "hide.2")]
    assert [(attempt["where"], attempt["status"]) for attempt in last] == [
        ("home", "failed" if native.exit_code else "dropped")
    ]


ONLY_AWAY = """
import ctypes, os, resource, signal, time
from here import PID
def hide(name): return globals()[name]
def nap(seconds=0.2): time.sleep(seconds); return seconds
def work(x):
    if os.getpid() != PID[0]:
        {die}
    return [x]
p = nap()
a = work(1)
b = hide('work')(2)
c = [work(x) for x in range(4)]
if a:
    d = work(5)
    e = work(6)
print(a, b, c, d, e)
"""


@pytest.mark.parametrize("name", DEATHS)
def test_a_helper_that_dies_changes_nothing(name: str, tmp_path: Path) -> None:
    files = {
        "driver.py": ONLY_AWAY.format(die=DEATHS[name].replace("\n", "\n    ")),
        "here.py": "import os\nPID = [os.getpid()]\n",
    }
    native, inferred, folder = both(tmp_path, files, options=("-j", "3"), _INFERFLOW_TURNS="always")
    assert native.exit_code == 0
    assert inferred == native
    assert recorded(folder)["status"] == "ok"
