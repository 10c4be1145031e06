"""How values get into a kernel and out of it, for each language.

    setting_code("python", {"lr": 0.1}, file)            # Parameters
                                                         lr = 0.1
    collecting_code("bash", ["score"], folder)           writes score to returns.json in the folder

Python takes and gives whatever can be pickled; what has no literal goes through a file. R, Julia and bash take and give
numbers, texts, truth values and lists of these (bash: texts). The code is run by the kernel, where inferflow may not be
installed.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Unsayable", "collecting_code", "is_literal", "parameter_names", "setting_code"]


class Unsayable(ValueError):
    """A value, or a language, that code cannot be written for."""


def parameter_names(language: str, source: str, asked: Sequence[str]) -> list[str]:
    """The names that a cell with parameters sets: in Python those it binds; elsewhere those of ``asked`` in it."""
    if language == "python":
        import ast

        lines = [("pass  #" + line if line.startswith(("%", "!")) else line) for line in source.splitlines()]
        try:
            tree = ast.parse("\n".join(lines))
        except SyntaxError:
            return list(asked)
        names = [n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        return list(dict.fromkeys(names))
    return [name for name in asked if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", source)]


def setting_code(language: str, values: Mapping[str, Any], file: str) -> str:
    """The text of a cell that sets variables; may write ``file`` for what has no literal. Raises Unsayable."""
    lines = ["# Parameters"]
    if language == "python":
        rest = {name: value for name, value in values.items() if not is_literal(value)}
        lines += [f"{name} = {_python(value)}" for name, value in values.items() if name not in rest]
        if rest:
            _pickle_to(file, rest)
            lines += [
                "import pickle as _pickle",
                f"with open({file!r}, 'rb') as _file:",
                "    globals().update(_pickle.load(_file))",
                "del _file, _pickle",
            ]
    elif language == "r":
        lines += [f"{name} <- {_r(value)}" for name, value in values.items()]
    elif language == "julia":
        lines += [f"{name} = {_julia(value)}" for name, value in values.items()]
    elif language == "bash":
        lines += [f"{name}={_bash(value)}" for name, value in values.items()]
    else:
        raise Unsayable(f"parameters can be set in Python, R, Julia and bash, not in {language}")
    return "\n".join(lines)


def collecting_code(language: str, names: Sequence[str], folder: str) -> str:
    """Code that writes variables to ``returns.pkl`` (Python) or ``returns.json`` in ``folder``. Raises Unsayable."""
    target = os.path.join(folder, "returns.json")
    if language == "python":
        return _PYTHON.format(names=list(names), file=os.path.join(folder, "returns.pkl"))
    if language == "r":
        listed = ", ".join(json.dumps(name) for name in names)
        return _R.format(names=listed, file=json.dumps(target))
    if language == "julia":
        listed = ", ".join(f":{name}" for name in names)
        return _JULIA.format(names=listed, file=json.dumps(target))
    if language == "bash":
        return _bash_collecting(names, target)
    raise Unsayable(f"variables can be returned from Python, R, Julia and bash, not from {language}")


# -- Python ------------------------------------------------------------------------------------------

_PYTHON = """\
def _inferflow_return():
    import io, pickle
    try:
        from cloudpickle import CloudPickler as Pickler
    except ImportError:
        from pickle import Pickler
    class Values(Pickler):
        def reducer_override(self, value):
            if isinstance(value, io.IOBase) and not isinstance(value, (io.BytesIO, io.StringIO)):
                raise TypeError('an open file cannot be handed over')
            inherited = getattr(super(), 'reducer_override', None)
            return inherited(value) if inherited else NotImplemented
    def dumps(value):
        target = io.BytesIO()
        Values(target).dump(value)
        return target.getvalue()
    out = {{}}
    for name in {names!r}:
        if name in globals():
            try:
                out[name] = (dumps(globals()[name]), '')
            except Exception as error:
                out[name] = (None, type(error).__name__ + ': ' + str(error))
    with open({file!r}, 'wb') as file:
        pickle.dump(out, file)
_inferflow_return()
del _inferflow_return"""


def is_literal(value: Any) -> bool:
    """Whether the value's text, as Python writes it, makes the same value in any Python."""
    if value is None or type(value) in (bool, int, float, str, bytes):
        return True
    if type(value) in (list, tuple):
        return len(value) < 1000 and all(map(is_literal, value))
    return type(value) is dict and len(value) < 1000 and all(is_literal(k) and is_literal(v) for k, v in value.items())


def _python(value: Any) -> str:
    if type(value) is float and not math.isfinite(value):
        return f"float({str(value)!r})"
    if type(value) is list:
        return f"[{', '.join(map(_python, value))}]"
    if type(value) is tuple:
        return f"({', '.join(map(_python, value))}{',' if len(value) == 1 else ''})"
    if type(value) is dict:
        return "{" + ", ".join(f"{_python(k)}: {_python(v)}" for k, v in value.items()) + "}"
    return repr(value)


