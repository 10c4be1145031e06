"""The lines that only IPython understands, as Python that has the same effects, line for line.

    cell_python(["%time x = f()", "!ls {x}"])
        -> (["with _ipython.timed('time'): x = f()", "_ipython.system('ls {x}', x)"], 2, False)

``_ipython`` stands for ``ipython_magics`` in the catalogue, which says what each of them does. A magic of which nothing
is known becomes ``exec``, which may do and bind anything. ``%run script.py`` binds the names that the script's text
binds, where that can be read (``names_in``).
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator
from typing import TypeAlias

__all__ = ["NamesIn", "around", "cell_python", "nothing_known", "script_names", "settle_names"]

NamesIn: TypeAlias = "Callable[[str], tuple[str, ...] | None]"
"""The names that a script, as ``%run`` names it, binds; None if that is not known."""


def nothing_known(script: str) -> None:
    """No script can be read."""


IF_BOUND = "_ipython_if_bound_"


def cell_python(lines: list[str], names_in: NamesIn = nothing_known) -> tuple[list[str], int, bool]:
    """A cell's lines as Python (as many), how many statements these are, and whether they stand for the whole cell: a
    cell magic, or a cell that Python cannot read (the run ends there)."""
    first = next(index for index, line in enumerate(lines) if line.strip())
    if lines[first].startswith("%%"):
        return _cell_magic(lines, first, names_in), 1, True
    try:
        return lines, len(_parse("\n".join(lines))), False
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    out = _dedented(_without_prompts(lines))
    written = list(out)
    for begin, end in _logical_lines(out):
        text = "\n".join(out[begin : end + 1])
        code = _line_magic(text, names_in)
        if code is not None:
            written[begin] = code
            written[begin + 1 : end + 1] = [""] * (end - begin)
    try:
        return written, len(_parse("\n".join(written))), False
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ["raise SyntaxError", *[""] * (len(lines) - 1)], 1, True


def _parse(text: str) -> list[ast.stmt]:
    tree = ast.parse(text)
    compile(tree, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return tree.body


def _without_prompts(lines: list[str]) -> list[str]:
    """Without the prompts of a session that was pasted."""
    prompt = re.compile(r"(>>> ?|\.\.\. ?|In \[\d+\]: ?|   \.+: ?)")
    if any(line.startswith((">>>", "In [")) for line in lines):
        return [prompt.sub("", line, count=1) if prompt.match(line) else line for line in lines]
    return lines


def _dedented(lines: list[str]) -> list[str]:
    first = next(line for line in lines if line.strip())
    indent = first[: len(first) - len(first.lstrip())]
    if not indent:
        return lines
    return [line[len(indent) :] if line.startswith(indent) else line for line in lines]


def around(head: str, written: list[str], tail: str = "") -> list[str]:
    """A compound statement around a cell: the head on the line of its first statement, which moves behind it."""
    body = [f" {line}" if line.strip() else line for line in written]
    at = next(index for index, line in enumerate(body) if line.strip())
    simple = not re.match(r"\s*(async |class |def |for |if |while |with |try\b|match |@|#)", body[at])
    if simple and len([line for line in body if line.strip()]) == 1:
        body[at] = f"{head} {body[at].strip()}"
    else:
        body[at] = f"{head}\n{body[at]}"
        return "\n".join([*body, *([tail] if tail else [])]).split("\n")
    return [*body, tail] if tail else body


# -- magics ------------------------------------------------------------------------------------------

_BODY_RUNS = frozenset(["time", "timeit", "prun", "memit", "mprun", "capture", "scalene", "memray_flamegraph"])
_SHOWS = frozenset(["html", "svg", "latex", "markdown", "javascript", "js"])
_SCRIPTS = frozenset(
    ["bash", "sh", "script", "perl", "ruby", "python", "python2", "python3", "pypy", "cmd", "!", "sx", "system"]
)
_NAMES = re.compile(r"[A-Za-z_]\w*\Z")


def _cell_magic(lines: list[str], first: int, names_in: NamesIn) -> list[str]:
    name, _, rest = lines[first][2:].partition(" ")
    body = lines[first + 1 :]
    blank = [""] * first

    def one(code: str) -> list[str]:
        return [*blank, code, *[""] * len(body)]

    if name in _BODY_RUNS:
        try:
            there = any(line.strip() for line in body)
            inner, _, _ = cell_python(body, names_in) if there else (["pass"] * len(body), 0, False)
            _parse("\n".join(inner))
        except (SyntaxError, ValueError):
            return one("exec(_ipython.text)")
        if not any(line.strip() and not line.lstrip().startswith("#") for line in inner):
            return one("pass")
        words = rest.split()
        bound = f" as {words[-1]}" if name == "capture" and words and _NAMES.match(words[-1]) else ""
        text = [f" {line}" if line.strip() else line for line in inner]
        return [*blank, f"with _ipython.timed({name!r}){bound}:", *text]
    if name in _SHOWS:
        return one(f"_ipython.show({name!r})")
    if name in _SCRIPTS:
        found = re.search(r"--out[ =](\w+)", rest)
        target = f"{found[1]} = " if found else ""
        command = "\n".join(body)
        return one(f"{target}_ipython.script({name!r}, {command!r})")
    if name in ("writefile", "file"):
        words = [word for word in rest.split() if not word.startswith("-")]
        return one(f"_ipython.writefile({words[-1]!r})" if words else "raise SyntaxError")
    return one("exec(_ipython.text)")


_ASSIGNED = re.compile(r"(\s*)([A-Za-z_][\w.\[\], '\"*()]*?)\s*=\s*([%!])(.*)\Z", re.DOTALL)


def _line_magic(text: str, names_in: NamesIn) -> str | None:
    """A logical line that is IPython's, as Python on one line; None if it is plain Python."""
    joined = text.replace("\\\n", " ")
    stripped = joined.strip()
    indent = joined[: len(joined) - len(joined.lstrip())]
    if stripped.startswith("!!"):
        return f"{indent}_ipython.getoutput({stripped[2:].strip()!r}{_interpolated(stripped)})"
    if stripped.startswith("!"):
        return f"{indent}_ipython.system({stripped[1:].strip()!r}{_interpolated(stripped)})"
    if stripped.startswith("%") and not stripped.startswith("%%"):
        return indent + _magic(stripped[1:], names_in)
    if stripped.startswith(("?", "%%")) or (stripped.endswith("?") and not stripped.startswith("#")):
        return f"{indent}_ipython.tell({stripped.strip('?')!r})"
    assigned = _ASSIGNED.match(joined)
    if assigned is not None:
        space, target, sign, rest = assigned.groups()
        if sign == "!":
            return f"{space}{target} = _ipython.getoutput({rest.strip()!r}{_interpolated(rest)})"
        return f"{space}{target} = {_magic(rest, names_in, value=True)}"
    if stripped.startswith((",", ";", "/")):
        return f"{indent}exec(_ipython.text)"
    return None


