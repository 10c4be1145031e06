"""``inferflow verify``: what is told as the same, what as different, and that the originals are left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compare import write_files

from inferflow.session.verify import _explained
from inferflow.session.verify_compare import Difference, steady_ones
from inferflow.session.verify_stage import make_stage


def verify(folder: Path, *arguments: str, **env: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "inferflow", "verify", *arguments, "--json"]
    if "--" in arguments:
        command = [*command[:-1][: command.index("--")], "--json", *command[command.index("--") : -1]]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("INFERFLOW_")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**environ, **env}, timeout=400)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def project(tmp_path: Path, files: dict[str, str | bytes] | str) -> Path:
    folder = tmp_path / "project"
    write_files(folder, {"driver.py": files} if isinstance(files, str) else files)
    return folder


LINEAR = """
import sys
from steps import double
def work(n):
    return list(range(n))
a = work(3)
b = work(4)
c = {"a": a, "b": double(b), "again": a}
print(sys.argv[1:], c, file=sys.stderr)
open("out.txt", "w").write(str(c))
"""


def test_a_driver_is_the_same_and_the_originals_are_untouched(tmp_path: Path) -> None:
    folder = project(tmp_path, {"driver.py": LINEAR, "steps.py": "def double(x):\n    return [2 * i for i in x]\n"})
    status, verdict = verify(folder, "driver.py", "--times", "2", "--", "--an-option")
    assert status == 0
    assert verdict["same"]
    assert [trial["shake"] for trial in verdict["trials"]] == ["", "1"]
    assert verdict["counts"]["values"] > 5
    assert verdict["counts"]["bytes of stderr"] > 20
    assert sorted(path.name for path in folder.iterdir()) == ["driver.py", "steps.py"]


TELLING = """
import os, sys
def inferred():
    return any("inferflow" in name for name in sys.modules)
{}
"""
"""A driver that looks whether it is watched: the one way to differ that always works."""


@pytest.mark.parametrize(
    ("body", "row", "place", "native", "inferred"),
    [
        ("print('x')\nprint(inferred())", "stdout", "line 2", "False", "True"),
        ("print(inferred(), file=sys.stderr)", "stderr", "line 1", "False", "True"),
        ("sys.exit(3 if inferred() else 4)", "exit status", "", "4", "3"),
        ("v = {'k': [1, 2, inferred()]}", "values", "v['k']", "list of 3: 1, 2, False", "list of 3: 1, 2, True"),
        ("a = [1]; b = [a, a if inferred() else [1]]", "values", "b[1]", "list of 1: 1", "the same object as a"),
        ("def f():\n    f.x = inferred()\nf()", "values", "f.x", "False", "True"),
        ("open('o', 'w').write(f'a\\n{inferred()}')", "files", "o, line 2", "False", "True"),
        ("if inferred(): os.mkdir('d')", "files", "d", "nothing there", "folder, mode 755"),
    ],
)
def test_a_difference_is_found(tmp_path: Path, body: str, row: str, place: str, native: str, inferred: str) -> None:
    status, verdict = verify(project(tmp_path, TELLING.format(body)), "driver.py")
    assert status == 1
    first = verdict["first"]["difference"]
    assert (first["row"], first["place"], first["native"], first["inferred"]) == (row, place, native, inferred)


def test_what_differs_natively_does_not_count_but_the_rest_does(tmp_path: Path) -> None:
    folder = project(tmp_path, "import time\nprint('took', time.time())\nt = time.time()\nprint('end')\n")
    status, verdict = verify(folder, "driver.py")
    assert status == 0
    assert {(one["row"], one["place"]) for one in verdict["excused"]} == {("stdout", "line 1"), ("values", "t")}


def test_text_around_unsteady_numbers_must_agree() -> None:
    twins = [Difference("stdout", "line 1", "took 1.5 s", "took 1.6 s")]
    fine = Difference("stdout", "line 1", "took 1.5 s", "took 9 s")
    wrong = Difference("stdout", "line 1", "took 1.5 s", "failed")
    assert steady_ones([fine], twins) == ([], [fine])
    assert steady_ones([wrong], twins) == ([wrong], [])
    twins = [Difference("stdout", "line 5", "Done in time: 0.000 s", "Done in time: 0.001 s"), *twins]
    alike = Difference("stdout", "line 7", "Done in time: 0.000 s", "Done in time: 0.114 s")
    other = Difference("stdout", "line 8", "Done, with score 0.5 s", "Done, with score 0.6 s")
    assert steady_ones([alike, other], twins) == ([other], [alike])
    assert steady_ones([alike, other], []) == ([alike, other], [])
    scores = [Difference("stdout", f"line {k}", f"model {k} scores 0.5", f"model {k} scores 0.6") for k in (1, 2)]
    assert steady_ones(scores[:1], scores[1:]) == (scores[:1], [])
    bare = Difference("stdout", "line 2", "0.5", "0.6")
    assert steady_ones([bare], [Difference("stdout", "line 1", "1.5", "1.6")]) == ([bare], [])
    block = Difference("values", "x[512:1024]", "1", "2")
    assert steady_ones([block], [Difference("values", "x[0:512]", "3", "4")]) == ([], [block])
    assert steady_ones([block], [Difference("values", "xy[0:512]", "3", "4")]) == ([block], [])
    head = Difference("stdout", "line 0", "gen  max", "gen    max")
    assert steady_ones([head], twins) == ([], [head])
    assert steady_ones([head], []) == ([head], [])


@pytest.mark.parametrize(
    ("shown", "runs", "explained"),
    [
        (["b", "c", "d", "e", "a"], 5, True),  # each shows something else, and the fifth what is asked for
        (["b", "c", "b", "a"], 3, False),  # the third shows nothing new
        (["b", "", "a"], 2, False),  # native runs do not always differ, and then no others are asked
        (list("bcdefghijka"), 9, False),
    ],
)
def test_native_runs_are_asked_as_long_as_they_show_something_new(shown: list[str], runs: int, explained: bool) -> None:
    """The order of a set of objects is that of their addresses: it may be the same in most native runs."""
    wrong = Difference("values", "a", "1", "2")
    more = iter([[Difference("values", name, "1", "2")] if name else [] for name in shown])
    twins: list[list[Difference]] = []
    counting, excused = _explained([wrong], twins, lambda: next(more))
    assert (counting, excused) == (([], [wrong]) if explained else ([wrong], []))
    assert len(twins) == runs


def test_a_function_with_parameters(tmp_path: Path) -> None:
    text = (
        "def main(C: float = 1.0, n=3):\n    print(C)\n    if n > 4:\n        raise ValueError(n)\n    return [C] * n\n"
    )
    folder = project(tmp_path, text)
    status, verdict = verify(folder, "driver.py:main", "-p", "C=2", "-p", "n=2")
    assert status == 0
    assert verdict["exit_status"] == 0
    status, verdict = verify(folder, "driver.py:main", "-p", "n=5")
    assert status == 0
    assert verdict["exit_status"] == 1


def test_absolute_paths_links_and_folders_that_are_not_copied(tmp_path: Path) -> None:
    folder = project(tmp_path, {"data/in.txt": "7", "big/x.txt": "1", "sub/driver.py": "", "pyproject.toml": ""})
    (folder / "link").symlink_to("data")
    text = (
        f"import os\nroot = {str(folder)!r}\nprint(open(root + '/link/in.txt').read(), open('big/x.txt').read())\n"
        "open(root + '/data/out.txt', 'w').write('x')\nprint(__file__, os.getcwd())\n"
    )
    (folder / "sub" / "driver.py").write_text(text)
    status, verdict = verify(folder, "sub/driver.py", "--leave-out", "big")
    assert status == 0, verdict
    assert any("big" in remark for remark in verdict["remarks"])
    stage = make_stage(tmp_path, [folder], ())
    assert (folder / "data" / "out.txt").exists() is not stage.bound


def test_a_driver_outside_of_the_working_folder(tmp_path: Path) -> None:
    folder = project(tmp_path, "import os\nprint(sorted(os.listdir()))\nopen('made', 'w').close()\n")
    elsewhere = tmp_path / "elsewhere"
    write_files(elsewhere, {"data.txt": "1"})
    status, verdict = verify(elsewhere, str(folder / "driver.py"))
    assert status == 0, verdict
    assert sorted(path.name for path in elsewhere.iterdir()) == ["data.txt"]


def test_a_killed_driver_and_one_without_exit_functions(tmp_path: Path) -> None:
    status, verdict = verify(project(tmp_path, "import os\nos._exit(7)\n"), "driver.py")
    assert status == 0
    assert verdict["exit_status"] == 7
    assert "final values could not be compared" in verdict["remarks"][0]


def test_files_that_say_the_same_with_other_bytes(tmp_path: Path) -> None:
    text = (
        "import gzip, os, sqlite3, time, zipfile, pickle\n"
        "with zipfile.ZipFile('a.zip', 'w') as z:\n    z.writestr(zipfile.ZipInfo('x', (2020, 1, 1, 0, 0, os.getpid() % 60)), 'text')\n"
        "with gzip.GzipFile('b.gz', 'w', mtime=os.getpid()) as f:\n    f.write(b'text')\n"
        "k = str(os.getpid())[:0] + 'ab c'\npickle.dump([k, k] if os.getpid() % 2 else [k, k + ''], open('c.pkl', 'wb'))\n"
    )
    status, verdict = verify(project(tmp_path, text), "driver.py")
    assert status == 0, verdict
    assert any("a.zip" in remark and "members" in remark for remark in verdict["remarks"])


@pytest.mark.parametrize("backend", ["inline", "process"])
def test_backends(tmp_path: Path, backend: str) -> None:
    status, _ = verify(project(tmp_path, "x = [1]\nprint(x)\n"), "driver.py", "--backend", backend)
    assert status == 0


def test_wrong_use(tmp_path: Path) -> None:
    folder = project(tmp_path, "x = = 1\n")
    for arguments, expected in (
        (["driver.py"], 3),
        (["missing.py"], 3),
        (["driver.py", "--times", "0"], 3),
        (["driver.py", "--nonsense"], 2),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "inferflow", "verify", *arguments], cwd=folder, capture_output=True, timeout=400
        )
        assert done.returncode == expected, done.stderr
        assert b"Traceback" not in done.stderr


def test_a_side_that_takes_too_long(tmp_path: Path) -> None:
    folder = project(tmp_path, "import time\ntime.sleep(60)\n")
    done = subprocess.run(
        [sys.executable, "-m", "inferflow", "verify", "driver.py", "--timeout", "1s"],
        cwd=folder, capture_output=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 124, done.stderr
