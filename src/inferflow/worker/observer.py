"""At home: is the state that a proved task read in its helper the one that it must read? See ``proof`` for what is
compared. Nothing is compared where no code of the user's has run since the helper was forked, or the value published.

    ran = 3      how many tasks have run here so far; the helper was forked when it was 2: look
"""

from __future__ import annotations

import enum
import gc
import signal
import sys
import types
from typing import Any

from inferflow.worker import exact, standing, transport
from inferflow.worker.hidden_state import HiddenState, Moment
from inferflow.worker.proof import MOST, HiddenDigests, Root, glance, plain, root_digest

__all__ = ["Observer"]

_DRAWING = frozenset({"matplotlib.pyplot", "options of matplotlib"})
"""Hidden states that a task which draws changes (the first figure settles which backend is used)."""
_SIGNALS = [
    getattr(signal, name) for name in ("SIGALRM", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGCHLD") if hasattr(signal, name)
]


class Observer:
    """What home remembers of the values that it published, and of its state."""

    def __init__(self, home: Any) -> None:
        self.home = home
        self.ran = 0
        self.published: dict[tuple[str, str], tuple[int, str]] = {}
        self.roots: dict[Root, tuple[int, str]] = {}
        self.hidden: tuple[int, dict[str, str]] = (-1, {})
        self.digests = HiddenDigests()
        self.state: Any = None
        self.facts: dict[str, Any] = {}
        """The hidden states when they were last looked at."""
        self.moments: dict[int, Moment] = {}
        """By ``ran``: what it was when a process was forked."""
        self.stood: Any = None
        """A moment, and how this process stood then."""
        self.drawing: frozenset[int] = frozenset()
        """Tasks that the analysis knows to draw figures."""
        self.drawn = -1
        """When one of them ran last."""

    def begins(self, task: int) -> None:
        """A task is going to run here."""
        self.ran += 1
        if task in self.drawing:
            self.drawn = self.ran

    def forks(self) -> None:
        """A process is going to be forked, of which helpers come."""
        self.moments[self.ran] = Moment()

    def only_imported(self, name: str, ran: int) -> bool:
        """Whether a hidden state, as it was when last looked at, differs from what it was when a process was forked in
        nothing but what libraries do that were imported since."""
        return ran in self.moments and self.moments[ran].only_imported(name, self.facts)

    def publish(self, names: list[tuple[str, str]], values: tuple[Any, ...]) -> None:
        """Helpers may read these values from now on, as they are."""
        own = self.home.project_modules()
        for name, value in zip(names, values):
            self.published[name] = self.ran, glance([value], own)

    def _moment(self) -> int:
        """Which state this is: the same number again only if nothing can have changed. Handlers of signals run at any
        time."""
        if any(callable(signal.getsignal(number)) for number in _SIGNALS):
            self.ran += 1
        return self.ran

    def stands(self, modules: list[str], names: list[str]) -> tuple[dict[str, str], str, standing.Found]:
        """The standing of this process (see ``standing``): digests of the hidden states, that of what the modules hold
        (of the driver's the ``names``), and where that is. Taken once for each state in which home is. Raises
        CannotCompare."""
        collected = sum(generation["collections"] for generation in gc.get_stats())  # (finalizers may have run)
        moment = self._moment(), collected, modules, names
        threading = sys.modules.get("threading")
        alone = threading is None or threading.active_count() == 1
        if self.stood is None or not alone or self.stood[0] != moment:
            if self.state is None:
                self.state = HiddenState()
            found = standing.Found()
            self.facts = self.state.facts()
            hidden = standing.hidden(self.facts)
            digest = standing.take(modules, self.home.program.module.__name__, names, found)
            found.let_go()
            self.stood = moment, (hidden, digest, found)
        return self.stood[1]  # type: ignore[no-any-return]

    def contradiction(self, frame: Any, checks: list[dict[str, Any]]) -> tuple[str, bool]:
        """What is not as it was, in words (empty if nothing), and whether it is the state of the process."""
        from inferflow.worker.turn import live

        now = self._moment()
        for check in checks:
            proof = check["proof"]
            why = self._state(proof, now) if proof is not None and proof["ran"] != now else ""
            if why:
                return why, True
            why = self._literals(check["literals"], frame)
            if why:
                return why, False
            for part in check["given"]:
                for scope, name, member in part["take"]:
                    known = self.published.get((scope, name))
                    if known is None or known[0] == now:
                        continue
                    try:
                        value = live(frame, scope, name)
                    except KeyError:
                        return f"{name!r} is not bound any more", False
                    why = self._changed(part, (scope, name), member, value, known[1], now)
                    if why:
                        return why, False
        return "", False

    def _changed(
        self, part: dict[str, Any], key: tuple[str, str], member: int, value: Any, digest: str, now: int
    ) -> str:
        if glance([value], self.home.project_modules()) != digest:
            # (it may be a cache that was filled: what counts is what the value is)
            source = part.get("inline")
            then = transport.load(source if source is not None else part["path"]).values[member]
            difference = exact.same((then,), (value,))
            if difference is not None:
                return f"{key[1]!r} had been changed behind the analysis ({difference.what})"
            if self._names_state(value):
                return f"what {key[1]!r} refers to by name had been changed"
            digest = glance([value], self.home.project_modules())
        self.published[key] = now, digest
        return ""

    def _names_state(self, value: Any) -> bool:
        """Whether a value holds classes of the project, or members of enumerations: these travel by name, and are what
        they are now, then as ever."""
        own = self.home.project_modules()
        stack: list[Any] = [value]
        seen: set[int] = set()
        while stack and len(seen) < MOST:
            one = stack.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            cls = type(one)
            if (isinstance(one, type) and one.__module__ in own) or (
                isinstance(one, enum.Enum) and cls.__module__ in own
            ):
                return True
            if not isinstance(one, (types.ModuleType, types.FunctionType, type)):
                stack.extend(part for part in gc.get_referents(one) if part is not cls)
        return False

    def _state(self, proof: dict[str, Any], now: int) -> str:
        own = self.home.project_modules()
        for module, names in proof["roots"].items():
            for name, then in names.items():
                known = self.roots.get((module, name))
                if known is None or known[0] != now:
                    known = self.roots[module, name] = now, root_digest((module, name), own)
                if known[1] != then:
                    return f"{module}.{name} had been changed behind the analysis"
        if self.hidden[0] != now:
            if self.state is None:
                self.state = HiddenState()
            self.facts = self.state.facts()
            self.hidden = now, self.digests.of(self.facts)
        drawn = proof["aloof"] and self.drawn > proof["ran"]
        for name, digest in proof["hidden"].items():
            if name in _DRAWING and drawn:
                continue  # figures were foreseen, and that they do not matter here is proved
            if self.hidden[1].get(name, digest) == digest:
                continue
            if (name != "os.environ" or proof["childless"]) and self.only_imported(name, proof["ran"]):
                continue
            return f"{name} had been changed"
        return ""

    def _literals(self, literals: list[list[str]], frame: Any) -> str:
        """Names that the driver binds between tasks: the helper has bound them itself."""
        from inferflow.worker.turn import live

        for scope, name, then in literals:
            try:
                now = plain(live(frame, scope, name))
            except KeyError:
                now = ""
            if now != then:
                return f"{name!r} had been changed behind the analysis"
        return ""
