"""Large values on their way into the store: messages that wait until the store has taken their file over.

Workers write files, and the store names them by their content, in a thread of its own. Until that is done the message
that tells of the value is held back; then it carries ``digest`` and ``size``, as if the worker had known them:

    home     {"kind": "writing", "id": 3, "file": "17.part", "size": 400_000_128}      the store begins to follow
    home     {"kind": "stored", "id": 3, "file": "17.part", "size": 400_000_128}       held back
    ready()  {"kind": "stored", "id": 3, "digest": "ab12...", "size": 400_000_128}
"""

from __future__ import annotations

from typing import Any

from inferflow.protocols import ArtifactStore, Taking
from inferflow.records import define, field

__all__ = ["Arrivals"]


@define
class Arrivals:
    """The files under way: ``growing`` those that home still writes, by number; ``held`` the messages that wait, with
    their workers. True while something may become ready by itself."""

    store: ArtifactStore
    growing: dict[int, Taking] = field(factory=dict)
    held: list[tuple[str, dict[str, Any], Taking]] = field(factory=list)
    told_at_once: list[tuple[str, dict[str, Any]]] = field(factory=list)

    def __bool__(self) -> bool:
        return bool(self.held)

    def told(self, message: dict[str, Any], worker: str = "home") -> None:
        """A worker tells of a file: that it is begun, that it is complete, or that it could not be written."""
        if message["kind"] == "writing":
            self.growing[message["id"]] = self.store.take(message["file"], message["size"], growing=True)
            return
        taking = self.growing.pop(message["id"], None) if message["kind"] == "stored" else None
        if "error" in message:
            if taking is not None:
                taking.give_up()
            self.told_at_once.append((worker, message))
            return
        if taking is None:
            taking = self.store.take(message["file"], message["size"])
        taking.complete()
        self.held.append((worker, message, taking))

    def ready(self, wait: bool = False) -> list[tuple[str, dict[str, Any]]]:
        """The workers and messages whose files are in the store (``wait``: of all that are complete; then those that
        nobody goes on writing are given up). What could not be taken over has ``error`` instead of a digest."""
        found, self.told_at_once = self.told_at_once, []
        held: list[tuple[str, dict[str, Any], Taking]] = []
        for worker, message, taking in self.held:
            if not (wait or taking.done):
                held.append((worker, message, taking))
                continue
            rest = {name: value for name, value in message.items() if name != "file"}
            try:
                artifact = taking.result()
                rest.update(digest=artifact.digest, size=artifact.size)
            except OSError as error:
                rest["error"] = f"it could not be kept: {error.strerror or error}"
            found.append((worker, rest))
        self.held = held
        if wait:
            for taking in self.growing.values():
                taking.give_up()
            self.growing.clear()
        return found
