"""attrs classes whose methods are made when they are used.

attrs writes the methods of a class as text and compiles it: a third of a millisecond a class, and for most classes that
a command loads, nothing but their names is ever used. Here a class gets its slots at once; constructor, comparison and
hash are compiled when they are first called, and attrs itself is loaded when somebody asks for the fields:

    @frozen
    class Point:
        x: int                           Point.__slots__ == ("x", "y", "__weakref__")
        y: int = 0                       Point(1)               compiles Point.__init__
                                         attrs.fields(Point)    imports attrs

For the type checker, and for whoever reads fields (``attrs.fields``, ``attrs.asdict``, cattrs), these are the functions
of attrs. What is left out of attrs: converters, validators, inheritance between such classes, classes without slots.
"""

from __future__ import annotations

from reprlib import recursive_repr

TYPE_CHECKING = False  # typing takes as long to load as an interpreter to start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from attrs import define, evolve, field, frozen

__all__ = ["define", "evolve", "field", "field_names", "frozen"]

_MISSING = object()


class _Field:
    """What stands in a class for a field that has more than a plain default."""

    def __init__(
        self,
        default: Any = _MISSING,
        factory: Callable[[], Any] | None = None,
        init: bool = True,
        repr: bool = True,
        eq: bool = True,
    ) -> None:
        self.default, self.factory = default, factory
        self.init, self.repr, self.eq = init, repr, eq


class _Attributes:
    """``__attrs_attrs__`` of a class, made by attrs when it is asked for."""

    def __init__(self, fields: dict[str, _Field], annotations: dict[str, Any]) -> None:
        self.fields, self.annotations = fields, annotations

    def __get__(self, instance: object, owner: type) -> Any:
        import attrs

        body: dict[str, Any] = {"__annotations__": self.annotations, "__module__": owner.__module__}
        for name, its in self.fields.items():
            given: dict[str, Any] = {"init": its.init, "repr": its.repr, "eq": its.eq}
            if its.factory is not None:
                given["factory"] = its.factory
            elif its.default is not _MISSING:
                given["default"] = its.default
            body[name] = attrs.field(**given)
        twin: Any = attrs.define(init=False, repr=False, eq=False, slots=False)(type(owner.__name__, (), body))
        made = twin.__attrs_attrs__
        owner.__attrs_attrs__ = made  # type: ignore[attr-defined]
        return made


def field_names(cls: type) -> tuple[str, ...]:
    """The names of the fields of a record's class, in order; none for any other class."""
    names: tuple[str, ...] = getattr(cls, "__record__", ())
    return names


class _Signature:
    """``__signature__`` of a class, which looks at its constructor."""

    def __get__(self, instance: object, owner: Any) -> Any:
        import inspect

        made = getattr(owner.__init__, "made", None)
        if made is not None:
            its = made()
            its.__annotations__ = {argument: owner.__annotations__[name] for name, argument in owner.__arguments__} | {
                "return": None
            }
        its_own = inspect.signature(owner.__init__)
        owner.__signature__ = its_own.replace(parameters=list(its_own.parameters.values())[1:])
        return owner.__signature__


def _evolve(instance: Any, **changes: Any) -> Any:
    """A copy of ``instance`` with other values for some fields."""
    cls = instance.__class__
    for name, argument in cls.__arguments__:
        if argument not in changes:
            changes[argument] = getattr(instance, name)
    return cls(**changes)


def _define(cls: type | None = None, *, eq: bool = True, order: bool = False, frozen: bool = False) -> Any:
    if cls is None:
        return lambda cls: _made(cls, eq, order, frozen)
    return _made(cls, eq, order, frozen)


def _frozen(cls: type | None = None, *, eq: bool = True, order: bool = False) -> Any:
    return _define(cls, eq=eq, order=order, frozen=True)


if not TYPE_CHECKING:
    define, evolve, field, frozen = _define, _evolve, _Field, _frozen


# -- making a class --------------------------------------------------------------------------------


