"""Places: whatever a statement can read or write (semantics: names, objects, hidden state, files, world)."""

from __future__ import annotations

from typing import TypeAlias

from inferflow.records import frozen


@frozen(order=True)
class Variable:
    """A name. ``scope`` is ``<driver>`` for a local of the driver's function, else the module's dotted name
    (a module global), or ``module.function`` / ``module.Class`` for a closure cell / class attribute."""

    scope: str
    name: str

    def __hash__(self) -> int:
        """That of the name, which Python remembers: names are looked up so often that it is to be felt."""
        return hash(self.name)

    def __str__(self) -> str:
        return self.name if self.scope in ("<driver>", "__main__") else f"{self.scope}.{self.name}"


@frozen(order=True)
class Object:
    """An alias component: mutable objects that may overlap, labelled by the first name bound to one of them."""

    label: str

    def __str__(self) -> str:
        return f"object {self.label}"


@frozen(order=True)
class Hidden:
    """A hidden state by its name in the catalogue: ``numpy.random``, ``os.environ``, ``cwd``, ``matplotlib.pyplot``."""

    name: str

    def __str__(self) -> str:
        return self.name


@frozen(order=True)
class File:
    """A file or folder. ``path`` is the constant path as written, ``{param}`` for a parameter, ``None`` when unknown.
    ``aspect`` is ``content``, ``listing`` or ``existence``."""

    path: str | None
    aspect: str = "content"

    def __str__(self) -> str:
        return "some file" if self.path is None else f"file {self.path}"


@frozen(order=True)
class World:
    """The outside: ``stdout``, ``stderr``, ``stdin``, ``process``, ``network``, ``database``, ``clock``, ``thread``,
    or ``anything`` (an unknown call: it may do whatever code can do)."""

    kind: str

    def __str__(self) -> str:
        return {"anything": "anything (unknown code)"}.get(self.kind, self.kind)


Place: TypeAlias = Variable | Object | Hidden | File | World
