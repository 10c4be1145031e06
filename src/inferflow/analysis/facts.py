r"""What the passes tell each other: the values between lowering and the task graph.

    Source --lower--> Module --frontend--> Driver --defuse--> DefUse --\
                                       \--effects--> DriverEffects ----+--partition--> TaskGraph

A *step* is a statement of one of the driver's blocks, identified by ``StepKey`` (block number, statement
index). Compound statements are one step each. Within a step, operations are numbered in evaluation order
by ``flatten`` (0 ...), so that the facts of ``train(load())`` can be told apart call by call.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import TypeAlias

from inferflow.analysis import ir
from inferflow.analysis.programs import ProgramKind
from inferflow.model import Block, Diagnostic, Effect, Reason, Source, Span, Variable
from inferflow.records import field, frozen

SourceFinder: TypeAlias = Callable[[str], Source | None]
"""Given a dotted module name, the project's source of it, or ``None`` if it is not a module of the project (a library,
or nothing at all). It does the I/O that the analysis does not."""

StepKey: TypeAlias = tuple[int, int]


@frozen
class Project:
    """The driver's module and every project module reachable from it by imports, lowered. The driver's module is under
    ``main``'s name (``__main__`` for a script)."""

    main: str
    modules: Mapping[str, ir.Module]
    sources: Mapping[str, Source]
    diagnostics: tuple[Diagnostic, ...] = ()


@frozen
class DriverBlock:
    """One of the driver's statement lists. ``scope`` indexes ``Module.scopes``; ``statements`` are those of the block
    (for a guard, the body of the ``if``)."""

    block: Block
    module: str
    scope: int
    statements: tuple[ir.Statement, ...]


@frozen
class Driver:
    """The driver's blocks in order of first execution.

    ``steps`` is program order over all blocks: the module's statements, with the guard's and the called function's
    spliced in at the place where they run. The leading imports, definitions and literals of the module
    (``prefix`` statements of it) are not steps. ``call`` is the step whose call opens the function block, if any: it
    stands in ``steps`` right before those of the function (its arguments are evaluated there; what its statement does
    with the result happens after them, which no pass needs to follow: readers of that result stay at home).
    """

    target: str
    project: Project
    entry: str
    blocks: tuple[DriverBlock, ...]
    steps: tuple[StepKey, ...]
    prefix: int = 0
    call: StepKey | None = None
    diagnostics: tuple[Diagnostic, ...] = ()

    def statement(self, key: StepKey) -> ir.Statement:
        """The statement of a step."""
        statements = self.blocks[key[0]].statements
        return statements[bisect_left(statements, key[1], key=lambda statement: statement.index)]


@frozen
class Use:
    """A name read in a step. ``defs`` are the steps whose binding may reach it; ``None`` among them stands for what is
    there before the first step (parameters, the module's prefix). ``unbound`` if some path leaves it unbound.
    ``op`` is the number of the operation (-1 inside nested scopes and compound bodies)."""

    variable: Variable
    op: int
    defs: frozenset[StepKey | None]
    unbound: bool
    span: Span


@frozen
class Bind:
    """A name bound (or deleted) in a step; ``definite`` is false where only some paths do."""

    variable: Variable
    op: int
    definite: bool
    deletes: bool
    span: Span


@frozen
class StepNames:
    uses: tuple[Use, ...]
    binds: tuple[Bind, ...]


@frozen
class DefUse:
    """Names of the driver, flow-sensitively. ``captured`` are driver locals that nested functions read or write (their
    uses count at each call that may run such a function)."""

    steps: Mapping[StepKey, StepNames]
    captured: frozenset[Variable] = frozenset()
    diagnostics: tuple[Diagnostic, ...] = ()


UNKNOWN_TYPE = "is not known, whose"
"""In the text of an obstacle: a method of that name is pure wherever one is known, but whose it is is not."""
SHARES_PARTS = "shares parts with"
"""In the text of an obstacle: the result of a call may share objects with what was there before."""


@frozen
class Opening:
    """Which functions of the project are opened that are drivers themselves: ``depth`` levels of calls; and by
    ``rules``, patterns of names (a shell's) that are opened or not whatever the depth, of which the last that matches
    decides."""

    depth: int = 2
    rules: tuple[tuple[str, bool], ...] = ()

    def said(self, *names: str) -> bool | None:
        """What the rules say of a function by its names; ``None`` if nothing."""
        found = [wanted for pattern, wanted in self.rules if any(fnmatchcase(name, pattern) for name in names)]
        return found[-1] if found else None


@frozen
class OpFacts:
    """What operation ``op`` of a step does beyond reading and binding names (-1: somewhere in a compound statement).

    ``effects`` are on objects, globals of modules (``Variable``), hidden states, files and the world. ``callees`` are
    the project functions that this operation itself may call, ``module:qualname``; ``task`` says that it is a call
    which deserves a task of its own. ``obstacles`` say why what it does is not proved to be free of anything that
    running it in another process, early, could change (unknown code, hidden state, output aliasing an input, ...).
    """

    op: int
    span: Span
    effects: tuple[Effect, ...] = ()
    callees: tuple[str, ...] = ()
    task: bool = False
    obstacles: tuple[Reason, ...] = ()
    cheap: bool = False
    """Pure, and costs next to nothing (arithmetic on scalars, attribute and item reads, displays, ``len``)."""
    label: str = ""
    """For a library call, its name as a person would say it (``read_csv``, ``fit``)."""
    runs: ProgramKind = ""
    """Whether it runs a program of its own (see ``programs``)."""
    library: tuple[str, ...] = ()
    """For a call, what it may call: qualified names of libraries (``builtins.sum``), and ``""`` for anything else."""


@frozen
class StepEffects:
    """``before`` / ``after``: for each variable named by the step, the labels of the mutable objects reachable from it
    (alias components overlap where labels do) at that point. An empty set: an immutable value."""

    ops: tuple[OpFacts, ...]
    before: Mapping[Variable, frozenset[str]] = field(factory=dict)
    after: Mapping[Variable, frozenset[str]] = field(factory=dict)
    cheap: bool = False
    """Nothing but cheap operations: glue that joins its neighbours, and may be replicated."""
    literal: bool = False
    """Binds names to literals, imports or definitions only."""
    head: OpFacts | None = None
    """Of a compound statement inside of a step: what it does but for the statements in it."""
    later: Mapping[Variable, frozenset[str]] = field(factory=dict)
    """Of a statement inside of a step, what ``before`` is in later turns of the loops around it."""


@frozen
class Refusal:
    """Why a function that puts others together is not opened; ``why`` is a key of ``notes.REASONS``."""

    why: str
    reason: Reason


@frozen
class DriverEffects:
    """``reached``: digests of the normalised source of each project function that the driver can reach. ``inside``: the
    effects of each statement inside of a step (in a compound statement or a comprehension), by ``id`` of the
    statement; ``before`` there is what the first turn of a loop finds. ``opened``: the functions whose bodies are told
    like that too, with their module and scope; ``refused``: those that put others together and are not, and why;
    ``heads``: what compound statements that are steps do but for the statements in them, by ``id``."""

    steps: Mapping[StepKey, StepEffects]
    reached: Mapping[str, str] = field(factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    inside: Mapping[int, StepEffects] = field(factory=dict)
    opened: Mapping[str, tuple[str, int]] = field(factory=dict)
    refused: Mapping[str, Refusal] = field(factory=dict)
    heads: Mapping[int, OpFacts] = field(factory=dict)
