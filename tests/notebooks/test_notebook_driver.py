"""Notebooks as drivers: the outputs of every cell are those of a fresh kernel (nbclient's)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from native import CODE, assert_same, book, both, environment, write_files

from inferflow.runners.notebook import missing_libraries

if missing_libraries():
    assert not os.environ.get("CI"), "the tests need the extra 'notebook'"
    pytest.skip("the extra 'notebook' is not installed", allow_module_level=True)


def inferflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferflow", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=400)


def tasks_of(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads(inferflow(folder, "show", "latest", "--json").stdout)["tasks"])


MUCH = book(
    ("# Much", "markdown"),
    "%matplotlib inline\nimport os, time\nimport matplotlib.pyplot as plt\n\n\ndef slow(n):\n    time.sleep(0.3)\n    return [n]",
    "a = slow(1)\nb = slow(2)",
    "\n\nc = len(slow(a[0]) + slow(4))\nprint(a, b, c)\na",
    "!echo hello {a[0]} $c\nx = !printf 'one\\ntwo'\nx",
    "plt.plot([1, 2, 3]);",
    "%%time\nd = a + b\nprint(d)",
    "%%bash\necho from bash\necho wrong >&2",
    "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\nawait __import__('asyncio').sleep(0.01)\nd",
    "os.system('echo past the streams')\nprint('after'); print('err', file=__import__('sys').stderr)\nOut[3], In[2][:7], _",
    "h = display('first', display_id=True)\nh.update('second')",
    "if a:\n    for i in range(3):\n        print(i)\n    !echo inside",
    "%env MINE=1\nos.environ['MINE']",
    "%cd -q sub\nopen('written.txt', 'w').write('x')\nos.path.basename(os.getcwd())",
    "%timeit -n1 -r1 -q pass\n%time 1 + 1",
    "def f():\n    '''doc'''\n    return 1\nf?",
    "%%capture out\nprint('hidden')",
    "out.stdout, _i1[:11], __name__, '__file__' in globals()",
    ("1/0", "raises-exception"),
    ("print('left out')", "skip-execution"),
    "",
    "class K:\n    def _repr_html_(self):\n        return '<i>k</i>'\n    def __repr__(self):\n        return 'K'\nK()",
)


def test_everything_that_a_notebook_does(tmp_path: Path) -> None:
    files = {"sub/there.txt": "x"}
    observed, folder = assert_same(tmp_path, MUCH, "-j", "3", order=False, **files)
    assert observed.exit_code == 0
    assert observed.stdout.splitlines()[:3] == ["[1] [2] 2", "hello 1 2", "[1, 2]"]
    assert "wrong" in observed.stderr
    tasks = tasks_of(folder)
    assert [task["task"] for task in tasks][:3] == ["slow", "slow.2", "slow.3"]
    assert tasks[0]["path"] == "a.ipynb[3]"
    assert {"shell"} == {task["kind"] for task in tasks if task["task"] in ("echo", "printf", "bash")}
    wrote = [use["path"] for task in tasks for a in task["attempts"] for use in a["files"] if use["mode"] == "write"]
    assert "sub/written.txt" in wrote
    assert "a.executed.ipynb" in wrote
    done = inferflow(folder, "get", "latest", "a.executed.ipynb", "-o", "copy.ipynb")
    assert done.returncode == 0, done.stderr
    assert len(json.loads((folder / "copy.ipynb").read_text())["cells"]) == 22


def test_independent_cells_run_ahead(tmp_path: Path) -> None:
    cells = [
        "import time\ndef slow(n):\n    time.sleep(0.5)\n    print('in', n)\n    return n",
        "a = slow(1)",
        "b: int = slow(2)\nb",
        "a + b",
        "__annotations__",
    ]
    _, folder = assert_same(tmp_path, book(*cells), "-j", "2")
    assert [a["where"] for task in tasks_of(folder)[:2] for a in task["attempts"]] == ["home", "ahead"]


def test_a_comprehension_runs_ahead_as_a_whole(tmp_path: Path) -> None:
    cells = [
        "import time\ndef slow(n):\n    time.sleep(0.4)\n    return n",
        "a = slow(1)",
        "b = [slow(n) for n in (2, 3)]",
        "out = []\nfor n in (4, 5):\n    out.append(slow(n))",
        "print(a, b, out)",
    ]
    _, folder = assert_same(tmp_path, book(*cells), "-j", "2")
    where = {task["task"]: [a["where"] for a in task["attempts"]] for task in tasks_of(folder)}
    assert where["slow.2"] == ["ahead"]


def test_loops_that_carry_a_state_run_beside_each_other(tmp_path: Path) -> None:
    """Cells' loops, whole; what they bind on some paths only is bound or not, what they print is the cell's output."""
    cells = [
        "import time\ndef step(w, k):\n    time.sleep(0.2)\n    return [v * 0.5 + k for v in w]",
        "w, v, best = [1.0], [2.0, 3.0], 'none'",
        "for e in range(4):\n    w = step(w, e)\n    print('w', w)\nw",
        "for f in range(3):\n    v = step(v, f)\n    if v[0] > 99:\n        never, best = v, f\n    print('v', v)",
        "try:\n    never\nexcept NameError:\n    print('not bound', best, f)",
        "v",
    ]
    _, folder = assert_same(tmp_path, book(*cells), "-j", "3")
    where = {task["task"]: [a["where"] for a in task["attempts"]] for task in tasks_of(folder)}
    assert where["for.2"] == ["ahead"]


UNKNOWN = """
import asyncio, time
from IPython import get_ipython
from IPython.display import display