def _pickle_to(file: str, values: Mapping[str, Any]) -> None:
    try:
        from cloudpickle import dumps
    except ImportError:
        from pickle import dumps
    with open(file, "wb") as target:
        target.write(dumps(dict(values), protocol=min(pickle.HIGHEST_PROTOCOL, 4)))


# -- R, Julia, bash ----------------------------------------------------------------------------------

_R = """\
local({{
  put_ <- function(old, new, x) gsub(old, new, x, fixed = TRUE)
  quote_ <- function(x) paste0('"', put_('\\n', '\\\\n', put_('"', '\\\\"', put_('\\\\', '\\\\\\\\', x))), '"')
  one_ <- function(x) {{
    if (is.null(x) || (length(x) == 1 && is.atomic(x) && is.na(x))) return('null')
    if (is.list(x)) {{
      parts <- vapply(x, one_, '')
      if (is.null(names(x))) return(paste0('[', paste(parts, collapse = ', '), ']'))
      return(paste0('{{', paste0(quote_(names(x)), ': ', parts, collapse = ', '), '}}'))
    }}
    text <- if (is.logical(x)) tolower(as.character(x))
      else if (is.numeric(x)) format(x, digits = 17, trim = TRUE)
      else quote_(as.character(x))
    if (length(x) == 1) text else paste0('[', paste(text, collapse = ', '), ']')
  }}
  names_ <- Filter(function(n) exists(n, envir = globalenv()), c({names}))
  parts <- vapply(names_, function(n) paste0(quote_(n), ': ', one_(get(n, envir = globalenv()))), '')
  writeLines(paste0('{{', paste(parts, collapse = ', '), '}}'), {file})
}})"""

_JULIA = """\
let
    one_(x::Nothing) = "null"
    one_(x::Bool) = x ? "true" : "false"
    one_(x::Real) = string(x)
    one_(x::AbstractString) = string('"', escape_string(x, ['$']), '"')
    one_(x::Symbol) = one_(string(x))
    one_(x::Union{{AbstractVector, Tuple}}) = string("[", join(map(one_, collect(x)), ", "), "]")
    one_(x::AbstractDict) = string("{{", join([string(one_(string(k)), ": ", one_(v)) for (k, v) in x], ", "), "}}")
    open({file}, "w") do io
        there = filter(n -> isdefined(Main, n), [{names}])
        print(io, "{{", join([string(one_(n), ": ", one_(getfield(Main, n))) for n in there], ", "), "}}")
    end
end"""


def _bash_collecting(names: Sequence[str], target: str) -> str:
    parts = [
        f'if [ "${{{name}+set}}" = set ]; then v=${name}; v=${{v//\\\\/\\\\\\\\}}; v=${{v//\\"/\\\\\\"}}; '
        f"v=${{v//$'\\n'/\\\\n}}; v=${{v//$'\\t'/\\\\t}}; "
        f'printf \'%s"%s": "%s"\' "$c" {name} "$v"; c=\', \'; fi'
        for name in names
    ]
    body = "; ".join(parts)
    return f"( c=''; printf '{{'; {body}; printf '}}' ) > '{target}'"


def _r(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return f"{value}L" if abs(value) < 2**31 else repr(float(value))
    if isinstance(value, float):
        return {"inf": "Inf", "-inf": "-Inf", "nan": "NaN"}.get(repr(value), repr(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        scalar = all(isinstance(item, (bool, int, float, str)) for item in value)
        alike = len({type(item) for item in value}) == 1
        return f"{'c' if scalar and alike else 'list'}({', '.join(map(_r, value))})"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return f"list({', '.join(f'`{key}` = {_r(item)}' for key, item in value.items())})"
    raise Unsayable(f"a {type(value).__name__} cannot be handed to R")


def _julia(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return repr(int(value))
    if isinstance(value, float):
        return {"inf": "Inf", "-inf": "-Inf", "nan": "NaN"}.get(repr(value), repr(value))
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("$", "\\$")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_julia, value))}]"
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return f"Dict({', '.join(f'{_julia(key)} => {_julia(item)}' for key, item in value.items())})"
    raise Unsayable(f"a {type(value).__name__} cannot be handed to Julia")


def _bash(value: Any) -> str:
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, (int, float, str)):
        text = str(value)
    elif isinstance(value, (list, tuple)) and all(isinstance(item, (bool, int, float, str)) for item in value):
        return f"({' '.join(map(_bash, value))})"
    else:
        raise Unsayable(f"a {type(value).__name__} cannot be handed to bash")
    return "'" + text.replace("'", "'\\''") + "'"
