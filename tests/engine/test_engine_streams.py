"""Whose output was whose."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from inferflow.engine.streams import StreamLog


def test_what_python_wrote_is_known_although_it_is_still_buffered() -> None:
    log = StreamLog()
    log.cut()
    assert log.task_output(b"one\n", []) == b"one\n"
    log.arrived(b"one\ntwo\n")
    log.cut()
    assert log.task_output(b"two\n", [8]) == b"two\n"


def test_a_child_process_between_two_flushes() -> None:
    log = StreamLog()
    log.arrived(b"a\nchild\nb\n")
    log.cut()
    assert log.task_output(b"a\nb\n", [2, 2]) == b"a\nchild\nb\n"


def test_a_child_process_before_what_is_buffered() -> None:
    log = StreamLog()
    log.arrived(b"child\n")
    log.cut()
    assert log.task_output(b"python\n", []) == b"python\nchild\n"
    log.arrived(b"python\n")
    assert log.rest() == b""


def test_what_comes_at_the_very_end() -> None:
    log = StreamLog()
    log.noted(b"late\n", [])
    log.arrived(b"late\natexit in C\n")
    assert log.rest() == b"atexit in C\n"


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault of the strategy
@given(
    st.lists(
        st.tuples(st.binary(max_size=6), st.binary(max_size=6), st.booleans()).map(
            lambda t: (t[0].replace(b"F", b"p"), b"F" * len(t[1]), t[2])
        ),
        max_size=8,
    )
)
def test_no_byte_is_lost_or_doubled(tasks: list[tuple[bytes, bytes, bool]]) -> None:
    """Each task prints, calls a child (which writes only ``F``), and maybe flushes."""
    log = StreamLog()
    pending = b""
    seen = []
    for printed, foreign, flushes in tasks:
        pending += printed
        log.arrived(foreign)
        sizes = []
        if flushes and pending:
            log.arrived(pending)
            sizes, pending = [len(pending)], b""
        log.cut()
        seen.append(log.task_output(printed, sizes))
    assert b"".join(seen).count(b"F") == sum(len(foreign) for _, foreign, _ in tasks)
    assert [out.replace(b"F", b"") for out in seen] == [printed for printed, _, _ in tasks]
    log.arrived(pending)
    assert log.rest() == b""
