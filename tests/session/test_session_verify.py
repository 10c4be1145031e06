"""``inferflow verify``: what is told as the same, what as different, and that the originals are left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from compare import write_files

from inferflow.session.verify import FURTHER, explained
from inferflow.session.verify_compare import WHOLE, Difference, compare
from inferflow.session.verify_look import Seen, State, TimedOut
from inferflow.session.verify_stage import make_stage
from inferflow.session.verify_steady import ALIKE, NativeRuns, add, parted
from inferflow.worker.portrait import UNFINISHED


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


def test_differences_are_found(tmp_path: Path) -> None:
    body = """
print("x")
print(inferred())
print(inferred(), file=sys.stderr)
v = {"k": [1, 2, inferred()]}
a = [1]; b = [a, a if inferred() else [1]]
def f():
    f.x = inferred()
f()
open("o", "w").write(f"a\\n{inferred()}\\nc\\n{inferred()}")
if inferred(): os.mkdir("d")
sys.exit(3 if inferred() else 4)
"""
    status, verdict = verify(project(tmp_path, TELLING.format(body)), "driver.py")
    assert status == 1
    told = [one["difference"] for one in verdict["trials"][0]["findings"]]
    assert [(one["row"], one["place"], one["native"], one["inferred"]) for one in told] == [
        ("exit status", "", "4", "3"),
        ("stdout", "line 2", "False", "True"),
        ("stderr", "line 1", "False", "True"),
        ("values", "v['k']", "list of 3: 1, 2, False", "list of 3: 1, 2, True"),
        ("values", "b[1]", "list of 1: 1", "the same object as a"),
        ("values", "f.x", "False", "True"),
        ("files", "d", "nothing there", "folder, mode 755"),
        ("files", "o, line 2", "False", "True"),
        ("files", "o, line 4", "False", "True"),
    ]
    assert verdict["first"] == verdict["trials"][0]["findings"][0]
    assert verdict["native_runs"] == FURTHER + 1, "native was asked whether it differs from itself"


RARELY = """
import sys
count = {count!r}
with open(count, "a+") as file:
    file.write(".")
    number = file.tell()
odd = number in (2, 6)
print("a", odd)
with open("out.txt", "w") as file:
    file.write(f"{{odd}}\\n{{len(sys.argv) > 1 and any('inferflow' in name for name in sys.modules)}}\\n")
