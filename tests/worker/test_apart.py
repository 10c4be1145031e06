"""The process that is forked beside home: a copy of it, no child of it, by either of the two ways."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inferflow.worker import apart

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked twice elsewhere")

PROGRAM = """
import ctypes, os, signal, sys, threading
from inferflow.worker import apart

data = bytearray(b"x" * 50_000_000)
reader, writer = os.pipe()
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGUSR1,))

def deep(n):
    return 0 if n == 0 else 1 + deep(n - 1)

def run():
    local = sys._getframe(0)
    names = []
    while local is not None:
        names.append(local.f_code.co_name)
        local = local.f_back
    data[0:1] = b"y"
    os.write(writer, repr({
        "pid": os.getpid(), "parent": os.getppid(), "deep": deep(900), "below": names[-1],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "thread": threading.current_thread() is threading.main_thread(),
    }).encode())
    os._exit(7)

for _ in range(3):
    WAY(run)
    told = os.read(reader, 1000).decode()
    assert f"'pid': {os.getpid()}" not in told and "'deep': 900" in told and "'below': '<module>'" in told, told
    assert f"'parent': {os.getpid()}" not in told and "SIGUSR1" in told and "'thread': True" in told, told
    try:
        os.wait()
    except ChildProcessError:
        print("no child", data[:1].decode())
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == {signal.SIGUSR1}
"""


@pytest.mark.parametrize("way", ["apart._clone", "apart._fork_twice", "apart.fork_apart"])
def test_the_new_process_is_a_copy_and_no_child(way: str) -> None:
    if way == "apart._clone" and sys.version_info >= (3, 14):
        pytest.skip("Python minds on which stack it runs")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("WAY", way)], capture_output=True, text=True, timeout=400, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "no child x\n" * 3, "")


def test_no_room_for_another_stack() -> None:
    """Address space is limited: the process between is forked as elsewhere."""
    program = f"""
import mmap
def full(*_, **__):
    raise OSError(12, "no memory")
mmap.mmap = full
{PROGRAM.replace("WAY", "apart.fork_apart")}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=400, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no child x\n" * 3, "")


def test_no_more_processes() -> None:
    program = """
import ctypes, mmap, os, resource
from inferflow.worker import apart
os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
for way in (apart._clone, apart._fork_twice):
    try:
        way(lambda: os._exit(0))
    except OSError as error:
        print("refused")
"""
    if apart.os.getuid() != 0:
        pytest.skip("only root can become somebody whose processes are limited")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=400, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\n" * 2, "")


def test_what_handlers_of_a_fork_do_with_descriptors_holds() -> None:
    program = """
import ctypes, os
from inferflow.worker import apart
first = os.open("/dev/null", os.O_RDONLY)
made = []
os.register_at_fork(before=lambda: os.close(first), after_in_parent=lambda: made.append(os.open("/dev/zero", os.O_RDONLY)))
apart._clone(lambda: os._exit(0))
print(os.read(made[0], 2))
"""
    if sys.version_info >= (3, 14):
        pytest.skip("Python minds on which stack it runs")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=400, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "b'\\x00\\x00'\n", "")