STATE = {}


class Model:
    def __init__(self, n):
        self.n = n

    def fit(self, values):
        time.sleep(1.0)
        return [self.n * value for value in values]


def work(x):
    time.sleep(1.0)
    return x * 2


def kind():
    time.sleep(0.3)
    return type(get_ipython()).__name__


def count():
    time.sleep(0.3)
    return get_ipython().execution_count


def loop():
    time.sleep(0.3)
    try:
        return type(asyncio.get_running_loop()).__name__
    except RuntimeError as error:
        return str(error)


async def soon():
    STATE["soon"] = True


def later():
    time.sleep(0.3)
    asyncio.ensure_future(soon())
    return "later"


def shown(x):
    time.sleep(0.3)
    display(x)
    return x


def option():
    time.sleep(0.3)
    get_ipython().config.Mine.value = 3
    return 1


def formatter():
    time.sleep(0.3)
    show = lambda value, printer, cycle: printer.text("COMPLEX")
    get_ipython().display_formatter.formatters["text/plain"].for_type(complex, show)
    return 5

"""
"""A library of which nothing is known: some of it looks at the kernel that it runs in, or changes it."""


def test_unknown_code_runs_ahead_but_where_it_asks_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [
        "import strange",
        "a = strange.work(1)\nb = strange.work(2)",
        "print(a + b)",
        "model = strange.Model(3)\nf = model.fit([1, 2])\ng = strange.Model(4).fit([3])\nf, g",
        "k = strange.kind()",
        "c = strange.count()",
        "l = strange.loop()",
        "k, c, l",
        "s = strange.shown([1])",
        "o = strange.option()\nget_ipython().config.Mine",
        "w = strange.formatter()",
        "1j, w",
        "d = strange.later()",
        "import asyncio\nawait asyncio.sleep(0.05)\nstrange.STATE, d",
    ]
    library = tmp_path / "library"
    write_files(library, {"strange/__init__.py": UNKNOWN})
    monkeypatch.setenv("PYTHONPATH", str(library))
    _, folder = assert_same(tmp_path, book(*cells), "-j", "3")
    ran = {task["task"]: task["attempts"][-1]["where"] for task in tasks_of(folder)}
    assert ran["count"] == ran["loop"] == ran["shown"] == ran["option"] == ran["formatter"] == "home"
    assert [name for name, where in ran.items() if where == "ahead"]


@pytest.mark.parametrize(
    "cell",
    [
        "x = 1\n\nraise ValueError('no')\ny = 2",
        "def f(x):\n    return 1 / x\n\nprint('before')\nf(0)",
        "this is not Python",
        "%nosuchmagic 1",
        "%%nosuchmagic\nx",
        "!exit 3\nraise SystemExit(3)",
        "import sys\nsys.exit(0)",
        "input('? ')",
        "class B:\n    def __repr__(self):\n        raise TypeError('unshowable')\nB()",
        "raise KeyError('k') from ValueError('v')",
        "%%bash\nexit 3",
        "return 5",
        "await nothing()",
        "import nosuchmodule",
        "import asyncio\nasyncio.run(asyncio.sleep(0))",
    ],
)  # fmt: skip
def test_failures(cell: str, tmp_path: Path) -> None:
    observed, folder = assert_same(tmp_path, book("a = 1\nprint(a)", cell, "print('never')"))
    assert observed.exit_code == 1
    assert observed.stdout.startswith("1\n")
    assert "never" not in observed.stdout
    assert "a.ipynb, cell 2:" in observed.stderr
    shown = inferflow(folder, "show", "latest").stdout
    assert "a.ipynb[2]:" in shown


@pytest.mark.parametrize(
    "cells",
    [
        ["x = [1]\ny = x", "x.append(2)", "print(y)\nx is y"],
        ["total = 0", "for i in range(3):\n    total += i\ntotal", "total"],
        [">>> x = 1\n>>> x"],
        ["  x = 1\n  x"],
        ["s = '''\n%not magic\n!nor this\n'''\nprint(s)\n# x = !no\nn = (3\n % 2)\nn"],
        ["x = 1", "%%time\nx = 2", "print(x)", "exec('x = 3')", "x"],
        ["%run s.py", "made", "%run -i s.py\nmade"],
        ["name = 'a b'\n!echo \"{name}\" $name $HOME_OF_NOBODY {1+1}\nfiles = !ls *.py\nfiles.s"],
        ["import random, numpy as np\nrandom.seed(1); np.random.seed(1)", "random.random()", "np.random.rand()", "_ + __"],
        ["from __future__ import annotations\ndef f(x: nosuch): pass\nf.__annotations__"],
        ["import warnings\nwarnings.warn('careful')", "'%s' % 1", "%pwd\n", "?len", "%lsmagic\n1"],
        ["import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x", "r = await asyncio.gather(f(1), f(2))\nr", "[y async for y in g()] if 0 else 3"],
        ["import helper\nhelper.double(2)", "import sys\nsys.path.count(''), __builtins__ is not None"],
        ["a, *b = 1, 2, 3\n(a,\n b)", "a;", "b", "None", "if True:\n    5", "x: int = 3", "del x", "'x' in globals()"],
        ["import os, sys\nos.write(1, b'raw\\n')\nprint('then')\nsys.stderr.write('e\\n')", "import subprocess\nsubprocess.run(['echo', 'child'])"],
        ["from IPython.display import clear_output\nprint(1)\nclear_output()\nprint(2)", "for i in range(3):\n    clear_output(wait=True)\n    print(i)"],
    ],
    ids=lambda cells: cells[0].splitlines()[0][:40] + str(len(cells)),
)  # fmt: skip
def test_small_notebooks(cells: list[str], tmp_path: Path) -> None:
    files = {"s.py": "made = 5\nprint('ran')\n", "helper.py": "def double(x):\n    return 2 * x\n"}
    order = "os.write" not in cells[0]
    observed, _ = assert_same(tmp_path, book(*cells), "-j", "2", order=order, **files)
    assert observed.exit_code == 0, observed.stderr


def test_the_state_of_widgets_is_kept(tmp_path: Path) -> None:
    """As nbclient writes it into a notebook, but for the names of models, which are drawn at random."""
    cells = [
        "import ipywidgets as w\nfrom IPython.display import display",
        "s = w.IntSlider(value=3, max=9, description='n')\ntwice = w.Label('6')\n"
        "s.observe(lambda change: setattr(twice, 'value', str(2 * change['new'])), 'value')\ns",
        "s.value = 4\nbox = w.VBox([s, twice])\ndisplay(box)",
        "picture = w.Image(value=b'\\x89PNG', format='png')\npicture",
        "p = w.IntProgress(max=3)\ndisplay(p)\nfor i in range(4):\n    p.value = i\np.close()\ntwice.value, s.value",
    ]
    found, widgets = [], []
    write_files(tmp_path, {"a.ipynb": book(*cells), "inferflow.toml": ""})
    for command in (
        ["-c", CODE, "a.ipynb", "out.ipynb"],
        ["-m", "inferflow", "-q", "run", "a.ipynb", "-o", "out.ipynb"],
    ):
        env = environment()
        env.pop("PYTEST_CURRENT_TEST", None)
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        text = (tmp_path / "out.ipynb").read_text()
        names = dict.fromkeys(re.findall(r"[0-9a-f]{32}", json.dumps(json.loads(text)["cells"])))
        state = json.loads(text)["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]
        assert (state["version_major"], state["version_minor"]) == (2, 0)
        for number, name in enumerate(names):
            text = text.replace(name, f"model {number}")
        found.append(json.loads(re.sub("[0-9a-f]{32}", "another model", text)))
        states = json.loads(re.sub("[0-9a-f]{32}", "a model", json.dumps(list(state["state"].values()))))
        widgets.append(sorted(json.dumps(one, sort_keys=True) for one in states))
    native, inferred = found
    assert {json.loads(one)["model_name"] for one in widgets[1]} >= {"IntSliderModel", "VBoxModel", "ImageModel"}
    assert any("buffers" in one for one in widgets[1])
    assert widgets[1] == widgets[0]
    assert [cell["outputs"] for cell in inferred["cells"]] == [cell["outputs"] for cell in native["cells"]]


def test_a_display_that_gives_bytes_and_tuples(tmp_path: Path) -> None:
    """A kernel sends pictures in base64; what is no JSON is what comes out of it at the other end."""
    cells = [
        "class P:\n    def _repr_png_(self):\n        return b'\\x89PNG\\r\\n\\x1a\\nabc'\nP()",
        "display(P())",
        "display({'application/json': {'a': (1, 2), 'nan': 1.5, 'b': b'x'}, 'text/plain': 't'}, raw=True)",
    ]
    observed, _ = assert_same(tmp_path, book(*cells))
    assert observed.exit_code == 0, observed.stderr


def test_a_plot_in_a_cell_that_awaits(tmp_path: Path) -> None:
    cells = [
        "%matplotlib inline\nimport asyncio\nimport matplotlib.pyplot as plt\n"
        "get_ipython().events.register('post_run_cell', lambda result: print('ran', result.success))",
        "plt.plot([1, 2])\nawait asyncio.sleep(0)",
        "1",
    ]
    observed, _ = assert_same(tmp_path, book(*cells))
    assert [output["output_type"] for output in observed.cells[1][1]] == ["display_data", "stream"]


def test_what_a_kernel_has_loaded(tmp_path: Path) -> None:
    """Its loggers and its comms; the modules that code may look for; which warnings are shown."""
    cells = [
        "import logging\nsorted(logging.root.manager.loggerDict)",
        "import comm\nc = comm.create_comm(target_name='t')\ntype(c), comm.create_comm, type(comm.get_comm_manager()), type(get_ipython().kernel), 'IPKernelApp' in get_ipython().config, type(c.kernel)",
        "import sys\n[name for name in ('ipykernel.kernelapp', 'tornado', 'zmq', 'ipykernel.ipkernel') if name in sys.modules]",
        "import warnings\nlist(map(str, warnings.filters)), warnings.showwarning.__module__",
        "warnings.warn('old', DeprecationWarning)\nwarnings.warn('older', PendingDeprecationWarning)\n1",
    ]
    observed, _ = assert_same(tmp_path, book(*cells))
    assert observed.exit_code == 0, observed.stderr


@pytest.mark.parametrize("number", [15, 9])
def test_a_cell_that_ends_the_process(number: int, tmp_path: Path) -> None:
    """The executed notebook has the cells before it; the exit status is the process's."""
    cells = [
        "print('first')\n1",
        ("# text", "markdown"),
        f"import os\nos.kill(os.getpid(), {number})",
        "print('never')",
    ]
    write_files(tmp_path, {"a.ipynb": book(*cells), "inferflow.toml": ""})
    done = inferflow(tmp_path, "run", "a.ipynb", "-o", "out.ipynb")
    assert done.returncode == 128 + number, done.stderr
    found = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert found[0]["outputs"][0]["text"] == ["first\n"]
    assert [cell.get("execution_count") for cell in found] == [1, None, 2, None]
    for _ in range(5):  # natively the kernel may be gone before nbclient has heard of the count
        verified = inferflow(tmp_path, "verify", "a.ipynb")
        if verified.returncode == 0:
            break
    assert verified.returncode == 0, verified.stdout + verified.stderr


