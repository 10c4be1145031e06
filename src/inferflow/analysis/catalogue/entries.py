"""What the catalogue says about a name of a library: frozen values, made by ``notation`` from the data files.

``numpy.sort(a, axis)`` is a :class:`Signature` whose one :class:`Result` is fresh and of type ``numpy.ndarray``;
``numpy.ravel(a)`` has a result with a :class:`Link` ``view`` of ``a``; ``list.append(object)`` has a
:class:`Mutation` of ``self`` and a :class:`Keep` of ``object`` in it; ``random.random()`` reads and writes the hidden
state ``random``.

Parameters are named as in Python; ``self`` is the receiver of a method, and is not among ``params``.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from inferflow.analysis.catalogue.conditions import Condition
from inferflow.records import frozen

Relation: TypeAlias = Literal["same", "view", "contains", "elements", "element", "unknown"]
FileAct: TypeAlias = Literal["read", "write", "append", "delete", "list", "exists", "open"]
ParameterKind: TypeAlias = Literal["positional", "keyword", "either", "var_positional", "var_keyword"]


@frozen
class Parameter:
    """A parameter; ``required`` is false if it has a default (and for ``*args``, ``**kwargs``)."""

    name: str
    kind: ParameterKind = "either"
    required: bool = True


@frozen
class TypeRef:
    """A type. ``name`` is a qualified name (``builtins.list``, ``numpy.ndarray``), with what it holds in ``items``:
    ``list[str]`` has one item, ``tuple[a, b]`` one for each position, ``dict[k, v]`` two. Three special names: ``|``
    (one of ``items``), ``type`` (the type of the parameter ``of``), and the empty one: not known."""

    name: str
    items: tuple[TypeRef, ...] = ()
    of: str = ""


NO_TYPE = TypeRef("")


@frozen
class Link:
    """How a result (or attribute) hangs together with parameter ``param``.

    ``same``: it is that object. ``view``: another object over the same memory. ``contains``: it holds a reference to
    that object. ``elements``: it is a new container of the elements of that object (or hands them out one by one).
    ``element``: it is one of the elements of that object (for a mapping: one of its values).
    ``unknown``: it may be any of these. A ``*args`` or ``**kwargs`` parameter stands for each argument it collects.
    """

    relation: Relation
    param: str


@frozen
class Result:
    """What a call gives, if ``when`` holds. No ``links``: fresh, shares nothing mutable with any argument."""

    links: tuple[Link, ...] = ()
    type: TypeRef = NO_TYPE
    when: Condition = ()


@frozen
class Mutation:
    """The object given for ``param`` may be changed in place; and, if ``deep``, what it holds (a container's elements
    are never meant)."""

    param: str
    when: Condition = ()
    deep: bool = True


@frozen
class Keep:
    """After the call the object given for ``into`` holds that given for ``param`` (or, with ``elements``, its elements;
    or, with ``view``, something over its memory)."""

    param: str
    into: str = "self"
    relation: Literal["contains", "elements", "view"] = "contains"
    when: Condition = ()


@frozen
class Callback:
    """The object given for ``param`` is called, if it is a function. ``receives`` is what it gets, as links to other
    parameters (no links: fresh values, or none). ``later``: not, or not only, during this call, but when the result is
    used (``map``), or at any time afterwards (``atexit.register``). ``gives``: what it returns gets into the result."""

    param: str
    receives: tuple[Link, ...] = ()
    later: bool = False
    gives: bool = False
    when: Condition = ()


@frozen
class HiddenUse:
    """A hidden state is read or written. A generator that is drawn from is both."""

    mode: Literal["read", "write"]
    state: str
    when: Condition = ()


@frozen
class FileUse:
    """The file or folder that ``param`` names. ``open``: how is said by parameter ``mode``, as for the builtin (see
    :func:`open_acts`). ``list`` is for a folder's listing, ``exists`` for presence, size, kind and times.
    ``self`` as ``param``: the receiver is the path, or is or holds an open file. The empty ``param``: an unknown file.
    With a ``suffix``, it may also be the file of that name with this added. A folder stands for everything below it.
    A parameter that is not given: a default place (the working folder, for ``listdir``)."""

    act: FileAct
    param: str
    mode: str = ""
    when: Condition = ()
    suffix: str = ""


@frozen
class WorldUse:
    """The outside world (kinds as in :class:`inferflow.model.World`)."""

    kind: str
    when: Condition = ()


@frozen
class Signature:
    """A function, method, or class as a constructor (``kind``), by its canonical qualified ``name``.

    ``results`` are alternatives: the first whose condition holds (see :func:`possible_results`).
    ``consumes`` are parameters that are iterated over: a re-iterable one is only read by it, an iterator is changed.
    ``cheap``: pure, and costs next to nothing. ``irrevocable``: cannot be taken back, whatever else is said of it.
    ``known`` is false if the catalogue knows that the name exists and cannot say what it does.
    """

    name: str
    kind: Literal["function", "class", "method", "classmethod", "staticmethod"] = "function"
    params: tuple[Parameter, ...] = ()
    results: tuple[Result, ...] = ()
    mutates: tuple[Mutation, ...] = ()
    keeps: tuple[Keep, ...] = ()
    consumes: tuple[str, ...] = ()
    calls: tuple[Callback, ...] = ()
    hidden: tuple[HiddenUse, ...] = ()
    files: tuple[FileUse, ...] = ()
    world: tuple[WorldUse, ...] = ()
    cheap: bool = False
    irrevocable: bool = False
    known: bool = True


@frozen
class TypeInfo:
    """A class. ``immutable``: its instances cannot change, nor (unless it is a ``container`` too, as tuple is) can what
    is reached through them. ``iterator``: asking for an element changes it. ``container``: it holds references to
    arbitrary objects. ``cells``: an array or table, whose cells are taken for scalars."""

    name: str
    bases: tuple[str, ...] = ()
    immutable: bool = False
    iterator: bool = False
    container: bool = False
    cells: bool = False


@frozen
class AttrInfo:
    """An attribute of instances (links are to ``self``), or a global of a module (no links).

    ``state``: the object *is* that hidden state (``sys.path``, ``os.environ``): reading or changing it reads or writes
    the state. ``hidden``: states that reading the attribute uses."""

    name: str
    type: TypeRef = NO_TYPE
    links: tuple[Link, ...] = ()
    state: str = ""
    hidden: tuple[HiddenUse, ...] = ()
    files: tuple[FileUse, ...] = ()
    world: tuple[WorldUse, ...] = ()


@frozen
class HiddenState:
    """A process-wide state that no name in a program stands for. ``what`` is a clause for messages (``numpy's global
    random generator``). ``config``: settings that programs set once and libraries read (as opposed to a state that
    advances)."""

    name: str
    what: str
    config: bool
