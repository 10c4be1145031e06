"""How workers and the controller talk: frames of plain data over a stream socket.

A frame is two 4-byte lengths (of the JSON part, of all blobs), the JSON, the blobs. ``bytes`` anywhere in a
message travel as blobs, ``{"$b": [offset, length]}`` in the JSON, so nothing is decoded but plain data:
neither side ever unpickles what the other sent.

>>> decode(*split(encode({"kind": "done", "task": 3, "data": b"x"})))["data"]
b'x'
"""

from __future__ import annotations

import _thread
import json
import os
import socket
import struct
import sys
from typing import Any

try:
    import fcntl  # now: later the name may lead to a module of the user's
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

__all__ = ["Closed", "Decoder", "SocketChannel", "connect", "decode", "encode", "high_descriptor", "listen", "split"]

_HEAD = struct.Struct("<II")


class Closed(Exception):
    """The other side is gone."""


def encode(message: dict[str, Any]) -> bytes:
    """One frame."""
    blobs: list[bytes] = []
    offset = 0

    def blob(value: Any) -> Any:
        nonlocal offset
        if not isinstance(value, (bytes, bytearray)):
            raise TypeError(f"{type(value).__name__} is not plain data")
        blobs.append(bytes(value))
        offset += len(value)
        return {"$b": [offset - len(value), len(value)]}

    text = json.dumps(message, default=blob, separators=(",", ":")).encode()
    return b"".join([_HEAD.pack(len(text), offset), text, *blobs])


def split(frame: bytes) -> tuple[bytes, bytes]:
    """The JSON part and the blobs of one whole frame."""
    size, _ = _HEAD.unpack_from(frame)
    return frame[8 : 8 + size], frame[8 + size :]


def decode(text: bytes, blobs: bytes) -> dict[str, Any]:
    """The message of a frame's two parts."""
    if not blobs and b'"$b"' not in text:
        return json.loads(text)  # type: ignore[no-any-return]

    def restore(value: dict[str, Any]) -> Any:
        if len(value) == 1 and "$b" in value:
            offset, length = value["$b"]
            return blobs[offset : offset + length]
        return value

    return json.loads(text, object_hook=restore)  # type: ignore[no-any-return]


class Decoder:
    """Cuts a byte stream into messages (for the side that polls)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that are complete with these bytes."""
        buffer = self._buffer
        buffer += data
        messages = []
        start = 0
        while len(buffer) - start >= 8:
            size, extra = _HEAD.unpack_from(buffer, start)
            end = start + 8 + size + extra
            if len(buffer) < end:
                break
            middle = start + 8 + size
            messages.append(decode(bytes(buffer[start + 8 : middle]), bytes(buffer[middle:end])))
            start = end
        if start:
            del buffer[:start]
        return messages


class SocketChannel:
    """A worker's blocking end. Any thread may send."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._lock = _thread.allocate_lock()

    def send(self, message: dict[str, Any]) -> None:
        """Raises Closed when the controller is gone."""
        frame = encode(message)
        try:
            with self._lock:
                self.sock.sendall(frame)
        except OSError as error:
            raise Closed(str(error)) from None

    def receive(self) -> dict[str, Any]:
        """The next message; raises Closed."""
        head = self._exactly(8)
        size, extra = _HEAD.unpack(head)
        return decode(self._exactly(size), self._exactly(extra) if extra else b"")

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            try:
                data = self.sock.recv(min(count, 1 << 20))
            except OSError as error:
                raise Closed(str(error)) from None
            if not data:
                raise Closed("end of stream")
            parts.append(data)
            count -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        self.sock.close()


def high_descriptor(descriptor: int) -> int:
    """Move a descriptor of ours to a high number: the user's code shall find its own where native would put them."""
    try:
        moved: int = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 500)
    except (ImportError, OSError, AttributeError):
        return descriptor
    os.close(descriptor)
    return moved


def _out_of_the_way(sock: socket.socket) -> socket.socket:
    family = sock.family
    return socket.socket(family, socket.SOCK_STREAM, fileno=high_descriptor(sock.detach()))


def listen(folder: str) -> tuple[socket.socket, str]:
    """A listening socket and its address: on Linux a Unix socket without a file (nothing stays behind however we end),
    elsewhere one in ``folder``, or on loopback. Who connects must know the token."""
    if sys.platform.startswith("linux"):
        name = "inferflow-" + os.urandom(12).hex()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind("\0" + name)
        address = "abstract:" + name
    elif hasattr(socket, "AF_UNIX") and sys.platform != "win32":
        path = os.path.join(folder, "s")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(path)
        address = "unix:" + path
    else:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.bind(("127.0.0.1", 0))
        address = f"tcp:127.0.0.1:{sock.getsockname()[1]}"
    sock.listen(64)
    return sock, address


def connect(address: str, hello: dict[str, Any] | None = None) -> SocketChannel:
    """Connect to a controller and say hello; raises OSError."""
    scheme, _, rest = address.partition(":")
    if scheme in ("unix", "abstract"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect("\0" + rest if scheme == "abstract" else rest)
    else:
        host, _, port = rest.rpartition(":")
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.connect((host, int(port)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    channel = SocketChannel(_out_of_the_way(sock))
    if hello is not None:
        channel.send(hello)
    return channel
