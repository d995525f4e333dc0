"""The examples of the page on testing consumers run as written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import ampybus_contract

PAGE = (Path(ampybus_contract.__file__).parent / "export/pages/testing-consumers.md").read_text(
    encoding="utf-8"
)
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_runs(code: str) -> None:
    names: dict[str, Any] = {}
    exec(compile(code, "testing-consumers.md", "exec"), names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()


def test_the_example_would_notice_a_forgetful_consumer() -> None:
    code = BLOCKS[0].replace("self.seen |= names", "pass")
    names: dict[str, Any] = {}
    exec(compile(code, "testing-consumers.md", "exec"), names)
    with pytest.raises(AssertionError):
        names["test_an_order_is_applied_once"]()


def test_the_strategies_of_the_page_are_the_public_ones() -> None:
    from ampybus_contract import strategies  # noqa: PLC0415  needs an extra

    named = set(re.findall(r"`(\w+)\(", PAGE))
    assert named <= set(strategies.__all__)