MAGICS = [
    "import sys, os\nX = 1\ndef f():\n    return 'mine'\nf()",
    "%run s.py a b\nmade, sys.argv[0][-3:]",
    "X = 5\nf()",
    "bump()\nX = 7\nf(), [k for k in globals() if k.startswith('_priv')]",
    "%run -i s2.py\nseen, X",
    "%run -n s.py\nguarded",
    "%run other.ipynb\ninner(2)",
    "%env A=1\n%env B {1+1}\n%set_env C=$A\nx = %env A",
    "x, os.environ['B'], os.environ['C']",
    "y = []\nt = %timeit -n2 -r2 -o -q y.append(1)\nlen(y), t.loops",
    "%%timeit -n3 -r1 -q z = []\nz.append(1)\ny.append(2)",
    "len(y), 'z' in globals()",
    "%%capture c\nprint('a')\nprint('b', file=sys.stderr)\n7",
    "c.stdout, c.stderr, c.outputs",
    "%%writefile w.py\ndef g():\n    return 42",
    "import w\nw.g()",
    "%%writefile -a w.py\nV = 2",
    "%cat w.py\n%cd sub\nopen('new.txt', 'w').write('x')\n%cd ..\n%pushd sub\n%popd\n%dirs",
    "%load_ext myext\n%mine 5",
    "v = %mine 6\nv",
    "%%minecell\nq = 4",
    "q",
    "%unload_ext myext",
    "%%html\n<b>x</b>",
    "%system echo a",
    "y = !!echo c\ny",
    "%%sh --out o --err e\necho x; echo y >&2",
    "o, e",
    "%who_ls\n",
    "%alias hi echo hi %s\n%hi there",
    "for i in range(2):\n    %time r = i\n    !echo {i}\nr",
    "get_ipython().user_ns_hidden.keys() >= {'In', '__doc__'}, type(sys.stdout)",
    "%reset_selective -f ^y$\n'y' in globals()",
]
BESIDE = {
    "s.py": "import sys\nmade = len(sys.argv)\nX = 's'\n_priv = 3\nprint('ran', __name__)\ndef f():\n    return X\n"
    "def bump():\n    global X\n    X = X + '!'\nguarded = __name__ == '__main__'\n",
    "s2.py": "seen = X\nX = 100\n",
    "other.ipynb": book("fromother = 9", "def inner(x):\n    return x + fromother"),
    "sub/there.txt": "",
    "myext.py": "def load_ipython_extension(ip):\n"
    "    ip.register_magic_function(lambda line: int(line) + 1, 'line', 'mine')\n"
    "    ip.register_magic_function(lambda line, cell: ip.ex(cell), 'cell', 'minecell')\n"
    "def unload_ipython_extension(ip):\n    print('bye')\n",
}


