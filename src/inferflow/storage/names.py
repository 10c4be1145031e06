"""Names of runs: ``20261122-2001-brave-otter``.

The date and the minute (local time) sort them; the two words can be remembered and typed: they alone name
a run as well as the whole does, and so does any beginning of either. The second word alone does among the last runs
of a folder, each of which has another.
"""

from __future__ import annotations

import random
import time as clock
from collections.abc import Collection

__all__ = ["RECENT", "matching", "run_name"]

_FIRST = """
able agile amber ample azure bold brave brief bright brisk calm clear clever cool coral crisp curly daring deep eager
early easy fair fast fine firm fleet fond frank free fresh gentle glad golden good grand green happy hardy honest
humble jolly keen kind large light lively loyal lucky mellow merry mild modest neat nimble noble plain polite prime
proud quick quiet rapid ready rosy round royal sharp shiny silent silver simple smart smooth snowy solid sound spry
steady still sturdy sunny sure sweet swift tall tame tidy true trusty vivid warm wise witty young
""".split()  # noqa: SIM905

_SECOND = """
adder alder aspen auk badger bear beaver birch bison bream buck carp cedar cheetah cobra condor coot crane crow cypress
deer dolphin dove duck eagle eel egret elk elm falcon fern ferret finch fir fox frog gannet gecko gibbon goose grouse
gull hare hawk hazel heron holly horse hound ibex ibis iris jackal jay juniper kestrel kite koala lark larch lemur
lily linden linnet lion llama lotus lynx magpie mallow maple marten mole moose moth mouse newt oak okapi oriole osprey
otter owl panda peony perch pike pine plover poplar puffin puma quail rabbit raven reed robin rook rose rowan sable
salmon seal shark shrew shrike skua snipe sparrow spruce squid stag stoat stork swan tern thrush tiger toad trout
tulip viper vole walrus wasp weasel whale willow wolf wombat wren yak yew zebra
""".split()  # noqa: SIM905


RECENT = 60
"""How many runs have second words that differ: fewer than there are words by far, so that names stay random."""


def run_name(time: float, recent: Collection[str] = (), attempt: int = 0) -> str:
    """A name for a run that starts at ``time`` (seconds since the epoch), with a second word that none of the
    ``recent`` names has. Names of runs that start at once may coincide, if rarely: the caller tries again; from the
    tenth attempt on a number helps."""
    source = random.SystemRandom()
    stamp = clock.strftime("%Y%m%d-%H%M", clock.localtime(time))
    taken = {word for name in recent for word in name.split("-")}
    second = [word for word in _SECOND if word not in taken] or _SECOND
    number = f"-{source.randrange(1000)}" if attempt >= 10 else ""
    return f"{stamp}-{source.choice(_FIRST)}-{source.choice(second)}{number}"


def matching(text: str, names: list[str]) -> list[str]:
    """The names that ``text`` stands for: the one it equals; else those whose words it equals; else those with that
    word, among the recent ones if there are any; else those that it begins, or whose words it begins. ``names``, the
    latest first, keep their order."""
    both = [(name, name.split("-", 2)[-1]) for name in names]
    return (
        [name for name, _ in both if name == text]
        or [name for name, words in both if words == text]
        or [name for name, words in both[:RECENT] if text and text in words.split("-")]
        or [name for name, words in both if text and text in words.split("-")]
        or [name for name, words in both if text and (name.startswith(text) or words.startswith(text))]
    )
