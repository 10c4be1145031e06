"""Starts a command with copies in place of folders, so that absolute paths lead into the copies too.

    python -I stage.py '{"binds": [["/tmp/copy", "/home/me/project"]], "folder": "/home/me/project", "command": [...]}'

The process gets a view of the file system of its own (a Linux mount namespace, in a user namespace unless we are
root), binds each copy over its original there, goes to the folder, and becomes the command. Nobody else sees it. Ends
with status 125 if the system does not allow it. Only the standard library.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000


def main() -> None:
    """Do what the first argument says; does not return."""
    order = json.loads(sys.argv[1])
    try:
        enter(order["binds"])
        os.chdir(order["folder"])
    except (OSError, AttributeError) as error:
        sys.stderr.write(f"{error}\n")
        os._exit(125)
    if not order["command"]:
        os._exit(0)
    os.execv(order["command"][0], order["command"])


def enter(binds: list[list[str]]) -> None:
    """Bind each (copy, original) for this process alone. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_NEWNS) != 0:
        _check(libc.unshare(_NEWNS | _NEWUSER))
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _check(libc.mount(b"none", b"/", None, _REC | _PRIVATE, None))
    for source, target in binds:
        _check(libc.mount(os.fsencode(source), os.fsencode(target), None, _BIND | _REC, None))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main()