def test_magics(tmp_path: Path) -> None:
    observed, _ = assert_same(tmp_path, book(*MAGICS), "-j", "2", **BESIDE)
    assert observed.exit_code == 0, observed.stderr


def test_a_loop_is_running_and_goes_on_between_cells(tmp_path: Path) -> None:
    """Tasks that a cell makes live on; what they print later belongs to that cell, and stands in no other."""
    cells = [
        "import asyncio, contextvars\nasync def f(x):\n    await asyncio.sleep(0.05)\n    print('f', x)\n    return x",
        "t = asyncio.create_task(f(1))\nasyncio.get_running_loop().is_running()",
        "print('between')",
        "await t",
        "q = asyncio.Queue()\nasync def work():\n    while True:\n        print('got', await q.get())\n        q.task_done()",
        "worker = asyncio.create_task(work())\nv = contextvars.ContextVar('v', default=0)\nv.set(5)",
        "for i in range(3):\n    q.put_nowait(i)\nawait q.join()\nv.get()",
        "worker.cancel()",
        "async def g():\n    print('mine')\n    return v.get()\nawait asyncio.gather(g(), g()), await asyncio.gather(worker, return_exceptions=True)",
    ]
    observed, _ = assert_same(tmp_path, book(*cells), "-j", "2")
    assert observed.exit_code == 0, observed.stderr


