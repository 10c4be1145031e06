"""What the driver closes is closed, though processes were forked while it was open: locks, ports, ends of pipes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from compare import assert_same

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what is open is listed in /proc")

DRIVER = """\
import fcntl, os, socket, subprocess, time

def work(x):
    time.sleep(0.15)
    return x * x

# Locked while processes are forked, before tasks and in a loop; free when it is closed.
f = open("locked", "w")
fcntl.flock(f, fcntl.LOCK_EX)
f.write("abc")
a = work(1)
b = work(2)
c = work(3)
f.close()
f = open("locked")
fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("free", f.read(1), a, b, c)

# A port, and a pipe whose end is to be seen, closed in the middle of a loop whose turns run ahead.
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen()
port = s.getsockname()[1]
r, w = os.pipe()
p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
squares = []
for i in range(9):
    squares.append(work(i))
    if i == 6:
        s.close()
        s = socket.socket()
        s.bind(("127.0.0.1", port))
        s.listen()
        os.write(w, b"x")
        os.close(w)
        print(os.read(r, 9), os.read(r, 9))
        p.stdin.close()
        print(p.stdout.read(), p.wait())
print("ahead" if len(squares) == 9 else "", squares, f.read())
"""


def test_what_is_closed_is_closed(tmp_path: Path) -> None:
    assert_same(tmp_path, DRIVER, options=("-j", "3"))