_KNOWN = {
    "matplotlib": "matplotlib", "config": "config", "autosave": "tell", "autoreload": "config", "pwd": "pwd",
    "env": "env", "set_env": "env", "cd": "cd", "pushd": "cd", "popd": "cd", "pip": "pip", "conda": "pip",
    "mamba": "pip", "uv": "pip", "who": "tell", "whos": "tell", "who_ls": "tell", "history": "tell", "hist": "tell",
    "lsmagic": "tell", "pinfo": "tell", "pinfo2": "tell", "pdoc": "tell", "psource": "tell", "quickref": "tell",
    "precision": "config", "colors": "config", "xmode": "config", "pprint": "config", "ls": "system", "ll": "system",
    "cat": "system", "mkdir": "system", "rm": "system", "cp": "system", "mv": "system", "rmdir": "system",
    "sx": "getoutput", "system": "getoutput", "alias": "config", "page": "tell", "psearch": "tell", "pdb": "config",
    "autocall": "config", "automagic": "config", "logstop": "tell", "matplotlib_inline": "config",
    "unload_ext": "config", "killbgscripts": "system", "dhist": "tell", "tb": "tell", "conda_env": "tell",
}  # fmt: skip
_QUIET_EXTENSIONS = frozenset(
    ["autoreload", "line_profiler", "memory_profiler", "tensorboard", "watermark", "nb_black"]
)


def _magic(text: str, names_in: NamesIn, value: bool = False) -> str:
    """``time f(x)`` (of ``%time f(x)``) as Python on one line."""
    name, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    if name in _BODY_RUNS:
        statement = re.sub(r"^(-\w+(\s+\d+)?\s+)+", "", rest)
        try:
            body = _parse(statement)
        except (SyntaxError, ValueError):
            body = []
        simple = len(body) == 1 and "\n" not in statement and not hasattr(body[0], "body")
        if value:
            return (
                f"_ipython.result({statement})" if simple and isinstance(body[0], ast.Expr) else "eval(_ipython.text)"
            )
        return f"with _ipython.timed({name!r}): {statement}" if simple else "exec(_ipython.text)"
    if name in ("load_ext", "reload_ext") and rest in _QUIET_EXTENSIONS:
        return f"_ipython.config({rest!r})"
    if name == "run" and not value:
        return _run(rest, names_in)
    if name in ("env", "set_env") and "=" not in rest and len(rest.split()) < 2:
        return f"_ipython.environ({rest!r})"
    if name in _KNOWN:
        return f"_ipython.{_KNOWN[name]}({rest!r}{_interpolated(rest)})"
    return "eval(_ipython.text)" if value else "exec(_ipython.text)"


