"""The fast parts' own tests, where these are used."""

from __future__ import annotations

import pytest

from compat import timings
from compat.engine.fast import in_use

collect_ignore_glob = [] if in_use() else ["test_*.py"]


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure no connection: once a test has begun to watch, the first of a class goes through its task."""
    monkeypatch.setattr(timings, "_watched", False)
