"""How much memory a task needed at most."""

from __future__ import annotations

import os
import sys

from inferflow.worker.channel import high_descriptor
from inferflow.worker.own import library

__all__ = ["Memory"]


class Memory:
    """The high-water mark of this process's resident memory, per task where the system can reset it (Linux)."""

    def __init__(self) -> None:
        self.reset_fd = self.status_fd = -1
        try:
            self.reset_fd = high_descriptor(os.open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC))
            self.status_fd = high_descriptor(os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            self.close()

    def close(self) -> None:
        for fd in (self.reset_fd, self.status_fd):
            if fd >= 0:
                os.close(fd)
        self.reset_fd = self.status_fd = -1

    def reset(self) -> None:
        if self.reset_fd >= 0:
            try:
                os.write(self.reset_fd, b"5")
            except OSError:
                self.close()

    def peak(self) -> int:
        """Bytes."""
        if self.status_fd >= 0:
            try:
                text = os.pread(self.status_fd, 4096, 0)
                start = text.index(b"VmHWM:") + 6
                return int(text[start : text.index(b"kB", start)]) * 1024
            except (OSError, ValueError):
                pass
        try:
            resource = library("resource")
        except ImportError:
            return 0
        scale = 1 if sys.platform == "darwin" else 1024
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * scale
