"""Messages of loggers are lines on standard error, unless the program sends them elsewhere."""

from __future__ import annotations

import pytest
from effects_of import Facts

HEAD = """
import logging, sys
log = logging.getLogger(__name__)
def f(x):
    log.info("f of %s", x)
    return x + 1
"""


@pytest.mark.parametrize(
    "setup", ["", "logging.basicConfig(level=logging.INFO)", "logging.basicConfig(stream=sys.stdout)"]
)
def test_a_message_is_a_line_on_standard_error(setup: str) -> None:
    text = f"{HEAD}{setup}\nr = f(1)"
    writes = Facts(text).writes(text.count("\n") + 1)
    assert "stderr" in writes
    assert "logging" not in writes


@pytest.mark.parametrize(
    "setup",
    [
        "logging.basicConfig(filename='a.log')",
        "logging.getLogger().addHandler(logging.FileHandler('a.log'))",
        "logging.config.dictConfig({})",
        "logging.basicConfig(**{'filename': 'a.log'})",
        "import nobody_knows",
    ],
)
def test_handlers_keep_messages_in_order(setup: str) -> None:
    text = f"{HEAD}{setup}\nr = f(1)"
    assert "logging" in Facts(text).writes(text.count("\n") + 1)
