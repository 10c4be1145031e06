"""What a task on trust looked at while home acted on files: it counts if that was something else, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from test_trust import ahead, run

from inferflow.worker.looks import doubt

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="C code is only watched on Linux")

DRIVER = """\
import glob, os, pathlib, posix, shutil, subprocess, sys, time
{head}
def hide(name): return globals()[name]
def quiet(x): return x + 1
def other(x): return open("o.txt").read()
def reads(x): return open("a.txt").read()
def asks(x): return os.path.exists("b.txt"), pathlib.Path("b.txt").is_file(), os.access("b.txt", os.R_OK)
def sizes(x): return os.stat("a.txt").st_size
def system(x): return posix.stat("a.txt").st_size
def lists(x): return sorted(os.listdir("d")), glob.glob("d/*")
def entries(x): return sorted((e.name, e.stat().st_size) for e in os.scandir("d"))
def opened(x):
    fd = os.open("d", os.O_RDONLY)
    try: return sorted((e.name, e.stat().st_size) for e in os.scandir(fd))
    finally: os.close(fd)
def linked(x): return os.readlink("l"), os.lstat("l").st_size
def through(x): return os.stat("e/one").st_size
def there(x): return os.path.isdir("d")
def given(look): return look("a.txt").st_size
def loads(x):
    try:
        import made
        return made.x
    except ImportError:
        return None
{more}
def late(f, x):
    return f(x)
def write(it):
    next(it)
    time.sleep(0.1)
    time.sleep({wait})
    with open("a.txt", "w") as f: f.write("newer")
    with open("b.txt", "w") as f: f.write("b")
    with open("d/one", "w") as f: f.write("longer")
    with open("made.py", "w") as f: f.write("x = 3")
    os.remove("l")
    os.symlink("c.txt", "l")
    return 0
def main():
    os.makedirs("d", exist_ok=True)
    for name, text in (("d/one", "1"), ("a.txt", "old"), ("c.txt", "c"), ("o.txt", "o")):
        with open(name, "w") as f: f.write(text)
    os.symlink("a.txt", "l")
    os.symlink("d", "e")
    sys.path.insert(0, os.getcwd())
    names = ({names},)
    fs = [hide(n) for n in names]
    it = iter([1])
    {look}
    w = write(it)
{calls}
    print({total}, w)
main()
"""
NAMES = [
    "quiet",
    "other",
    "reads",
    "asks",
    "sizes",
    "system",
    "lists",
    "entries",
    "opened",
    "linked",
    "through",
    "there",
    "loads",
]
KEPT = {"quiet", "other", "there"}


def driver(names: list[str], wait: float, head: str = "", more: str = "", look: str = "pass") -> str:
    calls = "".join(
        f"    f{n} = fs[{n}]\n    r{n} = f{n}({'look' if name == 'given' else n})\n" for n, name in enumerate(names)
    )
    return DRIVER.format(
        names=", ".join(map(repr, names)), calls=calls, wait=wait, head=head, more=more, look=look,
        total=", ".join(f"r{n}" for n in range(len(names))),
    )  # fmt: skip


def of_names(attempts: list[tuple[str, str, str, str]], names: list[str]) -> set[str]:
    return {names[int(name[1:])] for name in ahead(attempts) if name[0] == "f" and name[1:].isdigit()}


def test_only_what_was_looked_at_counts(tmp_path: Path) -> None:
    """All of them must have run before home acts. How long that takes depends on the machine."""
    for wait in (3, 12, 40):
        attempts = run(tmp_path / str(wait), driver(NAMES, wait))
        kept = of_names(attempts, NAMES)
        assert kept <= KEPT, attempts
        if kept == KEPT:
            return
    raise AssertionError(attempts)


@pytest.mark.parametrize(
    ("name", "head", "more", "look"),
    [
        ("own", "from os import stat", "def own(x): return stat('a.txt').st_size", "pass"),
        ("given", "", "", "look = os.stat"),
    ],
)
def test_what_could_have_looked_unseen(name: str, head: str, more: str, look: str, tmp_path: Path) -> None:
    """A function of ``os`` that somebody has got hold of before: nobody sees what it looks at. (One that only a variable
    of the driver's function holds is out of reach for tasks that are not given it.)"""
    attempts = run(tmp_path, driver(["quiet", name], 3, head, more, look))
    assert of_names(attempts, ["quiet", name]) <= ({"quiet"} if name == "given" else set()), attempts


def test_acts_and_looks() -> None:
    assert doubt([], ["/p/a"], [], True) == ""
    assert "given functions" in doubt(["/p/b"], ["/p/a"], [], True)
    code = (
        "import numpy\nfrom inferflow.worker.looks import doubt\n"
        "print([doubt(*case, False) for case in ((['/p/b'], ['/p/a'], []), (['/p/a'], ['/p/a'], []),"
        " (['/p/d/x'], [], ['/p/d']), ([None], ['/p/a'], []), ([None], [], ['/p/d']))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(
        [
            "", "/p/a has changed since it was read", "/p/d/x has changed since its folder was listed", "",
            "files may have changed in /p/d while it ran",
        ]
    )  # fmt: skip
