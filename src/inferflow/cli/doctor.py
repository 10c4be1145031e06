"""``inferflow doctor``: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from inferflow.cli.common import answer, enter, show_json, wants_color, width
from inferflow.cli.options import Json

__all__ = ["command"]

ROLES = {"ok": "ok", "warn": "warn", "fail": "fail"}


def command(ctx: typer.Context, json: Json = False) -> int:
    """Examine what works here, and what does not."""
    import attrs

    from inferflow.render.style import bullet, paint
    from inferflow.session.doctor import examine

    shared = enter(ctx)
    color = wants_color(shared, sys.stdout)
    findings = []
    for finding in examine(Path.cwd(), Path(shared.config) if shared.config else None):
        findings.append(finding)
        if json:
            continue
        lead = f"{finding.status:<5} {finding.subject:<10} "
        lines = bullet((lead, ROLES[finding.status]), finding.text, width(), color, indent=0)
        if finding.hint:
            lines += bullet((" " * len(lead) + "→ ", ""), finding.hint, width(), color, indent=0)
        answer("\n".join(lines))
    failed = sum(finding.status == "fail" for finding in findings)
    if json:
        show_json([attrs.asdict(finding) for finding in findings])
    elif failed:
        answer(paint(f"{failed} of {len(findings)} do not work", "fail", color))
    return 4 if failed else 0