_RUN_OPTIONS = re.compile(r"-(n|t|e|N\d+)\Z")
"""Options of ``%run`` with which the script still has a namespace of its own, of which all names are taken over."""


def _run(rest: str, names_in: NamesIn) -> str:
    try:
        words = shlex.split(rest)
    except ValueError:
        words = []
    while words and _RUN_OPTIONS.match(words[0]):
        del words[0]
    script = words[0] if words else ""
    if not script or script.startswith("-") or re.search(r"[{}$*?]", rest):
        return "exec(_ipython.text)"
    script = script if script.endswith(".py") or "." in script.rpartition("/")[2] else f"{script}.py"
    names = names_in(script) if script.endswith(".py") else None
    if names is None:
        return "exec(_ipython.text)"
    targets = "".join(f"{name}, " for name in names)
    return f"{targets}= _ipython.run({script!r})" if targets else f"_ipython.run({script!r})"


def script_names(text: str) -> tuple[str, ...] | None:
    """The names that a script may bind in its module, in order; None if its text does not say."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: dict[str, None] = {}
    todo: list[tuple[ast.AST, bool]] = [(node, True) for node in reversed(tree.body)]
    while todo:
        node, at_top = todo.pop()
        match node:
            case ast.ImportFrom(names=[ast.alias(name="*")]):
                return None
            case ast.Name(id="exec" | "eval" | "globals" | "vars" | "locals" | "get_ipython"):
                return None
            case ast.Global(names=names):
                found.update(dict.fromkeys(names))
            case ast.Name(id=name, ctx=ast.Store()) if at_top:
                found[name] = None
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name) if at_top:
                found[name] = None
            case ast.alias(name=name, asname=asname) if at_top:
                found[(asname or name).partition(".")[0]] = None
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                if at_top:
                    found[name] = None
            case ast.MatchMapping(rest=str(name)) if at_top:
                found[name] = None
            case _:
                pass
        inside = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        inner = at_top and not isinstance(node, inside)
        todo += [(child, inner) for child in reversed(list(ast.iter_child_nodes(node)))]
    return tuple(name for name in found if not (name.startswith("__") and name.endswith("__")))


def _interpolated(command: str) -> str:
    """The names that a command takes from Python (``{x}``, ``$x``), as further arguments; they may be the shell's own,
    so ``settle_names`` has the last word."""
    found = [match[1] or match[2] for match in re.finditer(r"\{([^{}]+)\}|\$([A-Za-z_]\w*)", command)]
    names: list[str] = []
    for expression in found:
        try:
            tree = ast.parse(expression.strip(), mode="eval")
        except SyntaxError:
            continue
        names += [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return "".join(f", {IF_BOUND}{name}" for name in dict.fromkeys(names))


def settle_names(text: str) -> str:
    """Keep of the names in commands those that the notebook binds."""
    if IF_BOUND not in text:
        return text
    bound = {"In", "Out"}
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.alias():
                bound.add((node.asname or node.name).partition(".")[0])
            case _:
                pass
    return re.sub(rf", {IF_BOUND}(\w+)", lambda found: f", {found[1]}" if found[1] in bound else "", text)


# -- logical lines -----------------------------------------------------------------------------------

_STRING = re.compile(r"[rRbBuUfFtT]{0,2}('''|\"\"\"|'|\")")


def _logical_lines(lines: list[str]) -> Iterator[tuple[int, int]]:
    """First and last physical line of each logical line; a line of IPython's ends with it, or goes on behind ``\\``."""
    index = 0
    while index < len(lines):
        begin = index
        head = lines[index].lstrip()
        if head.startswith(("%", "!", "?")) or _ASSIGNED.match(lines[index]):
            while lines[index].endswith("\\") and index + 1 < len(lines):
                index += 1
        else:
            index = _python_end(lines, index)
        yield begin, index
        index += 1


def _python_end(lines: list[str], index: int) -> int:
    """The physical line at which the logical line that begins at ``index`` ends."""
    depth, quote = 0, ""
    while index < len(lines):
        line = lines[index]
        position = 0
        while position < len(line):
            if quote:
                end = line.find(quote, position)
                escape = line.find("\\", position)
                if escape != -1 and (end == -1 or escape < end):
                    position = escape + 2
                    continue
                if end == -1:
                    if len(quote) == 1:
                        quote = ""  # it ends with the line, or goes on behind a backslash, which is rare
                    break
                position = end + len(quote)
                quote = ""
                continue
            found = _STRING.match(line, position)
            if found:
                quote = found[1]
                position = found.end()
                continue
            letter = line[position]
            if letter == "#":
                break
            depth += (letter in "([{") - (letter in ")]}")
            position += 1
        if depth <= 0 and not quote and not line.endswith("\\"):
            return index
        index += 1
    return len(lines) - 1
