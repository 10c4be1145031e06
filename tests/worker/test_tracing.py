"""With ``trace = true``, what child processes open is seen wherever it is, and they run as natively."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from compare import assert_same, environment

from inferflow.worker import traced

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.uname().machine not in traced.CALLS, reason="ptrace is Linux's"
)
SETTINGS = "[tool.inferflow]\ntrace = true\n"
CHILD = """
import json, os, signal, sys
try:
    children = os.wait()
except ChildProcessError:
    children = None
descriptors = {}
for name in sorted(os.listdir("/proc/self/fd"), key=int):
    try:
        descriptors[name] = os.readlink("/proc/self/fd/" + name).split(":")[0].replace(str(os.getpid()), "me")
    except OSError:
        pass
with open("/proc/self/status") as file:
    ignored = [line.split()[1] for line in file if line.startswith(("SigIgn", "SigBlk"))]
print(json.dumps([
    sys.argv, os.getcwd(), children, descriptors, ignored, sorted({**os.environ, "ABOVE": ""}.items()), os.umask(0o22),
    os.getppid() == int(os.environ["ABOVE"]), os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid(),
]))
"""
DRIVER = """
import os, signal, subprocess, sys, time

os.environ["ABOVE"] = str(os.getpid())
here = os.getcwd()

def told(*words, **how):
    with subprocess.Popen([sys.executable, "child.py", *words], stdout=subprocess.PIPE, **how) as child:
        text = child.communicate()[0].decode()
    print(child.returncode, text)

told("plain", "", "a b", "\\u00e4", "$HOME")
told("signals as here", restore_signals=False)
told("own session", start_new_session=True)
read, write = os.pipe()
told("descriptors", pass_fds=(write,))
told("all descriptors", close_fds=False)
told("poor", env={"ABOVE": str(os.getpid()), "LC_ALL": "C", "PYTHONUTF8": "0"})
old = os.umask(0o27)
told("umask")
os.umask(old)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
told("pipes break", restore_signals=False)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
told("ignored")

# how it ends, and when
for text in ("exit 3", "kill -9 $$", "kill -TERM $$", "echo to stderr >&2; false"):
    print(text, subprocess.run(text, shell=True).returncode, os.system(text), flush=True)
began = time.monotonic()
print(subprocess.run("sleep 60 >/dev/null 2>&1 & echo $!", shell=True, capture_output=True).stderr)
print(time.monotonic() - began < 50)
with subprocess.Popen(["sleep", "60"]) as child:
    child.terminate()
print(child.returncode)
with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
    os.kill(child.pid, signal.SIGSTOP)
    print(os.WIFSTOPPED(os.waitpid(child.pid, os.WUNTRACED)[1]))
    os.kill(child.pid, signal.SIGCONT)
    os.killpg(child.pid, signal.SIGKILL)
print(child.returncode)
try:
    subprocess.run(["sleep", "60"], timeout=0.2)
except subprocess.TimeoutExpired as error:
    print(type(error))
print(subprocess.run(["./plain.sh", "x y"], capture_output=True, text=True))
print(subprocess.run("cat; echo $0 \\"$1\\"", shell=True, input=b"given", capture_output=True))
with os.popen("echo popen") as stream:
    print(stream.read())
print(os.system(b"exit 4"), os.system(""))
print(subprocess.run(["sh", "-c", "trap 'echo caught; exit 7' USR2; kill -USR2 $$; sleep 60"], capture_output=True))
print(subprocess.run(["perl", "-e", "print join ' ', map { fork // 0 ? 1 : 0 } 1"], capture_output=True).returncode)

# what cannot be started
for command in (["nothere"], ["./nothere"], ["./data.txt"], ["./text.txt"], ["./broken.sh"], [here], [""], ["a\\0b"]):
    try:
        print(subprocess.run(command, capture_output=True))
    except (OSError, ValueError) as error:
        print(type(error), error)
for wrong in (5, None, "a\\0b"):
    try:
        print(os.system(wrong))
    except Exception as error:
        print(type(error), error)
