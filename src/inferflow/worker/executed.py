"""Notebooks that nbclient executed in a driver's own process, to be kept with the task that had it done.

    client = NotebookClient(nb)
    client.execute()                 kept as execute.executed.ipynb, also if a cell failed

A driver that uses nbclient has the executed notebook in memory, and may never write it. Nothing of the library is
changed for this: behind the task, the clients that are alive are looked for. (papermill writes a file itself.)
"""

from __future__ import annotations

import gc
import json
import sys
from typing import Any

__all__ = ["Executed"]


class Executed:
    """``tasks`` are the numbers and names of the driver's tasks that execute notebooks."""

    def __init__(self, tasks: list[list[Any]]) -> None:
        self.names: dict[int, str] = dict(map(tuple, tasks))
        self.seen: dict[int, bytes] = {}

    def take(self, task: int) -> list[tuple[str, bytes]]:
        """What clients have executed since the last time: names for files, and their contents."""
        module = sys.modules.get("nbclient.client")
        name = self.names.get(task)
        if module is None or name is None:
            return []
        found = []
        for client in [one for one in gc.get_objects() if issubclass(type(one), module.NotebookClient)]:
            data = _content(client)
            if data and self.seen.get(id(client)) != data:
                self.seen[id(client)] = data
                found.append(data)
        numbers = [f"-{number}" if number > 1 else "" for number in range(1, len(found) + 1)]
        return [(f"{name}{number}.ipynb", data) for number, data in zip(numbers, found)]


def _content(client: Any) -> bytes:
    """The notebook of a client that has executed something, as a file has it; empty if it cannot be told."""
    try:
        if not client.code_cells_executed:
            return b""
        return (json.dumps(client.nb, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
    except Exception:  # whatever a driver has made of it
        return b""