def _made(cls: type, eq: bool, order: bool, frozen: bool) -> type:
    """The class again, with slots for its fields and the methods of a record."""
    body = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    annotations = {name: told for name, told in cls.__annotations__.items() if "ClassVar" not in str(told)}
    fields = {}
    for name in annotations:
        given = body.pop(name, _MISSING)
        fields[name] = given if isinstance(given, _Field) else _Field(given)
    arguments = [(name, name.lstrip("_")) for name, its in fields.items() if its.init]
    body["__slots__"] = (*fields, "__weakref__")
    body["__match_args__"] = tuple(name for name, _ in arguments)
    body["__record__"] = tuple(fields)
    body["__arguments__"] = tuple(arguments)
    body["__signature__"] = _Signature()
    body["__attrs_attrs__"] = _Attributes(fields, annotations)
    made: Any = type(cls)(cls.__name__, cls.__bases__, body)
    slots = [vars(made)[name] for name in fields]

    def own(name: str, function: Any) -> None:
        if name not in body:
            function.__qualname__ = f"{made.__qualname__}.{name}"
            setattr(made, name, function)

    own("__init__", _later(made, "__init__", lambda: _init_text(made, fields, frozen)))
    own("__repr__", _repr_of([name for name, its in fields.items() if its.repr]))
    compared = [name for name, its in fields.items() if its.eq]
    if eq:
        own("__eq__", _later(made, "__eq__", lambda: _eq_text(compared)))
        if frozen:
            own("__hash__", _later(made, "__hash__", lambda: _hash_text(compared)))
        else:
            made.__hash__ = None
    if order:
        for name, function in _orders(compared).items():
            own(name, function)
    if frozen:
        own("__setattr__", _refuse)
        own("__delattr__", _refuse)
    own("__getstate__", lambda self: tuple(slot.__get__(self) for slot in slots))
    own("__setstate__", _setstate_of(slots))
    result: type = made
    return result


def _later(cls: Any, name: str, text: Callable[[], tuple[str, dict[str, Any]]]) -> Any:
    """A method that is compiled when it is first called."""

    def made() -> Any:
        source, space = text()
        exec(compile(source, f"<{name} of {cls.__module__}.{cls.__qualname__}>", "exec"), space)
        method = space[name]
        method.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, method)
        return method

    def first(self: Any, *arguments: Any, **named: Any) -> Any:
        return made()(self, *arguments, **named)

    first.made = made  # type: ignore[attr-defined]
    return first


def _init_text(cls: Any, fields: dict[str, _Field], frozen: bool) -> tuple[str, dict[str, Any]]:
    space: dict[str, Any] = {"_missing": _MISSING}
    parameters, lines = ["self"], []
    for number, (name, its) in enumerate(fields.items()):
        argument = name.lstrip("_")
        if its.factory is not None:
            space[f"_made_{number}"] = its.factory
            value = f"_made_{number}()"
            if its.init:
                parameters.append(f"{argument}=_missing")
                value = f"{value} if {argument} is _missing else {argument}"
        elif its.init:
            value = argument
            if its.default is not _MISSING:
                space[f"_default_{number}"] = its.default
                parameters.append(f"{argument}=_default_{number}")
            else:
                parameters.append(argument)
        elif its.default is not _MISSING:
            space[f"_default_{number}"] = its.default
            value = f"_default_{number}"
        else:
            continue
        if frozen:
            space[f"_set_{number}"] = vars(cls)[name].__set__
            lines.append(f" _set_{number}(self, {value})")
        else:
            lines.append(f" self.{name} = {value}")
    if hasattr(cls, "__attrs_post_init__"):
        lines.append(" self.__attrs_post_init__()")
    return f"def __init__({', '.join(parameters)}):\n" + "\n".join(lines or [" pass"]), space


def _eq_text(names: list[str]) -> tuple[str, dict[str, Any]]:
    same = " and ".join(f"self.{name} == other.{name}" for name in names) or "True"
    head = "def __eq__(self, other):\n if other.__class__ is not self.__class__:\n  return NotImplemented\n"
    return f"{head} return {same}", {}


def _hash_text(names: list[str]) -> tuple[str, dict[str, Any]]:
    values = "".join(f", self.{name}" for name in names)
    return f"def __hash__(self):\n return hash((self.__class__{values}))", {}


def _orders(names: list[str]) -> dict[str, Any]:
    import operator

    def values(record: Any) -> tuple[Any, ...]:
        return tuple(getattr(record, name) for name in names)

    def method(compare: Callable[[Any, Any], bool]) -> Any:
        def compared(self: Any, other: Any) -> Any:
            if other.__class__ is not self.__class__:
                return NotImplemented
            return compare(values(self), values(other))

        return compared

    return {f"__{name}__": method(getattr(operator, name)) for name in ("lt", "le", "gt", "ge")}


def _repr_of(names: list[str]) -> Any:
    @recursive_repr()
    def __repr__(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" if hasattr(self, name) else f"{name}=?" for name in names)
        return f"{self.__class__.__qualname__.rpartition('>.')[2]}({shown})"

    return __repr__


def _setstate_of(slots: list[Any]) -> Any:
    setters = [slot.__set__ for slot in slots]

    def __setstate__(self: Any, state: tuple[Any, ...]) -> None:
        for put, value in zip(setters, state, strict=True):
            put(self, value)

    return __setstate__


def _refuse(self: Any, name: str, value: Any = None) -> NoReturn:
    from attrs.exceptions import FrozenInstanceError

    raise FrozenInstanceError