print(subprocess.run(["sh", "-c", "echo $0"], executable="/bin/sh", preexec_fn=lambda: None, capture_output=True))
"""


def uses(folder: Path) -> list[set[tuple[str, str]]]:
    """The files of each shell task of the last run."""
    command = [sys.executable, "-m", "inferflow", "show", "latest", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=True)
    tasks = [task for task in json.loads(done.stdout)["tasks"] if task["kind"] == "shell"]
    return [{(use["mode"], use["path"]) for use in task["attempts"][-1]["files"]} for task in tasks]


def test_children_are_as_natively(tmp_path: Path) -> None:
    files = {
        "driver.py": DRIVER,
        "child.py": CHILD,
        "pyproject.toml": SETTINGS,
        "plain.sh": "#!/bin/sh\necho $0 $#\n",
        "data.txt": "no program",
        "text.txt": "no program",
        "broken.sh": "#!/nowhere/interpreter\n",
    }
    for name in ("plain.sh", "text.txt", "broken.sh"):
        (tmp_path / "project").mkdir(exist_ok=True)
        (tmp_path / "project" / name).touch(0o755)
    assert_same(tmp_path, dict(files))


def test_files_are_seen_wherever_they_are(tmp_path: Path) -> None:
    """Read, written and moved outside of the project, by children of children, in threads, through links."""
    far = tmp_path / "far"
    (far / "sub").mkdir(parents=True)
    (far / "in.csv").write_text("2\n1\n")
    (far / "deep.txt").write_text("deep")
    (far / "linked").symlink_to(far / "deep.txt")
    (far / "unread.txt").write_text("nobody reads it")
    tool = far / "tool"
    tool.write_text('#!/bin/sh\ncd "$(dirname "$0")/sub" && cat ../linked > ./new.txt && mv new.txt moved.txt\n')
    tool.chmod(0o755)
    python = "import threading; t = threading.Thread(target=lambda: open('in.csv').read()); t.start(); t.join()"
    driver = (
        "import os, subprocess\n"
        f"far = {str(far)!r}\n"
        "subprocess.run('sort < $FAR/in.csv > $FAR/out.csv', shell=True, env={**os.environ, 'FAR': far}, check=True)\n"
        "print(os.system('cd / && ' + far + '/tool'))\n"
        f"print(subprocess.check_output(['{sys.executable}', '-c', {python!r}], cwd=far))\n"
        "print(subprocess.check_output(['cat', 'near.txt']))\n"
    )
    folder = assert_same(tmp_path, {"driver.py": driver, "pyproject.toml": SETTINGS, "near.txt": "near"})
    shell, script, threads, near = uses(folder)
    assert {("read", f"{far}/in.csv"), ("write", f"{far}/out.csv")} <= shell
    assert {("read", str(tool)), ("read", f"{far}/linked"), ("write", f"{far}/sub/moved.txt")} <= script
    assert ("read", f"{far}/in.csv") in threads
    assert near >= {("read", "near.txt")}
    everything = {path for task in (shell, script, threads, near) for _, path in task}
    assert not {path for path in everything if "unread" in path or "new.txt" in path or path.startswith("/usr/lib")}
    command = [sys.executable, "-m", "inferflow", "show", "latest", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, check=True)
    kept = [use for task in json.loads(done.stdout)["tasks"] for use in task["attempts"][-1]["files"]]
    (fact,) = [use for use in kept if use["path"] == f"{far}/in.csv"][:1]
    assert fact["digest"].endswith(hashlib.sha256(b"2\n1\n").hexdigest())


def test_where_it_is_not_allowed_folders_are_looked_at(tmp_path: Path) -> None:
    """Who is traced already cannot be traced by another: here the whole run is."""
    (tmp_path / "log").touch()
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "in.csv").write_text("2\n1\n")
    (tmp_path / "driver.py").write_text(
        "import subprocess\nsubprocess.run('sort < in.csv > out.csv; echo done', shell=True)\n"
    )
    run = [sys.executable, "-m", "inferflow", "run", "driver.py"]
    start = [sys.executable, "-I", "-S", traced.__file__, str(tmp_path / "log"), "dd", sys.executable]
    done = subprocess.run([*start, *run], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert uses(tmp_path)[0] >= {("read", "in.csv"), ("write", "out.csv")}
    shown = [sys.executable, "-m", "inferflow", "show", "latest"]
    text = subprocess.run(shown, cwd=tmp_path, env=environment(), capture_output=True, text=True).stdout
    assert "children are not traced (Operation not permitted)" in " ".join(text.split())
    assert f"r{tmp_path}/driver.py".encode() in (tmp_path / "log").read_bytes().split(b"\0")
