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


NAMED = """\
import os, pty, socket, time

def work(x):
    time.sleep(0.05)
    return x * x

# A terminal, both ends of a socket, and a pipe with a name: nobody but the driver opens or holds on to an end.
terminal, end = pty.openpty()
a, b = socket.socketpair()
xs = []
for i in range(5):
    xs.append(work(i))
    b.send(b"%d" % i)
    xs.append(a.recv(9))
os.write(end, b"hi\\n")
print(os.read(terminal, 9))
ys = [work(i) for i in range(5)]
os.close(end)
try:
    print(os.read(terminal, 9))
except OSError as error:
    print(error)
b.close()
print(a.recv(9))
os.mkfifo("named")
r = os.open("named", os.O_RDONLY | os.O_NONBLOCK)
w = os.open("named", os.O_WRONLY)
zs = [work(i) for i in range(5)]
os.write(w, b"q")
os.close(w)
print(os.read(r, 9), os.read(r, 9), xs, ys, zs)
os.close(r)
os.remove("named")
"""


def test_pipes_with_a_name_and_terminals(tmp_path: Path) -> None:
    assert_same(tmp_path, NAMED, options=("-j", "3"))
