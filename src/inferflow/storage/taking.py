"""Files that workers write, and the store takes over: digested while they grow, renamed when they are complete.

Workers have the standard library only, and their processors are wanted for the user's program; this process has the
hasher, and little to do. So a worker writes a file under a name of its own, says so when it begins and when it is
done, and a thread here follows:

    worker   begins 17.part    ....writes....      is done
    thread            reads, hashes, waits for more ....  renames to artifacts/ab/ab12...

The file is read back from the page cache, so what is named is what was written.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from inferflow.model import Artifact
from inferflow.model.content import content_hasher

__all__ = ["FileTaking"]

_CHUNK = 1 << 20
_PAUSE = 0.002
"""Seconds between two looks at a file that has not grown."""


class FileTaking:
    """One file that is being taken over (protocols.Taking). ``keep`` gives it its name among the artifacts."""

    def __init__(self, path: str, size: int, growing: bool, keep: Callable[[str, Artifact], None]) -> None:
        self.path = path
        self.size = size
        self._keep = keep
        self._growing = growing
        self._given_up = False
        self._wake = threading.Event()
        self._artifact: Artifact | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="inferflow-taking", daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def complete(self) -> None:
        """Its writer is done."""
        self._growing = False
        self._wake.set()

    def give_up(self) -> None:
        """Its writer has failed, or is gone: what it left is removed."""
        self._given_up = True
        self.complete()
        self._thread.join()
        _remove(self.path)

    def result(self) -> Artifact:
        """Wait for it. Raises OSError if the file could not be read or renamed, or is not of the size that was told."""
        self._thread.join()
        if self._error is not None:
            _remove(self.path)
            raise self._error
        assert self._artifact is not None
        return self._artifact

    def _run(self) -> None:
        try:
            artifact = self._digested()
            if artifact is not None:
                self._keep(self.path, artifact)
                self._artifact = artifact
        except BaseException as error:
            self._error = error

    def _digested(self) -> Artifact | None:
        hasher = content_hasher()
        read = 0
        view = memoryview(bytearray(min(_CHUNK, max(self.size, 1))))
        with open(self.path, "rb", buffering=0) as file:
            while not self._given_up:
                growing = self._growing  # asked before reading: what was written until then is read
                count = file.readinto(view)
                if count:
                    hasher.update(view[:count])
                    read += count
                elif growing:
                    self._wake.wait(_PAUSE)
                elif read != self.size:
                    raise OSError(f"{self.path} has {read} bytes, and should have {self.size}")
                else:
                    return Artifact(hasher.hexdigest(), read)
        return None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
