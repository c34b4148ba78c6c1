"""Parameters of which the usual run takes a few, and ``make test-all`` all."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest

__all__ = ["slow_but"]


def slow_but(quick: Container[Any], values: Iterable[Any], *, several: bool = False) -> list[Any]:
    """All ``values`` as parameters; those that are not ``quick`` are slow. ``several``: they are tuples of
    arguments.
    """
    return [
        pytest.param(*(value if several else (value,)), marks=[pytest.mark.slow] * (value not in quick))
        for value in values
    ]
