"""Effects: what each step of a driver does, found by running the program abstractly.

    Driver, Catalogue -> DriverEffects

Nothing is executed. The driver's statements are *interpreted* in program order over abstract values (``heap``):
sets of nodes that stand for the objects made at one place. A call of a project function applies the function's
*summary* (``summaries``): its body, interpreted once for arguments of these shapes; a call of a library function
applies what the catalogue says (``library``, ``special``). What is not known is *unknown code*: it changes what it
is given, and anything.

    box = {"k": a}                 box {#2: [] -> a's node #1}
    box["k"].append(2)             the call writes #1: Effect("write", Object("a"))
    t = total(b)                   reads what is reachable from b; no effect on a: the two have no common label

The parts: ``heap`` (nodes and values), ``program`` (what all activations share), ``frame`` (one activation, which is
also the summary of a function), ``run`` (statements and operations), ``bindings`` (names), ``access`` (attributes),
``contained`` (items and elements), ``operators`` (and managers), ``calls`` and ``summaries`` (calls of the project's
functions), ``classes``, ``imports``, ``library*``, ``plain`` and ``special`` (calls of libraries), ``parameters``,
``driver`` (the steps), ``found`` (the facts, and their words).

What is sound: an operation without obstacles and with no write but on objects that it made itself can run ahead, in
another process. What is taken for granted: that the catalogue is right; that operators of library types do nothing
but compute; and that nobody looks at frames, identities of constants, or what the garbage collector does.
"""

from __future__ import annotations

from inferflow.analysis.catalogue import Catalogue
from inferflow.analysis.effects.driver import infer_effects
from inferflow.analysis.facts import DefUse, Driver, DriverEffects, Opening

__all__ = ["find_effects", "infer_effects"]


def find_effects(driver: Driver, names: DefUse, catalogue: Catalogue, opening: Opening | None = None) -> DriverEffects:
    """The pass, as ``analyze`` runs it (the names are not needed: their flow is followed here as well)."""
    return infer_effects(driver, catalogue, opening)
