"""The first process of a container: it starts the worker, stands for it, and ends with the controller.

Run as a plain file by whatever Python the image has, so its syntax is that of the oldest one that might be met: a
Python that is too old must still be able to say so. It connects to the controller's socket in a mounted folder, tells
its version, and is handed what it needs to start the worker: the environment, and the open descriptors themselves (the
driver's standard streams, natively or as pseudo-terminals, and the lifeline). Then it

- passes signals on: a process with number 1 would ignore most of them, the worker must not
- tells how the worker ended, and what the container's memory limit had to do with it
- waits for what the driver left running, as a native shell's child would go on
- ends at once, and all others in the container with it, when the controller is gone

    hello {role: init, version, ...}   -> controller
    start {environment, command, ...}  <- controller, with descriptors
    exited {code, memory, ...}         -> controller
    signal {number} | kill {pid} | leave <- controller
"""

# mypy: allow-untyped-defs, allow-untyped-calls

import json
import os
import signal
import socket
import struct
import sys

HEAD = struct.Struct("<II")


def main(address):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(address)
    except OSError:
        os._exit(111)  # the controller is gone
    hello = {
        "kind": "hello",
        "packages": metadata_names(),
        "role": "init",
        "pid": os.getpid(),
        "token": os.environ.get("_INFERFLOW_TOKEN", ""),
        "worker": os.environ.get("_INFERFLOW_WORKER", ""),
        "version": list(sys.version_info[:3]),
        "implementation": sys.implementation.name if hasattr(sys, "implementation") else "",
        "executable": sys.executable,
        "tag": getattr(getattr(sys, "implementation", None), "cache_tag", ""),
    }
    send(sock, hello)
    if sys.version_info < (3, 9):
        sock.recv(1)  # the controller hangs up
        os._exit(0)
    order, descriptors = receive_start(sock)
    if order.get("compile"):
        compile_worker(order["compile"])
    child = start(sock, order, descriptors)
    for number in descriptors:
        if number > 2:
            os.close(number)
    Keeper(sock, child).loop()


def metadata_names():
    """The names of the folders of metadata beside the packages of this Python (it was started without ``site``)."""
    try:
        import site

        prefixes = [sys.prefix, sys.exec_prefix, os.path.dirname(os.path.dirname(sys.executable))]
        folders = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        folders += site.getsitepackages(prefixes)
        found = []
        for folder in folders:
            if os.path.isdir(folder):
                names = os.listdir(folder)
                found += [name for name in names if name.endswith((".dist-info", ".egg-info")) and name not in found]
        return found
    except Exception:
        return []


def send(sock, message):
    text = json.dumps(message).encode()
    sock.sendall(HEAD.pack(len(text), 0) + text)


def receive_start(sock):
    """The first order, and the descriptors that came with its first byte."""
    import array

    descriptors = array.array("i")
    data, ancillary, _, _ = sock.recvmsg(1 << 16, socket.CMSG_SPACE(8 * descriptors.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    while data and (len(data) < 8 or len(data) < 8 + HEAD.unpack_from(data)[0]):
        more = sock.recv(1 << 16)
        if not more:
            os._exit(0)
        data += more
    if not data:
        os._exit(0)
    return json.loads(data[8:].decode()), list(descriptors)


def compile_worker(folder):
    """Bytecode of our own code for this Python, once: without it each start takes three times as long."""
    import compileall

    try:
        os.umask(0o077)
        compileall.compile_dir(folder, quiet=2)
    except Exception:
        pass


def start(sock, order, descriptors):
    """Fork, and become the worker in the child. ``order["places"]`` says which number each descriptor gets there."""
    command = order["command"]
    command[0] = command[0] or sys.executable
    os.umask(order["umask"])
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setpgid(0, 0)
        places = order["places"]
        high = 100
        moved = []
        for number in descriptors:
            moved.append(os.dup2(number, high))
            high += 1
        for number in range(3, 100):
            try:
                os.close(number)
            except OSError:
                pass
        for number in (0, 1, 2):
            if number not in places:
                try:
                    os.close(number)
                except OSError:
                    pass
        for number, place in zip(moved, places):
            os.dup2(number, place)
            os.close(number)
        environment = dict(os.environ)
        for name in [name for name in environment if name.startswith("_INFERFLOW_")]:
            del environment[name]
        environment.update(order["environment"])
        os.chdir(order["folder"])
        os.execve(command[0], command, environment)
    except Exception as error:
        send(sock, {"kind": "failed", "text": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(127)


class Keeper:
    """Waits for children, orders and the controller's end."""

    def __init__(self, sock, child):
        self.sock = sock
        self.child = child
        self.left = False
        self.over = False
        self.data = b""
        sock.setblocking(False)
        self.ours, theirs = os.pipe()
        os.set_blocking(self.ours, False)
        os.set_blocking(theirs, False)
        signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"):
            signal.signal(getattr(signal, name), self.pass_on)

    def pass_on(self, number, frame):
        if not self.over:
            os.kill(self.child, number)

    def loop(self):
        import select

        while True:
            if self.reap() and self.over and self.left:
                os._exit(0)
            listened = [self.ours] if self.sock is None else [self.ours, self.sock]
            ready, _, _ = select.select(listened, [], [])
            if self.ours in ready:
                try:
                    os.read(self.ours, 4096)
                except OSError:
                    pass
            if self.sock in ready:
                self.listen()

    def listen(self):
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            if not self.left:
                os._exit(0)  # whatever runs here ends with us
            self.sock.close()
            self.sock = None
            return
        self.data += data
        while len(self.data) >= 8:
            size, extra = HEAD.unpack_from(self.data)
            if len(self.data) < 8 + size + extra:
                return
            message = json.loads(self.data[8 : 8 + size].decode())
            self.data = self.data[8 + size + extra :]
            self.order(message)

    def order(self, message):
        if message["kind"] == "leave":
            self.left = True
            return
        try:
            if message["kind"] == "kill":
                os.kill(message["pid"], signal.SIGKILL)
            elif message["kind"] == "signal" and not self.over:
                if message.get("group"):
                    os.killpg(self.child, message["number"])
                else:
                    os.kill(self.child, message["number"])
        except OSError:
            pass

    def reap(self):
        """Take the dead; whether nobody else is left in the container."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self.child:
                self.over = True
                message = facts()
                message.update(kind="exited", code=os.waitstatus_to_exitcode(status))
                try:
                    self.sock.setblocking(True)
                    send(self.sock, message)
                    self.sock.setblocking(False)
                except OSError:
                    pass


def facts():
    """Memory (bytes): the most that a process here used, the container's limit and peak; how many were killed."""
    import resource

    found = {"memory": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024}
    new, old = "/sys/fs/cgroup/", "/sys/fs/cgroup/memory/"
    for name, paths in (
        ("limit", (new + "memory.max", old + "memory.limit_in_bytes")),
        ("peak", (new + "memory.peak", old + "memory.max_usage_in_bytes")),
        ("killed", (new + "memory.events", old + "memory.oom_control")),
    ):
        for path in paths:
            try:
                with open(path) as file:
                    text = file.read()
            except OSError:
                continue
            if name == "killed":
                lines = [line.split() for line in text.splitlines()]
                found[name] = sum(int(line[1]) for line in lines if len(line) == 2 and line[0] == "oom_kill")
            elif text.strip().isdigit():
                found[name] = int(text)
            break
    return found


if __name__ == "__main__":
    main(sys.argv[1])