pair = [0.5, float(number)]
del count, number, file
"""
"""Of all runs, native or inferred, the second and the sixth do something that others do not."""


def test_what_native_seldom_does_is_native_too_and_hides_nothing_beside_it(tmp_path: Path) -> None:
    folder = project(tmp_path, RARELY.format(count=str(tmp_path / "count")))
    status, verdict = verify(folder, "driver.py")
    assert status == 0, verdict
    assert verdict["native_runs"] == 5, "that is: the sixth run of all, which is the first native one to do it"
    excused = {(one["row"], one["place"]) for one in verdict["excused"]}
    assert {("stdout", "line 1"), ("values", "odd"), ("files", "out.txt, line 1"), ("values", "pair")} <= excused
    (tmp_path / "count").unlink()
    status, verdict = verify(folder, "driver.py", "--", "x")
    assert status == 1
    assert [one["difference"]["place"] for one in verdict["trials"][0]["findings"]] == ["out.txt, line 2"]
    assert ("files", "out.txt, line 1") in {(one["row"], one["place"]) for one in verdict["excused"]}


def test_what_differs_natively_does_not_count_but_the_rest_does(tmp_path: Path) -> None:
    folder = project(tmp_path, "import time\nprint('took', time.time())\nt = time.time()\nprint('end')\n")
    status, verdict = verify(folder, "driver.py")
    assert status == 0
    assert {(one["row"], one["place"]) for one in verdict["excused"]} == {("stdout", "line 1"), ("values", "t")}


def test_text_around_unsteady_numbers_must_agree() -> None:
    def told(found: list[Difference], twins: list[Difference]) -> tuple[list[Difference], list[Difference]]:
        return parted(found, add(NativeRuns(), twins))

    twins = [Difference("stdout", "line 1", "took 1.5 s", "took 1.6 s")]
    fine = Difference("stdout", "line 1", "took 1.5 s", "took 9 s")
    wrong = Difference("stdout", "line 1", "took 1.5 s", "failed")
    assert told([fine], twins) == ([], [fine])
    assert told([wrong], twins) == ([wrong], [])
    twins = [Difference("stdout", "line 5", "Done in time: 0.000 s", "Done in time: 0.001 s"), *twins]
    alike = Difference("stdout", "line 7", "Done in time: 0.000 s", "Done in time: 0.114 s")
    other = Difference("stdout", "line 8", "Done, with score 0.5 s", "Done, with score 0.6 s")
    assert told([alike, other], twins) == ([other], [alike])
    assert told([alike, other], []) == ([alike, other], [])
    scores = [Difference("stdout", f"line {k}", f"model {k} scores 0.5", f"model {k} scores 0.6") for k in (1, 2)]
    assert told(scores[:1], scores[1:]) == (scores[:1], [])
    bare = Difference("stdout", "line 2", "0.5", "0.6")
    assert told([bare], [Difference("stdout", "line 1", "1.5", "1.6")]) == ([bare], [])
    block = Difference("values", "x[512:1024]", "1", "2")
    assert told([block], [Difference("values", "x[0:512]", "3", "4")]) == ([], [block])
    assert told([block], [Difference("values", "xy[0:512]", "3", "4")]) == ([block], [])
    head = Difference("stdout", "line 0", "gen  max", "gen    max")
    assert told([head], twins) == ([], [head])
    assert told([head], []) == ([head], [])


@pytest.mark.parametrize(
    ("row", "native", "others", "inferred", "counts"),
    [
        ("values", "list of 2: 0.5, 1.25", ["list of 2: 0.5, 1.31"], "list of 2: 0.5, 1.4", False),
        ("values", "list of 2: 0.5, 1.25", ["list of 2: 0.5, 1.31"], "list of 2: 0.6, 1.4", True),
        ("values", "list of 2: 0.5, 1.25", ["list of 2: 0.5, 1.3", "list of 2: 0.4, 1.2"], "list of 2: 0.6, 1", False),
        ("values", "list of 4: 3, 1, 2, 4", ["list of 4: 1, 2, 4, 4"], "list of 4: 3, 2, 1, 3", False),  # just random
        ("values", "list of 2: 'a', 'b'", ["list of 2: 'a', 'c'"], "list of 2: 'b', 'a'", False),
        ("stdout", "score 0.5 took 1.2 s", ["score 0.5 took 1.3 s"], "score 0.5 took 1.4 s", False),
        ("stdout", "score 0.5 took 1.2 s", ["score 0.5 took 1.3 s"], "score 0.6 took 1.2 s", True),
        ("stdout", "0.0 s for one, 14 ms", ["0.0 s for one, 15 ms"], "0.1 s for one, 14 ms", False),
        ("files", "3,0.5", ["3,0.6"], "4,0.5", True),
        ("exit status", "0", ["1"], "2", False),
    ],
)
def test_numbers_beside_those_that_vary_must_agree(
    row: Any, native: str, others: list[str], inferred: str, counts: bool
) -> None:
    known = NativeRuns()
    for other in others:
        known = add(known, [Difference(row, "p", native, other)])
    counting, _ = parted([Difference(row, "p", native, inferred)], known)
    assert bool(counting) is counts


def test_a_text_that_has_other_lines_natively_is_compared_up_to_there() -> None:
    known = add(
        NativeRuns(),
        [
            Difference("stdout", "line 5", "x", "y"),
            Difference("stdout", WHOLE, "8 lines", "9 lines"),
            Difference("files", "a.txt, line 3", "x", "y"),
            Difference("files", f"a.txt, {WHOLE}", "3 places", "4 places"),
        ],
    )
    out = [
        Difference("stdout", "line 7", "x", "y"),
        Difference("stdout", WHOLE, "8 lines", "7 lines"),
        Difference("files", "a.txt, line 3", "x", "z"),
    ]
    wrong = [
        Difference("stdout", "line 4", "x", "y"),
        Difference("stderr", "line 7", "x", "y"),
        Difference("files", "a.txt, line 2", "x", "z"),
        Difference("files", "b.txt, line 3", "x", "y"),
    ]
    assert parted([*out, *wrong], known) == (wrong, out)


def test_a_side_that_had_no_time_to_tell_all_is_compared_as_far_as_it_came() -> None:
    def seen(parts: list[tuple[str, str]], blind: dict[str, int]) -> Seen:
        return Seen("native", 0, b"", b"", {}, State(tuple(parts), blind, {}), 1.0)

    whole = seen([("a", "1"), ("b", "2"), ("c", "3"), ("(the rest)", "7")], {})
    part = seen([("a", "1"), ("b", "2"), ("(the rest)", "5")], {UNFINISHED: 1})
    wrong = seen([("a", "1"), ("b", "4")], {UNFINISHED: 1})
    for one, other in ((whole, part), (part, whole)):
        assert compare(one, other) == ([], ["1 × too much to compare in a minute"])
    assert [one.place for one in compare(whole, wrong)[0]] == ["b"]


def test_native_runs_that_stand_alone_excuse_places_of_their_kind_only() -> None:
    """The order of a set of objects is that of their addresses, and what follows from it is spread over many places."""
    known = NativeRuns()
    for number in range(6):  # each run has something of its own, one of them in a list, and one side is a coin's
        own = [Difference("values", f"table.states[{number}].next", "1", "2")]
        once = [Difference("values", "seen[2].key", "1", "2")] if number == 3 else []
        coin = [Difference("values", "coins[0].side", "heads", "tails")] if number % 2 else []
        known = add(known, [*own, *once, *coin])
    like = [
        Difference("values", "table.states[9].next", "1", "2"),
        Difference("values", "table.states[9].next.name", "1", "nothing there"),
        Difference("values", "table.states[8].size", "1", "2"),
        Difference("values", "seen[1].key", "1", "2"),
    ]
    wrong = [
        Difference("values", "table.size", "1", "2"),
        Difference("values", "table.others[0].next", "1", "2"),
        Difference("values", "seen[1].value", "1", "2"),
        Difference("values", "coins[1].side", "heads", "tails"),  # a place of which no single run had another opinion
        Difference("stdout", "line 9", "1", "2"),
    ]
    counting, excused = parted([*like, *wrong], known)
    assert counting == wrong
    assert [(one.place, one.how) for one in excused] == [(one.place, ALIKE) for one in like]
    assert parted(like, known, last=False) == (like, []), "that is asked for when no other run is to come"


@pytest.mark.parametrize(
    ("shown", "runs", "counts"),
    [
        ("a", 1, False),
        ("    a", 5, False),  # that native agrees with itself four times explains nothing
        ("bbbb", FURTHER, True),
        ("", FURTHER, True),
    ],
)
def test_native_runs_until_it_differs_from_itself(shown: str, runs: int, counts: bool) -> None:
    wrong = Difference("values", "a", "1", "2")
    letters = iter(shown.ljust(99))
    notes: list[str] = []

    def again(known: NativeRuns) -> NativeRuns:
        letter = next(letters).strip()
        return add(known, [Difference("values", letter, "1", "2")] if letter else [])

    known, counting, excused = explained([wrong], NativeRuns(), again, 60.0, notes.append)
    assert (counting, excused) == (([wrong], []) if counts else ([], [wrong]))
    assert known.others == runs == len(notes)
    assert notes[0] == "native again (2 of at most 10): does it differ from itself in values, a?"
    assert explained([wrong], NativeRuns(), again, -1.0)[0].others == 1, "slow ones run once more at least"

    def too_long(known: NativeRuns) -> NativeRuns:
        raise TimedOut("native-2")

    once = add(NativeRuns(), [])
    assert explained([wrong], once, too_long, 60.0) == (once, [wrong], [])
    with pytest.raises(TimedOut):  # one native run alone does not say that there is a difference
        explained([wrong], NativeRuns(), too_long, 60.0)


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


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="processes are asked to end by signals")
@pytest.mark.parametrize("side", ["native", "inferred"])
def test_asked_to_end_nothing_stays_behind(side: str, tmp_path: Path) -> None:
    """Neither the driver, which would sleep for an hour, nor the copies of its folder."""
    copies, project, told = tmp_path / "tmp", tmp_path / "project", tmp_path / "told"
    copies.mkdir()
    project.mkdir()
    (project / "driver.py").write_text(
        "import os, time\n"
        f"with open({str(told)!r}, 'a') as file: print(os.getpid(), file=file)\n"
        f"if {side == 'native'} or len(open({str(told)!r}).readlines()) > 1: time.sleep(3600)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "inferflow", "verify", "driver.py"], cwd=project, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**os.environ, "TMPDIR": str(copies)},
    )  # fmt: skip
    wanted = 1 if side == "native" else 2
    deadline = time.monotonic() + 120
    while not told.exists() or len(told.read_text().split()) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 128 + signal.SIGTERM
    assert list(copies.glob("inferflow-verify-*")) == []
    for number in map(int, told.read_text().split()):
        while os.path.exists(f"/proc/{number}") and "Z" not in Path(f"/proc/{number}/stat").read_text().split()[2]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
