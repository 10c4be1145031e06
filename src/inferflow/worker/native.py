"""A driver function called as its user would call it, for ``inferflow verify``: import the module, call the function.

    python -c "..." '{"module": "driver", "function": "main", "path0": "/p", "argv": ["driver.py"], "parameters": {}}'

A script needs none of this: ``python driver.py`` is run itself.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

__all__ = ["main", "native_code"]


def native_code(package: str) -> str:
    """The text for ``python -c``: ``package`` is the folder in which inferflow stands."""
    return f"import sys; sys.path[0] = {package!r}; from inferflow.worker.native import main; main(sys.argv[1])"


def main(text: str) -> None:
    """Call the function that the order names, and end as the interpreter would."""
    from inferflow.worker.ending import show, stripped
    from inferflow.worker.parameters import arguments, bind
    from inferflow.worker.watch import begin, returned

    order = json.loads(text)
    told = os.environ.pop("_INFERFLOW_WATCH", "")
    if told:
        begin(told)
    sys.argv = order["argv"]
    sys.path[0] = order["path0"]
    try:
        function = importlib.import_module(order["module"])
        for part in order["function"].split("."):
            function = getattr(function, part)
        bare = function
        while hasattr(bare, "__wrapped__"):
            bare = bare.__wrapped__
        positional, named = arguments(function, bind(bare, order["parameters"]))  # type: ignore[arg-type]
        returned(function(*positional, **named))  # type: ignore[operator]
    except SystemExit as error:
        raise stripped(error) from None
    except BaseException as error:
        show(stripped(error))
        sys.exit(130 if isinstance(error, KeyboardInterrupt) else 1)
