"""What ``inferflow verify`` prints: the same, with counts; or the first difference, with both values.

driver.py: different
first difference  stdout, line 3
                  from report, driver.py:41
native            total 42
inferred          total 41
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from inferflow.render.style import clean, compose, wrap
from inferflow.render.units import count, duration

__all__ = ["render_verdict"]

MARGIN = 12
MOST = 12
"""So many lines of a text that differs are shown."""


class Difference(Protocol):
    """See ``session.verify_compare``."""

    @property
    def row(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def native(self) -> str: ...
    @property
    def inferred(self) -> str: ...
    @property
    def how(self) -> str: ...


class Finding(Protocol):
    """See ``session.verify``."""

    @property
    def difference(self) -> Difference: ...
    @property
    def task(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def line(self) -> int: ...


class Trial(Protocol):
    """See ``session.verify``."""

    @property
    def jobs(self) -> int: ...
    @property
    def shake(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def tasks(self) -> int: ...
    @property
    def ahead(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def differences(self) -> int: ...
    @property
    def findings(self) -> Sequence[Finding]: ...


class Verdict(Protocol):
    """See ``session.verify``."""

    @property
    def same(self) -> bool: ...
    @property
    def exit_status(self) -> int: ...
    @property
    def native_seconds(self) -> float: ...
    @property
    def native_runs(self) -> int: ...
    @property
    def trials(self) -> Sequence[Trial]: ...
    @property
    def counts(self) -> Mapping[str, int]: ...
    @property
    def excused(self) -> Sequence[Difference]: ...
    @property
    def remarks(self) -> Sequence[str]: ...


def render_verdict(target: str, verdict: Verdict, width: int = 80, color: bool = False) -> str:
    """The answer, ending in a newline."""
    word, role = ("same", "ok") if verdict.same else ("different", "fail")
    lines = [compose([(clean(target), "title"), (": ", ""), (word, role)], width, color)]
    counts = [f"{number} {name}" for name, number in verdict.counts.items() if number]
    lines += _entry("compared", ", ".join([f"exit status {verdict.exit_status}", *counts]), width, color)
    runs = f", {verdict.native_runs} runs" if verdict.native_runs > 1 else ""
    lines += _entry("native", duration(verdict.native_seconds) + runs, width, color)
    for trial in verdict.trials:
        lines += _entry("inferred", _trial(trial), width, color)
    lines += _first(verdict, width, color)
    for text in _excused(verdict.excused):
        lines += _entry("native too", text, width, color)
    for remark in verdict.remarks:
        lines += _entry("note", clean(remark), width, color)
    return "\n".join(lines) + "\n"


def _trial(trial: Trial) -> str:
    told = [duration(trial.seconds), count(trial.jobs, "process", "processes"), count(trial.tasks, "task")]
    told += [f"{trial.ahead} ahead"] if trial.ahead else []
    told += [f"{trial.dropped} dropped"] if trial.dropped else []
    told += ["with delays"] if trial.shake else []
    return ", ".join(told)


def _first(verdict: Verdict, width: int, color: bool) -> list[str]:
    findings = [finding for trial in verdict.trials for finding in trial.findings]
    if not findings:
        return []
    finding = findings[0]
    one = finding.difference
    where = one.row + (f", {clean(one.place)}" if one.place else "") + (f" (by {one.how})" if one.how else "")
    lines = ["", *_entry("differs", where, width, color, "fail")]
    if finding.task:
        lines += _entry("task", f"{clean(finding.task)}, {clean(finding.path)}:{finding.line}", width, color)
    lines += _entry("native", _text(one.native), width, color, "ok")
    lines += _entry("inferred", _text(one.inferred), width, color, "fail")
    lines += _entry("", f"(so in none of {verdict.native_runs} native runs)", width, color)
    rest = sum(trial.differences for trial in verdict.trials) - 1
    if rest:
        some = ", ".join(f"{f.difference.row} {clean(f.difference.place)}".strip() for f in findings[1:4])
        lines += _entry("also", some + (f", and {count(rest - 3, 'more', 'more')}" if rest > 3 else ""), width, color)
    return [*lines, ""]


def _text(text: str) -> str:
    lines = clean(text).split("\n")
    shown = lines[:MOST] + (["…"] if len(lines) > MOST else [])
    return "\n".join(line if len(line) <= 400 else line[:399] + "…" for line in shown)


def _excused(excused: Sequence[Difference]) -> Iterable[str]:
    """Where native itself differs from run to run."""
    for one in excused[:5]:
        place = f"{one.row}, {clean(one.place)}" if one.place else one.row
        like = ", or other places like it do" if one.how == "places like it" else ""
        yield f"{place} differs from one native run to another{like}"
    if len(excused) > 5:
        yield f"and {count(len(excused) - 5, 'more place')}"


def _entry(head: str, text: str, width: int, color: bool, role: str = "dim") -> list[str]:
    lines: list[str] = []
    for number, paragraph in enumerate(text.split("\n")):
        for place, line in enumerate(wrap(paragraph, max(width - MARGIN, 20)) or [""]):
            first = head if not number and not place else ""
            lines.append(compose([(first.ljust(MARGIN), role), (line, "")], width, color).rstrip())
    return lines
