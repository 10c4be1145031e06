"""What is known about libraries: the effects of their functions, methods and attributes, as data.

``data/*.effects`` holds one file for each top-level library in a line notation (see ``notation`` and
``docs/catalogue.md``); :func:`load_catalogue` gives a :class:`Catalogue` that reads a file when a name of that library
is first asked for, and a line of it when that very name is.

    catalogue = load_catalogue()
    signature = catalogue.method("pandas.DataFrame", "dropna")
    arguments = Arguments({"inplace": True})
    [m.param for m in signature.mutates if applies(m.when, arguments) is not False]      # ['self']
    [r.type.name for r in possible_results(signature, arguments)]                        # ['builtins.NoneType']
"""

from inferflow.analysis.catalogue.conditions import (
    ABSENT,
    NUMBER,
    PLAIN,
    SLICE,
    SOMETHING,
    TEXT,
    UNKNOWN,
    Arguments,
    Check,
    Condition,
    Marker,
    applies,
)
from inferflow.analysis.catalogue.entries import (
    AttrInfo,
    Callback,
    FileUse,
    HiddenState,
    HiddenUse,
    Keep,
    Link,
    Mutation,
    Parameter,
    Result,
    Signature,
    TypeInfo,
    TypeRef,
    WorldUse,
)
from inferflow.analysis.catalogue.lookup import (
    Catalogue,
    bind,
    load_catalogue,
    open_acts,
    possible_results,
)
from inferflow.analysis.catalogue.notation import Malformed

__all__ = [
    "ABSENT",
    "NUMBER",
    "PLAIN",
    "SLICE",
    "SOMETHING",
    "TEXT",
    "UNKNOWN",
    "Arguments",
    "AttrInfo",
    "Callback",
    "Catalogue",
    "Condition",
    "FileUse",
    "HiddenState",
    "HiddenUse",
    "Keep",
    "Link",
    "Malformed",
    "Marker",
    "Mutation",
    "Parameter",
    "Result",
    "Signature",
    "Check",
    "TypeInfo",
    "TypeRef",
    "WorldUse",
    "applies",
    "bind",
    "load_catalogue",
    "open_acts",
    "possible_results",
]