def test_a_preview_speaks_of_cells(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.ipynb": MUCH, "inferflow.toml": ""})
    tree = inferflow(tmp_path, "preview", "a.ipynb").stdout
    assert "a.ipynb[3]:1" in tree
    assert "!echo hello {a[0]} $c" in tree
    assert "_ipython" not in tree.split("at home")[0]
    for form in ("table", "diff", "mermaid", "dot", "svg", "html", "json"):
        done = inferflow(tmp_path, "preview", "a.ipynb", "--format", form)
        assert done.returncode == 0, done.stderr
        assert "slow" in done.stdout
    assert "a.ipynb[3]:2" in inferflow(tmp_path, "preview", "a.ipynb", "--why", "slow.2").stdout
    assert not [note for note in json.loads(done.stdout)["diagnostics"] if note["code"] == "IF390"]


def test_what_is_no_notebook_of_python_is_refused(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "text.ipynb": "no",
            "r.ipynb": book("x <- 1", kernelspec={"name": "ir", "language": "R", "display_name": "R"}),
            "a.ipynb": book("x = 1"),
            "s.py": "x = 1\n",
            "inferflow.toml": "",
        },
    )
    for arguments, status, words in (
        (["run", "text.ipynb"], 3, "not JSON"),
        (["preview", "r.ipynb"], 3, "in R, not in Python"),
        (["run", "a.ipynb:main"], 3, "IF004"),
        (["run", "a.ipynb", "--", "x"], 2, "takes no arguments"),
        (["run", "a.ipynb", "-b", "inline"], 2, "process of its own"),
        (["run", "s.py", "-o", "x.ipynb"], 2, "executed notebook"),
        (["run", "a.ipynb", "-o", "no/x.ipynb"], 2, "no folder"),
    ):
        done = inferflow(tmp_path, *arguments)
        assert (done.returncode, words in done.stderr) == (status, True), (arguments, done.stderr)


def test_without_ipython_it_says_what_to_install(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.ipynb": book("x = 1"), "inferflow.toml": ""})
    code = (
        "import sys, importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'ipykernel' else find(name, *rest)\n"
        "from inferflow.cli.app import execute\nsys.exit(execute(['run', 'a.ipynb']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert done.returncode == 4, done.stderr
    assert "pip install 'inferflow[notebook]'" in done.stderr


def test_native_and_inferred_agree_on_jobs(tmp_path: Path) -> None:
    native, inferred, _ = both(tmp_path, {"a.ipynb": book("x = 1\nx")}, "-j", "1")
    assert inferred.cells == native.cells == [(1, native.cells[0][1])]
