r"""What a shell is told so that it writes its variables to a file as it ends.

A small text is read by the shell before the script. It sets a trap on EXIT, which writes the variables that are asked
for, if the script ends well; where the script sets a trap of its own there, both run. A record is the kind, the name,
the number of items, and these, each ended by a null byte:

    s\0score\0001\0000.93\0        a\0files\0002\0a.csv\0b.csv\0        A\0best\0002\0lr\0000.1\0
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

__all__ = ["SHELLS", "Dump", "epilogue", "strict_flags"]

SHELLS = frozenset({"bash", "sh", "dash", "ash", "ksh", "ksh93", "mksh", "zsh"})

_PIPEFAIL = frozenset({"bash", "zsh", "ksh", "ksh93", "mksh"})


def strict_flags(name: str) -> list[str]:
    """Options for strict mode: end at the first failure, at an unset variable, and if a part of a pipeline fails."""
    return ["-eu", "-o", "pipefail"] if name in _PIPEFAIL else ["-eu"]


class Dump(NamedTuple):
    """The file that the variables ``names`` are written to."""

    path: str
    names: tuple[str, ...]

    def read(self) -> dict[str, Any]:
        """The variables that were written; empty if the shell did not come to its end."""
        try:
            with open(self.path, "rb") as file:
                parts = file.read().split(b"\0")
        except FileNotFoundError:
            return {}
        values: dict[str, Any] = {}
        position = 0
        while position + 2 < len(parts):
            kind, name, count = (os.fsdecode(part) for part in parts[position : position + 3])
            items = [os.fsdecode(part) for part in parts[position + 3 : position + 3 + int(count)]]
            position += 3 + int(count)
            if kind == "s":
                values[name] = items[0]
            elif kind == "a":
                values[name] = items
            else:
                values[name] = dict(zip(items[::2], items[1::2]))
        return values


def epilogue(name: str, dump: Dump, bash_env: str = "") -> str:
    """What the shell ``name`` reads before the script. ``bash_env``: the file that ``BASH_ENV`` named before."""
    writers = "\n".join(_writer(name, variable) for variable in dump.names)
    target = "'" + dump.path.replace("'", "'\\''") + "'"
    text = _COMMON.replace("@WRITERS@", writers).replace("@FILE@", target)
    if name == "bash":
        restore = f"export BASH_ENV={_quoted(bash_env)}\n. {_quoted(bash_env)}\n" if bash_env else "unset BASH_ENV\n"
        text = text + _TRAP_FUNCTION + restore
    return text


_COMMON = """\
__inferflow_pid=$$
__inferflow_dump() {
    { :
@WRITERS@
    } > @FILE@
    return 0
}
__inferflow_status() { return "$1"; }
trap 'if [ $? = 0 ]; then __inferflow_dump; fi' EXIT
"""
"""The status that a script ends with is not changed by a trap, unless the trap itself calls ``exit``."""

_TRAP_FUNCTION = """\
trap() {
    if [ $# -lt 2 ] || [ "$BASHPID" != "$__inferflow_pid" ]; then builtin trap "$@"; return; fi
    local __inferflow_action=$1
    if [ "$__inferflow_action" = -- ]; then shift; __inferflow_action=$1; fi
    case $__inferflow_action in -?*) builtin trap "$@"; return ;; esac
    shift
    local __inferflow_signal
    for __inferflow_signal; do
        case $__inferflow_signal in
        EXIT | exit | SIGEXIT | 0)
            if [ "$__inferflow_action" = - ]; then __inferflow_action=:; fi
            builtin trap -- "__inferflow_code=\\$?
if [ \\$__inferflow_code = 0 ]; then __inferflow_dump
$__inferflow_action
else __inferflow_status \\$__inferflow_code || {
$__inferflow_action
}; fi" EXIT ;;
        *) builtin trap -- "$__inferflow_action" "$__inferflow_signal" ;;
        esac
    done
}
"""


def _writer(name: str, variable: str) -> str:
    """Commands that write one variable, if it is set."""
    plain = f"""if [ "${{{variable}+set}}" = set ]; then printf '%s\\000' s {variable} 1 "${variable}"; fi"""
    if name != "bash":
        return plain
    return f"""\
__inferflow_kind=$(declare -p {variable} 2>/dev/null) || :
if [[ $__inferflow_kind =~ ^declare\\ -[a-zA-Z]*A ]]; then
    printf '%s\\000' A {variable} $((2 * ${{#{variable}[@]}}))
    for __inferflow_key in "${{!{variable}[@]}}"; do
        printf '%s\\000' "$__inferflow_key" "${{{variable}[$__inferflow_key]}}"
    done
elif [[ $__inferflow_kind =~ ^declare\\ -[a-zA-Z]*a ]]; then
    printf '%s\\000' a {variable} ${{#{variable}[@]}}
    if [ ${{#{variable}[@]}} != 0 ]; then printf '%s\\000' "${{{variable}[@]}}"; fi
else
    {plain}
fi"""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
